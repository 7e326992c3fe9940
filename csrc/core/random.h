// Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random
// numbers: as easy as 1, 2, 3", SC 2011), bit for bit the function of that name in Random123.
//
// A key is 64 bits. A value is a function of (key, purpose, element index) alone, so neither the
// number of threads nor the device, nor what was drawn before, can change it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace samara::random {

// Raised whenever a value that some key gives changes.
inline constexpr int kAlgorithmVersion = 1;

struct Block {
  uint32_t word[4];
  bool operator==(const Block&) const = default;
};

[[gnu::always_inline]] constexpr inline void philox_round(uint32_t& c0, uint32_t& c1, uint32_t& c2,
                                                          uint32_t& c3, uint32_t k0, uint32_t k1) {
  const uint64_t product0 = uint64_t{0xD2511F53} * c0;
  const uint64_t product1 = uint64_t{0xCD9E8D57} * c2;
  c0 = static_cast<uint32_t>(product1 >> 32) ^ c1 ^ k0;
  c1 = static_cast<uint32_t>(product1);
  c2 = static_cast<uint32_t>(product0 >> 32) ^ c3 ^ k1;
  c3 = static_cast<uint32_t>(product0);
}

// Ten rounds; the key is raised by a Weyl sequence between them.
[[gnu::always_inline]] constexpr inline void philox_rounds(uint32_t& c0, uint32_t& c1, uint32_t& c2,
                                                           uint32_t& c3, uint64_t key) {
  uint32_t k0 = static_cast<uint32_t>(key);
  uint32_t k1 = static_cast<uint32_t>(key >> 32);
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    philox_round(c0, c1, c2, c3, k0, k1);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

[[gnu::always_inline]] constexpr inline Block philox4x32(Block counter, uint64_t key) {
  philox_rounds(counter.word[0], counter.word[1], counter.word[2], counter.word[3], key);
  return counter;
}

// What numbers are drawn for is the counter's last word, so that two kinds of draws with one key
// have nothing to do with each other.
enum class Purpose : uint32_t {
  bits = 0,
  uniform = 1,
  normal = 2,
  integers = 3,
  permutation = 4,
  dropout = 5,
  fold = 6,
  fold_name = 7,
};

// The counter of the block with that number: (number, number >> 32, 0, purpose).
[[gnu::always_inline]] constexpr inline Block block_counter(uint64_t number, Purpose purpose) {
  return {{static_cast<uint32_t>(number), static_cast<uint32_t>(number >> 32), 0,
           static_cast<uint32_t>(purpose)}};
}

// Blocks are consumed sixteen at a time, a group, and the group's words are laid out word by word:
//   32-bit draw i: word (i % 64) / 16 of block 16 * (i / 64) + i % 16,
//   64-bit draw i: words 2h and 2h + 1 (low, high), h = (i % 32) / 16, of block 16 * (i / 32) + i %
//   16, 128-bit draw i: the four words of block i.
// So a vector of consecutive elements comes from a vector of blocks, with nothing to shuffle.
inline constexpr int kLanes = 16;
inline constexpr int kGroupWords = 4 * kLanes;

// A key derived from `key` and a number: the first two words of Philox at counter `number`.
constexpr uint64_t fold(uint64_t key, uint64_t number, Purpose purpose = Purpose::fold) {
  const Block block = philox4x32(block_counter(number, purpose), key);
  return block.word[0] | uint64_t{block.word[1]} << 32;
}

// A key derived from `key` and a text: its UTF-8 bytes are folded in eight at a time
// (little-endian, the last padded with zeros), then its length.
constexpr uint64_t fold(uint64_t key, std::string_view text) {
  for (size_t start = 0; start < text.size(); start += 8) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < 8 && start + i < text.size(); ++i)
      bytes |= uint64_t{static_cast<unsigned char>(text[start + i])} << (8 * i);
    key = fold(key, bytes, Purpose::fold_name);
  }
  return fold(key, text.size(), Purpose::fold_name);
}

}  // namespace samara::random
