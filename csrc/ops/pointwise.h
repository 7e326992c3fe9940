// Every pointwise operation: its name, the dtypes it has kernels for, its value and its derivative.
//
// This text is all the numerics there is: each instruction set of the CPU compiles it, and so does
// the runtime compiler of a GPU. To add an operation, write one struct here and put it into the
// list at the end of activation.h; its signature, documentation, reference and samples stand in
// src/samara/ops/.
//
//   domain      dtypes with kernels of their own; integers given to a kReal operation are converted
//   result      what the output's dtype is (default: the inputs'; real: that of a complex number's
//               parts)
//   reads_x, reads_y   whether the derivative reads the inputs, the output
//   forward     the value; parameters, where there are any, come as p[0], p[1], ...
//   forward_moderate   optional: the value of a float that is_moderate holds for, where it is much
//               cheaper than others; the same bits as forward gives
//   mistake     what is wrong with parameters that no value can be computed with; optional
//   backward    the derivative with respect to x (unary), to a or b (binary), times g; for complex
//               numbers times its conjugate
#pragma once

#include "cpu/math.h"

namespace samara::pointwise {

enum Domain : unsigned { kReal = 1, kInteger = 2, kBoolean = 4, kComplex = 8 };
inline constexpr unsigned kNumeric = kReal | kInteger | kComplex;
inline constexpr unsigned kOrdered = kReal | kInteger;
inline constexpr unsigned kInexact = kReal | kComplex;
inline constexpr unsigned kEvery = kNumeric | kBoolean;

enum class Result { same, boolean, real };

// The defaults that most structs inherit.
struct Unary {
  static constexpr int arity = 1;
  static constexpr unsigned domain = kReal;
  static constexpr Result result = Result::same;
  static constexpr bool differentiable = true;
  static constexpr bool reads_x = true;
  static constexpr bool reads_y = false;
};
struct Binary : Unary {
  static constexpr int arity = 2;
  // Bit i: only the gradient of the other operand reads operand i.
  static constexpr unsigned for_other = 0;
};
// Three operands, of one float type; parameters follow. The derivative is made of other operations:
// see pointwise.cpp.
struct Ternary : Unary {
  static constexpr int arity = 3;
};
// Differentiable with a derivative of zero, or none at all.
struct Step : Unary {
  static constexpr bool differentiable = false;
};
struct Predicate : Step {
  static constexpr Result result = Result::boolean;
};
struct Comparison : Binary {
  static constexpr bool differentiable = false;
  static constexpr Result result = Result::boolean;
};

template <class T>
inline constexpr bool is_complex_number = requires(T x) { x.imag(); };

// conj(x), which is x for real numbers: derivatives use the conjugate convention.
template <class T>
SAMARA_FUNCTION T conjugate(T x) {
  if constexpr (is_complex_number<T>)
    return T(x.real(), -x.imag());
  else
    return x;
}

template <class T>
inline constexpr bool is_signed_integer = T(0.5) == T(0) && T(-1) < T(0);
template <class T>
inline constexpr bool is_integer = T(0.5) == T(0);
template <>
inline constexpr bool is_integer<bool> = false;
template <>
inline constexpr bool is_signed_integer<bool> = false;

template <class T>
struct UnsignedOf {
  using type = T;
};
template <>
struct UnsignedOf<signed char> {
  using type = unsigned;  // wider: the product of two small integers is promoted anyway
};
template <>
struct UnsignedOf<short> {
  using type = unsigned;
};
template <>
struct UnsignedOf<unsigned short> {
  using type = unsigned;  // 65535 * 65535 overflows the int that C++ would use
};
template <>
struct UnsignedOf<int> {
  using type = unsigned;
};
template <>
struct UnsignedOf<long> {
  using type = unsigned long;
};
// Integers wrap around; the arithmetic happens on the unsigned type, where C++ defines that.
template <class T>
using Wrapping = typename UnsignedOf<T>::type;

// --- arithmetic --------------------------------------------------------------------------------

struct Add : Binary {
  static constexpr const char* name = "add";
  static constexpr unsigned domain = kEvery;
  static constexpr bool reads_x = false;
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    return T(Wrapping<T>(a) + Wrapping<T>(b));
  }
  template <class T>
  SAMARA_FUNCTION T backward_a(T g, T, T, T) {
    return g;
  }
  template <class T>
  SAMARA_FUNCTION T backward_b(T g, T, T, T) {
    return g;
  }
};
struct Subtract : Binary {
  static constexpr const char* name = "subtract";
  static constexpr unsigned domain = kNumeric;
  static constexpr bool reads_x = false;
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    return T(Wrapping<T>(a) - Wrapping<T>(b));
  }
  template <class T>
  SAMARA_FUNCTION T backward_a(T g, T, T, T) {
    return g;
  }
  template <class T>
  SAMARA_FUNCTION T backward_b(T g, T, T, T) {
    return -g;
  }
};
struct Multiply : Binary {
  static constexpr const char* name = "multiply";
  static constexpr unsigned for_other = 0b11;
  static constexpr unsigned domain = kEvery;
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    return T(Wrapping<T>(a) * Wrapping<T>(b));
  }
  template <class T>
  SAMARA_FUNCTION T backward_a(T g, T, T b, T) {
    return g * conjugate(b);
  }
  template <class T>
  SAMARA_FUNCTION T backward_b(T g, T a, T, T) {
    return g * conjugate(a);
  }
};
struct Divide : Binary {
  static constexpr const char* name = "divide";
  static constexpr unsigned for_other = 0b01;
  static constexpr unsigned domain = kInexact;
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    return a / b;
  }
  template <class T>
  SAMARA_FUNCTION T backward_a(T g, T, T b, T) {
    return g / conjugate(b);
  }
  template <class T>
  SAMARA_FUNCTION T backward_b(T g, T a, T b, T) {
    return -g * conjugate((a / b) / b);
  }
};
// Whole numbers of up to 32 bits divide as doubles, of which vectors have a division: the quotient
// rounds to a whole number only where it is one.
template <class T>
inline constexpr bool divides_as_double =
    is_integer<T> && (sizeof(T) < 4 || (sizeof(T) == 4 && is_signed_integer<T>));
