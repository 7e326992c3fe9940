#include "core/tensor.h"

#include <new>

#include "core/autograd.h"

namespace samara {
namespace {

Storage* new_storage() { return new (Recycler<Storage>::allocate()) Storage; }
TensorImpl* new_impl() { return new (Recycler<TensorImpl>::allocate()) TensorImpl; }

}  // namespace

void Storage::destroy(Storage* storage) {
  if (storage->release_borrowed) {
    storage->release_borrowed(storage->borrow_context);
  } else if (storage->data) {
    backend(storage->device).release(storage->data, storage->bytes);
  }
  delete storage->last_write;
  storage->~Storage();
  Recycler<Storage>::release(storage);
}

void TensorImpl::destroy(TensorImpl* impl) {
  if (impl->autograd) release_autograd(impl);
  impl->~TensorImpl();
  Recycler<TensorImpl>::release(impl);
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
  StorageRef storage =
      allocate_storage(static_cast<size_t>(elements) * static_cast<size_t>(itemsize(dtype)), device);
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

Tensor alias(const Tensor& x, const Dims& shape, const Dims& strides, int64_t offset) {
  return from_storage(x.impl()->storage, shape, strides, offset, x.dtype());
}

Tensor alias_as(const Tensor& x, DType dtype) {
  return from_storage(x.impl()->storage, x.shape(), x.strides(), x.offset(), dtype);
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
  Storage& storage = *x.impl()->storage;
  if (storage.read_only)
    fail(ErrorKind::argument, place,
         ": the tensor shows read-only memory. Expected memory that may be written. Fix: write to "
         "a copy, x.clone().");
  storage.version.fetch_add(1, std::memory_order_relaxed);
  if (!storage.saved_for_backward.load(std::memory_order_relaxed) || !python_hooks().current_line)
    return;
  // Backward may complain about this write later: remember where it came from.
  delete storage.last_write;
  storage.last_write = new std::string(python_hooks().current_line());
}

bool has_internal_overlap(const Tensor& x) {
  if (x.is_contiguous() || x.elements() <= 1) return false;
  for (int i = 0; i < x.rank(); ++i)
    if (x.stride(i) == 0 && x.size(i) > 1) return true;
  return false;
}

bool may_overlap(const Tensor& a, const Tensor& b) {
  if (!(a.impl()->storage == b.impl()->storage) || a.elements() == 0 || b.elements() == 0)
    return false;
  return !(a.offset() == b.offset() && a.shape() == b.shape() && a.strides() == b.strides() &&
           a.dtype() == b.dtype());
}

}  // namespace samara
