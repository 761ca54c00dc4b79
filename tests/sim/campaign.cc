// The campaign: many seeds of the simulator, in several processes.
//
//     campaign --seeds 20000 --jobs 2 [--first 1]    these seeds, and those of --also FILE first;
//                                                    seeds are below 2^63, jobs 1 to 64
//     campaign --seed 4711 [--verbose]               replays one; --verbose prints every event
//     campaign --fresh 200                           so many seeds drawn from the clock, printed
//     campaign --help
//     campaign_mutated --mutation "NAME" ...         with that deliberate defect of mutations.py
//
// Prints a line per failing seed: seed, step, what broke and the command that replays it, which
// works from any directory.  Exits 0 if no seed failed and, with --probes, every probe was hit.
// With --until-failure it stops at the first one.
//
// Each worker is a process of its own: a broken invariant aborts it, which is a failure of the seed
// it was at, and the others go on.  What they share is one page of counters.

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "dgc/core/probe.h"
#include "tests/sim/mutation.h"
#include "tests/sim/seed_run.h"

namespace dgc::testkit {
namespace {

constexpr size_t kJobsMax = 64;
constexpr uint64_t kSeedsMax = 100'000'000;
// Seeds are below, so that each can be given to --seed.
constexpr uint64_t kSeedEnd = uint64_t{1} << 63;
constexpr size_t kProbesMax = 512;
// A seed that takes longer is stuck, and its worker is killed.
constexpr unsigned kStuckSeconds = 120;

struct Options {
  uint64_t first = 1;
  uint64_t seeds = 0;
  std::optional<uint64_t> seed;
  uint64_t fresh = 0;
  size_t jobs = 1;
  bool verbose = false;
  bool probes = false;
  bool until_failure = false;
  std::string mutation;
  std::string also;
};

// Lives in memory shared by all workers.
struct Shared {
  std::atomic<uint64_t> next{0};
  std::atomic<uint64_t> done{0};
  std::atomic<uint64_t> failed{0};
  std::atomic<uint64_t> steps{0};
  std::atomic<uint64_t> reclaims{0};
  std::atomic<uint64_t> excused{0};
  std::atomic<uint64_t> requests{0};
  std::atomic<uint64_t> current[kJobsMax]{};  // the place in the list of seeds, plus one
  std::atomic<uint64_t> probes[kProbesMax]{};
};

std::string program_name;

std::string Replay(const Options& options, uint64_t seed) {
  std::string command = program_name + " --seed " + std::to_string(seed);
  if (!options.mutation.empty()) command += " --mutation \"" + options.mutation + "\"";
  return command;
}

void PrintFailure(const Options& options, uint64_t seed, const SeedResult& result) {
  std::printf("FAILED seed %llu step %llu: %s [%s]; replay: %s --verbose\n",
              static_cast<unsigned long long>(seed), static_cast<unsigned long long>(result.steps),
              result.failure->c_str(), result.composition.c_str(), Replay(options, seed).c_str());
  std::fflush(stdout);
}

#ifdef DGC_SIMULATION
std::vector<simulation::ProbeSite*> Probes() {
  std::vector<simulation::ProbeSite*> sites;
  for (auto* site = simulation::probe_sites; site != nullptr; site = site->next) {
    sites.push_back(site);
  }
  std::sort(sites.begin(), sites.end(),
            [](const auto* a, const auto* b) { return std::strcmp(a->name, b->name) < 0; });
  return sites;
}

void AddProbes(Shared* shared) {
  const auto sites = Probes();
  for (size_t i = 0; i < sites.size() && i < kProbesMax; ++i) {
    shared->probes[i] += std::exchange(sites[i]->hits, 0);
  }
}

// Returns whether all were hit.
bool PrintProbes(const Shared& shared) {
  bool all = true;
  const auto sites = Probes();
  for (size_t i = 0; i < sites.size() && i < kProbesMax; ++i) {
    const uint64_t hits = shared.probes[i];
    std::printf("  %12llu  %s%s\n", static_cast<unsigned long long>(hits), sites[i]->name,
                hits == 0 ? "   <-- NEVER HIT" : "");
    all &= hits > 0;
  }
  return all;
}

bool Activate(const std::string& mutation) {
  return simulation::ActivateMutation(mutation.c_str());
}
#else
void AddProbes(Shared*) {}
bool PrintProbes(const Shared&) { return true; }
bool Activate(const std::string& mutation) { return mutation.empty(); }
#endif

void Work(const Options& options, const std::vector<uint64_t>& seeds, size_t job, Shared* shared) {
  while (!(options.until_failure && shared->failed > 0)) {
    const uint64_t place = shared->next++;
    if (place >= seeds.size()) break;
    shared->current[job] = place + 1;
    alarm(kStuckSeconds);
    const SeedResult result = RunSeed(seeds[place], nullptr);
    if (result.failure.has_value()) {
      ++shared->failed;
      PrintFailure(options, seeds[place], result);
    }
    shared->steps += result.steps;
    shared->reclaims += result.reclaims;
    shared->excused += result.excused;
    shared->requests += result.requests;
    ++shared->done;
  }
  AddProbes(shared);
}

class Campaign {
 public:
  Campaign(const Options& options, std::vector<uint64_t> seeds)
      : options_(options), seeds_(std::move(seeds)) {
    void* memory =
        mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      std::perror("mmap");
      std::exit(2);
    }
    shared_ = new (memory) Shared;
  }

