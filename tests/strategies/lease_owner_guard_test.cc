// What clients that play tricks, or many of them, must not do to an owner and to other clients.
//
// Where a cost is compared, it is with that of an ordinary run a moment before, and by a factor
// that only the wrong order of growth exceeds.
#include <utility>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "tests/strategies/lease_owner_fixture.h"
#include "tests/testing/least_time.h"

namespace dgc::testing {
namespace {

using std::chrono::minutes;

class LeaseGuardTest : public LeaseOwnerTest {
 protected:
  explicit LeaseGuardTest(LeaseOptions options = TestLease()) : LeaseOwnerTest(options) {}

  TransitResponse Transit(ClientId client, std::vector<Row> rows, Duration term = {}) {
    return std::get<TransitResponse>(
        owner_.Received(TransitRequest{client, kRun, term, std::move(rows)}));
  }
  void Goodbye(ClientId client, uint64_t sequence) {
    owner_.Received(GoodbyeRequest{client, kRun, SequenceNumber{sequence}});
  }
  // The same object, with tokens [from, to).
  static std::vector<Row> Rows(const ObjectId& id, uint64_t from, uint64_t to) {
    std::vector<Row> rows;
    for (uint64_t i = from; i < to; ++i) rows.push_back({id, TransitToken{kHolderTokenBit | i}});
    return rows;
  }
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
  EXPECT_EQ(Dirty(kAlice, 3, {}).notices.size(), 1u);
}

TEST_F(LeaseQuotaTest, DeclaringAgainNeedsNoRoom) {
  const ObjectId id = IdOf(owner_.Export());
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(Transit(kAlice, Rows(id, 1, 11)).failures.empty()) << "time " << i;
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
    const std::vector<Row> rows = Rows(id, from, to);
    return Seconds([&] { Clean(kAlice, ++sequence, rows); });
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

// Each would be a pass over all that it has listed.
TEST_F(LeaseGuardTest, WhoSaysAgainAndAgainThatItIsThroughWithAReListingCostsNoPassEach) {
  uint64_t sequence = 0;
  const auto list = [&](size_t objects) {
    std::vector<Row> rows;
    for (size_t i = 0; i < objects; ++i) rows.push_back({IdOf(owner_.Export())});
    Dirty(kAlice, ++sequence, std::move(rows));
  };
  const auto cost = [&] {
    return Seconds([&] {
      for (int i = 0; i < 1000; ++i) {
        ++sequence;
        DirtyRequest request{kAlice, kRun, SequenceNumber{sequence}, {}, {}, SequenceNumber{1}};
        owner_.Received(request);
      }
    });
  };
  list(10);
  const double usual = cost();
  for (int i = 0; i < 10; ++i) list(10'000);
  const double with_many = cost();
  EXPECT_LT(with_many, 50 * usual) << with_many << " s against " << usual << " s";
  EXPECT_EQ(owner_.process.sizes().listings, 100'010u);
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
