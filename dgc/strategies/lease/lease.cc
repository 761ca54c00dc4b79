#include "dgc/strategies/lease/lease.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dgc/core/message.h"
#include "dgc/strategies/lease/holder.h"
#include "dgc/strategies/lease/owner.h"

namespace dgc {
namespace {

class Lease final : public Strategy {
 public:
  Lease(const LeaseOptions& options, Context context)
      : context_(std::move(context)), owner_(options, context_), holder_(options, context_) {}

  absl::StatusOr<TransitToken> Shared(ObjectIndex object, const ClientId& receiver, Duration term,
                                      TimePoint now) override {
    return owner_.Shared(object, receiver, term, now);
  }
  void Returned(ObjectIndex object, TransitToken transit, TimePoint now) override {
    owner_.Returned(object, transit, now);
  }
  Response Received(const Request& request, TimePoint now) override {
    return owner_.Received(request, now);
  }

  void Imported(ImportIndex import, TransitToken transit, TimePoint now) override {
    holder_.Imported(import, transit, now);
  }
  absl::StatusOr<TransitToken> HandedOn(ImportIndex import, Duration term, TimePoint now) override {
    return holder_.HandedOn(import, term, now);
  }
  void Dropped(std::span<const ImportIndex> imports, bool batched, TimePoint now) override {
    holder_.Dropped(imports, batched, now);
  }
  void Answered(PeerIndex peer, uint64_t call, const Response& response, TimePoint now) override {
    if (peer == kSelfPeer) {
      owner_.SelfAnswered(call, response, now);
    } else {
      holder_.Answered(peer, call, response, now);
    }
  }
  LossCause LostWith(PeerIndex peer) const override { return holder_.LostWith(peer); }
  bool Assured(ImportIndex import, TimePoint now) const override {
    return holder_.Assured(import, now);
  }
  void Goodbye(TimePoint now) override { holder_.Goodbye(now); }
  bool Quiescent() const override { return holder_.Quiescent(); }

  void SetReaping(ReapingMode mode) override { owner_.SetReaping(mode); }

  void Tick(TimePoint now) override {
    owner_.Tick(now);
    holder_.Tick(now);
  }
  bool Work(size_t& budget, TimePoint) override { return owner_.Work(budget); }
  std::optional<TimePoint> wake_at() const override {
    const auto owner = owner_.wake_at();
    const auto holder = holder_.wake_at();
    if (!owner.has_value()) return holder;
    if (!holder.has_value()) return owner;
    return std::min(*owner, *holder);
  }

  Sizes sizes() const override {
    Sizes sizes;
    owner_.AddSizes(&sizes);
    holder_.AddSizes(&sizes);
    return sizes;
  }

 private:
  const Context context_;
  LeaseOwner owner_;
  LeaseHolder holder_;
};

}  // namespace

absl::Status Validate(const LeaseOptions& options) {
  const auto require = [](bool holds, const char* what) {
    return holds ? absl::OkStatus()
                 : absl::InvalidArgumentError(absl::StrCat("lease options: ", what));
  };
  constexpr Duration kZero = Duration::zero();
  for (const Duration delay :
       {options.linger, options.clean_delay, options.clean_interval, options.dirty_delay,
        options.brake_hold, options.departed_term, options.backoff_max, options.call_timeout,
        options.self_call_timeout, options.pause}) {
    if (delay < kZero || delay > kTermMax) {
      return absl::InvalidArgumentError("lease options: a delay is negative or over one day");
    }
  }
  for (const absl::Status& status : {
           require(options.term_min > kZero, "term_min must be positive"),
           require(options.term_default >= options.term_min, "term_default is below term_min"),
           require(options.term_max >= options.term_default, "term_max is below term_default"),
           require(options.term_max <= std::chrono::hours(24), "term_max is over one day"),
           require(options.limbo >= kZero && options.limbo <= std::chrono::hours(24),
                   "limbo must be 0 to one day"),
           require(options.transit_term > kZero && options.transit_term <= options.term_max,
                   "transit_term must be positive and at most term_max"),
           require(options.pause > kZero, "pause must be positive"),
           require(options.brake_percent <= 100, "brake_percent is over 100"),
           require(options.clients_max > 0 && options.listings_max > 0 &&
                       options.listings_per_client_max > 0 && options.transits_max > 0 &&
                       options.transits_per_client_max > 0 && options.transits_unregistered_max > 0,
                   "a bound is zero"),
           require(
               options.requested_term >= kZero && options.requested_term <= std::chrono::hours(24),
               "requested_term must be 0 to one day"),
           require(options.batch_max > 0 && options.batch_max <= kBatchMax,
                   "batch_max must be 1 to 65,536"),
           require(options.hand_ons_max > 0, "hand_ons_max is zero"),
           require(options.backoff_min > kZero && options.backoff_max >= options.backoff_min,
                   "backoff_min must be positive and at most backoff_max"),
           require(options.call_timeout > kZero, "call_timeout must be positive"),
       }) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

Duration TermFor(const LeaseOptions& options, Duration requested) {
  if (requested == Duration::zero()) return options.term_default;
  return std::clamp(requested, options.term_min, options.term_max);
}

StrategyFactory LeaseStrategy(LeaseOptions options) {
  return [options](Strategy::Context context) {
    return std::make_unique<Lease>(options, std::move(context));
  };
}

}  // namespace dgc
