// Where the core's randomness comes from: whoever runs it.
//
// The runtime hands in the operating system's generator (tokens must be unguessable), the simulator
// a seeded one.  Called under the same serialization as the core itself.
#pragma once

#include <cstdint>

namespace dgc {

class Random {
 public:
  virtual ~Random() = default;
  virtual uint64_t Next() = 0;
};

}  // namespace dgc
