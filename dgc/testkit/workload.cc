// The workloads: one random application with different habits, and a stream.

#include <algorithm>
#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "dgc/testkit/activity.h"

namespace dgc::testkit {
namespace {

enum Op : uint8_t {
  kCreate,
  kCopy,
  kDrop,
  kDropAll,
  kLink,
  kUnlink,
  kSend,      // and keep
  kHandOver,  // and drop at once
  kFetch,
  kBind,
  kUnbind,
  kFetchName,
  kUnexport,
  kFollow,    // an edge
  kSendEdge,  // what it leads to
  kOps,
};

// How often each is done, against the others.
using Habits = std::array<uint32_t, kOps>;

struct Profile {
  const char* name;
  Habits habits;
  // Out of so many steps one creates or drops if a node has fewer or more than this.
  uint32_t variables_max;
  // Steps per term, about.
  int pace;
};

// clang-format off
//                cre cpy drp all lnk unl snd hnd fet bnd unb fnm unx fol sed   max pace
constexpr Profile kProfiles[] = {
    {"churn",     {10,  2, 14,  1,  0,  0,  6,  4,  8,  0,  0,  0,  0,  0,  0},  6, 24},
    {"fan-out",   { 1,  1, 10,  1,  0,  0,  4,  1, 14,  0,  0,  0,  0,  0,  0},  4, 24},
    {"hand-ons",  { 3,  0,  2,  0,  0,  0,  1, 20,  1,  0,  0,  0,  0,  0,  0},  6, 32},
    {"graph",     { 6,  1, 12,  1, 14,  4,  6,  2,  4,  0,  0,  0,  0,  4,  3},  8, 32},
    {"rings",     { 6,  0,  8,  2, 20,  2,  8,  1,  2,  0,  0,  0,  0,  2,  1},  6, 32},
    {"names",     { 3,  0,  8,  0,  2,  1,  1,  1,  1,  6,  4, 10,  0,  0,  0},  5, 24},
    {"hoard",     { 6,  1,  2,  0,  2,  0,  8,  0, 10,  0,  0,  0,  0,  1,  1}, 24, 24},
    {"unexports", { 6,  1,  6,  0,  4,  2,  6,  2,  6,  1,  1,  1,  3,  2,  1},  8, 24},
    {"rewiring",  { 4,  0, 10,  0, 12, 12,  1,  0,  1,  0,  0,  0,  0, 12,  2},  4, 200},
};
// clang-format on

class Application final : public Activity {
 public:
  explicit Application(const Profile& profile) : profile_(profile) {
    for (const uint32_t weight : profile.habits) total_ += weight;
  }
  const char* name() const override { return profile_.name; }

 private:
  Duration Step() override {
    const NodeIndex node = AnyNode();
    if (cluster().Usable(node)) Do(Choose(node), node);
    const Duration pace = term() / profile_.pace;
    return random().Between(pace / 8, 2 * pace);
  }

  Op Choose(NodeIndex node) {
    const size_t variables = cluster().Variables(node).size();
    if (variables == 0 && random().OneIn(2)) return kCreate;
    if (variables > profile_.variables_max) return kDrop;
    uint64_t draw = random().Below(total_);
    for (int op = 0; op < kOps; ++op) {
      if (draw < profile_.habits[static_cast<size_t>(op)]) return static_cast<Op>(op);
      draw -= profile_.habits[static_cast<size_t>(op)];
    }
    return kDrop;
  }

  bool AnyVariable(NodeIndex node, ShadowObject* object) {
    const auto& variables = cluster().Variables(node);
    if (variables.empty()) return false;
    *object = variables[random().Below(variables.size())].object;
    return true;
  }

  NodeIndex OtherNode(NodeIndex node) {
    const auto other = static_cast<NodeIndex>(random().Below(cluster().nodes() - 1));
    return other >= node ? other + 1 : other;
  }

