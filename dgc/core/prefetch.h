// Prefetch: begins to bring memory that is soon used into the cache; for batches, which overlap
// their cache misses that way.
//
// Changes nothing but the time things take, and any address will do.  Thread-safe.
#pragma once

namespace dgc {

inline void Prefetch(const void* address) {
  __builtin_prefetch(address, /*rw=*/1);
  // GCC 12 takes a function that does nothing else for one without any effect, and drops the calls
  // of it: to the compiler this is one.
  asm volatile("");
}

}  // namespace dgc
