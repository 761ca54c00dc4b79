// The half of the owner that time drives: what ends, and what holds that back.

#include <algorithm>
#include <utility>
#include <variant>

#include "dgc/core/probe.h"
#include "dgc/strategies/lease/owner.h"

namespace dgc {
namespace {

// The most deadlines decided in one Tick: each is O(1).
#ifdef DGC_SMALL_LIMITS  // So that few are enough for the simulator.
constexpr size_t kDeadlinesPerTick = 4;
#else
constexpr size_t kDeadlinesPerTick = 1024;
#endif

// How far apart calls to itself leave at least, and how long after one that failed the next does.
constexpr Duration kSelfCallInterval = std::chrono::milliseconds(10);
constexpr Duration kSelfCallRetry = std::chrono::milliseconds(100);

}  // namespace

bool LeaseOwner::HeardUntil(TimePoint deadline) {
  if (deadline <= heard_) return true;
  if (deadline + options_.self_call_timeout <= clock_.lease_now()) {
    DGC_PROBE("what has ended is decided without an answer");
    return true;
  }
  if (!calling_self_ && self_called_at_ + kSelfCallInterval <= clock_.lease_now()) {
    CallSelf(deadline);
  }
  return false;
}

void LeaseOwner::PutOff(const LeaseKey& key) {
  if (calling_self_) {
    undecided_.leases.push_back(key);
  } else {
    leases_.Add(self_called_at_ + kSelfCallInterval, key);
  }
}

void LeaseOwner::PutOff(const TransitKey& key) {
  if (calling_self_) {
    undecided_.transits.push_back(key);
  } else {
    DecideAgain(key, self_called_at_ + kSelfCallInterval);
  }
}

void LeaseOwner::CallSelf(TimePoint deadline) {
  calling_self_ = true;
  self_called_at_ = clock_.lease_now();
  ++context_.counters->self_calls;
  // Any request will do; this one changes nothing, as nobody has that id.
  RenewRequest request;
  request.client = {context_.random->Next() | 1, context_.random->Next()};
  request.owner = context_.owner;
  request.incarnation = context_.incarnation;
  request.sequence = SequenceNumber{1};
  request.key = {context_.random->Next(), context_.random->Next()};
  context_.outputs->sends.push_back({kSelfPeer, ++self_call_, request,
                                     deadline + options_.self_call_timeout - clock_.lease_now()});
}

void LeaseOwner::SelfAnswered(uint64_t call, const Response& response, TimePoint now) {
  clock_.Advance(now);
  if (!calling_self_ || call != self_call_) return;
  calling_self_ = false;
  TimePoint again = clock_.lease_now();
  if (std::holds_alternative<RenewResponse>(response)) {
    heard_ = self_called_at_;
  } else {
    DGC_PROBE("a call to itself fails");
    ++context_.counters->self_calls_failed;
    again += std::min(kSelfCallRetry, options_.self_call_timeout);
  }
  DecideAgain(undecided_, again);
}

void LeaseOwner::DecideAgain(Ended& ended, TimePoint at) {
  const Ended taken = std::exchange(ended, {});
  for (const LeaseKey& key : taken.leases) leases_.Add(at, key);
  for (const TransitKey& key : taken.transits) DecideAgain(key, at);
}

void LeaseOwner::DecideAgain(const TransitKey& key, TimePoint at) {
  const auto it = transits_.find(key);
  if (it != transits_.end()) Queue(key, it->second, at);
}

void LeaseOwner::ExpireLeases(size_t& limit) {
  const TimePoint now = clock_.lease_now();
  for (; limit > 0; --limit) {
    const auto key = leases_.TakeDue(now);
    if (!key.has_value()) return;
    Client& client = clients_[key->slot];
    if (client.serial != key->serial) continue;
    if (client.deadline > now) {
      leases_.Add(client.deadline, *key);
      continue;
    }
    const bool at_stake = client.at_stake();
    if (at_stake && !HeardUntil(client.deadline)) {
      PutOff(*key);
      continue;
    }
    if (at_stake && Braked()) {
      deferred_.leases.push_back(*key);
      continue;
    }
    if (at_stake && !client.limbo && options_.limbo > Duration::zero()) {
      client.limbo = true;
      ++in_limbo_;
      ++context_.counters->leases_limbo_entered;
      client.deadline = now + options_.limbo;
      leases_.Add(client.deadline, *key);
      context_.outputs->transitions.push_back({.kind = Transition::Kind::kClientLimbo,
                                               .client = client.id,
                                               .count = client.listings.size()});
      continue;
    }
    if (client.listings.size() > 0) {
      ++context_.counters->leases_lapsed;
      context_.outputs->transitions.push_back({.kind = Transition::Kind::kLeaseLapsed,
                                               .client = client.id,
                                               .count = client.listings.size()});
    }
    RemoveClient(key->slot, ReclaimReason::kLapse);
  }
}

void LeaseOwner::ExpireTransits(size_t& limit) {
  const TimePoint now = clock_.lease_now();
  for (; limit > 0; --limit) {
    const auto entry = transit_deadlines_.TakeDue(now);
    if (!entry.has_value()) return;
    const TransitKey key = entry->key();
    const auto it = transits_.find(key);
    if (it == transits_.end() || it->second.queued != entry->number) continue;
    if (it->second.deadline > now) {
      Queue(key, it->second, it->second.deadline);
      continue;
    }
    it->second.queued = 0;
    if (!HeardUntil(it->second.deadline)) {
      PutOff(key);
      continue;
    }
    if (Holding()) {
      deferred_.transits.push_back(key);
      DGC_PROBE("what is on its way is held back");
      continue;
    }
    const ObjectIndex object{key.object};
    if (Client* const declarer = DeclarerOf(key, it->second)) {
      Tell(*declarer, context_.objects->Get(object).id, TransitToken{key.token});
    }
    Close(it);
    ++context_.counters->transits_expired;
    context_.objects->Unhold(object, ReclaimReason::kTransitExpired);
  }
}

// Whether as many clients have missed their renewal as makes a cause of their own implausible.  A
// healthy client has at least two thirds of its term left.  O(clients), at most once per `pause`.
bool LeaseOwner::MassExpiry() const {
  uint64_t listing = 0;
  uint64_t overdue = 0;
  for (uint32_t slot = 0; slot < clients_.end(); ++slot) {
    const Client& client = clients_[slot];
    if (client.serial == 0 || client.listings.size() == 0) continue;
    ++listing;
    if (client.limbo || client.deadline - clock_.lease_now() < client.term / 3) ++overdue;
  }
  return overdue >= options_.brake_clients_min && overdue * 100 >= listing * options_.brake_percent;
}

bool LeaseOwner::Braked() {
  if (Holding() || mode_ == ReapingMode::kReleased) return Holding();
  const TimePoint now = clock_.lease_now();
  if (options_.brake_percent == 0 || now < brake_rest_until_) return false;
  if (brake_looked_ && now < brake_looked_at_ + options_.pause) return false;
  brake_looked_ = true;
  brake_looked_at_ = now;
  if (!MassExpiry()) return false;
  braking_ = true;
  brake_until_ = now + options_.brake_hold;
  ++context_.counters->brakes;
  context_.outputs->transitions.push_back(
      {.kind = Transition::Kind::kBrakeOn, .count = clients_.size()});
  return true;
}

// Lets everything held back be decided again; who has renewed meanwhile is safe.
void LeaseOwner::ReleaseDeferred() {
  const TimePoint now = clock_.lease_now();
  if (braking_) {
    braking_ = false;
    // Long enough for the backlog to go, and for what is slow to follow.
    brake_rest_until_ = now + options_.brake_hold + options_.term_default;
    context_.outputs->transitions.push_back(
        {.kind = Transition::Kind::kBrakeOff, .count = deferred_.size()});
  }
  DecideAgain(deferred_, now);
}

void LeaseOwner::SetReaping(ReapingMode mode) {
  if (mode == mode_) return;
  using Kind = Transition::Kind;
  context_.outputs->transitions.push_back(
      {.kind = mode == ReapingMode::kAutomatic ? Kind::kReapingAutomatic
               : mode == ReapingMode::kHeld    ? Kind::kReapingHeld
                                               : Kind::kReapingReleased,
       .count = deferred_.size()});
  mode_ = mode;
  // A brake that had gripped before goes on for its time, unless it is released.
  if (!Holding()) ReleaseDeferred();
}

void LeaseOwner::Tick(TimePoint now) {
  clock_.Advance(now);
  if (braking_ && clock_.lease_now() >= brake_until_ && mode_ != ReapingMode::kHeld) {
    ReleaseDeferred();
  }
  size_t limit = kDeadlinesPerTick;
  ExpireLeases(limit);
  ExpireTransits(limit);
  ForgetOld(limit);
  overdue_ = limit == 0;
  if (overdue_) DGC_PROBE("more has ended than one tick decides");
}

}  // namespace dgc
