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

std::optional<ShadowProcess> Oracle::FindRun(Incarnation incarnation) const {
  const auto it = by_incarnation_.find(dgc::Raw(incarnation));
  if (it == by_incarnation_.end()) return std::nullopt;
  return it->second;
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
  by_incarnation_[dgc::Raw(incarnation)] = process;
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
    if (At(object).exists) Gone(object, ReclaimReason::kUnspecified);
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
  Gone(object, ReclaimReason::kUnexport);
}

void Oracle::Gone(ShadowObject object, ReclaimReason why) {
  At(object).exists = false;
  At(object).gone_at = events_->now();
  At(object).gone_why = why;
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
  copy.token = token;
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
      RequireCause(hold, gap.from, gap.to, gap.term / 2, "the lease");
      return false;
    }
    if (LeaseRuns(lease, owner)) return true;
    // A holder renews at a third of its term, or an eighth later if answers are missing, and after
    // a failure tries again within a quarter.
    RequireCause(hold, lease.heard_at, EndOf(lease), lease.heard_term / 2, "the lease");
    return false;
  }
  if (hold.visiting) return false;
  hold.visiting = true;
  const bool by_copy = std::any_of(hold.copies.begin(), hold.copies.end(), [&](ShadowCopy copy) {
    return Protected(copies_[Raw(copy)], hold.since);
  });
  hold.visiting = false;
  // Who is refused for a full quota holds at its own risk.
  if (by_copy || Refused(hold)) return by_copy;
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
  for (uint32_t i = 0; i < runs_.size(); ++i) {
    const Lease* const lease = FindLease(ShadowProcess{i}, owner);
    if (lease == nullptr || !lease->listings.contains(*object)) continue;
    Fail(absl::StrCat("UNSAFE: ", Describe(*object), " was reclaimed (reason ",
                      static_cast<int>(reason), ") although it is listed for ",
                      Describe(ShadowProcess{i}), ", of which no lapse was reported"));
  }
  const auto unused = At(*object).unused;
  if (options_.prompt > Duration::zero() && unused.has_value() && !At(*object).declared_late &&
      events_->now() - *unused > options_.prompt) {
    Fail(absl::StrCat("SLOW: ", Describe(*object), " was reclaimed ",
                      Milliseconds(events_->now() - *unused), " ms after its last use (reason ",
                      static_cast<int>(reason), ") though nothing went wrong"));
  }
  Gone(*object, reason);
}

}  // namespace dgc::testkit
