#include "services/graph_client/walker.h"

#include <grpcpp/create_channel.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dgc/rpc/status.h"

namespace graph_client {
namespace {

// How long a host may take to answer.
constexpr std::chrono::seconds kReadTerm{60};
// The largest piece of payload in one answer.
constexpr uint64_t kPieceBytes = 1 << 20;

}  // namespace

absl::StatusOr<uint64_t> Walker::Walk(const dgc::Ref& from, uint64_t objects_max) {
  NumberOf(from);
  uint64_t read = 0;
  for (; read < objects_max && read < found_.size(); ++read) {
    const dgc::Ref object = found_[read];
    if (absl::Status status = Read(object); !status.ok()) return status;
  }
  return read;
}

absl::Status Walker::Read(const dgc::Ref& object) {
  objects::v1::ReadResponse part;
  if (absl::Status status = ReadPart(object, 0, &part); !status.ok()) return status;
  const uint64_t bytes = part.payload_bytes();
  std::string head =
      absl::StrCat(part.type(), "\t", part.label(), "\t", bytes, "\t", part.edge_count());
  for (const dgc::v1::Ref& edge : part.edges()) {
    dgc::Ref target = holder_.Import(edge);
    if (!target.ok()) return target.status();
    absl::StrAppend(&head, "\t", NumberOf(std::move(target)));
  }
  absl::StrAppend(&head, "\n");
  std::fwrite(head.data(), 1, head.size(), file_);
  for (uint64_t offset = 0;;) {
    std::fwrite(part.payload().data(), 1, part.payload().size(), file_);
    offset += part.payload().size();
    if (offset >= bytes) break;
    if (absl::Status status = ReadPart(object, offset, &part); !status.ok()) return status;
    if (part.payload().empty()) return absl::DataLossError("the payload ends early");
  }
  std::fputc('\n', file_);
  return absl::OkStatus();
}

absl::Status Walker::ReadPart(const dgc::Ref& object, uint64_t offset,
                              objects::v1::ReadResponse* response) {
  const std::string owner = object.Describe().owner;
  auto& stub = stubs_[owner];
  if (stub == nullptr) {
    stub = objects::v1::ObjectService::NewStub(
        grpc::CreateChannel(owner, grpc::InsecureChannelCredentials()));
  }
  objects::v1::ReadRequest request;
  *request.mutable_object() = object.Wire();
  request.set_offset(offset);
  request.set_bytes_max(kPieceBytes);
  request.set_with_edges(offset == 0);
  dgc::CallContext context = object.Context();
  context->set_deadline(std::chrono::system_clock::now() + kReadTerm);
  return dgc::FromGrpc(stub->Read(context, request, response));
}

uint64_t Walker::NumberOf(dgc::Ref object) {
  const auto [it, fresh] = numbers_.try_emplace(object.id(), found_.size());
  if (fresh) found_.push_back(std::move(object));
  return it->second;
}

}  // namespace graph_client
