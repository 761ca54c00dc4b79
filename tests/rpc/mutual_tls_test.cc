// Client ids over mutual TLS: a real server, and peers with certificates of their own.
#include <memory>
#include <string>
#include <vector>

#include "dgc/runtime/holder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/rpc/certificates.h"
#include "tests/rpc/host.h"
#include "tests/testing/status_matchers.h"

namespace dgc::testing {
namespace {

using Stub = v1::CollectorService::Stub;

class MutualTlsTest : public ::testing::Test {
 protected:
  MutualTlsTest()
      : host_("tls", {},
              {.server = certificates_.Server(), .channel = certificates_.Peer("DNS:app")}) {
    object_ = host_.owner.Export(std::make_shared<Blob>("kept", &host_.gone));
  }

  // A peer of its own connection that speaks the protocol by hand.
  std::unique_ptr<Stub> Connect(const std::string& names) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return v1::CollectorService::NewStub(
        grpc::CreateCustomChannel(Host::Address("tls"), certificates_.Peer(names), arguments));
  }

  // Requests for the client id 1:2 with the key 3:`key`, each with a new number.
  grpc::Status Dirty(Stub& stub, uint64_t key) {
    v1::DirtyRequest request;
    v1::DirtyResponse response;
    FillRow(&request);
    request.set_sequence_number(++sequence_);
    return Call(&Stub::Dirty, stub, key, request, &response);
  }
  grpc::Status Clean(Stub& stub, uint64_t key) {
    v1::CleanRequest request;
    v1::CleanResponse response;
    FillRow(&request);
    request.set_sequence_number(++sequence_);
    return Call(&Stub::Clean, stub, key, request, &response);
  }
  grpc::Status Renew(Stub& stub, uint64_t key) {
    v1::RenewRequest request;
    v1::RenewResponse response;
    request.set_sequence_number(sequence_);
    return Call(&Stub::Renew, stub, key, request, &response);
  }
  grpc::Status Transit(Stub& stub, uint64_t key) {
    v1::TransitRequest request;
    v1::TransitResponse response;
    FillRow(&request);
    request.add_transit(kHolderTokenBit | 1);
    return Call(&Stub::Transit, stub, key, request, &response);
  }
  grpc::Status Goodbye(Stub& stub, uint64_t key) {
    v1::GoodbyeRequest request;
    v1::GoodbyeResponse response;
    request.set_sequence_number(++sequence_);
    return Call(&Stub::Goodbye, stub, key, request, &response);
  }
  std::vector<grpc::Status> Everything(Stub& stub, uint64_t key) {
    return {Dirty(stub, key), Clean(stub, key), Renew(stub, key), Transit(stub, key),
            Goodbye(stub, key)};
  }

  uint64_t listings() { return host_.owner.stats().sizes.listings; }

  Certificates certificates_;
  Host host_;
  Ref object_;

 private:
  template <typename Request>
  void FillRow(Request* request) {
    request->add_object_id_high(object_.id().high);
    request->add_object_id_low(object_.id().low);
  }
  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    Stub& stub, uint64_t key, Request& request, Response* response) {
    request.mutable_client()->set_high(1);
    request.mutable_client()->set_low(2);
    request.mutable_key()->set_high(3);
    request.mutable_key()->set_low(key);
    request.set_owner(object_.Describe().owner);
    request.set_owner_incarnation(Raw(object_.Describe().incarnation));
    grpc::ClientContext context;
    return (stub.*method)(&context, request, response);
  }

  uint64_t sequence_ = 0;
};

MATCHER(IsPermissionDenied, "is PERMISSION_DENIED") {
  *result_listener << arg.error_code() << " " << arg.error_message();
  return arg.error_code() == grpc::StatusCode::PERMISSION_DENIED;
}

TEST_F(MutualTlsTest, HolderWithACertificateHoldsAndLetsGo) {
  Options options;
  options.channel_credentials = certificates_.Peer("DNS:alice");
  Holder holder(options);
  Ref ref = holder.Import(host_.Create(holder.Context()));
  ASSERT_TRUE(holder.Settle(kLong));
  EXPECT_THAT(ref.status(), IsOk());
  EXPECT_EQ(listings(), 1u);

  ref.reset();

  EXPECT_TRUE(host_.gone.Wait(1));
}

TEST_F(MutualTlsTest, StolenIdAndKeyAreOfNoUseWithAnotherCertificate) {
  const auto alice = Connect("DNS:alice");
  const auto mallory = Connect("DNS:mallory");
  ASSERT_TRUE(Dirty(*alice, 4).ok());

  EXPECT_THAT(Everything(*mallory, 4), ::testing::Each(IsPermissionDenied()));

  EXPECT_EQ(listings(), 1u);
  EXPECT_TRUE(Renew(*alice, 4).ok());
  EXPECT_TRUE(Clean(*alice, 4).ok());
  EXPECT_EQ(listings(), 0u);
}

TEST_F(MutualTlsTest, ReplicasThatShareAnIdentityCannotSpeakForEachOther) {
  const auto first = Connect("DNS:replicas");
  const auto second = Connect("DNS:replicas");
  ASSERT_TRUE(Dirty(*first, 4).ok());

  EXPECT_THAT(Everything(*second, 5), ::testing::Each(IsPermissionDenied()));

  EXPECT_EQ(listings(), 1u);
}

TEST_F(MutualTlsTest, IdentityOutlivesTheRotationOfTheCertificate) {
  ASSERT_TRUE(Dirty(*Connect("DNS:alice,DNS:alice.example"), 4).ok());

  EXPECT_TRUE(Renew(*Connect("DNS:alice.example,DNS:alice"), 4).ok());
}

TEST_F(MutualTlsTest, SpiffeIdIsTheIdentityWhateverElseTheCertificateSays) {
  ASSERT_TRUE(Dirty(*Connect("URI:spiffe://example/alice,DNS:node-1"), 4).ok());

  EXPECT_TRUE(Renew(*Connect("URI:spiffe://example/alice,DNS:node-2"), 4).ok());
  EXPECT_THAT(Renew(*Connect("URI:spiffe://example/mallory,DNS:node-1"), 4), IsPermissionDenied());
}

TEST_F(MutualTlsTest, ClientThatHasLeftKeepsItsBinding) {
  const auto alice = Connect("DNS:alice");
  ASSERT_TRUE(Dirty(*alice, 4).ok());
  ASSERT_TRUE(Goodbye(*alice, 4).ok());

  EXPECT_THAT(Dirty(*Connect("DNS:mallory"), 4), IsPermissionDenied());
}

}  // namespace
}  // namespace dgc::testing
