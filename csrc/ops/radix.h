// A stable radix sort, least significant digit first, with the work of each pass cut into blocks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "cpu/threads.h"

namespace samara {

// Below this many items a comparison sort is faster.
inline constexpr int64_t kRadixMinimum = 192;

// Sorts n items by bits [first, first + bits) of key(item) and returns where the result lies:
// `items` or `scratch`. The blocks depend on n alone, so the result never depends on the number of
// threads.
template <class Item, class Key>
Item* radix_sort(Item* items, Item* scratch, int64_t n, int first, int bits, Key key) {
  // Wide digits make fewer passes, narrow ones have fewer buckets to clear and sum.
  const int digit = n < 8192 ? 8 : 11;
  const int64_t buckets = int64_t{1} << digit;
  const int64_t blocks = std::clamp<int64_t>(n / 65536, 1, 16);
  const int64_t per_block = (n + blocks - 1) / blocks;
  int64_t few[256];
  std::vector<int64_t> many(digit == 8 ? 0 : static_cast<size_t>(blocks * buckets));
  int64_t* counts = digit == 8 ? few : many.data();
  for (int shift = first; shift < first + bits; shift += digit) {
    const int width = std::min(digit, first + bits - shift);
    const uint64_t mask = (uint64_t{1} << width) - 1;
    std::fill(counts, counts + blocks * buckets, 0);
    parallel_tiles(blocks, [&](int64_t block) {
      int64_t* count = counts + block * buckets;
      const int64_t end = std::min(n, (block + 1) * per_block);
      for (int64_t i = block * per_block; i < end; ++i) ++count[key(items[i]) >> shift & mask];
    });
    // Each block's first place in each bucket.
    int64_t place = 0;
    bool one_bucket = false;
    for (int64_t bucket = 0; bucket < buckets; ++bucket) {
      const int64_t start = place;
      for (int64_t block = 0; block < blocks; ++block) {
        int64_t& count = counts[block * buckets + bucket];
        place += std::exchange(count, place);
      }
      one_bucket |= place - start == n;
    }
    if (one_bucket) continue;
    parallel_tiles(blocks, [&](int64_t block) {
      int64_t* next = counts + block * buckets;
      const int64_t end = std::min(n, (block + 1) * per_block);
      for (int64_t i = block * per_block; i < end; ++i)
        scratch[next[key(items[i]) >> shift & mask]++] = items[i];
    });
    std::swap(items, scratch);
  }
  return items;
}

}  // namespace samara
