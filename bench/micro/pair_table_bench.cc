// PairTable against absl::flat_hash_map, from 10^4 to 10^7 entries: time per operation, and bytes
// per pair as the allocator sees them.
#include <malloc.h>

#include <cstdint>
#include <random>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "bench/micro/rig.h"
#include "benchmark/benchmark.h"
#include "dgc/core/pair_table.h"

namespace dgc::bench {
namespace {

// The same verbs for both.
struct Ours {
  static constexpr char kName[] = "pair_table";
  PairTable table;
  bool Find(uint32_t key) { return table.Find(ObjectIndex{key}) != nullptr; }
  void Insert(uint32_t key) { table.Insert(ObjectIndex{key}, SequenceNumber{key}); }
  void Erase(uint32_t key) { table.Erase(ObjectIndex{key}); }
};

struct Absl {
  static constexpr char kName[] = "flat_hash_map";
  absl::flat_hash_map<ObjectIndex, SequenceNumber> table;
  bool Find(uint32_t key) { return table.find(ObjectIndex{key}) != table.end(); }
  void Insert(uint32_t key) { table.emplace(ObjectIndex{key}, SequenceNumber{key}); }
  void Erase(uint32_t key) { table.erase(ObjectIndex{key}); }
};

size_t AllocatedBytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

// A table with the even keys below 2 * size, and 4096 of them in random order.
template <typename Table>
struct Filled {
  explicit Filled(uint32_t size) {
    const size_t before = AllocatedBytes();
    for (uint32_t key = 0; key < size; ++key) table.Insert(2 * key);
    bytes_per_pair = static_cast<double>(AllocatedBytes() - before) / size;
    for (const uint32_t key : Sample(4096, size, 1)) keys.push_back(2 * key);
  }
  Table table;
  std::vector<uint32_t> keys;
  double bytes_per_pair = 0;
};

template <typename Table>
void FindPresent(benchmark::State& state) {
  Filled<Table> filled(static_cast<uint32_t>(state.range(0)));
  for (auto _ : state) {
    for (const uint32_t key : filled.keys) benchmark::DoNotOptimize(filled.table.Find(key));
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * filled.keys.size()));
  state.counters["bytes_per_pair"] = filled.bytes_per_pair;
}

template <typename Table>
void FindAbsent(benchmark::State& state) {
  Filled<Table> filled(static_cast<uint32_t>(state.range(0)));
  for (auto _ : state) {
    for (const uint32_t key : filled.keys) benchmark::DoNotOptimize(filled.table.Find(key + 1));
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * filled.keys.size()));
}

template <typename Table>
void InsertThenErase(benchmark::State& state) {
  Filled<Table> filled(static_cast<uint32_t>(state.range(0)));
  for (auto _ : state) {
    for (const uint32_t key : filled.keys) filled.table.Insert(key + 1);
    for (const uint32_t key : filled.keys) filled.table.Erase(key + 1);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * filled.keys.size()));
}

// Growth included.
template <typename Table>
void Fill(benchmark::State& state) {
  const auto size = static_cast<uint32_t>(state.range(0));
  for (auto _ : state) {
    Table table;
    for (uint32_t key = 0; key < size; ++key) table.Insert(key);
    benchmark::DoNotOptimize(table);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * size);
}

// clang-format off
#define DGC_BENCH_BOTH(function)                                                 \
  BENCHMARK(function<Ours>)->RangeMultiplier(10)->Range(10'000, 10'000'000);     \
  BENCHMARK(function<Absl>)->RangeMultiplier(10)->Range(10'000, 10'000'000)
// clang-format on

DGC_BENCH_BOTH(FindPresent);
DGC_BENCH_BOTH(FindAbsent);
DGC_BENCH_BOTH(InsertThenErase);
DGC_BENCH_BOTH(Fill);

// What is taken apart after a lapse.
void TakeAll(benchmark::State& state) {
  const auto size = static_cast<uint32_t>(state.range(0));
  for (auto _ : state) {
    state.PauseTiming();
    PairTable table;
    for (uint32_t key = 0; key < size; ++key) table.Insert(ObjectIndex{key}, SequenceNumber{1});
    state.ResumeTiming();
    size_t cursor = 0;
    while (const auto object = table.TakeAny(cursor, [](ObjectIndex) {})) {
      benchmark::DoNotOptimize(*object);
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * size);
}
BENCHMARK(TakeAll)->RangeMultiplier(10)->Range(10'000, 10'000'000);

}  // namespace
}  // namespace dgc::bench
