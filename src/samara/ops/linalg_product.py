"""Products of matrices and vectors beyond matmul: chains, powers, exponentials, cross, kron, ..."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from samara._core import DType
from samara.dtypes import ALL, NUMERIC
from samara.errors import ArgumentError, DTypeError, ShapeError
from samara.ops.blend import added
from samara.ops.checks import require_dtype
from samara.ops.join import stack
from samara.ops.linalg_common import (
    DTYPES,
    STANDARD,
    TORCH,
    eye_like,
    matrix,
    require_square,
    square_errors,
)
from samara.ops.linalg_solve import _solve, inv
from samara.ops.manipulation import _axis
from samara.ops.matmul import matmul
from samara.ops.parts import diagonal
from samara.ops.record import ErrorSample, Sample, composite
from samara.ops.selection import where
from samara.tensor import Tensor


def _normal(rng: np.random.Generator, *shape: int) -> Any:
    return rng.normal(size=shape)


# --- parts of stacks of matrices ------------------------------------------------------------------


@composite(
    "linalg.diagonal(x, *, offset: int = 0, dim1: int = -2, dim2: int = -1)",
    doc=f"""The diagonals of a stack of matrices. x: [*B, m, n] -> [*B, length of the diagonal].

    offset > 0: above the main one. Raises IndexOutOfRangeError for an axis that does not exist.
    Source: {STANDARD}, `linalg.diagonal`.

    >>> samara.linalg.diagonal(samara.tensor([[[1, 2], [3, 4]]])).tolist()
    [[1, 4]]
    """,
    ref=lambda x, offset=0, dim1=-2, dim2=-1: np.diagonal(x, offset, dim1, dim2),
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 3, 4)),
        Sample(_normal(rng, 2, 3, 4), offset=1),
        Sample(_normal(rng, 2, 4, 3), offset=-2, dim1=0, dim2=2),
        Sample(_normal(rng, 0, 3, 3)),
    ],
    errors=lambda: [ErrorSample(IndexError, "axis -2 is out of range", np.ones(3))],
)
def linalg_diagonal(x: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    return diagonal(x, offset, dim1, dim2)


@composite(
    "linalg.trace(x, *, offset: int = 0, dtype: dtype? = None)",
    doc=f"""The sum of each matrix's diagonal. x: [*B, m, n] -> [*B].

    Small integers are summed in int64, as `sum` does. Raises ShapeError for fewer than 2 axes.
    Source: {STANDARD}, `linalg.trace`.

    >>> samara.linalg.trace(samara.eye(3)).item()
    3.0
    """,
    ref=lambda x, offset=0, dtype=None: np.trace(x, offset, -2, -1),
    dtypes=NUMERIC,
    condition="sum",
    samples=lambda rng: [
        Sample(_normal(rng, 3, 4)),
        Sample(_normal(rng, 2, 3, 3), offset=1),
        Sample(_normal(rng, 0, 3, 3)),
    ],
    errors=lambda: [
        ErrorSample(IndexError, "axis -2 is out of range", np.ones(3)),
    ],
)
def linalg_trace(x: Tensor, *, offset: int = 0, dtype: DType | None = None) -> Tensor:
    require_dtype("linalg.trace", x, NUMERIC)
    return diagonal(x, offset, -2, -1).sum(axis=-1, dtype=dtype)


# --- cross products -------------------------------------------------------------------------------


def _cross(place: str, x: Tensor, y: Tensor, axis: int) -> Tensor:
    for z in (x, y):
        require_dtype(place, z, NUMERIC)
    # The axis counts from the end, so that it is the same one in both.
    rank = max(x.ndim, y.ndim)
    last = _axis(place, axis, rank) - rank
    for z in (x, y):
        _axis(place, last, z.ndim)
        if z.shape[last] != 3:
            raise ShapeError(
                f"{place}: shapes {tuple(x.shape)} and {tuple(y.shape)} have {x.shape[last]} and "
                f"{y.shape[last]} elements along axis {axis}. Expected 3 each. Fix: choose another "
                "axis."
            )
    a, b = (z.movedim(last, -1) for z in (x, y))
    ahead, behind = [1, 2, 0], [2, 0, 1]
    product = a[..., ahead] * b[..., behind] - a[..., behind] * b[..., ahead]
    return product.movedim(-1, last)


def _cross_ref(x: Any, y: Any, axis: int = -1) -> Any:
    a, b = np.broadcast_arrays(x, y)
    return np.cross(a, b, axis=axis)


@composite(
    "linalg.cross(x, y, *, axis: int = -1)",
    doc=f"""The cross product of vectors of 3 numbers along `axis`.

    x, y: [*S] with 3 along the axis; the other axes broadcast -> [*S].

    Raises ShapeError unless there are 3, IndexOutOfRangeError for an axis that does not exist.
    Source: {STANDARD}, `linalg.cross`.

    >>> x, y = samara.tensor([1, 0, 0]), samara.tensor([0, 1, 0])
    >>> samara.linalg.cross(x, y).tolist()
    [0, 0, 1]
    """,
    ref=_cross_ref,
    dtypes=NUMERIC,
    condition="max",
    samples=lambda rng: [
        Sample(_normal(rng, 3), _normal(rng, 3)),
        Sample(_normal(rng, 2, 3), _normal(rng, 4, 1, 3)),
        Sample(_normal(rng, 3, 2), _normal(rng, 3, 2), axis=0),
        Sample(_normal(rng, 0, 3), _normal(rng, 0, 3)),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "2 and 2 elements along axis -1", np.ones(2), np.ones(2)),
        ErrorSample(IndexError, "out of range", np.ones(3), np.ones(3), axis=1),
    ],
)
def linalg_cross(x: Tensor, y: Tensor, *, axis: int = -1) -> Tensor:
    return _cross("linalg.cross", x, y, axis)


def _first_of_three(place: str, x: Tensor) -> int:
    for axis, size in enumerate(x.shape):
        if size == 3:
            return axis
    raise ShapeError(
        f"{place}: x has shape {tuple(x.shape)}. Expected an axis with 3 elements. Fix: reshape it."
    )


@composite(
    "cross(x, y, axis: int? = None)",
    doc=f"""The cross product of vectors of 3 numbers along `axis`, the first axis of size 3 unless
    named.

    x, y: [*S] -> [*S]; the axes broadcast. Raises ShapeError where no axis has 3 elements.
    Source: {TORCH}, `torch.cross`.

    >>> samara.cross(samara.tensor([1, 0, 0]), samara.tensor([0, 1, 0])).tolist()
    [0, 0, 1]
    """,
    ref=lambda x, y, axis=None: _cross_ref(x, y, x.shape.index(3) if axis is None else axis),
    dtypes=NUMERIC,
    condition="max",
    samples=lambda rng: [
        Sample(_normal(rng, 3, 4), _normal(rng, 3, 4)),
        Sample(_normal(rng, 3, 3), _normal(rng, 3, 3), 1),
        Sample(_normal(rng, 3, 0), _normal(rng, 3, 0)),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "an axis with 3 elements", np.ones(2), np.ones(2)),
        ErrorSample(ShapeError, "2 and 2 elements", np.ones((2, 3)), np.ones((2, 3)), 0),
    ],
)
def cross(x: Tensor, y: Tensor, axis: int | None = None) -> Tensor:
    require_dtype("cross", x, NUMERIC)
    return _cross("cross", x, y, _first_of_three("cross", x) if axis is None else axis)


# --- vectors and matrices -------------------------------------------------------------------------


@composite(
    "inner(x, y)",
    doc=f"""Sums of products over the last axes. x: [*S, n], y: [*T, n] -> [*S, *T]; with a 0-d
    operand the product.

    Raises ShapeError when the last sizes differ. Source: {TORCH}, `torch.inner`.

    >>> samara.inner(samara.tensor([1, 2]), samara.tensor([3, 4])).item()
    11
    """,
    ref=np.inner,
    dtypes=NUMERIC,
    condition="max",
    samples=lambda rng: [
        Sample(_normal(rng, 4), _normal(rng, 4)),
        Sample(_normal(rng, 2, 4), _normal(rng, 3, 5, 4)),
        Sample(_normal(rng), _normal(rng, 3)),
        Sample(_normal(rng, 2, 0), _normal(rng, 3, 0)),
    ],
    errors=lambda: [ErrorSample(ShapeError, "3 and 2 elements", np.ones(3), np.ones(2))],
)
def inner(x: Tensor, y: Tensor) -> Tensor:
    for z in (x, y):
        require_dtype("inner", z, NUMERIC)
    if not x.ndim or not y.ndim:
        return x * y
    if x.shape[-1] != y.shape[-1]:
        raise ShapeError(
            f"inner: shapes {tuple(x.shape)} and {tuple(y.shape)} have {x.shape[-1]} and "
            f"{y.shape[-1]} elements along the last axis. Expected equally many. "
            "Fix: transpose one."
        )
    size = x.shape[-1]
    left = x.reshape(math.prod(x.shape[:-1]), size)
    right = y.reshape(math.prod(y.shape[:-1]), size)
    return matmul(left, right.transpose(0, 1)).reshape((*x.shape[:-1], *y.shape[:-1]))


@composite(
    "vdot(x, y)",
    doc=f"""The inner product of two vectors, sum_i conj(x_i) y_i. x, y: [n] -> [].

    Raises ShapeError for other shapes. Source: {TORCH}, `torch.vdot`.

    >>> samara.vdot(samara.tensor([1j]), samara.tensor([1j])).item()
    (1+0j)
    """,
    ref=np.vdot,
    dtypes=NUMERIC,
    condition="max",
    samples=lambda rng: [
        Sample(_normal(rng, 4), _normal(rng, 4)),
        Sample(_normal(rng, 0), _normal(rng, 0)),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "Expected two vectors", np.ones((2, 2)), np.ones(2)),
        ErrorSample(ShapeError, "3 elements on the left", np.ones(3), np.ones(2)),
    ],
)
def vdot(x: Tensor, y: Tensor) -> Tensor:
    if x.ndim != 1 or y.ndim != 1:
        raise ShapeError(
            f"vdot: shapes {tuple(x.shape)} and {tuple(y.shape)} given. Expected two vectors. "
            "Fix: flatten them with reshape(-1)."
        )
    return matmul(x.conj(), y)


@composite(
    "kron(x, y)",
    doc=f"""The Kronecker product: every element of x times the whole of y.

    x: [a, b, ...], y: [c, d, ...] -> [a c, b d, ...]; the shorter shape gets 1 put in before.
    Source: {TORCH}, `torch.kron`.

    >>> samara.kron(samara.tensor([1, 2]), samara.tensor([1, 10])).tolist()
    [1, 10, 2, 20]
    """,
    ref=np.kron,
    dtypes=ALL,
    ulp=1,
    samples=lambda rng: [
        Sample(_normal(rng, 2, 3), _normal(rng, 3, 2)),
        Sample(_normal(rng, 2), _normal(rng, 2, 3, 2)),
        Sample(_normal(rng), _normal(rng, 3)),
        Sample(_normal(rng, 0, 2), _normal(rng, 2, 2)),
    ],
    errors=lambda: [ErrorSample(DTypeError, "argument 'y' has type str", np.ones(2), "text")],
)
def kron(x: Tensor, y: Tensor) -> Tensor:
    rank = max(x.ndim, y.ndim)
    a = (1,) * (rank - x.ndim) + tuple(x.shape)
    b = (1,) * (rank - y.ndim) + tuple(y.shape)
    left = x.reshape([size for n in a for size in (n, 1)])
    right = y.reshape([size for n in b for size in (1, n)])
    return (left * right).reshape([m * n for m, n in zip(a, b, strict=True)])


@composite(
    "addmv(x, mat, vec, *, beta: number = 1, alpha: number = 1)",
    doc=f"""beta * x + alpha * (mat @ vec). x: broadcasts to [m], mat: [m, n], vec: [n] -> [m].

    With beta=0, x is not read. Raises ShapeError for other shapes. Source: {TORCH}, `torch.addmv`.

    >>> samara.addmv(samara.ones(2), samara.eye(2), samara.tensor([1.0, 2.0])).tolist()
    [2.0, 3.0]
    """,
    ref=lambda x, mat, vec, beta=1, alpha=1: beta * x + alpha * (mat @ vec),
    dtypes=NUMERIC,
    condition="max",
    samples=lambda rng: [
        Sample(_normal(rng, 3), _normal(rng, 3, 4), _normal(rng, 4)),
        Sample(_normal(rng, 1), _normal(rng, 3, 4), _normal(rng, 4), beta=2, alpha=3),
        Sample(_normal(rng, 1), np.ones((1, 1)), np.ones(1)),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "Expected a matrix and a vector", *[np.ones(3)] * 3),
        ErrorSample(ShapeError, "3 columns on the left", np.ones(2), np.ones((2, 3)), np.ones(2)),
    ],
    in_place=True,
)
def addmv(x: Tensor, mat: Tensor, vec: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    if mat.ndim != 2 or vec.ndim != 1:
        raise ShapeError(
            f"addmv: shapes {tuple(mat.shape)} and {tuple(vec.shape)} given. Expected a matrix and "
            "a vector. Fix: use addmm for matrices."
        )
    return added(x, matmul(mat, vec), beta, alpha)


@composite(
    "addr(x, vec1, vec2, *, beta: number = 1, alpha: number = 1)",
    doc=f"""beta * x + alpha * outer(vec1, vec2). x: broadcasts to [m, n], vec1: [m], vec2: [n] ->
    [m, n].

    With beta=0, x is not read. Raises ShapeError for other shapes. Source: {TORCH}, `torch.addr`.

    >>> samara.addr(samara.zeros(2, 2), samara.tensor([1.0, 2.0]), samara.ones(2)).tolist()
    [[1.0, 1.0], [2.0, 2.0]]
    """,
    ref=lambda x, a, b, beta=1, alpha=1: beta * x + alpha * np.outer(a, b),
    dtypes=NUMERIC,
    ulp=4,
    condition="max",
    samples=lambda rng: [
        Sample(_normal(rng, 3, 2), _normal(rng, 3), _normal(rng, 2)),
        Sample(_normal(rng, 1, 1), _normal(rng, 3), _normal(rng, 2), beta=2, alpha=3),
        Sample(np.ones((0, 2)), np.ones(0), np.ones(2)),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "Expected two vectors", np.ones(2), np.eye(2), np.ones(2))
    ],
    in_place=True,
)
def addr(x: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    require_dtype("addr", x, NUMERIC)
    if vec1.ndim != 1 or vec2.ndim != 1:
        raise ShapeError(
            f"addr: shapes {tuple(vec1.shape)} and {tuple(vec2.shape)} given. Expected two "
            "vectors. Fix: flatten them with reshape(-1)."
        )
    return added(x, vec1.unsqueeze(1) * vec2, beta, alpha)


@composite(
    "addbmm(x, batch1, batch2, *, beta: number = 1, alpha: number = 1)",
    doc=f"""beta * x + alpha * sum_b (batch1_b @ batch2_b).

    x: broadcasts to [m, n], batch1: [b, m, k], batch2: [b, k, n] -> [m, n]. With beta=0, x is not
    read. Raises ShapeError for other shapes. Source: {TORCH}, `torch.addbmm`.

    >>> samara.addbmm(samara.zeros(1, 1), samara.ones(2, 1, 3), samara.ones(2, 3, 1)).tolist()
    [[6.0]]
    """,
    ref=lambda x, a, b, beta=1, alpha=1: beta * x + alpha * (a @ b).sum(0),
    dtypes=NUMERIC,
    condition="max",
    samples=lambda rng: [
        Sample(_normal(rng, 3, 2), _normal(rng, 4, 3, 5), _normal(rng, 4, 5, 2)),
        Sample(_normal(rng, 1, 1), _normal(rng, 2, 3, 1), _normal(rng, 2, 1, 2), beta=2, alpha=3),
        Sample(np.ones((1, 1)), np.ones((1, 1, 1)), np.ones((1, 1, 1))),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "Expected two stacks", np.ones(1), np.eye(2), np.eye(2)),
        ErrorSample(
            ShapeError, "Expected two stacks", np.eye(2), np.ones((2, 2, 2)), np.ones((1, 2, 2))
        ),
    ],
    in_place=True,
)
def addbmm(x: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    if batch1.ndim != 3 or batch2.ndim != 3 or batch1.shape[0] != batch2.shape[0]:
        raise ShapeError(
            f"addbmm: shapes {tuple(batch1.shape)} and {tuple(batch2.shape)} given. Expected two "
            "stacks of equally many matrices. Fix: use addmm for matrices."
        )
    count, rows, size = batch1.shape
    # One product of wide matrices: the sum over the stack is part of it.
    left = batch1.movedim(0, 1).reshape(rows, count * size)
    right = batch2.reshape(batch2.shape[0] * batch2.shape[1], batch2.shape[2])
    return added(x, matmul(left, right), beta, alpha)


# --- chains, powers, exponentials -----------------------------------------------------------------


def _best_order(sizes: Sequence[int]) -> list[list[int]]:
    """Where to split each product i..j so that the multiplications are fewest."""
    count = len(sizes) - 1
    cost = [[0.0] * count for _ in range(count)]
    split = [[0] * count for _ in range(count)]
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            cost[i][j], split[i][j] = min(
                (
                    cost[i][k] + cost[k + 1][j] + float(sizes[i]) * sizes[k + 1] * sizes[j + 1],
                    k,
                )
                for k in range(i, j)
            )
    return split


def _chain(place: str, matrices: Sequence[Tensor]) -> Tensor:
    sizes = [m.shape[0] for m in matrices] + [matrices[-1].shape[1]]
    for i in range(1, len(matrices)):
        if matrices[i - 1].shape[1] != matrices[i].shape[0]:
            raise ShapeError(
                f"{place}: matrices {i - 1} and {i} have shapes {tuple(matrices[i - 1].shape)} and "
                f"{tuple(matrices[i].shape)}. Expected as many rows as the one before has columns. "
                "Fix: transpose one of them."
            )
    split = _best_order(sizes)

    def product(i: int, j: int) -> Tensor:
        if i == j:
            return matrices[i]
        k = split[i][j]
        return matmul(product(i, k), product(k + 1, j))

    return product(0, len(matrices) - 1)


def _multi_dot_ref(tensors: Any) -> Any:
    return np.linalg.multi_dot(tensors) if len(tensors) > 1 else tensors[0]


@composite(
    "linalg.multi_dot(tensors: Tensor[])",
    doc=f"""The product of two or more matrices in the order with the fewest multiplications.

    tensors: [m, k], [k, l], ..., [p, n] -> [m, n]; the first may be a row [k] and the last a column
    [p], whose axes the result lacks.

    Raises ShapeError for shapes that do not fit, ArgumentError for fewer than two tensors.
    Source: {TORCH}, `torch.linalg.multi_dot`.

    >>> samara.linalg.multi_dot([samara.ones(2, 3), samara.ones(3, 4), samara.ones(4)]).tolist()
    [12.0, 12.0]
    """,
    ref=_multi_dot_ref,
    dtypes=NUMERIC,
    ulp=8,
    condition="max",
    samples=lambda rng: [
        Sample([_normal(rng, 2, 3), _normal(rng, 3, 4), _normal(rng, 4, 2)]),
        Sample([_normal(rng, 3), _normal(rng, 3, 4), _normal(rng, 4)]),
        Sample([_normal(rng, 2, 5), _normal(rng, 5, 1), _normal(rng, 1, 4), _normal(rng, 4)]),
        Sample([np.ones((1, 1)), np.ones((1, 1))]),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "1 tensors", [np.eye(2)]),
        ErrorSample(ShapeError, "matrices 0 and 1", [np.ones((2, 3)), np.ones((2, 3))]),
        ErrorSample(ShapeError, "tensor 1 has 1 axes", [np.eye(2), np.ones(2), np.eye(2)]),
    ],
    methods=(),
)
def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    place = "linalg.multi_dot"
    given = list(tensors)
    if len(given) < 2:
        raise ArgumentError(
            f"{place}: {len(given)} tensors given. Expected two or more. Fix: pass a sequence."
        )
    for i, x in enumerate(given):
        require_dtype(place, x, NUMERIC, f"tensor {i}")
        allowed = (1, 2) if i in (0, len(given) - 1) else (2,)
        if x.ndim not in allowed:
            raise ShapeError(
                f"{place}: tensor {i} has {x.ndim} axes. Expected matrices, and vectors only at "
                "the ends. Fix: reshape it."
            )
    row, column = given[0].ndim == 1, given[-1].ndim == 1
    if row:
        given[0] = given[0].unsqueeze(0)
    if column:
        given[-1] = given[-1].unsqueeze(1)
    out = _chain(place, given)
    out = out.squeeze(-1) if column else out
    return out.squeeze(0) if row else out


@composite(
    "chain_matmul(*matrices)",
    doc=f"""The product of matrices in the order with the fewest multiplications.

    matrices: [m, k], [k, l], ..., [p, n] -> [m, n]. Raises ShapeError for shapes that do not fit.
    Source: {TORCH}, `torch.chain_matmul`.

    >>> samara.chain_matmul(samara.ones(2, 3), samara.ones(3, 1)).tolist()
    [[3.0], [3.0]]
    """,
    ref=lambda *matrices: _multi_dot_ref(matrices),
    dtypes=NUMERIC,
    ulp=8,
    condition="max",
    samples=lambda rng: [
        Sample(_normal(rng, 2, 3), _normal(rng, 3, 4), _normal(rng, 4, 2)),
        Sample(np.ones((1, 1))),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "no matrices"),
        ErrorSample(ShapeError, "matrices 0 and 1", np.ones((2, 3)), np.ones((2, 3))),
        ErrorSample(ShapeError, "matrix 0 has 1 axes", np.ones(3), np.ones((3, 2))),
    ],
    methods=(),
)
def chain_matmul(*matrices: Tensor) -> Tensor:
    if not matrices:
        raise ArgumentError(
            "chain_matmul: no matrices given. Expected one or more. Fix: pass them one by one."
        )
    for i, x in enumerate(matrices):
        require_dtype("chain_matmul", x, NUMERIC, f"matrix {i}")
        if x.ndim != 2:
            raise ShapeError(
                f"chain_matmul: matrix {i} has {x.ndim} axes. Expected 2. Fix: reshape it."
            )
    return _chain("chain_matmul", matrices)


@composite(
    "linalg.matrix_power(A, n: int)",
    doc=f"""A multiplied by itself n times; the inverse |n| times for n < 0, the identity for n = 0.

    A: [*B, k, k] -> [*B, k, k]. Raises LinAlgError for n < 0 and a singular matrix, ShapeError for
    other shapes. Source: {STANDARD}, `linalg.matrix_power`.

    >>> samara.linalg.matrix_power(samara.tensor([[1.0, 1.0], [0.0, 1.0]]), 5).tolist()
    [[1.0, 5.0], [0.0, 1.0]]
    """,
    ref=lambda A, n: np.linalg.matrix_power(A, n),
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(_normal(rng, 3, 3), 5),
        Sample(_normal(rng, 2, 3, 3), 2),
        Sample(matrix(3, 3)(rng), -2),
        Sample(_normal(rng, 3, 3), 0),
        Sample(_normal(rng, 1, 1), 1),
        Sample(_normal(rng, 0, 3, 3), 3),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "Expected a matrix", np.ones(3), 2),
        ErrorSample(ShapeError, "Expected square", np.ones((2, 3)), 2),
        ErrorSample(DTypeError, "n is 2.5", np.eye(2), 2.5),
    ],
    aliases=("matrix_power",),
    methods=("matrix_power",),
)
def matrix_power(A: Tensor, n: int) -> Tensor:
    place = "linalg.matrix_power"
    require_square(place, A, "A")
    require_dtype(place, A, DTYPES, "A")
    if isinstance(n, bool) or not isinstance(n, int):
        raise DTypeError(f"{place}: n is {n!r}. Expected an int. Fix: pass a whole number.")
    if n == 0:
        one: Tensor = eye_like(A)
        return A * 0 + one if A.requires_grad else one.expand(A.shape).clone()
    power = inv(A) if n < 0 else A
    result: Tensor | None = None
    for place_value, digit in enumerate(reversed(f"{abs(n):b}")):
        if place_value:
            power = matmul(power, power)
        if digit == "1":
            result = power if result is None else matmul(result, power)
    assert result is not None  # n is not 0
    return result.clone() if result is A else result


# The coefficients of the Pade approximant of order 13, divided by the first (Higham, 2005).
_PADE = [1.0]
for _k in range(1, 14):
    _PADE.append(_PADE[-1] * (14 - _k) / (_k * (27 - _k)))
_PADE_RADIUS = 5.371920351148152


@composite(
    "linalg.matrix_exp(A)",
    doc=f"""The exponential of each matrix, 1 + A + A^2 / 2 + ..., by scaling and squaring.

    A: [*B, n, n] -> [*B, n, n], each matrix scaled for itself. Raises ShapeError for other shapes.
    Source: {TORCH}, `torch.linalg.matrix_exp`; N. Higham, The scaling and squaring method for the
    matrix exponential revisited (2005).

    >>> samara.linalg.matrix_exp(samara.tensor([[0.0, 1.0], [0.0, 0.0]])).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """,
    ref=lambda A: _exp_ref(A),
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(_normal(rng, 3, 3)),
        Sample(_normal(rng, 2, 3, 3) * np.array([[[0.1]], [[5.0]]])),
        Sample(np.ones((1, 1))),
        Sample(np.zeros((0, 3, 3))),
        Sample(np.zeros((2, 0, 0))),
    ],
    errors=square_errors(),
    aliases=("matrix_exp",),
    methods=("matrix_exp",),
)
def matrix_exp(A: Tensor) -> Tensor:
    place = "linalg.matrix_exp"
    require_square(place, A, "A")
    require_dtype(place, A, DTYPES, "A")
    if not A.numel():
        return A.clone()
    size = abs(A.detach()).sum(axis=-2).amax(-1)
    size = where(size < math.inf, size, 0)
    squarings = (size / _PADE_RADIUS).log2().ceil().clamp(min=0)[..., None, None]
    x = A * (2.0**-squarings).astype(A.dtype)
    one: Tensor = eye_like(A)
    x2 = matmul(x, x)
    x4 = matmul(x2, x2)
    x6 = matmul(x4, x2)

    def even(c: Sequence[float]) -> Tensor:
        high = matmul(x6, c[6] * x6 + c[5] * x4 + c[4] * x2)
        return high + c[3] * x6 + c[2] * x4 + c[1] * x2 + c[0] * one

    v, u = even(_PADE[0::2]), matmul(x, even(_PADE[1::2]))
    result: Tensor = _solve(v - u, v + u, True, True)[0]
    for k in range(int(squarings.max().item())):
        result = where(squarings > k, matmul(result, result), result)
    return result


def _exp_ref(A: Any) -> Any:
    """Taylor's series far inside its radius, then (1 + x)^2 - 1 = x (2 + x) again and again."""
    scaled = A / 2.0**20
    x, term = scaled, scaled
    for k in range(2, 6):
        term = term @ scaled / k
        x = x + term
    for _ in range(20):
        x = 2 * x + x @ x
    return x + np.eye(A.shape[-1])


