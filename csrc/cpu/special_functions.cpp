#include "cpu/special_functions.h"

#include <math.h>  // lgamma_r, j0 and their kin, which <cmath> does not name

#include <cmath>
#include <limits>

#include "cpu/special_tables.h"

namespace samara::special {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double epsilon = 0x1p-53;
constexpr double pi = 3.14159265358979323846;
constexpr double root_half = 0.70710678118654752440;
constexpr double root_half_low = -4.8336466567264851e-17;  // what root_half lacks
constexpr double root_pi = 1.77245385090551602730;

// sum c_k T_k(t) with t in [-1, 1], by Clenshaw's recurrence.
template <int n>
double chebyshev(const double (&c)[n], double t) {
  double b1 = 0.0, b2 = 0.0;
  for (int k = n - 1; k > 0; --k) {
    const double b = 2.0 * t * b1 - b2 + c[k];
    b2 = b1;
    b1 = b;
  }
  return t * b1 - b2 + c[0];
}
template <int n>
double power_series(const double (&c)[n], double x) {
  double sum = 0.0;
  for (int k = n - 1; k >= 0; --k) sum = sum * x + c[k];
  return sum;
}

// e^(sign x^2), where rounding the square first would cost x^2 units in the last place.
double exp_square(double x, double sign) {
  const double square = x * x;
  const double rest = std::fma(x, x, -square);
  const double power = std::exp(sign * square);
  return std::isinf(power) ? power : power + power * (sign * rest);
}

bool is_whole(double x) { return x == std::floor(x); }

// sin(pi x) and cos(pi x), exact zeros included.
double sin_pi(double x) {
  const double r = x - 2.0 * std::round(0.5 * x);
  return std::fabs(r) <= 0.5 ? std::sin(pi * r)
                             : std::copysign(std::sin(pi * (1 - std::fabs(r))), r);
}

}  // namespace

// --- the gamma function's logarithm and its derivatives ------------------------------------------

double lgamma(double x) {
  int sign;
  return ::lgamma_r(x, &sign);
}

namespace {

// B_2k / (2k): log x - 1/(2x) - sum B_2k / (2k x^2k), for x >= 10.
constexpr double digamma_terms[] = {1.0 / 12,  -1.0 / 120,     1.0 / 252, -1.0 / 240,
                                    1.0 / 132, -691.0 / 32760, 1.0 / 12,  -3617.0 / 8160};
// B_2k of x^-(2k + 1).
constexpr double trigamma_terms[] = {1.0 / 6,  -1.0 / 30,     1.0 / 42, -1.0 / 30,
                                     5.0 / 66, -691.0 / 2730, 7.0 / 6,  -3617.0 / 510};

double positive_digamma(double x) {
  constexpr double root = 0x1.762d86356be3fp+0, root_low = 9.5499954299656977e-17;
  if (x < 1.0) return positive_digamma(x + 1.0) - 1.0 / x;
  if (x >= 10.0) {
    const double z = 1.0 / (x * x);
    return std::log(x) - 0.5 / x - z * power_series(digamma_terms, z);
  }
  double sum = 0.0;
  for (; x > 2.0; x -= 1.0) sum += 1.0 / (x - 1.0);
  // (x - root) times a Chebyshev series in [1, 2]: relative precision at the root.
  return sum + ((x - root) - root_low) * chebyshev(tables::digamma_fit, 2.0 * x - 3.0);
}

}  // namespace

double digamma(double x) {
  if (x == 0.0) return std::copysign(infinity, -x);
  if (x > 0.0 || std::isnan(x)) return x < infinity ? positive_digamma(x) : x;
  if (is_whole(x)) return nan;
  // The reflection; x minus its nearest integer is exact.
  return positive_digamma(1.0 - x) - pi / std::tan(pi * (x - std::round(x)));
}

