#include "dgc/runtime/log.h"

#include <spdlog/spdlog.h>

#include "dgc/core/ids.h"

namespace dgc {
namespace {

using Kind = Transition::Kind;

const char* Name(Kind kind) {
  switch (kind) {
    case Kind::kClientAppeared:
      return "client_appeared";
    case Kind::kClientLimbo:
      return "client_limbo";
    case Kind::kClientResurrected:
      return "client_resurrected";
    case Kind::kLeaseLapsed:
      return "lease_lapsed";
    case Kind::kGoodbye:
      return "goodbye";
    case Kind::kRelisting:
      return "relisting";
    case Kind::kRefused:
      return "refused";
    case Kind::kOwnerRestarted:
      return "owner_restarted";
    case Kind::kPeerFailing:
      return "peer_failing";
    case Kind::kPeerRecovered:
      return "peer_recovered";
    case Kind::kBrakeOn:
      return "brake_on";
    case Kind::kBrakeOff:
      return "brake_off";
    case Kind::kReapingAutomatic:
      return "reaping_automatic";
    case Kind::kReapingHeld:
      return "reaping_held";
    case Kind::kReapingReleased:
      return "reaping_released";
  }
  return "unknown";
}

// Warnings have a number each: lapsed leases, failed requests, lost references, reaping held.
bool IsWarning(Kind kind) {
  return kind == Kind::kLeaseLapsed || kind == Kind::kOwnerRestarted || kind == Kind::kRefused ||
         kind == Kind::kPeerFailing || kind == Kind::kBrakeOn || kind == Kind::kReapingHeld ||
         kind == Kind::kReapingReleased;
}

}  // namespace

void LogTransition(const TransitionEvent& event) {
  if (spdlog::default_logger_raw() == nullptr) return;  // After spdlog::shutdown().
  const Transition& transition = event.transition;
  const auto level = IsWarning(transition.kind) ? spdlog::level::warn : spdlog::level::info;
  if (transition.client.valid()) {
    spdlog::log(level, "event={} client={} references={}", Name(transition.kind),
                ToHex(transition.client), transition.count);
  } else if (event.owner.empty()) {
    spdlog::log(level, "event={} leases={}", Name(transition.kind), transition.count);
  } else {
    spdlog::log(level, "event={} owner={} incarnation={:016x} references={}", Name(transition.kind),
                event.owner, Raw(event.incarnation), transition.count);
  }
}

}  // namespace dgc
