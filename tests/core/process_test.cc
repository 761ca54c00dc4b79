#include "dgc/core/process.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace dgc {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using ::testing::SizeIs;
using testing::StatusIs;

constexpr ClientId kSelf{1, 1};
constexpr ClientId kPeer{2, 2};
constexpr ObjectId kId{5, 6};
constexpr Incarnation kRun{77};
constexpr TimePoint kNow = TimePoint(seconds(1000));
constexpr TransitToken kToken{41};
const char kMe[] = "me:1";
const char kOther[] = "other:1";

class NoRandom : public Random {
 public:
  uint64_t Next() override { return 4; }
};

// Writes down what it is told; lets go of an import as soon as it is dropped.
class RecordingStrategy : public Strategy {
 public:
  explicit RecordingStrategy(Context context) : context_(std::move(context)) {}

  absl::StatusOr<TransitToken> Shared(ObjectIndex, const ClientId& receiver, Duration,
                                      TimePoint) override {
    receivers_.push_back(receiver);
    return kToken;
  }
  void Returned(ObjectIndex object, TransitToken transit, TimePoint) override {
    returned_.emplace_back(object, transit);
  }
  Response Received(const Request& request, TimePoint) override {
    if (std::holds_alternative<RenewRequest>(request)) return Refusal{};
    return CleanResponse{};
  }
  void Imported(ImportIndex import, TransitToken transit, TimePoint) override {
    imported_.emplace_back(import, transit);
  }
  absl::StatusOr<TransitToken> HandedOn(ImportIndex import, Duration, TimePoint) override {
    ++(*context_.imports)[import].uses;
    return TransitToken{kHolderTokenBit};
  }
  void Dropped(std::span<const ImportIndex> imports, bool batched, TimePoint) override {
    batched_ = batched;
    for (const ImportIndex import : imports) {
      dropped_.push_back(import);
      context_.imports->Erase(import);
    }
  }
  void Answered(PeerIndex, uint64_t, const Response&, TimePoint) override {}
  LossCause LostWith(PeerIndex) const override { return lost_with_; }
  bool Assured(ImportIndex, TimePoint) const override { return true; }
  void SetReaping(ReapingMode) override {}
  void Goodbye(TimePoint) override {}
  bool Quiescent() const override { return true; }
  void Tick(TimePoint) override {}
  bool Work(size_t& budget, TimePoint) override {
    const size_t spent = std::min(budget, work_);
    work_ -= spent;
    budget -= spent;
    return work_ > 0;
  }
  std::optional<TimePoint> wake_at() const override { return wake_at_; }
  Sizes sizes() const override { return {}; }

  Context context_;
  std::vector<ClientId> receivers_;
  std::vector<std::pair<ObjectIndex, TransitToken>> returned_;
  std::vector<std::pair<ImportIndex, TransitToken>> imported_;
  std::vector<ImportIndex> dropped_;
  LossCause lost_with_ = LossCause::kNone;
  bool batched_ = false;
  size_t work_ = 0;
  std::optional<TimePoint> wake_at_;
};

class ProcessTest : public ::testing::Test {
 protected:
  ProcessTest() { Start({.self = kSelf, .owner = kMe, .incarnation = kRun}); }

  void Start(ProcessOptions options) {
    process_ = std::make_unique<Process>(
        std::move(options),
        [this](Strategy::Context context) {
          auto strategy = std::make_unique<RecordingStrategy>(std::move(context));
          strategy_ = strategy.get();
          return strategy;
        },
        &random_);
  }
  Target Export(const ObjectId& id) {
    const auto target = process_->Export(id, "blob");
    EXPECT_THAT(target, IsOk());
    return *target;
  }
  static WireRef Theirs(uint64_t low) {
    return {kOther, Incarnation{9}, {8, low}, "tree", TransitToken{low}};
  }
  Target Import(const WireRef& ref) {
    const auto target = process_->Import(ref, kNow);
    EXPECT_THAT(target, IsOk());
    return *target;
  }
  std::vector<ObjectId> Settle() {
    while (process_->Work(1, kNow)) {
    }
    Outputs outputs;
    process_->TakeOutputs(&outputs);
    std::vector<ObjectId> ids;
    for (const Reclaimed& each : outputs.reclaimed) ids.push_back(each.id);
    return ids;
  }

