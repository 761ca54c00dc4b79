// FaultLog: what went wrong in a simulated run, when and between whom.
//
// The oracle's evidence: a lease that lapses although nothing disturbed its holder is a bug, so
// every fault that the simulator injects is written down here, by the part that injects it, and
// nothing else is.  Times are true time.  Thread-compatible.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "dgc/core/time.h"

namespace dgc::testkit {

using NodeIndex = uint32_t;

class FaultLog {
 public:
  struct Interval {
    Duration from;
    Duration to;
  };

  // Messages between the two (in either direction) were lost, cut off or very late.
  void Between(NodeIndex a, NodeIndex b, Duration from, Duration to);
  // That direction was cut or clogged, whether or not anything was sent.
  void Closed(NodeIndex from, NodeIndex to, Duration since, Duration until);
  // The node did something very late.
  void At(NodeIndex node, Duration from, Duration to);
  // The node stands still, or is down, from now on.
  void Stopped(NodeIndex node, Duration now);
  // It goes on.  REQUIRES: it was stopped.
  void Resumed(NodeIndex node, Duration now);

  // When the node stood still or was down; the last one has no end yet if it still is.
  const std::vector<Interval>& stops(NodeIndex node) const;

  // The longest stretch of [from, to] in which nothing disturbed `a`, `b` or messages between them.
  Duration LongestQuiet(NodeIndex a, NodeIndex b, Duration from, Duration to) const;
  // For how much of [from, to] something did, or would have.
  Duration Disturbed(NodeIndex a, NodeIndex b, Duration from, Duration to) const;

 private:
  struct Fault {
    NodeIndex a;
    NodeIndex b;  // kNobody: concerns `a` alone
    Interval when;
  };
  static constexpr NodeIndex kNobody = std::numeric_limits<NodeIndex>::max();

  static constexpr Duration kNoEnd = Duration::max();

  // What disturbed them, earliest first; may overlap.
  std::vector<Interval> Relevant(NodeIndex a, NodeIndex b, Duration from, Duration to,
                                 bool closed) const;

  std::vector<Fault> faults_;
  std::vector<Fault> closed_;
  std::vector<std::vector<Interval>> stops_;  // by node
};

}  // namespace dgc::testkit
