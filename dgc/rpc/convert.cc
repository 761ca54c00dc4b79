#include "dgc/rpc/convert.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"

namespace dgc {
namespace {

using ::google::protobuf::RepeatedField;
using ::google::protobuf::RepeatedPtrField;

constexpr uint64_t kSequenceMax = std::numeric_limits<int64_t>::max();

template <typename... Parts>
absl::Status Invalid(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

absl::Status Client(const v1::ClientId& client, ClientId* into) {
  *into = {client.high(), client.low()};
  if (!into->valid()) return Invalid("client: absent or zero");
  return absl::OkStatus();
}

void SetClient(const ClientId& client, v1::ClientId* into) {
  into->set_high(client.high);
  into->set_low(client.low);
}

void SetKey(const ClientKey& key, v1::ClientKey* into) {
  into->set_high(key.high);
  into->set_low(key.low);
}

ClientKey Key(const v1::ClientKey& key) { return {key.high(), key.low()}; }

absl::Status Sequence(uint64_t number, SequenceNumber* into) {
  if (number == 0 || number > kSequenceMax) {
    return Invalid("sequence_number: ", number, " is not in 1 to 2^63 - 1");
  }
  *into = SequenceNumber{number};
  return absl::OkStatus();
}

absl::Status Term(const google::protobuf::Duration& duration, Duration* into) {
  const auto term = FromProto(duration);
  if (!term.ok()) return Invalid("requested_term: ", term.status().message());
  if (*term > kTermMax) return Invalid("requested_term: longer than a day");
  *into = *term;
  return absl::OkStatus();
}

// `Proto` has the three columns.
template <typename Proto>
absl::Status Rows(const Proto& proto, std::vector<Row>* into) {
  const RepeatedField<uint64_t>& high = proto.object_id_high();
  const RepeatedField<uint64_t>& low = proto.object_id_low();
  const RepeatedField<uint64_t>& transit = proto.transit();
  const size_t rows = static_cast<size_t>(high.size());
  if (low.size() != high.size() || (!transit.empty() && transit.size() != high.size())) {
    return Invalid("columns of unequal length: object_id_high ", high.size(), ", object_id_low ",
                   low.size(), ", transit ", transit.size());
  }
  if (rows > kBatchMax) {
    return Invalid("object_id_high: ", rows, " ids, the maximum is ", kBatchMax);
  }
  into->resize(rows);
  Row* const out = into->data();
  const uint64_t* const high_data = high.data();
  const uint64_t* const low_data = low.data();
  const uint64_t* const transit_data = transit.empty() ? nullptr : transit.data();
  bool zero = false;
  for (size_t i = 0; i < rows; ++i) {
    const uint64_t token = transit_data == nullptr ? 0 : transit_data[i];
    out[i] = {{high_data[i], low_data[i]}, TransitToken{token}};
    zero |= (high_data[i] | low_data[i]) == 0;
  }
  if (zero) return Invalid("object_id: an id is zero");
  return absl::OkStatus();
}

template <typename Proto>
void ToColumns(const std::vector<Row>& rows, Proto* into) {
  const int size = static_cast<int>(rows.size());
  into->mutable_object_id_high()->Resize(size, 0);
  into->mutable_object_id_low()->Resize(size, 0);
  uint64_t* const high = into->mutable_object_id_high()->mutable_data();
  uint64_t* const low = into->mutable_object_id_low()->mutable_data();
  uint64_t any = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    high[i] = rows[i].id.high;
    low[i] = rows[i].id.low;
    any |= Raw(rows[i].transit);
  }
  into->clear_transit();
  if (any == 0) return;
  into->mutable_transit()->Resize(size, 0);
  uint64_t* const transit = into->mutable_transit()->mutable_data();
  for (size_t i = 0; i < rows.size(); ++i) transit[i] = Raw(rows[i].transit);
}

// One that a later version has added: the object is not listed, whatever the reason.
FailureReason Reason(v1::FailureReason reason) {
  return reason > 5 ? FailureReason::kUnknown : static_cast<FailureReason>(reason);
}

// One that a later version has added is as good as none.
ReclaimReason Reason(v1::ReclaimReason reason) {
  if (reason < 0 || reason >= static_cast<int>(kReclaimReasons)) return ReclaimReason::kUnspecified;
  return static_cast<ReclaimReason>(reason);
}

void SetFailures(const std::vector<Failure>& failures, RepeatedPtrField<v1::Failure>* into) {
  into->Reserve(static_cast<int>(failures.size()));
  for (const Failure& failure : failures) {
    v1::Failure* const proto = into->Add();
    proto->set_index(failure.index);
    proto->set_reason(static_cast<v1::FailureReason>(failure.reason));
    if (failure.reason == FailureReason::kReclaimed ||
        failure.reason == FailureReason::kUnexported) {
      proto->set_reclaim_reason(static_cast<v1::ReclaimReason>(failure.reclaim_reason));
      ToProto(failure.reclaimed_ago, proto->mutable_reclaimed_ago());
    }
  }
}

absl::Status Failures(const RepeatedPtrField<v1::Failure>& failures, size_t rows,
                      std::vector<Failure>* into) {
  into->clear();
  into->reserve(std::min(static_cast<size_t>(failures.size()), rows));
  for (const v1::Failure& proto : failures) {
    if (proto.index() >= rows || (!into->empty() && proto.index() <= into->back().index)) {
      return Invalid("failures: index ", proto.index(), " of ", rows, " ids is out of order");
    }
    if (proto.reason() < 1) return Invalid("failures: no reason");
    Failure failure{.index = proto.index(), .reason = Reason(proto.reason())};
    failure.reclaim_reason = Reason(proto.reclaim_reason());
    const auto ago = FromProto(proto.reclaimed_ago());
    if (!ago.ok()) return Invalid("failures: reclaimed_ago: ", ago.status().message());
    failure.reclaimed_ago = *ago;
    into->push_back(failure);
  }
  return absl::OkStatus();
}

void SetNotices(const std::vector<Notice>& notices, RepeatedPtrField<v1::Notice>* into) {
  for (const Notice& notice : notices) {
    v1::Notice* const proto = into->Add();
    proto->set_number(notice.number);
    proto->set_object_id_high(notice.id.high);
    proto->set_object_id_low(notice.id.low);
    proto->set_transit(Raw(notice.transit));
  }
}

absl::Status Notices(const RepeatedPtrField<v1::Notice>& notices, std::vector<Notice>* into) {
  into->clear();
  if (static_cast<size_t>(notices.size()) > kNoticesMax) {
    return Invalid("notices: ", notices.size(), ", the maximum is ", kNoticesMax);
  }
  for (const v1::Notice& proto : notices) {
    into->push_back({proto.number(),
                     {proto.object_id_high(), proto.object_id_low()},
                     TransitToken{proto.transit()}});
  }
  return absl::OkStatus();
}

absl::Status Granted(const google::protobuf::Duration& term, Duration* into) {
  const auto granted = FromProto(term);
  if (!granted.ok()) return Invalid("granted_term: ", granted.status().message());
  *into = std::min(*granted, kTermMax);
  return absl::OkStatus();
}

}  // namespace

void ToProto(Duration duration, google::protobuf::Duration* into) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration);
  into->set_seconds(seconds.count());
  into->set_nanos(static_cast<int32_t>((duration - seconds).count()));
}