double trigamma(double x) {
  if (std::isnan(x)) return x;
  if (x <= 0.0) {
    if (is_whole(x)) return infinity;
    const double s = sin_pi(x);
    return pi * pi / (s * s) - trigamma(1.0 - x);
  }
  double sum = 0.0;
  for (; x < 10.0; x += 1.0) sum += 1.0 / (x * x);
  const double z = 1.0 / (x * x);
  return sum + (1.0 / x + 0.5 * z + z / x * power_series(trigamma_terms, z));
}

double polygamma(double x, double n) {
  if (n == 0.0) return digamma(x);
  if (n == 1.0) return trigamma(x);
  const double factorial = std::tgamma(n + 1.0);
  return (std::fmod(n, 2.0) == 0.0 ? -factorial : factorial) * zeta(n + 1.0, x);
}

// Terms of the sum up to q + n > 9, then the Euler-Maclaurin formula.
double zeta(double s, double q) {
  if (std::isnan(s) || std::isnan(q)) return s + q;
  if (s == 1.0) return infinity;
  if (s < 1.0) return nan;
  if (q <= 0.0) {
    if (is_whole(q)) return infinity;
    if (!is_whole(s)) return nan;
  }
  if (q > 1e8) return (1.0 / (s - 1.0) + 0.5 / q) * std::pow(q, 1.0 - s);
  double term = std::pow(q, -s), sum = term, place = q;
  if (term == infinity) return infinity;
  for (int i = 0; i < 9 || place <= 9.0; ++i) {
    place += 1.0;
    term = std::pow(place, -s);
    sum += term;
    if (std::fabs(term) < epsilon * std::fabs(sum) && place > 0.0) return sum;
  }
  sum += term * place / (s - 1.0) - 0.5 * term;
  // B_2k / (2k)! times s (s + 1) ... (s + 2k - 2) q^-(s + 2k - 1).
  constexpr double bernoulli[] = {1.0 / 12,
                                  -1.0 / 720,
                                  1.0 / 30240,
                                  -1.0 / 1209600,
                                  1.0 / 47900160,
                                  -691.0 / 1307674368000,
                                  1.0 / 74724249600,
                                  -3617.0 / 10670622842880000,
                                  43867.0 / 5109094217170944000,
                                  -174611.0 / 802857662698291200000.0};
  double factor = 1.0;
  for (int k = 0; k < 10; ++k) {
    factor *= s + 2 * k;
    term /= place;
    const double part = factor * term * bernoulli[k];
    sum += part;
    if (std::fabs(part) < epsilon * std::fabs(sum)) break;
    factor *= s + 2 * k + 1;
    term /= place;
  }
  return sum;
}

// --- the error function's inverse and scaled forms -----------------------------------------------

double erfcx(double x) {
  if (x < 0.0) return 2.0 * exp_square(x, 1.0) - erfcx(-x);
  if (x < 10.0) return exp_square(x, 1.0) * std::erfc(x);
  // sum (-1)^k (2k - 1)!! / (2 x^2)^k / (x sqrt(pi))
  const double z = 0.5 / (x * x);
  double sum = 1.0;
  for (int k = 12; k > 0; --k) sum = 1.0 - sum * ((2 * k - 1) * z);
  return sum / (x * root_pi);
}

namespace {

// z with erfc(z) = q for 0 < q <= 1/2: the start of Abramowitz and Stegun 26.2.23, good to 5e-4,
// and two of Halley's steps, each of which triples the digits. e^(z^2) q is formed from
// logarithms, which loses nothing even where q is subnormal.
double erfcinv_tail(double log_q) {
  const double t = std::sqrt(-2.0 * (log_q - 0.69314718055994530942));
  double z = root_half * (t - (2.515517 + t * (0.802853 + t * 0.010328)) /
                                  (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308))));
  for (int i = 0; i < 3; ++i) {
    const double u = 0.5 * root_pi * (std::exp(log_q + z * z) - erfcx(z));
    z -= u / (1.0 + u * z);
  }
  return z;
}

}  // namespace

