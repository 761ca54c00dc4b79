// One seed of the campaign: options, workloads and nemeses drawn from it, run, and checked.
//
// Thread-compatible; a run is a function of the seed (and of the mutation that is active, if any).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace dgc::testkit {

struct SeedResult {
  std::optional<std::string> failure;
  std::string composition;  // "churn, graph + partition, pauses; 4 nodes, term 2000 ms"
  uint64_t steps = 0;
  uint64_t reclaims = 0;
  uint64_t excused = 0;
  uint64_t requests = 0;
};

// `trace` gets a line per event; empty for none.
SeedResult RunSeed(uint64_t seed, const std::function<void(std::string_view)>& trace);

}  // namespace dgc::testkit
