#include "cpu/winograd.h"

#include <algorithm>
#include <atomic>

#include "core/allocator.h"
#include "cpu/isa.h"
#include "cpu/threads.h"
#include "cpu/winograd_simd.h"

namespace samara {
namespace {

using std::int64_t;

constexpr int64_t points = 36;

const WinogradKernels& kernels() {
#ifdef SAMARA_BASELINE_ONLY
  return baseline::winograd_kernels;
#else
  static const WinogradKernels& chosen =
      select_isa(baseline::winograd_kernels, v3::winograd_kernels, v4::winograd_kernels);
  return chosen;
#endif
}

int64_t pieces(int64_t whole, int64_t part) { return (whole + part - 1) / part; }

class Scratch {
 public:
  explicit Scratch(int64_t floats)
      : bytes_(static_cast<size_t>(floats) * sizeof(float)),
        data_(static_cast<float*>(host_allocate(bytes_))) {}
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { host_release(data_, bytes_); }
  float* data() const { return data_; }

 private:
  size_t bytes_;
  float* data_;
};

// Sixteen floats more, so that the 36 points of a tile do not share a set of the cache.
int64_t point_stride(const WinogradShape& shape, int64_t tiles) {
  return pieces(shape.channels, winograd_run) * tiles * winograd_run + 16;
}

int64_t tile_count(const WinogradShape& shape) {
  return shape.batch * pieces(shape.out_height, 4) * pieces(shape.out_width, 4);
}

// Tiles are taken in blocks whose transformed inputs and products stay in the second-level cache. A
// large block reads the weights less often.
struct Blocks {
  int64_t tiles, count;

  static constexpr int64_t largest = 42;
  // So many that several threads finish together.
  static constexpr int64_t wanted = 12;

  explicit Blocks(const WinogradShape& shape) : tiles(tile_count(shape)) {
    const int64_t smallest = shape.channels * shape.out_channels <= 64 * 64 ? 14 : 28;
    count = pieces(tiles, std::clamp(pieces(tiles, wanted), smallest, largest));
    if (!enough()) count = pieces(tiles, largest);
  }
  bool enough() const { return count >= wanted; }
  int64_t first(int64_t block) const { return tiles * block / count; }
};

// What all parts of one convolution share.
struct Convolution {
  const WinogradShape& shape;
  const float* x;
  const float* weights;
  const WinogradEpilogue& epilogue;
  float* y;
  const float* zeros;
  const Blocks& blocks;
  std::atomic<bool> finite = true;

  // Some panels of output channels of one block of tiles, all of which `tiles` holds.
  void outputs(int64_t block, const WinogradTiles& tiles, const float* inputs, int64_t panel,
               int64_t last_panel) {
    const int64_t first = blocks.first(block), count = blocks.first(block + 1) - first;
    const Scratch products(points * (count * kernels().panel + 16));
    for (; panel < last_panel && finite.load(std::memory_order_relaxed); ++panel) {
      if (!kernels().outputs(shape, tiles, inputs, weights, first, count, panel, epilogue,
                             products.data(), y))
        finite.store(false, std::memory_order_relaxed);
    }
  }
};

// Each block is one piece of work.
void by_blocks(Convolution& c, int64_t panels) {
  parallel_tiles(c.blocks.count, [&](int64_t block) {
    const int64_t first = c.blocks.first(block), count = c.blocks.first(block + 1) - first;
    const WinogradTiles tiles{first, count, point_stride(c.shape, count)};
    const Scratch inputs(points * tiles.point_stride);
    kernels().transform_input(c.shape, c.x, c.zeros, first, count, tiles, inputs.data());
    c.outputs(block, tiles, inputs.data(), 0, panels);
  });
}

// Few tiles: all are transformed first, and then the threads share the weights too.
void by_panels(Convolution& c, int64_t panels) {
  const WinogradTiles tiles{0, c.blocks.tiles, point_stride(c.shape, c.blocks.tiles)};
  const Scratch inputs(points * tiles.point_stride);
  parallel_ranges(tiles.count, 7, [&](int64_t begin, int64_t end) {
    kernels().transform_input(c.shape, c.x, c.zeros, begin, end - begin, tiles, inputs.data());
  });
  parallel_tiles(c.blocks.count * panels, [&](int64_t item) {
    const int64_t panel = item / c.blocks.count;
    c.outputs(item % c.blocks.count, tiles, inputs.data(), panel, panel + 1);
  });
}

// How the gradient of the weight is cut: blocks of tiles one after another, and for each block
// parts of the weight side by side.
struct GradientPlan {
  int64_t tiles, block, widest, panels;
  int64_t slices;  // of the input channels
  int64_t slice;   // channels of one slice
  int64_t inputs, gradients, part_size;

