// Slab: a table of records at stable positions, with reuse of freed positions.
//
// Grows by chunks, so that neither a record nor the caller's latency pays for moving a million
// others, and at most one chunk is wasted.  Freed positions are reused last-in first-out: the order
// is a function of the calls alone.
//
// Thread-compatible.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "dgc/core/check.h"

namespace dgc {

template <typename T>
class Slab {
 public:
  // Returns the position of a value-initialized record.
  uint32_t Allocate() {
    if (!free_.empty()) {
      const uint32_t index = free_.back();
      free_.pop_back();
      (*this)[index] = T{};
      return index;
    }
    if (end_ == chunks_.size() * kChunk) chunks_.push_back(std::make_unique<Chunk>());
    return end_++;
  }

  // What Allocate() will return.
  uint32_t next() const { return free_.empty() ? end_ : free_.back(); }

  // REQUIRES: `index` is allocated.
  void Free(uint32_t index) {
    (*this)[index] = T{};
    free_.push_back(index);
  }

  T& operator[](uint32_t index) { return (*chunks_[index / kChunk])[index % kChunk]; }
  const T& operator[](uint32_t index) const { return (*chunks_[index / kChunk])[index % kChunk]; }

  // Positions are below this.
  uint32_t end() const { return end_; }
  size_t size() const { return end_ - free_.size(); }

 private:
  static constexpr uint32_t kChunk = 1024;
  // On a cache line of its own, so that records whose size divides well are on few.
  struct alignas(64) Chunk : std::array<T, kChunk> {};

  std::vector<std::unique_ptr<Chunk>> chunks_;
  std::vector<uint32_t> free_;
  uint32_t end_ = 0;
};

}  // namespace dgc
