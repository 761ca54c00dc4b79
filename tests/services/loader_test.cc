#include "services/graph_client/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <string>

#include "tests/testing/status_matchers.h"

namespace graph_client {
namespace {

using ::dgc::testing::IsOk;
using ::dgc::testing::StatusIs;

// Like a host that was stopped: the kernel takes connections, and nobody answers.
class SilentHost {
 public:
  SilentHost() {
    sockaddr_in bound{};
    bound.sin_family = AF_INET;
    bound.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(bound);
    auto* const address = reinterpret_cast<sockaddr*>(&bound);
    EXPECT_EQ(bind(fd_, address, length), 0);
    EXPECT_EQ(listen(fd_, 16), 0);
    EXPECT_EQ(getsockname(fd_, address, &length), 0);
    name_ = "127.0.0.1:" + std::to_string(ntohs(bound.sin_port));
  }
  ~SilentHost() { close(fd_); }
  SilentHost(const SilentHost&) = delete;
  SilentHost& operator=(const SilentHost&) = delete;
  const std::string& name() const { return name_; }

 private:
  const int fd_ = socket(AF_INET, SOCK_STREAM, 0);
  std::string name_;
};

TEST(LoaderTest, AHostThatDoesNotAnswerIsAnErrorInTheEnd) {
  const SilentHost host;
  const std::string path = ::testing::TempDir() + "/graph.tsv";
  std::ofstream(path) << "seeded\t1\t0\tt\ta\t10\n";
  const auto reader = GraphReader::Open(path);
  ASSERT_THAT(reader, IsOk());
  dgc::Holder holder({});
  LoaderOptions options;
  options.hosts = {host.name()};
  options.call_term = std::chrono::milliseconds(50);
  Loader loader(&holder, options);

  EXPECT_THAT(loader.Load(reader->get()), StatusIs(absl::StatusCode::kDeadlineExceeded));
}

}  // namespace
}  // namespace graph_client
