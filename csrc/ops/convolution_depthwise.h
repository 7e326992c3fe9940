// Depthwise convolution of float32: every channel by itself, channels innermost. What the ordinary
// file and the kernels share.
#pragma once

#include <cstdint>

namespace samara {

// One place of the kernel: the input pixel that the first output of a run reads, and the weights of
// all channels there.
struct DepthwiseTap {
  const float* x;
  const float* weight;
};

// `count` output pixels that read the same taps, each x_step further on:
// y[i, c] = min(max(bias[c] + sum over taps x[i * x_step + c] weight[c] + residual[i, c], low),
// high).
struct DepthwiseRun {
  const DepthwiseTap* taps;
  std::int64_t tap_count, count, channels, x_step, y_step;
  const float* bias;      // or null
  const float* residual;  // or null; steps like y
  float* y;
  float low, high;
};

// sums[t, c] += sum over the run's pixels of x[t][i * x_step + c] g[i * g_step + c].
struct DepthwiseGradientRun {
  const float* const* x;  // [tap_count]
  std::int64_t tap_count, count, channels, x_step, g_step;
  const float* g;
  float* const* sums;  // [tap_count]
};

struct DepthwiseKernels {
  int lanes;  // channels are a multiple of these
  void (*run)(const DepthwiseRun& run);
  void (*gradient)(const DepthwiseGradientRun& run);
};

namespace baseline {
extern const DepthwiseKernels depthwise_kernels;
}
namespace v3 {
extern const DepthwiseKernels depthwise_kernels;
}
namespace v4 {
extern const DepthwiseKernels depthwise_kernels;
}

}  // namespace samara
