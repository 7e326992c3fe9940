// One step of a recurrent network: the cells of RNN, LSTM and GRU.
//
// recurrent_cell(x, h, c, w_ih, w_hh, b_ih, b_hh, cell)
#include <algorithm>

#include "core/autograd.h"
#include "core/kernel.h"
#include "core/operation.h"
#include "cpu/gemm.h"
#include "ops/basic.h"
#include "ops/recurrent.h"
#include "ops/reduce.h"

namespace samara {
namespace {

struct CellAttributes {
  Cell cell;
};

// Sums of both biases, one of them or none, to all rows.
template <class T>
void add_biases(T* sums, int64_t rows, int64_t width, const T* first, const T* second) {
  for (int64_t n = 0; n < rows; ++n, sums += width) {
    if (first != nullptr)
      for (int64_t j = 0; j < width; ++j) sums[j] += first[j];
    if (second != nullptr)
      for (int64_t j = 0; j < width; ++j) sums[j] += second[j];
  }
}

// inputs: x, h, c or nothing, w_ih, w_hh, b_ih or nothing, b_hh or nothing; outputs: the new state,
// the new cell or nothing, gates, hidden part or nothing.
template <class T>
void forward_rows(TensorSpan outputs, TensorSpan inputs, Cell cell) {
  const Tensor &x = inputs[0], &w_hh = inputs[4];
  const int64_t batch = x.size(0), features = x.size(1);
  const int64_t width = w_hh.size(0), hidden = w_hh.size(1);
  const T *h = inputs[1].data<T>(), *c = data_or_null<T>(inputs[2]);
  const T *b_ih = data_or_null<T>(inputs[5]), *b_hh = data_or_null<T>(inputs[6]);
  T *gates = outputs[2].data<T>(), *hidden_part = data_or_null<T>(outputs[3]);
  gemm<T>(false, true, batch, width, features, T(1), x.data<T>(), features, inputs[3].data<T>(),
          features, T(0), gates, width);
  const bool gru = cell == Cell::gru;
  gemm<T>(false, true, batch, width, hidden, T(1), h, hidden, w_hh.data<T>(), hidden,
          gru ? T(0) : T(1), gru ? hidden_part : gates, width);
  add_biases<T>(gates, batch, width, b_ih, gru ? nullptr : b_hh);
  if (gru) add_biases<T>(hidden_part, batch, width, b_hh, nullptr);
  T *state = outputs[0].data<T>(), *new_cell = data_or_null<T>(outputs[1]);
  const auto step = recurrent_kernels<T>().step[static_cast<int>(cell)];
  for (int64_t n = 0; n < batch; ++n) {
    const int64_t row = n * hidden;
    step({hidden, gates + n * width, gru ? hidden_part + n * width : nullptr, h + row,
          c == nullptr ? nullptr : c + row, state + row, c == nullptr ? nullptr : new_cell + row});
  }
}

void forward_cpu(TensorSpan outputs, TensorSpan inputs, const CellAttributes& attributes) {
  if (outputs[0].dtype() == DType::float64)
    forward_rows<double>(outputs, inputs, attributes.cell);
  else
    forward_rows<float>(outputs, inputs, attributes.cell);
}
const KernelSlot<CellAttributes> forward_slot("recurrent_cell", forward_cpu);

// inputs: gradients of the new state and of the new cell or nothing, x, h, c or nothing, w_ih,
// w_hh, the new state, the new cell or nothing, gates, hidden part or nothing; outputs: room for
// the gradients of the gates and of the hidden part (the same memory unless GRU), and gradients of
// x, h, c or nothing, w_ih, w_hh, b_ih, b_hh (each nothing where it is not wanted, but for c).
template <class T>
void backward_rows(TensorSpan outputs, TensorSpan inputs, Cell cell) {
  const Tensor &x = inputs[2], &w_ih = inputs[5], &w_hh = inputs[6];
  const int64_t batch = x.size(0), features = x.size(1);
  const int64_t width = w_hh.size(0), hidden = w_hh.size(1);
  const bool gru = cell == Cell::gru;
  T *gates = outputs[0].data<T>(), *hidden_part = outputs[1].data<T>();
  const T *activations = inputs[9].data<T>(), *hidden_sums = data_or_null<T>(inputs[10]);
  T* of_cell = data_or_null<T>(outputs[4]);
  if (of_cell != nullptr) std::copy_n(inputs[1].data<T>(), batch * hidden, of_cell);
  Scratch scratch((hidden + (gru ? batch * hidden : 0)) * static_cast<int64_t>(sizeof(T)));
  T* nothing = reinterpret_cast<T*>(scratch.data());
  T* direct = nothing + hidden;
  std::fill_n(nothing, hidden, T(0));
  const T *gradient = inputs[0].data<T>(), *h = inputs[3].data<T>(),
          *c = data_or_null<T>(inputs[4]), *state = inputs[7].data<T>(),
          *new_cell = data_or_null<T>(inputs[8]);
  const auto step = recurrent_kernels<T>().gradient[static_cast<int>(cell)];
  for (int64_t n = 0; n < batch; ++n) {
    const int64_t row = n * hidden;
    step({hidden, activations + n * width, gru ? hidden_sums + n * width : nullptr,
          gates + n * width, hidden_part + n * width, h + row, c == nullptr ? nullptr : c + row,
          state + row, c == nullptr ? nullptr : new_cell + row, gradient + row, nothing,
          of_cell == nullptr ? nullptr : of_cell + row, gru ? direct + row : nullptr});
  }
  if (outputs[2])
    gemm<T>(false, false, batch, features, width, T(1), gates, width, w_ih.data<T>(), features,
            T(0), outputs[2].data<T>(), features);
  if (outputs[3]) {
    T* of_h = outputs[3].data<T>();
    gemm<T>(false, false, batch, hidden, width, T(1), hidden_part, width, w_hh.data<T>(), hidden,
            T(0), of_h, hidden);
    for (int64_t j = 0; gru && j < batch * hidden; ++j) of_h[j] += direct[j];
  }
  if (outputs[5])
    gemm<T>(true, false, width, features, batch, T(1), gates, width, x.data<T>(), features, T(0),
            outputs[5].data<T>(), features);
  if (outputs[6])
    gemm<T>(true, false, width, hidden, batch, T(1), hidden_part, width, h, hidden, T(0),
            outputs[6].data<T>(), hidden);
  if (outputs[7]) sum_gates<T>(gates, batch, outputs[7]);
  if (outputs[8] && outputs[7] && !gru)  // the same sums
    std::copy_n(outputs[7].data<T>(), width, outputs[8].data<T>());
  else if (outputs[8])
    sum_gates<T>(hidden_part, batch, outputs[8]);
}

void backward_cpu(TensorSpan outputs, TensorSpan inputs, const CellAttributes& attributes) {
  if (outputs[0].dtype() == DType::float64)
    backward_rows<double>(outputs, inputs, attributes.cell);
  else
    backward_rows<float>(outputs, inputs, attributes.cell);
}

const KernelSlot<CellAttributes> backward_slot("recurrent_cell_backward", backward_cpu);

void check_shapes(const Call& call, Cell cell) {
  const Tensor &x = call.tensor(0), &h = call.tensor(1), &w_ih = call.tensor(3),
               &w_hh = call.tensor(4);
  const int64_t gates = recurrent_gates(cell);
  bool fit = x.rank() == 2 && h.rank() == 2 && w_ih.rank() == 2 && w_hh.rank() == 2 &&
             h.size(0) == x.size(0) && w_ih.size(1) == x.size(1) && w_hh.size(1) == h.size(1) &&
             w_hh.size(0) == gates * h.size(1) && w_ih.size(0) == w_hh.size(0);
  fit = fit && call.has(2) == (cell == Cell::lstm);
  if (fit && call.has(2)) fit = call.tensor(2).shape() == h.shape();
  for (int i = 5; fit && i <= 6; ++i)
    if (call.has(i)) fit = call.tensor(i).shape() == Dims{w_hh.size(0)};
  if (fit) return;
  fail(ErrorKind::shape, call.name(), ": x has shape ", x.shape(), ", the state ", h.shape(),
       " and the weights ", w_ih.shape(), " and ", w_hh.shape(),
       ". Expected [N, features], [N, hidden], [", gates, " hidden, features] and [", gates,
       " hidden, hidden]. Fix: reshape them.");
}

void cell_forward(Call& call) {
  const Cell cell = static_cast<Cell>(call[7].integer());
  check_shapes(call, cell);
  const Tensor &x = call.tensor(0), &h = call.tensor(1);
  const bool lstm = cell == Cell::lstm, gru = cell == Cell::gru;
  const DType dtype = recurrent_dtype(x.dtype());
  Tensor inputs[7];
  for (int i = 0; i < 7; ++i) inputs[i] = recurrent_input(call.optional_tensor(i), dtype);
  const Dims sums{x.size(0), call.tensor(4).size(0)};
  const Tensor outputs[] = {
      empty(h.shape(), dtype, x.device()), lstm ? empty(h.shape(), dtype, x.device()) : Tensor(),
      empty(sums, dtype, x.device()), gru ? empty(sums, dtype, x.device()) : Tensor()};
  forward_slot(TensorSpan(outputs, 4), TensorSpan(inputs, 7), {cell});
  call.output(cast(outputs[0], x.dtype()));
  if (lstm) call.output(cast(outputs[1], x.dtype()));
  if (!call.records) return;
  call.saved.push_back(detach(outputs[0]));  // an output that saved itself would never be freed
  call.saved.push_back(outputs[2]);
  if (lstm) call.saved.push_back(detach(outputs[1]));
  if (gru) call.saved.push_back(outputs[3]);
}

void cell_backward(BackwardCall& call) {
  const Cell cell = static_cast<Cell>(call[7].integer());
  const bool lstm = cell == Cell::lstm, gru = cell == Cell::gru;
  const Tensor& x = call.tensor(0);
  const DType dtype = recurrent_dtype(x.dtype());
  const auto argument = [&](int i) { return recurrent_input(call.optional_tensor(i), dtype); };
  const Tensor inputs[] = {recurrent_input(call.gradient(0), dtype),
                           lstm ? recurrent_input(call.gradient(1), dtype) : Tensor(),
                           argument(0),
                           argument(1),
                           argument(2),
                           argument(3),
                           argument(4),
                           call.saved(0),
                           lstm ? call.saved(2) : Tensor(),
                           call.saved(1),
                           gru ? call.saved(2) : Tensor()};
  const auto like = [&](const Tensor& y) { return empty(y.shape(), dtype, y.device()); };
  Tensor outputs[9];
  outputs[0] = like(call.saved(1));
  outputs[1] = gru ? like(outputs[0]) : outputs[0];
  for (int i = 0; i < 7; ++i)
    if (call.needs(i) || (lstm && i == 2)) outputs[i + 2] = like(call.tensor(i));
  backward_slot(TensorSpan(outputs, 9), TensorSpan(inputs, 11), {cell});
  for (int i = 0; i < 7; ++i)
    if (call.needs(i)) call.set(i, cast(outputs[i + 2], call.tensor(i).dtype()));
}

const Register cell_registered({.name = "recurrent_cell",
                                .forward = cell_forward,
                                .backward = cell_backward,
                                .saved_inputs = 0b11111});

}  // namespace
}  // namespace samara
