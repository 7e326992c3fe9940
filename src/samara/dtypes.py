"""Element types, and the Array API's questions about them.

`samara.float32` and the others are objects of the type `DType`. Promotion between tensors follows
the table of the Python Array API standard; Python scalars are weak, they only raise the kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import ml_dtypes
import numpy as np

import samara._core as _core
from samara._core import DType
from samara.errors import ArgumentError, DTypeError

__all__ = [
    "ALL",
    "COMPLEX",
    "FLOAT",
    "INTEGER",
    "NUMERIC",
    "REAL",
    "DType",
    "FInfo",
    "IInfo",
    "can_cast",
    "finfo",
    "from_numpy_dtype",
    "get_default_dtype",
    "iinfo",
    "isdtype",
    "promote_types",
    "set_default_dtype",
    "to_numpy_dtype",
]


class HasDType(Protocol):
    """A tensor, or anything else with a dtype."""

    dtype: DType


BOOL = (_core.bool,)
UNSIGNED = (_core.uint8, _core.uint16, _core.uint32, _core.uint64)
SIGNED = (_core.int8, _core.int16, _core.int32, _core.int64)
INTEGER = SIGNED + UNSIGNED
FLOAT = (_core.float16, _core.bfloat16, _core.float32, _core.float64)
COMPLEX = (_core.complex64, _core.complex128)
REAL = INTEGER + FLOAT
NUMERIC = REAL + COMPLEX
ALL = BOOL + NUMERIC

_BY_NAME: dict[str, DType] = {dtype.name: dtype for dtype in ALL}
_KINDS: dict[str, tuple[DType, ...]] = {
    "bool": BOOL,
    "signed integer": SIGNED,
    "unsigned integer": UNSIGNED,
    "integral": INTEGER,
    "real floating": FLOAT,
    "complex floating": COMPLEX,
    "numeric": NUMERIC,
}


def to_numpy_dtype(dtype: DType) -> np.dtype[np.generic]:
    """The NumPy dtype with the same values; bfloat16 comes from ml_dtypes.

    >>> to_numpy_dtype(samara.float32)
    dtype('float32')
    """
    name = ml_dtypes.bfloat16 if dtype is _core.bfloat16 else dtype.name
    found: np.dtype[np.generic] = np.dtype(name)
    return found


def from_numpy_dtype(dtype: Any) -> DType:
    """The dtype with the same values as a NumPy dtype; DTypeError where there is none.

    >>> from_numpy_dtype("int16")
    samara.int16
    """
    found = _BY_NAME.get(np.dtype(dtype).name)
    if found is None:
        raise DTypeError(
            f"dtype: NumPy's {dtype} has no counterpart. Expected one of {', '.join(_BY_NAME)}. "
            "Fix: convert the array first, e.g. array.astype('float64')."
        )
    return found


def promote_types(a: DType, b: DType) -> DType:
    """The dtype that tensors of dtypes a and b have together.

    Source: Python Array API standard 2025.12, type promotion.

    >>> promote_types(samara.int8, samara.uint8)
    samara.int16
    """
    return _core.promote(a, b)


def can_cast(source: DType | HasDType, target: DType) -> bool:
    """Whether promotion may turn `source` (a dtype or tensor) into `target`.

    >>> can_cast(samara.int8, samara.int32), can_cast(samara.float32, samara.int32)
    (True, False)
    """
    dtype = source if isinstance(source, DType) else source.dtype
    return _core.promote(dtype, target) is target


def isdtype(dtype: DType, kind: object) -> bool:
    """Whether a dtype is of a kind ('bool', 'integral', 'real floating', ...), or one of several.

    >>> isdtype(samara.uint8, "unsigned integer"), isdtype(samara.uint8, ("bool", samara.int8))
    (True, False)
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, one) for one in kind)
    if isinstance(kind, DType):
        return dtype is kind
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ArgumentError(
            f"isdtype: kind {kind!r} is not known. Expected a dtype or one of "
            f"{', '.join(_KINDS)}. Fix: correct the name."
        )
    return dtype in _KINDS[kind]


@dataclass(frozen=True)
class FInfo:
    """Limits of a floating-point dtype."""

    dtype: DType
    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float

    @property
    def tiny(self) -> float:
        """PyTorch's name of `smallest_normal`."""
        return self.smallest_normal


@dataclass(frozen=True)
class IInfo:
    """Limits of an integer dtype."""

    dtype: DType
    bits: int
    max: int
    min: int


def finfo(dtype: DType | HasDType) -> FInfo:
    """Limits of a floating-point dtype, or of a complex dtype's parts.

    >>> finfo(samara.float32).eps == 2.0**-23
    True
    """
    found = dtype if isinstance(dtype, DType) else dtype.dtype
    if found in COMPLEX:
        found = _core.float32 if found is _core.complex64 else _core.float64
    if found not in FLOAT:
        raise DTypeError(
            f"finfo: {found.name} is not a floating-point dtype. Expected one of "
            f"{', '.join(one.name for one in FLOAT)}. Fix: use iinfo for integers."
        )
    limits = ml_dtypes.finfo(to_numpy_dtype(found))  # type: ignore[no-untyped-call]  # its types leave it out
    return FInfo(
        found,
        int(limits.bits),
        float(limits.eps),
        float(limits.max),
        float(limits.min),
        float(limits.smallest_normal),
    )


def iinfo(dtype: DType | HasDType) -> IInfo:
    """Limits of an integer dtype.

    >>> iinfo(samara.int8).min, iinfo(samara.uint8).max
    (-128, 255)
    """
    found = dtype if isinstance(dtype, DType) else dtype.dtype
    if found not in INTEGER:
        raise DTypeError(
            f"iinfo: {found.name} is not an integer dtype. Expected one of "
            f"{', '.join(one.name for one in INTEGER)}. Fix: use finfo for floats."
        )
    limits = np.iinfo(found.name)
    return IInfo(found, int(limits.bits), int(limits.max), int(limits.min))


def set_default_dtype(dtype: DType) -> None:
    """Sets the dtype that Python floats and integer inputs of real functions take.

    >>> set_default_dtype(samara.float64); samara.tensor(1.5).dtype
    samara.float64
    >>> set_default_dtype(samara.float32)
    """
    _core.set_default_dtype(dtype)


def get_default_dtype() -> DType:
    """The dtype that Python floats take when nothing else decides."""
    return _core.default_dtype()
