// Recurrent layers: RNN, LSTM and GRU, one layer in one direction per call.
//
// The input's part of all gates is one product over the whole sequence. The rest goes step by step,
// but rows of the batch never meet, so each tile takes some rows through the whole sequence without
// waiting for the others. The gradients of the weights are again products over everything.
#include "ops/recurrent.h"

#include <algorithm>
#include <vector>

#include "core/autograd.h"
#include "core/kernel.h"
#include "core/operation.h"
#include "cpu/gemm.h"
#include "cpu/isa.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/reduce.h"

namespace samara {

template <class T>
const RecurrentKernels<T>& recurrent_kernels() {
  static const RecurrentTable& table =
      select_isa(baseline::recurrent_table, v3::recurrent_table, v4::recurrent_table);
  if constexpr (std::is_same_v<T, float>)
    return table.float32;
  else
    return table.float64;
}
template const RecurrentKernels<float>& recurrent_kernels();
template const RecurrentKernels<double>& recurrent_kernels();

int64_t recurrent_gates(Cell cell) { return cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 1; }
DType recurrent_dtype(DType dtype) { return dtype == DType::float64 ? dtype : DType::float32; }
Tensor recurrent_input(const Tensor& x, DType dtype) { return x ? contiguous(cast(x, dtype)) : x; }

template <class T>
void sum_gates(const T* gates, int64_t rows, const Tensor& out) {
  const int64_t width = out.size(0);
  Finish finish;
  finish.output = out.dtype();
  reduce_into(ReduceOp::sum, out.dtype(), gates, reduce_layout({rows, width}, {width, 1}, 0b01),
              finish, out.address());
}
template void sum_gates(const float* gates, int64_t rows, const Tensor& out);
template void sum_gates(const double* gates, int64_t rows, const Tensor& out);

namespace {
// Rows of the batch that go through the sequence together: by the shape alone.
int64_t tile_rows(int64_t batch) {
  return batch >= 24 ? 16 : batch >= 8 ? (batch + 1) / 2 : std::max<int64_t>(batch, 1);
}

struct RecurrentAttributes {
  Cell cell;
  bool reverse;
};

// The sequence of one call, and what each row of the batch had before a step.
template <class T>
struct Sequence {
  RecurrentAttributes attributes;
  int64_t steps, batch, hidden, width;  // width: of all gates
  const T *y, *first_state, *cells, *first_cell;
  const int64_t* lengths;

