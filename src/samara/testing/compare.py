"""How far a result is from its reference, in units of the last place."""

from __future__ import annotations

from typing import Any

import numpy as np

from samara._core import complex64, float32, float64
from samara.dtypes import COMPLEX, FLOAT, DType, finfo
from samara.errors import SamaraError
from samara.tensor import Tensor

__all__ = ["Array", "CheckError", "check_values", "to_numpy", "ulp_error", "unit_in_last_place"]

Array = np.ndarray[Any, Any]


class CheckError(SamaraError, AssertionError):
    """A check of this package that did not hold."""


def to_numpy(x: Tensor) -> Array:
    """A copy of a tensor's values on the host, from any device and with or without gradient."""
    return np.array(x.numpy(force=True))


def unit_in_last_place(values: Array, dtype: DType) -> Array:
    """The spacing of a floating dtype's numbers at the magnitude of each value.

    values: [*S] float64 -> [*S] float64. Below the smallest normal number it is the subnormal step.

    >>> unit_in_last_place(np.array([1.0, 2.0]), samara.float32).tolist() == [2.0**-23, 2.0**-22]
    True
    """
    limits = finfo(dtype)
    magnitude = np.maximum(np.abs(values), limits.smallest_normal)
    _, exponent = np.frexp(magnitude)
    return np.asarray(np.ldexp(limits.eps, exponent - 1))


def ulp_error(result: Array, expected: Array, dtype: DType, scale: Array | None = None) -> Array:
    """|result - expected| in units in the last place of `dtype` at `scale` (default: `expected`).

    Both arrays are float64. Equal infinities and NaN against NaN are 0; one of them against
    anything else is infinite, but a number beyond the dtype's range may come out as the infinity
    or the largest number of its sign.
    """
    limits = finfo(dtype)
    with np.errstate(all="ignore"):
        unit = unit_in_last_place(expected if scale is None else np.fmax(scale, 0), dtype)
        error = np.abs(result - expected) / unit
        same = (result == expected) | (np.isnan(result) & np.isnan(expected))
        overflow = np.isfinite(expected) & (np.abs(expected) > limits.max * (1 - limits.eps))
        beyond = overflow & (np.abs(result) >= limits.max) & (np.sign(result) == np.sign(expected))
    error = np.where(same | beyond, 0.0, error)
    return np.where(np.isnan(error), np.inf, error)


def _worst(error: Array, result: Array, expected: Array, unit: str) -> str:
    place = np.unravel_index(int(np.argmax(error)), error.shape)
    index = ", ".join(str(int(i)) for i in place)
    return (
        f"element [{index}] is {result[place]!r}, the reference gives {expected[place]!r}, "
        f"{error[place]:.3g} {unit}"
    )


def _check_shape(result: Array, expected: Array, place: str) -> None:
    if result.shape != expected.shape:
        raise CheckError(
            f"{place}: the result has shape {result.shape}. Expected {expected.shape}, the "
            "reference's. Fix: correct the operation or the reference."
        )


def _check_exact(result: Array, expected: Array, place: str) -> None:
    with np.errstate(all="ignore"):
        wrapped = expected.astype(result.dtype)
    different = result != wrapped
    if different.any():
        text = _worst(different.astype(float), result, wrapped, "")
        raise CheckError(
            f"{place}: {text}({int(different.sum())} of {different.size} elements differ). "
            "Expected equal values. Fix: correct the operation or the reference."
        )


def check_values(
    result: Tensor,
    expected: Any,
    *,
    ulp: float = 1,
    scale: Any = None,
    place: str = "check_values",
    zero_signs: bool = True,
) -> None:
    """Raises CheckError unless a tensor agrees with a reference.

    result: [*S]; expected: [*S], float64, complex128, integers or bools. Integers and bools must be
    equal (the reference wraps around like the dtype). Floats may differ by `ulp` units in the last
    place of the result's dtype, measured at |expected|, or at `scale` where the rounding errors of
    larger terms add up. NaN and infinities must stand where the reference has them, and zeros must
    have its sign unless `scale` is given or zero_signs is False.

    >>> check_values(samara.tensor([1.0, 2.0]), np.array([1.0, 2.0]))
    """
    values, wanted = to_numpy(result), np.asarray(expected)
    _check_shape(values, wanted, place)
    if values.size == 0:
        return
    if result.dtype not in FLOAT and result.dtype not in COMPLEX:
        _check_exact(values, wanted, place)
        return
    if result.dtype in COMPLEX:
        part = float32 if result.dtype is complex64 else float64
        _check_complex(values, wanted.astype(np.complex128), part, ulp, scale, place)
        return
    exact = values.astype(np.float64)
    wanted = wanted.astype(np.float64)
    error = ulp_error(exact, wanted, result.dtype, None if scale is None else np.asarray(scale))
    if (error > ulp).any():
        raise CheckError(
            f"{place}: {_worst(error, exact, wanted, 'ULP')} of {result.dtype.name}. Expected at "
            f"most {ulp} ULP. Fix: correct the operation, its reference or its bound."
        )
    if scale is not None or not zero_signs:
        return
    wrong = (exact == 0) & (wanted == 0) & (np.signbit(exact) != np.signbit(wanted))
    if wrong.any():
        raise CheckError(
            f"{place}: {_worst(wrong.astype(float), exact, wanted, 'wrong sign')}. Expected the "
            "reference's sign of zero. Fix: correct the operation or the reference."
        )


def _check_complex(
    result: Array, expected: Array, part: DType, ulp: float, scale: Any, place: str
) -> None:
    """Both parts within `ulp` of the modulus: a complex product's parts cancel on their own."""
    modulus = np.abs(expected) if scale is None else np.abs(np.asarray(scale))
    for name in ("real", "imag"):
        got, wanted = getattr(result, name).astype(np.float64), getattr(expected, name)
        error = ulp_error(got, wanted, part, modulus)
        if (error > ulp).any():
            raise CheckError(
                f"{place}: of the {name} part {_worst(error, got, wanted, 'ULP')}. Expected at "
                f"most {ulp} ULP. Fix: correct the operation, its reference or its bound."
            )
