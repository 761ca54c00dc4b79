#include "dgc/core/client_key.h"

#include <bit>
#include <string>

namespace dgc {
namespace {

// The names are those of the paper, section 2.
struct State {
  uint64_t v0, v1, v2, v3;

  void Round() {
    v0 += v1;
    v2 += v3;
    v1 = std::rotl(v1, 13) ^ v0;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 = std::rotl(v0, 32);
    v2 += v1;
    v0 += v3;
    v1 = std::rotl(v1, 17) ^ v2;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 = std::rotl(v2, 32);
  }
  void Compress(uint64_t word) {
    v3 ^= word;
    Round();
    Round();
    v0 ^= word;
  }
};

// At most eight bytes.
uint64_t LittleEndian(std::string_view bytes) {
  uint64_t word = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    word |= uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  return word;
}

void AppendLittleEndian(uint64_t word, std::string* text) {
  for (int shift = 0; shift < 64; shift += 8) text->push_back(static_cast<char>(word >> shift));
}

}  // namespace

uint64_t SipHash24(uint64_t k0, uint64_t k1, std::string_view bytes) {
  State state{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
              k1 ^ 0x7465646279746573};
  const uint64_t length = uint64_t{bytes.size()} << 56;
  for (; bytes.size() >= 8; bytes.remove_prefix(8))
    state.Compress(LittleEndian(bytes.substr(0, 8)));
  state.Compress(LittleEndian(bytes) | length);
  state.v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) state.Round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

ClientKeys::ClientKeys(Random* random)
    : high_{random->Next(), random->Next()}, low_{random->Next(), random->Next()} {}

ClientKey ClientKeys::Hash(std::string_view text) const {
  return {SipHash24(high_.k0, high_.k1, text), SipHash24(low_.k0, low_.k1, text)};
}

// The words come last and are of fixed size, so that no two pairs make the same text.
ClientKey ClientKeys::For(std::string_view owner, Incarnation incarnation) const {
  std::string text(owner);
  AppendLittleEndian(Raw(incarnation), &text);
  return Hash(text);
}

ClientKey ClientKeys::BoundTo(std::string_view peer, const ClientKey& key) const {
  std::string text(peer);
  AppendLittleEndian(key.high, &text);
  AppendLittleEndian(key.low, &text);
  return Hash(text);
}

}  // namespace dgc
