// Addresses as flags give them: "host:port", with IPv6 hosts in brackets.
//
// Functions without state.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace services {

struct Address {
  std::string host;  // As given, brackets included.
  uint16_t port = 0;

  std::string ToString() const { return host + ":" + std::to_string(port); }
  // Whether it means "on every interface", in any spelling, so that nobody can dial it.
  bool wildcard() const;
};

// INVALID_ARGUMENT says what is wrong.
absl::StatusOr<Address> ParseAddress(const std::string& text);

// A port that was free on that host a moment ago.  Somebody else may take it before it is used;
// then try again.
absl::StatusOr<uint16_t> FreePort(const Address& address);

}  // namespace services
