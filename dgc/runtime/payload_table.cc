#include "dgc/runtime/payload_table.h"

#include <utility>

#include "dgc/core/check.h"
#include "dgc/core/prefetch.h"

namespace dgc {

void PayloadTable::Put(ObjectIndex object, const std::shared_ptr<void>& payload) {
  const uint32_t index = Raw(object);
  while (chunks_.size() <= index / kChunk) chunks_.push_back(std::make_unique<Chunk>());
  DGC_CHECK(At(index) == nullptr);
  DGC_CHECK(!Find(payload.get()).has_value());
  At(index) = payload;
  by_address_.Insert(TagOf(payload.get()), index);
}

const std::shared_ptr<void>& PayloadTable::Get(ObjectIndex object) const {
  static const std::shared_ptr<void> kNone;
  const uint32_t index = Raw(object);
  return index / kChunk < chunks_.size() ? At(index) : kNone;
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
  if (index / kChunk < chunks_.size()) dgc::Prefetch(&At(index));
}

void PayloadTable::PrefetchAddress(ObjectIndex object) const {
  by_address_.Prefetch(TagOf(Get(object).get()));
}

std::shared_ptr<void> PayloadTable::Take(ObjectIndex object) {
  if (Get(object) == nullptr) return nullptr;
  Disown(object);
  return std::exchange(At(Raw(object)), nullptr);
}

std::vector<std::shared_ptr<void>> PayloadTable::TakeAll() {
  std::vector<std::shared_ptr<void>> payloads;
  by_address_.Clear();
  for (auto& chunk : chunks_) {
    for (auto& payload : *chunk) {
      if (payload != nullptr) payloads.push_back(std::move(payload));
    }
  }
  chunks_.clear();
  return payloads;
}

}  // namespace dgc
