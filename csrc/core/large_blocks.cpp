#include "core/large_blocks.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

namespace samara {
namespace {

constexpr size_t kGranule = 4096;
constexpr size_t kHugePage = size_t{2} << 20;
// Address space only: pages are taken as blocks are handed out.
constexpr size_t kSegment = size_t{256} << 20;

size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

// Memory that begins at a huge page, or null.
char* map_huge_pages(size_t bytes) {
  void* const mapped =
      mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  char* const address = static_cast<char*>(mapped);
  const size_t before = round_up(reinterpret_cast<uintptr_t>(address), kHugePage) -
                        reinterpret_cast<uintptr_t>(address);
  if (before > 0) munmap(address, before);
  munmap(address + before + bytes, kHugePage - before);
  // Advice only: without huge pages the memory works as well, with more page faults.
  madvise(address + before, bytes, MADV_HUGEPAGE);
  return address + before;
}

}  // namespace

size_t LargeBlocks::rounded(size_t bytes) { return round_up(bytes, kGranule); }

void* LargeBlocks::take(size_t bytes) {
  bytes = rounded(bytes);
  if (void* block = take_from_run(bytes)) return block;
  if (void* block = take_from_tail(bytes)) return block;
  const size_t whole = round_up(bytes, kHugePage);
  if (!reserve(std::max(whole, kSegment)) && !reserve(whole)) return nullptr;
  return take_from_tail(bytes);
}

void* LargeBlocks::take_from_run(size_t bytes) {
  const auto found = runs_by_size_.lower_bound({bytes, nullptr});
  if (found == runs_by_size_.end()) return nullptr;
  char* const address = found->second;
  const FreeRun run = remove_run(runs_.find(address));
  if (run.bytes > bytes)
    add_run(address + bytes, {run.bytes - bytes, run.resident > bytes ? run.resident - bytes : 0});
  return address;
}

// Takes the segment where the fewest new pages are needed: a free run may end where they begin.
void* LargeBlocks::take_from_tail(size_t bytes) {
  auto best = segments_.end();
  auto best_run = runs_.end();
  size_t best_fresh = 0;
  for (auto segment = segments_.begin(); segment != segments_.end(); ++segment) {
    char* const touched = segment->second.touched;
    auto run = run_before(touched);
    if (run != runs_.end() && run->first < segment->first) run = runs_.end();
    const size_t fresh = bytes - (run == runs_.end() ? 0 : run->second.bytes);
    if (static_cast<size_t>(segment->second.end - touched) < fresh) continue;
    if (best != segments_.end() && fresh >= best_fresh) continue;
    best = segment, best_run = run, best_fresh = fresh;
  }
  if (best == segments_.end()) return nullptr;
  if (best_run != runs_.end()) remove_run(best_run);
  best->second.touched += best_fresh;
  ++extensions_;
  return best->second.touched - bytes;
}

bool LargeBlocks::reserve(size_t bytes) {
  char* const address = map_huge_pages(bytes);
  if (address) segments_.emplace(address, Segment{address + bytes, address});
  return address != nullptr;
}

void LargeBlocks::give(void* address, size_t bytes, bool keep) {
  char* begin = static_cast<char*>(address);
  bytes = rounded(bytes);
  FreeRun run{bytes, bytes};
  const auto segment = segment_of(begin);
  if (const auto before = run_before(begin);
      before != runs_.end() && before->first >= segment->first) {
    begin = before->first;
    const FreeRun joined = remove_run(before);
    run = {run.bytes + joined.bytes, run.resident + joined.resident};
  }
  // The next segment's first run may lie right behind this segment's end.
  if (const auto after = runs_.find(begin + run.bytes);
      after != runs_.end() && after->first < segment->second.end) {
    const FreeRun joined = remove_run(after);
    run = {run.bytes + joined.bytes, run.resident + joined.resident};
  }
  if (!keep) {
    if (release_segment(begin, run)) return;
    release_pages(begin, run);
  }
  add_run(begin, run);
}

void LargeBlocks::trim() {
  for (auto next = runs_.begin(); next != runs_.end();) {
    const auto run = next++;
    char* const address = run->first;
    if (release_segment(address, run->second)) {
      remove_run(run);
      continue;
    }
    cached_bytes_ -= static_cast<int64_t>(run->second.resident);
    release_pages(address, run->second);
    cached_bytes_ += static_cast<int64_t>(run->second.resident);
  }
}

LargeBlocks::Segments::iterator LargeBlocks::segment_of(char* address) {
  return std::prev(segments_.upper_bound(address));
}

// The free run that ends at `address`.
LargeBlocks::FreeRuns::iterator LargeBlocks::run_before(char* address) {
  auto run = runs_.lower_bound(address);
  if (run == runs_.begin()) return runs_.end();
  --run;
  return run->first + run->second.bytes == address ? run : runs_.end();
}

void LargeBlocks::add_run(char* address, FreeRun run) {
  runs_.emplace(address, run);
  runs_by_size_.emplace(run.bytes, address);
  cached_bytes_ += static_cast<int64_t>(run.resident);
}

LargeBlocks::FreeRun LargeBlocks::remove_run(FreeRuns::iterator run) {
  const FreeRun removed = run->second;
  runs_by_size_.erase({removed.bytes, run->first});
  runs_.erase(run);
  cached_bytes_ -= static_cast<int64_t>(removed.resident);
  return removed;
}

void LargeBlocks::release_pages(char* address, FreeRun& run) {
  static const size_t page = static_cast<size_t>(sysconf(_SC_PAGE_SIZE));
  const uintptr_t begin = round_up(reinterpret_cast<uintptr_t>(address), page);
  const uintptr_t end = reinterpret_cast<uintptr_t>(address + run.bytes) / page * page;
  if (end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  run.resident = 0;
}

// Unmaps the segment when the run is all that was ever handed out of it.
bool LargeBlocks::release_segment(char* address, const FreeRun& run) {
  const auto segment = segments_.find(address);
  if (segment == segments_.end() || segment->second.touched != address + run.bytes) return false;
  munmap(address, static_cast<size_t>(segment->second.end - address));
  segments_.erase(segment);
  return true;
}

}  // namespace samara
