#include "dgc/rpc/collector_service.h"

#include <chrono>
#include <string>
#include <variant>

#include "dgc/rpc/convert.h"
#include "dgc/rpc/peer_identity.h"
#include "dgc/rpc/status.h"

namespace dgc {
namespace {

// Rows that a thread keeps the memory of between requests: 1.5 MiB at most.
constexpr size_t kRowsKept = kBatchMax;

template <typename CoreRequest>
void GiveBack(CoreRequest& request) {
  if constexpr (requires { request.rows; }) {
    if (request.rows.capacity() > kRowsKept) request.rows = {};
  }
}

template <typename CoreResponse, typename ProtoResponse>
grpc::Status Answer(const Response& answer, ProtoResponse* response) {
  if (const auto* const ok = std::get_if<CoreResponse>(&answer)) {
    ToProto(*ok, response);
    return grpc::Status::OK;
  }
  if (const auto* const refusal = std::get_if<Refusal>(&answer)) return ToGrpc(*refusal);
  return {grpc::StatusCode::INTERNAL, "the answer is of another kind than the request"};
}

}  // namespace

ClientKey CollectorServiceImpl::BoundKey(const grpc::CallbackServerContext& context,
                                         const ClientKey& key) const {
  const std::string peer = PeerIdentity(*context.auth_context());
  return peer.empty() ? key : keys_.BoundTo(peer, key);
}

template <typename CoreRequest, typename CoreResponse, typename ProtoRequest,
          typename ProtoResponse>
grpc::ServerUnaryReactor* CollectorServiceImpl::Serve(grpc::CallbackServerContext* context,
                                                      const ProtoRequest& request,
                                                      ProtoResponse* response) {
  const auto begun = std::chrono::steady_clock::now();
  thread_local Request scratch{CoreRequest{}};  // One per type of request; its rows are reused.
  auto& core = std::get<CoreRequest>(scratch);

  const absl::Status parsed = FromProto(request, &core);
  core.key = BoundKey(*context, core.key);
  const grpc::Status status =
      parsed.ok() ? Answer<CoreResponse>(receiver_->Received(scratch), response) : ToGrpc(parsed);
  GiveBack(core);

  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(status);
  if (observer_ != nullptr) {
    observer_->Served(MethodOf(scratch), status.error_code(),
                      std::chrono::steady_clock::now() - begun);
  }
  return reactor;
}

grpc::ServerUnaryReactor* CollectorServiceImpl::Dirty(grpc::CallbackServerContext* context,
                                                      const v1::DirtyRequest* request,
                                                      v1::DirtyResponse* response) {
  return Serve<DirtyRequest, DirtyResponse>(context, *request, response);
}

grpc::ServerUnaryReactor* CollectorServiceImpl::Clean(grpc::CallbackServerContext* context,
                                                      const v1::CleanRequest* request,
                                                      v1::CleanResponse* response) {
  return Serve<CleanRequest, CleanResponse>(context, *request, response);
}

grpc::ServerUnaryReactor* CollectorServiceImpl::Renew(grpc::CallbackServerContext* context,
                                                      const v1::RenewRequest* request,
                                                      v1::RenewResponse* response) {
  return Serve<RenewRequest, RenewResponse>(context, *request, response);
}

grpc::ServerUnaryReactor* CollectorServiceImpl::Transit(grpc::CallbackServerContext* context,
                                                        const v1::TransitRequest* request,
                                                        v1::TransitResponse* response) {
  return Serve<TransitRequest, TransitResponse>(context, *request, response);
}

grpc::ServerUnaryReactor* CollectorServiceImpl::Goodbye(grpc::CallbackServerContext* context,
                                                        const v1::GoodbyeRequest* request,
                                                        v1::GoodbyeResponse* response) {
  return Serve<GoodbyeRequest, GoodbyeResponse>(context, *request, response);
}

}  // namespace dgc
