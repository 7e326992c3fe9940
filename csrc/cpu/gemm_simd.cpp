// Matrix-product kernels after Goto and van de Geijn, "Anatomy of High-Performance Matrix
// Multiplication" (2008): panels of A and B are packed so that the innermost loop reads memory in
// order and keeps a block of C in registers.
#include "cpu/gemm_simd.h"

#include <cstddef>
#include <utility>

#include "core/half.h"

namespace samara::SAMARA_ISA {
namespace {

// Blocks of C are two vectors wide. Six rows of them need 12 accumulators, enough to hide the
// latency of the multiply-add units, and fit into 16 registers; without fused multiply-add a
// product needs one more.
#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
constexpr int rows_per_block = 6;
constexpr int packed_rows = 8;  // packed operands stream from far away: read them less often
#elif defined(__AVX2__)
constexpr int vector_bytes = 32;
constexpr int rows_per_block = 6;
constexpr int packed_rows = 6;
#else
constexpr int vector_bytes = 16;
constexpr int rows_per_block = 4;
constexpr int packed_rows = 4;
#endif

std::int64_t smaller(std::int64_t x, std::int64_t y) { return x < y ? x : y; }

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

// C, or its transpose.
template <class T>
struct Target {
  T* data;
  std::int64_t row_stride, column_stride;

  T* at(std::int64_t i, std::int64_t j) const { return data + i * row_stride + j * column_stride; }
  Target from(std::int64_t i, std::int64_t j) const {
    return {at(i, j), row_stride, column_stride};
  }
};

// C = alpha A B + beta C for Rows rows and `columns` columns, at most Vectors vectors of them. B's
// rows hold whole vectors.
// `ahead`: B is that many bytes away from the first cache, and asked for so early.
template <class T, int Rows, int Vectors, int ahead = 0>
[[gnu::always_inline]] inline void register_block(std::int64_t k, const T* a, std::int64_t a_row,
                                                  std::int64_t a_column, const T* b,
                                                  std::int64_t b_row, T alpha, T beta, Target<T> c,
                                                  int columns) {
  using V = typename Simd<T>::Vector;
  constexpr int width = Simd<T>::width;
  V sum[Rows][Vectors] = {};
  for (std::int64_t p = 0; p < k; ++p) {
    V column[Vectors];
#pragma GCC unroll 8
    for (int j = 0; j < Vectors; ++j) {
      if constexpr (ahead > 0)
        __builtin_prefetch(reinterpret_cast<const char*>(b + j * width) + ahead);
      column[j] = Simd<T>::load(b + j * width);
    }
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const T element = a[i * a_row];
#pragma GCC unroll 8
      for (int j = 0; j < Vectors; ++j) sum[i][j] += element * column[j];
    }
    a += a_column;
    b += b_row;
  }
  if (columns == Vectors * width && c.column_stride == 1) {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < Vectors; ++j) {
        T* const to = c.data + i * c.row_stride + j * width;
        const V scaled = alpha * sum[i][j];
        Simd<T>::store(to, beta == T(0) ? scaled : scaled + beta * Simd<T>::load(to));
      }
    }
    return;
  }
  if (columns > Vectors * width) __builtin_unreachable();
  alignas(vector_bytes) T out[Rows][Vectors * width];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < Vectors; ++j) Simd<T>::store(&out[i][j * width], alpha * sum[i][j]);
  }
  for (int j = 0; j < columns; ++j) {
    for (int i = 0; i < Rows; ++i) {
      T& to = *c.at(i, j);
      to = beta == T(0) ? out[i][j] : out[i][j] + beta * to;
    }
  }
}

// a0 b0 a1 b1 ... of the first halves (half = 0) or of the second halves.
template <class T, int half, std::size_t... lane>
[[gnu::always_inline]] inline auto interleave(typename Simd<T>::Vector a,
                                              typename Simd<T>::Vector b,
                                              std::index_sequence<lane...>) {
  constexpr int width = Simd<T>::width;
  return __builtin_shufflevector(
      a, b, static_cast<int>(half * width / 2 + lane / 2 + lane % 2 * width)...);
}

