// take, index_select, index_add, embedding: whole rows by index along one axis; and one_hot.
#include <algorithm>

#include "core/kernel.h"
#include "core/operation.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/elements.h"
#include "ops/index_rows.h"

namespace samara {
namespace {

const NativeCall take_call("take");
const NativeCall multiply_call("multiply");
const NativeCall reshape_call("reshape");
const NativeCall put_in_place("index_put", NativeCall::kInPlace);

Tensor pick(const Call& call, const Tensor& x, int axis, const Tensor& index) {
  const RowIndices indices = row_indices(call.name(), axis, index);
  Tensor picked = empty(picked_shape(x, indices), x.dtype(), x.device());
  pick_rows(picked, x, indices);
  return picked;
}

// Zeros of that shape with the gradient's rows added at the index.
Tensor add_to_zeros(const Dims& shape, int axis, const Tensor& index, const Tensor& gradient) {
  const Tensor zero = zeros(shape, gradient.dtype(), gradient.device());
  return put_in_place(zero, Dims{axis}, std::vector<Tensor>{index}, gradient, true);
}

// --- take
// -----------------------------------------------------------------------------------------

// Without an axis x is read as one flat row.
void take_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  const Tensor& index = call.tensor(1);
  if (!call.has(2)) return call.output(pick(call, reshape_view(x, {x.elements()}), 0, index));
  call.output(pick(call, x, normalize_axis(call.integer(2), x.rank(), call.name()), index));
}

void take_backward(BackwardCall& call) {
  if (!call.needs(0)) return;
  const Tensor& x = call.tensor(0);
  if (!call[2].is_none()) {
    const int axis = normalize_axis(call[2].integer(), x.rank(), "take");
    return call.set(0, add_to_zeros(x.shape(), axis, call.tensor(1), call.gradient()));
  }
  const Tensor flat = add_to_zeros({x.elements()}, 0, call.tensor(1), call.gradient());
  call.set(0, reshape_call(flat, x.shape()));
}

const Register take_registered({.name = "take",
                                .forward = take_forward,
                                .backward = take_backward,
                                .saved_inputs = 0b010,
                                .backward_records = true});

// --- index_select and index_add
// -------------------------------------------------------------------

void require_flat_index(std::string_view place, const Tensor& index) {
  require_integer_index(place, index);
  if (index.rank() > 1)
    fail(ErrorKind::shape, place, ": the index has shape ", index.shape(),
         ". Expected one axis. Fix: use take for an index of any shape, or index.reshape(-1).");
}

// A single number selects a row and keeps the axis.
Tensor flat_index(const Tensor& index) { return reshape_view(index, {index.elements()}); }

void index_select_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  const int axis = normalize_axis(call.integer(1), x.rank(), call.name());
  require_flat_index(call.name(), call.tensor(2));
  call.output(pick(call, x, axis, flat_index(call.tensor(2))));
}

void index_select_backward(BackwardCall& call) {
  if (!call.needs(0)) return;
  const Tensor& x = call.tensor(0);
  const int axis = normalize_axis(call[1].integer(), x.rank(), "index_select");
  call.set(0, add_to_zeros(x.shape(), axis, flat_index(call.tensor(2)), call.gradient()));
}

const Register index_select_registered({.name = "index_select",
                                        .forward = index_select_forward,
                                        .backward = index_select_backward,
                                        .saved_inputs = 0b100,
                                        .backward_records = true});

Tensor scaled(const Tensor& source, const Value& alpha) {
  const bool one = alpha.kind() != ValueKind::complex && alpha.real() == 1.0;
  return one ? source : multiply_call(source, alpha);
}

// index_add(x, axis, index, source, alpha): x[..., index[i], ...] += alpha * source[..., i, ...].
void index_add_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  const int axis = normalize_axis(call.integer(1), x.rank(), call.name());
  require_flat_index(call.name(), call.tensor(2));
  const RowIndices indices = row_indices(call.name(), axis, flat_index(call.tensor(2)));
  const Tensor& source = call.tensor(3);
  const Dims expected = picked_shape(x, indices);
  if (!(source.shape() == expected))
    fail(ErrorKind::shape, call.name(), ": the source has shape ", source.shape(),
         " for a tensor of shape ", x.shape(), ", axis ", axis, " and ", indices.shape[0],
         " indices. Expected ", expected, ". Fix: reshape or expand the source.");
  const Tensor rows = [&] {
    GradMode off(false);  // the multiplication is part of this operation
    return cast(scaled(source, call[4]), x.dtype());
  }();
  const Tensor target = call.destination ? call.destination : clone(x);
  add_rows(target, rows, indices);
  call.output(target);
}

void index_add_backward(BackwardCall& call) {
  if (call.needs(0)) call.set(0, call.gradient());
  if (!call.needs(3)) return;
  const Tensor index = flat_index(call.tensor(2));
  call.set(3, scaled(take_call(call.gradient(), index, call[1]), call[4]));
}

const Register index_add_registered({.name = "index_add",
                                     .forward = index_add_forward,
                                     .backward = index_add_backward,
                                     .saved_inputs = 0b100,
                                     .backward_records = true});

// --- embedding
// ------------------------------------------------------------------------------------

// embedding(ids, weight, padding_idx)
int64_t padding_row(std::string_view place, const Value& padding, int64_t rows) {
  const int64_t row = padding.integer();
  if (row < -rows || row >= rows)
    fail(ErrorKind::argument, place, ": padding_idx ", row, " for a weight with ", rows,
         " rows. Expected -", rows, " to ", rows - 1, ". Fix: correct padding_idx.");
  return row < 0 ? row + rows : row;
}

