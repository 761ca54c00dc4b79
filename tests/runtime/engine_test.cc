// What an engine does with one thread, a network and a clock moved by hand.
#include "dgc/runtime/engine.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/runtime/world.h"
#include "tests/testing/status_matchers.h"

namespace dgc::testing {
namespace {

using ::std::chrono::milliseconds;
using ::std::chrono::seconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using Code = absl::StatusCode;

TEST(EngineTest, ObjectThatNobodyHoldsIsFinalizedOnce) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  Ref ref = Export(owner, std::make_shared<Upload>(&world.gone));
  world.Run(seconds(1));
  ASSERT_THAT(ref.status(), IsOk());
  ASSERT_EQ(world.gone, 0);

  ref.reset();
  world.Run(milliseconds(10));

  EXPECT_EQ(world.gone, 1);
  EXPECT_EQ(owner.stats().objects, 0u);
}

TEST(EngineTest, SharedReferenceThatIsNeverImportedEndsWithItsTransitLease) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  const WireRef ref = Share(owner, std::make_shared<Upload>(&world.gone));

  world.Run(seconds(4));
  EXPECT_EQ(world.gone, 0);
  world.Run(seconds(2));
  EXPECT_EQ(world.gone, 1);
  EXPECT_THAT(owner.Find(ref, typeid(Upload)).status(),
              StatusIs(Code::kNotFound, AllOf(HasSubstr("reclaimed"), HasSubstr("transit"))));
  EXPECT_EQ(owner.stats().uses_after_reclaim, 1u);
}

TEST(EngineTest, ImportedReferenceOutlivesItsTransitLeaseAndIsCleanedWhenTheLastCopyGoes) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  Engine& holder = world.AddHolder();
  Ref ref = holder.Import(Share(owner, std::make_shared<Upload>(&world.gone), holder.id()));
  Ref copy = ref;

  world.Run(seconds(60));
  ASSERT_EQ(world.gone, 0);
  ref.reset();
  world.Run(seconds(1));
  ASSERT_EQ(world.gone, 0);
  EXPECT_TRUE(copy.assured());
  copy.reset();
  world.Run(milliseconds(20));

  EXPECT_EQ(world.gone, 1);
}

TEST(EngineTest, SharingTheSamePointerAgainIsTheSameObject) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  const auto upload = std::make_shared<Upload>();
  const Ref first = Export(owner, upload);
  const Ref second = Export(owner, upload);

  EXPECT_EQ(first, second);
  EXPECT_EQ(Share(owner, upload).id, first.id());
  EXPECT_EQ(owner.stats().objects, 1u);
}

TEST(EngineTest, PointerSharedAfterItsObjectWasReclaimedIsANewObject) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  const auto upload = std::make_shared<Upload>();
  const ObjectId first = Export(owner, upload).id();
  world.Run(milliseconds(10));
  const Ref second = Export(owner, upload);

  EXPECT_NE(second.id(), first);
  EXPECT_EQ(owner.stats().objects, 1u);
}

TEST(EngineTest, PointerSharedWhileItsObjectIsEndingIsANewObject) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  const auto upload = std::make_shared<Upload>();
  const Ref first = Export(owner, upload);
  ASSERT_THAT(owner.Unexport(first), IsOk());
  const Ref second = Export(owner, upload);
  world.Run(milliseconds(10));

  EXPECT_THAT(first.status(), StatusIs(Code::kNotFound, HasSubstr("unexported")));
  EXPECT_THAT(second.status(), IsOk());
  const auto found = owner.Find(second, typeid(Upload));
  ASSERT_THAT(found, IsOk());
  EXPECT_EQ(found->get(), upload.get());
}

TEST(EngineTest, FindChecksTheCppType) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  const Ref ref = Export(owner, std::make_shared<Upload>());

  EXPECT_THAT(owner.Find(ref, typeid(Upload)), IsOk());
  EXPECT_THAT(owner.Find(ref, typeid(int)),
              StatusIs(Code::kInvalidArgument, HasSubstr("\"upload\"")));
}

