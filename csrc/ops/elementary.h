// The pointwise exponential, logarithmic and trigonometric functions; see pointwise.h for how to
// read a struct.
#pragma once

#include "ops/pointwise.h"

namespace samara::pointwise {

// --- exponential, logarithm, roots -------------------------------------------------------------

struct Sqrt : Unary {
  static constexpr const char* name = "sqrt";
  static constexpr unsigned domain = kInexact;
  static constexpr bool reads_x = false;
  static constexpr bool reads_y = true;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return math::sqrt(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T, T y) {
    return g / conjugate(T(2) * y);
  }
};
struct Rsqrt : Unary {
  static constexpr const char* name = "rsqrt";
  static constexpr unsigned domain = kInexact;
  static constexpr bool reads_x = false;
  static constexpr bool reads_y = true;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return math::rsqrt(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T, T y) {
    return T(-0.5) * g * conjugate(y * y * y);
  }
};
struct Exp : Unary {
  static constexpr const char* name = "exp";
  static constexpr unsigned domain = kInexact;
  static constexpr bool reads_x = false;
  static constexpr bool reads_y = true;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return math::exp(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T, T y) {
    return g * conjugate(y);
  }
};
struct Exp2 : Unary {
  static constexpr const char* name = "exp2";
  static constexpr unsigned domain = kInexact;
  static constexpr bool reads_x = false;
  static constexpr bool reads_y = true;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return math::exp2(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T, T y) {
    return g * conjugate(y) * T(0.693147180559945309417232121458);
  }
};
struct Expm1 : Unary {
  static constexpr const char* name = "expm1";
  static constexpr unsigned domain = kInexact;
  static constexpr bool reads_x = false;
  static constexpr bool reads_y = true;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return math::expm1(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T, T y) {
    return g * conjugate(y + T(1));
  }
};
struct Log : Unary {
  static constexpr const char* name = "log";
  static constexpr unsigned domain = kInexact;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return math::log(x);
  }
  SAMARA_FUNCTION bool is_moderate(float x) { return math::is_positive_normal(x); }
  SAMARA_FUNCTION float forward_moderate(float x) { return math::log_moderate(x); }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return g / conjugate(x);
  }
};
struct Log2 : Unary {
  static constexpr const char* name = "log2";
  static constexpr unsigned domain = kInexact;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return math::log2(x);
  }
  SAMARA_FUNCTION bool is_moderate(float x) { return math::is_positive_normal(x); }
  SAMARA_FUNCTION float forward_moderate(float x) { return math::log2_moderate(x); }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return g / (conjugate(x) * T(0.693147180559945309417232121458));
  }
};
struct Log10 : Unary {
  static constexpr const char* name = "log10";
  static constexpr unsigned domain = kInexact;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return math::log10(x);
  }
  SAMARA_FUNCTION bool is_moderate(float x) { return math::is_positive_normal(x); }
  SAMARA_FUNCTION float forward_moderate(float x) { return math::log10_moderate(x); }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return g / (conjugate(x) * T(2.302585092994045684017991454684));
  }
};
struct Log1p : Unary {
  static constexpr const char* name = "log1p";
  static constexpr unsigned domain = kInexact;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return math::log1p(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return g / conjugate(T(1) + x);
  }
};

// --- trigonometry ------------------------------------------------------------------------------

struct Sin : Unary {
  static constexpr const char* name = "sin";
  static constexpr unsigned domain = kInexact;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    if constexpr (__is_same(T, float)) {
      if (is_moderate(x)) return forward_moderate(x);
    }
    return math::sin(x);
  }
  SAMARA_FUNCTION bool is_moderate(float x) { return math::is_moderate_angle(x); }
  SAMARA_FUNCTION float forward_moderate(float x) { return math::sin_moderate(x); }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return g * conjugate(math::cos(x));
  }
};
struct Cos : Unary {
  static constexpr const char* name = "cos";
  static constexpr unsigned domain = kInexact;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    if constexpr (__is_same(T, float)) {
      if (is_moderate(x)) return forward_moderate(x);
    }
    return math::cos(x);
  }
  SAMARA_FUNCTION bool is_moderate(float x) { return math::is_moderate_angle(x); }
  SAMARA_FUNCTION float forward_moderate(float x) { return math::cos_moderate(x); }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return -g * conjugate(math::sin(x));
  }
};
struct Tan : Unary {
  static constexpr const char* name = "tan";
  static constexpr unsigned domain = kInexact;
  static constexpr bool reads_x = false;
  static constexpr bool reads_y = true;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    if constexpr (__is_same(T, float)) {
      if (is_moderate(x)) return forward_moderate(x);
    }
    return math::tan(x);
  }
  SAMARA_FUNCTION bool is_moderate(float x) { return math::is_moderate_angle(x); }
  SAMARA_FUNCTION float forward_moderate(float x) { return math::tan_moderate(x); }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T, T y) {
    return g * conjugate(T(1) + y * y);
  }
};
struct Asin : Unary {
  static constexpr const char* name = "asin";
  static constexpr unsigned domain = kInexact;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return math::asin(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return g / conjugate(math::sqrt((T(1) - x) * (T(1) + x)));
  }
};
struct Acos : Unary {
  static constexpr const char* name = "acos";
  static constexpr unsigned domain = kInexact;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return math::acos(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return -g / conjugate(math::sqrt((T(1) - x) * (T(1) + x)));
  }
};
struct Atan : Unary {
  static constexpr const char* name = "atan";
  static constexpr unsigned domain = kInexact;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return math::atan(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return g / conjugate(T(1) + x * x);
  }
};
struct Sinh : Unary {
  static constexpr const char* name = "sinh";
  static constexpr unsigned domain = kInexact;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return math::sinh(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return g * conjugate(math::cosh(x));
  }
};
struct Cosh : Unary {
  static constexpr const char* name = "cosh";
  static constexpr unsigned domain = kInexact;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return math::cosh(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return g * conjugate(math::sinh(x));
  }
};
struct Tanh : Unary {
  static constexpr const char* name = "tanh";
  static constexpr unsigned domain = kInexact;
  static constexpr bool reads_x = false;
  static constexpr bool reads_y = true;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return math::tanh(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T, T y) {
    return g * conjugate((T(1) - y) * (T(1) + y));
  }
};
struct Asinh : Unary {
  static constexpr const char* name = "asinh";
  static constexpr unsigned domain = kInexact;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return math::asinh(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return g / conjugate(math::sqrt(x * x + T(1)));
  }
};
struct Acosh : Unary {
  static constexpr const char* name = "acosh";
  static constexpr unsigned domain = kInexact;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return math::acosh(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return g / conjugate(math::sqrt(x - T(1)) * math::sqrt(x + T(1)));
  }
};
struct Atanh : Unary {
  static constexpr const char* name = "atanh";
  static constexpr unsigned domain = kInexact;
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return math::atanh(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return g / conjugate((T(1) - x) * (T(1) + x));
  }
};
struct Erf : Unary {
  static constexpr const char* name = "erf";
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return math::erf(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return g * (T(1.128379167095512573896158903122) * math::exp(-x * x));
  }
};
struct Erfc : Unary {
  static constexpr const char* name = "erfc";
  template <class T>
  SAMARA_FUNCTION T forward(T x) {
    return math::erfc(x);
  }
  template <class T>
  SAMARA_FUNCTION T backward(T g, T x, T) {
    return -g * (T(1.128379167095512573896158903122) * math::exp(-x * x));
  }
};
}  // namespace samara::pointwise
