// SilentHost: an address of this machine that takes connections and never answers.
//
// Like a host that was stopped: the kernel takes them.  Not thread-safe.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace dgc::testing {

class SilentHost {
 public:
  SilentHost() {
    sockaddr_in bound{};
    bound.sin_family = AF_INET;
    bound.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(bound);
    auto* const address = reinterpret_cast<sockaddr*>(&bound);
    EXPECT_EQ(bind(fd_, address, length), 0);
    EXPECT_EQ(listen(fd_, 16), 0);
    EXPECT_EQ(getsockname(fd_, address, &length), 0);
    name_ = "127.0.0.1:" + std::to_string(ntohs(bound.sin_port));
  }
  ~SilentHost() {
    for (const int connection : taken_) close(connection);
    close(fd_);
  }
  SilentHost(const SilentHost&) = delete;
  SilentHost& operator=(const SilentHost&) = delete;

  const std::string& name() const { return name_; }

  // Waits for a connection and greets it, as a host does that is stopped only afterwards: calls are
  // sent out then.  Once; false if nobody connects.
  bool Greet(std::chrono::milliseconds patience) {
    if (!Take(patience)) return false;
    constexpr char kSettings[9] = {0, 0, 0, 4};  // HTTP/2's SETTINGS, of which there are none.
    return write(taken_.back(), kSettings, sizeof(kSettings)) == sizeof(kSettings);
  }
  // So many there have been.
  size_t Connections() {
    while (Take(std::chrono::milliseconds(0))) {
    }
    return taken_.size();
  }

 private:
  bool Take(std::chrono::milliseconds patience) {
    pollfd connection{.fd = fd_, .events = POLLIN, .revents = 0};
    if (poll(&connection, 1, static_cast<int>(patience.count())) != 1) return false;
    taken_.push_back(accept(fd_, nullptr, nullptr));
    return true;
  }

  const int fd_ = socket(AF_INET, SOCK_STREAM, 0);
  std::vector<int> taken_;
  std::string name_;
};

}  // namespace dgc::testing
