// Normalisation over channels (batch, instance and group norm): the kernels' table.
//
// All of them are y = act((x - mean) scale + bias + residual), with coefficients that depend on the
// channel and, but for batch norm, on the sample. The kernels see a matrix of numbers in memory:
// rows in which each column has its own coefficients (channels innermost), or one run of numbers
// with common ones (a channel's pixels). Coefficients are in the type numbers are computed in
// (float for half precision), sums and statistics in double.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace samara {

// What follows the normalisation in the same pass: clamp is relu (0, inf) and relu6 (0, 6).
enum class NormActivation : uint8_t { none, clamp, leaky_relu, silu };
inline constexpr int kNormActivationCount = 4;

// low, high: the limits of clamp; low: the slope of leaky_relu.
struct NormActivationParameters {
  double low = 0, high = 0;
};

// rows x columns numbers, each row `stride` after the one before.
struct NormTile {
  int64_t rows, columns, stride;
  bool streams = false;  // results go past the caches, being more than these hold
};

// x - mean is (x - high) - low: a large mean costs no digits. One number per column, or a single
// one for all of them.
struct NormCoefficients {
  const void *high, *low, *scale, *bias;
  // Gradient: dx = g factor + (x - mean) slope + level.
  const void *factor, *slope, *level;
};

struct ChannelNormLoops {
  void (*apply)(const void* x, const void* residual, void* y, const NormTile& tile,
                const NormCoefficients& coefficients,
                const NormActivationParameters& parameters) = nullptr;
  // Sums of g' and of g' (x - mean), one pair per column or one for all; g' is the gradient before
  // the activation.
  void (*sums)(const void* g, const void* x, const void* residual, const NormTile& tile,
               const NormCoefficients& coefficients, const NormActivationParameters& parameters,
               double* sum, double* product) = nullptr;
  // dx, and g' into residual_gradient unless that is null.
  void (*gradient)(const void* g, const void* x, const void* residual, void* dx,
                   void* residual_gradient, const NormTile& tile,
                   const NormCoefficients& coefficients,
                   const NormActivationParameters& parameters) = nullptr;
};

// Mean and sum of squared deviations, one pair per column or one for all.
using NormStatistics = void (*)(const void* x, const NormTile& tile, double* mean, double* squares);

struct ChannelNormKernel {
  NormStatistics run_statistics = nullptr;
  NormStatistics column_statistics = nullptr;
  ChannelNormLoops runs[kNormActivationCount];
  ChannelNormLoops columns[kNormActivationCount];
};

struct ChannelNormKernels {
  ChannelNormKernel norm[kDTypeCount];
};
namespace baseline {
extern const ChannelNormKernels channel_norm_kernels;
}
namespace v3 {
extern const ChannelNormKernels channel_norm_kernels;
}
namespace v4 {
extern const ChannelNormKernels channel_norm_kernels;
}

// Columns of a tile at most: the loops keep sums of that many numbers on the stack.
inline constexpr int64_t kNormColumns = 1024;

}  // namespace samara
