#include "dgc/runtime/call_context.h"

#include <string>
#include <utility>

#include "dgc/rpc/convert.h"
#include "dgc/runtime/engine.h"
#include "dgc/v1/ref.pb.h"

namespace dgc {
namespace {

void PutBigEndian(uint64_t word, std::string* into) {
  for (int shift = 56; shift >= 0; shift -= 8) into->push_back(static_cast<char>(word >> shift));
}

}  // namespace

void AddClientId(const ClientId& client, grpc::ClientContext* context) {
  std::string bytes;
  bytes.reserve(16);
  PutBigEndian(client.high, &bytes);
  PutBigEndian(client.low, &bytes);
  context->AddMetadata(kClientIdKey, bytes);
}

void AddClientId(const ClientId& client, grpc::ChannelArguments* arguments) {
  arguments->SetUserAgentPrefix(kClientAgent + ToHex(client));
}

CallContext::CallContext(const ClientId& client, Ref kept) : kept_(std::move(kept)) {
  if (client.valid()) AddClientId(client, &context_);
}

// --- The parts of Ref that need gRPC or protobuf, which ref.cc must not.

CallContext Ref::Context() const {
  return CallContext(*this ? handle_->engine->id() : ClientId{}, *this);
}

v1::Ref Ref::Wire() const {
  v1::Ref ref;
  if (*this) ToProto(Describe(), &ref);
  return ref;
}

v1::Ref Ref::Share(Duration term) const {
  v1::Ref ref;
  Share(term, &ref).IgnoreError();  // Counted; the caller sees an empty message.
  return ref;
}

absl::Status Ref::Share(Duration term, v1::Ref* into) const {
  if (!*this) return status();
  auto shared = handle_->engine->Share(*this, ClientId{}, term);
  if (shared.ok()) ToProto(*std::move(shared), into);
  return shared.status();
}

}  // namespace dgc
