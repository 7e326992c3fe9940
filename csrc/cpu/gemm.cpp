#include "cpu/gemm.h"

#include <algorithm>
#include <complex>
#include <memory>
#include <new>
#include <vector>

#include "cpu/gemm_generic.h"
#include "cpu/gemm_simd.h"
#include "cpu/isa.h"
#include "cpu/onednn.h"
#include "cpu/threads.h"

namespace samara {
namespace {

using std::int64_t;

// A tile of fewer multiply-adds than this (2 to 3 us) is not worth handing to another thread.
constexpr int64_t tile_limit = int64_t{1} << 19;
// Matrix-vector products are cut by the memory they read.
constexpr int64_t vector_tile = int64_t{1} << 16;

const GemmTable& table() {
#ifdef SAMARA_BASELINE_ONLY
  return baseline::gemm_table;
#else
  static const GemmTable& chosen = select_isa(baseline::gemm_table, v3::gemm_table, v4::gemm_table);
  return chosen;
#endif
}

template <class T>
const GemmKernels<T>& kernels() {
  if constexpr (std::is_same_v<T, float>)
    return table().f32;
  else
    return table().f64;
}

// Each thread keeps its packing memory: fresh pages would cost more than the packing.
template <class T>
T* workspace() {
  struct Free {
    void operator()(T* memory) const { ::operator delete[](memory, std::align_val_t{64}); }
  };
  thread_local const std::unique_ptr<T[], Free> memory(static_cast<T*>(::operator new[](
      static_cast<std::size_t>(kernels<T>().workspace) * sizeof(T), std::align_val_t{64})));
  return memory.get();
}

int64_t pieces(int64_t whole, int64_t part) { return (whole - 1) / part + 1; }

template <class T>
struct Product {
  bool trans_a, trans_b;
  int64_t m, n, k;
  T alpha;
  const T* a;
  int64_t lda;
  const T* b;
  int64_t ldb;
  T beta;
  T* c;
  int64_t ldc;
  const T* bias = nullptr;

  StridedMatrix<T> a_view() const { return {a, trans_a ? 1 : lda, trans_a ? lda : 1}; }
  StridedMatrix<T> b_view() const { return {b, trans_b ? 1 : ldb, trans_b ? ldb : 1}; }

