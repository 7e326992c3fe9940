// Max pooling: max_pool1d, 2d and 3d, their adaptive forms, and their gradients.
//
// A gradient keeps one byte (or, for large windows, four) per output: the maximum's position in its
// window. Indices in the plane, as PyTorch has them, are made from it where they are asked for.
#include <algorithm>
#include <cstring>
#include <limits>

#include "core/kernel.h"
#include "cpu/isa.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/elements.h"
#include "ops/pool.h"
#include "ops/reduce.h"

namespace samara {
namespace {

constexpr int64_t kByteWindow = 256;

const MaxPoolKernel& kernel_for(DType dtype) {
  static const MaxPoolKernels& kernels =
      select_isa(baseline::max_pool_kernels, v3::max_pool_kernels, v4::max_pool_kernels);
  return kernels.pool[static_cast<int>(dtype)];
}

DType position_dtype(DType dtype, const PoolShape& shape) {
  return is_floating(dtype) && shape.window <= kByteWindow ? DType::uint8 : DType::int32;
}

int position_kind(const Tensor& positions) {
  const PoolPositions kind = !positions                          ? PoolPositions::none
                             : positions.dtype() == DType::uint8 ? PoolPositions::bytes
                                                                 : PoolPositions::words;
  return static_cast<int>(kind);
}

void* address_or_null(const Tensor& x) { return x ? x.address() : nullptr; }

// Where plane p begins and how far apart its elements are.
struct Plane {
  int64_t from, step;
  static Plane of(const PoolGeometry& geometry, int64_t p, int64_t elements) {
    const int64_t channels = geometry.shape.channels;
    if (!geometry.channels_last) return {p * elements, 1};
    return {p / channels * channels * elements + p % channels, channels};
  }
};

// Calls body(o, oz, oy, ox) for each window.
template <class Body>
void each_window(const PoolShape& shape, Body&& body) {
  int64_t o = 0;
  for (int64_t oz = 0; oz < shape.axis[0].out; ++oz)
    for (int64_t oy = 0; oy < shape.axis[1].out; ++oy)
      for (int64_t ox = 0; ox < shape.axis[2].out; ++ox, ++o) body(o, oz, oy, ox);
}

// --- integers ------------------------------------------------------------------------------------

template <class T>
void max_plane(const T* x, T* y, int32_t* positions, int64_t step, const PoolShape& shape) {
  const PoolAxis &az = shape.axis[0], &ay = shape.axis[1], &ax = shape.axis[2];
  each_window(shape, [&](int64_t o, int64_t oz, int64_t oy, int64_t ox) {
    T best = std::numeric_limits<T>::lowest();
    int64_t place = (az.first[oz] * ay.kernel + ay.first[oy]) * ax.kernel + ax.first[ox];
    for (int64_t kz = az.first[oz]; kz < az.last[oz]; ++kz)
      for (int64_t ky = ay.first[oy]; ky < ay.last[oy]; ++ky) {
        const int64_t row =
            ((az.start[oz] + kz * az.dilation) * ay.in + ay.start[oy] + ky * ay.dilation) * ax.in +
            ax.start[ox];
        for (int64_t kx = ax.first[ox]; kx < ax.last[ox]; ++kx) {
          const T value = x[(row + kx * ax.dilation) * step];
          if (value <= best) continue;
          best = value;
          place = (kz * ay.kernel + ky) * ax.kernel + kx;
        }
      }
    y[o * step] = best;
    if (positions) positions[o * step] = static_cast<int32_t>(place);
  });
}

void max_integers(TensorSpan outputs, const Tensor& x, const PoolGeometry& geometry) {
  const PoolShape& shape = geometry.shape;
  int32_t* positions = static_cast<int32_t*>(address_or_null(outputs[1]));
  visit_integer(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    parallel_ranges(geometry.planes(), pool_grain(geometry.planes(), shape.in + shape.out),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t p = begin; p < end; ++p) {
                        const Plane in = Plane::of(geometry, p, shape.in);
                        const Plane out = Plane::of(geometry, p, shape.out);
                        max_plane(x.data<T>() + in.from, outputs[0].data<T>() + out.from,
                                  positions ? positions + out.from : nullptr, in.step, shape);
                      }
                    });
  });
}

