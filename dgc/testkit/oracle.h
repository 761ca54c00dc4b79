// Oracle: who truly holds what in a simulated run, and whether the collector may do what it does.
//
// A shadow of the whole system in one place, kept from two sources only: what the applications do
// (create, link, send, drop ...) and which messages the network has delivered with which answers.
// It shares no code with the collector's tables and never asks them.  It asserts:
//
//   SAFETY, at every reclaim.  No object is reclaimed while
//     * its own process has a handle, a name or a protected path of edges to it;
//     * another process has it (a handle, or an edge from an object that exists) and is protected;
//     * a copy of its reference is on its way and is protected.
//   PROTECTED is what the protocol promises (proto/dgc/v1/collector.proto), restated here:
//     * a holder, from the first Dirty that it sent since it got the reference and that the owner
//       accepted, for as long as its lease runs: the owner received a Dirty or Renew, answered with
//       a term, and that term has not passed on the owner's clock, the owner's own stops not
//       counted.  Until that Dirty, it is protected as the copies are that it received;
//     * a copy that the owner sent, for the transit term, unless it was consumed;
//     * a copy that a holder sent, as that holder is, until the owner accepted its Transit, then
//       for the term granted.
//     A Clean sent while the application still has the reference excuses nothing: it is a bug, and
//     the protection goes on.
//   Even an unprotected holder must have had bad luck: that a whole term passed without renewal
//   although the fault log knows of nothing that disturbed the two is a bug as well.
//   HONESTY.  A reference reported lost is to an object that is gone, for the cause and at the time
//   reported; whoever has a reference to an object that is gone was told, once.  What a process
//   calls assured exists and is covered by a lease.  Whoever hands on is told if nobody takes it up
//   in time, soon and once, and not told otherwise.
//   LISTINGS.  Both sides' sets follow from the requests and answers alone.  What is listed ends by
//   a Clean, a complete Dirty, a goodbye or a lapse that is reported, and no object is reclaimed
//   before.  A renewal says that the two sets differ if, and only if, they do.
//   ORDER.  What a process reports as an owner and as a holder can follow what it reported before.
//   LIVENESS.  FindExpected(): what is left once all has settled.
//
// Thread-compatible.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "dgc/core/ids.h"
#include "dgc/core/message.h"
#include "dgc/core/strategy.h"
#include "dgc/core/time.h"
#include "dgc/testkit/event_queue.h"
#include "dgc/testkit/fault_log.h"

namespace dgc::testkit {

// One object, one run of a process, one copy of a reference: positions in the oracle's records,
// which only grow.
enum class ShadowObject : uint32_t {};
enum class ShadowProcess : uint32_t {};
enum class ShadowCopy : uint32_t {};
constexpr uint32_t Raw(ShadowObject i) { return static_cast<uint32_t>(i); }
constexpr uint32_t Raw(ShadowProcess i) { return static_cast<uint32_t>(i); }
constexpr uint32_t Raw(ShadowCopy i) { return static_cast<uint32_t>(i); }

struct OracleOptions {
  // Of an owner: a stop shorter than this is not told from the passing of time.
  Duration pause{};
  // Of an owner: how long a copy it sends is protected if nothing is said, and at most.
  Duration transit_term{};
  Duration term_max{};
  // Of an owner: how long after its term a lease can still be renewed.
  Duration limbo{};
  // Of an owner: how long the number of a Clean is remembered at least.  Zero: not at all.
  Duration departed_term{};
  // Of an owner: how many clients it keeps, how much it lists for each, and for all.
  uint64_t clients_max = 0;
  uint64_t listings_per_client_max = 0;
  uint64_t listings_max = 0;
  // How long after its transit lease has ended whoever handed on hears that it was not taken up.
  Duration told_within{};
  // How long who hands on may be cut off meanwhile: as short as no lease notices.
  Duration unnoticed{};
  // Of an owner: how long a lapse waits for its call to itself.
  Duration self_call_timeout{};
  // Of an owner: whether it remembers which hand-ons were taken up.
  bool remembers_named = true;
  // Of an owner: whether it remembers what it has reclaimed.
  bool remembers_reclaimed = true;
  // Zero, or how long after its last use an object without cycles may live on: for runs in which
  // nothing goes wrong.
  Duration prompt{};
};

class Oracle {
 public:
  // A process's own clock at a moment of true time.
  using LocalClock = std::function<TimePoint(NodeIndex, Duration)>;

  Oracle(OracleOptions options, const EventQueue* events, const FaultLog* faults,
         LocalClock local_clock);

