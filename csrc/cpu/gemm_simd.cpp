// Matrix-product kernels after Goto and van de Geijn, "Anatomy of High-Performance Matrix
// Multiplication" (2008): panels of A and B are packed so that the innermost loop reads memory in
// order and keeps a block of C in registers.
#include "cpu/gemm_simd.h"

#include "core/half.h"

namespace samara::SAMARA_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
// 8 x 3 accumulators of 32 registers
constexpr int rows_per_block = 8;
constexpr int vectors_per_block = 3;
#elif defined(__AVX2__)
constexpr int vector_bytes = 32;
// 6 x 2 accumulators of 16 registers
constexpr int rows_per_block = 6;
constexpr int vectors_per_block = 2;
#else
constexpr int vector_bytes = 16;
constexpr int rows_per_block = 4;
constexpr int vectors_per_block = 2;
#endif

constexpr std::int64_t panel_bytes =
    32 * 1024;  // a packed panel of B stays in the first-level cache
constexpr std::int64_t block_bytes =
    384 * 1024;  // a packed block of A stays in the second-level cache

std::int64_t smaller(std::int64_t x, std::int64_t y) { return x < y ? x : y; }
std::int64_t round_up(std::int64_t x, std::int64_t step) { return (x + step - 1) / step * step; }

template <class T>
struct Simd {
  typedef T Vector __attribute__((vector_size(vector_bytes)));
  typedef T Unaligned __attribute__((vector_size(vector_bytes), aligned(sizeof(T)), may_alias));
  static constexpr int width = vector_bytes / static_cast<int>(sizeof(T));

  [[gnu::always_inline]] static inline Vector load(const T* from) {
    return *reinterpret_cast<const Unaligned*>(from);
  }
  [[gnu::always_inline]] static inline void store(T* to, Vector v) {
    *reinterpret_cast<Unaligned*>(to) = v;
  }
};

// Strides known at compile time for packed panels, at run time otherwise.
template <int Rows, int Columns>
struct PackedPanels {
  static constexpr std::int64_t a_row = 1;
  static constexpr std::int64_t a_column = Rows;
  static constexpr std::int64_t b_row = Columns;
};
struct UnpackedPanels {
  std::int64_t a_row;
  std::int64_t a_column;
  std::int64_t b_row;
};

// out[Rows][Vectors * width] = the product of Rows rows of A and Vectors vectors of columns of B,
// then C = alpha * out + beta * C on the part that exists (rows x columns).
template <class T, int Rows, int Vectors, class Panels>
[[gnu::always_inline]] inline void register_block(std::int64_t k, const T* a, const T* b,
                                                  Panels strides, T alpha, T beta, T* c,
                                                  std::int64_t ldc, int rows, int columns) {
  using V = typename Simd<T>::Vector;
  constexpr int width = Simd<T>::width;
  V sum[Rows][Vectors] = {};
  for (std::int64_t p = 0; p < k; ++p) {
    V column[Vectors];
#pragma GCC unroll 8
    for (int j = 0; j < Vectors; ++j) column[j] = Simd<T>::load(b + j * width);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const T element = a[i * strides.a_row];
#pragma GCC unroll 8
      for (int j = 0; j < Vectors; ++j) sum[i][j] += element * column[j];
    }
    a += strides.a_column;
    b += strides.b_row;
  }
  if (rows == Rows && columns == Vectors * width) {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < Vectors; ++j) {
        T* const to = c + i * ldc + j * width;
        const V scaled = alpha * sum[i][j];
        Simd<T>::store(to, beta == T(0) ? scaled : scaled + beta * Simd<T>::load(to));
      }
    }
    return;
  }
  alignas(vector_bytes) T out[Rows][Vectors * width];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < Vectors; ++j) Simd<T>::store(&out[i][j * width], alpha * sum[i][j]);
  }
  for (int i = 0; i < rows; ++i) {
    T* const to = c + i * ldc;
    for (int j = 0; j < columns; ++j) to[j] = beta == T(0) ? out[i][j] : out[i][j] + beta * to[j];
  }
}

// target[group][k][size]: `count` lanes of the source in groups of `size`, the last group padded
// with zeros. Lanes are rows of A or columns of B; `step` is the distance along k.
template <class T, int Size>
void pack(std::int64_t count, std::int64_t k, const T* source, std::int64_t lane, std::int64_t step,
          T* target) {
  for (std::int64_t first = 0; first < count; first += Size, target += Size * k) {
    const T* const from = source + first * lane;
    const auto present = static_cast<int>(smaller(Size, count - first));
    if (present == Size && lane == 1) {
      for (std::int64_t p = 0; p < k; ++p) {
        for (int i = 0; i < Size; ++i) target[p * Size + i] = from[p * step + i];
      }
    } else if (present == Size && step == 1) {
      constexpr int run = 8;
      std::int64_t p = 0;
      for (; p + run <= k; p += run) {
        for (int i = 0; i < Size; ++i) {
          for (int q = 0; q < run; ++q) target[(p + q) * Size + i] = from[i * lane + p + q];
        }
      }
      for (; p < k; ++p) {
        for (int i = 0; i < Size; ++i) target[p * Size + i] = from[i * lane + p];
      }
    } else {
      for (std::int64_t p = 0; p < k; ++p) {
        for (int i = 0; i < Size; ++i)
          target[p * Size + i] = i < present ? from[i * lane + p * step] : T(0);
      }
    }
  }
}

