#include "core/dtype.h"

#include <algorithm>

namespace samara {
namespace {

DType promote_integers(DType a, DType b) {
  if (kind(a) == kind(b)) return itemsize(a) >= itemsize(b) ? a : b;
  const DType is_unsigned = kind(a) == DTypeKind::unsigned_integer ? a : b;
  const DType is_signed = kind(a) == DTypeKind::unsigned_integer ? b : a;
  if (itemsize(is_signed) > itemsize(is_unsigned)) return is_signed;
  switch (itemsize(is_unsigned)) {
    case 1:
      return DType::int16;
    case 2:
      return DType::int32;
    case 4:
      return DType::int64;
    default:
      return DType::float64;
  }
}

DType promote_reals(DType a, DType b) {
  if (a == b) return a;
  if (is_half(a) && is_half(b)) return DType::float32;
  return itemsize(a) >= itemsize(b) ? a : b;
}

}  // namespace

DType promote(DType a, DType b) {
  if (a == b) return a;
  if (kind(a) > kind(b)) std::swap(a, b);
  if (kind(a) == DTypeKind::boolean) return b;
  if (is_integer(b)) return promote_integers(a, b);
  if (is_integer(a)) return b;
  if (is_floating(b)) return promote_reals(a, b);
  const DType real = promote_reals(real_dtype(a), real_dtype(b));
  return complex_dtype(real);
}

}  // namespace samara
