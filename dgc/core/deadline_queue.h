// DeadlineQueue: which keys are due, earliest first.
//
// A binary heap with lazy updates.  Moving a deadline later costs nothing: the
// queue is not told; when the old deadline comes up, the owner of the key answers with the present
// one and the key goes back in.  So a renewal is one store, and a key costs O(log n) once per term,
// as cheap as a timing wheel and exact to the nanosecond.  (The same idea as the lazy cancellation
// in Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", 1987.)
//
// Ties are broken by key, so the order never depends on history.  Thread-compatible; reads no
// clock.
#pragma once

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "dgc/core/time.h"

namespace dgc {

template <typename Key>
class DeadlineQueue {
 public:
  void Add(TimePoint deadline, Key key) {
    heap_.push_back({deadline, key});
    std::push_heap(heap_.begin(), heap_.end(), Later);
  }

  // Takes the earliest key if its deadline is at or before `now`.  The caller checks the key's
  // present deadline and calls Add() again if that is later.
  std::optional<Key> TakeDue(TimePoint now) {
    if (heap_.empty() || heap_.front().deadline > now) return std::nullopt;
    return TakeFirst();
  }

  std::optional<TimePoint> next() const {
    if (heap_.empty()) return std::nullopt;
    return heap_.front().deadline;
  }

  // Drops the keys for which `dead(key)` holds.  O(size); call it when most entries are dead.
  template <typename Predicate>
  void Compact(Predicate dead) {
    std::erase_if(heap_, [&](const Entry& entry) { return dead(entry.key); });
    std::make_heap(heap_.begin(), heap_.end(), Later);
  }

  size_t size() const { return heap_.size(); }

 private:
  struct Entry {
    TimePoint deadline;
    Key key;
  };
  static bool Later(const Entry& a, const Entry& b) {
    return a.deadline != b.deadline ? a.deadline > b.deadline : a.key > b.key;
  }
  Key TakeFirst() {
    std::pop_heap(heap_.begin(), heap_.end(), Later);
    const Key key = heap_.back().key;
    heap_.pop_back();
    return key;
  }

  std::vector<Entry> heap_;
};

}  // namespace dgc
