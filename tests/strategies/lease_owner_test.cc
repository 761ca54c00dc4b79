// The owner's half of the lease strategy, told requests by hand.
#include <algorithm>
#include <utility>
#include <variant>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/strategies/node.h"

namespace dgc::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr ClientId kAlice{1, 2};
constexpr ClientId kBob{1, 3};
constexpr Incarnation kRun{7};

class LeaseOwnerTest : public ::testing::Test {
 protected:
  explicit LeaseOwnerTest(LeaseOptions options = TestLease()) : owner_(7, "host:1", options) {}

  ObjectId IdOf(Target handle) { return owner_.process.Describe(handle).id; }

  DirtyResponse Dirty(ClientId client, uint64_t sequence, std::vector<Row> rows,
                      Duration term = {}) {
    Response response = owner_.process.Received(
        DirtyRequest{client, kRun, SequenceNumber{sequence}, term, std::move(rows), {}},
        owner_.now);
    EXPECT_TRUE(std::holds_alternative<DirtyResponse>(response));
    return std::get<DirtyResponse>(response);
  }
  void Clean(ClientId client, uint64_t sequence, std::vector<Row> rows) {
    Response response = owner_.process.Received(
        CleanRequest{client, kRun, SequenceNumber{sequence}, std::move(rows)}, owner_.now);
    EXPECT_TRUE(std::holds_alternative<CleanResponse>(response));
    owner_.Run();
  }
  RenewResponse Renew(ClientId client, uint64_t sequence, Digest held) {
    Response response = owner_.process.Received(
        RenewRequest{client, kRun, SequenceNumber{sequence}, {}, held}, owner_.now);
    return std::get<RenewResponse>(response);
  }
  // An object that nothing but what a test lists keeps alive.
  ObjectId Listed(ClientId client, uint64_t sequence) {
    const Target handle = owner_.Export();
    const ObjectId id = IdOf(handle);
    EXPECT_TRUE(Dirty(client, sequence, {{id}}).failures.empty());
    owner_.Drop(handle);
    owner_.Run();
    return id;
  }
  bool Live(const ObjectId& id) { return owner_.process.objects().Find(id).has_value(); }
  Digest DigestOf(std::vector<ObjectId> ids) {
    Digest digest;
    for (const ObjectId& id : ids) digest.Add(id);
    return digest;
  }

  Node owner_;
};

TEST_F(LeaseOwnerTest, AListingKeepsTheObjectAndACleanReclaimsIt) {
  const ObjectId id = Listed(kAlice, 1);
  EXPECT_TRUE(Live(id));

  Clean(kAlice, 2, {{id}});

  EXPECT_FALSE(Live(id));
  ASSERT_EQ(owner_.reclaimed.size(), 1u);
  EXPECT_EQ(owner_.reclaimed[0].reason, ReclaimReason::kClean);
}

TEST_F(LeaseOwnerTest, AnObjectIsKeptWhileAnyHolderIsLeft) {
  const ObjectId id = Listed(kAlice, 1);
  Dirty(kBob, 1, {{id}});

  Clean(kAlice, 2, {{id}});
  EXPECT_TRUE(Live(id));
  Clean(kBob, 2, {{id}});
  EXPECT_FALSE(Live(id));
}

TEST_F(LeaseOwnerTest, ALeaseLapsesAtItsDeadlineAndNotBefore) {
  const ObjectId id = Listed(kAlice, 1);

  owner_.Sleep(seconds(10) - milliseconds(1));
  EXPECT_TRUE(Live(id));
  owner_.Sleep(milliseconds(1));

  EXPECT_FALSE(Live(id));
  EXPECT_EQ(owner_.reclaimed.at(0).reason, ReclaimReason::kLapse);
}

TEST_F(LeaseOwnerTest, ARenewalExtendsTheLease) {
  const ObjectId id = Listed(kAlice, 1);
  owner_.Sleep(seconds(9));
  EXPECT_EQ(Renew(kAlice, 1, DigestOf({id})).result, RenewResult::kOk);
  owner_.Sleep(seconds(9));
  EXPECT_TRUE(Live(id));
}

TEST_F(LeaseOwnerTest, ARenewalForAShorterTermNeverShortensTheLease) {
  const ObjectId id = Listed(kAlice, 1);
  owner_.Sleep(seconds(5));
  EXPECT_EQ(Renew(kAlice, 1, DigestOf({id})).result, RenewResult::kOk);
  Dirty(kAlice, 2, {}, milliseconds(200));
  owner_.Sleep(seconds(10) - milliseconds(1));
  EXPECT_TRUE(Live(id));
  owner_.Sleep(milliseconds(1));
  EXPECT_FALSE(Live(id));
}

