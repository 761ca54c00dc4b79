// PayloadTable: the application's objects, by position in the object table and by address.
//
// 16 bytes per object and 13 to 20 for the address index.  An address belongs to one exported
// object at a time; objects on their way out give theirs up.  Thread-compatible.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "dgc/core/ids.h"
#include "dgc/core/position_index.h"

namespace dgc {

class PayloadTable {
 public:
  // `secret`: random, known to nobody outside this process.
  explicit PayloadTable(uint64_t secret) : by_address_(secret) {}
  PayloadTable(const PayloadTable&) = delete;
  PayloadTable& operator=(const PayloadTable&) = delete;

  // REQUIRES: nothing is at `object`; no other object has this address.
  void Put(ObjectIndex object, const std::shared_ptr<void>& payload);
  // Null if nothing is there.
  const std::shared_ptr<void>& Get(ObjectIndex object) const;
  // The object at this address.
  std::optional<ObjectIndex> Find(const void* address) const;
  // Makes the address free for another object; the payload stays.
  void Disown(ObjectIndex object);
  // Takes the payload out; null if there is none.
  std::shared_ptr<void> Take(ObjectIndex object);
  // For batches, to overlap their cache misses: some objects ahead Prefetch(), nearer
  // PrefetchAddress(), then Take().
  void Prefetch(ObjectIndex object) const;
  void PrefetchAddress(ObjectIndex object) const;
  // Takes everything out.
  std::vector<std::shared_ptr<void>> TakeAll();

 private:
  static constexpr uint32_t kChunk = 1024;
  using Chunk = std::array<std::shared_ptr<void>, kChunk>;
  static uint32_t TagOf(const void* address) {
    return dgc::TagOf(0, reinterpret_cast<uintptr_t>(address));
  }
  const std::shared_ptr<void>& At(uint32_t index) const {
    return (*chunks_[index / kChunk])[index % kChunk];
  }
  std::shared_ptr<void>& At(uint32_t index) { return (*chunks_[index / kChunk])[index % kChunk]; }

  std::vector<std::unique_ptr<Chunk>> chunks_;
  PositionIndex by_address_;
};

}  // namespace dgc
