// Process: everything the collector decides in one process, as one state machine.
//
// It is told inputs and answers with Outputs; it has no thread, clock, socket or log of its own.
// The runtime and the simulator drive the very same code: call an input with the time,
// TakeOutputs(), do what they say.
//
//     app, rpc  --inputs, now-->  Process ( ObjectTable, ImportTable, Strategy )  --Outputs-->
//     shell
//
// A *handle* is a Target that counts as one use: Export, Import, Copy and Lookup give one, Drop
// takes it back.  A handle to an own object pins it; a handle to an import keeps it listed at its
// owner.
//
// Thread-compatible: the shell keeps one lock around one Process.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dgc/core/counters.h"
#include "dgc/core/ids.h"
#include "dgc/core/import_table.h"
#include "dgc/core/object_table.h"
#include "dgc/core/random.h"
#include "dgc/core/ref.h"
#include "dgc/core/reference_error.h"
#include "dgc/core/strategy.h"
#include "dgc/core/time.h"
#include "dgc/core/type_table.h"

namespace dgc {

struct ProcessOptions {
  // Who this process is as a holder.  Valid, and new on every start.
  ClientId self;
  // Its stable name as an owner; empty if it hosts nothing.  At most kOwnerNameBytesMax.
  std::string owner{};
  // This run; not none if `owner` is set.
  Incarnation incarnation{};
  ObjectTableOptions objects{};
  // This process's secret at one run of one owner: a function of these two that nobody else can
  // compute.  Null: none.
  std::function<ClientKey(const std::string& owner, Incarnation)> key{};
  // The most different references held at once; Import() beyond it is RESOURCE_EXHAUSTED.
  uint32_t imports_max = (uint32_t{1} << 31) - 1;
  // The most different types of the objects and imports there are; references that arrive add new
  // ones to the first half only.  At most 65,535.
  uint32_t types_max = 4096;
  // The most runs of owners of which something is held; Import() of another's is
  // RESOURCE_EXHAUSTED.
  uint32_t peers_max = 65'536;
};

// Where many edges could not be added: from[row] or to[row].
struct LinkFailure {
  const char* column = "from";
  size_t row = 0;
};

class Process {
 public:
  // `random` outlives the process.
  Process(ProcessOptions options, const StrategyFactory& strategy, Random* random);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  const ProcessOptions& options() const { return options_; }

  // --- Handles.
  // An id for the next Export(): random, and quick to find (ObjectTable::NewId).
  ObjectId NewId() { return objects_.NewId(random_->Next(), random_->Next()); }
  // A new own object.  RESOURCE_EXHAUSTED: objects_max, types_max.  INVALID_ARGUMENT: type too
  // long. REQUIRES: `id` is valid and new for all time.
  absl::StatusOr<Target> Export(const ObjectId& id, std::string_view type);
  // A reference that has arrived.  INVALID_ARGUMENT: malformed.  FAILED_PRECONDITION: names this
  // owner but another incarnation.  NOT_FOUND: an own object that is gone.  Both carry a
  // ReferenceError.  RESOURCE_EXHAUSTED: imports_max (another reference to what is held already is
  // not beyond it), peers_max, types_max.
  absl::StatusOr<Target> Import(const WireRef& ref, TimePoint now);
  void Copy(Target handle);
  void Drop(Target handle, TimePoint now);
  // A copy of the reference that may leave: to the caller `receiver` (if named), who MUST import
  // it. For an own object this is the implicit dirty: a transit lease.  For somebody else's it is a
  // hand-on, declared to the owner in the background; this process keeps the reference until the
  // owner has acknowledged. `term` (0: default) is for references that take a slow path.
  // RESOURCE_EXHAUSTED: a bound of the strategy.  INVALID_ARGUMENT: `term` negative or over
  // kTermMax. REQUIRES: a handle or an edge keeps `target`.
  absl::StatusOr<WireRef> Share(Target target, const ClientId& receiver, Duration term,
                                TimePoint now);
  // The same reference without protection: for logs, maps and comparisons.
  WireRef Describe(Target target) const;

