// Views: other shapes and strides over the same memory. Nothing here copies, except a reshape of
// memory that cannot be seen in the new shape.
#include "core/autograd.h"
#include "core/operation.h"
#include "ops/basic.h"
#include "ops/image.h"

namespace samara {
namespace {

// Strides that show x's memory in `shape`, or false when it takes a copy.
bool view_strides(const Tensor& x, const Dims& shape, Dims& strides) {
  if (x.is_contiguous() || x.elements() == 0) {
    strides = contiguous_strides(shape);
    return true;
  }
  strides = Dims::filled(shape.size(), 1);
  // Group x's axes into runs that are contiguous among themselves; each run must be cut alone.
  int target = shape.size() - 1;
  int axis = x.rank() - 1;
  while (axis >= 0) {
    int64_t run = x.size(axis);
    int64_t step = x.stride(axis);
    const int64_t innermost = step;
    while (axis > 0 && (x.size(axis - 1) == 1 || x.stride(axis - 1) == step * x.size(axis))) {
      --axis;
      run *= x.size(axis);
      if (x.size(axis) != 1) step = x.stride(axis);
    }
    int64_t covered = 1, stride = innermost;
    while (target >= 0 && (covered < run || shape[target] == 1)) {
      strides[target] = stride;
      covered *= shape[target];
      stride *= shape[target];
      --target;
    }
    if (covered != run) return false;
    --axis;
  }
  return target < 0;
}

Dims infer_shape(const Tensor& x, const Dims& requested) {
  Dims shape = requested, given;
  int unknown = -1;
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] >= 0) {
      given.push_back(shape[i]);
      continue;
    }
    if (shape[i] != -1 || unknown >= 0)
      fail(ErrorKind::shape, "reshape: shape ", requested,
           unknown >= 0 ? " has two unknown sizes" : " has a negative size",
           ". Expected at most one -1. Fix: give the other sizes.");
    unknown = i;
  }
  int64_t known = checked_element_count(given);
  if (unknown >= 0 && known > 0 && x.elements() % known == 0) {
    shape[unknown] = x.elements() / known;
    known *= shape[unknown];
  }
  if (known != x.elements() || (unknown >= 0 && shape[unknown] < 0))
    fail(ErrorKind::shape, "reshape: a tensor of shape ", x.shape(), " has ", x.elements(),
         " elements, which do not fill shape ", requested,
         ". Expected the same number of elements. Fix: correct the sizes, or use -1 for one of "
         "them.");
  return shape;
}

}  // namespace

Tensor reshape_view(const Tensor& x, const Dims& requested) {
  const Dims shape = infer_shape(x, requested);
  Dims strides;
  if (view_strides(x, shape, strides)) return alias(x, shape, strides, x.offset());
  return alias(clone(x), shape, contiguous_strides(shape), 0);
}

Tensor permute_view(const Tensor& x, const Dims& requested) {
  const Dims axes = normalize_axes(requested, x.rank(), "permute");
  if (axes.size() != x.rank())
    fail(ErrorKind::argument, "permute: ", axes.size(), " axes were given for a tensor of shape ",
         x.shape(), ". Expected all ", x.rank(), " axes. Fix: name each axis once.");
  Dims shape, strides;
  for (int64_t axis : axes) {
    shape.push_back(x.size(static_cast<int>(axis)));
    strides.push_back(x.stride(static_cast<int>(axis)));
  }
  return alias(x, shape, strides, x.offset());
}

Tensor expand_view(const Tensor& x, const Dims& requested) {
  const int shift = requested.size() - x.rank();
  Dims shape = requested, strides = Dims::filled(requested.size(), 0);
  bool fits = shift >= 0;
  for (int i = 0; fits && i < requested.size(); ++i) {
    const int64_t own = i < shift ? 1 : x.size(i - shift);
    if (shape[i] == -1 && i >= shift) shape[i] = own;
    fits = shape[i] >= 0 && (own == shape[i] || own == 1);
    if (fits && i >= shift && own == shape[i]) strides[i] = x.stride(i - shift);
  }
  if (!fits)
    fail(ErrorKind::shape, "expand: shape ", x.shape(), " does not expand to ", requested,
         ". Expected equal sizes, or 1 where it grows. Fix: reshape the tensor first.");
  static_cast<void>(checked_element_count(shape));
  return alias(x, shape, strides, x.offset());
}

