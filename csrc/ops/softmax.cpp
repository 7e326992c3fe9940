// softmax, log_softmax and logsumexp.
#include "ops/softmax.h"

#include <algorithm>
#include <cmath>

#include "core/autograd.h"
#include "core/kernel.h"
#include "cpu/isa.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/reduce.h"

namespace samara {
namespace {

constexpr int64_t kTile = 1 << 14;
constexpr int64_t kLongRow = 1 << 18;
constexpr int64_t kColumnBlock = 256;

struct SoftmaxAttributes {
  int64_t outer, n, inner;  // x seen as [outer, n, inner], softmax over n
  bool logarithm;
};

const SoftmaxKernel& kernel_for(DType dtype) {
  return softmax_kernels().softmax[static_cast<int>(dtype)];
}

// One long row: the parts' statistics first, then all elements from the whole row's.
void softmax_long_row(DType dtype, const std::byte* x, std::byte* out, int64_t n, bool logarithm) {
  const SoftmaxKernel& kernel = kernel_for(dtype);
  const int64_t size = itemsize(dtype);
  double statistics[2];
  row_statistics(dtype, x, statistics, 1, n);
  const auto [largest, sum] = statistics;
  const double parameters[] = {largest, 1.0 / sum, 0.0};
  parallel_ranges(n, kTile, [&, largest = largest, sum = sum](int64_t begin, int64_t end) {
    const std::byte* from = x + begin * size;
    std::byte* to = out + begin * size;
    if (logarithm)
      kernel.shifted(from, to, end - begin, largest, std::log(sum));
    else
      kernel.gradient(from, nullptr, nullptr, to, 1, end - begin, parameters);
  });
}

// Calls rows(begin, end) over `outer` rows, or columns(offset, width) over blocks of columns.
template <class Rows, class Columns>
void split(const SoftmaxAttributes& shape, Rows&& rows, Columns&& columns) {
  const auto [outer, n, inner, logarithm] = shape;
  if (inner == 1) {
    parallel_ranges(outer, row_grain(outer, n), rows);
    return;
  }
  const int64_t parts = (inner - 1) / kColumnBlock + 1;
  const int64_t grain = std::max<int64_t>(1, kTile / (n * std::min(inner, kColumnBlock)));
  parallel_ranges(outer * parts, grain, [&, n = n, inner = inner](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t column = tile % parts * kColumnBlock;
      columns(tile / parts * n * inner + column, std::min(kColumnBlock, inner - column));
    }
  });
}

void softmax_cpu(TensorSpan outputs, TensorSpan inputs, const SoftmaxAttributes& shape) {
  const Tensor& x = inputs[0];
  if (x.elements() == 0) return;
  const SoftmaxKernel& kernel = kernel_for(x.dtype());
  const int64_t size = itemsize(x.dtype());
  const std::byte* source = x.data<std::byte>();
  std::byte* out = outputs[0].data<std::byte>();
  const int64_t n = shape.n;
  if (shape.inner == 1 && n >= kLongRow) {
    for (int64_t r = 0; r < shape.outer; ++r)
      softmax_long_row(x.dtype(), source + r * n * size, out + r * n * size, n, shape.logarithm);
    return;
  }
  split(
      shape,
      [&](int64_t begin, int64_t end) {
        const int64_t offset = begin * n * size;
        kernel.rows(source + offset, out + offset, end - begin, n, shape.logarithm);
      },
      [&](int64_t offset, int64_t width) {
        kernel.columns(source + offset * size, out + offset * size, n, shape.inner, width,
                       shape.logarithm);
      });
}
const KernelSlot<SoftmaxAttributes> softmax_slot("softmax", softmax_cpu);

// inputs: g, y.
void softmax_backward_cpu(TensorSpan outputs, TensorSpan inputs, const SoftmaxAttributes& shape) {
  const Tensor& g = inputs[0];
  if (g.elements() == 0) return;
  const SoftmaxKernel& kernel = kernel_for(g.dtype());
  const int64_t size = itemsize(g.dtype());
  const std::byte* gradient = g.data<std::byte>();
  const std::byte* y = inputs[1].data<std::byte>();
  std::byte* out = outputs[0].data<std::byte>();
  const int64_t n = shape.n;
  split(
      shape,
      [&](int64_t begin, int64_t end) {
        const int64_t offset = begin * n * size;
        kernel.rows_backward(gradient + offset, y + offset, out + offset, end - begin, n,
                             shape.logarithm);
      },
      [&](int64_t offset, int64_t width) {
        kernel.columns_backward(gradient + offset * size, y + offset * size, out + offset * size, n,
                                shape.inner, width, shape.logarithm);
      });
}
const KernelSlot<SoftmaxAttributes> softmax_backward_slot("softmax_backward", softmax_backward_cpu);

SoftmaxAttributes attributes_for(const Tensor& x, int axis, bool logarithm) {
  SoftmaxAttributes shape{1, x.rank() ? x.size(axis) : 1, 1, logarithm};
  for (int i = 0; i < axis; ++i) shape.outer *= x.size(i);
  for (int i = axis + 1; i < x.rank(); ++i) shape.inner *= x.size(i);
  return shape;
}

void require_floating(const Call& call, const Tensor& x) {
  if (!is_floating(x.dtype()))
    fail(ErrorKind::dtype, call.name(), ": x has dtype ", name(x.dtype()),
         ". Expected a real floating-point dtype. Fix: convert it first, e.g. "
         "x.to(samara.float32).");
}

// (x, axis)
void softmax_like(Call& call, bool logarithm) {
  const Tensor& x = call.tensor(0);
  require_floating(call, x);
  const int axis = normalize_axis(call.integer(1), x.rank(), call.name(), true);
  Tensor out = empty(x.shape(), x.dtype(), x.device());
  softmax_slot(out, {contiguous(x)}, attributes_for(x, axis, logarithm));
  call.output(std::move(out));
}
void softmax_like_backward(BackwardCall& call, bool logarithm) {
  const Tensor& y = call.output();
  const int axis = normalize_axis(call[1].integer(), y.rank(), "softmax", true);
  Tensor out = empty(y.shape(), y.dtype(), y.device());
  const Tensor g = cast(contiguous(call.gradient()), y.dtype());
  softmax_backward_slot(out, {g, contiguous(y)}, attributes_for(y, axis, logarithm));
  call.set(0, std::move(out));
}
void softmax_forward(Call& call) { softmax_like(call, false); }
void softmax_backward(BackwardCall& call) { softmax_like_backward(call, false); }
void log_softmax_forward(Call& call) { softmax_like(call, true); }
void log_softmax_backward(BackwardCall& call) { softmax_like_backward(call, true); }

const Register softmax_registered({.name = "softmax",
                                   .forward = softmax_forward,
                                   .backward = softmax_backward,
                                   .saves_outputs = true});
const Register log_softmax_registered({.name = "log_softmax",
                                       .forward = log_softmax_forward,
                                       .backward = log_softmax_backward,
                                       .saves_outputs = true});

// --- logsumexp: (x, axis, keepdims) --------------------------------------------------------------

// input: x [rows, n], contiguous.
void logsumexp_cpu(TensorSpan outputs, TensorSpan inputs, const NoAttributes&) {
  const Tensor& x = inputs[0];
  const int64_t rows = x.size(0), n = x.size(1);
  const SoftmaxKernel& kernel = kernel_for(x.dtype());
  const int64_t size = itemsize(x.dtype());
  const std::byte* source = x.data<std::byte>();
  std::byte* out = outputs[0].data<std::byte>();
  if (n < kLongRow) {
    parallel_ranges(rows, row_grain(rows, n), [&](int64_t begin, int64_t end) {
      kernel.logsumexp(source + begin * n * size, out + begin * size, end - begin, n);
    });
    return;
  }
  Finish finish;
  finish.output = x.dtype();
  for (int64_t r = 0; r < rows; ++r) {
    double statistics[2];
    row_statistics(x.dtype(), source + r * n * size, statistics, 1, n);
    const bool finite = std::isfinite(statistics[0]);
    const double result = finite ? statistics[0] + std::log(statistics[1]) : statistics[0];
    reduce_into(ReduceOp::sum, DType::float64, &result, {}, finish, out + r * size);
  }
}
const KernelSlot<NoAttributes> logsumexp_slot("logsumexp", logsumexp_cpu);

void logsumexp_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  require_floating(call, x);
  const uint32_t axes = axes_argument(call, 1, x.rank());
  Tensor out = empty(reduced_shape(x.shape(), axes, call.boolean(2)), x.dtype(), x.device());
  logsumexp_slot(out, {rows_of(x, axes)}, {});
  call.output(std::move(out));
}

