// Activity: something that goes on in a simulated cluster: a workload or a nemesis.
//
// Workloads do what applications do, nemeses break things; neither knows of the other, so any of
// them compose (FoundationDB's way).  Each draws its chance from a stream of its own: adding one
// does not shift what the others do.
//
//     std::vector<std::unique_ptr<Activity>> activities;
//     activities.push_back(MakeWorkload(WorkloadKind::kChurn));
//     activities.push_back(MakeNemesis(NemesisKind::kPartition));
//     RunTogether(&cluster, &activities, std::chrono::seconds(20));
//
// Thread-compatible.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dgc/core/time.h"
#include "dgc/testkit/cluster.h"
#include "dgc/testkit/sim_random.h"

namespace dgc::testkit {

class Activity {
 public:
  virtual ~Activity() = default;
  virtual const char* name() const = 0;

 protected:
  Cluster& cluster() { return *cluster_; }
  SimRandom& random() { return random_; }
  // The lease term of the run: the measure of all durations.
  Duration term() const { return term_; }

  // A random node.
  NodeIndex AnyNode() { return static_cast<NodeIndex>(random_.Below(cluster_->nodes())); }

  // Does one thing and returns when to do the next.
  virtual Duration Step() = 0;
  // Takes back what still lasts.  Called once, when the time is over.
  virtual void End() {}

 private:
  friend void RunTogether(Cluster* cluster, std::vector<std::unique_ptr<Activity>>* activities,
                          Duration term, Duration duration);
  void Continue(Duration until);

  Cluster* cluster_ = nullptr;
  SimRandom random_{0};
  Duration term_{};
};

// Runs the cluster for that long with all of them, then ends them all.
void RunTogether(Cluster* cluster, std::vector<std::unique_ptr<Activity>>* activities,
                 Duration term, Duration duration);

enum class WorkloadKind : uint8_t {
  kChurn,      // short lives: create, pass, use, drop
  kFanOut,     // one hot object, many holders that come and go
  kHandOns,    // references wander from node to node; who sends, drops at once
  kGraph,      // objects refer to each other, across nodes
  kRings,      // cycles, within nodes and across them
  kNames,      // bind, look up, rebind, unbind
  kHoard,      // everybody holds much and lets go rarely: what a mass lapse hits
  kUnexports,  // objects are ended by force while others hold them
  kRewiring,   // edges change faster than the local collector looks
  kStream,     // one imports, drops and hands on, without a pause longer than a round trip
};

enum class NemesisKind : uint8_t {
  kLoss,            // messages are lost
  kDuplication,     // messages arrive twice
  kStragglers,      // some arrive when nobody waits any more; much reordering
  kPartition,       // a group is cut off from the rest, for less or more than the term
  kOneWay,          // one direction only
  kFlapping,        // links go up and down, faster than the term
  kClogs,           // links stop one by one and go on in another order
  kCrashes,         // processes are killed and come back, or come back late
  kGoodbyes,        // processes leave in an orderly way and come back
  kRestartStorm,    // all hosts but one are killed at about the same time
  kPauses,          // processes stand still, for less or more than the term
  kLag,             // timers late, requests wait in the process
  kUnavailable,     // owners answer UNAVAILABLE
  kSlowFinalizers,  // nothing is reclaimed, for up to several terms
  kMassLapse,       // all hosts but one fall silent at once: what the brake is for
  kOperator,        // somebody holds and releases reaping
  kOutOfOwnReach,   // owners cannot call themselves, for a while or for good
};

std::unique_ptr<Activity> MakeWorkload(WorkloadKind kind);
std::unique_ptr<Activity> MakeNemesis(NemesisKind kind);

}  // namespace dgc::testkit