// Transposes a square of width x width in registers: interleaving row i with row i + width/2 moves
// one bit of the row number into the column number, and log2(width) rounds move them all. Rows from
// `present` on are read as zeros.
template <class T>
void transpose_square(const T* from, std::int64_t from_row, int present, T* to,
                      std::int64_t to_row) {
  using V = typename Simd<T>::Vector;
  constexpr int width = Simd<T>::width;
  constexpr auto lanes = std::make_index_sequence<width>{};
  V row[width], next[width];
#pragma GCC unroll 16
  for (int i = 0; i < width; ++i) {
    row[i] = i < present ? Simd<T>::load(from + i * from_row) : V{};
  }
#pragma GCC unroll 4
  for (int round = 1; round < width; round *= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < width / 2; ++i) {
      next[2 * i] = interleave<T, 0>(row[i], row[i + width / 2], lanes);
      next[2 * i + 1] = interleave<T, 1>(row[i], row[i + width / 2], lanes);
    }
#pragma GCC unroll 16
    for (int i = 0; i < width; ++i) row[i] = next[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < width; ++i) Simd<T>::store(to + i * to_row, row[i]);
}

// Whole groups of contiguous lanes, in target[group][k][size]: lines are read to their end while
// they are in the cache, rows of them being often whole pages apart.
template <class T, int size>
void pack_contiguous(std::int64_t groups, std::int64_t k, const T* source, std::int64_t step,
                     T* target, std::int64_t target_group) {
  constexpr std::int64_t bytes = 512, together = bytes / (size * static_cast<int>(sizeof(T)));
  constexpr std::int64_t rows_ahead = 8;
  for (std::int64_t first = 0; first < groups; first += together) {
    const std::int64_t end = smaller(groups, first + together);
    const T* from = source + first * size;
    for (std::int64_t p = 0; p < k; ++p, from += step) {
      for (std::int64_t byte = 0; byte < bytes; byte += 64)
        __builtin_prefetch(reinterpret_cast<const char*>(from + rows_ahead * step) + byte);
      for (std::int64_t g = first; g < end; ++g)
        __builtin_memcpy(target + g * target_group + p * size, from + (g - first) * size,
                         size * sizeof(T));
    }
  }
}

// target[group][k][size]: `count` lanes of the source in groups of `size`, the last group padded
// with zeros. Lanes are rows of A or columns of B; `step` is the distance along k.
template <class T, int size>
void pack(std::int64_t count, std::int64_t k, const T* source, std::int64_t lane, std::int64_t step,
          T* target, std::int64_t target_group) {
  constexpr int width = Simd<T>::width;
  std::int64_t whole = 0;
  if (lane == 1) {
    whole = count / size * size;
    pack_contiguous<T, size>(whole / size, k, source, step, target, target_group);
    target += whole / size * target_group;
  }
  for (std::int64_t first = whole; first < count; first += size, target += target_group) {
    const T* const from = source + first * lane;
    const auto present = static_cast<int>(smaller(size, count - first));
    std::int64_t p = 0;
    if constexpr (size % width == 0) {
      if (step == 1) {
        for (; p + width <= k; p += width) {
          for (int i = 0; i < size; i += width) {
            transpose_square(from + i * lane + p, lane, present - i, target + p * size + i, size);
          }
        }
      }
    }
    for (; p < k; ++p) {
      for (int i = 0; i < size; ++i) {
        target[p * size + i] = i < present ? from[i * lane + p * step] : T(0);
      }
    }
  }
}