  int64_t time(int64_t step) const { return attributes.reverse ? steps - 1 - step : step; }
  bool active(int64_t t, int64_t row) const { return lengths == nullptr || t < lengths[row]; }
  bool first(int64_t t, int64_t row) const {
    if (!attributes.reverse) return t == 0;
    return t == (lengths == nullptr ? steps : std::min(lengths[row], steps)) - 1;
  }
  const T* before(const T* all, const T* start, int64_t t, int64_t row) const {
    if (first(t, row)) return start + row * hidden;
    return all + ((attributes.reverse ? t + 1 : t - 1) * batch + row) * hidden;
  }
};

// ---- forward -----------------------------------------------------------------------------------

// inputs: x, h0, c0 or nothing, w_ih, w_hh, b_ih or nothing, b_hh or nothing, lengths or nothing;
// outputs: y, h_n, c_n or nothing, gates, cells or nothing, hidden part or nothing.
template <class T>
void forward_rows(TensorSpan outputs, TensorSpan inputs, const RecurrentAttributes& attributes) {
  const Tensor &x = inputs[0], &w_ih = inputs[3], &w_hh = inputs[4];
  const int64_t steps = x.size(0), batch = x.size(1), features = x.size(2);
  const int64_t width = w_hh.size(0), hidden = w_hh.size(1);
  const bool lstm = attributes.cell == Cell::lstm, gru = attributes.cell == Cell::gru;
  T* gates = outputs[3].data<T>();
  std::vector<T> bias(static_cast<size_t>(width), T(0));
  const T *b_ih = data_or_null<T>(inputs[5]), *b_hh = data_or_null<T>(inputs[6]);
  for (int64_t j = 0; j < width; ++j) {
    if (b_ih != nullptr) bias[static_cast<size_t>(j)] += b_ih[j];
    if (b_hh != nullptr && !gru) bias[static_cast<size_t>(j)] += b_hh[j];
  }
  gemm_bias<T>(false, true, steps * batch, width, features, x.data<T>(), features, w_ih.data<T>(),
               features, bias.data(), gates, width);
  const PackedMatrix<T> recurrent(true, width, hidden, w_hh.data<T>(), hidden);

  T *y = outputs[0].data<T>(), *last = outputs[1].data<T>();
  T *last_cell = data_or_null<T>(outputs[2]), *cells = data_or_null<T>(outputs[4]);
  T* hidden_part = data_or_null<T>(outputs[5]);
  const Sequence<T> sequence{attributes,
                             steps,
                             batch,
                             hidden,
                             width,
                             y,
                             inputs[1].data<T>(),
                             cells,
                             data_or_null<T>(inputs[2]),
                             data_or_null<int64_t>(inputs[7])};
  std::copy_n(sequence.first_state, batch * hidden, last);
  if (lstm) std::copy_n(sequence.first_cell, batch * hidden, last_cell);
  const auto step_kernel = recurrent_kernels<T>().step[static_cast<int>(attributes.cell)];
  const int64_t rows = tile_rows(batch);
  parallel_ranges(batch, rows, [&](int64_t begin, int64_t end) {
    for (int64_t s = 0; s < steps; ++s) {
      const int64_t t = sequence.time(s);
      T* sums = gates + (t * batch + begin) * width;
      if (gru) {
        sums = hidden_part + (t * batch + begin) * width;
        for (int64_t n = begin; n < end; ++n) {
          T* part = hidden_part + (t * batch + n) * width;
          if (b_hh != nullptr)
            std::copy_n(b_hh, width, part);
          else
            std::fill_n(part, width, T(0));
        }
      }
      // last holds the state of every row; after the first step it is that of the step before.
      recurrent.multiply(end - begin, last + begin * hidden, hidden, T(1), sums, width);
      for (int64_t n = begin; n < end; ++n) {
        const int64_t place = t * batch + n;
        T* state = y + place * hidden;
        if (!sequence.active(t, n)) {
          std::fill_n(state, hidden, T(0));
          continue;
        }
        T* cell = lstm ? cells + place * hidden : nullptr;
        step_kernel({hidden, gates + place * width, gru ? hidden_part + place * width : nullptr,
                     last + n * hidden, lstm ? last_cell + n * hidden : nullptr, state, cell});
        std::copy_n(state, hidden, last + n * hidden);
        if (lstm) std::copy_n(cell, hidden, last_cell + n * hidden);
      }
    }
  });
}

void forward_cpu(TensorSpan outputs, TensorSpan inputs, const RecurrentAttributes& attributes) {
  if (outputs[0].dtype() == DType::float64)
    forward_rows<double>(outputs, inputs, attributes);
  else
    forward_rows<float>(outputs, inputs, attributes);
}
const KernelSlot<RecurrentAttributes> forward_slot("recurrent_layer", forward_cpu);

// ---- backward ----------------------------------------------------------------------------------

// inputs: gradients of y, h_n, c_n (each or nothing), then x, h0, c0, w_ih, w_hh, lengths, y,
// gates, cells, hidden part; outputs: gradients of x, h0, c0 or nothing, w_ih, w_hh, b_ih, b_hh,
// and room for those of the gates and of the hidden part (the same memory unless GRU).
template <class T>
class Backward {
 public:
  Backward(TensorSpan outputs, TensorSpan inputs, const RecurrentAttributes& attributes)
      : outputs_(outputs),
        inputs_(inputs),
        cell_(attributes.cell),
        sequence_{attributes,
                  inputs[3].size(0),
                  inputs[3].size(1),
                  inputs[7].size(1),
                  inputs[7].size(0),
                  inputs[9].data<T>(),
                  inputs[4].data<T>(),
                  data_or_null<T>(inputs[11]),
                  data_or_null<T>(inputs[5]),
                  data_or_null<int64_t>(inputs[8])},
        gates_(outputs[7].data<T>()),
        hidden_part_(outputs[8].data<T>()),
        recurrent_(false, sequence_.hidden, sequence_.width, inputs[7].data<T>(),
                   sequence_.hidden) {}

