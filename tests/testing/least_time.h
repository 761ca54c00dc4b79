// LeastSeconds: how long something takes when nothing disturbs it.
//
// For tests of how costs grow: they compare two measurements of one run, by a factor far above what
// a busy machine adds and far below what a wrong algorithm costs.
#pragma once

#include <algorithm>
#include <chrono>
#include <limits>

namespace dgc::testing {

// The least of a few runs.
template <typename Run>
double LeastSeconds(Run run) {
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 5; ++i) {
    const auto begun = std::chrono::steady_clock::now();
    run();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begun;
    least = std::min(least, taken.count());
  }
  return least;
}

}  // namespace dgc::testing
