#include "services/object_host/object.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/testing/status_matchers.h"

namespace object_host {
namespace {

using ::dgc::testing::StatusIs;

class ObjectTest : public ::testing::Test {
 protected:
  std::shared_ptr<Object> Make(const std::string& payload) {
    EXPECT_TRUE(budget_.Take(payload.size()));
    return std::make_shared<Object>(*kinds_.Use("t"), "label", payload);
  }

  Budget budget_{10};
  Kinds kinds_{2, &budget_};
};

TEST_F(ObjectTest, WritesOverwriteAndExtend) {
  const auto object = Make("abc");

  EXPECT_EQ(*object->Write(1, "XY", 10), 3u);
  EXPECT_EQ(*object->Write(2, "12", 10), 4u);
  EXPECT_EQ(*object->Write(4, "!", 10), 5u);
  EXPECT_EQ(object->Read(0, 100), "aX12!");
  EXPECT_EQ(object->Read(3, 1), "2");
  EXPECT_EQ(object->Read(5, 1), "");
  EXPECT_EQ(object->Read(99, 1), "");
  EXPECT_EQ(object->payload_bytes(), 5u);
  EXPECT_EQ(budget_.used(), 5u);
}

TEST_F(ObjectTest, AWriteThatIsRefusedChangesNothing) {
  const auto object = Make("abc");

  EXPECT_THAT(object->Write(4, "x", 10), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(object->Write(3, "xx", 4), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(object->Write(~uint64_t{0}, "x", 4), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(object->Write(3, "12345678", 100), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(object->Read(0, 100), "abc");
  EXPECT_EQ(budget_.used(), 3u);
  EXPECT_TRUE(object->Write(3, "1234567", 10).ok());  // Just full.
}

TEST_F(ObjectTest, TheBudgetIsReturnedWithTheObject) {
  auto object = Make("0123456789");
  EXPECT_FALSE(budget_.Take(1));

  object.reset();

  EXPECT_EQ(budget_.used(), 0u);
  EXPECT_TRUE(budget_.Take(10));
  EXPECT_FALSE(budget_.Take(~uint64_t{0}));
}

TEST_F(ObjectTest, TypesAreBounded) {
  Kind* const first = *kinds_.Use("a");

  EXPECT_TRUE(kinds_.Use("b").ok());
  EXPECT_EQ(*kinds_.Use("a"), first);
  EXPECT_THAT(kinds_.Use("c").status(), StatusIs(absl::StatusCode::kResourceExhausted));
  kinds_.Unuse(first);
  EXPECT_THAT(kinds_.Use("c").status(), StatusIs(absl::StatusCode::kResourceExhausted));
  kinds_.Unuse(first);
  EXPECT_TRUE(kinds_.Use("c").ok());
}

TEST_F(ObjectTest, TheTypeGoesWithTheLastObject) {
  auto object = Make("");
  EXPECT_TRUE(kinds_.Use("a").ok());
  EXPECT_FALSE(kinds_.Use("b").ok());

  object.reset();

  EXPECT_TRUE(kinds_.Use("b").ok());
}

}  // namespace
}  // namespace object_host
