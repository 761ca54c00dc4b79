#include "dgc/runtime/grpc_transport.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "dgc/core/check.h"

namespace dgc {
namespace {

// So many calls in a row without an answer, and the connection is given up.
constexpr uint32_t kTimeoutsMax = 3;

grpc::ChannelArguments Arguments() {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  // Also how long an attempt to connect may take: longer than a slow link and a TLS handshake do.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 10'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  // A channel of our own, so that giving it up closes its connection.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return arguments;
}

}  // namespace

GrpcTransport::GrpcTransport(std::shared_ptr<grpc::ChannelCredentials> credentials,
                             std::shared_ptr<CallObserver> observer)
    : credentials_(credentials != nullptr ? std::move(credentials)
                                          : grpc::InsecureChannelCredentials()),
      observer_(std::move(observer)) {}

GrpcTransport::~GrpcTransport() {
  const MutexLock lock(&mutex_);
  DGC_CHECK(calls_.empty());
}

void GrpcTransport::Start(Answered answered) { answered_ = std::move(answered); }

PeerStub* GrpcTransport::StubFor(const std::string& owner) {
  Line& line = lines_[owner];
  if (line.stub == nullptr) {
    line.stub =
        std::make_unique<PeerStub>(grpc::CreateCustomChannel(owner, credentials_, Arguments()));
  }
  return line.stub.get();
}

void GrpcTransport::Send(Outgoing outgoing) {
  std::shared_ptr<PeerStub::Call> call;
  {
    const MutexLock lock(&mutex_);
    if (shut_down_) return;  // Nobody listens any more.
    const uint64_t id = next_id_++;
    PeerStub* const stub = StubFor(outgoing.owner);
    const auto begun = std::chrono::steady_clock::now();
    call = stub->Prepare(
        outgoing.request, outgoing.timeout,
        [this, id, begun, stub, owner = std::move(outgoing.owner), peer = outgoing.peer,
         number = outgoing.call, method = MethodOf(outgoing.request)](
            const Response& response, grpc::StatusCode code, MessageBytes bytes) {
          NoteOutcome(owner, stub, code);
          if (observer_ != nullptr) {
            observer_->Called(method, code, std::chrono::steady_clock::now() - begun, bytes);
          }
          answered_(peer, number, response);
          Finished(id);
        });
    calls_.emplace(id, call);
  }
  call->Start(call);
}

void GrpcTransport::NoteOutcome(const std::string& owner, const PeerStub* stub,
                                grpc::StatusCode code) {
  const MutexLock lock(&mutex_);
  const auto it = lines_.find(owner);
  if (it == lines_.end() || it->second.stub.get() != stub) return;
  Line& line = it->second;
  line.timeouts = code == grpc::StatusCode::DEADLINE_EXCEEDED ? line.timeouts + 1 : 0;
  if (line.timeouts >= kTimeoutsMax && line.former == nullptr) {
    line.former = std::move(line.stub);
    line.timeouts = 0;
  }
}

void GrpcTransport::Finished(uint64_t id) {
  const MutexLock lock(&mutex_);
  calls_.erase(id);
  if (shut_down_ && calls_.empty()) idle_.Ring();
}

bool GrpcTransport::MayFree(size_t owners) const {
  const MutexLock lock(&mutex_);
  return lines_.size() > owners || !retired_.empty() ||
         std::any_of(lines_.begin(), lines_.end(),
                     [](const auto& entry) { return entry.second.former != nullptr; });
}

std::vector<std::unique_ptr<PeerStub>> GrpcTransport::TakeIdle() {
  std::vector<std::unique_ptr<PeerStub>> idle;
  const auto take = [&idle](std::unique_ptr<PeerStub>& stub) {
    if (!stub->idle()) return false;
    idle.push_back(std::move(stub));
    return true;
  };
  std::erase_if(retired_, take);
  for (auto& [owner, line] : lines_) {
    if (line.former != nullptr) take(line.former);
  }
  return idle;
}

void GrpcTransport::RetireAll(Line* line) {
  for (std::unique_ptr<PeerStub>* const stub : {&line->stub, &line->former}) {
    if (*stub != nullptr) retired_.push_back(std::move(*stub));
  }
}

void GrpcTransport::Retain(const absl::flat_hash_set<std::string>& owners) {
  std::vector<std::unique_ptr<PeerStub>> freed;  // Without the lock.
  const MutexLock lock(&mutex_);
  for (auto it = lines_.begin(); it != lines_.end();) {
    const auto line = it++;
    if (owners.contains(line->first)) continue;
    RetireAll(&line->second);
    lines_.erase(line);
  }
  freed = TakeIdle();
}

void GrpcTransport::Shutdown() {
  std::vector<std::shared_ptr<PeerStub::Call>> calls;
  {
    const MutexLock lock(&mutex_);
    shut_down_ = true;
    for (const auto& [id, call] : calls_) calls.push_back(call);
  }
  for (const auto& call : calls) call->Cancel();
  calls.clear();
  for (bool done = false; !done;) {
    bool answered = false;
    {
      std::vector<std::unique_ptr<PeerStub>> freed;  // Without the lock.
      const MutexLock lock(&mutex_);
      answered = calls_.empty();
      if (answered) {
        for (auto& [owner, line] : lines_) RetireAll(&line);
        lines_.clear();
        freed = TakeIdle();
        done = retired_.empty();
      }
    }
    // What has just been answered is idle in a moment.
    if (!done) idle_.WaitFor(answered ? std::chrono::milliseconds(1) : std::chrono::seconds(1));
  }
}

}  // namespace dgc
