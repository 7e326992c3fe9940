// The pointwise activations, predicates and comparisons; see pointwise.h for how to read a struct.
#pragma once

#include "ops/elementary.h"
#include "ops/special.h"

namespace samara::pointwise {

struct Sigmoid : Unary {
  static constexpr const char* name = "sigmoid";
  static constexpr bool reads_x = false;
  static constexpr bool reads_y = true;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return math::sigmoid(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T, T y) {
    return g * (y * (T(1) - y));
  }
};
struct LogSigmoid : Unary {
  static constexpr const char* name = "log_sigmoid";
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return (x > T(0) ? T(-0.0) : x) - math::log1p(math::exp(-math::abs(x)));
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return g * math::sigmoid(-x);
  }
};
struct Relu : Unary {
  static constexpr const char* name = "relu";
  static constexpr unsigned domain = kOrdered;
  static constexpr bool reads_x = false;
  static constexpr bool reads_y = true;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return x < T(0) ? T(0) : x;
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T, T y) {
    return y > T(0) ? g : T(0);
  }
};
struct Relu6 : Unary {
  static constexpr const char* name = "relu6";
  static constexpr unsigned domain = kOrdered;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return x < T(0) ? T(0) : x > T(6) ? T(6) : x;
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return x > T(0) && x < T(6) ? g : T(0);
  }
};
struct LeakyRelu : Unary {  // p[0]: slope for x < 0
  static constexpr const char* name = "leaky_relu";
  template <class T>
  SAMARA_FUNCTION T forward(T x, const double* p) {
    return x > T(0) ? x : x * T(p[0]);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T, const double* p) {
    return x > T(0) ? g : g * T(p[0]);
  }
};
struct Elu : Unary {  // p[0]: alpha
  static constexpr const char* name = "elu";
  template <class T>
  SAMARA_FUNCTION T forward(T x, const double* p) {
    return x > T(0) ? x : T(p[0]) * math::expm1(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T, const double* p) {
    return x > T(0) ? g : g * (T(p[0]) * math::exp(x));
  }
};
struct Celu : Unary {  // p[0]: alpha
  static constexpr const char* name = "celu";
  static constexpr const char* mistake(const double* p) {
    return p[0] == 0 ? "alpha is 0. Expected another number. Fix: pass e.g. alpha=1.0." : nullptr;
  }
  template <class T>
  SAMARA_FUNCTION T forward(T x, const double* p) {
    return x > T(0) ? x : T(p[0]) * math::expm1(x / T(p[0]));
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T, const double* p) {
    return x > T(0) ? g : g * math::exp(x / T(p[0]));
  }
};
struct Selu : Unary {  // constants of Klambauer et al. 2017, equation 14
  static constexpr const char* name = "selu";
  static constexpr double alpha = 1.6732632423543772848170429916717;
  static constexpr double scale = 1.0507009873554804934193349852946;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return x > T(0) ? T(scale) * x : T(scale * alpha) * math::expm1(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return x > T(0) ? g * T(scale) : g * (T(scale * alpha) * math::exp(x));
  }
};
struct Gelu : Unary {  // x Phi(x), precise relative to |x|
  static constexpr const char* name = "gelu";
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    const T value = x * math::normal_distribution(x);
    return x < T(-40) ? T(-0.0) : value;  // -inf * 0
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    const T density = T(0.398942280401432677939946059934) * math::exp(T(-0.5) * x * x);
    const T slope = density == T(0) ? T(0) : x * density;  // inf * 0
    return g * (math::normal_distribution(x) + slope);
  }
};
struct GeluTanh : Unary {  // 0.5 x (1 + tanh u), u = sqrt(2/pi) (x + 0.044715 x^3); = x sigmoid(2u)
  static constexpr const char* name = "gelu_tanh";
  static constexpr double scale = 0.797884560802865355879892119869;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    const T u = T(scale) * (x + T(0.044715) * x * x * x);
    return x < T(-40) ? T(-0.0) : x * math::sigmoid(T(2) * u);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    const T clipped = x > T(40) ? T(40) : x < T(-40) ? T(-40) : x;
    const T u = T(scale) * (clipped + T(0.044715) * clipped * clipped * clipped);
    const T s = math::sigmoid(T(2) * u);
    const T slope = T(2 * scale) * (T(1) + T(3 * 0.044715) * clipped * clipped);
    return g * (s + clipped * s * (T(1) - s) * slope + (x - x));
  }
};
struct Silu : Unary {
  static constexpr const char* name = "silu";
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return x < T(-1e4) ? T(-0.0) : x * math::sigmoid(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    const T s = math::sigmoid(x);
    const T tail = s * (T(1) - s);
    return g * (s + (tail == T(0) ? T(0) : x * tail));
  }
};
struct Softplus : Unary {  // p[0]: beta; p[1]: above beta x > p[1] the value is x
  static constexpr const char* name = "softplus";
  static constexpr const char* mistake(const double* p) {
    return p[0] == 0 ? "beta is 0. Expected another number. Fix: pass e.g. beta=1.0." : nullptr;
  }
  template <class T>
  SAMARA_FUNCTION T forward(T x, const double* p) {
    const T z = x * T(p[0]);
    const T stable = ((z > T(0) ? z : T(0)) + math::log1p(math::exp(-math::abs(z)))) / T(p[0]);
    return z > T(p[1]) ? x : stable;
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T, const double* p) {
    const T z = x * T(p[0]);
    return z > T(p[1]) ? g : g * math::sigmoid(z);
  }
};
struct Mish : Unary {  // x tanh(softplus(x)); tanh(log(1 + e)) = n / (n + 2), n = e (e + 2)
  static constexpr const char* name = "mish";
  template <class T>
  SAMARA_FUNCTION T gate(T x) {
    const T e = math::exp(x > T(20) ? T(20) : x);
    const T n = e * (e + T(2));
    return x > T(20) ? T(1) : n / (n + T(2));
  }
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return x < T(-1e4) ? T(-0.0) : x * gate(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    const T t = gate(x);
    const T slope = math::sigmoid(x) * ((T(1) - t) * (T(1) + t));
    return g * (t + (slope == T(0) ? T(0) : x * slope));
  }
};
struct Softsign : Unary {
  static constexpr const char* name = "softsign";
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    const T value = x / (T(1) + math::abs(x));
    return math::abs(x) == T(__builtin_inf()) ? math::copysign(T(1), x) : value;
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    const T d = T(1) + math::abs(x);
    return g / (d * d);
  }
};
struct Hardtanh : Unary {  // p[0], p[1]: the bounds
  static constexpr const char* name = "hardtanh";
  static constexpr const char* mistake(const double* p) {
    return p[0] > p[1] ? "min_val is above max_val. Expected it below. Fix: swap them." : nullptr;
  }
  template <class T>
  SAMARA_FUNCTION T forward(T x, const double* p) {
    return x < T(p[0]) ? T(p[0]) : x > T(p[1]) ? T(p[1]) : x;
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T, const double* p) {
    return x > T(p[0]) && x < T(p[1]) ? g : T(0);
  }
};
struct Clamp : Unary {  // as Hardtanh, but the bounds themselves pass the gradient
  static constexpr const char* name = "clamp_numbers";
  template <class T>
  SAMARA_FUNCTION T forward(T x, const double* p) {
    const T raised = x < T(p[0]) ? T(p[0]) : x;
    return raised > T(p[1]) ? T(p[1]) : raised;
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T, const double* p) {
    return x >= T(p[0]) && x <= T(p[1]) ? g : T(0);
  }
};
struct Hardsigmoid : Unary {
  static constexpr const char* name = "hardsigmoid";
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    const T shifted = x + T(3);
    return (shifted < T(0) ? T(0) : shifted > T(6) ? T(6) : shifted) / T(6);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return x > T(-3) && x < T(3) ? g / T(6) : T(0);
  }
};
struct Hardswish : Unary {
  static constexpr const char* name = "hardswish";
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    const T shifted = x + T(3);
    const T gate = shifted > T(6) ? T(6) : shifted;
    return shifted < T(0) ? T(-0.0) : x * (gate / T(6));
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return x <= T(-3) ? T(0) : x < T(3) ? g * (x / T(3) + T(0.5)) : g;
  }
};

