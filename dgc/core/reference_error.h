// ReferenceError: why a reference is of no use any more, as a value and as a status.
//
// dgc.v1.ReferenceError without protobuf.  It travels within an absl::Status as a payload, through
// whatever hands the status on whole; rpc/status takes it across the wire.
//
// Plain values and pure functions; safe anywhere.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "dgc/core/message.h"
#include "dgc/core/time.h"

namespace dgc {

// Values are those of dgc.v1.LossCause.
enum class LossCause : uint8_t {
  kNone = 0,
  kUnknown = 1,         // the owner knows of no such object
  kReclaimed = 2,       // it was reclaimed; to a holder: this process' lease had lapsed
  kUnexported = 3,      // the owner's application ended it
  kRefused = 4,         // the owner takes this process for an impostor
  kOwnerRestarted = 5,  // the run of the owner that hosted it is over
};
inline constexpr size_t kLossCauses = 6;

// What an owner answers for one id of a batch, as a cause; kUnknown if it is not about the object.
LossCause CauseOf(FailureReason reason);

struct ReferenceError {
  LossCause cause = LossCause::kNone;
  // Where the cause is kReclaimed or kUnexported: why, and how long ago when the error was made.
  ReclaimReason reclaim_reason = ReclaimReason::kUnspecified;
  Duration reclaimed_ago{};

  friend bool operator==(const ReferenceError&, const ReferenceError&) = default;
};

// What ObjectTable::WhyAbsent says, as an error.
ReferenceError ErrorOf(const Failure& failure);

// The status that says so, in a code, in words after `which`, and as a payload:
//   NOT_FOUND            kUnknown, kReclaimed, kUnexported;
//   PERMISSION_DENIED    kRefused;
//   FAILED_PRECONDITION  kOwnerRestarted.
// REQUIRES: the cause is not kNone.
absl::Status ToStatus(const ReferenceError& error, absl::string_view which = {});

// Sets the payload alone.  No effect on an OK status.
void Attach(const ReferenceError& error, absl::Status* status);
// The error that `status` carries, if any.
std::optional<ReferenceError> ReferenceErrorOf(const absl::Status& status);

// The same status, payloads included, with where it arose before its words: "edges[3]: ...".
absl::Status Placed(const absl::Status& status, absl::string_view where);

}  // namespace dgc
