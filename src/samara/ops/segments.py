"""Reductions of pieces of an axis that need not be equally long."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from samara._core import int64
from samara.dtypes import FLOAT, INTEGER
from samara.errors import ArgumentError, DTypeError, ShapeError, UnsupportedError
from samara.ops.checks import require_choice, require_dtype
from samara.ops.creation import arange, full
from samara.ops.gathering import index_add
from samara.ops.record import ErrorSample, Sample, composite
from samara.ops.scatters import scatter_reduce
from samara.ops.selection import where
from samara.tensor import Tensor

_REDUCTIONS = {"sum": "sum", "mean": "sum", "max": "amax", "min": "amin", "prod": "prod"}
_STARTS = {"sum": 0.0, "mean": 0.0, "max": -math.inf, "min": math.inf, "prod": 1.0}


def _ref(
    x: Any,
    reduce: str,
    *,
    lengths: Any = None,
    offsets: Any = None,
    initial: float | None = None,
    **other: Any,
) -> Any:
    if lengths is None:
        lengths = np.diff(offsets, axis=-1)
    if lengths.ndim > 1:
        rows = [
            _ref(a, reduce, lengths=n, initial=initial) for a, n in zip(x, lengths, strict=True)
        ]
        return np.stack(rows)
    start = _STARTS[reduce] if initial is None else initial
    combine: Any = {"max": np.maximum, "min": np.minimum, "prod": np.multiply}.get(reduce, np.add)
    made = np.full((len(lengths), *x.shape[1:]), start, x.dtype)
    first = 0
    for i, count in enumerate(lengths):
        for row in x[first : first + count]:
            made[i] = combine(made[i], row)
        first += count
        if reduce == "mean":
            made[i] = made[i] / count if count else (np.nan if initial is None else initial)
    return made


def _samples(rng: np.random.Generator) -> list[Sample]:
    x, lengths = rng.permutation(15).reshape(5, 3) / 4.0 + 0.5, np.array([2, 0, 3])
    return [
        *(Sample(x, name, lengths=lengths, initial=0.25) for name in _STARTS),
        Sample(x, "sum", lengths=lengths),
        Sample(x, "mean", lengths=np.array([1, 4])),
        Sample(x, "max", offsets=np.array([0, 2, 5])),
        Sample(rng.normal(size=(2, 5)), "sum", lengths=np.array([[2, 3], [4, 1]]), axis=1),
        Sample(np.ones(1), "prod", lengths=np.array([1])),
    ]


@composite(
    "segment_reduce(x, reduce: str, *, lengths: Tensor? = None, indices: Tensor? = None, "
    "offsets: Tensor? = None, axis: int = 0, unsafe: bool = False, initial: number? = None)",
    doc="""The sum, mean, max, min or prod of each piece of an axis.

    x: [*B, L, *S] float; lengths: [*B, n] int, of the pieces, or offsets: [*B, n + 1] int, where
    they start and the last one ends -> [*B, n, *S]. The pieces lie one behind the other along the
    last axis of B, which `axis` names. Each begins with `initial`; without it a piece of length 0
    gives 0, NaN, -inf, inf or 1.

    Raises ArgumentError for another reduction, lengths below 0 or that do not add up (not looked at
    with unsafe), ShapeError for shapes that do not fit, NotImplementedError for indices. Source:
    PyTorch, `torch.segment_reduce`.

    >>> x = samara.tensor([1.0, 2.0, 3.0])
    >>> samara.segment_reduce(x, "sum", lengths=samara.tensor([2, 1])).tolist()
    [3.0, 3.0]
    """,
    ref=_ref,
    ulp=16,
    condition="max",
    samples=_samples,
    errors=lambda: [
        ErrorSample(ArgumentError, "reduce is 'all'", np.ones(2), "all", lengths=np.array([2])),
        ErrorSample(ArgumentError, "neither lengths nor offsets", np.ones(2), "sum"),
        ErrorSample(ArgumentError, "add up to 3", np.ones(2), "sum", lengths=np.array([3])),
        ErrorSample(ArgumentError, "holds -1", np.ones(2), "sum", lengths=np.array([3, -1])),
        ErrorSample(ShapeError, "lengths has", np.ones(2), "sum", lengths=np.ones((1, 1), int)),
        ErrorSample(DTypeError, "Expected integers", np.ones(2), "sum", lengths=np.ones(1)),
        ErrorSample(ArgumentError, "axis is 1", np.ones(2), "sum", lengths=np.array([2]), axis=1),
        ErrorSample(NotImplementedError, "indices", np.ones(2), "sum", indices=np.array([0])),
    ],
    methods=("segment_reduce",),
)
def segment_reduce(
    x: Tensor,
    reduce: str,
    *,
    lengths: Tensor | None = None,
    indices: Tensor | None = None,
    offsets: Tensor | None = None,
    axis: int = 0,
    unsafe: bool = False,
    initial: Any = None,
) -> Tensor:
    place = "segment_reduce"
    require_dtype(place, x, FLOAT)
    require_choice(place, "reduce", reduce, tuple(_REDUCTIONS))
    lengths = _lengths(place, x, lengths, indices, offsets, axis, unsafe)
    batch, rest = lengths.shape[:-1], x.shape[lengths.ndim :]
    pieces = lengths.numel()
    number = arange(pieces, device=x.device).repeat_interleave(lengths.reshape(-1))
    rows = x.reshape(-1, *rest)
    begin = float(_STARTS[reduce] if initial is None else initial)
    shape = (pieces, *rest)
    if reduce in ("sum", "mean"):
        start = full(shape, begin, dtype=x.dtype, device=x.device)
        made = index_add(start, 0, number, rows)
    else:
        start = full(shape, begin, dtype=x.dtype, device=x.device)
        index = number.reshape(-1, *[1] * len(rest)).expand(rows.shape)
        made = scatter_reduce(start, 0, index, rows, _REDUCTIONS[reduce])
    if reduce == "mean":
        counts = lengths.reshape(-1, *[1] * len(rest)).to(x.dtype)
        empty = math.nan if initial is None else begin
        made = where(counts == 0, empty, made / where(counts == 0, 1, counts))
    return made.reshape(*batch, lengths.shape[-1], *rest)


def _lengths(
    place: str,
    x: Tensor,
    lengths: Tensor | None,
    indices: Tensor | None,
    offsets: Tensor | None,
    axis: int,
    unsafe: bool,
) -> Tensor:
    if indices is not None:
        raise UnsupportedError(
            f"{place}: indices are not there, nor in PyTorch. Expected lengths or offsets. "
            "Fix: lengths=samara.bincount(indices)."
        )
    given, name = (lengths, "lengths") if lengths is not None else (offsets, "offsets")
    if given is None:
        raise ArgumentError(
            f"{place}: neither lengths nor offsets given. Expected one of them. "
            "Fix: pass the length of each piece."
        )
    require_dtype(place, given, INTEGER, name)
    if not given.ndim or given.ndim > x.ndim or given.shape[:-1] != x.shape[: given.ndim - 1]:
        raise ShapeError(
            f"{place}: {name} has shape {given.shape} for an x of shape {x.shape}. Expected "
            "[*B, n] with the first axes of x. Fix: reshape it."
        )
    if axis not in (given.ndim - 1, given.ndim - 1 - x.ndim):
        raise ArgumentError(
            f"{place}: axis is {axis} for {name} with {given.ndim} axes. Expected the last axis "
            f"of {name}, {given.ndim - 1}. Fix: leave axis out, or move it with movedim."
        )
    given = given.detach().to(int64)
    found = given if name == "lengths" else given[..., 1:] - given[..., :-1]
    if unsafe:
        return found
    if found.numel() and found.min().item() < 0:
        raise ArgumentError(
            f"{place}: {name} holds {found.min().item()} as a length. Expected 0 or more. "
            "Fix: correct it."
        )
    size = x.shape[given.ndim - 1]
    sums = found.sum(axis=-1).reshape(-1)
    wrong = sums[sums != size]
    if wrong.numel():
        raise ArgumentError(
            f"{place}: the lengths add up to {wrong[0].item()}. Expected {size}, the size of the "
            "axis. Fix: cover the whole axis."
        )
    return found
