#include "dgc/core/ids.h"

#include <array>
#include <cinttypes>
#include <cstdio>

namespace dgc {

std::string ToHex(uint64_t high, uint64_t low) {
  std::array<char, 33> text{};
  std::snprintf(text.data(), text.size(), "%016" PRIx64 "%016" PRIx64, high, low);
  return std::string(text.data(), 32);
}

}  // namespace dgc
