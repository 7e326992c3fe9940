// Vectors over a row of windows or over channels, for the kernels of pooling.
//
// Included by pool_*_simd.cpp files only.
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "ops/lanes.h"
#include "ops/pool.h"

namespace samara {
namespace {
namespace lanes {

// Numbers as wide as those of L, for positions and masks.
template <class L>
using IndexOf = typename SignedOf<sizeof(L)>::type;

// Asks for memory some time before it is read or written: the hardware does not foresee the way
// windows move over several rows, and its waiting would take most of the time.
template <class T>
SAMARA_FUNCTION void fetch_ahead(const T* p) {
  constexpr int kBytes = 4096;
  __builtin_prefetch(reinterpret_cast<const char*>(p) + kBytes);
}

// kCount numbers p[0], p[stride], ... as L. kStride 0: any stride.
template <class L, int kCount, int kStride, class T>
SAMARA_FUNCTION Vector<L, kCount> take(const T* p, int64_t stride) {
  if constexpr (kStride == 1 || kCount == 1) {
    return load_vector<L, kCount>(p);
  } else if constexpr (kStride == 2) {
    // The second half ends with the last number wanted, so nothing behind it is read.
    const auto a = load_vector<L, kCount>(p);
    const auto b = load_vector<L, kCount>(p + kCount - 1);
    Vector<IndexOf<L>, kCount> from;
    for (int i = 0; i < kCount; ++i) from[i] = 2 * i < kCount ? 2 * i : 2 * i + 1;
    return __builtin_shuffle(a, b, from);
  } else {
    Vector<L, kCount> v;
    for (int i = 0; i < kCount; ++i) v[i] = static_cast<L>(load(p + i * stride));
    return v;
  }
}

// kCount positions as numbers of L's width.
template <class L, int kCount, class P>
SAMARA_FUNCTION Vector<IndexOf<L>, kCount> load_positions(const P* p) {
  using I [[maybe_unused]] = Vector<IndexOf<L>, kCount>;
#if defined(__AVX512F__)
  // Written out: compilers widen bytes one by one.
  if constexpr (sizeof(P) == 1 && sizeof(I) == 64) {
    if constexpr (sizeof(L) == 4)
      return (I)_mm512_maskz_cvtepu8_epi32(0xFFFF,
                                           _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    else
      return (I)_mm512_maskz_cvtepu8_epi64(0xFF, _mm_loadu_si64(p));
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(P) == 1 && sizeof(I) == 32 && sizeof(L) == 4)
    return (I)_mm256_cvtepu8_epi32(_mm_loadu_si64(p));
#endif
#if defined(__AVX2__)
  if constexpr (sizeof(P) == 1 && sizeof(I) == 16 && sizeof(L) == 4) {
    int four;
    __builtin_memcpy(&four, p, sizeof(four));
    return (I)_mm_cvtepu8_epi32(_mm_cvtsi32_si128(four));
  }
#endif
  return load_vector<IndexOf<L>, kCount>(p);
}

template <class T, class L, int kCount>
SAMARA_FUNCTION void put(T* p, const Vector<L, kCount>& v) {
  if constexpr (__is_same(T, L)) {
    __builtin_memcpy(p, &v, sizeof(v));
  } else if constexpr (__is_same(T, BFloat16) || __is_same(T, Float16)) {
    const auto narrow = __builtin_convertvector(v, Vector<float, kCount>);
    float lane[kCount];
    __builtin_memcpy(lane, &narrow, sizeof(narrow));
    for (int i = 0; i < kCount; ++i) store(p + i, lane[i]);
  } else {
    const auto narrow = __builtin_convertvector(v, Vector<T, kCount>);
    __builtin_memcpy(p, &narrow, sizeof(narrow));
  }
}

// Past the cache where that is asked for and possible; `finish_streams` ends it.
template <class T, class L, int kCount>
SAMARA_FUNCTION void put(T* p, const Vector<L, kCount>& v, [[maybe_unused]] bool streams) {
#if defined(__AVX512F__)
  if constexpr (__is_same(T, L) && sizeof(v) == 64) {
    if (streams) return _mm512_stream_si512(reinterpret_cast<__m512i*>(p), (__m512i)v);
  }
#elif defined(__AVX2__)
  if constexpr (__is_same(T, L) && sizeof(v) == 32) {
    if (streams) return _mm256_stream_si256(reinterpret_cast<__m256i*>(p), (__m256i)v);
  }
#endif
  put<T, L, kCount>(p, v);
}
SAMARA_FUNCTION void finish_streams([[maybe_unused]] bool streams) {
#if defined(__AVX2__)
  if (streams) _mm_sfence();
#endif
}

// v[r][i] to p[i * kStride + r].
template <class T, class L, int kCount, int kStride>
SAMARA_FUNCTION void put_classes(T* p, const Vector<L, kCount> (&v)[kStride]) {
  if constexpr (kStride == 1) {
    put<T, L, kCount>(p, v[0]);
  } else {
    Vector<IndexOf<L>, kCount> low, high;
    for (int i = 0; i < kCount; ++i) {
      low[i] = i / 2 + i % 2 * kCount;
      high[i] = low[i] + kCount / 2;
    }
    put<T, L, kCount>(p, __builtin_shuffle(v[0], v[1], low));
    put<T, L, kCount>(p + kCount, __builtin_shuffle(v[0], v[1], high));
  }
}

// Calls body.operator()<kCount>(i) for vectors of kCount numbers that together cover [0, n); the
// last one of a kind may do some numbers again.
template <int kCount, class Body>
SAMARA_FUNCTION void cover(int64_t n, Body&& body) {
  if constexpr (kCount == 1) {
    for (int64_t i = 0; i < n; ++i) body.template operator()<1>(i);
  } else {
    if (n < kCount) return cover<(kCount > 4 ? 4 : 1)>(n, body);
    int64_t i = 0;
    for (; i + kCount <= n; i += kCount) body.template operator()<kCount>(i);
    if (i < n) body.template operator()<kCount>(n - kCount);
  }
}

// Channels in blocks of several vectors, then vectors, then what is left.
template <class L, class Body>
SAMARA_FUNCTION void channel_blocks(int64_t channels, Body&& body) {
  constexpr int W = kLanes<L>;
  int64_t c = 0;
  for (; c + 4 * W <= channels; c += 4 * W) body.template operator()<W, 4>(c);
  if (channels - c >= 2 * W) {
    body.template operator()<W, 2>(c);
    c += 2 * W;
  }
  if (c == channels) return;
  if (channels >= W && channels - c < W) return body.template operator()<W, 1>(channels - W);
  cover<W>(channels - c,
           [&]<int kCount>(int64_t i) { body.template operator()<kCount, 1>(c + i); });
}

// Where output row `row` of all images lies: its image, and its place along z and y.
struct PoolRow {
  int64_t image, z, y;
  SAMARA_FUNCTION PoolRow of(int64_t row, int64_t depth, int64_t height) {
    return {row / (depth * height), row / height % depth, row % height};
  }
};

// Calls body(first position of the row, offset of the row's input 0 in the plane) for each row
// of inputs that window (oz, oy) covers.
template <class Body>
SAMARA_FUNCTION void window_rows(const PoolShape& shape, int64_t oz, int64_t oy, Body&& body) {
  const PoolAxis &az = shape.axis[0], &ay = shape.axis[1], &ax = shape.axis[2];
  for (int64_t kz = az.first[oz]; kz < az.last[oz]; ++kz) {
    const int64_t z = az.start[oz] + kz * az.dilation;
    for (int64_t ky = ay.first[oy]; ky < ay.last[oy]; ++ky) {
      const int64_t y = ay.start[oy] + ky * ay.dilation;
      body((kz * ay.kernel + ky) * ax.kernel, (z * ay.in + y) * ax.in);
    }
  }
}

// Calls body(first position of the row, offset of the row of windows) for each row of windows that
// may cover inputs (z, y), in order.
template <class Body>
SAMARA_FUNCTION void covering_rows(const PoolShape& shape, int64_t z, int64_t y, Body&& body) {
  const PoolAxis &az = shape.axis[0], &ay = shape.axis[1], &ax = shape.axis[2];
  for (int64_t oz = az.low[z]; oz < az.high[z]; ++oz) {
    int64_t kz, ky;
    if (!az.position(oz, z, kz)) continue;
    for (int64_t oy = ay.low[y]; oy < ay.high[y]; ++oy) {
      if (!ay.position(oy, y, ky)) continue;
      body((kz * ay.kernel + ky) * ax.kernel, (oz * ay.out + oy) * ax.out);
    }
  }
}

// A few rows, listed once for all vectors along them.
struct RowList {
  static constexpr int kMost = 16;
  int count = 0;
  int64_t position[kMost], offset[kMost];

  [[gnu::always_inline]] auto adder() {
    return [this](int64_t first, int64_t row) __attribute__((always_inline)) {
      position[count] = first;
      offset[count++] = row;
    };
  }
  template <class Body>
  [[gnu::always_inline]] void operator()(Body&& body) const {
    for (int i = 0; i < count; ++i) body(position[i], offset[i]);
  }
};

}  // namespace lanes
}  // namespace
}  // namespace samara
