#include "bench/macro/peer.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace dgc::bench {

Peer::Peer(const std::string& address, const Holder* identity) : owner(address) {
  // Without this, all channels of a process to one address share a connection.
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (identity != nullptr) identity->Identify(&arguments);
  const auto channel =
      grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
  collector = v1::CollectorService::NewStub(channel);
  bench = BenchService::NewStub(channel);
}

int64_t Peer::Fill(uint64_t objects, bool by_edges) {
  grpc::ClientContext context;
  FillRequest request;
  FillResponse response;
  request.set_objects(objects);
  request.set_by_edges(by_edges);
  Require(bench->Fill(&context, request, &response), "Fill");
  if (by_edges) return response.rss_growth();
  incarnation = response.incarnation();
  while (ids.size() < objects) {
    grpc::ClientContext ids_context;
    IdsRequest ids_request;
    IdsResponse ids_response;
    ids_request.set_begin(ids.size());
    ids_request.set_count(kIdsMax);
    Require(bench->Ids(&ids_context, ids_request, &ids_response), "Ids");
    for (int i = 0; i < ids_response.high_size(); ++i) {
      ids.push_back({ids_response.high(i), ids_response.low(i)});
    }
  }
  return response.rss_growth();
}

void Peer::Release() {
  grpc::ClientContext context;
  ReleaseResponse response;
  Require(bench->Release(&context, {}, &response), "Release");
}

LookResponse Peer::Look() {
  grpc::ClientContext context;
  LookResponse response;
  Require(bench->Look(&context, {}, &response), "Look");
  return response;
}

v1::DirtyRequest Peer::Dirty(const ClientId& client, int term_seconds) {
  v1::DirtyRequest request;
  request.mutable_client()->set_high(client.high);
  request.mutable_client()->set_low(client.low);
  request.set_owner(owner);
  request.set_owner_incarnation(incarnation);
  request.set_sequence_number(NextSequence());
  request.mutable_requested_term()->set_seconds(term_seconds);
  return request;
}

v1::CleanRequest Peer::Clean(const ClientId& client) {
  v1::CleanRequest request;
  request.mutable_client()->set_high(client.high);
  request.mutable_client()->set_low(client.low);
  request.set_owner(owner);
  request.set_owner_incarnation(incarnation);
  request.set_sequence_number(NextSequence());
  return request;
}

void Peer::List(const ClientId& client, size_t begin, size_t end, int term_seconds) {
  for (size_t at = begin; at < end; at += kIdsMax) {
    v1::DirtyRequest request = Dirty(client, term_seconds);
    for (size_t i = at; i < std::min(end, at + kIdsMax); ++i) AddId(ids[i], &request);
    grpc::ClientContext context;
    v1::DirtyResponse response;
    Require(collector->Dirty(&context, request, &response), "Dirty");
    if (!response.failures().empty()) {
      std::fprintf(stderr, "bench_client: an object could not be listed\n");
      std::exit(1);
    }
  }
}

}  // namespace dgc::bench
