// Seconds: how much time of a processor something takes in this thread, whatever else runs.
// LeastSeconds: when nothing disturbs it.
//
// For tests of how costs grow: they compare two measurements of one run, by a factor far above what
// a busy machine adds and far below what a wrong algorithm costs.
#pragma once

#include <algorithm>
#include <ctime>
#include <limits>

namespace dgc::testing {

template <typename Run>
double Seconds(Run run) {
  const auto now = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  };
  const double begun = now();
  run();
  return now() - begun;
}

// The least of a few runs.
template <typename Run>
double LeastSeconds(Run run) {
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 5; ++i) least = std::min(least, Seconds(run));
  return least;
}

}  // namespace dgc::testing
