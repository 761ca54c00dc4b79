// ClientKeys: how ClientKeys are made, under a random secret of this process.
//
// A holder makes the one it shows to each run of each owner (dgc.v1.ClientKey), so that nothing
// need be remembered per owner, and no owner can compute what another was given.  An owner makes
// the one that a client id is bound to where the transport says who is calling, so that the key
// alone is not enough.
//
// Keyed hashes: SipHash-2-4 (Aumasson and Bernstein, 2012), once for each half.  A constant value;
// safe anywhere.
#pragma once

#include <cstdint>
#include <string_view>

#include "dgc/core/ids.h"
#include "dgc/core/random.h"

namespace dgc {

class ClientKeys {
 public:
  explicit ClientKeys(Random* random);

  // This process's key at that run of that owner.
  ClientKey For(std::string_view owner, Incarnation incarnation) const;
  // What stands for `key` if it came from the peer of that identity: another key, or the same from
  // another peer, gives another.
  ClientKey BoundTo(std::string_view peer, const ClientKey& key) const;

 private:
  struct Secret {
    uint64_t k0;
    uint64_t k1;
  };

  ClientKey Hash(std::string_view text) const;

  const Secret high_;
  const Secret low_;
};

// SipHash-2-4 of `bytes` under the key (k0, k1), its bytes taken in little-endian order.
uint64_t SipHash24(uint64_t k0, uint64_t k1, std::string_view bytes);

}  // namespace dgc