  void Do(Op op, NodeIndex node) {
    ShadowObject object{};
    if (op != kCreate && op != kFetch && op != kFetchName && op != kUnbind && op != kDropAll &&
        !AnyVariable(node, &object)) {
      return;
    }
    switch (op) {
      case kCreate:
        cluster().Create(node);
        break;
      case kCopy:
        cluster().Copy(node, object);
        break;
      case kDrop:
        cluster().Drop(node, object);
        break;
      case kDropAll:
        cluster().DropAll(node);
        break;
      case kLink:
      case kUnlink:
      case kFollow:
      case kSendEdge:
        DoEdge(op, node, object);
        break;
      case kSend:
      case kHandOver: {
        const Duration term = random().OneIn(4) ? 2 * Activity::term() : Duration::zero();
        cluster().Send(node, object, OtherNode(node), term);
        if (op == kHandOver) cluster().Drop(node, object);
        break;
      }
      case kFetch: {
        const NodeIndex server = OtherNode(node);
        if (AnyVariable(server, &object)) cluster().Fetch(node, server, object);
        break;
      }
      case kBind:
      case kUnbind:
      case kFetchName:
        DoName(op, node, object);
        break;
      case kUnexport:
        cluster().Unexport(node, object);
        break;
      case kOps:
        break;
    }
  }

  void DoEdge(Op op, NodeIndex node, ShadowObject from) {
    if (op == kLink) {
      ShadowObject to{};
      if (AnyVariable(node, &to)) cluster().Link(node, from, to);
      return;
    }
    const auto& edges = cluster().oracle().Edges(from);
    if (edges.empty()) return;
    const ShadowObject to = edges[random().Below(edges.size())];
    if (op == kUnlink) cluster().Unlink(node, from, to);
    if (op == kFollow) cluster().Follow(node, from, to);
    if (op == kSendEdge) cluster().SendEdge(node, from, to, OtherNode(node));
  }

  void DoName(Op op, NodeIndex node, ShadowObject object) {
    const std::string name = absl::StrCat("name", random().Below(3));
    if (op == kBind) cluster().Bind(node, name, object);
    if (op == kUnbind) cluster().Unbind(node, name);
    if (op == kFetchName) cluster().FetchByName(node, OtherNode(node), name);
  }

  const Profile& profile_;
  uint64_t total_ = 0;
};

// Whoever is at it always has something to say to the owner: a request is due at every answer.
class Stream final : public Activity {
 public:
  const char* name() const override { return "stream"; }

 private:
  Duration Step() override {
    if (cluster().now() >= turn_ends_) NextTurn();
    if (!cluster().Usable(owner_) || !cluster().Usable(holder_)) return term() / 16;
    if (random().OneIn(hands_on_ ? 16 : 1)) {
      const ShadowObject object = cluster().Create(owner_);
      cluster().Send(owner_, object, holder_, Duration::zero());
      cluster().Drop(owner_, object);
    }
    const auto& variables = cluster().Variables(holder_);
    if ((hands_on_ || random().OneIn(8)) && !variables.empty()) {
      const ShadowObject object = variables[random().Below(variables.size())].object;
      cluster().Send(holder_, object, third_, Duration::zero());
    }
    DropDownTo(kept_, holder_);
    DropDownTo(kept_, third_);
    // About two round trips have three of these.
    const Duration pace = std::max(cluster().network().options().delay_mean, term() / 128);
    return random().Between(pace / 2, 2 * pace);
  }

  void NextTurn() {
    const auto nodes = static_cast<NodeIndex>(cluster().nodes());
    owner_ = AnyNode();
    holder_ = (owner_ + 1 + static_cast<NodeIndex>(random().Below(nodes - 1))) % nodes;
    third_ = AnyNode();
    hands_on_ = random().OneIn(2);
    kept_ = 1 + random().Below(6);
    turn_ends_ = cluster().now() + random().Between(2 * term(), 4 * term());
  }

  void DropDownTo(size_t kept, NodeIndex node) {
    while (cluster().Usable(node) && cluster().Variables(node).size() > kept) {
      cluster().Drop(node, cluster().Variables(node).front().object);
    }
  }

  NodeIndex owner_ = 0;
  NodeIndex holder_ = 0;
  NodeIndex third_ = 0;
  bool hands_on_ = false;  // rather than imports
  size_t kept_ = 0;
  Duration turn_ends_{};
};

}  // namespace

std::unique_ptr<Activity> MakeWorkload(WorkloadKind kind) {
  if (kind == WorkloadKind::kStream) return std::make_unique<Stream>();
  return std::make_unique<Application>(kProfiles[static_cast<size_t>(kind)]);
}

}  // namespace dgc::testkit
