// How a reduction walks over strided memory, and how its work is cut into tiles.
#include <algorithm>
#include <cstring>

#include "core/allocator.h"
#include "core/autograd.h"
#include "cpu/isa.h"
#include "cpu/threads.h"
#include "ops/basic.h"
#include "ops/reduce.h"

namespace samara {
namespace {

// Below this many elements the pool costs more than it gives.
constexpr int64_t kSerial = 1 << 16;
// Elements of one tile.
constexpr int64_t kTile = 1 << 15;
constexpr int64_t kColumnTile = 512;

void append_merged(AxisGroup* groups, int& count, AxisGroup next) {
  if (count > 0 && groups[count - 1].stride == next.stride * next.size) {
    groups[count - 1].size *= next.size;
    groups[count - 1].stride = next.stride;
    return;
  }
  groups[count++] = next;
}

int64_t elements_of(const AxisGroup* groups, int count) {
  int64_t elements = 1;
  for (int i = 0; i < count; ++i) elements *= groups[i].size;
  return elements;
}

const ReduceKernel& kernel_for(ReduceOp op, DType dtype) {
  return reduce_kernels().reduce[static_cast<int>(op)][static_cast<int>(dtype)];
}

// The element offset of the i-th index over `groups`, row-major.
int64_t offset_of(const AxisGroup* groups, int count, int64_t i) {
  int64_t offset = 0;
  for (int g = count - 1; g >= 0 && i > 0; --g) {
    offset += i % groups[g].size * groups[g].stride;
    i /= groups[g].size;
  }
  return offset;
}

// One step: a single reduced group, any kept groups.
struct Step {
  ReduceOp op;
  DType dtype;
  const std::byte* x;
  AxisGroup reduced;
  const AxisGroup* outer;  // kept groups but the last
  int outer_count;
  AxisGroup inner;  // the last kept group
  Finish finish;
  std::byte* out;

  int64_t outer_elements() const { return elements_of(outer, outer_count); }
  const std::byte* at(int64_t offset) const { return x + offset * itemsize(dtype); }
  bool by_columns() const {
    return inner.stride == 1 && inner.size > 1 && (reduced.stride != 1 || inner.size >= 8);
  }
};

void run_step(const Step& step);

// Combines `count` accumulators per output, `out_stride` apart from each other.
void combine_partials(const Step& step, const ReduceKernel& kernel, const std::byte* partials,
                      AxisGroup reduced, const AxisGroup* outer, int outer_count, AxisGroup inner) {
  run_step({kernel.next, kernel.accumulator, partials, reduced, outer, outer_count, inner,
            step.finish, step.out});
}

Finish to_accumulator(Finish finish) {
  finish.last = false;
  return finish;
}

void run_rows(const Step& step) {
  const ReduceKernel& kernel = kernel_for(step.op, step.dtype);
  const int64_t outer = step.outer_elements();
  const int64_t rows = step.inner.size;
  const int64_t n = step.reduced.size;
  const int64_t total = outer * rows * n;
  const int64_t out_size = itemsize(step.finish.last ? step.finish.output : kernel.accumulator);
  if (n >= kSerial) {
    // Long runs: cut each into chunks, then combine the chunks' accumulators.
    const int64_t chunks = (n - 1) / kTile + 1;
    const int64_t size = itemsize(kernel.accumulator);
    Scratch scratch(outer * rows * chunks * size);
    std::byte* partials = scratch.data();
    const Finish finish = to_accumulator(step.finish);
    parallel_tiles(outer * rows * chunks, [&](int64_t tile) {
      const int64_t row = tile / chunks, begin = tile % chunks * kTile;
      const int64_t offset = offset_of(step.outer, step.outer_count, row / rows) +
                             row % rows * step.inner.stride + begin * step.reduced.stride;
      const RowsView view{1, 0, std::min(kTile, n - begin), step.reduced.stride};
      kernel.rows(step.at(offset), view, finish, partials + tile * size);
    });
    combine_partials(step, kernel, partials, {chunks, 1}, nullptr, 0, {outer * rows, chunks});
    return;
  }
  const auto some_rows = [&](int64_t o, int64_t begin, int64_t end) {
    const int64_t offset = offset_of(step.outer, step.outer_count, o) + begin * step.inner.stride;
    const RowsView view{end - begin, step.inner.stride, n, step.reduced.stride};
    kernel.rows(step.at(offset), view, step.finish, step.out + (o * rows + begin) * out_size);
  };
  if (total <= kSerial) {
    for (int64_t o = 0; o < outer; ++o) some_rows(o, 0, rows);
    return;
  }
  const int64_t grain = std::max<int64_t>(1, kTile / std::max<int64_t>(n, 1));
  if (rows > grain) {
    const int64_t parts = (rows - 1) / grain + 1;
    parallel_tiles(outer * parts, [&](int64_t tile) {
      const int64_t begin = tile % parts * grain;
      some_rows(tile / parts, begin, std::min(rows, begin + grain));
    });
    return;
  }
  parallel_ranges(outer, std::max<int64_t>(1, grain / rows), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) some_rows(o, 0, rows);
  });
}

