// Holder: lets a process hold references to objects of others.
//
//     dgc::Holder holder({});                             // one per process, made early
//     stub->CreateUpload(holder.Context(), request, &reply);
//     dgc::Ref upload = holder.Import(reply.upload());    // copy, move, drop
//     stub->Append(upload.Context(), chunk, &response);
//
// Registering, renewing, retrying with backoff and giving up happen in the background, on three
// threads whatever the number of owners, and through one channel per owner.  A process that also
// hosts objects makes an Owner instead, which is a Holder too: one identity, one engine.
//
// Destroying a Holder says goodbye to all owners (bounded by Options::goodbye_timeout); Refs that
// are left keep nothing afterwards.  A process that dies without it costs its owners one lease
// term.
//
// Thread-safe, but for destruction, which must not run on a gRPC callback thread or in a callback
// of Options.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "dgc/core/ids.h"
#include "dgc/core/time.h"
#include "dgc/rpc/status.h"
#include "dgc/runtime/call_context.h"
#include "dgc/runtime/options.h"
#include "dgc/runtime/ref.h"
#include "dgc/runtime/stats.h"
#include "dgc/v1/ref.pb.h"

namespace prometheus {
class Collectable;
}

namespace dgc {

class CallCounts;
class Engine;

class Holder {
 public:
  // REQUIRES: Validate(options).ok(), and no name: what has one is an Owner.
  explicit Holder(Options options);
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  virtual ~Holder();

  // Takes in a reference that has arrived.  Never blocks; the owner hears of it in the background,
  // and until then the transit lease in `ref` protects the object.  Each wire reference is imported
  // once: to hold it twice, copy the Ref.  Refused (see Ref::status):
  //   INVALID_ARGUMENT     malformed, also when empty;
  //   FAILED_PRECONDITION  an own object of an earlier run of this process;
  //   NOT_FOUND            an own object that is gone: when and why (also ReferenceErrorOf);
  //   RESOURCE_EXHAUSTED   imports_max, peers_max or types_max.
  Ref Import(const v1::Ref& ref);

  // Hands a reference on, by any path; as Ref::Share.
  v1::Ref Share(const Ref& ref, Duration term = Duration::zero()) { return ref.Share(term); }

  // For a synchronous call that may return references: names this process to the callee.
  CallContext Context() const;
  // The same for a context of one's own, before its call begins.  The caller keeps the Refs that
  // the call needs.
  void Identify(grpc::ClientContext* context) const;
  // The same for a channel: all its calls name this process, and HTTP/2 sends the name once.  For
  // stubs that are out of one's hands; it costs about as much as naming oneself per call.
  void Identify(grpc::ChannelArguments* arguments) const;
  // The identity of this process as a holder; new on every start.
  ClientId id() const;

  // Waits until the owners know of everything imported, dropped and handed on so far, at most
  // `timeout`; returns whether they do.  Nothing depends on calling it; for tests and tools.
  bool Settle(Duration timeout);

  // Says goodbye and stops everything in the background; what the destructor does.  Idempotent:
  // whoever comes second returns when everything has stopped, too.
  void Shutdown();

  // The metrics of this process (METRICS.md), for prometheus::Exposer::RegisterCollectable, which
  // keeps no ownership.
  std::shared_ptr<prometheus::Collectable> metrics() const;
  // The same numbers as plain values, for tests and tools.
  Stats stats() const;

 protected:
  Holder(Options options, bool hosts);
  Engine& engine() const { return *engine_; }
  CallCounts* calls() const { return calls_.get(); }

 private:
  const Duration goodbye_timeout_;
  const std::shared_ptr<CallCounts> calls_;
  const std::shared_ptr<Engine> engine_;
  const std::shared_ptr<prometheus::Collectable> metrics_;
};

}  // namespace dgc
