// Fourier transforms of lines by ducc0's one-dimensional plans: several lines at once, one in each
// lane of a vector, or one long line whose passes are vectorised.
//
// ducc0 uses standard containers, against the rule of cpu/isa.h. It is safe because each
// instruction set compiles this file as a whole with a namespace of its own, so that what they
// share are instances of standard templates over standard types, of which the linker keeps the
// weakest instruction set's.
#include "ops/fft.h"

#include "core/allocator.h"

#define DUCC0_NAMESPACE_OF(isa) ducc0_##isa
#define DUCC0_NAMESPACE_FOR(isa) DUCC0_NAMESPACE_OF(isa)
#define DUCC0_NAMESPACE DUCC0_NAMESPACE_FOR(SAMARA_ISA)
#define DUCC0_NO_LOWLEVEL_THREADING  // the caller's tiles are the parallelism

#include <ducc0/fft/fft1d_impl.h>

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <mutex>

// The one function of ducc0's thread pool that the plans name. They run it on one thread.
namespace DUCC0_NAMESPACE::detail_threading {

class OneThread : public Scheduler {
 public:
  explicit OneThread(size_t work) : rest_(0, work) {}
  size_t num_threads() const override { return 1; }
  size_t thread_num() const override { return 0; }
  Range getNext() override {
    const Range next = rest_;
    rest_ = Range();
    return next;
  }

 private:
  Range rest_;
};

void execStatic(size_t work, size_t, size_t, std::function<void(Scheduler&)> function) {
  OneThread scheduler(work);
  function(scheduler);
}

}  // namespace DUCC0_NAMESPACE::detail_threading

