// Tensors made from numbers: constant, evenly spaced, the identity, and triangles of a matrix.
#include <algorithm>
#include <bit>
#include <cmath>
#include <complex>
#include <cstddef>
#include <cstring>
#include <limits>
#include <type_traits>

#include "core/kernel.h"
#include "core/operation.h"
#include "cpu/threads.h"
#include "ops/basic.h"

namespace samara {
namespace {

Device device_of(const Value& device) { return device.is_none() ? Device{} : device.device(); }

// ---- CPU kernels -----------------------------------------------------------------------------

constexpr int64_t kTile = 16384;

// float32 of a float64 rounded to odd: rounding that again, to 16 bits, gives what rounding the
// float64 once would give.
float round_to_odd(double value) {
  const float nearest = static_cast<float>(value);
  if (static_cast<double>(nearest) == value || !std::isfinite(nearest)) return nearest;
  const uint32_t bits = std::bit_cast<uint32_t>(nearest);
  if (bits & 1u) return nearest;
  const bool away = std::fabs(static_cast<double>(nearest)) < std::fabs(value);
  return std::bit_cast<float>(away ? bits + 1u : bits - 1u);
}

template <class T>
T from_real(double value) {
  if constexpr (std::is_same_v<T, Float16>)
    return {float16_bits(round_to_odd(value))};
  else if constexpr (std::is_same_v<T, BFloat16>)
    return {bfloat16_bits(round_to_odd(value))};
  else
    return static_cast<T>(value);
}

// out[i] = start + i * step, in integers (modulo 2^64) or in float64.
struct ArangeAttributes {
  bool integers;
  int64_t first;
  int64_t increment;
  double start;
  double step;
};

void cpu_arange(TensorSpan outputs, TensorSpan, const ArangeAttributes& attributes) {
  visit_dtype(outputs[0].dtype(), [&]<class T>(TypeTag<T>) {
    T* out = outputs[0].data<T>();
    parallel_ranges(outputs[0].elements(), kTile, [&](int64_t begin, int64_t end) {
      if constexpr (std::is_integral_v<T>) {
        if (attributes.integers) {
          const uint64_t first = static_cast<uint64_t>(attributes.first);
          const uint64_t increment = static_cast<uint64_t>(attributes.increment);
          for (int64_t i = begin; i < end; ++i)
            out[i] = static_cast<T>(first + static_cast<uint64_t>(i) * increment);
          return;
        }
      }
      for (int64_t i = begin; i < end; ++i)
        out[i] = from_real<T>(std::fma(static_cast<double>(i), attributes.step, attributes.start));
    });
  });
}

struct LinspaceAttributes {
  std::complex<double> start;
  std::complex<double> stop;
  bool endpoint;
};

// Counted from the nearer end, so that both ends are exact.
double between(double start, double stop, int64_t i, int64_t intervals) {
  const double step =
      stop / static_cast<double>(intervals) - start / static_cast<double>(intervals);
  if (2 * i <= intervals) return std::fma(static_cast<double>(i), step, start);
  return std::fma(static_cast<double>(i - intervals), step, stop);
}

void cpu_linspace(TensorSpan outputs, TensorSpan, const LinspaceAttributes& attributes) {
  const int64_t count = outputs[0].elements();
  const int64_t intervals = std::max<int64_t>(attributes.endpoint ? count - 1 : count, 1);
  visit_dtype(outputs[0].dtype(), [&]<class T>(TypeTag<T>) {
    T* out = outputs[0].data<T>();
    parallel_ranges(count, kTile, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const double real = between(attributes.start.real(), attributes.stop.real(), i, intervals);
        if constexpr (is_complex(DTypeOf<T>::dtype)) {
          using Real = typename T::value_type;
          const double imaginary =
              between(attributes.start.imag(), attributes.stop.imag(), i, intervals);
          out[i] = T(static_cast<Real>(real), static_cast<Real>(imaginary));
        } else {
          out[i] = from_real<T>(real);
        }
      }
    });
  });
}

struct DiagonalAttributes {
  int64_t k;
};

void cpu_eye(TensorSpan outputs, TensorSpan, const DiagonalAttributes& attributes) {
  const Tensor& matrix = outputs[0];
  std::memset(matrix.address(), 0,
              static_cast<size_t>(matrix.elements() * itemsize(matrix.dtype())));
  visit_dtype(matrix.dtype(), [&]<class T>(TypeTag<T>) {
    T* out = matrix.data<T>();
    const int64_t columns = matrix.size(1);
    if (columns == 0) return;
    for (int64_t row = 0; row < matrix.size(0); ++row) {
      const int64_t column = row + attributes.k;
      if (column >= 0 && column < columns) out[row * columns + column] = from_real<T>(1.0);
    }
  });
}

