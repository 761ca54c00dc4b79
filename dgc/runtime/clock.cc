#include "dgc/runtime/clock.h"

#include <time.h>

#include "dgc/core/check.h"

namespace dgc {

TimePoint BootClock::Now() {
  timespec reading;
  DGC_CHECK(clock_gettime(CLOCK_BOOTTIME, &reading) == 0);
  return TimePoint(std::chrono::seconds(reading.tv_sec) + Duration(reading.tv_nsec));
}

}  // namespace dgc
