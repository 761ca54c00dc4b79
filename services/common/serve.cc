#include "services/common/serve.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <prometheus/exposer.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "services/common/address.h"

namespace services {
namespace {

// How often to try again when a port that was free is not any more.
constexpr int kPortAttempts = 20;

// Calls at a time on one connection; more wait at the client.  A process has one connection to each
// host, and our own clients make fewer than ten calls at a time.
constexpr int kStreamsPerConnectionMax = 256;

// What gRPC counts for a connection without calls, measured.
constexpr int64_t kConnectionBytes = 9000;

// Descriptors that are neither connections to the server nor those of peers: 20 or so, and the
// connections that the metrics server takes.
constexpr int64_t kDescriptorsBesides = 64;

// Descriptors that a peer may cost: its channel and the one before it, those of the peer that had
// its place until a moment ago, and each while it connects or asks for an address.
constexpr int64_t kDescriptorsPerPeer = 8;

// Of an address: do not serve this.
constexpr char kNowhere[] = "none";

struct Running {
  std::unique_ptr<Role> role;
  std::unique_ptr<grpc::Server> server;
  std::string name;
  std::string address;
  // Beside it; null if there is none.
  std::unique_ptr<grpc::Server> admin;
  std::string admin_address = kNowhere;
  std::unique_ptr<prometheus::Exposer> exposer;
  std::string metrics_address = kNowhere;
};

std::chrono::nanoseconds Seconds(double seconds) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(seconds));
}

// A server on exactly this address; null if it cannot be had.
template <typename Register>
std::unique_ptr<grpc::Server> Listen(const ServeOptions& options, const std::string& address,
                                     int* port, Register add) {
  grpc::ServerBuilder builder;
  // Otherwise a second server on the same port starts, and the kernel splits connections between
  // the two.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnectionMax);
  builder.SetMaxReceiveMessageSize(options.message_bytes_max);
  // Otherwise a caller that finishes none of its messages makes the process hold them all.
  builder.SetResourceQuota(grpc::ResourceQuota(address).Resize(options.message_bytes_total_max));
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), port);
  add(&builder);
  return builder.BuildAndStart();
}

// The name has to be known before the role is made, and the port before the name.
absl::StatusOr<Running> Start(const ServeOptions& options, uint32_t peers_max,
                              const MakeRole& make_role) {
  absl::StatusOr<Address> address = ParseAddress(options.listen);
  if (!address.ok()) return address.status();
  if (address->wildcard() && options.name.empty()) {
    return absl::InvalidArgumentError("--listen on every interface needs --name");
  }
  if (!options.name.empty()) {
    const absl::StatusOr<Address> name = ParseAddress(options.name);
    if (!name.ok() || name->wildcard() || name->port == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("--name '", options.name, "' is not a HOST:PORT that others can dial"));
    }
  }
  if (options.message_bytes_total_max / kMessagesMin < options.message_bytes_max) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--message-bytes-total-max ", options.message_bytes_total_max, " is less than ",
        kMessagesMin, " times --message-bytes-max ", options.message_bytes_max));
  }
  const bool any_port = address->port == 0;
  for (int attempt = 1; attempt <= (any_port ? kPortAttempts : 1); ++attempt) {
    if (any_port) {
      const absl::StatusOr<uint16_t> port = FreePort(*address);
      if (!port.ok()) return port.status();
      address->port = *port;
    }
    Running running;
    running.address = address->ToString();
    running.name = options.name.empty() ? running.address : options.name;
    absl::StatusOr<std::unique_ptr<Role>> role = make_role(running.name, peers_max);
    if (!role.ok()) return role.status();
    running.role = *std::move(role);
    running.server = Listen(
        options, running.address, nullptr,
        [role = running.role.get()](grpc::ServerBuilder* builder) { role->Register(builder); });
    if (running.server != nullptr) return running;
  }
  return absl::UnavailableError(
      absl::StrCat("cannot listen on ", address->ToString(), ": in use, or not an address here"));
}

absl::Status StartAdmin(const ServeOptions& options, Running* running) {
  if (options.admin == kNowhere) return absl::OkStatus();
  const absl::StatusOr<Address> address = ParseAddress(options.admin);
  if (!address.ok()) return address.status();
  int port = 0;
  running->admin = Listen(
      options, address->ToString(), &port,
      [role = running->role.get()](grpc::ServerBuilder* builder) { role->RegisterAdmin(builder); });
  if (running->admin == nullptr) {
    return absl::UnavailableError(absl::StrCat("cannot serve operators on ", options.admin,
                                               ": in use, or not an address here"));
  }
  running->admin_address = absl::StrCat(address->host, ":", port);
  return absl::OkStatus();
}

absl::Status StartMetrics(const ServeOptions& options, Running* running) {
  if (options.metrics == kNowhere) return absl::OkStatus();
  const absl::StatusOr<Address> address = ParseAddress(options.metrics);
  if (!address.ok()) return address.status();
  try {
    running->exposer = std::make_unique<prometheus::Exposer>(address->ToString());
    running->exposer->RegisterCollectable(running->role->metrics());
  } catch (const std::exception& error) {
    return absl::UnavailableError(
        absl::StrCat("cannot serve metrics on ", options.metrics, ": ", error.what()));
  }
  running->metrics_address =
      absl::StrCat(address->host, ":", running->exposer->GetListeningPorts().front());
  return absl::OkStatus();
}

