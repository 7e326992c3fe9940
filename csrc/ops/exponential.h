// The exponential of softmax and attention.
//
// Included by *_simd.cpp files only.
#pragma once

#include "cpu/math.h"

namespace samara {
namespace {
namespace lanes {

// e^x for x <= 0 or NaN, which is all that is needed once the largest element is subtracted. What
// would not be a normal number is 0.
SAMARA_FUNCTION float exponential(float x) {
  const float result = math::exp_moderate(x < -87.0f ? -87.0f : x);
  return x < -87.0f ? 0.0f : result;
}
SAMARA_FUNCTION double exponential(double x) { return math::exp(x); }

}  // namespace lanes
}  // namespace
}  // namespace samara
