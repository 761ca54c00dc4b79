// Serve: what the main of every service does the same way.
//
// Flags, a gRPC server with health and reflection, Prometheus metrics over HTTP, one line on
// standard output once it answers, and an orderly end.  What the service itself does is a Role.
//
// The line, for scripts that ask for port 0:
//
//   ready name=127.0.0.1:40123 address=127.0.0.1:40123 metrics=127.0.0.1:40125 admin=none pid=4711
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/common/signals.h"

namespace CLI {
class App;
}
namespace grpc {
class ServerBuilder;
}
namespace prometheus {
class Collectable;
}

namespace services {

// So many messages of the largest size have room at a time.
inline constexpr int kMessagesMin = 4;

struct ServeOptions {
  // Where to listen; port 0 is any free one.
  std::string listen = "127.0.0.1:0";
  // The stable name by which others dial this process; empty: the address it listens on.
  std::string name;
  // Where to serve /metrics; port 0 is any free one; "none": nowhere.
  std::string metrics = "127.0.0.1:0";
  // Where operators alone reach the role's admin services; port 0 is any free one; "none": nowhere.
  std::string admin = "none";
  // The largest message accepted, in bytes.
  int message_bytes_max = 16 << 20;
  // Memory that gRPC takes for connections (9 KB each) and for messages on their way in and out, of
  // all callers; at least kMessagesMin of the largest message.  Beyond it calls fail with
  // RESOURCE_EXHAUSTED, and idle connections are closed.  Operators' calls are apart.
  int64_t message_bytes_total_max = 256 << 20;
  // After a signal: how long health answers NOT_SERVING before the server stops; a second signal
  // ends it.
  double drain_seconds = 0;
  // How long calls under way may take after that.
  double grace_seconds = 5;
  // trace, debug, info, warn, error or off.
  std::string log_level = "info";
};

// For CLI::Option::check(): the text is a number in this range; NaN is in none.
std::function<std::string(const std::string&)> Within(double least, double most);

// Adds a flag for each field.
void AddServeFlags(CLI::App* app, ServeOptions* options);

// What a service does.  Its gRPC handlers run on gRPC's threads; these methods on the main thread.
class Role {
 public:
  virtual ~Role() = default;
  // Adds services and settings to the server.
  virtual void Register(grpc::ServerBuilder* builder) = 0;
  // Adds what operators alone may call to a server of its own.
  virtual void RegisterAdmin(grpc::ServerBuilder* builder) = 0;
  virtual std::shared_ptr<prometheus::Collectable> metrics() = 0;
  // Ends what runs in the background; says what has gone wrong there.  The server is down already.
  virtual absl::Status Stop() = 0;
};

// Makes the role of a process with this stable name, which is to hold references of at most that
// many others (dgc::Options::peers_max): their connections are descriptors too.  Called again with
// another name if the port was taken meanwhile.
using MakeRole = std::function<absl::StatusOr<std::unique_ptr<Role>>(const std::string& name,
                                                                     uint32_t peers_max)>;

// Serves until a signal comes; returns the exit status of the process: 0, or 1 after an error,
// which it logs.
int Serve(const ServeOptions& options, TerminationSignals* signals, const MakeRole& make_role);

}  // namespace services
