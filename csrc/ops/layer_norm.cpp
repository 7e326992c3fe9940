// layer_norm and rms_norm.
#include "ops/layer_norm.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/autograd.h"
#include "core/kernel.h"
#include "cpu/isa.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/reduce.h"

namespace samara {
namespace {

const NormKernel& kernel_for(DType dtype) {
  static const NormKernels& kernels =
      select_isa(baseline::norm_kernels, v3::norm_kernels, v4::norm_kernels);
  return kernels.norm[static_cast<int>(dtype)];
}

DType compute_dtype(DType dtype) { return is_half(dtype) ? DType::float32 : dtype; }

void* address_or_null(const Tensor& x) { return x ? x.address() : nullptr; }

// inputs: x, weight or nothing, bias or nothing; outputs: y and, for a gradient, statistics [rows,
// 2].
void forward_cpu(TensorSpan outputs, TensorSpan inputs, const NormShape& shape) {
  const Tensor& x = inputs[0];
  const NormKernel& kernel = kernel_for(x.dtype());
  const int64_t row = shape.n * itemsize(x.dtype());
  double* statistics = outputs.size() > 1 ? outputs[1].data<double>() : nullptr;
  const int64_t grain = row_grain(shape.rows, shape.n);
  parallel_ranges(shape.rows, grain, [&](int64_t begin, int64_t end) {
    NormShape part = shape;
    part.rows = end - begin;
    kernel.forward(x.data<std::byte>() + begin * row, address_or_null(inputs[1]),
                   address_or_null(inputs[2]), outputs[0].data<std::byte>() + begin * row,
                   statistics ? statistics + 2 * begin : nullptr, part);
  });
}
const KernelSlot<NormShape> forward_slot("layer_norm", forward_cpu);

// inputs: g, x, weight or nothing, statistics; outputs: gradient of x and, or nothing, of weight
// and of bias.
void backward_cpu(TensorSpan outputs, TensorSpan inputs, const NormShape& shape) {
  const Tensor& x = inputs[1];
  const NormKernel& kernel = kernel_for(x.dtype());
  const int64_t n = shape.n, row = n * itemsize(x.dtype());
  const DType wide = compute_dtype(x.dtype());
  const bool weighted = outputs[1] || outputs[2];
  // Tiles by shape alone; their weight gradients are added in order afterwards.
  const int64_t grain = std::clamp<int64_t>((1 << 16) / std::max<int64_t>(n, 1), 1, 64);
  const int64_t tiles = shape.rows == 0 ? 0 : (shape.rows - 1) / grain + 1;
  const int64_t part_bytes = n * itemsize(wide);
  Scratch scratch(weighted ? 2 * tiles * part_bytes : 0);
  std::byte* weight_parts = scratch.data();
  std::byte* bias_parts = weight_parts + tiles * part_bytes;
  parallel_ranges(shape.rows, grain, [&](int64_t begin, int64_t end) {
    NormShape part = shape;
    part.rows = end - begin;
    const int64_t offset = begin / grain * part_bytes;
    if (weighted) {
      std::memset(weight_parts + offset, 0, static_cast<size_t>(part_bytes));
      std::memset(bias_parts + offset, 0, static_cast<size_t>(part_bytes));
    }
    kernel.backward(inputs[0].data<std::byte>() + begin * row, x.data<std::byte>() + begin * row,
                    address_or_null(inputs[2]), inputs[3].data<double>() + 2 * begin,
                    outputs[0].data<std::byte>() + begin * row,
                    outputs[1] ? weight_parts + offset : nullptr,
                    outputs[2] ? bias_parts + offset : nullptr, part);
  });
  const ReduceLayout layout = reduce_layout({tiles, n}, {n, 1}, 0b01);
  for (int i = 1; i <= 2; ++i) {
    if (!outputs[static_cast<size_t>(i)]) continue;
    const Tensor& out = outputs[static_cast<size_t>(i)];
    Finish finish;
    finish.output = out.dtype();
    reduce_into(ReduceOp::sum, wide, i == 1 ? weight_parts : bias_parts, layout, finish,
                out.address());
  }
}
const KernelSlot<NormShape> backward_slot("layer_norm_backward", backward_cpu);

Dims shape_argument(const Value& value) {
  return value.is_number() ? Dims{value.integer()} : value.integers();
}

NormShape norm_shape(std::string_view place, const Tensor& x, const Dims& normalized, bool centered,
                     double eps) {
  const int shift = x.rank() - normalized.size();
  bool fits = shift >= 0 && !normalized.empty();
  for (int i = 0; fits && i < normalized.size(); ++i) fits = x.size(shift + i) == normalized[i];
  if (!fits)
    fail(ErrorKind::shape, place, ": x has shape ", x.shape(), " and normalized_shape is ",
         normalized, ". Expected normalized_shape to be the last sizes of x's shape. Fix: pass ",
         x.rank() ? to_text(Dims{x.shape().back()}) : std::string("a tensor with axes"), ".");
  int64_t rows = 1;
  for (int i = 0; i < shift; ++i) rows *= x.size(i);
  return {rows, element_count(normalized), centered, eps};
}

void check_parameter(const Call& call, const Tensor& parameter, std::string_view name,
                     const Dims& normalized) {
  if (!parameter || parameter.shape() == normalized) return;
  fail(ErrorKind::shape, call.name(), ": ", name, " has shape ", parameter.shape(),
       " and normalized_shape is ", normalized, ". Expected equal shapes. Fix: make ", name,
       " of shape ", normalized, ".");
}

Tensor parameter_for(const Tensor& parameter, DType dtype) {
  return parameter ? contiguous(cast(parameter, compute_dtype(dtype))) : parameter;
}

// The distance from 1 to the next number of the type computed in.
double default_epsilon(DType dtype) {
  return dtype == DType::float64 ? std::numeric_limits<double>::epsilon()
                                 : std::numeric_limits<float>::epsilon();
}

// layer_norm: (x, normalized_shape, weight, bias, eps); rms_norm: (x, normalized_shape, weight,
// eps).
void norm_forward(Call& call, bool centered) {
  const Tensor& x = call.tensor(0);
  if (!is_floating(x.dtype()))
    fail(ErrorKind::dtype, call.name(), ": x has dtype ", name(x.dtype()),
         ". Expected a real floating-point dtype. Fix: convert it, e.g. x.to(samara.float32).");
  const Dims normalized = shape_argument(call[1]);
  const Value& eps = call[centered ? 4 : 3];
  const NormShape shape = norm_shape(call.name(), x, normalized, centered,
                                     eps.is_none() ? default_epsilon(x.dtype()) : eps.real());
  const Tensor weight = call.optional_tensor(2);
  const Tensor bias = centered ? call.optional_tensor(3) : Tensor();
  check_parameter(call, weight, "weight", normalized);
  check_parameter(call, bias, "bias", normalized);
  Tensor outputs[2];
  outputs[0] = empty(x.shape(), x.dtype(), x.device());
  if (call.records) {
    outputs[1] = empty({shape.rows, 2}, DType::float64, x.device());
    call.saved.push_back(outputs[1]);
  }
  const Tensor inputs[] = {contiguous(x), parameter_for(weight, x.dtype()),
                           parameter_for(bias, x.dtype())};
  forward_slot(TensorSpan(outputs, call.records ? 2 : 1), TensorSpan(inputs, 3), shape);
  call.output(std::move(outputs[0]));
}

void norm_backward(BackwardCall& call, bool centered) {
  const Tensor& x = call.tensor(0);
  const Dims normalized = shape_argument(call[1]);
  const NormShape shape = norm_shape("layer_norm", x, normalized, centered, 0.0);
  const Tensor inputs[] = {contiguous(call.gradient()), contiguous(x),
                           parameter_for(call.optional_tensor(2), x.dtype()), call.saved(0)};
  Tensor outputs[3];
  outputs[0] = empty(x.shape(), x.dtype(), x.device());
  const int last = centered ? 3 : 2;
  for (int i = 2; i <= last; ++i)
    if (call.needs(i)) outputs[i - 1] = empty(normalized, call.tensor(i).dtype(), x.device());
  backward_slot(TensorSpan(outputs, 3), TensorSpan(inputs, 4), shape);
  if (call.needs(0)) call.set(0, std::move(outputs[0]));
  for (int i = 2; i <= last; ++i)
    if (outputs[i - 1]) call.set(i, std::move(outputs[i - 1]));
}

void layer_norm_forward(Call& call) { norm_forward(call, true); }
void layer_norm_backward(BackwardCall& call) { norm_backward(call, true); }
void rms_norm_forward(Call& call) { norm_forward(call, false); }
void rms_norm_backward(BackwardCall& call) { norm_backward(call, false); }

const Register layer_norm_registered({.name = "layer_norm",
                                      .forward = layer_norm_forward,
                                      .backward = layer_norm_backward,
                                      .saved_inputs = 0b101});
const Register rms_norm_registered({.name = "rms_norm",
                                    .forward = rms_norm_forward,
                                    .backward = rms_norm_backward,
                                    .saved_inputs = 0b101});

}  // namespace
}  // namespace samara
