// The loops of softmax and of what is built on it.
#include "ops/softmax.h"

#include "ops/exponential.h"
#include "ops/lanes.h"

namespace samara::SAMARA_ISA {
namespace {

using namespace lanes;

// Exponentials are computed this many at a time, then added up while they are in the cache.
constexpr int64_t kChunk = 256;

template <class L>
SAMARA_FUNCTION double sum_of(const L* values, int64_t n) {
  return sum_row<L>(values, n, [](auto v) { return v; });
}

// values[0 .. count) = e^values, and zeros up to a whole number of vectors, which is returned.
// There is room for them.
template <class L>
SAMARA_FUNCTION int64_t exponentiate(L* values, int64_t count) {
  constexpr int64_t W = kLanes<L>;
  const int64_t padded = (count + W - 1) / W * W;
  for (int64_t j = count; j < padded; ++j) values[j] = L(-1000);
  for (int64_t j = 0; j < padded; j += W)
    for (int64_t k = 0; k < W; ++k) values[j + k] = exponential(values[j + k]);
  return padded;
}

// e[0 .. count) = e^(x - shift); there is room for one vector.
template <class T>
SAMARA_FUNCTION void exponentials(const T* x, int64_t count, Compute<T> shift, Compute<T>* e) {
  constexpr int64_t W = kLanes<Compute<T>>;
  if (count < W) {
    for (int64_t j = 0; j < count; ++j) e[j] = load(x + j) - shift;
    exponentiate(e, count);
    return;
  }
  for (int64_t j = 0; j + W <= count; j += W)
    for (int64_t k = 0; k < W; ++k) e[j + k] = exponential(load(x + j + k) - shift);
  // The last vector overlaps the one before: a few numbers are computed twice.
  if (const int64_t j = count - W; count % W != 0)
    for (int64_t k = 0; k < W; ++k) e[j + k] = exponential(load(x + j + k) - shift);
}

// Sum of e^(x - shift) over a row; `keep` sees the position and the values of each chunk.
template <class T, class Keep>
SAMARA_FUNCTION double sum_exponentials(const T* x, int64_t n, Compute<T> shift, Keep&& keep) {
  using L = Compute<T>;
  constexpr int64_t room = kChunk + kLanes<L>;
  alignas(64) L e[room];
  double sum = 0;
  for (int64_t begin = 0; begin < n;) {
    // No chunk is shorter than a vector unless the row is.
    const int64_t count = n - begin < room ? n - begin : kChunk;
    exponentials(x + begin, count, shift, e);
    sum += sum_of(e, count);
    keep(begin, count, e);
    begin += count;
  }
  return sum;
}
struct KeepNothing {
  template <class L>
  [[gnu::always_inline]] void operator()(int64_t, int64_t, const L*) const {}
};

// Short rows are taken 64 at a time and turned, so that one vector holds one column of many rows.
constexpr int64_t kShort = 32;
constexpr int64_t kTurned = 64;

template <class L>
struct TurnedRows {
  alignas(64) L value[kShort * kTurned];  // [n, 64]
  alignas(64) L largest[kTurned];
  alignas(64) double sum[kTurned];

