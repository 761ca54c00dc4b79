// Between the messages of dgc.v1 and the plain structs of core/message.h.
//
// FromProto checks the shape of what a peer sent, and nothing else: columns of unequal length, too
// many ids, zero ids, zero or too great sequence numbers, negative or absurd durations are
// INVALID_ARGUMENT, with a message that names the field.  What it fills is reused memory: no
// allocation per row.  On an error `into` is unspecified.
//
// Pure functions; safe anywhere.
#pragma once

#include <google/protobuf/duration.pb.h>

#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dgc/core/message.h"
#include "dgc/core/ref.h"
#include "dgc/core/reference_error.h"
#include "dgc/core/time.h"
#include "dgc/v1/collector.pb.h"
#include "dgc/v1/ref.pb.h"
#include "dgc/v1/reference_error.pb.h"

namespace dgc {

void ToProto(Duration duration, google::protobuf::Duration* into);
// INVALID_ARGUMENT if malformed or negative; what is too long to count is cut to the longest
// Duration.
absl::StatusOr<Duration> FromProto(const google::protobuf::Duration& duration);

void ToProto(WireRef&& ref, v1::Ref* into);
WireRef FromProto(const v1::Ref& ref);  // Total; Process::Import and Resolve check.

void ToProto(const ReferenceError& error, v1::ReferenceError* into);
// INVALID_ARGUMENT if malformed, or of a cause that only later versions know.
absl::StatusOr<ReferenceError> FromProto(const v1::ReferenceError& error);

void ToProto(const DirtyRequest& request, v1::DirtyRequest* into);
void ToProto(const CleanRequest& request, v1::CleanRequest* into);
void ToProto(const RenewRequest& request, v1::RenewRequest* into);
void ToProto(const TransitRequest& request, v1::TransitRequest* into);
void ToProto(const GoodbyeRequest& request, v1::GoodbyeRequest* into);

absl::Status FromProto(const v1::DirtyRequest& request, DirtyRequest* into);
absl::Status FromProto(const v1::CleanRequest& request, CleanRequest* into);
absl::Status FromProto(const v1::RenewRequest& request, RenewRequest* into);
absl::Status FromProto(const v1::TransitRequest& request, TransitRequest* into);
absl::Status FromProto(const v1::GoodbyeRequest& request, GoodbyeRequest* into);

void ToProto(const DirtyResponse& response, v1::DirtyResponse* into);
void ToProto(const CleanResponse& response, v1::CleanResponse* into);
void ToProto(const RenewResponse& response, v1::RenewResponse* into);
void ToProto(const TransitResponse& response, v1::TransitResponse* into);
void ToProto(const GoodbyeResponse& response, v1::GoodbyeResponse* into);

// An owner's answer is input too.  `rows`: how many ids were asked about.
absl::Status FromProto(const v1::DirtyResponse& response, size_t rows, DirtyResponse* into);
absl::Status FromProto(const v1::CleanResponse& response, size_t rows, CleanResponse* into);
absl::Status FromProto(const v1::RenewResponse& response, size_t rows, RenewResponse* into);
absl::Status FromProto(const v1::TransitResponse& response, size_t rows, TransitResponse* into);
absl::Status FromProto(const v1::GoodbyeResponse& response, size_t rows, GoodbyeResponse* into);

}  // namespace dgc
