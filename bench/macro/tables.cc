// P4, P5, P6, P7: what the owner's tables cost in memory and time as they grow.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "bench/macro/cases.h"
#include "bench/macro/load.h"
#include "bench/macro/peer.h"

namespace dgc::bench {
namespace {

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

double Percentile(std::vector<double> values, double part) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1,
                         static_cast<size_t>(part * static_cast<double>(values.size())))];
}

// Growth of resident memory while `clients` list all of `objects`, per pair.
double BytesPerPair(Peer* owner, uint64_t objects, uint64_t clients) {
  owner->Fill(objects);
  // The buffers of a call this big are not what is measured.
  owner->List(Peer::Client(1'000'000), 0, std::min<size_t>(objects, kIdsMax));
  const int64_t before = owner->Look().rss();
  for (uint64_t client = 0; client < clients; ++client) {
    owner->List(Peer::Client(client), 0, objects);
  }
  const auto growth = static_cast<double>(owner->Look().rss() - before);
  return growth / static_cast<double>(objects * clients);
}

}  // namespace

// Once per owner: memory does not fluctuate, and an owner that was full once is no longer fresh.
void Memory(const Arguments& arguments) {
  const uint64_t million = 1'000'000 / arguments.scale;
  Peer few(arguments.owners[0]);
  Print("P4.pair.10_clients", BytesPerPair(&few, million, 10));
  Peer many(arguments.owners[1]);
  Print("P4.pair.1000_clients", BytesPerPair(&many, million / 100, 1000));
  Peer objects(arguments.owners[2]);
  const auto growth = static_cast<double>(objects.Fill(million, /*by_edges=*/true));
  Print("P4.object", growth / static_cast<double>(million));
}

namespace {

// Four clients that each list one object again every millisecond, on a thread of their own, and the
// latencies by when they were measured.
class Others {
 public:
  struct Sample {
    Clock::time_point when;
    double microseconds;
  };

  // `number`: another one each time, as clients that count their requests anew are new clients.
  Others(const std::string& address, Peer* owner, size_t first_id, uint64_t number)
      : own_(address),
        thread_([this, owner, first_id, number] { Work(owner, first_id, number); }) {}
  ~Others() {
    stop_ = true;
    thread_.join();
  }

  // Exits if there are more than the pace allows: then they would be those of a line that is full.
  std::vector<double> Between(Clock::time_point begin, Clock::time_point end) {
    const std::lock_guard lock(mutex_);
    std::vector<double> found;
    for (const Sample& sample : samples_) {
      if (sample.when >= begin && sample.when < end) found.push_back(sample.microseconds);
    }
    const double expected = Seconds(end - begin) / Seconds(kPeriod) * kLanes;
    if (static_cast<double>(found.size()) > 1.1 * expected + kLanes) {
      std::fprintf(stderr, "bench_client: %zu calls where %.0f were to be made\n", found.size(),
                   expected);
      std::exit(1);
    }
    return found;
  }

 private:
  static constexpr size_t kLanes = 4;
  static constexpr std::chrono::microseconds kPeriod{1000};

