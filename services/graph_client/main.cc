// graph_client: a holder driven by lines on standard input.  README.md beside this file.

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <string>

#include "services/graph_client/client.h"

int main(int argc, char** argv) {
  CLI::App app("Holds references, as told by lines on standard input.", "graph_client");
  std::string log_level = "warn";
  app.add_option("--log", log_level, "Log level")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  spdlog::set_default_logger(spdlog::stderr_logger_mt("main"));
  spdlog::set_level(spdlog::level::from_str(log_level));

  graph_client::Client client([](const std::string& line) {
    std::puts(line.c_str());
    std::fflush(stdout);
  });
  std::string line;
  while (std::getline(std::cin, line)) {
    if (!client.Do(line)) return 0;
  }
  client.Do("exit");  // Whoever told us what to do is gone.
  return 0;
}
