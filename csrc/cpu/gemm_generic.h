// Matrix products of integers and complex numbers: one blocked loop for all of them.
#pragma once

#include <algorithm>
#include <array>
#include <complex>
#include <cstdint>
#include <type_traits>

#include "cpu/threads.h"

namespace samara {
namespace generic_gemm_detail {

template <class T>
struct IsComplex : std::false_type {};
template <class T>
struct IsComplex<std::complex<T>> : std::true_type {};

// What the sum is kept in. Unsigned arithmetic wraps where signed overflow would be undefined, and
// at least 32 bits because narrower types are promoted to (signed) int; the low bits are the wanted
// result.
template <class T>
auto accumulator() {
  if constexpr (IsComplex<T>::value) {
    return T{};
  } else if constexpr (sizeof(T) < 8) {
    return std::uint32_t{};
  } else {
    return std::uint64_t{};
  }
}
template <class T>
using Accumulator = decltype(accumulator<T>());

// Plain arithmetic: the operator of std::complex checks every product for NaN.
template <class T>
void multiply_add(std::complex<T>& sum, std::complex<T> x, std::complex<T> y) {
  sum = {sum.real() + x.real() * y.real() - x.imag() * y.imag(),
         sum.imag() + x.real() * y.imag() + x.imag() * y.real()};
}
template <class T>
void multiply_add(T& sum, T x, T y) {
  sum += x * y;
}

constexpr std::int64_t block_rows = 16;
constexpr std::int64_t block_columns = 64;
constexpr std::int64_t block_depth = 64;

}  // namespace generic_gemm_detail

template <class T>
void generic_gemm(bool trans_a, bool trans_b, std::int64_t m, std::int64_t n, std::int64_t k,
                  T alpha, const T* a, std::int64_t lda, const T* b, std::int64_t ldb, T beta, T* c,
                  std::int64_t ldc) {
  using namespace generic_gemm_detail;
  using std::int64_t;
  using Sum = Accumulator<T>;
  if (m <= 0 || n <= 0) return;
  const int64_t a_row = trans_a ? 1 : lda, a_column = trans_a ? lda : 1;
  const int64_t b_row = trans_b ? 1 : ldb, b_column = trans_b ? ldb : 1;
  const int64_t across = (n - 1) / block_columns + 1;
  const int64_t tiles = ((m - 1) / block_rows + 1) * across;
  const auto tile = [&](int64_t index) {
    const int64_t row = index / across * block_rows, column = index % across * block_columns;
    const int64_t rows = std::min(block_rows, m - row);
    const int64_t columns = std::min(block_columns, n - column);
    std::array<std::array<Sum, block_columns>, block_rows> sum{};
    std::array<std::array<Sum, block_columns>, block_depth> part{};
    for (int64_t p = 0; p < k; p += block_depth) {
      const int64_t depth = std::min(block_depth, k - p);
      for (int64_t q = 0; q < depth; ++q) {
        const T* const from = b + (p + q) * b_row + column * b_column;
        for (int64_t j = 0; j < columns; ++j) part[q][j] = static_cast<Sum>(from[j * b_column]);
      }
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t q = 0; q < depth; ++q) {
          const auto x = static_cast<Sum>(a[(row + i) * a_row + (p + q) * a_column]);
          for (int64_t j = 0; j < columns; ++j) multiply_add(sum[i][j], x, part[q][j]);
        }
      }
    }
    for (int64_t i = 0; i < rows; ++i) {
      T* const to = c + (row + i) * ldc + column;
      for (int64_t j = 0; j < columns; ++j) {
        Sum value{};
        multiply_add(value, static_cast<Sum>(alpha), sum[i][j]);
        if (beta != T(0)) multiply_add(value, static_cast<Sum>(beta), static_cast<Sum>(to[j]));
        to[j] = static_cast<T>(value);
      }
    }
  };
  // Tiles of a small product are taken together.
  const int64_t work = block_rows * block_columns * std::max<int64_t>(k, 1);
  parallel_ranges(tiles, std::max<int64_t>((int64_t{1} << 17) / work, 1),
                  [&](int64_t begin, int64_t end) {
                    for (int64_t i = begin; i < end; ++i) tile(i);
                  });
}

}  // namespace samara
