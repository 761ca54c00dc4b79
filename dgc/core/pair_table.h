// PairTable: what one client has listed, object -> sequence number.
//
// The most numerous thing an owner keeps: one entry per (client, object) pair, ten million in one
// process by design.  So it is a hash table of the project's own:
//   * 12 bytes a slot, 5/12 to 1/2 full: 24 to 29 bytes per pair, against 19 to 39 for
//     absl::flat_hash_map, and two cache lines, next to each other, for a look-up in a big table;
//   * no call but EraseIf passes over all that is in it: it is made of segments of some thousands
//     of entries, each of which grows by itself, and one is split at a time; now and then their
//     directory is copied, 24 bytes a segment;
//   * its order is a function of the calls alone (absl's depends on addresses), so what is
//     reclaimed first after a lapse is the same in every run of the simulator;
//   * a table whose client has lapsed can be taken apart in bounded steps, memory and all.
// Linear hashing (Litwin 1980) finds the segment; within it, linear probing with backward-shift
// deletion (Knuth, TAOCP 3, 6.4, algorithm R): no tombstones.
// Slots are in the order of the hash, whatever the capacity, so that a segment grows by one pass
// from front to back over both.  Each table has an order of its own (its seed): positions are freed
// in the order in which a lapsed client's table is taken apart and used again in that order, and a
// table filled in its own order would pile all up at its front, in quadratic time.  Nor can the
// client know it, who chooses among the positions that ids show it what to list.
//
// Thread-compatible.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "absl/container/inlined_vector.h"
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

  // Entries of a segment on average, where there are several; until it is split, twice as many.
#ifdef DGC_SMALL_LIMITS  // So that few are enough for the simulator.
  static constexpr size_t kSegmentSize = 4;
#else
  static constexpr size_t kSegmentSize = 8192;
