// Seconds: how long something takes.  LeastSeconds: when nothing disturbs it.
//
// For tests of how costs grow: they compare two measurements of one run, by a factor far above what
// a busy machine adds and far below what a wrong algorithm costs.
#pragma once

#include <algorithm>
#include <chrono>
#include <limits>

namespace dgc::testing {

template <typename Run>
double Seconds(Run run) {
  const auto begun = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

// The least of a few runs.
template <typename Run>
double LeastSeconds(Run run) {
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 5; ++i) least = std::min(least, Seconds(run));
  return least;
}

}  // namespace dgc::testing
