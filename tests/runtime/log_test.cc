#include "dgc/runtime/log.h"

#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "dgc/runtime/call_counts.h"
#include "dgc/runtime/metrics.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/runtime/world.h"

namespace dgc::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Kind = Transition::Kind;

constexpr Kind kLast = Kind::kReapingReleased;

// What goes to spdlog's default logger, as "level message" lines, for as long as it lives.
class CapturedLog {
 public:
  CapturedLog() : before_(spdlog::default_logger()) {
    auto logger = std::make_shared<spdlog::logger>(
        "captured", std::make_shared<spdlog::sinks::ostream_sink_st>(text_));
    logger->set_pattern("%l %v");
    spdlog::set_default_logger(std::move(logger));
  }
  ~CapturedLog() { spdlog::set_default_logger(before_); }

  std::string TakeText() {
    std::string text = text_.str();
    text_.str("");
    return text;
  }

 private:
  const std::shared_ptr<spdlog::logger> before_;
  std::ostringstream text_;
};

TEST(LogTest, EachKindOfTransitionHasItsOwnLine) {
  CapturedLog log;
  std::set<std::string> lines;
  for (uint8_t kind = 0; kind <= static_cast<uint8_t>(kLast); ++kind) {
    LogTransition({.transition = {.kind = static_cast<Kind>(kind)}, .owner = {}});
    lines.insert(log.TakeText());
  }
  EXPECT_EQ(lines.size(), static_cast<size_t>(kLast) + 1);
  for (const std::string& line : lines) EXPECT_THAT(line, Not(HasSubstr("event=unknown")));
}

TEST(LogTest, ALapseNamesTheClientAndAPeerTheOwnerAndItsRun) {
  CapturedLog log;
  LogTransition(
      {.transition = {.kind = Kind::kLeaseLapsed, .client = {1, 2}, .count = 3}, .owner = {}});
  EXPECT_EQ(log.TakeText(),
            "warning event=lease_lapsed client=00000000000000010000000000000002 references=3\n");
  LogTransition({.transition = {.kind = Kind::kOwnerRestarted, .count = 3},
                 .owner = "host:1",
                 .incarnation = Incarnation{0xabc}});
  EXPECT_EQ(
      log.TakeText(),
      "warning event=owner_restarted owner=host:1 incarnation=0000000000000abc references=3\n");
}

// So do the metrics.
TEST(LogTest, ShowsThatTheBrakeGripsAndLetsGoAndWhatAnOperatorSays) {
  CapturedLog log;
  World world;
  world.lease.brake_percent = 50;
  world.options.on_transition = LogTransition;
  Engine& owner = world.AddOwner("owner:1");
  std::vector<Ref> refs;
  for (int i = 0; i < 64; ++i) {
    Engine& holder = world.AddHolder();
    refs.push_back(holder.Import(Share(owner, std::make_shared<Upload>(&world.gone), holder.id())));
  }
  world.Run(std::chrono::seconds(1));
  world.network.Cut(true);
  log.TakeText();
  world.Run(world.lease.term_default);
  EXPECT_THAT(log.TakeText(), HasSubstr("warning event=brake_on leases=64\n"));
  const auto collectable =
      MakeCollectable({std::shared_ptr<Engine>(), &owner}, std::make_shared<const CallCounts>());
  const std::string metrics = prometheus::TextSerializer().Serialize(collectable->Collect());
  for (const char* line :
       {"\ndgc_reaping_braked 1\n", "\ndgc_brakes_total 1\n", "\ndgc_leases_deferred 64\n"}) {
    EXPECT_THAT(metrics, HasSubstr(line));
  }
  world.Run(world.lease.brake_hold);
  EXPECT_THAT(log.TakeText(), HasSubstr("info event=brake_off leases=64\n"));
  EXPECT_EQ(world.gone, 64);

  owner.SetReaping(ReapingMode::kHeld);
  owner.SetReaping(ReapingMode::kReleased);
  owner.SetReaping(ReapingMode::kAutomatic);
  world.Run(std::chrono::seconds(1));
  EXPECT_EQ(log.TakeText(),
            "warning event=reaping_held leases=0\n"
            "warning event=reaping_released leases=0\n"
            "info event=reaping_automatic leases=0\n");
}

}  // namespace
}  // namespace dgc::testing
