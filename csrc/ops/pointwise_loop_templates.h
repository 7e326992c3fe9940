// Turns a functor into its loops; included by the files that fill a table.
#pragma once

#include <cstdint>

#include "ops/activation.h"
#include "ops/pointwise_loops.h"

// Everything here has internal linkage: each instruction set gets its own copy.
namespace samara {
namespace {
namespace loops {

using namespace pointwise;

template <class T>
inline constexpr unsigned domain_of = is_complex_number<T>             ? kComplex
                                      : sizeof(T) == 1 && T(2) == T(1) ? kBoolean
                                      : T(0.5) == T(0)                 ? kInteger
                                                                       : kReal;

template <class F, class T>
SAMARA_FUNCTION auto value(T x, const double* p) {
  if constexpr (requires { F::forward(x, p); })
    return F::forward(x, p);
  else
    return F::forward(x);
}
template <class F, class T>
SAMARA_FUNCTION T derivative(T g, T x, T y, const double* p) {
  if constexpr (requires { F::backward(g, x, y, p); })
    return F::backward(g, x, y, p);
  else
    return F::backward(g, x, y);
}

template <class T>
SAMARA_FUNCTION T& at(char* base, int64_t stride, int64_t i) {
  return *reinterpret_cast<T*>(base + stride * i);
}

// The parameters are copied so that the compiler knows that no store changes them.
struct Parameters {
  double values[4];
  explicit Parameters(const double* p) {
    for (int i = 0; i < 4; ++i) values[i] = p ? p[i] : 0.0;
  }
};

// Functors that are far cheaper for moderate numbers look at blocks of them.
inline constexpr int64_t kModerateBlock = 512;
template <class F>
SAMARA_FUNCTION void moderate_forward(float* result, const float* x, int64_t n) {
  for (int64_t begin = 0; begin < n; begin += kModerateBlock, x += kModerateBlock) {
    const int64_t count = n - begin < kModerateBlock ? n - begin : kModerateBlock;
    int moderate = 1;
    for (int64_t i = 0; i < count; ++i) moderate &= F::is_moderate(x[i]);
    float* to = result + begin;
    if (moderate) {
#pragma GCC ivdep
      for (int64_t i = 0; i < count; ++i) to[i] = F::forward_moderate(x[i]);
    } else {
#pragma GCC ivdep
      for (int64_t i = 0; i < count; ++i) to[i] = F::forward(x[i]);
    }
  }
}

template <class F, class T, class R>
void unary_forward(char* const* pointers, const int64_t* strides, int64_t n, const double* p) {
  const Parameters parameters(p);
  if (strides[0] == sizeof(R) && strides[1] == sizeof(T)) {
    R* result = reinterpret_cast<R*>(pointers[0]);
    const T* x = reinterpret_cast<const T*>(pointers[1]);
    if constexpr (__is_same(T, float) && requires { F::is_moderate(0.0f); })
      return moderate_forward<F>(result, x, n);
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) result[i] = value<F>(x[i], parameters.values);
    return;
  }
  for (int64_t i = 0; i < n; ++i)
    at<R>(pointers[0], strides[0], i) =
        value<F>(at<T>(pointers[1], strides[1], i), parameters.values);
}

template <class F, class T>
void unary_backward(char* const* pointers, const int64_t* strides, int64_t n, const double* p) {
  const Parameters parameters(p);
  const int64_t size = sizeof(T);
  if (strides[0] == size && strides[1] == size && strides[2] == size && strides[3] == size) {
    T* result = reinterpret_cast<T*>(pointers[0]);
    const T* g = reinterpret_cast<const T*>(pointers[1]);
    const T* x = reinterpret_cast<const T*>(pointers[2]);
    const T* y = reinterpret_cast<const T*>(pointers[3]);
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) result[i] = derivative<F>(g[i], x[i], y[i], parameters.values);
    return;
  }
  for (int64_t i = 0; i < n; ++i)
    at<T>(pointers[0], strides[0], i) =
        derivative<F>(at<T>(pointers[1], strides[1], i), at<T>(pointers[2], strides[2], i),
                      at<T>(pointers[3], strides[3], i), parameters.values);
}

// `count` numbers side by side: where they lie, or gathered in `buffer`.
SAMARA_FUNCTION const float* dense(const float* x, int64_t step, float* buffer, int64_t count) {
  if (step == 1) return x;
  for (int64_t i = 0; i < count; ++i) buffer[i] = x[i * step];
  return buffer;
}
template <class F>
SAMARA_FUNCTION void moderate_forward(float* result, const float* a, int64_t a_step, const float* b,
                                      int64_t b_step, int64_t n) {
  float a_buffer[kModerateBlock], b_buffer[kModerateBlock];
  for (int64_t begin = 0; begin < n; begin += kModerateBlock) {
    const int64_t count = n - begin < kModerateBlock ? n - begin : kModerateBlock;
    const float* x = dense(a + begin * a_step, a_step, a_buffer, count);
    const float* y = dense(b + begin * b_step, b_step, b_buffer, count);
    int moderate = 1;
    for (int64_t i = 0; i < count; ++i) moderate &= F::is_moderate(x[i], y[i]);
    float* to = result + begin;
    if (moderate) {
#pragma GCC ivdep
      for (int64_t i = 0; i < count; ++i) to[i] = F::forward_moderate(x[i], y[i]);
    } else {
#pragma GCC ivdep
      for (int64_t i = 0; i < count; ++i) to[i] = F::forward(x[i], y[i]);
    }
  }
}

template <class F, class T, class R>
void binary_forward(char* const* pointers, const int64_t* strides, int64_t n, const double*) {
  const int64_t size = sizeof(T);
  if (strides[0] == sizeof(R) && n > 1) {
    R* result = reinterpret_cast<R*>(pointers[0]);
    const T* a = reinterpret_cast<const T*>(pointers[1]);
    const T* b = reinterpret_cast<const T*>(pointers[2]);
    if constexpr (__is_same(T, float) && requires { F::is_moderate(0.0f, 0.0f); })
      return moderate_forward<F>(result, a, strides[1] / size, b, strides[2] / size, n);
    if (strides[1] == size && strides[2] == size) {
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) result[i] = F::forward(a[i], b[i]);
      return;
    }
    if (strides[1] == size && strides[2] == 0) {
      const T constant = *b;
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) result[i] = F::forward(a[i], constant);
      return;
    }
    if (strides[1] == 0 && strides[2] == size) {
      const T constant = *a;
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) result[i] = F::forward(constant, b[i]);
      return;
    }
  }
  for (int64_t i = 0; i < n; ++i)
    at<R>(pointers[0], strides[0], i) =
        F::forward(at<T>(pointers[1], strides[1], i), at<T>(pointers[2], strides[2], i));
}

