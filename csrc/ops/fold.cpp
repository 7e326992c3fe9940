// unfold: the sliding blocks of images as columns; fold: its adjoint, the sum of overlapping
// blocks.
#include "ops/fold.h"

#include <algorithm>
#include <cstring>

#include "core/autograd.h"
#include "core/kernel.h"
#include "cpu/isa.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/elements.h"
#include "ops/image.h"
#include "ops/reduce.h"

namespace samara {
namespace {

constexpr int64_t kTileElements = 1 << 15;

// One row of blocks' elements (ki, kj) of a plane, zero outside the image.
template <class T>
void unfold_row(const T* plane, T* out, const FoldShape& shape, int64_t ki, int64_t kj,
                int64_t block) {
  const FoldAxis &h = shape.h, &w = shape.w;
  const int64_t y = h.place(block, ki);
  const int64_t first = w.first_block(kj), end = w.end_block(kj);
  if (y < 0 || y >= h.size || first == end) {
    std::memset(static_cast<void*>(out), 0, static_cast<size_t>(w.blocks) * sizeof(T));
    return;
  }
  const T* from = plane + y * w.size + w.place(first, kj);
  std::fill_n(out, first, T{});
  if (w.stride == 1)
    std::memcpy(static_cast<void*>(out + first), from,
                static_cast<size_t>(end - first) * sizeof(T));
  else
    for (int64_t i = first; i < end; ++i) out[i] = from[(i - first) * w.stride];
  std::fill_n(out + end, w.blocks - end, T{});
}

// x: [N, C, H, W], channels first -> [N, C * kernel, blocks]
void unfold_cpu(TensorSpan outputs, TensorSpan inputs, const FoldShape& shape) {
  const Tensor& out = outputs[0];
  if (out.elements() == 0) return;
  const FoldAxis &h = shape.h, &w = shape.w;
  const int64_t kernel = h.kernel * w.kernel, blocks = h.blocks * w.blocks;
  visit_size(itemsize(out.dtype()), [&]<class T>(TypeTag<T>) {
    const T* x = inputs[0].data<T>();
    T* target = out.data<T>();
    const int64_t grain = std::max<int64_t>(1, kTileElements / blocks);
    parallel_ranges(out.elements() / blocks, grain, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t k = row % kernel;
        for (int64_t block = 0; block < h.blocks; ++block)
          unfold_row(x + row / kernel * h.size * w.size, target + row * blocks + block * w.blocks,
                     shape, k / w.kernel, k % w.kernel, block);
      }
    });
  });
}
const KernelSlot<FoldShape> unfold_slot("unfold", unfold_cpu);

// x: [N, C * kernel, blocks] -> [N, C, H, W]
void fold_cpu(TensorSpan outputs, TensorSpan inputs, const FoldShape& shape) {
  const Tensor& out = outputs[0];
  if (out.elements() == 0) return;
  static const FoldKernels& kernels =
      select_isa(baseline::fold_kernels, v3::fold_kernels, v4::fold_kernels);
  const FoldRows rows = kernels.rows[static_cast<int>(out.dtype())];
  const FoldAxis &h = shape.h, &w = shape.w;
  const int64_t item = itemsize(out.dtype()), plane = h.size * w.size * item;
  const int64_t column = h.kernel * w.kernel * h.blocks * w.blocks * item;
  const int64_t run =
      std::clamp<int64_t>(kTileElements / (w.size * h.kernel * w.kernel), 1, h.size);
  const int64_t runs = (h.size - 1) / run + 1;
  const int64_t planes = out.elements() / (h.size * w.size);
  const int64_t together =
      runs > 1 ? 1 : std::max<int64_t>(1, kTileElements * item / std::max<int64_t>(column, 1));
  parallel_ranges(planes * runs, together, [&](int64_t begin, int64_t end) {
    Scratch sums(w.size * static_cast<int64_t>(sizeof(double)));
    for (int64_t part = begin; part < end; ++part) {
      const int64_t p = part / runs, from = part % runs * run;
      rows(inputs[0].data<std::byte>() + p * column, out.data<std::byte>() + p * plane, shape, from,
           std::min(from + run, h.size), sums.data());
    }
  });
}
const KernelSlot<FoldShape> fold_slot("fold", fold_cpu);

// --- arguments: kernel_size, dilation, padding, stride -------------------------------------------

constexpr int64_t kLargest = int64_t{1} << 30;

// A pair of numbers, or one for both axes.
Dims pair_argument(const Call& call, int i, std::string_view parameter, int64_t least) {
  const Value& value = call[i];
  Dims pair = value.is_number() ? Dims{value.integer()} : value.integers();
  if (pair.size() == 1) pair.push_back(pair[0]);
  bool fits = pair.size() == 2;
  for (int64_t one : pair) fits = fits && one >= least && one <= kLargest;
  if (!fits)
    fail(ErrorKind::argument, call.name(), ": ", parameter, " is ", pair,
         ". Expected one integer or two (vertical, horizontal), at least ", least,
         ". Fix: correct ", parameter, ".");
  return pair;
}