  // --- What the applications do.
  ShadowProcess Started(NodeIndex node, const ClientId& self, Incarnation incarnation);
  // It says goodbye: it holds nothing from now on, but still hosts.
  void Leaving(ShadowProcess process);
  void Ended(ShadowProcess process);
  // A new object, with one handle.
  ShadowObject Created(ShadowProcess owner, const ObjectId& id);
  void HandleAdded(ShadowProcess process, ShadowObject object);
  void HandleDropped(ShadowProcess process, ShadowObject object);
  void Linked(ShadowObject from, ShadowObject to);
  void Unlinked(ShadowObject from, ShadowObject to);
  void Named(ShadowObject object);
  void Unnamed(ShadowObject object);
  void Unexported(ShadowObject object);
  // A copy leaves; `term` as in Process::Share.  One is under way.
  ShadowCopy Shared(ShadowProcess sender, ShadowObject object, TransitToken token, Duration term);
  void CopyDuplicated(ShadowCopy copy);
  void CopyLost(ShadowCopy copy);
  // It has arrived, and was imported if `receiver` says by whom.
  void CopyArrived(ShadowCopy copy, std::optional<ShadowProcess> receiver);

  // --- What the collector does.
  // A number that grows: what happened before which other thing.
  uint64_t NextSerial() { return ++serial_; }
  // What there was when a request left.
  struct Sent {
    uint64_t serial = 0;
    Duration at{};
    std::set<ShadowObject> believed;  // what its sender knew to be listed, of a renewal
  };
  Sent Leaves(ShadowProcess client, const Request& request);
  // A request has come in at `owner`; it waits there, in turn, until it is taken.
  uint64_t Arrived(ShadowProcess client, ShadowProcess owner, const Request& request);
  void Taken(ShadowProcess client, ShadowProcess owner, uint64_t place);
  // `request` has reached `owner`, which answered.
  void Handled(ShadowProcess owner, const Request& request, const Response& response,
               const Sent& sent);
  // That answer, or the transport's word, has reached who asked.
  void Answered(ShadowProcess client, const Request& request, const Response& response);
  // The client has just let go of its record of the object, or of that run of an owner.
  void Forgotten(ShadowProcess client, ShadowObject object) {
    LeaseOf(client, OwnerOf(object)).believed.erase(object);
  }
  void SessionEnded(ShadowProcess client, ShadowProcess owner);
  void Reclaimed(ShadowProcess owner, const ObjectId& id, ReclaimReason reason);
  void Lost(ShadowProcess holder, const ObjectId& id, const dgc::Lost& lost);
  // Somebody was told that the object is gone.
  void SaidToBeGone(ShadowObject object);
  // The holder calls its reference assured.
  void CheckAssured(ShadowProcess holder, ShadowObject object);
  // An owner's report, and a holder's of one run of an owner.
  void Happened(ShadowProcess process, const Transition& transition);
  void Happened(ShadowProcess holder, ShadowProcess owner, Transition::Kind kind);
  // `acknowledged`: by the owner; otherwise the sender has given it up.
  void HandOnExpired(ShadowProcess sender, const ObjectId& id, TransitToken token,
                     bool acknowledged);
  // An operator has told the process whether to act on lapses.
  void ToldToReap(ShadowProcess process) {
    At(process).told_to_reap = true;
    HeldBack(process);
  }
  // What ends there may be decided late: it cannot reach itself, or all takes its time.
  void HeldBack(ShadowProcess process) { At(process).held_back = true; }

  // --- What must be so.
  // The first thing that broke.
  const std::optional<std::string>& failure() const { return failure_; }
  void Fail(std::string what);
  // Works out what must be left once everything has settled: what is reachable, and what
  // hangs on a garbage cycle across processes, which reference listing cannot collect.
  void FindExpected();
  // As found by the last FindExpected(): what `owner` hosts of it.
  std::vector<ShadowObject> ExpectedObjects(ShadowProcess owner) const;
  // How many (holder, object) pairs are listed at `owner` at least, and at most: whether a holder
  // of an unexported object knows of it depends on whether it has asked.
  struct Range {
    uint64_t low = 0;
    uint64_t high = 0;
  };
  Range ExpectedListings(ShadowProcess owner) const;
  // How many objects of others `holder` has listed.
  Range ExpectedHeld(ShadowProcess holder) const;
  // How many pairs the owner has listed, as it has answered.
  uint64_t Listings(ShadowProcess owner) const;
  // Whether more is held of some owner than it lists, or it has no room for one more client.
  bool OverQuota(ShadowProcess holder) const;
  // The run of that incarnation.
  std::optional<ShadowProcess> FindRun(Incarnation incarnation) const;
  // What `owner` hosts and the collector has not reclaimed.
  std::vector<ShadowObject> ExistingObjects(ShadowProcess owner) const;
  // Fails for a reference that somebody still has to an object that is gone, and was not told of,
  // for a hand-on that nobody took up, of which the sender was not told, and for a re-listing that
  // has not ended.
  void CheckAllTold();

