#include "services/object_host/object_service.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dgc/rpc/status.h"

namespace object_host {
namespace {

using objects::v1::CreateRequest;
using objects::v1::CreateResponse;
using objects::v1::ListResponse;
using objects::v1::NewObject;

grpc::ServerUnaryReactor* Finish(grpc::CallbackServerContext* context, const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(dgc::ToGrpc(status));
  return reactor;
}

absl::Status CheckName(const std::string& name) {
  if (name.empty() || name.size() > kNameBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("name: 1 to ", kNameBytesMax, " bytes"));
  }
  return absl::OkStatus();
}

template <typename Request>
absl::Status CheckPairs(const Request& request) {
  if (request.from_size() != request.to_size()) {
    return absl::InvalidArgumentError("from, to: as many of one as of the other");
  }
  if (request.from_size() == 0 || request.from_size() > kLinksPerRequestMax) {
    return absl::InvalidArgumentError(absl::StrCat("from: 1 to ", kLinksPerRequestMax));
  }
  return absl::OkStatus();
}

// Refuses a List.
class Refuser : public grpc::ServerWriteReactor<ListResponse> {
 public:
  explicit Refuser(const absl::Status& status) { Finish(dgc::ToGrpc(status)); }
  void OnDone() override { delete this; }
};

// Sends batch after batch, the next when the last has left, so one slow reader costs one batch.
class Lister : public grpc::ServerWriteReactor<ListResponse> {
 public:
  // Returns 1 to `lists` in the end.
  Lister(const dgc::Owner* owner, Budget* lists) : owner_(*owner), lists_(*lists) { Next(); }
  ~Lister() override { lists_.Return(1); }

  void OnWriteDone(bool ok) override {
    if (ok) {
      Next();
    } else {
      Finish(grpc::Status(grpc::StatusCode::CANCELLED, "the reader is gone"));
    }
  }
  void OnDone() override { delete this; }

 private:
  void Next() {
    objects_.clear();
    while (more_ && objects_.empty()) more_ = owner_.Scan(&cursor_, kListBatch, &objects_);
    if (objects_.empty()) {
      Finish(grpc::Status::OK);
      return;
    }
    response_.clear_objects();
    for (const std::shared_ptr<Object>& object : objects_) {
      ListResponse::Item* item = response_.add_objects();
      item->set_label(object->label());
      item->set_payload_bytes(object->payload_bytes());
    }
    objects_.clear();
    StartWrite(&response_);
  }

  const dgc::Owner& owner_;
  Budget& lists_;
  uint32_t cursor_ = 0;
  bool more_ = true;
  std::vector<std::shared_ptr<Object>> objects_;
  ListResponse response_;
};

}  // namespace

