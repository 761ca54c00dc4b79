// TypeTable: the names of the types of objects and imports, by small numbers.
//
// A name is kept for as long as some record has its number, which is given to another name after
// that: whoever names many types that nothing has any more uses up nothing.
//
// Thread-compatible.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "dgc/core/check.h"
#include "dgc/core/slab.h"

namespace dgc {

class TypeTable {
 public:
  // The number of `name`, used once more; nullopt if it is a new one beyond `types_max`, which is
  // at most 65,535.
  std::optional<uint16_t> Use(std::string_view name, size_t types_max) {
    const absl::string_view key(name.data(), name.size());
    auto it = by_name_.find(key);
    if (it == by_name_.end()) {
      if (types_.size() >= types_max) return std::nullopt;
      const uint32_t number = types_.Allocate();
      types_[number].name = name;
      it = by_name_.emplace(std::string(name), static_cast<uint16_t>(number)).first;
    }
    ++types_[it->second].uses;
    return it->second;
  }

  void Unuse(uint16_t type) {
    DGC_CHECK(types_[type].uses > 0);
    if (--types_[type].uses > 0) return;
    by_name_.erase(types_[type].name);
    types_.Free(type);
  }

  // REQUIRES: it is used.
  const std::string& NameOf(uint16_t type) const { return types_[type].name; }
  uint64_t uses(uint16_t type) const { return types_[type].uses; }
  size_t size() const { return types_.size(); }

 private:
  struct Type {
    std::string name;
    uint64_t uses = 0;
  };

  // Two views of one set.
  Slab<Type> types_;
  absl::flat_hash_map<std::string, uint16_t> by_name_;
};

}  // namespace dgc
