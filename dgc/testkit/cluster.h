// Cluster: several simulated processes, the network between them, and the oracle that watches.
//
// Each node runs one production dgc::Process and drives it as the runtime does: an input with the
// node's own time, then the outputs; Tick when wake_at says so, Work in bounded steps.  On top
// stands a small application: variables that hold handles, objects with edges, names, and messages
// that carry references.  Whatever it does is told to the oracle as well.
//
//     Cluster cluster({.seed = 1});
//     const NodeIndex owner = cluster.AddNode(), holder = cluster.AddNode();
//     const ShadowObject x = cluster.Create(owner);
//     cluster.Give(owner, x, holder);
//     cluster.Drop(owner, x);
//     cluster.Run(std::chrono::seconds(60));
//     assert(cluster.Exists(x) && !cluster.failure());
//
// A run is a function of the options and the calls: one seed, one run.  It stops at the first thing
// that breaks (failure()).
// Thread-compatible.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "dgc/core/process.h"
#include "dgc/strategies/registry.h"
#include "dgc/testkit/event_queue.h"
#include "dgc/testkit/fault_log.h"
#include "dgc/testkit/network.h"
#include "dgc/testkit/oracle.h"
#include "dgc/testkit/sim_random.h"

namespace dgc::testkit {

struct ClusterOptions {
  uint64_t seed = 1;
  StrategyOptions strategy;
  ProcessOptions process;  // self, owner and incarnation are filled in
  NetworkOptions network;
  // Each node's clock runs fast or slow by up to so many parts per million, and starts somewhere.
  uint32_t drift_ppm_max = 100;
  // A request of more rows is refused before it gets to the owner, as gRPC does with long messages.
  size_t rows_max = std::numeric_limits<size_t>::max();
  // Process::Work is called with this budget, with this between two calls.
  uint32_t work_budget = 64;
  Duration work_delay = std::chrono::microseconds(10);
  // More events than this in one run count as a failure: it does not come to rest.
  uint64_t steps_max = 100'000'000;
  // Not zero: an object without cycles that is reclaimed later than this after its last use fails
  // the run.  For runs in which nothing goes wrong.
  Duration prompt{};
  // Gets a line per event; empty for none.
  std::function<void(std::string_view)> trace;
};

// The longest term that an owner with these options grants to a holder with the same.
Duration LongestTerm(const LeaseOptions& options);

class Cluster {
 public:
  explicit Cluster(ClusterOptions options);
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;
  ~Cluster();

  // --- Time.
  Duration now() const { return events_.now(); }
  EventQueue& events() { return events_; }
  // Runs everything up to then, or up to the first failure.
  void Run(Duration duration);
  // Runs until `done` or for that long; returns whether it was done.
  bool RunUntil(const std::function<bool()>& done, Duration at_most);

  // --- Nodes.
  NodeIndex AddNode();
  size_t nodes() const { return nodes_.size(); }
  // Up and not paused: the application can do something there.
  bool Usable(NodeIndex node) const;
  bool Up(NodeIndex node) const;
  // SIGKILL: everything in it is gone.  Messages under way are not.
  void Crash(NodeIndex node);
  // A new run: new client id, new incarnation, the same name.
  void Restart(NodeIndex node);
  // SIGSTOP and SIGCONT.  What arrived or fell due meanwhile happens right after, in random order.
  void Pause(NodeIndex node);
  void Resume(NodeIndex node);
  // An orderly exit: goodbye to all owners, for at most `patience`, then the process ends.
  void Leave(NodeIndex node, Duration patience);
  // From now on timers fire and requests are taken up to this late.  Zero: promptly.
  void SetLag(NodeIndex node, Duration lag_max);
  // For so many of 1000 requests the node answers UNAVAILABLE without having done anything.
  void SetUnavailable(NodeIndex node, uint32_t per_mille);
  // The finalizers' queue is full: nothing is reclaimed until it is not; inputs and timers go on.
  void SetFinalizersFull(NodeIndex node, bool full);
  // Its calls to itself fail, at once or without an answer.
  void SetOutOfOwnReach(NodeIndex node, bool out);
  // An operator's word; a restart forgets it.
  void SetReaping(NodeIndex node, ReapingMode mode);