  // Turns `count` rows and fills `largest`.
  template <class T>
  [[gnu::always_inline]] void turn(const T* x, int64_t count, int64_t n) {
    for (int64_t c = 0; c < n; ++c) {
      L* column = value + c * kTurned;
      for (int64_t r = 0; r < count; ++r) column[r] = load(x + r * n + c);
      for (int64_t r = count; r < kTurned; ++r) column[r] = L(0);
    }
    for (int64_t r = 0; r < kTurned; ++r) largest[r] = -static_cast<L>(__builtin_inf());
    for (int64_t c = 0; c < n; ++c)
      for (int64_t r = 0; r < kTurned; ++r)
        largest[r] = Maximum::combine(largest[r], value[c * kTurned + r]);
  }
  // value = value - shift, then, with `exponentials`, e to that power; fills `sum` with those.
  [[gnu::always_inline]] void add_up(int64_t n, const L* shift, bool exponentials) {
    for (int64_t r = 0; r < kTurned; ++r) sum[r] = 0;
    for (int64_t c = 0; c < n; ++c) {
      alignas(64) L e[kTurned];
      L* column = value + c * kTurned;
      for (int64_t r = 0; r < kTurned; ++r) column[r] = column[r] - shift[r];
      for (int64_t r = 0; r < kTurned; ++r) e[r] = exponential(column[r]);
      for (int64_t r = 0; r < kTurned; ++r) sum[r] += static_cast<double>(e[r]);
      if (exponentials)
        for (int64_t r = 0; r < kTurned; ++r) column[r] = e[r];
    }
  }
};

// Calls body(turned, first row, number of rows) for all rows.
template <class T, class Body>
SAMARA_FUNCTION void for_turned(const T* x, int64_t rows, int64_t n, Body&& body) {
  TurnedRows<Compute<T>> turned;
  for (int64_t r = 0; r < rows; r += kTurned) {
    const int64_t count = rows - r < kTurned ? rows - r : kTurned;
    turned.turn(x + r * n, count, n);
    body(turned, r, count);
  }
}

template <class L>
SAMARA_FUNCTION bool is_infinite(L x) {
  return math::abs(x) == static_cast<L>(__builtin_inf());
}
// The largest element, but 0 where that is infinite, so that x - largest is never inf - inf.
template <class L>
SAMARA_FUNCTION L finite_shift(L largest) {
  return is_infinite(largest) ? L(0) : largest;
}

// Rows go through each step several at a time: one row's steps wait for each other, the rows do
// not.
constexpr int64_t kTogether = 16;
SAMARA_FUNCTION int64_t rows_together(int64_t n) {
  const int64_t rows = 4096 / n;
  return rows < 1 ? 1 : rows > kTogether ? kTogether : rows;
}

template <class T>
SAMARA_FUNCTION void softmax_some_rows(const T* x, T* out, int64_t rows, int64_t n,
                                       bool logarithm) {
  using L = Compute<T>;
  L largest[kTogether];
  double sum[kTogether];
  for (int64_t r = 0; r < rows; ++r) largest[r] = max_row(x + r * n, n);
  if (!logarithm && __is_same(T, L)) {
    for (int64_t r = 0; r < rows; ++r) {
      T* to = out + r * n;
      sum[r] = sum_exponentials(x + r * n, n, largest[r],
                                [to](int64_t begin, int64_t count, const L* e) {
                                  for (int64_t j = 0; j < count; ++j) store(to + begin + j, e[j]);
                                });
    }
    for (int64_t r = 0; r < rows; ++r) {
      const L scale = static_cast<L>(1.0 / sum[r]);
      T* to = out + r * n;
      for (int64_t i = 0; i < n; ++i) store(to + i, load(to + i) * scale);
    }
    return;
  }
  for (int64_t r = 0; r < rows; ++r)
    sum[r] = sum_exponentials(x + r * n, n, largest[r], KeepNothing());
  for (int64_t r = rows; r < kTogether; ++r) sum[r] = 1;
  for (int64_t r = 0; r < kTogether; ++r) sum[r] = logarithm ? math::log(sum[r]) : 1.0 / sum[r];
  for (int64_t r = 0; r < rows; ++r) {
    const T* from = x + r * n;
    T* __restrict to = out + r * n;
    const L shift = largest[r], scale = static_cast<L>(sum[r]);
    if (logarithm)
      for (int64_t i = 0; i < n; ++i) store(to + i, (load(from + i) - shift) - scale);
    else
      for (int64_t i = 0; i < n; ++i) store(to + i, exponential(load(from + i) - shift) * scale);
  }
}

template <class T>
void softmax_short_rows(const T* x, T* out, int64_t rows, int64_t n, bool logarithm) {
  using L = Compute<T>;
  for_turned(x, rows, n, [&](TurnedRows<L>& turned, int64_t begin, int64_t count) {
    turned.add_up(n, turned.largest, !logarithm);
    alignas(64) L scale[kTurned];
    for (int64_t r = 0; r < kTurned; ++r)
      scale[r] = static_cast<L>(logarithm ? math::log(turned.sum[r]) : 1.0 / turned.sum[r]);
    T* to = out + begin * n;
    for (int64_t c = 0; c < n; ++c) {
      L* column = turned.value + c * kTurned;
      if (logarithm)
        for (int64_t r = 0; r < kTurned; ++r) column[r] = column[r] - scale[r];
      else
        for (int64_t r = 0; r < kTurned; ++r) column[r] = column[r] * scale[r];
    }
    for (int64_t r = 0; r < count; ++r)
      for (int64_t c = 0; c < n; ++c) store(to + r * n + c, turned.value[c * kTurned + r]);
  });
}

template <class T>
void softmax_rows(const void* source, void* target, int64_t rows, int64_t n, bool logarithm) {
  const T* x = static_cast<const T*>(source);
  T* out = static_cast<T*>(target);
  if (n <= kShort && rows >= 8) return softmax_short_rows(x, out, rows, n, logarithm);
  const int64_t step = rows_together(n);
  for (int64_t r = 0; r < rows; r += step)
    softmax_some_rows(x + r * n, out + r * n, rows - r < step ? rows - r : step, n, logarithm);
}

// softmax: y (g - sum(g y)).  log_softmax: g - e^y sum(g).
template <class T>
void softmax_rows_backward(const void* gradient, const void* result, void* target, int64_t rows,
                           int64_t n, bool logarithm) {
  using L = Compute<T>;
  const T* __restrict g = static_cast<const T*>(gradient);
  const T* __restrict y = static_cast<const T*>(result);
  T* __restrict out = static_cast<T*>(target);
  for (int64_t r = 0; r < rows; ++r, g += n, y += n, out += n) {
    if (logarithm) {
      const L sum = static_cast<L>(sum_row<L>(g, n, [](auto v) { return v; }));
      for (int64_t i = 0; i < n; ++i) store(out + i, load(g + i) - math::exp(load(y + i)) * sum);
    } else {
      const L sum = static_cast<L>(sum_row<L>(g, y, n, [](auto a, auto b) { return a * b; }));
      for (int64_t i = 0; i < n; ++i) store(out + i, load(y + i) * (load(g + i) - sum));
    }
  }
}

constexpr int64_t kWidth = 256;

template <class T>
void softmax_columns(const void* source, void* target, int64_t n, int64_t inner, int64_t width,
                     bool logarithm) {
  using L = Compute<T>;
  const T* __restrict x = static_cast<const T*>(source);
  T* __restrict out = static_cast<T*>(target);
  L largest[kWidth], scale[kWidth];
  double sum[kWidth];
  for (int64_t j = 0; j < width; ++j) {
    largest[j] = -static_cast<L>(__builtin_inf());
    sum[j] = 0;
  }
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < width; ++j)
      largest[j] = Maximum::combine(largest[j], load(x + i * inner + j));
  for (int64_t i = 0; i < n; ++i) {
    L e[kWidth];
    for (int64_t j = 0; j < width; ++j) e[j] = exponential(load(x + i * inner + j) - largest[j]);
    for (int64_t j = 0; j < width; ++j) sum[j] += static_cast<double>(e[j]);
    if constexpr (__is_same(T, L))
      if (!logarithm)
        for (int64_t j = 0; j < width; ++j) out[i * inner + j] = e[j];
  }
  for (int64_t j = 0; j < width; ++j)
    scale[j] = static_cast<L>(logarithm ? math::log(sum[j]) : 1.0 / sum[j]);
  for (int64_t i = 0; i < n; ++i) {
    const T* from = x + i * inner;
    T* to = out + i * inner;
    if (logarithm) {
      for (int64_t j = 0; j < width; ++j) store(to + j, (load(from + j) - largest[j]) - scale[j]);
    } else if constexpr (__is_same(T, L)) {
      for (int64_t j = 0; j < width; ++j) to[j] *= scale[j];
    } else {
      for (int64_t j = 0; j < width; ++j)
        store(to + j, exponential(load(from + j) - largest[j]) * scale[j]);
    }
  }
}

template <class T>
void softmax_columns_backward(const void* gradient, const void* result, void* target, int64_t n,
                              int64_t inner, int64_t width, bool logarithm) {
  using L = Compute<T>;
  const T* __restrict g = static_cast<const T*>(gradient);
  const T* __restrict y = static_cast<const T*>(result);
  T* __restrict out = static_cast<T*>(target);
  double total[kWidth];
  L sum[kWidth];
  for (int64_t j = 0; j < width; ++j) total[j] = 0;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < width; ++j) {
      const double value = load(g + i * inner + j);
      total[j] += logarithm ? value : value * static_cast<double>(load(y + i * inner + j));
    }
  for (int64_t j = 0; j < width; ++j) sum[j] = static_cast<L>(total[j]);
  for (int64_t i = 0; i < n; ++i) {
    const T* g_row = g + i * inner;
    const T* y_row = y + i * inner;
    T* to = out + i * inner;
    if (logarithm)
      for (int64_t j = 0; j < width; ++j)
        store(to + j, load(g_row + j) - math::exp(load(y_row + j)) * sum[j]);
    else
      for (int64_t j = 0; j < width; ++j)
        store(to + j, load(y_row + j) * (load(g_row + j) - sum[j]));
  }
}