TEST_F(LeaseOwnerTest, ARenewalThatArrivesBeforeTheLapseIsDecidedWins) {
  const ObjectId id = Listed(kAlice, 1);
  owner_.Sleep(seconds(9));
  owner_.Pause(milliseconds(1001));  // The deadline has passed; nobody has looked yet.
  EXPECT_EQ(Renew(kAlice, 1, DigestOf({id})).result, RenewResult::kOk);
  owner_.Run();
  EXPECT_TRUE(Live(id));
}

TEST_F(LeaseOwnerTest, TheOwnersOwnPauseIsNotCountedAgainstHolders) {
  const ObjectId id = Listed(kAlice, 1);
  owner_.Pause(seconds(600));
  owner_.Run();
  EXPECT_TRUE(Live(id));
  owner_.Sleep(seconds(5));
  EXPECT_TRUE(Live(id));
  owner_.Sleep(seconds(10));
  EXPECT_FALSE(Live(id));
}

TEST_F(LeaseOwnerTest, TermsAreClampedAndADefaultIsGranted) {
  EXPECT_EQ(Dirty(kAlice, 1, {}).granted_term, seconds(10));
  EXPECT_EQ(Dirty(kAlice, 2, {}, Duration(1)).granted_term, TestLease().term_min);
  EXPECT_EQ(Dirty(kAlice, 3, {}, std::chrono::hours(20)).granted_term, TestLease().term_max);
}

// Birrell et al. 1993, section 2.3: the races of dirty and clean.
TEST_F(LeaseOwnerTest, ACleanOvertakenByANewerDirtyIsIgnored) {
  const ObjectId id = Listed(kAlice, 5);
  Dirty(kAlice, 8, {{id}});
  Clean(kAlice, 7, {{id}});
  EXPECT_TRUE(Live(id));
  EXPECT_GT(owner_.process.counters().late_calls, 0u);
}

TEST_F(LeaseOwnerTest, ADirtyThatACleanHasOvertakenIsStaleNotDroppedInSilence) {
  const ObjectId keeper = Listed(kAlice, 1);
  const Target handle = owner_.Export();
  const ObjectId id = IdOf(handle);

  Clean(kAlice, 21, {{id}});  // The first thing ever said about this pair.
  const DirtyResponse late = Dirty(kAlice, 20, {{id}});

  ASSERT_EQ(late.failures.size(), 1u);
  EXPECT_EQ(late.failures[0].reason, FailureReason::kStale);
  owner_.Drop(handle);
  owner_.Run();
  EXPECT_FALSE(Live(id));
  EXPECT_TRUE(Live(keeper));
}

TEST_F(LeaseOwnerTest, AStrongCleanOfAClientNotYetKnownIsRemembered) {
  const Target handle = owner_.Export();
  Clean(kAlice, 21, {{IdOf(handle)}});
  EXPECT_EQ(Dirty(kAlice, 20, {{IdOf(handle)}}).failures.at(0).reason, FailureReason::kStale);
  EXPECT_TRUE(Dirty(kAlice, 22, {{IdOf(handle)}}).failures.empty());
}

TEST_F(LeaseOwnerTest, DuplicatesChangeNothing) {
  const ObjectId id = Listed(kAlice, 1);
  Dirty(kAlice, 1, {{id}, {id}});
  EXPECT_EQ(owner_.process.sizes().listings, 1u);
  Clean(kAlice, 2, {{id}, {id}});
  Clean(kAlice, 2, {{id}});
  EXPECT_EQ(owner_.process.sizes().listings, 0u);
  EXPECT_FALSE(Live(id));
}

TEST_F(LeaseOwnerTest, AStaleDirtyDoesNotConsumeTheTransitLease) {
  const WireRef ref = owner_.Share(owner_.Export());
  Dirty(kAlice, 1, {});
  Clean(kAlice, 9, {});
  EXPECT_EQ(Dirty(kAlice, 8, {{ref.id, ref.transit}}).failures.at(0).reason, FailureReason::kStale);
  EXPECT_EQ(owner_.process.sizes().transits, 1u);
}

