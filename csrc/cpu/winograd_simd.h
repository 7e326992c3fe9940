// The kernels behind cpu/winograd.h, one table per instruction set (see cpu/isa.h).
#pragma once

#include <cstdint>

#include "cpu/winograd.h"

namespace samara {

// Tiles are numbered by image, row and column. Transformed inputs of the tiles [first, first +
// count) lie as [36][channels / winograd_run][count][winograd_run], the last run padded, with
// `point_stride` floats from one of the 36 points to the next.
inline constexpr std::int64_t winograd_run = 32;

// Floats between two points of transformed weights. The points of one channel are written together:
// the gap keeps them out of each other's set of the cache.
inline constexpr std::int64_t winograd_gap = 16;

struct WinogradTiles {
  std::int64_t first, count;
  std::int64_t point_stride;
};

// Some channels of one run, and one panel of output channels.
struct WinogradPart {
  std::int64_t first_channel, last_channel, panel;
};

struct WinogradKernels {
  // Output channels are cut into panels of this many. Transformed weights lie as
  // [out_channels / panel][36][channels * panel + winograd_gap], the last panel padded with zeros.
  std::int64_t panel;

  void (*transform_weight)(std::int64_t channels, std::int64_t out_channels,
                           const WinogradWeight& weight, std::int64_t panel, float* transformed);

  // Transforms the tiles [first, first + count) into the memory of `tiles`, which holds them.
  // `zeros` is a pixel of zeros.
  void (*transform_input)(const WinogradShape& shape, const float* x, const float* zeros,
                          std::int64_t first, std::int64_t count, const WinogradTiles& tiles,
                          float* transformed);

  // The outputs of the tiles [first, first + count) in one panel of channels. `products` has 36 *
  // (count * panel + 16) floats. False when an output is not finite.
  bool (*outputs)(const WinogradShape& shape, const WinogradTiles& tiles, const float* inputs,
                  const float* weights, std::int64_t first, std::int64_t count, std::int64_t panel,
                  const WinogradEpilogue& epilogue, float* products, float* y);

  // The gradient with respect to the outputs, transformed like inputs: [36][out_channels /
  // panel][count][panel]. `zeros` is a pixel of zeros.
  void (*transform_gradient)(const WinogradShape& shape, const float* gradient, const float* zeros,
                             std::int64_t first, std::int64_t count, const WinogradTiles& tiles,
                             float* transformed);

  // The sums of the products over the tiles that `in` and `out` hold, for one part of the weight:
  // [36][winograd_run * panel + winograd_gap]; with `first` in place of what is there, otherwise
  // added to it.
  void (*gradient_products)(const WinogradPart& part, const WinogradTiles& in, const float* inputs,
                            const WinogradTiles& out, const float* gradients, bool first,
                            float* products);

  // That part of the weight's gradient. False when it is not finite.
  bool (*inverse_gradient)(const WinogradShape& shape, const WinogradPart& part,
                           const float* products, float* weight);
};

namespace baseline {
extern const WinogradKernels winograd_kernels;
}
namespace v3 {
extern const WinogradKernels winograd_kernels;
}
namespace v4 {
extern const WinogradKernels winograd_kernels;
}

}  // namespace samara
