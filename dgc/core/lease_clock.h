// LeaseClock: the time that counts against holders.
//
// An owner that was stopped, swapped out or starved could not hear renewals, so that time must not
// count against the holders' leases.  The clock is told every reading the process takes; a step
// longer than `step_max` counts as `step_max` only.  Every lease and transit lease expires in lease
// time, so a pause extends all of them at once, in O(1).
//
// REQUIRES of whoever drives it: Advance() at least every `step_max` while the process is healthy.
//
// Thread-compatible; reads no clock.
#pragma once

#include <algorithm>

#include "dgc/core/time.h"

namespace dgc {

class LeaseClock {
 public:
  // `step_max`: the longest believable distance between two readings; > 0.
  explicit LeaseClock(Duration step_max) : step_max_(step_max) {}

  // Takes a reading and returns the lease time.  A reading before the latest one changes nothing.
  TimePoint Advance(TimePoint now) {
    if (!started_) {
      started_ = true;
      latest_ = now;
      lease_now_ = now;
      return lease_now_;
    }
    const Duration step = std::max(now - latest_, Duration::zero());
    latest_ = std::max(latest_, now);
    lease_now_ += std::min(step, step_max_);
    if (step > step_max_) excused_ += step - step_max_;
    return lease_now_;
  }

  TimePoint lease_now() const { return lease_now_; }

  // When a deadline given in lease time can be due at the earliest, as a clock reading.
  TimePoint ReadingAt(TimePoint lease_deadline) const {
    return latest_ + (lease_deadline - lease_now_);
  }

  // All the time not counted so far.
  Duration excused() const { return excused_; }

 private:
  const Duration step_max_;
  bool started_ = false;
  TimePoint latest_{};
  TimePoint lease_now_{};
  Duration excused_{};
};

}  // namespace dgc