absl::StatusOr<Duration> FromProto(const google::protobuf::Duration& duration) {
  if (duration.seconds() < 0 || duration.nanos() < 0) return Invalid("negative");
  if (duration.nanos() > 999'999'999) return Invalid("more than 999,999,999 nanos");
  // More is as good as for ever, and can still be added to any time.
  constexpr std::chrono::seconds kLongest = std::chrono::hours(24 * 36525);
  if (duration.seconds() >= kLongest.count()) return kLongest;
  return std::chrono::seconds(duration.seconds()) + Duration(duration.nanos());
}

void ToProto(WireRef&& ref, v1::Ref* into) {
  into->set_owner(std::move(ref.owner));
  into->set_incarnation(Raw(ref.incarnation));
  into->set_object_id_high(ref.id.high);
  into->set_object_id_low(ref.id.low);
  into->set_type(std::move(ref.type));
  into->set_transit(Raw(ref.transit));
}

WireRef FromProto(const v1::Ref& ref) {
  return {ref.owner(),
          Incarnation{ref.incarnation()},
          {ref.object_id_high(), ref.object_id_low()},
          ref.type(),
          TransitToken{ref.transit()}};
}

void ToProto(const ReferenceError& error, v1::ReferenceError* into) {
  into->set_cause(static_cast<v1::LossCause>(error.cause));
  if (error.cause != LossCause::kReclaimed && error.cause != LossCause::kUnexported) return;
  into->set_reclaim_reason(static_cast<v1::ReclaimReason>(error.reclaim_reason));
  ToProto(error.reclaimed_ago, into->mutable_reclaimed_ago());
}

