// Special functions, shrinking activations and the pairs that PyTorch's vocabulary adds; see
// pointwise.h for how to read a struct.
#pragma once

#include "cpu/special_functions.h"
#include "ops/pointwise.h"

namespace samara::pointwise {

// --- special functions: computed in double, but for what forward_moderate takes ----------------

// F::value of each element; F::slope is its derivative from x and, where kReadsY, from y.
template <class F, bool kReadsY = false>
struct Special : Unary {
  static constexpr bool reads_y = kReadsY;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    if constexpr (__is_same(T, float) && requires { F::is_moderate(x); }) {
      if (F::is_moderate(x)) return F::forward_moderate(x);
    }
    return static_cast<T>(F::value(x));
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T y) {
    return static_cast<T>(g * F::slope(x, y));
  }
};

struct Digamma : Special<Digamma> {
  static constexpr const char* name = "digamma";
  SAMARA_FUNCTION double value(double x) { return special::digamma(x); }
  SAMARA_FUNCTION double slope(double x, double) { return special::trigamma(x); }
  SAMARA_FUNCTION bool is_moderate(float x) { return math::is_positive_normal(x); }
  SAMARA_FUNCTION float forward_moderate(float x) { return math::digamma_positive(x); }
};
struct Lgamma : Special<Lgamma> {
  static constexpr const char* name = "lgamma";
  SAMARA_FUNCTION double value(double x) { return special::lgamma(x); }
  SAMARA_FUNCTION double slope(double x, double) { return special::digamma(x); }
  SAMARA_FUNCTION bool is_moderate(float x) { return math::is_positive_normal(x); }
  SAMARA_FUNCTION float forward_moderate(float x) { return math::lgamma_positive(x); }
};
struct Erfinv : Special<Erfinv, true> {
  static constexpr const char* name = "erfinv";
  SAMARA_FUNCTION double value(double x) { return special::erfinv(x); }
  SAMARA_FUNCTION double slope(double, double y) { return 0.88622692545275801 * math::exp(y * y); }
};
struct Erfcx : Special<Erfcx, true> {
  static constexpr const char* name = "erfcx";
  SAMARA_FUNCTION double value(double x) { return special::erfcx(x); }
  SAMARA_FUNCTION double slope(double x, double y) {
    return x == __builtin_inf() ? 0.0 : 2.0 * (x * y - 0.56418958354775629);
  }
};
struct Ndtr : Special<Ndtr> {
  static constexpr const char* name = "ndtr";
  SAMARA_FUNCTION double value(double x) { return special::ndtr(x); }
  SAMARA_FUNCTION double slope(double x, double) {
    return 0.39894228040143268 * math::exp(-0.5 * x * x);
  }
};
struct LogNdtr : Special<LogNdtr> {
  static constexpr const char* name = "log_ndtr";
  SAMARA_FUNCTION double value(double x) { return special::log_ndtr(x); }
  SAMARA_FUNCTION double slope(double x, double) {
    return 0.79788456080286536 / special::erfcx(-0.70710678118654752 * x);
  }
};
struct Ndtri : Special<Ndtri, true> {
  static constexpr const char* name = "ndtri";
  SAMARA_FUNCTION double value(double x) { return special::ndtri(x); }
  SAMARA_FUNCTION double slope(double, double y) {
    return 2.5066282746310005 * math::exp(0.5 * y * y);
  }
};
struct BesselI0 : Special<BesselI0> {
  static constexpr const char* name = "i0";
  SAMARA_FUNCTION double value(double x) { return special::i0(x); }
  SAMARA_FUNCTION double slope(double x, double) { return special::i1(x); }
};
struct BesselI0e : Special<BesselI0e, true> {
  static constexpr const char* name = "i0e";
  SAMARA_FUNCTION double value(double x) { return special::i0e(x); }
  SAMARA_FUNCTION double slope(double x, double y) {
    return special::i1e(x) - (x > 0.0 ? y : x < 0.0 ? -y : 0.0);
  }
};
struct BesselI1 : Special<BesselI1, true> {
  static constexpr const char* name = "i1";
  SAMARA_FUNCTION double value(double x) { return special::i1(x); }
  SAMARA_FUNCTION double slope(double x, double y) {
    return x == 0.0 ? 0.5 : special::i0(x) - y / x;
  }
};
struct BesselI1e : Special<BesselI1e, true> {
  static constexpr const char* name = "i1e";
  SAMARA_FUNCTION double value(double x) { return special::i1e(x); }
  SAMARA_FUNCTION double slope(double x, double y) {
    return x == 0.0 ? 0.5 : special::i0e(x) - y * ((x > 0.0 ? 1.0 : -1.0) + 1.0 / x);
  }
};
struct BesselJ0 : Special<BesselJ0> {
  static constexpr const char* name = "bessel_j0";
  SAMARA_FUNCTION double value(double x) { return special::bessel_j0(x); }
  SAMARA_FUNCTION double slope(double x, double) { return -special::bessel_j1(x); }
};
struct BesselJ1 : Special<BesselJ1, true> {
  static constexpr const char* name = "bessel_j1";
  SAMARA_FUNCTION double value(double x) { return special::bessel_j1(x); }
  SAMARA_FUNCTION double slope(double x, double y) {
    return x == 0.0 ? 0.5 : special::bessel_j0(x) - y / x;
  }
};
struct BesselY0 : Special<BesselY0> {
  static constexpr const char* name = "bessel_y0";
  SAMARA_FUNCTION double value(double x) { return special::bessel_y0(x); }
  SAMARA_FUNCTION double slope(double x, double) { return -special::bessel_y1(x); }
};
struct BesselY1 : Special<BesselY1, true> {
  static constexpr const char* name = "bessel_y1";
  SAMARA_FUNCTION double value(double x) { return special::bessel_y1(x); }
  SAMARA_FUNCTION double slope(double x, double y) { return special::bessel_y0(x) - y / x; }
};
struct BesselK0 : Special<BesselK0> {
  static constexpr const char* name = "modified_bessel_k0";
  SAMARA_FUNCTION double value(double x) { return special::k0(x); }
  SAMARA_FUNCTION double slope(double x, double) { return -special::k1(x); }
};
struct BesselK0e : Special<BesselK0e, true> {
  static constexpr const char* name = "scaled_modified_bessel_k0";
  SAMARA_FUNCTION double value(double x) { return special::k0e(x); }
  SAMARA_FUNCTION double slope(double x, double y) { return y - special::k1e(x); }
};
struct BesselK1 : Special<BesselK1, true> {
  static constexpr const char* name = "modified_bessel_k1";
  SAMARA_FUNCTION double value(double x) { return special::k1(x); }
  SAMARA_FUNCTION double slope(double x, double y) { return -special::k0(x) - y / x; }
};
struct BesselK1e : Special<BesselK1e, true> {
  static constexpr const char* name = "scaled_modified_bessel_k1";
  SAMARA_FUNCTION double value(double x) { return special::k1e(x); }
  SAMARA_FUNCTION double slope(double x, double y) { return y - special::k0e(x) - y / x; }
};
struct SphericalJ0 : Special<SphericalJ0, true> {
  static constexpr const char* name = "spherical_bessel_j0";
  SAMARA_FUNCTION double value(double x) { return special::spherical_j0(x); }
  SAMARA_FUNCTION double slope(double x, double y) {
    const double slope = math::abs(x) < 1e-4 ? -x / 3.0 : (math::cos(x) - y) / x;
    return math::abs(x) == __builtin_inf() ? 0.0 : slope;
  }
};
struct AiryAi : Step {
  static constexpr const char* name = "airy_ai";
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return static_cast<T>(special::airy_ai(x));
  }
};
struct Polygamma : Unary {  // p[0]: the order n
  static constexpr const char* name = "polygamma";
  static constexpr const char* mistake(const double* p) {
    return p[0] < 0 ? "n is negative. Expected 0 or more. Fix: pass the order of the derivative."
                    : nullptr;
  }
  template <class T>
  SAMARA_FUNCTION T forward(T x, const double* p) {
    return static_cast<T>(special::polygamma(x, p[0]));
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T, const double* p) {
    return static_cast<T>(g * special::polygamma(x, p[0] + 1.0));
  }
};