template <class T>
void logsumexp_rows(const void* source, void* target, int64_t rows, int64_t n) {
  using L = Compute<T>;
  const T* x = static_cast<const T*>(source);
  T* out = static_cast<T*>(target);
  if (n <= kShort && rows >= 8) {
    for_turned(x, rows, n, [&](TurnedRows<L>& turned, int64_t begin, int64_t count) {
      L shift[kTurned];
      for (int64_t r = 0; r < kTurned; ++r) shift[r] = finite_shift(turned.largest[r]);
      turned.add_up(n, shift, false);
      for (int64_t r = 0; r < kTurned; ++r)
        turned.sum[r] = static_cast<double>(shift[r]) + math::log(turned.sum[r]);
      for (int64_t r = 0; r < count; ++r) {
        const L largest = turned.largest[r];
        store(out + begin + r, is_infinite(largest) ? static_cast<double>(largest) : turned.sum[r]);
      }
    });
    return;
  }
  const int64_t step = rows_together(n > 0 ? n : 1);
  for (int64_t begin = 0; begin < rows; begin += step) {
    const int64_t count = rows - begin < step ? rows - begin : step;
    L largest[kTogether], shift[kTogether] = {};
    double sum[kTogether] = {};
    for (int64_t r = 0; r < count; ++r) largest[r] = max_row(x + (begin + r) * n, n);
    for (int64_t r = 0; r < count; ++r) shift[r] = finite_shift(largest[r]);
    for (int64_t r = 0; r < count; ++r)
      sum[r] = sum_exponentials(x + (begin + r) * n, n, shift[r], KeepNothing());
    for (int64_t r = 0; r < kTogether; ++r)
      sum[r] = static_cast<double>(shift[r]) + math::log(sum[r]);
    for (int64_t r = 0; r < count; ++r)
      store(out + begin + r, is_infinite(largest[r]) ? static_cast<double>(largest[r]) : sum[r]);
  }
}