absl::StatusOr<ReferenceError> FromProto(const v1::ReferenceError& error) {
  if (error.cause() < 1 || error.cause() >= static_cast<int>(kLossCauses)) {
    return Invalid("cause: ", static_cast<int>(error.cause()), " is not known");
  }
  const auto ago = FromProto(error.reclaimed_ago());
  if (!ago.ok()) return Invalid("reclaimed_ago: ", ago.status().message());
  return ReferenceError{static_cast<LossCause>(error.cause()), Reason(error.reclaim_reason()),
                        *ago};
}

// --- Requests.

void ToProto(const DirtyRequest& request, v1::DirtyRequest* into) {
  SetClient(request.client, into->mutable_client());
  into->set_owner(request.owner);
  into->set_owner_incarnation(Raw(request.incarnation));
  into->set_sequence_number(Raw(request.sequence));
  ToProto(request.requested_term, into->mutable_requested_term());
  ToColumns(request.rows, into);
  into->set_complete_from(Raw(request.complete_from));
  SetKey(request.key, into->mutable_key());
  into->set_notices_seen(request.notices_seen);
}

void ToProto(const CleanRequest& request, v1::CleanRequest* into) {
  SetClient(request.client, into->mutable_client());
  into->set_owner(request.owner);
  into->set_owner_incarnation(Raw(request.incarnation));
  into->set_sequence_number(Raw(request.sequence));
  ToColumns(request.rows, into);
  SetKey(request.key, into->mutable_key());
}

void ToProto(const RenewRequest& request, v1::RenewRequest* into) {
  SetClient(request.client, into->mutable_client());
  into->set_owner(request.owner);
  into->set_owner_incarnation(Raw(request.incarnation));
  into->set_sequence_number(Raw(request.sequence));
  ToProto(request.requested_term, into->mutable_requested_term());
  into->set_held_count(request.held.count);
  into->set_held_hash(request.held.hash);
  SetKey(request.key, into->mutable_key());
  into->set_notices_seen(request.notices_seen);
}

void ToProto(const TransitRequest& request, v1::TransitRequest* into) {
  SetClient(request.client, into->mutable_client());
  into->set_owner(request.owner);
  into->set_owner_incarnation(Raw(request.incarnation));
  ToProto(request.requested_term, into->mutable_requested_term());
  ToColumns(request.rows, into);
  SetKey(request.key, into->mutable_key());
}

void ToProto(const GoodbyeRequest& request, v1::GoodbyeRequest* into) {
  SetClient(request.client, into->mutable_client());
  into->set_owner(request.owner);
  into->set_owner_incarnation(Raw(request.incarnation));
  into->set_sequence_number(Raw(request.sequence));
  SetKey(request.key, into->mutable_key());
}

absl::Status FromProto(const v1::DirtyRequest& request, DirtyRequest* into) {
  absl::Status status = Client(request.client(), &into->client);
  status.Update(Sequence(request.sequence_number(), &into->sequence));
  status.Update(Term(request.requested_term(), &into->requested_term));
  if (request.complete_from() > request.sequence_number()) {
    status.Update(Invalid("complete_from: greater than sequence_number"));
  }
  status.Update(Rows(request, &into->rows));
  into->key = Key(request.key());
  into->notices_seen = request.notices_seen();
  into->owner = request.owner();
  into->incarnation = Incarnation{request.owner_incarnation()};
  into->complete_from = SequenceNumber{request.complete_from()};
  return status;
}

