// Owner: lets a process host objects that other processes refer to.
//
//     dgc::Owner owner({.name = "uploads-0.uploads:7000"});  // before the server: it outlives it
//     builder.RegisterService(owner.service());
//     builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // or two servers may share a port
//     ...
//     auto server = builder.BuildAndStart();
//     if (server == nullptr) return 1;  // the port is taken
//     // In a handler that makes an object and returns a reference to it:
//     *reply->mutable_upload() = owner.Share(std::make_shared<Upload>(...), context);
//     // In a handler that is given one:
//     auto upload = owner.Find<Upload>(request->upload());
//     if (!upload.ok()) return dgc::ToGrpc(upload.status());
//
// The Owner keeps a shared_ptr to an object for as long as anybody holds a reference to it: a
// Ref in this process, a name, another object (Link), a holder elsewhere whose lease runs.  Then
// the object is *reclaimed*: the finalizer thread calls Options::on_reclaim and drops the
// shared_ptr, so that the destructor is the finalizer.  The application may keep shared_ptrs of its
// own; they keep the memory, not the export.
//
// An Owner is a Holder as well.  Types: see WireType.  Bounds: Options.
//
// Thread-safe; no method blocks.  The server must be shut down before the Owner is destroyed or
// Shutdown().
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dgc/rpc/status.h"
#include "dgc/runtime/holder.h"
#include "dgc/runtime/options.h"
#include "dgc/runtime/ref.h"
#include "dgc/runtime/wire_type.h"
#include "dgc/v1/ref.pb.h"
#include "google/protobuf/repeated_ptr_field.h"

namespace grpc {
class ServerContextBase;
class Service;
}  // namespace grpc

namespace dgc {

class Owner : public Holder {
 public:
  // REQUIRES: Validate(options).ok(), and a name.
  explicit Owner(Options options);
  ~Owner() override;

  // The collector's service.  Register it with the server that answers at Options::name.
  grpc::Service* service();

  // --- Objects.  Exporting or sharing the same pointer again gives the same object, while it is
  // exported.  Errors:
  //   INVALID_ARGUMENT     a null pointer; `type` too long, or used for another C++ type before;
  //   RESOURCE_EXHAUSTED   objects_max, types_max or a bound of the strategy.

  // Hosts `object`; the Ref keeps it, and is what Link, Bind and Share take.  `type` is the
  // application's word for its kind, which travels with every reference.
  template <typename T>
  Ref Export(const std::shared_ptr<T>& object, std::string_view type = WireType<T>()) {
    return ExportAny(object, type, typeid(T));
  }

  // A reference to `object`, hosted from now on if it was not yet, to be returned to the caller in
  // the reply being made.  The object is kept without a further round trip (implicit dirty): by a
  // transit lease, until the caller has listed itself in the background.  `context` says against
  // whose quota that counts; callers that do not name themselves, and calls without a context
  // (null), share one.  On failure an empty message, which no one will import; the other form says
  // why, and then leaves `into` unchanged.
  template <typename T>
  v1::Ref Share(const std::shared_ptr<T>& object, const grpc::ServerContextBase* context,
                std::string_view type = WireType<T>()) {
    v1::Ref ref;
    ShareAny(object, type, typeid(T), context, &ref).IgnoreError();  // Counted; see above.
    return ref;
  }
  template <typename T>
  absl::Status Share(const std::shared_ptr<T>& object, const grpc::ServerContextBase* context,
                     v1::Ref* into, std::string_view type = WireType<T>()) {
    return ShareAny(object, type, typeid(T), context, into);
  }
  // The same for a Ref, to an own or anyone's object.
  v1::Ref Share(const Ref& ref, const grpc::ServerContextBase* context);
  absl::Status Share(const Ref& ref, const grpc::ServerContextBase* context, v1::Ref* into);
  using Holder::Share;

  // The own object that a reference names.  Takes no transit lease: what is to be kept is imported.
  //   INVALID_ARGUMENT     malformed, or it was exported as another C++ type than exactly T;
  //   FAILED_PRECONDITION  an object of an earlier run, or of another owner;
  //   NOT_FOUND            never existed, reclaimed or unexported: which, when, why.
  // The last two carry a ReferenceError (not so for another owner's object), and ToGrpc hands it on
  // to the caller.
  template <typename T>
  absl::StatusOr<std::shared_ptr<T>> Find(const v1::Ref& ref) const {
    return Cast<T>(FindAny(ref, typeid(T)));
  }
  template <typename T>
  absl::StatusOr<std::shared_ptr<T>> Find(const Ref& ref) const {
    return Cast<T>(FindAny(ref, typeid(T)));
  }

