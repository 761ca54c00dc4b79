// The local collector, seen through the object table: alone it has nothing to say.
#include "dgc/core/local_collector.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/object_world.h"
#include "tests/testing/status_matchers.h"

namespace dgc {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::ObjectWorld;
using testing::StatusIs;
using ::testing::UnorderedElementsAre;

class LocalCollectorTest : public ::testing::Test, protected ObjectWorld {
 protected:
  // A ring of `size` pinned objects.
  std::vector<ObjectIndex> Ring(size_t size) {
    std::vector<ObjectIndex> ring;
    for (size_t i = 0; i < size; ++i) ring.push_back(New());
    for (size_t i = 0; i < size; ++i) Link(ring[i], ring[(i + 1) % size]);
    return ring;
  }
  void UnpinAll(const std::vector<ObjectIndex>& objects) {
    for (const ObjectIndex object : objects) table_.Unpin(object);
  }
  // Works step by step until the round that is wanted has condemned `object`.
  void WorkUntilCondemned(uint64_t id) {
    for (int i = 0; i < 10'000; ++i) {
      Work(1);
      if (!table_.Find(IdOf(id)).has_value()) return;
    }
    FAIL() << "nothing was condemned";
  }
};

TEST_F(LocalCollectorTest, AnObjectThatRefersToItselfIsReclaimed) {
  const std::vector<ObjectIndex> ring = Ring(1);

  UnpinAll(ring);
  Settle(1);

  EXPECT_THAT(Objects(), ElementsAre(ring[0]));
  EXPECT_THAT(Reasons(), ElementsAre(ReclaimReason::kCycle));
  EXPECT_EQ(New(), ring[0]);
}

TEST_F(LocalCollectorTest, ARingAndWhatHangsOnItIsReclaimed) {
  const std::vector<ObjectIndex> ring = Ring(100);
  const ObjectIndex hanging = NewChild(ring[3]);
  Link(hanging, ImportIndex{7});

  UnpinAll(ring);
  Settle(1);

  EXPECT_EQ(reclaimed_.size(), 101u);
  EXPECT_EQ(table_.live(), 0u);
  EXPECT_THAT(dropped_, ElementsAre(ImportIndex{7}));
  for (int i = 0; i < 101; ++i) EXPECT_LT(Raw(New()), 101u);
}

TEST_F(LocalCollectorTest, OnePinOneHoldOrOneNameKeepsAWholeRing) {
  const std::vector<ObjectIndex> pinned = Ring(5);
  const std::vector<ObjectIndex> held = Ring(5);
  const std::vector<ObjectIndex> named = Ring(5);
  table_.Pin(pinned[2]);
  table_.Hold(held[2]);
  EXPECT_THAT(table_.Bind("name", named[2]), IsOk());

  UnpinAll(pinned);
  UnpinAll(held);
  UnpinAll(named);
  Settle(1);

  EXPECT_THAT(reclaimed_, IsEmpty());
  EXPECT_GE(counters_.local_rounds, 1u);
}

TEST_F(LocalCollectorTest, ARingWhoseLastEdgeFromOutsideIsRemovedIsReclaimed) {
  const ObjectIndex root = New();
  const std::vector<ObjectIndex> ring = Ring(3);
  Link(root, ring[0]);
  UnpinAll(ring);
  Settle();
  EXPECT_THAT(reclaimed_, IsEmpty());

  Unlink(root, ring[0]);
  Settle();

  EXPECT_EQ(reclaimed_.size(), 3u);
}

TEST_F(LocalCollectorTest, ARingThatHungOnAReclaimedObjectIsReclaimed) {
  const ObjectIndex root = New();
  const std::vector<ObjectIndex> ring = Ring(3);
  Link(root, ring[0]);
  UnpinAll(ring);

  table_.Unpin(root);
  Settle(1);

  EXPECT_EQ(reclaimed_.size(), 4u);
}

TEST_F(LocalCollectorTest, NoRoundRunsWithoutASuspicion) {
  for (int i = 0; i < 100; ++i) table_.Unpin(New());

  Settle();

  EXPECT_EQ(table_.wake_at(), std::nullopt);
  EXPECT_EQ(counters_.local_rounds, 0u);
}

TEST_F(LocalCollectorTest, RoundsKeepTheirDistance) {
  const std::vector<ObjectIndex> first = Ring(2);
  const std::vector<ObjectIndex> second = Ring(2);
  UnpinAll(first);
  while (Work(1)) now_ += milliseconds(1);
  ASSERT_EQ(reclaimed_.size(), 2u);
  UnpinAll(second);
  EXPECT_FALSE(Work(1000));
  ASSERT_TRUE(table_.wake_at().has_value());
  const TimePoint wake_at = *table_.wake_at();
  EXPECT_GE(wake_at, now_ + milliseconds(900));

  now_ = wake_at - Duration(1);
  EXPECT_FALSE(Work(1000));
  EXPECT_EQ(reclaimed_.size(), 2u);
  now_ = wake_at;
  Work(1000);
  EXPECT_EQ(reclaimed_.size(), 4u);
}

TEST_F(LocalCollectorTest, TheRestIsFourTimesTheRoundWhereThatIsLonger) {
  UnpinAll(Ring(200));
  const TimePoint begin = now_;
  while (Work(1)) now_ += milliseconds(10);
  const Duration round = now_ - begin;
  UnpinAll(Ring(2));

  EXPECT_GE(*table_.wake_at(), now_ + round);
  EXPECT_LE(*table_.wake_at(), now_ + 4 * round);
}

TEST_F(LocalCollectorTest, APauseWithinARoundDoesNotMakeTheRestLonger) {
  UnpinAll(Ring(10));
  while (Work(1)) now_ += seconds(3600);
  UnpinAll(Ring(2));

  EXPECT_LE(*table_.wake_at(), now_ + seconds(4));
}

TEST_F(LocalCollectorTest, ARoundKeepsToItsBudget) {
  Ring(100'000);
  UnpinAll(Ring(2));

  size_t calls = 0;
  while (Work(100)) ++calls;

  // Each object is looked for, marked, scanned and swept.
  EXPECT_GE(calls, 2000u);
  EXPECT_LE(calls, 6000u);
}

TEST_F(LocalCollectorTest, AnEdgeMovedBehindTheScanIsNotMissed) {
  // The classical race of incremental marking: the only edge to a white object goes from a grey
  // one to a black one.
  for (size_t steps = 0; steps < 60; ++steps) {
    ObjectWorld world;
    const ObjectIndex black = world.New();
    const ObjectIndex grey = world.New();
    const ObjectIndex white = world.NewChild(grey);
    const ObjectIndex ring = world.New();
    world.Link(ring, ring);
    world.table_.Unpin(ring);

    world.Work(steps);
    world.Link(black, white);
    world.Unlink(grey, white);
    world.Settle(1);

    ASSERT_THAT(world.Objects(), ElementsAre(ring)) << steps;
  }
}

TEST_F(LocalCollectorTest, EdgesThatRemovalsMoveWhileAScanRunsAreNotMissed) {
  for (size_t steps = 0; steps < 60; ++steps) {
    ObjectWorld world;
    const ObjectIndex source = world.New();
    std::vector<ObjectIndex> children;
    for (int i = 0; i < 12; ++i) children.push_back(world.NewChild(source));
    const ObjectIndex ring = world.New();
    world.Link(ring, ring);
    world.table_.Unpin(ring);

    world.Work(steps);
    std::vector<Edge> removed;
    for (const int i : {1, 9, 2, 6, 11}) removed.push_back({source, Target(children[i])});
    ASSERT_THAT(world.TryUnlink(removed), IsOk());
    world.Settle(1);

    ASSERT_THAT(world.Objects(), UnorderedElementsAre(ring, children[1], children[9], children[2],
                                                      children[6], children[11]))
        << steps;
  }
}

TEST_F(LocalCollectorTest, AHoldTakenWhileARoundRunsKeepsARingAtAnyStepBeforeItIsCondemned) {
  size_t kept = 0;
  size_t reclaimed = 0;
  for (size_t steps = 0; steps < 60; ++steps) {
    ObjectWorld world;
    const ObjectIndex a = world.New();
    const ObjectIndex b = world.New();
    world.Link(a, b);
    world.Link(b, a);
    for (int i = 0; i < 10; ++i) world.New();
    world.table_.Unpin(a);
    world.table_.Unpin(b);

    world.Work(steps);
    const bool found = world.table_.Find(ObjectWorld::IdOf(2)).has_value();
    if (found) world.table_.Hold(b);
    world.Settle(1);

    ASSERT_EQ(world.reclaimed_.size(), found ? 0u : 2u) << steps;
    ++(found ? kept : reclaimed);
  }
  EXPECT_GT(kept, 3u);
  EXPECT_GT(reclaimed, 3u);
}

TEST_F(LocalCollectorTest, ACondemnedObjectIsAbsentBeforeItIsSwept) {
  const std::vector<ObjectIndex> ring = Ring(3);
  UnpinAll(ring);

  WorkUntilCondemned(3);

  ASSERT_LT(reclaimed_.size(), 3u);
  EXPECT_EQ(table_.Find(IdOf(3)), std::nullopt);
  EXPECT_FALSE(table_.Alive(ring[2]));
  const Failure failure = table_.WhyAbsent(IdOf(3), now_);
  EXPECT_EQ(failure.reason, FailureReason::kReclaimed);
  EXPECT_EQ(failure.reclaim_reason, ReclaimReason::kCycle);
}

TEST_F(LocalCollectorTest, UnexportOfACondemnedObjectReportsItOnce) {
  const std::vector<ObjectIndex> ring = Ring(3);
  UnpinAll(ring);
  WorkUntilCondemned(3);

  table_.Unexport(ring[2], now_);
  Settle(1);

  EXPECT_THAT(Objects(), UnorderedElementsAre(ring[0], ring[1], ring[2]));
}

TEST_F(LocalCollectorTest, AnObjectMadeAtAnyStepOfARoundOutlivesIt) {
  for (size_t steps = 0; steps < 60; ++steps) {
    ObjectWorld world;
    const ObjectIndex root = world.New();
    const ObjectIndex ring = world.New();
    world.Link(ring, ring);
    world.table_.Unpin(ring);
    world.table_.Unpin(world.New());  // A position to be reused.

    world.Work(steps);
    const ObjectIndex child = world.NewChild(root);
    const ObjectIndex grandchild = world.NewChild(child);
    world.Settle(1);

    ASSERT_THAT(world.Objects(), ::testing::SizeIs(2)) << steps;
    ASSERT_TRUE(world.table_.Alive(child) && world.table_.Alive(grandchild)) << steps;
  }
}

// --- Against a naive oracle: random programs, with Work() in small budgets between any two steps.
//
// The model knows references only; what is alive is found by a search from the roots.  Safety: what
// Work() reports is unreachable at that moment, and is reported once.  Liveness: in the end nothing
// else is left.
class ModelRun {
 public:
  explicit ModelRun(uint64_t seed)
      : random_(seed), world_({.local_round_interval = milliseconds(random_() % 20)}) {
    world_.direct_ids_ = seed % 2 == 0;
  }

  void Run(int steps) {
    for (int step = 0; step < steps && !::testing::Test::HasFatalFailure(); ++step) {
      SCOPED_TRACE(::testing::Message() << "step " << step);
      Mutate();
      if (random_() % 3 == 0) {
        world_.Work(random_() % 6);
        Check();
      }
      if (random_() % 8 == 0) world_.now_ += milliseconds(random_() % 10);
    }
    Finish();
  }

 private:
  struct Object {
    ObjectId id{};
    uint32_t pins = 1;
    uint32_t holds = 0;
    bool unexported = false;
    bool reported = false;
    std::vector<Target> edges{};
  };

  bool rooted(const Object& object) const {
    if (object.unexported || object.reported) return false;
    return object.pins != 0 || object.holds != 0;
  }

  // What the application and its peers can get at.
  std::set<uint32_t> Reachable() const {
    std::set<uint32_t> reached;
    std::vector<uint32_t> stack;
    const auto visit = [&](uint32_t index) {
      const Object& object = objects_.at(index);
      if (object.unexported || object.reported) return;
      if (reached.insert(index).second) stack.push_back(index);
    };
    for (const auto& [index, object] : objects_) {
      if (rooted(object)) visit(index);
    }
    while (!stack.empty()) {
      const uint32_t index = stack.back();
      stack.pop_back();
      for (const Target target : objects_.at(index).edges) {
        if (!target.is_import()) visit(Raw(target.object()));
      }
    }
    return reached;
  }

  // Compares everything Work() has reported since the last time.
  void Check() {
    for (; checked_ < world_.reclaimed_.size(); ++checked_) {
      const Reclaimed& report = world_.reclaimed_[checked_];
      const auto it = objects_.find(Raw(report.object));
      ASSERT_NE(it, objects_.end());
      Object& object = it->second;
      ASSERT_EQ(report.id, object.id);
      ASSERT_FALSE(object.reported) << "reported twice";
      ASSERT_FALSE(Reachable().contains(it->first)) << "reclaimed while reachable";
      ASSERT_EQ(object.unexported, report.reason == ReclaimReason::kUnexport);
      object.reported = true;
      for (const Target target : object.edges) {
        if (target.is_import()) ++drops_expected_;
      }
      object.edges.clear();
    }
    Forget();
    for (const uint32_t index : Reachable()) {
      const auto found = world_.table_.Find(objects_.at(index).id);
      ASSERT_EQ(found, ObjectIndex{index}) << "reachable, but not found";
    }
  }

  // Drops from the model what nothing refers to: only then may the table use the position again.
  void Forget() {
    std::set<uint32_t> named;
    for (const auto& [index, object] : objects_) {
      for (const Target target : object.edges) {
        if (!target.is_import()) named.insert(Raw(target.object()));
      }
    }
    std::erase_if(objects_, [&](const auto& entry) {
      const Object& object = entry.second;
      return object.reported && object.pins == 0 && object.holds == 0 &&
             !named.contains(entry.first);
    });
  }

  // One of those that the application can refer to: reachable, or unexported and still pinned.
  std::optional<uint32_t> Pick() {
    std::vector<uint32_t> candidates;
    for (const uint32_t index : Reachable()) candidates.push_back(index);
    for (const auto& [index, object] : objects_) {
      if (object.unexported && object.pins != 0) candidates.push_back(index);
    }
    if (candidates.empty()) return std::nullopt;
    return candidates[random_() % candidates.size()];
  }

  void Mutate() {
    const std::optional<uint32_t> a = Pick();
    if (!a.has_value() || (objects_.size() < 20 && random_() % 5 == 0)) return Create();
    const std::optional<uint32_t> b = Pick();
    switch (random_() % 10) {
      case 0:
        world_.table_.Pin(ObjectIndex{*a});
        ++objects_.at(*a).pins;
        return;
      case 1:
      case 2:
        return Unpin(*a);
      case 3:
      case 4:
        return Link(*a, *b);
      case 5:
        return Unlink(*a, *b);
      case 6:
        return HoldAny();
      case 7:
        return Unhold();
      case 8:
        return random_() % 6 == 0 ? Unexport(*a) : Unpin(*a);
      default:
        return Name(*a);
    }
  }

  void Create() {
    const ObjectIndex index = world_.New();
    const bool fresh = objects_.emplace(Raw(index), Object{.id = world_.last_id_}).second;
    ASSERT_TRUE(fresh) << "a position was used again while something refers to it";
  }

  void Unpin(uint32_t index) {
    Object& object = objects_.at(index);
    const bool by_name_only = object.pins == 1 && named_ == index;
    if (object.pins == 0 || by_name_only) return;
    --object.pins;
    world_.table_.Unpin(ObjectIndex{index});
    Forget();
  }

  void Link(uint32_t from, uint32_t to) {
    const Target target = random_() % 5 == 0 ? Target(ImportIndex{to}) : Target(ObjectIndex{to});
    const std::vector<Edge> edges(1 + random_() % 2, {ObjectIndex{from}, target});
    const absl::Status status = world_.TryLink(edges);
    ASSERT_EQ(status.ok(), !objects_.at(from).unexported) << status;
    if (status.ok())
      objects_.at(from).edges.insert(objects_.at(from).edges.end(), edges.size(), target);
  }

  // Several edges at once, from one object or two.
  void Unlink(uint32_t from, uint32_t other) {
    std::vector<Edge> removed;
    for (const uint32_t each : {from, other, from}) {
      auto& edges = objects_.at(each).edges;
      // Those of an unexported object may be gone or not.
      if (edges.empty() || objects_.at(each).unexported) continue;
      const size_t position = random_() % edges.size();
      removed.push_back({ObjectIndex{each}, edges[position]});
      edges.erase(edges.begin() + static_cast<ptrdiff_t>(position));
    }
    ASSERT_THAT(world_.TryUnlink(removed), IsOk());
    Forget();
  }

  // A peer names any object by its id, even one that only waits for its reclaim.
  void HoldAny() {
    auto it = objects_.begin();
    std::advance(it, random_() % objects_.size());
    const auto found = world_.table_.Find(it->second.id);
    if (!found.has_value()) {
      ASSERT_FALSE(Reachable().contains(it->first));
      return;
    }
    ASSERT_EQ(Raw(*found), it->first);
    world_.table_.Hold(*found);
    ++it->second.holds;
  }

  void Unhold() {
    std::vector<uint32_t> held;
    for (const auto& [index, object] : objects_) {
      if (object.holds != 0) held.push_back(index);
    }
    if (held.empty()) return;
    const uint32_t index = held[random_() % held.size()];
    --objects_.at(index).holds;
    world_.table_.Unhold(ObjectIndex{index}, ReclaimReason::kLapse);
    Forget();
  }

  void Unexport(uint32_t index) {
    world_.table_.Unexport(ObjectIndex{index}, world_.now_);
    objects_.at(index).unexported = true;
  }

  void Name(uint32_t index) {
    if (named_.has_value() && random_() % 2 == 0) return Unname();
    const absl::Status status = world_.table_.Bind("name", ObjectIndex{index});
    ASSERT_EQ(status.ok(), !objects_.at(index).unexported) << status;
    if (!status.ok()) return;
    ++objects_.at(index).pins;
    if (named_.has_value()) --objects_.at(*named_).pins;
    named_ = index;
    Forget();
  }

  void Unname() {
    ASSERT_THAT(world_.table_.Unbind("name"), IsOk());
    --objects_.at(*named_).pins;
    named_.reset();
    Forget();
  }

  // Nothing but what is reachable is left; then nothing at all, not even a used position.
  void Finish() {
    world_.Settle(1 + random_() % 50);
    Check();
    ASSERT_EQ(world_.table_.live(), Reachable().size());
    for (const auto& [index, object] : objects_) {
      ASSERT_TRUE(object.reported || Reachable().contains(index)) << "garbage is left";
    }
    if (named_.has_value()) Unname();
    DropAllRoots();
    world_.Settle(1 + random_() % 50);
    Check();
    ASSERT_THAT(objects_, IsEmpty()) << "garbage is left";
    ASSERT_EQ(world_.table_.live(), 0u);
    ASSERT_EQ(world_.dropped_.size(), drops_expected_);
    const uint32_t end = world_.table_.end();
    for (uint32_t i = 0; i < end; ++i) ASSERT_LT(Raw(world_.New()), end) << "a position leaked";
  }

  void DropAllRoots() {
    for (auto& [index, object] : objects_) {
      while (object.holds != 0) {
        --object.holds;
        world_.table_.Unhold(ObjectIndex{index}, ReclaimReason::kClean);
      }
      while (object.pins != 0) {
        --object.pins;
        world_.table_.Unpin(ObjectIndex{index});
      }
    }
  }

  std::mt19937_64 random_;
  ObjectWorld world_;
  std::map<uint32_t, Object> objects_;  // by position
  std::optional<uint32_t> named_;
  size_t checked_ = 0;
  size_t drops_expected_ = 0;
};

TEST(LocalCollectorModelTest, AgreesWithASearchFromTheRoots) {
  for (uint64_t seed = 1; seed <= 3000; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    ModelRun(seed).Run(300);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace dgc
