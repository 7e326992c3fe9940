"""Running sums and products, differences, and the median."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np

from samara.dtypes import ALL, BOOL, FLOAT, INTEGER, get_default_dtype
from samara.errors import ArgumentError, DTypeError, ShapeError
from samara.ops.creation import ones, zeros
from samara.ops.join import concat
from samara.ops.manipulation import _axis
from samara.ops.record import NUMERIC, ErrorSample, Sample, composite, operation
from samara.ops.reduction import cumsum
from samara.ops.selection import where
from samara.ops.sorting import kthvalue
from samara.tensor import Tensor

MedianResult = namedtuple("MedianResult", ["values", "indices"])


def _slice(axis: int, start: int | None, stop: int | None) -> tuple[Any, ...]:
    return (*(slice(None),) * axis, slice(start, stop))


def _only_axis(place: str, x: Tensor, axis: int | None) -> int:
    if axis is None:
        if x.ndim != 1:
            raise ArgumentError(
                f"{place}: no axis was given for a tensor with {x.ndim} axes. Expected an axis. "
                "Fix: pass axis=, or flatten the tensor first."
            )
        return 0
    return _axis(place, axis, x.ndim)


def _initial(place: int, x: Tensor, y: Tensor, make: Any, include: bool) -> Tensor:
    if not include:
        return y
    shape = (*x.shape[:place], 1, *x.shape[place + 1 :])
    return concat([make(shape, dtype=y.dtype, device=y.device), y], place)


def _scan_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.uniform(0.5, 1.5, size=7)),
        Sample(rng.normal(size=(2, 5)), axis=1),
        Sample(rng.normal(size=(4, 3)), axis=-2, include_initial=True),
        Sample(np.array([2.0, 0.0, 3.0, 0.0, 1.0])),
        Sample(np.zeros((0, 3)), axis=0),
        Sample(np.zeros((0, 3)), axis=0, include_initial=True),
    ]


def _scan_errors() -> list[ErrorSample]:
    return [
        ErrorSample(ArgumentError, "no axis was given", np.ones((2, 3))),
        ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 3)), axis=2),
    ]


def _scan_ref(scan: Any, start: float) -> Any:
    def ref(x: Any, axis: Any = None, dtype: Any = None, include_initial: bool = False) -> Any:
        place = 0 if axis is None else axis
        y = scan(x, axis=place)
        if include_initial:
            shape = list(y.shape)
            shape[place] = 1
            y = np.concatenate([np.full(shape, start, y.dtype), y], axis=place)
        return y

    return ref


@composite(
    "cumulative_sum(x, *, axis: int? = None, dtype: dtype? = None, include_initial: bool = False)",
    doc="""Running sums along `axis`, after a first 0 with include_initial.

    x: [*S] -> [*S], or one longer at `axis`. Without an axis for vectors alone. Small integers are
    summed as 64-bit ones.

    Raises ArgumentError without an axis, IndexOutOfRangeError for one that does not exist.
    Source: Python array API standard 2025.12, `cumulative_sum`.

    >>> samara.cumulative_sum(samara.tensor([1, 2, 3]), include_initial=True).tolist()
    [0, 1, 3, 6]
    """,
    ref=_scan_ref(np.cumsum, 0.0),
    dtypes=ALL,
    condition="sum",
    samples=_scan_samples,
    errors=_scan_errors,
    methods=(),
)
def cumulative_sum(
    x: Tensor, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    place = _only_axis("cumulative_sum", x, axis)
    y = cumsum(x if dtype is None else x.to(dtype), place)
    return _initial(place, x, y if dtype is None else y.to(dtype), zeros, include_initial)


def _products_before(x: Tensor, place: int) -> Tensor:
    """The product of what stands before each element, 1 for the first."""
    first = ones((*x.shape[:place], 1, *x.shape[place + 1 :]), dtype=x.dtype, device=x.device)
    return cumprod(concat([first, x[_slice(place, None, -1)]], place), place)


def _cumprod_grad(g: Tensor, x: Tensor, y: Tensor, *, axis: int, dtype: Any) -> Tensor:
    """P[k] S[k] with S[k] = g[k] + x[k + 1] S[k + 1], in doubling steps over ever longer spans."""
    if x.numel() == 0:
        return g
    place = _axis("cumprod", axis, x.ndim)
    n = x.shape[place]
    x = x.to(g.dtype).conj()
    links, sums, step = x[_slice(place, 1, None)], g, 1
    while step < n:
        head = sums[_slice(place, None, -step)] + links * sums[_slice(place, step, None)]
        sums = concat([head, sums[_slice(place, n - step, None)]], place)
        if 2 * step < n:
            links = links[_slice(place, None, n - 2 * step)] * links[_slice(place, step, None)]
        step *= 2
    return _products_before(x, place) * sums


cumprod = operation(
    "cumprod(x, axis: int, *, dtype: dtype? = None)",
    doc="""Running products along `axis`, y[i] = x[0] x[1] ... x[i]. x: [*S] -> [*S].

    float16, bfloat16 and float32 are multiplied in double precision and rounded once; small
    integers as 64-bit ones.

    Raises IndexOutOfRangeError for an axis that does not exist, DTypeError for dtype=bool.
    Source: PyTorch, `torch.cumprod`.

    >>> samara.cumprod(samara.tensor([1, 2, 3]), dim=0).tolist()
    [1, 2, 6]
    """,
    ref=lambda x, axis, dtype=None: np.cumprod(x, axis),
    grad=_cumprod_grad,
    dtypes=ALL,
    condition="max",
    ulp=2,
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 5)), 1),
        Sample(rng.normal(size=(5, 2)), 0),
        Sample(rng.uniform(0.5, 1.5, size=(9, 7)), -1),
        Sample(np.array([2.0, 0.0, 3.0, 0.0, 1.0]), 0),
        Sample(rng.uniform(0.9, 1.1, size=(3, 2, 4)), 1),
        Sample(np.ones((0, 3)), axis=-1),
    ],
    errors=lambda: [
        ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 3)), 2),
        ErrorSample(DTypeError, "dtype is bool", np.ones(3), 0, dtype=BOOL[0]),
    ],
)


@composite(
    "cumulative_prod(x, *, axis: int? = None, dtype: dtype? = None, include_initial: bool = False)",
    doc="""Running products along `axis`, after a first 1 with include_initial.

    x: [*S] -> [*S], or one longer at `axis`. Without an axis for vectors alone. Small integers are
    multiplied as 64-bit ones.

    Raises ArgumentError without an axis, IndexOutOfRangeError for one that does not exist.
    Source: Python array API standard 2025.12, `cumulative_prod`.

    >>> samara.cumulative_prod(samara.tensor([1, 2, 3])).tolist()
    [1, 2, 6]
    """,
    ref=_scan_ref(np.cumprod, 1.0),
    dtypes=ALL,
    condition="max",
    ulp=16,
    samples=_scan_samples,
    errors=_scan_errors,
    methods=(),
)
def cumulative_prod(
    x: Tensor, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    place = _only_axis("cumulative_prod", x, axis)
    y = cumprod(x, place, dtype=dtype)
    return _initial(place, x, y, ones, include_initial)


@composite(
    "diff(x, *, axis: int = -1, n: int = 1, prepend: Tensor? = None, append: Tensor? = None)",
    doc="""Differences of neighbours along `axis`, x[i + 1] - x[i], n times over.

    x: [*S]; prepend, append: like x but for the size of `axis`, joined to it first -> [*S], n
    shorter at `axis`.

    Raises ArgumentError for n below 0, IndexOutOfRangeError for an axis that does not exist.
    Source: Python array API standard 2025.12, `diff`.

    >>> samara.diff(samara.tensor([1, 4, 9, 16])).tolist()
    [3, 5, 7]
    """,
    ref=lambda x, axis=-1, n=1, prepend=None, append=None: np.diff(
        np.concatenate([a for a in (prepend, x, append) if a is not None], axis), n, axis
    ),
    dtypes=NUMERIC,
    condition="max",
    samples=lambda rng: [
        Sample(np.cumsum(rng.uniform(1.0, 9.0, size=(3, 5)), 1)),
        Sample(np.cumsum(rng.uniform(1.0, 9.0, size=(4, 2)), 0), axis=0),
        Sample(np.arange(7.0) ** 3, n=2),
        Sample(np.ones((2, 0))),
        Sample(np.ones(3), n=0),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "n = -1", np.ones(3), n=-1),
        ErrorSample(IndexError, "axis 1 is out of range", np.ones(3), axis=1),
    ],
)
def diff(x: Tensor, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Any:
    place = _axis("diff", axis, x.ndim)
    if n < 0:
        raise ArgumentError(f"diff: n = {n} given. Expected 0 or more. Fix: correct it.")
    parts = [part for part in (prepend, x, append) if part is not None]
    y = concat(parts, place) if len(parts) > 1 else x
    for _ in range(n):
        if not y.shape[place]:
            break
        y = y[_slice(place, 1, None)] - y[_slice(place, None, -1)]
    return y


def _median_axis(x: Tensor, axis: int) -> int:
    """The checked axis of a median."""
    if x.dtype not in (*FLOAT, *INTEGER):
        raise DTypeError(
            f"median: x has dtype {x.dtype}. Expected real numbers. Fix: convert it first."
        )
    place = _axis("median", axis, x.ndim)
    if not x.shape[place]:
        raise ShapeError(
            f"median: axis {axis} of shape {x.shape} has no elements. Expected one or more. "
            "Fix: check where the empty tensor comes from."
        )
    return place


def _median_ref(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    flat = x.reshape(-1) if axis is None else np.moveaxis(x, axis, -1)
    order = np.argsort(flat, axis=-1, kind="stable")
    place = (flat.shape[-1] - 1) // 2
    nan = np.isnan(flat)
    index = np.where(nan.any(-1), nan.argmax(-1), order[..., place])
    values = np.take_along_axis(flat, index[..., None], -1)[..., 0]
    if axis is None:
        return values
    if keepdims:
        values, index = np.expand_dims(values, axis), np.expand_dims(index, axis)
    return values, index


@composite(
    "median_with_indices(x, axis: int? = None, keepdims: bool = False)",
    doc="""The middle element in order, the lower of two; NaN if there is one. `median` with dim=.

    x: [*S] real -> [], or with an axis the named tuple (values, indices) of [*S without axis].

    Raises ShapeError where there are no elements, IndexOutOfRangeError for an axis that does not
    exist. Source: PyTorch, `torch.median`.

    >>> samara.tensor([5.0, 1.0, 3.0, 4.0]).median().item()
    3.0
    """,
    ref=_median_ref,
    methods=(),
    dtypes=(*FLOAT, *INTEGER),
    ulp=0,
    samples=lambda rng: [
        Sample(rng.permutation(7) / 4.0),
        Sample(np.array([2.0])),
        Sample(rng.permutation(12).reshape(3, 4) / 4.0),
        Sample(rng.permutation(12).reshape(3, 4) / 4.0, axis=1),
        Sample(rng.permutation(12).reshape(3, 4) / 4.0, axis=0, keepdims=True),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "no elements", np.ones((0, 3))),
        ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 3)), 2),
    ],
)
def median_with_indices(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Any:
    if axis is None:
        return median_with_indices(x.reshape(x.numel()), 0).values
    place = _median_axis(x, axis)
    indices = kthvalue(x.detach(), (x.shape[place] + 1) // 2, place, True).indices
    if x.dtype in FLOAT:
        nan = x.detach().isnan()
        first = nan.argmax(axis=place, keepdims=True)
        indices = where(nan.any(axis=place, keepdims=True), first, indices)
    values = x.gather(place, indices)
    if keepdims:
        return MedianResult(values, indices)
    return MedianResult(values.squeeze(place), indices.squeeze(place))


@composite(
    "median(x, axis: int? = None, keepdims: bool = False)",
    doc="""The middle element in order, the mean of two; NaN if there is one.

    x: [*S] real -> [], or [*S without axis]; integers become the default floating dtype. The method
    and dim= are PyTorch's: the lower of two, with indices.

    Raises ShapeError where there are no elements, IndexOutOfRangeError for an axis that does not
    exist. Source: NumPy, `median`.

    >>> samara.median(samara.tensor([5.0, 1.0, 3.0, 4.0])).item()
    3.5
    """,
    ref=lambda x, axis=None, keepdims=False: np.median(x, axis=axis, keepdims=keepdims),
    dtypes=(*FLOAT, *INTEGER),
    ulp=1,
    samples=lambda rng: [
        Sample(rng.permutation(7) / 4.0),
        Sample(np.array([2.0])),
        Sample(rng.permutation(12).reshape(3, 4) / 4.0, keepdims=True),
        Sample(rng.permutation(12).reshape(3, 4) / 4.0, axis=1),
        Sample(rng.permutation(12).reshape(3, 4) / 4.0, axis=0, keepdims=True),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "no elements", np.ones((0, 3))),
        ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 3)), 2),
    ],
    dim_form=median_with_indices,
)
def median(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Any:
    if axis is None:
        middle = median(x.reshape(x.numel()), 0)
        return middle.reshape((1,) * x.ndim) if keepdims else middle
    place = _median_axis(x, axis)
    count = x.shape[place]
    x = x if x.dtype in FLOAT else x.to(get_default_dtype())
    lower = median_with_indices(x, place, keepdims).values
    if count % 2:
        return lower
    upper = kthvalue(x, count // 2 + 1, place, keepdims).values
    # Halved before the sum, which cannot overflow then; NaN of the lower stays.
    return lower * 0.5 + upper * 0.5
