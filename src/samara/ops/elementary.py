"""Roots, exponentials, logarithms, trigonometric and hyperbolic functions, the error function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from samara.ops.pointwise import INEXACT, conjugate, unary
from samara.tensor import Tensor

LN2 = math.log(2.0)
LN10 = math.log(10.0)
TWO_OVER_ROOT_PI = 2.0 / math.sqrt(math.pi)

# --- roots, exponentials, logarithms --------------------------------------------------------------

sqrt = unary(
    "sqrt(x)",
    "The square root, correctly rounded; NaN for real x < 0.",
    ref=np.sqrt,
    grad=lambda g, x, y: g / conjugate(2 * y),
    dtypes=INEXACT,
    span=(0.01, 4.0),
    ulp=1,
    onnx="Sqrt",
    example=("samara.sqrt(samara.tensor([4.0, 9.0])).tolist()", "[2.0, 3.0]"),
)

rsqrt = unary(
    "rsqrt(x)",
    "1 / sqrt(x).",
    ref=lambda x: 1 / np.sqrt(x),
    grad=lambda g, x, y: -0.5 * g * conjugate(y * y * y),
    dtypes=INEXACT,
    span=(0.01, 4.0),
    ulp=2,
    source="PyTorch, `torch.rsqrt`",
    example=("samara.rsqrt(samara.tensor([4.0, 0.25])).tolist()", "[0.5, 2.0]"),
)

exp = unary(
    "exp(x)",
    "e^x.",
    ref=np.exp,
    grad=lambda g, x, y: g * conjugate(y),
    dtypes=INEXACT,
    ulp=2,
    onnx="Exp",
    example=("samara.exp(samara.tensor([0.0, -samara.inf])).tolist()", "[1.0, 0.0]"),
)

exp2 = unary(
    "exp2(x)",
    "2^x.",
    ref=np.exp2,
    grad=lambda g, x, y: g * conjugate(y) * LN2,
    dtypes=INEXACT,
    ulp=2,
    source="ISO C, `exp2`",
    example=("samara.exp2(samara.tensor([3.0, -1.0])).tolist()", "[8.0, 0.5]"),
)

expm1 = unary(
    "expm1(x)",
    "e^x - 1, exact also near 0.",
    ref=np.expm1,
    grad=lambda g, x, y: g * conjugate(y + 1),
    dtypes=INEXACT,
    ulp=2,
    example=("samara.expm1(samara.tensor([0.0])).tolist()", "[0.0]"),
)

log = unary(
    "log(x)",
    "The natural logarithm; -inf at 0, NaN for real x < 0.",
    ref=np.log,
    grad=lambda g, x, y: g / conjugate(x),
    dtypes=INEXACT,
    span=(0.01, 4.0),
    ulp=2,
    onnx="Log",
    example=("samara.log(samara.tensor([1.0, 0.0])).tolist()", "[0.0, -inf]"),
)

log2 = unary(
    "log2(x)",
    "The logarithm to base 2.",
    ref=np.log2,
    grad=lambda g, x, y: g / (conjugate(x) * LN2),
    dtypes=INEXACT,
    span=(0.01, 4.0),
    ulp=2,
    example=("samara.log2(samara.tensor([8.0, 0.5])).tolist()", "[3.0, -1.0]"),
)

log10 = unary(
    "log10(x)",
    "The logarithm to base 10.",
    ref=np.log10,
    grad=lambda g, x, y: g / (conjugate(x) * LN10),
    dtypes=INEXACT,
    span=(0.01, 4.0),
    ulp=2,
    example=("samara.log10(samara.tensor([1000.0, 1.0])).tolist()", "[3.0, 0.0]"),
)


def _log1p_ref(x: Any) -> Any:
    """NumPy's complex log1p loses everything below 1e-16."""
    if x.dtype.kind != "c":
        return np.log1p(x)
    a, b = x.real.astype(np.longdouble), x.imag.astype(np.longdouble)
    return (np.log1p(a * (2 + a) + b * b) / 2 + 1j * np.arctan2(b, 1 + a)).astype(x.dtype)


log1p = unary(
    "log1p(x)",
    "log(1 + x), exact also near 0.",
    ref=_log1p_ref,
    grad=lambda g, x, y: g / conjugate(1 + x),
    dtypes=INEXACT,
    span=(-0.9, 4.0),
    ulp=2,
    example=("samara.log1p(samara.tensor([0.0, -1.0])).tolist()", "[0.0, -inf]"),
)

# --- trigonometric functions ----------------------------------------------------------------------


def _sin_grad(g: Tensor, x: Tensor, y: Tensor) -> Any:
    return g * conjugate(cos(x))


sin = unary(
    "sin(x)",
    "The sine of x radians.",
    ref=np.sin,
    grad=_sin_grad,
    dtypes=INEXACT,
    ulp=2,
    onnx="Sin",
    example=("samara.sin(samara.tensor([0.0])).tolist()", "[0.0]"),
)

cos = unary(
    "cos(x)",
    "The cosine of x radians.",
    ref=np.cos,
    grad=lambda g, x, y: -g * conjugate(sin(x)),
    dtypes=INEXACT,
    ulp=2,
    onnx="Cos",
    example=("samara.cos(samara.tensor([0.0])).tolist()", "[1.0]"),
)

tan = unary(
    "tan(x)",
    "The tangent of x radians.",
    ref=np.tan,
    grad=lambda g, x, y: g * conjugate(1 + y * y),
    dtypes=INEXACT,
    ulp=2,
    onnx="Tan",
    example=("samara.tan(samara.tensor([0.0])).tolist()", "[0.0]"),
)


