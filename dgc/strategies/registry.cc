#include "dgc/strategies/registry.h"

#include "absl/strings/str_cat.h"

namespace dgc {

absl::StatusOr<StrategyFactory> MakeStrategy(const StrategyOptions& options) {
  if (options.name == "lease") {
    if (absl::Status status = Validate(options.lease); !status.ok()) return status;
    return LeaseStrategy(options.lease);
  }
  return absl::NotFoundError(absl::StrCat("no strategy \"", options.name, "\"; there is: lease"));
}

}  // namespace dgc