void run_columns(const Step& step) {
  const ReduceKernel& kernel = kernel_for(step.op, step.dtype);
  const int64_t outer = step.outer_elements();
  const int64_t columns = step.inner.size;
  const int64_t n = step.reduced.size;
  const int64_t total = outer * columns * n;
  const int64_t out_size = itemsize(step.finish.last ? step.finish.output : kernel.accumulator);
  const auto some_columns = [&](int64_t o, int64_t begin, int64_t end) {
    const int64_t offset = offset_of(step.outer, step.outer_count, o) + begin;
    kernel.columns(step.at(offset), {end - begin, n, step.reduced.stride}, step.finish,
                   step.out + (o * columns + begin) * out_size);
  };
  if (total <= kSerial) {
    for (int64_t o = 0; o < outer; ++o) some_columns(o, 0, columns);
    return;
  }
  const int64_t parts = (columns - 1) / kColumnTile + 1;
  const int64_t height = std::max<int64_t>(256, kTile / std::min(columns, kColumnTile));
  if (outer * parts >= 16 || n <= height) {
    const int64_t grain = std::max<int64_t>(1, kTile / (n * std::min(columns, kColumnTile)));
    parallel_ranges(outer * parts, grain, [&](int64_t first, int64_t last) {
      for (int64_t tile = first; tile < last; ++tile) {
        const int64_t begin = tile % parts * kColumnTile;
        some_columns(tile / parts, begin, std::min(columns, begin + kColumnTile));
      }
    });
    return;
  }
  // Tall and narrow: cut the rows as well.
  const int64_t chunks = (n - 1) / height + 1;
  const int64_t size = itemsize(kernel.accumulator);
  Scratch scratch(outer * chunks * columns * size);
  std::byte* partials = scratch.data();
  const Finish finish = to_accumulator(step.finish);
  parallel_tiles(outer * chunks, [&](int64_t tile) {
    const int64_t begin = tile % chunks * height;
    const int64_t offset =
        offset_of(step.outer, step.outer_count, tile / chunks) + begin * step.reduced.stride;
    kernel.columns(step.at(offset), {columns, std::min(height, n - begin), step.reduced.stride},
                   finish, partials + tile * columns * size);
  });
  const AxisGroup over{outer, chunks * columns};
  combine_partials(step, kernel, partials, {chunks, columns}, &over, 1, {columns, 1});
}

void run_step(const Step& step) {
  if (step.by_columns())
    run_columns(step);
  else
    run_rows(step);
}

}  // namespace

const ReduceKernels& reduce_kernels() {
  static const ReduceKernels& kernels =
      select_isa(baseline::reduce_kernels, v3::reduce_kernels, v4::reduce_kernels);
  return kernels;
}

int64_t ReduceLayout::kept_elements() const { return elements_of(kept, kept_count); }
int64_t ReduceLayout::reduced_elements() const { return elements_of(reduced, reduced_count); }

ReduceLayout reduce_layout(const Dims& shape, const Dims& strides, uint32_t axes) {
  ReduceLayout layout;
  AxisGroup reduced[kMaxRank];
  int count = 0;
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] == 1) continue;
    const AxisGroup group{shape[i], strides[i]};
    if (axes >> i & 1u)
      reduced[count++] = group;
    else
      append_merged(layout.kept, layout.kept_count, group);
  }
  // The order of the reduced axes is free: memory order.
  std::stable_sort(reduced, reduced + count, [](const AxisGroup& a, const AxisGroup& b) {
    return std::abs(a.stride) > std::abs(b.stride);
  });
  for (int i = 0; i < count; ++i) append_merged(layout.reduced, layout.reduced_count, reduced[i]);
  return layout;
}

