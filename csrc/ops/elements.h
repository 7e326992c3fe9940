// Elements as kernels see them: the type in which values are summed, and plain bytes to be moved.
#pragma once

#include <complex>
#include <cstdint>
#include <type_traits>

#include "core/dtype.h"
#include "core/half.h"

namespace samara {

// Integers wrap around (unsigned arithmetic, so that this is defined), floating point sums in
// double.
template <class T>
struct Accumulator {
  using type = std::make_unsigned_t<T>;
  static type widen(T value) { return static_cast<type>(value); }
  static T narrow(type sum) { return static_cast<T>(sum); }
  static type add(type a, type b) { return static_cast<type>(a + b); }
};
// True + True is True.
template <>
struct Accumulator<bool> {
  using type = bool;
  static bool widen(bool value) { return value; }
  static bool narrow(bool sum) { return sum; }
  static bool add(bool a, bool b) { return a || b; }
};
template <class T, class Wide>
struct FloatAccumulator {
  using type = Wide;
  static type widen(T value) { return static_cast<type>(value); }
  static T narrow(type sum) { return static_cast<T>(sum); }
  static type add(type a, type b) { return a + b; }
};
template <>
struct Accumulator<float> : FloatAccumulator<float, double> {};
template <>
struct Accumulator<double> : FloatAccumulator<double, double> {};
template <>
struct Accumulator<std::complex<float>>
    : FloatAccumulator<std::complex<float>, std::complex<double>> {};
template <>
struct Accumulator<std::complex<double>>
    : FloatAccumulator<std::complex<double>, std::complex<double>> {};
template <>
struct Accumulator<Float16> : FloatAccumulator<double, double> {
  static double widen(Float16 value) { return float16_value(value.bits); }
  static Float16 narrow(double sum) { return {float16_bits(static_cast<float>(sum))}; }
};
template <>
struct Accumulator<BFloat16> : FloatAccumulator<double, double> {
  static double widen(BFloat16 value) { return bfloat16_value(value.bits); }
  static BFloat16 narrow(double sum) { return {bfloat16_bits(static_cast<float>(sum))}; }
};

struct alignas(8) Bytes16 {
  uint64_t parts[2];
};

// Calls visitor(TypeTag<U>{}) with a plain type of that many bytes, for kernels that only move
// elements.
template <class Visitor>
decltype(auto) visit_size(int64_t bytes, Visitor&& visitor) {
  switch (bytes) {
    case 1:
      return visitor(TypeTag<uint8_t>{});
    case 2:
      return visitor(TypeTag<uint16_t>{});
    case 4:
      return visitor(TypeTag<uint32_t>{});
    case 8:
      return visitor(TypeTag<uint64_t>{});
    default:
      return visitor(TypeTag<Bytes16>{});
  }
}

// Calls visitor(TypeTag<I>{}) with the C++ type of an integer dtype.
template <class Visitor>
decltype(auto) visit_integer(DType dtype, Visitor&& visitor) {
  switch (dtype) {
    case DType::uint8:
      return visitor(TypeTag<uint8_t>{});
    case DType::uint16:
      return visitor(TypeTag<uint16_t>{});
    case DType::uint32:
      return visitor(TypeTag<uint32_t>{});
    case DType::uint64:
      return visitor(TypeTag<uint64_t>{});
    case DType::int8:
      return visitor(TypeTag<int8_t>{});
    case DType::int16:
      return visitor(TypeTag<int16_t>{});
    case DType::int32:
      return visitor(TypeTag<int32_t>{});
    default:
      return visitor(TypeTag<int64_t>{});
  }
}

}  // namespace samara