template <class F, class T>
void ternary_forward(char* const* pointers, const int64_t* strides, int64_t n, const double* p) {
  const Parameters parameters(p);
  const int64_t size = sizeof(T);
  if (strides[0] == size && strides[1] == size && strides[2] == size) {
    T* result = reinterpret_cast<T*>(pointers[0]);
    const T* a = reinterpret_cast<const T*>(pointers[1]);
    const T* b = reinterpret_cast<const T*>(pointers[2]);
    const T* c = reinterpret_cast<const T*>(pointers[3]);
    if (strides[3] == size) {
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) result[i] = F::forward(a[i], b[i], c[i], parameters.values);
      return;
    }
    if (strides[3] == 0) {
      const T constant = *c;
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i)
        result[i] = F::forward(a[i], b[i], constant, parameters.values);
      return;
    }
  }
  for (int64_t i = 0; i < n; ++i)
    at<T>(pointers[0], strides[0], i) =
        F::forward(at<T>(pointers[1], strides[1], i), at<T>(pointers[2], strides[2], i),
                   at<T>(pointers[3], strides[3], i), parameters.values);
}

template <class F, class T, int kInput>
SAMARA_FUNCTION T binary_derivative(T g, T a, T b, T y) {
  if constexpr (kInput == 0)
    return F::backward_a(g, a, b, y);
  else
    return F::backward_b(g, a, b, y);
}

