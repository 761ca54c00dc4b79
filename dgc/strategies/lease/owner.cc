#include "dgc/strategies/lease/owner.h"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "dgc/core/check.h"

namespace dgc {
namespace {

// Below this many entries a queue is not worth compacting.
constexpr size_t kCompactMin = 4096;

Refusal Refuse(Refusal::Code code, std::string message) { return {code, std::move(message)}; }

}  // namespace

LeaseOwner::LeaseOwner(const LeaseOptions& options, const Strategy::Context& context)
    : options_(options), context_(context), clock_(options.pause) {}

Duration LeaseOwner::Grant(Duration requested) const {
  if (requested == Duration::zero()) requested = options_.term_default;
  return std::clamp(std::max(requested, TermFloor()), options_.term_min, options_.term_max);
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

void LeaseOwner::Tell(Client& client, const ObjectId& id, TransitToken transit) {
  if (client.notices.size() >= kNoticesMax) client.notices.erase(client.notices.begin());
  client.notices.push_back({++notices_made_, id, transit});
}

std::vector<Notice> LeaseOwner::Notices(Client& client, uint64_t seen) {
  std::erase_if(client.notices, [&](const Notice& notice) { return notice.number <= seen; });
  return client.notices;
}

Refusal LeaseOwner::TooManyClients() const {
  return Refuse(Refusal::Code::kResourceExhausted,
                absl::StrCat("this owner keeps ", options_.clients_max, " clients at most"));
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
  client.serial = next_serial_++;
  client.listings = PairTable(context_.random->Next());
  if (next_serial_ == 0) next_serial_ = 1;  // 0 is nobody.
  client.deadline = clock_.lease_now() + term;
  client.term = term;
  if (const auto it = departed_.find(id); it != departed_.end()) {
    client.watermark = it->second.watermark;
    client.latest = it->second.watermark;
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

void LeaseOwner::RememberDeparted(const ClientId& id, const ClientKey& key,
                                  SequenceNumber watermark) {
  if (options_.departed_max == 0) return;
  while (departed_order_.size() >= options_.departed_max) {
    const auto oldest = departed_.find(departed_order_.front().first);
    // It may have come back, and left again later.
    if (oldest != departed_.end() && oldest->second.forget == departed_order_.front().second) {
      departed_.erase(oldest);
    }
    departed_order_.pop_front();
  }
  const TimePoint forget = clock_.lease_now() + options_.departed_term;
  departed_[id] = {key, watermark, forget};
  departed_order_.emplace_back(id, forget);
}

void LeaseOwner::ForgetOld() {
  while (!named_order_.empty() && named_order_.front().second <= clock_.lease_now()) {
    named_.erase(named_order_.front().first);
    named_order_.pop_front();
  }
  while (!departed_order_.empty() && departed_order_.front().second <= clock_.lease_now()) {
    const auto it = departed_.find(departed_order_.front().first);
    // It may have come back, and left again later.
    if (it != departed_.end() && it->second.forget <= clock_.lease_now()) departed_.erase(it);
    departed_order_.pop_front();
  }
}

void LeaseOwner::RemoveClient(uint32_t slot, ReclaimReason why) {
  Client& client = clients_[slot];
  RememberDeparted(client.id, client.key, std::max(client.watermark, client.latest));
  if (client.limbo) --in_limbo_;
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
    leases_.Compact(
        [this](const LeaseKey& key) { return clients_[key.slot].serial != key.serial; });
  }
  for (Ended* ended : {&undecided_, &deferred_}) {
    if (ended->leases.size() < kCompactMin || ended->leases.size() <= 2 * clients_.size()) continue;
    std::erase_if(ended->leases,
                  [this](const LeaseKey& key) { return clients_[key.slot].serial != key.serial; });
  }
}

LeaseOwner::LeaseKey LeaseOwner::KeyOf(const ClientId& id) const {
  const auto it = client_by_id_.find(id);
  if (it == client_by_id_.end()) return {0, 0};
  return {it->second, clients_[it->second].serial};
}

absl::Status LeaseOwner::MayOpen(LeaseKey client, size_t count) const {
  if (transits_.size() + count > options_.transits_max) {
    return absl::ResourceExhaustedError(absl::StrCat(
        options_.transits_max, " references are in transit from this process, its maximum"));
  }
  if (client.serial == 0) {
    if (unregistered_transits_ + count > options_.transits_unregistered_max) {
      return absl::ResourceExhaustedError(
          absl::StrCat(options_.transits_unregistered_max,
                       " references are in transit to callers without a lease, the maximum"));
    }
  } else if (clients_[client.slot].transits + count > options_.transits_per_client_max) {
    return absl::ResourceExhaustedError(absl::StrCat("one client may have ",
                                                     options_.transits_per_client_max,
                                                     " references in transit from this process"));
  }
  return absl::OkStatus();
}

absl::StatusOr<TransitToken> LeaseOwner::Shared(ObjectIndex object, const ClientId& receiver,
                                                Duration term, TimePoint now) {
  clock_.Advance(now);
  const LeaseKey client = KeyOf(receiver);
  if (absl::Status status = MayOpen(client, 1); !status.ok()) return status;
  if (term == Duration::zero()) term = options_.transit_term;
  // Unguessable: who holds one copy must not be able to name another's token.
  const uint64_t token = context_.random->Next() & ~kHolderTokenBit;
  if (token == 0) return absl::ResourceExhaustedError("no token; try again");
  Open(object, token, std::min(term, options_.term_max), client);
  return TransitToken{token};
}

void LeaseOwner::Open(ObjectIndex object, uint64_t token, Duration term, LeaseKey client) {
  const TransitKey key{token, Raw(object)};
  const TimePoint deadline = clock_.lease_now() + term;
  const auto [it, added] = transits_.try_emplace(key, TransitLease{deadline, client});
  if (!added) {
    it->second.deadline = std::max(it->second.deadline, deadline);
    return;
  }
  context_.objects->Hold(object);
  transit_deadlines_.Add(deadline, key);
  ++context_.counters->transits_opened;
  ++(client.serial == 0 ? unregistered_transits_ : clients_[client.slot].transits);
}

void LeaseOwner::RememberNamed(const TransitKey& key) {
  if (options_.transits_named_max == 0 || !named_.insert(key).second) return;
  if (named_order_.size() >= options_.transits_named_max) {
    named_.erase(named_order_.front().first);
    named_order_.pop_front();
  }
  named_order_.emplace_back(key, clock_.lease_now() + options_.transit_term);
}

// The client may have left since; its successor in the slot is not charged.
void LeaseOwner::Discount(LeaseKey client) {
  if (client.serial == 0) {
    --unregistered_transits_;
  } else if (clients_[client.slot].serial == client.serial) {
    --clients_[client.slot].transits;
  }
}

void LeaseOwner::Consume(ObjectIndex object, TransitToken token) {
  if (Raw(token) == 0) return;
  const TransitKey key{Raw(token), Raw(object)};
  if ((key.token & kHolderTokenBit) != 0) RememberNamed(key);
  const auto it = transits_.find(key);
  if (it == transits_.end()) return;
  Discount(it->second.client);
  transits_.erase(it);
  ++context_.counters->transits_consumed;
  context_.objects->Unhold(object, ReclaimReason::kClean);
  CompactTransits();
}

// Most references are registered long before their transit lease ends: keeps the dead deadlines a
// constant share.
void LeaseOwner::CompactTransits() {
  for (Ended* ended : {&undecided_, &deferred_}) {
    std::vector<TransitKey>& keys = ended->transits;
    if (keys.size() < kCompactMin || keys.size() < 2 * transits_.size()) continue;
    std::erase_if(keys, [this](const TransitKey& key) { return !transits_.contains(key); });
  }
  if (transit_deadlines_.size() < kCompactMin || transit_deadlines_.size() < 2 * transits_.size())
    return;
  transit_deadlines_.Compact([this](const TransitKey& key) { return !transits_.contains(key); });
}

void LeaseOwner::Returned(ObjectIndex object, TransitToken transit, TimePoint now) {
  clock_.Advance(now);
  Consume(object, transit);
}

Response LeaseOwner::Received(const Request& request, TimePoint now) {
  clock_.Advance(now);
  return std::visit(
      [&](const auto& typed) -> Response {
        if (!typed.client.valid()) {
          return Refuse(Refusal::Code::kInvalidArgument, "the client id is zero");
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

std::optional<Refusal> LeaseOwner::OverQuota(const DirtyRequest& request) {
  Client* client = FindClient(request.client);
  const uint64_t listed = client == nullptr ? 0 : client->listings.size();
  // The cheap answer first: most requests are far from any bound.
  uint64_t added = request.rows.size();
  if (listed + added > options_.listings_per_client_max ||
      listings_ + reaping_listings_ + added > options_.listings_max) {
    absl::flat_hash_map<ObjectId, bool> fresh;
    for (const Row& row : request.rows) {
      const auto object = context_.objects->Find(row.id);
      if (!object.has_value()) continue;
      if (client == nullptr || client->listings.Find(*object) == nullptr) fresh[row.id] = true;
    }
    added = fresh.size();
  }
  if (added > 0 && listed + added > options_.listings_per_client_max) {
    return Refuse(
        Refusal::Code::kResourceExhausted,
        absl::StrCat("one client may list ", options_.listings_per_client_max, " objects here"));
  }
  if (added > 0 && listings_ + reaping_listings_ + added > options_.listings_max) {
    return Refuse(Refusal::Code::kResourceExhausted,
                  absl::StrCat("this owner keeps ", options_.listings_max, " listings at most"));
  }
  return std::nullopt;
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
  for (size_t i = 0; i < rows.size() + 2 * kAhead; ++i) {
    ObjectIndex& hint = hints[i % kAhead];
    if (i >= 2 * kAhead) each(i - 2 * kAhead, hint);
    if (i >= kAhead && i - kAhead < rows.size()) {
      hint = context_.objects->Locate(rows[i - kAhead].id);
      client.listings.Prefetch(hint);
    }
    if (i < rows.size()) context_.objects->Prefetch(rows[i].id);
  }
}

std::optional<Failure> LeaseOwner::List(Client& client, const Row& row, ObjectIndex hint,
                                        SequenceNumber sequence, TimePoint now) {
  const auto object = context_.objects->Find(row.id, hint);
  if (!object.has_value()) return context_.objects->WhyAbsent(row.id, now);
  PairTable::Entry* const listed = client.listings.Find(*object);
  if (listed == nullptr) {
    if (sequence <= client.watermark) {
      // A Clean that names this pair may have overtaken it.  The transit lease is not touched: a
      // copy that is still wanted depends on it.
      ++context_.counters->late_calls;
      return Failure{.reason = FailureReason::kStale};
    }
    client.listings.Insert(*object, sequence);
    client.held.Add(row.id);
    context_.objects->Hold(*object);
    ++listings_;
    ++context_.counters->listings_added;
  } else if (listed->sequence() < sequence) {
    listed->set_sequence(sequence);
  } else {
    ++context_.counters->late_calls;
  }
  Consume(*object, row.transit);
  return std::nullopt;
}

Response LeaseOwner::On(const DirtyRequest& request, TimePoint now) {
  if (std::optional<Refusal> refusal = OverQuota(request); refusal.has_value()) {
    return *std::move(refusal);
  }
  DirtyResponse response;
  response.granted_term = Grant(request.requested_term);
  Client* client = FindOrAddClient(request.client, request.key, response.granted_term);
  if (client == nullptr) return TooManyClients();
  Extend(*client, response.granted_term);
  ++context_.counters->leases_renewed;
  ForEachRow(*client, request.rows, [&](size_t i, ObjectIndex hint) {
    auto failure = List(*client, request.rows[i], hint, request.sequence, now);
    if (failure.has_value()) {
      failure->index = static_cast<uint32_t>(i);
      response.failures.push_back(*failure);
    }
  });
  if (Raw(request.complete_from) != 0 && request.sequence > client->latest) {
    client->listings.EraseIf([&](ObjectIndex object, SequenceNumber sequence) {
      if (sequence >= request.complete_from) return false;
      client->held.Remove(context_.objects->Get(object).id);
      context_.objects->Unhold(object, ReclaimReason::kClean);
      --listings_;
      ++context_.counters->listings_removed;
      return true;
    });
    client->watermark = std::max(client->watermark, SequenceNumber{Raw(request.complete_from) - 1});
  }
  client->latest = std::max(client->latest, request.sequence);
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
  if (client->listings.size() == 0) {
    client->deadline = std::max(client->deadline, clock_.lease_now() + options_.term_min);
  }
  ForEachRow(*client, request.rows, [&](size_t i, ObjectIndex hint) {
    Unlist(*client, request.rows[i], hint, request.sequence);
  });
  client->watermark = std::max(client->watermark, request.sequence);
  client->latest = std::max(client->latest, request.sequence);
  return CleanResponse{};
}

Response LeaseOwner::On(const RenewRequest& request, TimePoint) {
  Client* client = FindClient(request.client);
  if (client == nullptr) return RenewResponse{.result = RenewResult::kUnknownClient};
  RenewResponse response;
  response.granted_term = Grant(request.requested_term);
  Extend(*client, response.granted_term);
  ++context_.counters->leases_renewed;
  if (request.sequence >= client->latest && request.held != client->held) {
    response.result = RenewResult::kDiffers;
    ++context_.counters->digest_differences;
  }
  response.notices = Notices(*client, request.notices_seen);
  return response;
}

Response LeaseOwner::On(const TransitRequest& request, TimePoint now) {
  const LeaseKey client = KeyOf(request.client);
  if (const absl::Status status = MayOpen(client, request.rows.size()); !status.ok()) {
    return Refuse(Refusal::Code::kResourceExhausted, std::string(status.message()));
  }
  for (const Row& row : request.rows) {
    if ((Raw(row.transit) & kHolderTokenBit) == 0) {
      return Refuse(Refusal::Code::kInvalidArgument,
                    "a transit token chosen by a holder has its highest bit set");
    }
  }
  TransitResponse response;
  response.granted_term = std::clamp(
      request.requested_term == Duration::zero() ? options_.transit_term : request.requested_term,
      options_.term_min, options_.term_max);
  for (size_t i = 0; i < request.rows.size(); ++i) {
    const Row& row = request.rows[i];
    const auto object = context_.objects->Find(row.id);
    if (object.has_value()) {
      if (!named_.contains({Raw(row.transit), Raw(*object)})) {
        Open(*object, Raw(row.transit), response.granted_term, client);
      }
    } else {
      Failure failure = context_.objects->WhyAbsent(row.id, now);
      failure.index = static_cast<uint32_t>(i);
      response.failures.push_back(failure);
    }
  }
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
      RememberDeparted(request.client, request.key, request.sequence);
    }
    return GoodbyeResponse{};
  }
  Client& client = clients_[it->second];
  if (request.sequence <= client.latest) {
    ++context_.counters->late_calls;
    return GoodbyeResponse{};
  }
  client.latest = request.sequence;
  context_.outputs->transitions.push_back(
      {.kind = Transition::Kind::kGoodbye, .client = client.id, .count = client.listings.size()});
  RemoveClient(it->second, ReclaimReason::kClean);
  return GoodbyeResponse{};
}

bool LeaseOwner::Work(size_t& budget) {
  while (budget > 0 && !reaping_.empty()) {
    Reaping& front = reaping_.front();
    const auto ahead = front.listings.LookAhead(front.cursor);
    if (ahead.has_value()) context_.objects->Prefetch(*ahead);
    const auto object = front.listings.TakeAny(front.cursor);
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
        departed_order_.empty() ? std::nullopt : std::optional(departed_order_.front().second)}) {
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
  sizes->deferred = deferred_.size();
  sizes->braking = Holding();
  sizes->term_floor = TermFloor();
  sizes->lateness_excused = clock_.excused();
}

}  // namespace dgc
