// The loops of batch, instance and group norm.
#include "ops/channel_norm.h"

#include "ops/activation.h"
#include "ops/lanes.h"

namespace samara::SAMARA_ISA {
namespace {

using namespace lanes;

// --- activations ---------------------------------------------------------------------------------

// 0 with the sign of g.
SAMARA_FUNCTION float signed_zero(float g) { return math::copysign(0.0f, g); }
SAMARA_FUNCTION double signed_zero(double g) { return math::copysign(0.0, g); }
template <class V>
SAMARA_FUNCTION V signed_zero(V g) {
  using Element = __typeof__(g[0] + g[0]);
  constexpr int count = sizeof(V) / sizeof(Element);
  if constexpr (sizeof(Element) == 8)
    return (V)((Vector<uint64_t, count>)g & 0x8000000000000000ull);
  else
    return (V)((Vector<uint32_t, count>)g & 0x80000000u);
}

// Functions of numbers, and where `vectors` says so also of vectors of them.
struct NoActivation {
  static constexpr bool reads_z = false, vectors = true;
  template <class L>
  struct Of {
    SAMARA_FUNCTION Of make(const NormActivationParameters&) { return {}; }
    template <class V>
    [[gnu::always_inline]] V forward(V z) const {
      return z;
    }
    template <class V>
    [[gnu::always_inline]] V backward(V g, V) const {
      return g;
    }
  };
};
struct ClampActivation {
  static constexpr bool reads_z = true, vectors = true;
  template <class L>
  struct Of {
    L low, high;
    SAMARA_FUNCTION Of make(const NormActivationParameters& p) {
      return {static_cast<L>(p.low), static_cast<L>(p.high)};
    }
    template <class V>
    [[gnu::always_inline]] V forward(V z) const {
      const V least = V{} + low, most = V{} + high;
      return z < least ? least : z > most ? most : z;
    }
    // A zero of g's sign, so that g is loaded before the mask is known: a load under a mask that
    // waits for another one halves the memory's pace.
    template <class V>
    [[gnu::always_inline]] V backward(V g, V z) const {
      return ((z > low) & (z < high)) ? g : signed_zero(g);
    }
  };
};
struct LeakyActivation {
  static constexpr bool reads_z = true, vectors = true;
  template <class L>
  struct Of {
    L slope;
    SAMARA_FUNCTION Of make(const NormActivationParameters& p) { return {static_cast<L>(p.low)}; }
    template <class V>
    [[gnu::always_inline]] V forward(V z) const {
      return z > L(0) ? z : z * slope;
    }
    template <class V>
    [[gnu::always_inline]] V backward(V g, V z) const {
      return z > L(0) ? g : g * slope;
    }
  };
};
struct SiluActivation {
  static constexpr bool reads_z = true, vectors = false;
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
  // Those from column i on.
  [[gnu::always_inline]] Coefficient from(int64_t i) const {
    return {kColumns ? numbers + i : numbers, only};
  }
};

template <class L, bool kColumns>
struct Affine {
  Coefficient<L, kColumns> high, low, scale, bias;
  SAMARA_FUNCTION Affine make(const NormCoefficients& c) {
    using One = Coefficient<L, kColumns>;
    return {One::make(c.high), One::make(c.low), One::make(c.scale), One::make(c.bias)};
  }
  [[gnu::always_inline]] Affine from(int64_t i) const {
    return {high.from(i), low.from(i), scale.from(i), bias.from(i)};
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
                                  const Coefficient<Compute<T>, kColumns>& factor,
                                  const Coefficient<Compute<T>, kColumns>& slope,
                                  const Coefficient<Compute<T>, kColumns>& level,
                                  const typename A::template Of<Compute<T>>& activation) {
  using L = Compute<T>;
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

// Numbers that are worked on at a time; they stay in the first cache.
constexpr int64_t kRun = 1024;

// Copies whole lines past the caches; both sides' ends are those of lines.
SAMARA_FUNCTION void stream(void* target, const void* source, int64_t bytes) {
#if defined(__AVX512F__)
  using Line = Vector<float, 16>;
  Line* to = static_cast<Line*>(target);
  for (int64_t i = 0; i < bytes / 64; ++i)
    __builtin_ia32_movntps512(reinterpret_cast<float*>(to + i),
                              static_cast<const Line*>(source)[i]);
#elif defined(__AVX__)
  using Half = Vector<float, 8>;
  Half* to = static_cast<Half*>(target);
  for (int64_t i = 0; i < bytes / 32; ++i)
    __builtin_ia32_movntps256(reinterpret_cast<float*>(to + i),
                              static_cast<const Half*>(source)[i]);
#elif defined(__SSE2__)
  using Quarter = Vector<float, 4>;
  Quarter* to = static_cast<Quarter*>(target);
  for (int64_t i = 0; i < bytes / 16; ++i)
    __builtin_ia32_movntps(reinterpret_cast<float*>(to + i),
                           static_cast<const Quarter*>(source)[i]);
#else
  __builtin_memcpy(target, source, static_cast<size_t>(bytes));
#endif
}
SAMARA_FUNCTION void end_streams() {
#if defined(__SSE2__)
  __builtin_ia32_sfence();
#endif
}

// Calls work(offset, n, out) for the rows of a tile, in parts of at most kRun numbers when these
// are streamed: out is then a buffer and its numbers go past the caches. The columns that the n
// numbers begin with is offset % stride.
template <class T, class Work>
SAMARA_FUNCTION void each_row(T* target, const NormTile& tile, const Work& work) {
  constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(T));
  const bool whole = reinterpret_cast<uintptr_t>(target) % 64 == 0 && tile.columns % line == 0 &&
                     tile.stride % line == 0;
  if (!tile.streams || !whole) {
    for (int64_t r = 0; r < tile.rows; ++r)
      work(r * tile.stride, 0, tile.columns, target + r * tile.stride);
    return;
  }
  alignas(64) T buffer[kRun];
  for (int64_t r = 0; r < tile.rows; ++r)
    for (int64_t i = 0; i < tile.columns; i += kRun) {
      const int64_t n = tile.columns - i < kRun ? tile.columns - i : kRun;
      work(r * tile.stride + i, i, n, buffer);
      stream(target + r * tile.stride + i, buffer, n * static_cast<int64_t>(sizeof(T)));
    }
  end_streams();
}

// --- a few columns: their coefficients stay in registers ---------------------------------------

constexpr int kBlockVectors = sizeof(Vector<float, kLanes<float>>) == 64 ? 4 : 2;

// Wider rows are read in order rather than column by column.
template <class L>
constexpr int64_t kFewColumns = 4 * kBlockVectors * kLanes<L>;

template <class L>
struct ColumnBlock {
  static constexpr int W = kLanes<L>;
  using V = Vector<L, W>;
  V part[kBlockVectors];
  SAMARA_FUNCTION ColumnBlock from(const Coefficient<L, true>& all, int64_t column) {
    ColumnBlock block;
    __builtin_memcpy(block.part, all.numbers + column, sizeof(block.part));
    return block;
  }
  [[gnu::always_inline]] const V& operator[](int k) const { return part[k]; }
};

// Calls work(block of columns) and work's result(offset, k) -> vector k of the block for each row.
template <class T, class Work>
SAMARA_FUNCTION bool by_column_blocks(T* target, const NormTile& tile, const Work& work) {
  using L = Compute<T>;
  constexpr int64_t W = kLanes<L>, width = kBlockVectors * W;
  if (!__is_same(T, L) || tile.columns > kFewColumns<L> || tile.columns % width != 0) return false;
  const bool streams = tile.streams && tile.stride % W == 0 &&
                       reinterpret_cast<uintptr_t>(target) % sizeof(Vector<L, W>) == 0;
  for (int64_t c = 0; c < tile.columns; c += width) {
    const auto row = work(c);
    for (int64_t r = 0; r < tile.rows; ++r)
#pragma GCC unroll 4
      for (int k = 0; k < kBlockVectors; ++k) {
        const int64_t i = r * tile.stride + c + k * W;
        const Vector<L, W> value = row(i, k);
        if (streams)
          stream(target + i, &value, sizeof(value));
        else
          __builtin_memcpy(target + i, &value, sizeof(value));
      }
  }
  if (streams) end_streams();
  return true;
}

template <class T, class A, bool kColumns>
void apply(const void* x, const void* residual, void* y, const NormTile& tile,
           const NormCoefficients& coefficients, const NormActivationParameters& parameters) {
  using L = Compute<T>;
  const auto affine = Affine<L, kColumns>::make(coefficients);
  const auto activation = A::template Of<L>::make(parameters);
  if constexpr (kColumns && A::vectors) {
    const bool done = by_column_blocks(static_cast<T*>(y), tile, [&](int64_t c) {
      using Block = ColumnBlock<L>;
      return [=, high = Block::from(affine.high, c), low = Block::from(affine.low, c),
              scale = Block::from(affine.scale, c),
              bias = Block::from(affine.bias, c)](int64_t i, int k) __attribute__((always_inline)) {
        const auto source = load_vector<L, Block::W>(at<T>(x, i));
        auto z = ((source - high[k]) - low[k]) * scale[k] + bias[k];
        if (residual) z += load_vector<L, Block::W>(at<T>(residual, i));
        return activation.forward(z);
      };
    });
    if (done) return;
  }
  each_row(static_cast<T*>(y), tile, [&](int64_t offset, int64_t column, int64_t n, T* out) {
    apply_row<T, A, kColumns>(at<T>(x, offset), at<T>(residual, offset), out, n,
                              affine.from(column), activation);
  });
}

template <class T, class A, bool kColumns>
void gradient(const void* g, const void* x, const void* residual, void* dx, void* residual_gradient,
              const NormTile& tile, const NormCoefficients& coefficients,
              const NormActivationParameters& parameters) {
  using L = Compute<T>;
  using One = Coefficient<L, kColumns>;
  const auto affine = Affine<L, kColumns>::make(coefficients);
  const auto activation = A::template Of<L>::make(parameters);
  const One factor = One::make(coefficients.factor), slope = One::make(coefficients.slope),
            level = One::make(coefficients.level);
  if constexpr (kColumns && A::vectors) {
    const bool done = by_column_blocks(static_cast<T*>(dx), tile, [&](int64_t c) {
      using Block = ColumnBlock<L>;
      return [=, high = Block::from(affine.high, c), low = Block::from(affine.low, c),
              scale = Block::from(affine.scale, c), bias = Block::from(affine.bias, c),
              by_g = Block::from(factor, c), by_d = Block::from(slope, c),
              plain = Block::from(level, c)](int64_t i, int k) __attribute__((always_inline)) {
        const auto d = (load_vector<L, Block::W>(at<T>(x, i)) - high[k]) - low[k];
        auto gated = load_vector<L, Block::W>(at<T>(g, i));
        if constexpr (A::reads_z) {
          auto z = d * scale[k] + bias[k];
          if (residual) z += load_vector<L, Block::W>(at<T>(residual, i));
          gated = activation.backward(gated, z);
        }
        if (residual_gradient) __builtin_memcpy(at<L>(residual_gradient, i), &gated, sizeof(gated));
        return gated * by_g[k] + (d * by_d[k] + plain[k]);
      };
    });
    if (done) return;
  }
  each_row(static_cast<T*>(dx), tile, [&](int64_t offset, int64_t column, int64_t n, T* out) {
    gradient_row<T, A, kColumns>(at<T>(g, offset), at<T>(x, offset), at<T>(residual, offset), out,
                                 at<T>(residual_gradient, offset), n, affine.from(column),
                                 factor.from(column), slope.from(column), level.from(column),
                                 activation);
  });
}

// kCount numbers from p on: a vector, or a plain number when that is 1.
template <class L, int kCount, class T>
SAMARA_FUNCTION auto take(const T* p) {
  if constexpr (kCount == 1)
    return static_cast<L>(load(p));
  else
    return load_vector<L, kCount>(p);
}

template <class V>
struct Two {
  V first, second;
};

// The sums over i of both numbers that pair<kCount>(i) gives for the kCount numbers from i on.
template <class L, class Pair>
SAMARA_FUNCTION Two<double> pair_sums(int64_t n, const Pair& pair) {
  constexpr int W = kLanes<L>;
  using V = Vector<L, W>;
  Two<double> total{0, 0};
  int64_t i = 0;
  if (n < W) {
    for (; i < n; ++i) {
      const auto p = pair.template operator()<1>(i);
      total.first += static_cast<double>(p.first);
      total.second += static_cast<double>(p.second);
    }
    return total;
  }
  WideLanes<Add, L, double> first(0.0), second(0.0);
  while (n - i >= W) {
    V a{}, b{}, c{}, d{};
    const int64_t end = n - i < 2 * W * kLaneRun ? n : i + 2 * W * kLaneRun;
    for (; end - i >= 2 * W; i += 2 * W) {
      const auto p = pair.template operator()<W>(i), q = pair.template operator()<W>(i + W);
      a += p.first;
      b += p.second;
      c += q.first;
      d += q.second;
    }
    for (; end - i >= W; i += W) {
      const auto p = pair.template operator()<W>(i);
      a += p.first;
      b += p.second;
    }
    first.add(a + c);
    second.add(b + d);
  }
  if (i < n) {
    const auto p = pair.template operator()<W>(n - W);
    first.add(last_lanes(p.first, n - i, L(0)));
    second.add(last_lanes(p.second, n - i, L(0)));
  }
  return {first.fold(), second.fold()};
}

// A run's g' is made in pieces where the activation takes no vectors.
template <class T, class A>
void run_sums(const void* gradient, const void* source, const void* residual, const NormTile& tile,
              const NormCoefficients& coefficients, const NormActivationParameters& parameters,
              double* sum, double* product) {
  using L = Compute<T>;
  const auto affine = Affine<L, false>::make(coefficients);
  const auto activation = A::template Of<L>::make(parameters);
  const L high = affine.high[0], low = affine.low[0], scale = affine.scale[0],
          bias = affine.bias[0];
  Two<double> all{0, 0};
  if constexpr (A::vectors) {
    const T* g = at<T>(gradient, 0);
    const T* x = at<T>(source, 0);
    const T* extra = at<T>(residual, 0);
    all = pair_sums<L>(tile.columns, [=]<int kCount>(int64_t i) {
      const auto d = (take<L, kCount>(x + i) - high) - low;
      auto gated = take<L, kCount>(g + i);
      using V = __typeof__(gated);
      if constexpr (A::reads_z) {
        V z = d * scale + bias;
        if (extra) z += take<L, kCount>(extra + i);
        gated = activation.backward(gated, z);
      }
      return Two<V>{gated, gated * d};
    });
  } else {
    L gated[kRun];
    for (int64_t begin = 0; begin < tile.columns; begin += kRun) {
      const int64_t n = tile.columns - begin < kRun ? tile.columns - begin : kRun;
      const T* x = at<T>(source, begin);
      gate_row<T, A>(at<T>(gradient, begin), x, at<T>(residual, begin), gated, n, affine,
                     activation);
      const Two<double> part = pair_sums<L>(n, [&]<int kCount>(int64_t i) {
        const auto value = take<L, kCount>(gated + i);
        using V = __typeof__(value + value);
        return Two<V>{value, value * ((take<L, kCount>(x + i) - high) - low)};
      });
      all.first += part.first;
      all.second += part.second;
    }
  }
  *sum = all.first;
  *product = all.second;
}

// Rows whose numbers are added in L before the sums go into double.
constexpr int64_t kRowRun = 16;

// kParts vectors of columns with their sums in registers. Wide sums are kept in memory.
template <class T, class A, int kParts>
SAMARA_FUNCTION void sums_of_columns(const T* gradient, const T* source, const T* residual,
                                     const NormTile& tile, const Affine<Compute<T>, true>& affine,
                                     const typename A::template Of<Compute<T>>& activation,
                                     double* sum, double* product) {
  using L = Compute<T>;
  constexpr int W = kLanes<L>;
  using V = Vector<L, W>;
  V high[kParts], low[kParts], scale[kParts], bias[kParts];
  for (int k = 0; k < kParts; ++k) {
    high[k] = load_vector<L, W>(affine.high.numbers + k * W);
    low[k] = load_vector<L, W>(affine.low.numbers + k * W);
    scale[k] = load_vector<L, W>(affine.scale.numbers + k * W);
    bias[k] = load_vector<L, W>(affine.bias.numbers + k * W);
  }
  for (int j = 0; j < kParts * W; ++j) sum[j] = product[j] = 0;
  for (int64_t begin = 0; begin < tile.rows; begin += kRowRun) {
    const int64_t end = tile.rows - begin < kRowRun ? tile.rows : begin + kRowRun;
    V total[kParts], along[kParts];
    for (int k = 0; k < kParts; ++k) total[k] = along[k] = V{};
    for (int64_t r = begin; r < end; ++r)
      for (int k = 0; k < kParts; ++k) {
        const int64_t i = r * tile.stride + k * W;
        const V d = (load_vector<L, W>(source + i) - high[k]) - low[k];
        V gated = load_vector<L, W>(gradient + i);
        if constexpr (A::reads_z) {
          V z = d * scale[k] + bias[k];
          if (residual) z += load_vector<L, W>(residual + i);
          gated = activation.backward(gated, z);
        }
        total[k] += gated;
        along[k] += gated * d;
      }
    L totals[kParts * W], alongs[kParts * W];
    __builtin_memcpy(totals, total, sizeof(total));
    __builtin_memcpy(alongs, along, sizeof(along));
    for (int j = 0; j < kParts * W; ++j) {
      sum[j] += static_cast<double>(totals[j]);
      product[j] += static_cast<double>(alongs[j]);
    }
  }
}

// Columns [first, tile.columns) by rows, their sums in memory.
template <class T, class A>
SAMARA_FUNCTION void sums_by_rows(const T* gradient, const T* source, const T* residual,
                                  const NormTile& tile, int64_t first,
                                  const Affine<Compute<T>, true>& affine,
                                  const typename A::template Of<Compute<T>>& activation,
                                  double* sum, double* product) {
  using L = Compute<T>;
  const int64_t n = tile.columns;
  L total[kNormColumns], along[kNormColumns];
  for (int64_t i = first; i < n; ++i) sum[i] = product[i] = 0;
  for (int64_t begin = 0; begin < tile.rows; begin += kRowRun) {
    const int64_t end = tile.rows - begin < kRowRun ? tile.rows : begin + kRowRun;
    for (int64_t i = first; i < n; ++i) total[i] = along[i] = 0;
    for (int64_t r = begin; r < end; ++r) {
      const T* __restrict g = gradient + r * tile.stride;
      const T* __restrict x = source + r * tile.stride;
      const T* __restrict extra = residual ? residual + r * tile.stride : nullptr;
      const auto add = [&](int64_t i, L d, L z) {
        const L gated = activation.backward(load(g + i), z);
        total[i] += gated;
        along[i] += gated * d;
      };
      if (extra)
        for (int64_t i = first; i < n; ++i) {
          const L d = affine.center(load(x + i), i);
          add(i, d, affine.normal(d, i) + load(extra + i));
        }
      else
        for (int64_t i = first; i < n; ++i) {
          const L d = affine.center(load(x + i), i);
          add(i, d, affine.normal(d, i));
        }
    }
    for (int64_t i = first; i < n; ++i) {
      sum[i] += static_cast<double>(total[i]);
      product[i] += static_cast<double>(along[i]);
    }
  }
}

template <class T, class A>
void column_sums(const void* gradient, const void* source, const void* residual,
                 const NormTile& tile, const NormCoefficients& coefficients,
                 const NormActivationParameters& parameters, double* sum, double* product) {
  using L = Compute<T>;
  constexpr int W = kLanes<L>, kParts = 4;
  const auto affine = Affine<L, true>::make(coefficients);
  const auto activation = A::template Of<L>::make(parameters);
  int64_t i = 0;
  if constexpr (A::vectors) {
    for (; i + kParts * W <= tile.columns; i += kParts * W)
      sums_of_columns<T, A, kParts>(at<T>(gradient, i), at<T>(source, i), at<T>(residual, i), tile,
                                    affine.from(i), activation, sum + i, product + i);
    for (; i + W <= tile.columns; i += W)
      sums_of_columns<T, A, 1>(at<T>(gradient, i), at<T>(source, i), at<T>(residual, i), tile,
                               affine.from(i), activation, sum + i, product + i);
  }
  if (i < tile.columns)
    sums_by_rows<T, A>(at<T>(gradient, 0), at<T>(source, 0), at<T>(residual, 0), tile, i, affine,
                       activation, sum, product);
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

// What the sums of d = x - center and of d^2 over n numbers say, when they say it well: a center
// far from the mean, in deviations, costs digits.
struct Shifted {
  double mean, squares;
  bool good;
};
SAMARA_FUNCTION Shifted shifted(double n, double center, double sum, double square) {
  const double lost = sum * sum / n;
  // Not finite: two passes will tell the same.
  return {center + sum / n, square - lost, !(lost > 0.75 * square)};
}

template <class L, class T>
SAMARA_FUNCTION Shifted shifted_run(const T* x, int64_t n, L center) {
  const Two<double> sums = pair_sums<L>(n, [=]<int kCount>(int64_t i) {
    const auto d = take<L, kCount>(x + i) - center;
    using V = __typeof__(d + d);
    return Two<V>{d, d * d};
  });
  return shifted(static_cast<double>(n), static_cast<double>(center), sums.first, sums.second);
}

// Pieces that stay in the first cache: one pass about the mean of what came before, and another
// one about their own where that is too far away.
template <class T>
void run_statistics(const void* source, const NormTile& tile, double* mean, double* squares) {
  using L = Compute<T>;
  constexpr int64_t piece = 4096, start = 512;
  const T* all = at<T>(source, 0);
  Merged merged{0, 0};
  L center = 0;
  for (int64_t begin = 0; begin < tile.columns; begin += piece) {
    const int64_t n = tile.columns - begin < piece ? tile.columns - begin : piece;
    const T* x = all + begin;
    if (begin == 0) {
      const int64_t few = n < start ? n : start;
      center =
          static_cast<L>(sum_row<L>(x, few, [](auto v) { return v; }) / static_cast<double>(few));
    }
    Shifted part = shifted_run<L>(x, n, center);
    if (!part.good) part = shifted_run<L>(x, n, static_cast<L>(part.mean));
    merged = merge(static_cast<double>(begin), merged.mean, merged.squares, static_cast<double>(n),
                   part.mean, part.squares);
    center = static_cast<L>(merged.mean);
  }
  *mean = merged.mean;
  *squares = merged.squares;
}

// The same for kParts vectors of columns about `center`, their sums in registers and then in
// double; false where some center was too far away.
template <class T, int kParts, int W>
SAMARA_FUNCTION bool shifted_columns(const T* x, const NormTile& tile, const Compute<T>* center,
                                     double* mean, double* squares) {
  using L = Compute<T>;
  using V = Vector<L, W>;
  constexpr int count = kParts * W;
  V middle[kParts];
  __builtin_memcpy(middle, center, sizeof(middle));
  double sums[count], sums_of_squares[count];
  for (int j = 0; j < count; ++j) sums[j] = sums_of_squares[j] = 0;
  for (int64_t begin = 0; begin < tile.rows; begin += kRowRun) {
    const int64_t end = tile.rows - begin < kRowRun ? tile.rows : begin + kRowRun;
    V sum[kParts], square[kParts];
    for (int k = 0; k < kParts; ++k) sum[k] = square[k] = V{};
    for (int64_t r = begin; r < end; ++r)
      for (int k = 0; k < kParts; ++k) {
        const V d = load_vector<L, W>(x + r * tile.stride + k * W) - middle[k];
        sum[k] += d;
        square[k] += d * d;
      }
    L part[count], part_squares[count];
    __builtin_memcpy(part, sum, sizeof(sum));
    __builtin_memcpy(part_squares, square, sizeof(square));
    for (int j = 0; j < count; ++j) {
      sums[j] += static_cast<double>(part[j]);
      sums_of_squares[j] += static_cast<double>(part_squares[j]);
    }
  }
  const double n = static_cast<double>(tile.rows);
  bool good = true;
  for (int j = 0; j < count; ++j) {
    const Shifted found = shifted(n, static_cast<double>(center[j]), sums[j], sums_of_squares[j]);
    mean[j] = found.mean;
    squares[j] = found.squares;
    good = good && found.good;
  }
  return good;
}

template <class T, int kParts, int W>
SAMARA_FUNCTION void statistics_of_columns(const T* x, const NormTile& tile, double* mean,
                                           double* squares) {
  using L = Compute<T>;
  constexpr int count = kParts * W;
  const int64_t few = tile.rows < kRowRun ? tile.rows : kRowRun;
  L center[count];
  for (int j = 0; j < count; ++j) center[j] = 0;
  for (int64_t r = 0; r < few; ++r)
    for (int j = 0; j < count; ++j) center[j] += load(x + r * tile.stride + j);
  for (int j = 0; j < count; ++j) center[j] /= static_cast<L>(few);
  if (shifted_columns<T, kParts, W>(x, tile, center, mean, squares)) return;
  for (int j = 0; j < count; ++j) center[j] = static_cast<L>(mean[j]);
  shifted_columns<T, kParts, W>(x, tile, center, mean, squares);
}

template <class T>
void column_statistics(const void* source, const NormTile& tile, double* mean, double* squares) {
  constexpr int W = kLanes<Compute<T>>, kParts = 4;
  const T* x = static_cast<const T*>(source);
  int64_t i = 0;
  if (tile.rows == 1) {
    for (; i < tile.columns; ++i) {
      mean[i] = static_cast<double>(load(x + i));
      squares[i] = 0;
    }
    return;
  }
  for (; i + kParts * W <= tile.columns; i += kParts * W)
    statistics_of_columns<T, kParts, W>(x + i, tile, mean + i, squares + i);
  for (; i + W <= tile.columns; i += W)
    statistics_of_columns<T, 1, W>(x + i, tile, mean + i, squares + i);
  for (; i + 2 <= tile.columns; i += 2)
    statistics_of_columns<T, 1, 2>(x + i, tile, mean + i, squares + i);
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
