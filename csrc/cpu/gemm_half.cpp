// Matrix products of float16 and bfloat16 matrices: float sums, rounded once.
#include <algorithm>
#include <cstddef>
#include <memory>
#include <stdexcept>

#include "cpu/gemm.h"
#include "cpu/gemm_simd.h"
#include "cpu/isa.h"
#include "cpu/onednn.h"
#include "cpu/threads.h"

namespace samara {
namespace {

using std::int64_t;
using std::uint16_t;

const HalfKernels& half_kernels(HalfKind kind) {
#ifdef SAMARA_BASELINE_ONLY
  const GemmTable& table = baseline::gemm_table;
#else
  const GemmTable& table = select_isa(baseline::gemm_table, v3::gemm_table, v4::gemm_table);
#endif
  return kind == HalfKind::bfloat16 ? table.bfloat16 : table.float16;
}

std::unique_ptr<float[]> floats(int64_t count) {
  return std::unique_ptr<float[]>(new float[static_cast<std::size_t>(count)]);
}

// A contiguous float copy of a rows x columns matrix.
std::unique_ptr<float[]> widened(const HalfKernels& kernels, int64_t rows, int64_t columns,
                                 const uint16_t* from, int64_t ld) {
  auto copy = floats(rows * columns);
  float* const to = copy.get();
  parallel_ranges(rows, std::max<int64_t>((int64_t{1} << 16) / std::max<int64_t>(columns, 1), 1),
                  [&](int64_t begin, int64_t end) {
                    for (int64_t i = begin; i < end; ++i) {
                      kernels.widen(columns, from + i * ld, to + i * columns);
                    }
                  });
  return copy;
}

// Tiles of at most 256 x 256, so that the float result of a tile is still in the cache when it is
// rounded.
constexpr int64_t tile_side = 256;

bool bfloat16_product(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha,
                      const uint16_t* a, int64_t lda, const uint16_t* b, int64_t ldb, float beta,
                      uint16_t* c, int64_t ldc) {
  const bool overlapping =
      lda < (trans_a ? m : k) || ldb < (trans_b ? k : n);  // a broadcast matrix, for example
  if (overlapping || !onednn::has_bf16_gemm()) return false;
  const HalfKernels& kernels = half_kernels(HalfKind::bfloat16);
  const int64_t across = (n - 1) / tile_side + 1;
  parallel_tiles(((m - 1) / tile_side + 1) * across, [&](int64_t tile) {
    const int64_t row = tile / across * tile_side, column = tile % across * tile_side;
    const int64_t rows = std::min(tile_side, m - row);
    const int64_t columns = std::min(tile_side, n - column);
    const auto sums = floats(rows * columns);
    const bool done =
        onednn::bf16_gemm(trans_a, trans_b, rows, columns, k, a + row * (trans_a ? 1 : lda), lda,
                          b + column * (trans_b ? ldb : 1), ldb, sums.get(), columns);
    if (!done) throw std::runtime_error("matmul: oneDNN refused a bfloat16 product");
    for (int64_t i = 0; i < rows; ++i) {
      kernels.narrow(columns, alpha, sums.get() + i * columns, beta, c + (row + i) * ldc + column);
    }
  });
  return true;
}

}  // namespace

void gemm_half(HalfKind kind, bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k,
               float alpha, const uint16_t* a, int64_t lda, const uint16_t* b, int64_t ldb,
               float beta, uint16_t* c, int64_t ldc) {
  if (m <= 0 || n <= 0) return;
  const bool large = m * n * std::max<int64_t>(k, 0) >= int64_t{1} << 18;
  if (large && kind == HalfKind::bfloat16 &&
      bfloat16_product(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)) {
    return;
  }
  const HalfKernels& kernels = half_kernels(kind);
  const int64_t depth = std::max<int64_t>(k, 0);
  const int64_t a_columns = trans_a ? m : depth, b_columns = trans_b ? depth : n;
  const auto wide_a = widened(kernels, trans_a ? depth : m, a_columns, a, lda);
  const auto wide_b = widened(kernels, trans_b ? n : depth, b_columns, b, ldb);
  const auto sums = floats(m * n);
  gemm(trans_a, trans_b, m, n, depth, 1, wide_a.get(), a_columns, wide_b.get(), b_columns, 0,
       sums.get(), n);
  for (int64_t i = 0; i < m; ++i) kernels.narrow(n, alpha, sums.get() + i * n, beta, c + i * ldc);
}

void gemm_half_batched(HalfKind kind, int64_t batch, bool trans_a, bool trans_b, int64_t m,
                       int64_t n, int64_t k, float alpha, const uint16_t* a, int64_t lda,
                       int64_t stride_a, const uint16_t* b, int64_t ldb, int64_t stride_b,
                       float beta, uint16_t* c, int64_t ldc, int64_t stride_c) {
  const auto one = [&](int64_t i) {
    gemm_half(kind, trans_a, trans_b, m, n, k, alpha, a + i * stride_a, lda, b + i * stride_b, ldb,
              beta, c + i * stride_c, ldc);
  };
  if (batch < 8) {
    for (int64_t i = 0; i < batch; ++i) one(i);
  } else {
    parallel_tiles(batch, one);
  }
}

}  // namespace samara
