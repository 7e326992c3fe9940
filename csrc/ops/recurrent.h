// Recurrent networks: the kernels' table, and what layers and cells share.
//
// A cell's kernel works on the numbers of some rows of the batch at one step: `gates` holds what
// the gates are made of and takes what backward needs. Rows from `active` on have ended: their
// state stays. Distances between rows are those of dense [rows, gates, hidden] and [rows, hidden].
#pragma once

#include <cstdint>

#include "core/tensor.h"

namespace samara {

enum class Cell : uint8_t { tanh, relu, lstm, gru };

template <class T>
struct CellStep {
  int64_t hidden;
  T* gates;        // [gates, hidden] of this row: sums in, activations out
  T* hidden_part;  // GRU: the hidden state's part of the sums, n's part is kept in it
  const T* state;  // h before
  const T* cell;   // LSTM: c before
  T* new_state;
  T* new_cell;
};

template <class T>
struct CellGradient {
  int64_t hidden;
  const T* activations;   // [gates, hidden] of this row, as the step left them
  const T* hidden_sums;   // GRU: hidden_part, as the step left it
  T* gates;               // gradients of the sums
  T* hidden_part;         // GRU: gradients of the hidden state's part
  const T* state;         // h before
  const T* cell;          // LSTM: c before
  const T* new_state;     // h after
  const T* new_cell;      // LSTM: c after
  const T* of_new_state;  // gradient of h after, of which the other summand is
  const T* of_output;     // what reaches it from outside
  T* of_cell;             // LSTM: gradient of c after in, of c before out
  T* direct;              // GRU: the gradient of h before that does not pass the gates
};

template <class T>
struct RecurrentKernels {
  void (*step[4])(const CellStep<T>& row) = {};
  void (*gradient[4])(const CellGradient<T>& row) = {};
};

struct RecurrentTable {
  RecurrentKernels<float> float32;
  RecurrentKernels<double> float64;
};
namespace baseline {
extern const RecurrentTable recurrent_table;
}
namespace v3 {
extern const RecurrentTable recurrent_table;
}
namespace v4 {
extern const RecurrentTable recurrent_table;
}

// The table of this processor.
template <class T>
const RecurrentKernels<T>& recurrent_kernels();
int64_t recurrent_gates(Cell cell);
// The dtype in which numbers of `dtype` are computed.
DType recurrent_dtype(DType dtype);
// x, or nothing, in the form that kernels take.
Tensor recurrent_input(const Tensor& x, DType dtype);
// The sums of the columns of [rows, gates hidden] into `out`.
template <class T>
void sum_gates(const T* gates, int64_t rows, const Tensor& out);

template <class T>
T* data_or_null(const Tensor& x) {
  return x ? x.data<T>() : nullptr;
}

}  // namespace samara
