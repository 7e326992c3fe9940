"""Items put together in a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from samara._core import Tensor, float64
from samara.errors import DataError, DTypeError
from samara.ops.join import stack
from samara.tensor import asarray, tensor

__all__ = ["default_collate", "default_convert"]


def default_convert(data: Any) -> Any:
    """NumPy arrays as tensors, in tuples, lists and mappings too; other things as they are.

    >>> import numpy as np
    >>> default_convert({"x": np.ones(2), "name": "a"})
    {'x': tensor([1., 1.], dtype=samara.float64), 'name': 'a'}
    """
    if isinstance(data, (np.ndarray, np.generic)) and data.dtype.kind not in "SUO":
        return asarray(data)
    if isinstance(data, Mapping):
        return {name: default_convert(value) for name, value in data.items()}
    if isinstance(data, (tuple, list)):
        items = [default_convert(value) for value in data]
        return type(data)(*items) if hasattr(data, "_fields") else type(data)(items)
    return data


def default_collate(batch: Sequence[Any]) -> Any:
    """A list of items as one: tensors and arrays stacked, numbers as a vector, strings as a list.

    In tuples, lists and mappings each place is put together. Floats become float64. Raises
    DataError for items of different lengths, ShapeError for different shapes, DTypeError for what
    cannot be put together. Source: PyTorch, `torch.utils.data.default_collate`.

    >>> default_collate([(1, "a"), (2, "b")])
    [tensor([1, 2]), ('a', 'b')]
    """
    first = batch[0]
    if isinstance(first, Tensor):
        stacked: Tensor = stack(list(batch), 0)
        return stacked
    if isinstance(first, (np.ndarray, np.generic)) and first.dtype.kind not in "SUO":
        return default_collate([asarray(item) for item in batch])
    if isinstance(first, float):
        return tensor(batch, dtype=float64)
    if isinstance(first, (bool, int)):
        return tensor(batch)
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return {name: default_collate([item[name] for item in batch]) for name in first}
    if isinstance(first, Sequence):
        sizes = {len(item) for item in batch}
        if len(sizes) > 1:
            raise DataError(
                f"default_collate: the items have {sorted(sizes)} elements. Expected as many in "
                "each. Fix: pad them, or pass collate_fn."
            )
        parts = [default_collate(part) for part in zip(*batch, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else parts
    raise DTypeError(
        f"default_collate: the items are of type {type(first).__name__}. Expected tensors, arrays, "
        "numbers, strings, or tuples, lists and mappings of them. Fix: pass collate_fn."
    )
