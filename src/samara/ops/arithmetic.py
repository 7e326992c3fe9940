"""Sums, products, quotients, powers, signs and extremes of elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from samara.dtypes import COMPLEX, FLOAT, INTEGER, NUMERIC
from samara.errors import ArgumentError
from samara.ops.elementary import log
from samara.ops.pointwise import (
    EDGES,
    INEXACT,
    NONZERO_EDGES,
    ORDERED,
    REAL_INPUTS,
    STANDARD,
    binary,
    conjugate,
    operands,
    unary,
    wide,
)
from samara.ops.record import ALL, METHODS, ErrorSample, Sample, composite
from samara.ops.rounding import floor, trunc
from samara.ops.selection import where
from samara.tensor import Tensor

Gradients = tuple[Any, ...]

REAL = INTEGER + FLOAT

# Steps of the quotient stay wider than those of finite differences.
_COARSE = tuple(x for x in EDGES if x == 0 or not -0.1 < x < 0.1)
_FINITE = tuple(x for x in NONZERO_EDGES if np.isfinite(x))


def _alpha_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.normal(size=(2, 3)), rng.normal(size=3), alpha=2),
        Sample(rng.normal(size=3), 2, alpha=3),
    ]


add = binary(
    "add(x, y, *, alpha: number = 1)",
    "x + alpha y. Integers wrap around; bools give their logical or.",
    ref=lambda x, y, alpha=1: x + y if alpha == 1 else x + alpha * y,
    grad=lambda g, x, y, out, **_: (g, g),
    dtypes=ALL,
    samples=_alpha_samples,
    ulp=1,
    onnx="Add",
    source=f"{STANDARD}, `add`; `alpha` is PyTorch's",
    example=("samara.add(samara.tensor([1.0, 2.0]), 10).tolist()", "[11.0, 12.0]"),
)

subtract = binary(
    "subtract(x, y, *, alpha: number = 1)",
    "x - alpha y. Integers wrap around.",
    ref=lambda x, y, alpha=1: x - y if alpha == 1 else x - alpha * y,
    grad=lambda g, x, y, out, **_: (g, -g),
    samples=_alpha_samples,
    onnx="Sub",
    aliases=("sub",),
    source=f"{STANDARD}, `subtract`; `alpha` is PyTorch's",
    example=("samara.subtract(samara.tensor([1.0, 2.0]), 3).tolist()", "[-2.0, -1.0]"),
)

multiply = binary(
    "multiply(x, y)",
    "x y. Integers wrap around; bools give their logical and.",
    ref=lambda x, y: x * y,
    grad=lambda g, x, y, out: (g * conjugate(y), g * conjugate(x)),
    dtypes=ALL,
    ulp=2,
    onnx="Mul",
    aliases=("mul",),
    example=("samara.multiply(samara.tensor([1.0, 2.0]), 3).tolist()", "[3.0, 6.0]"),
)


def _divide_grad(g: Tensor, x: Any, y: Any, out: Tensor) -> Gradients:
    return g / conjugate(y), -g * conjugate((x / y) / y)


divide = binary(
    "divide(x, y)",
    "x / y.",
    ref=lambda x, y: np.divide(x, y),
    grad=_divide_grad,
    dtypes=INEXACT,
    edges=NONZERO_EDGES,
    converts=True,
    ulp=3,
    onnx="Div",
    aliases=("true_divide",),
    example=("samara.divide(samara.tensor([1.0, 2.0]), 4).tolist()", "[0.25, 0.5]"),
)


def _python_floor(x: Any, y: Any) -> Any:
    if np.asarray(x).dtype.kind in "iu" and np.asarray(y).dtype.kind in "iu":
        return np.where(y == 0, 0, np.floor_divide(x, np.where(y == 0, 1, y)))
    return np.floor_divide(x, y)


floor_divide = binary(
    "floor_divide(x, y)",
    """floor(x / y), as Python's // gives it: the quotient that goes with the remainder x % y.

    Integers divided by 0 give 0; infinity // y is NaN and a finite x // infinity is 0 or -1.""",
    ref=_python_floor,
    dtypes=REAL,
    ulp=0.5,
    example=("samara.floor_divide(samara.tensor([7, -7]), 2).tolist()", "[3, -4]"),
)


def _python_remainder(x: Any, y: Any) -> Any:
    if np.asarray(x).dtype.kind in "iu" and np.asarray(y).dtype.kind in "iu":
        return np.where(y == 0, 0, np.remainder(x, np.where(y == 0, 1, y)))
    return np.remainder(x, y)