  NoRandom random_;
  std::unique_ptr<Process> process_;
  RecordingStrategy* strategy_ = nullptr;
};

// --- Own objects.

TEST_F(ProcessTest, AnExportedObjectLivesUntilItsHandleIsDropped) {
  const Target object = Export(kId);
  process_->Copy(object);
  process_->Drop(object, kNow);
  EXPECT_THAT(Settle(), IsEmpty());

  process_->Drop(object, kNow);

  EXPECT_THAT(Settle(), ElementsAre(kId));
}

TEST_F(ProcessTest, SharingAnOwnObjectNamesTheReceiverAndTheToken) {
  const auto ref = process_->Share(Export(kId), kPeer, {}, kNow);

  ASSERT_THAT(ref, IsOk());
  EXPECT_EQ(*ref, (WireRef{kMe, kRun, kId, "blob", kToken}));
  EXPECT_THAT(strategy_->receivers_, ElementsAre(kPeer));
}

TEST_F(ProcessTest, ADescriptionProtectsNothing) {
  EXPECT_EQ(process_->Describe(Export(kId)), (WireRef{kMe, kRun, kId, "blob", {}}));
  EXPECT_EQ(process_->Describe(Import(Theirs(1))),
            (WireRef{kOther, Incarnation{9}, {8, 1}, "tree", {}}));
  EXPECT_THAT(strategy_->receivers_, IsEmpty());
}

TEST_F(ProcessTest, AReferenceThatComesHomeIsAHandleAndGivesItsTokenBack) {
  const Target object = Export(kId);

  const Target home = Import({kMe, kRun, kId, "blob", kToken});

  EXPECT_EQ(home, object);
  EXPECT_THAT(strategy_->returned_, ElementsAre(std::pair(object.object(), kToken)));
  process_->Drop(object, kNow);
  EXPECT_THAT(Settle(), IsEmpty());
  process_->Drop(home, kNow);
  EXPECT_THAT(Settle(), ElementsAre(kId));
}

TEST_F(ProcessTest, AReferenceHomeWithoutATokenGivesNoneBack) {
  Export(kId);
  Import({kMe, kRun, kId, "blob", {}});
  EXPECT_THAT(strategy_->returned_, IsEmpty());
}

