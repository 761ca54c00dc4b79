// CallCounts: how many calls of each method were served and made, how they ended, how long they
// took.
//
// Counting takes no lock.  Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "dgc/rpc/method.h"
#include "dgc/rpc/receiver.h"
#include "dgc/runtime/histogram.h"

namespace dgc {

class CallCounts final : public CallObserver {
 public:
  // The codes told apart, by their names in gRPC; the last stands for all others.
  struct Code {
    grpc::StatusCode code;
    const char* name;
  };
  static constexpr std::array<Code, 9> kCodes = {{
      {grpc::StatusCode::OK, "OK"},
      {grpc::StatusCode::CANCELLED, "CANCELLED"},
      {grpc::StatusCode::INVALID_ARGUMENT, "INVALID_ARGUMENT"},
      {grpc::StatusCode::DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"},
      {grpc::StatusCode::PERMISSION_DENIED, "PERMISSION_DENIED"},
      {grpc::StatusCode::RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED"},
      {grpc::StatusCode::FAILED_PRECONDITION, "FAILED_PRECONDITION"},
      {grpc::StatusCode::UNAVAILABLE, "UNAVAILABLE"},
      {grpc::StatusCode::UNKNOWN, "OTHER"},
  }};

  struct PerMethod {
    std::array<std::atomic<uint64_t>, kCodes.size()> codes{};
    Histogram duration;
    std::atomic<uint64_t> bytes_sent{0};
    std::atomic<uint64_t> bytes_received{0};

    void Count(grpc::StatusCode code, Duration took) {
      size_t i = 0;
      while (i + 1 < kCodes.size() && kCodes[i].code != code) ++i;
      codes[i].fetch_add(1, std::memory_order_relaxed);
      duration.Observe(took);
    }
  };
  using PerMethods = std::array<PerMethod, kMethods>;

  void Served(Method method, grpc::StatusCode code, Duration took) override {
    served_[static_cast<size_t>(method)].Count(code, took);
  }
  void Called(Method method, grpc::StatusCode code, Duration took, MessageBytes bytes) override {
    PerMethod& called = called_[static_cast<size_t>(method)];
    called.Count(code, took);
    called.bytes_sent.fetch_add(bytes.sent, std::memory_order_relaxed);
    called.bytes_received.fetch_add(bytes.received, std::memory_order_relaxed);
  }

  const PerMethods& served() const { return served_; }
  const PerMethods& called() const { return called_; }

 private:
  PerMethods served_;
  PerMethods called_;
};

}  // namespace dgc