// sin(pi x) / (pi x), exact zeros at whole numbers.
struct Sinc : Unary {
  static constexpr const char* name = "sinc";
  static constexpr bool reads_y = true;
  static constexpr double pi = 3.14159265358979323846;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    const double y = x, n = math::round(y);
    const double sine = math::sin(pi * (y - n));
    const double value = (0.5 * n == math::round(0.5 * n) ? sine : -sine) / (pi * y);
    const bool is_zero = sine == 0.0 || math::abs(y) == __builtin_inf();  // without a sign
    return y == 0.0 ? T(1) : is_zero ? T(0) : static_cast<T>(value);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T y) {
    const double z = x;
    const double slope = math::abs(z) < 1e-4 ? -pi * pi / 3.0 * z : (math::cos(pi * z) - y) / z;
    return math::abs(z) == __builtin_inf() ? T(0) : static_cast<T>(g * slope);
  }
};
// log(x / (1 - x)).
struct Logit : Unary {
  static constexpr const char* name = "logit";
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    const double p = x, rest = 1.0 - p;
    const bool middle = p > 0.3 && p < 0.65;
    return static_cast<T>(middle ? math::log1p((2.0 * p - 1.0) / rest) : math::log(p / rest));
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return x < T(0) || x > T(1) ? T(__builtin_nan("")) : g / (x * (T(1) - x));
  }
};
// -x log x.
struct Entr : Unary {
  static constexpr const char* name = "entr";
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    const T value = -x * math::log(x);
    return x > T(0) ? value : x == T(0) ? T(0) : x < T(0) ? T(-__builtin_inf()) : x;
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return g * (T(-1) - math::log(x));
  }
};

