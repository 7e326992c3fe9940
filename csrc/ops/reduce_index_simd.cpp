// The loops of argmax and argmin.
#include "ops/reduce_index.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "ops/lanes.h"

namespace samara::SAMARA_ISA {
namespace {

using namespace lanes;

template <class L>
inline constexpr bool kHasNan = false;
template <>
inline constexpr bool kHasNan<float> = true;
template <>
inline constexpr bool kHasNan<double> = true;

// The first element beats no other: the extremum is looked for from there.
template <bool kLargest, class V>
SAMARA_FUNCTION auto beats(V a, V b) {
  if constexpr (kLargest)
    return a > b;
  else
    return a < b;
}

// One bit for each byte of a comparison's result that holds.
template <class M>
SAMARA_FUNCTION uint64_t byte_mask(const M& comparison) {
#if defined(__AVX512BW__)
  __m512i bits;
  __builtin_memcpy(&bits, &comparison, sizeof(bits));
  return _mm512_movepi8_mask(bits);
#elif defined(__AVX2__)
  __m256i bits;
  __builtin_memcpy(&bits, &comparison, sizeof(bits));
  return static_cast<uint32_t>(_mm256_movemask_epi8(bits));
#elif defined(__SSE2__)
  __m128i bits;
  __builtin_memcpy(&bits, &comparison, sizeof(bits));
  return static_cast<uint32_t>(_mm_movemask_epi8(bits));
#else
  uint64_t mask = 0;
  signed char bytes[sizeof(comparison)];
  __builtin_memcpy(bytes, &comparison, sizeof(comparison));
  for (int i = 0; i < static_cast<int>(sizeof(comparison)); ++i)
    mask |= static_cast<uint64_t>(bytes[i] < 0) << i;
  return mask;
#endif
}

// The first position at which `test` holds for a vector of elements; there is one.
template <class L, class T, class Test>
SAMARA_FUNCTION int64_t first_where(const T* x, int64_t n, Test&& test) {
  constexpr int W = kLanes<L>;
  int64_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W) {
    const auto a = test(load_vector<L, W>(x + i));
    const auto b = test(load_vector<L, W>(x + i + W));
    const auto c = test(load_vector<L, W>(x + i + 2 * W));
    const auto d = test(load_vector<L, W>(x + i + 3 * W));
    if (byte_mask((a | b) | (c | d)) != 0) break;
  }
  for (; i + W <= n; i += W)
    if (const uint64_t mask = byte_mask(test(load_vector<L, W>(x + i))); mask != 0)
      return i + __builtin_ctzll(mask) / static_cast<int>(sizeof(L));
  const uint64_t mask = byte_mask(test(load_vector<L, W>(x + n - W)));
  return n - W + __builtin_ctzll(mask) / static_cast<int>(sizeof(L));
}

template <bool kLargest, class T>
SAMARA_FUNCTION int64_t place_plain(const T* x, int64_t n, int64_t stride) {
  using L = Compute<T>;
  int64_t place = 0;
  L best = load(x);
  for (int64_t i = 1; i < n; ++i) {
    const L value = load(x + i * stride);
    bool wins = beats<kLargest>(value, best);
    if constexpr (kHasNan<L>) wins = (wins | (value != value)) & (best == best);
    if (wins) {
      best = value;
      place = i;
    }
  }
  return place;
}

// A vector's extremum: the upper half joins the lower one until a number is left.
template <bool kLargest, class L, int kCount>
SAMARA_FUNCTION L fold_extremum(const Vector<L, kCount>& v) {
  if constexpr (kCount == 1) {
    return v[0];
  } else {
    Vector<L, kCount / 2> half[2];
    __builtin_memcpy(half, &v, sizeof(v));
    return fold_extremum<kLargest, L, kCount / 2>(beats<kLargest>(half[1], half[0]) ? half[1]
                                                                                    : half[0]);
  }
}

template <bool kLargest, class T>
SAMARA_FUNCTION int64_t place_in_row(const T* x, int64_t n) {
  using L = Compute<T>;
  constexpr int W = kLanes<L>;
  using V = Vector<L, W>;
  if (n < W) return place_plain<kLargest>(x, n, 1);
  V best[4];
  for (V& b : best) b = load_vector<L, W>(x);
  auto nan = best[0] != best[0];
  const auto add = [&](int64_t i, V& b) {
    const V v = load_vector<L, W>(x + i);
    b = beats<kLargest>(v, b) ? v : b;
    if constexpr (kHasNan<L>) nan |= v != v;
  };
  int64_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W)
    for (int k = 0; k < 4; ++k) add(i + k * W, best[k]);
  for (; i + W <= n; i += W) add(i, best[0]);
  add(n - W, best[1]);
  if constexpr (kHasNan<L>)
    if (byte_mask(nan) != 0) return first_where<L>(x, n, [](const V& v) { return v != v; });
  for (int k = 0; k < 2; ++k)
    best[k] = beats<kLargest>(best[k + 2], best[k]) ? best[k + 2] : best[k];
  const V joined = beats<kLargest>(best[1], best[0]) ? best[1] : best[0];
  const V extremum = V{} + fold_extremum<kLargest, L, W>(joined);
  return first_where<L>(x, n, [&](const V& v) { return v == extremum; });
}

