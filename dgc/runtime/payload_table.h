// PayloadTable: the application's objects, by position in the object table and by address.
//
// 18 bytes per object and 5 to 11 for the address index.  An address belongs to one exported
// object at a time; objects on their way out give theirs up.  Thread-compatible.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "dgc/core/ids.h"

namespace dgc {

class PayloadTable {
 public:
  struct Payload {
    std::shared_ptr<void> object;
    uint16_t kind = 0;
  };

  PayloadTable() : by_address_(0, Hash{this}, Eq{this}) {}
  PayloadTable(const PayloadTable&) = delete;
  PayloadTable& operator=(const PayloadTable&) = delete;

  // `kind` is whatever the caller wants to be told again.
  // REQUIRES: nothing is at `object`; no other object has this address.
  void Put(ObjectIndex object, const std::shared_ptr<void>& payload, uint16_t kind);
  // Null if nothing is there.
  const std::shared_ptr<void>& Get(ObjectIndex object) const;
  // REQUIRES: Get(object) is not null.
  uint16_t KindOf(ObjectIndex object) const;
  // The object at this address.
  std::optional<ObjectIndex> Find(const void* address) const;
  // Makes the address free for another object; the payload stays.
  void Disown(ObjectIndex object);
  // Takes the payload out; null if there is none.
  Payload Take(ObjectIndex object);
  // Takes everything out.
  std::vector<std::shared_ptr<void>> TakeAll();

 private:
  static constexpr uint32_t kChunk = 1024;
  struct Chunk {
    std::array<std::shared_ptr<void>, kChunk> objects;
    std::array<uint16_t, kChunk> kinds;
  };
  struct Hash {
    using is_transparent = void;
    const PayloadTable* table;
    size_t operator()(const void* address) const;
    size_t operator()(uint32_t index) const { return (*this)(table->At(index).get()); }
  };
  struct Eq {
    using is_transparent = void;
    const PayloadTable* table;
    bool operator()(uint32_t a, uint32_t b) const { return a == b; }
    bool operator()(uint32_t a, const void* b) const { return table->At(a).get() == b; }
    bool operator()(const void* a, uint32_t b) const { return table->At(b).get() == a; }
  };

  const std::shared_ptr<void>& At(uint32_t index) const {
    return chunks_[index / kChunk]->objects[index % kChunk];
  }
  std::shared_ptr<void>& At(uint32_t index) {
    return chunks_[index / kChunk]->objects[index % kChunk];
  }

  std::vector<std::unique_ptr<Chunk>> chunks_;
  absl::flat_hash_set<uint32_t, Hash, Eq> by_address_;
};

}  // namespace dgc