// --- shrinking activations ---------------------------------------------------------------------

struct Hardshrink : Unary {  // p[0]: lambda
  static constexpr const char* name = "hardshrink";
  template <class T>
  SAMARA_FUNCTION T forward(T x, const double* p) {
    return x >= T(-p[0]) && x <= T(p[0]) ? T(0) : x;
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T, const double* p) {
    return x >= T(-p[0]) && x <= T(p[0]) ? T(0) : g;
  }
};
struct Softshrink : Unary {  // p[0]: lambda
  static constexpr const char* name = "softshrink";
  static constexpr const char* mistake(const double* p) {
    return p[0] < 0 ? "lambd is negative. Expected 0 or more. Fix: pass e.g. lambd=0.5." : nullptr;
  }
  template <class T>
  SAMARA_FUNCTION T forward(T x, const double* p) {
    const T l = T(p[0]);
    return x > l ? x - l : x < -l ? x + l : x != x ? x : T(0);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T, const double* p) {
    return x >= T(-p[0]) && x <= T(p[0]) ? T(0) : g;
  }
};
struct Threshold : Unary {  // p[0]: the threshold; p[1]: what stands at and below it
  static constexpr const char* name = "threshold";
  template <class T>
  SAMARA_FUNCTION T forward(T x, const double* p) {
    return x <= T(p[0]) ? T(p[1]) : x;
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T, const double* p) {
    return x <= T(p[0]) ? T(0) : g;
  }
};

// --- pairs ---------------------------------------------------------------------------------------