absl::Status FromProto(const v1::CleanRequest& request, CleanRequest* into) {
  absl::Status status = Client(request.client(), &into->client);
  status.Update(Sequence(request.sequence_number(), &into->sequence));
  status.Update(Rows(request, &into->rows));
  into->key = Key(request.key());
  into->owner = request.owner();
  into->incarnation = Incarnation{request.owner_incarnation()};
  return status;
}

absl::Status FromProto(const v1::RenewRequest& request, RenewRequest* into) {
  absl::Status status = Client(request.client(), &into->client);
  status.Update(Sequence(request.sequence_number(), &into->sequence));
  status.Update(Term(request.requested_term(), &into->requested_term));
  into->key = Key(request.key());
  into->notices_seen = request.notices_seen();
  into->owner = request.owner();
  into->incarnation = Incarnation{request.owner_incarnation()};
  into->held = {request.held_count(), request.held_hash()};
  return status;
}

absl::Status FromProto(const v1::TransitRequest& request, TransitRequest* into) {
  absl::Status status = Client(request.client(), &into->client);
  status.Update(Term(request.requested_term(), &into->requested_term));
  status.Update(Rows(request, &into->rows));
  if (status.ok()) {
    for (const Row& row : into->rows) {
      if ((Raw(row.transit) & kHolderTokenBit) == 0) {
        return Invalid("transit: a token without its highest bit");
      }
    }
  }
  into->key = Key(request.key());
  into->owner = request.owner();
  into->incarnation = Incarnation{request.owner_incarnation()};
  return status;
}

absl::Status FromProto(const v1::GoodbyeRequest& request, GoodbyeRequest* into) {
  absl::Status status = Client(request.client(), &into->client);
  status.Update(Sequence(request.sequence_number(), &into->sequence));
  into->key = Key(request.key());
  into->owner = request.owner();
  into->incarnation = Incarnation{request.owner_incarnation()};
  return status;
}

// --- Responses.

void ToProto(const DirtyResponse& response, v1::DirtyResponse* into) {
  ToProto(response.granted_term, into->mutable_granted_term());
  SetFailures(response.failures, into->mutable_failures());
  SetNotices(response.notices, into->mutable_notices());
}

void ToProto(const CleanResponse&, v1::CleanResponse*) {}

void ToProto(const RenewResponse& response, v1::RenewResponse* into) {
  into->set_result(static_cast<v1::RenewResult>(response.result));
  if (response.result != RenewResult::kUnknownClient) {
    ToProto(response.granted_term, into->mutable_granted_term());
  }
  SetNotices(response.notices, into->mutable_notices());
  into->set_hand_ons_open(response.hand_ons_open);
}

void ToProto(const TransitResponse& response, v1::TransitResponse* into) {
  ToProto(response.granted_term, into->mutable_granted_term());
  SetFailures(response.failures, into->mutable_failures());
}

void ToProto(const GoodbyeResponse&, v1::GoodbyeResponse*) {}

absl::Status FromProto(const v1::DirtyResponse& response, size_t rows, DirtyResponse* into) {
  absl::Status status = Granted(response.granted_term(), &into->granted_term);
  status.Update(Failures(response.failures(), rows, &into->failures));
  status.Update(Notices(response.notices(), &into->notices));
  return status;
}

absl::Status FromProto(const v1::CleanResponse&, size_t, CleanResponse*) {
  return absl::OkStatus();
}

absl::Status FromProto(const v1::RenewResponse& response, size_t, RenewResponse* into) {
  if (response.result() < 1) return Invalid("no result");
  // To one that a later version has added, listing everything again is a safe answer.
  into->result =
      response.result() > 3 ? RenewResult::kDiffers : static_cast<RenewResult>(response.result());
  into->hand_ons_open = response.hand_ons_open();
  absl::Status status = Granted(response.granted_term(), &into->granted_term);
  status.Update(Notices(response.notices(), &into->notices));
  return status;
}

absl::Status FromProto(const v1::TransitResponse& response, size_t rows, TransitResponse* into) {
  absl::Status status = Granted(response.granted_term(), &into->granted_term);
  status.Update(Failures(response.failures(), rows, &into->failures));
  return status;
}

absl::Status FromProto(const v1::GoodbyeResponse&, size_t, GoodbyeResponse*) {
  return absl::OkStatus();
}

}  // namespace dgc
