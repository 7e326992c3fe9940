"""A record's samples as calls: their arrays in a dtype, as tensors, and what the reference sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from samara import _core
from samara.dtypes import COMPLEX, FLOAT, INTEGER, DType, to_numpy_dtype
from samara.ops.record import Record, Sample
from samara.tensor import asarray
from samara.testing.compare import Array

__all__ = ["Arguments", "accepts", "cast", "is_data", "widened"]

# Integers stay small, so that products and sums of a sample fit the narrowest dtype now and then,
# and wrap around now and then.
INTEGER_SCALE = 3
INTEGER_LIMIT = 100


@dataclass(frozen=True)
class Arguments:
    """Positional and named arguments of one call, NumPy arrays or tensors at tensor positions."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @classmethod
    def of(cls, sample: Sample) -> Arguments:
        """A sample's arguments; NumPy's scalars count as 0-d arrays."""
        kwargs = {name: _plain(value) for name, value in sample.kwargs.items()}
        return cls(tuple(_plain(value) for value in sample.args), kwargs)

    def map(self, change: Callable[[Array], Any]) -> Arguments:
        """The same call with every array, also inside lists, put through `change`."""
        return Arguments(
            tuple(_map(value, change) for value in self.args),
            {name: _map(value, change) for name, value in self.kwargs.items()},
        )

    def arrays(self) -> list[Array]:
        """All arrays, in the order in which `map` meets them."""
        found: list[Array] = []
        self.map(found.append)
        return found

    def with_arrays(self, arrays: list[Any]) -> Arguments:
        """The same call with other arrays (or tensors), in the order of `arrays()`."""
        rest = iter(arrays)
        return self.map(lambda _: next(rest))

    def tensors(self, device: str = "cpu") -> Arguments:
        """The same call on new tensors."""
        return self.map(lambda array: asarray(array, copy=True).to(device))

    def call(self, function: Callable[..., Any]) -> Any:
        """function(*args, **kwargs)."""
        return function(*self.args, **self.kwargs)

    def reference(self, function: Callable[..., Any]) -> Any:
        """The same for a NumPy function, without warnings about overflow or NaN."""
        with np.errstate(all="ignore"):
            return function(*self.args, **self.kwargs)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return np.asarray(value)
    if isinstance(value, (list, tuple)) and any(isinstance(item, np.generic) for item in value):
        return type(value)(_plain(item) for item in value)
    return value


def _map(value: Any, change: Callable[[Array], Any]) -> Any:
    if isinstance(value, np.ndarray):
        return change(value)
    if isinstance(value, (list, tuple)) and any(isinstance(item, np.ndarray) for item in value):
        return type(value)(_map(item, change) for item in value)
    return value


def accepts(record: Record, kinds: tuple[DType, ...]) -> bool:
    """Whether a record takes a dtype of the group."""
    return any(dtype in kinds for dtype in record.dtypes)


def is_data(record: Record, array: Array) -> bool:
    """Whether an array of a sample is converted to the dtype under test.

    Indices and masks keep their dtype: integers and bools are data only where the record takes
    nothing wider.
    """
    if accepts(record, FLOAT + COMPLEX):
        return array.dtype.kind in "fc"
    if accepts(record, INTEGER):
        return array.dtype.kind in "iuf"
    return True


def cast(array: Array, dtype: DType) -> Array:
    """A sample's array in another dtype: rounded for floats, small whole numbers for integers.

    Complex numbers get an imaginary part from their neighbours; infinities and huge values, whose
    complex products nobody agrees on, become ordinary ones.
    """
    target = to_numpy_dtype(dtype)
    with np.errstate(all="ignore"):
        if array.dtype.kind == "c" and dtype not in COMPLEX:
            array = array.real
        if array.dtype.kind in "biu" or dtype in FLOAT:
            return array.astype(target)
        tame = np.where(np.isfinite(array) & (np.abs(array) < 1e4), array, 1.5)
        if dtype in COMPLEX:
            if array.dtype.kind == "c":
                return tame.astype(target)
            # asarray: arithmetic turns 0-d arrays into scalars.
            return np.asarray(tame + 0.5j * np.roll(tame, 1), target)
        whole = np.asarray(np.rint(tame * INTEGER_SCALE))
        if dtype is _core.bool:
            return np.asarray(whole > 0)
        if dtype.kind == "unsigned integer":
            whole = np.abs(whole)
        return np.asarray(np.clip(whole, -INTEGER_LIMIT, INTEGER_LIMIT).astype(target))


def widened(array: Array) -> Array:
    """What the reference sees: float64, complex128, int64 or bool with the same values."""
    kind = "f" if array.dtype.name == "bfloat16" else array.dtype.kind
    wide = {"f": np.float64, "c": np.complex128, "i": np.int64, "u": np.int64, "b": np.bool_}
    return array.astype(wide[kind])