  std::optional<ShadowObject> Find(const ObjectId& id) const;
  bool Exists(ShadowObject object) const { return objects_[Raw(object)].exists; }
  ObjectId IdOf(ShadowObject object) const { return objects_[Raw(object)].id; }
  bool HasEdge(ShadowObject from, ShadowObject to) const;
  // The objects that `from` has edges to, in no particular but a reproducible order.
  const std::vector<ShadowObject>& Edges(ShadowObject from) const { return At(from).edges; }
  NodeIndex NodeOf(ShadowObject object) const { return At(At(object).owner).node; }
  NodeIndex NodeOf(ShadowProcess process) const { return At(process).node; }
  Incarnation IncarnationOf(ShadowObject object) const { return At(At(object).owner).incarnation; }
  ShadowProcess OwnerOf(ShadowObject object) const { return objects_[Raw(object)].owner; }
  size_t existing() const { return existing_; }
  uint64_t excused() const { return excused_; }
  uint64_t cross_host_garbage() const { return cross_host_garbage_; }
  uint64_t reclaims() const { return reclaims_; }
  // How often a renewal has found that the two sides differ.
  uint64_t differences() const { return differences_; }
  std::string Describe(ShadowObject object) const;
  std::string Describe(ShadowProcess process) const;

 private:
  // What one process has had of one object of another, without interruption.
  struct Hold {
    ShadowProcess process{};
    ShadowObject object{};
    uint32_t handles = 0;
    uint32_t edges = 0;  // from objects of that process that exist
    uint64_t since = 0;  // serial
    Duration began{};
    std::vector<ShadowCopy> copies;
    bool ended = false;
    bool told = false;
    bool again = false;  // a copy has arrived since it was told
    bool visiting =
        false;  // Protected() is at it: two holders may have the reference of each other
    // The owner has accepted a Dirty sent since; then the lease's epoch.
    bool listed = false;
    uint32_t epoch = 0;
    // The same process's previous hold of the object; it may still answer for copies it sent.
    uint32_t previous = kNone;
  };
  struct Copy {
    TransitToken token{};
    ShadowObject object{};
    ShadowProcess sender{};
    uint32_t under_way = 0;
    uint32_t sender_hold = kNone;  // where the sender is not the owner
    bool granted = false;          // protected by a transit lease of its own
    Duration granted_at{};
    Duration term{};
    bool consumed = false;
    uint64_t consumed_by = 0;  // serial of the request that named it
    Duration consumed_at{};
    bool in_time = false;  // it was consumed before a transit lease of its own had ended
    // Of a hand-on: how often the owner has accepted its declaration, from when the sender's lease
    // ran then, whether the last may have come after the owner forgot that it was consumed, and how
    // often the sender heard that nobody took it up.
    uint32_t declared = 0;
    Duration lease_from{};
    bool forgotten = false;
    bool late = false;       // the last declaration came long after it left
    Duration earlier_at{};   // when the one before came
    bool straggled = false;  // the last one came when its sender had long given it up
    uint32_t reported = 0;
    bool acknowledged = false;  // the sender has heard that it is declared
  };
  struct Object {
    ObjectId id;
    ShadowProcess owner{};
    bool exists = true;
    uint32_t handles = 0;
    uint32_t names = 0;
    std::vector<ShadowObject> edges;
    std::vector<ShadowObject> edges_in;  // from objects that exist
    std::vector<uint32_t> holds;         // the latest of each process
    std::vector<ShadowCopy> copies;      // under way, or once were
    // Since when nobody has had it; an object on a cycle never gets here.
    std::optional<Duration> unused;
    // A hand-on of it was taken up before it was declared, and so is protected for its whole term.
    bool declared_late = false;
    bool unexported = false;
    bool ended = false;      // by force, and reported
    bool condemned = false;  // reported lost before it was reclaimed
    Duration gone_at{};
    ReclaimReason gone_why{};
    uint32_t mark = 0;
    bool expected = false;
    // Tarjan's numbers; 0 is not visited.
    uint32_t index = 0;
    uint32_t low = 0;
    bool stacked = false;
  };
  struct Run {
    NodeIndex node = 0;
    ClientId self;
    Incarnation incarnation{};
    bool holding = true;
    bool ended = false;
    bool braking = false;
    bool told_to_reap = false;
    bool held_back = false;  // what ends may be decided late, at some time
    Duration ended_at{};
    std::vector<ShadowObject> objects;  // ever hosted
    std::vector<uint32_t> holds;        // ever begun
  };
  // What an owner has said to one client.
  struct Lease {
    // As the owner last reported.
    enum class Standing : uint8_t { kNone, kKnown, kLimbo };
    Standing standing = Standing::kNone;
    uint32_t lapses = 0;                 // reported
    std::optional<Duration> lapsed_at;   // the last one
    std::optional<Duration> refused_at;  // the last request that was, for a full quota
    bool known = false;
    Duration accepted_at{};
    Duration term{};
    // The latest request that was answered with a term; it may have left a later expiry alone.
    Duration heard_at{};
    Duration heard_term{};
    // How often it may have lapsed: a gap longer than the term, ended by a Dirty.
    uint32_t epoch = 0;
    struct Gap {
      Duration from, to, term;
    };
    std::vector<Gap> gaps;  // by epoch
    SequenceNumber applied{};
    // What the owner has listed, each with the number of its Dirty; `doubted` where a ghost came
    // after the owner may have forgotten the client and its numbers.
    std::map<ShadowObject, SequenceNumber> listings;
    SequenceNumber latest{};
    bool doubted = false;
    // Its requests that came in while the lease ran, and wait in the owner's process: how often
    // that had stood still by then.
    std::map<uint64_t, size_t> waiting;
    // What the last answer to the client said cannot be listed, and why.
    std::map<ShadowObject, Failure> failed;
    // What could not be handed on, as it was gone, and the client has yet to report so.
    std::set<ShadowObject> untold;
    // What the client knows of that.
    std::set<ShadowObject> believed;
    // The client lists all again, and no complete Dirty was answered yet.
    bool relisting = false;
    // When as many notices last were waiting for the client as are kept.
    std::optional<Duration> notices_full_at;
    // When it turned out that the owner had forgotten the client, or the client gave up the owner.
    std::vector<Duration> partings;
    // Its hand-ons that the owner has accepted: positions in copies_.
    std::vector<uint32_t> hand_ons;
    // The client knows that one of them is open: the owner has not said since that none is.
    bool listening = false;
    // The client's last report was of a failure.
    bool failing = false;
    // The client has had an answer of this owner, so it may report something of it.
    bool answered = false;
  };
  // What one client has said to an owner of one object.
  struct Said {
    SequenceNumber cleaned{};
    Duration cleaned_at{};
    SequenceNumber listed{};
    uint32_t lapses = 0;  // Lease::lapses when it was listed
  };
  static constexpr uint32_t kNone = 0xffffffff;

