#include "services/common/address.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"

namespace services {
namespace {

using AddressInfo = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

absl::StatusOr<AddressInfo> Resolve(std::string host, int flags) {
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  const addrinfo hints{.ai_flags = flags,
                       .ai_family = AF_UNSPEC,
                       .ai_socktype = SOCK_STREAM,
                       .ai_protocol = 0,
                       .ai_addrlen = 0,
                       .ai_addr = nullptr,
                       .ai_canonname = nullptr,
                       .ai_next = nullptr};
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), "0", &hints, &found); error != 0) {
    return absl::InvalidArgumentError(absl::StrCat("'", host, "': ", gai_strerror(error)));
  }
  return AddressInfo(found, &freeaddrinfo);
}

}  // namespace

absl::StatusOr<Address> ParseAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not host:port"));
  }
  Address address{.host = text.substr(0, colon)};
  if (address.host.front() != '[' && address.host.find(':') != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "': put an IPv6 host in brackets"));
  }
  const char* end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data() + colon + 1, end, address.port);
  if (error != std::errc() || last != end) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' has no port from 0 to 65535"));
  }
  return address;
}

bool Address::wildcard() const {
  const auto found = Resolve(host, AI_NUMERICHOST);
  if (!found.ok()) return false;
  if ((*found)->ai_family == AF_INET) {
    return reinterpret_cast<const sockaddr_in*>((*found)->ai_addr)->sin_addr.s_addr == INADDR_ANY;
  }
  in6_addr address = reinterpret_cast<const sockaddr_in6*>((*found)->ai_addr)->sin6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&address)) address.s6_addr[10] = address.s6_addr[11] = 0;
  return IN6_IS_ADDR_UNSPECIFIED(&address);
}

absl::StatusOr<uint16_t> FreePort(const Address& address) {
  const auto resolved = Resolve(address.host, AI_PASSIVE);
  if (!resolved.ok()) return resolved.status();
  const addrinfo* const found = resolved->get();
  const int fd = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
  sockaddr_storage bound{};
  socklen_t length = sizeof(bound);
  const bool done = fd >= 0 && bind(fd, found->ai_addr, found->ai_addrlen) == 0 &&
                    getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length) == 0;
  const int error = errno;
  if (fd >= 0) close(fd);
  if (!done) {
    return absl::UnavailableError(absl::StrCat("'", address.host, "': ", std::strerror(error)));
  }
  return ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port
                                           : reinterpret_cast<sockaddr_in*>(&bound)->sin_port);
}

}  // namespace services