template <class T>
SAMARA_FUNCTION double quotient_as_double(T a, T b) {
  return static_cast<double>(a) / (b == T(0) ? 1.0 : static_cast<double>(b));
}
// A whole double as T, and 2^31, which only the smallest integer over -1 gives, as that integer.
template <class T>
SAMARA_FUNCTION T whole(double quotient) {
  return T(static_cast<int>(quotient > 2147483647.0 ? -quotient : quotient));
}
// a - quotient b, 0 for a divisor of 0.
template <class T>
SAMARA_FUNCTION T rest_of(T a, T b, T quotient) {
  const T rest = T(Wrapping<T>(a) - Wrapping<T>(quotient) * Wrapping<T>(b));
  return b == T(0) ? T(0) : rest;
}

// Integer division by zero gives 0; the smallest integer divided by -1 wraps to itself.
struct FloorDivide : Binary {
  static constexpr const char* name = "floor_divide";
  static constexpr unsigned domain = kOrdered;
  static constexpr bool differentiable = false;
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    if constexpr (divides_as_double<T>) {
      const T quotient = whole<T>(math::floor(quotient_as_double(a, b)));
      return b == T(0) ? T(0) : quotient;
    } else if constexpr (is_integer<T>) {
      if (b == T(0)) return T(0);
      if constexpr (is_signed_integer<T>) {
        if (b == T(-1)) return T(Wrapping<T>(0) - Wrapping<T>(a));
      }
      const T quotient = T(a / b);
      return T(quotient - ((a % b != 0) && ((a < T(0)) != (b < T(0)))));
    } else {
      return quotient(a, b, math::fmod(a, b));
    }
  }
  SAMARA_FUNCTION bool is_moderate(float a, float b) { return math::has_moderate_quotient(a, b); }
  SAMARA_FUNCTION float forward_moderate(float a, float b) {
    return quotient(a, b, math::fmod_moderate(a, b));
  }

 private:
  // As Python does it: exact remainder first, so that the quotient cannot be one off.
  template <class T>
  SAMARA_FUNCTION T quotient(T a, T b, T rest) {
    const T shifted = (rest != T(0) && ((b < T(0)) != (rest < T(0)))) ? T(1) : T(0);
    const T exact = (a - rest) / b - shifted;
    const T nearest = math::floor(exact);
    const T rounded = exact - nearest > T(0.5) ? nearest + T(1) : nearest;
    const T zero = math::copysign(T(0), a / b);
    const T result = exact != T(0) ? rounded : zero;
    return b == T(0) ? a / b : result;
  }
};
// The sign of the divisor, as Python's %. Integers: remainder by zero gives 0.
struct Remainder : Binary {
  static constexpr const char* name = "remainder";
  static constexpr unsigned domain = kOrdered;
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    if constexpr (divides_as_double<T>) {
      return rest_of(a, b, whole<T>(math::floor(quotient_as_double(a, b))));
    } else if constexpr (is_integer<T>) {
      if (b == T(0)) return T(0);
      if constexpr (is_signed_integer<T>) {
        if (b == T(-1)) return T(0);
      }
      const T rest = T(a % b);
      return T(rest != 0 && ((rest < T(0)) != (b < T(0))) ? T(rest + b) : rest);
    } else {
      return wrapped(math::fmod(a, b), b);
    }
  }
  SAMARA_FUNCTION bool is_moderate(float a, float b) { return math::has_moderate_quotient(a, b); }
  SAMARA_FUNCTION float forward_moderate(float a, float b) {
    return wrapped(math::fmod_moderate(a, b), b);
  }
  template <class T>
  SAMARA_FUNCTION T backward_a(T g, T, T, T) {
    return g;
  }
  template <class T>
  SAMARA_FUNCTION T backward_b(T g, T a, T b, T) {
    return -g * math::floor(a / b);
  }

 private:
  template <class T>
  SAMARA_FUNCTION T wrapped(T rest, T b) {
    const T moved = (rest < T(0)) != (b < T(0)) ? rest + b : rest;
    return rest != T(0) ? moved : math::copysign(rest, b);
  }
};
// The sign of the dividend, as C's fmod.
struct Fmod : Binary {
  static constexpr const char* name = "fmod";
  static constexpr unsigned domain = kOrdered;
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    if constexpr (divides_as_double<T>) {
      return rest_of(a, b, whole<T>(math::trunc(quotient_as_double(a, b))));
    } else if constexpr (is_integer<T>) {
      if (b == T(0)) return T(0);
      if constexpr (is_signed_integer<T>) {
        if (b == T(-1)) return T(0);
      }
      return T(a % b);
    } else {
      return math::fmod(a, b);
    }
  }
  SAMARA_FUNCTION bool is_moderate(float a, float b) { return math::has_moderate_quotient(a, b); }
  SAMARA_FUNCTION float forward_moderate(float a, float b) { return math::fmod_moderate(a, b); }
  template <class T>
  SAMARA_FUNCTION T backward_a(T g, T, T, T) {
    return g;
  }
  template <class T>
  SAMARA_FUNCTION T backward_b(T g, T a, T b, T) {
    return -g * math::trunc(a / b);
  }
};
// Integers: a negative exponent gives the truncated 1 / a^|b|, and 0 for a base of 0.
struct Power : Binary {
  static constexpr const char* name = "pow";
  static constexpr unsigned domain = kNumeric;
  static constexpr bool reads_y = true;
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    if constexpr (is_integer<T>) {
      if constexpr (is_signed_integer<T>) {
        if (b < T(0)) return a == T(1) ? T(1) : a == T(-1) ? (b & 1 ? T(-1) : T(1)) : T(0);
      }
      Wrapping<T> base = Wrapping<T>(a), power = 1;
      for (; b != T(0); b = T(b >> 1)) {
        if (b & 1) power *= base;
        base *= base;
      }
      return T(power);
    } else if constexpr (is_complex_number<T>) {
      return complex_pow(a, b);
    } else {
      return math::pow(a, b);
    }
  }
  SAMARA_FUNCTION bool is_moderate(float a, float b) { return math::is_moderate_power(a, b); }
  SAMARA_FUNCTION float forward_moderate(float a, float b) { return math::pow_moderate(a, b); }
  template <class T>
  SAMARA_FUNCTION T backward_a(T g, T a, T b, T) {
    if constexpr (is_complex_number<T>)
      return b == T(0) ? T(0) : g * conjugate(b * complex_pow(a, b - T(1)));
    else
      return b == T(0) ? T(0) : g * b * math::pow(a, b - T(1));
  }
  template <class T>
  SAMARA_FUNCTION T backward_b(T g, T a, T b, T y) {
    if constexpr (is_complex_number<T>)
      return a == T(0) ? T(0) : g * conjugate(y * math::log(a));
    else
      return a == T(0) && b >= T(0) ? T(0) : g * y * math::log(a);
  }

 private:
  template <class T>
  SAMARA_FUNCTION T complex_pow(T a, T b) {
    return b == T(0) ? T(1) : a == T(0) ? T(0) : math::pow(a, b);
  }
};
// NaN in either argument gives NaN; equal arguments share the gradient.
struct Maximum : Binary {
  static constexpr const char* name = "maximum";
  static constexpr unsigned domain = kOrdered | kBoolean;
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    return a > b || a != a ? a : b;
  }
  template <class T>
  SAMARA_FUNCTION T backward_a(T g, T a, T b, T) {
    return a > b ? g : a == b ? g * T(0.5) : T(0);
  }
  template <class T>
  SAMARA_FUNCTION T backward_b(T g, T a, T b, T) {
    return b > a ? g : a == b ? g * T(0.5) : T(0);
  }
};
struct Minimum : Binary {
  static constexpr const char* name = "minimum";
  static constexpr unsigned domain = kOrdered | kBoolean;
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    return a < b || a != a ? a : b;
  }
  template <class T>
  SAMARA_FUNCTION T backward_a(T g, T a, T b, T) {
    return a < b ? g : a == b ? g * T(0.5) : T(0);
  }
  template <class T>
  SAMARA_FUNCTION T backward_b(T g, T a, T b, T) {
    return b < a ? g : a == b ? g * T(0.5) : T(0);
  }
};
struct Atan2 : Binary {
  static constexpr const char* name = "atan2";
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    return math::atan2(a, b);
  }
  template <class T>
  SAMARA_FUNCTION T backward_a(T g, T a, T b, T) {
    return g * b / (a * a + b * b);
  }
  template <class T>
  SAMARA_FUNCTION T backward_b(T g, T a, T b, T) {
    return -g * a / (a * a + b * b);
  }
};
struct Hypot : Binary {
  static constexpr const char* name = "hypot";
  static constexpr bool reads_y = true;
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    const T x = math::abs(a), y = math::abs(b);
    const bool infinite = x == T(__builtin_inf()) || y == T(__builtin_inf());
    return infinite ? T(__builtin_inf()) : a != a || b != b ? a + b : length(x, y);
  }
  template <class T>
  SAMARA_FUNCTION T backward_a(T g, T a, T, T y) {
    return y == T(0) ? T(0) : g * (a / y);
  }
  template <class T>
  SAMARA_FUNCTION T backward_b(T g, T, T b, T y) {
    return y == T(0) ? T(0) : g * (b / y);
  }

 private:
  SAMARA_FUNCTION float length(float x, float y) {
    const double a = x, b = y;  // the squares of all floats fit
    return static_cast<float>(math::sqrt(a * a + b * b));
  }
  SAMARA_FUNCTION double length(double x, double y) {
    const double large = x > y ? x : y, small = x > y ? y : x;
    const double ratio = large == 0.0 ? 0.0 : small / large;
    return large * math::sqrt(1.0 + ratio * ratio);
  }
};
struct Copysign : Binary {
  static constexpr const char* name = "copysign";
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    return math::copysign(a, b);
  }
  template <class T>
  SAMARA_FUNCTION T backward_a(T g, T a, T b, T) {
    const T flipped = math::copysign(T(1), a) == math::copysign(T(1), b) ? g : -g;
    return a == T(0) ? T(0) : flipped;
  }
  template <class T>
  SAMARA_FUNCTION T backward_b(T, T, T, T) {
    return T(0);
  }
};
struct LogAddExp : Binary {
  static constexpr const char* name = "logaddexp";
  template <class T>
  SAMARA_FUNCTION T forward(T a, T b) {
    const T larger = a > b ? a : b;
    // Of equal infinities the difference would be NaN.
    const T gap = a == b ? T(0) : math::abs(a - b);
    return larger + math::log1p(math::exp(-gap));
  }
  template <class T>
  SAMARA_FUNCTION T backward_a(T g, T a, T b, T) {
    return a == b ? g * T(0.5) : g * math::sigmoid(a - b);
  }
  template <class T>
  SAMARA_FUNCTION T backward_b(T g, T a, T b, T) {
    return a == b ? g * T(0.5) : g * math::sigmoid(b - a);
  }
};

