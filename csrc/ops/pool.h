// Pooling: the geometry of windows over up to three spatial axes, and the kernels' tables.
//
// Everything is a volume [N, C, z, y, x] with axes of size 1 in front for signals and images. A
// window's positions are numbered in row-major order of the window, so that a maximum's place takes
// one byte for windows of up to 256 positions.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "core/operation.h"
#include "core/tensor.h"
#include "cpu/threads.h"
#include "ops/image.h"

namespace samara {

// The windows along one axis. Window o covers the inputs start[o] + k * dilation, first[o] <= k <
// last[o]; positions outside of that range lie in the padding. The arrays belong to a PoolGeometry.
struct PoolAxis {
  int64_t in = 1, out = 1;
  int64_t kernel = 1;  // the most positions of a window
  int64_t stride = 1;  // 0: windows of unequal size or distance
  int64_t padding = 0, dilation = 1;
  int64_t inner_low = 0, inner_high = 0;  // the windows that lie wholly inside, of a regular axis
  const int64_t* start = nullptr;         // [out]
  const int64_t* first = nullptr;         // [out]
  const int64_t* last = nullptr;          // [out]
  const int64_t* extent = nullptr;        // [out] what an average divides by
  // The windows that may cover input i: low[i] <= o < high[i]; with dilation some leave it out.
  const int64_t* low = nullptr;   // [in]
  const int64_t* high = nullptr;  // [in]
  // Seen from the inputs x = j * stride + r: class r holds the positions class_k[e], class_begin[r]
  // <= e < class_begin[r + 1], of the windows j + class_shift[e]. Null unless stride is 1 or 2.
  const int64_t* class_begin = nullptr;
  const int64_t* class_k = nullptr;
  const int64_t* class_shift = nullptr;
  // The j all of whose windows and inputs exist.
  int64_t class_low = 0, class_high = 0;

  // The position of input i in window o; false when the window leaves it out.
  [[gnu::always_inline]] bool position(int64_t o, int64_t i, int64_t& k) const {
    k = i - start[o];
    if (dilation == 1) return true;
    const int64_t distance = k;
    k = distance / dilation;
    return k * dilation == distance;
  }
};

struct PoolShape {
  PoolAxis axis[3];  // z, y, x
  int64_t channels = 1;
  int64_t in = 1, out = 1;  // elements of a plane (one image, one channel)
  double divisor = 0;       // of an average; 0: the product of the windows' extents
  int64_t window = 1;       // the most positions of a window
  int64_t cover = 1;        // the most windows that share an input
  // The gradient is larger than a cache and its rows are whole lines: it is written past the cache,
  // which keeps what is there and need not read the lines first.
  bool streams = false;
};

// Padding, stride, ... of one operation, one number per spatial axis. An empty kernel: adaptive.
struct PoolWindow {
  Dims kernel, stride, padding, dilation;
  bool count_padding = true;
  double divisor = 0;
};

// What the kernels work from; also their attributes.
struct PoolGeometry {
  int64_t images = 0;
  PoolShape shape;
  bool channels_last = false;
  std::vector<int64_t> arrays;

  // input and output: [N, C, *spatial].
  PoolGeometry(const Dims& input, const Dims& output, const PoolWindow& window, ImageOrder order);
  PoolGeometry(const PoolGeometry&) = delete;
  PoolGeometry& operator=(const PoolGeometry&) = delete;

