// Depthwise convolutions of float32: rows of pixels that read the same places of the kernel.
#include "ops/convolution_depthwise.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "core/derived.h"
#include "cpu/isa.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/convolution.h"
#include "ops/reduce.h"

namespace samara {
namespace {

constexpr int64_t kByTaps = 6;  // a kind of derived form
constexpr int64_t least_work = int64_t{1} << 18;
constexpr int64_t wanted_tiles = 16;

const DepthwiseKernels& kernels() {
#ifdef SAMARA_BASELINE_ONLY
  return baseline::depthwise_kernels;
#else
  static const DepthwiseKernels& chosen =
      select_isa(baseline::depthwise_kernels, v3::depthwise_kernels, v4::depthwise_kernels);
  return chosen;
#endif
}

// A place of the kernel along one axis, and the position it reads there.
using Reads = std::vector<std::pair<int64_t, int64_t>>;

// What output position `at` reads along an axis, or, the other way round, which outputs read input
// `at`: body(place of the kernel, position).
template <class Body>
void for_each_read(const ConvolutionShape& s, size_t axis, int64_t at, bool gradient, Body body) {
  for (int64_t r = 0; r < s.kernel[axis]; ++r) {
    int64_t from = gradient ? at + s.begin[axis] - r * s.dilation[axis]
                            : at * s.stride[axis] - s.begin[axis] + r * s.dilation[axis];
    if (gradient && from % s.stride[axis] != 0) continue;
    if (gradient) from /= s.stride[axis];
    if (from >= 0 && from < (gradient ? s.out : s.in)[axis]) body(r, from);
  }
}

// Positions first, first + step, ... along the rows that read the same places of the kernel.
struct Segment {
  int64_t first, count;
  Reads reads;  // of the first
};

bool same_places(const Reads& a, const Reads& b) {
  return std::ranges::equal(a, b, {}, &Reads::value_type::first, &Reads::value_type::first);
}

std::vector<Segment> segments_of(const ConvolutionShape& s, bool gradient) {
  std::vector<Segment> segments;
  const int64_t step = gradient ? s.stride[2] : 1, size = (gradient ? s.in : s.out)[2];
  for (int64_t phase = 0; phase < std::min(step, size); ++phase) {
    bool fresh = true;
    for (int64_t at = phase; at < size; at += step, fresh = false) {
      Reads reads;
      for_each_read(s, 2, at, gradient,
                    [&](int64_t r, int64_t from) { reads.emplace_back(r, from); });
      if (!fresh && same_places(segments.back().reads, reads))
        ++segments.back().count;
      else
        segments.push_back({at, 1, std::move(reads)});
    }
  }
  return segments;
}

// [kernel][C], from [C][1][kernel].
Tensor weights_by_taps(const ConvolutionShape& s, const Tensor& weight) {
  return derived_form(weight, {kByTaps, 0, 0}, [&] {
    const Tensor plain = contiguous(weight);
    const int64_t taps = s.kernel_size(), channels = s.in_channels;
    const Tensor packed = empty({taps * channels}, DType::float32, Device{});
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t t = 0; t < taps; ++t)
        packed.data<float>()[t * channels + c] = plain.data<float>()[c * taps + t];
    return packed;
  });
}

int64_t row_count(const ConvolutionShape& s, const Sizes3& sizes) {
  return s.images * sizes[0] * sizes[1];
}
int64_t tile_count(const ConvolutionShape& s, int64_t rows) {
  return std::clamp<int64_t>(s.multiplications() / least_work, 1, std::min(rows, wanted_tiles));
}

// Calls body(place of the kernel without its width, first pixel of the row it reads).
template <class Body>
void for_each_row_read(const ConvolutionShape& s, int64_t row, bool gradient, Body body) {
  const Sizes3& to = gradient ? s.in : s.out;
  const Sizes3& from = gradient ? s.out : s.in;
  const int64_t image = row / (to[0] * to[1]);
  for_each_read(s, 0, row / to[1] % to[0], gradient, [&](int64_t rd, int64_t d) {
    for_each_read(s, 1, row % to[1], gradient, [&](int64_t rh, int64_t h) {
      body((rd * s.kernel[1] + rh) * s.kernel[2], ((image * from[0] + d) * from[1] + h) * from[2]);
    });
  });
}

struct Ends {
  const float* bias = nullptr;
  const float* residual = nullptr;
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};

void convolve(const ConvolutionShape& s, const float* x, const float* weights, const Ends& ends,
              float* y, bool gradient) {
  const Sizes3& sizes = gradient ? s.in : s.out;
  const std::vector<Segment> segments = segments_of(s, gradient);
  const int64_t rows = row_count(s, sizes), tiles = tile_count(s, rows), channels = s.in_channels;
  parallel_tiles(tiles, [&](int64_t tile) {
    std::vector<DepthwiseTap> taps(static_cast<size_t>(s.kernel_size()));
    DepthwiseRun run{taps.data(),
                     0,
                     0,
                     channels,
                     (gradient ? 1 : s.stride[2]) * channels,
                     (gradient ? s.stride[2] : 1) * channels,
                     ends.bias,
                     nullptr,
                     nullptr,
                     ends.low,
                     ends.high};
    for (int64_t row = rows * tile / tiles; row < rows * (tile + 1) / tiles; ++row)
      for (const Segment& segment : segments) {
        run.tap_count = 0;
        for_each_row_read(s, row, gradient, [&](int64_t place, int64_t pixel) {
          for (const auto& [rw, w] : segment.reads)
            taps[static_cast<size_t>(run.tap_count++)] = {x + (pixel + w) * channels,
                                                          weights + (place + rw) * channels};
        });
        const int64_t first = (row * sizes[2] + segment.first) * channels;
        run.count = segment.count;
        run.y = y + first;
        run.residual = ends.residual ? ends.residual + first : nullptr;
        kernels().run(run);
      }
  });
}

}  // namespace

