#include "dgc/testkit/fault_log.h"

#include <algorithm>

namespace dgc::testkit {

void FaultLog::Between(NodeIndex a, NodeIndex b, Duration from, Duration to) {
  faults_.push_back({a, b, {from, to}});
}

void FaultLog::At(NodeIndex node, Duration from, Duration to) {
  faults_.push_back({node, kNobody, {from, to}});
}

void FaultLog::Stopped(NodeIndex node, Duration now) {
  if (stops_.size() <= node) stops_.resize(node + 1);
  stops_[node].push_back({now, kNoEnd});
}

void FaultLog::Resumed(NodeIndex node, Duration now) { stops_[node].back().to = now; }

const std::vector<FaultLog::Interval>& FaultLog::stops(NodeIndex node) const {
  static const std::vector<Interval> none;
  return node < stops_.size() ? stops_[node] : none;
}

void FaultLog::Closed(NodeIndex from, NodeIndex to, Duration since, Duration until) {
  closed_.push_back({from, to, {since, until}});
}

std::vector<FaultLog::Interval> FaultLog::Relevant(NodeIndex a, NodeIndex b, Duration from,
                                                   Duration to, bool closed) const {
  std::vector<Interval> relevant;
  const auto take = [&](const Fault& fault) {
    const bool concerns = fault.b == kNobody
                              ? fault.a == a || fault.a == b
                              : (fault.a == a && fault.b == b) || (fault.a == b && fault.b == a);
    if (concerns && fault.when.to >= from && fault.when.from <= to) relevant.push_back(fault.when);
  };
  for (const Fault& fault : faults_) take(fault);
  if (closed) {
    for (const Fault& fault : closed_) take(fault);
  }
  for (const NodeIndex node : {a, b}) {
    for (const Interval& stop : stops(node)) {
      if (stop.to >= from && stop.from <= to) relevant.push_back(stop);
    }
  }
  std::sort(relevant.begin(), relevant.end(),
            [](const Interval& x, const Interval& y) { return x.from < y.from; });
  return relevant;
}

Duration FaultLog::LongestQuiet(NodeIndex a, NodeIndex b, Duration from, Duration to) const {
  Duration quiet{};
  Duration reached = from;
  for (const Interval& interval : Relevant(a, b, from, to, /*closed=*/false)) {
    quiet = std::max(quiet, interval.from - reached);
    reached = std::max(reached, interval.to);
  }
  return std::max(quiet, to - reached);
}

Duration FaultLog::Disturbed(NodeIndex a, NodeIndex b, Duration from, Duration to) const {
  Duration disturbed{};
  Duration reached = from;
  for (const Interval& interval : Relevant(a, b, from, to, /*closed=*/true)) {
    const Duration end = std::min(interval.to, to);
    if (end > reached) disturbed += end - std::max(reached, interval.from);
    reached = std::max(reached, end);
  }
  return disturbed;
}

}  // namespace dgc::testkit