FoldShape fold_shape(const Call& call, int first, int64_t height, int64_t width) {
  const Dims kernel = pair_argument(call, first, "kernel_size", 1);
  const Dims dilation = pair_argument(call, first + 1, "dilation", 1);
  const Dims padding = pair_argument(call, first + 2, "padding", 0);
  const Dims stride = pair_argument(call, first + 3, "stride", 1);
  const auto axis = [&](int i, int64_t size) {
    const int64_t room = size + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1;
    const int64_t blocks = room < 0 ? 0 : room / stride[i] + 1;
    return FoldAxis{size, blocks, kernel[i], stride[i], padding[i], dilation[i]};
  };
  const FoldShape shape{axis(0, height), axis(1, width)};
  if (shape.h.blocks < 1 || shape.w.blocks < 1)
    fail(ErrorKind::shape, call.name(), ": an image of ", height, " x ", width, " with padding ",
         padding, " holds no block of kernel_size ", kernel, " and dilation ", dilation,
         ". Expected at least one block. Fix: shorten the kernel, or pad more.");
  return shape;
}

void check_dtype(const Call& call, const Tensor& x) {
  if (!is_floating(x.dtype()))
    fail(ErrorKind::dtype, call.name(), ": x has dtype ", name(x.dtype()),
         ". Expected a real floating-point dtype. Fix: convert it, e.g. x.to(samara.float32).");
}

// x with a batch axis of 1 where it has none.
Tensor batched(const Tensor& x, int rank) {
  if (x.rank() == rank) return x;
  Dims shape = x.shape(), strides = x.strides();
  shape.insert(0, 1);
  strides.insert(0, x.rank() ? x.size(0) * x.stride(0) : 1);
  return alias(x, shape, strides, x.offset());
}

Tensor unbatched(const Tensor& x, bool whole) {
  return whole ? x : reshape_view(x, Dims(std::span(x.shape().begin() + 1, x.shape().end())));
}

// --- unfold(x, kernel_size, dilation, padding, stride) -------------------------------------------
const NativeCall unfold("unfold");
const NativeCall fold("fold");

void unfold_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  check_dtype(call, x);
  if (x.rank() != 3 && x.rank() != 4)
    fail(ErrorKind::shape, call.name(), ": x has shape ", x.shape(),
         ". Expected [N, C, H, W] or [C, H, W]. Fix: reshape it; Tensor.unfold(axis, size, step) "
         "cuts one axis of any tensor.");
  const Tensor image = batched(x, 4);
  const FoldShape shape = fold_shape(call, 1, image.size(2), image.size(3));
  const Dims columns{image.size(0), image.size(1) * shape.h.kernel * shape.w.kernel,
                     shape.h.blocks * shape.w.blocks};
  const Tensor out = empty(columns, x.dtype(), x.device());
  unfold_slot(out, {in_order(image, ImageOrder::channels_first)}, shape);
  call.output(unbatched(out, x.rank() == 4));
}

void unfold_backward(BackwardCall& call) {
  const Tensor& x = call.tensor(0);
  const Dims size{x.size(x.rank() - 2), x.size(x.rank() - 1)};
  call.set(0, fold(call.gradient(), size, call[1], call[2], call[3], call[4]));
}

const Register unfold_registered({.name = "unfold",
                                  .forward = unfold_forward,
                                  .backward = unfold_backward,
                                  .backward_records = true});

// --- fold(x, output_size, kernel_size, dilation, padding, stride) --------------------------------
void fold_forward(Call& call) {
  const Tensor& x = call.tensor(0);
  check_dtype(call, x);
  if (x.rank() != 2 && x.rank() != 3)
    fail(ErrorKind::shape, call.name(), ": x has shape ", x.shape(),
         ". Expected [N, C * kernel, L] or [C * kernel, L], as unfold gives it. Fix: reshape it.");
  const Dims size = pair_argument(call, 1, "output_size", 1);
  const FoldShape shape = fold_shape(call, 2, size[0], size[1]);
  const Tensor columns = batched(x, 3);
  const int64_t kernel = shape.h.kernel * shape.w.kernel;
  const int64_t blocks = shape.h.blocks * shape.w.blocks;
  if (columns.size(1) % kernel != 0)
    fail(ErrorKind::shape, call.name(), ": x has shape ", x.shape(), ", and ", columns.size(1),
         " rows are no multiple of the kernel's ", kernel, " elements. Expected C * ", kernel,
         ". Fix: correct kernel_size or x.");
  if (columns.size(2) != blocks)
    fail(ErrorKind::shape, call.name(), ": x has shape ", x.shape(), " with L = ", columns.size(2),
         " blocks. Expected L = ", blocks, ", as output_size ", size, " has ", shape.h.blocks,
         " x ", shape.w.blocks,
         " blocks. Fix: correct output_size, kernel_size, dilation, padding or stride.");
  const Tensor out = empty(Dims{columns.size(0), columns.size(1) / kernel, size[0], size[1]},
                           x.dtype(), x.device());
  fold_slot(out, {contiguous(columns)}, shape);
  call.output(unbatched(out, x.rank() == 3));
}

void fold_backward(BackwardCall& call) {
  call.set(0, unfold(call.gradient(), call[2], call[3], call[4], call[5]));
}

const Register fold_registered(
    {.name = "fold", .forward = fold_forward, .backward = fold_backward, .backward_records = true});

}  // namespace
}  // namespace samara
