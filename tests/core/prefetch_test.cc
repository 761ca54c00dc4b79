#include "dgc/core/prefetch.h"

#include "gtest/gtest.h"

namespace dgc {
namespace {

TEST(FetchAheadTest, TakesEachThroughAllStepsInOrderAndOnTime) {
  constexpr size_t kAhead = 4;
  for (size_t size = 0; size < 4 * kAhead; ++size) {
    size_t far = 0;
    size_t near = 0;
    size_t used = 0;
    FetchAhead<kAhead>(
        size, [&](size_t i) { EXPECT_EQ(i, far++); },
        [&](size_t i) {
          EXPECT_EQ(i, near++);
          EXPECT_TRUE(far == i + kAhead || far == size);
        },
        [&](size_t i) {
          EXPECT_EQ(i, used++);
          EXPECT_TRUE(near == i + kAhead || near == size);
        });
    EXPECT_EQ(far, size);
    EXPECT_EQ(near, size);
    EXPECT_EQ(used, size);
  }
}

}  // namespace
}  // namespace dgc