double erfinv(double x) {
  const double a = std::fabs(x);
  if (!(a < 1.0)) return a == 1.0 ? std::copysign(infinity, x) : nan;
  if (a < 1e-8) return x * (0.5 * root_pi);
  if (a > 0.5) return std::copysign(erfcinv_tail(std::log1p(-a)), x);
  // Winitzki's formula is good to 2e-3.
  const double logarithm = std::log1p(-a * a);
  const double half = 2.0 / (pi * 0.147) + 0.5 * logarithm;
  double z = std::sqrt(std::sqrt(half * half - logarithm / 0.147) - half);
  for (int i = 0; i < 3; ++i) {
    const double u = (std::erf(z) - a) * (0.5 * root_pi) * std::exp(z * z);
    z -= u / (1.0 + u * z);
  }
  return std::copysign(z, x);
}

double ndtr(double x) {
  // -x / sqrt(2) in two parts: the tail's relative error is that of its square's.
  const double high = -x * root_half;
  const double low = std::fma(-x, root_half, -high) - x * root_half_low;
  const double value = 0.5 * std::erfc(high);
  if (!(std::fabs(x) > 0.5 && std::fabs(x) < 40.0)) return value;
  return value - low * std::exp(-high * high) / root_pi;
}

double log_ndtr(double x) {
  if (x < -1.0) return std::log(0.5 * erfcx(-x * root_half)) - 0.5 * x * x;
  return std::log1p(-ndtr(-x));
}

double ndtri(double p) {
  if (!(p > 0.0 && p < 1.0)) return p == 0.0 ? -infinity : p == 1.0 ? infinity : nan;
  if (p > 0.5) return -ndtri(1.0 - p);
  if (p > 0.25) return erfinv(2.0 * p - 1.0) / root_half;
  return -erfcinv_tail(std::log(p) + 0.69314718055994530942) / root_half;
}

// --- Bessel functions ----------------------------------------------------------------------------

double i0e(double x) {
  const double a = std::fabs(x);
  // e^-x I(x) in x / 4 - 1 up to 8, then times sqrt(x) in 16 / x - 1.
  if (a <= 8.0) return chebyshev(tables::i0e_small, 0.25 * a - 1.0);
  return chebyshev(tables::i0e_large, 16.0 / a - 1.0) / std::sqrt(a);
}
double i1e(double x) {
  const double a = std::fabs(x);
  const double value = a <= 8.0 ? a * chebyshev(tables::i1e_small, 0.25 * a - 1.0)
                                : chebyshev(tables::i1e_large, 16.0 / a - 1.0) / std::sqrt(a);
  return std::copysign(value, x);
}
namespace {
// e^x may overflow where e^x times the value does not.
double times_exp(double value, double exponent) {
  const double half = std::exp(0.5 * exponent);
  return std::fabs(exponent) < 700.0 ? value * std::exp(exponent) : value * half * half;
}
}  // namespace
double i0(double x) { return std::isinf(x) ? infinity : times_exp(i0e(x), std::fabs(x)); }
double i1(double x) { return std::isinf(x) ? x : times_exp(i1e(x), std::fabs(x)); }

double k0e(double x) {
  if (!(x > 0.0)) return x == 0.0 ? infinity : nan;
  if (x > 2.0) return chebyshev(tables::k0_large, 4.0 / x - 1.0) / std::sqrt(x);
  return std::exp(x) * k0(x);
}
double k1e(double x) {
  if (!(x > 0.0)) return x == 0.0 ? infinity : nan;
  if (x > 2.0) return chebyshev(tables::k1_large, 4.0 / x - 1.0) / std::sqrt(x);
  return std::exp(x) * k1(x);
}
// Up to 2 the logarithm and a series in x^2.
double k0(double x) {
  if (!(x > 0.0)) return x == 0.0 ? infinity : nan;
  if (x > 2.0) return times_exp(k0e(x), -x);
  return chebyshev(tables::k0_small, 0.5 * x * x - 1.0) - std::log(0.5 * x) * i0(x);
}
double k1(double x) {
  if (!(x > 0.0)) return x == 0.0 ? infinity : nan;
  if (x > 2.0) return times_exp(k1e(x), -x);
  return chebyshev(tables::k1_small, 0.5 * x * x - 1.0) / x + std::log(0.5 * x) * i1(x);
}

