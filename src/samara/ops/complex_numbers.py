"""Complex numbers from their parts and back; what numbers are; the parts of a float."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

import samara._core as _core
from samara._core import int32
from samara.dtypes import ALL, BOOL, COMPLEX
from samara.errors import DTypeError, ShapeError
from samara.ops.arithmetic import atan2
from samara.ops.checks import broadcast, require_dtype
from samara.ops.comparison import isfinite
from samara.ops.join import stack
from samara.ops.record import FLOAT, METHODS, REAL, ErrorSample, Sample, composite, operation, plain
from samara.ops.selection import where
from samara.tensor import Tensor

_WIDTH = {_core.float32: _core.complex64, _core.float64: _core.complex128}


class FrexpResult(NamedTuple):
    """x = mantissa 2^exponent with 0.5 <= |mantissa| < 1."""

    mantissa: Tensor
    exponent: Tensor


def _normal(rng: np.random.Generator, *shape: int) -> Any:
    return rng.normal(size=shape)


def _pair(place: str, x: Tensor, y: Tensor) -> Any:
    """The complex dtype of two real tensors of one dtype."""
    for name, part in (("x", x), ("y", y)):
        require_dtype(place, part, tuple(_WIDTH), name)
    if x.dtype is not y.dtype:
        raise DTypeError(
            f"{place}: the parts have dtypes {x.dtype} and {y.dtype}. Expected one dtype. "
            "Fix: convert one of them."
        )
    broadcast(place, x.shape, y.shape)
    return _WIDTH[x.dtype]


def _two_errors() -> list[ErrorSample]:
    return [ErrorSample(ShapeError, "do not broadcast", np.ones((2, 3)), np.ones(4))]


@composite(
    "complex(x, y)",
    doc="""x + i y. x: [*A], y: [*B], float32 or float64 -> [*S] complex, the broadcast shape.

    PyTorch's names of the parts are real and imag.

    Raises DTypeError for parts of two dtypes, ShapeError when the shapes do not broadcast.
    Source: PyTorch, `torch.complex`.

    >>> samara.complex(samara.tensor([1.0]), samara.tensor([2.0])).tolist()
    [(1+2j)]
    """,
    ref=lambda x, y: x + 1j * y,
    dtypes=(_core.float32, _core.float64),
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 2, 3), _normal(rng, 2, 3)),
        Sample(_normal(rng, 2, 1), _normal(rng, 3)),
        Sample(_normal(rng), _normal(rng)),
    ],
    errors=_two_errors,
    methods=(),
)
def complex(x: Tensor, y: Tensor) -> Tensor:
    dtype = _pair("complex", x, y)
    # A zero real part times i would lose infinities: it is added as a part of its own.
    return _joined(x, y, dtype)


def _joined(x: Tensor, y: Tensor, dtype: Any) -> Tensor:
    shape = broadcast("complex", x.shape, y.shape)
    return view_as_complex(stack([x.expand(shape), y.expand(shape)], -1))


@composite(
    "polar(x, y)",
    doc="""x (cos y + i sin y): complex numbers of length x and angle y.

    x: [*A], y: [*B], float32 or float64 -> [*S] complex, the broadcast shape. PyTorch's names are
    abs and angle.

    Raises DTypeError for two dtypes, ShapeError when the shapes do not broadcast.
    Source: PyTorch, `torch.polar`.

    >>> samara.polar(samara.tensor([2.0]), samara.tensor([0.0])).tolist()
    [(2+0j)]
    """,
    ref=lambda x, y: x * np.exp(1j * y),
    dtypes=(_core.float32, _core.float64),
    ulp=4,
    samples=lambda rng: [
        Sample(rng.uniform(0.5, 2, (2, 3)), _normal(rng, 2, 3)),
        Sample(rng.uniform(0.5, 2, (2, 1)), _normal(rng, 3)),
        Sample(np.array(1.5), _normal(rng)),
    ],
    errors=_two_errors,
    methods=(),
)
def polar(x: Tensor, y: Tensor) -> Tensor:
    dtype = _pair("polar", x, y)
    return _joined(x * y.cos(), x * y.sin(), dtype)


view_as_complex = operation(
    "view_as_complex(x)",
    doc="""Pairs of numbers along the last axis as complex numbers: the same memory.

    x: [*S, 2] float32 or float64 -> [*S] complex; a copy where the pairs do not lie side by side.

    Raises ShapeError unless the last size is 2. Source: PyTorch, `torch.view_as_complex`.

    >>> samara.view_as_complex(samara.tensor([[1.0, 2.0]])).tolist()
    [(1+2j)]
    """,
    ref=lambda x: x[..., 0] + 1j * x[..., 1],
    dtypes=(_core.float32, _core.float64),
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 3, 2)),
        Sample(_normal(rng, 2, 3, 2)[:, ::2]),
        Sample(_normal(rng, 2)),
        Sample(np.ones((0, 2))),
    ],
    errors=lambda: [ErrorSample(ShapeError, "Expected 2", np.ones((2, 3)))],
    methods=(),
)

view_as_real = operation(
    "view_as_real(x)",
    doc="""Real and imaginary parts along a new last axis: the same memory.

    x: [*S] complex -> [*S, 2] float32 or float64.

    Raises DTypeError for real numbers. Source: PyTorch, `torch.view_as_real`.

    >>> samara.view_as_real(samara.tensor([1 + 2j])).tolist()
    [[1.0, 2.0]]
    """,
    ref=lambda x: np.stack([x.real, x.imag], -1),
    dtypes=COMPLEX,
    ulp=0,
    samples=lambda rng: [Sample(_normal(rng, 3, 2)), Sample(_normal(rng)), Sample(np.ones(0))],
    errors=lambda: [ErrorSample(TypeError, "is not a tensor|is a str", "text")],
    methods=(),
)


@composite(
    "angle(x)",
    doc="""The angle of x in the complex plane: of a real number 0 or, below 0, pi.

    x: [*S] -> [*S] float. Raises DTypeError for what is no tensor. Source: PyTorch, `torch.angle`.

    >>> samara.angle(samara.tensor([1j])).tolist()[0] > 1.57
    True
    """,
    ref=lambda x: (
        np.where(np.isnan(x), np.nan, np.angle(x)) if x.dtype.kind == "f" else np.angle(x)
    ),
    dtypes=(*REAL, *BOOL, *COMPLEX),
    ulp=2,
    samples=lambda rng: [
        Sample(_normal(rng, 3, 4)),
        Sample(_normal(rng)),
        Sample(np.array([1.0, -1.0, 0.5, -0.5])),
    ],
    errors=lambda: [ErrorSample(TypeError, "a tensor", "text")],
)
def angle(x: Tensor) -> Tensor:
    require_dtype("angle", x, ALL)
    if x.dtype in COMPLEX:
        return atan2(x.imag, x.real)
    wide = x if x.dtype in FLOAT else x.to(_core.default_dtype())
    # No slope, but a NaN passes.
    return where(wide < 0, wide.new_full((), math.pi), 0.0) + where(
        isfinite(wide), 0.0, wide - wide
    )


# --- what numbers are -----------------------------------------------------------------------------


def _edges(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(np.array([1.0, -np.inf, np.inf, np.nan, 0.0, -0.0])),
        Sample(_normal(rng, 2, 3)),
        Sample(_normal(rng)),
    ]


@composite(
    "isposinf(x)",
    doc="""Whether each element is +inf. x: [*S] real -> [*S] bool.

    Raises DTypeError for complex numbers. Source: PyTorch, `torch.isposinf`.

    >>> samara.isposinf(samara.tensor([samara.inf, -samara.inf])).tolist()
    [True, False]
    """,
    ref=lambda x: x == np.inf,
    dtypes=(*REAL, *BOOL),
    ulp=0,
    samples=_edges,
    errors=lambda: [ErrorSample(TypeError, "a tensor", "text")],
    differentiable=False,
)
def isposinf(x: Tensor) -> Tensor:
    require_dtype("isposinf", x, (*REAL, *BOOL))
    return x == math.inf if x.dtype in FLOAT else x != x


@composite(
    "isneginf(x)",
    doc="""Whether each element is -inf. x: [*S] real -> [*S] bool.

    Raises DTypeError for complex numbers. Source: PyTorch, `torch.isneginf`.

    >>> samara.isneginf(samara.tensor([samara.inf, -samara.inf])).tolist()
    [False, True]
    """,
    ref=lambda x: x == -np.inf,
    dtypes=(*REAL, *BOOL),
    ulp=0,
    samples=_edges,
    errors=lambda: [ErrorSample(TypeError, "a tensor", "text")],
    differentiable=False,
)
def isneginf(x: Tensor) -> Tensor:
    require_dtype("isneginf", x, (*REAL, *BOOL))
    return x == -math.inf if x.dtype in FLOAT else x != x


@composite(
    "isreal(x)",
    doc="""Whether each element has no imaginary part. x: [*S] -> [*S] bool.

    Raises DTypeError for what is no tensor. Source: PyTorch, `torch.isreal`.

    >>> samara.isreal(samara.tensor([1 + 0j, 1j])).tolist()
    [True, False]
    """,
    ref=np.isreal,
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [Sample(_normal(rng, 2, 3)), Sample(_normal(rng)), Sample(np.ones(0))],
    errors=lambda: [ErrorSample(TypeError, "a tensor", "text")],
    differentiable=False,
)
def isreal(x: Tensor) -> Tensor:
    require_dtype("isreal", x, ALL)
    return x.imag == 0 if x.dtype in COMPLEX else x.new_ones(x.shape, dtype=_core.bool)


# --- the parts of a float -------------------------------------------------------------------------

# Bits of the fraction, the exponent's bias, the integers that hold the bits.
_LAYOUT = {
    _core.float16: (10, 15, _core.int16),
    _core.bfloat16: (7, 127, _core.int16),
    _core.float32: (23, 127, _core.int32),
    _core.float64: (52, 1023, _core.int64),
}


def _frexp_ref(x: Any) -> Any:
    mantissa, exponent = np.frexp(x)
    return mantissa, np.where(np.isfinite(x), exponent, 0)


@composite(
    "frexp(x)",
    doc="""x = mantissa 2^exponent with 0.5 <= |mantissa| < 1: the named tuple of both.

    x: [*S] float -> [*S] float, [*S] int32. 0, infinities and NaN are their own mantissa, with the
    exponent 0.

    Raises DTypeError for what is no float. Source: PyTorch, `torch.frexp`.

    >>> [part.item() for part in samara.frexp(samara.tensor(6.0))]
    [0.75, 3]
    """,
    ref=_frexp_ref,
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 3, 4)),
        Sample(np.array([1.1, -0.6, 6.0, 0.3, 3e4, np.inf, -np.inf, np.nan])),
        Sample(np.array([1e-40, 1e-310, 1e30])),
        Sample(_normal(rng)),
    ],
    errors=lambda: [ErrorSample(TypeError, "a tensor", "text")],
)
def frexp(x: Tensor) -> Any:
    require_dtype("frexp", x, FLOAT)
    digits, bias, bits = _LAYOUT[x.dtype]
    plain_x = x.detach()
    # Subnormal numbers are brought into the range of normal ones first.
    lift = digits + 2
    small = (plain_x.abs() < 2.0 ** (1 - bias)) & (plain_x != 0)
    lifted = where(small, plain_x * 2.0**lift, plain_x)
    fields = lifted.contiguous().view(bits)
    biased = (fields >> digits) & (2 * bias + 1)
    exponent = biased.to(int32) - (bias - 1) - where(small, lift, 0).to(int32)
    ordinary = isfinite(plain_x) & (plain_x != 0)
    exponent = where(ordinary, exponent, 0).to(int32)
    # 2^-exponent may be out of range: two factors are not.
    half = exponent // 2
    first, second = (-half).to(x.dtype).exp2(), (half - exponent).to(x.dtype).exp2()
    return FrexpResult(x * first * second, exponent)


# --- names that change nothing here ---------------------------------------------------------------


@plain("resolve_conj", "resolve_neg", "conj_physical")
def resolve_conj(x: Tensor) -> Tensor:
    """X itself: conjugates are computed at once. Source: PyTorch, `torch.resolve_conj`.

    >>> samara.resolve_conj(samara.ones(1)).tolist()
    [1.0]
    """
    return x


METHODS["conj_physical"] = lambda x: x.conj()
METHODS["is_conj"] = METHODS["is_neg"] = lambda x: False
