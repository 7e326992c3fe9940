// Elementary functions of float: branch-free and without calls, so that a loop over an array
// vectorises.
//
// exp, log, tanh, erf, sigmoid and their kin work in float. The others compute in double, where a
// short polynomial leaves nothing but the last rounding, and round once.
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
      polynomial(r, 0.5f, 0.16666667f, 0.041666456f, 0.0083333105f, 0.0013934541f, 0.0001989198f);
  return {high + (r * r * q - low), bits_of(shifted) - bits_of(rounding_f)};
}

// 2^n within the range of normal numbers.
SAMARA_FUNCTION float power_of_two_f(unsigned n) { return float_of((n + 127u) << 23); }

// x * 2^n for any n that a float's exponent needs: two factors, because 2^n alone may be out of
// range.
SAMARA_FUNCTION float scale_by_power(float x, unsigned n) {
  const unsigned half = static_cast<unsigned>(static_cast<int>(n) >> 1);
  return x * power_of_two_f(half) * power_of_two_f(n - half);
}

SAMARA_FUNCTION float exp(float x) {
  const float low = x < -104.0f ? -104.0f : x;
  const ExpPartsF parts = exp_parts(low > 89.0f ? 89.0f : low);
  return scale_by_power(1.0f + parts.tail, parts.n);
}

// e^x for |x| <= 87, where one factor is enough.
SAMARA_FUNCTION float exp_moderate(float x) {
  const ExpPartsF parts = exp_parts(x);
  return (1.0f + parts.tail) * power_of_two_f(parts.n);
}

SAMARA_FUNCTION float exp2(float x) {
  const float low = x < -151.0f ? -151.0f : x;
  const float c = low > 129.0f ? 129.0f : low;
  const float shifted = c + rounding_f;
  const float r = c - (shifted - rounding_f);
  const float q = polynomial(r, 0.6931472f, 0.2402265f, 0.05550411f, 0.009618057f, 0.0013333502f,
                             0.00015461445f, 1.5297324e-05f);
  return scale_by_power(1.0f + r * q, bits_of(shifted) - bits_of(rounding_f));
}

SAMARA_FUNCTION float expm1(float x) {
  const float low = x < -20.0f ? -20.0f : x;
  const ExpPartsF parts = exp_parts(low > 89.0f ? 89.0f : low);
  const float half = power_of_two_f(parts.n - 1u);  // 2^(n - 1), in range for n = 128
  const float value = 2.0f * (half * parts.tail + (half - 0.5f));
  return abs(x) < 0x1p-25f ? x : value;
}

// With e^-x = 2^n (1 + tail) and p = 2^-|n|, 1 + e^-x is 1 + (p + p tail) for n < 0, and 2^n times
// 1 + (p + tail) otherwise, which never overflows.
SAMARA_FUNCTION float sigmoid(float x) {
  const float low = x < -104.0f ? -104.0f : x;
  const ExpPartsF parts = exp_parts(low > 104.0f ? -104.0f : -low);
  const int n = static_cast<int>(parts.n);
  const int distance = n < 0 ? -n : n;
  const float p = power_of_two_f(static_cast<unsigned>(distance > 100 ? -100 : -distance));
  const float sum = 1.0f + (p + (n < 0 ? p * parts.tail : parts.tail));
  return scale_by_power(1.0f / sum, static_cast<unsigned>(n < 0 ? 0 : -n));
}

SAMARA_FUNCTION float tanh(float x) {
  const float a = abs(x);
  const float z = a * a;
  const float small = a + a * z *
                              polynomial(z, -0.33333334f, 0.13333313f, -0.053961553f, 0.021788321f,
                                         -0.008410071f, 0.0023707657f);
  const float e = exp_moderate(2.0f * (a > 10.0f ? 10.0f : a));
  const float large = 1.0f - 2.0f / (e + 1.0f);
  return copysign(a < 0.6f ? small : large, x);
}

// x = 2^k (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2).
struct LogPartsF {
  float f, k;
};
SAMARA_FUNCTION LogPartsF log_parts(float x) {
  constexpr unsigned root_half = 0x3f3504f3;
  const bool subnormal = x < 0x1p-126f;
  const unsigned shifted = bits_of(subnormal ? x * 0x1p23f : x) - root_half;
  const float f = float_of((shifted & 0x007fffffu) + root_half) - 1.0f;
  const float k = static_cast<float>(static_cast<int>(shifted) >> 23);
  return {f, subnormal ? k - 23.0f : k};
}

// k ln 2 + log(1 + f) + correction.
SAMARA_FUNCTION float log_of_parts(LogPartsF parts, float correction) {
  const float f = parts.f;
  const float square = f * f;
  const float p = polynomial(f, 0.3333333f, -0.24999997f, 0.20000716f, -0.16667803f, 0.14249058f,
                             -0.12425687f, 0.1168542f, -0.11479734f, 0.06971612f);
  const float low = (parts.k * ln2_low_f + correction) + (square * f * p - 0.5f * square);
  return parts.k * ln2_high_f + (f + low);
}

