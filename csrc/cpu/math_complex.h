// Elementary functions of complex numbers, through the standard library: host only.
#pragma once

#include <cmath>
#include <complex>

#include "cpu/math.h"

namespace samara::math {

// z -> f(z) under the names that the pointwise functors use.
template <class R>
std::complex<R> exp(std::complex<R> z) {
  return std::exp(z);
}
template <class R>
std::complex<R> log(std::complex<R> z) {
  return std::log(z);
}
template <class R>
std::complex<R> sqrt(std::complex<R> z) {
  return std::sqrt(z);
}
template <class R>
std::complex<R> rsqrt(std::complex<R> z) {
  return std::complex<R>(1) / std::sqrt(z);
}
template <class R>
std::complex<R> exp2(std::complex<R> z) {
  return std::exp(z * R(0.693147180559945309417232121458));
}
template <class R>
std::complex<R> log2(std::complex<R> z) {
  return std::log(z) / R(0.693147180559945309417232121458);
}
template <class R>
std::complex<R> log10(std::complex<R> z) {
  return std::log(z) / R(2.302585092994045684017991454684);
}
// e^a cos b - 1 = (e^a - 1) cos b - 2 sin^2(b / 2), which loses nothing near 0.
template <class R>
std::complex<R> expm1(std::complex<R> z) {
  const R a = z.real(), b = z.imag();
  if (!std::isfinite(a) || !std::isfinite(b)) return std::exp(z) - R(1);
  const R half = std::sin(b / 2);
  return {std::expm1(a) * std::cos(b) - 2 * half * half, std::exp(a) * std::sin(b)};
}
// log |1 + z| = log1p(a (2 + a) + b^2) / 2, which loses nothing near 0.
template <class R>
std::complex<R> log1p(std::complex<R> z) {
  const R a = z.real(), b = z.imag();
  if (!(std::abs(a) < R(0.5) && std::abs(b) < R(0.5))) return std::log(R(1) + z);
  return {std::log1p(a * (2 + a) + b * b) / 2, std::atan2(b, 1 + a)};
}
template <class R>
std::complex<R> sin(std::complex<R> z) {
  return std::sin(z);
}
template <class R>
std::complex<R> cos(std::complex<R> z) {
  return std::cos(z);
}
template <class R>
std::complex<R> tan(std::complex<R> z) {
  return std::tan(z);
}
template <class R>
std::complex<R> asin(std::complex<R> z) {
  return std::asin(z);
}
template <class R>
std::complex<R> acos(std::complex<R> z) {
  return std::acos(z);
}
// Odd, and conjugates of conjugates, to the last place, which the library's own is not.
template <class R>
std::complex<R> atanh(std::complex<R> z) {
  const std::complex<R> w = std::atanh(std::complex<R>(std::abs(z.real()), std::abs(z.imag())));
  return {std::copysign(w.real(), z.real()), std::copysign(w.imag(), z.imag())};
}
template <class R>
std::complex<R> atan(std::complex<R> z) {  // -j atanh(jz)
  const std::complex<R> w = math::atanh(std::complex<R>(-z.imag(), z.real()));
  return {w.imag(), -w.real()};
}
template <class R>
std::complex<R> sinh(std::complex<R> z) {
  return std::sinh(z);
}
template <class R>
std::complex<R> cosh(std::complex<R> z) {
  return std::cosh(z);
}
template <class R>
std::complex<R> tanh(std::complex<R> z) {
  return std::tanh(z);
}
template <class R>
std::complex<R> asinh(std::complex<R> z) {
  return std::asinh(z);
}
template <class R>
std::complex<R> acosh(std::complex<R> z) {
  return std::acosh(z);
}

template <class R>
std::complex<R> pow(std::complex<R> z, std::complex<R> w) {
  // exp(w log z) turns the rounding of w log z into a relative error: floats go through double.
  return std::complex<R>(std::pow(std::complex<double>(z), std::complex<double>(w)));
}

}  // namespace samara::math
