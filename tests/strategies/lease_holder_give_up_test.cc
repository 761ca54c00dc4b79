// What becomes of a hand-on whose owner is silent: it is kept while there is hope, and then told.
#include <chrono>

#include "gtest/gtest.h"
#include "tests/strategies/lease_pair_fixture.h"

namespace dgc::testing {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// As long as an owner may be silent, and then as one more try and its failure take.
const Duration kSilence = TestLease().term_default + TestLease().linger;
const Duration kOneMoreTry = seconds(5);

class LeaseGiveUpTest : public LeasePairTest {};

// The last use of the import was the hand-on itself, which kept the session for ever.
TEST_F(LeaseGiveUpTest, AHandOnToAnOwnerThatIsGoneForGoodIsLetGo) {
  const Target handle = owner_.HeldBy(alice_);
  cluster_.Sleep(seconds(1));
  cluster_.Cut("host:1");
  const WireRef copy = alice_.Share(handle);
  alice_.Drop(handle);
  cluster_.Sleep(kSilence - seconds(1));
  EXPECT_TRUE(alice_.hand_ons_expired.empty());
  cluster_.Sleep(seconds(1) + kOneMoreTry);
  ASSERT_EQ(alice_.hand_ons_expired.size(), 1u);
  EXPECT_FALSE(alice_.hand_ons_expired[0].acknowledged);
  EXPECT_EQ(alice_.hand_ons_expired[0].ref.owner, "host:1");
  EXPECT_EQ(alice_.hand_ons_expired[0].ref.transit, copy.transit);
  EXPECT_EQ(alice_.process.imports().size(), 0u);
  EXPECT_EQ(alice_.process.imports().peers(), 0u);
}

TEST_F(LeaseGiveUpTest, AHandOnForWhichThereIsNoRoomIsLetGoAfterADay) {
  const Target handle = owner_.HeldBy(alice_);
  alice_.Share(handle);
  alice_.Drop(handle);
  const auto full = [](const Send&) -> Response {
    return Refusal{Refusal::Code::kResourceExhausted, "full"};
  };
  Face(alice_, hours(23), seconds(1), full);
  EXPECT_EQ(alice_.process.imports().peers(), 1u);
  Face(alice_, hours(2), seconds(1), full);
  EXPECT_EQ(alice_.hand_ons_expired.size(), 1u);
  EXPECT_EQ(alice_.process.imports().peers(), 0u);
}

TEST_F(LeaseGiveUpTest, WhatIsUsedIsNotGivenUpWithAHandOnOfIt) {
  const Target handle = owner_.HeldBy(alice_);
  cluster_.Sleep(seconds(1));
  cluster_.Cut("host:1");
  alice_.Share(handle);
  cluster_.Sleep(minutes(10));
  EXPECT_TRUE(alice_.hand_ons_expired.empty());
  EXPECT_EQ(alice_.process.imports().peers(), 1u);
  alice_.Drop(handle);
  cluster_.Sleep(kSilence + kOneMoreTry);
  EXPECT_EQ(alice_.hand_ons_expired.size(), 1u);
  EXPECT_EQ(alice_.process.imports().peers(), 0u);
}

TEST_F(LeaseGiveUpTest, NorIsAHandOnWhileSomethingElseOfItsOwnerIsUsed) {
  const Target handle = owner_.HeldBy(alice_);
  owner_.HeldBy(alice_);
  cluster_.Sleep(seconds(1));
  cluster_.Cut("host:1");
  alice_.Share(handle);
  alice_.Drop(handle);
  cluster_.Sleep(minutes(10));
  EXPECT_TRUE(alice_.hand_ons_expired.empty());
}

// At whatever moment of a silence that is long already.
TEST_F(LeaseGiveUpTest, AHandOnIsTriedBeforeItIsGivenUp) {
  for (Duration moment{}; moment < seconds(12); moment += milliseconds(150)) {
    Node owner(7, "host:1");
    Node alice(1, "");
    Cluster cluster({&owner, &alice});
    const Target handle = owner.HeldBy(alice);
    cluster.Sleep(seconds(1));
    owner.process.SetReaping(ReapingMode::kHeld);
    cluster.Cut("host:1");
    cluster.Sleep(kSilence + moment);
    alice.Share(handle);
    alice.Drop(handle);
    cluster.Heal("host:1");
    cluster.Sleep(kOneMoreTry);
    EXPECT_TRUE(alice.hand_ons_expired.empty());
    EXPECT_EQ(owner.process.sizes().transits, 1u);
  }
}

// The owner was not asked meanwhile.  Campaign, seed 2352.
TEST_F(LeaseGiveUpTest, APauseOfItsOwnIsNoSilenceOfTheOwners) {
  const Target handle = owner_.HeldBy(alice_);
  cluster_.Sleep(seconds(1));
  cluster_.Cut("host:1");
  alice_.Share(handle);
  alice_.Drop(handle);
  cluster_.Sleep(milliseconds(200));
  alice_.Pause(kSilence);
  cluster_.Heal("host:1");
  cluster_.Sleep(seconds(1));
  EXPECT_TRUE(alice_.hand_ons_expired.empty());
  EXPECT_EQ(owner_.process.sizes().transits, 1u);
}

}  // namespace
}  // namespace dgc::testing
