// Caching allocator for host memory: 64-byte aligned, freed blocks are kept and reused, so a large
// temporary does not fault its pages in again on every step.
#pragma once

#include <cstddef>
#include <cstdint>

namespace samara {

inline constexpr size_t kAlignment = 64;

struct AllocatorStatistics {
  int64_t live_bytes = 0;          // handed out now
  int64_t peak_live_bytes = 0;     // the most ever handed out
  int64_t cached_bytes = 0;        // kept for reuse
  int64_t allocations = 0;         // requests served
  int64_t system_allocations = 0;  // requests that went to the operating system
};

// Throws Error(memory) when the system has none left, after giving the cache back.
void* host_allocate(size_t bytes);
// `bytes` as given to host_allocate.
void host_release(void* address, size_t bytes);
AllocatorStatistics allocator_statistics();
void reset_peak_statistics();
// Gives all cached blocks back to the operating system; returns how many bytes that were.
int64_t trim_allocator();

}  // namespace samara
