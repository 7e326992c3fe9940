// One thread pool for the whole process.
//
// Work is cut into tiles whose number depends on the problem alone, never on the number of threads,
// and is handed out dynamically. The caller works too, and it waits only for tiles that another
// thread is executing: a worker that the operating system has not scheduled costs nothing. A result
// therefore has the same bits for any number of threads, and the pool shares cores gracefully with
// other processes.
//
// Calls may come from several threads at once: while the pool serves one of them, the others run
// their tiles themselves. A call from inside a tile runs inline as well. After fork() the child
// gets a new pool.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace samara {

// Threads that take part in a parallel call, the caller included. By default the CPUs this process
// may use (affinity mask and cgroup quota); SAMARA_NUM_THREADS sets another number.
int thread_count();

// Takes effect from the next parallel call. Numbers below 1 count as 1.
void set_thread_count(int count);

// Whether the current thread is executing a tile: a parallel call here would run inline.
bool in_parallel_region();

using TileFunction = void (*)(void* body, std::int64_t tile);

// Calls function(body, i) once for each 0 <= i < tiles. The first exception that a tile throws is
// rethrown here after the running tiles have ended; tiles not yet started are then skipped.
void run_tiles(std::int64_t tiles, TileFunction function, void* body);

template <class Body>
void parallel_tiles(std::int64_t tiles, Body&& body) {
  if (tiles == 1) return static_cast<void>(body(std::int64_t{0}));
  using Plain = std::remove_reference_t<Body>;
  run_tiles(
      tiles,
      [](void* erased, std::int64_t tile) {
        static_cast<void>((*static_cast<Plain*>(erased))(tile));
      },
      const_cast<void*>(static_cast<const void*>(std::addressof(body))));
}

// Calls body(begin, end) on [0, n) cut into ranges of `grain` items (the last one may be shorter),
// so the cuts depend on n and grain alone.
template <class Body>
void parallel_ranges(std::int64_t n, std::int64_t grain, Body&& body) {
  if (n <= 0) return;
  const std::int64_t step = std::max<std::int64_t>(grain, 1);
  if (n <= step) return static_cast<void>(body(std::int64_t{0}, n));
  parallel_tiles((n - 1) / step + 1, [&](std::int64_t tile) {
    const std::int64_t begin = tile * step;
    body(begin, n - begin < step ? n : begin + step);
  });
}

}  // namespace samara
