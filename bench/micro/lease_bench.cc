// The paths of a Process with the lease strategy, without gRPC: what one core does at most.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "bench/micro/rig.h"
#include "benchmark/benchmark.h"

namespace dgc::bench {
namespace {

constexpr size_t kBatch = 1000;
constexpr uint64_t kClients = 10;

// `pairs` pairs, as ten clients that hold half of all objects each; client c has those in the half
// of the circle that begins at c tenths, so that every object has five holders.
class PairsRig : public OwnerRig {
 public:
  explicit PairsRig(size_t pairs) : objects_(static_cast<uint32_t>(pairs / 5)) {
    AddObjects(objects_);
    for (uint64_t c = 0; c < kClients; ++c) {
      const size_t begin = c * objects_ / kClients;
      const size_t end = begin + objects_ / 2;
      List(Client(c), begin, std::min<size_t>(end, objects_));
      if (end > objects_) List(Client(c), 0, end - objects_);
    }
    Discard();
  }
  // A batch of objects at random that client 0 has not listed.
  std::vector<Row> Unlisted(uint64_t seed) const {
    std::vector<Row> rows;
    for (const uint32_t i : Sample(kBatch, objects_ - objects_ / 2, seed)) {
      rows.push_back({ids_[objects_ / 2 + i], {}});
    }
    return rows;
  }

