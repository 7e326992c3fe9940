// Softmax, its logarithm and log-sum-exp: the kernels' table.
//
// float16 and bfloat16 are computed in float; sums over a row are accumulated in double.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace samara {

struct SoftmaxKernel {
  // Rows of n contiguous elements.
  void (*rows)(const void* x, void* out, int64_t rows, int64_t n, bool logarithm) = nullptr;
  void (*rows_backward)(const void* g, const void* y, void* out, int64_t rows, int64_t n,
                        bool logarithm) = nullptr;
  // [n, inner] seen as `width` neighbouring columns of n elements, `inner` apart; width <= 256.
  void (*columns)(const void* x, void* out, int64_t n, int64_t inner, int64_t width,
                  bool logarithm) = nullptr;
  void (*columns_backward)(const void* g, const void* y, void* out, int64_t n, int64_t inner,
                           int64_t width, bool logarithm) = nullptr;
  // log(sum(e^x)) of each row.
  void (*logsumexp)(const void* x, void* out, int64_t rows, int64_t n) = nullptr;
  // The largest element of each row and the sum of e^(x - largest): 2 numbers per row.
  void (*statistics)(const void* x, double* out, int64_t rows, int64_t n) = nullptr;
  // sum over c of weight[c] * target[c] and of weight[c] * target[c] * (x[c] - shift), where weight
  // (in the compute type) may be null and so may target (then the constant 1).
  void (*weighted)(const void* x, const void* target, const void* weight, int64_t n, double shift,
                   double* sums) = nullptr;
  // out = scale e^(x - shift) - bias weight[c] target[c] over rows of n; weight and target as
  // above, `parameters` holds shift, scale and bias of each row.
  void (*gradient)(const void* x, const void* target, const void* weight, void* out, int64_t rows,
                   int64_t n, const double* parameters) = nullptr;
  void (*logarithms)(const double* x, double* out, int64_t n) = nullptr;
  // out = (x - a) - b over n elements.
  void (*shifted)(const void* x, void* out, int64_t n, double a, double b) = nullptr;
};

struct SoftmaxKernels {
  SoftmaxKernel softmax[kDTypeCount];
};
namespace baseline {
extern const SoftmaxKernels softmax_kernels;
}
namespace v3 {
extern const SoftmaxKernels softmax_kernels;
}
namespace v4 {
extern const SoftmaxKernels softmax_kernels;
}
const SoftmaxKernels& softmax_kernels();

// The largest element of each row of n and the sum of e^(x - largest), 2 numbers per row. Long rows
// are cut into parts of fixed size.
void row_statistics(DType dtype, const void* x, double* out, int64_t rows, int64_t n);

}  // namespace samara
