// LeaseOwnerTest: an owner told requests by hand, for tests of its half of the lease strategy.
//
// Not thread-safe.
#pragma once

#include <utility>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "tests/strategies/node.h"

namespace dgc::testing {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline constexpr ClientId kAlice{1, 2};
inline constexpr ClientId kBob{1, 3};
inline constexpr Incarnation kRun{7};

class LeaseOwnerTest : public ::testing::Test {
 protected:
  explicit LeaseOwnerTest(LeaseOptions options = TestLease()) : owner_(7, "host:1", options) {}

  ObjectId IdOf(Target handle) { return owner_.process.Describe(handle).id; }

  DirtyResponse Dirty(ClientId client, uint64_t sequence, std::vector<Row> rows,
                      Duration term = {}) {
    Response response = owner_.Received(
        DirtyRequest{client, kRun, SequenceNumber{sequence}, term, std::move(rows), {}});
    EXPECT_TRUE(std::holds_alternative<DirtyResponse>(response));
    return std::get<DirtyResponse>(response);
  }
  void Clean(ClientId client, uint64_t sequence, std::vector<Row> rows) {
    Response response =
        owner_.Received(CleanRequest{client, kRun, SequenceNumber{sequence}, std::move(rows)});
    EXPECT_TRUE(std::holds_alternative<CleanResponse>(response));
    owner_.Run();
  }
  RenewResponse Renew(ClientId client, uint64_t sequence, Digest held) {
    Response response =
        owner_.Received(RenewRequest{client, kRun, SequenceNumber{sequence}, {}, held});
    return std::get<RenewResponse>(response);
  }
  // An object that nothing but what a test lists keeps alive.
  ObjectId Listed(ClientId client, uint64_t sequence) {
    const Target handle = owner_.Export();
    const ObjectId id = IdOf(handle);
    EXPECT_TRUE(Dirty(client, sequence, {{id}}).failures.empty());
    owner_.Drop(handle);
    owner_.Run();
    return id;
  }
  bool Live(const ObjectId& id) { return owner_.process.objects().Find(id).has_value(); }
  Digest DigestOf(std::vector<ObjectId> ids) {
    Digest digest;
    for (const ObjectId& id : ids) digest.Add(id);
    return digest;
  }

  Node owner_;
};

}  // namespace dgc::testing