// --- predicates, logic, bits, comparisons --------------------------------------------------------

struct IsNan : Predicate {
  static constexpr const char* name = "isnan";
  static constexpr unsigned domain = kEvery;
  template <class T>
  SAMARA_FUNCTION bool forward(T x) {
    return x != x;
  }
};
struct IsInf : Predicate {
  static constexpr const char* name = "isinf";
  static constexpr unsigned domain = kEvery;
  template <class T>
  SAMARA_FUNCTION bool forward(T x) {
    if constexpr (is_complex_number<T>)
      return forward(x.real()) || forward(x.imag());
    else if constexpr (is_integer<T> || sizeof(T) == 1)
      return false;
    else
      return math::abs(x) == T(__builtin_inf());
  }
};
struct IsFinite : Predicate {
  static constexpr const char* name = "isfinite";
  static constexpr unsigned domain = kEvery;
  template <class T>
  SAMARA_FUNCTION bool forward(T x) {
    if constexpr (is_complex_number<T>)
      return forward(x.real()) && forward(x.imag());
    else if constexpr (is_integer<T> || sizeof(T) == 1)
      return true;
    else
      return math::abs(x) < T(__builtin_inf());
  }
};
struct Signbit : Predicate {
  static constexpr const char* name = "signbit";
  static constexpr unsigned domain = kOrdered;
  template <class T>
  SAMARA_FUNCTION bool forward(T x) {
    if constexpr (is_integer<T>)
      return x < T(0);
    else
      return math::copysign(T(1), x) < T(0);
  }
};
struct LogicalNot : Predicate {
  static constexpr const char* name = "logical_not";
  static constexpr unsigned domain = kEvery;
  template <class T>
  SAMARA_FUNCTION bool forward(T x) {
    return x == T(0);
  }
};
struct BitwiseInvert : Step {
  static constexpr const char* name = "bitwise_invert";
  static constexpr unsigned domain = kInteger | kBoolean;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    if constexpr (is_integer<T>)
      return T(~x);
    else
      return !x;
  }
};

