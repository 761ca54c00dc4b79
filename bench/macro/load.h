// Load: unary calls on one completion queue and one thread, as many in flight as one likes.
//
// A Lane has one call in flight at a time and says, when it is answered, whether to make another.
// So 64 lanes are 64 calls in flight.  Not thread-safe.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace dgc::bench {

using Clock = std::chrono::steady_clock;

inline double Seconds(Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

// Ends the program: a benchmark of failed calls measures nothing.
inline void Require(const grpc::Status& status, const char* what) {
  if (status.ok()) return;
  std::fprintf(stderr, "bench_client: %s failed: %s\n", what, status.error_message().c_str());
  std::exit(1);
}

class Loop {
 public:
  class Tag {
   public:
    virtual ~Tag() = default;
    virtual void Answered() = 0;
  };

  ~Loop() { queue_.Shutdown(); }

  grpc::CompletionQueue* queue() { return &queue_; }
  void Begun() { ++in_flight_; }

  // Until nothing is in flight.
  void Run() {
    void* tag = nullptr;
    bool ok = false;
    while (in_flight_ > 0 && queue_.Next(&tag, &ok)) Take(tag);
  }
  // Until `deadline`; what is in flight then stays so.
  void RunUntil(std::chrono::system_clock::time_point deadline) {
    void* tag = nullptr;
    bool ok = false;
    while (queue_.AsyncNext(&tag, &ok, deadline) == grpc::CompletionQueue::GOT_EVENT) Take(tag);
  }

 private:
  void Take(void* tag) {
    --in_flight_;
    static_cast<Tag*>(tag)->Answered();
  }

  grpc::CompletionQueue queue_;
  size_t in_flight_ = 0;
};

template <typename Stub, typename Request, typename Response>
class Lane final : public Loop::Tag {
 public:
  using Method = std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> (Stub::*)(
      grpc::ClientContext*, const Request&, grpc::CompletionQueue*);

  // `then` is called with each answer, and may Call() again.
  Lane(Loop* loop, Stub* stub, Method method, std::function<void(Lane&)> then)
      : loop_(loop), stub_(stub), method_(method), then_(std::move(then)) {}

  // `prepare` is given the new call's context.
  template <typename Prepare>
  void Call(Prepare prepare) {
    context_.emplace();
    prepare(&*context_);
    begun_ = Clock::now();
    loop_->Begun();
    reader_ = (stub_->*method_)(&*context_, request, loop_->queue());
    reader_->Finish(&response, &status_, this);
    busy = true;
  }
  void Call() {
    Call([](grpc::ClientContext*) {});
  }

  void Answered() override {
    latency = Clock::now() - begun_;
    busy = false;
    Require(status_, "a call");
    then_(*this);
  }

  Request request;
  Response response;
  Clock::duration latency{};
  bool busy = false;

 private:
  Loop* const loop_;
  Stub* const stub_;
  const Method method_;
  const std::function<void(Lane&)> then_;
  std::optional<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader_;
  grpc::Status status_;
  Clock::time_point begun_{};
};

}  // namespace dgc::bench
