"""What stands behind x[key] with tensors or masks in the key; nonzero, argwhere, masked_select.

The slices, None and ... of a key become a view; what is left is one index tensor per axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from samara._core import bool as samara_bool
from samara.errors import ArgumentError, DTypeError, IndexOutOfRangeError, ShapeError
from samara.ops.record import ALL, METHODS, ErrorSample, Function, Sample, composite, operation
from samara.tensor import Tensor


def _key(x: Any, axes: int | Sequence[int], indices: Sequence[Any]) -> tuple[Any, ...]:
    """NumPy's key for indices at the given axes."""
    key: list[Any] = [slice(None)] * x.ndim
    for axis, index in zip(np.atleast_1d(axes), indices, strict=True):
        key[axis] = index
    return tuple(key)


index = operation(
    "index(x, axes: ints, indices: Tensor[])",
    doc="""x[key] for a key with indices[j] at axis axes[j] and `:` elsewhere.

    x: [*S], indices: integers that broadcast to [*T] -> [*T] in place of the indexed axes where
    these are neighbours, else in front, then the other axes of x.

    Raises IndexOutOfRangeError for an index out of range, ShapeError for indices that do not
    broadcast. Source: NumPy, advanced indexing.

    >>> x = samara.tensor([[1, 2], [3, 4]])
    >>> samara.index(x, (0, 1), [samara.tensor([0, 1]), samara.tensor([1, 1])]).tolist()
    [2, 4]
    """,
    ref=lambda x, axes, indices: x[_key(x, axes, indices)],
    dtypes=ALL,
    onnx="GatherND",
    ulp=0,
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), (0,), [rng.integers(-3, 3, size=5)]),
        Sample(rng.normal(size=(3, 4)), (0, 1), [rng.integers(0, 3, 5), rng.integers(0, 4, 5)]),
        Sample(rng.normal(size=(2, 3, 4)), (1, 2), [rng.integers(0, 3, (2, 1)), np.array([0, 3])]),
        Sample(rng.normal(size=(2, 3, 4)), (0, 2), [np.array([0, 1, 1]), np.array(2)]),
        Sample(rng.normal(size=(2, 3, 4)), (1,), [np.zeros((0, 2), np.int64)]),
    ],
    errors=lambda: [
        ErrorSample(
            IndexOutOfRangeError,
            "index 4 is out of range for axis 1 of size 4",
            np.ones((3, 4)),
            (1,),
            [np.array([0, 4])],
        ),
        ErrorSample(
            ShapeError,
            "do not broadcast",
            np.ones((3, 4)),
            (0, 1),
            [np.zeros(2, np.int64), np.zeros(3, np.int64)],
        ),
        ErrorSample(DTypeError, "index has dtype float", np.ones((3, 4)), (0,), [np.ones(2)]),
        ErrorSample(
            ArgumentError, "1 index tensors for 2 axes", np.ones((3, 4)), (0, 1), [np.array([0])]
        ),
    ],
    methods=(),
)


def _index_put_ref(
    x: Any, axes: Any, indices: Sequence[Any], values: Any, accumulate: bool = False
) -> Any:
    y, key = x.copy(), _key(x, axes, indices)
    if accumulate:
        extra = max(np.ndim(values) - x[key].ndim, 0)
        np.add.at(y, key, values.reshape(values.shape[extra:]))
    else:
        y[key] = values
    return y


index_put = operation(
    "index_put(x, axes: ints, indices: Tensor[], values, accumulate: bool = False)",
    doc="""A copy of x after x[key] = values, the key having indices[j] at axis axes[j].

    x: [*S], indices: integers that broadcast together, values: broadcast to the shape of x[key]
    -> [*S]. Of equal indices the last one wins, and its value alone gets a gradient; with
    `accumulate` they all add up, in double precision and always in the same order.

    Raises IndexOutOfRangeError for an index out of range (nothing is written then), ShapeError for
    values that do not broadcast. Source: NumPy, advanced indexing.

    >>> index = samara.tensor([2, 0])
    >>> samara.index_put(samara.zeros(3), (0,), [index], samara.tensor(5.0)).tolist()
    [5.0, 0.0, 5.0]
    """,
    ref=_index_put_ref,
    dtypes=ALL,
    onnx="ScatterND",
    ulp=1,
    condition="sum",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), (0,), [np.array([2, 0])], rng.normal(size=(2, 4))),
        Sample(rng.normal(size=(3, 4)), (0,), [np.array([2, 0, -1])], rng.normal(size=(3, 4))),
        Sample(
            rng.normal(size=(3, 4)), (1,), [rng.integers(0, 4, 6)], rng.normal(size=(3, 6)), True
        ),
        Sample(
            rng.normal(size=(2, 3, 4)),
            (0, 2),
            [np.array([0, 1, 1]), np.array(2)],
            rng.normal(size=3),
        ),
        Sample(rng.normal(size=(3, 4)), (0,), [np.array([1, 1])], rng.normal(size=(1, 1, 4)), True),
        Sample(rng.normal(size=9), (0,), [rng.integers(0, 9, 40)], rng.normal(size=40), True),
        Sample(rng.normal(size=(3, 4)), (0,), [np.array([1])], rng.normal(size=())),
        Sample(rng.normal(size=(3, 4)), (0,), [np.zeros(0, np.int64)], rng.normal(size=(0, 4))),
    ],
    errors=lambda: [
        ErrorSample(
            IndexError, "index -4", np.ones((3, 4)), (0,), [np.array([-4])], np.ones((1, 4))
        ),
        ErrorSample(
            ShapeError,
            r"values of shape \(3,\) do not broadcast to the indexed shape \(2, 4\)",
            np.ones((3, 4)),
            (0,),
            [np.array([0, 1])],
            np.ones(3),
        ),
    ],
    methods=(),
)

