#include "tests/sim/seed_run.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dgc/testkit/activity.h"
#include "dgc/testkit/cluster.h"

namespace dgc::testkit {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// Of the nemeses, those before this one are drawn alike; see DrawMore for the others.
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
  lease.batch_max = random.OneIn(3) ? static_cast<uint32_t>(random.Between(1, 3)) : 4096;
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
    plan.workloads.push_back(static_cast<WorkloadKind>(random.Below(kWorkloadKinds)));
  }
  const auto nemeses = random.OneIn(8) ? 0 : random.Between(1, 3);
  for (int64_t i = 0; i < nemeses; ++i) {
    plan.nemeses.push_back(static_cast<NemesisKind>(random.Below(kNemesesDrawn)));
  }
  plan.drop_lost = !random.OneIn(3);
  // Nothing goes wrong, and nothing takes its time: then what nobody has is gone at once.
  const LeaseOptions& lease = plan.options.strategy.lease;
  if (plan.nemeses.empty() && !plan.quotas && lease.batch_max > 3 &&
      lease.transit_term >= milliseconds(1000) &&
      plan.options.network.delay_mean == milliseconds(1) &&
      plan.options.work_delay < milliseconds(1)) {
    plan.options.prompt = lease.transit_term / 2;
  }
  DrawMore(random.Fork(), &plan);
  return plan;
}

// The longest term an owner grants: under load more than the usual.
Duration TermMax(const Plan& plan) {
  const LeaseOptions& lease = plan.options.strategy.lease;
  return lease.renewals_per_second_max == 1 ? lease.term_max : lease.term_default;
}

// How long after the last fault everything has settled: a straggler may still list something for a
// client that is gone, in a lease of one more term; then limbo; transit leases last two terms at
// most (the workloads ask for no more); cycles within hosts that hang on each other take a round of
// the local collector each.
Duration SettleBound(const Plan& plan) {
  const LeaseOptions& lease = plan.options.strategy.lease;
  const Duration bound = plan.options.network.straggle_max + 2 * TermMax(plan) + lease.limbo +
                         lease.brake_hold + 2 * plan.term + 2 * plan.term + milliseconds(500);
  return plan.quotas ? 4 * bound : bound;
}

// How long after the last reference is gone the last trace of it is.
Duration EmptyBound(const Plan& plan) {
  const LeaseOptions& lease = plan.options.strategy.lease;
  const Duration bound = 2 * TermMax(plan) + lease.limbo + lease.brake_hold + lease.departed_term +
                         lease.linger + milliseconds(500);
  return plan.quotas ? 4 * bound : bound;
}

// Runs for that long, and for as long as some rounds of the local collector take at the pace of
// Work(), each with a rest four times as long, and checks; returns whether all is well so far.
bool RunAndCheck(const Plan& plan, Duration duration, Cluster* cluster) {
  const auto steps = static_cast<int64_t>(100 * cluster->oracle().existing());
  cluster->Run(duration + steps / plan.options.work_budget * plan.options.work_delay);
  if (cluster->failure().has_value()) return false;
  cluster->CheckObjects();
  cluster->CheckTables();
  return !cluster->failure().has_value();
}

void CheckAfterwards(const Plan& plan, Cluster* cluster) {
  for (NodeIndex node = 0; node < cluster->nodes(); ++node) cluster->Restart(node);
  cluster->Trace("faults are over");
  if (!RunAndCheck(plan, SettleBound(plan), cluster)) return;
  cluster->CheckDigests(TermMax(plan) / 2);

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