double bessel_j0(double x) { return ::j0(x); }
double bessel_j1(double x) { return ::j1(x); }
double bessel_y0(double x) { return x < 0.0 ? nan : ::y0(x); }
double bessel_y1(double x) { return x < 0.0 ? nan : ::y1(x); }

double spherical_j0(double x) {
  if (std::isinf(x)) return 0.0;
  return std::fabs(x) < 1e-4 ? 1.0 - x * x / 6.0 : std::sin(x) / x;
}

// Through the Bessel functions of order 1/3.
double airy_ai(double x) {
  constexpr double third = 1.0 / 3.0, root_three = 1.73205080756887729353;
  if (std::isnan(x)) return x;
  if (x == infinity) return 0.0;
  if (x == -infinity) return nan;
  const double a = std::fabs(x), angle = 2.0 * third * a * std::sqrt(a);
  if (a < 1e-8) return 0.35502805388781723926 - x * 0.25881940379280679841;
  if (x > 0.0) {
    if (angle > 750.0) return 0.0;
    return std::sqrt(a * third) * std::cyl_bessel_k(third, angle) / pi;
  }
  return 0.5 * std::sqrt(a) *
         (std::cyl_bessel_j(third, angle) - std::cyl_neumann(third, angle) / root_three);
}

// --- incomplete gamma functions ------------------------------------------------------------------

