// cumsum and cumprod: running sums and products along one axis.
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
  bool product;
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

struct Sum {
  static constexpr int kStart = 0;
  template <class T>
  static T join(T a, T b) {
    return a + b;
  }
};
struct Product {
  static constexpr int kStart = 1;
  template <class T>
  static T join(T a, T b) {
    return a * b;
  }
};

template <class Op, class T>
constexpr typename Running<T>::type start_of() {
  return static_cast<typename Running<T>::type>(Op::kStart);
}

// `width` neighbouring columns; x and out point at the first element of the first row visited.
template <class Op, class T>
void scan_columns(const T* x, T* out, int64_t n, int64_t step, int64_t width) {
  typename Running<T>::type total[kColumnBlock];
  for (int64_t j = 0; j < width; ++j) total[j] = start_of<Op, T>();
  for (int64_t i = 0; i < n; ++i, x += step, out += step)
    for (int64_t j = 0; j < width; ++j) {
      total[j] = Op::join(total[j], Running<T>::read(x[j]));
      out[j] = Running<T>::write(total[j]);
    }
}

// kRows rows `row_step` apart, each from its `total` on, which grows: several at once, so that one
// need not wait for the other's last sum.
template <class Op, int kRows, class T>
void scan_rows(const T* x, T* out, int64_t n, int64_t step, int64_t row_step,
               typename Running<T>::type* total) {
  typename Running<T>::type sum[kRows];
// Unrolled, so that the totals stay in registers.
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) sum[r] = total[r];
  for (int64_t i = 0; i < n; ++i, x += step, out += step) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      sum[r] = Op::join(sum[r], Running<T>::read(x[r * row_step]));
      out[r * row_step] = Running<T>::write(sum[r]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) total[r] = sum[r];
}

// A long row in parts: first the parts' totals, then each part from the total of those before it.
template <class Op, class T>
void scan_long_row(const T* x, T* out, int64_t n, int64_t step) {
  using Total = typename Running<T>::type;
  const int64_t parts = (n - 1) / kTile + 1;
  std::vector<Total> start(static_cast<size_t>(parts + 1), start_of<Op, T>());
  parallel_ranges(n, kTile, [&](int64_t begin, int64_t end) {
    Total total[4];
    std::fill(total, total + 4, start_of<Op, T>());
    int64_t i = begin;
    for (; i + 4 <= end; i += 4)
      for (int k = 0; k < 4; ++k)
        total[k] = Op::join(total[k], Running<T>::read(x[(i + k) * step]));
    for (; i < end; ++i) total[0] = Op::join(total[0], Running<T>::read(x[i * step]));
    start[static_cast<size_t>(begin / kTile + 1)] =
        Op::join(Op::join(total[0], total[1]), Op::join(total[2], total[3]));
  });
  for (size_t p = 1; p < start.size(); ++p) start[p] = Op::join(start[p - 1], start[p]);
  parallel_ranges(n, kTile, [&](int64_t begin, int64_t end) {
    scan_rows<Op, 1>(x + begin * step, out + begin * step, end - begin, step, 0,
                     &start[static_cast<size_t>(begin / kTile)]);
  });
}

// Whole rows, one behind the other.
template <class Op, class T>
void scan_row_range(const T* x, T* out, int64_t rows, int64_t n, int64_t step) {
  constexpr int kRows = 4;
  typename Running<T>::type total[kRows];
  int64_t r = 0;
  for (; r + kRows <= rows; r += kRows) {
    std::fill(total, total + kRows, start_of<Op, T>());
    scan_rows<Op, kRows>(x + r * n, out + r * n, n, step, n, total);
  }
  for (; r < rows; ++r) {
    total[0] = start_of<Op, T>();
    scan_rows<Op, 1>(x + r * n, out + r * n, n, step, 0, total);
  }
}

template <class Op, class T>
void scan(const T* x, T* out, const ScanAttributes& shape) {
  const int64_t outer = shape.outer, n = shape.n, inner = shape.inner;
  const int64_t first = shape.reverse ? (n - 1) * inner : 0;
  const int64_t step = shape.reverse ? -inner : inner;
  if (inner == 1 && n >= 4 * kTile) {
    for (int64_t o = 0; o < outer; ++o)
      scan_long_row<Op>(x + o * n + first, out + o * n + first, n, step);
    return;
  }
  const int64_t parts = (inner - 1) / kColumnBlock + 1;
  const int64_t grain = std::max<int64_t>(1, kTile / (n * std::min(inner, kColumnBlock)));
  parallel_ranges(outer * parts, grain, [&](int64_t begin, int64_t end) {
    if (inner == 1)
      return scan_row_range<Op>(x + begin * n + first, out + begin * n + first, end - begin, n,
                                step);
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t column = tile % parts * kColumnBlock;
      const int64_t offset = tile / parts * n * inner + first + column;
      scan_columns<Op>(x + offset, out + offset, n, step, std::min(kColumnBlock, inner - column));
    }
  });
}

void scan_cpu(TensorSpan outputs, TensorSpan inputs, const ScanAttributes& attributes) {
  if (outputs[0].elements() == 0) return;
  visit_dtype(outputs[0].dtype(), [&]<class T>(TypeTag<T>) {
    const T* x = inputs[0].data<T>();
    T* out = outputs[0].data<T>();
    if (attributes.product)
      scan<Product>(x, out, attributes);
    else
      scan<Sum>(x, out, attributes);
  });
}
const KernelSlot<ScanAttributes> scan_slot("scan", scan_cpu);

