#include "core/shape.h"

#include <algorithm>

namespace samara {

std::string to_text(const Dims& dims) {
  std::string text = "(";
  for (int i = 0; i < dims.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(dims[i]);
  }
  if (dims.size() == 1) text += ",";
  return text + ")";
}

int64_t checked_element_count(const Dims& shape) {
  // A zero anywhere makes the tensor empty, however large the other sizes are.
  for (int64_t size : shape) {
    if (size < 0)
      fail(ErrorKind::shape, "shape: ", shape,
           " has a negative size. Expected sizes of 0 or more. Fix: pass the intended size.");
  }
  int64_t count = 1;
  for (int64_t size : shape)
    if (size == 0) return 0;
  for (int64_t size : shape) {
    if (__builtin_mul_overflow(count, size, &count) || count > (int64_t{1} << 58))
      fail(ErrorKind::memory, "shape: ", shape,
           " holds more elements than memory can. Expected fewer than 2^58. Fix: work in smaller "
           "parts.");
  }
  return count;
}

Dims contiguous_strides(const Dims& shape) {
  Dims strides = Dims::filled(shape.size(), 1);
  int64_t step = 1;
  for (int i = shape.size() - 1; i >= 0; --i) {
    strides[i] = step;
    // Only an empty tensor can get so far, and nobody follows its strides.
    if (__builtin_mul_overflow(step, std::max<int64_t>(shape[i], 1), &step)) step = 1;
  }
  return strides;
}

bool is_contiguous(const Dims& shape, const Dims& strides) {
  int64_t expected = 1;
  for (int i = shape.size() - 1; i >= 0; --i) {
    if (shape[i] == 0) return true;
    if (shape[i] == 1) continue;
    if (strides[i] != expected || __builtin_mul_overflow(expected, shape[i], &expected))
      return element_count(shape) == 0;
  }
  return true;
}

Dims broadcast_shapes(const Dims& a, const Dims& b, std::string_view place) {
  const Dims& longer = a.size() >= b.size() ? a : b;
  const Dims& shorter = a.size() >= b.size() ? b : a;
  Dims result = longer;
  const int shift = longer.size() - shorter.size();
  for (int i = 0; i < shorter.size(); ++i) {
    const int64_t size = shorter[i];
    int64_t& target = result[i + shift];
    if (size == target || size == 1) continue;
    if (target != 1)
      fail(ErrorKind::shape, place, ": shapes ", a, " and ", b,
           " do not broadcast. Expected equal sizes, or 1, in each axis counted from the last. "
           "Fix: reshape or transpose one of them.");
    target = size;
  }
  return result;
}

int normalize_axis(int64_t axis, int rank, std::string_view place, bool allow_scalar) {
  const int limit = rank == 0 && allow_scalar ? 1 : rank;
  if (axis < -limit || axis >= limit) {
    if (rank == 0)
      fail(ErrorKind::index, place, ": axis ", axis,
           " given for a 0-d tensor. Expected no axis. Fix: leave axis out or reshape.");
    fail(ErrorKind::index, place, ": axis ", axis, " is out of range for a tensor with ", rank,
         " axes. Expected -", rank, " to ", rank - 1, ". Fix: choose an axis in that range.");
  }
  return static_cast<int>(axis < 0 ? axis + limit : axis);
}

Dims normalize_axes(const Dims& axes, int rank, std::string_view place) {
  Dims result;
  uint32_t seen = 0;
  for (int64_t axis : axes) {
    const int normal = normalize_axis(axis, rank, place);
    if (seen >> normal & 1u)
      fail(ErrorKind::argument, place, ": axis ", axis, " appears twice in ", axes,
           ". Expected each axis at most once. Fix: remove the repeated axis.");
    seen |= 1u << normal;
    result.push_back(normal);
  }
  return result;
}

}  // namespace samara
