// CollectorServiceImpl: dgc.v1.CollectorService over a Receiver.
//
// Each handler converts, makes one call, converts back and finishes; none blocks, decides or keeps
// anything.  A request of an authenticated peer gets, in place of its key, one that stands for the
// key and the peer.  Thread-safe, as gRPC requires.
#pragma once

#include "dgc/core/client_key.h"
#include "dgc/rpc/method.h"
#include "dgc/rpc/receiver.h"
#include "dgc/v1/collector.grpc.pb.h"

namespace dgc {

class CollectorServiceImpl final : public v1::CollectorService::CallbackService {
 public:
  // The pointers outlive the server; `observer` may be null.
  CollectorServiceImpl(Receiver* receiver, ClientKeys keys, CallObserver* observer)
      : receiver_(receiver), keys_(keys), observer_(observer) {}

  grpc::ServerUnaryReactor* Dirty(grpc::CallbackServerContext* context,
                                  const v1::DirtyRequest* request,
                                  v1::DirtyResponse* response) override;
  grpc::ServerUnaryReactor* Clean(grpc::CallbackServerContext* context,
                                  const v1::CleanRequest* request,
                                  v1::CleanResponse* response) override;
  grpc::ServerUnaryReactor* Renew(grpc::CallbackServerContext* context,
                                  const v1::RenewRequest* request,
                                  v1::RenewResponse* response) override;
  grpc::ServerUnaryReactor* Transit(grpc::CallbackServerContext* context,
                                    const v1::TransitRequest* request,
                                    v1::TransitResponse* response) override;
  grpc::ServerUnaryReactor* Goodbye(grpc::CallbackServerContext* context,
                                    const v1::GoodbyeRequest* request,
                                    v1::GoodbyeResponse* response) override;

 private:
  template <typename CoreRequest, typename CoreResponse, typename ProtoRequest,
            typename ProtoResponse>
  grpc::ServerUnaryReactor* Serve(grpc::CallbackServerContext* context, const ProtoRequest& request,
                                  ProtoResponse* response);

  ClientKey BoundKey(const grpc::CallbackServerContext& context, const ClientKey& key) const;

  Receiver* const receiver_;
  const ClientKeys keys_;
  CallObserver* const observer_;
};

}  // namespace dgc
