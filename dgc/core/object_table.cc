#include "dgc/core/object_table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dgc/core/check.h"
#include "dgc/core/prefetch.h"
#include "dgc/core/probe.h"

namespace dgc {
namespace {

// How many objects ahead of its use memory is fetched.
constexpr size_t kAhead = 8;

}  // namespace

using State = ObjectRecord::State;

ObjectTable::ObjectTable(ObjectTableOptions options, Counters* counters, TypeTable* types,
                         uint64_t secret)
    : options_(options),
      counters_(counters),
      types_(types),
      by_id_(secret),
      collector_(options.local_round_interval, &records_),
      remembered_by_id_(secret) {}

absl::StatusOr<ObjectIndex> ObjectTable::Add(const ObjectId& id, uint16_t type) {
  if (records_.size() >= options_.objects_max) {
    return absl::ResourceExhaustedError(
        absl::StrCat("this process hosts ", options_.objects_max, " objects, its maximum"));
  }
  DGC_CHECK(!FindRecord(id).has_value());
  const uint32_t index = records_.Allocate();
  ObjectRecord& record = records_[index];
  record.id = id;
  record.type = type;
  record.state = State::kLive;
  record.pins = 1;
  collector_.Born(record);
  if (Hint(id) != ObjectIndex{index}) by_id_.Insert(TagOf(id.high, id.low), index);
  ++live_;
  ++counters_->objects_exported;
  return ObjectIndex{index};
}

std::optional<ObjectIndex> ObjectTable::FindRecord(const ObjectId& id) const {
  if (IsAt(id, Hint(id))) return Hint(id);
  const auto found =
      by_id_.Find(TagOf(id.high, id.low), [&](uint32_t index) { return records_[index].id == id; });
  if (!found.has_value()) return std::nullopt;
  return ObjectIndex{*found};
}

std::optional<ObjectIndex> ObjectTable::Find(const ObjectId& id) const {
  return Find(id, Hint(id));
}

ObjectIndex ObjectTable::Locate(const ObjectId& id) const {
  ObjectIndex hint = Hint(id);
  if (by_id_.size() != 0) {
    if (const auto found = by_id_.Peek(TagOf(id.high, id.low)); found.has_value()) {
      hint = ObjectIndex{*found};
    }
  }
  if (Raw(hint) < records_.end()) Prefetch(hint);
  return hint;
}

std::optional<ObjectIndex> ObjectTable::FindRecord(const ObjectId& id, ObjectIndex hint) const {
  return IsAt(id, hint) ? hint : FindRecord(id);
}

std::optional<ObjectIndex> ObjectTable::Find(const ObjectId& id, ObjectIndex hint) const {
  const auto found = FindRecord(id, hint);
  return found.has_value() && Alive(*found) ? found : std::nullopt;
}

void ObjectTable::Prefetch(ObjectIndex object) const {
  const auto* const record = reinterpret_cast<const char*>(&Get(object));
  dgc::Prefetch(record);
  dgc::Prefetch(record + ObjectRecord::kHotBytes - 1);  // They may be across two lines.
}

Failure ObjectTable::WhyAbsent(const ObjectId& id, TimePoint now) const {
  Failure failure;
  if (const auto index = FindRecord(id);
      index.has_value() && Get(*index).state == State::kLive && collector_.condemned(Get(*index))) {
    failure.reason = FailureReason::kReclaimed;
    failure.reclaim_reason = ReclaimReason::kCycle;
    return failure;
  }
  const auto found = remembered_by_id_.Find(
      TagOf(id.high, id.low), [&](uint32_t position) { return remembered_[position].id == id; });
  if (!found.has_value()) return failure;
  const Remembered& remembered = remembered_[*found];
  failure.reason = remembered.reason == ReclaimReason::kUnexport ? FailureReason::kUnexported
                                                                 : FailureReason::kReclaimed;
  failure.reclaim_reason = remembered.reason;
  failure.reclaimed_ago = std::max(now - remembered.when, Duration::zero());
  return failure;
}

void ObjectTable::Pin(ObjectIndex object) {
  ++At(object).pins;
  collector_.Shade(Raw(object));
}

void ObjectTable::Unpin(ObjectIndex object) {
  ObjectRecord& record = At(object);
  DGC_CHECK(record.pins > 0);
  --record.pins;
  AfterDecrement(object, ReclaimReason::kClean);
}

void ObjectTable::Hold(ObjectIndex object) {
  ++At(object).remote_holds;
  collector_.Shade(Raw(object));
}

void ObjectTable::Unhold(ObjectIndex object, ReclaimReason why) {
  ObjectRecord& record = At(object);
  DGC_CHECK(record.remote_holds > 0);
  --record.remote_holds;
  AfterDecrement(object, why);
}

absl::Status ObjectTable::AddEdges(std::span<const Edge> edges, size_t* failed) {
  absl::flat_hash_map<ObjectIndex, size_t> degrees;
  for (size_t i = 0; i < edges.size(); ++i) {
    *failed = i;
    // Nobody would ever take the edge back.
    if (!Alive(edges[i].from)) {
      return absl::NotFoundError("the object to refer from was unexported");
    }
    const ObjectRecord& record = At(edges[i].from);
    const auto degree =
        degrees.emplace(edges[i].from, record.edges == nullptr ? 0 : record.edges->size()).first;
    if (++degree->second > options_.edges_per_object_max) {
      return absl::ResourceExhaustedError(
          absl::StrCat("an object has at most ", options_.edges_per_object_max, " edges"));
    }
    if (edges_ + i >= options_.edges_max) {
      return absl::ResourceExhaustedError(absl::StrCat("the objects of this process have ",
                                                       options_.edges_max, " edges, the maximum"));
    }
  }
  edges_ += static_cast<uint32_t>(edges.size());
  for (const auto& [from, to] : edges) {
    ObjectRecord& record = At(from);
    if (record.edges == nullptr) record.edges = std::make_unique<std::vector<Target>>();
    record.edges->push_back(to);
    if (!to.is_import()) {
      ++At(to.object()).local_in;
      collector_.Shade(Raw(to.object()));
    }
  }
  return absl::OkStatus();
}

absl::Status ObjectTable::RemoveEdges(std::span<const Edge> edges, size_t* failed) {
  // How many of each edge, and of each object's edges, are still to be found.
  absl::flat_hash_map<std::pair<ObjectIndex, Target>, size_t> wanted;
  absl::flat_hash_map<ObjectIndex, size_t> left;
  for (const auto& [from, to] : edges) {
    ++wanted[{from, to}];
    ++left[from];
  }
  std::vector<std::pair<ObjectIndex, size_t>> found;  // Of one object the last position first.
  found.reserve(edges.size());
  for (const Edge& edge : edges) {
    size_t& left_here = left[edge.from];
    const std::vector<Target>* const all = At(edge.from).edges.get();
    for (size_t i = all == nullptr ? 0 : all->size(); i-- > 0 && left_here > 0;) {
      const auto it = wanted.find({edge.from, (*all)[i]});
      if (it == wanted.end() || it->second == 0) continue;
      --it->second;
      --left_here;
      found.emplace_back(edge.from, i);
    }
    left_here = 0;  // Looked through.
  }
  if (found.size() < edges.size()) {
    // Of equal ones the last are those that are not there.
    for (size_t i = edges.size(); i-- > 0;) {
      size_t& missing = wanted[{edges[i].from, edges[i].to}];
      if (missing == 0) continue;
      --missing;
      *failed = i;
    }
    return absl::NotFoundError("the object has no such edge");
  }
  for (const auto& [from, position] : found) RemoveEdgeAt(from, position);
  return absl::OkStatus();
}

// Moves the last edge there: see LocalCollector::Scan.
void ObjectTable::RemoveEdgeAt(ObjectIndex from, size_t position) {
  ObjectRecord& record = At(from);
  const Target to = std::exchange((*record.edges)[position], record.edges->back());
  record.edges->pop_back();
  --edges_;
  if (record.edges->empty()) record.edges.reset();
  if (!to.is_import()) {
    --At(to.object()).local_in;
    AfterDecrement(to.object(), ReclaimReason::kClean);
  }
}

absl::Status ObjectTable::Bind(std::string_view name, ObjectIndex object) {
  if (!Alive(object)) return absl::NotFoundError("the object to be named was unexported");
  const auto it = names_.find(absl::string_view(name.data(), name.size()));
  if (it == names_.end()) {
    if (names_.size() >= options_.names_max) {
      return absl::ResourceExhaustedError(
          absl::StrCat("this process has ", options_.names_max, " names, its maximum"));
    }
    Pin(object);
    names_.emplace(std::string(name), object);
  } else {
    Pin(object);
    Unpin(std::exchange(it->second, object));
  }
  return absl::OkStatus();
}

absl::Status ObjectTable::Unbind(std::string_view name) {
  const auto it = names_.find(absl::string_view(name.data(), name.size()));
  if (it == names_.end()) return absl::NotFoundError("nothing has that name");
  const ObjectIndex object = it->second;
  names_.erase(it);
  Unpin(object);
  return absl::OkStatus();
}

std::optional<ObjectIndex> ObjectTable::Lookup(std::string_view name) const {
  const auto it = names_.find(absl::string_view(name.data(), name.size()));
  if (it == names_.end() || !Alive(it->second)) return std::nullopt;
  return it->second;
}

void ObjectTable::Unexport(ObjectIndex object, TimePoint now) {
  if (!Alive(object)) return;
  ObjectRecord& record = At(object);
  record.state = State::kEnding;
  --live_;
  Remember(record.id, ReclaimReason::kUnexport, now);
  Doom(object);
}

void ObjectTable::Doom(ObjectIndex object) {
  ObjectRecord& record = At(object);
  if (record.doomed) return;
  record.doomed = true;
  doomed_.push_back(object);
}

void ObjectTable::AfterDecrement(ObjectIndex object, ReclaimReason why) {
  ObjectRecord& record = At(object);
  if (record.state != State::kLive) {
    FreeIfUnused(object);
    return;
  }
  record.last_cause = why;
  if (record.rooted()) return;
  if (record.local_in != 0) {
    collector_.Suspect();
  } else {
    Doom(object);
  }
}

// Of many that are doomed, the next ones: their records, then where they will be remembered.
void ObjectTable::PrefetchDoomed() const {
  const auto at = [this](size_t ahead) { return doomed_[doomed_.size() - 1 - ahead]; };
  if (doomed_.size() > 2 * kAhead) Prefetch(at(2 * kAhead));
  if (doomed_.size() > kAhead) {
    const ObjectId& id = Get(at(kAhead)).id;
    remembered_by_id_.Prefetch(TagOf(id.high, id.low));
  }
}

void ObjectTable::Remember(const ObjectId& id, ReclaimReason reason, TimePoint now) {
  if (options_.reclaimed_remembered_max == 0) return;
  if (remembered_.size() < options_.reclaimed_remembered_max) {
    remembered_next_ = remembered_.size();
    remembered_.emplace_back();
  } else {
    DGC_PROBE("a reclaim is forgotten for want of room");
    if (remembered_next_ == remembered_.size()) remembered_next_ = 0;
    const ObjectId& soon =
        remembered_[std::min(remembered_next_ + kAhead, remembered_.size() - 1)].id;
    remembered_by_id_.Prefetch(TagOf(soon.high, soon.low));
    const ObjectId& oldest = remembered_[remembered_next_].id;
    remembered_by_id_.Erase(TagOf(oldest.high, oldest.low),
                            static_cast<uint32_t>(remembered_next_));
  }
  remembered_[remembered_next_] = {id, now, reason};
  remembered_by_id_.Insert(TagOf(id.high, id.low), static_cast<uint32_t>(remembered_next_));
  ++remembered_next_;
}

void ObjectTable::End(ObjectIndex object, ReclaimReason reason, TimePoint now,
                      std::vector<Reclaimed>* reclaimed) {
  ObjectRecord& record = At(object);
  if (record.state == State::kLive) {
    --live_;
    Remember(record.id, reason, now);
  }
  record.state = State::kGone;
  ++counters_->objects_reclaimed[static_cast<size_t>(reason)];
  reclaimed->push_back({object, record.type, record.id, reason});
  if (record.edges != nullptr) {
    dismantling_ = object;
  } else {
    FreeIfUnused(object);
  }
}

void ObjectTable::Dismantle(std::vector<ImportIndex>* dropped) {
  const ObjectIndex object = *dismantling_;
  ObjectRecord& record = At(object);
  if (record.edges == nullptr || record.edges->empty()) {
    record.edges.reset();
    dismantling_.reset();
    FreeIfUnused(object);
    return;
  }
  const Target to = record.edges->back();
  record.edges->pop_back();
  --edges_;
  if (to.is_import()) {
    dropped->push_back(to.import());
  } else {
    --At(to.object()).local_in;
    AfterDecrement(to.object(), ReclaimReason::kCascade);
  }
}

// Nothing refers to the position any more, in any table or queue: only then may it be used again.
void ObjectTable::FreeIfUnused(ObjectIndex object) {
  const ObjectRecord& record = At(object);
  if (record.rooted() || record.local_in != 0 || record.edges != nullptr || record.doomed ||
      dismantling_ == object) {
    return;
  }
  const ObjectId& id = record.id;
  if (Hint(id) != object) by_id_.Erase(TagOf(id.high, id.low), Raw(object));
  types_->Unuse(record.type);
  records_.Free(Raw(object));
}

bool ObjectTable::Work(size_t budget, TimePoint now, std::vector<Reclaimed>* reclaimed,
                       std::vector<ImportIndex>* dropped) {
  while (budget > 0) {
    if (dismantling_.has_value()) {
      --budget;
      Dismantle(dropped);
    } else if (!doomed_.empty()) {
      --budget;
      PrefetchDoomed();
      const ObjectIndex object = doomed_.back();
      doomed_.pop_back();
      ObjectRecord& record = At(object);
      record.doomed = false;
      if (record.state == State::kGone) {
        FreeIfUnused(object);
      } else if (record.state == State::kEnding) {
        End(object, ReclaimReason::kUnexport, now, reclaimed);
      } else if (!record.rooted() && record.local_in == 0 && !collector_.condemned(record)) {
        End(object, record.last_cause, now, reclaimed);
      } else {
        DGC_PROBE("a reference comes back before the reclaim");
      }
    } else {
      const auto garbage = collector_.Step(budget, now, &counters_->local_rounds);
      if (garbage.has_value()) {
        End(*garbage, ReclaimReason::kCycle, now, reclaimed);
      } else if (budget > 0) {
        break;
      }
    }
  }
  return has_work();
}

}  // namespace dgc
