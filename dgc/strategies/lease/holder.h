// LeaseHolder: the holder's half of the lease strategy: keeps the owners told of what this process
// holds.
//
// One session per owner incarnation, with at most one request in flight, so that requests arrive in
// the order of their sequence numbers unless one is lost in the network.  What is to be said is
// kept as state ("to be listed", "to be cleaned"), not as a queue of messages: whatever is pending
// when the line is free goes into the next request, and what failed simply becomes pending again.
//
// The life of an import (after Moreau, Dickman, Jones 2005):
//
//     kToList --Dirty sent--> kListing --answered--> kListed, or kRefused (a quota is full) and
//        |                        |                    |      after a while kToList again
//        |                        | dropped            | dropped
//        +------> kToClean <------+--------------------+
//                  |    ^ outcome unknown
//                  +--Clean sent--> kCleaning --answered--> gone, or kToList if it was imported
//                                                           again
//
// A renewal goes first when it is due; Transit, Dirty and Clean take turns, so that none waits for
// ever however busy the others are.
//
// A session never gives up while something is held; retries back off with jitter, up to a cap.
//
// Thread-compatible; no clock.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "dgc/core/deadline_queue.h"
#include "dgc/core/digest.h"
#include "dgc/core/fifo.h"
#include "dgc/core/strategy.h"
#include "dgc/strategies/lease/lease.h"

namespace dgc {

class LeaseHolder {
 public:
  // `context` outlives this.
  LeaseHolder(const LeaseOptions& options, const Strategy::Context& context);

  void Imported(ImportIndex import, TransitToken transit, TimePoint now);
  absl::StatusOr<TransitToken> HandedOn(ImportIndex import, Duration term, TimePoint now);
  void Dropped(std::span<const ImportIndex> imports, bool batched, TimePoint now);
  void Answered(PeerIndex peer, uint64_t call, const Response& response, TimePoint now);
  bool Assured(ImportIndex import, TimePoint now) const;
  LossCause LostWith(PeerIndex peer) const;
  void Goodbye(TimePoint now);
  bool Quiescent() const;

  void Tick(TimePoint now);
  std::optional<TimePoint> wake_at() const;
  void AddSizes(Strategy::Sizes* sizes) const;

