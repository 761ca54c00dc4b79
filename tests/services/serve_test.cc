#include "services/common/serve.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "services/object_host/object_host.h"

namespace services {
namespace {

using ::testing::HasSubstr;

// Messages of the standard services, as they travel: their .proto files are not installed.
constexpr char kServing[] = "\x08\x01";
constexpr char kNotServing[] = "\x08\x02";
constexpr char kListServices[] = "\x3a\x00";

// An object host that is served by a thread of this process, until two signals have come: the
// first begins a drain without end.
class ServeTest : public ::testing::Test {
 protected:
  ServeTest() {
    ServeOptions options;
    options.metrics = "none";
    options.drain_seconds = 3600;
    options.log_level = "error";
    std::promise<std::string> name;
    serving_ = std::thread([this, options, &name] {
      status_ = Serve(options, &signals_, [&name](const std::string& host) {
        name.set_value(host);
        return object_host::ObjectHost::Make({}, host);
      });
    });
    channel_ = grpc::CreateChannel(name.get_future().get(), grpc::InsecureChannelCredentials());
  }

  // The answer to one message.
  std::string Ask(const std::string& method, const std::string& message) {
    grpc::CompletionQueue queue;
    grpc::GenericStub stub(channel_);
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    const auto call = stub.PrepareCall(&context, method, &queue);
    const auto done = [&queue] {
      void* tag = nullptr;
      bool ok = false;
      return queue.Next(&tag, &ok) && ok;
    };
    const grpc::Slice request(message);
    grpc::ByteBuffer response;
    grpc::Status status;
    call->StartCall(nullptr);
    done();
    call->WriteLast(grpc::ByteBuffer(&request, 1), {}, nullptr);
    done();
    call->Read(&response, nullptr);
    const bool answered = done();
    call->Finish(&status, nullptr);
    done();
    EXPECT_TRUE(answered && status.ok()) << method << ": " << status.error_message();
    std::vector<grpc::Slice> slices;
    std::string answer;
    if (answered && response.Dump(&slices).ok()) {
      for (const grpc::Slice& slice : slices) answer.append(slice.begin(), slice.end());
    }
    return answer;
  }
  std::string Health() { return Ask("/grpc.health.v1.Health/Check", ""); }
  // Returns when health has noticed, or should have.
  void BeginDrain() {
    kill(getpid(), SIGTERM);
    for (int i = 0; i < 50'000 && Health() == kServing; ++i) {
    }
  }
  // Ends the drain; the exit status.
  int End() {
    kill(getpid(), SIGTERM);
    serving_.join();
    return status_;
  }

 private:
  TerminationSignals signals_;  // First: threads inherit what it blocks.
  std::thread serving_;
  int status_ = -1;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(ServeTest, HealthIsServingAndNotServingDuringTheDrain) {
  EXPECT_EQ(Health(), kServing);

  BeginDrain();

  EXPECT_EQ(Health(), kNotServing);
  EXPECT_EQ(End(), 0);
}

TEST_F(ServeTest, ReflectionListsTheServices) {
  const std::string services =
      Ask("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", {kListServices, 2});

  for (const char* name :
       {"objects.v1.ObjectService", "dgc.v1.CollectorService", "grpc.health.v1.Health"}) {
    EXPECT_THAT(services, HasSubstr(name));
  }
  BeginDrain();
  EXPECT_EQ(End(), 0);
}

}  // namespace
}  // namespace services
