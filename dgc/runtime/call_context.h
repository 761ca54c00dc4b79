// CallContext: the context of one synchronous call that carries this process's identity.
//
//     stub->Append(upload.Context(), request, &response);
//
//     auto call = upload.Context();
//     call->set_deadline(deadline);
//     stub->Append(call, request, &response);
//
// The identity travels as the metadata kClientIdKey; the references in the reply then count against
// this process's quota at the callee.  Like a grpc::ClientContext, good for one call and used
// by one thread.  For asynchronous calls, which outlive the expression that makes them, use
// Holder::Identify.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/channel_arguments.h>

#include "dgc/core/ids.h"
#include "dgc/runtime/ref.h"

namespace dgc {

// 16 bytes: the halves of the ClientId, high first, each in network byte order.
inline constexpr char kClientIdKey[] = "dgc-client-bin";

// Adds `client` to the metadata of the call.
void AddClientId(const ClientId& client, grpc::ClientContext* context);

// Before 32 hexadecimal digits, high half first, at the beginning of a channel's user agent: the
// identity of every call on it that does not carry kClientIdKey.
inline constexpr char kClientAgent[] = "dgc-client/";

// Lets every call of the channel name `client`.
void AddClientId(const ClientId& client, grpc::ChannelArguments* arguments);

class CallContext {
 public:
  // `kept` (may be empty) is held until the CallContext is destroyed.
  CallContext(const ClientId& client, Ref kept);
  CallContext(const CallContext&) = delete;
  CallContext& operator=(const CallContext&) = delete;

  operator grpc::ClientContext*() { return &context_; }  // NOLINT: the purpose of the class
  grpc::ClientContext* operator->() { return &context_; }

 private:
  const Ref kept_;
  grpc::ClientContext context_;
};

}  // namespace dgc
