// Reductions over one group of elements: the kernels' table and what the files of the family share.
//
// A reduction runs in one or two steps. A step reduces one run of equally spaced elements per
// output into an accumulator that is wider than the input where that matters (double for floats,
// int64 for integers); the last step finishes (divides, takes a root) and stores the output's
// dtype.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"
#include "core/operation.h"
#include "core/tensor.h"

namespace samara {

enum class ReduceOp : uint8_t {
  sum,
  prod,
  max,
  min,
  any,
  all,
  count_nonzero,
  sum_absolute,
  sum_squares,
  sum_power,
  max_absolute,
  min_absolute,
};
inline constexpr int kReduceOpCount = 12;

enum class FinishKind : uint8_t { none, divide, square_root, root };

struct Finish {
  FinishKind kind = FinishKind::none;
  double value = 1.0;             // divisor, or the p of the root
  double power = 1.0;             // the p of sum_power
  bool last = true;               // store outputs rather than accumulators
  DType output = DType::float32;  // the dtype of outputs
};

// `rows` runs, `row_stride` apart, of n elements `stride` apart; one result per run.
// Strides count elements.
struct RowsView {
  int64_t rows;
  int64_t row_stride;
  int64_t n;
  int64_t stride;
};
// n rows, `row_stride` apart, of `columns` contiguous elements; one result per column.
struct ColumnsView {
  int64_t columns;
  int64_t n;
  int64_t row_stride;
};

struct ReduceKernel {
  void (*rows)(const void* x, const RowsView& view, const Finish& finish, void* out) = nullptr;
  void (*columns)(const void* x, const ColumnsView& view, const Finish& finish,
                  void* out) = nullptr;
  DType accumulator = DType::float64;
  ReduceOp next = ReduceOp::sum;  // what combines accumulators
};

// (sum (x - mean)^2 / (n - correction)), its root when `square_root`.
struct VarianceKernel {
  void (*rows)(const void* x, int64_t rows, int64_t n, double correction, bool square_root,
               void* out) = nullptr;
  // Sum of (x - center)^2 over a part of a row.
  double (*deviations)(const void* x, int64_t n, double center) = nullptr;
};

struct ReduceKernels {
  ReduceKernel reduce[kReduceOpCount][kDTypeCount];
  VarianceKernel variance[kDTypeCount];
};
namespace baseline {
extern const ReduceKernels reduce_kernels;
}
namespace v3 {
extern const ReduceKernels reduce_kernels;
}
namespace v4 {
extern const ReduceKernels reduce_kernels;
}
const ReduceKernels& reduce_kernels();

// --- for the ordinary files ----------------------------------------------------------------------

// A run of equally spaced elements.
struct AxisGroup {
  int64_t size;
  int64_t stride;
};

// A tensor's axes split into those kept, in order, and those reduced; neighbours merged.
struct ReduceLayout {
  int kept_count = 0;
  int reduced_count = 0;
  AxisGroup kept[kMaxRank];
  AxisGroup reduced[kMaxRank];

  int64_t kept_elements() const;
  int64_t reduced_elements() const;
};
ReduceLayout reduce_layout(const Dims& shape, const Dims& strides, uint32_t axes);

// Reduces x into `out`, which is contiguous: outputs when finish.last, else accumulators.
void reduce_into(ReduceOp op, DType dtype, const void* x, const ReduceLayout& layout,
                 const Finish& finish, void* out);

// How many rows of n elements make one tile: all of them when there is little to do.
int64_t row_grain(int64_t rows, int64_t n);

// Memory for intermediate results: on the stack while it is small.
class Scratch {
 public:
  explicit Scratch(int64_t bytes);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::byte* data() { return data_; }

 private:
  alignas(64) std::byte small_[2048];
  std::byte* data_ = small_;
  size_t bytes_ = 0;
};

inline constexpr uint32_t kAllAxes = 0xFFFFFFFFu;

// The axes that argument i names, one bit each; None, or its absence, means all.
uint32_t axes_argument(const Call& call, int i, int rank);
uint32_t axes_argument(const BackwardCall& call, int i, int rank);
Dims reduced_shape(const Dims& shape, uint32_t axes, bool keepdims);
int64_t reduced_count(const Dims& shape, uint32_t axes);
// Fails when an empty axis is reduced although there are outputs to give.
void require_elements(const Call& call, const Tensor& x, uint32_t axes, const Dims& result);
// A reduced tensor seen again in the input's shape, without a copy.
Tensor spread(const Tensor& reduced, const Dims& shape, uint32_t axes);
// x with the reduced axes last, merged into one: [outputs, count], contiguous.
Tensor rows_of(const Tensor& x, uint32_t axes);

}  // namespace samara
