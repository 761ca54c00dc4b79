// An owner and a holder, or two: what a busy line, a full quota, a peer that is gone and one that
// is hostile must not do to what is held.
//
// Where a cost is compared, it is with that of an ordinary run a moment before, and by a factor
// that only the wrong order of growth exceeds.
#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/strategies/node.h"

namespace dgc::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr ClientId kAlice{1, 2};
constexpr ClientId kBob{1, 3};
constexpr Incarnation kRun{7};
constexpr TransitToken Token(uint64_t i) { return TransitToken{kHolderTokenBit | i}; }

double Seconds(std::chrono::steady_clock::time_point begun) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

class LeasePairTest : public ::testing::Test {
 protected:
  Node owner_{7, "host:1"};
  Node alice_{1, ""};
  Node bob_{2, ""};
  Cluster cluster_{{&owner_, &alice_, &bob_}};

  // A listing that `holder` knows nothing of: it believes that its Clean was carried out.
  WireRef Ghost(Node& owner, Node& holder) {
    const Target object = owner.Export();
    const WireRef ref = owner.Share(object);
    owner.Drop(object);
    const Target handle = holder.Import(ref);
    Cluster({&owner, &holder}).Sleep(seconds(1));
    holder.Drop(handle);
    for (bool cleaned = false; !cleaned;) {
      holder.now += milliseconds(1);
      owner.now += milliseconds(1);
      owner.Run();
      holder.Run();
      for (const Send& send : std::exchange(holder.sends, {})) {
        cleaned = std::holds_alternative<CleanRequest>(send.request);
        holder.process.Answered(
            send.peer, send.call,
            cleaned ? CleanResponse{} : owner.process.Received(send.request, owner.now),
            holder.now);
      }
    }
    EXPECT_TRUE(owner.Live(ref));
    return ref;
  }
};

// The ordinary life of a hand-on: pass it on and let go.
TEST_F(LeasePairTest, TheSenderThatLetsGoHearsOfAHandOnThatNobodyTookUp) {
  const Target handle = owner_.HeldBy(alice_);
  cluster_.Sleep(seconds(1));
  alice_.Share(handle);
  alice_.Drop(handle);
  cluster_.Sleep(minutes(2));
  EXPECT_EQ(owner_.live(), 0u);
  EXPECT_EQ(alice_.hand_ons_expired.size(), 1u);
}

// A hand-on is declared at once, before the reference it is of is listed.
TEST_F(LeasePairTest, WhoHandsOnBeforeItListsIsNotLostForWords) {
  WireRef ref;
  const Target handle = owner_.HeldBy(alice_, &ref);
  alice_.Share(handle);
  cluster_.Sleep(seconds(1));
  EXPECT_TRUE(alice_.process.Assured(handle, alice_.now));
  EXPECT_EQ(alice_.process.counters().requests_failed, 0u);
}

