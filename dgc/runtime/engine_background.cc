// The half of the engine that works by itself: outputs, the reaper, the finalizer, the end.

#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

#include "dgc/core/check.h"
#include "dgc/core/prefetch.h"
#include "dgc/runtime/engine.h"

namespace dgc {
namespace {

// After a turn that did something the reaper naps before it sleeps, and need not be woken
// meanwhile: under load it looks once per nap instead of being called by every input.
constexpr Duration kNap = std::chrono::milliseconds(1);

// While others want the lock and there is much to reap, the reaper rests this many times as long
// as it held it; with what a sleep takes beyond that, 10^6 objects go in two to four seconds.
constexpr int kRestPerHold = 4;
// But not longer, as it renews too: what seems a long hold was a pause of this process.
constexpr Duration kRestMax = std::chrono::milliseconds(5);
// Others are taken to want the lock for so long after the last of them had it.
constexpr Duration kBusy = std::chrono::milliseconds(20);

// How often channels are compared with the peers there are.
constexpr Duration kRetainInterval = std::chrono::seconds(10);

// A waiter looks again at least this often, whatever rings.
constexpr Duration kWaiterInterval = std::chrono::milliseconds(20);

// For ever, as far as a waiter is concerned; a sum of clock readings must not overflow.
constexpr Duration kWaitMax = std::chrono::hours(24 * 365);

// Whether it is something that this process noticed as a holder.
bool AboutPeer(Transition::Kind kind) {
  return kind == Transition::Kind::kRelisting || kind == Transition::Kind::kRefused ||
         kind == Transition::Kind::kOwnerRestarted || kind == Transition::Kind::kPeerFailing ||
         kind == Transition::Kind::kPeerRecovered;
}

}  // namespace

void Engine::Start() {
  transport_->Start([this](PeerIndex peer, uint64_t call, const Response& response) {
    Answered(peer, call, response);
  });
  if (!options_.background) return;
  finalizer_.Start();
  notifier_.Start();
  reaper_ = std::thread([this] { ReaperLoop(); });
}

// --- Outputs.

void Engine::Collect(TimePoint now, Effects* effects) {
  process_.TakeOutputs(&outputs_);
  if (!outputs_.sends.empty()) CollectSends(effects);
  if (!outputs_.reclaimed.empty()) CollectReclaimed();
  if (!outputs_.lost.empty()) CollectLost(now);
  if (!outputs_.hand_ons_expired.empty()) CollectHandOnsExpired();
  if (!outputs_.transitions.empty()) CollectTransitions();

  const TimePoint wake =
      chores_.empty() ? process_.wake_at().value_or(TimePoint::max()) : TimePoint::min();
  if (wake < sleeping_until_) {
    sleeping_until_ = TimePoint::min();
    effects->ring = true;
  }
  if (waiters_ > 0 && (Settled() || Clear())) waiter_alarm_.Ring();
}

void Engine::CollectSends(Effects* effects) {
  effects->sends.reserve(outputs_.sends.size());
  for (Send& send : outputs_.sends) {
    effects->sends.push_back({.owner = send.peer == kSelfPeer
                                           ? process_.options().owner
                                           : process_.imports().GetPeer(send.peer).owner,
                              .peer = send.peer,
                              .call = send.call,
                              .request = std::move(send.request),
                              .timeout = send.timeout});
  }
  in_flight_ += outputs_.sends.size();
}

// Before the lock is released: a position may be used again after that.
void Engine::CollectReclaimed() {
  constexpr size_t kAhead = 8;
  const WallTime time = StampNow();
  const std::vector<Reclaimed>& all = outputs_.reclaimed;
  const auto object = [&](size_t i) { return all[i].object; };
  // The analysis does not see in a lambda that mutex_ is held.
  FetchAhead<kAhead>(
      all.size(), [&](size_t i) ABSL_NO_THREAD_SAFETY_ANALYSIS { payloads_.Prefetch(object(i)); },
      [&](size_t i) ABSL_NO_THREAD_SAFETY_ANALYSIS { payloads_.PrefetchAddress(object(i)); },
      [&](size_t i) ABSL_NO_THREAD_SAFETY_ANALYSIS {
        std::shared_ptr<void> payload = payloads_.Take(object(i));
        if (payload == nullptr) return;  // Refused by AdoptType.
        chores_.finalizations.push_back(
            {all[i].id, all[i].reason, kinds_[all[i].type].wire_type, std::move(payload), time});
      });
}

void Engine::RememberLoss(ImportIndex import, const Loss& loss) {
  if (losses_.size() >= losses_sweep_at_) {
    const ImportTable& imports = process_.imports();
    absl::erase_if(losses_, [&imports](const auto& entry) {
      const ImportRecord& record = imports[entry.first];
      return !record.in_use || record.lost == LossCause::kNone;
    });
    losses_sweep_at_ = std::max<size_t>(1024, 2 * losses_.size());
  }
  losses_[import] = loss;
}

void Engine::CollectLost(TimePoint now) {
  for (const Lost& lost : outputs_.lost) {
    RememberLoss(lost.import, {lost.reclaim_reason, now - lost.reclaimed_ago});
    if (options_.on_lost == nullptr) continue;
    chores_.events.push_back(LossEvent{process_.Describe(Target(lost.import)), lost.cause,
                                       LossStatus(lost.import, now), StampNow()});
  }
}

void Engine::CollectHandOnsExpired() {
  if (options_.on_hand_on_expired == nullptr) return;
  for (HandOnExpired& expired : outputs_.hand_ons_expired) {
    chores_.events.push_back(
        HandOnExpiredEvent{std::move(expired.ref), expired.acknowledged, StampNow()});
  }
}

void Engine::CollectTransitions() {
  if (options_.on_transition == nullptr) return;
  for (const Transition& transition : outputs_.transitions) {
    TransitionEvent event{
        .transition = transition, .owner = {}, .incarnation = {}, .time = StampNow()};
    if (AboutPeer(transition.kind)) {
      const Peer& peer = process_.imports().GetPeer(transition.peer);
      event.owner = peer.owner;
      event.incarnation = peer.incarnation;
    }
    chores_.events.push_back(std::move(event));
  }
}

void Engine::Perform(Effects* effects) {
  if (effects->ring) reaper_alarm_.Ring();
  for (Outgoing& send : effects->sends) transport_->Send(std::move(send));
}

void Engine::Perform(Chores* chores) {
  finalizer_.Put(&chores->finalizations);
  // Half of the room is for losses: any stranger can cause transitions, and any owner can claim
  // that a hand-on was not taken up.  A loss takes a reference that was received.
  const uint64_t max = options_.events_waiting_max;
  uint64_t waiting = notifier_.waiting();
  const uint64_t dropped = std::erase_if(chores->events, [&](const Event& event) {
    const bool loss = std::holds_alternative<LossEvent>(event);
    if (waiting >= (loss ? max : (max + 1) / 2)) return true;
    ++waiting;
    return false;
  });
  events_dropped_.fetch_add(dropped, std::memory_order_relaxed);
  notifier_.Put(&chores->events);
}

// --- The reaper.

Duration Engine::Turn() {
  Chores scratch;
  return Turn(&scratch);
}

Duration Engine::Turn(Chores* scratch) {
  Effects effects;
  Chores& chores = *scratch;
  absl::flat_hash_set<std::string> owners;
  Duration sleep;
  {
    const MutexLock lock(&mutex_);
    const TimePoint begun = clock_->Now();
    if (planned_ <= begun) reap_lag_.Observe(begun - planned_);
    planned_ = TimePoint::max();
    const bool rung = sleeping_until_ == TimePoint::min() && !napping_;
    sleeping_until_ = TimePoint::min();
    napping_ = true;

    process_.Tick(begun);
    bool more = false;
    const bool room = finalizer_.waiting() < options_.finalizers_waiting_max;
    // After a goodbye, edges to others are nobody's concern any more.
    if (state_ == State::kRunning && room) more = Work(begun, &effects);
    Collect(begun, &effects);
    std::swap(chores, chores_);
    RetainChannels(begun, &owners);
    sleep = Pace(begun, more, rung || !room || !chores.empty() || !effects.sends.empty());
  }
  effects.ring = false;  // It is awake.
  Perform(&effects);
  Perform(&chores);
  chores.events = std::vector<Event>();  // Seldom any, and then perhaps very many.
  if (!owners.empty()) transport_->Retain(owners);
  return sleep;
}

bool Engine::Work(TimePoint now, Effects* effects) {
  bool more = true;
  for (size_t spent = 0; more && spent < kWorkBudget; spent += kWorkSlice) {
    more = process_.Work(kWorkSlice, now);
    Collect(now, effects);
    if (calls_.load(std::memory_order_relaxed) != calls_entered_) break;
  }
  return more;
}

Duration Engine::Pace(TimePoint begun, bool more, bool active) {
  const uint64_t calls = calls_.load(std::memory_order_relaxed);
  const TimePoint now = clock_->Now();
  if (std::exchange(calls_seen_, calls) != calls) busy_until_ = now + kBusy;
  if (more) {
    return now < busy_until_ ? std::min(kRestPerHold * (now - begun), kRestMax) : Duration::zero();
  }

  TimePoint until = process_.wake_at().value_or(TimePoint::max());
  // Work that must wait, because there is no room or this process is leaving.
  if (until == TimePoint::min()) until = now + kNap;
  if (active) until = std::min(until, now + kNap);
  if (until < now + options_.tick_max) planned_ = until;
  until = std::clamp(until, now, now + options_.tick_max);
  if (!active) {
    napping_ = false;
    sleeping_until_ = until;
  }
  return until - now;
}

void Engine::RetainChannels(TimePoint now, absl::flat_hash_set<std::string>* owners) {
  if (now < retained_at_ + kRetainInterval) return;
  retained_at_ = now;
  const ImportTable& imports = process_.imports();
  if (!transport_->MayFree(imports.peers())) return;
  owners->insert(process_.options().owner);  // What it sends to itself.  Nothing is called "".
  for (uint32_t i = 0; i < imports.peers_end(); ++i) {
    const std::string& owner = imports.GetPeer(PeerIndex{i}).owner;
    if (!owner.empty()) owners->insert(owner);
  }
}

void Engine::ReaperLoop() {
  // Rests between holds of the lock are shorter than the usual slack of a timer.
  prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
  Chores scratch;
  while (!stop_.load(std::memory_order_acquire)) {
    const Duration sleep = Turn(&scratch);
    if (sleep > Duration::zero()) reaper_alarm_.WaitFor(sleep);
  }
}

// --- The finalizer and the notifier.

void Engine::Finalize(Finalization* finalization) {
  const auto begun = std::chrono::steady_clock::now();
  if (options_.on_reclaim != nullptr) {
    options_.on_reclaim({finalization->id, *finalization->type, finalization->reason,
                         std::move(finalization->object), finalization->time});
  }
  finalization->object.reset();
  finalizer_duration_.Observe(std::chrono::steady_clock::now() - begun);
}

void Engine::Notify(const Event& event) const {
  if (const auto* loss = std::get_if<LossEvent>(&event)) options_.on_lost(*loss);
  if (const auto* expired = std::get_if<HandOnExpiredEvent>(&event)) {
    options_.on_hand_on_expired(*expired);
  }
  if (const auto* transition = std::get_if<TransitionEvent>(&event)) {
    options_.on_transition(*transition);
  }
}

void Engine::RunCallbacks() {
  notifier_.RunWaiting();
  finalizer_.RunWaiting();
}

// --- Waiting, and the end.

bool Engine::Settled() const {
  if (state_ != State::kRunning) return process_.Quiescent();
  return in_flight_ == 0 && process_.sizes().pending == 0;
}

bool Engine::Clear() const { return !process_.objects().has_work(); }

bool Engine::WaitUntil(bool (Engine::*holds)() const, Duration timeout) {
  const auto deadline =
      std::chrono::steady_clock::now() + std::clamp(timeout, Duration::zero(), kWaitMax);
  const MutexLock lock(&mutex_);
  ++waiters_;
  bool held = (this->*holds)();
  for (;;) {
    const auto left = deadline - std::chrono::steady_clock::now();
    if (held || left <= Duration::zero()) break;
    mutex_.Unlock();
    waiter_alarm_.WaitFor(std::min<Duration>(left, kWaiterInterval));
    if (!options_.background) Turn();
    mutex_.Lock();
    held = (this->*holds)();
  }
  --waiters_;
  return held;
}

bool Engine::Settle(Duration timeout) { return WaitUntil(&Engine::Settled, timeout); }

void Engine::Shutdown(Duration goodbye_timeout) {
  const MutexLock shutting_down(&shutdown_mutex_);
  {
    const MutexLock lock(&mutex_);
    if (state_ != State::kRunning) return;
  }
  const auto begun = std::chrono::steady_clock::now();
  // What has been called gone so far is given to on_reclaim too, unless finalizers are slow: the
  // owners have half of the time to themselves.
  WaitUntil(&Engine::Clear, goodbye_timeout / 2);
  Effects effects;
  {
    const MutexLock lock(&mutex_);
    state_ = State::kClosing;
    const TimePoint now = clock_->Now();
    process_.Goodbye(now);
    Collect(now, &effects);
  }
  Perform(&effects);
  WaitUntil(&Engine::Settled, goodbye_timeout - (std::chrono::steady_clock::now() - begun));

  {
    const MutexLock lock(&mutex_);
    state_ = State::kClosed;
  }
  transport_->Shutdown();
  stop_.store(true, std::memory_order_release);
  reaper_alarm_.Ring();
  if (reaper_.joinable()) reaper_.join();
  Chores chores;
  std::vector<std::shared_ptr<void>> payloads;
  {
    const MutexLock lock(&mutex_);
    std::swap(chores, chores_);
    payloads = payloads_.TakeAll();
  }
  Perform(&chores);
  finalizer_.Stop();
  notifier_.Stop();
  // Here the payloads go: not under the lock, as the application's destructors may drop Refs.
}

}  // namespace dgc
