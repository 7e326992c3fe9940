// Elementary functions for float and double, written once for every device.
//
// The same text is compiled by the host compiler and, for CUDA, by NVRTC: plain C++ without the
// standard library. Results are within 2 ULP, those of the gamma function
// within 4, and follow ISO C, Annex F at zeros,
// infinities and NaN. Coefficients are interpolations at Chebyshev nodes computed with 60 digits.
#pragma once

#include "cpu/math_basic.h"
#include "cpu/math_double.h"
#include "cpu/math_float.h"
#include "cpu/math_gamma.h"
#include "cpu/math_trigonometry.h"