// --- kernels on the CPU --------------------------------------------------------------------------

// Where the maximum of each window stands in its plane, from its position in the window; -1 for a
// window that lies wholly in the padding.
template <class P, class Body>
void each_maximum(const P* positions, int64_t step, const PoolShape& shape, Body&& body) {
  const PoolAxis &az = shape.axis[0], &ay = shape.axis[1], &ax = shape.axis[2];
  const auto kx = static_cast<uint32_t>(ax.kernel), ky = static_cast<uint32_t>(ay.kernel);
  each_window(shape, [&](int64_t o, int64_t oz, int64_t oy, int64_t ox) {
    const auto k = static_cast<uint32_t>(positions[o * step]);
    const int64_t z = az.start[oz] + k / kx / ky * az.dilation;
    const int64_t y = ay.start[oy] + k / kx % ky * ay.dilation;
    const int64_t x = ax.start[ox] + k % kx * ax.dilation;
    const bool inside = z < az.in && y < ay.in && x < ax.in;
    body(o * step, inside ? (z * ay.in + y) * ax.in + x : -1);
  });
}

template <class Body>
void each_plane_of_positions(const Tensor& positions, const PoolGeometry& geometry, Body&& body) {
  const PoolShape& shape = geometry.shape;
  const auto run = [&](auto* data) {
    parallel_ranges(geometry.planes(), pool_grain(geometry.planes(), 4 * shape.out),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t p = begin; p < end; ++p) {
                        const Plane in = Plane::of(geometry, p, shape.in);
                        const Plane out = Plane::of(geometry, p, shape.out);
                        each_maximum(data + out.from, out.step, shape,
                                     [&](int64_t o, int64_t i) { body(in, out.from + o, i); });
                      }
                    });
  };
  if (positions.dtype() == DType::uint8)
    run(positions.data<uint8_t>());
  else
    run(positions.data<int32_t>());
}

// inputs: x; outputs: y, and, or nothing, positions and indices.
void forward_cpu(TensorSpan outputs, TensorSpan inputs, const PoolGeometry& geometry) {
  const Tensor &x = inputs[0], &positions = outputs[1];
  if (!is_floating(x.dtype())) {
    max_integers(outputs, x, geometry);
  } else {
    const MaxPoolKernel& kernel = kernel_for(x.dtype());
    const auto run = geometry.channels_last ? kernel.forward_last[position_kind(positions)]
                                            : kernel.forward_first[position_kind(positions)];
    forward_ranges(geometry, [&](int64_t begin, int64_t end) {
      run(x.address(), outputs[0].address(), address_or_null(positions), geometry.shape, begin,
          end);
    });
  }
  if (!outputs[2]) return;
  int64_t* indices = outputs[2].data<int64_t>();
  each_plane_of_positions(positions, geometry, [&](const Plane&, int64_t o, int64_t i) {
    indices[o] = std::max<int64_t>(i, 0);
  });
}
const KernelSlot<PoolGeometry> forward_slot("max_pool", forward_cpu);

// inputs: g, positions; outputs: the gradient.
void scatter_cpu(TensorSpan outputs, TensorSpan inputs, const PoolGeometry& geometry) {
  const Tensor &g = inputs[0], &positions = inputs[1], &out = outputs[0];
  const PoolShape& shape = geometry.shape;
  const MaxPoolKernel& kernel = kernel_for(g.dtype());
  const int kind = position_kind(positions);
  PoolShape written = shape;
  written.streams = streams_to(out, geometry.channels_last ? shape.channels : shape.axis[2].in);
  const int64_t bytes = is_half(g.dtype()) ? shape.in * static_cast<int64_t>(sizeof(float)) : 0;
  backward_ranges(geometry, [&](int64_t begin, int64_t end) {
    if (geometry.channels_last)
      return kernel.backward_last[kind](g.address(), positions.address(), out.address(), written,
                                        begin, end);
    Scratch scratch(bytes);
    kernel.backward_first[kind](g.address(), positions.address(), out.address(), scratch.data(),
                                written, begin, end);
  });
}
const KernelSlot<PoolGeometry> scatter_slot("max_pool_scatter", scatter_cpu);

