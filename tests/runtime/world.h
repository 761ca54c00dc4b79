// World: engines that talk to each other in one thread, over a network and a clock moved by hand.
//
//     World world;
//     Engine& owner = world.AddOwner("owner:1");
//     Engine& holder = world.AddHolder();
//     ...
//     world.Run(seconds(1));      // time passes, messages arrive, background threads' turns
//
// Requests wait on the network until Run(); one may be lost, or all of them (Cut).  Not
// thread-safe, but for what engines with background threads use: the clock, and sending.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "dgc/runtime/engine.h"
#include "dgc/runtime/entropy.h"
#include "dgc/strategies/lease/lease.h"

namespace dgc::testing {

class ManualClock final : public Clock {
 public:
  TimePoint Now() override {
    if (reads_left_.load() > 0 && reads_left_.fetch_sub(1) == 1) Advance(jump_);
    return TimePoint(Duration(now_.load()));
  }
  void Advance(Duration duration) { now_.fetch_add(duration.count()); }
  // Just before the `read`th reading from now, as if the process was stopped there.
  void AdvanceAtRead(int read, Duration duration) {
    jump_ = duration;
    reads_left_ = read;
  }

 private:
  Duration jump_{};
  std::atomic<int> reads_left_{0};
  std::atomic<int64_t> now_{Duration(std::chrono::hours(1)).count()};
};

// What is on its way between engines.
class Network {
 public:
  struct Letter {
    Outgoing outgoing;
    Transport::Answered* answered;
  };

  void Post(Letter letter) {
    const MutexLock lock(&mutex_);
    letters_.push_back(std::move(letter));
  }
  // Carries what waits to `owners`, and the answers back; returns how many.
  size_t Deliver(const std::map<std::string, Engine*>& owners) {
    std::deque<Letter> letters;
    {
      const MutexLock lock(&mutex_);
      std::swap(letters, letters_);
    }
    for (Letter& letter : letters) {
      const auto owner = owners.find(letter.outgoing.owner);
      // What an engine sends to itself does not leave the machine.
      const bool to_itself = letter.outgoing.peer == kSelfPeer;
      if (!to_itself) delivered_.push_back(letter.outgoing.request);
      const Response response =
          owner == owners.end() || (cut_ && !to_itself)
              ? Response(Refusal{Refusal::Code::kUnknownOutcome, "no such host"})
              : owner->second->Received(letter.outgoing.request);
      (*letter.answered)(letter.outgoing.peer, letter.outgoing.call, response);
    }
    return letters.size();
  }
  void Forget(const Transport::Answered* answered) {
    const MutexLock lock(&mutex_);
    std::erase_if(letters_, [&](const Letter& letter) { return letter.answered == answered; });
  }

  // From now on nothing arrives, or everything does.
  void Cut(bool cut) { cut_ = cut; }
  // The requests delivered so far, also to nobody, but those to itself.
  const std::vector<Request>& delivered() const { return delivered_; }
  template <typename RequestType>
  size_t CountOf() const {
    size_t count = 0;
    for (const Request& request : delivered_) count += std::holds_alternative<RequestType>(request);
    return count;
  }

 private:
  Mutex mutex_;
  std::deque<Letter> letters_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> cut_ = false;
  std::vector<Request> delivered_;
};

class NetworkTransport final : public Transport {
 public:
  explicit NetworkTransport(Network* network) : network_(network) {}
  void Start(Answered answered) override { answered_ = std::move(answered); }
  void Send(Outgoing outgoing) override { network_->Post({std::move(outgoing), &answered_}); }
  bool MayFree(size_t) const override { return false; }
  void Retain(const absl::flat_hash_set<std::string>&) override {}
  void Shutdown() override { network_->Forget(&answered_); }

 private:
  Network* const network_;
  Answered answered_;
};

class World {
 public:
  // Short terms, so that little time has to pass.
  World() {
    lease.term_default = std::chrono::seconds(10);
    lease.transit_term = std::chrono::seconds(5);
    lease.brake_percent = 0;
  }
  ~World() {
    for (const auto& engine : engines_) engine->Shutdown(Duration::zero());
  }

  // How many objects have gone that count themselves here.
  int gone = 0;

  // What engines made from now on use.
  LeaseOptions lease;
  EngineOptions options;

  Engine& AddOwner(const std::string& name) {
    Engine& engine = Add(name);
    owners_[name] = &engine;
    return engine;
  }
  Engine& AddHolder() { return Add(""); }
  // Its requests and those to it come to nothing from now on; it keeps what it has.
  void Isolate(Engine& engine) {
    std::erase_if(owners_, [&](const auto& owner) { return owner.second == &engine; });
    std::erase(running_, &engine);
  }

  // One round: every engine's reaper and finalizer, and what is on the network.  Returns whether
  // anything was delivered.
  bool Step() {
    for (Engine* engine : running_) {
      while (engine->Turn() == Duration::zero()) {
      }
      engine->RunCallbacks();
    }
    return network.Deliver(owners_) > 0;
  }
  void Run(Duration duration) {
    constexpr Duration kStep = std::chrono::milliseconds(5);
    for (Duration passed{}; passed <= duration; passed += kStep) {
      while (Step()) {
      }
      clock->Advance(kStep);
    }
  }

  const std::shared_ptr<ManualClock> clock = std::make_shared<ManualClock>();
  Network network;

 private:
  Engine& Add(const std::string& name) {
    auto random = std::make_unique<Entropy>();
    EngineOptions engine = options;
    engine.process.self = {random->Next(), random->Next()};
    engine.process.owner = name;
    if (!name.empty()) engine.process.incarnation = Incarnation{random->Next() | 1};
    engine.strategy = LeaseStrategy(lease);
    engine.tick_max = lease.pause / 2;
    engine.background = false;
    engines_.push_back(Engine::Make(std::move(engine),
                                    {.clock = clock,
                                     .random = std::move(random),
                                     .transport = std::make_unique<NetworkTransport>(&network)}));
    running_.push_back(engines_.back().get());
    return *engines_.back();
  }

  std::vector<std::shared_ptr<Engine>> engines_;
  std::vector<Engine*> running_;
  std::map<std::string, Engine*> owners_;
};

// An object that tells when it goes.
struct Upload {
  explicit Upload(int* gone = nullptr) : gone(gone) {}
  ~Upload() {
    if (gone != nullptr) ++*gone;
  }
  int* const gone;
  Ref inner;
};

inline Ref Export(Engine& owner, const std::shared_ptr<Upload>& upload) {
  return owner.Export(upload, "upload", typeid(Upload));
}
inline WireRef Share(Engine& owner, const std::shared_ptr<Upload>& upload,
                     const ClientId& receiver = {}) {
  auto ref = owner.ShareObject(upload, "upload", typeid(Upload), receiver);
  return ref.ok() ? *std::move(ref) : WireRef{};
}

}  // namespace dgc::testing
