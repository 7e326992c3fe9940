// From a call of a pointwise operation to its loops: dtypes, broadcasting, output, gradient.
#include <array>
#include <cstring>
#include <vector>

#include "core/autograd.h"
#include "core/kernel.h"
#include "core/operation.h"
#include "cpu/isa.h"
#include "ops/activation.h"
#include "ops/basic.h"
#include "ops/iterate.h"
#include "ops/pointwise_loops.h"

namespace samara {

namespace baseline {
extern const PointwiseKernels* const unary_pointwise_kernels;
extern const PointwiseKernels* const binary_pointwise_kernels;
extern const PointwiseKernels* const ternary_pointwise_kernels;
}  // namespace baseline
#ifndef SAMARA_BASELINE_ONLY
namespace v3 {
extern const PointwiseKernels* const unary_pointwise_kernels;
extern const PointwiseKernels* const binary_pointwise_kernels;
extern const PointwiseKernels* const ternary_pointwise_kernels;
}  // namespace v3
namespace v4 {
extern const PointwiseKernels* const unary_pointwise_kernels;
extern const PointwiseKernels* const binary_pointwise_kernels;
extern const PointwiseKernels* const ternary_pointwise_kernels;
}  // namespace v4
#else
namespace v3 = baseline;
namespace v4 = baseline;
#endif

const PointwiseKernels* unary_kernels() {
  static const PointwiseKernels* const chosen = select_isa(
      baseline::unary_pointwise_kernels, v3::unary_pointwise_kernels, v4::unary_pointwise_kernels);
  return chosen;
}
const PointwiseKernels* binary_kernels() {
  static const PointwiseKernels* const chosen =
      select_isa(baseline::binary_pointwise_kernels, v3::binary_pointwise_kernels,
                 v4::binary_pointwise_kernels);
  return chosen;
}
const PointwiseKernels* ternary_kernels() {
  static const PointwiseKernels* const chosen =
      select_isa(baseline::ternary_pointwise_kernels, v3::ternary_pointwise_kernels,
                 v4::ternary_pointwise_kernels);
  return chosen;
}

namespace {

using pointwise::Result;

// What the functors' static members say, for code that does not know their types.
struct Functor {
  std::string_view name;
  int index;
  int arity;
  unsigned domain;
  Result result;
  bool differentiable, reads_x, reads_y;
  const char* (*mistake)(const double* parameters);  // null where nothing can be wrong
};

struct PointwiseAttributes {
  const Functor* functor;
  int input = -1;            // -1: the value; i: the gradient of input i
  DType dtype;               // of the inputs
  int constant_operand = 0;  // operand that is `constant` rather than a tensor; 0 for none
  std::array<double, 4> parameters{};
  alignas(16) std::array<std::byte, 16> constant{};
};

PointwiseLoop find_loop(const PointwiseAttributes& attributes, DType dtype) {
  const Functor& functor = *attributes.functor;
  const PointwiseKernels* kernels;
  if (is_complex(dtype))
    kernels = functor.arity == 1 ? complex_unary_kernels : complex_binary_kernels;
  else
    kernels = functor.arity == 1   ? unary_kernels()
              : functor.arity == 2 ? binary_kernels()
                                   : ternary_kernels();
  const PointwiseKernels& found = kernels[functor.index];
  const int index = static_cast<int>(dtype);
  return attributes.input < 0 ? found.forward[index] : found.backward[attributes.input][index];
}

// Runs a float loop on 16-bit operands, a block at a time through buffers on the stack.
class HalfLoop {
 public:
  HalfLoop(PointwiseLoop loop, DType dtype, int operands, bool boolean_result,
           const double* parameters)
      : loop_(loop),
        operands_(operands),
        boolean_result_(boolean_result),
        item_(itemsize(dtype)),
        parameters_(parameters) {
    const auto& casts = convert_kernels().cast;
    const auto half = static_cast<size_t>(dtype);
    const auto single = static_cast<size_t>(DType::float32);
    widen_ = casts[single][half];
    narrow_ = casts[half][single];
  }

