// What the linear algebra files share: stacks of matrices, their way to LAPACK, and its verdicts.
//
// A contiguous [m, n] matrix read column by column is its own transpose [n, m]; kernels use that
// where the mathematics allows it, and transpose into a workspace elsewhere. Stacks are worked on
// in parallel, one matrix by one thread.
#pragma once

#include <algorithm>
#include <complex>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "core/kernel.h"
#include "core/operation.h"
#include "cpu/lapack.h"
#include "cpu/threads.h"
#include "ops/basic.h"

namespace samara::linalg {

using lapack::Real;

struct Scratch : lapack::Scratch {
  lapack::Workspace matrix, other;
};

// A stack of `count` matrices [rows, columns].
struct Stack {
  int64_t count = 1;
  int rows = 0;
  int columns = 0;
  int64_t size() const { return int64_t{rows} * columns; }
  int small() const { return std::min(rows, columns); }
  int large() const { return std::max(rows, columns); }
};

// The stack that a tensor [*B, m, n] is. Fails for other ranks, sizes LAPACK cannot count, and
// dtypes other than float32, float64, complex64, complex128.
Stack stack_of(const Call& call, const Tensor& x, std::string_view argument);
Stack square_stack_of(const Call& call, const Tensor& x, std::string_view argument);
inline Stack stack_of(const Tensor& x) {
  const int rank = x.rank();
  Stack stack{1, static_cast<int>(x.size(rank - 2)), static_cast<int>(x.size(rank - 1))};
  for (int i = 0; i + 2 < rank; ++i) stack.count *= x.size(i);
  return stack;
}

// x's shape without its last `dropped` axes and with others put there.
Dims batch_shape(const Tensor& x, int dropped, std::initializer_list<int64_t> added = {});

// Calls visitor(TypeTag<T>{}) for the four element types of LAPACK.
template <class Visitor>
void visit_lapack(DType dtype, Visitor&& visitor) {
  switch (dtype) {
    case DType::float32:
      return visitor(TypeTag<float>{});
    case DType::float64:
      return visitor(TypeTag<double>{});
    case DType::complex64:
      return visitor(TypeTag<std::complex<float>>{});
    default:
      return visitor(TypeTag<std::complex<double>>{});
  }
}

// to [columns, rows] = from [rows, columns] transposed, both row-major.
template <class T>
void transpose(const T* from, int rows, int columns, T* to) {
  constexpr int kBlock = 16;
  for (int i = 0; i < rows; i += kBlock)
    for (int j = 0; j < columns; j += kBlock) {
      const int last_row = std::min(i + kBlock, rows), last = std::min(j + kBlock, columns);
      for (int r = i; r < last_row; ++r)
        for (int c = j; c < last; ++c) to[int64_t{c} * rows + r] = from[int64_t{r} * columns + c];
    }
}

// Calls body(i, scratch) for each matrix of a stack; `work`: operations for one of them, about.
template <class Body>
void for_each_matrix(int64_t count, double work, Body body) {
  if (count == 0) return;
  lapack::open();  // here, since a worker must not wait for Python
  const auto grain = static_cast<int64_t>(std::max(1.0, 3e4 / std::max(work, 1.0)));
  parallel_ranges(count, grain, [&](int64_t begin, int64_t end) {
    Scratch scratch;
    for (int64_t i = begin; i < end; ++i) body(i, scratch);
  });
}

inline double cube(int n) { return static_cast<double>(n) * n * n; }

// " [2, 0] of the stack" for matrix `index` of a stack of that shape, nothing for a single matrix.
std::string place_in_stack(const Dims& batch, int64_t index);

// Fails for the first matrix of the stack with info > 0. verdict(info) says what is wrong with it.
template <class Verdict>
void check_info(std::string_view place, const Dims& batch, const int32_t* info, Verdict verdict) {
  const int64_t count = element_count(batch);
  for (int64_t i = 0; i < count; ++i) {
    if (info[i] == 0) continue;
    if (info[i] < 0)
      fail(ErrorKind::linear_algebra, place, ": LAPACK refused its argument ", -info[i],
           " for matrix", place_in_stack(batch, i),
           ". Expected finite numbers. Fix: look for NaN and infinity in the input.");
    fail(ErrorKind::linear_algebra, place, ": matrix", place_in_stack(batch, i), " ",
         verdict(info[i]));
  }
}

// Fails for the first matrix that has a NaN or an infinity, which iterations do not survive.
void require_finite(std::string_view place, const Tensor& x);

}  // namespace samara::linalg
