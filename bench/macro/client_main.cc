// bench_client: one case of the macro benchmarks, P1 to P7, against running bench_owners.
//
//     bench_client CASE ROUNDS SECONDS SCALE ADDRESS...
//
// ADDRESS: the empty owner first, then as many others as the case names below.  SCALE divides the
// big numbers (1: as in the targets).  Every round measures each variant once, in turn, for
// SECONDS, so that the machine's drift hits all alike.  Prints one line per measurement, "NAME
// VALUE"; ../run makes the table of them.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "bench/macro/cases.h"

namespace dgc::bench {
namespace {

struct Case {
  void (*run)(const Arguments&);
  size_t owners;
};

const std::map<std::string, Case>& Cases() {
  static const std::map<std::string, Case> cases = {
      {"P1", {Batches, 1}},     {"P2", {NewReferences, 1}}, {"P3", {Renewals, 1}},
      {"P4", {Memory, 3}},      {"P5", {Lapse, 1}},         {"P6", {PopularObject, 2}},
      {"P7", {CostOfDirty, 4}},
  };
  return cases;
}

int Usage() {
  std::fprintf(stderr, "usage: bench_client CASE ROUNDS SECONDS SCALE EMPTY OWNER...\ncases:");
  for (const auto& [name, each] : Cases()) {
    std::fprintf(stderr, " %s (%zu owners)", name.c_str(), each.owners);
  }
  std::fprintf(stderr, "\n");
  return 2;
}

int Main(int argc, char** argv) {
  if (argc < 6) return Usage();
  const auto found = Cases().find(argv[1]);
  Arguments arguments;
  arguments.rounds = std::atoi(argv[2]);
  arguments.seconds = std::atof(argv[3]);
  arguments.scale = std::strtoull(argv[4], nullptr, 10);
  const std::vector<std::string> addresses(argv + 5, argv + argc);
  if (found == Cases().end() || arguments.rounds < 1 || !(arguments.seconds > 0) ||
      arguments.scale < 1 || addresses.size() != found->second.owners + 1) {
    return Usage();
  }
  arguments.empty = addresses[0];
  arguments.owners.assign(addresses.begin() + 1, addresses.end());
  found->second.run(arguments);
  return 0;
}

}  // namespace
}  // namespace dgc::bench

int main(int argc, char** argv) {
  // As our services do: gRPC's own mutexes are Debian's, built to look for deadlocks.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  return dgc::bench::Main(argc, argv);
}
