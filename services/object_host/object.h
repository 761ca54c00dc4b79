// Object: what the object host hosts: a kind, a label, and a payload that can grow.
//
// Knows nothing of the collector: its edges and its life are the Owner's business.  Reading and
// writing the payload is thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace object_host {

// Counts what is in use (bytes of payload, calls) against a bound.  Thread-safe.
class Budget {
 public:
  explicit Budget(uint64_t max) : max_(max) {}
  // False, and nothing taken, if that would go over the bound.
  bool Take(uint64_t amount);
  void Return(uint64_t amount) { used_.fetch_sub(amount, std::memory_order_relaxed); }
  uint64_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  const uint64_t max_;
  std::atomic<uint64_t> used_{0};
};

class Kinds;

// What all objects of one type share, so that each carries one pointer.
struct Kind {
  const std::string type;
  Budget* const budget;
  Kinds* const kinds;
  uint64_t uses = 0;  // guarded by the lock of `kinds`
};

// The types of the objects there are.  Thread-safe.
class Kinds {
 public:
  // Both this and `budget` outlive everything of these kinds.
  Kinds(size_t kinds_max, Budget* budget) : kinds_max_(kinds_max), budget_(budget) {}
  // Counts as one use.  RESOURCE_EXHAUSTED: too many different types.
  absl::StatusOr<Kind*> Use(const std::string& type);
  // Takes one use back; the kind goes with the last.
  void Unuse(Kind* kind);

 private:
  const size_t kinds_max_;
  Budget* const budget_;
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, std::unique_ptr<Kind>> kinds_ ABSL_GUARDED_BY(mutex_);
};

class Object {
 public:
  // Takes over one use of `kind`, and `payload`, whose bytes have been taken from its budget.
  Object(Kind* kind, std::string label, std::string payload)
      : kind_(kind), label_(std::move(label)), payload_(std::move(payload)) {}
  ~Object() {
    kind_->budget->Return(payload_.size());
    kind_->kinds->Unuse(kind_);
  }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  const std::string& type() const { return kind_->type; }
  const std::string& label() const { return label_; }
  uint64_t payload_bytes() const;
  // Up to `bytes` from `offset` on; empty past the end.
  std::string Read(uint64_t offset, uint64_t bytes) const;
  // Overwrites and extends.  Returns the size afterwards.  INVALID_ARGUMENT: beyond the end, or the
  // payload would be larger than `bytes_max`.  RESOURCE_EXHAUSTED: the budget.
  absl::StatusOr<uint64_t> Write(uint64_t offset, const std::string& bytes, uint64_t bytes_max);

 private:
  Kind* const kind_;
  const std::string label_;
  // Guarded by the lock for this object, one of a few that all objects share.
  std::string payload_;
};

}  // namespace object_host
