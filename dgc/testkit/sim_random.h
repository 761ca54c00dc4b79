// SimRandom: the only source of chance in a simulated run.
//
// The same seed gives the same numbers on every machine: integers only, no library distributions
// and no floating-point functions.  Fork() gives an independent stream, so that one part's draws do
// not shift another's.  Thread-compatible.
#pragma once

#include <cstdint>

#include "dgc/core/random.h"
#include "dgc/core/time.h"

namespace dgc::testkit {

class SimRandom final : public Random {
 public:
  explicit SimRandom(uint64_t seed) : state_(seed) {}

  // splitmix64 (Steele, Lea, Flood 2014).
  uint64_t Next() override {
    uint64_t x = state_ += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }

  SimRandom Fork() { return SimRandom(Next()); }

  // Uniform in [0, bound).  REQUIRES: bound > 0.  The bias is below bound / 2^64.
  uint64_t Below(uint64_t bound) { return Next() % bound; }
  // Uniform in [low, high].
  int64_t Between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(Below(static_cast<uint64_t>(high - low) + 1));
  }
  Duration Between(Duration low, Duration high) {
    return high <= low ? low : Duration(Between(low.count(), high.count()));
  }
  // True once in `times`; never if that is 0.
  bool OneIn(uint64_t times) { return times != 0 && Below(times) == 0; }
  // True with a probability of `per_mille` / 1000.
  bool PerMille(uint64_t per_mille) { return Below(1000) < per_mille; }

 private:
  uint64_t state_;
};

}  // namespace dgc::testkit