absl::Status ObjectStore::Check(const NewObject& request) const {
  if (request.type().size() > kTypeBytesMax || request.label().size() > kLabelBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("type: at most ", kTypeBytesMax, " bytes; label: at most ", kLabelBytesMax));
  }
  if (request.edges_size() > kEdgesPerObjectInCreateMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("edges: at most ", kEdgesPerObjectInCreateMax, "; more by Link"));
  }
  if (request.payload().size() > options_.payload_bytes_max) {
    return absl::InvalidArgumentError(
        absl::StrCat("payload: at most ", options_.payload_bytes_max, " bytes"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<Object>> ObjectStore::Make(const NewObject& request) {
  const absl::StatusOr<Kind*> kind = kinds_.Use(request.type());
  if (!kind.ok()) return kind.status();
  if (!budget_.Take(request.payload().size())) {
    kinds_.Unuse(*kind);
    return absl::ResourceExhaustedError("the payloads of this host are full");
  }
  return std::make_shared<Object>(*kind, request.label(), request.payload());
}

absl::StatusOr<dgc::Ref> ObjectServiceImpl::CreateOne(const NewObject& request) {
  absl::StatusOr<std::shared_ptr<Object>> object = store_.Make(request);
  if (!object.ok()) return object.status();
  dgc::Ref created = owner_.Export(*object, request.type());
  if (!created.ok()) return created.status();
  return created;
}

absl::Status ObjectServiceImpl::LinkCreated(const CreateRequest& request,
                                            const std::vector<dgc::Ref>& created) {
  std::vector<dgc::Ref> from;
  std::vector<const dgc::v1::Ref*> to;
  for (int i = 0; i < request.objects_size(); ++i) {
    from.resize(from.size() + static_cast<size_t>(request.objects(i).edges_size()), created[i]);
    for (const dgc::v1::Ref& edge : request.objects(i).edges()) to.push_back(&edge);
  }
  size_t failed = 0;
  const absl::Status status = owner_.Link(from, to, &failed);
  if (status.ok()) return status;
  int object = 0;
  for (; failed >= static_cast<size_t>(request.objects(object).edges_size()); ++object) {
    failed -= static_cast<size_t>(request.objects(object).edges_size());
  }
  return dgc::Placed(status, absl::StrCat("objects[", object, "]: edges[", failed, "]"));
}

absl::Status ObjectServiceImpl::DoCreate(const grpc::ServerContextBase* context,
                                         const CreateRequest& request, CreateResponse* response) {
  if (request.objects_size() > kObjectsPerRequestMax) {
    return absl::InvalidArgumentError(absl::StrCat("objects: at most ", kObjectsPerRequestMax));
  }
  // First what is wrong with the request whatever is hosted, so that it changes nothing.
  absl::Status status;
  for (int i = 0; status.ok() && i < request.objects_size(); ++i) {
    status = dgc::Placed(store_.Check(request.objects(i)), absl::StrCat("objects[", i, "]"));
  }
  if (!status.ok()) return status;
  std::vector<dgc::Ref> created;
  created.reserve(request.objects_size());
  for (const NewObject& object : request.objects()) {
    absl::StatusOr<dgc::Ref> one = CreateOne(object);
    status = dgc::Placed(one.status(), absl::StrCat("objects[", created.size(), "]"));
    if (!status.ok()) break;
    created.push_back(*std::move(one));
  }
  for (size_t i = 0; status.ok() && i < created.size(); ++i) {
    status = owner_.Share(created[i], context, response->add_objects());
  }
  // Last what cannot be taken back: the caller's references become this host's.
  if (status.ok()) status = LinkCreated(request, created);
  if (!status.ok()) {
    // All or nothing.  What was shared comes home, or it would linger until its transit lease ends.
    for (const dgc::v1::Ref& shared : response->objects()) owner_.Import(shared);
    response->clear_objects();
    for (const dgc::Ref& each : created) owner_.Unexport(each).IgnoreError();
  }
  return status;
}

absl::Status ObjectServiceImpl::DoRead(const grpc::ServerContextBase* context,
                                       const objects::v1::ReadRequest& request,
                                       objects::v1::ReadResponse* response) {
  const absl::StatusOr<std::shared_ptr<Object>> object = owner_.Find<Object>(request.object());
  if (!object.ok()) return object.status();
  response->set_type((*object)->type());
  response->set_label((*object)->label());
  response->set_payload_bytes((*object)->payload_bytes());
  const uint64_t bytes = std::min<uint64_t>(request.bytes_max(), kReadBytesMax);
  if (bytes > 0) response->set_payload((*object)->Read(request.offset(), bytes));
  if (!request.with_edges()) return absl::OkStatus();

  const absl::StatusOr<dgc::Ref> self = ImportOwn(request.object());
  if (!self.ok()) return self.status();
  const absl::StatusOr<dgc::Edges> edges = owner_.EdgesOf(*self, kReadEdgesMax);
  if (!edges.ok()) return edges.status();
  response->set_edge_count(edges->total);
  for (const dgc::Ref& edge : edges->refs) {
    dgc::v1::Ref* const into = response->add_edges();
    absl::Status status = edge.status();
    if (status.ok()) status = owner_.Share(edge, context, into);
    if (dgc::ReferenceErrorOf(status).has_value()) {
      *into = edge.Wire();  // Whoever uses it is told what has become of it.
    } else if (!status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<dgc::Ref> ObjectServiceImpl::ImportOwn(const dgc::v1::Ref& ref) {
  // Find knows every way in which a reference can fail to be one of ours.
  const absl::StatusOr<std::shared_ptr<Object>> object = owner_.Find<Object>(ref);
  if (!object.ok()) return object.status();
  dgc::v1::Ref named = ref;
  named.set_transit(0);  // The copy that the caller has still needs it.
  dgc::Ref imported = owner_.Import(named);
  if (!imported.ok()) return imported.status();
  return imported;
}

absl::Status ObjectServiceImpl::DoLink(const objects::v1::LinkRequest& request) {
  if (const absl::Status status = CheckPairs(request); !status.ok()) return status;
  return owner_.Link(request.from(), request.to());
}

absl::Status ObjectServiceImpl::DoUnlink(const objects::v1::UnlinkRequest& request) {
  if (const absl::Status status = CheckPairs(request); !status.ok()) return status;
  return owner_.Unlink(request.from(), request.to());
}

grpc::ServerUnaryReactor* ObjectServiceImpl::Create(grpc::CallbackServerContext* context,
                                                    const CreateRequest* request,
                                                    CreateResponse* response) {
  return Finish(context, DoCreate(context, *request, response));
}

grpc::ServerUnaryReactor* ObjectServiceImpl::Read(grpc::CallbackServerContext* context,
                                                  const objects::v1::ReadRequest* request,
                                                  objects::v1::ReadResponse* response) {
  return Finish(context, DoRead(context, *request, response));
}

grpc::ServerUnaryReactor* ObjectServiceImpl::Write(grpc::CallbackServerContext* context,
                                                   const objects::v1::WriteRequest* request,
                                                   objects::v1::WriteResponse* response) {
  const absl::StatusOr<std::shared_ptr<Object>> object = owner_.Find<Object>(request->object());
  if (!object.ok()) return Finish(context, object.status());
  const absl::StatusOr<uint64_t> bytes =
      (*object)->Write(request->offset(), request->payload(), store_.options().payload_bytes_max);
  if (bytes.ok()) response->set_payload_bytes(*bytes);
  return Finish(context, bytes.status());
}

grpc::ServerUnaryReactor* ObjectServiceImpl::Link(grpc::CallbackServerContext* context,
                                                  const objects::v1::LinkRequest* request,
                                                  objects::v1::LinkResponse* /*response*/) {
  return Finish(context, DoLink(*request));
}

grpc::ServerUnaryReactor* ObjectServiceImpl::Unlink(grpc::CallbackServerContext* context,
                                                    const objects::v1::UnlinkRequest* request,
                                                    objects::v1::UnlinkResponse* /*response*/) {
  return Finish(context, DoUnlink(*request));
}

grpc::ServerUnaryReactor* ObjectServiceImpl::Bind(grpc::CallbackServerContext* context,
                                                  const objects::v1::BindRequest* request,
                                                  objects::v1::BindResponse* /*response*/) {
  if (const absl::Status status = CheckName(request->name()); !status.ok()) {
    return Finish(context, status);
  }
  const absl::StatusOr<dgc::Ref> object = ImportOwn(request->object());
  if (!object.ok()) return Finish(context, object.status());
  return Finish(context, owner_.Bind(request->name(), *object));
}

grpc::ServerUnaryReactor* ObjectServiceImpl::Lookup(grpc::CallbackServerContext* context,
                                                    const objects::v1::LookupRequest* request,
                                                    objects::v1::LookupResponse* response) {
  if (const absl::Status status = CheckName(request->name()); !status.ok()) {
    return Finish(context, status);
  }
  const dgc::Ref found = owner_.Lookup(request->name());
  if (!found.ok()) return Finish(context, found.status());
  return Finish(context, owner_.Share(found, context, response->mutable_object()));
}

grpc::ServerUnaryReactor* ObjectServiceImpl::Unbind(grpc::CallbackServerContext* context,
                                                    const objects::v1::UnbindRequest* request,
                                                    objects::v1::UnbindResponse* /*response*/) {
  if (const absl::Status status = CheckName(request->name()); !status.ok()) {
    return Finish(context, status);
  }
  return Finish(context, owner_.Unbind(request->name()));
}

grpc::ServerUnaryReactor* ObjectServiceImpl::Delete(grpc::CallbackServerContext* context,
                                                    const objects::v1::DeleteRequest* request,
                                                    objects::v1::DeleteResponse* /*response*/) {
  return Finish(context, owner_.Unexport(request->object()));
}

grpc::ServerWriteReactor<ListResponse>* ObjectServiceImpl::List(
    grpc::CallbackServerContext* /*context*/, const objects::v1::ListRequest* /*request*/) {
  if (!lists_.Take(1)) {
    return new Refuser(
        absl::ResourceExhaustedError(absl::StrCat("this host serves ", kListsMax, " List calls")));
  }
  return new Lister(&owner_, &lists_);
}

}  // namespace object_host
