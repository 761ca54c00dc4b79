#include "dgc/core/local_collector.h"

#include <algorithm>

namespace dgc {

// Takes edges from the back.  Removing an edge moves the last one into its place: from a part
// already scanned to any part, so that none is missed; an edge added meanwhile was shaded by
// Shade().
void LocalCollector::Scan(size_t& budget) {
  while (budget > 0 && !grey_.empty()) {
    const uint32_t index = grey_.back().index;
    const ObjectRecord& record = (*records_)[index];
    const uint32_t degree =
        record.edges == nullptr ? 0 : static_cast<uint32_t>(record.edges->size());
    uint32_t left = std::min(grey_.back().edges_left, degree);
    --budget;
    if (left == 0) {
      grey_.pop_back();
      continue;
    }
    const Target target = (*record.edges)[--left];
    grey_.back().edges_left = left;  // Before Shade(), which may move the stack.
    if (!target.is_import()) Shade(Raw(target.object()));
  }
}

std::optional<ObjectIndex> LocalCollector::Step(size_t& budget, TimePoint now, uint64_t* rounds) {
  if (phase_ == Phase::kRest) {
    if (!suspected_ || now < rest_until_) return std::nullopt;
    suspected_ = false;
    phase_ = Phase::kMark;
    ++round_;
    cursor_ = 0;
    end_ = records_->end();
    worked_ = {};
    latest_ = now;
  }
  worked_ += std::clamp(now - latest_, Duration::zero(), kStepMax);
  latest_ = now;
  if (phase_ == Phase::kMark) {
    while (budget > 0) {
      Scan(budget);
      if (budget == 0) return std::nullopt;
      if (cursor_ == end_) {
        phase_ = Phase::kSweep;
        cursor_ = 0;
        end_ = records_->end();
        break;
      }
      --budget;
      const ObjectRecord& record = (*records_)[cursor_];
      if (record.state == ObjectRecord::State::kLive && record.rooted()) Shade(cursor_);
      ++cursor_;
    }
  }
  while (phase_ == Phase::kSweep && budget > 0) {
    if (cursor_ == end_) {
      phase_ = Phase::kRest;
      rest_until_ = now + std::max(interval_, 4 * worked_);
      ++*rounds;
      return std::nullopt;
    }
    --budget;
    const uint32_t index = cursor_++;
    const ObjectRecord& record = (*records_)[index];
    if (record.state == ObjectRecord::State::kLive && record.mark != round_) {
      return ObjectIndex{index};
    }
  }
  return std::nullopt;
}

}  // namespace dgc
