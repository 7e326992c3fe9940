// What the elementary functions are made of: bits of floating-point numbers, rounding, polynomials.
#pragma once

#if defined(__CUDACC_RTC__) || defined(__CUDACC__)
#define SAMARA_FUNCTION __device__ __forceinline__ static
#else
// Static and always inlined: no copy is emitted that the linker could share between instruction
// sets.
#define SAMARA_FUNCTION [[gnu::always_inline, maybe_unused]] static inline
#endif

namespace samara::math {

SAMARA_FUNCTION unsigned bits_of(float x) { return __builtin_bit_cast(unsigned, x); }
SAMARA_FUNCTION unsigned long long bits_of(double x) {
  return __builtin_bit_cast(unsigned long long, x);
}
SAMARA_FUNCTION float float_of(unsigned bits) { return __builtin_bit_cast(float, bits); }
SAMARA_FUNCTION double double_of(unsigned long long bits) {
  return __builtin_bit_cast(double, bits);
}

// `condition ? a : b` by bits. Compilers turn ternaries whose conditions are related into branches
// and copies of what follows them; this they leave as it is.
SAMARA_FUNCTION unsigned select(bool condition, unsigned a, unsigned b) {
  const unsigned mask = 0u - static_cast<unsigned>(condition);
  return (a & mask) | (b & ~mask);
}
SAMARA_FUNCTION float select(bool condition, float a, float b) {
  return float_of(select(condition, bits_of(a), bits_of(b)));
}

inline constexpr float infinity_f = __builtin_huge_valf();
inline constexpr double infinity_d = __builtin_huge_val();
inline constexpr float nan_f = __builtin_nanf("");
inline constexpr double nan_d = __builtin_nan("");

SAMARA_FUNCTION float abs(float x) { return __builtin_fabsf(x); }
SAMARA_FUNCTION double abs(double x) { return __builtin_fabs(x); }
SAMARA_FUNCTION float copysign(float x, float y) { return __builtin_copysignf(x, y); }
SAMARA_FUNCTION double copysign(double x, double y) { return __builtin_copysign(x, y); }
SAMARA_FUNCTION float sqrt(float x) { return __builtin_sqrtf(x); }
SAMARA_FUNCTION double sqrt(double x) { return __builtin_sqrt(x); }
SAMARA_FUNCTION float rsqrt(float x) { return 1.0f / __builtin_sqrtf(x); }
SAMARA_FUNCTION double rsqrt(double x) { return 1.0 / __builtin_sqrt(x); }
SAMARA_FUNCTION float floor(float x) { return __builtin_floorf(x); }
SAMARA_FUNCTION double floor(double x) { return __builtin_floor(x); }
SAMARA_FUNCTION float ceil(float x) { return __builtin_ceilf(x); }
SAMARA_FUNCTION double ceil(double x) { return __builtin_ceil(x); }
SAMARA_FUNCTION float trunc(float x) { return __builtin_truncf(x); }
SAMARA_FUNCTION double trunc(double x) { return __builtin_trunc(x); }
// Half to even.
SAMARA_FUNCTION float round(float x) { return __builtin_rintf(x); }
SAMARA_FUNCTION double round(double x) { return __builtin_rint(x); }
// The remainder with the sign of x, and the one nearest to zero.
SAMARA_FUNCTION float fmod(float x, float y) { return __builtin_fmodf(x, y); }
SAMARA_FUNCTION double fmod(double x, double y) { return __builtin_fmod(x, y); }
// a b + c, rounded once where the instruction set can do so.
#if defined(__FMA__) || defined(__CUDACC_RTC__) || defined(__CUDACC__)
constexpr bool has_fused = true;
#else
constexpr bool has_fused = false;
#endif
SAMARA_FUNCTION float fused(float a, float b, float c) {
  if constexpr (has_fused)
    return __builtin_fmaf(a, b, c);
  else
    return a * b + c;
}

// The same where the quotient is below 2^22, in a form that can be vectorised: the quotient's error
// is one at most, and the product is exact.
SAMARA_FUNCTION bool has_moderate_quotient(float x, float y) {
  return (__builtin_fabsf(x) < __builtin_fabsf(y) * 0x1p22f) & (__builtin_fabsf(y) < 0x1p127f);
}
SAMARA_FUNCTION float fmod_moderate(float x, float y) {
  if constexpr (has_fused) {
    // Rounding carries the quotient up to a whole number at most, so that the rest is exact.
    const float rest = fused(-__builtin_truncf(x / y), y, x);
    const float a = __builtin_copysignf(rest, x);
    const bool beyond = rest != a;
    return beyond ? __builtin_copysignf(__builtin_fabsf(y) - __builtin_fabsf(rest), x) : a;
  }
  const double a = x, b = y;
  const double rest = a - __builtin_trunc(a / b) * b;
  const double other = rest + (a < 0 ? -__builtin_fabs(b) : __builtin_fabs(b));
  const bool beyond = (rest < 0) != (a < 0) && rest != 0;
  return __builtin_copysignf(static_cast<float>(beyond ? other : rest), x);
}
SAMARA_FUNCTION float remainder(float x, float y) { return __builtin_remainderf(x, y); }
SAMARA_FUNCTION double remainder(double x, double y) { return __builtin_remainder(x, y); }

// c0 + x (c1 + x (c2 + ...))
template <class T>
SAMARA_FUNCTION T polynomial(T, T last) {
  return last;
}
template <class T, class... Rest>
SAMARA_FUNCTION T polynomial(T x, T first, T second, Rest... rest) {
  return first + x * polynomial(x, second, rest...);
}

// The same in two chains of half the length, even and odd powers apart: long functions wait for
// their chains rather than for the units.
template <class T>
SAMARA_FUNCTION T every_other(T, T first) {
  return first;
}
template <class T>
SAMARA_FUNCTION T every_other(T, T first, T) {
  return first;
}
template <class T, class... Rest>
SAMARA_FUNCTION T every_other(T square, T first, T, T third, Rest... rest) {
  return first + square * every_other(square, third, rest...);
}
template <class T, class... Rest>
SAMARA_FUNCTION T short_polynomial(T x, T first, Rest... rest) {
  const T square = x * x;
  return every_other(square, first, rest...) + x * every_other(square, rest...);
}

// Adding and subtracting this constant rounds to the nearest integer (half to even), which then
// also stands in the low bits of the sum.
inline constexpr float rounding_f = 12582912.0f;          // 1.5 * 2^23
inline constexpr double rounding_d = 6755399441055744.0;  // 1.5 * 2^52

}  // namespace samara::math
