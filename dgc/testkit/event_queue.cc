#include "dgc/testkit/event_queue.h"

#include <algorithm>
#include <utility>

namespace dgc::testkit {

void EventQueue::At(Duration when, Action action) {
  uint32_t slot = 0;
  if (free_.empty()) {
    slot = static_cast<uint32_t>(actions_.size());
    actions_.push_back(std::move(action));
  } else {
    slot = free_.back();
    free_.pop_back();
    actions_[slot] = std::move(action);
  }
  heap_.push_back({std::max(when, now_), serial_++, slot});
  std::push_heap(heap_.begin(), heap_.end(), Later);
}

bool EventQueue::RunNext(Duration until) {
  if (heap_.empty() || heap_.front().when > until) {
    now_ = std::max(now_, until);
    return false;
  }
  std::pop_heap(heap_.begin(), heap_.end(), Later);
  const Entry entry = heap_.back();
  heap_.pop_back();
  now_ = entry.when;
  ++step_;
  const Action action = std::exchange(actions_[entry.slot], nullptr);
  free_.push_back(entry.slot);
  action();
  return true;
}

}  // namespace dgc::testkit
