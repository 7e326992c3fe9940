// Copies, casts, fills and selection.
#include "ops/copy.h"

#include <array>
#include <complex>
#include <cstring>

#include "core/autograd.h"
#include "core/kernel.h"
#include "cpu/isa.h"
#include "ops/basic.h"
#include "ops/iterate.h"
#include "ops/pointwise_loops.h"

namespace samara {

namespace baseline {
extern const ConvertKernels convert_kernels;
}
namespace v3 {
extern const ConvertKernels convert_kernels;
}
namespace v4 {
extern const ConvertKernels convert_kernels;
}

const ConvertKernels& convert_kernels() {
  static const ConvertKernels& chosen =
      select_isa(baseline::convert_kernels, v3::convert_kernels, v4::convert_kernels);
  return chosen;
}

namespace {

const MoveKernels& move_kernels() {
  static const MoveKernels& chosen =
      select_isa(baseline::move_kernels, v3::move_kernels, v4::move_kernels);
  return chosen;
}

int size_class(int64_t item) {
  return item == 1 ? 0 : item == 2 ? 1 : item == 4 ? 2 : item == 8 ? 3 : 4;
}

// A copy whose dense axes differ: in square blocks, so that both sides touch whole cache lines.
// False where the operands do not lie so; nothing is written then.
bool copy_transposed(const StridedOperands& walk, int64_t item) {
  const int last = walk.rank - 1;
  if (walk.rank < 2 || walk.strides[last][0] != item) return false;
  int across = -1;
  for (int axis = 0; axis < last; ++axis)
    if (walk.strides[axis][1] == item) across = axis;
  if (across < 0) return false;
  const int64_t rows = walk.sizes[across], columns = walk.sizes[last];
  const int64_t most_rows = std::max<int64_t>(64, 4096 / columns / 16 * 16);
  // Blocks of about one tile's elements.
  const int64_t step = std::clamp<int64_t>(kPointwiseGrain / columns / 16 * 16, 16, most_rows);
  const int64_t blocks = (rows - 1) / step + 1;
  int64_t outer = 1;
  for (int axis = 0; axis < last; ++axis)
    if (axis != across) outer *= walk.sizes[axis];
  const TransposeLoop loop = convert_kernels().transpose[size_class(item)];
  parallel_tiles(outer * blocks, [&](int64_t tile) {
    const int64_t row = tile % blocks * step;
    char* target = walk.pointers[0] + row * walk.strides[across][0];
    const char* source = walk.pointers[1] + row * item;
    int64_t rest = tile / blocks;
    for (int axis = last - 1; axis >= 0; --axis) {
      if (axis == across) continue;
      const int64_t index = rest % walk.sizes[axis];
      rest /= walk.sizes[axis];
      target += index * walk.strides[axis][0];
      source += index * walk.strides[axis][1];
    }
    loop(target, walk.strides[across][0], source, walk.strides[last][1], std::min(step, rows - row),
         columns);
  });
  return true;
}

// Rows that are dense on both sides and too short for a call each. False where there are none.
bool copy_short_rows(const StridedOperands& walk, int64_t item) {
  const int last = walk.rank - 1, across = last - 1;
  if (across < 0 || walk.strides[last][0] != item || walk.strides[last][1] != item) return false;
  const int64_t bytes = walk.sizes[last] * item, length = walk.sizes[across];
  if (bytes >= kShortRow) return false;
  int64_t rows = 1;
  for (int axis = 0; axis < last; ++axis) rows *= walk.sizes[axis];
  const auto copy = move_kernels().rows;
  const int64_t grain = std::max<int64_t>(1, kPointwiseGrain / walk.sizes[last]);
  parallel_ranges(rows, grain, [&](int64_t begin, int64_t end) {
    char* target = walk.pointers[0];
    const char* source = walk.pointers[1];
    int64_t index[kMaxRank];
    int64_t rest = begin / length, place = begin % length;
    for (int axis = across - 1; axis >= 0; --axis) {
      index[axis] = rest % walk.sizes[axis];
      rest /= walk.sizes[axis];
      target += index[axis] * walk.strides[axis][0];
      source += index[axis] * walk.strides[axis][1];
    }
    const auto& row_step = walk.strides[across];
    for (int64_t row = begin; row < end; place = 0) {
      // Whole planes along the next axis where there are some, else what is left of one.
      const int outer = across - 1;
      int64_t planes = 1, count = std::min(end - row, length - place);
      if (outer >= 0 && count == length)
        planes = std::min((end - row) / length, walk.sizes[outer] - index[outer]);
      copy(target + place * row_step[0], source + place * row_step[1],
           {planes, count, bytes, outer >= 0 ? walk.strides[outer][0] : 0,
            outer >= 0 ? walk.strides[outer][1] : 0, row_step[0], row_step[1]});
      row += planes * count;
      for (int axis = outer; axis >= 0; --axis) {
        const int64_t moved = axis == outer ? planes : 1;
        target += moved * walk.strides[axis][0];
        source += moved * walk.strides[axis][1];
        index[axis] += moved;
        if (index[axis] < walk.sizes[axis]) break;
        target -= walk.strides[axis][0] * walk.sizes[axis];
        source -= walk.strides[axis][1] * walk.sizes[axis];
        index[axis] = 0;
      }
    }
  });
  return true;
}

void copy_cpu(TensorSpan outputs, TensorSpan inputs, const NoAttributes&) {
  const Tensor& target = outputs[0];
  const Tensor& source = inputs[0];
  if (target.elements() == 0) return;
  StridedOperands walk(target.shape());
  walk.add(target);
  walk.add(source);
  walk.simplify();
  const int64_t item = itemsize(target.dtype());
  const bool same = target.dtype() == source.dtype();
  const ConvertLoop loop =
      same ? move_kernels().move[size_class(item)]
           : convert_kernels()
                 .cast[static_cast<size_t>(target.dtype())][static_cast<size_t>(source.dtype())];
  if (same && (copy_transposed(walk, item) || copy_short_rows(walk, item))) return;
  for_each_run(walk, [&](char* const* pointers, const int64_t* strides, int64_t n) {
    if (same && strides[0] == item && strides[1] == item)
      std::memmove(pointers[0], pointers[1], static_cast<size_t>(n * item));
    else
      loop(pointers[0], strides[0], pointers[1], strides[1], n);
  });
}
const KernelSlot<NoAttributes> copy_kernel("copy", copy_cpu);

struct FillAttributes {
  alignas(16) std::array<std::byte, 16> element;
};

void fill_cpu(TensorSpan outputs, TensorSpan, const FillAttributes& attributes) {
  const Tensor& target = outputs[0];
  if (target.elements() == 0) return;
  bool zero = target.is_contiguous();
  for (std::byte byte : attributes.element) zero = zero && byte == std::byte{0};
  const int64_t item = itemsize(target.dtype());
  const auto index = static_cast<size_t>(target.dtype());
  const ConvertLoop loop = convert_kernels().cast[index][index];
  StridedOperands walk(target.shape());
  walk.add(target);
  walk.add_constant(attributes.element.data());
  walk.simplify();
  for_each_run(walk, [&](char* const* pointers, const int64_t* strides, int64_t n) {
    if (zero)
      std::memset(pointers[0], 0, static_cast<size_t>(n * item));
    else
      loop(pointers[0], strides[0], pointers[1], strides[1], n);
  });
}
const KernelSlot<FillAttributes> fill_kernel("fill", fill_cpu);

void where_cpu(TensorSpan outputs, TensorSpan inputs, const NoAttributes&) {
  const Tensor& output = outputs[0];
  if (output.elements() == 0) return;
  StridedOperands walk(output.shape());
  walk.add(output);
  for (const Tensor& input : inputs) walk.add(input);
  walk.simplify();
  for_each_run(walk, convert_kernels().select[size_class(itemsize(output.dtype()))]);
}
const KernelSlot<NoAttributes> where_kernel("where", where_cpu);

template <class T>
void store(void* target, T value) {
  std::memcpy(target, &value, sizeof(T));
}

DType weak_dtype(const Value& number) {
  switch (number.kind()) {
    case ValueKind::boolean:
      return DType::boolean;
    case ValueKind::integer:
      return DType::int64;
    case ValueKind::real:
      return default_dtype();
    default:
      return complex_dtype(default_dtype());
  }
}

std::atomic<DType> chosen_default_dtype{DType::float32};

}  // namespace

DType default_dtype() { return chosen_default_dtype.load(std::memory_order_relaxed); }

void set_default_dtype(DType dtype) {
  if (!is_floating(dtype))
    fail(ErrorKind::dtype, "set_default_dtype: ", name(dtype),
         " was given. Expected a floating-point dtype. Fix: pass samara.float32 or "
         "samara.float64.");
  chosen_default_dtype.store(dtype);
}

void store_number(void* target, DType dtype, const Value& number) {
  visit_dtype(dtype, [&]<class T>(TypeTag<T>) {
    if constexpr (std::is_same_v<T, Float16>) {
      store(target, float16_bits(static_cast<float>(number.real())));
    } else if constexpr (std::is_same_v<T, BFloat16>) {
      store(target, bfloat16_bits(static_cast<float>(number.real())));
    } else if constexpr (std::is_same_v<T, bool>) {
      store(target,
            number.kind() == ValueKind::complex ? number.complex() != 0.0 : number.real() != 0.0);
    } else if constexpr (std::is_integral_v<T>) {
      constexpr bool full = std::is_same_v<T, uint64_t>;  // as 64 bits, all numbers up to 2^64 - 1
      const bool real = number.kind() == ValueKind::real;
      if (real ? !(number.real() >= -0x1p63 && number.real() < (full ? 0x1p64 : 0x1p63))
               : number.beyond_int64() && !full)
        fail(ErrorKind::argument, "number: ", number.real(), " cannot be stored in a ", name(dtype),
             " tensor. Expected a finite number in its range. Fix: convert the tensor to a "
             "floating-point dtype first.");
      if (real && number.real() >= 0x1p63)
        store(target, static_cast<T>(static_cast<uint64_t>(number.real())));
      else
        store(target, static_cast<T>(number.integer()));
    } else if constexpr (std::is_floating_point_v<T>) {
      store(target, static_cast<T>(number.real()));
    } else {
      store(target, static_cast<T>(number.complex()));
    }
  });
}

DType result_dtype(std::span<const Value> operands, std::string_view place) {
  DType common = DType::boolean;
  bool any_tensor = false;
  for (const Value& operand : operands) {
    if (!operand.is_tensor()) continue;
    common = any_tensor ? promote(common, operand.tensor().dtype()) : operand.tensor().dtype();
    any_tensor = true;
  }
  for (const Value& operand : operands) {
    if (operand.is_tensor() || operand.is_none()) continue;
    if (!operand.is_number())
      fail(ErrorKind::dtype, place,
           ": an argument is neither a tensor nor a number. Expected a "
           "tensor or a number. Fix: convert it with samara.asarray(...).");
    const DType weak = weak_dtype(operand);
    if (!any_tensor) {
      common = promote(common, weak);
    } else if (operand.kind() == ValueKind::complex) {
      if (!is_complex(common))
        common = complex_dtype(is_floating(common) ? common : default_dtype());
    } else if (operand.kind() == ValueKind::real) {
      if (!is_inexact(common)) common = default_dtype();
    } else if (operand.kind() == ValueKind::integer && common == DType::boolean) {
      common = DType::int64;
    }
  }
  return common;
}

Tensor scalar_tensor(const Value& number, DType dtype, Device device) {
  const Tensor x = empty(Dims{}, dtype, device);
  fill(x, number);
  return x;
}

void fill(const Tensor& destination, const Value& number) {
  FillAttributes attributes{};
  store_number(attributes.element.data(), destination.dtype(), number);
  fill_kernel(TensorSpan(&destination, 1), {}, attributes);
}

Tensor zeros(const Dims& shape, DType dtype, Device device) {
  const Tensor x = empty(shape, dtype, device);
  fill(x, Value(false));
  return x;
}

void copy_into(const Tensor& destination, const Tensor& source) {
  if (!(destination.device() == source.device()))
    fail(ErrorKind::device, "copy: the target is on '", to_text(destination.device()),
         "' and the value on '", to_text(source.device()),
         "'. Expected one device. Fix: move the value with x.to(device).");
  if (!(source.shape() == destination.shape())) {
    const Dims shape = broadcast_shapes(destination.shape(), source.shape(), "copy");
    if (!(shape == destination.shape()))
      fail(ErrorKind::shape, "copy: a value of shape ", source.shape(), " does not fit into ",
           destination.shape(), ". Expected a shape that broadcasts to ", destination.shape(),
           ". Fix: reshape the value.");
  }
  if (may_overlap(destination, source)) {
    const Tensor separate = empty(source.shape(), source.dtype(), source.device());
    copy_kernel(separate, {source}, {});
    copy_kernel(destination, {separate}, {});
    return;
  }
  copy_kernel(destination, {source}, {});
}

Tensor cast(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  const Tensor converted = empty_laid_out_like(x, dtype);
  copy_kernel(converted, {x}, {});
  return converted;
}

Tensor clone(const Tensor& x) {
  const Tensor copy = empty(x.shape(), x.dtype(), x.device());
  copy_kernel(copy, {x}, {});
  return copy;
}

Tensor contiguous(const Tensor& x) { return x.is_contiguous() ? x : clone(x); }

Tensor result(const Call& call, const Dims& shape, DType dtype, Device device) {
  const Tensor& target = call.destination;
  if (!target) return empty(shape, dtype, device);
  if (!(target.shape() == shape))
    fail(ErrorKind::shape, call.name(), ": the result has shape ", shape,
         " but is written in place into a tensor of shape ", target.shape(),
         ". Expected equal shapes. Fix: use the out-of-place form.");
  if (kind(dtype) > kind(target.dtype()) && !(is_integer(dtype) && is_integer(target.dtype())))
    fail(ErrorKind::dtype, call.name(), ": the result has dtype ", name(dtype),
         " but is written in place into a ", name(target.dtype()),
         " tensor. Expected a target that can hold it. Fix: use the out-of-place form, or convert "
         "the target first.");
  if (target.dtype() != dtype) return empty(shape, dtype, device);
  for (const Value& value : call.values)
    if (value.is_tensor() && may_overlap(target, value.tensor()))
      return empty(shape, dtype, device);
  return target;
}

namespace {

Device device_of(const Call& call) {
  for (const Value& value : call.values)
    if (value.is_tensor()) return value.tensor().device();
  return {};
}

Tensor operand(const Call& call, int i, DType dtype) {
  return call[i].is_tensor() ? cast(call[i].tensor(), dtype)
                             : scalar_tensor(call[i], dtype, device_of(call));
}

void where_forward(Call& call) {
  const Tensor& condition = call.tensor(0);
  if (condition.dtype() != DType::boolean)
    fail(ErrorKind::dtype, "where: the condition has dtype ", name(condition.dtype()),
         ". Expected bool. Fix: compare first, e.g. x != 0.");
  const DType dtype = result_dtype(call.values.subspan(1, 2), call.name());
  const Tensor a = operand(call, 1, dtype), b = operand(call, 2, dtype);
  const Dims shape = broadcast_shapes(broadcast_shapes(condition.shape(), a.shape(), call.name()),
                                      b.shape(), call.name());
  const Tensor output = result(call, shape, dtype, condition.device());
  where_kernel(output, {condition, a, b}, {});
  call.output(output);
}

void where_backward(BackwardCall& call) {
  const Tensor& g = call.gradient();
  const Tensor& condition = call.tensor(0);
  const Tensor nothing = scalar_tensor(Value(0.0), g.dtype(), g.device());
  for (int i = 1; i <= 2; ++i) {
    if (!call.needs(i)) continue;
    const Tensor gradient = empty_like(g);
    if (i == 1)
      where_kernel(gradient, {condition, g, nothing}, {});
    else
      where_kernel(gradient, {condition, nothing, g}, {});
    call.set(i, sum_to(gradient, call.tensor(i).shape()));
  }
}

const Register where_registered(
    {.name = "where", .forward = where_forward, .backward = where_backward, .saved_inputs = 0b001});

const NativeCall transfer("transfer");

// astype(x, dtype, copy = false, device): with copy, new memory also where the dtype stays.
void astype_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  const bool asked = call.values.size() > 2;  // by a user: gradients are cast as they come
  if (asked && is_complex(x.dtype()) && !is_complex(call[1].dtype()) &&
      call[1].dtype() != DType::boolean)
    fail(ErrorKind::dtype, "astype: a ", name(x.dtype()), " tensor cannot become ",
         name(call[1].dtype()), ". Expected a complex dtype. Fix: take x.real or abs(x) first.");
  const Tensor converted = cast(x, call[1].dtype());
  const bool moves = call.values.size() > 3 && !call[3].is_none() && call[3].device() != x.device();
  if (moves)
    call.output(transfer(converted, call[3].device()));
  else if (converted.impl() != x.impl())
    call.output(converted);
  else
    call.output(asked && call.boolean(2) ? clone(x) : alias(x));
}
const NativeCall astype("astype");
void astype_backward(BackwardCall& call) {
  const Tensor gradient = astype(call.gradient(), call.tensor(0).dtype());
  const Device device = call.tensor(0).device();
  call.set(0, gradient.device() == device ? gradient : transfer(gradient, device));
}
const Register astype_registered({.name = "astype",
                                  .forward = astype_forward,
                                  .backward = astype_backward,
                                  .backward_records = true});

// transfer(x, device): the same values on another device.
void transfer_forward(Call& call) {
  const Tensor x = contiguous(call.tensor(0));
  const Device device = call[1].device();
  const Tensor copy = empty(x.shape(), x.dtype(), device);
  const auto bytes = static_cast<size_t>(x.elements() * itemsize(x.dtype()));
  if (device == x.device()) {
    copy_into(copy, x);
  } else if (x.device().type == DeviceType::cpu) {
    backend(device).copy_from_host(copy.address(), x.address(), bytes);
  } else if (device.type == DeviceType::cpu) {
    backend(x.device()).copy_to_host(copy.address(), x.address(), bytes);
  } else {
    const Tensor host = empty(x.shape(), x.dtype(), Device{});
    backend(x.device()).copy_to_host(host.address(), x.address(), bytes);
    backend(device).copy_from_host(copy.address(), host.address(), bytes);
  }
  call.output(copy);
}
void transfer_backward(BackwardCall& call) {
  call.set(0, transfer(call.gradient(), call.tensor(0).device()));
}
const Register transfer_registered({.name = "transfer",
                                    .forward = transfer_forward,
                                    .backward = transfer_backward,
                                    .backward_records = true});

// Keeps the layout of a dense tensor.
void clone_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  const Tensor copy = empty_laid_out_like(x, x.dtype());
  copy_kernel(copy, {x}, {});
  call.output(copy);
}
void identity_backward(BackwardCall& call) { call.set(0, call.gradient()); }
const Register clone_registered({.name = "clone",
                                 .forward = clone_forward,
                                 .backward = identity_backward,
                                 .backward_records = true});