  ~Campaign() { munmap(shared_, sizeof(Shared)); }
  Campaign(const Campaign&) = delete;
  Campaign& operator=(const Campaign&) = delete;

  // Returns the exit status.
  int Run() {
    began_ = std::chrono::steady_clock::now();
    sigset_t child_ended;
    sigemptyset(&child_ended);
    sigaddset(&child_ended, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child_ended, nullptr);
    for (size_t job = 0; job < options_.jobs; ++job) Spawn(job);
    while (!workers_.empty()) {
      int status = 0;
      const pid_t pid = waitpid(-1, &status, WNOHANG);
      if (pid == 0) {
        const timespec progress_interval{2, 0};
        if (sigtimedwait(&child_ended, nullptr, &progress_interval) < 0) PrintProgress();
        continue;
      }
      const auto worker = workers_.find(pid);
      if (worker == workers_.end()) continue;
      const size_t job = worker->second;
      workers_.erase(worker);
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
      Died(job, status);
      if (!options_.until_failure) Spawn(job);
    }
    return Report();
  }

 private:
  void Spawn(size_t job) {
    std::fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL, 0UL, 0UL, 0UL);
      Work(options_, seeds_, job, shared_);
      std::fflush(stdout);
      _exit(0);
    }
    if (pid < 0) {
      std::perror("fork");
      std::exit(2);
    }
    workers_[pid] = job;
  }

  double Seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  }

  void PrintProgress() {
    const uint64_t done = shared_->done;
    std::fprintf(stderr, "campaign: %llu of %zu seeds, %llu failed, %.0f seeds/s\n",
                 static_cast<unsigned long long>(done), seeds_.size(),
                 static_cast<unsigned long long>(shared_->failed.load()),
                 static_cast<double>(done) / Seconds());
  }

  // A broken invariant, a crash, or stuck.
  void Died(size_t job, int status) {
    const uint64_t place = shared_->current[job];
    if (place == 0) std::exit(2);
    SeedResult result;
    result.failure = WIFSIGNALED(status)
                         ? std::string("the process died: ") + strsignal(WTERMSIG(status))
                         : "the process died";
    result.composition = "see above for what it said";
    ++shared_->failed;
    ++shared_->done;
    PrintFailure(options_, seeds_[place - 1], result);
  }

  int Report() {
    const double seconds = Seconds();
    const uint64_t done = shared_->done;
    const uint64_t failed = shared_->failed;
    if (options_.probes) std::printf("probes:\n");
    const bool all_hit = !options_.probes || PrintProbes(*shared_);
    std::printf(
        "campaign: %llu seeds (%llu to %llu), %llu failed, %.1f s with %zu jobs, %.0f seeds/s/job; "
        "per seed %.0f events, %.0f requests, %.1f reclaims, %.2f excused\n",
        static_cast<unsigned long long>(done),
        static_cast<unsigned long long>(seeds_.empty() ? 0 : seeds_.front()),
        static_cast<unsigned long long>(seeds_.empty() ? 0 : seeds_.back()),
        static_cast<unsigned long long>(failed), seconds, options_.jobs,
        static_cast<double>(done) / seconds / static_cast<double>(options_.jobs),
        Per(shared_->steps), Per(shared_->requests), Per(shared_->reclaims), Per(shared_->excused));
    if (!all_hit) std::printf("campaign: a probe was never hit\n");
    return failed == 0 && all_hit ? 0 : 1;
  }

  double Per(uint64_t count) const {
    return static_cast<double>(count) / static_cast<double>(std::max<uint64_t>(shared_->done, 1));
  }

  const Options& options_;
  const std::vector<uint64_t> seeds_;
  Shared* shared_ = nullptr;
  std::map<pid_t, size_t> workers_;
  std::chrono::steady_clock::time_point began_;
};

// Decimal, and below kSeedEnd.
std::optional<uint64_t> Number(const char* digits) {
  char* end = nullptr;
  const uint64_t value = std::strtoull(digits, &end, 10);
  if (*digits < '0' || *digits > '9' || *end != '\0' || value >= kSeedEnd) return std::nullopt;
  return value;
}

