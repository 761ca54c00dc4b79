#include "dgc/runtime/engine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dgc/core/check.h"

namespace dgc {
namespace {

absl::Status ShutDown() { return absl::CancelledError("this Owner or Holder was shut down"); }

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

std::string Place(const char* column, size_t row) { return absl::StrCat(column, "[", row, "]"); }

}  // namespace

// Performs nothing under the lock: what the Process wants done is collected before it is
// released and done after.
class ABSL_SCOPED_LOCKABLE Engine::Input {
 public:
  explicit Input(Engine* engine) ABSL_EXCLUSIVE_LOCK_FUNCTION(engine->mutex_)
      : engine_(engine), now_(Lock(engine)) {}
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;
  ~Input() ABSL_UNLOCK_FUNCTION() { Finish(); }

  TimePoint now() const { return now_; }

 private:
  static TimePoint Lock(Engine* engine) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    engine->LockForCall();
    return engine->clock_->Now();
  }
  void Finish() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    Effects effects;
    engine_->Collect(now_, &effects);
    engine_->mutex_.Unlock();
    engine_->Perform(&effects);
  }

  Engine* const engine_;
  const TimePoint now_;
};

class ABSL_SCOPED_LOCKABLE Engine::Look {
 public:
  explicit Look(Engine* engine) ABSL_EXCLUSIVE_LOCK_FUNCTION(engine->mutex_) : engine_(engine) {
    engine->LockForCall();
  }
  Look(const Look&) = delete;
  Look& operator=(const Look&) = delete;
  ~Look() ABSL_UNLOCK_FUNCTION() { engine_->mutex_.Unlock(); }

 private:
  Engine* const engine_;
};

void Engine::LockForCall() {
  calls_.fetch_add(1, std::memory_order_relaxed);
  mutex_.Lock();
  ++calls_entered_;
}

std::shared_ptr<Engine> Engine::Make(EngineOptions options, EngineParts parts) {
  std::shared_ptr<Engine> engine(new Engine(std::move(options), std::move(parts)));
  engine->Start();
  return engine;
}

Engine::Engine(EngineOptions options, EngineParts parts)
    : options_(std::move(options)),
      clock_(std::move(parts.clock)),
      random_(std::move(parts.random)),
      transport_(std::move(parts.transport)),
      process_(options_.process, options_.strategy, random_.get()),
      payloads_(random_->Next()),
      finalizer_([this](Finalization& finalization) { Finalize(&finalization); }),
      notifier_([this](const Event& event) { Notify(event); }) {}

Engine::~Engine() {
  const MutexLock lock(&mutex_);
  DGC_CHECK(state_ == State::kClosed);
}

absl::Status Engine::CheckRunning() const {
  return state_ == State::kRunning ? absl::OkStatus() : ShutDown();
}

Ref Engine::MakeRef(Target target) {
  auto* const handle = new internal::Handle;
  handle->engine = shared_from_this();
  handle->target = target;
  return Ref(handle);
}

Ref Engine::Refused(absl::Status status) {
  auto* const handle = new internal::Handle;
  handle->refused = std::move(status);
  return Ref(handle);
}

// --- Own objects.

absl::Status Engine::AdoptType(uint16_t type, const std::type_info& cpp_type) {
  if (kinds_.size() <= type) kinds_.resize(type + size_t{1});
  Kind& kind = kinds_[type];
  const std::string& wire_type = process_.TypeName(type);
  const bool fresh = kind.wire_type == nullptr || *kind.wire_type != wire_type ||
                     (*kind.cpp_type != cpp_type && process_.TypeUses(type) == 1);
  if (fresh) {
    kind = {&cpp_type, std::make_shared<const std::string>(wire_type)};
  } else if (*kind.cpp_type != cpp_type) {
    return absl::InvalidArgumentError(
        absl::StrCat("the type \"", wire_type, "\" already stands for another C++ type"));
  }
  return absl::OkStatus();
}

const Engine::Kind& Engine::KindOf(ObjectIndex object) const {
  return kinds_[process_.objects().Get(object).type];
}

