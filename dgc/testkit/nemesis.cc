// The nemeses: what can go wrong, one kind each.

#include <vector>

#include "dgc/core/probe.h"
#include "dgc/testkit/activity.h"

namespace dgc::testkit {
namespace {

// Durations that matter: well within the term, just within, just over, well over.
Duration Outage(SimRandom& random, Duration term) {
  switch (random.Below(4)) {
    case 0:
      return term * 3 / 10;
    case 1:
      return term * 9 / 10;
    case 2:
      return term * 12 / 10;
    default:
      return random.Between(2 * term, 3 * term);
  }
}

// Loss, duplication and stragglers last as long as the nemesis.
class BadNetwork final : public Activity {
 public:
  explicit BadNetwork(NemesisKind kind) : kind_(kind) {}
  const char* name() const override {
    return kind_ == NemesisKind::kLoss          ? "loss"
           : kind_ == NemesisKind::kDuplication ? "duplication"
                                                : "stragglers";
  }

 private:
  Duration Step() override {
    NetworkOptions& network = cluster().network().options();
    if (kind_ == NemesisKind::kLoss) {
      network.loss_per_mille = random().OneIn(4) ? 300 : 50;
    } else if (kind_ == NemesisKind::kDuplication) {
      network.duplicate_per_mille = 200;
    } else {
      network.straggle_per_mille = 100;
    }
    return term();
  }
  void End() override {
    NetworkOptions& network = cluster().network().options();
    if (kind_ == NemesisKind::kLoss) network.loss_per_mille = 0;
    if (kind_ == NemesisKind::kDuplication) network.duplicate_per_mille = 0;
    if (kind_ == NemesisKind::kStragglers) network.straggle_per_mille = 0;
  }

  const NemesisKind kind_;
};

class Partition final : public Activity {
 public:
  explicit Partition(bool one_way) : one_way_(one_way) {}
  const char* name() const override { return one_way_ ? "one-way partition" : "partition"; }

 private:
  Duration Step() override {
    if (!cut_) {
      group_.assign(cluster().nodes(), false);
      for (size_t i = 0; i < group_.size(); ++i) group_[i] = random().OneIn(2);
    }
    cut_ = !cut_;
    const bool inwards = random().OneIn(2);
    for (NodeIndex a = 0; a < cluster().nodes(); ++a) {
      for (NodeIndex b = 0; b < cluster().nodes(); ++b) {
        if (group_[a] == group_[b] || (cut_ && one_way_ && group_[a] != inwards)) continue;
        cluster().network().Cut(a, b, cut_);
      }
    }
    cluster().Trace(cut_ ? "the network is partitioned" : "the partition heals");
    return cut_ ? Outage(random(), term()) : random().Between(term() / 2, 2 * term());
  }
  void End() override { cluster().Heal(); }

  const bool one_way_;
  bool cut_ = false;
  std::vector<bool> group_;
};

class Flapping final : public Activity {
 public:
  const char* name() const override { return "flapping"; }

 private:
  Duration Step() override {
    const NodeIndex a = AnyNode();
    const NodeIndex b = AnyNode();
    if (a != b) cluster().network().Cut(a, b, random().OneIn(2));
    return random().Between(term() / 32, term() / 4);
  }
  void End() override { cluster().Heal(); }
};

// Swizzle-clogging: nodes stop being heard one by one and are heard again in another order.
class Clogs final : public Activity {
 public:
  const char* name() const override { return "clogs"; }

 private:
  Duration Step() override {
    clogged_.resize(cluster().nodes());
    const NodeIndex node = AnyNode();
    clogged_[node] = !clogged_[node];
    for (NodeIndex other = 0; other < cluster().nodes(); ++other) {
      if (other == node) continue;
      if (random().OneIn(2)) cluster().network().Clog(other, node, clogged_[node]);
      if (random().OneIn(2) || !clogged_[node]) {
        cluster().network().Clog(node, other, clogged_[node]);
        cluster().network().Clog(other, node, clogged_[node]);
      }
    }
    return random().Between(term() / 8, term());
  }
  void End() override { cluster().Heal(); }

