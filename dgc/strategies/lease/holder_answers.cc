// The half of the holder that hears: what an answer changes.

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

#include "absl/container/flat_hash_set.h"
#include "dgc/core/probe.h"
#include "dgc/strategies/lease/holder.h"

namespace dgc {
namespace {

// Clocks run at rates of their own: a holder counts this share of its term as over already, so that
// it is the stricter side if together they are up to 3 % apart.
constexpr int kDriftShare = 32;

// How far apart the first two re-listings of a session are at least; each further one twice as far,
// up to the maximum.
constexpr Duration kRelistMin = std::chrono::milliseconds(10);
constexpr Duration kRelistMax = std::chrono::seconds(1);
// That they agreed this long after the last one makes the next one the first again.
constexpr Duration kRelistForgotten = std::chrono::seconds(10);

// How long after its term a holder still listens for how a hand-on ended, whatever the owner says.
constexpr Duration kListenMax = kTermMax;

// The failures of an answer by the row of the request, asked for in ascending order.
class FailuresByRow {
 public:
  explicit FailuresByRow(const std::vector<Failure>& failures)
      : next_(failures.begin()), end_(failures.end()) {}

  // Null if that row succeeded.
  const Failure* Of(size_t row) {
    while (next_ != end_ && next_->index < row) ++next_;
    return next_ != end_ && next_->index == row ? &*next_ : nullptr;
  }

