// The loops of interpolate.
#include "ops/interpolate.h"

#include "ops/lanes.h"

namespace samara::SAMARA_ISA {
namespace {

using namespace lanes;

template <class T>
struct WideOf {
  using type = Compute<T>;
};
template <>
struct WideOf<uint8_t> {
  using type = float;
};
template <class T>
using Wide = typename WideOf<T>::type;

template <class T, class L>
SAMARA_FUNCTION void put(T* p, L value) {
  if constexpr (__is_same(T, uint8_t)) {
    const L whole = math::round(value);
    *p = static_cast<uint8_t>(whole < 0 ? L(0) : whole > 255 ? L(255) : whole);
  } else {
    store(p, value);
  }
}

// --- weighted sums of rows -----------------------------------------------------------------------

template <int kTaps, class S, class T, class L>
void combine_few(const S* const* rows, const L* weights, int64_t n, T* __restrict out) {
  for (int64_t i = 0; i < n; ++i) {
    L sum = weights[0] * static_cast<L>(load(rows[0] + i));
    if constexpr (kTaps > 1) sum += weights[1] * static_cast<L>(load(rows[1] + i));
    if constexpr (kTaps > 2) sum += weights[2] * static_cast<L>(load(rows[2] + i));
    if constexpr (kTaps > 3) sum += weights[3] * static_cast<L>(load(rows[3] + i));
    put(out + i, sum);
  }
}

// Long sums are carried in double.
template <class S, class T, class L>
void combine_many(const S* const* rows, const L* weights, int64_t taps, int64_t n,
                  T* __restrict out) {
  constexpr int64_t kBlock = 256;
  double sums[kBlock];
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t count = n - begin < kBlock ? n - begin : kBlock;
    for (int64_t i = 0; i < count; ++i) sums[i] = 0;
    for (int64_t k = 0; k < taps; ++k) {
      const S* row = rows[k] + begin;
      const double weight = static_cast<double>(weights[k]);
      for (int64_t i = 0; i < count; ++i)
        sums[i] += weight * static_cast<double>(static_cast<L>(load(row + i)));
    }
    for (int64_t i = 0; i < count; ++i) put(out + begin + i, static_cast<L>(sums[i]));
  }
}

// out[i] = sum over k of weights[k] rows[k][i]
template <class S, class T, class L>
void combine(const S* const* rows, const L* weights, int64_t taps, int64_t n, T* out) {
  switch (taps) {
    case 1:
      return combine_few<1>(rows, weights, n, out);
    case 2:
      return combine_few<2>(rows, weights, n, out);
    case 3:
      return combine_few<3>(rows, weights, n, out);
    case 4:
      return combine_few<4>(rows, weights, n, out);
    default:
      return combine_many(rows, weights, taps, n, out);
  }
}

// --- along a row ---------------------------------------------------------------------------------

// Outputs that have fewer taps than others, or very many.
template <class L>
void single_outputs(const L* row, L* __restrict out, const BandView& band, int64_t begin,
                    int64_t end) {
  const L* weights = static_cast<const L*>(band.weights);
  for (int64_t o = begin; o < end; ++o) {
    const L* x = row + band.first[o];
    if (band.count[o] == 1) {
      out[o] = weights[o] * x[0];
      continue;
    }
    double sum = 0;
    for (int64_t k = 0; k < band.count[o]; ++k)
      sum += static_cast<double>(weights[k * band.out + o]) * static_cast<double>(x[k]);
    out[o] = static_cast<L>(sum);
  }
}

template <int kTaps, class L>
void even_outputs(const L* row, L* __restrict out, const BandView& band) {
  const L* weights = static_cast<const L*>(band.weights);
  const int32_t* first = band.first;
  const int64_t n = band.out;
  for (int64_t o = band.even_begin; o < band.even_end; ++o) {
    const int32_t at = first[o];
    L sum = weights[o] * row[at];
    if constexpr (kTaps > 1) sum += weights[n + o] * row[at + 1];
    if constexpr (kTaps > 2) sum += weights[2 * n + o] * row[at + 2];
    if constexpr (kTaps > 3) sum += weights[3 * n + o] * row[at + 3];
    out[o] = sum;
  }
}

// Every second of the 2 kCount numbers at p, from the first on and from the second on.
template <int kCount, class L>
SAMARA_FUNCTION void deinterleave(const L* p, Vector<L, kCount>& even, Vector<L, kCount>& odd) {
  using Index = __typeof__(Vector<L, kCount>{} < Vector<L, kCount>{});
  Index places;
  for (int i = 0; i < kCount; ++i) places[i] = 2 * i;
  const auto a = load_vector<L, kCount>(p), b = load_vector<L, kCount>(p + kCount);
  even = __builtin_shuffle(a, b, places);
  odd = __builtin_shuffle(a, b, places + 1);
}

// Output begin + i reads from first[begin] + 2 i on.
template <int kTaps, class L>
void halving_outputs(const L* row, L* __restrict out, const BandView& band) {
  constexpr int kCount = kLanes<L>;
  using V = Vector<L, kCount>;
  const L* weights = static_cast<const L*>(band.weights) + band.even_begin;
  L w[4] = {};
  for (int k = 0; k < kTaps; ++k) w[k] = weights[k * band.out];
  const L* x = row + band.first[band.even_begin];
  const auto block = [&](int64_t i) {
    const L* from = x + 2 * (i - band.even_begin);
    V even, odd;
    deinterleave<kCount>(from, even, odd);
    V sum = w[0] * even;
    if constexpr (kTaps > 1) sum += w[1] * odd;
    if constexpr (kTaps > 2) {
      deinterleave<kCount>(from + 2, even, odd);
      sum += w[2] * even;
      if constexpr (kTaps > 3) sum += w[3] * odd;
    }
    __builtin_memcpy(out + i, &sum, sizeof(V));
  };
  // The loads reach one number beyond the last tap when that is an even one.
  constexpr int64_t kReach = 2 * kCount + (kTaps > 2 ? 2 : 0);
  int64_t end = band.even_begin + (row + band.in - x - kReach) / 2 + 1;  // of starts of blocks
  if (end > band.even_end - kCount + 1) end = band.even_end - kCount + 1;
  int64_t i = band.even_begin;
  for (; i < end; i += kCount) block(i);
  if (end > band.even_begin && i < end + kCount - 1) {  // once more, over what is there already
    block(end - 1);
    i = end - 1 + kCount;
  }
  for (; i < band.even_end; ++i) {
    const L* from = x + 2 * (i - band.even_begin);
    L sum = w[0] * from[0];
    for (int k = 1; k < kTaps; ++k) sum += w[k] * from[k];
    out[i] = sum;
  }
}

// Output begin + 2 i + r reads from first[begin + r] + i on.
template <int kTaps, class L>
void doubling_outputs(const L* row, L* __restrict out, const BandView& band) {
  const L* weights = static_cast<const L*>(band.weights) + band.even_begin;
  const int64_t n = (band.even_end - band.even_begin) / 2;
  L w[2][kTaps];
  for (int r = 0; r < 2; ++r)
    for (int k = 0; k < kTaps; ++k) w[r][k] = weights[k * band.out + r];
  const L* a = row + band.first[band.even_begin];
  const L* b = row + band.first[band.even_begin + 1];
  L* __restrict y = out + band.even_begin;
  for (int64_t i = 0; i < n; ++i) {
    L first = w[0][0] * a[i], second = w[1][0] * b[i];
    for (int k = 1; k < kTaps; ++k) {
      first += w[0][k] * a[i + k];
      second += w[1][k] * b[i + k];
    }
    y[2 * i] = first;
    y[2 * i + 1] = second;
  }
  single_outputs(row, out, band, band.even_begin + 2 * n, band.even_end);
}

template <int kTaps, class L>
void regular_outputs(const L* row, L* out, const BandView& band) {
  if (band.period == 2 && band.step == 1) return doubling_outputs<kTaps>(row, out, band);
  if (band.period == 1 && band.step == 2) return halving_outputs<kTaps>(row, out, band);
  even_outputs<kTaps>(row, out, band);
}

template <class L>
void along_row(const L* row, L* out, const BandView& band) {
  if (band.identity) {
    for (int64_t o = 0; o < band.out; ++o) out[o] = row[o];
    return;
  }
  if (band.width > 4 || band.width < 1) return single_outputs(row, out, band, 0, band.out);
  single_outputs(row, out, band, 0, band.even_begin);
  switch (band.width) {
    case 1:
      regular_outputs<1>(row, out, band);
      break;
    case 2:
      regular_outputs<2>(row, out, band);
      break;
    case 3:
      regular_outputs<3>(row, out, band);
      break;
    default:
      regular_outputs<4>(row, out, band);
  }
  single_outputs(row, out, band, band.even_end, band.out);
}

template <int kTaps, class L>
void even_pixels(const L* row, L* __restrict out, const BandView& band, int64_t inner) {
  const L* weights = static_cast<const L*>(band.weights);
  for (int64_t o = band.even_begin; o < band.even_end; ++o) {
    L w[kTaps];
    for (int k = 0; k < kTaps; ++k) w[k] = weights[k * band.out + o];
    const L* x = row + band.first[o] * inner;
    L* __restrict y = out + o * inner;
    for (int64_t c = 0; c < inner; ++c) {
      L sum = w[0] * x[c];
      for (int k = 1; k < kTaps; ++k) sum += w[k] * x[k * inner + c];
      y[c] = sum;
    }
  }
}

template <class L>
void single_pixels(const L* row, L* __restrict out, const BandView& band, int64_t inner,
                   int64_t first, int64_t last) {
  constexpr int64_t kBlock = 64;
  const L* weights = static_cast<const L*>(band.weights);
  double sums[kBlock];
  for (int64_t o = first; o < last; ++o)
    for (int64_t begin = 0; begin < inner; begin += kBlock) {
      const int64_t count = inner - begin < kBlock ? inner - begin : kBlock;
      for (int64_t c = 0; c < count; ++c) sums[c] = 0;
      for (int64_t k = 0; k < band.count[o]; ++k) {
        const double weight = static_cast<double>(weights[k * band.out + o]);
        const L* from = row + (band.first[o] + k) * inner + begin;
        for (int64_t c = 0; c < count; ++c) sums[c] += weight * static_cast<double>(from[c]);
      }
      for (int64_t c = 0; c < count; ++c) out[o * inner + begin + c] = static_cast<L>(sums[c]);
    }
}

// The same for pixels of `inner` numbers.
template <class L>
void along_pixels(const L* row, L* out, const BandView& band, int64_t inner) {
  if (band.width > 4 || band.width < 1) return single_pixels(row, out, band, inner, 0, band.out);
  single_pixels(row, out, band, inner, 0, band.even_begin);
  switch (band.width) {
    case 1:
      even_pixels<1>(row, out, band, inner);
      break;
    case 2:
      even_pixels<2>(row, out, band, inner);
      break;
    case 3:
      even_pixels<3>(row, out, band, inner);
      break;
    default:
      even_pixels<4>(row, out, band, inner);
  }
  single_pixels(row, out, band, inner, band.even_end, band.out);
}

// --- a plane -------------------------------------------------------------------------------------

constexpr int64_t kLines = kResampleLines;

template <class T>
struct Plane {
  using L = Wide<T>;
  const T* x;
  const ResampleTask& task;
  const void** rows;  // of the taps of one sum
  L* weights;
  L *ring, *line, *result;

