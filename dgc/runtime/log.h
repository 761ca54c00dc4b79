// The runtime's log: one line per transition, as key=value, by spdlog's default logger.
//
// Never a line per call or object.  Thread-safe.
#pragma once

#include "dgc/runtime/events.h"

namespace dgc {

void LogTransition(const TransitionEvent& event);

}  // namespace dgc
