// Images at given places: geometry and the kernels' table.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace samara {

enum class GridMode { bilinear, nearest, bicubic };
enum class GridPadding { zeros, border, reflection };

struct GridShape {
  int64_t channels;
  int64_t in[3];        // depth, height, width; depth 1 for images
  int64_t pixels;       // of one image of the output
  int dimensions;       // numbers per place: 2 or 3
  int64_t in_channel;   // from one channel of the input to the next: 1 when they lie last
  int64_t in_pixel;     // from one pixel of the input to the next
  int64_t out_channel;  // the same of the output
  int64_t out_pixel;
  GridMode mode;
  GridPadding padding;
  bool align_corners;

  constexpr int64_t in_pixels() const { return in[0] * in[1] * in[2]; }
  // Inputs that make one output.
  constexpr int taps() const {
    const int per_axis = mode == GridMode::nearest ? 1 : mode == GridMode::bilinear ? 2 : 4;
    return dimensions == 3 ? per_axis * per_axis * per_axis : per_axis * per_axis;
  }
};

inline constexpr int64_t kGridTile = 256;  // pixels that are worked on at once
inline constexpr int kGridTaps = 16;       // most inputs of one output

// One image; pixels [begin, end) with end - begin <= kGridTile, or channels [begin, end).
struct GridKernel {
  void (*sample)(const void* x, const void* grid, void* out, const GridShape& shape, int64_t begin,
                 int64_t end) = nullptr;
  void (*grid_gradient)(const void* g, const void* x, const void* grid, void* out,
                        const GridShape& shape, int64_t begin, int64_t end) = nullptr;
  // sums: (end - begin) * in_pixels doubles.
  void (*input_gradient)(const void* g, const void* grid, void* out, const GridShape& shape,
                         int64_t begin, int64_t end, double* sums) = nullptr;
};

struct GridKernels {
  GridKernel grid[kDTypeCount] = {};
};
namespace baseline {
extern const GridKernels grid_kernels;
}
namespace v3 {
extern const GridKernels grid_kernels;
}
namespace v4 {
extern const GridKernels grid_kernels;
}

}  // namespace samara