ScanAttributes scan_shape(const Tensor& x, int axis) {
  ScanAttributes shape{1, x.rank() ? x.size(axis) : 1, 1, false, false};
  for (int i = 0; i < axis; ++i) shape.outer *= x.size(i);
  for (int i = axis + 1; i < x.rank(); ++i) shape.inner *= x.size(i);
  return shape;
}

Tensor cumulate(const Tensor& x, int axis, bool reverse, bool product = false) {
  Tensor out = empty(x.shape(), x.dtype(), x.device());
  ScanAttributes shape = scan_shape(x, axis);
  shape.reverse = reverse;
  shape.product = product;
  scan_slot(out, {contiguous(x)}, shape);
  return out;
}

int scan_axis(const Value& axis, int rank, std::string_view place) {
  if (!axis.is_none()) return normalize_axis(axis.integer(), rank, place, place == "cumsum");
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

// Arguments 0 to 2: x, axis, dtype. x in the dtype of the result.
Tensor scan_operand(const Call& call, std::string_view instead) {
  const Tensor& x = call.tensor(0);
  const DType dtype = call.has(2) ? call[2].dtype() : cumulated_dtype(x.dtype());
  if (dtype == DType::boolean)
    fail(ErrorKind::dtype, call.name(),
         ": dtype is bool. Expected a numeric dtype. Fix: leave dtype out, or use ", instead,
         "().");
  return cast(x, dtype);
}

// (x, axis, dtype, reverse)
void cumsum_forward(Call& call) {
  const int axis = scan_axis(call[1], call.tensor(0).rank(), call.name());
  call.output(cumulate(scan_operand(call, "any"), axis, call.boolean(3)));
}
void cumsum_backward(BackwardCall& call) {
  const int rank = call.tensor(0).rank();
  call.set(0, cumulate(call.gradient(), scan_axis(call[1], rank, "cumsum"), !call[3].boolean()));
}
const Register cumsum_registered({.name = "cumsum",
                                  .forward = cumsum_forward,
                                  .backward = cumsum_backward});

// --- cumprod: (x, axis, dtype) -------------------------------------------------------------------

void cumprod_forward(Call& call) {
  const int axis = scan_axis(call[1], call.tensor(0).rank(), call.name());
  call.output(cumulate(scan_operand(call, "all"), axis, false, true));
}

template <class T>
T conjugated(T value) {
  if constexpr (requires { value.imag(); })
    return std::conj(value);
  else
    return value;
}

// out[k] = P[k] S[k], exact at zeros: P[k] is the product of what stands before k, and
// S[k] = g[k] + x[k + 1] S[k + 1] what it is multiplied with in the results from k on.
template <class T>
void product_gradient(const T* g, const T* x, T* out, const ScanAttributes& shape) {
  const int64_t n = shape.n, inner = shape.inner;
  const int64_t grain = std::max<int64_t>(1, kTile / n);
  parallel_ranges(shape.outer * inner, grain, [&](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; ++line) {
      const int64_t start = line / inner * n * inner + line % inner;
      T before = T(1);
      for (int64_t i = 0; i < n; ++i) {
        out[start + i * inner] = before;
        before *= conjugated(x[start + i * inner]);
      }
      T after = T(0);
      for (int64_t i = n - 1; i >= 0; --i) {
        after += g[start + i * inner];
        out[start + i * inner] *= after;
        after *= conjugated(x[start + i * inner]);
      }
    }
  });
}

// inputs: g and x, float64 or complex128, contiguous.
void product_gradient_cpu(TensorSpan outputs, TensorSpan inputs, const ScanAttributes& shape) {
  if (outputs[0].elements() == 0) return;
  const auto run = [&]<class T>(TypeTag<T>) {
    product_gradient(inputs[0].data<T>(), inputs[1].data<T>(), outputs[0].data<T>(), shape);
  };
  if (is_complex(outputs[0].dtype()))
    run(TypeTag<std::complex<double>>{});
  else
    run(TypeTag<double>{});
}
const KernelSlot<ScanAttributes> product_gradient_slot("cumprod_backward", product_gradient_cpu);

void cumprod_backward(BackwardCall& call) {
  const Tensor& x = call.tensor(0);
  const DType wide = is_complex(x.dtype()) || is_complex(call.gradient().dtype())
                         ? DType::complex128
                         : DType::float64;
  const ScanAttributes shape = scan_shape(x, scan_axis(call[1], x.rank(), "cumprod"));
  const Tensor out = empty(x.shape(), wide, x.device());
  product_gradient_slot(out, {contiguous(cast(call.gradient(), wide)), contiguous(cast(x, wide))},
                        shape);
  call.set(0, cast(out, is_inexact(x.dtype()) ? x.dtype() : call.gradient().dtype()));
}
const Register cumprod_registered({.name = "cumprod",
                                   .forward = cumprod_forward,
                                   .backward = cumprod_backward,
                                   .saved_inputs = 0b1});

}  // namespace
}  // namespace samara