bool ReadSeeds(const std::string& path, std::vector<uint64_t>* seeds) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (line.empty() || line[0] == '#') continue;
    const auto seed = Number(line.substr(0, line.find(' ')).c_str());
    if (!seed.has_value()) return false;
    seeds->push_back(*seed);
  }
  return file.eof() && !seeds->empty();
}

int Replay(const Options& options) {
  std::function<void(std::string_view)> trace;
  if (options.verbose) {
    trace = [](std::string_view line) {
      std::printf("%.*s\n", static_cast<int>(line.size()), line.data());
    };
  }
  const SeedResult result = RunSeed(*options.seed, trace);
  if (result.failure.has_value()) {
    PrintFailure(options, *options.seed, result);
    return 1;
  }
  std::printf("seed %llu passed: %llu events, %llu requests, %llu reclaims, %llu excused [%s]\n",
              static_cast<unsigned long long>(*options.seed),
              static_cast<unsigned long long>(result.steps),
              static_cast<unsigned long long>(result.requests),
              static_cast<unsigned long long>(result.reclaims),
              static_cast<unsigned long long>(result.excused), result.composition.c_str());
  return 0;
}

int Main(Options options) {
  if (!Activate(options.mutation)) {
    std::fprintf(stderr, "no mutation \"%s\" in this build\n", options.mutation.c_str());
    return 2;
  }
  if (options.seed.has_value()) return Replay(options);
  std::vector<uint64_t> seeds;
  if (!options.also.empty() && !ReadSeeds(options.also, &seeds)) {
    std::fprintf(stderr, "%s is not a file of seeds, one at the beginning of each line\n",
                 options.also.c_str());
    return 2;
  }
  for (uint64_t i = 0; i < options.seeds; ++i) seeds.push_back(options.first + i);
  if (options.fresh > 0) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const uint64_t first = static_cast<uint64_t>(now / std::chrono::seconds(1)) * 1000;
    std::printf("fresh seeds: %llu to %llu\n", static_cast<unsigned long long>(first),
                static_cast<unsigned long long>(first + options.fresh - 1));
    for (uint64_t i = 0; i < options.fresh; ++i) seeds.push_back(first + i);
  }
  return Campaign(options, std::move(seeds)).Run();
}

// Where this program is, whatever it was called by.
std::string Self(const char* called) {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? called : path.string();
}

void AddFlags(CLI::App* app, Options* options) {
  const CLI::Range seed(uint64_t{0}, kSeedEnd - 1);
  const CLI::Range count(uint64_t{1}, kSeedsMax);
  CLI::Option* const one = app->add_option("--seed", options->seed, "Replay this one")->check(seed);
  app->add_flag("--verbose", options->verbose, "Print every event of it")->needs(one);
  CLI::Option* const many[] = {
      app->add_option("--seeds", options->seeds, "So many, from --first on")->check(count),
      app->add_option("--fresh", options->fresh, "So many drawn from the clock, and printed")
          ->check(count),
      app->add_option("--also", options->also, "Those of a file, one at the beginning of a line")
          ->check(CLI::ExistingFile),
      app->add_flag("--probes", options->probes, "Fail if a rare state was never reached"),
      app->add_flag("--until-failure", options->until_failure, "Stop at the first failure")};
  for (CLI::Option* const option : many) option->excludes(one);
  app->add_option("--first", options->first, "See --seeds")->check(seed)->needs(many[0]);
  app->add_option("--jobs", options->jobs, "Processes")->check(CLI::Range(size_t{1}, kJobsMax));
  app->add_option("--mutation", options->mutation, "A deliberate defect, in campaign_mutated");
}

// Throws a CLI::ParseError.
void Parse(int argc, char** argv, CLI::App* app, Options* options) {
  app->parse(argc, argv);
  if (!options->seed.has_value() && options->seeds + options->fresh == 0 && options->also.empty()) {
    throw CLI::RequiredError("one of --seeds, --fresh, --also and --seed");
  }
  if (options->first > kSeedEnd - options->seeds) {
    throw CLI::ValidationError("--seeds", "seeds are below 2^63");
  }
}

}  // namespace
}  // namespace dgc::testkit

int main(int argc, char** argv) {
  dgc::testkit::Options options;
  dgc::testkit::program_name = dgc::testkit::Self(argv[0]);
  CLI::App app("Runs seeds of the simulator.  Exits 1 if one fails.", "campaign");
  dgc::testkit::AddFlags(&app, &options);
  try {
    dgc::testkit::Parse(argc, argv, &app, &options);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const int status = dgc::testkit::Main(std::move(options));
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
  std::perror("campaign: the verdict could not be written");
  return 2;
}