  void operator()(char* const* pointers, const int64_t* strides, int64_t n) const {
    alignas(64) float buffers[kMaxOperands][kBlock];
    std::array<char*, kMaxOperands> inner;
    std::array<int64_t, kMaxOperands> inner_strides;
    for (int64_t start = 0; start < n; start += kBlock) {
      const int64_t count = std::min<int64_t>(kBlock, n - start);
      for (int k = 1; k < operands_; ++k) {
        inner[k] = reinterpret_cast<char*>(buffers[k]);
        inner_strides[k] = strides[k] == 0 ? 0 : sizeof(float);
        widen_(inner[k], sizeof(float), pointers[k] + start * strides[k], strides[k],
               strides[k] == 0 ? 1 : count);
      }
      char* target = pointers[0] + start * strides[0];
      inner[0] = boolean_result_ ? target : reinterpret_cast<char*>(buffers[0]);
      inner_strides[0] = boolean_result_ ? strides[0] : static_cast<int64_t>(sizeof(float));
      loop_(inner.data(), inner_strides.data(), count, parameters_);
      if (!boolean_result_) narrow_(target, strides[0], inner[0], sizeof(float), count);
    }
  }

 private:
  static constexpr int64_t kBlock = 256;
  PointwiseLoop loop_;
  ConvertLoop widen_, narrow_;
  int operands_;
  bool boolean_result_;
  int64_t item_;
  const double* parameters_;
};

// Everything in one run of memory each: no walk over axes is needed.
bool all_contiguous(const Tensor& output, TensorSpan inputs) {
  if (!output.is_contiguous()) return false;
  for (const Tensor& input : inputs)
    if (!input.is_contiguous() || !(input.shape() == output.shape())) return false;
  return true;
}

void run_contiguous(const Tensor& output, TensorSpan inputs, const PointwiseAttributes& attributes,
                    PointwiseLoop loop) {
  char* pointers[kMaxOperands];
  int64_t strides[kMaxOperands];
  int operands = 0;
  const auto add = [&](const void* pointer, int64_t stride) {
    pointers[operands] = static_cast<char*>(const_cast<void*>(pointer));
    strides[operands++] = stride;
  };
  add(output.address(), itemsize(output.dtype()));
  for (const Tensor& input : inputs) {
    if (operands == attributes.constant_operand) add(attributes.constant.data(), 0);
    add(input.address(), itemsize(input.dtype()));
  }
  if (operands == attributes.constant_operand) add(attributes.constant.data(), 0);
  parallel_ranges(output.elements(), kPointwiseGrain, [&](int64_t begin, int64_t end) {
    char* shifted[kMaxOperands];
    for (int k = 0; k < operands; ++k) shifted[k] = pointers[k] + begin * strides[k];
    loop(shifted, strides, end - begin, attributes.parameters.data());
  });
}

// Below this many elements reading with gaps costs less than a copy.
constexpr int64_t kWorthOrdering = 4096;

// Whether x's numbers lie in another order than the output's, as those of a transposed matrix do: a
// copy in square blocks reads such numbers far faster than the loops would.
bool lies_across(const Tensor& x, const Tensor& output) {
  if (x.elements() < kWorthOrdering || !(x.shape() == output.shape())) return false;
  bool innermost = false;
  for (int axis = 0; axis < x.rank(); ++axis) {
    if (x.size(axis) == 1) continue;
    if (x.stride(axis) <= 0) return false;
    innermost = innermost || (output.stride(axis) == 1 && x.stride(axis) != 1);
  }
  return innermost;
}

void pointwise_cpu(TensorSpan outputs, TensorSpan given, const PointwiseAttributes& attributes) {
  const Tensor& output = outputs[0];
  if (output.elements() == 0) return;
  std::array<Tensor, kMaxOperands> ordered;
  for (size_t i = 0; i < given.size(); ++i) {
    ordered[i] = given[i];
    if (!lies_across(given[i], output)) continue;
    ordered[i] = empty_laid_out_like(output, given[i].dtype());
    copy_into(ordered[i], given[i]);
  }
  const TensorSpan inputs(ordered.data(), given.size());
  if (!is_half(attributes.dtype) && all_contiguous(output, inputs))
    return run_contiguous(output, inputs, attributes, find_loop(attributes, attributes.dtype));
  StridedOperands walk(output.shape());
  walk.add(output);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (walk.operands == attributes.constant_operand) walk.add_constant(attributes.constant.data());
    walk.add(inputs[i]);
  }
  if (walk.operands == attributes.constant_operand) walk.add_constant(attributes.constant.data());
  walk.simplify();
  const double* parameters = attributes.parameters.data();
  if (is_half(attributes.dtype)) {
    const bool boolean = output.dtype() == DType::boolean;
    const HalfLoop loop(find_loop(attributes, DType::float32), attributes.dtype, walk.operands,
                        boolean, parameters);
    for_each_run(walk, loop);
    return;
  }
  const PointwiseLoop loop = find_loop(attributes, attributes.dtype);
  for_each_run(walk, [&](char* const* pointers, const int64_t* strides, int64_t n) {
    loop(pointers, strides, n, parameters);
  });
}

const KernelSlot<PointwiseAttributes> pointwise_kernel("pointwise", pointwise_cpu);

// The dtype the loops work in, or an error when the operation has none for `dtype`.
DType working_dtype(const Call& call, const Functor& functor, DType dtype) {
  using pointwise::kBoolean, pointwise::kComplex, pointwise::kInteger, pointwise::kReal;
  const unsigned domain = is_floating(dtype)        ? kReal
                          : is_integer(dtype)       ? kInteger
                          : dtype == DType::boolean ? kBoolean
                                                    : kComplex;
  if (functor.domain & domain) return dtype;
  // A function of real numbers takes whole numbers too.
  if ((functor.domain & kReal) && !(functor.domain & kInteger) && !is_inexact(dtype))
    return default_dtype();
  std::string expected;
  const auto mention = [&](unsigned bit, const char* text) {
    if (functor.domain & bit) expected += (expected.empty() ? "" : ", ") + std::string(text);
  };
  mention(kBoolean, "bool");
  mention(kInteger, "integer");
  mention(kReal, "floating-point");
  mention(kComplex, "complex");
  fail(ErrorKind::dtype, call.name(), ": dtype ", name(dtype), " is not supported. Expected ",
       expected, ". Fix: convert the tensor first, e.g. x.to(samara.float32).");
}

DType output_dtype(const Functor& functor, DType dtype) {
  return functor.result == Result::boolean ? DType::boolean
         : functor.result == Result::real  ? real_dtype(dtype)
                                           : dtype;
}

// An output laid out like a permuted input keeps all loops contiguous.
Tensor pointwise_result(const Call& call, const Dims& shape, DType dtype, const Tensor& like) {
  if (!call.destination && !like.is_contiguous() && like.shape() == shape)
    return empty_laid_out_like(like, dtype);
  return result(call, shape, dtype, like.device());
}

void set_constant(PointwiseAttributes& attributes, int operand, const Value& number, DType dtype) {
  attributes.constant_operand = operand;
  store_number(attributes.constant.data(), dtype, number);
}

void unary_forward(Call& call) {
  const Functor& functor = *static_cast<const Functor*>(call.operation.native->details);
  const bool is_number = call[0].is_number();
  const Tensor given =
      is_number ? scalar_tensor(call[0], result_dtype(call.values.first(1), call.name()), {})
                : call.tensor(0);
  const DType dtype = working_dtype(call, functor, given.dtype());
  const Tensor x = cast(given, dtype);
  PointwiseAttributes attributes{.functor = &functor, .dtype = dtype};
  for (size_t i = 1; i < call.values.size() && i <= attributes.parameters.size(); ++i)
    attributes.parameters[i - 1] = call.values[i].real();
  if (const char* text = functor.mistake ? functor.mistake(attributes.parameters.data()) : nullptr)
    fail(ErrorKind::argument, call.name(), ": ", text);
  const Tensor output = pointwise_result(call, x.shape(), output_dtype(functor, dtype), x);
  pointwise_kernel(output, {x}, attributes);
  call.output(output);
}

void unary_backward(BackwardCall& call) {
  const Functor& functor = *static_cast<const Functor*>(call.node.operation->native->details);
  const Tensor& g = call.gradient();
  // |x| of a complex x has a real gradient.
  const DType dtype = is_complex(call.tensor(0).dtype()) ? call.tensor(0).dtype() : g.dtype();
  PointwiseAttributes attributes{.functor = &functor, .input = 0, .dtype = dtype};
  const int count = call.node.values.size();
  for (int i = 1; i < count && i <= static_cast<int>(attributes.parameters.size()); ++i)
    attributes.parameters[static_cast<size_t>(i - 1)] = call[i].real();
  const Tensor x = functor.reads_x ? cast(call.tensor(0), dtype) : g;
  const Tensor& y = functor.reads_y ? call.output() : g;
  const Tensor gradient = empty_laid_out_like(functor.reads_x ? x : y, dtype);
  pointwise_kernel(gradient, {g, x, y}, attributes);
  call.set(0, gradient);
}

// x ** 2 and x ** 0.5 are far cheaper as what they are.
const Functor* cheaper_power(const Functor& functor, const Value& exponent, DType dtype);

void launch_binary(Call& call, const Functor& functor, const Value& a, const Value& b,
                   DType dtype) {
  PointwiseAttributes attributes{.functor = &functor, .dtype = dtype};
  const DType result_type = output_dtype(functor, dtype);
  if (a.is_tensor() && b.is_tensor()) {
    const Tensor operands[2] = {cast(a.tensor(), dtype), cast(b.tensor(), dtype)};
    const Tensor &x = operands[0], &y = operands[1];
    const bool same = x.shape() == y.shape();
    const Dims shape = same ? x.shape() : broadcast_shapes(x.shape(), y.shape(), call.name());
    const Tensor& like = same && !(x.strides() == y.strides()) && x.is_contiguous() ? y : x;
    const Tensor& output = call.outputs.emplace_back(
        pointwise_result(call, shape, result_type, y.is_contiguous() ? y : like));
    pointwise_kernel(TensorSpan(&output, 1), operands, attributes);
    return;
  }
  const bool constant_first = !a.is_tensor();
  const Tensor x = cast(constant_first ? b.tensor() : a.tensor(), dtype);
  const Tensor output = pointwise_result(call, x.shape(), result_type, x);
  if (!constant_first) {
    if (const Functor* cheaper = cheaper_power(functor, b, dtype)) {
      attributes.functor = cheaper;
      pointwise_kernel(output, {x}, attributes);
      call.output(output);
      return;
    }
  }
  set_constant(attributes, constant_first ? 1 : 2, constant_first ? a : b, dtype);
  pointwise_kernel(output, {x}, attributes);
  call.output(output);
}

// add(x, y, alpha) and subtract(x, y, alpha): y is multiplied by alpha first, as a recorded
// product.
void apply_alpha(Call& call) {
  if (call.values.size() < 3) return;
  static const NativeCall multiply("multiply");
  const Value alpha = call[2];
  Value& y = call.values[1];
  if (alpha.kind() != ValueKind::complex && alpha.real() == 1.0) return;
  if (y.is_tensor())
    y = Value(multiply(y, alpha));
  else if (y.kind() == ValueKind::complex || alpha.kind() == ValueKind::complex)
    y = Value(y.complex() * alpha.complex());
  else if (y.kind() == ValueKind::real || alpha.kind() == ValueKind::real)
    y = Value(y.real() * alpha.real());
  else
    y = Value(y.integer() * alpha.integer());
}

bool fits(DType dtype, const Value& value) {
  if (value.beyond_int64()) return dtype == DType::uint64;
  const int64_t number = value.integer();
  if (dtype == DType::uint64) return number >= 0;
  const int bits = static_cast<int>(itemsize(dtype)) * 8;
  if (bits == 64) return true;
  if (kind(dtype) == DTypeKind::unsigned_integer) return number >= 0 && number >> bits == 0;
  const int64_t limit = int64_t{1} << (bits - 1);
  return -limit <= number && number < limit;
}

// A Python integer beyond the tensor's dtype: comparisons look at its value, arithmetic fails
// instead of wrapping it around.
DType dtype_for_number(const Call& call, const Functor& functor, DType dtype) {
  if (!is_integer(dtype)) return dtype;
  for (const Value& value : call.values.first(2)) {
    if (value.kind() != ValueKind::integer || fits(dtype, value)) continue;
    if (functor.result == Result::boolean)
      return dtype == DType::uint64 ? DType::float64 : DType::int64;
    const std::string number = value.beyond_int64()
                                   ? std::to_string(static_cast<uint64_t>(value.integer()))
                                   : std::to_string(value.integer());
    fail(ErrorKind::argument, call.name(), ": the number ", number, " does not fit into ",
         name(dtype),
         ", the dtype of the tensor. Expected a number in its range. Fix: convert the "
         "tensor first, e.g. x.to(samara.int64).");
  }
  return dtype;
}

void binary_forward(Call& call) {
  const Functor& functor = *static_cast<const Functor*>(call.operation.native->details);
  apply_alpha(call);
  const Value& a = call[0];
  const Value& b = call[1];
  const bool plain = a.is_tensor() && b.is_tensor() && a.tensor().dtype() == b.tensor().dtype();
  const DType common = plain ? a.tensor().dtype() : result_dtype(call.values.first(2), call.name());
  DType dtype = working_dtype(call, functor, common);
  if (!plain) dtype = dtype_for_number(call, functor, dtype);
  if (a.is_tensor() || b.is_tensor()) return launch_binary(call, functor, a, b, dtype);
  launch_binary(call, functor, Value(scalar_tensor(a, dtype, {})), b, dtype);
}

// Add and subtract hand the gradient on as it is.
bool passes_gradient(const Functor& functor, int input) {
  return functor.name == "add" || (functor.name == "subtract" && input == 0);
}

Tensor binary_gradient(BackwardCall& call, const Functor& functor, int input) {
  const Tensor& g = call.gradient();
  if (passes_gradient(functor, input)) return g;
  PointwiseAttributes attributes{.functor = &functor, .input = input, .dtype = g.dtype()};
  const Tensor gradient = empty_laid_out_like(g, g.dtype());
  const Value& a = call[0];
  const Value& b = call[1];
  const Tensor& y = functor.reads_y ? call.output() : g;
  if (!functor.reads_x) {
    pointwise_kernel(gradient, {g, g, g, y}, attributes);
    return gradient;
  }
  // An operand that was not saved is not read; the gradient stands in for it.
  const auto operand = [&](const Tensor& kept) {
    return kept.impl()->storage ? cast(kept, g.dtype()) : g;
  };
  if (a.is_tensor() && b.is_tensor()) {
    pointwise_kernel(gradient, {g, operand(a.tensor()), operand(b.tensor()), y}, attributes);
    return gradient;
  }
  const Tensor x = operand(a.is_tensor() ? a.tensor() : b.tensor());
  if (a.is_tensor()) {
    if (const Functor* cheaper = cheaper_power(functor, b, g.dtype())) {
      attributes.functor = cheaper;
      pointwise_kernel(gradient, {g, x, y}, attributes);
      return gradient;
    }
  }
  set_constant(attributes, a.is_tensor() ? 3 : 2, a.is_tensor() ? b : a, g.dtype());
  pointwise_kernel(gradient, {g, x, y}, attributes);
  return gradient;
}

void binary_backward(BackwardCall& call) {
  const Functor& functor = *static_cast<const Functor*>(call.node.operation->native->details);
  for (int i = 0; i < 2; ++i) {
    if (!call.needs(i)) continue;
    call.set(i, sum_to(binary_gradient(call, functor, i), call.tensor(i).shape()));
  }
}

// The shape of all operands of a call together.
Dims common_shape(const Call& call, int operands) {
  Dims shape;
  for (int i = 0; i < operands; ++i)
    if (call[i].is_tensor()) shape = broadcast_shapes(shape, call.tensor(i).shape(), call.name());
  return shape;
}

// Floats only. One operand may be a number; what follows the operands are parameters.
void ternary_forward(Call& call) {
  constexpr int operands = 3;
  const Functor& functor = *static_cast<const Functor*>(call.operation.native->details);
  const DType common = result_dtype(call.values.first(operands), call.name());
  const DType dtype = working_dtype(call, functor, common);
  const Dims shape = common_shape(call, operands);
  PointwiseAttributes attributes{.functor = &functor, .dtype = dtype};
  for (size_t i = operands; i < call.values.size(); ++i)
    attributes.parameters[i - operands] = call.values[i].real();
  InlineList<Tensor, operands> inputs;
  for (int i = 0; i < operands; ++i) {
    if (call[i].is_tensor())
      inputs.push_back(cast(call.tensor(i), dtype));
    else if (attributes.constant_operand == 0)
      set_constant(attributes, i + 1, call[i], dtype);
    else
      inputs.push_back(scalar_tensor(call[i], dtype, call.tensor(0).device()));
  }
  const Tensor output = pointwise_result(call, shape, dtype, inputs[0]);
  pointwise_kernel(TensorSpan(&output, 1), TensorSpan(inputs.begin(), inputs.size()), attributes);
  call.output(output);
}

// Gradients of the three operands, made of other operations.
struct TernaryGradient {
  BackwardCall& call;
  void set(int i, const Tensor& gradient) const {
    static const NativeCall sum_to("sum_to");
    call.set(i, sum_to(gradient, call.tensor(i).shape()));
  }
};
// x + factor a b and x + factor a / b.
template <bool kDivide>
void product_backward(BackwardCall& call) {
  static const NativeCall multiply("multiply"), divide("divide"), negative("negative");
  const TernaryGradient gradient{call};
  const Tensor& g = call.gradient();
  if (call.needs(0)) gradient.set(0, g);
  if (!call.needs(1) && !call.needs(2)) return;
  const double factor = call[3].real();
  const Tensor scaled = factor == 1.0 ? g : multiply(g, Value(factor));
  const Tensor &a = call.tensor(1), &b = call.tensor(2);
  const NativeCall& combine = kDivide ? divide : multiply;
  if (call.needs(1)) gradient.set(1, combine(scaled, b));
  if (!call.needs(2)) return;
  if (kDivide)
    gradient.set(2, negative(multiply(scaled, divide(divide(a, b), b))));
  else
    gradient.set(2, multiply(scaled, a));
}
// x + weight (end - x).
void lerp_backward(BackwardCall& call) {
  static const NativeCall multiply("multiply"), subtract("subtract");
  const TernaryGradient gradient{call};
  const Tensor& g = call.gradient();
  const Tensor &x = call.tensor(0), &end = call.tensor(1);
  const Tensor moved = multiply(g, call[2]);
  if (call.needs(0)) gradient.set(0, subtract(g, moved));
  if (call.needs(1)) gradient.set(1, moved);
  if (call[2].is_tensor() && call.needs(2)) gradient.set(2, multiply(g, subtract(end, x)));
}

template <class F>
Functor describe(int index) {
  const char* (*mistake)(const double*) = nullptr;
  if constexpr (requires { &F::mistake; }) mistake = F::mistake;
  return {F::name,           index,      F::arity,   F::domain, F::result,
          F::differentiable, F::reads_x, F::reads_y, mistake};
}

std::vector<Functor>& functors() {
  static std::vector<Functor> all = [] {
    std::vector<Functor> list;
    list.reserve(256);  // NativeOperation::details points into it
    return list;
  }();
  return all;
}

template <class... F>
void register_functors(pointwise::List<F...>) {
  int index = 0;
  const auto add = [&]<class Kind>(Functor functor) {
    const Functor& kept = functors().emplace_back(functor);
    const bool unary = kept.arity == 1;
    NativeOperation native;
    native.name = kept.name;
    native.forward = unary ? unary_forward : binary_forward;
    if (kept.differentiable) native.backward = unary ? unary_backward : binary_backward;
    native.saved_inputs = kept.differentiable && kept.reads_x ? 0b11 : 0;
    if constexpr (Kind::arity == 2) native.saved_for_other = Kind::for_other;
    native.saves_outputs = kept.differentiable && kept.reads_y;
    native.details = &kept;
    register_native(native);
  };
  (add.template operator()<F>(describe<F>(index++)), ...);
}

void register_ternary(const Functor& functor, uint32_t saved, void (*backward)(BackwardCall&)) {
  NativeOperation native;
  native.name = functor.name;
  native.forward = ternary_forward;
  native.backward = backward;
  native.backward_records = true;
  native.saved_inputs = saved;
  native.details = &functors().emplace_back(functor);
  register_native(native);
}

const bool registered = [] {
  register_functors(pointwise::UnaryFunctors{});
  register_functors(pointwise::BinaryFunctors{});
  // In the order of TernaryFunctors.
  register_ternary(describe<pointwise::Addcmul>(0), 0b110, product_backward<false>);
  register_ternary(describe<pointwise::Addcdiv>(1), 0b110, product_backward<true>);
  register_ternary(describe<pointwise::Lerp>(2), 0b111, lerp_backward);
  return true;
}();

const Functor* find_functor(std::string_view name) {
  return static_cast<const Functor*>(find_native(name)->details);
}

const Functor* cheaper_power(const Functor& functor, const Value& exponent, DType dtype) {
  static const Functor* const power = find_functor("pow");
  if (&functor != power || is_complex(dtype)) return nullptr;
  static const Functor* const square = find_functor("square");
  if (exponent.kind() != ValueKind::complex && exponent.real() == 2.0) return square;
  return nullptr;
}

}  // namespace
}  // namespace samara
