// The kernels behind cpu/gemm.h, one table per instruction set (see cpu/isa.h).
#pragma once

#include <cstdint>

namespace samara {

// A matrix seen through its strides, so that a transposed operand needs no other code path.
template <class T>
struct StridedMatrix {
  const T* data;
  std::int64_t row_stride;
  std::int64_t column_stride;
};

template <class T>
struct GemmKernels {
  // Elements of scratch memory that `product` needs.
  std::int64_t workspace;

  // C = alpha A B + beta C on the calling thread; `workspace` is 64-byte aligned.
  void (*product)(std::int64_t m, std::int64_t n, std::int64_t k, T alpha, StridedMatrix<T> a,
                  StridedMatrix<T> b, T beta, T* c, std::int64_t ldc, T* workspace);

  // y[i] = alpha sum_j a[i, j] x[j] + beta y[i] for a row-major matrix of m rows.
  void (*row_dots)(std::int64_t m, std::int64_t k, T alpha, const T* a, std::int64_t lda,
                   const T* x, T beta, T* y, std::int64_t y_stride);

  // y[j] = alpha sum_i x[i] a[i, j] + beta y[j] for a row-major matrix of k rows and n columns.
  void (*row_sum)(std::int64_t k, std::int64_t n, T alpha, const T* x, std::int64_t x_stride,
                  const T* a, std::int64_t lda, T beta, T* y);

  // C[i, j] += bias[j]
  void (*add_bias)(std::int64_t m, std::int64_t n, const T* bias, T* c, std::int64_t ldc);

  // For a B that is used many times with few rows of A. Its panels hold `panel` columns each, so
  // they take k times n, rounded up to whole panels, elements.
  std::int64_t panel;
  void (*pack_columns)(std::int64_t n, std::int64_t k, StridedMatrix<T> b, T* panels);
  // C = A B + beta C on the calling thread.
  void (*product_packed)(std::int64_t m, std::int64_t n, std::int64_t k, const T* a,
                         std::int64_t lda, const T* panels, T beta, T* c, std::int64_t ldc);
};

struct HalfKernels {
  void (*widen)(std::int64_t count, const std::uint16_t* from, float* to);
  // to = round(alpha * from + beta * to); `to` is not read when beta is 0.
  void (*narrow)(std::int64_t count, float alpha, const float* from, float beta, std::uint16_t* to);
};

struct GemmTable {
  GemmKernels<float> f32;
  GemmKernels<double> f64;
  HalfKernels bfloat16;
  HalfKernels float16;
};

namespace baseline {
extern const GemmTable gemm_table;
}
namespace v3 {
extern const GemmTable gemm_table;
}
namespace v4 {
extern const GemmTable gemm_table;
}

}  // namespace samara
