#include "services/object_host/object_service.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "dgc/rpc/convert.h"
#include "dgc/runtime/owner.h"
#include "services/common/address.h"

namespace object_host {
namespace {

using ::dgc::v1::Ref;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr uint64_t kPayloadBytesMax = 64;
constexpr uint64_t kPayloadBytesTotalMax = 200;
constexpr uint32_t kObjectsMax = 5000;
constexpr absl::Duration kPatience = absl::Seconds(20);

// A host in this process: what services::Serve and ObjectHost make of these parts.
class TestHost {
 public:
  explicit TestHost(const ObjectServiceOptions& options)
      : store_(options), owner_(OwnerOptions(this)), service_(&store_, &owner_) {
    grpc::ServerBuilder builder;
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.SetMaxReceiveMessageSize(16 << 20);
    builder.AddListeningPort(name(), grpc::InsecureServerCredentials());
    builder.RegisterService(owner_.service());
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    EXPECT_NE(server_, nullptr);
  }
  ~TestHost() {
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(5));
    owner_.Shutdown();
  }

  const std::string& name() const { return name_; }
  const ObjectStore& store() const { return store_; }
  dgc::Owner& owner() { return owner_; }

  // Waits until that many objects have been reclaimed.
  bool AwaitReclaimed(size_t count) {
    absl::MutexLock lock(&mutex_);
    struct Wait {
      const std::vector<std::string>* reclaimed;
      size_t count;
    } wait{&reclaimed_, count};
    return mutex_.AwaitWithTimeout(
        absl::Condition(
            +[](Wait* w) { return w->reclaimed->size() >= w->count; }, &wait),
        kPatience);
  }
  std::vector<std::string> reclaimed() const {
    absl::MutexLock lock(&mutex_);
    return reclaimed_;
  }

 private:
  static dgc::Options OwnerOptions(TestHost* host) {
    const services::Address loopback{.host = "127.0.0.1"};
    host->name_ = "127.0.0.1:" + std::to_string(*services::FreePort(loopback));
    dgc::Options options;
    options.name = host->name_;
    options.objects.objects_max = kObjectsMax;
    options.on_reclaim = [host](const dgc::ReclaimEvent& event) {
      absl::MutexLock lock(&host->mutex_);
      host->reclaimed_.push_back(static_cast<const Object*>(event.object.get())->label());
    };
    return options;
  }

  mutable absl::Mutex mutex_;
  std::vector<std::string> reclaimed_;
  std::string name_;
  ObjectStore store_;
  dgc::Owner owner_;
  ObjectServiceImpl service_;
  std::unique_ptr<grpc::Server> server_;
};

class ObjectServiceTest : public ::testing::Test {
 protected:
  ObjectServiceTest()
      : host_({.payload_bytes_max = kPayloadBytesMax,
               .payload_bytes_total_max = kPayloadBytesTotalMax}),
        client_(dgc::Options{}),
        stub_(objects::v1::ObjectService::NewStub(
            grpc::CreateChannel(host_.name(), grpc::InsecureChannelCredentials()))) {}