template <class F, class T, int kInput>
void binary_backward(char* const* pointers, const int64_t* strides, int64_t n, const double*) {
  const int64_t size = sizeof(T);
  const bool streamed = strides[0] == size && strides[1] == size && strides[4] == size;
  T* result = reinterpret_cast<T*>(pointers[0]);
  const T* g = reinterpret_cast<const T*>(pointers[1]);
  const T* a = reinterpret_cast<const T*>(pointers[2]);
  const T* b = reinterpret_cast<const T*>(pointers[3]);
  const T* y = reinterpret_cast<const T*>(pointers[4]);
  if (streamed && strides[2] == size && strides[3] == size) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i)
      result[i] = binary_derivative<F, T, kInput>(g[i], a[i], b[i], y[i]);
    return;
  }
  if (streamed && strides[2] == size && strides[3] == 0) {
    const T constant = *b;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i)
      result[i] = binary_derivative<F, T, kInput>(g[i], a[i], constant, y[i]);
    return;
  }
  for (int64_t i = 0; i < n; ++i)
    at<T>(pointers[0], strides[0], i) = binary_derivative<F, T, kInput>(
        at<T>(pointers[1], strides[1], i), at<T>(pointers[2], strides[2], i),
        at<T>(pointers[3], strides[3], i), at<T>(pointers[4], strides[4], i));
}

// g and y are real numbers, x and its gradient complex ones.
template <class F, class T, class R>
void unary_backward_complex(char* const* pointers, const int64_t* strides, int64_t n,
                            const double*) {
  for (int64_t i = 0; i < n; ++i)
    at<T>(pointers[0], strides[0], i) =
        F::backward_complex(at<R>(pointers[1], strides[1], i), at<T>(pointers[2], strides[2], i));
}

template <Result result, class T>
struct ResultOf {
  using type = T;
};
template <class T>
struct ResultOf<Result::boolean, T> {
  using type = bool;
};
template <class T>
  requires is_complex_number<T>
struct ResultOf<Result::real, T> {
  using type = decltype(T().real());
};

template <class F, class T>
constexpr void add_unary(PointwiseKernels& kernels) {
  if constexpr ((F::domain & domain_of<T>) != 0) {
    constexpr int index = static_cast<int>(DTypeOf<T>::dtype);
    using R = typename ResultOf<F::result, T>::type;
    kernels.forward[index] = unary_forward<F, T, R>;
    if constexpr (F::differentiable && F::result == Result::real && is_complex_number<T>)
      kernels.backward[0][index] = unary_backward_complex<F, T, R>;
    else if constexpr (F::differentiable && (domain_of<T> == kReal || domain_of<T> == kComplex))
      kernels.backward[0][index] = unary_backward<F, T>;
  }
}

template <class F, class T>
constexpr void add_binary(PointwiseKernels& kernels) {
  if constexpr ((F::domain & domain_of<T>) != 0) {
    constexpr int index = static_cast<int>(DTypeOf<T>::dtype);
    kernels.forward[index] = binary_forward<F, T, typename ResultOf<F::result, T>::type>;
    if constexpr (F::differentiable && (domain_of<T> == kReal || domain_of<T> == kComplex)) {
      kernels.backward[0][index] = binary_backward<F, T, 0>;
      kernels.backward[1][index] = binary_backward<F, T, 1>;
    }
  }
}

template <class F, class T>
constexpr void add_ternary(PointwiseKernels& kernels) {
  kernels.forward[static_cast<int>(DTypeOf<T>::dtype)] = ternary_forward<F, T>;
}

template <int kCount>
struct Table {
  PointwiseKernels kernels[kCount];
};

template <class... T, class... F>
constexpr auto unary_table(List<F...>) {
  Table<sizeof...(F)> table{};
  int index = 0;
  const auto fill = [&]<class Functor>() {
    (add_unary<Functor, T>(table.kernels[index]), ...);
    ++index;
  };
  (fill.template operator()<F>(), ...);
  return table;
}

template <class... T, class... F>
constexpr auto binary_table(List<F...>) {
  Table<sizeof...(F)> table{};
  int index = 0;
  const auto fill = [&]<class Functor>() {
    (add_binary<Functor, T>(table.kernels[index]), ...);
    ++index;
  };
  (fill.template operator()<F>(), ...);
  return table;
}

template <class... T, class... F>
constexpr auto ternary_table(List<F...>) {
  Table<sizeof...(F)> table{};
  int index = 0;
  const auto fill = [&]<class Functor>() {
    (add_ternary<Functor, T>(table.kernels[index]), ...);
    ++index;
  };
  (fill.template operator()<F>(), ...);
  return table;
}

}  // namespace loops
}  // namespace
}  // namespace samara
