// Engines with their own threads, used by several at once: for ThreadSanitizer above all.
//
// Nothing here sleeps: threads run until they have done their share, and what happens in the
// background is waited for.
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/runtime/world.h"
#include "tests/testing/status_matchers.h"

namespace dgc::testing {
namespace {

constexpr Duration kLong = std::chrono::seconds(30);  // Bounds a wait that should be short.

// Engines with background threads, and a thread that carries their requests.
class ThreadedWorld {
 public:
  ThreadedWorld() : courier_([this] { Carry(); }) {}
  ~ThreadedWorld() {
    // Holders were made last; their goodbyes want an owner to hear them.
    for (auto engine = engines_.rbegin(); engine != engines_.rend(); ++engine) {
      (*engine)->Shutdown(kLong);
    }
    stop_.store(true);
    posted_.Ring();
    courier_.join();
  }

  EngineOptions options;
  LeaseOptions lease;

  Engine& Add(const std::string& name) {
    auto random = std::make_unique<Entropy>();
    EngineOptions engine = options;
    engine.process.self = {random->Next(), random->Next()};
    engine.process.owner = name;
    if (!name.empty()) engine.process.incarnation = Incarnation{random->Next() | 1};
    engine.strategy = LeaseStrategy(lease);
    engines_.push_back(Engine::Make(
        std::move(engine), {.clock = std::make_shared<BootClock>(),
                            .random = std::move(random),
                            .transport = std::make_unique<RingingTransport>(&network_, &posted_)}));
    if (!name.empty()) {
      const MutexLock lock(&mutex_);
      owners_[name] = engines_.back().get();
    }
    return *engines_.back();
  }
  // Nobody is reached any more.
  void Cut() { network_.Cut(true); }

 private:
  class RingingTransport final : public Transport {
   public:
    RingingTransport(Network* network, Alarm* posted) : inner_(network), posted_(posted) {}
    void Start(Answered answered) override {
      inner_.Start([this, answered = std::move(answered)](PeerIndex peer, uint64_t call,
                                                          const Response& response) {
        const MutexLock lock(&mutex_);
        if (!shut_down_) answered(peer, call, response);
      });
    }
    void Send(Outgoing outgoing) override {
      inner_.Send(std::move(outgoing));
      posted_->Ring();
    }
    bool MayFree(size_t) const override { return false; }
    void Retain(const absl::flat_hash_set<std::string>&) override {}
    void Shutdown() override {
      inner_.Shutdown();
      const MutexLock lock(&mutex_);
      shut_down_ = true;
    }

   private:
    NetworkTransport inner_;
    Alarm* const posted_;
    Mutex mutex_;
    bool shut_down_ ABSL_GUARDED_BY(mutex_) = false;
  };

  void Carry() {
    while (!stop_.load()) {
      std::map<std::string, Engine*> owners;
      {
        const MutexLock lock(&mutex_);
        owners = owners_;
      }
      if (network_.Deliver(owners) == 0) posted_.WaitFor(kLong);
    }
  }

  Network network_;
  Alarm posted_;
  std::vector<std::shared_ptr<Engine>> engines_;
  Mutex mutex_;
  std::map<std::string, Engine*> owners_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> stop_{false};
  std::thread courier_;
};

// Counts down from destructors, and is waited for.
class Countdown {
 public:
  explicit Countdown(int count) : left_(count) {}
  void Down() {
    if (left_.fetch_sub(1) == 1) done_.Ring();
  }
  bool Wait() { return done_.WaitFor(kLong); }
  int left() const { return left_.load(); }

 private:
  std::atomic<int> left_;
  Alarm done_;
};

struct Counted {
  explicit Counted(Countdown* countdown) : countdown(countdown) {}
  ~Counted() { countdown->Down(); }
  Countdown* const countdown;
};

// Waits for what the background does; false if it does not in any reasonable time.
bool Comes(const std::function<bool()>& come) {
  const auto patience = std::chrono::steady_clock::now() + kLong;
  while (!come()) {
    if (std::chrono::steady_clock::now() > patience) return false;
    std::this_thread::yield();
  }
  return true;
}

void InParallel(int threads, const std::function<void(int)>& body) {
  std::vector<std::thread> running;
  for (int i = 0; i < threads; ++i) running.emplace_back([&body, i] { body(i); });
  for (std::thread& thread : running) thread.join();
}

// Has a request of a client meet the reaper when the client's term ends, round after round.
class DeadlineRace {
 public:
  // What has become of the round's client and object, apart from what it was answered.
  struct Outcome {
    uint64_t lapses = 0;
    uint64_t listings = 0;
    absl::Status found;
    int gone = 0;
  };

