#include "ops/image.h"

#include <utility>

#include "core/operation.h"
#include "ops/basic.h"

namespace samara {
namespace {

// While it lives, observers of the operation that is running see the calls made inside of it.
class ObserversLookOn {
 public:
  ObserversLookOn() : looking_on_(thread_state().paused != nullptr) {
    if (looking_on_) thread_state().observers = std::exchange(thread_state().paused, nullptr);
  }
  ~ObserversLookOn() {
    if (looking_on_) thread_state().paused = std::exchange(thread_state().observers, nullptr);
  }
  ObserversLookOn(const ObserversLookOn&) = delete;
  ObserversLookOn& operator=(const ObserversLookOn&) = delete;

 private:
  const bool looking_on_;
};

// reorder(x, channels_last): the same values in the other physical order.
void reorder_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  const ImageOrder order = call.boolean(1) ? ImageOrder::channels_last : ImageOrder::channels_first;
  const Tensor out = empty_image(x.shape(), x.dtype(), x.device(), order);
  copy_into(out, x);
  call.output(out);
}

void reorder_backward(BackwardCall& call) { call.set(0, call.gradient()); }

const Register reorder_registered({.name = "reorder",
                                   .forward = reorder_forward,
                                   .backward = reorder_backward,
                                   .backward_records = true});

}  // namespace

Dims image_strides(const Dims& shape, ImageOrder order) {
  Dims strides = shape;
  const int rank = shape.size();
  int64_t step = 1;
  const auto place = [&](int axis) {
    strides[axis] = step;
    step *= std::max<int64_t>(shape[axis], 1);
  };
  const bool last = order == ImageOrder::channels_last && rank >= 3;
  if (last) place(1);
  for (int axis = rank - 1; axis >= (last ? 2 : 0); --axis) place(axis);
  if (last) place(0);
  return strides;
}

bool lies_in(const Tensor& x, ImageOrder order) {
  if (order == ImageOrder::channels_first || x.rank() < 3) return x.is_contiguous();
  const Dims wanted = image_strides(x.shape(), order);
  for (int axis = 0; axis < x.rank(); ++axis)
    if (x.size(axis) != 1 && x.stride(axis) != wanted[axis]) return x.elements() == 0;
  return true;
}

ImageOrder image_order(const Tensor& x) {
  return !x.is_contiguous() && lies_in(x, ImageOrder::channels_last) ? ImageOrder::channels_last
                                                                     : ImageOrder::channels_first;
}

Tensor empty_image(const Dims& shape, DType dtype, Device device, ImageOrder order) {
  const Tensor flat = empty(shape, dtype, device);
  if (order == ImageOrder::channels_first || shape.size() < 3) return flat;
  return alias(flat, shape, image_strides(shape, order), 0);
}

Tensor in_order(const Tensor& x, ImageOrder order) {
  if (lies_in(x, order)) {
    const Dims strides = image_strides(x.shape(), order);
    return x.strides() == strides ? x : alias(x, x.shape(), strides, x.offset());
  }
  static const NativeCall reorder("reorder");
  const GradMode off(false);
  const ObserversLookOn look_on;
  return reorder(x, order == ImageOrder::channels_last);
}

}  // namespace samara
