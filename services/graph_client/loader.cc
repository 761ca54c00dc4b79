#include "services/graph_client/loader.h"

#include <grpcpp/create_channel.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dgc/rpc/convert.h"
#include "dgc/rpc/status.h"

namespace graph_client {
namespace {

constexpr int kLinksPerCall = 2048;
// About what a reference takes in a message.
constexpr size_t kRefBytes = 96;
constexpr int kEdgesInCreateMax = 65536;
constexpr size_t kHostsMax = 256;
constexpr int64_t kProgressMillis = 250;
// How long owners may take to answer.
constexpr std::chrono::seconds kSettleTerm{60};

int64_t MillisNow() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

// One call.  It keeps a channel, so only the loader's thread lets go of it: dgc/rpc/peer_stub.h.
struct Loader::Call {
  virtual ~Call() = default;

  grpc::ClientContext context;
  // Its answer ends in Finished().
  std::function<void()> send;
};

template <typename Request, typename Response>
struct Loader::CallOf final : Call {
  Request request;
  Response response;
  std::vector<uint32_t> nodes;
};

Loader::Loader(dgc::Holder* holder, LoaderOptions options)
    : holder_(*holder), options_(std::move(options)) {
  for (const std::string& address : options_.hosts) {
    hosts_.emplace_back().stub = objects::v1::ObjectService::NewStub(
        grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  }
}

Loader::~Loader() { Await(1).IgnoreError(); }

uint64_t Loader::created() const {
  absl::MutexLock lock(&mutex_);
  return created_;
}

dgc::Ref Loader::Get(uint64_t node) const {
  absl::MutexLock lock(&mutex_);
  return node < refs_.size() ? refs_[node] : dgc::Ref();
}

void Loader::Clear() {
  std::vector<dgc::Ref> dropped;
  absl::MutexLock lock(&mutex_);
  dropped.swap(refs_);
}

absl::Status Loader::Load(GraphReader* reader) {
  if (hosts_.empty() || hosts_.size() > kHostsMax) {
    return absl::InvalidArgumentError(absl::StrCat("1 to ", kHostsMax, " hosts"));
  }
  Node node;
  while (true) {
    const absl::StatusOr<bool> more = reader->Next(&node);
    if (!more.ok()) return more.status();
    if (!*more) break;
    if (const absl::Status status = Add(&node, reader); !status.ok()) return status;
  }
  for (Host& host : hosts_) {
    if (const absl::Status status = Flush(&host); !status.ok()) return status;
  }
  if (const absl::Status status = SendReady(); !status.ok()) return status;
  if (const absl::Status status = Await(1); !status.ok()) return status;
  for (Host& host : hosts_) {
    if (const absl::Status status = LinkLater(&host); !status.ok()) return status;
  }
  if (const absl::Status status = SendReady(); !status.ok()) return status;
  return Await(1);
}

absl::Status Loader::Add(Node* node, GraphReader* reader) {
  if (node->host >= hosts_.size()) {
    return absl::InvalidArgumentError(absl::StrCat("node ", placed_.size(), ": no such host"));
  }
  const auto number = static_cast<uint32_t>(placed_.size());
  placed_.push_back(static_cast<uint8_t>(node->host));
  edges_ += node->edges.size();
  Host& host = hosts_[node->host];
  objects::v1::NewObject* object = host.filling.add_objects();
  object->set_type(node->type);
  object->set_label(node->label);
  const uint64_t piece = std::min<uint64_t>(node->payload_bytes, options_.payload_piece_bytes);
  if (const absl::Status status = reader->ReadPayload(piece, object->mutable_payload());
      !status.ok()) {
    return status;
  }
  host.bytes += piece + node->edges.size() * kRefBytes + kRefBytes;
  host.nodes.push_back(number);
  host.edges.push_back(std::move(node->edges));
  node->edges = {};

  if (piece < node->payload_bytes) {
    return WriteRest(&host, number, piece, node->payload_bytes, reader);
  }
  if (host.filling.objects_size() >= options_.batch_objects || host.bytes >= options_.batch_bytes) {
    return Flush(&host);
  }
  return absl::OkStatus();
}

absl::Status Loader::Flush(Host* host) {
  if (host->nodes.empty()) return absl::OkStatus();
  auto call = std::make_unique<CallOf<objects::v1::CreateRequest, objects::v1::CreateResponse>>();
  call->request = std::move(host->filling);
  call->nodes = std::move(host->nodes);
  host->filling.Clear();
  host->nodes.clear();
  for (size_t i = 0; i < call->nodes.size(); ++i) {
    objects::v1::NewObject* object = call->request.mutable_objects(static_cast<int>(i));
    for (const uint32_t edge : host->edges[i]) {
      if (object->edges_size() == kEdgesInCreateMax || !Get(edge)) {
        host->later.emplace_back(call->nodes[i], edge);
        continue;
      }
      if (const absl::Status status = Refer(host, edge, object->add_edges()); !status.ok()) {
        return status;
      }
    }
  }
  host->edges.clear();
  host->bytes = 0;
  holder_.Identify(&call->context);
  call->send = [this, stub = host->stub.get(), call = call.get()] {
    stub->async()->Create(&call->context, &call->request, &call->response,
                          [this, call](const grpc::Status& status) { OnCreated(call, status); });
  };
  ready_.push_back(std::move(call));
  return ready_.size() < options_.ready_max ? absl::OkStatus() : SendReady();
}

absl::Status Loader::SendReady() {
  if (!holder_.Settle(kSettleTerm)) return absl::UnavailableError("the hosts do not answer");
  for (std::unique_ptr<Call>& call : ready_) {
    if (const absl::Status status = Await(options_.in_flight_max); !status.ok()) return status;
    {
      absl::MutexLock lock(&mutex_);
      ++in_flight_;
    }
    call->context.set_deadline(Deadline());
    call.release()->send();  // Finished() takes it back.
  }
  ready_.clear();
  Progress();
  return absl::OkStatus();
}

void Loader::OnCreated(CallOf<objects::v1::CreateRequest, objects::v1::CreateResponse>* call,
                       const grpc::Status& status) {
  const std::vector<uint32_t>& nodes = call->nodes;
  const objects::v1::CreateResponse& response = call->response;
  absl::Status result = dgc::FromGrpc(status);
  std::vector<dgc::Ref> created;
  if (result.ok() && response.objects_size() != static_cast<int>(nodes.size())) {
    result = absl::InternalError("a host created another number of objects than asked for");
  }
  if (result.ok()) {
    created.reserve(nodes.size());
    for (const dgc::v1::Ref& ref : response.objects()) {
      created.push_back(holder_.Import(ref));
      result.Update(created.back().status());
    }
  }
  absl::MutexLock lock(&mutex_);
  if (result.ok()) {
    const size_t end = static_cast<size_t>(nodes.back()) + 1;  // Ascending.
    if (refs_.size() < end) refs_.resize(end);
    for (size_t i = 0; i < nodes.size(); ++i) refs_[nodes[i]] = std::move(created[i]);
    created_ += nodes.size();
  }
  Finished(call, result);
}

absl::Status Loader::WriteRest(Host* host, uint32_t node, uint64_t offset, uint64_t bytes,
                               GraphReader* reader) {
  if (const absl::Status status = Flush(host); !status.ok()) return status;
  if (const absl::Status status = SendReady(); !status.ok()) return status;
  if (const absl::Status status = Await(1); !status.ok()) return status;
  const dgc::Ref object = Get(node);
  objects::v1::WriteRequest request;
  dgc::ToProto(object.Describe(), request.mutable_object());
  while (offset < bytes) {
    const uint64_t piece = std::min<uint64_t>(bytes - offset, options_.payload_piece_bytes);
    request.clear_payload();
    if (const absl::Status status = reader->ReadPayload(piece, request.mutable_payload());
        !status.ok()) {
      return status;
    }
    request.set_offset(offset);
    objects::v1::WriteResponse response;
    dgc::CallContext context = object.Context();
    context->set_deadline(Deadline());
    const grpc::Status status = host->stub->Write(context, request, &response);
    if (!status.ok()) return dgc::FromGrpc(status);
    offset += piece;
    Progress();
  }
  return absl::OkStatus();
}

absl::Status Loader::LinkLater(Host* host) {
  size_t next = 0;
  while (next < host->later.size()) {
    auto call = std::make_unique<CallOf<objects::v1::LinkRequest, objects::v1::LinkResponse>>();
    for (int i = 0; i < kLinksPerCall && next < host->later.size(); ++i, ++next) {
      const auto [from, to] = host->later[next];
      if (!Get(to)) {
        return absl::InvalidArgumentError(
            absl::StrCat("node ", from, ": an edge to ", to, ", which does not exist"));
      }
      absl::Status status = Refer(host, from, call->request.add_from());
      status.Update(Refer(host, to, call->request.add_to()));
      if (!status.ok()) return status;
    }
    linked_later_ += static_cast<uint64_t>(call->request.from_size());
    holder_.Identify(&call->context);
    call->send = [this, stub = host->stub.get(), call = call.get()] {
      stub->async()->Link(&call->context, &call->request, &call->response,
                          [this, call](const grpc::Status& status) {
                            absl::MutexLock lock(&mutex_);
                            Finished(call, dgc::FromGrpc(status));
                          });
    };
    ready_.push_back(std::move(call));
    if (ready_.size() < options_.ready_max) continue;
    if (const absl::Status status = SendReady(); !status.ok()) return status;
  }
  host->later.clear();
  return absl::OkStatus();
}

absl::Status Loader::Refer(const Host* host, uint32_t node, dgc::v1::Ref* into) {
  const dgc::Ref ref = Get(node);
  if (&hosts_[placed_[node]] == host) {
    // Its own object, which we hold until the call is over: nothing travels that needs protection.
    dgc::ToProto(ref.Describe(), into);
    return ref.status();
  }
  constexpr int kAttempts = 60;
  for (int attempt = 1;; ++attempt) {
    const absl::Status status = ref.Share(dgc::Duration::zero(), into);
    if (status.code() != absl::StatusCode::kResourceExhausted || attempt == kAttempts) {
      return status;
    }
    holder_.Settle(std::chrono::seconds(1));  // Too many are being handed on at once.
  }
}

absl::Status Loader::Await(int limit) {
  std::vector<std::unique_ptr<Call>> over;  // Without the lock.
  absl::MutexLock lock(&mutex_);
  struct Wait {
    const int* in_flight;
    int limit;
  } wait{&in_flight_, limit};
  mutex_.Await(absl::Condition(
      +[](Wait* w) { return *w->in_flight < w->limit; }, &wait));
  over.swap(over_);
  return error_;
}

void Loader::Finished(Call* call, const absl::Status& status) {
  over_.emplace_back(call);
  error_.Update(status);
  --in_flight_;
}

void Loader::Progress() {
  const int64_t now = MillisNow();
  if (!options_.progress || now - last_progress_ < kProgressMillis) return;
  last_progress_ = now;
  options_.progress(created(), linked_later_);
}

}  // namespace graph_client
