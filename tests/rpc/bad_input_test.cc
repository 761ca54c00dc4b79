// What an owner does with input that no well-behaved peer sends: the documented error, and
// nothing else.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/rpc/host.h"
#include "tests/testing/status_matchers.h"

namespace dgc::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// What a refused request must leave as it was.
struct State {
  uint64_t objects;
  uint64_t types;
  uint64_t clients;
  uint64_t listings;
  uint64_t transits;
  uint64_t departed;
  uint64_t granted;
  uint64_t renewed;

  friend bool operator==(const State&, const State&) = default;
};

State StateOf(const Owner& owner) {
  const Stats stats = owner.stats();
  return {stats.objects,
          stats.types,
          stats.sizes.clients,
          stats.sizes.listings,
          stats.sizes.transits,
          stats.sizes.departed,
          stats.counters.leases_granted,
          stats.counters.leases_renewed};
}

class BadInputTest : public ::testing::Test {
 protected:
  BadInputTest() : host_("bad-input") {
    object_ = host_.owner.Export(std::make_shared<Blob>("kept", &host_.gone));
    const WireRef ref = object_.Describe();
    // A good request of each kind; each case spoils a copy.
    good_client_.set_high(1);
    good_client_.set_low(2);
    Fill(&dirty_, ref);
    Fill(&clean_, ref);
    Fill(&transit_, ref);
    transit_.add_transit(kHolderTokenBit | 1);
    *renew_.mutable_client() = good_client_;
    renew_.set_owner(ref.owner);
    renew_.set_owner_incarnation(Raw(ref.incarnation));
    renew_.set_sequence_number(1);
    *goodbye_.mutable_client() = good_client_;
    goodbye_.set_owner(ref.owner);
    goodbye_.set_owner_incarnation(Raw(ref.incarnation));
    goodbye_.set_sequence_number(1);
  }

  template <typename Request>
  void Fill(Request* request, const WireRef& ref) {
    *request->mutable_client() = good_client_;
    request->set_owner(ref.owner);
    request->set_owner_incarnation(Raw(ref.incarnation));
    if constexpr (!std::is_same_v<Request, v1::TransitRequest>) request->set_sequence_number(1);
    request->add_object_id_high(ref.id.high);
    request->add_object_id_low(ref.id.low);
  }

  template <typename Request, typename Response>
  using Call = grpc::Status (v1::CollectorService::Stub::*)(grpc::ClientContext*, const Request&,
                                                            Response*);

  // Sends what `spoil` makes of `request`, and expects the error and no effect.
  template <typename Request, typename Response>
  void Refused(Call<Request, Response> call, Request request,
               const std::function<void(Request*)>& spoil, grpc::StatusCode code,
               const char* message) {
    spoil(&request);
    const State before = StateOf(host_.owner);
    grpc::ClientContext context;
    Response response;
    const grpc::Status status = (host_.collector.get()->*call)(&context, request, &response);
    EXPECT_EQ(status.error_code(), code) << message << ": " << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(message));
    EXPECT_EQ(StateOf(host_.owner), before) << message;
  }

  Host host_;
  Ref object_;
  v1::ClientId good_client_;
  v1::DirtyRequest dirty_;
  v1::CleanRequest clean_;
  v1::RenewRequest renew_;
  v1::TransitRequest transit_;
  v1::GoodbyeRequest goodbye_;
};

template <typename Request>
struct Case {
  const char* message;
  std::function<void(Request*)> spoil;
};

