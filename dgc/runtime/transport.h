// Transport: how an engine's requests reach other processes.
//
// The seam between the runtime and gRPC (GrpcTransport); tests put a fake there.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "dgc/core/ids.h"
#include "dgc/core/message.h"
#include "dgc/core/time.h"

namespace dgc {

// A request on its way, and what its answer is told by.
struct Outgoing {
  std::string owner;  // Whom to dial.
  PeerIndex peer{};
  uint64_t call = 0;
  Request request;
  Duration timeout{};
};

// Thread-safe.
class Transport {
 public:
  // Takes the answer to one Outgoing.  Thread-safe; does not block.
  using Answered = std::function<void(PeerIndex peer, uint64_t call, const Response& response)>;

  virtual ~Transport() = default;

  // Called once, before anything else.
  virtual void Start(Answered answered) = 0;
  // Sends it.  Does not block.  Answered exactly once, on another thread; if nothing came within
  // the timeout, with kUnknownOutcome.
  virtual void Send(Outgoing outgoing) = 0;
  // Whether Retain has something to look for when there are that many owners.
  virtual bool MayFree(size_t owners) const = 0;
  // Frees what is kept for other owners than these.
  virtual void Retain(const absl::flat_hash_set<std::string>& owners) = 0;
  // Gives up what is under way.  When it returns, `answered` will not be called any more.
  virtual void Shutdown() = 0;
};

}  // namespace dgc
