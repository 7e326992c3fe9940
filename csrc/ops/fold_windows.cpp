// Tensor.unfold(axis, size, step): the windows along one axis, as a view.
#include <algorithm>

#include "core/autograd.h"
#include "core/kernel.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/elements.h"

namespace samara {
namespace {

// The gradient of windows: what all windows have of an element, summed.
struct WindowShape {
  int64_t length, windows, inner, size, step;
};

// g: [outer, windows, inner, size] -> [outer, length, inner]
template <class T>
void sum_windows(const T* g, T* out, const WindowShape& shape, int64_t row) {
  using A = Accumulator<T>;
  const int64_t outer = row / shape.length, place = row % shape.length;
  const int64_t reach = place - shape.size + 1;
  const int64_t first = reach <= 0 ? 0 : (reach - 1) / shape.step + 1;
  const int64_t end = std::min(place / shape.step + 1, shape.windows);
  for (int64_t i = 0; i < shape.inner; ++i) {
    typename A::type sum{};
    for (int64_t w = first; w < end; ++w)
      sum = A::add(sum, A::widen(g[((outer * shape.windows + w) * shape.inner + i) * shape.size +
                                   place - w * shape.step]));
    out[row * shape.inner + i] = A::narrow(sum);
  }
}

void windows_adjoint_cpu(TensorSpan outputs, TensorSpan inputs, const WindowShape& shape) {
  const Tensor& out = outputs[0];
  if (out.elements() == 0) return;
  visit_dtype(out.dtype(), [&]<class T>(TypeTag<T>) {
    const T* g = inputs[0].elements() ? inputs[0].data<T>() : nullptr;
    const int64_t grain = std::max<int64_t>(1, (1 << 15) / (shape.inner * shape.size + 1));
    parallel_ranges(out.elements() / shape.inner, grain, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) sum_windows(g, out.data<T>(), shape, row);
    });
  });
}
const KernelSlot<WindowShape> windows_adjoint_slot("windows_adjoint", windows_adjoint_cpu);

const NativeCall windows("windows");
const NativeCall windows_adjoint("windows_adjoint");

// windows(x, axis, size, step); a 0-d tensor counts as one of a single element.
void windows_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  const int axis = normalize_axis(call.integer(1), x.rank(), "unfold", true);
  const int64_t size = call.integer(2), step = call.integer(3);
  const int64_t length = x.rank() ? x.size(axis) : 1;
  if (size < 0 || size > length)
    fail(ErrorKind::shape, "unfold: windows of ", size, " elements along axis ", axis, " of shape ",
         x.shape(), ". Expected from 0 to ", length, ". Fix: choose smaller windows.");
  if (step < 1)
    fail(ErrorKind::argument, "unfold: step is ", step,
         ". Expected at least 1. Fix: pass a positive step.");
  Dims shape = x.shape(), strides = x.strides();
  const int64_t stride = x.rank() ? strides[axis] : 1;
  if (x.rank()) {
    shape[axis] = (length - size) / step + 1;
    strides[axis] = shape[axis] > 1 ? stride * step : stride;
  }
  shape.push_back(size);
  strides.push_back(stride);
  call.output(alias(x, shape, strides, x.offset()));
}
void windows_backward(BackwardCall& call) {
  call.set(0, windows_adjoint(call.gradient(), call.tensor(0).shape(), call[1], call[2], call[3]));
}
const Register windows_registered({.name = "windows",
                                   .forward = windows_forward,
                                   .backward = windows_backward,
                                   .is_view = true,
                                   .backward_records = true});

// windows_adjoint(g, shape, axis, size, step)
void windows_adjoint_forward(Call& call) {
  const Tensor g = contiguous(call.tensor(0));
  const Dims& shape = call[1].integers();
  const int axis = normalize_axis(call.integer(2), shape.size(), "unfold", true);
  WindowShape plan{shape.empty() ? 1 : shape[axis], shape.empty() ? 1 : g.size(axis), 1,
                   call.integer(3), call.integer(4)};
  for (int i = axis + 1; i < shape.size(); ++i) plan.inner *= shape[i];
  const Tensor out = empty(shape, g.dtype(), g.device());
  windows_adjoint_slot(out, {g}, plan);
  call.output(out);
}
void windows_adjoint_backward(BackwardCall& call) {
  call.set(0, windows(call.gradient(), call[2], call[3], call[4]));
}
const Register windows_adjoint_registered({.name = "windows_adjoint",
                                           .forward = windows_adjoint_forward,
                                           .backward = windows_adjoint_backward,
                                           .backward_records = true});

}  // namespace
}  // namespace samara
