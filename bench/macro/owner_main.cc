// bench_owner: the owner's process of the macro benchmarks.
//
//     bench_owner PORT           a dgc::Owner, its service, and BenchService
//     bench_owner PORT --empty   the same services with handlers that do nothing: what gRPC alone
//     costs
//
// Prints "ready" when it serves, and serves until its standard input ends, so that it never
// outlives whoever started it.
#include <grpcpp/grpcpp.h>
#include <malloc.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "dgc/runtime/owner.h"
#include "dgc/v1/collector.grpc.pb.h"
#include "macro/bench.grpc.pb.h"

namespace dgc::bench {
namespace {

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

struct Object {
  uint64_t value = 0;
};

ServerUnaryReactor* Finish(CallbackServerContext* context, grpc::Status status = grpc::Status::OK) {
  ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  int64_t total = 0;
  int64_t resident = 0;
  file >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

int64_t CpuNanoseconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return time.tv_sec * int64_t{1'000'000'000} + time.tv_nsec;
}

// Ignores what it is told and answers as many bytes as the real one.
class EmptyCollector final : public v1::CollectorService::CallbackService {
 public:
  ServerUnaryReactor* Dirty(CallbackServerContext* context, const v1::DirtyRequest*,
                            v1::DirtyResponse* response) override {
    response->mutable_granted_term()->set_seconds(600);
    return Finish(context);
  }
  ServerUnaryReactor* Clean(CallbackServerContext* context, const v1::CleanRequest*,
                            v1::CleanResponse*) override {
    return Finish(context);
  }
  ServerUnaryReactor* Renew(CallbackServerContext* context, const v1::RenewRequest*,
                            v1::RenewResponse* response) override {
    response->set_result(v1::RENEW_RESULT_OK);
    response->mutable_granted_term()->set_seconds(600);
    return Finish(context);
  }
};

class Bench final : public BenchService::CallbackService {
 public:
  // `owner` is null where there is no collector.
  Bench(Owner* owner, const std::atomic<uint64_t>* reclaimed)
      : owner_(owner), reclaimed_(reclaimed) {}

  ServerUnaryReactor* NewRef(CallbackServerContext* context, const NewRefRequest*,
                             NewRefResponse* response) override {
    *response->mutable_ref() = owner_->Share(std::make_shared<Object>(), context, "bench");
    return Finish(context);
  }

  ServerUnaryReactor* NewId(CallbackServerContext* context, const NewIdRequest*,
                            NewIdResponse* response) override {
    const auto object = std::make_shared<Object>();
    response->set_high(Mix(reinterpret_cast<uintptr_t>(object.get())));
    response->set_low(Mix(next_id_.fetch_add(1, std::memory_order_relaxed)));
    return Finish(context);
  }

  ServerUnaryReactor* Fill(CallbackServerContext* context, const FillRequest* request,
                           FillResponse* response) override {
    constexpr size_t kEdges = 100'000;
    std::vector<std::shared_ptr<Object>> objects(request->objects());
    for (auto& object : objects) object = std::make_shared<Object>();
    if (request->by_edges()) {
      anchors_.reserve(request->objects() / kEdges + 1);
    } else {
      handles_.reserve(request->objects());
    }
    malloc_trim(0);

    const int64_t before = ResidentBytes();
    Ref anchor;
    for (size_t i = 0; i < objects.size(); ++i) {
      Ref ref = owner_->Export(objects[i], "bench");
      if (!request->by_edges()) {
        handles_.push_back(std::move(ref));
        continue;
      }
      if (i % kEdges == 0) {
        anchor = owner_->Export(std::make_shared<Object>(), "bench");
        anchors_.push_back(anchor);
      }
      if (!owner_->Link(anchor, ref).ok()) std::abort();
    }
    response->set_rss_growth(ResidentBytes() - before);
    if (!handles_.empty()) response->set_incarnation(Raw(handles_[0].Describe().incarnation));
    for (const Ref& handle : handles_) ids_.push_back(handle.id());
    return Finish(context);
  }

  ServerUnaryReactor* Ids(CallbackServerContext* context, const IdsRequest* request,
                          IdsResponse* response) override {
    const size_t end = std::min<size_t>(ids_.size(), request->begin() + request->count());
    for (size_t i = request->begin(); i < end; ++i) {
      response->add_high(ids_[i].high);
      response->add_low(ids_[i].low);
    }
    return Finish(context);
  }

  ServerUnaryReactor* Release(CallbackServerContext* context, const ReleaseRequest*,
                              ReleaseResponse*) override {
    handles_.clear();
    ids_.clear();
    return Finish(context);
  }

  ServerUnaryReactor* Look(CallbackServerContext* context, const LookRequest*,
                           LookResponse* response) override {
    response->set_rss(ResidentBytes());
    response->set_cpu_nanoseconds(CpuNanoseconds());
    response->set_reclaimed(reclaimed_->load(std::memory_order_relaxed));
    return Finish(context);
  }

 private:
  Owner* const owner_;
  const std::atomic<uint64_t>* const reclaimed_;
  std::atomic<uint64_t> next_id_{1};
  // Fill, Ids and Release are called one at a time.
  std::vector<Ref> handles_;
  std::vector<Ref> anchors_;
  std::vector<ObjectId> ids_;
};

int Serve(const std::string& address, bool empty) {
  std::atomic<uint64_t> reclaimed{0};
  std::unique_ptr<Owner> owner;
  if (!empty) {
    Options options;
    options.name = address;
    options.on_reclaim = [&reclaimed](const ReclaimEvent&) {
      reclaimed.fetch_add(1, std::memory_order_relaxed);
    };
    owner = std::make_unique<Owner>(options);
  }
  EmptyCollector nothing;
  Bench bench(owner.get(), &reclaimed);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials());
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.RegisterService(empty ? &nothing : owner->service());
  builder.RegisterService(&bench);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) {
    std::fprintf(stderr, "bench_owner: cannot listen on %s\n", address.c_str());
    return 1;
  }
  std::puts("ready");
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  // Nothing here is worth an orderly end, and ten million objects take a while.
  std::_Exit(0);
}

}  // namespace
}  // namespace dgc::bench

int main(int argc, char** argv) {
  // As our services do: gRPC's own mutexes are Debian's, built to look for deadlocks.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  const bool empty = argc == 3 && std::strcmp(argv[2], "--empty") == 0;
  if (argc != 2 && !empty) {
    std::fprintf(stderr, "usage: bench_owner PORT [--empty]\n");
    return 2;
  }
  return dgc::bench::Serve("127.0.0.1:" + std::string(argv[1]), empty);
}
