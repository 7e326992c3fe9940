// Convolution by copied windows: every output pixel's inputs become a row of a matrix, and the
// passes become matrix products. Slow in memory traffic, and good for every geometry.
#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "cpu/gemm.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/convolution.h"
#include "ops/convolution_direct.h"
#include "ops/reduce.h"

namespace samara {
namespace {

// How many elements of windows are copied at a time.
constexpr int64_t most_copied = int64_t{1} << 18;

// Windows of one image and one group: rows [first, first + count) of [out pixels, kernel, C].
template <class T>
struct Windows {
  const ConvolutionShape& s;

  int64_t width() const { return s.kernel_size() * s.group_in(); }
  int64_t rows_at_once() const {
    return std::clamp<int64_t>(most_copied / std::max<int64_t>(width(), 1), 1, s.out_pixels());
  }

  // Neighbours along the width, when all their channels are of one group, are one run.
  bool merges() const { return s.groups == 1 && s.dilation[2] == 1; }

  // Calls visit(place in the row, offset of the pixel in the image or -1 where that is padding,
  // pixels) for runs of pixels that cover the row.
  template <class Visit>
  void for_each_run(int64_t pixel, Visit visit) const {
    const int64_t o[3] = {pixel / (s.out[1] * s.out[2]), pixel / s.out[2] % s.out[1],
                          pixel % s.out[2]};
    const int64_t channels = s.group_in();
    int64_t place = 0;
    const auto input = [&](size_t axis, int64_t r) {
      return o[axis] * s.stride[axis] - s.begin[axis] + r * s.dilation[axis];
    };
    const auto inside = [&](size_t axis, int64_t i) { return i >= 0 && i < s.in[axis]; };
    const int64_t first = input(2, 0);
    for (int64_t rd = 0; rd < s.kernel[0]; ++rd) {
      const int64_t d = input(0, rd);
      for (int64_t rh = 0; rh < s.kernel[1]; ++rh) {
        const int64_t h = input(1, rh), row = (d * s.in[1] + h) * s.in[2];
        const bool has_row = inside(0, d) && inside(1, h);
        if (!merges()) {
          for (int64_t rw = 0; rw < s.kernel[2]; ++rw, place += channels) {
            const int64_t w = input(2, rw);
            visit(place, has_row && inside(2, w) ? row + w : -1, 1);
          }
          continue;
        }
        // Padding, pixels, padding.
        const int64_t low = has_row ? std::clamp<int64_t>(-first, 0, s.kernel[2]) : s.kernel[2];
        const int64_t high = std::clamp<int64_t>(s.in[2] - first, low, s.kernel[2]);
        if (low > 0) visit(place, -1, low);
        if (high > low) visit(place + low * channels, row + first + low, high - low);
        if (s.kernel[2] > high) visit(place + high * channels, -1, s.kernel[2] - high);
        place += s.kernel[2] * channels;
      }
    }
  }