  std::vector<bool> clogged_;
};

class Restarts final : public Activity {
 public:
  explicit Restarts(NemesisKind kind) : kind_(kind) {}
  const char* name() const override {
    return kind_ == NemesisKind::kCrashes    ? "crashes"
           : kind_ == NemesisKind::kGoodbyes ? "goodbyes"
                                             : "restart storm";
  }

 private:
  Duration Step() override {
    if (kind_ == NemesisKind::kRestartStorm) {
      const NodeIndex spared = AnyNode();
      for (NodeIndex node = 0; node < cluster().nodes(); ++node) {
        if (node != spared) BringDown(node);
      }
      return random().Between(3 * term(), 5 * term());
    }
    BringDown(AnyNode());
    return random().Between(term() / 2, 3 * term());
  }

  void BringDown(NodeIndex node) {
    if (!cluster().Up(node)) return;
    if (kind_ == NemesisKind::kGoodbyes) {
      PassOn(node);
      cluster().Leave(node, random().OneIn(4) ? term() / 16 : term());
    } else {
      cluster().Crash(node);
    }
    const Duration down =
        random().OneIn(2) ? random().Between(term() / 64, term() / 4) : Outage(random(), term());
    cluster().events().After(down, [this, node] { BringUp(node); });
  }

  // What it has goes to somebody else in its last moment.
  void PassOn(NodeIndex node) {
    for (int i = 0; i < 3 && cluster().Usable(node); ++i) {
      const auto& variables = cluster().Variables(node);
      if (variables.empty()) return;
      const ShadowObject object = variables[random().Below(variables.size())].object;
      cluster().Send(node, object, AnyNode(), Duration::zero());
    }
  }

  void BringUp(NodeIndex node) {
    if (!cluster().Up(node)) cluster().Restart(node);
  }

  void End() override {
    for (NodeIndex node = 0; node < cluster().nodes(); ++node) cluster().Restart(node);
  }

  const NemesisKind kind_;
};

class Pauses final : public Activity {
 public:
  const char* name() const override { return "pauses"; }

 private:
  Duration Step() override {
    const NodeIndex node = AnyNode();
    const uint64_t serial = ++serial_;
    cluster().Pause(node);
    cluster().events().After(Outage(random(), term()), [this, node, serial] {
      if (serial > ended_) cluster().Resume(node);
    });
    return random().Between(term() / 4, 2 * term());
  }
  void End() override {
    ended_ = serial_;
    for (NodeIndex node = 0; node < cluster().nodes(); ++node) cluster().Resume(node);
  }

  uint64_t serial_ = 0;
  uint64_t ended_ = 0;
};

class Lag final : public Activity {
 public:
  const char* name() const override { return "lag"; }

 private:
  Duration Step() override {
    cluster().SetLag(AnyNode(), random().OneIn(3) ? Duration::zero()
                                                  : random().Between(term() / 64, term() / 3));
    return random().Between(term() / 4, term());
  }
  void End() override {
    for (NodeIndex node = 0; node < cluster().nodes(); ++node) {
      cluster().SetLag(node, Duration::zero());
    }
  }
};

class Unavailable final : public Activity {
 public:
  const char* name() const override { return "unavailable"; }

 private:
  Duration Step() override {
    cluster().SetUnavailable(AnyNode(), random().OneIn(2) ? 0 : 500);
    return random().Between(term() / 8, term());
  }
  void End() override {
    for (NodeIndex node = 0; node < cluster().nodes(); ++node) cluster().SetUnavailable(node, 0);
  }
};

class SlowFinalizers final : public Activity {
 public:
  const char* name() const override { return "slow finalizers"; }

