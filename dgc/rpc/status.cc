#include "dgc/rpc/status.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "dgc/core/check.h"

namespace dgc {

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

absl::Status FromGrpc(const grpc::Status& status) {
  return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
}

grpc::Status ToGrpc(const Refusal& refusal) {
  switch (refusal.code) {
    case Refusal::Code::kInvalidArgument:
      return {grpc::StatusCode::INVALID_ARGUMENT, refusal.message};
    case Refusal::Code::kPermissionDenied:
      return {grpc::StatusCode::PERMISSION_DENIED, refusal.message};
    case Refusal::Code::kWrongIncarnation:
      return {grpc::StatusCode::FAILED_PRECONDITION, refusal.message};
    case Refusal::Code::kResourceExhausted:
      return {grpc::StatusCode::RESOURCE_EXHAUSTED, refusal.message};
    case Refusal::Code::kUnavailable:
      return {grpc::StatusCode::UNAVAILABLE, refusal.message};
    case Refusal::Code::kUnknownOutcome:
      break;
  }
  DGC_CHECK(refusal.code != Refusal::Code::kUnknownOutcome);
  return {grpc::StatusCode::INTERNAL, refusal.message};
}

Refusal RefusalFrom(const grpc::Status& status) {
  DGC_CHECK(!status.ok());
  switch (status.error_code()) {
    case grpc::StatusCode::INVALID_ARGUMENT:
      return {Refusal::Code::kInvalidArgument, status.error_message()};
    case grpc::StatusCode::PERMISSION_DENIED:
      return {Refusal::Code::kPermissionDenied, status.error_message()};
    case grpc::StatusCode::FAILED_PRECONDITION:
      return {Refusal::Code::kWrongIncarnation, status.error_message()};
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return {Refusal::Code::kResourceExhausted, status.error_message()};
    default:
      return {
          Refusal::Code::kUnknownOutcome,
          absl::StrCat(absl::StatusCodeToString(static_cast<absl::StatusCode>(status.error_code())),
                       ": ", status.error_message())};
  }
}

}  // namespace dgc
