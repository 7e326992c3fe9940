// Forward pass and gradient of the input by the register blocks of convolution_direct_simd.cpp.
#include "ops/convolution_direct.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "core/derived.h"
#include "cpu/isa.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/convolution.h"
#include "ops/reduce.h"

namespace samara {

const DirectKernels& direct_kernels() {
#ifdef SAMARA_BASELINE_ONLY
  return baseline::direct_kernels;
#else
  static const DirectKernels& chosen =
      select_isa(baseline::direct_kernels, v3::direct_kernels, v4::direct_kernels);
  return chosen;
#endif
}

namespace {

// Kinds of derived forms.
constexpr int64_t kPanels = 4, kGradientPanels = 5;

// Tiles of fewer multiplications are not worth a thread's attention.
constexpr int64_t least_work = int64_t{1} << 21;
constexpr int64_t wanted_tiles = 16;
// Weights that stay in the second-level cache while the pixels pass by.
constexpr int64_t cached_floats = (int64_t{1} << 19) / int64_t{sizeof(float)};

int64_t pieces(int64_t whole, int64_t part) { return (whole + part - 1) / part; }

// Output positions first, first + out_step, ... along one axis; position m reads the inputs
// m * in_step + offset[t] for the places taps[t] of the kernel.
struct Axis {
  int64_t count = 1, first = 0, out_step = 1, in_step = 1;
  std::vector<int64_t> offset, taps;
};
// Output pixels that use the same places of the kernel.
using Phase = std::array<Axis, 3>;

int64_t tap_count(const Phase& phase) {
  int64_t count = 1;
  for (const Axis& axis : phase) count *= static_cast<int64_t>(axis.taps.size());
  return count;
}
int64_t pixel_count(const Phase& phase) { return phase[0].count * phase[1].count * phase[2].count; }

// What a pass is to the kernels: images with runs of channels go in, images come out.
struct Gathering {
  int64_t images, channels, out_channels;  // channels: the length of a run
  Sizes3 in, out;
  int64_t pixel;  // floats from one input pixel to the next
  std::vector<Phase> phases;

