// Devices and what the core asks of each: memory and copies. Kernels are found through kernel.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace samara {

// `host_backed` devices keep their memory on the host behind opaque addresses and borrow the CPU's
// kernels; the tests use one to prove that nothing else touches a tensor's memory directly.
enum class DeviceType : uint8_t { cpu, cuda, host_backed };
inline constexpr int kDeviceTypeCount = 3;

struct Device {
  DeviceType type = DeviceType::cpu;
  int8_t index = 0;
  bool operator==(const Device&) const = default;
};

std::string to_text(Device device);
// "cpu", "cuda", "cuda:1", or the registered host-backed name; fails for anything else.
Device parse_device(std::string_view text);

class DeviceBackend {
 public:
  virtual ~DeviceBackend() = default;
  virtual std::string_view name() const = 0;
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* address, size_t bytes) = 0;
  virtual void copy_to_host(void* host, const void* address, size_t bytes) = 0;
  virtual void copy_from_host(void* address, const void* host, size_t bytes) = 0;
  // The host address behind `address`, or null where the host cannot reach it.
  virtual void* host_address(void* address) = 0;
};

// Fails with the reason when the device is not available in this process.
DeviceBackend& backend(Device device);
bool is_available(Device device);
void register_backend(DeviceType type, DeviceBackend* backend);

}  // namespace samara