void contiguous_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  call.output(x.is_contiguous() ? alias(x) : clone(x));
}
const Register contiguous_registered({.name = "contiguous",
                                      .forward = contiguous_forward,
                                      .backward = identity_backward,
                                      .backward_records = true});

// copy(target, source), in place.
void copy_forward(Call& call) {
  const Tensor& target = call.tensor(0);
  const Tensor source =
      operand(call, 1, call[1].is_tensor() ? call[1].tensor().dtype() : target.dtype());
  if (is_complex(source.dtype()) && !is_complex(target.dtype()))
    fail(ErrorKind::dtype, "copy: a ", name(source.dtype()), " value cannot be stored in a ",
         name(target.dtype()), " tensor. Expected a real value. Fix: take x.real first.");
  copy_into(target, source);
  call.output(target);
}
void copy_backward(BackwardCall& call) {
  if (call.needs(1)) call.set(1, call.gradient());
}
const Register copy_registered(
    {.name = "copy", .forward = copy_forward, .backward = copy_backward, .backward_records = true});

// fill(target, number), in place.
void fill_forward(Call& call) {
  const Tensor& target = call.tensor(0);
  if (call[1].is_tensor())
    copy_into(target, call[1].tensor());
  else
    fill(target, call[1]);
  call.output(target);
}
void fill_backward(BackwardCall& call) {
  if (call.needs(1)) call.set(1, call.gradient());
}
const Register fill_registered(
    {.name = "fill", .forward = fill_forward, .backward = fill_backward, .backward_records = true});

void zeros_like_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  call.output(zeros(x.shape(), x.dtype(), x.device()));
}
const Register zeros_like_registered({.name = "zeros_like", .forward = zeros_like_forward});

}  // namespace
}  // namespace samara
