#include "core/allocator.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <new>

#include "core/error.h"
#include "core/large_blocks.h"
#include "core/reference.h"

namespace samara {
namespace {

constexpr size_t kSmallLimit = 4096;
constexpr int kSmallClasses = kSmallLimit / kAlignment;
// Above the small classes: four sizes per doubling. Above these, runs of pages.
constexpr size_t kClassLimit = size_t{1} << 20;
constexpr int kStepsPerDoubling = 4;
constexpr int kClasses =
    kSmallClasses + (std::bit_width(kClassLimit) - std::bit_width(kSmallLimit)) * kStepsPerDoubling;

bool is_large(size_t bytes) { return !kSanitized && bytes > kClassLimit; }

struct FreeBlock {
  FreeBlock* next;
};

struct SizeClass {
  int index;
  size_t bytes;
};

SizeClass size_class(size_t bytes) {
  if (kSanitized) return {0, std::max<size_t>(bytes, 1)};
  if (bytes <= kSmallLimit) {
    const int index = bytes == 0 ? 0 : static_cast<int>((bytes - 1) / kAlignment);
    return {index, (index + 1) * kAlignment};
  }
  const int doubling = std::bit_width(bytes - 1) - 1;  // 2^doubling < bytes <= 2^(doubling + 1)
  const size_t base = size_t{1} << doubling;
  const size_t step = base / kStepsPerDoubling;
  const size_t steps = (bytes - base + step - 1) / step;
  const int index =
      kSmallClasses + (doubling - 12) * kStepsPerDoubling + static_cast<int>(steps) - 1;
  return {index, base + steps * step};
}

class SpinLock {
 public:
  void lock() {
    while (flag_.exchange(true, std::memory_order_acquire)) {
      while (flag_.load(std::memory_order_relaxed)) __builtin_ia32_pause();
    }
  }
  void unlock() { flag_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> flag_{false};
};

class Guard {
 public:
  explicit Guard(SpinLock& lock) : lock_(lock) { lock_.lock(); }
  ~Guard() { lock_.unlock(); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  SpinLock& lock_;
};

// Zero-initialised and trivially destroyed: tensors may outlive every other static object.
struct Cache {
  SpinLock lock;
  std::array<FreeBlock*, kClasses> free{};
  AllocatorStatistics statistics;
};
Cache cache;

int64_t cache_limit() {
  static const int64_t limit =
      static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE) / 4;
  return limit;
}

// A child of fork must not inherit a lock that another thread of the parent was holding.
const int fork_handlers_installed = pthread_atfork(
    [] { cache.lock.lock(); }, [] { cache.lock.unlock(); }, [] { cache.lock.unlock(); });

// Never destroyed: tensors may outlive every other static object. With the lock held.
LargeBlocks& large_blocks() {
  static LargeBlocks& blocks = *new LargeBlocks;
  return blocks;
}

void* system_allocate(size_t bytes) {
  void* block = nullptr;
  return posix_memalign(&block, kAlignment, bytes) == 0 ? block : nullptr;
}

// With the lock held.
void count_allocation(size_t bytes) {
  AllocatorStatistics& s = cache.statistics;
  ++s.allocations;
  s.live_bytes += static_cast<int64_t>(bytes);
  s.peak_live_bytes = std::max(s.peak_live_bytes, s.live_bytes);
}

void* allocate_large(size_t bytes) {
  Guard guard(cache.lock);
  void* block = nullptr;
  try {
    block = large_blocks().take(bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
  if (block) count_allocation(LargeBlocks::rounded(bytes));
  return block;
}

void* allocate_classed(const SizeClass& cls) {
  {
    Guard guard(cache.lock);
    if (FreeBlock* block = cache.free[cls.index]) {
      cache.free[cls.index] = block->next;
      cache.statistics.cached_bytes -= static_cast<int64_t>(cls.bytes);
      count_allocation(cls.bytes);
      return block;
    }
  }
  void* fresh = system_allocate(cls.bytes);
  if (!fresh) return nullptr;
  Guard guard(cache.lock);
  ++cache.statistics.system_allocations;
  count_allocation(cls.bytes);
  return fresh;
}

void* allocate(size_t bytes) {
  return is_large(bytes) ? allocate_large(bytes) : allocate_classed(size_class(bytes));
}

// With the lock held.
bool may_cache(size_t bytes) {
  return cache.statistics.cached_bytes + large_blocks().cached_bytes() +
             static_cast<int64_t>(bytes) <=
         cache_limit();
}

void release_large(void* address, size_t bytes) {
  const size_t rounded = LargeBlocks::rounded(bytes);
  Guard guard(cache.lock);
  cache.statistics.live_bytes -= static_cast<int64_t>(rounded);
  try {
    large_blocks().give(address, bytes, may_cache(rounded));
  } catch (const std::bad_alloc&) {
    // No memory to note the run in: its address space is lost, its owner goes on.
  }
}

}  // namespace

void* host_allocate(size_t bytes) {
  if (bytes > (size_t{1} << 48))
    fail(ErrorKind::memory, "an allocation of ", bytes,
         " bytes was asked for. Expected an amount that memory can hold. Fix: work in smaller "
         "parts.");
  if (void* block = allocate(bytes)) return block;
  trim_allocator();
  if (void* block = allocate(bytes)) return block;
  fail(ErrorKind::memory, "out of memory: ", bytes, " bytes were asked for while ",
       allocator_statistics().live_bytes,
       " are in use by tensors. Expected a size that fits. Fix: use a smaller batch or free "
       "tensors that are no longer needed.");
}

void host_release(void* address, size_t bytes) {
  if (!address) return;
  if (is_large(bytes)) return release_large(address, bytes);
  const SizeClass cls = size_class(bytes);
  {
    Guard guard(cache.lock);
    AllocatorStatistics& s = cache.statistics;
    s.live_bytes -= static_cast<int64_t>(cls.bytes);
    if (!kSanitized && may_cache(cls.bytes)) {
      FreeBlock* block = static_cast<FreeBlock*>(address);
      block->next = cache.free[cls.index];
      cache.free[cls.index] = block;
      s.cached_bytes += static_cast<int64_t>(cls.bytes);
      return;
    }
  }
  std::free(address);
}

AllocatorStatistics allocator_statistics() {
  Guard guard(cache.lock);
  AllocatorStatistics statistics = cache.statistics;
  statistics.cached_bytes += large_blocks().cached_bytes();
  statistics.system_allocations += large_blocks().extensions();
  return statistics;
}

void reset_peak_statistics() {
  Guard guard(cache.lock);
  cache.statistics.peak_live_bytes = cache.statistics.live_bytes;
}

int64_t trim_allocator() {
  std::array<FreeBlock*, kClasses> lists;
  int64_t released = 0;
  {
    Guard guard(cache.lock);
    lists = cache.free;
    cache.free.fill(nullptr);
    released = cache.statistics.cached_bytes + large_blocks().cached_bytes();
    cache.statistics.cached_bytes = 0;
    large_blocks().trim();
  }
  for (FreeBlock* block : lists) {
    while (block) {
      FreeBlock* next = block->next;
      std::free(block);
      block = next;
    }
  }
  return released;
}

}  // namespace samara
