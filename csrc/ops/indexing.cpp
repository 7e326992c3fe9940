#include "ops/indexing.h"

#include <algorithm>
#include <cstring>

#include "core/autograd.h"
#include "core/kernel.h"
#include "core/operation.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/index_rows.h"

namespace samara {
namespace {

const NativeCall index_call("index");
const NativeCall put_call("index_put");
const NativeCall put_in_place("index_put", NativeCall::kInPlace);
const NativeCall reshape_call("reshape");
const NativeCall sum_to_call("sum_to");
const NativeCall where_call("where");
const NativeCall zeros_like_call("zeros_like");

std::vector<Tensor> copy_list(std::span<const Tensor> tensors) {
  return {tensors.begin(), tensors.end()};
}

// --- x[indices]
// -----------------------------------------------------------------------------------

void index_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  const RowIndices indices = row_indices(call.name(), x, call[1].integers(), call[2].tensors());
  Tensor picked = empty(picked_shape(x, indices), x.dtype(), x.device());
  pick_rows(picked, x, indices);
  call.output(std::move(picked));
}

void index_backward(BackwardCall& call) {
  if (!call.needs(0)) return;
  const Tensor& x = call.tensor(0);
  const Tensor gradient = zeros(x.shape(), x.dtype(), x.device());
  call.set(0, put_in_place(gradient, call[1].integers(), call[2].tensors(), call.gradient(), true));
}

const Register index_registered({.name = "index",
                                 .forward = index_forward,
                                 .backward = index_backward,
                                 .saved_inputs = 0b100,
                                 .backward_records = true});

// --- x[indices] = values
// --------------------------------------------------------------------------

// Leading axes of size 1 beyond the target's rank carry nothing.
Dims without_extra_axes(const Dims& shape, int rank) {
  Dims kept = shape;
  while (kept.size() > rank && kept[0] == 1) kept.erase(0);
  return kept;
}

void require_broadcast(std::string_view place, const Dims& values, const Dims& target) {
  bool fits = values.size() <= target.size();
  for (int i = 0; fits && i < values.size(); ++i) {
    const int64_t size = values[values.size() - 1 - i];
    fits = size == 1 || size == target[target.size() - 1 - i];
  }
  if (!fits)
    fail(ErrorKind::shape, place, ": values of shape ", values,
         " do not broadcast to the indexed shape ", target,
         ". Expected that shape, or 1 in some axes. Fix: reshape the values.");
}

void put_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  const bool accumulate = call.boolean(4);
  const RowIndices indices = row_indices(call.name(), x, call[1].integers(), call[2].tensors());
  Tensor values = call[3].is_number() ? scalar_tensor(call[3], x.dtype(), x.device())
                                      : cast(call.tensor(3), x.dtype());
  const Dims target = picked_shape(x, indices);
  const Dims kept = without_extra_axes(values.shape(), target.size());
  require_broadcast(call.name(), values.shape().size() > target.size() ? kept : values.shape(),
                    target);
  if (!(kept == values.shape())) values = reshape_view(values, kept);
  const Tensor written = call.destination ? call.destination : clone(x);
  if (accumulate)
    add_rows(written, values, indices);
  else
    put_rows(written, values, indices);
  call.output(written);
}

// The part of the result's gradient that reached x from the values at `indices`.
Tensor put_values_gradient(BackwardCall& call) {
  const Tensor& gradient = call.gradient();
  const Dims& axes = call[1].integers();
  const std::vector<Tensor>& index = call[2].tensors();
  Tensor picked = index_call(gradient, axes, index);
  if (call[4].boolean()) return picked;
  const RowIndices indices = row_indices("index_put", gradient, axes, index);
  Tensor survives = surviving_rows(gradient, indices);
  if (!survives) return picked;
  // Values that a later equal index overwrote have no effect.
  Dims aligned = indices.shape;
  const int after = picked.rank() - indices.indexing.position - indices.indexing.index_rank;
  for (int i = 0; i < after; ++i) aligned.push_back(1);
  return where_call(reshape_view(survives, aligned), picked, zeros_like_call(picked));
}

void put_backward(BackwardCall& call) {
  const Tensor& gradient = call.gradient();
  if (call.needs(0)) {
    const bool accumulate = call[4].boolean();
    call.set(0, accumulate ? gradient
                           : put_call(gradient, call[1].integers(), call[2].tensors(), 0.0, false));
  }
  if (!call.needs(3)) return;
  Tensor values = put_values_gradient(call);
  const Dims& shape = call.tensor(3).shape();
  if (shape.size() > values.rank())
    values = reshape_call(sum_to_call(values, without_extra_axes(shape, values.rank())), shape);
  call.set(3, std::move(values));
}

const Register put_registered({.name = "index_put",
                               .forward = put_forward,
                               .backward = put_backward,
                               .saved_inputs = 0b100,
                               .backward_records = true});

// --- masks
// ----------------------------------------------------------------------------------------

constexpr int64_t kMaskBlock = 16384;

