// Engine: one Process with its lock, its clock, its three threads and its transport.
//
// What Owner, Holder and Ref are thin faces of.  Every input takes the one lock, reads the clock,
// is handed to the Process, and what the Process wants done is done after the lock is released.
// Nothing slow happens under the lock: no I/O, no destructor or callback of the application, at
// most kWorkBudget steps of deferred work (100 to 400 us), kWorkSlice once somebody waits for it.
//
//     any thread    inputs; the sends that they cause
//     reaper        Tick and Work when due; gives callers way while there is much to reap
//     finalizer     on_reclaim, and the last shared_ptr of reclaimed objects
//     notifier      events: the other callbacks, the log
//
// The last two may block as long as they like: leases are renewed and lapse all the same.
//
// Knows neither gRPC nor protobuf nor prometheus, so that it runs under ThreadSanitizer with
// fakes.  Thread-safe.  Must be Shutdown() before the last pointer goes; Refs may keep the (then
// lifeless) engine longer.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <typeinfo>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dgc/core/process.h"
#include "dgc/runtime/alarm.h"
#include "dgc/runtime/clock.h"
#include "dgc/runtime/events.h"
#include "dgc/runtime/histogram.h"
#include "dgc/runtime/mutex.h"
#include "dgc/runtime/payload_table.h"
#include "dgc/runtime/ref.h"
#include "dgc/runtime/stats.h"
#include "dgc/runtime/transport.h"
#include "dgc/runtime/worker.h"

namespace dgc {

struct EngineOptions {
  ProcessOptions process;
  StrategyFactory strategy;
  // The longest time between two ticks; at most half of LeaseOptions::pause.
  Duration tick_max = std::chrono::milliseconds(100);
  // As in Options.
  std::function<void(const ReclaimEvent&)> on_reclaim;
  std::function<void(const LossEvent&)> on_lost;
  std::function<void(const HandOnExpiredEvent&)> on_hand_on_expired;
  std::function<void(const TransitionEvent&)> on_transition;
  uint32_t finalizers_waiting_max = 1 << 16;
  uint32_t events_waiting_max = 1 << 16;
  // False: no threads; whoever made the engine calls Turn() and RunCallbacks().
  bool background = true;
};

// What an engine depends on.
struct EngineParts {
  std::shared_ptr<Clock> clock;
  std::unique_ptr<Random> random;
  std::unique_ptr<Transport> transport;
};

class Engine final : public std::enable_shared_from_this<Engine> {
 public:
  static std::shared_ptr<Engine> Make(EngineOptions options, EngineParts parts);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine();

  const ClientId& id() const { return options_.process.self; }

  // --- As Owner's methods of the same names; `cpp_type` is the static type behind the void.
  Ref Export(const std::shared_ptr<void>& object, std::string_view type,
             const std::type_info& cpp_type);
  absl::StatusOr<WireRef> ShareObject(const std::shared_ptr<void>& object, std::string_view type,
                                      const std::type_info& cpp_type, const ClientId& receiver);
  absl::StatusOr<WireRef> Share(const Ref& ref, const ClientId& receiver, Duration term);
  Ref Import(const WireRef& ref);
  absl::StatusOr<std::shared_ptr<void>> Find(const WireRef& ref, const std::type_info& cpp_type);
  absl::StatusOr<std::shared_ptr<void>> Find(const Ref& ref, const std::type_info& cpp_type);
  absl::Status Unexport(const WireRef& ref);
  absl::Status Unexport(const Ref& ref);
  absl::Status Link(const Ref& from, const Ref& to);
  absl::Status Unlink(const Ref& from, const Ref& to);
  // REQUIRES, of these: as many of one as of the other.
  absl::Status Link(std::span<const WireRef> from, std::span<const WireRef> to,
                    LinkFailure* failed);
  absl::Status Link(std::span<const Ref> from, std::span<const WireRef> to, LinkFailure* failed);
  absl::Status Unlink(std::span<const WireRef> from, std::span<const WireRef> to);
  absl::StatusOr<Edges> EdgesOf(const Ref& from, size_t limit);
  absl::Status Bind(std::string_view name, const Ref& object);
  absl::Status Unbind(std::string_view name);
  Ref Lookup(std::string_view name);
  bool Scan(uint32_t* cursor, size_t limit, const std::type_info& cpp_type,
            std::vector<std::shared_ptr<void>>* found);

