// Average pooling: avg_pool1d, 2d and 3d, their adaptive forms, and their gradients.
#include <algorithm>

#include "core/kernel.h"
#include "cpu/isa.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/pool.h"
#include "ops/reduce.h"

namespace samara {
namespace {

const AveragePoolKernel& kernel_for(DType dtype) {
  static const AveragePoolKernels& kernels = select_isa(
      baseline::average_pool_kernels, v3::average_pool_kernels, v4::average_pool_kernels);
  return kernels.pool[static_cast<int>(dtype)];
}

// inputs: x; outputs: y.
void forward_cpu(TensorSpan outputs, TensorSpan inputs, const PoolGeometry& geometry) {
  const Tensor &x = inputs[0], &y = outputs[0];
  const AveragePoolKernel& kernel = kernel_for(x.dtype());
  const auto run = geometry.channels_last ? kernel.forward_last : kernel.forward_first;
  forward_ranges(geometry, [&](int64_t begin, int64_t end) {
    run(x.address(), y.address(), geometry.shape, begin, end);
  });
}
const KernelSlot<PoolGeometry> forward_slot("avg_pool", forward_cpu);

// inputs: g; outputs: the gradient.
void adjoint_cpu(TensorSpan outputs, TensorSpan inputs, const PoolGeometry& geometry) {
  const Tensor &g = inputs[0], &out = outputs[0];
  const PoolShape& shape = geometry.shape;
  const AveragePoolKernel& kernel = kernel_for(g.dtype());
  PoolShape written = shape;
  written.streams = geometry.channels_last && streams_to(out, shape.channels);
  const int64_t bytes = (shape.in + shape.out) * static_cast<int64_t>(sizeof(double));
  backward_ranges(geometry, [&](int64_t begin, int64_t end) {
    if (geometry.channels_last)
      return kernel.backward_last(g.address(), out.address(), written, begin, end);
    Scratch scratch(bytes);
    kernel.backward_first(g.address(), out.address(), scratch.data(), written, begin, end);
  });
}
const KernelSlot<PoolGeometry> adjoint_slot("avg_pool_adjoint", adjoint_cpu);

// --- one operation and its adjoint ---------------------------------------------------------------

// avg_pool_window and avg_pool_adjoint: (x, the other's shape [N, C, *spatial], kernel, stride,
// padding, count_include_pad, divisor, channels_last). Each is the other's gradient.
const NativeCall average("avg_pool_window");
const NativeCall adjoint("avg_pool_adjoint");

Tensor run(const Tensor& given, const Dims& shape, const PoolWindow& window, ImageOrder order,
           bool adjoint) {
  const int rank = shape.size() - 2;
  const Tensor x = in_order(batched(given, rank), order);
  const PoolGeometry geometry(adjoint ? shape : x.shape(), adjoint ? x.shape() : shape, window,
                              order);
  const Tensor out = empty_image(shape, given.dtype(), given.device(), order);
  if (out.elements() > 0) (adjoint ? adjoint_slot : forward_slot)(out, {x}, geometry);
  return unbatched_like(out, given, rank);
}

void window_forward(Call& call, bool adjoint) {
  PoolWindow window;
  window.kernel = call[2].integers();
  window.stride = call[3].integers();
  window.padding = call[4].integers();
  window.dilation = Dims::filled(window.kernel.size(), 1);
  window.count_padding = call.boolean(5);
  window.divisor = call.real(6);
  const ImageOrder order = call.boolean(7) ? ImageOrder::channels_last : ImageOrder::channels_first;
  call.output(run(call.tensor(0), call[1].integers(), window, order, adjoint));
}

void window_backward(BackwardCall& call, const NativeCall& other) {
  const int rank = call[1].integers().size() - 2;
  call.set(0, other(call.gradient(), batched_shape(call.tensor(0), rank), call[2].integers(),
                    call[3].integers(), call[4].integers(), call[5].boolean(), call[6].real(),
                    call[7].boolean()));
}

void average_forward(Call& call) { window_forward(call, false); }
void average_backward(BackwardCall& call) { window_backward(call, adjoint); }
void adjoint_forward(Call& call) { window_forward(call, true); }
void adjoint_backward(BackwardCall& call) { window_backward(call, average); }

const Register average_registered({.name = "avg_pool_window",
                                   .forward = average_forward,
                                   .backward = average_backward,
                                   .backward_records = true});
const Register adjoint_registered({.name = "avg_pool_adjoint",
                                   .forward = adjoint_forward,
                                   .backward = adjoint_backward,
                                   .backward_records = true});

// --- public forms --------------------------------------------------------------------------------

void check_dtype(const Call& call, const Tensor& x) {
  if (is_floating(x.dtype())) return;
  fail(ErrorKind::dtype, call.name(), ": x has dtype ", name(x.dtype()),
       ". Expected a real floating-point dtype. Fix: convert it, e.g. x.to(samara.float32).");
}

void pool(Call& call, int rank, const PoolWindow& window, const Dims& shape) {
  const Tensor& x = call.tensor(0);
  const ImageOrder order = image_order(batched(x, rank));
  if (call.records)
    // The order the gradient shall lie in: sizes of 1 may hide it.
    call.saved.push_back(empty({order == ImageOrder::channels_last}, DType::uint8, x.device()));
  call.output(run(x, shape, window, order, false));
}

// (x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override), the last one
// not in one dimension.
template <int kRank>
void avg_pool_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  check_dtype(call, x);
  check_pool_input(call.name(), x, kRank);
  PoolWindow window = pool_window(call, kRank, false);
  window.count_padding = call.boolean(5);
  if (kRank > 1 && call.has(6)) {
    window.divisor = call.real(6);
    if (window.divisor == 0)
      fail(ErrorKind::argument, call.name(),
           ": divisor_override is 0. Expected another number, or None. Fix: leave it out to divide "
           "by the size of the window.");
  }
  pool(call, kRank, window,
       pooled_shape(call.name(), batched_shape(x, kRank), window, call.boolean(4)));
}

template <int kRank>
void adaptive_avg_pool_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  check_dtype(call, x);
  check_pool_input(call.name(), x, kRank);
  pool(call, kRank, PoolWindow(),
       adaptive_shape(call.name(), batched_shape(x, kRank), call[1].integers()));
}

