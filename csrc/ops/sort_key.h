// The order of elements: NaN is larger than every number, -0 and +0 are equal.
#pragma once

#include <bit>
#include <complex>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "core/tensor.h"

namespace samara {

template <class Bits>
constexpr Bits float_key(Bits bits, Bits infinity) {
  constexpr Bits sign = Bits{1} << (sizeof(Bits) * 8 - 1);
  const Bits magnitude = bits & static_cast<Bits>(~sign);
  if (magnitude > infinity) return static_cast<Bits>(~Bits{0});
  if (magnitude == 0) return sign;
  return static_cast<Bits>(bits & sign ? ~bits : bits | sign);
}

template <class T>
constexpr auto sort_key(T value) {
  if constexpr (std::is_same_v<T, bool>) {
    return static_cast<uint8_t>(value);
  } else if constexpr (std::is_unsigned_v<T>) {
    return value;
  } else if constexpr (std::is_integral_v<T>) {
    using Bits = std::make_unsigned_t<T>;
    return static_cast<Bits>(static_cast<Bits>(value) ^ Bits{1} << (sizeof(T) * 8 - 1));
  } else if constexpr (std::is_same_v<T, float>) {
    return float_key<uint32_t>(std::bit_cast<uint32_t>(value), 0x7F800000u);
  } else if constexpr (std::is_same_v<T, double>) {
    return float_key<uint64_t>(std::bit_cast<uint64_t>(value), 0x7FF0000000000000u);
  } else if constexpr (std::is_same_v<T, Float16>) {
    return float_key<uint16_t>(value.bits, 0x7C00u);
  } else {
    return float_key<uint16_t>(value.bits, 0x7F80u);
  }
}

// Calls visitor(TypeTag<T>{}) for the dtypes that have an order.
template <class Visitor>
void visit_ordered(DType dtype, Visitor&& visitor) {
  visit_dtype(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!std::is_same_v<T, std::complex<float>> &&
                  !std::is_same_v<T, std::complex<double>>)
      visitor(tag);
  });
}

inline void require_order(std::string_view place, const Tensor& x) {
  if (!is_complex(x.dtype())) return;
  fail(ErrorKind::dtype, place, ": dtype ", name(x.dtype()),
       " has no order. Expected a real dtype. Fix: sort by x.abs() or by the real part.");
}

}  // namespace samara
