"""float32 functions over the whole range of floats, against float64.

Samples have all exponents and are dense where an algorithm passes from one formula to the next.
Blocks of numbers of moderate size are computed by other code than those with an outsider among
them; both are checked.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

import samara
from samara.ops.record import RECORDS
from samara.testing import check_values

Array = np.ndarray[Any, Any]

# Where formulas change, and what is special in floats.
SEAMS = (
    *(0.0, 1e-45, 2**-126, 2**-25, 0.25, 0.5, 0.6, 1.0, 1.1875, 1.4, 1.5, 2.0, 2.5, 3.0, 10.0),
    *(math.sqrt(0.5), math.sqrt(2.0), math.tan(math.pi / 8), 1 / math.tan(math.pi / 8), 1.4616321),
    *(math.pi / 4, math.pi / 2, math.pi, 1.5 * math.pi, 2 * math.pi, 1000 * math.pi, 32768.0),
    *(87.3, 88.7, 89.4, 103.9, 126.0, 128.0, 149.0, 2.0**20, 2.0**64, 3.4e38),
)  # fmt: skip


def floats_of(bits: Array) -> Array:
    """The floats with these bits; every NaN is a quiet one, which casts without a warning."""
    x = bits.astype(np.uint32).view(np.float32)
    x[np.isnan(x)] = np.nan
    return x


def near(values: tuple[float, ...], distance: int) -> Array:
    """The floats next to each value, on both sides of 0."""
    bits = np.array(values, np.float32).view(np.uint32).astype(np.int64)
    around = np.maximum(bits[:, None] + np.arange(-distance, distance + 1), 0)
    positive = floats_of(np.minimum(around, 0x7F800000).ravel())
    return np.concatenate([positive, -positive])


def sampled(step: int) -> Array:
    """Floats of all exponents and signs, infinities and NaN."""
    everywhere = floats_of(np.arange(0, 2**32, step, dtype=np.int64))
    ends = np.array([np.inf, -np.inf, np.nan], np.float32)
    return np.concatenate([everywhere, near(SEAMS, 200), ends])


def check(name: str, reference: Callable[..., Array], *arrays: Array) -> None:
    with np.errstate(all="ignore"):
        expected = reference(*(x.astype(np.float64) for x in arrays))
    result = getattr(samara, name)(*map(samara.tensor, arrays))
    check_values(result, expected, ulp=RECORDS[name].ulp, place=name)


def with_outsiders(x: Array, outsider: float) -> Array:
    """Every eighth number replaced."""
    mixed = x.copy()
    mixed[::8] = outsider
    return mixed


def sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1.0) / (1.0 + e)


UNARY: dict[str, Callable[[Array], Array]] = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2,
    "log10": np.log10, "log1p": np.log1p, "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh,
    "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "sigmoid": sigmoid, "erf": np.vectorize(math.erf), "erfc": np.vectorize(math.erfc),
}  # fmt: skip


@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_number(name):
    x = sampled(300_007)
    check(name, UNARY[name], x)
    check(name, UNARY[name], np.sort(x))


@pytest.mark.parametrize("name", ["log", "log2", "log10", "sin", "cos", "tan"])
def test_blocks_with_and_without_outsiders(name):
    x = floats_of(np.arange(0x3C000000, 0x47000000, 7001))
    for outsider in (1.0, np.nan, np.inf, -1.0, 1e30, 1e-40, 0.0):
        check(name, UNARY[name], with_outsiders(x, outsider))


@pytest.mark.parametrize("name", ["log", "log2", "log10", "sin", "cos", "tan", "lgamma", "digamma"])
def test_a_result_does_not_depend_on_its_neighbours(name):
    x = np.random.default_rng(3).uniform(0.01, 40.0, size=5_000).astype(np.float32)
    function = getattr(samara, name)
    alone = function(samara.tensor(x)).numpy()
    for outsider in (np.nan, -1.5, 1e30):
        among = function(samara.tensor(with_outsiders(x, outsider))).numpy()
        np.testing.assert_array_equal(np.delete(among, np.s_[::8]), np.delete(alone, np.s_[::8]))
    strided = function(samara.tensor(np.repeat(x, 2))[::2]).numpy()
    np.testing.assert_array_equal(strided, alone)


def test_a_power_does_not_depend_on_its_neighbours():
    rng = np.random.default_rng(4)
    x, y = rng.uniform(0.01, 9.0, size=(2, 5_000)).astype(np.float32)
    alone = samara.pow(samara.tensor(x), samara.tensor(y)).numpy()
    for outsider in (np.nan, -1.5, 0.0):
        among = samara.pow(samara.tensor(with_outsiders(x, outsider)), samara.tensor(y)).numpy()
        np.testing.assert_array_equal(np.delete(among, np.s_[::8]), np.delete(alone, np.s_[::8]))


def test_angles_next_to_multiples_of_a_right_angle():
    turns = np.arange(1, 20_861, 3, dtype=np.float64)
    closest = (turns * (math.pi / 2)).astype(np.float32)
    for name in ("sin", "cos", "tan"):
        check(name, UNARY[name], closest)
        check(name, UNARY[name], -np.nextafter(closest, np.float32(0)))


@pytest.mark.parametrize(
    ("name", "reference", "ends"),
    [
        ("lgamma", lambda x: float(mpmath.loggamma(x).real), (0.6, 1.0, 1.4, 2.0, 2.5)),
        ("digamma", lambda x: float(mpmath.digamma(x)), (1.0, 1.4616321, 2.0, 3.0)),
    ],
)
def test_gamma_function(name, reference, ends):
    bits = np.linspace(0x00800000, 0x7F000000, 600).astype(np.int64)
    seams = near(ends, 20)
    middle = np.linspace(0.05, 12.0, 500, dtype=np.float32)
    x = np.concatenate([floats_of(bits), seams[seams > 0], middle])
    check(name, np.vectorize(reference), x)
    check(name, np.vectorize(reference), np.append(x, np.float32(-0.25))[::-1])


def powers(rng: np.random.Generator) -> tuple[Array, Array]:
    """Bases and exponents whose powers lie in and around the range of floats."""
    x = np.exp2(rng.uniform(-149, 128, size=20_000))
    y = rng.uniform(-1, 1, size=x.size) * 150 / np.log2(x)
    close = 1 + rng.uniform(-1, 1, size=5_000) * 1e-3
    many = rng.uniform(-1e5, 1e5, size=close.size)
    below = -rng.uniform(0, 5, size=5_000)
    whole = rng.integers(-30, 30, size=below.size)
    pairs = ((x, y), (close, many), (below, whole))
    bases, exponents = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    return bases.astype(np.float32), exponents.astype(np.float32)


def test_pow():
    x, y = powers(np.random.default_rng(0))
    check("pow", np.power, x, y)
    check("pow", np.power, np.abs(x), y)
    ends = np.array(
        [*(0.0, 1.0, 2.0, 0.5, 3.0, 2.5, np.inf, 1e-45, 1e-39, 3.4e38, 8388607.5, 16777216.0)]
        + [*(1 - 2**-24, 1 + 2**-23, 128.0, 149.0, 4194303.5, 16777215.0)],
        np.float32,
    )
    ends = np.concatenate([ends, -ends, np.array([np.nan], np.float32)])
    check("pow", np.power, np.repeat(ends, ends.size), np.tile(ends, ends.size))


def test_atan2():
    rng = np.random.default_rng(1)
    y, x = (floats_of(rng.integers(0, 2**32, size=50_000)) for _ in range(2))
    check("atan2", np.arctan2, y, x)
    check("atan2", np.arctan2, *rng.normal(size=(2, 50_000)).astype(np.float32))
    ends = np.concatenate([np.array([0, 1e-45, 1, 2, 1e20, 3.4e38, np.inf], np.float32)])
    ends = np.concatenate([ends, -ends, np.array([np.nan], np.float32)])
    check("atan2", np.arctan2, np.repeat(ends, ends.size), np.tile(ends, ends.size))


@pytest.mark.parametrize("name", ["fmod", "remainder", "floor_divide"])
def test_remainders(name):
    rng = np.random.default_rng(2)
    y = rng.normal(size=20_000).astype(np.float32)
    x = (y * np.exp2(rng.uniform(-2, 21, size=y.size))).astype(np.float32)
    x[::3] = y[::3] * np.rint(x[::3] / y[::3])  # whole quotients, but for the rounding
    check(name, getattr(np, name), x, y)
    check(name, getattr(np, name), with_outsiders(x, 3e38), y)


@pytest.mark.parametrize("isa", ["baseline", "v3", "v4"])
def test_every_instruction_set(isa):
    """The tests above in a process of their own."""
    environment = {**os.environ, "SAMARA_ISA": isa}
    chosen = ["-k", "not every_instruction_set", __file__]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
