"""Elements and rows by index along one axis: gather, scatter, take, index_add, embedding, one_hot.

An index may have any integer dtype; negative ones count from the end; one out of range raises.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from samara._core import int64
from samara.errors import ArgumentError, DTypeError, IndexOutOfRangeError, ShapeError
from samara.ops.creation import ones, zeros
from samara.ops.record import ALL, INTEGER, ErrorSample, Sample, composite, operation
from samara.tensor import Tensor


def _cut(x: Any, axis: int, index: Any) -> Any:
    """The part of x that an index of smaller size along the other axes reaches (a view)."""
    axis %= max(x.ndim, 1)
    return x[tuple(slice(None if i == axis else n) for i, n in enumerate(index.shape))]


def _gather_ref(x: Any, axis: int, index: Any) -> Any:
    if x.ndim == 0:
        return x.reshape(1)[index]
    return np.take_along_axis(_cut(x, axis, index), index, axis)


def _index_errors(*source: Any) -> list[ErrorSample]:
    """Wrong indices for an x of shape (2, 3); `source` is what follows the index."""
    x = np.ones((2, 3))
    return [
        ErrorSample(
            IndexOutOfRangeError,
            r"index 3 is out of range for axis 1 of size 3. Expected -3 to 2",
            x,
            1,
            np.array([[0, 3], [0, 0]]),
            *source,
        ),
        ErrorSample(IndexError, "index -4 is out of range", x, 1, np.array([[0], [-4]]), *source),
        ErrorSample(DTypeError, "index has dtype float", x, 1, np.ones((2, 2)), *source),
        ErrorSample(ShapeError, "index has shape", x, 1, np.zeros(2, np.int64), *source),
        ErrorSample(ShapeError, "index has shape", x, 1, np.zeros((3, 1), np.int64), *source),
        ErrorSample(
            IndexError, "axis 2 is out of range", x, 2, np.zeros((2, 1), np.int64), *source
        ),
    ]


gather = operation(
    "gather(x, axis: int, index)",
    doc="""One element of x for each index: y[i, j] = x[index[i, j], j] for axis 0, and so on.

    x: [*S], index: [*T] integers, T_k <= S_k but along `axis` -> [*T].

    Raises IndexOutOfRangeError for an index out of range, ShapeError for an index that is too
    large, DTypeError for one that is not of integers. `take_along_axis` broadcasts the index.

    >>> samara.gather(samara.tensor([[1, 2], [3, 4]]), 1, samara.tensor([[0], [1]])).tolist()
    [[1], [4]]
    """,
    ref=_gather_ref,
    dtypes=ALL,
    onnx="GatherElements",
    ulp=0,
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), 1, rng.integers(-4, 4, size=(3, 6))),
        Sample(rng.normal(size=(3, 4)), 0, rng.integers(0, 3, size=(5, 4))),
        Sample(rng.normal(size=(3, 4)), 0, rng.integers(0, 3, size=(2, 2))),
        Sample(rng.normal(size=(2, 3, 4)), -2, rng.integers(0, 3, size=(2, 2, 3))),
        Sample(rng.normal(size=5), 0, rng.integers(0, 5, size=9)),
        Sample(rng.normal(size=()), 0, np.array(0)),
        Sample(rng.normal(size=(0, 3)), 1, np.zeros((0, 2), np.int64)),
        Sample(rng.normal(size=(3, 0)), 0, np.zeros((2, 0), np.int64)),
        Sample(rng.normal(size=(3, 4)), 1, np.zeros((3, 0), np.int64)),
    ],
    errors=_index_errors,
)


def _scatter_ref(x: Any, axis: int, index: Any, src: Any) -> Any:
    y = np.atleast_1d(x).copy()
    index = np.atleast_1d(index)
    values = np.broadcast_to(src, index.shape) if np.ndim(src) == 0 else _under(src, index)
    np.put_along_axis(_cut(y, axis, index), index, values, axis)
    return y.reshape(x.shape)


def _under(src: Any, index: Any) -> Any:
    return src[tuple(slice(n) for n in index.shape)]


def _unique_index(rng: np.random.Generator, size: int, rows: int) -> Any:
    return np.stack([rng.permutation(size) for _ in range(rows)])


def _scatter_reducing(
    x: Any = None, axis: Any = None, index: Any = None, src: Any = None, **kwargs: Any
) -> Any:
    """PyTorch's scatter(x, dim, index, src, reduce="add"), or "multiply"."""
    reduce = kwargs.get("reduce")
    if reduce not in ("add", "multiply"):
        return NotImplemented
    from samara.ops.scatters import scatter_reduce

    axis = kwargs.get("dim", axis)
    value = kwargs.get("value", src)
    source = value if isinstance(value, Tensor) else x.new_full(index.shape, value)
    return scatter_reduce(x, axis, index, source, "sum" if reduce == "add" else "prod")


