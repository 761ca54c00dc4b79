#include "dgc/strategies/lease/holder.h"

#include <algorithm>
#include <variant>

#include "absl/strings/str_cat.h"
#include "dgc/core/check.h"

namespace dgc {
namespace {

// Tokens that wait to be named; beyond this the oldest is left to its transit term.
constexpr size_t kTokensMax = kBatchMax;

// Clocks run at rates of their own: a holder counts this share of its term as over already, so that
// it is the stricter side if together they are up to 3 % apart.
constexpr int kDriftShare = 32;

// Below this many entries the queue of deadlines is not worth compacting.
constexpr size_t kCompactMin = 1024;

// A session that has had its turn is not looked at again sooner.
constexpr Duration kPumpInterval = std::chrono::microseconds(100);

}  // namespace

LeaseHolder::LeaseHolder(const LeaseOptions& options, const Strategy::Context& context)
    : options_(options), context_(context) {}

ClientKey LeaseHolder::KeyFor(PeerIndex peer) const {
  if (context_.key == nullptr) return {};
  const Peer& record = context_.imports->GetPeer(peer);
  return context_.key(record.owner, record.incarnation);
}

// What is not listed yet is covered by the transit lease it came with, whose end is not known here.
bool LeaseHolder::Assured(ImportIndex import, TimePoint now) const {
  const PeerIndex peer = (*context_.imports)[import].peer;
  return Raw(import) < imports_.size() && Raw(peer) < sessions_.size() &&
         imports_[Raw(import)].phase == Phase::kListed && now < sessions_[Raw(peer)].granted_until;
}

void LeaseHolder::Heard(PeerIndex peer, Session& session, const std::vector<Notice>& notices) {
  session.notices_acknowledged = session.notices_seen;
  for (const Notice& notice : notices) {
    if (notice.number <= session.notices_seen) continue;
    session.notices_seen = notice.number;
    ++context_.counters->hand_ons_expired;
    context_.outputs->hand_ons_expired.push_back({peer, notice.id, notice.transit});
  }
}

LeaseHolder::Session& LeaseHolder::SessionOf(PeerIndex peer, TimePoint now) {
  if (sessions_.size() <= Raw(peer)) sessions_.resize(Raw(peer) + 1);
  Session& session = sessions_[Raw(peer)];
  if (!session.open) {
    session.open = true;
    session.idle_at = now + options_.linger;
    ++open_sessions_;
  }
  return session;
}

LeaseHolder::Import& LeaseHolder::At(ImportIndex import) {
  if (imports_.size() <= Raw(import)) imports_.resize(Raw(import) + 1);
  return imports_[Raw(import)];
}

// While the line is down, a reference that comes and goes leaves an outdated entry each time.
void LeaseHolder::Push(Session& session, std::vector<ImportIndex>& list, ImportIndex import,
                       Phase phase) {
  if (list.size() >= 2 * session.imports + 64) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
    std::erase_if(list, [&](ImportIndex entry) { return At(entry).phase != phase; });
  }
  list.push_back(import);
}

void LeaseHolder::ToList(Session& session, ImportIndex import, TimePoint at) {
  At(import).phase = Phase::kToList;
  Push(session, session.to_list, import, Phase::kToList);
  session.list_at = std::min(session.list_at, at);
}

void LeaseHolder::ToClean(Session& session, ImportIndex import, TimePoint at) {
  At(import).phase = Phase::kToClean;
  Push(session, session.to_clean, import, Phase::kToClean);
  session.clean_at = std::min(session.clean_at, at);
}

void LeaseHolder::AddToken(Session& session, const ExtraToken& token, TimePoint at) {
  if (session.tokens.size() >= kTokensMax) session.tokens.erase(session.tokens.begin());
  session.tokens.push_back(token);
  session.list_at = std::min(session.list_at, at);
}

