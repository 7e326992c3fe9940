"""Special values of pointwise operations, from the text of the Python array API standard 2025.12,
and what integers do where the standard leaves it open: they wrap around, and divide by 0 to 0."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import samara
from samara import Tensor
from samara.dtypes import FLOAT, INTEGER, DType, iinfo, to_numpy_dtype
from samara.errors import ArgumentError, DTypeError, ShapeError

inf, nan, pi = math.inf, math.nan, math.pi

each_float = pytest.mark.parametrize("dtype", FLOAT, ids=lambda d: d.name)
each_integer = pytest.mark.parametrize("dtype", INTEGER, ids=lambda d: d.name)


def check(result: Tensor, expected: list[float], dtype: DType) -> None:
    """Equal values of the dtype, NaN where NaN is expected, and zeros of the same sign."""
    assert result.dtype is dtype
    rounded = np.array(expected).astype(to_numpy_dtype(dtype)).astype(np.float64)
    got = np.array(result.tolist())
    np.testing.assert_array_equal(np.isnan(got), np.isnan(rounded))
    known = ~np.isnan(rounded)
    # pi / 2 and the like are "implementation-dependent approximations".
    step = 2 * float(ml_dtypes.finfo(to_numpy_dtype(dtype)).eps) * np.abs(rounded[known])
    angle = np.isfinite(rounded[known]) & (rounded[known] != np.rint(rounded[known]))
    for value, wanted, bound, near in zip(got[known], rounded[known], step, angle, strict=True):
        assert abs(value - wanted) <= bound if near else value == wanted, (got, rounded)
    np.testing.assert_array_equal(np.signbit(got[known]), np.signbit(rounded[known]))


# name -> [(x, f(x)), ...]
UNARY: dict[str, list[tuple[float, float]]] = {
    "abs": [(nan, nan), (-0.0, 0.0), (-inf, inf)],
    "acos": [(nan, nan), (1.5, nan), (-1.5, nan), (1.0, 0.0)],
    "acosh": [(nan, nan), (0.5, nan), (1.0, 0.0), (inf, inf)],
    "asin": [(nan, nan), (1.5, nan), (-1.5, nan), (0.0, 0.0), (-0.0, -0.0)],
    "asinh": [(nan, nan), (0.0, 0.0), (-0.0, -0.0), (inf, inf), (-inf, -inf)],
    "atan": [(nan, nan), (0.0, 0.0), (-0.0, -0.0), (inf, pi / 2), (-inf, -pi / 2)],
    "atanh": [
        *((nan, nan), (-1.5, nan), (1.5, nan), (-1.0, -inf), (1.0, inf)),
        *((0.0, 0.0), (-0.0, -0.0)),
    ],
    "ceil": [(inf, inf), (-inf, -inf), (0.0, 0.0), (-0.0, -0.0), (nan, nan), (-0.5, -0.0)],
    "cos": [(nan, nan), (0.0, 1.0), (-0.0, 1.0), (inf, nan), (-inf, nan)],
    "cosh": [(nan, nan), (0.0, 1.0), (-0.0, 1.0), (inf, inf), (-inf, inf)],
    "exp": [(nan, nan), (0.0, 1.0), (-0.0, 1.0), (inf, inf), (-inf, 0.0)],
    "expm1": [(nan, nan), (0.0, 0.0), (-0.0, -0.0), (inf, inf), (-inf, -1.0)],
    "floor": [(inf, inf), (-inf, -inf), (0.0, 0.0), (-0.0, -0.0), (nan, nan), (0.5, 0.0)],
    "log": [(nan, nan), (-1.0, nan), (0.0, -inf), (-0.0, -inf), (1.0, 0.0), (inf, inf)],
    "log1p": [
        *((nan, nan), (-1.5, nan), (-1.0, -inf), (-0.0, -0.0), (0.0, 0.0), (inf, inf)),
    ],
    "log2": [(nan, nan), (-1.0, nan), (0.0, -inf), (-0.0, -inf), (1.0, 0.0), (inf, inf)],
    "log10": [(nan, nan), (-1.0, nan), (0.0, -inf), (-0.0, -inf), (1.0, 0.0), (inf, inf)],
    "negative": [(0.0, -0.0), (-0.0, 0.0), (inf, -inf), (nan, nan)],
    "positive": [(-0.0, -0.0), (-inf, -inf), (nan, nan)],
    "reciprocal": [(0.0, inf), (-0.0, -inf), (inf, 0.0), (-inf, -0.0), (nan, nan)],
    "round": [
        *((inf, inf), (-inf, -inf), (0.0, 0.0), (-0.0, -0.0), (nan, nan)),
        *((0.5, 0.0), (1.5, 2.0), (2.5, 2.0), (-0.5, -0.0), (-1.5, -2.0)),
    ],
    "sign": [(-2.0, -1.0), (2.0, 1.0), (0.0, 0.0), (nan, nan), (inf, 1.0), (-inf, -1.0)],
    "sin": [(nan, nan), (0.0, 0.0), (-0.0, -0.0), (inf, nan), (-inf, nan)],
    "sinh": [(nan, nan), (0.0, 0.0), (-0.0, -0.0), (inf, inf), (-inf, -inf)],
    "sqrt": [(nan, nan), (-1.0, nan), (0.0, 0.0), (-0.0, -0.0), (inf, inf)],
    "square": [(-0.0, 0.0), (-inf, inf), (nan, nan)],
    "tan": [(nan, nan), (0.0, 0.0), (-0.0, -0.0), (inf, nan), (-inf, nan)],
    "tanh": [(nan, nan), (0.0, 0.0), (-0.0, -0.0), (inf, 1.0), (-inf, -1.0)],
    "trunc": [(inf, inf), (-inf, -inf), (0.0, 0.0), (-0.0, -0.0), (nan, nan), (-0.5, -0.0)],
    # Not in the standard: limits of the functions.
    "erf": [(nan, nan), (0.0, 0.0), (-0.0, -0.0), (inf, 1.0), (-inf, -1.0)],
    "erfc": [(nan, nan), (0.0, 1.0), (inf, 0.0), (-inf, 2.0)],
    "exp2": [(nan, nan), (-0.0, 1.0), (inf, inf), (-inf, 0.0)],
    "rsqrt": [(nan, nan), (-1.0, nan), (0.0, inf), (-0.0, -inf), (inf, 0.0)],
    "sigmoid": [(nan, nan), (0.0, 0.5), (inf, 1.0), (-inf, 0.0)],
    "silu": [(nan, nan), (0.0, 0.0), (inf, inf), (-inf, -0.0)],
    "gelu": [(nan, nan), (0.0, 0.0), (-0.0, -0.0), (inf, inf), (-inf, -0.0)],
    "mish": [(nan, nan), (0.0, 0.0), (inf, inf), (-inf, -0.0)],
    "softsign": [(nan, nan), (-0.0, -0.0), (inf, 1.0), (-inf, -1.0)],
    "relu": [(nan, nan), (inf, inf), (-inf, 0.0)],
    "hardswish": [(nan, nan), (inf, inf), (-inf, -0.0)],
    "log_sigmoid": [(nan, nan), (inf, -0.0), (-inf, -inf)],
}


@each_float
@pytest.mark.parametrize("name", UNARY)
def test_of_one_number(name: str, dtype: DType) -> None:
    inputs = [x for x, _ in UNARY[name]]
    expected = [y for _, y in UNARY[name]]
    function = getattr(samara, name)
    check(function(samara.tensor(inputs, dtype=dtype)), expected, dtype)
    # Alone, each value goes through the loop's remainder instead of its vectors.
    for x, y in UNARY[name]:
        check(function(samara.tensor([x], dtype=dtype)), [y], dtype)


# name -> [(x1, x2, f(x1, x2)), ...]
BINARY: dict[str, list[tuple[float, float, float]]] = {
    "add": [
        *((nan, 1.0, nan), (1.0, nan, nan), (inf, -inf, nan), (-inf, inf, nan)),
        *((inf, inf, inf), (-inf, -inf, -inf), (inf, 1.0, inf), (-inf, 1.0, -inf)),
        *((1.0, inf, inf), (1.0, -inf, -inf), (-0.0, -0.0, -0.0), (-0.0, 0.0, 0.0)),
        *((0.0, -0.0, 0.0), (0.0, 0.0, 0.0), (0.0, -2.0, -2.0), (-2.0, -0.0, -2.0)),
        (1.0, -1.0, 0.0),
    ],
    "subtract": [(inf, inf, nan), (0.0, 0.0, 0.0), (-0.0, 0.0, -0.0), (1.0, 1.0, 0.0)],
    "multiply": [
        *((nan, 1.0, nan), (1.0, nan, nan), (inf, 0.0, nan), (-inf, -0.0, nan), (0.0, inf, nan)),
        *((-2.0, -3.0, 6.0), (-2.0, 3.0, -6.0), (inf, -inf, -inf), (-inf, -inf, inf)),
        *((inf, -2.0, -inf), (-2.0, -inf, inf), (-0.0, 2.0, -0.0), (-0.0, -2.0, 0.0)),
    ],
    "divide": [
        *((nan, 1.0, nan), (1.0, nan, nan), (inf, inf, nan), (-inf, inf, nan), (0.0, 0.0, nan)),
        *((-0.0, 0.0, nan), (0.0, 2.0, 0.0), (-0.0, 2.0, -0.0), (0.0, -2.0, -0.0)),
        *((-0.0, -2.0, 0.0), (2.0, 0.0, inf), (2.0, -0.0, -inf), (-2.0, 0.0, -inf)),
        *((-2.0, -0.0, inf), (inf, 2.0, inf), (inf, -2.0, -inf), (-inf, 2.0, -inf)),
        *((-inf, -2.0, inf), (2.0, inf, 0.0), (2.0, -inf, -0.0), (-2.0, inf, -0.0)),
        *((-2.0, -inf, 0.0), (-6.0, -3.0, 2.0), (6.0, -3.0, -2.0)),
    ],
    # Infinite operands follow Python, as the standard allows.
    "floor_divide": [
        *((nan, 1.0, nan), (1.0, nan, nan), (inf, inf, nan), (inf, -inf, nan), (0.0, 0.0, nan)),
        *((-0.0, 0.0, nan), (0.0, 2.0, 0.0), (-0.0, 2.0, -0.0), (0.0, -2.0, -0.0)),
        *((-0.0, -2.0, 0.0), (2.0, 0.0, inf), (2.0, -0.0, -inf), (-2.0, 0.0, -inf)),
        *((-2.0, -0.0, inf), (inf, 2.0, nan), (-inf, 2.0, nan), (2.0, inf, 0.0)),
        *((2.0, -inf, -1.0), (-2.0, inf, -1.0), (-2.0, -inf, 0.0), (-7.0, 2.0, -4.0)),
        *((7.0, -2.0, -4.0), (-7.0, -2.0, 3.0), (1.0, 4.0, 0.0), (-1.0, 4.0, -1.0)),
    ],
    "remainder": [
        *((nan, 1.0, nan), (1.0, nan, nan), (inf, inf, nan), (0.0, 0.0, nan), (0.0, 2.0, 0.0)),
        *((-0.0, 2.0, 0.0), (0.0, -2.0, -0.0), (-0.0, -2.0, -0.0), (2.0, 0.0, nan)),
        *((2.0, -0.0, nan), (-2.0, 0.0, nan), (-2.0, -0.0, nan), (inf, 2.0, nan)),
        *((inf, -2.0, nan), (-inf, 2.0, nan), (2.0, inf, 2.0), (2.0, -inf, -inf)),
        *((-2.0, inf, inf), (-2.0, -inf, -2.0), (-7.0, 3.0, 2.0), (7.0, -3.0, -2.0)),
        *((6.0, 3.0, 0.0), (-6.0, 3.0, 0.0), (6.0, -3.0, -0.0)),
    ],
    "fmod": [
        *((nan, 1.0, nan), (inf, 2.0, nan), (2.0, 0.0, nan), (2.0, inf, 2.0), (-2.0, inf, -2.0)),
        *((-7.0, 3.0, -1.0), (7.0, -3.0, 1.0), (-6.0, 3.0, -0.0)),
    ],
    "pow": [
        *((2.0, nan, nan), (nan, 0.0, 1.0), (nan, -0.0, 1.0), (inf, 0.0, 1.0), (nan, 2.0, nan)),
        *((2.0, inf, inf), (-2.0, inf, inf), (2.0, -inf, 0.0), (1.0, inf, 1.0)),
        *((-1.0, inf, 1.0), (-1.0, -inf, 1.0), (1.0, nan, 1.0), (0.5, inf, 0.0)),
        *((0.5, -inf, inf), (inf, 2.0, inf), (inf, -2.0, 0.0), (-inf, 3.0, -inf)),
        *((-inf, 2.0, inf), (-inf, 2.5, inf), (-inf, -3.0, -0.0), (-inf, -2.0, 0.0)),
        *((0.0, 2.0, 0.0), (0.0, -2.0, inf), (-0.0, 3.0, -0.0), (-0.0, 2.0, 0.0)),
        *((-0.0, 2.5, 0.0), (-0.0, -3.0, -inf), (-0.0, -2.0, inf), (-2.0, 0.5, nan)),
        *((-2.0, 3.0, -8.0), (-2.0, -1.0, -0.5), (0.0, 0.0, 1.0)),
    ],
    "atan2": [
        *((nan, 1.0, nan), (1.0, nan, nan), (2.0, 0.0, pi / 2), (2.0, -0.0, pi / 2)),
        *((0.0, 2.0, 0.0), (0.0, 0.0, 0.0), (0.0, -0.0, pi), (0.0, -2.0, pi)),
        *((-0.0, 2.0, -0.0), (-0.0, 0.0, -0.0), (-0.0, -0.0, -pi), (-0.0, -2.0, -pi)),
        *((-2.0, 0.0, -pi / 2), (-2.0, -0.0, -pi / 2), (2.0, inf, 0.0), (2.0, -inf, pi)),
        *((-2.0, inf, -0.0), (-2.0, -inf, -pi), (inf, 2.0, pi / 2), (-inf, 2.0, -pi / 2)),
        *((inf, inf, pi / 4), (inf, -inf, 3 * pi / 4), (-inf, inf, -pi / 4)),
        (-inf, -inf, -3 * pi / 4),
    ],
    "hypot": [
        *((inf, nan, inf), (nan, -inf, inf), (-inf, 1.0, inf), (0.0, -2.0, 2.0)),
        *((-2.0, -0.0, 2.0), (nan, 1.0, nan), (1.0, nan, nan), (0.0, 0.0, 0.0)),
    ],
    "copysign": [
        *((2.0, -1.0, -2.0), (2.0, -0.0, -2.0), (-2.0, 0.0, 2.0), (-2.0, 1.0, 2.0)),
        *((inf, -1.0, -inf), (0.0, -1.0, -0.0)),
    ],
    "logaddexp": [
        *((nan, 1.0, nan), (1.0, nan, nan), (inf, 1.0, inf), (1.0, inf, inf)),
        *((inf, inf, inf), (-inf, -inf, -inf), (-inf, 2.0, 2.0), (inf, -inf, inf)),
    ],
    "maximum": [(nan, 1.0, nan), (1.0, nan, nan), (inf, nan, nan), (-inf, 1.0, 1.0)],
    "minimum": [(nan, 1.0, nan), (1.0, nan, nan), (-inf, nan, nan), (inf, 1.0, 1.0)],
    "nextafter": [(nan, 1.0, nan), (1.0, nan, nan), (-0.0, 0.0, 0.0), (0.0, -0.0, -0.0)],
}

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "floor_divide": operator.floordiv,
    "remainder": operator.mod,
    "pow": operator.pow,
}


@each_float
@pytest.mark.parametrize("name", BINARY)
def test_of_two_numbers(name: str, dtype: DType) -> None:
    first, second, expected = (list(column) for column in zip(*BINARY[name], strict=True))
    x, y = samara.tensor(first, dtype=dtype), samara.tensor(second, dtype=dtype)
    function = getattr(samara, name)
    check(function(x, y), expected, dtype)
    if name in OPERATORS:
        check(OPERATORS[name](x, y), expected, dtype)
    for a, b, result in BINARY[name]:
        check(function(samara.tensor([a], dtype=dtype), b), [result], dtype)
        check(function(a, samara.tensor([b], dtype=dtype)), [result], dtype)


@each_float
def test_nan_keeps_its_sign_bit(dtype: DType) -> None:
    x = samara.copysign(samara.tensor([nan, nan, 1.0], dtype=dtype), -1.0)
    assert samara.signbit(x).tolist() == [True, True, True]
    assert samara.signbit(samara.copysign(x, 1.0)).tolist() == [False, False, False]
    assert samara.signbit(samara.tensor([0.0, -0.0, -inf], dtype=dtype)).tolist() == [
        False,
        True,
        True,
    ]


@each_float
def test_comparisons(dtype: DType) -> None:
    x = samara.tensor([nan, inf, -inf, 0.0, -0.0, 1.0], dtype=dtype)
    assert (x == x).tolist() == [False, True, True, True, True, True]
    assert (x != x).tolist() == [True, False, False, False, False, False]
    assert samara.equal(samara.tensor([0.0], dtype=dtype), -0.0).tolist() == [True]
    for compare in (samara.less, samara.less_equal, samara.greater, samara.greater_equal):
        assert compare(x, nan).tolist() == [False] * 6
    assert samara.isnan(x).tolist() == [True] + [False] * 5
    assert samara.isinf(x).tolist() == [False, True, True, False, False, False]
    assert samara.isfinite(x).tolist() == [False, False, False, True, True, True]


@each_float
def test_nextafter_steps_through_every_number(dtype: DType) -> None:
    numpy_dtype = to_numpy_dtype(dtype)
    limits = ml_dtypes.finfo(numpy_dtype)
    largest, smallest = float(limits.max), float(limits.smallest_subnormal)
    starts = [0.0, 1.0, -1.0, smallest, -smallest, largest, -largest, inf, -inf, 2.0]
    for target in (inf, -inf, 0.0):
        x = np.array(starts, numpy_dtype)
        with np.errstate(all="ignore"):
            expected = np.nextafter(x, np.array(target, numpy_dtype))
        result = samara.nextafter(samara.tensor(x), target)
        check(result, expected.astype(np.float64).tolist(), dtype)


# --- integers -------------------------------------------------------------------------------------


@each_integer
def test_integers_wrap_around(dtype: DType) -> None:
    limits, numpy_dtype = iinfo(dtype), to_numpy_dtype(dtype)
    ends = np.array([limits.max, limits.min, limits.max // 2 + 1, 3], numpy_dtype)
    x = samara.tensor(ends)
    modulus = 2**limits.bits

    def wrapped(values: list[int]) -> list[int]:
        return [(v - limits.min) % modulus + limits.min for v in values]

    whole = [int(v) for v in ends]
    assert (x + x).tolist() == wrapped([2 * v for v in whole])
    assert (x + 1).tolist() == wrapped([v + 1 for v in whole])
    assert (x - 1).tolist() == wrapped([v - 1 for v in whole])
    assert (x * x).tolist() == wrapped([v * v for v in whole])
    assert (-x).tolist() == wrapped([-v for v in whole])
    assert (x**3).tolist() == wrapped([v**3 for v in whole])
    assert samara.square(x).tolist() == wrapped([v * v for v in whole])
    assert samara.abs(x).tolist() == wrapped([abs(v) for v in whole])


@each_integer
def test_integer_division(dtype: DType) -> None:
    limits = iinfo(dtype)
    values = [
        v for v in (limits.min, limits.min + 1, -7, -1, 0, 1, 7, limits.max) if v >= limits.min
    ]
    divisors = [v for v in (limits.min, -7, -3, -1, 1, 3, 7, limits.max) if v and v >= limits.min]
    pairs = [(a, b) for a in values for b in divisors]
    x = samara.tensor([a for a, _ in pairs], dtype=dtype)
    y = samara.tensor([b for _, b in pairs], dtype=dtype)
    modulus = 2**limits.bits
    quotients = [(a // b - limits.min) % modulus + limits.min for a, b in pairs]
    assert (x // y).tolist() == quotients
    assert (x % y).tolist() == [a % b for a, b in pairs]
    assert samara.fmod(x, y).tolist() == [abs(a) % abs(b) * (-1 if a < 0 else 1) for a, b in pairs]


@each_integer
def test_integer_division_next_to_whole_quotients(dtype: DType) -> None:
    """Dividends one off a multiple of the divisor, up to the limits of the dtype."""
    limits, rng = iinfo(dtype), np.random.default_rng(0)
    pairs = []
    for bits in rng.integers(1, limits.bits, size=300):
        divisor = int(rng.integers(1, 2 ** int(bits), dtype=np.uint64)) or 1
        divisor = min(divisor, limits.max) * (-1 if limits.min and rng.random() < 0.5 else 1)
        for end in (limits.min, limits.max):
            whole = int(end / divisor * rng.random()) * divisor
            pairs += [(v, divisor) for v in range(whole - 1, whole + 2)]
    pairs = [(a, b) for a, b in pairs if limits.min <= a <= limits.max]
    columns = zip(*pairs, strict=True)
    x, y = (samara.tensor(np.array(column, to_numpy_dtype(dtype))) for column in columns)
    modulus = 2**limits.bits
    quotients = [(a // b - limits.min) % modulus + limits.min for a, b in pairs]
    assert (x // y).tolist() == quotients
    assert (x % y).tolist() == [a % b for a, b in pairs]
    assert samara.fmod(x, y).tolist() == [abs(a) % abs(b) * (-1 if a < 0 else 1) for a, b in pairs]


@each_integer
def test_integer_division_by_zero_gives_zero(dtype: DType) -> None:
    limits = iinfo(dtype)
    x = samara.tensor([limits.min, 0, 5, limits.max], dtype=dtype)
    for divisor in (0, samara.zeros(4, dtype=dtype)):
        assert (x // divisor).tolist() == [0] * 4
        assert (x % divisor).tolist() == [0] * 4
        assert samara.fmod(x, divisor).tolist() == [0] * 4
    true = x / 0
    assert true.dtype is samara.get_default_dtype()
    assert samara.isnan(true).tolist() == [limits.min == 0, True, False, False]


@pytest.mark.parametrize("dtype", [samara.int8, samara.int64], ids=lambda d: d.name)
def test_integer_powers(dtype: DType) -> None:
    x = samara.tensor([-3, -2, -1, 0, 1, 2, 3], dtype=dtype)
    assert (x**0).tolist() == [1] * 7
    assert (x**3).tolist() == [-27, -8, -1, 0, 1, 8, 27]
    # 1 / x^2 and 1 / x^3, truncated; 0 for a base of 0.
    assert (x**-2).tolist() == [0, 0, 1, 0, 1, 0, 0]
    assert (x**-3).tolist() == [0, 0, -1, 0, 1, 0, 0]


@each_integer
def test_shifts(dtype: DType) -> None:
    limits = iinfo(dtype)
    x = samara.tensor([limits.min, 0, 1, 5, limits.max], dtype=dtype)
    modulus = 2**limits.bits
    for count in (0, 1, limits.bits - 1, limits.bits, limits.bits + 5):
        expected = [((v << count) - limits.min) % modulus + limits.min for v in x.tolist()]
        assert (x << count).tolist() == expected
        assert (x >> count).tolist() == [v >> count for v in x.tolist()]


@each_integer
def test_numbers_beyond_the_dtype(dtype: DType) -> None:
    """Comparisons see the number itself; arithmetic refuses it instead of wrapping it around."""
    limits = iinfo(dtype)
    x = samara.tensor([limits.min, limits.max], dtype=dtype)
    below = limits.min - 1
    if below >= -(2**63):
        assert (x > below).tolist() == [True, True]
        assert (x == below).tolist() == [False, False]
        with pytest.raises(ArgumentError, match="does not fit into"):
            x + below
    above = limits.max + 1
    if above < 2**63:
        assert (x < above).tolist() == [True, True]
        assert (x != above).tolist() == [True, True]
        with pytest.raises(ArgumentError, match="does not fit into"):
            x * above
    assert samara.clamp(x, -(2**40), 2**40).dtype is dtype


# --- forms of the call ----------------------------------------------------------------------------


def test_alpha_scales_the_second_term() -> None:
    x, y = samara.tensor([1.0, 2.0]), samara.tensor([10.0, 20.0])
    assert samara.add(x, y, alpha=2).tolist() == [21.0, 42.0]
    assert x.sub(y, alpha=0.5).tolist() == [-4.0, -8.0]
    assert x.clone().sub_(y, alpha=0.5).tolist() == [-4.0, -8.0]
    assert samara.add(samara.tensor([1, 2]), 3, alpha=4).tolist() == [13, 14]
    y.requires_grad_()
    x.add(y, alpha=3).sum().backward()
    assert y.grad.tolist() == [3.0, 3.0]


@pytest.mark.parametrize("values", [[7, -7, 9, -9], [7.0, -7.5, 0.25, -0.0]])
def test_rounding_modes_of_div(values: list[float]) -> None:
    x = samara.tensor(values)
    for divisor in (2, -3):
        floor = samara.div(x, divisor, rounding_mode="floor")
        trunc = samara.div(x, divisor, rounding_mode="trunc")
        assert floor.tolist() == [math.floor(v / divisor) for v in values]
        assert trunc.tolist() == [math.trunc(v / divisor) for v in values]
        assert floor.dtype is x.dtype and trunc.dtype is x.dtype


def test_in_place_forms_under_every_name() -> None:
    x = samara.tensor([1.0, 4.0])
    for name, argument, expected in (
        ("mul_", 2, [2.0, 8.0]),
        ("multiply_", 0.5, [1.0, 4.0]),
        ("add_", 1, [2.0, 5.0]),
        ("sub_", 1, [1.0, 4.0]),
        ("div_", 2, [0.5, 2.0]),
        ("pow_", 2, [0.25, 4.0]),
        ("clamp_", 0.5, [0.5, 4.0]),
    ):
        result = getattr(x, name)(argument)
        assert result is x
        assert x.tolist() == expected, name
    assert x.sqrt_().neg_().abs_().tolist() == pytest.approx([math.sqrt(0.5), 2.0])
    assert x.fill_(3).tolist() == [3.0, 3.0]
    assert x.zero_().tolist() == [0.0, 0.0]
    assert x.copy_(samara.tensor([1, 2])).tolist() == [1.0, 2.0]
    assert x.masked_fill_(samara.tensor([True, False]), -1.0).tolist() == [-1.0, 2.0]


def test_in_place_results_must_fit_their_target() -> None:
    whole = samara.tensor([1, 2])
    with pytest.raises(DTypeError, match="written in place into a int64"):
        whole += 0.5
    with pytest.raises(ShapeError, match="written in place into a tensor of shape"):
        samara.zeros(2).add_(samara.zeros(3, 2))
    assert whole.tolist() == [1, 2]


def test_gradient_of_fill_and_copy() -> None:
    source = samara.tensor(2.0, requires_grad=True)
    x = samara.zeros(3)
    x.fill_(source)
    (x * samara.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert source.grad.item() == 6.0
    row = samara.tensor([1.0, 2.0], requires_grad=True)
    samara.zeros(3, 2).copy_(row).sum().backward()
    assert row.grad.tolist() == [3.0, 3.0]


def test_reshape_that_copies_is_no_view() -> None:
    """Writing into a copy leaves the original and its gradient alone."""
    x = samara.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    flat = (x * 1.0).mT.reshape(4)
    flat.mul_(2.0)
    (flat.sum() + x.sum()).backward()
    assert x.grad.tolist() == [[3.0, 3.0], [3.0, 3.0]]
    base = samara.arange(4).reshape(2, 2)
    base.mT.reshape(4)[0] = 9
    assert base.tolist() == [[0, 1], [2, 3]]


def test_complex_parts_and_their_gradients() -> None:
    z = samara.tensor([3 + 4j, -1j, 0j], requires_grad=True)
    assert z.real.tolist() == [3.0, 0.0, 0.0]
    assert z.imag.tolist() == [4.0, -1.0, 0.0]
    assert abs(z).tolist() == [5.0, 1.0, 0.0]
    assert z.conj().tolist() == [3 - 4j, 1j, 0j]
    abs(z).sum().backward()
    assert z.grad.tolist() == pytest.approx([0.6 + 0.8j, -1j, 0j])
    with pytest.raises(DTypeError, match=r"take x\.real"):
        samara.astype(z, samara.float32)
