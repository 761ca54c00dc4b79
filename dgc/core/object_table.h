// ObjectTable: the objects this process hosts, their edges, roots and names, and the decision that
// one is garbage.
//
// An object is kept while it has
//   * a pin:         a handle in the application, a name;
//   * a remote hold: a listing, transit lease, count, mark ... whatever the strategy reports;
//   * an edge from another object of this process (local_in).
// The last count that goes to zero dooms it; Work() re-checks every doomed object before it
// reclaims it, so a reference that comes back in time wins.  What counts cannot see, cycles within
// this process, the LocalCollector finds.  So inside one process nothing is left to the strategies.
//
// Reclaim is iterative and bounded: Work(budget) takes at most `budget` steps, whatever the shape
// of the garbage; an object with a million edges or a chain of a million objects takes many calls.
//
// Does not know leases, peers or time (but for the answer "reclaimed when").  Thread-compatible.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dgc/core/counters.h"
#include "dgc/core/ids.h"
#include "dgc/core/local_collector.h"
#include "dgc/core/message.h"
#include "dgc/core/object_record.h"
#include "dgc/core/position_index.h"
#include "dgc/core/slab.h"
#include "dgc/core/time.h"
#include "dgc/core/type_table.h"

namespace dgc {

struct ObjectTableOptions {
  // The most objects; Add() beyond it is RESOURCE_EXHAUSTED.  1 to 2^31 - 1.
  uint32_t objects_max = (uint32_t{1} << 31) - 1;
  // The most names.
  uint32_t names_max = 1 << 20;
  // The most edges out of one object, and of all.
  uint32_t edges_per_object_max = 1 << 20;
  uint32_t edges_max = 1 << 30;
  // How many reclaimed objects are remembered, latest first, to say when and why; 0 for none.
  uint32_t reclaimed_remembered_max = 1 << 16;
  // The least time between two rounds of the local collector; 0 to one day.
  Duration local_round_interval = std::chrono::seconds(1);
};

// The end of one object.
struct Reclaimed {
  ObjectIndex object{};  // Already gone; may be used again for a new object later.
  uint16_t type = 0;     // Its number in the TypeTable, of which the same holds.
  ObjectId id;
  ReclaimReason reason{};
};

// One reference from an object of this process.
struct Edge {
  ObjectIndex from{};
  Target to;
};

class ObjectTable {
 public:
  // `secret`: random, known to nobody outside this process.  `counters` and `types` outlive the
  // table.
  ObjectTable(ObjectTableOptions options, Counters* counters, TypeTable* types, uint64_t secret);

  // An id for the object to be added next, of 96 random bits and 32 that say where its record will
  // be: such an object needs no entry in the index, and is found with one cache miss.
  ObjectId NewId(uint64_t random, uint64_t more_random) const {
    return {random, more_random << 32 | records_.next()};
  }
  // Adds an object with one pin, which takes over a use of `type`, until its record goes.  Any id
  // will do, but see NewId.  RESOURCE_EXHAUSTED: objects_max.
  // REQUIRES: `id` is valid and was never added.
  absl::StatusOr<ObjectIndex> Add(const ObjectId& id, uint16_t type);

  // The live object with this id.
  std::optional<ObjectIndex> Find(const ObjectId& id) const;
  // Also one that was unexported and is still held by somebody.
  std::optional<ObjectIndex> FindRecord(const ObjectId& id) const;
  // For batches, to overlap their cache misses: some rows ahead Prefetch(), nearer Locate(), which
  // says where the object probably is, then Find() with that as a hint.
  void Prefetch(const ObjectId& id) const {
    if (by_id_.size() != 0) by_id_.Prefetch(TagOf(id.high, id.low));
  }
  ObjectIndex Locate(const ObjectId& id) const;
  std::optional<ObjectIndex> Find(const ObjectId& id, ObjectIndex hint) const;
  std::optional<ObjectIndex> FindRecord(const ObjectId& id, ObjectIndex hint) const;
  // Brings the record closer.
  void Prefetch(ObjectIndex object) const;
  // Why Find(id) fails: fills reason, reclaim_reason and reclaimed_ago.
  Failure WhyAbsent(const ObjectId& id, TimePoint now) const;

  const ObjectRecord& Get(ObjectIndex object) const { return records_[Raw(object)]; }