void LeaseHolder::Imported(ImportIndex import, TransitToken transit, TimePoint now) {
  ImportRecord& record = (*context_.imports)[import];
  const PeerIndex peer = record.peer;
  Session& session = SessionOf(peer, now);
  Import& state = At(import);
  if (session.dead) {
    Lose(session, import, {});
    return;
  }
  if (leaving_) return;
  const bool protected_copy = Raw(transit) != 0;
  const TimePoint at = protected_copy ? now + options_.dirty_delay : now;
  const bool fresh = state.phase == Phase::kGone;
  if (fresh) {
    record.lost = LossCause::kNone;
    state = {};
    ++session.imports;
  }
  if (fresh || state.phase == Phase::kToClean) ToList(session, import, at);
  if (protected_copy) {
    if (state.phase == Phase::kToList && Raw(state.transit) == 0) {
      state.transit = transit;
    } else if (state.transit != transit) {
      AddToken(session, {record.id, transit}, at);
    }
  }
  Pump(peer, now);
}

absl::StatusOr<TransitToken> LeaseHolder::HandedOn(ImportIndex import, Duration term,
                                                   TimePoint now) {
  ImportRecord& record = (*context_.imports)[import];
  Session& session = SessionOf(record.peer, now);
  if (record.lost != LossCause::kNone || session.dead || leaving_) {
    return absl::FailedPreconditionError("the reference is lost; it cannot be handed on");
  }
  if (session.hand_ons.size() >= options_.hand_ons_max) {
    return absl::ResourceExhaustedError(absl::StrCat(
        options_.hand_ons_max, " references wait to be handed on to one owner, the maximum"));
  }
  const TransitToken token{context_.random->Next() | kHolderTokenBit};
  ++record.uses;
  session.hand_ons.push_back({import, token, term});
  Pump(record.peer, now);
  return token;
}

void LeaseHolder::Dropped(std::span<const ImportIndex> imports, bool batched, TimePoint now) {
  std::vector<PeerIndex> touched;
  for (const ImportIndex import : imports) {
    const PeerIndex peer = (*context_.imports)[import].peer;
    Session& session = SessionOf(peer, now);
    const TimePoint at =
        batched ? now : std::max(now + options_.clean_delay, session.clean_not_before);
    switch (At(import).phase) {
      case Phase::kGone:
        context_.imports->Erase(import);
        break;
      case Phase::kToList:
      case Phase::kListing:
      case Phase::kListed:
        ToClean(session, import, at);
        break;
      case Phase::kToClean:
      case Phase::kCleaning:
        break;
    }
    if (touched.empty() || touched.back() != peer) touched.push_back(peer);
  }
  std::sort(touched.begin(), touched.end());
  touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
  for (const PeerIndex peer : touched) Pump(peer, now);
}

void LeaseHolder::Goodbye(TimePoint now) {
  leaving_ = true;
  // A goodbye ends listings, not transit leases: those are named first.
  for (uint32_t i = 0; i < context_.imports->end() && i < imports_.size(); ++i) {
    const ImportRecord& record = (*context_.imports)[ImportIndex{i}];
    if (!record.in_use || imports_[i].phase != Phase::kToList) continue;
    if (Raw(imports_[i].transit) == 0) continue;
    ToClean(sessions_[Raw(record.peer)], ImportIndex{i}, now);
  }
  for (uint32_t i = 0; i < sessions_.size(); ++i) {
    Session& session = sessions_[i];
    if (!session.open || session.dead) continue;
    session.goodbye = true;
    Pump(PeerIndex{i}, now);
  }
}

bool LeaseHolder::Quiescent() const {
  return std::none_of(sessions_.begin(), sessions_.end(), [&](const Session& session) {
    return session.open && (session.op != Op::kNone || session.goodbye || !Idle(session));
  });
}

bool LeaseHolder::Idle(const Session& session) const {
  return session.imports == 0 && session.tokens.empty() && session.hand_ons.empty() &&
         session.notices_acknowledged == session.notices_seen;
}

void LeaseHolder::Close(PeerIndex peer, TimePoint now) {
  Session& session = sessions_[Raw(peer)];
  // Lost references may still be held; they keep the record of a dead run.
  if (context_.imports->GetPeer(peer).imports > 0) {
    session.idle_at = now + options_.linger;
    return;
  }
  session = Session{};
  --open_sessions_;
  context_.imports->ForgetPeer(peer);
}

