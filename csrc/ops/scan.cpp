// cumsum: running sums along one axis, from either end.
#include <algorithm>
#include <type_traits>
#include <vector>

#include "core/autograd.h"
#include "core/kernel.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/reduce.h"

namespace samara {
namespace {

struct ScanAttributes {
  int64_t outer, n, inner;  // x seen as [outer, n, inner]
  bool reverse;
};

constexpr int64_t kTile = 1 << 15;
constexpr int64_t kColumnBlock = 256;

// What running sums of T are kept in.
template <class T>
struct Running {
  using type = T;
  static T read(T x) { return x; }
  static T write(T x) { return x; }
};
template <>
struct Running<float> {
  using type = double;
  static double read(float x) { return x; }
  static float write(double x) { return static_cast<float>(x); }
};
template <>
struct Running<Float16> {
  using type = double;
  static double read(Float16 x) { return float16_value(x.bits); }
  static Float16 write(double x) { return {float16_bits(static_cast<float>(x))}; }
};
template <>
struct Running<BFloat16> {
  using type = double;
  static double read(BFloat16 x) { return bfloat16_value(x.bits); }
  static BFloat16 write(double x) { return {bfloat16_bits(static_cast<float>(x))}; }
};
template <>
struct Running<std::complex<float>> {
  using type = std::complex<double>;
  static type read(std::complex<float> x) { return type(x); }
  static std::complex<float> write(type x) { return std::complex<float>(x); }
};
// Integers wrap around, which only unsigned arithmetic may.
template <>
struct Running<int64_t> {
  using type = uint64_t;
  static uint64_t read(int64_t x) { return static_cast<uint64_t>(x); }
  static int64_t write(uint64_t x) { return static_cast<int64_t>(x); }
};
template <class T>
  requires(std::is_integral_v<T> && sizeof(T) < 8)
struct Running<T> {
  using type = uint64_t;
  static uint64_t read(T x) { return static_cast<uint64_t>(x); }
  static T write(uint64_t x) { return static_cast<T>(x); }
};

// `width` neighbouring columns; x and out point at the first element of the first row visited.
template <class T>
void scan_columns(const T* x, T* out, int64_t n, int64_t step, int64_t width) {
  typename Running<T>::type sum[kColumnBlock] = {};
  for (int64_t i = 0; i < n; ++i, x += step, out += step)
    for (int64_t j = 0; j < width; ++j) {
      sum[j] += Running<T>::read(x[j]);
      out[j] = Running<T>::write(sum[j]);
    }
}

// One row from `sum` on; returns what it has grown to.
template <class T>
typename Running<T>::type scan_row(const T* x, T* out, int64_t n, int64_t step,
                                   typename Running<T>::type sum) {
  for (int64_t i = 0; i < n; ++i, x += step, out += step) {
    sum += Running<T>::read(*x);
    *out = Running<T>::write(sum);
  }
  return sum;
}

// A long row in parts: first the parts' sums, then each part from the sum of those before it.
template <class T>
void scan_long_row(const T* x, T* out, int64_t n, int64_t step) {
  using Sum = typename Running<T>::type;
  const int64_t parts = (n - 1) / kTile + 1;
  std::vector<Sum> start(static_cast<size_t>(parts + 1));
  parallel_ranges(n, kTile, [&](int64_t begin, int64_t end) {
    Sum sum[4] = {};
    int64_t i = begin;
    for (; i + 4 <= end; i += 4)
      for (int k = 0; k < 4; ++k) sum[k] += Running<T>::read(x[(i + k) * step]);
    for (; i < end; ++i) sum[0] += Running<T>::read(x[i * step]);
    start[static_cast<size_t>(begin / kTile + 1)] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  });
  for (size_t p = 1; p < start.size(); ++p) start[p] += start[p - 1];
  parallel_ranges(n, kTile, [&](int64_t begin, int64_t end) {
    scan_row(x + begin * step, out + begin * step, end - begin, step,
             start[static_cast<size_t>(begin / kTile)]);
  });
}

template <class T>
void scan(const T* x, T* out, const ScanAttributes& shape) {
  const int64_t outer = shape.outer, n = shape.n, inner = shape.inner;
  const int64_t first = shape.reverse ? (n - 1) * inner : 0;
  const int64_t step = shape.reverse ? -inner : inner;
  if (inner == 1 && n >= 4 * kTile) {
    for (int64_t o = 0; o < outer; ++o)
      scan_long_row(x + o * n + first, out + o * n + first, n, step);
    return;
  }
  const int64_t parts = (inner - 1) / kColumnBlock + 1;
  const int64_t grain = std::max<int64_t>(1, kTile / (n * std::min(inner, kColumnBlock)));
  parallel_ranges(outer * parts, grain, [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t column = tile % parts * kColumnBlock;
      const int64_t offset = tile / parts * n * inner + first + column;
      const int64_t width = std::min(kColumnBlock, inner - column);
      if (width == 1)
        scan_row(x + offset, out + offset, n, step, typename Running<T>::type{});
      else
        scan_columns(x + offset, out + offset, n, step, width);
    }
  });
}

void scan_cpu(TensorSpan outputs, TensorSpan inputs, const ScanAttributes& attributes) {
  if (outputs[0].elements() == 0) return;
  visit_dtype(outputs[0].dtype(), [&]<class T>(TypeTag<T>) {
    scan(inputs[0].data<T>(), outputs[0].data<T>(), attributes);
  });
}
const KernelSlot<ScanAttributes> scan_slot("cumsum", scan_cpu);

Tensor cumulate(const Tensor& x, int axis, bool reverse) {
  const Tensor source = contiguous(x);
  Tensor out = empty(x.shape(), x.dtype(), x.device());
  ScanAttributes shape{1, x.rank() ? x.size(axis) : 1, 1, reverse};
  for (int i = 0; i < axis; ++i) shape.outer *= x.size(i);
  for (int i = axis + 1; i < x.rank(); ++i) shape.inner *= x.size(i);
  scan_slot(out, {source}, shape);
  return out;
}

int scan_axis(const Value& axis, int rank, std::string_view place) {
  if (!axis.is_none()) return normalize_axis(axis.integer(), rank, place, true);
  if (rank > 1)
    fail(ErrorKind::argument, place, ": no axis was given for a tensor with ", rank,
         " axes. Expected an axis. Fix: pass axis=, or flatten the tensor with reshape(-1).");
  return 0;
}

DType cumulated_dtype(DType dtype) {
  if (dtype == DType::boolean) return DType::int64;
  if (kind(dtype) == DTypeKind::unsigned_integer) return DType::uint64;
  return is_integer(dtype) ? DType::int64 : dtype;
}

// (x, axis, dtype, reverse)
void cumsum_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  const int axis = scan_axis(call[1], x.rank(), call.name());
  const DType dtype = call.has(2) ? call[2].dtype() : cumulated_dtype(x.dtype());
  if (dtype == DType::boolean)
    fail(ErrorKind::dtype, call.name(),
         ": dtype is bool. Expected a numeric dtype. Fix: leave dtype out, or use any().");
  call.output(cumulate(cast(x, dtype), axis, call.boolean(3)));
}
void cumsum_backward(BackwardCall& call) {
  const int rank = call.tensor(0).rank();
  call.set(0, cumulate(call.gradient(), scan_axis(call[1], rank, "cumsum"), !call[3].boolean()));
}
const Register cumsum_registered({.name = "cumsum",
                                  .forward = cumsum_forward,
                                  .backward = cumsum_backward});

}  // namespace
}  // namespace samara