  Product rows_and_columns(int64_t row, int64_t rows, int64_t column, int64_t columns) const {
    Product part = *this;
    part.m = rows;
    part.n = columns;
    part.a += row * (trans_a ? 1 : lda);
    part.b += column * (trans_b ? ldb : 1);
    part.c += row * ldc + column;
    if (bias != nullptr) part.bias += column;
    return part;
  }
  Product depth(int64_t begin, int64_t end) const {
    Product part = *this;
    part.k = end - begin;
    part.a += begin * (trans_a ? lda : 1);
    part.b += begin * (trans_b ? 1 : ldb);
    return part;
  }
};

// C = beta * C.
template <class T>
void scale(const Product<T>& p) {
  for (int64_t i = 0; i < p.m; ++i) {
    T* const row = p.c + i * p.ldc;
    for (int64_t j = 0; j < p.n; ++j) row[j] = p.beta == T(0) ? T(0) : p.beta * row[j];
  }
}

template <class T>
void add_bias(const Product<T>& p) {
  if (p.bias != nullptr) kernels<T>().add_bias(p.m, p.n, p.bias, p.c, p.ldc);
}

// Where our kernel beats oneDNN's on one thread, measured on Zen 5: small products, a transposed B,
// and a transposed A whose rows are whole pages apart, both of which oneDNN packs slowly.
template <class T>
bool prefers_own_kernel(const Product<T>& p) {
  constexpr int64_t page = 4096 / int64_t{sizeof(T)};
  return p.trans_b || (p.trans_a && p.lda % page == 0) || p.m * p.n * p.k <= 64 * 64 * 64;
}

// One tile on the calling thread.
template <class T>
void tile_product(const Product<T>& p) {
  bool done = false;
  if constexpr (std::is_same_v<T, float>) {
    // oneDNN also refuses overlapping rows (a broadcast matrix has a row distance of 0).
    done = !prefers_own_kernel(p) && onednn::sgemm(p.trans_a, p.trans_b, p.m, p.n, p.k, p.alpha,
                                                   p.a, p.lda, p.b, p.ldb, p.beta, p.c, p.ldc);
  }
  if (!done) {
    kernels<T>().product(p.m, p.n, p.k, p.alpha, p.a_view(), p.b_view(), p.beta, p.c, p.ldc,
                         workspace<T>());
  }
  add_bias(p);
}

struct Tiling {
  int64_t rows, columns;
};

// Tiles large enough that packing their operands is cheap, small enough that threads share evenly.
// Each tile packs its own part of A and B, so tiles are near square, longer along the operand that
// is contiguous.
Tiling choose_tiling(bool trans_b, int64_t m, int64_t n, int64_t k) {
  if (m * n * k < 2 * tile_limit) return {m, n};
  const int64_t least = std::max<int64_t>(128 * 128, tile_limit / k);
  int64_t area = std::clamp<int64_t>(m * n / 8, least, std::max<int64_t>(512 * 512, least));
  area = std::min(area, (m * n + 1) / 2);
  int64_t side = 64;  // the shorter side of the tile
  while (2 * side * 2 * side <= area) side *= 2;
  const bool square = side * side * 2 > area;
  int64_t rows = trans_b && !square ? 2 * side : side;
  int64_t columns = trans_b || square ? side : 2 * side;
  if (m < rows) {
    rows = m;
    columns = std::max<int64_t>(area / m, 64);
  } else if (n < columns) {
    columns = n;
    rows = std::max<int64_t>(area / n, 64);
  }
  rows = std::min(rows, m);
  columns = std::min(columns, n);
  const auto even = [](int64_t whole, int64_t part) {
    const int64_t size = pieces(whole, pieces(whole, part));
    return std::min(whole, (size + 15) / 16 * 16);
  };
  return {even(m, rows), even(n, columns)};
}

template <class T>
void tiled_product(const Product<T>& p) {
  const auto [rows, columns] = choose_tiling(p.trans_b, p.m, p.n, p.k);
  const int64_t across = pieces(p.n, columns);
  parallel_tiles(pieces(p.m, rows) * across, [&, rows = rows, columns = columns](int64_t tile) {
    const int64_t i = tile / across * rows, j = tile % across * columns;
    tile_product(p.rows_and_columns(i, std::min(rows, p.m - i), j, std::min(columns, p.n - j)));
  });
}

// Few elements of C and a long sum: the sum is cut into pieces that depend on k alone and added in
// order.
template <class T>
void long_product(const Product<T>& p, int64_t slices) {
  const int64_t size = p.m * p.n;
  std::vector<T> partial(static_cast<std::size_t>(size * slices));
  parallel_tiles(slices, [&](int64_t s) {
    Product<T> part = p.depth(p.k * s / slices, p.k * (s + 1) / slices);
    part.beta = T(0);
    part.bias = nullptr;
    part.c = partial.data() + s * size;
    part.ldc = p.n;
    tile_product(part);
  });
  scale(p);
  for (int64_t i = 0; i < p.m; ++i) {
    T* const row = p.c + i * p.ldc;
    for (int64_t j = 0; j < p.n; ++j) {
      T sum = partial[static_cast<std::size_t>(i * p.n + j)];
      for (int64_t s = 1; s < slices; ++s) {
        sum += partial[static_cast<std::size_t>(s * size + i * p.n + j)];
      }
      row[j] += sum;
    }
  }
  add_bias(p);
}

// y = alpha * op(a) x + beta * y, where op(a) has `rows` rows.
template <class T>
void matrix_vector(bool transposed, int64_t rows, int64_t columns, T alpha, const T* a, int64_t lda,
                   const T* x, int64_t x_stride, T beta, T* y, int64_t y_stride) {
  std::vector<T> copy;
  if (!transposed) {
    if (x_stride != 1) {
      copy.resize(static_cast<std::size_t>(columns));
      for (int64_t j = 0; j < columns; ++j) copy[static_cast<std::size_t>(j)] = x[j * x_stride];
      x = copy.data();
    }
    const int64_t grain = std::max<int64_t>(vector_tile / columns, 1);
    parallel_ranges(rows, grain, [&](int64_t begin, int64_t end) {
      kernels<T>().row_dots(end - begin, columns, alpha, a + begin * lda, lda, x, beta,
                            y + begin * y_stride, y_stride);
    });
    return;
  }
  T* target = y;
  if (y_stride != 1) {
    copy.resize(static_cast<std::size_t>(rows));
    if (beta != T(0)) {
      for (int64_t i = 0; i < rows; ++i) copy[static_cast<std::size_t>(i)] = y[i * y_stride];
    }
    target = copy.data();
  }
  const int64_t grain = std::max<int64_t>(vector_tile / columns / 64 * 64, 256);
  parallel_ranges(rows, grain, [&](int64_t begin, int64_t end) {
    kernels<T>().row_sum(columns, end - begin, alpha, x, x_stride, a + begin, lda, beta,
                         target + begin);
  });
  if (y_stride != 1) {
    for (int64_t i = 0; i < rows; ++i) y[i * y_stride] = target[i];
  }
}

template <class T>
void product(const Product<T>& p) {
  if (p.m <= 0 || p.n <= 0) return;
  if (p.k <= 0 || p.alpha == T(0)) {
    scale(p);
    return add_bias(p);
  }
  const int64_t elements = p.m * p.n;
  const int64_t slices = std::min<int64_t>(elements <= 64 * 64 ? 64 : 16, p.k / 2048);
  if (elements <= 128 * 128 && slices >= 2 && elements * p.k >= 2 * tile_limit) {
    return long_product(p, slices);
  }
  if (p.n == 1) {
    matrix_vector(p.trans_a, p.m, p.k, p.alpha, p.a, p.lda, p.b, p.trans_b ? 1 : p.ldb, p.beta, p.c,
                  p.ldc);
    return add_bias(p);
  }
  if (p.m == 1) {
    matrix_vector(!p.trans_b, p.n, p.k, p.alpha, p.b, p.ldb, p.a, p.trans_a ? p.lda : 1, p.beta,
                  p.c, int64_t{1});
    return add_bias(p);
  }
  tiled_product(p);
}

template <class T>
inline constexpr bool has_kernels = std::is_same_v<T, float> || std::is_same_v<T, double>;

}  // namespace

template <class T>
void gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k,
          std::type_identity_t<T> alpha, const T* a, int64_t lda, const T* b, int64_t ldb,
          std::type_identity_t<T> beta, T* c, int64_t ldc) {
  if constexpr (has_kernels<T>) {
    product(Product<T>{trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc});
  } else {
    generic_gemm(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  }
}

template <class T>
void gemm_batched(int64_t batch, bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k,
                  std::type_identity_t<T> alpha, const T* a, int64_t lda, int64_t stride_a,
                  const T* b, int64_t ldb, int64_t stride_b, std::type_identity_t<T> beta, T* c,
                  int64_t ldc, int64_t stride_c) {
  if (batch <= 0 || m <= 0 || n <= 0) return;
  const auto one = [&](int64_t i) {
    gemm(trans_a, trans_b, m, n, k, alpha, a + i * stride_a, lda, b + i * stride_b, ldb, beta,
         c + i * stride_c, ldc);
  };
  // Large matrices are cut inside; of small ones a tile takes several.
  const int64_t work = m * n * std::max<int64_t>(k, 1);
  if (batch < 8 && work >= 4 * tile_limit) {
    for (int64_t i = 0; i < batch; ++i) one(i);
    return;
  }
  parallel_ranges(batch, std::max<int64_t>(tile_limit / 4 / work, 1),
                  [&](int64_t begin, int64_t end) {
                    for (int64_t i = begin; i < end; ++i) one(i);
                  });
}

template <class T>
void gemm_bias(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, const T* a, int64_t lda,
               const T* b, int64_t ldb, const T* bias, T* c, int64_t ldc) {
  product(Product<T>{trans_a, trans_b, m, n, k, T(1), a, lda, b, ldb, T(0), c, ldc, bias});
}

template void gemm_bias<float>(bool, bool, int64_t, int64_t, int64_t, const float*, int64_t,
                               const float*, int64_t, const float*, float*, int64_t);
template void gemm_bias<double>(bool, bool, int64_t, int64_t, int64_t, const double*, int64_t,
                                const double*, int64_t, const double*, double*, int64_t);

template void gemm<float>(bool, bool, int64_t, int64_t, int64_t, float, const float*, int64_t,
                          const float*, int64_t, float, float*, int64_t);
template void gemm_batched<float>(int64_t, bool, bool, int64_t, int64_t, int64_t, float,
                                  const float*, int64_t, int64_t, const float*, int64_t, int64_t,
                                  float, float*, int64_t, int64_t);
template void gemm<double>(bool, bool, int64_t, int64_t, int64_t, double, const double*, int64_t,
                           const double*, int64_t, double, double*, int64_t);
template void gemm_batched<double>(int64_t, bool, bool, int64_t, int64_t, int64_t, double,
                                   const double*, int64_t, int64_t, const double*, int64_t, int64_t,
                                   double, double*, int64_t, int64_t);
template void gemm<std::complex<float>>(bool, bool, int64_t, int64_t, int64_t, std::complex<float>,
                                        const std::complex<float>*, int64_t,
                                        const std::complex<float>*, int64_t, std::complex<float>,
                                        std::complex<float>*, int64_t);
template void gemm_batched<std::complex<float>>(int64_t, bool, bool, int64_t, int64_t, int64_t,
                                                std::complex<float>, const std::complex<float>*,
                                                int64_t, int64_t, const std::complex<float>*,
                                                int64_t, int64_t, std::complex<float>,
                                                std::complex<float>*, int64_t, int64_t);
template void gemm<std::complex<double>>(bool, bool, int64_t, int64_t, int64_t,
                                         std::complex<double>, const std::complex<double>*, int64_t,
                                         const std::complex<double>*, int64_t, std::complex<double>,
                                         std::complex<double>*, int64_t);
template void gemm_batched<std::complex<double>>(int64_t, bool, bool, int64_t, int64_t, int64_t,
                                                 std::complex<double>, const std::complex<double>*,
                                                 int64_t, int64_t, const std::complex<double>*,
                                                 int64_t, int64_t, std::complex<double>,
                                                 std::complex<double>*, int64_t, int64_t);
template void gemm<std::int8_t>(bool, bool, int64_t, int64_t, int64_t, std::int8_t,
                                const std::int8_t*, int64_t, const std::int8_t*, int64_t,
                                std::int8_t, std::int8_t*, int64_t);
template void gemm_batched<std::int8_t>(int64_t, bool, bool, int64_t, int64_t, int64_t, std::int8_t,
                                        const std::int8_t*, int64_t, int64_t, const std::int8_t*,
                                        int64_t, int64_t, std::int8_t, std::int8_t*, int64_t,
                                        int64_t);
template void gemm<std::int16_t>(bool, bool, int64_t, int64_t, int64_t, std::int16_t,
                                 const std::int16_t*, int64_t, const std::int16_t*, int64_t,
                                 std::int16_t, std::int16_t*, int64_t);
template void gemm_batched<std::int16_t>(int64_t, bool, bool, int64_t, int64_t, int64_t,
                                         std::int16_t, const std::int16_t*, int64_t, int64_t,
                                         const std::int16_t*, int64_t, int64_t, std::int16_t,
                                         std::int16_t*, int64_t, int64_t);
template void gemm<std::int32_t>(bool, bool, int64_t, int64_t, int64_t, std::int32_t,
                                 const std::int32_t*, int64_t, const std::int32_t*, int64_t,
                                 std::int32_t, std::int32_t*, int64_t);
template void gemm_batched<std::int32_t>(int64_t, bool, bool, int64_t, int64_t, int64_t,
                                         std::int32_t, const std::int32_t*, int64_t, int64_t,
                                         const std::int32_t*, int64_t, int64_t, std::int32_t,
                                         std::int32_t*, int64_t, int64_t);
template void gemm<std::int64_t>(bool, bool, int64_t, int64_t, int64_t, std::int64_t,
                                 const std::int64_t*, int64_t, const std::int64_t*, int64_t,
                                 std::int64_t, std::int64_t*, int64_t);
template void gemm_batched<std::int64_t>(int64_t, bool, bool, int64_t, int64_t, int64_t,
                                         std::int64_t, const std::int64_t*, int64_t, int64_t,
                                         const std::int64_t*, int64_t, int64_t, std::int64_t,
                                         std::int64_t*, int64_t, int64_t);
template void gemm<std::uint8_t>(bool, bool, int64_t, int64_t, int64_t, std::uint8_t,
                                 const std::uint8_t*, int64_t, const std::uint8_t*, int64_t,
                                 std::uint8_t, std::uint8_t*, int64_t);
template void gemm_batched<std::uint8_t>(int64_t, bool, bool, int64_t, int64_t, int64_t,
                                         std::uint8_t, const std::uint8_t*, int64_t, int64_t,
                                         const std::uint8_t*, int64_t, int64_t, std::uint8_t,
                                         std::uint8_t*, int64_t, int64_t);
template void gemm<std::uint16_t>(bool, bool, int64_t, int64_t, int64_t, std::uint16_t,
                                  const std::uint16_t*, int64_t, const std::uint16_t*, int64_t,
                                  std::uint16_t, std::uint16_t*, int64_t);
template void gemm_batched<std::uint16_t>(int64_t, bool, bool, int64_t, int64_t, int64_t,
                                          std::uint16_t, const std::uint16_t*, int64_t, int64_t,
                                          const std::uint16_t*, int64_t, int64_t, std::uint16_t,
                                          std::uint16_t*, int64_t, int64_t);
template void gemm<std::uint32_t>(bool, bool, int64_t, int64_t, int64_t, std::uint32_t,
                                  const std::uint32_t*, int64_t, const std::uint32_t*, int64_t,
                                  std::uint32_t, std::uint32_t*, int64_t);
template void gemm_batched<std::uint32_t>(int64_t, bool, bool, int64_t, int64_t, int64_t,
                                          std::uint32_t, const std::uint32_t*, int64_t, int64_t,
                                          const std::uint32_t*, int64_t, int64_t, std::uint32_t,
                                          std::uint32_t*, int64_t, int64_t);
template void gemm<std::uint64_t>(bool, bool, int64_t, int64_t, int64_t, std::uint64_t,
                                  const std::uint64_t*, int64_t, const std::uint64_t*, int64_t,
                                  std::uint64_t, std::uint64_t*, int64_t);
template void gemm_batched<std::uint64_t>(int64_t, bool, bool, int64_t, int64_t, int64_t,
                                          std::uint64_t, const std::uint64_t*, int64_t, int64_t,
                                          const std::uint64_t*, int64_t, int64_t, std::uint64_t,
                                          std::uint64_t*, int64_t, int64_t);

template <class T>
PackedMatrix<T>::PackedMatrix(bool trans, int64_t n, int64_t k, const T* b, int64_t ldb)
    : n_(n), k_(k) {
  const GemmKernels<T>& own = kernels<T>();
  const int64_t columns = (n + own.panel - 1) / own.panel * own.panel;
  panels_ = static_cast<T*>(
      ::operator new[](static_cast<std::size_t>(columns * k) * sizeof(T), std::align_val_t{64}));
  own.pack_columns(n, k, {b, trans ? 1 : ldb, trans ? ldb : 1}, panels_);
}

template <class T>
PackedMatrix<T>::~PackedMatrix() {
  ::operator delete[](panels_, std::align_val_t{64});
}

template <class T>
void PackedMatrix<T>::multiply(int64_t m, const T* a, int64_t lda, T beta, T* c,
                               int64_t ldc) const {
  kernels<T>().product_packed(m, n_, k_, a, lda, panels_, beta, c, ldc);
}

template class PackedMatrix<float>;
template class PackedMatrix<double>;

}  // namespace samara
