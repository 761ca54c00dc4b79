// ObjectServiceImpl: objects.v1.ObjectService over a dgc::Owner.
//
// The reference for embedding the collector: besides Import, Share and Link nothing here knows
// that it exists.  proto/objects/v1/objects.proto says what each call does and its errors.
//
// Thread-safe; handlers run on gRPC's callback threads and do not block.  The server must be shut
// down before this is destroyed.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dgc/runtime/owner.h"
#include "objects/v1/objects.grpc.pb.h"
#include "services/object_host/object.h"

namespace object_host {

// Bounds of single requests, as the proto states them.
inline constexpr int kObjectsPerRequestMax = 4096;
inline constexpr int kEdgesPerObjectInCreateMax = 65536;
inline constexpr int kLinksPerRequestMax = 4096;
inline constexpr size_t kTypeBytesMax = 255;
inline constexpr size_t kLabelBytesMax = 255;
inline constexpr size_t kNameBytesMax = 255;
inline constexpr uint64_t kReadBytesMax = 1 << 20;
inline constexpr size_t kReadEdgesMax = 4096;
// Of List: objects in one part, which is then below 300 KB whatever their labels are, and calls at
// a time, as each keeps a part or two while its reader is slow.
inline constexpr size_t kListBatch = 1024;
inline constexpr uint64_t kListsMax = 32;

struct ObjectServiceOptions {
  // The largest payload of one object, and of all together, in bytes.
  uint64_t payload_bytes_max = uint64_t{1} << 30;
  uint64_t payload_bytes_total_max = uint64_t{16} << 30;
  // The most different types of the objects there are.
  size_t types_max = 4096;
};

// What objects need for as long as any exists: made before the Owner, destroyed after it.
class ObjectStore {
 public:
  explicit ObjectStore(const ObjectServiceOptions& options)
      : options_(options),
        budget_(options.payload_bytes_total_max),
        kinds_(options.types_max, &budget_) {}

  // Whether `request` is within the bounds on one object.  INVALID_ARGUMENT.
  absl::Status Check(const objects::v1::NewObject& request) const;
  // Makes an object that nobody hosts yet.  RESOURCE_EXHAUSTED.
  // REQUIRES: it was checked.
  absl::StatusOr<std::shared_ptr<Object>> Make(const objects::v1::NewObject& request);

  const ObjectServiceOptions& options() const { return options_; }
  const Budget& budget() const { return budget_; }

 private:
  const ObjectServiceOptions options_;
  Budget budget_;
  Kinds kinds_;
};

class ObjectServiceImpl final : public objects::v1::ObjectService::CallbackService {
 public:
  // Both outlive it.
  ObjectServiceImpl(ObjectStore* store, dgc::Owner* owner) : store_(*store), owner_(*owner) {}

  grpc::ServerUnaryReactor* Create(grpc::CallbackServerContext* context,
                                   const objects::v1::CreateRequest* request,
                                   objects::v1::CreateResponse* response) override;
  grpc::ServerUnaryReactor* Read(grpc::CallbackServerContext* context,
                                 const objects::v1::ReadRequest* request,
                                 objects::v1::ReadResponse* response) override;
  grpc::ServerUnaryReactor* Write(grpc::CallbackServerContext* context,
                                  const objects::v1::WriteRequest* request,
                                  objects::v1::WriteResponse* response) override;
  grpc::ServerUnaryReactor* Link(grpc::CallbackServerContext* context,
                                 const objects::v1::LinkRequest* request,
                                 objects::v1::LinkResponse* response) override;
  grpc::ServerUnaryReactor* Unlink(grpc::CallbackServerContext* context,
                                   const objects::v1::UnlinkRequest* request,
                                   objects::v1::UnlinkResponse* response) override;
  grpc::ServerUnaryReactor* Bind(grpc::CallbackServerContext* context,
                                 const objects::v1::BindRequest* request,
                                 objects::v1::BindResponse* response) override;
  grpc::ServerUnaryReactor* Lookup(grpc::CallbackServerContext* context,
                                   const objects::v1::LookupRequest* request,
                                   objects::v1::LookupResponse* response) override;
  grpc::ServerUnaryReactor* Unbind(grpc::CallbackServerContext* context,
                                   const objects::v1::UnbindRequest* request,
                                   objects::v1::UnbindResponse* response) override;
  grpc::ServerUnaryReactor* Delete(grpc::CallbackServerContext* context,
                                   const objects::v1::DeleteRequest* request,
                                   objects::v1::DeleteResponse* response) override;
  grpc::ServerWriteReactor<objects::v1::ListResponse>* List(
      grpc::CallbackServerContext* context, const objects::v1::ListRequest* request) override;

 private:
  absl::Status DoCreate(const grpc::ServerContextBase* context,
                        const objects::v1::CreateRequest& request,
                        objects::v1::CreateResponse* response);
  // Without its edges.
  absl::StatusOr<dgc::Ref> CreateOne(const objects::v1::NewObject& request);
  // Adds the edges that the objects were asked for with.
  absl::Status LinkCreated(const objects::v1::CreateRequest& request,
                           const std::vector<dgc::Ref>& created);
  absl::Status DoRead(const grpc::ServerContextBase* context,
                      const objects::v1::ReadRequest& request, objects::v1::ReadResponse* response);
  // A handle to one of this host's own objects.  Leaves the transit lease in `ref` to the caller.
  absl::StatusOr<dgc::Ref> ImportOwn(const dgc::v1::Ref& ref);
  absl::Status DoLink(const objects::v1::LinkRequest& request);
  absl::Status DoUnlink(const objects::v1::UnlinkRequest& request);

  ObjectStore& store_;
  dgc::Owner& owner_;
  Budget lists_{kListsMax};
};

}  // namespace object_host