  int64_t rows(const Phase& phase) const { return tap_count(phase) * channels; }
  int64_t panels() const { return pieces(out_channels, direct_kernels().panel); }
  int64_t packed_floats() const {
    int64_t floats = 0;
    for (const Phase& phase : phases) floats += rows(phase);
    return floats * panels() * direct_kernels().panel;
  }
};

Gathering forward_gathering(const ConvolutionShape& s) {
  Gathering g{s.images, s.in_channels, s.out_channels, s.in, s.out, s.in_channels, {}};
  Phase phase;
  for (size_t i = 0; i < 3; ++i) {
    phase[i].count = s.out[i];
    phase[i].in_step = s.stride[i];
    for (int64_t r = 0; r < s.kernel[i]; ++r) {
      phase[i].taps.push_back(r);
      phase[i].offset.push_back(r * s.dilation[i] - s.begin[i]);
    }
  }
  g.phases.push_back(phase);
  return g;
}

// The places of the kernel that meet input first + stride * m, and the output m + offset there.
Axis gradient_axis(const ConvolutionShape& s, size_t i, int64_t first) {
  Axis axis;
  axis.first = first;
  axis.out_step = s.stride[i];
  axis.count = pieces(s.in[i] - first, s.stride[i]);
  for (int64_t r = 0; r < s.kernel[i]; ++r) {
    const int64_t distance = first + s.begin[i] - r * s.dilation[i];
    if (distance % s.stride[i] != 0) continue;
    axis.taps.push_back(r);
    axis.offset.push_back(distance / s.stride[i]);
  }
  return axis;
}

Gathering gradient_gathering(const ConvolutionShape& s) {
  Gathering g{s.images, s.out_channels, s.in_channels, s.out, s.in, s.out_channels, {}};
  const auto firsts = [&](size_t i) { return std::min(s.stride[i], s.in[i]); };
  for (int64_t d = 0; d < firsts(0); ++d)
    for (int64_t h = 0; h < firsts(1); ++h)
      for (int64_t w = 0; w < firsts(2); ++w)
        g.phases.push_back(
            {gradient_axis(s, 0, d), gradient_axis(s, 1, h), gradient_axis(s, 2, w)});
  return g;
}

// --- weights ---

// Where a panel's rows come from: weight[lane * lane_step + offset[row]].
struct Source {
  int64_t lane_step;
  std::vector<int64_t> offset;
};

// Whole kernel rows of few channels are one run: [tap of depth, tap of height][width, channel].
Source source_of(const ConvolutionShape& s, const Phase& phase, bool gradient, int64_t width) {
  const int64_t kernel = s.kernel_size();
  Source source{gradient ? kernel : s.in_channels * kernel, {}};
  const int64_t channels = gradient ? s.out_channels : s.in_channels;
  for (const int64_t d : phase[0].taps)
    for (const int64_t h : phase[1].taps)
      for (const int64_t w : phase[2].taps)
        for (int64_t q = 0; q < width; ++q)
          for (int64_t c = 0; c < channels; ++c)
            source.offset.push_back(c * (gradient ? s.in_channels * kernel : kernel) +
                                    (d * s.kernel[1] + h) * s.kernel[2] + w + q);
  return source;
}

void pack_panel(const Source& source, const float* weight, int64_t first, int64_t columns,
                float* to) {
  const auto panel = direct_kernels().panel;
  const auto rows = static_cast<int64_t>(source.offset.size());
  // Some rows at a time, so that the lines they are written to stay in the cache.
  constexpr int64_t step = 128;
  for (int64_t begin = 0; begin < rows; begin += step) {
    const int64_t end = std::min(rows, begin + step);
    for (int64_t lane = 0; lane < panel; ++lane) {
      const float* const from = weight + (first + lane) * source.lane_step;
      for (int64_t row = begin; row < end; ++row)
        to[row * panel + lane] = lane < columns ? from[source.offset[static_cast<size_t>(row)]] : 0;
    }
  }
}

// [phase][panel][tap, channel][column], once for each state of the weights.
Tensor packed_weights(const ConvolutionShape& s, const Gathering& g, const Tensor& weight,
                      bool gradient, int64_t width) {
  DerivedKey key{gradient ? kGradientPanels : kPanels, width, 0};
  // The phases of a gradient depend on where its windows begin.
  if (gradient)
    for (size_t i = 0; i < 3; ++i)
      key[2] = key[2] * 4096 + (s.stride[i] * 16 + s.begin[i] % s.stride[i]) * 16 + s.dilation[i];
  return derived_form(weight, key, [&] {
    const Tensor plain = contiguous(weight);
    const Tensor packed = empty({g.packed_floats()}, DType::float32, Device{});
    const int64_t panel = direct_kernels().panel;
    float* to = packed.data<float>();
    for (const Phase& phase : g.phases) {
      const Source source = source_of(s, phase, gradient, width);
      const int64_t size = static_cast<int64_t>(source.offset.size()) * panel;
      parallel_tiles(g.panels(), [&](int64_t i) {
        pack_panel(source, plain.data<float>(), i * panel,
                   std::min(panel, g.out_channels - i * panel), to + i * size);
      });
      to += g.panels() * size;
    }
    return packed;
  });
}

// --- tiles ---

struct Tile {
  const Phase* phase;
  const float* weights;  // of the phase
  int64_t first_pixel, last_pixel, first_panel, last_panel;
};

std::vector<Tile> tiles_of(const Gathering& g, const float* weights) {
  std::vector<Tile> tiles;
  const int64_t block = direct_kernels().rows, panel = direct_kernels().panel;
  for (const Phase& phase : g.phases) {
    const int64_t pixels = g.images * pixel_count(phase), panels = g.panels();
    const int64_t floats = g.rows(phase) * panel;  // of a panel
    const int64_t work = pixels * panels * std::max<int64_t>(floats, panel);
    const int64_t wanted = std::clamp<int64_t>(work / least_work, 1, wanted_tiles);
    // Many weights are cut, so that each part is read once; few are read by all. In between, tiles
    // that follow one another share the half that is in the cache.
    const int64_t across = panels * floats > 2 * cached_floats ? std::min(panels, wanted)
                           : panels * floats > cached_floats   ? std::min<int64_t>(wanted, 2)
                                                               : 1;
    const int64_t down =
        std::min(pieces(wanted, across), std::max<int64_t>(pixels / (4 * block), 1));
    const int64_t more = std::min(panels, pieces(wanted, down));
    const int64_t columns = std::max(across, more);
    const int64_t blocks = pieces(pixels, block);
    for (int64_t j = 0; j < columns; ++j)
      for (int64_t i = 0; i < down; ++i)
        tiles.push_back({&phase, weights, blocks * i / down * block,
                         std::min(pixels, blocks * (i + 1) / down * block), panels * j / columns,
                         panels * (j + 1) / columns});
    weights += panels * floats;
  }
  return tiles;
}

struct Ends {
  const float* x;
  const float* bias;  // padded to whole panels
  const float* residual;
  const float* zeros;  // as long as a run
  float* y;
  Clamp clamp;
};

// A pixel of the phase: its image and its position along each axis.
struct Cursor {
  int64_t image, at[3];