void reduce_into(ReduceOp op, DType dtype, const void* x, const ReduceLayout& layout,
                 const Finish& finish, void* out) {
  const int64_t outputs = layout.kept_elements();
  if (outputs == 0) return;
  const std::byte* source = static_cast<const std::byte*>(x);
  const AxisGroup single{1, 1};
  if (layout.reduced_count <= 1 || layout.reduced_elements() == 0) {
    AxisGroup reduced = layout.reduced_count ? layout.reduced[0] : single;
    if (layout.reduced_count > 1) reduced = {0, 1};
    const int outer = std::max(layout.kept_count - 1, 0);
    run_step({op, dtype, source, reduced, layout.kept, outer,
              layout.kept_count ? layout.kept[outer] : single, finish,
              static_cast<std::byte*>(out)});
    return;
  }
  // Several reduced groups: first the innermost one, keeping the others, then those together.
  AxisGroup outer[2 * kMaxRank];
  int count = 0;
  for (int i = 0; i < layout.kept_count; ++i) outer[count++] = layout.kept[i];
  for (int i = 0; i + 1 < layout.reduced_count; ++i) outer[count++] = layout.reduced[i];
  const int64_t others = elements_of(layout.reduced, layout.reduced_count - 1);
  const ReduceKernel& kernel = kernel_for(op, dtype);
  Scratch scratch(outputs * others * itemsize(kernel.accumulator));
  run_step({op, dtype, source, layout.reduced[layout.reduced_count - 1], outer, count - 1,
            outer[count - 1], to_accumulator(finish), scratch.data()});
  run_step({kernel.next,
            kernel.accumulator,
            scratch.data(),
            {others, 1},
            nullptr,
            0,
            {outputs, others},
            finish,
            static_cast<std::byte*>(out)});
}

int64_t row_grain(int64_t rows, int64_t n) {
  const int64_t row = std::max<int64_t>(n, 1);
  return std::max<int64_t>(1, rows * row <= kTile ? rows : kTile / 4 / row);
}

Scratch::Scratch(int64_t bytes) {
  if (bytes <= static_cast<int64_t>(sizeof(small_))) return;
  bytes_ = static_cast<size_t>(bytes);
  data_ = static_cast<std::byte*>(host_allocate(bytes_));
}
Scratch::~Scratch() {
  if (data_ != small_) host_release(data_, bytes_);
}

namespace {

uint32_t axes_from(const Value& value, int rank, std::string_view place) {
  if (value.is_none()) return kAllAxes;
  const auto normal = [&](int64_t axis) { return normalize_axis(axis, rank, place, true); };
  if (value.is_number()) return 1u << normal(value.integer());
  const Dims& axes = value.integers();
  if (rank > 0) normalize_axes(axes, rank, place);  // reports repeated ones
  uint32_t mask = 0;
  for (int64_t axis : axes) mask |= 1u << normal(axis);
  return mask;
}

}  // namespace

uint32_t axes_argument(const Call& call, int i, int rank) {
  if (i >= static_cast<int>(call.values.size())) return kAllAxes;
  return axes_from(call[i], rank, call.name());
}
uint32_t axes_argument(const BackwardCall& call, int i, int rank) {
  if (i >= call.node.values.size()) return kAllAxes;
  return axes_from(call[i], rank, call.node.operation->name);
}

Dims reduced_shape(const Dims& shape, uint32_t axes, bool keepdims) {
  Dims result;
  for (int i = 0; i < shape.size(); ++i) {
    if (!(axes >> i & 1u))
      result.push_back(shape[i]);
    else if (keepdims)
      result.push_back(1);
  }
  return result;
}

int64_t reduced_count(const Dims& shape, uint32_t axes) {
  int64_t count = 1;
  for (int i = 0; i < shape.size(); ++i)
    if (axes >> i & 1u) count *= shape[i];
  return count;
}

Tensor spread(const Tensor& reduced, const Dims& shape, uint32_t axes) {
  Dims strides = Dims::filled(shape.size(), 0);
  // Without keepdims the reduced axes are absent.
  const bool kept = reduced.rank() == shape.size();
  int source = 0;
  for (int i = 0; i < shape.size(); ++i) {
    const bool is_reduced = axes >> i & 1u;
    if (!is_reduced) strides[i] = reduced.stride(source);
    if (!is_reduced || kept) ++source;
  }
  return alias(reduced, shape, strides, reduced.offset());
}

Tensor rows_of(const Tensor& x, uint32_t axes) {
  Dims order;
  for (int i = 0; i < x.rank(); ++i)
    if (!(axes >> i & 1u)) order.push_back(i);
  const int kept = order.size();
  int64_t outputs = 1;
  for (int i = 0; i < kept; ++i) outputs *= x.size(static_cast<int>(order[i]));
  for (int i = 0; i < x.rank(); ++i)
    if (axes >> i & 1u) order.push_back(i);
  const Tensor rows = contiguous(permute_view(x, order));
  const Dims shape{outputs, reduced_count(x.shape(), axes)};
  return alias(rows, shape, contiguous_strides(shape), rows.offset());
}

}  // namespace samara
