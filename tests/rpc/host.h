// Host: an owner behind a real gRPC server of this process, on a socket of its own, with a small
// application.
//
// The socket is a Unix one, so that its address is known before the server runs and no two tests
// meet.  The application is a part of objects.v1.ObjectService: Lookup returns a reference to a
// kept object, Create to a new one, Bind takes a reference in (as a holder does) under a name,
// Unbind drops it again, Read answers with the label of an own object.
#pragma once

#include <grpcpp/create_channel.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "dgc/runtime/alarm.h"
#include "dgc/runtime/mutex.h"
#include "dgc/runtime/owner.h"
#include "dgc/v1/collector.grpc.pb.h"
#include "gtest/gtest.h"
#include "objects/v1/objects.grpc.pb.h"

namespace dgc::testing {

constexpr Duration kLong = std::chrono::seconds(30);  // Bounds a wait that should be short.

// Counts objects that went, and lets one thread wait for that.
class Gone {
 public:
  void Add() {
    ++count_;
    alarm_.Ring();
  }
  // Whether `count` have gone, waiting for it.
  bool Wait(int count) {
    while (count_.load() < count) {
      if (!alarm_.WaitFor(kLong)) return false;
    }
    return count_.load() == count;
  }
  int count() const { return count_.load(); }

 private:
  std::atomic<int> count_{0};
  Alarm alarm_;
};

struct Blob {
  static constexpr std::string_view kWireType = "blob";
  Blob(std::string label, Gone* gone) : label(std::move(label)), gone(gone) {}
  ~Blob() { gone->Add(); }
  const std::string label;
  Gone* const gone;
};

class Application final : public objects::v1::ObjectService::CallbackService {
 public:
  Application(Owner* owner, Gone* gone) : owner_(owner), gone_(gone) {}

  grpc::ServerUnaryReactor* Create(grpc::CallbackServerContext* context,
                                   const objects::v1::CreateRequest* request,
                                   objects::v1::CreateResponse* response) override {
    {
      const MutexLock lock(&mutex_);
      last_caller_ = CallerOf(*context);
    }
    for (const auto& object : request->objects()) {
      *response->add_objects() =
          owner_->Share(std::make_shared<Blob>(object.label(), gone_), context);
    }
    return Finish(context, grpc::Status::OK);
  }
  grpc::ServerUnaryReactor* Read(grpc::CallbackServerContext* context,
                                 const objects::v1::ReadRequest* request,
                                 objects::v1::ReadResponse* response) override {
    blocked_.wait(true);
    const auto blob = owner_->Find<Blob>(request->object());
    if (blob.ok()) response->set_label((*blob)->label);
    return Finish(context, ToGrpc(blob.status()));
  }
  grpc::ServerUnaryReactor* Bind(grpc::CallbackServerContext* context,
                                 const objects::v1::BindRequest* request,
                                 objects::v1::BindResponse*) override {
    Ref ref = owner_->Import(request->object());
    const absl::Status status = ref.status();
    const MutexLock lock(&mutex_);
    if (status.ok()) bound_[request->name()] = std::move(ref);
    return Finish(context, ToGrpc(status));
  }
  grpc::ServerUnaryReactor* Lookup(grpc::CallbackServerContext* context,
                                   const objects::v1::LookupRequest* request,
                                   objects::v1::LookupResponse* response) override {
    const MutexLock lock(&mutex_);
    return Finish(context, ToGrpc(owner_->Share(bound_[request->name()], context,
                                                response->mutable_object())));
  }
  grpc::ServerUnaryReactor* Unbind(grpc::CallbackServerContext* context,
                                   const objects::v1::UnbindRequest* request,
                                   objects::v1::UnbindResponse*) override {
    const MutexLock lock(&mutex_);
    bound_.erase(request->name());
    return Finish(context, grpc::Status::OK);
  }

  // Whether Read waits.
  void Block(bool block) {
    blocked_ = block;
    blocked_.notify_all();
  }