 private:
  Duration Step() override {
    cluster().SetFinalizersFull(AnyNode(), random().OneIn(2));
    return random().Between(term() / 8, 2 * term());
  }
  void End() override {
    for (NodeIndex node = 0; node < cluster().nodes(); ++node) {
      cluster().SetFinalizersFull(node, false);
    }
  }
};

// They stand still, go on with what they had, and fall silent together again later.
class MassLapse final : public Activity {
 public:
  const char* name() const override { return "mass lapse"; }

 private:
  Duration Step() override {
    silent_ = !silent_;
    if (!silent_) {
      End();
      return random().Between(term() / 2, 3 * term());
    }
    const NodeIndex spared = AnyNode();
    const bool crash = random().OneIn(4);
    for (NodeIndex node = 0; node < cluster().nodes(); ++node) {
      if (node == spared) continue;
      if (crash) {
        cluster().Crash(node);
      } else {
        cluster().Pause(node);
      }
    }
    return Outage(random(), term());
  }
  void End() override {
    for (NodeIndex node = 0; node < cluster().nodes(); ++node) {
      cluster().Resume(node);
      if (!cluster().Up(node)) cluster().Restart(node);
    }
  }

  bool silent_ = false;
};

class Operator final : public Activity {
 public:
  const char* name() const override { return "operator"; }

 private:
  Duration Step() override {
    constexpr ReapingMode kModes[] = {ReapingMode::kAutomatic, ReapingMode::kHeld,
                                      ReapingMode::kReleased};
    const NodeIndex node = AnyNode();
    const ReapingMode mode = kModes[random().Below(3)];
    if (cluster().Usable(node)) cluster().SetReaping(node, mode);
    return random().Between(term() / 4, 2 * term());
  }
  void End() override {
    for (NodeIndex node = 0; node < cluster().nodes(); ++node) {
      cluster().SetReaping(node, ReapingMode::kAutomatic);
    }
  }
};

// Some stay so to the end: what lapses lapses all the same, a little later.
class OutOfOwnReach final : public Activity {
 public:
  const char* name() const override { return "out of own reach"; }

 private:
  Duration Step() override {
    cluster().SetOutOfOwnReach(AnyNode(), random().OneIn(2));
    return random().Between(term() / 8, 2 * term());
  }
  void End() override {
    const bool stays = random().OneIn(2);
    for (NodeIndex node = 0; node < cluster().nodes(); ++node) {
      cluster().SetOutOfOwnReach(node, stays);
    }
  }
};

}  // namespace

std::unique_ptr<Activity> MakeNemesis(NemesisKind kind) {
  switch (kind) {
    case NemesisKind::kLoss:
    case NemesisKind::kDuplication:
    case NemesisKind::kStragglers:
      return std::make_unique<BadNetwork>(kind);
    case NemesisKind::kPartition:
      return std::make_unique<Partition>(false);
    case NemesisKind::kOneWay:
      return std::make_unique<Partition>(true);
    case NemesisKind::kFlapping:
      return std::make_unique<Flapping>();
    case NemesisKind::kClogs:
      return std::make_unique<Clogs>();
    case NemesisKind::kCrashes:
    case NemesisKind::kGoodbyes:
    case NemesisKind::kRestartStorm:
      return std::make_unique<Restarts>(kind);
    case NemesisKind::kPauses:
      return std::make_unique<Pauses>();
    case NemesisKind::kLag:
      return std::make_unique<Lag>();
    case NemesisKind::kUnavailable:
      return std::make_unique<Unavailable>();
    case NemesisKind::kSlowFinalizers:
      return std::make_unique<SlowFinalizers>();
    case NemesisKind::kMassLapse:
      return std::make_unique<MassLapse>();
    case NemesisKind::kOutOfOwnReach:
      return std::make_unique<OutOfOwnReach>();
    case NemesisKind::kOperator:
      break;
  }
  return std::make_unique<Operator>();
}

}  // namespace dgc::testkit
