// What the files that see oneDNN share: its handles with owners, and the conditions to run it
// under.
#pragma once

#include <dnnl.h>
#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>

namespace samara::onednn {

using std::int64_t;

// OpenMP's thread number is a setting of the calling thread, shared with whatever else that thread
// runs, so it is put back.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) {
    if (before_ != 1) omp_set_num_threads(1);
  }
  ~OneThread() {
    if (before_ != 1) omp_set_num_threads(before_);
  }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  const int before_;
};

// oneDNN's matrix kernels use the stack pointer as one more register, pointing into the heap: the
// frame of a signal that arrives meanwhile would overwrite what lies there. Handlers that ask for
// the thread's alternate stack, as Python's do, therefore find one; and long products let every
// signal wait.
class AlternateStack {
 public:
  AlternateStack() {
    stack_t present{};
    if (sigaltstack(nullptr, &present) != 0 || !(present.ss_flags & SS_DISABLE)) return;
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return;
    stack_t own{};
    own.ss_sp = memory;
    own.ss_size = bytes;
    if (sigaltstack(&own, nullptr) == 0)
      memory_ = memory;
    else
      munmap(memory, bytes);
  }
  ~AlternateStack() {
    stack_t present{};
    if (!memory_ || sigaltstack(nullptr, &present) != 0 || present.ss_sp != memory_) return;
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    if (sigaltstack(&none, nullptr) == 0) munmap(memory_, bytes);
  }
  AlternateStack(const AlternateStack&) = delete;
  AlternateStack& operator=(const AlternateStack&) = delete;

 private:
  static constexpr std::size_t bytes = std::size_t{1} << 17;
  void* memory_ = nullptr;
};

class Shelter {
 public:
  explicit Shelter(int64_t multiplications) : waits_(multiplications >= worthwhile) {
    thread_local AlternateStack stack;
    static_cast<void>(stack);
    if (!waits_) return;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~Shelter() {
    if (waits_) pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  Shelter(const Shelter&) = delete;
  Shelter& operator=(const Shelter&) = delete;

 private:
  // The two system calls take 0.3 microseconds.
  static constexpr int64_t worthwhile = int64_t{1} << 21;
  const bool waits_;
  sigset_t before_;
};

// oneDNN makes its kernels at their first use, under locks that it does not renew in a child of
// fork. A fork therefore waits until no thread is inside, and lets none in until it is over.
class ForkGate {
 public:
  ForkGate() {
    while (inside_.fetch_add(1), forks_.load() > 0) {
      inside_.fetch_sub(1);
      while (forks_.load() > 0) std::this_thread::yield();
    }
  }
  ~ForkGate() { inside_.fetch_sub(1); }
  ForkGate(const ForkGate&) = delete;
  ForkGate& operator=(const ForkGate&) = delete;

 private:
  static void before_fork() {
    forks_.fetch_add(1);
    while (inside_.load() > 0) std::this_thread::yield();
  }
  static void in_parent() { forks_.fetch_sub(1); }
  // Threads on their way in or out, and others that were forking, are not here any more.
  static void in_child() {
    inside_.store(0);
    forks_.store(0);
  }
  static inline std::atomic<int> inside_{0}, forks_{0};
  static const int installed_;
};
inline const int ForkGate::installed_ = pthread_atfork(before_fork, in_parent, in_child);

// All of them at once, for work of about so many multiplications.
class Inside {
 public:
  explicit Inside(int64_t multiplications) : shelter_(multiplications) {}

 private:
  const ForkGate gate_;
  const OneThread one_;
  const Shelter shelter_;
};

// Owns one of oneDNN's C handles.
template <class Handle, dnnl_status_t (*destroy)(Handle)>
class Owner {
 public:
  Owner() = default;
  Owner(Owner&& other) noexcept : handle_(other.handle_) { other.handle_ = nullptr; }
  Owner& operator=(Owner&&) = delete;
  ~Owner() {
    if (handle_ != nullptr) destroy(handle_);
  }
  Handle get() const { return handle_; }
  Handle* out() { return &handle_; }

 private:
  Handle handle_ = nullptr;
};
using Description = Owner<dnnl_memory_desc_t, dnnl_memory_desc_destroy>;
using PrimitiveDescription = Owner<dnnl_primitive_desc_t, dnnl_primitive_desc_destroy>;
using Primitive = Owner<dnnl_primitive_t, dnnl_primitive_destroy>;
using Memory = Owner<dnnl_memory_t, dnnl_memory_destroy>;
using Stream = Owner<dnnl_stream_t, dnnl_stream_destroy>;
using Attributes = Owner<dnnl_primitive_attr_t, dnnl_primitive_attr_destroy>;
using PostOperations = Owner<dnnl_post_ops_t, dnnl_post_ops_destroy>;

// Never destroyed: threads may still compute while the process ends.
inline dnnl_engine_t engine() {
  static const dnnl_engine_t shared = [] {
    dnnl_engine_t made = nullptr;
    dnnl_engine_create(&made, dnnl_cpu, 0);
    return made;
  }();
  return shared;
}

inline dnnl_stream_t stream() {
  thread_local const Stream own = [] {
    Stream made;
    dnnl_stream_create(made.out(), engine(), dnnl_stream_default_flags);
    return made;
  }();
  return own.get();
}

}  // namespace samara::onednn
