// ObjectWorld: an ObjectTable with short verbs, for tests of it and of its local collector.
//
// Makes ids, keeps the counters and the time, and collects what Work() reports.  Test code only;
// not installed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "dgc/core/counters.h"
#include "dgc/core/ids.h"
#include "dgc/core/message.h"
#include "dgc/core/object_table.h"
#include "dgc/core/time.h"
#include "gtest/gtest.h"

namespace dgc::testing {

class ObjectWorld {
 public:
  explicit ObjectWorld(ObjectTableOptions options = {})
      : table_(options, &counters_, &types_, /*secret=*/1) {}

  static ObjectId IdOf(uint64_t number) { return {Mix(number), Mix(~number)}; }

  // With this, new objects have ids that say where they are, not those of IdOf.
  bool direct_ids_ = false;
  ObjectId last_id_;

  // A new object with one pin.
  ObjectIndex New() {
    ++created_;
    last_id_ = direct_ids_ ? table_.NewId(Mix(created_), Mix(~created_)) : IdOf(created_);
    const auto object = table_.Add(last_id_, *types_.Use("t", 1));
    EXPECT_TRUE(object.ok()) << object.status();
    return *object;
  }
  // A new object that only an edge from `parent` keeps.
  ObjectIndex NewChild(ObjectIndex parent) {
    const ObjectIndex child = New();
    Link(parent, child);
    table_.Unpin(child);
    return child;
  }
  absl::Status TryLink(const std::vector<Edge>& edges) { return table_.AddEdges(edges, &failed_); }
  absl::Status TryUnlink(const std::vector<Edge>& edges) {
    return table_.RemoveEdges(edges, &failed_);
  }
  void Link(ObjectIndex from, ObjectIndex to) {
    EXPECT_EQ(TryLink({{from, Target(to)}}), absl::OkStatus());
  }
  void Link(ObjectIndex from, ImportIndex to) {
    EXPECT_EQ(TryLink({{from, Target(to)}}), absl::OkStatus());
  }
  void Unlink(ObjectIndex from, ObjectIndex to) {
    EXPECT_EQ(TryUnlink({{from, Target(to)}}), absl::OkStatus());
  }

  bool Work(size_t budget) { return table_.Work(budget, now_, &reclaimed_, &dropped_); }

  // Works, `budget` steps at a time, until nothing is left to do at any time.  Returns the number
  // of calls.
  size_t Settle(size_t budget = 1000) {
    size_t calls = 0;
    while (true) {
      ++calls;
      if (Work(budget)) continue;
      const auto wake_at = table_.wake_at();
      if (!wake_at.has_value()) return calls;
      now_ = std::max(now_, *wake_at);
    }
  }

  // The reasons in the order in which objects were reclaimed.
  std::vector<ReclaimReason> Reasons() const {
    std::vector<ReclaimReason> reasons;
    for (const Reclaimed& each : reclaimed_) reasons.push_back(each.reason);
    return reasons;
  }
  std::vector<ObjectIndex> Objects() const {
    std::vector<ObjectIndex> objects;
    for (const Reclaimed& each : reclaimed_) objects.push_back(each.object);
    return objects;
  }

  Counters counters_;
  TypeTable types_;
  ObjectTable table_;
  TimePoint now_ = TimePoint(std::chrono::seconds(1000));
  uint64_t created_ = 0;
  size_t failed_ = 0;  // Of TryLink and TryUnlink, when they fail.
  std::vector<Reclaimed> reclaimed_;
  std::vector<ImportIndex> dropped_;
};

}  // namespace dgc::testing