// A token taken for its own by an import that was dropped, came again and was dropped again
// while its first Dirty was on the way.
TEST_F(LeasePairTest, ATokenThatCameAndWentWhileADirtyWasOnTheWayIsNamed) {
  const Target object = owner_.Export();
  const Target first = alice_.Import(owner_.process.Describe(object));
  alice_.Run();
  ASSERT_EQ(alice_.sends.size(), 1u);  // The Dirty is on its way.
  alice_.Drop(first);
  const WireRef again = owner_.Share(object);
  owner_.Drop(object);
  alice_.Drop(alice_.Import(again));
  cluster_.Sleep(seconds(1));
  EXPECT_EQ(owner_.process.sizes().transits, 0u);
  EXPECT_FALSE(owner_.Live(again)) << "everybody has dropped it";
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

// The first chunk of a re-listing has lapsed when the second begins a new lease.
TEST_F(LeasePairTest, AReListingAcrossALapseAssuresNothing) {
  LeaseOptions lease = TestLease();
  lease.batch_max = 1;
  Node carol(3, "", lease);
  Cluster cluster({&owner_, &carol});
  std::vector<WireRef> refs(2);
  std::vector<Target> handles;
  for (WireRef& ref : refs) handles.push_back(owner_.HeldBy(carol, &ref));
  cluster.Sleep(seconds(1));
  // A renewal says that the client is not known.
  while (carol.sends.empty()) {
    carol.now += milliseconds(50);
    owner_.now += milliseconds(50);
    owner_.Run();
    carol.Run();
  }
  Send renew = std::exchange(carol.sends, {})[0];
  ASSERT_TRUE(std::holds_alternative<RenewRequest>(renew.request));
  carol.process.Answered(
      renew.peer, renew.call,
      RenewResponse{.result = RenewResult::kDiffers, .granted_term = seconds(10)}, carol.now);
  carol.Run();
  ASSERT_EQ(carol.sends.size(), 1u);
  const Send one = std::exchange(carol.sends, {})[0];
  const Response answer = owner_.process.Received(one.request, owner_.now);
  carol.Pause(milliseconds(2900));  // Stopped before the answer is read.
  owner_.Sleep(milliseconds(2900));
  carol.process.Answered(one.peer, one.call, answer, carol.now);
  carol.Run();
  ASSERT_EQ(carol.sends.size(), 1u);
  const Send two = std::exchange(carol.sends, {})[0];
  ASSERT_TRUE(std::holds_alternative<DirtyRequest>(two.request));
  carol.Pause(milliseconds(7300));  // Stopped again, and the request is late.
  owner_.Sleep(milliseconds(7300));
  ASSERT_EQ(owner_.live(), 0u) << "lapsed";
  const Target replacement = owner_.Export();
  carol.process.Answered(two.peer, two.call, owner_.process.Received(two.request, owner_.now),
                         carol.now);
  EXPECT_FALSE(carol.process.Assured(handles[0], carol.now));
  EXPECT_FALSE(carol.process.Assured(handles[1], carol.now));
  owner_.Drop(replacement);
}

// An owner that is hostile, or broken.  Time stands still, and every answer is the same.
template <typename Answer>
int RequestsAtOnce(Node& holder, Answer answer) {
  int requests = 0;
  while (requests < 1000) {
    holder.Run();
    const std::vector<Send> sends = std::exchange(holder.sends, {});
    if (sends.empty()) break;
    for (const Send& send : sends) {
      ++requests;
      holder.process.Answered(send.peer, send.call, answer(send), holder.now);
    }
  }
  return requests;
}
TEST_F(LeasePairTest, AnOwnerThatCallsEverythingStaleDoesNotMakeAHolderSpin) {
  owner_.HeldBy(alice_);
  alice_.now += milliseconds(20);
  EXPECT_LT(RequestsAtOnce(alice_,
                           [](const Send&) -> Response {
                             return DirtyResponse{
                                 .granted_term = seconds(10),
                                 .failures = {{.index = 0, .reason = FailureReason::kStale}}};
                           }),
            10);
}
TEST_F(LeasePairTest, AnOwnerThatGrantsNoTermDoesNotMakeAHolderSpin) {
  owner_.HeldBy(alice_);
  alice_.now += milliseconds(20);
  EXPECT_LT(RequestsAtOnce(alice_,
                           [](const Send& send) -> Response {
                             if (std::holds_alternative<DirtyRequest>(send.request)) {
                               return DirtyResponse{.granted_term = Duration(0)};
                             }
                             return RenewResponse{.result = RenewResult::kOk,
                                                  .granted_term = Duration(0)};
                           }),
            10);
}

TEST_F(LeasePairTest, ALostReferenceThatIsKeptDoesNotKeepTheProcessAwake) {
  LeaseOptions lease = TestLease();
  lease.linger = Duration::zero();
  ASSERT_TRUE(Validate(lease).ok());
  Node carol(3, "", lease);
  owner_.HeldBy(carol);
  carol.now += milliseconds(20);
  carol.Run();
  ASSERT_EQ(carol.sends.size(), 1u);
  const Send dirty = std::exchange(carol.sends, {})[0];
  carol.process.Answered(dirty.peer, dirty.call, Refusal{Refusal::Code::kWrongIncarnation, ""},
                         carol.now);
  carol.Run();
  ASSERT_EQ(carol.lost.size(), 1u);
  int wakes = 0;
  const TimePoint end = carol.now + seconds(1);
  while (carol.process.wake_at().value_or(TimePoint::max()) < end) {
    carol.now = std::max(carol.now, *carol.process.wake_at());
    carol.Run();
    ++wakes;
  }
  EXPECT_LT(wakes, 10) << "in one second, with nothing to do";
}

// What is left to be listed again is dropped while the
// last but one request of the re-listing is on its way: nothing ends the re-listing any more.
TEST_F(LeasePairTest, AReListingEndsThoughWhatIsLeftOfItIsDropped) {
  LeaseOptions lease = TestLease();
  lease.batch_max = 1;
  Node carol(3, "", lease);
  Cluster cluster({&owner_, &carol});
  std::vector<WireRef> refs(2);
  const Target kept = owner_.HeldBy(carol, &refs[0]);
  const Target dropped = owner_.HeldBy(carol, &refs[1]);
  cluster.Sleep(seconds(1));
  const WireRef ghost = Ghost(owner_, carol);
  const auto is_dirty = [&] {
    return !carol.sends.empty() && std::holds_alternative<DirtyRequest>(carol.sends[0].request);
  };
  for (;;) {
    carol.Run();
    if (is_dirty()) break;  // The first of the re-listing.
    for (const Send& send : std::exchange(carol.sends, {})) {
      carol.process.Answered(send.peer, send.call,
                             owner_.process.Received(send.request, owner_.now), carol.now);
    }
    carol.now += milliseconds(50);
    owner_.now += milliseconds(50);
    owner_.Run();
  }
  const ObjectId named = std::get<DirtyRequest>(carol.sends[0].request).rows[0].id;
  carol.Drop(named == refs[0].id ? dropped : kept);
  cluster.Sleep(minutes(10));
  EXPECT_TRUE(owner_.Live(named == refs[0].id ? refs[0] : refs[1]));
  EXPECT_EQ(owner_.process.sizes().listings, 1u);
  EXPECT_FALSE(owner_.Live(ghost)) << "leaked for as long as anything else is held";
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

TEST_F(LeasePairTest, AHandOnIsReportedOnceThoughTheSessionWasGivenUp) {
  const Target handle = owner_.HeldBy(alice_);
  cluster_.Sleep(seconds(1));
  alice_.Share(handle);
  while (alice_.hand_ons_expired.empty()) cluster_.Sleep(milliseconds(50));
  owner_.process.SetReaping(ReapingMode::kHeld);
  cluster_.Cut("host:1");
  alice_.Drop(handle);
  cluster_.Sleep(minutes(2));
  ASSERT_EQ(alice_.process.imports().peers(), 0u) << "given up";
  cluster_.Heal("host:1");
  owner_.HeldBy(alice_);
  cluster_.Sleep(seconds(5));
  EXPECT_EQ(alice_.hand_ons_expired.size(), 1u);
}

TEST_F(LeasePairTest, AHandOnThatIsDeclaredAgainIsReportedWhenThatHasEnded) {
  const Target handle = owner_.HeldBy(alice_);
  cluster_.Sleep(seconds(1));
  alice_.Share(handle);
  alice_.Run();
  const Send transit = std::exchange(alice_.sends, {}).at(0);
  ASSERT_TRUE(std::holds_alternative<TransitRequest>(transit.request));
  owner_.process.Received(transit.request, owner_.now);  // Its answer is lost.
  // Renewals go on, declarations do not get through.
  for (int i = 0; i < 240; ++i) {
    alice_.now += milliseconds(50);
    owner_.now += milliseconds(50);
    owner_.Run();
    alice_.process.Answered(transit.peer, transit.call,
                            Refusal{Refusal::Code::kUnknownOutcome, "lost"}, alice_.now);
    alice_.Run();
    for (const Send& send : std::exchange(alice_.sends, {})) {
      const bool lost = std::holds_alternative<TransitRequest>(send.request);
      alice_.process.Answered(send.peer, send.call,
                              lost ? Refusal{Refusal::Code::kUnknownOutcome, "lost"}
                                   : owner_.process.Received(send.request, owner_.now),
                              alice_.now);
    }
  }
  EXPECT_EQ(owner_.process.sizes().transits, 0u) << "ended unused";
  EXPECT_TRUE(alice_.hand_ons_expired.empty()) << "it is declared again";
  cluster_.Sleep(seconds(30));
  EXPECT_EQ(alice_.hand_ons_expired.size(), 1u);
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
  const Target object = full.Export();
  const auto ref = full.process.Share(object, {}, minutes(10), full.now);
  ASSERT_TRUE(ref.ok());
  full.Drop(object);
  const Target handle = bob_.Import(*ref);
  cluster.Sleep(seconds(1));
  bob_.Drop(handle);
  cluster.Sleep(minutes(2));
  ASSERT_TRUE(full.Live(*ref));
  alice_.process.Goodbye(alice_.now);
  cluster.Sleep(seconds(10));
  EXPECT_FALSE(full.Live(*ref));
}

// A line with a round trip of 50 ms; `work` is what the application does every 10 ms.
template <typename Work>
void RunBusy(Node& owner, Node& holder, Duration duration, Work work) {
  std::vector<std::pair<TimePoint, Send>> under_way;
  const TimePoint end = holder.now + duration;
  while (holder.now < end) {
    holder.now += milliseconds(10);
    owner.now += milliseconds(10);
    owner.Run();
    work();
    holder.Run();
    for (Send& send : std::exchange(holder.sends, {})) {
      under_way.emplace_back(holder.now + milliseconds(50), std::move(send));
    }
    for (auto& [at, send] : std::exchange(under_way, {})) {
      if (at > holder.now) {
        under_way.emplace_back(at, std::move(send));
        continue;
      }
      holder.process.Answered(send.peer, send.call, owner.process.Received(send.request, owner.now),
                              holder.now);
    }
  }
}

// Transit and Dirty take turns.
TEST_F(LeasePairTest, WhoHandsOnAllTheTimeListsWhatItImports) {
  const Target handle = alice_.Import(owner_.Share(owner_.Export()));
  RunBusy(owner_, alice_, seconds(1), [] {});
  WireRef ref;
  const Target imported = owner_.HeldBy(alice_, &ref);
  RunBusy(owner_, alice_, seconds(30), [&] { alice_.Share(handle); });
  EXPECT_TRUE(owner_.Live(ref)) << "held all the time, and the line was never down";
  EXPECT_TRUE(alice_.process.Assured(imported, alice_.now));
}

// And Dirty and Clean.
TEST_F(LeasePairTest, WhoImportsAllTheTimeCleansWhatItDrops) {
  std::vector<Target> handles;
  RunBusy(owner_, alice_, seconds(60), [&] {
    handles.push_back(owner_.HeldBy(alice_));
    if (handles.size() > 100) {
      alice_.Drop(handles.front());
      handles.erase(handles.begin());
    }
  });
  EXPECT_LT(owner_.live(), 300u) << "100 are in use";
}

// An owner is gone for good, and the application lets go of what it had of it, one by one.
TEST_F(LeasePairTest, DroppingReferencesOfAnOwnerThatIsGoneCostsWhatChanges) {
  constexpr int kHeld = 20'000;
  std::vector<Target> handles;
  for (int i = 0; i < kHeld; ++i) handles.push_back(owner_.HeldBy(alice_));
  cluster_.Sleep(seconds(1));
  const auto begun_up = std::chrono::steady_clock::now();
  for (int i = 0; i < kHeld / 2; ++i) {
    alice_.Drop(handles.back());
    handles.pop_back();
  }
  const double usual = Seconds(begun_up);
  cluster_.Cut("host:1");
  cluster_.Sleep(seconds(60));
  const auto begun = std::chrono::steady_clock::now();
  while (handles.size() > 1) {
    alice_.Drop(handles.back());
    handles.pop_back();
  }
  const double down = Seconds(begun);
  EXPECT_LT(down, 50 * usual) << down << " s against " << usual << " s";
}

// Refusals are not silence.
TEST_F(LeasePairTest, WhatWasRefusedForAFullQuotaAndIsDroppedIsCleaned) {
  LeaseOptions lease = TestLease();
  lease.listings_max = 1;
  Node full(9, "host:9", lease);
  Cluster cluster({&full, &alice_, &bob_});
  alice_.Import(full.Share(full.Export()));
  cluster.Sleep(seconds(1));
  const Target object = full.Export();
  const auto ref = full.process.Share(object, {}, minutes(10), full.now);
  ASSERT_TRUE(ref.ok());
  full.Drop(object);
  const Target handle = bob_.Import(*ref);
  cluster.Sleep(seconds(60));
  ASSERT_TRUE(full.Live(*ref));
  bob_.Drop(handle);
  cluster.Sleep(seconds(10));
  EXPECT_FALSE(full.Live(*ref)) << "dropped, and the line was never down";
}

// Ref.h, Share(): "kept until the receiver has imported it, or `term` has passed".
TEST_F(LeasePairTest, ATransitTermThatIsGrantedIsKept) {
  const Target object = owner_.Export();
  const auto ref = owner_.process.Share(object, {}, std::chrono::hours(1), owner_.now);
  owner_.Drop(object);
  ASSERT_TRUE(ref.ok());
  owner_.Sleep(minutes(11));
  EXPECT_TRUE(owner_.Live(*ref)) << "49 minutes before the end of the term asked for";
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
  int wakes = 0;
  for (const TimePoint end = alice_.now + seconds(10); alice_.now < end; ++wakes) {
    alice_.now = std::max(alice_.now + milliseconds(1), alice_.process.wake_at().value_or(end));
    owner.now = alice_.now;
    cluster.Settle();
  }
  EXPECT_LT(wakes, 100) << "in 10 s";
}

// It holds what is gone, and comes to know by the token of another copy.
TEST_F(LeasePairTest, WhoListsAgainWhatWasUnexportedIsTold) {
  const Target object = owner_.Export();
  const Target held = alice_.Import(owner_.Share(object));
  const WireRef again = owner_.Share(object);
  cluster_.Sleep(seconds(1));
  owner_.process.Unexport(object.object(), owner_.now);
  alice_.Import(again);
  cluster_.Sleep(seconds(1));
  EXPECT_EQ(alice_.lost.size(), 1u);
  EXPECT_FALSE(alice_.process.Assured(held, alice_.now));
}

TEST_F(LeasePairTest, ASessionOfWhichNothingIsUsedEndsWhateverItIsAnswered) {
  using Code = Refusal::Code;
  for (const Code code : {Code::kUnknownOutcome, Code::kInvalidArgument, Code::kUnavailable,
                          Code::kResourceExhausted}) {
    Node carol(3, "");
    Cluster cluster({&owner_, &carol});
    const Target held = owner_.HeldBy(carol);
    cluster.Sleep(seconds(1));
    carol.Drop(held);
    const TimePoint dropped = carol.now;
    const Duration limit = code == Code::kResourceExhausted ? kTermMax : minutes(1);
    while (carol.process.imports().peers() > 0 && carol.now < dropped + 2 * kTermMax) {
      carol.now += milliseconds(250);
      carol.Run();
      for (const Send& send : std::exchange(carol.sends, {})) {
        carol.process.Answered(send.peer, send.call, Refusal{code, ""}, carol.now);
      }
    }
    EXPECT_EQ(carol.process.imports().size(), 0u);
    EXPECT_LE(carol.now - dropped, limit + seconds(10)) << "code " << static_cast<int>(code);
  }
}

// A pass over all imports each time.
TEST_F(LeasePairTest, AnOwnerCannotCauseReListingsAtWill) {
  owner_.HeldBy(alice_);
  alice_.now += milliseconds(10);
  while (alice_.now < kStart + seconds(60)) {
    alice_.Run();
    for (const Send& send : std::exchange(alice_.sends, {})) {
      Response response = DirtyResponse{.granted_term = Duration(1)};
      if (std::holds_alternative<RenewRequest>(send.request)) {
        response = RenewResponse{.result = RenewResult::kDiffers, .granted_term = Duration(1)};
      }
      alice_.process.Answered(send.peer, send.call, response, alice_.now);
    }
    alice_.now += milliseconds(1);
  }
  EXPECT_GT(alice_.process.counters().relistings, 50u);
  EXPECT_LT(alice_.process.counters().relistings, 80u) << "in a minute";
}

TEST_F(LeasePairTest, HandOnsWithTermsThatAreAboutTheSameShareARequest) {
  const Target held = owner_.HeldBy(alice_);
  cluster_.Sleep(seconds(1));
  const uint64_t before = alice_.process.counters().requests_sent;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(alice_.process.Share(held, {}, minutes(1) + milliseconds(i), alice_.now).ok());
  }
  alice_.process.Share(held, {}, kTermMax, alice_.now).value();
  cluster_.Settle();
  EXPECT_LE(alice_.process.counters().requests_sent - before, 4u);
  cluster_.Sleep(minutes(1) - milliseconds(100));
  EXPECT_EQ(owner_.process.sizes().transits, 1001u) << "no term is shorter than asked for";
  cluster_.Sleep(minutes(1));
  EXPECT_EQ(owner_.process.sizes().transits, 1u);
}

// Seed 823525 of the simulator.
TEST_F(LeasePairTest, WhoIsUnknownAndHasNothingToListAsksNoMore) {
  const Target held = owner_.HeldBy(alice_);
  cluster_.Sleep(seconds(1));
  cluster_.Cut("host:1");
  cluster_.Sleep(seconds(30));
  // It is unknown, and its re-listing does not get through before it drops what was to be listed.
  const auto answer_until_it_renews = [&](bool drop) {
    for (bool renewed = false; !renewed;) {
      alice_.now += milliseconds(10);
      alice_.Run();
      for (const Send& send : std::exchange(alice_.sends, {})) {
        renewed = std::holds_alternative<RenewRequest>(send.request);
        Response response = Refusal{Refusal::Code::kUnknownOutcome, ""};
        if (renewed) response = RenewResponse{.result = RenewResult::kUnknownClient};
        if (std::holds_alternative<CleanRequest>(send.request)) response = CleanResponse{};
        alice_.now += milliseconds(50);
        alice_.process.Answered(send.peer, send.call, response, alice_.now);
      }
    }
    if (drop) alice_.Drop(held);
  };
  answer_until_it_renews(true);
  answer_until_it_renews(false);
  ASSERT_EQ(alice_.process.imports().size(), 0u);
  owner_.now = alice_.now;
  RunBusy(owner_, alice_, minutes(2), [] {});
  EXPECT_EQ(alice_.process.imports().peers(), 0u);
}

class LeaseGuardTest : public ::testing::Test {
 protected:
  explicit LeaseGuardTest(LeaseOptions options = TestLease()) : owner_(7, "host:1", options) {}

  ObjectId IdOf(Target handle) { return owner_.process.Describe(handle).id; }
  Response Dirty(ClientId client, uint64_t sequence, std::vector<Row> rows, uint64_t seen = 0) {
    return owner_.process.Received(DirtyRequest{.client = client,
                                                .incarnation = kRun,
                                                .sequence = SequenceNumber{sequence},
                                                .rows = std::move(rows),
                                                .notices_seen = seen},
                                   owner_.now);
  }
  Response Clean(ClientId client, uint64_t sequence, std::vector<Row> rows) {
    return owner_.process.Received(
        CleanRequest{client, kRun, SequenceNumber{sequence}, std::move(rows)}, owner_.now);
  }
  Response Transit(ClientId client, std::vector<Row> rows, Duration term = {}) {
    return owner_.process.Received(TransitRequest{client, kRun, term, std::move(rows)}, owner_.now);
  }
  Response Goodbye(ClientId client, uint64_t sequence) {
    return owner_.process.Received(GoodbyeRequest{client, kRun, SequenceNumber{sequence}},
                                   owner_.now);
  }
  std::vector<Row> Rows(const ObjectId& id, uint64_t from, uint64_t to) {
    std::vector<Row> rows;
    for (uint64_t i = from; i < to; ++i) rows.push_back({id, Token(i)});
    return rows;
  }

  Node owner_;
};

class LeaseQuotaTest : public LeaseGuardTest {
 protected:
  static LeaseOptions Options() {
    LeaseOptions options = TestLease();
    options.transits_per_client_max = 10;
    return options;
  }
  LeaseQuotaTest() : LeaseGuardTest(Options()) {}
};
TEST_F(LeaseQuotaTest, AClientDoesNotEscapeItsQuotaByLeaving) {
  const ObjectId id = IdOf(owner_.Export());
  uint64_t sequence = 0;
  for (uint64_t i = 0; i < 20; ++i) {
    Dirty(kAlice, ++sequence, {});
    Transit(kAlice, Rows(id, 1 + 10 * i, 11 + 10 * i), minutes(10));
    Goodbye(kAlice, ++sequence);
  }
  EXPECT_LE(owner_.process.sizes().transits, 10u);
}

// Seed 330598 of the simulator: it had nothing listed, and its record was due to go.
TEST_F(LeaseGuardTest, WhoDeclaresAHandOnIsRememberedUntilItCanBeTold) {
  const ObjectId id = IdOf(owner_.Export());
  Dirty(kAlice, 1, {});
  owner_.Sleep(seconds(10) - milliseconds(250));
  owner_.Pause(milliseconds(500));
  Transit(kAlice, Rows(id, 1, 2), milliseconds(200));
  owner_.Sleep(seconds(1));
  Dirty(kAlice, 2, {});
  owner_.Sleep(seconds(1));
  const Response response = Dirty(kAlice, 3, {});
  EXPECT_EQ(std::get<DirtyResponse>(response).notices.size(), 1u);
}

TEST_F(LeaseQuotaTest, DeclaringAgainNeedsNoRoom) {
  const ObjectId id = IdOf(owner_.Export());
  for (int i = 0; i < 2; ++i) {
    const Response response = Transit(kAlice, Rows(id, 1, 11));
    EXPECT_TRUE(std::get<TransitResponse>(response).failures.empty()) << "time " << i;
  }
}

// Tokens that are opened again leave a deadline each time, and none of them is dead.
TEST_F(LeaseGuardTest, ConsumingTransitLeasesIsNotQuadratic) {
  const ObjectId id = IdOf(owner_.Export());
  constexpr uint64_t kBase = 30'000;
  constexpr uint64_t kAgain = 3'000;
  constexpr uint64_t kOthers = 1'000'000;
  uint64_t sequence = 0;
  const auto take_up = [&](uint64_t from, uint64_t to) {
    const auto begun = std::chrono::steady_clock::now();
    Clean(kAlice, ++sequence, Rows(id, from, to));
    return Seconds(begun);
  };
  Dirty(kAlice, ++sequence, {{id}});
  // As a measure: the same number, without tricks.
  Transit(kAlice, Rows(id, 1 + kOthers, 1 + kOthers + kBase + kAgain));
  const double usual = take_up(1 + kOthers, 1 + kOthers + kBase);
  take_up(1 + kOthers + kBase, 1 + kOthers + kBase + kAgain);

  Transit(kAlice, Rows(id, 1, 1 + kBase));
  for (uint64_t round = 0; round < 8; ++round) {
    Transit(kAlice, Rows(id, 1 + kBase, 1 + kBase + kAgain));
    if (round == 7) break;
    take_up(1 + kBase, 1 + kBase + kAgain);
    // Makes the owner forget that they were named.
    Clean(kAlice, ++sequence, Rows(id, 2 * kOthers, 2 * kOthers + kBatchMax));
  }
  const double tricked = take_up(1, 1 + kBase);
  EXPECT_LT(tricked, 50 * usual) << tricked << " s against " << usual << " s for one Clean of "
                                 << kBase << " rows";
}

TEST_F(LeaseGuardTest, OneStrangerDoesNotKeepAllOthersFromBeingAnswered) {
  const Target handle = owner_.Export();
  const ObjectId id = IdOf(handle);
  for (uint64_t i = 0; i < 16; ++i) {
    Transit({66, 66}, Rows(id, 1 + i * kBatchMax, 1 + (i + 1) * kBatchMax), minutes(10));
  }
  owner_.Sleep(minutes(1));
  // The first call of somebody who holds nothing here yet.
  EXPECT_TRUE(owner_.process.Share(handle, kBob, {}, owner_.now).ok());
}

// References handed to anonymous callers that never take them up, one per millisecond.
TEST_F(LeaseGuardTest, TransitLeasesThatEndOneAfterAnotherShareCallsToItself) {
  const Target handle = owner_.Export();
  for (int i = 0; i < 1000; ++i) {
    owner_.now += milliseconds(1);
    owner_.Share(handle);
  }
  owner_.Sleep(seconds(9) - milliseconds(1));
  for (int i = 0; i < 1010; ++i) {
    owner_.now += milliseconds(1);
    owner_.Run();
  }
  EXPECT_EQ(owner_.process.sizes().transits, 0u);
  EXPECT_LT(owner_.process.counters().self_calls, 110u) << "in one second";
}

}  // namespace
}  // namespace dgc::testing
