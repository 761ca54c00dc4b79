// TerminationSignals: SIGTERM and SIGINT as something to wait for.
//
// A server cannot be shut down from a signal handler (it takes locks); here no handler ever runs.
// Make it first thing in main: threads inherit the blocked mask from the one that starts them. Used
// by one thread.
#pragma once

#include <chrono>

namespace services {

class TerminationSignals {
 public:
  // Blocks both signals in this thread and those it starts from now on; SIGPIPE is ignored.
  TerminationSignals();

  // Waits for either signal and returns its number.
  int Wait();
  // The same for at most `timeout`; 0 if none came.
  int WaitFor(std::chrono::nanoseconds timeout);
};

}  // namespace services