void embedding_forward(Call& call) {
  const Tensor& weight = call.tensor(1);
  if (weight.rank() < 1)
    fail(ErrorKind::shape, call.name(),
         ": the weight is 0-d. Expected shape (number of rows, size of a row). Fix: reshape it.");
  if (call.has(2)) padding_row(call.name(), call[2], weight.size(0));
  call.output(pick(call, weight, 0, call.tensor(0)));
}

void embedding_backward(BackwardCall& call) {
  if (!call.needs(1)) return;
  const Tensor& weight = call.tensor(1);
  Tensor gradient = add_to_zeros(weight.shape(), 0, call.tensor(0), call.gradient());
  if (!call[2].is_none()) {
    const int64_t row = padding_row("embedding", call[2], weight.size(0));
    const Tensor index = scalar_tensor(row, DType::int64, weight.device());
    gradient = put_in_place(gradient, Dims{0}, std::vector<Tensor>{index}, 0.0, false);
  }
  call.set(1, std::move(gradient));
}

const Register embedding_registered({.name = "embedding",
                                     .forward = embedding_forward,
                                     .backward = embedding_backward,
                                     .saved_inputs = 0b001,
                                     .backward_records = true});

// --- repeat_each(x, count, axis): every entry of the axis `count` times on the spot
// ----------------------------------------------------------------------------------

const NativeCall sum_call("sum");

Dims with_copies(const Dims& shape, int axis, int64_t count) {
  Dims split = shape;
  split.insert(axis + 1, count);
  return split;
}

void repeat_each_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  const int64_t count = call.integer(1);
  const int axis = normalize_axis(call.integer(2), x.rank(), call.name());
  Dims shape = x.shape();
  if (count < 0 || __builtin_mul_overflow(shape[axis], count, &shape[axis]))
    fail(ErrorKind::argument, call.name(), ": ", count, " repetitions of axis ", axis,
         " of a tensor of shape ", x.shape(),
         ". Expected 0 or more, and a length that 63 bits hold. Fix: correct the number.");
  const Tensor y = empty(shape, x.dtype(), x.device());
  const Dims split = with_copies(x.shape(), axis, count);
  Dims strides = x.strides();
  strides.insert(axis + 1, 0);
  if (y.elements() > 0)
    copy_into(alias(y, split, contiguous_strides(split), y.offset()),
              alias(x, split, strides, x.offset()));
  call.output(y);
}

void repeat_each_backward(BackwardCall& call) {
  if (!call.needs(0)) return;
  const Dims& shape = call.tensor(0).shape();
  const int axis = normalize_axis(call[2].integer(), shape.size(), "repeat_each");
  const Tensor split = reshape_call(call.gradient(), with_copies(shape, axis, call[1].integer()));
  call.set(0, sum_call(split, int64_t{axis} + 1));
}

const Register repeat_each_registered({.name = "repeat_each",
                                       .forward = repeat_each_forward,
                                       .backward = repeat_each_backward,
                                       .backward_records = true});

// --- one_hot
// --------------------------------------------------------------------------------------

struct Classes {
  int64_t count;
};

void largest_kernel(TensorSpan outputs, TensorSpan inputs, const NoAttributes&) {
  int64_t largest = -1;
  const int64_t* x = inputs[0].data<int64_t>();
  for (int64_t i = 0; i < inputs[0].elements(); ++i) largest = std::max(largest, x[i]);
  *outputs[0].data<int64_t>() = largest;
}

void one_hot_kernel(TensorSpan outputs, TensorSpan inputs, const Classes& classes) {
  const int64_t* label = inputs[0].data<int64_t>();
  int64_t* y = outputs[0].data<int64_t>();
  const int64_t count = classes.count;
  const int64_t grain = std::max<int64_t>(16384 / std::max<int64_t>(count, 1), 1);
  parallel_ranges(inputs[0].elements(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (label[i] < 0 || label[i] >= count)
        fail(ErrorKind::index, "one_hot: label ", label[i], " with ", count,
             " classes. Expected 0 to ", count - 1,
             ". Fix: number the classes from 0, or raise num_classes.");
      std::fill(y + i * count, y + (i + 1) * count, 0);
      y[i * count + label[i]] = 1;
    }
  });
}

const KernelSlot<NoAttributes> largest_slot("one_hot", largest_kernel);
const KernelSlot<Classes> one_hot_slot("one_hot", one_hot_kernel);

// one_hot(x, num_classes): -1 takes the largest label.
void one_hot_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  require_integer_index(call.name(), x);
  const Tensor labels = contiguous(cast(x, DType::int64));
  int64_t classes = call.integer(1);
  if (classes < 0) {
    if (classes != -1 || labels.elements() == 0)
      fail(ErrorKind::argument, call.name(), ": num_classes is ", classes, " for ",
           labels.elements(),
           " labels. Expected 0 or more, or -1 to take it from the labels. Fix: "
           "pass num_classes.");
    const Tensor largest = empty({}, DType::int64, x.device());
    largest_slot(largest, {labels}, {});
    classes = host_integer(largest) + 1;
  }
  Dims shape = x.shape();
  shape.push_back(classes);
  Tensor y = empty(shape, DType::int64, x.device());
  one_hot_slot(y, {labels}, {classes});
  call.output(std::move(y));
}

const Register one_hot_registered({.name = "one_hot", .forward = one_hot_forward});

}  // namespace
}  // namespace samara