absl::StatusOr<ObjectIndex> Engine::ExportLocked(const std::shared_ptr<void>& object,
                                                 std::string_view type,
                                                 const std::type_info& cpp_type, bool* exported) {
  *exported = false;
  if (absl::Status status = CheckRunning(); !status.ok()) return status;
  if (object == nullptr) return absl::InvalidArgumentError("a null pointer is no object");
  if (const auto known = payloads_.Find(object.get()); known.has_value()) {
    if (process_.objects().Alive(*known)) {
      if (*KindOf(*known).cpp_type == cpp_type) return *known;
      return absl::InvalidArgumentError("the object is exported as another C++ type already");
    }
    payloads_.Disown(*known);  // It is on its way out; what is shared now is a new object.
  }
  const ObjectId id = process_.NewId();
  const auto handle = process_.Export(id, type);
  if (!handle.ok()) return handle.status();
  const ObjectIndex index = handle->object();
  if (absl::Status status = AdoptType(process_.objects().Get(index).type, cpp_type); !status.ok()) {
    process_.Drop(*handle, TimePoint::min());
    return status;
  }
  payloads_.Put(index, object);
  *exported = true;
  return index;
}

Ref Engine::Export(const std::shared_ptr<void>& object, std::string_view type,
                   const std::type_info& cpp_type) {
  const Input input(this);
  bool exported = false;
  const auto index = ExportLocked(object, type, cpp_type, &exported);
  if (!index.ok()) return Refused(index.status());
  if (!exported) process_.Copy(Target(*index));
  return MakeRef(Target(*index));
}

absl::StatusOr<WireRef> Engine::ShareObject(const std::shared_ptr<void>& object,
                                            std::string_view type, const std::type_info& cpp_type,
                                            const ClientId& receiver) {
  const Input input(this);
  bool exported = false;
  const auto index = ExportLocked(object, type, cpp_type, &exported);
  if (!index.ok()) {
    ++shares_refused_;
    return index.status();
  }
  auto ref = process_.Share(Target(*index), receiver, Duration::zero(), input.now());
  if (exported) process_.Drop(Target(*index), input.now());
  if (!ref.ok()) ++shares_refused_;
  return ref;
}

absl::StatusOr<WireRef> Engine::Share(const Ref& ref, const ClientId& receiver, Duration term) {
  const Input input(this);
  const auto target = Held(ref, input.now());
  auto shared = target.ok() ? process_.Share(*target, receiver, term, input.now())
                            : absl::StatusOr<WireRef>(target.status());
  if (!shared.ok()) ++shares_refused_;
  return shared;
}

absl::StatusOr<Target> Engine::Held(const Ref& ref, TimePoint now) {
  if (absl::Status status = CheckRunning(); !status.ok()) return status;
  if (!ref) return ref.status();
  if (ref.handle_->engine.get() != this) {
    return absl::InvalidArgumentError("the Ref is one of another Owner or Holder");
  }
  if (absl::Status status = StatusLocked(ref.handle_->target, now); !status.ok()) return status;
  return ref.handle_->target;
}

absl::StatusOr<ObjectIndex> Engine::Own(const Ref& ref, TimePoint now) {
  const auto target = Held(ref, now);
  if (!target.ok()) return target.status();
  if (target->is_import()) {
    return absl::FailedPreconditionError("the Ref is to an object of another process");
  }
  return target->object();
}

absl::StatusOr<ObjectIndex> Engine::Own(const WireRef& ref, TimePoint now) {
  if (absl::Status status = CheckRunning(); !status.ok()) return status;
  auto object = process_.Resolve(ref, now);
  CountLate(object.status());
  return object;
}

void Engine::CountLate(const absl::Status& status) {
  const auto error = ReferenceErrorOf(status);
  if (error.has_value() && error->cause == LossCause::kReclaimed) ++uses_after_reclaim_;
}

absl::StatusOr<std::shared_ptr<void>> Engine::PayloadOf(absl::StatusOr<ObjectIndex> object,
                                                        const std::type_info& cpp_type) {
  if (!object.ok()) return object.status();
  const Kind& kind = KindOf(*object);
  if (*kind.cpp_type != cpp_type) {
    return absl::InvalidArgumentError(
        absl::StrCat("the object is a \"", *kind.wire_type, "\", of another C++ type"));
  }
  return payloads_.Get(*object);
}

absl::StatusOr<std::shared_ptr<void>> Engine::Find(const WireRef& ref,
                                                   const std::type_info& cpp_type) {
  const Input input(this);
  return PayloadOf(Own(ref, input.now()), cpp_type);
}

absl::StatusOr<std::shared_ptr<void>> Engine::Find(const Ref& ref, const std::type_info& cpp_type) {
  const Input input(this);
  return PayloadOf(Own(ref, input.now()), cpp_type);
}