  void run() const {
    parallel_ranges(sequence_.batch, tile_rows(sequence_.batch),
                    [&](int64_t begin, int64_t end) { walk_back(begin, end); });
    products();
  }

 private:
  // From the last step to the first: the gradients of the gates' sums, and of the state at the
  // start.
  void walk_back(int64_t begin, int64_t end) const {
    const int64_t hidden = sequence_.hidden, width = sequence_.width, count = end - begin;
    Scratch scratch((2 * count + 1) * hidden * static_cast<int64_t>(sizeof(T)));
    T* nothing = reinterpret_cast<T*>(scratch.data());
    T* product = nothing + hidden;
    T* direct = product + count * hidden;
    std::fill_n(nothing, hidden, T(0));
    T* of_state = outputs_[1].data<T>() + begin * hidden;
    start(inputs_[1], of_state, begin, count);
    T* of_cell = data_or_null<T>(outputs_[2]);
    if (of_cell != nullptr) start(inputs_[2], of_cell += begin * hidden, begin, count);
    const T* of_y = data_or_null<T>(inputs_[0]);
    for (int64_t s = sequence_.steps - 1; s >= 0; --s) {
      const int64_t t = sequence_.time(s);
      for (int64_t n = begin; n < end; ++n) {
        const int64_t place = t * sequence_.batch + n, row = (n - begin) * hidden;
        if (!sequence_.active(t, n)) {
          std::fill_n(gates_ + place * width, width, T(0));
          std::fill_n(hidden_part_ + place * width, width, T(0));
          continue;
        }
        step(t, n, of_state + row, of_y == nullptr ? nothing : of_y + place * hidden,
             of_cell == nullptr ? nullptr : of_cell + row, direct + row);
      }
      recurrent_.multiply(count, hidden_part_ + (t * sequence_.batch + begin) * width, width, T(0),
                          product, hidden);
      for (int64_t n = begin; n < end; ++n) {
        if (!sequence_.active(t, n)) continue;
        const int64_t row = (n - begin) * hidden;
        for (int64_t j = 0; j < hidden; ++j)
          of_state[row + j] = product[row + j] + (cell_ == Cell::gru ? direct[row + j] : T(0));
      }
    }
  }

  void start(const Tensor& gradient, T* target, int64_t begin, int64_t count) const {
    const int64_t n = count * sequence_.hidden;
    if (gradient)
      std::copy_n(gradient.data<T>() + begin * sequence_.hidden, n, target);
    else
      std::fill_n(target, n, T(0));
  }

  void step(int64_t t, int64_t n, const T* of_new_state, const T* of_output, T* of_cell,
            T* direct) const {
    const int64_t hidden = sequence_.hidden, width = sequence_.width;
    const int64_t place = t * sequence_.batch + n;
    const bool lstm = cell_ == Cell::lstm, gru = cell_ == Cell::gru;
    recurrent_kernels<T>().gradient[static_cast<int>(cell_)](
        {hidden, inputs_[10].data<T>() + place * width,
         gru ? inputs_[12].data<T>() + place * width : nullptr, gates_ + place * width,
         hidden_part_ + place * width, sequence_.before(sequence_.y, sequence_.first_state, t, n),
         lstm ? sequence_.before(sequence_.cells, sequence_.first_cell, t, n) : nullptr,
         sequence_.y + place * hidden, lstm ? sequence_.cells + place * hidden : nullptr,
         of_new_state, of_output, of_cell, direct});
  }