  // --- For Ref.
  absl::Status StatusOf(Target target);
  bool Assured(Target target);
  WireRef Describe(Target target);
  void Drop(Target target);

  // Returns how many lapses were held back until now.
  uint64_t SetReaping(ReapingMode mode);

  // A request of a peer.  After Shutdown: Refusal kUnavailable.
  Response Received(const Request& request);

  // As Holder's.
  bool Settle(Duration timeout);
  void Shutdown(Duration goodbye_timeout);

  // --- For metrics.
  Stats stats();
  const Histogram& reap_lag() const { return reap_lag_; }
  const Histogram& finalizer_duration() const { return finalizer_duration_; }

  // One turn of the reaper; returns how long it may sleep now.
  Duration Turn();
  // Runs the finalizers and the callbacks for events that wait.
  void RunCallbacks();

  // The most steps of deferred work under one hold of the lock: in all, and from when a call
  // wants it.
  static constexpr size_t kWorkBudget = 1024;
  static constexpr size_t kWorkSlice = 64;

 private:
  enum class State : uint8_t { kRunning, kClosing, kClosed };

  // A C++ type that objects of one wire type have.
  struct Kind {
    const std::type_info* cpp_type =
        nullptr;  // Null while only references of others have that wire type.
    // Null likewise.  Shared with finalizations: once no object has it, its number is given away.
    std::shared_ptr<const std::string> wire_type;
  };
  struct Finalization {
    ObjectId id;
    ReclaimReason reason{};
    std::shared_ptr<const std::string> type;
    std::shared_ptr<void> object;
    WallTime time{};
  };
  struct Loss {
    ReclaimReason reclaim_reason{};
    TimePoint when{};
  };
  // What is to be done when the lock is released.
  struct Effects {
    std::vector<Outgoing> sends;
    bool ring = false;
  };
  using Event = std::variant<LossEvent, HandOnExpiredEvent, TransitionEvent>;
  // What the reaper gives to the other two threads.
  struct Chores {
    std::vector<Finalization> finalizations;
    std::vector<Event> events;
    bool empty() const { return finalizations.empty() && events.empty(); }
  };
  // One input: the lock from beginning to end, then the effects.
  class Input;
  // The lock for a call that changes nothing.
  class Look;

  Engine(EngineOptions options, EngineParts parts);
  void Start();

  void Answered(PeerIndex peer, uint64_t call, const Response& response);

