// A device whose memory is on the host behind addresses that fault when they are used directly. The
// tests run on it to prove that only kernels touch a tensor's memory.
#pragma once

#include <string>

namespace samara {

// Makes the device known under `name`; later calls change nothing.
void register_host_backed_device(const std::string& name);

}  // namespace samara