TEST_F(LeaseOwnerTest, AReferenceOnItsWayIsKeptForTheTransitTerm) {
  const Target handle = owner_.Export();
  const WireRef ref = owner_.Share(handle);
  owner_.Drop(handle);
  owner_.Sleep(seconds(10) - milliseconds(1));
  EXPECT_TRUE(owner_.Live(ref));
  owner_.Sleep(milliseconds(1));
  EXPECT_FALSE(owner_.Live(ref));
  EXPECT_EQ(owner_.reclaimed.at(0).reason, ReclaimReason::kTransitExpired);
}

TEST_F(LeaseOwnerTest, AReferenceThatCameHomeIsOnItsWayNoLonger) {
  const Target handle = owner_.Export();
  const WireRef ref = owner_.Share(handle);
  owner_.Drop(owner_.Import(ref));
  owner_.Drop(handle);
  owner_.Run();
  EXPECT_FALSE(owner_.Live(ref));
  EXPECT_EQ(owner_.process.sizes().transits, 0u);
}

TEST_F(LeaseOwnerTest, ACleanOfOneCopyDoesNotTouchAnotherOnItsWay) {
  const Target handle = owner_.Export();
  const WireRef first = owner_.Share(handle);
  const WireRef second = owner_.Share(handle);
  owner_.Drop(handle);
  Dirty(kAlice, 1, {{first.id, first.transit}});
  Clean(kAlice, 2, {{first.id}});
  EXPECT_TRUE(owner_.Live(second));
  Clean(kAlice, 3, {{second.id, second.transit}});
  EXPECT_FALSE(owner_.Live(second));
}

TEST_F(LeaseOwnerTest, PerIdFailuresSayWhyAndTheOthersAreListed) {
  const ObjectId gone = Listed(kBob, 1);
  Clean(kBob, 2, {{gone}});
  owner_.Sleep(seconds(1));
  const Target unexported = owner_.Export();
  owner_.process.Unexport(unexported.object(), owner_.now);
  const ObjectId unexported_id = IdOf(unexported);
  const Target fine = owner_.Export();

  const DirtyResponse response =
      Dirty(kAlice, 1, {{{9, 9}}, {gone}, {IdOf(fine)}, {unexported_id}});

  ASSERT_EQ(response.failures.size(), 3u);
  EXPECT_EQ(response.failures[0], (Failure{0, FailureReason::kUnknown, {}, {}}));
  EXPECT_EQ(response.failures[1],
            (Failure{1, FailureReason::kReclaimed, ReclaimReason::kClean, seconds(1)}));
  EXPECT_EQ(response.failures[2].reason, FailureReason::kUnexported);
  EXPECT_EQ(owner_.process.sizes().listings, 1u);
}

TEST_F(LeaseOwnerTest, AnUnexportedObjectGoesAtOnceWhoeverHoldsItAndItsRecordWithTheLastHolder) {
  const ObjectId id = Listed(kAlice, 1);
  owner_.process.Unexport(*owner_.process.objects().Find(id), owner_.now);
  owner_.Run();
  EXPECT_EQ(owner_.reclaimed.at(0).reason, ReclaimReason::kUnexport);
  EXPECT_TRUE(owner_.process.objects().FindRecord(id).has_value());
  Clean(kAlice, 2, {{id}});
  EXPECT_FALSE(owner_.process.objects().FindRecord(id).has_value());
}

TEST_F(LeaseOwnerTest, ADigestThatDiffersIsReported) {
  const ObjectId a = Listed(kAlice, 1);
  const ObjectId b = Listed(kAlice, 2);
  EXPECT_EQ(Renew(kAlice, 2, DigestOf({a, b})).result, RenewResult::kOk);
  EXPECT_EQ(Renew(kAlice, 2, DigestOf({a})).result, RenewResult::kDiffers);
  EXPECT_EQ(Renew(kAlice, 2, DigestOf({a, a})).result, RenewResult::kDiffers);
  EXPECT_EQ(Renew(kAlice, 1, DigestOf({a})).result, RenewResult::kOk)
      << "an older number describes an older set: not compared";
}

TEST_F(LeaseOwnerTest, ACompleteRelistingRemovesWhatItDoesNotName) {
  const ObjectId kept = Listed(kAlice, 1);
  const ObjectId leaked = Listed(kAlice, 2);
  owner_.process.Received(
      DirtyRequest{kAlice, kRun, SequenceNumber{5}, {}, {{kept}}, SequenceNumber{5}}, owner_.now);
  owner_.Run();
  EXPECT_TRUE(Live(kept));
  EXPECT_FALSE(Live(leaked));
  EXPECT_EQ(Renew(kAlice, 5, DigestOf({kept})).result, RenewResult::kOk);
}

