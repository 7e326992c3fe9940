// The logarithm of the gamma function and its derivative for positive float: branch-free, so that a
// loop over an array vectorises.
#pragma once

#include "cpu/math_float.h"

namespace samara::math {

SAMARA_FUNCTION bool is_positive(float x) { return is_positive_normal(x); }

// log Gamma is t P(t) with t = x - 1 next to 1 and t = x - 2 next to 2, where its zeros are, and
// beyond 5/2 (x - 1/2) (log x - 1) + log(2 pi)/2 - 1/2 + G(1/x) / x. Below 3/5 it is
// log Gamma(x + 1) - log x.
SAMARA_FUNCTION float lgamma_positive(float x) {
  const bool shifted = x < 0.6f, one = x < 1.4f;
  const float t = x - select(shifted, 0.0f, select(one, 1.0f, 2.0f));
  const float near_one = polynomial(t, -0.577215672f, 0.822467029f, -0.400684297f, 0.270575494f,
                                    -0.207441792f, 0.169812426f, -0.143350661f, 0.121499628f,
                                    -0.112519987f, 0.124241784f, -0.11334075f, 0.048102431f);
  const float near_two =
      polynomial(t, 0.422784328f, 0.322467029f, -0.0673515722f, 0.0205813665f, -0.00739822816f,
                 0.00288023194f, -0.00111995696f, 0.000568571035f, -0.000367240398f);
  const LogPartsF parts = log_parts_normal(x);
  const float exponent = parts.k * ln2_high_f;
  const float rest = parts.f + (parts.k * ln2_low_f + log_tail(parts.f));
  const float near = t * select(one, near_one, near_two) - select(shifted, exponent + rest, -0.0f);
  const float u = 1.0f / x;
  const float series = u * polynomial(u, 0.0833327845f, 1.1390578e-05f, -0.00286573707f,
                                      0.000313330587f, 0.000324533379f);
  const float far = (x - 0.5f) * ((exponent - 1.0f) + rest) + (0.418938533f + series);
  return select(x < 2.5f, near, far);
}

// digamma(1 + y) is (y - root) P(y - 1/2) for 0 <= y <= 1; below 1 and from 2 to 3 the recurrence
// digamma(x + 1) = digamma(x) + 1/x leads there, and beyond 3 it is log x - 1/(2x) + H(1/x^2) /
// x^2.
SAMARA_FUNCTION float digamma_positive(float x) {
  const float y = x - select(x < 1.0f, 0.0f, select(x < 2.0f, 1.0f, 2.0f));
  const float p = polynomial(y - 0.5f, 0.951055884f, -0.423627436f, 0.240541562f, -0.14840126f,
                             0.0950099304f, -0.0620254613f, 0.0406044498f, -0.025937086f,
                             0.0181222372f, -0.0161230601f, 0.00942694768f);
  const float u = 1.0f / select((x >= 2.0f) & (x < 3.0f), x - 1.0f, x);
  const float step = select(x < 2.0f, select(x < 1.0f, -u, 0.0f), u);
  const float near = ((y - 0.46163213f) - 1.24381499e-08f) * p + step;
  const float z = u * u;
  const float series =
      z * polynomial(z, -0.0833332762f, 0.00832873397f, -0.003844816f, 0.00273143407f);
  const float far = log_of_parts(log_parts_normal(x)) + (series - 0.5f * u);
  return select(x < 3.0f, near, far);
}

}  // namespace samara::math
