// P1, P2, P3: what a call costs, beside the same call to a handler that does nothing; in P2 beside
// one that returns a plain id.
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/macro/cases.h"
#include "bench/macro/load.h"
#include "bench/macro/peer.h"
#include "dgc/core/digest.h"
#include "dgc/runtime/holder.h"

namespace dgc::bench {

void Print(const std::string& name, double value) {
  std::printf("%s %.9g\n", name.c_str(), value);
  std::fflush(stdout);
}

namespace {

constexpr size_t kBatch = 1000;
constexpr size_t kLanesMax = 64;

Clock::duration Length(const Arguments& arguments) {
  return std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double>(arguments.seconds));
}

// Lists a batch of ids and unlists it again, for ever: one call in flight.
class Cycle {
 public:
  Cycle(Loop* loop, Peer* peer, const ClientId& client, const std::vector<ObjectId>& ids)
      : peer_(peer),
        dirty_(loop, peer->collector.get(), &v1::CollectorService::Stub::AsyncDirty,
               [this](auto&) { Dirtied(); }),
        clean_(loop, peer->collector.get(), &v1::CollectorService::Stub::AsyncClean,
               [this](auto&) { Cleaned(); }) {
    dirty_.request = peer->Dirty(client);
    clean_.request = peer->Clean(client);
    SetIds(ids, &dirty_.request);
    SetIds(ids, &clean_.request);
  }

  void Begin(Clock::time_point end) {
    end_ = end;
    dirty_.request.set_sequence_number(peer_->NextSequence());
    dirty_.Call();
  }
  uint64_t ids = 0;

 private:
  void Dirtied() {
    if (!dirty_.response.failures().empty()) std::abort();
    ids += static_cast<uint64_t>(dirty_.request.object_id_low_size());
    clean_.request.set_sequence_number(peer_->NextSequence());
    clean_.Call();
  }
  void Cleaned() {
    ids += static_cast<uint64_t>(clean_.request.object_id_low_size());
    if (Clock::now() < end_) Begin(end_);
  }

  Peer* const peer_;
  DirtyLane dirty_;
  CleanLane clean_;
  Clock::time_point end_{};
};

// Each lane is a client of its own, with ids of its own.
struct Cycles {
  Cycles(Peer* peer, size_t lanes, const std::vector<ObjectId>& ids) {
    for (size_t lane = 0; lane < lanes; ++lane) {
      const auto begin = ids.begin() + static_cast<ptrdiff_t>(lane * kBatch);
      cycles.push_back(std::make_unique<Cycle>(&loop, peer, Peer::Client(lane),
                                               std::vector<ObjectId>(begin, begin + kBatch)));
    }
  }
  // Returns the ids per second.
  double Run(Clock::duration length) {
    const auto begun = Clock::now();
    uint64_t before = 0;
    for (auto& cycle : cycles) before += cycle->ids;
    for (auto& cycle : cycles) cycle->Begin(begun + length);
    loop.Run();
    uint64_t after = 0;
    for (auto& cycle : cycles) after += cycle->ids;
    return static_cast<double>(after - before) / Seconds(Clock::now() - begun);
  }

  Loop loop;
  std::vector<std::unique_ptr<Cycle>> cycles;
};

}  // namespace

// The CPU that the owner uses per id is printed too: it says what bounds the rate.
void Batches(const Arguments& arguments) {
  Peer empty(arguments.empty);
  Peer owner(arguments.owners[0]);
  owner.Fill(kBatch * kLanesMax);
  for (const size_t lanes : {size_t{1}, kLanesMax}) {
    Cycles baseline(&empty, lanes, owner.ids);
    Cycles measured(&owner, lanes, owner.ids);
    const std::string name = "P1." + std::to_string(lanes);
    baseline.Run(Length(arguments) / 4);
    measured.Run(Length(arguments) / 4);
    for (int round = 0; round < arguments.rounds; ++round) {
      for (const bool real : {false, true}) {
        Peer& peer = real ? owner : empty;
        const int64_t cpu = peer.Look().cpu_nanoseconds();
        const double rate = (real ? measured : baseline).Run(Length(arguments));
        const auto used = static_cast<double>(peer.Look().cpu_nanoseconds() - cpu);
        const std::string side = real ? ".owner" : ".empty";
        Print(name + side + ".ids_per_second", rate);
        Print(name + side + ".cpu_ns_per_id", used / (rate * arguments.seconds));
      }
    }
  }
}

namespace {

// Calls of one method, so many in flight at a time, in as many spells as one likes.
template <typename Request, typename Response>
class Calls {
 public:
  using BenchLane = Lane<BenchService::Stub, Request, Response>;

  Calls(Peer* peer, typename BenchLane::Method method, size_t lanes,
        std::function<void(grpc::ClientContext*)> prepare,
        std::function<void(const Response&)> take)
      : prepare_(std::move(prepare)), take_(std::move(take)) {
    for (size_t lane = 0; lane < lanes; ++lane) {
      lanes_.push_back(std::make_unique<BenchLane>(&loop_, peer->bench.get(), method,
                                                   [this](BenchLane& me) { Answered(&me); }));
    }
  }

  void Run(Clock::duration length) {
    const auto begun = Clock::now();
    end_ = begun + length;
    for (auto& lane : lanes_) lane->Call(prepare_);
    loop_.Run();
    seconds_ += Seconds(Clock::now() - begun);
  }

  // Of all spells since the last time it was asked.
  double TakeRate() { return std::exchange(calls_, 0) / std::exchange(seconds_, 0); }

 private:
  void Answered(BenchLane* lane) {
    ++calls_;
    take_(lane->response);
    if (Clock::now() < end_) lane->Call(prepare_);
  }