  // Lists the input rows that output row (d, h) is made of, all depths, rows [first, first +
  // count).
  int64_t list_rows(int64_t d, const L* h_weights, int64_t h_step, int64_t first, int64_t count) {
    const BandView& deep = task.d;
    const L* d_weights = static_cast<const L*>(deep.weights);
    const int64_t row = task.w.in * task.inner;
    int64_t taps = 0;
    for (int64_t i = 0; i < deep.count[d]; ++i)
      for (int64_t k = 0; k < count; ++k) {
        rows[taps] = x + ((deep.first[d] + i) * task.h.in + first + k) * row;
        weights[taps++] = d_weights[i * deep.out + d] * (h_weights ? h_weights[k * h_step] : L(1));
      }
    return taps;
  }

  // The listed rows' sum as a row in the type computed in: in `target`, unless it is there already.
  const L* sum_of_rows(int64_t taps, L* target) {
    if constexpr (__is_same(T, L))
      if (taps == 1 && weights[0] == L(1)) return static_cast<const L*>(rows[0]);
    combine(reinterpret_cast<const T* const*>(rows), weights, taps, task.w.in * task.inner, target);
    return target;
  }

  void along(const L* row, L* out) {
    if (task.inner == 1)
      along_row(row, out, task.w);
    else
      along_pixels(row, out, task.w, task.inner);
  }