remainder = binary(
    "remainder(x, y)",
    """x - y floor(x / y), with the sign of y, as Python's %.

    Integers give 0 for y = 0.""",
    ref=_python_remainder,
    grad=lambda g, x, y, out: (g, -g * floor(x / y)),
    edges=_COARSE,
    dtypes=REAL,
    example=("samara.remainder(samara.tensor([7, -7]), 3).tolist()", "[1, 2]"),
)


def _c_fmod(x: Any, y: Any) -> Any:
    if np.asarray(x).dtype.kind in "iu" and np.asarray(y).dtype.kind in "iu":
        return np.where(y == 0, 0, np.fmod(x, np.where(y == 0, 1, y)))
    return np.fmod(x, y)


fmod = binary(
    "fmod(x, y)",
    """x - y trunc(x / y), with the sign of x, exact. Integers give 0 for y = 0.""",
    ref=_c_fmod,
    grad=lambda g, x, y, out: (g, -g * trunc(x / y)),
    edges=_COARSE,
    dtypes=REAL,
    onnx="Mod",
    source="ISO C, `fmod`",
    example=("samara.fmod(samara.tensor([7, -7]), 3).tolist()", "[1, -1]"),
)


@composite(
    "div(x, y, *, rounding_mode: str? = None)",
    doc="""x / y; with rounding_mode "floor" or "trunc" rounded down or towards 0.

    x: [*A], y: [*B] -> [*S], the broadcast shape.

    Raises ArgumentError for another rounding mode, ShapeError when the shapes do not broadcast.
    Source: PyTorch, `torch.div`.

    >>> samara.div(samara.tensor([7, -7]), 2, rounding_mode="trunc").tolist()
    [3, -3]
    """,
    ref=wide(np.divide),
    dtypes=ALL,
    ulp=3,
    samples=lambda rng: [
        Sample(rng.uniform(1, 3, size=(2, 3)), rng.uniform(1, 3, size=3)),
        Sample(rng.uniform(1, 3, size=4), 2),
        Sample(rng.uniform(1, 3, size=()), np.ones(())),
        Sample(np.ones((0, 3)), np.ones(3)),
    ],
    errors=lambda: [
        ErrorSample(
            ArgumentError, "rounding_mode 'up'", np.ones(2), np.ones(2), rounding_mode="up"
        ),
    ],
    in_place=True,
)
def div(x: Any, y: Any, *, rounding_mode: str | None = None) -> Any:
    if rounding_mode is None:
        return divide(x, y)
    if rounding_mode == "floor":
        return floor_divide(x, y)
    if rounding_mode != "trunc":
        raise ArgumentError(
            f"div: rounding_mode {rounding_mode!r} given. Expected None, 'floor' or 'trunc'. "
            "Fix: choose one of them."
        )
    whole = not any(v.dtype in FLOAT for v in (x, y) if isinstance(v, Tensor)) and not any(
        isinstance(v, float) for v in (x, y)
    )
    if not whole:
        return trunc(divide(x, y))
    return floor_divide(x - fmod(x, y), y)


def _pow_grad(g: Tensor, x: Any, y: Any, out: Tensor) -> Gradients:
    """Y x^(y-1) and x^y log x, finite where x = 0 does not matter."""
    if not isinstance(y, Tensor):
        return (g * conjugate(y * x ** (y - 1)) if y != 0 else g * 0, None)
    base, exponent = operands(g, x, y)
    flat = (base == 0) & (exponent == 0)
    slope = exponent * where(flat, 1.0, base) ** (exponent - 1)
    zero = base == 0 if g.dtype in COMPLEX else (base == 0) & (exponent >= 0)
    growth = where(zero, 0.0, out * log(where(zero, 1.0, base)))
    return g * conjugate(slope), g * conjugate(growth)


def _int_pow(x: Any, y: Any) -> Any:
    """A negative exponent gives 1 / x^|y|, truncated, and 0 for x = 0."""
    x, y = np.asarray(x), np.asarray(y)
    if x.dtype.kind not in "iu" or y.dtype.kind not in "iu":
        return np.power(x, y)
    negative = y < 0
    sign = np.where(y % 2 == 0, 1, x)
    return np.where(negative, np.where(np.abs(x) == 1, sign, 0), np.power(x, np.abs(y)))


pow = binary(
    "pow(x, y)",
    """x^y. Real powers of negative numbers are NaN unless y is whole; x^0 is 1.

    Integers wrap around; a negative exponent gives the truncated 1 / x^|y|, and 0 for x = 0.""",
    ref=_int_pow,
    grad=_pow_grad,
    span=(0.1, 3.0),
    edges=(0.05, 0.5, 1.0, 2.5),
    ulp=2,
    onnx="Pow",
    aliases=("power",),
    example=("samara.pow(samara.tensor([2.0, 3.0]), 2).tolist()", "[4.0, 9.0]"),
)


