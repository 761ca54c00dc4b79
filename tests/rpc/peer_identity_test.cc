#include "dgc/rpc/peer_identity.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace dgc {
namespace {

// What gRPC says of a peer.
class FakeContext final : public grpc::AuthContext {
 public:
  using Properties = std::multimap<std::string, std::string>;
  FakeContext(std::string identity, Properties properties)
      : identity_(std::move(identity)), properties_(std::move(properties)) {}

  bool IsPeerAuthenticated() const override { return !identity_.empty(); }
  std::vector<grpc::string_ref> GetPeerIdentity() const override {
    return FindPropertyValues(identity_);
  }
  std::string GetPeerIdentityPropertyName() const override { return identity_; }
  std::vector<grpc::string_ref> FindPropertyValues(const std::string& name) const override {
    std::vector<grpc::string_ref> values;
    const auto [begin, end] = properties_.equal_range(name);
    for (auto it = begin; it != end; ++it) values.emplace_back(it->second);
    return values;
  }
  grpc::AuthPropertyIterator begin() const override { return None(); }
  grpc::AuthPropertyIterator end() const override { return None(); }
  void AddProperty(const std::string&, const grpc::string_ref&) override {}
  bool SetPeerIdentityPropertyName(const std::string&) override { return false; }

 private:
  struct None : grpc::AuthPropertyIterator {};

  const std::string identity_;
  const Properties properties_;
};

constexpr char kSan[] = "x509_subject_alternative_name";
constexpr char kSpiffe[] = "peer_spiffe_id";

std::string Identity(const std::string& property, FakeContext::Properties properties) {
  return PeerIdentity(FakeContext(property, std::move(properties)));
}

TEST(PeerIdentityTest, UnauthenticatedPeerHasNone) {
  EXPECT_EQ(Identity("", {{kSan, "a"}, {kSpiffe, "spiffe://a"}}), "");
}

TEST(PeerIdentityTest, AllValuesCountAndTheirOrderDoesNot) {
  const std::string both = Identity(kSan, {{kSan, "a"}, {kSan, "b"}});
  EXPECT_EQ(Identity(kSan, {{kSan, "b"}, {kSan, "a"}}), both);
  EXPECT_NE(Identity(kSan, {{kSan, "a"}}), both);
}

TEST(PeerIdentityTest, DifferentIdentitiesAreDifferentTexts) {
  const std::string both = Identity(kSan, {{kSan, "a"}, {kSan, "b"}});
  EXPECT_NE(Identity(kSan, {{kSan, "ab"}}), both);
  EXPECT_NE(Identity(kSan, {{kSan, "1:a1:b"}}), both);
  EXPECT_NE(Identity(kSan, {{kSan, "a1:b"}}), both);
  EXPECT_NE(Identity("x509_common_name", {{"x509_common_name", "a"}}),
            Identity(kSan, {{kSan, "a"}}));
  EXPECT_NE(Identity(kSan, {}), "") << "authenticated all the same";
}

TEST(PeerIdentityTest, OtherPropertiesDoNotCount) {
  EXPECT_EQ(Identity(kSan, {{kSan, "a"}, {"x509_pem_cert", "one"}}),
            Identity(kSan, {{kSan, "a"}, {"x509_pem_cert", "two"}}));
}

TEST(PeerIdentityTest, SpiffeIdStandsForTheWholeCertificate) {
  const std::string alice =
      Identity(kSan, {{kSan, "a"}, {kSan, "spiffe://a"}, {kSpiffe, "spiffe://a"}});
  EXPECT_EQ(Identity(kSan, {{kSan, "spiffe://a"}, {kSpiffe, "spiffe://a"}}), alice);
  EXPECT_NE(Identity(kSan, {{kSan, "spiffe://a"}}), alice) << "a name that only looks like one";
}

// An AuthMetadataProcessor may have set it, from a token for instance.
TEST(PeerIdentityTest, AnApplicationsOwnPropertyComesBeforeTheSpiffeId) {
  EXPECT_EQ(Identity("user", {{"user", "alice"}, {kSpiffe, "spiffe://proxy"}}),
            Identity("user", {{"user", "alice"}}));
}

}  // namespace
}  // namespace dgc