  // Whom the latest Create came from.
  ClientId last_caller() {
    const MutexLock lock(&mutex_);
    return last_caller_;
  }

 private:
  static grpc::ServerUnaryReactor* Finish(grpc::CallbackServerContext* context,
                                          const grpc::Status& status) {
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(status);
    return reactor;
  }

  Owner* const owner_;
  Gone* const gone_;
  std::atomic<bool> blocked_ = false;
  Mutex mutex_;
  ClientId last_caller_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Ref> bound_ ABSL_GUARDED_BY(mutex_);
};

// How a Host answers, and how its own stubs call it.
struct Security {
  std::shared_ptr<grpc::ServerCredentials> server = grpc::InsecureServerCredentials();
  std::shared_ptr<grpc::ChannelCredentials> channel = grpc::InsecureChannelCredentials();
};

class Host {
 public:
  explicit Host(const std::string& name, LeaseOptions lease = {}, const Security& security = {})
      : owner(MakeOptions(Address(name), lease)), application_(&owner, &gone) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(Address(name), security.server);
    builder.RegisterService(owner.service());
    builder.RegisterService(&application_);
    server_ = builder.BuildAndStart();
    channel = grpc::CreateChannel(Address(name), security.channel);
    objects = objects::v1::ObjectService::NewStub(channel);
    collector = v1::CollectorService::NewStub(channel);
  }
  ~Host() { server_->Shutdown(std::chrono::system_clock::now()); }

  static std::string Path(const std::string& name) {
    return ::testing::TempDir() + "dgc-" + std::to_string(getpid()) + "-" + name;
  }
  static std::string Address(const std::string& name) { return "unix:" + Path(name); }

  ClientId last_caller() { return application_.last_caller(); }
  // A new object, asked for by `context`'s caller.
  v1::Ref Create(grpc::ClientContext* context) {
    objects::v1::CreateRequest request;
    request.add_objects()->set_label("label");
    objects::v1::CreateResponse response;
    EXPECT_TRUE(objects->Create(context, request, &response).ok());
    return response.objects_size() == 1 ? response.objects(0) : v1::Ref();
  }
  grpc::Status Read(const v1::Ref& ref) {
    grpc::ClientContext context;
    objects::v1::ReadRequest request;
    *request.mutable_object() = ref;
    objects::v1::ReadResponse response;
    return objects->Read(&context, request, &response);
  }
  // Keeps every thread of the server in a handler, or lets them go.
  void Block(bool block) {
    application_.Block(block);
    blocked_.clear();
    while (block && Hears()) {
      for (int i = 0; i < 8; ++i) blocked_.emplace_back([this] { Read({}); });
    }
  }
  grpc::Status Bind(const std::string& name, const v1::Ref& ref) {
    grpc::ClientContext context;
    objects::v1::BindRequest request;
    request.set_name(name);
    *request.mutable_object() = ref;
    objects::v1::BindResponse response;
    return objects->Bind(&context, request, &response);
  }
  grpc::Status Unbind(const std::string& name) {
    grpc::ClientContext context;
    objects::v1::UnbindRequest request;
    request.set_name(name);
    objects::v1::UnbindResponse response;
    return objects->Unbind(&context, request, &response);
  }

  Gone gone;  // Outlives the objects.
  Owner owner;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<objects::v1::ObjectService::Stub> objects;
  std::unique_ptr<v1::CollectorService::Stub> collector;

 private:
  // Whether the server takes requests.
  bool Hears() {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(100));
    v1::RenewResponse response;
    return collector->Renew(&context, {}, &response).error_code() !=
           grpc::StatusCode::DEADLINE_EXCEEDED;
  }
  static Options MakeOptions(const std::string& address, const LeaseOptions& lease) {
    Options options;
    options.name = address;
    options.strategy.lease = lease;
    return options;
  }

  Application application_;
  std::unique_ptr<grpc::Server> server_;
  std::vector<std::jthread> blocked_;
};

}  // namespace dgc::testing
