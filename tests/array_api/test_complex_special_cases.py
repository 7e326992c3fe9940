"""Special values of complex functions: the cases that the Python array API standard lists."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import samara
from samara import DType

inf, nan, pi = math.inf, math.nan, math.pi


class Either(float):
    """A value whose sign the standard leaves open."""


INF, ZERO, HALF_PI = Either(inf), Either(0.0), Either(pi / 2)
FINITE = (0.0, -0.0, 1.5, -2.0)
NONZERO = (1.5, -2.0)
POSITIVE = (0.5, 3.0)
NEGATIVE_TOO = (inf, -inf)

# name -> [(reals, imaginary parts, real part of the result, imaginary part)]; where several numbers
# stand, the case holds for each.
Case = tuple[Any, Any, float, float]
# What log and log1p have in common: all but the places of their poles.
LOGARITHMS: list[Case] = [
    (FINITE, inf, inf, pi / 2),
    (FINITE, nan, nan, nan),
    (-inf, POSITIVE, inf, pi),
    (inf, POSITIVE, inf, 0.0),
    (-inf, inf, inf, 3 * pi / 4),
    (inf, inf, inf, pi / 4),
    (NEGATIVE_TOO, nan, inf, nan),
    (nan, FINITE, nan, nan),
    (nan, inf, inf, nan),
    (nan, nan, nan, nan),
]
CASES: dict[str, list[Case]] = {
    "acos": [
        ((0.0, -0.0), 0.0, pi / 2, -0.0),
        ((0.0, -0.0), nan, pi / 2, nan),
        (FINITE, inf, pi / 2, -inf),
        (NONZERO, nan, nan, nan),
        (-inf, POSITIVE, pi, -inf),
        (inf, POSITIVE, 0.0, -inf),
        (-inf, inf, 3 * pi / 4, -inf),
        (inf, inf, pi / 4, -inf),
        (NEGATIVE_TOO, nan, nan, INF),
        (nan, FINITE, nan, nan),
        (nan, inf, nan, -inf),
        (nan, nan, nan, nan),
    ],
    "acosh": [
        ((0.0, -0.0), 0.0, 0.0, pi / 2),
        (FINITE, inf, inf, pi / 2),
        (NONZERO, nan, nan, nan),
        (0.0, nan, nan, HALF_PI),
        (-inf, POSITIVE, inf, pi),
        (inf, POSITIVE, inf, 0.0),
        (-inf, inf, inf, 3 * pi / 4),
        (inf, inf, inf, pi / 4),
        (NEGATIVE_TOO, nan, inf, nan),
        (nan, FINITE, nan, nan),
        (nan, inf, inf, nan),
        (nan, nan, nan, nan),
    ],
    "asinh": [
        (0.0, 0.0, 0.0, 0.0),
        (POSITIVE, inf, inf, pi / 2),
        (FINITE, nan, nan, nan),
        (inf, POSITIVE, inf, 0.0),
        (inf, inf, inf, pi / 4),
        (nan, 0.0, nan, 0.0),
        (nan, NONZERO, nan, nan),
        (nan, inf, INF, nan),
        (nan, nan, nan, nan),
    ],
    "atanh": [
        (0.0, 0.0, 0.0, 0.0),
        (0.0, nan, 0.0, nan),
        (1.0, 0.0, inf, 0.0),
        (POSITIVE, inf, 0.0, pi / 2),
        (NONZERO, nan, nan, nan),
        (inf, POSITIVE, 0.0, pi / 2),
        (inf, inf, 0.0, pi / 2),
        (inf, nan, 0.0, nan),
        (nan, FINITE, nan, nan),
        (nan, inf, ZERO, pi / 2),
        (nan, nan, nan, nan),
    ],
    "cosh": [
        (0.0, 0.0, 1.0, 0.0),
        (0.0, inf, nan, ZERO),
        (0.0, nan, nan, ZERO),
        (NONZERO, inf, nan, nan),
        (NONZERO, nan, nan, nan),
        (inf, 0.0, inf, 0.0),
        (inf, 2.0, -inf, inf),
        (inf, -1.0, inf, -inf),
        (inf, inf, INF, nan),
        (inf, nan, inf, nan),
        (nan, (0.0, -0.0), nan, ZERO),
        (nan, NONZERO, nan, nan),
        (nan, nan, nan, nan),
    ],
    "exp": [
        ((0.0, -0.0), 0.0, 1.0, 0.0),
        (FINITE, inf, nan, nan),
        (FINITE, nan, nan, nan),
        (inf, 0.0, inf, 0.0),
        (-inf, 2.0, -0.0, 0.0),
        (-inf, -1.0, 0.0, -0.0),
        (inf, 2.0, -inf, inf),
        (inf, -1.0, inf, -inf),
        (-inf, inf, ZERO, ZERO),
        (inf, inf, INF, nan),
        (-inf, nan, ZERO, ZERO),
        (inf, nan, INF, nan),
        (nan, 0.0, nan, 0.0),
        (nan, NONZERO, nan, nan),
        (nan, nan, nan, nan),
    ],
    "expm1": [
        ((0.0, -0.0), 0.0, ZERO, 0.0),
        (FINITE, inf, nan, nan),
        (FINITE, nan, nan, nan),
        (inf, 0.0, inf, 0.0),
        (-inf, 2.0, -1.0, 0.0),
        (-inf, -1.0, -1.0, -0.0),
        (inf, 2.0, -inf, inf),
        (inf, -1.0, inf, -inf),
        (-inf, inf, -1.0, ZERO),
        (inf, inf, INF, nan),
        (-inf, nan, -1.0, ZERO),
        (inf, nan, INF, nan),
        (nan, 0.0, nan, 0.0),
        (nan, NONZERO, nan, nan),
        (nan, nan, nan, nan),
    ],
    "log": [
        (-0.0, 0.0, -inf, pi),
        (0.0, 0.0, -inf, 0.0),
        *LOGARITHMS,
    ],
    "log1p": [
        (-1.0, 0.0, -inf, 0.0),
        *LOGARITHMS,
    ],
    "sign": [
        ((0.0, -0.0), (0.0, -0.0), ZERO, ZERO),
        (nan, (*FINITE, nan), nan, nan),
        (FINITE, nan, nan, nan),
    ],
    "sinh": [
        (0.0, 0.0, 0.0, 0.0),
        (0.0, inf, ZERO, nan),
        (0.0, nan, ZERO, nan),
        (POSITIVE, inf, nan, nan),
        (POSITIVE, nan, nan, nan),
        (inf, 0.0, inf, 0.0),
        (inf, 2.0, -inf, inf),
        (inf, inf, INF, nan),
        (inf, nan, INF, nan),
        (nan, 0.0, nan, 0.0),
        (nan, NONZERO, nan, nan),
        (nan, nan, nan, nan),
    ],
    "sqrt": [
        ((0.0, -0.0), 0.0, 0.0, 0.0),
        ((*FINITE, inf, -inf, nan), inf, inf, inf),
        (FINITE, nan, nan, nan),
        (-inf, POSITIVE, 0.0, inf),
        (inf, POSITIVE, inf, 0.0),
        (-inf, nan, nan, INF),
        (inf, nan, inf, nan),
        (nan, FINITE, nan, nan),
        (nan, nan, nan, nan),
    ],
    "tanh": [
        (0.0, 0.0, 0.0, 0.0),
        (NONZERO, inf, nan, nan),
        (0.0, inf, 0.0, nan),
        (NONZERO, nan, nan, nan),
        (0.0, nan, 0.0, nan),
        (inf, POSITIVE, 1.0, ZERO),
        (inf, inf, 1.0, ZERO),
        (inf, nan, 1.0, ZERO),
        (nan, 0.0, nan, 0.0),
        (nan, NONZERO, nan, nan),
        (nan, nan, nan, nan),
    ],
}
ABS: list[tuple[float, float, float]] = [
    *((inf, nan, inf), (-inf, 1.0, inf), (nan, -inf, inf), (2.0, inf, inf)),
    *((0.0, -3.0, 3.0), (-0.0, inf, inf), (-3.0, -0.0, 3.0)),
    *((nan, 1.0, nan), (1.0, nan, nan), (nan, nan, nan)),
]
EDGES = (0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0, inf, -inf, nan)

each_dtype = pytest.mark.parametrize(
    "dtype", [samara.complex64, samara.complex128], ids=lambda d: d.name
)


def number(a: float, b: float, dtype: DType) -> Any:
    z = samara.zeros(1, dtype=samara.complex128).numpy()
    z.real, z.imag = a, b
    return samara.asarray(z).to(dtype)


def same(got: float, wanted: float, eps: float) -> bool:
    if math.isnan(wanted):
        return math.isnan(got)
    if isinstance(wanted, Either):
        got, wanted = abs(got), abs(wanted)
    close = got == wanted or abs(got - wanted) <= 2 * eps * abs(wanted)
    return close and math.copysign(1, got) == math.copysign(1, wanted)


def several(given: Any) -> tuple[float, ...]:
    return given if isinstance(given, tuple) else (given,)


@each_dtype
@pytest.mark.parametrize("name", CASES)
def test_special_cases(name: str, dtype: DType) -> None:
    eps = samara.finfo(dtype).eps
    for reals, imaginaries, real, imaginary in CASES[name]:
        for a in several(reals):
            for b in several(imaginaries):
                got = getattr(samara, name)(number(a, b, dtype)).item()
                fits = same(got.real, real, eps) and same(got.imag, imaginary, eps)
                assert fits, f"{name}({a}, {b}) = {got}, expected {real}, {imaginary}"


@each_dtype
@pytest.mark.parametrize(("a", "b", "expected"), ABS)
def test_abs(a: float, b: float, expected: float, dtype: DType) -> None:
    assert same(samara.abs(number(a, b, dtype)).item(), expected, 0.0)


def grid(dtype: DType) -> Any:
    z = np.zeros((len(EDGES), len(EDGES)), np.complex128)
    z.real, z.imag = np.array(EDGES)[:, None], np.array(EDGES)
    return samara.asarray(z).to(dtype)


def assert_same_numbers(got: Any, wanted: Any, signs: bool = True) -> None:
    for x, y in ((got.real, wanted.real), (got.imag, wanted.imag)):
        a, b = x.numpy(), y.numpy()
        np.testing.assert_array_equal(a, b)
        if signs:
            known = ~np.isnan(a)
            np.testing.assert_array_equal(np.signbit(a)[known], np.signbit(b)[known])


@each_dtype
@pytest.mark.parametrize(
    "name",
    [
        "acos",
        "acosh",
        "asin",
        "asinh",
        "atan",
        "atanh",
        "cosh",
        "exp",
        "expm1",
        "log",
        "log1p",
        "sinh",
        "sqrt",
        "tanh",
    ],
)
def test_conjugates_give_conjugates(name: str, dtype: DType) -> None:
    function, z = getattr(samara, name), grid(dtype)
    # Where the sign of a zero or an infinity is open, it need not follow.
    assert_same_numbers(abs_parts(function(z.conj())), abs_parts(function(z).conj()), signs=False)
    finite = samara.isfinite(z)
    assert_same_numbers(function(z[finite].conj()), function(z[finite]).conj())


def abs_parts(z: Any) -> Any:
    """|a| + |b| j."""
    parts = np.zeros(z.shape, np.complex128)
    parts.real, parts.imag = abs(z.real.numpy()), abs(z.imag.numpy())
    return samara.asarray(parts)


@each_dtype
@pytest.mark.parametrize(("name", "sign"), [("cosh", 1), ("sinh", -1), ("tanh", -1), ("asinh", -1)])
def test_even_and_odd_functions(name: str, sign: int, dtype: DType) -> None:
    function, z = getattr(samara, name), grid(dtype)
    z = z[samara.isfinite(z)]
    assert_same_numbers(function(-z), function(z) if sign > 0 else -function(z))


def turned(z: Any, clockwise: bool = False) -> Any:
    """z times j, or times -j, exactly."""
    values = z.numpy()
    out = np.empty_like(values)
    if clockwise:
        out.real, out.imag = values.imag, -values.real
    else:
        out.real, out.imag = -values.imag, values.real
    return samara.asarray(out)


@each_dtype
@pytest.mark.parametrize(
    ("name", "hyperbolic"),
    [("sin", "sinh"), ("tan", "tanh"), ("asin", "asinh"), ("atan", "atanh"), ("cos", "cosh")],
)
def test_circular_functions_follow_the_hyperbolic_ones(
    name: str, hyperbolic: str, dtype: DType
) -> None:
    z = grid(dtype)
    inner = getattr(samara, hyperbolic)(turned(z))
    expected = inner if name == "cos" else turned(inner, clockwise=True)
    received = getattr(samara, name)(z)
    assert_same_numbers(abs_parts(received), abs_parts(expected), signs=False)