void Announce(const Running& running) {
  std::printf("ready name=%s address=%s metrics=%s admin=%s pid=%d\n", running.name.c_str(),
              running.address.c_str(), running.metrics_address.c_str(),
              running.admin_address.c_str(), static_cast<int>(getpid()));
  std::fflush(stdout);
}

// An accept() that finds no descriptor left ends gRPC's listener for good, so it should find the
// bound on memory first, and peers, which any caller may name, have a share of their own: what
// connections leave, and where that is less than a quarter of all, a quarter.  Few descriptors are
// allowed by default, as select() takes no more; nothing here does.  Returns the most peers.
uint32_t ShareDescriptors(int64_t bytes_max) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);  // Fails for no such arguments.
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  const auto descriptors =
      static_cast<int64_t>(std::min<rlim_t>(limit.rlim_max, std::numeric_limits<int32_t>::max()));
  const int64_t connections = bytes_max / kConnectionBytes;
  const int64_t left = descriptors - kDescriptorsBesides - connections;
  const int64_t of_peers = std::max(left, descriptors / 4);
  if (left < of_peers) {
    spdlog::warn(
        "at most {} descriptors: more connections than {}, and no new one is accepted any more; "
        "raise the limit (ulimit -Hn) to {}, or lower --message-bytes-total-max",
        descriptors, descriptors - kDescriptorsBesides - of_peers,
        (connections + kDescriptorsBesides) * 4 / 3 + 4);
  }
  return static_cast<uint32_t>(std::max<int64_t>(of_peers / kDescriptorsPerPeer, 1));
}

void SetUpLogging(const ServeOptions& options) {
  spdlog::set_default_logger(spdlog::stderr_logger_mt("main"));
  spdlog::set_level(spdlog::level::from_str(options.log_level));
  // One lock in the runtime; the order of locks is not in doubt, and a release must not abort over
  // it.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

}  // namespace

std::function<std::string(const std::string&)> Within(double least, double most) {
  return [least, most](const std::string& text) -> std::string {
    double value = 0;
    if (absl::SimpleAtod(text, &value) && value >= least && value <= most) return {};
    return absl::StrCat(text, " is not a number from ", least, " to ", most);
  };
}

void AddServeFlags(CLI::App* app, ServeOptions* options) {
  app->add_option("--listen", options->listen, "HOST:PORT to listen on; port 0: any free one")
      ->capture_default_str();
  app->add_option("--name", options->name,
                  "HOST:PORT by which others dial this process; default: where it listens");
  app->add_option("--metrics", options->metrics,
                  "HOST:PORT of Prometheus' /metrics; port 0: any free one; none: nowhere")
      ->capture_default_str();
  app->add_option("--admin", options->admin,
                  "HOST:PORT of dgc.v1.AdminService, for operators alone; none: nowhere")
      ->capture_default_str();
  app->add_option("--message-bytes-max", options->message_bytes_max, "Largest message accepted")
      ->check(CLI::Range(1 << 16, 1 << 30))
      ->capture_default_str();
  app->add_option("--message-bytes-total-max", options->message_bytes_total_max,
                  "Most memory for connections and for messages on their way")
      ->check(CLI::Range(int64_t{1} << 18, int64_t{1} << 40))
      ->capture_default_str();
  app->add_option("--drain", options->drain_seconds,
                  "Seconds of NOT_SERVING before the server stops")
      ->check(Within(0.0, 3600.0))
      ->capture_default_str();
  app->add_option("--grace", options->grace_seconds,
                  "Seconds that calls under way may take when the server stops")
      ->check(Within(0.0, 3600.0))
      ->capture_default_str();
  app->add_option("--log", options->log_level, "Log level")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
      ->capture_default_str();
}

int Serve(const ServeOptions& options, TerminationSignals* signals, const MakeRole& make_role) {
  SetUpLogging(options);
  const uint32_t peers_max = ShareDescriptors(options.message_bytes_total_max);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();

  absl::StatusOr<Running> running = Start(options, peers_max, make_role);
  if (!running.ok()) {
    spdlog::error("{}", std::string(running.status().message()));
    return 1;
  }
  absl::Status status = StartMetrics(options, &*running);
  if (status.ok()) status = StartAdmin(options, &*running);
  if (status.ok()) {
    running->server->GetHealthCheckService()->SetServingStatus(true);
    Announce(*running);
    const int number = signals->Wait();
    spdlog::info("stopping signal={}", number);
    running->server->GetHealthCheckService()->SetServingStatus(false);
    signals->WaitFor(Seconds(options.drain_seconds));
  } else {
    spdlog::error("{}", std::string(status.message()));
  }

  const auto deadline =
      std::chrono::system_clock::now() + std::chrono::duration_cast<std::chrono::microseconds>(
                                             Seconds(status.ok() ? options.grace_seconds : 0));
  for (grpc::Server* server : {running->admin.get(), running->server.get()}) {
    if (server == nullptr) continue;
    server->Shutdown(deadline);
    server->Wait();
  }
  const absl::Status stopped = running->role->Stop();
  if (!stopped.ok()) spdlog::error("{}", std::string(stopped.message()));
  running->exposer.reset();
  running->admin.reset();
  running->server.reset();
  running->role.reset();
  spdlog::info("stopped");
  spdlog::shutdown();
  return status.ok() && stopped.ok() ? 0 : 1;
}

}  // namespace services
