// LeaseOwner: the owner's half of the lease strategy: who holds what here, and until when.
//
// Per client: one lease, a watermark, and its listings (PairTable).  Per reference on its way: one
// transit lease.  Each listing and each transit lease is one remote hold on its object; what an
// object's holders add up to is a count, never a list, so an object with 100,000 holders costs the
// same as one with ten.
//
// Two cases carry the design:
//   * late calls: every request applied raises the client's watermark to its number.  A Dirty for
//     an unlisted pair numbered at or below it is stale: what was overtaken adds nothing.  So no
//     tombstone per object exists, and none can be forgotten too early; clients that have gone are
//     remembered for a while (`departed`), with their watermark;
//   * a reference in a reply races with the receiver's own Clean of the same object.  It is
//     therefore no listing yet but a transit lease with a token of its own, which only somebody
//     who received that very copy can name.
//
// All deadlines are in lease time (core/lease_clock.h).  A lapse is O(1) when decided; its listings
// are taken apart in Work().
//
// Thread-compatible; no clock.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dgc/core/deadline_queue.h"
#include "dgc/core/digest.h"
#include "dgc/core/lease_clock.h"
#include "dgc/core/pair_table.h"
#include "dgc/core/slab.h"
#include "dgc/core/strategy.h"
#include "dgc/strategies/lease/lease.h"

namespace dgc {

class LeaseOwner {
 public:
  // `context` outlives this.
  LeaseOwner(const LeaseOptions& options, const Strategy::Context& context);

  absl::StatusOr<TransitToken> Shared(ObjectIndex object, const ClientId& receiver, Duration term,
                                      TimePoint now);
  void Returned(ObjectIndex object, TransitToken transit, TimePoint now);
  Response Received(const Request& request, TimePoint now);

  // The answer to the Send to kSelfPeer.
  void SelfAnswered(uint64_t call, const Response& response, TimePoint now);
  void SetReaping(ReapingMode mode);
  void Tick(TimePoint now);
  bool Work(size_t& budget);
  std::optional<TimePoint> wake_at() const;
  void AddSizes(Strategy::Sizes* sizes) const;

 private:
  // Below this many entries a queue is not worth compacting.
#ifdef DGC_SMALL_LIMITS  // So that few are enough for the simulator.
  static constexpr size_t kCompactMin = 2;
#else
  static constexpr size_t kCompactMin = 4096;
#endif

  struct Client {
    ClientId id;
    TimePoint deadline{};        // lease time
    SequenceNumber watermark{};  // the greatest number applied
    SequenceNumber completed{};  // that of the request that ended its last complete re-listing
    Digest held;
    PairTable listings;
    Duration term{};
    ClientKey key;
    std::vector<Notice> notices;  // at most kNoticesMax, oldest first
    uint32_t serial = 0;
    uint32_t account = 0;
    uint32_t hand_ons_open = 0;  // open transit leases that it has declared
    bool limbo = false;

    // Whether its end would be a loss: of what it holds, or of what it is to be told.
    bool at_stake() const { return listings.size() > 0 || hand_ons_open > 0 || !notices.empty(); }
  };
  // Positions of clients are reused; the serial tells an old deadline from a new one.
  struct LeaseKey {
    uint32_t slot;
    uint32_t serial;
    friend auto operator<=>(const LeaseKey&, const LeaseKey&) = default;
  };
  struct TransitKey {
    uint64_t token;
    uint32_t object;
    friend auto operator<=>(const TransitKey&, const TransitKey&) = default;
    template <typename H>
    friend H AbslHashValue(H state, const TransitKey& key) {
      return H::combine(std::move(state), key.token, key.object);
    }
  };
  // An entry of transit_deadlines_.
  struct TransitDeadline {
    uint64_t token;
    uint32_t object;
    uint32_t number;
    TransitKey key() const { return {token, object}; }
    friend auto operator<=>(const TransitDeadline&, const TransitDeadline&) = default;
  };
  struct TransitLease {
    TimePoint deadline{};  // lease time
    LeaseKey client{};     // who declared it, or is to receive it; serial 0: not known
    uint32_t account = 0;  // whom it counts against
    // Of its entry in transit_deadlines_; others with its key are of earlier leases of that token.
    // 0: it has none, being put off.
    uint32_t queued = 0;
  };
  struct Departed {
    ClientKey key;
    uint32_t account = 0;
    SequenceNumber watermark{};
    TimePoint forget{};  // lease time
  };
  // What has ended by its deadline, and is not to be acted on yet.
  struct Ended {
    std::vector<LeaseKey> leases;
    std::vector<TransitKey> transits;
    size_t size() const { return leases.size() + transits.size(); }
  };
  struct Reaping {
    PairTable listings;
    size_t cursor = 0;
    ReclaimReason why{};
  };

  Response On(const DirtyRequest& request, TimePoint now);
  Response On(const CleanRequest& request, TimePoint now);
  Response On(const RenewRequest& request, TimePoint now);
  Response On(const TransitRequest& request, TimePoint now);
  Response On(const GoodbyeRequest& request, TimePoint now);

