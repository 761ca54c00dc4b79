#include "dgc/runtime/wire_type.h"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>

#include "dgc/core/ref.h"

namespace dgc::internal {

std::string Demangle(const std::type_info& type) {
  int failed = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &failed), &std::free);
  return std::string(failed == 0 ? name.get() : type.name()).substr(0, kTypeBytesMax);
}

}  // namespace dgc::internal
