// Histogram: how often which durations occurred, in fixed buckets.
//
// Observing takes no lock and some nanoseconds; a snapshot taken meanwhile may lack the latest.
// Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "dgc/core/time.h"

namespace dgc {

class Histogram {
 public:
  // Upper bounds, inclusive, from 10 us to 10 s; one more bucket takes the rest.
  static constexpr std::array<Duration, 13> kBounds = {
      std::chrono::microseconds(10),  std::chrono::microseconds(30), std::chrono::microseconds(100),
      std::chrono::microseconds(300), std::chrono::milliseconds(1),  std::chrono::milliseconds(3),
      std::chrono::milliseconds(10),  std::chrono::milliseconds(30), std::chrono::milliseconds(100),
      std::chrono::milliseconds(300), std::chrono::seconds(1),       std::chrono::seconds(3),
      std::chrono::seconds(10),
  };

  struct Snapshot {
    std::array<uint64_t, kBounds.size() + 1> counts{};  // Not cumulative.
    Duration sum{};
  };

  void Observe(Duration duration) {
    size_t bucket = 0;
    while (bucket < kBounds.size() && duration > kBounds[bucket]) ++bucket;
    counts_[bucket].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(duration.count(), std::memory_order_relaxed);
  }

  Snapshot Take() const {
    Snapshot snapshot;
    for (size_t i = 0; i < counts_.size(); ++i) {
      snapshot.counts[i] = counts_[i].load(std::memory_order_relaxed);
    }
    snapshot.sum = Duration(sum_.load(std::memory_order_relaxed));
    return snapshot;
  }

 private:
  std::array<std::atomic<uint64_t>, kBounds.size() + 1> counts_{};
  std::atomic<int64_t> sum_{0};
};

}  // namespace dgc