  int64_t list_rows_of(int64_t row) {
    const BandView& high = task.h;
    const int64_t h = row % high.out;
    const L* h_weights = static_cast<const L*>(high.weights) + h;
    return list_rows(row / high.out, h_weights, high.out, high.first[h], high.count[h]);
  }

  // Output rows [begin, end), at most kLines: all are combined before the first is resampled, so
  // that the reads, which are not aligned, do not wait for the writes.
  void combined_first(int64_t begin, int64_t end, T* out) {
    const int64_t n = task.w.out * task.inner, m = task.w.in * task.inner;
    if (task.w.identity) {
      for (int64_t row = begin; row < end; ++row)
        combine(reinterpret_cast<const T* const*>(rows), weights, list_rows_of(row), n,
                out + row * n);
      return;
    }
    const L* sums[kLines];
    for (int64_t row = begin; row < end; ++row)
      sums[row - begin] = sum_of_rows(list_rows_of(row), line + (row - begin) * m);
    for (int64_t row = begin; row < end; ++row) {
      T* target = out + row * n;
      if constexpr (__is_same(T, L)) {
        along(sums[row - begin], target);
      } else {
        along(sums[row - begin], result);
        for (int64_t i = 0; i < n; ++i) put(target + i, result[i]);
      }
    }
  }