def _maximum_grad(g: Tensor, x: Any, y: Any, out: Tensor) -> Gradients:
    tie = where(x == y, g * 0.5, 0.0)
    return where(x > y, g, tie), where(y > x, g, tie)


def _minimum_grad(g: Tensor, x: Any, y: Any, out: Tensor) -> Gradients:
    tie = where(x == y, g * 0.5, 0.0)
    return where(x < y, g, tie), where(y < x, g, tie)


maximum = binary(
    "maximum(x, y)",
    "The larger of x and y, NaN if either is. Equal elements share the gradient.",
    ref=lambda x, y: np.where((x > y) | (x != x), x, y),
    grad=_maximum_grad,
    dtypes=ORDERED,
    ulp=0,
    onnx="Max",
    example=("samara.maximum(samara.tensor([1.0, 4.0]), 2).tolist()", "[2.0, 4.0]"),
)

minimum = binary(
    "minimum(x, y)",
    "The smaller of x and y, NaN if either is. Equal elements share the gradient.",
    ref=lambda x, y: np.where((x < y) | (x != x), x, y),
    grad=_minimum_grad,
    dtypes=ORDERED,
    ulp=0,
    onnx="Min",
    example=("samara.minimum(samara.tensor([1.0, 4.0]), 2).tolist()", "[1.0, 2.0]"),
)


def _atan2_grad(g: Tensor, x: Any, y: Any, out: Tensor) -> Gradients:
    square_sum = x * x + y * y
    return g * y / square_sum, -g * x / square_sum


atan2 = binary(
    "atan2(x, y)",
    "The angle of the point (y, x), from -pi to pi: atan(x / y) in the right quadrant.",
    ref=np.arctan2,
    grad=_atan2_grad,
    dtypes=REAL_INPUTS,
    edges=_FINITE,
    converts=True,
    ulp=2,
    aliases=("arctan2",),
    example=("samara.atan2(samara.tensor([0.0]), samara.tensor([1.0])).tolist()", "[0.0]"),
)


def _hypot_grad(g: Tensor, x: Any, y: Any, out: Tensor) -> Gradients:
    length = where(out == 0, 1.0, out)
    return g * (x / length), g * (y / length)


hypot = binary(
    "hypot(x, y)",
    "sqrt(x^2 + y^2), without overflow or underflow on the way.",
    ref=np.hypot,
    grad=_hypot_grad,
    dtypes=REAL_INPUTS,
    edges=_FINITE,
    converts=True,
    ulp=2,
    example=("samara.hypot(samara.tensor([3.0]), samara.tensor([4.0])).tolist()", "[5.0]"),
)


def _copysign_grad(g: Tensor, x: Any, y: Any, out: Tensor) -> Gradients:
    x, y = operands(g, x, y)
    same = x.signbit() == y.signbit()
    return where(x == 0, 0.0, where(same, g, -g)), None


copysign = binary(
    "copysign(x, y)",
    "|x| with the sign of y; that of a zero and of a NaN counts.",
    ref=np.copysign,
    grad=_copysign_grad,
    dtypes=REAL_INPUTS,
    edges=NONZERO_EDGES,
    converts=True,
    ulp=0,
    example=("samara.copysign(samara.tensor([1.0, 2.0]), -0.0).tolist()", "[-1.0, -2.0]"),
)


def _logaddexp_grad(g: Tensor, x: Any, y: Any, out: Tensor) -> Gradients:
    x, y = operands(g, x, y)
    difference = where((x == y) & x.isinf(), 0.0, x - y)
    return g * difference.sigmoid(), g * (-difference).sigmoid()


logaddexp = binary(
    "logaddexp(x, y)",
    "log(e^x + e^y), without overflow on the way.",
    ref=np.logaddexp,
    grad=_logaddexp_grad,
    dtypes=REAL_INPUTS,
    converts=True,
    ulp=2,
    condition="sum",
    example=("samara.logaddexp(samara.tensor([1000.0]), 0.0).tolist()", "[1000.0]"),
)

nextafter = binary(
    "nextafter(x, y)",
    "The neighbour of x among the numbers of its dtype, in the direction of y.",
    ref=lambda x, y: np.where(x == y, y, x + y * 0),
    dtypes=REAL_INPUTS,
    edges=(0.5, 1.0, -1.0, 2.5, 1e4),
    converts=True,
    ulp=1,
    in_place=False,
    pointwise=False,
    example=("samara.nextafter(samara.tensor([1.0]), 2).item() - 1 == 2.0**-23", "True"),
)

