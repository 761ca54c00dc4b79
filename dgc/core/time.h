// Time as the core sees it: an argument.
//
// A TimePoint is a reading of some monotonic clock of this process; nothing in the core knows
// which, and nothing compares readings of two processes.  The runtime reads a real clock, the
// simulator assigns one.  Plain values; safe anywhere.
#pragma once

#include <chrono>

namespace dgc {

using Duration = std::chrono::nanoseconds;

// Has no clock behind it: `now()` is deliberately absent.
struct ProcessClock {
  using rep = Duration::rep;
  using period = Duration::period;
  using duration = Duration;
  using time_point = std::chrono::time_point<ProcessClock>;
  static constexpr bool is_steady = true;
};

using TimePoint = ProcessClock::time_point;

// No term is longer; a peer that asks for more is mistaken about the unit.
inline constexpr Duration kTermMax = std::chrono::hours(24);

}  // namespace dgc