  // `next` is the first input row that the ring has not seen at this depth.
  void resampled_first(int64_t d, int64_t h, int64_t& next, T* out) {
    const BandView& high = task.h;
    const int64_t n = task.w.out * task.inner, first = high.first[h], count = high.count[h];
    if (next < first) next = first;
    for (; next < first + count; ++next)
      along(sum_of_rows(list_rows(d, nullptr, 0, next, 1), line), ring + next % high.width * n);
    for (int64_t k = 0; k < count; ++k) {
      rows[k] = ring + (first + k) % high.width * n;
      weights[k] = static_cast<const L*>(high.weights)[k * high.out + h];
    }
    combine(reinterpret_cast<const L* const*>(rows), weights, count, n, out);
  }
};

template <class T>
void run_plane(const void* x, void* target, const ResampleTask& task, int64_t begin, int64_t end,
               void* scratch) {
  using L = Wide<T>;
  const ResampleScratch cut = resample_scratch(task, sizeof(L));
  char* memory = static_cast<char*>(scratch);
  const auto at = [memory](int64_t place) { return reinterpret_cast<L*>(memory + place); };
  Plane<T> plane{static_cast<const T*>(x),
                 task,
                 reinterpret_cast<const void**>(memory),
                 at(cut.weights),
                 at(cut.ring),
                 at(cut.line),
                 at(cut.result)};
  T* out = static_cast<T*>(target);
  const int64_t n = task.w.out * task.inner;
  if (!task.rows_first) {
    const int64_t lines = task.inner == 1 ? kLines : 1;
    for (int64_t row = begin; row < end; row += lines)
      plane.combined_first(row, row + lines < end ? row + lines : end, out);
    return;
  }
  int64_t depth = -1, next = 0;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t d = row / task.h.out;
    if (d != depth) next = 0;
    depth = d;
    plane.resampled_first(d, row % task.h.out, next, out + row * n);
  }
}

constexpr ResampleKernels make_table() {
  ResampleKernels table{};
  table.plane[static_cast<int>(DType::uint8)] = run_plane<uint8_t>;
  table.plane[static_cast<int>(DType::float16)] = run_plane<Float16>;
  table.plane[static_cast<int>(DType::bfloat16)] = run_plane<BFloat16>;
  table.plane[static_cast<int>(DType::float32)] = run_plane<float>;
  table.plane[static_cast<int>(DType::float64)] = run_plane<double>;
  return table;
}

}  // namespace

extern const ResampleKernels resample_kernels;
constinit const ResampleKernels resample_kernels = make_table();

}  // namespace samara::SAMARA_ISA