TEST(EngineTest, OneTypeNameStandsForOneCppType) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  const Ref ref = Export(owner, std::make_shared<Upload>());

  const Ref refused = owner.Export(std::make_shared<int>(1), "upload", typeid(int));
  world.Run(milliseconds(10));

  EXPECT_THAT(refused.status(), StatusIs(Code::kInvalidArgument, HasSubstr("another C++ type")));
  EXPECT_FALSE(refused);
  EXPECT_EQ(owner.stats().objects, 1u);
}

TEST(EngineTest, ATypeNameOfWhichNothingIsLeftMayStandForAnotherCppType) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  Export(owner, std::make_shared<Upload>()).reset();
  world.Run(milliseconds(10));

  const Ref ref = owner.Export(std::make_shared<int>(1), "upload", typeid(int));
  EXPECT_THAT(owner.Find(ref, typeid(int)), IsOk());
}

TEST(EngineTest, EventsNameTheOwnerThoughItsSessionEnds) {
  World world;
  world.lease.linger = Duration::zero();
  std::vector<TransitionEvent> events;
  world.options.on_transition = [&](const TransitionEvent& event) { events.push_back(event); };
  Engine& owner = world.AddOwner("owner:1");
  Engine& holder = world.AddHolder();
  Ref ref = holder.Import(Share(owner, std::make_shared<Upload>()));
  world.Run(seconds(1));
  world.Isolate(owner);
  world.AddOwner("owner:1");
  ref = Ref();
  world.Run(seconds(1));
  const auto restarted = std::find_if(events.begin(), events.end(), [](const auto& event) {
    return event.transition.kind == Transition::Kind::kOwnerRestarted;
  });
  ASSERT_NE(restarted, events.end());
  EXPECT_EQ(restarted->owner, "owner:1");
  EXPECT_NE(Raw(restarted->incarnation), 0u);
}

TEST(EngineTest, ATypeNameOfWhichNoObjectIsLeftMakesRoomForAnother) {
  World world;
  world.options.process.types_max = 1;
  std::vector<std::string> types;
  world.options.on_reclaim = [&](const ReclaimEvent& event) { types.push_back(event.type); };
  Engine& owner = world.AddOwner("owner:1");
  Export(owner, std::make_shared<Upload>()).reset();
  const auto number = std::make_shared<int>(1);
  EXPECT_THAT(owner.Export(number, "number", typeid(int)).status(),
              StatusIs(Code::kResourceExhausted));
  world.Run(milliseconds(10));

  const Ref ref = owner.Export(number, "number", typeid(int));
  EXPECT_THAT(ref.status(), IsOk());
  EXPECT_EQ(ref.Describe().type, "number");
  EXPECT_THAT(owner.Find(ref, typeid(int)), IsOk());
  EXPECT_THAT(types, ElementsAre("upload"));
}

TEST(EngineTest, NullPointerIsRefused) {
  World world;
  Engine& owner = world.AddOwner("owner:1");

  EXPECT_THAT(Export(owner, nullptr).status(), StatusIs(Code::kInvalidArgument));
  EXPECT_EQ(owner.stats().objects, 0u);
}

TEST(EngineTest, FinalizerCallbackSeesTheObjectAndTheReason) {
  World world;
  std::vector<ReclaimEvent> events;
  world.options.on_reclaim = [&](const ReclaimEvent& event) { events.push_back(event); };
  Engine& owner = world.AddOwner("owner:1");
  const auto upload = std::make_shared<Upload>();
  Ref ref = Export(owner, upload);
  const ObjectId id = ref.id();
  ref.reset();
  world.Run(milliseconds(10));

  ASSERT_THAT(events, SizeIs(1));
  EXPECT_EQ(events[0].id, id);
  EXPECT_EQ(events[0].type, "upload");
  EXPECT_EQ(events[0].reason, ReclaimReason::kClean);
  EXPECT_EQ(events[0].object.get(), upload.get());
}

