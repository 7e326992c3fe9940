#include "core/host_backed.h"

#include <cstring>

#include "core/allocator.h"
#include "core/device.h"

namespace samara {
namespace {

class HostBackedDevice final : public DeviceBackend {
 public:
  explicit HostBackedDevice(std::string name) : name_(std::move(name)) {}
  std::string_view name() const override { return name_; }
  void* allocate(size_t bytes) override { return disguise(host_allocate(bytes)); }
  void release(void* address, size_t bytes) override { host_release(reveal(address), bytes); }
  void copy_to_host(void* host, const void* address, size_t bytes) override {
    std::memcpy(host, reveal(const_cast<void*>(address)), bytes);
  }
  void copy_from_host(void* address, const void* host, size_t bytes) override {
    std::memcpy(reveal(address), host, bytes);
  }
  void* host_address(void* address) override { return reveal(address); }

 private:
  // Outside the range of addresses that x86-64 and AArch64 can translate.
  static constexpr uintptr_t kDistance = uintptr_t{1} << 60;
  static void* disguise(void* address) {
    return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(address) + kDistance);
  }
  static void* reveal(void* address) {
    return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(address) - kDistance);
  }
  std::string name_;
};

}  // namespace

void register_host_backed_device(const std::string& name) {
  // Lives as long as the process: tensors on it may be freed at the very end.
  static HostBackedDevice* const device = new HostBackedDevice(name);
  register_backend(DeviceType::host_backed, device);
}

}  // namespace samara
