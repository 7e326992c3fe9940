// Elements to words and back, and the vectorised sort of words: x86-simd-sort.
//
// x86-simd-sort uses standard algorithms, against the rule of cpu/isa.h. It is safe because its own
// templates are instances over the vector types of one instruction set, and of the instances of
// standard templates the linker keeps the weakest instruction set's.
#include "ops/sort.h"

#include "cpu/math.h"

#if defined(__AVX2__)
// GCC takes the undefined operand of masked intrinsics for an uninitialized variable.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <x86-simd-sort/x86simdsort-static-incl.h>
#endif

namespace samara::SAMARA_ISA {
namespace {

template <int kBytes>
struct Unsigned;
template <>
struct Unsigned<1> {
  using type = uint8_t;
};
template <>
struct Unsigned<2> {
  using type = uint16_t;
};
template <>
struct Unsigned<4> {
  using type = uint32_t;
};
template <>
struct Unsigned<8> {
  using type = uint64_t;
};
template <class T>
using KeyOf = typename Unsigned<sizeof(T)>::type;

// The bits of infinity; 0 for types without one.
template <class T>
inline constexpr uint64_t kInfinity = 0;
template <>
inline constexpr uint64_t kInfinity<Float16> = 0x7C00u;
template <>
inline constexpr uint64_t kInfinity<BFloat16> = 0x7F80u;
template <>
inline constexpr uint64_t kInfinity<float> = 0x7F800000u;
template <>
inline constexpr uint64_t kInfinity<double> = 0x7FF0000000000000u;

template <class T>
inline constexpr bool kIsFloat = kInfinity<T> != 0;
template <class T>
inline constexpr bool kIsSigned = false;
template <>
inline constexpr bool kIsSigned<int8_t> = true;
template <>
inline constexpr bool kIsSigned<int16_t> = true;
template <>
inline constexpr bool kIsSigned<int32_t> = true;
template <>
inline constexpr bool kIsSigned<int64_t> = true;

template <class T>
struct Order {
  using Key = KeyOf<T>;
  static constexpr Key kSign = static_cast<Key>(Key{1} << (sizeof(T) * 8 - 1));
  static constexpr Key kLast = static_cast<Key>(~Key{0});

