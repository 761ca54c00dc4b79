// LocalCollector: finds garbage cycles among the objects of one process.
//
// An incremental tri-colour mark (Dijkstra, Lamport et al. 1978) over the object table: roots are
// the objects with a pin or a remote hold; a reference that appears while a round runs (a new edge,
// a new hold) shades its target, new objects are born marked.  When nothing grey is left,
// everything unmarked is garbage *at that instant*: it is condemned as a whole by one comparison,
// so no later reference can revive a part of it, and then swept step by step.  A round runs only if
// a decrement has left an object alive by edges alone, costs O(objects), and is followed by a rest
// at least as long as local_round_interval and four times the time the round took.
//
// Thread-compatible; no clock.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "dgc/core/object_record.h"
#include "dgc/core/slab.h"
#include "dgc/core/time.h"

namespace dgc {

class LocalCollector {
 public:
  LocalCollector(Duration interval, Slab<ObjectRecord>* records)
      : interval_(interval), records_(records) {}

  // Tells that an object has lost a reference and is now kept by edges alone.
  void Suspect() { suspected_ = true; }
  // Tells that an object has just been created, or has just been given a root or an edge to it.
  void Shade(uint32_t index) {
    ObjectRecord& record = (*records_)[index];
    if (record.mark == round_) return;
    if (phase_ == Phase::kMark) {
      record.mark = round_;
      grey_.push_back({index, kNotBegun});
    }
  }
  void Born(ObjectRecord& record) const { record.mark = round_; }

  // Whether a finished round has found this object to be garbage that was not swept yet.
  bool condemned(const ObjectRecord& record) const {
    return phase_ == Phase::kSweep && record.mark != round_;
  }

  // Does at most `budget` steps, counting them down, and returns an object to be reclaimed, if it
  // came upon one. The caller calls again while budget is left and more() holds.
  std::optional<ObjectIndex> Step(size_t& budget, TimePoint now, uint64_t* rounds);

  bool running() const { return phase_ != Phase::kRest; }
  // When a round is to begin, if one is wanted.
  std::optional<TimePoint> wake_at() const {
    if (phase_ == Phase::kRest && suspected_) return rest_until_;
    return std::nullopt;
  }

 private:
  enum class Phase : uint8_t { kRest, kMark, kSweep };
  struct Grey {
    uint32_t index;
    uint32_t edges_left;
  };
  static constexpr uint32_t kNotBegun = 0xffffffff;

  void Scan(size_t& budget);

  const Duration interval_;
  Slab<ObjectRecord>* const records_;
  Phase phase_ = Phase::kRest;
  bool suspected_ = false;
  uint32_t round_ = 0;
  uint32_t cursor_ = 0;
  uint32_t end_ = 0;
  std::vector<Grey> grey_;
  // How long the round has taken: a longer time between two steps was not spent on it.
  static constexpr Duration kStepMax = std::chrono::milliseconds(10);
  Duration worked_{};
  TimePoint latest_{};
  TimePoint rest_until_ = TimePoint::min();
};

}  // namespace dgc