struct TriangleAttributes {
  bool upper;
  int64_t k;
};

// Rows are copied up to or from the diagonal; zero has all bits zero in every dtype.
void cpu_triangle(TensorSpan outputs, TensorSpan inputs, const TriangleAttributes& attributes) {
  const Tensor& out = outputs[0];
  const int64_t columns = out.size(out.rank() - 1);
  const int64_t rows = out.size(out.rank() - 2);
  if (out.elements() == 0) return;
  const int64_t item = itemsize(out.dtype());
  std::byte* to = static_cast<std::byte*>(out.address());
  const std::byte* from = static_cast<const std::byte*>(inputs[0].address());
  parallel_ranges(out.elements() / columns, std::max<int64_t>(kTile / columns, 1),
                  [&](int64_t begin, int64_t end) {
                    for (int64_t line = begin; line < end; ++line) {
                      const int64_t bound = line % rows + attributes.k + (attributes.upper ? 0 : 1);
                      const int64_t cut = std::clamp<int64_t>(bound, 0, columns);
                      const int64_t first = attributes.upper ? cut : 0;
                      const int64_t last = attributes.upper ? columns : cut;
                      const int64_t start = line * columns;
                      std::memset(to + start * item, 0, static_cast<size_t>(columns * item));
                      std::memcpy(to + (start + first) * item, from + (start + first) * item,
                                  static_cast<size_t>((last - first) * item));
                    }
                  });
}

const KernelSlot<ArangeAttributes> arange_slot("arange", cpu_arange);
const KernelSlot<LinspaceAttributes> linspace_slot("linspace", cpu_linspace);
const KernelSlot<DiagonalAttributes> eye_slot("eye", cpu_eye);
const KernelSlot<TriangleAttributes> triangle_slot("tril or triu", cpu_triangle);

// ---- operations ------------------------------------------------------------------------------

DType dtype_of_number(const Value& number) {
  switch (number.kind()) {
    case ValueKind::boolean:
      return DType::boolean;
    case ValueKind::integer:
      return DType::int64;
    case ValueKind::complex:
      return complex_dtype(default_dtype());
    default:
      return default_dtype();
  }
}

// full(shape, value, dtype, device)
void full_forward(Call& call) {
  const DType dtype = call.has(2) ? call[2].dtype() : dtype_of_number(call[1]);
  Tensor out = empty(call[0].integers(), dtype, device_of(call[3]));
  fill(out, call[1]);
  call.output(std::move(out));
}

// empty(shape, dtype, device)
void empty_forward(Call& call) {
  const DType dtype = call.has(1) ? call[1].dtype() : default_dtype();
  // A byte that is neither 0 nor 1 is no bool.
  call.output(dtype == DType::boolean ? zeros(call[0].integers(), dtype, device_of(call[2]))
                                      : empty(call[0].integers(), dtype, device_of(call[2])));
}

void check_real_numbers(const Call& call, int count) {
  for (int i = 0; i < count; ++i)
    if (call[i].kind() == ValueKind::complex)
      fail(ErrorKind::dtype, call.name(),
           ": a complex number given. Expected real numbers. Fix: make the real and the imaginary "
           "part on their own.");
}

// ceil((stop - start) / step), at least 0.
int64_t arange_count(const Call& call, const ArangeAttributes& attributes) {
  const double stop = call.real(1);
  if (attributes.step == 0.0 || !std::isfinite(attributes.start) || !std::isfinite(stop) ||
      !std::isfinite(attributes.step))
    fail(ErrorKind::argument, call.name(), ": start = ", attributes.start, ", stop = ", stop,
         ", step = ", attributes.step,
         " given. Expected finite numbers and a step other than 0. Fix: correct the step.");
  if (attributes.integers) {
    const bool up = attributes.increment > 0;
    const int64_t last = call.integer(1);
    if (up ? last <= attributes.first : last >= attributes.first) return 0;
    // Unsigned: the distance may exceed what int64 holds.
    const uint64_t low = static_cast<uint64_t>(up ? attributes.first : last);
    const uint64_t high = static_cast<uint64_t>(up ? last : attributes.first);
    const uint64_t size = static_cast<uint64_t>(attributes.increment);
    return static_cast<int64_t>(
        std::min<uint64_t>((high - low - 1) / (up ? size : uint64_t{0} - size) + 1,
                           std::numeric_limits<int64_t>::max()));
  }
  const double count = std::ceil((stop - attributes.start) / attributes.step);
  if (count >= 0x1p62) return std::numeric_limits<int64_t>::max();
  return count > 0.0 ? static_cast<int64_t>(count) : 0;
}

