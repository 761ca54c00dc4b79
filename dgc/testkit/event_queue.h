// EventQueue: the virtual time of a simulated run, and what happens when.
//
// Events run one at a time, ordered by (time, order of scheduling), so a run is a function of what
// was scheduled.  Virtual time is a Duration since the start of the run: true time, which no
// simulated process can see (they see their own clocks, TimePoint).  Thread-compatible.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "dgc/core/time.h"

namespace dgc::testkit {

class EventQueue {
 public:
  using Action = std::function<void()>;

  Duration now() const { return now_; }
  // How many events have run.
  uint64_t step() const { return step_; }
  bool empty() const { return heap_.empty(); }

  // Times in the past mean now.
  void At(Duration when, Action action);
  void After(Duration delay, Action action) { At(now_ + delay, std::move(action)); }

  // Runs the next event if it is due by `until`.  If not, moves time there and returns false.
  bool RunNext(Duration until);

 private:
  struct Entry {
    Duration when;
    uint64_t serial;
    uint32_t slot;
  };
  static bool Later(const Entry& a, const Entry& b) {
    return a.when != b.when ? a.when > b.when : a.serial > b.serial;
  }

  Duration now_{};
  uint64_t step_ = 0;
  uint64_t serial_ = 0;
  std::vector<Entry> heap_;
  std::vector<Action> actions_;  // by Entry::slot, so that the heap moves small things
  std::vector<uint32_t> free_;
};

}  // namespace dgc::testkit
