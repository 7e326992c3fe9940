// Casts between all dtypes, and selection by a condition.
#include <algorithm>
#include <cstring>

#include "ops/pointwise_loop_templates.h"

namespace samara::SAMARA_ISA {
namespace {

struct Complex64 {
  float real, imaginary;
};
struct Complex128 {
  double real, imaginary;
};

template <class T>
inline constexpr bool is_complex_type = false;
template <>
inline constexpr bool is_complex_type<Complex64> = true;
template <>
inline constexpr bool is_complex_type<Complex128> = true;
template <class T>
inline constexpr bool is_bool = false;
template <>
inline constexpr bool is_bool<bool> = true;

SAMARA_FUNCTION float widen(Float16 x) { return float16_value(x.bits); }
SAMARA_FUNCTION float widen(BFloat16 x) { return bfloat16_value(x.bits); }
template <class T>
SAMARA_FUNCTION T widen(T x) {
  return x;
}

// Out-of-range and NaN have no defined C++ conversion: the range of 64 bits saturates, NaN becomes
// 0, and narrower integers keep the low bits.
template <class To, class From>
SAMARA_FUNCTION To to_integer(From x) {
  if constexpr (sizeof(To) == 8 && To(-1) > To(0)) {
    if (x >= From(0x1p63)) return x >= From(0x1p64) ? To(-1) : static_cast<To>(x);
  }
  const From low = From(-0x1p63);
  const bool inside = x >= low && x < From(0x1p63);
  const int64_t whole = static_cast<int64_t>(inside ? x : From(0));
  const int64_t limit = x >= From(0x1p63) ? INT64_MAX : x < low ? INT64_MIN : 0;
  return static_cast<To>(inside ? whole : limit);
}

template <class To, class From>
SAMARA_FUNCTION To convert_real(From x) {
  if constexpr (is_bool<To>)
    return x != From(0);
  else if constexpr (pointwise::is_integer<To> && !pointwise::is_integer<From> && !is_bool<From>)
    return to_integer<To>(x);
  else
    return static_cast<To>(x);
}

template <class To, class From>
SAMARA_FUNCTION To convert(From x) {
  if constexpr (is_complex_type<From> && is_complex_type<To>) {
    using Part = decltype(To::real);
    return {static_cast<Part>(x.real), static_cast<Part>(x.imaginary)};
  } else if constexpr (is_complex_type<From>) {
    if constexpr (is_bool<To>)
      return x.real != 0 || x.imaginary != 0;
    else
      return convert<To>(x.real);
  } else if constexpr (is_complex_type<To>) {
    using Part = decltype(To::real);
    return {convert_real<Part>(widen(x)), Part(0)};
  } else if constexpr (sizeof(To) == 2 && requires(To t) { t.bits; }) {
    const float rounded = convert_real<float>(widen(x));
    if constexpr (requires {
                    requires static_cast<int>(DTypeOf<To>::dtype) ==
                                 static_cast<int>(DType::float16);
                  })
      return {float16_bits(rounded)};
    else
      return {bfloat16_bits(rounded)};
  } else {
    return convert_real<To>(widen(x));
  }
}

template <class To, class From>
void cast_loop(char* target, int64_t target_stride, const char* source, int64_t source_stride,
               int64_t n) {
  if (target_stride == sizeof(To) && source_stride == sizeof(From)) {
    To* to = reinterpret_cast<To*>(target);
    const From* from = reinterpret_cast<const From*>(source);
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) to[i] = convert<To>(from[i]);
    return;
  }
  for (int64_t i = 0; i < n; ++i)
    *reinterpret_cast<To*>(target + i * target_stride) =
        convert<To>(*reinterpret_cast<const From*>(source + i * source_stride));
}

struct Wide {
  uint64_t low, high;
};

// A number that is the same for all elements, or one of many.
template <class T, bool kSame>
struct Choice {
  const T* elements;
  T first;
  explicit Choice(const char* source)
      : elements(reinterpret_cast<const T*>(source)), first(*elements) {}
  T at(int64_t i) const {
    if constexpr (kSame)
      return first;
    else
      return elements[i];
  }
};

template <class T, bool kSameA, bool kSameB>
void select_dense(char* const* pointers, int64_t n) {
  if (n == 0) return;
  T* result = reinterpret_cast<T*>(pointers[0]);
  const uint8_t* condition = reinterpret_cast<const uint8_t*>(pointers[1]);
  const Choice<T, kSameA> a(pointers[2]);
  const Choice<T, kSameB> b(pointers[3]);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const T yes = a.at(i), no = b.at(i);
    result[i] = condition[i] ? yes : no;
  }
}

template <class T>
void select_loop(char* const* pointers, const int64_t* strides, int64_t n) {
  const int64_t size = sizeof(T);
  const auto dense = [&](int k) { return strides[k] == size; };
  const auto same = [&](int k) { return strides[k] == 0; };
  if (dense(0) && strides[1] == 1) {
    if (dense(2) && dense(3)) return select_dense<T, false, false>(pointers, n);
    if (same(2) && dense(3)) return select_dense<T, true, false>(pointers, n);
    if (dense(2) && same(3)) return select_dense<T, false, true>(pointers, n);
    if (same(2) && same(3)) return select_dense<T, true, true>(pointers, n);
  }
  for (int64_t i = 0; i < n; ++i)
    *reinterpret_cast<T*>(pointers[0] + i * strides[0]) =
        pointers[1][i * strides[1]] ? *reinterpret_cast<const T*>(pointers[2] + i * strides[2])
                                    : *reinterpret_cast<const T*>(pointers[3] + i * strides[3]);
}

