#include "dgc/core/process.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dgc/core/check.h"

namespace dgc {
namespace {

absl::Status Malformed(const char* what) {
  return absl::InvalidArgumentError(absl::StrCat("malformed reference: ", what));
}

absl::Status Validate(const WireRef& ref) {
  if (ref.owner.empty()) return Malformed("it names no owner");
  if (!IsOwnerName(ref.owner)) {
    return Malformed("the owner's name is too long, or not of printable ASCII without spaces");
  }
  if (Raw(ref.incarnation) == 0) return Malformed("it names no incarnation");
  if (!ref.id.valid()) return Malformed("the object id is zero");
  if (ref.type.size() > kTypeBytesMax) return Malformed("the type is too long");
  return absl::OkStatus();
}

}  // namespace

bool IsOwnerName(std::string_view name) {
  return name.size() <= kOwnerNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c <= '~'; });
}

Process::Process(ProcessOptions options, const StrategyFactory& strategy, Random* random)
    : options_(std::move(options)),
      random_(random),
      objects_(options_.objects, &counters_, &types_, random->Next()),
      imports_(&types_, random->Next()) {
  DGC_CHECK(options_.self.valid());
  DGC_CHECK(options_.owner.empty() || Raw(options_.incarnation) != 0);
  strategy_ =
      strategy({.self = options_.self,
                .owner = options_.owner,
                .incarnation = options_.incarnation,
                .objects = &objects_,
                .imports = &imports_,
                .outputs = &outputs_,
                .counters = &counters_,
                .random = random,
                .key = options_.key,
                .drop = [this](ImportIndex import, TimePoint now) { DropImport(import, now); }});
}

absl::StatusOr<uint16_t> Process::UseType(std::string_view type, size_t types_max) {
  if (type.size() > kTypeBytesMax) return absl::InvalidArgumentError("the type is too long");
  if (const auto number = types_.Use(type, types_max); number.has_value()) return *number;
  return absl::ResourceExhaustedError(
      absl::StrCat("this process knows ", types_.size(), " types, the maximum"));
}

absl::Status Process::Absent(const ObjectId& id, TimePoint now) const {
  return ToStatus(ErrorOf(objects_.WhyAbsent(id, now)));
}

absl::StatusOr<Target> Process::Export(const ObjectId& id, std::string_view type) {
  const auto number = UseType(type, options_.types_max);
  if (!number.ok()) return number.status();
  const auto object = objects_.Add(id, *number);
  if (!object.ok()) {
    types_.Unuse(*number);
    return object.status();
  }
  return Target(*object);
}

absl::StatusOr<ObjectIndex> Process::Resolve(const WireRef& ref, TimePoint now) const {
  if (absl::Status status = Validate(ref); !status.ok()) return status;
  if (ref.owner != options_.owner) {
    return absl::FailedPreconditionError(
        absl::StrCat("the reference is to an object of ", ref.owner, ", not of this process"));
  }
  if (ref.incarnation != options_.incarnation) {
    return ToStatus({.cause = LossCause::kOwnerRestarted});
  }
  const auto object = objects_.Find(ref.id);
  if (!object.has_value()) return Absent(ref.id, now);
  return *object;
}

absl::StatusOr<std::optional<Target>> Process::Locate(const WireRef& ref) const {
  if (absl::Status status = Validate(ref); !status.ok()) return status;
  if (ref.owner == options_.owner) {
    if (ref.incarnation != options_.incarnation) return std::nullopt;
    const auto object = objects_.FindRecord(ref.id);
    return object.has_value() ? std::optional(Target(*object)) : std::nullopt;
  }
  const auto peer = imports_.FindPeer(ref.owner, ref.incarnation);
  if (!peer.has_value()) return std::nullopt;
  const auto import = imports_.Find(*peer, ref.id);
  return import.has_value() ? std::optional(Target(*import)) : std::nullopt;
}

absl::StatusOr<Target> Process::Import(const WireRef& ref, TimePoint now) {
  const auto target = FindOrAdd(ref, now);
  if (!target.ok()) return target.status();
  if (!target->is_import()) objects_.Pin(target->object());
  Arrived(*target, ref.transit, now);
  return *target;
}

