// PositionIndex: finds the position of a record in a table by a 32-bit tag of its key.
//
// The records keep the keys; the index keeps 8 bytes a slot, two to three fifths full.  As the
// tag stands in the slot, a likely position is known without a look at the record (Peek), so that
// whoever handles a batch can fetch records before it needs them, and the index grows without
// touching a record, in one pass from front to back.  Linear probing, backward-shift deletion; its
// order is a function of the calls and the secret alone.
//
// Whoever makes objects elsewhere sees their ids, hence tags, and decides which of them live: the
// secret keeps it from having those that would lie together.
//
// Thread-compatible.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "dgc/core/check.h"
#include "dgc/core/ids.h"
#include "dgc/core/prefetch.h"

namespace dgc {

// A tag for keys that are two words, random or counted up.  (Fibonacci hashing: Knuth, TAOCP 3,
// 6.4.)
constexpr uint32_t TagOf(uint64_t high, uint64_t low) {
  return static_cast<uint32_t>((low + std::rotl(high, 32) * 3) * 0x9e3779b97f4a7c15u >> 32);
}

class PositionIndex {
 public:
  // `secret`: random, known to nobody outside this process.
  explicit PositionIndex(uint64_t secret) : factor_(Mix(secret) | 1), summand_(Mix(~secret)) {}

  size_t size() const { return size_; }
  size_t bytes() const { return capacity_ * sizeof(Slot); }

  // The position with this tag for which `equal(position)` holds.
  template <typename Equal>
  std::optional<uint32_t> Find(uint32_t tag, Equal equal) const {
    if (size_ == 0) return std::nullopt;
    for (size_t i = Home(tag); slots_[i].position != kEmpty; i = Next(i)) {
      if (slots_[i].tag == tag && equal(slots_[i].position)) return slots_[i].position;
    }
    return std::nullopt;
  }

  // Some position with this tag; in all probability the one.
  std::optional<uint32_t> Peek(uint32_t tag) const {
    return Find(tag, [](uint32_t) { return true; });
  }

  // Brings what Find() and Peek() will need closer.
  void Prefetch(uint32_t tag) const {
    if (capacity_ != 0) dgc::Prefetch(&slots_[Home(tag)]);
  }

  // REQUIRES: the position is not in it, and below 2^32 - 1.
  void Insert(uint32_t tag, uint32_t position) {
    if ((size_ + 1) * 5 > capacity_ * 3) Rehash(std::max(capacity_ + capacity_ / 2, kCapacityMin));
    Put({tag, position});
    ++size_;
  }

  void Clear() {
    slots_.reset();
    capacity_ = 0;
    size_ = 0;
  }

  // REQUIRES: was inserted with this tag.
  void Erase(uint32_t tag, uint32_t position) {
    size_t hole = Home(tag);
    while (slots_[hole].position != position) {
      DGC_CHECK(slots_[hole].position != kEmpty);
      hole = Next(hole);
    }
    for (size_t i = Next(hole); slots_[i].position != kEmpty; i = Next(i)) {
      // An entry may move back into the hole unless that would be before its home.
      if (Distance(Home(slots_[i].tag), i) >= Distance(hole, i)) {
        slots_[hole] = slots_[i];
        hole = i;
      }
    }
    slots_[hole].position = kEmpty;
    --size_;
    if (capacity_ > kCapacityMin && size_ * 6 < capacity_) {
      Rehash(std::max(size_ * 2, kCapacityMin));
    }
  }

 private:
  struct Slot {
    uint32_t tag;
    uint32_t position;
  };
  static constexpr uint32_t kEmpty = 0xffffffff;
  static constexpr size_t kCapacityMin = 8;

  // Multiply-shift: strongly universal.  (Dietzfelbinger 1996.)
  size_t Home(uint32_t tag) const { return ((factor_ * tag + summand_) >> 32) * capacity_ >> 32; }
  size_t Next(size_t i) const { return i + 1 == capacity_ ? 0 : i + 1; }
  size_t Distance(size_t from, size_t to) const {
    return to >= from ? to - from : to + capacity_ - from;
  }

  void Put(const Slot& slot) {
    size_t i = Home(slot.tag);
    while (slots_[i].position != kEmpty) i = Next(i);
    slots_[i] = slot;
  }

  void Rehash(size_t capacity) {
    const std::unique_ptr<Slot[]> old = std::move(slots_);
    const size_t old_capacity = std::exchange(capacity_, capacity);
    slots_ = std::make_unique_for_overwrite<Slot[]>(capacity);
    for (size_t i = 0; i < capacity; ++i) slots_[i].position = kEmpty;
    for (size_t i = 0; i < old_capacity; ++i) {
      if (old[i].position != kEmpty) Put(old[i]);
    }
  }

  uint64_t factor_;
  uint64_t summand_;
  std::unique_ptr<Slot[]> slots_;
  size_t capacity_ = 0;
  size_t size_ = 0;
};

}  // namespace dgc
