#include "core/device.h"

#include <array>
#include <atomic>
#include <cstring>

#include "core/allocator.h"
#include "core/error.h"

namespace samara {
namespace {

class CpuBackend final : public DeviceBackend {
 public:
  std::string_view name() const override { return "cpu"; }
  void* allocate(size_t bytes) override { return host_allocate(bytes); }
  void release(void* address, size_t bytes) override { host_release(address, bytes); }
  void copy_to_host(void* host, const void* address, size_t bytes) override {
    std::memcpy(host, address, bytes);
  }
  void copy_from_host(void* address, const void* host, size_t bytes) override {
    std::memcpy(address, host, bytes);
  }
  void* host_address(void* address) override { return address; }
};

CpuBackend cpu_backend;
std::array<std::atomic<DeviceBackend*>, kDeviceTypeCount> backends = {&cpu_backend, nullptr,
                                                                      nullptr};

DeviceBackend* find(DeviceType type) { return backends[static_cast<size_t>(type)].load(); }

std::string_view type_name(DeviceType type) {
  if (type == DeviceType::cpu) return "cpu";
  if (type == DeviceType::cuda) return "cuda";
  DeviceBackend* found = find(type);
  return found ? found->name() : "host_backed";
}

}  // namespace

std::string to_text(Device device) {
  std::string text(type_name(device.type));
  if (device.type == DeviceType::cuda || device.index != 0)
    text += ":" + std::to_string(device.index);
  return text;
}

Device parse_device(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view type = text.substr(0, colon);
  int index = 0;
  bool good = true;
  if (colon != std::string_view::npos) {
    const std::string_view digits = text.substr(colon + 1);
    good = !digits.empty() && digits.size() <= 2;
    for (char digit : digits) {
      good = good && digit >= '0' && digit <= '9';
      index = index * 10 + (digit - '0');
    }
  }
  for (int i = 0; good && i < kDeviceTypeCount; ++i) {
    const DeviceType candidate = static_cast<DeviceType>(i);
    if (candidate == DeviceType::host_backed && !find(candidate)) continue;
    if (type != type_name(candidate)) continue;
    if (candidate == DeviceType::cpu && index != 0) break;
    return {candidate, static_cast<int8_t>(index)};
  }
  fail(ErrorKind::device, "device '", text,
       "' is not known. Expected 'cpu', 'cuda' or 'cuda:INDEX'. Fix: correct the name; "
       "`samara doctor` lists what this machine has.");
}

bool is_available(Device device) { return find(device.type) != nullptr; }

DeviceBackend& backend(Device device) {
  DeviceBackend* found = find(device.type);
  if (!found)
    fail(ErrorKind::device, "device '", to_text(device),
         "' is not available: this build has no kernels for it. Expected 'cpu'. Fix: use "
         "device='cpu', or device='auto' to take the best device there is.");
  return *found;
}

void register_backend(DeviceType type, DeviceBackend* backend) {
  backends[static_cast<size_t>(type)].store(backend);
}

}  // namespace samara
