// What an owner that means harm, or takes little, cannot make a holder do: spin, keep a session for
// ever, or say the same for ever.
#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "tests/strategies/lease_pair_fixture.h"

namespace dgc::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

class LeaseHostileOwnerTest : public LeasePairTest {
 protected:
  // Lets time pass for alice alone and has `answer` answer all she sends; how much that was.
  template <typename Answer>
  size_t Face(Duration duration, Answer answer) {
    return testing::Face(alice_, duration, milliseconds(1),
                         [&](const Send& send) -> Response { return answer(send.request); });
  }
};

// Without a least term for pacing, 100,000 requests leave at one instant.
TEST_F(LeaseHostileOwnerTest, ATermOfANanosecondDoesNotMakeAHolderSpin) {
  owner_.HeldBy(alice_);
  const size_t sent = Face(seconds(1), [](const Request& request) -> Response {
    if (std::holds_alternative<DirtyRequest>(request)) {
      return DirtyResponse{.granted_term = nanoseconds(1),
                           .failures = {{.index = 0, .reason = FailureReason::kStale}}};
    }
    return RenewResponse{.result = RenewResult::kDiffers, .granted_term = nanoseconds(1)};
  });
  EXPECT_GT(sent, 10u);
  EXPECT_LE(sent, 105u) << "one in 10 ms";
}

TEST_F(LeaseHostileOwnerTest, ATokenThatIsAlwaysRefusedDoesNotMakeAHolderSpin) {
  const Target object = owner_.Export();
  alice_.Import(owner_.Share(object));
  cluster_.Sleep(seconds(1));
  const WireRef second = owner_.Share(object);
  alice_.Import(second);
  const auto refuse = [](const Request& request) -> Response {
    if (std::holds_alternative<DirtyRequest>(request)) {
      return DirtyResponse{.granted_term = seconds(10),
                           .failures = {{.index = 0, .reason = FailureReason::kQuota}}};
    }
    return RenewResponse{.granted_term = seconds(10)};
  };
  const size_t sent = Face(seconds(5), refuse);
  EXPECT_GT(sent, 3u) << "it does not give up";
  EXPECT_LT(sent, 30u);

  cluster_.Sleep(seconds(3));
  EXPECT_EQ(owner_.process.sizes().transits, 0u) << "it is named once there is room";
}

TEST_F(LeaseHostileOwnerTest, ATermOfANanosecondLeavesTimeToAnswer) {
  owner_.HeldBy(alice_);
  Face(seconds(1), [](const Request& request) -> Response {
    if (std::holds_alternative<DirtyRequest>(request)) {
      return DirtyResponse{.granted_term = nanoseconds(1)};
    }
    return RenewResponse{.granted_term = nanoseconds(1)};
  });
  while (alice_.sends.empty()) {
    alice_.now += milliseconds(1);
    alice_.Run();
  }
  EXPECT_GE(alice_.sends[0].timeout, milliseconds(20));
}

TEST_F(LeaseHostileOwnerTest, NoticesThatNeverEndDoNotKeepASession) {
  const Target handle = owner_.HeldBy(alice_);
  cluster_.Sleep(seconds(1));
  alice_.Share(handle);
  alice_.Drop(handle);
  uint64_t notices = 0;
  Face(TestLease().term_default + 3 * TestLease().linger, [&](const Request& request) -> Response {
    const auto* const renew = std::get_if<RenewRequest>(&request);
    if (renew == nullptr) return owner_.Received(request);
    ++notices;
    return RenewResponse{.granted_term = seconds(10),
                         .notices = {{notices, {}, TransitToken{notices}}}};
  });
  EXPECT_GT(notices, 0u);
  EXPECT_EQ(alice_.process.imports().peers(), 0u);
}

// gRPC refuses long messages, and what was held lapsed without a word.
TEST_F(LeaseHostileOwnerTest, ARequestThatIsTooLongIsSaidInParts) {
  constexpr size_t kHeld = 1000;
  constexpr size_t kRowsMax = 100;
  std::vector<Target> handles;
  for (size_t i = 0; i < kHeld; ++i) handles.push_back(owner_.HeldBy(alice_));
  size_t most = 0;
  const auto answer = [&](const Request& request) -> Response {
    if (RowCount(request) > kRowsMax) return Refusal{Refusal::Code::kResourceExhausted, "too long"};
    most = std::max(most, RowCount(request));
    return owner_.Received(request);
  };
  Face(seconds(3), answer);
  EXPECT_EQ(owner_.process.sizes().listings, kHeld);
  EXPECT_GT(most, kRowsMax * 3 / 4) << "it grows again";
  for (const Target handle : handles) {
    alice_.Share(handle);
    alice_.Drop(handle);
  }
  Face(seconds(3), answer);
  EXPECT_EQ(owner_.process.sizes().listings, 0u);
  EXPECT_EQ(owner_.process.sizes().transits, kHeld);
  EXPECT_TRUE(alice_.lost.empty());
}

TEST_F(LeaseHostileOwnerTest, ARowThatIsRefusedIsSaidAgain) {
  for (size_t i = 0; i < 1000; ++i) owner_.HeldBy(alice_);
  Face(seconds(20), [&](const Request&) -> Response {
    return Refusal{Refusal::Code::kResourceExhausted, "no room"};
  });
  size_t sent = 0;
  Face(seconds(20), [&](const Request& request) {
    if (std::holds_alternative<DirtyRequest>(request)) ++sent;
    return owner_.Received(request);
  });
  EXPECT_EQ(owner_.process.sizes().listings, 1000u);
  EXPECT_LT(sent, 200u) << "they grow again";
}

}  // namespace
}  // namespace dgc::testing
