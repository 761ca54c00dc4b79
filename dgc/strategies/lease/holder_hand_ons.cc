// What the holder hands on to third parties: declared to the owner, heard of where it was not taken
// up, given up with an owner that is gone for good.

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "dgc/core/probe.h"
#include "dgc/strategies/lease/holder.h"

namespace dgc {
namespace {

// Notices that are remembered, so that none is reported twice.
constexpr size_t kReportedMax = 4096;

// At most an eighth more, so that terms that are about the same share a request.
Duration Coarse(Duration term) {
  const auto count = static_cast<uint64_t>(term.count());
  const int width = std::bit_width(count);
  const uint64_t grid = uint64_t{1} << std::max(0, width - 4);
  const uint64_t rounded = (count + grid - 1) / grid * grid;
  return std::min(Duration(static_cast<int64_t>(rounded)), kTermMax);
}

}  // namespace

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
  session.hand_ons.push_back({import, token, Coarse(term)});
  session.unacknowledged.insert(Raw(token));
  session.in_use_at = now;
  Pump(record.peer, now);
  return token;
}

TransitRequest LeaseHolder::MakeTransit(Session& session) {
  const HandOn first = session.hand_ons.front();
  TransitRequest request{.requested_term = first.term};
  std::erase_if(session.hand_ons, [&](const HandOn& hand_on) {
    if (request.rows.size() >= session.rows_max || hand_on.term != first.term) return false;
    request.rows.push_back({(*context_.imports)[hand_on.import].id, hand_on.transit});
    session.op_hand_ons.push_back(hand_on);
    return true;
  });
  context_.counters->rows_sent += request.rows.size();
  return request;
}

void LeaseHolder::Heard(PeerIndex peer, Session& session, const std::vector<Notice>& notices) {
  session.notices_acknowledged = session.notices_seen;
  for (const Notice& notice : notices) {
    if (notice.number <= session.notices_seen) continue;
    // It is declared again: then the owner withdraws this, or it is true when it comes again.
    if (session.unacknowledged.contains(Raw(notice.transit))) break;
    session.notices_seen = notice.number;
    ReportHandOn(peer, notice.id, notice.transit, /*acknowledged=*/true);
  }
}

// A declaration may have had to be repeated, or a session have been given up in between.
void LeaseHolder::ReportHandOn(PeerIndex peer, const ObjectId& id, TransitToken transit,
                               bool acknowledged) {
  const Peer& owner = context_.imports->GetPeer(peer);
  const Reported key{owner.incarnation, transit};
  if (!reported_.insert(key).second) return;
  reported_order_.push_back(key);
  if (reported_order_.size() > kReportedMax) {
    reported_.erase(reported_order_.front());
    reported_order_.pop_front();
  }
  ++context_.counters->hand_ons_expired;
  context_.outputs->hand_ons_expired.push_back(
      {{owner.owner, owner.incarnation, id, {}, transit}, acknowledged});
}

bool LeaseHolder::UsedByHandOnsOnly(const Session& session) const {
  if (session.used > session.hand_ons.size()) return false;
  absl::flat_hash_map<ImportIndex, uint32_t> hand_ons;
  for (const HandOn& hand_on : session.hand_ons) ++hand_ons[hand_on.import];
  uint64_t used = 0;
  for (const auto& [import, count] : hand_ons) {
    if ((*context_.imports)[import].uses == count) ++used;
  }
  return used == session.used;
}

// Silence says the same, later: a lease that nobody renews lapses.
void LeaseHolder::GiveUpIfUnused(PeerIndex peer, Session& session, TimePoint now) {
  if (session.unheard_since == TimePoint::max() || session.op != Op::kNone || session.goodbye) {
    return;
  }
  // Where there is no room yet a Clean may still free what a transit lease keeps.
  TimePoint due = session.unheard_since + kTermMax;
  const Duration patience = TermOf(session) + options_.linger;
  if (session.silent_since != TimePoint::max()) {
    due = std::min(due, session.silent_since + patience);
  }
  if (session.used > 0) due = std::max(due, session.in_use_at + patience);
  // A pause of this process is no silence of the owner's: what is lost by it takes one more try.
  const TimePoint reached = session.used > 0 ? session.sent : now;
  if (reached < due) return;
  if (!UsedByHandOnsOnly(session)) {
    session.in_use_at = now;
    return;
  }
  DGC_PROBE("a session is given up");
  Clear(session);
  for (const HandOn& hand_on : std::exchange(session.hand_ons, {})) {
    DGC_PROBE("a hand-on is given up");
    session.unacknowledged.erase(Raw(hand_on.transit));
    ReportHandOn(peer, (*context_.imports)[hand_on.import].id, hand_on.transit,
                 /*acknowledged=*/false);
    context_.drop(hand_on.import, now);
  }
  session.idle_at = now;
}

}  // namespace dgc