  // Ends an own object's life at once, whoever holds it.  Errors as Find.
  absl::Status Unexport(const Ref& ref);
  absl::Status Unexport(const v1::Ref& ref);

  // --- The graph.  `from` is a Ref to an own object, otherwise FAILED_PRECONDITION; `to` is to
  // anyone's.  Adds an edge: `to` is kept for as long as `from` is.  Edges are a multiset.
  // RESOURCE_EXHAUSTED: edges_per_object_max, edges_max.
  absl::Status Link(const Ref& from, const Ref& to);
  // NOT_FOUND if there is no such edge.
  absl::Status Unlink(const Ref& from, const Ref& to);
  // Many at once, from[i] to to[i], as a request carries them: all or none, in one step, and an
  // error says at which.  INVALID_ARGUMENT: not as many of one as of the other.
  //
  // Link imports each of `to`, as Import does and with its errors, but only if all edges are added:
  // on an error the transit leases are the caller's still.  What Unlink is given, and `from`, is
  // only named, as for Find; so edges to what is gone are removed too.  Unlink takes at most one
  // pass over the edges of each object named.
  using Refs = google::protobuf::RepeatedPtrField<v1::Ref>;
  absl::Status Link(const Refs& from, const Refs& to);
  absl::Status Unlink(const Refs& from, const Refs& to);
  // The same from objects at hand; an error leaves in `failed` at which.
  absl::Status Link(std::span<const Ref> from, std::span<const v1::Ref* const> to, size_t* failed);
  // At most `limit` of the object's edges, the same ones each time while none changes.
  absl::StatusOr<Edges> EdgesOf(const Ref& from, size_t limit) const;

  // --- Names; each keeps what it names.
  // Replaces.  `object` is a Ref to an own object.  RESOURCE_EXHAUSTED: names_max.
  absl::Status Bind(std::string_view name, const Ref& object);
  // NOT_FOUND if nothing has that name.
  absl::Status Unbind(std::string_view name);
  // Refused with NOT_FOUND if nothing has that name.
  Ref Lookup(std::string_view name) const;

  // --- Operation.  Holds reaping (nothing lapses), or releases it although the mass-expiry brake
  // holds it, until told otherwise.  Returns how many lapses were held back until now.
  uint64_t SetReaping(ReapingMode mode);
  // The same as a service, dgc.v1.AdminService: for a server that operators alone can reach.
  grpc::Service* admin_service();

  // Appends up to `limit` live objects of C++ type T from position *cursor on (0 at first), and
  // moves it; returns whether there may be more.  Each call sees one instant; what is made or
  // reclaimed between two calls may be missed.
  template <typename T>
  bool Scan(uint32_t* cursor, size_t limit, std::vector<std::shared_ptr<T>>* into) const {
    std::vector<std::shared_ptr<void>> found;
    const bool more = ScanAny(cursor, limit, typeid(T), &found);
    for (auto& object : found) into->push_back(std::static_pointer_cast<T>(std::move(object)));
    return more;
  }

 private:
  template <typename T>
  static absl::StatusOr<std::shared_ptr<T>> Cast(absl::StatusOr<std::shared_ptr<void>> object) {
    if (!object.ok()) return object.status();
    return std::static_pointer_cast<T>(*std::move(object));
  }
  Ref ExportAny(const std::shared_ptr<void>& object, std::string_view type,
                const std::type_info& cpp_type);
  absl::Status ShareAny(const std::shared_ptr<void>& object, std::string_view type,
                        const std::type_info& cpp_type, const grpc::ServerContextBase* context,
                        v1::Ref* into);
  absl::StatusOr<std::shared_ptr<void>> FindAny(const v1::Ref& ref,
                                                const std::type_info& cpp_type) const;
  absl::StatusOr<std::shared_ptr<void>> FindAny(const Ref& ref,
                                                const std::type_info& cpp_type) const;
  bool ScanAny(uint32_t* cursor, size_t limit, const std::type_info& cpp_type,
               std::vector<std::shared_ptr<void>>* found) const;

  struct Inbox;
  const std::unique_ptr<Inbox> inbox_;
};

// Who a call names as its holder; invalid if nobody, or if malformed.  Taken on trust: good for
// quotas and logs, not for permissions.
ClientId CallerOf(const grpc::ServerContextBase& context);

}  // namespace dgc