  // Takes the Process's outputs: sends to `effects`, the rest to chores_.
  void Collect(TimePoint now, Effects* effects) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CollectSends(Effects* effects) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CollectReclaimed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CollectLost(TimePoint now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CollectHandOnsExpired() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CollectTransitions() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Perform(Effects* effects);
  void Perform(Chores* chores);
  // As above.  `scratch` is empty, before and after; keeping it saves allocations.
  Duration Turn(Chores* scratch);
  // Takes the lock for a call, to which the reaper gives way.
  void LockForCall() ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex_);
  // Works, and collects, until nothing is left to do, kWorkBudget is spent or a call wants the
  // lock; returns whether there is more.
  bool Work(TimePoint now, Effects* effects) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // How long the reaper may sleep, given what its turn came to.
  Duration Pace(TimePoint begun, bool more, bool active) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RetainChannels(TimePoint now, absl::flat_hash_set<std::string>* owners)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Status CheckRunning() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The target of a Ref given to a method.
  absl::StatusOr<Target> Held(const Ref& ref, TimePoint now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<ObjectIndex> Own(const Ref& ref, TimePoint now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<ObjectIndex> Own(const WireRef& ref, TimePoint now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  template <typename From>
  absl::Status LinkAll(std::span<const From> from, std::span<const WireRef> to,
                       LinkFailure* failed);
  // Counts a use of an own object that comes after its reclaim.
  void CountLate(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What Owner::Export does, but for the Ref: the object, with one more pin if `exported` says
  // that it is new.
  absl::StatusOr<ObjectIndex> ExportLocked(const std::shared_ptr<void>& object,
                                           std::string_view type, const std::type_info& cpp_type,
                                           bool* exported) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status AdoptType(uint16_t type, const std::type_info& cpp_type)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // REQUIRES: it has a payload.
  const Kind& KindOf(ObjectIndex object) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<std::shared_ptr<void>> PayloadOf(absl::StatusOr<ObjectIndex> object,
                                                  const std::type_info& cpp_type)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status StatusLocked(Target target, TimePoint now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // REQUIRES: it is lost.
  absl::Status LossStatus(ImportIndex import, TimePoint now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RememberLoss(ImportIndex import, const Loss& loss) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Nothing left to be said; while closing: and everything given up.
  bool Settled() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Nothing is left of what is known to be garbage.
  bool Clear() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Waits until it holds, turning the reaper by hand if there is no thread.
  bool WaitUntil(bool (Engine::*holds)() const, Duration timeout);

  Ref MakeRef(Target target);
  static Ref Refused(absl::Status status);

  void ReaperLoop();
  void Finalize(Finalization* finalization);
  void Notify(const Event& event) const;

  // Constant after construction.
  const EngineOptions options_;
  const std::shared_ptr<Clock> clock_;
  const std::unique_ptr<Random> random_;  // After construction: used by process_ only.
  const std::unique_ptr<Transport> transport_;

  // How many calls wanted the lock until now.
  std::atomic<uint64_t> calls_{0};
  Histogram reap_lag_;
  Histogram finalizer_duration_;

  // Held from the beginning of Shutdown() to its end, so that a second one returns after it.
  Mutex shutdown_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);

  Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kRunning;
  Process process_ ABSL_GUARDED_BY(mutex_);
  PayloadTable payloads_ ABSL_GUARDED_BY(mutex_);
  std::deque<Kind> kinds_ ABSL_GUARDED_BY(mutex_);  // By the Process's number of the wire type.
  // Imports that are lost; swept when it has doubled since the last time.
  absl::flat_hash_map<ImportIndex, Loss> losses_ ABSL_GUARDED_BY(mutex_);
  size_t losses_sweep_at_ ABSL_GUARDED_BY(mutex_) = 1024;
  Outputs outputs_ ABSL_GUARDED_BY(mutex_);  // Scratch of Collect.
  Chores chores_ ABSL_GUARDED_BY(mutex_);
  uint64_t in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t uses_after_reclaim_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t shares_refused_ ABSL_GUARDED_BY(mutex_) = 0;
  uint32_t waiters_ ABSL_GUARDED_BY(mutex_) = 0;
  // The reaper.  While it is awake, sleeping_until_ is in the past: nobody need wake it.
  TimePoint sleeping_until_ ABSL_GUARDED_BY(mutex_) = TimePoint::min();
  bool napping_ ABSL_GUARDED_BY(mutex_) = false;
  // When Tick is due, if it is the clock that wakes the reaper.
  TimePoint planned_ ABSL_GUARDED_BY(mutex_) = TimePoint::max();
  TimePoint retained_at_ ABSL_GUARDED_BY(mutex_) = TimePoint::min();
  uint64_t calls_entered_ ABSL_GUARDED_BY(mutex_) = 0;  // Those of calls_ that do not wait.
  uint64_t calls_seen_ ABSL_GUARDED_BY(mutex_) = 0;
  TimePoint busy_until_ ABSL_GUARDED_BY(mutex_) = TimePoint::min();

  Alarm reaper_alarm_;
  Alarm waiter_alarm_;
  std::atomic<bool> stop_{false};
  std::thread reaper_;

  Worker<Finalization> finalizer_;
  Worker<Event> notifier_;
  std::atomic<uint64_t> events_dropped_{0};
};

}  // namespace dgc
