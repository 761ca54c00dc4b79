// What one owner, or many, cannot make a holder spend under its lock: passes over all that it has.
//
// Costs are compared with those of an ordinary run a moment before, by a factor that only the wrong
// order of growth exceeds.
#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/strategies/node.h"
#include "tests/testing/least_time.h"

namespace dgc::testing {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;

const Refusal kSilence{Refusal::Code::kUnknownOutcome, "no answer in time"};

// A reference to an object of an owner that nobody has ever seen.
WireRef Made(const std::string& owner, uint64_t object, uint64_t token = 0) {
  return {owner, Incarnation{1}, {1, object}, "thing", TransitToken{token}};
}

class LeaseHolderCostTest : public ::testing::Test {
 protected:
  static constexpr const char* kOwner = "host:1";

  static bool For(const Node& node, const Send& send, const std::string& owner) {
    return node.process.imports().GetPeer(send.peer).owner == owner;
  }
};

// Such as those of a thousand owners that were never there.
TEST_F(LeaseHolderCostTest, SessionsThatAreGivenUpCostWhatTheyHave) {
  const auto cost = [&](uint64_t others) {
    Node alice(1, "");
    const auto answer = [&](const Send& send) -> Response {
      if (!For(alice, send, kOwner)) return kSilence;
      if (std::holds_alternative<DirtyRequest>(send.request)) {
        return DirtyResponse{.granted_term = hours(1)};
      }
      return RenewResponse{.granted_term = hours(1)};
    };
    for (uint64_t i = 1; i <= others; ++i) alice.Import(Made(kOwner, i));
    Face(alice, seconds(1), milliseconds(10), answer);
    for (int i = 0; i < 1000; ++i) {
      alice.Drop(alice.Import(Made(absl::StrCat("gone:", i), 1, 1)));
    }
    const Duration silence = TestLease().term_default + TestLease().linger;
    Face(alice, silence - seconds(1), milliseconds(250), answer);
    EXPECT_GT(alice.process.imports().peers(), 1000u - 1);
    const double took = Seconds([&] { Face(alice, seconds(10), milliseconds(250), answer); });
    EXPECT_EQ(alice.process.imports().peers(), others > 0 ? 1u : 0u);
    return took;
  };
  const double usual = cost(0);
  const double with_many = cost(300'000);
  EXPECT_LT(with_many, 20 * usual) << with_many << " s against " << usual << " s";
}

TEST_F(LeaseHolderCostTest, AtMost1024SessionsAreLookedAtPerTick) {
  constexpr size_t kOwners = 2500;
  Node alice(1, "");
  for (size_t i = 0; i < kOwners; ++i) alice.Import(Made(absl::StrCat("gone:", i), 1));
  alice.TakeOutputs();
  for (const Send& send : std::exchange(alice.sends, {})) {
    alice.process.Answered(send.peer, send.call, kSilence, alice.now);
  }
  alice.now += seconds(60);
  for (const size_t expected : {1024u, 1024u, 452u}) {
    alice.process.Tick(alice.now);
    alice.TakeOutputs();
    EXPECT_EQ(std::exchange(alice.sends, {}).size(), expected);
    // Then the engine lets others have the lock before it goes on.
    EXPECT_EQ(alice.process.wake_at() == TimePoint::min(), expected == 1024);
  }
}

TEST_F(LeaseHolderCostTest, ANoticeCostsTheSameHoweverManyHandOnsWait) {
  const auto cost = [&](int hand_ons) {
    Node alice(1, "");
    const Target handle = alice.Import(Made(kOwner, 1));
    const auto answer = [&](const Send& send) -> Response {
      if (const auto* const transit = std::get_if<TransitRequest>(&send.request)) {
        TransitResponse response{.granted_term = nanoseconds(1), .failures = {}};
        for (uint32_t i = 0; i < transit->rows.size(); ++i) {
          response.failures.push_back({.index = i, .reason = FailureReason::kQuota});
        }
        return response;
      }
      if (std::holds_alternative<DirtyRequest>(send.request)) {
        return DirtyResponse{.granted_term = nanoseconds(1)};
      }
      return RenewResponse{.granted_term = nanoseconds(1), .notices = {{1, {1, 1}, {}}}};
    };
    for (int i = 0; i < hand_ons; ++i) alice.Share(handle);
    double least = 1;
    for (int renewals = 0; renewals < 200; alice.now += milliseconds(1)) {
      alice.Run();
      for (const Send& send : std::exchange(alice.sends, {})) {
        const bool renews = std::holds_alternative<RenewRequest>(send.request);
        const Response response = answer(send);
        const double took =
            Seconds([&] { alice.process.Answered(send.peer, send.call, response, alice.now); });
        if (!renews) continue;
        least = std::min(least, took);
        ++renewals;
      }
    }
    return least;
  };
  const double usual = cost(100);
  const double with_many = cost(200'000);
  EXPECT_LT(with_many, 50 * usual) << with_many << " s against " << usual << " s";
}

// They wait as their reference does, for which there is no room.
TEST_F(LeaseHolderCostTest, ARequestCostsTheSameHoweverManyTokensWait) {
  const auto cost = [&](uint64_t tokens) {
    Node alice(1, "", [] {
      LeaseOptions options = TestLease();
      options.batch_max = 16;
      return options;
    }());
    const auto answer = [&](const Send& send) -> Response {
      if (const auto* const dirty = std::get_if<DirtyRequest>(&send.request)) {
        DirtyResponse response{.granted_term = hours(1)};
        for (uint32_t i = 0; i < dirty->rows.size(); ++i) {
          if (dirty->rows[i].id != ObjectId{1, 1}) continue;
          response.failures.push_back({.index = i, .reason = FailureReason::kQuota});
        }
        return response;
      }
      if (std::holds_alternative<CleanRequest>(send.request)) return CleanResponse{};
      return RenewResponse{.granted_term = hours(1)};
    };
    alice.Import(Made(kOwner, 1));
    Face(alice, milliseconds(10), milliseconds(1), answer);
    for (uint64_t i = 1; i <= tokens; ++i) alice.Import(Made(kOwner, 1, i));
    return Seconds([&] {
      for (uint64_t i = 0; i < 500; ++i) {
        alice.Drop(alice.Import(Made(kOwner, 2 + i, 100'000 + i)));
        Face(alice, milliseconds(20), milliseconds(10), answer);
      }
    });
  };
  const double usual = cost(100);
  const double with_many = cost(kBatchMax);
  EXPECT_LT(with_many, 30 * usual) << with_many << " s against " << usual << " s";
}

// Among those that wait longer than it, which are more than one request looks at.
TEST_F(LeaseHolderCostTest, ATokenThatCanBeNamedHasItsTurnAmongThoseThatWait) {
  Node alice(1, "", [] {
    LeaseOptions options = TestLease();
    options.batch_max = 2;
    return options;
  }());
  bool named = false;
  const auto answer = [&](const Send& send) -> Response {
    if (const auto* const dirty = std::get_if<DirtyRequest>(&send.request)) {
      DirtyResponse response{.granted_term = hours(1)};
      for (uint32_t i = 0; i < dirty->rows.size(); ++i) {
        if (dirty->rows[i].transit == TransitToken{99}) named = true;
        if (dirty->rows[i].id != ObjectId{1, 1}) continue;
        response.failures.push_back({.index = i, .reason = FailureReason::kQuota});
      }
      return response;
    }
    return RenewResponse{.granted_term = hours(1)};
  };
  alice.Import(Made(kOwner, 1));
  alice.Import(Made(kOwner, 2));
  Face(alice, seconds(1), milliseconds(10), answer);
  for (uint64_t i = 100; i < 300; ++i) alice.Import(Made(kOwner, 1, i));
  alice.Import(Made(kOwner, 2, 99));
  Face(alice, seconds(1), milliseconds(10), answer);
  EXPECT_TRUE(named);
}

}  // namespace
}  // namespace dgc::testing
