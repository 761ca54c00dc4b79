#include "dgc/core/slab.h"

#include <cstdint>
#include <memory>
#include <vector>

#include "gtest/gtest.h"

namespace dgc {
namespace {

constexpr uint32_t kChunk = 1024;

TEST(SlabTest, IsEmptyAtFirst) {
  const Slab<int> slab;

  EXPECT_EQ(slab.end(), 0u);
  EXPECT_EQ(slab.size(), 0u);
}

TEST(SlabTest, PositionsCountUpAcrossChunks) {
  Slab<uint32_t> slab;

  for (uint32_t i = 0; i < 2 * kChunk + 1; ++i) {
    ASSERT_EQ(slab.Allocate(), i);
    slab[i] = i;
  }

  EXPECT_EQ(slab.end(), 2 * kChunk + 1);
  for (uint32_t i = 0; i < slab.end(); ++i) ASSERT_EQ(slab[i], i);
}

TEST(SlabTest, RecordsDoNotMoveWhenTheTableGrows) {
  Slab<int> slab;
  const int* const first = &slab[slab.Allocate()];

  for (uint32_t i = 0; i < 100 * kChunk; ++i) slab.Allocate();

  EXPECT_EQ(&slab[0], first);
}

TEST(SlabTest, FreedPositionsAreReusedLatestFirstBeforeTheTableGrows) {
  Slab<int> slab;
  for (int i = 0; i < 4; ++i) slab.Allocate();

  slab.Free(1);
  slab.Free(3);
  EXPECT_EQ(slab.size(), 2u);
  EXPECT_EQ(slab.end(), 4u);

  EXPECT_EQ(slab.next(), 3u);
  EXPECT_EQ(slab.Allocate(), 3u);
  EXPECT_EQ(slab.Allocate(), 1u);
  EXPECT_EQ(slab.next(), 4u);
  EXPECT_EQ(slab.Allocate(), 4u);
  EXPECT_EQ(slab.size(), 5u);
}

TEST(SlabTest, AReusedRecordIsAsNew) {
  Slab<int> slab;
  slab[slab.Allocate()] = 42;

  slab.Free(0);
  slab.Allocate();

  EXPECT_EQ(slab[0], 0);
}

TEST(SlabTest, FreeingLetsGoOfWhatTheRecordOwned) {
  Slab<std::shared_ptr<int>> slab;
  const auto owned = std::make_shared<int>(1);
  slab[slab.Allocate()] = owned;

  slab.Free(0);

  EXPECT_EQ(owned.use_count(), 1);
}

}  // namespace
}  // namespace dgc
