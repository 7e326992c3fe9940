// Kernels by device: an operation checks its arguments, makes its outputs and launches a slot; the
// slot holds one function per device. A device without one is an error that names both.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"

namespace samara {

using TensorSpan = std::span<const Tensor>;

// Host-side views of tensors that live on a host-backed device.
std::vector<Tensor> host_views(TensorSpan tensors);
[[noreturn]] void missing_kernel(std::string_view kernel, Device device);

template <class Attributes>
class KernelSlot {
 public:
  using Function = void (*)(TensorSpan outputs, TensorSpan inputs, const Attributes& attributes);

  constexpr explicit KernelSlot(std::string_view name) : name_(name) {}
  constexpr KernelSlot(std::string_view name, Function cpu) : name_(name) {
    implement(DeviceType::cpu, cpu);
  }

  constexpr void implement(DeviceType type, Function function) {
    functions_[static_cast<size_t>(type)] = function;
  }
  bool implemented(DeviceType type) const {
    return functions_[static_cast<size_t>(type)] != nullptr;
  }
  std::string_view name() const { return name_; }

  // Runs on the device of the first output.
  void operator()(TensorSpan outputs, TensorSpan inputs, const Attributes& attributes) const {
    const Device device = outputs[0].device();
    if (device.type == DeviceType::cpu) [[likely]] {
      functions_[0](outputs, inputs, attributes);
      return;
    }
    if (device.type == DeviceType::host_backed) {
      const std::vector<Tensor> host_outputs = host_views(outputs);
      const std::vector<Tensor> host_inputs = host_views(inputs);
      functions_[0](host_outputs, host_inputs, attributes);
      return;
    }
    const Function function = functions_[static_cast<size_t>(device.type)];
    if (!function) missing_kernel(name_, device);
    function(outputs, inputs, attributes);
  }
  // The common case of one output.
  void operator()(const Tensor& output, std::initializer_list<Tensor> inputs,
                  const Attributes& attributes) const {
    (*this)(TensorSpan(&output, 1), TensorSpan(inputs.begin(), inputs.size()), attributes);
  }

 private:
  std::string_view name_;
  std::array<Function, kDeviceTypeCount> functions_{};
};

struct NoAttributes {};

}  // namespace samara
