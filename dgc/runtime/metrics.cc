#include "dgc/runtime/metrics.h"

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <array>
#include <chrono>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "dgc/runtime/call_counts.h"
#include "dgc/runtime/engine.h"

#ifndef LEASEHOLD_VERSION
#define LEASEHOLD_VERSION "unknown"
#endif

namespace dgc {
namespace {

using ::prometheus::ClientMetric;
using ::prometheus::MetricFamily;
using ::prometheus::MetricType;

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

// A family of one number.
struct Number {
  const char* name;
  MetricType type;
  const char* help;
  double (*read)(const Stats& stats);
};

#define DGC_NUMBER(kind, name, help, field)                                      \
  Number {                                                                       \
    name, MetricType::kind, help, [](const Stats& s) { return double(s.field); } \
  }

constexpr Number kNumbers[] = {
    // As an owner.
    DGC_NUMBER(Gauge, "dgc_objects", "Objects hosted", objects),
    DGC_NUMBER(Counter, "dgc_objects_exported_total", "Objects hosted so far",
               counters.objects_exported),
    DGC_NUMBER(Gauge, "dgc_names", "Names bound", names),
    DGC_NUMBER(Gauge, "dgc_clients", "Holders with a lease here", sizes.clients),
    DGC_NUMBER(Gauge, "dgc_clients_in_limbo", "Holders whose lease lapsed and is not reaped yet",
               sizes.clients_in_limbo),
    DGC_NUMBER(Gauge, "dgc_clients_departed", "Former holders still remembered", sizes.departed),
    DGC_NUMBER(Gauge, "dgc_refs_dirty", "Listings, that is (holder, object) pairs", sizes.listings),
    DGC_NUMBER(Gauge, "dgc_leases_deferred",
               "Lapses held back by the mass-expiry brake or an operator", sizes.deferred),
    DGC_NUMBER(Gauge, "dgc_reaping_braked",
               "1 while the mass-expiry brake or an operator holds reaping", sizes.braking),
    DGC_NUMBER(Counter, "dgc_brakes_total", "Times the mass-expiry brake has held reaping",
               counters.brakes),
    DGC_NUMBER(Gauge, "dgc_refs_reaping", "Listings of lapsed leases not yet taken apart",
               sizes.reaping),
    DGC_NUMBER(Counter, "dgc_refs_listed_total", "Listings added", counters.listings_added),
    DGC_NUMBER(Counter, "dgc_refs_unlisted_total", "Listings removed", counters.listings_removed),
    DGC_NUMBER(Counter, "dgc_leases_granted_total", "Leases of holders not known before",
               counters.leases_granted),
    DGC_NUMBER(Counter, "dgc_leases_renewed_total", "Leases extended", counters.leases_renewed),
    DGC_NUMBER(Counter, "dgc_leases_lapsed_total", "Leases that ended with something listed",
               counters.leases_lapsed),
    DGC_NUMBER(Counter, "dgc_self_calls_total", "Requests to itself before something lapses",
               counters.self_calls),
    DGC_NUMBER(Counter, "dgc_self_calls_failed_total", "Requests to itself that were not answered",
               counters.self_calls_failed),
    DGC_NUMBER(Counter, "dgc_leases_limbo_total", "Leases that lapsed into limbo",
               counters.leases_limbo_entered),
    DGC_NUMBER(Counter, "dgc_leases_resurrected_total", "Leases renewed in limbo",
               counters.leases_resurrected),
    DGC_NUMBER(Counter, "dgc_goodbyes_total", "Orderly exits of holders", counters.goodbyes),
    DGC_NUMBER(Counter, "dgc_rows_refused_total", "Ids for which a quota had no room",
               counters.rows_refused),
    DGC_NUMBER(Counter, "dgc_late_calls_total", "Ids of requests that arrived too late to count",
               counters.late_calls),
    DGC_NUMBER(Gauge, "dgc_transits", "Transit leases", sizes.transits),
    DGC_NUMBER(Counter, "dgc_transits_opened_total", "Transit leases opened",
               counters.transits_opened),
    DGC_NUMBER(Counter, "dgc_transits_consumed_total", "Transit leases named by a receiver",
               counters.transits_consumed),
    DGC_NUMBER(Counter, "dgc_transits_expired_total", "Transit leases that ended unnamed",
               counters.transits_expired),
    DGC_NUMBER(Counter, "dgc_digest_differences_total", "Renewals whose digest did not match",
               counters.digest_differences),
    DGC_NUMBER(Counter, "dgc_impostors_total", "Requests with a client id bound to another key",
               counters.impostors),
    DGC_NUMBER(Counter, "dgc_refusals_total", "Requests refused as a whole", counters.refusals),
    DGC_NUMBER(Counter, "dgc_shares_refused_total", "References that could not be shared",
               shares_refused),
    DGC_NUMBER(Counter, "dgc_use_after_reclaim_total", "Uses of objects already reclaimed",
               uses_after_reclaim),
    DGC_NUMBER(Counter, "dgc_local_rounds_total", "Rounds of the local cycle collector",
               counters.local_rounds),
    DGC_NUMBER(Gauge, "dgc_finalizers_waiting", "Reclaimed objects not yet finalized",
               finalizers_waiting),
    // As a holder.
    DGC_NUMBER(Gauge, "dgc_imports", "Objects of others that this process knows", imports),
    DGC_NUMBER(Gauge, "dgc_refs_held", "Objects of others listed at their owners", sizes.held),
    DGC_NUMBER(Gauge, "dgc_rows_pending", "Ids waiting to be sent to owners", sizes.pending),
    DGC_NUMBER(Gauge, "dgc_peers", "Runs of owners that this process deals with", peers),
    DGC_NUMBER(Gauge, "dgc_requests_in_flight", "Requests sent and not answered",
               requests_in_flight),
    DGC_NUMBER(Counter, "dgc_imports_total", "References imported", counters.imports),
    DGC_NUMBER(Counter, "dgc_drops_total", "References given up", counters.drops),
    DGC_NUMBER(Counter, "dgc_references_lost_total", "References that became useless",
               counters.references_lost),
    DGC_NUMBER(Counter, "dgc_hand_ons_expired_total", "References handed on and not taken up",
               counters.hand_ons_expired),
    DGC_NUMBER(Counter, "dgc_relistings_total", "Times an owner was told everything again",
               counters.relistings),
    DGC_NUMBER(Counter, "dgc_requests_sent_total", "Requests sent", counters.requests_sent),
    DGC_NUMBER(Counter, "dgc_requests_failed_total", "Requests refused or of unknown outcome",
               counters.requests_failed),
    DGC_NUMBER(Counter, "dgc_rows_sent_total", "Ids in requests sent", counters.rows_sent),
    // As both.
    DGC_NUMBER(Gauge, "dgc_events_waiting", "Events not yet logged and told", events_waiting),
    DGC_NUMBER(Counter, "dgc_events_dropped_total", "Events dropped as too many waited",
               events_dropped),
};

#undef DGC_NUMBER

// By ReclaimReason; the first, unspecified, never occurs here.
constexpr std::array<const char*, kReclaimReasons> kReasons = {
    nullptr, "clean", "lapse", "transit_expired", "cascade", "cycle", "unexport"};

MetricFamily Family(const char* name, MetricType type, const char* help) {
  MetricFamily family;
  family.name = name;
  family.type = type;
  family.help = help;
  return family;
}

void AddNumber(double value, std::vector<ClientMetric::Label> labels, MetricFamily* family) {
  ClientMetric metric;
  metric.label = std::move(labels);
  if (family->type == MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  family->metric.push_back(std::move(metric));
}

void AddHistogram(const Histogram& histogram, std::vector<ClientMetric::Label> labels,
                  MetricFamily* family) {
  const Histogram::Snapshot snapshot = histogram.Take();
  ClientMetric metric;
  metric.label = std::move(labels);
  uint64_t cumulative = 0;
  for (size_t i = 0; i < snapshot.counts.size(); ++i) {
    cumulative += snapshot.counts[i];
    const double bound = i < Histogram::kBounds.size() ? Seconds(Histogram::kBounds[i])
                                                       : std::numeric_limits<double>::infinity();
    ClientMetric::Bucket bucket;
    bucket.cumulative_count = cumulative;
    bucket.upper_bound = bound;
    metric.histogram.bucket.push_back(bucket);
  }
  metric.histogram.sample_count = cumulative;
  metric.histogram.sample_sum = Seconds(snapshot.sum);
  family->metric.push_back(std::move(metric));
}

class EngineCollectable final : public prometheus::Collectable {
 public:
  EngineCollectable(std::shared_ptr<Engine> engine, std::shared_ptr<const CallCounts> calls)
      : engine_(std::move(engine)), calls_(std::move(calls)) {}

  std::vector<MetricFamily> Collect() const override {
    const Stats stats = engine_->stats();
    std::vector<MetricFamily> families;
    for (const Number& number : kNumbers) {
      families.push_back(Family(number.name, number.type, number.help));
      AddNumber(number.read(stats), {}, &families.back());
    }
    AddSpecial(stats, &families);
    AddCalls("dgc_rpcs_total", "Requests of peers answered", "dgc_rpc_duration_seconds",
             "From parsed to answered", calls_->served(), &families);
    AddCalls("dgc_calls_total", "Requests to peers ended", "dgc_call_duration_seconds",
             "From sent to answered or given up", calls_->called(), &families);
    AddBytes(calls_->called(), &families);
    return families;
  }

 private:
  void AddSpecial(const Stats& stats, std::vector<MetricFamily>* families) const {
    families->push_back(Family("dgc_build_info", MetricType::Gauge, "1; the version is a label"));
    AddNumber(1, {{"version", LEASEHOLD_VERSION}}, &families->back());
    families->push_back(
        Family("dgc_objects_reclaimed_total", MetricType::Counter, "Objects reclaimed"));
    for (size_t i = 1; i < kReclaimReasons; ++i) {
      AddNumber(static_cast<double>(stats.counters.objects_reclaimed[i]), {{"reason", kReasons[i]}},
                &families->back());
    }
    families->push_back(Family("dgc_lateness_excused_seconds_total", MetricType::Counter,
                               "Own pauses not counted against holders"));
    AddNumber(Seconds(stats.sizes.lateness_excused), {}, &families->back());
    families->push_back(Family("dgc_term_floor_seconds", MetricType::Gauge,
                               "The least term granted, which grows with the load"));
    AddNumber(Seconds(stats.sizes.term_floor), {}, &families->back());
    families->push_back(Family("dgc_reap_lag_seconds", MetricType::Histogram,
                               "How late the reaper came to a deadline"));
    AddHistogram(engine_->reap_lag(), {}, &families->back());
    families->push_back(Family("dgc_finalizer_duration_seconds", MetricType::Histogram,
                               "One object's on_reclaim and destructor"));
    AddHistogram(engine_->finalizer_duration(), {}, &families->back());
  }

  static void AddBytes(const CallCounts::PerMethods& methods, std::vector<MetricFamily>* families) {
    families->push_back(Family("dgc_call_bytes_total", MetricType::Counter,
                               "Messages of requests to peers and of their answers"));
    for (size_t method = 0; method < kMethods; ++method) {
      AddNumber(static_cast<double>(methods[method].bytes_sent.load()),
                {{"direction", "sent"}, {"method", kMethodNames[method]}}, &families->back());
      AddNumber(static_cast<double>(methods[method].bytes_received.load()),
                {{"direction", "received"}, {"method", kMethodNames[method]}}, &families->back());
    }
  }

  static void AddCalls(const char* count, const char* count_help, const char* duration,
                       const char* duration_help, const CallCounts::PerMethods& methods,
                       std::vector<MetricFamily>* families) {
    MetricFamily counts = Family(count, MetricType::Counter, count_help);
    MetricFamily durations = Family(duration, MetricType::Histogram, duration_help);
    for (size_t method = 0; method < kMethods; ++method) {
      for (size_t code = 0; code < CallCounts::kCodes.size(); ++code) {
        AddNumber(static_cast<double>(methods[method].codes[code].load()),
                  {{"code", CallCounts::kCodes[code].name}, {"method", kMethodNames[method]}},
                  &counts);
      }
      AddHistogram(methods[method].duration, {{"method", kMethodNames[method]}}, &durations);
    }
    families->push_back(std::move(counts));
    families->push_back(std::move(durations));
  }

  const std::shared_ptr<Engine> engine_;
  const std::shared_ptr<const CallCounts> calls_;
};

}  // namespace

std::shared_ptr<prometheus::Collectable> MakeCollectable(std::shared_ptr<Engine> engine,
                                                         std::shared_ptr<const CallCounts> calls) {
  return std::make_shared<EngineCollectable>(std::move(engine), std::move(calls));
}

}  // namespace dgc
