// sum, mean, prod, max, min, any, all, count_nonzero, norm and sum_to.
#include "ops/reduce.h"

#include <cmath>

#include "core/autograd.h"
#include "core/kernel.h"
#include "ops/basic.h"

namespace samara {
namespace {

struct ReduceAttributes {
  ReduceOp op;
  uint32_t axes;
  Finish finish;
};

void reduce_cpu(TensorSpan outputs, TensorSpan inputs, const ReduceAttributes& attributes) {
  const Tensor& x = inputs[0];
  Finish finish = attributes.finish;
  finish.output = outputs[0].dtype();
  reduce_into(attributes.op, x.dtype(), x.address(),
              reduce_layout(x.shape(), x.strides(), attributes.axes), finish, outputs[0].address());
}
const KernelSlot<ReduceAttributes> reduce_slot("reduce", reduce_cpu);

Tensor reduce(const Tensor& x, ReduceOp op, uint32_t axes, const Dims& shape, DType dtype,
              const Finish& finish = {}) {
  Tensor out = empty(shape, dtype, x.device());
  reduce_slot(TensorSpan(&out, 1), TensorSpan(&x, 1), {op, axes, finish});
  return out;
}

// The calls below read the arguments (x, axis, keepdims, ...), absent ones being defaults.
bool has_argument(const Call& call, int i) {
  return i < static_cast<int>(call.values.size()) && call.has(i);
}
bool keepdims_argument(const Call& call, int i = 2) {
  return has_argument(call, i) && call.boolean(i);
}

// int64 for signed integers and bool, uint64 for unsigned ones.
DType total_dtype(DType dtype) {
  if (dtype == DType::boolean) return DType::int64;
  if (kind(dtype) == DTypeKind::unsigned_integer) return DType::uint64;
  return is_integer(dtype) ? DType::int64 : dtype;
}

void require_numbers(const Call& call, const Tensor& x, bool allowed, std::string_view expected) {
  if (!allowed)
    fail(ErrorKind::dtype, call.name(), ": x has dtype ", name(x.dtype()), ". Expected ", expected,
         ". Fix: convert it first, e.g. x.to(samara.float32).");
}

// --- sum, mean, prod -----------------------------------------------------------------------------

void total_forward(Call& call, ReduceOp op) {
  Tensor x = call.tensor(0);
  DType output = total_dtype(x.dtype());
  if (has_argument(call, 3)) {
    output = call[3].dtype();
    x = cast(x, output);
  }
  const uint32_t axes = axes_argument(call, 1, x.rank());
  const Dims shape = reduced_shape(x.shape(), axes, keepdims_argument(call));
  Tensor out = reduce(x, op, axes, shape, total_dtype(x.dtype()));
  call.output(cast(out, output));
}
void sum_forward(Call& call) { total_forward(call, ReduceOp::sum); }
void prod_forward(Call& call) { total_forward(call, ReduceOp::prod); }

void sum_backward(BackwardCall& call) {
  const Dims& shape = call.tensor(0).shape();
  call.set(0, spread(call.gradient(), shape, axes_argument(call, 1, shape.size())));
}

void mean_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  require_numbers(call, x, is_inexact(x.dtype()), "a floating-point or complex dtype");
  const uint32_t axes = axes_argument(call, 1, x.rank());
  Finish finish;
  finish.kind = FinishKind::divide;
  finish.value = static_cast<double>(reduced_count(x.shape(), axes));
  call.output(reduce(x, ReduceOp::sum, axes,
                     reduced_shape(x.shape(), axes, keepdims_argument(call)), x.dtype(), finish));
}

const NativeCall add("add");
const NativeCall subtract("subtract");
const NativeCall multiply("multiply");
const NativeCall divide("divide");
const NativeCall equal("equal");
const NativeCall where("where");
const NativeCall power("pow");
const NativeCall absolute("abs");
const NativeCall sign("sign");
const NativeCall astype("astype");
const NativeCall reshape("reshape");
const NativeCall expand("expand");
const NativeCall total("sum");

void mean_backward(BackwardCall& call) {
  const Dims& shape = call.tensor(0).shape();
  const uint32_t axes = axes_argument(call, 1, shape.size());
  const double count = static_cast<double>(reduced_count(shape, axes));
  call.set(0, spread(divide(call.gradient(), count), shape, axes));
}

// The product of all other elements, from the products before and after each: exact at zeros too.
template <class T>
void exclude_self(const T* x, T* out, int64_t n, T scale) {
  T before = scale;
  for (int64_t i = 0; i < n; ++i) {
    out[i] = before;
    before *= x[i];
  }
  T after = T(1);
  for (int64_t i = n - 1; i >= 0; --i) {
    out[i] *= after;
    after *= x[i];
  }
}
template <class T>
T conjugated(T value) {
  if constexpr (requires { value.imag(); })
    return std::conj(value);
  else
    return value;
}
template <class T>
void prod_gradient_rows(const Tensor& out, const Tensor& g, const Tensor& x) {
  const int64_t n = x.size(1);
  std::vector<T> row(static_cast<size_t>(n));
  for (int64_t r = 0; r < x.size(0); ++r) {
    const T* source = x.data<T>() + r * n;
    for (int64_t i = 0; i < n; ++i) row[static_cast<size_t>(i)] = conjugated(source[i]);
    exclude_self(row.data(), out.data<T>() + r * n, n, g.data<T>()[r]);
  }
}
// inputs: g [rows], x [rows, n], both contiguous float64 or complex128.
void prod_gradient_cpu(TensorSpan outputs, TensorSpan inputs, const NoAttributes&) {
  if (is_complex(inputs[1].dtype()))
    prod_gradient_rows<std::complex<double>>(outputs[0], inputs[0], inputs[1]);
  else
    prod_gradient_rows<double>(outputs[0], inputs[0], inputs[1]);
}
const KernelSlot<NoAttributes> prod_gradient_slot("prod_backward", prod_gradient_cpu);

// Rows made by rows_of, seen in the shape they came from.
Tensor from_rows(const Tensor& rows, const Dims& shape, uint32_t axes) {
  Dims strides = Dims::filled(shape.size(), 0);
  int64_t step = 1;
  for (const bool reduced : {true, false})
    for (int i = shape.size() - 1; i >= 0; --i) {
      if ((axes >> i & 1u) != (reduced ? 1u : 0u)) continue;
      strides[i] = step;
      step *= std::max<int64_t>(shape[i], 1);
    }
  return alias(rows, shape, strides, rows.offset());
}

void prod_backward(BackwardCall& call) {
  const Tensor& x = call.tensor(0);
  const uint32_t axes = axes_argument(call, 1, x.rank());
  const DType wide = is_complex(x.dtype()) ? DType::complex128 : DType::float64;
  const Tensor rows = rows_of(cast(x, wide), axes);
  const Tensor g = contiguous(cast(call.gradient(), wide));
  Tensor out = empty(rows.shape(), wide, x.device());
  prod_gradient_slot(out, {g, rows}, {});
  call.set(0, cast(contiguous(from_rows(out, x.shape(), axes)), x.dtype()));
}

const Register sum_registered({.name = "sum", .forward = sum_forward, .backward = sum_backward});
const Register prod_registered(
    {.name = "prod", .forward = prod_forward, .backward = prod_backward, .saved_inputs = 0b1});
const Register mean_registered({.name = "mean",
                                .forward = mean_forward,
                                .backward = mean_backward});

// --- max, min ------------------------------------------------------------------------------------

void extremum_forward(Call& call, ReduceOp op) {
  const Tensor& x = call.tensor(0);
  require_numbers(call, x, !is_complex(x.dtype()), "real numbers, which have an order");
  const uint32_t axes = axes_argument(call, 1, x.rank());
  const Dims shape = reduced_shape(x.shape(), axes, keepdims_argument(call));
  require_elements(call, x, axes, shape);
  call.output(reduce(x, op, axes, shape, x.dtype()));
}
void max_forward(Call& call) { extremum_forward(call, ReduceOp::max); }
void min_forward(Call& call) { extremum_forward(call, ReduceOp::min); }

// Recorded operations from here on: the gradients have gradients.
Tensor spread_recorded(const Tensor& reduced, const Dims& shape, uint32_t axes) {
  return expand(reshape(reduced, reduced_shape(shape, axes, true)), shape);
}
// The axes as an argument for another reduction.
Value axes_value(uint32_t axes, int rank) {
  Dims list;
  for (int i = 0; i < rank; ++i)
    if (axes >> i & 1u) list.push_back(i);
  return Value(list);
}
// g shared equally among the elements that equal the result.
Tensor share_among(const Tensor& g, const Tensor& hit, uint32_t axes) {
  const Tensor share = astype(hit, g.dtype());
  const Tensor count = total(share, axes_value(axes, hit.rank()), true, Value());
  return multiply(spread_recorded(g, hit.shape(), axes), divide(share, count));
}

void extremum_backward(BackwardCall& call) {
  const Tensor& x = call.tensor(0);
  const uint32_t axes = axes_argument(call, 1, x.rank());
  const Tensor hit = equal(x, spread_recorded(call.output(), x.shape(), axes));
  call.set(0, share_among(call.gradient(), hit, axes));
}
const Register max_registered({.name = "max",
                               .forward = max_forward,
                               .backward = extremum_backward,
                               .saved_inputs = 0b1,
                               .saves_outputs = true,
                               .backward_records = true});
const Register min_registered({.name = "min",
                               .forward = min_forward,
                               .backward = extremum_backward,
                               .saved_inputs = 0b1,
                               .saves_outputs = true,
                               .backward_records = true});

// --- any, all, count_nonzero ---------------------------------------------------------------------

void logical_forward(Call& call, ReduceOp op, DType dtype) {
  const Tensor& x = call.tensor(0);
  const uint32_t axes = axes_argument(call, 1, x.rank());
  call.output(reduce(x, op, axes, reduced_shape(x.shape(), axes, keepdims_argument(call)), dtype));
}
void any_forward(Call& call) { logical_forward(call, ReduceOp::any, DType::boolean); }
void all_forward(Call& call) { logical_forward(call, ReduceOp::all, DType::boolean); }
void count_forward(Call& call) { logical_forward(call, ReduceOp::count_nonzero, DType::int64); }
const Register any_registered({.name = "any", .forward = any_forward});
const Register all_registered({.name = "all", .forward = all_forward});
const Register count_registered({.name = "count_nonzero", .forward = count_forward});

// --- norm: (x, p, axis, keepdims) ----------------------------------------------------------------

void norm_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  require_numbers(call, x, is_floating(x.dtype()), "a real floating-point dtype");
  const double p = call.real(1);
  const uint32_t axes = axes_argument(call, 2, x.rank());
  const Dims shape = reduced_shape(x.shape(), axes, keepdims_argument(call, 3));
  Finish finish;
  finish.power = finish.value = p;
  ReduceOp op = ReduceOp::sum_power;
  if (p == 2.0) {
    op = ReduceOp::sum_squares;
    finish.kind = FinishKind::square_root;
  } else if (p == 1.0) {
    op = ReduceOp::sum_absolute;
  } else if (std::isinf(p)) {
    if (p < 0) require_elements(call, x, axes, shape);
    op = p > 0 ? ReduceOp::max_absolute : ReduceOp::min_absolute;
    if (p > 0 && reduced_count(x.shape(), axes) == 0) op = ReduceOp::sum_absolute;  // zero
  } else if (p == 0.0) {
    call.output(cast(reduce(x, ReduceOp::count_nonzero, axes, shape, DType::int64), x.dtype()));
    return;
  } else {
    finish.kind = FinishKind::root;
  }
  call.output(reduce(x, op, axes, shape, x.dtype(), finish));
}