void pool_backward(BackwardCall& call, int rank, const PoolWindow& window) {
  call.set(0, adjoint(call.gradient(), batched_shape(call.tensor(0), rank), window.kernel,
                      window.stride, window.padding, window.count_padding, window.divisor,
                      call.saved(0).elements() == 1));
}

template <int kRank>
void avg_pool_backward(BackwardCall& call) {
  PoolWindow window = pool_window(call, kRank, false);
  window.count_padding = call[5].boolean();
  if (kRank > 1 && !call[6].is_none()) window.divisor = call[6].real();
  pool_backward(call, kRank, window);
}

template <int kRank>
void adaptive_avg_pool_backward(BackwardCall& call) {
  pool_backward(call, kRank, PoolWindow());
}

template <int kRank>
constexpr NativeOperation avg_pool(std::string_view name) {
  return {.name = name,
          .forward = avg_pool_forward<kRank>,
          .backward = avg_pool_backward<kRank>,
          .backward_records = true};
}
template <int kRank>
constexpr NativeOperation adaptive_avg_pool(std::string_view name) {
  return {.name = name,
          .forward = adaptive_avg_pool_forward<kRank>,
          .backward = adaptive_avg_pool_backward<kRank>,
          .backward_records = true};
}

const Register registered[] = {
    Register(avg_pool<1>("avg_pool1d")),
    Register(avg_pool<2>("avg_pool2d")),
    Register(avg_pool<3>("avg_pool3d")),
    Register(adaptive_avg_pool<1>("adaptive_avg_pool1d")),
    Register(adaptive_avg_pool<2>("adaptive_avg_pool2d")),
    Register(adaptive_avg_pool<3>("adaptive_avg_pool3d")),
};

}  // namespace
}  // namespace samara
