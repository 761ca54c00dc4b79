#include "dgc/runtime/payload_table.h"

#include <utility>

#include "dgc/core/check.h"

namespace dgc {

size_t PayloadTable::Hash::operator()(const void* address) const {
  return static_cast<size_t>(Mix(reinterpret_cast<uintptr_t>(address)));
}

void PayloadTable::Put(ObjectIndex object, const std::shared_ptr<void>& payload, uint16_t kind) {
  const uint32_t index = Raw(object);
  while (chunks_.size() <= index / kChunk) chunks_.push_back(std::make_unique<Chunk>());
  DGC_CHECK(At(index) == nullptr);
  At(index) = payload;
  chunks_[index / kChunk]->kinds[index % kChunk] = kind;
  const bool added = by_address_.insert(index).second;
  DGC_CHECK(added);
}

const std::shared_ptr<void>& PayloadTable::Get(ObjectIndex object) const {
  static const std::shared_ptr<void> kNone;
  const uint32_t index = Raw(object);
  return index / kChunk < chunks_.size() ? At(index) : kNone;
}

uint16_t PayloadTable::KindOf(ObjectIndex object) const {
  return chunks_[Raw(object) / kChunk]->kinds[Raw(object) % kChunk];
}

std::optional<ObjectIndex> PayloadTable::Find(const void* address) const {
  const auto it = by_address_.find(address);
  if (it == by_address_.end()) return std::nullopt;
  return ObjectIndex{*it};
}

void PayloadTable::Disown(ObjectIndex object) {
  if (Get(object) != nullptr) by_address_.erase(Raw(object));
}

PayloadTable::Payload PayloadTable::Take(ObjectIndex object) {
  if (Get(object) == nullptr) return {};
  Disown(object);
  return {std::exchange(At(Raw(object)), nullptr), KindOf(object)};
}

std::vector<std::shared_ptr<void>> PayloadTable::TakeAll() {
  std::vector<std::shared_ptr<void>> payloads;
  by_address_.clear();
  for (auto& chunk : chunks_) {
    for (auto& payload : chunk->objects) {
      if (payload != nullptr) payloads.push_back(std::move(payload));
    }
  }
  chunks_.clear();
  return payloads;
}

}  // namespace dgc