uint32_t LeaseHolder::RowsMax(const Session& session) const {
  return session.rows_max == 0 ? options_.batch_max : session.rows_max;
}

bool LeaseHolder::Settle(PeerIndex peer, std::vector<ImportIndex>& list, Phase phase) const {
  while (!list.empty()) {
    const ImportIndex import = list.back();
    if (imports_[Raw(import)].phase == phase && (*context_.imports)[import].peer == peer) {
      return true;
    }
    list.pop_back();
  }
  return false;
}

LeaseHolder::Op LeaseHolder::NextOp(PeerIndex peer, Session& session, TimePoint now) {
  if (session.op != Op::kNone || session.dead || now < session.retry_at) return Op::kNone;
  const bool to_list = Settle(peer, session.to_list, Phase::kToList);
  const bool to_clean = Settle(peer, session.to_clean, Phase::kToClean);
  if (!to_list && session.tokens.empty()) session.list_at = TimePoint::max();
  if (!to_clean) session.clean_at = TimePoint::max();
  if (session.goodbye) {
    if (!session.hand_ons.empty()) return Op::kTransit;
    return to_clean || !session.tokens.empty() ? Op::kClean : Op::kGoodbye;
  }
  const bool holds = session.held.count > 0;
  // Past the granted term only a renewal tells whether what was held is held still.
  if (holds && !session.relisting && session.granted_until <= now) return Op::kRenew;
  if (holds && session.renew_at <= now) {
    // A digest is worth comparing only when no answer is missing; but the lease comes first.
    const bool sure = !session.unsure || (!to_list && !to_clean);
    if (sure || session.renew_at + session.term / 8 <= now) return Op::kRenew;
  }
  const bool transit = !session.hand_ons.empty();
  const bool dirty = session.list_at <= now || session.to_list.size() >= RowsMax(session);
  const bool clean = session.clean_at <= now || session.to_clean.size() >= RowsMax(session);
  // What was refused for a full quota lets the others go first: they may be what makes room.
  if (transit && session.refused != Op::kTransit) return Op::kTransit;
  if (dirty && session.refused != Op::kDirty) return Op::kDirty;
  if (clean) return Op::kClean;
  if (transit) return Op::kTransit;
  if (dirty) return Op::kDirty;
  // Before the session is forgotten: the next one would be told the same notices again.
  const bool unsaid = session.notices_acknowledged != session.notices_seen;
  return unsaid && session.idle_at <= now ? Op::kRenew : Op::kNone;
}

TimePoint LeaseHolder::NextDeadline(const Session& session) const {
  if (session.op != Op::kNone) return TimePoint::max();
  if (session.goodbye || !session.hand_ons.empty()) return session.retry_at;
  if (session.dead || Idle(session)) return session.idle_at;
  TimePoint at = std::min(session.list_at, session.clean_at);
  if (session.held.count > 0) {
    at = std::min(at, session.renew_at);
    if (!session.relisting) at = std::min(at, session.granted_until);
  }
  if (session.notices_acknowledged != session.notices_seen) at = std::min(at, session.idle_at);
  return std::max(at, session.retry_at);
}

// Silence says the same, later: a lease that nobody renews lapses.
void LeaseHolder::GiveUpIfUnused(PeerIndex peer, Session& session, TimePoint now) {
  if (session.op != Op::kNone || session.failures == 0 || session.goodbye) return;
  const Duration term = std::max(session.term, options_.term_default);
  if (now < session.failing_since + term + options_.linger || !session.hand_ons.empty()) return;
  const std::vector<ImportIndex> imports = ImportsOf(peer);
  if (std::any_of(imports.begin(), imports.end(),
                  [this](ImportIndex import) { return (*context_.imports)[import].uses > 0; })) {
    return;
  }
  for (const ImportIndex import : imports) Forget(session, import);
  session.to_list.clear();
  session.to_clean.clear();
  session.tokens.clear();
  session.notices_acknowledged = session.notices_seen;
  session.idle_at = now;
}