template <class T>
struct Packed {
  static constexpr int rows = rows_per_block;
  static constexpr int columns = vectors_per_block * Simd<T>::width;
  static constexpr std::int64_t depth =
      panel_bytes / static_cast<std::int64_t>(sizeof(T)) / columns / 8 * 8;
  static constexpr std::int64_t height =
      block_bytes / static_cast<std::int64_t>(sizeof(T)) / depth / rows * rows;
  static constexpr std::int64_t breadth = 1024 / columns * columns;
  static constexpr std::int64_t workspace = depth * (height + breadth) + 64;

  static void run(std::int64_t m, std::int64_t n, std::int64_t k, T alpha, StridedMatrix<T> a,
                  StridedMatrix<T> b, T beta, T* c, std::int64_t ldc, T* memory) {
    T* const packed_a = memory;
    T* const packed_b = memory + round_up(depth * height, 16);
    for (std::int64_t column = 0; column < n; column += breadth) {
      const std::int64_t nb = smaller(breadth, n - column);
      const std::int64_t pieces = (k - 1) / depth + 1;
      for (std::int64_t p = 0, begin = 0; p < pieces; ++p) {
        const std::int64_t end = k * (p + 1) / pieces;
        const std::int64_t kb = end - begin;
        const T* const from_b = b.data + begin * b.row_stride + column * b.column_stride;
        pack<T, columns>(nb, kb, from_b, b.column_stride, b.row_stride, packed_b);
        for (std::int64_t row = 0; row < m; row += height) {
          const std::int64_t mb = smaller(height, m - row);
          const T* const from_a = a.data + row * a.row_stride + begin * a.column_stride;
          pack<T, rows>(mb, kb, from_a, a.row_stride, a.column_stride, packed_a);
          block(mb, nb, kb, alpha, packed_a, packed_b, begin == 0 ? beta : T(1),
                c + row * ldc + column, ldc);
        }
        begin = end;
      }
    }
  }

  static void block(std::int64_t m, std::int64_t n, std::int64_t k, T alpha, const T* a, const T* b,
                    T beta, T* c, std::int64_t ldc) {
    for (std::int64_t j = 0; j < n; j += columns) {
      for (std::int64_t i = 0; i < m; i += rows) {
        register_block<T, rows, vectors_per_block>(
            k, a + i * k, b + j * k, PackedPanels<rows, columns>{}, alpha, beta, c + i * ldc + j,
            ldc, static_cast<int>(smaller(rows, m - i)), static_cast<int>(smaller(columns, n - j)));
      }
    }
  }
};

// One group of columns of the unpacked product, Rows rows at a time.
template <class T, int Rows, int Vectors>
void column_group(std::int64_t m, std::int64_t k, T alpha, StridedMatrix<T> a, const T* b,
                  std::int64_t ldb, T beta, T* c, std::int64_t ldc, int columns) {
  const UnpackedPanels strides{a.row_stride, a.column_stride, ldb};
  std::int64_t i = 0;
  for (; i + Rows <= m; i += Rows) {
    register_block<T, Rows, Vectors>(k, a.data + i * a.row_stride, b, strides, alpha, beta,
                                     c + i * ldc, ldc, Rows, columns);
  }
  for (; i < m; ++i) {
    register_block<T, 1, Vectors>(k, a.data + i * a.row_stride, b, strides, alpha, beta,
                                  c + i * ldc, ldc, 1, columns);
  }
}