  Object& At(ShadowObject object) { return objects_[Raw(object)]; }
  const Object& At(ShadowObject object) const { return objects_[Raw(object)]; }
  Run& At(ShadowProcess process) { return runs_[Raw(process)]; }
  const Run& At(ShadowProcess process) const { return runs_[Raw(process)]; }
  Lease& LeaseOf(ShadowProcess client, ShadowProcess owner);
  // The same, without making one.
  const Lease* FindLease(ShadowProcess client, ShadowProcess owner) const;
  uint32_t HoldOf(ShadowProcess process, ShadowObject object) const;
  // The present hold, begun if there is none.
  Hold& Begin(ShadowProcess process, ShadowObject object);
  void EndIfUnused(Hold& hold);
  // To be called after every change of who has it.
  void NoteUse(ShadowObject object);
  void Gone(ShadowObject object, ReclaimReason why);

  // How long ago that was by the clock of `owner`.
  Duration Ago(ShadowProcess owner, Duration when) const;
  // The time that passed since `from` on the clock of `owner`, its own stops not counted.
  Duration CountedSince(ShadowProcess owner, Duration from) const;
  // Limbo counts: a renewal in it is as good as one before.
  bool LeaseRuns(const Lease& lease, ShadowProcess owner) const;
  // When the lease ended that ends no later than now.
  Duration EndOf(const Lease& lease) const;
  void LapsedPerhaps(Lease& lease);
  void Extend(Lease& lease, ShadowProcess owner, Duration term);
  // Whether the protocol protects it now.  If not, checks that there was a cause.
  bool Protected(Hold& hold);
  bool Protected(const Copy& copy, uint64_t held_since);
  void RequireCause(const Hold& hold, Duration from, Duration to, Duration term, const char* what);
  void CheckLapse(Lease& lease, ShadowProcess owner);
  // Fails with what a process reports, if it cannot be so.
  void Require(bool holds, ShadowProcess process, const char* what);
  // Who protects the object, by handles, names, holders, copies and edges of its own process.
  std::optional<std::string> Protector(ShadowObject object);
  std::optional<std::string> DirectProtector(ShadowObject object);

