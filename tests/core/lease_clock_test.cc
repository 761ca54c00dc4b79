#include "dgc/core/lease_clock.h"

#include "gtest/gtest.h"

namespace dgc {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TimePoint kStart = TimePoint(seconds(1000));
constexpr Duration kStepMax = milliseconds(250);
constexpr Duration kTick = Duration(1);

class LeaseClockTest : public ::testing::Test {
 protected:
  LeaseClockTest() { clock_.Advance(kStart); }

  LeaseClock clock_{kStepMax};
};

TEST_F(LeaseClockTest, TheFirstReadingIsTheLeaseTime) {
  EXPECT_EQ(clock_.lease_now(), kStart);
  EXPECT_EQ(clock_.excused(), Duration::zero());
}

TEST_F(LeaseClockTest, AStepOfExactlyTheMaximumCountsInFull) {
  EXPECT_EQ(clock_.Advance(kStart + kStepMax), kStart + kStepMax);
  EXPECT_EQ(clock_.excused(), Duration::zero());
}

TEST_F(LeaseClockTest, WhatIsBeyondTheMaximumIsExcused) {
  EXPECT_EQ(clock_.Advance(kStart + kStepMax + kTick), kStart + kStepMax);
  EXPECT_EQ(clock_.excused(), kTick);

  clock_.Advance(kStart + kStepMax + kTick + seconds(3600));
  EXPECT_EQ(clock_.lease_now(), kStart + 2 * kStepMax);
  EXPECT_EQ(clock_.excused(), seconds(3600) - kStepMax + kTick);
}

TEST_F(LeaseClockTest, AReadingFromThePastChangesNothing) {
  clock_.Advance(kStart + milliseconds(100));

  EXPECT_EQ(clock_.Advance(kStart), kStart + milliseconds(100));
  EXPECT_EQ(clock_.Advance(kStart + milliseconds(100)), kStart + milliseconds(100));
  EXPECT_EQ(clock_.Advance(kStart + milliseconds(150)), kStart + milliseconds(150));
}

TEST_F(LeaseClockTest, ManySmallStepsExcuseNothing) {
  for (int i = 1; i <= 100'000; ++i) clock_.Advance(kStart + i * milliseconds(1));

  EXPECT_EQ(clock_.lease_now(), kStart + seconds(100));
  EXPECT_EQ(clock_.excused(), Duration::zero());
}

TEST_F(LeaseClockTest, AtTheReadingGivenForADeadlineItIsDueAndNotBefore) {
  clock_.Advance(kStart + seconds(10));  // a pause
  const TimePoint deadline = clock_.lease_now() + milliseconds(200);

  const TimePoint reading = clock_.ReadingAt(deadline);

  EXPECT_LT(clock_.Advance(reading - kTick), deadline);
  EXPECT_EQ(clock_.Advance(reading), deadline);
}

}  // namespace
}  // namespace dgc