namespace samara::SAMARA_ISA {
namespace {

using DUCC0_NAMESPACE::Cmplx;
using DUCC0_NAMESPACE::native_simd;
using DUCC0_NAMESPACE::simd_exists;
using DUCC0_NAMESPACE::simd_select;
using DUCC0_NAMESPACE::detail_fft::pocketfft_c;
using DUCC0_NAMESPACE::detail_fft::pocketfft_r;

// Above this length the passes of one line are no faster in vectors than plain.
constexpr int64_t kLongest = 100000;
// Bytes of the lines in the lanes of one vector that the caches hold well.
constexpr int64_t kGroupBytes = int64_t{1} << 19;

// The plans of the last lengths used: twiddle factors take longer to compute than a transform.
// `vectorized`: for single lines, whose passes then run in vectors.
template <class Plan>
std::shared_ptr<Plan> plan_for(int64_t n, bool vectorized) {
  struct Entry {
    int64_t n = 0;
    bool vectorized = false;
    uint64_t used = 0;
    std::shared_ptr<Plan> plan;
  };
  static std::array<Entry, 16> entries;
  static uint64_t clock = 0;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  Entry* oldest = &entries[0];
  for (Entry& entry : entries) {
    if (entry.n == n && entry.vectorized == vectorized) {
      entry.used = ++clock;
      return entry.plan;
    }
    if (entry.used < oldest->used) oldest = &entry;
  }
  *oldest = {n, vectorized, ++clock, std::make_shared<Plan>(static_cast<size_t>(n), vectorized)};
  return oldest->plan;
}

// Memory from the caching allocator: pages of large buffers are not faulted in again every time.
struct Block {
  explicit Block(size_t size) : memory(host_allocate(size)), bytes(size) {}
  ~Block() { host_release(memory, bytes); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  void* memory;
  size_t bytes;
};

// V: one number, of one line, or a vector with one number of each of several lines.
template <class T, class V>
struct Lane {
  static constexpr int64_t kCount = static_cast<int64_t>(sizeof(V) / sizeof(T));
  static T& of(V& vector, int64_t lane) { return reinterpret_cast<T*>(&vector)[lane]; }
};

// More than 8 lines at a time fight for the same cache sets where their length is a power of two.
template <class T>
inline constexpr int kLanesOf = std::min(8, static_cast<int>(native_simd<T>::size()));

template <class T, class V>
void complex_group(const FftLines& lines, int64_t first, const pocketfft_c<T>& plan,
                   Cmplx<V>* values, Cmplx<V>* buffer) {
  using Lanes = Lane<T, V>;
  const auto* in = static_cast<const Cmplx<T>*>(lines.in);
  auto* out = static_cast<Cmplx<T>*>(lines.out);
  for (int64_t i = 0; i < lines.have; ++i)
    for (int64_t j = 0; j < Lanes::kCount; ++j) {
      const Cmplx<T>& x = in[lines.in_offsets[first + j] + i * lines.in_stride];
      Lanes::of(values[i].r, j) = x.r;
      Lanes::of(values[i].i, j) = x.i;
    }
  for (int64_t i = lines.have; i < lines.n; ++i) values[i] = {V(T(0)), V(T(0))};
  Cmplx<V>* result = plan.exec(values, buffer, static_cast<T>(lines.scale), lines.forward);
  for (int64_t i = 0; i < lines.n; ++i)
    for (int64_t j = 0; j < Lanes::kCount; ++j)
      out[lines.out_offsets[first + j] + i * lines.out_stride] = {Lanes::of(result[i].r, j),
                                                                  Lanes::of(result[i].i, j)};
}

// One line whose result is contiguous: worked on where the result goes.
template <class T>
void complex_line(const FftLines& lines, int64_t first, const pocketfft_c<T>& plan,
                  Cmplx<T>* buffer) {
  const auto* in = static_cast<const Cmplx<T>*>(lines.in) + lines.in_offsets[first];
  auto* out = static_cast<Cmplx<T>*>(lines.out) + lines.out_offsets[first];
  for (int64_t i = 0; i < lines.have; ++i) out[i] = in[i * lines.in_stride];
  for (int64_t i = lines.have; i < lines.n; ++i) out[i] = {T(0), T(0)};
  const Cmplx<T>* result = plan.exec(out, buffer, static_cast<T>(lines.scale), lines.forward);
  if (result == out) return;
  for (int64_t i = 0; i < lines.n; ++i) out[i] = result[i];
}

// Real transforms: ducc0 packs the spectrum as re 0, re 1, im 1, re 2, im 2, ...
template <class T, class V>
void from_real_group(const FftLines& lines, int64_t first, const pocketfft_r<T>& plan, V* values,
                     V* buffer) {
  using Lanes = Lane<T, V>;
  const auto* in = static_cast<const T*>(lines.in);
  auto* out = static_cast<Cmplx<T>*>(lines.out);
  for (int64_t i = 0; i < lines.have; ++i)
    for (int64_t j = 0; j < Lanes::kCount; ++j)
      Lanes::of(values[i], j) = in[lines.in_offsets[first + j] + i * lines.in_stride];
  for (int64_t i = lines.have; i < lines.n; ++i) values[i] = V(T(0));
  V* result = plan.exec(values, buffer, static_cast<T>(lines.scale), true);
  const T sign = lines.forward ? T(1) : T(-1);
  for (int64_t j = 0; j < Lanes::kCount; ++j) {
    Cmplx<T>* line = out + lines.out_offsets[first + j];
    line[0] = {Lanes::of(result[0], j), T(0)};
    if (lines.n % 2 == 0)
      line[lines.n / 2 * lines.out_stride] = {Lanes::of(result[lines.n - 1], j), T(0)};
  }
  for (int64_t k = 1; 2 * k < lines.n; ++k)
    for (int64_t j = 0; j < Lanes::kCount; ++j)
      out[lines.out_offsets[first + j] + k * lines.out_stride] = {
          Lanes::of(result[2 * k - 1], j), sign * Lanes::of(result[2 * k], j)};
}

template <class T, class V>
void to_real_group(const FftLines& lines, int64_t first, const pocketfft_r<T>& plan, V* values,
                   V* buffer) {
  using Lanes = Lane<T, V>;
  const auto* in = static_cast<const Cmplx<T>*>(lines.in);
  auto* out = static_cast<T*>(lines.out);
  const T sign = lines.forward ? T(-1) : T(1);
  for (int64_t i = 0; i < lines.n; ++i) values[i] = V(T(0));
  // The imaginary parts of the first and, for an even length, of the middle term do not count.
  for (int64_t k = 0; k < lines.have; ++k)
    for (int64_t j = 0; j < Lanes::kCount; ++j) {
      const Cmplx<T>& x = in[lines.in_offsets[first + j] + k * lines.in_stride];
      Lanes::of(values[k == 0 ? 0 : 2 * k - 1], j) = x.r;
      if (k > 0 && 2 * k < lines.n) Lanes::of(values[2 * k], j) = sign * x.i;
    }
  V* result = plan.exec(values, buffer, static_cast<T>(lines.scale), false);
  for (int64_t i = 0; i < lines.n; ++i)
    for (int64_t j = 0; j < Lanes::kCount; ++j)
      out[lines.out_offsets[first + j] + i * lines.out_stride] = Lanes::of(result[i], j);
}

enum class Kind { complex, from_real, to_real };

// The element a transform of kind `kind` works on, for numbers of type V.
template <Kind kind, class V>
struct ElementOf {
  using type = V;
};
template <class V>
struct ElementOf<Kind::complex, V> {
  using type = Cmplx<V>;
};

template <Kind kind, class T, class V, class Plan>
void group(const FftLines& lines, int64_t first, const Plan& plan, void* values, void* buffer) {
  using Element = typename ElementOf<kind, V>::type;
  auto* x = static_cast<Element*>(values);
  auto* rest = static_cast<Element*>(buffer);
  if constexpr (kind == Kind::complex && std::is_same_v<T, V>)
    if (lines.out_stride == 1) return complex_line<T>(lines, first, plan, rest);
  if constexpr (kind == Kind::complex) complex_group<T, V>(lines, first, plan, x, rest);
  if constexpr (kind == Kind::from_real) from_real_group<T, V>(lines, first, plan, x, rest);
  if constexpr (kind == Kind::to_real) to_real_group<T, V>(lines, first, plan, x, rest);
}

template <Kind kind, class T>
void transform(const FftLines& lines) {
  using Plan = std::conditional_t<kind == Kind::complex, pocketfft_c<T>, pocketfft_r<T>>;
  constexpr int64_t kLanes = kLanesOf<T>;
  using V = typename simd_select<T, kLanesOf<T>>::type;
  constexpr bool kVectors = kLanes > 1 && simd_exists<T, kLanesOf<T>>;
  const int64_t size = static_cast<int64_t>(sizeof(typename ElementOf<kind, V>::type));
  const bool grouped = kVectors && lines.count >= kLanes && lines.n * size <= kGroupBytes;
  const auto plan = plan_for<Plan>(lines.n, !grouped && lines.n <= kLongest);
  const size_t lanes = grouped ? static_cast<size_t>(kLanes) : 1;
  const size_t parts = kind == Kind::complex ? 2 : 1;
  const size_t element = lanes * parts * sizeof(T);
  // Apart by more than a page, so that values and buffer do not fight for the same cache sets. A
  // single line is worked on in the result's memory.
  const bool in_result = kind == Kind::complex && !grouped && lines.out_stride == 1;
  const size_t length = in_result ? 0 : (static_cast<size_t>(lines.n) + 80) / 16 * 16;
  const Block block((length + plan->bufsize() + 16) * element);
  char* values = static_cast<char*>(block.memory);
  char* buffer = values + length * element;
  int64_t first = 0;
  if constexpr (kVectors)
    if (grouped)
      for (; first + kLanes <= lines.count; first += kLanes)
        group<kind, T, V>(lines, first, *plan, values, buffer);
  for (; first < lines.count; ++first) group<kind, T, T>(lines, first, *plan, values, buffer);
}

template <class T>
constexpr FftKernel make_kernel() {
  return {transform<Kind::complex, T>, transform<Kind::from_real, T>, transform<Kind::to_real, T>};
}

}  // namespace

extern const FftKernels fft_kernels;
constinit const FftKernels fft_kernels = {make_kernel<float>(), make_kernel<double>()};

}  // namespace samara::SAMARA_ISA
