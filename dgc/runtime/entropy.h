// Entropy: the operating system's cryptographic generator, read 4 KiB at a time.
//
// Object ids, client ids and tokens must be unguessable.  A number costs some nanoseconds, every
// 512th one a system call of about 10 us, so it may be used under a lock.  Thread-compatible.
// Not for use across fork().
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "dgc/core/random.h"

namespace dgc {

class Entropy final : public Random {
 public:
  uint64_t Next() override;

 private:
  std::array<uint64_t, 512> block_{};
  size_t used_ = block_.size();
};

}  // namespace dgc
