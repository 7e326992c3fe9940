// The cells of recurrent layers; gates in PyTorch's order: i, f, g, o and r, z, n.
#include "ops/recurrent.h"

#include "cpu/math.h"

namespace samara::SAMARA_ISA {
namespace {

template <class T>
void tanh_step(const CellStep<T>& row) {
  T* __restrict__ y = row.new_state;
  const T* __restrict__ sums = row.gates;
#pragma GCC ivdep
  for (int64_t j = 0; j < row.hidden; ++j) y[j] = math::tanh(sums[j]);
}
template <class T>
void relu_step(const CellStep<T>& row) {
  T* __restrict__ y = row.new_state;
  const T* __restrict__ sums = row.gates;
#pragma GCC ivdep
  for (int64_t j = 0; j < row.hidden; ++j) y[j] = sums[j] < T(0) ? T(0) : sums[j];
}
template <class T>
void lstm_step(const CellStep<T>& row) {
  const int64_t n = row.hidden;
  T* __restrict__ i = row.gates;
  T* __restrict__ f = i + n;
  T* __restrict__ g = f + n;
  T* __restrict__ o = g + n;
  const T* __restrict__ cell = row.cell;
  T* __restrict__ new_cell = row.new_cell;
  T* __restrict__ y = row.new_state;
#pragma GCC ivdep
  for (int64_t j = 0; j < n; ++j) {
    i[j] = math::sigmoid(i[j]);
    f[j] = math::sigmoid(f[j]);
    g[j] = math::tanh(g[j]);
    o[j] = math::sigmoid(o[j]);
    const T c = f[j] * cell[j] + i[j] * g[j];
    new_cell[j] = c;
    y[j] = o[j] * math::tanh(c);
  }
}
template <class T>
void gru_step(const CellStep<T>& row) {
  const int64_t size = row.hidden;
  T* __restrict__ r = row.gates;
  T* __restrict__ z = r + size;
  T* __restrict__ n = z + size;
  const T* __restrict__ h = row.hidden_part;
  const T* __restrict__ state = row.state;
  T* __restrict__ y = row.new_state;
#pragma GCC ivdep
  for (int64_t j = 0; j < size; ++j) {
    r[j] = math::sigmoid(r[j] + h[j]);
    z[j] = math::sigmoid(z[j] + h[size + j]);
    n[j] = math::tanh(n[j] + r[j] * h[2 * size + j]);
    y[j] = n[j] + z[j] * (state[j] - n[j]);
  }
}

template <class T>
void tanh_gradient(const CellGradient<T>& row) {
  T* __restrict__ out = row.gates;
  const T* __restrict__ y = row.new_state;
  const T* __restrict__ g = row.of_new_state;
  const T* __restrict__ more = row.of_output;
#pragma GCC ivdep
  for (int64_t j = 0; j < row.hidden; ++j) out[j] = (g[j] + more[j]) * (T(1) - y[j] * y[j]);
}
template <class T>
void relu_gradient(const CellGradient<T>& row) {
  T* __restrict__ out = row.gates;
  const T* __restrict__ y = row.new_state;
  const T* __restrict__ g = row.of_new_state;
  const T* __restrict__ more = row.of_output;
#pragma GCC ivdep
  for (int64_t j = 0; j < row.hidden; ++j) out[j] = y[j] > T(0) ? g[j] + more[j] : T(0);
}
template <class T>
void lstm_gradient(const CellGradient<T>& row) {
  const int64_t size = row.hidden;
  const T* __restrict__ i = row.activations;
  const T* __restrict__ f = i + size;
  const T* __restrict__ g = f + size;
  const T* __restrict__ o = g + size;
  T* __restrict__ of_i = row.gates;
  T* __restrict__ of_f = of_i + size;
  T* __restrict__ of_g = of_f + size;
  T* __restrict__ of_o = of_g + size;
  const T* __restrict__ cell = row.cell;
  const T* __restrict__ new_cell = row.new_cell;
  const T* __restrict__ of_state = row.of_new_state;
  const T* __restrict__ more = row.of_output;
  T* __restrict__ dc = row.of_cell;
#pragma GCC ivdep
  for (int64_t j = 0; j < size; ++j) {
    const T t = math::tanh(new_cell[j]), dy = of_state[j] + more[j];
    const T of_cell = dc[j] + dy * o[j] * (T(1) - t * t);
    of_o[j] = dy * t * o[j] * (T(1) - o[j]);
    dc[j] = of_cell * f[j];
    of_i[j] = of_cell * g[j] * i[j] * (T(1) - i[j]);
    of_f[j] = of_cell * cell[j] * f[j] * (T(1) - f[j]);
    of_g[j] = of_cell * i[j] * (T(1) - g[j] * g[j]);
  }
}
template <class T>
void gru_gradient(const CellGradient<T>& row) {
  const int64_t size = row.hidden;
  const T* __restrict__ r = row.activations;
  const T* __restrict__ z = r + size;
  const T* __restrict__ n = z + size;
  const T* __restrict__ h = row.hidden_sums;
  T* __restrict__ of_gates = row.gates;
  T* __restrict__ of_hidden = row.hidden_part;
  const T* __restrict__ state = row.state;
  const T* __restrict__ of_state = row.of_new_state;
  const T* __restrict__ more = row.of_output;
  T* __restrict__ direct = row.direct;
#pragma GCC ivdep
  for (int64_t j = 0; j < size; ++j) {
    const T dy = of_state[j] + more[j];
    const T of_n = dy * (T(1) - z[j]) * (T(1) - n[j] * n[j]);
    const T of_z = dy * (state[j] - n[j]) * z[j] * (T(1) - z[j]);
    const T of_r = of_n * h[2 * size + j] * r[j] * (T(1) - r[j]);
    direct[j] = dy * z[j];
    of_hidden[j] = of_r;
    of_hidden[size + j] = of_z;
    of_hidden[2 * size + j] = of_n * r[j];
    of_gates[j] = of_r;
    of_gates[size + j] = of_z;
    of_gates[2 * size + j] = of_n;
  }
}

template <class T>
constexpr RecurrentKernels<T> kernels() {
  return {{tanh_step<T>, relu_step<T>, lstm_step<T>, gru_step<T>},
          {tanh_gradient<T>, relu_gradient<T>, lstm_gradient<T>, gru_gradient<T>}};
}

}  // namespace

extern constexpr RecurrentTable recurrent_table = {kernels<float>(), kernels<double>()};

}  // namespace samara::SAMARA_ISA
