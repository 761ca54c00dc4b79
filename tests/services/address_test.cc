#include "services/common/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"

namespace services {
namespace {

using ::dgc::testing::StatusIs;

TEST(AddressTest, HostsAndPortsAreTakenApart) {
  const absl::StatusOr<Address> v4 = ParseAddress("127.0.0.1:7000");
  ASSERT_TRUE(v4.ok());
  EXPECT_EQ(v4->host, "127.0.0.1");
  EXPECT_EQ(v4->port, 7000);
  EXPECT_EQ(v4->ToString(), "127.0.0.1:7000");

  const absl::StatusOr<Address> v6 = ParseAddress("[::1]:0");
  ASSERT_TRUE(v6.ok());
  EXPECT_EQ(v6->host, "[::1]");
  EXPECT_EQ(v6->port, 0);
}

TEST(AddressTest, WhatIsNotHostAndPortIsRefused) {
  for (const char* text :
       {"", ":", "host", ":7000", "host:", "host:x", "host:65536", "host:-1", "::1:7000"}) {
    EXPECT_THAT(ParseAddress(text), StatusIs(absl::StatusCode::kInvalidArgument)) << text;
  }
}

TEST(AddressTest, OnlyEveryInterfaceIsAWildcard) {
  for (const char* text : {"0.0.0.0:1", "0:0", "0.0:1", "0x0:1", "[::]:1", "[::0]:0",
                           "[0:0:0:0:0:0:0:0]:0", "[::0.0.0.0]:1", "[::ffff:0.0.0.0]:1"}) {
    EXPECT_TRUE(ParseAddress(text)->wildcard()) << text;
  }
  for (const char* text : {"127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "localhost:1",
                           "no.such.host.invalid:1", "[]:1", "[:1"}) {
    EXPECT_FALSE(ParseAddress(text)->wildcard()) << text;
  }
}

TEST(AddressTest, AFreePortCanBeHadOnLoopback) {
  const absl::StatusOr<uint16_t> port = FreePort({.host = "127.0.0.1"});

  ASSERT_TRUE(port.ok());
  EXPECT_NE(*port, 0);
  EXPECT_FALSE(FreePort({.host = "no.such.host.invalid"}).ok());
}

}  // namespace
}  // namespace services
