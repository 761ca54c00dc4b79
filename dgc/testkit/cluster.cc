#include "dgc/testkit/cluster.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "dgc/core/check.h"
#include "dgc/core/probe.h"

namespace dgc::testkit {
namespace {

constexpr int64_t kMillion = 1'000'000;
constexpr std::chrono::microseconds kSchedulingMax{200};
// A quota of as many transit leases is not full in any run.
constexpr uint64_t kTransitsEnough = 64;

const char* Name(const Request& request) {
  constexpr const char* kNames[] = {"Dirty", "Clean", "Renew", "Transit", "Goodbye"};
  return kNames[request.index()];
}

std::string Summary(const Request& request) {
  std::string text = Name(request);
  if (const auto* dirty = std::get_if<DirtyRequest>(&request)) {
    absl::StrAppend(&text, " #", Raw(dirty->sequence), " rows ", dirty->rows.size());
    if (Raw(dirty->complete_from) != 0) {
      absl::StrAppend(&text, " complete from #", Raw(dirty->complete_from));
    }
  } else if (const auto* clean = std::get_if<CleanRequest>(&request)) {
    absl::StrAppend(&text, " #", Raw(clean->sequence), " rows ", clean->rows.size());
  } else if (const auto* renew = std::get_if<RenewRequest>(&request)) {
    absl::StrAppend(&text, " after #", Raw(renew->sequence), " held ", renew->held.count);
  } else if (const auto* transit = std::get_if<TransitRequest>(&request)) {
    absl::StrAppend(&text, " rows ", transit->rows.size());
  }
  return text;
}

std::string Rows(const Request& request, const Oracle& oracle) {
  std::string text;
  std::visit(
      [&](const auto& typed) {
        if constexpr (requires { typed.rows; }) {
          for (const Row& row : typed.rows) {
            const auto object = oracle.Find(row.id);
            absl::StrAppend(&text, " ", object.has_value() ? Raw(*object) : 0, "/",
                            Raw(row.transit) % 100'000);
          }
        }
      },
      request);
  return text;
}

std::string Notices(const std::vector<Notice>& notices) {
  return notices.empty() ? "" : absl::StrCat(", notices ", notices.size());
}

std::string Summary(const Response& response) {
  if (const auto* refusal = std::get_if<Refusal>(&response)) {
    return absl::StrCat("refused (", static_cast<int>(refusal->code), ") ", refusal->message);
  }
  if (const auto* dirty = std::get_if<DirtyResponse>(&response)) {
    std::string text = absl::StrCat("ok, failures ", dirty->failures.size());
    for (const Failure& failure : dirty->failures) {
      absl::StrAppend(&text, " [", failure.index, "]=", static_cast<int>(failure.reason));
    }
    return text + Notices(dirty->notices);
  }
  if (const auto* renew = std::get_if<RenewResponse>(&response)) {
    return absl::StrCat("result ", static_cast<int>(renew->result), Notices(renew->notices),
                        renew->hand_ons_open ? ", hand-ons open" : "");
  }
  return "ok";
}

}  // namespace

Duration LongestTerm(const LeaseOptions& options) {
  // Few clients bring up a small budget only.
  if (options.renewals_per_second_max > 0 && options.renewals_per_second_max < 1000) {
    return options.term_max;
  }
  return TermFor(options, options.requested_term);
}

namespace {

Duration ShortestTerm(const LeaseOptions& options) {
  return std::min(TermFor(options, options.requested_term), options.term_default);
}

}  // namespace

Cluster::Cluster(ClusterOptions options)
    : options_(std::move(options)),
      random_(options_.seed),
      network_(options_.network, random_.Fork(), &events_, &faults_),
      oracle_({.pause = options_.strategy.lease.pause,
               .transit_term = options_.strategy.lease.transit_term,
               .term_max = options_.strategy.lease.term_max,
               .limbo = options_.strategy.lease.limbo,
               .departed_term = options_.strategy.lease.departed_max < 64
                                    ? Duration::zero()
                                    : options_.strategy.lease.departed_term,
               .clients_max = options_.strategy.lease.clients_max,
               .listings_per_client_max = options_.strategy.lease.listings_per_client_max,
               .listings_max = options_.strategy.lease.listings_max,
               .told_within = LongestTerm(options_.strategy.lease),
               .unnoticed = ShortestTerm(options_.strategy.lease) / 4,
               .self_call_timeout = options_.strategy.lease.self_call_timeout,
               .remembers_named = options_.strategy.lease.transits_named_max >= 64,
               .remembers_reclaimed = options_.process.objects.reclaimed_remembered_max >= 1 << 16,
               .prompt = options_.prompt},
              &events_, &faults_,
              [this](NodeIndex node, Duration when) { return LocalTime(*nodes_[node], when); }) {
  auto strategy = MakeStrategy(options_.strategy);
  DGC_CHECK(strategy.ok());
  strategy_ = *std::move(strategy);
}

Cluster::~Cluster() = default;

void Cluster::Trace(std::string_view line) {
  if (!options_.trace) return;
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(now()).count();
  std::string number = absl::StrCat(us % kMillion);
  number.insert(0, 6 - number.size(), '0');
  options_.trace(absl::StrCat("[", step(), "] ", us / kMillion, ".", number, " ",
                              absl::string_view(line.data(), line.size())));
}

// --- Time.

void Cluster::Run(Duration duration) {
  const Duration until = now() + duration;
  while (!failure().has_value() && events_.RunNext(until)) {
    if (events_.step() >= options_.steps_max) oracle_.Fail("the run does not come to rest");
  }
}

bool Cluster::RunUntil(const std::function<bool()>& done, Duration at_most) {
  const Duration until = now() + at_most;
  while (!done()) {
    if (failure().has_value() || !events_.RunNext(until)) return done();
  }
  return true;
}

// Exact, and never goes back: the product would overflow after hours of simulated time.
TimePoint Cluster::LocalTime(const Node& node, Duration when) const {
  const int64_t whole = when.count() / kMillion;
  const int64_t rest = when.count() % kMillion;
  const int64_t drift = whole * node.drift_ppm + rest * node.drift_ppm / kMillion;
  return TimePoint(node.clock_start + when + Duration(drift));
}

Duration Cluster::TrueTime(const Node& node, TimePoint local) const {
  const int64_t since = (local.time_since_epoch() - node.clock_start).count();
  const int64_t rate = kMillion + node.drift_ppm;
  Duration when(since / rate * kMillion + since % rate * kMillion / rate);
  while (LocalTime(node, when) < local) ++when;
  return when;
}

// --- Nodes.

NodeIndex Cluster::AddNode() {
  const auto index = static_cast<NodeIndex>(nodes_.size());
  auto node = std::make_unique<Node>();
  node->index = index;
  node->name = absl::StrCat("n", index);
  node->random = random_.Fork();
  node->clock_start = node->random.Between(Duration::zero(), std::chrono::hours(1));
  const auto drift = static_cast<int64_t>(options_.drift_ppm_max);
  node->drift_ppm = node->random.Between(-drift, drift);
  node->transitions.resize(16);
  nodes_.push_back(std::move(node));
  Start(*nodes_.back());
  return index;
}

bool Cluster::Up(NodeIndex node) const { return nodes_[node]->up; }

bool Cluster::Usable(NodeIndex node) const {
  return nodes_[node]->up && !nodes_[node]->paused && !nodes_[node]->leaving;
}

void Cluster::Start(Node& node) {
  ProcessOptions options = options_.process;
  options.self = ClientId{random_.Next() | 1, random_.Next()};
  options.owner = node.name;
  options.incarnation = Incarnation{next_run_++};
  options.key = [self = options.self](const std::string& owner, Incarnation incarnation) {
    return ClientKey{Mix(self.high + Raw(incarnation)) | 1, Mix(self.low + owner.size())};
  };
  node.process = std::make_unique<Process>(options, strategy_, &node.random);
  node.shadow = oracle_.Started(node.index, options.self, options.incarnation);
  ++node.life;
  node.up = true;
  node.taken_until = Duration::zero();
  if (node.out_of_own_reach || node.lag_max > Duration::zero()) oracle_.HeldBack(node.shadow);
  if (tracing()) Trace(absl::StrCat(node.name, " starts as #", Raw(node.shadow)));
}

void Cluster::Stop(Node& node) {
  if (tracing()) Trace(absl::StrCat(node.name, " ends"));
  node.up = false;
  node.leaving = false;
  ++node.life;
  for (Deferred& deferred : std::exchange(node.deferred, {})) {
    if (deferred.lose) deferred.lose();
  }
  if (!node.paused) faults_.Stopped(node.index, now());
  node.paused = false;
  node.calls.clear();
  node.peers.clear();
  node.peers_kept = 0;
  node.wake.reset();
  node.variables.clear();
  node.names.clear();
  node.named.clear();
  oracle_.Ended(node.shadow);
  node.process.reset();
}

void Cluster::Crash(NodeIndex node) {
  if (Up(node)) Stop(*nodes_[node]);
}

void Cluster::Restart(NodeIndex node) {
  if (nodes_[node]->leaving) Stop(*nodes_[node]);  // No more patience.
  if (Up(node)) return;
  faults_.Resumed(node, now());
  Start(*nodes_[node]);
}

void Cluster::Pause(NodeIndex index) {
  Node& node = *nodes_[index];
  if (!node.up || node.paused) return;
  if (tracing()) Trace(absl::StrCat(node.name, " pauses"));
  node.paused = true;
  faults_.Stopped(index, now());
}

void Cluster::Resume(NodeIndex index) {
  Node& node = *nodes_[index];
  if (!node.paused) return;
  if (tracing()) Trace(absl::StrCat(node.name, " resumes with ", node.deferred.size(), " waiting"));
  node.paused = false;
  faults_.Resumed(index, now());
  for (Deferred& deferred : std::exchange(node.deferred, {})) {
    const Duration delay = node.random.Between(Duration::zero(), std::chrono::milliseconds(5));
    events_.After(delay, [this, index, life = node.life, deferred = std::move(deferred)] {
      At(index, life, deferred.run, deferred.lose);
    });
  }
}

void Cluster::Leave(NodeIndex index, Duration patience) {
  if (!Usable(index)) return;
  Node& node = *nodes_[index];
  if (tracing()) Trace(absl::StrCat(node.name, " says goodbye"));
  node.leaving = true;
  oracle_.Leaving(node.shadow);
  node.process->Goodbye(Now(node));
  Settle(node);
  LeaveStep(index, node.life, now(), patience);
}

void Cluster::LeaveStep(NodeIndex index, uint64_t life, Duration began, Duration patience) {
  Node& node = *nodes_[index];
  if (node.life != life) return;
  if (node.process->Quiescent() || now() >= began + patience) {
    if (!node.process->Quiescent()) CheckLeft(node, began, patience);
    Stop(node);
    return;
  }
  events_.After(std::chrono::milliseconds(1),
                [this, index, life, began, patience] { LeaveStep(index, life, began, patience); });
}

void Cluster::CheckLeft(const Node& node, Duration began, Duration patience) {
  DGC_PROBE("goodbye was cut short");
  // As long as some hundred rows of a batch each take, and a try that fails.
  const LeaseOptions& lease = options_.strategy.lease;
  const Duration round_trip = 4 * options_.network.delay_mean;
  if (patience < (128 / lease.batch_max + 4) * round_trip + lease.call_timeout) return;
  // What is handed on is declared first, and waits while the quota of transit leases is full.
  const uint64_t transits = std::min(
      {lease.transits_max, lease.transits_per_client_max, lease.transits_unregistered_max});
  if (transits < kTransitsEnough) return;
  for (const auto& other : nodes_) {
    if (other->index == node.index) continue;
    const Duration before = began - lease.call_timeout - lease.backoff_max;
    if (faults_.Disturbed(node.index, other->index, before, now()) > Duration::zero()) return;
  }
  oracle_.Fail(absl::StrCat(oracle_.Describe(node.shadow), " could not say goodbye"));
}

void Cluster::SetLag(NodeIndex index, Duration lag_max) {
  Node& node = *nodes_[index];
  node.lag_max = lag_max;
  if (node.up && lag_max > Duration::zero()) oracle_.HeldBack(node.shadow);
}

void Cluster::SetUnavailable(NodeIndex node, uint32_t per_mille) {
  nodes_[node]->unavailable_per_mille = per_mille;
}

void Cluster::SetFinalizersFull(NodeIndex index, bool full) {
  Node& node = *nodes_[index];
  if (tracing()) Trace(absl::StrCat(node.name, full ? " stops" : " resumes", " reclaiming"));
  node.finalizers_full = full;
}

void Cluster::SetOutOfOwnReach(NodeIndex index, bool out) {
  Node& node = *nodes_[index];
  if (tracing()) Trace(absl::StrCat(node.name, out ? " cannot" : " can", " reach itself"));
  node.out_of_own_reach = out;
  if (out) oracle_.HeldBack(node.shadow);
}

void Cluster::SetReaping(NodeIndex index, ReapingMode mode) {
  const auto tell = [this, index, mode] {
    Node& node = *nodes_[index];
    if (tracing()) Trace(absl::StrCat(node.name, " is told reaping mode ", static_cast<int>(mode)));
    oracle_.ToldToReap(node.shadow);
    node.process->SetReaping(mode);
    Settle(node);
  };
  At(index, nodes_[index]->life, tell, nullptr);
}

void Cluster::Partition(NodeIndex a, NodeIndex b) {
  network_.Cut(a, b, true);
  network_.Cut(b, a, true);
}

void Cluster::At(NodeIndex index, uint64_t life, std::function<void()> run,
                 std::function<void()> lose) {
  Node& node = *nodes_[index];
  if (node.life != life || !node.up) {
    if (lose) lose();
    return;
  }
  if (node.paused) {
    node.deferred.push_back({std::move(run), std::move(lose)});
    return;
  }
  run();
}

void Cluster::Settle(Node& node) {
  node.process->TakeOutputs(&outputs_);
  Perform(node);
  SetAlarm(node);
  CheckAssured(node);
}

void Cluster::Perform(Node& node) {
  // A lapse comes before what it reclaims.
  for (const Transition& transition : outputs_.transitions) {
    ++node.transitions[static_cast<size_t>(transition.kind)];
    ReportTransition(node, transition);
    if (tracing()) {
      Trace(absl::StrCat(node.name, " transition ", static_cast<int>(transition.kind), " count ",
                         transition.count));
    }
  }
  for (const Reclaimed& reclaimed : outputs_.reclaimed) {
    if (tracing()) {
      const auto object = oracle_.Find(reclaimed.id);
      Trace(absl::StrCat(node.name, " reclaims object ", object.has_value() ? Raw(*object) : 0,
                         ", reason ", static_cast<int>(reclaimed.reason)));
    }
    oracle_.Reclaimed(node.shadow, reclaimed.id, reclaimed.reason);
  }
  if (!outputs_.reclaimed.empty()) {
    for (const auto& holder : nodes_) CheckAssured(*holder);
  }
  for (const dgc::Lost& lost : outputs_.lost) HandleLost(node, lost);
  for (const HandOnExpired& expired : outputs_.hand_ons_expired) {
    if (tracing()) {
      Trace(absl::StrCat(node.name,
                         expired.acknowledged ? " hears that nobody took up" : " gives up",
                         " token ", Raw(expired.ref.transit) % 100'000));
    }
    oracle_.HandOnExpired(node.shadow, expired.ref.id, expired.ref.transit, expired.acknowledged);
  }
  NotePeers(node);
  for (dgc::Send& send : outputs_.sends) SendRequest(node, std::move(send));
}

void Cluster::ReportTransition(Node& node, const Transition& transition) {
  using Kind = Transition::Kind;
  switch (transition.kind) {
    case Kind::kRelisting:
    case Kind::kRefused:
    case Kind::kOwnerRestarted:
    case Kind::kPeerFailing:
    case Kind::kPeerRecovered: {
      // Unless it has just let go of that owner.
      const Peer& peer = node.process->imports().GetPeer(transition.peer);
      const auto owner = oracle_.FindRun(peer.incarnation);
      if (owner.has_value()) oracle_.Happened(node.shadow, *owner, transition.kind);
      break;
    }
    default:
      oracle_.Happened(node.shadow, transition);
      break;
  }
}

// Of which runs of owners it keeps no record any more.
void Cluster::NotePeers(Node& node) {
  const size_t before = std::exchange(node.peers_kept, node.process->imports().peers());
  if (node.peers_kept >= before) return;
  std::erase_if(node.peers, [&](Incarnation incarnation) {
    const ShadowProcess owner = *oracle_.FindRun(incarnation);
    const std::string& name = nodes_[oracle_.NodeOf(owner)]->name;
    if (node.process->imports().FindPeer(name, incarnation).has_value()) return false;
    oracle_.SessionEnded(node.shadow, owner);
    return true;
  });
}

void Cluster::SetAlarm(Node& node) {
  const auto wake_at = node.process->wake_at();
  if (!wake_at.has_value() || *wake_at > Now(node) + std::chrono::hours(48)) return;
  // As the engine does, it looks again now and then while there is no room for what Work() yields.
  const LeaseOptions& lease = options_.strategy.lease;
  const Duration nap = std::min(lease.pause, lease.term_default / 8) / 4;
  Duration when = now() + (node.finalizers_full ? nap : options_.work_delay);
  if (*wake_at > Now(node)) {
    when = TrueTime(node, *wake_at) + node.random.Between(Duration::zero(), kSchedulingMax);
  }
  if (node.lag_max > Duration::zero()) {
    when += node.random.Between(Duration::zero(), node.lag_max);
    faults_.At(node.index, now(), when);
  }
  if (node.wake.has_value() && *node.wake <= when) return;
  node.wake = when;
  events_.At(when, [this, index = node.index, life = node.life, when] {
    At(
        index, life, [this, index, life, when] { Wake(index, life, when); }, nullptr);
  });
}

void Cluster::Wake(NodeIndex index, uint64_t life, Duration when) {
  Node& node = *nodes_[index];
  // An alarm that was set again for an earlier time, or that lives on from before a restart.
  if (node.life != life || node.wake != when) return;
  node.wake.reset();
  node.process->Tick(Now(node));
  if (!node.finalizers_full) {
    node.process->Work(options_.work_budget, Now(node));
  } else if (node.process->objects().has_work()) {
    DGC_PROBE("reclaiming waits for the finalizers");
  }
  Settle(node);
}

// --- Messages of the collector.

Cluster::Node* Cluster::ByName(const std::string& name) {
  for (const auto& node : nodes_) {
    if (node->name == name) return node.get();
  }
  return nullptr;
}

// To itself: no network, but it waits as any other request does.
void Cluster::SendToSelf(Node& node, const dgc::Send& send) {
  node.calls.push_back({send.peer, send.call, nullptr});
  const auto answer = [this, index = node.index, life = node.life, peer = send.peer,
                       call = send.call](const Response& response) {
    Answer(index, life, peer, call, response);
  };
  const Duration deadline = TrueTime(node, Now(node) + send.timeout);
  if (node.out_of_own_reach && node.random.OneIn(2)) {
    events_.After(kSchedulingMax, [answer] {
      answer(Refusal{Refusal::Code::kUnknownOutcome, "connection refused"});
    });
    return;
  }
  events_.At(deadline, [answer] {
    answer(Refusal{Refusal::Code::kUnknownOutcome, "no answer in time"});
  });
  if (node.out_of_own_reach) return;
  TakeLater(node, [this, index = node.index, send, answer] {
    answer(nodes_[index]->process->Received(send.request, Now(*nodes_[index])));
  });
}

void Cluster::SendRequest(Node& node, dgc::Send send) {
  if (send.peer == kSelfPeer) return SendToSelf(node, send);
  ++requests_;
  const Peer& peer = node.process->imports().GetPeer(send.peer);
  Node* const to = ByName(peer.owner);
  DGC_CHECK(to != nullptr && to != &node);
  if (std::find(node.peers.begin(), node.peers.end(), peer.incarnation) == node.peers.end()) {
    node.peers.push_back(peer.incarnation);
  }
  const NodeIndex from = node.index;
  const uint64_t life = node.life;
  const Oracle::Sent sent = oracle_.Leaves(node.shadow, send.request);
  if (tracing()) {
    Trace(absl::StrCat(node.name, " -> ", to->name, ": ", Summary(send.request),
                       Rows(send.request, oracle_)));
  }
  const Duration deadline = TrueTime(node, Now(node) + send.timeout);
  events_.At(deadline, [this, from, life, peer = send.peer, call = send.call] {
    Answer(from, life, peer, call, Refusal{Refusal::Code::kUnknownOutcome, "no answer in time"});
  });
  if (std::any_of(node.calls.begin(), node.calls.end(),
                  [&](const Call& call) { return call.peer == send.peer; })) {
    oracle_.Fail(absl::StrCat(node.name, " has two requests under way to ", to->name));
  }
  const auto shared = std::make_shared<const dgc::Send>(std::move(send));
  node.calls.push_back({shared->peer, shared->call, {shared, &shared->request}});
  Packet packet;
  packet.from = from;
  packet.to = to->index;
  packet.timeout = shared->timeout;
  packet.arrive = [this, from, life, index = to->index, shared, sent, self = node.shadow] {
    Node& receiver = *nodes_[index];
    // What has been stopped takes what came in meanwhile in any order.
    const bool in_turn = receiver.up && !receiver.paused;
    const uint64_t place = in_turn ? oracle_.Arrived(self, receiver.shadow, shared->request) : 0;
    const auto take = [this, from, life, index, shared, sent, self, place] {
      oracle_.Taken(self, nodes_[index]->shadow, place);
      TakeRequest(*nodes_[index], from, life, *shared, sent);
    };
    if (!receiver.up) {
      // The connection is refused: for the caller the outcome is unknown.
      faults_.Between(from, index, now(), now() + shared->timeout);
      const Response refusal = Refusal{Refusal::Code::kUnknownOutcome, "connection refused"};
      Answer(from, life, shared->peer, shared->call, refusal);
      return;
    }
    TakeLater(receiver, take);
  };
  network_.Send(std::move(packet));
}

// Requests wait for a lagging process in one queue.
void Cluster::TakeLater(Node& node, std::function<void()> take) {
  const Duration lag = node.random.Between(Duration::zero(), node.lag_max);
  node.taken_until = std::max(node.taken_until, now() + lag);
  events_.At(node.taken_until, [this, index = node.index, life = node.life,
                                take = std::move(take)] { At(index, life, take, nullptr); });
}

void Cluster::TakeRequest(Node& to, NodeIndex from, uint64_t life, const dgc::Send& send,
                          const Oracle::Sent& sent) {
  Response response;
  if (to.random.PerMille(to.unavailable_per_mille)) {
    // The only refusal that is a disturbance: a full quota is no excuse for a lapse.
    response = Refusal{Refusal::Code::kUnavailable, "try again"};
    faults_.Between(from, to.index, now(), now() + send.timeout);
  } else if (RowCount(send.request) > options_.rows_max) {
    DGC_PROBE("a request is too long");
    response = Refusal{Refusal::Code::kResourceExhausted, "the message is too long"};
  } else {
    response = to.process->Received(send.request, Now(to));
    oracle_.Handled(to.shadow, send.request, response, sent);
  }
  if (tracing()) {
    Trace(absl::StrCat(to.name, " took from n", from, ": ", Summary(send.request),
                       Rows(send.request, oracle_), ": ", Summary(response)));
  }
  Settle(to);
  Packet packet;
  packet.from = to.index;
  packet.to = from;
  packet.timeout = send.timeout;
  packet.arrive = [this, from, life, peer = send.peer, call = send.call,
                   response = std::move(response)] { Answer(from, life, peer, call, response); };
  network_.Send(std::move(packet));
}

void Cluster::Answer(NodeIndex index, uint64_t life, PeerIndex peer, uint64_t call,
                     const Response& response) {
  const auto take = [this, index, peer, call, response] {
    Node& node = *nodes_[index];
    const auto it = std::find_if(node.calls.begin(), node.calls.end(), [&](const Call& waiting) {
      return waiting.peer == peer && waiting.id == call;
    });
    if (it == node.calls.end()) return;
    const auto request = std::move(it->request);
    node.calls.erase(it);
    if (request != nullptr) oracle_.Answered(node.shadow, *request, response);
    if (tracing()) {
      Trace(absl::StrCat(node.name, " is answered, peer ", Raw(peer), ": ", Summary(response)));
    }
    node.process->Answered(peer, call, response, Now(node));
    if (request != nullptr) NoteFailures(node, peer, *request, response);
    Settle(node);
  };
  At(index, life, take, nullptr);
}

// What is lost as it is dropped is reported by a record that is free by now.
void Cluster::NoteFailures(Node& node, PeerIndex peer, const Request& request,
                           const Response& response) {
  std::visit(
      [&](const auto& asked, const auto& answered) {
        if constexpr (requires { asked.rows[answered.failures[0].index]; }) {
          for (const Failure& failure : answered.failures) {
            if (failure.index >= asked.rows.size()) continue;
            const ObjectId& id = asked.rows[failure.index].id;
            const auto object = oracle_.Find(id);
            if (!object.has_value() || node.process->imports().Find(peer, id).has_value()) continue;
            oracle_.Forgotten(node.shadow, *object);
          }
        }
      },
      request, response);
}

}  // namespace dgc::testkit