struct Negative : Unary {
  static constexpr const char* name = "negative";
  static constexpr unsigned domain = kNumeric;
  static constexpr bool reads_x = false;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    if constexpr (is_integer<T>)
      return T(Wrapping<T>(0) - Wrapping<T>(x));
    else
      return -x;
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T, T) {
    return -g;
  }
};
struct Absolute : Unary {
  static constexpr const char* name = "abs";
  static constexpr unsigned domain = kNumeric;
  static constexpr Result result = Result::real;
  template <class T>
  SAMARA_FUNCTION auto forward(T x) {
    if constexpr (is_complex_number<T>)
      return Hypot::forward(x.real(), x.imag());
    else if constexpr (is_integer<T>)
      return x < T(0) ? T(Wrapping<T>(0) - Wrapping<T>(x)) : x;
    else
      return math::abs(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return x > T(0) ? g : x < T(0) ? -g : g * x;
  }
  template <class R, class T>
  SAMARA_FUNCTION T backward_complex(R g, T x) {
    const R length = Hypot::forward(x.real(), x.imag());
    return length == R(0) ? T(0) : T(g * (x.real() / length), g * (x.imag() / length));
  }
};
struct Sign : Step {  // x / |x| of a complex number
  static constexpr const char* name = "sign";
  static constexpr unsigned domain = kNumeric;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    if constexpr (is_complex_number<T>) {
      const auto a = x.real(), b = x.imag();
      const auto large = Maximum::forward(math::abs(a), math::abs(b));
      const auto length = Hypot::forward(a / large, b / large);
      return x == T(0) ? T(0) : T(a / large / length, b / large / length);
    } else {
      return x > T(0) ? T(1) : x < T(0) ? T(-1) : x + T(0);  // of -0 too it is 0; NaN stays
    }
  }
};
struct Conjugate : Unary {
  static constexpr const char* name = "conj";
  static constexpr unsigned domain = kNumeric;
  static constexpr bool reads_x = false;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return conjugate(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T, T) {
    return conjugate(g);
  }
};
struct RealPart : Unary {
  static constexpr const char* name = "real";
  static constexpr unsigned domain = kNumeric;
  static constexpr Result result = Result::real;
  static constexpr bool reads_x = false;
  template <class T>
  SAMARA_FUNCTION auto forward(T x) {
    if constexpr (is_complex_number<T>)
      return x.real();
    else
      return x;
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T, T) {
    return g;
  }
  template <class R, class T>
  SAMARA_FUNCTION T backward_complex(R g, T) {
    return T(g, R(0));
  }
};
struct ImaginaryPart : Unary {
  static constexpr const char* name = "imag";
  static constexpr unsigned domain = kNumeric;
  static constexpr Result result = Result::real;
  static constexpr bool reads_x = false;
  template <class T>
  SAMARA_FUNCTION auto forward(T x) {
    if constexpr (is_complex_number<T>)
      return x.imag();
    else
      return T(0);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T, T, T) {
    return T(0);
  }
  template <class R, class T>
  SAMARA_FUNCTION T backward_complex(R g, T) {
    return T(R(0), g);
  }
};
struct Square : Unary {
  static constexpr const char* name = "square";
  static constexpr unsigned domain = kNumeric;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return T(Wrapping<T>(x) * Wrapping<T>(x));
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return g * (T(2) * conjugate(x));
  }
};
struct Reciprocal : Unary {
  static constexpr const char* name = "reciprocal";
  static constexpr unsigned domain = kInexact;
  static constexpr bool reads_x = false;
  static constexpr bool reads_y = true;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return T(1) / x;
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T, T y) {
    return -g * conjugate(y * y);
  }
};