argwhere = operation(
    "argwhere(x)",
    doc="""The places of the elements that are not zero, in row-major order. x: [*S] -> [n, rank]
    int64.

    The method `x.nonzero()` gives the same; the function `nonzero`, and the method with
    as_tuple=True, give one tensor for each axis.

    >>> samara.argwhere(samara.tensor([[0, 5], [7, 0]])).tolist()
    [[0, 1], [1, 0]]
    """,
    ref=lambda x: np.argwhere(x).astype(np.int64),
    dtypes=ALL,
    samples=lambda rng: [
        Sample(rng.integers(0, 2, size=(3, 4)).astype(float)),
        Sample(rng.integers(0, 2, size=(2, 3, 4)).astype(float)),
        Sample(np.array([0.0, -0.0, np.nan, np.inf, 1e-30])),
        Sample(np.zeros((2, 0))),
        Sample(np.zeros((2, 2))),
        Sample(np.array(0.0)),
        Sample(np.array(3.0)),
    ],
    errors=lambda: [ErrorSample(DTypeError, "argument 'x' is a str", "text")],
    methods=("argwhere",),
)


def _rows_or_axes(*args: Any, **kwargs: Any) -> Any:
    """PyTorch's nonzero(x, as_tuple=...)."""
    if "as_tuple" not in kwargs:
        return NotImplemented
    as_tuple = kwargs.pop("as_tuple")
    return nonzero(*args, **kwargs) if as_tuple else argwhere(*args, **kwargs)


nonzero: Function = operation(
    "nonzero(x)",
    doc="""The places of the elements that are not zero, in row-major order, one tensor for each
    axis.

    x: [*S] -> a tuple of rank tensors [n] int64, which as a key select those elements.

    Raises ShapeError for a 0-d x. Source: Python array API standard 2025.12, `nonzero`.

    >>> [axis.tolist() for axis in samara.nonzero(samara.tensor([[0, 5], [7, 0]]))]
    [[0, 1], [1, 0]]
    """,
    ref=lambda x: tuple(column.astype(np.int64) for column in np.nonzero(x)),
    dtypes=ALL,
    outputs=tuple,
    samples=lambda rng: [
        Sample(rng.integers(0, 2, size=(3, 4)).astype(float)),
        Sample(rng.integers(0, 2, size=9).astype(float)),
        Sample(np.zeros((2, 0))),
    ],
    errors=lambda: [ErrorSample(ShapeError, "0-d", np.ones(()))],
    methods=(),
    other_form=_rows_or_axes,
)


def _tensor_nonzero(self: Tensor, *, as_tuple: bool = False) -> Any:
    """The places that are not zero: one row for each, or with as_tuple one tensor for each axis."""
    return nonzero(self) if as_tuple else argwhere(self)


def _tensor_index_put(
    self: Tensor, indices: Sequence[Any], values: Any, accumulate: bool = False
) -> Tensor:
    """Writes values, or adds them with accumulate, at x[indices] and returns x."""
    place = tuple(indices)
    if accumulate:
        masks = [isinstance(index, Tensor) and index.dtype is samara_bool for index in place]
        if True in masks:
            places = [nonzero(i) if m else (i,) for i, m in zip(place, masks, strict=True)]
            place = tuple(index for part in places for index in part)
        asked = [slice(None) if index is None else index for index in place]
        values = values if isinstance(values, Tensor) else self.new_tensor(values)
        axes = [axis for axis, index in enumerate(place) if index is not None]
        taken = [index for index in place if index is not None]
        spread = values.expand(self.detach()[tuple(asked)].shape)
        return self.copy_(index_put(self, axes, taken, spread, True))
    self[tuple(slice(None) if index is None else index for index in place)] = values
    return self


METHODS["nonzero"] = _tensor_nonzero
METHODS["index_put_"] = _tensor_index_put


def _masked_select_ref(x: Any, mask: Any) -> Any:
    shape = np.broadcast_shapes(x.shape, mask.shape)
    return np.broadcast_to(x, shape)[np.broadcast_to(mask, shape)]


@composite(
    "masked_select(x, mask)",
    doc="""The elements of x where the mask is True, in row-major order; x and mask broadcast.

    x: [*S], mask: [*T] bool -> [n].

    Raises DTypeError for a mask that is not bool, ShapeError when the shapes do not broadcast.

    >>> x = samara.tensor([1, 2, 3])
    >>> samara.masked_select(x, x > 1).tolist()
    [2, 3]
    """,
    ref=_masked_select_ref,
    dtypes=ALL,
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), rng.normal(size=(3, 4)) > 0),
        Sample(rng.normal(size=(3, 1)), np.array([True, False, True])),
        Sample(rng.normal(size=(0, 4)), np.ones((0, 4), bool)),
    ],
    errors=lambda: [
        ErrorSample(DTypeError, "mask has dtype", np.ones(3), np.ones(3)),
        ErrorSample(ShapeError, "do not broadcast", np.ones((2, 3)), np.ones(2, bool)),
    ],
)
def masked_select(x: Tensor, mask: Tensor) -> Tensor:
    if mask.dtype is not samara_bool:
        raise DTypeError(
            f"masked_select: the mask has dtype {mask.dtype}. Expected bool. "
            "Fix: compare, e.g. x > 0, or convert it with mask.to(samara.bool)."
        )
    try:
        shape = np.broadcast_shapes(x.shape, mask.shape)
    except ValueError:
        raise ShapeError(
            f"masked_select: shapes {x.shape} and {mask.shape} do not broadcast. Expected equal "
            "sizes, or 1, in each axis counted from the last. Fix: reshape one of them."
        ) from None
    selected: Tensor = x.expand(shape)[mask.expand(shape)]
    return selected