  SAMARA_FUNCTION Key bits_of(const void* x, int64_t i) {
    Key bits;
    __builtin_memcpy(&bits, static_cast<const Key*>(x) + i, sizeof(bits));
    return bits;
  }
  // A NaN or a negative zero, which a key does not tell from its equals.
  SAMARA_FUNCTION bool is_special(Key bits) {
    if constexpr (kIsFloat<T>) {
      const Key magnitude = static_cast<Key>(bits & static_cast<Key>(~kSign));
      return (magnitude > static_cast<Key>(kInfinity<T>)) | (bits == kSign);
    } else {
      return false;
    }
  }
  // Larger keys for larger elements; NaN last. With kMerged both zeros have one key.
  template <bool kMerged>
  SAMARA_FUNCTION Key key(Key bits) {
    if constexpr (kIsFloat<T>) {
      const Key magnitude = static_cast<Key>(bits & static_cast<Key>(~kSign));
      const Key flip = bits & kSign ? kLast : kSign;
      Key result = static_cast<Key>(bits ^ flip);
      if constexpr (kMerged) result = bits == kSign ? kSign : result;
      return magnitude > static_cast<Key>(kInfinity<T>) ? kLast : result;
    } else if constexpr (kIsSigned<T>) {
      return static_cast<Key>(bits ^ kSign);
    } else {
      return bits;
    }
  }
  SAMARA_FUNCTION Key bits_of_key(Key key) {
    if constexpr (kIsFloat<T>)
      return static_cast<Key>(key ^ (key & kSign ? kSign : kLast));
    else if constexpr (kIsSigned<T>)
      return static_cast<Key>(key ^ kSign);
    else
      return key;
  }
};

template <class T, class Word>
bool load(const void* x, int64_t n, bool descending, Word* words) {
  using O = Order<T>;
  using Key = typename O::Key;
  const Key flip = descending ? O::kLast : Key{0};
  Key special = 0;
  for (int64_t i = 0; i < n; ++i) {
    const Key bits = O::bits_of(x, i);
    special = static_cast<Key>(special | static_cast<Key>(O::is_special(bits)));
    words[i] = static_cast<Key>(O::template key<false>(bits) ^ flip);
  }
  return special != 0;
}

template <class T, class Word>
void store(const Word* words, int64_t n, bool descending, void* values) {
  using O = Order<T>;
  using Key = typename O::Key;
  const Key flip = descending ? O::kLast : Key{0};
  Key* out = static_cast<Key*>(values);
  for (int64_t i = 0; i < n; ++i)
    out[i] = O::bits_of_key(static_cast<Key>(static_cast<Key>(words[i]) ^ flip));
}

template <class T, class Word>
bool load_places(const void* x, int64_t n, const WordLayout& layout, Word* words) {
  using O = Order<T>;
  using Key = typename O::Key;
  const Key flip = layout.descending ? O::kLast : Key{0};
  const Word base = static_cast<Word>(layout.base);
  const int shift = layout.place_bits;
  Key special = 0;
  for (int64_t i = 0; i < n; ++i) {
    const Key bits = O::bits_of(x, i);
    special = static_cast<Key>(special | static_cast<Key>(O::is_special(bits)));
    const Word key = static_cast<Key>(O::template key<true>(bits) ^ flip);
    words[i] = static_cast<Word>(key - base) << shift | static_cast<Word>(i);
  }
  return special != 0;
}

template <class T, class Word>
void store_places(const Word* words, int64_t n, const WordLayout& layout, void* values,
                  int64_t* places) {
  using O = Order<T>;
  using Key = typename O::Key;
  const Key flip = layout.descending ? O::kLast : Key{0};
  const Word base = static_cast<Word>(layout.base);
  const int shift = layout.place_bits;
  const Word mask = static_cast<Word>((Word{1} << shift) - 1);
  Key* out = static_cast<Key*>(values);
  if (out)
    for (int64_t i = 0; i < n; ++i) {
      const Key key = static_cast<Key>((words[i] >> shift) + base);
      out[i] = O::bits_of_key(static_cast<Key>(key ^ flip));
    }
  if (places)
    for (int64_t i = 0; i < n; ++i) places[i] = static_cast<int64_t>(words[i] & mask);
}

template <class T>
KeyRange range(const void* x, int64_t n, bool descending) {
  using O = Order<T>;
  using Key = typename O::Key;
  const Key flip = descending ? O::kLast : Key{0};
  Key low = O::kLast, high = 0;
  for (int64_t i = 0; i < n; ++i) {
    const Key key = static_cast<Key>(O::template key<true>(O::bits_of(x, i)) ^ flip);
    low = key < low ? key : low;
    high = key > high ? key : high;
  }
  return {low, high};
}

template <class T, class Word>
constexpr RowKernels<Word> row_kernels() {
  return {load<T, Word>, store<T, Word>, load_places<T, Word>, store_places<T, Word>};
}

template <class T>
constexpr void fill(SortTable& table) {
  SortKernels& row = table.row[static_cast<int>(DTypeOf<T>::dtype)];
  row.key_bits = 8 * static_cast<int>(sizeof(T));
  row.range = range<T>;
  row.wide = row_kernels<T, uint64_t>();
  if constexpr (sizeof(T) <= 4) row.narrow = row_kernels<T, uint32_t>();
}

#if defined(__AVX2__)
#if defined(__AVX512VL__) && defined(__AVX512DQ__)
template <class Word>
using SortVector = zmm_vector<Word>;
#else
template <class Word>
using SortVector = avx2_vector<Word>;
#endif

template <class Word>
void sort_words(Word* words, int64_t n) {
  xss_qsort<SortVector<Word>, Word, false>(words, static_cast<arrsize_t>(n), false);
}
void sort_pairs(uint64_t* keys, uint64_t* places, int64_t n) {
  x86simdsortStatic::keyvalue_qsort(keys, places, static_cast<size_t>(n), false, false);
}
#endif

template <class... T>
constexpr SortTable make_table() {
  SortTable table{};
  (fill<T>(table), ...);
#if defined(__AVX2__)
  table.narrow = sort_words<uint32_t>;
  table.wide = sort_words<uint64_t>;
  table.pairs = sort_pairs;
#endif
  return table;
}

}  // namespace

extern const SortTable sort_table;
constinit const SortTable sort_table =
    make_table<bool, uint8_t, uint16_t, uint32_t, uint64_t, int8_t, int16_t, int32_t, int64_t,
               Float16, BFloat16, float, double>();

}  // namespace samara::SAMARA_ISA
