"""Scattering with another reduction than a sum, and writing parts: by mask, by slice, by place."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import samara._core as _core
from samara.dtypes import INTEGER, iinfo
from samara.errors import ArgumentError, DTypeError, ShapeError
from samara.ops.checks import broadcast, require_choice, require_dtype
from samara.ops.creation import ones_like, zeros_like
from samara.ops.gathering import gather, scatter, scatter_add
from samara.ops.indexing import index_put
from samara.ops.manipulation import _axis
from samara.ops.record import ALL, METHODS, REAL, ErrorSample, Sample, composite, plain
from samara.ops.selection import where
from samara.tensor import Tensor

# --- scatter_reduce -------------------------------------------------------------------------------

_REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


def _merge_grad(
    g: Tensor, x: Tensor, index: Tensor, src: Tensor, y: Tensor, *, axis: int, merge: str
) -> tuple[Tensor, None, Tensor]:
    def spread(values: Tensor) -> Tensor:
        return gather(values, axis, index)

    if merge == "prod":
        zero_x, zero_src = x == 0, src == 0
        zeros = scatter_add(zero_x.to(x.dtype), axis, index, zero_src.to(x.dtype))
        small_x, small_src = where(zero_x, x, 0.0), where(zero_src, src, 0.0)
        smalls = scatter_add(small_x, axis, index, small_src)
        safe_x, safe_src = where(zero_x, 1.0, x), where(zero_src, 1.0, src)
        rest = _merge(safe_x, axis, index, safe_src, merge)

        def slope(factors: Tensor, own: Tensor, count: Tensor, small: Tensor) -> Any:
            """The product of the other factors: those that are not 0, and a single 0, which may
            move where this is differentiated again.
            """
            others = factors / own
            return where(count == 0, others, where(count == 1, others * small, 0.0))

        dx = slope(rest, safe_x, zeros - zero_x.to(x.dtype), smalls - small_x)
        dsrc = slope(
            spread(rest),
            safe_src,
            spread(zeros) - zero_src.to(x.dtype),
            spread(smalls) - small_src,
        )
        return g * dx, None, spread(g) * dsrc
    hit_x, hit_src = (x == y).to(g.dtype), (src == spread(y)).to(g.dtype)
    share = g / scatter_add(hit_x, axis, index, hit_src).clamp(min=1)
    return share * hit_x, None, spread(share) * hit_src


_merge: Callable[..., Tensor] = _core.Operation(
    "scatter_merge(x, axis: int, index, src, merge: str)", "scatter_merge", rule=_merge_grad
)


def _reduce_ref(
    x: Any, axis: int, index: Any, src: Any, reduce: str, include_self: bool = True
) -> Any:
    made = np.array(x)
    lists: dict[tuple[int, ...], list[Any]] = {}
    for place in np.ndindex(index.shape):
        target = list(place)
        target[axis] = int(index[place]) % max(x.shape[axis], 1)
        lists.setdefault(tuple(target), []).append(src[place])
    for spot, found in lists.items():
        values = np.array(([x[spot]] if include_self else []) + found)
        if reduce == "mean":
            total = values.sum(dtype=values.dtype)
            whole = values.dtype.kind in "iu"
            made[spot] = total // len(values) if whole else total / len(values)
        else:
            made[spot] = getattr(np, reduce)(values)
    return made


def _reduce_samples(rng: np.random.Generator) -> list[Sample]:
    def draw(*shape: int) -> Any:
        return rng.permutation(math.prod(shape)).reshape(shape) / 4.0 + 0.25

    index = np.array([[0, 2, 2, 1], [1, 1, 0, 2], [2, 0, 1, 1]])
    made = [
        Sample(draw(3, 3), 1, index, draw(3, 4) + 3.0, reduce, include_self=own)
        for reduce in _REDUCTIONS
        for own in (True, False)
    ]
    return [
        *made,
        Sample(draw(3, 4), 0, index, draw(3, 4) - 5.0, "amax"),
        Sample(np.array([1.0, 0.0, 3.0]), 0, np.array([0, 0, 1, 2]), np.ones(4) * 2.0, "prod"),
        Sample(draw(1), 0, np.array([0]), draw(1), "sum"),
    ]


@composite(
    "scatter_reduce(x, axis: int, index, src, reduce: str, *, include_self: bool = True)",
    doc="""A copy of x in which the elements of src are reduced at the indices along `axis`.

    x: [*S] real, index: [*T] integers, T_k <= S_k but along `axis`; src: at least [*T] -> [*S].
    reduce is "sum", "prod", "mean", "amax" or "amin"; without include_self the old values at the
    indices do not take part. Elements that share an extreme share its gradient.

    Raises ArgumentError for another reduction, IndexOutOfRangeError for an index out of range.
    Source: PyTorch, `torch.scatter_reduce`.

    >>> index, src = samara.tensor([0, 0, 1]), samara.tensor([1.0, 5.0, 2.0])
    >>> samara.zeros(2).scatter_reduce(0, index, src, "amax").tolist()
    [5.0, 2.0]
    """,
    ref=_reduce_ref,
    dtypes=REAL,
    ulp=4,
    condition="max",
    samples=_reduce_samples,
    errors=lambda: [
        ErrorSample(ArgumentError, "reduce", np.ones(3), 0, np.array([0]), np.ones(1), "max"),
        ErrorSample(IndexError, "out of range", np.ones(3), 0, np.array([3]), np.ones(1), "prod"),
    ],
    in_place=True,
)
def scatter_reduce(
    x: Tensor, axis: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    require_dtype("scatter_reduce", x, REAL)
    require_dtype("scatter_reduce", src, REAL, "src")
    require_choice("scatter_reduce", "reduce", reduce, _REDUCTIONS)
    integers = x.dtype in INTEGER
    if not include_self:
        limits = iinfo(x.dtype) if integers else None
        start = {
            "prod": 1,
            "amax": limits.min if limits else -math.inf,
            "amin": limits.max if limits else math.inf,
        }.get(reduce, 0)
        x = scatter(x, axis, index, start)
    if reduce == "sum":
        return scatter_add(x, axis, index, src)
    if reduce == "mean":
        counts = ones_like(x) if include_self else zeros_like(x)
        counts = scatter_add(counts, axis, index, ones_like(src)).clamp(min=1)
        total = scatter_add(x, axis, index, src)
        return total // counts if integers else total / counts
    # The rule reads sources of the index's shape and of x's dtype.
    if index.ndim and src.ndim == index.ndim:
        fits = all(a <= b for a, b in zip(index.shape, src.shape, strict=True))
        src = src[tuple(slice(n) for n in index.shape)] if fits else src
    return _merge(x, axis, index, src.to(x.dtype), reduce)


def _rows_ref(
    x: Any, axis: int, index: Any, source: Any, reduce: str, include_self: bool = True
) -> Any:
    shape = [1] * source.ndim
    shape[axis] = -1
    spread = np.broadcast_to(np.reshape(index, shape), source.shape)
    return _reduce_ref(x, axis, spread, source, reduce, include_self)


@composite(
    "index_reduce(x, axis: int, index, source, reduce: str, *, include_self: bool = True)",
    doc="""A copy of x in which rows of source are reduced at the indices along `axis`.

    x: [*A, n, *B] real, index: [m] integers, source: [*A, m, *B] -> [*A, n, *B]. reduce is "prod",
    "mean", "amax" or "amin"; see `scatter_reduce`.

    Raises ArgumentError for another reduction, ShapeError for a source of another shape.
    Source: PyTorch, `Tensor.index_reduce`.

    >>> rows = samara.tensor([[1.0], [5.0]])
    >>> samara.index_reduce(samara.zeros(1, 1), 0, samara.tensor([0, 0]), rows, "amax").item()
    5.0
    """,
    ref=_rows_ref,
    dtypes=REAL,
    ulp=4,
    condition="max",
    samples=lambda rng: (
        [
            Sample(
                rng.permutation(6).reshape(3, 2) / 4.0 + 0.25,
                0,
                np.array([0, 2, 0, 1]),
                rng.permutation(8).reshape(4, 2) / 4.0 + 3.0,
                reduce,
                include_self=own,
            )
            for reduce in _REDUCTIONS[1:]
            for own in (True, False)
        ]
        + [Sample(np.ones(1), 0, np.array([0]), np.array([2.0]), "prod")]
    ),
    errors=lambda: [
        ErrorSample(ArgumentError, "reduce", np.ones(3), 0, np.array([0]), np.ones(1), "sum"),
        ErrorSample(
            ShapeError, "source has", np.ones((3, 2)), 0, np.array([0]), np.ones((2, 2)), "prod"
        ),
    ],
    in_place=True,
)
def index_reduce(
    x: Tensor, axis: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    require_dtype("index_reduce", x, REAL)
    require_choice("index_reduce", "reduce", reduce, _REDUCTIONS[1:])
    at = _axis("index_reduce", axis, x.ndim)
    wanted = (*x.shape[:at], index.numel(), *x.shape[at + 1 :])
    if index.ndim > 1 or source.shape != wanted:
        raise ShapeError(
            f"index_reduce: source has shape {source.shape} for an index of shape {index.shape}. "
            f"Expected {wanted} and a vector. Fix: reshape one of them."
        )
    spread = index.reshape((-1,) + (1,) * (x.ndim - at - 1)).expand(source.shape)
    return scatter_reduce(x, at, spread, source, reduce, include_self=include_self)


# --- by mask and by place -------------------------------------------------------------------------


def _masked_ref(x: Any, mask: Any, source: Any) -> Any:
    shape = np.broadcast_shapes(x.shape, mask.shape)
    made, where_ = np.array(np.broadcast_to(x, shape)), np.broadcast_to(mask, shape)
    made[where_] = source.reshape(-1)[: int(where_.sum())]
    return made


@composite(
    "masked_scatter(x, mask, source)",
    doc="""x with the elements of source, in order, where the mask is True.

    x: [*A], mask: [*B] bool, which broadcast to [*S]; source: at least as many elements as the mask
    has True ones -> [*S].

    Raises DTypeError for a mask that is not bool, ShapeError for too few elements.
    Source: PyTorch, `Tensor.masked_scatter`.

    >>> mask = samara.tensor([True, False, True])
    >>> samara.masked_scatter(samara.zeros(3), mask, samara.tensor([1.0, 2.0])).tolist()
    [1.0, 0.0, 2.0]
    """,
    ref=_masked_ref,
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), rng.random((3, 4)) < 0.5, rng.normal(size=12)),
        Sample(rng.normal(size=(3, 4)), np.array([True, False, True, False]), rng.normal(size=7)),
        Sample(rng.normal(size=3), np.zeros(3, bool), np.zeros(0)),
        Sample(np.ones(1), np.ones(1, bool), np.array([2.0])),
    ],
    errors=lambda: [
        ErrorSample(DTypeError, "mask has dtype", np.ones(2), np.ones(2, int), np.ones(2)),
        ErrorSample(ShapeError, "has 1 elements", np.ones(2), np.ones(2, bool), np.ones(1)),
    ],
    in_place=True,
)
def masked_scatter(x: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    require_dtype("masked_scatter", x, ALL)
    require_dtype("masked_scatter", source, ALL, "source")
    require_dtype("masked_scatter", mask, (_core.bool,), "mask")
    shape = broadcast("masked_scatter", x.shape, mask.shape)
    wide = mask.expand(shape).reshape(math.prod(shape))
    count = int(wide.sum().item()) if wide.numel() else 0
    if source.numel() < count:
        raise ShapeError(
            f"masked_scatter: source has {source.numel()} elements for {count} True ones in the "
            "mask. Expected at least as many. Fix: pass more elements."
        )
    target = x.expand(shape)
    if not count:
        return target.clone()
    place = (wide.cumsum(0) - 1).clamp(min=0).reshape(shape)
    found = source.reshape(-1).to(x.dtype)[place]
    return where(mask.expand(shape), found, target)


def _put_ref(x: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    flat = np.array(x).reshape(-1)
    if accumulate:
        np.add.at(flat, index, source)
    else:
        flat[index] = source
    return flat.reshape(x.shape)


@composite(
    "put(x, index, source, accumulate: bool = False)",
    doc="""A copy of x, read as one flat row, with source written, or added, at the indices.

    x: [*S], index: [*T] int, source: [*T] -> [*S].

    Raises IndexOutOfRangeError for an index out of range, ShapeError for a source of another size.
    Source: PyTorch, `Tensor.put_`.

    >>> samara.put(samara.zeros(2, 2), samara.tensor([3, 0]), samara.tensor([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 1.0]]
    """,
    ref=_put_ref,
    dtypes=ALL,
    ulp=2,
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), np.array([[0, 11], [-2, 5]]), rng.normal(size=(2, 2))),
        Sample(rng.normal(size=5), np.array([1, 1, 3]), rng.normal(size=3), True),
        Sample(np.ones(1), np.array([0]), np.array([2.0])),
    ],
    errors=lambda: [
        ErrorSample(IndexError, "out of range", np.ones(2), np.array([2]), np.ones(1)),
        ErrorSample(ShapeError, "source has", np.ones(2), np.array([1]), np.ones(3)),
    ],
    in_place=True,
)
def put(x: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    require_dtype("put", x, ALL)
    require_dtype("put", index, INTEGER, "index")
    if index.numel() != source.numel():
        raise ShapeError(
            f"put: source has {source.numel()} elements for {index.numel()} indices. Expected as "
            "many. Fix: correct one of them."
        )
    flat, places = x.reshape(x.numel()), index.reshape(-1)
    return index_put(flat, (0,), [places], source.reshape(-1), accumulate).reshape(x.shape)


# --- parts of a copy ------------------------------------------------------------------------------


def _written(place: str, x: Tensor, src: Tensor, key: tuple[Any, ...]) -> Tensor:
    require_dtype(place, x, ALL)
    require_dtype(place, src, ALL, "src")
    made: Tensor = x.clone()
    wanted = x.detach()[key].shape
    if src.shape != wanted:
        raise ShapeError(
            f"{place}: src has shape {src.shape}. Expected {wanted}, that of the part it replaces. "
            "Fix: reshape src."
        )
    made[key] = src
    return made


def _part_ref(key: Any) -> Any:
    def ref(x: Any, src: Any, *args: Any, **kwargs: Any) -> Any:
        made = np.array(x)
        made[key(*args, **kwargs)] = src
        return made

    return ref


def _slice_key(axis: int = 0, start: Any = None, stop: Any = None, step: int = 1) -> Any:
    return (*(slice(None),) * axis, slice(start, stop, step))


@composite(
    "select_scatter(x, src, axis: int, index: int)",
    doc="""A copy of x with src in place of select(x, axis, index).

    x: [*S], src: [*S without axis] -> [*S]. Raises ShapeError for a src of another shape,
    IndexOutOfRangeError for an axis or index that does not exist.
    Source: PyTorch, `torch.select_scatter`.

    >>> samara.select_scatter(samara.zeros(2, 2), samara.ones(2), 1, 0).tolist()
    [[1.0, 0.0], [1.0, 0.0]]
    """,
    ref=_part_ref(lambda axis, index: (*(slice(None),) * axis, index)),
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), rng.normal(size=3), 1, 2),
        Sample(rng.normal(size=(3, 4)), rng.normal(size=4), axis=0, index=-1),
        Sample(np.ones(1), np.array(2.0), 0, 0),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "src has shape", np.ones((2, 3)), np.ones(3), 1, 0),
        ErrorSample(IndexError, "axis 2", np.ones((2, 3)), np.ones(3), 2, 0),
    ],
)
def select_scatter(x: Tensor, src: Tensor, axis: int, index: int) -> Tensor:
    at = _axis("select_scatter", axis, x.ndim)
    return _written("select_scatter", x, src, (*(slice(None),) * at, index))


@composite(
    "slice_scatter(x, src, axis: int = 0, start: int? = None, stop: int? = None, step: int = 1)",
    doc="""A copy of x with src in place of the slice start:stop:step along `axis`.

    x: [*S], src: the shape of that slice -> [*S]. Raises ShapeError for a src of another shape,
    IndexOutOfRangeError for an axis that does not exist. Source: PyTorch, `torch.slice_scatter`.

    >>> samara.slice_scatter(samara.zeros(4), samara.ones(2), start=1, end=3).tolist()
    [0.0, 1.0, 1.0, 0.0]
    """,
    ref=_part_ref(_slice_key),
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(rng.normal(size=(5, 4)), rng.normal(size=(2, 4)), 0, 1, 4, 2),
        Sample(rng.normal(size=(3, 4)), rng.normal(size=(3, 2)), axis=1, start=-2),
        Sample(np.ones(1), np.array([2.0])),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "src has shape", np.ones((2, 3)), np.ones(3)),
        ErrorSample(IndexError, "axis 2", np.ones((2, 3)), np.ones((2, 3)), 2),
    ],
)
def slice_scatter(
    x: Tensor,
    src: Tensor,
    axis: int = 0,
    start: int | None = None,
    stop: int | None = None,
    step: int = 1,
) -> Tensor:
    at = _axis("slice_scatter", axis, x.ndim)
    return _written("slice_scatter", x, src, _slice_key(at, start, stop, step))


@composite(
    "diagonal_scatter(x, src, offset: int = 0, dim1: int = 0, dim2: int = 1)",
    doc="""A copy of x with src on the diagonal of dim1 and dim2.

    x: [*S], src: the shape of diagonal(x, offset, dim1, dim2) -> [*S].

    Raises ShapeError for a src of another shape, IndexOutOfRangeError for an axis that does not
    exist. Source: PyTorch, `torch.diagonal_scatter`.

    >>> samara.diagonal_scatter(samara.zeros(2, 2), samara.ones(2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """,
    ref=lambda x, src, offset=0, dim1=0, dim2=1: _diagonal_ref(x, src, offset, dim1, dim2),
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), rng.normal(size=3)),
        Sample(rng.normal(size=(3, 4)), rng.normal(size=3), 1),
        Sample(rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 2)), -1, dim1=-2, dim2=-1),
        Sample(np.ones((1, 1)), np.array([2.0])),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "src has shape", np.ones((2, 3)), np.ones(3)),
        ErrorSample(IndexError, "axis 2", np.ones((2, 3)), np.ones(2), 0, 2, 1),
    ],
)
def diagonal_scatter(
    x: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    first, second = _axis("diagonal_scatter", dim1, x.ndim), _axis("diagonal_scatter", dim2, x.ndim)
    last = x.moveaxis((first, second), (-2, -1))
    down, right = max(-offset, 0), max(offset, 0)
    length = max(min(last.shape[-2] - down, last.shape[-1] - right), 0)
    step = list(range(length))
    key = (..., [i + down for i in step], [i + right for i in step])
    return _written("diagonal_scatter", last, src, key).moveaxis((-2, -1), (first, second))


def _diagonal_ref(x: Any, src: Any, offset: int, dim1: int, dim2: int) -> Any:
    made = np.array(x)
    view = np.moveaxis(made, (dim1, dim2), (-2, -1))
    for i in range(src.shape[-1]):
        view[..., i + max(-offset, 0), i + max(offset, 0)] = src[..., i]
    return made


@plain("as_strided_scatter")
def as_strided_scatter(
    x: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int = 0
) -> Tensor:
    """A copy of x with src in place of as_strided(x, size, stride, storage_offset).

    Raises ArgumentError for sizes that leave x's memory. Source: PyTorch, `as_strided_scatter`.

    >>> samara.as_strided_scatter(samara.zeros(4), samara.ones(2), (2,), (3,)).tolist()
    [1.0, 0.0, 0.0, 1.0]
    """
    made = x.clone()
    made.as_strided(size, stride, storage_offset).copy_(src)
    return made


# --- PyTorch's index_put --------------------------------------------------------------------------


def _index_put(
    self: Tensor, indices: Sequence[Any], values: Any, accumulate: bool = False
) -> Tensor:
    """A copy with values written, or added with accumulate, at x[indices]."""
    return self.clone().index_put_(indices, values, accumulate)


METHODS["index_put"] = _index_put


@plain()
def index_put_(x: Tensor, indices: Any, values: Any, accumulate: bool = False) -> Tensor:
    """Writes values, or adds them with accumulate, at x[indices] and returns x.

    Raises IndexOutOfRangeError for an index out of range. Source: PyTorch, `torch.index_put_`.

    >>> samara.index_put_(samara.zeros(2), (samara.tensor([1]),), samara.tensor(3.0)).tolist()
    [0.0, 3.0]
    """
    return x.index_put_(indices, values, accumulate)