  Cursor(const Phase& phase, int64_t pixel) {
    at[2] = pixel % phase[2].count;
    pixel /= phase[2].count;
    at[1] = pixel % phase[1].count;
    pixel /= phase[1].count;
    at[0] = pixel % phase[0].count;
    image = pixel / phase[0].count;
  }
  void advance(const Phase& phase) {
    for (int axis = 2; axis >= 0; --axis) {
      if (++at[axis] < phase[static_cast<size_t>(axis)].count) return;
      at[axis] = 0;
    }
    ++image;
  }
};

// The runs that one output pixel reads, `rows` apart.
void gather(const Gathering& g, const Phase& phase, const Cursor& cursor, const Ends& ends,
            const float** runs, int64_t rows) {
  const float* const image = ends.x + cursor.image * g.in[0] * g.in[1] * g.in[2] * g.pixel;
  for (const int64_t d_offset : phase[0].offset) {
    const int64_t d = cursor.at[0] * phase[0].in_step + d_offset;
    for (const int64_t h_offset : phase[1].offset) {
      const int64_t h = cursor.at[1] * phase[1].in_step + h_offset;
      const bool inside = static_cast<uint64_t>(d) < static_cast<uint64_t>(g.in[0]) &&
                          static_cast<uint64_t>(h) < static_cast<uint64_t>(g.in[1]);
      const float* const row = image + (d * g.in[1] + h) * g.in[2] * g.pixel;
      const int64_t begin = cursor.at[2] * phase[2].in_step;
      for (const int64_t w_offset : phase[2].offset) {
        const int64_t w = begin + w_offset;
        *runs = inside && static_cast<uint64_t>(w) < static_cast<uint64_t>(g.in[2])
                    ? row + w * g.pixel
                    : ends.zeros;
        runs += rows;
      }
    }
  }
}

int64_t output_place(const Gathering& g, const Phase& phase, const Cursor& cursor) {
  int64_t place = cursor.image;
  for (size_t axis = 0; axis < 3; ++axis)
    place = place * g.out[axis] + phase[axis].first + cursor.at[axis] * phase[axis].out_step;
  return place * g.out_channels;
}

void run_tile(const Gathering& g, const Tile& tile, const Ends& ends) {
  const DirectKernels& kernels = direct_kernels();
  const Phase& phase = *tile.phase;
  const int64_t taps = tap_count(phase), size = taps * g.channels * kernels.panel;
  const int64_t together = std::clamp<int64_t>(cached_floats / std::max<int64_t>(size, 1), 1,
                                               tile.last_panel - tile.first_panel);
  std::vector<const float*> runs(static_cast<size_t>(std::max<int64_t>(taps, 1) * kernels.rows));
  const float* residual[16];
  float *outputs[16], *begins[16];
  DirectBlock block{taps,
                    g.channels,
                    runs.data(),
                    nullptr,
                    nullptr,
                    ends.residual ? residual : nullptr,
                    outputs,
                    0,
                    0,
                    ends.clamp.low,
                    ends.clamp.high,
                    0};
  for (int64_t group = tile.first_panel; group < tile.last_panel; group += together) {
    const int64_t group_end = std::min(group + together, tile.last_panel);
    Cursor cursor(phase, tile.first_pixel);
    for (int64_t pixel = tile.first_pixel; pixel < tile.last_pixel; pixel += block.rows) {
      // What is left is cut evenly, so that no block is much smaller than the others.
      const int64_t left = tile.last_pixel - pixel;
      block.rows = static_cast<int>(pieces(left, pieces(left, kernels.rows)));
      for (int i = 0; i < block.rows; ++i, cursor.advance(phase)) {
        gather(g, phase, cursor, ends, runs.data() + i, block.rows);
        begins[i] = ends.y + output_place(g, phase, cursor);
      }
      for (int64_t j = group; j < group_end; ++j) {
        const int64_t column = j * kernels.panel;
        block.weights = tile.weights + j * size;
        block.bias = ends.bias + column;
        block.columns = static_cast<int>(std::min(kernels.panel, g.out_channels - column));
        block.ahead = j == group ? block.rows * phase[2].in_step * g.pixel : 0;
        for (int i = 0; i < block.rows; ++i) {
          outputs[i] = begins[i] + column;
          if (ends.residual) residual[i] = ends.residual + (outputs[i] - ends.y);
        }
        kernels.block(block);
      }
    }
  }
}

void run(const Gathering& g, const float* weights, const float* x, const Tensor& bias,
         const Tensor& residual, const Clamp& clamp, float* y) {
  const int64_t columns = g.panels() * direct_kernels().panel;
  Scratch memory((columns + g.channels) * int64_t{sizeof(float)});
  float* const whole_bias = reinterpret_cast<float*>(memory.data());
  std::memset(whole_bias, 0, static_cast<size_t>(columns + g.channels) * sizeof(float));
  if (bias) {
    const Tensor plain = contiguous(bias);
    std::copy_n(plain.data<float>(), g.out_channels, whole_bias);
  }
  const Ends ends{x, whole_bias, residual ? residual.data<float>() : nullptr, whole_bias + columns,
                  y, clamp};
  const std::vector<Tile> tiles = tiles_of(g, weights);
  parallel_tiles(static_cast<int64_t>(tiles.size()),
                 [&](int64_t i) { run_tile(g, tiles[static_cast<size_t>(i)], ends); });
}

// --- few channels: a kernel row is one run of an input padded along its rows ---

bool has_short_runs(const ConvolutionShape& s) {
  return s.in_channels < 16 && s.kernel[2] > 1 && s.dilation[2] == 1;
}

}  // namespace

Tensor padded_rows(const ConvolutionShape& s, const Tensor& x, int64_t width) {
  const int64_t rows = s.images * s.in[0] * s.in[1], row = s.in[2] * s.in_channels;
  const int64_t whole = width * s.in_channels;
  const int64_t before = std::min(s.begin[2] * s.in_channels, whole);
  const int64_t copied = std::min(row, whole - before);
  const Tensor padded = empty({rows * whole}, DType::float32, Device{});
  parallel_ranges(rows, pieces(int64_t{1} << 16, whole), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* const to = padded.data<float>() + i * whole;
      std::fill_n(to, before, 0.0f);
      std::copy_n(x.data<float>() + i * row, copied, to + before);
      std::fill_n(to + before + copied, whole - before - copied, 0.0f);
    }
  });
  return padded;
}

