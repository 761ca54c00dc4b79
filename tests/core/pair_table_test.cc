#include "dgc/core/pair_table.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace dgc {
namespace {

constexpr ObjectIndex kIndexMax{(uint32_t{1} << 31) - 1};
constexpr SequenceNumber kOne{1};
constexpr auto Ignore = [](ObjectIndex) {};

// What a table holds, by taking a copy of it apart.
std::set<uint32_t> TakeAll(PairTable& table) {
  std::set<uint32_t> taken;
  size_t cursor = 0;
  while (const auto object = table.TakeAny(cursor, Ignore)) {
    EXPECT_TRUE(taken.insert(Raw(*object)).second) << Raw(*object) << " was taken twice";
  }
  return taken;
}

TEST(PairTableTest, AnEmptyTableTakesNoMemoryAndFindsNothing) {
  PairTable table;
  size_t cursor = 0;

  EXPECT_EQ(table.bytes(), 0u);
  EXPECT_EQ(table.Find(ObjectIndex{0}), nullptr);
  EXPECT_EQ(table.TakeAny(cursor, Ignore), std::nullopt);
  table.EraseIf([](ObjectIndex, SequenceNumber) { return true; });
  EXPECT_EQ(table.size(), 0u);
}

TEST(PairTableTest, KeepsTheSmallestAndTheGreatestIndex) {
  PairTable table;
  table.Insert(ObjectIndex{0}, SequenceNumber{7});
  table.Insert(kIndexMax, SequenceNumber{~uint64_t{0} >> 1});

  ASSERT_NE(table.Find(ObjectIndex{0}), nullptr);
  EXPECT_EQ(table.Find(ObjectIndex{0})->sequence(), SequenceNumber{7});
  ASSERT_NE(table.Find(kIndexMax), nullptr);
  EXPECT_EQ(table.Find(kIndexMax)->sequence(), SequenceNumber{~uint64_t{0} >> 1});
  EXPECT_EQ(table.Find(ObjectIndex{1}), nullptr);
}

TEST(PairTableTest, AFoundNumberCanBeReplaced) {
  PairTable table;
  table.Insert(ObjectIndex{5}, kOne);

  table.Find(ObjectIndex{5})->set_sequence(SequenceNumber{~uint64_t{0} >> 1});

  EXPECT_EQ(table.Find(ObjectIndex{5})->sequence(), SequenceNumber{~uint64_t{0} >> 1});
}

TEST(PairTableTest, ErasingTheLastEntryGivesAllMemoryBack) {
  PairTable table;
  for (uint32_t i = 0; i < 1000; ++i) table.Insert(ObjectIndex{i}, kOne);
  for (uint32_t i = 0; i < 1000; ++i) table.Erase(ObjectIndex{i});

  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(table.bytes(), 0u);
}

TEST(PairTableTest, StaysWithinItsDensityWhileItGrowsAndShrinks) {
  PairTable table;
  for (uint32_t i = 0; i < 100'000; ++i) {
    table.Insert(ObjectIndex{i}, kOne);
    ASSERT_LE(table.bytes(), std::max<size_t>(48, 29 * table.size() + 36));
  }
  for (uint32_t i = 0; i < 99'999; ++i) {
    table.Erase(ObjectIndex{i});
    ASSERT_LE(table.bytes(), std::max<size_t>(48, 12 * 6 * table.size()));
  }
}

// What a call allocates or frees stands for what it moves.
TEST(PairTableTest, NoChangeMovesMoreThanSomeSegmentsHoweverMuchIsInTheTable) {
  constexpr size_t kSegments = 4 * 29 * PairTable::kSegmentSize;
  PairTable table;
  size_t before = 0;
  const auto moved = [&] {
    const size_t bytes = table.bytes();
    const size_t change = std::max(bytes, before) - std::min(bytes, before);
    before = bytes;
    return change;
  };
  for (uint32_t i = 0; i < 100'000; ++i) {
    table.Insert(ObjectIndex{i}, kOne);
    ASSERT_LE(moved(), kSegments) << i;
  }
  for (uint32_t i = 0; i < 50'000; ++i) {
    ASSERT_NE(table.Find(ObjectIndex{i}), nullptr) << i;
    table.Erase(ObjectIndex{i});
    ASSERT_LE(moved(), kSegments) << i;
  }
  size_t cursor = 0;
  while (table.TakeAny(cursor, Ignore)) ASSERT_LE(moved(), kSegments) << table.size();
  EXPECT_LE(before, kSegments) << "Memory goes as the entries do.";
}

TEST(PairTableTest, MovingLeavesAnEmptyTable) {
  PairTable table;
  table.Insert(ObjectIndex{1}, kOne);

  PairTable other = std::move(table);

  EXPECT_EQ(other.size(), 1u);
  EXPECT_EQ(table.size(), 0u);  // NOLINT(bugprone-use-after-move): the claim
  EXPECT_EQ(table.Find(ObjectIndex{1}), nullptr);
  table.Insert(ObjectIndex{2}, kOne);
  EXPECT_NE(table.Find(ObjectIndex{2}), nullptr);
}

TEST(PairTableTest, TakeAnyGivesEveryEntryOnceInAnOrderThatIsAFunctionOfTheCalls) {
  std::vector<uint32_t> orders[2];
  for (std::vector<uint32_t>& order : orders) {
    PairTable table;
    for (uint32_t i = 0; i < 1000; ++i) table.Insert(ObjectIndex{i * 7}, kOne);
    size_t cursor = 0;
    while (const auto object = table.TakeAny(cursor, Ignore)) order.push_back(Raw(*object));
    EXPECT_EQ(table.size(), 0u);
  }

  EXPECT_EQ(orders[0], orders[1]);
  EXPECT_EQ(std::set<uint32_t>(orders[0].begin(), orders[0].end()).size(), 1000u);
}

TEST(PairTableTest, EraseIfSeesEveryEntryAndKeepsTheOthers) {
  PairTable table;
  for (uint32_t i = 0; i < 1000; ++i) table.Insert(ObjectIndex{i}, SequenceNumber{i + 1});
  std::set<uint32_t> seen;
  size_t erased = 0;

  table.EraseIf([&](ObjectIndex object, SequenceNumber sequence) {
    EXPECT_EQ(Raw(sequence), Raw(object) + 1);
    seen.insert(Raw(object));
    if (Raw(object) % 3 == 0) return false;
    ++erased;
    return true;
  });

  EXPECT_EQ(seen.size(), 1000u);
  EXPECT_EQ(erased, 666u);
  EXPECT_EQ(table.size(), 334u);
  for (uint32_t i = 0; i < 1000; ++i) {
    ASSERT_EQ(table.Find(ObjectIndex{i}) != nullptr, i % 3 == 0) << i;
  }
}

TEST(PairTableTest, EraseIfOfAlmostEverythingGivesMemoryBack) {
  PairTable table;
  for (uint32_t i = 0; i < 100'000; ++i) table.Insert(ObjectIndex{i}, kOne);

  table.EraseIf([](ObjectIndex object, SequenceNumber) { return Raw(object) != 77; });

  EXPECT_EQ(table.size(), 1u);
  EXPECT_LE(table.bytes(), 12u * 4);
  EXPECT_NE(table.Find(ObjectIndex{77}), nullptr);
}

// Re-inserting in slot order into a table that grows on the way piles everything up at its start;
// with linear probing that is quadratic.
TEST(PairTableTest, EraseIfOfManyEntriesTakesLinearTimeAtEveryDensity) {
  for (const uint32_t size : {200'000u, 230'000u, 260'000u, 360'000u}) {
    PairTable table;
    for (uint32_t i = 0; i < size; ++i) table.Insert(ObjectIndex{i}, kOne);

    table.EraseIf([](ObjectIndex, SequenceNumber) { return false; });

    EXPECT_EQ(table.size(), size);
  }
}

TEST(PairTableTest, TakeAnySaysWhatItWillReturnInGoodTime) {
  PairTable table;
  for (uint32_t i = 0; i < 1000; ++i) table.Insert(ObjectIndex{i}, kOne);
  std::set<uint32_t> announced;
  size_t by_surprise = 0;
  size_t cursor = 0;

  while (const auto object =
             table.TakeAny(cursor, [&](ObjectIndex soon) { announced.insert(Raw(soon)); })) {
    if (!announced.contains(Raw(*object))) ++by_surprise;
  }

  EXPECT_LE(by_surprise, 32u);  // Those at the very front.
}

// A new client lists objects in the order in which a lapsed one let go of them.
TEST(PairTableTest, FillingATableInTheOrderThatAnotherIsTakenApartInTakesLinearTime) {
  PairTable lapsed(1);
  for (uint32_t i = 0; i < 200'000; ++i) lapsed.Insert(ObjectIndex{i}, kOne);

  PairTable table(2);
  size_t cursor = 0;
  while (const auto object = lapsed.TakeAny(cursor, Ignore)) table.Insert(*object, kOne);

  EXPECT_EQ(table.size(), 200'000u);
}

TEST(PairTableTest, TheSeedOutlivesGrowingShrinkingAndMoving) {
  std::vector<uint32_t> orders[2];
  for (const bool used_before : {false, true}) {
    PairTable table(7);
    for (uint32_t i = 0; used_before && i < 100; ++i) table.Insert(ObjectIndex{i}, kOne);
    for (uint32_t i = 0; used_before && i < 100; ++i) table.Erase(ObjectIndex{i});
    PairTable moved = std::move(table);
    for (uint32_t i = 0; i < 100; ++i) moved.Insert(ObjectIndex{i}, kOne);
    size_t cursor = 0;
    while (const auto object = moved.TakeAny(cursor, Ignore))
      orders[used_before].push_back(Raw(*object));
  }

  EXPECT_EQ(orders[0], orders[1]);
}

// Against std::map, in runs short enough that most tables stay small: there, clusters that wrap
// around the end of the array are the rule; those of many keys have several segments.
class PairTableModelTest : public ::testing::TestWithParam<uint32_t> {};

TEST_P(PairTableModelTest, AgreesWithAMap) {
  const uint32_t keys = GetParam();
  const uint64_t seeds = std::max(3u, 60 / (1 + keys / 1000));
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed << ", keys " << keys);
    std::mt19937_64 random(seed);
    PairTable table;
    std::map<uint32_t, uint64_t> model;
    for (uint64_t step = 1; step <= 20 * keys + 200; ++step) {
      const auto key = static_cast<uint32_t>(random() % keys);
      // Grows and shrinks in turns.
      const bool growing = step / (2 * keys + 8) % 2 == 0;
      const auto it = model.find(key);
      PairTable::Entry* const found = table.Find(ObjectIndex{key});
      ASSERT_EQ(found != nullptr, it != model.end());
      if (found != nullptr) {
        ASSERT_EQ(Raw(found->sequence()), it->second);
      }
      if (it == model.end() && (growing || random() % 4 == 0)) {
        table.Insert(ObjectIndex{key}, SequenceNumber{step});
        model[key] = step;
      } else if (it != model.end() && (!growing || random() % 4 == 0)) {
        table.Erase(ObjectIndex{key});
        model.erase(it);
      }
      if (random() % (200 + keys) == 0) {
        const uint64_t before = step - random() % (step + 1);
        const auto old = [before](uint64_t sequence) { return sequence < before; };
        table.EraseIf([&](ObjectIndex, SequenceNumber sequence) { return old(Raw(sequence)); });
        std::erase_if(model, [&](const auto& entry) { return old(entry.second); });
      }
      ASSERT_EQ(table.size(), model.size());
    }
    for (uint32_t key = 0; key < keys; ++key) {
      ASSERT_EQ(table.Find(ObjectIndex{key}) != nullptr, model.contains(key)) << key;
    }
    std::set<uint32_t> expected;
    for (const auto& [key, sequence] : model) expected.insert(key);
    ASSERT_EQ(TakeAll(table), expected);
  }
}

INSTANTIATE_TEST_SUITE_P(Keys, PairTableModelTest,
                         ::testing::Values(1, 2, 3, 4, 5, 7, 9, 14, 30, 100, 1000, 20'000));

}  // namespace
}  // namespace dgc
