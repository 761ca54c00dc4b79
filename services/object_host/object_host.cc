#include "services/object_host/object_host.h"

#include <grpcpp/server_builder.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace object_host {
namespace {

// Of what is given in bytes.
constexpr uint64_t kBytesMax = uint64_t{1} << 50;
constexpr uint64_t kListingsMax = uint64_t{1} << 40;

// How often to say that lines of the event log are lost.
constexpr std::chrono::minutes kWarningInterval{1};

dgc::Duration Seconds(double seconds) {
  return std::chrono::duration_cast<dgc::Duration>(std::chrono::duration<double>(seconds));
}

const char* Word(dgc::ReclaimReason reason) {
  switch (reason) {
    case dgc::ReclaimReason::kClean:
      return "clean";
    case dgc::ReclaimReason::kLapse:
      return "lapse";
    case dgc::ReclaimReason::kTransitExpired:
      return "transit_expired";
    case dgc::ReclaimReason::kCascade:
      return "cascade";
    case dgc::ReclaimReason::kCycle:
      return "cycle";
    case dgc::ReclaimReason::kUnexport:
      return "unexport";
    case dgc::ReclaimReason::kUnspecified:
      break;
  }
  return "unspecified";
}

dgc::Options OwnerOptions(const HostOptions& options, const std::string& name, uint32_t peers_max) {
  dgc::Options owner;
  owner.name = name;
  owner.peers_max = std::min(owner.peers_max, peers_max);
  dgc::LeaseOptions& lease = owner.strategy.lease;
  lease.term_default = Seconds(options.term_seconds);
  lease.term_min = std::min(lease.term_min, lease.term_default);
  lease.term_max = std::max(lease.term_max, lease.term_default);
  lease.transit_term = Seconds(options.transit_seconds);
  lease.limbo = Seconds(options.limbo_seconds);
  lease.requested_term = lease.term_default;
  lease.clients_max = options.clients_max;
  lease.listings_max = options.listings_max;
  owner.objects.objects_max = options.objects_max;
  return owner;
}

}  // namespace

void AddHostFlags(CLI::App* app, HostOptions* options) {
  app->add_option("--term", options->term_seconds, "Lease term, granted and asked for, in seconds")
      ->check(services::Within(0.1, 600.0))
      ->capture_default_str();
  app->add_option("--transit-term", options->transit_seconds,
                  "How long a reference is protected on its way, in seconds")
      ->check(services::Within(0.1, 600.0))
      ->capture_default_str();
  app->add_option("--limbo", options->limbo_seconds,
                  "How long what a lapsed holder held is kept all the same, in seconds")
      ->check(services::Within(0.0, 600.0))
      ->capture_default_str();
  app->add_option("--objects-max", options->objects_max, "Most objects hosted")
      ->check(CLI::Range(uint32_t{1}, (uint32_t{1} << 31) - 1))
      ->capture_default_str();
  app->add_option("--clients-max", options->clients_max, "Most clients that hold something here")
      ->check(CLI::Range(uint32_t{1}, (uint32_t{1} << 31) - 1))
      ->capture_default_str();
  app->add_option("--listings-max", options->listings_max,
                  "Most listings: one for each client and object that it holds")
      ->check(CLI::Range(uint64_t{1}, kListingsMax))
      ->capture_default_str();
  app->add_option("--payload-bytes-max", options->objects.payload_bytes_max,
                  "Largest payload of one object")
      ->check(CLI::Range(uint64_t{1}, kBytesMax))
      ->capture_default_str();
  app->add_option("--payload-bytes-total-max", options->objects.payload_bytes_total_max,
                  "Largest sum of all payloads")
      ->check(CLI::Range(uint64_t{1}, kBytesMax))
      ->capture_default_str();
  app->add_option("--events", options->events, "File that gets a line for each reclaimed object");
}

absl::StatusOr<std::unique_ptr<services::Role>> ObjectHost::Make(const HostOptions& options,
                                                                 const std::string& name,
                                                                 uint32_t peers_max) {
  dgc::Options owner_options = OwnerOptions(options, name, peers_max);
  if (const absl::Status status = dgc::Validate(owner_options); !status.ok()) return status;
  File events;
  if (!options.events.empty()) {
    events.reset(std::fopen(options.events.c_str(), "ae"));
    if (events == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("--events ", options.events, ": ", std::strerror(errno)));
    }
    std::setvbuf(events.get(), nullptr, _IONBF, 0);  // A line is there as soon as it is said.
  }
  return std::unique_ptr<services::Role>(
      new ObjectHost(options, std::move(owner_options), std::move(events)));
}

ObjectHost::ObjectHost(const HostOptions& options, dgc::Options owner_options, File events)
    : events_(std::move(events)),
      store_(options.objects),
      owner_([&] {
        if (events_ != nullptr) {
          owner_options.on_reclaim = [this](const dgc::ReclaimEvent& event) { OnReclaim(event); };
        }
        return std::move(owner_options);
      }()),
      service_(&store_, &owner_) {}

void ObjectHost::Register(grpc::ServerBuilder* builder) {
  builder->RegisterService(owner_.service());
  builder->RegisterService(&service_);
}

void ObjectHost::RegisterAdmin(grpc::ServerBuilder* builder) {
  builder->RegisterService(owner_.admin_service());
}

absl::Status ObjectHost::Stop() {
  owner_.Shutdown();
  if (events_lost_ == 0) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("--events: ", events_lost_, " lines could not be written"));
}

void ObjectHost::OnReclaim(const dgc::ReclaimEvent& event) {
  const auto now = std::chrono::steady_clock::now();
  const auto* object = static_cast<const Object*>(event.object.get());
  std::string label = object->label();
  for (char& c : label) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) c = '?';  // One line, three fields.
  }
  const std::string line = absl::StrCat(
      std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count(), "\t",
      Word(event.reason), "\t", label, "\n");
  if (std::fwrite(line.data(), 1, line.size(), events_.get()) == line.size()) return;
  const int error = errno;
  if (events_lost_++ != 0 && now - warned_ < kWarningInterval) return;
  warned_ = now;
  spdlog::warn("event=events_lost lines={} error=\"{}\"", events_lost_, std::strerror(error));
}

}  // namespace object_host
