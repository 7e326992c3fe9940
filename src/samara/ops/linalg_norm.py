"""Norms of vectors and matrices, and what follows from singular values: cond, matrix_rank."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import samara._core as _core
from samara._core import DType
from samara.dtypes import COMPLEX, FLOAT
from samara.errors import ArgumentError, DTypeError, LinAlgError, ShapeError
from samara.ops.checks import require_dtype
from samara.ops.linalg_common import (
    DTYPES,
    STANDARD,
    TORCH,
    from_lower,
    matrix,
    require_matrix,
    require_square,
    shape_errors,
)
from samara.ops.linalg_solve import inv_ex, tolerances
from samara.ops.linalg_spectrum import svdvals
from samara.ops.manipulation import _axes
from samara.ops.record import ErrorSample, Sample, composite
from samara.ops.reduction import norm as vector_p_norm
from samara.ops.selection import where
from samara.tensor import Tensor

Ints = int | Sequence[int]
_MATRIX_ORDERS = "'fro', 'nuc', 1, -1, 2, -2, inf or -inf"


def _cast(place: str, x: Any, dtype: Any) -> Tensor:
    require_dtype(place, x, (*FLOAT, *COMPLEX))
    if dtype is None or dtype is x.dtype:
        return x  # type: ignore[no-any-return]
    if not isinstance(dtype, DType) or dtype not in (*FLOAT, *COMPLEX):
        raise DTypeError(
            f"{place}: dtype is {dtype}. Expected a floating-point dtype. Fix: pass one."
        )
    return x.astype(dtype)  # type: ignore[no-any-return]


def _number(place: str, ord: Any) -> float:
    if isinstance(ord, (bool, str, complex)) or not hasattr(ord, "__float__"):
        raise ArgumentError(
            f"{place}: ord is {ord!r}. Expected a number, inf or -inf. Fix: pass one; 'fro' and "
            "'nuc' belong to matrix_norm."
        )
    return float(ord)


def _vector_norm_ref(
    x: Any, ord: Any = 2, axis: Any = None, keepdims: bool = False, *, dtype: Any = None
) -> Any:
    if axis is None:
        flat = np.linalg.norm(x.reshape(-1), ord) if x.size else np.float64(0.0)
        return flat.reshape((1,) * x.ndim) if keepdims else flat
    axes = tuple(a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,)))
    rest = [a for a in range(x.ndim) if a not in axes]
    count = math.prod(x.shape[a] for a in axes)
    moved = x.transpose(rest + list(axes)).reshape([x.shape[a] for a in rest] + [count])
    out = np.linalg.norm(moved, ord, axis=-1)
    return np.expand_dims(out, axes) if keepdims else out


@composite(
    "linalg.vector_norm(x, ord: number = 2, axis: ints? = None, keepdims: bool = False, *, "
    "dtype: dtype? = None)",
    doc=f"""The p-norm (sum |x_i|^p)^(1/p) over `axis`, or over all elements.

    x: [*S] float or complex -> [*S without axis] real. ord=inf is the largest |x_i|, -inf the
    smallest, 0 the number of those that are not 0. With dtype x is converted first.

    Raises IndexOutOfRangeError for an axis that does not exist, ArgumentError for another ord.
    Source: {STANDARD}, `linalg.vector_norm`.

    >>> samara.linalg.vector_norm(samara.tensor([3.0, 4.0])).item()
    5.0
    """,
    ref=_vector_norm_ref,
    dtypes=(*FLOAT, *COMPLEX),
    ulp=8,
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4))),
        Sample(rng.normal(size=(3, 4)), 1),
        Sample(rng.normal(size=(3, 4)), 3, axis=0),
        Sample(rng.normal(size=(2, 3, 4)), np.inf, axis=(0, 2)),
        Sample(rng.normal(size=(2, 3, 4)), -np.inf, axis=1, keepdims=True),
        Sample(rng.normal(size=5), 0),
        Sample(rng.normal(size=(2, 3)), 0.5, axis=-1),
        Sample(rng.normal(size=())),
        Sample(np.zeros((0, 3)), axis=1),
    ],
    errors=lambda: [
        ErrorSample(IndexError, "axis 2 is out of range", np.ones(3), axis=2),
        ErrorSample(ArgumentError, "ord is 'fro'", np.ones(3), "fro"),
    ],
)
def vector_norm(
    x: Tensor,
    ord: float = 2,
    axis: Ints | None = None,
    keepdims: bool = False,
    *,
    dtype: DType | None = None,
) -> Tensor:
    place = "linalg.vector_norm"
    x = _cast(place, x, dtype)
    size = abs(x) if x.dtype in COMPLEX else x
    return vector_p_norm(size, _number(place, ord), axis, keepdims)


def _matrix_norm_ref(
    x: Any,
    ord: Any = "fro",
    axis: Any = (-2, -1),
    keepdims: bool = False,
    *,
    dtype: Any = None,
) -> Any:
    moved = np.moveaxis(x, axis, (-2, -1))
    if not moved.size:
        out = np.zeros(moved.shape[:-2])
    else:
        out = np.linalg.norm(moved, ord, axis=(-2, -1))
    return np.expand_dims(out, tuple(a % x.ndim for a in axis)) if keepdims else out


def _of_matrices(place: str, x: Tensor, ord: Any) -> Tensor:
    """The norm over the last two axes, kept with size 1."""
    if ord == "fro":
        return vector_p_norm(abs(x) if x.dtype in COMPLEX else x, 2.0, (-2, -1), True)
    if ord == "nuc":
        return svdvals(x).sum(-1)[..., None, None]
    if isinstance(ord, str) or ord not in (1, -1, 2, -2, math.inf, -math.inf):
        raise ArgumentError(
            f"{place}: ord is {ord!r}. Expected {_MATRIX_ORDERS}. Fix: pass one of these."
        )
    if abs(ord) == 2:
        values = svdvals(x)
        if ord == 2 and not values.shape[-1]:
            return values.sum(-1)[..., None, None]
        _require_some(place, x, ord, values.shape[-1])
        return (values[..., :1] if ord > 0 else values[..., -1:]).unsqueeze(-1)
    along, other = (-2, -1) if abs(ord) == 1 else (-1, -2)
    sums = abs(x).sum(axis=along, keepdims=True)
    if ord > 0 and not x.shape[other]:
        return sums.sum(axis=other, keepdims=True)
    _require_some(place, x, ord, x.shape[other])
    return sums.amax(other, keepdims=True) if ord > 0 else sums.amin(other, keepdims=True)


def _require_some(place: str, x: Tensor, ord: float, count: int) -> None:
    if not count:
        raise ShapeError(
            f"{place}: x has shape {tuple(x.shape)}, and ord {ord} wants the smallest "
            "of none. Expected elements. Fix: use ord='fro'."
        )


@composite(
    "linalg.matrix_norm(x, ord: number|str = 'fro', axis: ints = (-2, -1), "
    "keepdims: bool = False, *, dtype: dtype? = None)",
    doc=f"""A norm of each matrix, which lies along the two axes.

    x: [*B, m, n] float or complex -> [*B] real. ord: 'fro' (root of the sum of squares), 'nuc' (sum
    of the singular values), 1 and -1 (largest and smallest sum of a column's magnitudes), inf and
    -inf (of a row's), 2 and -2 (largest and smallest singular value).

    Raises ShapeError for fewer than 2 axes, ArgumentError for another ord, IndexOutOfRangeError for
    an axis that does not exist. Source: {STANDARD}, `linalg.matrix_norm`.

    >>> samara.linalg.matrix_norm(samara.tensor([[3.0, 0.0], [0.0, 4.0]]), "nuc").item()
    7.0
    """,
    ref=_matrix_norm_ref,
    dtypes=DTYPES,
    ulp=32,
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4))),
        Sample(rng.normal(size=(3, 3)), "nuc"),
        Sample(rng.normal(size=(2, 4, 3)), 1),
        Sample(rng.normal(size=(2, 4, 3)), -1, keepdims=True),
        Sample(rng.normal(size=(2, 3)), 2),
        Sample(rng.normal(size=(3, 2)), -2),
        Sample(rng.normal(size=(3, 4)), np.inf),
        Sample(rng.normal(size=(3, 4)), -np.inf),
        Sample(rng.normal(size=(3, 2, 4)), "fro", (0, 2)),
        Sample(rng.normal(size=(3, 2, 4)), 1, (2, 0), keepdims=True),
        Sample(np.ones((1, 1))),
        Sample(np.zeros((0, 2, 3))),
        Sample(np.zeros((2, 0, 3))),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "Expected a matrix", np.ones(3)),
        ErrorSample(ArgumentError, r"ord is 3\. Expected 'fro', 'nuc', 1", np.eye(2), 3),
        ErrorSample(ArgumentError, "ord is 'x'", np.eye(2), "x"),
        ErrorSample(ArgumentError, "name an axis twice", np.eye(2), axis=(0, 0)),
        ErrorSample(ArgumentError, "1 axes", np.eye(2), axis=(0,)),
        ErrorSample(IndexError, "axis 2 is out of range", np.eye(2), axis=(0, 2)),
    ],
)
def matrix_norm(
    x: Tensor,
    ord: float | str = "fro",
    axis: Ints = (-2, -1),
    keepdims: bool = False,
    *,
    dtype: DType | None = None,
) -> Tensor:
    place = "linalg.matrix_norm"
    require_matrix(place, x)
    require_dtype(place, x, DTYPES)
    x = _cast(place, x, dtype)
    axes = _axes(place, axis, x.ndim)
    if len(axes) != 2:
        raise ArgumentError(
            f"{place}: axis names {len(axes)} axes. Expected the two along which the matrices lie. "
            "Fix: pass two."
        )
    moved = x.movedim(axes, (-2, -1)) if axes != (x.ndim - 2, x.ndim - 1) else x
    kept = _of_matrices(place, moved, ord)
    if keepdims:
        return kept.movedim((-2, -1), axes)
    return kept.reshape(kept.shape[:-2])


def _norm_ref(
    A: Any, ord: Any = None, axis: Any = None, keepdims: bool = False, *, dtype: Any = None
) -> Any:
    if ord is None:
        return _vector_norm_ref(A, 2, axis, keepdims)
    return np.linalg.norm(A, ord, axis, keepdims)


@composite(
    "linalg.norm(A, ord: number|str? = None, axis: ints? = None, keepdims: bool = False, *, "
    "dtype: dtype? = None)",
    doc=f"""A vector norm over one axis, or over all without ord; a matrix norm over two axes.

    A: [*S] float or complex -> [*S without axis] real. Without `axis` A is a vector or a matrix
    itself, unless ord is left out. See `vector_norm` and `matrix_norm` for ord.

    Raises ShapeError when ord is given without axis for other ranks, ArgumentError for another ord.
    Source: {TORCH}, `torch.linalg.norm`.

    >>> samara.linalg.norm(samara.tensor([[3.0, 0.0], [0.0, 4.0]]), 2).item()
    4.0
    """,
    ref=_norm_ref,
    dtypes=DTYPES,
    ulp=32,
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3, 4))),
        Sample(rng.normal(size=5), 3),
        Sample(rng.normal(size=(3, 4)), "nuc"),
        Sample(rng.normal(size=(3, 4)), 1, axis=1),
        Sample(rng.normal(size=(2, 3, 4)), 2, (1, 2), keepdims=True),
        Sample(rng.normal(size=(2, 3)), axis=(0, 1)),
        Sample(np.ones(())),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "3 axes", np.ones((2, 2, 2)), 1),
        ErrorSample(ArgumentError, "ord is 'x'", np.eye(2), "x"),
        ErrorSample(ArgumentError, "ord is 'nuc'", np.ones(3), "nuc"),
        ErrorSample(IndexError, "axis 2 is out of range", np.eye(2), axis=2),
        ErrorSample(ArgumentError, "3 axes", np.ones((2, 2, 2)), 1, (0, 1, 2)),
    ],
)
def norm(
    A: Tensor,
    ord: float | str | None = None,
    axis: Ints | None = None,
    keepdims: bool = False,
    *,
    dtype: DType | None = None,
) -> Tensor:
    place = "linalg.norm"
    require_dtype(place, A, DTYPES, "A")
    if ord is None:
        return vector_norm(A, 2, axis, keepdims, dtype=dtype)
    count = A.ndim if axis is None else 1 if isinstance(axis, int) else len(axis)
    if axis is None and count not in (1, 2):
        raise ShapeError(
            f"{place}: A has {count} axes, and ord is given without axis. Expected a vector or a "
            "matrix. Fix: name one axis for vectors, two for matrices."
        )
    if count == 1:
        return vector_norm(A, ord, axis, keepdims, dtype=dtype)
    if count != 2:
        raise ArgumentError(
            f"{place}: axis names {count} axes. Expected one for vectors, two for matrices. "
            "Fix: leave some out."
        )
    chosen = (-2, -1) if axis is None else axis
    return matrix_norm(A, ord, chosen, keepdims, dtype=dtype)


def _cond_ref(A: Any, p: Any = None) -> Any:
    if not A.size:
        return np.zeros(A.shape[:-2])
    return np.linalg.cond(A, p)


@composite(
    "linalg.cond(A, p: number|str? = None)",
    doc=f"""The condition number |A| |A^-1| in a matrix norm: how errors grow in solving with A.

    A: [*B, n, n] ([*B, m, n] for p = None, 2 or -2) -> [*B] real. p: an ord of `matrix_norm`; None
    is 2, the ratio of the largest to the smallest singular value. A singular matrix gives inf.

    Raises ShapeError for other shapes, ArgumentError for another p.
    Source: {TORCH}, `torch.linalg.cond`.

    >>> samara.linalg.cond(samara.tensor([[4.0, 0.0], [0.0, 2.0]])).item()
    2.0
    """,
    ref=_cond_ref,
    dtypes=DTYPES,
    ulp=64,
    samples=lambda rng: [
        Sample(matrix(3, 3)(rng)),
        Sample(matrix(2, 4, 3)(rng), 2),
        Sample(matrix(3, 3)(rng), -2),
        Sample(matrix(2, 3, 3)(rng), "fro"),
        Sample(matrix(3, 3)(rng), 1),
        Sample(matrix(3, 3)(rng), -np.inf),
        Sample(matrix(3, 3)(rng), "nuc"),
        Sample(np.ones((1, 1))),
        Sample(np.zeros((0, 2, 2))),
    ],
    errors=shape_errors(
        ErrorSample(ShapeError, "Expected square", np.ones((2, 3)), "fro"),
        ErrorSample(ArgumentError, "ord is 'x'", np.eye(2), "x"),
    ),
)
def cond(A: Tensor, p: float | str | None = None) -> Tensor:
    place = "linalg.cond"
    require_matrix(place, A, "A")
    require_dtype(place, A, DTYPES, "A")
    if p is None or p in (2, -2):
        values = svdvals(A)
        if not values.shape[-1]:
            return values.sum(-1)
        largest, smallest = values[..., 0], values[..., -1]
        return smallest / largest if p == -2 else largest / smallest
    require_square(place, A, "A")
    if not A.shape[-1]:
        return _of_matrices(place, A, "fro" if p in (1, -1, math.inf, -math.inf) else p)[..., 0, 0]
    inverse, info = inv_ex(A)
    found = _of_matrices(place, A, p) * _of_matrices(place, inverse, p)
    singular = (info != 0)[..., None, None]
    return where(singular, math.inf, found).reshape(A.shape[:-2])


def _rank_ref(
    A: Any, tol: Any = None, *, atol: Any = None, rtol: Any = None, hermitian: bool = False
) -> Any:
    if 0 in A.shape[-2:]:
        return np.zeros(A.shape[:-2], np.int64)
    if hermitian:
        A = from_lower(A)
    s = np.linalg.svd(A, compute_uv=False)
    limit = np.maximum(tol or atol or 0, s[..., :1] * (rtol or (0 if tol or atol else 1e-6)))
    return np.sum(s > limit, axis=-1)


@composite(
    "linalg.matrix_rank(A, tol: Tensor? = None, *, atol: Tensor? = None, rtol: Tensor? = None, "
    "hermitian: bool = False)",
    doc=f"""How many singular values are larger than max(atol, rtol * the largest).

    A: [*B, m, n] -> [*B] int64. By default rtol = eps max(m, n), 0 where atol (or tol, its older
    name) is given. Tolerances are numbers or tensors [*B]. With hermitian=True only the lower
    triangle of a square matrix is read.

    Raises LinAlgError for NaN or infinity, ShapeError for other shapes.
    Source: {STANDARD}, `linalg.matrix_rank`.

    >>> samara.linalg.matrix_rank(samara.ones(3, 2)).item()
    1
    """,
    ref=_rank_ref,
    dtypes=DTYPES,
    ulp=0,
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4))),
        Sample(np.ones((2, 3, 3))),
        Sample(np.diag([1.0, 0.5, 0.01]), 0.1),
        Sample(np.diag([1.0, 0.5, 0.01]), rtol=0.6),
        Sample(np.diag([1.0, 0.5, 0.01]), atol=0.7, rtol=0.1),
        Sample(np.triu(np.ones((3, 3))), hermitian=True),
        Sample(np.ones((1, 1))),
        Sample(np.zeros((0, 3))),
        Sample(np.zeros((0, 2, 2))),
    ],
    errors=shape_errors(
        ErrorSample(LinAlgError, "NaN or infinite", np.full((2, 2), np.nan)),
        ErrorSample(DTypeError, "argument 'atol' has type str", np.eye(2), atol="x"),
        ErrorSample(ShapeError, "Expected square", np.ones((2, 3)), hermitian=True),
    ),
    differentiable=False,
)
def matrix_rank(
    A: Tensor, tol: Any = None, *, atol: Any = None, rtol: Any = None, hermitian: bool = False
) -> Tensor:
    place = "linalg.matrix_rank"
    require_matrix(place, A, "A")
    require_dtype(place, A, DTYPES, "A")
    absolute, relative = tolerances(place, A, tol if atol is None else atol, rtol)
    if hermitian:
        require_square(place, A, "A")
        A = from_lower(A)
    values = svdvals(A.detach()).astype(_core.float64)
    if not values.shape[-1]:
        return values.sum(-1).astype(_core.int64)
    limit = absolute.maximum(relative * values[..., 0])
    return (values > limit[..., None]).sum(-1)
