// Alarm: one thread sleeps until it is rung or a time has passed.
//
// A ring that comes before the sleep ends it at once; several are one.  Sleeps are measured by
// the monotonic clock, so that a step of the wall clock (which absl::CondVar waits on) does not
// stop the collector.  Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "dgc/core/time.h"

namespace dgc {

class Alarm {
 public:
  void Ring() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      rung_ = true;
    }
    condition_.notify_one();
  }

  // Returns whether it was rung.
  bool WaitFor(Duration duration) {
    std::unique_lock<std::mutex> lock(mutex_);
    condition_.wait_for(lock, duration, [this] { return rung_; });
    return std::exchange(rung_, false);
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool rung_ = false;
};

}  // namespace dgc