absl::StatusOr<Target> Process::FindOrAdd(const WireRef& ref, TimePoint now) {
  if (!options_.owner.empty() && ref.owner == options_.owner) {
    const auto object = Resolve(ref, now);
    if (!object.ok()) return object.status();
    return Target(*object);
  }
  if (absl::Status status = Validate(ref); !status.ok()) return status;
  const auto import = FindOrAddImport(ref);
  if (!import.ok()) return import.status();
  return Target(*import);
}

void Process::Arrived(Target target, TransitToken transit, TimePoint now) {
  if (target.is_import()) {
    ++imports_[target.import()].uses;
    ++counters_.imports;
    strategy_->Imported(target.import(), transit, now);
  } else if (Raw(transit) != 0) {
    strategy_->Returned(target.object(), transit, now);
  }
}

absl::StatusOr<ImportIndex> Process::FindOrAddImport(const WireRef& ref) {
  const auto known = imports_.FindPeer(ref.owner, ref.incarnation);
  if (known.has_value()) {
    if (const auto held = imports_.Find(*known, ref.id); held.has_value()) return *held;
  }
  if (imports_.size() >= options_.imports_max) {
    return absl::ResourceExhaustedError(
        absl::StrCat("this process holds ", options_.imports_max, " references, its maximum"));
  }
  if (!known.has_value() && imports_.peers() >= options_.peers_max) {
    return absl::ResourceExhaustedError(absl::StrCat("this process holds references of ",
                                                     options_.peers_max, " owners, its maximum"));
  }
  const auto type = UseType(ref.type, (options_.types_max + 1) / 2);
  if (!type.ok()) return type.status();
  return imports_.Add(imports_.InternPeer(ref.owner, ref.incarnation), ref.id, *type);
}

void Process::Copy(Target handle) {
  if (handle.is_import()) {
    ++imports_[handle.import()].uses;
  } else {
    objects_.Pin(handle.object());
  }
}

void Process::Drop(Target handle, TimePoint now) {
  if (handle.is_import()) {
    DropImport(handle.import(), now);
  } else {
    objects_.Unpin(handle.object());
  }
}

void Process::DropImport(ImportIndex import, TimePoint now) {
  ImportRecord& record = imports_[import];
  DGC_CHECK(record.uses > 0);
  if (--record.uses > 0) return;
  ++counters_.drops;
  strategy_->Dropped({&import, 1}, /*batched=*/false, now);
}

WireRef Process::Describe(Target target) const {
  if (!target.is_import()) {
    const ObjectRecord& record = objects_.Get(target.object());
    return {options_.owner, options_.incarnation, record.id, TypeName(record.type), {}};
  }
  const ImportRecord& record = imports_[target.import()];
  const Peer& peer = imports_.GetPeer(record.peer);
  return {peer.owner, peer.incarnation, record.id, TypeName(record.type), {}};
}

absl::StatusOr<WireRef> Process::Share(Target target, const ClientId& receiver, Duration term,
                                       TimePoint now) {
  if (term < Duration::zero() || term > kTermMax) {
    return absl::InvalidArgumentError("a transit term is not negative, and at most one day");
  }
  const auto transit = target.is_import() ? strategy_->HandedOn(target.import(), term, now)
                                          : strategy_->Shared(target.object(), receiver, term, now);
  if (!transit.ok()) return transit.status();
  WireRef ref = Describe(target);
  ref.transit = *transit;
  return ref;
}