// Cases that apply to every request that names ids.
template <typename Request>
std::vector<Case<Request>> ShapeCases() {
  return {
      {"client", [](Request* r) { r->clear_client(); }},
      {"client",
       [](Request* r) { r->mutable_client()->set_low(0), r->mutable_client()->set_high(0); }},
      {"object_id", [](Request* r) { r->set_object_id_high(0, 0), r->set_object_id_low(0, 0); }},
      {"unequal", [](Request* r) { r->add_object_id_high(7); }},
      {"unequal", [](Request* r) { r->add_object_id_low(7); }},
      {"unequal", [](Request* r) { r->add_transit(7), r->add_transit(8); }},
      {"65536",
       [](Request* r) {
         r->mutable_object_id_high()->Resize(65'537, 7);
         r->mutable_object_id_low()->Resize(65'537, 7);
         if (r->transit_size() > 0) r->mutable_transit()->Resize(65'537, kHolderTokenBit | 7);
       }},
  };
}

template <typename Request>
std::vector<Case<Request>> SequenceCases() {
  return {
      {"sequence_number", [](Request* r) { r->set_sequence_number(0); }},
      {"sequence_number", [](Request* r) { r->set_sequence_number(uint64_t{1} << 63); }},
  };
}

template <typename Request>
std::vector<Case<Request>> TermCases() {
  return {
      {"requested_term", [](Request* r) { r->mutable_requested_term()->set_seconds(-1); }},
      {"requested_term", [](Request* r) { r->mutable_requested_term()->set_nanos(-1); }},
      {"requested_term", [](Request* r) { r->mutable_requested_term()->set_nanos(1'000'000'000); }},
      {"requested_term", [](Request* r) { r->mutable_requested_term()->set_seconds(86'401); }},
      {"requested_term",
       [](Request* r) { r->mutable_requested_term()->set_seconds(int64_t{1} << 62); }},
  };
}

TEST_F(BadInputTest, MalformedRequestsAreInvalidArgumentAndChangeNothing) {
  using Stub = v1::CollectorService::Stub;
  const auto all = [&]<typename Request, typename Response>(
                       Call<Request, Response> call, const Request& good,
                       const std::vector<std::vector<Case<Request>>>& tables) {
    for (const auto& table : tables) {
      for (const Case<Request>& each : table) {
        Refused<Request, Response>(call, good, each.spoil, grpc::StatusCode::INVALID_ARGUMENT,
                                   each.message);
      }
    }
  };
  all.template operator()<v1::DirtyRequest, v1::DirtyResponse>(
      &Stub::Dirty, dirty_,
      {ShapeCases<v1::DirtyRequest>(),
       SequenceCases<v1::DirtyRequest>(),
       TermCases<v1::DirtyRequest>(),
       {{"complete_from", [](v1::DirtyRequest* r) { r->set_complete_from(2); }}}});
  all.template operator()<v1::CleanRequest, v1::CleanResponse>(
      &Stub::Clean, clean_, {ShapeCases<v1::CleanRequest>(), SequenceCases<v1::CleanRequest>()});
  all.template operator()<v1::TransitRequest, v1::TransitResponse>(
      &Stub::Transit, transit_,
      {ShapeCases<v1::TransitRequest>(),
       TermCases<v1::TransitRequest>(),
       {{"transit", [](v1::TransitRequest* r) { r->set_transit(0, 7); }},
        {"transit", [](v1::TransitRequest* r) { r->clear_transit(); }}}});
  all.template operator()<v1::RenewRequest, v1::RenewResponse>(
      &Stub::Renew, renew_,
      {{{"client", [](v1::RenewRequest* r) { r->clear_client(); }}},
       TermCases<v1::RenewRequest>()});
  all.template operator()<v1::GoodbyeRequest, v1::GoodbyeResponse>(
      &Stub::Goodbye, goodbye_,
      {{{"client", [](v1::GoodbyeRequest* r) { r->clear_client(); }}},
       SequenceCases<v1::GoodbyeRequest>()});
}

TEST_F(BadInputTest, AnotherOwnerOrRunIsFailedPreconditionAndChangesNothing) {
  using Stub = v1::CollectorService::Stub;
  const auto refused = [this](const auto& spoil, const char* message) {
    const auto code = grpc::StatusCode::FAILED_PRECONDITION;
    Refused<v1::DirtyRequest, v1::DirtyResponse>(&Stub::Dirty, dirty_, spoil, code, message);
    Refused<v1::CleanRequest, v1::CleanResponse>(&Stub::Clean, clean_, spoil, code, message);
    Refused<v1::RenewRequest, v1::RenewResponse>(&Stub::Renew, renew_, spoil, code, message);
    Refused<v1::TransitRequest, v1::TransitResponse>(&Stub::Transit, transit_, spoil, code,
                                                     message);
    Refused<v1::GoodbyeRequest, v1::GoodbyeResponse>(&Stub::Goodbye, goodbye_, spoil, code,
                                                     message);
  };
  refused([](auto* request) { request->set_owner_incarnation(12345); }, "incarnation");
  refused([](auto* request) { request->set_owner("another:1"); }, "another:1");
  refused([](auto* request) { request->clear_owner(); }, "meant for");
}

TEST_F(BadInputTest, AnotherKeyForABoundClientIsPermissionDenied) {
  grpc::ClientContext context;
  v1::DirtyResponse response;
  ASSERT_TRUE(host_.collector->Dirty(&context, dirty_, &response).ok());
  dirty_.set_sequence_number(2);
  clean_.set_sequence_number(2);
  goodbye_.set_sequence_number(2);

  using Stub = v1::CollectorService::Stub;
  const auto code = grpc::StatusCode::PERMISSION_DENIED;
  const auto spoil = [](auto* request) { request->mutable_key()->set_low(9); };
  Refused<v1::DirtyRequest, v1::DirtyResponse>(&Stub::Dirty, dirty_, spoil, code, "key");
  Refused<v1::CleanRequest, v1::CleanResponse>(&Stub::Clean, clean_, spoil, code, "key");
  Refused<v1::RenewRequest, v1::RenewResponse>(&Stub::Renew, renew_, spoil, code, "key");
  Refused<v1::GoodbyeRequest, v1::GoodbyeResponse>(&Stub::Goodbye, goodbye_, spoil, code, "key");
}

TEST_F(BadInputTest, UnknownObjectIsReportedByIndexAndTheOthersAreListed) {
  dirty_.add_object_id_high(77);
  dirty_.add_object_id_low(88);
  grpc::ClientContext context;
  v1::DirtyResponse response;
  ASSERT_TRUE(host_.collector->Dirty(&context, dirty_, &response).ok());

  ASSERT_EQ(response.failures_size(), 1);
  EXPECT_EQ(response.failures(0).index(), 1u);
  EXPECT_EQ(response.failures(0).reason(), v1::FAILURE_REASON_UNKNOWN);
  EXPECT_EQ(host_.owner.stats().sizes.listings, 1u);
}

struct BadRef {
  const char* what;
  std::function<void(v1::Ref*)> spoil;
  grpc::StatusCode code;
  const char* message;
};

TEST_F(BadInputTest, MalformedOrForeignReferencesAreRefusedByTheApplication) {
  using enum grpc::StatusCode;
  const std::vector<BadRef> bad = {
      {"empty", [](v1::Ref* r) { r->Clear(); }, INVALID_ARGUMENT, "no owner"},
      {"no incarnation", [](v1::Ref* r) { r->set_incarnation(0); }, INVALID_ARGUMENT,
       "no incarnation"},
      {"zero id", [](v1::Ref* r) { r->set_object_id_high(0), r->set_object_id_low(0); },
       INVALID_ARGUMENT, "id is zero"},
      {"long owner", [](v1::Ref* r) { r->set_owner(std::string(256, 'x')); }, INVALID_ARGUMENT,
       "too long"},
      {"long type", [](v1::Ref* r) { r->set_type(std::string(256, 'x')); }, INVALID_ARGUMENT,
       "too long"},
      {"long type, other owner",
       [](v1::Ref* r) { r->set_owner("elsewhere:1"), r->set_type(std::string(256, 'x')); },
       INVALID_ARGUMENT, "too long"},
      {"other owner", [](v1::Ref* r) { r->set_owner("elsewhere:1"); }, FAILED_PRECONDITION,
       "elsewhere:1"},
      {"earlier run", [](v1::Ref* r) { r->set_incarnation(12345); }, FAILED_PRECONDITION,
       "host restarted"},
      {"unknown object", [](v1::Ref* r) { r->set_object_id_low(12345); }, NOT_FOUND,
       "never existed"},
  };
  const WireRef good = object_.Describe();
  for (const BadRef& each : bad) {
    v1::Ref ref;
    ref.set_owner(good.owner);
    ref.set_incarnation(Raw(good.incarnation));
    ref.set_object_id_high(good.id.high);
    ref.set_object_id_low(good.id.low);
    ref.set_type(good.type);
    ASSERT_TRUE(host_.Read(ref).ok());
    each.spoil(&ref);
    const State before = StateOf(host_.owner);

    const grpc::Status status = host_.Read(ref);

    EXPECT_EQ(status.error_code(), each.code) << each.what << ": " << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(each.message)) << each.what;
    EXPECT_EQ(StateOf(host_.owner), before) << each.what;
  }
}

TEST_F(BadInputTest, IdentityOfTheWrongLengthIsNone) {
  grpc::ClientContext context;
  context.AddMetadata(kClientIdKey, "short");
  EXPECT_FALSE(host_.Create(&context).owner().empty());
}

TEST_F(BadInputTest, ByteStreamThatIsNotGrpcHarmsNobody) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, Host::Path("bad-input").c_str(), sizeof(address.sun_path) - 1);
  const State before = StateOf(host_.owner);
  for (const std::string& bytes : {std::string("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
                                   std::string(100'000, '\xff'), std::string(3, '\0')}) {
    const int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_GE(connection, 0);
    ASSERT_EQ(connect(connection, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    (void)send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    shutdown(connection, SHUT_WR);
    char sink[4096];
    while (recv(connection, sink, sizeof(sink), 0) > 0) {
    }
    close(connection);
  }

  EXPECT_EQ(StateOf(host_.owner), before);
  grpc::ClientContext context;
  v1::DirtyResponse response;
  EXPECT_TRUE(host_.collector->Dirty(&context, dirty_, &response).ok());
}

}  // namespace
}  // namespace dgc::testing
