#include "tests/sim/seed_run.h"

#include <algorithm>
#include <memory>
#include <type_traits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dgc/testkit/activity.h"
#include "dgc/testkit/cluster.h"

namespace dgc::testkit {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// Those before these are drawn alike; see DrawMore and DrawUnusual for the others.
constexpr auto kWorkloadsDrawn = static_cast<uint64_t>(WorkloadKind::kStream);
constexpr auto kNemesesDrawn = static_cast<uint64_t>(NemesisKind::kSlowFinalizers);

struct Plan {
  ClusterOptions options;
  Duration term{};
  Duration faults{};  // how long workloads and nemeses go on
  uint32_t nodes = 0;
  std::vector<WorkloadKind> workloads;
  std::vector<NemesisKind> nemeses;
  bool drop_lost = true;
  bool quotas = false;
  bool gone_for_good = false;  // one node, in the end
};

// What matters about a knob is seldom its usual value.
void DrawKnobs(SimRandom& random, Plan* plan) {
  const Duration term = plan->term;
  LeaseOptions& lease = plan->options.strategy.lease;
  lease.term_default = term;
  lease.term_min = term / 4;
  lease.term_max = 4 * term;
  lease.brake_hold = Duration::zero();
  lease.limbo = random.OneIn(3) ? term / 2 : Duration::zero();
  lease.transit_term = random.OneIn(3) ? term / 2 : term;
  lease.pause = term / 8;
  lease.departed_max = random.OneIn(8) ? 1 : 64;
  lease.departed_term = random.OneIn(4) ? term / 4 : 2 * term;
  lease.requested_term = random.OneIn(3) ? term : Duration::zero();
  lease.clean_delay =
      random.OneIn(2) ? Duration::zero() : random.Between(milliseconds(1), milliseconds(20));
  lease.dirty_delay =
      random.OneIn(2) ? Duration::zero() : random.Between(milliseconds(1), milliseconds(20));
  lease.linger = random.OneIn(2) ? term : term / 16;
  lease.batch_max = random.OneIn(3) ? static_cast<uint32_t>(random.Between(1, 8)) : 4096;
  lease.backoff_min = milliseconds(random.Between(1, 50));
  // Both well below the transit term: a first contact that fails must be tried again in time.
  lease.backoff_max = lease.transit_term / 4;
  lease.call_timeout = random.Between(term / 16, lease.transit_term / 4);
  if (random.OneIn(16)) lease.transits_max = 6;
  if (random.OneIn(16)) lease.listings_per_client_max = 4;
  if (random.OneIn(16)) lease.clients_max = 2;
  if (random.OneIn(4)) {
    lease.brake_clients_min = 2;
    lease.brake_hold = term / 2;
  }
  if (random.OneIn(4)) lease.renewals_per_second_max = 1;
  plan->quotas =
      lease.transits_max == 6 || lease.listings_per_client_max == 4 || lease.clients_max == 2;
  ObjectTableOptions& objects = plan->options.process.objects;
  objects.local_round_interval = term / 8;
  objects.reclaimed_remembered_max = random.OneIn(4) ? 2 : 1 << 16;
  // Any two clocks just less than the promised 3 % apart.
  plan->options.drift_ppm_max = random.OneIn(4) ? 14'500 : 100;
  plan->options.work_budget = random.OneIn(3) ? static_cast<uint32_t>(random.Between(1, 4)) : 64;
  plan->options.work_delay = microseconds(random.OneIn(3) ? random.Between(1000, 20'000) : 20);
  plan->options.steps_max = 1'000'000;
  NetworkOptions& network = plan->options.network;
  network.delay_min = microseconds(50);
  network.delay_mean = random.OneIn(3) ? term / 64 : milliseconds(1);
  network.straggle_max = 2 * term;
}

// What came later draws from a stream of its own: seeds that get none of it mean what they meant.
void DrawMore(SimRandom random, Plan* plan) {
  if (plan->nemeses.empty()) return;
  if (random.OneIn(6)) plan->nemeses.push_back(NemesisKind::kSlowFinalizers);
  if (random.OneIn(8)) plan->nemeses.push_back(NemesisKind::kOperator);
  if (random.OneIn(8)) {
    plan->nemeses.push_back(NemesisKind::kMassLapse);
    plan->nodes = std::max(plan->nodes, 4u);
    LeaseOptions& lease = plan->options.strategy.lease;
    lease.brake_clients_min = 2;
    lease.brake_hold = random.Between(plan->term / 2, plan->term);
  }
}

// The edges of what is allowed, one field or a few at a time.
void DrawEdges(SimRandom& random, Plan* plan) {
  const Duration term = plan->term;
  LeaseOptions& lease = plan->options.strategy.lease;
  const auto rarely = [&random] { return random.OneIn(24); };
  if (rarely()) lease.linger = Duration::zero();
  if (rarely()) lease.departed_term = Duration::zero();
  if (rarely()) lease.departed_max = 0;
  if (rarely()) lease.transits_named_max = static_cast<uint32_t>(random.Below(2));
  if (rarely()) lease.batch_max = 1;
  if (rarely()) lease.backoff_min = lease.backoff_max;
  if (rarely()) lease.backoff_max = lease.backoff_min;
  if (rarely()) lease.call_timeout = std::max(term / 64, 8 * plan->options.network.delay_mean);
  if (rarely()) lease.clean_interval = random.OneIn(2) ? Duration::zero() : term / 16;
  if (rarely()) lease.clean_delay = term / 16;
  if (rarely()) lease.dirty_delay = lease.transit_term / 8;
  if (rarely()) lease.pause = random.OneIn(2) ? term / 64 : 2 * term;
  if (rarely()) lease.limbo = random.OneIn(2) ? milliseconds(1) : 2 * term;
  if (rarely()) lease.renewals_per_second_max = 0;
  if (rarely()) lease.transit_term = lease.term_max;
  if (rarely()) lease.self_call_timeout = random.OneIn(2) ? Duration::zero() : term / 8;
  if (rarely()) {
    lease.brake_percent = random.OneIn(2) ? 1 : 100;
    lease.brake_clients_min = 0;
    lease.brake_hold = term / 4;
  }
  if (rarely()) lease.brake_percent = 0;
  if (rarely()) {
    lease.term_min = term;
    lease.term_max = std::max(term, lease.transit_term);
  }
  if (rarely()) {
    const Duration asked[] = {lease.term_min, lease.term_max, term / 32, 8 * term};
    lease.requested_term = asked[random.Below(4)];
    // A shorter term wants a faster network.
    plan->options.network.delay_mean = milliseconds(1);
  }
  const auto full = [&](auto& bound, uint64_t low, uint64_t high) {
    if (!rarely()) return;
    bound = static_cast<std::remove_reference_t<decltype(bound)>>(
        random.Between(static_cast<int64_t>(low), static_cast<int64_t>(high)));
    plan->quotas = true;
  };
  full(lease.listings_max, 2, 10);
  full(lease.listings_per_client_max, 1, 3);
  full(lease.clients_max, 1, 3);
  // One hand-on after the other takes a transit term.
  full(lease.transits_max, 4, 8);
  full(lease.transits_per_client_max, 3, 6);
  full(lease.transits_unregistered_max, 3, 6);
  full(lease.hand_ons_max, 1, 2);
}

// A line that is never free, and answers that take long: half of them with nothing else.
void DrawStream(SimRandom& random, Plan* plan) {
  LeaseOptions& lease = plan->options.strategy.lease;
  plan->options.network.delay_mean = plan->term / 64;
  lease.dirty_delay = std::min<Duration>(lease.dirty_delay, plan->term / 64);
  lease.call_timeout = std::max(lease.call_timeout, plan->term / 8);
  lease.requested_term = Duration::zero();
  lease.batch_max = std::max(lease.batch_max, 16u);  // Enough for all that becomes due in a turn.
  plan->workloads.assign(1, WorkloadKind::kStream);
  if (random.OneIn(2)) plan->nemeses.clear();
}

// Much is listed again in many requests, and let go of meanwhile.
void DrawChunks(SimRandom& random, Plan* plan) {
  LeaseOptions& lease = plan->options.strategy.lease;
  plan->options.network.delay_mean = plan->term / (random.OneIn(2) ? 64 : 128);
  lease.batch_max = static_cast<uint32_t>(random.Between(1, 3));
  lease.call_timeout = std::max(lease.call_timeout, plan->term / 8);
  lease.requested_term = Duration::zero();
  plan->workloads.assign(1, WorkloadKind::kHoard);  // No more than the line can carry.
  const NemesisKind kinds[] = {NemesisKind::kLoss, NemesisKind::kPartition, NemesisKind::kPauses,
                               NemesisKind::kOneWay, NemesisKind::kStragglers};
  plan->nemeses.assign(1, kinds[random.Below(5)]);
}

// As DrawMore, later still.
void DrawUnusual(SimRandom random, Plan* plan) {
  if (random.OneIn(2)) DrawEdges(random, plan);
  if (random.OneIn(16)) {
    DrawChunks(random, plan);
  } else if (!plan->quotas && random.OneIn(16)) {
    DrawStream(random, plan);
  }
  if (!plan->nemeses.empty() && random.OneIn(12)) {
    plan->nemeses.push_back(NemesisKind::kOutOfOwnReach);
    LeaseOptions& lease = plan->options.strategy.lease;
    const Duration timeouts[] = {Duration::zero(), plan->term / 4, plan->term};
    lease.self_call_timeout = timeouts[random.Below(3)];
    if (random.OneIn(2)) lease.pause = plan->term / 32;
  }
}

// As DrawUnusual, later still: few rows are too many for one message.
void DrawShortMessages(SimRandom random, Plan* plan) {
  if (!random.OneIn(16)) return;
  plan->options.rows_max = static_cast<size_t>(random.Between(3, 12));
  plan->quotas = true;
}

// Nothing goes wrong, and nothing takes its time: then what nobody has is gone soon.  It waits for
// its turn behind a request of each kind, and for as many as its batch takes.
Duration Prompt(const Plan& plan) {
  const LeaseOptions& lease = plan.options.strategy.lease;
  if (!plan.nemeses.empty() || plan.quotas || plan.gone_for_good ||
      lease.transit_term < milliseconds(1000) || plan.options.work_delay >= milliseconds(1)) {
    return Duration::zero();
  }
  const Duration round_trip = 4 * plan.options.network.delay_mean;
  return lease.transit_term / 2 + lease.dirty_delay + lease.clean_delay + lease.clean_interval +
         (5 + 64 / lease.batch_max) * round_trip;
}

Plan Draw(uint64_t seed) {
  SimRandom random(seed);
  Plan plan;
  plan.options.seed = random.Next();
  plan.term = milliseconds(random.Between(500, 4000));
  plan.nodes = static_cast<uint32_t>(random.Between(2, 5));
  plan.faults = random.Between(4, 10) * plan.term;
  DrawKnobs(random, &plan);
  const auto workloads = random.Between(1, 2);
  for (int64_t i = 0; i < workloads; ++i) {
    plan.workloads.push_back(static_cast<WorkloadKind>(random.Below(kWorkloadsDrawn)));
  }
  const auto nemeses = random.OneIn(8) ? 0 : random.Between(1, 3);
  for (int64_t i = 0; i < nemeses; ++i) {
    plan.nemeses.push_back(static_cast<NemesisKind>(random.Below(kNemesesDrawn)));
  }
  plan.drop_lost = !random.OneIn(3);
  DrawMore(random.Fork(), &plan);
  DrawUnusual(random.Fork(), &plan);
  DrawShortMessages(random.Fork(), &plan);
  plan.gone_for_good = random.Fork().OneIn(4);
  plan.options.prompt = Prompt(plan);
  if (plan.quotas) plan.options.steps_max *= 4;  // Who is refused goes on asking.
  return plan;
}

Duration TermMax(const Plan& plan) { return LongestTerm(plan.options.strategy.lease); }

// The longest transit term: the workloads ask for two terms at most.
Duration TransitMax(const Plan& plan) {
  const LeaseOptions& lease = plan.options.strategy.lease;
  return std::max(lease.transit_term, std::min(2 * plan.term, lease.term_max));
}

// How long an owner that cannot reach itself puts off what ends: a lease, its limbo, and a transit
// lease that follows from these.
Duration Deaf(const Plan& plan) {
  const bool deaf = std::find(plan.nemeses.begin(), plan.nemeses.end(),
                              NemesisKind::kOutOfOwnReach) != plan.nemeses.end();
  return deaf ? 3 * plan.options.strategy.lease.self_call_timeout : Duration::zero();
}

// How long after the last fault everything has settled: a straggler may still list something for a
// client that is gone, in a lease of one more term; then limbo; transit leases last two terms at
// most (the workloads ask for no more); cycles within hosts that hang on each other take a round of
// the local collector each.
Duration SettleBound(const Plan& plan) {
  const LeaseOptions& lease = plan.options.strategy.lease;
  const Duration bound = plan.options.network.straggle_max + 2 * TermMax(plan) + lease.limbo +
                         lease.brake_hold + Deaf(plan) + 2 * TransitMax(plan) + 2 * plan.term +
                         milliseconds(500);
  return plan.quotas ? 4 * bound : bound;
}

// How long after the last reference is gone the last trace of it is.
Duration EmptyBound(const Plan& plan) {
  const LeaseOptions& lease = plan.options.strategy.lease;
  const Duration bound = 2 * TermMax(plan) + lease.limbo + lease.brake_hold + lease.departed_term +
                         lease.linger + Deaf(plan) + 2 * TransitMax(plan) + milliseconds(500);
  return plan.quotas ? 4 * bound : bound;
}

// Runs for that long, and for as long as some rounds of the local collector take at the pace of
// Work(), each with a rest four times as long, and checks; returns whether all is well so far.
bool RunAndCheck(const Plan& plan, Duration duration, Cluster* cluster) {
  const auto steps = static_cast<int64_t>(100 * cluster->oracle().existing());
  cluster->Run(duration + steps / plan.options.work_budget * plan.options.work_delay);
  if (cluster->failure().has_value()) return false;
  cluster->CheckObjects();
  // What is on a cycle may refer to objects of an owner that is gone for good.
  if (cluster->Up(0) || cluster->oracle().existing() == 0) cluster->CheckTables();
  return !cluster->failure().has_value();
}

// The first node never comes back, and the others hand on what they have of it.
void GoForGood(const Plan& plan, Cluster* cluster) {
  cluster->Crash(0);
  cluster->Trace("which was for good");
  for (NodeIndex node = 1; node < cluster->nodes(); ++node) {
    const auto variables = cluster->Variables(node);
    for (const auto& variable : variables) {
      cluster->Send(node, variable.object, node % (cluster->nodes() - 1) + 1, Duration::zero());
    }
  }
  cluster->Run(plan.term);  // All that was sent has arrived.
}

void CheckAfterwards(const Plan& plan, Cluster* cluster) {
  for (NodeIndex node = 0; node < cluster->nodes(); ++node) cluster->Restart(node);
  cluster->Trace("faults are over");
  if (!RunAndCheck(plan, SettleBound(plan), cluster)) return;
  cluster->CheckDigests(TermMax(plan) / 2);

  if (plan.gone_for_good) GoForGood(plan, cluster);
  cluster->Trace("everybody drops everything");
  for (NodeIndex node = 0; node < cluster->nodes(); ++node) cluster->DropAll(node);
  if (!RunAndCheck(plan, EmptyBound(plan), cluster)) return;

  if (cluster->oracle().existing() > 0) {
    cluster->Trace("what is left of cycles across hosts is unexported");
    for (NodeIndex node = 0; node < cluster->nodes(); ++node) cluster->UnexportAll(node);
    if (!RunAndCheck(plan, EmptyBound(plan), cluster)) return;
  }
  cluster->CheckEmpty();
}

std::string Describe(const Plan& plan, const std::vector<std::unique_ptr<Activity>>& activities) {
  std::string text;
  for (size_t i = 0; i < activities.size(); ++i) {
    if (i > 0) absl::StrAppend(&text, i == plan.workloads.size() ? " + " : ", ");
    absl::StrAppend(&text, activities[i]->name());
  }
  absl::StrAppend(&text, "; ", plan.nodes, " nodes, term ",
                  std::chrono::duration_cast<milliseconds>(plan.term).count(), " ms");
  return text;
}

}  // namespace

SeedResult RunSeed(uint64_t seed, const std::function<void(std::string_view)>& trace) {
  Plan plan = Draw(seed);
  plan.options.trace = trace;
  Cluster cluster(plan.options);
  for (uint32_t i = 0; i < plan.nodes; ++i) cluster.AddNode();
  cluster.DropLostReferences(plan.drop_lost);
  std::vector<std::unique_ptr<Activity>> activities;
  for (const WorkloadKind kind : plan.workloads) activities.push_back(MakeWorkload(kind));
  for (const NemesisKind kind : plan.nemeses) activities.push_back(MakeNemesis(kind));

  RunTogether(&cluster, &activities, plan.term, plan.faults);
  if (!cluster.failure().has_value()) CheckAfterwards(plan, &cluster);

  return {.failure = cluster.failure(),
          .composition = Describe(plan, activities),
          .steps = cluster.step(),
          .reclaims = cluster.oracle().reclaims(),
          .excused = cluster.oracle().excused(),
          .requests = cluster.requests()};
}

}  // namespace dgc::testkit