// inputs: values in the input's shape, positions; outputs: each window's value.
void gather_cpu(TensorSpan outputs, TensorSpan inputs, const PoolGeometry& geometry) {
  visit_size(itemsize(inputs[0].dtype()), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* source = inputs[0].data<T>();
    T* target = outputs[0].data<T>();
    each_plane_of_positions(inputs[1], geometry, [&](const Plane& in, int64_t o, int64_t i) {
      target[o] = i < 0 ? T{} : source[in.from + i * in.step];
    });
  });
}
const KernelSlot<PoolGeometry> gather_slot("max_pool_gather", gather_cpu);

// --- forward -------------------------------------------------------------------------------------

const NativeCall scatter("max_pool_scatter");
const NativeCall gather("max_pool_gather");

void check_dtype(const Call& call, const Tensor& x) {
  if (is_floating(x.dtype()) || is_integer(x.dtype())) return;
  fail(ErrorKind::dtype, call.name(), ": x has dtype ", name(x.dtype()),
       ". Expected a real floating-point or integer dtype. Fix: convert it, e.g. "
       "x.to(samara.float32).");
}

void check_positions(const Call& call, const PoolShape& shape) {
  if (shape.window <= INT32_MAX) return;
  fail(ErrorKind::argument, call.name(), ": a window has ", shape.window,
       " positions. Expected fewer than 2^31. Fix: use a smaller kernel_size.");
}

void pool(Call& call, int rank, const PoolWindow& window, const Dims& output_shape,
          bool with_indices) {
  const Tensor& given = call.tensor(0);
  const Tensor batch = batched(given, rank);
  const ImageOrder order = image_order(batch);
  const PoolGeometry geometry(batch.shape(), output_shape, window, order);
  check_positions(call, geometry.shape);
  const auto make = [&](DType dtype) {
    return empty_image(output_shape, dtype, given.device(), order);
  };
  Tensor outputs[3];
  outputs[0] = make(given.dtype());
  if (call.records || with_indices)
    outputs[1] = make(position_dtype(given.dtype(), geometry.shape));
  if (with_indices) outputs[2] = make(DType::int64);
  const Tensor x = in_order(batch, order);
  if (outputs[0].elements() > 0) forward_slot(TensorSpan(outputs, 3), TensorSpan(&x, 1), geometry);
  if (call.records) {
    call.saved.push_back(outputs[1]);
    // The order the gradient shall lie in: sizes of 1 may hide it.
    call.saved.push_back(empty({geometry.channels_last}, DType::uint8, given.device()));
  }
  call.output(unbatched_like(outputs[0], given, rank));
  if (with_indices) call.output(unbatched_like(outputs[2], given, rank));
}

template <int kRank, bool kIndices>
void max_pool_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  check_dtype(call, x);
  check_pool_input(call.name(), x, kRank);
  const PoolWindow window = pool_window(call, kRank, true);
  const Dims shape = pooled_shape(call.name(), batched(x, kRank).shape(), window, call.boolean(5));
  pool(call, kRank, window, shape, kIndices);
}

template <int kRank, bool kIndices>
void adaptive_max_pool_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  check_dtype(call, x);
  check_pool_input(call.name(), x, kRank);
  const Dims shape = adaptive_shape(call.name(), batched(x, kRank).shape(), call[1].integers());
  pool(call, kRank, PoolWindow(), shape, kIndices);
}

// --- backward ------------------------------------------------------------------------------------

void scatter_gradient(BackwardCall& call, int rank, const PoolWindow& window) {
  const Dims shape = batched_shape(call.tensor(0), rank);
  call.set(0, scatter(call.gradient(), call.saved(0), shape, window.kernel, window.stride,
                      window.padding, window.dilation, call.saved(1).elements() == 1));
}

