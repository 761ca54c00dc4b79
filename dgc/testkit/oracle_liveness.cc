// The part of the oracle that says what must be left once everything has settled.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dgc/core/probe.h"
#include "dgc/testkit/oracle.h"

namespace dgc::testkit {

void Oracle::ExpectFrom(std::vector<ShadowObject> roots) {
  for (const ShadowObject root : roots) At(root).expected = true;
  while (!roots.empty()) {
    const ShadowObject object = roots.back();
    roots.pop_back();
    for (const ShadowObject to : At(object).edges) {
      if (!At(to).exists || At(to).expected) continue;
      At(to).expected = true;
      roots.push_back(to);
    }
  }
}

void Oracle::FindExpected() {
  std::vector<ShadowObject> roots;
  for (uint32_t i = 0; i < objects_.size(); ++i) {
    Object& object = objects_[i];
    object.expected = false;
    object.index = 0;
    if (!object.exists) continue;
    if (object.condemned)
      Fail(absl::StrCat(Describe(ShadowObject{i}), " was reported lost, but lives"));
    const bool held = std::any_of(object.holds.begin(), object.holds.end(), [&](uint32_t index) {
      return !holds_[index].ended && holds_[index].handles > 0;
    });
    if (held || object.handles > 0 || object.names > 0) roots.push_back(ShadowObject{i});
  }
  ExpectFrom(std::move(roots));
  std::vector<ShadowObject> cycles = CrossHostCycles();
  cross_host_garbage_ += cycles.size();
  if (!cycles.empty()) DGC_PROBE("garbage cycle across hosts");
  ExpectFrom(std::move(cycles));
}

std::vector<ShadowObject> Oracle::CrossHostCycles() {
  std::vector<ShadowObject> found;
  uint32_t next = 0;
  for (uint32_t i = 0; i < objects_.size(); ++i) {
    const Object& object = objects_[i];
    if (object.exists && !object.expected && object.index == 0) {
      StrongConnect(ShadowObject{i}, &next, &found);
    }
  }
  return found;
}

// Tarjan's strongly connected components, 1972, without recursion.
void Oracle::StrongConnect(ShadowObject root, uint32_t* next, std::vector<ShadowObject>* found) {
  struct Frame {
    ShadowObject object;
    size_t edge = 0;
  };
  std::vector<Frame> frames;
  std::vector<ShadowObject> stack;
  const auto enter = [&](ShadowObject object) {
    At(object).index = At(object).low = ++*next;
    At(object).stacked = true;
    stack.push_back(object);
    frames.push_back({object});
  };
  enter(root);
  while (!frames.empty()) {
    const ShadowObject object = frames.back().object;
    if (frames.back().edge < At(object).edges.size()) {
      const ShadowObject to = At(object).edges[frames.back().edge++];
      if (!At(to).exists || At(to).expected) continue;
      if (At(to).index == 0) {
        enter(to);
      } else if (At(to).stacked) {
        At(object).low = std::min(At(object).low, At(to).index);
      }
      continue;
    }
    frames.pop_back();
    if (!frames.empty()) {
      Object& parent = At(frames.back().object);
      parent.low = std::min(parent.low, At(object).low);
    }
    if (At(object).low == At(object).index) TakeComponent(object, &stack, found);
  }
}

void Oracle::TakeComponent(ShadowObject root, std::vector<ShadowObject>* stack,
                           std::vector<ShadowObject>* found) {
  const auto begin = std::find(stack->begin(), stack->end(), root);
  const bool spans = std::any_of(
      begin, stack->end(), [&](ShadowObject object) { return At(object).owner != At(root).owner; });
  for (auto it = begin; it != stack->end(); ++it) {
    At(*it).stacked = false;
    if (spans) found->push_back(*it);
  }
  stack->erase(begin, stack->end());
}

std::vector<ShadowObject> Oracle::ExpectedObjects(ShadowProcess owner) const {
  std::vector<ShadowObject> expected;
  for (const ShadowObject object : At(owner).objects) {
    if (At(object).exists && At(object).expected) expected.push_back(object);
  }
  return expected;
}

std::vector<ShadowObject> Oracle::ExistingObjects(ShadowProcess owner) const {
  std::vector<ShadowObject> existing;
  for (const ShadowObject object : At(owner).objects) {
    if (At(object).exists) existing.push_back(object);
  }
  return existing;
}

std::map<ShadowProcess, Oracle::Range> Oracle::HeldOf(ShadowProcess owner) const {
  std::map<ShadowProcess, Range> held;
  for (const ShadowObject object : At(owner).objects) {
    const bool may_be_listed =
        At(object).exists || (At(object).unexported && !At(At(object).owner).ended);
    if (!may_be_listed) continue;
    for (const uint32_t index : At(object).holds) {
      if (holds_[index].ended) continue;
      Range& range = held[holds_[index].process];
      if (At(object).exists) ++range.low;
      ++range.high;
    }
  }
  return held;
}

bool Oracle::Crowded(ShadowProcess owner, std::optional<ShadowProcess> besides) const {
  std::set<ShadowProcess> clients;
  if (besides.has_value()) clients.insert(*besides);
  uint64_t wanted = 0;
  for (const ShadowObject object : At(owner).objects) {
    for (const uint32_t index : At(object).holds) {
      const Hold& hold = holds_[index];
      if (hold.ended) continue;
      if (!hold.told || hold.again) clients.insert(hold.process);
      ++wanted;
    }
  }
  return clients.size() > options_.clients_max || wanted > options_.listings_max;
}

bool Oracle::OverQuota(ShadowProcess holder) const {
  for (uint32_t i = 0; i < runs_.size(); ++i) {
    const Lease* const lease = FindLease(holder, ShadowProcess{i});
    if (lease == nullptr) continue;
    if (Crowded(ShadowProcess{i}, holder)) return true;
    const auto held = HeldOf(ShadowProcess{i});
    const auto mine = held.find(holder);
    if (mine == held.end()) continue;
    if (mine->second.high > options_.listings_per_client_max) return true;
  }
  return false;
}

// Of what is more than the quotas allow, as much is listed as fits.
Oracle::Range Oracle::ExpectedListings(ShadowProcess owner) const {
  Range sum;
  const auto held = HeldOf(owner);
  for (const auto& [holder, range] : held) {
    sum.low += std::min(range.low, options_.listings_per_client_max);
    sum.high += std::min(range.high, options_.listings_per_client_max);
  }
  if (Crowded(owner)) sum.low = 0;
  return sum;
}

Oracle::Range Oracle::ExpectedHeld(ShadowProcess holder) const {
  Range sum;
  for (uint32_t i = 0; i < runs_.size(); ++i) {
    const auto held = HeldOf(ShadowProcess{i});
    const auto mine = held.find(holder);
    if (mine == held.end()) continue;
    if (!Crowded(ShadowProcess{i})) {
      sum.low += std::min(mine->second.low, options_.listings_per_client_max);
    }
    sum.high += std::min(mine->second.high, options_.listings_per_client_max);
  }
  return sum;
}

uint64_t Oracle::Listings(ShadowProcess owner) const {
  uint64_t count = 0;
  for (uint32_t i = 0; i < runs_.size(); ++i) {
    const Lease* const lease = FindLease(ShadowProcess{i}, owner);
    if (lease != nullptr) count += lease->listings.size();
  }
  return count;
}

}  // namespace dgc::testkit
