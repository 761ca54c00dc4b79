#include "dgc/rpc/status.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "dgc/core/check.h"
#include "dgc/rpc/convert.h"
#include "dgc/v1/reference_error.pb.h"

namespace dgc {
namespace {

grpc::Status WithDetails(grpc::StatusCode code, const std::string& message,
                         const ReferenceError& error) {
  v1::ReferenceError proto;
  ToProto(error, &proto);
  v1::Status whole;
  whole.set_code(code);
  whole.set_message(message);
  whole.add_details()->PackFrom(proto);
  return {code, message, whole.SerializeAsString()};
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const auto code = static_cast<grpc::StatusCode>(status.code());
  const std::string message(status.message());
  const auto error = ReferenceErrorOf(status);
  return error.has_value() ? WithDetails(code, message, *error) : grpc::Status(code, message);
}

absl::Status FromGrpc(const grpc::Status& status) {
  absl::Status into(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  if (const auto error = ReferenceErrorOf(status); error.has_value()) Attach(*error, &into);
  return into;
}

std::optional<ReferenceError> ReferenceErrorOf(const grpc::Status& status) {
  v1::Status whole;
  if (!whole.ParseFromString(status.error_details())) return std::nullopt;
  for (const google::protobuf::Any& detail : whole.details()) {
    v1::ReferenceError proto;
    if (!detail.UnpackTo(&proto)) continue;  // Another message.
    const auto error = FromProto(proto);
    if (error.ok()) return *error;
  }
  return std::nullopt;
}

grpc::Status ToGrpc(const Refusal& refusal) {
  switch (refusal.code) {
    case Refusal::Code::kInvalidArgument:
      return {grpc::StatusCode::INVALID_ARGUMENT, refusal.message};
    case Refusal::Code::kPermissionDenied:
      return WithDetails(grpc::StatusCode::PERMISSION_DENIED, refusal.message,
                         {.cause = LossCause::kRefused});
    case Refusal::Code::kWrongIncarnation:
      return WithDetails(grpc::StatusCode::FAILED_PRECONDITION, refusal.message,
                         {.cause = LossCause::kOwnerRestarted});
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
  // Proxies and meshes answer too; only the owner's own word ends what is held.
  const auto error = ReferenceErrorOf(status);
  const LossCause cause = error.has_value() ? error->cause : LossCause::kNone;
  switch (status.error_code()) {
    case grpc::StatusCode::INVALID_ARGUMENT:
      return {Refusal::Code::kInvalidArgument, status.error_message()};
    case grpc::StatusCode::PERMISSION_DENIED:
      if (cause != LossCause::kRefused) break;
      return {Refusal::Code::kPermissionDenied, status.error_message()};
    case grpc::StatusCode::FAILED_PRECONDITION:
      if (cause != LossCause::kOwnerRestarted) break;
      return {Refusal::Code::kWrongIncarnation, status.error_message()};
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return {Refusal::Code::kResourceExhausted, status.error_message()};
    default:
      break;
  }
  return {Refusal::Code::kUnknownOutcome,
          absl::StrCat(absl::StatusCodeToString(static_cast<absl::StatusCode>(status.error_code())),
                       ": ", status.error_message())};
}

}  // namespace dgc
