// Sliding blocks of images: geometry and the kernels' table.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace samara {

// Along one axis block i starts at i * stride - padding, and its elements are `dilation` apart.
struct FoldAxis {
  int64_t size;    // of the image
  int64_t blocks;  // how many
  int64_t kernel, stride, padding, dilation;

  constexpr int64_t place(int64_t block, int64_t k) const {
    return block * stride - padding + k * dilation;
  }
  // The blocks whose element k lies inside the image: [first_block, end_block).
  constexpr int64_t first_block(int64_t k) const {
    const int64_t before = padding - k * dilation;
    return before <= 0                          ? 0
           : (before - 1) / stride + 1 < blocks ? (before - 1) / stride + 1
                                                : blocks;
  }
  constexpr int64_t end_block(int64_t k) const {
    const int64_t room = size - 1 + padding - k * dilation;
    const int64_t end = room < 0 ? 0 : room / stride + 1 < blocks ? room / stride + 1 : blocks;
    return end < first_block(k) ? first_block(k) : end;
  }
};

struct FoldShape {
  FoldAxis h, w;
};

// Rows [begin, end) of one plane of the image as sums of the blocks' elements that lie there.
// blocks: [h.kernel * w.kernel, h.blocks * w.blocks]; sums: room for w.size doubles.
using FoldRows = void (*)(const void* blocks, void* image, const FoldShape& shape, int64_t begin,
                          int64_t end, void* sums);

struct FoldKernels {
  FoldRows rows[kDTypeCount] = {};
};
namespace baseline {
extern const FoldKernels fold_kernels;
}
namespace v3 {
extern const FoldKernels fold_kernels;
}
namespace v4 {
extern const FoldKernels fold_kernels;
}

}  // namespace samara
