// The part of the oracle that judges what processes say: of losses, leases and hand-ons.

#include <utility>

#include "absl/strings/str_cat.h"
#include "dgc/core/probe.h"
#include "dgc/testkit/oracle.h"

namespace dgc::testkit {

// --- Losses.

void Oracle::Lost(ShadowProcess holder, const ObjectId& id) {
  const auto object = Find(id);
  if (!object.has_value()) {
    Fail(absl::StrCat(Describe(holder), " was told of the loss of an object that never was"));
    return;
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
    if (Refused(hold) && TooManyClients(object.owner)) continue;
    Fail(absl::StrCat(Describe(hold.process), " still has ", Describe(hold.object),
                      ", which is gone, and was never told"));
    return;
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
      require(!LeaseRuns(lease, process), "a lease lapsed before its time");
      require(!At(process).braking, "a lease lapsed though the brake grips");
      lease.standing = Standing::kNone;
      Unlist(lease);
      ++lease.lapses;
      lease.lapsed_at = events_->now();
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

void Oracle::HandOnExpired(ShadowProcess sender, const ObjectId& id, TransitToken token) {
  const auto object = Find(id);
  const auto it =
      object.has_value() ? by_token_.find({dgc::Raw(token), Raw(*object)}) : by_token_.end();
  if (it == by_token_.end() || copies_[it->second].sender != sender) {
    Fail(absl::StrCat(Describe(sender), " heard of a hand-on that it never made"));
    return;
  }
  DGC_PROBE("the sender hears of a hand-on that nobody took up");
  Copy& copy = copies_[it->second];
  if (copy.unused == 0) {
    Fail(absl::StrCat(Describe(sender), " heard once more that nobody took up its hand-on of ",
                      Describe(*object), ", which was taken up in time or reported already"));
    return;
  }
  --copy.unused;
}

}  // namespace dgc::testkit
