// ImportTable: the references this process holds to objects of others.
//
// One record per (owner incarnation, object), however many handles and edges of this process use
// it: duplicates collapse, and the strategy hears of the first use and of the last only.  A record
// goes when nobody uses it *and* the strategy has let go of it (its clean was acknowledged).
//
// Owners, incarnations and ids are whatever the sender of a reference wrote into it, so look-ups
// are by hashes that it cannot foresee.
//
// Does not know leases, messages or time.  Thread-compatible.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "dgc/core/ids.h"
#include "dgc/core/reference_error.h"
#include "dgc/core/slab.h"
#include "dgc/core/type_table.h"

namespace dgc {

struct ImportRecord {
  ObjectId id;
  PeerIndex peer{};
  uint32_t uses = 0;  // handles and edges in this process, and hand-ons under way
  uint16_t type = 0;
  bool in_use = false;
  LossCause lost = LossCause::kNone;
};

// One run of one owner.
struct Peer {
  std::string owner;
  Incarnation incarnation{};
  uint32_t imports = 0;
};

class ImportTable {
 public:
  // `secret`: random, known to nobody outside this process.
  // `types` outlives the table.
  ImportTable(TypeTable* types, uint64_t secret)
      : types_(types),
        by_id_(0, Hash{&records_, secret}, Eq{&records_}),
        by_run_(0, RunHash{&peers_, secret}, RunEq{&peers_}) {}

  // The peer of that name and incarnation, made if there is none.
  PeerIndex InternPeer(const std::string& owner, Incarnation incarnation);
  std::optional<PeerIndex> FindPeer(const std::string& owner, Incarnation incarnation) const;
  const Peer& GetPeer(PeerIndex peer) const { return peers_[Raw(peer)]; }
  // REQUIRES: nothing is imported from it and nobody will name it again.
  void ForgetPeer(PeerIndex peer);
  // Positions are below this; those not in use have an empty owner.
  uint32_t peers_end() const { return peers_.end(); }
  size_t peers() const { return peers_.size(); }

  // The record for that object, with no use.  It takes over a use of `type`, until it is erased.
  // REQUIRES: there is none yet.
  ImportIndex Add(PeerIndex peer, const ObjectId& id, uint16_t type);
  std::optional<ImportIndex> Find(PeerIndex peer, const ObjectId& id) const;
  // REQUIRES: uses == 0.
  void Erase(ImportIndex import);

  ImportRecord& operator[](ImportIndex import) { return records_[Raw(import)]; }
  const ImportRecord& operator[](ImportIndex import) const { return records_[Raw(import)]; }

  size_t size() const { return records_.size(); }
  // Positions are below this; for scans, which skip records not in_use.
  uint32_t end() const { return records_.end(); }

 private:
  struct Key {
    PeerIndex peer;
    ObjectId id;
  };
  struct Hash {
    using is_transparent = void;
    const Slab<ImportRecord>* records;
    uint64_t secret;
    size_t operator()(const Key& key) const {
      return Mix(Mix(Mix(key.id.high ^ secret) + key.id.low) + Raw(key.peer));
    }
    size_t operator()(uint32_t index) const {
      return (*this)(Key{(*records)[index].peer, (*records)[index].id});
    }
  };
  struct Eq {
    using is_transparent = void;
    const Slab<ImportRecord>* records;
    bool operator()(uint32_t a, uint32_t b) const { return a == b; }
    bool operator()(uint32_t a, const Key& b) const {
      return (*records)[a].peer == b.peer && (*records)[a].id == b.id;
    }
    bool operator()(const Key& a, uint32_t b) const { return (*this)(b, a); }
  };
  // One run of one owner.
  struct Run {
    const std::string& owner;
    Incarnation incarnation;
  };
  struct RunHash {
    using is_transparent = void;
    const Slab<Peer>* peers;
    uint64_t secret;
    size_t operator()(const Run& run) const {
      return absl::HashOf(run.owner, Mix(Raw(run.incarnation) ^ secret));
    }
    size_t operator()(uint32_t index) const {
      return (*this)(Run{(*peers)[index].owner, (*peers)[index].incarnation});
    }
  };
  struct RunEq {
    using is_transparent = void;
    const Slab<Peer>* peers;
    bool operator()(uint32_t a, uint32_t b) const { return a == b; }
    bool operator()(uint32_t a, const Run& b) const {
      return (*peers)[a].incarnation == b.incarnation && (*peers)[a].owner == b.owner;
    }
    bool operator()(const Run& a, uint32_t b) const { return (*this)(b, a); }
  };

  TypeTable* const types_;
  Slab<ImportRecord> records_;
  absl::flat_hash_set<uint32_t, Hash, Eq> by_id_;
  Slab<Peer> peers_;
  absl::flat_hash_set<uint32_t, RunHash, RunEq> by_run_;
};

}  // namespace dgc