def _asin_slope(x: Tensor) -> Tensor:
    slope: Tensor = conjugate(sqrt((1 - x) * (1 + x)))
    return slope


asin = unary(
    "asin(x)",
    "The angle from -pi/2 to pi/2 whose sine is x; NaN for real |x| > 1.",
    ref=np.arcsin,
    grad=lambda g, x, y: g / _asin_slope(x),
    dtypes=INEXACT,
    span=(-0.95, 0.95),
    ulp=2,
    onnx="Asin",
    aliases=("arcsin",),
    example=("samara.asin(samara.tensor([0.0, 2.0])).tolist()", "[0.0, nan]"),
)

acos = unary(
    "acos(x)",
    "The angle from 0 to pi whose cosine is x; NaN for real |x| > 1.",
    ref=np.arccos,
    grad=lambda g, x, y: -g / _asin_slope(x),
    dtypes=INEXACT,
    span=(-0.95, 0.95),
    ulp=2,
    onnx="Acos",
    aliases=("arccos",),
    example=("samara.acos(samara.tensor([1.0])).tolist()", "[0.0]"),
)

atan = unary(
    "atan(x)",
    "The angle from -pi/2 to pi/2 whose tangent is x.",
    ref=np.arctan,
    grad=lambda g, x, y: g / conjugate(1 + x * x),
    dtypes=INEXACT,
    ulp=2,
    onnx="Atan",
    aliases=("arctan",),
    example=("samara.atan(samara.tensor([0.0])).tolist()", "[0.0]"),
)

# --- hyperbolic functions -------------------------------------------------------------------------


def _sinh_grad(g: Tensor, x: Tensor, y: Tensor) -> Any:
    return g * conjugate(cosh(x))


sinh = unary(
    "sinh(x)",
    "The hyperbolic sine, (e^x - e^-x) / 2.",
    ref=np.sinh,
    grad=_sinh_grad,
    dtypes=INEXACT,
    ulp=2,
    onnx="Sinh",
    example=("samara.sinh(samara.tensor([0.0])).tolist()", "[0.0]"),
)

cosh = unary(
    "cosh(x)",
    "The hyperbolic cosine, (e^x + e^-x) / 2.",
    ref=np.cosh,
    grad=lambda g, x, y: g * conjugate(sinh(x)),
    dtypes=INEXACT,
    ulp=2,
    onnx="Cosh",
    example=("samara.cosh(samara.tensor([0.0])).tolist()", "[1.0]"),
)

tanh = unary(
    "tanh(x)",
    "The hyperbolic tangent, (e^x - e^-x) / (e^x + e^-x).",
    ref=np.tanh,
    grad=lambda g, x, y: g * conjugate((1 - y) * (1 + y)),
    dtypes=INEXACT,
    ulp=2,
    onnx="Tanh",
    example=("samara.tanh(samara.tensor([0.0, samara.inf])).tolist()", "[0.0, 1.0]"),
)

asinh = unary(
    "asinh(x)",
    "The inverse of sinh, log(x + sqrt(x^2 + 1)).",
    ref=np.arcsinh,
    grad=lambda g, x, y: g / conjugate(sqrt(x * x + 1)),
    dtypes=INEXACT,
    ulp=2,
    onnx="Asinh",
    aliases=("arcsinh",),
    example=("samara.asinh(samara.tensor([0.0])).tolist()", "[0.0]"),
)

acosh = unary(
    "acosh(x)",
    "The inverse of cosh on x >= 1, log(x + sqrt(x^2 - 1)); NaN for real x < 1.",
    ref=np.arccosh,
    grad=lambda g, x, y: g / conjugate(sqrt(x - 1) * sqrt(x + 1)),
    dtypes=INEXACT,
    span=(1.1, 4.0),
    ulp=2,
    onnx="Acosh",
    aliases=("arccosh",),
    example=("samara.acosh(samara.tensor([1.0])).tolist()", "[0.0]"),
)

atanh = unary(
    "atanh(x)",
    "The inverse of tanh, log((1 + x) / (1 - x)) / 2; NaN for real |x| > 1.",
    ref=np.arctanh,
    grad=lambda g, x, y: g / conjugate((1 - x) * (1 + x)),
    dtypes=INEXACT,
    span=(-0.95, 0.95),
    ulp=2,
    onnx="Atanh",
    aliases=("arctanh",),
    example=("samara.atanh(samara.tensor([0.0, 1.0])).tolist()", "[0.0, inf]"),
)

# --- the error function ---------------------------------------------------------------------------


def _erf_slope(x: Tensor) -> Any:
    return TWO_OVER_ROOT_PI * exp(-x * x)


erf = unary(
    "erf(x)",
    "The error function, 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x.",
    ref=np.vectorize(math.erf, otypes=[np.float64]),
    grad=lambda g, x, y: g * _erf_slope(x),
    ulp=2,
    onnx="Erf",
    source="ISO C, `erf`",
    example=("samara.erf(samara.tensor([0.0, samara.inf])).tolist()", "[0.0, 1.0]"),
)

erfc = unary(
    "erfc(x)",
    "1 - erf(x), exact also where that is small.",
    ref=np.vectorize(math.erfc, otypes=[np.float64]),
    grad=lambda g, x, y: -g * _erf_slope(x),
    ulp=2,
    source="ISO C, `erfc`",
    example=("samara.erfc(samara.tensor([0.0, samara.inf])).tolist()", "[1.0, 0.0]"),
)