# --- of one tensor --------------------------------------------------------------------------------

negative = unary(
    "negative(x)",
    "-x. Integers wrap around.",
    ref=np.negative,
    grad=lambda g, x, y: -g,
    dtypes=NUMERIC,
    converts=False,
    ulp=0,
    onnx="Neg",
    aliases=("neg",),
    example=("samara.negative(samara.tensor([1.0, -2.0])).tolist()", "[-1.0, 2.0]"),
)

positive = unary(
    "positive(x)",
    "+x, a copy.",
    native="clone",
    ref=lambda x: x,
    grad=lambda g, x, y: g,
    dtypes=ALL,
    converts=False,
    ulp=0,
    in_place=False,
    example=("samara.positive(samara.tensor([1.0, -2.0])).tolist()", "[1.0, -2.0]"),
)


def _abs_grad(g: Tensor, x: Tensor, y: Tensor) -> Tensor:
    if x.dtype not in COMPLEX:
        return g * sign(x)
    length = abs(x)
    return g * (x / where(length == 0, 1.0, length))


abs = unary(
    "abs(x)",
    "|x|; of a complex number its modulus, a real number. The derivative at 0 is 0.",
    ref=np.abs,
    grad=_abs_grad,
    dtypes=NUMERIC,
    converts=False,
    ulp=2,
    onnx="Abs",
    aliases=("absolute",),
    example=("samara.abs(samara.tensor([1.0, -2.0])).tolist()", "[1.0, 2.0]"),
)


def _sign_ref(x: Any) -> Any:
    if x.dtype.kind != "c":
        return np.where(x == 0, 0, np.sign(x))
    larger = np.maximum(np.abs(x.real), np.abs(x.imag))
    scaled = np.where(x == 0, 0, x.real / larger) + 1j * np.where(x == 0, 0, x.imag / larger)
    return np.sign(scaled)


sign = unary(
    "sign(x)",
    "-1, 0 or 1; of a complex number x / |x|, and 0 for 0.",
    ref=_sign_ref,
    dtypes=NUMERIC,
    converts=False,
    ulp=2,
    onnx="Sign",
    aliases=("sgn",),
    example=("samara.sign(samara.tensor([3.0, -2.0, 0.0])).tolist()", "[1.0, -1.0, 0.0]"),
)

square = unary(
    "square(x)",
    "x^2. Integers wrap around.",
    ref=lambda x: x * x,
    grad=lambda g, x, y: g * (2 * conjugate(x)),
    dtypes=NUMERIC,
    converts=False,
    ulp=2,
    example=("samara.square(samara.tensor([3.0, -2.0])).tolist()", "[9.0, 4.0]"),
)

reciprocal = unary(
    "reciprocal(x)",
    "1 / x.",
    ref=lambda x: 1 / x,
    grad=lambda g, x, y: -g * conjugate(y * y),
    dtypes=INEXACT,
    edges=NONZERO_EDGES,
    ulp=2,
    onnx="Reciprocal",
    example=("samara.reciprocal(samara.tensor([4.0, -2.0])).tolist()", "[0.25, -0.5]"),
)

# --- complex numbers ------------------------------------------------------------------------------

conj = unary(
    "conj(x)",
    "The complex conjugate, x itself for real numbers.",
    ref=np.conj,
    grad=lambda g, x, y: conjugate(g),
    dtypes=NUMERIC,
    converts=False,
    ulp=0,
    in_place=False,
    example=("samara.conj(samara.tensor([1 + 2j])).tolist()", "[(1-2j)]"),
)

real = unary(
    "real(x)",
    "The real part, a copy.",
    ref=np.real,
    grad=lambda g, x, y: g,
    dtypes=NUMERIC,
    converts=False,
    ulp=0,
    in_place=False,
    methods=(),
    example=("samara.real(samara.tensor([1 + 2j])).tolist()", "[1.0]"),
)

imag = unary(
    "imag(x)",
    "The imaginary part, a copy; 0 for real numbers.",
    ref=lambda x: np.imag(x) if x.dtype.kind == "c" else np.zeros_like(x),
    grad=lambda g, x, y: g * 1j if x.dtype in COMPLEX else None,
    dtypes=NUMERIC,
    converts=False,
    ulp=0,
    in_place=False,
    methods=(),
    example=("samara.imag(samara.tensor([1 + 2j])).tolist()", "[2.0]"),
)

METHODS["real"] = property(real, doc="The real part, a copy.")
METHODS["imag"] = property(imag, doc="The imaginary part, a copy; 0 for real numbers.")
