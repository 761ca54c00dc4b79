// DGC_PROBE: marks a rare state, so that a campaign of the simulator can tell whether it was ever
// reached.
//
//     if (late) {
//       DGC_PROBE("late dirty refused");
//
// Nothing at all unless the build defines DGC_SIMULATION, which only the simulator's own copy of
// the pure layers does.  There every probe that is linked in is listed, hit or not (ProbeSites()),
// in no defined order: sort by name.  Not thread-safe: the simulator is one thread.
#pragma once

#ifdef DGC_SIMULATION

#include <cstddef>
#include <cstdint>

namespace dgc::simulation {

// A string literal as a template argument.
template <size_t kSize>
struct Literal {
  constexpr Literal(const char (&text)[kSize]) {  // NOLINT(google-explicit-constructor)
    for (size_t i = 0; i < kSize; ++i) value[i] = text[i];
  }
  char value[kSize];
};

struct ProbeSite {
  explicit ProbeSite(const char* probe_name);
  const char* name;
  uint64_t hits = 0;
  ProbeSite* next;
};

// The first of a linked list.
inline ProbeSite* probe_sites = nullptr;

inline ProbeSite::ProbeSite(const char* probe_name) : name(probe_name), next(probe_sites) {
  probe_sites = this;
}

template <Literal kName>
inline ProbeSite probe_site{kName.value};

}  // namespace dgc::simulation

#define DGC_PROBE(name) (++::dgc::simulation::probe_site<name>.hits)

#else

#define DGC_PROBE(name) static_cast<void>(0)

#endif
