#include "core/kernel.h"

namespace samara {

std::vector<Tensor> host_views(TensorSpan tensors) {
  std::vector<Tensor> views;
  views.reserve(tensors.size());
  for (const Tensor& x : tensors) {
    if (!x || !x.impl()->storage) {
      views.push_back(x);
      continue;
    }
    const Storage& storage = *x.impl()->storage;
    StorageRef host = borrow_storage(
        backend(storage.device).host_address(storage.data), storage.bytes, Device{}, [](void*) {},
        nullptr);
    views.push_back(from_storage(std::move(host), x.shape(), x.strides(), x.offset(), x.dtype()));
  }
  return views;
}

void missing_kernel(std::string_view kernel, Device device) {
  fail(ErrorKind::device, kernel, ": there is no kernel for device '", to_text(device),
       "'. Expected a device that has one. Fix: move the tensors to 'cpu' with x.to('cpu').");
}

}  // namespace samara
