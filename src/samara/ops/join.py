"""Joining tensors along an axis, and cutting one into views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import samara._core as _core
from samara.errors import ArgumentError, IndexOutOfRangeError, ShapeError
from samara.ops.record import ALL, ErrorSample, Function, Sample, composite, operation
from samara.tensor import Tensor

_MOST_PARTS = 1 << 20  # beyond the length all further parts are empty

concat = operation(
    "concat(arrays: Tensor[], axis: int? = 0)",
    doc="""Tensors one after another along an axis; with axis=None, flattened.

    arrays: [*S_i], equal but for `axis` -> [*S] with the sum of their lengths there. Dtypes are
    promoted to a common one.

    Raises ShapeError when another axis differs, ArgumentError for an empty list.
    Source: Python array API standard 2025.12, `concat`.

    >>> samara.concat([samara.tensor([1, 2]), samara.tensor([3])]).tolist()
    [1, 2, 3]
    """,
    ref=lambda arrays, axis=0: np.concatenate(arrays, axis=axis),
    dtypes=ALL,
    onnx="Concat",
    ulp=0,
    samples=lambda rng: [
        Sample([rng.normal(size=(2, 3)), rng.normal(size=(4, 3))]),
        Sample([rng.normal(size=(2, 3)), rng.normal(size=(2, 1)), rng.normal(size=(2, 2))], axis=1),
        Sample([rng.normal(size=(2, 3)), rng.normal(size=(2, 3))], axis=-1),
        Sample([rng.normal(size=(2, 3)), rng.normal(size=4)], axis=None),
        Sample([rng.normal(size=(2, 3))], axis=0),
        Sample([rng.normal(size=(0, 3)), rng.normal(size=(2, 3))]),
        Sample([rng.normal(size=(3, 0)), rng.normal(size=(3, 0))], axis=1),
    ],
    errors=lambda: [
        ErrorSample(
            ShapeError,
            r"tensor 1 has shape \(2, 4\) and tensor 0 has shape \(2, 3\)",
            [np.ones((2, 3)), np.ones((2, 4))],
        ),
        ErrorSample(ShapeError, r"tensor 1 has shape \(\)", [np.ones(2), np.ones(())]),
        ErrorSample(IndexError, "axis 2 is out of range", [np.ones((2, 3))], axis=2),
        ErrorSample(ArgumentError, "an empty list", []),
    ],
    methods=(),
    aliases=("cat", "concatenate"),
)

stack = operation(
    "stack(arrays: Tensor[], axis: int = 0)",
    doc="""Tensors of one shape side by side along a new axis.

    arrays: n of [*S] -> [*S] with an axis of length n put in at `axis`. Dtypes are promoted.

    Raises ShapeError when the shapes differ, ArgumentError for an empty list.
    Source: Python array API standard 2025.12, `stack`.

    >>> samara.stack([samara.tensor([1, 2]), samara.tensor([3, 4])], axis=1).tolist()
    [[1, 3], [2, 4]]
    """,
    ref=lambda arrays, axis=0: np.stack(arrays, axis=axis),
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample([rng.normal(size=(2, 3)), rng.normal(size=(2, 3))]),
        Sample([rng.normal(size=(2, 3)) for _ in range(3)], axis=1),
        Sample([rng.normal(size=(2, 3)), rng.normal(size=(2, 3))], axis=-1),
        Sample([rng.normal(size=()), rng.normal(size=())]),
        Sample([rng.normal(size=(0, 3)), rng.normal(size=(0, 3))]),
    ],
    errors=lambda: [
        ErrorSample(
            ShapeError,
            r"tensor 1 has shape \(3,\) and tensor 0 has shape \(2,\)",
            [np.ones(2), np.ones(3)],
        ),
        ErrorSample(IndexError, "axis 3 is out of range", [np.ones((2, 3))], axis=3),
        ErrorSample(ArgumentError, "an empty list", []),
    ],
    methods=(),
)


unbind: Function = operation(
    "unbind(x, axis: int = 0)",
    doc="""The entries along an axis, as a tuple of views. x: [*S] -> n tensors without the axis.

    Source: Python array API standard 2025.12, `unstack`.

    >>> [row.tolist() for row in samara.unbind(samara.tensor([[1, 2], [3, 4]]))]
    [[1, 2], [3, 4]]
    """,
    ref=lambda x, axis=0: tuple(np.moveaxis(x, axis, 0)),
    dtypes=ALL,
    ulp=0,
    outputs=list,
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 2))),
        Sample(rng.normal(size=(3, 2)), axis=-1),
        Sample(rng.normal(size=3)),
        Sample(rng.normal(size=(2, 0))),
    ],
    errors=lambda: [
        ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 2)), axis=2),
        ErrorSample(IndexError, "0-d", np.ones(())),
    ],
    aliases=("unstack",),
)


_split = _core.Operation("split(x, sizes: ints, axis: int)", "split_with_sizes", output_type=tuple)
# A list of ints in a native call holds as many as a shape.
_MOST_PARTS = 16


def _cut(x: Tensor, sizes: Sequence[int], axis: int) -> tuple[Tensor, ...]:
    """The parts of x, more than one call makes being cut from larger parts."""
    if len(sizes) <= _MOST_PARTS:
        parts: tuple[Tensor, ...] = _split(x, sizes, axis)
        return parts
    step = _MOST_PARTS
    while step * _MOST_PARTS < len(sizes):
        step *= _MOST_PARTS
    groups = [sizes[i : i + step] for i in range(0, len(sizes), step)]
    wholes = _cut(x, [sum(group) for group in groups], axis)
    cuts = (_cut(whole, group, axis) for whole, group in zip(wholes, groups, strict=True))
    return tuple(part for parts in cuts for part in parts)


def _length(place: str, x: Tensor, axis: int) -> int:
    if not -x.ndim <= axis < x.ndim:
        raise IndexOutOfRangeError(
            f"{place}: axis {axis} is out of range for a tensor with {x.ndim} axes. "
            f"Expected -{x.ndim} to {x.ndim - 1}. Fix: choose an axis in that range."
        )
    return x.shape[axis]


def _chunk_sizes(length: int, size: int) -> list[int]:
    whole, rest = divmod(length, size)
    return [size] * whole + [rest] * (rest > 0 or length == 0)


def _parts(x: Any, sizes: Sequence[int], axis: int) -> Any:
    return tuple(np.split(x, np.cumsum(sizes)[:-1], axis=axis))


@composite(
    "split(x, size: ints, axis: int = 0)",
    doc="""Consecutive parts along an axis, as views: of `size` elements each, the last one perhaps
    fewer, or, for a sequence, of the given sizes, which must add up to the length of the axis.

    x: [*S] -> parts [*S_i].

    Raises ArgumentError for a size below 1, ShapeError for sizes that do not add up.

    >>> [part.tolist() for part in samara.split(samara.arange(5), 2)]
    [[0, 1], [2, 3], [4]]
    """,
    ref=lambda x, size, axis=0: _parts(
        x, _chunk_sizes(x.shape[axis], size) if isinstance(size, int) else size, axis
    ),
    dtypes=ALL,
    onnx="Split",
    ulp=0,
    samples=lambda rng: [
        Sample(rng.normal(size=(5, 2)), 2),
        Sample(rng.normal(size=(2, 5)), (1, 0, 4), axis=-1),
        Sample(rng.normal(size=(0, 2)), 3),
        Sample(rng.normal(size=(40, 2)), 1),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "size 0", np.ones(3), 0),
        ErrorSample(ShapeError, r"sizes \(1, 1\) add up to 2 and axis 0", np.ones(3), (1, 1)),
        ErrorSample(ArgumentError, "a negative number", np.ones(2), (3, -1)),
        ErrorSample(IndexError, "0-d", np.ones(()), (1,)),
        ErrorSample(IndexError, "axis 1 is out of range", np.ones(3), 1, axis=1),
    ],
)
def split(x: Tensor, size: int | Sequence[int], axis: int = 0) -> tuple[Tensor, ...]:
    if isinstance(size, Sequence):
        return _cut(x, size, axis)
    length = _length("split", x, axis)
    if size < 1:
        raise ArgumentError(
            f"split: size {size} given. Expected 1 or more. Fix: pass the length of a part, "
            "or use chunk to choose how many parts there are."
        )
    return _cut(x, _chunk_sizes(length, size), axis)


def _chunk_ref(x: Any, chunks: int, axis: int = 0) -> Any:
    length = x.shape[axis]
    sizes = _chunk_sizes(length, -(-length // chunks)) if length else [0] * chunks
    return _parts(x, sizes, axis)


@composite(
    "chunk(x, chunks: int, axis: int = 0)",
    doc="""At most `chunks` parts of ceil(n / chunks) elements along an axis, the last maybe fewer.

    The parts are views. x: [*S] -> parts [*S_i]. `tensor_split` gives exactly as many parts.

    Raises ArgumentError for fewer than 1 chunk.

    >>> [part.tolist() for part in samara.chunk(samara.arange(5), 2)]
    [[0, 1, 2], [3, 4]]
    """,
    ref=_chunk_ref,
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(rng.normal(size=(5, 2)), 2),
        Sample(rng.normal(size=(2, 4)), 3, axis=1),
        Sample(rng.normal(size=(0, 2)), 2),
    ],
    errors=lambda: [ErrorSample(ArgumentError, "0 chunks", np.ones(3), 0)],
)
def chunk(x: Tensor, chunks: int, axis: int = 0) -> tuple[Tensor, ...]:
    if chunks < 1:
        raise ArgumentError(
            f"chunk: {chunks} chunks asked for. Expected 1 or more. Fix: pass how many parts to "
            "make."
        )
    length = _length("chunk", x, axis)
    sizes = _chunk_sizes(length, -(-length // chunks)) if length else [0] * chunks
    return _cut(x, sizes, axis)


@composite(
    "tensor_split(x, parts: ints, axis: int = 0)",
    doc="""Exactly n parts of nearly equal lengths along an axis, or parts cut before given indices.

    The parts are views; of n parts of an axis of length m the first m mod n have one element more.
    x: [*S] -> parts [*S_i].

    Raises ArgumentError for fewer than 1 part. Source: NumPy's `array_split`.

    >>> [part.tolist() for part in samara.tensor_split(samara.arange(5), 3)]
    [[0, 1], [2, 3], [4]]
    >>> [part.tolist() for part in samara.tensor_split(samara.arange(5), (1, 3))]
    [[0], [1, 2], [3, 4]]
    """,
    ref=lambda x, parts, axis=0: tuple(np.array_split(x, parts, axis=axis)),
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(rng.normal(size=(5, 2)), 3),
        Sample(rng.normal(size=(2, 5)), (1, 3), axis=-1),
        Sample(rng.normal(size=(2, 5)), (-2,), axis=1),
        Sample(rng.normal(size=0), 2),
        Sample(rng.normal(size=1), 3),
    ],
    errors=lambda: [ErrorSample(ArgumentError, "0 parts", np.ones(3), 0)],
)
def tensor_split(x: Tensor, parts: int | Sequence[int], axis: int = 0) -> tuple[Tensor, ...]:
    length = _length("tensor_split", x, axis)
    if isinstance(parts, Sequence):
        cuts = [min(max(i + length if i < 0 else i, 0), length) for i in parts]
        whole = x.movedim(axis, 0)
        pairs = zip([0, *cuts], [*cuts, length], strict=True)
        return tuple(whole[start:stop].movedim(0, axis) for start, stop in pairs)
    if not 1 <= parts <= max(length, _MOST_PARTS):
        raise ArgumentError(
            f"tensor_split: {parts} parts asked for. Expected 1 to {max(length, _MOST_PARTS)}. "
            "Fix: pass how many parts to make."
        )
    sizes = [length // parts + (i < length % parts) for i in range(parts)]
    return _cut(x, sizes, axis)
