#include "dgc/testkit/activity.h"

namespace dgc::testkit {

void Activity::Continue(Duration until) {
  if (cluster_->now() >= until) return;
  const Duration wait = Step();
  cluster_->events().After(wait, [this, until] { Continue(until); });
}

void RunTogether(Cluster* cluster, std::vector<std::unique_ptr<Activity>>* activities,
                 Duration term, Duration duration) {
  const Duration until = cluster->now() + duration;
  for (const auto& activity : *activities) {
    activity->cluster_ = cluster;
    activity->random_ = cluster->ForkRandom();
    activity->term_ = term;
    const Duration first = activity->random_.Between(Duration::zero(), term / 8);
    cluster->events().After(first, [raw = activity.get(), until] { raw->Continue(until); });
  }
  cluster->Run(duration);
  if (cluster->failure().has_value()) return;
  for (const auto& activity : *activities) activity->End();
}

}  // namespace dgc::testkit
