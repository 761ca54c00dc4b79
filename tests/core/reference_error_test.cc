#include "dgc/core/reference_error.h"

#include <chrono>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace dgc {
namespace {

using ::dgc::testing::StatusIs;
using ::std::chrono::milliseconds;
using ::std::chrono::seconds;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::Optional;

using Code = absl::StatusCode;

TEST(ReferenceErrorTest, StatusHasACodeAndWordsForEveryCause) {
  struct Case {
    LossCause cause;
    Code code;
    const char* words;
  };
  const std::vector<Case> cases = {
      {LossCause::kUnknown, Code::kNotFound, "lost: no such object: it never existed"},
      {LossCause::kReclaimed, Code::kNotFound, "lost: the object was reclaimed 3000 ms ago: "},
      {LossCause::kUnexported, Code::kNotFound,
       "lost: the object was unexported by its owner 3000 ms ago"},
      {LossCause::kRefused, Code::kPermissionDenied, "lost: its owner has bound the id"},
      {LossCause::kOwnerRestarted, Code::kFailedPrecondition, "lost: host restarted"},
  };
  ASSERT_EQ(cases.size() + 1, kLossCauses);
  for (const Case& each : cases) {
    const ReferenceError error = {.cause = each.cause, .reclaimed_ago = seconds(3)};
    EXPECT_THAT(ToStatus(error, "lost: "), StatusIs(each.code, HasSubstr(each.words)));
  }
}

TEST(ReferenceErrorTest, WordsNameEveryReason) {
  EXPECT_EQ(ToStatus({.cause = LossCause::kReclaimed,
                      .reclaim_reason = ReclaimReason::kLapse,
                      .reclaimed_ago = milliseconds(5)})
                .message(),
            "the object was reclaimed 5 ms ago: the lease of its last holder lapsed");
  for (uint8_t reason = 0; reason < kReclaimReasons; ++reason) {
    EXPECT_THAT(ToStatus({.cause = LossCause::kReclaimed, .reclaim_reason = ReclaimReason{reason}}),
                StatusIs(Code::kNotFound, HasSubstr("reclaimed 0 ms ago: ")));
  }
}

TEST(ReferenceErrorTest, StatusCarriesTheErrorItself) {
  const ReferenceError error = {.cause = LossCause::kReclaimed,
                                .reclaim_reason = ReclaimReason::kCascade,
                                .reclaimed_ago = Duration::max()};
  EXPECT_THAT(ReferenceErrorOf(ToStatus(error)), Optional(error));
}

TEST(ReferenceErrorTest, OtherStatusesCarryNone) {
  EXPECT_THAT(ReferenceErrorOf(absl::OkStatus()), Eq(std::nullopt));
  EXPECT_THAT(ReferenceErrorOf(absl::NotFoundError("no such name")), Eq(std::nullopt));
}

TEST(ReferenceErrorTest, SaysWhatTheObjectTableSays) {
  EXPECT_EQ(ErrorOf({.reason = FailureReason::kReclaimed,
                     .reclaim_reason = ReclaimReason::kClean,
                     .reclaimed_ago = seconds(1)}),
            (ReferenceError{LossCause::kReclaimed, ReclaimReason::kClean, seconds(1)}));
  EXPECT_EQ(CauseOf(FailureReason::kUnknown), LossCause::kUnknown);
  EXPECT_EQ(CauseOf(FailureReason::kUnexported), LossCause::kUnexported);
  EXPECT_EQ(CauseOf(FailureReason::kStale), LossCause::kUnknown) << "says nothing of the object";
}

}  // namespace
}  // namespace dgc