  // Whether it was refused for a full quota, or waits behind what was.
  bool Refused(const Hold& hold) const;
  void Heard(const DirtyRequest& request, const DirtyResponse& response, ShadowProcess client,
             ShadowProcess owner, uint64_t serial);
  // As the owner does for a complete Dirty: what it does not name is listed no more.
  void Complete(Lease& lease, const DirtyRequest& request);
  void CheckCompared(const Lease& lease, RenewResult result, const std::set<ShadowObject>& believed,
                     ShadowProcess client, ShadowProcess owner);
  void Accepted(ShadowProcess client, ShadowObject object, uint32_t epoch, uint64_t serial);
  void Heard(const CleanRequest& request, ShadowProcess client, ShadowProcess owner,
             uint64_t serial);
  // The protocol's rule for a Dirty that a Clean has overtaken.
  void CheckNotStale(ShadowProcess client, ShadowObject object, SequenceNumber sequence);
  void Consumed(const Row& row, uint64_t serial);
  void Consumed(Copy& copy, uint64_t serial);
  void Heard(const TransitRequest& request, const TransitResponse& response, ShadowProcess owner,
             const Sent& sent);
  void Declared(Copy& copy, Duration term, ShadowProcess owner, const Sent& sent);
  // Whether the owner and the sender of a hand-on are still there.
  bool BothRun(const Copy& copy) const;
  // By when its sender hears that nobody took it up.
  Duration ToldBy(const Copy& copy) const;
  // For how long its sender and the owner were disturbed.
  Duration Disturbed(const Copy& copy, Duration from, Duration to) const;
  // Whether the owner is right to say that none is open.
  void CheckNoneOpen(const Lease& lease, ShadowProcess owner);
  void CheckHandOnTold(const Copy& copy);
  void Heard(const RenewRequest& request, const RenewResponse& response, ShadowProcess client,
             ShadowProcess owner, const std::set<ShadowObject>& believed);
  // Whether what an owner answers for one id is so.
  void CheckFailure(ShadowProcess owner, const ObjectId& id, const Failure& failure);
  // All that is listed for it is gone.
  static void Unlist(Lease& lease);

  // How many objects of `owner` each process holds, in the sense of ExpectedListings().
  std::map<ShadowProcess, Range> HeldOf(ShadowProcess owner) const;
  // Whether more processes want to be listed at `owner`, for whatever they have, or more is wanted
  // by all of them, than it has room for.  `besides` wants something too.
  bool Crowded(ShadowProcess owner, std::optional<ShadowProcess> besides = std::nullopt) const;
  void ExpectFrom(std::vector<ShadowObject> roots);
  std::vector<ShadowObject> CrossHostCycles();
  void StrongConnect(ShadowObject root, uint32_t* next, std::vector<ShadowObject>* found);
  void TakeComponent(ShadowObject root, std::vector<ShadowObject>* stack,
                     std::vector<ShadowObject>* found);

  const OracleOptions options_;
  const EventQueue* const events_;
  const FaultLog* const faults_;
  const LocalClock local_clock_;
  std::vector<Run> runs_;
  std::vector<Object> objects_;
  std::vector<Hold> holds_;
  std::vector<Copy> copies_;
  absl::flat_hash_map<ObjectId, ShadowObject> by_id_;
  absl::flat_hash_map<ClientId, ShadowProcess> by_client_;
  absl::flat_hash_map<uint64_t, ShadowProcess> by_incarnation_;
  absl::flat_hash_map<std::pair<uint64_t, uint32_t>, uint32_t> by_token_;  // and object -> copy
  absl::flat_hash_map<std::pair<uint32_t, uint32_t>, Lease> leases_;       // client, owner
  absl::flat_hash_map<std::pair<uint32_t, uint32_t>, Said> said_;          // client, object
  uint64_t serial_ = 0;
  uint32_t mark_ = 0;
  size_t existing_ = 0;
  uint64_t excused_ = 0;
  uint64_t cross_host_garbage_ = 0;
  uint64_t reclaims_ = 0;
  uint64_t differences_ = 0;
  std::optional<std::string> failure_;
};

}  // namespace dgc::testkit