# --- Vandermonde ----------------------------------------------------------------------------------


def _powers(place: str, x: Tensor, count: Any) -> Tensor:
    require_dtype(place, x, NUMERIC)
    size = x.shape[-1] if count is None else count
    if not isinstance(size, int) or size < 0:
        raise ArgumentError(
            f"{place}: N is {count!r}. Expected a whole number, 0 or more. Fix: pass that."
        )
    if size == 0:
        return x.unsqueeze(-1)[..., :0]
    columns = [x * 0 + 1]
    for _ in range(size - 1):
        columns.append(columns[-1] * x)
    return stack(columns, -1)


@composite(
    "linalg.vander(x, *, N: int? = None)",
    doc=f"""Powers 0 to N - 1 of each number in a row. x: [*B, n] -> [*B, n, N], N = n unless given.

    Raises ArgumentError for N < 0, ShapeError for a 0-d x. Source: {TORCH}, `torch.linalg.vander`.

    >>> samara.linalg.vander(samara.tensor([1, 2, 3])).tolist()
    [[1, 1, 1], [1, 2, 4], [1, 3, 9]]
    """,
    ref=lambda x, N=None: x[..., None] ** np.arange(x.shape[-1] if N is None else N),
    dtypes=NUMERIC,
    ulp=4,
    samples=lambda rng: [
        Sample(_normal(rng, 3)),
        Sample(_normal(rng, 2, 3), N=5),
        Sample(_normal(rng, 2, 1), N=1),
        Sample(_normal(rng, 0)),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "N is -1", np.ones(2), N=-1),
        ErrorSample(ShapeError, "0-d", np.ones(())),
    ],
)
def linalg_vander(x: Tensor, *, N: int | None = None) -> Tensor:
    if x.ndim == 0:
        raise ShapeError(
            "linalg.vander: x is 0-d. Expected at least one axis. Fix: use x.reshape(1)."
        )
    return _powers("linalg.vander", x, N)


@composite(
    "vander(x, N: int? = None, increasing: bool = False)",
    doc=f"""Powers N - 1 to 0 of each number in a row, 0 to N - 1 if increasing. x: [n] -> [n, N].

    Raises ShapeError for other shapes, ArgumentError for N < 0. Source: {TORCH}, `torch.vander`.

    >>> samara.vander(samara.tensor([1, 2, 3])).tolist()
    [[1, 1, 1], [4, 2, 1], [9, 3, 1]]
    """,
    ref=lambda x, N=None, increasing=False: np.vander(x, N, increasing),
    dtypes=NUMERIC,
    ulp=4,
    samples=lambda rng: [
        Sample(_normal(rng, 3)),
        Sample(_normal(rng, 3), 4, True),
        Sample(_normal(rng, 0)),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "2 axes", np.ones((2, 2))),
        ErrorSample(ArgumentError, "N is -1", np.ones(2), -1),
    ],
    methods=(),
)
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    if x.ndim != 1:
        raise ShapeError(
            f"vander: x has {x.ndim} axes. Expected a vector. Fix: use linalg.vander for stacks."
        )
    made = _powers("vander", x, N)
    return made if increasing else made.flip(-1)
