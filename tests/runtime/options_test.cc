#include "dgc/runtime/options.h"

#include <functional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace dgc::testing {
namespace {

using ::testing::StartsWith;

TEST(OptionsTest, TheDefaultsAreValid) { EXPECT_THAT(Validate(Options{}), IsOk()); }

TEST(OptionsTest, WhatIsOutOfRangeIsNamed) {
  const struct {
    const char* field;
    std::function<void(Options*)> spoil;
  } kCases[] = {
      {"name", [](Options* options) { options->name = "two words"; }},
      {"name", [](Options* options) { options->name = std::string(256, 'x'); }},
      {"imports_max", [](Options* options) { options->imports_max = 0; }},
      {"imports_max", [](Options* options) { options->imports_max = uint32_t{1} << 31; }},
      {"objects.objects_max", [](Options* options) { options->objects.objects_max = 0; }},
      {"objects.local_round_interval",
       [](Options* options) { options->objects.local_round_interval = Duration(-1); }},
      {"objects.local_round_interval",
       [](Options* options) { options->objects.local_round_interval = Duration::max(); }},
      {"peers_max", [](Options* options) { options->peers_max = 0; }},
      {"types_max", [](Options* options) { options->types_max = 0; }},
      {"types_max", [](Options* options) { options->types_max = 65536; }},
      {"finalizers_waiting_max", [](Options* options) { options->finalizers_waiting_max = 0; }},
      {"events_waiting_max", [](Options* options) { options->events_waiting_max = 0; }},
      {"goodbye_timeout", [](Options* options) { options->goodbye_timeout = Duration(-1); }},
  };
  for (const auto& [field, spoil] : kCases) {
    Options options;
    spoil(&options);
    const absl::Status status = Validate(options);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << field;
    EXPECT_THAT(std::string(status.message()), StartsWith(field));
  }
}

}  // namespace
}  // namespace dgc::testing
