// The owner's bounds: what it refuses, and how little it keeps and does at once.
#include <utility>
#include <variant>

#include "gtest/gtest.h"
#include "tests/strategies/lease_owner_fixture.h"
#include "tests/testing/heap_bytes.h"

namespace dgc::testing {
namespace {

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
    const Response response = owner_.Received(request);
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
  owner_.Received(GoodbyeRequest{kAlice, kRun, SequenceNumber{2}});
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
  const Response declared = owner_.Received(
      TransitRequest{kAlice, kRun, {}, {{IdOf(handle), TransitToken{kHolderTokenBit | 5}}}});
  EXPECT_EQ(std::get<TransitResponse>(declared).failures.at(0).reason, FailureReason::kQuota);
  EXPECT_EQ(share(kBob), absl::StatusCode::kOk);
  EXPECT_EQ(share(kBob), absl::StatusCode::kResourceExhausted) << "all together";

  Clean(kAlice, 2, {{second.id, second.transit}});
  EXPECT_EQ(share(kAlice), absl::StatusCode::kOk);
}

TEST_F(LeaseBoundsTest, ATransitLeaseThatEndsIsNotCountedAnyMore) {
  const Target handle = owner_.Export();
  const auto share = [&](ClientId receiver) {
    return owner_.process.Share(handle, receiver, {}, owner_.now).status().code();
  };
  Dirty(kAlice, 1, {});
  for (const ClientId receiver : {kAlice, ClientId{}}) {
    EXPECT_EQ(share(receiver), absl::StatusCode::kOk);
    EXPECT_EQ(share(receiver), absl::StatusCode::kOk);
    EXPECT_EQ(share(receiver), absl::StatusCode::kResourceExhausted);
  }
  owner_.Sleep(seconds(5));
  Dirty(kAlice, 2, {});

  owner_.Sleep(seconds(5));

  EXPECT_EQ(owner_.process.sizes().transits, 0u);
  EXPECT_EQ(share(kAlice), absl::StatusCode::kOk);
  EXPECT_EQ(share({}), absl::StatusCode::kOk);
}

TEST_F(LeaseBoundsTest, WhoLeavesTwiceIsForgottenInTheOrderOfTheSecondTime) {
  const Target handle = owner_.Export();
  const auto leave = [&](ClientId client, uint64_t sequence) {
    owner_.Received(GoodbyeRequest{client, kRun, SequenceNumber{sequence}});
  };
  leave(kAlice, 2);
  owner_.Sleep(seconds(1));
  Dirty(kAlice, 3, {});
  leave(kAlice, 4);

  leave(kBob, 9);  // One record too many: her first.

  EXPECT_EQ(Dirty(kAlice, 3, {{IdOf(handle)}}).failures.size(), 1u) << "remembered: stale";
}

TEST_F(LeaseBoundsTest, TokensRememberedAsNamed) {
  const ObjectId id = Listed(kAlice, 1);
  const auto row = [&](uint64_t i) { return Row{id, TransitToken{kHolderTokenBit | i}}; };
  Dirty(kBob, 1, {row(1), row(2), row(3)});
  EXPECT_EQ(owner_.process.sizes().named, 2u);
  owner_.Received(TransitRequest{kAlice, kRun, {}, {row(1), row(3)}});
  EXPECT_EQ(owner_.process.sizes().transits, 1u) << "only the oldest is forgotten";
}

// One notice each is left of those there were.
TEST_F(LeaseOwnerTest, NoticesThatWereSeenTakeNoRoom) {
  const ObjectId id = IdOf(owner_.Export());
  constexpr uint64_t kClients = 200;
  std::vector<Row> rows;
  for (uint64_t i = 0; i < kNoticesMax; ++i)
    rows.push_back({id, TransitToken{kHolderTokenBit | i}});
  const size_t before = HeapBytes();
  uint64_t made = 0;
  for (uint64_t i = 1; i <= kClients; ++i) {
    const ClientId client{100, i};
    Dirty(client, 1, {}, seconds(600));
    for (Row& row : rows) row.transit = TransitToken{Raw(row.transit) + kNoticesMax};
    owner_.Received(TransitRequest{client, kRun, seconds(1), rows});
    owner_.Sleep(seconds(2));
    made += kNoticesMax;
    owner_.Received(RenewRequest{.client = client,
                                 .incarnation = kRun,
                                 .sequence = SequenceNumber{1},
                                 .requested_term = seconds(600),
                                 .notices_seen = made - 1});
  }
  EXPECT_EQ(owner_.process.sizes().clients, kClients);
  EXPECT_LT(HeapBytes(), before + kClients * kNoticesMax * sizeof(Notice) / 4);
}

class LeaseNoticesTest : public LeaseOwnerTest {
 protected:
  LeaseNoticesTest() : LeaseOwnerTest(Options()) {}
  static LeaseOptions Options() {
    LeaseOptions options = TestLease();
    options.notices_max = 3;
    return options;
  }
  // `client` hands on what nobody takes up; what it is told of then.
  void HandOn(ClientId client, const ObjectId& id, uint64_t token) {
    const Row row{id, TransitToken{kHolderTokenBit | token}};
    owner_.Received(TransitRequest{client, kRun, seconds(1), {row}});
    owner_.Sleep(seconds(2));
  }
  std::vector<uint64_t> Told(ClientId client) {
    std::vector<uint64_t> tokens;
    for (const Notice& notice : Renew(client, 1, {}).notices) {
      tokens.push_back(Raw(notice.transit) & ~kHolderTokenBit);
    }
    return tokens;
  }
};

TEST_F(LeaseNoticesTest, InAll) {
  const ObjectId id = IdOf(owner_.Export());
  for (const ClientId client : {kAlice, kBob, ClientId{9, 9}}) Dirty(client, 1, {}, seconds(60));
  HandOn(kAlice, id, 1);
  HandOn(kAlice, id, 2);
  HandOn(kBob, id, 3);
  HandOn(kAlice, id, 4);
  HandOn({9, 9}, id, 5);
  EXPECT_EQ(Told(kAlice), (std::vector<uint64_t>{2, 4})) << "her oldest made room";
  EXPECT_EQ(Told(kBob), std::vector<uint64_t>{3});
  EXPECT_EQ(Told({9, 9}), std::vector<uint64_t>{}) << "there was no room, and is none of its own";

  // What is acknowledged, declared again, or of one who leaves makes room.
  owner_.Received(RenewRequest{
      .client = kBob, .incarnation = kRun, .sequence = SequenceNumber{1}, .notices_seen = 3});
  HandOn({9, 9}, id, 6);
  EXPECT_EQ(Told({9, 9}), std::vector<uint64_t>{6});
  owner_.Received(GoodbyeRequest{kAlice, kRun, SequenceNumber{2}});
  HandOn(kBob, id, 7);
  HandOn(kBob, id, 8);
  EXPECT_EQ(Told(kBob), (std::vector<uint64_t>{7, 8}));
  HandOn(kBob, id, 7);
  HandOn(kBob, id, 9);
  EXPECT_EQ(Told(kBob), (std::vector<uint64_t>{7, 9})) << "8 made room, as there are 3 again";
}

TEST_F(LeaseBoundsTest, DepartedClients) {
  const Target handle = owner_.Export();
  for (const ClientId client : {ClientId{5, 1}, ClientId{5, 2}, ClientId{5, 3}}) {
    owner_.Received(GoodbyeRequest{client, kRun, SequenceNumber{9}});
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

// Deadlines that have become pointless make room, and only they: so many would take twice as much.
constexpr int kMany = 30'000;
constexpr size_t kFew = 256 << 10;

TEST_F(LeaseBoundsTest, DeadlinesOfReferencesThatWereTakenUp) {
  const Target handle = owner_.Export();
  const WireRef on_its_way = owner_.Share(handle);
  const size_t before = HeapBytes();
  for (int i = 0; i < kMany; ++i) owner_.Drop(owner_.Import(owner_.Share(handle)));

  EXPECT_LT(HeapBytes(), before + kFew);
  owner_.Drop(handle);
  owner_.Sleep(seconds(10) - milliseconds(1));
  EXPECT_TRUE(owner_.Live(on_its_way));
  owner_.Sleep(milliseconds(1));
  EXPECT_FALSE(owner_.Live(on_its_way));
}

TEST_F(LeaseBoundsTest, DeadlinesOfClientsThatLeft) {
  const ObjectId id = Listed(kAlice, 1);
  const size_t before = HeapBytes();
  for (uint64_t i = 1; i <= kMany; ++i) {
    const ClientId client{5, i};
    Dirty(client, 1, {});
    owner_.Received(GoodbyeRequest{client, kRun, SequenceNumber{2}});
    owner_.TakeOutputs();
    owner_.transitions.clear();
  }

  EXPECT_LT(HeapBytes(), before + kFew);
  owner_.Sleep(seconds(15) - milliseconds(1));
  EXPECT_TRUE(Live(id));
  owner_.Sleep(milliseconds(1));
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
  EXPECT_EQ(owner_.process.sizes().term_floor, seconds(60));
  owner_.Sleep(seconds(59));
  EXPECT_EQ(owner_.process.sizes().clients, 1u);
  EXPECT_EQ(owner_.process.sizes().term_floor, seconds(3));
  EXPECT_EQ(Dirty(kAlice, 3, {}).granted_term, seconds(10));
}

TEST_F(LeaseBudgetTest, TermsGrowToTheirMaximumAndNoFurther) {
  const auto granted_with = [&](uint64_t clients) {
    for (uint64_t i = owner_.process.sizes().clients; i < clients; ++i) Dirty({100, i}, 1, {});
    return Dirty({100, 0}, 2, {}).granted_term;
  };
  EXPECT_EQ(granted_with(199), seconds(597));
  EXPECT_EQ(granted_with(200), seconds(600));
  EXPECT_EQ(granted_with(201), seconds(600));
}

}  // namespace
}  // namespace dgc::testing
