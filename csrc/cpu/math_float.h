// Elementary functions of float: branch-free and without calls, so that a loop over an array
// vectorises.
//
// All work in float but erfc and the logarithm inside pow, which compute in double, where a short
// polynomial leaves nothing but the last rounding. math_trigonometry.h holds the functions of
// angles.
#pragma once

#include "cpu/math_double.h"

namespace samara::math {

inline constexpr float ln2_high_f = 0.693359375f;  // few bits: small multiples are exact
inline constexpr float ln2_low_f = -2.12194440e-4f;

// x = n ln 2 + r with |r| <= ln 2 / 2. `tail` is e^r - 1, `n` the integer as two's complement.
struct ExpPartsF {
  float tail;
  unsigned n;
};
SAMARA_FUNCTION ExpPartsF exp_parts(float x) {
  const float shifted = x * 1.44269504f + rounding_f;
  const float n = shifted - rounding_f;
  const float high = x - n * ln2_high_f;  // exact
  const float low = n * ln2_low_f;
  const float r = high - low;
  const float q =
      short_polynomial(r, 0.49999994f, 0.166665211f, 0.0416682735f, 0.00836868584f, 0.00138201378f);
  return {high + (r * r * q - low), bits_of(shifted) - bits_of(rounding_f)};
}

// 2^n within the range of normal numbers.
SAMARA_FUNCTION float power_of_two_f(unsigned n) { return float_of((n + 127u) << 23); }

// x * 2^n for any n that a float's exponent needs: two factors, because 2^n alone may be out of
// range.
SAMARA_FUNCTION float scale_by_power(float x, unsigned n) {
  const unsigned biased = n + 254u, half = biased >> 1;
  return x * float_of(half << 23) * float_of((biased - half) << 23);
}

// x between low < 0 and high > 0, as integers, of which vectors have a minimum. A NaN becomes one
// of the two.
SAMARA_FUNCTION float clamped(float x, float low, float high) {
  const int bits = static_cast<int>(bits_of(x)), top = static_cast<int>(bits_of(high));
  const unsigned capped = static_cast<unsigned>(bits < top ? bits : top);
  return float_of(capped < bits_of(low) ? capped : bits_of(low));
}
SAMARA_FUNCTION double clamped(double x, double low, double high) {
  const long long bits = static_cast<long long>(bits_of(x));
  const long long top = static_cast<long long>(bits_of(high));
  const unsigned long long capped = static_cast<unsigned long long>(bits < top ? bits : top);
  return double_of(capped < bits_of(low) ? capped : bits_of(low));
}
SAMARA_FUNCTION float or_nan(float x, float value) { return x == x ? value : x; }

SAMARA_FUNCTION float exp(float x) {
  const ExpPartsF parts = exp_parts(clamped(x, -104.0f, 89.0f));
  return or_nan(x, scale_by_power(1.0f + parts.tail, parts.n));
}

// e^x for |x| <= 87, where one factor is enough.
SAMARA_FUNCTION float exp_moderate(float x) {
  const ExpPartsF parts = exp_parts(x);
  return (1.0f + parts.tail) * power_of_two_f(parts.n);
}

// 2^r - 1 for |r| <= 1/2.
SAMARA_FUNCTION float exp2_tail(float r) {
  return r * short_polynomial(r, 0.693147182f, 0.240226477f, 0.0555035956f, 0.00961849932f,
                              0.00133909693f, 0.00015329264f);
}
SAMARA_FUNCTION float exp2(float x) {
  const float c = clamped(x, -151.0f, 129.0f);
  const float shifted = c + rounding_f;
  const float r = c - (shifted - rounding_f);
  return or_nan(x, scale_by_power(1.0f + exp2_tail(r), bits_of(shifted) - bits_of(rounding_f)));
}

SAMARA_FUNCTION float expm1(float x) {
  const ExpPartsF parts = exp_parts(clamped(x, -20.0f, 89.0f));
  const float half = power_of_two_f(parts.n - 1u);  // 2^(n - 1), in range for n = 128
  const float value = 2.0f * (half * parts.tail + (half - 0.5f));
  return abs(x) >= 0x1p-25f ? value : x;
}

// With e^-x = 2^n (1 + tail) it is 2^-n / (2^-n + 1 + tail), where the first sum is nearly always
// exact. At 87 it is 1 already.
SAMARA_FUNCTION float sigmoid(float x) {
  const ExpPartsF parts = exp_parts(-clamped(x, -104.0f, 87.0f));
  const float scale = scale_by_power(1.0f, 0u - parts.n);
  const float sum = 1.0f + scale;
  const float lost = scale - (sum - 1.0f);
  return or_nan(x, scale / (sum + (parts.tail + lost)));
}

SAMARA_FUNCTION float tanh(float x) {
  const float a = abs(x);
  const float z = a * a;
  const float small = a + a * z *
                              polynomial(z, -0.333333164f, 0.133325458f, -0.0538478494f,
                                         0.0210524723f, -0.00624599261f);
  const float e = exp_moderate(2.0f * clamped(a, -1.0f, 10.0f));
  const float large = 1.0f - 2.0f / (e + 1.0f);
  return copysign(a >= 0.6f ? large : small, x);
}

// sinh x and cosh x are e^x / 2 and e^-x / 2 put together. A quarter of e^|x| is in range wherever
// the result is.
SAMARA_FUNCTION float quarter_of_exp(float a) {
  const ExpPartsF parts = exp_parts(clamped(a, -1.0f, 90.0f));
  return (1.0f + parts.tail) * power_of_two_f(parts.n - 2u);
}
SAMARA_FUNCTION float sinh(float x) {
  const float a = abs(x);
  const float z = a * a;
  const float small =
      a + a * z * polynomial(z, 0.166666672f, 0.00833331048f, 0.000198428956f, 2.78221319e-06f);
  const float e = quarter_of_exp(a);
  const float large = 2.0f * (e - 0.0625f / e);
  return copysign(a >= 1.0f ? large : small, x);
}
SAMARA_FUNCTION float cosh(float x) {
  const float e = quarter_of_exp(abs(x));
  return or_nan(x, 2.0f * (e + 0.0625f / e));
}

// x = 2^k (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2).
struct LogPartsF {
  float f, k;
};
SAMARA_FUNCTION LogPartsF log_parts_normal(float x) {
  constexpr unsigned root_half = 0x3f3504f3;
  const unsigned shifted = bits_of(x) - root_half;
  const float f = float_of((shifted & 0x007fffffu) + root_half) - 1.0f;
  return {f, static_cast<float>(static_cast<int>(shifted) >> 23)};
}
// Subnormal numbers too: they are multiplied by 2^23 first.
SAMARA_FUNCTION LogPartsF log_parts(float x) {
  constexpr unsigned root_half = 0x3f3504f3;
  const unsigned factor = select(x < 0x1p-126f, 23u << 23, 0u);
  const unsigned shifted = bits_of(x * float_of(factor + bits_of(1.0f))) - root_half;
  const float f = float_of((shifted & 0x007fffffu) + root_half) - 1.0f;
  return {f, static_cast<float>(static_cast<int>(shifted - factor) >> 23)};
}

// log(1 + f) - f.
SAMARA_FUNCTION float log_tail(float f) {
  const float square = f * f;
  const float p = short_polynomial(f, 0.333333313f, -0.250008225f, 0.20001249f, -0.166233242f,
                                   0.142013744f, -0.131601796f, 0.12763682f, -0.0763664916f);
  return square * f * p - 0.5f * square;
}
// k ln 2 + log(1 + f).
SAMARA_FUNCTION float log_of_parts(LogPartsF parts) {
  return parts.k * ln2_high_f + (parts.f + (parts.k * ln2_low_f + log_tail(parts.f)));
}

// `value` for positive finite x, and what any logarithm is elsewhere.
SAMARA_FUNCTION float log_or_special(float x, float value) {
  const float low = select(x < 0.0f, nan_f, -infinity_f);
  const float rest = select(x < infinity_f, value, x);
  return select(x <= 0.0f, low, rest);
}
// log2(1 + f) is f plus f q(f), the smaller part.
SAMARA_FUNCTION float log2_of_parts(LogPartsF parts) {
  const float f = parts.f;
  const float q =
      polynomial(f, 0.442695051f, -0.721347511f, 0.480896562f, -0.360682935f, 0.288616568f,
                 -0.239940181f, 0.204178467f, -0.188370883f, 0.186824515f, -0.116102561f);
  return parts.k + (f + f * q);
}
// The first part of log10(2) has few bits: small multiples are exact.
SAMARA_FUNCTION float log10_of_parts(LogPartsF parts) {
  const float f = parts.f;
  const float q =
      polynomial(f, 0.434294492f, -0.217147246f, 0.144762084f, -0.108572647f, 0.0869810209f,
                 -0.0724125504f, 0.0600212961f, -0.0538483895f, 0.0629489496f, -0.0490842946f);
  return parts.k * 0.301025390625f + (parts.k * 4.60503898e-06f + f * q);
}

SAMARA_FUNCTION float log(float x) { return log_or_special(x, log_of_parts(log_parts(x))); }
SAMARA_FUNCTION float log2(float x) { return log_or_special(x, log2_of_parts(log_parts(x))); }
SAMARA_FUNCTION float log10(float x) { return log_or_special(x, log10_of_parts(log_parts(x))); }

// The same for positive normal numbers only, which is what nearly all arrays hold.
SAMARA_FUNCTION bool is_positive_normal(float x) { return bits_of(x) - 0x00800000u < 0x7f000000u; }
SAMARA_FUNCTION float log_moderate(float x) { return log_of_parts(log_parts_normal(x)); }
SAMARA_FUNCTION float log2_moderate(float x) { return log2_of_parts(log_parts_normal(x)); }
SAMARA_FUNCTION float log10_moderate(float x) { return log10_of_parts(log_parts_normal(x)); }

SAMARA_FUNCTION float log1p(float x) {
  const float u = 1.0f + x;
  const unsigned shifted = bits_of(u) - 0x3f3504f3u;
  const int k = static_cast<int>(shifted) >> 23;
  // f = 2^-k (1 + x) - 1 without what rounding 1 + x lost; for k = 0 it is x itself.
  const float scale = power_of_two_f(static_cast<unsigned>(2 - k));  // 4 * 2^-k is in range
  const float f = scale * (0.25f * x) + (0.25f * scale - 1.0f);
  const float value = log_of_parts(LogPartsF{f, static_cast<float>(k)});
  const float low = select(x < -1.0f, nan_f, -infinity_f);
  const float rest = select((abs(x) >= 0x1p-25f) & (x < infinity_f), value, x);
  return select(x <= -1.0f, low, rest);
}

// log(a + sqrt(a^2 + 1)), and log(2 a) where the squares of large numbers would overflow.
SAMARA_FUNCTION float asinh(float x) {
  const float a = abs(x);
  const float z = a * a;
  const float small = a + a * z *
                              polynomial(z, -0.166666135f, 0.0749835745f, -0.0444655642f,
                                         0.0294198189f, -0.0192906596f, 0.0109445518f,
                                         -0.00463599619f, 0.00123493373f, -0.000150937238f);
  const bool huge = a > 0x1p20f;
  LogPartsF parts = log_parts_normal(select(huge, a, a + sqrt(z + 1.0f)));
  parts.k += select(huge, 1.0f, 0.0f);
  const float large = log_of_parts(parts);
  const float value = select(a < 1.1875f, small, large);
  return copysign(select(a < infinity_f, value, a), x);
}
// With t = x - 1, sqrt(2 t) times a polynomial near 1; elsewhere log(x + sqrt(t (x + 1))).
SAMARA_FUNCTION float acosh(float x) {
  const float t = x - 1.0f;
  const bool near = t < 1.0f;
  const float root = sqrt(t * select(near, 2.0f, x + 1.0f));
  const float small = root + root * t *
                                 polynomial(t, -0.0833330899f, 0.0187450461f, -0.00554630766f,
                                            0.00178826554f, -0.000506848737f, 8.27975964e-05f);
  const bool huge = x > 0x1p20f;
  LogPartsF parts = log_parts_normal(select(huge, x, x + root));
  parts.k += select(huge, 1.0f, 0.0f);
  const float value = select(near, small, log_of_parts(parts));
  return select(x < infinity_f, value, x);
}
SAMARA_FUNCTION float atanh(float x) {
  const float a = abs(x);
  const float z = a * a;
  const float small = a + a * z *
                              polynomial(z, 0.333333015f, 0.20002453f, 0.142237857f, 0.118163861f,
                                         0.0516043603f, 0.176378503f);
  const float q = (1.0f + a) / (1.0f - a);
  const float large = 0.5f * log_of_parts(log_parts_normal(q));
  const float far = select(a < 1.0f, large, select(a == 1.0f, infinity_f, nan_f));
  return copysign(select(a < 0.5f, small, far), x);
}

SAMARA_FUNCTION float erf(float x) {
  const float a = abs(x);
  const float small =
      x + x * polynomial(x * x, 0.12837917f, -0.37612626f, 0.11283594f, -0.026854211f,
                         0.0051890872f, -0.00080168643f, 7.875875e-05f);
  const float t = a > 4.0f ? 4.0f : a;
  const float exponent =
      t + t * polynomial(t, 0.12875585f, 0.634756f, 0.10680221f, -0.02413886f, 0.0037325546f,
                         -0.00029760474f, -8.450705e-06f, 4.008122e-06f, -2.5368354e-07f);
  const float large = copysign(1.0f - exp_moderate(-exponent), x);
  return a < 1.0f ? small : large;
}

// The distribution function of the standard normal distribution, to about 3e-7 absolute: all that a
// product with x needs. 1/2 + x P(x^2) / Q(x^2), fitted on [-5.5, 5.5].
SAMARA_FUNCTION float normal_distribution(float x) {
  const float t = x > 5.5f ? 5.5f : x;
  const float u = t * t;
  const float p = short_polynomial(u, 0.398942232f, 0.0338512249f, 0.00467714062f, 0.000168806611f,
                                   6.35157585e-06f, 2.27479973e-08f);
  const float q = polynomial(u, 1.0f, 0.251518369f, 0.0286449715f, 0.00188433938f, 7.3639203e-05f,
                             1.19742333e-06f);
  const float value = 0.5f + t * (p / q);
  const float positive = value < 0.0f ? 0.0f : value;
  return x < -5.5f ? 0.0f : positive;
}

// ---- partly in double ----

// erfc(x) = e^(-x^2) g(u) / (1 + 2x) for x >= 0, with g a polynomial in u = (x - 2) / (x + 2).
SAMARA_FUNCTION float erfc(float x) {
  const double a = abs(static_cast<double>(x)) > 11.0 ? 11.0 : abs(static_cast<double>(x));
  const double g = polynomial(
      (a - 2.0) / (a + 2.0), 1.2769783816332898, -0.09276382568828287, -0.16603040892885038,
      0.16405123483815703, -0.05421975076242475, -0.008033314001124862, 0.008720692294601942,
      0.0012663983660592267, -0.0014503265209471728, -0.0004366233039405461, 0.00019884016793328627,
      0.0001189608359776039, -5.877832372935734e-06, -1.1281075245113587e-05);
  const double tail = exp(-a * a) * g / (1.0 + 2.0 * a);
  return static_cast<float>(x < 0.0f ? 2.0 - tail : tail);
}

// 2^(y (k + log2(1 + f))). The logarithm's error grows with y: it is computed in double to 33 bits,
// but for the terms that are small enough for float.
SAMARA_FUNCTION float power_of_parts(LogPartsF parts, float y) {
  const double f = parts.f;
  const float small =
      short_polynomial(parts.f, 0.288540632f, -0.240504175f, 0.206096813f, -0.179047287f,
                       0.158993274f, -0.156972602f, 0.154897213f, -0.0864106566f);
  const double square = f * f, low = 1.4426950409393935 + f * -0.7213475252131009;
  const double high = 0.48089832071604277 + f * -0.3606728005610519;
  const double ratio = low + square * (high + square * static_cast<double>(small));
  const double t = clamped(y * (parts.k + f * ratio), -160.0, 160.0);
  const double shifted = t + rounding_d;
  const float tail = exp2_tail(static_cast<float>(t - (shifted - rounding_d)));
  return scale_by_power(1.0f + tail, static_cast<unsigned>(bits_of(shifted)));
}
// The cases of ISO C, Annex F.
SAMARA_FUNCTION float pow(float x, float y) {
  const float a = abs(x);
  const LogPartsF parts = log_parts(a);
  // At 0 and infinity the exponent stands for the whole logarithm.
  const float top = select(a < infinity_f, parts.k, infinity_f);
  const float k = select(a == 0.0f, -infinity_f, top);
  const float scaled = power_of_parts(LogPartsF{parts.f, k}, y);
  const float number = select((x != x) | (y != y), nan_f, scaled);
  const float magnitude = select((a == 1.0f) | (y == 0.0f), 1.0f, number);
  const float half = 0.5f * y;
  const bool whole = floor(y) == y, odd = whole & (floor(half) != half);
  const float value = float_of(bits_of(magnitude) | select(odd, bits_of(x) & 0x80000000u, 0u));
  const bool undefined = (x < 0.0f) & (x > -infinity_f) & !whole;
  return select(undefined, nan_f, value);
}
// The same for positive normal x and exponents that are numbers.
SAMARA_FUNCTION bool is_moderate_power(float x, float y) {
  return is_positive_normal(x) & (abs(y) < infinity_f);
}
SAMARA_FUNCTION float pow_moderate(float x, float y) {
  return power_of_parts(log_parts_normal(x), y);
}

}  // namespace samara::math
