#include "dgc/core/reference_error.h"

#include <chrono>
#include <string>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "dgc/core/check.h"

namespace dgc {
namespace {

// Of the payload within a process: three decimal numbers, for absl::Status prints it.
constexpr char kPayload[] = "dgc.ReferenceError";

const char* Describe(ReclaimReason reason) {
  switch (reason) {
    case ReclaimReason::kClean:
      return "its last reference was dropped";
    case ReclaimReason::kLapse:
      return "the lease of its last holder lapsed";
    case ReclaimReason::kTransitExpired:
      return "its last reference got lost in transit";
    case ReclaimReason::kCascade:
      return "what referred to it was reclaimed";
    case ReclaimReason::kCycle:
      return "it was part of a garbage cycle";
    case ReclaimReason::kUnexport:
    case ReclaimReason::kUnspecified:
      break;
  }
  return "for a reason not recorded";
}

std::string Explain(const ReferenceError& error) {
  const std::string ago = absl::StrCat(
      std::chrono::duration_cast<std::chrono::milliseconds>(error.reclaimed_ago).count(),
      " ms ago");
  switch (error.cause) {
    case LossCause::kReclaimed:
      return absl::StrCat("the object was reclaimed ", ago, ": ", Describe(error.reclaim_reason));
    case LossCause::kUnexported:
      return absl::StrCat("the object was unexported by its owner ", ago);
    case LossCause::kRefused:
      return "its owner has bound the id of this process to another key or peer";
    case LossCause::kOwnerRestarted:
      return "host restarted, and with its earlier run went all it hosted";
    case LossCause::kUnknown:
    case LossCause::kNone:
      break;
  }
  return "no such object: it never existed, or was reclaimed too long ago to be remembered";
}

absl::StatusCode CodeOf(LossCause cause) {
  if (cause == LossCause::kRefused) return absl::StatusCode::kPermissionDenied;
  if (cause == LossCause::kOwnerRestarted) return absl::StatusCode::kFailedPrecondition;
  return absl::StatusCode::kNotFound;
}

}  // namespace

LossCause CauseOf(FailureReason reason) {
  switch (reason) {
    case FailureReason::kReclaimed:
      return LossCause::kReclaimed;
    case FailureReason::kUnexported:
      return LossCause::kUnexported;
    case FailureReason::kUnknown:
    case FailureReason::kStale:
    case FailureReason::kQuota:
      break;
  }
  return LossCause::kUnknown;
}

ReferenceError ErrorOf(const Failure& failure) {
  return {CauseOf(failure.reason), failure.reclaim_reason, failure.reclaimed_ago};
}

absl::Status ToStatus(const ReferenceError& error, absl::string_view which) {
  DGC_CHECK(error.cause != LossCause::kNone);
  absl::Status status(CodeOf(error.cause), absl::StrCat(which, Explain(error)));
  Attach(error, &status);
  return status;
}

void Attach(const ReferenceError& error, absl::Status* status) {
  status->SetPayload(kPayload,
                     absl::Cord(absl::StrCat(static_cast<int>(error.cause), " ",
                                             static_cast<int>(error.reclaim_reason), " ",
                                             static_cast<int64_t>(error.reclaimed_ago.count()))));
}

std::optional<ReferenceError> ReferenceErrorOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kPayload);
  if (!payload.has_value()) return std::nullopt;
  const std::vector<std::string> numbers = absl::StrSplit(std::string(*payload), ' ');
  int cause = 0;
  int reason = 0;
  int64_t ago = 0;
  // Nobody else sets it.
  DGC_CHECK(numbers.size() == 3 && absl::SimpleAtoi(numbers[0], &cause) &&
            absl::SimpleAtoi(numbers[1], &reason) && absl::SimpleAtoi(numbers[2], &ago));
  return ReferenceError{static_cast<LossCause>(cause), static_cast<ReclaimReason>(reason),
                        Duration(ago)};
}

absl::Status Placed(const absl::Status& status, absl::string_view where) {
  if (status.ok()) return status;
  absl::Status placed(status.code(), absl::StrCat(where, ": ", status.message()));
  status.ForEachPayload(
      [&](absl::string_view type, const absl::Cord& payload) { placed.SetPayload(type, payload); });
  return placed;
}

}  // namespace dgc
