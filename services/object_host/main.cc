// object_host: hosts typed objects with payload, edges and names.  README.md beside this file.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "services/common/serve.h"
#include "services/common/signals.h"
#include "services/object_host/object_host.h"

int main(int argc, char** argv) {
  services::TerminationSignals signals;

  CLI::App app("Hosts typed objects with payload, edges and names, for as long as they are held.",
               "object_host");
  services::ServeOptions serve;
  object_host::HostOptions host;
  services::AddServeFlags(&app, &serve);
  object_host::AddHostFlags(&app, &host);
  CLI11_PARSE(app, argc, argv);

  return services::Serve(serve, &signals, [&host](const std::string& name, uint32_t peers_max) {
    return object_host::ObjectHost::Make(host, name, peers_max);
  });
}
