// PeerStub: carries requests to one owner over one channel.
//
// A request is converted, sent with a deadline, and its outcome converted back, whatever it is: an
// error of the transport, a status or a malformed answer become a Refusal.  Decides nothing;
// retries nothing.
//
// It is the last to let go of its channel, and must not do so on a gRPC thread: with a process's
// last channel gRPC (1.51) ends the threads that run callbacks, and one that ends itself goes on
// with freed memory.  So whoever has one destroys it on a thread of its own, once it is idle().
//
// Thread-safe.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <functional>
#include <memory>

#include "dgc/core/message.h"
#include "dgc/core/time.h"
#include "dgc/rpc/receiver.h"
#include "dgc/v1/collector.grpc.pb.h"

namespace dgc {

class PeerStub {
 public:
  // One request under way.
  class Call {
   public:
    virtual ~Call() = default;
    // Sends it, once.  `self` is this very call; it is kept until `done` has returned.
    virtual void Start(std::shared_ptr<Call> self) = 0;
    // Ends it early; it is answered all the same, soon.
    void Cancel() { context_.TryCancel(); }

   protected:
    grpc::ClientContext context_;
  };
  // Called once, on a gRPC thread; must not block.
  using Done =
      std::function<void(const Response& response, grpc::StatusCode code, MessageBytes bytes)>;

  explicit PeerStub(std::shared_ptr<grpc::Channel> channel);
  // REQUIRES: idle().
  ~PeerStub();

  // A call ready to be started; nothing happens before.
  std::shared_ptr<Call> Prepare(const Request& request, Duration timeout, Done done);

  // Whether no call of it is left.  Soon after the last `done` has returned.
  bool idle() const { return channel_.use_count() == idle_uses_; }

 private:
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::CollectorService::Stub> stub_;
  const long idle_uses_;  // ours and the stub's
};

}  // namespace dgc
