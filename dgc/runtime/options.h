// Options of a process that uses the collector, as an owner, a holder or both.
//
// Every field has a default that suits a service of medium size; only an owner must set one, its
// name.  Plain values, read once when the Owner or Holder is made.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "dgc/core/object_table.h"
#include "dgc/core/time.h"
#include "dgc/runtime/events.h"
#include "dgc/strategies/registry.h"

namespace grpc {
class ChannelCredentials;
}

namespace dgc {

struct Options {
  // The owner's stable name and at once the address that holders dial ("uploads-0.uploads:7000"):
  // of this very process, never of a load balancer.  1 to 255 bytes of printable ASCII without
  // spaces.  Empty for a process that hosts nothing.
  std::string name = {};

  // Which collector, and its terms, bounds and retries.
  StrategyOptions strategy = {};

  // Bounds of the tables; going over one is RESOURCE_EXHAUSTED.
  ObjectTableOptions objects = {};
  uint32_t imports_max = (uint32_t{1} << 31) - 1;
  uint32_t types_max = 4096;
  // Owners of which something is held, each with a connection, for some seconds up to four, and
  // more descriptors while it is made.  Who imports what anybody names lowers it, so that they fit
  // into the limit on descriptors beside the connections that its server accepts.
  uint32_t peers_max = 65'536;

  // Callbacks may block and may use the Owner or Holder, but must not shut it down, nor throw.
  //
  // Called on the finalizer thread for each reclaimed object, one at a time, before its last
  // shared_ptr here is dropped.  A slow one delays other finalizers only.  Not for objects that
  // are there still when the Owner is shut down: those are dropped, not reclaimed.
  std::function<void(const ReclaimEvent&)> on_reclaim = {};
  // Called on the notifier thread, which also writes the log, for each reference lost, also for one
  // that is only being handed on any more.  A slow one delays other events only.
  std::function<void(const LossEvent&)> on_lost = {};
  // Called on the same thread for each reference that was handed on and not taken up, or of which
  // that is not known, as its owner is silent.
  std::function<void(const HandOnExpiredEvent&)> on_hand_on_expired = {};
  // Called on the same thread for each line that goes to the log (a lease lapsed, a peer fails,
  // the brake ...), which it does either way.
  std::function<void(const TransitionEvent&)> on_transition = {};
  // The most reclaimed objects waiting for the finalizer thread; beyond it reclaiming pauses.  At
  // least 1.
  uint32_t finalizers_waiting_max = 1 << 16;
  // The most events waiting for the notifier thread, half as many where they are not losses;
  // beyond it they are dropped, and counted (dgc_events_dropped_total).  A Ref that is lost says so
  // all the same.  At least 1.
  uint32_t events_waiting_max = 1 << 16;

  // How long an orderly exit waits for the owners to acknowledge it; before that, for half of it at
  // most, for what is known to be gone to be reclaimed.  0: not at all.
  Duration goodbye_timeout = std::chrono::seconds(2);

  // For the channels to owners, e.g. grpc::SslCredentials with a client certificate for mutual TLS.
  // Null: insecure.  An owner calls itself with them too, before a lease lapses.  (Its server
  // credentials are given to the grpc::ServerBuilder as usual; if they ask for client certificates
  // and verify them, client ids are bound to the identities in these.)
  std::shared_ptr<grpc::ChannelCredentials> channel_credentials = {};
};

// INVALID_ARGUMENT or NOT_FOUND, naming the field.
absl::Status Validate(const Options& options);

}  // namespace dgc
