"""The same call in Samara and in array-api-strict, the standard's reference over NumPy."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import array_api_strict
import numpy as np

import samara

# The reference warns that 2025.12 is new, and NumPy warns of NaN.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    array_api_strict.set_array_api_strict_flags(api_version="2025.12")

BOOL = ("bool",)
INTEGER = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOAT = ("float32", "float64")
COMPLEX = ("complex64", "complex128")
REAL = INTEGER + FLOAT
NUMERIC = REAL + COMPLEX
FLOATING = FLOAT + COMPLEX
ALL = BOOL + NUMERIC

EDGES = (0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, np.inf, -np.inf, np.nan, 1e30, 1e-42, -7.0)


def draw(rng: np.random.Generator, dtype: str, shape: Sequence[int], edges: bool = True) -> Any:
    """An array of small numbers among which edge values stand."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if kind in "iu":
        limits = np.iinfo(dtype)
        small = rng.integers(max(-9, limits.min), 10, shape).astype(dtype)
        wide = rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
        return np.where(rng.random(shape) < (0.2 if edges else 0), wide, small).astype(dtype)

    def real() -> Any:
        plain = rng.normal(size=shape) * 3
        return (
            np.where(rng.random(shape) < 0.4, rng.choice(EDGES, shape), plain) if edges else plain
        )

    if kind == "f":
        return np.asarray(real()).astype(dtype)
    made = np.empty(shape, dtype)
    made.real, made.imag = real(), real()
    return made


def of(name: str, namespace: Any) -> Any:
    """A dtype by name."""
    return getattr(namespace, name)


def compare(call: Callable[..., Any], *arrays: Any, exact: bool = False) -> None:
    """Runs call(namespace, *arrays) in both namespaces and compares dtypes, shapes and values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = call(
            array_api_strict,
            *(
                array_api_strict.asarray(a.copy()) if isinstance(a, np.ndarray) else a
                for a in arrays
            ),
        )
    received = call(
        samara, *(samara.asarray(a.copy()) if isinstance(a, np.ndarray) else a for a in arrays)
    )
    assert_same(received, expected, exact)


def assert_same(received: Any, expected: Any, exact: bool = False) -> None:
    if isinstance(expected, (tuple, list)):
        assert len(received) == len(expected)
        for one, other in zip(received, expected, strict=True):
            assert_same(one, other, exact)
    elif isinstance(expected, array_api_strict._array_object.Array):
        assert isinstance(received, samara.Tensor)
        same_values(received.numpy(), np.asarray(expected._array), exact)
    elif isinstance(expected, array_api_strict._dtypes.DType):
        assert received.name == expected._np_dtype.name
    else:
        assert type(received) is type(expected) and received == expected


def same_values(got: Any, wanted: Any, exact: bool, signs: bool = True) -> None:
    assert got.dtype == wanted.dtype, f"{got.dtype}, expected {wanted.dtype}"
    assert got.shape == wanted.shape, f"{got.shape}, expected {wanted.shape}"
    if got.dtype.kind == "c":
        same_values(got.real, wanted.real, exact, signs=False)
        same_values(got.imag, wanted.imag, exact, signs=False)
        return
    if exact or got.dtype.kind != "f":
        np.testing.assert_array_equal(got, wanted)
    else:
        eps = float(np.finfo(got.dtype).eps)
        np.testing.assert_allclose(got, wanted, rtol=64 * eps, atol=64 * eps)
    if signs and got.dtype.kind == "f":
        zeros = (got == 0) & (wanted == 0)
        np.testing.assert_array_equal(np.signbit(got)[zeros], np.signbit(wanted)[zeros])
