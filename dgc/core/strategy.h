// Strategy: one collector's way of knowing who holds what, as seen by the process that runs it.
//
// One process is one state machine (Process), and the strategy is its exchangeable part: it owns
// who holds, the leases, counts, marks or epochs, and nothing else.  Objects, edges, roots, names,
// imports and cycles within the process are the core's, shared by all strategies.  A strategy is
// told events, and answers through Context: it holds and unholds objects, lets go of imports, sends
// messages.
//
// Rules:
//   * pure: no clock, thread, I/O; `now` is an argument and never goes back;
//   * costs are O(what changed), and what is not is done in Work() in bounded steps;
//   * when in doubt, keep the object.
//
// Thread-compatible.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "dgc/core/counters.h"
#include "dgc/core/ids.h"
#include "dgc/core/import_table.h"
#include "dgc/core/message.h"
#include "dgc/core/object_table.h"
#include "dgc/core/random.h"
#include "dgc/core/ref.h"
#include "dgc/core/time.h"

namespace dgc {

// The peer of a request that goes to this process itself, through its own server.
constexpr PeerIndex kSelfPeer{0xffffffff};

// A request to a peer.  Answered exactly once, by Process::Answered with the same peer and call.
struct Send {
  PeerIndex peer{};
  uint64_t call = 0;
  Request request;
  // How long to wait for the answer before the outcome is called unknown.
  Duration timeout{};
};

// A reference this process holds has become useless.
struct Lost {
  ImportIndex import{};
  LossCause cause = LossCause::kNone;
  // Where cause is kReclaimed.
  ReclaimReason reclaim_reason = ReclaimReason::kUnspecified;
  Duration reclaimed_ago{};
};

// A reference that this process handed on was not taken up before its transit lease ended.
struct HandOnExpired {
  WireRef ref;  // as it was handed on; `type` is empty
  // False: its owner did not answer for so long that it was given up.  It may have heard of the
  // hand-on all the same, and the reference may have been taken up.
  bool acknowledged = true;
};

// Something worth a log line: a transition, never an event per call or object.
struct Transition {
  enum class Kind : uint8_t {
    kClientAppeared,
    kClientLimbo,
    kClientResurrected,
    kLeaseLapsed,
    kGoodbye,
    kBrakeOn,  // reaping is held: too many leases are overdue together
    kBrakeOff,
    kReapingAutomatic,  // an operator's word
    kReapingHeld,
    kReapingReleased,
    kRelisting,       // as a holder: the owner did not know us, or knew something else
    kRefused,         // as a holder: the owner has bound our id to another key
    kOwnerRestarted,  // as a holder
    kPeerFailing,     // as a holder: the first failure after a success
    kPeerRecovered,
  };
  Kind kind{};
  ClientId client = {};  // as an owner
  PeerIndex peer{};      // as a holder
  uint64_t count = 0;    // listings or imports concerned
};

// Whether lapses are acted on.
enum class ReapingMode : uint8_t {
  kAutomatic,  // yes, unless the mass-expiry brake holds them
  kHeld,       // no, until the mode is changed
  kReleased,   // yes, whatever the brake says
};

// What is to be done outside.  The shell takes it after every call and does it in order, without
// its lock.
struct Outputs {
  std::vector<Send> sends;
  std::vector<Reclaimed> reclaimed;
  std::vector<Lost> lost;
  std::vector<HandOnExpired> hand_ons_expired;
  std::vector<Transition> transitions;
};

class Strategy {
 public:
  struct Context {
    ClientId self;
    // The owner's name and run; an empty name means that this process hosts nothing.
    std::string owner;
    Incarnation incarnation{};
    ObjectTable* objects = nullptr;
    ImportTable* imports = nullptr;
    Outputs* outputs = nullptr;
    Counters* counters = nullptr;
    Random* random = nullptr;
    // This process's secret at one run of one owner.
    std::function<ClientKey(const std::string& owner, Incarnation)> key;
    // Counts one use of an import down, and tells the strategy (Dropped) if that was the last.
    std::function<void(ImportIndex, TimePoint now)> drop;
  };

