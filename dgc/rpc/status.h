// Between absl::Status and grpc::Status, and between Refusal and both.
//
// The codes of abseil and gRPC are the same numbers.  Messages are kept, details are not.  Pure
// functions.
#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "dgc/core/message.h"

namespace dgc {

grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

// What an owner answers.  REQUIRES: the code is not kUnknownOutcome, which no owner can say.
grpc::Status ToGrpc(const Refusal& refusal);
// What a holder makes of a call that failed.  Anything that the protocol does not define is
// kUnknownOutcome: UNAVAILABLE too, since the transport says it as well as the owner.  REQUIRES:
// !status.ok().
Refusal RefusalFrom(const grpc::Status& status);

}  // namespace dgc