  void products() const {
    const int64_t all = sequence_.steps * sequence_.batch;
    const int64_t hidden = sequence_.hidden, width = sequence_.width;
    const Tensor& x = inputs_[3];
    const int64_t features = x.size(2);
    gemm<T>(false, false, all, features, width, T(1), gates_, width, inputs_[6].data<T>(), features,
            T(0), outputs_[0].data<T>(), features);
    gemm<T>(true, false, width, features, all, T(1), gates_, width, x.data<T>(), features, T(0),
            outputs_[3].data<T>(), features);
    // The states before each step: those after the step before it, and the first ones.
    const int64_t rest = std::max<int64_t>(all - sequence_.batch, 0);
    const bool reverse = sequence_.attributes.reverse;
    const T* later = hidden_part_ + (reverse ? 0 : sequence_.batch * width);
    const T* states = sequence_.y + (reverse ? sequence_.batch * hidden : 0);
    T* of_w_hh = outputs_[4].data<T>();
    gemm<T>(true, false, width, hidden, rest, T(1), later, width, states, hidden, T(0), of_w_hh,
            hidden);
    std::vector<T> first(static_cast<size_t>(sequence_.batch * width), T(0));
    for (int64_t n = 0; n < sequence_.batch; ++n)
      for (int64_t t = 0; t < sequence_.steps; ++t)
        if (sequence_.active(t, n) && sequence_.first(t, n))
          std::copy_n(hidden_part_ + (t * sequence_.batch + n) * width, width,
                      first.begin() + n * width);
    gemm<T>(true, false, width, hidden, sequence_.batch, T(1), first.data(), width,
            sequence_.first_state, hidden, T(1), of_w_hh, hidden);
    sum_gates<T>(gates_, all, outputs_[5]);
    if (cell_ == Cell::gru)
      sum_gates<T>(hidden_part_, all, outputs_[6]);
    else  // the same sums
      std::copy_n(outputs_[5].data<T>(), width, outputs_[6].data<T>());
  }

