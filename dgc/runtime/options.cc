#include "dgc/runtime/options.h"

namespace dgc {

absl::Status Validate(const Options& options) {
  if (!IsOwnerName(options.name)) {
    return absl::InvalidArgumentError(
        "name: longer than 255 bytes, or not of printable ASCII without spaces");
  }
  if (options.imports_max == 0 || options.imports_max >= uint32_t{1} << 31) {
    return absl::InvalidArgumentError("imports_max: not in 1 to 2^31 - 1");
  }
  if (options.objects.objects_max == 0 || options.objects.objects_max >= uint32_t{1} << 31) {
    return absl::InvalidArgumentError("objects.objects_max: not in 1 to 2^31 - 1");
  }
  if (options.peers_max == 0) return absl::InvalidArgumentError("peers_max: zero");
  if (options.types_max == 0 || options.types_max > 65535) {
    return absl::InvalidArgumentError("types_max: not in 1 to 65,535");
  }
  if (options.finalizers_waiting_max == 0) {
    return absl::InvalidArgumentError("finalizers_waiting_max: is 0");
  }
  if (options.events_waiting_max == 0) {
    return absl::InvalidArgumentError("events_waiting_max: is 0");
  }
  if (options.objects.local_round_interval < Duration::zero() ||
      options.objects.local_round_interval > kTermMax) {
    return absl::InvalidArgumentError("objects.local_round_interval: not in 0 to one day");
  }
  if (options.goodbye_timeout < Duration::zero()) {
    return absl::InvalidArgumentError("goodbye_timeout: negative");
  }
  return MakeStrategy(options.strategy).status();
}

}  // namespace dgc
