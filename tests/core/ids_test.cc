#include "dgc/core/ids.h"

#include <cstdint>
#include <limits>
#include <set>

#include "absl/hash/hash.h"
#include "gtest/gtest.h"

namespace dgc {
namespace {

constexpr uint32_t kIndexMax = (uint32_t{1} << 31) - 1;

TEST(IdsTest, OnlyTheAllZeroIdentityIsInvalid) {
  EXPECT_FALSE((ObjectId{0, 0}.valid()));
  EXPECT_TRUE((ObjectId{1, 0}.valid()));
  EXPECT_TRUE((ObjectId{0, 1}.valid()));
  EXPECT_TRUE((ObjectId{uint64_t{1} << 63, 0}.valid()));
}

TEST(IdsTest, IdentitiesAreOrderedByHighHalfThenLow) {
  EXPECT_LT((ClientId{1, 9}), (ClientId{2, 0}));
  EXPECT_LT((ClientId{1, 1}), (ClientId{1, 2}));
  EXPECT_EQ((ClientId{1, 2}), (ClientId{1, 2}));
}

TEST(IdsTest, SwappedHalvesHashDifferently) {
  EXPECT_NE(absl::HashOf(ObjectId{1, 2}), absl::HashOf(ObjectId{2, 1}));
}

TEST(IdsTest, HexKeepsLeadingZeros) {
  EXPECT_EQ(ToHex(ObjectId{0x1, 0xabcdef}), "00000000000000010000000000abcdef");
  EXPECT_EQ(ToHex(ClientId{~uint64_t{0}, 0}), "ffffffffffffffff0000000000000000");
}

TEST(TargetTest, TellsObjectsFromImportsAtBothEndsOfTheRange) {
  for (const uint32_t index : {uint32_t{0}, uint32_t{1}, kIndexMax}) {
    const Target object(ObjectIndex{index});
    const Target import(ImportIndex{index});
    EXPECT_FALSE(object.is_import());
    EXPECT_TRUE(import.is_import());
    EXPECT_EQ(object.object(), ObjectIndex{index});
    EXPECT_EQ(import.import(), ImportIndex{index});
    EXPECT_NE(object, import);
  }
}

TEST(TargetTest, IsOneWord) { EXPECT_EQ(sizeof(Target), 4u); }

TEST(MixTest, IsTheFinalizerOfSplitmix64) {
  // The generator's first output for seed 0.
  EXPECT_EQ(Mix(0x9e3779b97f4a7c15u), 0xe220a8397b1dcdafu);
}

TEST(MixTest, SpreadsConsecutiveNumbersOverTheLowBits) {
  std::set<uint64_t> low;
  for (uint64_t i = 0; i < 4096; ++i) low.insert(Mix(i + 0x9e3779b97f4a7c15u) & 4095);
  // A random function covers 1 - 1/e of them.
  EXPECT_GT(low.size(), 2400u);
}

}  // namespace
}  // namespace dgc
