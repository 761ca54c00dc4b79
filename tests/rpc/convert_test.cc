// What the wire is turned into, and what is refused for its shape.
#include "dgc/rpc/convert.h"

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "dgc/rpc/status.h"
#include "dgc/v1/reference_error.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace dgc {
namespace {

using ::dgc::testing::IsOk;
using ::dgc::testing::IsOkAndHolds;
using ::dgc::testing::StatusIs;
using ::std::chrono::milliseconds;
using ::std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr TransitToken kToken{kHolderTokenBit | 5};

v1::DirtyRequest GoodDirty() {
  v1::DirtyRequest proto;
  ToProto(DirtyRequest{.client = {1, 2},
                       .incarnation = Incarnation{3},
                       .sequence = SequenceNumber{4},
                       .requested_term = milliseconds(1500),
                       .rows = {{{5, 6}, {}}, {{7, 8}, kToken}},
                       .owner = "host:1"},
          &proto);
  return proto;
}

TEST(ConvertTest, DirtyRequestSurvivesTheWire) {
  DirtyRequest core;
  ASSERT_THAT(FromProto(GoodDirty(), &core), IsOk());

  EXPECT_EQ(core.client, (ClientId{1, 2}));
  EXPECT_EQ(core.owner, "host:1");
  EXPECT_EQ(core.incarnation, Incarnation{3});
  EXPECT_EQ(core.sequence, SequenceNumber{4});
  EXPECT_EQ(core.requested_term, milliseconds(1500));
  EXPECT_THAT(core.rows, ElementsAre(Row{{5, 6}, {}}, Row{{7, 8}, kToken}));
}

TEST(ConvertTest, TransitColumnIsLeftOutWhenNothingIsInTransit) {
  v1::CleanRequest proto;
  ToProto(CleanRequest{.client = {1, 2}, .sequence = SequenceNumber{1}, .rows = {{{5, 6}, {}}}},
          &proto);

  EXPECT_EQ(proto.transit_size(), 0);
  CleanRequest core;
  ASSERT_THAT(FromProto(proto, &core), IsOk());
  EXPECT_THAT(core.rows, ElementsAre(Row{{5, 6}, {}}));
}

TEST(ConvertTest, ReusedRequestKeepsNothingOfTheOneBefore) {
  DirtyRequest core;
  ASSERT_THAT(FromProto(GoodDirty(), &core), IsOk());
  v1::DirtyRequest second = GoodDirty();
  second.clear_object_id_high();
  second.clear_object_id_low();
  second.clear_transit();
  second.clear_requested_term();
  ASSERT_THAT(FromProto(second, &core), IsOk());

  EXPECT_THAT(core.rows, SizeIs(0));
  EXPECT_EQ(core.requested_term, Duration::zero());
}

struct BadDirty {
  const char* what;
  std::function<void(v1::DirtyRequest*)> spoil;
  const char* message;
};

TEST(ConvertTest, MalformedRequestsAreRefusedByName) {
  const std::vector<BadDirty> bad = {
      {"no client", [](auto* r) { r->clear_client(); }, "client"},
      {"zero client", [](auto* r) { r->mutable_client()->Clear(); }, "client"},
      {"sequence 0", [](auto* r) { r->set_sequence_number(0); }, "sequence_number"},
      {"sequence 2^63", [](auto* r) { r->set_sequence_number(uint64_t{1} << 63); },
       "sequence_number"},
      {"negative seconds", [](auto* r) { r->mutable_requested_term()->set_seconds(-1); },
       "requested_term"},
      {"negative nanos", [](auto* r) { r->mutable_requested_term()->set_nanos(-1); },
       "requested_term"},
      {"too many nanos", [](auto* r) { r->mutable_requested_term()->set_nanos(1'000'000'000); },
       "requested_term"},
      {"over a day", [](auto* r) { r->mutable_requested_term()->set_seconds(86'401); }, "a day"},
      {"absurd seconds",
       [](auto* r) {
         r->mutable_requested_term()->set_seconds(std::numeric_limits<int64_t>::max());
       },
       "a day"},
      {"zero id",
       [](auto* r) {
         r->set_object_id_high(1, 0);
         r->set_object_id_low(1, 0);
       },
       "object_id"},
      {"fewer low halves", [](auto* r) { r->mutable_object_id_low()->RemoveLast(); }, "unequal"},
      {"fewer tokens", [](auto* r) { r->mutable_transit()->RemoveLast(); }, "unequal"},
      {"too many ids",
       [](auto* r) {
         r->mutable_object_id_high()->Resize(65'537, 1);
         r->mutable_object_id_low()->Resize(65'537, 1);
         r->clear_transit();
       },
       "65536"},
      {"complete_from beyond the sequence", [](auto* r) { r->set_complete_from(5); },
       "complete_from"},
  };
  for (const BadDirty& each : bad) {
    v1::DirtyRequest proto = GoodDirty();
    each.spoil(&proto);
    DirtyRequest core;
    EXPECT_THAT(FromProto(proto, &core),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(each.message)))
        << each.what;
  }
}

TEST(ConvertTest, LargestBatchIsAccepted) {
  v1::DirtyRequest proto = GoodDirty();
  proto.mutable_object_id_high()->Resize(65'536, 1);
  proto.mutable_object_id_low()->Resize(65'536, 1);
  proto.clear_transit();
  DirtyRequest core;
  EXPECT_THAT(FromProto(proto, &core), IsOk());
  EXPECT_THAT(core.rows, SizeIs(kBatchMax));
}

TEST(ConvertTest, TransitRequestWithAnOwnersTokenIsRefused) {
  v1::TransitRequest proto;
  ToProto(TransitRequest{.client = {1, 2}, .rows = {{{5, 6}, TransitToken{5}}}}, &proto);
  TransitRequest core;
  EXPECT_THAT(FromProto(proto, &core),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("transit")));
}

TEST(ConvertTest, DirtyResponseSurvivesTheWire) {
  const DirtyResponse response = {.granted_term = seconds(30),
                                  .failures = {{.index = 1, .reason = FailureReason::kUnknown},
                                               {.index = 7,
                                                .reason = FailureReason::kReclaimed,
                                                .reclaim_reason = ReclaimReason::kLapse,
                                                .reclaimed_ago = milliseconds(12)}},
                                  .notices = {{9, {1, 2}, kToken}}};
  v1::DirtyResponse proto;
  ToProto(response, &proto);
  DirtyResponse back;
  ASSERT_THAT(FromProto(proto, 8, &back), IsOk());

  EXPECT_EQ(back.granted_term, response.granted_term);
  EXPECT_EQ(back.failures, response.failures);
  EXPECT_EQ(back.notices, response.notices);
}

TEST(ConvertTest, RenewResponseSurvivesTheWire) {
  const RenewResponse response = {.result = RenewResult::kDiffers,
                                  .granted_term = seconds(30),
                                  .notices = {{9, {1, 2}, kToken}},
                                  .hand_ons_open = true};
  v1::RenewResponse proto;
  ToProto(response, &proto);
  RenewResponse back;
  ASSERT_THAT(FromProto(proto, 0, &back), IsOk());

  EXPECT_EQ(back.result, response.result);
  EXPECT_EQ(back.granted_term, response.granted_term);
  EXPECT_EQ(back.notices, response.notices);
  EXPECT_EQ(back.hand_ons_open, response.hand_ons_open);
}

TEST(ConvertTest, MalformedAnswersAreRefused) {
  v1::DirtyResponse proto;
  DirtyResponse core;
  proto.add_failures()->set_reason(v1::FAILURE_REASON_UNKNOWN);
  EXPECT_THAT(FromProto(proto, 1, &core), IsOk());
  EXPECT_THAT(FromProto(proto, 0, &core), StatusIs(absl::StatusCode::kInvalidArgument));
  *proto.add_failures() = proto.failures(0);
  EXPECT_THAT(FromProto(proto, 2, &core), StatusIs(absl::StatusCode::kInvalidArgument))
      << "the same index twice";
  proto.mutable_failures(1)->set_index(1);
  proto.mutable_failures(1)->clear_reason();
  EXPECT_THAT(FromProto(proto, 2, &core), StatusIs(absl::StatusCode::kInvalidArgument));

  v1::RenewResponse renew;
  RenewResponse core_renew;
  EXPECT_THAT(FromProto(renew, 0, &core_renew), StatusIs(absl::StatusCode::kInvalidArgument))
      << "no result";
}

TEST(ConvertTest, AnswersOfALaterVersionAreUnderstoodAsTheSafeOne) {
  v1::DirtyResponse proto;
  proto.add_failures()->set_reason(static_cast<v1::FailureReason>(99));
  DirtyResponse core;
  ASSERT_THAT(FromProto(proto, 1, &core), IsOk());
  EXPECT_EQ(core.failures[0].reason, FailureReason::kUnknown) << "it is not listed";

  v1::RenewResponse renew;
  renew.set_result(static_cast<v1::RenewResult>(99));
  RenewResponse core_renew;
  ASSERT_THAT(FromProto(renew, 0, &core_renew), IsOk());
  EXPECT_EQ(core_renew.result, RenewResult::kDiffers) << "everything is listed again";
}

TEST(ConvertTest, ReclaimReasonOfALaterVersionIsNoReason) {
  v1::DirtyResponse proto;
  v1::Failure* const failure = proto.add_failures();
  failure->set_reason(v1::FAILURE_REASON_RECLAIMED);
  failure->set_reclaim_reason(static_cast<v1::ReclaimReason>(77));
  DirtyResponse core;
  ASSERT_THAT(FromProto(proto, 1, &core), IsOk());
  EXPECT_EQ(core.failures[0].reclaim_reason, ReclaimReason::kUnspecified);
}

TEST(ConvertTest, DurationsSurviveTheWire) {
  for (const Duration duration : {Duration(0), Duration(1), Duration(999'999'999),
                                  Duration(1'000'000'000), Duration(std::chrono::hours(24))}) {
    google::protobuf::Duration proto;
    ToProto(duration, &proto);
    EXPECT_THAT(FromProto(proto), IsOkAndHolds(duration));
  }
}

TEST(ConvertTest, RefSurvivesTheWire) {
  const WireRef ref = {"owner:1", Incarnation{2}, {3, 4}, "upload", TransitToken{5}};
  v1::Ref proto;
  ToProto(WireRef(ref), &proto);
  EXPECT_EQ(FromProto(proto), ref);
}

TEST(StatusTest, EveryRefusalOfAnOwnerSurvivesTheWire) {
  using enum Refusal::Code;
  for (const Refusal::Code code :
       {kInvalidArgument, kPermissionDenied, kWrongIncarnation, kResourceExhausted}) {
    const Refusal back = RefusalFrom(ToGrpc(Refusal{code, "because"}));
    EXPECT_EQ(back.code, code);
    EXPECT_EQ(back.message, "because");
  }
}

TEST(StatusTest, WhatTheProtocolDoesNotDefineIsAnUnknownOutcome) {
  for (const grpc::StatusCode code :
       {grpc::StatusCode::UNAVAILABLE, grpc::StatusCode::DEADLINE_EXCEEDED,
        grpc::StatusCode::CANCELLED, grpc::StatusCode::INTERNAL, grpc::StatusCode::UNIMPLEMENTED}) {
    EXPECT_EQ(RefusalFrom({code, "x"}).code, Refusal::Code::kUnknownOutcome);
  }
}

TEST(StatusTest, CodesAreTheSameNumbers) {
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
  const grpc::Status status = ToGrpc(absl::NotFoundError("gone"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(FromGrpc(status), absl::NotFoundError("gone"));
}

TEST(StatusTest, ReferenceErrorSurvivesTheWire) {
  for (int cause = 1; cause < static_cast<int>(kLossCauses); ++cause) {
    ReferenceError error{.cause = static_cast<LossCause>(cause)};
    if (error.cause == LossCause::kReclaimed || error.cause == LossCause::kUnexported) {
      error.reclaim_reason = ReclaimReason::kUnexport;
      error.reclaimed_ago = std::chrono::milliseconds(1500);
    }
    const absl::Status status = ToStatus(error);
    EXPECT_EQ(ReferenceErrorOf(ToGrpc(status)), error);
    EXPECT_EQ(FromGrpc(ToGrpc(status)), status) << "payload included";
  }
}

grpc::Status WithDetails(const v1::Status& whole) {
  return {grpc::StatusCode::NOT_FOUND, "gone", whole.SerializeAsString()};
}

TEST(StatusTest, DetailsThatAreNotOursOrMalformedAreNone) {
  EXPECT_EQ(ReferenceErrorOf(grpc::Status::OK), std::nullopt);
  EXPECT_EQ(ReferenceErrorOf({grpc::StatusCode::NOT_FOUND, "gone", "\xff\xff"}), std::nullopt);
  v1::ReferenceError good;
  good.set_cause(v1::LOSS_CAUSE_UNKNOWN);
  std::vector<v1::ReferenceError> bad(4, good);
  bad[0].clear_cause();
  bad[1].set_cause(static_cast<v1::LossCause>(99));
  bad[2].set_cause(static_cast<v1::LossCause>(-1));
  bad[3].mutable_reclaimed_ago()->set_seconds(-1);
  v1::Status whole;
  whole.add_details()->PackFrom(v1::ClientId());
  for (const v1::ReferenceError& each : bad) {
    whole.add_details()->PackFrom(each);
    EXPECT_EQ(ReferenceErrorOf(WithDetails(whole)), std::nullopt) << each.DebugString();
    EXPECT_EQ(FromGrpc(WithDetails(whole)), absl::NotFoundError("gone"));
  }
  whole.mutable_details(0)->set_value("\xff\xff");

  whole.add_details()->PackFrom(good);
  EXPECT_EQ(ReferenceErrorOf(WithDetails(whole)), ReferenceError{.cause = LossCause::kUnknown})
      << "others beside it are no hindrance";
}

}  // namespace
}  // namespace dgc