TEST(EngineTest, DestructorMayDropRefsAndShareAnew) {
  struct Parent {
    Parent(Engine* owner, Ref child, WireRef* shared)
        : owner(owner), child(std::move(child)), shared(shared) {}
    Engine* owner;
    Ref child;
    WireRef* shared;
    ~Parent() {
      child.reset();
      *shared = Share(*owner, std::make_shared<Upload>());
    }
  };
  World world;
  Engine& owner = world.AddOwner("owner:1");
  WireRef shared;
  Ref child = Export(owner, std::make_shared<Upload>(&world.gone));
  Ref parent = owner.Export(std::make_shared<Parent>(&owner, std::move(child), &shared), "parent",
                            typeid(Parent));
  parent.reset();
  world.Run(milliseconds(50));

  EXPECT_EQ(world.gone, 1);
  EXPECT_THAT(owner.Find(shared, typeid(Upload)), IsOk());
}

TEST(EngineTest, EdgeKeepsItsTargetAndGoesWithItsSource) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  Ref from = Export(owner, std::make_shared<Upload>(&world.gone));
  Ref to = Export(owner, std::make_shared<Upload>(&world.gone));
  ASSERT_THAT(owner.Link(from, to), IsOk());
  auto edges = owner.EdgesOf(from, 10);
  ASSERT_THAT(edges, IsOk());
  EXPECT_EQ(edges->total, 1u);
  EXPECT_THAT(edges->refs, ElementsAre(to));
  EXPECT_THAT(owner.EdgesOf(from, 0)->refs, IsEmpty());
  edges->refs.clear();

  to.reset();
  world.Run(milliseconds(10));
  ASSERT_EQ(world.gone, 0);
  from.reset();
  world.Run(milliseconds(10));
  EXPECT_EQ(world.gone, 2);
}

TEST(EngineTest, CycleOfEdgesIsReclaimed) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  Ref a = Export(owner, std::make_shared<Upload>(&world.gone));
  Ref b = Export(owner, std::make_shared<Upload>(&world.gone));
  ASSERT_THAT(owner.Link(a, b), IsOk());
  ASSERT_THAT(owner.Link(b, a), IsOk());
  a.reset();
  b.reset();
  world.Run(seconds(3));

  EXPECT_EQ(world.gone, 2);
}

TEST(EngineTest, RemoteEdgeIsHeldByTheObjectAndCleanedWhenItGoes) {
  World world;
  Engine& near = world.AddOwner("near:1");
  Engine& far = world.AddOwner("far:1");
  Ref from = Export(near, std::make_shared<Upload>());
  Ref to = near.Import(Share(far, std::make_shared<Upload>(&world.gone), near.id()));
  ASSERT_THAT(near.Link(from, to), IsOk());
  to.reset();
  world.Run(seconds(30));
  ASSERT_EQ(world.gone, 0);

  from.reset();
  world.Run(milliseconds(50));

  EXPECT_EQ(world.gone, 1);
}

