// HeapBytes: what this process has allocated at the moment.
//
// For tests that something is forgotten which nothing shows from outside: they compare two
// measurements, far apart.  0 under a sanitizer, which has an allocator of its own.
#pragma once

#include <malloc.h>

#include <cstddef>

namespace dgc::testing {

inline size_t HeapBytes() {
  const struct mallinfo2 heap = mallinfo2();
  return heap.uordblks + heap.hblkhd;
}

}  // namespace dgc::testing
