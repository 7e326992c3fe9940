// The arguments and the geometry that all poolings share.
#include "ops/pool.h"

#include <algorithm>

#include "ops/basic.h"

namespace samara {
namespace {

constexpr int64_t kMostSize = INT32_MAX;  // of kernels, strides, paddings and dilations
constexpr std::string_view kAxisName[] = {"depth", "height", "width"};

int64_t floor_divide(int64_t a, int64_t b) { return a / b - (a % b != 0 && a < 0); }
int64_t ceil_divide(int64_t a, int64_t b) { return -floor_divide(-a, b); }

std::string_view axis_name(int axis, int rank) {
  return rank == 1 ? "length" : kAxisName[3 - rank + axis];
}

// One axis as it is filled: the arrays' places change while they grow, so they are kept as offsets.
struct AxisArrays {
  size_t start, first, last, extent, low, high, class_begin, class_k, class_shift;
};

size_t reserve(std::vector<int64_t>& arrays, int64_t count) {
  const size_t offset = arrays.size();
  arrays.resize(offset + static_cast<size_t>(count));
  return offset;
}

// Windows of a regular axis, or, where the kernel is 0, of an adaptive one: [floor(o in / out),
// ceil((o + 1) in / out)).
void fill_windows(PoolAxis& axis, const AxisArrays& at, std::vector<int64_t>& arrays, bool adaptive,
                  bool count_padding) {
  int64_t most = 0;
  for (int64_t o = 0; o < axis.out; ++o) {
    const auto i = static_cast<size_t>(o);
    int64_t start, first, last, extent;
    if (adaptive) {
      // o in / out without overflow.
      const int64_t whole = axis.in / axis.out, rest = axis.in % axis.out;
      start = o * whole + o * rest / axis.out;
      const int64_t end = (o + 1) * whole + ((o + 1) * rest + axis.out - 1) / axis.out;
      first = 0;
      extent = last = end - start;
    } else {
      start = o * axis.stride - axis.padding;
      first = start < 0 ? ceil_divide(-start, axis.dilation) : 0;
      last = std::clamp<int64_t>(ceil_divide(axis.in - start, axis.dilation), 0, axis.kernel);
      first = std::min(first, last);
      extent = count_padding ? std::min(start + axis.kernel, axis.in + axis.padding) - start
                             : last - first;
    }
    arrays[at.start + i] = start;
    arrays[at.first + i] = first;
    arrays[at.last + i] = last;
    arrays[at.extent + i] = std::max<int64_t>(extent, 1);
    most = std::max(most, last - first);
  }
  if (adaptive) axis.kernel = std::max<int64_t>(most, 1);
}

// Which windows may cover an input. Their first and last inputs both grow with the window.
void fill_covers(const PoolAxis& axis, const AxisArrays& at, std::vector<int64_t>& arrays) {
  int64_t low = 0, high = 0;
  const auto reach = [&](int64_t o) {
    const auto i = static_cast<size_t>(o);
    return arrays[at.start + i] + (arrays[at.last + i] - 1) * axis.dilation;
  };
  for (int64_t i = 0; i < axis.in; ++i) {
    while (high < axis.out && arrays[at.start + static_cast<size_t>(high)] <= i) ++high;
    while (low < axis.out && reach(low) < i) ++low;
    arrays[at.low + static_cast<size_t>(i)] = std::min(low, high);
    arrays[at.high + static_cast<size_t>(i)] = high;
  }
}

void fill_classes(PoolAxis& axis, const AxisArrays& at, std::vector<int64_t>& arrays) {
  size_t entry = 0;
  int64_t least = 0, greatest = 0;
  for (int64_t r = 0; r < axis.stride; ++r) {
    arrays[at.class_begin + static_cast<size_t>(r)] = static_cast<int64_t>(entry);
    // In order of the windows, as everywhere.
    for (int64_t k = axis.kernel - 1; k >= 0; --k) {
      const int64_t distance = r + axis.padding - k * axis.dilation;
      if (distance % axis.stride != 0) continue;
      const int64_t shift = distance / axis.stride;
      arrays[at.class_k + entry] = k;
      arrays[at.class_shift + entry] = shift;
      least = std::min(least, shift);
      greatest = std::max(greatest, shift);
      ++entry;
    }
  }
  arrays[at.class_begin + static_cast<size_t>(axis.stride)] = static_cast<int64_t>(entry);
  axis.class_low = -least;
  axis.class_high = std::max(axis.class_low, std::min(axis.out - greatest, axis.in / axis.stride));
}

bool has_classes(const PoolAxis& axis) {
  return (axis.stride == 1 || axis.stride == 2) && axis.kernel <= axis.in;
}

AxisArrays build_axis(PoolAxis& axis, std::vector<int64_t>& arrays, bool adaptive,
                      bool count_padding) {
  if (adaptive && axis.out > 0 && axis.in % axis.out == 0) {
    axis.kernel = axis.stride = axis.in / axis.out;
    adaptive = false;
  }
  if (adaptive) axis.stride = 0;
  AxisArrays at{};
  at.start = reserve(arrays, axis.out);
  at.first = reserve(arrays, axis.out);
  at.last = reserve(arrays, axis.out);
  at.extent = reserve(arrays, axis.out);
  at.low = reserve(arrays, axis.in);
  at.high = reserve(arrays, axis.in);
  fill_windows(axis, at, arrays, adaptive, count_padding);
  fill_covers(axis, at, arrays);
  if (!adaptive) {
    const int64_t span = (axis.kernel - 1) * axis.dilation + 1;
    axis.inner_low = std::min(axis.out, ceil_divide(axis.padding, axis.stride));
    axis.inner_high = std::clamp(floor_divide(axis.in + axis.padding - span, axis.stride) + 1,
                                 axis.inner_low, axis.out);
  }
  if (has_classes(axis)) {
    at.class_begin = reserve(arrays, axis.stride + 1);
    at.class_k = reserve(arrays, axis.kernel);
    at.class_shift = reserve(arrays, axis.kernel);
    fill_classes(axis, at, arrays);
  }
  return at;
}

void point_axis(PoolAxis& axis, const AxisArrays& at, const int64_t* arrays) {
  axis.start = arrays + at.start;
  axis.first = arrays + at.first;
  axis.last = arrays + at.last;
  axis.extent = arrays + at.extent;
  axis.low = arrays + at.low;
  axis.high = arrays + at.high;
  if (!has_classes(axis)) return;
  axis.class_begin = arrays + at.class_begin;
  axis.class_k = arrays + at.class_k;
  axis.class_shift = arrays + at.class_shift;
}

void check_size(std::string_view place, std::string_view what, const Dims& given, int64_t least) {
  for (int64_t size : given)
    if (size < least || size > kMostSize)
      fail(ErrorKind::argument, place, ": ", what, " is ", given, ". Expected ",
           least == 1 ? "positive numbers" : "0 or more", " below 2^31. Fix: pass ", what, "=",
           least == 1 ? "2" : "0", ", for example.");
}

}  // namespace

PoolGeometry::PoolGeometry(const Dims& input, const Dims& output, const PoolWindow& window,
                           ImageOrder order)
    : images(input[0]), channels_last(order == ImageOrder::channels_last) {
  const int rank = input.size() - 2;
  const bool adaptive = window.kernel.empty();
  shape.channels = input[1];
  shape.divisor = window.divisor;
  AxisArrays at[3];
  for (int i = 0; i < 3; ++i) {
    PoolAxis& axis = shape.axis[i];
    const int from = i - (3 - rank);
    if (from >= 0) {
      axis.in = input[from + 2];
      axis.out = output[from + 2];
      if (!adaptive) {
        axis.kernel = window.kernel[from];
        axis.stride = window.stride[from];
        axis.padding = window.padding[from];
        axis.dilation = window.dilation[from];
      }
    }
    at[i] = build_axis(axis, arrays, adaptive && from >= 0, window.count_padding);
    shape.in *= axis.in;
    shape.out *= axis.out;
    if (__builtin_mul_overflow(shape.window, axis.kernel, &shape.window)) shape.window = INT64_MAX;
  }
  for (int i = 0; i < 3; ++i) {
    point_axis(shape.axis[i], at[i], arrays.data());
    int64_t most = 1;
    for (int64_t k = 0; k < shape.axis[i].in; ++k)
      most = std::max(most, shape.axis[i].high[k] - shape.axis[i].low[k]);
    shape.cover *= most;
  }
}

void check_pool_input(std::string_view place, const Tensor& x, int rank) {
  static constexpr std::string_view kForms[] = {"[C, L] or [N, C, L]", "[C, H, W] or [N, C, H, W]",
                                                "[C, D, H, W] or [N, C, D, H, W]"};
  if (x.rank() != rank + 1 && x.rank() != rank + 2)
    fail(ErrorKind::shape, place, ": x has shape ", x.shape(), ". Expected ", kForms[rank - 1],
         ". Fix: reshape it, or use the form for ", x.rank() - 2 > 0 ? x.rank() - 2 : 1,
         " spatial axes.");
  for (int axis = x.rank() - rank - 1; axis < x.rank(); ++axis)
    if (x.size(axis) == 0)
      fail(ErrorKind::shape, place, ": x has shape ", x.shape(), ", and axis ", axis,
           " is empty. Expected at least one element along every axis but the batch. Fix: check "
           "where the input became empty.");
}

Tensor batched(const Tensor& x, int rank) {
  if (x.rank() == rank + 2) return x;
  Dims shape = x.shape(), strides = x.strides();
  shape.insert(0, 1);
  strides.insert(0, x.elements());
  return alias(x, shape, strides, x.offset());
}

Dims batched_shape(const Tensor& x, int rank) {
  Dims shape = x.shape();
  if (shape.size() == rank + 1) shape.insert(0, 1);
  return shape;
}

Tensor unbatched_like(const Tensor& y, const Tensor& like, int rank) {
  if (like.rank() == rank + 2) return y;
  Dims shape = y.shape(), strides = y.strides();
  shape.erase(0);
  strides.erase(0);
  return alias(y, shape, strides, y.offset());
}

Dims per_axis(std::string_view place, std::string_view what, const Dims& given, int rank) {
  if (given.size() == rank) return given;
  if (given.size() == 1) return Dims::filled(rank, given[0]);
  fail(ErrorKind::argument, place, ": ", what, " is ", given, ", ", given.size(),
       " numbers. Expected one number, or ", rank,
       ", one per spatial axis. Fix: pass one for all.");
}

PoolWindow pool_window(const Call& call, int rank, bool dilated) {
  const std::string_view place = call.name();
  const auto sizes = [&](int argument, std::string_view what) {
    return per_axis(place, what, call[argument].integers(), rank);
  };
  PoolWindow window;
  window.kernel = sizes(1, "kernel_size");
  const bool has_stride = call.has(2) && !call[2].integers().empty();
  window.stride = has_stride ? sizes(2, "stride") : window.kernel;
  window.padding = sizes(3, "padding");
  window.dilation = dilated ? sizes(4, "dilation") : Dims::filled(rank, 1);
  check_size(place, "kernel_size", window.kernel, 1);
  check_size(place, "stride", window.stride, 1);
  check_size(place, "padding", window.padding, 0);
  check_size(place, "dilation", window.dilation, 1);
  for (int i = 0; i < rank; ++i) {
    const int64_t span = (window.kernel[i] - 1) * window.dilation[i] + 1;
    if (window.padding[i] <= span / 2) continue;
    fail(ErrorKind::argument, place, ": padding is ", window.padding, " and kernel_size is ",
         window.kernel, dilated ? concat_text(" with dilation ", window.dilation) : std::string(),
         ". Expected a padding of at most half the kernel, ", span / 2,
         ". Fix: lower the padding, or pad the input first.");
  }
  return window;
}

PoolWindow pool_window(const BackwardCall& call, int rank, bool dilated) {
  const auto sizes = [&](int i) {
    const Dims& given = call[i].integers();
    return given.size() == rank ? given : Dims::filled(rank, given[0]);
  };
  PoolWindow window;
  window.kernel = sizes(1);
  window.stride = call[2].is_none() || call[2].integers().empty() ? window.kernel : sizes(2);
  window.padding = sizes(3);
  window.dilation = dilated ? sizes(4) : Dims::filled(rank, 1);
  return window;
}

Dims pooled_shape(std::string_view place, const Dims& input, const PoolWindow& window,
                  bool ceil_mode) {
  Dims shape = input;
  const int rank = input.size() - 2;
  for (int i = 0; i < rank; ++i) {
    const int64_t in = input[i + 2], stride = window.stride[i], padding = window.padding[i];
    const int64_t span = (window.kernel[i] - 1) * window.dilation[i] + 1;
    const int64_t room = in + 2 * padding - span;
    int64_t out = floor_divide(room + (ceil_mode ? stride - 1 : 0), stride) + 1;
    // The last window must begin inside the input or the padding before it.
    if (ceil_mode && (out - 1) * stride >= in + padding) --out;
    if (out < 1)
      fail(ErrorKind::shape, place, ": along the ", axis_name(i, rank), " a window spans ", span,
           " and the padded input ", in + 2 * padding,
           ", so the output would be empty. Expected a window no larger than the padded input. "
           "Fix: use a smaller kernel_size",
           window.dilation[i] > 1 ? " or dilation" : "", ", or a larger input.");
    shape[i + 2] = out;
  }
  return shape;
}

Dims adaptive_shape(std::string_view place, const Dims& input, const Dims& output_size) {
  const int rank = input.size() - 2;
  const Dims sizes = per_axis(place, "output_size", output_size, rank);
  Dims shape = input;
  for (int i = 0; i < rank; ++i) {
    if (sizes[i] < 0)
      fail(ErrorKind::argument, place, ": output_size is ", sizes,
           ". Expected 0 or more. Fix: pass the sizes that the result shall have.");
    shape[i + 2] = sizes[i];
  }
  static_cast<void>(checked_element_count(shape));
  return shape;
}

bool streams_to(const Tensor& out, int64_t row) {
  constexpr int64_t kLarge = 16 << 20, kLine = 64;
  const int64_t item = itemsize(out.dtype());
  return out.elements() * item >= kLarge && row * item % kLine == 0 &&
         reinterpret_cast<uintptr_t>(out.address()) % kLine == 0;
}

int64_t pool_grain(int64_t items, int64_t elements_per_item) {
  constexpr int64_t kTile = 1 << 16;
  const int64_t each = std::max<int64_t>(elements_per_item, 1);
  if (items * each <= kTile) return std::max<int64_t>(items, 1);
  return std::max<int64_t>(1, kTile / 2 / each);
}

}  // namespace samara
