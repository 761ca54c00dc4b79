// The part of the oracle that judges what processes say: of losses, leases and hand-ons.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dgc/core/probe.h"
#include "dgc/core/reference_error.h"
#include "dgc/testkit/oracle.h"

namespace dgc::testkit {
namespace {

int64_t Milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

}  // namespace

// --- Losses.

void Oracle::Lost(ShadowProcess holder, const ObjectId& id, const dgc::Lost& lost) {
  const auto object = Find(id);
  if (!object.has_value()) {
    Fail(absl::StrCat(Describe(holder), " was told of the loss of an object that never was"));
    return;
  }
  const ShadowProcess owner = OwnerOf(*object);
  Lease& lease = LeaseOf(holder, owner);
  lease.untold.erase(*object);
  const auto failed = lease.failed.find(*object);
  const bool restarted = lost.cause == LossCause::kOwnerRestarted;
  if (restarted ? !At(owner).ended
                : failed == lease.failed.end() || lost.cause != CauseOf(failed->second.reason) ||
                      lost.reclaim_reason != failed->second.reclaim_reason ||
                      lost.reclaimed_ago != failed->second.reclaimed_ago) {
    Fail(absl::StrCat(Describe(holder), " was told of the loss of ", Describe(*object),
                      " for a cause (", static_cast<int>(lost.cause), ") that no owner gave"));
  }
  SaidToBeGone(*object);
  Forgotten(holder, *object);
  const uint32_t index = HoldOf(holder, *object);
  if (index == kNone) return;
  Hold& hold = holds_[index];
  if (hold.told && !hold.again) {
    Fail(absl::StrCat(Describe(holder), " was told twice of the loss of ", Describe(*object)));
  }
  hold.told = true;
  hold.again = false;
}

void Oracle::CheckFailure(ShadowProcess owner, const ObjectId& id, const Failure& failure) {
  const auto object = Find(id);
  if (!object.has_value() || OwnerOf(*object) != owner) return;
  const Object& record = At(*object);
  const auto require = [&](bool holds) {
    if (holds) return;
    Fail(absl::StrCat(Describe(owner), " says of ", Describe(*object), " what is not so: reason ",
                      static_cast<int>(failure.reason), ", reclaimed for ",
                      static_cast<int>(failure.reclaim_reason), " ",
                      Milliseconds(failure.reclaimed_ago), " ms ago"));
  };
  switch (failure.reason) {
    case FailureReason::kReclaimed:
      if (record.exists) SaidToBeGone(*object);
      if (record.condemned && record.exists) {
        return require(failure.reclaim_reason == ReclaimReason::kCycle);
      }
      require(!record.unexported && failure.reclaim_reason == record.gone_why &&
              failure.reclaimed_ago == Ago(owner, record.gone_at));
      break;
    case FailureReason::kUnexported:
      require(record.unexported && failure.reclaimed_ago == Ago(owner, record.gone_at));
      break;
    case FailureReason::kUnknown:
      require(!record.exists && !options_.remembers_reclaimed);
      break;
    default:
      if (failure.reason == FailureReason::kStale) DGC_PROBE("dirty refused as stale");
      require(record.exists && !record.condemned);
      break;
  }
}

void Oracle::SaidToBeGone(ShadowObject object) {
  if (!At(object).exists) return;
  // Found to be garbage, to be reclaimed step by step: no reference to it is accepted any more.
  DGC_PROBE("told that an object is gone before it is reclaimed");
  At(object).condemned = true;
  if (const auto protector = Protector(object); protector.has_value()) {
    Fail(absl::StrCat("UNSAFE: ", Describe(object), " is said to be gone, although ", *protector));
  }
}

void Oracle::CheckAllTold() {
  for (const Hold& hold : holds_) {
    const Object& object = At(hold.object);
    if (hold.ended || hold.told || object.exists) continue;
    // Whoever uses it hears that it was unexported; who only has it need not.
    if (object.unexported && !At(object.owner).ended) continue;
    // Nor does an owner answer who is one too many.
    if (Refused(hold) && Crowded(object.owner)) continue;
    Fail(absl::StrCat(Describe(hold.process), " still has ", Describe(hold.object),
                      ", which is gone, and was never told"));
    return;
  }
  for (const auto& [pair, lease] : leases_) {
    for (const ShadowObject object : lease.untold) {
      if (!At(ShadowProcess{pair.first}).holding) continue;
      Fail(absl::StrCat(Describe(ShadowProcess{pair.first}), " was never told that it handed on ",
                        Describe(object), ", which was gone"));
    }
    if (!lease.relisting || lease.believed.empty() || At(ShadowProcess{pair.second}).ended)
      continue;
    if (!At(ShadowProcess{pair.first}).holding || lease.refused_at.has_value()) continue;
    Fail(absl::StrCat("LISTINGS: ", Describe(ShadowProcess{pair.first}),
                      " lists all again, and never comes to an end"));
  }
  for (const Copy& copy : copies_) {
    if (copy.sender != At(copy.object).owner) CheckHandOnTold(copy);
  }
}

// --- Assurance.

void Oracle::CheckAssured(ShadowProcess holder, ShadowObject object) {
  // What an owner's end or an application's force takes away is not for a lease to assure.
  const ShadowProcess owner = At(object).owner;
  if (At(owner).ended || At(object).unexported) return;
  const Lease& lease = LeaseOf(holder, owner);
  const Said& said = said_[{Raw(holder), Raw(object)}];
  if (At(object).exists && said.listed > said.cleaned && said.lapses == lease.lapses &&
      LeaseRuns(lease, owner)) {
    return;
  }
  Fail(absl::StrCat("UNSAFE: ", Describe(holder), " calls ", Describe(object),
                    " assured, although ",
                    At(object).exists ? "no lease covers it" : "it is gone"));
}

// --- The order of events.

void Oracle::Require(bool holds, ShadowProcess process, const char* what) {
  if (!holds) Fail(absl::StrCat("ORDER: ", Describe(process), " reports that ", what));
}

void Oracle::Happened(ShadowProcess process, const Transition& transition) {
  using Kind = Transition::Kind;
  using Standing = Lease::Standing;
  const Kind kind = transition.kind;
  const auto require = [&](bool holds, const char* what) { Require(holds, process, what); };
  if (kind == Kind::kBrakeOn || kind == Kind::kBrakeOff) {
    bool& braking = At(process).braking;
    require(braking == (kind == Kind::kBrakeOff), "the brake does again what it did last");
    braking = kind == Kind::kBrakeOn;
    HeldBack(process);
    if (braking) DGC_PROBE("the brake grips");
    if (!braking && !At(process).told_to_reap) DGC_PROBE("the brake lets go by itself");
    return;
  }
  if (!transition.client.valid()) {
    return require(At(process).told_to_reap, "an operator said what none has said");
  }
  const auto client = by_client_.find(transition.client);
  if (client == by_client_.end()) return require(false, "an unknown client did something");
  Lease& lease = LeaseOf(client->second, process);
  const Standing before = lease.standing;
  switch (kind) {
    case Kind::kClientAppeared:
      // A client without listings goes without a word.
      lease.standing = Standing::kKnown;
      lease.partings.push_back(events_->now());
      break;
    case Kind::kClientLimbo:
      require(before == Standing::kKnown, "a client is in limbo that was not known");
      lease.standing = Standing::kLimbo;
      break;
    case Kind::kClientResurrected:
      require(before == Standing::kLimbo, "a client is back that was not in limbo");
      lease.standing = Standing::kKnown;
      break;
    case Kind::kLeaseLapsed:
      require(before == (options_.limbo > Duration::zero() ? Standing::kLimbo : Standing::kKnown),
              "a lease lapsed that did not run");
      CheckLapse(lease, process);
      lease.standing = Standing::kNone;
      Unlist(lease);
      ++lease.lapses;
      lease.lapsed_at = events_->now();
      LapsedPerhaps(lease);  // For certain: that both sides then agree on nothing says no more.
      break;
    case Kind::kGoodbye:
      require(before != Standing::kNone, "a client left that was not there");
      lease.standing = Standing::kNone;
      Unlist(lease);
      lease.known = false;
      break;
    default:
      require(false, "a client did what only a process itself does");
      break;
  }
}

void Oracle::CheckLapse(Lease& lease, ShadowProcess owner) {
  Require(!LeaseRuns(lease, owner), owner, "a lease lapsed before its time");
  Require(!At(owner).braking, owner, "a lease lapsed though the brake grips");
  const Duration late = CountedSince(owner, lease.accepted_at) - lease.term - options_.limbo;
  // Nor does what was stopped since keep the order.
  const size_t stops = faults_->stops(NodeOf(owner)).size();
  const bool waits = std::any_of(lease.waiting.begin(), lease.waiting.end(),
                                 [&](const auto& each) { return each.second == stops; });
  Require(!waits || late >= options_.self_call_timeout, owner,
          "a lease lapsed though a request that came in before waits");
}

void Oracle::Happened(ShadowProcess holder, ShadowProcess owner, Transition::Kind kind) {
  using Kind = Transition::Kind;
  Lease& lease = LeaseOf(holder, owner);
  const auto require = [&](bool holds, const char* what) { Require(holds, holder, what); };
  switch (kind) {
    case Kind::kPeerFailing:
      require(!std::exchange(lease.failing, true), "an owner fails that failed already");
      break;
    case Kind::kPeerRecovered:
      require(std::exchange(lease.failing, false), "an owner is back that did not fail");
      break;
    case Kind::kRelisting:
      require(lease.answered, "it lists all again, though no owner said a word");
      lease.believed.clear();
      lease.relisting = true;
      break;
    case Kind::kOwnerRestarted:
      require(At(owner).ended, "an owner restarted that runs");
      lease.believed.clear();
      break;
    default:
      // No ids are forged here.
      require(false, "an owner takes it for an impostor");
      break;
  }
}

// --- Hand-ons.

void Oracle::HandOnExpired(ShadowProcess sender, const ObjectId& id, TransitToken token,
                           bool acknowledged) {
  const auto object = Find(id);
  const auto it =
      object.has_value() ? by_token_.find({dgc::Raw(token), Raw(*object)}) : by_token_.end();
  if (it == by_token_.end() || copies_[it->second].sender != sender) {
    Fail(absl::StrCat(Describe(sender), " heard of a hand-on that it never made"));
    return;
  }
  DGC_PROBE("the sender hears of a hand-on that nobody took up");
  Copy& copy = copies_[it->second];
  const auto fail = [&](const char* what) {
    Fail(absl::StrCat(Describe(sender), " heard that nobody took up its hand-on of ",
                      Describe(*object), ", ", what));
  };
  if (++copy.reported > 1 && !copy.forgotten) return fail("once more");
  if (!acknowledged) {
    DGC_PROBE("the sender gives up a hand-on");
    if (copy.acknowledged) return fail("or perhaps did, although it is declared");
    // Refusals take no time, but each puts off the next try by a quarter of a term.
    const ShadowProcess owner = At(copy.object).owner;
    const Duration term = 4 * options_.unnoticed;
    const Duration now = events_->now();
    if (!At(owner).ended &&
        faults_->LongestQuiet(At(owner).node, At(sender).node, now - term, now) >= term / 2) {
      return fail("or perhaps did, although nothing was in the way of the declaration");
    }
    copy.sender_hold = kNone;
    return;
  }
  if (copy.declared == 0) return fail("of which the owner never knew");
  // The owner need not remember for ever that it was taken up.
  if (copy.in_time && !copy.forgotten) return fail("which was taken up in time");
  const ShadowProcess owner = At(copy.object).owner;
  const Duration since = CountedSince(owner, copy.granted_at);
  if (copy.declared == 1 && since < copy.term) return fail("before its time");
  if (copy.declared > 1 || since <= copy.term + options_.told_within + options_.unnoticed) return;
  if (At(owner).held_back) {
    DGC_PROBE("the sender hears late of a hand-on, as its end was decided late");
  } else if (BothRun(copy) && Disturbed(copy, copy.granted_at, ToldBy(copy)) < options_.unnoticed) {
    fail("very late");
  }
}

bool Oracle::BothRun(const Copy& copy) const {
  const Run& sender = At(copy.sender);
  return !At(At(copy.object).owner).ended && !sender.ended && sender.holding;
}

Duration Oracle::ToldBy(const Copy& copy) const {
  return std::min(copy.granted_at + copy.term + options_.told_within, events_->now());
}

Duration Oracle::Disturbed(const Copy& copy, Duration from, Duration to) const {
  return faults_->Disturbed(At(At(copy.object).owner).node, At(copy.sender).node, from, to);
}

void Oracle::CheckHandOnTold(const Copy& copy) {
  const ShadowProcess owner = At(copy.object).owner;
  if (copy.declared == 0 || copy.consumed || copy.reported > 0 || !BothRun(copy)) return;
  if (CountedSince(owner, copy.granted_at) <= copy.term + options_.told_within) return;
  // Nobody listens for what a ghost has opened anew.
  if (copy.straggled) return;
  // Who was no client for want of room is not told, nor of too much.
  const Lease& lease = LeaseOf(copy.sender, owner);
  if (lease.notices_full_at >= copy.granted_at || lease.refused_at.has_value()) return;
  // Nor whose lease has lapsed: whether it may is judged there.
  if (lease.lapsed_at >= copy.granted_at) return;
  // Nor who has parted otherwise from the owner before that was decided, but that takes a
  // disturbance, since it last was a client anew.
  const auto& partings = lease.partings;
  const auto between = std::lower_bound(partings.begin(), partings.end(), copy.earlier_at);
  // Opened anew by a ghost of its sender.
  if (copy.late && between != partings.end() && *between <= copy.granted_at) return;
  const auto after = std::upper_bound(partings.begin(), partings.end(), copy.granted_at);
  if (after != partings.end()) {
    // It may have had no room for it when it was declared.
    if (options_.clients_max < runs_.size()) return;
    const Duration from =
        after == partings.begin() ? copy.lease_from : std::max(copy.lease_from, *(after - 1));
    const Duration parted_at = partings.back();
    const Duration end = At(owner).held_back ? parted_at : std::min(parted_at, ToldBy(copy));
    if (Disturbed(copy, from, end) >= options_.unnoticed) return;
    // Refusals take no time, but each puts off the next try by a quarter of a term.
    const Duration term = 4 * options_.unnoticed;
    const NodeIndex host = At(owner).node;
    const NodeIndex node = At(copy.sender).node;
    if (faults_->LongestQuiet(host, node, parted_at - term, parted_at) < term / 2) return;
  }
  Fail(absl::StrCat(Describe(copy.sender), " never heard that nobody took up its hand-on of ",
                    Describe(copy.object), ", token ", dgc::Raw(copy.token) % 100'000,
                    ", declared at ", Milliseconds(copy.granted_at), " ms for ",
                    Milliseconds(copy.term), " ms"));
}

}  // namespace dgc::testkit
