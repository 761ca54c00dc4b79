// Prefetch and FetchAhead: memory that is soon used is brought into the cache before; for batches,
// which overlap their cache misses that way.
//
// Thread-safe.
#pragma once

#include <cstddef>

namespace dgc {

// Changes nothing but the time things take, and any address will do.
inline void Prefetch(const void* address) {
  __builtin_prefetch(address, /*rw=*/1);
  // GCC 12 takes a function that does nothing else for one without any effect, and drops the calls
  // of it: to the compiler this is one.
  asm volatile("");
}

// Calls far(i), near(i) and use(i) for each i below `size`, in order: near(i) just before
// far(i + kAhead), use(i) just before near(i + kAhead).  For what is reached in two steps: far()
// fetches what near() reads, near() what use() does.
template <size_t kAhead, typename Far, typename Near, typename Use>
void FetchAhead(size_t size, Far far, Near near, Use use) {
  for (size_t i = 0; i < size + 2 * kAhead; ++i) {
    if (i >= 2 * kAhead) use(i - 2 * kAhead);
    if (i >= kAhead && i - kAhead < size) near(i - kAhead);
    if (i < size) far(i);
  }
}

}  // namespace dgc
