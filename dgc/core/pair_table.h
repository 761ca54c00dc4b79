// PairTable: what one client has listed, object -> sequence number.
//
// The most numerous thing an owner keeps: one entry per (client, object) pair, ten million in one
// process by design.  So it is the one hash table the project writes itself:
//   * 12 bytes a slot, in two columns, at most 7/8 full: 14 to 28 bytes per pair, against 19 to 39
//   for absl::flat_hash_map;
//   * its order is a function of the calls alone (absl's depends on addresses), so what is
//   reclaimed first after
//     a lapse is the same in every run of the simulator;
//   * a table whose client has lapsed can be taken apart in bounded steps.
// Linear probing with backward-shift deletion (Knuth, TAOCP 3, 6.4, algorithm R): no tombstones.
//
// Thread-compatible.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "dgc/core/ids.h"

namespace dgc {

class PairTable {
 public:
  PairTable() = default;
  PairTable(PairTable&& other) noexcept { *this = std::move(other); }
  PairTable& operator=(PairTable&& other) noexcept {
    keys_ = std::move(other.keys_);
    values_ = std::move(other.values_);
    capacity_ = std::exchange(other.capacity_, 0);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  size_t size() const { return size_; }
  size_t bytes() const { return capacity_ * (sizeof(uint32_t) + sizeof(uint64_t)); }

  // The sequence number of `object`, or nullptr.  Valid until the next change of the table.
  SequenceNumber* Find(ObjectIndex object) {
    if (size_ == 0) return nullptr;
    const size_t slot = Probe(Raw(object));
    return keys_[slot] == kEmpty ? nullptr : &values_[slot];
  }

  // REQUIRES: `object` is absent.
  void Insert(ObjectIndex object, SequenceNumber sequence) {
    if ((size_ + 1) * 8 > capacity_ * 7) Grow();
    const size_t slot = Probe(Raw(object));
    keys_[slot] = Raw(object);
    values_[slot] = sequence;
    ++size_;
  }

  // REQUIRES: `object` is present.
  void Erase(ObjectIndex object) {
    Vacate(Probe(Raw(object)));
    Shrink();
  }

  // Removes and returns some entry; nullopt if empty.  A sequence of calls without other changes
  // between them costs O(capacity) in all: `cursor` says where to go on, and starts at 0.
  std::optional<ObjectIndex> TakeAny(size_t& cursor) {
    if (size_ == 0) return std::nullopt;
    while (keys_[cursor] == kEmpty) ++cursor;
    const ObjectIndex object{keys_[cursor]};
    keys_[cursor] = kEmpty;  // No shift: once begun, only TakeAny is called on this table.
    --size_;
    return object;
  }

  // Removes every entry for which `gone(object, sequence)` holds.  O(capacity), in place: putting
  // the others into a new table in slot order would be quadratic, as each growth begins with its
  // first part overfull.  An entry that is kept may be asked about twice.
  template <typename Predicate>
  void EraseIf(Predicate gone) {
    for (size_t slot = 0; slot < capacity_; ++slot) {
      // Whatever moves into the hole comes from slots not yet visited, or around the end.
      while (keys_[slot] != kEmpty && gone(ObjectIndex{keys_[slot]}, values_[slot])) Vacate(slot);
    }
    Shrink();
  }

 private:
  static constexpr uint32_t kEmpty = 0xffffffff;
  static constexpr size_t kCapacityMin = 8;

  size_t Home(uint32_t key) const { return Mix(key + 0x9e3779b97f4a7c15u) & (capacity_ - 1); }

  // The slot that has `key`, or the empty one where it would go.
  size_t Probe(uint32_t key) const {
    size_t slot = Home(key);
    while (keys_[slot] != kEmpty && keys_[slot] != key) slot = (slot + 1) & (capacity_ - 1);
    return slot;
  }

  void Vacate(size_t hole) {
    const size_t mask = capacity_ - 1;
    for (size_t slot = (hole + 1) & mask; keys_[slot] != kEmpty; slot = (slot + 1) & mask) {
      // An entry may move back into the hole unless that would be before its home.
      if (((slot - Home(keys_[slot])) & mask) >= ((slot - hole) & mask)) {
        keys_[hole] = keys_[slot];
        values_[hole] = values_[slot];
        hole = slot;
      }
    }
    keys_[hole] = kEmpty;
    --size_;
  }

  void Grow() { Rehash(capacity_ == 0 ? kCapacityMin : capacity_ * 2); }

  // At most half full afterwards, so that the next change does not grow it again.
  void Shrink() {
    if (size_ == 0) {
      *this = PairTable();
      return;
    }
    size_t capacity = capacity_;
    while (capacity > kCapacityMin && size_ * 8 < capacity) {
      capacity = std::max(capacity / 4, kCapacityMin);
    }
    if (capacity != capacity_) Rehash(capacity);
  }

  void Rehash(size_t capacity) {
    PairTable old = std::move(*this);
    keys_ = std::make_unique_for_overwrite<uint32_t[]>(capacity);
    values_ = std::make_unique_for_overwrite<SequenceNumber[]>(capacity);
    capacity_ = capacity;
    std::fill_n(keys_.get(), capacity, kEmpty);
    for (size_t slot = 0; slot < old.capacity_; ++slot) {
      if (old.keys_[slot] != kEmpty) Insert(ObjectIndex{old.keys_[slot]}, old.values_[slot]);
    }
  }

  std::unique_ptr<uint32_t[]> keys_;
  std::unique_ptr<SequenceNumber[]> values_;
  size_t capacity_ = 0;
  size_t size_ = 0;
};

}  // namespace dgc
