// nextafter(x, y): the neighbour of x in the direction of y, on the bits of every float type.
#include <bit>
#include <type_traits>

#include "core/kernel.h"
#include "ops/basic.h"

namespace samara {
namespace {

template <class Bits>
struct FloatFormat {
  Bits sign;
  Bits infinity;
};

constexpr FloatFormat<uint16_t> float16_format{0x8000, 0x7C00};
constexpr FloatFormat<uint16_t> bfloat16_format{0x8000, 0x7F80};
constexpr FloatFormat<uint32_t> float32_format{0x80000000u, 0x7F800000u};
constexpr FloatFormat<uint64_t> float64_format{0x8000000000000000u, 0x7FF0000000000000u};

// Floats in their order as integers: positive ones by their bits, negative ones below them.
template <class Bits>
int64_t place(Bits bits, Bits sign) {
  const auto magnitude = static_cast<int64_t>(bits & static_cast<Bits>(~sign));
  return bits & sign ? -magnitude : magnitude;
}

template <class Bits>
Bits next(Bits x, Bits y, FloatFormat<Bits> format) {
  const Bits magnitude = static_cast<Bits>(~format.sign);
  if ((x & magnitude) > format.infinity) return x;  // NaN
  if ((y & magnitude) > format.infinity) return y;
  const int64_t from = place(x, format.sign), to = place(y, format.sign);
  if (from == to) return y;
  const int64_t reached = from < to ? from + 1 : from - 1;
  const Bits bits = static_cast<Bits>(reached < 0 ? -reached : reached);
  const bool negative = reached < 0 || (reached == 0 && from < 0);
  return negative ? static_cast<Bits>(bits | format.sign) : bits;
}

template <class Bits>
void next_all(const Tensor& output, const Tensor& x, const Tensor& y, FloatFormat<Bits> format) {
  Bits* target = output.data<Bits>();
  const Bits* from = x.data<Bits>();
  const Bits* towards = y.data<Bits>();
  for (int64_t i = 0; i < output.elements(); ++i) target[i] = next(from[i], towards[i], format);
}

void nextafter_cpu(TensorSpan outputs, TensorSpan inputs, const NoAttributes&) {
  const Tensor& output = outputs[0];
  switch (output.dtype()) {
    case DType::float16:
      return next_all(output, inputs[0], inputs[1], float16_format);
    case DType::bfloat16:
      return next_all(output, inputs[0], inputs[1], bfloat16_format);
    case DType::float32:
      return next_all(output, inputs[0], inputs[1], float32_format);
    default:
      return next_all(output, inputs[0], inputs[1], float64_format);
  }
}
const KernelSlot<NoAttributes> nextafter_kernel("nextafter", nextafter_cpu);

void nextafter_forward(Call& call) {
  const DType common = result_dtype(call.values.first(2), call.name());
  if (is_complex(common))
    fail(ErrorKind::dtype, call.name(), ": dtype ", name(common),
         " is not supported. Expected floating-point. Fix: take x.real first.");
  const DType dtype = is_floating(common) ? common : default_dtype();
  Device device;
  for (const Value& value : call.values)
    if (value.is_tensor()) device = value.tensor().device();
  const auto operand = [&](int i) {
    return call[i].is_tensor() ? cast(call[i].tensor(), dtype)
                               : scalar_tensor(call[i], dtype, device);
  };
  const Tensor x = operand(0), y = operand(1);
  const Dims shape = broadcast_shapes(x.shape(), y.shape(), call.name());
  const Tensor output = empty(shape, dtype, device);
  nextafter_kernel(output, {contiguous(expand_view(x, shape)), contiguous(expand_view(y, shape))},
                   {});
  call.output(output);
}
const Register nextafter_registered({.name = "nextafter", .forward = nextafter_forward});

}  // namespace
}  // namespace samara
