// Blocks of a megabyte and more, cut from reservations of address space. A freed block joins its
// free neighbours, and a request takes the smallest free run that holds it, so that a network's
// many sizes of activations and gradients share the same pages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <utility>

namespace samara {

// Not thread-safe: the caller holds a lock.
class LargeBlocks {
 public:
  // Null when the system has no memory left.
  void* take(size_t bytes);
  // `bytes` as given to take. With `keep` the pages stay for reuse, else the system has them back.
  void give(void* address, size_t bytes, bool keep);
  // Gives the pages of all free runs back to the system.
  void trim();

  // Free bytes whose pages are held.
  int64_t cached_bytes() const { return cached_bytes_; }
  // How often `take` needed pages that were never used before.
  int64_t extensions() const { return extensions_; }

  // What a request for `bytes` occupies.
  static size_t rounded(size_t bytes);

 private:
  struct FreeRun {
    size_t bytes;
    size_t resident;  // how many of them may be backed by pages
  };
  struct Segment {
    char* end;
    char* touched;  // from here on nothing was handed out yet
  };
  using Segments = std::map<char*, Segment>;
  using FreeRuns = std::map<char*, FreeRun>;

  void* take_from_run(size_t bytes);
  void* take_from_tail(size_t bytes);
  bool reserve(size_t bytes);
  Segments::iterator segment_of(char* address);
  FreeRuns::iterator run_before(char* address);
  void add_run(char* address, FreeRun run);
  FreeRun remove_run(FreeRuns::iterator run);
  void release_pages(char* address, FreeRun& run);
  bool release_segment(char* address, const FreeRun& run);

  Segments segments_;  // by where they begin
  FreeRuns runs_;      // by where they begin
  std::set<std::pair<size_t, char*>> runs_by_size_;
  int64_t cached_bytes_ = 0;
  int64_t extensions_ = 0;
};

}  // namespace samara
