// The loops of grid_sample.
#include "ops/grid_sample.h"

#include "ops/lanes.h"

namespace samara::SAMARA_ISA {
namespace {

using namespace lanes;

// The inputs along one axis that one place is made of: index or -1, weight, and the weight's
// derivative by the place in the grid.
template <class L>
struct AxisTaps {
  int32_t index[4];
  L weight[4], slope[4];
};

// A place brought into the image; `factor` is what its derivative is multiplied by. NaN becomes 0.
template <class L>
L inside(L place, int64_t size, const GridShape& shape, L& factor) {
  const L last = static_cast<L>(size - 1);
  if (shape.padding == GridPadding::reflection) {
    const L low = shape.align_corners ? L(0) : L(-0.5);
    const L span = shape.align_corners ? last : static_cast<L>(size);
    if (span == 0) {
      factor = 0;
      return 0;
    }
    const L away = place - low;
    const L distance = math::abs(away);
    const L extra = math::fmod(distance, span);
    const bool odd = math::fmod(math::floor(distance / span), L(2)) != 0;
    if (odd != (away < 0)) factor = -factor;
    place = odd ? span - extra + low : extra + low;
  }
  if (!(place > 0)) {
    factor = 0;
    return 0;
  }
  if (place >= last) {
    factor = 0;
    return last;
  }
  return place;
}

// -1 for what is no element: also infinities and NaN.
template <class L>
int32_t element(L index, int64_t size) {
  return index >= 0 && index <= static_cast<L>(size - 1) ? static_cast<int32_t>(index) : -1;
}

// Keys' cubic of slope -3/4 at the distances t + 1, t, 1 - t, 2 - t.
template <class L>
void cubic_weights(L t, L* weight, L* slope) {
  const L a = L(-0.75);
  const auto near = [a](L x) { return ((a + 2) * x - (a + 3)) * x * x + 1; };
  const auto far = [a](L x) { return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a; };
  const auto near_slope = [a](L x) { return (3 * (a + 2) * x - 2 * (a + 3)) * x; };
  const auto far_slope = [a](L x) { return (3 * a * x - 10 * a) * x + 8 * a; };
  weight[0] = far(t + 1);
  weight[1] = near(t);
  weight[2] = near(1 - t);
  weight[3] = far(2 - t);
  slope[0] = far_slope(t + 1);
  slope[1] = near_slope(t);
  slope[2] = -near_slope(1 - t);
  slope[3] = -far_slope(2 - t);
}

template <class L>
void find_axis(L place, int64_t size, const GridShape& shape, AxisTaps<L>& taps) {
  const L extent = static_cast<L>(shape.align_corners ? size - 1 : size);
  L factor = extent / 2;
  L at = shape.align_corners ? (place + 1) / 2 * extent : ((place + 1) * extent - 1) / 2;
  if (shape.mode == GridMode::bicubic) {
    const L start = math::floor(at);
    cubic_weights(at - start, taps.weight, taps.slope);
    for (int k = 0; k < 4; ++k) {
      L index = start + static_cast<L>(k - 1), unused = 1;
      if (shape.padding != GridPadding::zeros) index = inside(index, size, shape, unused);
      taps.index[k] = element(index, size);
      taps.slope[k] *= factor;
    }
    return;
  }
  if (shape.padding != GridPadding::zeros) at = inside(at, size, shape, factor);
  if (shape.mode == GridMode::nearest) {
    taps.index[0] = element(math::round(at), size);
    taps.weight[0] = 1;
    taps.slope[0] = 0;
    return;
  }
  const L start = math::floor(at), t = at - start;
  for (int k = 0; k < 2; ++k) taps.index[k] = element(start + static_cast<L>(k), size);
  taps.weight[0] = 1 - t;
  taps.weight[1] = t;
  taps.slope[0] = -factor;
  taps.slope[1] = factor;
}

// For a tile of pixels: tap k of pixel p is at k * kGridTile + p.
template <class L, bool kSlopes>
struct Tile {
  int32_t index[kGridTaps * kGridTile];
  L weight[kGridTaps * kGridTile];
  // By width, height, depth.
  L slope[kSlopes ? 3 : 1][kSlopes ? kGridTaps * kGridTile : 1];

