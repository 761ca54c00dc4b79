#include "dgc/strategies/lease/holder.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

#include "dgc/core/check.h"
#include "dgc/core/probe.h"

namespace dgc {
namespace {

// Tokens that wait to be named; beyond this the oldest is left to its transit term.
constexpr size_t kTokensMax = kBatchMax;

// Below this many entries the queue of deadlines is not worth compacting.
#ifdef DGC_SMALL_LIMITS  // So that few are enough for the simulator.
constexpr size_t kCompactMin = 8;
#else
constexpr size_t kCompactMin = 1024;
#endif

// A session that has had its turn is not looked at again sooner.
constexpr Duration kPumpInterval = std::chrono::microseconds(100);

// Entries of a session's lists beyond twice its imports, before the outdated ones are dropped.
#ifdef DGC_SMALL_LIMITS  // So that few are enough for the simulator.
constexpr size_t kOutdatedMax = 2;
#else
constexpr size_t kOutdatedMax = 64;
#endif

// However short the terms that an owner grants, renewals leave no closer together.
constexpr Duration kRenewalInterval = std::chrono::milliseconds(10);

// Nor are timeouts and the time between two tries shorter than those of such a term.
constexpr Duration kPacedTermMin = std::chrono::milliseconds(100);

// How long a token waits whose reference cannot be named yet.
constexpr Duration kTokenRetry = std::chrono::milliseconds(10);

// Tokens that are looked at for one request, by the rows that it may have.
constexpr size_t kTokensPerRow = 2;

// Sessions looked at in one Tick: each is O(1), but for one of an owner that is given up.
#ifdef DGC_SMALL_LIMITS  // So that few are enough for the simulator.
constexpr size_t kSessionsPerTick = 2;
#else
constexpr size_t kSessionsPerTick = 1024;
#endif

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

LossCause LeaseHolder::LostWith(PeerIndex peer) const {
  return Raw(peer) < sessions_.size() ? sessions_[Raw(peer)].lost : LossCause::kNone;
}

LeaseHolder::Session& LeaseHolder::SessionOf(PeerIndex peer, TimePoint now) {
  if (sessions_.size() <= Raw(peer)) sessions_.resize(Raw(peer) + 1);
  Session& session = sessions_[Raw(peer)];
  if (!session.open) {
    session.open = true;
    session.rows_max = options_.batch_max;
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
  if (list.size() >= 2 * session.imports.size() + kOutdatedMax) {
    DGC_PROBE("outdated entries of a session are dropped");
    absl::flat_hash_set<uint32_t> seen;
    list.EraseIf(list.size(), [&](ImportIndex entry) {
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
    state = {.place = static_cast<uint32_t>(session.imports.size())};
    session.imports.push_back(import);
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
    session.retry_at = now;  // An exit has little time, and is worth a try whatever failed before.
    Pump(PeerIndex{i}, now);
  }
}

bool LeaseHolder::Quiescent() const {
  return std::none_of(sessions_.begin(), sessions_.end(), [&](const Session& session) {
    return session.open && (session.op != Op::kNone || session.goodbye || !Idle(session));
  });
}

bool LeaseHolder::Idle(const Session& session) const {
  return session.imports.empty() && session.tokens.empty() && session.hand_ons.empty() &&
         !session.relisting && session.listen_until == TimePoint::min() && !Unsaid(session);
}

// To be said before the session is forgotten: the next one would be told the same notices again.
// But once; an owner has as many as it likes.
bool LeaseHolder::Unsaid(const Session& session) const {
  return session.notices_acknowledged != session.notices_seen && !session.parted;
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
  // Who is refused room may have listed there what it does not know of.
  const bool listening =
      session.listen_until != TimePoint::min() || session.refused_until != TimePoint::max();
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
      // A re-listing of which nothing is left to be listed ends all the same; and who listens, but
      // has nothing to list or to clean, needs an answer that a renewal can name.
      const bool asks = session.first && session.listen_until != TimePoint::min() &&
                        Raw(session.acknowledged) == 0 && session.to_clean.empty();
      const bool completes = (session.relisting || asks) && session.to_list.empty();
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
    if (!session.tokens.empty()) session.list_at = std::min(session.list_at, now);
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
  if (!Unsaid(session) || session.idle_at > now) return Op::kNone;
  session.parted = true;
  return Op::kRenew;
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
    if (Unsaid(session) || Idle(session)) at = std::min(at, session.idle_at);
  }
  return std::max(at, session.retry_at);
}

void LeaseHolder::Pump(PeerIndex peer, TimePoint now) {
  Session& session = sessions_[Raw(peer)];
  if (!session.open) return;
  const Op op = NextOp(peer, session, now);
  if (op != Op::kNone) SendOp(peer, session, op, now);
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
    session.parted = false;
  }
  session.call = next_call_++;
  session.sent = now;
  session.idle_at = now + options_.linger;
  ++context_.counters->requests_sent;
  context_.outputs->sends.push_back({peer, session.call, std::move(request), Timeout(session)});
}

Request LeaseHolder::MakeRequest(PeerIndex peer, Session& session, Op op, TimePoint now) {
  Request request = MakeUnaddressed(peer, session, op, now);
  const Peer& owner = context_.imports->GetPeer(peer);
  std::visit(
      [&](auto& typed) {
        typed.client = context_.self;
        typed.owner = owner.owner;
        typed.incarnation = owner.incarnation;
        typed.key = KeyFor(peer);
      },
      request);
  return request;
}

Request LeaseHolder::MakeUnaddressed(PeerIndex peer, Session& session, Op op, TimePoint now) {
  switch (op) {
    case Op::kDirty:
      return MakeDirty(peer, session, now);
    case Op::kClean:
      return MakeClean(peer, session, now);
    case Op::kTransit:
      return MakeTransit(session);
    case Op::kGoodbye:
      session.op_sequence = SequenceNumber{next_sequence_++};
      return GoodbyeRequest{.sequence = session.op_sequence};
    case Op::kRenew:
    case Op::kNone:
      break;
  }
  DGC_CHECK(Raw(session.acknowledged) != 0);
  return RenewRequest{.sequence = session.acknowledged,
                      .requested_term = options_.requested_term,
                      .held = session.held,
                      .notices_seen = session.notices_seen};
}

void LeaseHolder::TakeTokens(PeerIndex peer, Session& session, bool for_dirty,
                             std::vector<Row>* rows) {
  const size_t looked = std::min<size_t>(session.tokens.size(), kTokensPerRow * session.rows_max);
  const size_t taken = session.tokens.EraseIf(looked, [&](const ExtraToken& token) {
    if (rows->size() >= session.rows_max) return false;
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
  if (!for_dirty) return;
  const bool full = rows->size() >= session.rows_max;
  session.tokens_passed = taken > 0 || full ? 0 : session.tokens_passed + looked;
  // Those that have to wait let others have their turn.
  for (size_t left = looked - taken; left > 0; --left) {
    session.tokens.push_back(session.tokens.front());
    session.tokens.pop_front();
  }
}

DirtyRequest LeaseHolder::MakeDirty(PeerIndex peer, Session& session, TimePoint now) {
  session.op_sequence = SequenceNumber{next_sequence_++};
  DirtyRequest request{.sequence = session.op_sequence,
                       .requested_term = options_.requested_term,
                       .notices_seen = session.notices_seen};
  while (request.rows.size() < session.rows_max && Settle(peer, session.to_list, Phase::kToList)) {
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
    // When all have been looked at in vain, they wait with their references, for a quota.
    const bool wait =
        session.tokens_passed >= session.tokens.size() && session.refused_until != TimePoint::max();
    if (wait) session.tokens_passed = 0;
    session.list_at = session.tokens.empty() ? TimePoint::max()
                      : wait                 ? session.refused_until
                                             : now + kTokenRetry;
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
  CleanRequest request{.sequence = session.op_sequence};
  while (request.rows.size() < session.rows_max &&
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

Duration LeaseHolder::TermOf(const Session& session) const {
  return session.term > Duration::zero() ? std::max(session.term, kPacedTermMin)
                                         : TermFor(options_, options_.requested_term);
}

Duration LeaseHolder::Backoff(const Session& session, uint32_t failures) {
  const Duration cap = std::min(options_.backoff_max, TermOf(session) / 4);
  Duration delay = options_.backoff_min;
  for (uint32_t i = 1; i < failures && delay < cap; ++i) delay *= 2;
  delay = std::min(delay, cap);
  const auto jitter = static_cast<int64_t>(context_.random->Next() % 1024);
  return delay / 2 + delay / 2 * jitter / 1024;
}

Duration LeaseHolder::Timeout(const Session& session) const {
  return std::min(options_.call_timeout, TermOf(session) / 5);
}

void LeaseHolder::Tick(TimePoint now) {
  for (const ImportIndex import : std::exchange(lost_on_the_way_, {})) context_.drop(import, now);
  size_t limit = kSessionsPerTick;
  for (; limit > 0; --limit) {
    const auto due = deadlines_.TakeDue(now);
    if (!due.has_value()) break;
    Session& session = sessions_[due->peer];
    if (!session.open || session.queued_at != due->at) continue;
    session.queued_at = TimePoint::max();
    // Sessions end here only: what an answer has changed is told by the name of the owner.
    const PeerIndex peer{due->peer};
    GiveUpIfUnused(peer, session, now);
    if (session.op == Op::kNone && Idle(session) && session.idle_at <= now) Close(peer);
    Pump(peer, now);
  }
  overdue_ = limit == 0;
  if (overdue_) DGC_PROBE("more sessions are due than one tick looks at");
}

std::optional<TimePoint> LeaseHolder::wake_at() const {
  if (overdue_ || !lost_on_the_way_.empty()) return TimePoint::min();
  return deadlines_.next();
}

void LeaseHolder::AddSizes(Strategy::Sizes* sizes) const {
  sizes->held = held_;
  sizes->queued += deadlines_.size();
  for (const Session& session : sessions_) {
    sizes->pending += session.to_list.size() + session.to_clean.size() + session.refused.size() +
                      session.tokens.size() + session.hand_ons.size();
  }
}

}  // namespace dgc
