// LeasePairTest: an owner and two holders on one network, for tests of both halves of the lease
// strategy together.
//
// Not thread-safe.
#pragma once

#include <chrono>
#include <utility>
#include <variant>

#include "gtest/gtest.h"
#include "tests/strategies/node.h"

namespace dgc::testing {

class LeasePairTest : public ::testing::Test {
 protected:
  Node owner_{7, "host:1"};
  Node alice_{1, ""};
  Node bob_{2, ""};
  Cluster cluster_{{&owner_, &alice_, &bob_}};

  // A listing that `holder` knows nothing of: it believes that its Clean was carried out.
  WireRef Ghost(Node& owner, Node& holder) {
    const Target object = owner.Export();
    const WireRef ref = owner.Share(object);
    owner.Drop(object);
    const Target handle = holder.Import(ref);
    Cluster({&owner, &holder}).Sleep(std::chrono::seconds(1));
    holder.Drop(handle);
    for (bool cleaned = false; !cleaned;) {
      holder.now += std::chrono::milliseconds(1);
      owner.now += std::chrono::milliseconds(1);
      owner.Run();
      holder.Run();
      for (const Send& send : std::exchange(holder.sends, {})) {
        cleaned = std::holds_alternative<CleanRequest>(send.request);
        holder.process.Answered(send.peer, send.call,
                                cleaned ? CleanResponse{} : owner.Received(send.request),
                                holder.now);
      }
    }
    EXPECT_TRUE(owner.Live(ref));
    return ref;
  }
};

}  // namespace dgc::testing
