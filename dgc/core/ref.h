// WireRef: a reference as it travels, in plain C++ (dgc.v1.Ref without protobuf).
//
// A value; says nothing about whether the object is alive.  See proto/dgc/v1/ref.proto for what
// each field means and how long it is valid.
#pragma once

#include <string>
#include <string_view>

#include "dgc/core/ids.h"

namespace dgc {

struct WireRef {
  std::string owner;
  Incarnation incarnation{};
  ObjectId id;
  std::string type;
  TransitToken transit{};

  friend bool operator==(const WireRef&, const WireRef&) = default;
};

// Bounds on what a WireRef may hold; longer is malformed.
inline constexpr size_t kOwnerNameBytesMax = 255;
inline constexpr size_t kTypeBytesMax = 255;

// Whether an owner may have this name: it is dialled and logged, so printable ASCII without spaces,
// at most kOwnerNameBytesMax.  The empty one of a process that hosts nothing is allowed.
bool IsOwnerName(std::string_view name);

}  // namespace dgc
