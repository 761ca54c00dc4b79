#include "services/common/serve.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "objects/v1/objects.grpc.pb.h"
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
      status_ = Serve(options, &signals_, [&name](const std::string& host, uint32_t peers_max) {
        name.set_value(host);
        return object_host::ObjectHost::Make({}, host, peers_max);
      });
    });
    name_ = name.get_future().get();
    channel_ = grpc::CreateChannel(name_, grpc::InsecureChannelCredentials());
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

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  const std::string& name() const { return name_; }

 private:
  TerminationSignals signals_;  // First: threads inherit what it blocks.
  std::thread serving_;
  int status_ = -1;
  std::string name_;
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

// For good: a process may not raise its hard limit again.
struct FewDescriptors {
  static constexpr rlim_t kDescriptors = 1000;
  FewDescriptors() {
    const rlimit few{kDescriptors, kDescriptors};
    setrlimit(RLIMIT_NOFILE, &few);
  }
};

class FewDescriptorsTest : public FewDescriptors, public ServeTest {
 protected:
  // Three times as many owners as there are descriptors, all of which are this one listener, that
  // takes connections and says nothing.
  static constexpr int kOwners = 3 * kDescriptors;

  FewDescriptorsTest() : listener_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    socklen_t length = sizeof(address);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), length), 0);
    EXPECT_EQ(listen(listener_, 2 * kOwners), 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
  }
  ~FewDescriptorsTest() override { close(listener_); }

  // Creates an object that refers to these owners.
  grpc::Status Create(int first, int last) {
    objects::v1::CreateRequest request;
    auto* const object = request.add_objects();
    for (int i = first; i < last; ++i) {
      dgc::v1::Ref* const edge = object->add_edges();
      edge->set_owner(absl::StrCat("127.1.", i / 250, ".", 1 + i % 250, ":", port_));
      edge->set_incarnation(1);
      edge->set_object_id_low(1);
    }
    objects::v1::CreateResponse response;
    grpc::ClientContext context;
    return objects::v1::ObjectService::NewStub(channel())->Create(&context, request, &response);
  }
  static ptrdiff_t DescriptorsInUse() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return std::distance(begin(all), end(all));
  }

 private:
  const int listener_;
  uint16_t port_ = 0;
};

TEST_F(FewDescriptorsTest, MadeUpOwnersDoNotEndTheListener) {
  EXPECT_EQ(Health(), kServing);  // It listens.
  EXPECT_EQ(Create(0, kOwners).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  int taken = 0;
  for (int i = 0; i < kOwners; ++i) taken += Create(i, i + 1).ok() ? 1 : 0;
  EXPECT_GT(taken, 10);
  for (int i = 0; i < 50'000 && DescriptorsInUse() <= taken; ++i) Health();  // They are dialled.

  EXPECT_GT(DescriptorsInUse(), taken);
  EXPECT_LT(DescriptorsInUse(), static_cast<ptrdiff_t>(kDescriptors / 2));
  grpc::ChannelArguments own_connection;
  own_connection.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto another =
      grpc::CreateCustomChannel(name(), grpc::InsecureChannelCredentials(), own_connection);
  EXPECT_TRUE(
      another->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(10)));
  BeginDrain();
  EXPECT_EQ(End(), 0);
}

}  // namespace
}  // namespace services
