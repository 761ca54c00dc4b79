// Scenarios: one fault each, a few lines each, on the simulator.
//
// Every scenario ends with the oracle content: nothing unsafe, nothing leaked, nobody left in the
// dark. The names R1 to R19 are the promises of dgc/README.md.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>

#include "dgc/testkit/cluster.h"

namespace dgc::testkit {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kTerm = seconds(10);

ClusterOptions Options() {
  ClusterOptions options;
  options.seed = 1;
  LeaseOptions& lease = options.strategy.lease;
  lease.term_default = kTerm;
  lease.term_max = 2 * kTerm;
  lease.transit_term = kTerm;
  lease.departed_term = kTerm;
  lease.linger = kTerm;
  lease.call_timeout = kTerm / 10;
  lease.backoff_max = kTerm / 10;
  return options;
}

// An owner with one object that only the holder still has.
class ScenarioTest : public testing::Test {
 protected:
  ScenarioTest() : ScenarioTest(Options()) {}
  explicit ScenarioTest(ClusterOptions options)
      : cluster(std::move(options)), owner(cluster.AddNode()), holder(cluster.AddNode()) {
    x = cluster.Create(owner);
    cluster.Give(owner, x, holder);
    cluster.Drop(owner, x);
    Pass(kTerm / 10);
  }

  void Pass(Duration duration) { cluster.Run(duration); }
  void PauseFor(NodeIndex node, Duration duration) {
    cluster.Pause(node);
    Pass(duration);
    cluster.Resume(node);
  }
  void CutOffFor(Duration duration) {
    cluster.Partition(owner, holder);
    Pass(duration);
    cluster.Heal();
  }
  // All is as the oracle says; then, with everything dropped, all is empty.
  void TearDown() override {
    Pass(3 * kTerm);
    cluster.CheckObjects();
    cluster.CheckTables();
    for (NodeIndex node = 0; node < cluster.nodes(); ++node) cluster.DropAll(node);
    Pass(5 * kTerm);
    for (NodeIndex node = 0; node < cluster.nodes(); ++node) cluster.UnexportAll(node);
    Pass(5 * kTerm);
    cluster.CheckEmpty();
    EXPECT_EQ(cluster.failure().value_or("nothing"), "nothing");
  }

