// What a full quota must not do to what is held, and what is in its way must not stay for ever.
#include <algorithm>
#include <utility>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "tests/strategies/lease_pair_fixture.h"

namespace dgc::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// What `full` will not list for `holder`, kept there by a long transit lease.
Target RefusedFor(Node& holder, Node& full, WireRef* ref) {
  const Target object = full.Export();
  *ref = full.process.Share(object, {}, minutes(10), full.now).value();
  full.Drop(object);
  return holder.Import(*ref);
}

// It is safe to leave without a goodbye: the lease covers what was handed on.
TEST_F(LeasePairTest, AHandOnThatIsRefusedKeepsWhatItIsOfWhenItsHolderLeaves) {
  LeaseOptions lease = TestLease();
  lease.transits_max = 1;
  Node full(9, "host:9", lease);
  Cluster cluster({&full, &alice_});
  const Target object = full.Export();
  const WireRef ref = full.Share(object);
  const Target handle = alice_.Import(ref);
  cluster.Sleep(seconds(1));
  full.Drop(object);
  const Target filler = full.Export();
  ASSERT_TRUE(full.process.Share(filler, {}, minutes(10), full.now).ok());  // Now it is full.
  ASSERT_TRUE(alice_.process.Share(handle, {}, {}, alice_.now).ok());
  cluster.Sleep(milliseconds(500));
  alice_.Drop(handle);
  alice_.process.Goodbye(alice_.now);
  cluster.Sleep(seconds(2));
  EXPECT_FALSE(alice_.process.Quiescent());
  EXPECT_TRUE(full.Live(ref));
}

// README of the strategy: "a partition shorter than 0.4 T is invisible".  Here the owner also
// refuses one other reference for a full quota, all the time.
bool SurvivesCut(bool with_refusals, Duration cut_at, Duration cut_for) {
  LeaseOptions lease = TestLease();
  lease.listings_per_client_max = 1;
  Node owner(7, "host:1", lease);
  Node carol(3, "");
  Cluster cluster({&owner, &carol});
  const Target object = owner.Export();
  const WireRef ref = owner.Share(object);
  owner.Drop(object);
  carol.Import(ref);
  cluster.Sleep(milliseconds(500));
  if (with_refusals) carol.Import(owner.Share(owner.Export()));
  cluster.Sleep(seconds(30) + cut_at);
  EXPECT_TRUE(owner.Live(ref));
  cluster.Cut("host:1");
  cluster.Sleep(cut_for);
  cluster.Heal("host:1");
  cluster.Sleep(seconds(20));
  return owner.Live(ref);
}
TEST_F(LeasePairTest, AFullQuotaDoesNotPutTheLeaseAtRisk) {
  int lost = 0;
  int lost_without = 0;
  for (Duration at{}; at < seconds(10); at += milliseconds(100)) {
    lost += SurvivesCut(true, at, milliseconds(3900)) ? 0 : 1;
    lost_without += SurvivesCut(false, at, milliseconds(3900)) ? 0 : 1;
  }
  EXPECT_EQ(lost_without, 0);
  EXPECT_EQ(lost, 0) << "of 100 cuts of 3.9 s with a term of 10 s";
  lost = 0;
  for (Duration at{}; at < seconds(10); at += milliseconds(100)) {
    lost += SurvivesCut(true, at, milliseconds(2500)) ? 0 : 1;
  }
  EXPECT_EQ(lost, 0) << "of 100 cuts of 2.5 s with a term of 10 s";
}

// The re-listing that would remove a listing nobody wants
// is refused because of that very listing, and renewals keep both sides so for ever.
TEST_F(LeasePairTest, AReListingThatMakesRoomIsNotRefusedForWantOfRoom) {
  LeaseOptions lease = TestLease();
  lease.listings_per_client_max = 2;
  Node owner(7, "host:1", lease);
  Cluster cluster({&owner, &alice_});
  const auto held = [&](Node& holder, WireRef* ref) {
    const Target object = owner.Export();
    *ref = owner.Share(object);
    owner.Drop(object);
    return holder.Import(*ref);
  };
  WireRef one;
  WireRef two;
  held(alice_, &one);
  cluster.Sleep(seconds(1));
  const WireRef ghost = Ghost(owner, alice_);
  const Target second = held(alice_, &two);  // Within its quota.
  cluster.Sleep(minutes(10));
  EXPECT_FALSE(owner.Live(ghost));
  EXPECT_TRUE(owner.Live(two)) << "held all the time, the line was never down, quota not exceeded";
  EXPECT_TRUE(alice_.process.Assured(second, alice_.now));
}

// The lease that a client has meanwhile is renewed, though a row of its re-listing is refused for
// a full quota.
TEST_F(LeasePairTest, AReListingThatIsRefusedDoesNotLoseWhatIsHeld) {
  LeaseOptions lease = TestLease();
  lease.listings_per_client_max = 2;
  Node owner(7, "host:1", lease);
  Cluster cluster({&owner, &alice_});
  const Target object = owner.Export();
  const WireRef held = owner.Share(object);
  owner.Drop(object);
  alice_.Import(held);
  cluster.Sleep(seconds(1));
  Ghost(owner, alice_);
  alice_.Import(owner.Share(owner.Export()));  // The second of two that it may list.
  cluster.Sleep(minutes(1));
  EXPECT_TRUE(owner.Live(held)) << "held all the time, and the line was never down";
  EXPECT_EQ(owner.process.counters().leases_lapsed, 0u);
  EXPECT_TRUE(alice_.lost.empty());
}