template <class T>
void statistics_rows(const void* source, double* out, int64_t rows, int64_t n) {
  using L = Compute<T>;
  const T* x = static_cast<const T*>(source);
  if (n <= kShort && rows >= 8) {
    for_turned(x, rows, n, [&](TurnedRows<L>& turned, int64_t begin, int64_t count) {
      turned.add_up(n, turned.largest, false);
      for (int64_t r = 0; r < count; ++r) {
        out[2 * (begin + r)] = static_cast<double>(turned.largest[r]);
        out[2 * (begin + r) + 1] = turned.sum[r];
      }
    });
    return;
  }
  const int64_t step = rows_together(n);
  for (int64_t begin = 0; begin < rows; begin += step) {
    const int64_t end = rows - begin < step ? rows : begin + step;
    for (int64_t r = begin; r < end; ++r) out[2 * r] = static_cast<double>(max_row(x + r * n, n));
    for (int64_t r = begin; r < end; ++r)
      out[2 * r + 1] = sum_exponentials(x + r * n, n, static_cast<L>(out[2 * r]), KeepNothing());
  }
}
void logarithms(const double* x, double* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = math::log(x[i]);
}

// weight[c] * target[c], either of which may be absent.
template <class L, class T>
SAMARA_FUNCTION L share(const T* target, const L* weight, int64_t i) {
  const L value = target ? load(target + i) : L(1);
  return weight ? value * weight[i] : value;
}

