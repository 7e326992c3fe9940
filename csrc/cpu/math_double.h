// Elementary functions of double. Those that training and the float versions lean on are
// branch-free; the rest are the C library's.
#pragma once

#include "cpu/math_basic.h"

namespace samara::math {

inline constexpr double log2_e = 1.4426950408889634;
// ln 2 in two parts; the first has 21 trailing zero bits, so that small multiples of it are exact.
inline constexpr double ln2_high = 6.93147180369123816490e-01;
inline constexpr double ln2_low = 1.90821492927058770002e-10;

// x = n ln 2 + r with |r| <= ln 2 / 2. `tail` is e^r - 1, `biased` is n + 2048.
struct ExpParts {
  double tail;
  unsigned long long biased;
};
SAMARA_FUNCTION ExpParts exp_parts(double x) {
  const double shifted = x * log2_e + rounding_d;
  const double n = shifted - rounding_d;
  const double high = x - n * ln2_high;  // exact
  const double low = n * ln2_low;
  const double r = high - low;
  const double q = polynomial(r, 0.5, 0.1666666666666667, 0.04166666666666667, 0.008333333333325544,
                              0.0013888888888883327, 0.00019841269876864356, 2.4801587327007187e-05,
                              2.755725283351691e-06, 2.75572718102198e-07, 2.5106274733573296e-08,
                              2.0915442297780116e-09);
  return {high + (r * r * q - low), bits_of(shifted) - bits_of(rounding_d) + 2048};
}

// 2^(biased - 2048) within the range of normal numbers.
SAMARA_FUNCTION double power_of_two(unsigned long long biased) {
  return double_of((biased - 2048 + 1023) << 52);
}

// x 2^(biased - 2048) for any exponent: two factors, because the power alone may be out of range.
SAMARA_FUNCTION double scale_by_power(double x, unsigned long long biased) {
  const unsigned long long half = biased >> 1;
  return x * power_of_two(half + 1024) * power_of_two(biased - half + 1024);
}

SAMARA_FUNCTION double exp(double x) {
  const double low = x < -746.0 ? -746.0 : x;
  const ExpParts parts = exp_parts(low > 710.0 ? 710.0 : low);
  return scale_by_power(1.0 + parts.tail, parts.biased);
}

SAMARA_FUNCTION double expm1(double x) {
  const double low = x < -40.0 ? -40.0 : x;
  const ExpParts parts = exp_parts(low > 710.0 ? 710.0 : low);
  const double half = power_of_two(parts.biased - 1);  // 2^(n - 1), in range for n = 1024
  const double value = 2.0 * (half * parts.tail + (half - 0.5));
  return abs(x) < 0x1p-54 ? x : value;
}

// x = 2^k (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2).
struct LogParts {
  double f, k;
};
SAMARA_FUNCTION LogParts log_parts(double x) {
  constexpr unsigned long long root_half = 0x3fe6a09e667f3bcd;
  constexpr unsigned long long one = 0x3ff0000000000000;
  const bool subnormal = x < 0x1p-1022;
  const unsigned long long shifted = bits_of(subnormal ? x * 0x1p54 : x) + (one - root_half);
  const double f = double_of((shifted & 0x000fffffffffffff) + root_half) - 1.0;
  // An integer below 2^52 becomes a double by taking it for the low bits of 2^52.
  const double biased = double_of((shifted >> 52) | 0x4330000000000000) - 0x1p52;
  return {f, biased - (subnormal ? 1023.0 + 54.0 : 1023.0)};
}

// log(1 + f) = f - (f^2/2 - s (f^2/2 + R(s^2))) with s = f / (2 + f): Tang (1990), as in fdlibm.
SAMARA_FUNCTION double log_of_parts(LogParts parts) {
  const double f = parts.f;
  const double s = f / (2.0 + f);
  const double z = s * s;
  const double r = z * polynomial(z, 0.6666666666666666, 0.4000000000000094, 0.2857142857076445,
                                  0.2222222240054776, 0.181817947008978, 0.15386290534658992,
                                  0.13267418596474884, 0.1310072138350349);
  const double half_square = 0.5 * f * f;
  return parts.k * ln2_high - ((half_square - (s * (half_square + r) + parts.k * ln2_low)) - f);
}

SAMARA_FUNCTION double log(double x) {
  const double value = log_of_parts(log_parts(x));
  const double special = x == 0.0 ? -infinity_d : x < 0.0 ? nan_d : x;
  return x > 0.0 && x < infinity_d ? value : special;
}

// With e^-x = 2^n (1 + tail) and p = 2^-|n|, 1 + e^-x is 1 + (p + p tail) for n < 0, and 2^n times
// 1 + (p + tail) otherwise, which never overflows.
SAMARA_FUNCTION double sigmoid(double x) {
  const double low = x < -746.0 ? -746.0 : x;
  const ExpParts parts = exp_parts(low > 746.0 ? -746.0 : -low);
  const bool negative = parts.biased < 2048;
  const unsigned long long mirrored = negative ? parts.biased : 4096 - parts.biased;
  const double p = power_of_two(mirrored < 1848 ? 1848 : mirrored);
  const double sum = 1.0 + (p + (negative ? p * parts.tail : parts.tail));
  return scale_by_power(1.0 / sum, negative ? 2048 : mirrored);
}

SAMARA_FUNCTION double tanh(double x) {
  const double a = abs(x) > 20.0 ? 20.0 : abs(x);
  const double e = expm1(2.0 * a);
  return copysign(e / (e + 2.0), x);
}

SAMARA_FUNCTION double exp2(double x) { return __builtin_exp2(x); }
SAMARA_FUNCTION double log2(double x) { return __builtin_log2(x); }
SAMARA_FUNCTION double log10(double x) { return __builtin_log10(x); }
SAMARA_FUNCTION double log1p(double x) { return __builtin_log1p(x); }
SAMARA_FUNCTION double sin(double x) { return __builtin_sin(x); }
SAMARA_FUNCTION double cos(double x) { return __builtin_cos(x); }
SAMARA_FUNCTION double tan(double x) { return __builtin_tan(x); }
SAMARA_FUNCTION double asin(double x) { return __builtin_asin(x); }
SAMARA_FUNCTION double acos(double x) { return __builtin_acos(x); }
SAMARA_FUNCTION double atan(double x) { return __builtin_atan(x); }
SAMARA_FUNCTION double atan2(double y, double x) { return __builtin_atan2(y, x); }
SAMARA_FUNCTION double sinh(double x) { return __builtin_sinh(x); }
SAMARA_FUNCTION double cosh(double x) { return __builtin_cosh(x); }
SAMARA_FUNCTION double asinh(double x) { return __builtin_asinh(x); }
SAMARA_FUNCTION double acosh(double x) { return __builtin_acosh(x); }
SAMARA_FUNCTION double atanh(double x) { return __builtin_atanh(x); }
SAMARA_FUNCTION double erf(double x) { return __builtin_erf(x); }
SAMARA_FUNCTION double normal_distribution(double x) {
  return 0.5 * __builtin_erfc(-0.70710678118654752440 * x);
}
SAMARA_FUNCTION double erfc(double x) { return __builtin_erfc(x); }
SAMARA_FUNCTION double pow(double x, double y) { return __builtin_pow(x, y); }

}  // namespace samara::math
