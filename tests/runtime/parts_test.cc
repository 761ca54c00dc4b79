// The small parts of the runtime: payload table, keys, entropy, histogram, alarm, type names.
#include <sched.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "dgc/core/client_key.h"
#include "dgc/runtime/alarm.h"
#include "dgc/runtime/clock.h"
#include "dgc/runtime/entropy.h"
#include "dgc/runtime/histogram.h"
#include "dgc/runtime/payload_table.h"
#include "dgc/runtime/wire_type.h"
#include "dgc/runtime/worker.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/heap_bytes.h"

namespace dgc {
namespace {

using ::testing::Each;
using ::testing::Eq;
using ::testing::Optional;
using ::testing::SizeIs;

constexpr uint64_t kSecret = 1;

TEST(PayloadTableTest, FindsByAddressUntilTakenOrDisowned) {
  PayloadTable table(kSecret);
  const auto first = std::make_shared<int>(1);
  const auto second = std::make_shared<int>(2);
  table.Put(ObjectIndex{5}, first);
  table.Put(ObjectIndex{5000}, second);

  EXPECT_THAT(table.Find(first.get()), Optional(ObjectIndex{5}));
  EXPECT_THAT(table.Find(second.get()), Optional(ObjectIndex{5000}));
  EXPECT_EQ(table.Get(ObjectIndex{6}), nullptr);
  EXPECT_EQ(table.Get(ObjectIndex{1'000'000}), nullptr);

  table.Disown(ObjectIndex{5});
  EXPECT_THAT(table.Find(first.get()), Eq(std::nullopt));
  EXPECT_EQ(table.Get(ObjectIndex{5}), first);
  EXPECT_EQ(table.Take(ObjectIndex{5}), first);
  EXPECT_EQ(table.Take(ObjectIndex{5}), nullptr);
}

TEST(PayloadTableTest, DisownedAddressBelongsToTheNextObject) {
  PayloadTable table(kSecret);
  const auto object = std::make_shared<int>(1);
  table.Put(ObjectIndex{1}, object);
  table.Disown(ObjectIndex{1});
  table.Put(ObjectIndex{2}, object);

  table.Take(ObjectIndex{1});

  EXPECT_THAT(table.Find(object.get()), Optional(ObjectIndex{2}));
}

TEST(PayloadTableDeathTest, AnAddressBelongsToOneObjectAtATime) {
  PayloadTable table(kSecret);
  const auto object = std::make_shared<int>(1);
  table.Put(ObjectIndex{1}, object);

  EXPECT_DEATH(table.Put(ObjectIndex{2}, object), "Find");
}

TEST(PayloadTableTest, TakeAllEmptiesIt) {
  PayloadTable table(kSecret);
  for (uint32_t i = 0; i < 3000; ++i) {
    table.Put(ObjectIndex{i}, std::make_shared<int>(static_cast<int>(i)));
  }
  const auto taken = table.TakeAll();
  EXPECT_THAT(taken, SizeIs(3000));
  EXPECT_THAT(table.TakeAll(), SizeIs(0));
  EXPECT_THAT(table.Find(taken[0].get()), Eq(std::nullopt));
  table.Put(ObjectIndex{7}, taken[0]);
  EXPECT_THAT(table.Find(taken[0].get()), Optional(ObjectIndex{7}));
}

// Appendix A of the paper: the key is 00 01 ... 0f, the text 00 01 ... 0e.
TEST(ClientKeyTest, SipHashIsThatOfThePaper) {
  std::string text;
  for (char byte = 0; byte < 15; ++byte) text.push_back(byte);

  EXPECT_EQ(SipHash24(0x0706050403020100, 0x0f0e0d0c0b0a0908, text), 0xa129ca6149be45e5u);
}

TEST(ClientKeyTest, KeyIsTheSameForOneRunOfOneOwnerAndDifferentForAnyOther) {
  Entropy random;
  const ClientKeys keys(&random);
  const ClientKeys others(&random);
  const ClientKey key = keys.For("owner:1", Incarnation{7});

  EXPECT_TRUE(key.valid());
  EXPECT_EQ(keys.For("owner:1", Incarnation{7}), key);
  EXPECT_NE(keys.For("owner:1", Incarnation{8}), key);
  EXPECT_NE(keys.For("owner:2", Incarnation{7}), key);
  EXPECT_NE(others.For("owner:1", Incarnation{7}), key);
}

TEST(ClientKeyTest, BoundKeyIsTheSameForOneKeyOfOnePeerAndDifferentForAnyOther) {
  Entropy random;
  const ClientKeys keys(&random);
  const ClientKeys others(&random);
  const ClientKey bound = keys.BoundTo("alice", {1, 2});

  EXPECT_EQ(keys.BoundTo("alice", {1, 2}), bound);
  EXPECT_NE(keys.BoundTo("mallory", {1, 2}), bound);
  EXPECT_NE(keys.BoundTo("alice", {1, 3}), bound);
  EXPECT_NE(keys.BoundTo("alice", {2, 1}), bound);
  EXPECT_NE(others.BoundTo("alice", {1, 2}), bound);
}

TEST(EntropyTest, NumbersDoNotRepeatAcrossBlocks) {
  Entropy entropy;
  std::set<uint64_t> seen;
  for (int i = 0; i < 10'000; ++i) seen.insert(entropy.Next());

  EXPECT_THAT(seen, SizeIs(10'000));
}

TEST(HistogramTest, CountsInTheBucketWhoseBoundIsNotBelow) {
  Histogram histogram;
  histogram.Observe(Duration::zero());
  histogram.Observe(Histogram::kBounds[0]);
  histogram.Observe(Histogram::kBounds[0] + Duration(1));
  histogram.Observe(std::chrono::hours(1));

  const Histogram::Snapshot snapshot = histogram.Take();
  EXPECT_EQ(snapshot.counts.front(), 2u);
  EXPECT_EQ(snapshot.counts[1], 1u);
  EXPECT_EQ(snapshot.counts.back(), 1u);
  EXPECT_EQ(snapshot.sum, 2 * Histogram::kBounds[0] + Duration(1) + std::chrono::hours(1));
}

TEST(AlarmTest, RingBeforeTheSleepEndsIt) {
  Alarm alarm;
  alarm.Ring();
  alarm.Ring();

  EXPECT_TRUE(alarm.WaitFor(std::chrono::hours(1)));
  EXPECT_FALSE(alarm.WaitFor(Duration::zero())) << "two rings are one";
}

TEST(AlarmTest, RingFromAnotherThreadEndsTheSleep) {
  Alarm alarm;
  std::thread other([&] { alarm.Ring(); });

  EXPECT_TRUE(alarm.WaitFor(std::chrono::hours(1)));
  other.join();
}

TEST(BootClockTest, NeverGoesBack) {
  BootClock clock;
  TimePoint last = clock.Now();
  for (int i = 0; i < 1000; ++i) {
    const TimePoint now = clock.Now();
    ASSERT_GE(now, last);
    last = now;
  }
}

// In a time namespace in which the machine has been suspended for an hour.
TEST(BootClockTest, CountsSuspend) {
  enum { kCounts, kDoesNot, kNotPermitted };
  const pid_t outside = fork();
  if (outside == 0) {
    std::ofstream offsets;
    if (unshare(CLONE_NEWTIME) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWTIME) == 0) {
      offsets.open("/proc/self/timens_offsets");
    }
    if (!(offsets << "boottime 3600 0" << std::flush)) _exit(kNotPermitted);
    const pid_t inside = fork();
    if (inside == 0) {
      timespec awake;
      if (clock_gettime(CLOCK_MONOTONIC, &awake) != 0) _exit(kDoesNot);
      const Duration since_start = BootClock().Now().time_since_epoch();
      _exit(since_start >= std::chrono::seconds(awake.tv_sec + 3600) ? kCounts : kDoesNot);
    }
    int status = 0;
    const bool ended = inside > 0 && waitpid(inside, &status, 0) == inside && WIFEXITED(status);
    _exit(ended ? WEXITSTATUS(status) : kDoesNot);
  }
  int status = 0;
  ASSERT_EQ(waitpid(outside, &status, 0), outside);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == kNotPermitted) GTEST_SKIP() << "may not make a time namespace";
  EXPECT_EQ(WEXITSTATUS(status), kCounts);
}

struct Plain {};
struct Named {
  static constexpr std::string_view kWireType = "named";
};

TEST(WireTypeTest, IsTheCppNameUnlessTheTypeSaysOtherwise) {
  EXPECT_EQ(WireType<Named>(), "named");
  EXPECT_EQ(WireType<Plain>(), "dgc::(anonymous namespace)::Plain");
  EXPECT_EQ(WireType<int>(), "int");
}

TEST(WorkerTest, ALargeBufferIsNotKept) {
  uint64_t handled = 0;
  Worker<uint64_t> worker([&](uint64_t& each) { handled += each; });
  const size_t before = testing::HeapBytes();
  std::vector<uint64_t> items(1'000'000, 1);
  worker.Put(&items);
  worker.RunWaiting();
  EXPECT_EQ(handled, 1'000'000u);
  EXPECT_LT(testing::HeapBytes(), before + 100'000);
}

TEST(WorkerTest, BuffersAreKeptUpToTheMaximum) {
  Worker<uint64_t> worker([](uint64_t&) {});
  const auto kept = [&](size_t capacity) {
    std::vector<uint64_t> items;
    items.reserve(capacity);
    items.push_back(1);
    worker.Put(&items);
    worker.RunWaiting();
    worker.RunWaiting();  // Now it is what Put fills, and gives in exchange.
    std::vector<uint64_t> next(1);
    worker.Put(&next);
    worker.RunWaiting();
    return next.capacity();
  };
  EXPECT_EQ(kept(Worker<uint64_t>::kSpareMax), Worker<uint64_t>::kSpareMax);
  EXPECT_LE(kept(Worker<uint64_t>::kSpareMax + 1), Worker<uint64_t>::kSpareMax);
}

}  // namespace
}  // namespace dgc
