#include "dgc/core/digest.h"

#include <algorithm>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace dgc {
namespace {

constexpr ObjectId kOne{1, 2};
constexpr ObjectId kOther{0xffffffffffffffff, 0x0123456789abcdef};

// Computed apart from this code, from the formula in proto/dgc/v1/collector.proto.
TEST(DigestTest, IsTheFunctionThatTheProtocolFixes) {
  Digest digest;

  digest.Add(kOne);
  EXPECT_EQ(digest.hash, 0x3ec2d42f3a45cc6eu);
  digest.Add(kOther);

  EXPECT_EQ(digest.hash, 0x7716037d968c1f9bu);
  EXPECT_EQ(digest.count, 2u);
}

// As in the comments of collector.proto.
TEST(DigestTest, IsTheExampleOfTheProtocol) {
  Digest digest;
  digest.Add({1, 2});
  EXPECT_EQ(digest.hash, 0x3ec2d42f3a45cc6e);
}

TEST(DigestTest, SwappedHalvesDiffer) {
  Digest one;
  Digest swapped;

  one.Add({1, 2});
  swapped.Add({2, 1});

  EXPECT_NE(one, swapped);
}

TEST(DigestTest, RemovingWhatWasAddedGivesTheEmptyDigest) {
  Digest digest;

  digest.Add(kOne);
  digest.Add(kOther);
  digest.Remove(kOne);
  digest.Remove(kOther);

  EXPECT_EQ(digest, Digest{});
}

TEST(DigestTest, DoesNotDependOnOrderOrHistory) {
  std::mt19937_64 random(7);
  std::vector<ObjectId> ids(1000);
  for (ObjectId& id : ids) id = {random(), random()};

  Digest forward;
  for (const ObjectId& id : ids) forward.Add(id);
  std::shuffle(ids.begin(), ids.end(), random);
  Digest shuffled;
  for (const ObjectId& id : ids) {
    shuffled.Add(kOne);
    shuffled.Add(id);
    shuffled.Remove(kOne);
  }

  EXPECT_EQ(forward, shuffled);
}

}  // namespace
}  // namespace dgc
