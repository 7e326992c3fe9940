// The loops of the losses that compare two tensors elementwise.
#include "ops/loss.h"

#include "ops/lanes.h"

namespace samara::SAMARA_ISA {
namespace {

using namespace lanes;

// f(d) and f'(d) of the difference d; p is the loss's parameter. `value` takes numbers and vectors.
struct Squared {
  template <class V, class L>
  SAMARA_FUNCTION V value(V d, L) {
    return d * d;
  }
  template <class L>
  SAMARA_FUNCTION L slope(L d, L) {
    return d + d;
  }
};
template <class L>
SAMARA_FUNCTION L sign(L d) {
  return d > 0 ? L(1) : d < 0 ? L(-1) : d;
}
struct Absolute {
  template <class V, class L>
  SAMARA_FUNCTION V value(V d, L) {
    return absolute(d);
  }
  template <class L>
  SAMARA_FUNCTION L slope(L d, L) {
    return sign(d);
  }
};
// Squared within p of 0, absolute outside.
struct Huber {
  template <class V, class L>
  SAMARA_FUNCTION V value(V d, L p) {
    const V size = absolute(d);
    return size < p ? d * d * L(0.5) : (size - L(0.5) * p) * p;
  }
  template <class L>
  SAMARA_FUNCTION L slope(L d, L p) {
    return math::abs(d) < p ? d : sign(d) * p;
  }
};
// Huber's loss divided by p; for p = 0 the absolute difference.
struct Smooth {
  template <class V, class L>
  SAMARA_FUNCTION V value(V d, L p) {
    const V size = absolute(d);
    return size < p ? d * d * L(0.5) / p : size - L(0.5) * p;
  }
  template <class L>
  SAMARA_FUNCTION L slope(L d, L p) {
    return math::abs(d) < p ? d / p : sign(d);
  }
};

template <class F, class T>
double loss_sum(const void* x, const void* y, int64_t n, double parameter) {
  using L = Compute<T>;
  const L p = static_cast<L>(parameter);
  return sum_row<L>(static_cast<const T*>(x), static_cast<const T*>(y), n,
                    [p](auto a, auto b) { return F::value(a - b, p); });
}

template <class F, class T>
void loss_values(const void* xs, const void* ys, void* target, int64_t n, double parameter) {
  using L = Compute<T>;
  const T* x = static_cast<const T*>(xs);
  const T* y = static_cast<const T*>(ys);
  T* __restrict out = static_cast<T*>(target);
  const L p = static_cast<L>(parameter);
  for (int64_t i = 0; i < n; ++i)
    store(out + i, F::value(static_cast<L>(load(x + i) - load(y + i)), p));
}

template <class F, class T>
void loss_gradient(const void* xs, const void* ys, const void* gs, void* target, int64_t n,
                   double parameter, double scale) {
  using L = Compute<T>;
  const T* x = static_cast<const T*>(xs);
  const T* y = static_cast<const T*>(ys);
  const T* g = static_cast<const T*>(gs);
  T* __restrict out = static_cast<T*>(target);
  const L p = static_cast<L>(parameter), s = static_cast<L>(scale);
  if (g)
    for (int64_t i = 0; i < n; ++i)
      store(out + i, load(g + i) * (s * F::slope(static_cast<L>(load(x + i) - load(y + i)), p)));
  else
    for (int64_t i = 0; i < n; ++i)
      store(out + i, s * F::slope(static_cast<L>(load(x + i) - load(y + i)), p));
}

template <class F>
constexpr void fill(PairLossKernel* kernels) {
  const auto add = [&]<class T>(DType dtype) {
    kernels[static_cast<int>(dtype)] = {loss_sum<F, T>, loss_values<F, T>, loss_gradient<F, T>};
  };
  add.template operator()<Float16>(DType::float16);
  add.template operator()<BFloat16>(DType::bfloat16);
  add.template operator()<float>(DType::float32);
  add.template operator()<double>(DType::float64);
}
constexpr LossKernels make_table() {
  LossKernels table{};
  fill<Squared>(table.pair[static_cast<int>(PairLoss::squared)]);
  fill<Absolute>(table.pair[static_cast<int>(PairLoss::absolute)]);
  fill<Smooth>(table.pair[static_cast<int>(PairLoss::smooth)]);
  fill<Huber>(table.pair[static_cast<int>(PairLoss::huber)]);
  return table;
}

}  // namespace

extern const LossKernels loss_kernels;
constinit const LossKernels loss_kernels = make_table();

}  // namespace samara::SAMARA_ISA