template <class T>
void weighted_sums(const void* source, const void* targets, const void* weights, int64_t n,
                   double shift, double* sums) {
  using L = Compute<T>;
  const T* x = static_cast<const T*>(source);
  const T* target = static_cast<const T*>(targets);
  const L* weight = static_cast<const L*>(weights);
  const L center = static_cast<L>(shift);
  alignas(64) L part[kChunk];
  alignas(64) L product[kChunk];
  sums[0] = sums[1] = 0;
  for (int64_t begin = 0; begin < n; begin += kChunk) {
    const int64_t count = n - begin < kChunk ? n - begin : kChunk;
    for (int64_t j = 0; j < count; ++j) {
      const L s = share(target, weight, begin + j);
      part[j] = s;
      product[j] = s * (load(x + begin + j) - center);
    }
    sums[0] += sum_of(part, count);
    sums[1] += sum_of(product, count);
  }
}

// Rows [0, rows) of the part of them that begins at column `begin` and has `width` columns.
template <class T>
SAMARA_FUNCTION void gradient_block(const T* x, const T* target, const Compute<T>* weight, T* out,
                                    int64_t rows, int64_t n, int64_t begin, int64_t width,
                                    const double* parameters) {
  using L = Compute<T>;
  alignas(64) L e[kChunk];
  if (rows == 1) {
    exponentials(x + begin, width, static_cast<L>(parameters[0]), e);
  } else {
    for (int64_t r = 0; r < rows; ++r) {
      const L shift = static_cast<L>(parameters[3 * r]);
      for (int64_t j = 0; j < width; ++j) e[r * width + j] = load(x + r * n + begin + j) - shift;
    }
    exponentiate(e, rows * width);
  }
  for (int64_t r = 0; r < rows; ++r) {
    const L scale = static_cast<L>(parameters[3 * r + 1]);
    const L bias = static_cast<L>(parameters[3 * r + 2]);
    const L* from = e + r * width;
    T* __restrict to = out + r * n + begin;
    const T* own = target ? target + r * n : nullptr;
    if (!target && !weight)
      for (int64_t j = 0; j < width; ++j) store(to + j, scale * from[j] - bias);
    else
      for (int64_t j = 0; j < width; ++j)
        store(to + j, scale * from[j] - bias * share(own, weight, begin + j));
  }
}

template <class T>
void cross_entropy_gradient(const void* source, const void* targets, const void* weights,
                            void* gradient, int64_t rows, int64_t n, const double* parameters) {
  using L = Compute<T>;
  const T* x = static_cast<const T*>(source);
  const T* target = static_cast<const T*>(targets);
  const L* weight = static_cast<const L*>(weights);
  T* out = static_cast<T*>(gradient);
  const int64_t block = n <= kShort ? kChunk / n : 1;
  for (int64_t r = 0; r < rows; r += block) {
    const int64_t count = rows - r < block ? rows - r : block;
    for (int64_t begin = 0; begin < n; begin += kChunk)
      gradient_block(x + r * n, target ? target + r * n : nullptr, weight, out + r * n, count, n,
                     begin, n - begin < kChunk ? n - begin : kChunk, parameters + 3 * r);
  }
}

template <class T>
void shifted(const void* source, void* target, int64_t n, double a, double b) {
  using L = Compute<T>;
  const T* x = static_cast<const T*>(source);
  T* __restrict out = static_cast<T*>(target);
  const L first = static_cast<L>(a), second = static_cast<L>(b);
  for (int64_t i = 0; i < n; ++i) store(out + i, (load(x + i) - first) - second);
}

template <class T>
constexpr SoftmaxKernel kernels_for() {
  return {softmax_rows<T>,    softmax_rows_backward<T>,
          softmax_columns<T>, softmax_columns_backward<T>,
          logsumexp_rows<T>,  statistics_rows<T>,
          weighted_sums<T>,   cross_entropy_gradient<T>,
          logarithms,         shifted<T>};
}
constexpr SoftmaxKernels make_table() {
  SoftmaxKernels table{};
  table.softmax[static_cast<int>(DType::float16)] = kernels_for<Float16>();
  table.softmax[static_cast<int>(DType::bfloat16)] = kernels_for<BFloat16>();
  table.softmax[static_cast<int>(DType::float32)] = kernels_for<float>();
  table.softmax[static_cast<int>(DType::float64)] = kernels_for<double>();
  return table;
}

}  // namespace

extern const SoftmaxKernels softmax_kernels;
constinit const SoftmaxKernels softmax_kernels = make_table();

}  // namespace samara::SAMARA_ISA
