// Direct convolution of float32 in registers: what the ordinary files and the kernels share.
//
// A convolution is a matrix product whose left rows are gathered: output pixel p sees, for each
// place of the kernel, a run of contiguous channels of some input pixel. The kernels take pointers
// to these runs, so that stride, dilation, padding (a run of zeros) and the gradient's scattered
// pixels need no copy of the input. After Dukhan, "The Indirect Convolution Algorithm" (2019).
#pragma once

#include <cstdint>

#include "core/tensor.h"
#include "cpu/convolution_shape.h"

namespace samara {

// `rows` output pixels times one panel of weights:
// y[i, :] = clamp(bias + sum over t, c of inputs[t][i][c] weights[t, c, :] + residual[i, :]).
struct DirectBlock {
  std::int64_t taps, channels;
  const float* const* inputs;    // [taps][rows]
  const float* weights;          // [taps * channels][panel]
  const float* bias;             // [panel]
  const float* const* residual;  // [rows], or null
  float* const* outputs;         // [rows]
  int rows, columns;             // how many of the panel's columns are written
  float low, high;               // what bounds y
  // Where the inputs of the next block are expected, behind these; 0: they are in the cache.
  std::int64_t ahead;
};

// Pixels whose products are added: a and b advance by their steps.
struct GradientRun {
  const float* a;
  const float* b;
  std::int64_t count;
};

// sums[i, :] (+)= sum over runs and pixels of (a + a_shift)[i] (b + b_shift)[:].
struct GradientBlock {
  const GradientRun* runs;
  std::int64_t run_count;
  std::int64_t a_shift, b_shift, a_step, b_step;
  float* sums;
  std::int64_t sums_row;  // between rows of sums
  int rows, vectors;
  bool fresh;  // sums are written, not added to
};

struct DirectKernels {
  std::int64_t panel;  // columns of a panel of weights
  int lanes;           // floats in a vector
  int rows;            // the most rows of a DirectBlock
  int gradient_rows;   // and of a GradientBlock, which is one or two vectors wide
  void (*block)(const DirectBlock& block);
  void (*gradient)(const GradientBlock& block);
  void (*add)(float* to, const float* from, std::int64_t n);  // to += from
};

namespace baseline {
extern const DirectKernels direct_kernels;
}
namespace v3 {
extern const DirectKernels direct_kernels;
}
namespace v4 {
extern const DirectKernels direct_kernels;
}
const DirectKernels& direct_kernels();

// x [N, d, h, w, C] with the padding at the begin of its rows, and cut or padded to `width` pixels.
Tensor padded_rows(const ConvolutionShape& s, const Tensor& x, std::int64_t width);

}  // namespace samara
