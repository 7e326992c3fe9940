// Element types, their properties and the Array API promotion table.
#pragma once

#include <array>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/error.h"
#include "core/half.h"

namespace samara {

enum class DType : uint8_t {
  boolean,
  uint8,
  uint16,
  uint32,
  uint64,
  int8,
  int16,
  int32,
  int64,
  float16,
  bfloat16,
  float32,
  float64,
  complex64,
  complex128,
};
inline constexpr int kDTypeCount = 15;

enum class DTypeKind : uint8_t { boolean, unsigned_integer, signed_integer, real, complex };

struct DTypeInfo {
  std::string_view name;
  uint8_t itemsize;
  DTypeKind kind;
};

inline constexpr std::array<DTypeInfo, kDTypeCount> kDTypeInfo = {{
    {"bool", 1, DTypeKind::boolean},
    {"uint8", 1, DTypeKind::unsigned_integer},
    {"uint16", 2, DTypeKind::unsigned_integer},
    {"uint32", 4, DTypeKind::unsigned_integer},
    {"uint64", 8, DTypeKind::unsigned_integer},
    {"int8", 1, DTypeKind::signed_integer},
    {"int16", 2, DTypeKind::signed_integer},
    {"int32", 4, DTypeKind::signed_integer},
    {"int64", 8, DTypeKind::signed_integer},
    {"float16", 2, DTypeKind::real},
    {"bfloat16", 2, DTypeKind::real},
    {"float32", 4, DTypeKind::real},
    {"float64", 8, DTypeKind::real},
    {"complex64", 8, DTypeKind::complex},
    {"complex128", 16, DTypeKind::complex},
}};

constexpr const DTypeInfo& info(DType dtype) { return kDTypeInfo[static_cast<size_t>(dtype)]; }
constexpr std::string_view name(DType dtype) { return info(dtype).name; }
constexpr int64_t itemsize(DType dtype) { return info(dtype).itemsize; }
constexpr DTypeKind kind(DType dtype) { return info(dtype).kind; }
constexpr bool is_floating(DType dtype) { return kind(dtype) == DTypeKind::real; }
constexpr bool is_complex(DType dtype) { return kind(dtype) == DTypeKind::complex; }
constexpr bool is_integer(DType dtype) {
  return kind(dtype) == DTypeKind::unsigned_integer || kind(dtype) == DTypeKind::signed_integer;
}
constexpr bool is_inexact(DType dtype) { return is_floating(dtype) || is_complex(dtype); }
constexpr bool is_half(DType dtype) { return dtype == DType::float16 || dtype == DType::bfloat16; }

// The real type of a complex one, the type itself otherwise.
constexpr DType real_dtype(DType dtype) {
  return dtype == DType::complex64    ? DType::float32
         : dtype == DType::complex128 ? DType::float64
                                      : dtype;
}
constexpr DType complex_dtype(DType dtype) {
  return dtype == DType::float64 || dtype == DType::complex128 ? DType::complex128
                                                               : DType::complex64;
}

template <class T>
struct DTypeOf;
template <DType value>
struct DTypeTag {
  static constexpr DType dtype = value;
};
template <>
struct DTypeOf<bool> : DTypeTag<DType::boolean> {};
template <>
struct DTypeOf<uint8_t> : DTypeTag<DType::uint8> {};
template <>
struct DTypeOf<uint16_t> : DTypeTag<DType::uint16> {};
template <>
struct DTypeOf<uint32_t> : DTypeTag<DType::uint32> {};
template <>
struct DTypeOf<uint64_t> : DTypeTag<DType::uint64> {};
template <>
struct DTypeOf<int8_t> : DTypeTag<DType::int8> {};
template <>
struct DTypeOf<int16_t> : DTypeTag<DType::int16> {};
template <>
struct DTypeOf<int32_t> : DTypeTag<DType::int32> {};
template <>
struct DTypeOf<int64_t> : DTypeTag<DType::int64> {};
template <>
struct DTypeOf<Float16> : DTypeTag<DType::float16> {};
template <>
struct DTypeOf<BFloat16> : DTypeTag<DType::bfloat16> {};
template <>
struct DTypeOf<float> : DTypeTag<DType::float32> {};
template <>
struct DTypeOf<double> : DTypeTag<DType::float64> {};
template <>
struct DTypeOf<std::complex<float>> : DTypeTag<DType::complex64> {};
template <>
struct DTypeOf<std::complex<double>> : DTypeTag<DType::complex128> {};

template <class T>
struct TypeTag {
  using type = T;
};

// Calls visitor(TypeTag<T>{}) with the C++ element type of dtype.
template <class Visitor>
decltype(auto) visit_dtype(DType dtype, Visitor&& visitor) {
  switch (dtype) {
    case DType::boolean:
      return visitor(TypeTag<bool>{});
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
    case DType::int64:
      return visitor(TypeTag<int64_t>{});
    case DType::float16:
      return visitor(TypeTag<Float16>{});
    case DType::bfloat16:
      return visitor(TypeTag<BFloat16>{});
    case DType::float32:
      return visitor(TypeTag<float>{});
    case DType::float64:
      return visitor(TypeTag<double>{});
    case DType::complex64:
      return visitor(TypeTag<std::complex<float>>{});
    case DType::complex128:
      break;
  }
  return visitor(TypeTag<std::complex<double>>{});
}

// The Array API standard's promotion within and across kinds. Mixed kinds the standard leaves
// undefined follow what users of the field expect: integer with float gives the float, uint64
// with a signed integer gives the default float (float32 lacks the range, so float64).
DType promote(DType a, DType b);

}  // namespace samara
