// GrpcTransport: the Transport of production, one channel per owner.
//
// Calls are asynchronous, on gRPC's own threads, each with a deadline on the monotonic clock.  A
// channel reconnects within a second or two of its owner's return, and is made anew if calls keep
// timing out: a connection to a machine that vanished can look healthy for a quarter of an hour.
#pragma once

#include <grpcpp/security/credentials.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "dgc/rpc/peer_stub.h"
#include "dgc/rpc/receiver.h"
#include "dgc/runtime/alarm.h"
#include "dgc/runtime/mutex.h"
#include "dgc/runtime/transport.h"

namespace dgc {

class GrpcTransport final : public Transport {
 public:
  // Null credentials: insecure.  `observer` may be null.
  GrpcTransport(std::shared_ptr<grpc::ChannelCredentials> credentials,
                std::shared_ptr<CallObserver> observer);
  // REQUIRES: Shutdown() was called, if Start() was.
  ~GrpcTransport() override;

  void Start(Answered answered) override;
  void Send(Outgoing outgoing) override;
  bool MayFree(size_t owners) const override;
  void Retain(const absl::flat_hash_set<std::string>& owners) override;
  void Shutdown() override;

 private:
  // To one owner.
  struct Line {
    std::unique_ptr<PeerStub> stub;
    // Given up for a new one, and not freed yet.  The new one is kept for as long, so that an owner
    // that never answers in time has two connections and no more.
    std::unique_ptr<PeerStub> former;
    uint32_t timeouts = 0;  // in a row
  };

  PeerStub* StubFor(const std::string& owner) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Those no longer used that may be destroyed, by this thread and without the lock.
  std::vector<std::unique_ptr<PeerStub>> TakeIdle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RetireAll(Line* line) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteOutcome(const std::string& owner, const PeerStub* stub, grpc::StatusCode code);
  // Forgets the call; the last one lets Shutdown go on.
  void Finished(uint64_t id);

  // Constant after Start().
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  const std::shared_ptr<CallObserver> observer_;
  Answered answered_;

  mutable Mutex mutex_;
  bool shut_down_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_map<std::string, Line> lines_ ABSL_GUARDED_BY(mutex_);
  // Of owners no longer wanted, and perhaps not idle yet.
  std::vector<std::unique_ptr<PeerStub>> retired_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<uint64_t, std::shared_ptr<PeerStub::Call>> calls_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  Alarm idle_;
};

}  // namespace dgc
