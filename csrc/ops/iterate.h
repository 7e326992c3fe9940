// Walks several strided operands of one broadcast shape, handing long runs to an inner loop.
#pragma once

#include <array>
#include <cstdint>

#include "core/tensor.h"
#include "cpu/threads.h"

namespace samara {

inline constexpr int kMaxOperands = 6;
// Elements per tile; fixed, so that the cuts depend on the shape alone.
inline constexpr int64_t kPointwiseGrain = 16384;

struct StridedOperands {
  int operands = 0;
  int rank = 0;
  // Only the first `operands` and `rank` entries are set.
  std::array<char*, kMaxOperands> pointers;
  std::array<int64_t, kMaxRank> sizes;
  // In bytes, axis by axis; axis 0 is the outermost.
  std::array<std::array<int64_t, kMaxOperands>, kMaxRank> strides;

  explicit StridedOperands(const Dims& shape) : rank(shape.size()) {
    for (int axis = 0; axis < rank; ++axis) sizes[axis] = shape[axis];
  }
  void add(void* pointer, const Dims& element_strides, const Dims& shape, int64_t item) {
    pointers[operands] = static_cast<char*>(pointer);
    const int shift = rank - shape.size();
    for (int axis = 0; axis < rank; ++axis) {
      const bool present = axis >= shift && shape[axis - shift] != 1;
      strides[axis][operands] = present ? element_strides[axis - shift] * item : 0;
    }
    ++operands;
  }
  void add(const Tensor& x) { add(x.address(), x.strides(), x.shape(), itemsize(x.dtype())); }
  // A single element seen at every position.
  void add_constant(const void* pointer) {
    pointers[operands] = static_cast<char*>(const_cast<void*>(pointer));
    for (int axis = 0; axis < rank; ++axis) strides[axis][operands] = 0;
    ++operands;
  }

  // Drops axes of size 1, puts the axis along which operand 0 is densest last, and merges axes that
  // are one run of memory for every operand.
  void simplify() {
    int kept = 0;
    for (int axis = 0; axis < rank; ++axis) {
      if (sizes[axis] == 1) continue;
      sizes[kept] = sizes[axis];
      strides[kept++] = strides[axis];
    }
    rank = kept;
    sort_axes();
    if (rank == 0) return;
    int target = 0;
    for (int axis = 1; axis < rank; ++axis) {
      if (mergeable(target, axis)) {
        sizes[target] *= sizes[axis];
        strides[target] = strides[axis];
      } else {
        ++target;
        sizes[target] = sizes[axis];
        strides[target] = strides[axis];
      }
    }
    rank = target + 1;
  }

 private:
  static int64_t magnitude(int64_t stride) { return stride < 0 ? -stride : stride; }
  // Operand 0 decides; where it is equal (both zero) the next operand does.
  bool before(int a, int b) const {
    for (int k = 0; k < operands; ++k) {
      const int64_t left = magnitude(strides[a][k]), right = magnitude(strides[b][k]);
      if (left != right && left != 0 && right != 0) return left > right;
    }
    return false;
  }
  void sort_axes() {
    for (int i = 1; i < rank; ++i)
      for (int j = i; j > 0 && before(j, j - 1); --j) {
        std::swap(sizes[j], sizes[j - 1]);
        std::swap(strides[j], strides[j - 1]);
      }
  }
  bool mergeable(int outer, int inner) const {
    for (int k = 0; k < operands; ++k)
      if (strides[outer][k] != strides[inner][k] * sizes[inner]) return false;
    return true;
  }
};

// Calls body(pointers, strides, n) on runs that cover the shape; in parallel when it is large.
template <class Body>
void for_each_run(const StridedOperands& walk, Body&& body) {
  const int rank = walk.rank;
  if (rank == 0) {
    static constexpr std::array<int64_t, kMaxOperands> none{};
    body(walk.pointers.data(), none.data(), int64_t{1});
    return;
  }
  const auto& inner_strides = walk.strides[rank - 1];
  const int64_t inner = walk.sizes[rank - 1];
  if (rank == 1) {
    parallel_ranges(inner, kPointwiseGrain, [&](int64_t begin, int64_t end) {
      std::array<char*, kMaxOperands> pointers;
      for (int k = 0; k < walk.operands; ++k)
        pointers[k] = walk.pointers[k] + begin * inner_strides[k];
      body(pointers.data(), inner_strides.data(), end - begin);
    });
    return;
  }
  int64_t rows = 1;
  for (int axis = 0; axis + 1 < rank; ++axis) rows *= walk.sizes[axis];
  if (rows == 0 || inner == 0) return;
  const int64_t rows_per_tile = std::max<int64_t>(1, kPointwiseGrain / inner);
  parallel_ranges(rows, rows_per_tile, [&](int64_t begin, int64_t end) {
    std::array<int64_t, kMaxRank> index;
    std::array<char*, kMaxOperands> pointers = walk.pointers;
    int64_t rest = begin;
    for (int axis = rank - 2; axis >= 0; --axis) {
      index[axis] = rest % walk.sizes[axis];
      rest /= walk.sizes[axis];
      for (int k = 0; k < walk.operands; ++k) pointers[k] += index[axis] * walk.strides[axis][k];
    }
    for (int64_t row = begin; row < end; ++row) {
      body(pointers.data(), inner_strides.data(), inner);
      for (int axis = rank - 2; axis >= 0; --axis) {
        const auto& step = walk.strides[axis];
        if (++index[axis] < walk.sizes[axis]) {
          for (int k = 0; k < walk.operands; ++k) pointers[k] += step[k];
          break;
        }
        for (int k = 0; k < walk.operands; ++k) pointers[k] -= step[k] * (walk.sizes[axis] - 1);
        index[axis] = 0;
      }
    }
  });
}

}  // namespace samara
