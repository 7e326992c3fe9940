// The loops of gather, scatter and scatter_add.
#include "ops/gather.h"

#include "ops/lanes.h"

namespace samara::SAMARA_ISA {
namespace {

using namespace lanes;

struct Bytes16 {
  uint64_t parts[2];
};

// Indices that are looked at before the elements they point to.
inline constexpr int64_t kBlock = 512;

enum class Indices { outside, negative, plain };

SAMARA_FUNCTION Indices check(const int64_t* index, int64_t n, int64_t size) {
  int64_t low = 0, high = -1;
  for (int64_t j = 0; j < n; ++j) {
    low = index[j] < low ? index[j] : low;
    high = index[j] > high ? index[j] : high;
  }
  if (low < -size || high >= size) return Indices::outside;
  return low < 0 ? Indices::negative : Indices::plain;
}

// visit(j, place) for the elements of a run, in order; with kDense a place is the index itself.
template <bool kDense, class Visit>
SAMARA_FUNCTION void visit_block(const IndexRun& run, int64_t begin, int64_t end, bool negative,
                                 Visit&& visit) {
  const int64_t size = run.size, stride = run.stride, step = run.step;
  const int64_t* index = run.index;
  const auto place = [&](int64_t j, int64_t i) { return kDense ? i : i * stride + j * step; };
  if (negative) {
    for (int64_t j = begin; j < end; ++j) visit(j, place(j, index[j] + (index[j] < 0 ? size : 0)));
    return;
  }
#pragma GCC unroll 8
  for (int64_t j = begin; j < end; ++j) visit(j, place(j, index[j]));
}

template <class Visit>
SAMARA_FUNCTION bool visit_places(const IndexRun& run, Visit&& visit) {
  const bool dense = run.stride == 1 && run.step == 0;
  for (int64_t begin = 0; begin < run.n; begin += kBlock) {
    const int64_t end = run.n - begin < kBlock ? run.n : begin + kBlock;
    const Indices indices = check(run.index + begin, end - begin, run.size);
    if (indices == Indices::outside) return false;
    const bool negative = indices == Indices::negative;
    if (dense)
      visit_block<true>(run, begin, end, negative, visit);
    else
      visit_block<false>(run, begin, end, negative, visit);
  }
  return true;
}

bool inside(const IndexRun& run) { return check(run.index, run.n, run.size) != Indices::outside; }

template <class U>
bool gather(const void* source, const IndexRun& run, void* target) {
  const U* from = static_cast<const U*>(source);
  U* to = static_cast<U*>(target);
  return visit_places(run, [=](int64_t j, int64_t place) {
    U element = from[place];
    // Single loads take less time than the gather instructions of the compiler's choice.
    if constexpr (sizeof(U) <= 8) asm("" : "+r"(element));
    to[j] = element;
  });
}

template <class U>
bool scatter(void* target, const IndexRun& run, const void* source) {
  const U* from = static_cast<const U*>(source);
  U* to = static_cast<U*>(target);
  return visit_places(run, [=](int64_t j, int64_t place) { to[place] = from[j]; });
}

// Few indices into a long lane: only the sums that are pointed to are ever touched.
template <class T>
SAMARA_FUNCTION bool add_few(const T* x, const IndexRun& run, const T* from, double* sums, T* out) {
  if (!inside(run)) return false;
  if (out != x) __builtin_memcpy(out, x, static_cast<size_t>(run.size) * sizeof(T));
  visit_places(run, [=](int64_t, int64_t place) { sums[place] = load(out + place); });
  visit_places(run, [=](int64_t j, int64_t place) { sums[place] += load(from + j); });
  return visit_places(run, [=](int64_t, int64_t place) { store(out + place, sums[place]); });
}

template <class T>
bool add_lane(const void* lane, const IndexRun& run, const void* source, double* sums,
              void* result) {
  const T* x = static_cast<const T*>(lane);
  const T* from = static_cast<const T*>(source);
  T* out = static_cast<T*>(result);
  if (run.n < run.size / 8) return add_few(x, run, from, sums, out);
  for (int64_t i = 0; i < run.size; ++i) sums[i] = static_cast<double>(load(x + i));
  if (!visit_places(run, [=](int64_t j, int64_t place) {
        sums[place] += static_cast<double>(load(from + j));
      }))
    return false;
  for (int64_t i = 0; i < run.size; ++i) store(out + i, sums[i]);
  return true;
}

constexpr GatherKernels make_table() {
  GatherKernels table;
  table.inside = inside;
  table.gather[0] = gather<uint8_t>;
  table.gather[1] = gather<uint16_t>;
  table.gather[2] = gather<uint32_t>;
  table.gather[3] = gather<uint64_t>;
  table.gather[4] = gather<Bytes16>;
  table.scatter[0] = scatter<uint8_t>;
  table.scatter[1] = scatter<uint16_t>;
  table.scatter[2] = scatter<uint32_t>;
  table.scatter[3] = scatter<uint64_t>;
  table.scatter[4] = scatter<Bytes16>;
  table.add_lane[static_cast<int>(DType::float16)] = add_lane<Float16>;
  table.add_lane[static_cast<int>(DType::bfloat16)] = add_lane<BFloat16>;
  table.add_lane[static_cast<int>(DType::float32)] = add_lane<float>;
  table.add_lane[static_cast<int>(DType::float64)] = add_lane<double>;
  return table;
}

}  // namespace

extern const GatherKernels gather_kernels;
constinit const GatherKernels gather_kernels = make_table();

}  // namespace samara::SAMARA_ISA