TEST(EngineTest, EdgesAreAddedAndRemovedTogetherOrNotAtAll) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  Engine& far = world.AddOwner("far:1");
  const Ref from = Export(owner, std::make_shared<Upload>());
  const Ref near = Export(owner, std::make_shared<Upload>());
  const Ref remote = owner.Import(Share(far, std::make_shared<Upload>(), owner.id()));
  const WireRef source = from.Describe();
  const std::vector<WireRef> sources = {source, source};

  LinkFailure failed;
  const std::vector<WireRef> both = {near.Describe(), remote.Describe()};

  EXPECT_THAT(owner.Link(sources, std::vector<WireRef>{both[0], {}}, &failed),
              StatusIs(Code::kInvalidArgument));
  EXPECT_EQ(failed.column, std::string("to"));
  EXPECT_EQ(failed.row, 1u);
  EXPECT_THAT(owner.Link(std::vector<WireRef>{source, both[1]}, both, &failed),
              StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(owner.Link(std::vector<Ref>{from, Ref()}, both, &failed),
              StatusIs(Code::kFailedPrecondition));
  EXPECT_EQ(failed.column, std::string("from"));
  EXPECT_EQ(failed.row, 1u);
  EXPECT_EQ(owner.EdgesOf(from, 0)->total, 0u);
  EXPECT_THAT(owner.Link(sources, both, &failed), IsOk());
  EXPECT_EQ(owner.EdgesOf(from, 0)->total, 2u);

  const std::vector<WireRef> targets = {remote.Describe(), near.Describe()};
  EXPECT_THAT(owner.Unlink(sources, std::vector<WireRef>{targets[0], source}),
              StatusIs(Code::kNotFound, HasSubstr("from[1]: ")));
  EXPECT_EQ(owner.EdgesOf(from, 0)->total, 2u);
  ASSERT_THAT(owner.Unexport(near), IsOk());
  EXPECT_THAT(owner.Unlink(sources, targets), IsOk());
  EXPECT_EQ(owner.EdgesOf(from, 0)->total, 0u);
}

TEST(EngineTest, RefOfAnotherEngineIsRefused) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  Engine& other = world.AddOwner("other:1");
  const Ref mine = Export(owner, std::make_shared<Upload>());
  const Ref theirs = Export(other, std::make_shared<Upload>());

  EXPECT_THAT(owner.Link(mine, theirs), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(owner.Unlink(mine, theirs), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(owner.Share(theirs, {}, {}).status(), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(owner.Bind("name", Ref()), StatusIs(Code::kFailedPrecondition));
}

TEST(EngineTest, NameKeepsWhatItNames) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  ASSERT_THAT(owner.Bind("root", Export(owner, std::make_shared<Upload>(&world.gone))), IsOk());
  world.Run(seconds(1));
  ASSERT_EQ(world.gone, 0);
  EXPECT_THAT(owner.Lookup("root").status(), IsOk());
  EXPECT_THAT(owner.Lookup("leaf").status(), StatusIs(Code::kNotFound, HasSubstr("\"leaf\"")));

  ASSERT_THAT(owner.Unbind("root"), IsOk());
  world.Run(milliseconds(10));

  EXPECT_EQ(world.gone, 1);
}

TEST(EngineTest, HolderThatFallsSilentLosesItsReferencesAfterTheTermAndIsTold) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  std::vector<LossEvent> losses;
  world.options.on_lost = [&](const LossEvent& event) { losses.push_back(event); };
  Engine& holder = world.AddHolder();
  const Ref ref = holder.Import(Share(owner, std::make_shared<Upload>(&world.gone), holder.id()));
  world.Run(seconds(1));

  const auto begun = std::chrono::system_clock::now();
  world.network.Cut(true);
  world.Run(seconds(9));
  EXPECT_EQ(world.gone, 0);
  world.Run(seconds(3));
  EXPECT_EQ(world.gone, 1);
  EXPECT_THAT(ref.status(), IsOk()) << "it cannot know yet";
  EXPECT_FALSE(ref.assured()) << "but it knows that its lease has run out";
  world.network.Cut(false);
  world.Run(seconds(5));

  EXPECT_THAT(ref.status(),
              StatusIs(Code::kNotFound, AllOf(HasSubstr("reclaimed"), HasSubstr("lapsed"))));
  ASSERT_THAT(losses, SizeIs(1));
  EXPECT_EQ(losses[0].cause, LossCause::kReclaimed);
  EXPECT_EQ(losses[0].ref.id, ref.id());
  EXPECT_GE(losses[0].time, begun);
  EXPECT_LE(losses[0].time, std::chrono::system_clock::now());
  EXPECT_TRUE(ref) << "lost is not the same as refused";
}

TEST(EngineTest, OwnersOwnPauseIsNotCountedAgainstHolders) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  Engine& holder = world.AddHolder();
  const Ref ref = holder.Import(Share(owner, std::make_shared<Upload>(&world.gone), holder.id()));
  world.Run(seconds(1));

  world.clock->Advance(seconds(60));
  world.Run(seconds(1));

  EXPECT_EQ(world.gone, 0);
  EXPECT_THAT(ref.status(), IsOk());
}

