#include "dgc/rpc/peer_stub.h"

#include <grpc/support/time.h>

#include <string>
#include <utility>
#include <variant>

#include "dgc/core/check.h"
#include "dgc/rpc/convert.h"
#include "dgc/rpc/status.h"

namespace dgc {
namespace {

// gRPC's deadlines are wall clock unless told otherwise, and a step of that clock must not end
// every call.
gpr_timespec MonotonicDeadline(Duration timeout) {
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_nanos(timeout.count(), GPR_TIMESPAN));
}

using Async = v1::CollectorService::StubInterface::async_interface;

// What belongs to a request: its response, their protos, and the stub's method.
template <typename CoreRequest>
struct Rpc;

template <typename CoreResponse, typename Request, typename Response>
struct RpcOf {
  using Core = CoreResponse;
  using ProtoRequest = Request;
  using ProtoResponse = Response;
  using Method = void (Async::*)(grpc::ClientContext*, const Request*, Response*,
                                 std::function<void(grpc::Status)>);
};
template <>
struct Rpc<DirtyRequest> : RpcOf<DirtyResponse, v1::DirtyRequest, v1::DirtyResponse> {
  static constexpr Method kMethod = &Async::Dirty;
};
template <>
struct Rpc<CleanRequest> : RpcOf<CleanResponse, v1::CleanRequest, v1::CleanResponse> {
  static constexpr Method kMethod = &Async::Clean;
};
template <>
struct Rpc<RenewRequest> : RpcOf<RenewResponse, v1::RenewRequest, v1::RenewResponse> {
  static constexpr Method kMethod = &Async::Renew;
};
template <>
struct Rpc<TransitRequest> : RpcOf<TransitResponse, v1::TransitRequest, v1::TransitResponse> {
  static constexpr Method kMethod = &Async::Transit;
};
template <>
struct Rpc<GoodbyeRequest> : RpcOf<GoodbyeResponse, v1::GoodbyeRequest, v1::GoodbyeResponse> {
  static constexpr Method kMethod = &Async::Goodbye;
};

template <typename CoreRequest>
class TypedCall final : public PeerStub::Call {
 public:
  TypedCall(std::shared_ptr<grpc::Channel> channel, v1::CollectorService::Stub* stub,
            const CoreRequest& request, Duration timeout, PeerStub::Done done)
      : channel_(std::move(channel)),
        stub_(stub),
        rows_(RowCount(request)),
        done_(std::move(done)) {
    ToProto(request, &request_);
    context_.set_deadline(MonotonicDeadline(timeout));
  }

  void Start(std::shared_ptr<Call> self) override {
    Async* const async = stub_->async();
    (async->*Rpc<CoreRequest>::kMethod)(
        &context_, &request_, &response_,
        [this, self = std::move(self)](const grpc::Status& status) { Finish(status); });
  }

 private:
  void Finish(const grpc::Status& status) {
    const MessageBytes bytes{.sent = request_.ByteSizeLong(), .received = response_.ByteSizeLong()};
    if (!status.ok()) {
      done_(RefusalFrom(status), status.error_code(), bytes);
      return;
    }
    typename Rpc<CoreRequest>::Core response;
    const absl::Status parsed = FromProto(response_, rows_, &response);
    if (parsed.ok()) {
      done_(std::move(response), grpc::StatusCode::OK, bytes);
    } else {
      done_(Refusal{Refusal::Code::kUnknownOutcome,
                    "malformed answer: " + std::string(parsed.message())},
            grpc::StatusCode::INTERNAL, bytes);
    }
  }

  const std::shared_ptr<grpc::Channel> channel_;  // Keeps its PeerStub from being idle.
  v1::CollectorService::Stub* const stub_;
  const size_t rows_;
  const PeerStub::Done done_;
  typename Rpc<CoreRequest>::ProtoRequest request_;
  typename Rpc<CoreRequest>::ProtoResponse response_;
};

}  // namespace

PeerStub::PeerStub(std::shared_ptr<grpc::Channel> channel)
    : channel_(std::move(channel)),
      stub_(v1::CollectorService::NewStub(channel_)),
      idle_uses_(channel_.use_count()) {}

PeerStub::~PeerStub() { DGC_CHECK(idle()); }

std::shared_ptr<PeerStub::Call> PeerStub::Prepare(const Request& request, Duration timeout,
                                                  Done done) {
  return std::visit(
      [&]<typename CoreRequest>(const CoreRequest& core) -> std::shared_ptr<Call> {
        return std::make_shared<TypedCall<CoreRequest>>(channel_, stub_.get(), core, timeout,
                                                        std::move(done));
      },
      request);
}

}  // namespace dgc