namespace {

// log(1 + x) - x.
double log1p_minus(double x) {
  if (std::fabs(x) > 0.5) return std::log1p(x) - x;
  double power = x * x, sum = -0.5 * power;
  for (int k = 3; k < 80; ++k) {
    power *= -x;
    const double part = -power / k;
    sum += part;
    if (std::fabs(part) < epsilon * std::fabs(sum)) break;
  }
  return sum;
}

// log of Gamma(a) / (sqrt(2 pi / a) (a / e)^a), for a >= 10.
double stirling_correction(double a) {
  constexpr double terms[] = {1.0 / 12,   -1.0 / 360,      1.0 / 1260, -1.0 / 1680,
                              1.0 / 1188, -691.0 / 360360, 1.0 / 156};
  return power_series(terms, 1.0 / (a * a)) / a;
}

// x^a e^-x / Gamma(a).
double gamma_factor(double a, double x) {
  if (a < 100.0) {
    const double power = std::pow(x, a), value = power * std::exp(-x) / std::tgamma(a);
    // Beyond the range of its factors only the sum of their logarithms is left.
    if (power > 0x1p-1000 && value > 0x1p-1000 && value < infinity) return value;
    if (a < 10.0) return std::exp(a * std::log(x) - x - lgamma(a));
  }
  const double distance = (x - a) / a;
  const double exponent = distance < -0.999 ? std::log(x / a) - distance : log1p_minus(distance);
  return std::sqrt(a / (2.0 * pi)) * std::exp(a * exponent - stirling_correction(a));
}

// The power series of the lower function: x^a e^-x / Gamma(a + 1) sum x^n / ((a + 1) ... (a + n)).
double lower_series(double a, double x) {
  double term = 1.0, sum = 1.0, place = a;
  for (int i = 0; i < 100000; ++i) {
    place += 1.0;
    term *= x / place;
    sum += term;
    if (term < epsilon * sum) break;
  }
  return sum * gamma_factor(a, x) / a;
}

double log_gamma_of_1_plus(double a) {
  return a < 0.2 ? a * power_series(tables::log_gamma_near_1, a) : lgamma(1.0 + a);
}

// The upper function for small a and x < 1.1, where 1 - P would cancel:
// Q = 1 - x^a / Gamma(a + 1) + x^a / Gamma(a) sum -(-x)^n / (n! (a + n)).
double upper_series(double a, double x) {
  double term = 1.0, sum = 0.0;
  for (int n = 1; n < 200; ++n) {
    term *= -x / n;
    const double part = term / (a + n);
    sum += part;
    if (std::fabs(part) < epsilon * std::fabs(sum)) break;
  }
  const double logarithm = a * std::log(x);
  return -std::expm1(logarithm - log_gamma_of_1_plus(a)) - std::exp(logarithm - lgamma(a)) * sum;
}

// The continued fraction of the upper function, by Lentz's method.
double upper_fraction(double a, double x) {
  constexpr double tiny = 1e-300;
  double b = x + 1.0 - a, c = 1.0 / tiny, d = 1.0 / b, h = d;
  for (int i = 1; i < 100000; ++i) {
    const double numerator = -i * (i - a);
    b += 2.0;
    d = numerator * d + b;
    if (std::fabs(d) < tiny) d = tiny;
    c = b + numerator / c;
    if (std::fabs(c) < tiny) c = tiny;
    d = 1.0 / d;
    const double change = d * c;
    h *= change;
    if (std::fabs(change - 1.0) < 2 * epsilon) break;
  }
  return h * gamma_factor(a, x);
}

// Temme's uniform expansion for large a and x near a; `upper` chooses the function.
double temme(double a, double x, bool upper) {
  const double distance = (x - a) / a;
  const double half_square = -log1p_minus(distance);
  const double eta = std::copysign(std::sqrt(2.0 * half_square), distance);
  const double z = 1.0 / a;
  const double series =
      power_series(tables::temme_0, eta) +
      z * (power_series(tables::temme_1, eta) +
           z * (power_series(tables::temme_2, eta) + z * power_series(tables::temme_3, eta)));
  const double rest = std::exp(-a * half_square) / std::sqrt(2.0 * pi * a) * series;
  const double middle = eta * std::sqrt(0.5 * a);
  return upper ? 0.5 * std::erfc(middle) + rest : 0.5 * std::erfc(-middle) - rest;
}

bool near_transition(double a, double x) {
  return a > 1e4 && std::fabs(x - a) < 0.05 * a + 10.0 * std::sqrt(a) && std::fabs(x - a) < 0.3 * a;
}

// 0 at an end of the domain where both functions are known, NaN outside of it.
bool at_the_edge(double a, double x, double& lower) {
  if (std::isnan(a) || std::isnan(x) || a < 0.0 || x < 0.0 || (a == 0.0 && x == 0.0)) {
    lower = nan;
    return true;
  }
  if (std::isinf(a) && std::isinf(x)) {
    lower = nan;
    return true;
  }
  if (x == 0.0 || std::isinf(a)) {
    lower = 0.0;
    return true;
  }
  if (a == 0.0 || std::isinf(x)) {
    lower = 1.0;
    return true;
  }
  return false;
}

}  // namespace

double gammainc(double a, double x) {
  double value;
  if (at_the_edge(a, x, value)) return value;
  if (near_transition(a, x)) return temme(a, x, false);
  if (x <= 1.0 || x <= a) return lower_series(a, x);
  return 1.0 - gammaincc(a, x);
}

double gammaincc(double a, double x) {
  double value;
  if (at_the_edge(a, x, value)) return 1.0 - value;
  if (near_transition(a, x)) return temme(a, x, true);
  if (x > 1.1) return x < a ? 1.0 - lower_series(a, x) : upper_fraction(a, x);
  // Of Q and P the smaller one is computed, the other is the rest to 1.
  const bool small = x <= 0.5 ? -0.4 / std::log(x) < a : x * 1.1 < a;
  return small ? 1.0 - lower_series(a, x) : upper_series(a, x);
}

// dP/dx = x^(a - 1) e^-x / Gamma(a).
double gamma_density(double a, double x) {
  if (x == 0.0) return a < 1.0 ? infinity : a == 1.0 ? 1.0 : a > 1.0 ? 0.0 : nan;
  return gamma_factor(a, x) / x;
}

}  // namespace samara::special
