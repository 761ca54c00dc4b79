// Node: one Process with the lease strategy under a hand-moved clock, for tests of the strategy.
//
// Verbs are short so that a test reads as a script.  Not thread-safe.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "dgc/core/process.h"
#include "dgc/strategies/lease/lease.h"
#include "gtest/gtest.h"

namespace dgc::testing {

inline constexpr TimePoint kStart{std::chrono::hours(1)};

class CountingRandom final : public Random {
 public:
  explicit CountingRandom(uint64_t seed) : state_(Mix(seed)) {}
  uint64_t Next() override { return Mix(++state_); }

 private:
  uint64_t state_;
};

inline LeaseOptions TestLease() {
  LeaseOptions options;
  options.term_default = std::chrono::seconds(10);
  options.transit_term = std::chrono::seconds(10);
  options.pause = std::chrono::seconds(1);
  return options;
}

class Node {
 public:
  // `name` empty: a process that hosts nothing.
  Node(uint64_t number, std::string name, LeaseOptions lease = TestLease())
      : random_(number),
        process({.self = {number, 1}, .owner = std::move(name), .incarnation = Incarnation{number}},
                LeaseStrategy(lease), &random_),
        client_{number, 1} {}

  ClientId client() const { return client_; }

  // An own object, alive by the handle returned.
  Target Export() {
    auto handle = process.Export({0xabc, next_object_++}, "thing");
    EXPECT_TRUE(handle.ok());
    return *handle;
  }
  WireRef Share(Target handle) {
    auto ref = process.Share(handle, {}, {}, now);
    EXPECT_TRUE(ref.ok()) << ref.status().ToString();
    return *ref;
  }
  Target Import(const WireRef& ref) {
    auto handle = process.Import(ref, now);
    EXPECT_TRUE(handle.ok()) << handle.status().ToString();
    return *handle;
  }
  void Drop(Target handle) { process.Drop(handle, now); }
  // As if it had come in; meant for this node unless it says otherwise.
  Response Received(Request request) {
    std::visit(
        [this](auto& typed) {
          if (typed.owner.empty()) typed.owner = process.options().owner;
        },
        request);
    return process.Received(request, now);
  }
  // A new own object, held by `holder` alone.
  Target HeldBy(Node& holder, WireRef* ref = nullptr) {
    const Target object = Export();
    const WireRef shared = Share(object);
    Drop(object);
    if (ref != nullptr) *ref = shared;
    return holder.Import(shared);
  }

  // Ticks and works until nothing is left to do now, and takes the outputs.
  void Run() {
    do {
      process.Tick(now);
      while (process.Work(64, now)) process.Tick(now);
    } while (TakeOutputs());
  }
  // Returns whether a call to itself was answered.
  bool TakeOutputs() {
    Outputs outputs;
    process.TakeOutputs(&outputs);
    bool called = false;
    for (Send& send : outputs.sends) {
      if (send.peer == kSelfPeer && answers_itself) {
        process.Answered(send.peer, send.call, Received(send.request), now);
        called = true;
      } else {
        sends.push_back(std::move(send));
      }
    }
    for (const Reclaimed& end : outputs.reclaimed) reclaimed.push_back(end);
    for (const Lost& one : outputs.lost) lost.push_back(one);
    for (const HandOnExpired& one : outputs.hand_ons_expired) hand_ons_expired.push_back(one);
    for (const Transition& one : outputs.transitions) transitions.push_back(one);
    return called;
  }

  // Time passes in a healthy process: it ticks on the way.
  void Sleep(Duration duration) {
    const TimePoint end = now + duration;
    while (now < end) {
      now = std::min(end, now + std::chrono::milliseconds(250));
      Run();
    }
  }
  // Time passes in a process that is stopped.
  void Pause(Duration duration) { now += duration; }

  bool Live(const WireRef& ref) const { return process.objects().Find(ref.id).has_value(); }
  size_t live() const { return process.objects().live(); }

  TimePoint now = kStart;
  // Whether what it sends to itself is handled at once; otherwise it is in `sends`.
  bool answers_itself = true;
  std::vector<Send> sends;
  std::vector<Reclaimed> reclaimed;
  std::vector<Lost> lost;
  std::vector<HandOnExpired> hand_ons_expired;
  std::vector<Transition> transitions;

 private:
  CountingRandom random_;

 public:
  Process process;

 private:
  ClientId client_;
  uint64_t next_object_ = 1;
};

// Lets time pass for one node alone, in steps, and has `answer` answer each Send; how many it was.
template <typename Answer>
size_t Face(Node& node, Duration duration, Duration step, Answer answer) {
  size_t sent = 0;
  for (const TimePoint end = node.now + duration; node.now < end; node.now += step) {
    node.Run();
    for (const Send& send : std::exchange(node.sends, {})) {
      ++sent;
      node.process.Answered(send.peer, send.call, answer(send), node.now);
    }
  }
  return sent;
}

// Two or more nodes on a network that delivers at once, in order.
class Cluster {
 public:
  explicit Cluster(std::vector<Node*> nodes) : nodes_(std::move(nodes)) {}

  // Delivers everything, until nobody has anything to say.
  void Settle() {
    for (bool said = true; said;) {
      said = false;
      for (Node* node : nodes_) {
        node->Run();
        for (const Send& send : std::exchange(node->sends, {})) {
          said = true;
          Deliver(*node, send);
        }
      }
    }
  }
  // As Settle, while time passes for all.
  void Sleep(Duration duration) {
    for (Duration slept{}; slept < duration; slept += kStep) {
      for (Node* node : nodes_) node->now += kStep;
      Settle();
    }
  }
  void Cut(const std::string& owner) { cut_[owner] = true; }
  void Heal(const std::string& owner) { cut_[owner] = false; }

 private:
  static constexpr Duration kStep = std::chrono::milliseconds(50);

  void Deliver(Node& from, const Send& send) {
    const Peer& peer = from.process.imports().GetPeer(send.peer);
    Response response = Refusal{Refusal::Code::kUnknownOutcome, "cut"};
    if (!cut_[peer.owner]) {
      for (Node* node : nodes_) {
        if (node->process.options().owner == peer.owner) {
          response = node->Received(send.request);
        }
      }
    }
    from.process.Answered(send.peer, send.call, response, from.now);
  }

  std::vector<Node*> nodes_;
  std::map<std::string, bool> cut_;
};

}  // namespace dgc::testing
