#include "dgc/core/fifo.h"

#include <deque>

#include "gtest/gtest.h"

namespace dgc {
namespace {

TEST(FifoTest, IsAQueueWhateverIsPutTakenAndErased) {
  Fifo<int> fifo;
  std::deque<int> model;
  for (int i = 0; i < 10'000; ++i) {
    if (i % 7 < 4) {
      fifo.push_back(i);
      model.push_back(i);
    } else if (!model.empty()) {
      fifo.pop_front();
      model.pop_front();
    }
    if (i % 1000 == 999) {
      const auto odd = [](int each) { return each % 2 == 1; };
      const size_t some = fifo.size() / 2;
      std::deque<int> rest(model.begin() + static_cast<ptrdiff_t>(some), model.end());
      model.resize(some);
      EXPECT_EQ(fifo.EraseIf(some, odd), std::erase_if(model, odd));
      model.insert(model.end(), rest.begin(), rest.end());
      EXPECT_EQ(fifo.EraseIf(fifo.size(), odd), std::erase_if(model, odd));
    }
    ASSERT_EQ(fifo.size(), model.size());
    ASSERT_EQ(fifo.empty(), model.empty());
    if (!model.empty()) {
      ASSERT_EQ(fifo.front(), model.front());
    }
  }
}

TEST(FifoTest, IsEmptyOnceCleared) {
  Fifo<int> fifo;
  for (int i = 0; i < 4; ++i) fifo.push_back(i);
  fifo.pop_front();
  fifo.clear();
  EXPECT_TRUE(fifo.empty());
  EXPECT_EQ(fifo.size(), 0u);
}

}  // namespace
}  // namespace dgc