#endif

  // `seed`: random, known to nobody outside this process.
  PairTable() : PairTable(0) {}
  explicit PairTable(uint64_t seed) : seed_(Mix(seed + 0x9e3779b97f4a7c15u)) {}
  PairTable(PairTable&& other) noexcept { *this = std::move(other); }
  PairTable& operator=(PairTable&& other) noexcept {
    seed_ = other.seed_;
    segments_ = std::exchange(other.segments_, {});
    half_ = std::exchange(other.half_, 1);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  size_t size() const { return size_; }
  // On the heap.  O(segments).
  size_t bytes() const {
    size_t bytes = segments_.capacity() > 1 ? segments_.capacity() * sizeof(Segment) : 0;
    for (const Segment& segment : segments_) bytes += segment.capacity * sizeof(Entry);
    return bytes;
  }

  // The entry of `object`, or nullptr.  Valid until the next change of the table.
  Entry* Find(ObjectIndex object) {
    if (size_ == 0) return nullptr;
    const uint64_t hash = Hash(Raw(object));
    Segment& segment = segments_[SegmentOf(hash)];
    if (segment.capacity == 0) return nullptr;
    Entry& entry = segment.slots[segment.Probe(hash, Raw(object))];
    return entry.key_ == kEmpty ? nullptr : &entry;
  }

  // Brings what Find() or Insert() of `object` will need closer; for batches.
  void Prefetch(ObjectIndex object) const {
    if (size_ == 0) return;
    const uint64_t hash = Hash(Raw(object));
    const Segment& segment = segments_[SegmentOf(hash)];
    if (segment.capacity == 0) return;
    const Entry* const home = &segment.slots[segment.Home(hash)];
    dgc::Prefetch(home);
    dgc::Prefetch(home + kLikelyProbes);
  }

  // REQUIRES: `object` is absent.
  void Insert(ObjectIndex object, SequenceNumber sequence) {
    if (segments_.empty()) segments_.emplace_back();
    const uint64_t hash = Hash(Raw(object));
    Segment& segment = segments_[SegmentOf(hash)];
    if ((segment.size + 1) * 2 > segment.capacity) {
      Rehash(segment, segment.capacity + segment.capacity / 5 + 1);
    }
    Entry& entry = segment.slots[segment.Probe(hash, Raw(object))];
    entry.key_ = Raw(object);
    entry.set_sequence(sequence);
    ++segment.size;
    ++size_;
    if (size_ > segments_.size() * kSegmentSize) Split();
  }

  // REQUIRES: `object` is present.
  void Erase(ObjectIndex object) {
    const uint64_t hash = Hash(Raw(object));
    Segment& segment = segments_[SegmentOf(hash)];
    Vacate(segment, segment.Probe(hash, Raw(object)));
    Shrink(segment);
    if (Sparse()) Merge();
  }

  // Removes and returns some entry; nullopt if empty.  A sequence of calls without other changes
  // between them costs O(capacity) in all: `cursor` says where to go on, and starts at 0.  Calls
  // soon(object) for what later calls may return, to be fetched in good time.
  template <typename Soon>
  std::optional<ObjectIndex> TakeAny(size_t& cursor, Soon soon) {
    constexpr size_t kAhead = 32;
    while (size_ > 0) {
      const Segment& last = segments_.back();
      for (; cursor < last.capacity; ++cursor) {
        if (cursor + kAhead < last.capacity && last.slots[cursor + kAhead].key_ != kEmpty) {
          soon(last.slots[cursor + kAhead].object());
        }
        // Nothing is shifted, or counted: once begun, only TakeAny is called on this table.
        if (last.slots[cursor].key_ == kEmpty) continue;
        --size_;
        return last.slots[cursor++].object();
      }
      segments_.pop_back();
      cursor = 0;
    }
    return std::nullopt;
  }

  // Removes every entry for which `gone(object, sequence)` holds.  O(capacity), in place.  An entry
  // that is kept may be asked about twice.
  template <typename Predicate>
  void EraseIf(Predicate gone) {
    for (Segment& segment : segments_) {
      for (size_t slot = 0; slot < segment.capacity; ++slot) {
        // Whatever moves into the hole comes from slots not yet visited, or around the end.
        while (segment.slots[slot].key_ != kEmpty &&
               gone(segment.slots[slot].object(), segment.slots[slot].sequence())) {
          Vacate(segment, slot);
        }
      }
      Shrink(segment);
    }
    while (Sparse()) Merge();
  }

 private:
  static constexpr uint32_t kEmpty = 0xffffffff;
  static constexpr size_t kCapacityMin = 4;
  // How far most searches go, of entries that are there or not.
  static constexpr size_t kLikelyProbes = 5;

  struct Segment {
    std::unique_ptr<Entry[]> slots;
    size_t capacity = 0;
    size_t size = 0;

    // The upper half of the hash, scaled to the capacity.
    size_t Home(uint64_t hash) const { return (hash >> 32) * capacity >> 32; }
    size_t Next(size_t slot) const { return slot + 1 == capacity ? 0 : slot + 1; }
    // How far `to` lies behind `from`, around the end.
    size_t Distance(size_t from, size_t to) const {
      return to >= from ? to - from : to + capacity - from;
    }
    // The slot that has `key`, or the empty one where it would go.
    size_t Probe(uint64_t hash, uint32_t key) const {
      size_t slot = Home(hash);
      while (slots[slot].key_ != kEmpty && slots[slot].key_ != key) slot = Next(slot);
      return slot;
    }
  };

  uint64_t Hash(uint32_t key) const { return Mix(key + seed_); }

  // With 2^k to 2^(k+1) - 1 segments, the lowest k + 1 bits of the hash; k where there is no such
  // segment, as the one of k bits has yet to be split.
  size_t SegmentOf(uint64_t hash) const {
    const size_t segment = hash & (2 * half_ - 1);
    // No branch, as nobody could predict it.
    return segment - (half_ & -size_t{segment >= segments_.size()});
  }

  void Vacate(Segment& segment, size_t hole) {
    Entry* const slots = segment.slots.get();
    for (size_t slot = segment.Next(hole); slots[slot].key_ != kEmpty; slot = segment.Next(slot)) {
      // An entry may move back into the hole unless that would be before its home.
      if (segment.Distance(segment.Home(Hash(slots[slot].key_)), slot) >=
          segment.Distance(hole, slot)) {
        slots[hole] = slots[slot];
        hole = slot;
      }
    }
    slots[hole].key_ = kEmpty;
    --segment.size;
    --size_;
  }

  // Far below the density at which it grows, so that no change makes it go back and forth.
  void Shrink(Segment& segment) {
    if (segment.size == 0) {
      segment = {};
    } else if (segment.capacity > kCapacityMin && segment.size * 6 < segment.capacity) {
      Rehash(segment, Roomy(segment.size));
    }
  }

  // Just after it has grown.
  static size_t Roomy(size_t size) { return size * 12 / 5 + 1; }

  void Rehash(Segment& segment, size_t capacity) {
    const Segment old = std::exchange(segment, {});
    Allocate(segment, capacity);
    for (size_t slot = 0; slot < old.capacity; ++slot) Move(old.slots[slot], segment);
  }

  static void Allocate(Segment& segment, size_t capacity) {
    capacity = std::max(capacity, kCapacityMin);
    segment.slots = std::make_unique_for_overwrite<Entry[]>(capacity);
    segment.capacity = capacity;
    for (size_t slot = 0; slot < capacity; ++slot) segment.slots[slot].key_ = kEmpty;
  }

  void Move(const Entry& entry, Segment& to) const {
    if (entry.key_ == kEmpty) return;
    to.slots[to.Probe(Hash(entry.key_), entry.key_)] = entry;
    ++to.size;
  }

  // The one whose turn it is, which need not be the one that has grown.
  void Split() {
    const size_t from = segments_.size() - half_;
    segments_.emplace_back();
    half_ = std::bit_floor(segments_.size());
    const Segment old = std::exchange(segments_[from], {});
    const auto end = old.slots.get() + old.capacity;
    const size_t leaving = std::count_if(old.slots.get(), end, [&](const Entry& entry) {
      return entry.key_ != kEmpty && SegmentOf(Hash(entry.key_)) != from;
    });
    Allocate(segments_[from], Roomy(old.size - leaving));
    Allocate(segments_.back(), Roomy(leaving));
    for (const Entry* entry = old.slots.get(); entry != end; ++entry) {
      Move(*entry, segments_[SegmentOf(Hash(entry->key_))]);
    }
  }

  void Merge() {
    const Segment last = std::exchange(segments_.back(), {});
    segments_.pop_back();
    half_ = std::bit_floor(segments_.size());
    if (segments_.capacity() >= 4 * segments_.size() || segments_.size() == 1) {
      segments_.shrink_to_fit();
    }
    Segment& into = segments_[segments_.size() - half_];
    const size_t size = into.size + last.size;
    if (size * 2 > into.capacity) Rehash(into, Roomy(size));
    for (size_t slot = 0; slot < last.capacity; ++slot) Move(last.slots[slot], into);
  }

  bool Sparse() const {
    return segments_.size() > 1 && size_ < segments_.size() * kSegmentSize / 4;
  }

  uint64_t seed_ = 0;
  absl::InlinedVector<Segment, 1> segments_;
  size_t half_ = 1;  // the greatest power of two that is not greater than segments_.size()
  size_t size_ = 0;
};

}  // namespace dgc
