// var and std: two passes, the mean first, in double.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/autograd.h"
#include "core/kernel.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/reduce.h"

namespace samara {
namespace {

struct VarianceAttributes {
  double correction;
  bool square_root;
};

constexpr int64_t kTile = 1 << 15;

double long_row_variance(const std::byte* row, DType dtype, int64_t n, double correction) {
  const ReduceLayout layout = reduce_layout({n}, {1}, kAllAxes);
  double sum = 0;
  reduce_into(ReduceOp::sum, dtype, row, layout, {.last = false}, &sum);
  const double mean = sum / static_cast<double>(n);
  const VarianceKernel& kernel = reduce_kernels().variance[static_cast<int>(dtype)];
  std::vector<double> parts(static_cast<size_t>((n - 1) / kTile + 1));
  parallel_ranges(n, kTile, [&](int64_t begin, int64_t end) {
    parts[static_cast<size_t>(begin / kTile)] =
        kernel.deviations(row + begin * itemsize(dtype), end - begin, mean);
  });
  double total = 0;
  for (const double part : parts) total += part;
  const double freedom = static_cast<double>(n) - correction;
  return freedom > 0 ? total / freedom : __builtin_nan("");
}

// input: x [rows, n], contiguous.
void variance_cpu(TensorSpan outputs, TensorSpan inputs, const VarianceAttributes& attributes) {
  const Tensor& x = inputs[0];
  const int64_t rows = x.size(0), n = x.size(1);
  const VarianceKernel& kernel = reduce_kernels().variance[static_cast<int>(x.dtype())];
  const int64_t size = itemsize(x.dtype());
  const std::byte* source = x.data<std::byte>();
  std::byte* out = outputs[0].data<std::byte>();
  if (n > 2 * kTile) {
    for (int64_t r = 0; r < rows; ++r) {
      double variance =
          long_row_variance(source + r * n * size, x.dtype(), n, attributes.correction);
      if (attributes.square_root) variance = std::sqrt(variance);
      Finish finish;
      finish.output = x.dtype();
      reduce_into(ReduceOp::sum, DType::float64, &variance, {}, finish, out + r * size);
    }
    return;
  }
  const int64_t grain = std::max<int64_t>(1, kTile / std::max<int64_t>(n, 1));
  parallel_ranges(rows, grain, [&](int64_t begin, int64_t end) {
    kernel.rows(source + begin * n * size, end - begin, n, attributes.correction,
                attributes.square_root, out + begin * size);
  });
}
const KernelSlot<VarianceAttributes> variance_slot("var", variance_cpu);

// (x, axis, correction, keepdims)
void variance_forward(Call& call, bool square_root) {
  const Tensor& x = call.tensor(0);
  if (!is_floating(x.dtype()))
    fail(ErrorKind::dtype, call.name(), ": x has dtype ", name(x.dtype()),
         ". Expected a real floating-point dtype. Fix: convert it first, e.g. "
         "x.to(samara.float32).");
  const uint32_t axes = axes_argument(call, 1, x.rank());
  const Tensor out = empty(reduced_shape(x.shape(), axes, call.boolean(3)), x.dtype(), x.device());
  variance_slot(out, {rows_of(x, axes)}, {call.real(2), square_root});
  call.output(out);
}
void var_forward(Call& call) { variance_forward(call, false); }
void std_forward(Call& call) { variance_forward(call, true); }

const NativeCall subtract("subtract");
const NativeCall multiply("multiply");
const NativeCall divide("divide");
const NativeCall equal("equal");
const NativeCall where("where");
const NativeCall mean("mean");
const NativeCall reshape("reshape");

struct Deviation {
  Tensor from_mean;  // x - mean(x)
  Tensor g;          // of the kept shape
  Dims kept;
  double freedom;
};
Deviation deviation(BackwardCall& call) {
  const Tensor& x = call.tensor(0);
  const uint32_t axes = axes_argument(call, 1, x.rank());
  Dims list;
  for (int i = 0; i < x.rank(); ++i)
    if (axes >> i & 1u) list.push_back(i);
  const Dims kept = reduced_shape(x.shape(), axes, true);
  const double count = static_cast<double>(reduced_count(x.shape(), axes));
  return {subtract(x, mean(x, Value(list), true)), reshape(call.gradient(), kept), kept,
          count > call[2].real() ? count - call[2].real() : __builtin_nan("")};
}

void var_backward(BackwardCall& call) {
  const Deviation d = deviation(call);
  call.set(0, multiply(multiply(d.g, 2.0 / d.freedom), d.from_mean));
}
// Where the deviation is 0 the gradient is taken as 0.
void std_backward(BackwardCall& call) {
  const Deviation d = deviation(call);
  const Tensor y = reshape(call.output(), d.kept);
  const Tensor zero = equal(y, 0.0);
  const Tensor scale = divide(d.g, multiply(where(zero, 1.0, y), d.freedom));
  call.set(0, multiply(where(zero, 0.0, scale), d.from_mean));
}
const Register var_registered({.name = "var",
                               .forward = var_forward,
                               .backward = var_backward,
                               .saved_inputs = 0b1,
                               .backward_records = true});
const Register std_registered({.name = "std",
                               .forward = std_forward,
                               .backward = std_backward,
                               .saved_inputs = 0b1,
                               .saves_outputs = true,
                               .backward_records = true});

}  // namespace
}  // namespace samara