  // --- Short verbs.
  grpc::Status TryCreate(const objects::v1::CreateRequest& request,
                         objects::v1::CreateResponse* response) {
    return stub_->Create(client_.Context(), request, response);
  }
  // Creates an object and holds it.
  dgc::Ref Create(const std::string& label, const std::string& payload = "",
                  const std::vector<Ref>& edges = {}) {
    objects::v1::CreateRequest request;
    objects::v1::NewObject* object = request.add_objects();
    object->set_type("note");
    object->set_label(label);
    object->set_payload(payload);
    for (const Ref& edge : edges) *object->add_edges() = edge;
    objects::v1::CreateResponse response;
    const grpc::Status status = TryCreate(request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return status.ok() ? client_.Import(response.objects(0)) : dgc::Ref();
  }
  static Ref Wire(const dgc::Ref& ref) {
    Ref wire;
    dgc::ToProto(ref.Describe(), &wire);
    return wire;
  }
  objects::v1::ReadResponse Read(const dgc::Ref& object) {
    objects::v1::ReadRequest request;
    *request.mutable_object() = Wire(object);
    request.set_bytes_max(1 << 20);
    request.set_with_edges(true);
    objects::v1::ReadResponse response;
    const grpc::Status status = stub_->Read(client_.Context(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    for (const Ref& edge : response.edges()) client_.Import(edge);  // And drop it.
    return response;
  }
  grpc::Status TryRead(const Ref& object) {
    objects::v1::ReadRequest request;
    *request.mutable_object() = object;
    objects::v1::ReadResponse response;
    return stub_->Read(client_.Context(), request, &response);
  }
  grpc::Status TryWrite(const Ref& object, uint64_t offset, const std::string& payload) {
    objects::v1::WriteRequest request;
    *request.mutable_object() = object;
    request.set_offset(offset);
    request.set_payload(payload);
    objects::v1::WriteResponse response;
    return stub_->Write(client_.Context(), request, &response);
  }
  using Pairs = std::vector<std::pair<Ref, Ref>>;
  grpc::Status TryLink(const Pairs& pairs) {
    objects::v1::LinkRequest request;
    for (const auto& [from, to] : pairs) {
      *request.add_from() = from;
      *request.add_to() = to;
    }
    objects::v1::LinkResponse response;
    return stub_->Link(client_.Context(), request, &response);
  }
  grpc::Status TryUnlink(const Pairs& pairs) {
    objects::v1::UnlinkRequest request;
    for (const auto& [from, to] : pairs) {
      *request.add_from() = from;
      *request.add_to() = to;
    }
    objects::v1::UnlinkResponse response;
    return stub_->Unlink(client_.Context(), request, &response);
  }
  grpc::Status TryBind(const std::string& name, const Ref& object) {
    objects::v1::BindRequest request;
    request.set_name(name);
    *request.mutable_object() = object;
    objects::v1::BindResponse response;
    return stub_->Bind(client_.Context(), request, &response);
  }
  grpc::Status TryLookup(const std::string& name, Ref* found) {
    objects::v1::LookupRequest request;
    request.set_name(name);
    objects::v1::LookupResponse response;
    const grpc::Status status = stub_->Lookup(client_.Context(), request, &response);
    *found = response.object();
    return status;
  }
  grpc::Status TryUnbind(const std::string& name) {
    objects::v1::UnbindRequest request;
    request.set_name(name);
    objects::v1::UnbindResponse response;
    return stub_->Unbind(client_.Context(), request, &response);
  }
  grpc::Status TryDelete(const Ref& object) {
    objects::v1::DeleteRequest request;
    *request.mutable_object() = object;
    objects::v1::DeleteResponse response;
    return stub_->Delete(client_.Context(), request, &response);
  }
  std::vector<std::string> List(size_t* parts = nullptr) {
    grpc::ClientContext context;
    const auto reader = stub_->List(&context, {});
    std::vector<std::string> labels;
    objects::v1::ListResponse response;
    while (reader->Read(&response)) {
      EXPECT_LE(response.objects_size(), static_cast<int>(kListBatch));
      for (const auto& item : response.objects()) labels.push_back(item.label());
      if (parts != nullptr) ++*parts;
    }
    EXPECT_TRUE(reader->Finish().ok());
    std::sort(labels.begin(), labels.end());
    return labels;
  }

  TestHost host_;
  dgc::Holder client_;
  const std::unique_ptr<objects::v1::ObjectService::Stub> stub_;
};

TEST_F(ObjectServiceTest, AnObjectReadsAsItWasCreated) {
  const dgc::Ref leaf = Create("leaf", "abc");
  const dgc::Ref parent = Create("parent", "", {Wire(leaf), Wire(leaf)});

  const objects::v1::ReadResponse read = Read(parent);

  EXPECT_EQ(read.type(), "note");
  EXPECT_EQ(read.label(), "parent");
  EXPECT_EQ(read.payload_bytes(), 0u);
  EXPECT_EQ(read.edge_count(), 2u);
  ASSERT_THAT(read.edges(), SizeIs(2));
  EXPECT_EQ(read.edges(0).object_id_high(), Wire(leaf).object_id_high());
  EXPECT_EQ(read.edges(0).object_id_low(), Wire(leaf).object_id_low());
  EXPECT_EQ(Read(leaf).payload(), "abc");
}

TEST_F(ObjectServiceTest, APartOfThePayloadCanBeReadAndWritten) {
  const dgc::Ref object = Create("a", "abcdef");

  ASSERT_TRUE(TryWrite(Wire(object), 6, "ghi").ok());
  objects::v1::ReadRequest request;
  *request.mutable_object() = Wire(object);
  request.set_offset(4);
  request.set_bytes_max(3);
  objects::v1::ReadResponse response;
  ASSERT_TRUE(stub_->Read(client_.Context(), request, &response).ok());

  EXPECT_EQ(response.payload(), "efg");
  EXPECT_EQ(response.payload_bytes(), 9u);
  EXPECT_THAT(response.edges(), IsEmpty());
}

TEST_F(ObjectServiceTest, WhatNobodyHoldsIsReclaimedWithWhatItHolds) {
  dgc::Ref leaf = Create("leaf", std::string(10, 'x'));
  dgc::Ref parent = Create("parent", "", {Wire(leaf)});
  const Ref wire = Wire(leaf);

  leaf.reset();
  ASSERT_TRUE(client_.Settle(std::chrono::seconds(20)));
  EXPECT_THAT(List(), ElementsAre("leaf", "parent"));  // The edge keeps it.
  parent.reset();

  ASSERT_TRUE(host_.AwaitReclaimed(2));
  EXPECT_THAT(host_.reclaimed(), ElementsAre("parent", "leaf"));
  EXPECT_THAT(List(), IsEmpty());
  const grpc::Status gone = TryRead(wire);
  EXPECT_EQ(gone.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(gone.error_message(), HasSubstr("reclaimed"));
}

TEST_F(ObjectServiceTest, EdgesAreAMultiset) {
  dgc::Ref leaf = Create("leaf");
  const dgc::Ref parent = Create("parent");
  const Pairs pair = {{Wire(parent), Wire(leaf)}};

  ASSERT_TRUE(TryLink({pair[0], pair[0]}).ok());
  ASSERT_TRUE(TryUnlink(pair).ok());
  EXPECT_EQ(Read(parent).edge_count(), 1u);
  leaf.reset();
  ASSERT_TRUE(client_.Settle(std::chrono::seconds(20)));
  EXPECT_THAT(List(), ElementsAre("leaf", "parent"));
  ASSERT_TRUE(TryUnlink(pair).ok());

  ASSERT_TRUE(host_.AwaitReclaimed(1));
  EXPECT_THAT(List(), ElementsAre("parent"));
}

TEST_F(ObjectServiceTest, ANameKeepsItsObjectUntilItIsTakenAwayOrReplaced) {
  dgc::Ref one = Create("one");
  dgc::Ref two = Create("two");
  ASSERT_TRUE(TryBind("name", Wire(one)).ok());
  ASSERT_TRUE(TryBind("name", Wire(one)).ok());  // Idempotent.
  one.reset();
  ASSERT_TRUE(client_.Settle(std::chrono::seconds(20)));

  Ref found;
  ASSERT_TRUE(TryLookup("name", &found).ok());
  dgc::Ref held = client_.Import(found);
  ASSERT_TRUE(held.ok());
  EXPECT_EQ(Read(held).label(), "one");
  held.reset();
  ASSERT_TRUE(TryBind("name", Wire(two)).ok());
  ASSERT_TRUE(host_.AwaitReclaimed(1));
  EXPECT_THAT(List(), ElementsAre("two"));

  two.reset();
  ASSERT_TRUE(TryUnbind("name").ok());
  ASSERT_TRUE(host_.AwaitReclaimed(2));
  EXPECT_THAT(List(), IsEmpty());
}

TEST_F(ObjectServiceTest, ADeletedObjectIsGoneWhoeverHoldsIt) {
  const dgc::Ref object = Create("a", "payload");

  ASSERT_TRUE(TryDelete(Wire(object)).ok());

  EXPECT_THAT(List(), IsEmpty());
  const grpc::Status gone = TryRead(Wire(object));
  EXPECT_EQ(gone.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(gone.error_message(), HasSubstr("unexported"));
  EXPECT_EQ(TryDelete(Wire(object)).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ObjectServiceTest, AnErrorSaysWhereAndWhyAlsoToAProgram) {
  const dgc::Ref object = Create("a");
  ASSERT_TRUE(TryDelete(Wire(object)).ok());
  objects::v1::CreateRequest request;
  request.add_objects();
  *request.add_objects()->add_edges() = Wire(object);
  objects::v1::CreateResponse response;

  for (const grpc::Status& status : {TryRead(Wire(object)), TryCreate(request, &response)}) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
    const auto error = dgc::ReferenceErrorOf(status);
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->cause, dgc::LossCause::kUnexported);
  }
  EXPECT_THAT(TryCreate(request, &response).error_message(), HasSubstr("objects[1]: edges[0]: "));
}

TEST_F(ObjectServiceTest, AnEdgeToWhatIsGoneIsReadAndCanBeRemoved) {
  TestHost other({});
  const auto stub = objects::v1::ObjectService::NewStub(
      grpc::CreateChannel(other.name(), grpc::InsecureChannelCredentials()));
  objects::v1::CreateRequest request;
  request.add_objects()->set_label("far");
  objects::v1::CreateResponse response;
  ASSERT_TRUE(stub->Create(client_.Context(), request, &response).ok());
  Ref earlier = response.objects(0);  // Of a run before the other host restarted.
  earlier.set_incarnation(earlier.incarnation() ^ 2);
  const dgc::Ref alive = Create("alive");
  const dgc::Ref gone = Create("gone");
  const dgc::Ref parent = Create("parent", "", {Wire(alive), Wire(gone), earlier});
  ASSERT_TRUE(host_.owner().Settle(std::chrono::seconds(20)));
  ASSERT_TRUE(TryDelete(Wire(gone)).ok());

  const objects::v1::ReadResponse read = Read(parent);
  ASSERT_THAT(read.edges(), SizeIs(3));
  for (const Ref& edge : read.edges()) {
    EXPECT_EQ(edge.transit() != 0, edge.object_id_low() == Wire(alive).object_id_low());
    if (edge.object_id_low() == Wire(gone).object_id_low()) {
      EXPECT_EQ(TryRead(edge).error_code(), grpc::StatusCode::NOT_FOUND);
    }
  }
  EXPECT_TRUE(TryUnlink({{Wire(parent), Wire(gone)}, {Wire(parent), earlier}}).ok());
  EXPECT_EQ(Read(parent).edge_count(), 1u);
  EXPECT_EQ(TryUnlink({{Wire(parent), Wire(gone)}}).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ObjectServiceTest, ARefusedUnlinkTakesNothingAwayEvenForAMoment) {
  const dgc::Ref parent = Create("parent");
  const dgc::Ref leaf = Create("leaf");
  const dgc::Ref stranger = Create("stranger");
  ASSERT_TRUE(TryLink({{Wire(parent), Wire(leaf)}}).ok());
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    while (!stop) EXPECT_EQ(Read(parent).edge_count(), 1u);
  });

  for (int i = 0; i < 200; ++i) {
    const grpc::Status status =
        TryUnlink({{Wire(parent), Wire(leaf)}, {Wire(parent), Wire(stranger)}});
    EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
    EXPECT_THAT(status.error_message(), HasSubstr("from[1]"));
  }

  stop = true;
  reader.join();
  EXPECT_TRUE(TryUnlink({{Wire(parent), Wire(leaf)}}).ok());
}

TEST_F(ObjectServiceTest, NamingAnObjectLeavesItsTransitLeaseToTheCaller) {
  const dgc::Ref leaf = Create("leaf");
  objects::v1::CreateRequest request;
  request.add_objects()->set_label("fresh");
  objects::v1::CreateResponse response;
  ASSERT_TRUE(TryCreate(request, &response).ok());
  const Ref fresh = response.objects(0);  // As it came: nobody has listed it yet.
  ASSERT_NE(fresh.transit(), 0u);

  objects::v1::ReadRequest read;
  *read.mutable_object() = fresh;
  read.set_with_edges(true);
  objects::v1::ReadResponse ignored;
  EXPECT_TRUE(stub_->Read(client_.Context(), read, &ignored).ok());
  EXPECT_TRUE(TryWrite(fresh, 0, "x").ok());
  EXPECT_TRUE(TryLink({{fresh, Wire(leaf)}}).ok());
  EXPECT_TRUE(TryUnlink({{fresh, Wire(leaf)}}).ok());
  EXPECT_TRUE(TryLink({{Wire(leaf), Wire(leaf)}}).ok());
  EXPECT_EQ(TryUnlink({{Wire(leaf), fresh}}).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_TRUE(TryBind("name", fresh).ok());
  EXPECT_TRUE(TryUnbind("name").ok());

  // What is dropped after it is reclaimed: it would have been by now.
  request.mutable_objects(0)->set_label("after");
  ASSERT_TRUE(TryCreate(request, &response).ok());
  client_.Import(response.objects(0));
  ASSERT_TRUE(host_.AwaitReclaimed(1));
  EXPECT_THAT(host_.reclaimed(), ElementsAre("after"));
  EXPECT_TRUE(client_.Import(fresh).ok());
}

// A host and a reference of it as it came: nobody has listed it yet.
struct Fresh {
  explicit Fresh(const std::string& label) : host({}) {
    const auto stub = objects::v1::ObjectService::NewStub(
        grpc::CreateChannel(host.name(), grpc::InsecureChannelCredentials()));
    objects::v1::CreateRequest request;
    request.add_objects()->set_label(label);
    objects::v1::CreateResponse response;
    grpc::ClientContext context;
    EXPECT_TRUE(stub->Create(&context, request, &response).ok());
    ref = response.objects(0);
  }
  TestHost host;
  Ref ref;
};

TEST_F(ObjectServiceTest, WhatARefusedCallNamedIsTheCallersStill) {
  objects::v1::CreateRequest request;
  request.add_objects()->set_label("near");
  objects::v1::CreateResponse response;
  ASSERT_TRUE(TryCreate(request, &response).ok());
  const Ref near = response.objects(0);  // As it came.
  ASSERT_NE(near.transit(), 0u);
  const Fresh far("far");
  const dgc::Ref parent = Create("parent");
  const Ref from = Wire(parent);
  Ref nobody = from;
  nobody.set_object_id_high(12345);
  const auto stats = [&] { return host_.owner().stats(); };
  ASSERT_TRUE(client_.Settle(std::chrono::seconds(20)));
  ASSERT_EQ(stats().sizes.transits, 1u);

  const auto try_create = [&](size_t objects, const Ref& last, const std::string& payload) {
    objects::v1::CreateRequest bad;
    for (size_t i = 0; i < objects; ++i) {
      objects::v1::NewObject* const object = bad.add_objects();
      object->set_label("refused");
      object->set_payload(payload);
      for (const Ref& edge : {near, far.ref}) *object->add_edges() = edge;
    }
    *bad.mutable_objects(static_cast<int>(objects) - 1)->add_edges() = last;
    objects::v1::CreateResponse none;
    return TryCreate(bad, &none);
  };
  EXPECT_FALSE(TryLink({{from, near}, {from, far.ref}, {from, {}}}).ok());
  EXPECT_FALSE(TryLink({{from, near}, {from, far.ref}, {from, nobody}}).ok());
  EXPECT_FALSE(TryLink({{from, near}, {from, far.ref}, {nobody, from}}).ok());
  EXPECT_FALSE(try_create(2, {}, "").ok());
  EXPECT_FALSE(try_create(1, nobody, "").ok());
  EXPECT_FALSE(try_create(4, from, std::string(kPayloadBytesMax, 'x')).ok());
  EXPECT_FALSE(try_create(1, from, std::string(kPayloadBytesMax + 1, 'x')).ok());

  // It has taken nothing in, and what a refused Create made protects nothing.
  EXPECT_EQ(stats().imports, 0u);
  EXPECT_EQ(stats().peers, 0u);
  EXPECT_EQ(stats().sizes.transits, 1u);
  EXPECT_TRUE(TryRead(near).ok());
  EXPECT_TRUE(client_.Import(near).ok());
  EXPECT_TRUE(TryLink({{from, far.ref}}).ok());
  EXPECT_TRUE(host_.owner().Settle(std::chrono::seconds(20)));
  const objects::v1::ReadResponse read = Read(parent);
  ASSERT_THAT(read.edges(), SizeIs(1));
  EXPECT_NE(read.edges(0).transit(), 0u) << "it is not known to be gone";
  EXPECT_THAT(far.host.reclaimed(), IsEmpty());
}

TEST_F(ObjectServiceTest, AnEdgeToAnotherHostKeepsItsTargetAlive) {
  TestHost other({});
  const auto stub = objects::v1::ObjectService::NewStub(
      grpc::CreateChannel(other.name(), grpc::InsecureChannelCredentials()));
  objects::v1::CreateRequest request;
  request.add_objects()->set_label("far");
  objects::v1::CreateResponse response;
  ASSERT_TRUE(stub->Create(client_.Context(), request, &response).ok());
  dgc::Ref far = client_.Import(response.objects(0));

  dgc::Ref near = Create("near", "", {far.Share()});
  far.reset();
  ASSERT_TRUE(client_.Settle(std::chrono::seconds(20)));
  EXPECT_THAT(other.reclaimed(), IsEmpty());
  near.reset();

  EXPECT_TRUE(other.AwaitReclaimed(1));
}

TEST_F(ObjectServiceTest, ManyObjectsAreListedInParts) {
  objects::v1::CreateRequest request;
  for (int i = 0; i < kObjectsPerRequestMax; ++i) request.add_objects()->set_label("o");
  objects::v1::CreateResponse response;
  ASSERT_TRUE(TryCreate(request, &response).ok());
  ASSERT_THAT(response.objects(), SizeIs(kObjectsPerRequestMax));
  const dgc::Ref more = Create("more");

  size_t parts = 0;
  EXPECT_THAT(List(&parts), SizeIs(kObjectsPerRequestMax + 1));
  EXPECT_EQ(parts, 5u);
}

TEST_F(ObjectServiceTest, ListsBeyondTheMaximumAreRefusedUntilOneEnds) {
  objects::v1::CreateRequest request;
  for (int i = 0; i < kObjectsPerRequestMax; ++i) {
    request.add_objects()->set_label(std::string(kLabelBytesMax, 'x'));
  }
  objects::v1::CreateResponse response;
  ASSERT_TRUE(TryCreate(request, &response).ok());
  grpc::ChannelArguments small_window;
  small_window.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  small_window.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 1 << 16);
  const auto stub = objects::v1::ObjectService::NewStub(
      grpc::CreateCustomChannel(host_.name(), grpc::InsecureChannelCredentials(), small_window));
  struct Call {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<objects::v1::ListResponse>> reader;
  };
  std::deque<Call> calls;
  objects::v1::ListResponse part;
  for (uint64_t i = 0; i < kListsMax; ++i) {
    Call& call = calls.emplace_back();
    call.reader = stub->List(&call.context, {});
    ASSERT_TRUE(call.reader->Read(&part));  // And no further.
    EXPECT_LT(part.ByteSizeLong(), 300'000u);
  }

  const auto status_of_another = [&] {
    grpc::ClientContext context;
    const auto reader = stub_->List(&context, {});
    while (reader->Read(&part)) {
    }
    return reader->Finish();
  };
  EXPECT_EQ(status_of_another().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  calls.front().context.TryCancel();
  const absl::Time end = absl::Now() + kPatience;
  // Once only: a list has ended for the host a little after its caller has heard so.
  bool accepted = false;
  while (!accepted && absl::Now() < end) accepted = status_of_another().ok();
  EXPECT_TRUE(accepted);
  for (Call& call : calls) call.context.TryCancel();
}

// --- Bad input.

class BadInputTest : public ObjectServiceTest {
 protected:
  struct Case {
    std::string what;
    std::function<grpc::Status()> call;
    grpc::StatusCode code;
    std::string message;
  };

  // Every call fails as said, and all objects, edges, payloads and names stay as they were.
  void ExpectAll(const std::vector<Case>& cases) {
    const std::string before = Snapshot();
    for (const Case& each : cases) {
      const grpc::Status status = each.call();
      EXPECT_EQ(status.error_code(), each.code) << each.what << ": " << status.error_message();
      EXPECT_THAT(status.error_message(), HasSubstr(each.message)) << each.what;
      EXPECT_EQ(Snapshot(), before) << each.what;
    }
  }
  std::string Snapshot() {
    std::string text = "objects:";
    for (const std::string& label : List()) text += " " + label;
    const objects::v1::ReadResponse read = Read(parent_);
    text += "; " + read.payload() + "; " + std::to_string(read.edge_count()) + " edges";
    Ref named;
    text += TryLookup("name", &named).ok() ? "; named" : "; not named";
    client_.Import(named);
    return text;
  }
  // Payloads are freed by the finalizer thread, soon; asks the host meanwhile.
  uint64_t PayloadBytesOnceDownTo(uint64_t bytes) {
    const absl::Time end = absl::Now() + kPatience;
    while (host_.store().budget().used() > bytes && absl::Now() < end) List();
    return host_.store().budget().used();
  }
  // Fails to create objects that `fill` describes.
  std::function<grpc::Status()> Creating(std::function<void(objects::v1::CreateRequest*)> fill) {
    return [this, fill = std::move(fill)] {
      objects::v1::CreateRequest request;
      request.add_objects()->set_label("innocent");
      fill(&request);
      objects::v1::CreateResponse response;
      const grpc::Status status = TryCreate(request, &response);
      EXPECT_THAT(response.objects(), IsEmpty());
      return status;
    };
  }
  Ref With(const std::function<void(Ref*)>& change) {
    Ref ref = Wire(leaf_);
    change(&ref);
    return ref;
  }
  void SetUp() override { ASSERT_TRUE(TryBind("name", Wire(parent_)).ok()); }

  const dgc::Ref leaf_ = Create("leaf");
  const dgc::Ref parent_ = Create("parent", "payload", {Wire(leaf_)});
  const Ref none_;
  const Ref zero_ = With([](Ref* ref) {
    ref->set_object_id_high(0);
    ref->set_object_id_low(0);
  });
  const Ref unknown_ = With([](Ref* ref) { ref->set_object_id_low(ref->object_id_low() ^ 1); });
  const Ref stale_ = With([](Ref* ref) { ref->set_incarnation(ref->incarnation() ^ 1); });
  const Ref foreign_ = With([](Ref* ref) { ref->set_owner("127.0.0.1:1"); });
};

using grpc::StatusCode;

TEST_F(BadInputTest, ReferencesThatAreNotToOwnLiveObjectsAreRefusedByEveryCall) {
  struct Kind {
    const char* what;
    const Ref* ref;
    StatusCode code;
  };
  const Kind kinds[] = {
      {"none", &none_, StatusCode::INVALID_ARGUMENT},
      {"zero id", &zero_, StatusCode::INVALID_ARGUMENT},
      {"unknown id", &unknown_, StatusCode::NOT_FOUND},
      {"another run", &stale_, StatusCode::FAILED_PRECONDITION},
      {"another host", &foreign_, StatusCode::FAILED_PRECONDITION},
  };
  std::vector<Case> cases;
  for (const Kind& kind : kinds) {
    const std::string what = kind.what;
    const Ref& ref = *kind.ref;
    cases.push_back({"read " + what, [&] { return TryRead(ref); }, kind.code, ""});
    cases.push_back({"write " + what, [&] { return TryWrite(ref, 0, "x"); }, kind.code, ""});
    cases.push_back({"bind " + what, [&] { return TryBind("name", ref); }, kind.code, ""});
    cases.push_back({"delete " + what, [&] { return TryDelete(ref); }, kind.code, ""});
    const Pairs second = {{Wire(parent_), Wire(leaf_)}, {ref, Wire(leaf_)}};
    cases.push_back(
        {"link from " + what, [=, this] { return TryLink(second); }, kind.code, "from[1]"});
    cases.push_back(
        {"unlink from " + what, [=, this] { return TryUnlink(second); }, kind.code, "from[1]"});
    if (&ref == &foreign_) continue;  // Edges to other hosts are what Leasehold is for.
    const Pairs to = {{Wire(parent_), Wire(leaf_)}, {Wire(parent_), ref}};
    cases.push_back({"link to " + what, [=, this] { return TryLink(to); }, kind.code, "to[1]"});
    cases.push_back({"create with edge to " + what, Creating([&](auto* request) {
                       auto* object = request->add_objects();
                       *object->add_edges() = Wire(leaf_);
                       *object->add_edges() = ref;
                     }),
                     kind.code, "objects[1]: edges[1]"});
  }
  ExpectAll(cases);
}

TEST_F(BadInputTest, WhatIsTooLongOrTooManyIsRefused) {
  const std::string long_word(kLabelBytesMax + 1, 'x');
  const Pairs one = {{Wire(parent_), Wire(leaf_)}};
  ExpectAll({
      {"too many objects", Creating([](auto* request) {
         for (int i = 0; i < kObjectsPerRequestMax; ++i) request->add_objects();
       }),
       StatusCode::INVALID_ARGUMENT, "4096"},
      {"long type", Creating([&](auto* r) { r->add_objects()->set_type(long_word); }),
       StatusCode::INVALID_ARGUMENT, "objects[1]: type"},
      {"long label", Creating([&](auto* r) { r->add_objects()->set_label(long_word); }),
       StatusCode::INVALID_ARGUMENT, "label"},
      {"large payload",
       Creating([](auto* r) { r->add_objects()->set_payload(std::string(65, 'x')); }),
       StatusCode::INVALID_ARGUMENT, "payload: at most 64"},
      {"payloads over the total", Creating([](auto* request) {
         for (int i = 0; i < 4; ++i) request->add_objects()->set_payload(std::string(64, 'x'));
       }),
       StatusCode::RESOURCE_EXHAUSTED, "full"},
      {"too many edges", Creating([&](auto* request) {
         auto* object = request->add_objects();
         for (int i = 0; i <= kEdgesPerObjectInCreateMax; ++i) *object->add_edges() = Wire(leaf_);
       }),
       StatusCode::INVALID_ARGUMENT, "edges: at most 65536"},
      {"write past the end", [&] { return TryWrite(Wire(parent_), 8, "x"); },
       StatusCode::INVALID_ARGUMENT, "beyond the end"},
      {"write beyond the maximum", [&] { return TryWrite(Wire(parent_), 7, std::string(58, 'x')); },
       StatusCode::INVALID_ARGUMENT, "larger than 64"},
      {"no links", [&] { return TryLink({}); }, StatusCode::INVALID_ARGUMENT, "1 to 4096"},
      {"too many links", [&] { return TryLink(Pairs(kLinksPerRequestMax + 1, one[0])); },
       StatusCode::INVALID_ARGUMENT, "1 to 4096"},
      {"unequal columns",
       [&] {
         objects::v1::LinkRequest request;
         *request.add_from() = Wire(parent_);
         objects::v1::LinkResponse response;
         return stub_->Link(client_.Context(), request, &response);
       },
       StatusCode::INVALID_ARGUMENT, "as many"},
      {"an edge that is not there",
       [&] {
         return TryUnlink({one[0], one[0]});
       },
       StatusCode::NOT_FOUND, "from[1]"},
      {"bind no name", [&] { return TryBind("", Wire(leaf_)); }, StatusCode::INVALID_ARGUMENT,
       "name"},
      {"bind long name", [&] { return TryBind(long_word, Wire(leaf_)); },
       StatusCode::INVALID_ARGUMENT, "name"},
      {"unbind unknown name", [&] { return TryUnbind("nobody"); }, StatusCode::NOT_FOUND, ""},
      {"unbind no name", [&] { return TryUnbind(""); }, StatusCode::INVALID_ARGUMENT, ""},
      {"lookup unknown name",
       [&] {
         Ref found;
         return TryLookup("nobody", &found);
       },
       StatusCode::NOT_FOUND, ""},
      {"lookup long name",
       [&] {
         Ref found;
         return TryLookup(long_word, &found);
       },
       StatusCode::INVALID_ARGUMENT, "name"},
  });
  EXPECT_EQ(PayloadBytesOnceDownTo(7), 7u);
}

TEST_F(BadInputTest, BoundsAreAllowedThemselves) {
  const std::string word(kLabelBytesMax, 'x');
  objects::v1::CreateRequest request;
  for (int i = 0; i < kObjectsPerRequestMax; ++i) request.add_objects();
  request.mutable_objects(0)->set_type(word);
  request.mutable_objects(0)->set_label(word);
  request.mutable_objects(0)->set_payload(std::string(kPayloadBytesMax, 'x'));
  objects::v1::CreateResponse response;

  EXPECT_TRUE(TryCreate(request, &response).ok());
  EXPECT_TRUE(TryBind(std::string(kNameBytesMax, 'n'), Wire(leaf_)).ok());
  EXPECT_TRUE(TryWrite(Wire(parent_), 7, std::string(57, 'x')).ok());
  EXPECT_TRUE(TryLink(Pairs(kLinksPerRequestMax, {Wire(parent_), Wire(leaf_)})).ok());
  EXPECT_THAT(Read(parent_).edges(), SizeIs(kReadEdgesMax));
  EXPECT_EQ(Read(parent_).edge_count(), kLinksPerRequestMax + 1u);
}

TEST_F(BadInputTest, TheLastObjectThatFitsIsHostedAndTheNextIsRefused) {
  objects::v1::CreateRequest request;
  for (int i = 0; i < 4000; ++i) request.add_objects();
  objects::v1::CreateResponse first;
  ASSERT_TRUE(TryCreate(request, &first).ok());
  objects::v1::CreateResponse second;
  const grpc::Status status = TryCreate(request, &second);
  EXPECT_EQ(status.error_code(), StatusCode::RESOURCE_EXHAUSTED) << status.error_message();

  // All or nothing: 998 still fit, as before.
  ASSERT_TRUE(host_.AwaitReclaimed(998));
  request.mutable_objects()->DeleteSubrange(998, 4000 - 998);
  objects::v1::CreateResponse third;
  EXPECT_TRUE(TryCreate(request, &third).ok());
  EXPECT_THAT(List(), SizeIs(kObjectsMax));
}

// Each request has as many new types as the host may know besides the fixture's.
TEST_F(BadInputTest, WhatIsRefusedUsesUpNoTypes) {
  const auto request = [](const std::string& prefix) {
    objects::v1::CreateRequest request;
    for (int i = 0; i < 4095; ++i) {
      request.add_objects()->set_type(prefix + std::to_string(i));
    }
    return request;
  };
  objects::v1::CreateResponse response;
  objects::v1::CreateRequest too_long = request("a");
  too_long.mutable_objects(4094)->set_type(std::string(kTypeBytesMax + 1, 'x'));
  EXPECT_EQ(TryCreate(too_long, &response).error_code(), StatusCode::INVALID_ARGUMENT);

  objects::v1::CreateRequest dangling = request("b");
  Ref nobody = Wire(leaf_);
  nobody.set_object_id_high(12345);
  *dangling.mutable_objects(4094)->add_edges() = nobody;
  EXPECT_EQ(TryCreate(dangling, &response).error_code(), StatusCode::NOT_FOUND);

  // What the second had made is reclaimed in the background, and its types with it.
  ASSERT_TRUE(host_.AwaitReclaimed(4094));
  grpc::Status status(StatusCode::UNKNOWN, "not tried");
  for (int tries = 0; !status.ok() && tries < 1000; ++tries) {
    status = TryCreate(request("c"), &response);
  }
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(BadInputTest, AMessageOverTheLimitIsRefusedByGrpc) {
  objects::v1::WriteRequest request;
  *request.mutable_object() = Wire(parent_);
  request.set_payload(std::string((16 << 20) + 1, 'x'));
  objects::v1::WriteResponse response;

  const grpc::Status status = stub_->Write(client_.Context(), request, &response);

  EXPECT_EQ(status.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Read(parent_).payload(), "payload");
}

}  // namespace
}  // namespace object_host