bool DepthwisePath::applies(const Tensor& x) const {
  return x.dtype() == DType::float32 && shape.groups == shape.in_channels &&
         shape.groups == shape.out_channels && shape.groups % kernels().lanes == 0;
}

bool DepthwisePath::forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                            const Tensor& residual, const Clamp& clamp, const Tensor& y) const {
  if (!applies(x)) return false;
  const Tensor packed = weights_by_taps(shape, weight);
  const Tensor whole_bias = bias ? contiguous(bias) : bias;
  convolve(shape, x.data<float>(), packed.data<float>(),
           {bias ? whole_bias.data<float>() : nullptr, residual ? residual.data<float>() : nullptr,
            clamp.low, clamp.high},
           y.data<float>(), false);
  return true;
}

bool DepthwisePath::input_gradient(const Tensor& g, const Tensor& weight, const Tensor& bias,
                                   const Tensor& dx) const {
  if (!applies(g)) return false;
  const Tensor packed = weights_by_taps(shape, weight);
  const Tensor whole_bias = bias ? contiguous(bias) : bias;
  convolve(shape, g.data<float>(), packed.data<float>(),
           {.bias = bias ? whole_bias.data<float>() : nullptr}, dx.data<float>(), true);
  return true;
}

bool DepthwisePath::weight_gradient(const Tensor& g, const Tensor& x, const Tensor& dweight) const {
  if (!applies(g) || dweight.dtype() != DType::float32) return false;
  const ConvolutionShape& s = shape;
  const std::vector<Segment> segments = segments_of(s, false);
  const int64_t rows = row_count(s, s.out), tiles = tile_count(s, rows), channels = s.in_channels;
  const int64_t kernel = s.kernel_size(), size = kernel * channels;
  Scratch memory(tiles * size * int64_t{sizeof(float)});
  float* const sums = reinterpret_cast<float*>(memory.data());
  parallel_tiles(tiles, [&](int64_t tile) {
    float* const own = sums + tile * size;
    std::fill_n(own, size, 0.0f);
    std::vector<const float*> inputs(static_cast<size_t>(kernel));
    std::vector<float*> targets(static_cast<size_t>(kernel));
    DepthwiseGradientRun run{inputs.data(),          0,        0,       channels,
                             s.stride[2] * channels, channels, nullptr, targets.data()};
    for (int64_t row = rows * tile / tiles; row < rows * (tile + 1) / tiles; ++row)
      for (const Segment& segment : segments) {
        run.tap_count = 0;
        for_each_row_read(s, row, false, [&](int64_t place, int64_t pixel) {
          for (const auto& [rw, w] : segment.reads) {
            const auto t = static_cast<size_t>(run.tap_count++);
            inputs[t] = x.data<float>() + (pixel + w) * channels;
            targets[t] = own + (place + rw) * channels;
          }
        });
        run.count = segment.count;
        run.g = g.data<float>() + (row * s.out[2] + segment.first) * channels;
        kernels().gradient(run);
      }
  });
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t t = 0; t < kernel; ++t) {
      float sum = sums[t * channels + c];
      for (int64_t tile = 1; tile < tiles; ++tile) sum += sums[tile * size + t * channels + c];
      dweight.data<float>()[c * kernel + t] = sum;
    }
  return true;
}

}  // namespace samara