void LeaseHolder::Pump(PeerIndex peer, TimePoint now) {
  Session& session = sessions_[Raw(peer)];
  if (!session.open) return;
  GiveUpIfUnused(peer, session, now);
  const Op op = NextOp(peer, session, now);
  if (op != Op::kNone) {
    SendOp(peer, session, op, now);
  } else if (session.op == Op::kNone && Idle(session) && session.idle_at <= now) {
    Close(peer, now);
    if (!session.open) return;
  }
  const TimePoint at = std::max(NextDeadline(session), now + kPumpInterval);
  if (at < session.queued_at) {
    session.queued_at = at;
    deadlines_.Add(at, {Raw(peer), at});
    if (deadlines_.size() >= kCompactMin && deadlines_.size() > 4 * open_sessions_) {
      deadlines_.Compact([this](const Deadline& deadline) {
        return sessions_[deadline.peer].queued_at != deadline.at;
      });
    }
  }
}

void LeaseHolder::SendOp(PeerIndex peer, Session& session, Op op, TimePoint now) {
  Request request = MakeRequest(peer, session, op, now);
  const auto nothing = [&] {
    return (op == Op::kDirty || op == Op::kClean) && session.op_imports.empty() &&
           session.op_tokens.empty() && !session.op_completes;
  };
  if (nothing() && op == Op::kDirty) {
    // All that is left are tokens of references that are not wanted any more.
    op = Op::kClean;
    request = MakeRequest(peer, session, op, now);
  }
  if (nothing()) return;
  session.op = op;
  session.refused = Op::kNone;
  session.call = next_call_++;
  session.sent = now;
  session.idle_at = now + options_.linger;
  ++context_.counters->requests_sent;
  context_.outputs->sends.push_back({peer, session.call, std::move(request), Timeout(session)});
}

Request LeaseHolder::MakeRequest(PeerIndex peer, Session& session, Op op, TimePoint now) {
  const Incarnation incarnation = context_.imports->GetPeer(peer).incarnation;
  switch (op) {
    case Op::kDirty:
      return MakeDirty(peer, session, now);
    case Op::kClean:
      return MakeClean(peer, session, now);
    case Op::kTransit:
      return MakeTransit(peer, session);
    case Op::kGoodbye:
      session.op_sequence = SequenceNumber{next_sequence_++};
      return GoodbyeRequest{context_.self, incarnation, session.op_sequence, KeyFor(peer)};
    case Op::kRenew:
    case Op::kNone:
      break;
  }
  return RenewRequest{.client = context_.self,
                      .incarnation = incarnation,
                      .sequence = session.acknowledged,
                      .requested_term = options_.requested_term,
                      .held = session.held,
                      .key = KeyFor(peer),
                      .notices_seen = session.notices_seen};
}

void LeaseHolder::TakeTokens(PeerIndex peer, Session& session, bool for_dirty,
                             std::vector<Row>* rows) {
  std::erase_if(session.tokens, [&](const ExtraToken& token) {
    if (rows->size() >= RowsMax(session)) return false;
    const auto import = context_.imports->Find(peer, token.id);
    const Phase phase = import.has_value() ? At(*import).phase : Phase::kGone;
    const bool wanted = phase == Phase::kListing || phase == Phase::kListed;
    const bool unwanted = session.goodbye || phase == Phase::kGone ||
                          (phase == Phase::kCleaning && (*context_.imports)[*import].uses == 0);
    if (for_dirty ? !wanted : !unwanted) return false;
    rows->push_back({token.id, token.transit});
    session.op_tokens.push_back(token);
    return true;
  });
}