struct Equal : Comparison {
  static constexpr const char* name = "equal";
  static constexpr unsigned domain = kEvery;
  template <class T>
  SAMARA_FUNCTION bool forward(T a, T b) {
    return a == b;
  }
};
struct NotEqual : Comparison {
  static constexpr const char* name = "not_equal";
  static constexpr unsigned domain = kEvery;
  template <class T>
  SAMARA_FUNCTION bool forward(T a, T b) {
    return a != b;
  }
};
struct Less : Comparison {
  static constexpr const char* name = "less";
  static constexpr unsigned domain = kOrdered | kBoolean;
  template <class T>
  SAMARA_FUNCTION bool forward(T a, T b) {
    return a < b;
  }
};
struct LessEqual : Comparison {
  static constexpr const char* name = "less_equal";
  static constexpr unsigned domain = kOrdered | kBoolean;
  template <class T>
  SAMARA_FUNCTION bool forward(T a, T b) {
    return a <= b;
  }
};
struct Greater : Comparison {
  static constexpr const char* name = "greater";
  static constexpr unsigned domain = kOrdered | kBoolean;
  template <class T>
  SAMARA_FUNCTION bool forward(T a, T b) {
    return a > b;
  }
};
struct GreaterEqual : Comparison {
  static constexpr const char* name = "greater_equal";
  static constexpr unsigned domain = kOrdered | kBoolean;
  template <class T>
  SAMARA_FUNCTION bool forward(T a, T b) {
    return a >= b;
  }
};
struct LogicalAnd : Comparison {
  static constexpr const char* name = "logical_and";
  static constexpr unsigned domain = kEvery;
  template <class T>
  SAMARA_FUNCTION bool forward(T a, T b) {
    return a != T(0) && b != T(0);
  }
};
struct LogicalOr : Comparison {
  static constexpr const char* name = "logical_or";
  static constexpr unsigned domain = kEvery;
  template <class T>
  SAMARA_FUNCTION bool forward(T a, T b) {
    return a != T(0) || b != T(0);
  }
};
struct LogicalXor : Comparison {
  static constexpr const char* name = "logical_xor";
  static constexpr unsigned domain = kEvery;
  template <class T>
  SAMARA_FUNCTION bool forward(T a, T b) {
    return (a != T(0)) != (b != T(0));
  }
};

