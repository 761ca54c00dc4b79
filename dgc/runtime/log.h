// The runtime's log: one line per transition, as key=value, by spdlog's default logger.
//
// Never a line per call or object.  Blocks as long as the logger does.  Thread-safe; what is logged
// after spdlog::shutdown() is lost, so end Owners and Holders first.
#pragma once

#include "dgc/runtime/events.h"

namespace dgc {

void LogTransition(const TransitionEvent& event);

}  // namespace dgc