Tensor narrow_view(const Tensor& x, int axis, int64_t start, int64_t length) {
  Dims shape = x.shape();
  shape[axis] = length;
  return alias(x, shape, x.strides(), x.offset() + start * x.stride(axis));
}

namespace {

const NativeCall reshape("reshape");
const NativeCall contiguous_call("contiguous");
const NativeCall permute("permute");
const NativeCall sum_to_call("sum_to");
const NativeCall flip("flip");
const NativeCall basic_index("basic_index");
const NativeCall basic_index_adjoint("basic_index_adjoint");
const NativeCall as_strided_adjoint("as_strided_adjoint");
const NativeCall as_strided("as_strided");

// --- reshape(x, shape, copy = None): copies where it must, always (true) or never (false) ---
void reshape_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  const bool chosen = call.values.size() > 2 && call.has(2);
  const bool copies = chosen && call.boolean(2);
  const Tensor shown = reshape_view(copies ? clone(x) : x, call[1].integers());
  if (chosen && !copies && !(shown.impl()->storage == x.impl()->storage))
    fail(ErrorKind::argument, "reshape: memory of shape ", x.shape(), " and strides ", x.strides(),
         " cannot be seen as ", call[1].integers(),
         " without a copy. Expected copy=None or True. Fix: leave copy out.");
  call.output(shown);
}
void reshape_backward(BackwardCall& call) {
  call.set(0, reshape(call.gradient(), call.tensor(0).shape()));
}
const Register reshape_registered({.name = "reshape",
                                   .forward = reshape_forward,
                                   .backward = reshape_backward,
                                   .is_view = true,
                                   .backward_records = true});

// view(x, shape): a reshape that refuses to copy, but for images that lie channels-last: that order
// is the library's choice, and code written for the logical order must not trip over it.
void view_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  const Tensor shown = reshape_view(x, call[1].integers());
  if (!(shown.impl()->storage == x.impl()->storage) && image_order(x) == ImageOrder::channels_first)
    fail(ErrorKind::shape, "view: memory of shape ", x.shape(), " and strides ", x.strides(),
         " cannot be seen as ", call[1].integers(),
         ". Expected axes that are contiguous where they merge. Fix: use reshape, which copies.");
  call.output(shown);
}
const Register view_registered({.name = "view",
                                .forward = view_forward,
                                .backward = reshape_backward,
                                .is_view = true,
                                .backward_records = true});

// --- permute(x, axes) ---
void permute_forward(Call& call) { call.output(permute_view(call.tensor(0), call[1].integers())); }
void permute_backward(BackwardCall& call) {
  const Dims axes = normalize_axes(call[1].integers(), call.tensor(0).rank(), "permute");
  Dims inverse = axes;
  for (int i = 0; i < axes.size(); ++i) inverse[static_cast<int>(axes[i])] = i;
  call.set(0, permute(call.gradient(), inverse));
}
const Register permute_registered({.name = "permute",
                                   .forward = permute_forward,
                                   .backward = permute_backward,
                                   .is_view = true,
                                   .backward_records = true});

// --- transpose(x, first, second) ---
void transpose_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  const int a = normalize_axis(call.integer(1), x.rank(), call.name(), true);
  const int b = normalize_axis(call.integer(2), x.rank(), call.name(), true);
  Dims shape = x.shape(), strides = x.strides();
  if (x.rank() > 0) {
    std::swap(shape[a], shape[b]);
    std::swap(strides[a], strides[b]);
  }
  call.output(alias(x, shape, strides, x.offset()));
}
const NativeCall transpose("transpose");
void transpose_backward(BackwardCall& call) {
  call.set(0, transpose(call.gradient(), call[1].integer(), call[2].integer()));
}
const Register transpose_registered({.name = "transpose",
                                     .forward = transpose_forward,
                                     .backward = transpose_backward,
                                     .is_view = true,
                                     .backward_records = true});

