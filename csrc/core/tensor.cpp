#include "core/tensor.h"

#include <new>
#include <utility>

#include "core/autograd.h"
#include "core/derived.h"

namespace samara {
namespace {

Storage* new_storage() { return new (Recycler<Storage>::allocate()) Storage; }
TensorImpl* new_impl() { return new (Recycler<TensorImpl>::allocate()) TensorImpl; }

}  // namespace

void Storage::destroy(Storage* storage) {
  delete storage->derived.load(std::memory_order_relaxed);
  if (storage->release_borrowed) {
    storage->release_borrowed(storage->borrow_context);
  } else if (storage->data) {
    backend(storage->device).release(storage->data, storage->bytes);
  }
  storage->~Storage();
  Recycler<Storage>::release(storage);
}

// A tensor that owns others (its gradient, its base, its history) is freed by a loop: a chain of a
// million of them must not become a recursion of that depth. The list runs through python_object,
// which nobody uses any more.
void TensorImpl::destroy(TensorImpl* impl) {
  static thread_local TensorImpl* pending = nullptr;
  static thread_local bool running = false;
  const auto destroy_now = [](TensorImpl* dead) {
    if (dead->autograd) release_autograd(dead);
    dead->~TensorImpl();
    Recycler<TensorImpl>::release(dead);
  };
  if (!impl->autograd) return destroy_now(impl);
  if (running) {
    impl->python_object = std::exchange(pending, impl);
    return;
  }
  running = true;
  destroy_now(impl);
  while (pending) {
    TensorImpl* next = pending;
    pending = static_cast<TensorImpl*>(std::exchange(next->python_object, nullptr));
    destroy_now(next);
  }
  running = false;
}

StorageRef allocate_storage(size_t bytes, Device device) {
  DeviceBackend& memory = backend(device);
  // An empty tensor still owns a valid address, so that no kernel meets a null pointer.
  void* data = memory.allocate(bytes);
  Storage* storage = new_storage();
  storage->data = data;
  storage->bytes = bytes;
  storage->device = device;
  return StorageRef(storage);
}

StorageRef borrow_storage(void* data, size_t bytes, Device device, void (*release)(void*),
                          void* context) {
  Storage* storage = new_storage();
  storage->data = data;
  storage->bytes = bytes;
  storage->device = device;
  storage->release_borrowed = release;
  storage->borrow_context = context;
  return StorageRef(storage);
}

Tensor empty(const Dims& shape, DType dtype, Device device) {
  const int64_t elements = checked_element_count(shape);
  StorageRef storage = allocate_storage(
      static_cast<size_t>(elements) * static_cast<size_t>(itemsize(dtype)), device);
  TensorImpl* impl = new_impl();
  impl->dtype = dtype;
  impl->device = device;
  impl->elements = elements;
  impl->storage = std::move(storage);
  impl->shape = shape;
  impl->strides = contiguous_strides(shape);
  return Tensor(impl);
}

Tensor from_storage(StorageRef storage, const Dims& shape, const Dims& strides, int64_t offset,
                    DType dtype) {
  TensorImpl* impl = new_impl();
  impl->dtype = dtype;
  impl->device = storage->device;
  impl->elements = element_count(shape);
  impl->offset = offset;
  impl->storage = std::move(storage);
  impl->shape = shape;
  impl->strides = strides;
  impl->contiguous = is_contiguous(shape, strides);
  return Tensor(impl);
}

Tensor empty_laid_out_like(const Tensor& like, DType dtype) {
  const Tensor flat = empty(like.shape(), dtype, like.device());
  if (like.is_contiguous()) return flat;
  // Axes from the innermost out; those of size 1 have no say and stay where they are.
  Dims order;
  for (int axis = like.rank() - 1; axis >= 0; --axis) {
    if (like.size(axis) != 1 && like.stride(axis) <= 0) return flat;
    int place = order.size();
    while (place > 0 && like.size(axis) != 1 &&
           like.size(static_cast<int>(order[place - 1])) != 1 &&
           like.stride(static_cast<int>(order[place - 1])) > like.stride(axis))
      --place;
    order.insert(place, axis);
  }
  Dims strides = like.shape();
  int64_t step = 1;
  for (int i = 0; i < order.size(); ++i) {
    const int axis = static_cast<int>(order[i]);
    strides[axis] = step;
    step *= std::max<int64_t>(like.size(axis), 1);
  }
  return alias(flat, like.shape(), strides, 0);
}

Tensor alias(const Tensor& x, const Dims& shape, const Dims& strides, int64_t offset) {
  if (!x.impl()->storage) x.address();  // fails: there is nothing to show
  static_cast<void>(x.address());       // fails for a shape without data
  return from_storage(x.impl()->storage, shape, strides, offset, x.dtype());
}

Tensor alias_as(const Tensor& x, DType dtype) {
  static_cast<void>(x.address());
  return from_storage(x.impl()->storage, x.shape(), x.strides(), x.offset(), dtype);
}

void Tensor::no_memory() const {
  fail(ErrorKind::gradient, "tensor: the values of this tensor of shape ", shape(),
       " were not kept; a gradient rule sees the shape only. Expected a rule that reads what the "
       "operation saves. Fix: save the argument, or write the rule without its values.");
}

Tensor shape_only(const Tensor& x) {
  TensorImpl* impl = new_impl();
  impl->dtype = x.dtype();
  impl->device = x.device();
  impl->elements = x.elements();
  impl->shape = x.shape();
  impl->strides = contiguous_strides(x.shape());
  return Tensor(impl);
}

void mark_written(const Tensor& x, std::string_view place) {
  static_cast<void>(x.address());
  Storage& storage = *x.impl()->storage;
  if (storage.read_only)
    fail(ErrorKind::argument, place,
         ": the tensor shows read-only memory. Expected memory that may be written. Fix: write to "
         "a copy, x.clone().");
  storage.version.fetch_add(1, std::memory_order_relaxed);
  if (!storage.saved_for_backward.load(std::memory_order_relaxed) || !python_hooks().current_line)
    return;
  // Backward may complain about this write later: remember where it came from.
  storage.last_write.store(python_hooks().current_line());
}

bool has_internal_overlap(const Tensor& x) {
  if (x.is_contiguous() || x.elements() <= 1) return false;
  // From the densest axis up, each step must reach beyond all that lies inside.
  Dims sizes, steps;
  for (int i = 0; i < x.rank(); ++i) {
    if (x.size(i) == 1) continue;
    const int64_t step = x.stride(i) < 0 ? -x.stride(i) : x.stride(i);
    int place = 0;
    while (place < steps.size() && steps[place] <= step) ++place;
    sizes.insert(place, x.size(i));
    steps.insert(place, step);
  }
  int64_t reach = 0;
  for (int i = 0; i < steps.size(); ++i) {
    if (steps[i] <= reach) return true;
    reach += steps[i] * (sizes[i] - 1);
  }
  return false;
}

namespace {

// Whether blocks meet of which one is borrowed: two NumPy views of one array, or a tensor and what
// came back of its own memory from elsewhere. Two that were allocated never do.
bool blocks_meet(const Storage& a, const Storage& b) {
  if (!a.release_borrowed && !b.release_borrowed) return false;
  if (!(a.device == b.device)) return false;
  const auto first = reinterpret_cast<uintptr_t>(a.data),
             second = reinterpret_cast<uintptr_t>(b.data);
  return first < second + b.bytes && second < first + a.bytes;
}

}  // namespace

bool may_overlap(const Tensor& a, const Tensor& b) {
  if (a.elements() == 0 || b.elements() == 0 || !a.impl()->storage || !b.impl()->storage)
    return false;
  if (!(a.impl()->storage == b.impl()->storage))
    return blocks_meet(*a.impl()->storage, *b.impl()->storage);
  return !(a.offset() == b.offset() && a.shape() == b.shape() && a.strides() == b.strides() &&
           a.dtype() == b.dtype());
}

}  // namespace samara
