// Digest: an order-free summary of a set of objects, kept up to date in O(1) per change.
//
// Two processes compare digests instead of sets (RenewRequest.held_count/held_hash; the
// protocol fixes the function).  Guards against lost messages, not against an
// adversary: a holder that forges its own digest harms only itself.  A plain value.
#pragma once

#include <cstdint>

#include "dgc/core/ids.h"

namespace dgc {

struct Digest {
  uint64_t count = 0;
  uint64_t hash = 0;

  void Add(const ObjectId& id) {
    ++count;
    hash += Mix(id.high + Mix(id.low));
  }
  // REQUIRES: `id` was added.
  void Remove(const ObjectId& id) {
    --count;
    hash -= Mix(id.high + Mix(id.low));
  }

  friend bool operator==(const Digest&, const Digest&) = default;
};

}  // namespace dgc
