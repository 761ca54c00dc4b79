// CollectorServiceImpl: dgc.v1.CollectorService over a Receiver.
//
// Each handler converts, makes one call, converts back and finishes; none blocks, decides or keeps
// anything.  Thread-safe, as gRPC requires.
#pragma once

#include "dgc/rpc/method.h"
#include "dgc/rpc/receiver.h"
#include "dgc/v1/collector.grpc.pb.h"

namespace dgc {

class CollectorServiceImpl final : public v1::CollectorService::CallbackService {
 public:
  // Both outlive the server; `observer` may be null.
  CollectorServiceImpl(Receiver* receiver, CallObserver* observer)
      : receiver_(receiver), observer_(observer) {}

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

  Receiver* const receiver_;
  CallObserver* const observer_;
};

}  // namespace dgc
