// Joining tensors along an axis, and cutting one into views.
#include <vector>

#include "core/operation.h"
#include "ops/basic.h"
#include "ops/image.h"

namespace samara {
namespace {

const std::vector<Tensor>& tensors_of(const Call& call) {
  const std::vector<Tensor>& tensors = call[0].tensors();
  if (tensors.empty())
    fail(ErrorKind::argument, call.name(),
         ": an empty list of tensors given. Expected at least one tensor. Fix: pass the tensors to "
         "join.");
  return tensors;
}

DType common_dtype(const std::vector<Tensor>& tensors) {
  DType dtype = tensors[0].dtype();
  for (const Tensor& x : tensors) dtype = promote(dtype, x.dtype());
  return dtype;
}

// ---- concat ----------------------------------------------------------------------------------

void check_concat_shapes(const Call& call, const std::vector<Tensor>& tensors, int axis) {
  const Dims& expected = tensors[0].shape();
  for (size_t i = 1; i < tensors.size(); ++i) {
    const Dims& shape = tensors[i].shape();
    bool fits = shape.size() == expected.size();
    for (int d = 0; fits && d < shape.size(); ++d) fits = d == axis || shape[d] == expected[d];
    if (!fits)
      fail(ErrorKind::shape, call.name(), ": tensor ", i, " has shape ", shape,
           " and tensor 0 has shape ", expected, ", joined along axis ", axis,
           ". Expected equal shapes in every other axis. Fix: reshape or cut tensor ", i, ".");
  }
}

void check_concat_ranks(const Call& call, const std::vector<Tensor>& tensors) {
  for (size_t i = 0; i < tensors.size(); ++i)
    if (tensors[i].rank() == 0)
      fail(
          ErrorKind::shape, call.name(), ": tensor ", i,
          " has shape (), no axis to join along. Expected tensors with at least one axis. Fix: use "
          "stack for 0-d tensors.");
}

// concat(tensors, axis): axis None joins them flattened.
void concat_forward(Call& call) {
  const std::vector<Tensor>& tensors = tensors_of(call);
  const bool flat = !call.has(1);
  int axis = 0;
  Dims shape{0};
  if (!flat) {
    check_concat_ranks(call, tensors);
    axis = normalize_axis(call.integer(1), tensors[0].rank(), call.name());
    check_concat_shapes(call, tensors, axis);
    shape = tensors[0].shape();
    shape[axis] = 0;
  }
  for (const Tensor& x : tensors)
    if (__builtin_add_overflow(shape[axis], flat ? x.elements() : x.size(axis), &shape[axis]))
      fail(ErrorKind::memory, call.name(), ": the lengths along axis ", axis,
           " add up to more than 63 bits hold. Expected a tensor that memory can hold. Fix: join "
           "smaller tensors.");
  bool channels_last = !flat;
  for (const Tensor& x : tensors)
    channels_last = channels_last && image_order(x) == ImageOrder::channels_last;
  Tensor out = empty_image(shape, common_dtype(tensors), tensors[0].device(),
                           channels_last ? ImageOrder::channels_last : ImageOrder::channels_first);
  int64_t start = 0;
  for (const Tensor& x : tensors) {
    const int64_t length = flat ? x.elements() : x.size(axis);
    if (x.elements() > 0) {
      const Tensor part = narrow_view(out, axis, start, length);
      copy_into(flat ? reshape_view(part, x.shape()) : part, x);
    }
    start += length;
  }
  call.output(std::move(out));
}

// [start, start + length) of an axis; of a dropped axis, the one entry.
Tensor part_of(const Tensor& x, int axis, int64_t start, int64_t length, bool drop_axis) {
  static const NativeCall basic_index("basic_index");
  Dims starts = Dims::filled(x.rank(), 0);
  Dims sizes = x.shape();
  Dims layout;
  starts[axis] = start;
  sizes[axis] = length;
  for (int i = 0; i < x.rank(); ++i)
    if (i != axis || !drop_axis) layout.push_back(i);
  return basic_index(x, starts, Dims::filled(x.rank(), 1), sizes, layout);
}

void concat_backward(BackwardCall& call) {
  static const NativeCall reshape("reshape");
  const std::vector<Tensor>& tensors = call[0].tensors();
  const bool flat = call[1].is_none();
  const Tensor& gradient = call.gradient();
  const int axis = flat ? 0 : normalize_axis(call[1].integer(), gradient.rank(), "concat");
  int64_t start = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const int64_t length = flat ? tensors[i].elements() : tensors[i].size(axis);
    if (call.needs(0, static_cast<int>(i))) {
      const Tensor part = part_of(gradient, axis, start, length, false);
      call.set(0, static_cast<int>(i), flat ? reshape(part, tensors[i].shape()) : part);
    }
    start += length;
  }
}

// ---- stack -----------------------------------------------------------------------------------

// Entry `index` of an axis, without that axis.
Tensor entry_view(const Tensor& x, int axis, int64_t index) {
  Dims shape = x.shape();
  Dims strides = x.strides();
  shape.erase(axis);
  strides.erase(axis);
  return alias(x, shape, strides, x.offset() + index * x.stride(axis));
}

// stack(tensors, axis)
void stack_forward(Call& call) {
  const std::vector<Tensor>& tensors = tensors_of(call);
  const Dims& expected = tensors[0].shape();
  for (size_t i = 1; i < tensors.size(); ++i)
    if (!(tensors[i].shape() == expected))
      fail(ErrorKind::shape, call.name(), ": tensor ", i, " has shape ", tensors[i].shape(),
           " and tensor 0 has shape ", expected,
           ". Expected tensors of one shape. Fix: reshape or broadcast tensor ", i,
           ", or use concat to join along an existing axis.");
  const int axis = normalize_axis(call.integer(1), expected.size() + 1, call.name());
  Dims shape = expected;
  shape.insert(axis, static_cast<int64_t>(tensors.size()));
  Tensor out = empty(shape, common_dtype(tensors), tensors[0].device());
  if (out.elements() > 0)
    for (size_t i = 0; i < tensors.size(); ++i)
      copy_into(entry_view(out, axis, static_cast<int64_t>(i)), tensors[i]);
  call.output(std::move(out));
}

void stack_backward(BackwardCall& call) {
  const Tensor& gradient = call.gradient();
  const int axis = normalize_axis(call[1].integer(), gradient.rank(), "stack");
  const int count = static_cast<int>(call[0].tensors().size());
  for (int i = 0; i < count; ++i)
    if (call.needs(0, i)) call.set(0, i, part_of(gradient, axis, i, 1, true));
}

// ---- views -----------------------------------------------------------------------------------

// split_with_sizes(x, sizes, axis)
void split_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  const Dims& sizes = call[1].integers();
  const int axis = normalize_axis(call.integer(2), x.rank(), call.name());
  for (int64_t size : sizes)
    if (size < 0)
      fail(ErrorKind::argument, call.name(), ": sizes ", sizes,
           " hold a negative number. Expected sizes of 0 or more. Fix: pass the length of each "
           "part.");
  int64_t total = 0;
  for (int64_t size : sizes)
    if (__builtin_add_overflow(total, size, &total)) total = INT64_MAX;
  if (total != x.size(axis))
    fail(ErrorKind::shape, call.name(), ": sizes ", sizes, " add up to ", total, " and axis ", axis,
         " of shape ", x.shape(), " has ", x.size(axis),
         ". Expected sizes that add up to the length of the axis. Fix: adjust them.");
  int64_t start = 0;
  for (int64_t size : sizes) {
    call.output(narrow_view(x, axis, start, size));
    start += size;
  }
}

