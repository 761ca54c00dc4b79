// DGC_CHECK: our own invariants, on in release builds too.
//
// Peers' input and the environment are never checked this way: they give an error.  A
// failed check prints where and what, and aborts: a collector whose tables are
// inconsistent must not go on reclaiming.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace dgc::internal {
[[noreturn]] inline void CheckFailed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: invariant broken: %s\n", file, line, condition);
  std::abort();
}
}  // namespace dgc::internal

#define DGC_CHECK(condition)                           \
  (static_cast<bool>(condition) ? static_cast<void>(0) \
                                : ::dgc::internal::CheckFailed(__FILE__, __LINE__, #condition))