// --- expand(x, shape) ---
void expand_forward(Call& call) { call.output(expand_view(call.tensor(0), call[1].integers())); }
void expand_backward(BackwardCall& call) {
  call.set(0, sum_to_call(call.gradient(), call.tensor(0).shape()));
}
const Register expand_registered({.name = "expand",
                                  .forward = expand_forward,
                                  .backward = expand_backward,
                                  .is_view = true,
                                  .backward_records = true});

// --- squeeze(x, axes or None), unsqueeze(x, axes) ---
void squeeze_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  Dims axes;
  if (call.has(1)) {
    // PyTorch's form lets axis 0 and -1 of a 0-d tensor stay, like any axis that is not of size 1.
    const int rank = x.rank() == 0 && !call.boolean(2) ? 1 : x.rank();
    axes = normalize_axes(call[1].integers(), rank, call.name());
  } else {
    for (int i = 0; i < x.rank(); ++i)
      if (x.size(i) == 1) axes.push_back(i);
  }
  Dims shape, strides;
  for (int i = 0; i < x.rank(); ++i) {
    bool removed = false;
    for (int64_t axis : axes) removed = removed || axis == i;
    if (removed && x.size(i) != 1) {
      if (!call.boolean(2)) {
        removed = false;
      } else {
        fail(ErrorKind::shape, "squeeze: axis ", i, " of shape ", x.shape(), " has size ",
             x.size(i), ". Expected size 1. Fix: choose an axis of size 1.");
      }
    }
    if (removed) continue;
    shape.push_back(x.size(i));
    strides.push_back(x.stride(i));
  }
  call.output(alias(x, shape, strides, x.offset()));
}
const Register squeeze_registered({.name = "squeeze",
                                   .forward = squeeze_forward,
                                   .backward = reshape_backward,
                                   .is_view = true,
                                   .backward_records = true});

void unsqueeze_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  const Dims& requested = call[1].integers();
  const Dims axes = normalize_axes(requested, x.rank() + requested.size(), call.name());
  uint32_t fresh = 0;
  for (int64_t axis : axes) fresh |= 1u << axis;
  Dims shape, strides;
  int source = 0;
  for (int i = 0; i < x.rank() + axes.size(); ++i) {
    if (fresh >> i & 1u) {
      shape.push_back(1);
      strides.push_back(source < x.rank() ? x.stride(source) * x.size(source) : 1);
    } else {
      shape.push_back(x.size(source));
      strides.push_back(x.stride(source++));
    }
  }
  call.output(alias(x, shape, strides, x.offset()));
}
const Register unsqueeze_registered({.name = "unsqueeze",
                                     .forward = unsqueeze_forward,
                                     .backward = reshape_backward,
                                     .is_view = true,
                                     .backward_records = true});

// --- flip(x, axes): negative strides ---
void flip_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  Dims axes;
  if (call.has(1))
    axes = normalize_axes(call[1].integers(), x.rank(), call.name());
  else
    for (int i = 0; i < x.rank(); ++i) axes.push_back(i);
  Dims strides = x.strides();
  int64_t offset = x.offset();
  for (int64_t axis : axes) {
    const int i = static_cast<int>(axis);
    offset += strides[i] * std::max<int64_t>(x.size(i) - 1, 0);
    strides[i] = -strides[i];
  }
  call.output(alias(x, x.shape(), strides, offset));
}
void flip_backward(BackwardCall& call) {
  if (call[1].is_none())
    call.set(0, flip(call.gradient(), Value()));
  else
    call.set(0, flip(call.gradient(), call[1].integers()));
}
const Register flip_registered({.name = "flip",
                                .forward = flip_forward,
                                .backward = flip_backward,
                                .is_view = true,
                                .backward_records = true});

