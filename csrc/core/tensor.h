// The tensor: a strided view of a shared storage.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/device.h"
#include "core/dtype.h"
#include "core/reference.h"
#include "core/shape.h"

namespace samara {

struct AutogradMeta;
class DerivedForms;

// A block of memory on one device, shared by all views of it.
struct Storage : ReferenceCounted {
  void* data = nullptr;
  size_t bytes = 0;
  Device device;
  bool read_only = false;
  // Counts in-place writes; autograd compares it with the value at the time of saving.
  std::atomic<uint32_t> version{0};
  // Set for memory borrowed from somebody else (NumPy, DLPack): called instead of freeing.
  void (*release_borrowed)(void* context) = nullptr;
  void* borrow_context = nullptr;
  // "file.py:12" of the last in-place operation on memory that a backward pass wanted unchanged.
  std::atomic<bool> saved_for_backward{false};
  std::atomic<const std::string*> last_write{nullptr};  // lives as long as the process
  // Arrays of others that show this memory and may write to it, and how many have ended.
  std::atomic<uint32_t> outside_views{0}, outside_writes{0};
  std::atomic<DerivedForms*> derived{nullptr};  // owned; see core/derived.h

  static void destroy(Storage* storage);
};
using StorageRef = Reference<Storage>;

// Keeps a storage alive for an array outside that shows it.
class OutsideView {
 public:
  explicit OutsideView(StorageRef storage) : storage_(std::move(storage)) {
    if (storage_) storage_->outside_views.fetch_add(1);
  }
  ~OutsideView() {
    if (!storage_) return;
    storage_->outside_writes.fetch_add(1);
    storage_->outside_views.fetch_sub(1);
  }
  OutsideView(const OutsideView&) = delete;
  OutsideView& operator=(const OutsideView&) = delete;

 private:
  StorageRef storage_;
};

StorageRef allocate_storage(size_t bytes, Device device);
StorageRef borrow_storage(void* data, size_t bytes, Device device, void (*release)(void*),
                          void* context);

struct TensorImpl : ReferenceCounted {
  DType dtype = DType::float32;
  Device device;
  bool requires_grad = false;
  bool contiguous = true;
  // A view of a tensor in a graph, made while nothing was recorded: the graph knows nothing of it.
  bool unrecorded_view = false;
  // Counts how often `x.data = y` exchanged the memory under this tensor.
  uint32_t exchanges = 0;
  int64_t elements = 0;
  int64_t offset = 0;  // in elements
  StorageRef storage;  // null for a shape without data
  AutogradMeta* autograd = nullptr;
  // The Python object that shows this tensor, so that identity survives the trip through C++.
  void* python_object = nullptr;
  Dims shape;
  Dims strides;

  static void destroy(TensorImpl* impl);
};

class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(TensorImpl* impl) : impl_(impl) {}
  static Tensor adopt(TensorImpl* impl) {
    Tensor tensor;
    tensor.impl_ = Reference<TensorImpl>::adopt(impl);
    return tensor;
  }
  TensorImpl* release() { return impl_.release(); }

  explicit operator bool() const { return static_cast<bool>(impl_); }
  TensorImpl* impl() const { return impl_.get(); }

  DType dtype() const { return impl_->dtype; }
  Device device() const { return impl_->device; }
  const Dims& shape() const { return impl_->shape; }
  const Dims& strides() const { return impl_->strides; }  // in elements
  int64_t size(int axis) const { return impl_->shape[axis]; }
  int64_t stride(int axis) const { return impl_->strides[axis]; }
  int rank() const { return impl_->shape.size(); }
  int64_t elements() const { return impl_->elements; }
  int64_t offset() const { return impl_->offset; }
  bool is_contiguous() const { return impl_->contiguous; }
  bool requires_grad() const { return impl_->requires_grad; }
  uint32_t version() const { return impl_->storage ? impl_->storage->version.load() : 0; }

  // The address of element (0, ..., 0) in the device's terms; fails for a shape without data.
  void* address() const {
    if (!impl_->storage) [[unlikely]]
      no_memory();
    return static_cast<std::byte*>(impl_->storage->data) + impl_->offset * itemsize(impl_->dtype);
  }
  template <class T>
  T* data() const {
    return static_cast<T*>(address());
  }

 private:
  [[noreturn, gnu::cold]] void no_memory() const;

  Reference<TensorImpl> impl_;
};

// Row-major, not filled.
Tensor empty(const Dims& shape, DType dtype, Device device = {});
inline Tensor empty_like(const Tensor& x) { return empty(x.shape(), x.dtype(), x.device()); }

// Not filled; its axes lie in memory in the same order as those of `like`. Row-major where that one
// repeats elements or runs backwards.
Tensor empty_laid_out_like(const Tensor& like, DType dtype);

// Another view of the same storage; nothing is checked and no gradient flows.
Tensor alias(const Tensor& x, const Dims& shape, const Dims& strides, int64_t offset);
inline Tensor alias(const Tensor& x) { return alias(x, x.shape(), x.strides(), x.offset()); }
// The same bytes as another dtype of the same itemsize.
Tensor alias_as(const Tensor& x, DType dtype);
// A tensor over memory that is kept alive by `storage`.
Tensor from_storage(StorageRef storage, const Dims& shape, const Dims& strides, int64_t offset,
                    DType dtype);
// Shape, dtype and device without memory: stands in for an input that backward does not read.
Tensor shape_only(const Tensor& x);

// Marks the storage as changed in place; fails for read-only memory.
void mark_written(const Tensor& x, std::string_view place);

// True when two of x's elements share memory (an expanded view), so writing to it is ill-defined.
// Also true for the odd interleaved strides of which that cannot be told at a glance.
bool has_internal_overlap(const Tensor& x);
// True when writing `a` could change what reading `b` gives, unless both are the same view.
bool may_overlap(const Tensor& a, const Tensor& b);

}  // namespace samara
