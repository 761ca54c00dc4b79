// Mutations: deliberate one-line defects, to prove that the tests would notice them.
//
// mutations.py lists them and writes a copy of the pure layers in which all of them are present and
// asleep; ActivateMutation() wakes one.  The product's own source has no trace of it.  Not
// thread-safe: the simulator is one thread.
#pragma once

#include <cstring>

#include "dgc/core/probe.h"

namespace dgc::simulation {

struct MutationSite {
  explicit MutationSite(const char* mutation_name);
  const char* name;
  bool active = false;
  MutationSite* next;
};

// The first of a linked list, in no defined order.
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

#define DGC_MUTATED(name) (::dgc::simulation::mutation_site<name>.active)
