#include "dgc/strategies/lease/owner.h"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "dgc/core/check.h"
#include "dgc/core/prefetch.h"
#include "dgc/core/probe.h"

namespace dgc {
namespace {

Refusal Refuse(Refusal::Code code, std::string message) { return {code, std::move(message)}; }

}  // namespace

LeaseOwner::LeaseOwner(const LeaseOptions& options, const Strategy::Context& context)
    : options_(options), context_(context), clock_(options.pause) {}

Duration LeaseOwner::Grant(Duration requested) const {
  return std::min(std::max(TermFor(options_, requested), TermFloor()), options_.term_max);
}

// A client renews about three times per term.
Duration LeaseOwner::TermFloor() const {
  if (options_.renewals_per_second_max == 0) return Duration::zero();
  return Duration(std::chrono::seconds(3)) * clients_.size() / options_.renewals_per_second_max;
}

bool LeaseOwner::Impostor(const ClientId& id, const ClientKey& key) const {
  if (const auto it = client_by_id_.find(id); it != client_by_id_.end()) {
    return clients_[it->second].key != key;
  }
  const auto it = departed_.find(id);
  return it != departed_.end() && it->second.key != key;
}

Refusal LeaseOwner::TooManyClients() const {
  return Refuse(Refusal::Code::kResourceExhausted,
                absl::StrCat("this owner keeps ", options_.clients_max, " clients at most"));
}

uint32_t LeaseOwner::NewSerial() {
  if (next_serial_ == 0) next_serial_ = 1;  // 0 is nobody.
  return next_serial_++;
}

LeaseOwner::Client* LeaseOwner::FindClient(const ClientId& id) {
  const auto it = client_by_id_.find(id);
  return it == client_by_id_.end() ? nullptr : &clients_[it->second];
}

LeaseOwner::Client* LeaseOwner::FindOrAddClient(const ClientId& id, const ClientKey& key,
                                                Duration term) {
  if (Client* client = FindClient(id); client != nullptr) return client;
  if (clients_.size() >= options_.clients_max) return nullptr;
  const uint32_t slot = clients_.Allocate();
  Client& client = clients_[slot];
  client.id = id;
  client.key = key;
  client.serial = NewSerial();
  client.account = client.serial;
  client.listings = PairTable(context_.random->Next());
  client.deadline = clock_.lease_now() + term;
  client.term = term;
  if (const auto it = departed_.find(id); it != departed_.end()) {
    client.watermark = it->second.watermark;
    DGC_PROBE("a departed client returns with its watermark");
    client.account = it->second.account;
    departed_.erase(it);
  }
  client_by_id_.emplace(id, slot);
  leases_.Add(client.deadline, {slot, client.serial});
  ++context_.counters->leases_granted;
  context_.outputs->transitions.push_back(
      {.kind = Transition::Kind::kClientAppeared, .client = id});
  return &client;
}

// Never moves a deadline earlier: a delayed request must not shorten what a later one extended.
void LeaseOwner::Extend(Client& client, Duration term) {
  client.deadline = std::max(client.deadline, clock_.lease_now() + term);
  client.term = term;
  if (client.limbo) {
    client.limbo = false;
    --in_limbo_;
    ++context_.counters->leases_resurrected;
    context_.outputs->transitions.push_back({.kind = Transition::Kind::kClientResurrected,
                                             .client = client.id,
                                             .count = client.listings.size()});
  }
}

void LeaseOwner::RememberDeparted(const ClientId& id, const Departed& departed) {
  if (options_.departed_max == 0) return;
  while (departed_order_.size() >= options_.departed_max) {
    DGC_PROBE("a departed client is forgotten for want of room");
    const auto oldest = departed_.find(departed_order_.front().first);
    // It may have come back, and left again later.
    if (oldest != departed_.end() && oldest->second.forget == departed_order_.front().second) {
      departed_.erase(oldest);
    }
    departed_order_.pop_front();
  }
  const TimePoint forget = clock_.lease_now() + options_.departed_term;
  departed_[id] = departed;
  departed_[id].forget = forget;
  departed_order_.emplace_back(id, forget);
}

void LeaseOwner::ForgetOld(size_t& limit) {
  for (; limit > 0 && !named_order_.empty() && named_order_.front().second <= clock_.lease_now();
       --limit) {
    named_.erase(named_order_.front().first);
    named_order_.pop_front();
  }
  for (; limit > 0 && !departed_order_.empty() &&
         departed_order_.front().second <= clock_.lease_now();
       --limit) {
    const auto it = departed_.find(departed_order_.front().first);
    // It may have come back, and left again later.
    if (it != departed_.end() && it->second.forget <= clock_.lease_now()) departed_.erase(it);
    departed_order_.pop_front();
  }
}

void LeaseOwner::RemoveClient(uint32_t slot, ReclaimReason why) {
  Client& client = clients_[slot];
  RememberDeparted(client.id, {client.key, client.account, client.watermark});
  if (client.limbo) --in_limbo_;
  notices_ -= client.notices.size();
  listings_ -= client.listings.size();
  context_.counters->listings_removed += client.listings.size();
  if (client.listings.size() > 0) {
    reaping_listings_ += client.listings.size();
    reaping_.push_back({std::move(client.listings), 0, why});
  }
  client_by_id_.erase(client.id);
  clients_.Free(slot);
  // The deadlines of clients that left early are kept a constant share.
  if (leases_.size() >= kCompactMin && leases_.size() > 2 * clients_.size()) {
    DGC_PROBE("the deadlines of leases are compacted");
    leases_.Compact(
        [this](const LeaseKey& key) { return clients_[key.slot].serial != key.serial; });
  }
  for (Ended* ended : {&undecided_, &deferred_}) {
    if (ended->leases.size() < kCompactMin || ended->leases.size() <= 2 * clients_.size()) continue;
    std::erase_if(ended->leases,
                  [this](const LeaseKey& key) { return clients_[key.slot].serial != key.serial; });
  }
}

Response LeaseOwner::Received(const Request& request, TimePoint now) {
  clock_.Advance(now);
  return std::visit(
      [&](const auto& typed) -> Response {
        if (!typed.client.valid()) {
          return Refuse(Refusal::Code::kInvalidArgument, "the client id is zero");
        }
        if (typed.owner != context_.owner) {
          return Refuse(Refusal::Code::kWrongIncarnation,
                        absl::StrCat("the request is meant for \"", absl::CHexEscape(typed.owner),
                                     "\"; this is \"", context_.owner, "\""));
        }
        if (Raw(context_.incarnation) == 0 || typed.incarnation != context_.incarnation) {
          return Refuse(Refusal::Code::kWrongIncarnation,
                        "owner restarted: the request names another incarnation of this owner");
        }
        if (Impostor(typed.client, typed.key)) {
          ++context_.counters->impostors;
          return Refuse(Refusal::Code::kPermissionDenied,
                        "the client id is bound to another key or peer than the request's");
        }
        return On(typed, now);
      },
      request);
}

// Batches are bound by cache misses; this overlaps them: each row is looked at three times, kAhead
// rows apart.
template <typename Each>
void LeaseOwner::ForEachRow(const Client& client, const std::vector<Row>& rows, Each each) {
  constexpr size_t kAhead = 16;
  if (rows.size() < kAhead / 4) {
    for (size_t i = 0; i < rows.size(); ++i) each(i, context_.objects->Locate(rows[i].id));
    return;
  }
  std::array<ObjectIndex, kAhead> hints;
  FetchAhead<kAhead>(
      rows.size(), [&](size_t i) { context_.objects->Prefetch(rows[i].id); },
      [&](size_t i) {
        hints[i % kAhead] = context_.objects->Locate(rows[i].id);
        client.listings.Prefetch(hints[i % kAhead]);
      },
      [&](size_t i) { each(i, hints[i % kAhead]); });
}

std::optional<Failure> LeaseOwner::List(Client& client, const Row& row, ObjectIndex hint,
                                        SequenceNumber sequence, TimePoint now) {
  const auto object = context_.objects->Find(row.id, hint);
  if (!object.has_value()) return context_.objects->WhyAbsent(row.id, now);
  PairTable::Entry* const listed = client.listings.Find(*object);
  if (listed == nullptr) {
    if (sequence <= client.watermark) {
      // A Clean or a complete re-listing may have overtaken it.  The transit lease is not touched:
      // a copy that is still wanted depends on it.
      DGC_PROBE("a stale dirty");
      ++context_.counters->late_calls;
      return Failure{.reason = FailureReason::kStale};
    }
    if (client.listings.size() >= options_.listings_per_client_max ||
        listings_ + reaping_listings_ >= options_.listings_max) {
      DGC_PROBE("a quota refuses a row");
      ++context_.counters->rows_refused;
      return Failure{.reason = FailureReason::kQuota};
    }
    client.listings.Insert(*object, sequence);
    client.held.Add(row.id);
    context_.objects->Hold(*object);
    ++listings_;
    ++context_.counters->listings_added;
  } else if (listed->sequence() < sequence) {
    listed->set_sequence(sequence);
  } else if (listed->sequence() > sequence) {
    ++context_.counters->late_calls;
  }
  Consume(*object, row.transit);
  return std::nullopt;
}

// First, so that what goes makes room for what comes; what is listed already is numbered anew
// before.
void LeaseOwner::Complete(Client& client, const DirtyRequest& request) {
  ForEachRow(client, request.rows, [&](size_t i, ObjectIndex hint) {
    // What was unexported is not listed again, and goes.
    const auto object = context_.objects->Find(request.rows[i].id, hint);
    if (!object.has_value()) return;
    if (PairTable::Entry* const listed = client.listings.Find(*object); listed != nullptr) {
      listed->set_sequence(request.sequence);
    }
  });
  client.listings.EraseIf([&](ObjectIndex object, SequenceNumber sequence) {
    if (sequence >= request.complete_from) return false;
    DGC_PROBE("a complete re-listing removes a listing");
    client.held.Remove(context_.objects->Get(object).id);
    context_.objects->Unhold(object, ReclaimReason::kClean);
    --listings_;
    ++context_.counters->listings_removed;
    return true;
  });
}

Response LeaseOwner::On(const DirtyRequest& request, TimePoint now) {
  DirtyResponse response;
  response.granted_term = Grant(request.requested_term);
  Client* client = FindOrAddClient(request.client, request.key, response.granted_term);
  if (client == nullptr) return TooManyClients();
  Extend(*client, response.granted_term);
  ++context_.counters->leases_renewed;
  // Of what is older than a re-listing that began before the last one ended, that one left nothing;
  // so each listing is paid for by a row, however often a client says that it is through.
  if (request.complete_from > client->completed && request.sequence > client->watermark) {
    Complete(*client, request);
    client->completed = request.sequence;
  }
  ForEachRow(*client, request.rows, [&](size_t i, ObjectIndex hint) {
    auto failure = List(*client, request.rows[i], hint, request.sequence, now);
    if (failure.has_value()) {
      failure->index = static_cast<uint32_t>(i);
      response.failures.push_back(*failure);
    }
  });
  client->watermark = std::max(client->watermark, request.sequence);
  response.notices = Notices(*client, request.notices_seen);
  return response;
}

void LeaseOwner::Unlist(Client& client, const Row& row, ObjectIndex hint, SequenceNumber sequence) {
  const auto object = context_.objects->FindRecord(row.id, hint);
  if (!object.has_value()) return;
  if (const PairTable::Entry* const listed = client.listings.Find(*object); listed != nullptr) {
    if (listed->sequence() < sequence) {
      client.listings.Erase(*object);
      client.held.Remove(row.id);
      --listings_;
      ++context_.counters->listings_removed;
      // The transit lease first, if any: once nothing holds the record, its position is no longer
      // ours.
      Consume(*object, row.transit);
      context_.objects->Unhold(*object, ReclaimReason::kClean);
      return;
    }
    ++context_.counters->late_calls;
  }
  Consume(*object, row.transit);
}

Response LeaseOwner::On(const CleanRequest& request, TimePoint) {
  // A client not known gets a record too: its number must be remembered, whatever arrives first.
  Client* client = FindOrAddClient(request.client, request.key, options_.term_min);
  if (client == nullptr) return TooManyClients();
  ForEachRow(*client, request.rows, [&](size_t i, ObjectIndex hint) {
    Unlist(*client, request.rows[i], hint, request.sequence);
  });
  if (client->listings.size() == 0) {
    // Time to hear of its hand-ons, as after a Transit.
    const Duration term = client->at_stake() ? Grant(Duration::zero()) : options_.term_min;
    client->deadline = std::max(client->deadline, clock_.lease_now() + term);
  }
  client->watermark = std::max(client->watermark, request.sequence);
  return CleanResponse{};
}

Response LeaseOwner::On(const RenewRequest& request, TimePoint) {
  Client* client = FindClient(request.client);
  if (client == nullptr) return RenewResponse{.result = RenewResult::kUnknownClient};
  RenewResponse response;
  response.granted_term = Grant(request.requested_term);
  Extend(*client, response.granted_term);
  ++context_.counters->leases_renewed;
  if (request.sequence >= client->watermark && request.held != client->held) {
    response.result = RenewResult::kDiffers;
    ++context_.counters->digest_differences;
  }
  response.notices = Notices(*client, request.notices_seen);
  response.hand_ons_open = client->hand_ons_open > 0;
  return response;
}

Response LeaseOwner::On(const GoodbyeRequest& request, TimePoint) {
  ++context_.counters->goodbyes;
  const auto it = client_by_id_.find(request.client);
  if (it == client_by_id_.end()) {
    const auto departed = departed_.find(request.client);
    if (departed != departed_.end()) {
      departed->second.watermark = std::max(departed->second.watermark, request.sequence);
    } else {
      RememberDeparted(request.client, {request.key, NewSerial(), request.sequence});
    }
    return GoodbyeResponse{};
  }
  Client& client = clients_[it->second];
  if (request.sequence <= client.watermark) {
    ++context_.counters->late_calls;
    return GoodbyeResponse{};
  }
  client.watermark = request.sequence;
  context_.outputs->transitions.push_back(
      {.kind = Transition::Kind::kGoodbye, .client = client.id, .count = client.listings.size()});
  RemoveClient(it->second, ReclaimReason::kClean);
  return GoodbyeResponse{};
}

bool LeaseOwner::Work(size_t& budget) {
  while (budget > 0 && !reaping_.empty()) {
    Reaping& front = reaping_.front();
    const auto object = front.listings.TakeAny(
        front.cursor, [this](ObjectIndex soon) { context_.objects->Prefetch(soon); });
    if (!object.has_value()) {
      reaping_.pop_front();
      continue;
    }
    --budget;
    --reaping_listings_;
    context_.objects->Unhold(*object, front.why);
  }
  return !reaping_.empty() || overdue_;
}

std::optional<TimePoint> LeaseOwner::wake_at() const {
  if (!reaping_.empty() || overdue_) return TimePoint::min();
  std::optional<TimePoint> lease_deadline = leases_.next();
  for (const auto& other :
       {transit_deadlines_.next(),
        braking_ && mode_ == ReapingMode::kAutomatic ? std::optional(brake_until_) : std::nullopt,
        named_order_.empty() ? std::nullopt : std::optional(named_order_.front().second),
        departed_order_.empty() ? std::nullopt : std::optional(departed_order_.front().second),
        // The wait for the answer is measured by this clock, which must not stand still.
        calling_self_ ? std::optional(self_called_at_ + options_.self_call_timeout)
                      : std::nullopt}) {
    if (other.has_value() && (!lease_deadline.has_value() || *other < *lease_deadline)) {
      lease_deadline = other;
    }
  }
  if (!lease_deadline.has_value()) return std::nullopt;
  // Often enough for the lease clock to tell a pause of this process from the passing of time.
  return clock_.ReadingAt(std::min(*lease_deadline, clock_.lease_now() + options_.pause / 2));
}

void LeaseOwner::AddSizes(Strategy::Sizes* sizes) const {
  sizes->clients = clients_.size();
  sizes->clients_in_limbo = in_limbo_;
  sizes->listings = listings_;
  sizes->transits = transits_.size();
  sizes->departed = departed_.size();
  sizes->named = named_.size();
  sizes->reaping = reaping_listings_;
  sizes->undecided = undecided_.size();
  sizes->queued += leases_.size() + transit_deadlines_.size() + named_order_.size() +
                   departed_order_.size() + accounts_.size();
  sizes->deferred = deferred_.size();
  sizes->braking = Holding();
  sizes->term_floor = TermFloor();
  sizes->lateness_excused = clock_.excused();
}

}  // namespace dgc