  void copy(const T* image, int64_t first, int64_t count, T* rows) const {
    for (int64_t i = 0; i < count; ++i, rows += width())
      for_each_run(first + i, [&](int64_t place, int64_t pixel, int64_t pixels) {
        if (pixel < 0)
          std::fill_n(rows + place, pixels * s.group_in(), T(0));
        else
          std::copy_n(image + pixel * s.in_channels, pixels * s.group_in(), rows + place);
      });
  }
  void add_back(const T* rows, int64_t first, int64_t count, T* image) const {
    for (int64_t i = 0; i < count; ++i, rows += width())
      for_each_run(first + i, [&](int64_t place, int64_t pixel, int64_t pixels) {
        if (pixel < 0) return;
        T* __restrict const to = image + pixel * s.in_channels;
        const T* __restrict const from = rows + place;
        const int64_t n = pixels * s.group_in();
        if constexpr (std::is_same_v<T, float>)
          direct_kernels().add(to, from, n);
        else
          for (int64_t c = 0; c < n; ++c) to[c] += from[c];
      });
  }
};

template <class T>
std::vector<T> elements(int64_t count) {
  return std::vector<T>(static_cast<size_t>(std::max<int64_t>(count, 0)));
}

// [K, C, kernel] and [K, kernel, C], either way.
template <class T>
void exchange_kernel_and_channels(const T* from, int64_t rows, int64_t a, int64_t b, T* to) {
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t i = 0; i < a; ++i)
      for (int64_t j = 0; j < b; ++j) to[(row * b + j) * a + i] = from[(row * a + i) * b + j];
}

template <class T>
std::vector<T> window_weights(const ConvolutionShape& s, const Tensor& weight) {
  const Tensor plain = contiguous(weight);
  std::vector<T> rows = elements<T>(s.weight_elements());
  exchange_kernel_and_channels(plain.data<T>(), s.out_channels, s.group_in(), s.kernel_size(),
                               rows.data());
  return rows;
}

// y = clamp(y + bias + residual), each of the three if asked for.
template <class T>
void finish(const ConvolutionShape& s, const T* bias, const T* residual, const Clamp& clamp,
            int64_t pixels, T* y) {
  if (!bias && !residual && !clamp.any()) return;
  const T low = static_cast<T>(clamp.low), high = static_cast<T>(clamp.high);
  for (int64_t p = 0; p < pixels; ++p)
    for (int64_t k = 0; k < s.out_channels; ++k) {
      const int64_t i = p * s.out_channels + k;
      T value = y[i];
      if (bias) value += bias[k];
      if (residual) value += residual[i];
      value = value < low ? low : value;  // NaN stays
      y[i] = value > high ? high : value;
    }
}

template <class T>
void forward(const ConvolutionShape& s, const T* x, const Tensor& weight, const T* bias,
             const T* residual, const Clamp& clamp, T* y) {
  const std::vector<T> rows = window_weights<T>(s, weight);
  const Windows<T> windows{s};
  const int64_t in = s.in_pixels() * s.in_channels, out = s.out_pixels() * s.out_channels;
  const int64_t step = windows.rows_at_once(), pieces = (s.out_pixels() - 1) / step + 1;
  parallel_tiles(s.images * pieces, [&](int64_t tile) {
    const int64_t image = tile / pieces, first = tile % pieces * step;
    const int64_t count = std::min(step, s.out_pixels() - first);
    T* const to = y + image * out + first * s.out_channels;
    std::vector<T> copied = elements<T>(count * windows.width());
    for (int64_t group = 0; group < s.groups; ++group) {
      windows.copy(x + image * in + group * s.group_in(), first, count, copied.data());
      gemm<T>(false, true, count, s.group_out(), windows.width(), 1, copied.data(), windows.width(),
              rows.data() + group * s.group_out() * windows.width(), windows.width(), 0,
              to + group * s.group_out(), s.out_channels);
    }
    finish(s, bias, residual ? residual + image * out + first * s.out_channels : nullptr, clamp,
           count, to);
  });
}

template <class T>
void input_gradient(const ConvolutionShape& s, const T* g, const Tensor& weight, T* dx) {
  const std::vector<T> rows = window_weights<T>(s, weight);
  const Windows<T> windows{s};
  const int64_t in = s.in_pixels() * s.in_channels, out = s.out_pixels() * s.out_channels;
  std::memset(dx, 0, static_cast<size_t>(s.images * in) * sizeof(T));
  const int64_t step = windows.rows_at_once();
  parallel_tiles(s.images * s.groups, [&](int64_t tile) {
    const int64_t image = tile / s.groups, group = tile % s.groups;
    std::vector<T> copied = elements<T>(step * windows.width());
    for (int64_t first = 0; first < s.out_pixels(); first += step) {
      const int64_t count = std::min(step, s.out_pixels() - first);
      gemm<T>(false, false, count, windows.width(), s.group_out(), 1,
              g + image * out + first * s.out_channels + group * s.group_out(), s.out_channels,
              rows.data() + group * s.group_out() * windows.width(), windows.width(), 0,
              copied.data(), windows.width());
      windows.add_back(copied.data(), first, count, dx + image * in + group * s.group_in());
    }
  });
}

template <class T>
void weight_gradient(const ConvolutionShape& s, const T* g, const T* x, T* dweight) {
  const Windows<T> windows{s};
  const int64_t in = s.in_pixels() * s.in_channels, out = s.out_pixels() * s.out_channels;
  const int64_t step = windows.rows_at_once();
  std::vector<T> rows = elements<T>(s.weight_elements());
  parallel_tiles(s.groups, [&](int64_t group) {
    std::vector<T> copied = elements<T>(step * windows.width());
    for (int64_t image = 0; image < s.images; ++image)
      for (int64_t first = 0; first < s.out_pixels(); first += step) {
        const int64_t count = std::min(step, s.out_pixels() - first);
        windows.copy(x + image * in + group * s.group_in(), first, count, copied.data());
        gemm<T>(true, false, s.group_out(), windows.width(), count, 1,
                g + image * out + first * s.out_channels + group * s.group_out(), s.out_channels,
                copied.data(), windows.width(), 1,
                rows.data() + group * s.group_out() * windows.width(), windows.width());
      }
  });
  exchange_kernel_and_channels(rows.data(), s.out_channels, s.kernel_size(), s.group_in(), dweight);
}

template <class T>
const T* data_or_null(const Tensor& x) {
  return x ? x.data<T>() : nullptr;
}

template <class Body>
void with_type(DType dtype, Body body) {
  dtype == DType::float64 ? body(double{}) : body(float{});
}

}  // namespace

void GenericConvolution::forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                 const Tensor& residual, const Clamp& clamp,
                                 const Tensor& y) const {
  with_type(x.dtype(), [&]<class T>(T) {
    samara::forward<T>(shape, x.data<T>(), weight, data_or_null<T>(bias), data_or_null<T>(residual),
                       clamp, y.data<T>());
  });
}

void GenericConvolution::input_gradient(const Tensor& g, const Tensor& weight,
                                        const Tensor& dx) const {
  with_type(g.dtype(), [&]<class T>(T) {
    samara::input_gradient<T>(shape, g.data<T>(), weight, dx.data<T>());
  });
}

void GenericConvolution::weight_gradient(const Tensor& g, const Tensor& x,
                                         const Tensor& dweight) const {
  with_type(g.dtype(), [&]<class T>(T) {
    samara::weight_gradient<T>(shape, g.data<T>(), x.data<T>(), dweight.data<T>());
  });
}

}  // namespace samara
