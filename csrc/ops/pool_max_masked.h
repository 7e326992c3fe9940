// Max pooling of float32 rows with windows of two or three numbers, two apart, in AVX-512.
//
// Windows at the ends of a row are lanes under a mask like the others, and the maximum and its
// position are two short chains: a NaN, which would need a longer one, makes a vector start again.
//
// Included by pool_max_simd.cpp only.
#pragma once

#include "ops/pool_lanes.h"

#if defined(__AVX512F__)

namespace samara {
namespace {
namespace lanes {

inline constexpr int kMaskLanes = 16;

// The lanes i with 0 <= first + i * step < n.
SAMARA_FUNCTION __mmask16 lanes_inside(int64_t first, int64_t n) {
  const int64_t low = first < 0 ? -first : 0,
                high = n - first < kMaskLanes ? n - first : kMaskLanes;
  if (low >= high) return 0;
  return static_cast<__mmask16>((0xFFFFu >> (kMaskLanes - high)) & (0xFFFFu << low));
}

struct WindowMaxima {
  __m512 value;
  __m512i place;
  __mmask16 odd = 0;  // NaN among the numbers

  // A NaN stays, and of several the last one counts.
  template <bool kExact>
  [[gnu::always_inline]] void offer(__m512 v, int position) {
    const __mmask16 none = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    const __mmask16 more = _mm512_cmp_ps_mask(v, value, _CMP_GT_OQ);
    const __mmask16 better = kExact ? static_cast<__mmask16>(more | none) : more;
    value = kExact ? _mm512_mask_mov_ps(value, better, v) : _mm512_maskz_max_ps(0xFFFF, v, value);
    place = _mm512_mask_mov_epi32(place, better, _mm512_set1_epi32(position));
    odd |= none;
  }
};

// The windows ox .. ox + 15 of one row of windows; kEdge: some reach beyond the row or do not
// exist.
template <int kWidth, bool kEdge, bool kExact>
SAMARA_FUNCTION WindowMaxima window_maxima(const float* plane, const RowList& rows, int place,
                                           int64_t first, int64_t n) {
  const __m512i count = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i even = _mm512_add_epi32(count, count);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
  const __m512 lowest = _mm512_set1_ps(-__builtin_inff());
  WindowMaxima best{lowest, _mm512_set1_epi32(place)};
  if constexpr (kEdge) {  // the first position inside
    const __m512i before = _mm512_sub_epi32(_mm512_set1_epi32(static_cast<int>(-first)), even);
    best.place = _mm512_add_epi32(best.place,
                                  _mm512_maskz_max_epi32(0xFFFF, before, _mm512_setzero_si512()));
  }
  constexpr int shifts[] = {0, kMaskLanes, 2, kMaskLanes + 1};
  __mmask16 inside[4] = {};
  for (int i = 0; kEdge && i < 2 * (kWidth - 1); ++i)
    inside[i] = lanes_inside(first + shifts[i], n);
  const auto take = [&](const float* p, int i) __attribute__((always_inline)) {
    if constexpr (kEdge)
      return _mm512_mask_loadu_ps(lowest, inside[i], p + shifts[i]);
    else
      return _mm512_loadu_ps(p + shifts[i]);
  };
  rows([&](int64_t position, int64_t row) __attribute__((always_inline)) {
    const float* p = plane + row + first;
    fetch_ahead(p);
    fetch_ahead(p + kMaskLanes);
    const int k = static_cast<int>(position);
    const __m512 a = take(p, 0), b = take(p, 1);
    best.offer<kExact>(_mm512_permutex2var_ps(a, even, b), k);
    best.offer<kExact>(_mm512_permutex2var_ps(a, odd, b), k + 1);
    if constexpr (kWidth == 3) {
      // The second half ends with the last number wanted.
      const __m512i third = _mm512_mask_add_epi32(even, 0xFF00, even, _mm512_set1_epi32(1));
      best.offer<kExact>(_mm512_permutex2var_ps(take(p, 2), third, take(p, 3)), k + 2);
    }
  });
  return best;
}

template <class P, int kWidth>
SAMARA_FUNCTION void max_row_masked(const float* plane, float* y, P* positions, const PoolAxis& ax,
                                    int64_t out_row, int64_t place, const RowList& rows) {
  constexpr bool kWanted = !__is_empty(P);
  const auto bytes_of = [](__m512i places) { return _mm512_maskz_cvtepi32_epi8(0xFFFF, places); };
  const int from = static_cast<int>(place);
  for (int64_t ox = 0; ox < ax.out; ox += kMaskLanes) {
    const int64_t first = 2 * ox - ax.padding;
    const bool edge = first < 0 || first + 2 * kMaskLanes + kWidth - 2 > ax.in;
    WindowMaxima best = edge ? window_maxima<kWidth, true, false>(plane, rows, from, first, ax.in)
                             : window_maxima<kWidth, false, false>(plane, rows, from, first, ax.in);
    if (best.odd) [[unlikely]]
      best = window_maxima<kWidth, true, true>(plane, rows, from, first, ax.in);
    if (ox + kMaskLanes <= ax.out) {
      _mm512_storeu_ps(y + out_row + ox, best.value);
      if constexpr (kWanted)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(positions + out_row + ox),
                         bytes_of(best.place));
    } else {
      const __mmask16 exist = lanes_inside(ox, ax.out);
      _mm512_mask_storeu_ps(y + out_row + ox, exist, best.value);
      if constexpr (kWanted)
        _mm_mask_storeu_epi8(positions + out_row + ox, exist, bytes_of(best.place));
    }
  }
}

// The inputs 2 j and 2 j + 1 of one row for j .. j + 15: the gradients of the windows that chose
// them.
template <int kWidth, bool kOdd, bool kEdge>
SAMARA_FUNCTION void max_gradient_masked(const float* g, const uint8_t* positions, float* to,
                                         const PoolAxis& ax, int64_t j, const RowList& rows,
                                         bool streams) {
  __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  int64_t shift[kWidth];
  __mmask16 exist[kWidth];
#pragma GCC unroll 3
  for (int k = 0; k < kWidth; ++k) {
    shift[k] = j + (ax.padding + (k + kOdd) % 2 - k) / 2;
    exist[k] = kEdge ? lanes_inside(shift[k], ax.out) : 0xFFFF;
  }
  rows([&](int64_t position, int64_t row) __attribute__((always_inline)) {
#pragma GCC unroll 3
    for (int k = kWidth - 1; k >= 0; --k) {
      const int r = (k + kOdd) % 2;
      const int64_t o = row + shift[k];
      const __m128i wanted = _mm_set1_epi8(static_cast<char>(position + k));
      const __m128i chosen = kEdge
                                 ? _mm_maskz_loadu_epi8(exist[k], positions + o)
                                 : _mm_loadu_si128(reinterpret_cast<const __m128i*>(positions + o));
      const __mmask16 here = _mm_mask_cmpeq_epi8_mask(exist[k], chosen, wanted);
      const __m512 value = kEdge ? _mm512_maskz_loadu_ps(exist[k], g + o) : _mm512_loadu_ps(g + o);
      sum[r] = _mm512_mask_add_ps(sum[r], here, sum[r], value);
    }
  });
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
  const auto put = [&](int64_t x, __m512 v) __attribute__((always_inline)) {
    if (x + kMaskLanes > ax.in) {
      if (x < ax.in) _mm512_mask_storeu_ps(to + x, lanes_inside(x, ax.in), v);
    } else if (streams) {
      _mm512_stream_ps(to + x, v);
    } else {
      _mm512_storeu_ps(to + x, v);
    }
  };
  put(2 * j, _mm512_permutex2var_ps(sum[0], low, sum[1]));
  put(2 * j + kMaskLanes, _mm512_permutex2var_ps(sum[0], high, sum[1]));
}

template <int kWidth, bool kOdd>
SAMARA_FUNCTION void max_gradient_row_masked(const float* g, const uint8_t* positions, float* to,
                                             const PoolAxis& ax, const RowList& rows,
                                             bool streams) {
  // The shifts of o against j lie between these.
  const int64_t least = (ax.padding - kWidth + 1) / 2, most = (ax.padding + 1) / 2;
  for (int64_t j = 0; 2 * j < ax.in; j += kMaskLanes) {
    if (j + least < 0 || j + most + kMaskLanes > ax.out)
      max_gradient_masked<kWidth, kOdd, true>(g, positions, to, ax, j, rows, streams);
    else
      max_gradient_masked<kWidth, kOdd, false>(g, positions, to, ax, j, rows, streams);
  }
}

}  // namespace lanes
}  // namespace
}  // namespace samara

#endif
