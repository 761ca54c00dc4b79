// DGC_MUTATE: a deliberate one-line defect, to prove that the tests would notice it.
//
//     if (DGC_MUTATE("expiry ignores renewal", lease.expiry > now, false)) {
//
// is `lease.expiry > now` in every production build.  Only the simulator's own copy of the pure layers defines
// DGC_SIMULATION; there one binary holds all the defects, asleep until ActivateMutation() wakes one of them.
// Both sides are expressions and only one is evaluated.  A name may stand in several places: they are one defect.
#pragma once

#ifdef DGC_SIMULATION

#include <cstring>

#include "dgc/core/probe.h"

namespace dgc::simulation {

struct MutationSite {
  explicit MutationSite(const char* mutation_name);
  const char* name;
  bool active = false;
  MutationSite* next;
};

// The first of a linked list.
inline MutationSite* mutation_sites = nullptr;

inline MutationSite::MutationSite(const char* mutation_name)
    : name(mutation_name), next(mutation_sites) {
  mutation_sites = this;
}

template <Literal kName>
inline MutationSite mutation_site{kName.value};

// Makes this one the only active mutation; returns whether there is one of that name.  "" is none.
inline bool ActivateMutation(const char* name) {
  bool found = name[0] == '\0';
  for (MutationSite* site = mutation_sites; site != nullptr; site = site->next) {
    site->active = std::strcmp(site->name, name) == 0;
    found |= site->active;
  }
  return found;
}

}  // namespace dgc::simulation

#define DGC_MUTATE(name, good, bad) (::dgc::simulation::mutation_site<name>.active ? (bad) : (good))

#else

#define DGC_MUTATE(name, good, bad) (good)

#endif
