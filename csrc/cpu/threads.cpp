#include "cpu/threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>

#include "cpu/onednn.h"

namespace samara {
namespace {

// How long a worker looks for the next job before it sleeps, and how long a caller looks for the
// end of the last tiles. Waking a sleeper costs a few microseconds; operations of one training step
// follow each other faster than this.
constexpr std::chrono::microseconds worker_spin{40};
constexpr std::chrono::microseconds caller_spin{20};

constexpr std::int64_t max_units = std::int64_t{1} << 30;
constexpr std::uint64_t closed = 0xffffffff;  // a unit number no job reaches
constexpr int max_threads = 1024;

thread_local bool inside_tile = false;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

template <class Condition>
bool spin_until(std::chrono::microseconds limit, Condition&& condition) {
  if (condition()) return true;
  const auto deadline = std::chrono::steady_clock::now() + limit;
  do {
    for (int i = 0; i < 16; ++i) {
      relax();
      if (condition()) return true;
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

// A worker whose core is taken by another process in the middle of a tile makes its caller wait for
// a time slice of milliseconds. One that finds itself mostly waiting therefore stays away for a
// while, longer each time, and the others do the work without it. Time lost is time awake less
// processor time; the latter costs a system call, so it is read only after a suspiciously long job.
class Patience {
 public:
  using Clock = std::chrono::steady_clock;

  void slept(Clock::duration time) { asleep_ += time; }

  void worked(Clock::duration time) {
    if (time < std::chrono::microseconds(400)) return;
    const auto now = Clock::now();
    const auto total = now - born_ - asleep_ - processor_time();
    const auto lost = total - known_;
    known_ = total;
    if (lost < std::chrono::microseconds(300) || lost < time * 3 / 5) return;
    pause_ = now - resumed_ < 16 * pause_ ? std::min(2 * pause_, longest) : shortest;
    std::this_thread::sleep_for(pause_);
    resumed_ = Clock::now();
    asleep_ += resumed_ - now;
  }

 private:
  static constexpr Clock::duration shortest = std::chrono::milliseconds(8);
  static constexpr Clock::duration longest = std::chrono::milliseconds(128);

  static Clock::duration processor_time() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  }

  Clock::time_point born_ = Clock::now(), resumed_{};
  Clock::duration asleep_{}, known_{}, pause_ = shortest;
};

// Tiles are handed out through `cursor`, one 64-bit word that holds the job's generation (high
// half) and the next unit (low half). A thread owns a unit only if its compare-and-swap succeeds,
// and that fails as soon as the job is over, because the word never returns to an earlier value. So
// a worker that wakes late can neither take a tile of a finished job nor see a body that is gone,
// and a caller need not wait for it.
class Pool {
 public:
  explicit Pool(int threads) : thread_count_(threads) {}

  int thread_count() const { return thread_count_; }

  // False when another thread is using the pool.
  bool try_run(std::int64_t tiles, TileFunction function, void* body) {
    if (busy_.exchange(true, std::memory_order_acquire)) return false;
    start_workers();
    const std::int64_t chunk = (tiles - 1) / max_units + 1;
    const auto units = static_cast<std::uint32_t>((tiles - 1) / chunk + 1);
    // Closed while the job is written: whoever has seen a new field cannot take a unit with an old
    // position.
    cursor_.store((std::uint64_t{++generation_} << 32) | closed, std::memory_order_release);
    tiles_.store(tiles, std::memory_order_release);
    chunk_.store(chunk, std::memory_order_release);
    units_.store(units, std::memory_order_release);
    function_.store(function, std::memory_order_release);
    body_.store(body, std::memory_order_release);
    failed_.store(false, std::memory_order_relaxed);
    done_.store(0, std::memory_order_relaxed);
    cursor_.store(std::uint64_t{generation_} << 32, std::memory_order_release);
    wake(units - 1);
    work();
    wait_for(units);
    const std::exception_ptr error = std::move(error_);
    error_ = nullptr;
    busy_.store(false, std::memory_order_release);
    if (error) std::rethrow_exception(error);
    return true;
  }

  // The workers leave; a job in progress is finished by its caller.
  void retire() {
    retired_.store(true, std::memory_order_relaxed);
    epoch_.fetch_add(1);
    epoch_.notify_all();
  }

  Pool* older = nullptr;  // pools are never freed: a late caller may still hold one

 private:
  void start_workers() {
    if (started_) return;
    started_ = true;
    // Signals belong to the program's own threads.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      for (int i = 1; i < thread_count_; ++i) std::thread([this] { serve(); }).detach();
    } catch (const std::exception&) {
      // The system refuses more threads: those that exist, or the caller alone, do the work.
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void wake(std::uint32_t wanted) {
    epoch_.fetch_add(1);
    const auto sleeping = static_cast<std::uint32_t>(sleepers_.load());
    if (wanted >= sleeping) {
      if (sleeping > 0) epoch_.notify_all();
    } else {
      for (std::uint32_t i = 0; i < wanted; ++i) epoch_.notify_one();
    }
  }

  void serve() {
    onednn::use_one_thread();
    Patience patience;
    std::uint32_t seen = epoch_.load() - 1;
    while (!retired_.load(std::memory_order_relaxed)) {
      const auto changed = [&] { return epoch_.load(std::memory_order_acquire) != seen; };
      auto start = Patience::Clock::now();
      if (!spin_until(worker_spin, changed)) {
        const auto asleep = Patience::Clock::now();
        sleepers_.fetch_add(1);
        epoch_.wait(seen);
        sleepers_.fetch_sub(1);
        start = Patience::Clock::now();
        patience.slept(start - asleep);
      }
      seen = epoch_.load(std::memory_order_acquire);
      if (work()) patience.worked(Patience::Clock::now() - start);
    }
  }

  // Executes units of the current job until none is left; false when there was none.
  bool work() {
    std::uint32_t executed = 0;
    std::uint64_t position = cursor_.load(std::memory_order_acquire);
    for (;;) {
      const auto unit = static_cast<std::uint32_t>(position);
      const std::uint32_t units = units_.load(std::memory_order_acquire);
      const std::int64_t tiles = tiles_.load(std::memory_order_acquire);
      const std::int64_t chunk = chunk_.load(std::memory_order_acquire);
      const TileFunction function = function_.load(std::memory_order_acquire);
      void* const body = body_.load(std::memory_order_acquire);
      if (unit >= units) break;
      if (!cursor_.compare_exchange_weak(position, position + 1, std::memory_order_acq_rel,
                                         std::memory_order_acquire)) {
        continue;
      }
      execute(function, body, unit * chunk, std::min(tiles, (unit + 1) * chunk));
      ++executed;
      position = cursor_.load(std::memory_order_acquire);
    }
    if (executed > 0) {
      done_.fetch_add(executed, std::memory_order_acq_rel);
      done_.notify_one();
    }
    return executed > 0;
  }

  void execute(TileFunction function, void* body, std::int64_t begin, std::int64_t end) {
    inside_tile = true;
    try {
      for (std::int64_t tile = begin; tile < end; ++tile) {
        if (failed_.load(std::memory_order_relaxed)) break;
        function(body, tile);
      }
    } catch (...) {
      if (!failed_.exchange(true)) error_ = std::current_exception();
    }
    inside_tile = false;
  }

  void wait_for(std::uint32_t units) {
    const auto over = [&] { return done_.load(std::memory_order_acquire) == units; };
    if (spin_until(caller_spin, over)) return;
    for (std::uint32_t done; (done = done_.load(std::memory_order_acquire)) != units;)
      done_.wait(done);
  }

  const int thread_count_;
  bool started_ = false;  // owned by whoever holds busy_, like generation_
  std::uint32_t generation_ = 0;
  std::exception_ptr
      error_;  // written by the thread that set failed_, read after done_ is complete
  alignas(64) std::atomic<bool> busy_{false};
  alignas(64) std::atomic<std::uint64_t> cursor_{0};
  alignas(64) std::atomic<std::uint32_t> done_{0};
  alignas(64) std::atomic<std::uint32_t> epoch_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> retired_{false};
  alignas(64) std::atomic<std::int64_t> tiles_{0};
  std::atomic<std::int64_t> chunk_{1};
  std::atomic<std::uint32_t> units_{0};
  std::atomic<TileFunction> function_{nullptr};
  std::atomic<void*> body_{nullptr};
  std::atomic<bool> failed_{false};
};

// CPUs' worth of time that a cgroup file grants: "quota period" in v2, or two files in v1. 0
// without a limit.
int quota_from(const std::string& quota_file, const std::string& period_file) {
  std::ifstream in(quota_file);
  double quota = 0, period = 0;
  if (!(in >> quota)) return 0;  // absent, or the word "max"
  if (period_file.empty()) {
    in >> period;
  } else {
    std::ifstream(period_file) >> period;
  }
  if (quota <= 0 || period <= 0) return 0;
  const int cpus = static_cast<int>((quota + period - 1) / period);
  return std::max(cpus, 1);
}

int cgroup_limit() {
  int limit = 0;
  const auto take = [&](int found) {
    if (found > 0 && (limit == 0 || found < limit)) limit = found;
  };
  take(quota_from("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"));
  take(quota_from("/sys/fs/cgroup/cpu.max", ""));
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    if (line.rfind("0::", 0) != 0) continue;
    for (std::string path = line.substr(3); path.size() > 1; path.resize(path.rfind('/'))) {
      take(quota_from("/sys/fs/cgroup" + path + "/cpu.max", ""));
      if (path.rfind('/') == std::string::npos) break;
    }
  }
  return limit;
}

int usable_cpus() {
  int cpus = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cpus = CPU_COUNT(&set);
  const int quota = cgroup_limit();
  if (quota > 0) cpus = std::min(cpus, quota);
  return std::clamp(cpus, 1, max_threads);
}

int default_thread_count() {
  if (const char* text = std::getenv("SAMARA_NUM_THREADS")) {
    char* end = nullptr;
    const long number = std::strtol(text, &end, 10);
    if (end != text && *end == '\0' && number >= 1) {
      return static_cast<int>(std::min<long>(number, max_threads));
    }
  }
  return usable_cpus();
}

std::atomic<int> wanted_threads{0};  // 0: not decided yet
std::atomic<Pool*> current_pool{nullptr};

Pool* pool() {
  static const int registered = pthread_atfork(nullptr, nullptr, [] {
    // The child has none of the workers, and locks may be held by threads that it lacks.
    current_pool.store(nullptr);
    inside_tile = false;
  });
  static_cast<void>(registered);
  const int threads = thread_count();
  Pool* existing = current_pool.load(std::memory_order_acquire);
  while (existing == nullptr || existing->thread_count() != threads) {
    Pool* fresh = new Pool(threads);
    fresh->older = existing;
    if (current_pool.compare_exchange_strong(existing, fresh, std::memory_order_acq_rel)) {
      if (existing != nullptr) existing->retire();
      return fresh;
    }
    delete fresh;
  }
  return existing;
}

}  // namespace

int thread_count() {
  int count = wanted_threads.load(std::memory_order_relaxed);
  if (count == 0) {
    int undecided = 0;
    count = default_thread_count();
    if (!wanted_threads.compare_exchange_strong(undecided, count)) count = undecided;
  }
  return count;
}

void set_thread_count(int count) { wanted_threads.store(std::clamp(count, 1, max_threads)); }

bool in_parallel_region() { return inside_tile; }

void run_tiles(std::int64_t tiles, TileFunction function, void* body) {
  if (tiles <= 0) return;
  if (tiles > 1 && !inside_tile && thread_count() > 1 && pool()->try_run(tiles, function, body))
    return;
  for (std::int64_t tile = 0; tile < tiles; ++tile) function(body, tile);
}

}  // namespace samara
