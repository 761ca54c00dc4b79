#include "dgc/runtime/entropy.h"

#include <sys/random.h>

#include <cerrno>
#include <utility>

#include "dgc/core/check.h"

namespace dgc {

uint64_t Entropy::Next() {
  if (used_ == block_.size()) {
    auto* const bytes = reinterpret_cast<char*>(block_.data());
    for (size_t filled = 0; filled < sizeof(block_);) {
      const ssize_t read = getrandom(bytes + filled, sizeof(block_) - filled, 0);
      DGC_CHECK(read > 0 || errno == EINTR);
      if (read > 0) filled += static_cast<size_t>(read);
    }
    used_ = 0;
  }
  return std::exchange(block_[used_++], 0);
}

}  // namespace dgc