TEST_F(LeaseOwnerTest, AGhostOfARelistingRemovesNothing) {
  const ObjectId a = Listed(kAlice, 1);
  const ObjectId b = Listed(kAlice, 9);
  owner_.process.Received(DirtyRequest{kAlice, kRun, SequenceNumber{8}, {}, {}, SequenceNumber{8}},
                          owner_.now);
  owner_.Run();
  EXPECT_TRUE(Live(a));
  EXPECT_TRUE(Live(b));
}

TEST_F(LeaseOwnerTest, GoodbyeReleasesEverythingAtOnceAndLaterGhostsAreStale) {
  const ObjectId id = Listed(kAlice, 1);
  const Target other = owner_.Export();
  owner_.process.Received(GoodbyeRequest{kAlice, kRun, SequenceNumber{9}}, owner_.now);
  owner_.Run();
  EXPECT_FALSE(Live(id));
  EXPECT_EQ(owner_.process.sizes().clients, 0u);
  EXPECT_EQ(Dirty(kAlice, 8, {{IdOf(other)}}).failures.at(0).reason, FailureReason::kStale);
}

TEST_F(LeaseOwnerTest, AGhostOfAGoodbyeIsIgnored) {
  const ObjectId id = Listed(kAlice, 9);
  owner_.process.Received(GoodbyeRequest{kAlice, kRun, SequenceNumber{8}}, owner_.now);
  owner_.Run();
  EXPECT_TRUE(Live(id));
}

TEST_F(LeaseOwnerTest, WhoHoldsOneCopyCannotNameTheTokenOfAnother) {
  const Target handle = owner_.Export();
  const WireRef mine = owner_.Share(handle);
  const WireRef other = owner_.Share(handle);
  owner_.Drop(handle);
  for (uint64_t guess = Raw(mine.transit) - 1000; guess <= Raw(mine.transit) + 1000; ++guess) {
    Clean(kAlice, 1, {{mine.id, TransitToken{guess & ~kHolderTokenBit}}});
  }
  EXPECT_TRUE(owner_.Live(other));
}

TEST_F(LeaseOwnerTest, AClientIdIsBoundToTheKeyItFirstCameWith) {
  const ObjectId id = Listed(kAlice, 1);  // With the key of zeros.
  const CleanRequest forged{
      kAlice, kRun, SequenceNumber{INT64_MAX}, {{id}}, /*key=*/ClientKey{6, 6}};
  const Response response = owner_.process.Received(forged, owner_.now);
  owner_.Run();
  EXPECT_EQ(std::get<Refusal>(response).code, Refusal::Code::kPermissionDenied);
  EXPECT_TRUE(Live(id));
  EXPECT_TRUE(Dirty(kAlice, 2, {{id}}).failures.empty()) << "and she is not locked out";

  owner_.process.Received(GoodbyeRequest{kAlice, kRun, SequenceNumber{3}}, owner_.now);
  EXPECT_EQ(std::get<Refusal>(owner_.process.Received(forged, owner_.now)).code,
            Refusal::Code::kPermissionDenied)
      << "also after she has left";
}

TEST_F(LeaseOwnerTest, ADeclarationThatComesAfterTheReceiversDirtyIsVoid) {
  const ObjectId id = Listed(kAlice, 1);
  const Row row{id, TransitToken{kHolderTokenBit | 5}};
  Dirty(kBob, 1, {row});
  owner_.process.Received(TransitRequest{kAlice, kRun, {}, {row}}, owner_.now);
  EXPECT_EQ(owner_.process.sizes().transits, 0u);
  owner_.process.Received(TransitRequest{kAlice, kRun, {}, {row}}, owner_.now);
  EXPECT_EQ(owner_.process.sizes().transits, 0u) << "and so is a ghost of it";

  owner_.Sleep(TestLease().transit_term);
  EXPECT_EQ(owner_.process.sizes().named, 0u) << "forgotten in time";
}