scatter = operation(
    "scatter(x, axis: int, index, src)",
    doc="""A copy of x with src written at the indices: y[index[i, j], j] = src[i, j] for axis 0.

    x: [*S], index: [*T] integers, T_k <= S_k but along `axis`; src: at least [*T], or a number
    -> [*S]. Of equal indices the last one wins, and it alone gets a gradient.

    Raises IndexOutOfRangeError for an index out of range (nothing is written then), ShapeError
    for sizes that do not fit, DTypeError for an index that is not of integers.

    >>> index, src = samara.tensor([2, 0]), samara.tensor([5.0, 7.0])
    >>> samara.scatter(samara.zeros(3), 0, index, src).tolist()
    [7.0, 0.0, 5.0]
    """,
    ref=_scatter_ref,
    dtypes=ALL,
    onnx="ScatterElements",
    other_form=_scatter_reducing,
    ulp=0,
    samples=lambda rng: [
        Sample(
            rng.normal(size=(3, 4)), 1, _unique_index(rng, 4, 3)[:, :2], rng.normal(size=(3, 2))
        ),
        Sample(rng.normal(size=(4, 3)), 0, _unique_index(rng, 4, 3).T, rng.normal(size=(4, 3))),
        Sample(
            rng.normal(size=(3, 4)), 1, rng.integers(-4, 4, size=(3, 6)), rng.normal(size=(3, 6))
        ),
        Sample(
            rng.normal(size=(3, 4)), 0, rng.integers(0, 3, size=(2, 2)), rng.normal(size=(3, 3))
        ),
        Sample(rng.normal(size=5), 0, np.array([1, 1, 3]), rng.normal(size=())),
        Sample(rng.normal(size=()), 0, np.array(0), rng.normal(size=())),
        Sample(rng.normal(size=(3, 4)), 1, np.zeros((3, 0), np.int64), rng.normal(size=(3, 0))),
    ],
    errors=lambda: [
        *_index_errors(np.ones((3, 3))),
        ErrorSample(
            ShapeError,
            r"source has shape \(2, 1\) for an index of shape \(2, 2\)",
            np.ones((2, 3)),
            1,
            np.zeros((2, 2), np.int64),
            np.ones((2, 1)),
        ),
    ],
    in_place=True,
)


def _scatter_add_ref(x: Any, axis: int, index: Any, src: Any) -> Any:
    y = np.atleast_1d(x).copy()
    index = np.atleast_1d(index)
    values = np.broadcast_to(src, index.shape) if np.ndim(src) == 0 else _under(src, index)
    places = list(np.indices(index.shape))
    places[axis] = index
    np.add.at(y, tuple(places), values)
    return y.reshape(x.shape)


