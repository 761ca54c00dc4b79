// Stats: the numbers of one process's collector at one instant; what the metrics are made of.
//
// A plain value.
#pragma once

#include <cstdint>

#include "dgc/core/counters.h"
#include "dgc/core/strategy.h"

namespace dgc {

struct Stats {
  Counters counters;
  Strategy::Sizes sizes;
  uint64_t objects = 0;
  uint64_t names = 0;
  uint64_t imports = 0;
  uint64_t peers = 0;
  uint64_t types = 0;  // that objects or imports have
  uint64_t requests_in_flight = 0;
  uint64_t finalizers_waiting = 0;
  uint64_t events_waiting = 0;      // for their callback, or for the log
  uint64_t events_dropped = 0;      // because too many waited
  uint64_t uses_after_reclaim = 0;  // own objects asked for after they had been reclaimed
  uint64_t shares_refused = 0;
};

}  // namespace dgc