TEST(EngineTest, RestartedOwnerIsToldApartFromTheFirst) {
  World world;
  Engine& first = world.AddOwner("owner:1");
  Engine& holder = world.AddHolder();
  const Ref ref = holder.Import(Share(first, std::make_shared<Upload>(), holder.id()));
  world.Run(seconds(1));

  world.Isolate(first);
  Engine& second = world.AddOwner("owner:1");
  world.Run(seconds(10));

  EXPECT_THAT(ref.status(), StatusIs(Code::kFailedPrecondition, HasSubstr("host restarted")));
  EXPECT_THAT(second.Find(ref.Describe(), typeid(Upload)).status(),
              StatusIs(Code::kFailedPrecondition, HasSubstr("host restarted")));
}

TEST(EngineTest, HandedOnReferenceSurvivesTheFirstHoldersExit) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  Engine& first = world.AddHolder();
  Engine& second = world.AddHolder();
  Ref ref = first.Import(Share(owner, std::make_shared<Upload>(&world.gone), first.id()));
  const auto shared = first.Share(ref, {}, {});
  ASSERT_THAT(shared, IsOk());
  ref.reset();
  world.Run(seconds(2));
  Ref received = second.Import(*shared);
  world.Run(seconds(30));

  EXPECT_EQ(world.gone, 0);
  received.reset();
  world.Run(milliseconds(50));
  EXPECT_EQ(world.gone, 1);
}

TEST(EngineTest, SenderIsToldWhenItsHandOnWasNotTakenUp) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  std::vector<HandOnExpiredEvent> expired;
  world.options.on_hand_on_expired = [&](const HandOnExpiredEvent& event) {
    expired.push_back(event);
  };
  Engine& holder = world.AddHolder();
  const Ref ref = holder.Import(Share(owner, std::make_shared<Upload>(), holder.id()));
  world.Run(seconds(1));
  const auto shared = holder.Share(ref, {}, seconds(1));
  const auto begun = std::chrono::system_clock::now();
  world.Run(seconds(20));

  ASSERT_THAT(expired, SizeIs(1));
  EXPECT_GE(expired[0].time, begun);
  EXPECT_LE(expired[0].time, std::chrono::system_clock::now());
  EXPECT_EQ(expired[0].ref.owner, "owner:1");
  EXPECT_EQ(expired[0].ref.id, ref.id());
  EXPECT_EQ(expired[0].ref.transit, shared->transit);
}

TEST(EngineTest, OneLateRequestDoesNotShortenWhatHoldsTheObject) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  Engine& holder = world.AddHolder();
  const auto upload = std::make_shared<Upload>(&world.gone);
  for (int i = 0; i < 100; ++i) {
    Ref ref = holder.Import(Share(owner, upload, holder.id()));
    if (i % 3 == 0) world.Run(milliseconds(i));
  }
  const Ref last = holder.Import(Share(owner, upload, holder.id()));
  world.Run(seconds(30));

  EXPECT_EQ(world.gone, 0);
  EXPECT_EQ(owner.stats().objects, 1u);
  EXPECT_EQ(owner.stats().sizes.transits, 0u);
}

TEST(EngineTest, IdleHoldingCostsAFewSmallRequestsPerTerm) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  Engine& holder = world.AddHolder();
  std::vector<Ref> refs;
  for (int i = 0; i < 1000; ++i) {
    refs.push_back(holder.Import(Share(owner, std::make_shared<Upload>(), holder.id())));
  }
  world.Run(seconds(1));
  const size_t before = world.network.delivered().size();
  world.Run(seconds(50));

  EXPECT_LE(world.network.delivered().size() - before, 5u * 4u);
  EXPECT_EQ(world.network.CountOf<DirtyRequest>(), 1u);
}

