#include "dgc/core/import_table.h"

#include "dgc/core/check.h"

namespace dgc {

PeerIndex ImportTable::InternPeer(const std::string& owner, Incarnation incarnation) {
  std::vector<PeerIndex>& runs = peers_by_owner_[owner];
  for (const PeerIndex peer : runs) {
    if (GetPeer(peer).incarnation == incarnation) return peer;
  }
  const PeerIndex peer{peers_.Allocate()};
  peers_[Raw(peer)] = {owner, incarnation, 0};
  runs.push_back(peer);
  return peer;
}

void ImportTable::ForgetPeer(PeerIndex peer) {
  const Peer& record = GetPeer(peer);
  DGC_CHECK(record.imports == 0);
  const auto it = peers_by_owner_.find(record.owner);
  std::erase(it->second, peer);
  if (it->second.empty()) peers_by_owner_.erase(it);
  peers_.Free(Raw(peer));
}

std::optional<ImportIndex> ImportTable::Find(PeerIndex peer, const ObjectId& id) const {
  const auto it = by_id_.find(Key{peer, id});
  if (it == by_id_.end()) return std::nullopt;
  return ImportIndex{*it};
}

ImportIndex ImportTable::Intern(PeerIndex peer, const ObjectId& id, uint16_t type) {
  if (const auto found = Find(peer, id); found.has_value()) return *found;
  const uint32_t index = records_.Allocate();
  records_[index] = {.id = id, .peer = peer, .type = type, .in_use = true};
  by_id_.insert(index);
  ++peers_[Raw(peer)].imports;
  return ImportIndex{index};
}

void ImportTable::Erase(ImportIndex import) {
  const ImportRecord& record = (*this)[import];
  DGC_CHECK(record.in_use && record.uses == 0);
  --peers_[Raw(record.peer)].imports;
  by_id_.erase(Raw(import));
  records_.Free(Raw(import));
}

}  // namespace dgc
