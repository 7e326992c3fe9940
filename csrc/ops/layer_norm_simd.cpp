// The loops of layer_norm and rms_norm.
#include "ops/layer_norm.h"

#include "ops/lanes.h"

namespace samara::SAMARA_ISA {
namespace {

using namespace lanes;

// x - mean, the mean being the sum of two numbers: a large mean costs no digits.
template <class L>
struct Center {
  L high, low;
  SAMARA_FUNCTION Center make(double mean) {
    const L high = static_cast<L>(mean);
    return {high, static_cast<L>(mean - static_cast<double>(high))};
  }
  template <class V>
  [[gnu::always_inline]] V operator()(V x) const {
    return (x - high) - low;
  }
};

template <class T>
SAMARA_FUNCTION void normalise_row(const T* __restrict x, const Compute<T>* weight,
                                   const Compute<T>* bias, T* __restrict out, double* statistics,
                                   const NormShape& shape) {
  using L = Compute<T>;
  const int64_t n = shape.n;
  const double count = static_cast<double>(n);
  double mean = 0;
  if (shape.centered) mean = sum_row<L>(x, n, [](auto v) { return v; }) / count;
  const auto center = Center<L>::make(mean);
  const double variance = sum_row<L>(x, n,
                                     [center](auto v) {
                                       const auto d = center(v);
                                       return d * d;
                                     }) /
                          count;
  const double reciprocal = 1.0 / math::sqrt(variance + shape.eps);
  if (statistics) {
    statistics[0] = mean;
    statistics[1] = reciprocal;
  }
  const L scale = static_cast<L>(reciprocal);
  if (weight && bias)
    for (int64_t i = 0; i < n; ++i)
      store(out + i, center(load(x + i)) * scale * weight[i] + bias[i]);
  else if (weight)
    for (int64_t i = 0; i < n; ++i) store(out + i, center(load(x + i)) * scale * weight[i]);
  else if (bias)
    for (int64_t i = 0; i < n; ++i) store(out + i, center(load(x + i)) * scale + bias[i]);
  else
    for (int64_t i = 0; i < n; ++i) store(out + i, center(load(x + i)) * scale);
}

template <class T>
void forward(const void* source, const void* weight, const void* bias, void* target,
             double* statistics, const NormShape& shape) {
  using L = Compute<T>;
  for (int64_t r = 0; r < shape.rows; ++r)
    normalise_row(static_cast<const T*>(source) + r * shape.n, static_cast<const L*>(weight),
                  static_cast<const L*>(bias), static_cast<T*>(target) + r * shape.n,
                  statistics ? statistics + 2 * r : nullptr, shape);
}

// kCount numbers from p on: a vector, or a plain number when that is 1.
template <class L, int kCount, class T>
SAMARA_FUNCTION auto take(const T* p) {
  if constexpr (kCount == 1)
    return static_cast<L>(load(p));
  else
    return load_vector<L, kCount>(p);
}

// With h = g weight and z = (x - mean) / deviation:
// (h - average(h) - z average(h z)) / deviation.
template <class T>
SAMARA_FUNCTION void row_gradient(const T* g, const T* x, const Compute<T>* weight,
                                  const double* statistics, T* __restrict out,
                                  const NormShape& shape) {
  using L = Compute<T>;
  const int64_t n = shape.n;
  const double count = static_cast<double>(n);
  const auto center = Center<L>::make(statistics[0]);
  const L scale = static_cast<L>(statistics[1]);
  const auto along = reduce_lanes<Add, L, double>(n, L(0), 0.0, [&]<int kCount>(int64_t i) {
    const auto product = take<L, kCount>(g + i) * (center(take<L, kCount>(x + i)) * scale);
    return weight ? product * take<L, kCount>(weight + i) : product;
  });
  double sum = 0;
  if (shape.centered)
    sum = reduce_lanes<Add, L, double>(n, L(0), 0.0, [&]<int kCount>(int64_t i) {
      const auto value = take<L, kCount>(g + i);
      return weight ? value * take<L, kCount>(weight + i) : value;
    });
  const L level = static_cast<L>(sum / count), slope = static_cast<L>(along / count);
  if (weight)
    for (int64_t i = 0; i < n; ++i)
      store(out + i,
            (load(g + i) * weight[i] - level - center(load(x + i)) * scale * slope) * scale);
  else
    for (int64_t i = 0; i < n; ++i)
      store(out + i, (load(g + i) - level - center(load(x + i)) * scale * slope) * scale);
}

template <class T>
void backward(const void* gradient, const void* source, const void* weight,
              const double* statistics, void* target, void* weight_gradient, void* bias_gradient,
              const NormShape& shape) {
  using L = Compute<T>;
  const int64_t n = shape.n;
  L* __restrict dw = static_cast<L*>(weight_gradient);
  L* __restrict db = static_cast<L*>(bias_gradient);
  for (int64_t r = 0; r < shape.rows; ++r) {
    const T* g = static_cast<const T*>(gradient) + r * n;
    const T* x = static_cast<const T*>(source) + r * n;
    row_gradient(g, x, static_cast<const L*>(weight), statistics + 2 * r,
                 static_cast<T*>(target) + r * n, shape);
    const auto center = Center<L>::make(statistics[2 * r]);
    const L scale = static_cast<L>(statistics[2 * r + 1]);
    if (dw)
      for (int64_t i = 0; i < n; ++i) dw[i] += load(g + i) * (center(load(x + i)) * scale);
    if (db)
      for (int64_t i = 0; i < n; ++i) db[i] += load(g + i);
  }
}

constexpr NormKernels make_table() {
  NormKernels table{};
  table.norm[static_cast<int>(DType::float16)] = {forward<Float16>, backward<Float16>};
  table.norm[static_cast<int>(DType::bfloat16)] = {forward<BFloat16>, backward<BFloat16>};
  table.norm[static_cast<int>(DType::float32)] = {forward<float>, backward<float>};
  table.norm[static_cast<int>(DType::float64)] = {forward<double>, backward<double>};
  return table;
}

}  // namespace

extern const NormKernels norm_kernels;
constinit const NormKernels norm_kernels = make_table();

}  // namespace samara::SAMARA_ISA