  template <class T>
  void fill(const T* grid, const GridShape& shape, int64_t begin, int64_t end) {
    const int per_axis = shape.mode == GridMode::nearest    ? 1
                         : shape.mode == GridMode::bilinear ? 2
                                                            : 4;
    const bool deep = shape.dimensions == 3;
    AxisTaps<L> w, h, d;
    d.index[0] = 0;
    d.weight[0] = 1;
    d.slope[0] = 0;
    for (int64_t pixel = begin; pixel < end; ++pixel) {
      const T* place = grid + pixel * shape.dimensions;
      find_axis(static_cast<L>(load(place)), shape.in[2], shape, w);
      find_axis(static_cast<L>(load(place + 1)), shape.in[1], shape, h);
      if (deep) find_axis(static_cast<L>(load(place + 2)), shape.in[0], shape, d);
      int64_t at = pixel - begin;
      for (int z = 0; z < (deep ? per_axis : 1); ++z)
        for (int y = 0; y < per_axis; ++y)
          for (int x = 0; x < per_axis; ++x, at += kGridTile) {
            const bool missing = d.index[z] < 0 || h.index[y] < 0 || w.index[x] < 0;
            const int64_t row = static_cast<int64_t>(d.index[z]) * shape.in[1] + h.index[y];
            index[at] = missing ? -1 : static_cast<int32_t>(row * shape.in[2] + w.index[x]);
            weight[at] = d.weight[z] * h.weight[y] * w.weight[x];
            if constexpr (kSlopes) {
              slope[0][at] = d.weight[z] * h.weight[y] * w.slope[x];
              slope[1][at] = d.weight[z] * h.slope[y] * w.weight[x];
              slope[2][at] = d.slope[z] * h.weight[y] * w.weight[x];
            }
          }
    }
  }
};

// Adds one tap of each of n pixels; pixels of the image are `step` apart.
template <class T, class L>
void add_tap(const T* plane, int64_t step, const int32_t* __restrict index,
             const L* __restrict weight, int64_t n, L* __restrict sums) {
  if (step == 1) {
    for (int64_t p = 0; p < n; ++p) {
      const int32_t at = index[p] < 0 ? 0 : index[p];
      const L share = weight[p] * static_cast<L>(load(plane + at));
      sums[p] += index[p] < 0 ? L(0) : share;
    }
    return;
  }
  for (int64_t p = 0; p < n; ++p) {
    if (index[p] < 0) continue;
    sums[p] += weight[p] * static_cast<L>(load(plane + index[p] * step));
  }
}

template <class T>
void sample(const void* source, const void* grid, void* target, const GridShape& shape,
            int64_t begin, int64_t end) {
  using L = Compute<T>;
  const T* x = static_cast<const T*>(source);
  T* out = static_cast<T*>(target) + begin * shape.out_pixel;
  const int taps = shape.taps();
  const int64_t n = end - begin;
  Tile<L, false> tile;
  tile.fill(static_cast<const T*>(grid), shape, begin, end);
  if (shape.in_channel == 1 && shape.out_channel == 1) {
    constexpr int64_t kBlock = 64;
    for (int64_t p = 0; p < n; ++p)
      for (int64_t first = 0; first < shape.channels; first += kBlock) {
        const int64_t count = shape.channels - first < kBlock ? shape.channels - first : kBlock;
        L sums[kBlock];
        for (int64_t c = 0; c < count; ++c) sums[c] = 0;
        for (int k = 0; k < taps; ++k) {
          const int32_t index = tile.index[k * kGridTile + p];
          if (index < 0) continue;
          const L weight = tile.weight[k * kGridTile + p];
          const T* from = x + index * shape.in_pixel + first;
          for (int64_t c = 0; c < count; ++c) sums[c] += weight * static_cast<L>(load(from + c));
        }
        for (int64_t c = 0; c < count; ++c) store(out + p * shape.out_pixel + first + c, sums[c]);
      }
    return;
  }
  L sums[kGridTile];
  for (int64_t c = 0; c < shape.channels; ++c) {
    const T* plane = x + c * shape.in_channel;
    for (int64_t p = 0; p < n; ++p) sums[p] = 0;
    for (int k = 0; k < taps; ++k)
      add_tap(plane, shape.in_pixel, tile.index + k * kGridTile, tile.weight + k * kGridTile, n,
              sums);
    T* row = out + c * shape.out_channel;
    for (int64_t p = 0; p < n; ++p) store(row + p * shape.out_pixel, sums[p]);
  }
}

template <class T>
void grid_gradient(const void* gradient, const void* source, const void* grid, void* target,
                   const GridShape& shape, int64_t begin, int64_t end) {
  using L = Compute<T>;
  const T* x = static_cast<const T*>(source);
  const T* g = static_cast<const T*>(gradient) + begin * shape.out_pixel;
  T* out = static_cast<T*>(target) + begin * shape.dimensions;
  const int taps = shape.taps();
  const int64_t n = end - begin;
  Tile<L, true> tile;
  tile.fill(static_cast<const T*>(grid), shape, begin, end);
  double sums[3][kGridTile] = {};
  for (int k = 0; k < taps; ++k) {
    // What the output's gradient has of this input, summed over the channels.
    double shares[kGridTile] = {};
    const int32_t* index = tile.index + k * kGridTile;
    if (shape.in_channel == 1) {
      for (int64_t p = 0; p < n; ++p) {
        if (index[p] < 0) continue;
        const T *from = x + index[p] * shape.in_pixel, *by = g + p * shape.out_pixel;
        double share = 0;
        for (int64_t c = 0; c < shape.channels; ++c)
          share += static_cast<double>(load(from + c)) *
                   static_cast<double>(load(by + c * shape.out_channel));
        shares[p] = share;
      }
    } else {
      for (int64_t c = 0; c < shape.channels; ++c)
        for (int64_t p = 0; p < n; ++p) {
          const int32_t at = index[p];
          const double value = static_cast<double>(
              load(x + c * shape.in_channel + (at < 0 ? 0 : at) * shape.in_pixel));
          const double by =
              static_cast<double>(load(g + c * shape.out_channel + p * shape.out_pixel));
          shares[p] += at < 0 ? 0.0 : value * by;
        }
    }
    for (int axis = 0; axis < shape.dimensions; ++axis)
      for (int64_t p = 0; p < n; ++p)
        sums[axis][p] += shares[p] * static_cast<double>(tile.slope[axis][k * kGridTile + p]);
  }
  for (int axis = 0; axis < shape.dimensions; ++axis)
    for (int64_t p = 0; p < n; ++p)
      store(out + p * shape.dimensions + axis, static_cast<L>(sums[axis][p]));
}

// Channels [begin, end): the pixels are taken in order, so the sums depend on nothing else.
template <class T>
void input_gradient(const void* gradient, const void* grid, void* target, const GridShape& shape,
                    int64_t begin, int64_t end, double* __restrict sums) {
  using L = Compute<T>;
  const T* g = static_cast<const T*>(gradient);
  T* out = static_cast<T*>(target);
  const int64_t count = end - begin, pixels = shape.in_pixels();
  for (int64_t i = 0; i < count * pixels; ++i) sums[i] = 0;
  const int taps = shape.taps();
  Tile<L, false> tile;
  for (int64_t from = 0; from < shape.pixels; from += kGridTile) {
    const int64_t to = from + kGridTile < shape.pixels ? from + kGridTile : shape.pixels;
    tile.fill(static_cast<const T*>(grid), shape, from, to);
    for (int64_t p = from; p < to; ++p)
      for (int k = 0; k < taps; ++k) {
        const int64_t at = k * kGridTile + p - from;
        if (tile.index[at] < 0) continue;
        const double weight = static_cast<double>(tile.weight[at]);
        const T* row = g + p * shape.out_pixel + begin * shape.out_channel;
        double* sum = sums + tile.index[at] * count;
        for (int64_t c = 0; c < count; ++c)
          sum[c] += weight * static_cast<double>(load(row + c * shape.out_channel));
      }
  }
  for (int64_t c = 0; c < count; ++c)
    for (int64_t i = 0; i < pixels; ++i)
      store(out + (begin + c) * shape.in_channel + i * shape.in_pixel,
            static_cast<L>(sums[i * count + c]));
}

template <class T>
constexpr GridKernel kernel() {
  return {sample<T>, grid_gradient<T>, input_gradient<T>};
}

constexpr GridKernels make_table() {
  GridKernels table{};
  table.grid[static_cast<int>(DType::float16)] = kernel<Float16>();
  table.grid[static_cast<int>(DType::bfloat16)] = kernel<BFloat16>();
  table.grid[static_cast<int>(DType::float32)] = kernel<float>();
  table.grid[static_cast<int>(DType::float64)] = kernel<double>();
  return table;
}

}  // namespace

extern const GridKernels grid_kernels;
constinit const GridKernels grid_kernels = make_table();

}  // namespace samara::SAMARA_ISA
