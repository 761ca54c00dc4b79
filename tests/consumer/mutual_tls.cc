// What the README's lines on mutual TLS stand in.
#include <grpcpp/grpcpp.h>

#include <string>

#include "dgc/runtime/owner.h"

void ServeOverMutualTls(const std::string& address, const std::string& authority,
                        const std::string& key, const std::string& certificate) {
  grpc::ServerBuilder builder;
#include "readme_mutual_tls.inc"
}