scatter_add = operation(
    "scatter_add(x, axis: int, index, src)",
    doc="""A copy of x with src added at the indices: y[index[i, j], j] += src[i, j] for axis 0.

    x: [*S], index: [*T] integers, T_k <= S_k but along `axis`; src: at least [*T], or a number
    -> [*S]. Equal indices add up, in double precision and always in the same order.

    Raises IndexOutOfRangeError for an index out of range, ShapeError for sizes that do not fit,
    DTypeError for an index that is not of integers.

    >>> index, src = samara.tensor([1, 1]), samara.tensor([5.0, 7.0])
    >>> samara.scatter_add(samara.zeros(2), 0, index, src).tolist()
    [0.0, 12.0]
    """,
    ref=_scatter_add_ref,
    dtypes=ALL,
    onnx="ScatterElements",
    ulp=1,
    condition="sum",
    samples=lambda rng: [
        Sample(
            rng.normal(size=(3, 4)), 1, rng.integers(-4, 4, size=(3, 6)), rng.normal(size=(3, 6))
        ),
        Sample(
            rng.normal(size=(3, 4)), 0, rng.integers(0, 3, size=(5, 4)), rng.normal(size=(5, 4))
        ),
        Sample(
            rng.normal(size=(3, 4)), 0, rng.integers(0, 3, size=(2, 2)), rng.normal(size=(3, 3))
        ),
        Sample(
            rng.normal(size=(2, 3, 4)),
            -2,
            rng.integers(0, 3, (2, 5, 3)),
            rng.normal(size=(2, 5, 3)),
        ),
        Sample(rng.normal(size=2), 0, rng.integers(0, 2, size=40), rng.normal(size=40)),
        Sample(rng.normal(size=5), 0, np.array([1, 1, 3]), rng.normal(size=())),
        Sample(rng.normal(size=()), 0, np.array(0), rng.normal(size=())),
        Sample(rng.normal(size=(3, 4)), 1, np.zeros((3, 0), np.int64), rng.normal(size=(3, 0))),
    ],
    errors=lambda: _index_errors(np.ones((3, 3))),
    in_place=True,
)


take = operation(
    "take(x, indices, axis: int? = None)",
    doc="""The entries of x at the indices along `axis`; without an axis, of x read as one flat row.

    x: [*A, n, *B], indices: [*T] integers -> [*A, *T, *B].

    Raises IndexOutOfRangeError for an index out of range, DTypeError for indices that are not
    integers. Source: Python array API standard 2025.12, `take` (here with indices of any
    shape).

    >>> samara.take(samara.tensor([[1, 2], [3, 4]]), samara.tensor([1, 0]), axis=1).tolist()
    [[2, 1], [4, 3]]
    """,
    ref=lambda x, indices, axis=None: np.take(x, indices, axis=axis),
    dtypes=ALL,
    onnx="Gather",
    ulp=0,
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), rng.integers(-4, 4, size=6), axis=1),
        Sample(rng.normal(size=(3, 4)), rng.integers(0, 3, size=(2, 3)), axis=0),
        Sample(rng.normal(size=(2, 3, 4)), np.array(2), axis=-2),
        Sample(rng.normal(size=(3, 4)), rng.integers(-12, 12, size=(2, 2))),
        Sample(rng.normal(size=5), np.zeros(0, np.int64), axis=0),
        Sample(rng.normal(size=(0, 3)), np.array([1]), axis=1),
        Sample(rng.normal(size=()), np.array([0, -1])),
    ],
    errors=lambda: [
        ErrorSample(
            IndexError, "index 4 is out of range for axis 1", np.ones((3, 4)), np.array([4]), axis=1
        ),
        ErrorSample(
            IndexError, "the axis is empty", np.ones((0, 3)), np.zeros(1, np.int64), axis=0
        ),
        ErrorSample(DTypeError, "index has dtype float", np.ones((3, 4)), np.ones(2), axis=0),
        ErrorSample(IndexError, "axis 2 is out of range", np.ones((3, 4)), np.array([0]), axis=2),
    ],
)


def _take_along_axis_ref(x: Any, indices: Any, axis: int = -1) -> Any:
    return np.take_along_axis(x, indices, axis)


