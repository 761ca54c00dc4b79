#include "dgc/core/deadline_queue.h"

#include <optional>
#include <random>
#include <set>
#include <utility>

#include "dgc/core/ids.h"
#include "gtest/gtest.h"

namespace dgc {
namespace {

constexpr TimePoint At(int64_t nanoseconds) { return TimePoint(Duration(nanoseconds)); }

TEST(DeadlineQueueTest, AnEmptyQueueHasNothingDueAndNoNext) {
  DeadlineQueue<int> queue;

  EXPECT_EQ(queue.TakeDue(TimePoint::max()), std::nullopt);
  EXPECT_EQ(queue.next(), std::nullopt);
  EXPECT_EQ(queue.size(), 0u);
}

TEST(DeadlineQueueTest, AKeyIsDueExactlyAtItsDeadlineNotBefore) {
  DeadlineQueue<int> queue;
  queue.Add(At(10), 1);

  EXPECT_EQ(queue.TakeDue(At(9)), std::nullopt);
  EXPECT_EQ(queue.next(), At(10));
  EXPECT_EQ(queue.TakeDue(At(10)), 1);
  EXPECT_EQ(queue.next(), std::nullopt);
}

TEST(DeadlineQueueTest, TheEarliestComesFirstAndTiesGoByKey) {
  DeadlineQueue<int> queue;
  queue.Add(At(20), 0);
  queue.Add(At(10), 9);
  queue.Add(At(10), 3);
  queue.Add(At(10), 7);

  EXPECT_EQ(queue.TakeDue(At(99)), 3);
  EXPECT_EQ(queue.TakeDue(At(99)), 7);
  EXPECT_EQ(queue.TakeDue(At(99)), 9);
  EXPECT_EQ(queue.TakeDue(At(99)), 0);
  EXPECT_EQ(queue.TakeDue(At(99)), std::nullopt);
}

TEST(DeadlineQueueTest, AKeyMayStandTwice) {
  DeadlineQueue<int> queue;
  queue.Add(At(1), 5);
  queue.Add(At(2), 5);

  EXPECT_EQ(queue.TakeDue(At(2)), 5);
  EXPECT_EQ(queue.next(), At(2));
  EXPECT_EQ(queue.TakeDue(At(2)), 5);
}

TEST(DeadlineQueueTest, TakesStrongIdsAndPairsAsKeys) {
  DeadlineQueue<ObjectIndex> indexes;
  indexes.Add(At(1), ObjectIndex{2});
  indexes.Add(At(1), ObjectIndex{1});
  EXPECT_EQ(indexes.TakeDue(At(1)), ObjectIndex{1});

  DeadlineQueue<ClientId> clients;
  clients.Add(At(1), ClientId{1, 2});
  clients.Add(At(1), ClientId{1, 1});
  EXPECT_EQ(clients.TakeDue(At(1)), (ClientId{1, 1}));
}

TEST(DeadlineQueueTest, CompactDropsTheDeadAndKeepsTheOrder) {
  DeadlineQueue<int> queue;
  for (int key = 0; key < 100; ++key) queue.Add(At(1000 - key), key);

  queue.Compact([](int key) { return key % 10 != 0; });

  EXPECT_EQ(queue.size(), 10u);
  for (int key = 90; key >= 0; key -= 10) EXPECT_EQ(queue.TakeDue(At(1000)), key);
}

TEST(DeadlineQueueTest, CompactMayDropAllOrNothing) {
  DeadlineQueue<int> queue;
  queue.Add(At(1), 1);

  queue.Compact([](int) { return false; });
  EXPECT_EQ(queue.size(), 1u);
  queue.Compact([](int) { return true; });
  EXPECT_EQ(queue.next(), std::nullopt);
}

TEST(DeadlineQueueTest, AgreesWithAnOrderedSet) {
  std::mt19937_64 random(1);
  DeadlineQueue<int> queue;
  std::multiset<std::pair<TimePoint, int>> model;
  int64_t now = 0;

  for (int step = 0; step < 100'000; ++step) {
    if (random() % 3 != 0) {
      const TimePoint deadline = At(now + static_cast<int64_t>(random() % 50));
      const int key = static_cast<int>(random() % 20);
      queue.Add(deadline, key);
      model.insert({deadline, key});
    } else {
      now += static_cast<int64_t>(random() % 4);
      std::optional<int> expected;
      if (!model.empty() && model.begin()->first <= At(now)) {
        expected = model.begin()->second;
        model.erase(model.begin());
      }
      ASSERT_EQ(queue.TakeDue(At(now)), expected) << "step " << step;
    }
    ASSERT_EQ(queue.size(), model.size());
    ASSERT_EQ(queue.next(), model.empty() ? std::nullopt : std::optional(model.begin()->first));
  }
}

}  // namespace
}  // namespace dgc
