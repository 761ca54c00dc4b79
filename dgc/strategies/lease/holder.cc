#include "dgc/strategies/lease/holder.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "dgc/core/check.h"
#include "dgc/core/probe.h"

namespace dgc {
namespace {

// Tokens that wait to be named; beyond this the oldest is left to its transit term.
constexpr size_t kTokensMax = kBatchMax;

// Clocks run at rates of their own: a holder counts this share of its term as over already, so that
// it is the stricter side if together they are up to 3 % apart.
constexpr int kDriftShare = 32;

// Below this many entries the queue of deadlines is not worth compacting.
#ifdef DGC_SIMULATION  // So that few are enough.
constexpr size_t kCompactMin = 8;
#else
constexpr size_t kCompactMin = 1024;
#endif

// A session that has had its turn is not looked at again sooner.
constexpr Duration kPumpInterval = std::chrono::microseconds(100);

// Entries of a session's lists beyond twice its imports, before the outdated ones are dropped.
#ifdef DGC_SIMULATION  // So that few are enough.
constexpr size_t kOutdatedMax = 2;
#else
constexpr size_t kOutdatedMax = 64;
#endif

// However short the terms that an owner grants, renewals leave no closer together.
constexpr Duration kRenewalInterval = std::chrono::milliseconds(10);

// How long a token waits whose reference cannot be named yet.
constexpr Duration kTokenRetry = std::chrono::milliseconds(10);

// Notices that are remembered, so that none is reported twice.
constexpr size_t kReportedMax = 4096;

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
  absl::flat_hash_set<uint64_t> pending;
  if (!notices.empty()) {
    for (const HandOn& hand_on : session.hand_ons) pending.insert(Raw(hand_on.transit));
  }
  for (const Notice& notice : notices) {
    if (notice.number <= session.notices_seen) continue;
    session.notices_seen = notice.number;
    // It is declared again, and how that ends is told later.
    if (pending.contains(Raw(notice.transit))) continue;
    // A hand-on whose declaration had to be repeated, or a session that was given up in between.
    if (!reported_.insert(Raw(notice.transit)).second) continue;
    reported_order_.push_back(Raw(notice.transit));
    if (reported_order_.size() > kReportedMax) {
      reported_.erase(reported_order_.front());
      reported_order_.pop_front();
    }
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
void LeaseHolder::Push(Session& session, Fifo<ImportIndex>& list, ImportIndex import, Phase phase) {
  if (list.size() >= 2 * session.imports + kOutdatedMax) {
    DGC_PROBE("outdated entries of a session are dropped");
    absl::flat_hash_set<uint32_t> seen;
    list.EraseIf([&](ImportIndex entry) {
      return At(entry).phase != phase || !seen.insert(Raw(entry)).second;
    });
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
  if (session.tokens.size() >= kTokensMax) session.tokens.pop_front();
  session.tokens.push_back(token);
  session.list_at = std::min(session.list_at, at);
}

void LeaseHolder::Imported(ImportIndex import, TransitToken transit, TimePoint now) {
  ImportRecord& record = (*context_.imports)[import];
  const PeerIndex peer = record.peer;
  Session& session = SessionOf(peer, now);
  Import& state = At(import);
  if (record.uses == 1) ++session.used;
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
    --session.used;
    switch (At(import).phase) {
      case Phase::kGone:
        context_.imports->Erase(import);
        session.idle_at = std::min(session.idle_at, now + options_.linger);
        break;
      case Phase::kToList:
      case Phase::kListing:
      case Phase::kListed:
      case Phase::kRefused:
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
    const Phase phase = imports_[i].phase;
    if (!record.in_use || (phase != Phase::kToList && phase != Phase::kRefused)) continue;
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
         !session.relisting && session.listen_until == TimePoint::min() &&
         session.notices_acknowledged == session.notices_seen;
}

void LeaseHolder::Close(PeerIndex peer) {
  Session& session = sessions_[Raw(peer)];
  // Lost references may still be held; they keep the record of a dead run.
  if (context_.imports->GetPeer(peer).imports > 0) {
    session.idle_at = TimePoint::max();
    return;
  }
  session = Session{};
  --open_sessions_;
  context_.imports->ForgetPeer(peer);
}

bool LeaseHolder::Settle(PeerIndex peer, Fifo<ImportIndex>& list, Phase phase) const {
  while (!list.empty()) {
    const ImportIndex import = list.front();
    if (imports_[Raw(import)].phase == phase && (*context_.imports)[import].peer == peer) {
      return true;
    }
    list.pop_front();
  }
  return false;
}

TimePoint LeaseHolder::RenewalDue(const Session& session) const {
  // A renewal names the last request that was answered.
  if (Raw(session.acknowledged) == 0) return TimePoint::max();
  const bool listening = session.listen_until != TimePoint::min();
  if (session.held.count == 0 && !session.relisting && !listening) return TimePoint::max();
  TimePoint at = session.renew_at;
  // A digest is worth comparing only when no answer is missing; but the lease comes first.
  const bool pending = !session.to_list.empty() || !session.to_clean.empty();
  if (session.unsure && pending && at != TimePoint::max()) at += session.term / 8;
  // Past the granted term only a renewal tells whether what was held is held still.
  if (!session.relisting) at = std::min(at, session.granted_until);
  return std::max(at, session.renewed_at + kRenewalInterval);
}

TimePoint LeaseHolder::Due(const Session& session, Op op) const {
  switch (op) {
    case Op::kTransit:
      return session.hand_ons.empty() ? TimePoint::max() : session.hand_on_not_before;
    case Op::kDirty: {
      // A re-listing of which nothing is left to be listed ends all the same.
      const bool completes = session.relisting && session.to_list.empty();
      TimePoint at = std::min(session.list_at, session.refused_until);
      if (completes || session.to_list.size() >= options_.batch_max) at = TimePoint::min();
      return std::max(at, session.list_not_before);
    }
    case Op::kClean:
      return session.to_clean.size() >= options_.batch_max ? TimePoint::min() : session.clean_at;
    case Op::kRenew:
    case Op::kGoodbye:
    case Op::kNone:
      break;
  }
  return TimePoint::max();
}

LeaseHolder::Op LeaseHolder::NextOp(PeerIndex peer, Session& session, TimePoint now) {
  if (session.op != Op::kNone || session.dead || now < session.retry_at) return Op::kNone;
  if (session.refused_until <= now) {
    session.refused_until = TimePoint::max();
    for (; Settle(peer, session.refused, Phase::kRefused); session.refused.pop_front()) {
      ToList(session, session.refused.front(), now);
    }
  }
  const bool to_list = Settle(peer, session.to_list, Phase::kToList);
  const bool to_clean = Settle(peer, session.to_clean, Phase::kToClean);
  if (!to_list && session.tokens.empty()) session.list_at = TimePoint::max();
  if (!to_clean) session.clean_at = TimePoint::max();
  if (session.goodbye) {
    // First what was handed on: a Clean or a goodbye would end what protects it.
    if (!session.hand_ons.empty()) {
      return Due(session, Op::kTransit) <= now ? Op::kTransit : Op::kNone;
    }
    return to_clean || !session.tokens.empty() ? Op::kClean : Op::kGoodbye;
  }
  if (RenewalDue(session) <= now) return Op::kRenew;
  constexpr Op kTurns[] = {Op::kDirty, Op::kClean, Op::kTransit};
  const auto last = std::find(std::begin(kTurns), std::end(kTurns), session.turn);
  const size_t first = last == std::end(kTurns) ? 0 : last - std::begin(kTurns) + 1;
  for (size_t i = 0; i < std::size(kTurns); ++i) {
    const Op op = kTurns[(first + i) % std::size(kTurns)];
    if (Due(session, op) <= now) return op;
  }
  // Before the session is forgotten: the next one would be told the same notices again.
  const bool unsaid = session.notices_acknowledged != session.notices_seen;
  return unsaid && session.idle_at <= now ? Op::kRenew : Op::kNone;
}

TimePoint LeaseHolder::NextDeadline(const Session& session) const {
  if (session.op != Op::kNone) return TimePoint::max();
  if (session.dead) return session.idle_at;
  TimePoint at = TimePoint::min();
  if (session.goodbye) {
    if (!session.hand_ons.empty()) at = session.hand_on_not_before;
  } else {
    at = std::min({RenewalDue(session), Due(session, Op::kTransit), Due(session, Op::kDirty),
                   Due(session, Op::kClean)});
    const bool unsaid = session.notices_acknowledged != session.notices_seen;
    if (unsaid || Idle(session)) at = std::min(at, session.idle_at);
  }
  return std::max(at, session.retry_at);
}

// Silence says the same, later: a lease that nobody renews lapses.
void LeaseHolder::GiveUpIfUnused(PeerIndex peer, Session& session, TimePoint now) {
  if (session.silent_since == TimePoint::max() || session.used > 0) return;
  if (session.op != Op::kNone || session.goodbye) return;
  const Duration term = std::max(session.term, options_.term_default);
  if (now < session.silent_since + term + options_.linger) return;
  DGC_PROBE("a session is given up");
  for (const ImportIndex import : ImportsOf(peer)) {
    if (At(import).phase != Phase::kGone) Forget(session, import);
  }
  session.to_list.clear();
  session.to_clean.clear();
  session.refused.clear();
  session.tokens.clear();
  session.relisting = false;
  session.listen_until = TimePoint::min();
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
    Close(peer);
    if (!session.open) return;
  }
  const TimePoint at = std::max(NextDeadline(session), now + kPumpInterval);
  if (at < session.queued_at) {
    session.queued_at = at;
    deadlines_.Add(at, {Raw(peer), at});
    if (deadlines_.size() >= kCompactMin && deadlines_.size() > 4 * open_sessions_) {
      DGC_PROBE("the holder's deadlines are compacted");
      deadlines_.Compact([this](const Deadline& deadline) {
        return sessions_[deadline.peer].queued_at != deadline.at;
      });
    }
  }
}

void LeaseHolder::SendOp(PeerIndex peer, Session& session, Op op, TimePoint now) {
  Request request = MakeRequest(peer, session, op, now);
  const auto nothing = [&] {
    return (op == Op::kDirty || op == Op::kClean) && session.op_rows.empty() &&
           session.op_tokens.empty() && !session.op_completes;
  };
  if (nothing() && op == Op::kDirty) {
    // All that is left are tokens of references that are not wanted any more.
    op = Op::kClean;
    request = MakeRequest(peer, session, op, now);
  }
  if (nothing()) return;
  session.op = op;
  if (op == Op::kRenew) {
    session.renewed_at = now;
  } else {
    session.turn = op;
  }
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
  DGC_CHECK(Raw(session.acknowledged) != 0);
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
  session.tokens.EraseIf([&](const ExtraToken& token) {
    if (rows->size() >= options_.batch_max) return false;
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
  while (request.rows.size() < options_.batch_max &&
         Settle(peer, session.to_list, Phase::kToList)) {
    const ImportIndex import = session.to_list.front();
    session.to_list.pop_front();
    Import& state = At(import);
    state.phase = Phase::kListing;
    request.rows.push_back({(*context_.imports)[import].id, state.transit});
    session.op_rows.push_back({import, state.transit});
  }
  TakeTokens(peer, session, /*for_dirty=*/true, &request.rows);
  const bool last = !Settle(peer, session.to_list, Phase::kToList);
  if (last) {
    session.list_at = session.tokens.empty() ? TimePoint::max() : now + kTokenRetry;
  }
  if (session.first) {
    // Whatever the owner has of an earlier session that was given up is not held any more.
    session.first = false;
    session.relisting = true;
  }
  if (session.relisting) {
    if (Raw(session.relist_from) == 0) session.relist_from = session.op_sequence;
    session.op_completes = last;
    if (!last) DGC_PROBE("a re-listing takes several requests");
    if (last && request.rows.empty()) DGC_PROBE("nothing is left of a re-listing, and it ends");
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
  while (request.rows.size() < options_.batch_max &&
         Settle(peer, session.to_clean, Phase::kToClean)) {
    const ImportIndex import = session.to_clean.front();
    session.to_clean.pop_front();
    Import& state = At(import);
    state.phase = Phase::kCleaning;
    request.rows.push_back({(*context_.imports)[import].id, state.transit});
    session.op_rows.push_back({import, state.transit});
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
    if (request.rows.size() >= options_.batch_max || hand_on.term != first.term) return false;
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
  const bool was_failing = Failing(session);
  if (!std::holds_alternative<Refusal>(response)) {
    session.failures = 0;
    session.silent_since = TimePoint::max();
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
  for (const HandOn& hand_on : declared) context_.drop(hand_on.import, now);
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
       .count = session.imports});
}

void LeaseHolder::PlanRenewal(Session& session) {
  // Between 30 % and 33 % of the term after the request left: early enough to try again several
  // times, and spread out.
  const auto jitter = static_cast<int64_t>(context_.random->Next() % 1024);
  const Duration term = session.term > Duration::zero() ? session.term : options_.term_default;
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
  auto failure = response.failures.begin();
  for (uint32_t i = 0; i < session.op_rows.size(); ++i) {
    const ImportIndex import = session.op_rows[i].import;
    const bool wanted = At(import).phase == Phase::kListing;
    while (failure != response.failures.end() && failure->index < i) ++failure;
    if (failure == response.failures.end() || failure->index != i) {
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
  if (session.sent >= session.listen_until) session.listen_until = TimePoint::min();
  if (response.result == RenewResult::kUnknownClient) {
    session.listen_until = TimePoint::min();
    session.notices_acknowledged = session.notices_seen;  // With the client they are forgotten.
    if (session.imports > 0) Relist(peer, session, now);
    return;
  }
  Heard(peer, session, response.notices);
  // While an answer is missing the owner does not compare, and past the granted term that very
  // Dirty, come late, may have begun a new lease, which holds nothing of the old one; nor would it
  // hold what a re-listing has said so far.
  const bool anew = session.granted_until <= now &&
                    (session.unsure || (session.relisting && Raw(session.relist_from) != 0));
  if (anew) DGC_PROBE("a renewal past the term proves nothing, and all is listed again");
  Granted(session, response.granted_term);
  PlanRenewal(session);
  if ((response.result == RenewResult::kDiffers && !session.relisting) || anew)
    Relist(peer, session, now);
}

void LeaseHolder::On(PeerIndex, Session& session, const TransitResponse& response, TimePoint now) {
  // The notice that one was not taken up comes with a renewal that leaves after its term.
  const Duration term = response.granted_term + response.granted_term / 16;
  session.listen_until = std::max(session.listen_until, now + term);
  HastenRenewal(session);
  std::vector<HandOn> refused;
  for (const Failure& failure : response.failures) {
    if (failure.index >= session.op_hand_ons.size()) continue;
    const HandOn& hand_on = session.op_hand_ons[failure.index];
    if (failure.reason == FailureReason::kQuota) {
      DGC_PROBE("a quota refuses a hand-on");
      refused.push_back(hand_on);
    } else if (At(hand_on.import).phase == Phase::kListed) {
      Lose(session, hand_on.import, failure);
    }
  }
  if (refused.empty()) {
    if (session.refused.empty()) session.refusals = 0;
    return;
  }
  ++session.refusals;
  session.hand_on_not_before = now + Backoff(session, session.refusals);
  std::erase_if(session.op_hand_ons, [&](const HandOn& hand_on) {
    return std::any_of(refused.begin(), refused.end(),
                       [&](const HandOn& other) { return other.transit == hand_on.transit; });
  });
  session.hand_ons.insert(session.hand_ons.end(), refused.begin(), refused.end());
}

void LeaseHolder::On(PeerIndex peer, Session& session, const GoodbyeResponse&, TimePoint now) {
  for (const ImportIndex import : ImportsOf(peer)) {
    if (At(import).phase != Phase::kGone) Forget(session, import);
  }
  session.tokens.clear();
  session.refused.clear();
  session.relisting = false;
  session.listen_until = TimePoint::min();
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
  if (session.goodbye && refusal.code == Refusal::Code::kResourceExhausted &&
      session.hand_ons.empty() && session.op_hand_ons.empty()) {
    // An owner that has no room for a client has nothing of it either.
    On(peer, session, GoodbyeResponse{}, now);
    return;
  }
  // Whatever the answer: a duplicate may have been carried out all the same.
  if (session.op == Op::kDirty || session.op == Op::kClean) session.unsure = true;
  ++session.failures;
  // A refusal is an answer too.
  session.silent_since = refusal.code == Refusal::Code::kUnknownOutcome
                             ? std::min(session.silent_since, now)
                             : TimePoint::max();
  session.retry_at = now + Backoff(session, session.failures);
  Requeue(session, now);
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
  PlanRenewal(session);  // The Dirtys renew too, unless they fail.
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
  session.refused.clear();
  session.tokens.clear();
  session.relisting = false;
  session.listen_until = TimePoint::min();
  session.notices_acknowledged = session.notices_seen;
  for (HandOn& hand_on : std::exchange(session.hand_ons, {})) {
    session.op_hand_ons.push_back(hand_on);  // Released by Answered().
  }
}

Duration LeaseHolder::Backoff(const Session& session, uint32_t failures) {
  Duration cap = options_.backoff_max;
  if (session.term > Duration::zero()) cap = std::min(cap, session.term / 4);
  Duration delay = options_.backoff_min;
  for (uint32_t i = 1; i < failures && delay < cap; ++i) delay *= 2;
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
  sizes->queued += deadlines_.size();
  for (const Session& session : sessions_) {
    sizes->pending += session.to_list.size() + session.to_clean.size() + session.refused.size() +
                      session.tokens.size() + session.hand_ons.size();
  }
}

}  // namespace dgc