  void Pin(ObjectIndex object);
  void Unpin(ObjectIndex object);
  // Remote holds, for strategies.  `why` is what the reclaim is put down to if this was the last.
  void Hold(ObjectIndex object);
  void Unhold(ObjectIndex object, ReclaimReason why);

  // Edges are a multiset.  A remote edge is counted in the import table by the caller.  All of
  // `edges` are added, or removed, or none is, and then *failed says which of them stands in the
  // way.
  // RESOURCE_EXHAUSTED: edges_per_object_max, edges_max.  NOT_FOUND: `from` was unexported.
  absl::Status AddEdges(std::span<const Edge> edges, size_t* failed);
  // NOT_FOUND if there is no such edge.  At most one pass over the edges of each object named,
  // latest edges first.
  absl::Status RemoveEdges(std::span<const Edge> edges, size_t* failed);

  // Names pin what they name.  Bind replaces.  RESOURCE_EXHAUSTED: names_max.  NOT_FOUND:
  // the object was unexported.
  absl::Status Bind(std::string_view name, ObjectIndex object);
  // NOT_FOUND if nothing has that name.
  absl::Status Unbind(std::string_view name);
  std::optional<ObjectIndex> Lookup(std::string_view name) const;

  // Ends an object's life at once, whoever holds it.  Its record stays until nobody does.
  void Unexport(ObjectIndex object, TimePoint now);

  // Reclaims what is garbage, in at most `budget` steps; appends to `reclaimed` and, for each edge
  // to an import that a reclaimed object had, to `dropped`.  Returns whether there is more to do
  // now.
  bool Work(size_t budget, TimePoint now, std::vector<Reclaimed>* reclaimed,
            std::vector<ImportIndex>* dropped);

  // When Work() has something to do that it cannot do now.
  std::optional<TimePoint> wake_at() const { return collector_.wake_at(); }
  bool has_work() const {
    return !doomed_.empty() || dismantling_.has_value() || collector_.running();
  }

  size_t live() const { return live_; }
  size_t names() const { return names_.size(); }
  // Positions are below this; for scans that inspect: a position is live if `Alive` says so.
  uint32_t end() const { return records_.end(); }
  bool Alive(ObjectIndex object) const {
    const ObjectRecord& record = records_[Raw(object)];
    return record.state == ObjectRecord::State::kLive && !collector_.condemned(record);
  }

 private:
  struct Remembered {
    ObjectId id;
    TimePoint when{};
    ReclaimReason reason{};
  };

  // What the id says of where the record is, if it was made by NewId().
  static ObjectIndex Hint(const ObjectId& id) { return ObjectIndex{static_cast<uint32_t>(id.low)}; }
  bool IsAt(const ObjectId& id, ObjectIndex object) const {
    return Raw(object) < records_.end() && Get(object).id == id && id.valid();
  }
  ObjectRecord& At(ObjectIndex object) { return records_[Raw(object)]; }
  void RemoveEdgeAt(ObjectIndex from, size_t position);
  void Doom(ObjectIndex object);
  void PrefetchDoomed() const;
  void AfterDecrement(ObjectIndex object, ReclaimReason why);
  void End(ObjectIndex object, ReclaimReason reason, TimePoint now,
           std::vector<Reclaimed>* reclaimed);
  void Dismantle(std::vector<ImportIndex>* dropped);
  void FreeIfUnused(ObjectIndex object);
  void Remember(const ObjectId& id, ReclaimReason reason, TimePoint now);

  const ObjectTableOptions options_;
  Counters* const counters_;
  TypeTable* const types_;
  Slab<ObjectRecord> records_;
  // Those whose id does not say where they are.
  PositionIndex by_id_;
  absl::flat_hash_map<std::string, ObjectIndex> names_;
  size_t live_ = 0;
  uint32_t edges_ = 0;  // of all objects, those that are being dropped too
  LocalCollector collector_;

  // Objects whose counts have gone to zero, to be checked again, and those that were unexported.
  std::vector<ObjectIndex> doomed_;
  // The object whose edges are being dropped.
  std::optional<ObjectIndex> dismantling_;

  // Two views of one set: the latest reclaimed.  The oldest is at remembered_next_ once it is full.
  std::vector<Remembered> remembered_;
  size_t remembered_next_ = 0;
  PositionIndex remembered_by_id_;
};

}  // namespace dgc
