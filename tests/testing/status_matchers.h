// Google Mock matchers for absl::Status and absl::StatusOr<T>, which Debian's
// abseil does not ship.
//
//   EXPECT_THAT(table.Dirty(...), IsOk());
//   EXPECT_THAT(ParseId(text), StatusIs(absl::StatusCode::kInvalidArgument,
//                                       HasSubstr("32 hex digits")));
//   EXPECT_THAT(ParseId(text), IsOkAndHolds(kAlice));
//
// Test code only; not installed.

#pragma once

#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"

namespace dgc::testing {

inline const absl::Status& GetStatus(const absl::Status& status) { return status; }

template <typename T>
const absl::Status& GetStatus(const absl::StatusOr<T>& status_or) {
  return status_or.status();
}

// Matches any OK status, or a StatusOr that holds a value.
MATCHER(IsOk, negation ? "is not OK" : "is OK") {
  *result_listener << GetStatus(arg).ToString();
  return GetStatus(arg).ok();
}

// Matches a status with `code` and a message that `message` matches.
MATCHER_P2(StatusIs, code, message,
           "has the code " + absl::StatusCodeToString(code) + " and a message that " +
               ::testing::DescribeMatcher<std::string>(message, negation)) {
  const absl::Status& status = GetStatus(arg);
  *result_listener << status.ToString();
  return status.code() == code &&
         ::testing::ExplainMatchResult(message, std::string(status.message()), result_listener);
}

// Matches a status with `code`, whatever its message.
inline auto StatusIs(absl::StatusCode code) { return StatusIs(code, ::testing::_); }

// Matches a StatusOr that holds a value which `value` matches.
MATCHER_P(IsOkAndHolds, value, "is OK and holds a matching value") {
  if (!arg.ok()) {
    *result_listener << arg.status().ToString();
    return false;
  }
  return ::testing::ExplainMatchResult(value, *arg, result_listener);
}

}  // namespace dgc::testing