  uint32_t NewSerial();
  Client* FindClient(const ClientId& id);
  // Null: clients_max.
  Client* FindOrAddClient(const ClientId& id, const ClientKey& key, Duration term);
  // Whether the client, known or departed, is bound to another key.
  bool Impostor(const ClientId& id, const ClientKey& key) const;
  Refusal TooManyClients() const;
  // Ends the lease: its listings are queued to be taken apart, its watermark remembered.
  void RemoveClient(uint32_t slot, ReclaimReason why);
  void RememberDeparted(const ClientId& id, const Departed& departed);
  void Tell(Client& client, const ObjectId& id, TransitToken transit);
  template <typename Predicate>
  void ForgetNotices(Client& client, Predicate gone);
  std::vector<Notice> Notices(Client& client, uint64_t seen);
  void Extend(Client& client, Duration term);
  Duration Grant(Duration requested) const;
  // What a complete re-listing does beside listing its rows: whatever it does not number anew goes.
  void Complete(Client& client, const DirtyRequest& request);
  // Calls each(i, hint) for the rows in order; hint says where ObjectTable will find the row's
  // object.
  template <typename Each>
  void ForEachRow(const Client& client, const std::vector<Row>& rows, Each each);
  std::optional<Failure> List(Client& client, const Row& row, ObjectIndex hint,
                              SequenceNumber sequence, TimePoint now);
  void Unlist(Client& client, const Row& row, ObjectIndex hint, SequenceNumber sequence);
  void Consume(ObjectIndex object, TransitToken token);
  // Whether one more transit lease may be opened on that account.
  absl::Status MayOpen(uint32_t account) const;
  LeaseKey KeyOf(const ClientId& id) const;
  uint32_t AccountOf(LeaseKey client) const {
    return client.serial == 0 ? 0 : clients_[client.slot].account;
  }
  void Open(ObjectIndex object, uint64_t token, Duration term, LeaseKey client);
  using Transits = absl::flat_hash_map<TransitKey, TransitLease>;
  // Its hold on the object is left to the caller.
  void Close(Transits::iterator transit);
  // Whom to tell if it ends unused; null: nobody has declared it, or who did has gone since.
  Client* DeclarerOf(const TransitKey& key, const TransitLease& lease);
  void Queue(const TransitKey& key, TransitLease& lease, TimePoint at);
  void RememberNamed(const TransitKey& key);
  // The least term that keeps renewals within their budget.
  Duration TermFloor() const;
  // Whether a lease that is about to lapse is held back; looks for a mass expiry.
  bool Braked();
  bool Holding() const {
    return mode_ == ReapingMode::kHeld || (mode_ == ReapingMode::kAutomatic && braking_);
  }
  bool MassExpiry() const;
  void ReleaseDeferred();
  // Looks at them again from then on.
  void DecideAgain(Ended& ended, TimePoint at);
  void DecideAgain(const TransitKey& key, TimePoint at);
  // Whether everything that had come in by this end of a lease has been handled, or waited for long
  // enough.  If not, finds out.
  bool HeardUntil(TimePoint deadline);
  // Decided at the latest `self_call_timeout` after `deadline`.
  void CallSelf(TimePoint deadline);
  // Until the call to itself is answered, or the next may leave.
  void PutOff(const LeaseKey& key);
  void PutOff(const TransitKey& key);
  void ExpireLeases(size_t& limit);
  void ExpireTransits(size_t& limit);
  void ForgetOld(size_t& limit);
  void CompactTransits();

  const LeaseOptions options_;
  const Strategy::Context& context_;
  LeaseClock clock_;
  // Deadlines are left to be decided because the last Tick reached its limit.
  bool overdue_ = false;

  // Three views of one set of clients.
  Slab<Client> clients_;
  absl::flat_hash_map<ClientId, uint32_t> client_by_id_;
  DeadlineQueue<LeaseKey> leases_;
  uint32_t next_serial_ = 1;
  uint64_t listings_ = 0;
  uint64_t in_limbo_ = 0;

  // Two views of one set of transit leases: what ends when (lease time).  The entry of one that was
  // consumed stays queued until it comes up or is compacted away.
  Transits transits_;
  DeadlineQueue<TransitDeadline> transit_deadlines_;
  uint32_t next_queued_ = 1;
  // How many of them are open per account: of strangers (0), of each client that has any.  A client
  // that leaves and comes back while it is remembered finds its account again.
  absl::flat_hash_map<uint32_t, uint64_t> accounts_;
  uint64_t notices_made_ = 0;
  uint64_t notices_ = 0;  // of all clients

  // Tokens of hand-ons that their receivers have named: a declaration that comes later is void.
  // Two views of one set, oldest first.
  absl::flat_hash_set<TransitKey> named_;
  std::deque<std::pair<TransitKey, TimePoint>> named_order_;

  // Two views of one set, oldest first.
  absl::flat_hash_map<ClientId, Departed> departed_;
  std::deque<std::pair<ClientId, TimePoint>> departed_order_;

  // The brake: lapses that are held back, and until when (lease time).
  ReapingMode mode_ = ReapingMode::kAutomatic;
  bool braking_ = false;
  TimePoint brake_until_{};
  TimePoint brake_rest_until_ = TimePoint::min();
  bool brake_looked_ = false;
  TimePoint brake_looked_at_{};
  Ended deferred_;

  // What came in before `heard_` (lease time) has been handled, as far as a server takes requests
  // in turn.  What ended later is undecided until a call to itself that left later still is
  // answered.
  TimePoint heard_ = TimePoint::min();
  bool calling_self_ = false;
  uint64_t self_call_ = 0;  // the number of the last
  TimePoint self_called_at_ = TimePoint::min();
  Ended undecided_;

  std::deque<Reaping> reaping_;
  uint64_t reaping_listings_ = 0;
};

}  // namespace dgc
