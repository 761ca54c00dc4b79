// What a late call is told, over real gRPC: whether the object never existed, was reclaimed (when
// and why), was unexported, or went with an earlier run of its host.
#include <google/protobuf/unknown_field_set.h>

#include <memory>
#include <string>
#include <vector>

#include "dgc/runtime/holder.h"
#include "dgc/v1/reference_error.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/rpc/host.h"
#include "tests/testing/status_matchers.h"

namespace dgc::testing {
namespace {

using ::testing::AllOf;
using ::testing::Eq;
using ::testing::Field;
using ::testing::Ge;
using ::testing::Lt;
using ::testing::Optional;

using Code = absl::StatusCode;

// An error of that cause and reason; if it says when, then that it was a short while ago.
auto IsError(LossCause cause, ReclaimReason reason) {
  return Optional(
      AllOf(Field("cause", &ReferenceError::cause, cause),
            Field("reclaim_reason", &ReferenceError::reclaim_reason, reason),
            Field("reclaimed_ago", &ReferenceError::reclaimed_ago, Ge(Duration::zero())),
            Field("reclaimed_ago", &ReferenceError::reclaimed_ago, Lt(kLong))));
}

class LateCallTest : public ::testing::Test {
 public:
  static LeaseOptions ShortTerms() {
    LeaseOptions lease;
    lease.term_default = std::chrono::milliseconds(300);
    lease.transit_term = std::chrono::milliseconds(300);
    lease.brake_percent = 0;
    return lease;
  }

  Ref Export() { return host_.owner.Export(std::make_shared<Blob>("late", &host_.gone)); }
  void AwaitGone(int count) { ASSERT_TRUE(host_.gone.Wait(gone_ += count)); }

  // Each makes a reference that is of no use any more.
  v1::Ref Dropped() {
    const v1::Ref wire = Export().Wire();
    AwaitGone(1);
    return wire;
  }
  v1::Ref Lapsed() {
    const v1::Ref wire = host_.Create(holder_.Context());
    v1::DirtyRequest request;
    request.mutable_client()->set_low(1);
    request.set_owner(wire.owner());
    request.set_owner_incarnation(wire.incarnation());
    request.set_sequence_number(1);
    request.add_object_id_high(wire.object_id_high());
    request.add_object_id_low(wire.object_id_low());
    request.add_transit(wire.transit());
    grpc::ClientContext context;
    v1::DirtyResponse response;
    EXPECT_TRUE(host_.collector->Dirty(&context, request, &response).ok());
    AwaitGone(1);
    return wire;
  }
  v1::Ref LostInTransit() {
    const v1::Ref wire = host_.Create(holder_.Context());
    AwaitGone(1);
    return wire;
  }
  v1::Ref Cascaded() {
    Ref parent = Export();
    Ref child = Export();
    const v1::Ref wire = child.Wire();
    EXPECT_THAT(host_.owner.Link(parent, child), IsOk());
    child.reset();
    parent.reset();
    AwaitGone(2);
    return wire;
  }
  v1::Ref InACycle() {
    Ref one = Export();
    Ref other = Export();
    const v1::Ref wire = one.Wire();
    EXPECT_THAT(host_.owner.Link(one, other), IsOk());
    EXPECT_THAT(host_.owner.Link(other, one), IsOk());
    one.reset();
    other.reset();
    AwaitGone(2);
    return wire;
  }
  v1::Ref Unexported() {
    const Ref ref = Export();
    const v1::Ref wire = ref.Wire();
    EXPECT_THAT(host_.owner.Unexport(ref), IsOk());
    AwaitGone(1);
    return wire;
  }
  v1::Ref NeverExisted() {
    v1::Ref wire = kept_.Wire();
    wire.set_object_id_high(12345);
    return wire;
  }
  v1::Ref OfAnEarlierRun() {
    v1::Ref wire = kept_.Wire();
    wire.set_incarnation(12345);
    return wire;
  }
  v1::Ref OfAnotherHost() {
    v1::Ref wire = kept_.Wire();
    wire.set_owner("elsewhere:1");
    return wire;
  }

