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

}  // namespace

// In units of one vector of 16 multiply-adds, two of which a core does per cycle, measured on
// Zen 5.
bool winograd_pays(const WinogradShape& shape) {
  const int64_t channels = shape.channels,
                pixels = shape.batch * shape.out_height * shape.out_width;
  // With fewer pixels a weight that is new takes longer to transform than to use.
  if (channels < 16 || shape.out_channels < 16 || pixels < 128) return false;
  const int64_t in_vectors = pieces(channels, 16), out_vectors = pieces(shape.out_channels, 32) * 2;
  const int64_t direct = pixels * 9 * channels * pieces(shape.out_channels, 16);
  const int64_t tile = points * channels * out_vectors + 320 * in_vectors + 224 * out_vectors;
  // Weights are read from the last-level cache or from memory, at 64 or 24 bytes per cycle.
  const int64_t bytes = points * 4 * channels * out_vectors * 16;
  const int64_t weights = bytes / (bytes <= (int64_t{4} << 20) ? 32 : 12);
  return (tile_count(shape) * tile + weights) * 5 <= direct * 4;
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

}  // namespace samara
