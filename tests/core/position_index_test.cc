#include "dgc/core/position_index.h"

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "tests/testing/least_time.h"

namespace dgc {
namespace {

constexpr uint64_t kSecret = 0x243f6a8885a308d3;
const auto kAny = [](uint32_t) { return true; };

TEST(PositionIndexTest, AnEmptyIndexTakesNoMemoryAndFindsNothing) {
  const PositionIndex index(kSecret);

  index.Prefetch(7);
  EXPECT_EQ(index.bytes(), 0u);
  EXPECT_EQ(index.Find(0, kAny), std::nullopt);
  EXPECT_EQ(index.Peek(0), std::nullopt);
}

TEST(PositionIndexTest, KeepsTheSmallestAndTheGreatestTagsAndPositions) {
  PositionIndex index(kSecret);
  index.Insert(0, 0);
  index.Insert(0xffffffff, 0xfffffffe);

  EXPECT_EQ(index.Peek(0), 0u);
  EXPECT_EQ(index.Peek(0xffffffff), 0xfffffffeu);
  EXPECT_EQ(index.Peek(1), std::nullopt);
}

TEST(PositionIndexTest, PositionsWithTheSameTagAreToldApartByTheCaller) {
  PositionIndex index(kSecret);
  for (uint32_t position = 0; position < 100; ++position) index.Insert(5, position);

  for (uint32_t position = 0; position < 100; ++position) {
    const auto equal = [position](uint32_t candidate) { return candidate == position; };
    ASSERT_EQ(index.Find(5, equal), position);
  }
  index.Erase(5, 50);
  EXPECT_EQ(index.Find(5, [](uint32_t candidate) { return candidate == 50; }), std::nullopt);
  EXPECT_EQ(index.size(), 99u);
}

TEST(PositionIndexDeathTest, WhatWasNotInsertedIsNotErased) {
  PositionIndex index(kSecret);
  index.Insert(5, 1);

  EXPECT_DEATH(index.Erase(5, 2), "kEmpty");
}

TEST(PositionIndexTest, StaysWithinItsDensityWhileItGrowsAndShrinks) {
  PositionIndex index(kSecret);
  for (uint32_t i = 0; i < 100'000; ++i) {
    index.Insert(static_cast<uint32_t>(Mix(i)), i);
    ASSERT_LE(index.bytes(), 20 * index.size() + 64);
  }
  for (uint32_t i = 0; i < 100'000; ++i) {
    index.Erase(static_cast<uint32_t>(Mix(i)), i);
    ASSERT_LE(index.bytes(), 8 * 6 * index.size() + 64);
  }
}

TEST(TagOfTest, DependsOnBothHalvesAndTheirOrder) {
  EXPECT_NE(TagOf(1, 2), TagOf(2, 1));
  EXPECT_NE(TagOf(0, 1), TagOf(0, 2));
  EXPECT_NE(TagOf(1, 0), TagOf(2, 0));
}

// As if the ids of long-lived objects had been sifted for it.
TEST(PositionIndexTest, TagsChosenToBeNeighboursCostWhatOthersDo) {
  const auto time = [](bool chosen) {
    return testing::LeastSeconds([chosen] {
      PositionIndex index(kSecret);
      for (uint32_t i = 0; i < 20'000; ++i) {
        const auto tag = static_cast<uint32_t>(Mix(i));
        index.Insert(chosen ? tag >> 8 : tag, i);
      }
    });
  };

  EXPECT_LT(time(true), 20 * time(false));
}

// Against std::multimap; at times few tags, so that clusters are long.
TEST(PositionIndexTest, AgreesWithAMultimap) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    const uint32_t positions = 1 + static_cast<uint32_t>(random() % 200);
    // All over the range, or few.
    const uint32_t range = random() % 2 == 0 ? 0xffffffff : 50;
    std::vector<uint32_t> tags(positions);
    for (uint32_t& tag : tags) tag = 0xffffffff - static_cast<uint32_t>(random() % range);
    PositionIndex index(kSecret);
    std::map<uint32_t, uint32_t> model;  // by position
    for (int step = 0; step < 2000; ++step) {
      const auto position = static_cast<uint32_t>(random() % positions);
      const bool growing = step / 300 % 2 == 0;
      const auto equal = [position](uint32_t candidate) { return candidate == position; };
      const bool present = model.contains(position);
      ASSERT_EQ(index.Find(tags[position], equal).has_value(), present) << "step " << step;
      if (!present && (growing || random() % 4 == 0)) {
        index.Insert(tags[position], position);
        model[position] = tags[position];
      } else if (present && (!growing || random() % 4 == 0)) {
        index.Erase(tags[position], position);
        model.erase(position);
      }
      ASSERT_EQ(index.size(), model.size());
    }
  }
}

}  // namespace
}  // namespace dgc
