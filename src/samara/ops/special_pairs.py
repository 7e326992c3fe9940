"""Functions around logarithms, rounding and steps, and those of two arguments beside arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import samara._core as _core
from samara.dtypes import COMPLEX
from samara.errors import GradientError, ShapeError
from samara.ops.arithmetic import multiply, pow
from samara.ops.checks import require_dtype
from samara.ops.elementary import LN2, cos, log, log1p
from samara.ops.pointwise import (
    ORDERED,
    REAL_INPUTS,
    binary,
    operands,
    unary,
)
from samara.ops.record import FLOAT, INTEGER, ErrorSample, Sample, composite, plain
from samara.ops.selection import clamp, where
from samara.ops.special import NAN, _at, _exact, _is, _mpmath
from samara.tensor import Tensor

PYTORCH = "PyTorch, `torch.{}`"

# --- of one argument ------------------------------------------------------------------------------


def _sinc_exact(x: Any) -> Any:
    mpmath = _mpmath()

    return mpmath.sinpi(x) / (mpmath.pi * x)


def _sinc_grad(g: Tensor, x: Tensor, y: Tensor) -> Any:
    near, far = x.abs() < 1e-4, x.abs() == math.inf
    safe = where(near | far, 1.0, x)
    slope = where(near, x * (-(math.pi**2) / 3), (cos(safe * math.pi) - y) / safe)
    return g * where(far, 0.0, slope)


sinc = unary(
    "sinc(x)",
    "sin(pi x) / (pi x), 1 at 0 and exactly 0 at other whole numbers.",
    ref=_at(
        _exact("", _sinc_exact), NAN, (_is(0.0), 1.0), (_is(math.inf, -math.inf), lambda x: 0.0)
    ),
    grad=_sinc_grad,
    span=(-2.9, 2.9),
    edges=(0.0, -0.0, 0.5, -0.5, 2.5, -2.5, 0.05, 1e-40, 1e-310, math.inf, -math.inf, math.nan),
    ulp=4,
    source=PYTORCH.format("sinc"),
    example=("samara.sinc(samara.tensor([0.0, 0.5, 1.0])).tolist()", "[1.0, 0.6366..., 0.0]"),
)


def _logit_exact(x: Any) -> Any:
    mpmath = _mpmath()

    return mpmath.log(x / (1 - x))


_logit_ref = _at(
    _exact("", _logit_exact),
    (lambda x: not 0 <= x <= 1, math.nan),
    (_is(0.0), -math.inf),
    (_is(1.0), math.inf),
    (_is(0.5), 0.0),
)


def _logit_grad(g: Tensor, x: Tensor, y: Tensor) -> Any:
    return where((x < 0) | (x > 1), math.nan, g / (x * (1 - x)))


_logit: Callable[..., Tensor] = _core.Operation("logit(x)", "logit", rule=_logit_grad)


@composite(
    "logit(x, eps: float? = None)",
    doc="""log(x / (1 - x)), the inverse of sigmoid; with eps, x is first cut to [eps, 1 - eps].

    x: [*S] bool, integer or float -> [*S]; NaN outside of [0, 1] where eps is None.

    Raises DTypeError for complex tensors. Source: PyTorch, `torch.special.logit`.

    >>> samara.logit(samara.tensor([0.5, 1.0])).tolist()
    [0.0, inf]
    """,
    ref=lambda x, eps=None: _logit_ref(
        np.asarray(x, np.float64) if eps is None else np.clip(x, eps, 1 - eps)
    ),
    dtypes=REAL_INPUTS,
    ulp=4,
    samples=lambda rng: [
        Sample(rng.uniform(0.05, 0.95, size=(3, 4))),
        Sample(rng.uniform(0.1, 0.9, size=(3, 4)), 0.25),
        Sample(np.array([0.0, 1.0, 0.5, 0.3, 0.65, 1e-5, 1.5, -1.0, math.nan])),
        Sample(np.array(0.25)),
        Sample(np.ones((0, 2))),
    ],
    errors=lambda: [ErrorSample(TypeError, "argument 'x'", "text")],
    in_place=True,
)
def logit(x: Tensor, eps: float | None = None) -> Tensor:
    return _logit(x if eps is None else clamp(x, eps, 1 - eps))


entr = unary(
    "entr(x)",
    "-x log x: 0 at 0, -inf below.",
    ref=lambda x: np.where(
        x > 0, -x * np.log(x), np.where(x == 0, 0.0, np.where(x < 0, -np.inf, x))
    ),
    grad=lambda g, x, y: g * (-1 - log(x)),
    span=(0.05, 3.0),
    edges=(0.0, -0.0, 0.5, 2.5, 1e4, -1.0, math.inf, -math.inf, math.nan, 1e-5),
    ulp=3,
    methods=(),
    in_place=False,
    source="PyTorch, `torch.special.entr`",
    example=("samara.entr(samara.tensor([0.0, 1.0])).tolist()", "[0.0, -0.0]"),
)


def _simple(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.normal(size=(3, 4)) * 3),
        Sample(np.array([0.25, -1.75, 1e4, -0.0])),
        Sample(np.array(2.5)),
        Sample(np.ones((0, 2))),
    ]


def _text() -> list[ErrorSample]:
    return [ErrorSample(TypeError, "a tensor", "text")]


_frac: Callable[..., Tensor] = _core.Operation("frac(x)", "frac", rule=lambda g, x, out: g)


@composite(
    "frac(x)",
    doc="""x - trunc(x), the part behind the point, with the sign of x. x: [*S] float -> [*S].

    Raises DTypeError for what is no float. Source: PyTorch, `torch.frac`.

    >>> samara.frac(samara.tensor([1.5, -2.25])).tolist()
    [0.5, -0.25]
    """,
    ref=lambda x: x - np.trunc(x),
    ulp=0,
    samples=_simple,
    errors=_text,
    in_place=True,
)
def frac(x: Tensor) -> Tensor:
    require_dtype("frac", x, FLOAT)
    return _frac(x)


@composite(
    "deg2rad(x)",
    doc="""x pi / 180, degrees as radians. x: [*S] bool, integer or float -> [*S].

    Raises DTypeError for complex tensors. Source: PyTorch, `torch.deg2rad`.

    >>> samara.deg2rad(samara.tensor([0.0])).tolist()
    [0.0]
    """,
    ref=lambda x: np.deg2rad(np.asarray(x, np.float64)),
    dtypes=REAL_INPUTS,
    ulp=2,
    samples=_simple,
    errors=_text,
    in_place=True,
)
def deg2rad(x: Tensor) -> Tensor:
    require_dtype("deg2rad", x, REAL_INPUTS)
    return x * (math.pi / 180)


@composite(
    "rad2deg(x)",
    doc="""x 180 / pi, radians as degrees. x: [*S] bool, integer or float -> [*S].

    Raises DTypeError for complex tensors. Source: PyTorch, `torch.rad2deg`.

    >>> samara.rad2deg(samara.tensor([0.0])).tolist()
    [0.0]
    """,
    ref=lambda x: np.rad2deg(np.asarray(x, np.float64)),
    dtypes=REAL_INPUTS,
    ulp=2,
    samples=_simple,
    errors=_text,
    in_place=True,
)
def rad2deg(x: Tensor) -> Tensor:
    require_dtype("rad2deg", x, REAL_INPUTS)
    return x * (180 / math.pi)


# --- of two arguments -----------------------------------------------------------------------------


def _xlogy_grad(g: Tensor, x: Any, y: Any, out: Tensor) -> Any:
    x, y = operands(g, x, y)
    return where((x == 0) & (y <= 0), 0.0, g * log(y)), g * (x / y)


def _xlog1py_grad(g: Tensor, x: Any, y: Any, out: Tensor) -> Any:
    x, y = operands(g, x, y)
    return where((x == 0) & (y <= -1), 0.0, g * log1p(y)), g * (x / (y + 1))


def _product_ref(logarithm: Any) -> Any:
    def ref(x: Any, y: Any) -> Any:
        with np.errstate(all="ignore"):
            value = np.where((x == 0) & ~np.isnan(y), 0.0, x * logarithm(y))
        return np.where(np.isnan(y), np.nan, value)

    return ref


xlogy = binary(
    "xlogy(x, y)",
    "x log y, 0 where x is 0.",
    ref=_product_ref(np.log),
    grad=_xlogy_grad,
    dtypes=REAL_INPUTS,
    converts=True,
    span=(0.2, 3.0),
    edges=(0.0, 0.5, 2.5, 1e4, -1.0, math.inf, math.nan),
    ulp=3,
    source=PYTORCH.format("xlogy"),
    example=(
        "samara.xlogy(samara.tensor([0.0, 2.0]), samara.tensor([0.0, 1.0])).tolist()",
        "[0.0, 0.0]",
    ),
)

xlog1py = binary(
    "xlog1py(x, y)",
    "x log(1 + y), 0 where x is 0.",
    ref=_product_ref(np.log1p),
    grad=_xlog1py_grad,
    dtypes=REAL_INPUTS,
    converts=True,
    span=(0.2, 3.0),
    edges=(0.0, 0.5, 2.5, 1e4, -1.0, -2.0, math.inf, math.nan),
    ulp=3,
    methods=(),
    in_place=False,
    source="PyTorch, `torch.special.xlog1py`",
    example=("samara.xlog1py(samara.tensor([0.0]), samara.tensor([-1.0])).tolist()", "[0.0]"),
)


def _first(pair: tuple[Tensor, ...], larger: bool) -> Any:
    x, y = pair
    return ((x >= y) if larger else (x <= y)) | y.isnan()


def _fmax_grad(g: Tensor, x: Any, y: Any, out: Tensor) -> Any:
    first = _first(operands(g, x, y), True)
    return where(first, g, 0.0), where(first, 0.0, g)


def _fmin_grad(g: Tensor, x: Any, y: Any, out: Tensor) -> Any:
    first = _first(operands(g, x, y), False)
    return where(first, g, 0.0), where(first, 0.0, g)


fmax = binary(
    "fmax(x, y)",
    "The larger of two elements; a number wins against a NaN, and the first of two equals.",
    ref=lambda x, y: np.where(np.asarray(x == y), x, np.fmax(x, y)),
    grad=_fmax_grad,
    dtypes=ORDERED,
    ulp=0,
    in_place=False,
    source=PYTORCH.format("fmax"),
    example=(
        "samara.fmax(samara.tensor([1.0, samara.nan]), samara.tensor([2.0, 3.0])).tolist()",
        "[2.0, 3.0]",
    ),
)

fmin = binary(
    "fmin(x, y)",
    "The smaller of two elements; a number wins against a NaN, and the first of two equals.",
    ref=lambda x, y: np.where(np.asarray(x == y), x, np.fmin(x, y)),
    grad=_fmin_grad,
    dtypes=ORDERED,
    ulp=0,
    in_place=False,
    source=PYTORCH.format("fmin"),
    example=(
        "samara.fmin(samara.tensor([1.0, samara.nan]), samara.tensor([2.0, 3.0])).tolist()",
        "[1.0, 3.0]",
    ),
)


def _logaddexp2_grad(g: Tensor, x: Any, y: Any, out: Tensor) -> Any:
    x, y = operands(g, x, y)
    rest = where((x == y) & (x.abs() == math.inf), 0.0, x - y) * LN2
    return g * rest.sigmoid(), g * (-rest).sigmoid()


logaddexp2 = binary(
    "logaddexp2(x, y)",
    "log2(2^x + 2^y), without overflow.",
    ref=np.logaddexp2,
    grad=_logaddexp2_grad,
    dtypes=REAL_INPUTS,
    converts=True,
    edges=(0.0, -0.0, 0.5, -0.5, 2.5, -2.5, 1e4, -1e4, math.inf, -math.inf, math.nan),
    ulp=4,
    condition="sum",
    in_place=False,
    source=PYTORCH.format("logaddexp2"),
    example=("samara.logaddexp2(samara.tensor([1.0]), samara.tensor([1.0])).tolist()", "[2.0]"),
)

heaviside = binary(
    "heaviside(x, y)",
    "The step function: 0 for x < 0, y at 0, 1 for x > 0.",
    ref=lambda x, y: (
        np.where(np.isnan(x), x, np.where(x == 0, y, np.where(x > 0, 1, 0)))
        if np.asarray(x).dtype.kind == "f"
        else np.where(x == 0, y, np.where(x > 0, np.ones_like(x), np.zeros_like(x)))
    ),
    dtypes=ORDERED,
    ulp=0,
    source=PYTORCH.format("heaviside"),
    example=(
        "samara.heaviside(samara.tensor([-1.0, 0.0]), samara.tensor([0.5, 0.5])).tolist()",
        "[0.0, 0.5]",
    ),
)

gcd = binary(
    "gcd(x, y)",
    "The greatest common divisor, 0 or more; gcd(0, 0) is 0.",
    ref=np.gcd,
    dtypes=INTEGER,
    source=PYTORCH.format("gcd"),
    example=("samara.gcd(samara.tensor([12, 0]), samara.tensor([-18, 5])).tolist()", "[6, 5]"),
)

lcm = binary(
    "lcm(x, y)",
    "The least common multiple, 0 or more; it wraps around where it does not fit.",
    ref=np.lcm,
    dtypes=INTEGER,
    source=PYTORCH.format("lcm"),
    example=("samara.lcm(samara.tensor([4, 0]), samara.tensor([-6, 5])).tolist()", "[12, 0]"),
)

# --- the zeta and incomplete gamma functions ------------------------------------------------------


def _fixed_first(place: str, x: Any, what: str) -> None:
    """Only the derivative with respect to the second argument is known."""
    if isinstance(x, Tensor) and x.requires_grad and _core.grad_enabled():
        raise GradientError(
            f"{place}: {what} requires grad. Expected a constant: the derivative with respect to "
            "it is not implemented. Fix: pass x.detach()."
        )


_zeta: Callable[..., Tensor] = _core.Operation(
    "zeta(x, y)", "zeta", rule=lambda g, x, y, out: (None, -g * (x * _zeta(x + 1, y)))
)
_gammainc: Callable[..., Tensor] = _core.Operation(
    "gammainc(x, y)", "gammainc", rule=lambda g, x, y, out: (None, g * _density(x, y))
)
_gammaincc: Callable[..., Tensor] = _core.Operation(
    "gammaincc(x, y)", "gammaincc", rule=lambda g, x, y, out: (None, -g * _density(x, y))
)


def _density(a: Tensor, x: Tensor) -> Any:
    """x^(a - 1) e^-x / Gamma(a)."""
    from samara.ops.special import lgamma

    far = x == math.inf
    safe = where(far, 1.0, x)
    return where(far, 0.0, (xlogy(a - 1, safe) - safe - lgamma(a)).exp())


def _pair_exact(call: Any) -> Any:
    reference = _exact("", call)

    def ref(x: Any, y: Any) -> Any:
        return reference(np.asarray(x, np.float64), np.asarray(y, np.float64))

    return ref


def _zeta_exact(s: Any, q: Any) -> Any:
    mpmath = _mpmath()

    if s == 1 or (q <= 0 and mpmath.isint(q)):
        return mpmath.inf
    if s < 1 or mpmath.isnan(s) or mpmath.isnan(q):
        return mpmath.nan
    if mpmath.isinf(q):
        return mpmath.mpf(0)
    with mpmath.workdps(120):  # its precision is absolute, and large s gives small values
        return mpmath.zeta(s, q)


def _pair_errors() -> list[ErrorSample]:
    return [ErrorSample(ShapeError, "do not", np.ones((2, 3)), np.ones(4))]


@composite(
    "zeta(x, y)",
    doc="""The Hurwitz zeta function, the sum of (y + k)^-x over k = 0, 1, ...

    x: [*A], y: [*B], bool, integer or float -> [*S], the broadcast shape. inf at x = 1 and where y
    is 0 or a negative whole number; NaN for x < 1. A gradient reaches y alone.

    Raises GradientError for an x that requires grad. Source: PyTorch, `torch.special.zeta`.

    >>> round(samara.zeta(samara.tensor(2.0), samara.tensor(1.0)).item(), 4)
    1.6449
    """,
    ref=_pair_exact(_zeta_exact),
    dtypes=REAL_INPUTS,
    ulp=8,
    samples=lambda rng: [
        Sample(rng.uniform(1.2, 9.0, size=(3, 4)), rng.uniform(0.3, 9.0, size=(3, 4))),
        Sample(rng.uniform(1.2, 9.0, size=(3, 1)), rng.uniform(0.3, 9.0, size=4)),
        Sample(np.array([1.0, 0.5, 2.0, 3.0, 2.0]), np.array([2.0, 2.0, 0.0, -1.0, 1e5])),
        Sample(np.array(2.0), np.array(1.5)),
        Sample(np.ones((0, 2)), np.ones(2)),
    ],
    errors=_pair_errors,
    methods=(),
)
def zeta(x: Tensor, y: Tensor) -> Tensor:
    _fixed_first("zeta", x, "x, the exponent,")
    return _zeta(x, y)


def _incomplete(lower: bool) -> Any:
    def call(a: Any, x: Any) -> Any:
        mpmath = _mpmath()

        if a < 0 or x < 0 or (a == 0 and x == 0) or mpmath.isnan(a) or mpmath.isnan(x):
            return mpmath.nan
        if a == 0 or mpmath.isinf(x):
            return mpmath.mpf(1 if lower else 0)
        bounds = (0, x) if lower else (x, mpmath.inf)
        return mpmath.gammainc(a, *bounds, regularized=True)

    return _pair_exact(call)


def _incomplete_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.uniform(0.3, 9.0, size=(3, 4)), rng.uniform(0.2, 9.0, size=(3, 4))),
        Sample(rng.uniform(0.3, 9.0, size=(3, 1)), rng.uniform(0.2, 9.0, size=4)),
        Sample(np.array([0.0, 1.0, -1.0, 2.0, 60.0]), np.array([1.0, 0.0, 1.0, math.inf, 55.0])),
        Sample(np.array(2.0), np.array(1.5)),
        Sample(np.ones((0, 2)), np.ones(2)),
    ]


_INCOMPLETE_DOC = """{what}.

    x: [*A], the parameter a; y: [*B], the argument; bool, integer or float -> [*S], the broadcast
    shape; NaN for negative ones. Precise relative to 1, and to the value where that is no smaller
    than 1e-10. A gradient reaches y alone.

    Raises GradientError for an x that requires grad. Source: PyTorch, `torch.special.{name}`.

    >>> round(samara.{name}(samara.tensor(1.0), samara.tensor(1.0)).item(), 4)
    {answer}
    """


@composite(
    "gammainc(x, y)",
    doc=_INCOMPLETE_DOC.format(
        what="The regularised lower incomplete gamma function P(x, y)",
        name="gammainc",
        answer="0.6321",
    ),
    ref=_incomplete(lower=True),
    dtypes=REAL_INPUTS,
    ulp=64,
    samples=_incomplete_samples,
    errors=_pair_errors,
    aliases=("igamma",),
    methods=("igamma",),
)
def gammainc(x: Tensor, y: Tensor) -> Tensor:
    _fixed_first("gammainc", x, "x, the parameter a,")
    return _gammainc(x, y)


@composite(
    "gammaincc(x, y)",
    doc=_INCOMPLETE_DOC.format(
        what="The regularised upper incomplete gamma function Q(x, y) = 1 - P(x, y)",
        name="gammaincc",
        answer="0.3679",
    ),
    ref=_incomplete(lower=False),
    dtypes=REAL_INPUTS,
    ulp=64,
    samples=_incomplete_samples,
    errors=_pair_errors,
    aliases=("igammac",),
    methods=("igammac",),
)
def gammaincc(x: Tensor, y: Tensor) -> Tensor:
    _fixed_first("gammaincc", x, "x, the parameter a,")
    return _gammaincc(x, y)


# --- powers ---------------------------------------------------------------------------------------


@composite(
    "ldexp(x, y)",
    doc="""x 2^y. x: [*A], y: [*B], numbers -> [*S] float, the broadcast shape.

    Raises ShapeError when the shapes do not broadcast. Source: PyTorch, `torch.ldexp`.

    >>> samara.ldexp(samara.tensor([1.0, 3.0]), samara.tensor([2, -1])).tolist()
    [4.0, 1.5]
    """,
    ref=lambda x, y: x * 2.0**y,
    dtypes=REAL_INPUTS,
    ulp=2,
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), rng.integers(-3, 3, size=(3, 4))),
        Sample(rng.normal(size=(3, 1)), rng.integers(-3, 3, size=4)),
        Sample(np.array(1.5), np.array(2)),
        Sample(np.ones((0, 2)), np.array([1, 2])),
    ],
    errors=_pair_errors,
    in_place=True,
)
def ldexp(x: Tensor, y: Tensor) -> Tensor:
    require_dtype("ldexp", x, REAL_INPUTS)
    require_dtype("ldexp", y, REAL_INPUTS, "y")
    dtype = x.dtype if x.dtype in FLOAT else _core.default_dtype()
    exponent = y if y.dtype in FLOAT else y.astype(dtype)
    return multiply(x.astype(dtype, copy=False), pow(2.0, exponent))


@plain("float_power")
def float_power(x: Any, y: Any) -> Tensor:
    """x^y computed in float64, complex128 for complex numbers.

    x: [*A], y: [*B], tensors or numbers of any dtype -> [*S] float64 or complex128.

    Raises ShapeError when the shapes do not broadcast. Source: PyTorch, `torch.float_power`.

    >>> samara.float_power(samara.tensor([2, 3]), 2).tolist()
    [4.0, 9.0]
    """
    is_complex = any(
        v.dtype in COMPLEX if isinstance(v, Tensor) else isinstance(v, complex) for v in (x, y)
    )
    dtype = _core.complex128 if is_complex else _core.float64

    def wide_(value: Any) -> Any:
        return value.astype(dtype, copy=False) if isinstance(value, Tensor) else value

    return pow(wide_(x), wide_(y))
