#include "dgc/testkit/network.h"

#include <algorithm>
#include <utility>

#include "dgc/core/probe.h"

namespace dgc::testkit {

SimulatedNetwork::SimulatedNetwork(NetworkOptions options, const SimRandom& random,
                                   EventQueue* events, FaultLog* faults)
    : options_(options), random_(random), events_(events), faults_(faults) {}

SimulatedNetwork::Link& SimulatedNetwork::LinkOf(NodeIndex from, NodeIndex to) {
  if (links_.size() <= from) links_.resize(from + 1);
  if (links_[from].size() <= to) links_[from].resize(to + 1);
  return links_[from][to];
}

Duration SimulatedNetwork::Delay() {
  if (random_.PerMille(options_.straggle_per_mille)) {
    return random_.Between(options_.delay_mean, options_.straggle_max);
  }
  const Duration spread = 2 * std::max(options_.delay_mean - options_.delay_min, Duration::zero());
  return options_.delay_min + random_.Between(Duration::zero(), spread);
}

void SimulatedNetwork::Send(Packet packet) {
  const Duration now = events_->now();
  if (LinkOf(packet.from, packet.to).cut || random_.PerMille(options_.loss_per_mille)) {
    Lose(packet, now);
    return;
  }
  const auto shared = std::make_shared<Packet>(std::move(packet));
  Launch(shared, now);
  if (random_.PerMille(options_.duplicate_per_mille)) {
    DGC_PROBE("message duplicated");
    if (shared->duplicate) shared->duplicate();
    Launch(shared, now);
  }
}

void SimulatedNetwork::Launch(const std::shared_ptr<Packet>& packet, Duration sent) {
  const Duration delay = Delay();
  if (delay > packet->timeout / 8) {
    if (delay > packet->timeout) DGC_PROBE("message arrives after its sender gave up");
    faults_->Between(packet->from, packet->to, sent, sent + std::max(delay, packet->timeout));
  }
  events_->After(delay, [this, packet, sent] { Arrive(packet, sent); });
}

void SimulatedNetwork::Arrive(const std::shared_ptr<Packet>& packet, Duration sent) {
  const Duration now = events_->now();
  Link& link = LinkOf(packet->from, packet->to);
  if (link.cut) {
    Lose(*packet, sent);
    return;
  }
  if (link.clogged) {
    DGC_PROBE("message waits in a clogged link");
    link.waiting.push_back(packet);
    faults_->Between(packet->from, packet->to, sent, now + packet->timeout);
    return;
  }
  packet->arrive();
}

void SimulatedNetwork::Lose(const Packet& packet, Duration sent) {
  faults_->Between(packet.from, packet.to, sent, events_->now() + packet.timeout);
  if (packet.lose) packet.lose();
}

void SimulatedNetwork::Set(NodeIndex from, NodeIndex to, bool Link::*way, bool closed) {
  Link& link = LinkOf(from, to);
  const bool was = link.cut || link.clogged;
  link.*way = closed;
  const bool is = link.cut || link.clogged;
  if (!was && is) link.closed_since = events_->now();
  if (was && !is) faults_->Closed(from, to, link.closed_since, events_->now());
}

void SimulatedNetwork::Cut(NodeIndex from, NodeIndex to, bool cut) {
  Set(from, to, &Link::cut, cut);
}

void SimulatedNetwork::Clog(NodeIndex from, NodeIndex to, bool clogged) {
  Set(from, to, &Link::clogged, clogged);
  if (clogged) return;
  for (const auto& packet : std::exchange(LinkOf(from, to).waiting, {})) {
    Launch(packet, events_->now());
  }
}

void SimulatedNetwork::HoldClogged(NodeIndex from, NodeIndex to) {
  Set(from, to, &Link::clogged, false);
}

void SimulatedNetwork::HealAll() {
  for (NodeIndex from = 0; from < links_.size(); ++from) {
    for (NodeIndex to = 0; to < links_[from].size(); ++to) {
      Cut(from, to, false);
      Clog(from, to, false);
    }
  }
}

}  // namespace dgc::testkit
