#!/usr/bin/env python3
"""The deliberate defects, and how they get into a copy of the source.

    tests/sim/mutations.py SOURCE_ROOT OUTPUT_ROOT    writes the copies
    tests/sim/mutations.py --check SOURCE_ROOT        exits 1 if one no longer applies
    tests/sim/mutations.py --files SOURCE_ROOT        what is copied, as a CMake list

Each entry of MUTATIONS is a name, a file, a piece of its text, and what is to
stand there instead of the part between << and >>.  The piece must occur exactly once;
white space counts as one space.  If the part ends with ; or } it is
a statement, otherwise an expression.  The pure layers are copied with all the defects in, each
behind a switch (mutation.h), so one build serves for all of them.

Change the source freely; if a piece no longer applies, --check (a test) says which
one, and the others still work.
"""

import os
import re
import sys

OWNER = "dgc/strategies/lease/owner.cc"
EXPIRY = "dgc/strategies/lease/owner_expiry.cc"
TRANSITS = "dgc/strategies/lease/owner_transits.cc"
HOLDER = "dgc/strategies/lease/holder.cc"
ANSWERS = "dgc/strategies/lease/holder_answers.cc"
HAND_ONS = "dgc/strategies/lease/holder_hand_ons.cc"
OBJECTS = "dgc/core/object_table.cc"
COLLECTOR = "dgc/core/local_collector.cc"
PROCESS = "dgc/core/process.cc"
PAIRS = "dgc/core/pair_table.h"
POSITIONS = "dgc/core/position_index.h"
IMPORTS = "dgc/core/import_table.cc"
FIFO = "dgc/core/fifo.h"

