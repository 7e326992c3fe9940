// The loops of fold.
#include "ops/fold.h"

#include "ops/lanes.h"

namespace samara::SAMARA_ISA {
namespace {

using namespace lanes;

// Adds one row of blocks' elements, `stride` apart in the image.
template <class T, class W>
SAMARA_FUNCTION void add_row(const T* from, W* __restrict sums, int64_t stride, int64_t n) {
  if (stride == 1) {
    for (int64_t i = 0; i < n; ++i) sums[i] += static_cast<W>(load(from + i));
  } else if (stride == 2) {
    for (int64_t i = 0; i < n; ++i) sums[2 * i] += static_cast<W>(load(from + i));
  } else {
    for (int64_t i = 0; i < n; ++i) sums[stride * i] += static_cast<W>(load(from + i));
  }
}

template <class T, class W>
void fold_row(const T* blocks, T* out, const FoldShape& shape, int64_t y, W* __restrict sums) {
  const FoldAxis &h = shape.h, &w = shape.w;
  for (int64_t i = 0; i < w.size; ++i) sums[i] = 0;
  for (int64_t ki = 0; ki < h.kernel; ++ki) {
    const int64_t down = y + h.padding - ki * h.dilation;
    if (down < 0 || down % h.stride != 0 || down / h.stride >= h.blocks) continue;
    for (int64_t kj = 0; kj < w.kernel; ++kj) {
      const int64_t first = w.first_block(kj), end = w.end_block(kj);
      const T* row = blocks + ((ki * w.kernel + kj) * h.blocks + down / h.stride) * w.blocks;
      add_row(row + first, sums + w.place(first, kj), w.stride, end - first);
    }
  }
  for (int64_t i = 0; i < w.size; ++i) store(out + i, static_cast<Compute<T>>(sums[i]));
}

template <class T>
void fold_rows(const void* blocks, void* image, const FoldShape& shape, int64_t begin, int64_t end,
               void* sums) {
  using L = Compute<T>;
  const FoldAxis &h = shape.h, &w = shape.w;
  // How many blocks meet in one place; long sums are carried in double.
  const int64_t meet = ((h.kernel - 1) / h.stride + 1) * ((w.kernel - 1) / w.stride + 1);
  for (int64_t y = begin; y < end; ++y) {
    T* out = static_cast<T*>(image) + y * w.size;
    if (meet <= 16)
      fold_row(static_cast<const T*>(blocks), out, shape, y, static_cast<L*>(sums));
    else
      fold_row(static_cast<const T*>(blocks), out, shape, y, static_cast<double*>(sums));
  }
}

constexpr FoldKernels make_table() {
  FoldKernels table{};
  table.rows[static_cast<int>(DType::float16)] = fold_rows<Float16>;
  table.rows[static_cast<int>(DType::bfloat16)] = fold_rows<BFloat16>;
  table.rows[static_cast<int>(DType::float32)] = fold_rows<float>;
  table.rows[static_cast<int>(DType::float64)] = fold_rows<double>;
  return table;
}

}  // namespace

extern const FoldKernels fold_kernels;
constinit const FoldKernels fold_kernels = make_table();

}  // namespace samara::SAMARA_ISA
