// Sines, tangents and their inverses for float: branch-free and without calls, so that a loop over
// an array vectorises.
#pragma once

#include "cpu/math_double.h"

namespace samara::math {

// ---- angles of any size -------------------------------------------------------------------------

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

// ---- moderate angles: all in float, for |x| <= 2^15 and where products fuse into sums -----------

SAMARA_FUNCTION bool is_moderate_angle(float x) { return has_fused && abs(x) <= 32768.0f; }

// As above, with r + low for r. pi/2 comes in three parts: x - n high is exact, and n middle is the
// sum of two floats.
struct ModerateAngle {
  float r, low;
  unsigned quadrant;
};
SAMARA_FUNCTION ModerateAngle reduce_moderate_angle(float x) {
  const float shifted = x * 0.636619772f + rounding_f;
  const float n = shifted - rounding_f;
  const float first = fused(-n, 0x1.921fb6p+0f, x);
  const float r = fused(n, 0x1.777a5cp-25f, first);
  return {r, n * 0x1.ee59dap-50f, bits_of(shifted)};
}
SAMARA_FUNCTION float sin_of_angle(const ModerateAngle& angle, unsigned quadrant) {
  const float r = angle.r, z = r * r;
  const float rest = r * z * polynomial(z, -0.166666538f, 0.00833210815f, -0.000195082364f);
  const float sine = r + (rest + angle.low);
  const float cosine =
      1.0f + z * polynomial(z, -0.5f, 0.0416666456f, -0.00138872978f, 2.443009e-05f);
  return float_of(bits_of(quadrant & 1 ? cosine : sine) ^ (quadrant & 2) << 30);
}
SAMARA_FUNCTION float sin_moderate(float x) {
  const ModerateAngle angle = reduce_moderate_angle(x);
  return select(x == 0.0f, x, sin_of_angle(angle, angle.quadrant));
}
SAMARA_FUNCTION float cos_moderate(float x) {
  const ModerateAngle angle = reduce_moderate_angle(x);
  return sin_of_angle(angle, angle.quadrant + 1);
}
// The tangent grows faster than the angle: what rounding r lost counts too.
SAMARA_FUNCTION float tan_moderate(float x) {
  const float shifted = x * 0.636619772f + rounding_f;
  const float n = shifted - rounding_f;
  const float first = fused(-n, 0x1.921fb6p+0f, x);
  const float middle = n * 0x1.777a5cp-25f;
  const float r = first + middle;
  const float lost = (middle - (r - first)) + fused(n, 0x1.777a5cp-25f, -middle);
  const float low = n * 0x1.ee59dap-50f + lost;
  const float z = r * r;
  const float rest = r * z *
                     polynomial(z, 0.333333522f, 0.133325711f, 0.0540709682f, 0.0212227199f,
                                0.0109951394f, -0.000118125645f, 0.00448119408f);
  const float t = r + (rest + (low + low * z));
  const float value = bits_of(shifted) & 1 ? -1.0f / t : t;
  return select(x == 0.0f, x, value);
}

// ---- inverses -----------------------------------------------------------------------------------

inline constexpr float half_pi_f = 1.57079637f;
inline constexpr float half_pi_low_f = -4.37113883e-08f;  // what half_pi_f lacks

// atan(t) - t for 0 <= t <= 1.
SAMARA_FUNCTION float atan_tail(float t) {
  const float z = t * t;
  return t * z *
         polynomial(z, -0.333331525f, 0.199937671f, -0.142110035f, 0.106657863f, -0.0755172893f,
                    0.0432059728f, -0.0163642373f, 0.00291975634f);
}
SAMARA_FUNCTION float atan(float x) {
  const float a = abs(x);
  const bool inverted = a > 1.0f;
  const float inverse = 1.0f / a;
  const float t = select(inverted, inverse, a);
  const float tail = atan_tail(t);
  const float far = (half_pi_f - t) - (tail - half_pi_low_f);
  return copysign(select(inverted, far, t + tail), x);
}
SAMARA_FUNCTION float atan2(float y, float x) {
  const unsigned a = bits_of(abs(x)), b = bits_of(abs(y));
  const float larger = float_of(a > b ? a : b), smaller = float_of(a > b ? b : a);
  // 0/0 counts as 0 and inf/inf as 1, which gives the standard's values at zeros and infinities.
  const float ratio = select(smaller == larger, 1.0f, smaller / larger);
  const float t = select(larger == 0.0f, 0.0f, ratio);
  const float tail = atan_tail(t);
  // The angle's distance from the nearest axis is added to that axis, or taken off.
  const unsigned left = bits_of(x) >> 31, steep = b > a;
  const float axis = static_cast<float>(static_cast<int>(steep + (left & (steep ^ 1u)) * 2u));
  const unsigned sign = (left ^ steep) << 31;
  const float high = axis * half_pi_f + float_of(bits_of(t) ^ sign);
  const float low = axis * half_pi_low_f + float_of(bits_of(tail) ^ sign);
  return copysign(high + low, y);
}

// asin(a) - a for 0 <= a <= 1/2.
SAMARA_FUNCTION float asin_tail(float a) {
  const float z = a * a;
  return a * z *
         polynomial(z, 0.166667521f, 0.0749530941f, 0.0454691499f, 0.0241847783f, 0.0421583056f);
}
// Beyond 1/2, asin(a) = pi/2 - 2 asin(sqrt((1 - a) / 2)).
SAMARA_FUNCTION float asin(float x) {
  const float a = abs(x);
  const bool high = a > 0.5f;
  const float s = select(high, sqrt(0.5f - 0.5f * a), a);
  const float tail = asin_tail(s);
  const float far = half_pi_f - 2.0f * s;
  const float rest = ((half_pi_f - far) - 2.0f * s) + (half_pi_low_f - 2.0f * tail);
  return copysign(select(high, far + rest, s + tail), x);
}
SAMARA_FUNCTION float acos(float x) {
  const float a = abs(x);
  const bool high = a > 0.5f;
  const float s = select(high, sqrt(0.5f - 0.5f * a), x);
  const float tail = asin_tail(s);
  const float right = 2.0f * s + 2.0f * tail;
  const float left = (2.0f * half_pi_f - 2.0f * s) - (2.0f * tail - 2.0f * half_pi_low_f);
  const float middle = (half_pi_f - s) - (tail - half_pi_low_f);
  return select(high, select(x < 0.0f, left, right), middle);
}

}  // namespace samara::math
