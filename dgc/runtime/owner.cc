#include "dgc/runtime/owner.h"

#include <grpcpp/server_context.h>

#include <charconv>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dgc/core/client_key.h"
#include "dgc/rpc/admin_service.h"
#include "dgc/rpc/collector_service.h"
#include "dgc/rpc/convert.h"
#include "dgc/rpc/receiver.h"
#include "dgc/runtime/call_counts.h"
#include "dgc/runtime/engine.h"
#include "dgc/runtime/entropy.h"

namespace dgc {
namespace {

uint64_t BigEndian(const char* bytes) {
  uint64_t word = 0;
  for (int i = 0; i < 8; ++i) word = word << 8 | static_cast<unsigned char>(bytes[i]);
  return word;
}

// False if `text` is not 16 hexadecimal digits.
bool FromHex(const char* text, uint64_t* word) {
  const auto [end, error] = std::from_chars(text, text + 16, *word, 16);
  return error == std::errc() && end == text + 16;
}

ClientId CallerByAgent(grpc::string_ref agent) {
  constexpr size_t kPrefix = sizeof(kClientAgent) - 1;
  ClientId client;
  if (agent.size() < kPrefix + 32 || !agent.starts_with(kClientAgent) ||
      !FromHex(agent.data() + kPrefix, &client.high) ||
      !FromHex(agent.data() + kPrefix + 16, &client.low)) {
    return {};
  }
  return client;
}

absl::Status Deliver(absl::StatusOr<WireRef> shared, v1::Ref* into) {
  if (shared.ok()) ToProto(*std::move(shared), into);
  return shared.status();
}

std::vector<WireRef> FromProtos(const Owner::Refs& refs) {
  std::vector<WireRef> wires;
  wires.reserve(static_cast<size_t>(refs.size()));
  for (const v1::Ref& ref : refs) wires.push_back(FromProto(ref));
  return wires;
}

absl::Status Unequal() {
  return absl::InvalidArgumentError("from, to: as many of one as of the other");
}

}  // namespace

ClientId CallerOf(const grpc::ServerContextBase& context) {
  const auto& metadata = context.client_metadata();
  if (const auto it = metadata.find(kClientIdKey); it != metadata.end()) {
    if (it->second.size() != 16) return {};
    return {BigEndian(it->second.data()), BigEndian(it->second.data() + 8)};
  }
  const auto agent = metadata.find("user-agent");
  return agent == metadata.end() ? ClientId{} : CallerByAgent(agent->second);
}

struct Owner::Inbox final : Receiver {
  Inbox(Engine* engine, ClientKeys keys, CallObserver* observer)
      : engine(engine),
        service(this, keys, observer),
        admin_service([engine](ReapingMode mode) { return engine->SetReaping(mode); }) {}
  Response Received(const Request& request) override { return engine->Received(request); }

  Engine* const engine;
  CollectorServiceImpl service;
  AdminServiceImpl admin_service;
};

namespace {

// Not those of the holder in this process: each secret has one purpose.
ClientKeys MakeKeys() {
  Entropy random;
  return ClientKeys(&random);
}

ClientId CallerOf(const grpc::ServerContextBase* context) {
  return context == nullptr ? ClientId{} : dgc::CallerOf(*context);
}

}  // namespace

Owner::Owner(Options options)
    : Holder(std::move(options), /*hosts=*/true),
      inbox_(std::make_unique<Inbox>(&engine(), MakeKeys(), calls())) {}

Owner::~Owner() { Shutdown(); }

grpc::Service* Owner::service() { return &inbox_->service; }

grpc::Service* Owner::admin_service() { return &inbox_->admin_service; }

Ref Owner::ExportAny(const std::shared_ptr<void>& object, std::string_view type,
                     const std::type_info& cpp_type) {
  return engine().Export(object, type, cpp_type);
}

absl::Status Owner::ShareAny(const std::shared_ptr<void>& object, std::string_view type,
                             const std::type_info& cpp_type, const grpc::ServerContextBase* context,
                             v1::Ref* into) {
  return Deliver(engine().ShareObject(object, type, cpp_type, CallerOf(context)), into);
}

absl::Status Owner::Share(const Ref& ref, const grpc::ServerContextBase* context, v1::Ref* into) {
  return Deliver(engine().Share(ref, CallerOf(context), Duration::zero()), into);
}

v1::Ref Owner::Share(const Ref& ref, const grpc::ServerContextBase* context) {
  v1::Ref shared;
  Share(ref, context, &shared).IgnoreError();  // Counted; the caller sees an empty message.
  return shared;
}

absl::StatusOr<std::shared_ptr<void>> Owner::FindAny(const v1::Ref& ref,
                                                     const std::type_info& cpp_type) const {
  return engine().Find(FromProto(ref), cpp_type);
}

absl::StatusOr<std::shared_ptr<void>> Owner::FindAny(const Ref& ref,
                                                     const std::type_info& cpp_type) const {
  return engine().Find(ref, cpp_type);
}

bool Owner::ScanAny(uint32_t* cursor, size_t limit, const std::type_info& cpp_type,
                    std::vector<std::shared_ptr<void>>* found) const {
  return engine().Scan(cursor, limit, cpp_type, found);
}

absl::Status Owner::Unexport(const Ref& ref) { return engine().Unexport(ref); }

absl::Status Owner::Unexport(const v1::Ref& ref) { return engine().Unexport(FromProto(ref)); }

absl::Status Owner::Link(const Ref& from, const Ref& to) { return engine().Link(from, to); }

absl::Status Owner::Unlink(const Ref& from, const Ref& to) { return engine().Unlink(from, to); }

absl::Status Owner::Link(const Refs& from, const Refs& to) {
  if (from.size() != to.size()) return Unequal();
  LinkFailure failed;
  const absl::Status status = engine().Link(FromProtos(from), FromProtos(to), &failed);
  return Placed(status, absl::StrCat(failed.column, "[", failed.row, "]"));
}

absl::Status Owner::Link(std::span<const Ref> from, std::span<const v1::Ref* const> to,
                         size_t* failed) {
  *failed = 0;
  if (from.size() != to.size()) return Unequal();
  std::vector<WireRef> wires;
  wires.reserve(to.size());
  for (const v1::Ref* const ref : to) wires.push_back(FromProto(*ref));
  LinkFailure failure;
  absl::Status status = engine().Link(from, wires, &failure);
  *failed = failure.row;
  return status;
}

absl::Status Owner::Unlink(const Refs& from, const Refs& to) {
  if (from.size() != to.size()) return Unequal();
  return engine().Unlink(FromProtos(from), FromProtos(to));
}

absl::StatusOr<Edges> Owner::EdgesOf(const Ref& from, size_t limit) const {
  return engine().EdgesOf(from, limit);
}

absl::Status Owner::Bind(std::string_view name, const Ref& object) {
  return engine().Bind(name, object);
}

absl::Status Owner::Unbind(std::string_view name) { return engine().Unbind(name); }

uint64_t Owner::SetReaping(ReapingMode mode) { return engine().SetReaping(mode); }

Ref Owner::Lookup(std::string_view name) const { return engine().Lookup(name); }

}  // namespace dgc