  Host host_{"late-call", ShortTerms()};
  Holder holder_{{}};
  const Ref kept_ = Export();
  int gone_ = 0;
};

TEST_F(LateCallTest, IsToldWhyTheReferenceIsOfNoUse) {
  using enum LossCause;
  struct Case {
    const char* what;
    v1::Ref (LateCallTest::*make)();
    Code code;
    LossCause cause;
    ReclaimReason reason;
  };
  const std::vector<Case> cases = {
      {"dropped", &LateCallTest::Dropped, Code::kNotFound, kReclaimed, ReclaimReason::kClean},
      {"lapsed", &LateCallTest::Lapsed, Code::kNotFound, kReclaimed, ReclaimReason::kLapse},
      {"in transit", &LateCallTest::LostInTransit, Code::kNotFound, kReclaimed,
       ReclaimReason::kTransitExpired},
      {"cascade", &LateCallTest::Cascaded, Code::kNotFound, kReclaimed, ReclaimReason::kCascade},
      {"cycle", &LateCallTest::InACycle, Code::kNotFound, kReclaimed, ReclaimReason::kCycle},
      {"unexported", &LateCallTest::Unexported, Code::kNotFound, kUnexported,
       ReclaimReason::kUnexport},
      {"unknown", &LateCallTest::NeverExisted, Code::kNotFound, kUnknown,
       ReclaimReason::kUnspecified},
      {"earlier run", &LateCallTest::OfAnEarlierRun, Code::kFailedPrecondition, kOwnerRestarted,
       ReclaimReason::kUnspecified},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.what);
    const auto begun = std::chrono::steady_clock::now();
    const v1::Ref wire = (this->*each.make)();

    const grpc::Status read = host_.Read(wire);           // Owner::Find
    const grpc::Status bound = host_.Bind("name", wire);  // Holder::Import

    EXPECT_THAT(FromGrpc(read), StatusIs(each.code));
    EXPECT_THAT(ReferenceErrorOf(read), IsError(each.cause, each.reason));
    EXPECT_THAT(ReferenceErrorOf(FromGrpc(read)), Eq(ReferenceErrorOf(read)));
    EXPECT_THAT(FromGrpc(bound), StatusIs(each.code));
    EXPECT_THAT(ReferenceErrorOf(bound), IsError(each.cause, each.reason));
    if (each.cause == kReclaimed || each.cause == kUnexported) {
      const Duration first = ReferenceErrorOf(read)->reclaimed_ago;
      const Duration second = ReferenceErrorOf(bound)->reclaimed_ago;
      EXPECT_GT(second, first) << "longer ago with each call";
      EXPECT_LT(second, std::chrono::steady_clock::now() - begun);
    }
  }
}

TEST_F(LateCallTest, OtherFailuresCarryNoReferenceError) {
  EXPECT_TRUE(host_.Read(kept_.Wire()).error_details().empty());
  for (const v1::Ref& wire : {v1::Ref(), OfAnotherHost()}) {
    const grpc::Status status = host_.Read(wire);
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(ReferenceErrorOf(status), Eq(std::nullopt)) << status.error_message();
  }
}

// By the numbers of google.rpc.Status and google.protobuf.Any, without our messages.
TEST_F(LateCallTest, DetailsAreThoseThatAnyGrpcReads) {
  const grpc::Status status = host_.Read(NeverExisted());
  google::protobuf::UnknownFieldSet fields;
  ASSERT_TRUE(fields.ParseFromString(status.error_details()));
  ASSERT_EQ(fields.field_count(), 3);
  EXPECT_EQ(fields.field(0).number(), 1);
  EXPECT_EQ(fields.field(0).varint(), 5u) << "NOT_FOUND";
  EXPECT_EQ(fields.field(1).number(), 2);
  EXPECT_EQ(fields.field(1).length_delimited(), status.error_message());
  EXPECT_EQ(fields.field(2).number(), 3);
  google::protobuf::UnknownFieldSet any;
  ASSERT_TRUE(any.ParseFromString(fields.field(2).length_delimited()));
  ASSERT_EQ(any.field_count(), 2);
  EXPECT_EQ(any.field(0).length_delimited(), "type.googleapis.com/dgc.v1.ReferenceError");
  v1::ReferenceError error;
  ASSERT_TRUE(error.ParseFromString(any.field(1).length_delimited()));
  EXPECT_EQ(error.cause(), v1::LOSS_CAUSE_UNKNOWN);
  EXPECT_FALSE(error.has_reclaimed_ago());
}

// A holder, and the latest of its losses.  Made after the hosts it deals with.
class Witness {
 public:
  Witness() : holder_(Notify(this)) {}

