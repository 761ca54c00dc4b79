// The `lease` strategy: RMI-style reference listing, one lease per (holder, owner).
//
// The owner side (owner.h) keeps the listings, leases and transit leases; the holder side
// (holder.h) dirties what is imported, renews in the background and cleans what is dropped.  What
// it is, what it guarantees and where it comes from: README.md beside this file.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "dgc/core/strategy.h"
#include "dgc/core/time.h"

namespace dgc {

struct LeaseOptions {
  // --- As an owner.
  // Granted to a holder that asks for no term.
  Duration term_default = std::chrono::seconds(30);
  // What is asked for is clamped to these.  0 < term_min <= term_default <= term_max <= one day.
  Duration term_min = std::chrono::milliseconds(100);
  Duration term_max = std::chrono::minutes(10);
  // How long a lapsed client's listings are kept, so that a late renewal loses nothing.  0: not at
  // all.
  Duration limbo = Duration::zero();
  // How long a reference is protected on its way, unless the sender asks for more, up to a day; at
  // most term_max.
  Duration transit_term = std::chrono::seconds(30);
  // A step of the clock longer than this is taken to be this process's own pause, and the rest of
  // it is not counted against holders.  Also the longest time between two ticks.
  Duration pause = std::chrono::milliseconds(250);
  // Before anything lapses the owner calls itself, by its own name: when the answer is there, what
  // came in before the call left has been heard, so a renewal that waits in this process is not
  // late.  What has ended waits for that answer for this long at most.  0: no such calls.
  Duration self_call_timeout = std::chrono::seconds(30);
  // Renewals that all clients together may cause per second; with more clients the terms granted
  // grow, up to term_max, and shrink again when clients leave.  0: no limit.
  uint32_t renewals_per_second_max = 10'000;
  // The mass-expiry brake.  When a lease is about to lapse while at least brake_percent of the
  // clients that list something, and at least brake_clients_min of them, have missed their renewal,
  // the cause is more likely here or in the network than in all of them: reaping is held for
  // brake_hold (lease time), then goes on.  0 percent: no brake.
  uint32_t brake_percent = 50;
  uint32_t brake_clients_min = 32;
  Duration brake_hold = std::chrono::seconds(60);
  // Bounds; a request of one client more is RESOURCE_EXHAUSTED and changes nothing, of the others
  // each row that would go over one is refused (FailureReason::kQuota).
  uint32_t clients_max = 1 << 20;
  uint64_t listings_max = uint64_t{1} << 28;
  uint64_t listings_per_client_max = uint64_t{1} << 25;
  uint64_t transits_max = 1 << 23;
  uint64_t transits_per_client_max = 1 << 22;
  // Transit leases of callers that have no lease here (yet), all of them together.
  uint64_t transits_unregistered_max = 1 << 20;
  // How many tokens of hand-ons that were named already are remembered, for departed_term and at
  // least transit_term, so that a declaration that comes after is void.
  uint32_t transits_named_max = 1 << 16;
  // Notices kept for all clients together, 32 bytes each (kNoticesMax for one client); beyond it a
  // client's oldest makes room for its next, and who has none is not told.
  uint32_t notices_max = 1 << 22;
  // How many clients that left are remembered, and for how long, so that their late calls are known
  // as late.
  uint32_t departed_max = 1 << 16;
  Duration departed_term = std::chrono::minutes(2);

  // --- As a holder.
  // The term to ask for; 0 asks for the owner's default.
  Duration requested_term = Duration::zero();
  // How long a dropped reference waits for others to share its Clean, and how far apart Cleans to
  // one owner leave at least, so that who drops all the time sends few.  A full batch does not
  // wait, nor do drops by the collector itself.
  Duration clean_delay = std::chrono::milliseconds(1);
  Duration clean_interval = std::chrono::milliseconds(10);
  // How long an import that came with a transit lease waits before it is listed: one that is
  // dropped sooner costs one row, not two. Well below the shortest transit term of any owner.
  Duration dirty_delay = std::chrono::milliseconds(10);
  // How long the bookkeeping (and connection) of an owner stays when nothing is held of it and no
  // hand-on is open.
  Duration linger = std::chrono::seconds(30);
  // The most hand-ons waiting to be declared to one owner; beyond it sharing is RESOURCE_EXHAUSTED.
  uint32_t hand_ons_max = 1 << 20;
  // The most ids in one request; at most kBatchMax.
  uint32_t batch_max = 4096;
  // The first retry after a failure, doubled up to the cap (never more than a quarter of the term);
  // jittered by up to half.  Before an owner has granted a term, it is taken to have these options.
  Duration backoff_min = std::chrono::milliseconds(50);
  Duration backoff_max = std::chrono::seconds(5);
  // How long to wait for an answer; never more than a fifth of the term.
  Duration call_timeout = std::chrono::seconds(5);
};

// INVALID_ARGUMENT, naming the field.
absl::Status Validate(const LeaseOptions& options);

// What an owner with these options grants, unless it has more clients than its budget of renewals
// allows.  0 asks for the default.
Duration TermFor(const LeaseOptions& options, Duration requested);

// REQUIRES: Validate(options).ok().
StrategyFactory LeaseStrategy(LeaseOptions options);

}  // namespace dgc