  TensorSpan outputs_, inputs_;
  Cell cell_;
  Sequence<T> sequence_;
  T *gates_, *hidden_part_;
  PackedMatrix<T> recurrent_;
};

void backward_cpu(TensorSpan outputs, TensorSpan inputs, const RecurrentAttributes& attributes) {
  if (outputs[0].dtype() == DType::float64)
    Backward<double>(outputs, inputs, attributes).run();
  else
    Backward<float>(outputs, inputs, attributes).run();
}
const KernelSlot<RecurrentAttributes> backward_slot("recurrent_layer_backward", backward_cpu);

// ---- the operation -----------------------------------------------------------------------------

RecurrentAttributes attributes_of(const auto& call) {
  return {static_cast<Cell>(call[8].integer()), call[9].boolean()};
}

void check_shapes(const Call& call) {
  const Tensor &x = call.tensor(0), &h = call.tensor(1), &w_ih = call.tensor(3),
               &w_hh = call.tensor(4);
  const Tensor c = call.optional_tensor(2), lengths = call.optional_tensor(7);
  const int64_t gates = recurrent_gates(attributes_of(call).cell);
  bool fit = x.rank() == 3 && h.rank() == 2 && w_ih.rank() == 2 && w_hh.rank() == 2 &&
             h.size(0) == x.size(1) && w_ih.size(1) == x.size(2) && w_hh.size(1) == h.size(1) &&
             w_hh.size(0) == gates * h.size(1) && w_ih.size(0) == w_hh.size(0);
  fit = fit && (!c || c.shape() == h.shape());
  for (int i = 5; fit && i <= 6; ++i)
    if (const Tensor bias = call.optional_tensor(i)) fit = bias.shape() == Dims{w_hh.size(0)};
  if (fit && lengths) fit = lengths.shape() == Dims{x.size(1)} && lengths.dtype() == DType::int64;
  if (fit) return;
  fail(ErrorKind::shape, call.name(), ": x has shape ", x.shape(), ", the state ", h.shape(),
       " and the weights ", w_ih.shape(), " and ", w_hh.shape(),
       ". Expected [steps, N, features], [N, hidden], [", gates, " hidden, features] and [", gates,
       " hidden, hidden]. Fix: reshape them.");
}

// recurrent_layer(x, h0, c0, w_ih, w_hh, b_ih, b_hh, lengths, cell, reverse)
void recurrent_forward(Call& call) {
  check_shapes(call);
  const Tensor &x = call.tensor(0), &h = call.tensor(1);
  const RecurrentAttributes attributes = attributes_of(call);
  const bool lstm = attributes.cell == Cell::lstm, gru = attributes.cell == Cell::gru;
  const DType dtype = recurrent_dtype(x.dtype());
  const Device device = x.device();
  const Dims states{x.size(0), x.size(1), h.size(1)};
  const Dims sums{x.size(0), x.size(1), call.tensor(4).size(0)};
  Tensor inputs[8];
  for (int i = 0; i < 8; ++i)
    inputs[i] = i == 7 ? call.optional_tensor(7) : recurrent_input(call.optional_tensor(i), dtype);
  if (inputs[7]) inputs[7] = contiguous(inputs[7]);
  const Tensor outputs[] = {empty(states, dtype, device),
                            empty(h.shape(), dtype, device),
                            lstm ? empty(h.shape(), dtype, device) : Tensor(),
                            empty(sums, dtype, device),
                            lstm ? empty(states, dtype, device) : Tensor(),
                            gru ? empty(sums, dtype, device) : Tensor()};
  forward_slot(TensorSpan(outputs, 6), TensorSpan(inputs, 8), attributes);
  call.output(cast(outputs[0], x.dtype()));
  call.output(cast(outputs[1], x.dtype()));
  if (lstm) call.output(cast(outputs[2], x.dtype()));
  if (!call.records) return;
  call.saved.push_back(detach(outputs[0]));  // an output that saved itself would never be freed
  call.saved.push_back(outputs[3]);
  if (lstm) call.saved.push_back(outputs[4]);
  if (gru) call.saved.push_back(outputs[5]);
}

void recurrent_backward(BackwardCall& call) {
  const Tensor &x = call.tensor(0), &h = call.tensor(1);
  const RecurrentAttributes attributes = attributes_of(call);
  const bool lstm = attributes.cell == Cell::lstm, gru = attributes.cell == Cell::gru;
  const DType dtype = recurrent_dtype(x.dtype());
  const Tensor lengths = call.optional_tensor(7);
  const auto gradient = [&](size_t i) {
    return i < call.output_gradients.size() ? recurrent_input(call.output_gradients[i], dtype)
                                            : Tensor();
  };
  const Tensor inputs[] = {gradient(0),
                           gradient(1),
                           lstm ? gradient(2) : Tensor(),
                           recurrent_input(x, dtype),
                           recurrent_input(h, dtype),
                           recurrent_input(call.optional_tensor(2), dtype),
                           recurrent_input(call.tensor(3), dtype),
                           recurrent_input(call.tensor(4), dtype),
                           lengths ? contiguous(lengths) : lengths,
                           call.saved(0),
                           call.saved(1),
                           lstm ? call.saved(2) : Tensor(),
                           gru ? call.saved(2) : Tensor()};
  const auto like = [&](const Tensor& y) { return empty(y.shape(), dtype, y.device()); };
  const Tensor gates = like(call.saved(1));
  const Dims width{call.tensor(4).size(0)};
  const Tensor outputs[] = {like(x),
                            like(h),
                            lstm ? like(h) : Tensor(),
                            like(call.tensor(3)),
                            like(call.tensor(4)),
                            empty(width, dtype, x.device()),
                            empty(width, dtype, x.device()),
                            gates,
                            gru ? like(gates) : gates};
  backward_slot(TensorSpan(outputs, 9), TensorSpan(inputs, 13), attributes);
  for (int i = 0; i < 7; ++i)
    if (outputs[i] && call.needs(i)) call.set(i, cast(outputs[i], call.tensor(i).dtype()));
}

const Register recurrent_registered({.name = "recurrent_layer",
                                     .forward = recurrent_forward,
                                     .backward = recurrent_backward,
                                     .saved_inputs = 0b11111111});

}  // namespace
}  // namespace samara