SAMARA_FUNCTION float log(float x) {
  const float value = log_of_parts(log_parts(x), 0.0f);
  const float special = x == 0.0f ? -infinity_f : x < 0.0f ? nan_f : x;
  return x > 0.0f && x < infinity_f ? value : special;
}

SAMARA_FUNCTION float log1p(float x) {
  const float u = 1.0f + x;
  LogPartsF parts = log_parts(u);
  // What rounding 1 + x lost, relative to u; without a shift of the exponent f is x itself.
  const float lost = x > 1.0f ? 1.0f - (u - x) : x - (u - 1.0f);
  const float correction = parts.k == 0.0f ? 0.0f : lost / u;
  parts.f = parts.k == 0.0f ? x : parts.f;
  const float value = log_of_parts(parts, correction);
  const float special = x == -1.0f ? -infinity_f : x < -1.0f ? nan_f : x;
  return x > -1.0f && x < infinity_f && abs(x) >= 0x1p-25f ? value : special;
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
  const float p = polynomial(u, 0.398942232f, 0.0338512249f, 0.00467714062f, 0.000168806611f,
                             6.35157585e-06f, 2.27479973e-08f);
  const float q = polynomial(u, 1.0f, 0.251518369f, 0.0286449715f, 0.00188433938f, 7.3639203e-05f,
                             1.19742333e-06f);
  const float value = 0.5f + t * (p / q);
  const float positive = value < 0.0f ? 0.0f : value;
  return x < -5.5f ? 0.0f : positive;
}

// ---- computed in double ----

SAMARA_FUNCTION float log2(float x) {
  return static_cast<float>(log(static_cast<double>(x)) * log2_e);
}
SAMARA_FUNCTION float log10(float x) {
  return static_cast<float>(log(static_cast<double>(x)) * 0.43429448190325182765);
}

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

// x = (n + t) pi/2 with |t| <= 1/2; `r` is t pi/2 and `quadrant` is n modulo 4 in its two low bits.
struct Angle {
  double r;
  unsigned long long quadrant;
};

// 2/pi comes in pieces of 28 bits, so that the product of each with a float is exact, and so is its
// remainder modulo 4. Their sum keeps its relative precision however close x is to a multiple of
// pi/2: partial sums are either exact or already small. 196 bits serve the largest float.
SAMARA_FUNCTION double turns(double x, double piece) {
  const double product = x * piece;
  return product - 4.0 * round(0.25 * product);
}
SAMARA_FUNCTION Angle reduce_angle(float angle) {
  const double x = angle;
  double sum = turns(x, 0x1.45f306cp-1);
  sum += turns(x, 0x1.c9c882ap-29);
  sum += turns(x, 0x1.4fe13a8p-59);
  sum += turns(x, 0x1.f47d4d0p-86);
  sum += turns(x, 0x1.bb81b6cp-113);
  sum += turns(x, 0x1.4acc9e0p-143);
  sum += turns(x, 0x1.0e4107cp-170);
  const double shifted = sum + rounding_d;
  const double n = shifted - rounding_d;
  return {(sum - n) * 1.5707963267948966, bits_of(shifted)};
}
SAMARA_FUNCTION double sin_near_zero(double r) {
  const double z = r * r;
  return r + r * z *
                 polynomial(z, -0.16666666666663596, 0.008333333330893767, -0.0001984126673842927,
                            2.7555937440341766e-06, -2.4800730765533305e-08);
}
SAMARA_FUNCTION double cos_near_zero(double r) {
  const double z = r * r;
  return 1.0 + z * polynomial(z, -0.49999999999999967, 0.04166666666662721, -0.0013888888881571728,
                              2.4801582337712193e-05, -2.755579657211728e-07,
                              2.0661300568345726e-09);
}

SAMARA_FUNCTION float sin(float x) {
  const Angle angle = reduce_angle(x);
  const double value = angle.quadrant & 1 ? cos_near_zero(angle.r) : sin_near_zero(angle.r);
  const double result = angle.quadrant & 2 ? -value : value;
  return x == 0.0f ? x : static_cast<float>(result);
}
SAMARA_FUNCTION float cos(float x) {
  const Angle angle = reduce_angle(x);
  const double value = angle.quadrant & 1 ? sin_near_zero(angle.r) : cos_near_zero(angle.r);
  return static_cast<float>((angle.quadrant + 1) & 2 ? -value : value);
}
SAMARA_FUNCTION float tan(float x) {
  const Angle angle = reduce_angle(x);
  const double s = sin_near_zero(angle.r);
  const double c = cos_near_zero(angle.r);
  const bool odd = angle.quadrant & 1;
  const double result = (odd ? -c : s) / (odd ? s : c);
  return x == 0.0f ? x : static_cast<float>(result);
}

