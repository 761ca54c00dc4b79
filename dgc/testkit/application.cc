// The application that runs on a simulated cluster: the part of Cluster that a user's program would
// be.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dgc/core/check.h"
#include "dgc/core/probe.h"
#include "dgc/testkit/cluster.h"

namespace dgc::testkit {

// One copy of a reference in a message of the application.
struct Cluster::Parcel {
  WireRef ref;
  ShadowCopy copy{};
};

const std::vector<Cluster::Variable>& Cluster::Variables(NodeIndex node) const {
  return nodes_[node]->variables;
}
const std::vector<std::string>& Cluster::Names(NodeIndex node) const { return nodes_[node]->names; }
const Process& Cluster::process(NodeIndex node) const { return *nodes_[node]->process; }
uint64_t Cluster::LostCount(NodeIndex node) const { return nodes_[node]->lost; }
dgc::Lost Cluster::LastLost(NodeIndex node) const { return nodes_[node]->last_lost; }
uint64_t Cluster::Count(NodeIndex node, Transition::Kind kind) const {
  return nodes_[node]->transitions[static_cast<size_t>(kind)];
}

Cluster::Variable* Cluster::FindVariable(Node& node, ShadowObject object) {
  const auto it = std::find_if(node.variables.begin(), node.variables.end(),
                               [&](const Variable& v) { return v.object == object; });
  return it == node.variables.end() ? nullptr : &*it;
}

void Cluster::AddVariable(Node& node, Target target, ShadowObject object) {
  node.variables.push_back({target, object, false});
}

void Cluster::RemoveVariable(Node& node, size_t index) {
  const Variable variable = node.variables[index];
  node.variables[index] = node.variables.back();
  node.variables.pop_back();
  oracle_.HandleDropped(node.shadow, variable.object);
  node.process->Drop(variable.target, Now(node));
}

ShadowObject Cluster::Create(NodeIndex index) {
  Node& node = *nodes_[index];
  DGC_CHECK(Usable(index));
  const ObjectId id{node.random.Next() | 1, node.random.Next()};
  const auto target = node.process->Export(id, "object");
  DGC_CHECK(target.ok());
  const ShadowObject object = oracle_.Created(node.shadow, id);
  AddVariable(node, *target, object);
  if (tracing()) Trace(absl::StrCat(node.name, " creates object ", Raw(object)));
  Settle(node);
  return object;
}

bool Cluster::Has(NodeIndex node, ShadowObject object) const {
  const auto& variables = nodes_[node]->variables;
  return std::any_of(variables.begin(), variables.end(),
                     [&](const Variable& v) { return v.object == object; });
}

void Cluster::Copy(NodeIndex index, ShadowObject object) {
  Node& node = *nodes_[index];
  const Variable* variable = FindVariable(node, object);
  if (!Usable(index) || variable == nullptr) return;
  const Target target = variable->target;
  node.process->Copy(target);
  oracle_.HandleAdded(node.shadow, object);
  AddVariable(node, target, object);
  Settle(node);
}

void Cluster::Drop(NodeIndex index, ShadowObject object) {
  Node& node = *nodes_[index];
  const Variable* variable = FindVariable(node, object);
  if (!Usable(index) || variable == nullptr) return;
  if (tracing()) Trace(absl::StrCat(node.name, " drops object ", Raw(object)));
  RemoveVariable(node, static_cast<size_t>(variable - node.variables.data()));
  Settle(node);
}

std::optional<Target> Cluster::EdgeTarget(NodeIndex index, ShadowObject from, ShadowObject to) {
  Node& node = *nodes_[index];
  if (!Usable(index) || !Exists(from) || oracle_.OwnerOf(from) != node.shadow) return std::nullopt;
  if (FindVariable(node, from) == nullptr || !oracle_.HasEdge(from, to)) return std::nullopt;
  return TargetOf(node, to);
}

void Cluster::Follow(NodeIndex index, ShadowObject from, ShadowObject to) {
  const auto target = EdgeTarget(index, from, to);
  if (!target.has_value()) return;
  Node& node = *nodes_[index];
  node.process->Copy(*target);
  oracle_.HandleAdded(node.shadow, to);
  AddVariable(node, *target, to);
  if (tracing()) Trace(absl::StrCat(node.name, " follows ", Raw(from), " -> ", Raw(to)));
  Settle(node);
}

void Cluster::DropAll(NodeIndex index) {
  if (!Usable(index)) return;
  Node& node = *nodes_[index];
  if (tracing()) Trace(absl::StrCat(node.name, " drops everything"));
  while (!node.names.empty()) Unbind(index, std::string(node.names.back()));
  while (!node.variables.empty()) RemoveVariable(node, node.variables.size() - 1);
  Settle(node);
}

void Cluster::Link(NodeIndex index, ShadowObject from, ShadowObject to) {
  Node& node = *nodes_[index];
  if (!Usable(index) || !Exists(from) || oracle_.OwnerOf(from) != node.shadow) return;
  const Variable* source = FindVariable(node, from);
  const Variable* target = FindVariable(node, to);
  if (source == nullptr || target == nullptr || target->lost) return;
  if (!target->target.is_import() && !Exists(to)) return;  // Unexported.
  if (!node.process->Link(source->target.object(), target->target).ok()) return;
  oracle_.Linked(from, to);
  if (tracing()) Trace(absl::StrCat(node.name, " links ", Raw(from), " -> ", Raw(to)));
  Settle(node);
}

void Cluster::Unlink(NodeIndex index, ShadowObject from, ShadowObject to) {
  const auto target = EdgeTarget(index, from, to);
  if (!target.has_value()) return;
  Node& node = *nodes_[index];
  const ObjectIndex source = FindVariable(node, from)->target.object();
  oracle_.Unlinked(from, to);
  const absl::Status status = node.process->Unlink(source, *target, Now(node));
  if (!status.ok()) oracle_.Fail(absl::StrCat("unlink: ", status.ToString()));
  if (tracing()) Trace(absl::StrCat(node.name, " unlinks ", Raw(from), " -> ", Raw(to)));
  Settle(node);
}

// The application knows what its objects refer to; here it finds the reference by identity.
std::optional<Target> Cluster::TargetOf(Node& node, ShadowObject object) {
  const WireRef ref{nodes_[oracle_.NodeOf(object)]->name,
                    oracle_.IncarnationOf(object),
                    oracle_.IdOf(object),
                    "object",
                    {}};
  if (oracle_.OwnerOf(object) == node.shadow) {
    const auto own = node.process->objects().FindRecord(ref.id);
    return own.has_value() ? std::optional(Target(*own)) : std::nullopt;
  }
  for (uint32_t i = 0; i < node.process->imports().end(); ++i) {
    const ImportRecord& record = node.process->imports()[ImportIndex{i}];
    if (record.in_use && record.id == ref.id) return Target(ImportIndex{i});
  }
  return std::nullopt;
}

void Cluster::Bind(NodeIndex index, const std::string& name, ShadowObject object) {
  Node& node = *nodes_[index];
  if (!Usable(index) || !Exists(object) || oracle_.OwnerOf(object) != node.shadow) return;
  const Variable* variable = FindVariable(node, object);
  if (variable == nullptr || !node.process->Bind(name, variable->target.object()).ok()) return;
  oracle_.Named(object);
  const auto at = std::lower_bound(node.names.begin(), node.names.end(), name);
  const auto position = at - node.names.begin();
  if (at != node.names.end() && *at == name) {
    oracle_.Unnamed(std::exchange(node.named[static_cast<size_t>(position)], object));
  } else {
    node.names.insert(at, name);
    node.named.insert(node.named.begin() + position, object);
  }
  if (tracing()) Trace(absl::StrCat(node.name, " binds ", name, " to ", Raw(object)));
  Settle(node);
}

void Cluster::Unbind(NodeIndex index, const std::string& name) {
  Node& node = *nodes_[index];
  if (!Usable(index)) return;
  const auto at = std::lower_bound(node.names.begin(), node.names.end(), name);
  if (at == node.names.end() || *at != name) return;
  const auto position = at - node.names.begin();
  oracle_.Unnamed(node.named[static_cast<size_t>(position)]);
  node.names.erase(at);
  node.named.erase(node.named.begin() + position);
  if (!node.process->Unbind(name).ok()) oracle_.Fail("a bound name was not found");
  Settle(node);
}

void Cluster::Lookup(NodeIndex index, const std::string& name) {
  Node& node = *nodes_[index];
  if (!Usable(index)) return;
  const auto at = std::lower_bound(node.names.begin(), node.names.end(), name);
  if (at == node.names.end() || *at != name) return;
  const ShadowObject object = node.named[static_cast<size_t>(at - node.names.begin())];
  const auto target = node.process->Lookup(name);
  if (!target.ok()) {
    if (Exists(object)) oracle_.Fail("the object of a name was not found");
    return;
  }
  oracle_.HandleAdded(node.shadow, object);
  AddVariable(node, *target, object);
  Settle(node);
}

void Cluster::Unexport(NodeIndex index, ShadowObject object) {
  Node& node = *nodes_[index];
  if (!Usable(index) || !Exists(object) || oracle_.OwnerOf(object) != node.shadow) return;
  const auto record = node.process->objects().Find(oracle_.IdOf(object));
  if (!record.has_value()) return;
  if (tracing()) Trace(absl::StrCat(node.name, " unexports object ", Raw(object)));
  oracle_.Unexported(object);
  node.process->Unexport(*record, Now(node));
  Settle(node);
}

void Cluster::UnexportAll(NodeIndex node) {
  for (const ShadowObject object : oracle_.ExistingObjects(nodes_[node]->shadow)) {
    Unexport(node, object);
  }
}

// --- Messages of the application.

void Cluster::SendCopy(Node& from, ShadowObject object, NodeIndex to,
                       std::optional<uint64_t> reply_to, Duration term) {
  const Variable* variable = FindVariable(from, object);
  if (variable == nullptr || variable->lost) return;
  SendTarget(from, variable->target, object, to, reply_to, term);
}

void Cluster::SendTarget(Node& from, Target target, ShadowObject object, NodeIndex to,
                         std::optional<uint64_t> reply_to, Duration term) {
  if (!target.is_import() && !Exists(object)) return;  // Unexported.
  ClientId receiver;
  if (reply_to == nodes_[to]->life && nodes_[to]->up) {
    receiver = nodes_[to]->process->options().self;
  }
  const auto ref = from.process->Share(target, receiver, term, Now(from));
  if (!ref.ok()) {
    DGC_PROBE("a reference could not be shared");
    Settle(from);
    return;
  }
  const auto parcel = std::make_shared<Parcel>();
  parcel->ref = *ref;
  parcel->copy = oracle_.Shared(from.shadow, object, ref->transit, term);
  if (tracing()) {
    Trace(absl::StrCat(from.name, " sends object ", Raw(object), " to n", to, ", token ",
                       Raw(ref->transit) % 100'000));
  }
  Settle(from);
  const auto lose = [this, parcel] { oracle_.CopyLost(parcel->copy); };
  Packet packet;
  packet.from = from.index;
  packet.to = to;
  packet.timeout = options_.strategy.lease.transit_term;
  packet.lose = lose;
  packet.duplicate = [this, parcel] { oracle_.CopyDuplicated(parcel->copy); };
  packet.arrive = [this, to, reply_to, parcel, lose] {
    // A reply finds only the run that asked; any run takes a message from a queue.
    At(
        to, reply_to.value_or(nodes_[to]->life),
        [this, to, parcel] { ReceiveCopy(*nodes_[to], *parcel); }, lose);
  };
  network_.Send(std::move(packet));
}

void Cluster::ReceiveCopy(Node& to, const Parcel& parcel) {
  const auto object = oracle_.Find(parcel.ref.id);
  DGC_CHECK(object.has_value());
  if (to.leaving) {
    oracle_.CopyArrived(parcel.copy, std::nullopt);
    return;
  }
  const auto target = to.process->Import(parcel.ref, Now(to));
  if (tracing()) {
    Trace(absl::StrCat(to.name, " receives object ", Raw(*object), ", token ",
                       Raw(parcel.ref.transit) % 100'000, target.ok() ? "" : ": gone"));
  }
  if (!target.ok()) {
    if (oracle_.OwnerOf(*object) == to.shadow) oracle_.SaidToBeGone(*object);
    oracle_.CopyArrived(parcel.copy, std::nullopt);
    return;
  }
  if (!target->is_import() && !Exists(*object)) {
    oracle_.Fail(
        absl::StrCat(oracle_.Describe(*object), " came home and lives on although it ended"));
  }
  oracle_.CopyArrived(parcel.copy, to.shadow);
  AddVariable(to, *target, *object);
  Settle(to);
}

void Cluster::Send(NodeIndex from, ShadowObject object, NodeIndex to, Duration term) {
  if (from == to || !Usable(from)) return;
  SendCopy(*nodes_[from], object, to, std::nullopt, term);
}

void Cluster::SendEdge(NodeIndex node, ShadowObject from, ShadowObject object, NodeIndex to) {
  const auto target = EdgeTarget(node, from, object);
  if (!target.has_value() || node == to) return;
  SendTarget(*nodes_[node], *target, object, to, std::nullopt, Duration::zero());
}

void Cluster::Fetch(NodeIndex caller, NodeIndex server, ShadowObject object) {
  if (caller == server || !Usable(caller)) return;
  Packet packet;
  packet.from = caller;
  packet.to = server;
  packet.timeout = options_.strategy.lease.call_timeout;
  packet.arrive = [this, caller, server, object, run = nodes_[caller]->life] {
    At(
        server, nodes_[server]->life,
        [this, caller, server, object, run] {
          if (Usable(server)) SendCopy(*nodes_[server], object, caller, run, Duration::zero());
        },
        nullptr);
  };
  network_.Send(std::move(packet));
}

void Cluster::FetchByName(NodeIndex caller, NodeIndex server, const std::string& name) {
  if (caller == server || !Usable(caller)) return;
  Packet packet;
  packet.from = caller;
  packet.to = server;
  packet.timeout = options_.strategy.lease.call_timeout;
  packet.arrive = [this, caller, server, name, run = nodes_[caller]->life] {
    At(
        server, nodes_[server]->life,
        [this, caller, server, name, run] {
          if (!Usable(server)) return;
          Node& node = *nodes_[server];
          const size_t before = node.variables.size();
          Lookup(server, name);
          if (node.variables.size() == before) return;
          const ShadowObject object = node.variables.back().object;
          SendCopy(node, object, caller, run, Duration::zero());
          Drop(server, object);
        },
        nullptr);
  };
  network_.Send(std::move(packet));
}

void Cluster::Give(NodeIndex from, ShadowObject object, NodeIndex to) {
  Send(from, object, to, Duration::zero());
  RunUntil([&] { return Has(to, object); }, std::chrono::seconds(10));
}

void Cluster::HandleLost(Node& node, const dgc::Lost& lost) {
  ++node.lost;
  node.last_lost = lost;
  const ImportRecord& record = node.process->imports()[lost.import];
  if (!record.in_use) {
    return oracle_.Fail(absl::StrCat(node.name, " reports the loss of a reference it has not"));
  }
  const ObjectId id = record.id;
  oracle_.Lost(node.shadow, id, lost);
  const auto object = oracle_.Find(id);
  if (!object.has_value()) return;
  if (tracing()) {
    Trace(absl::StrCat(node.name, " is told: object ", Raw(*object), " is lost, cause ",
                       static_cast<int>(lost.cause)));
  }
  for (Variable& variable : node.variables) {
    if (variable.object == *object) variable.lost = true;
  }
  if (!drop_lost_) return;
  events_.After(std::chrono::milliseconds(1),
                [this, index = node.index, life = node.life, lost_object = *object] {
                  At(
                      index, life,
                      [this, index, lost_object] {
                        while (Usable(index) && Has(index, lost_object)) Drop(index, lost_object);
                      },
                      nullptr);
                });
}

// --- Checks.

void Cluster::CheckObjects(Node& node) {
  const auto expected = oracle_.ExpectedObjects(node.shadow);
  const auto existing = oracle_.ExistingObjects(node.shadow);
  std::vector<ShadowObject> leaked;
  std::set_difference(existing.begin(), existing.end(), expected.begin(), expected.end(),
                      std::back_inserter(leaked));
  if (!leaked.empty()) {
    oracle_.Fail(absl::StrCat("LEAK: ", node.name, " hosts ", leaked.size(),
                              " objects that nobody can reach, first ", Raw(leaked.front())));
  }
  for (const ShadowObject object : existing) {
    if (!node.process->objects().Find(oracle_.IdOf(object)).has_value()) {
      oracle_.Fail(absl::StrCat(oracle_.Describe(object), " vanished without being reclaimed"));
    }
  }
  if (node.process->objects().live() != existing.size()) {
    oracle_.Fail(absl::StrCat("TABLES: ", node.name, " has ", node.process->objects().live(),
                              " live objects, not ", existing.size()));
  }
}

void Cluster::CheckTables(Node& node) {
  const auto check = [&](const char* what, uint64_t have, Oracle::Range want) {
    if (want.low <= have && have <= want.high) return;
    oracle_.Fail(absl::StrCat("TABLES: ", node.name, " has ", have, " ", what, ", not ", want.low,
                              want.low == want.high ? "" : absl::StrCat(" to ", want.high)));
  };
  const Strategy::Sizes sizes = node.process->sizes();
  check("listings", sizes.listings, oracle_.ExpectedListings(node.shadow));
  check("listings as answered", sizes.listings,
        {oracle_.Listings(node.shadow), oracle_.Listings(node.shadow)});
  check("imports listed", sizes.held, oracle_.ExpectedHeld(node.shadow));
  check("transit leases", sizes.transits, {0, 0});
  check("listings being reaped", sizes.reaping, {0, 0});
  check("lapses held back", sizes.deferred, {0, 0});
  check("lapses undecided", sizes.undecided, {0, 0});
  // Who is refused goes on asking.
  if (!oracle_.OverQuota(node.shadow)) check("rows waiting", sizes.pending, {0, 0});
}

void Cluster::CheckObjects() {
  oracle_.FindExpected();
  for (const auto& node : nodes_) {
    if (node->up) CheckObjects(*node);
  }
}

void Cluster::CheckTables() {
  for (const auto& node : nodes_) {
    if (node->up) CheckTables(*node);
  }
  oracle_.CheckAllTold();
}

void Cluster::CheckAssured(const Node& node) {
  if (node.leaving) return;
  for (const Variable& variable : node.variables) {
    if (!variable.target.is_import() || !node.process->Assured(variable.target, Now(node)))
      continue;
    if (variable.lost) {
      oracle_.Fail(absl::StrCat(oracle_.Describe(node.shadow), " was told of the loss of ",
                                oracle_.Describe(variable.object), " and calls it assured"));
    }
    oracle_.CheckAssured(node.shadow, variable.object);
  }
}

void Cluster::CheckDigests(Duration duration) {
  const uint64_t before = oracle_.differences();
  Run(duration);
  if (oracle_.differences() != before) {
    oracle_.Fail("TABLES: at rest, a renewal found that holder and owner differ");
  }
}

void Cluster::CheckEmpty() {
  CheckObjects();
  CheckTables();
  for (const auto& node : nodes_) {
    if (!node->up) continue;
    const Strategy::Sizes sizes = node->process->sizes();
    const auto check = [&](const char* what, uint64_t have) {
      if (have == 0) return;
      oracle_.Fail(absl::StrCat("TABLES: ", node->name, " still has ", have, " ", what));
    };
    check("objects", node->process->objects().live());
    check("names", node->process->objects().names());
    check("clients", sizes.clients);
    check("clients in limbo", sizes.clients_in_limbo);
    check("departed clients", sizes.departed);
    check("tokens remembered as named", sizes.named);
    check("deadlines queued", sizes.queued);
    check("imports listed", sizes.held);
    check("imports", node->process->imports().size());
    check("peers", node->process->imports().peers());
  }
}

}  // namespace dgc::testkit
