"""Order: sort, argsort, topk, kthvalue, searchsorted.

NaN counts as larger than every number, -0 and +0 as equal; among equal elements the order of the
input is kept, also with descending=True.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from samara._core import int32
from samara.errors import ArgumentError, IndexOutOfRangeError, ShapeError
from samara.ops.record import ALL, COMPLEX, ErrorSample, Function, Sample, composite, operation
from samara.tensor import Tensor

ORDERED = tuple(dtype for dtype in ALL if dtype not in COMPLEX)


class KthvalueResult(NamedTuple):
    """The k-th smallest elements, and where each of them stood."""

    values: Tensor
    indices: Tensor


def _argsort_ref(x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    if x.ndim == 0:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    # Ranks that fall as the values rise; equal values share one, so their order is kept.
    _, rank = np.unique(x, return_inverse=True, equal_nan=True)
    return np.argsort(-rank.reshape(x.shape), axis=axis, kind="stable")


def _sort_ref(x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    if x.ndim == 0:
        return x
    return np.take_along_axis(x, _argsort_ref(x, axis, descending), axis)


def _sort_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.normal(size=(3, 4))),
        Sample(rng.normal(size=(3, 4)), axis=0),
        Sample(rng.normal(size=(2, 5, 3)), axis=-2, descending=True),
        Sample(rng.normal(size=300)),  # long enough for the radix sort
        Sample(rng.normal(size=(2, 300)), descending=True, stable=False),
        Sample(rng.normal(size=())),
        Sample(rng.normal(size=(0, 3))),
        Sample(rng.normal(size=(3, 0))),
        Sample(rng.normal(size=(4, 1))),
        Sample(np.array([2.0, np.inf, -1.0, -np.inf, 0.5, 1e30, -1e-30])),
    ]


def _sort_errors() -> list[ErrorSample]:
    return [
        ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 3)), axis=2),
        ErrorSample(IndexError, "axis 1 given for a 0-d tensor", np.ones(()), axis=1),
    ]


argsort = operation(
    "argsort(x, axis: int = -1, descending: bool = False, stable: bool = True)",
    doc="""The indices that put `axis` in order. x: [*S] real -> [*S] int64.

    Always stable: equal elements keep their order. NaN counts as larger than every number.

    Raises IndexOutOfRangeError for a wrong axis, DTypeError for complex numbers.
    Source: Python array API standard 2025.12, `argsort`.

    >>> samara.argsort(samara.tensor([3, 1, 2])).tolist()
    [1, 2, 0]
    """,
    ref=_argsort_ref,
    dtypes=ORDERED,
    samples=_sort_samples,
    errors=_sort_errors,
)

sort_with_indices: Function = operation(
    "sort_with_indices(x, axis: int = -1, descending: bool = False, stable: bool = True)",
    doc="""The elements along `axis` in order, and where each stood. x: [*S] real -> two of [*S].

    This is what `sort` with `dim=` and the method `x.sort()` give. Always stable; NaN counts as
    larger than every number.

    Raises IndexOutOfRangeError for a wrong axis, DTypeError for complex numbers.

    >>> samara.sort_with_indices(samara.tensor([3, 1, 2])).indices.tolist()
    [1, 2, 0]
    """,
    ref=lambda x, axis=-1, descending=False, stable=True: (
        _sort_ref(x, axis, descending),
        _argsort_ref(x, axis, descending),
    ),
    dtypes=ORDERED,
    outputs=("values", "indices"),
    ulp=0,
    samples=_sort_samples,
    errors=_sort_errors,
    methods=(),
)

sort = operation(
    "sort(x, axis: int = -1, descending: bool = False, stable: bool = True)",
    doc="""The elements along `axis` in order. x: [*S] real -> [*S].

    Always stable; NaN counts as larger than every number. `dim=` instead of `axis=`, and the method
    `x.sort()`, give (values, indices).

    Raises IndexOutOfRangeError for a wrong axis, DTypeError for complex numbers.
    Source: Python array API standard 2025.12, `sort`.

    >>> samara.sort(samara.tensor([3, 1, 2])).tolist()
    [1, 2, 3]
    """,
    ref=_sort_ref,
    dtypes=ORDERED,
    ulp=0,
    samples=_sort_samples,
    errors=_sort_errors,
    dim_form=sort_with_indices,
)


def _topk_ref(x: Any, k: int, axis: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    if x.ndim == 0:
        return x, np.zeros((), np.int64)
    order = _argsort_ref(x, axis, descending=largest)
    indices = np.take(order, np.arange(k), axis=axis)
    return np.take_along_axis(x, indices, axis), indices


topk: Function = operation(
    "topk(x, k: int, axis: int = -1, largest: bool = True, sorted: bool = True)",
    doc="""The k largest (or smallest) elements along `axis`, and where each stood.

    x: [*S] real -> values and int64 indices, [*S] with k at `axis`. With `sorted` in order,
    else in any. Of equal elements the first ones are taken; NaN counts as larger than every
    number.

    Raises ArgumentError for a k outside 0 to the size of the axis.

    >>> samara.topk(samara.tensor([3, 1, 2]), 2).values.tolist()
    [3, 2]
    """,
    ref=_topk_ref,
    dtypes=ORDERED,
    outputs=("values", "indices"),
    onnx="TopK",
    ulp=0,
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 6)), 2),
        Sample(rng.normal(size=(6, 3)), 4, axis=0, largest=False),
        Sample(rng.normal(size=(2, 500)), 3),
        Sample(rng.normal(size=(2, 500)), 40, largest=False),
        Sample(rng.normal(size=(3, 6)), 6),
        Sample(rng.normal(size=(3, 6)), 0),
        Sample(rng.normal(size=(0, 6)), 2),
        Sample(rng.normal(size=()), 1),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "k is 5 for an axis of size 3", np.ones((2, 3)), 5),
        ErrorSample(ArgumentError, "k is -1", np.ones((2, 3)), -1),
        ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 3)), 1, axis=2),
    ],
)


def _kthvalue_ref(x: Any, k: int, axis: int = -1, keepdims: bool = False) -> Any:
    if x.ndim == 0:
        return x, np.zeros((), np.int64)
    indices = np.take(_argsort_ref(x, axis), [k - 1], axis=axis)
    values = np.take_along_axis(x, indices, axis)
    if keepdims:
        return values, indices
    return np.squeeze(values, axis), np.squeeze(indices, axis)


@composite(
    "kthvalue(x, k: int, axis: int = -1, keepdims: bool = False)",
    doc="""The k-th smallest element along `axis` (counted from 1), and where it stands.

    x: [*S] real -> values and int64 indices, [*S] without `axis` (or with 1 there).

    Raises ArgumentError for a k outside 1 to the size of the axis.

    >>> samara.kthvalue(samara.tensor([3, 1, 2]), 2).values.item()
    2
    """,
    ref=_kthvalue_ref,
    dtypes=ORDERED,
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 6)), 2),
        Sample(rng.normal(size=(6, 3)), 6, axis=0, keepdims=True),
        Sample(rng.normal(size=()), 1),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "k is 0", np.ones((2, 3)), 0),
        ErrorSample(ArgumentError, "k is 4", np.ones((2, 3)), 4),
        ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 3)), 1, axis=2),
    ],
)
def kthvalue(x: Tensor, k: int, axis: int = -1, keepdims: bool = False) -> KthvalueResult:
    if x.ndim and not -x.ndim <= axis < x.ndim:
        raise IndexOutOfRangeError(
            f"kthvalue: axis {axis} is out of range for a tensor with {x.ndim} axes. "
            f"Expected -{x.ndim} to {x.ndim - 1}. Fix: choose an axis in that range."
        )
    size = x.shape[axis] if x.ndim else 1
    if not 1 <= k <= size:
        raise ArgumentError(
            f"kthvalue: k is {k} for an axis of size {size}. Expected 1 to {size}. "
            "Fix: choose a k in that range."
        )
    values, indices = topk(x, k, axis=axis, largest=False)
    if x.ndim == 0:
        return KthvalueResult(values, indices)
    last = slice(k - 1, k) if keepdims else k - 1
    key = (slice(None),) * (axis % x.ndim) + (last,)
    return KthvalueResult(values[key], indices[key])


def _searchsorted_ref(x1: Any, x2: Any, side: Any = "left", sorter: Any = None) -> Any:
    if x1.ndim == 1:
        return np.searchsorted(x1, x2, side=side, sorter=sorter)
    rows = x1.reshape(-1, x1.shape[-1])
    wanted = x2.reshape(len(rows), -1)
    found = [np.searchsorted(a, v, side=side) for a, v in zip(rows, wanted, strict=True)]
    return np.array(found, np.int64).reshape(x2.shape)


def _searchsorted_samples(rng: np.random.Generator) -> list[Sample]:
    grid = np.sort(rng.uniform(0.0, 9.0, size=9))  # in order as unsigned integers too
    mixed = rng.permutation(grid)
    return [
        Sample(grid, rng.uniform(0.0, 9.0, size=5)),
        Sample(grid, rng.uniform(0.0, 9.0, size=(2, 3)), side="right"),
        Sample(grid, grid.copy(), side="left"),
        Sample(grid, grid.copy(), side="right"),
        Sample(
            np.sort(rng.uniform(0.0, 9.0, size=(2, 6)), axis=1), rng.uniform(0.0, 9.0, size=(2, 3))
        ),
        Sample(mixed, rng.uniform(0.0, 9.0, size=4), sorter=np.argsort(mixed)),
        Sample(np.zeros(0), rng.normal(size=4)),
        Sample(grid, np.zeros(0)),
        Sample(grid, np.array(0.25)),
        Sample(np.array([-1.0, 0.0, 1.0, np.inf, np.nan]), np.array([np.nan, np.inf, -np.inf])),
    ]


def _searchsorted_right(
    *args: Any, right: bool | None = None, out_int32: bool = False, **kwargs: Any
) -> Any:
    """PyTorch's spelling: right=True is side="right"; out_int32 gives int32."""
    if right is None and not out_int32:
        return NotImplemented
    side = kwargs.pop("side", None)
    if right and side == "left":
        raise ArgumentError(
            "searchsorted: side is 'left' and right is True. Expected one of them. "
            "Fix: leave one out."
        )
    found = searchsorted(*args, side=side or ("right" if right else "left"), **kwargs)
    return found.to(int32) if out_int32 else found


searchsorted = operation(
    "searchsorted(x1, x2, *, side: str = 'left', sorter: Tensor? = None)",
    doc="""Where to insert x2's values into sorted x1 so that it stays sorted.

    x1: [n], or [*S, n] with a row for each row of x2; x2: [*T] or [*S, m] -> int64 of x2's
    shape. With side='left' before equal elements, with 'right' after them. `sorter` (argsort of
    x1) sorts x1 first.

    Raises ArgumentError for another side, ShapeError for rows that do not match.
    Source: Python array API standard 2025.12, `searchsorted`.

    >>> samara.searchsorted(samara.tensor([1, 3, 5]), samara.tensor([0, 3, 6])).tolist()
    [0, 1, 3]
    """,
    ref=_searchsorted_ref,
    other_form=_searchsorted_right,
    dtypes=ORDERED,
    samples=_searchsorted_samples,
    errors=lambda: [
        ErrorSample(ArgumentError, "side is 'middle'", np.ones(2), np.ones(2), side="middle"),
        ErrorSample(ShapeError, r"sorted values of shape \(2, 3\)", np.ones((2, 3)), np.ones(3)),
        ErrorSample(ShapeError, r"sorted values of shape \(\)", np.ones(()), np.ones(3)),
    ],
)
