// Certificates: an authority of this test process, and what it issues, made by the openssl command.
#pragma once

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "tests/testing/temp_folder.h"

namespace dgc::testing {

class Certificates {
 public:
  Certificates() {
    // Not the machine's own configuration, which may add anything.
    std::ofstream(folder_.Path("req.cnf")) << "[req]\ndistinguished_name = dn\n[dn]\n";
    Make("authority", "-subj /CN=authority -addext basicConstraints=critical,CA:TRUE");
  }

  // A server that takes connections only of those who show a certificate of this authority.
  std::shared_ptr<grpc::ServerCredentials> Server() {
    grpc::SslServerCredentialsOptions options(
        GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    options.pem_root_certs = Read("authority.pem");
    // The name that a Unix socket has.
    Issue("server", "DNS:localhost");
    options.pem_key_cert_pairs.push_back({Read("server.key"), Read("server.pem")});
    return grpc::SslServerCredentials(options);
  }

  // A peer with a new key and certificate, for these subject alternative names ("DNS:a,URI:b").
  std::shared_ptr<grpc::ChannelCredentials> Peer(const std::string& names) {
    Issue("peer", names);
    return grpc::SslCredentials({Read("authority.pem"), Read("peer.key"), Read("peer.pem")});
  }

 private:
  std::string Read(const std::string& file) const {
    std::ifstream stream(folder_.Path(file));
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  void Issue(const std::string& file, const std::string& names) {
    Make(file, "-CA authority.pem -CAkey authority.key -subj /CN=" + file +
                   " -addext subjectAltName=" + names);
  }
  // A self-signed certificate, unless `arguments` name a signer.
  void Make(const std::string& file, const std::string& arguments) {
    const std::string command = "cd '" + folder_.path() +
                                "' && openssl req -config req.cnf -x509 -days 1 -nodes -newkey ec" +
                                " -pkeyopt ec_paramgen_curve:prime256v1 -keyout " + file +
                                ".key -out " + file + ".pem " + arguments + " 2>openssl.log";
    EXPECT_EQ(std::system(command.c_str()), 0) << command << "\n" << Read("openssl.log");
  }

  const TempFolder folder_;
};

}  // namespace dgc::testing
