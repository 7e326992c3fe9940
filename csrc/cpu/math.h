// Elementary functions for float and double, written once for every device.
//
// The float versions are branch-free and call no library, so a loop over an array vectorises. The
// same text is compiled by the host compiler and, for CUDA, by NVRTC: plain C++ without the
// standard library.
#pragma once

#if defined(__CUDACC_RTC__) || defined(__CUDACC__)
#define SAMARA_FUNCTION __device__ __forceinline__ static
#else
// Static and always inlined: no copy is emitted that the linker could share between instruction
// sets.
#define SAMARA_FUNCTION [[gnu::always_inline, maybe_unused]] static inline
#endif

namespace samara::math {

SAMARA_FUNCTION float abs(float x) { return __builtin_fabsf(x); }
SAMARA_FUNCTION double abs(double x) { return __builtin_fabs(x); }
SAMARA_FUNCTION float copysign(float x, float y) { return __builtin_copysignf(x, y); }
SAMARA_FUNCTION double copysign(double x, double y) { return __builtin_copysign(x, y); }
SAMARA_FUNCTION float sqrt(float x) { return __builtin_sqrtf(x); }
SAMARA_FUNCTION double sqrt(double x) { return __builtin_sqrt(x); }
SAMARA_FUNCTION float floor(float x) { return __builtin_floorf(x); }
SAMARA_FUNCTION double floor(double x) { return __builtin_floor(x); }
SAMARA_FUNCTION float ceil(float x) { return __builtin_ceilf(x); }
SAMARA_FUNCTION double ceil(double x) { return __builtin_ceil(x); }
SAMARA_FUNCTION float trunc(float x) { return __builtin_truncf(x); }
SAMARA_FUNCTION double trunc(double x) { return __builtin_trunc(x); }
SAMARA_FUNCTION float exp(float x) { return __builtin_expf(x); }
SAMARA_FUNCTION double exp(double x) { return __builtin_exp(x); }
SAMARA_FUNCTION float exp2(float x) { return __builtin_exp2f(x); }
SAMARA_FUNCTION double exp2(double x) { return __builtin_exp2(x); }
SAMARA_FUNCTION float expm1(float x) { return __builtin_expm1f(x); }
SAMARA_FUNCTION double expm1(double x) { return __builtin_expm1(x); }
SAMARA_FUNCTION float log(float x) { return __builtin_logf(x); }
SAMARA_FUNCTION double log(double x) { return __builtin_log(x); }
SAMARA_FUNCTION float log2(float x) { return __builtin_log2f(x); }
SAMARA_FUNCTION double log2(double x) { return __builtin_log2(x); }
SAMARA_FUNCTION float log10(float x) { return __builtin_log10f(x); }
SAMARA_FUNCTION double log10(double x) { return __builtin_log10(x); }
SAMARA_FUNCTION float log1p(float x) { return __builtin_log1pf(x); }
SAMARA_FUNCTION double log1p(double x) { return __builtin_log1p(x); }
SAMARA_FUNCTION float sin(float x) { return __builtin_sinf(x); }
SAMARA_FUNCTION double sin(double x) { return __builtin_sin(x); }
SAMARA_FUNCTION float cos(float x) { return __builtin_cosf(x); }
SAMARA_FUNCTION double cos(double x) { return __builtin_cos(x); }
SAMARA_FUNCTION float tan(float x) { return __builtin_tanf(x); }
SAMARA_FUNCTION double tan(double x) { return __builtin_tan(x); }
SAMARA_FUNCTION float asin(float x) { return __builtin_asinf(x); }
SAMARA_FUNCTION double asin(double x) { return __builtin_asin(x); }
SAMARA_FUNCTION float acos(float x) { return __builtin_acosf(x); }
SAMARA_FUNCTION double acos(double x) { return __builtin_acos(x); }
SAMARA_FUNCTION float atan(float x) { return __builtin_atanf(x); }
SAMARA_FUNCTION double atan(double x) { return __builtin_atan(x); }
SAMARA_FUNCTION float sinh(float x) { return __builtin_sinhf(x); }
SAMARA_FUNCTION double sinh(double x) { return __builtin_sinh(x); }
SAMARA_FUNCTION float cosh(float x) { return __builtin_coshf(x); }
SAMARA_FUNCTION double cosh(double x) { return __builtin_cosh(x); }
SAMARA_FUNCTION float tanh(float x) { return __builtin_tanhf(x); }
SAMARA_FUNCTION double tanh(double x) { return __builtin_tanh(x); }
SAMARA_FUNCTION float asinh(float x) { return __builtin_asinhf(x); }
SAMARA_FUNCTION double asinh(double x) { return __builtin_asinh(x); }
SAMARA_FUNCTION float acosh(float x) { return __builtin_acoshf(x); }
SAMARA_FUNCTION double acosh(double x) { return __builtin_acosh(x); }
SAMARA_FUNCTION float atanh(float x) { return __builtin_atanhf(x); }
SAMARA_FUNCTION double atanh(double x) { return __builtin_atanh(x); }
SAMARA_FUNCTION float erf(float x) { return __builtin_erff(x); }
SAMARA_FUNCTION double erf(double x) { return __builtin_erf(x); }
SAMARA_FUNCTION float erfc(float x) { return __builtin_erfcf(x); }
SAMARA_FUNCTION double erfc(double x) { return __builtin_erfc(x); }

// Half to even.
SAMARA_FUNCTION float round(float x) { return __builtin_rintf(x); }
SAMARA_FUNCTION double round(double x) { return __builtin_rint(x); }

SAMARA_FUNCTION float rsqrt(float x) { return 1.0f / sqrt(x); }
SAMARA_FUNCTION double rsqrt(double x) { return 1.0 / sqrt(x); }
SAMARA_FUNCTION float sigmoid(float x) { return 1.0f / (1.0f + exp(-x)); }
SAMARA_FUNCTION double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }

SAMARA_FUNCTION float pow(float x, float y) { return __builtin_powf(x, y); }
SAMARA_FUNCTION double pow(double x, double y) { return __builtin_pow(x, y); }
SAMARA_FUNCTION float atan2(float x, float y) { return __builtin_atan2f(x, y); }
SAMARA_FUNCTION double atan2(double x, double y) { return __builtin_atan2(x, y); }
SAMARA_FUNCTION float fmod(float x, float y) { return __builtin_fmodf(x, y); }
SAMARA_FUNCTION double fmod(double x, double y) { return __builtin_fmod(x, y); }
SAMARA_FUNCTION float remainder(float x, float y) { return __builtin_remainderf(x, y); }
SAMARA_FUNCTION double remainder(double x, double y) { return __builtin_remainder(x, y); }

}  // namespace samara::math