// Campaign, seed 676.
TEST_F(LeaseOwnerTest, AHandOnThatCameHomeIsRememberedForTheWholeTransitTerm) {
  WireRef ref = owner_.Share(owner_.Export());
  ref.transit = TransitToken{kHolderTokenBit | 5};
  owner_.Run();
  owner_.Pause(milliseconds(900));
  owner_.Import(ref);
  owner_.Sleep(seconds(10) - milliseconds(1));
  EXPECT_EQ(owner_.process.sizes().named, 1u);
  owner_.Sleep(milliseconds(1));
  EXPECT_EQ(owner_.process.sizes().named, 0u);
}

TEST_F(LeaseOwnerTest, AHandOnThatNobodyTookUpIsToldUntilAcknowledged) {
  const ObjectId id = Listed(kAlice, 1);
  const TransitToken token{kHolderTokenBit | 5};
  owner_.process.Received(TransitRequest{kAlice, kRun, seconds(2), {{id, token}}}, owner_.now);
  EXPECT_TRUE(Dirty(kAlice, 2, {}).notices.empty());
  owner_.Sleep(seconds(3));

  const std::vector<Notice> expected = {{1, id, token}};
  EXPECT_EQ(Dirty(kAlice, 3, {}).notices, expected);
  EXPECT_EQ(Renew(kAlice, 3, DigestOf({id})).notices, expected) << "the answer may have been lost";
  RenewRequest seen{kAlice, kRun, SequenceNumber{3}, {}, DigestOf({id})};
  seen.notices_seen = 1;
  EXPECT_TRUE(std::get<RenewResponse>(owner_.process.Received(seen, owner_.now)).notices.empty());
}

TEST_F(LeaseOwnerTest, NoticesAreBoundedAndTheOldestAreDropped) {
  const ObjectId id = Listed(kAlice, 1);
  std::vector<Row> rows;
  for (uint64_t i = 0; i < kNoticesMax + 5; ++i) {
    rows.push_back({id, TransitToken{kHolderTokenBit | i}});
  }
  owner_.process.Received(TransitRequest{kAlice, kRun, seconds(2), rows}, owner_.now);
  owner_.Sleep(seconds(3));
  const std::vector<Notice> notices = Dirty(kAlice, 2, {}).notices;
  ASSERT_EQ(notices.size(), kNoticesMax);
  EXPECT_EQ(notices.front().number, 6u);
}

TEST_F(LeaseOwnerTest, OnlyThisRunIsServed) {
  const Response response = owner_.process.Received(
      DirtyRequest{kAlice, Incarnation{8}, SequenceNumber{1}, {}, {}, {}}, owner_.now);
  EXPECT_EQ(std::get<Refusal>(response).code, Refusal::Code::kWrongIncarnation);
  EXPECT_EQ(owner_.process.sizes().clients, 0u);
}

TEST_F(LeaseOwnerTest, DepartedClientsAreForgottenInTime) {
  for (uint64_t i = 0; i < 100; ++i) {
    const ClientId client{5, i};
    const ObjectId id = Listed(client, 1);
    Clean(client, 2, {{id}});
  }
  owner_.Sleep(seconds(11));
  EXPECT_EQ(owner_.process.sizes().clients, 0u);
  EXPECT_EQ(owner_.process.sizes().departed, 100u);
  owner_.Sleep(TestLease().departed_term);
  EXPECT_EQ(owner_.process.sizes().departed, 0u);
  EXPECT_FALSE(owner_.process.wake_at().has_value()) << "nothing is left to wake up for";
}

// What came in before a lease ended may still wait in this process.
class LeaseSelfCallTest : public LeaseOwnerTest {
 protected:
  LeaseSelfCallTest() { owner_.answers_itself = false; }

  TimePoint called_at_ = kStart;
  bool CallsItself() const { return !owner_.sends.empty(); }
  void AnswerItself(bool reached) {
    ASSERT_EQ(owner_.sends.size(), 1u);
    const Send call = std::exchange(owner_.sends, {}).front();
    ASSERT_EQ(call.peer, kSelfPeer);
    Response response = Refusal{Refusal::Code::kUnknownOutcome, "not reached"};
    if (reached) response = owner_.process.Received(call.request, owner_.now);
    owner_.process.Answered(call.peer, call.call, response, owner_.now);
    owner_.Run();
  }
};