 private:
  enum class Phase : uint8_t { kGone, kToList, kListing, kListed, kRefused, kToClean, kCleaning };
  // Per import, in step with the import table.
  struct Import {
    TransitToken transit{};  // received with it and not yet named to the owner
    uint32_t place = 0;      // in Session::imports, unless kGone
    Phase phase = Phase::kGone;
    bool listed = false;  // counted in Session::held
  };
  // A further token that came with a reference already held.
  struct ExtraToken {
    ObjectId id;
    TransitToken transit;
  };
  // What a row of a request was about.
  struct OpRow {
    ImportIndex import;
    TransitToken transit;
  };
  // A hand-on to be declared; counts as a use of the import until the owner has answered.
  struct HandOn {
    ImportIndex import;
    TransitToken transit;
    Duration term;
  };
  enum class Op : uint8_t { kNone, kDirty, kClean, kRenew, kTransit, kGoodbye };
  struct Session {
    bool open = false;
    // What is to be said.
    Fifo<ImportIndex> to_list;
    Fifo<ImportIndex> to_clean;
    Fifo<ImportIndex> refused;  // to be listed later
    Fifo<ExtraToken> tokens;
    size_t tokens_passed = 0;  // in a row, that could not be named
    std::vector<HandOn> hand_ons;
    // Those of hand_ons and op_hand_ons, by token.
    absl::flat_hash_set<uint64_t> unacknowledged;
    uint32_t rows_max = 0;  // in one request: fewer where the owner, or a proxy, takes no more
    // The request in flight, and what it was about.
    Op op = Op::kNone;
    uint64_t call = 0;
    TimePoint sent{};
    SequenceNumber op_sequence{};
    std::vector<OpRow> op_rows;
    std::vector<ExtraToken> op_tokens;
    std::vector<HandOn> op_hand_ons;
    bool op_completes = false;  // it ends a re-listing
    Op turn = Op::kNone;        // whichever of Transit, Dirty and Clean was sent last
    // What the owner has acknowledged.
    SequenceNumber acknowledged{};
    Digest held;
    std::vector<ImportIndex> imports;  // in any phase but kGone, in no order
    uint64_t used = 0;                 // of those and of the lost ones: in use
    // An answer is missing, so `held` may be wrong until the retry is answered.
    bool unsure = false;
    // A complete re-listing is under way; the number of its first request, once sent.
    bool relisting = false;
    SequenceNumber relist_from{};
    bool first = true;                  // no Dirty has been sent yet
    LossCause lost = LossCause::kNone;  // of everything, where dead
    bool dead = false;                  // the owner's run is over
    bool goodbye = false;
    // Timing.
    Duration term{};
    TimePoint granted_until = TimePoint::min();  // counted from when the request left
    uint64_t notices_seen = 0;
    uint64_t notices_acknowledged = 0;  // named to the owner by a request that it has answered
    bool parted = false;                // the last request was to name those that are left
    TimePoint renew_at = TimePoint::max();
    TimePoint renewed_at = TimePoint::min();  // when the last renewal left
    // Until when a hand-on may turn out not to be taken up; min(): none is open.
    TimePoint listen_until = TimePoint::min();
    TimePoint list_at = TimePoint::max();   // when what is in to_list and tokens is to be sent
    TimePoint clean_at = TimePoint::max();  // when what is in to_clean is to be sent
    TimePoint list_not_before = TimePoint::min();
    TimePoint clean_not_before = TimePoint::min();
    TimePoint refused_until = TimePoint::max();  // when what is in `refused` is tried again
    TimePoint hand_on_not_before = TimePoint::min();
    TimePoint idle_at = TimePoint::max();        // when to close it if nothing is held
    TimePoint retry_at = TimePoint::min();       // nothing at all before this
    uint32_t failures = 0;                       // in a row, of requests as a whole
    uint32_t refusals = 0;                       // in a row, of rows, for a full quota
    uint32_t stales = 0;                         // in a row, answers that called rows stale
    TimePoint unheard_since = TimePoint::max();  // the first failure of those in a row
    TimePoint in_use_at = TimePoint::min();      // when it could not be given up, last
    // The first of those since the owner last refused one for want of room; max() if that was last.
    TimePoint silent_since = TimePoint::max();
    TimePoint relist_not_before = TimePoint::min();
    Duration relist_interval{};              // after the last re-listing
    TimePoint queued_at = TimePoint::max();  // earliest deadline of it in deadlines_
  };

  Session& SessionOf(PeerIndex peer, TimePoint now);
  Import& At(ImportIndex import);
  void ToList(Session& session, ImportIndex import, TimePoint at);
  void ToClean(Session& session, ImportIndex import, TimePoint at);
  void AddToken(Session& session, const ExtraToken& token, TimePoint at);

  // Sends what is due, if the line is free; then notes when to look again.
  void Pump(PeerIndex peer, TimePoint now);
  Op NextOp(PeerIndex peer, Session& session, TimePoint now);
  TimePoint NextDeadline(const Session& session) const;
  // When a renewal is due; max(): not at all.
  TimePoint RenewalDue(const Session& session) const;
  // When a Transit, Dirty or Clean is due.
  TimePoint Due(const Session& session, Op op) const;
  void SendOp(PeerIndex peer, Session& session, Op op, TimePoint now);
  Request MakeRequest(PeerIndex peer, Session& session, Op op, TimePoint now);
  // Whom it is from and for is not filled in yet, as in the three below.
  Request MakeUnaddressed(PeerIndex peer, Session& session, Op op, TimePoint now);
  DirtyRequest MakeDirty(PeerIndex peer, Session& session, TimePoint now);
  CleanRequest MakeClean(PeerIndex peer, Session& session, TimePoint now);
  TransitRequest MakeTransit(Session& session);
  void TakeTokens(PeerIndex peer, Session& session, bool for_dirty, std::vector<Row>* rows);
  // Drops outdated entries from the front; returns whether anything is left.
  bool Settle(PeerIndex peer, Fifo<ImportIndex>& list, Phase phase) const;
  void Push(Session& session, Fifo<ImportIndex>& list, ImportIndex import, Phase phase);

