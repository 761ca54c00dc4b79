// Certificates: an authority of this test process, and what it issues, made by the openssl command.
//
// In a folder of its own, gone with the object.
#pragma once

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "gtest/gtest.h"

namespace dgc::testing {

class Certificates {
 public:
  Certificates() {
    std::string folder = ::testing::TempDir() + "dgc-certificates-XXXXXX";
    if (mkdtemp(folder.data()) != nullptr) folder_ = folder;
    EXPECT_FALSE(folder_.empty()) << "no folder " << folder;
    // Not the machine's own configuration, which may add anything.
    std::ofstream(Path("req.cnf")) << "[req]\ndistinguished_name = dn\n[dn]\n";
    Make("authority", "-subj /CN=authority -addext basicConstraints=critical,CA:TRUE");
  }
  Certificates(const Certificates&) = delete;
  Certificates& operator=(const Certificates&) = delete;
  ~Certificates() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
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
  std::string Path(const std::string& file) const { return folder_ + "/" + file; }
  std::string Read(const std::string& file) const {
    std::ifstream stream(Path(file));
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  void Issue(const std::string& file, const std::string& names) {
    Make(file, "-CA authority.pem -CAkey authority.key -subj /CN=" + file +
                   " -addext subjectAltName=" + names);
  }
  // A self-signed certificate, unless `arguments` name a signer.
  void Make(const std::string& file, const std::string& arguments) {
    const std::string command = "cd '" + folder_ +
                                "' && openssl req -config req.cnf -x509 -days 1 -nodes -newkey ec" +
                                " -pkeyopt ec_paramgen_curve:prime256v1 -keyout " + file +
                                ".key -out " + file + ".pem " + arguments + " 2>openssl.log";
    EXPECT_EQ(std::system(command.c_str()), 0) << command << "\n" << Read("openssl.log");
  }

  std::string folder_;
};

}  // namespace dgc::testing
