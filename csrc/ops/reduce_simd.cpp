// The loops of the reductions.
#include "ops/reduce.h"

#include "ops/lanes.h"

namespace samara::SAMARA_ISA {
namespace {

using namespace lanes;

struct Complex {
  double re, im;
  SAMARA_FUNCTION Complex make(double re, double im) { return {re, im}; }
};
[[gnu::always_inline]] inline Complex operator+(Complex a, Complex b) {
  return {a.re + b.re, a.im + b.im};
}
[[gnu::always_inline]] inline Complex operator*(Complex a, Complex b) {
  return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

template <class T>
inline constexpr bool kIsFloat = false;
template <>
inline constexpr bool kIsFloat<float> = true;
template <>
inline constexpr bool kIsFloat<double> = true;
template <>
inline constexpr bool kIsFloat<Float16> = true;
template <>
inline constexpr bool kIsFloat<BFloat16> = true;
template <class T>
inline constexpr bool kIsComplex = requires(T x) { x.imag(); };
template <class T>
inline constexpr bool kIsSigned =
    !kIsFloat<T> && !kIsComplex<T> && static_cast<T>(-1) < static_cast<T>(0);
template <>
inline constexpr bool kIsSigned<bool> = true;  // sums of bool are int64
template <>
inline constexpr bool kIsSigned<Float16> = false;
template <>
inline constexpr bool kIsSigned<BFloat16> = false;
template <class T>
  requires kIsComplex<T>
inline constexpr bool kIsSigned<T> = false;

template <bool kChoice, class A, class B>
struct If {
  using type = A;
};
template <class A, class B>
struct If<false, A, B> {
  using type = B;
};
template <bool kChoice, class A, class B>
using Choose = typename If<kChoice, A, B>::type;

template <class A>
inline constexpr DType kDTypeOf = DTypeOf<A>::dtype;
template <>
inline constexpr DType kDTypeOf<Complex> = DType::complex128;

// Numbers of T as they enter an operation.
template <class T>
SAMARA_FUNCTION auto element(const T* p) {
  if constexpr (kIsComplex<T>) {
    const auto* parts = reinterpret_cast<const __typeof__(p->real())*>(p);
    return Complex{parts[0], parts[1]};
  } else {
    return load(p);
  }
}

template <class T>
using SumAccumulator =
    Choose<kIsFloat<T>, double,
           Choose<kIsComplex<T>, Complex, Choose<kIsSigned<T>, int64_t, uint64_t>>>;

// An operation over T: `Lane` is what is joined for a while, `Acc` what leaves a step; `map`
// prepares an element, `Combine` joins two.
template <class T>
struct Sum {
  using Acc = SumAccumulator<T>;
  using Lane = Choose<kIsFloat<T>, Compute<T>, Acc>;
  using Combine = Add;
  static constexpr ReduceOp next = ReduceOp::sum;
  static constexpr bool vectors = kIsFloat<T>;
  static constexpr Lane identity{};
  template <class V>
  SAMARA_FUNCTION V map(V x, double) {
    return x;
  }
};

struct Multiply {
  template <class V>
  SAMARA_FUNCTION V combine(V a, V b) {
    return a * b;
  }
};
template <class T>
struct Prod {
  // Unsigned arithmetic wraps around; the bits are those of the signed product.
  using Acc = Choose<kIsSigned<T>, uint64_t, SumAccumulator<T>>;
  using Lane = Acc;
  using Combine = Multiply;
  static constexpr ReduceOp next = ReduceOp::prod;
  static constexpr bool vectors = kIsFloat<T>;
  static constexpr Lane one() {
    if constexpr (kIsComplex<T>)
      return {1.0, 0.0};
    else
      return 1;
  }
  static constexpr Lane identity = one();
  template <class V>
  SAMARA_FUNCTION V map(V x, double) {
    return x;
  }
};

template <class T>
constexpr T extreme(bool lowest) {
  if constexpr (kIsFloat<T>)
    return lowest ? -static_cast<T>(__builtin_inf()) : static_cast<T>(__builtin_inf());
  else if constexpr (kIsSigned<T>)
    return lowest ? static_cast<T>(T(1) << (8 * sizeof(T) - 1))
                  : static_cast<T>(~(T(1) << (8 * sizeof(T) - 1)));
  else
    return lowest ? T(0) : static_cast<T>(~T(0));
}
template <class T, class Joined, ReduceOp op, bool kLowest>
struct Extremum {
  using Lane = Compute<T>;
  using Acc = Lane;
  using Combine = Joined;
  static constexpr ReduceOp next = op;
  static constexpr bool vectors = kIsFloat<T>;
  static constexpr Lane identity = extreme<Lane>(kLowest);
  template <class V>
  SAMARA_FUNCTION V map(V x, double) {
    return x;
  }
};
template <class T>
using Max = Extremum<T, Maximum, ReduceOp::max, true>;
template <class T>
using Min = Extremum<T, Minimum, ReduceOp::min, false>;

template <class T>
SAMARA_FUNCTION uint8_t is_nonzero(const T& x) {
  if constexpr (requires { x.re; })
    return static_cast<uint8_t>((x.re != 0) | (x.im != 0));
  else
    return static_cast<uint8_t>(x != 0);
}
struct Or {
  SAMARA_FUNCTION uint8_t combine(uint8_t a, uint8_t b) { return static_cast<uint8_t>(a | b); }
};
struct And {
  SAMARA_FUNCTION uint8_t combine(uint8_t a, uint8_t b) { return static_cast<uint8_t>(a & b); }
};
template <class Joined, ReduceOp op, uint8_t kStart>
struct Logical {
  using Lane = uint8_t;
  using Acc = bool;
  using Combine = Joined;
  static constexpr ReduceOp next = op;
  static constexpr bool vectors = false;
  static constexpr Lane identity = kStart;
  static constexpr Lane settled = !kStart;  // whatever follows
  template <class V>
  SAMARA_FUNCTION uint8_t map(V x, double) {
    return is_nonzero(x);
  }
};
template <class T>
struct Any : Logical<Or, ReduceOp::any, 0> {};
template <class T>
struct All : Logical<And, ReduceOp::all, 1> {};

template <class T>
struct CountNonzero {
  using Lane = int64_t;
  using Acc = int64_t;
  using Combine = Add;
  static constexpr ReduceOp next = ReduceOp::sum;
  static constexpr bool vectors = false;
  static constexpr Lane identity = 0;
  template <class V>
  SAMARA_FUNCTION int64_t map(V x, double) {
    return is_nonzero(x);
  }
};

// Terms of a p-norm. Squares and powers are formed in double: they overflow float early.
template <class T>
struct FloatTerm {
  using Lane = double;
  using Acc = double;
  using Combine = Add;
  static constexpr ReduceOp next = ReduceOp::sum;
  static constexpr bool vectors = true;
  static constexpr Lane identity = 0;
};
template <class T>
struct SumAbsolute : FloatTerm<T> {
  template <class V>
  SAMARA_FUNCTION V map(V x, double) {
    return absolute(x);
  }
};
template <class T>
struct SumSquares : FloatTerm<T> {
  template <class V>
  SAMARA_FUNCTION V map(V x, double) {
    return x * x;
  }
};
template <class T>
struct SumPower : FloatTerm<T> {
  static constexpr bool vectors = false;
  SAMARA_FUNCTION double map(double x, double power) { return math::pow(math::abs(x), power); }
};
template <class T>
struct MaxAbsolute : Max<T> {
  template <class V>
  SAMARA_FUNCTION V map(V x, double) {
    return absolute(x);
  }
};
template <class T>
struct MinAbsolute : Min<T> {
  template <class V>
  SAMARA_FUNCTION V map(V x, double) {
    return absolute(x);
  }
};

// --- steps ---------------------------------------------------------------------------------------

template <class Op, class T>
SAMARA_FUNCTION typename Op::Lane mapped(const T* p, double power) {
  return static_cast<typename Op::Lane>(Op::map(element(p), power));
}

template <class Op>
SAMARA_FUNCTION auto finished(typename Op::Acc value, const Finish& finish) {
  if constexpr (requires { value.re; }) {
    if (finish.kind == FinishKind::divide)
      return Complex{value.re / finish.value, value.im / finish.value};
    return value;
  } else if constexpr (__is_same(typename Op::Acc, double)) {
    switch (finish.kind) {
      case FinishKind::divide:
        return value / finish.value;
      case FinishKind::square_root:
        return math::sqrt(value);
      case FinishKind::root:
        return math::pow(value, 1.0 / finish.value);
      default:
        return value;
    }
  } else {
    return value;
  }
}

// Accumulators are wider than outputs, so what an output is shows at run time only.
template <class A>
SAMARA_FUNCTION void put_output(void* out, int64_t i, A value, DType output) {
  if constexpr (__is_same(A, Complex)) {
    if (output == DType::complex64) {
      float* parts = static_cast<float*>(out) + 2 * i;
      parts[0] = static_cast<float>(value.re);
      parts[1] = static_cast<float>(value.im);
      return;
    }
  } else if constexpr (kIsFloat<A>) {
    if (output == DType::float16) return store(static_cast<Float16*>(out) + i, value);
    if (output == DType::bfloat16) return store(static_cast<BFloat16*>(out) + i, value);
    if constexpr (__is_same(A, double))
      if (output == DType::float32) return store(static_cast<float*>(out) + i, value);
  }
  static_cast<A*>(out)[i] = value;
}

template <class Op>
SAMARA_FUNCTION void put(void* out, int64_t i, typename Op::Acc value, const Finish& finish) {
  if (finish.last)
    put_output(out, i, finished<Op>(value, finish), finish.output);
  else
    static_cast<typename Op::Acc*>(out)[i] = value;
}

// One run of contiguous elements.
template <class Op, class T>
SAMARA_FUNCTION typename Op::Acc reduce_run(const T* x, int64_t n, double power) {
  using Lane = typename Op::Lane;
  using Acc = typename Op::Acc;
  if constexpr (Op::vectors) {
    return reduce_lanes<typename Op::Combine, Lane, Acc>(
        n, Op::identity, static_cast<Acc>(Op::identity), [&]<int kCount>(int64_t i) {
          if constexpr (kCount == 1)
            return Op::map(static_cast<Lane>(load(x + i)), power);
          else
            return Op::map(load_vector<Lane, kCount>(x + i), power);
        });
  } else {
    Lane lane = Op::identity;
    int64_t i = 0;
    if constexpr (requires { Op::settled; }) {
      constexpr int64_t block = 256;
      for (; i + block <= n; i += block) {
        for (int64_t j = i; j < i + block; ++j)
          lane = Op::Combine::combine(lane, mapped<Op>(x + j, power));
        if (lane == Op::settled) return static_cast<Acc>(lane);
      }
    }
    for (; i < n; ++i) lane = Op::Combine::combine(lane, mapped<Op>(x + i, power));
    return static_cast<Acc>(lane);
  }
}

// The kCount numbers at p, p + 2, p + 4, ...; nothing behind the last one is read.
template <class L, int kCount, class T>
SAMARA_FUNCTION Vector<L, kCount> load_every_other(const T* p) {
  using V = Vector<T, kCount>;
  using Index = typename SignedOf<sizeof(T)>::type;
  Vector<Index, kCount> even;
  for (int k = 0; k < kCount; ++k) even[k] = static_cast<Index>(k < kCount / 2 ? 2 * k : 2 * k + 1);
  const V both = __builtin_shuffle(raw_vector<V>(p), raw_vector<V>(p + kCount - 1), even);
  return __builtin_convertvector(both, Vector<L, kCount>);
}

// Spaced elements go through a buffer in blocks, so that vectors do the work.
template <class Op, class T>
typename Op::Acc reduce_spaced_run(const T* x, int64_t n, int64_t stride, double power) {
  using Acc = typename Op::Acc;
  using Lane = typename Op::Lane;
  if constexpr (Op::vectors && (__is_same(T, float) || __is_same(T, double))) {
    if (stride == 2)
      return reduce_lanes<typename Op::Combine, Lane, Acc>(
          n, Op::identity, static_cast<Acc>(Op::identity), [&]<int kCount>(int64_t i) {
            if constexpr (kCount == 1)
              return Op::map(static_cast<Lane>(x[2 * i]), power);
            else
              return Op::map(load_every_other<Lane, kCount>(x + 2 * i), power);
          });
  }
  if constexpr (Op::vectors) {
    constexpr int64_t size = 1024;
    alignas(T) unsigned char memory[size * sizeof(T)];
    T* buffer = reinterpret_cast<T*>(memory);
    Acc result = static_cast<Acc>(Op::identity);
    for (int64_t begin = 0; begin < n; begin += size) {
      const int64_t count = n - begin < size ? n - begin : size;
      const T* source = x + begin * stride;
      for (int64_t i = 0; i < count; ++i) buffer[i] = source[i * stride];
      result = Op::Combine::combine(result, reduce_run<Op>(buffer, count, power));
    }
    return result;
  } else {
    Lane lane = Op::identity;
    for (int64_t i = 0; i < n; ++i)
      lane = Op::Combine::combine(lane, mapped<Op>(x + i * stride, power));
    return static_cast<Acc>(lane);
  }
}

template <class Op, class T>
void reduce_rows(const void* source, const RowsView& view, const Finish& finish, void* out) {
  const T* x = static_cast<const T*>(source);
  for (int64_t r = 0; r < view.rows; ++r, x += view.row_stride) {
    if (view.stride == 1 || view.n <= 1)
      put<Op>(out, r, reduce_run<Op>(x, view.n, finish.power), finish);
    else
      put<Op>(out, r, reduce_spaced_run<Op>(x, view.n, view.stride, finish.power), finish);
  }
}

inline constexpr int64_t kColumnBlock = 512;
inline constexpr int64_t kRowBlock = 64;

// Adds the numbers at x of `rows` rows, four rows at a time, to `lane`: kVectors vectors of kCount
// numbers, or with kCount = 1 single numbers.
template <class Op, int kVectors, int kCount, class T>
SAMARA_FUNCTION void reduce_row_strip(const T* x, int64_t rows, int64_t stride, double power,
                                      typename Op::Lane* lane) {
  using Lane = typename Op::Lane;
  using Combine = typename Op::Combine;
  const auto at = [&](int64_t r, int k) {
    const T* p = x + r * stride + k * kCount;
    if constexpr (kCount == 1)
      return mapped<Op>(p, power);
    else
      return Op::map(load_vector<Lane, kCount>(p), power);
  };
  decltype(at(0, 0)) sum[kVectors];
  for (int k = 0; k < kVectors; ++k) __builtin_memcpy(&sum[k], lane + k * kCount, sizeof(sum[k]));
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4)
    for (int k = 0; k < kVectors; ++k)
      sum[k] =
          Combine::combine(sum[k], Combine::combine(Combine::combine(at(r, k), at(r + 1, k)),
                                                    Combine::combine(at(r + 2, k), at(r + 3, k))));
  for (; r < rows; ++r)
    for (int k = 0; k < kVectors; ++k) sum[k] = Combine::combine(sum[k], at(r, k));
  for (int k = 0; k < kVectors; ++k) __builtin_memcpy(lane + k * kCount, &sum[k], sizeof(sum[k]));
}

template <class Op, class T>
SAMARA_FUNCTION void reduce_row_block(const T* x, int64_t rows, int64_t stride, int64_t width,
                                      double power, typename Op::Lane* __restrict lane) {
  int64_t j = 0;
  if constexpr (Op::vectors) {
    constexpr int W = kLanes<typename Op::Lane>;
    // A few rows at a time are a few streams of memory; more pay only where lanes are flushed.
    constexpr int64_t group = sizeof(typename Op::Acc) > sizeof(typename Op::Lane) ? kRowBlock : 8;
    for (int64_t r = 0; r < rows; r += group) {
      const int64_t some = rows - r < group ? rows - r : group;
      const T* from = x + r * stride;
      j = 0;
      for (; j + 4 * W <= width; j += 4 * W)
        reduce_row_strip<Op, 4, W>(from + j, some, stride, power, lane + j);
      for (; j + W <= width; j += W)
        reduce_row_strip<Op, 1, W>(from + j, some, stride, power, lane + j);
      for (; j < width; ++j) reduce_row_strip<Op, 1, 1>(from + j, some, stride, power, lane + j);
    }
  } else {
    using Combine = typename Op::Combine;
    for (int64_t r = 0; r < rows; ++r, x += stride)
      for (j = 0; j < width; ++j) lane[j] = Combine::combine(lane[j], mapped<Op>(x + j, power));
  }
}

template <class Op, class T>
void reduce_columns(const void* source, const ColumnsView& view, const Finish& finish, void* out) {
  using Lane = typename Op::Lane;
  using Acc = typename Op::Acc;
  constexpr bool flushes = !__is_same(Lane, Acc) && Op::vectors;
  Lane lane[kColumnBlock];
  Acc total[flushes ? kColumnBlock : 1];
  for (int64_t begin = 0; begin < view.columns; begin += kColumnBlock) {
    const int64_t width = view.columns - begin < kColumnBlock ? view.columns - begin : kColumnBlock;
    const T* x = static_cast<const T*>(source) + begin;
    if constexpr (flushes) {
      for (int64_t j = 0; j < width; ++j) total[j] = static_cast<Acc>(Op::identity);
      for (int64_t r = 0; r < view.n; r += kRowBlock) {
        for (int64_t j = 0; j < width; ++j) lane[j] = Op::identity;
        reduce_row_block<Op>(x + r * view.row_stride,
                             view.n - r < kRowBlock ? view.n - r : kRowBlock, view.row_stride,
                             width, finish.power, lane);
        for (int64_t j = 0; j < width; ++j)
          total[j] = Op::Combine::combine(total[j], static_cast<Acc>(lane[j]));
      }
      for (int64_t j = 0; j < width; ++j) put<Op>(out, begin + j, total[j], finish);
    } else {
      for (int64_t j = 0; j < width; ++j) lane[j] = Op::identity;
      reduce_row_block<Op>(x, view.n, view.row_stride, width, finish.power, lane);
      for (int64_t j = 0; j < width; ++j)
        put<Op>(out, begin + j, static_cast<Acc>(lane[j]), finish);
    }
  }
}

// --- variance ------------------------------------------------------------------------------------

template <class T>
double deviations(const void* x, int64_t n, double center) {
  return sum_row<double>(static_cast<const T*>(x), n, [center](auto v) {
    const auto d = v - center;
    return d * d;
  });
}
template <class T>
void variance_rows(const void* source, int64_t rows, int64_t n, double correction, bool square_root,
                   void* out) {
  const T* x = static_cast<const T*>(source);
  for (int64_t r = 0; r < rows; ++r, x += n) {
    const double mean = sum_row<double>(x, n, [](auto v) { return v; }) / static_cast<double>(n);
    const double freedom = static_cast<double>(n) - correction;
    // Without a degree of freedom the standard asks for NaN.
    double variance = freedom > 0 ? deviations<T>(x, n, mean) / freedom : __builtin_nan("");
    if (square_root) variance = math::sqrt(variance);
    store(static_cast<T*>(out) + r, variance);
  }
}

// --- the table -----------------------------------------------------------------------------------

template <class Op, class T>
constexpr ReduceKernel kernel() {
  return {reduce_rows<Op, T>, reduce_columns<Op, T>, kDTypeOf<typename Op::Acc>, Op::next};
}

template <class T>
constexpr void fill(ReduceKernels& table) {
  constexpr int index = static_cast<int>(kDTypeOf<T>);
  const auto slot = [&](ReduceOp op) -> ReduceKernel& {
    return table.reduce[static_cast<int>(op)][index];
  };
  slot(ReduceOp::sum) = kernel<Sum<T>, T>();
  slot(ReduceOp::prod) = kernel<Prod<T>, T>();
  slot(ReduceOp::any) = kernel<Any<T>, T>();
  slot(ReduceOp::all) = kernel<All<T>, T>();
  slot(ReduceOp::count_nonzero) = kernel<CountNonzero<T>, T>();
  if constexpr (!kIsComplex<T>) {
    slot(ReduceOp::max) = kernel<Max<T>, T>();
    slot(ReduceOp::min) = kernel<Min<T>, T>();
  }
  if constexpr (kIsFloat<T>) {
    slot(ReduceOp::sum_absolute) = kernel<SumAbsolute<T>, T>();
    slot(ReduceOp::sum_squares) = kernel<SumSquares<T>, T>();
    slot(ReduceOp::sum_power) = kernel<SumPower<T>, T>();
    slot(ReduceOp::max_absolute) = kernel<MaxAbsolute<T>, T>();
    slot(ReduceOp::min_absolute) = kernel<MinAbsolute<T>, T>();
    table.variance[index] = {variance_rows<T>, deviations<T>};
  }
}

template <class... T>
constexpr ReduceKernels make_table() {
  ReduceKernels table{};
  (fill<T>(table), ...);
  return table;
}

}  // namespace

extern const ReduceKernels reduce_kernels;
constinit const ReduceKernels reduce_kernels =
    make_table<bool, uint8_t, uint16_t, uint32_t, uint64_t, int8_t, int16_t, int32_t, int64_t,
               Float16, BFloat16, float, double, std::complex<float>, std::complex<double>>();

}  // namespace samara::SAMARA_ISA