TEST(EngineTest, MalformedImportIsRefusedAndLeavesNothing) {
  World world;
  Engine& holder = world.AddHolder();
  const WireRef good = {"owner:1", Incarnation{1}, {1, 2}, "upload", {}};
  WireRef ref = good;
  ref.owner = "";
  EXPECT_THAT(holder.Import(ref).status(), StatusIs(Code::kInvalidArgument));
  ref = good;
  ref.incarnation = {};
  EXPECT_THAT(holder.Import(ref).status(), StatusIs(Code::kInvalidArgument));
  ref = good;
  ref.id = {};
  EXPECT_THAT(holder.Import(ref).status(), StatusIs(Code::kInvalidArgument));

  EXPECT_EQ(holder.stats().imports, 0u);
  EXPECT_EQ(holder.stats().peers, 0u);
}

TEST(EngineTest, EmptyRefSaysSo) {
  const Ref ref;
  EXPECT_FALSE(ref);
  EXPECT_FALSE(ref.ok());
  EXPECT_FALSE(ref.assured());
  EXPECT_FALSE(ref.id().valid());
  EXPECT_THAT(ref.status(), StatusIs(Code::kFailedPrecondition, HasSubstr("empty")));
}

TEST(EngineTest, MovedAndSelfAssignedRefsKeepTheirCount) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  Ref ref = Export(owner, std::make_shared<Upload>(&world.gone));
  Ref moved = std::move(ref);
  Ref& alias = moved;
  moved = alias;
  ref = moved;
  moved = std::move(ref);
  world.Run(milliseconds(10));
  ASSERT_EQ(world.gone, 0);

  moved.reset();
  world.Run(milliseconds(10));
  EXPECT_EQ(world.gone, 1);
}

TEST(EngineTest, RefMayOutliveItsEngine) {
  Ref own;
  Ref remote;
  int gone = 0;
  {
    World world;
    Engine& owner = world.AddOwner("owner:1");
    Engine& holder = world.AddHolder();
    own = Export(owner, std::make_shared<Upload>(&gone));
    remote = holder.Import(Share(owner, std::make_shared<Upload>(), holder.id()));
  }

  EXPECT_EQ(gone, 1);
  EXPECT_THAT(own.status(), StatusIs(Code::kCancelled));
  EXPECT_THAT(remote.status(), StatusIs(Code::kCancelled));
  EXPECT_FALSE(remote.id().valid());
}

TEST(EngineTest, EngineThatWasShutDownRefusesEverything) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  const WireRef ref = Share(owner, std::make_shared<Upload>());
  owner.Shutdown(Duration::zero());

  EXPECT_THAT(Export(owner, std::make_shared<Upload>()).status(), StatusIs(Code::kCancelled));
  EXPECT_THAT(owner.Import(ref).status(), StatusIs(Code::kCancelled));
  EXPECT_THAT(owner.Find(ref, typeid(Upload)).status(), StatusIs(Code::kCancelled));
  EXPECT_THAT(owner.Lookup("name").status(), StatusIs(Code::kCancelled));
  const Response response = owner.Received(RenewRequest{});
  ASSERT_TRUE(std::holds_alternative<Refusal>(response));
  EXPECT_EQ(std::get<Refusal>(response).code, Refusal::Code::kUnavailable);
}

TEST(EngineTest, FullFinalizerQueuePausesReclaimingAndNothingElse) {
  World world;
  world.options.finalizers_waiting_max = 300;
  Engine& owner = world.AddOwner("owner:1");
  Engine& holder = world.AddHolder();
  const Ref kept = holder.Import(Share(owner, std::make_shared<Upload>(), holder.id()));
  world.Run(milliseconds(100));
  for (int i = 0; i < 2000; ++i) Export(owner, std::make_shared<Upload>(&world.gone));

  // The finalizer does not come round, everything else does, for three terms.
  for (int i = 0; i < 3000; ++i) {
    owner.Turn();
    holder.Turn();
    (void)world.network.Deliver({{"owner:1", &owner}});
    world.clock->Advance(milliseconds(10));
  }
  EXPECT_EQ(world.gone, 0);
  EXPECT_GE(owner.stats().finalizers_waiting, 300u);
  EXPECT_LE(owner.stats().finalizers_waiting, 300u + Engine::kWorkBudget);
  EXPECT_THAT(kept.status(), IsOk());
  EXPECT_TRUE(kept.assured()) << "renewals go on";

  world.Run(seconds(1));
  EXPECT_EQ(world.gone, 2000);
}