// x log y, 0 where x is 0.
struct Xlogy : Binary {
  static constexpr const char* name = "xlogy";
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    return b != b ? b : a == T(0) ? T(0) : a * math::log(b);
  }
  template <class T>
  SAMARA_FUNCTION T backward_a(T g, T a, T b, T) {
    return a == T(0) && b <= T(0) ? T(0) : g * math::log(b);
  }
  template <class T>
  SAMARA_FUNCTION T backward_b(T g, T a, T b, T) {
    return g * (a / b);
  }
};
// x log(1 + y), 0 where x is 0.
struct Xlog1py : Binary {
  static constexpr const char* name = "xlog1py";
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    return b != b ? b : a == T(0) ? T(0) : a * math::log1p(b);
  }
  template <class T>
  SAMARA_FUNCTION T backward_a(T g, T a, T b, T) {
    return a == T(0) && b <= T(-1) ? T(0) : g * math::log1p(b);
  }
  template <class T>
  SAMARA_FUNCTION T backward_b(T g, T a, T b, T) {
    return g * (a / (b + T(1)));
  }
};
// A NaN loses against a number; equal arguments give the gradient to the first.
struct Fmax : Binary {
  static constexpr const char* name = "fmax";
  static constexpr unsigned domain = kOrdered | kBoolean;
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    return a >= b || b != b ? a : b;
  }
  template <class T>
  SAMARA_FUNCTION T backward_a(T g, T a, T b, T) {
    return a >= b || b != b ? g : T(0);
  }
  template <class T>
  SAMARA_FUNCTION T backward_b(T g, T a, T b, T) {
    return a >= b || b != b ? T(0) : g;
  }
};
struct Fmin : Binary {
  static constexpr const char* name = "fmin";
  static constexpr unsigned domain = kOrdered | kBoolean;
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    return a <= b || b != b ? a : b;
  }
  template <class T>
  SAMARA_FUNCTION T backward_a(T g, T a, T b, T) {
    return a <= b || b != b ? g : T(0);
  }
  template <class T>
  SAMARA_FUNCTION T backward_b(T g, T a, T b, T) {
    return a <= b || b != b ? T(0) : g;
  }
};
// log2(2^x + 2^y).
struct LogAddExp2 : Binary {
  static constexpr const char* name = "logaddexp2";
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    const T larger = a > b ? a : b;
    const T rest = T(1.44269504088896340736) * math::log1p(math::exp2(-math::abs(a - b)));
    return a == b ? a + T(1) : larger + rest;
  }
  template <class T>
  SAMARA_FUNCTION T backward_a(T g, T a, T b, T) {
    return a == b ? g * T(0.5) : g * math::sigmoid(T(0.69314718055994530942) * (a - b));
  }
  template <class T>
  SAMARA_FUNCTION T backward_b(T g, T a, T b, T) {
    return a == b ? g * T(0.5) : g * math::sigmoid(T(0.69314718055994530942) * (b - a));
  }
};
struct Heaviside : Comparison {  // 0, y or 1 as x is below, at or above 0
  static constexpr const char* name = "heaviside";
  static constexpr unsigned domain = kOrdered | kBoolean;
  static constexpr Result result = Result::same;
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    return a != a ? a : a == T(0) ? b : a > T(0) ? T(1) : T(0);
  }
};
struct Gcd : Comparison {
  static constexpr const char* name = "gcd";
  static constexpr unsigned domain = kInteger;
  static constexpr Result result = Result::same;
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    if constexpr (is_integer<T>) {
      using W = Wrapping<T>;
      W m = a < T(0) ? W(W(0) - W(a)) : W(a), n = b < T(0) ? W(W(0) - W(b)) : W(b);
      while (n != 0) {
        const W rest = W(m % n);
        m = n;
        n = rest;
      }
      return T(m);
    } else {
      return a;
    }
  }
};
struct Lcm : Comparison {
  static constexpr const char* name = "lcm";
  static constexpr unsigned domain = kInteger;
  static constexpr Result result = Result::same;
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    if constexpr (is_integer<T>) {
      if (a == T(0) || b == T(0)) return T(0);
      using W = Wrapping<T>;
      const W m = a < T(0) ? W(W(0) - W(a)) : W(a), n = b < T(0) ? W(W(0) - W(b)) : W(b);
      return T(m / W(Gcd::forward(a, b)) * n);
    } else {
      return a;
    }
  }
};
// No derivative with respect to the order exists here: samara.special refuses to record one.
struct HurwitzZeta : Binary {
  static constexpr const char* name = "zeta";
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    return static_cast<T>(special::zeta(a, b));
  }
  template <class T>
  SAMARA_FUNCTION T backward_a(T, T, T, T) {
    return T(__builtin_nan(""));
  }
  template <class T>
  SAMARA_FUNCTION T backward_b(T g, T a, T b, T) {
    return static_cast<T>(-g * (a * special::zeta(a + 1.0, b)));
  }
};
// The regularised incomplete gamma functions: P, the lower one, and Q = 1 - P. Their slopes along
// the argument are plus and minus the density; along the parameter there is none here.
template <bool kUpper>
struct IncompleteGamma : Binary {
  static constexpr const char* name = kUpper ? "gammaincc" : "gammainc";
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    return static_cast<T>(kUpper ? special::gammaincc(a, b) : special::gammainc(a, b));
  }
  template <class T>
  SAMARA_FUNCTION T backward_a(T, T, T, T) {
    return T(__builtin_nan(""));
  }
  template <class T>
  SAMARA_FUNCTION T backward_b(T g, T a, T b, T) {
    const double slope = special::gamma_density(a, b);
    return static_cast<T>(g * (kUpper ? -slope : slope));
  }
};
using GammaInc = IncompleteGamma<false>;
using GammaIncC = IncompleteGamma<true>;

}  // namespace samara::pointwise
