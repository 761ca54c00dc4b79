#include "services/common/signals.h"

#include <signal.h>
#include <time.h>

#include <cerrno>

namespace services {
namespace {

sigset_t Both() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

TerminationSignals::TerminationSignals() {
  const sigset_t set = Both();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

int TerminationSignals::Wait() {
  const sigset_t set = Both();
  int number = 0;
  while (sigwait(&set, &number) != 0) {
  }
  return number;
}

int TerminationSignals::WaitFor(std::chrono::nanoseconds timeout) {
  const sigset_t set = Both();
  constexpr long kNanosPerSecond = 1'000'000'000;
  const timespec limit{.tv_sec = static_cast<time_t>(timeout.count() / kNanosPerSecond),
                       .tv_nsec = static_cast<long>(timeout.count() % kNanosPerSecond)};
  int number = 0;
  do {
    number = sigtimedwait(&set, nullptr, &limit);
  } while (number < 0 && errno == EINTR);
  return number > 0 ? number : 0;
}

}  // namespace services
