// PeerStub: carries requests to one owner over one channel.
//
// A request is converted, sent with a deadline, and its outcome converted back, whatever it is: an
// error of the transport, a status or a malformed answer become a Refusal.  Decides nothing;
// retries nothing.
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
    // Sends it, once.  `self` is this very call: it, and the channel, are kept until `done` has
    // returned.
    virtual void Start(std::shared_ptr<Call> self) = 0;
    // Ends it early; it is answered all the same, soon.
    void Cancel() { context_.TryCancel(); }

   protected:
    grpc::ClientContext context_;
  };
  // Called once, on a gRPC thread; must not block.
  using Done =
      std::function<void(const Response& response, grpc::StatusCode code, MessageBytes bytes)>;

  explicit PeerStub(const std::shared_ptr<grpc::ChannelInterface>& channel);

  // A call ready to be started; nothing happens before.
  std::shared_ptr<Call> Prepare(const Request& request, Duration timeout, Done done);

 private:
  const std::shared_ptr<v1::CollectorService::Stub> stub_;
};

}  // namespace dgc