@composite(
    "take_along_axis(x, indices, axis: int = -1)",
    doc="""One element of x for each index along `axis`; the other axes broadcast.

    x: [*S], indices: [*T] integers with as many axes -> the common shape, with T's size at `axis`.

    Raises ShapeError when the shapes do not broadcast, IndexOutOfRangeError for an index out of
    range. Source: Python array API standard 2025.12, `take_along_axis`.

    >>> x = samara.tensor([[3, 1], [2, 4]])
    >>> samara.take_along_axis(x, samara.argsort(x, axis=1), axis=1).tolist()
    [[1, 3], [2, 4]]
    """,
    ref=_take_along_axis_ref,
    dtypes=ALL,
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), rng.integers(-4, 4, size=(3, 6))),
        Sample(rng.normal(size=(3, 4)), rng.integers(0, 3, size=(2, 1)), axis=0),
        Sample(rng.normal(size=(1, 4)), rng.integers(0, 4, size=(3, 2)), axis=1),
        Sample(rng.normal(size=1), np.zeros(3, np.int64)),
        Sample(rng.normal(size=(0, 4)), np.zeros((0, 2), np.int64)),
    ],
    errors=lambda: [
        ErrorSample(
            ShapeError,
            r"indices of shape \(2, 1\) for a tensor of shape \(3, 4\)",
            np.ones((3, 4)),
            np.zeros((2, 1), np.int64),
        ),
        ErrorSample(ShapeError, "indices of shape", np.ones((3, 4)), np.zeros(2, np.int64)),
        ErrorSample(IndexError, "index 4", np.ones((1, 4)), np.array([[4]])),
        ErrorSample(IndexError, "axis 2 is out of", np.ones((1, 4)), np.array([[0]]), axis=2),
    ],
    aliases=("take_along_dim",),
    methods=("take_along_axis", "take_along_dim"),
)
def take_along_axis(x: Tensor, indices: Tensor, axis: int = -1) -> Tensor:
    pairs = list(zip(x.shape, indices.shape, strict=False))
    at = axis + x.ndim if axis < 0 else axis
    if not 0 <= at < x.ndim:
        raise IndexOutOfRangeError(
            f"take_along_axis: axis {axis} is out of range for a tensor with {x.ndim} axes. "
            f"Expected -{x.ndim} to {x.ndim - 1}. Fix: choose an axis in that range."
        )
    fits = all(a == b or 1 in (a, b) for i, (a, b) in enumerate(pairs) if i != at)
    if x.ndim != indices.ndim or not fits:
        raise ShapeError(
            f"take_along_axis: indices of shape {indices.shape} for a tensor of shape {x.shape} "
            f"and axis {axis}. Expected as many axes, and equal sizes or 1 except along the axis. "
            "Fix: reshape the indices."
        )
    common = [b if a == 1 else a for a, b in pairs]
    whole = x.expand([n if i == at else common[i] for i, n in enumerate(x.shape)])
    wanted = indices.expand([n if i == at else common[i] for i, n in enumerate(indices.shape)])
    found: Tensor = gather(whole, at, wanted)
    return found


index_select = operation(
    "index_select(x, axis: int, index)",
    doc="""The entries of x at the indices along `axis`. x: [*A, n, *B], index: [m] -> [*A, m, *B].

    Raises IndexOutOfRangeError for an index out of range, ShapeError for an index with several
    axes.

    >>> samara.index_select(samara.tensor([[1, 2], [3, 4]]), 0, samara.tensor([1, 1])).tolist()
    [[3, 4], [3, 4]]
    """,
    ref=lambda x, axis, index: np.take(x, np.atleast_1d(index), axis=axis),
    dtypes=ALL,
    onnx="Gather",
    ulp=0,
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), 0, rng.integers(-3, 3, size=5)),
        Sample(rng.normal(size=(2, 3, 4)), -2, rng.integers(0, 3, size=2)),
        Sample(rng.normal(size=(3, 4)), 1, np.array(2)),
        Sample(rng.normal(size=(3, 4)), 1, np.zeros(0, np.int64)),
        Sample(rng.normal(size=(0, 3)), 1, np.array([2, 0])),
    ],
    errors=lambda: [
        ErrorSample(IndexError, "index 3 is out of range", np.ones((3, 4)), 0, np.array([3])),
        ErrorSample(
            ShapeError, "Expected one axis", np.ones((3, 4)), 0, np.zeros((1, 1), np.int64)
        ),
        ErrorSample(DTypeError, "index has dtype float", np.ones((3, 4)), 0, np.ones(2)),
    ],
)


