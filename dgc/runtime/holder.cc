#include "dgc/runtime/holder.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "dgc/core/check.h"
#include "dgc/core/client_key.h"
#include "dgc/rpc/convert.h"
#include "dgc/runtime/call_counts.h"
#include "dgc/runtime/engine.h"
#include "dgc/runtime/entropy.h"
#include "dgc/runtime/grpc_transport.h"
#include "dgc/runtime/log.h"
#include "dgc/runtime/metrics.h"

namespace dgc {
namespace {

// The application's mistake, found when the program starts: says which, and ends it.
void RequireValid(const Options& options, bool hosts) {
  absl::Status status = Validate(options);
  if (hosts && options.name.empty()) status = absl::InvalidArgumentError("name: an Owner has one");
  if (!hosts && !options.name.empty()) {
    status = absl::InvalidArgumentError("name: what has one is an Owner, not a Holder");
  }
  if (status.ok()) return;
  std::fprintf(stderr, "dgc::Options: %s\n", status.ToString().c_str());
  std::abort();
}

std::shared_ptr<Engine> MakeEngine(Options options, bool hosts,
                                   const std::shared_ptr<CallCounts>& calls) {
  RequireValid(options, hosts);
  auto random = std::make_unique<Entropy>();
  EngineOptions engine;
  engine.process.self = {random->Next(), random->Next()};
  engine.process.owner = std::move(options.name);
  if (hosts) engine.process.incarnation = Incarnation{random->Next() | 1};
  engine.process.objects = options.objects;
  engine.process.imports_max = options.imports_max;
  engine.process.types_max = options.types_max;
  engine.process.peers_max = options.peers_max;
  engine.process.key = [keys = ClientKeys(random.get())](const std::string& owner,
                                                         Incarnation incarnation) {
    return keys.For(owner, incarnation);
  };
  engine.strategy = *MakeStrategy(options.strategy);
  engine.tick_max = options.strategy.lease.pause / 2;
  engine.on_reclaim = std::move(options.on_reclaim);
  engine.on_lost = std::move(options.on_lost);
  engine.on_hand_on_expired = std::move(options.on_hand_on_expired);
  engine.finalizers_waiting_max = options.finalizers_waiting_max;
  engine.events_waiting_max = options.events_waiting_max;
  engine.on_transition = [tell = std::move(options.on_transition)](const TransitionEvent& event) {
    LogTransition(event);
    if (tell != nullptr) tell(event);
  };
  return Engine::Make(std::move(engine), {.clock = std::make_shared<BootClock>(),
                                          .random = std::move(random),
                                          .transport = std::make_unique<GrpcTransport>(
                                              options.channel_credentials, calls)});
}

}  // namespace

Holder::Holder(Options options) : Holder(std::move(options), /*hosts=*/false) {}

Holder::Holder(Options options, bool hosts)
    : goodbye_timeout_(options.goodbye_timeout),
      calls_(std::make_shared<CallCounts>()),
      engine_(MakeEngine(std::move(options), hosts, calls_)),
      metrics_(MakeCollectable(engine_, calls_)) {}

Holder::~Holder() { Shutdown(); }

Ref Holder::Import(const v1::Ref& ref) { return engine_->Import(FromProto(ref)); }

CallContext Holder::Context() const { return CallContext(id(), Ref()); }

void Holder::Identify(grpc::ClientContext* context) const { AddClientId(id(), context); }

void Holder::Identify(grpc::ChannelArguments* arguments) const { AddClientId(id(), arguments); }

ClientId Holder::id() const { return engine_->id(); }

bool Holder::Settle(Duration timeout) { return engine_->Settle(timeout); }

void Holder::Shutdown() { engine_->Shutdown(goodbye_timeout_); }

std::shared_ptr<prometheus::Collectable> Holder::metrics() const { return metrics_; }

Stats Holder::stats() const { return engine_->stats(); }

}  // namespace dgc