std::vector<Tensor> gradients_of(BackwardCall& call) {
  return {call.output_gradients.begin(), call.output_gradients.end()};
}

void split_backward(BackwardCall& call) {
  static const NativeCall concat("concat");
  call.set(0, concat(gradients_of(call), call[2]));
}

constexpr int64_t kMostViews = int64_t{1} << 24;

// unbind(x, axis)
void unbind_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  const int axis = normalize_axis(call.integer(1), x.rank(), call.name());
  if (x.size(axis) > kMostViews)
    fail(ErrorKind::memory, call.name(), ": axis ", axis, " of shape ", x.shape(), " has ",
         x.size(axis), " entries, each to become a tensor. Expected at most ", kMostViews,
         ". Fix: index the entries that are needed.");
  for (int64_t i = 0; i < x.size(axis); ++i) call.output(entry_view(x, axis, i));
}

void unbind_backward(BackwardCall& call) {
  static const NativeCall stack("stack");
  call.set(0, stack(gradients_of(call), call[1]));
}

const Register concat_registered({.name = "concat",
                                  .forward = concat_forward,
                                  .backward = concat_backward,
                                  .backward_records = true});
const Register stack_registered({.name = "stack",
                                 .forward = stack_forward,
                                 .backward = stack_backward,
                                 .backward_records = true});
const Register split_with_sizes_registered({.name = "split_with_sizes",
                                            .forward = split_forward,
                                            .backward = split_backward,
                                            .is_view = true,
                                            .backward_records = true});
const Register unbind_registered({.name = "unbind",
                                  .forward = unbind_forward,
                                  .backward = unbind_backward,
                                  .is_view = true,
                                  .backward_records = true});

}  // namespace
}  // namespace samara
