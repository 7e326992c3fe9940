// Lanes: vectors as wide as the instruction set's registers, and sums over rows of numbers.
//
// Included by *_simd.cpp files only. Half precision is loaded as float. Everything has internal
// linkage: each instruction set gets its own copy.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "core/half.h"
#include "cpu/math.h"

namespace samara {
namespace {
namespace lanes {

template <class T, int kCount>
struct VectorOf {
  typedef T type __attribute__((vector_size(sizeof(T) * kCount)));
};
template <class T, int kCount>
using Vector = typename VectorOf<T, kCount>::type;
#if defined(__AVX512F__)
inline constexpr int kRegisterBytes = 64;
#elif defined(__AVX2__)
inline constexpr int kRegisterBytes = 32;
#else
inline constexpr int kRegisterBytes = 16;
#endif
template <class T>
inline constexpr int kLanes = kRegisterBytes / static_cast<int>(sizeof(T));

// The type numbers of T are computed in.
template <class T>
struct ComputeOf {
  using type = T;
};
template <>
struct ComputeOf<Float16> {
  using type = float;
};
template <>
struct ComputeOf<BFloat16> {
  using type = float;
};
template <>
struct ComputeOf<bool> {
  using type = uint8_t;
};
template <class T>
using Compute = typename ComputeOf<T>::type;

template <class L>
SAMARA_FUNCTION L load(const L* p) {
  return *p;
}
SAMARA_FUNCTION uint8_t load(const bool* p) { return *reinterpret_cast<const uint8_t*>(p); }
SAMARA_FUNCTION float load(const Float16* p) { return float16_value(p->bits); }
SAMARA_FUNCTION float load(const BFloat16* p) { return bfloat16_value(p->bits); }

template <class L>
SAMARA_FUNCTION void store(L* p, L value) {
  *p = value;
}
SAMARA_FUNCTION void store(float* p, double value) { *p = static_cast<float>(value); }
SAMARA_FUNCTION void store(Float16* p, float value) { p->bits = float16_bits(value); }
SAMARA_FUNCTION void store(Float16* p, double value) {
  p->bits = float16_bits(static_cast<float>(value));
}
SAMARA_FUNCTION void store(BFloat16* p, float value) { p->bits = bfloat16_bits(value); }
SAMARA_FUNCTION void store(BFloat16* p, double value) {
  p->bits = bfloat16_bits(static_cast<float>(value));
}
SAMARA_FUNCTION void store(bool* p, uint8_t value) { *p = value != 0; }

template <class V, class T>
SAMARA_FUNCTION V raw_vector(const T* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof(V));
  return v;
}

// The next kCount numbers at p as L.
template <class L, int kCount, class T>
SAMARA_FUNCTION Vector<L, kCount> load_vector(const T* p) {
  if constexpr (__is_same(T, BFloat16) || __is_same(T, Float16)) {
    using Bits = Vector<uint32_t, kCount>;
    using Floats = Vector<float, kCount>;
    const Bits wide = __builtin_convertvector((raw_vector<Vector<uint16_t, kCount>>(p)), Bits);
    if constexpr (__is_same(T, BFloat16)) {
      return __builtin_convertvector((Floats)(wide << 16), Vector<L, kCount>);
    } else {
      const Bits sign = (wide & 0x8000u) << 16;
      const Bits magnitude = (wide & 0x7FFFu) << 13;
      const Bits finite = (Bits)((Floats)magnitude * 0x1p112f);
      const Bits special = magnitude | 0x7F800000u;
      const Bits bits = sign | (magnitude >= 0x0F800000u ? special : finite);
      return __builtin_convertvector((Floats)bits, Vector<L, kCount>);
    }
  } else if constexpr (__is_same(T, L)) {
    return raw_vector<Vector<L, kCount>>(p);
  } else {
    return __builtin_convertvector((raw_vector<Vector<T, kCount>>(p)), Vector<L, kCount>);
  }
}

// |x| of a number or of a vector of them.
SAMARA_FUNCTION float absolute(float x) { return math::abs(x); }
SAMARA_FUNCTION double absolute(double x) { return math::abs(x); }
template <class V>
SAMARA_FUNCTION V absolute(V x) {
  using Element = __typeof__(x[0] + x[0]);
  constexpr int count = sizeof(V) / sizeof(Element);
  if constexpr (sizeof(Element) == 8)
    return (V)((Vector<uint64_t, count>)x & 0x7FFFFFFFFFFFFFFFull);
  else
    return (V)((Vector<uint32_t, count>)x & 0x7FFFFFFFu);
}

struct Add {
  template <class V>
  SAMARA_FUNCTION V combine(V a, V b) {
    return a + b;
  }
  template <class A>
  static constexpr A identity = A(0);
};
// NaN wins.
struct Maximum {
  template <class V>
  SAMARA_FUNCTION V combine(V a, V b) {
    return ((b > a) | (b != b)) ? b : a;
  }
};
struct Minimum {
  template <class V>
  SAMARA_FUNCTION V combine(V a, V b) {
    return ((b < a) | (b != b)) ? b : a;
  }
};

// The upper half joins the lower one until a number is left.
template <class Combine, class A, int kCount>
SAMARA_FUNCTION A fold_vector(const Vector<A, kCount>& v) {
  if constexpr (kCount > 16 / static_cast<int>(sizeof(A))) {
    Vector<A, kCount / 2> half[2];
    __builtin_memcpy(half, &v, sizeof(v));
    return fold_vector<Combine, A, kCount / 2>(Combine::combine(half[0], half[1]));
  } else if constexpr (kCount == 4) {
    return Combine::combine(Combine::combine(A(v[0]), A(v[2])), Combine::combine(A(v[1]), A(v[3])));
  } else {
    return Combine::combine(A(v[0]), A(v[1]));
  }
}

// The lanes of one vector of L, held as A, which may be wider.
template <class Combine, class L, class A>
struct WideLanes {
  static constexpr int parts = static_cast<int>(sizeof(A) / sizeof(L));
  static constexpr int count = kLanes<L> / parts;
  Vector<A, count> part[parts];