const NativeCall multiply("multiply");
const NativeCall subtract("subtract");
const NativeCall exponential("exp");
const NativeCall reshape("reshape");

// g softmax(x), written so that it can be differentiated again.
void logsumexp_backward(BackwardCall& call) {
  const Tensor& x = call.tensor(0);
  const Dims kept = reduced_shape(x.shape(), axes_argument(call, 1, x.rank()), true);
  const Tensor y = reshape(call.output(), kept);
  call.set(0, multiply(reshape(call.gradient(), kept), exponential(subtract(x, y))));
}
const Register logsumexp_registered({.name = "logsumexp",
                                     .forward = logsumexp_forward,
                                     .backward = logsumexp_backward,
                                     .saved_inputs = 0b1,
                                     .saves_outputs = true,
                                     .backward_records = true});

}  // namespace

const SoftmaxKernels& softmax_kernels() {
  static const SoftmaxKernels& kernels =
      select_isa(baseline::softmax_kernels, v3::softmax_kernels, v4::softmax_kernels);
  return kernels;
}

void row_statistics(DType dtype, const void* x, double* out, int64_t rows, int64_t n) {
  const SoftmaxKernel& kernel = kernel_for(dtype);
  const std::byte* source = static_cast<const std::byte*>(x);
  const int64_t size = itemsize(dtype);
  if (n < kLongRow) {
    const int64_t grain = row_grain(rows, n);
    parallel_ranges(rows, grain, [&](int64_t begin, int64_t end) {
      kernel.statistics(source + begin * n * size, out + 2 * begin, end - begin, n);
    });
    return;
  }
  const int64_t parts = (n - 1) / kTile + 1;
  Scratch scratch(parts * 2 * static_cast<int64_t>(sizeof(double)));
  double* part = reinterpret_cast<double*>(scratch.data());
  for (int64_t r = 0; r < rows; ++r) {
    const std::byte* row = source + r * n * size;
    parallel_ranges(n, kTile, [&](int64_t begin, int64_t end) {
      kernel.statistics(row + begin * size, part + 2 * (begin / kTile), 1, end - begin);
    });
    double largest = part[0], sum = 0;
    for (int64_t p = 1; p < parts; ++p)
      if (part[2 * p] > largest || std::isnan(part[2 * p])) largest = part[2 * p];
    // A part of nothing but -inf has the sum NaN and adds nothing.
    for (int64_t p = 0; p < parts; ++p)
      if (part[2 * p] != -INFINITY || largest == -INFINITY)
        sum += part[2 * p + 1] * std::exp(part[2 * p] - largest);
    out[2 * r] = largest;
    out[2 * r + 1] = sum;
  }
}

}  // namespace samara
