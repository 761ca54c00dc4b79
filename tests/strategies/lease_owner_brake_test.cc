// The owner's brake: when reaping is held, and how it goes on.
#include <algorithm>

#include "gtest/gtest.h"
#include "tests/strategies/lease_owner_fixture.h"

namespace dgc::testing {
namespace {

LeaseOptions Brake() {
  LeaseOptions options = TestLease();
  options.brake_percent = 50;
  options.brake_clients_min = 4;
  options.brake_hold = seconds(60);
  return options;
}

class LeaseBrakeTest : public LeaseOwnerTest {
 protected:
  explicit LeaseBrakeTest(LeaseOptions options = Brake()) : LeaseOwnerTest(options) {}

  // `count` clients with an object each.
  std::vector<ObjectId> Clients(uint64_t count) {
    std::vector<ObjectId> ids;
    for (uint64_t i = 0; i < count; ++i) ids.push_back(Listed({100, i + 1}, 1));
    return ids;
  }
  size_t CountLive(const std::vector<ObjectId>& ids) {
    return static_cast<size_t>(
        std::count_if(ids.begin(), ids.end(), [&](const ObjectId& id) { return Live(id); }));
  }
  bool Braking() { return owner_.process.sizes().braking; }
  uint64_t number_ = 0;
};

TEST_F(LeaseBrakeTest, WhenHalfOfTheClientsFallSilentTogetherReapingIsHeldAndThenGoesOn) {
  const std::vector<ObjectId> ids = Clients(8);
  owner_.Sleep(seconds(69));
  EXPECT_EQ(CountLive(ids), 8u);
  EXPECT_TRUE(Braking());
  EXPECT_EQ(owner_.process.sizes().deferred, 8u);

  owner_.Sleep(seconds(1));
  EXPECT_EQ(CountLive(ids), 0u) << "it lets go by itself";
  EXPECT_FALSE(Braking());
  EXPECT_EQ(owner_.process.counters().brakes, 1u);
}

TEST_F(LeaseBrakeTest, WhoComesBackWhileReapingIsHeldLosesNothing) {
  const std::vector<ObjectId> ids = Clients(8);
  owner_.Sleep(seconds(65));
  EXPECT_EQ(Renew({100, 1}, 1, DigestOf({ids[0]})).result, RenewResult::kOk);
  owner_.Sleep(seconds(6));
  EXPECT_EQ(CountLive(ids), 1u);
  EXPECT_TRUE(Live(ids[0]));
}

class LeaseBrakeLimboTest : public LeaseBrakeTest {
 protected:
  LeaseBrakeLimboTest() : LeaseBrakeTest(Options()) {}
  static LeaseOptions Options() {
    LeaseOptions options = Brake();
    options.limbo = seconds(100);
    return options;
  }
};

TEST_F(LeaseBrakeLimboTest, WhoIsInLimboHasFallenSilentToo) {
  const std::vector<ObjectId> ids = Clients(10);
  const auto renew_from = [&](uint64_t first) {
    for (int i = 0; i < 11; ++i) {
      owner_.Sleep(seconds(1));
      for (uint64_t k = first; k < ids.size(); ++k) Renew({100, k + 1}, 1, DigestOf({ids[k]}));
    }
  };
  renew_from(3);
  EXPECT_EQ(owner_.process.sizes().clients_in_limbo, 3u);
  EXPECT_FALSE(Braking());
  renew_from(5);
  EXPECT_TRUE(Braking()) << "3 in limbo and 2 more are half of them";
}

TEST_F(LeaseBrakeTest, WhoIsLateIsSaidByTheTermGrantedLast) {
  Clients(1);
  for (uint64_t i = 0; i < 5; ++i) {
    const ClientId client{200, i};
    const ObjectId id = Listed(client, 1);
    owner_.Received(RenewRequest{client, kRun, SequenceNumber{1}, seconds(60), DigestOf({id})});
  }
  // Till all but the first have 15 s left, less than a third of their term.
  for (int i = 0; i < 45; ++i) {
    owner_.Sleep(seconds(1));
    if (i < 35) Dirty({100, 1}, 2, {});
  }
  owner_.Sleep(seconds(2));
  EXPECT_TRUE(Braking());
}

TEST_F(LeaseBrakeTest, FewerClientsThanTheMinimumAreReapedAsUsual) {
  const std::vector<ObjectId> ids = Clients(3);
  owner_.Sleep(seconds(10));
  EXPECT_EQ(CountLive(ids), 0u);
}

TEST_F(LeaseBrakeTest, AMinorityIsReapedAsUsual) {
  const std::vector<ObjectId> ids = Clients(9);
  owner_.Sleep(seconds(8));
  for (uint64_t i = 0; i < 5; ++i) Renew({100, i + 1}, 1, DigestOf({ids[i]}));
  owner_.Sleep(seconds(2));
  EXPECT_EQ(CountLive(ids), 5u);
}

// Or ids that cost nothing could hide a mass lapse, or feign one.
TEST_F(LeaseBrakeTest, WhoListsNothingDoesNotCount) {
  const std::vector<ObjectId> ids = Clients(4);
  for (uint64_t i = 0; i < 100; ++i) Dirty({200, i}, 1, {}, seconds(100));
  owner_.Sleep(seconds(12));
  EXPECT_TRUE(Braking()) << "all that list something are silent";
  EXPECT_EQ(CountLive(ids), 4u);
}

TEST_F(LeaseBrakeTest, WhoListsNothingCannotFeignAMassLapse) {
  const std::vector<ObjectId> ids = Clients(3);
  for (uint64_t i = 0; i < 100; ++i) Dirty({200, i}, 1, {}, seconds(11));
  owner_.Sleep(seconds(12));
  EXPECT_FALSE(Braking()) << "3 are fewer than the minimum";
  EXPECT_EQ(CountLive(ids), 0u);
}

class LeaseNoBrakeTest : public LeaseBrakeTest {
 protected:
  LeaseNoBrakeTest() : LeaseBrakeTest(Options()) {}
  static LeaseOptions Options() {
    LeaseOptions options = Brake();
    options.brake_percent = 0;
    return options;
  }
};

TEST_F(LeaseNoBrakeTest, WithZeroPercentThereIsNone) {
  const std::vector<ObjectId> ids = Clients(8);
  owner_.Sleep(seconds(11));
  EXPECT_FALSE(Braking());
  EXPECT_EQ(CountLive(ids), 0u);
}

TEST_F(LeaseBrakeLimboTest, LimboBeginsWhenTheLapseIsDecided) {
  const std::vector<ObjectId> ids = Clients(8);
  owner_.Sleep(seconds(71));
  EXPECT_EQ(owner_.process.sizes().clients_in_limbo, 8u) << "the brake has let go after 60 s";
  owner_.process.SetReaping(ReapingMode::kReleased);  // Or it would grip again.
  owner_.Sleep(seconds(97));
  EXPECT_EQ(CountLive(ids), 8u);
  owner_.Sleep(seconds(3));
  EXPECT_EQ(CountLive(ids), 0u);
}

TEST_F(LeaseBrakeTest, JustTheMinimumIsEnough) {
  const std::vector<ObjectId> ids = Clients(4);
  owner_.Sleep(seconds(12));
  EXPECT_TRUE(Braking());
  EXPECT_EQ(CountLive(ids), 4u);
}

TEST_F(LeaseBrakeTest, JustThePercentageIsEnough) {
  const std::vector<ObjectId> ids = Clients(8);
  owner_.Sleep(seconds(8));
  for (uint64_t i = 0; i < 4; ++i) Renew({100, i + 1}, 1, DigestOf({ids[i]}));
  owner_.Sleep(seconds(2));
  EXPECT_TRUE(Braking());
  EXPECT_EQ(CountLive(ids), 8u);
}

// When the first of them would lapse, that of the others is still to come.
TEST_F(LeaseBrakeTest, WhoHasMissedItsRenewalCountsBeforeItsLeaseEnds) {
  const ObjectId first = Listed(kAlice, 1);
  owner_.Sleep(seconds(2));
  Clients(7);
  owner_.Sleep(seconds(8));
  EXPECT_TRUE(Braking());
  EXPECT_TRUE(Live(first));
}

TEST_F(LeaseBrakeTest, WhoHasOnlyHandedOnIsNotForgottenWhileReapingIsHeld) {
  owner_.process.SetReaping(ReapingMode::kHeld);
  const ObjectId id = Listed(kAlice, 1);
  const Row row{id, TransitToken{kHolderTokenBit | 5}};
  owner_.Received(TransitRequest{kAlice, kRun, seconds(2), {row}});
  Clean(kAlice, 2, {{id}});
  owner_.Sleep(seconds(60));
  EXPECT_EQ(Renew(kAlice, 2, {}).result, RenewResult::kOk);
  owner_.process.SetReaping(ReapingMode::kAutomatic);
  owner_.Run();
  EXPECT_EQ(Renew(kAlice, 2, {}).notices.size(), 1u);
}

// Of those held back, more than half leave: the rest is still held back, not forgotten.
TEST_F(LeaseBrakeTest, WhoStaysWhenMostLeaveWhileReapingIsHeldIsReapedThen) {
  owner_.process.SetReaping(ReapingMode::kHeld);
  const std::vector<ObjectId> ids = Clients(5000);
  owner_.Sleep(seconds(12));
  ASSERT_EQ(owner_.process.sizes().deferred, 5000u);
  for (uint64_t i = 1; i <= 3000; ++i) {
    owner_.Received(GoodbyeRequest{{100, i}, kRun, SequenceNumber{2}});
  }
  owner_.Run();
  EXPECT_EQ(CountLive(ids), 2000u);
  EXPECT_LT(owner_.process.sizes().deferred, 5000u);

  owner_.process.SetReaping(ReapingMode::kReleased);
  owner_.Run();
  EXPECT_EQ(CountLive(ids), 0u);
}

TEST_F(LeaseBrakeTest, WhatIsNotTakenUpWhenMostIsWhileReapingIsHeldGoesThen) {
  owner_.process.SetReaping(ReapingMode::kHeld);
  std::vector<WireRef> refs;
  for (int i = 0; i < 5000; ++i) {
    const Target handle = owner_.Export();
    refs.push_back(owner_.Share(handle));
    owner_.Drop(handle);
  }
  owner_.Sleep(seconds(12));
  ASSERT_EQ(owner_.process.sizes().deferred, 5000u);
  for (int i = 0; i < 3000; ++i) owner_.Drop(owner_.Import(refs[static_cast<size_t>(i)]));
  owner_.Run();
  EXPECT_EQ(owner_.live(), 2000u);
  EXPECT_LT(owner_.process.sizes().deferred, 5000u);

  owner_.process.SetReaping(ReapingMode::kReleased);
  owner_.Run();
  EXPECT_EQ(owner_.live(), 0u);
}

TEST_F(LeaseBrakeTest, WhatIsHeldByAnOperatorDoesNotKeepTheReaperAwake) {
  Clients(8);
  owner_.Sleep(seconds(12));
  owner_.process.SetReaping(ReapingMode::kHeld);
  owner_.Sleep(seconds(120));
  const auto wake = owner_.process.wake_at();
  EXPECT_TRUE(!wake.has_value() || *wake > owner_.now);
}

TEST_F(LeaseBrakeTest, ReferencesOnTheirWayAreHeldToo) {
  owner_.process.SetReaping(ReapingMode::kHeld);
  const Target handle = owner_.Export();
  const WireRef ref = owner_.Share(handle);
  owner_.Drop(handle);
  owner_.Sleep(seconds(100));
  EXPECT_TRUE(Live(ref.id));
  EXPECT_EQ(owner_.process.sizes().deferred, 1u);
  owner_.process.SetReaping(ReapingMode::kAutomatic);
  owner_.Run();
  EXPECT_FALSE(Live(ref.id));
}

TEST_F(LeaseBrakeTest, ToldTheSameAgainOrHeldInBetweenItGoesOnForItsTime) {
  const std::vector<ObjectId> ids = Clients(8);
  owner_.Sleep(seconds(12));
  EXPECT_TRUE(Braking());
  owner_.process.SetReaping(ReapingMode::kAutomatic);
  owner_.Run();
  EXPECT_EQ(CountLive(ids), 8u);
  owner_.process.SetReaping(ReapingMode::kHeld);
  owner_.process.SetReaping(ReapingMode::kAutomatic);
  owner_.Run();
  EXPECT_EQ(CountLive(ids), 8u);
  owner_.Sleep(seconds(60));
  EXPECT_EQ(CountLive(ids), 0u);
}

TEST_F(LeaseBrakeTest, WhatWasTakenUpIsNotKeptInMindWhileReapingIsHeld) {
  owner_.process.SetReaping(ReapingMode::kHeld);
  for (int round = 0; round < 5; ++round) {
    std::vector<WireRef> refs;
    for (int i = 0; i < 4000; ++i) {
      const Target handle = owner_.Export();
      refs.push_back(owner_.Share(handle));
      owner_.Drop(handle);
    }
    owner_.Sleep(seconds(20));
    for (const WireRef& ref : refs) Clean(kAlice, ++number_, {{ref.id, ref.transit}});
  }
  EXPECT_EQ(owner_.process.sizes().transits, 0u);
  EXPECT_LE(owner_.process.sizes().deferred, 4096u);
}

TEST_F(LeaseBrakeTest, AnOperatorReleasesOrForcesIt) {
  const std::vector<ObjectId> ids = Clients(8);
  owner_.Sleep(seconds(12));
  EXPECT_TRUE(Braking());
  owner_.process.SetReaping(ReapingMode::kReleased);
  owner_.Run();
  EXPECT_EQ(CountLive(ids), 0u);

  owner_.process.SetReaping(ReapingMode::kHeld);
  const ObjectId id = Listed(kAlice, 1);
  owner_.Sleep(std::chrono::minutes(10));
  EXPECT_TRUE(Live(id));
  owner_.process.SetReaping(ReapingMode::kAutomatic);
  owner_.Run();
  EXPECT_FALSE(Live(id));
}

}  // namespace
}  // namespace dgc::testing
