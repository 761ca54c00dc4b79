// PairTable: what one client has listed, object -> sequence number.
//
// The most numerous thing an owner keeps: one entry per (client, object) pair, ten million in one
// process by design.  So it is a hash table of the project's own:
//   * 12 bytes a slot, 5/12 to 1/2 full: 24 to 29 bytes per pair, against 19 to 39 for
//     absl::flat_hash_map, and two cache lines, next to each other, for a look-up in a big table;
//   * its order is a function of the calls alone (absl's depends on addresses), so what is
//     reclaimed first after a lapse is the same in every run of the simulator;
//   * a table whose client has lapsed can be taken apart in bounded steps.
// Linear probing with backward-shift deletion (Knuth, TAOCP 3, 6.4, algorithm R): no tombstones.
// Slots are in the order of the hash, whatever the capacity, so that a table grows by one pass
// from front to back over both.  Each table has an order of its own (its seed): positions are freed
// in the order in which a lapsed client's table is taken apart and used again in that order, and a
// table filled in its own order would pile all up at its front, in quadratic time.  Nor can the
// client know it, who chooses among the positions that ids show it what to list.
//
// Thread-compatible.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "dgc/core/ids.h"
#include "dgc/core/prefetch.h"

namespace dgc {

class PairTable {
 public:
  // One entry.  Its object does not change.
  class Entry {
   public:
    SequenceNumber sequence() const { return SequenceNumber{uint64_t{high_} << 32 | low_}; }
    void set_sequence(SequenceNumber sequence) {
      low_ = static_cast<uint32_t>(Raw(sequence));
      high_ = static_cast<uint32_t>(Raw(sequence) >> 32);
    }

   private:
    friend class PairTable;
    ObjectIndex object() const { return ObjectIndex{key_}; }
    // In halves, so that nothing is lost to alignment.
    uint32_t key_;
    uint32_t low_;
    uint32_t high_;
  };

  // `seed`: random, known to nobody outside this process.
  PairTable() : PairTable(0) {}
  explicit PairTable(uint64_t seed) : seed_(Mix(seed + 0x9e3779b97f4a7c15u)) {}
  PairTable(PairTable&& other) noexcept { *this = std::move(other); }
  PairTable& operator=(PairTable&& other) noexcept {
    seed_ = other.seed_;
    slots_ = std::move(other.slots_);
    capacity_ = std::exchange(other.capacity_, 0);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  size_t size() const { return size_; }
  size_t bytes() const { return capacity_ * sizeof(Entry); }

  // The entry of `object`, or nullptr.  Valid until the next change of the table.
  Entry* Find(ObjectIndex object) {
    if (size_ == 0) return nullptr;
    Entry& entry = slots_[Probe(Raw(object))];
    return entry.key_ == kEmpty ? nullptr : &entry;
  }

  // Brings what Find() or Insert() of `object` will need closer; for batches.
  void Prefetch(ObjectIndex object) const {
    if (capacity_ == 0) return;
    const Entry* const home = &slots_[Home(Raw(object))];
    dgc::Prefetch(home);
    dgc::Prefetch(home + kLikelyProbes);
  }

  // REQUIRES: `object` is absent.
  void Insert(ObjectIndex object, SequenceNumber sequence) {
    if ((size_ + 1) * 2 > capacity_) Rehash(std::max(capacity_ + capacity_ / 5 + 1, kCapacityMin));
    Entry& entry = slots_[Probe(Raw(object))];
    entry.key_ = Raw(object);
    entry.set_sequence(sequence);
    ++size_;
  }

  // REQUIRES: `object` is present.
  void Erase(ObjectIndex object) {
    Vacate(Probe(Raw(object)));
    Shrink();
  }

  // Removes and returns some entry; nullopt if empty.  A sequence of calls without other changes
  // between them costs O(capacity) in all: `cursor` says where to go on, and starts at 0.  Calls
  // soon(object) for what later calls may return, to be fetched in good time.
  template <typename Soon>
  std::optional<ObjectIndex> TakeAny(size_t& cursor, Soon soon) {
    constexpr size_t kAhead = 32;
    if (size_ == 0) return std::nullopt;
    for (;; ++cursor) {
      if (cursor + kAhead < capacity_ && slots_[cursor + kAhead].key_ != kEmpty) {
        soon(slots_[cursor + kAhead].object());
      }
      if (slots_[cursor].key_ != kEmpty) break;
    }
    // No shift: once begun, only TakeAny is called on this table.
    const ObjectIndex object = slots_[cursor].object();
    slots_[cursor++].key_ = kEmpty;
    --size_;
    return object;
  }

  // Removes every entry for which `gone(object, sequence)` holds.  O(capacity), in place.  An entry
  // that is kept may be asked about twice.
  template <typename Predicate>
  void EraseIf(Predicate gone) {
    for (size_t slot = 0; slot < capacity_; ++slot) {
      // Whatever moves into the hole comes from slots not yet visited, or around the end.
      while (slots_[slot].key_ != kEmpty && gone(slots_[slot].object(), slots_[slot].sequence())) {
        Vacate(slot);
      }
    }
    Shrink();
  }

 private:
  static constexpr uint32_t kEmpty = 0xffffffff;
  static constexpr size_t kCapacityMin = 4;
  // How far most searches go, of entries that are there or not.
  static constexpr size_t kLikelyProbes = 5;

  // The upper half of the hash, scaled to the capacity.
  size_t Home(uint32_t key) const { return (Mix(key + seed_) >> 32) * capacity_ >> 32; }
  size_t Next(size_t slot) const { return slot + 1 == capacity_ ? 0 : slot + 1; }
  // How far `to` lies behind `from`, around the end.
  size_t Distance(size_t from, size_t to) const {
    return to >= from ? to - from : to + capacity_ - from;
  }

  // The slot that has `key`, or the empty one where it would go.
  size_t Probe(uint32_t key) const {
    size_t slot = Home(key);
    while (slots_[slot].key_ != kEmpty && slots_[slot].key_ != key) slot = Next(slot);
    return slot;
  }

  void Vacate(size_t hole) {
    for (size_t slot = Next(hole); slots_[slot].key_ != kEmpty; slot = Next(slot)) {
      // An entry may move back into the hole unless that would be before its home.
      if (Distance(Home(slots_[slot].key_), slot) >= Distance(hole, slot)) {
        slots_[hole] = slots_[slot];
        hole = slot;
      }
    }
    slots_[hole].key_ = kEmpty;
    --size_;
  }

  // Far below the density at which it grows, so that no change makes it go back and forth.
  void Shrink() {
    if (size_ == 0) {
      slots_.reset();
      capacity_ = 0;
    } else if (capacity_ > kCapacityMin && size_ * 6 < capacity_) {
      Rehash(std::max(size_ * 5 / 2, kCapacityMin));
    }
  }

  void Rehash(size_t capacity) {
    PairTable old = std::move(*this);
    slots_ = std::make_unique_for_overwrite<Entry[]>(capacity);
    capacity_ = capacity;
    for (size_t slot = 0; slot < capacity; ++slot) slots_[slot].key_ = kEmpty;
    for (size_t slot = 0; slot < old.capacity_; ++slot) {
      const Entry& entry = old.slots_[slot];
      if (entry.key_ == kEmpty) continue;
      slots_[Probe(entry.key_)] = entry;
      ++size_;
    }
  }

  uint64_t seed_ = 0;
  std::unique_ptr<Entry[]> slots_;
  size_t capacity_ = 0;
  size_t size_ = 0;
};

}  // namespace dgc