// atan(b) for 0 <= b <= 1.
SAMARA_FUNCTION double atan_unit(double b) {
  const bool high = b > 0.41421356237309503;  // tan(pi/8)
  const double t = high ? (b - 1.0) / (b + 1.0) : b;
  const double z = t * t;
  const double value =
      t + t * z *
              polynomial(z, -0.3333333333326104, 0.19999999946533606, -0.14285707766153286,
                         0.11110806484609662, -0.09083861834382964, 0.07602581057320945,
                         -0.0601720112993491, 0.032776950888668055);
  return high ? value + 0.78539816339744828 : value;
}
SAMARA_FUNCTION float atan(float x) {
  const double a = abs(static_cast<double>(x));
  const double value = atan_unit(a > 1.0 ? 1.0 / a : a);
  return static_cast<float>(
      copysign(a > 1.0 ? 1.5707963267948966 - value : value, static_cast<double>(x)));
}
SAMARA_FUNCTION float atan2(float y, float x) {
  const double a = abs(static_cast<double>(x)), b = abs(static_cast<double>(y));
  const double high = a > b ? a : b, low = a > b ? b : a;
  // 0/0 counts as 0 and inf/inf as 1, which gives the standard's values at zeros and infinities.
  const double ratio = high == 0.0 ? 0.0 : low == infinity_d ? 1.0 : low / high;
  const double first = atan_unit(ratio);
  const double second = b > a ? 1.5707963267948966 - first : first;
  const double third =
      copysign(1.0, static_cast<double>(x)) < 0.0 ? 3.1415926535897931 - second : second;
  const double value = copysign(third, static_cast<double>(y));
  return static_cast<float>(a == a && b == b ? value : a + b);
}

// asin(a) for 0 <= a <= 1/2.
SAMARA_FUNCTION double asin_half(double a) {
  const double z = a * a;
  return a + a * z *
                 polynomial(z, 0.16666666666738633, 0.07499999953429712, 0.044642906474584965,
                            0.030379945210024933, 0.022412417726695433, 0.016902683886393575,
                            0.01686409027396012, 0.001067506315036312, 0.02834674523183333);
}
SAMARA_FUNCTION float asin(float x) {
  const double a = abs(static_cast<double>(x));
  const bool high = a > 0.5;
  const double value = asin_half(high ? sqrt(0.5 - 0.5 * a) : a);
  return static_cast<float>(
      copysign(high ? 1.5707963267948966 - 2.0 * value : value, static_cast<double>(x)));
}
SAMARA_FUNCTION float acos(float x) {
  const double a = abs(static_cast<double>(x));
  const bool high = a > 0.5;
  const double value = asin_half(high ? sqrt(0.5 - 0.5 * a) : a);
  const double near_one = x < 0.0f ? 3.1415926535897931 - 2.0 * value : 2.0 * value;
  const double near_zero = 1.5707963267948966 - (x < 0.0f ? -value : value);
  return static_cast<float>(high ? near_one : near_zero);
}

// Below the given bounds the first terms of the series replace a difference that would cancel.
SAMARA_FUNCTION float sinh(float x) {
  const double y = x;
  const double e = exp(y);
  const double series = y + y * y * y * (1.0 / 6.0);
  return static_cast<float>(abs(y) < 0x1p-10 ? series : 0.5 * (e - 1.0 / e));
}
SAMARA_FUNCTION float cosh(float x) {
  const double e = exp(abs(static_cast<double>(x)));
  return static_cast<float>(0.5 * (e + 1.0 / e));
}
SAMARA_FUNCTION float asinh(float x) {
  const double a = abs(static_cast<double>(x));
  const double series = a - a * a * a * (1.0 / 6.0);
  const double value = a < 0x1p-10 ? series : log(a + sqrt(a * a + 1.0));
  return static_cast<float>(copysign(value, static_cast<double>(x)));
}
SAMARA_FUNCTION float acosh(float x) {
  const double y = x;
  const double value = log(y + sqrt((y - 1.0) * (y + 1.0)));
  return static_cast<float>(y < 1.0 ? nan_d : value);
}
SAMARA_FUNCTION float atanh(float x) {
  const double a = abs(static_cast<double>(x));
  const double series = a + a * a * a * (1.0 / 3.0);
  const double value = a < 0x1p-10 ? series : 0.5 * log((1.0 + a) / (1.0 - a));
  return static_cast<float>(copysign(value, static_cast<double>(x)));
}

// The cases of ISO C, Annex F.
SAMARA_FUNCTION float pow(float x, float y) {
  const double base = abs(static_cast<double>(x)), exponent = y;
  const bool whole = floor(exponent) == exponent;
  const bool odd = whole && floor(0.5 * exponent) != 0.5 * exponent;
  const double magnitude = base == 1.0 ? 1.0 : exp(exponent * log(base));
  const double value = odd ? copysign(magnitude, static_cast<double>(x)) : magnitude;
  const bool undefined = x < 0.0f && x > -infinity_f && !whole;
  const double result = undefined ? nan_d : value;
  return static_cast<float>(x == 1.0f || y == 0.0f ? 1.0 : result);
}

}  // namespace samara::math
