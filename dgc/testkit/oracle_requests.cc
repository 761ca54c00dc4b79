// The part of the oracle that follows the requests: what each owner has been told and has answered,
// what each holder knows of that, and whether the answers are right.

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "dgc/core/probe.h"
#include "dgc/testkit/oracle.h"

namespace dgc::testkit {

// --- Leases.

Oracle::Lease& Oracle::LeaseOf(ShadowProcess client, ShadowProcess owner) {
  return leases_[{Raw(client), Raw(owner)}];
}

const Oracle::Lease* Oracle::FindLease(ShadowProcess client, ShadowProcess owner) const {
  const auto it = leases_.find({Raw(client), Raw(owner)});
  return it == leases_.end() ? nullptr : &it->second;
}

Duration Oracle::Ago(ShadowProcess owner, Duration when) const {
  const NodeIndex node = At(owner).node;
  return local_clock_(node, events_->now()) - local_clock_(node, when);
}

Duration Oracle::CountedSince(ShadowProcess owner, Duration from) const {
  const NodeIndex node = At(owner).node;
  const auto local = [&](Duration when) { return local_clock_(node, when); };
  Duration counted = local(events_->now()) - local(from);
  const auto& stops = faults_->stops(node);
  for (auto stop = stops.rbegin(); stop != stops.rend() && stop->from >= from; ++stop) {
    const Duration length = local(std::min(stop->to, events_->now())) - local(stop->from);
    counted -= std::max(length - options_.pause, Duration::zero());
  }
  return counted;
}

bool Oracle::LeaseRuns(const Lease& lease, ShadowProcess owner) const {
  return lease.known && CountedSince(owner, lease.accepted_at) < lease.term + options_.limbo;
}

Duration Oracle::EndOf(const Lease& lease) const {
  const bool lapsed = lease.lapsed_at.has_value() && *lease.lapsed_at > lease.accepted_at;
  return lapsed ? *lease.lapsed_at : events_->now();
}

void Oracle::LapsedPerhaps(Lease& lease) {
  lease.gaps.push_back({lease.heard_at, EndOf(lease), lease.heard_term});
  ++lease.epoch;
  lease.partings.push_back(events_->now());
}

// A later expiry stays.
void Oracle::Extend(Lease& lease, ShadowProcess owner, Duration term) {
  lease.heard_at = events_->now();
  lease.heard_term = term;
  if (LeaseRuns(lease, owner) && lease.term - CountedSince(owner, lease.accepted_at) > term) return;
  lease.known = true;
  lease.accepted_at = events_->now();
  lease.term = term;
}

void Oracle::Unlist(Lease& lease) {
  lease.listings.clear();
  lease.latest = {};
  lease.doubted = false;
}

// --- What a client says and hears.

Oracle::Sent Oracle::Leaves(ShadowProcess client, const Request& request) {
  Sent sent{.serial = NextSerial(), .at = events_->now(), .believed = {}};
  const auto* const renew = std::get_if<RenewRequest>(&request);
  if (renew == nullptr) return sent;
  if (dgc::Raw(renew->sequence) == 0) {
    Fail(absl::StrCat(Describe(client), " renews though nothing was ever answered"));
  }
  if (const auto owner = FindRun(renew->incarnation); owner.has_value()) {
    sent.believed = LeaseOf(client, *owner).believed;
    if (renew->held.count != sent.believed.size()) {
      Fail(absl::StrCat(Describe(client), " says that ", renew->held.count, " objects of ",
                        Describe(*owner), " are listed for it, but was told so of ",
                        sent.believed.size()));
    }
  }
  return sent;
}

void Oracle::Answered(ShadowProcess client, const Request& request, const Response& response) {
  if (std::holds_alternative<Refusal>(response)) return;
  const auto owner =
      FindRun(std::visit([](const auto& typed) { return typed.incarnation; }, request));
  if (!owner.has_value()) return;
  LeaseOf(client, *owner).answered = true;
  if (const auto* dirty = std::get_if<DirtyRequest>(&request)) {
    if (dgc::Raw(dirty->complete_from) != 0) LeaseOf(client, *owner).relisting = false;
  }
  if (const auto* renew = std::get_if<RenewResponse>(&response)) {
    // Nothing to be listed again, unless it says now that it begins anew.
    if (renew->result == RenewResult::kUnknownClient) LeaseOf(client, *owner).relisting = false;
    LeaseOf(client, *owner).listening &= renew->hand_ons_open;
  }
  std::set<ShadowObject>& believed = LeaseOf(client, *owner).believed;
  std::map<ShadowObject, Failure>& failed = LeaseOf(client, *owner).failed;
  failed.clear();
  std::set<ShadowObject>& untold = LeaseOf(client, *owner).untold;
  const auto note = [&](const auto& asked, const auto& answered) {
    for (const Failure& failure : answered.failures) {
      if (failure.index >= asked.rows.size()) continue;
      if (const auto object = Find(asked.rows[failure.index].id)) failed[*object] = failure;
    }
  };
  if (const auto* transit = std::get_if<TransitRequest>(&request)) {
    note(*transit, std::get<TransitResponse>(response));
    LeaseOf(client, *owner).listening = true;
    for (const Row& row : transit->rows) {
      const auto object = Find(row.id);
      if (!object.has_value() || failed.contains(*object)) continue;
      const auto it = by_token_.find({dgc::Raw(row.transit), Raw(*object)});
      if (it != by_token_.end()) copies_[it->second].acknowledged = true;
    }
    for (const auto& [object, failure] : failed) {
      if (failure.reason == FailureReason::kQuota) continue;
      const uint32_t hold = HoldOf(client, object);
      if (hold == kNone || !holds_[hold].told || holds_[hold].again) untold.insert(object);
    }
  }
  if (const auto* dirty = std::get_if<DirtyRequest>(&request)) {
    note(*dirty, std::get<DirtyResponse>(response));
    auto failure = std::get<DirtyResponse>(response).failures.begin();
    const auto end = std::get<DirtyResponse>(response).failures.end();
    for (uint32_t i = 0; i < dirty->rows.size(); ++i) {
      if (failure != end && failure->index == i) {
        ++failure;
      } else if (const auto object = Find(dirty->rows[i].id); object.has_value()) {
        believed.insert(*object);
      }
    }
  } else if (const auto* clean = std::get_if<CleanRequest>(&request)) {
    for (const Row& row : clean->rows) {
      if (const auto object = Find(row.id); object.has_value()) believed.erase(*object);
    }
  } else if (std::holds_alternative<GoodbyeRequest>(request)) {
    believed.clear();
  }
}

void Oracle::SessionEnded(ShadowProcess client, ShadowProcess owner) {
  Lease& lease = LeaseOf(client, owner);
  if (lease.failing) {
    lease.partings.push_back(events_->now());
  } else if (lease.listening && !At(owner).ended && At(client).holding) {
    Fail(absl::StrCat(Describe(client), " has done with ", Describe(owner),
                      ", although one of its hand-ons is open"));
  }
  lease.believed.clear();
  lease.relisting = false;
  lease.failing = false;
  lease.answered = false;
  lease.listening = false;
}

// --- What an owner hears and says.

uint64_t Oracle::Arrived(ShadowProcess client, ShadowProcess owner, const Request& request) {
  const uint64_t place = NextSerial();
  Lease& lease = LeaseOf(client, owner);
  const bool renews = std::holds_alternative<DirtyRequest>(request) ||
                      std::holds_alternative<RenewRequest>(request);
  if (renews && LeaseRuns(lease, owner))
    lease.waiting[place] = faults_->stops(NodeOf(owner)).size();
  return place;
}

void Oracle::Taken(ShadowProcess client, ShadowProcess owner, uint64_t place) {
  LeaseOf(client, owner).waiting.erase(place);
}

void Oracle::Handled(ShadowProcess owner, const Request& request, const Response& response,
                     const Sent& sent) {
  const ClientId self = std::visit([](const auto& typed) { return typed.client; }, request);
  const auto client = by_client_.find(self);
  if (client == by_client_.end()) return;
  if (const auto* refusal = std::get_if<Refusal>(&response)) {
    if (refusal->code == Refusal::Code::kResourceExhausted) {
      LeaseOf(client->second, owner).refused_at = events_->now();
    }
    return;
  }
  const auto mismatch = [&] { Fail(absl::StrCat(Describe(owner), " answered another question")); };
  if (const auto* dirty = std::get_if<DirtyRequest>(&request)) {
    const auto* answer = std::get_if<DirtyResponse>(&response);
    if (answer == nullptr) return mismatch();
    Heard(*dirty, *answer, client->second, owner, sent.serial);
  } else if (const auto* clean = std::get_if<CleanRequest>(&request)) {
    if (!std::holds_alternative<CleanResponse>(response)) return mismatch();
    Heard(*clean, client->second, owner, sent.serial);
  } else if (const auto* renew = std::get_if<RenewRequest>(&request)) {
    const auto* answer = std::get_if<RenewResponse>(&response);
    if (answer == nullptr) return mismatch();
    Heard(*renew, *answer, client->second, owner, sent.believed);
  } else if (const auto* transit = std::get_if<TransitRequest>(&request)) {
    const auto* answer = std::get_if<TransitResponse>(&response);
    if (answer == nullptr) return mismatch();
    Heard(*transit, *answer, owner, sent);
  } else if (const auto* goodbye = std::get_if<GoodbyeRequest>(&request)) {
    Lease& lease = LeaseOf(client->second, owner);
    lease.applied = std::max(lease.applied, goodbye->sequence);
  }
}

bool Oracle::Refused(const Hold& hold) const {
  const Lease* const lease = FindLease(hold.process, OwnerOf(hold.object));
  return lease != nullptr && lease->refused_at.has_value() && *lease->refused_at >= hold.began;
}

void Oracle::Heard(const DirtyRequest& request, const DirtyResponse& response, ShadowProcess client,
                   ShadowProcess owner, uint64_t serial) {
  Lease& lease = LeaseOf(client, owner);
  if (response.notices.size() >= kNoticesMax) lease.notices_full_at = events_->now();
  // What it does not name may be listed no more.
  if (lease.known && !LeaseRuns(lease, owner)) LapsedPerhaps(lease);
  Extend(lease, owner, response.granted_term);
  lease.applied = std::max(lease.applied, request.sequence);
  auto failure = response.failures.begin();
  for (uint32_t i = 0; i < request.rows.size(); ++i) {
    if (failure != response.failures.end() && failure->index == i) {
      CheckFailure(owner, request.rows[i].id, *failure);
      if (failure->reason == FailureReason::kQuota) lease.refused_at = events_->now();
      ++failure;
      continue;
    }
    const auto object = Find(request.rows[i].id);
    if (!object.has_value() || At(*object).owner != owner) continue;
    Consumed(request.rows[i], serial);
    CheckNotStale(client, *object, request.sequence);
    Accepted(client, *object, lease.epoch, serial);
    SequenceNumber& listed = lease.listings[*object];
    listed = std::max(listed, request.sequence);
  }
  if (dgc::Raw(request.complete_from) != 0) Complete(lease, request);
  lease.latest = std::max(lease.latest, request.sequence);
}

void Oracle::Complete(Lease& lease, const DirtyRequest& request) {
  if (request.sequence <= lease.latest) {
    // To an owner that has forgotten the greater numbers it is the latest.
    lease.doubted = true;
  }
  std::erase_if(lease.listings,
                [&](const auto& listed) { return listed.second < request.complete_from; });
}

void Oracle::Heard(const CleanRequest& request, ShadowProcess client, ShadowProcess owner,
                   uint64_t serial) {
  Lease& lease = LeaseOf(client, owner);
  for (const Row& row : request.rows) {
    Consumed(row, serial);
    const auto object = Find(row.id);
    if (!object.has_value()) continue;
    const auto listed = lease.listings.find(*object);
    if (listed != lease.listings.end() && listed->second < request.sequence) {
      lease.listings.erase(listed);
    }
    Said& said = said_[{Raw(client), Raw(*object)}];
    if (request.sequence < said.cleaned) continue;
    said.cleaned = request.sequence;
    said.cleaned_at = events_->now();
  }
  lease.applied = std::max(lease.applied, request.sequence);
  lease.latest = std::max(lease.latest, request.sequence);
}

void Oracle::CheckNotStale(ShadowProcess client, ShadowObject object, SequenceNumber sequence) {
  Said& said = said_[{Raw(client), Raw(object)}];
  const bool overtaken = sequence < said.cleaned && said.listed < said.cleaned;
  if (overtaken && CountedSince(At(object).owner, said.cleaned_at) < options_.departed_term) {
    Fail(absl::StrCat("a dirty #", dgc::Raw(sequence), " of ", Describe(client), " for ",
                      Describe(object), " was accepted though clean #", dgc::Raw(said.cleaned),
                      " had come before"));
  }
  said.listed = std::max(said.listed, sequence);
  said.lapses = LeaseOf(client, At(object).owner).lapses;
}

void Oracle::Accepted(ShadowProcess client, ShadowObject object, uint32_t epoch, uint64_t serial) {
  if (!At(object).exists && !At(object).unexported) {
    Fail(absl::StrCat("a listing of ", Describe(object), ", which is gone, was accepted"));
  }
  for (uint32_t i = HoldOf(client, object); i != kNone; i = holds_[i].previous) {
    if (holds_[i].since > serial) {
      DGC_PROBE("dirty of an earlier possession arrives");
      continue;
    }
    holds_[i].listed = true;
    holds_[i].epoch = epoch;
  }
}

void Oracle::Consumed(const Row& row, uint64_t serial) {
  const auto object = Find(row.id);
  if (dgc::Raw(row.transit) == 0 || !object.has_value()) return;
  const auto it = by_token_.find({dgc::Raw(row.transit), Raw(*object)});
  if (it == by_token_.end()) return;
  Consumed(copies_[it->second], serial);
}

void Oracle::Consumed(Copy& copy, uint64_t serial) {
  const ShadowProcess owner = At(copy.object).owner;
  // Being named again does not prolong how long it is remembered.
  if (!copy.consumed) {
    copy.consumed_at = events_->now();
    copy.in_time = !copy.granted || CountedSince(owner, copy.granted_at) < copy.term;
  }
  copy.consumed = true;
  copy.consumed_by = serial;
}

void Oracle::Heard(const RenewRequest& request, const RenewResponse& response, ShadowProcess client,
                   ShadowProcess owner, const std::set<ShadowObject>& believed) {
  Lease& lease = LeaseOf(client, owner);
  if (response.result == RenewResult::kUnknownClient) {
    DGC_PROBE("renew of an unknown client");
    lease.partings.push_back(events_->now());
    if (!lease.listings.empty() && !lease.doubted) {
      Fail(absl::StrCat("ORDER: ", Describe(owner), " does not know ", Describe(client),
                        ", for which ", lease.listings.size(),
                        " objects are listed, and no lapse was reported"));
    }
    return;
  }
  if (response.notices.size() >= kNoticesMax) lease.notices_full_at = events_->now();
  if (!response.hand_ons_open) CheckNoneOpen(lease, owner);
  const bool compared = request.sequence >= lease.applied;
  const bool ran = LeaseRuns(lease, owner);
  if (!ran) DGC_PROBE("renew arrives after the term, before the lapse is decided");
  // If both sides were found to agree, then whatever was listed still is.
  const bool agreed = response.result == RenewResult::kOk && compared;
  if (lease.known && !ran && !agreed) LapsedPerhaps(lease);
  Extend(lease, owner, response.granted_term);
  if (response.result != RenewResult::kOk) {
    DGC_PROBE("digests differ");
    ++differences_;
  }
  if (compared && !lease.doubted) CheckCompared(lease, response.result, believed, client, owner);
  if (!agreed || lease.epoch == 0) return;
  for (const uint32_t index : At(client).holds) {
    Hold& hold = holds_[index];
    if (hold.listed && !hold.ended && lease.listings.contains(hold.object))
      hold.epoch = lease.epoch;
  }
}

void Oracle::CheckNoneOpen(const Lease& lease, ShadowProcess owner) {
  for (const uint32_t index : lease.hand_ons) {
    const Copy& copy = copies_[index];
    const bool open = !copy.consumed && At(copy.object).exists &&
                      CountedSince(owner, copy.granted_at) < copy.term;
    // Whose declaration did not count for it, for want of room, or since it was forgotten.
    const bool its = !lease.refused_at.has_value() &&
                     (lease.partings.empty() || lease.partings.back() < copy.granted_at);
    if (!open || !its) continue;
    Fail(absl::StrCat(Describe(owner), " tells ", Describe(copy.sender),
                      " that none of its hand-ons is open, but that of ", Describe(copy.object),
                      " is"));
  }
}

void Oracle::CheckCompared(const Lease& lease, RenewResult result,
                           const std::set<ShadowObject>& believed, ShadowProcess client,
                           ShadowProcess owner) {
  const bool same =
      std::equal(lease.listings.begin(), lease.listings.end(), believed.begin(), believed.end(),
                 [](const auto& listed, ShadowObject object) { return listed.first == object; });
  if (same == (result == RenewResult::kOk)) return;
  Fail(absl::StrCat("LISTINGS: ", Describe(owner), " tells ", Describe(client), " that they ",
                    same ? "differ" : "agree", ", though it has ", lease.listings.size(),
                    " objects listed, and ", believed.size(), " are known to be",
                    same ? ", the same" : ""));
}

void Oracle::Heard(const TransitRequest& request, const TransitResponse& response,
                   ShadowProcess owner, const Sent& sent) {
  auto failure = response.failures.begin();
  for (uint32_t i = 0; i < request.rows.size(); ++i) {
    if (failure != response.failures.end() && failure->index == i) {
      if (failure->reason != FailureReason::kQuota) DGC_PROBE("hand-on of an object that is gone");
      CheckFailure(owner, request.rows[i].id, *failure);
      ++failure;
      continue;
    }
    const auto object = Find(request.rows[i].id);
    if (!object.has_value()) continue;
    const auto it = by_token_.find({dgc::Raw(request.rows[i].transit), Raw(*object)});
    if (it != by_token_.end()) {
      Declared(copies_[it->second], response.granted_term, owner, sent);
      LeaseOf(copies_[it->second].sender, owner).hand_ons.push_back(it->second);
    }
  }
}

void Oracle::Declared(Copy& copy, Duration term, ShadowProcess owner, const Sent& sent) {
  if (copy.consumed) {
    DGC_PROBE("a hand-on is declared after it was taken up");
    At(copy.object).declared_late = true;
    copy.forgotten |=
        !options_.remembers_named || CountedSince(owner, copy.consumed_at) >= options_.transit_term;
  }
  // Nor does it remember for longer that one has ended already, and was reported.
  const Duration since = CountedSince(owner, copy.granted_at);
  copy.forgotten |= copy.declared > 0 && since >= copy.term + options_.transit_term;
  // What comes late adds nothing while the earlier lease runs.
  const Lease& lease = LeaseOf(copy.sender, owner);
  copy.late = events_->now() - sent.at > options_.unnoticed;
  copy.straggled = copy.late && (copy.straggled || copy.declared == 0 || since >= copy.term);
  copy.earlier_at = copy.granted_at;
  ++copy.declared;
  copy.lease_from = lease.known ? lease.accepted_at : events_->now();
  copy.granted = true;
  copy.granted_at = events_->now();
  copy.term = term;
}

}  // namespace dgc::testkit
