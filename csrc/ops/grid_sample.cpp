// grid_sample: images and volumes read at places between their pixels.
#include "ops/grid_sample.h"

#include <algorithm>

#include "core/autograd.h"
#include "core/kernel.h"
#include "cpu/isa.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/choice.h"
#include "ops/image.h"
#include "ops/reduce.h"

namespace samara {
namespace {

constexpr std::string_view kModes[] = {"bilinear", "nearest", "bicubic"};
constexpr std::string_view kPaddings[] = {"zeros", "border", "reflection"};

struct GridTask {
  GridShape shape;
  int64_t images, in_image, out_image;  // how many, and elements from one to the next
};

const GridKernel& kernel_for(DType dtype) {
  static const GridKernels& kernels =
      select_isa(baseline::grid_kernels, v3::grid_kernels, v4::grid_kernels);
  return kernels.grid[static_cast<int>(dtype)];
}

// Calls body(image, begin, end) on tiles of the output's pixels.
template <class Body>
void for_each_tile(const GridTask& task, Body&& body) {
  const int64_t tiles = (task.shape.pixels - 1) / kGridTile + 1;
  parallel_tiles(task.images * tiles, [&](int64_t tile) {
    const int64_t begin = tile % tiles * kGridTile;
    body(tile / tiles, begin, std::min(begin + kGridTile, task.shape.pixels));
  });
}

// inputs: x, grid
void sample_cpu(TensorSpan outputs, TensorSpan inputs, const GridTask& task) {
  const Tensor& out = outputs[0];
  if (out.elements() == 0) return;
  const GridKernel& kernel = kernel_for(out.dtype());
  const int64_t item = itemsize(out.dtype());
  for_each_tile(task, [&](int64_t image, int64_t begin, int64_t end) {
    kernel.sample(
        inputs[0].data<std::byte>() + image * task.in_image * item,
        inputs[1].data<std::byte>() + image * task.shape.pixels * task.shape.dimensions * item,
        out.data<std::byte>() + image * task.out_image * item, task.shape, begin, end);
  });
}
const KernelSlot<GridTask> sample_slot("grid_sample", sample_cpu);

// inputs: g, x, grid; the output's channels may be none, then the gradient is zero.
void grid_gradient_cpu(TensorSpan outputs, TensorSpan inputs, const GridTask& task) {
  const Tensor& out = outputs[0];
  if (out.elements() == 0) return;
  const GridKernel& kernel = kernel_for(out.dtype());
  const int64_t item = itemsize(out.dtype());
  const int64_t places = task.shape.pixels * task.shape.dimensions * item;
  for_each_tile(task, [&](int64_t image, int64_t begin, int64_t end) {
    kernel.grid_gradient(inputs[0].data<std::byte>() + image * task.out_image * item,
                         inputs[1].data<std::byte>() + image * task.in_image * item,
                         inputs[2].data<std::byte>() + image * places,
                         out.data<std::byte>() + image * places, task.shape, begin, end);
  });
}
const KernelSlot<GridTask> grid_gradient_slot("grid_sample_grid_gradient", grid_gradient_cpu);

// inputs: g, grid. Every tile owns some channels of one image.
void input_gradient_cpu(TensorSpan outputs, TensorSpan inputs, const GridTask& task) {
  const Tensor& out = outputs[0];
  if (out.elements() == 0) return;
  const GridKernel& kernel = kernel_for(out.dtype());
  const int64_t item = itemsize(out.dtype()), channels = task.shape.channels;
  const int64_t together = std::clamp<int64_t>(channels / 4, 1, 32);
  const int64_t parts = (channels - 1) / together + 1;
  parallel_tiles(task.images * parts, [&](int64_t tile) {
    const int64_t image = tile / parts, begin = tile % parts * together;
    const int64_t end = std::min(begin + together, channels);
    Scratch sums((end - begin) * task.shape.in_pixels() * static_cast<int64_t>(sizeof(double)));
    kernel.input_gradient(
        inputs[0].data<std::byte>() + image * task.out_image * item,
        inputs[1].data<std::byte>() + image * task.shape.pixels * task.shape.dimensions * item,
        out.data<std::byte>() + image * task.in_image * item, task.shape, begin, end,
        reinterpret_cast<double*>(sums.data()));
  });
}
const KernelSlot<GridTask> input_gradient_slot("grid_sample_input_gradient", input_gradient_cpu);

// --- grid_sample(x, grid, mode, padding_mode, align_corners) -------------------------------------

void check_arguments(const Call& call, const Tensor& x, const Tensor& grid, GridMode mode) {
  if (!is_floating(x.dtype()) || x.dtype() != grid.dtype())
    fail(ErrorKind::dtype, call.name(), ": x has dtype ", name(x.dtype()), " and grid ",
         name(grid.dtype()),
         ". Expected one real floating-point dtype. Fix: convert one of them, "
         "e.g. grid.to(x.dtype).");
  if (!(x.device() == grid.device()))
    fail(ErrorKind::device, call.name(), ": x is on '", to_text(x.device()), "' and grid on '",
         to_text(grid.device()), "'. Expected one device. Fix: move grid with grid.to(x.device).");
  const int rank = x.rank();
  bool fits = (rank == 4 || rank == 5) && grid.rank() == rank;
  if (!fits)
    fail(ErrorKind::shape, call.name(), ": x has shape ", x.shape(), " and grid ", grid.shape(),
         ". Expected [N, C, H, W] with [N, H_out, W_out, 2], or [N, C, D, H, W] with [N, D_out, "
         "H_out, W_out, 3]. Fix: add the missing axes.");
  if (grid.size(rank - 1) != rank - 2)
    fail(ErrorKind::shape, call.name(), ": grid has shape ", grid.shape(), " for x of shape ",
         x.shape(), ". Expected ", rank - 2, " numbers per place along the last axis. Fix: give (",
         rank == 4 ? "x, y" : "x, y, z", ") for each pixel of the output.");
  if (grid.size(0) != x.size(0))
    fail(ErrorKind::shape, call.name(), ": grid has ", grid.size(0), " images and x ", x.size(0),
         ". Expected as many. Fix: expand the grid, e.g. grid.expand(", x.size(0), ", ...).");
  if (mode == GridMode::bicubic && rank == 5)
    fail(ErrorKind::shape, call.name(), ": mode 'bicubic' was given x of shape ", x.shape(),
         ". Expected [N, C, H, W]. Fix: use mode='bilinear' for volumes.");
  int64_t pixels = 1;
  for (int i = 2; i < rank; ++i) pixels *= x.size(i);
  if (pixels < 1 || pixels >= int64_t{1} << 31)
    fail(ErrorKind::shape, call.name(), ": x of shape ", x.shape(), " has ", pixels,
         " pixels. Expected from 1 to 2^31 - 1. Fix: pass another image.");
}

// x, grid: the arguments or their shapes; the order is that of all images.
GridTask grid_task(const Tensor& x, const Tensor& grid, const Value& mode, const Value& padding,
                   const Value& align, ImageOrder order) {
  GridTask task{};
  GridShape& shape = task.shape;
  const int rank = x.rank();
  shape.dimensions = rank - 2;
  shape.channels = x.size(1);
  shape.in[0] = rank == 5 ? x.size(2) : 1;
  shape.in[1] = x.size(rank - 2);
  shape.in[2] = x.size(rank - 1);
  shape.pixels = 1;
  for (int i = 1; i + 1 < rank; ++i) shape.pixels *= grid.size(i);
  const bool last = order == ImageOrder::channels_last;
  shape.in_channel = last ? 1 : shape.in_pixels();
  shape.in_pixel = last ? shape.channels : 1;
  shape.out_channel = last ? 1 : shape.pixels;
  shape.out_pixel = last ? shape.channels : 1;
  shape.mode = static_cast<GridMode>(choose("grid_sample", "mode", mode.text(), kModes));
  shape.padding =
      static_cast<GridPadding>(choose("grid_sample", "padding_mode", padding.text(), kPaddings));
  shape.align_corners = !align.is_none() && align.boolean();
  task.images = x.size(0);
  task.in_image = shape.channels * shape.in_pixels();
  task.out_image = shape.channels * shape.pixels;
  return task;
}

void grid_sample_forward(Call& call) {
  const Tensor &x = call.tensor(0), &grid = call.tensor(1);
  const auto mode = static_cast<GridMode>(choose(call.name(), "mode", call[2].text(), kModes));
  check_arguments(call, x, grid, mode);
  const ImageOrder order = image_order(x);
  const GridTask task = grid_task(x, grid, call[2], call[3], call[4], order);
  Dims shape{x.size(0), x.size(1)};
  for (int i = 1; i + 1 < grid.rank(); ++i) shape.push_back(grid.size(i));
  const Tensor out = empty_image(shape, x.dtype(), x.device(), order);
  sample_slot(out, {in_order(x, order), contiguous(grid)}, task);
  call.output(out);
}

void grid_sample_backward(BackwardCall& call) {
  const Tensor &x = call.tensor(0), &grid = call.tensor(1);
  const ImageOrder order = image_order(x);
  const GridTask task = grid_task(x, grid, call[2], call[3], call[4], order);
  const Tensor g = in_order(call.gradient(), order), places = contiguous(grid);
  if (call.needs(0)) {
    const Tensor out = empty_image(x.shape(), x.dtype(), x.device(), order);
    input_gradient_slot(out, {g, places}, task);
    call.set(0, out);
  }
  if (call.needs(1)) {
    const Tensor out = empty(grid.shape(), grid.dtype(), grid.device());
    grid_gradient_slot(out, {g, in_order(x, order), places}, task);
    call.set(1, out);
  }
}

const Register grid_sample_registered({.name = "grid_sample",
                                       .forward = grid_sample_forward,
                                       .backward = grid_sample_backward,
                                       .saved_inputs = 0b11});

}  // namespace
}  // namespace samara
