// The equations of the optimizers over contiguous arrays; see src/samara/optim for their sources.
#include "core/half.h"
#include "cpu/math.h"
#include "ops/optimizer.h"

namespace samara::SAMARA_ISA {
namespace {

// T is the parameter's type; numbers are computed, and state is kept, in Compute.
template <class T>
struct Format {
  using Compute = T;
  using Bits = uint32_t;
  static constexpr Bits kMagnitude = 0x7FFFFFFFu;
  static constexpr Bits kInfinity = 0x7F800000u;
  SAMARA_FUNCTION T load(T x) { return x; }
  SAMARA_FUNCTION T store(T x) { return x; }
};
template <>
struct Format<double> {
  using Compute = double;
  using Bits = uint64_t;
  static constexpr Bits kMagnitude = 0x7FFFFFFFFFFFFFFFu;
  static constexpr Bits kInfinity = 0x7FF0000000000000u;
  SAMARA_FUNCTION double load(double x) { return x; }
  SAMARA_FUNCTION double store(double x) { return x; }
};
template <>
struct Format<Float16> {
  using Compute = float;
  using Bits = uint16_t;
  static constexpr Bits kMagnitude = 0x7FFFu;
  static constexpr Bits kInfinity = 0x7C00u;
  SAMARA_FUNCTION float load(Float16 x) { return float16_value(x.bits); }
  SAMARA_FUNCTION Float16 store(float x) { return {float16_bits(x)}; }
};
template <>
struct Format<BFloat16> {
  using Compute = float;
  using Bits = uint16_t;
  static constexpr Bits kMagnitude = 0x7FFFu;
  static constexpr Bits kInfinity = 0x7F80u;
  SAMARA_FUNCTION float load(BFloat16 x) { return bfloat16_value(x.bits); }
  SAMARA_FUNCTION BFloat16 store(float x) { return {bfloat16_bits(x)}; }
};

template <class T>
bool all_finite(const void* values, int64_t n) {
  using Bits = typename Format<T>::Bits;
  const Bits* bits = static_cast<const Bits*>(values);
  // In blocks, so that a broken gradient is found early and the inner loop has no branch.
  constexpr int64_t kBlock = 4096;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = n - begin < kBlock ? n : begin + kBlock;
    Bits largest = 0;
    for (int64_t i = begin; i < end; ++i) {
      const Bits magnitude = static_cast<Bits>(bits[i] & Format<T>::kMagnitude);
      largest = magnitude > largest ? magnitude : largest;
    }
    if (largest >= Format<T>::kInfinity) return false;
  }
  return true;
}

template <class C>
struct Constants {
  C rate, sign, l2, keep, first, first_new, second, second_new, momentum, root_scale, eps;
};
template <class C>
SAMARA_FUNCTION Constants<C> in_type(const OptimizerConstants& c) {
  return {static_cast<C>(c.rate),       static_cast<C>(c.sign),       static_cast<C>(c.l2),
          static_cast<C>(c.keep),       static_cast<C>(c.first),      static_cast<C>(c.first_new),
          static_cast<C>(c.second),     static_cast<C>(c.second_new), static_cast<C>(c.momentum),
          static_cast<C>(c.root_scale), static_cast<C>(c.eps)};
}

// The direction that is subtracted, times `rate`; s0, s1, s2 are the state tensors' elements.
template <OptimizerKernel kKernel, class C>
SAMARA_FUNCTION C direction(C g, C& s0, C& s1, C& s2, const Constants<C>& c) {
  using enum OptimizerKernel;
  if constexpr (kKernel == sgd) {
    return g;
  } else if constexpr (kKernel == sgd_momentum) {
    s0 = c.first * s0 + c.first_new * g;
    return s0;
  } else if constexpr (kKernel == sgd_nesterov) {
    s0 = c.first * s0 + c.first_new * g;
    return g + c.momentum * s0;
  } else if constexpr (kKernel == adam || kKernel == adam_amsgrad) {
    s0 = c.first * s0 + c.first_new * g;
    s1 = c.second * s1 + c.second_new * (g * g);
    C variance = s1;
    if constexpr (kKernel == adam_amsgrad) {
      s2 = s2 > s1 ? s2 : s1;
      variance = s2;
    }
    return s0 / (math::sqrt(variance) * c.root_scale + c.eps);
  } else if constexpr (kKernel == adagrad) {
    s0 = s0 + g * g;
    return g / (math::sqrt(s0) + c.eps);
  } else {  // RMSprop: square_avg, momentum_buffer, grad_avg
    s0 = c.second * s0 + c.second_new * (g * g);
    C variance = s0;
    if constexpr (kKernel == rmsprop_centered || kKernel == rmsprop_centered_momentum) {
      s2 = c.second * s2 + c.second_new * g;
      const C difference = s0 - s2 * s2;
      variance = difference > C(0) ? difference : C(0);  // rounding may make it negative
    }
    const C scaled = g / (math::sqrt(variance) + c.eps);
    if constexpr (kKernel == rmsprop_momentum || kKernel == rmsprop_centered_momentum) {
      s1 = c.momentum * s1 + scaled;
      return s1;
    } else {
      return scaled;
    }
  }
}

// Bit k: state tensor k is read and written.
constexpr int states_of(OptimizerKernel kernel) {
  using enum OptimizerKernel;
  switch (kernel) {
    case sgd:
      return 0b000;
    case sgd_momentum:
    case sgd_nesterov:
    case rmsprop:
    case adagrad:
      return 0b001;
    case adam:
    case rmsprop_momentum:
      return 0b011;
    case rmsprop_centered:
      return 0b101;
    case adam_amsgrad:
    case rmsprop_centered_momentum:
      return 0b111;
  }
  return 0;
}

template <OptimizerKernel kKernel, class T>
void update(const OptimizerArrays& arrays, const OptimizerConstants& constants) {
  using C = typename Format<T>::Compute;
  constexpr int kStates = states_of(kKernel);
  const Constants<C> c = in_type<C>(constants);
  T* __restrict__ p = static_cast<T*>(arrays.parameter);
  const T* __restrict__ gradient = static_cast<const T*>(arrays.gradient);
  C* __restrict__ state0 = static_cast<C*>(arrays.state[0]);
  C* __restrict__ state1 = static_cast<C*>(arrays.state[1]);
  C* __restrict__ state2 = static_cast<C*>(arrays.state[2]);
  const int64_t n = arrays.n;
  for (int64_t i = 0; i < n; ++i) {
    const C old = Format<T>::load(p[i]);
    C s0 = 0, s1 = 0, s2 = 0;
    if constexpr ((kStates & 1) != 0) s0 = state0[i];
    if constexpr ((kStates & 2) != 0) s1 = state1[i];
    if constexpr ((kStates & 4) != 0) s2 = state2[i];
    const C g = c.sign * Format<T>::load(gradient[i]) + c.l2 * old;
    const C d = direction<kKernel, C>(g, s0, s1, s2, c);
    p[i] = Format<T>::store(c.keep * old - c.rate * d);
    if constexpr ((kStates & 1) != 0) state0[i] = s0;
    if constexpr ((kStates & 2) != 0) state1[i] = s1;
    if constexpr ((kStates & 4) != 0) state2[i] = s2;
  }
}

template <class T>
constexpr OptimizerDtypeKernels kernels_for() {
  using enum OptimizerKernel;
  return {{update<sgd, T>, update<sgd_momentum, T>, update<sgd_nesterov, T>, update<adam, T>,
           update<adam_amsgrad, T>, update<rmsprop, T>, update<rmsprop_momentum, T>,
           update<rmsprop_centered, T>, update<rmsprop_centered_momentum, T>, update<adagrad, T>},
          all_finite<T>};
}

}  // namespace

extern constexpr OptimizerKernels optimizer_kernels = {
    kernels_for<Float16>(), kernels_for<BFloat16>(), kernels_for<float>(), kernels_for<double>()};

}  // namespace samara::SAMARA_ISA
