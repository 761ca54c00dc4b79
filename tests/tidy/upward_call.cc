// What no layer may do: it compiles, and must not link (dgc_layer).
#include "dgc/strategies/registry.h"

namespace dgc {

bool KnowsTheLeaseStrategy() { return MakeStrategy({}).ok(); }

}  // namespace dgc