MUTATIONS = [
    # --- The owner: leases.
    ("owner: expiry ignores renewal", EXPIRY,
     "if (<<client.deadline > now>>) { leases_.Add", "false"),
    ("owner: who has renewed lapses all the same", EXPIRY,
     "if (<<client.deadline > now>>) { leases_.Add",
     "(client.deadline = std::min(client.deadline, now), false)"),
    ("owner: who has renewed is reaped in silence", EXPIRY,
     "if (client.deadline > now) { <<leases_.Add(client.deadline, *key);>> continue;",
     "RemoveClient(key->slot, ReclaimReason::kLapse);"),
    ("owner: a renewal does not extend", OWNER,
     "<<Extend(*client, response.granted_term);>> ++context_.counters->leases_renewed; "
     "if (request.sequence >=", ""),
    ("owner: a dirty does not extend", OWNER,
     "<<Extend(*client, response.granted_term);>> ++context_.counters->leases_renewed; // Of what",
     ""),
    ("owner: a late request shortens the lease", OWNER,
     "client.deadline = <<std::max(client.deadline, clock_.lease_now() + term)>>; client.term",
     "clock_.lease_now() + term"),
    ("owner: a lapse in limbo at once", EXPIRY,
     "client.deadline = now + <<options_.limbo>>;", "Duration::zero()"),
    ("owner: limbo never ends", EXPIRY,
     "client.deadline = now + options_.limbo; <<leases_.Add(client.deadline, *key);>>", ""),
    ("owner: a lapse leaves the listings", OWNER,
     "<<reaping_.push_back({std::move(client.listings), 0, why});>>", ""),
    ("owner: who is listed where can be foreseen", OWNER,
     "client.listings = PairTable(<<context_.random->Next()>>);", "client.serial"),
    ("owner: the brake never grips", EXPIRY, "if (<<!MassExpiry()>>) return false;", "true"),
    ("owner: who is looked at again later is forgotten", EXPIRY,
     "for (const LeaseKey& key : taken.leases) <<leases_.Add(at, key);>>", ""),
    ("owner: what is on its way expires while reaping is held", EXPIRY,
     "if (<<Holding()>>) { deferred_.transits", "false"),
    ("owner: a lapse does not wait for what came in", EXPIRY,
     "if (<<deadline <= heard_>>) return true;", "true"),
    ("owner: a call to itself says all up to its answer", EXPIRY,
     "heard_ = <<self_called_at_>>;", "clock_.lease_now()"),
    ("owner: a failed call to itself is an answer", EXPIRY,
     "if (<<std::holds_alternative<RenewResponse>(response)>>) {", "true"),
    ("owner: a late answer is taken for that of the next call to itself", EXPIRY,
     "if (!calling_self_ || <<call != self_call_>>) return;", "false"),
    ("owner: there is a brake though there is to be none", EXPIRY,
     "if (<<options_.brake_percent == 0>> || now", "false"),
    ("owner: who lists nothing counts for the brake", EXPIRY,
     "client.serial == 0 || <<client.listings.size() == 0>>) continue;", "false"),
    ("owner: the brake looks at all clients for each lapse", EXPIRY,
     "brake_looked_at_ + <<options_.pause>>) return", "Duration::zero()"),
    ("owner: limbo begins before the lapse is decided", EXPIRY,
     "client.deadline = <<now>> + options_.limbo;", "client.deadline"),
    ("owner: the brake never lets go", EXPIRY,
     "if (braking_ && <<clock_.lease_now() >= brake_until_>> && mode_", "false"),
    ("owner: an operator is ignored", EXPIRY, "<<mode_ = mode;>> // A brake", ""),
    ("owner: limbo is left again and again", OWNER, "<<client.limbo = false;>> --in_limbo_;", ""),
    ("owner: who means another owner is served", OWNER,
     "if (<<typed.owner != context_.owner>>) {", "false"),
    ("owner: an impostor is served", OWNER, "if (<<Impostor(typed.client, typed.key)>>)", "false"),
    ("owner: an unknown client renews", OWNER,
     "return RenewResponse{.result = <<RenewResult::kUnknownClient>>",
     "RenewResult::kOk"),
    ("lease clock: own pauses count", "dgc/core/lease_clock.h",
     "lease_now_ += <<std::min(step, step_max_)>>;", "step"),
    ("deadlines: due a little early", "dgc/core/deadline_queue.h",
     "heap_.front().deadline > <<now>>) return", "now + std::chrono::milliseconds(20)"),
    # --- The owner: numbers.
    ("owner: a stale dirty is accepted", OWNER, "if (<<sequence <= client.watermark>>) {", "false"),
    ("owner: the last dirty again is not stale", OWNER,
     "if (<<sequence <= client.watermark>>) {", "sequence < client.watermark"),
    ("owner: a late clean does not use up its token", OWNER,
     "++context_.counters->late_calls; } <<Consume(*object, row.transit);>> } "
     "Response LeaseOwner::On(const CleanRequest", ""),
    ("owner: a lapsed client is taken apart in one step", OWNER,
     "<<--budget;>> --reaping_listings_;", ""),
    ("owner: who returns has no watermark", OWNER,
     "client.watermark = <<it->second.watermark>>;", "SequenceNumber{}"),
    ("owner: who returns has a new account", OWNER, "<<client.account = it->second.account;>>", ""),
    ("owner: a second dirty does not raise the number", OWNER,
     "<<listed->set_sequence(sequence);>>", ""),
    ("owner: a clean ignores the number", OWNER,
     "if (<<listed->sequence() < sequence>>) { client.listings.Erase", "true"),
    ("owner: a clean leaves no watermark", OWNER,
     "client->watermark = std::max(client->watermark, <<request.sequence>>); return Clean",
     "SequenceNumber{}"),
    ("owner: a dirty leaves no watermark", OWNER,
     "client->watermark = std::max(client->watermark, <<request.sequence>>); response.notices",
     "SequenceNumber{}"),
    ("owner: a late goodbye is carried out", OWNER,
     "if (<<request.sequence <= client.watermark>>) {", "false"),
    # --- The owner: digests and re-listing.
    ("owner: digests never differ", OWNER, "<<request.held != client->held>>", "false"),
    ("owner: a clean leaves the digest", OWNER,
     "client.listings.Erase(*object); <<client.held.Remove(row.id);>>", ""),
    ("owner: a clean leaves the hold", OWNER,
     "<<context_.objects->Unhold(*object, ReclaimReason::kClean);>> return;", ""),
    ("owner: a re-listing removes nothing", OWNER,
     "if (<<sequence >= request.complete_from>>) return false;", "true"),
    ("owner: a re-listing removes too much", OWNER,
     "if (<<sequence >= request.complete_from>>) return false;",
     "sequence >= request.sequence"),
    ("owner: a late re-listing is carried out", OWNER,
     "if (request.complete_from > client->completed && <<request.sequence > client->watermark>>) {",
     "true"),
    # --- The owner: transit leases.
    ("owner: a dirty does not use up the token", OWNER,
     "<<Consume(*object, row.transit);>> return std::nullopt;", ""),
    ("owner: a stale dirty uses up the token", OWNER,
     "++context_.counters->late_calls; <<return Failure{.reason = FailureReason::kStale};>>",
     "Consume(*object, row.transit); return Failure{.reason = FailureReason::kStale};"),
    ("owner: a reference that came home keeps its transit lease", TRANSITS,
     "<<Consume(object, transit);>>", ""),
    ("owner: what came home is remembered from an old time", TRANSITS,
     "TimePoint now) { <<clock_.Advance(now);>> Consume(object, transit);", ""),
    ("owner: a hand-on declared late is opened", TRANSITS,
     "if (<<!named_.contains({Raw(row.transit), Raw(*object)})>>) {", "true"),
    ("owner: a transit lease cannot be extended", TRANSITS,
     "lease.deadline = <<std::max(lease.deadline, deadline)>>;", "lease.deadline"),
    ("owner: a transit lease ends early", TRANSITS,
     "const TimePoint deadline = clock_.lease_now() + <<term>>;", "term * 9 / 10"),
    ("owner: a transit lease never ends", TRANSITS, "<<Queue(key, lease, deadline);>>", ""),
    ("owner: a transit lease holds nothing", TRANSITS,
     "<<context_.objects->Hold(object);>> Queue(", ""),
    # --- The owner: bounds.
    ("owner: terms grow without end", OWNER,
     "return std::min(std::max(TermFor(options_, requested), TermFloor()), <<options_.term_max>>);",
     "kTermMax"),
    ("owner: tokens can be guessed", TRANSITS,
     "uint64_t token = <<context_.random->Next()>> & ~kHolderTokenBit;", "next_serial_++"),
    ("owner: notices of all clients have no bound", TRANSITS,
     "<<notices_ >= options_.notices_max>>) {", "false"),
    ("owner: a notice that is forgotten still counts", TRANSITS,
     "<<notices_ -= std::erase_if(client.notices, gone);>>",
     "std::erase_if(client.notices, gone);"),
    ("owner: a notice that is forgotten still takes room", TRANSITS,
     "if (client.notices.capacity() > 2 * client.notices.size() + 8) "
     "<<client.notices.shrink_to_fit();>>", ""),
    ("owner: notices of who left still count", OWNER,
     "<<notices_ -= client.notices.size();>>", ""),
    ("owner: a transit lease that ends still counts", TRANSITS,
     "<<if (--account->second == 0) accounts_.erase(account);>>", ""),
    ("owner: a share is cut to the longest lease", TRANSITS,
     "Open(object, token, <<term>>, client);", "std::min(term, options_.term_max)"),
    ("owner: a declaration asks for any term", TRANSITS,
     "response.granted_term = <<std::clamp( request.requested_term == Duration::zero() ? "
     "options_.transit_term : request.requested_term, options_.term_min, kTermMax)>>;",
     "(request.requested_term == Duration::zero() ? options_.transit_term "
     ": request.requested_term)"),
    ("owner: who declares is a stranger", TRANSITS,
     "Client* const sender = <<FindOrAddClient(request.client, request.key, term)>>;",
     "FindClient(request.client)"),
    ("owner: what is being reaped does not count", OWNER,
     "<<listings_ + reaping_listings_ >= options_.listings_max>>) {",
     "listings_ >= options_.listings_max"),
    ("owner: who left twice is forgotten too early", OWNER,
     "if (oldest != departed_.end() && "
     "<<oldest->second.forget == departed_order_.front().second>>) {", "true"),
    ("owner: a goodbye after the lapse is forgotten", OWNER,
     "<<departed->second.watermark = "
     "std::max(departed->second.watermark, request.sequence);>>", ""),
    ("owner: deadlines of transit leases pile up", TRANSITS,
     "if (<<transit_deadlines_.size() < kCompactMin>> ||", "true"),
    ("owner: deadlines of leases pile up", OWNER,
     "if (<<leases_.size() >= kCompactMin>> &&", "false"),
    ("owner: compaction forgets transit leases", TRANSITS,
     "return it == transits_.end() || <<it->second.queued != entry.number>>;",
     "it->second.queued == entry.number"),
    ("owner: compaction keeps entries of earlier leases of a token", TRANSITS,
     "return it == transits_.end() || <<it->second.queued != entry.number>>;", "false"),
    ("owner: compaction forgets leases", OWNER,
     "leases_.Compact( [this](const LeaseKey& key) "
     "{ return <<clients_[key.slot].serial != key.serial>>; });",
     "clients_[key.slot].serial == key.serial"),
    ("owner: compaction forgets leases held back", OWNER,
     "std::erase_if(ended->leases, [this](const LeaseKey& key) "
     "{ return <<clients_[key.slot].serial != key.serial>>; });",
     "clients_[key.slot].serial == key.serial"),
    ("owner: compaction forgets transit leases held back", TRANSITS,
     "return it == transits_.end() || <<it->second.queued != 0>>;", "it->second.queued == 0"),
    ("owner: a failed call to itself is repeated at once", EXPIRY,
     "<<again += std::min(kSelfCallRetry, options_.self_call_timeout);>>", ""),
    ("owner: the brake needs one client more", EXPIRY,
     "return <<overdue >= options_.brake_clients_min>> &&",
     "overdue > options_.brake_clients_min"),
    ("owner: the brake needs more than its percentage", EXPIRY,
     "&& <<overdue * 100 >= listing * options_.brake_percent>>;",
     "overdue * 100 > listing * options_.brake_percent"),
    ("owner: the brake sees only what has lapsed", EXPIRY,
     "if (client.limbo || <<client.deadline - clock_.lease_now() < client.term / 3>>) ++overdue;",
     "client.deadline <= clock_.lease_now()"),
    ("owner: calls to itself follow each other at once", EXPIRY,
     "if (!calling_self_ && <<self_called_at_ + kSelfCallInterval <= clock_.lease_now()>>) {",
     "true"),
    # --- The holder: bounds.
    ("holder: deadlines pile up", HOLDER, "if (<<deadlines_.size() >= kCompactMin>> &&", "false"),
    ("holder: compaction forgets sessions", HOLDER,
     "return <<sessions_[deadline.peer].queued_at != deadline.at>>; });",
     "sessions_[deadline.peer].queued_at == deadline.at"),
    ("holder: a call waits for most of the term", HOLDER,
     "return <<std::min(options_.call_timeout, TermOf(session) / 5)>>;", "options_.call_timeout"),
    ("holder: the term that it asks for says nothing until it is granted", HOLDER,
     "std::max(session.term, kPacedTermMin) : "
     "<<TermFor(options_, options_.requested_term)>>;", "options_.term_max"),
    # --- The holder: listing and cleaning.
    ("holder: the answer to an earlier call is the answer", ANSWERS,
     "<<session.call != call>>) return;", "false"),
    ("holder: an import does not stop the clean", HOLDER,
     "if (fresh || <<state.phase == Phase::kToClean>>)", "false"),
    ("holder: a second token is forgotten", HOLDER,
     "<<AddToken(session, {record.id, transit}, at);>>", ""),
    ("holder: a failed request loses its tokens", ANSWERS,
     "for (const ExtraToken& token : session.op_tokens) <<AddToken(session, token, now);>>", ""),
    ("holder: an answer takes the new copy's token", ANSWERS,
     "if (<<state.transit == row.transit>>) state.transit = {}; if (Raw(state.transit)", "true"),
    ("holder: what is stale is not numbered anew", ANSWERS,
     "failure->reason == FailureReason::kStale) { <<ToList(session, import, now);>>", ""),
    ("holder: a failed dirty is not repeated", ANSWERS,
     "if (session.goodbye) { ToClean(session, import, now); } else { "
     "<<ToList(session, import, now);>> } } else if", ""),
    ("holder: a failed clean is not repeated", ANSWERS,
     "if (used && !session.goodbye) { ToList(session, import, now); } else { "
     "<<ToClean(session, import, now);>>", ""),
    # --- The holder: leases.
    ("holder: renews too late", ANSWERS,
     "session.renew_at = session.sent + <<term / 3>> -", "term * 2"),
    ("holder: a dirty puts the renewal off", ANSWERS,
     "session.renew_at = <<std::min(session.renew_at, planned)>>;", "session.renew_at"),
    ("holder: a refused row delays the renewal", ANSWERS,
     "if (refused) <<session.refused_until = now + Backoff(session, session.refusals);>>",
     "session.retry_at = session.refused_until = now + std::chrono::hours(1);"),
    ("holder: does not re-list after a lapse", ANSWERS,
     "<<unknown || anew>> || (differs &&", "anew"),
    ("holder: ignores that digests differ", ANSWERS,
     "differs = <<response.result == RenewResult::kDiffers>> || unsaid;", "false"),
    ("holder: an answer that is missing is missed for ever", ANSWERS,
     "RenewResult::kDiffers || <<unsaid>>;", "false"),
    ("holder: a renewal begins a re-listing again", ANSWERS,
     "(differs && <<!session.relisting>>);", "true"),
    ("holder: an owner has all listed again whenever it likes", ANSWERS,
     "if (<<relist && now < session.relist_not_before>>) {", "false"),
    ("holder: who has nothing to list asks for ever", ANSWERS,
     "if (session.imports.empty()) { <<session.relisting = false;>>", ""),
    ("holder: a token refused for a quota is forgotten", ANSWERS,
     "<<AddToken(session, token, at);>> return;", ""),
    ("holder: a token refused for a quota is named again at once", ANSWERS,
     "at = <<failure.reason == FailureReason::kStale ? now : TimePoint::max()>>;", "now"),
    ("holder: a token refused for a quota waits for another row", HOLDER,
     "<<if (!session.tokens.empty()) session.list_at = std::min(session.list_at, now);>> } const",
     ""),
    ("holder: that it agrees now and then lets an owner have all listed at will", ANSWERS,
     "} else if (<<now >= session.relist_not_before + kRelistForgotten>>) {", "true"),
    ("owner: who says that it is through costs a pass each time", OWNER,
     "if (<<request.complete_from > client->completed>> && request.sequence",
     "Raw(request.complete_from) != 0"),
    ("holder: a token of what is gone says nothing", ANSWERS,
     "if (<<import.has_value() && At(*import).phase == Phase::kListed>>) Lose(session, *import,",
     "false"),
    ("holder: tokens that wait for a quota are looked at all the time", HOLDER,
     ": <<wait>> ? session.refused_until", "false"),
    ("holder: a token waits for those that were looked at", HOLDER,
     "wait = <<session.tokens_passed >= session.tokens.size()>> &&", "true"),
    ("holder: a hand-on is given up before it is tried", HAND_ONS,
     "session.unacknowledged.insert(Raw(token)); <<session.in_use_at = now;>>", ""),
    ("holder: each hand-on travels alone", HAND_ONS,
     "session.hand_ons.push_back({import, token, <<Coarse(term)>>});", "term"),
    ("holder: a hand-on is protected for less than asked for", HAND_ONS,
     "(count + <<grid - 1>>) / grid", "0"),
    ("holder: sessions of who is gone for good stay", HAND_ONS,
     "if (<<reached < due>>) return;", "true"),
    ("holder: a pause of its own is silence of the owner's", HAND_ONS,
     "reached = <<session.used > 0 ? session.sent : now>>;", "now"),
    ("holder: who has handed on to an owner that is gone for good stays", HAND_ONS,
     "if (<<!UsedByHandOnsOnly(session)>>) {", "session.used > 0"),
    ("holder: what is used is given up with a hand-on of it", HAND_ONS,
     "if (<<(*context_.imports)[import].uses == count>>) ++used;", "true"),
    ("holder: gives up a hand-on in silence", HAND_ONS,
     "<<ReportHandOn(peer, (*context_.imports)[hand_on.import].id, hand_on.transit, "
     "/*acknowledged=*/false);>>", ""),
    ("holder: a token that has to wait is forgotten", HOLDER,
     "<<session.tokens.push_back(session.tokens.front());>> session.tokens.pop_front();", ""),
    ("holder: tokens that have to wait take the turn of others", HOLDER,
     "for (size_t left = looked - taken; <<left > 0>>; --left)", "false"),
    ("holder: what one tick leaves is left", HOLDER, "<<overdue_ = limit == 0;>>", ""),
    ("holder: who waits for room is given up soon", ANSWERS,
     "<<session.silent_since = TimePoint::max();>> NoteSize(session,",
     "session.silent_since = std::min(session.silent_since, now);"),
    ("holder: who is always refused room is never given up", HAND_ONS,
     "due = session.unheard_since + <<kTermMax>>;", "10 * kTermMax"),
    ("holder: a re-listing lists nothing", ANSWERS,
     "if (<<At(import).phase == Phase::kListed>>) ToList(session, import, now);", "false"),
    ("holder: a re-listing is never complete", HOLDER,
     "if (<<last>>) request.complete_from = session.relist_from;", "false"),
    ("holder: every chunk starts the re-listing anew", HOLDER,
     "if (<<Raw(session.relist_from) == 0>>) session.relist_from = session.op_sequence;", "true"),
    ("holder: loses in silence", ANSWERS,
     "<<context_.outputs->lost.push_back( "
     "{import, record.lost, failure.reclaim_reason, failure.reclaimed_ago});>>", ""),
    ("holder: tells a loss twice", ANSWERS,
     "<<context_.outputs->lost.push_back( "
     "{import, record.lost, failure.reclaim_reason, failure.reclaimed_ago});>>",
     "for (int i = 0; i < 2; ++i) context_.outputs->lost.push_back("
     "{import, record.lost, failure.reclaim_reason, failure.reclaimed_ago});"),
    ("holder: assured past the term", HOLDER,
     "Phase::kListed && <<now < sessions_[Raw(peer)].granted_until>>;", "true"),
    ("holder: a renewal past the term proves all", ANSWERS,
     "const bool anew = <<session.granted_until <= now>> &&", "false"),
    ("holder: a re-listing across a lapse assures", ANSWERS,
     "if (<<session.held.count == 0>> || now < session.granted_until) {",
     "session.held.count == 0 || session.relisting"),
    ("holder: no margin for drift", ANSWERS,
     "session.sent + term - <<term / kDriftShare>>;", "Duration::zero()"),
    ("holder: takes a restart for a failure", ANSWERS,
     "if (<<refusal.code == Refusal::Code::kWrongIncarnation>>) { OwnerGone", "false"),
    # --- The holder: hand-ons and goodbye.
    ("holder: a hand-on does not keep the import", HAND_ONS,
     "<<++record.uses;>> session.hand_ons.push_back({import, token, Coarse(term)});",
     "++record.uses; context_.drop(import, now);"),
    ("holder: a hand-on keeps the import for ever", ANSWERS,
     "== LossCause::kNone) { <<context_.drop(hand_on.import, now);>>", ""),
    ("holder: a hand-on counts as declared though it failed", ANSWERS,
     "<<session.hand_ons.insert(session.hand_ons.begin(), session.op_hand_ons.begin(), "
     "session.op_hand_ons.end()); session.op_hand_ons.clear();>>", ""),
    ("holder: reports a hand-on again after the session was given up", HAND_ONS,
     "if (<<!reported_.insert(key).second>>) return;", "false"),
    ("holder: reports a hand-on that it declares again", HAND_ONS,
     "if (<<session.unacknowledged.contains(Raw(notice.transit))>>) break;", "false"),
    ("holder: a new session trusts what an earlier one has left", HOLDER,
     "session.first = false; <<session.relisting = true;>>", ""),
    ("holder: lets go before it knows whether a hand-on was taken up", ANSWERS,
     "<<session.listen_until = std::max(session.listen_until, now + response.granted_term + "
     "kListenMax);>>", ""),
    ("holder: listens for hand-ons until the next renewal only", ANSWERS,
     "if (<<!response.hand_ons_open>> || session.sent", "true"),
    ("holder: listens for hand-ons for as long as the owner says", ANSWERS,
     "if (!response.hand_ons_open || <<session.sent >= session.listen_until>>) {", "false"),
    ("holder: listens for hand-ons of a session that is over", ANSWERS,
     "<<session.listen_until = TimePoint::min();>> session.notices_acknowledged", ""),
    ("holder: a declaration that fails says nothing of the reference", ANSWERS,
     "Phase::kGone) { <<Lose(session, hand_on.import, *failure);>> } } session.op_hand_ons", ""),
    ("holder: a declaration that fails is for who has listed it", ANSWERS,
     "failure != nullptr && <<At(hand_on.import).phase != Phase::kGone>>) {",
     "At(hand_on.import).phase == Phase::kListed"),
    ("holder: listens though it cannot renew", HOLDER,
     "const bool asks = <<session.first>> &&", "false"),
    ("holder: names notices to the owner for as long as there are new ones", HOLDER,
     "return session.notices_acknowledged != session.notices_seen && <<!session.parted>>;",
     "true"),
    ("holder: a request that is too long is said again as it was", ANSWERS,
     "<<NoteSize(session, /*refused=*/true);>> } else {", ""),
    ("holder: a row that is refused is not said again", ANSWERS,
     "std::max(static_cast<uint32_t>(rows / 2), <<1u>>);", "0u"),
    ("holder: requests that were too long never grow again", ANSWERS,
     "session.rows_max = <<std::min(session.rows_max + session.rows_max / 16 + 1, "
     "options_.batch_max)>>;", "session.rows_max"),
    ("holder: paces itself by whatever term is granted", HOLDER,
     "? <<std::max(session.term, kPacedTermMin)>>", "session.term"),
    ("holder: says no goodbye where there was no room for something else", ANSWERS,
     "a goodbye needs none. <<Clear(session);>> return;",
     "On(peer, session, GoodbyeResponse{}, now);"),
    ("holder: what is lost while only a hand-on uses it is nobody's", ANSWERS,
     "if (<<(*context_.imports)[hand_on.import].lost == LossCause::kNone>>) {", "true"),
    ("owner: a hand-on that was taken up counts as open for ever", TRANSITS,
     "DGC_CHECK(declarer->hand_ons_open > 0); <<--declarer->hand_ons_open;>>", ""),
    ("owner: whoever is in a sender's place is told of its hand-ons", TRANSITS,
     "return <<client.serial == lease.client.serial>> ? &client : nullptr;", "true"),
    ("owner: who declares a hand-on again after a lapse is not told", TRANSITS,
     "<<lease.client = client;>> // It may have lapsed", ""),
    ("owner: a receiver is told that it did not take up what it was sent", TRANSITS,
     "if (<<(key.token & kHolderTokenBit) == 0>> || lease.client.serial == 0) return", "false"),
    ("owner: a declaration by nobody takes a hand-on from its sender", TRANSITS,
     "<<if (client.serial == 0) return;>> if (Client* const before", ""),
    ("owner: who has handed on lapses though a renewal waits", EXPIRY,
     "if (<<at_stake>> && !HeardUntil(client.deadline))", "client.listings.size() > 0"),
    ("owner: who has handed on lapses though reaping is held", EXPIRY,
     "if (<<at_stake>> && Braked())", "client.listings.size() > 0"),
    ("owner: who is in limbo is not silent to the brake", EXPIRY,
     "if (<<client.limbo>> || client.deadline - clock_.lease_now()", "false"),
    ("owner: a renewal does not change the term", OWNER,
     "<<client.term = term;>> if (client.limbo)", ""),
    ("holder: leaves an owner without room though it has handed on", ANSWERS,
     "<<session.hand_ons.empty() && session.op_hand_ons.empty()>> && session.op != Op::kGoodbye",
     "true"),
    ("holder: renewals are not spread", ANSWERS,
     "session.sent + term / 3 - <<term / 30 * jitter / 1024>>;", "(void)jitter, Duration::zero()"),
    ("owner: a notice of what is declared again stays", TRANSITS,
     "if (<<!opened.empty()>>) {", "false"),
    ("owner: a hand-on that is declared again counts twice", TRANSITS,
     "if (Client* const before = DeclarerOf(key, lease)) <<--before->hand_ons_open;>>", ""),
    ("owner: who cleans all it held is forgotten before it hears of its hand-on", OWNER,
     "client->at_stake() ? <<Grant(Duration::zero())>> : options_.term_min;",
     "options_.term_min"),
    ("owner: who declares a hand-on may be forgotten the next moment", TRANSITS,
     "<<sender->deadline = std::max(sender->deadline, clock_.lease_now() + term);>>", ""),
    ("holder: a goodbye waits for the next retry", HOLDER,
     "<<session.retry_at = now;>> // An exit", ""),
    ("holder: goodbye before the hand-ons", HOLDER,
     "if (<<!session.hand_ons.empty()>>) { return Due(", "false"),
    ("holder: a re-listing of which nothing is left never ends", HOLDER,
     "const bool completes = (<<session.relisting>> || asks) && session.to_list.empty();",
     "false"),
    ("holder: Transit always goes first", HOLDER,
     "const Op op = <<kTurns[(first + i) % std::size(kTurns)]>>;",
     "kTurns[std::size(kTurns) - 1 - i]"),
    ("holder: Dirty always goes before Clean", HOLDER,
     "const Op op = <<kTurns[(first + i) % std::size(kTurns)]>>;", "kTurns[i]"),
    ("holder: what is stale is asked again at once for ever", ANSWERS,
     "<<session.list_not_before = now + Backoff(session, session.stales - 1);>>", ""),
    ("holder: renews as fast as it is answered", HOLDER,
     "return std::max(at, <<session.renewed_at + kRenewalInterval>>);", "TimePoint::min()"),
    # --- Objects.
    ("objects: no second look before the reclaim", OBJECTS,
     "} else if (<<!record.rooted() && record.local_in == 0>> && !collector_.condemned", "true"),
    ("objects: what is condemned can be found", OBJECTS,
     "FindRecord(id, hint); return found.has_value() && <<Alive(*found)>> ?",
     "Get(*found).state == State::kLive"),
    ("objects: a reclaim forgets the edges to others", OBJECTS,
     "<<dropped->push_back(to.import());>>", ""),
    ("objects: edges in all have no bound", OBJECTS,
     "if (<<edges_ + i >= options_.edges_max>>) {", "false"),
    ("objects: an edge that is removed still counts", OBJECTS,
     "<<--edges_;>> if (record.edges->empty())", ""),
    ("objects: an edge of what goes still counts", OBJECTS,
     "<<--edges_;>> if (to.is_import()) {", ""),
    ("objects: no cascade", OBJECTS,
     "<<AfterDecrement(to.object(), ReclaimReason::kCascade);>>", ""),
    ("objects: a name does not keep", OBJECTS,
     "<<Pin(object);>> names_.emplace", ""),
    ("objects: binding anew keeps the old object", OBJECTS,
     "Pin(object); <<Unpin(std::exchange(it->second, object));>>", "it->second = object;"),
    ("collector: a new pin is not seen", OBJECTS,
     "++At(object).pins; <<collector_.Shade(Raw(object));>>", ""),
    ("collector: a new hold is not seen", OBJECTS,
     "++At(object).remote_holds; <<collector_.Shade(Raw(object));>>", ""),
    ("collector: a new edge is not seen", OBJECTS,
     "++At(to.object()).local_in; <<collector_.Shade(Raw(to.object()));>>", ""),
    ("collector: a new object is not marked", OBJECTS, "<<collector_.Born(record);>>", ""),
    ("collector: suspects nothing", OBJECTS, "<<collector_.Suspect();>>", ""),
    ("collector: holds are no roots", COLLECTOR,
     "record.state == ObjectRecord::State::kLive && <<record.rooted()>>) Shade",
     "record.pins != 0"),
    ("collector: a scan skips the first edge", COLLECTOR,
     "if (<<left == 0>>) {", "left <= 1"),
    ("process: an edge does not keep", PROCESS,
     "if (to.is_import()) <<++imports_[to.import()].uses;>>", ""),
    ("process: an edge taken away still keeps", PROCESS,
     "if (to.is_import()) <<DropImport(to.import(), now);>>", ""),
    # --- Tables.
    ("pairs: a hole ends a search", PAIRS,
     "if (<<segment.Distance(segment.Home(Hash(slots[slot].key_)), slot) >= "
     "segment.Distance(hole, slot)>>) {", "false"),
    ("pairs: an entry moves before its home", PAIRS,
     "if (<<segment.Distance(segment.Home(Hash(slots[slot].key_)), slot) >= "
     "segment.Distance(hole, slot)>>) {", "true"),
    ("pairs: taking apart skips a slot", PAIRS,
     "return last.slots[<<cursor++>>].object();", "(cursor += 2) - 2"),
    ("pairs: taking apart goes on in the midst of the next segment", PAIRS,
     "segments_.pop_back(); <<cursor = 0;>>", ""),
    ("pairs: a great table is one segment", PAIRS,
     "if (<<size_ > segments_.size() * kSegmentSize>>) Split();", "false"),
    ("pairs: segments are never merged", PAIRS, "if (<<Sparse()>>) Merge(); }", "false"),
    ("positions: a hole ends a search", POSITIONS,
     "if (<<Distance(Home(slots_[i].tag), i) >= Distance(hole, i)>>) {", "false"),
    ("positions: an entry moves before its home", POSITIONS,
     "if (<<Distance(Home(slots_[i].tag), i) >= Distance(hole, i)>>) {", "true"),
    ("positions: the tag alone decides", POSITIONS,
     "if (slots_[i].tag == tag && <<equal(slots_[i].position)>>)", "true"),
    ("positions: growing forgets the second half", POSITIONS,
     "for (size_t i = 0; i < <<old_capacity>>; ++i) { if (old[i]", "old_capacity / 2"),
    ("imports: what was erased is still found", IMPORTS, "<<by_id_.erase(Raw(import));>>", ""),
    ("imports: what was erased still counts for its owner", IMPORTS,
     "<<--peers_[Raw(record.peer)].imports;>>", ""),
    ("imports: an owner that was forgotten keeps its place", IMPORTS,
     "<<peers_.Free(Raw(peer));>>", ""),
    ("imports: a type is never let go of", IMPORTS, "<<types_->Unuse(record.type);>>", ""),
    ("fifo: what was taken is still in the way", FIFO, "<<first_ += erased;>>", ""),
    ("fifo: clearing it forgets where it begins", FIFO, "items_.clear(); <<first_ = 0;>>", ""),
]

