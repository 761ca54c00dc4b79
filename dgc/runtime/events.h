// Events: what the runtime tells the application and the log.
//
// Plain values.  `time` is when this process noticed, on the wall clock: for people.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "dgc/core/import_table.h"
#include "dgc/core/message.h"
#include "dgc/core/ref.h"
#include "dgc/core/strategy.h"

namespace dgc {

using WallTime = std::chrono::system_clock::time_point;

// Now.  Nothing is decided by this clock: tests/tidy allows it in this file alone.
inline WallTime StampNow() { return std::chrono::system_clock::now(); }

// One of this process's own objects has been reclaimed.
struct ReclaimEvent {
  ObjectId id;
  std::string type;
  ReclaimReason reason{};
  // What was exported.  Dropped when the callback returns, unless the callback keeps a copy.
  std::shared_ptr<void> object;
  WallTime time{};
};

// A reference that this process holds, or was still handing on, has become useless.  Who has let
// go of it meanwhile may be told too, even if the hand-on had succeeded before the object went.
struct LossEvent {
  WireRef ref;
  LossCause cause{};
  // What Ref::status() says from now on: when and why, also as a ReferenceError.
  absl::Status why;
  WallTime time{};
};

// A reference that this process handed on (Ref::Share) was not taken up before its transit lease
// ended: whoever was meant to receive it never registered.
struct HandOnExpiredEvent {
  // As it was handed on; `type` is empty.
  WireRef ref;
  // False: the owner has not answered for a term and `linger`, and nothing else of it is in use, so
  // the hand-on was given up.  Whether the reference can still be taken up is not known.
  bool acknowledged = true;
  WallTime time{};
};

// Something worth a line in the log: a lease that lapsed, limbo, the brake, a peer that fails ...
struct TransitionEvent {
  Transition transition;
  // Where it concerns a peer: the owner, and which run of it.
  std::string owner;
  Incarnation incarnation{};
  WallTime time{};
};

}  // namespace dgc
