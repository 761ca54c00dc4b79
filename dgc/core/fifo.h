// Fifo: a queue that costs nothing while it is empty.
//
// (A std::deque allocates half a kilobyte when it is made, and there is one of these per owner that
// a process deals with, several times.)  What was taken is let go of when it is half of the memory.
//
// Thread-compatible.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace dgc {

template <typename T>
class Fifo {
 public:
  bool empty() const { return first_ == items_.size(); }
  size_t size() const { return items_.size() - first_; }
  // REQUIRES: !empty().
  const T& front() const { return items_[first_]; }

  void push_back(T item) { items_.push_back(std::move(item)); }
  // REQUIRES: !empty().
  void pop_front() {
    if (++first_ * 2 >= items_.size()) Trim();
  }
  void clear() {
    items_.clear();
    first_ = 0;
  }
  // Of the first `count`, at most size(); the order of the others stays.  Asks in order, and
  // returns how many are gone.  O(count).
  template <typename Predicate>
  size_t EraseIf(size_t count, Predicate gone) {
    const auto begin = items_.begin() + static_cast<ptrdiff_t>(first_);
    const auto end = begin + static_cast<ptrdiff_t>(count);
    const auto kept = std::remove_if(begin, end, gone);
    const auto erased = static_cast<size_t>(end - kept);
    std::move_backward(begin, kept, end);
    first_ += erased;
    if (first_ * 2 >= items_.size()) Trim();
    return erased;
  }

 private:
  void Trim() {
    items_.erase(items_.begin(), items_.begin() + static_cast<ptrdiff_t>(first_));
    first_ = 0;
  }

  std::vector<T> items_;
  size_t first_ = 0;
};

}  // namespace dgc
