#include "services/object_host/object.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"

namespace object_host {
namespace {

// A lock per object would cost more memory than most payloads.
absl::Mutex& LockOf(const Object* object) {
  static std::array<absl::Mutex, 64> locks;
  return locks[(reinterpret_cast<uintptr_t>(object) >> 5) % locks.size()];
}

}  // namespace

bool Budget::Take(uint64_t amount) {
  uint64_t used = used_.load(std::memory_order_relaxed);
  do {
    if (amount > max_ || used > max_ - amount) return false;
  } while (!used_.compare_exchange_weak(used, used + amount, std::memory_order_relaxed));
  return true;
}

absl::StatusOr<Kind*> Kinds::Use(const std::string& type) {
  absl::MutexLock lock(&mutex_);
  auto it = kinds_.find(type);
  if (it == kinds_.end()) {
    if (kinds_.size() >= kinds_max_) {
      return absl::ResourceExhaustedError(absl::StrCat("more than ", kinds_max_, " types"));
    }
    auto kind = std::make_unique<Kind>(Kind{.type = type, .budget = budget_, .kinds = this});
    it = kinds_.emplace(type, std::move(kind)).first;
  }
  ++it->second->uses;
  return it->second.get();
}

void Kinds::Unuse(Kind* kind) {
  absl::MutexLock lock(&mutex_);
  if (--kind->uses == 0) kinds_.erase(kind->type);
}

uint64_t Object::payload_bytes() const {
  absl::MutexLock lock(&LockOf(this));
  return payload_.size();
}

std::string Object::Read(uint64_t offset, uint64_t bytes) const {
  absl::MutexLock lock(&LockOf(this));
  if (offset >= payload_.size()) return "";
  return payload_.substr(offset, bytes);
}

absl::StatusOr<uint64_t> Object::Write(uint64_t offset, const std::string& bytes,
                                       uint64_t bytes_max) {
  absl::MutexLock lock(&LockOf(this));
  if (offset > payload_.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("offset ", offset, " is beyond the end of ", payload_.size(), " bytes"));
  }
  if (bytes.size() > bytes_max || offset > bytes_max - bytes.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the payload would be larger than ", bytes_max, " bytes"));
  }
  const uint64_t end = offset + bytes.size();
  if (end > payload_.size() && !kind_->budget->Take(end - payload_.size())) {
    return absl::ResourceExhaustedError("the payloads of this host are full");
  }
  payload_.replace(offset, std::min<uint64_t>(bytes.size(), payload_.size() - offset), bytes);
  return payload_.size();
}

}  // namespace object_host