  explicit GradientPlan(const WinogradShape& shape)
      : tiles(tile_count(shape)),
        widest(std::max(shape.channels, shape.out_channels)),
        panels(pieces(shape.out_channels, kernels().panel)),
        part_size(points * (winograd_run * kernels().panel + winograd_gap)) {
    // A block passes over all sums, so it is larger where these are, within the last-level cache.
    constexpr int64_t smallest = int64_t{1} << 20, largest = 5 * smallest;
    const int64_t each = points * (shape.channels + shape.out_channels);
    const int64_t floats = std::clamp(2 * points * shape.channels * shape.out_channels, smallest,
                                      std::max(largest, 96 * each));
    block = std::min(tiles, std::max<int64_t>(floats / each, 96) / winograd_run * winograd_run);
    slice = panels * pieces(shape.channels, winograd_run) < Blocks::wanted ? winograd_run / 2
                                                                           : winograd_run;
    slices = pieces(shape.channels, slice);
    inputs = points * point_stride(shape, block);
    gradients = points * (panels * block * kernels().panel + winograd_gap);
  }
  int64_t parts() const { return slices * panels; }
  WinogradPart part(const WinogradShape& shape, int64_t i) const {
    const int64_t first = i % slices * slice;
    return {first, std::min(first + slice, shape.channels), i / slices};
  }
};

// Costs in units of one vector of 16 multiply-adds, two of which a core does per cycle, as measured
// on Zen 5. What is saved has to be a fifth at least.
struct Cost {
  int64_t channels, out_channels, in_vectors, out_vectors, direct, products;

  explicit Cost(const WinogradShape& shape)
      : channels(shape.channels),
        out_channels(shape.out_channels),
        in_vectors(pieces(channels, 16)),
        out_vectors(pieces(out_channels, 32) * 2),
        direct(shape.batch * shape.out_height * shape.out_width * 9 * channels *
               pieces(out_channels, 16)),
        products(tile_count(shape) *
                 (points * channels * out_vectors + 320 * in_vectors + 224 * out_vectors)) {}

  // Transformed weights take four times the memory.
  bool sizes_fit() const {
    return channels >= 16 && out_channels >= 16 && channels * out_channels <= int64_t{1} << 20;
  }
  bool pays(int64_t rest) const { return sizes_fit() && (products + rest) * 5 <= direct * 4; }
};

}  // namespace

bool winograd_pays(const WinogradShape& shape) {
  // With fewer pixels a weight that is new takes longer to transform than to use.
  if (shape.batch * shape.out_height * shape.out_width < 128) return false;
  const Cost cost(shape);
  // Weights are read from the last-level cache or from memory, at 64 or 24 bytes per cycle.
  const int64_t bytes = points * 4 * cost.channels * cost.out_vectors * 16;
  return cost.pays(bytes / (bytes <= (int64_t{4} << 20) ? 32 : 12));
}

bool winograd_weight_gradient_pays(const WinogradShape& shape) {
  const Cost cost(shape);
  return cost.pays(60 * cost.channels * cost.out_vectors * 16);
}

WinogradWeight adjoint(const WinogradWeight& w) {
  return {w.data + 2 * w.stride_r + 2 * w.stride_s, w.stride_c, w.stride_k, -w.stride_r,
          -w.stride_s};
}

int64_t winograd_weight_size(int64_t channels, int64_t out_channels) {
  const int64_t panel = kernels().panel;
  return pieces(out_channels, panel) * points * (channels * panel + winograd_gap);
}

void winograd_transform_weight(int64_t channels, int64_t out_channels, const WinogradWeight& weight,
                               float* transformed) {
  const WinogradKernels& own = kernels();
  parallel_tiles(pieces(out_channels, own.panel), [&](int64_t panel) {
    own.transform_weight(channels, out_channels, weight, panel,
                         transformed + panel * points * (channels * own.panel + winograd_gap));
  });
}

bool winograd_convolution(const WinogradShape& shape, const float* x, const float* transformed,
                          const WinogradEpilogue& epilogue, float* y) {
  const Blocks blocks(shape);
  const int64_t panels = pieces(shape.out_channels, kernels().panel);
  if (blocks.tiles == 0 || panels == 0) return true;
  const Scratch zeros(shape.channels);
  std::fill_n(zeros.data(), shape.channels, 0.0F);
  Convolution convolution{shape, x, transformed, epilogue, y, zeros.data(), blocks};
  (blocks.enough() ? by_blocks : by_panels)(convolution, panels);
  return convolution.finite;
}

bool winograd_weight_gradient(const WinogradShape& shape, const float* x, const float* gradient,
                              float* weight) {
  const WinogradKernels& own = kernels();
  const GradientPlan plan(shape);
  const Scratch zeros(plan.widest), inputs(plan.inputs), gradients(plan.gradients);
  // With one block of tiles the sums live only as long as a part.
  const bool at_once = plan.block == plan.tiles;
  const Scratch sums(at_once ? 0 : plan.parts() * plan.part_size);
  std::fill_n(zeros.data(), plan.widest, 0.0F);
  std::atomic<bool> finite = true;
  for (int64_t first = 0; first < plan.tiles; first += plan.block) {
    const int64_t count = std::min(plan.block, plan.tiles - first);
    const WinogradTiles in{first, count, point_stride(shape, count)};
    const WinogradTiles out{first, count, plan.panels * count * own.panel + winograd_gap};
    parallel_ranges(count, 7, [&](int64_t begin, int64_t end) {
      own.transform_input(shape, x, zeros.data(), first + begin, end - begin, in, inputs.data());
      own.transform_gradient(shape, gradient, zeros.data(), first + begin, end - begin, out,
                             gradients.data());
    });
    parallel_tiles(plan.parts(), [&](int64_t i) {
      const WinogradPart part = plan.part(shape, i);
      const Scratch own_sums(at_once ? plan.part_size : 0);
      float* const products = at_once ? own_sums.data() : sums.data() + i * plan.part_size;
      own.gradient_products(part, in, inputs.data(), out, gradients.data(), first == 0, products);
      if (first + count == plan.tiles && !own.inverse_gradient(shape, part, products, weight))
        finite.store(false, std::memory_order_relaxed);
    });
  }
  return finite;
}

}  // namespace samara
