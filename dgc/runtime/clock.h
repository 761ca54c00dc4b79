// Clock: what time it is for one process; the only place that reads it.
//
// Production reads CLOCK_BOOTTIME, which is monotonic and goes on while the machine is
// suspended.  As a holder, a process must count suspend: its leases ran on elsewhere.  As an
// owner it must not, and does not, for the core's LeaseClock excuses any step longer than
// LeaseOptions::pause, suspends included.  So one reading serves both.
//
// Thread-safe.
#pragma once

#include "dgc/core/time.h"

namespace dgc {

class Clock {
 public:
  virtual ~Clock() = default;
  // Never goes back.
  virtual TimePoint Now() = 0;
};

class BootClock final : public Clock {
 public:
  TimePoint Now() override;
};

}  // namespace dgc