# Tried, and found to change nothing that anybody could notice, because something else does the
# same:
#   a lease's deadline taken for that of its successor in the slot (the present deadline is looked
#   at);
#   a Dirty not counted as the latest request, an old digest compared, a digest that is not sure
#   sent
#   (each costs a needless re-listing);
#   a reference imported again during its Clean and not listed (the token's row lists it);
#   no renewal during a re-listing (its Dirtys renew);
#   a listed row not numbered anew before a complete re-listing erases (it is listed again at once);
#   a notice repeated, or forgotten with its session (tokens that were reported are remembered).

HEADER = '#include "tests/sim/mutation.h"\n'


def pattern(piece):
    """The piece as a regular expression: white space is any white space, groups are the parts."""
    before, rest = piece.split("<<")
    part, after = rest.split(">>")

    def loose(text):
        return r"\s+".join(re.escape(word) for word in re.split(r"\s+", text))

    return re.compile(f"({loose(before)})({loose(part)})({loose(after)})")


def switched(name, good, bad):
    if good.endswith((";", "}")):
        return f'{{ if (DGC_MUTATED("{name}")) {{ {bad} }} else {{ {good} }} }}'
    return f'(DGC_MUTATED("{name}") ? ({bad}) : ({good}))'


def mutate(texts):
    """{path: text} with all mutations in, and the list of those that do not apply."""
    stale = []
    edits = {path: [] for path in texts}
    for name, path, piece, bad in MUTATIONS:
        found = list(pattern(piece).finditer(texts[path]))
        if len(found) == 1:
            edits[path].append((found[0].start(2), found[0].end(2), name, bad))
        else:
            stale.append(f"{path}: \"{name}\" applies {len(found)} times, not once")
    result = {}
    for path, text in texts.items():
        pieces = {}
        for begin, end, name, bad in edits[path]:
            pieces.setdefault((begin, end), []).append((name, bad))
        for (begin, end), defects in sorted(pieces.items(), reverse=True):
            replacement = text[begin:end]
            for name, bad in defects:
                replacement = switched(name, replacement, bad)
            text = text[:begin] + replacement + text[end:]
        include = text.find("#include")
        if pieces:
            text = text[:include] + HEADER + text[include:]
        result[path] = text
    return result, stale


def pure_files(root):
    """The paths of all sources of the pure layers."""
    for folder in ("dgc/core", "dgc/strategies"):
        for where, _, names in os.walk(os.path.join(root, folder)):
            for name in names:
                if name.endswith((".h", ".cc")):
                    yield os.path.relpath(os.path.join(where, name), root)


def write_if_changed(path, text):
    """Leaves the time of what is as it should be, so that it is not compiled again."""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def main():
    if sys.argv[1] == "--files":
        print(";".join(sorted(pure_files(sys.argv[2]))), end="")
        return 0
    check = sys.argv[1] == "--check"
    root = sys.argv[2] if check else sys.argv[1]
    texts = {}
    for path in sorted(pure_files(root)):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            texts[path] = file.read()
    names = [name for name, _, _, _ in MUTATIONS]
    assert len(set(names)) == len(names), "two mutations have the same name"
    mutated, stale = mutate(texts)
    if check:
        for line in stale:
            print(line)
        print(f"{len(MUTATIONS)} mutations, {len(stale)} do not apply")
        return 1 if stale else 0
    for path, text in mutated.items():
        write_if_changed(os.path.join(sys.argv[2], path), text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
