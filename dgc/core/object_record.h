// ObjectRecord: what the collector keeps per hosted object, 48 bytes.
//
// Shared by the object table and its local collector only.  A plain value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "dgc/core/ids.h"
#include "dgc/core/message.h"

namespace dgc {

struct ObjectRecord {
  enum class State : uint8_t {
    kFree,
    kLive,
    kEnding,  // Unexported, not yet reported.
    kGone,    // Reclaimed; stays while a count below is not zero.
  };

  // What a Dirty or Clean touches comes first, in kHotBytes.
  ObjectId id;
  uint32_t pins = 0;
  uint32_t remote_holds = 0;
  // The local collector's round that last reached this object.
  uint32_t mark = 0;
  uint16_t type = 0;
  State state = State::kFree;
  // What the latest decrement was due to.
  ReclaimReason last_cause = ReclaimReason::kUnspecified;
  uint32_t local_in = 0;
  bool doomed = false;
  // Null while there is none: most objects are leaves.
  std::unique_ptr<std::vector<Target>> edges;

  static constexpr size_t kHotBytes = 32;

  bool rooted() const { return pins != 0 || remote_holds != 0; }
};

static_assert(sizeof(ObjectRecord) == 48, "a design input: see bench P4");
static_assert(offsetof(ObjectRecord, local_in) == ObjectRecord::kHotBytes);

}  // namespace dgc
