// Copies between elements of one size that do not both lie side by side: the kernels.
#pragma once

#include <cstdint>

namespace samara {

// n elements; strides in bytes.
using MoveLoop = void (*)(char* target, int64_t target_stride, const char* source,
                          int64_t source_stride, int64_t n);

// Planes of rows of so many bytes; target and source are the same or do not overlap.
struct RowPlanes {
  int64_t planes, rows, bytes;
  int64_t target_plane, source_plane;  // from one plane to the next
  int64_t target_row, source_row;
};

struct MoveKernels {
  MoveLoop move[5];  // for elements of 1, 2, 4, 8 and 16 bytes
  void (*rows)(char* target, const char* source, const RowPlanes& planes);
};

// From here on the C library's copy takes less time.
inline constexpr int64_t kShortRow = 8192;
namespace baseline {
extern const MoveKernels move_kernels;
}
namespace v3 {
extern const MoveKernels move_kernels;
}
namespace v4 {
extern const MoveKernels move_kernels;
}

}  // namespace samara