  const uint32_t objects_;
};

// One Dirty of 1000 ids, new pairs all, then the Clean of the same; the two are timed apart.
void DirtyOrClean(benchmark::State& state, bool time_dirty) {
  PairsRig rig(static_cast<size_t>(state.range(0)));
  std::vector<std::vector<Row>> batches;
  for (uint64_t seed = 0; seed < 64; ++seed) batches.push_back(rig.Unlisted(seed));
  size_t turn = 0;
  for (auto _ : state) {
    state.PauseTiming();
    const std::vector<Row>& rows = batches[turn++ % batches.size()];
    Request dirty = rig.Dirty(OwnerRig::Client(0));
    std::get<DirtyRequest>(dirty).rows = rows;
    Request clean = rig.Clean(OwnerRig::Client(0));
    std::get<CleanRequest>(clean).rows = rows;
    if (!time_dirty) OwnerRig::Check(rig.process_.Received(dirty, rig.now_));
    state.ResumeTiming();
    OwnerRig::Check(rig.process_.Received(time_dirty ? dirty : clean, rig.now_));
    state.PauseTiming();
    if (time_dirty) OwnerRig::Check(rig.process_.Received(clean, rig.now_));
    rig.Discard();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kBatch));
}
void Dirty(benchmark::State& state) { DirtyOrClean(state, true); }
void Clean(benchmark::State& state) { DirtyOrClean(state, false); }
BENCHMARK(Dirty)->RangeMultiplier(10)->Range(10'000, 10'000'000);
BENCHMARK(Clean)->RangeMultiplier(10)->Range(10'000, 10'000'000);

// A Dirty of what is listed already: a re-listing.
void DirtyAgain(benchmark::State& state) {
  PairsRig rig(static_cast<size_t>(state.range(0)));
  std::vector<Request> requests;
  for (uint64_t seed = 0; seed < 64; ++seed) {
    DirtyRequest request = rig.Dirty(OwnerRig::Client(0));
    for (const uint32_t i : Sample(kBatch, rig.objects_ / 2, seed)) {
      request.rows.push_back({rig.ids_[i], {}});
    }
    requests.emplace_back(std::move(request));
  }
  size_t turn = 0;
  for (auto _ : state) {
    Request& request = requests[turn++ % requests.size()];
    std::get<DirtyRequest>(request).sequence = rig.NextSequence();
    OwnerRig::Check(rig.process_.Received(request, rig.now_));
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kBatch));
}
BENCHMARK(DirtyAgain)->RangeMultiplier(10)->Range(10'000, 10'000'000);

// Client 0 holds state.range(0) objects.
void Renew(benchmark::State& state) {
  const auto held = static_cast<size_t>(state.range(0));
  OwnerRig rig;
  rig.AddObjects(held);
  rig.List(OwnerRig::Client(0), 0, held);
  RenewRequest request{.client = OwnerRig::Client(0),
                       .incarnation = kIncarnation,
                       .sequence = rig.NextSequence(),
                       .requested_term = kTerm,
                       .held = {},
                       .owner = kOwner};
  for (const ObjectId& id : rig.ids_) request.held.Add(id);
  for (auto _ : state) {
    const Response response = rig.process_.Received(request, rig.now_);
    if (std::get<RenewResponse>(response).result != RenewResult::kOk) std::abort();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
}
BENCHMARK(Renew)->Arg(10)->Arg(10'000)->Arg(1'000'000);

// One object held by state.range(0) clients: a dirty and a clean by one more.
void DirtyAndCleanOfAPopularObject(benchmark::State& state) {
  OwnerRig rig;
  rig.AddObjects(1);
  for (int64_t c = 1; c <= state.range(0); ++c) {
    rig.List(OwnerRig::Client(static_cast<uint64_t>(c)), 0, 1);
  }
  rig.Discard();
  for (auto _ : state) {
    DirtyRequest dirty = rig.Dirty(OwnerRig::Client(0));
    dirty.rows.push_back({rig.ids_[0], {}});
    OwnerRig::Check(rig.process_.Received(dirty, rig.now_));
    CleanRequest clean = rig.Clean(OwnerRig::Client(0));
    clean.rows.push_back({rig.ids_[0], {}});
    OwnerRig::Check(rig.process_.Received(clean, rig.now_));
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
}
BENCHMARK(DirtyAndCleanOfAPopularObject)->Arg(10)->Arg(1000)->Arg(100'000);

// One client lapses with state.range(0) objects that nobody else holds: until all are reported
// reclaimed, in steps as the runtime takes them.
void LapseAndReclaim(benchmark::State& state) {
  constexpr size_t kStep = 1024;
  const auto held = static_cast<size_t>(state.range(0));
  int64_t steps = 0;
  for (auto _ : state) {
    state.PauseTiming();
    {
      OwnerRig rig({.pause = std::chrono::hours(24)});
      rig.AddObjects(held);
      rig.List(OwnerRig::Client(0), 0, held);
      for (const Target handle : rig.handles_) rig.process_.Drop(handle, rig.now_);
      while (rig.process_.Work(kStep, rig.now_)) {
      }
      rig.now_ += 2 * kTerm;
      state.ResumeTiming();
      rig.process_.Tick(rig.now_);
      bool more = true;
      while (more) {
        more = rig.process_.Work(kStep, rig.now_);
        rig.Discard();
        ++steps;
      }
      state.PauseTiming();
      if (rig.process_.objects().live() != 0) std::abort();
    }
    state.ResumeTiming();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * held));
  state.counters["us_per_step"] = benchmark::Counter(
      static_cast<double>(steps) / 1e6, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(LapseAndReclaim)
    ->RangeMultiplier(10)
    ->Range(10'000, 10'000'000)
    ->Unit(benchmark::kMillisecond);

// A chain of state.range(0) objects whose head is dropped.
void ReclaimAChain(benchmark::State& state) {
  const auto length = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    state.PauseTiming();
    {
      OwnerRig rig;
      rig.AddObjects(length);
      for (size_t i = 1; i < length; ++i) {
        if (!rig.process_.Link(rig.handles_[i - 1].object(), rig.handles_[i]).ok()) std::abort();
        rig.process_.Drop(rig.handles_[i], rig.now_);
      }
      state.ResumeTiming();
      rig.process_.Drop(rig.handles_[0], rig.now_);
      while (rig.process_.Work(1024, rig.now_)) rig.Discard();
      state.PauseTiming();
      if (rig.process_.objects().live() != 0) std::abort();
    }
    state.ResumeTiming();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * length));
}
BENCHMARK(ReclaimAChain)->Arg(100'000)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

// A round of the local collector over state.range(0) live objects in a tree, started by a garbage
// ring.
void LocalRound(benchmark::State& state) {
  const auto size = static_cast<size_t>(state.range(0));
  OwnerRig rig;
  rig.AddObjects(size);
  for (size_t i = 1; i < size; ++i) {
    if (!rig.process_.Link(rig.handles_[(i - 1) / 2].object(), rig.handles_[i]).ok()) std::abort();
    rig.process_.Drop(rig.handles_[i], rig.now_);
  }
  for (auto _ : state) {
    const Target ring = *rig.process_.Export({rig.random_.Next(), 1}, "bench");
    if (!rig.process_.Link(ring.object(), ring).ok()) std::abort();
    rig.process_.Drop(ring, rig.now_);
    rig.now_ += std::chrono::hours(1);
    while (rig.process_.Work(1024, rig.now_)) {
    }
    rig.Discard();
    if (rig.process_.objects().live() != size) std::abort();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * size));
}
BENCHMARK(LocalRound)->Arg(10'000)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

// The owner's side of one call that returns a new reference, from export to reclaim; the client's
// rows come in batches.
void ShareAndReclaim(benchmark::State& state) {
  OwnerRig rig;
  const ClientId client = OwnerRig::Client(0);
  for (auto _ : state) {
    CleanRequest clean = rig.Clean(client);
    for (size_t i = 0; i < kBatch; ++i) {
      const Target object = *rig.process_.Export(rig.process_.NewId(), "bench");
      const auto ref = rig.process_.Share(object, client, {}, rig.now_);
      if (!ref.ok()) std::abort();
      rig.process_.Drop(object, rig.now_);
      clean.rows.push_back({ref->id, ref->transit});
    }
    OwnerRig::Check(rig.process_.Received(clean, rig.now_));
    while (rig.process_.Work(1024, rig.now_)) {
    }
    rig.Discard();
  }
  if (rig.process_.objects().live() != 0) std::abort();
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kBatch));
}
BENCHMARK(ShareAndReclaim);

// The holder's side: import, drop, the request and its answer.
void ImportAndDrop(benchmark::State& state) {
  SeededRandom random;
  Process process({.self = {1, 1}}, LeaseStrategy({}), &random);
  TimePoint now{std::chrono::hours(1)};
  Outputs outputs;
  for (auto _ : state) {
    for (size_t i = 0; i < kBatch; ++i) {
      const auto import = process.Import(
          {"owner-0.owner:7000", kIncarnation, {random.Next(), 1}, "bench", TransitToken{i + 1}},
          now);
      if (!import.ok()) std::abort();
      process.Drop(*import, now);
    }
    now += std::chrono::milliseconds(20);
    process.Tick(now);
    process.TakeOutputs(&outputs);
    for (const Send& send : outputs.sends) {
      process.Answered(send.peer, send.call, CleanResponse{}, now);
    }
  }
  if (process.imports().size() != 0) std::abort();
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kBatch));
}
BENCHMARK(ImportAndDrop);

}  // namespace
}  // namespace dgc::bench