struct Bits : Binary {
  static constexpr unsigned domain = kInteger | kBoolean;
  static constexpr bool differentiable = false;
};
struct BitwiseAnd : Bits {
  static constexpr const char* name = "bitwise_and";
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    return T(a & b);
  }
};
struct BitwiseOr : Bits {
  static constexpr const char* name = "bitwise_or";
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    return T(a | b);
  }
};
struct BitwiseXor : Bits {
  static constexpr const char* name = "bitwise_xor";
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    return T(a ^ b);
  }
};
// Shifts by the width or more give 0 (or -1 for a negative number shifted right); a negative count
// counts as too large.
struct ShiftLeft : Bits {
  static constexpr const char* name = "bitwise_left_shift";
  static constexpr unsigned domain = kInteger;
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    const bool too_far = b < T(0) || b >= T(sizeof(T) * 8);
    return too_far ? T(0) : T(Wrapping<T>(a) << (b & T(sizeof(T) * 8 - 1)));
  }
};
struct ShiftRight : Bits {
  static constexpr const char* name = "bitwise_right_shift";
  static constexpr unsigned domain = kInteger;
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    const bool too_far = b < T(0) || b >= T(sizeof(T) * 8);
    return too_far ? (a < T(0) ? T(-1) : T(0)) : T(a >> (b & T(sizeof(T) * 8 - 1)));
  }
};

// --- three operands ------------------------------------------------------------------------------

struct Addcmul : Ternary {  // p[0]: the factor
  static constexpr const char* name = "addcmul";
  template <class T>
  SAMARA_FUNCTION T forward(T x, T a, T b, const double* p) {
    return x + T(p[0]) * (a * b);
  }
};
struct Addcdiv : Ternary {  // p[0]: the factor
  static constexpr const char* name = "addcdiv";
  template <class T>
  SAMARA_FUNCTION T forward(T x, T a, T b, const double* p) {
    return x + T(p[0]) * (a / b);
  }
};
struct Lerp : Ternary {
  static constexpr const char* name = "lerp";
  template <class T>
  SAMARA_FUNCTION T forward(T x, T end, T weight, const double*) {
    return x + weight * (end - x);
  }
};

template <class... Functors>
struct List {};

using UnaryFunctors =
    List<Negative, Absolute, Sign, Conjugate, RealPart, ImaginaryPart, Square, Reciprocal, Floor,
         Ceil, Trunc, Round, Sqrt, Rsqrt, Exp, Exp2, Expm1, Log, Log2, Log10, Log1p, Sin, Cos, Tan,
         Asin, Acos, Atan, Sinh, Cosh, Tanh, Asinh, Acosh, Atanh, Erf, Erfc, Sigmoid, LogSigmoid,
         Relu, Relu6, LeakyRelu, Elu, Celu, Selu, Gelu, GeluTanh, Silu, Softplus, Mish, Softsign,
         Hardtanh, Clamp, Hardsigmoid, Hardswish, IsNan, IsInf, IsFinite, Signbit, LogicalNot,
         BitwiseInvert, Digamma, Lgamma, Erfinv, Erfcx, Ndtr, LogNdtr, Ndtri, BesselI0, BesselI0e,
         BesselI1, BesselI1e, BesselJ0, BesselJ1, BesselY0, BesselY1, BesselK0, BesselK0e, BesselK1,
         BesselK1e, SphericalJ0, AiryAi, Polygamma, Sinc, Logit, Entr, Hardshrink, Softshrink,
         Threshold, Frac>;
using BinaryFunctors =
    List<Add, Subtract, Multiply, Divide, FloorDivide, Remainder, Fmod, Power, Maximum, Minimum,
         Atan2, Hypot, Copysign, LogAddExp, Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual,
         LogicalAnd, LogicalOr, LogicalXor, BitwiseAnd, BitwiseOr, BitwiseXor, ShiftLeft,
         ShiftRight, Xlogy, Xlog1py, Fmax, Fmin, LogAddExp2, Heaviside, Gcd, Lcm, HurwitzZeta,
         GammaInc, GammaIncC>;

using TernaryFunctors = List<Addcmul, Addcdiv, Lerp>;

}  // namespace samara::pointwise
