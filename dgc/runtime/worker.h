// Worker: a thread that handles what others leave for it, one by one, in the order left.
//
//     Worker<Event> notifier([](Event& event) { ... });
//     notifier.Start();                // or RunWaiting() now and then, without a thread
//     notifier.Put(&events);
//     notifier.Stop();                 // when everything left has been handled
//
// Handling may block as long as it likes; leaving something never does.  It has no bound of its
// own: whoever puts looks at waiting() first.  Thread-safe, but for Start() and Stop().
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <iterator>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "dgc/runtime/alarm.h"
#include "dgc/runtime/mutex.h"

namespace dgc {

template <typename T>
class Worker {
 public:
  // Room for so many is used again instead of being freed, by a thread that did not allocate it.
  static constexpr size_t kSpareMax = 4096;

  explicit Worker(std::function<void(T&)> handle) : handle_(std::move(handle)) {}
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void Start() {
    thread_ = std::thread([this] {
      while (!stop_.load(std::memory_order_acquire)) {
        RunWaiting();
        alarm_.WaitFor(std::chrono::hours(1));
      }
    });
  }

  // Takes all of `items`.
  void Put(std::vector<T>* items) {
    if (items->empty()) return;
    waiting_.fetch_add(items->size(), std::memory_order_relaxed);
    {
      const MutexLock lock(&mutex_);
      if (items_.empty()) {
        std::swap(items_, *items);
      } else {
        items_.insert(items_.end(), std::move_iterator(items->begin()),
                      std::move_iterator(items->end()));
      }
    }
    items->clear();
    alarm_.Ring();
  }

  // How many are not yet handled to the end.
  uint64_t waiting() const { return waiting_.load(std::memory_order_relaxed); }

  // Handles what waits, in the calling thread.
  void RunWaiting() {
    std::vector<T> items;
    {
      const MutexLock lock(&mutex_);
      std::swap(items, items_);
      std::swap(items_, spare_);
    }
    for (T& item : items) {
      handle_(item);
      waiting_.fetch_sub(1, std::memory_order_relaxed);
    }
    items.clear();
    if (items.capacity() > kSpareMax) return;
    const MutexLock lock(&mutex_);
    std::swap(spare_, items);
  }

  // Nothing is put any more.
  void Stop() {
    stop_.store(true, std::memory_order_release);
    alarm_.Ring();
    if (thread_.joinable()) thread_.join();
    RunWaiting();
  }

 private:
  const std::function<void(T&)> handle_;
  std::atomic<uint64_t> waiting_{0};
  Alarm alarm_;
  std::atomic<bool> stop_{false};
  Mutex mutex_;
  std::vector<T> items_ ABSL_GUARDED_BY(mutex_);
  std::vector<T> spare_ ABSL_GUARDED_BY(mutex_);  // Empty.
  std::thread thread_;
};

}  // namespace dgc
