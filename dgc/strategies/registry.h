// The collectors by name: the one place that knows them all.
//
// A new strategy is one folder, one field here and one line in registry.cc.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "dgc/core/strategy.h"
#include "dgc/strategies/lease/lease.h"

namespace dgc {

struct StrategyOptions {
  std::string name = "lease";
  LeaseOptions lease;
};

// NOT_FOUND lists the names there are; INVALID_ARGUMENT names the field that is wrong.
absl::StatusOr<StrategyFactory> MakeStrategy(const StrategyOptions& options);

}  // namespace dgc