absl::Status Engine::Unexport(const WireRef& ref) {
  const Input input(this);
  const auto object = Own(ref, input.now());
  if (object.ok()) process_.Unexport(*object, input.now());
  return object.status();
}

absl::Status Engine::Unexport(const Ref& ref) {
  const Input input(this);
  const auto object = Own(ref, input.now());
  if (object.ok()) process_.Unexport(*object, input.now());
  return object.status();
}

bool Engine::Scan(uint32_t* cursor, size_t limit, const std::type_info& cpp_type,
                  std::vector<std::shared_ptr<void>>* found) {
  constexpr uint32_t kPositionsPerCall = 4096;
  const Look look(this);
  const ObjectTable& objects = process_.objects();
  const uint32_t end = std::min(objects.end(), *cursor + kPositionsPerCall);
  for (; *cursor < end && found->size() < limit; ++*cursor) {
    const ObjectIndex object{*cursor};
    if (!objects.Alive(object)) continue;
    const std::shared_ptr<void>& payload = payloads_.Get(object);
    if (payload != nullptr && *KindOf(object).cpp_type == cpp_type) {
      found->push_back(payload);
    }
  }
  return *cursor < objects.end();
}

// --- The graph and the names.

absl::Status Engine::Link(const Ref& from, const Ref& to) {
  const Input input(this);
  const auto object = Own(from, input.now());
  if (!object.ok()) return object.status();
  const auto target = Held(to, input.now());
  if (!target.ok()) return target.status();
  return process_.Link(*object, *target);
}

absl::Status Engine::Unlink(const Ref& from, const Ref& to) {
  const Input input(this);
  const auto object = Own(from, input.now());
  if (!object.ok()) return object.status();
  // What is lost can be unlinked too.
  if (!to) return to.status();
  if (to.handle_->engine.get() != this) {
    return absl::InvalidArgumentError("the Ref is one of another Owner or Holder");
  }
  return process_.Unlink(*object, to.handle_->target, input.now());
}

template <typename From>
absl::Status Engine::LinkAll(std::span<const From> from, std::span<const WireRef> to,
                             LinkFailure* failed) {
  DGC_CHECK(from.size() == to.size());
  const Input input(this);
  std::vector<ObjectIndex> objects;
  objects.reserve(from.size());
  for (size_t i = 0; i < from.size(); ++i) {
    const auto object = Own(from[i], input.now());
    if (!object.ok()) {
      *failed = {"from", i};
      return object.status();
    }
    objects.push_back(*object);
  }
  absl::Status status = process_.Link(objects, to, failed, input.now());
  CountLate(status);
  return status;
}

absl::Status Engine::Link(std::span<const WireRef> from, std::span<const WireRef> to,
                          LinkFailure* failed) {
  return LinkAll(from, to, failed);
}

absl::Status Engine::Link(std::span<const Ref> from, std::span<const WireRef> to,
                          LinkFailure* failed) {
  return LinkAll(from, to, failed);
}

absl::Status Engine::Unlink(std::span<const WireRef> from, std::span<const WireRef> to) {
  DGC_CHECK(from.size() == to.size());
  const Input input(this);
  std::vector<Edge> edges;
  edges.reserve(from.size());
  for (size_t i = 0; i < from.size(); ++i) {
    const auto object = Own(from[i], input.now());
    if (!object.ok()) return Placed(object.status(), Place("from", i));
    const auto target = process_.Locate(to[i]);
    if (!target.ok()) return Placed(target.status(), Place("to", i));
    if (!target->has_value()) {
      return Placed(absl::NotFoundError("the object has no such edge"), Place("from", i));
    }
    edges.push_back({*object, **target});
  }
  size_t failed = 0;
  const absl::Status status = process_.Unlink(edges, &failed, input.now());
  return Placed(status, Place("from", failed));
}

absl::StatusOr<Edges> Engine::EdgesOf(const Ref& from, size_t limit) {
  std::vector<Target> targets;
  Edges edges;
  {
    const Input input(this);
    const auto object = Own(from, input.now());
    if (!object.ok()) return object.status();
    const std::vector<Target>* const all = process_.objects().Get(*object).edges.get();
    if (all != nullptr) {
      edges.total = all->size();
      targets.assign(all->begin(), all->begin() + std::min(limit, all->size()));
    }
    for (const Target target : targets) process_.Copy(target);
  }
  edges.refs.reserve(targets.size());
  for (const Target target : targets) edges.refs.push_back(MakeRef(target));
  return edges;
}