TEST(EngineTest, EventsBeyondTheMaximumAreDroppedAndCounted) {
  World world;
  int told = 0;
  world.options.events_waiting_max = 10;
  world.options.on_lost = [&](const LossEvent&) { ++told; };
  Engine& owner = world.AddOwner("owner:1");
  Engine& holder = world.AddHolder();
  const Ref own = Export(owner, std::make_shared<Upload>());
  for (int i = 0; i < 13; ++i) {
    const Ref object = Export(owner, std::make_shared<Upload>());
    const WireRef ref = *owner.Share(object, holder.id(), Duration::zero());
    ASSERT_THAT(owner.Unexport(object), IsOk());
    const Ref lost = holder.Import(ref);
    for (int turn = 0; turn < 10; ++turn) {  // The notifier does not come round.
      owner.Turn();
      holder.Turn();
      (void)world.network.Deliver({{"owner:1", &owner}});
      world.clock->Advance(milliseconds(10));
    }
    ASSERT_FALSE(lost.ok()) << "what is lost says so, told or not";
  }
  EXPECT_EQ(holder.stats().events_waiting, 10u);
  EXPECT_EQ(holder.stats().events_dropped, 3u);
  world.Run(milliseconds(10));
  EXPECT_EQ(told, 10);
}

// The receiver cannot take it up any more, and nobody but the sender might know why.
TEST(EngineTest, WhoHasLetGoOfWhatItHandsOnHearsThatItIsLost) {
  for (const bool restarted : {false, true}) {
    SCOPED_TRACE(restarted);
    std::vector<LossEvent> losses;
    World world;
    world.options.on_lost = [&](const LossEvent& event) { losses.push_back(event); };
    Engine& owner = world.AddOwner("owner:1");
    Engine& holder = world.AddHolder();
    const Ref object = Export(owner, std::make_shared<Upload>());
    Ref ref = holder.Import(*owner.Share(object, holder.id(), Duration::zero()));
    world.Run(seconds(1));
    ASSERT_THAT(owner.Unexport(object), IsOk());
    if (restarted) world.Isolate(owner);
    const auto shared = holder.Share(ref, {}, Duration::zero());
    ASSERT_THAT(shared, IsOk());
    ref.reset();
    if (restarted) world.AddOwner("owner:1");
    world.Run(seconds(1));
    ASSERT_EQ(losses.size(), 1u);
    EXPECT_EQ(losses[0].ref.id, shared->id);
    EXPECT_EQ(losses[0].cause, restarted ? LossCause::kOwnerRestarted : LossCause::kUnexported);
    EXPECT_EQ(holder.stats().imports, 0u);
  }
}

