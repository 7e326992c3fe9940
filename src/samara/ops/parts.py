"""Parts by place: select, narrow, t, diagonals; rows written by index; stacks along fixed axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from samara.dtypes import ALL
from samara.errors import ArgumentError, IndexOutOfRangeError, ShapeError
from samara.ops.creation import arange, zeros
from samara.ops.join import concat
from samara.ops.manipulation import _axis, moveaxis
from samara.ops.record import ErrorSample, Sample, composite
from samara.tensor import Tensor


def _normal(rng: np.random.Generator, *shape: int) -> Any:
    return rng.normal(size=shape)


def _along(axis: int, key: Any) -> tuple[Any, ...]:
    return (*(slice(None),) * axis, key)


@composite(
    "t(x)",
    doc="""A matrix transposed; a view. x: [m, n] -> [n, m]; with fewer axes, x itself.

    Raises ShapeError for more axes. Source: PyTorch, `torch.t`.

    >>> samara.t(samara.zeros(2, 3)).shape
    (3, 2)
    """,
    ref=np.transpose,
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [Sample(_normal(rng, 2, 3)), Sample(_normal(rng, 3)), Sample(_normal(rng))],
    errors=lambda: [ErrorSample(ShapeError, "3 axes", np.ones((1, 2, 3)))],
)
def t(x: Tensor) -> Tensor:
    if x.ndim > 2:
        raise ShapeError(
            f"t: the tensor of shape {x.shape} has {x.ndim} axes. Expected at most 2. "
            "Fix: use x.mT, or transpose(dim0, dim1)."
        )
    return x.transpose(0, 1) if x.ndim == 2 else x


@composite(
    "select(x, axis: int, index: int)",
    doc="""One slice x[..., index, ...] along `axis`, which goes away; a view.

    x: [*S] -> [*S without axis]. Raises IndexOutOfRangeError for an axis or index that does not
    exist. Source: PyTorch, `torch.select`.

    >>> samara.select(samara.tensor([[1, 2], [3, 4]]), 1, 0).tolist()
    [1, 3]
    """,
    ref=lambda x, axis, index: np.take(x, index, axis),
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 2, 3, 4), 1, 2),
        Sample(_normal(rng, 2, 3), axis=-1, index=-3),
        Sample(_normal(rng, 0, 3), 1, 0),
    ],
    errors=lambda: [
        ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 3)), 2, 0),
        ErrorSample(IndexError, "3 is out of range", np.ones((2, 3)), 1, 3),
    ],
)
def select(x: Tensor, axis: int, index: int) -> Tensor:
    return x[_along(_axis("select", axis, x.ndim), index)]


@composite(
    "narrow(x, axis: int, start: int, length: int)",
    doc="""The slice from start to start + length along `axis`; a view.

    x: [*S] -> [*S with length at axis]. Raises IndexOutOfRangeError when the slice leaves the axis.
    Source: PyTorch, `torch.narrow`.

    >>> samara.narrow(samara.arange(5), 0, 1, 3).tolist()
    [1, 2, 3]
    """,
    ref=lambda x, axis, start, length: np.take(
        x, np.arange(start % max(x.shape[axis], 1), start % max(x.shape[axis], 1) + length), axis
    ),
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 5, 3), 0, 1, 3),
        Sample(_normal(rng, 2, 4), axis=-1, start=-2, length=2),
        Sample(_normal(rng, 3), 0, 1, 0),
        Sample(_normal(rng, 1), 0, 0, 1),
    ],
    errors=lambda: [
        ErrorSample(IndexError, "leaves axis 0 of size 3", np.ones(3), 0, 2, 2),
        ErrorSample(IndexError, "leaves axis 0 of size 3", np.ones(3), 0, 0, -1),
        ErrorSample(IndexError, "axis 1 is out of range", np.ones(3), 1, 0, 1),
    ],
)
def narrow(x: Tensor, axis: int, start: int, length: int) -> Tensor:
    place = _axis("narrow", axis, x.ndim)
    size = x.shape[place]
    first = start + size if start < 0 else start
    if length < 0 or first < 0 or first + length > size:
        raise IndexOutOfRangeError(
            f"narrow: start {start} and length {length} given; that leaves axis {axis} of size "
            f"{size}. Expected a slice inside. Fix: correct start or length."
        )
    return x[_along(place, slice(first, first + length))]


def _diagonal_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(_normal(rng, 3, 4)),
        Sample(_normal(rng, 4, 3), 1),
        Sample(_normal(rng, 3, 4), -1),
        Sample(_normal(rng, 3, 3), 3),
        Sample(_normal(rng, 0, 3)),
    ]


@composite(
    "diagonal(x, offset: int = 0, dim1: int = 0, dim2: int = 1)",
    doc="""The elements whose places along dim1 and dim2 differ by `offset`, as a last axis; a copy.

    x: [*S] -> [*S without dim1 and dim2, length of the diagonal].

    Raises IndexOutOfRangeError for an axis that does not exist, ArgumentError for one axis twice.
    Source: PyTorch, `torch.diagonal`.

    >>> samara.diagonal(samara.tensor([[1, 2], [3, 4]])).tolist()
    [1, 4]
    """,
    ref=lambda x, offset=0, dim1=0, dim2=1: np.diagonal(x, offset, dim1, dim2),
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        *_diagonal_samples(rng),
        Sample(_normal(rng, 2, 3, 4), dim1=-2, dim2=-1),
        Sample(_normal(rng, 2, 3, 4), 1, 2, 0),
    ],
    errors=lambda: [
        ErrorSample(IndexError, "axis 1 is out of range", np.ones(3)),
        ErrorSample(ArgumentError, "twice", np.ones((2, 3)), 0, 1, 1),
    ],
)
def diagonal(x: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    rows, columns = _axis("diagonal", dim1, x.ndim), _axis("diagonal", dim2, x.ndim)
    last = moveaxis(x, (rows, columns), (-2, -1))
    down, right = max(-offset, 0), max(offset, 0)
    length = max(min(last.shape[-2] - down, last.shape[-1] - right), 0)
    step = arange(length, device=x.device)
    return last[(..., step + down, step + right)]


@composite(
    "diag(x, k: int = 0)",
    doc="""The k-th diagonal of a matrix, or the matrix with the given diagonal.

    x: [m, n] -> [length of the diagonal]; x: [n] -> [n + |k|, n + |k|].

    Raises ShapeError for other shapes. Source: PyTorch, `torch.diag`.

    >>> samara.diag(samara.tensor([1, 2])).tolist()
    [[1, 0], [0, 2]]
    """,
    ref=np.diag,
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        *_diagonal_samples(rng),
        Sample(_normal(rng, 3)),
        Sample(_normal(rng, 3), 1),
        Sample(_normal(rng, 2), k=-2),
        Sample(_normal(rng, 0)),
    ],
    errors=lambda: [ErrorSample(ShapeError, "3 axes", np.ones((1, 2, 3)))],
)
def diag(x: Tensor, k: int = 0) -> Tensor:
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ShapeError(
            f"diag: the tensor of shape {x.shape} has {x.ndim} axes. Expected a vector or a "
            "matrix. Fix: use diagonal(x, dim1=-2, dim2=-1) for batches."
        )
    length = x.shape[0]
    made = zeros(length + abs(k), length + abs(k), dtype=x.dtype, device=x.device)
    step = arange(length, device=x.device)
    made[step + max(-k, 0), step + max(k, 0)] = x
    return made


@composite(
    "trace(x)",
    doc="""The sum of a matrix's diagonal. x: [m, n] -> []. Raises ShapeError for other shapes.

    >>> samara.trace(samara.eye(3)).item()
    3.0
    """,
    ref=np.trace,
    dtypes=ALL,
    condition="sum",
    samples=lambda rng: [Sample(_normal(rng, 3, 4)), Sample(_normal(rng, 0, 3))],
    errors=lambda: [ErrorSample(ShapeError, "1 axes", np.ones(3))],
)
def trace(x: Tensor) -> Tensor:
    if x.ndim != 2:
        raise ShapeError(
            f"trace: the tensor of shape {x.shape} has {x.ndim} axes. Expected a matrix. "
            "Fix: sum diagonal(x, dim1=-2, dim2=-1) for batches."
        )
    return diagonal(x).sum()


# --- writing by index -----------------------------------------------------------------------------


def _put_ref(x: Any, axis: int, index: Any, values: Any) -> Any:
    made = np.array(x)
    made[(*(slice(None),) * (axis % x.ndim), index)] = values
    return made


@composite(
    "index_fill(x, axis: int, index, value: number)",
    doc="""x with one value in the rows that `index` names along `axis`.

    x: [*S], index: [n] int -> [*S]. Raises IndexOutOfRangeError for a row or axis that does not
    exist. Source: PyTorch, `Tensor.index_fill`.

    >>> samara.zeros(3).index_fill(0, samara.tensor([0, 2]), 1.0).tolist()
    [1.0, 0.0, 1.0]
    """,
    ref=_put_ref,
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 3, 4), 0, np.array([2, 0]), 1),
        Sample(_normal(rng, 3, 4), -1, np.array([1]), -2),
    ],
    errors=lambda: [
        ErrorSample(IndexError, "3 is out of range", np.ones(3), 0, np.array([3]), 1),
        ErrorSample(IndexError, "axis 1 is out of range", np.ones(3), 1, np.array([0]), 1),
    ],
    in_place=True,
)
def index_fill(x: Tensor, axis: int, index: Tensor, value: Any) -> Tensor:
    made = x.clone()
    made[_along(_axis("index_fill", axis, x.ndim), index)] = value
    return made


@composite(
    "index_copy(x, axis: int, index, source)",
    doc="""x with the rows of `source` in the places that `index` names along `axis`.

    x: [*S], index: [n] int, source: [*S with n at axis] -> [*S].

    Raises ShapeError when the shapes do not fit, IndexOutOfRangeError for a row or axis that does
    not exist. Source: PyTorch, `Tensor.index_copy`.

    >>> i = samara.tensor([2, 0])
    >>> samara.zeros(3).index_copy(0, i, samara.tensor([1.0, 2.0])).tolist()
    [2.0, 0.0, 1.0]
    """,
    ref=_put_ref,
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 3, 4), 0, np.array([2, 0]), _normal(rng, 2, 4)),
        Sample(_normal(rng, 3, 4), -1, np.array([1]), _normal(rng, 3, 1)),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "Expected", np.ones(3), 0, np.array([0, 1]), np.ones(3)),
        ErrorSample(IndexError, "3 is out of range", np.ones(3), 0, np.array([3]), np.ones(1)),
    ],
    in_place=True,
)
def index_copy(x: Tensor, axis: int, index: Tensor, source: Tensor) -> Tensor:
    place = _axis("index_copy", axis, x.ndim)
    wanted = (*x.shape[:place], *index.shape, *x.shape[place + 1 :])
    if source.shape != wanted:
        raise ShapeError(
            f"index_copy: the source has shape {source.shape}. Expected {wanted}, a row for each "
            "index. Fix: reshape the source."
        )
    made = x.clone()
    made[_along(place, index)] = source
    return made


# --- stacks ---------------------------------------------------------------------------------------


def _stack_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample([_normal(rng, 2, 3), _normal(rng, 2, 3)]),
        Sample([_normal(rng, 3), _normal(rng, 3)]),
        Sample([_normal(rng), _normal(rng)]),
    ]


def stacking(
    name: str, what: str, given: str, answer: str, wrong: tuple[int, int]
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Declares a function that joins tensors as NumPy's of that name does."""
    return composite(
        f"{name}(arrays: Tensor[])",
        doc=f"""{what} n of [*S_i] -> one tensor.

    Raises ShapeError when the shapes do not fit. Source: PyTorch, `torch.{name}`.

    >>> samara.{name}({given}).tolist()
    {answer}
    """,
        ref=getattr(np, name),
        dtypes=ALL,
        ulp=0,
        samples=_stack_samples,
        errors=lambda: [ErrorSample(ShapeError, "Expected", [np.ones((2, 3)), np.ones(wrong)])],
        methods=(),
    )


@stacking(
    "hstack",
    "Tensors joined along axis 1, vectors along axis 0.",
    "[samara.tensor([1]), samara.tensor([2, 3])]",
    "[1, 2, 3]",
    (3, 3),
)
def hstack(arrays: Sequence[Tensor]) -> Tensor:
    tensors = [x.reshape(1) if x.ndim == 0 else x for x in arrays]
    return concat(tensors, 1 if tensors and tensors[0].ndim > 1 else 0)


@stacking(
    "vstack",
    "Tensors joined along axis 0, vectors as rows.",
    "[samara.tensor([1, 2]), samara.tensor([3, 4])]",
    "[[1, 2], [3, 4]]",
    (2, 2),
)
def vstack(arrays: Sequence[Tensor]) -> Tensor:
    tensors = [x.reshape(1, -1 if x.numel() else 0) if x.ndim < 2 else x for x in arrays]
    return concat(tensors, 0)
