#include "dgc/runtime/payload_table.h"

#include <utility>

#include "dgc/core/check.h"
#include "dgc/core/prefetch.h"

namespace dgc {

void PayloadTable::Put(ObjectIndex object, const std::shared_ptr<void>& payload, uint16_t kind) {
  const uint32_t index = Raw(object);
  while (chunks_.size() <= index / kChunk) chunks_.push_back(std::make_unique<Chunk>());
  DGC_CHECK(At(index) == nullptr);
  DGC_CHECK(!Find(payload.get()).has_value());
  At(index) = payload;
  chunks_[index / kChunk]->kinds[index % kChunk] = kind;
  by_address_.Insert(TagOf(payload.get()), index);
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
  const auto found =
      by_address_.Find(TagOf(address), [&](uint32_t index) { return At(index).get() == address; });
  if (!found.has_value()) return std::nullopt;
  return ObjectIndex{*found};
}

void PayloadTable::Disown(ObjectIndex object) {
  const uint32_t tag = TagOf(Get(object).get());
  const auto owns = [&](uint32_t index) { return index == Raw(object); };
  if (by_address_.Find(tag, owns).has_value()) by_address_.Erase(tag, Raw(object));
}

void PayloadTable::Prefetch(ObjectIndex object) const {
  const uint32_t index = Raw(object);
  if (index / kChunk >= chunks_.size()) return;
  dgc::Prefetch(&At(index));
  dgc::Prefetch(&chunks_[index / kChunk]->kinds[index % kChunk]);
}

void PayloadTable::PrefetchAddress(ObjectIndex object) const {
  by_address_.Prefetch(TagOf(Get(object).get()));
}

PayloadTable::Payload PayloadTable::Take(ObjectIndex object) {
  if (Get(object) == nullptr) return {};
  Disown(object);
  return {std::exchange(At(Raw(object)), nullptr), KindOf(object)};
}

std::vector<std::shared_ptr<void>> PayloadTable::TakeAll() {
  std::vector<std::shared_ptr<void>> payloads;
  by_address_.Clear();
  for (auto& chunk : chunks_) {
    for (auto& payload : chunk->objects) {
      if (payload != nullptr) payloads.push_back(std::move(payload));
    }
  }
  chunks_.clear();
  return payloads;
}

}  // namespace dgc
