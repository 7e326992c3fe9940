"""The same values at other places in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["broadcast_layout", "layouts"]

Array = np.ndarray[Any, Any]


def _transposed(array: Array) -> Array:
    return np.ascontiguousarray(array.T).T


def _sliced(array: Array) -> Array:
    """Every second element of each axis of a larger array whose other elements must not be read."""
    larger = np.empty(tuple(2 * size for size in array.shape), array.dtype)
    larger.fill(_poison(array.dtype))
    view = larger[(slice(None, None, 2),) * array.ndim]
    view[...] = array
    return view


def _reversed(array: Array) -> Array:
    backwards = (slice(None, None, -1),) * array.ndim
    return np.ascontiguousarray(array[backwards])[backwards]


def _shifted(array: Array) -> Array:
    """Contiguous, but not at the start of an aligned block."""
    block = np.empty(array.size + 1, array.dtype)
    block[0] = _poison(array.dtype)
    view = block[1:].reshape(array.shape)
    view[...] = array
    return view


def _poison(dtype: np.dtype[Any]) -> Any:
    if dtype.kind in "fc" or dtype.name == "bfloat16":
        return np.nan
    return True if dtype.kind == "b" else np.iinfo(dtype).max


def layouts(array: Array) -> Iterator[tuple[str, Array]]:
    """Views with the values of `array`: transposed, sliced with steps, reversed, shifted.

    array: [*S] -> pairs (name, view [*S]). Memory between the elements of a view holds NaN or the
    largest integer, so a kernel that reads it is found out.

    >>> [name for name, view in layouts(np.ones((2, 3)))]
    ['transposed', 'sliced', 'reversed', 'shifted']
    """
    if array.ndim > 1:
        yield "transposed", _transposed(array)
    if array.ndim > 0:
        yield "sliced", _sliced(array)
        yield "reversed", _reversed(array)
    yield "shifted", _shifted(array)


def broadcast_layout(array: Array) -> Array:
    """A view of `array`'s shape that repeats its first entry along each second axis, stride 0.

    >>> broadcast_layout(np.arange(4).reshape(2, 2)).tolist()
    [[0, 1], [0, 1]]
    """
    first = array[tuple(slice(0, 1) if i % 2 == 0 else slice(None) for i in range(array.ndim))]
    return np.broadcast_to(first, array.shape)
