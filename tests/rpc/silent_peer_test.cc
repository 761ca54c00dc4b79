// A holder of which one owner takes connections and never answers, and another is alive.
//
// Nothing sleeps: references that nobody takes up mark the terms, and the rest is waited for.
#include <chrono>
#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <thread>

#include "dgc/runtime/holder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/rpc/host.h"
#include "tests/testing/silent_host.h"
#include "tests/testing/status_matchers.h"

namespace dgc::testing {
namespace {

using ::std::chrono::duration_cast;
using ::std::chrono::milliseconds;
using ::std::chrono::minutes;
using ::std::chrono::seconds;
using ::std::chrono::steady_clock;

constexpr Duration kTerm = milliseconds(300);     // The live owner's.
constexpr Duration kGoodbye = milliseconds(200);  // What the exit may take.
constexpr Duration kPrompt = seconds(5);          // Far less than a call that is stuck takes.

struct Silence {
  const char* name;
  // Whether the connection is there, so that a call is sent out and no answer comes; otherwise it
  // waits for the connection.
  bool greets;
  // For what the holder says to it.
  Duration call_timeout;
  // So many of those calls have come to nothing before the test looks.
  uint64_t failed;

  friend void PrintTo(const Silence& silence, std::ostream* os) { *os << silence.name; }
};

bool Comes(const std::function<bool()>& come) {
  const auto patience = steady_clock::now() + kLong;
  while (!come()) {
    if (steady_clock::now() > patience) return false;
    std::this_thread::yield();
  }
  return true;
}

// What is held at it.
v1::Ref Unanswered(const SilentHost& silent) {
  v1::Ref ref;
  ref.set_owner(silent.name());
  ref.set_incarnation(1);
  ref.set_object_id_low(1);
  ref.set_transit(1);
  return ref;
}

class SilentPeerTest : public ::testing::TestWithParam<Silence> {
 protected:
  SilentPeerTest() : host_("silent-peer", Terms()), holder_(HolderOptions()) {
    kept_ = holder_.Import(host_.Create(holder_.Context()));
    EXPECT_TRUE(holder_.Settle(kLong));
    unanswered_ = holder_.Import(Unanswered(silent_));
    if (GetParam().greets) {
      EXPECT_TRUE(silent_.Greet(duration_cast<milliseconds>(kLong)));
    }
    EXPECT_TRUE(Comes([this] {
      return holder_.stats().counters.requests_failed >= GetParam().failed &&
             holder_.stats().requests_in_flight >= 1;
    }));
  }

  v1::Ref Create() { return host_.Create(holder_.Context()); }

  SilentHost silent_;
  Host host_;
  Holder holder_;
  Ref kept_;        // at host_
  Ref unanswered_;  // at silent_

 private:
  static LeaseOptions Terms() {
    LeaseOptions lease;
    lease.term_default = kTerm;
    lease.transit_term = kTerm;
    lease.brake_percent = 0;
    return lease;
  }
  static Options HolderOptions() {
    Options options;
    // What an owner that has not answered yet is taken to grant: it bounds the timeout.
    options.strategy.lease.term_default = minutes(10);
    options.strategy.lease.call_timeout = GetParam().call_timeout;
    options.goodbye_timeout = kGoodbye;
    return options;
  }
};

TEST_P(SilentPeerTest, LeasesAtOthersAreRenewedAllTheSame) {
  for (int terms = 1; terms <= 4; ++terms) {
    Create();  // Goes after one term.
    ASSERT_TRUE(host_.gone.Wait(terms));
  }

  EXPECT_THAT(kept_.status(), IsOk());
  EXPECT_TRUE(kept_.assured());
  EXPECT_TRUE(host_.Read(kept_.Wire()).ok());
  EXPECT_EQ(host_.owner.stats().counters.leases_lapsed, 0u);
  EXPECT_FALSE(unanswered_.assured());
}

TEST_P(SilentPeerTest, ReferencesToOthersComeAndGoAsPromptlyAsEver) {
  constexpr int kRounds = 10;
  const auto begun = steady_clock::now();
  for (int round = 1; round <= kRounds; ++round) {
    Ref ref = holder_.Import(Create());
    ASSERT_TRUE(Comes([&ref] { return ref.assured(); })) << ref.status();
    ref.reset();
    ASSERT_TRUE(host_.gone.Wait(round));
  }

  EXPECT_LT(steady_clock::now() - begun, kPrompt);
  const auto reclaimed = host_.owner.stats().counters.objects_reclaimed;
  EXPECT_EQ(reclaimed[static_cast<size_t>(ReclaimReason::kClean)], uint64_t{kRounds})
      << "it was said, not waited for";
  EXPECT_FALSE(unanswered_.assured());
}

TEST_P(SilentPeerTest, AnOrderlyExitReachesTheOthersAndEndsInTime) {
  const auto begun = steady_clock::now();
  holder_.Shutdown();

  EXPECT_LT(steady_clock::now() - begun, kGoodbye + kPrompt);
  EXPECT_EQ(host_.owner.stats().counters.goodbyes, 1u);
  EXPECT_TRUE(host_.gone.Wait(1));
}

// A connection that is given up is freed up to 10 s later; with a new one for every third timeout
// these would be seven.
TEST(SilentPeerConnectionsTest, AreTwoHoweverOftenNoAnswerComes) {
  SilentHost silent;
  Options options;
  options.strategy.lease.call_timeout = milliseconds(20);
  options.strategy.lease.backoff_min = options.strategy.lease.backoff_max = milliseconds(1);
  options.goodbye_timeout = kGoodbye;
  Holder holder(options);
  const Ref unanswered = holder.Import(Unanswered(silent));

  ASSERT_TRUE(Comes([&] { return holder.stats().counters.requests_failed >= 20; }));

  EXPECT_EQ(silent.Connections(), 2u);
}

INSTANTIATE_TEST_SUITE_P(Peer, SilentPeerTest,
                         ::testing::Values(Silence{"StuckInOneCall", true, kLong, 0},
                                           // Once more than it takes to give the connection up.
                                           Silence{"TriedAgainAndAgain", false, milliseconds(100),
                                                   4}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace dgc::testing
