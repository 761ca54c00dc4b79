#include "services/object_host/object_host.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "objects/v1/objects.grpc.pb.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace object_host {
namespace {

using ::dgc::testing::IsOk;
using ::testing::EndsWith;
using ::testing::UnorderedElementsAre;

std::vector<std::string> LinesOf(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

TEST(EventsTest, EachObjectIsALineOfThreeFieldsWhateverItsLabel) {
  const dgc::testing::TempFolder folder;
  HostOptions options;
  options.events = folder.Path("events");
  std::ofstream(options.events).close();
  const auto role = ObjectHost::Make(options, "127.0.0.1:1", 1);
  ASSERT_THAT(role, IsOk());
  grpc::ServerBuilder builder;
  (*role)->Register(&builder);
  const auto server = builder.BuildAndStart();
  const auto stub = objects::v1::ObjectService::NewStub(server->InProcessChannel({}));
  const std::vector<std::string> labels = {"plain", "a\tb\nc\rd\x7f", "\u2028"};

  for (const std::string& label : labels) {
    objects::v1::CreateRequest create;
    create.add_objects()->set_label(label);
    objects::v1::CreateResponse created;
    grpc::ClientContext creating;
    ASSERT_TRUE(stub->Create(&creating, create, &created).ok());
    objects::v1::DeleteRequest end;
    *end.mutable_object() = created.objects(0);
    objects::v1::DeleteResponse ended;
    grpc::ClientContext ending;
    ASSERT_TRUE(stub->Delete(&ending, end, &ended).ok());
  }
  server->Shutdown();
  EXPECT_THAT((*role)->Stop(), IsOk());  // The finalizer thread has written them.

  EXPECT_THAT(LinesOf(options.events),
              UnorderedElementsAre(EndsWith("\tunexport\tplain"), EndsWith("\tunexport\ta?b?c?d?"),
                                   EndsWith("\tunexport\t\u2028")));
}

}  // namespace
}  // namespace object_host