absl::Status Process::Link(std::span<const ObjectIndex> from, std::span<const WireRef> to,
                           LinkFailure* failed, TimePoint now) {
  DGC_CHECK(from.size() == to.size());
  // Records come first, as they tell whether there is room; the strategy hears of none before all
  // edges are there.
  std::vector<Edge> edges;
  edges.reserve(to.size());
  std::vector<ImportIndex> new_imports;
  std::vector<PeerIndex> new_peers;
  absl::Status status;
  for (size_t i = 0; status.ok() && i < to.size(); ++i) {
    *failed = {"to", i};
    const size_t imports_before = imports_.size();
    const size_t peers_before = imports_.peers();
    const auto target = FindOrAdd(to[i], now);
    if (!target.ok()) {
      status = target.status();
      break;
    }
    edges.push_back({from[i], *target});
    if (!target->is_import()) continue;
    const PeerIndex peer = imports_[target->import()].peer;
    if (imports_.size() > imports_before) new_imports.push_back(target->import());
    if (imports_.peers() > peers_before) new_peers.push_back(peer);
    const LossCause lost = strategy_->LostWith(peer);
    if (lost != LossCause::kNone) status = ToStatus({.cause = lost});
  }
  if (status.ok()) {
    failed->column = "from";
    status = objects_.AddEdges(edges, &failed->row);
  }
  if (!status.ok()) {
    for (const ImportIndex import : new_imports) imports_.Erase(import);
    for (const PeerIndex peer : new_peers) imports_.ForgetPeer(peer);
    return status;
  }
  for (size_t i = 0; i < to.size(); ++i) Arrived(edges[i].to, to[i].transit, now);
  return absl::OkStatus();
}

absl::Status Process::Unlink(std::span<const Edge> edges, size_t* failed, TimePoint now) {
  if (absl::Status status = objects_.RemoveEdges(edges, failed); !status.ok()) return status;
  for (const auto& [from, to] : edges) {
    if (to.is_import()) DropImport(to.import(), now);
  }
  return absl::OkStatus();
}

absl::Status Process::Link(ObjectIndex from, Target to) {
  const Edge edge{from, to};
  size_t failed = 0;
  if (absl::Status status = objects_.AddEdges({&edge, 1}, &failed); !status.ok()) return status;
  if (to.is_import()) ++imports_[to.import()].uses;
  return absl::OkStatus();
}

absl::Status Process::Unlink(ObjectIndex from, Target to, TimePoint now) {
  const Edge edge{from, to};
  size_t failed = 0;
  return Unlink({&edge, 1}, &failed, now);
}

absl::Status Process::Bind(std::string_view name, ObjectIndex object) {
  return objects_.Bind(name, object);
}

absl::Status Process::Unbind(std::string_view name) { return objects_.Unbind(name); }

absl::StatusOr<Target> Process::Lookup(std::string_view name) {
  const auto object = objects_.Lookup(name);
  if (!object.has_value()) return absl::NotFoundError("nothing has that name");
  objects_.Pin(*object);
  return Target(*object);
}

void Process::Unexport(ObjectIndex object, TimePoint now) { objects_.Unexport(object, now); }

Response Process::Received(const Request& request, TimePoint now) {
  Response response = strategy_->Received(request, now);
  if (std::holds_alternative<Refusal>(response)) ++counters_.refusals;
  return response;
}

void Process::Answered(PeerIndex peer, uint64_t call, const Response& response, TimePoint now) {
  strategy_->Answered(peer, call, response, now);
}

bool Process::Work(size_t budget, TimePoint now) {
  // Half and half, so that neither waits until the other has nothing left to do.
  size_t strategy_budget = budget - budget / 2;
  bool more = strategy_->Work(strategy_budget, now);
  budget = budget / 2 + strategy_budget;
  more |= objects_.Work(budget, now, &outputs_.reclaimed, &dropped_);
  if (!dropped_.empty()) {
    std::erase_if(dropped_, [this](ImportIndex import) { return --imports_[import].uses > 0; });
    counters_.drops += dropped_.size();
    strategy_->Dropped(dropped_, /*batched=*/true, now);
    dropped_.clear();
  }
  return more;
}

std::optional<TimePoint> Process::wake_at() const {
  if (objects_.has_work()) return TimePoint::min();
  const auto strategy = strategy_->wake_at();
  const auto objects = objects_.wake_at();
  if (!strategy.has_value()) return objects;
  if (!objects.has_value()) return strategy;
  return std::min(*strategy, *objects);
}

void Process::TakeOutputs(Outputs* into) {
  into->sends.clear();
  into->reclaimed.clear();
  into->lost.clear();
  into->hand_ons_expired.clear();
  into->transitions.clear();
  std::swap(*into, outputs_);
}

}  // namespace dgc
