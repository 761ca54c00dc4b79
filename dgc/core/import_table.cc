#include "dgc/core/import_table.h"

#include "dgc/core/check.h"

namespace dgc {

PeerIndex ImportTable::InternPeer(const std::string& owner, Incarnation incarnation) {
  if (const auto found = FindPeer(owner, incarnation); found.has_value()) return *found;
  const PeerIndex peer{peers_.Allocate()};
  peers_[Raw(peer)] = {owner, incarnation, 0};
  by_run_.insert(Raw(peer));
  return peer;
}

std::optional<PeerIndex> ImportTable::FindPeer(const std::string& owner,
                                               Incarnation incarnation) const {
  const auto it = by_run_.find(Run{owner, incarnation});
  if (it == by_run_.end()) return std::nullopt;
  return PeerIndex{*it};
}

void ImportTable::ForgetPeer(PeerIndex peer) {
  DGC_CHECK(GetPeer(peer).imports == 0);
  by_run_.erase(Raw(peer));
  peers_.Free(Raw(peer));
}

std::optional<ImportIndex> ImportTable::Find(PeerIndex peer, const ObjectId& id) const {
  const auto it = by_id_.find(Key{peer, id});
  if (it == by_id_.end()) return std::nullopt;
  return ImportIndex{*it};
}

ImportIndex ImportTable::Add(PeerIndex peer, const ObjectId& id, uint16_t type) {
  const uint32_t index = records_.Allocate();
  records_[index] = {.id = id, .peer = peer, .type = type, .in_use = true};
  DGC_CHECK(by_id_.insert(index).second);
  ++peers_[Raw(peer)].imports;
  return ImportIndex{index};
}

void ImportTable::Erase(ImportIndex import) {
  const ImportRecord& record = (*this)[import];
  DGC_CHECK(record.in_use && record.uses == 0);
  --peers_[Raw(record.peer)].imports;
  types_->Unuse(record.type);
  by_id_.erase(Raw(import));
  records_.Free(Raw(import));
}

}  // namespace dgc