  const std::function<void(grpc::ClientContext*)> prepare_;
  const std::function<void(const Response&)> take_;
  Loop loop_;
  std::vector<std::unique_ptr<BenchLane>> lanes_;
  Clock::time_point end_{};
  double calls_ = 0;
  double seconds_ = 0;
};

using PlainCalls = Calls<NewIdRequest, NewIdResponse>;

// Calls that return a new reference.  The latest are held for long enough that each is listed, and
// cleaned.
class ReferenceCalls : public Calls<NewRefRequest, NewRefResponse> {
 public:
  ReferenceCalls(Peer* peer, Holder* holder, size_t lanes,
                 std::function<void(grpc::ClientContext*)> prepare)
      : Calls(peer, &BenchService::Stub::AsyncNewRef, lanes, std::move(prepare),
              [this, holder](const NewRefResponse& response) {
                Ref& ref = held_[next_++ % kHeld];
                ref = holder->Import(response.ref());
                if (!ref) std::abort();
              }) {}

 private:
  static constexpr size_t kHeld = 5000;
  std::vector<Ref> held_ = std::vector<Ref>(kHeld);
  size_t next_ = 0;
};

// The three ways of a call take turns of a fifth of a second: how many answers gRPC and the kernel
// handle at a time, and how fast this machine is, changes from one second to the next.
void NewReferences(const Arguments& arguments, size_t lanes) {
  Holder holder({});
  Peer owner(arguments.owners[0], &holder);
  Peer unnamed_owner(arguments.owners[0]);
  PlainCalls plain(
      &owner, &BenchService::Stub::AsyncNewId, lanes, [](grpc::ClientContext*) {},
      [](const NewIdResponse& response) {
        if (response.low() == 0) std::abort();
      });
  ReferenceCalls by_channel(&owner, &holder, lanes, [](grpc::ClientContext*) {});
  ReferenceCalls by_metadata(&unnamed_owner, &holder, lanes,
                             [&](grpc::ClientContext* context) { holder.Identify(context); });
  const std::string name = "P2." + std::to_string(lanes);
  const auto turns = [&](double seconds) {
    constexpr auto kTurn = std::chrono::milliseconds(200);
    for (double left = seconds; left > 0; left -= 2 * Seconds(kTurn)) {
      plain.Run(kTurn);
      by_channel.Run(kTurn);
      by_metadata.Run(2 * kTurn);
      by_channel.Run(kTurn);
      plain.Run(kTurn);
    }
  };
  turns(arguments.seconds / 4);  // To warm up: what these rates are is not told.
  plain.TakeRate();
  by_channel.TakeRate();
  by_metadata.TakeRate();
  for (int round = 0; round < arguments.rounds; ++round) {
    turns(arguments.seconds);
    Print(name + ".id.calls_per_second", plain.TakeRate());
    Print(name + ".ref.calls_per_second", by_channel.TakeRate());
    Print(name + ".ref_by_metadata.calls_per_second", by_metadata.TakeRate());
  }
}

}  // namespace

void NewReferences(const Arguments& arguments) {
  for (const size_t lanes : {size_t{1}, kLanesMax}) NewReferences(arguments, lanes);
}

void Renewals(const Arguments& arguments) {
  Peer empty(arguments.empty);
  Peer owner(arguments.owners[0]);
  const std::vector<size_t> held = {0, 10, 10'000, 1'000'000 / arguments.scale};
  owner.Fill(held.back());
  const auto measure = [&](Peer* peer, const v1::RenewRequest& request, const std::string& name) {
    Loop loop;
    uint64_t calls = 0;
    const auto end = Clock::now() + Length(arguments);
    RenewLane lane(&loop, peer->collector.get(), &v1::CollectorService::Stub::AsyncRenew,
                   [&](RenewLane& me) {
                     if (me.response.result() != v1::RENEW_RESULT_OK) std::abort();
                     ++calls;
                     if (Clock::now() < end) me.Call();
                   });
    lane.request = request;
    const int64_t cpu = peer->Look().cpu_nanoseconds();
    const auto begun = Clock::now();
    lane.Call();
    loop.Run();
    const double seconds = Seconds(Clock::now() - begun);
    const auto used = static_cast<double>(peer->Look().cpu_nanoseconds() - cpu);
    Print(name + ".cpu_us_per_call", used / 1e3 / static_cast<double>(calls));
    Print(name + ".us_per_call", seconds * 1e6 / static_cast<double>(calls));
  };

  std::vector<v1::RenewRequest> requests;
  for (const size_t size : held) {
    const ClientId client = Peer::Client(size);
    Digest digest;
    for (size_t i = 0; i < size; ++i) digest.Add(owner.ids[i]);
    if (size > 0) owner.List(client, 0, size);
    v1::RenewRequest request;
    *request.mutable_client() = owner.Dirty(client).client();
    request.set_owner(owner.owner);
    request.set_owner_incarnation(owner.incarnation);
    request.set_sequence_number(owner.NextSequence());
    request.mutable_requested_term()->set_seconds(kTermSeconds);
    request.set_held_count(digest.count);
    request.set_held_hash(digest.hash);
    requests.push_back(request);
    if (size > 0) {
      Print("P3." + std::to_string(size) + ".bytes", static_cast<double>(request.ByteSizeLong()));
    }
  }
  for (int round = 0; round < arguments.rounds; ++round) {
    measure(&empty, requests[0], "P3.empty");
    for (size_t i = 1; i < held.size(); ++i) {
      measure(&owner, requests[i], "P3." + std::to_string(held[i]));
    }
  }
}

}  // namespace dgc::bench