  void Work(Peer* owner, size_t first_id, uint64_t number) {
    own_.incarnation = owner->incarnation;
    Loop loop;
    std::vector<std::unique_ptr<DirtyLane>> lanes;
    for (size_t i = 0; i < kLanes; ++i) {
      lanes.push_back(std::make_unique<DirtyLane>(
          &loop, own_.collector.get(), &v1::CollectorService::Stub::AsyncDirty,
          [this](DirtyLane& me) {
            if (!me.response.failures().empty()) std::abort();
            const std::lock_guard lock(mutex_);
            samples_.push_back({Clock::now(), Seconds(me.latency) * 1e6});
          }));
      lanes[i]->request = own_.Dirty(Peer::Client(20'000 + number * kLanes + i));
      AddId(owner->ids[first_id + i], &lanes[i]->request);
    }
    auto due = std::chrono::system_clock::now();
    for (size_t turn = 0; !stop_; ++turn) {
      due += kPeriod / kLanes;
      loop.RunUntil(due);
      DirtyLane& lane = *lanes[turn % kLanes];
      if (lane.busy) continue;  // Late: its latency says so.
      lane.request.set_sequence_number(own_.NextSequence());
      lane.Call();
    }
    loop.Run();
  }

  Peer own_;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::vector<Sample> samples_;
  std::thread thread_;
};

// One client lists `count` objects, all others let go of them, and it is never heard of again.
void LapseOnce(const Arguments& arguments, size_t count, uint64_t number) {
  constexpr int kTerm = 3;
  constexpr size_t kKept = 16;
  Peer owner(arguments.owners[0]);
  owner.Fill(count + kKept);
  owner.List(Peer::Client(900 + number), count, count + kKept);
  Others others(arguments.owners[0], &owner, count, number);
  const uint64_t before = owner.Look().reclaimed();
  owner.List(Peer::Client(10'000 + number), 0, count - 1, kTerm);
  // The owner counts the term from when it hears of the last one, which is after this.
  const auto lapse = Clock::now() + std::chrono::seconds(kTerm);
  owner.List(Peer::Client(10'000 + number), count - 1, count, kTerm);
  owner.Release();
  const auto idle_begin = Clock::now();

  std::this_thread::sleep_until(lapse - std::chrono::milliseconds(100));
  const auto idle_end = Clock::now();
  auto begun = Clock::time_point::max();
  for (uint64_t gone = 0; gone < count;) {
    gone = owner.Look().reclaimed() - before;
    const auto now = Clock::now();
    if (gone > 0) begun = std::min(begun, now);
    if (now > lapse + std::chrono::seconds(60)) {
      std::fprintf(stderr, "bench_client: only %zu of %zu were reclaimed\n",
                   static_cast<size_t>(gone), count);
      std::exit(1);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  const auto done = Clock::now();
  const std::string name = "P5." + std::to_string(count);
  const auto idle = others.Between(idle_begin, idle_end);
  const auto busy = others.Between(begun - std::chrono::milliseconds(2), done);
  Print(name + ".idle_p99_us", Percentile(idle, 0.99));
  Print(name + ".lapse_p99_us", Percentile(busy, 0.99));
  Print(name + ".lapse_samples", static_cast<double>(busy.size()));
  Print(name + ".reclaimed_after_s", Seconds(done - lapse));
}

}  // namespace

void Lapse(const Arguments& arguments) {
  uint64_t number = 0;
  for (int round = 0; round < arguments.rounds; ++round) {
    for (const size_t count : {100'000 / arguments.scale, 1'000'000 / arguments.scale}) {
      LapseOnce(arguments, count, number++);
    }
  }
}

namespace {

// One object listed by `holders` clients.
void Popularize(Peer* owner, size_t holders) {
  constexpr size_t kLanes = 64;
  owner->Fill(1);
  Loop loop;
  size_t next = 0;
  std::vector<std::unique_ptr<DirtyLane>> lanes;
  const auto call = [&](DirtyLane& lane) {
    if (next == holders) return;
    lane.request = owner->Dirty(Peer::Client(++next));
    AddId(owner->ids[0], &lane.request);
    lane.Call();
  };
  for (size_t i = 0; i < kLanes; ++i) {
    lanes.push_back(std::make_unique<DirtyLane>(&loop, owner->collector.get(),
                                                &v1::CollectorService::Stub::AsyncDirty, call));
    call(*lanes.back());
  }
  loop.Run();
}

// Dirties and cleans ids[...] `calls` times; the median latency of each in ns, and the owner's CPU.
struct Costs {
  double dirty_ns = 0;
  double clean_ns = 0;
  double cpu_ns = 0;  // of both
};

Costs Measure(Peer* peer, const ClientId& client, const std::vector<std::vector<ObjectId>>& batches,
              double seconds) {
  std::vector<double> dirty;
  std::vector<double> clean;
  const int64_t cpu = peer->Look().cpu_nanoseconds();
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  for (size_t turn = 0; Clock::now() < end; ++turn) {
    const std::vector<ObjectId>& ids = batches[turn % batches.size()];
    v1::DirtyRequest dirty_request = peer->Dirty(client);
    v1::CleanRequest clean_request = peer->Clean(client);
    SetIds(ids, &dirty_request);
    SetIds(ids, &clean_request);
    v1::DirtyResponse dirty_response;
    v1::CleanResponse clean_response;
    grpc::ClientContext dirty_context;
    grpc::ClientContext clean_context;
    const auto begun = Clock::now();
    Require(peer->collector->Dirty(&dirty_context, dirty_request, &dirty_response), "Dirty");
    const auto middle = Clock::now();
    Require(peer->collector->Clean(&clean_context, clean_request, &clean_response), "Clean");
    clean.push_back(Seconds(Clock::now() - middle) * 1e9);
    dirty.push_back(Seconds(middle - begun) * 1e9);
    if (!dirty_response.failures().empty()) std::abort();
  }
  const auto used = static_cast<double>(peer->Look().cpu_nanoseconds() - cpu);
  return {Median(dirty), Median(clean), used / static_cast<double>(dirty.size())};
}

void PrintCosts(const std::string& name, const Costs& costs, double ids) {
  Print(name + ".dirty_ns", costs.dirty_ns / ids);
  Print(name + ".clean_ns", costs.clean_ns / ids);
  Print(name + ".cpu_ns", costs.cpu_ns / ids);
}

}  // namespace

void PopularObject(const Arguments& arguments) {
  Peer empty(arguments.empty);
  Peer few(arguments.owners[0]);
  Peer many(arguments.owners[1]);
  const size_t holders = 100'000 / arguments.scale;
  Popularize(&few, 10);
  Popularize(&many, holders);
  const ClientId client = Peer::Client(2'000'000);
  for (int round = 0; round < arguments.rounds; ++round) {
    PrintCosts("P6.empty", Measure(&empty, client, {few.ids}, arguments.seconds), 1);
    PrintCosts("P6.10", Measure(&few, client, {few.ids}, arguments.seconds), 1);
    PrintCosts("P6.100000", Measure(&many, client, {many.ids}, arguments.seconds), 1);
  }
}

namespace {

// `pairs` pairs, as ten clients that list half of all objects each, so that every object has five
// holders.  Client 0 has the first half.
void FillPairs(Peer* owner, size_t pairs) {
  constexpr uint64_t kClients = 10;
  const size_t objects = pairs / 5;
  owner->Fill(objects);
  for (uint64_t client = 0; client < kClients; ++client) {
    const size_t begin = client * objects / kClients;
    const size_t end = begin + objects / 2;
    owner->List(Peer::Client(client), begin, std::min(end, objects));
    if (end > objects) owner->List(Peer::Client(client), 0, end - objects);
  }
}

// Batches of 1000 different objects at random out of the half that client 0 has not listed.
std::vector<std::vector<ObjectId>> RandomBatches(const std::vector<ObjectId>& ids) {
  constexpr size_t kBatches = 64;
  constexpr size_t kBatch = 1000;
  std::mt19937_64 random(1);
  std::vector<ObjectId> unlisted(ids.begin() + static_cast<ptrdiff_t>(ids.size() / 2), ids.end());
  std::vector<std::vector<ObjectId>> batches;
  for (size_t i = 0; i < kBatches; ++i) {
    for (size_t j = 0; j < kBatch; ++j) {
      std::swap(unlisted[j], unlisted[j + random() % (unlisted.size() - j)]);
    }
    batches.emplace_back(unlisted.begin(), unlisted.begin() + kBatch);
  }
  return batches;
}

}  // namespace

void CostOfDirty(const Arguments& arguments) {
  Peer empty(arguments.empty);
  std::vector<std::unique_ptr<Peer>> owners;
  std::vector<std::vector<std::vector<ObjectId>>> batches;
  std::vector<std::string> names;
  size_t pairs = 10'000;
  for (const std::string& address : arguments.owners) {
    owners.push_back(std::make_unique<Peer>(address));
    FillPairs(owners.back().get(), std::min<size_t>(pairs, 10'000'000 / arguments.scale));
    batches.push_back(RandomBatches(owners.back()->ids));
    names.push_back("P7." + std::to_string(pairs));
    pairs *= 10;
  }
  constexpr double kIds = 1000;
  for (int round = 0; round < arguments.rounds; ++round) {
    PrintCosts("P7.empty", Measure(&empty, Peer::Client(0), batches[0], arguments.seconds), kIds);
    for (size_t i = 0; i < owners.size(); ++i) {
      PrintCosts(names[i], Measure(owners[i].get(), Peer::Client(0), batches[i], arguments.seconds),
                 kIds);
    }
  }
}

}  // namespace dgc::bench
