// What processes say to each other, as plain structs: dgc.v1 without protobuf.
//
// The meaning of each field, and every error, is written in proto/dgc/v1/collector.proto.
// rpc/convert maps these to the wire; the simulator carries them as they are.  A strategy with
// messages of its own adds alternatives to Request and Response.  Plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "dgc/core/digest.h"
#include "dgc/core/ids.h"
#include "dgc/core/time.h"

namespace dgc {

// The most ids in one request, and the most failures in one response.
inline constexpr size_t kBatchMax = 65536;

// One row of the id columns.
struct Row {
  ObjectId id;
  TransitToken transit{};

  friend bool operator==(const Row&, const Row&) = default;
};

// Every request says whom it is from, by client and key, and for, by the owner's name and
// incarnation.
struct DirtyRequest {
  ClientId client = {};
  Incarnation incarnation{};
  SequenceNumber sequence{};
  Duration requested_term{};
  std::vector<Row> rows = {};
  SequenceNumber complete_from{};
  ClientKey key{};
  uint64_t notices_seen = 0;
  std::string owner = {};
};

struct CleanRequest {
  ClientId client = {};
  Incarnation incarnation{};
  SequenceNumber sequence{};
  std::vector<Row> rows = {};
  ClientKey key{};
  std::string owner = {};
};

struct RenewRequest {
  ClientId client = {};
  Incarnation incarnation{};
  SequenceNumber sequence{};
  Duration requested_term{};
  Digest held = {};
  ClientKey key{};
  uint64_t notices_seen = 0;
  std::string owner = {};
};

struct TransitRequest {
  ClientId client = {};
  Incarnation incarnation{};
  Duration requested_term{};
  std::vector<Row> rows = {};
  ClientKey key{};
  std::string owner = {};
};

struct GoodbyeRequest {
  ClientId client = {};
  Incarnation incarnation{};
  SequenceNumber sequence{};
  ClientKey key{};
  std::string owner = {};
};

using Request =
    std::variant<DirtyRequest, CleanRequest, RenewRequest, TransitRequest, GoodbyeRequest>;

// How many rows a request has; 0 where its kind has none.
template <typename TypedRequest>
size_t RowCount(const TypedRequest& request) {
  if constexpr (requires { request.rows; }) {
    return request.rows.size();
  } else {
    return 0;
  }
}
inline size_t RowCount(const Request& request) {
  return std::visit([](const auto& typed) { return RowCount(typed); }, request);
}

// Values are those of dgc.v1.FailureReason.
enum class FailureReason : uint8_t {
  kUnknown = 1,
  kReclaimed = 2,
  kUnexported = 3,
  kStale = 4,
  kQuota = 5,
};

// Values are those of dgc.v1.ReclaimReason.
enum class ReclaimReason : uint8_t {
  kUnspecified = 0,
  kClean = 1,
  kLapse = 2,
  kTransitExpired = 3,
  kCascade = 4,
  kCycle = 5,
  kUnexport = 6,
};
inline constexpr size_t kReclaimReasons = 7;

struct Failure {
  uint32_t index = 0;
  FailureReason reason = FailureReason::kUnknown;
  ReclaimReason reclaim_reason = ReclaimReason::kUnspecified;
  Duration reclaimed_ago{};

  friend bool operator==(const Failure&, const Failure&) = default;
};

// The most notices kept for one client, and in one response.
#ifdef DGC_SMALL_LIMITS  // So that few are enough for the simulator.
inline constexpr size_t kNoticesMax = 8;
#else
inline constexpr size_t kNoticesMax = 1024;
#endif

// A transit lease that the client had declared has ended unused.
struct Notice {
  uint64_t number = 0;
  ObjectId id;
  TransitToken transit{};

  friend bool operator==(const Notice&, const Notice&) = default;
};

struct DirtyResponse {
  Duration granted_term{};
  std::vector<Failure> failures = {};
  std::vector<Notice> notices = {};
};

struct CleanResponse {};

// Values are those of dgc.v1.RenewResult.
enum class RenewResult : uint8_t { kOk = 1, kUnknownClient = 2, kDiffers = 3 };

struct RenewResponse {
  RenewResult result = RenewResult::kOk;
  Duration granted_term{};
  std::vector<Notice> notices = {};
  bool hand_ons_open = false;
};

struct TransitResponse {
  Duration granted_term{};
  std::vector<Failure> failures;
};

struct GoodbyeResponse {};

// The request was not carried out, and nothing was changed.
struct Refusal {
  enum class Code : uint8_t {
    kInvalidArgument,
    kPermissionDenied,
    kWrongIncarnation,  // FAILED_PRECONDITION
    kResourceExhausted,
    kUnavailable,     // the peer said so: not carried out
    kUnknownOutcome,  // said by the transport of this side: perhaps carried out, perhaps later
  };
  Code code = Code::kInvalidArgument;
  std::string message;
};

using Response = std::variant<DirtyResponse, CleanResponse, RenewResponse, TransitResponse,
                              GoodbyeResponse, Refusal>;

}  // namespace dgc
