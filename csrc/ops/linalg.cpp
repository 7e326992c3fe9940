#include "ops/linalg.h"

#include <cmath>

namespace samara::linalg {

Stack stack_of(const Call& call, const Tensor& x, std::string_view argument) {
  if (x.rank() < 2)
    fail(ErrorKind::shape, call.name(), ": ", argument, " has shape ", x.shape(),
         ". Expected a matrix or a stack of matrices (..., m, n). Fix: reshape it.");
  switch (x.dtype()) {
    case DType::float32:
    case DType::float64:
    case DType::complex64:
    case DType::complex128:
      break;
    default:
      fail(ErrorKind::dtype, call.name(), ": ", argument, " has dtype ", name(x.dtype()),
           ". Expected float32, float64, complex64 or complex128. Fix: convert it first, e.g. ",
           argument, ".to(samara.float32).");
  }
  for (int axis = x.rank() - 2; axis < x.rank(); ++axis)
    if (x.size(axis) > std::numeric_limits<int>::max())
      fail(ErrorKind::shape, call.name(), ": ", argument, " has shape ", x.shape(),
           ". Expected fewer than 2^31 rows and columns. Fix: use smaller matrices.");
  return stack_of(x);
}

Stack square_stack_of(const Call& call, const Tensor& x, std::string_view argument) {
  const Stack stack = stack_of(call, x, argument);
  if (stack.rows != stack.columns)
    fail(ErrorKind::shape, call.name(), ": ", argument, " has shape ", x.shape(), ", matrices of ",
         stack.rows, " rows and ", stack.columns,
         " columns. Expected square matrices. Fix: choose a function for rectangular ones, such as "
         "lstsq, qr or svd.");
  return stack;
}

Dims batch_shape(const Tensor& x, int dropped, std::initializer_list<int64_t> added) {
  Dims shape = x.shape();
  for (int i = 0; i < dropped; ++i) shape.pop_back();
  for (const int64_t size : added) shape.push_back(size);
  return shape;
}

std::string place_in_stack(const Dims& batch, int64_t index) {
  if (batch.empty()) return "";
  std::string text;
  for (int axis = batch.size() - 1; axis >= 0; --axis) {
    text = std::to_string(index % batch[axis]) + (text.empty() ? "" : ", ") + text;
    index /= batch[axis];
  }
  return " [" + text + "] of the stack";
}

namespace {

template <class T>
bool all_finite(const T* x, int64_t n) {
  // NaN and infinity times 0 are NaN, everything else is 0.
  T sum(0);
  for (int64_t i = 0; i < n; ++i) sum += x[i] * T(0);
  return sum == T(0);
}

}  // namespace

void require_finite(std::string_view place, const Tensor& x) {
  const Stack stack = stack_of(x);
  visit_lapack(x.dtype(), [&](auto tag) {
    using R = Real<typename decltype(tag)::type>;
    const int64_t numbers = stack.size() * (is_complex(x.dtype()) ? 2 : 1);
    for (int64_t i = 0; i < stack.count && numbers; ++i)
      if (!all_finite(x.data<R>() + i * numbers, numbers))
        fail(ErrorKind::linear_algebra, place, ": matrix", place_in_stack(batch_shape(x, 2), i),
             " has NaN or infinite elements. Expected finite numbers. Fix: look at what computed "
             "them.");
  });
}

}  // namespace samara::linalg