TEST(EngineTest, TransitionsLeaveHalfOfTheRoomToLosses) {
  int losses = 0;
  World world;
  world.options.events_waiting_max = 10;
  world.options.on_transition = [](const TransitionEvent&) {};
  world.options.on_lost = [&](const LossEvent&) { ++losses; };
  Engine& owner = world.AddOwner("owner:1");
  Engine& attacked = world.AddOwner("owner:2");
  const Ref object = Export(owner, std::make_shared<Upload>());
  const WireRef gone = *owner.Share(object, attacked.id(), Duration::zero());
  ASSERT_THAT(owner.Unexport(object), IsOk());
  const Ref own = Export(attacked, std::make_shared<Upload>());
  const Incarnation run = attacked.Share(own, {}, Duration::zero())->incarnation;
  for (uint64_t i = 1; i <= 20; ++i) {
    attacked.Received(CleanRequest{
        .client = {666, i}, .incarnation = run, .sequence = SequenceNumber{1}, .owner = "owner:2"});
  }
  attacked.Turn();
  EXPECT_EQ(attacked.stats().events_waiting, 5u);
  EXPECT_EQ(attacked.stats().events_dropped, 15u);
  const Ref lost = attacked.Import(gone);
  for (int turn = 0; turn < 10; ++turn) {  // The notifier does not come round.
    owner.Turn();
    attacked.Turn();
    (void)world.network.Deliver({{"owner:1", &owner}, {"owner:2", &attacked}});
    world.clock->Advance(milliseconds(10));
  }
  ASSERT_FALSE(lost.ok());
  world.Run(milliseconds(10));
  EXPECT_EQ(losses, 1);
}

TEST(EngineTest, SettlingForEverDoesNotOverflow) {
  World world;
  Engine& holder = world.AddHolder();
  EXPECT_TRUE(holder.Settle(Duration::max()));
}

TEST(EngineTest, TurnHoldsTheLockForABoundedNumberOfSteps) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  for (int i = 0; i < 10 * static_cast<int>(Engine::kWorkBudget); ++i) {
    Export(owner, std::make_shared<Upload>());
  }
  const uint64_t before = owner.stats().objects;
  owner.Turn();

  EXPECT_EQ(before - owner.stats().objects, Engine::kWorkBudget);
}

// It renews too: a rest four times as long as the pause could cost what the process holds.
TEST(EngineTest, ReaperDoesNotRestForLongAfterAPauseWithinItsTurn) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  for (int i = 0; i < 2 * static_cast<int>(Engine::kWorkBudget); ++i) {
    Export(owner, std::make_shared<Upload>());
  }
  world.clock->AdvanceAtRead(2, seconds(7));  // The turn begins with the first.

  const Duration rest = owner.Turn();

  EXPECT_GT(rest, Duration::zero());
  EXPECT_LE(rest, milliseconds(5));
}

TEST(EngineTest, ReaperSleepsWhileTheBrakeHoldsReaping) {
  World world;
  world.lease.brake_percent = 50;
  Engine& owner = world.AddOwner("owner:1");
  std::vector<Ref> refs;
  for (int i = 0; i < 64; ++i) {
    Engine& holder = world.AddHolder();
    refs.push_back(holder.Import(Share(owner, std::make_shared<Upload>(&world.gone), holder.id())));
  }
  world.Run(seconds(1));
  world.network.Cut(true);
  world.Run(seconds(20));
  ASSERT_TRUE(owner.stats().sizes.braking);
  ASSERT_EQ(world.gone, 0);

  Duration slept{};
  for (int turns = 0; turns < 100; ++turns) {
    const Duration sleep = owner.Turn();
    slept += sleep;
    world.clock->Advance(sleep);
  }
  EXPECT_GT(slept, seconds(1)) << "100 turns, and it does not spin";

  owner.SetReaping(ReapingMode::kReleased);
  world.Run(seconds(1));
  EXPECT_EQ(world.gone, 64);
}

TEST(EngineTest, ScanSeesEveryLiveObjectOfItsTypeOnce) {
  World world;
  Engine& owner = world.AddOwner("owner:1");
  std::vector<Ref> refs;
  for (int i = 0; i < 10'000; ++i) {
    refs.push_back(Export(owner, std::make_shared<Upload>()));
    if (i % 2 == 0) refs.back().reset();
  }
  refs.push_back(owner.Export(std::make_shared<int>(1), "int", typeid(int)));
  world.Run(milliseconds(10));

  std::vector<std::shared_ptr<void>> found;
  uint32_t cursor = 0;
  while (owner.Scan(&cursor, 777 + found.size(), typeid(Upload), &found)) {
  }
  EXPECT_THAT(found, SizeIs(5000));
}

}  // namespace
}  // namespace dgc::testing
