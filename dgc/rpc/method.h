// Method: the rpcs of dgc.v1.CollectorService, as a closed set for metrics.
//
// Plain values; `MethodOf` is the order of the alternatives of Request.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <variant>

#include "dgc/core/message.h"

namespace dgc {

enum class Method : uint8_t { kDirty, kClean, kRenew, kTransit, kGoodbye };
inline constexpr size_t kMethods = 5;
static_assert(std::variant_size_v<Request> == kMethods);

// In the order of Method; as the metrics spell them.
inline constexpr std::array<const char*, kMethods> kMethodNames = {"Dirty", "Clean", "Renew",
                                                                   "Transit", "Goodbye"};

inline Method MethodOf(const Request& request) { return static_cast<Method>(request.index()); }

}  // namespace dgc
