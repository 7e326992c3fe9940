// Layer and root-mean-square normalisation: the kernels' table.
//
// Weights and their gradients are in the type the numbers are computed in (float for half
// precision); the statistics of a row are its mean and the reciprocal of its deviation.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace samara {

struct NormShape {
  int64_t rows, n;
  bool centered;  // subtract the mean: layer norm; without: RMS norm
  double eps;
};

struct NormKernel {
  // weight, bias and statistics (2 per row) may be null.
  void (*forward)(const void* x, const void* weight, const void* bias, void* out,
                  double* statistics, const NormShape& shape) = nullptr;
  // Adds up the rows' gradients of weight and bias into weight_gradient and bias_gradient, n
  // numbers each, unless these are null.
  void (*backward)(const void* g, const void* x, const void* weight, const double* statistics,
                   void* out, void* weight_gradient, void* bias_gradient,
                   const NormShape& shape) = nullptr;
};

struct NormKernels {
  NormKernel norm[kDTypeCount];
};
namespace baseline {
extern const NormKernels norm_kernels;
}
namespace v3 {
extern const NormKernels norm_kernels;
}
namespace v4 {
extern const NormKernels norm_kernels;
}

}  // namespace samara
