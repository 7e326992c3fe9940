#include "cpu/onednn.h"

#include <dnnl.h>
#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <thread>

namespace samara::onednn {
namespace {

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
const int ForkGate::installed_ = pthread_atfork(before_fork, in_parent, in_child);

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

// Never destroyed: threads may still compute while the process ends.
dnnl_engine_t engine() {
  static const dnnl_engine_t shared = [] {
    dnnl_engine_t made = nullptr;
    dnnl_engine_create(&made, dnnl_cpu, 0);
    return made;
  }();
  return shared;
}

dnnl_stream_t stream() {
  thread_local const Stream own = [] {
    Stream made;
    dnnl_stream_create(made.out(), engine(), dnnl_stream_default_flags);
    return made;
  }();
  return own.get();
}

// A bfloat16 product of one shape, ready to run.
struct Bf16Product {
  Primitive primitive;
  Memory a, b, c;

  bool run(const std::uint16_t* from_a, const std::uint16_t* from_b, float* to) const {
    // The handles are not const in oneDNN's interface; sources are only read.
    dnnl_memory_set_data_handle(a.get(), const_cast<std::uint16_t*>(from_a));
    dnnl_memory_set_data_handle(b.get(), const_cast<std::uint16_t*>(from_b));
    dnnl_memory_set_data_handle(c.get(), to);
    const std::array<dnnl_exec_arg_t, 3> arguments{
        {{DNNL_ARG_SRC, a.get()}, {DNNL_ARG_WEIGHTS, b.get()}, {DNNL_ARG_DST, c.get()}}};
    return dnnl_primitive_execute(primitive.get(), stream(), arguments.size(), arguments.data()) ==
               dnnl_success &&
           dnnl_stream_wait(stream()) == dnnl_success;
  }
};

bool describe(Description& to, int64_t rows, int64_t columns, dnnl_data_type_t type,
              bool transposed, int64_t ld) {
  const dnnl_dims_t sizes = {rows, columns};
  const dnnl_dims_t strides = {transposed ? 1 : ld, transposed ? ld : 1};
  return dnnl_memory_desc_create_with_strides(to.out(), 2, sizes, type, strides) == dnnl_success;
}

// {trans_a, trans_b, m, n, k, lda, ldb, ldc}
using Shape = std::array<int64_t, 8>;

std::unique_ptr<Bf16Product> make_bf16_product(const Shape& shape) {
  const auto [trans_a, trans_b, m, n, k, lda, ldb, ldc] = shape;
  Description a, b, c;
  PrimitiveDescription description;
  auto product = std::make_unique<Bf16Product>();
  const bool made =
      describe(a, m, k, dnnl_bf16, trans_a != 0, lda) &&
      describe(b, k, n, dnnl_bf16, trans_b != 0, ldb) && describe(c, m, n, dnnl_f32, false, ldc) &&
      dnnl_matmul_primitive_desc_create(description.out(), engine(), a.get(), b.get(), nullptr,
                                        c.get(), nullptr) == dnnl_success &&
      dnnl_primitive_create(product->primitive.out(), description.get()) == dnnl_success &&
      dnnl_memory_create(product->a.out(), a.get(), engine(), DNNL_MEMORY_NONE) == dnnl_success &&
      dnnl_memory_create(product->b.out(), b.get(), engine(), DNNL_MEMORY_NONE) == dnnl_success &&
      dnnl_memory_create(product->c.out(), c.get(), engine(), DNNL_MEMORY_NONE) == dnnl_success;
  return made ? std::move(product) : nullptr;
}

// Making a primitive costs far more than running a small one, so each thread keeps those it made.
const Bf16Product* cached_bf16_product(const Shape& shape) {
  constexpr std::size_t most = 256;
  thread_local std::map<Shape, std::unique_ptr<Bf16Product>> cache;
  const auto found = cache.find(shape);
  if (found != cache.end()) return found->second.get();
  if (cache.size() >= most) cache.clear();
  return cache.emplace(shape, make_bf16_product(shape)).first->second.get();
}

}  // namespace

void use_one_thread() { omp_set_num_threads(1); }

bool sgemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha, const float* a,
           int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc) {
  const ForkGate gate;
  const OneThread one;
  const Shelter shelter(m * n * k);
  return dnnl_sgemm(trans_a ? 'T' : 'N', trans_b ? 'T' : 'N', m, n, k, alpha, a, lda, b, ldb, beta,
                    c, ldc) == dnnl_success;
}

bool has_bf16_gemm() {
  static const bool native = (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_bf16) ==
                             dnnl_cpu_isa_avx512_core_bf16;
  return native;
}

bool bf16_gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, const std::uint16_t* a,
               int64_t lda, const std::uint16_t* b, int64_t ldb, float* c, int64_t ldc) {
  const ForkGate gate;
  const OneThread one;
  const Shelter shelter(m * n * k);
  const Bf16Product* const product =
      cached_bf16_product({trans_a, trans_b, m, n, k, lda, ldb, ldc});
  return product != nullptr && product->run(a, b, c);
}

const char* version() {
  static const std::string text = [] {
    const dnnl_version_t* const v = dnnl_version();
    return std::to_string(v->major) + "." + std::to_string(v->minor) + "." +
           std::to_string(v->patch);
  }();
  return text.c_str();
}

}  // namespace samara::onednn
