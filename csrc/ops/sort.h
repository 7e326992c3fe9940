// Sorting of rows: the kernels' table and the order they share.
//
// A row is turned into unsigned words whose order is the elements' order, the words are sorted, and
// the result is read off the words. Without indices a word is the element itself; with indices it
// holds the element's key above the element's place, so that no two words are equal and the sorted
// order is one, whichever way the words are sorted.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace samara {

// How a key and a place share a word: key - base in the upper bits, the place in the lower ones.
struct WordLayout {
  uint64_t base = 0;
  int place_bits = 32;
  bool descending = false;
};

// Range of the keys of a row.
struct KeyRange {
  uint64_t low, high;
};

template <class Word>
struct RowKernels {
  // Elements as words, all of them distinguishable but NaNs. Returns whether there is a NaN or a
  // negative zero: then the sorted values must be taken from the row itself.
  bool (*load)(const void* x, int64_t n, bool descending, Word* words) = nullptr;
  // Elements back from such words.
  void (*store)(const Word* words, int64_t n, bool descending, void* values) = nullptr;
  // Key and place in each word, equal elements having equal keys. Returns as `load` does.
  bool (*load_places)(const void* x, int64_t n, const WordLayout& layout, Word* words) = nullptr;
  // Places, and unless null the values, from such words.
  void (*store_places)(const Word* words, int64_t n, const WordLayout& layout, void* values,
                       int64_t* places) = nullptr;
};

// What there is for one dtype. Elements of 8 bytes have no words of 4.
struct SortKernels {
  int key_bits = 0;
  RowKernels<uint32_t> narrow;
  RowKernels<uint64_t> wide;
  KeyRange (*range)(const void* x, int64_t n, bool descending) = nullptr;
};

struct SortTable {
  SortKernels row[kDTypeCount];
  // Sort words where the instruction set has a vectorised sort; else null.
  void (*narrow)(uint32_t* words, int64_t n) = nullptr;
  void (*wide)(uint64_t* words, int64_t n) = nullptr;
  // Sorts keys and moves the places with them; equal keys in any order.
  void (*pairs)(uint64_t* keys, uint64_t* places, int64_t n) = nullptr;
};
namespace baseline {
extern const SortTable sort_table;
}
namespace v3 {
extern const SortTable sort_table;
}
namespace v4 {
extern const SortTable sort_table;
}

}  // namespace samara
