#include "services/graph_client/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <string>

#include "tests/testing/silent_host.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace graph_client {
namespace {

using ::dgc::testing::StatusIs;

class LoaderTest : public ::testing::Test {
 protected:
  // One object, for a host that does not answer within `call_term`.
  absl::Status LoadOneObject(std::chrono::milliseconds call_term) {
    const std::string path = folder_.Path("graph.tsv");
    std::ofstream(path) << "seeded\t1\t0\tt\ta\t10\n";
    const auto reader = GraphReader::Open(path);
    if (!reader.ok()) return reader.status();
    dgc::Holder holder({});
    LoaderOptions options;
    options.hosts = {host_.name()};
    options.call_term = call_term;
    return Loader(&holder, options).Load(reader->get());
  }

  const dgc::testing::TempFolder folder_;
  const dgc::testing::SilentHost host_;
};

TEST_F(LoaderTest, AHostThatDoesNotAnswerIsAnErrorInTheEnd) {
  EXPECT_THAT(LoadOneObject(std::chrono::milliseconds(50)),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

// As tests/rpc/last_channel_test.cc has it of a Holder.
TEST_F(LoaderTest, ItsLastChannelIsNotLetGoOfByAThreadThatEndsWithIt) {
  for (int i = 0; i < 1000; ++i) {
    ASSERT_THAT(LoadOneObject(std::chrono::milliseconds(1)),
                StatusIs(absl::StatusCode::kDeadlineExceeded));
  }
}

}  // namespace
}  // namespace graph_client