TEST_F(LeaseSelfCallTest, ARenewalThatWaitedInThisProcessIsNotLate) {
  const ObjectId id = Listed(kAlice, 1);
  owner_.Sleep(seconds(14));
  ASSERT_TRUE(CallsItself());
  EXPECT_TRUE(Live(id)) << "nothing lapses before the answer";
  EXPECT_EQ(Renew(kAlice, 1, DigestOf({id})).result, RenewResult::kOk);
  AnswerItself(true);
  owner_.Sleep(seconds(9));
  EXPECT_TRUE(Live(id));
  owner_.Sleep(seconds(2));
  AnswerItself(true);
  EXPECT_FALSE(Live(id));
}

TEST_F(LeaseSelfCallTest, ADirtyThatWaitedInThisProcessFindsItsTransitLease) {
  const Target handle = owner_.Export();
  const WireRef ref = owner_.Share(handle);
  owner_.Drop(handle);
  owner_.Sleep(seconds(14));
  ASSERT_TRUE(CallsItself());
  EXPECT_TRUE(Dirty(kAlice, 1, {{ref.id, ref.transit}}).failures.empty());
  AnswerItself(true);
  EXPECT_TRUE(Live(ref.id));
}

TEST_F(LeaseSelfCallTest, ACallThatLeftBeforeTheEndOfALeaseSaysNothingOfIt) {
  const ObjectId early = Listed(kAlice, 1);
  owner_.Sleep(seconds(1));
  const ObjectId late = Listed(kBob, 1);
  owner_.Sleep(seconds(11));
  AnswerItself(true);
  EXPECT_FALSE(Live(early));
  EXPECT_TRUE(Live(late));
  AnswerItself(true);
  EXPECT_FALSE(Live(late));
}

TEST_F(LeaseSelfCallTest, ACallThatTimesOutHoldsUpNobodyForLonger) {
  const ObjectId early = Listed(kAlice, 1);
  owner_.Sleep(seconds(1));
  const ObjectId late = Listed(kBob, 1);
  owner_.Sleep(seconds(9));
  const TimePoint end = owner_.now;
  while (Live(late) && owner_.now < end + seconds(100)) {
    if (CallsItself() && owner_.now >= called_at_ + owner_.sends.front().timeout)
      AnswerItself(false);
    if (!CallsItself()) called_at_ = owner_.now + milliseconds(250);
    owner_.Sleep(milliseconds(250));
  }
  EXPECT_FALSE(Live(early));
  EXPECT_LE(owner_.now, end + TestLease().self_call_timeout + seconds(3));
}

TEST_F(LeaseSelfCallTest, NobodyElseCanSpoilOrUseACall) {
  Listed(kAlice, 1);
  Dirty(owner_.client(), 1, {});
  owner_.Sleep(seconds(11));
  ASSERT_TRUE(CallsItself());
  EXPECT_NE(std::get<RenewRequest>(owner_.sends.front().request).client, owner_.client());
  AnswerItself(true);
  EXPECT_EQ(owner_.process.counters().self_calls_failed, 0u);
}

TEST_F(LeaseSelfCallTest, AnOwnerThatCannotReachItselfReapsAllTheSame) {
  const ObjectId id = Listed(kAlice, 1);
  owner_.Sleep(seconds(10));
  const TimePoint end = owner_.now;
  while (Live(id) && owner_.now < end + seconds(60)) {
    if (CallsItself()) AnswerItself(false);
    owner_.Sleep(milliseconds(250));
  }
  EXPECT_GE(owner_.now, end + TestLease().self_call_timeout);
  EXPECT_LE(owner_.now, end + TestLease().self_call_timeout + seconds(1));
  EXPECT_GT(owner_.process.counters().self_calls_failed, 10u);
}

LeaseOptions SmallBounds() {
  LeaseOptions options = TestLease();
  options.clients_max = 2;
  options.listings_per_client_max = 3;
  options.listings_max = 4;
  options.transits_max = 5;
  options.transits_per_client_max = 2;
  options.transits_unregistered_max = 2;
  options.departed_max = 2;
  options.transits_named_max = 2;
  options.limbo = seconds(5);
  return options;
}

class LeaseBoundsTest : public LeaseOwnerTest {
 protected:
  LeaseBoundsTest() : LeaseOwnerTest(SmallBounds()) {}
  Refusal::Code Refused(Request request) {
    const Response response = owner_.process.Received(request, owner_.now);
    EXPECT_TRUE(std::holds_alternative<Refusal>(response));
    return std::get<Refusal>(response).code;
  }
};

