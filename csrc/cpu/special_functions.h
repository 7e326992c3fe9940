// Special functions of one or two doubles; floats go through them and are rounded once.
//
// Each is compiled once, in special_functions.cpp: they branch, so instruction sets make no
// difference, and pointwise.h's loops call them.
#pragma once

namespace samara::special {

double digamma(double x);
double trigamma(double x);
double polygamma(double x, double n);
double lgamma(double x);
double erfinv(double x);
double erfcx(double x);
double ndtr(double x);
double log_ndtr(double x);
double ndtri(double p);
double i0(double x);
double i0e(double x);
double i1(double x);
double i1e(double x);
double bessel_j0(double x);
double bessel_j1(double x);
double bessel_y0(double x);
double bessel_y1(double x);
double k0(double x);
double k0e(double x);
double k1(double x);
double k1e(double x);
double spherical_j0(double x);
double airy_ai(double x);
// The Hurwitz zeta function, the sum of (q + k)^-s.
double zeta(double s, double q);
// The regularised incomplete gamma functions and the density they are integrals of.
double gammainc(double a, double x);
double gammaincc(double a, double x);
double gamma_density(double a, double x);

}  // namespace samara::special
