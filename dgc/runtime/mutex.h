// Mutex and MutexLock: std::mutex with clang's thread-safety annotations.
//
// Not absl::Mutex, for two reasons: Debian's is built with deadlock detection on (23 ns a pair
// against 15, and an abort on lock-order inversions), and ThreadSanitizer, which does not see
// into Debian's abseil, would call everything it guards a race.
#pragma once

#include <mutex>

#include "absl/base/thread_annotations.h"

namespace dgc {

class ABSL_LOCKABLE Mutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex_->Lock();
  }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->Unlock(); }

 private:
  Mutex* const mutex_;
};

}  // namespace dgc
