// Receiver and CallObserver: what the rpc layer needs of whoever runs the collector.
//
// Both are called on gRPC threads, concurrently, and must not block.
#pragma once

#include <grpcpp/support/status.h>

#include <cstdint>

#include "dgc/core/message.h"
#include "dgc/core/time.h"
#include "dgc/rpc/method.h"

namespace dgc {

// What one call carried: its messages as encoded, without gRPC's frames and headers.
struct MessageBytes {
  uint64_t sent = 0;
  uint64_t received = 0;
};

class Receiver {
 public:
  virtual ~Receiver() = default;
  // Carries out a well-formed request.  Answers with the response of the same kind, or a Refusal.
  virtual Response Received(const Request& request) = 0;
};

class CallObserver {
 public:
  virtual ~CallObserver() = default;
  // A request of a peer was answered, `took` after it had been parsed.
  virtual void Served(Method method, grpc::StatusCode code, Duration took) = 0;
  // A request to a peer was answered, or given up, `took` after it was sent.
  virtual void Called(Method method, grpc::StatusCode code, Duration took, MessageBytes bytes) = 0;
};

}  // namespace dgc
