// AdminServiceImpl: dgc.v1.AdminService over a function.
//
// Thread-safe if the function is, as gRPC requires.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "dgc/core/strategy.h"
#include "dgc/v1/admin.grpc.pb.h"

namespace dgc {

class AdminServiceImpl final : public v1::AdminService::CallbackService {
 public:
  // Sets the mode; returns how many lapses were held back.  Does not block.
  using SetReapingFunction = std::function<uint64_t(ReapingMode)>;

  explicit AdminServiceImpl(SetReapingFunction set_reaping)
      : set_reaping_(std::move(set_reaping)) {}

  grpc::ServerUnaryReactor* SetReaping(grpc::CallbackServerContext* context,
                                       const v1::SetReapingRequest* request,
                                       v1::SetReapingResponse* response) override;

 private:
  const SetReapingFunction set_reaping_;
};

}  // namespace dgc
