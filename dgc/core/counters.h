// What has happened so far in one process: the numbers behind the metrics.
//
// Counted where it happens, in the core, so that the shells need no second bookkeeping.  Every
// field only grows.  A plain value.
#pragma once

#include <array>
#include <cstdint>

#include "dgc/core/message.h"

namespace dgc {

struct Counters {
  // As an owner.
  uint64_t objects_exported = 0;
  std::array<uint64_t, kReclaimReasons> objects_reclaimed{};  // by ReclaimReason
  uint64_t listings_added = 0;
  uint64_t listings_removed = 0;
  uint64_t leases_granted = 0;  // to clients not known before
  uint64_t leases_renewed = 0;
  uint64_t leases_lapsed = 0;  // with something still listed
  uint64_t leases_limbo_entered = 0;
  uint64_t leases_resurrected = 0;  // renewed in limbo
  uint64_t brakes = 0;              // times the mass-expiry brake has held reaping
  uint64_t self_calls = 0;          // requests to itself before something lapses
  uint64_t self_calls_failed = 0;
  uint64_t rows_refused = 0;  // as an owner: ids that a quota had no room for
  uint64_t goodbyes = 0;
  uint64_t late_calls = 0;  // rows ignored or refused as stale because their number was too small
  uint64_t transits_opened = 0;
  uint64_t transits_consumed = 0;
  uint64_t transits_expired = 0;
  uint64_t hand_ons_expired = 0;  // as a holder: not taken up
  uint64_t digest_differences = 0;
  uint64_t impostors = 0;     // requests refused because the client id is bound to another key
  uint64_t refusals = 0;      // requests refused as a whole
  uint64_t local_rounds = 0;  // finished rounds of the local collector

  // As a holder.
  uint64_t imports = 0;
  uint64_t drops = 0;
  uint64_t references_lost = 0;
  uint64_t relistings = 0;
  uint64_t requests_sent = 0;
  uint64_t rows_sent = 0;
  uint64_t requests_failed = 0;  // outcome unknown or refused
};

}  // namespace dgc
