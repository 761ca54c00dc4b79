// What is on its way, as the owner sees it: transit leases, the tokens that name them, and the
// notices of those that were not taken up.

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "dgc/core/check.h"
#include "dgc/core/probe.h"
#include "dgc/strategies/lease/owner.h"

namespace dgc {

LeaseOwner::LeaseKey LeaseOwner::KeyOf(const ClientId& id) const {
  const auto it = client_by_id_.find(id);
  if (it == client_by_id_.end()) return {0, 0};
  return {it->second, clients_[it->second].serial};
}

absl::Status LeaseOwner::MayOpen(uint32_t account) const {
  if (transits_.size() >= options_.transits_max) {
    return absl::ResourceExhaustedError(absl::StrCat(
        options_.transits_max, " references are in transit from this process, its maximum"));
  }
  const auto it = accounts_.find(account);
  const uint64_t open = it == accounts_.end() ? 0 : it->second;
  if (account == 0 && open >= options_.transits_unregistered_max) {
    return absl::ResourceExhaustedError(
        absl::StrCat(options_.transits_unregistered_max,
                     " references are in transit to callers without a lease, the maximum"));
  }
  if (account != 0 && open >= options_.transits_per_client_max) {
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
  if (absl::Status status = MayOpen(AccountOf(client)); !status.ok()) return status;
  if (term == Duration::zero()) term = options_.transit_term;
  // Unguessable: who holds one copy must not be able to name another's token.
  const uint64_t token = context_.random->Next() & ~kHolderTokenBit;
  if (token == 0) return absl::ResourceExhaustedError("no token; try again");
  Open(object, token, term, client);
  return TransitToken{token};
}

void LeaseOwner::Open(ObjectIndex object, uint64_t token, Duration term, LeaseKey client) {
  const TransitKey key{token, Raw(object)};
  const TimePoint deadline = clock_.lease_now() + term;
  const auto [it, added] =
      transits_.try_emplace(key, TransitLease{deadline, client, AccountOf(client)});
  TransitLease& lease = it->second;
  if (!added) {
    DGC_PROBE("a transit lease is declared again while it runs");
    lease.deadline = std::max(lease.deadline, deadline);
    if (client.serial == 0) return;
    if (Client* const before = DeclarerOf(key, lease)) --before->hand_ons_open;
    lease.client = client;  // It may have lapsed since it declared it first.
  }
  if (Client* const declarer = DeclarerOf(key, lease)) ++declarer->hand_ons_open;
  if (!added) return;
  context_.objects->Hold(object);
  Queue(key, lease, deadline);
  ++context_.counters->transits_opened;
  ++accounts_[lease.account];
}

LeaseOwner::Client* LeaseOwner::DeclarerOf(const TransitKey& key, const TransitLease& lease) {
  if ((key.token & kHolderTokenBit) == 0 || lease.client.serial == 0) return nullptr;
  Client& client = clients_[lease.client.slot];
  return client.serial == lease.client.serial ? &client : nullptr;
}

void LeaseOwner::Close(Transits::iterator transit) {
  if (Client* const declarer = DeclarerOf(transit->first, transit->second)) {
    DGC_CHECK(declarer->hand_ons_open > 0);
    --declarer->hand_ons_open;
  }
  const auto account = accounts_.find(transit->second.account);
  if (--account->second == 0) accounts_.erase(account);
  transits_.erase(transit);
}

void LeaseOwner::Queue(const TransitKey& key, TransitLease& lease, TimePoint at) {
  lease.queued = next_queued_++;
  if (next_queued_ == 0) next_queued_ = 1;
  transit_deadlines_.Add(at, {key.token, key.object, lease.queued});
}

void LeaseOwner::RememberNamed(const TransitKey& key) {
  if (options_.transits_named_max == 0 || !named_.insert(key).second) return;
  if (named_order_.size() >= options_.transits_named_max) {
    DGC_PROBE("a token that was named is forgotten for want of room");
    named_.erase(named_order_.front().first);
    named_order_.pop_front();
  }
  named_order_.emplace_back(
      key, clock_.lease_now() + std::max(options_.departed_term, options_.transit_term));
}

void LeaseOwner::Consume(ObjectIndex object, TransitToken token) {
  if (Raw(token) == 0) return;
  const TransitKey key{Raw(token), Raw(object)};
  if ((key.token & kHolderTokenBit) != 0) RememberNamed(key);
  const auto it = transits_.find(key);
  if (it == transits_.end()) return;
  Close(it);
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
    DGC_PROBE("transit leases put off are compacted");
    std::erase_if(keys, [this](const TransitKey& key) {
      const auto it = transits_.find(key);
      return it == transits_.end() || it->second.queued != 0;
    });
  }
  if (transit_deadlines_.size() < kCompactMin || transit_deadlines_.size() < 2 * transits_.size())
    return;
  DGC_PROBE("the deadlines of transit leases are compacted");
  transit_deadlines_.Compact([this](const TransitDeadline& entry) {
    const auto it = transits_.find(entry.key());
    return it == transits_.end() || it->second.queued != entry.number;
  });
}

void LeaseOwner::Returned(ObjectIndex object, TransitToken transit, TimePoint now) {
  clock_.Advance(now);
  Consume(object, transit);
}

Response LeaseOwner::On(const TransitRequest& request, TimePoint now) {
  for (const Row& row : request.rows) {
    if ((Raw(row.transit) & kHolderTokenBit) == 0) {
      return Refusal{Refusal::Code::kInvalidArgument,
                     "a transit token chosen by a holder has its highest bit set"};
    }
  }
  // Whoever declares something gets a record if there is room: it is charged, and told.  Where
  // nothing is listed there is no lease that a Transit could prolong, only that record.
  const Duration term = Grant(Duration::zero());
  Client* const sender = FindOrAddClient(request.client, request.key, term);
  if (sender != nullptr && sender->listings.size() == 0) {
    sender->deadline = std::max(sender->deadline, clock_.lease_now() + term);
  }
  const LeaseKey client = KeyOf(request.client);
  const bool noticed = sender != nullptr && !sender->notices.empty();
  absl::flat_hash_set<uint64_t> opened;
  TransitResponse response;
  response.granted_term = std::clamp(
      request.requested_term == Duration::zero() ? options_.transit_term : request.requested_term,
      options_.term_min, kTermMax);
  for (size_t i = 0; i < request.rows.size(); ++i) {
    const Row& row = request.rows[i];
    const auto object = context_.objects->Find(row.id);
    std::optional<Failure> failure;
    if (!object.has_value()) {
      failure = context_.objects->WhyAbsent(row.id, now);
    } else if (!named_.contains({Raw(row.transit), Raw(*object)})) {
      if (transits_.contains({Raw(row.transit), Raw(*object)}) || MayOpen(AccountOf(client)).ok()) {
        Open(*object, Raw(row.transit), response.granted_term, client);
        if (noticed) opened.insert(Raw(row.transit));
      } else {
        ++context_.counters->rows_refused;
        failure = Failure{.reason = FailureReason::kQuota};
      }
    }
    if (!failure.has_value()) continue;
    failure->index = static_cast<uint32_t>(i);
    response.failures.push_back(*failure);
  }
  if (!opened.empty()) {
    // That earlier leases of these tokens ended unused says nothing any more.
    ForgetNotices(*sender,
                  [&](const Notice& notice) { return opened.contains(Raw(notice.transit)); });
  }
  return response;
}

void LeaseOwner::Tell(Client& client, const ObjectId& id, TransitToken transit) {
  if (client.notices.size() >= kNoticesMax || notices_ >= options_.notices_max) {
    if (client.notices.empty()) return;
    DGC_PROBE("the oldest notice is dropped");
    client.notices.erase(client.notices.begin());
    --notices_;
  }
  client.notices.push_back({++notices_made_, id, transit});
  ++notices_;
}

template <typename Predicate>
void LeaseOwner::ForgetNotices(Client& client, Predicate gone) {
  notices_ -= std::erase_if(client.notices, gone);
  // What is counted is what is taken.
  if (client.notices.capacity() > 2 * client.notices.size() + 8) client.notices.shrink_to_fit();
}

std::vector<Notice> LeaseOwner::Notices(Client& client, uint64_t seen) {
  ForgetNotices(client, [&](const Notice& notice) { return notice.number <= seen; });
  return client.notices;
}

}  // namespace dgc
