// The loops of attention over blocks of scores.
#include "ops/attention.h"

#include "ops/exponential.h"
#include "ops/lanes.h"

namespace samara::SAMARA_ISA {
namespace {

using namespace lanes;

// As many numbers side by side as two registers hold.
template <class T>
inline constexpr int64_t kWide = 2 * kLanes<T>;

template <class T>
SAMARA_FUNCTION T largest_of(const T* row, int64_t n) {
  constexpr int64_t W = kWide<T>;
  T best[W];
  for (int64_t k = 0; k < W; ++k) best[k] = -static_cast<T>(__builtin_inf());
  int64_t j = 0;
  for (; j + W <= n; j += W)
    for (int64_t k = 0; k < W; ++k) best[k] = row[j + k] > best[k] ? row[j + k] : best[k];
  T result = best[0];
  for (int64_t k = 1; k < W; ++k) result = best[k] > result ? best[k] : result;
  for (; j < n; ++j) result = row[j] > result ? row[j] : result;
  return result;
}

// row <- e^(row - shift); gives the sum.
template <class T>
SAMARA_FUNCTION T exponentiate(T* row, int64_t n, T shift) {
  constexpr int64_t W = kWide<T>;
  T sums[W] = {};
  int64_t j = 0;
  for (; j + W <= n; j += W)
    for (int64_t k = 0; k < W; ++k) {
      row[j + k] = exponential(row[j + k] - shift);
      sums[k] += row[j + k];
    }
  T rest[W];
  const int64_t left = n - j;
  for (int64_t k = 0; k < W; ++k) rest[k] = k < left ? row[j + k] - shift : T(-1000);
  for (int64_t k = 0; k < W; ++k) rest[k] = exponential(rest[k]);
  for (int64_t k = 0; k < left; ++k) {
    row[j + k] = rest[k];
    sums[k] += rest[k];
  }
  T sum = 0;
  for (int64_t k = 0; k < W; ++k) sum += sums[k];
  return sum;
}

template <class T>
void absorb(T* scores, int64_t distance, int64_t rows, int64_t columns, T* largest, T* sum,
            T* factor) {
  constexpr T nothing = -static_cast<T>(__builtin_inf());
  for (int64_t i = 0; i < rows; ++i) {
    T* row = scores + i * distance;
    const T here = largest_of(row, columns);
    const T before = largest[i];
    const T now = here > before ? here : before;
    // Nothing is attended to so far: all weights are 0, whatever is subtracted.
    const T shift = now == nothing ? T(0) : now;
    factor[i] = before == nothing ? T(0) : exponential(before - shift);
    sum[i] = sum[i] * factor[i] + exponentiate(row, columns, shift);
    largest[i] = now;
  }
}

template <class T>
void weights(T* scores, int64_t distance, int64_t rows, int64_t columns, const T* logsumexp) {
  for (int64_t i = 0; i < rows; ++i) {
    T* row = scores + i * distance;
    if (logsumexp[i] == static_cast<T>(__builtin_inf())) {
      for (int64_t j = 0; j < columns; ++j) row[j] = 0;
    } else {
      exponentiate(row, columns, logsumexp[i]);
    }
  }
}

template <class T>
void gradient(const T* weights, T* gradient, int64_t distance, int64_t rows, int64_t columns,
              const T* delta, T scale) {
  for (int64_t i = 0; i < rows; ++i) {
    const T* __restrict__ w = weights + i * distance;
    T* __restrict__ g = gradient + i * distance;
    const T shift = delta[i];
    for (int64_t j = 0; j < columns; ++j) g[j] = scale * w[j] * (g[j] - shift);
  }
}

template <class T>
void scale_rows(T* x, int64_t distance, int64_t rows, int64_t columns, const T* factor) {
  for (int64_t i = 0; i < rows; ++i) {
    T* row = x + i * distance;
    const T f = factor[i];
    // A row without weight is 0, also where numbers that were not finite had been added up.
    for (int64_t j = 0; j < columns; ++j) row[j] = f == T(0) ? T(0) : row[j] * f;
  }
}

template <class T>
void row_dots(const T* a, int64_t a_distance, const T* b, int64_t b_distance, int64_t rows,
              int64_t columns, T* dots) {
  constexpr int64_t W = kWide<T>;
  for (int64_t i = 0; i < rows; ++i) {
    const T* x = a + i * a_distance;
    const T* y = b + i * b_distance;
    T sums[W] = {};
    int64_t j = 0;
    for (; j + W <= columns; j += W)
      for (int64_t k = 0; k < W; ++k) sums[k] += x[j + k] * y[j + k];
    T sum = 0;
    for (; j < columns; ++j) sum += x[j] * y[j];
    for (int64_t k = 0; k < W; ++k) sum += sums[k];
    dots[i] = sum;
  }
}

template <class T>
constexpr AttentionKernels<T> kernels() {
  return {absorb<T>, weights<T>, gradient<T>, scale_rows<T>, row_dots<T>};
}

}  // namespace

extern constexpr AttentionTable attention_table = {kernels<float>(), kernels<double>()};

}  // namespace samara::SAMARA_ISA