  // What an import of `wire` comes to: a loss, told alike wherever it is told.
  void ExpectLost(const v1::Ref& wire, Code code, LossCause cause, ReclaimReason reason) {
    const Ref ref = holder_.Import(wire);
    ASSERT_TRUE(lost_.WaitFor(kLong));
    EXPECT_THAT(ref.status(), StatusIs(code));
    EXPECT_THAT(ReferenceErrorOf(ref.status()), IsError(cause, reason));
    EXPECT_THAT(ReferenceErrorOf(event_.why), IsError(cause, reason));
    EXPECT_EQ(event_.cause, cause);
  }
  ClientId id() const { return holder_.id(); }

 private:
  static Options Notify(Witness* witness) {
    Options options;
    options.on_lost = [witness](const LossEvent& event) {
      witness->event_ = event;
      witness->lost_.Ring();
    };
    return options;
  }

  Alarm lost_;
  LossEvent event_;
  Holder holder_;
};

TEST(LostReferenceTest, ObjectThatIsGone) {
  Host host("lost");
  Ref own = host.owner.Export(std::make_shared<Blob>("late", &host.gone));
  const v1::Ref reclaimed = own.Wire();
  own.reset();
  const Ref ended = host.owner.Export(std::make_shared<Blob>("late", &host.gone));
  const v1::Ref unexported = ended.Wire();
  ASSERT_THAT(host.owner.Unexport(ended), IsOk());
  ASSERT_TRUE(host.gone.Wait(2));
  Witness witness;

  witness.ExpectLost(reclaimed, Code::kNotFound, LossCause::kReclaimed, ReclaimReason::kClean);
  witness.ExpectLost(unexported, Code::kNotFound, LossCause::kUnexported, ReclaimReason::kUnexport);
}

TEST(LostReferenceTest, ClientIdThatIsBoundToAnotherKey) {
  Host host("lost-refused");
  const Ref own = host.owner.Export(std::make_shared<Blob>("kept", &host.gone));
  const v1::Ref wire = own.Wire();
  Witness witness;
  v1::DirtyRequest request;
  request.mutable_client()->set_high(witness.id().high);
  request.mutable_client()->set_low(witness.id().low);
  request.set_owner(wire.owner());
  request.set_owner_incarnation(wire.incarnation());
  request.set_sequence_number(1);
  grpc::ClientContext context;
  v1::DirtyResponse response;
  ASSERT_TRUE(host.collector->Dirty(&context, request, &response).ok());

  witness.ExpectLost(wire, Code::kPermissionDenied, LossCause::kRefused,
                     ReclaimReason::kUnspecified);
}

TEST(LostReferenceTest, OwnerThatRestarted) {
  Host host("lost-restarted");
  const Ref own = host.owner.Export(std::make_shared<Blob>("kept", &host.gone));
  v1::Ref wire = own.Wire();
  wire.set_incarnation(12345);
  Witness witness;

  witness.ExpectLost(wire, Code::kFailedPrecondition, LossCause::kOwnerRestarted,
                     ReclaimReason::kUnspecified);
}

}  // namespace
}  // namespace dgc::testing