// Where the norm is 0, or an element is, the gradient is taken as 0.
void norm_backward(BackwardCall& call) {
  const Tensor& x = call.tensor(0);
  const double p = call[1].real();
  const uint32_t axes = axes_argument(call, 2, x.rank());
  const Tensor& g = call.gradient();
  const Tensor y = spread_recorded(call.output(), x.shape(), axes);
  if (std::isinf(p)) {
    call.set(0, multiply(share_among(g, equal(absolute(x), y), axes), sign(x)));
    return;
  }
  const Tensor spread_g = spread_recorded(g, x.shape(), axes);
  if (p == 0.0) {
    call.set(0, multiply(spread_g, 0.0));
  } else if (p == 1.0) {
    call.set(0, multiply(spread_g, sign(x)));
  } else {
    const Tensor zero = equal(p == 2.0 ? y : x, 0.0);
    const Tensor size = where(zero, 1.0, y);
    if (p == 2.0) {
      call.set(0, multiply(spread_g, divide(x, size)));
      return;
    }
    const Tensor ratio = divide(where(zero, 1.0, absolute(x)), size);
    const Tensor slope = multiply(sign(x), power(ratio, p - 1.0));
    call.set(0, multiply(spread_g, where(zero, 0.0, slope)));
  }
}
const Register norm_registered({.name = "norm",
                                .forward = norm_forward,
                                .backward = norm_backward,
                                .saved_inputs = 0b1,
                                .saves_outputs = true,
                                .backward_records = true});

