// Convolution with 3 x 3 kernels, stride 1, by Winograd's minimal filtering F(4 x 4, 3 x 3): a tile
// of 4 x 4 outputs takes 36 multiplications for each pair of channels, not 144.
//
// Winograd, "Arithmetic Complexity of Computations" (1980); Lavin and Gray, "Fast Algorithms for
// Convolutional Neural Networks" (2016). The points of interpolation are 0, +-11/16, +-23/16 and
// infinity, close to those with the least rounding error (the usual 0, +-1, +-2 have six times as
// much), and sums over channels are kept in runs of 32; with that the largest error is about three
// times that of a direct single-precision convolution.
//
// The rounding error of an output is relative to the largest input of its tile, which reaches up to
// three pixels further than the output's own 3 x 3 window.
#pragma once

#include <cstdint>

namespace samara {

// Images are [batch, height, width, channels] in this order of memory, without gaps. Pixels outside
// the image are zeros; the padding below and to the right follows from the output's size.
struct WinogradShape {
  std::int64_t batch;
  std::int64_t height, width, channels;
  std::int64_t out_height, out_width, out_channels;
  std::int64_t pad_top, pad_left;
};

// weight[k, c, r, s] for output channel k, input channel c, row r and column s.
struct WinogradWeight {
  const float* data;
  std::int64_t stride_k, stride_c, stride_r, stride_s;
};

// The weight of the gradient with respect to the input, which is a convolution of the output's
// gradient: input and output channels exchanged, kernels turned by 180 degrees.
WinogradWeight adjoint(const WinogradWeight& weight);

// y = convolution + bias + residual, then max(y, 0) with `relu`. Null pointers add nothing. bias:
// [out_channels]; residual: like y.
struct WinogradEpilogue {
  const float* bias = nullptr;
  const float* residual = nullptr;
  bool relu = false;
};

// Whether this algorithm is plainly faster than a direct convolution of the same shape.
bool winograd_pays(const WinogradShape& shape);

// Floats that a transformed weight takes, and the transformation. Transformed weights are good for
// any image size and for this process only.
std::int64_t winograd_weight_size(std::int64_t channels, std::int64_t out_channels);
void winograd_transform_weight(std::int64_t channels, std::int64_t out_channels,
                               const WinogradWeight& weight, float* transformed);

// y = convolution of x, with the same bits for any number of threads and any batch. False when a
// result is not finite; y is unspecified then and has to be computed directly: inside a tile an
// infinity or a NaN reaches outputs that do not depend on it. `x`, `y` and `residual` do not
// overlap.
bool winograd_convolution(const WinogradShape& shape, const float* x, const float* transformed,
                          const WinogradEpilogue& epilogue, float* y);

bool winograd_weight_gradient_pays(const WinogradShape& shape);

// The gradient of the weight, [out_channels, channels, 3, 3] without gaps, of the convolution of
// this shape, given the gradient of its output, with the same bits for any number of threads. False
// when it is not finite, as above.
bool winograd_weight_gradient(const WinogradShape& shape, const float* x, const float* gradient,
                              float* weight);

}  // namespace samara