TEST_F(ProcessTest, ANameIsAReferenceThatLookupTurnsIntoAHandle) {
  const Target object = Export(kId);
  EXPECT_THAT(process_->Bind("main", object.object()), IsOk());
  process_->Drop(object, kNow);
  EXPECT_THAT(Settle(), IsEmpty());

  EXPECT_THAT(process_->Lookup("main"), testing::IsOkAndHolds(object));
  EXPECT_THAT(process_->Lookup("other"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(process_->Unbind("main"), IsOk());
  EXPECT_THAT(Settle(), IsEmpty());
  process_->Drop(object, kNow);
  EXPECT_THAT(Settle(), ElementsAre(kId));
}

TEST_F(ProcessTest, ImportingAnUnexportedObjectSaysWhenAndWhy) {
  const Target object = Export(kId);
  process_->Unexport(object.object(), kNow);

  EXPECT_THAT(process_->Import({kMe, kRun, kId, "blob", {}}, kNow + seconds(2)),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("unexported by its owner 2000 ms")));
}

TEST_F(ProcessTest, NewIdsAreValidAndDifferEvenWhereTheRandomnessDoesNot) {
  const ObjectId first = process_->NewId();
  Export(first);
  const ObjectId second = process_->NewId();
  Export(second);

  EXPECT_TRUE(first.valid());
  EXPECT_NE(first, second);
  EXPECT_THAT(process_->Resolve({kMe, kRun, second, "blob", {}}, kNow), IsOk());
}

// --- Others' objects.

TEST_F(ProcessTest, TheStrategyHearsOfEveryImportAndOfTheLastDropOnly) {
  const Target first = Import(Theirs(1));
  const Target second = Import(Theirs(1));
  process_->Copy(first);
  EXPECT_EQ(first, second);
  EXPECT_EQ(process_->imports().size(), 1u);
  EXPECT_EQ(strategy_->imported_.size(), 2u);

  process_->Drop(first, kNow);
  process_->Drop(first, kNow);
  EXPECT_THAT(strategy_->dropped_, IsEmpty());
  process_->Drop(first, kNow);

  EXPECT_THAT(strategy_->dropped_, ElementsAre(first.import()));
  EXPECT_FALSE(strategy_->batched_);
  EXPECT_EQ(process_->imports().size(), 0u);
}

TEST_F(ProcessTest, SharingAnImportHandsItOn) {
  const auto ref = process_->Share(Import(Theirs(1)), kPeer, {}, kNow);

  ASSERT_THAT(ref, IsOk());
  EXPECT_EQ(ref->owner, kOther);
  EXPECT_EQ(ref->transit, TransitToken{kHolderTokenBit});
}

TEST_F(ProcessTest, AnEdgeKeepsAnImportAndGoesWithTheObject) {
  const Target object = Export(kId);
  const Target import = Import(Theirs(1));
  EXPECT_THAT(process_->Link(object.object(), import), IsOk());
  EXPECT_THAT(process_->Link(object.object(), import), IsOk());
  process_->Drop(import, kNow);
  EXPECT_THAT(strategy_->dropped_, IsEmpty());

  process_->Drop(object, kNow);
  Settle();

  EXPECT_THAT(strategy_->dropped_, ElementsAre(import.import()));
  EXPECT_TRUE(strategy_->batched_);
}

TEST_F(ProcessTest, UnlinkGivesTheUseBack) {
  const Target object = Export(kId);
  const Target import = Import(Theirs(1));
  EXPECT_THAT(process_->Link(object.object(), import), IsOk());
  process_->Drop(import, kNow);

  EXPECT_THAT(process_->Unlink(object.object(), import, kNow), IsOk());

  EXPECT_THAT(strategy_->dropped_, ElementsAre(import.import()));
  EXPECT_THAT(process_->Unlink(object.object(), import, kNow),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ProcessTest, UnlinkOfSeveralGivesBackAllUsesOrNone) {
  const Target object = Export(kId);
  const Target first = Import(Theirs(1));
  const Target second = Import(Theirs(2));
  const std::vector<Edge> edges = {{object.object(), first}, {object.object(), second}};
  size_t failed = 0;
  for (const auto& [from, to] : edges) ASSERT_THAT(process_->Link(from, to), IsOk());
  process_->Drop(first, kNow);
  process_->Drop(second, kNow);

  const std::vector<Edge> too_many = {edges[0], edges[1], edges[0]};
  EXPECT_THAT(process_->Unlink(too_many, &failed, kNow), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(failed, 2u);
  EXPECT_THAT(strategy_->dropped_, IsEmpty());

  EXPECT_THAT(process_->Unlink(edges, &failed, kNow), IsOk());
  EXPECT_EQ(process_->imports().size(), 0u);
}

TEST_F(ProcessTest, WhatAReferenceNamesIsLocatedDeadOrAlive) {
  const Target object = Export(kId);
  const Target import = Import(Theirs(1));
  const WireRef own = process_->Describe(object);
  WireRef earlier = own;
  earlier.incarnation = Incarnation{Raw(own.incarnation) + 1};
  process_->Unexport(object.object(), kNow);
  Settle();

  EXPECT_EQ(*process_->Locate(own), object);
  EXPECT_EQ(*process_->Locate(Theirs(1)), import);
  EXPECT_EQ(*process_->Locate(Theirs(2)), std::nullopt);
  EXPECT_EQ(*process_->Locate(earlier), std::nullopt);
  EXPECT_THAT(process_->Locate({}).status(), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ProcessTest, ALinkOfReferencesThatArriveTakesThemAllInOrNone) {
  Start({.self = kSelf, .owner = kMe, .incarnation = kRun, .peers_max = 1});
  const Target object = Export(kId);
  const std::vector<ObjectIndex> from(3, object.object());
  WireRef own = process_->Describe(object);
  own.transit = kToken;
  WireRef theirs = Theirs(1);
  theirs.type = "new";
  theirs.transit = kToken;
  const size_t types = process_->types().size();
  LinkFailure failed;

  WireRef one_owner_too_many = theirs;
  one_owner_too_many.owner = "another:1";
  WireRef nobody = own;
  nobody.id = {7, 7};
  for (const WireRef& bad : {one_owner_too_many, nobody, WireRef{}}) {
    EXPECT_FALSE(process_->Link(from, std::vector{own, theirs, bad}, &failed, kNow).ok());
    EXPECT_EQ(failed.column, std::string("to"));
    EXPECT_EQ(failed.row, 2u);
  }
  strategy_->lost_with_ = LossCause::kOwnerRestarted;
  EXPECT_THAT(process_->Link(from, std::vector{own, own, theirs}, &failed, kNow),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  strategy_->lost_with_ = LossCause::kNone;
  EXPECT_THAT(strategy_->returned_, IsEmpty());
  EXPECT_THAT(strategy_->imported_, IsEmpty());
  EXPECT_EQ(process_->imports().size(), 0u);
  EXPECT_EQ(process_->imports().peers(), 0u);
  EXPECT_EQ(process_->types().size(), types);
  EXPECT_EQ(process_->objects().Get(object.object()).edges, nullptr);

  EXPECT_THAT(process_->Link(from, std::vector{own, theirs, theirs}, &failed, kNow), IsOk());
  EXPECT_THAT(strategy_->returned_, SizeIs(1));
  EXPECT_THAT(strategy_->imported_, SizeIs(2));
  EXPECT_EQ(process_->imports().size(), 1u);
  process_->Unexport(object.object(), kNow);
  process_->Drop(object, kNow);
  Settle();
  EXPECT_EQ(process_->imports().size(), 0u);
}

TEST_F(ProcessTest, ALinkBeyondTheMaximumOfEdgesTakesNothingIn) {
  Start({.self = kSelf, .owner = kMe, .incarnation = kRun, .objects = {.edges_max = 1}});
  const Target object = Export(kId);
  const std::vector<ObjectIndex> from(2, object.object());
  LinkFailure failed;

  EXPECT_THAT(process_->Link(from, std::vector{Theirs(1), Theirs(2)}, &failed, kNow),
              StatusIs(absl::StatusCode::kResourceExhausted));

  EXPECT_EQ(failed.column, std::string("from"));
  EXPECT_EQ(failed.row, 1u);
  EXPECT_THAT(strategy_->imported_, IsEmpty());
  EXPECT_EQ(process_->imports().peers(), 0u);
}

TEST_F(ProcessTest, ARefusedLinkTakesNoUse) {
  const Target object = Export(kId);
  const Target import = Import(Theirs(1));
  process_->Unexport(object.object(), kNow);

  EXPECT_THAT(process_->Link(object.object(), import), StatusIs(absl::StatusCode::kNotFound));
  process_->Drop(import, kNow);

  EXPECT_THAT(strategy_->dropped_, ElementsAre(import.import()));
}

// --- Bad references.

struct BadRef {
  const char* name;
  WireRef ref;
  absl::StatusCode code;
  const char* message;

  friend void PrintTo(const BadRef& bad, std::ostream* os) { *os << bad.name; }
};

class BadRefTest : public ProcessTest, public ::testing::WithParamInterface<BadRef> {};

TEST_P(BadRefTest, IsRefusedAndChangesNothing) {
  Export(kId);
  const auto status = process_->Import(GetParam().ref, kNow);

  EXPECT_THAT(status, StatusIs(GetParam().code, HasSubstr(GetParam().message)));
  EXPECT_EQ(process_->imports().size(), 0u);
  EXPECT_EQ(process_->imports().peers(), 0u);
  EXPECT_EQ(process_->counters().imports, 0u);
  EXPECT_THAT(strategy_->imported_, IsEmpty());
  EXPECT_THAT(strategy_->returned_, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadRefTest,
    ::testing::Values(
        BadRef{"NoOwner", {"", kRun, kId, "t", {}}, absl::StatusCode::kInvalidArgument, "no owner"},
        BadRef{"LongOwner",
               {std::string(256, 'o'), kRun, kId, "t", {}},
               absl::StatusCode::kInvalidArgument,
               "name is"},
        BadRef{"OwnerOfTwoLines",
               {"host:1\nevent=forged", kRun, kId, "t", {}},
               absl::StatusCode::kInvalidArgument,
               "printable ASCII"},
        BadRef{"NoIncarnation",
               {kOther, {}, kId, "t", {}},
               absl::StatusCode::kInvalidArgument,
               "no incarnation"},
        BadRef{"NoId", {kOther, kRun, {}, "t", {}}, absl::StatusCode::kInvalidArgument, "is zero"},
        BadRef{"LongType",
               {kOther, kRun, kId, std::string(256, 't'), {}},
               absl::StatusCode::kInvalidArgument,
               "type is too long"},
        BadRef{"OwnButZero", {kMe, kRun, {}, "t", {}}, absl::StatusCode::kInvalidArgument, "zero"},
        BadRef{"OwnOfAnotherRun",
               {kMe, Incarnation{78}, kId, "t", {}},
               absl::StatusCode::kFailedPrecondition,
               "host restarted"},
        BadRef{"OwnUnknown",
               {kMe, kRun, {9, 9}, "t", {}},
               absl::StatusCode::kNotFound,
               "never existed"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(ProcessTest, AReferenceOfTheGreatestLengthsIsTaken) {
  Import({std::string(255, 'o'), kRun, kId, std::string(255, 't'), {}});
}

TEST_F(ProcessTest, ResolveNamesOwnObjectsOnlyAndGivesNoHandle) {
  const Target object = Export(kId);

  EXPECT_THAT(process_->Resolve({kMe, kRun, kId, "blob", kToken}, kNow),
              testing::IsOkAndHolds(object.object()));
  EXPECT_THAT(process_->Resolve(Theirs(1), kNow),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("other:1")));
  EXPECT_THAT(strategy_->returned_, IsEmpty());
  process_->Drop(object, kNow);
  EXPECT_THAT(Settle(), ElementsAre(kId));
}

// --- Bounds.

TEST_F(ProcessTest, TheImportBeyondTheMaximumIsRefusedButNotAnotherOfTheSame) {
  Start({.self = kSelf, .imports_max = 1});
  const Target import = Import(Theirs(1));

  EXPECT_THAT(process_->Import(Theirs(2), kNow), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(Import(Theirs(1)), import);

  process_->Drop(import, kNow);
  process_->Drop(import, kNow);
  Import(Theirs(2));
}

TEST_F(ProcessTest, TheTypeBeyondTheMaximumIsRefused) {
  Start({.self = kSelf, .owner = kMe, .incarnation = kRun, .types_max = 1});
  Export(kId);

  EXPECT_THAT(process_->Export({1, 1}, "another"),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("1 types")));
  EXPECT_THAT(process_->Import(Theirs(1), kNow), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(process_->objects().live(), 1u);
  EXPECT_EQ(process_->imports().peers(), 0u);
  Export({1, 1});
}

TEST_F(ProcessTest, ReferencesThatArriveFillHalfOfTheTypes) {
  Start({.self = kSelf, .owner = kMe, .incarnation = kRun, .types_max = 4});
  const auto import = [this](const char* type) {
    WireRef ref = Theirs(1);
    ref.type = type;
    ref.id.low += static_cast<unsigned char>(type[0]);
    return process_->Import(ref, kNow);
  };
  EXPECT_THAT(import("a"), IsOk());
  EXPECT_THAT(import("b"), IsOk());
  EXPECT_THAT(import("c"), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("types")));
  EXPECT_THAT(process_->Export({1, 1}, "c"), IsOk());
  EXPECT_THAT(process_->Export({1, 2}, "d"), IsOk());
  EXPECT_THAT(import("d"), IsOk());
}

TEST_F(ProcessTest, ATypeThatNothingHasAnyMoreIsForgotten) {
  Start({.self = kSelf, .owner = kMe, .incarnation = kRun, .types_max = 3});
  for (uint64_t i = 1; i <= 10; ++i) {
    const auto object = process_->Export({1, i}, std::to_string(i));
    ASSERT_THAT(object, IsOk());
    WireRef ref = Theirs(i);
    ref.type = "their" + std::to_string(i);
    const Target import = Import(ref);
    EXPECT_EQ(process_->types().size(), 2u);
    EXPECT_EQ(process_->Describe(*object).type, std::to_string(i));
    EXPECT_EQ(process_->Describe(import).type, ref.type);

    process_->Unexport(object->object(), kNow);
    Settle();
    EXPECT_EQ(process_->Describe(*object).type, std::to_string(i)) << "a handle is left";
    process_->Drop(*object, kNow);
    process_->Drop(import, kNow);
    Settle();
    EXPECT_EQ(process_->types().size(), 0u);
  }
}

TEST_F(ProcessTest, WhatIsRefusedLeavesNoType) {
  Start({.self = kSelf,
         .owner = kMe,
         .incarnation = kRun,
         .objects = {.objects_max = 1},
         .imports_max = 1,
         .peers_max = 1});
  Export(kId);
  Import(Theirs(1));
  const size_t types = process_->types().size();

  EXPECT_FALSE(process_->Export({1, 1}, "a").ok());
  WireRef ref = Theirs(2);
  ref.type = "b";
  EXPECT_FALSE(process_->Import(ref, kNow).ok());
  ref.owner = "another:1";
  EXPECT_FALSE(process_->Import(ref, kNow).ok());

  EXPECT_EQ(process_->types().size(), types);
}

TEST_F(ProcessTest, TheOwnerBeyondTheMaximumIsRefused) {
  Start({.self = kSelf, .peers_max = 1});
  Import(Theirs(1));

  WireRef other = Theirs(1);
  other.owner = "another:1";
  EXPECT_THAT(process_->Import(other, kNow),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("owners")));
  Import(Theirs(2));
}

TEST_F(ProcessTest, ATypeThatIsTooLongIsRefused) {
  EXPECT_THAT(process_->Export(kId, std::string(256, 't')),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(process_->Export(kId, std::string(255, 't')), IsOk());
}

TEST_F(ProcessTest, AProcessThatHostsNothingImportsFromAnOwnerOfAnyName) {
  Start({.self = kSelf});
  EXPECT_TRUE(Import(Theirs(1)).is_import());
  EXPECT_THAT(process_->Import({"", kRun, kId, "", {}}, kNow),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

// --- Time and work.

TEST_F(ProcessTest, WakesAtTheEarlierOfTheTwo) {
  EXPECT_EQ(process_->wake_at(), std::nullopt);
  strategy_->wake_at_ = kNow;
  EXPECT_EQ(process_->wake_at(), kNow);

  process_->Drop(Export(kId), kNow);

  EXPECT_LT(*process_->wake_at(), kNow);
  Settle();
  EXPECT_EQ(process_->wake_at(), kNow);
}

TEST_F(ProcessTest, ObjectsAreReclaimedEvenWhileTheStrategyHasWorkForEver) {
  strategy_->work_ = 1'000'000;
  process_->Drop(Export(kId), kNow);

  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(process_->Work(10, kNow));

  EXPECT_EQ(process_->objects().live(), 0u);
}

TEST_F(ProcessTest, OutputsAreGivenOnce) {
  process_->Drop(Export(kId), kNow);
  EXPECT_THAT(Settle(), ElementsAre(kId));
  Outputs outputs;
  outputs.lost.emplace_back();

  process_->TakeOutputs(&outputs);

  EXPECT_THAT(outputs.reclaimed, IsEmpty());
  EXPECT_THAT(outputs.lost, IsEmpty());
}

TEST_F(ProcessTest, RefusalsAreCounted) {
  process_->Received(CleanRequest{}, kNow);
  EXPECT_EQ(process_->counters().refusals, 0u);
  process_->Received(RenewRequest{}, kNow);
  EXPECT_EQ(process_->counters().refusals, 1u);
}

}  // namespace
}  // namespace dgc