// --- basic indexing -----------------------------------------------------------------------------
// basic_index(x, starts, steps, sizes, layout): axis i of x is cut to sizes[i] elements from
// starts[i] in steps[i]; output axis j shows axis layout[j] of x, or is new where that is -1. Axes
// missing from the layout were indexed by an integer.
Tensor cut(const Tensor& x, const Dims& starts, const Dims& steps, const Dims& sizes,
           const Dims& layout) {
  int64_t offset = x.offset();
  for (int i = 0; i < x.rank(); ++i)
    if (x.size(i) > 0) offset += starts[i] * x.stride(i);
  Dims shape, strides;
  for (int64_t axis : layout) {
    const int i = static_cast<int>(axis);
    shape.push_back(axis < 0 ? 1 : sizes[i]);
    strides.push_back(axis < 0 ? 1 : x.stride(i) * steps[i]);
  }
  return alias(x, shape, strides, offset);
}
void basic_index_forward(Call& call) {
  call.output(cut(call.tensor(0), call[1].integers(), call[2].integers(), call[3].integers(),
                  call[4].integers()));
}
void basic_index_backward(BackwardCall& call) {
  call.set(0, basic_index_adjoint(call.gradient(), call.tensor(0).shape(), call[1].integers(),
                                  call[2].integers(), call[3].integers(), call[4].integers()));
}
const Register basic_index_registered({.name = "basic_index",
                                       .forward = basic_index_forward,
                                       .backward = basic_index_backward,
                                       .is_view = true,
                                       .backward_records = true});

// basic_index_adjoint(g, shape, starts, steps, sizes, layout): zeros with g at the indexed places.
void basic_index_adjoint_forward(Call& call) {
  const Tensor& g = call.tensor(0);
  const Tensor whole = zeros(call[1].integers(), g.dtype(), g.device());
  copy_into(
      cut(whole, call[2].integers(), call[3].integers(), call[4].integers(), call[5].integers()),
      g);
  call.output(whole);
}
void basic_index_adjoint_backward(BackwardCall& call) {
  call.set(0, basic_index(call.gradient(), call[2].integers(), call[3].integers(),
                          call[4].integers(), call[5].integers()));
}
const Register basic_index_adjoint_registered({.name = "basic_index_adjoint",
                                               .forward = basic_index_adjoint_forward,
                                               .backward = basic_index_adjoint_backward,
                                               .backward_records = true});

// --- as_strided(x, shape, strides, offset): offset counted from x's first element ----------------
// Fails when the view leaves x's memory, or x's own elements where it must stay inside them.
void check_span(const Tensor& x, const Dims& shape, const Dims& strides, int64_t offset,
                bool own_elements = false) {
  if (shape.size() != strides.size())
    fail(ErrorKind::shape, "as_strided: shape ", shape, " and strides ", strides,
         " differ in length. Expected one stride per axis. Fix: give both the same length.");
  static_cast<void>(x.address());  // fails for a shape without data
  const int64_t available =
      own_elements ? x.elements()
                   : static_cast<int64_t>(x.impl()->storage->bytes) / itemsize(x.dtype());
  if (checked_element_count(shape) == 0) return;  // shows nothing, wherever it lies
  int64_t low = 0, high = 0;
  bool inside = !__builtin_add_overflow(own_elements ? 0 : x.offset(), offset, &low);
  high = low;
  for (int i = 0; inside && i < shape.size(); ++i) {
    int64_t reach = 0;
    inside = !__builtin_mul_overflow(shape[i] - 1, strides[i], &reach) &&
             !__builtin_add_overflow(reach < 0 ? low : high, reach, reach < 0 ? &low : &high);
  }
  if (!inside || low < 0 || high >= available)
    fail(ErrorKind::index, "as_strided: shape ", shape, " with strides ", strides, " and offset ",
         offset, " reaches outside the tensor's memory of ", available,
         " elements. Expected places inside it. Fix: correct the strides or the offset.");
}
void as_strided_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  const int64_t offset = call.integer(3);
  if (call.records && !x.is_contiguous())
    fail(ErrorKind::gradient, "as_strided: the tensor has strides ", x.strides(),
         " and requires grad. Expected a contiguous tensor. Fix: pass x.contiguous().");
  const Dims& shape = call[1].integers();
  // The gradient has a place for each of x's elements and none for their neighbours.
  check_span(x, shape, call[2].integers(), offset, call.records);
  // Steps that nobody takes may be of any size, and must not overflow later.
  constexpr int64_t kLongest = int64_t{1} << 40;
  Dims strides = call[2].integers();
  const bool empty = element_count(shape) == 0;
  for (int i = 0; i < shape.size(); ++i)
    if ((shape[i] <= 1 || empty) && (strides[i] > kLongest || strides[i] < -kLongest))
      strides[i] = 1;
  const int64_t start = x.offset() + (empty ? 0 : offset);
  call.output(alias(x, shape, strides, start));
}
void as_strided_backward(BackwardCall& call) {
  call.set(0, as_strided_adjoint(call.gradient(), call.tensor(0).shape(), call[1].integers(),
                                 call[2].integers(), call[3].integer()));
}
const Register as_strided_registered({.name = "as_strided",
                                      .forward = as_strided_forward,
                                      .backward = as_strided_backward,
                                      .is_view = true,
                                      .backward_records = true});

