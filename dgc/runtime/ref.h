// Ref: a handle to an object, this process's own or somebody else's.
//
//     dgc::Ref upload = holder.Import(reply.upload());
//     if (!upload.ok()) return upload.status();
//     stub->Append(upload.Context(), request, &response);
//
// While any copy of a Ref exists, the object is kept: an own one is pinned, a remote one stays
// listed at its owner, renewed in the background.  Dropping the last copy gives it up, in a batch
// with others.  Copies cost an atomic increment, the last drop a short lock.  A Ref may be a member
// of a hosted object, but then keeps its target as a root would: what should be collected with the
// object, cycles included, is an edge (Owner::Link).
//
// A Ref is either
//   * empty (default-made or moved from): status() is FAILED_PRECONDITION;
//   * refused: what returned it failed, and status() says why;
//   * held: ok(), until the reference is *lost*, and then status() says when and why.
//
// Thread rules as std::shared_ptr: different Refs to one object may be used and dropped
// concurrently, const methods of one Ref too.  A Ref may outlive its Owner or Holder; then it keeps
// nothing and its status() is CANCELLED.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "dgc/core/ids.h"
#include "dgc/core/ref.h"
#include "dgc/core/reference_error.h"
#include "dgc/core/time.h"

namespace dgc {

class CallContext;
class Engine;
namespace v1 {
class Ref;
}

namespace internal {
// What the copies of one Ref share.  Counts itself.
struct Handle {
  std::atomic<uint32_t> copies{1};
  std::shared_ptr<Engine> engine;  // Null if refused.
  Target target;
  absl::Status refused;
};
}  // namespace internal

class Ref {
 public:
  Ref() = default;
  Ref(const Ref& other) : handle_(other.handle_) {
    if (handle_ != nullptr) handle_->copies.fetch_add(1, std::memory_order_relaxed);
  }
  Ref(Ref&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Ref() { Drop(); }

  // Whether the reference is held and not known to be lost.
  bool ok() const { return status().ok(); }
  // OK, or:
  //   NOT_FOUND            the object never existed, was reclaimed or unexported: which, when, why;
  //   FAILED_PRECONDITION  the owner has restarted, or the Ref is empty;
  //   PERMISSION_DENIED    the owner takes this process for an impostor (ClientKey);
  //   CANCELLED            the Owner or Holder it came from was shut down;
  //   or whatever refused it (INVALID_ARGUMENT, RESOURCE_EXHAUSTED ...).
  // The first three, but for the empty Ref, as a value: ReferenceErrorOf(status()).  Does not ask
  // the owner: OK means "not known to be lost".
  absl::Status status() const;

  // Whether the object is known to be kept, without asking: for an own one always, for a remote
  // one while the lease runs, counted from when the last renewal left.  To be asked before acting
  // on the reference after a pause of unknown length; false says only that the renewal under way
  // may find it lost.
  bool assured() const;

  // For a synchronous call to the object's owner: names this process to the callee, and
  // keeps a copy of the Ref until the call is over.  Include "dgc/runtime/call_context.h", as
  // holder.h and owner.h do.
  CallContext Context() const;

  // Names the object in a call to its own owner, which does not keep what it is given: protects
  // nothing, costs nothing.  An empty message unless held.
  v1::Ref Wire() const;

  // The reference as it travels to whoever is to keep it, in any message, by any path; imported
  // at most once for each Share().  The object is kept until the receiver has imported it, or
  // `term` has passed (0: the owner's default); Options::on_hand_on_expired hears if it did, or if
  // its owner is silent.  On failure (RESOURCE_EXHAUSTED, or status() is
  // not OK) the result is an empty message, which no one will import; the other form says why,
  // and then leaves `into` unchanged.
  v1::Ref Share(Duration term = Duration::zero()) const;
  absl::Status Share(Duration term, v1::Ref* into) const;

  // The reference in plain values, without any protection: for logs, maps and comparisons.  All
  // empty unless held.
  WireRef Describe() const;
  // Invalid unless held.
  ObjectId id() const { return Describe().id; }

  // Gives up this copy; the Ref is empty then.
  void reset() { *this = Ref(); }
  // Whether the Ref is held or lost, that is neither empty nor refused.
  explicit operator bool() const { return handle_ != nullptr && handle_->engine != nullptr; }

  // Whether both are handles to the same object (of the same Owner or Holder), or both empty.
  friend bool operator==(const Ref& a, const Ref& b) {
    if (a.handle_ == b.handle_) return true;
    return a && b && a.handle_->engine == b.handle_->engine &&
           a.handle_->target == b.handle_->target;
  }

 private:
  friend class Engine;
  // Takes over one count of `handle`.
  explicit Ref(internal::Handle* handle) : handle_(handle) {}
  void Drop() {
    if (handle_ != nullptr && handle_->copies.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      LastDropped(handle_);
    }
  }
  static void LastDropped(internal::Handle* handle);

  internal::Handle* handle_ = nullptr;
};

// Some of an object's edges.
struct Edges {
  std::vector<Ref> refs;  // Handles; in no particular order.
  uint64_t total = 0;     // How many the object has.
};

}  // namespace dgc
