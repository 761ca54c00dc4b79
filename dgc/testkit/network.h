// SimulatedNetwork: carries messages between simulated nodes, late, twice, out of order or not at
// all.
//
// It carries closures, so that any message travels as the plain struct it is.  Every copy draws its
// own delay: messages overtake each other.  A *straggler* is so late that its sender has long given
// up: the ghost of the literature.  A message that is lost or disturbed is written to the FaultLog.
//
// Thread-compatible.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "dgc/core/time.h"
#include "dgc/testkit/event_queue.h"
#include "dgc/testkit/fault_log.h"
#include "dgc/testkit/sim_random.h"

namespace dgc::testkit {

struct NetworkOptions {
  // Every message takes at least this; > 0.
  Duration delay_min = std::chrono::microseconds(100);
  // About half take more than this.
  Duration delay_mean = std::chrono::milliseconds(1);
  // Out of 1000 messages, so many are lost / arrive twice / straggle.
  uint32_t loss_per_mille = 0;
  uint32_t duplicate_per_mille = 0;
  uint32_t straggle_per_mille = 0;
  // The latest that a straggler arrives.
  Duration straggle_max = std::chrono::seconds(2);
};

// One message.  Each arrival or loss of a copy calls one of the two once.
struct Packet {
  NodeIndex from = 0;
  NodeIndex to = 0;
  // How long the sender goes on believing in it; for the fault log.
  Duration timeout{};
  std::function<void()> arrive;
  std::function<void()> lose;       // may be null
  std::function<void()> duplicate;  // a further copy is under way; may be null
};

class SimulatedNetwork {
 public:
  SimulatedNetwork(NetworkOptions options, const SimRandom& random, EventQueue* events,
                   FaultLog* faults);

  // Takes effect for messages sent from now on.
  NetworkOptions& options() { return options_; }
  const NetworkOptions& options() const { return options_; }

  void Send(Packet packet);

  // One direction: what is sent, and what arrives, while it is cut is lost.
  void Cut(NodeIndex from, NodeIndex to, bool cut);
  // One direction: what is to arrive waits until it is unclogged.
  void Clog(NodeIndex from, NodeIndex to, bool clogged);
  // Unclogs for what comes from now on; what waits goes on waiting for ReleaseHeld().
  void HoldClogged(NodeIndex from, NodeIndex to);
  void ReleaseHeld(NodeIndex from, NodeIndex to) { Clog(from, to, false); }
  void HealAll();

 private:
  struct Link {
    bool cut = false;
    bool clogged = false;
    Duration closed_since{};  // while it is cut or clogged
    std::vector<std::shared_ptr<Packet>> waiting;
  };

  Link& LinkOf(NodeIndex from, NodeIndex to);
  // Sets one of the two ways in which a link can be closed.
  void Set(NodeIndex from, NodeIndex to, bool Link::*way, bool closed);
  void Launch(const std::shared_ptr<Packet>& packet, Duration sent);
  void Arrive(const std::shared_ptr<Packet>& packet, Duration sent);
  void Lose(const Packet& packet, Duration sent);
  Duration Delay();

  NetworkOptions options_;
  SimRandom random_;
  EventQueue* const events_;
  FaultLog* const faults_;
  std::vector<std::vector<Link>> links_;  // by from, to
};

}  // namespace dgc::testkit
