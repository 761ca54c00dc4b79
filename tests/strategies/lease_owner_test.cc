// The owner's half of the lease strategy, told requests by hand.
#include <algorithm>
#include <utility>
#include <variant>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/strategies/lease_owner_fixture.h"
#include "tests/testing/least_time.h"

namespace dgc::testing {
namespace {

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

TEST_F(LeaseOwnerTest, TransitTermsAreClampedToo) {
  const Target handle = owner_.Export();
  const auto declare = [&](Duration term) {
    const Row row{IdOf(handle), TransitToken{kHolderTokenBit | 5}};
    const Response response = owner_.Received(TransitRequest{kAlice, kRun, term, {row}});
    return std::get<TransitResponse>(response).granted_term;
  };
  EXPECT_EQ(declare({}), TestLease().transit_term);
  EXPECT_EQ(declare(Duration(1)), TestLease().term_min);
  EXPECT_EQ(declare(std::chrono::hours(20)), std::chrono::hours(20)) << "however short leases are";
  EXPECT_EQ(declare(std::chrono::hours(30)), kTermMax);
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
  owner_.Received(DirtyRequest{kAlice, kRun, SequenceNumber{5}, {}, {{kept}}, SequenceNumber{5}});
  owner_.Run();
  EXPECT_TRUE(Live(kept));
  EXPECT_FALSE(Live(leaked));
  EXPECT_EQ(Renew(kAlice, 5, DigestOf({kept})).result, RenewResult::kOk);
}

TEST_F(LeaseOwnerTest, AGhostOfARelistingRemovesNothing) {
  const ObjectId a = Listed(kAlice, 1);
  const ObjectId b = Listed(kAlice, 9);
  owner_.Received(DirtyRequest{kAlice, kRun, SequenceNumber{8}, {}, {}, SequenceNumber{8}});
  owner_.Run();
  EXPECT_TRUE(Live(a));
  EXPECT_TRUE(Live(b));
}

TEST_F(LeaseOwnerTest, NothingOfACompleteReListingIsLate) {
  const ObjectId id = Listed(kAlice, 1);
  const Response response =
      owner_.Received(DirtyRequest{kAlice, kRun, SequenceNumber{2}, {}, {{id}}, SequenceNumber{2}});
  EXPECT_TRUE(std::get<DirtyResponse>(response).failures.empty());
  EXPECT_EQ(owner_.process.counters().late_calls, 0u);
}

TEST_F(LeaseOwnerTest, GoodbyeReleasesEverythingAtOnceAndLaterGhostsAreStale) {
  const ObjectId id = Listed(kAlice, 1);
  const Target other = owner_.Export();
  owner_.Received(GoodbyeRequest{kAlice, kRun, SequenceNumber{9}});
  owner_.Run();
  EXPECT_FALSE(Live(id));
  EXPECT_EQ(owner_.process.sizes().clients, 0u);
  EXPECT_EQ(Dirty(kAlice, 8, {{IdOf(other)}}).failures.at(0).reason, FailureReason::kStale);
}

TEST_F(LeaseOwnerTest, AGoodbyeThatComesAfterTheLapseStillCounts) {
  const Target handle = owner_.Export();
  Listed(kAlice, 5);
  owner_.Sleep(seconds(10));
  ASSERT_EQ(owner_.process.sizes().clients, 0u);

  owner_.Received(GoodbyeRequest{kAlice, kRun, SequenceNumber{9}});

  EXPECT_EQ(Dirty(kAlice, 8, {{IdOf(handle)}}).failures.at(0).reason, FailureReason::kStale);
}

TEST_F(LeaseOwnerTest, AGhostOfAGoodbyeIsIgnored) {
  const ObjectId id = Listed(kAlice, 9);
  owner_.Received(GoodbyeRequest{kAlice, kRun, SequenceNumber{8}});
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
  const Response response = owner_.Received(forged);
  owner_.Run();
  EXPECT_EQ(std::get<Refusal>(response).code, Refusal::Code::kPermissionDenied);
  EXPECT_TRUE(Live(id));
  EXPECT_TRUE(Dirty(kAlice, 2, {{id}}).failures.empty()) << "and she is not locked out";

  owner_.Received(GoodbyeRequest{kAlice, kRun, SequenceNumber{3}});
  EXPECT_EQ(std::get<Refusal>(owner_.Received(forged)).code, Refusal::Code::kPermissionDenied)
      << "also after she has left";
}

TEST_F(LeaseOwnerTest, ADeclarationThatComesAfterTheReceiversDirtyIsVoid) {
  const ObjectId id = Listed(kAlice, 1);
  const Row row{id, TransitToken{kHolderTokenBit | 5}};
  Dirty(kBob, 1, {row});
  owner_.Received(TransitRequest{kAlice, kRun, {}, {row}});
  EXPECT_EQ(owner_.process.sizes().transits, 0u);
  owner_.Received(TransitRequest{kAlice, kRun, {}, {row}});
  EXPECT_EQ(owner_.process.sizes().transits, 0u) << "and so is a ghost of it";

  owner_.Sleep(TestLease().departed_term);
  EXPECT_EQ(owner_.process.sizes().named, 0u) << "forgotten in time";
}

// Campaign, seed 676.
TEST_F(LeaseOwnerTest, AHandOnThatCameHomeIsRememberedForTheWholeTime) {
  WireRef ref = owner_.Share(owner_.Export());
  ref.transit = TransitToken{kHolderTokenBit | 5};
  owner_.Run();
  owner_.Pause(milliseconds(900));
  owner_.Import(ref);
  owner_.Sleep(TestLease().departed_term - milliseconds(1));
  EXPECT_EQ(owner_.process.sizes().named, 1u);
  owner_.Sleep(milliseconds(1));
  EXPECT_EQ(owner_.process.sizes().named, 0u);
}

TEST_F(LeaseOwnerTest, AHandOnThatNobodyTookUpIsToldUntilAcknowledged) {
  const ObjectId id = Listed(kAlice, 1);
  const TransitToken token{kHolderTokenBit | 5};
  owner_.Received(TransitRequest{kAlice, kRun, seconds(2), {{id, token}}});
  EXPECT_TRUE(Dirty(kAlice, 2, {}).notices.empty());
  owner_.Sleep(seconds(3));

  const std::vector<Notice> expected = {{1, id, token}};
  EXPECT_EQ(Dirty(kAlice, 3, {}).notices, expected);
  EXPECT_EQ(Renew(kAlice, 3, DigestOf({id})).notices, expected) << "the answer may have been lost";
  RenewRequest seen{kAlice, kRun, SequenceNumber{3}, {}, DigestOf({id})};
  seen.notices_seen = 1;
  EXPECT_TRUE(std::get<RenewResponse>(owner_.Received(seen)).notices.empty());
}

// Campaign, seed 118991.
TEST_F(LeaseOwnerTest, WhoHandsOnAndLetsGoJustBeforeItsLeaseEndsIsTold) {
  const ObjectId id = Listed(kAlice, 1);
  owner_.Sleep(TestLease().term_default - milliseconds(100));
  const TransitToken token{kHolderTokenBit | 5};
  owner_.Received(TransitRequest{kAlice, kRun, seconds(2), {{id, token}}});
  Clean(kAlice, 2, {{id}});
  owner_.Sleep(seconds(3));
  const RenewResponse response = Renew(kAlice, 2, {});
  EXPECT_EQ(response.result, RenewResult::kOk);
  EXPECT_THAT(response.notices, ::testing::ElementsAre(Notice{1, id, token}));
}

TEST_F(LeaseOwnerTest, WhoLetsGoWhileANoticeWaitsForItIsTold) {
  const ObjectId id = Listed(kAlice, 1);
  const TransitToken token{kHolderTokenBit | 5};
  owner_.Received(TransitRequest{kAlice, kRun, seconds(2), {{id, token}}});
  owner_.Sleep(TestLease().term_default - milliseconds(100));
  Clean(kAlice, 2, {{id}});
  owner_.Sleep(seconds(3));
  EXPECT_THAT(Renew(kAlice, 2, {}).notices, ::testing::ElementsAre(Notice{1, id, token}));
}

// Whatever takes the place of a client that has lapsed is another.
TEST_F(LeaseOwnerTest, OnlyWhoHasDeclaredAHandOnIsToldOfIt) {
  const ObjectId id = IdOf(owner_.Export());
  const Row row{id, TransitToken{kHolderTokenBit | 5}};
  Dirty(kAlice, 1, {});
  owner_.Received(TransitRequest{kAlice, kRun, seconds(40), {row}});
  owner_.Sleep(TestLease().term_default);
  owner_.Sleep(TestLease().limbo);
  ASSERT_EQ(owner_.process.sizes().clients, 0u);
  Dirty(kBob, 1, {});
  EXPECT_FALSE(Renew(kBob, 1, {}).hand_ons_open);
  Dirty(kAlice, 2, {});
  EXPECT_FALSE(Renew(kAlice, 2, {}).hand_ons_open) << "not since she has lapsed";
  owner_.Received(TransitRequest{kAlice, kRun, seconds(5), {row}});
  EXPECT_TRUE(Renew(kAlice, 2, {}).hand_ons_open) << "but she has declared it again";
  for (int i = 0; i < 40; ++i) {
    owner_.Sleep(seconds(1));
    Renew(kAlice, 2, {});
    Renew(kBob, 1, {});
  }
  EXPECT_EQ(Renew(kAlice, 2, {}).notices.size(), 1u);
  EXPECT_TRUE(Renew(kBob, 1, {}).notices.empty());
}

TEST_F(LeaseOwnerTest, WhatIsOnItsWayToAClientIsNoHandOnOfIts) {
  Dirty(kAlice, 1, {});
  ASSERT_TRUE(owner_.process.Share(owner_.Export(), kAlice, seconds(2), owner_.now).ok());
  EXPECT_FALSE(Renew(kAlice, 1, {}).hand_ons_open);
  owner_.Sleep(seconds(3));
  EXPECT_TRUE(Renew(kAlice, 1, {}).notices.empty());
}

TEST_F(LeaseOwnerTest, ADeclarationOfNobodysDoesNotTakeAHandOnFromItsSender) {
  LeaseOptions options = TestLease();
  options.clients_max = 1;
  Node owner(7, "host:1", options);
  const Row row{owner.process.Describe(owner.Export()).id, TransitToken{kHolderTokenBit | 5}};
  const TransitRequest transit{kAlice, kRun, seconds(2), {row}};
  owner.Received(transit);
  TransitRequest strangers = transit;
  strangers.client = kBob;
  owner.Received(strangers);
  owner.Sleep(seconds(3));
  const Response response = owner.Received(RenewRequest{kAlice, kRun, SequenceNumber{1}, {}, {}});
  EXPECT_EQ(std::get<RenewResponse>(response).notices.size(), 1u);
}

TEST_F(LeaseOwnerTest, ANoticeOfWhatIsDeclaredAgainIsWithdrawn) {
  const ObjectId id = Listed(kAlice, 1);
  const TransitRequest transit{kAlice, kRun, seconds(2), {{id, TransitToken{kHolderTokenBit | 5}}}};
  owner_.Received(transit);
  owner_.Sleep(seconds(3));
  owner_.Received(transit);
  const RenewResponse response = Renew(kAlice, 1, DigestOf({id}));
  EXPECT_TRUE(response.notices.empty());
  EXPECT_TRUE(response.hand_ons_open);
}

TEST_F(LeaseOwnerTest, ARenewalIsToldWhetherAHandOnIsOpen) {
  const ObjectId id = Listed(kAlice, 1);
  const auto open = [&] {
    const RenewRequest renew{kAlice, kRun, SequenceNumber{1}, {}, DigestOf({id})};
    return std::get<RenewResponse>(owner_.Received(renew)).hand_ons_open;
  };
  const auto declare = [&](uint64_t token) {
    const Row row{id, TransitToken{kHolderTokenBit | token}};
    owner_.Received(TransitRequest{kAlice, kRun, seconds(2), {row}});
    return row;
  };
  EXPECT_FALSE(open());
  const Row taken_up = declare(5);
  EXPECT_TRUE(open());
  declare(5);
  EXPECT_TRUE(open());
  owner_.Received(DirtyRequest{kBob, kRun, SequenceNumber{1}, {}, {taken_up}});
  EXPECT_FALSE(open()) << "taken up";
  declare(5);
  EXPECT_FALSE(open()) << "void";
  declare(6);
  declare(7);
  owner_.Sleep(seconds(1));
  declare(7);
  owner_.Sleep(seconds(1));
  EXPECT_TRUE(open()) << "one of two has ended";
  owner_.Sleep(seconds(1));
  EXPECT_FALSE(open());
}

TEST_F(LeaseOwnerTest, NoticesAreBoundedAndTheOldestAreDropped) {
  const ObjectId id = Listed(kAlice, 1);
  std::vector<Row> rows;
  for (uint64_t i = 0; i < kNoticesMax + 5; ++i) {
    rows.push_back({id, TransitToken{kHolderTokenBit | i}});
  }
  owner_.Received(TransitRequest{kAlice, kRun, seconds(2), rows});
  owner_.Sleep(seconds(3));
  const std::vector<Notice> notices = Dirty(kAlice, 2, {}).notices;
  ASSERT_EQ(notices.size(), kNoticesMax);
  EXPECT_EQ(notices.front().number, 6u);
}

TEST_F(LeaseOwnerTest, OnlyThisRunIsServed) {
  const Response response =
      owner_.Received(DirtyRequest{kAlice, Incarnation{8}, SequenceNumber{1}, {}, {}, {}});
  EXPECT_EQ(std::get<Refusal>(response).code, Refusal::Code::kWrongIncarnation);
  EXPECT_EQ(owner_.process.sizes().clients, 0u);
}

TEST_F(LeaseOwnerTest, OnlyWhoMeansThisOwnerIsServed) {
  const Response response = owner_.Received(DirtyRequest{
      .client = kAlice, .incarnation = kRun, .sequence = SequenceNumber{1}, .owner = "alias:1"});
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

TEST_F(LeaseOwnerTest, AnObjectWithManyHoldersCostsWhatOneWithFewDoes) {
  const auto time = [this](uint64_t holders) {
    const Target handle = owner_.Export();
    for (uint64_t i = 1; i <= holders; ++i) Dirty({holders, i}, 1, {{IdOf(handle)}});
    uint64_t sequence = 0;
    return LeastSeconds([&] {
      for (int i = 0; i < 1000; ++i) {
        Dirty({holders, 1}, ++sequence, {{IdOf(handle)}});
        Clean({holders, 1}, ++sequence, {{IdOf(handle)}});
        Clean({holders, 2}, ++sequence, {{IdOf(handle)}});
        Dirty({holders, 2}, ++sequence, {{IdOf(handle)}});
      }
    });
  };
  const double few = time(10);
  const double many = time(100'000);

  EXPECT_LT(many, 10 * few);
}

// As far as it depends on what clients know: their ids, and the positions that object ids show.
TEST_F(LeaseOwnerTest, TheOrderOfAClientsListingsIsASecretOfThisRun) {
  Node other(8, "host:1", TestLease());
  const auto order = [](Node& node) {
    std::vector<Row> rows;
    std::vector<Target> handles;
    for (int i = 0; i < 100; ++i) {
      handles.push_back(node.Export());
      rows.push_back({node.process.Describe(handles.back()).id});
    }
    const Incarnation run = node.process.options().incarnation;
    node.Received(DirtyRequest{kAlice, run, SequenceNumber{1}, {}, rows, {}});
    for (const Target handle : handles) node.Drop(handle);
    node.Sleep(seconds(11));
    std::vector<ObjectId> reclaimed;
    for (const Reclaimed& end : node.reclaimed) reclaimed.push_back(end.id);
    return reclaimed;
  };

  const std::vector<ObjectId> here = order(owner_);
  const std::vector<ObjectId> there = order(other);

  EXPECT_THAT(here, ::testing::UnorderedElementsAreArray(there));
  EXPECT_NE(here, there);
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

// Whether or not anything is reclaimed by it.
TEST_F(LeaseOwnerTest, TheListingsOfALapsedClientAreTakenApartInBoundedSteps) {
  std::vector<Row> rows;
  for (int i = 0; i < 1000; ++i) rows.push_back({IdOf(owner_.Export())});
  Dirty(kAlice, 1, rows);
  owner_.Received(GoodbyeRequest{kAlice, kRun, SequenceNumber{2}});

  uint64_t left = owner_.process.sizes().reaping;
  EXPECT_EQ(left, 1000u);
  while (owner_.process.Work(10, owner_.now)) {
    EXPECT_LE(left - owner_.process.sizes().reaping, 10u);
    left = owner_.process.sizes().reaping;
  }
  EXPECT_EQ(left, 0u);
  EXPECT_EQ(owner_.live(), 1000u);
}

TEST_F(LeaseOwnerTest, TheVeryLastDirtyOfALapsedClientIsStaleWhenItComesAgain) {
  const ObjectId id = IdOf(owner_.Export());
  Dirty(kAlice, 5, {{id}});
  owner_.Sleep(seconds(12));
  ASSERT_EQ(owner_.process.sizes().clients, 0u);
  EXPECT_EQ(Dirty(kAlice, 5, {{id}}).failures.at(0).reason, FailureReason::kStale);
  EXPECT_TRUE(Dirty(kAlice, 6, {{id}}).failures.empty());
}

// That the reference is listed by a later Dirty says nothing of the copy.
TEST_F(LeaseOwnerTest, ALateCleanNamesItsTokenAllTheSame) {
  const Target handle = owner_.Export();
  const WireRef copy = owner_.Share(handle);
  Dirty(kAlice, 5, {{copy.id}});
  Clean(kAlice, 4, {{copy.id, copy.transit}});
  EXPECT_EQ(owner_.process.sizes().transits, 0u);
  EXPECT_EQ(owner_.process.sizes().listings, 1u);
}

TEST_F(LeaseOwnerTest, TokensOfTransitLeasesAreNotToBeGuessedFromOthers) {
  const Target handle = owner_.Export();
  std::vector<uint64_t> tokens;
  for (int i = 0; i < 100; ++i) tokens.push_back(Raw(owner_.Share(handle).transit));
  std::sort(tokens.begin(), tokens.end());
  for (size_t i = 1; i < tokens.size(); ++i) EXPECT_GT(tokens[i] - tokens[i - 1], 1u << 20);
}

}  // namespace
}  // namespace dgc::testing