// --- rounding ----------------------------------------------------------------------------------

struct Floor : Step {
  static constexpr const char* name = "floor";
  static constexpr unsigned domain = kOrdered;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    if constexpr (is_integer<T>)
      return x;
    else
      return math::floor(x);
  }
};
struct Ceil : Step {
  static constexpr const char* name = "ceil";
  static constexpr unsigned domain = kOrdered;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    if constexpr (is_integer<T>)
      return x;
    else
      return math::ceil(x);
  }
};
struct Trunc : Step {
  static constexpr const char* name = "trunc";
  static constexpr unsigned domain = kOrdered;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    if constexpr (is_integer<T>)
      return x;
    else
      return math::trunc(x);
  }
};
// The part behind the point.
struct Frac : Unary {
  static constexpr const char* name = "frac";
  static constexpr bool reads_x = false;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return x - math::trunc(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T, T) {
    return g;
  }
};
struct Round : Step {  // halves go to the even neighbour
  static constexpr const char* name = "round";
  static constexpr unsigned domain = kNumeric;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    if constexpr (is_integer<T>)
      return x;
    else if constexpr (is_complex_number<T>)
      return T(math::round(x.real()), math::round(x.imag()));
    else
      return math::round(x);
  }
};

}  // namespace samara::pointwise
