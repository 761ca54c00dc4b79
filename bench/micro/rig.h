// OwnerRig: a Process with the lease strategy, its objects and clients, for measuring.
//
// Nothing here is timed by itself.  The clock stands still unless moved.  Not thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <utility>
#include <variant>
#include <vector>

#include "dgc/core/process.h"
#include "dgc/strategies/lease/lease.h"

namespace dgc::bench {

class SeededRandom : public Random {
 public:
  uint64_t Next() override { return generator_(); }

 private:
  std::mt19937_64 generator_{42};
};

inline constexpr const char* kOwner = "bench:1";
inline constexpr Incarnation kIncarnation{1};
inline constexpr Duration kTerm = std::chrono::minutes(10);

class OwnerRig {
 public:
  explicit OwnerRig(LeaseOptions options = {})
      : process_({.self = {1, 1}, .owner = kOwner, .incarnation = kIncarnation},
                 LeaseStrategy(options), &random_) {}

  static ClientId Client(uint64_t number) { return {Mix(number + 1), number + 1}; }

  // Exports `count` objects with a handle each.
  void AddObjects(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      ids_.push_back(process_.NewId());
      handles_.push_back(*process_.Export(ids_.back(), "bench"));
    }
  }
  // `client` lists the objects at positions [begin, end).
  void List(const ClientId& client, size_t begin, size_t end) {
    constexpr size_t kBatch = 65536;
    for (size_t at = begin; at < end; at += kBatch) {
      DirtyRequest request = Dirty(client);
      for (size_t i = at; i < std::min(end, at + kBatch); ++i)
        request.rows.push_back({ids_[i], {}});
      Check(process_.Received(std::move(request), now_));
    }
  }

  // Empty requests with a fresh sequence number.
  DirtyRequest Dirty(const ClientId& client) {
    return {.client = client,
            .incarnation = kIncarnation,
            .sequence = SequenceNumber{++sequence_},
            .requested_term = kTerm,
            .owner = kOwner};
  }
  CleanRequest Clean(const ClientId& client) {
    return {.client = client,
            .incarnation = kIncarnation,
            .sequence = SequenceNumber{++sequence_},
            .owner = kOwner};
  }
  SequenceNumber NextSequence() { return SequenceNumber{++sequence_}; }

  // Ends the benchmark if the request was refused or failed in part.
  static void Check(const Response& response) {
    const auto* dirty = std::get_if<DirtyResponse>(&response);
    if (std::holds_alternative<Refusal>(response) ||
        (dirty != nullptr && !dirty->failures.empty())) {
      std::fprintf(stderr, "a request of the benchmark failed\n");
      std::abort();
    }
  }
  void Discard() { process_.TakeOutputs(&outputs_); }

  SeededRandom random_;
  Process process_;
  TimePoint now_ = TimePoint(std::chrono::hours(1));
  std::vector<ObjectId> ids_;
  std::vector<Target> handles_;
  Outputs outputs_;

 private:
  uint64_t sequence_ = 0;
};

// `count` different numbers below `bound`, in random order.
inline std::vector<uint32_t> Sample(size_t count, uint32_t bound, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<uint32_t> sample;
  if (count * 2 > bound) {
    for (uint32_t i = 0; i < bound; ++i) sample.push_back(i);
    std::shuffle(sample.begin(), sample.end(), random);
    sample.resize(count);
    return sample;
  }
  std::vector<bool> taken(bound);
  while (sample.size() < count) {
    const auto number = static_cast<uint32_t>(random() % bound);
    if (taken[number]) continue;
    taken[number] = true;
    sample.push_back(number);
  }
  return sample;
}

}  // namespace dgc::bench
