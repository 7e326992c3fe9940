// The loops of batch, instance and group norm.
#include "ops/channel_norm.h"

#include "ops/activation.h"
#include "ops/lanes.h"

namespace samara::SAMARA_ISA {
namespace {

using namespace lanes;

// --- activations ---------------------------------------------------------------------------------

struct NoActivation {
  static constexpr bool reads_z = false;
  template <class L>
  struct Of {
    SAMARA_FUNCTION Of make(const NormActivationParameters&) { return {}; }
    [[gnu::always_inline]] L forward(L z) const { return z; }
    [[gnu::always_inline]] L backward(L g, L) const { return g; }
  };
};
struct ClampActivation {
  static constexpr bool reads_z = true;
  template <class L>
  struct Of {
    L low, high;
    SAMARA_FUNCTION Of make(const NormActivationParameters& p) {
      return {static_cast<L>(p.low), static_cast<L>(p.high)};
    }
    [[gnu::always_inline]] L forward(L z) const { return z < low ? low : z > high ? high : z; }
    // A zero of g's sign, so that g is loaded before the mask is known: a load under a mask that
    // waits for another one halves the memory's pace.
    [[gnu::always_inline]] L backward(L g, L z) const {
      return (z > low) & (z < high) ? g : math::copysign(L(0), g);
    }
  };
};
struct LeakyActivation {
  static constexpr bool reads_z = true;
  template <class L>
  struct Of {
    double slope;
    SAMARA_FUNCTION Of make(const NormActivationParameters& p) { return {p.low}; }
    [[gnu::always_inline]] L forward(L z) const { return pointwise::LeakyRelu::forward(z, &slope); }
    [[gnu::always_inline]] L backward(L g, L z) const {
      return pointwise::LeakyRelu::backward(g, z, z, &slope);
    }
  };
};
struct SiluActivation {
  static constexpr bool reads_z = true;
  template <class L>
  struct Of {
    SAMARA_FUNCTION Of make(const NormActivationParameters&) { return {}; }
    [[gnu::always_inline]] L forward(L z) const { return pointwise::Silu::forward(z); }
    [[gnu::always_inline]] L backward(L g, L z) const { return pointwise::Silu::backward(g, z, z); }
  };
};

// --- coefficients --------------------------------------------------------------------------------

// Number i of an array, or the only one.
template <class L, bool kColumns>
struct Coefficient {
  const L* numbers;
  L only;
  SAMARA_FUNCTION Coefficient make(const void* p) {
    const L* numbers = static_cast<const L*>(p);
    return {numbers, kColumns || !numbers ? L(0) : *numbers};
  }
  [[gnu::always_inline]] L operator[](int64_t i) const { return kColumns ? numbers[i] : only; }
};

template <class L, bool kColumns>
struct Affine {
  Coefficient<L, kColumns> high, low, scale, bias;
  SAMARA_FUNCTION Affine make(const NormCoefficients& c) {
    using One = Coefficient<L, kColumns>;
    return {One::make(c.high), One::make(c.low), One::make(c.scale), One::make(c.bias)};
  }
  [[gnu::always_inline]] L center(L x, int64_t i) const { return (x - high[i]) - low[i]; }
  [[gnu::always_inline]] L normal(L centered, int64_t i) const {
    return centered * scale[i] + bias[i];
  }
};

// --- one row of numbers --------------------------------------------------------------------------

template <class T, class A, bool kColumns>
SAMARA_FUNCTION void apply_row(const T* __restrict x, const T* __restrict residual, T* __restrict y,
                               int64_t n, const Affine<Compute<T>, kColumns>& affine,
                               const typename A::template Of<Compute<T>>& activation) {
  if (residual)
    for (int64_t i = 0; i < n; ++i)
      store(y + i, activation.forward(affine.normal(affine.center(load(x + i), i), i) +
                                      load(residual + i)));
  else
    for (int64_t i = 0; i < n; ++i)
      store(y + i, activation.forward(affine.normal(affine.center(load(x + i), i), i)));
}

// The gradient before the activation, g'.
template <class T, class A, bool kColumns>
SAMARA_FUNCTION void gate_row(const T* __restrict g, const T* __restrict x,
                              const T* __restrict residual, Compute<T>* __restrict out, int64_t n,
                              const Affine<Compute<T>, kColumns>& affine,
                              const typename A::template Of<Compute<T>>& activation) {
  using L = Compute<T>;
  if (!A::reads_z)
    for (int64_t i = 0; i < n; ++i) out[i] = load(g + i);
  else if (residual)
    for (int64_t i = 0; i < n; ++i) {
      const L z = affine.normal(affine.center(load(x + i), i), i) + load(residual + i);
      out[i] = activation.backward(load(g + i), z);
    }
  else
    for (int64_t i = 0; i < n; ++i)
      out[i] = activation.backward(load(g + i), affine.normal(affine.center(load(x + i), i), i));
}

template <class T, class A, bool kColumns>
SAMARA_FUNCTION void gradient_row(const T* __restrict g, const T* __restrict x,
                                  const T* __restrict residual, T* __restrict dx,
                                  T* __restrict residual_gradient, int64_t n,
                                  const Affine<Compute<T>, kColumns>& affine,
                                  const NormCoefficients& coefficients,
                                  const typename A::template Of<Compute<T>>& activation) {
  using L = Compute<T>;
  using One = Coefficient<L, kColumns>;
  const One factor = One::make(coefficients.factor), slope = One::make(coefficients.slope),
            level = One::make(coefficients.level);
  if (residual_gradient || residual) {
    for (int64_t i = 0; i < n; ++i) {
      const L d = affine.center(load(x + i), i);
      const L z = affine.normal(d, i) + (residual ? load(residual + i) : L(0));
      const L gated = activation.backward(load(g + i), z);
      if (residual_gradient) store(residual_gradient + i, gated);
      store(dx + i, gated * factor[i] + (d * slope[i] + level[i]));
    }
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    const L d = affine.center(load(x + i), i);
    const L gated =
        A::reads_z ? activation.backward(load(g + i), affine.normal(d, i)) : load(g + i);
    store(dx + i, gated * factor[i] + (d * slope[i] + level[i]));
  }
}

// --- tiles ---------------------------------------------------------------------------------------

template <class T>
SAMARA_FUNCTION const T* at(const void* p, int64_t offset) {
  return p ? static_cast<const T*>(p) + offset : nullptr;
}
template <class T>
SAMARA_FUNCTION T* at(void* p, int64_t offset) {
  return p ? static_cast<T*>(p) + offset : nullptr;
}

template <class T, class A, bool kColumns>
void apply(const void* x, const void* residual, void* y, const NormTile& tile,
           const NormCoefficients& coefficients, const NormActivationParameters& parameters) {
  using L = Compute<T>;
  const auto affine = Affine<L, kColumns>::make(coefficients);
  const auto activation = A::template Of<L>::make(parameters);
  for (int64_t r = 0; r < tile.rows; ++r) {
    const int64_t offset = r * tile.stride;
    apply_row<T, A, kColumns>(at<T>(x, offset), at<T>(residual, offset), at<T>(y, offset),
                              tile.columns, affine, activation);
  }
}

template <class T, class A, bool kColumns>
void gradient(const void* g, const void* x, const void* residual, void* dx, void* residual_gradient,
              const NormTile& tile, const NormCoefficients& coefficients,
              const NormActivationParameters& parameters) {
  using L = Compute<T>;
  const auto affine = Affine<L, kColumns>::make(coefficients);
  const auto activation = A::template Of<L>::make(parameters);
  for (int64_t r = 0; r < tile.rows; ++r) {
    const int64_t offset = r * tile.stride;
    gradient_row<T, A, kColumns>(at<T>(g, offset), at<T>(x, offset), at<T>(residual, offset),
                                 at<T>(dx, offset), at<T>(residual_gradient, offset), tile.columns,
                                 affine, coefficients, activation);
  }
}

// Numbers of a run that are gated at a time; they stay in the first cache.
constexpr int64_t kRun = 1024;

template <class T, class A>
void run_sums(const void* gradient, const void* source, const void* residual, const NormTile& tile,
              const NormCoefficients& coefficients, const NormActivationParameters& parameters,
              double* sum, double* product) {
  using L = Compute<T>;
  const auto affine = Affine<L, false>::make(coefficients);
  const auto activation = A::template Of<L>::make(parameters);
  const L high = affine.high[0], low = affine.low[0];
  L gated[kRun];
  double total = 0, along = 0;
  for (int64_t begin = 0; begin < tile.columns; begin += kRun) {
    const int64_t n = tile.columns - begin < kRun ? tile.columns - begin : kRun;
    const T* g = at<T>(gradient, begin);
    const T* x = at<T>(source, begin);
    gate_row<T, A, false>(g, x, at<T>(residual, begin), gated, n, affine, activation);
    total += sum_row<L>(gated, n, [](auto v) { return v; });
    along +=
        sum_row<L>(gated, x, n, [high, low](auto v, auto u) { return v * ((u - high) - low); });
  }
  *sum = total;
  *product = along;
}

// Rows whose numbers are added in L before the sums go into double.
constexpr int64_t kRowRun = 16;

template <class T, class A>
void column_sums(const void* gradient, const void* source, const void* residual,
                 const NormTile& tile, const NormCoefficients& coefficients,
                 const NormActivationParameters& parameters, double* sum, double* product) {
  using L = Compute<T>;
  const auto affine = Affine<L, true>::make(coefficients);
  const auto activation = A::template Of<L>::make(parameters);
  const int64_t n = tile.columns;
  L total[kNormColumns], along[kNormColumns];
  for (int64_t i = 0; i < n; ++i) sum[i] = product[i] = 0;
  for (int64_t begin = 0; begin < tile.rows; begin += kRowRun) {
    const int64_t end = tile.rows - begin < kRowRun ? tile.rows : begin + kRowRun;
    for (int64_t i = 0; i < n; ++i) total[i] = along[i] = 0;
    for (int64_t r = begin; r < end; ++r) {
      const T* __restrict g = at<T>(gradient, r * tile.stride);
      const T* __restrict x = at<T>(source, r * tile.stride);
      const T* __restrict extra = at<T>(residual, r * tile.stride);
      if (A::reads_z && extra)
        for (int64_t i = 0; i < n; ++i) {
          const L d = affine.center(load(x + i), i);
          const L gated = activation.backward(load(g + i), affine.normal(d, i) + load(extra + i));
          total[i] += gated;
          along[i] += gated * d;
        }
      else
        for (int64_t i = 0; i < n; ++i) {
          const L d = affine.center(load(x + i), i);
          const L gated =
              A::reads_z ? activation.backward(load(g + i), affine.normal(d, i)) : load(g + i);
          total[i] += gated;
          along[i] += gated * d;
        }
    }
    for (int64_t i = 0; i < n; ++i) {
      sum[i] += static_cast<double>(total[i]);
      product[i] += static_cast<double>(along[i]);
    }
  }
}

// --- statistics ----------------------------------------------------------------------------------

// Mean and squared deviations of n + m numbers from those of n and of m numbers.
struct Merged {
  double mean, squares;
};
SAMARA_FUNCTION Merged merge(double n, double mean, double squares, double m, double other_mean,
                             double other_squares) {
  const double delta = other_mean - mean, share = m / (n + m);
  return {mean + delta * share, squares + other_squares + delta * delta * (n * share)};
}

// Two passes over pieces that stay in the first cache.
template <class T>
void run_statistics(const void* source, const NormTile& tile, double* mean, double* squares) {
  using L = Compute<T>;
  constexpr int64_t piece = 4096;
  Merged all{0, 0};
  for (int64_t begin = 0; begin < tile.columns; begin += piece) {
    const int64_t n = tile.columns - begin < piece ? tile.columns - begin : piece;
    const T* x = at<T>(source, begin);
    const double count = static_cast<double>(n);
    const double center = sum_row<L>(x, n, [](auto v) { return v; }) / count;
    const L high = static_cast<L>(center);
    const L low = static_cast<L>(center - static_cast<double>(high));
    const auto centered = [high, low](auto v) { return (v - high) - low; };
    // The center is rounded; what the deviations still add up to corrects it.
    const double rest = sum_row<L>(x, n, centered);
    const double deviations = sum_row<L>(x, n, [centered](auto v) {
      const auto d = centered(v);
      return d * d;
    });
    all = merge(static_cast<double>(begin), all.mean, all.squares, count, center + rest / count,
                deviations - rest * rest / count);
  }
  *mean = all.mean;
  *squares = all.squares;
}

// kCount columns: each of few rows at a time, twice, the second time from the first cache.
template <class T, int kCount>
SAMARA_FUNCTION void statistics_of_columns(const T* x, const NormTile& tile, double* mean,
                                           double* squares) {
  using L = Compute<T>;
  using V = Vector<L, kCount>;
  double center[kCount], total[kCount];
  for (int j = 0; j < kCount; ++j) center[j] = total[j] = 0;
  for (int64_t begin = 0; begin < tile.rows; begin += kRowRun) {
    const int64_t rows = tile.rows - begin < kRowRun ? tile.rows - begin : kRowRun;
    const T* p = x + begin * tile.stride;
    const L count = static_cast<L>(rows);
    V sum{};
    for (int64_t r = 0; r < rows; ++r) sum += load_vector<L, kCount>(p + r * tile.stride);
    const V middle = sum / count;
    V deviation{}, square{};
    for (int64_t r = 0; r < rows; ++r) {
      const V d = load_vector<L, kCount>(p + r * tile.stride) - middle;
      deviation += d;
      square += d * d;
    }
    // The middle is rounded; what the deviations still add up to corrects it.
    const V rest = deviation / count;
    square -= deviation * rest;
    L middles[kCount], rests[kCount], parts[kCount];
    __builtin_memcpy(middles, &middle, sizeof(middle));
    __builtin_memcpy(rests, &rest, sizeof(rest));
    __builtin_memcpy(parts, &square, sizeof(square));
    const double n = static_cast<double>(begin), m = static_cast<double>(rows);
    const double share = m / (n + m), weight = n * share;
    for (int j = 0; j < kCount; ++j) {
      const double here = static_cast<double>(middles[j]) + static_cast<double>(rests[j]);
      const double delta = here - center[j];
      center[j] += delta * share;
      total[j] += static_cast<double>(parts[j]) + delta * delta * weight;
    }
  }
  for (int j = 0; j < kCount; ++j) {
    mean[j] = center[j];
    squares[j] = total[j];
  }
}

template <class T>
void column_statistics(const void* source, const NormTile& tile, double* mean, double* squares) {
  constexpr int W = kLanes<Compute<T>>;
  const T* x = static_cast<const T*>(source);
  int64_t i = 0;
  if (tile.rows == 1) {
    for (; i < tile.columns; ++i) {
      mean[i] = static_cast<double>(load(x + i));
      squares[i] = 0;
    }
    return;
  }
  for (; i + W <= tile.columns; i += W)
    statistics_of_columns<T, W>(x + i, tile, mean + i, squares + i);
  for (; i + 2 <= tile.columns; i += 2)
    statistics_of_columns<T, 2>(x + i, tile, mean + i, squares + i);
  if (i < tile.columns) {
    for (int64_t r = 0; r < tile.rows; ++r) {
      const double value = static_cast<double>(load(x + i + r * tile.stride));
      const Merged all = r == 0 ? Merged{value, 0}
                                : merge(static_cast<double>(r), mean[i], squares[i], 1, value, 0);
      mean[i] = all.mean;
      squares[i] = all.squares;
    }
  }
}

// --- the table -----------------------------------------------------------------------------------

template <class T, class A>
constexpr void add_activation(ChannelNormKernel& kernel, NormActivation activation) {
  const int i = static_cast<int>(activation);
  kernel.runs[i] = {apply<T, A, false>, run_sums<T, A>, gradient<T, A, false>};
  kernel.columns[i] = {apply<T, A, true>, column_sums<T, A>, gradient<T, A, true>};
}

template <class T>
constexpr void add_type(ChannelNormKernels& table, DType dtype) {
  ChannelNormKernel& kernel = table.norm[static_cast<int>(dtype)];
  kernel.run_statistics = run_statistics<T>;
  kernel.column_statistics = column_statistics<T>;
  add_activation<T, NoActivation>(kernel, NormActivation::none);
  add_activation<T, ClampActivation>(kernel, NormActivation::clamp);
  add_activation<T, LeakyActivation>(kernel, NormActivation::leaky_relu);
  add_activation<T, SiluActivation>(kernel, NormActivation::silu);
}

constexpr ChannelNormKernels make_table() {
  ChannelNormKernels table{};
  add_type<Float16>(table, DType::float16);
  add_type<BFloat16>(table, DType::bfloat16);
  add_type<float>(table, DType::float32);
  add_type<double>(table, DType::float64);
  return table;
}

}  // namespace

extern const ChannelNormKernels channel_norm_kernels;
constinit const ChannelNormKernels channel_norm_kernels = make_table();

}  // namespace samara::SAMARA_ISA
