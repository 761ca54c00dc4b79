// The threads of a process that only holds references, gRPC's included.
#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <vector>

#include "dgc/runtime/holder.h"
#include "gtest/gtest.h"
#include "tests/rpc/remote_owners.h"

namespace dgc::testing {
namespace {

size_t Threads() {
  using Entries = std::filesystem::directory_iterator;
  return static_cast<size_t>(std::distance(Entries("/proc/self/task"), Entries()));
}

// gRPC starts a few more while it is busy.
constexpr size_t kFew = 10;

TEST(HolderThreadsTest, DoNotGrowWithTheNumberOfOwners) {
  const RemoteOwners owners(60);
  ASSERT_EQ(owners.refs.size(), 60u);
  Holder holder({});
  std::vector<Ref> held;
  std::vector<size_t> threads;  // by the number of owners
  for (const v1::Ref& ref : owners.refs) {
    held.push_back(holder.Import(ref));
    ASSERT_TRUE(holder.Settle(kLong));
    EXPECT_TRUE(held.back().assured());
    threads.push_back(Threads());
  }

  EXPECT_EQ(holder.stats().peers, 60u);
  EXPECT_LE(*std::max_element(threads.begin(), threads.end()), threads.front() + kFew);
}

}  // namespace
}  // namespace dgc::testing
