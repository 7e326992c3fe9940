// The loops of softmax and of what is built on it.
#include "ops/softmax.h"

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

// Sum of e^(x - shift) over a row; `keep` sees the index and the values of each chunk.
template <class T, class Keep>
SAMARA_FUNCTION double sum_exponentials(const T* x, int64_t n, Compute<T> shift, Keep&& keep) {
  using L = Compute<T>;
  alignas(64) L e[kChunk];
  double sum = 0;
  for (int64_t begin = 0; begin < n; begin += kChunk) {
    const int64_t count = n - begin < kChunk ? n - begin : kChunk;
    for (int64_t j = 0; j < count; ++j) e[j] = math::exp(load(x + begin + j) - shift);
    sum += sum_of(e, count);
    keep(begin, count, e);
  }
  return sum;
}
struct KeepNothing {
  template <class L>
  [[gnu::always_inline]] void operator()(int64_t, int64_t, const L*) const {}
};

// The largest element, but 0 where that is infinite, so that x - largest is never inf - inf.
template <class L>
SAMARA_FUNCTION L finite_shift(L largest) {
  return math::abs(largest) == static_cast<L>(__builtin_inf()) ? L(0) : largest;
}

template <class T>
SAMARA_FUNCTION void softmax_row(const T* __restrict x, T* __restrict out, int64_t n,
                                 bool logarithm) {
  using L = Compute<T>;
  const L largest = max_row(x, n);
  if (logarithm) {
    const double sum = sum_exponentials(x, n, largest, KeepNothing());
    const L log_sum = static_cast<L>(math::log(sum));
    for (int64_t i = 0; i < n; ++i) store(out + i, (load(x + i) - largest) - log_sum);
  } else if constexpr (__is_same(T, L)) {
    const double sum =
        sum_exponentials(x, n, largest, [out](int64_t begin, int64_t count, const L* e) {
          for (int64_t j = 0; j < count; ++j) out[begin + j] = e[j];
        });
    const L scale = static_cast<L>(1.0 / sum);
    for (int64_t i = 0; i < n; ++i) out[i] *= scale;
  } else {
    const double sum = sum_exponentials(x, n, largest, KeepNothing());
    const L scale = static_cast<L>(1.0 / sum);
    for (int64_t i = 0; i < n; ++i) store(out + i, math::exp(load(x + i) - largest) * scale);
  }
}
template <class T>
void softmax_rows(const void* source, void* target, int64_t rows, int64_t n, bool logarithm) {
  const T* x = static_cast<const T*>(source);
  T* out = static_cast<T*>(target);
  for (int64_t r = 0; r < rows; ++r) softmax_row(x + r * n, out + r * n, n, logarithm);
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
    for (int64_t j = 0; j < width; ++j) e[j] = math::exp(load(x + i * inner + j) - largest[j]);
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
        store(to + j, math::exp(load(from + j) - largest[j]) * scale[j]);
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
  for (int64_t r = 0; r < rows; ++r, x += n) {
    const L shift = finite_shift(max_row(x, n));
    const double sum = sum_exponentials(x, n, shift, KeepNothing());
    store(static_cast<T*>(target) + r, static_cast<double>(shift) + math::log(sum));
  }
}

template <class T>
void statistics_rows(const void* source, double* out, int64_t rows, int64_t n) {
  const T* x = static_cast<const T*>(source);
  for (int64_t r = 0; r < rows; ++r, x += n) {
    const auto largest = max_row(x, n);
    out[2 * r] = static_cast<double>(largest);
    out[2 * r + 1] = sum_exponentials(x, n, largest, KeepNothing());
  }
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

template <class T>
void cross_entropy_gradient(const void* source, const void* targets, const void* weights, void* out,
                            int64_t n, double shift, double scale, double bias) {
  using L = Compute<T>;
  const T* x = static_cast<const T*>(source);
  const T* target = static_cast<const T*>(targets);
  const L* weight = static_cast<const L*>(weights);
  T* __restrict to = static_cast<T*>(out);
  const L center = static_cast<L>(shift), factor = static_cast<L>(scale), b = static_cast<L>(bias);
  if (!target && !weight) {
    for (int64_t i = 0; i < n; ++i) store(to + i, factor * math::exp(load(x + i) - center) - b);
    return;
  }
  for (int64_t i = 0; i < n; ++i)
    store(to + i, factor * math::exp(load(x + i) - center) - b * share(target, weight, i));
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
  return {
      softmax_rows<T>,   softmax_rows_backward<T>, softmax_columns<T>, softmax_columns_backward<T>,
      logsumexp_rows<T>, statistics_rows<T>,       weighted_sums<T>,   cross_entropy_gradient<T>,
      shifted<T>};
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