  // --- Faults between nodes.
  SimulatedNetwork& network() { return network_; }
  // Symmetric; see SimulatedNetwork::Cut for one direction.
  void Partition(NodeIndex a, NodeIndex b);
  void Heal() { network_.HealAll(); }

  // --- The application.  Objects are named by their place in the oracle's records; every node may
  // have several variables with the same one.  What needs a variable the node does not have does
  // nothing.
  ShadowObject Create(NodeIndex node);
  bool Has(NodeIndex node, ShadowObject object) const;
  void Copy(NodeIndex node, ShadowObject object);
  void Drop(NodeIndex node, ShadowObject object);
  // A variable with what an edge of `from`, an own object, leads to.
  void Follow(NodeIndex node, ShadowObject from, ShadowObject to);
  void DropAll(NodeIndex node);
  // `from` is an own object of the node.
  void Link(NodeIndex node, ShadowObject from, ShadowObject to);
  void Unlink(NodeIndex node, ShadowObject from, ShadowObject to);
  void Bind(NodeIndex node, const std::string& name, ShadowObject object);
  void Unbind(NodeIndex node, const std::string& name);
  // A variable with what the name is bound to.
  void Lookup(NodeIndex node, const std::string& name);
  void Unexport(NodeIndex node, ShadowObject object);
  void UnexportAll(NodeIndex node);
  // Sends a reference in a message nobody answers (a queue, a database), protected for `term` (0:
  // the default).
  void Send(NodeIndex from, ShadowObject object, NodeIndex to, Duration term);
  // The same for what an edge of `from`, an own object, leads to; no variable is needed.
  void SendEdge(NodeIndex node, ShadowObject from, ShadowObject object, NodeIndex to);
  // `caller` asks, `server` answers with a reference: the implicit dirty.
  void Fetch(NodeIndex caller, NodeIndex server, ShadowObject object);
  void FetchByName(NodeIndex caller, NodeIndex server, const std::string& name);
  // Send, and runs until it has arrived.
  void Give(NodeIndex from, ShadowObject object, NodeIndex to);
  // After a reference is reported lost, the application drops it.
  void DropLostReferences(bool drop) { drop_lost_ = drop; }

  // --- What there is.
  struct Variable {
    Target target;
    ShadowObject object{};
    bool lost = false;
  };
  const std::vector<Variable>& Variables(NodeIndex node) const;
  const std::vector<std::string>& Names(NodeIndex node) const;
  // Edges of `object` are what the application linked; the oracle forgets them when it is
  // reclaimed.
  bool Exists(ShadowObject object) const { return oracle_.Exists(object); }
  const Process& process(NodeIndex node) const;
  Oracle& oracle() { return oracle_; }
  FaultLog& faults() { return faults_; }
  // How often a reference at that node was reported lost, and the last report.
  uint64_t LostCount(NodeIndex node) const;
  dgc::Lost LastLost(NodeIndex node) const;
  // How often `kind` has happened at the node, in all of its runs.
  uint64_t Count(NodeIndex node, Transition::Kind kind) const;
  // Messages between processes so far, the application's not counted.
  uint64_t requests() const { return requests_; }

  // --- Checks; each fails the run with what differs.
  // Hosted objects are exactly what the oracle expects of a cluster at rest.
  void CheckObjects();
  // And so are listings, what is waiting, and which references were reported lost.  Of what is held
  // over a quota as much is listed as fits.
  void CheckTables();
  // Nobody has anything, so every table is empty.
  void CheckEmpty();
  // For that long no renewal finds the two sides to differ.
  void CheckDigests(Duration duration);

  const std::optional<std::string>& failure() const { return oracle_.failure(); }
  uint64_t step() const { return events_.step(); }
  bool tracing() const { return static_cast<bool>(options_.trace); }
  void Trace(std::string_view line);
  // A stream of chance for whoever composes a run.
  SimRandom ForkRandom() { return random_.Fork(); }

