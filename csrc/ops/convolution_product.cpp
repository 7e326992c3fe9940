// Convolutions with a kernel of one place and no padding: products of matrices of pixels.
#include <algorithm>
#include <cstring>

#include "cpu/gemm.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/convolution.h"

namespace samara {
namespace {

bool is_strided(const ConvolutionShape& s) { return s.stride != Sizes3{1, 1, 1}; }

// The offset of the input pixel that output pixel `index`, counted over all images, reads.
int64_t input_pixel(const ConvolutionShape& s, int64_t index) {
  const int64_t w = index % s.out[2], rest = index / s.out[2];
  const int64_t h = rest % s.out[1], d = rest / s.out[1] % s.out[0];
  const int64_t image = rest / (s.out[0] * s.out[1]);
  return ((image * s.in[0] + d * s.stride[0]) * s.in[1] + h * s.stride[1]) * s.in[2] +
         w * s.stride[2];
}

constexpr int64_t pixels_per_tile = 128;

// The pixels that are read, [pixels, C].
Tensor read_pixels(const ConvolutionShape& s, const Tensor& x) {
  if (!is_strided(s)) return x;
  const int64_t pixels = s.images * s.out_pixels(), channels = s.in_channels;
  const Tensor read = empty({pixels * channels}, DType::float32, Device{});
  parallel_ranges(pixels, pixels_per_tile, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      std::copy_n(x.data<float>() + input_pixel(s, i) * channels, channels,
                  read.data<float>() + i * channels);
  });
  return read;
}

// Back to where they were read, with zeros in between.
void write_pixels(const ConvolutionShape& s, const Tensor& read, const Tensor& x) {
  const int64_t channels = s.in_channels, planes = s.images * s.in[0];
  const int64_t plane = s.in[1] * s.in[2] * channels, rows = s.out[1] * s.out[2];
  parallel_tiles(planes, [&](int64_t i) {
    float* const to = x.data<float>() + i * plane;
    std::memset(to, 0, static_cast<size_t>(plane) * sizeof(float));
    const int64_t image = i / s.in[0], depth = i % s.in[0];
    if (depth % s.stride[0] != 0 || depth / s.stride[0] >= s.out[0]) return;
    const int64_t first = (image * s.out[0] + depth / s.stride[0]) * rows;
    for (int64_t p = first; p < first + rows; ++p)
      std::copy_n(read.data<float>() + p * channels, channels,
                  x.data<float>() + input_pixel(s, p) * channels);
  });
}

}  // namespace

bool ProductPath::applies(const Tensor& x) const {
  return x.dtype() == DType::float32 && shape.groups == 1 && shape.kernel_size() == 1 &&
         shape.begin == Sizes3{0, 0, 0} &&
         std::ranges::all_of(shape.end, [](int64_t end) { return end <= 0; });
}

bool ProductPath::forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                          const Tensor& y) const {
  if (!applies(x)) return false;
  const Tensor plain = contiguous(weight), read = read_pixels(shape, x);
  const Tensor whole_bias = bias ? contiguous(bias) : bias;
  const int64_t in = shape.in_channels, out = shape.out_channels;
  gemm_bias<float>(false, true, shape.images * shape.out_pixels(), out, in, read.data<float>(), in,
                   plain.data<float>(), in, bias ? whole_bias.data<float>() : nullptr,
                   y.data<float>(), out);
  return true;
}

bool ProductPath::input_gradient(const Tensor& g, const Tensor& weight, const Tensor& dx) const {
  if (!applies(g)) return false;
  const Tensor plain = contiguous(weight);
  const int64_t pixels = shape.images * shape.out_pixels();
  const int64_t in = shape.in_channels, out = shape.out_channels;
  const bool strided = is_strided(shape);
  const Tensor read = strided ? empty({pixels * in}, DType::float32, Device{}) : dx;
  gemm<float>(false, false, pixels, in, out, 1, g.data<float>(), out, plain.data<float>(), in, 0,
              read.data<float>(), in);
  if (strided) write_pixels(shape, read, dx);
  return true;
}

bool ProductPath::weight_gradient(const Tensor& g, const Tensor& x, const Tensor& dweight) const {
  if (!applies(g) || dweight.dtype() != DType::float32) return false;
  const Tensor read = read_pixels(shape, x);
  const int64_t in = shape.in_channels, out = shape.out_channels;
  gemm<float>(true, false, out, in, shape.images * shape.out_pixels(), 1, g.data<float>(), out,
              read.data<float>(), in, 0, dweight.data<float>(), in);
  return true;
}

}  // namespace samara