 private:
  std::vector<Failure>::const_iterator next_;
  const std::vector<Failure>::const_iterator end_;
};

}  // namespace

void LeaseHolder::Answered(PeerIndex peer, uint64_t call, const Response& response, TimePoint now) {
  if (Raw(peer) >= sessions_.size()) return;
  Session& session = sessions_[Raw(peer)];
  if (!session.open || session.op == Op::kNone || session.call != call) return;
  const bool was_failing = Failing(session);
  if (!std::holds_alternative<Refusal>(response)) {
    NoteSize(session, /*refused=*/false);
    session.failures = 0;
    session.unheard_since = session.silent_since = TimePoint::max();
    session.retry_at = TimePoint::min();
  }
  std::visit([&](const auto& typed) { On(peer, session, typed, now); }, response);
  NoteFailing(peer, session, was_failing);
  session.op = Op::kNone;
  session.op_rows.clear();
  session.op_tokens.clear();
  session.op_completes = false;
  // Taken out first: the last use of an import makes the session look at itself again.
  const std::vector<HandOn> declared = std::exchange(session.op_hand_ons, {});
  for (const HandOn& hand_on : declared) {
    session.unacknowledged.erase(Raw(hand_on.transit));
    if ((*context_.imports)[hand_on.import].lost == LossCause::kNone) {
      context_.drop(hand_on.import, now);
    } else {
      lost_on_the_way_.push_back(hand_on.import);
    }
  }
  Pump(peer, now);
}

void LeaseHolder::Granted(Session& session, Duration term) {
  session.term = term;
  session.granted_until = session.sent + term - term / kDriftShare;
}

// Never puts it off: only a renewal compares what both sides hold.
void LeaseHolder::HastenRenewal(Session& session) {
  const TimePoint planned = session.renew_at;
  PlanRenewal(session);
  session.renew_at = std::min(session.renew_at, planned);
}

void LeaseHolder::NoteFailing(PeerIndex peer, Session& session, bool was_failing) {
  if (session.dead || Failing(session) == was_failing) return;
  context_.outputs->transitions.push_back(
      {.kind = was_failing ? Transition::Kind::kPeerRecovered : Transition::Kind::kPeerFailing,
       .peer = peer,
       .count = session.imports.size()});
}

void LeaseHolder::PlanRenewal(Session& session) {
  // Between 30 % and 33 % of the term after the request left: early enough to try again several
  // times, and spread out.
  const auto jitter = static_cast<int64_t>(context_.random->Next() % 1024);
  const Duration term = TermOf(session);
  session.renew_at = session.sent + term / 3 - term / 30 * jitter / 1024;
}

void LeaseHolder::Listed(Session& session, const OpRow& row) {
  const ImportIndex import = row.import;
  Import& state = At(import);
  // Unless it was dropped and imported again meanwhile: then the token is the new copy's.
  if (state.transit == row.transit) state.transit = {};
  if (Raw(state.transit) != 0) DGC_PROBE("a reference came again while its Dirty was under way");
  if (state.listed) return;
  state.listed = true;
  session.held.Add((*context_.imports)[import].id);
  ++held_;
}

void LeaseHolder::Unlisted(Session& session, ImportIndex import) {
  Import& state = At(import);
  if (!state.listed) return;
  state.listed = false;
  session.held.Remove((*context_.imports)[import].id);
  --held_;
}

void LeaseHolder::Forget(Session& session, ImportIndex import) {
  Unlisted(session, import);
  const ImportIndex last = session.imports.back();
  session.imports[At(import).place] = last;
  At(last).place = At(import).place;
  session.imports.pop_back();
  At(import) = {};
  if ((*context_.imports)[import].uses == 0) context_.imports->Erase(import);
}

void LeaseHolder::Lose(Session& session, ImportIndex import, const Failure& failure) {
  ImportRecord& record = (*context_.imports)[import];
  record.lost = session.dead ? session.lost : CauseOf(failure.reason);
  ++context_.counters->references_lost;
  context_.outputs->lost.push_back(
      {import, record.lost, failure.reclaim_reason, failure.reclaimed_ago});
  if (At(import).phase != Phase::kGone) Forget(session, import);
}

void LeaseHolder::TokenFailed(PeerIndex peer, Session& session, const ExtraToken& token,
                              const Failure& failure, TimePoint now) {
  if (failure.reason == FailureReason::kStale || failure.reason == FailureReason::kQuota) {
    DGC_PROBE("a token is named once more");
    // Where there is no room, when that is tried again.
    const TimePoint at = failure.reason == FailureReason::kStale ? now : TimePoint::max();
    AddToken(session, token, at);
    return;
  }
  // That it was listed before says nothing any more.
  const auto import = context_.imports->Find(peer, token.id);
  if (import.has_value() && At(*import).phase == Phase::kListed) Lose(session, *import, failure);
}

void LeaseHolder::On(PeerIndex peer, Session& session, const DirtyResponse& response,
                     TimePoint now) {
  session.acknowledged = session.op_sequence;
  Heard(peer, session, response.notices);
  // An answer that came after the granted term may be that of a lease begun anew, which says
  // nothing of what was held before: that is for a renewal to tell.
  if (session.held.count == 0 || now < session.granted_until) {
    Granted(session, response.granted_term);
  }
  HastenRenewal(session);
  if (session.op_completes) {
    session.relisting = false;
    session.relist_from = {};
  }
  bool stale = false;
  bool refused = false;
  FailuresByRow failures(response.failures);
  for (size_t i = 0; i < session.op_rows.size(); ++i) {
    const ImportIndex import = session.op_rows[i].import;
    const bool wanted = At(import).phase == Phase::kListing;
    const Failure* const failure = failures.Of(i);
    if (failure == nullptr) {
      Listed(session, session.op_rows[i]);
      if (wanted) At(import).phase = Phase::kListed;
      continue;
    }
    stale |= failure->reason == FailureReason::kStale;
    refused |= failure->reason == FailureReason::kQuota;
    if (refused && session.relisting) DGC_PROBE("a quota refuses a row of a re-listing");
    if (!wanted) continue;
    if (failure->reason != FailureReason::kStale && failure->reason != FailureReason::kQuota) {
      Lose(session, import, *failure);
    } else if (session.goodbye) {
      ToClean(session, import, now);
    } else if (failure->reason == FailureReason::kStale) {
      ToList(session, import, now);
    } else {
      At(import).phase = Phase::kRefused;
      Push(session, session.refused, import, Phase::kRefused);
    }
  }
  // The rows of the tokens come after.
  for (size_t i = 0; i < session.op_tokens.size(); ++i) {
    const Failure* const failure = failures.Of(session.op_rows.size() + i);
    if (failure == nullptr) continue;
    stale |= failure->reason == FailureReason::kStale;
    refused |= failure->reason == FailureReason::kQuota;
    TokenFailed(peer, session, session.op_tokens[i], *failure, now);
  }
  // Once is usual: a Clean has overtaken it.
  session.stales = stale ? session.stales + 1 : 0;
  if (session.stales > 1) DGC_PROBE("stale twice");
  if (session.stales > 1) session.list_not_before = now + Backoff(session, session.stales - 1);
  session.refusals = refused                   ? session.refusals + 1
                     : session.refused.empty() ? 0
                                               : session.refusals;
  if (refused) session.refused_until = now + Backoff(session, session.refusals);
  if (session.to_list.empty() && session.to_clean.empty()) session.unsure = false;
}

void LeaseHolder::On(PeerIndex, Session& session, const CleanResponse&, TimePoint now) {
  session.acknowledged = session.op_sequence;
  for (const OpRow& row : session.op_rows) {
    Unlisted(session, row.import);
    Import& state = At(row.import);
    if (state.transit == row.transit) state.transit = {};
    if ((*context_.imports)[row.import].uses == 0) {
      Forget(session, row.import);
    } else {
      ToList(session, row.import, now);
    }
  }
  if (session.to_list.empty() && session.to_clean.empty()) session.unsure = false;
}

void LeaseHolder::On(PeerIndex peer, Session& session, const RenewResponse& response,
                     TimePoint now) {
  const bool unknown = response.result == RenewResult::kUnknownClient;
  if (!response.hand_ons_open || session.sent >= session.listen_until) {
    session.listen_until = TimePoint::min();
  }
  if (unknown) {
    session.notices_acknowledged = session.notices_seen;  // With the client they are forgotten.
    if (session.imports.empty()) {
      session.relisting = false;
      return;
    }
  } else {
    Heard(peer, session, response.notices);
  }
  // While an answer is missing the owner does not compare, and past the granted term that very
  // Dirty, come late, may have begun a new lease, which holds nothing of the old one; nor would it
  // hold what a re-listing has said so far.
  const bool anew = session.granted_until <= now &&
                    (session.unsure || (session.relisting && Raw(session.relist_from) != 0));
  if (anew) DGC_PROBE("a renewal past the term proves nothing, and all is listed again");
  // Nor does it ever compare again where what it may have listed was found to be gone by other
  // means, so that nothing is left to be said of it.
  const bool unsaid = session.unsure && session.to_list.empty() && session.to_clean.empty() &&
                      session.tokens.empty();
  const bool differs = response.result == RenewResult::kDiffers || unsaid;
  const bool relist = unknown || anew || (differs && !session.relisting);
  // A pass over all imports is not for an owner to cause at will; until then its word is not taken.
  if (relist && now < session.relist_not_before) {
    DGC_PROBE("a re-listing is put off");
    session.renew_at = session.relist_not_before;
    return;
  }
  if (!unknown) {
    Granted(session, response.granted_term);
    PlanRenewal(session);
  }
  if (relist) {
    Relist(peer, session, now);
  } else if (now >= session.relist_not_before + kRelistForgotten) {
    session.relist_interval = {};
  }
}

void LeaseHolder::On(PeerIndex, Session& session, const TransitResponse& response, TimePoint now) {
  // Until a renewal says that none is open any more.
  session.listen_until = std::max(session.listen_until, now + response.granted_term + kListenMax);
  HastenRenewal(session);
  std::vector<HandOn> refused;
  std::vector<HandOn> declared;  // Released by Answered().
  FailuresByRow failures(response.failures);
  for (size_t i = 0; i < session.op_hand_ons.size(); ++i) {
    const HandOn& hand_on = session.op_hand_ons[i];
    const Failure* const failure = failures.Of(i);
    if (failure != nullptr && failure->reason == FailureReason::kQuota) {
      DGC_PROBE("a quota refuses a hand-on");
      refused.push_back(hand_on);
      continue;
    }
    declared.push_back(hand_on);
    // Nothing else may be left to say so: nobody lists what was let go meanwhile.
    if (failure != nullptr && At(hand_on.import).phase != Phase::kGone) {
      Lose(session, hand_on.import, *failure);
    }
  }
  session.op_hand_ons = std::move(declared);
  if (refused.empty()) {
    if (session.refused.empty()) session.refusals = 0;
    return;
  }
  ++session.refusals;
  session.hand_on_not_before = now + Backoff(session, session.refusals);
  session.hand_ons.insert(session.hand_ons.end(), refused.begin(), refused.end());
}

void LeaseHolder::On(PeerIndex, Session& session, const GoodbyeResponse&, TimePoint now) {
  Clear(session);
  session.goodbye = false;
  session.idle_at = now;
}

void LeaseHolder::On(PeerIndex peer, Session& session, const Refusal& refusal, TimePoint now) {
  ++context_.counters->requests_failed;
  if (refusal.code == Refusal::Code::kWrongIncarnation) {
    OwnerGone(peer, session, LossCause::kOwnerRestarted, now);
    return;
  }
  if (refusal.code == Refusal::Code::kPermissionDenied) {
    OwnerGone(peer, session, LossCause::kRefused, now);
    return;
  }
  if (session.goodbye && refusal.code == Refusal::Code::kResourceExhausted &&
      session.hand_ons.empty() && session.op_hand_ons.empty() && session.op != Op::kGoodbye) {
    // An owner that has no room for a client has nothing of it either; a goodbye needs none.
    Clear(session);
    return;
  }
  // Whatever the answer: a duplicate may have been carried out all the same.
  if (session.op == Op::kDirty || session.op == Op::kClean) session.unsure = true;
  ++session.failures;
  session.unheard_since = std::min(session.unheard_since, now);
  if (refusal.code == Refusal::Code::kResourceExhausted) {
    session.silent_since = TimePoint::max();
    NoteSize(session, /*refused=*/true);
  } else {
    session.silent_since = std::min(session.silent_since, now);
  }
  session.retry_at = now + Backoff(session, session.failures);
  Requeue(session, now);
}

void LeaseHolder::NoteSize(Session& session, bool refused) const {
  const size_t rows =
      session.op_rows.size() + session.op_tokens.size() + session.op_hand_ons.size();
  if (refused && rows > 0) {
    DGC_PROBE("a request is refused, and a smaller one is tried");
    session.rows_max = std::max(static_cast<uint32_t>(rows / 2), 1u);
  } else if (rows >= session.rows_max) {
    session.rows_max = std::min(session.rows_max + session.rows_max / 16 + 1, options_.batch_max);
  }
}

void LeaseHolder::Requeue(Session& session, TimePoint now) {
  for (const OpRow& row : session.op_rows) {
    const ImportIndex import = row.import;
    const bool used = (*context_.imports)[import].uses > 0;
    if (At(import).phase == Phase::kListing) {
      if (session.goodbye) {
        ToClean(session, import, now);
      } else {
        ToList(session, import, now);
      }
    } else if (At(import).phase == Phase::kCleaning) {
      if (used && !session.goodbye) {
        ToList(session, import, now);
      } else {
        ToClean(session, import, now);
      }
    }
  }
  for (const ExtraToken& token : session.op_tokens) AddToken(session, token, now);
  session.hand_ons.insert(session.hand_ons.begin(), session.op_hand_ons.begin(),
                          session.op_hand_ons.end());
  session.op_hand_ons.clear();
}

void LeaseHolder::Relist(PeerIndex peer, Session& session, TimePoint now) {
  PlanRenewal(session);  // The Dirtys renew too, unless they fail.
  session.relist_interval = std::clamp(2 * session.relist_interval, kRelistMin, kRelistMax);
  session.relist_not_before = now + session.relist_interval;
  ++context_.counters->relistings;
  context_.outputs->transitions.push_back(
      {.kind = Transition::Kind::kRelisting, .peer = peer, .count = session.imports.size()});
  session.relisting = true;
  session.relist_from = {};
  for (const ImportIndex import : session.imports) {
    Unlisted(session, import);
    if (At(import).phase == Phase::kListed) ToList(session, import, now);
  }
}

void LeaseHolder::Clear(Session& session) {
  while (!session.imports.empty()) {
    const ImportIndex import = session.imports.back();
    if (session.dead && (*context_.imports)[import].uses > 0) {
      Lose(session, import, {});
    } else {
      Forget(session, import);
    }
  }
  session.to_list.clear();
  session.to_clean.clear();
  session.refused.clear();
  session.refused_until = TimePoint::max();
  session.tokens.clear();
  session.relisting = false;
  session.listen_until = TimePoint::min();
  session.notices_acknowledged = session.notices_seen;
}

void LeaseHolder::OwnerGone(PeerIndex peer, Session& session, LossCause cause, TimePoint now) {
  session.lost = cause;
  session.dead = true;
  session.goodbye = false;
  session.idle_at = now + options_.linger;
  context_.outputs->transitions.push_back({.kind = cause == LossCause::kRefused
                                                       ? Transition::Kind::kRefused
                                                       : Transition::Kind::kOwnerRestarted,
                                           .peer = peer,
                                           .count = session.imports.size()});
  Clear(session);
  for (const HandOn& hand_on : std::exchange(session.hand_ons, {})) {
    session.op_hand_ons.push_back(hand_on);  // Released by Answered().
  }
}

}  // namespace dgc