DirtyRequest LeaseHolder::MakeDirty(PeerIndex peer, Session& session, TimePoint now) {
  session.op_sequence = SequenceNumber{next_sequence_++};
  DirtyRequest request{.client = context_.self,
                       .incarnation = context_.imports->GetPeer(peer).incarnation,
                       .sequence = session.op_sequence,
                       .requested_term = options_.requested_term,
                       .key = KeyFor(peer),
                       .notices_seen = session.notices_seen};
  while (request.rows.size() < RowsMax(session) && Settle(peer, session.to_list, Phase::kToList)) {
    const ImportIndex import = session.to_list.back();
    session.to_list.pop_back();
    Import& state = At(import);
    state.phase = Phase::kListing;
    request.rows.push_back({(*context_.imports)[import].id, state.transit});
    session.op_imports.push_back(import);
  }
  TakeTokens(peer, session, /*for_dirty=*/true, &request.rows);
  const bool last = !Settle(peer, session.to_list, Phase::kToList);
  if (last) {
    session.list_at = session.tokens.empty() ? TimePoint::max() : now + options_.dirty_delay;
  }
  if (session.relisting) {
    if (Raw(session.relist_from) == 0) session.relist_from = session.op_sequence;
    session.op_completes = last;
    if (last) request.complete_from = session.relist_from;
  }
  context_.counters->rows_sent += request.rows.size();
  return request;
}

CleanRequest LeaseHolder::MakeClean(PeerIndex peer, Session& session, TimePoint now) {
  session.op_sequence = SequenceNumber{next_sequence_++};
  session.clean_not_before = now + options_.clean_interval;
  CleanRequest request{.client = context_.self,
                       .incarnation = context_.imports->GetPeer(peer).incarnation,
                       .sequence = session.op_sequence,
                       .key = KeyFor(peer)};
  while (request.rows.size() < RowsMax(session) &&
         Settle(peer, session.to_clean, Phase::kToClean)) {
    const ImportIndex import = session.to_clean.back();
    session.to_clean.pop_back();
    Import& state = At(import);
    state.phase = Phase::kCleaning;
    request.rows.push_back({(*context_.imports)[import].id, state.transit});
    session.op_imports.push_back(import);
  }
  TakeTokens(peer, session, /*for_dirty=*/false, &request.rows);
  if (!Settle(peer, session.to_clean, Phase::kToClean)) session.clean_at = TimePoint::max();
  context_.counters->rows_sent += request.rows.size();
  return request;
}

TransitRequest LeaseHolder::MakeTransit(PeerIndex peer, Session& session) {
  const HandOn first = session.hand_ons.front();
  TransitRequest request{.client = context_.self,
                         .incarnation = context_.imports->GetPeer(peer).incarnation,
                         .requested_term = first.term,
                         .key = KeyFor(peer)};
  std::erase_if(session.hand_ons, [&](const HandOn& hand_on) {
    if (request.rows.size() >= RowsMax(session) || hand_on.term != first.term) return false;
    request.rows.push_back({(*context_.imports)[hand_on.import].id, hand_on.transit});
    session.op_hand_ons.push_back(hand_on);
    return true;
  });
  context_.counters->rows_sent += request.rows.size();
  return request;
}

void LeaseHolder::Answered(PeerIndex peer, uint64_t call, const Response& response, TimePoint now) {
  if (Raw(peer) >= sessions_.size()) return;
  Session& session = sessions_[Raw(peer)];
  if (!session.open || session.op == Op::kNone || session.call != call) return;
  if (!std::holds_alternative<Refusal>(response)) {
    if (session.failures > 0) {
      context_.outputs->transitions.push_back(
          {.kind = Transition::Kind::kPeerRecovered, .peer = peer, .count = session.failures});
    }
    session.failures = 0;
    session.rows_max = RowsMax(session) > options_.batch_max / 2 ? 0 : 2 * RowsMax(session);
    session.retry_at = TimePoint::min();
  }
  std::visit([&](const auto& typed) { On(peer, session, typed, now); }, response);
  session.op = Op::kNone;
  session.op_imports.clear();
  session.op_tokens.clear();
  session.op_completes = false;
  // Taken out first: the last use of an import makes the session look at itself again.
  const std::vector<HandOn> declared = std::exchange(session.op_hand_ons, {});
  for (const HandOn& hand_on : declared) context_.drop(hand_on.import, now);
  Pump(peer, now);
}