  explicit DeadlineRace(Duration self_call_timeout) {
    world_.lease.term_default = kTerm;
    world_.lease.self_call_timeout = self_call_timeout;
    owner_ = &world_.AddOwner("owner:1");
    reaper_ = std::thread([this] { Reap(); });
  }
  ~DeadlineRace() {
    over_.store(true);
    reaper_.join();
  }

  // One round; `request_for` makes the request from the one by which the client listed its object.
  template <typename TypedResponse, typename RequestFor>
  TypedResponse Run(RequestFor request_for, Outcome* outcome) {
    const WireRef ref = Share(*owner_, std::make_shared<Upload>(&world_.gone));
    const DirtyRequest listing{.client = {0, ++rounds_},
                               .incarnation = ref.incarnation,
                               .sequence = SequenceNumber{1},
                               .rows = {{ref.id, ref.transit}},
                               .owner = ref.owner};
    EXPECT_TRUE(std::get<DirtyResponse>(owner_->Received(listing)).failures.empty());
    const uint64_t lapsed = owner_->stats().counters.leases_lapsed;
    const int gone = world_.gone;
    world_.clock->Advance(kTerm);

    begun_.store(rounds_);
    Wait(reaper_ahead_);
    const Response response = owner_->Received(request_for(listing));
    while (done_.load() != rounds_) std::this_thread::yield();

    *outcome = {.lapses = owner_->stats().counters.leases_lapsed - lapsed,
                .listings = owner_->stats().sizes.listings,
                .found = owner_->Find(ref, typeid(Upload)).status(),
                .gone = world_.gone - gone};
    owner_->Received(GoodbyeRequest{.client = listing.client,
                                    .incarnation = listing.incarnation,
                                    .sequence = SequenceNumber{3},
                                    .owner = listing.owner});
    world_.Step();
    EXPECT_EQ(owner_->stats().objects, 0u);
    return std::get<TypedResponse>(response);
  }
  // Who came first this time gives the other more of a start from now on, so that the two keep
  // meeting.
  void Balance(bool request_was_first) { reaper_ahead_ += request_was_first ? 1 : -1; }

 private:
  static constexpr Duration kTerm = std::chrono::milliseconds(200);

  static void Wait(int moments) {
    for (; moments > 0; --moments) std::this_thread::yield();
  }
  void Reap() {
    while (!over_.load()) {
      const uint64_t round = begun_.load();
      if (round == done_.load()) {
        std::this_thread::yield();
        continue;
      }
      Wait(-reaper_ahead_);
      while (world_.Step()) {
      }
      done_.store(round);
    }
  }

