// The identities of the protocol, each its own type.
//
// All are plain values: copyable, ordered, hashable with absl::Hash, safe anywhere.  None is
// generated here: randomness is handed in.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <utility>

namespace dgc {

// Two 64-bit halves.  The all-zero value is "none" and never a valid identity.
template <typename Tag>
struct Id128 {
  uint64_t high = 0;
  uint64_t low = 0;

  friend auto operator<=>(const Id128&, const Id128&) = default;
  constexpr bool valid() const { return (high | low) != 0; }

  template <typename H>
  friend H AbslHashValue(H state, const Id128& id) {
    return H::combine(std::move(state), id.high, id.low);
  }
};

// One object, for all time.  Unguessable, chosen by its owner.
using ObjectId = Id128<struct ObjectIdTag>;

// One holder process; new on every start, never an address (RMI: VMID).
using ClientId = Id128<struct ClientIdTag>;

// A holder's secret at one owner: who first names a ClientId there binds it to its key.
using ClientKey = Id128<struct ClientKeyTag>;

// One run of an owner.  0 is none.
enum class Incarnation : uint64_t {};

// Orders the requests of one holder to one owner incarnation.  Starts at 1; 0 is none.
enum class SequenceNumber : uint64_t {};

// Names one transit lease, together with its object id.  0 is none.
enum class TransitToken : uint64_t {};

// Tokens with this bit are chosen by holders, the others by owners.
inline constexpr uint64_t kHolderTokenBit = uint64_t{1} << 63;

// Positions in this process's tables.  Never on the wire.  A position is reused once nothing refers
// to it.
enum class ObjectIndex : uint32_t {};
enum class ImportIndex : uint32_t {};
enum class PeerIndex : uint32_t {};

constexpr uint32_t Raw(ObjectIndex i) { return static_cast<uint32_t>(i); }
constexpr uint32_t Raw(ImportIndex i) { return static_cast<uint32_t>(i); }
constexpr uint32_t Raw(PeerIndex i) { return static_cast<uint32_t>(i); }
constexpr uint64_t Raw(Incarnation i) { return static_cast<uint64_t>(i); }
constexpr uint64_t Raw(SequenceNumber i) { return static_cast<uint64_t>(i); }
constexpr uint64_t Raw(TransitToken i) { return static_cast<uint64_t>(i); }

// What a local reference points at: an object of this process, or an import.
// One word, because every edge of every object is one.
class Target {
 public:
  constexpr Target() = default;
  constexpr explicit Target(ObjectIndex object) : word_(Raw(object)) {}
  constexpr explicit Target(ImportIndex import) : word_(Raw(import) | kImportBit) {}

  constexpr bool is_import() const { return (word_ & kImportBit) != 0; }
  // REQUIRES: !is_import().
  constexpr ObjectIndex object() const { return ObjectIndex{word_}; }
  // REQUIRES: is_import().
  constexpr ImportIndex import() const { return ImportIndex{word_ & ~kImportBit}; }

  friend auto operator<=>(const Target&, const Target&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const Target& target) {
    return H::combine(std::move(state), target.word_);
  }

 private:
  static constexpr uint32_t kImportBit = uint32_t{1} << 31;
  uint32_t word_ = 0;
};

// For logs and error texts: 32 hexadecimal digits.
std::string ToHex(uint64_t high, uint64_t low);
template <typename Tag>
std::string ToHex(const Id128<Tag>& id) {
  return ToHex(id.high, id.low);
}

// The finalizer of splitmix64: a bijection that spreads every bit.  (Steele, Lea, Flood 2014.)
constexpr uint64_t Mix(uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9u;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebu;
  x ^= x >> 31;
  return x;
}

}  // namespace dgc