// counts[b]: how many True in block b; the last entry takes the total.
void count_kernel(TensorSpan outputs, TensorSpan inputs, const NoAttributes&) {
  const int64_t n = inputs[0].elements();
  const uint8_t* mask = inputs[0].data<uint8_t>();
  int64_t* counts = outputs[0].data<int64_t>();
  parallel_ranges(n, kMaskBlock, [&](int64_t begin, int64_t end) {
    // Bytes are summed in short runs, so that a byte-wide sum vectorises and never overflows.
    int64_t total = 0;
    for (int64_t start = begin; start < end; start += 128) {
      const int64_t stop = std::min(start + 128, end);
      uint8_t some = 0;
      for (int64_t i = start; i < stop; ++i) some = static_cast<uint8_t>(some + (mask[i] != 0));
      total += some;
    }
    counts[begin / kMaskBlock] = total;
  });
  int64_t total = 0;
  const int64_t blocks = outputs[0].elements() - 1;
  for (int64_t block = 0; block < blocks; ++block) total += counts[block];
  counts[blocks] = total;
}

// places[axis][k]: the coordinate along `axis` of the k-th True, given the counts of the blocks.
void places_kernel(TensorSpan outputs, TensorSpan inputs, const NoAttributes&) {
  const Tensor& mask = inputs[0];
  const int rank = static_cast<int>(outputs[0].size(0));
  const int64_t total = outputs[0].size(1);
  int64_t* places = outputs[0].data<int64_t>();
  const int64_t blocks = inputs[1].elements() - 1;
  Tensor starts = clone(inputs[1]);
  int64_t* start = starts.data<int64_t>();
  int64_t sum = 0;
  for (int64_t block = 0; block < blocks; ++block) sum += std::exchange(start[block], sum);
  const uint8_t* value = mask.data<uint8_t>();
  parallel_ranges(mask.elements(), kMaskBlock, [&](int64_t begin, int64_t end) {
    const int64_t block = begin / kMaskBlock;
    const int64_t first = start[block];
    const int64_t last = first + inputs[1].data<int64_t>()[block];
    int64_t* along_last = places + (rank - 1) * total;
    const int64_t length = mask.size(mask.rank() - 1);
    // Line by line along the last axis, so that only lines need their position taken apart.
    for (int64_t i = begin, k = first; k < last && i < end;) {
      const int64_t line = i / length;
      const int64_t line_start = line * length;
      const int64_t stop = std::min(end, line_start + length);
      const int64_t k_start = k;
      for (; k < last && i < stop; ++i) {
        along_last[k] = i - line_start;
        k += value[i] != 0;
      }
      i = stop;
      int64_t rest = line;
      for (int axis = rank - 2; axis >= 0; --axis) {
        std::fill(places + axis * total + k_start, places + axis * total + k,
                  rest % mask.size(axis));
        rest /= mask.size(axis);
      }
    }
  });
}

const KernelSlot<NoAttributes> count_slot("nonzero", count_kernel);
const KernelSlot<NoAttributes> places_slot("nonzero", places_kernel);

// [rank, count]: one row of coordinates per axis.
Tensor nonzero_rows(const Tensor& x) {
  const Tensor mask = contiguous(cast(x, DType::boolean));
  const int64_t blocks = (mask.elements() + kMaskBlock - 1) / kMaskBlock;
  const Tensor counts = empty({blocks + 1}, DType::int64, x.device());
  count_slot(counts, {mask}, {});
  const int64_t total = host_integer(counts, blocks);
  const Tensor places = empty({mask.rank(), total}, DType::int64, x.device());
  if (total > 0 && mask.rank() > 0) places_slot(places, {mask, counts}, {});
  return places;
}

void argwhere_forward(Call& call) {
  call.output(contiguous(permute_view(nonzero_rows(call.tensor(0)), {1, 0})));
}

const Register argwhere_registered({.name = "argwhere", .forward = argwhere_forward});

void nonzero_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  if (x.rank() == 0)
    fail(ErrorKind::shape, call.name(),
         ": the tensor is 0-d and has no axis to count along. Expected one axis or more. Fix: use "
         "argwhere, or reshape it to (1,).");
  for (Tensor& column : nonzero_columns(x)) call.output(std::move(column));
}

const Register nonzero_registered({.name = "nonzero", .forward = nonzero_forward});

}  // namespace

Tensor index_get(const Tensor& x, const Dims& axes, std::span<const Tensor> indices) {
  return index_call(x, axes, copy_list(indices));
}

void index_set(const Tensor& x, const Dims& axes, std::span<const Tensor> indices,
               const Tensor& values, bool accumulate) {
  put_in_place(x, axes, copy_list(indices), values, accumulate);
}

std::vector<Tensor> nonzero_columns(const Tensor& mask) {
  const Tensor rows = nonzero_rows(mask.rank() == 0 ? reshape_view(mask, {1}) : mask);
  std::vector<Tensor> columns;
  for (int axis = 0; axis < rows.size(0); ++axis)
    columns.push_back(alias(rows, {rows.size(1)}, {1}, rows.offset() + axis * rows.size(1)));
  return columns;
}

void check_mask(const Tensor& x, const Tensor& mask, int first_axis) {
  bool fits = mask.rank() <= x.rank() - first_axis;
  for (int axis = 0; fits && axis < mask.rank(); ++axis)
    // The standard lets an empty mask stand for any size: it takes nothing.
    fits = mask.size(axis) == x.size(first_axis + axis) || mask.size(axis) == 0;
  if (!fits)
    fail(ErrorKind::index, "index: a mask of shape ", mask.shape(), " at axis ", first_axis,
         " of a tensor of shape ", x.shape(),
         ". Expected the sizes of the axes that the mask covers. Fix: make the mask from this "
         "tensor, or reshape it.");
}

}  // namespace samara
