// Between absl::Status and grpc::Status, and between Refusal and both.
//
// The codes of abseil and gRPC are the same numbers.  Messages are kept, and of the details the
// ReferenceError, which on the wire stands in the trailer grpc-status-details-bin
// (proto/dgc/v1/reference_error.proto).  Pure functions.
#pragma once

#include <grpcpp/support/status.h>

#include <optional>

#include "absl/status/status.h"
#include "dgc/core/message.h"
#include "dgc/core/reference_error.h"

namespace dgc {

grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

// Why a call failed, if it was for the reference that it named:
//
//     const grpc::Status status = stub->Append(upload.Context(), request, &response);
//     const auto error = dgc::ReferenceErrorOf(status);
//     if (error.has_value() && error->cause == dgc::LossCause::kReclaimed) ...
//
// Absent from any other failure.  The same of an absl::Status: core/reference_error.h.
std::optional<ReferenceError> ReferenceErrorOf(const grpc::Status& status);

// What an owner answers.  REQUIRES: the code is not kUnknownOutcome, which no owner can say.
grpc::Status ToGrpc(const Refusal& refusal);
// What a holder makes of a call that failed.  Anything that the protocol does not define is
// kUnknownOutcome: UNAVAILABLE too, since the transport says it as well as the owner, and a
// PERMISSION_DENIED without the owner's ReferenceError, which a proxy says.  REQUIRES:
// !status.ok().
Refusal RefusalFrom(const grpc::Status& status);

}  // namespace dgc