 private:
  // Something that waits for a node to go on; exactly one of the two is called.
  struct Deferred {
    std::function<void()> run;
    std::function<void()> lose;
  };
  struct Call {
    PeerIndex peer{};
    uint64_t id = 0;
    std::shared_ptr<const Request> request;
  };
  struct Node {
    NodeIndex index = 0;
    std::string name;
    SimRandom random{0};
    // Its clock: local = start + true * (1 + drift).
    Duration clock_start{};
    int64_t drift_ppm = 0;
    // This run.
    std::unique_ptr<Process> process;
    ShadowProcess shadow{};
    uint64_t life = 0;  // counts runs; 0 is none
    bool up = false;
    bool paused = false;
    bool leaving = false;
    Duration lag_max{};
    Duration taken_until{};  // when the last request that waits will be taken
    uint32_t unavailable_per_mille = 0;
    bool finalizers_full = false;
    bool out_of_own_reach = false;
    std::vector<Deferred> deferred;
    std::vector<Call> calls;  // unanswered
    // Runs of owners that were asked something, and how many the process last kept a record of.
    std::vector<Incarnation> peers;
    size_t peers_kept = 0;
    std::optional<Duration> wake;
    std::vector<Variable> variables;
    std::vector<std::string> names;   // bound ones, sorted
    std::vector<ShadowObject> named;  // in step with names
    // Over all runs.
    uint64_t lost = 0;
    dgc::Lost last_lost;
    std::vector<uint64_t> transitions;
  };
  struct Parcel;

  TimePoint LocalTime(const Node& node, Duration when) const;
  Duration TrueTime(const Node& node, TimePoint local) const;
  TimePoint Now(const Node& node) const { return LocalTime(node, events_.now()); }

  void Start(Node& node);
  void Stop(Node& node);
  // Runs it at the node: now, or when it goes on; or loses it if that run is over.
  void At(NodeIndex node, uint64_t life, std::function<void()> run, std::function<void()> lose);
  // Performs what the process wants done, and sets its alarm.  After every input.
  void Settle(Node& node);
  void Perform(Node& node);
  void ReportTransition(Node& node, const Transition& transition);
  void NotePeers(Node& node);
  void NoteFailures(Node& node, PeerIndex peer, const Request& request, const Response& response);
  void SetAlarm(Node& node);
  // What it calls assured now.
  void CheckAssured(const Node& node);
  void Wake(NodeIndex node, uint64_t life, Duration when);
  void LeaveStep(NodeIndex node, uint64_t life, Duration began, Duration patience);
  // That it was cut short had a cause.
  void CheckLeft(const Node& node, Duration began, Duration patience);

  void SendRequest(Node& node, dgc::Send send);
  void SendToSelf(Node& node, const dgc::Send& send);
  void TakeLater(Node& node, std::function<void()> take);
  void TakeRequest(Node& to, NodeIndex from, uint64_t life, const dgc::Send& send,
                   const Oracle::Sent& sent);
  void Answer(NodeIndex node, uint64_t life, PeerIndex peer, uint64_t call,
              const Response& response);
  Node* ByName(const std::string& name);

  std::optional<Target> TargetOf(Node& node, ShadowObject object);
  Variable* FindVariable(Node& node, ShadowObject object);
  void AddVariable(Node& node, Target target, ShadowObject object);
  void RemoveVariable(Node& node, size_t index);
  void HandleLost(Node& node, const dgc::Lost& lost);
  // Sends one reference the node has; `reply_to` is the receiver's run if it waits for a reply.
  void SendCopy(Node& from, ShadowObject object, NodeIndex to, std::optional<uint64_t> reply_to,
                Duration term);
  void SendTarget(Node& from, Target target, ShadowObject object, NodeIndex to,
                  std::optional<uint64_t> reply_to, Duration term);
  // What an edge of an own object leads to, if the node has that object and it that edge.
  std::optional<Target> EdgeTarget(NodeIndex node, ShadowObject from, ShadowObject to);
  void ReceiveCopy(Node& to, const Parcel& parcel);

  void CheckObjects(Node& node);
  void CheckTables(Node& node);

  const ClusterOptions options_;
  StrategyFactory strategy_;
  SimRandom random_;
  EventQueue events_;
  FaultLog faults_;
  SimulatedNetwork network_;
  Oracle oracle_;
  std::vector<std::unique_ptr<Node>> nodes_;
  Outputs outputs_;  // scratch
  uint64_t next_run_ = 1;
  uint64_t requests_ = 0;
  bool drop_lost_ = true;
};

}  // namespace dgc::testkit
