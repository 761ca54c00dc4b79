#include "dgc/testkit/oracle.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "dgc/core/check.h"
#include "dgc/core/probe.h"

namespace dgc::testkit {
namespace {

int64_t Milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

template <typename T>
void EraseOne(std::vector<T>& from, const T& what) {
  const auto it = std::find(from.begin(), from.end(), what);
  DGC_CHECK(it != from.end());
  *it = from.back();
  from.pop_back();
}

}  // namespace

Oracle::Oracle(OracleOptions options, const EventQueue* events, const FaultLog* faults,
               LocalClock local_clock)
    : options_(options), events_(events), faults_(faults), local_clock_(std::move(local_clock)) {}

void Oracle::Fail(std::string what) {
  if (!failure_.has_value()) failure_ = std::move(what);
}

std::string Oracle::Describe(ShadowProcess process) const {
  return absl::StrCat("n", At(process).node, "#", Raw(process));
}

std::string Oracle::Describe(ShadowObject object) const {
  return absl::StrCat("object ", Raw(object), " of ", Describe(At(object).owner));
}

std::optional<ShadowObject> Oracle::Find(const ObjectId& id) const {
  const auto it = by_id_.find(id);
  if (it == by_id_.end()) return std::nullopt;
  return it->second;
}

bool Oracle::HasEdge(ShadowObject from, ShadowObject to) const {
  const auto& edges = At(from).edges;
  return std::find(edges.begin(), edges.end(), to) != edges.end();
}

// --- What the applications do.

ShadowProcess Oracle::Started(NodeIndex node, const ClientId& self, Incarnation incarnation) {
  const ShadowProcess process{static_cast<uint32_t>(runs_.size())};
  Run run;
  run.node = node;
  run.self = self;
  run.incarnation = incarnation;
  runs_.push_back(std::move(run));
  by_client_[self] = process;
  return process;
}

void Oracle::Leaving(ShadowProcess process) {
  At(process).holding = false;
  for (const uint32_t index : At(process).holds) {
    Hold& hold = holds_[index];
    hold.handles = 0;
    hold.edges = 0;
    EndIfUnused(hold);
  }
}

void Oracle::Ended(ShadowProcess process) {
  Leaving(process);
  At(process).ended = true;
  At(process).ended_at = events_->now();
  for (const ShadowObject object : At(process).objects) {
    if (At(object).exists) Gone(object);
  }
}

ShadowObject Oracle::Created(ShadowProcess owner, const ObjectId& id) {
  const ShadowObject object{static_cast<uint32_t>(objects_.size())};
  objects_.emplace_back();
  At(object).id = id;
  At(object).owner = owner;
  At(object).handles = 1;
  At(owner).objects.push_back(object);
  by_id_[id] = object;
  ++existing_;
  return object;
}

uint32_t Oracle::HoldOf(ShadowProcess process, ShadowObject object) const {
  for (const uint32_t index : At(object).holds) {
    if (holds_[index].process == process) return index;
  }
  return kNone;
}

Oracle::Hold& Oracle::Begin(ShadowProcess process, ShadowObject object) {
  const uint32_t previous = HoldOf(process, object);
  if (previous != kNone && !holds_[previous].ended) return holds_[previous];
  const auto index = static_cast<uint32_t>(holds_.size());
  Hold hold;
  hold.process = process;
  hold.object = object;
  hold.since = NextSerial();
  hold.began = events_->now();
  hold.previous = previous;
  holds_.push_back(std::move(hold));
  At(process).holds.push_back(index);
  auto& latest = At(object).holds;
  const auto it = std::find(latest.begin(), latest.end(), previous);
  if (it == latest.end()) {
    latest.push_back(index);
  } else {
    *it = index;
  }
  return holds_[index];
}

void Oracle::EndIfUnused(Hold& hold) {
  if (hold.handles == 0 && hold.edges == 0) hold.ended = true;
  NoteUse(hold.object);
}

void Oracle::NoteUse(ShadowObject object) {
  Object& record = At(object);
  const bool used = record.handles > 0 || record.names > 0 || !record.edges_in.empty() ||
                    std::any_of(record.holds.begin(), record.holds.end(),
                                [&](uint32_t index) { return !holds_[index].ended; }) ||
                    std::any_of(record.copies.begin(), record.copies.end(),
                                [&](ShadowCopy copy) { return copies_[Raw(copy)].under_way > 0; });
  if (used) {
    record.unused.reset();
  } else if (!record.unused.has_value()) {
    record.unused = events_->now();
  }
}

void Oracle::HandleAdded(ShadowProcess process, ShadowObject object) {
  if (At(object).owner == process) {
    ++At(object).handles;
  } else {
    ++Begin(process, object).handles;
  }
}

void Oracle::HandleDropped(ShadowProcess process, ShadowObject object) {
  if (At(object).owner == process) {
    --At(object).handles;
    NoteUse(object);
    return;
  }
  Hold& hold = holds_[HoldOf(process, object)];
  DGC_CHECK(hold.handles > 0);
  --hold.handles;
  EndIfUnused(hold);
}

void Oracle::Linked(ShadowObject from, ShadowObject to) {
  if (!At(from).exists) return;
  At(from).edges.push_back(to);
  At(to).edges_in.push_back(from);
  if (At(from).owner != At(to).owner) ++Begin(At(from).owner, to).edges;
}

void Oracle::Unlinked(ShadowObject from, ShadowObject to) {
  if (!At(from).exists) return;
  EraseOne(At(from).edges, to);
  EraseOne(At(to).edges_in, from);
  if (At(from).owner != At(to).owner) {
    Hold& hold = holds_[HoldOf(At(from).owner, to)];
    --hold.edges;
    EndIfUnused(hold);
  }
  NoteUse(to);
}

void Oracle::Named(ShadowObject object) { ++At(object).names; }
void Oracle::Unnamed(ShadowObject object) {
  --At(object).names;
  NoteUse(object);
}

void Oracle::Unexported(ShadowObject object) {
  if (!At(object).exists) return;
  At(object).unexported = true;
  Gone(object);
}

void Oracle::Gone(ShadowObject object) {
  At(object).exists = false;
  --existing_;
  for (const ShadowObject to : std::exchange(At(object).edges, {})) {
    EraseOne(At(to).edges_in, object);
    NoteUse(to);
    if (At(to).owner == At(object).owner) continue;
    Hold& hold = holds_[HoldOf(At(object).owner, to)];
    if (hold.ended) continue;
    --hold.edges;
    EndIfUnused(hold);
  }
}

ShadowCopy Oracle::Shared(ShadowProcess sender, ShadowObject object, TransitToken token,
                          Duration term) {
  const ShadowCopy index{static_cast<uint32_t>(copies_.size())};
  Copy copy;
  copy.object = object;
  copy.sender = sender;
  copy.under_way = 1;
  if (At(object).owner == sender) {
    copy.granted = true;
    copy.granted_at = events_->now();
    copy.term =
        term == Duration::zero() ? options_.transit_term : std::min(term, options_.term_max);
  } else {
    copy.sender_hold = HoldOf(sender, object);
  }
  copies_.push_back(copy);
  by_token_[{dgc::Raw(token), Raw(object)}] = Raw(index);
  auto& copies = At(object).copies;
  std::erase_if(copies, [&](ShadowCopy other) { return copies_[Raw(other)].under_way == 0; });
  copies.push_back(index);
  At(object).unused.reset();
  return index;
}

void Oracle::CopyDuplicated(ShadowCopy copy) { ++copies_[Raw(copy)].under_way; }
void Oracle::CopyLost(ShadowCopy copy) {
  --copies_[Raw(copy)].under_way;
  NoteUse(copies_[Raw(copy)].object);
}

void Oracle::CopyArrived(ShadowCopy copy, std::optional<ShadowProcess> receiver) {
  const ShadowObject object = copies_[Raw(copy)].object;
  --copies_[Raw(copy)].under_way;
  if (!receiver.has_value()) return NoteUse(object);
  if (At(object).owner == *receiver) {
    ++At(object).handles;
    At(object).unused.reset();
    Consumed(copies_[Raw(copy)], NextSerial());
    return;
  }
  Hold& hold = Begin(*receiver, object);
  ++hold.handles;
  hold.again = true;
  hold.copies.push_back(copy);
}

// --- What the collector does.

Oracle::Lease& Oracle::LeaseOf(ShadowProcess client, ShadowProcess owner) {
  return leases_[{Raw(client), Raw(owner)}];
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

void Oracle::LapsedPerhaps(Lease& lease) {
  lease.gaps.push_back({lease.accepted_at, events_->now(), lease.term});
  ++lease.epoch;
}

// A later expiry stays.
void Oracle::Extend(Lease& lease, ShadowProcess owner, Duration term) {
  if (LeaseRuns(lease, owner) && lease.term - CountedSince(owner, lease.accepted_at) > term) return;
  lease.known = true;
  lease.accepted_at = events_->now();
  lease.term = term;
}

void Oracle::Handled(ShadowProcess owner, const Request& request, const Response& response,
                     uint64_t serial) {
  if (std::holds_alternative<Refusal>(response)) return;
  const ClientId self = std::visit([](const auto& typed) { return typed.client; }, request);
  const auto client = by_client_.find(self);
  if (client == by_client_.end()) return;
  const auto mismatch = [&] { Fail(absl::StrCat(Describe(owner), " answered another question")); };
  if (const auto* dirty = std::get_if<DirtyRequest>(&request)) {
    const auto* answer = std::get_if<DirtyResponse>(&response);
    if (answer == nullptr) return mismatch();
    Heard(*dirty, *answer, client->second, owner, serial);
  } else if (const auto* clean = std::get_if<CleanRequest>(&request)) {
    if (!std::holds_alternative<CleanResponse>(response)) return mismatch();
    Heard(*clean, client->second, owner, serial);
  } else if (const auto* renew = std::get_if<RenewRequest>(&request)) {
    const auto* answer = std::get_if<RenewResponse>(&response);
    if (answer == nullptr) return mismatch();
    Heard(*renew, *answer, client->second, owner);
  } else if (const auto* transit = std::get_if<TransitRequest>(&request)) {
    const auto* answer = std::get_if<TransitResponse>(&response);
    if (answer == nullptr) return mismatch();
    Heard(*transit, *answer);
  }
}

void Oracle::Heard(const DirtyRequest& request, const DirtyResponse& response, ShadowProcess client,
                   ShadowProcess owner, uint64_t serial) {
  Lease& lease = LeaseOf(client, owner);
  // What it does not name may be listed no more.
  if (lease.known && !LeaseRuns(lease, owner)) LapsedPerhaps(lease);
  Extend(lease, owner, response.granted_term);
  lease.applied = std::max(lease.applied, request.sequence);
  auto failure = response.failures.begin();
  for (uint32_t i = 0; i < request.rows.size(); ++i) {
    if (failure != response.failures.end() && failure->index == i) {
      if (failure->reason == FailureReason::kStale) DGC_PROBE("dirty refused as stale");
      ++failure;
      continue;
    }
    const auto object = Find(request.rows[i].id);
    if (!object.has_value() || At(*object).owner != owner) continue;
    Consumed(request.rows[i], serial);
    CheckNotStale(client, *object, request.sequence);
    Accepted(client, *object, lease.epoch, serial);
  }
}

void Oracle::Heard(const CleanRequest& request, ShadowProcess client, ShadowProcess owner,
                   uint64_t serial) {
  for (const Row& row : request.rows) {
    Consumed(row, serial);
    const auto object = Find(row.id);
    if (!object.has_value()) continue;
    Said& said = said_[{Raw(client), Raw(*object)}];
    if (request.sequence < said.cleaned) continue;
    said.cleaned = request.sequence;
    said.cleaned_at = events_->now();
  }
  Lease& lease = LeaseOf(client, owner);
  lease.applied = std::max(lease.applied, request.sequence);
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
    if (copy.unused > 0 && CountedSince(owner, copy.granted_at) < copy.term) --copy.unused;
  }
  copy.consumed = true;
  copy.consumed_by = serial;
}

void Oracle::Heard(const RenewRequest& request, const RenewResponse& response, ShadowProcess client,
                   ShadowProcess owner) {
  if (response.result == RenewResult::kUnknownClient) {
    DGC_PROBE("renew of an unknown client");
    return;
  }
  Lease& lease = LeaseOf(client, owner);
  // Whether the owner has found both sides to agree: then whatever was listed still is.
  const bool agreed = response.result == RenewResult::kOk && request.sequence >= lease.applied;
  const bool ran = LeaseRuns(lease, owner);
  if (!ran) DGC_PROBE("renew arrives after the term, before the lapse is decided");
  if (lease.known && !ran && !agreed) LapsedPerhaps(lease);
  Extend(lease, owner, response.granted_term);
  if (response.result != RenewResult::kOk) {
    DGC_PROBE("digests differ");
    ++differences_;
  }
  if (!agreed || lease.epoch == 0) return;
  // Only if the two mean what the oracle means: a holder that knows of its lapse has begun anew.
  std::vector<uint32_t> listed;
  Digest digest;
  for (const uint32_t index : At(client).holds) {
    const Hold& hold = holds_[index];
    if (!hold.listed || hold.ended || At(hold.object).owner != owner) continue;
    listed.push_back(index);
    digest.Add(At(hold.object).id);
  }
  if (digest != request.held) return;
  for (const uint32_t index : listed) holds_[index].epoch = lease.epoch;
}

void Oracle::Heard(const TransitRequest& request, const TransitResponse& response) {
  auto failure = response.failures.begin();
  for (uint32_t i = 0; i < request.rows.size(); ++i) {
    if (failure != response.failures.end() && failure->index == i) {
      DGC_PROBE("hand-on of an object that is gone");
      ++failure;
      continue;
    }
    const auto object = Find(request.rows[i].id);
    if (!object.has_value()) continue;
    const auto it = by_token_.find({dgc::Raw(request.rows[i].transit), Raw(*object)});
    if (it == by_token_.end()) continue;
    Copy& copy = copies_[it->second];
    const ShadowProcess owner = At(*object).owner;
    if (copy.consumed) {
      DGC_PROBE("a hand-on is declared after it was taken up");
      At(*object).declared_late = true;
      if (CountedSince(owner, copy.consumed_at) >= options_.transit_term) ++copy.unused;
    } else if (!copy.granted || CountedSince(owner, copy.granted_at) >= copy.term) {
      ++copy.unused;
    }
    copy.granted = true;
    copy.granted_at = events_->now();
    copy.term = response.granted_term;
  }
}

// --- Safety.

void Oracle::RequireCause(const Hold& hold, Duration from, Duration to, Duration term,
                          const char* what) {
  const Run& run = At(hold.process);
  if (run.ended) to = std::min(to, run.ended_at);
  if (!run.holding && !run.ended) return;  // On its way out.
  const NodeIndex owner = At(At(hold.object).owner).node;
  const Duration quiet = faults_->LongestQuiet(run.node, owner, from, to);
  if (quiet < term) return;
  Fail(absl::StrCat(what, " of ", Describe(hold.process), " on ", Describe(hold.object),
                    " ended although nothing disturbed the two for ", Milliseconds(quiet),
                    " ms, which is more than ", Milliseconds(term), " ms"));
}

bool Oracle::Protected(Hold& hold) {
  const ShadowProcess owner = At(hold.object).owner;
  if (hold.listed) {
    const Lease& lease = LeaseOf(hold.process, owner);
    if (hold.epoch != lease.epoch) {
      const Lease::Gap& gap = lease.gaps[hold.epoch];
      RequireCause(hold, gap.from, gap.to, gap.term * 3 / 4, "the lease");
      return false;
    }
    if (LeaseRuns(lease, owner)) return true;
    // A holder renews at a third of its term, and after a failure tries again within a quarter.
    RequireCause(hold, lease.accepted_at, events_->now(), lease.term * 3 / 4, "the lease");
    return false;
  }
  if (hold.visiting) return false;
  hold.visiting = true;
  const bool by_copy = std::any_of(hold.copies.begin(), hold.copies.end(), [&](ShadowCopy copy) {
    return Protected(copies_[Raw(copy)], hold.since);
  });
  hold.visiting = false;
  if (by_copy) return true;
  RequireCause(hold, hold.began, events_->now(), options_.transit_term / 2, "the first listing");
  return false;
}

bool Oracle::Protected(const Copy& copy, uint64_t held_since) {
  // Named by a request from before this possession: the copy was delivered twice.  A request sent
  // during it that takes the protection away without listing is the collector's fault.
  if (copy.consumed && (held_since == 0 || copy.consumed_by < held_since)) {
    DGC_PROBE("copy whose token was used up before");
    return false;
  }
  if (copy.granted) return CountedSince(At(copy.object).owner, copy.granted_at) < copy.term;
  return copy.sender_hold != kNone && Protected(holds_[copy.sender_hold]);
}

std::optional<std::string> Oracle::DirectProtector(ShadowObject object) {
  const Object& record = At(object);
  if (record.handles > 0) return absl::StrCat(Describe(object), " has a handle in its own process");
  if (record.names > 0) return absl::StrCat(Describe(object), " has a name");
  for (const uint32_t index : record.holds) {
    Hold& hold = holds_[index];
    if (hold.ended) continue;
    if (Protected(hold)) {
      return absl::StrCat(Describe(object), " is held by ", Describe(hold.process), " (",
                          hold.handles, " handles, ", hold.edges, " edges, ",
                          hold.listed ? "listed" : "not yet listed", ")");
    }
    DGC_PROBE("excused reclaim: the holder had lapsed");
    ++excused_;
  }
  for (const ShadowCopy index : record.copies) {
    const Copy& copy = copies_[Raw(index)];
    if (copy.under_way == 0) continue;
    if (Protected(copy, 0)) {
      return absl::StrCat("a copy of ", Describe(object), " is on its way from ",
                          Describe(copy.sender));
    }
    DGC_PROBE("excused reclaim: the copy was too long under way");
    ++excused_;
  }
  return std::nullopt;
}

std::optional<std::string> Oracle::Protector(ShadowObject object) {
  const uint32_t mark = ++mark_;
  std::vector<ShadowObject> stack = {object};
  At(object).mark = mark;
  while (!stack.empty()) {
    const ShadowObject next = stack.back();
    stack.pop_back();
    if (auto protector = DirectProtector(next); protector.has_value()) {
      return next == object ? protector : absl::StrCat("an edge leads to it and ", *protector);
    }
    for (const ShadowObject from : At(next).edges_in) {
      if (At(from).owner != At(object).owner || At(from).mark == mark) continue;
      At(from).mark = mark;
      stack.push_back(from);
    }
  }
  return std::nullopt;
}

void Oracle::Reclaimed(ShadowProcess owner, const ObjectId& id, ReclaimReason reason) {
  ++reclaims_;
  const auto object = Find(id);
  if (!object.has_value() || At(*object).owner != owner) {
    Fail(absl::StrCat(Describe(owner), " reclaimed an object it does not host"));
    return;
  }
  if (!At(*object).exists) {
    if (At(*object).unexported && reason == ReclaimReason::kUnexport &&
        !std::exchange(At(*object).ended, true)) {
      return;
    }
    Fail(absl::StrCat(Describe(*object), " was reclaimed twice"));
    return;
  }
  if (auto protector = Protector(*object); protector.has_value()) {
    Fail(absl::StrCat("UNSAFE: ", Describe(*object), " was reclaimed (reason ",
                      static_cast<int>(reason), ") although ", *protector));
  }
  const auto unused = At(*object).unused;
  if (options_.prompt > Duration::zero() && unused.has_value() && !At(*object).declared_late &&
      events_->now() - *unused > options_.prompt) {
    Fail(absl::StrCat("SLOW: ", Describe(*object), " was reclaimed ",
                      Milliseconds(events_->now() - *unused), " ms after its last use (reason ",
                      static_cast<int>(reason), ") though nothing went wrong"));
  }
  Gone(*object);
}

}  // namespace dgc::testkit
