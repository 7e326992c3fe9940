"""Comparisons, predicates, logic and bits of elements."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from samara._core import float64
from samara.dtypes import ALL, COMPLEX, FLOAT, INTEGER
from samara.errors import ArgumentError, DTypeError, ShapeError
from samara.ops.arithmetic import abs
from samara.ops.pointwise import BITS, ORDERED, binary, unary
from samara.ops.record import ErrorSample, Sample, composite, plain
from samara.tensor import Tensor

_REAL = INTEGER + FLOAT

# --- comparisons ----------------------------------------------------------------------------------

equal = binary(
    "equal(x, y)",
    "Whether x = y. NaN equals nothing, -0 equals 0.",
    ref=np.equal,
    dtypes=ALL,
    boolean=True,
    onnx="Equal",
    aliases=("eq",),
    methods=("eq",),
    example=("samara.equal(samara.tensor([1, 2]), 2).tolist()", "[False, True]"),
)

not_equal = binary(
    "not_equal(x, y)",
    "Whether x and y differ. NaN differs from everything.",
    ref=np.not_equal,
    dtypes=ALL,
    boolean=True,
    aliases=("ne",),
    example=("samara.not_equal(samara.tensor([1, 2]), 2).tolist()", "[True, False]"),
)

less = binary(
    "less(x, y)",
    "Whether x < y.",
    ref=np.less,
    dtypes=ORDERED,
    boolean=True,
    onnx="Less",
    aliases=("lt",),
    example=("samara.less(samara.tensor([1, 2]), 2).tolist()", "[True, False]"),
)

less_equal = binary(
    "less_equal(x, y)",
    "Whether x <= y.",
    ref=np.less_equal,
    dtypes=ORDERED,
    boolean=True,
    onnx="LessOrEqual",
    aliases=("le",),
    example=("samara.less_equal(samara.tensor([1, 3]), 2).tolist()", "[True, False]"),
)

greater = binary(
    "greater(x, y)",
    "Whether x > y.",
    ref=np.greater,
    dtypes=ORDERED,
    boolean=True,
    onnx="Greater",
    aliases=("gt",),
    example=("samara.greater(samara.tensor([1, 3]), 2).tolist()", "[False, True]"),
)

greater_equal = binary(
    "greater_equal(x, y)",
    "Whether x >= y.",
    ref=np.greater_equal,
    dtypes=ORDERED,
    boolean=True,
    onnx="GreaterOrEqual",
    aliases=("ge",),
    example=("samara.greater_equal(samara.tensor([1, 2]), 2).tolist()", "[False, True]"),
)

# --- predicates -----------------------------------------------------------------------------------

isnan = unary(
    "isnan(x)",
    "Whether x, or a part of it, is NaN; False for integers and bools.",
    ref=np.isnan,
    dtypes=ALL,
    boolean=True,
    onnx="IsNaN",
    example=("samara.isnan(samara.tensor([1.0, samara.nan])).tolist()", "[False, True]"),
)

isinf = unary(
    "isinf(x)",
    "Whether x, or a part of it, is infinite; False for integers and bools.",
    ref=np.isinf,
    dtypes=ALL,
    boolean=True,
    onnx="IsInf",
    example=("samara.isinf(samara.tensor([1.0, -samara.inf])).tolist()", "[False, True]"),
)

isfinite = unary(
    "isfinite(x)",
    "Whether x is neither infinite nor NaN; True for integers and bools.",
    ref=np.isfinite,
    dtypes=ALL,
    boolean=True,
    example=("samara.isfinite(samara.tensor([1.0, -samara.inf])).tolist()", "[True, False]"),
)

signbit = unary(
    "signbit(x)",
    "Whether the sign bit is set: x < 0, -0 or a NaN with that bit.",
    ref=np.signbit,
    dtypes=_REAL,
    boolean=True,
    example=("samara.signbit(samara.tensor([0.0, -0.0])).tolist()", "[False, True]"),
)

# --- logic ----------------------------------------------------------------------------------------

logical_not = unary(
    "logical_not(x)",
    "Whether x is zero, or False.",
    ref=np.logical_not,
    dtypes=ALL,
    converts=False,
    boolean=True,
    onnx="Not",
    example=("samara.logical_not(samara.tensor([True, False])).tolist()", "[False, True]"),
)

logical_and = binary(
    "logical_and(x, y)",
    "Whether neither x nor y is zero.",
    ref=np.logical_and,
    dtypes=ALL,
    boolean=True,
    onnx="And",
    example=("samara.logical_and(samara.tensor([True, False]), True).tolist()", "[True, False]"),
)

logical_or = binary(
    "logical_or(x, y)",
    "Whether x or y is not zero.",
    ref=np.logical_or,
    dtypes=ALL,
    boolean=True,
    onnx="Or",
    example=("samara.logical_or(samara.tensor([True, False]), False).tolist()", "[True, False]"),
)

logical_xor = binary(
    "logical_xor(x, y)",
    "Whether exactly one of x and y is not zero.",
    ref=np.logical_xor,
    dtypes=ALL,
    boolean=True,
    onnx="Xor",
    example=("samara.logical_xor(samara.tensor([True, False]), True).tolist()", "[False, True]"),
)

# --- bits -----------------------------------------------------------------------------------------

bitwise_invert = unary(
    "bitwise_invert(x)",
    "Every bit flipped; of a bool the other one.",
    ref=np.invert,
    dtypes=BITS,
    converts=False,
    onnx="BitwiseNot",
    aliases=("bitwise_not",),
    example=("samara.bitwise_invert(samara.tensor([0, 5])).tolist()", "[-1, -6]"),
)

bitwise_and = binary(
    "bitwise_and(x, y)",
    "The bits that both x and y have.",
    ref=np.bitwise_and,
    dtypes=BITS,
    onnx="BitwiseAnd",
    example=("samara.bitwise_and(samara.tensor([6, 5]), 3).tolist()", "[2, 1]"),
)

bitwise_or = binary(
    "bitwise_or(x, y)",
    "The bits that x or y has.",
    ref=np.bitwise_or,
    dtypes=BITS,
    onnx="BitwiseOr",
    example=("samara.bitwise_or(samara.tensor([6, 5]), 3).tolist()", "[7, 7]"),
)

bitwise_xor = binary(
    "bitwise_xor(x, y)",
    "The bits that exactly one of x and y has.",
    ref=np.bitwise_xor,
    dtypes=BITS,
    onnx="BitwiseXor",
    example=("samara.bitwise_xor(samara.tensor([6, 5]), 3).tolist()", "[5, 6]"),
)


def _shift_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.integers(0, 100, size=(3, 4)), rng.integers(0, 5, size=4)),
        Sample(rng.integers(0, 100, size=7), 3),
    ]


bitwise_left_shift = binary(
    "bitwise_left_shift(x, y)",
    """x 2^y, without the bits that leave at the left.

    0 where y is the width of the dtype or more; a negative y counts as too large.""",
    ref=lambda x, y: np.where((y < 0) | (y >= 64), 0, np.left_shift(x, np.clip(y, 0, 63))),
    dtypes=INTEGER,
    edges=(0.0, 1.0, 2.0, -1.0),
    samples=_shift_samples,
    example=("samara.bitwise_left_shift(samara.tensor([1, 3]), 2).tolist()", "[4, 12]"),
)

bitwise_right_shift = binary(
    "bitwise_right_shift(x, y)",
    """floor(x / 2^y): the sign bit moves in from the left.

    0 or -1 where y is the width of the dtype or more; a negative y counts as too large.""",
    ref=lambda x, y: (
        np.where((y < 0) | (y >= 64), x < 0, 0) * -1
        + np.where((y < 0) | (y >= 64), 0, np.right_shift(x, np.clip(y, 0, 63)))
    ),
    dtypes=INTEGER,
    edges=(0.0, 1.0, 2.0, -1.0),
    samples=_shift_samples,
    example=("samara.bitwise_right_shift(samara.tensor([8, -8]), 2).tolist()", "[2, -2]"),
)

# --- nearness -------------------------------------------------------------------------------------


@composite(
    "isclose(x, y, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False)",
    doc="""Whether |x - y| <= atol + rtol |y|, elementwise.

    x: [*A], y: [*B], any dtype -> [*S] bool, the broadcast shape. Infinities are close to
    themselves alone, NaN to nothing, or with equal_nan to NaN.

    Raises ShapeError when the shapes do not broadcast, ArgumentError for a negative tolerance.
    Source: NumPy, `isclose`.

    >>> samara.isclose(samara.tensor([1.0, 2.0]), samara.tensor([1.0, 2.1])).tolist()
    [True, False]
    """,
    ref=lambda x, y, rtol=1e-5, atol=1e-8, equal_nan=False: np.isclose(x, y, rtol, atol, equal_nan),
    dtypes=ALL,
    samples=lambda rng: [
        Sample(np.array([1.0, 2.0, np.inf, np.nan]), np.array([1.0, 2.5, np.inf, np.nan])),
        Sample(np.array([1.0, np.inf, np.nan]), np.array([np.inf, 1.0, np.nan]), equal_nan=True),
        Sample(np.array([[1.0], [2.0]]), np.array([1.25, 2.25]), atol=0.5),
        Sample(np.array([4.0, 8.0]), 5.0, rtol=0.25),
        Sample(np.ones(()), np.ones((0, 3))),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "do not", np.ones(2), np.ones(3)),
        ErrorSample(ArgumentError, "atol -1", np.ones(2), np.ones(2), atol=-1),
        ErrorSample(DTypeError, "a str", np.ones(2), "text"),
    ],
    differentiable=False,
)
def isclose(
    x: Any, y: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    for name, value in (("rtol", rtol), ("atol", atol)):
        if value < 0:
            raise ArgumentError(
                f"isclose: {name} {value} is negative. Expected 0 or more. Fix: correct it."
            )
    same = equal(x, y)
    if equal_nan:
        same = same | (not_equal(x, x) & not_equal(y, y))
    x, y = (_inexact(v) if isinstance(v, Tensor) else v for v in (x, y))
    # Where y is infinite the bound is too, and everything would be near it.
    near = abs(x - y) <= atol + rtol * builtins.abs(y)
    close: Tensor = same | (near & (builtins.abs(y) < math.inf))
    return close


def _inexact(x: Tensor) -> Tensor:
    """Whole numbers as float64: the difference of two integers may not fit their dtype."""
    x = x.detach()
    return x if x.dtype in FLOAT + COMPLEX else x.astype(float64)


@plain("allclose")
def allclose(
    x: Any, y: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether all elements are close, see `isclose`; a Python bool.

    >>> samara.allclose(samara.tensor([1.0]), samara.tensor([1.0 + 1e-7]))
    True
    """
    return bool(isclose(x, y, rtol, atol, equal_nan).all())


@plain("equal")
def array_equal(x: Tensor, y: Tensor) -> bool:
    """Whether two tensors have the same shape and equal elements; a Python bool.

    >>> samara.array_equal(samara.tensor([1, 2]), samara.tensor([1, 3]))
    False
    """
    return x.shape == y.shape and bool(equal(x, y).all())