// as_strided_adjoint(g, shape, view_shape, strides, offset): for a contiguous base of `shape`,
// zeros with g added where the view shows them.
void as_strided_adjoint_forward(Call& call) {
  const Tensor g = contiguous(call.tensor(0));
  const Tensor whole = zeros(call[1].integers(), g.dtype(), g.device());
  check_span(whole, call[2].integers(), call[3].integers(), call[4].integer());
  const Tensor shown = alias(whole, call[2].integers(), call[3].integers(), call[4].integer());
  if (!has_internal_overlap(shown)) {
    copy_into(shown, g);
    call.output(whole);
    return;
  }
  // Several elements of g meet in one place. Along axes of stride 0 they are summed first; where
  // windows overlap, each is added at its place.
  Dims reduced = shown.shape(), strides = shown.strides();
  for (int i = 0; i < reduced.size(); ++i)
    if (strides[i] == 0) reduced[i] = std::min<int64_t>(reduced[i], 1);
  const Tensor sums = sum_to(g, reduced);
  const Tensor places = alias(whole, reduced, strides, shown.offset());
  if (!has_internal_overlap(places)) {
    copy_into(places, sums);
  } else {
    static const NativeCall arange("arange"), put("index_put", NativeCall::kInPlace);
    const Tensor numbers =
        arange(int64_t{0}, whole.elements(), int64_t{1}, DType::int64, g.device());
    const Tensor index = clone(alias(numbers, reduced, strides, shown.offset()));
    const int64_t count = index.elements();
    GradMode off(false);
    put(reshape_view(whole, {whole.elements()}), Dims{0},
        std::vector<Tensor>{reshape_view(index, {count})}, reshape_view(contiguous(sums), {count}),
        true);
  }
  call.output(whole);
}
void as_strided_adjoint_backward(BackwardCall& call) {
  call.set(0, as_strided(contiguous_call(call.gradient()), call[2].integers(), call[3].integers(),
                         call[4].integer()));
}
const Register as_strided_adjoint_registered({.name = "as_strided_adjoint",
                                              .forward = as_strided_adjoint_forward,
                                              .backward = as_strided_adjoint_backward,
                                              .backward_records = true});

// --- set_view(base, value, shape, strides, offset)
// ------------------------------------------------ The history of a base after one of its views was
// written: never called forward, only recorded.
void set_view_forward(Call& call) {
  fail(ErrorKind::not_implemented, call.name(), ": this node is recorded by in-place operations.");
}
const NativeCall zero_view("zero_view");
void set_view_backward(BackwardCall& call) {
  const Dims& shape = call[2].integers();
  const Dims& strides = call[3].integers();
  const int64_t offset = call[4].integer();
  if (call.needs(1))
    call.set(1, as_strided(contiguous_call(call.gradient()), shape, strides, offset));
  if (call.needs(0)) call.set(0, zero_view(call.gradient(), shape, strides, offset));
}
const Register set_view_registered({.name = "set_view",
                                    .forward = set_view_forward,
                                    .backward = set_view_backward,
                                    .backward_records = true});

// zero_view(g, shape, strides, offset): a copy of g with zeros where the view shows it.
void zero_view_forward(Call& call) {
  const Tensor copy = clone(call.tensor(0));
  check_span(copy, call[1].integers(), call[2].integers(), call[3].integer());
  fill(alias(copy, call[1].integers(), call[2].integers(), call[3].integer()), Value(false));
  call.output(copy);
}
void zero_view_backward(BackwardCall& call) {
  call.set(0,
           zero_view(call.gradient(), call[1].integers(), call[2].integers(), call[3].integer()));
}
const Register zero_view_registered({.name = "zero_view",
                                     .forward = zero_view_forward,
                                     .backward = zero_view_backward,
                                     .backward_records = true});

}  // namespace
}  // namespace samara