TEST_F(LeaseBoundsTest, ListingsPerClientAndInAll) {
  std::vector<Row> rows;
  for (int i = 0; i < 5; ++i) rows.push_back({IdOf(owner_.Export())});
  Dirty(kAlice, 1, {rows[0], rows[1], rows[2]});
  EXPECT_EQ(Dirty(kAlice, 2, {rows[3]}).failures.at(0).reason, FailureReason::kQuota);
  EXPECT_TRUE(Dirty(kAlice, 3, {rows[0], rows[1], rows[2]}).failures.empty())
      << "what is listed already can always be listed again";
  Dirty(kBob, 1, {rows[0]});
  const DirtyResponse full = Dirty(kBob, 2, {rows[1], rows[0]});
  ASSERT_EQ(full.failures.size(), 1u) << "each row by itself";
  EXPECT_EQ(full.failures[0].reason, FailureReason::kQuota);
  EXPECT_EQ(owner_.process.sizes().listings, 4u);
  EXPECT_EQ(owner_.process.counters().rows_refused, 2u);
}

TEST_F(LeaseBoundsTest, AListingOfALapsedClientCountsUntilItIsTakenApart) {
  std::vector<Row> rows;
  for (int i = 0; i < 5; ++i) rows.push_back({IdOf(owner_.Export())});
  Dirty(kAlice, 1, {rows[0], rows[1], rows[2]});
  owner_.process.Received(GoodbyeRequest{kAlice, kRun, SequenceNumber{2}}, owner_.now);
  EXPECT_EQ(Dirty(kBob, 1, {rows[0], rows[1]}).failures.at(0).index, 1u) << "4 in all";
  owner_.Run();
  EXPECT_TRUE(Dirty(kBob, 2, {rows[0], rows[1]}).failures.empty());
}

TEST_F(LeaseBoundsTest, Clients) {
  Dirty(kAlice, 1, {});
  Dirty(kBob, 1, {});
  EXPECT_EQ(Refused(DirtyRequest{{9, 9}, kRun, SequenceNumber{1}}),
            Refusal::Code::kResourceExhausted);
  owner_.Sleep(seconds(10));
  EXPECT_TRUE(Dirty({9, 9}, 2, {}).failures.empty());
}

TEST_F(LeaseBoundsTest, TransitLeasesPerClientOfStrangersAndInAll) {
  const Target handle = owner_.Export();
  const auto share = [&](ClientId receiver) {
    return owner_.process.Share(handle, receiver, {}, owner_.now).status().code();
  };
  EXPECT_EQ(share({}), absl::StatusCode::kOk);
  EXPECT_EQ(share({77, 77}), absl::StatusCode::kOk);
  EXPECT_EQ(share({}), absl::StatusCode::kResourceExhausted) << "anonymous callers share a bound";

  Dirty(kAlice, 1, {});
  Dirty(kBob, 1, {});
  EXPECT_EQ(share(kAlice), absl::StatusCode::kOk);
  const WireRef second = *owner_.process.Share(handle, kAlice, {}, owner_.now);
  EXPECT_EQ(share(kAlice), absl::StatusCode::kResourceExhausted) << "her own bound";
  const Response declared = owner_.process.Received(
      TransitRequest{kAlice, kRun, {}, {{IdOf(handle), TransitToken{kHolderTokenBit | 5}}}},
      owner_.now);
  EXPECT_EQ(std::get<TransitResponse>(declared).failures.at(0).reason, FailureReason::kQuota);
  EXPECT_EQ(share(kBob), absl::StatusCode::kOk);
  EXPECT_EQ(share(kBob), absl::StatusCode::kResourceExhausted) << "all together";

  Clean(kAlice, 2, {{second.id, second.transit}});
  EXPECT_EQ(share(kAlice), absl::StatusCode::kOk);
}

TEST_F(LeaseBoundsTest, TokensRememberedAsNamed) {
  const ObjectId id = Listed(kAlice, 1);
  const auto row = [&](uint64_t i) { return Row{id, TransitToken{kHolderTokenBit | i}}; };
  Dirty(kBob, 1, {row(1), row(2), row(3)});
  EXPECT_EQ(owner_.process.sizes().named, 2u);
  owner_.process.Received(TransitRequest{kAlice, kRun, {}, {row(1), row(3)}}, owner_.now);
  EXPECT_EQ(owner_.process.sizes().transits, 1u) << "only the oldest is forgotten";
}

