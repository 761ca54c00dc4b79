// Metrics: what a process tells Prometheus about its collector; METRICS.md is the catalogue.
//
// Every process, owner or holder, exports the same families with the same, fixed labels.  Numbers
// are read from the engine when Prometheus scrapes, under its lock for about a microsecond per
// owner known.  metrics.cc is the one file that includes prometheus.
#pragma once

#include <memory>

namespace prometheus {
class Collectable;
}

namespace dgc {

class CallCounts;
class Engine;

// Thread-safe.  Keeps both; works after the engine was shut down.
std::shared_ptr<prometheus::Collectable> MakeCollectable(std::shared_ptr<Engine> engine,
                                                         std::shared_ptr<const CallCounts> calls);

}  // namespace dgc