  void TokenFailed(PeerIndex peer, Session& session, const ExtraToken& token,
                   const Failure& failure, TimePoint now);
  void On(PeerIndex peer, Session& session, const DirtyResponse& response, TimePoint now);
  void On(PeerIndex peer, Session& session, const CleanResponse& response, TimePoint now);
  void On(PeerIndex peer, Session& session, const RenewResponse& response, TimePoint now);
  void On(PeerIndex peer, Session& session, const TransitResponse& response, TimePoint now);
  void On(PeerIndex peer, Session& session, const GoodbyeResponse& response, TimePoint now);
  void On(PeerIndex peer, Session& session, const Refusal& refusal, TimePoint now);
  void Requeue(Session& session, TimePoint now);
  // Finds how many rows a request may have, by halves and sixteenths.
  void NoteSize(Session& session, bool refused) const;
  // Tells the log when requests, or rows, begin to fail and when none does any more.
  void NoteFailing(PeerIndex peer, Session& session, bool was_failing);
  static bool Failing(const Session& session) {
    return session.failures > 0 || session.refusals > 0;
  }
  void Granted(Session& session, Duration term);
  void PlanRenewal(Session& session);
  void HastenRenewal(Session& session);
  void Heard(PeerIndex peer, Session& session, const std::vector<Notice>& notices);
  // But once.
  void ReportHandOn(PeerIndex peer, const ObjectId& id, TransitToken transit, bool acknowledged);
  ClientKey KeyFor(PeerIndex peer) const;
  // O(imports of the session), as Clear is: for rare events.
  void Relist(PeerIndex peer, Session& session, TimePoint now);
  void Listed(Session& session, const OpRow& row);
  void Unlisted(Session& session, ImportIndex import);
  void Lose(Session& session, ImportIndex import, const Failure& failure);
  // Takes an import out of the session, and out of the table if nobody uses it.
  void Forget(Session& session, ImportIndex import);
  // Nothing is listed or to be said any more; what is still used of a dead run is lost.
  void Clear(Session& session);
  // Everything of that owner is lost, for the same cause.
  void OwnerGone(PeerIndex peer, Session& session, LossCause cause, TimePoint now);
  bool Idle(const Session& session) const;
  // Whether the owner has yet to be told which notices have come in.
  bool Unsaid(const Session& session) const;
  // Whether nothing of that owner is used but by what was handed on and is not acknowledged.
  // O(hand-ons that wait).
  bool UsedByHandOnsOnly(const Session& session) const;
  // Ends a session that has long heard nothing and in which nothing else is used any more.
  void GiveUpIfUnused(PeerIndex peer, Session& session, TimePoint now);
  void Close(PeerIndex peer);
  // What the owner granted last, or is likely to grant, for timing what is sent: at least
  // kPacedTermMin.
  Duration TermOf(const Session& session) const;
  Duration Backoff(const Session& session, uint32_t failures);
  Duration Timeout(const Session& session) const;

  const LeaseOptions options_;
  const Strategy::Context& context_;
  std::vector<Import> imports_;
  std::deque<Session> sessions_;  // by PeerIndex; references stay valid as it grows
  size_t open_sessions_ = 0;
  // A session may be queued several times; only the entry at its queued_at counts.
  struct Deadline {
    uint32_t peer;
    TimePoint at;
    friend auto operator<=>(const Deadline&, const Deadline&) = default;
  };
  DeadlineQueue<Deadline> deadlines_;
  bool overdue_ = false;  // the last Tick left some that are due
  // Two views of one set: hand-ons that were reported as not taken up, oldest first.
  using Reported = std::pair<Incarnation, TransitToken>;
  absl::flat_hash_set<Reported> reported_;
  std::deque<Reported> reported_order_;
  // Imports that were lost while nothing but a hand-on used them: dropped at the next Tick, so that
  // there is still something to report.
  std::vector<ImportIndex> lost_on_the_way_;
  uint64_t next_sequence_ = 1;
  uint64_t next_call_ = 1;
  uint64_t held_ = 0;
  bool leaving_ = false;
};

}  // namespace dgc