absl::Status Engine::Bind(std::string_view name, const Ref& object) {
  const Input input(this);
  const auto index = Own(object, input.now());
  if (!index.ok()) return index.status();
  return process_.Bind(name, *index);
}

absl::Status Engine::Unbind(std::string_view name) {
  const Input input(this);
  if (absl::Status status = CheckRunning(); !status.ok()) return status;
  return process_.Unbind(name);
}

Ref Engine::Lookup(std::string_view name) {
  const Input input(this);
  if (absl::Status status = CheckRunning(); !status.ok()) return Refused(std::move(status));
  const auto target = process_.Lookup(name);
  if (!target.ok()) {
    return Refused(absl::NotFoundError(absl::StrCat("nothing has the name \"", View(name), "\"")));
  }
  return MakeRef(*target);
}

// --- References to others' objects, and Refs.

Ref Engine::Import(const WireRef& ref) {
  const Input input(this);
  if (absl::Status status = CheckRunning(); !status.ok()) return Refused(std::move(status));
  const auto target = process_.Import(ref, input.now());
  if (target.ok()) return MakeRef(*target);
  CountLate(target.status());
  return Refused(target.status());
}

void Engine::Drop(Target target) {
  const Input input(this);
  // After a goodbye nothing is kept that could be given up.
  if (state_ == State::kRunning) process_.Drop(target, input.now());
}

absl::Status Engine::StatusOf(Target target) {
  const Look look(this);
  if (absl::Status status = CheckRunning(); !status.ok()) return status;
  return StatusLocked(target, clock_->Now());
}

absl::Status Engine::StatusLocked(Target target, TimePoint now) {
  if (!target.is_import()) {
    if (process_.objects().Alive(target.object())) return absl::OkStatus();
    const ObjectId& id = process_.objects().Get(target.object()).id;
    return ToStatus(ErrorOf(process_.objects().WhyAbsent(id, now)));
  }
  if (process_.imports()[target.import()].lost == LossCause::kNone) return absl::OkStatus();
  return LossStatus(target.import(), now);
}

absl::Status Engine::LossStatus(ImportIndex import, TimePoint now) const {
  const WireRef ref = process_.Describe(Target(import));
  ReferenceError error{.cause = process_.imports()[import].lost};
  const auto loss = losses_.find(import);
  const bool reclaimed =
      error.cause == LossCause::kReclaimed || error.cause == LossCause::kUnexported;
  if (reclaimed && loss != losses_.end()) {
    error.reclaim_reason = loss->second.reclaim_reason;
    error.reclaimed_ago = std::max(now - loss->second.when, Duration::zero());
  }
  return ToStatus(error,
                  absl::StrCat("lost ", ref.type, " ", ToHex(ref.id), " of ", ref.owner, ": "));
}

bool Engine::Assured(Target target) {
  const Look look(this);
  return state_ == State::kRunning && process_.Assured(target, clock_->Now());
}

WireRef Engine::Describe(Target target) {
  const Look look(this);
  if (state_ != State::kRunning) return {};
  return process_.Describe(target);
}

// --- Messages.

Response Engine::Received(const Request& request) {
  const Input input(this);
  if (state_ == State::kClosed) {
    return Refusal{Refusal::Code::kUnavailable, "the owner is shutting down"};
  }
  return process_.Received(request, input.now());
}

uint64_t Engine::SetReaping(ReapingMode mode) {
  const Input input(this);
  const uint64_t deferred = process_.sizes().deferred;
  process_.SetReaping(mode);
  return deferred;
}

void Engine::Answered(PeerIndex peer, uint64_t call, const Response& response) {
  const Input input(this);
  --in_flight_;
  if (state_ != State::kClosed) process_.Answered(peer, call, response, input.now());
}

Stats Engine::stats() {
  const Look look(this);
  return {
      .counters = process_.counters(),
      .sizes = process_.sizes(),
      .objects = process_.objects().live(),
      .names = process_.objects().names(),
      .imports = process_.imports().size(),
      .peers = process_.imports().peers(),
      .types = process_.types().size(),
      .requests_in_flight = in_flight_,
      .finalizers_waiting = finalizer_.waiting(),
      .events_waiting = notifier_.waiting(),
      .events_dropped = events_dropped_.load(std::memory_order_relaxed),
      .uses_after_reclaim = uses_after_reclaim_,
      .shares_refused = shares_refused_,
  };
}

}  // namespace dgc
