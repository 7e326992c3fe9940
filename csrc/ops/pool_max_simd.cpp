// The loops of max pooling.
//
// Of equal maxima the first of a window wins, of several NaNs the last.
#include "ops/pool_lanes.h"
#include "ops/pool_max_masked.h"

namespace samara::SAMARA_ISA {
namespace {

using namespace lanes;

struct NoPositions {};
template <class P>
inline constexpr bool kWanted = !__is_same(P, NoPositions);
// Windows known to be that wide; those whose positions take words are larger.
template <class P, int kWidth>
constexpr int kKnown = __is_same(P, int32_t) ? 0 : kWidth;
// Rows of at least this many inputs of one window are searched run by run.
constexpr int64_t kLongRun = 16;

template <class L>
constexpr L kLowest = -static_cast<L>(__builtin_inf());

// The largest numbers so far and where they stand in the window.
template <class L, int kCount>
struct Best {
  using V = Vector<L, kCount>;
  using I = Vector<IndexOf<L>, kCount>;
  V value;
  I place;

  [[gnu::always_inline]] void start(int64_t position) {
    value = V{} + kLowest<L>;
    place = I{} + static_cast<IndexOf<L>>(position);
  }
  template <class P>
  [[gnu::always_inline]] void offer(const V& v, int64_t position) {
    const auto better = (v > value) | (v != v);
    value = better ? v : value;
    if constexpr (kWanted<P>) place = better ? I{} + static_cast<IndexOf<L>>(position) : place;
  }
  template <class T, class P>
  [[gnu::always_inline]] void write(T* y, P* positions, int64_t at) const {
    put<T, L, kCount>(y + at, value);
    if constexpr (kWanted<P>) put<P, IndexOf<L>, kCount>(positions + at, place);
  }
};

SAMARA_FUNCTION int64_t first_position(const PoolShape& shape, int64_t oz, int64_t oy) {
  return (shape.axis[0].first[oz] * shape.axis[1].kernel + shape.axis[1].first[oy]) *
         shape.axis[2].kernel;
}

// --- channels first ------------------------------------------------------------------------------

// The position of a run's maximum: the first number equal to it, or the last NaN.
template <class T, class L>
[[gnu::noinline]] int64_t find_in_run(const T* run, int64_t n, L value) {
  if (value == value) {
    for (int64_t i = 0; i < n; ++i)
      if (load(run + i) == value) return i;
  }
  for (int64_t i = n - 1; i >= 0; --i)
    if (load(run + i) != load(run + i)) return i;
  return 0;
}

template <class T, class P>
[[gnu::noinline]] void max_long_window(const T* plane, T* y, P* positions, const PoolShape& shape,
                                       int64_t oz, int64_t oy, int64_t ox) {
  using L = Compute<T>;
  const PoolAxis& ax = shape.axis[2];
  const int64_t from = ax.start[ox] + ax.first[ox], n = ax.last[ox] - ax.first[ox];
  L best = kLowest<L>;
  const T* found = nullptr;
  int64_t place = first_position(shape, oz, oy) + ax.first[ox];
  window_rows(shape, oz, oy, [&](int64_t position, int64_t row) {
    const T* run = plane + row + from;
    const L value = max_row(run, n);
    if (!(value > best || value != value)) return;
    best = value;
    found = run;
    place = position + ax.first[ox];
  });
  const int64_t at = (oz * shape.axis[1].out + oy) * ax.out + ox;
  store(y + at, best);
  if constexpr (kWanted<P>) {
    if (found) place += find_in_run(found, n, best);
    positions[at] = static_cast<P>(place);
  }
}

template <class T, class P>
[[gnu::noinline]] void max_window(const T* plane, T* y, P* positions, const PoolShape& shape,
                                  int64_t oz, int64_t oy, int64_t ox) {
  using L = Compute<T>;
  const PoolAxis& ax = shape.axis[2];
  if (ax.last[ox] - ax.first[ox] >= kLongRun && ax.dilation == 1)
    return max_long_window(plane, y, positions, shape, oz, oy, ox);
  L best = kLowest<L>;
  int64_t place = first_position(shape, oz, oy) + ax.first[ox];
  window_rows(shape, oz, oy, [&](int64_t position, int64_t row) {
    const T* first = plane + row + ax.start[ox];
    for (int64_t k = ax.first[ox]; k < ax.last[ox]; ++k) {
      const L value = load(first + k * ax.dilation);
      if (!(value > best || value != value)) continue;
      best = value;
      place = position + k;
    }
  });
  const int64_t at = (oz * shape.axis[1].out + oy) * ax.out + ox;
  store(y + at, best);
  if constexpr (kWanted<P>) positions[at] = static_cast<P>(place);
}

// kWidth: the width of the windows where it is known, 0 for any.
template <class T, class P, int kStride, int kWidth, class Rows>
SAMARA_FUNCTION void max_row_of_windows(const T* plane, T* y, P* positions, const PoolShape& shape,
                                        int64_t oz, int64_t oy, const Rows& rows) {
  using L = Compute<T>;
  const PoolAxis& ax = shape.axis[2];
  const int64_t out_row = (oz * shape.axis[1].out + oy) * ax.out;
  const int64_t width = kWidth > 0 ? kWidth : ax.kernel, dilation = kWidth > 0 ? 1 : ax.dilation;
  for (int64_t ox = 0; ox < ax.inner_low; ++ox) max_window(plane, y, positions, shape, oz, oy, ox);
  const int64_t place = first_position(shape, oz, oy);
  cover<kLanes<L>>(ax.inner_high - ax.inner_low, [&]<int kCount>(int64_t i) {
    const int64_t ox = ax.inner_low + i;
    const T* corner = plane + ox * ax.stride - ax.padding;
    Best<L, kCount> best;
    best.start(place);
    rows([&](int64_t position, int64_t row) {
      if constexpr (kWidth > 0) {
        fetch_ahead(corner + row);
        fetch_ahead(corner + row + kCount);
      }
      for (int64_t k = 0; k < width; ++k)
        best.template offer<P>(take<L, kCount, kStride>(corner + row + k * dilation, ax.stride),
                               position + k);
    });
    best.write(y, positions, out_row + ox);
  });
  for (int64_t ox = ax.inner_high; ox < ax.out; ++ox)
    max_window(plane, y, positions, shape, oz, oy, ox);
}

template <class T, class P, int kStride, int kWidth = 0>
SAMARA_FUNCTION void max_plane(const T* plane, T* y, P* positions, const PoolShape& shape) {
  for (int64_t oz = 0; oz < shape.axis[0].out; ++oz)
    for (int64_t oy = 0; oy < shape.axis[1].out; ++oy) {
      if constexpr (kStride < 0) {
        for (int64_t ox = 0; ox < shape.axis[2].out; ++ox)
          max_window(plane, y, positions, shape, oz, oy, ox);
      } else if constexpr (kWidth > 0) {
        RowList list;
        window_rows(shape, oz, oy, list.adder());
#if defined(__AVX512F__)
        if constexpr (__is_same(T, float)) {
          max_row_masked<P, kWidth>(plane, y, positions, shape.axis[2],
                                    (oz * shape.axis[1].out + oy) * shape.axis[2].out,
                                    first_position(shape, oz, oy), list);
          continue;
        }
#endif
        max_row_of_windows<T, P, kStride, kWidth>(plane, y, positions, shape, oz, oy, list);
      } else {
        max_row_of_windows<T, P, kStride, 0>(
            plane, y, positions, shape, oz, oy,
            [&](auto&& body) __attribute__((always_inline)) { window_rows(shape, oz, oy, body); });
      }
    }
}

template <class T, class P>
void forward_first(const void* source, void* target, void* where, const PoolShape& shape,
                   int64_t begin, int64_t end) {
  const PoolAxis& ax = shape.axis[2];
  const bool long_runs = ax.kernel >= kLongRun && ax.dilation == 1;
  const bool few_rows = shape.axis[0].kernel * shape.axis[1].kernel <= RowList::kMost;
  const int64_t width = few_rows && ax.dilation == 1 ? ax.kernel : 0;
  for (int64_t p = begin; p < end; ++p) {
    const T* x = static_cast<const T*>(source) + p * shape.in;
    T* y = static_cast<T*>(target) + p * shape.out;
    P* positions = kWanted<P> ? static_cast<P*>(where) + p * shape.out : nullptr;
    if (ax.stride == 2 && width == 2)
      max_plane<T, P, 2, kKnown<P, 2>>(x, y, positions, shape);
    else if (ax.stride == 2 && width == 3)
      max_plane<T, P, 2, kKnown<P, 3>>(x, y, positions, shape);
    else if (ax.stride == 1)
      max_plane<T, P, 1>(x, y, positions, shape);
    else if (ax.stride == 2)
      max_plane<T, P, 2>(x, y, positions, shape);
    else if (ax.stride > 0 && !long_runs)
      max_plane<T, P, 0>(x, y, positions, shape);
    else
      max_plane<T, P, -1>(x, y, positions, shape);
  }
}

template <class T, class P>
[[gnu::noinline]] void max_gradient(const T* g, const P* positions, T* target,
                                    const PoolShape& shape, int64_t z, int64_t y, int64_t x) {
  const PoolAxis& ax = shape.axis[2];
  Compute<T> sum = 0;
  covering_rows(shape, z, y, [&](int64_t position, int64_t row) {
    int64_t k;
    for (int64_t ox = ax.low[x]; ox < ax.high[x]; ++ox)
      if (ax.position(ox, x, k) && static_cast<int64_t>(positions[row + ox]) == position + k)
        sum += load(g + row + ox);
  });
  store(target + x, sum);
}

// Which of the inputs' windows chose them, for j in the middle of a row: see PoolAxis.
// kWidth and kOdd: the width of the windows where it is known (else 0), and whether the padding is
// odd.
template <class T, class P, int kStride, int kWidth, bool kOdd, class Rows>
SAMARA_FUNCTION void max_gradient_row(const T* g, const P* positions, T* out,
                                      const PoolShape& shape, int64_t z, int64_t y,
                                      const Rows& rows) {
  using L = Compute<T>;
  const PoolAxis& ax = shape.axis[2];
  T* target = out + (z * shape.axis[1].in + y) * ax.in;
  const auto edge = [&](int64_t x) { max_gradient(g, positions, target, shape, z, y, x); };
  for (int64_t x = 0; x < ax.class_low * kStride && x < ax.in; ++x) edge(x);
  cover<kLanes<L>>(ax.class_high - ax.class_low, [&]<int kCount>(int64_t i) {
    const int64_t j = ax.class_low + i;
    Vector<L, kCount> sum[kStride] = {};
    const auto add = [&](int r, int64_t o, int64_t position) __attribute__((always_inline)) {
      const auto chosen =
          load_positions<L, kCount>(positions + o) == static_cast<IndexOf<L>>(position);
      const auto value = load_vector<L, kCount>(g + o);
      sum[r] += chosen ? value : Vector<L, kCount>{};
    };
    rows([&](int64_t position, int64_t row) __attribute__((always_inline)) {
      if constexpr (kWidth > 0) {
        for (int k = kWidth - 1; k >= 0; --k) {
          const int r = (k + kOdd) % 2;
          add(r, row + j + (ax.padding + r - k) / 2, position + k);
        }
      } else {
        for (int r = 0; r < kStride; ++r)
          for (int64_t e = ax.class_begin[r]; e < ax.class_begin[r + 1]; ++e)
            add(r, row + j + ax.class_shift[e], position + ax.class_k[e]);
      }
    });
    if constexpr (kCount == 1) {
      for (int r = 0; r < kStride; ++r) store(target + j * kStride + r, L(sum[r][0]));
    } else {
      put_classes<T, L, kCount, kStride>(target + j * kStride, sum);
    }
  });
  for (int64_t x = ax.class_high * kStride; x < ax.in; ++x) edge(x);
}

// Window by window, in order.
template <class T, class P>
[[gnu::noinline]] void max_scatter(const T* g, const P* positions, T* out, void* scratch,
                                   const PoolShape& shape) {
  using L = Compute<T>;
  const PoolAxis &az = shape.axis[0], &ay = shape.axis[1], &ax = shape.axis[2];
  L* sums = __is_same(T, L) ? reinterpret_cast<L*>(out) : static_cast<L*>(scratch);
  for (int64_t i = 0; i < shape.in; ++i) sums[i] = 0;
  int64_t o = 0;
  for (int64_t oz = 0; oz < az.out; ++oz)
    for (int64_t oy = 0; oy < ay.out; ++oy)
      for (int64_t ox = 0; ox < ax.out; ++ox, ++o) {
        const int64_t k = static_cast<int64_t>(positions[o]);
        const int64_t z = az.start[oz] + k / (ax.kernel * ay.kernel) * az.dilation;
        const int64_t y = ay.start[oy] + k / ax.kernel % ay.kernel * ay.dilation;
        const int64_t x = ax.start[ox] + k % ax.kernel * ax.dilation;
        // A window that lies wholly in the padding has chosen nothing.
        if (z >= az.in || y >= ay.in || x >= ax.in) continue;
        sums[(z * ay.in + y) * ax.in + x] += load(g + o);
      }
  if constexpr (!__is_same(T, L))
    for (int64_t i = 0; i < shape.in; ++i) store(out + i, sums[i]);
}

template <class T, class P, int kStride, int kWidth = 0, bool kOdd = false>
SAMARA_FUNCTION void max_gradient_plane(const T* g, const P* positions, T* out,
                                        const PoolShape& shape) {
  for (int64_t z = 0; z < shape.axis[0].in; ++z)
    for (int64_t y = 0; y < shape.axis[1].in; ++y) {
      RowList list;
      covering_rows(shape, z, y, list.adder());
#if defined(__AVX512F__)
      if constexpr (__is_same(T, float) && kWidth > 0) {
        const PoolAxis& ax = shape.axis[2];
        max_gradient_row_masked<kWidth, kOdd>(
            g, positions, out + (z * shape.axis[1].in + y) * ax.in, ax, list, shape.streams);
        continue;
      }
#endif
      max_gradient_row<T, P, kStride, kWidth, kOdd>(g, positions, out, shape, z, y, list);
    }
}

template <class T, class P>
void backward_first(const void* gradient, const void* where, void* target, void* scratch,
                    const PoolShape& shape, int64_t begin, int64_t end) {
  const PoolAxis& ax = shape.axis[2];
  // Looking at every window of an input costs more than going to each window's maximum when there
  // are many.
  const bool gather = ax.class_begin != nullptr && shape.cover <= RowList::kMost;
  const int64_t width = ax.stride == 2 && ax.dilation == 1 ? ax.kernel : 0;
  const bool odd = ax.padding % 2 != 0;
  for (int64_t p = begin; p < end; ++p) {
    const T* g = static_cast<const T*>(gradient) + p * shape.out;
    const P* positions = static_cast<const P*>(where) + p * shape.out;
    T* out = static_cast<T*>(target) + p * shape.in;
    if (!gather)
      max_scatter(g, positions, out, scratch, shape);
    else if (width == 2 && !odd)
      max_gradient_plane<T, P, 2, kKnown<P, 2>, false>(g, positions, out, shape);
    else if (width == 3 && !odd)
      max_gradient_plane<T, P, 2, kKnown<P, 3>, false>(g, positions, out, shape);
    else if (width == 3)
      max_gradient_plane<T, P, 2, kKnown<P, 3>, true>(g, positions, out, shape);
    else if (ax.stride == 1)
      max_gradient_plane<T, P, 1>(g, positions, out, shape);
    else
      max_gradient_plane<T, P, 2>(g, positions, out, shape);
  }
  finish_streams(shape.streams);
}

// --- channels last -------------------------------------------------------------------------------

// One row of windows, the first of which is `first_place`; `rows` visits the rows of inputs that
// they cover.
template <class T, class P, class Rows>
SAMARA_FUNCTION void max_row_last(const T* image, T* y, P* positions, const PoolShape& shape,
                                  int64_t first_place, const Rows& rows) {
  using L = Compute<T>;
  const PoolAxis& ax = shape.axis[2];
  const int64_t channels = shape.channels, step = ax.dilation * channels;
  for (int64_t ox = 0; ox < ax.out; ++ox) {
    const int64_t pixel = ox * channels;
    const int64_t left = ax.start[ox] + ax.first[ox] * ax.dilation;
    channel_blocks<L>(channels, [&]<int kCount, int kVectors>(int64_t c) {
      Best<L, kCount> best[kVectors];
      for (int v = 0; v < kVectors; ++v) best[v].start(first_place + ax.first[ox]);
      rows([&](int64_t position, int64_t in_row) __attribute__((always_inline)) {
        const T* p = image + (in_row + left) * channels + c;
        for (int64_t k = position + ax.first[ox]; k < position + ax.last[ox]; ++k, p += step)
          for (int v = 0; v < kVectors; ++v) {
            fetch_ahead(p + v * kCount);
            best[v].template offer<P>(load_vector<L, kCount>(p + v * kCount), k);
          }
      });
      for (int v = 0; v < kVectors; ++v) best[v].write(y, positions, pixel + c + v * kCount);
    });
  }
}

template <class T, class P>
void forward_last(const void* source, void* target, void* where, const PoolShape& shape,
                  int64_t begin, int64_t end) {
  const PoolAxis &az = shape.axis[0], &ay = shape.axis[1], &ax = shape.axis[2];
  for (int64_t row = begin; row < end; ++row) {
    const PoolRow at = PoolRow::of(row, az.out, ay.out);
    const T* image = static_cast<const T*>(source) + at.image * shape.in * shape.channels;
    const int64_t first = row * ax.out * shape.channels;
    T* y = static_cast<T*>(target) + first;
    P* positions = kWanted<P> ? static_cast<P*>(where) + first : nullptr;
    const int64_t place = first_position(shape, at.z, at.y);
    if (az.kernel * ay.kernel <= RowList::kMost) {
      RowList list;
      window_rows(shape, at.z, at.y, list.adder());
      max_row_last(image, y, positions, shape, place, list);
    } else {
      max_row_last(image, y, positions, shape, place,
                   [&](auto&& body) { window_rows(shape, at.z, at.y, body); });
    }
  }
}

// One row of inputs; `rows` visits the rows of windows that may cover it.
template <class T, class P, class Rows>
SAMARA_FUNCTION void gradient_row_last(const T* g, const P* positions, T* target,
                                       const PoolShape& shape, const Rows& rows) {
  using L = Compute<T>;
  const PoolAxis& ax = shape.axis[2];
  const int64_t channels = shape.channels;
  for (int64_t x = 0; x < ax.in; ++x) {
    T* out = target + x * channels;
    channel_blocks<L>(channels, [&]<int kCount, int kVectors>(int64_t c) {
      Vector<L, kCount> sum[kVectors] = {};
      rows([&](int64_t position, int64_t out_row) __attribute__((always_inline)) {
        int64_t k;
        for (int64_t ox = ax.low[x]; ox < ax.high[x]; ++ox) {
          if (!ax.position(ox, x, k)) continue;
          const int64_t o = (out_row + ox) * channels + c;
          fetch_ahead(positions + o);
          for (int v = 0; v < kVectors; ++v) {
            fetch_ahead(g + o + v * kCount);
            const auto chosen = load_positions<L, kCount>(positions + o + v * kCount) ==
                                static_cast<IndexOf<L>>(position + k);
            const auto value = load_vector<L, kCount>(g + o + v * kCount);
            sum[v] += chosen ? value : Vector<L, kCount>{};
          }
        }
      });
      for (int v = 0; v < kVectors; ++v) {
        if (!shape.streams) fetch_ahead(out + c + v * kCount);
        put<T, L, kCount>(out + c + v * kCount, sum[v], shape.streams);
      }
    });
  }
}

template <class T, class P>
void backward_last(const void* gradient, const void* where, void* target, const PoolShape& shape,
                   int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const PoolRow at = PoolRow::of(row, shape.axis[0].in, shape.axis[1].in);
    const int64_t image = at.image * shape.out * shape.channels;
    const T* g = static_cast<const T*>(gradient) + image;
    const P* positions = static_cast<const P*>(where) + image;
    T* out = static_cast<T*>(target) + row * shape.axis[2].in * shape.channels;
    if (shape.cover <= RowList::kMost) {
      RowList list;
      covering_rows(shape, at.z, at.y, list.adder());
      gradient_row_last(g, positions, out, shape, list);
    } else {
      gradient_row_last(g, positions, out, shape,
                        [&](auto&& body) { covering_rows(shape, at.z, at.y, body); });
    }
  }
  finish_streams(shape.streams);
}

template <class T>
constexpr MaxPoolKernel kernel() {
  MaxPoolKernel made;
  made.forward_first[0] = forward_first<T, NoPositions>;
  made.forward_first[1] = forward_first<T, uint8_t>;
  made.forward_first[2] = forward_first<T, int32_t>;
  made.forward_last[0] = forward_last<T, NoPositions>;
  made.forward_last[1] = forward_last<T, uint8_t>;
  made.forward_last[2] = forward_last<T, int32_t>;
  made.backward_first[1] = backward_first<T, uint8_t>;
  made.backward_first[2] = backward_first<T, int32_t>;
  made.backward_last[1] = backward_last<T, uint8_t>;
  made.backward_last[2] = backward_last<T, int32_t>;
  return made;
}

constexpr MaxPoolKernels make_table() {
  MaxPoolKernels table{};
  table.pool[static_cast<int>(DType::float16)] = kernel<Float16>();
  table.pool[static_cast<int>(DType::bfloat16)] = kernel<BFloat16>();
  table.pool[static_cast<int>(DType::float32)] = kernel<float>();
  table.pool[static_cast<int>(DType::float64)] = kernel<double>();
  return table;
}

}  // namespace

extern const MaxPoolKernels max_pool_kernels;
constinit const MaxPoolKernels max_pool_kernels = make_table();

}  // namespace samara::SAMARA_ISA
