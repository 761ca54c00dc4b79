#include "dgc/rpc/admin_service.h"

#include <optional>

namespace dgc {
namespace {

std::optional<ReapingMode> FromProto(v1::ReapingMode mode) {
  switch (mode) {
    case v1::REAPING_MODE_AUTOMATIC:
      return ReapingMode::kAutomatic;
    case v1::REAPING_MODE_HELD:
      return ReapingMode::kHeld;
    case v1::REAPING_MODE_RELEASED:
      return ReapingMode::kReleased;
    default:
      return std::nullopt;
  }
}

}  // namespace

grpc::ServerUnaryReactor* AdminServiceImpl::SetReaping(grpc::CallbackServerContext* context,
                                                       const v1::SetReapingRequest* request,
                                                       v1::SetReapingResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const std::optional<ReapingMode> mode = FromProto(request->mode());
  if (mode.has_value()) {
    response->set_deferred(set_reaping_(*mode));
    reactor->Finish(grpc::Status::OK);
  } else {
    reactor->Finish({grpc::StatusCode::INVALID_ARGUMENT, "mode: automatic, held or released"});
  }
  return reactor;
}

}  // namespace dgc