  // Sizes of what the strategy keeps, for gauges.
  struct Sizes {
    uint64_t clients = 0;
    uint64_t clients_in_limbo = 0;
    uint64_t listings = 0;
    uint64_t transits = 0;
    uint64_t departed = 0;
    uint64_t named = 0;      // tokens of hand-ons remembered as named
    uint64_t reaping = 0;    // listings of lapsed clients not yet taken apart
    uint64_t deferred = 0;   // lapses held back, of leases and transit leases
    uint64_t undecided = 0;  // the same, while it is found out whether a renewal waits
    uint64_t queued = 0;     // entries of queues of deadlines, of both roles
    bool braking = false;
    Duration term_floor{};  // what the load makes the least term granted
    uint64_t held = 0;      // as a holder: listed at owners
    uint64_t pending = 0;   // as a holder: rows waiting to be sent
    Duration lateness_excused{};
  };

  virtual ~Strategy() = default;

  // --- As an owner.
  // A reference to an own object leaves in a reply or call made for `receiver` (invalid:
  // anonymous); the result travels in WireRef::transit.  `term` 0 is the default.
  // RESOURCE_EXHAUSTED: a bound.
  virtual absl::StatusOr<TransitToken> Shared(ObjectIndex object, const ClientId& receiver,
                                              Duration term, TimePoint now) = 0;
  // A reference to an own object has come home.
  virtual void Returned(ObjectIndex object, TransitToken transit, TimePoint now) = 0;
  // A request from a peer.
  virtual Response Received(const Request& request, TimePoint now) = 0;

  // --- As a holder.
  // A copy of a reference has arrived; the import's use is counted already, the first one also
  // makes the record.
  virtual void Imported(ImportIndex import, TransitToken transit, TimePoint now) = 0;
  // Why whatever would be imported from that run of an owner is lost; kNone unless its run is known
  // to be over.
  virtual LossCause LostWith(PeerIndex peer) const = 0;
  // A reference to somebody else's object leaves; the strategy keeps the import (a use of its own)
  // for as long as the copy on its way depends on it.  `term` 0 is the owner's default.
  virtual absl::StatusOr<TransitToken> HandedOn(ImportIndex import, Duration term,
                                                TimePoint now) = 0;
  // The last use of each is gone; the strategy erases them from the import table when it is done
  // with them. `batched`: more will follow soon, or these are many already, so there is nothing to
  // wait for.
  virtual void Dropped(std::span<const ImportIndex> imports, bool batched, TimePoint now) = 0;
  // The answer to a Send.
  virtual void Answered(PeerIndex peer, uint64_t call, const Response& response, TimePoint now) = 0;
  // Whether a lease is known to run that covers the import.  False: it may be lost, and that is
  // being found out.
  virtual bool Assured(ImportIndex import, TimePoint now) const = 0;
  // An orderly exit: give up everything.  What the process still holds is forgotten.
  virtual void Goodbye(TimePoint now) = 0;
  // Whether everything said is acknowledged and nothing is held.
  virtual bool Quiescent() const = 0;

  // An operator's word on reaping; for strategies that reap.
  virtual void SetReaping(ReapingMode mode) = 0;

  // --- Time.
  virtual void Tick(TimePoint now) = 0;
  // Deferred work in bounded steps; counts `budget` down and returns whether there is more.
  virtual bool Work(size_t& budget, TimePoint now) = 0;
  // When Tick is to be called at the latest.
  virtual std::optional<TimePoint> wake_at() const = 0;

  virtual Sizes sizes() const = 0;
};

using StrategyFactory = std::function<std::unique_ptr<Strategy>(Strategy::Context)>;

}  // namespace dgc