def _index_add_ref(x: Any, axis: int, index: Any, source: Any, alpha: float = 1) -> Any:
    y = x.copy()
    np.add.at(np.moveaxis(y, axis, 0), index, np.moveaxis(alpha * source, axis, 0))
    return y


index_add = operation(
    "index_add(x, axis: int, index, source, *, alpha: number = 1)",
    doc="""A copy of x with rows added along `axis`: y[index[i]] += alpha source[i] for axis 0.

    x: [*A, n, *B], index: [m] integers, source: [*A, m, *B] -> [*A, n, *B]. Equal indices add
    up, in double precision and always in the same order.

    Raises IndexOutOfRangeError for an index out of range, ShapeError for a source of another shape.

    >>> rows = samara.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> samara.index_add(samara.zeros(2, 2), 0, samara.tensor([1, 1]), rows).tolist()
    [[0.0, 0.0], [4.0, 6.0]]
    """,
    ref=_index_add_ref,
    dtypes=ALL,
    ulp=2,
    condition="sum",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), 0, rng.integers(-3, 3, size=7), rng.normal(size=(7, 4))),
        Sample(rng.normal(size=(3, 4)), 1, np.array([3, 0]), rng.normal(size=(3, 2)), alpha=2),
        Sample(
            rng.normal(size=(2, 3, 40)), -2, rng.integers(0, 3, size=5), rng.normal(size=(2, 5, 40))
        ),
        Sample(rng.normal(size=3), 0, rng.integers(0, 3, size=30), rng.normal(size=30)),
        Sample(rng.normal(size=(3, 4)), 0, np.zeros(0, np.int64), rng.normal(size=(0, 4))),
    ],
    errors=lambda: [
        ErrorSample(
            IndexError,
            "index 3 is out of range",
            np.ones((3, 4)),
            0,
            np.array([3]),
            np.ones((1, 4)),
        ),
        ErrorSample(
            ShapeError,
            r"source has shape \(2, 4\).*Expected \(1, 4\)",
            np.ones((3, 4)),
            0,
            np.array([0]),
            np.ones((2, 4)),
        ),
    ],
    in_place=True,
)


embedding = operation(
    "embedding(ids, weight, padding_idx: int? = None)",
    doc="""Rows of a table: y[...] = weight[ids[...]].

    ids: [*S] integers, weight: [n, *D] -> [*S, *D]. The row `padding_idx` gets no gradient.

    Raises IndexOutOfRangeError for an id out of range, ArgumentError for a padding_idx out of
    range.

    >>> table = samara.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> samara.embedding(samara.tensor([1, 0, 1]), table).tolist()
    [[3.0, 4.0], [1.0, 2.0], [3.0, 4.0]]
    """,
    ref=lambda ids, weight, padding_idx=None: weight[ids],
    dtypes=ALL,
    onnx="Gather",
    ulp=0,
    samples=lambda rng: [
        Sample(rng.integers(0, 5, size=(2, 3)), rng.normal(size=(5, 4))),
        Sample(np.array(3), rng.normal(size=(5, 4))),
        Sample(rng.integers(0, 3, size=40), rng.normal(size=(3, 35))),
        Sample(np.zeros((0,), np.int64), rng.normal(size=(5, 4))),
        Sample(np.array([0, 1]), rng.normal(size=(2, 0))),
    ],
    errors=lambda: [
        ErrorSample(
            IndexError,
            "index 5 is out of range for axis 0 of size 5",
            np.array([5]),
            np.ones((5, 4)),
        ),
        ErrorSample(DTypeError, "index has dtype float", np.ones(2), np.ones((5, 4))),
        ErrorSample(ArgumentError, "padding_idx 5", np.array([0]), np.ones((5, 4)), padding_idx=5),
        ErrorSample(ShapeError, "weight is 0-d", np.array([0]), np.ones(())),
    ],
    methods=(),
)