// --- sum_to: (x, shape) --------------------------------------------------------------------------

uint32_t broadcast_axes(const Dims& from, const Dims& to, std::string_view place) {
  uint32_t axes = 0;
  const int shift = from.size() - to.size();
  bool fits = shift >= 0;
  for (int i = 0; fits && i < from.size(); ++i) {
    if (i < shift) {
      axes |= 1u << i;
    } else if (from[i] != to[i - shift]) {
      fits = to[i - shift] == 1;
      axes |= 1u << i;
    }
  }
  if (!fits)
    fail(ErrorKind::shape, place, ": shape ", to, " does not broadcast to ", from,
         ". Expected a shape that does. Fix: give the shape of the tensor that was broadcast.");
  return axes;
}

void sum_to_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  require_numbers(call, x, x.dtype() != DType::boolean, "a numeric dtype");
  const Tensor out = sum_to(x, call[1].integers());
  call.output(out.impl() == x.impl() ? alias(x) : out);
}
void sum_to_backward(BackwardCall& call) {
  const Dims& shape = call.tensor(0).shape();
  call.set(0, expand_view(call.gradient(), shape));
}
const Register sum_to_registered({.name = "sum_to",
                                  .forward = sum_to_forward,
                                  .backward = sum_to_backward});

}  // namespace

Tensor sum_to(const Tensor& x, const Dims& shape) {
  if (x.shape() == shape) return x;
  const uint32_t axes = broadcast_axes(x.shape(), shape, "sum_to");
  return cast(reduce(x, ReduceOp::sum, axes, shape, total_dtype(x.dtype())), x.dtype());
}

void require_elements(const Call& call, const Tensor& x, uint32_t axes, const Dims& result) {
  if (element_count(result) == 0) return;
  for (int i = 0; i < x.rank(); ++i)
    if ((axes >> i & 1u) && x.size(i) == 0)
      fail(ErrorKind::shape, call.name(), ": axis ", i, " of shape ", x.shape(),
           " has no elements, and nothing has no ", call.name(),
           ". Expected at least one element. Fix: check for an empty tensor first.");
}

}  // namespace samara
