#include "dgc/core/type_table.h"

#include <optional>

#include "gtest/gtest.h"

namespace dgc {
namespace {

TEST(TypeTableTest, OneNameIsOneNumberForAsLongAsItIsUsed) {
  TypeTable types;
  const auto a = types.Use("a", 10);

  ASSERT_TRUE(a.has_value());
  EXPECT_EQ(types.Use("a", 10), a);
  EXPECT_NE(types.Use("b", 10), a);
  types.Unuse(*a);
  EXPECT_EQ(types.NameOf(*a), "a");
  EXPECT_EQ(types.Use("a", 10), a);
  EXPECT_EQ(types.size(), 2u);
}

TEST(TypeTableTest, ANameThatNobodyUsesMakesRoomForAnother) {
  TypeTable types;
  const auto a = types.Use("a", 1);
  EXPECT_EQ(types.Use("b", 1), std::nullopt);
  EXPECT_EQ(types.Use("a", 1), a) << "it is no new one";

  types.Unuse(*a);
  EXPECT_EQ(types.Use("b", 1), std::nullopt);
  types.Unuse(*a);

  EXPECT_EQ(types.size(), 0u);
  EXPECT_EQ(types.Use("b", 1), a);
  EXPECT_EQ(types.NameOf(*a), "b");
}

TEST(TypeTableDeathTest, WhatIsNotUsedCannotBeGivenBack) {
  TypeTable types;
  const auto a = types.Use("a", 1);
  types.Unuse(*a);

  EXPECT_DEATH(types.Unuse(*a), "uses > 0");
}

}  // namespace
}  // namespace dgc