template <int kRank>
void max_pool_backward(BackwardCall& call) {
  scatter_gradient(call, kRank, pool_window(call, kRank, true));
}

template <int kRank>
void adaptive_max_pool_backward(BackwardCall& call) {
  scatter_gradient(call, kRank, PoolWindow());
}

// max_pool_scatter and max_pool_gather: (x, positions [N, C, *out], input shape, kernel, stride,
// padding, dilation, channels_last). Each is the other's gradient.
PoolWindow window_of(const Call& call) {
  PoolWindow window;
  window.kernel = call[3].integers();
  window.stride = call[4].integers();
  window.padding = call[5].integers();
  window.dilation = call[6].integers();
  return window;
}

void adjoint_forward(Call& call, bool scatters) {
  const Tensor &given = call.tensor(0), &positions = call.tensor(1);
  const Dims& input_shape = call[2].integers();
  const int rank = input_shape.size() - 2;
  const ImageOrder order = call.boolean(7) ? ImageOrder::channels_last : ImageOrder::channels_first;
  const PoolGeometry geometry(input_shape, positions.shape(), window_of(call), order);
  const Tensor inputs[] = {in_order(batched(given, rank), order), in_order(positions, order)};
  const Tensor out =
      empty_image(scatters ? input_shape : positions.shape(), given.dtype(), given.device(), order);
  if (out.elements() > 0)
    (scatters ? scatter_slot : gather_slot)(TensorSpan(&out, 1), TensorSpan(inputs, 2), geometry);
  call.output(unbatched_like(out, given, rank));
}

void adjoint_backward(BackwardCall& call, const NativeCall& other) {
  if (call.needs(0))
    call.set(0,
             other(call.gradient(), call.tensor(1), call[2].integers(), call[3].integers(),
                   call[4].integers(), call[5].integers(), call[6].integers(), call[7].boolean()));
}

void scatter_forward(Call& call) { adjoint_forward(call, true); }
void scatter_backward(BackwardCall& call) { adjoint_backward(call, gather); }
void gather_forward(Call& call) { adjoint_forward(call, false); }
void gather_backward(BackwardCall& call) { adjoint_backward(call, scatter); }

const Register scatter_registered({.name = "max_pool_scatter",
                                   .forward = scatter_forward,
                                   .backward = scatter_backward,
                                   .saved_inputs = 0b10,
                                   .backward_records = true});
const Register gather_registered({.name = "max_pool_gather",
                                  .forward = gather_forward,
                                  .backward = gather_backward,
                                  .saved_inputs = 0b10,
                                  .backward_records = true});

template <int kRank, bool kIndices>
constexpr NativeOperation max_pool(std::string_view name) {
  return {.name = name,
          .forward = max_pool_forward<kRank, kIndices>,
          .backward = max_pool_backward<kRank>,
          .backward_records = true};
}
template <int kRank, bool kIndices>
constexpr NativeOperation adaptive_max_pool(std::string_view name) {
  return {.name = name,
          .forward = adaptive_max_pool_forward<kRank, kIndices>,
          .backward = adaptive_max_pool_backward<kRank>,
          .backward_records = true};
}

const Register registered[] = {
    Register(max_pool<1, false>("max_pool1d")),
    Register(max_pool<2, false>("max_pool2d")),
    Register(max_pool<3, false>("max_pool3d")),
    Register(max_pool<1, true>("max_pool1d_with_indices")),
    Register(max_pool<2, true>("max_pool2d_with_indices")),
    Register(max_pool<3, true>("max_pool3d_with_indices")),
    Register(adaptive_max_pool<1, false>("adaptive_max_pool1d")),
    Register(adaptive_max_pool<2, false>("adaptive_max_pool2d")),
    Register(adaptive_max_pool<3, false>("adaptive_max_pool3d")),
    Register(adaptive_max_pool<1, true>("adaptive_max_pool1d_with_indices")),
    Register(adaptive_max_pool<2, true>("adaptive_max_pool2d_with_indices")),
    Register(adaptive_max_pool<3, true>("adaptive_max_pool3d_with_indices")),
};

}  // namespace
}  // namespace samara
