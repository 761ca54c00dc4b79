// A process that only holds references: when its last channel goes, so do gRPC's callback threads.
#include "dgc/runtime/holder.h"
#include "gtest/gtest.h"
#include "tests/rpc/remote_owners.h"

namespace dgc::testing {
namespace {

// A channel that was let go of by one of those threads ended the process, about once in a thousand
// times.
TEST(LastChannelTest, IsNotLetGoOfByAThreadThatEndsWithIt) {
  const RemoteOwners owners(1);
  ASSERT_EQ(owners.refs.size(), 1u);
  for (int i = 0; i < 2000; ++i) {
    Holder holder({});
    const Ref ref = holder.Import(owners.refs[0]);
    ASSERT_TRUE(holder.Settle(kLong));
  }
}

}  // namespace
}  // namespace dgc::testing