void LeaseHolder::Granted(Session& session, Duration term) {
  session.term = term;
  session.granted_until = session.sent + term - term / kDriftShare;
}

void LeaseHolder::PlanRenewal(Session& session) {
  // Between 30 % and 33 % of the term after the request left: early enough to try again several
  // times, and spread out.
  const auto jitter = static_cast<int64_t>(context_.random->Next() % 1024);
  session.renew_at = session.sent + session.term / 3 - session.term / 30 * jitter / 1024;
}

void LeaseHolder::Listed(Session& session, ImportIndex import) {
  Import& state = At(import);
  // Unless it was dropped and imported again meanwhile: then the token is the new copy's.
  if (state.phase != Phase::kToList) state.transit = {};
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
  At(import) = {};
  --session.imports;
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

void LeaseHolder::On(PeerIndex peer, Session& session, const DirtyResponse& response,
                     TimePoint now) {
  session.acknowledged = session.op_sequence;
  Heard(peer, session, response.notices);
  // An answer that came after the granted term may be that of a lease begun anew, which says
  // nothing of what was held before: that is for a renewal to tell.
  if (session.relisting || session.held.count == 0 || now < session.granted_until) {
    Granted(session, response.granted_term);
  }
  // Other Dirtys do not put it off: only a renewal compares what both sides hold.
  if (session.renew_at == TimePoint::max()) PlanRenewal(session);
  if (session.op_completes) {
    session.relisting = false;
    session.relist_from = {};
  }
  auto failure = response.failures.begin();
  for (uint32_t i = 0; i < session.op_imports.size(); ++i) {
    const ImportIndex import = session.op_imports[i];
    const bool wanted = At(import).phase == Phase::kListing;
    while (failure != response.failures.end() && failure->index < i) ++failure;
    if (failure == response.failures.end() || failure->index != i) {
      Listed(session, import);
      if (wanted) At(import).phase = Phase::kListed;
    } else if (wanted && failure->reason == FailureReason::kStale) {
      ToList(session, import, now);
    } else if (wanted) {
      Lose(session, import, *failure);
    }
  }
  if (session.to_list.empty() && session.to_clean.empty()) session.unsure = false;
}

void LeaseHolder::On(PeerIndex, Session& session, const CleanResponse&, TimePoint now) {
  session.acknowledged = session.op_sequence;
  for (const ImportIndex import : session.op_imports) {
    Unlisted(session, import);
    At(import).transit = {};
    if ((*context_.imports)[import].uses == 0) {
      Forget(session, import);
    } else {
      ToList(session, import, now);
    }
  }
  if (session.to_list.empty() && session.to_clean.empty()) session.unsure = false;
}

void LeaseHolder::On(PeerIndex peer, Session& session, const RenewResponse& response,
                     TimePoint now) {
  if (response.result == RenewResult::kUnknownClient) {
    session.notices_acknowledged = session.notices_seen;  // With the client they are forgotten.
    if (session.imports > 0) Relist(peer, session, now);
    return;
  }
  Heard(peer, session, response.notices);
  // While an answer is missing the owner does not compare, and past the granted term that very
  // Dirty, come late, may have begun a new lease, which holds nothing of the old one.
  const bool anew = session.unsure && session.granted_until <= now;
  Granted(session, response.granted_term);
  PlanRenewal(session);
  if ((response.result == RenewResult::kDiffers && !session.relisting) || anew)
    Relist(peer, session, now);
}

void LeaseHolder::On(PeerIndex, Session& session, const TransitResponse& response, TimePoint) {
  for (const Failure& failure : response.failures) {
    if (failure.index >= session.op_hand_ons.size()) continue;
    const ImportIndex import = session.op_hand_ons[failure.index].import;
    if (At(import).phase == Phase::kListed) Lose(session, import, failure);
  }
}

void LeaseHolder::On(PeerIndex peer, Session& session, const GoodbyeResponse&, TimePoint now) {
  for (const ImportIndex import : ImportsOf(peer)) {
    if (At(import).phase != Phase::kGone) Forget(session, import);
  }
  session.tokens.clear();
  session.notices_acknowledged = session.notices_seen;
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
  // Whatever the answer: a duplicate may have been carried out all the same.
  if (session.op == Op::kDirty || session.op == Op::kClean) session.unsure = true;
  if (session.failures++ == 0) {
    session.failing_since = now;
    context_.outputs->transitions.push_back(
        {.kind = Transition::Kind::kPeerFailing, .peer = peer, .count = session.imports});
  }
  if (refusal.code != Refusal::Code::kUnknownOutcome) session.refused = session.op;
  if (refusal.code == Refusal::Code::kResourceExhausted) {
    // A smaller batch may still fit.
    const size_t rows =
        session.op_imports.size() + session.op_tokens.size() + session.op_hand_ons.size();
    session.rows_max = std::max<uint32_t>(static_cast<uint32_t>(rows / 2), 1);
  }
  session.retry_at = now + Backoff(session);
  Requeue(session, now);
}

void LeaseHolder::Requeue(Session& session, TimePoint now) {
  for (const ImportIndex import : session.op_imports) {
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

std::vector<ImportIndex> LeaseHolder::ImportsOf(PeerIndex peer) const {
  std::vector<ImportIndex> imports;
  for (uint32_t i = 0; i < context_.imports->end(); ++i) {
    const ImportRecord& record = (*context_.imports)[ImportIndex{i}];
    if (record.in_use && record.peer == peer) imports.push_back(ImportIndex{i});
  }
  return imports;
}

void LeaseHolder::Relist(PeerIndex peer, Session& session, TimePoint now) {
  ++context_.counters->relistings;
  context_.outputs->transitions.push_back(
      {.kind = Transition::Kind::kRelisting, .peer = peer, .count = session.imports});
  session.relisting = true;
  session.relist_from = {};
  session.renew_at = TimePoint::max();  // The Dirty renews.
  for (const ImportIndex import : ImportsOf(peer)) {
    Unlisted(session, import);
    if (At(import).phase == Phase::kListed) ToList(session, import, now);
  }
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
                                           .count = session.imports});
  for (const ImportIndex import : ImportsOf(peer)) {
    if (At(import).phase == Phase::kGone) continue;
    if ((*context_.imports)[import].uses > 0) {
      Lose(session, import, {});
    } else {
      Forget(session, import);
    }
  }
  session.to_list.clear();
  session.to_clean.clear();
  session.tokens.clear();
  session.notices_acknowledged = session.notices_seen;
  for (HandOn& hand_on : std::exchange(session.hand_ons, {})) {
    session.op_hand_ons.push_back(hand_on);  // Released by Answered().
  }
}

Duration LeaseHolder::Backoff(const Session& session) {
  Duration cap = options_.backoff_max;
  if (session.term > Duration::zero()) cap = std::min(cap, session.term / 4);
  Duration delay = options_.backoff_min;
  for (uint32_t i = 1; i < session.failures && delay < cap; ++i) delay *= 2;
  delay = std::min(delay, cap);
  const auto jitter = static_cast<int64_t>(context_.random->Next() % 1024);
  return delay / 2 + delay / 2 * jitter / 1024;
}

Duration LeaseHolder::Timeout(const Session& session) const {
  if (session.term == Duration::zero()) return options_.call_timeout;
  return std::min(options_.call_timeout, session.term / 5);
}

void LeaseHolder::Tick(TimePoint now) {
  while (const auto due = deadlines_.TakeDue(now)) {
    Session& session = sessions_[due->peer];
    if (!session.open || session.queued_at != due->at) continue;
    session.queued_at = TimePoint::max();
    Pump(PeerIndex{due->peer}, now);
  }
}

std::optional<TimePoint> LeaseHolder::wake_at() const { return deadlines_.next(); }

void LeaseHolder::AddSizes(Strategy::Sizes* sizes) const {
  sizes->held = held_;
  for (const Session& session : sessions_) {
    sizes->pending += session.to_list.size() + session.to_clean.size() + session.tokens.size() +
                      session.hand_ons.size();
  }
}

}  // namespace dgc