// Campaign, seed 18646.
TEST_F(LeasePairTest, ASessionThatBeginsAnewOwesNothingToTheOneThatWasGivenUp) {
  LeaseOptions lease = TestLease();
  lease.listings_per_client_max = 1;
  Node owner(7, "host:1", lease);
  Cluster cluster({&owner, &alice_});
  const auto held = [&](WireRef* ref) {
    const Target object = owner.Export();
    *ref = owner.Share(object);
    owner.Drop(object);
    return alice_.Import(*ref);
  };
  WireRef before;
  const Target handle = held(&before);
  cluster.Sleep(seconds(1));
  owner.process.SetReaping(ReapingMode::kHeld);
  cluster.Cut("host:1");
  alice_.Drop(handle);
  cluster.Sleep(minutes(2));
  ASSERT_EQ(alice_.process.imports().peers(), 0u) << "given up";
  cluster.Heal("host:1");
  WireRef after;
  const Target again = held(&after);
  cluster.Sleep(seconds(1));  // Before the first renewal.
  EXPECT_TRUE(alice_.process.Assured(again, alice_.now));
  EXPECT_FALSE(owner.Live(before));
}

TEST_F(LeasePairTest, WhatAnOwnerWithoutRoomForAnotherClientRefusedIsCleanedInTheEnd) {
  LeaseOptions lease = TestLease();
  lease.clients_max = 1;
  Node full(9, "host:9", lease);
  Cluster cluster({&full, &alice_, &bob_});
  alice_.Import(full.Share(full.Export()));
  cluster.Sleep(seconds(1));
  WireRef ref;
  const Target handle = RefusedFor(bob_, full, &ref);
  cluster.Sleep(seconds(1));
  bob_.Drop(handle);
  cluster.Sleep(minutes(2));
  ASSERT_TRUE(full.Live(ref));
  alice_.process.Goodbye(alice_.now);
  cluster.Sleep(seconds(10));
  EXPECT_FALSE(full.Live(ref));
}

// Refusals are not silence.
TEST_F(LeasePairTest, WhatWasRefusedForAFullQuotaAndIsDroppedIsCleaned) {
  LeaseOptions lease = TestLease();
  lease.listings_max = 1;
  Node full(9, "host:9", lease);
  Cluster cluster({&full, &alice_, &bob_});
  alice_.Import(full.Share(full.Export()));
  cluster.Sleep(seconds(1));
  WireRef ref;
  const Target handle = RefusedFor(bob_, full, &ref);
  cluster.Sleep(seconds(60));
  ASSERT_TRUE(full.Live(ref));
  bob_.Drop(handle);
  cluster.Sleep(seconds(10));
  EXPECT_FALSE(full.Live(ref)) << "dropped, and the line was never down";
}

// A reply and a hand-on of one object arrive together, while the quota is full.
TEST_F(LeasePairTest, ATokenThatAQuotaRefusedIsNamedInTheEnd) {
  LeaseOptions small = TestLease();
  small.listings_per_client_max = 1;
  Node owner(7, "host:1", small);
  Cluster cluster({&owner, &alice_, &bob_});
  const Target filler = owner.HeldBy(alice_);
  const Target object = owner.Export();
  const WireRef for_bob = owner.Share(object);
  const WireRef for_alice = owner.Share(object);
  owner.Drop(object);
  const Target bobs = bob_.Import(for_bob);
  cluster.Sleep(seconds(1));
  const auto handed = bob_.process.Share(bobs, {}, minutes(60), bob_.now);
  ASSERT_TRUE(handed.ok());
  cluster.Settle();
  const Target one = alice_.Import(for_alice);
  const Target two = alice_.Import(*handed);
  cluster.Sleep(seconds(1));
  ASSERT_EQ(owner.process.sizes().transits, 2u) << "both are refused";
  alice_.Drop(filler);
  cluster.Sleep(seconds(6));
  EXPECT_EQ(owner.process.sizes().transits, 0u);
  alice_.Drop(one);
  alice_.Drop(two);
  bob_.Drop(bobs);
  cluster.Sleep(minutes(90));
  EXPECT_EQ(owner.live(), 0u);
  EXPECT_TRUE(bob_.hand_ons_expired.empty()) << "it was taken up";
}

TEST_F(LeasePairTest, TokensThatWaitForAQuotaAreNotLookedAtAllTheTime) {
  LeaseOptions small = TestLease();
  small.listings_per_client_max = 1;
  small.transit_term = minutes(10);
  Node owner(7, "host:1", small);
  Cluster cluster({&owner, &alice_});
  owner.HeldBy(alice_);
  cluster.Sleep(seconds(1));
  const Target object = owner.Export();
  for (int i = 0; i < 10; ++i) alice_.Import(owner.Share(object));
  cluster.Sleep(minutes(1));
  alice_.Import(owner.Share(object));
  int wakes = 0;
  for (const TimePoint end = alice_.now + seconds(10); alice_.now < end; ++wakes) {
    alice_.now = std::max(alice_.now + milliseconds(1), alice_.process.wake_at().value_or(end));
    owner.now = alice_.now;
    cluster.Settle();
  }
  EXPECT_LT(wakes, 100) << "in 10 s";
}

}  // namespace
}  // namespace dgc::testing