def _one_hot_ref(x: Any, num_classes: int = -1) -> Any:
    count = int(x.max()) + 1 if num_classes == -1 else num_classes
    return (x[..., None] == np.arange(count)).astype(np.int64)


one_hot = operation(
    "one_hot(x, num_classes: int = -1)",
    doc="""1 at each label's place, 0 elsewhere. x: [*S] integers from 0 -> [*S, num_classes] int64.

    num_classes=-1 takes the largest label.

    Raises IndexOutOfRangeError for a label out of range.

    >>> samara.one_hot(samara.tensor([0, 2])).tolist()
    [[1, 0, 0], [0, 0, 1]]
    """,
    ref=_one_hot_ref,
    dtypes=INTEGER,
    onnx="OneHot",
    samples=lambda rng: [
        Sample(rng.integers(0, 5, size=(2, 3))),
        Sample(rng.integers(0, 5, size=7), num_classes=6),
        Sample(np.array(1), num_classes=3),
        Sample(np.zeros((0, 2), np.int64), num_classes=3),
    ],
    errors=lambda: [
        ErrorSample(IndexError, "label 3 with 3 classes", np.array([0, 3]), num_classes=3),
        ErrorSample(IndexError, "label -1", np.array([-1, 0]), num_classes=3),
        ErrorSample(ArgumentError, "num_classes is -2", np.array([0]), num_classes=-2),
        ErrorSample(ArgumentError, "for 0 labels", np.zeros(0, np.int64)),
    ],
    methods=(),
)


def _bincount_ref(x: Any, weights: Any = None, minlength: int = 0) -> Any:
    return np.bincount(x, weights, minlength)


@composite(
    "bincount(x, weights: Tensor? = None, minlength: int = 0)",
    doc="""How often each value occurs: y[v] = sum of weights[i] (or 1) over all i with x[i] = v.

    x: [n] integers from 0, weights: [n] -> [max(largest + 1, minlength)], int64 without weights.

    Raises ArgumentError for negative values, ShapeError for an x that has not one axis.

    >>> samara.bincount(samara.tensor([0, 2, 2])).tolist()
    [1, 0, 2]
    """,
    ref=_bincount_ref,
    dtypes=INTEGER,
    samples=lambda rng: [
        Sample(rng.integers(0, 5, size=20)),
        Sample(rng.integers(0, 5, size=20), minlength=9),
        Sample(np.zeros(0, np.int64)),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "smallest value is -1", np.array([0, -1])),
        ErrorSample(ShapeError, r"shape \(1, 1\)", np.zeros((1, 1), np.int64)),
        ErrorSample(ArgumentError, "minlength is -1", np.array([0]), minlength=-1),
    ],
)
def bincount(x: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    if x.dtype not in INTEGER:
        raise DTypeError(
            f"bincount: x has dtype {x.dtype}. Expected an integer dtype. "
            "Fix: convert it, e.g. x.to(samara.int64)."
        )
    if x.ndim != 1 or (weights is not None and weights.shape != x.shape):
        shapes = f"x of shape {x.shape}" + (
            "" if weights is None else f" and weights of shape {weights.shape}"
        )
        raise ShapeError(
            f"bincount: {shapes}. Expected one axis, and the same for both. Fix: reshape(-1)."
        )
    if minlength < 0:
        raise ArgumentError(
            f"bincount: minlength is {minlength}. Expected 0 or more. Fix: leave it out."
        )
    smallest, largest = (int(x.min()), int(x.max())) if x.numel() else (0, -1)
    if smallest < 0:
        raise ArgumentError(
            f"bincount: the smallest value is {smallest}. Expected 0 or more. "
            "Fix: shift the values."
        )
    source = ones(x.shape, dtype=int64) if weights is None else weights
    start = zeros(max(largest + 1, minlength), dtype=source.dtype, device=x.device)
    counts: Tensor = index_add(start, 0, x, source.to(x.device))
    return counts