  [[gnu::always_inline]] explicit WideLanes(A identity) {
    for (int k = 0; k < parts; ++k) part[k] = Vector<A, count>{} + identity;
  }
  [[gnu::always_inline]] void add(const Vector<L, kLanes<L>>& v) {
    L lane[kLanes<L>];
    __builtin_memcpy(lane, &v, sizeof(v));
    for (int k = 0; k < parts; ++k)
      part[k] = Combine::combine(part[k], load_vector<A, count>(lane + k * count));
  }
  // All lanes in one number, joined in a fixed order.
  [[gnu::always_inline]] A fold() const {
    Vector<A, count> all = part[0];
    for (int k = 1; k < parts; ++k) all = Combine::combine(all, part[k]);
    return fold_vector<Combine, A, count>(all);
  }
};

// Each lane adds up this many numbers, then the sums go into the wider type.
inline constexpr int64_t kLaneRun = 16;

template <int kBytes>
struct SignedOf {
  using type = int32_t;
};
template <>
struct SignedOf<8> {
  using type = int64_t;
};

// The last `count` lanes of v, the others being `filler`.
template <class V, class L>
SAMARA_FUNCTION V last_lanes(const V& v, int64_t count, L filler) {
  using Index = typename SignedOf<sizeof(L)>::type;
  constexpr int W = kLanes<L>;
  Vector<Index, W> lane;
  for (int j = 0; j < W; ++j) lane[j] = static_cast<Index>(j);
  const V fill = V{} + filler;
  return lane >= static_cast<Index>(W - count) ? v : fill;
}

// Combine over all numbers of a row: L are the lanes' numbers, A the result's. `load_at<kCount>(i)`
// gives the kCount numbers from i on as a vector, or for kCount = 1 as a plain number.
template <class Combine, class L, class A, class Load>
SAMARA_FUNCTION A reduce_lanes(int64_t n, L lane_identity, A identity, Load&& load_at) {
  constexpr int W = kLanes<L>;
  using V = Vector<L, W>;
  constexpr int64_t block = kLaneRun * 4 * W;
  int64_t i = 0;
  if (n < W) {
    A result = identity;
    for (; i < n; ++i)
      result = Combine::combine(result, static_cast<A>(load_at.template operator()<1>(i)));
    return result;
  }
  WideLanes<Combine, L, A> total(identity);
  for (;;) {
    V a = V{} + lane_identity, b = a, c = a, d = a;
    const int64_t left = n - i;
    for (const int64_t end = i + (left < block ? left : block) / (4 * W) * (4 * W); i < end;
         i += 4 * W) {
      a = Combine::combine(a, load_at.template operator()<W>(i));
      b = Combine::combine(b, load_at.template operator()<W>(i + W));
      c = Combine::combine(c, load_at.template operator()<W>(i + 2 * W));
      d = Combine::combine(d, load_at.template operator()<W>(i + 3 * W));
    }
    if (left < block) {
      for (; n - i >= W; i += W) a = Combine::combine(a, load_at.template operator()<W>(i));
      if (i < n)
        b = Combine::combine(
            b, last_lanes(load_at.template operator()<W>(n - W), n - i, lane_identity));
    }
    total.add(Combine::combine(Combine::combine(a, b), Combine::combine(c, d)));
    if (left < block) return total.fold();
  }
}

// The sum of f(x[i]) over a row, in float or double lanes, accumulated in double.
template <class L, class T, class Map>
SAMARA_FUNCTION double sum_row(const T* x, int64_t n, Map&& map) {
  return reduce_lanes<Add, L, double>(n, L(0), 0.0, [&]<int kCount>(int64_t i) {
    if constexpr (kCount == 1)
      return map(static_cast<L>(load(x + i)));
    else
      return map(load_vector<L, kCount>(x + i));
  });
}
template <class L, class T, class U, class Map>
SAMARA_FUNCTION double sum_row(const T* x, const U* y, int64_t n, Map&& map) {
  return reduce_lanes<Add, L, double>(n, L(0), 0.0, [&]<int kCount>(int64_t i) {
    if constexpr (kCount == 1)
      return map(static_cast<L>(load(x + i)), static_cast<L>(load(y + i)));
    else
      return map(load_vector<L, kCount>(x + i), load_vector<L, kCount>(y + i));
  });
}

// The largest number of a row; NaN if there is one, -inf if there is none.
template <class T>
SAMARA_FUNCTION Compute<T> max_row(const T* x, int64_t n) {
  using L = Compute<T>;
  const L lowest = -static_cast<L>(__builtin_inf());
  return reduce_lanes<Maximum, L, L>(n, lowest, lowest, [&]<int kCount>(int64_t i) {
    if constexpr (kCount == 1)
      return load(x + i);
    else
      return load_vector<L, kCount>(x + i);
  });
}

}  // namespace lanes
}  // namespace
}  // namespace samara
