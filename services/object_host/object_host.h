// ObjectHost: the role of one object host process: an Owner, the object service, the reclaim log.
//
// Thread rules as services::Role.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dgc/runtime/owner.h"
#include "services/common/serve.h"
#include "services/object_host/object_service.h"

namespace CLI {
class App;
}

namespace object_host {

struct HostOptions {
  ObjectServiceOptions objects;
  // Lease term granted and asked for, and how long a reference is protected on its way, in
  // seconds.
  double term_seconds = 30;
  double transit_seconds = 30;
  // How long what a lapsed holder held is kept, so that a late renewal loses nothing, in seconds.
  double limbo_seconds = 0;
  // The most objects.
  uint32_t objects_max = (uint32_t{1} << 31) - 1;
  // The most clients that hold something here: what the collector keeps for each is bounded.
  uint32_t clients_max = dgc::LeaseOptions{}.clients_max;
  // The most listings, one for each client and object that it holds: 32 bytes each.
  uint64_t listings_max = dgc::LeaseOptions{}.listings_max;
  // Where to append a line for each reclaimed object; empty: nowhere.
  std::string events;
};

// Adds a flag for each field.
void AddHostFlags(CLI::App* app, HostOptions* options);

class ObjectHost final : public services::Role {
 public:
  // As services::MakeRole.
  static absl::StatusOr<std::unique_ptr<services::Role>> Make(const HostOptions& options,
                                                              const std::string& name,
                                                              uint32_t peers_max);

  void Register(grpc::ServerBuilder* builder) override;
  void RegisterAdmin(grpc::ServerBuilder* builder) override;
  std::shared_ptr<prometheus::Collectable> metrics() override { return owner_.metrics(); }
  absl::Status Stop() override;

 private:
  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  using File = std::unique_ptr<std::FILE, CloseFile>;

  ObjectHost(const HostOptions& options, dgc::Options owner_options, File events);
  void OnReclaim(const dgc::ReclaimEvent& event);

  // Objects use the store, and the Owner the log, to the end.
  const File events_;
  // Lines that could not be written; touched by the finalizer thread, and after it by Stop().
  uint64_t events_lost_ = 0;
  std::chrono::steady_clock::time_point warned_{};
  ObjectStore store_;
  dgc::Owner owner_;
  ObjectServiceImpl service_;
};

}  // namespace object_host