// All m <= Rows rows of A in one block of their own.
template <class T, int Rows, int Vectors, int ahead = 0>
void remaining_rows(std::int64_t m, std::int64_t k, T alpha, StridedMatrix<T> a, const T* b,
                    std::int64_t b_row, T beta, Target<T> c, int columns) {
  if constexpr (Rows > 0) {
    if (m == Rows)
      register_block<T, Rows, Vectors, ahead>(k, a.data, a.row_stride, a.column_stride, b, b_row,
                                              alpha, beta, c, columns);
    else
      remaining_rows<T, Rows - 1, Vectors, ahead>(m, k, alpha, a, b, b_row, beta, c, columns);
  }
}

// One group of columns: `b` is a panel of k rows. A is read Rows rows at a time, `a_group` apart.
template <class T, int Rows, int Vectors>
void column_group(std::int64_t m, std::int64_t k, T alpha, StridedMatrix<T> a, std::int64_t a_group,
                  const T* b, std::int64_t b_row, T beta, Target<T> c, int columns) {
  std::int64_t i = 0;
  for (; i + Rows <= m; i += Rows, a.data += a_group) {
    register_block<T, Rows, Vectors>(k, a.data, a.row_stride, a.column_stride, b, b_row, alpha,
                                     beta, c.from(i, 0), columns);
  }
  remaining_rows<T, Rows - 1, Vectors>(m - i, k, alpha, a, b, b_row, beta, c.from(i, 0), columns);
}

template <class T>
struct Panels {
  static constexpr int width = Simd<T>::width;
  static constexpr int rows = rows_per_block;
  // A panel of B, two vectors wide, stays in the cache while the rows of A pass by.
  static constexpr std::int64_t depth = 512;
  // A with contiguous columns is packed too, in blocks of this size.
  static constexpr std::int64_t packed_depth = 256;
  static constexpr std::int64_t packed_height = 512 / packed_rows * packed_rows;
  // Fewer rows than this do not pay for copying B's rows.
  static constexpr std::int64_t reuse = 24;
  // Groups a line further apart than they are long do not fall on the same places of the cache.
  static constexpr std::int64_t block_group(std::int64_t k) { return packed_rows * k + width; }
  static constexpr std::int64_t workspace =
      2 * width * depth + packed_height / packed_rows * block_group(packed_depth);

  static void run(std::int64_t m, std::int64_t n, std::int64_t k, T alpha, StridedMatrix<T> a,
                  StridedMatrix<T> b, T beta, T* c, std::int64_t ldc, T* memory) {
    // The transposed problem reads a large B in place where the plain one would transpose it.
    if (b.column_stride != 1 && b.row_stride == 1 && 2 * m <= n && k >= 256) {
      blocks(n, m, k, alpha, {b.data, b.column_stride, b.row_stride},
             {a.data, a.column_stride, a.row_stride}, beta, Target<T>{c, 1, ldc}, memory);
    } else {
      blocks(m, n, k, alpha, a, b, beta, Target<T>{c, ldc, 1}, memory);
    }
  }

  static void blocks(std::int64_t m, std::int64_t n, std::int64_t k, T alpha, StridedMatrix<T> a,
                     StridedMatrix<T> b, T beta, Target<T> c, T* memory) {
    const bool pack_a = a.column_stride != 1 && n > 4 * width && m >= rows;
    const std::int64_t height = pack_a ? packed_height : m;
    const std::int64_t pieces = (k - 1) / (pack_a ? packed_depth : depth) + 1;
    for (std::int64_t row = 0; row < m; row += height) {
      const std::int64_t mb = smaller(height, m - row);
      for (std::int64_t p = 0; p < pieces; ++p) {
        const std::int64_t begin = k * p / pieces, kb = k * (p + 1) / pieces - begin;
        const T* const from_a = a.data + row * a.row_stride + begin * a.column_stride;
        const T* const from_b = b.data + begin * b.row_stride;
        slab(mb, n, kb, alpha, {from_a, a.row_stride, a.column_stride},
             {from_b, b.row_stride, b.column_stride}, p == 0 ? beta : T(1), c.from(row, 0), pack_a,
             memory);
      }
    }
  }

