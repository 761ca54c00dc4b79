// The catalogue and what is exported say the same.
#include "dgc/runtime/metrics.h"

#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>

#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "dgc/runtime/holder.h"
#include "dgc/runtime/owner.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dgc {
namespace {

using ::testing::Contains;
using ::testing::Not;
using ::testing::SizeIs;

struct Family {
  std::string type;
  std::string labels;  // sorted, comma-separated

  friend bool operator==(const Family&, const Family&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Family& family) {
    return out << family.type << " {" << family.labels << "}";
  }
};
using Families = std::map<std::string, Family>;

// Rows of the catalogue's tables: | `name` | type | labels | unit | meaning |
Families Catalogued() {
  std::ifstream file(CATALOGUE);
  EXPECT_TRUE(file) << CATALOGUE;
  const std::regex row(R"(\| `(dgc_\w+)` \| (\w+) \| ([^|]*) \| ([^|]+) \| ([^|]+) \|)");
  Families families;
  std::string line;
  while (std::getline(file, line)) {
    std::smatch match;
    if (!std::regex_match(line, match, row)) {
      EXPECT_FALSE(line.starts_with("| `")) << "not a row: " << line;
      continue;
    }
    std::string labels;
    const std::string cell = match[3];
    const std::regex name(R"(`(\w+)`)");
    for (auto it = std::sregex_iterator(cell.begin(), cell.end(), name);
         it != std::sregex_iterator(); ++it) {
      labels += (labels.empty() ? "" : ",") + (*it)[1].str();
    }
    EXPECT_TRUE(families.try_emplace(match[1], Family{match[2], labels}).second) << line;
  }
  return families;
}

const char* Name(prometheus::MetricType type) {
  switch (type) {
    case prometheus::MetricType::Counter:
      return "counter";
    case prometheus::MetricType::Gauge:
      return "gauge";
    case prometheus::MetricType::Histogram:
      return "histogram";
    default:
      return "other";
  }
}

Families Exported(const Holder& process) {
  Families families;
  for (const prometheus::MetricFamily& family : process.metrics()->Collect()) {
    std::set<std::string> labels;
    for (const prometheus::ClientMetric& metric : family.metric) {
      for (const auto& label : metric.label) labels.insert(label.name);
    }
    std::string joined;
    for (const std::string& label : labels) joined += (joined.empty() ? "" : ",") + label;
    EXPECT_TRUE(families.try_emplace(family.name, Family{Name(family.type), joined}).second)
        << family.name;
    EXPECT_FALSE(family.help.empty()) << family.name;
  }
  return families;
}

TEST(MetricsTest, HolderExportsWhatIsCataloguedAndNothingElse) {
  const Holder holder({});
  EXPECT_EQ(Exported(holder), Catalogued());
}

TEST(MetricsTest, OwnerExportsTheSameFamilies) {
  const Owner owner({.name = "owner:1"});
  EXPECT_EQ(Exported(owner), Catalogued());
}

TEST(MetricsTest, ChildrenAreThereBeforeAnythingHappens) {
  const Holder holder({});
  const size_t children = [&] {
    size_t count = 0;
    for (const auto& family : holder.metrics()->Collect()) count += family.metric.size();
    return count;
  }();

  EXPECT_GT(children, Catalogued().size());
  EXPECT_LT(children, 200u) << "labels come from small closed sets";
}

TEST(MetricsTest, NumbersAreThoseOfTheProcess) {
  Owner owner({.name = "owner:1"});
  const Ref ref = owner.Export(std::make_shared<int>(1));
  const std::string text = prometheus::TextSerializer().Serialize(owner.metrics()->Collect());

  EXPECT_NE(text.find("\ndgc_objects 1\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\ndgc_objects_reclaimed_total{reason=\"lapse\"} 0\n"), std::string::npos);
  EXPECT_NE(text.find("dgc_rpc_duration_seconds_bucket{method=\"Dirty\",le=\"+Inf\"} 0"),
            std::string::npos);
}

TEST(MetricsTest, ReapingThatIsHeldShows) {
  Owner owner({.name = "owner:1"});
  const auto text = [&] {
    return prometheus::TextSerializer().Serialize(owner.metrics()->Collect());
  };
  EXPECT_NE(text().find("\ndgc_reaping_braked 0\n"), std::string::npos) << text();
  owner.SetReaping(ReapingMode::kHeld);
  EXPECT_NE(text().find("\ndgc_reaping_braked 1\n"), std::string::npos) << text();
  owner.SetReaping(ReapingMode::kAutomatic);
  EXPECT_NE(text().find("\ndgc_reaping_braked 0\n"), std::string::npos) << text();
}

TEST(MetricsTest, ScrapeAfterShutdownIsSafe) {
  std::shared_ptr<prometheus::Collectable> metrics;
  {
    Holder holder({});
    metrics = holder.metrics();
  }
  EXPECT_THAT(metrics->Collect(), Not(SizeIs(0)));
}

}  // namespace
}  // namespace dgc