TEST_F(LeaseBoundsTest, DepartedClients) {
  const Target handle = owner_.Export();
  for (const ClientId client : {ClientId{5, 1}, ClientId{5, 2}, ClientId{5, 3}}) {
    owner_.process.Received(GoodbyeRequest{client, kRun, SequenceNumber{9}}, owner_.now);
  }
  EXPECT_EQ(owner_.process.sizes().departed, 2u);
  EXPECT_EQ(Dirty({5, 3}, 8, {{IdOf(handle)}}).failures.size(), 1u) << "remembered: stale";
  EXPECT_TRUE(Dirty({5, 1}, 8, {{IdOf(handle)}}).failures.empty()) << "the oldest is forgotten";
}

TEST_F(LeaseOwnerTest, AtMost1024DeadlinesAreDecidedPerTick) {
  for (uint64_t i = 1; i <= 1500; ++i) Dirty({100, i}, 1, {});
  for (int i = 0; i < 40; ++i) {
    owner_.now += milliseconds(250);
    owner_.process.Tick(owner_.now);
  }
  EXPECT_EQ(owner_.process.sizes().clients, 1500u - 1024u);
  EXPECT_EQ(owner_.process.wake_at(), TimePoint::min()) << "the rest is due at once";
  owner_.process.Tick(owner_.now);
  EXPECT_EQ(owner_.process.sizes().clients, 0u);
}

TEST_F(LeaseBoundsTest, InLimboALateRenewalLosesNothing) {
  const ObjectId id = Listed(kAlice, 1);
  owner_.Sleep(seconds(14));
  EXPECT_EQ(owner_.process.sizes().clients_in_limbo, 1u);
  EXPECT_EQ(Renew(kAlice, 1, DigestOf({id})).result, RenewResult::kOk);
  EXPECT_EQ(owner_.process.sizes().clients_in_limbo, 0u);
  owner_.Sleep(seconds(9));
  EXPECT_TRUE(Live(id));
  owner_.Sleep(seconds(7));
  EXPECT_FALSE(Live(id));
}

LeaseOptions Brake() {
  LeaseOptions options = TestLease();
  options.brake_percent = 50;
  options.brake_clients_min = 4;
  options.brake_hold = seconds(60);
  return options;
}

class LeaseBrakeTest : public LeaseOwnerTest {
 protected:
  LeaseBrakeTest() : LeaseOwnerTest(Brake()) {}

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

LeaseOptions Budget() {
  LeaseOptions options = TestLease();
  options.renewals_per_second_max = 1;
  return options;
}

class LeaseBudgetTest : public LeaseOwnerTest {
 protected:
  LeaseBudgetTest() : LeaseOwnerTest(Budget()) {}
};

TEST_F(LeaseBudgetTest, UnderMoreRenewalsThanTheBudgetTermsGrowAndComeBack) {
  EXPECT_EQ(Dirty(kAlice, 1, {}).granted_term, seconds(10));
  for (uint64_t i = 1; i <= 19; ++i) Dirty({100, i}, 1, {});
  EXPECT_EQ(Dirty(kAlice, 2, {}).granted_term, seconds(60))
      << "20 clients, three times per term, 1/s";
  owner_.Sleep(seconds(59));
  EXPECT_EQ(owner_.process.sizes().clients, 1u);
  EXPECT_EQ(Dirty(kAlice, 3, {}).granted_term, seconds(10));
}

TEST_F(LeaseOwnerTest, ALapseOfManyListingsIsTakenApartInBoundedSteps) {
  std::vector<Row> rows;
  std::vector<Target> handles;
  for (int i = 0; i < 1000; ++i) {
    handles.push_back(owner_.Export());
    rows.push_back({IdOf(handles.back())});
  }
  Dirty(kAlice, 1, rows);
  for (const Target handle : handles) owner_.Drop(handle);
  owner_.Run();
  for (int i = 0; i < 39; ++i) {
    owner_.now += milliseconds(250);
    owner_.process.Tick(owner_.now);
  }
  owner_.now += milliseconds(250);
  owner_.process.Tick(owner_.now);
  EXPECT_TRUE(owner_.TakeOutputs());
  owner_.process.Tick(owner_.now);

  size_t live = owner_.live();
  EXPECT_EQ(live, 1000u);
  while (owner_.process.Work(10, owner_.now)) {
    EXPECT_LE(live - owner_.live(), 10u);
    live = owner_.live();
  }
  EXPECT_EQ(owner_.live(), 0u);
}

}  // namespace
}  // namespace dgc::testing