  static void slab(std::int64_t m, std::int64_t n, std::int64_t k, T alpha, StridedMatrix<T> a,
                   StridedMatrix<T> b, T beta, Target<T> c, bool pack_a, T* memory) {
    T* const panel = memory;
    T* const block = memory + 2 * width * depth;
    // Rows that fill register blocks.
    const std::int64_t packed = pack_a ? m / packed_rows * packed_rows : 0;
    if (pack_a)
      pack<T, packed_rows>(packed, k, a.data, a.row_stride, a.column_stride, block, block_group(k));
    const StridedMatrix<T> rest{a.data + packed * a.row_stride, a.row_stride, a.column_stride};
    for (std::int64_t j = 0; j < n;) {
      const bool wide = n - j > width;
      const int lanes = wide ? 2 * width : width;
      const auto columns = static_cast<int>(smaller(lanes, n - j));
      const T* from = b.data + j * b.column_stride;
      std::int64_t b_row = b.row_stride;
      if (b.column_stride != 1 || columns < lanes || m >= reuse) {
        const auto copy = wide ? pack<T, 2 * width> : pack<T, width>;
        copy(columns, k, from, b.column_stride, b.row_stride, panel, lanes * k);
        from = panel;
        b_row = lanes;
      }
      const auto group = wide ? column_group<T, rows, 2> : column_group<T, rows, 1>;
      if (packed > 0) {
        const auto blocks =
            wide ? column_group<T, packed_rows, 2> : column_group<T, packed_rows, 1>;
        blocks(packed, k, alpha, {block, 1, packed_rows}, block_group(k), from, b_row, beta,
               c.from(0, j), columns);
      }
      group(m - packed, k, alpha, rest, rows * a.row_stride, from, b_row, beta, c.from(packed, j),
            columns);
      j += lanes;
    }
  }
};

template <class T>
void pack_columns(std::int64_t n, std::int64_t k, StridedMatrix<T> b, T* panels) {
  pack<T, 2 * Simd<T>::width>(n, k, b.data, b.column_stride, b.row_stride, panels,
                              2 * Simd<T>::width * k);
}

template <class T>
void product_packed(std::int64_t m, std::int64_t n, std::int64_t k, const T* a, std::int64_t lda,
                    const T* panels, T beta, T* c, std::int64_t ldc) {
  constexpr std::int64_t lanes = 2 * Simd<T>::width;
  // Blocks of even height: a low last block would wait for its own sums.
  const std::int64_t blocks = (m + packed_rows - 1) / packed_rows;
  const std::int64_t rows = (m + blocks - 1) / (blocks > 0 ? blocks : 1);
  for (std::int64_t j = 0; j < n; j += lanes, panels += lanes * k) {
    const int columns = static_cast<int>(smaller(lanes, n - j));
    for (std::int64_t i = 0; i < m; i += rows) {
      // Later blocks of rows find the panel in the first cache.
      const auto run =
          i == 0 ? remaining_rows<T, packed_rows, 2, 2048> : remaining_rows<T, packed_rows, 2>;
      run(smaller(rows, m - i), k, T(1), {a + i * lda, lda, 1}, panels, lanes, beta,
          Target<T>{c + i * ldc + j, ldc, 1}, columns);
    }
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

template <class T>
void add_bias(std::int64_t m, std::int64_t n, const T* __restrict bias, T* __restrict c,
              std::int64_t ldc) {
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) c[i * ldc + j] += bias[j];
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
  return {Panels<T>::workspace, Panels<T>::run,     row_dots<T>,     row_sum<T>,
          add_bias<T>,          2 * Simd<T>::width, pack_columns<T>, product_packed<T>};
}

}  // namespace

const GemmTable gemm_table = {kernels<float>(),
                              kernels<double>(),
                              {widen_bfloat16, narrow_bfloat16},
                              {widen_float16, narrow_float16}};

}  // namespace samara::SAMARA_ISA
