// What a lapse costs, in steps of work: as much as was held, whatever else is listed.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

#include "dgc/core/message.h"
#include "gtest/gtest.h"
#include "tests/strategies/node.h"
#include "tests/testing/least_time.h"

namespace dgc::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr ClientId kAlice{1, 2};
constexpr ClientId kBob{1, 3};
constexpr size_t kHeld = 1000;

LeaseOptions WithoutBrake() {
  LeaseOptions options = TestLease();
  options.brake_percent = 0;
  return options;
}

// Lets `client` list so many new objects, which nothing else keeps.
void List(Node& owner, ClientId client, size_t objects, Duration term) {
  uint64_t sequence = 0;
  while (objects > 0) {
    std::vector<Target> handles(std::min(objects, kBatchMax));
    objects -= handles.size();
    DirtyRequest request{
        client, owner.process.options().incarnation, SequenceNumber{++sequence}, term, {}, {}};
    for (Target& handle : handles) {
      handle = owner.Export();
      request.rows.push_back({owner.process.Describe(handle).id});
    }
    const Response response = owner.Received(request);
    ASSERT_TRUE(std::holds_alternative<DirtyResponse>(response));
    for (const Target handle : handles) owner.Drop(handle);
  }
  owner.Run();
}

// How many steps there are until what Alice held is gone, while Bob's lease runs.
size_t StepsOfALapse(size_t listings_of_bob) {
  Node owner(7, "host:1", WithoutBrake());
  List(owner, kBob, listings_of_bob, seconds(100));
  List(owner, kAlice, kHeld, seconds(10));
  owner.Sleep(milliseconds(9'900));
  size_t steps = 0;
  while (owner.live() > listings_of_bob) {
    owner.now += milliseconds(1);
    do {
      owner.process.Tick(owner.now);
      while (owner.process.Work(1, owner.now)) ++steps;
    } while (owner.TakeOutputs());
  }
  EXPECT_EQ(owner.process.counters().leases_lapsed, 1u);
  EXPECT_EQ(owner.reclaimed.size(), kHeld);
  EXPECT_EQ(owner.process.sizes().listings, listings_of_bob);
  return steps;
}

TEST(LeaseLapseCostTest, IsThatOfWhatWasHeldWhateverElseIsListed) {
  const size_t steps = StepsOfALapse(1'000);

  EXPECT_EQ(StepsOfALapse(100'000), steps);
  EXPECT_LE(steps, 3 * kHeld);
}

// The brake looks at all clients, but not for each lease that is about to lapse.
TEST(LeaseLapseCostTest, ManyLapsesAtOnceCostNoPassOverAllClientsEach) {
  const auto cost = [](uint32_t brake_percent) {
    LeaseOptions options = TestLease();
    options.brake_percent = brake_percent;
    Node owner(7, "host:1", options);
    constexpr uint64_t kClients = 20'000;
    List(owner, kBob, 1, seconds(100));  // So that it is never all of them.
    for (uint64_t i = 1; i <= kClients; ++i) List(owner, {100, i}, 1, seconds(10));
    return Seconds([&] {
      owner.Sleep(seconds(12));
      EXPECT_EQ(owner.process.counters().leases_lapsed, kClients);
    });
  };
  const double without = cost(0);
  const double with_brake = cost(100);
  EXPECT_LT(with_brake, 5 * without) << with_brake << " s against " << without << " s";
}

}  // namespace
}  // namespace dgc::testing
