// ClientKeys: this process's secret at each run of each owner (dgc.v1.ClientKey).
//
// A keyed hash of the owner's name and incarnation under a random secret of this process, so that
// nothing need be remembered per owner, and no owner can compute what another was given.  The
// hash is SipHash-2-4 (Aumasson and Bernstein, 2012), once for each half.  A constant value; safe
// anywhere.
#pragma once

#include <cstdint>
#include <string_view>

#include "dgc/core/ids.h"
#include "dgc/core/random.h"

namespace dgc {

class ClientKeys {
 public:
  explicit ClientKeys(Random* random);

  ClientKey For(std::string_view owner, Incarnation incarnation) const;

 private:
  struct Secret {
    uint64_t k0;
    uint64_t k1;
  };
  const Secret high_;
  const Secret low_;
};

// SipHash-2-4 of `bytes` under the key (k0, k1), its bytes taken in little-endian order.
uint64_t SipHash24(uint64_t k0, uint64_t k1, std::string_view bytes);

}  // namespace dgc