template <bool kLargest, class T>
void index_rows(const void* source, const RowsView& view, int64_t* position, void* values) {
  const T* x = static_cast<const T*>(source);
  for (int64_t r = 0; r < view.rows; ++r, x += view.row_stride) {
    position[r] = view.stride == 1 ? place_in_row<kLargest>(x, view.n)
                                   : place_plain<kLargest>(x, view.n, view.stride);
    if (values) static_cast<T*>(values)[r] = x[position[r] * view.stride];
  }
}

inline constexpr int64_t kColumnBlock = 512;
inline constexpr int64_t kRowBlock = 64;

// Rows [begin, end) against what was best before them, for kVectors vectors of columns, or with
// kCount = 1 for single columns.
template <bool kLargest, int kVectors, int kCount, class L, class Place, class T>
SAMARA_FUNCTION void index_strip(const T* x, int64_t begin, int64_t end, int64_t stride, L* best,
                                 Place* place) {
  using V = Vector<L, kCount>;
  using P = Vector<Place, kCount>;
  V extremum[kVectors];
  P found[kVectors];
  for (int k = 0; k < kVectors; ++k) {
    extremum[k] = raw_vector<V>(best + k * kCount);
    found[k] = raw_vector<P>(place + k * kCount);
  }
  for (int64_t r = begin; r < end; ++r) {
    const P row = P{} + static_cast<Place>(r);
    for (int k = 0; k < kVectors; ++k) {
      const V v = load_vector<L, kCount>(x + r * stride + k * kCount);
      P wins = beats<kLargest>(v, extremum[k]);
      if constexpr (kHasNan<L>) wins = (wins | (P)(v != v)) & (P)(extremum[k] == extremum[k]);
      found[k] = wins ? row : found[k];
      extremum[k] = wins ? v : extremum[k];
    }
  }
  for (int k = 0; k < kVectors; ++k) {
    __builtin_memcpy(best + k * kCount, &extremum[k], sizeof(V));
    __builtin_memcpy(place + k * kCount, &found[k], sizeof(P));
  }
}

// Up to kColumnBlock columns, whose rows are few enough for places of the numbers' size.
template <bool kLargest, class T>
void index_column_block(const T* x, int64_t width, int64_t n, int64_t stride, int64_t* position) {
  using L = Compute<T>;
  using Place = typename SignedOf<static_cast<int>(sizeof(L))>::type;
  constexpr int W = kLanes<L>;
  L best[kColumnBlock];
  Place place[kColumnBlock];
  for (int64_t j = 0; j < width; ++j) {
    best[j] = load(x + j);
    place[j] = 0;
  }
  for (int64_t begin = 1; begin < n; begin += kRowBlock) {
    const int64_t end = n - begin < kRowBlock ? n : begin + kRowBlock;
    int64_t j = 0;
    for (; j + 4 * W <= width; j += 4 * W)
      index_strip<kLargest, 4, W>(x + j, begin, end, stride, best + j, place + j);
    for (; j + W <= width; j += W)
      index_strip<kLargest, 1, W>(x + j, begin, end, stride, best + j, place + j);
    if (j < width && width >= W) {
      // The last vector, part of which has these rows behind it: an equal element wins nothing.
      j = width - W;
      index_strip<kLargest, 1, W>(x + j, begin, end, stride, best + j, place + j);
    } else {
      for (; j < width; ++j)
        index_strip<kLargest, 1, 1>(x + j, begin, end, stride, best + j, place + j);
    }
  }
  for (int64_t j = 0; j < width; ++j) position[j] = place[j];
}

template <bool kLargest, class T>
void index_columns(const void* source, const ColumnsView& view, int64_t* position, void* values) {
  const T* x = static_cast<const T*>(source);
  if constexpr (sizeof(Compute<T>) >= 4) {
    if (view.n < INT32_MAX)
      for (int64_t j = 0; j < view.columns; j += kColumnBlock)
        index_column_block<kLargest>(
            x + j, view.columns - j < kColumnBlock ? view.columns - j : kColumnBlock, view.n,
            view.row_stride, position + j);
  }
  if (sizeof(Compute<T>) < 4 || view.n >= INT32_MAX)
    for (int64_t j = 0; j < view.columns; ++j)
      position[j] = place_plain<kLargest>(x + j, view.n, view.row_stride);
  if (values)
    for (int64_t j = 0; j < view.columns; ++j)
      static_cast<T*>(values)[j] = x[position[j] * view.row_stride + j];
}

template <class T>
constexpr void fill(IndexKernels& table) {
  constexpr int index = static_cast<int>(DTypeOf<T>::dtype);
  table.largest[index] = {index_rows<true, T>, index_columns<true, T>};
  table.smallest[index] = {index_rows<false, T>, index_columns<false, T>};
}

template <class... T>
constexpr IndexKernels make_table() {
  IndexKernels table{};
  (fill<T>(table), ...);
  constexpr int boolean = static_cast<int>(DType::boolean), byte = static_cast<int>(DType::uint8);
  table.largest[boolean] = table.largest[byte];
  table.smallest[boolean] = table.smallest[byte];
  return table;
}

}  // namespace

extern const IndexKernels index_kernels;
constinit const IndexKernels index_kernels =
    make_table<uint8_t, uint16_t, uint32_t, uint64_t, int8_t, int16_t, int32_t, int64_t, Float16,
               BFloat16, float, double>();

}  // namespace samara::SAMARA_ISA
