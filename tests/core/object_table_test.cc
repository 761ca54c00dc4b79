#include "dgc/core/object_table.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/object_world.h"
#include "tests/testing/status_matchers.h"

namespace dgc {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::ObjectWorld;
using testing::StatusIs;
using ::testing::UnorderedElementsAre;

class ObjectTableTest : public ::testing::Test, protected ObjectWorld {};

TEST_F(ObjectTableTest, ANewObjectIsPinnedOnceAndFoundById) {
  const ObjectIndex object = New();

  Settle();

  EXPECT_EQ(table_.Find(IdOf(1)), object);
  EXPECT_EQ(table_.Get(object).pins, 1u);
  EXPECT_EQ(table_.live(), 1u);
  EXPECT_THAT(reclaimed_, IsEmpty());
}

TEST_F(ObjectTableTest, TheLastUnpinDoomsButOnlyWorkReclaims) {
  const ObjectIndex object = New();

  table_.Unpin(object);
  EXPECT_TRUE(table_.has_work());
  EXPECT_EQ(table_.Find(IdOf(1)), object);
  Settle();

  EXPECT_EQ(table_.Find(IdOf(1)), std::nullopt);
  EXPECT_EQ(table_.live(), 0u);
  ASSERT_EQ(reclaimed_.size(), 1u);
  EXPECT_EQ(reclaimed_[0].object, object);
  EXPECT_EQ(reclaimed_[0].id, IdOf(1));
  EXPECT_EQ(reclaimed_[0].reason, ReclaimReason::kClean);
  EXPECT_EQ(counters_.objects_reclaimed[static_cast<size_t>(ReclaimReason::kClean)], 1u);
}

TEST_F(ObjectTableTest, AReferenceThatComesBackBeforeWorkWins) {
  const ObjectIndex pinned = New();
  const ObjectIndex held = New();
  const ObjectIndex linked = New();
  const ObjectIndex parent = New();
  for (const ObjectIndex object : {pinned, held, linked}) table_.Unpin(object);

  table_.Pin(pinned);
  table_.Hold(held);
  Link(parent, linked);
  Settle();

  EXPECT_THAT(reclaimed_, IsEmpty());
}

TEST_F(ObjectTableTest, AnObjectDoomedSeveralTimesIsReclaimedOnce) {
  const ObjectIndex object = New();
  for (int i = 0; i < 3; ++i) {
    table_.Unpin(object);
    table_.Pin(object);
  }
  table_.Unpin(object);

  Settle(1);

  EXPECT_THAT(Objects(), ElementsAre(object));
}

TEST_F(ObjectTableTest, EachKindOfReferenceKeepsAnObjectAlone) {
  const ObjectIndex held = New();
  table_.Hold(held);
  table_.Unpin(held);
  const ObjectIndex named = New();
  EXPECT_THAT(table_.Bind("name", named), IsOk());
  table_.Unpin(named);
  const ObjectIndex child = NewChild(named);

  Settle();
  EXPECT_THAT(reclaimed_, IsEmpty());

  table_.Unhold(held, ReclaimReason::kLapse);
  EXPECT_THAT(table_.Unbind("name"), IsOk());
  Settle();
  EXPECT_THAT(Objects(), UnorderedElementsAre(held, named, child));
}

TEST_F(ObjectTableTest, TheReasonIsThatOfTheLastReferenceToGo) {
  const ObjectIndex object = New();
  table_.Hold(object);
  table_.Hold(object);
  table_.Unpin(object);
  table_.Unhold(object, ReclaimReason::kClean);
  table_.Unhold(object, ReclaimReason::kTransitExpired);
  NewChild(object);

  Settle();

  EXPECT_THAT(Reasons(), ElementsAre(ReclaimReason::kTransitExpired, ReclaimReason::kCascade));
}

TEST_F(ObjectTableTest, WorkKeepsToItsBudgetAlongAChain) {
  constexpr size_t kLength = 10'000;
  const ObjectIndex head = New();
  ObjectIndex tail = head;
  for (size_t i = 1; i < kLength; ++i) tail = NewChild(tail);
  table_.Unpin(head);

  size_t before = 0;
  while (Work(10)) {
    ASSERT_LE(reclaimed_.size() - before, 10u);
    before = reclaimed_.size();
  }

  EXPECT_EQ(reclaimed_.size(), kLength);
  EXPECT_EQ(table_.live(), 0u);
}

TEST_F(ObjectTableTest, WorkKeepsToItsBudgetWithinOneObject) {
  const ObjectIndex object = New();
  for (uint32_t i = 0; i < 10'000; ++i) Link(object, ImportIndex{i});
  table_.Unpin(object);

  size_t before = 0;
  while (Work(10)) {
    ASSERT_LE(dropped_.size() - before, 10u);
    before = dropped_.size();
  }

  EXPECT_EQ(dropped_.size(), 10'000u);
}

TEST_F(ObjectTableTest, WorkWithoutBudgetDoesNothingButSaysWhetherThereIsWork) {
  EXPECT_FALSE(Work(0));
  table_.Unpin(New());

  EXPECT_TRUE(Work(0));

  EXPECT_THAT(reclaimed_, IsEmpty());
}

TEST_F(ObjectTableTest, APositionIsReusedOnceNothingRefersToIt) {
  const ObjectIndex object = New();
  table_.Unpin(object);
  Settle();

  EXPECT_EQ(New(), object);
  EXPECT_EQ(table_.Find(IdOf(1)), std::nullopt);
  EXPECT_EQ(table_.Find(IdOf(2)), object);
}

TEST_F(ObjectTableTest, EdgesAreAMultisetAndRemovedOneByOne) {
  const ObjectIndex parent = New();
  const ObjectIndex child = NewChild(parent);
  Link(parent, child);

  Unlink(parent, child);
  Settle();
  EXPECT_THAT(reclaimed_, IsEmpty());

  Unlink(parent, child);
  Settle();
  EXPECT_THAT(Objects(), ElementsAre(child));
  EXPECT_THAT(TryUnlink({{parent, Target(child)}}), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ObjectTableTest, RemovingAnEdgeThatIsNotThereChangesNothing) {
  const ObjectIndex parent = New();
  const ObjectIndex child = NewChild(parent);
  const ObjectIndex stranger = New();

  EXPECT_THAT(TryUnlink({{parent, Target(stranger)}}), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(TryUnlink({{stranger, Target(child)}}), StatusIs(absl::StatusCode::kNotFound));
  // The same number, but an import.
  EXPECT_THAT(TryUnlink({{parent, Target(ImportIndex{Raw(child)})}}),
              StatusIs(absl::StatusCode::kNotFound));
  Settle();
  EXPECT_THAT(reclaimed_, IsEmpty());
}

TEST_F(ObjectTableTest, EdgesAreRemovedAllOrNone) {
  const ObjectIndex one = New();
  const ObjectIndex two = New();
  const ObjectIndex a = NewChild(one);
  const ObjectIndex b = NewChild(one);
  const ObjectIndex c = NewChild(two);
  Link(one, a);

  // Of a multiset, which one asks for a third a?
  EXPECT_THAT(TryUnlink({{one, Target(a)},
                         {two, Target(c)},
                         {one, Target(a)},
                         {one, Target(a)},
                         {two, Target(b)},
                         {one, Target(b)}}),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(failed_, 3u);
  EXPECT_THAT(TryUnlink({{one, Target(b)}, {two, Target(b)}}),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(failed_, 1u);
  Settle();
  EXPECT_THAT(reclaimed_, IsEmpty());
  EXPECT_EQ(table_.Get(a).local_in, 2u);

  EXPECT_THAT(TryUnlink({{one, Target(a)}, {two, Target(c)}, {one, Target(a)}}), IsOk());
  Settle();
  EXPECT_THAT(Objects(), UnorderedElementsAre(a, c));
  EXPECT_EQ(*table_.Get(one).edges, std::vector<Target>{Target(b)});
}

TEST_F(ObjectTableTest, ManyEdgesOfALargeObjectAreRemovedInOnePass) {
  const ObjectIndex from = New();
  const ObjectIndex to = New();
  const ObjectIndex other = New();
  constexpr size_t kWanted = 4096;
  const std::vector<Edge> wanted(kWanted, {from, Target(to)});
  EXPECT_THAT(TryLink(wanted), IsOk());
  EXPECT_THAT(TryLink(std::vector<Edge>((1 << 20) - kWanted, {from, Target(other)})), IsOk());

  // A pass for each of them would be four thousand million steps.
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(TryUnlink(wanted), IsOk());
    EXPECT_THAT(TryLink(wanted), IsOk());
    std::vector<Edge> one_too_many = wanted;
    one_too_many.push_back(wanted.front());
    EXPECT_THAT(TryUnlink(one_too_many), StatusIs(absl::StatusCode::kNotFound));
    EXPECT_EQ(failed_, kWanted);
  }

  EXPECT_EQ(table_.Get(to).local_in, kWanted);
}

TEST_F(ObjectTableTest, AReclaimedObjectDropsEachEdgeToAnImport) {
  const ObjectIndex object = New();
  Link(object, ImportIndex{4});
  Link(object, ImportIndex{4});
  Link(object, ImportIndex{5});
  table_.Unpin(object);

  Settle(1);

  EXPECT_THAT(dropped_, UnorderedElementsAre(ImportIndex{4}, ImportIndex{4}, ImportIndex{5}));
}

TEST_F(ObjectTableTest, RemovingAnEdgeToAnImportIsLeftToTheCaller) {
  const ObjectIndex object = New();
  Link(object, ImportIndex{4});

  EXPECT_THAT(TryUnlink({{object, Target(ImportIndex{4})}}), IsOk());
  table_.Unpin(object);
  Settle();

  EXPECT_THAT(dropped_, IsEmpty());
}

TEST_F(ObjectTableTest, EdgesCanBeRemovedWhileTheObjectIsTakenApart) {
  const ObjectIndex object = New();
  table_.Pin(object);
  std::vector<ObjectIndex> children;
  for (int i = 0; i < 5; ++i) children.push_back(NewChild(object));
  table_.Unexport(object, now_);
  Work(3);  // Its end, and two edges.

  for (int i = 0; i < 3; ++i) Unlink(object, children[i]);
  Settle(1);
  EXPECT_EQ(reclaimed_.size(), 6u);

  table_.Unpin(object);
  table_.Unpin(object);
  for (int i = 0; i < 6; ++i) EXPECT_LT(Raw(New()), 6u);
}

// --- Ids that say where the object is, and batches.

TEST_F(ObjectTableTest, ANewIdIsMostlyRandomAndSaysWhereTheObjectWillBe) {
  New();
  const ObjectId id = table_.NewId(0x1111222233334444, 0x55556666ffffffff);

  EXPECT_EQ(id.high, 0x1111222233334444u);
  EXPECT_EQ(id.low >> 32, 0xffffffffu);
  EXPECT_THAT(table_.Add(id, 0), testing::IsOkAndHolds(ObjectIndex{static_cast<uint32_t>(id.low)}));
  EXPECT_EQ(table_.Find(id), ObjectIndex{1});
}

TEST_F(ObjectTableTest, AnIdThatOnlyPointsAtSomethingIsNotFound) {
  direct_ids_ = true;
  New();
  const ObjectId id = last_id_;

  EXPECT_EQ(table_.Find({id.high + 1, id.low}), std::nullopt);
  EXPECT_EQ(table_.Find({id.high, id.low + 1}), std::nullopt);
  EXPECT_EQ(table_.Find({id.high, id.low | 0xffffffff}), std::nullopt);
  EXPECT_EQ(table_.Find({0, 0}), std::nullopt);
}

TEST_F(ObjectTableTest, AReusedPositionIsNotFoundByTheOldId) {
  direct_ids_ = true;
  const ObjectIndex object = New();
  const ObjectId old = last_id_;
  table_.Unpin(object);
  Settle();

  EXPECT_EQ(table_.Find({0, 0}), std::nullopt);
  EXPECT_EQ(New(), object);

  EXPECT_EQ(table_.Find(old), std::nullopt);
  EXPECT_EQ(table_.WhyAbsent(old, now_).reason, FailureReason::kReclaimed);
  EXPECT_EQ(table_.Find(last_id_), object);
}

TEST_F(ObjectTableTest, AHintIsOnlyAHint) {
  for (const bool direct : {false, true}) {
    direct_ids_ = direct;
    const ObjectIndex object = New();

    for (const uint32_t hint : {0u, 1u, Raw(object), 1'000'000u, 0xffffffffu}) {
      EXPECT_EQ(table_.Find(last_id_, ObjectIndex{hint}), object);
      EXPECT_EQ(table_.FindRecord(last_id_, ObjectIndex{hint}), object);
      EXPECT_EQ(table_.Find({7, 7}, ObjectIndex{hint}), std::nullopt);
    }
  }
}

TEST_F(ObjectTableTest, LocateFindsObjectsWithIdsOfEitherKind) {
  for (size_t i = 0; i < 100; ++i) {
    direct_ids_ = i % 3 == 0;
    const ObjectIndex object = New();

    table_.Prefetch(last_id_);
    EXPECT_EQ(table_.Locate(last_id_), object);
  }
  table_.Prefetch({1, 2});
  EXPECT_EQ(table_.Find({1, 2}, table_.Locate({1, 2})), std::nullopt);
}

// --- Names.

TEST_F(ObjectTableTest, BindReplacesAndUnpinsWhatHadTheName) {
  const ObjectIndex first = New();
  const ObjectIndex second = New();
  EXPECT_THAT(table_.Bind("main", first), IsOk());
  table_.Unpin(first);

  EXPECT_THAT(table_.Bind("main", second), IsOk());
  Settle();

  EXPECT_EQ(table_.Lookup("main"), second);
  EXPECT_EQ(table_.names(), 1u);
  EXPECT_THAT(Objects(), ElementsAre(first));
}

TEST_F(ObjectTableTest, BindingTheSameObjectAgainChangesNothing) {
  const ObjectIndex object = New();
  EXPECT_THAT(table_.Bind("main", object), IsOk());
  table_.Unpin(object);

  EXPECT_THAT(table_.Bind("main", object), IsOk());
  Settle();

  EXPECT_THAT(reclaimed_, IsEmpty());
  EXPECT_EQ(table_.Get(object).pins, 1u);
}

TEST_F(ObjectTableTest, ANameThatNobodyHasIsNotFound) {
  EXPECT_EQ(table_.Lookup("nobody"), std::nullopt);
  EXPECT_THAT(table_.Unbind("nobody"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ObjectTableTest, TheNameOfAnUnexportedObjectIsNotFoundAndCanBeUnbound) {
  const ObjectIndex object = New();
  EXPECT_THAT(table_.Bind("main", object), IsOk());
  table_.Unexport(object, now_);

  EXPECT_EQ(table_.Lookup("main"), std::nullopt);
  Settle();
  EXPECT_EQ(table_.Lookup("main"), std::nullopt);
  EXPECT_THAT(table_.Unbind("main"), IsOk());
}

// --- Unexport.

TEST_F(ObjectTableTest, UnexportEndsAnObjectWhoeverHoldsIt) {
  const ObjectIndex object = New();
  table_.Hold(object);
  const ObjectIndex child = NewChild(object);
  const ObjectIndex parent = New();
  Link(parent, object);

  table_.Unexport(object, now_);
  EXPECT_EQ(table_.Find(IdOf(1)), std::nullopt);
  EXPECT_EQ(table_.FindRecord(IdOf(1)), object);
  EXPECT_EQ(table_.live(), 2u);
  Settle();

  EXPECT_THAT(Objects(), ElementsAre(object, child));
  EXPECT_THAT(Reasons(), ElementsAre(ReclaimReason::kUnexport, ReclaimReason::kCascade));
}

TEST_F(ObjectTableTest, ThePositionOfAnUnexportedObjectIsKeptUntilTheLastReferenceGoes) {
  const ObjectIndex parent = New();
  const ObjectIndex object = New();
  table_.Hold(object);
  Link(parent, object);
  table_.Unexport(object, now_);
  Settle();

  table_.Unpin(object);
  EXPECT_NE(New(), object);
  table_.Unhold(object, ReclaimReason::kLapse);
  EXPECT_NE(New(), object);
  EXPECT_EQ(table_.FindRecord(IdOf(2)), object);
  Unlink(parent, object);

  EXPECT_EQ(table_.FindRecord(IdOf(2)), std::nullopt);
  EXPECT_EQ(New(), object);
  EXPECT_THAT(Objects(), ElementsAre(object));
}

TEST_F(ObjectTableTest, UnexportingTwiceOrAfterTheLastUnpinReportsOnce) {
  const ObjectIndex object = New();
  table_.Unpin(object);

  table_.Unexport(object, now_);
  table_.Unexport(object, now_);
  Settle(1);

  EXPECT_THAT(Reasons(), ElementsAre(ReclaimReason::kUnexport));
  EXPECT_EQ(table_.live(), 0u);
  EXPECT_EQ(New(), object);
}

TEST_F(ObjectTableTest, AnUnexportedObjectTakesNoNewEdges) {
  const ObjectIndex object = New();
  const ObjectIndex child = New();
  table_.Unexport(object, now_);

  EXPECT_THAT(TryLink({{child, Target(child)}, {object, Target(child)}}),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(failed_, 1u);
  EXPECT_EQ(table_.Get(child).edges, nullptr);
  Settle();
  EXPECT_THAT(TryLink({{object, Target(child)}}), StatusIs(absl::StatusCode::kNotFound));

  table_.Unpin(child);
  table_.Unpin(object);
  Settle();
  EXPECT_THAT(Objects(), ElementsAre(object, child));
  EXPECT_LT(Raw(New()), 2u);
  EXPECT_LT(Raw(New()), 2u);
}

TEST_F(ObjectTableTest, AnUnexportedObjectTakesNoName) {
  const ObjectIndex object = New();
  table_.Unexport(object, now_);

  EXPECT_THAT(table_.Bind("main", object), StatusIs(absl::StatusCode::kNotFound));

  EXPECT_EQ(table_.names(), 0u);
}

// --- Why an object is absent.

TEST_F(ObjectTableTest, AnUnknownIdIsUnknown) {
  EXPECT_EQ(table_.WhyAbsent(IdOf(99), now_).reason, FailureReason::kUnknown);
}

TEST_F(ObjectTableTest, AReclaimedObjectIsRememberedWithReasonAndTime) {
  const ObjectIndex object = New();
  table_.Hold(object);
  table_.Unpin(object);
  table_.Unhold(object, ReclaimReason::kLapse);
  Settle();

  const Failure failure = table_.WhyAbsent(IdOf(1), now_ + seconds(7));

  EXPECT_EQ(failure.reason, FailureReason::kReclaimed);
  EXPECT_EQ(failure.reclaim_reason, ReclaimReason::kLapse);
  EXPECT_EQ(failure.reclaimed_ago, seconds(7));
}

TEST_F(ObjectTableTest, AnUnexportedObjectIsRememberedAtOnce) {
  table_.Unexport(New(), now_);

  const Failure failure = table_.WhyAbsent(IdOf(1), now_);

  EXPECT_EQ(failure.reason, FailureReason::kUnexported);
  EXPECT_EQ(failure.reclaim_reason, ReclaimReason::kUnexport);
}

TEST_F(ObjectTableTest, TheAgeOfAReclaimIsNeverNegative) {
  table_.Unpin(New());
  Settle();

  EXPECT_EQ(table_.WhyAbsent(IdOf(1), now_ - seconds(1)).reclaimed_ago, Duration::zero());
}

class ObjectTableBoundsTest : public ::testing::Test {};

TEST_F(ObjectTableBoundsTest, RemembersTheLatestReclaimsUpToTheMaximum) {
  ObjectWorld world({.reclaimed_remembered_max = 3});
  for (int i = 0; i < 4; ++i) {
    world.table_.Unpin(world.New());
    world.Settle();
  }

  const auto reason = [&](uint64_t n) {
    return world.table_.WhyAbsent(ObjectWorld::IdOf(n), world.now_).reason;
  };
  EXPECT_EQ(reason(1), FailureReason::kUnknown);
  EXPECT_EQ(reason(2), FailureReason::kReclaimed);
  EXPECT_EQ(reason(4), FailureReason::kReclaimed);
}

TEST_F(ObjectTableBoundsTest, CanRememberNoReclaimAtAll) {
  ObjectWorld world({.reclaimed_remembered_max = 0});
  world.table_.Unpin(world.New());
  world.Settle();

  EXPECT_EQ(world.table_.WhyAbsent(ObjectWorld::IdOf(1), world.now_).reason,
            FailureReason::kUnknown);
}

TEST_F(ObjectTableBoundsTest, RefusesTheObjectBeyondTheMaximumAndTakesOneAgainAfterAReclaim) {
  ObjectWorld world({.objects_max = 2});
  const ObjectIndex object = world.New();
  world.New();

  EXPECT_THAT(world.table_.Add({9, 9}, 0), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(world.table_.Find({9, 9}), std::nullopt);
  EXPECT_EQ(world.table_.live(), 2u);

  world.table_.Unpin(object);
  world.Settle();
  EXPECT_THAT(world.table_.Add({9, 9}, 0), IsOk());
}

TEST_F(ObjectTableBoundsTest, RefusesTheEdgeBeyondTheMaximum) {
  ObjectWorld world({.edges_per_object_max = 2});
  const ObjectIndex parent = world.New();
  const ObjectIndex child = world.New();
  world.Link(parent, child);
  world.Link(parent, child);

  EXPECT_THAT(world.TryLink({{parent, Target(child)}}),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(world.table_.Get(child).local_in, 2u);

  world.Unlink(parent, child);
  // All or none.
  const ObjectIndex other = world.New();
  EXPECT_THAT(
      world.TryLink({{other, Target(child)}, {parent, Target(child)}, {parent, Target(child)}}),
      StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(world.failed_, 2u);
  EXPECT_EQ(world.table_.Get(child).local_in, 1u);
  EXPECT_THAT(world.TryLink({{other, Target(child)}, {parent, Target(child)}}), IsOk());
}

TEST_F(ObjectTableBoundsTest, RefusesTheEdgeBeyondTheMaximumInAll) {
  ObjectWorld world({.edges_max = 3});
  const ObjectIndex parent = world.New();
  const ObjectIndex other = world.New();
  const ObjectIndex child = world.New();
  world.Link(parent, child);
  world.Link(other, child);

  EXPECT_THAT(world.TryLink({{parent, Target(child)}, {other, Target(child)}}),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(world.failed_, 1u);
  EXPECT_EQ(world.table_.Get(child).local_in, 2u);
  EXPECT_THAT(world.TryLink({{other, Target(child)}}), IsOk());

  // There is room again when one is removed, and when its object goes.
  world.Unlink(other, child);
  EXPECT_THAT(world.TryLink({{other, Target(child)}}), IsOk());
  world.table_.Unpin(other);
  world.Settle();
  EXPECT_THAT(world.TryLink({{parent, Target(child)}, {parent, Target(child)}}), IsOk());
  EXPECT_THAT(world.TryLink({{parent, Target(child)}}),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(ObjectTableBoundsTest, AnObjectThatMayHaveNoEdgeIsReclaimedAllTheSame) {
  ObjectWorld world({.edges_per_object_max = 0});
  const ObjectIndex object = world.New();
  EXPECT_THAT(world.TryLink({{object, Target(object)}}),
              StatusIs(absl::StatusCode::kResourceExhausted));

  world.table_.Unpin(object);
  world.Settle();

  EXPECT_EQ(world.New(), object);
}

TEST_F(ObjectTableBoundsTest, RefusesTheNameBeyondTheMaximumButReplacesOne) {
  ObjectWorld world({.names_max = 1});
  const ObjectIndex object = world.New();
  const ObjectIndex other = world.New();
  EXPECT_THAT(world.table_.Bind("a", object), IsOk());

  EXPECT_THAT(world.table_.Bind("b", object), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(world.table_.Get(object).pins, 2u);
  EXPECT_THAT(world.table_.Bind("a", other), IsOk());
}

using ObjectTableDeathTest = ObjectTableTest;

TEST_F(ObjectTableDeathTest, CountsDoNotGoBelowZero) {
  const ObjectIndex object = New();
  EXPECT_DEATH(table_.Unhold(object, ReclaimReason::kClean), "remote_holds > 0");
  table_.Unpin(object);
  EXPECT_DEATH(table_.Unpin(object), "pins > 0");
}

TEST_F(ObjectTableDeathTest, AnIdIsNotAddedTwice) {
  New();
  EXPECT_DEATH((void)table_.Add(IdOf(1), 0), "FindRecord");
}

}  // namespace
}  // namespace dgc
