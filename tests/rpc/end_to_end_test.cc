// Owners and holders over real gRPC, in one process.
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "dgc/runtime/holder.h"
#include "dgc/v1/admin.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/rpc/host.h"
#include "tests/testing/status_matchers.h"

namespace dgc::testing {
namespace {

using ::std::chrono::milliseconds;
using ::std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

using Code = absl::StatusCode;

// For tests that wait for lapses.
LeaseOptions ShortTerms() {
  LeaseOptions lease;
  lease.term_default = milliseconds(300);
  lease.transit_term = milliseconds(300);
  lease.brake_percent = 0;
  return lease;
}

// A stranger's reference, with another spelling of an honest owner's address.
TEST(EndToEndTest, AnAliasOfAnOwnerDoesNotBindTheClientThere) {
  Host host("alias");
  Holder holder({});
  v1::Ref decoy = host.Create(holder.Context());
  decoy.set_transit(0);
  decoy.set_object_id_low(decoy.object_id_low() + 1);
  decoy.set_owner("unix://" + Host::Path("alias"));
  Ref lure = holder.Import(decoy);
  ASSERT_TRUE(holder.Settle(kLong));
  EXPECT_THAT(lure.status(), StatusIs(Code::kFailedPrecondition));
  lure.reset();
  const Ref ref = holder.Import(host.Create(holder.Context()));
  ASSERT_TRUE(holder.Settle(kLong));
  EXPECT_THAT(ref.status(), IsOk());
  EXPECT_EQ(host.owner.stats().sizes.clients, 1u);
}

TEST(EndToEndTest, ASlowFinalizerDoesNotEatTheTimeForTheGoodbye) {
  Host host("slow-finalizer");
  std::atomic<bool> go = false;
  Options options{.name = "unix:" + Host::Path("slow-owner")};
  options.finalizers_waiting_max = 1;
  options.goodbye_timeout = seconds(2);
  options.on_reclaim = [&go](const ReclaimEvent&) { go.wait(false); };
  Owner owner(options);
  const Ref held = owner.Import(host.Create(owner.Context()));
  ASSERT_TRUE(owner.Settle(kLong));
  for (int i = 0; i < 1000; ++i) owner.Export(std::make_shared<int>(i), "int");
  std::thread leaving([&owner] { owner.Shutdown(); });
  EXPECT_TRUE(host.gone.Wait(1)) << "by the goodbye, long before the lease lapses";
  go = true;
  go.notify_all();
  leaving.join();
  EXPECT_EQ(host.owner.stats().counters.goodbyes, 1u);
}

TEST(EndToEndTest, ReturnedReferenceIsHeldAndReclaimedWhenItIsDropped) {
  Host host("returned");
  Holder holder({});
  Ref ref = holder.Import(host.Create(holder.Context()));
  ASSERT_THAT(ref.status(), IsOk());
  ASSERT_TRUE(holder.Settle(kLong));
  EXPECT_EQ(host.owner.stats().sizes.listings, 1u);
  EXPECT_EQ(host.owner.stats().sizes.transits, 0u);
  EXPECT_EQ(host.gone.count(), 0);

  ref.reset();

  EXPECT_TRUE(host.gone.Wait(1));
}

TEST(EndToEndTest, CallContextCarriesTheIdentityAndKeepsTheRef) {
  Host host("context");
  Holder holder({});
  objects::v1::ReadRequest request;
  *request.mutable_object() = host.Create(holder.Context());
  Ref ref = holder.Import(request.object());

  objects::v1::ReadResponse response;
  EXPECT_TRUE(host.objects->Read(ref.Context(), request, &response).ok());
  EXPECT_EQ(response.label(), "label");

  auto call = ref.Context();
  ref.reset();
  call->set_deadline(std::chrono::system_clock::now() + seconds(30));
  EXPECT_TRUE(host.objects->Read(call, request, &response).ok());
  EXPECT_EQ(host.gone.count(), 0);
}

TEST(EndToEndTest, IdentifyDoesTheSameForAContextOfOnesOwn) {
  Host host("identify");
  Holder holder({});
  grpc::ClientContext context;
  holder.Identify(&context);
  const Ref ref = holder.Import(host.Create(&context));

  EXPECT_THAT(ref.status(), IsOk());
  EXPECT_EQ(host.last_caller(), holder.id());
}

TEST(EndToEndTest, ChannelMayCarryTheIdentityInstead) {
  Host host("channel");
  Holder holder({});
  grpc::ChannelArguments arguments;
  holder.Identify(&arguments);
  const auto channel = grpc::CreateCustomChannel(Host::Address("channel"),
                                                 grpc::InsecureChannelCredentials(), arguments);
  host.objects = objects::v1::ObjectService::NewStub(channel);
  grpc::ClientContext context;
  const Ref ref = holder.Import(host.Create(&context));
  ASSERT_THAT(ref.status(), IsOk());

  EXPECT_EQ(host.last_caller(), holder.id());
}

// From a file, a database, a queue: no call is needed to take a reference up.
TEST(EndToEndTest, AReferenceThatWasStoredIsRegisteredWhenItIsDecoded) {
  Host host("stored");
  Holder sender({});
  Ref ref = sender.Import(host.Create(sender.Context()));
  const std::string stored = ref.Share(std::chrono::minutes(5)).SerializeAsString();
  ref.reset();
  ASSERT_TRUE(sender.Settle(kLong));
  EXPECT_EQ(host.gone.count(), 0);

  Holder receiver({});
  v1::Ref decoded;
  ASSERT_TRUE(decoded.ParseFromString(stored));
  Ref again = receiver.Import(decoded);
  ASSERT_TRUE(receiver.Settle(kLong));
  EXPECT_TRUE(again.assured());
  EXPECT_EQ(host.owner.stats().sizes.transits, 0u);

  again.reset();
  EXPECT_TRUE(host.gone.Wait(1));
}

TEST(EndToEndTest, LeaseIsRenewedInTheBackground) {
  Host host("renewed", ShortTerms());
  Holder holder({});
  const Ref ref = holder.Import(host.Create(holder.Context()));
  // References that nobody takes up mark the time: each goes after one term.
  v1::Ref forgotten;
  for (int terms = 1; terms <= 3; ++terms) {
    forgotten = host.Create(holder.Context());
    ASSERT_TRUE(host.gone.Wait(terms));
  }

  EXPECT_THAT(ref.status(), IsOk());
  EXPECT_TRUE(ref.assured());
  EXPECT_TRUE(host.Read(ref.Wire()).ok());
  EXPECT_EQ(host.Read(forgotten).error_code(), grpc::StatusCode::NOT_FOUND);
}

// With all its threads in the application's handlers a server hears nothing; what it has not heard
// of must not lapse.
TEST(EndToEndTest, WhatWaitsBehindABlockedServerIsNotLate) {
  Host host("blocked", ShortTerms());
  Holder holder({});
  Ref ref = holder.Import(host.Create(holder.Context()));
  ASSERT_TRUE(holder.Settle(kLong));

  host.Block(true);
  Alarm never;
  EXPECT_FALSE(never.WaitFor(3 * ShortTerms().term_default));
  EXPECT_EQ(host.gone.count(), 0);
  host.Block(false);

  EXPECT_TRUE(host.Read(ref.Wire()).ok());
  ref.reset();
  EXPECT_TRUE(host.gone.Wait(1));
}

TEST(EndToEndTest, ALapseReachesTheOwnersApplication) {
  const auto begun = std::chrono::system_clock::now();
  std::atomic<int> lapses = 0;
  Gone gone;
  Options options;
  options.name = Host::Address("told");
  options.strategy.lease = ShortTerms();
  options.on_transition = [&](const TransitionEvent& event) {
    if (event.transition.kind == Transition::Kind::kLeaseLapsed && event.time >= begun) ++lapses;
  };
  options.on_reclaim = [&](const ReclaimEvent& event) { EXPECT_GE(event.time, begun); };
  Owner owner(options);
  const v1::Ref ref = owner.Share(std::make_shared<Blob>("x", &gone), nullptr, "blob");
  // A holder that never renews.
  grpc::ServerBuilder builder;
  builder.AddListeningPort(options.name, grpc::InsecureServerCredentials());
  builder.RegisterService(owner.service());
  const auto server = builder.BuildAndStart();
  const auto collector = v1::CollectorService::NewStub(
      grpc::CreateChannel(options.name, grpc::InsecureChannelCredentials()));
  v1::DirtyRequest request;
  request.mutable_client()->set_low(1);
  request.set_owner(ref.owner());
  request.set_owner_incarnation(ref.incarnation());
  request.set_sequence_number(1);
  request.add_object_id_high(ref.object_id_high());
  request.add_object_id_low(ref.object_id_low());
  grpc::ClientContext context;
  v1::DirtyResponse response;
  ASSERT_TRUE(collector->Dirty(&context, request, &response).ok());
  EXPECT_TRUE(gone.Wait(1));
  server->Shutdown(std::chrono::system_clock::now());
  owner.Shutdown();  // Events have been told then.
  EXPECT_EQ(lapses, 1);
}

TEST(EndToEndTest, LateCallIsToldWhyTheObjectIsGone) {
  Host host("late");
  Holder holder({});
  const v1::Ref wire = host.Create(holder.Context());
  Ref ref = holder.Import(wire);
  ASSERT_TRUE(holder.Settle(kLong));
  ref.reset();
  ASSERT_TRUE(host.gone.Wait(1));

  EXPECT_THAT(FromGrpc(host.Read(wire)),
              StatusIs(Code::kNotFound,
                       AllOf(HasSubstr("reclaimed"), HasSubstr("last reference was dropped"))));
  EXPECT_EQ(host.owner.stats().uses_after_reclaim, 1u);
}

TEST(EndToEndTest, UnexportedObjectIsToldApart) {
  Host host("unexported");
  Holder holder({});
  const v1::Ref wire = host.Create(holder.Context());
  const Ref ref = holder.Import(wire);
  ASSERT_THAT(host.owner.Unexport(wire), IsOk());
  ASSERT_TRUE(host.gone.Wait(1));

  EXPECT_THAT(FromGrpc(host.Read(wire)), StatusIs(Code::kNotFound, HasSubstr("unexported")));
}

TEST(EndToEndTest, AnOperatorHoldsReapingAndLetsItGoOn) {
  Host host("operated", ShortTerms());
  grpc::ServerBuilder builder;
  builder.AddListeningPort(Host::Address("operators"), grpc::InsecureServerCredentials());
  builder.RegisterService(host.owner.admin_service());
  const auto server = builder.BuildAndStart();
  const auto operators = v1::AdminService::NewStub(
      grpc::CreateChannel(Host::Address("operators"), grpc::InsecureChannelCredentials()));
  const auto set = [&](v1::ReapingMode mode, uint64_t* deferred) {
    grpc::ClientContext context;
    v1::SetReapingRequest request;
    request.set_mode(mode);
    v1::SetReapingResponse response;
    const grpc::Status status = operators->SetReaping(&context, request, &response);
    *deferred = response.deferred();
    return status.error_code();
  };

  uint64_t deferred = 0;
  EXPECT_EQ(set(v1::REAPING_MODE_UNSPECIFIED, &deferred), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(set(v1::REAPING_MODE_HELD, &deferred), grpc::StatusCode::OK);
  EXPECT_EQ(deferred, 0u);
  grpc::ClientContext context;
  host.Create(&context);
  while (host.owner.stats().sizes.deferred == 0) std::this_thread::yield();
  EXPECT_EQ(host.gone.count(), 0);
  EXPECT_EQ(set(v1::REAPING_MODE_AUTOMATIC, &deferred), grpc::StatusCode::OK);
  EXPECT_EQ(deferred, 1u);
  EXPECT_TRUE(host.gone.Wait(1));
  EXPECT_EQ(set(v1::REAPING_MODE_HELD, &deferred), grpc::StatusCode::OK);
  EXPECT_TRUE(host.owner.stats().sizes.braking);
  EXPECT_EQ(set(v1::REAPING_MODE_RELEASED, &deferred), grpc::StatusCode::OK);
  EXPECT_FALSE(host.owner.stats().sizes.braking);
  server->Shutdown(std::chrono::system_clock::now());
}

TEST(EndToEndTest, ReferenceHandedOnSurvivesTheFirstHoldersOrderlyExit) {
  Host host("handed");
  Holder second({});
  Ref received;
  {
    Holder first({});
    const Ref ref = first.Import(host.Create(first.Context()));
    received = second.Import(ref.Share());
  }
  ASSERT_TRUE(second.Settle(kLong));
  EXPECT_EQ(host.gone.count(), 0);
  EXPECT_EQ(host.owner.stats().sizes.listings, 1u);
  EXPECT_TRUE(host.Read(received.Wire()).ok());

  received.reset();
  EXPECT_TRUE(host.gone.Wait(1));
}

TEST(EndToEndTest, GoodbyeGivesUpEverythingAtOnce) {
  Host host("goodbye");
  {
    Holder holder({});
    std::vector<Ref> refs;
    for (int i = 0; i < 50; ++i) refs.push_back(holder.Import(host.Create(holder.Context())));
    ASSERT_TRUE(holder.Settle(kLong));
  }

  EXPECT_TRUE(host.gone.Wait(50));
  EXPECT_EQ(host.owner.stats().sizes.clients, 0u);
}

TEST(EndToEndTest, OwnerThatImportsIsOneHolderWithOneIdentity) {
  Host far("far");
  Host near("near");
  Holder client({});
  const Ref ref = client.Import(far.Create(client.Context()));
  ASSERT_TRUE(near.Bind("kept", ref.Share()).ok());
  ASSERT_TRUE(client.Settle(kLong));
  ASSERT_TRUE(near.owner.Settle(kLong));
  client.Shutdown();
  EXPECT_EQ(far.gone.count(), 0);
  EXPECT_EQ(far.owner.stats().sizes.clients, 1u);

  ASSERT_TRUE(near.Unbind("kept").ok());

  EXPECT_TRUE(far.gone.Wait(1));
}

TEST(EndToEndTest, ThirdPartysReferenceReturnedInAReplyIsSafe) {
  Host far("third-far");
  Host near("third-near");
  Holder client({});
  Ref ref = client.Import(far.Create(client.Context()));
  ASSERT_TRUE(near.Bind("kept", ref.Share()).ok());
  ref.reset();

  objects::v1::LookupRequest request;
  request.set_name("kept");
  objects::v1::LookupResponse response;
  ASSERT_TRUE(near.objects->Lookup(client.Context(), request, &response).ok());
  ASSERT_TRUE(near.Unbind("kept").ok());
  Ref again = client.Import(response.object());
  ASSERT_TRUE(near.owner.Settle(kLong));
  ASSERT_TRUE(client.Settle(kLong));
  EXPECT_EQ(far.gone.count(), 0);
  EXPECT_TRUE(far.Read(again.Wire()).ok());

  again.reset();
  EXPECT_TRUE(far.gone.Wait(1));
}

TEST(EndToEndTest, OwnReferenceThatComesHomeIsTheObjectItself) {
  Host host("home");
  Holder client({});
  const Ref ref = client.Import(host.Create(client.Context()));
  ASSERT_TRUE(host.Bind("self", ref.Share()).ok());
  ASSERT_TRUE(client.Settle(kLong));

  EXPECT_EQ(host.owner.stats().imports, 0u);
  EXPECT_EQ(host.gone.count(), 0);
  ASSERT_TRUE(host.Unbind("self").ok());
}

TEST(EndToEndTest, RestartedOwnerIsNoticedAndReported) {
  Alarm lost;
  LossEvent event;
  Holder holder({.on_lost = [&](const LossEvent& loss) {
    event = loss;
    lost.Ring();
  }});
  Ref ref;
  {
    Host host("restarted", ShortTerms());
    ref = holder.Import(host.Create(holder.Context()));
    ASSERT_TRUE(holder.Settle(kLong));
  }
  EXPECT_THAT(ref.status(), IsOk());
  Host host("restarted", ShortTerms());
  ASSERT_TRUE(lost.WaitFor(kLong));

  EXPECT_EQ(event.cause, LossCause::kOwnerRestarted);
  EXPECT_THAT(event.why, StatusIs(Code::kFailedPrecondition, HasSubstr("host restarted")));
  EXPECT_THAT(ref.status(), StatusIs(Code::kFailedPrecondition, HasSubstr("host restarted")));
}

TEST(EndToEndTest, UnreachableOwnerIsTriedForAsLongAsSomethingIsHeld) {
  Options options;
  options.goodbye_timeout = milliseconds(10);
  Holder holder(options);
  v1::Ref wire;
  wire.set_owner(Host::Address("nobody"));
  wire.set_incarnation(1);
  wire.set_object_id_low(1);
  const Ref ref = holder.Import(wire);
  EXPECT_FALSE(holder.Settle(milliseconds(200)));

  EXPECT_THAT(ref.status(), IsOk()) << "nobody has said that it is gone";
  EXPECT_FALSE(ref.assured());
  EXPECT_GT(holder.stats().counters.requests_failed, 0u);
}

TEST(EndToEndTest, AnonymousCallerMayStillImportInTime) {
  Host host("anonymous");
  Holder holder({});
  grpc::ClientContext context;
  const Ref ref = holder.Import(host.Create(&context));
  EXPECT_FALSE(host.last_caller().valid());
  ASSERT_TRUE(holder.Settle(kLong));

  EXPECT_EQ(host.owner.stats().sizes.listings, 1u);
}

TEST(EndToEndTest, ManyReferencesTravelInFewRequests) {
  Host host("many");
  Holder holder({});
  objects::v1::CreateRequest request;
  for (int i = 0; i < 4096; ++i) request.add_objects();
  objects::v1::CreateResponse response;
  ASSERT_TRUE(host.objects->Create(holder.Context(), request, &response).ok());
  std::vector<Ref> refs;
  for (const v1::Ref& ref : response.objects()) refs.push_back(holder.Import(ref));
  ASSERT_TRUE(holder.Settle(kLong));
  EXPECT_EQ(host.owner.stats().sizes.listings, 4096u);
  EXPECT_LE(holder.stats().counters.requests_sent, 16u);

  refs.clear();
  EXPECT_TRUE(host.gone.Wait(4096));
}

}  // namespace
}  // namespace dgc::testing
