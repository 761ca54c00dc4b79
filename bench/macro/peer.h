// Peer: one bench_owner as a benchmark sees it: two stubs, the ids of its objects, and short verbs.
//
// Clients are just ids here: one process plays as many holders as a case needs.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/macro/load.h"
#include "dgc/core/ids.h"
#include "dgc/runtime/holder.h"
#include "dgc/v1/collector.grpc.pb.h"
#include "macro/bench.grpc.pb.h"

namespace dgc::bench {

inline constexpr int kTermSeconds = 600;

// The most ids of one request.
inline constexpr size_t kIdsMax = 65536;

class Peer {
 public:
  // `identity`, if given, names every call of this Peer.
  explicit Peer(const std::string& address, const Holder* identity = nullptr);

  // Exports `objects` and, unless they are kept by edges, learns their ids.  Returns the growth of
  // resident memory.
  int64_t Fill(uint64_t objects, bool by_edges = false);
  void Release();
  LookResponse Look();

  static ClientId Client(uint64_t number) { return {Mix(number + 1), number + 1}; }
  // Requests with the next sequence number and without ids.
  v1::DirtyRequest Dirty(const ClientId& client, int term_seconds = kTermSeconds);
  v1::CleanRequest Clean(const ClientId& client);
  // Lists objects [begin, end) for `client`, in as few calls as there can be.
  void List(const ClientId& client, size_t begin, size_t end, int term_seconds = kTermSeconds);

  uint64_t NextSequence() { return ++sequence_; }

  std::unique_ptr<v1::CollectorService::Stub> collector;
  std::unique_ptr<BenchService::Stub> bench;
  const std::string owner;  // its name is its address
  uint64_t incarnation = 1;
  std::vector<ObjectId> ids;

 private:
  uint64_t sequence_ = 0;
};

template <typename Request>
void AddId(const ObjectId& id, Request* request) {
  request->add_object_id_high(id.high);
  request->add_object_id_low(id.low);
}

template <typename Request>
void SetIds(const std::vector<ObjectId>& ids, Request* request) {
  request->clear_object_id_high();
  request->clear_object_id_low();
  for (const ObjectId& id : ids) AddId(id, request);
}

using DirtyLane = Lane<v1::CollectorService::Stub, v1::DirtyRequest, v1::DirtyResponse>;
using CleanLane = Lane<v1::CollectorService::Stub, v1::CleanRequest, v1::CleanResponse>;
using RenewLane = Lane<v1::CollectorService::Stub, v1::RenewRequest, v1::RenewResponse>;

}  // namespace dgc::bench