  Cluster cluster;
  NodeIndex owner;
  NodeIndex holder;
  ShadowObject x{};
};

TEST_F(ScenarioTest, WhatIsHeldStaysAndWhatIsDroppedGoesAtOnce) {
  Pass(10 * kTerm);
  EXPECT_TRUE(cluster.Exists(x));

  cluster.Drop(holder, x);
  Pass(milliseconds(50));
  EXPECT_FALSE(cluster.Exists(x));
}

TEST_F(ScenarioTest, PartitionShorterThanTheTermKeepsReferences) {
  for (int i = 0; i < 5; ++i) {
    CutOffFor(kTerm * 4 / 10);
    Pass(kTerm);
  }
  EXPECT_TRUE(cluster.Exists(x));
  EXPECT_EQ(cluster.LostCount(holder), 0u);
}

TEST_F(ScenarioTest, R5_PartitionLongerThanTheTermLapsesAndTheHolderIsTold) {
  CutOffFor(2 * kTerm);
  EXPECT_FALSE(cluster.Exists(x));
  EXPECT_EQ(cluster.LostCount(holder), 0u);

  Pass(kTerm);
  EXPECT_EQ(cluster.LostCount(holder), 1u);
  EXPECT_EQ(cluster.LastLost(holder).cause, LossCause::kReclaimed);
  EXPECT_EQ(cluster.LastLost(holder).reclaim_reason, ReclaimReason::kLapse);
}

TEST_F(ScenarioTest, AsymmetricPartitionInWhichRenewalsArriveLosesNothing) {
  cluster.network().Cut(owner, holder, true);
  Pass(5 * kTerm);
  EXPECT_TRUE(cluster.Exists(x));

  cluster.Heal();
  Pass(kTerm);
  EXPECT_EQ(cluster.LostCount(holder), 0u);
}

TEST_F(ScenarioTest, R6_OwnerPausedLongerThanTheTermCollectsNothing) {
  PauseFor(owner, 5 * kTerm);
  Pass(kTerm);
  EXPECT_TRUE(cluster.Exists(x));
  EXPECT_EQ(cluster.Count(owner, Transition::Kind::kLeaseLapsed), 0u);
}

TEST_F(ScenarioTest, R5_HolderPausedPastTheTermIsToldWhatWasReclaimed) {
  PauseFor(holder, 2 * kTerm);
  Pass(kTerm);
  EXPECT_FALSE(cluster.Exists(x));
  EXPECT_EQ(cluster.LostCount(holder), 1u);
}

TEST_F(ScenarioTest, R5_HolderPausedPastTheTermListsAgainWhatOthersKept) {
  const ShadowObject kept = cluster.Create(owner);
  cluster.Give(owner, kept, holder);
  Pass(kTerm / 10);

  PauseFor(holder, 2 * kTerm);
  Pass(kTerm);
  EXPECT_EQ(cluster.LostCount(holder), 1u);
  cluster.Drop(owner, kept);
  Pass(5 * kTerm);
  EXPECT_TRUE(cluster.Exists(kept));
}

TEST_F(ScenarioTest, R7_LostCleanDoesNotLeak) {
  const ShadowObject other = cluster.Create(owner);
  cluster.Give(owner, other, holder);
  Pass(kTerm / 10);

  cluster.network().Cut(holder, owner, true);
  cluster.Drop(holder, x);
  Pass(kTerm / 5);
  EXPECT_TRUE(cluster.Exists(x));
  cluster.Heal();
  Pass(kTerm);
  EXPECT_FALSE(cluster.Exists(x));
  EXPECT_TRUE(cluster.Exists(other));
}

TEST_F(ScenarioTest, R8_GoodbyeFreesAtOnce) {
  cluster.Leave(holder, kTerm);
  Pass(milliseconds(50));
  EXPECT_FALSE(cluster.Exists(x));
  EXPECT_FALSE(cluster.Up(holder));
}

TEST_F(ScenarioTest, CrashFreesAfterTheTermNotBefore) {
  cluster.Crash(holder);
  Pass(kTerm * 4 / 10);
  EXPECT_TRUE(cluster.Exists(x));
  Pass(kTerm);
  EXPECT_FALSE(cluster.Exists(x));
}

TEST_F(ScenarioTest, OwnerOutOfItsOwnReachLapsesItsTimeoutLaterAndNotBefore) {
  cluster.SetOutOfOwnReach(owner, true);
  cluster.Crash(holder);
  Pass(kTerm * 35 / 10);  // self_call_timeout is three terms.
  EXPECT_TRUE(cluster.Exists(x));
  Pass(kTerm * 7 / 10);
  EXPECT_FALSE(cluster.Exists(x));
  cluster.SetOutOfOwnReach(owner, false);
}

TEST_F(ScenarioTest, R10_RestartOfTheOwnerIsToldToHolders) {
  cluster.Crash(owner);
  Pass(kTerm / 10);
  cluster.Restart(owner);
  Pass(kTerm);
  EXPECT_EQ(cluster.LostCount(holder), 1u);
  EXPECT_EQ(cluster.LastLost(holder).cause, LossCause::kOwnerRestarted);
}

TEST_F(ScenarioTest, R17_NeverGivesUpWhileSomethingIsHeld) {
  cluster.Create(holder);
  CutOffFor(100 * kTerm);
  Pass(kTerm);
  EXPECT_EQ(cluster.LostCount(holder), 1u);
}

TEST_F(ScenarioTest, ThirdPartyHandOnIsSafeThoughTheSenderExitsAtOnce) {
  const NodeIndex third = cluster.AddNode();
  cluster.Send(holder, x, third, Duration::zero());
  cluster.Drop(holder, x);
  cluster.Leave(holder, kTerm);
  Pass(5 * kTerm);
  EXPECT_TRUE(cluster.Has(third, x));
  EXPECT_TRUE(cluster.Exists(x));
  EXPECT_FALSE(cluster.Up(holder));
}

TEST_F(ScenarioTest, R4_ReceiverThatCannotReachTheOwnerYetLosesNothing) {
  const NodeIndex third = cluster.AddNode();
  cluster.Partition(third, owner);
  cluster.Give(holder, x, third);
  cluster.Drop(holder, x);
  Pass(kTerm / 2);
  cluster.Heal();
  Pass(5 * kTerm);
  EXPECT_TRUE(cluster.Exists(x));
  EXPECT_EQ(cluster.LostCount(third), 0u);
}

TEST_F(ScenarioTest, R4_WhoHandsOnAndLetsGoHearsOnceThatNobodyTookItUp) {
  const NodeIndex third = cluster.AddNode();
  cluster.network().Cut(holder, third, true);
  cluster.Send(holder, x, third, Duration::zero());
  cluster.Drop(holder, x);
  Pass(kTerm * 9 / 10);
  EXPECT_EQ(cluster.process(holder).counters().hand_ons_expired, 0u);
  Pass(kTerm * 11 / 10);
  EXPECT_EQ(cluster.process(holder).counters().hand_ons_expired, 1u);
  EXPECT_FALSE(cluster.Exists(x));
  cluster.Heal();
}

TEST_F(ScenarioTest, R4_WhoHandsOnAndLetsGoHearsThoughReapingIsHeldForLong) {
  const NodeIndex third = cluster.AddNode();
  cluster.network().Cut(holder, third, true);
  cluster.SetReaping(owner, ReapingMode::kHeld);
  cluster.Send(holder, x, third, Duration::zero());
  cluster.Drop(holder, x);
  Pass(20 * kTerm);
  EXPECT_EQ(cluster.process(holder).counters().hand_ons_expired, 0u);
  cluster.SetReaping(owner, ReapingMode::kAutomatic);
  Pass(kTerm);
  EXPECT_EQ(cluster.process(holder).counters().hand_ons_expired, 1u);
  EXPECT_FALSE(cluster.Exists(x));
  cluster.Heal();
}

TEST_F(ScenarioTest, LostReplyWithAnImplicitDirtyLeaksNothingAfterTheTransitTerm) {
  const ShadowObject y = cluster.Create(owner);
  cluster.network().Cut(owner, holder, true);
  cluster.Fetch(holder, owner, y);
  Pass(milliseconds(50));
  cluster.Drop(owner, y);
  Pass(kTerm / 2);
  EXPECT_TRUE(cluster.Exists(y));
  Pass(kTerm);
  EXPECT_FALSE(cluster.Exists(y));
  cluster.Heal();
}

TEST_F(ScenarioTest, TransitLeaseCoversASlowPath) {
  const ShadowObject y = cluster.Create(owner);
  cluster.network().Clog(owner, holder, true);
  cluster.Send(owner, y, holder, 2 * kTerm);
  cluster.Drop(owner, y);
  Pass(kTerm * 18 / 10);
  cluster.Heal();
  Pass(5 * kTerm);
  EXPECT_TRUE(cluster.Exists(y));
  EXPECT_TRUE(cluster.Has(holder, y));
}

TEST_F(ScenarioTest, ReferenceThatComesHomeIsTheObjectItself) {
  cluster.Give(holder, x, owner);
  cluster.Drop(holder, x);
  Pass(kTerm);
  EXPECT_TRUE(cluster.Has(owner, x));
  EXPECT_EQ(cluster.process(owner).sizes().transits, 0u);
}

TEST_F(ScenarioTest, DropAndImportAgainWhileMessagesOvertakeEachOther) {
  cluster.network().options().delay_mean = kTerm / 20;
  for (int i = 0; i < 50; ++i) {
    cluster.Fetch(holder, owner, x);
    cluster.Give(holder, x, owner);
    cluster.Drop(holder, x);
    cluster.Fetch(holder, owner, x);
    Pass(kTerm / 50);
    cluster.Drop(owner, x);
    Pass(kTerm / 50);
  }
  Pass(kTerm);
  EXPECT_FALSE(cluster.failure().has_value());
}

TEST_F(ScenarioTest, CycleWithinOneHostGoesAndOneAcrossHostsStays) {
  const ShadowObject a = cluster.Create(owner);
  const ShadowObject b = cluster.Create(owner);
  const ShadowObject c = cluster.Create(holder);
  cluster.Link(owner, a, b);
  cluster.Link(owner, b, a);
  cluster.Link(holder, c, x);
  cluster.Give(holder, c, owner);
  cluster.Give(holder, x, owner);
  cluster.Link(owner, x, c);
  Pass(kTerm / 10);
  cluster.DropAll(owner);
  cluster.DropAll(holder);
  Pass(10 * kTerm);
  EXPECT_FALSE(cluster.Exists(a));
  EXPECT_FALSE(cluster.Exists(b));
  EXPECT_TRUE(cluster.Exists(c));
  EXPECT_TRUE(cluster.Exists(x));
}

TEST_F(ScenarioTest, NameKeepsWhatItNamesAndLookingItUpSharesIt) {
  const ShadowObject y = cluster.Create(owner);
  cluster.Bind(owner, "y", y);
  cluster.Drop(owner, y);
  Pass(2 * kTerm);
  cluster.FetchByName(holder, owner, "y");
  Pass(milliseconds(50));
  cluster.Unbind(owner, "y");
  Pass(2 * kTerm);
  EXPECT_TRUE(cluster.Has(holder, y));
  EXPECT_TRUE(cluster.Exists(y));
}

// R2: the Clean of a reference overtakes its first Dirty, which straggles.
TEST_F(ScenarioTest, R2_CleanThatArrivesBeforeTheFirstDirtyWins) {
  const ShadowObject y = cluster.Create(owner);
  cluster.Give(owner, y, holder);
  cluster.network().Clog(holder, owner, true);
  Pass(milliseconds(20));  // The Dirty leaves, and waits in the network.
  EXPECT_EQ(cluster.process(holder).sizes().held, 1u);
  cluster.network().HoldClogged(holder, owner);
  cluster.Drop(holder, y);
  Pass(kTerm / 2);  // The Dirty fails for the holder; the Clean is numbered higher, and arrives.
  cluster.network().ReleaseHeld(holder, owner);
  Pass(milliseconds(50));
  EXPECT_EQ(cluster.process(owner).counters().late_calls, 1u);
  cluster.Drop(owner, y);
  Pass(kTerm / 10);
  EXPECT_FALSE(cluster.Exists(y));
}

class LimboTest : public ScenarioTest {
 protected:
  static ClusterOptions WithLimbo() {
    ClusterOptions options = Options();
    options.strategy.lease.limbo = kTerm;
    return options;
  }
  LimboTest() : ScenarioTest(WithLimbo()) {}
};

TEST_F(LimboTest, LateRenewalInLimboResurrects) {
  CutOffFor(kTerm * 16 / 10);
  Pass(kTerm);
  EXPECT_TRUE(cluster.Exists(x));
  EXPECT_EQ(cluster.Count(owner, Transition::Kind::kClientResurrected), 1u);
  EXPECT_EQ(cluster.LostCount(holder), 0u);
}

TEST_F(LimboTest, CleanDoesNotWaitInLimbo) {
  cluster.Drop(holder, x);
  Pass(milliseconds(50));
  EXPECT_FALSE(cluster.Exists(x));
}

// Every object of the chain lives on another host than the one before, so each link of the cascade
// is a Clean.
TEST(ChainTest, ChainOf100000ObjectsAcrossHostsIsReclaimedStepByStep) {
  constexpr int kLength = 100'000;
  ClusterOptions options = Options();
  options.drift_ppm_max = 0;
  options.work_budget = 16;
  Cluster cluster(options);
  const NodeIndex hosts[] = {cluster.AddNode(), cluster.AddNode(), cluster.AddNode()};
  ShadowObject next = cluster.Create(hosts[0]);
  NodeIndex where = hosts[0];
  for (int i = 1; i < kLength && !cluster.failure().has_value(); ++i) {
    const NodeIndex host = hosts[i % 3];
    cluster.Send(where, next, host, Duration::zero());
    while (!cluster.Has(host, next)) cluster.Run(std::chrono::microseconds(200));
    cluster.Drop(where, next);
    const ShadowObject object = cluster.Create(host);
    cluster.Link(host, object, next);
    cluster.Drop(host, next);
    next = object;
    where = host;
  }
  cluster.Run(kTerm);
  EXPECT_EQ(cluster.oracle().existing(), static_cast<size_t>(kLength));

  cluster.Drop(where, next);
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.oracle().existing() == 0; }, 100 * kTerm));
  cluster.Run(5 * kTerm);
  cluster.CheckEmpty();
  EXPECT_EQ(cluster.failure().value_or("nothing"), "nothing");
}

TEST(DeterminismTest, TheSameSeedGivesTheSameRun) {
  const auto run = [] {
    std::string trace;
    ClusterOptions options = Options();
    options.network.loss_per_mille = 100;
    options.network.duplicate_per_mille = 100;
    options.trace = [&](std::string_view line) { trace.append(line).append("\n"); };
    Cluster cluster(options);
    const NodeIndex a = cluster.AddNode();
    const NodeIndex b = cluster.AddNode();
    for (int i = 0; i < 50; ++i) {
      const ShadowObject object = cluster.Create(a);
      cluster.Send(a, object, b, Duration::zero());
      cluster.Drop(a, object);
      cluster.Run(kTerm / 10);
    }
    cluster.DropAll(b);
    cluster.Run(5 * kTerm);
    return trace;
  };
  const std::string first = run();
  EXPECT_GT(first.size(), 1000u);
  EXPECT_EQ(first, run());
}

}  // namespace
}  // namespace dgc::testkit