  // Whether a handle's object is known to be kept: always for an own one; for an import while its
  // lease, counted from when the last renewal left, has not run out.  To be asked before acting on
  // a reference after a pause of unknown length.
  bool Assured(Target handle, TimePoint now) const {
    return !handle.is_import() || (imports_[handle.import()].lost == LossCause::kNone &&
                                   strategy_->Assured(handle.import(), now));
  }

  // --- The graph.  `from` is an own object's index; the caller has a handle to it.  NOT_FOUND if
  // it was unexported, as for Bind.
  absl::Status Link(ObjectIndex from, Target to);
  absl::Status Unlink(ObjectIndex from, Target to, TimePoint now);
  // Many: all edges or none, see ObjectTable.
  absl::Status Unlink(std::span<const Edge> edges, size_t* failed, TimePoint now);
  // From from[i] to the reference that has arrived in to[i]: as Import, with the edge for a handle.
  // All or none: on an error, also if an owner's run is known to be over, nothing was taken in and
  // no transit lease used up.
  absl::Status Link(std::span<const ObjectIndex> from, std::span<const WireRef> to,
                    LinkFailure* failed, TimePoint now);
  absl::Status Bind(std::string_view name, ObjectIndex object);
  absl::Status Unbind(std::string_view name);
  // A handle.  NOT_FOUND.
  absl::StatusOr<Target> Lookup(std::string_view name);
  // Ends an own object's life.
  void Unexport(ObjectIndex object, TimePoint now);
  // The live own object that `ref` names.  Errors as Import.  Gives no handle and does not consume
  // ref.transit.
  absl::StatusOr<ObjectIndex> Resolve(const WireRef& ref, TimePoint now) const;
  // What edges to the object that `ref` names have as their target, dead or alive; nullopt: there
  // are no edges to it.  INVALID_ARGUMENT: malformed.  Gives no handle either.
  absl::StatusOr<std::optional<Target>> Locate(const WireRef& ref) const;

  // --- Messages.
  Response Received(const Request& request, TimePoint now);
  void Answered(PeerIndex peer, uint64_t call, const Response& response, TimePoint now);
  void Goodbye(TimePoint now) { strategy_->Goodbye(now); }
  bool Quiescent() const { return strategy_->Quiescent(); }

  void SetReaping(ReapingMode mode) { strategy_->SetReaping(mode); }

  // --- Time.
  void Tick(TimePoint now) { strategy_->Tick(now); }
  // Does at most `budget` steps of deferred work and returns whether there is more to do now.
  bool Work(size_t budget, TimePoint now);
  // When to call Tick and Work again at the latest; nullopt: not before the next input.
  std::optional<TimePoint> wake_at() const;

  // What is to be done outside, since the last call.  Swaps, so that `into`'s memory is used again.
  void TakeOutputs(Outputs* into);

  const ObjectTable& objects() const { return objects_; }
  const ImportTable& imports() const { return imports_; }
  const Counters& counters() const { return counters_; }
  Strategy::Sizes sizes() const { return strategy_->sizes(); }
  const TypeTable& types() const { return types_; }
  // Of an object or import that is there.
  const std::string& TypeName(uint16_t type) const { return types_.NameOf(type); }
  // How many objects and imports have it.
  uint64_t TypeUses(uint16_t type) const { return types_.uses(type); }

 private:
  absl::StatusOr<uint16_t> UseType(std::string_view type, size_t types_max);
  // What `ref` names: an own object that is alive, or an import, made if there is none.
  absl::StatusOr<Target> FindOrAdd(const WireRef& ref, TimePoint now);
  // A copy has arrived of a reference that something keeps from now on.
  void Arrived(Target target, TransitToken transit, TimePoint now);
  // The record of what `ref` names, made if there is none.  REQUIRES: `ref` is well formed.
  absl::StatusOr<ImportIndex> FindOrAddImport(const WireRef& ref);
  absl::Status Absent(const ObjectId& id, TimePoint now) const;
  void DropImport(ImportIndex import, TimePoint now);

  const ProcessOptions options_;
  Random* const random_;
  Counters counters_;
  Outputs outputs_;
  TypeTable types_;
  ObjectTable objects_;
  ImportTable imports_;
  std::unique_ptr<Strategy> strategy_;
  std::vector<ImportIndex> dropped_;
};

}  // namespace dgc
