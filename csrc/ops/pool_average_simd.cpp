// The loops of average pooling.
//
// Sums of more than a few numbers are kept in double, so that large windows cost no digits.
#include "ops/pool_lanes.h"

namespace samara::SAMARA_ISA {
namespace {

using namespace lanes;

// More terms than this are added up in double.
constexpr int64_t kShortSum = 16;
// Rows of at least this many inputs of one window are summed run by run.
constexpr int64_t kLongRun = 16;

// What the rows of windows (oz, oy) share, and one window's divisor.
SAMARA_FUNCTION double row_divisor(const PoolShape& shape, int64_t oz, int64_t oy) {
  return shape.divisor != 0
             ? shape.divisor
             : static_cast<double>(shape.axis[0].extent[oz] * shape.axis[1].extent[oy]);
}
SAMARA_FUNCTION double divisor(const PoolShape& shape, double row, int64_t ox) {
  return shape.divisor != 0 ? row : row * static_cast<double>(shape.axis[2].extent[ox]);
}

// --- channels first ------------------------------------------------------------------------------

template <class T>
[[gnu::noinline]] void average_window(const T* plane, T* y, const PoolShape& shape, int64_t oz,
                                      int64_t oy, int64_t ox) {
  using L = Compute<T>;
  const PoolAxis &ay = shape.axis[1], &ax = shape.axis[2];
  const int64_t from = ax.start[ox] + ax.first[ox], n = ax.last[ox] - ax.first[ox];
  double sum = 0;
  if (n == ax.in && n >= 1) {
    // Whole rows lie one after the other.
    const int64_t rows = ay.last[oy] - ay.first[oy];
    for (int64_t kz = shape.axis[0].first[oz]; kz < shape.axis[0].last[oz]; ++kz) {
      const int64_t z = shape.axis[0].start[oz] + kz;
      const T* run = plane + (z * ay.in + ay.start[oy] + ay.first[oy]) * ax.in;
      sum += sum_row<L>(run, rows * n, [](auto v) { return v; });
    }
  } else if (n >= kLongRun) {
    window_rows(shape, oz, oy, [&](int64_t, int64_t row) {
      sum += sum_row<L>(plane + row + from, n, [](auto v) { return v; });
    });
  } else {
    window_rows(shape, oz, oy, [&](int64_t, int64_t row) {
      for (int64_t k = 0; k < n; ++k) sum += static_cast<double>(load(plane + row + from + k));
    });
  }
  store(y + (oz * ay.out + oy) * ax.out + ox,
        static_cast<L>(sum / divisor(shape, row_divisor(shape, oz, oy), ox)));
}

template <class T, class A, int kStride>
SAMARA_FUNCTION void average_row(const T* plane, T* y, const PoolShape& shape, int64_t oz,
                                 int64_t oy) {
  const PoolAxis& ax = shape.axis[2];
  const int64_t out_row = (oz * shape.axis[1].out + oy) * ax.out;
  for (int64_t ox = 0; ox < ax.inner_low; ++ox) average_window(plane, y, shape, oz, oy, ox);
  // Windows that lie inside have the same extent.
  const double row = row_divisor(shape, oz, oy);
  const A by = static_cast<A>(shape.divisor != 0 ? row : row * static_cast<double>(ax.kernel));
  cover<kLanes<A>>(ax.inner_high - ax.inner_low, [&]<int kCount>(int64_t i) {
    const int64_t ox = ax.inner_low + i, from = ox * ax.stride - ax.padding;
    Vector<A, kCount> sum = {};
    window_rows(shape, oz, oy, [&](int64_t, int64_t in_row) {
      const T* first = plane + in_row + from;
      for (int64_t k = 0; k < ax.kernel; ++k) sum += take<A, kCount, kStride>(first + k, ax.stride);
    });
    put<T, A, kCount>(y + out_row + ox, sum / by);
  });
  for (int64_t ox = ax.inner_high; ox < ax.out; ++ox) average_window(plane, y, shape, oz, oy, ox);
}

template <class T, class A, int kStride>
SAMARA_FUNCTION void average_plane(const T* plane, T* y, const PoolShape& shape) {
  for (int64_t oz = 0; oz < shape.axis[0].out; ++oz)
    for (int64_t oy = 0; oy < shape.axis[1].out; ++oy) {
      if constexpr (kStride >= 0) {
        average_row<T, A, kStride>(plane, y, shape, oz, oy);
      } else {
        for (int64_t ox = 0; ox < shape.axis[2].out; ++ox)
          average_window(plane, y, shape, oz, oy, ox);
      }
    }
}

template <class T, class A>
void average_planes(const T* x, T* y, const PoolShape& shape, int64_t count) {
  const PoolAxis& ax = shape.axis[2];
  for (int64_t p = 0; p < count; ++p, x += shape.in, y += shape.out) {
    if (ax.stride == 0 || (ax.stride > 2 && ax.kernel >= kLongRun) || ax.out == 1)
      average_plane<T, A, -1>(x, y, shape);
    else if (ax.stride == 1)
      average_plane<T, A, 1>(x, y, shape);
    else if (ax.stride == 2)
      average_plane<T, A, 2>(x, y, shape);
    else
      average_plane<T, A, 0>(x, y, shape);
  }
}

template <class T>
void forward_first(const void* source, void* target, const PoolShape& shape, int64_t begin,
                   int64_t end) {
  const T* x = static_cast<const T*>(source) + begin * shape.in;
  T* y = static_cast<T*>(target) + begin * shape.out;
  if (shape.window <= kShortSum)
    average_planes<T, Compute<T>>(x, y, shape, end - begin);
  else
    average_planes<T, double>(x, y, shape, end - begin);
}

// Each window's share of its gradient for one input.
template <class T, class A>
SAMARA_FUNCTION void divide_gradient(const T* g, A* shares, const PoolShape& shape) {
  const PoolAxis& ax = shape.axis[2];
  for (int64_t oz = 0; oz < shape.axis[0].out; ++oz)
    for (int64_t oy = 0; oy < shape.axis[1].out; ++oy) {
      const int64_t at = (oz * shape.axis[1].out + oy) * ax.out;
      const double row = row_divisor(shape, oz, oy);
      for (int64_t ox = 0; ox < ax.out; ++ox)
        shares[at + ox] =
            static_cast<A>(load(g + at + ox)) / static_cast<A>(divisor(shape, row, ox));
    }
}

template <class T, class A>
[[gnu::noinline]] void average_gradient(const A* shares, T* target, const PoolShape& shape,
                                        int64_t z, int64_t y, int64_t x) {
  const PoolAxis& ax = shape.axis[2];
  A sum = 0;
  covering_rows(shape, z, y, [&](int64_t, int64_t row) {
    for (int64_t ox = ax.low[x]; ox < ax.high[x]; ++ox) sum += shares[row + ox];
  });
  store(target + x, sum);
}

template <class T, class A, int kStride>
SAMARA_FUNCTION void average_gradient_row(const A* shares, T* out, const PoolShape& shape,
                                          int64_t z, int64_t y) {
  const PoolAxis& ax = shape.axis[2];
  T* target = out + (z * shape.axis[1].in + y) * ax.in;
  for (int64_t x = 0; x < ax.class_low * kStride && x < ax.in; ++x)
    average_gradient(shares, target, shape, z, y, x);
  cover<kLanes<A>>(ax.class_high - ax.class_low, [&]<int kCount>(int64_t i) {
    const int64_t j = ax.class_low + i;
    Vector<A, kCount> sum[kStride] = {};
    covering_rows(shape, z, y, [&](int64_t, int64_t row) {
      for (int r = 0; r < kStride; ++r)
        for (int64_t e = ax.class_begin[r]; e < ax.class_begin[r + 1]; ++e)
          sum[r] += raw_vector<Vector<A, kCount>>(shares + row + j + ax.class_shift[e]);
    });
    if constexpr (kCount == 1) {
      for (int r = 0; r < kStride; ++r) store(target + j * kStride + r, A(sum[r][0]));
    } else {
      put_classes<T, A, kCount, kStride>(target + j * kStride, sum);
    }
  });
  for (int64_t x = ax.class_high * kStride; x < ax.in; ++x)
    average_gradient(shares, target, shape, z, y, x);
}

// Window by window, in order.
template <class T, class A>
[[gnu::noinline]] void average_scatter(const A* shares, A* __restrict sums, T* out,
                                       const PoolShape& shape) {
  const PoolAxis &az = shape.axis[0], &ay = shape.axis[1], &ax = shape.axis[2];
  for (int64_t i = 0; i < shape.in; ++i) sums[i] = 0;
  for (int64_t oz = 0; oz < az.out; ++oz)
    for (int64_t oy = 0; oy < ay.out; ++oy)
      window_rows(shape, oz, oy, [&](int64_t, int64_t in_row) {
        for (int64_t ox = 0; ox < ax.out; ++ox) {
          const A share = shares[(oz * ay.out + oy) * ax.out + ox];
          A* first = sums + in_row + ax.start[ox];
          for (int64_t k = ax.first[ox]; k < ax.last[ox]; ++k) first[k] += share;
        }
      });
  for (int64_t i = 0; i < shape.in; ++i) store(out + i, sums[i]);
}

template <class T, class A, int kStride>
SAMARA_FUNCTION void average_gradient_plane(const A* shares, T* out, const PoolShape& shape) {
  for (int64_t z = 0; z < shape.axis[0].in; ++z)
    for (int64_t y = 0; y < shape.axis[1].in; ++y)
      average_gradient_row<T, A, kStride>(shares, out, shape, z, y);
}

template <class T, class A>
void gradient_planes(const T* g, T* out, void* scratch, const PoolShape& shape, int64_t count) {
  const PoolAxis& ax = shape.axis[2];
  A* shares = static_cast<A*>(scratch);
  for (int64_t p = 0; p < count; ++p, g += shape.out, out += shape.in) {
    divide_gradient<T, A>(g, shares, shape);
    if (ax.class_begin == nullptr)
      average_scatter<T, A>(shares, shares + shape.out, out, shape);
    else if (ax.stride == 1)
      average_gradient_plane<T, A, 1>(shares, out, shape);
    else
      average_gradient_plane<T, A, 2>(shares, out, shape);
  }
}

template <class T>
void backward_first(const void* gradient, void* target, void* scratch, const PoolShape& shape,
                    int64_t begin, int64_t end) {
  const T* g = static_cast<const T*>(gradient) + begin * shape.out;
  T* out = static_cast<T*>(target) + begin * shape.in;
  if (shape.cover <= kShortSum)
    gradient_planes<T, Compute<T>>(g, out, scratch, shape, end - begin);
  else
    gradient_planes<T, double>(g, out, scratch, shape, end - begin);
}

// --- channels last -------------------------------------------------------------------------------

template <class T, class A>
void average_rows(const void* source, void* target, const PoolShape& shape, int64_t begin,
                  int64_t end) {
  const PoolAxis& ax = shape.axis[2];
  const int64_t channels = shape.channels;
  for (int64_t row = begin; row < end; ++row) {
    const PoolRow at = PoolRow::of(row, shape.axis[0].out, shape.axis[1].out);
    const T* image = static_cast<const T*>(source) + at.image * shape.in * channels;
    const double by_row = row_divisor(shape, at.z, at.y);
    for (int64_t ox = 0; ox < ax.out; ++ox) {
      T* y = static_cast<T*>(target) + (row * ax.out + ox) * channels;
      const A by = static_cast<A>(divisor(shape, by_row, ox));
      channel_blocks<A>(channels, [&]<int kCount, int kVectors>(int64_t c) {
        Vector<A, kCount> sum[kVectors] = {};
        window_rows(shape, at.z, at.y, [&](int64_t, int64_t in_row) {
          const T* first = image + (in_row + ax.start[ox]) * channels + c;
          for (int64_t k = ax.first[ox]; k < ax.last[ox]; ++k)
            for (int v = 0; v < kVectors; ++v) {
              fetch_ahead(first + k * channels + v * kCount);
              sum[v] += load_vector<A, kCount>(first + k * channels + v * kCount);
            }
        });
        for (int v = 0; v < kVectors; ++v) put<T, A, kCount>(y + c + v * kCount, sum[v] / by);
      });
    }
  }
}

template <class T, class A>
void gradient_rows(const void* gradient, void* target, const PoolShape& shape, int64_t begin,
                   int64_t end) {
  const PoolAxis &az = shape.axis[0], &ay = shape.axis[1], &ax = shape.axis[2];
  const int64_t channels = shape.channels;
  for (int64_t row = begin; row < end; ++row) {
    const PoolRow at = PoolRow::of(row, az.in, ay.in);
    const T* g = static_cast<const T*>(gradient) + at.image * shape.out * channels;
    for (int64_t x = 0; x < ax.in; ++x) {
      T* out = static_cast<T*>(target) + (row * ax.in + x) * channels;
      channel_blocks<A>(channels, [&]<int kCount, int kVectors>(int64_t c) {
        Vector<A, kCount> sum[kVectors] = {};
        for (int64_t oz = az.low[at.z]; oz < az.high[at.z]; ++oz)
          for (int64_t oy = ay.low[at.y]; oy < ay.high[at.y]; ++oy) {
            const double by_row = row_divisor(shape, oz, oy);
            for (int64_t ox = ax.low[x]; ox < ax.high[x]; ++ox) {
              const A factor = static_cast<A>(1 / divisor(shape, by_row, ox));
              const T* from = g + ((oz * ay.out + oy) * ax.out + ox) * channels + c;
              for (int v = 0; v < kVectors; ++v) {
                fetch_ahead(from + v * kCount);
                sum[v] += load_vector<A, kCount>(from + v * kCount) * factor;
              }
            }
          }
        for (int v = 0; v < kVectors; ++v) {
          if (!shape.streams) fetch_ahead(out + c + v * kCount);
          put<T, A, kCount>(out + c + v * kCount, sum[v], shape.streams);
        }
      });
    }
  }
  finish_streams(shape.streams);
}

template <class T>
void forward_last(const void* source, void* target, const PoolShape& shape, int64_t begin,
                  int64_t end) {
  if (shape.window <= kShortSum)
    average_rows<T, Compute<T>>(source, target, shape, begin, end);
  else
    average_rows<T, double>(source, target, shape, begin, end);
}

template <class T>
void backward_last(const void* gradient, void* target, const PoolShape& shape, int64_t begin,
                   int64_t end) {
  if (shape.cover <= kShortSum)
    gradient_rows<T, Compute<T>>(gradient, target, shape, begin, end);
  else
    gradient_rows<T, double>(gradient, target, shape, begin, end);
}

template <class T>
constexpr AveragePoolKernel kernel() {
  return {forward_first<T>, forward_last<T>, backward_first<T>, backward_last<T>};
}

constexpr AveragePoolKernels make_table() {
  AveragePoolKernels table{};
  table.pool[static_cast<int>(DType::float16)] = kernel<Float16>();
  table.pool[static_cast<int>(DType::bfloat16)] = kernel<BFloat16>();
  table.pool[static_cast<int>(DType::float32)] = kernel<float>();
  table.pool[static_cast<int>(DType::float64)] = kernel<double>();
  return table;
}

}  // namespace

extern const AveragePoolKernels average_pool_kernels;
constinit const AveragePoolKernels average_pool_kernels = make_table();

}  // namespace samara::SAMARA_ISA