// A square block of vectors, transposed by exchanging halves, quarters, ... of pairs of rows.
template <class T>
struct Block {
  static constexpr int lanes = 32 / sizeof(T);
  typedef T Vector __attribute__((vector_size(32)));
  Vector rows[lanes];

  template <int distance>
  void exchange() {
    Vector even, odd;
    for (int lane = 0; lane < lanes; ++lane) {
      const bool high = lane & distance;
      even[lane] = static_cast<T>(high ? lanes + lane - distance : lane);
      odd[lane] = static_cast<T>(high ? lanes + lane : lane + distance);
    }
    for (int i = 0; i < lanes; ++i) {
      if (i & distance) continue;
      const Vector a = rows[i], b = rows[i + distance];
      rows[i] = __builtin_shuffle(a, b, even);
      rows[i + distance] = __builtin_shuffle(a, b, odd);
    }
    if constexpr (distance * 2 < lanes) exchange<distance * 2>();
  }
};

// Few columns whose rows follow one another: an image's channels brought together.
template <class T, int64_t columns>
void interleave(char* target, const char* source, int64_t source_column, int64_t rows) {
  T* __restrict to = reinterpret_cast<T*>(target);
  const T* __restrict from[columns];
  for (int64_t c = 0; c < columns; ++c)
    from[c] = reinterpret_cast<const T*>(source + c * source_column);
#pragma GCC ivdep
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) to[r * columns + c] = from[c][r];
}

template <class T>
void transpose_loop(char* target, int64_t target_row, const char* source, int64_t source_column,
                    int64_t rows, int64_t columns) {
  const int64_t size = sizeof(T);
  const auto plain = [&](int64_t r_begin, int64_t r_end, int64_t c_begin, int64_t c_end) {
    for (int64_t r = r_begin; r < r_end; ++r)
      for (int64_t c = c_begin; c < c_end; ++c)
        *reinterpret_cast<T*>(target + r * target_row + c * size) =
            *reinterpret_cast<const T*>(source + r * size + c * source_column);
  };
  if (target_row == columns * size && columns > 1 && columns <= 4) {
    const auto run = columns == 2   ? interleave<T, 2>
                     : columns == 3 ? interleave<T, 3>
                                    : interleave<T, 4>;
    return run(target, source, source_column, rows);
  }
  if constexpr (sizeof(T) == 4 || sizeof(T) == 8) {
    constexpr int n = Block<T>::lanes;
    const int64_t whole_rows = rows / n * n, whole_columns = columns / n * n;
    for (int64_t r = 0; r < whole_rows; r += n)
      for (int64_t c = 0; c < whole_columns; c += n) {
        Block<T> block;
        for (int i = 0; i < n; ++i)
          std::memcpy(&block.rows[i], source + r * size + (c + i) * source_column, 32);
        block.template exchange<1>();
        for (int i = 0; i < n; ++i)
          std::memcpy(target + (r + i) * target_row + c * size, &block.rows[i], 32);
      }
    plain(0, whole_rows, whole_columns, columns);
    plain(whole_rows, rows, 0, columns);
  } else {
    constexpr int64_t step = 16;
    for (int64_t r = 0; r < rows; r += step)
      for (int64_t c = 0; c < columns; c += step)
        plain(r, std::min(r + step, rows), c, std::min(c + step, columns));
  }
}

template <class To, class... From>
constexpr void fill_row(ConvertLoop (&row)[kDTypeCount]) {
  int index = 0;
  ((row[index++] = cast_loop<To, From>), ...);
}

// In the order of DType.
template <class... T>
constexpr ConvertKernels make() {
  ConvertKernels kernels{};
  int row = 0;
  (fill_row<T, T...>(kernels.cast[row++]), ...);
  kernels.select[0] = select_loop<uint8_t>;
  kernels.select[1] = select_loop<uint16_t>;
  kernels.select[2] = select_loop<uint32_t>;
  kernels.select[3] = select_loop<uint64_t>;
  kernels.select[4] = select_loop<Wide>;
  kernels.transpose[0] = transpose_loop<uint8_t>;
  kernels.transpose[1] = transpose_loop<uint16_t>;
  kernels.transpose[2] = transpose_loop<uint32_t>;
  kernels.transpose[3] = transpose_loop<uint64_t>;
  kernels.transpose[4] = transpose_loop<Wide>;
  return kernels;
}

}  // namespace
extern const ConvertKernels convert_kernels;
constexpr ConvertKernels made =
    make<bool, uint8_t, uint16_t, uint32_t, uint64_t, int8_t, int16_t, int32_t, int64_t, Float16,
         BFloat16, float, double, Complex64, Complex128>();
const ConvertKernels convert_kernels = made;
}  // namespace samara::SAMARA_ISA