bool DirectPath::forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                         const Tensor& residual, const Clamp& clamp, const Tensor& y) const {
  if (x.dtype() != DType::float32 || shape.groups != 1) return false;
  Gathering g = forward_gathering(shape);
  if (!has_short_runs(shape)) {
    const Tensor packed = packed_weights(shape, g, weight, false, 1);
    run(g, packed.data<float>(), x.data<float>(), bias, residual, clamp, y.data<float>());
    return true;
  }
  g.in[2] = (shape.out[2] - 1) * shape.stride[2] + shape.kernel[2];
  const Tensor padded = padded_rows(shape, x, g.in[2]);
  g.channels *= shape.kernel[2];
  g.phases[0][2].taps = {0};
  g.phases[0][2].offset = {0};
  const Tensor packed = packed_weights(shape, g, weight, false, shape.kernel[2]);
  run(g, packed.data<float>(), padded.data<float>(), bias, residual, clamp, y.data<float>());
  return true;
}

bool DirectPath::input_gradient(const Tensor& g, const Tensor& weight, const Tensor& bias,
                                const Tensor& dx) const {
  if (g.dtype() != DType::float32 || shape.groups != 1) return false;
  for (size_t i = 0; i < 3; ++i)
    if (shape.stride[i] >= 16 || shape.dilation[i] >= 16 || shape.in[i] < shape.stride[i])
      return false;
  const Gathering gathering = gradient_gathering(shape);
  const Tensor packed = packed_weights(shape, gathering, weight, true, 1);
  run(gathering, packed.data<float>(), g.data<float>(), bias, {}, {}, dx.data<float>());
  return true;
}

}  // namespace samara