  int64_t planes() const { return images * shape.channels; }
};

// --- arguments -----------------------------------------------------------------------------------

// "a signal [C, L] or [N, C, L]" and so on, with the check that x is one without axes of size 0
// beside the batch.
void check_pool_input(std::string_view place, const Tensor& x, int rank);
// x with the batch axis that an unbatched input lacks, and its shape then.
Tensor batched(const Tensor& x, int rank);
Dims batched_shape(const Tensor& x, int rank);
// The result of a batched computation in the form of `like`.
Tensor unbatched_like(const Tensor& y, const Tensor& like, int rank);

// One number per axis from one or `rank` of them.
Dims per_axis(std::string_view place, std::string_view what, const Dims& given, int rank);
// (x, kernel_size, stride, padding, dilation) from argument 1 on; without dilation when `dilated`
// is false. Checks them against each other.
PoolWindow pool_window(const Call& call, int rank, bool dilated);
// The same of arguments that were checked.
PoolWindow pool_window(const BackwardCall& call, int rank, bool dilated);
// The shape [N, C, *spatial] of the result; fails when an axis would be empty.
Dims pooled_shape(std::string_view place, const Dims& input, const PoolWindow& window,
                  bool ceil_mode);
// The same for an adaptive pooling to `output_size`.
Dims adaptive_shape(std::string_view place, const Dims& input, const Dims& output_size);

// Whether the kernels shall write `out`, whose innermost axis has `row` elements, past the cache.
bool streams_to(const Tensor& out, int64_t row);

// How many planes (or rows of them) make one tile.
int64_t pool_grain(int64_t items, int64_t elements_per_item);

// Calls body(begin, end) on ranges of planes or, channels last, of rows of outputs.
template <class Body>
void forward_ranges(const PoolGeometry& geometry, const Body& body) {
  const PoolShape& shape = geometry.shape;
  const int64_t rows = geometry.images * shape.axis[0].out * shape.axis[1].out;
  const int64_t items = geometry.channels_last ? rows : geometry.planes();
  const int64_t all = geometry.planes() * (shape.in + shape.out);
  parallel_ranges(items, pool_grain(items, all / std::max<int64_t>(items, 1)), body);
}
// The same, channels last, of rows of inputs.
template <class Body>
void backward_ranges(const PoolGeometry& geometry, const Body& body) {
  const PoolShape& shape = geometry.shape;
  const int64_t rows = geometry.images * shape.axis[0].in * shape.axis[1].in;
  if (geometry.channels_last)
    return parallel_ranges(rows, pool_grain(rows, 2 * shape.axis[2].in * shape.channels), body);
  parallel_ranges(geometry.planes(), pool_grain(geometry.planes(), shape.in + shape.out), body);
}

// --- kernels -------------------------------------------------------------------------------------

enum class PoolPositions { none, bytes, words };  // not wanted, uint8_t, int32_t
inline constexpr int kPoolPositions = 3;

// channels_first kernels work on the planes [begin, end), channels_last kernels on rows: of outputs
// (image, z, y) going forward, of inputs going backward. Scratch memory is for one plane.
struct MaxPoolKernel {
  void (*forward_first[kPoolPositions])(const void* x, void* y, void* positions,
                                        const PoolShape& shape, int64_t begin, int64_t end) = {};
  void (*forward_last[kPoolPositions])(const void* x, void* y, void* positions,
                                       const PoolShape& shape, int64_t begin, int64_t end) = {};
  // Sums the gradients of the windows whose maximum an input is.
  void (*backward_first[kPoolPositions])(const void* g, const void* positions, void* out,
                                         void* scratch, const PoolShape& shape, int64_t begin,
                                         int64_t end) = {};
  void (*backward_last[kPoolPositions])(const void* g, const void* positions, void* out,
                                        const PoolShape& shape, int64_t begin, int64_t end) = {};
};
struct AveragePoolKernel {
  void (*forward_first)(const void* x, void* y, const PoolShape& shape, int64_t begin,
                        int64_t end) = nullptr;
  void (*forward_last)(const void* x, void* y, const PoolShape& shape, int64_t begin,
                       int64_t end) = nullptr;
  void (*backward_first)(const void* g, void* out, void* scratch, const PoolShape& shape,
                         int64_t begin, int64_t end) = nullptr;
  void (*backward_last)(const void* g, void* out, const PoolShape& shape, int64_t begin,
                        int64_t end) = nullptr;
};

// For floating-point dtypes only.
struct MaxPoolKernels {
  MaxPoolKernel pool[kDTypeCount];
};
struct AveragePoolKernels {
  AveragePoolKernel pool[kDTypeCount];
};
namespace baseline {
extern const MaxPoolKernels max_pool_kernels;
extern const AveragePoolKernels average_pool_kernels;
}  // namespace baseline
namespace v3 {
extern const MaxPoolKernels max_pool_kernels;
extern const AveragePoolKernels average_pool_kernels;
}  // namespace v3
namespace v4 {
extern const MaxPoolKernels max_pool_kernels;
extern const AveragePoolKernels average_pool_kernels;
}  // namespace v4

}  // namespace samara