// arange(start, stop, step, dtype, device)
void arange_forward(Call& call) {
  check_real_numbers(call, 3);
  ArangeAttributes attributes{true, 0, 0, call.real(0), call.real(2)};
  for (int i = 0; i < 3; ++i) attributes.integers &= call[i].kind() != ValueKind::real;
  if (attributes.integers) {
    attributes.first = call.integer(0);
    attributes.increment = call.integer(2);
  }
  const DType natural = attributes.integers ? DType::int64 : default_dtype();
  const DType dtype = call.has(3) ? call[3].dtype() : natural;
  if (!is_integer(dtype) && !is_floating(dtype))
    fail(ErrorKind::dtype, call.name(), ": dtype ", name(dtype),
         " given. Expected an integer or floating-point dtype. Fix: convert the result.");
  Tensor out = empty(Dims{arange_count(call, attributes)}, dtype, device_of(call[4]));
  arange_slot(out, {}, attributes);
  call.output(std::move(out));
}

// linspace(start, stop, num, endpoint, dtype, device)
void linspace_forward(Call& call) {
  const bool is_complex_range =
      call[0].kind() == ValueKind::complex || call[1].kind() == ValueKind::complex;
  const DType natural = is_complex_range ? complex_dtype(default_dtype()) : default_dtype();
  const DType dtype = call.has(4) ? call[4].dtype() : natural;
  if (!is_inexact(dtype) || (is_complex_range && !is_complex(dtype)))
    fail(ErrorKind::dtype, call.name(), ": dtype ", name(dtype), " given for ",
         is_complex_range ? "complex" : "real", " bounds. Expected a ",
         is_complex_range ? "complex" : "floating-point",
         " dtype. Fix: leave dtype out, or use arange for integers.");
  const int64_t count = call.integer(2);
  if (count < 0)
    fail(ErrorKind::argument, call.name(), ": num = ", count,
         " given. Expected 0 or more. Fix: pass the number of values to make.");
  Tensor out = empty(Dims{count}, dtype, device_of(call[5]));
  linspace_slot(out, {}, {call[0].complex(), call[1].complex(), call.boolean(3)});
  call.output(std::move(out));
}

// eye(n, m, k, dtype, device)
void eye_forward(Call& call) {
  const int64_t rows = call.integer(0);
  const int64_t columns = call.has(1) ? call.integer(1) : rows;
  if (rows < 0 || columns < 0)
    fail(ErrorKind::argument, call.name(), ": ", rows, " rows and ", columns,
         " columns asked for. Expected sizes of 0 or more. Fix: pass the sizes of the matrix.");
  const DType dtype = call.has(3) ? call[3].dtype() : default_dtype();
  Tensor out = empty(Dims{rows, columns}, dtype, device_of(call[4]));
  // Diagonals outside the matrix are all alike; the clamp keeps sums in range.
  eye_slot(out, {}, {std::clamp(call.integer(2), -rows, columns)});
  call.output(std::move(out));
}

// tril(x, k) and triu(x, k)
template <bool kUpper>
void triangle_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  if (x.rank() < 2)
    fail(ErrorKind::shape, call.name(), ": a tensor of shape ", x.shape(),
         " given. Expected a matrix, or a stack of them, with at least 2 axes. Fix: reshape it.");
  Tensor out = empty_like(x);
  const int64_t rows = x.size(x.rank() - 2);
  const int64_t columns = x.size(x.rank() - 1);
  const int64_t k = std::clamp(call.integer(1), -rows - 1, columns + 1);
  triangle_slot(out, {contiguous(x)}, {kUpper, k});
  call.output(std::move(out));
}

template <bool kUpper>
void triangle_backward(BackwardCall& call) {
  static const NativeCall triangle(kUpper ? "triu" : "tril");
  call.set(0, triangle(call.gradient(), call[1]));
}

const Register full_registered({.name = "full", .forward = full_forward});
const Register empty_registered({.name = "empty", .forward = empty_forward});
const Register arange_registered({.name = "arange", .forward = arange_forward});
const Register linspace_registered({.name = "linspace", .forward = linspace_forward});
const Register eye_registered({.name = "eye", .forward = eye_forward});
const Register tril_registered({.name = "tril",
                                .forward = triangle_forward<false>,
                                .backward = triangle_backward<false>,
                                .backward_records = true});
const Register triu_registered({.name = "triu",
                                .forward = triangle_forward<true>,
                                .backward = triangle_backward<true>,
                                .backward_records = true});

}  // namespace
}  // namespace samara