// Reads A and whole vectors of B's rows in place; other columns of B go through `workspace`.
template <class T>
void direct(std::int64_t m, std::int64_t n, std::int64_t k, T alpha, StridedMatrix<T> a,
            StridedMatrix<T> b, T beta, T* c, std::int64_t ldc, T* workspace) {
  constexpr int width = Simd<T>::width;
  constexpr int rows = rows_per_block > 4 ? 6 : 4;
  for (std::int64_t j = 0; j < n;) {
    const bool wide = n - j > width;
    const int lanes = wide ? 2 * width : width;
    const auto columns = static_cast<int>(smaller(lanes, n - j));
    const T* from = b.data + j * b.column_stride;
    std::int64_t ldb = b.row_stride;
    if (b.column_stride != 1 || columns < lanes) {
      if (wide) {
        pack<T, 2 * width>(columns, k, from, b.column_stride, b.row_stride, workspace);
      } else {
        pack<T, width>(columns, k, from, b.column_stride, b.row_stride, workspace);
      }
      from = workspace;
      ldb = lanes;
    }
    if (wide) {
      column_group<T, rows, 2>(m, k, alpha, a, from, ldb, beta, c + j, ldc, columns);
    } else {
      column_group<T, rows, 1>(m, k, alpha, a, from, ldb, beta, c + j, ldc, columns);
    }
    j += lanes;
  }
}

template <class T>
T dot(std::int64_t k, const T* x, const T* y) {
  using V = typename Simd<T>::Vector;
  constexpr int width = Simd<T>::width;
  V sum[4] = {};
  std::int64_t p = 0;
  for (; p + 4 * width <= k; p += 4 * width) {
    for (int j = 0; j < 4; ++j)
      sum[j] += Simd<T>::load(x + p + j * width) * Simd<T>::load(y + p + j * width);
  }
  for (; p + width <= k; p += width) sum[0] += Simd<T>::load(x + p) * Simd<T>::load(y + p);
  const V all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  T total = 0;
  for (int i = 0; i < width; ++i) total += all[i];
  for (; p < k; ++p) total += x[p] * y[p];
  return total;
}

template <class T>
void row_dots(std::int64_t m, std::int64_t k, T alpha, const T* a, std::int64_t lda, const T* x,
              T beta, T* y, std::int64_t y_stride) {
  for (std::int64_t i = 0; i < m; ++i) {
    const T value = alpha * dot(k, a + i * lda, x);
    T& to = y[i * y_stride];
    to = beta == T(0) ? value : value + beta * to;
  }
}

// Eight rows at a time, so that y is read and written once for every eight rows of A.
template <class T>
void row_sum(std::int64_t k, std::int64_t n, T alpha, const T* x, std::int64_t x_stride, const T* a,
             std::int64_t lda, T beta, T* __restrict y) {
  if (beta == T(0)) {
    for (std::int64_t j = 0; j < n; ++j) y[j] = 0;
  } else {
    for (std::int64_t j = 0; j < n; ++j) y[j] *= beta;
  }
  std::int64_t i = 0;
  for (; i + 8 <= k; i += 8) {
    T scale[8];
    for (int r = 0; r < 8; ++r) scale[r] = alpha * x[(i + r) * x_stride];
    const T* const rows = a + i * lda;
    for (std::int64_t j = 0; j < n; ++j) {
      T sum = y[j];
      for (int r = 0; r < 8; ++r) sum += scale[r] * rows[r * lda + j];
      y[j] = sum;
    }
  }
  for (; i < k; ++i) {
    const T scale = alpha * x[i * x_stride];
    for (std::int64_t j = 0; j < n; ++j) y[j] += scale * a[i * lda + j];
  }
}

void widen_bfloat16(std::int64_t count, const std::uint16_t* from, float* to) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = bfloat16_value(from[i]);
}
void widen_float16(std::int64_t count, const std::uint16_t* from, float* to) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = float16_value(from[i]);
}

// to = round(alpha * from + beta * to)
template <class Widen, class Narrow>
void blend(std::int64_t count, float alpha, const float* from, float beta, std::uint16_t* to,
           Widen widen, Narrow narrow) {
  if (beta == 0) {
    for (std::int64_t i = 0; i < count; ++i) to[i] = narrow(alpha * from[i]);
  } else {
    for (std::int64_t i = 0; i < count; ++i) to[i] = narrow(alpha * from[i] + beta * widen(to[i]));
  }
}
void narrow_bfloat16(std::int64_t count, float alpha, const float* from, float beta,
                     std::uint16_t* to) {
  blend(
      count, alpha, from, beta, to, [](std::uint16_t x) { return bfloat16_value(x); },
      [](float x) { return bfloat16_bits(x); });
}
void narrow_float16(std::int64_t count, float alpha, const float* from, float beta,
                    std::uint16_t* to) {
  blend(
      count, alpha, from, beta, to, [](std::uint16_t x) { return float16_value(x); },
      [](float x) { return float16_bits(x); });
}

template <class T>
constexpr GemmKernels<T> kernels() {
  return {Packed<T>::workspace, Packed<T>::run, direct<T>, row_dots<T>, row_sum<T>};
}

}  // namespace

const GemmTable gemm_table = {kernels<float>(),
                              kernels<double>(),
                              {widen_bfloat16, narrow_bfloat16},
                              {widen_float16, narrow_float16}};

}  // namespace samara::SAMARA_ISA