  World world_;
  Engine* owner_ = nullptr;
  uint64_t rounds_ = 0;
  int reaper_ahead_ = 0;
  // While a round is under way the reaper has its thread; between rounds all is its caller's.
  std::atomic<uint64_t> begun_{0};
  std::atomic<uint64_t> done_{0};
  std::atomic<bool> over_{false};
  std::thread reaper_;
};

// Races until either side has won often.  `told_ok`: whether the request was carried out in time,
// going by the answer; then the object and its listing are there still, and otherwise the lease has
// lapsed: one of the two.
template <typename TypedResponse, typename RequestFor, typename ToldOk>
void ExpectOneOfTheTwo(RequestFor request_for, ToldOk told_ok) {
  constexpr int kWins = 1000;
  for (const Duration self_call_timeout : {Duration::zero(), kLong}) {
    DeadlineRace race(self_call_timeout);
    int in_time = 0;
    int late = 0;
    EXPECT_TRUE(Comes([&] {
      DeadlineRace::Outcome outcome;
      const bool ok = told_ok(race.Run<TypedResponse>(request_for, &outcome));
      ++(ok ? in_time : late);
      race.Balance(ok);
      EXPECT_EQ(outcome.lapses, ok ? 0u : 1u);
      EXPECT_EQ(outcome.listings, ok ? 1u : 0u);
      EXPECT_THAT(outcome.found,
                  StatusIs(ok ? absl::StatusCode::kOk : absl::StatusCode::kNotFound));
      EXPECT_EQ(outcome.gone, ok ? 0 : 1);
      return ::testing::Test::HasFailure() || (in_time >= kWins && late >= kWins);
    })) << in_time
        << " in time, " << late << " late";
  }
}

TEST(EngineThreadsTest, AnEngineHasThreeThreads) {
  const auto threads = [] {
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return std::distance(begin(tasks), end(tasks));
  };
  ThreadedWorld world;
  const auto before = threads();
  world.Add("owner:1");
  EXPECT_EQ(threads(), before + 3);
}

TEST(EngineThreadsTest, CopiesDroppedByManyThreadsReclaimTheObjectOnce) {
  Countdown gone(1);
  ThreadedWorld world;
  Engine& owner = world.Add("owner:1");
  Ref ref = owner.Export(std::make_shared<Counted>(&gone), "counted", typeid(Counted));

  InParallel(4, [&ref](int) {
    std::vector<Ref> copies;
    for (int i = 0; i < 20'000; ++i) {
      copies.push_back(ref);
      if (i % 7 == 0) copies.clear();
    }
  });
  EXPECT_EQ(gone.left(), 1);
  ref.reset();

  EXPECT_TRUE(gone.Wait());
}

TEST(EngineThreadsTest, ManyThreadsExportShareImportLinkAndDrop) {
  constexpr int kThreads = 4;
  constexpr int kObjects = 500;
  Countdown gone(kThreads * kObjects);
  ThreadedWorld world;
  Engine& owner = world.Add("owner:1");
  Engine& holder = world.Add("");

  InParallel(kThreads, [&](int thread) {
    Ref previous;
    for (int i = 0; i < kObjects; ++i) {
      const auto object = std::make_shared<Counted>(&gone);
      Ref own = owner.Export(object, "counted", typeid(Counted));
      if (previous) {
        EXPECT_THAT(owner.Link(own, previous), IsOk());
      }
      const std::string name = "name-" + std::to_string(thread);
      EXPECT_THAT(owner.Bind(name, own), IsOk());
      EXPECT_THAT(owner.Lookup(name).status(), IsOk());
      const auto shared = owner.ShareObject(object, "counted", typeid(Counted), holder.id());
      ASSERT_THAT(shared, IsOk());
      const Ref held = holder.Import(*shared);
      EXPECT_THAT(held.status(), IsOk());
      EXPECT_THAT(owner.Find(*shared, typeid(Counted)), IsOk());
      previous = std::move(own);
    }
    EXPECT_THAT(owner.Unbind("name-" + std::to_string(thread)), IsOk());
  });

  EXPECT_TRUE(gone.Wait()) << gone.left() << " left";
  EXPECT_EQ(owner.stats().objects, 0u);
}

TEST(EngineThreadsTest, SettleWaitsUntilTheOwnerKnows) {
  Countdown gone(1);
  ThreadedWorld world;
  Engine& owner = world.Add("owner:1");
  Engine& holder = world.Add("");
  const auto shared =
      owner.ShareObject(std::make_shared<Counted>(&gone), "counted", typeid(Counted), holder.id());
  ASSERT_THAT(shared, IsOk());
  Ref ref = holder.Import(*shared);

  EXPECT_TRUE(holder.Settle(kLong));
  EXPECT_EQ(owner.stats().sizes.listings, 1u);
  EXPECT_EQ(owner.stats().sizes.transits, 0u);

  ref.reset();
  EXPECT_TRUE(holder.Settle(kLong));
  EXPECT_EQ(owner.stats().sizes.listings, 0u);
  EXPECT_TRUE(gone.Wait());
}

TEST(EngineThreadsTest, SlowFinalizerHoldsUpNeitherCallsNorRenewalsNorOtherReclaims) {
  Countdown entered(1);
  Countdown gone(13);
  Alarm let_go;
  ThreadedWorld world;
  world.lease.term_default = std::chrono::seconds(1);
  world.options.on_reclaim = [&](const ReclaimEvent& event) {
    if (event.type != "slow") return;
    entered.Down();
    let_go.WaitFor(kLong);
  };
  Engine& owner = world.Add("owner:1");
  Engine& holder = world.Add("");
  const auto share = [&] {
    return *owner.ShareObject(std::make_shared<Counted>(&gone), "kept", typeid(Counted),
                              holder.id());
  };
  Ref kept = holder.Import(share());
  ASSERT_TRUE(holder.Settle(kLong));
  owner.Export(std::make_shared<Counted>(&gone), "slow", typeid(Counted));
  ASSERT_TRUE(entered.Wait());

  Ref another = holder.Import(share());
  EXPECT_TRUE(holder.Settle(kLong));
  EXPECT_EQ(owner.stats().sizes.listings, 2u);
  another.reset();
  EXPECT_TRUE(holder.Settle(kLong));
  EXPECT_EQ(owner.stats().sizes.listings, 1u);

  for (int i = 0; i < 10; ++i) {
    owner.Export(std::make_shared<Counted>(&gone), "quick", typeid(Counted));
  }
  EXPECT_TRUE(Comes([&] { return owner.stats().objects == 1; }));
  EXPECT_EQ(owner.stats().finalizers_waiting, 12u);

  const uint64_t renewed = owner.stats().counters.leases_renewed;
  EXPECT_TRUE(Comes([&] { return owner.stats().counters.leases_renewed >= renewed + 3; }));
  EXPECT_THAT(kept.status(), IsOk());
  EXPECT_EQ(owner.stats().counters.leases_lapsed, 0u);

  EXPECT_EQ(gone.left(), 13) << "the finalizer has held up nothing but other finalizers";
  let_go.Ring();
  kept.reset();
  EXPECT_TRUE(gone.Wait());
}

TEST(EngineThreadsTest, AStuckLogHoldsUpNeitherReclaimsNorFinalizers) {
  Countdown entered(1);
  Countdown gone(10);
  Alarm let_go;
  ThreadedWorld world;
  world.options.on_transition = [&](const TransitionEvent& event) {
    if (event.transition.kind != Transition::Kind::kReapingHeld) return;
    entered.Down();
    let_go.WaitFor(kLong);
  };
  Engine& owner = world.Add("owner:1");
  owner.SetReaping(ReapingMode::kHeld);
  ASSERT_TRUE(entered.Wait());

  owner.SetReaping(ReapingMode::kAutomatic);
  for (int i = 0; i < 10; ++i) {
    owner.Export(std::make_shared<Counted>(&gone), "counted", typeid(Counted));
  }
  EXPECT_TRUE(gone.Wait());
  EXPECT_GE(owner.stats().events_waiting, 1u);
  let_go.Ring();
}

TEST(EngineThreadsTest, TransitionsAreToldInTheOrderInWhichTheyHappened) {
  constexpr int kRounds = 200;
  Countdown told(3 * kRounds);
  std::vector<Transition::Kind> kinds;
  ThreadedWorld world;
  world.options.on_transition = [&](const TransitionEvent& event) {
    kinds.push_back(event.transition.kind);
    told.Down();
  };
  Engine& owner = world.Add("owner:1");
  for (int i = 0; i < kRounds; ++i) {
    owner.SetReaping(ReapingMode::kHeld);
    owner.SetReaping(ReapingMode::kReleased);
    owner.SetReaping(ReapingMode::kAutomatic);
  }
  ASSERT_TRUE(told.Wait());
  for (size_t i = 0; i < kinds.size(); i += 3) {
    EXPECT_EQ(kinds[i], Transition::Kind::kReapingHeld);
    EXPECT_EQ(kinds[i + 1], Transition::Kind::kReapingReleased);
    EXPECT_EQ(kinds[i + 2], Transition::Kind::kReapingAutomatic);
  }
}

TEST(EngineThreadsTest, ASecondShutdownReturnsWhenEverythingHasStoppedToo) {
  Countdown entered(1);
  std::atomic<bool> inside{false};
  std::atomic<bool> let_go{false};
  ThreadedWorld world;
  world.options.on_reclaim = [&](const ReclaimEvent&) {
    inside.store(true);
    entered.Down();
    while (!let_go.load()) std::this_thread::yield();
    inside.store(false);
  };
  Engine& owner = world.Add("owner:1");
  owner.Export(std::make_shared<int>(1), "int", typeid(int));
  ASSERT_TRUE(entered.Wait());

  std::thread first([&] { owner.Shutdown(Duration::zero()); });
  while (owner.Export(std::make_shared<int>(1), "int", typeid(int)).ok()) {
    std::this_thread::yield();
  }
  std::thread release([&] { let_go.store(true); });
  owner.Shutdown(Duration::zero());
  EXPECT_FALSE(inside.load());
  first.join();
  release.join();
}

TEST(EngineThreadsTest, WhatWasUnexportedIsGivenToOnReclaimThoughTheOwnerIsShutDownAtOnce) {
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> reclaimed{0};
    ThreadedWorld world;
    world.options.on_reclaim = [&](const ReclaimEvent&) { ++reclaimed; };
    Engine& owner = world.Add("owner:1");
    const Ref ref = owner.Export(std::make_shared<int>(1), "int", typeid(int));
    ASSERT_TRUE(owner.Unexport(ref).ok());
    owner.Shutdown(kLong);
    EXPECT_EQ(reclaimed, 1);
  }
}

TEST(EngineThreadsTest, GoodbyeEndsEverythingAtOnce) {
  Countdown gone(100);
  ThreadedWorld world;
  Engine& owner = world.Add("owner:1");
  Engine& holder = world.Add("");
  std::vector<Ref> refs;
  for (int i = 0; i < 100; ++i) {
    refs.push_back(holder.Import(*owner.ShareObject(std::make_shared<Counted>(&gone), "counted",
                                                    typeid(Counted), holder.id())));
  }
  ASSERT_TRUE(holder.Settle(kLong));
  holder.Shutdown(kLong);

  EXPECT_TRUE(gone.Wait());
  EXPECT_EQ(owner.stats().sizes.clients, 0u);
  EXPECT_EQ(owner.stats().counters.goodbyes, 1u);
}

TEST(EngineThreadsTest, AGoodbyeWaitsForAnOwnerThatIsSilentNoLongerThanItMay) {
  ThreadedWorld world;
  Engine& owner = world.Add("owner:1");
  Engine& holder = world.Add("");
  const Ref ref =
      holder.Import(*owner.ShareObject(std::make_shared<int>(1), "int", typeid(int), holder.id()));
  ASSERT_TRUE(holder.Settle(kLong));
  world.Cut();
  constexpr auto kTimeout = std::chrono::milliseconds(100);
  const auto begun = std::chrono::steady_clock::now();
  holder.Shutdown(kTimeout);
  const auto took = std::chrono::steady_clock::now() - begun;
  EXPECT_GE(took, kTimeout / 2);
  EXPECT_LT(took, 20 * kTimeout);
  EXPECT_EQ(owner.stats().counters.goodbyes, 0u);
}

TEST(EngineThreadsTest, ShutdownWhileOthersUseItIsSafe) {
  for (int round = 0; round < 20; ++round) {
    ThreadedWorld world;
    Engine& owner = world.Add("owner:1");
    Engine& holder = world.Add("");
    std::atomic<bool> stop{false};
    std::thread user([&] {
      while (!stop.load()) {
        const auto shared =
            owner.ShareObject(std::make_shared<int>(1), "int", typeid(int), holder.id());
        if (!shared.ok()) continue;
        const Ref ref = holder.Import(*shared);
        (void)ref.status();
      }
    });
    holder.Shutdown(std::chrono::milliseconds(1));
    owner.Shutdown(Duration::zero());
    stop.store(true);
    user.join();
  }
}

TEST(EngineThreadsTest, ARenewalThatMeetsTheDeadlineWinsOrIsToldOfTheLapse) {
  ExpectOneOfTheTwo<RenewResponse>(
      [](const DirtyRequest& listing) {
        RenewRequest request{.client = listing.client,
                             .incarnation = listing.incarnation,
                             .sequence = listing.sequence,
                             .owner = listing.owner};
        request.held.Add(listing.rows[0].id);
        return request;
      },
      [](const RenewResponse& renewal) {
        EXPECT_NE(renewal.result, RenewResult::kDiffers);
        return renewal.result == RenewResult::kOk;
      });
}

TEST(EngineThreadsTest, ADirtyThatMeetsTheDeadlineListsOrIsToldThatTheObjectHasGone) {
  ExpectOneOfTheTwo<DirtyResponse>(
      [](const DirtyRequest& listing) {
        DirtyRequest request = listing;
        request.sequence = SequenceNumber{2};
        request.rows[0].transit = {};
        return request;
      },
      [](const DirtyResponse& dirty) {
        if (dirty.failures.empty()) return true;
        EXPECT_EQ(dirty.failures[0].reason, FailureReason::kReclaimed);
        EXPECT_EQ(dirty.failures[0].reclaim_reason, ReclaimReason::kLapse);
        return false;
      });
}

TEST(EngineThreadsTest, TurnEndsSoonOnceACallWantsTheLock) {
  ThreadedWorld world;
  world.options.background = false;
  Engine& owner = world.Add("owner:1");
  std::atomic<bool> stop{false};
  std::thread caller([&] {
    while (!stop.load()) owner.Lookup("nobody");
  });

  // Each of these objects is one step.  Sooner or later a call comes early in a turn.
  uint64_t least = Engine::kWorkBudget;
  const bool came = Comes([&] {
    uint64_t left = 2 * Engine::kWorkBudget;
    for (uint64_t i = 0; i < left; ++i) Export(owner, std::make_shared<Upload>());
    while (left > 0) {
      owner.Turn();
      const uint64_t before = std::exchange(left, owner.stats().objects);
      if (left > 0) least = std::min(least, before - left);
    }
    owner.RunCallbacks();
    return least == Engine::kWorkSlice;
  });
  stop.store(true);
  caller.join();

  EXPECT_TRUE(came) << least;
}

}  // namespace
}  // namespace dgc::testing
