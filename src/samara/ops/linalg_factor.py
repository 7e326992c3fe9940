"""Factors of matrices: LU, Cholesky, LDL, QR, and equations solved with them."""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np

import samara._core as _core
from samara.errors import ArgumentError, LinAlgError, ShapeError
from samara.ops.checks import require_dtype
from samara.ops.creation import zeros
from samara.ops.join import concat
from samara.ops.linalg_common import (
    DTYPES,
    STANDARD,
    TORCH,
    adjoint,
    diagonal_matrix,
    eye_like,
    main_diagonal,
    matrix,
    positive_definite,
    promoted,
    require_matrix,
    require_square,
    same_batch,
    shape_errors,
    square_errors,
)
from samara.ops.linalg_solve import solved_triangular
from samara.ops.matmul import matmul
from samara.ops.record import ErrorSample, Sample, composite
from samara.tensor import Tensor

Operation = _core.Operation


# --- LU -------------------------------------------------------------------------------------------


def _permutation(pivots: Tensor, rows: int) -> Tensor:
    """The rows of A in the order of L U. pivots: [*B, k] -> [*B, rows]."""
    return _lu_permutation(pivots, rows)


_lu_permutation: Callable[..., Tensor] = Operation(
    "linalg.lu_permutation(pivots, rows: int)", "linalg.lu_permutation"
)


def _permutation_matrix(pivots: Tensor, rows: int, like: Tensor) -> Tensor:
    """P of A = P L U."""
    order = _permutation(pivots, rows)
    one: Tensor = eye_like(like, rows)
    return one[order].swapaxes(-1, -2)


def _unit_lower(LU: Tensor) -> Tensor:
    rows, size = LU.shape[-2], min(LU.shape[-2:])
    lower: Tensor = LU[..., :size].tril(-1) + eye_like(LU, rows, size)
    return lower


def _reordered(x: Tensor, order: Tensor) -> Tensor:
    """The rows of each matrix in the given order. x: [*B, m, n], order: [*B, m]."""
    return x.take_along_axis(order.unsqueeze(-1).expand(x.shape), -2)


def _lu_grad(g: Any, A: Tensor, y: Any) -> Tensor:
    """For square A = P L U: dA = P L^-H [tril(L^H dL, -1) + triu(dU U^H)] U^-H.

    A wide or tall matrix is its square part and one triangular system more.
    """
    LU, pivots, _ = y
    m, n = A.shape[-2:]
    k = min(m, n)
    g, core = g[0], LU[..., :k, :k]
    dl, du = g[..., :k, :k].tril(-1), g[..., :k, :k].triu()
    L, U = core.tril(-1) + eye_like(core, k), core.triu()
    inner = matmul(adjoint(L), dl).tril(-1) + matmul(du, adjoint(U)).triu()
    if n > m:
        inner = inner - matmul(g[..., k:], adjoint(LU[..., k:])).tril(-1)
    if m > n:
        inner = inner - matmul(adjoint(LU[..., k:, :]), g[..., k:, :]).triu()
    lower, upper = adjoint(L), adjoint(U)
    square = solved_triangular(lower, inner, True, unit=True)
    da = solved_triangular(upper, square, False, left=False)
    if n > m:
        right = solved_triangular(lower, g[..., k:], True, unit=True)
        da = concat([da, right], -1)
    if m > n:
        below = solved_triangular(upper, g[..., k:, :], False, left=False)
        da = concat([da, below], -2)
    return _reordered(da, _permutation(pivots, m).argsort(-1))


LUFactorEx = namedtuple("LUFactorEx", ["LU", "pivots", "info"])
LUFactor = namedtuple("LUFactor", ["LU", "pivots"])
LUParts = namedtuple("LUParts", ["P", "L", "U"])
_lu: Callable[..., Any] = Operation(
    "linalg.lu_factor(A)", "linalg.lu_factor", output_type=LUFactorEx, rule=_lu_grad
)


def _require_pivot(place: str, pivot: bool) -> None:
    if not pivot:
        raise ArgumentError(
            f"{place}: pivot is False. Expected True: without row exchanges the factors are "
            "unstable on the CPU. Fix: leave it out."
        )


def _lu_ref(A: Any) -> tuple[Any, Any]:
    """Gaussian elimination with row exchanges, one matrix after the other."""
    shape = A.shape
    k = min(shape[-2:])
    LU = np.array(A).reshape(math.prod(shape[:-2]), *shape[-2:])
    pivots = np.zeros((LU.shape[0], k), np.int64)
    for a, p in zip(LU, pivots, strict=True):
        for j in range(k):
            row = j + int(np.argmax(np.abs(a[j:, j].real) + np.abs(a[j:, j].imag)))
            p[j] = row + 1
            a[[j, row]] = a[[row, j]]
            if a[j, j] != 0:
                a[j + 1 :, j] /= a[j, j]
            a[j + 1 :, j + 1 :] -= np.outer(a[j + 1 :, j], a[j, j + 1 :])
    return LU.reshape(shape), pivots.reshape(*shape[:-2], k)


def _factor_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.normal(size=(3, 3))),
        Sample(rng.normal(size=(2, 4, 4))),
        Sample(rng.normal(size=(4, 2))),
        Sample(rng.normal(size=(2, 2, 4))),
        Sample(np.ones((1, 1))),
        Sample(np.zeros((0, 3, 3))),
        Sample(np.zeros((2, 0, 3))),
    ]


@composite(
    "linalg.lu_factor(A, *, pivot: bool = True)",
    doc=f"""The LU factors of each matrix in one, with the row exchanges: A = P L U.

    A: [*B, m, n] -> LU [*B, m, n], U on and above the diagonal and L (ones on its diagonal) below;
    pivots [*B, min(m, n)] int32: row i was exchanged with row pivots[i] - 1. For `lu_solve`.

    Raises ShapeError for other shapes. Source: {TORCH}, `torch.linalg.lu_factor`.

    >>> samara.linalg.lu_factor(samara.tensor([[1.0, 2.0], [4.0, 4.0]])).LU.tolist()
    [[4.0, 4.0], [0.25, 1.0]]
    """,
    ref=lambda A, pivot=True: _lu_ref(A),
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=_factor_samples,
    errors=shape_errors(ErrorSample(ArgumentError, "pivot is False", np.eye(2), pivot=False)),
)
def lu_factor(A: Tensor, *, pivot: bool = True) -> Any:
    _require_pivot("linalg.lu_factor", pivot)
    require_matrix("linalg.lu_factor", A, "A")
    return LUFactor(*_lu(A)[:2])


@composite(
    "linalg.lu_factor_ex(A, *, pivot: bool = True, check_errors: bool = False)",
    doc=f"""`lu_factor` and `info` [*B] int32, the number of the first pivot that is zero, or 0.

    Raises LinAlgError with check_errors=True where a matrix is singular.
    Source: {TORCH}, `torch.linalg.lu_factor_ex`.

    >>> samara.linalg.lu_factor_ex(samara.eye(2)).info.item()
    0
    """,
    ref=lambda A, pivot=True, check_errors=False: (
        *_lu_ref(A),
        np.zeros(A.shape[:-2], np.int64),
    ),
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=_factor_samples,
    errors=shape_errors(
        ErrorSample(LinAlgError, "zero pivot", np.zeros((2, 2)), check_errors=True)
    ),
)
def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> Any:
    _require_pivot("linalg.lu_factor_ex", pivot)
    require_matrix("linalg.lu_factor_ex", A, "A")
    result = _lu(A)
    if check_errors and result.info.numel() and bool((result.info != 0).any()):
        raise LinAlgError(
            "linalg.lu_factor_ex: a matrix has a zero pivot. Expected invertible matrices. "
            "Fix: look at info, or use lstsq or pinv."
        )
    return result


@composite(
    "linalg.lu(A, *, pivot: bool = True)",
    doc=f"""The factors A = P L U: a permutation, unit lower and upper triangular.

    A: [*B, m, n] -> P [*B, m, m], L [*B, m, k], U [*B, k, n] with k = min(m, n).

    Raises ShapeError for other shapes. Source: {TORCH}, `torch.linalg.lu`.

    >>> P, L, U = samara.linalg.lu(samara.tensor([[1.0, 2.0], [4.0, 4.0]]))
    >>> (P @ L @ U).tolist()
    [[1.0, 2.0], [4.0, 4.0]]
    """,
    ref=lambda A, pivot=True: _lu_parts_ref(*_lu_ref(A)),
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=_factor_samples,
    errors=shape_errors(),
)
def lu(A: Tensor, *, pivot: bool = True) -> Any:
    _require_pivot("linalg.lu", pivot)
    require_matrix("linalg.lu", A, "A")
    return LUParts(*lu_unpack(*_lu(A)[:2]))


@composite(
    "lu(A, pivot: bool = True, get_infos: bool = False)",
    doc=f"""`linalg.lu_factor`, with `info` as a third tensor for get_infos.

    A: [*B, m, n] -> LU [*B, m, n], pivots [*B, min(m, n)] int32, info [*B] int32.

    Raises ShapeError for other shapes. Source: {TORCH}, `torch.lu`.

    >>> samara.lu(samara.tensor([[1.0, 2.0], [4.0, 4.0]]))[0].tolist()
    [[4.0, 4.0], [0.25, 1.0]]
    """,
    ref=lambda A, pivot=True, get_infos=False: (
        *_lu_ref(A),
        *((np.zeros(A.shape[:-2], np.int64),) if get_infos else ()),
    ),
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 3))),
        Sample(rng.normal(size=(2, 4, 2)), get_infos=True),
        Sample(np.ones((1, 1))),
    ],
    errors=shape_errors(ErrorSample(ArgumentError, "pivot is False", np.eye(2), False)),
)
def _lu_torch(A: Tensor, pivot: bool = True, get_infos: bool = False) -> Any:
    _require_pivot("lu", pivot)
    require_matrix("lu", A, "A")
    result = tuple(_lu(A))
    return result if get_infos else result[:2]


def _lu_parts_ref(
    LU: Any, pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True
) -> Any:
    m, n = LU.shape[-2:]
    k = min(m, n)
    P = np.zeros((*LU.shape[:-2], m, m), LU.dtype)
    for index in np.ndindex(*LU.shape[:-2]):
        order = list(range(m))
        for j, pivot in enumerate(np.asarray(pivots)[index]):
            order[j], order[pivot - 1] = order[pivot - 1], order[j]
        P[index][order, range(m)] = 1
    return P, np.tril(LU[..., :k], -1) + np.eye(m, k), np.triu(LU[..., :k, :])


def _unpack_samples(rng: np.random.Generator) -> list[Sample]:
    made = []
    for shape in ((3, 3), (2, 4, 2), (2, 4)):
        LU, pivots = _lu_ref(rng.normal(size=shape))
        made.append(Sample(LU, pivots.astype(np.int32)))
    return [*made, Sample(np.ones((1, 1)), np.ones(1, np.int32))]


@composite(
    "lu_unpack(LU, pivots, unpack_data: bool = True, unpack_pivots: bool = True)",
    doc=f"""P, L and U of what `linalg.lu_factor` gave.

    LU: [*B, m, n], pivots: [*B, min(m, n)] int32 -> P [*B, m, m], L [*B, m, k], U [*B, k, n]; those
    not asked for are empty.

    Raises ShapeError for shapes that do not fit, IndexOutOfRangeError for a pivot that is no row.
    Source: {TORCH}, `torch.lu_unpack`.

    >>> P, L, U = samara.lu_unpack(*samara.linalg.lu_factor(samara.eye(2)))
    >>> P.tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """,
    ref=_lu_parts_ref,
    dtypes=DTYPES,
    ulp=0,
    samples=_unpack_samples,
    errors=lambda: [
        ErrorSample(ShapeError, "Expected a matrix", np.ones(3), np.ones(3, np.int32)),
        ErrorSample(IndexError, "a pivot is 7", np.eye(2), np.array([7, 1], np.int32)),
        ErrorSample(ShapeError, "Expected int32", np.eye(2), np.ones(2, np.int64)),
    ],
)
def lu_unpack(
    LU: Tensor, pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True
) -> Any:
    require_matrix("lu_unpack", LU, "LU")
    require_dtype("lu_unpack", LU, DTYPES, "LU")
    k = min(LU.shape[-2:])
    nothing = zeros(0, dtype=LU.dtype, device=LU.device)
    P = _permutation_matrix(pivots, LU.shape[-2], LU.detach()) if unpack_pivots else nothing
    if not unpack_data:
        return LUParts(P, nothing, nothing)
    return LUParts(P, _unit_lower(LU), LU[..., :k, :].triu())


@composite(
    "linalg.lu_solve(LU, pivots, B, *, left: bool = True, adjoint: bool = False)",
    doc=f"""X of A X = B (X A = B with left=False; A^H with adjoint), A given by its LU factors.

    LU: [*B, n, n], pivots: [*B, n] int32, B: [*B, n, k] (or [*B, k, n]), broadcast -> B's shape.

    Raises ShapeError for shapes that do not fit. Source: {TORCH}, `torch.linalg.lu_solve`.

    >>> factors = samara.linalg.lu_factor(samara.tensor([[2.0, 0.0], [0.0, 4.0]]))
    >>> samara.linalg.lu_solve(*factors, samara.ones(2, 1)).tolist()
    [[0.5], [0.25]]
    """,
    ref=lambda LU, pivots, B, left=True, adjoint=False: _lu_solve_ref(LU, pivots, B, left, adjoint),
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(LU, p.astype(np.int32), rng.normal(size=size), **options)
        for shape, size, options in (
            ((3, 3), (3, 2), {}),
            ((2, 3, 3), (2, 3, 1), {"adjoint": True}),
            ((3, 3), (2, 2, 3), {"left": False}),
            ((3, 3), (2, 3), {"left": False, "adjoint": True}),
            ((1, 1), (1, 1), {}),
        )
        for LU, p in [_lu_ref(matrix(*shape)(rng))]
    ],
    errors=lambda: [
        ErrorSample(
            ShapeError, "Expected square", np.ones((2, 3)), np.ones(2, np.int32), np.ones((2, 1))
        ),
        ErrorSample(
            ShapeError, "rows meet 3 rows", np.eye(2), np.ones(2, np.int32), np.ones((3, 1))
        ),
    ],
)
def lu_solve(
    LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False
) -> Tensor:
    place = "linalg.lu_solve"
    require_square(place, LU, "LU")
    require_matrix(place, B, "B")
    if not left:  # X A = B is A^H X^H = B^H
        turned: Tensor = _adjoint(lu_solve(LU, pivots, _adjoint(B), adjoint=not adjoint))
        return turned
    LU, B = same_batch(place, *promoted(LU, B))
    if LU.shape[-1] != B.shape[-2]:
        raise ShapeError(
            f"{place}: LU has shape {tuple(LU.shape)} and B {tuple(B.shape)}: {LU.shape[-1]} rows "
            f"meet {B.shape[-2]} rows. Expected B of shape (..., n, k). Fix: reshape B."
        )
    order = _permutation(pivots, LU.shape[-1]).expand(B.shape[:-1])
    if not adjoint:
        y = solved_triangular(LU, _reordered(B, order), False, unit=True)
        return solved_triangular(LU, y, True)
    y = solved_triangular(_adjoint(LU), B, False)
    y = solved_triangular(_adjoint(LU), y, True, unit=True)
    return _reordered(y, order.argsort(-1))


_adjoint = adjoint


def _lu_solve_ref(LU: Any, pivots: Any, B: Any, left: bool, turned: bool) -> Any:
    P, L, U = _lu_parts_ref(LU, pivots)
    A = P @ L @ U
    A = adjoint(A) if turned else A
    if left:
        return np.linalg.solve(A, B)
    return np.swapaxes(np.linalg.solve(np.swapaxes(A, -1, -2), np.swapaxes(B, -1, -2)), -1, -2)


@composite(
    "lu_solve(b, LU_data, LU_pivots)",
    doc=f"""X of A X = b from `linalg.lu_factor`'s result; see `linalg.lu_solve`.

    b: [*B, n, k], LU_data: [*B, n, n], LU_pivots: [*B, n] int32 -> [*B, n, k].

    Raises ShapeError for shapes that do not fit. Source: {TORCH}, `torch.lu_solve`.

    >>> samara.lu_solve(samara.ones(2, 1), *samara.linalg.lu_factor(samara.eye(2))).tolist()
    [[1.0], [1.0]]
    """,
    ref=lambda b, LU, pivots: _lu_solve_ref(LU, pivots, b, True, False),
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(n, 2)), LU, p.astype(np.int32))
        for n in (3, 1)
        for LU, p in [_lu_ref(matrix(n, n)(rng))]
    ],
    errors=lambda: [
        ErrorSample(
            ShapeError, "Expected square", np.ones((2, 1)), np.ones((2, 3)), np.ones(2, np.int32)
        )
    ],
)
def _lu_solve_torch(b: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    return lu_solve(LU_data, LU_pivots, b)


# --- Cholesky -------------------------------------------------------------------------------------


def _cholesky_grad(g: Any, A: Tensor, y: Any, *, upper: bool, check: bool) -> Tensor:
    """DA = L^-H sym(phi(L^H dL)) L^-1, phi: the lower triangle with half the diagonal."""
    L, gl = (adjoint(y[0]), adjoint(g[0])) if upper else (y[0], g[0])
    inner = matmul(adjoint(L), gl.tril()).tril()
    inner = inner - 0.5 * diagonal_matrix(main_diagonal(inner))
    left = solved_triangular(adjoint(L), 0.5 * (inner + adjoint(inner)), True)
    return solved_triangular(L, left, False, left=False)


CholeskyEx = namedtuple("CholeskyEx", ["L", "info"])
_cholesky: Callable[..., Any] = Operation(
    "linalg.cholesky(A, upper: bool, check: bool)",
    "linalg.cholesky",
    output_type=CholeskyEx,
    rule=_cholesky_grad,
)


def _cholesky_ref(A: Any, upper: bool = False) -> Any:
    L = np.linalg.cholesky(A)
    return adjoint(L) if upper else L


def _definite_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.normal(size=(3, 3))),
        Sample(rng.normal(size=(2, 4, 4)), upper=True),
        Sample(np.ones((1, 1))),
        Sample(np.zeros((0, 3, 3))),
        Sample(np.zeros((0, 0))),
    ]


_indefinite = ErrorSample(
    LinAlgError,
    r"matrix \[1\] of the stack is not positive-definite: .* minor of order 2",
    np.stack([np.eye(2), np.array([[1.0, 2.0], [2.0, 1.0]])]),
)


@composite(
    "linalg.cholesky(A, *, upper: bool = False)",
    doc=f"""The lower triangular L of A = L L^H, or the upper U of A = U^H U.

    A: [*B, n, n] symmetric (Hermitian) positive-definite, of which the lower triangle is read (the
    upper one with upper=True) -> [*B, n, n]. The gradient is symmetric.

    Raises LinAlgError that names the first matrix that is not positive-definite, ShapeError for
    other shapes. Source: {STANDARD}, `linalg.cholesky`.

    >>> samara.linalg.cholesky(samara.tensor([[4.0, 2.0], [2.0, 5.0]])).tolist()
    [[2.0, 0.0], [1.0, 2.0]]
    """,
    ref=_cholesky_ref,
    domain=positive_definite,
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=_definite_samples,
    errors=square_errors(_indefinite),
)
def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    require_square("linalg.cholesky", A, "A")
    factor: Tensor = _cholesky(A, upper, True)[0]
    return factor


@composite(
    "cholesky(A, upper: bool = False)",
    doc=f"""`linalg.cholesky`. A: [*B, n, n] -> [*B, n, n]. Source: {TORCH}, `torch.cholesky`.

    >>> samara.cholesky(samara.tensor([[4.0]])).tolist()
    [[2.0]]
    """,
    ref=_cholesky_ref,
    domain=positive_definite,
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=_definite_samples,
    errors=square_errors(_indefinite),
)
def _cholesky_torch(A: Tensor, upper: bool = False) -> Tensor:
    return cholesky(A, upper=upper)


@composite(
    "linalg.cholesky_ex(A, *, upper: bool = False, check_errors: bool = False)",
    doc=f"""`cholesky` and `info` [*B] int32, the order of the first minor not positive, or 0.

    Source: {TORCH}, `torch.linalg.cholesky_ex`.

    >>> samara.linalg.cholesky_ex(samara.tensor([[-1.0]])).info.item()
    1
    """,
    ref=lambda A, upper=False, check_errors=False: (
        _cholesky_ref(A, upper),
        np.zeros(A.shape[:-2], np.int64),
    ),
    domain=positive_definite,
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=_definite_samples,
    errors=square_errors(),
)
def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> Any:
    require_square("linalg.cholesky_ex", A, "A")
    return _cholesky(A, upper, check_errors)


def _triangle(L: Any, upper: bool) -> Any:
    return np.triu(L) if upper else np.tril(L)


def _gram(L: Any, upper: bool) -> Any:
    T = _triangle(L, upper)
    return adjoint(T) @ T if upper else T @ adjoint(T)


@composite(
    "cholesky_solve(B, L, upper: bool = False)",
    doc=f"""X of L L^H X = B, or of U^H U X = B with upper=True, for a factor of `linalg.cholesky`.

    B: [*B, n, k], L: [*B, n, n], broadcast -> [*B, n, k].

    Raises ShapeError for shapes that do not fit. Source: {TORCH}, `torch.cholesky_solve`.

    >>> samara.cholesky_solve(samara.ones(2, 1), samara.eye(2) * 2).tolist()
    [[0.25], [0.25]]
    """,
    ref=lambda B, L, upper=False: np.linalg.solve(_gram(L, upper), B),
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 2)), matrix(3, 3)(rng)),
        Sample(rng.normal(size=(2, 3, 1)), matrix(3, 3)(rng), upper=True),
        Sample(np.ones((1, 1)), np.ones((1, 1))),
    ],
    errors=lambda: [ErrorSample(ShapeError, "Expected square", np.ones((2, 1)), np.ones((2, 3)))],
)
def cholesky_solve(B: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    require_square("cholesky_solve", L, "L")
    require_matrix("cholesky_solve", B, "B")
    L, B = same_batch("cholesky_solve", *promoted(L, B))
    if upper:
        return solved_triangular(L, solved_triangular(adjoint(L), B, False), True)
    return solved_triangular(adjoint(L), solved_triangular(L, B, False), True)


@composite(
    "cholesky_inverse(L, upper: bool = False)",
    doc=f"""The inverse of L L^H, or of U^H U with upper=True. L: [*B, n, n] -> [*B, n, n].

    Raises ShapeError for other shapes. Source: {TORCH}, `torch.cholesky_inverse`.

    >>> samara.cholesky_inverse(samara.eye(2) * 2).tolist()
    [[0.25, 0.0], [0.0, 0.25]]
    """,
    ref=lambda L, upper=False: np.linalg.inv(_gram(L, upper)),
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(matrix(3, 3)(rng)),
        Sample(matrix(2, 3, 3)(rng), upper=True),
        Sample(np.ones((1, 1))),
    ],
    errors=square_errors(),
)
def cholesky_inverse(L: Tensor, upper: bool = False) -> Tensor:
    require_square("cholesky_inverse", L, "L")
    return cholesky_solve(eye_like(L).expand(L.shape), L, upper)


# --- LDL ------------------------------------------------------------------------------------------

LDLFactorEx = namedtuple("LDLFactorEx", ["LD", "pivots", "info"])
LDLFactor = namedtuple("LDLFactor", ["LD", "pivots"])
_ldl: Callable[..., Any] = Operation(
    "linalg.ldl_factor(A, hermitian: bool, check: bool)",
    "linalg.ldl_factor",
    output_type=LDLFactorEx,
)
_ldl_solve: Callable[..., Tensor] = Operation(
    "linalg.ldl_solve(LD, pivots, B, hermitian: bool)", "linalg.ldl_solve"
)


def _falling(x: Any) -> Any:
    """A definite matrix whose diagonal falls quickly, so that LAPACK exchanges no rows."""
    ranks = np.eye(x.shape[-1]) * 100 * np.arange(x.shape[-1], 0, -1)
    return (positive_definite(x) + ranks).astype(x.dtype)


def _ldl_ref(A: Any, **options: Any) -> Any:
    """Of definite matrices, where no rows are exchanged: D from the Cholesky factor's diagonal."""
    L = np.linalg.cholesky(A)
    d = np.diagonal(L, axis1=-2, axis2=-1)
    unit = L / d[..., None, :]
    return np.tril(unit, -1) + np.eye(A.shape[-1]) * (d**2)[..., None, :]


@composite(
    "linalg.ldl_factor(A, *, hermitian: bool = False)",
    doc=f"""The factors A = L D L^T of symmetric matrices (L D L^H of Hermitian), for `ldl_solve`.

    A: [*B, n, n], of which the lower triangle is read -> LD [*B, n, n], pivots [*B, n] int32 as
    LAPACK's sytrf (hetrf) gives them; D may have 2 x 2 blocks. There is no gradient.

    Raises LinAlgError for a singular matrix, ShapeError for other shapes.
    Source: {TORCH}, `torch.linalg.ldl_factor`.

    >>> samara.linalg.ldl_factor(samara.tensor([[4.0, 2.0], [2.0, 5.0]])).LD.tolist()
    [[4.0, 0.0], [0.5, 4.0]]
    """,
    ref=_ldl_ref,
    domain=_falling,
    invariant=lambda LD, *rest: LD,
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 3)), hermitian=True),
        Sample(rng.normal(size=(2, 4, 4)), hermitian=True),
        Sample(np.ones((1, 1)), hermitian=True),
        Sample(np.zeros((0, 2, 2))),
    ],
    errors=square_errors(
        ErrorSample(LinAlgError, "is singular", np.zeros((2, 2))),
    ),
    differentiable=False,
)
def ldl_factor(A: Tensor, *, hermitian: bool = False) -> Any:
    require_square("linalg.ldl_factor", A, "A")
    return LDLFactor(*_ldl(A, hermitian, True)[:2])


@composite(
    "linalg.ldl_factor_ex(A, *, hermitian: bool = False, check_errors: bool = False)",
    doc=f"""`ldl_factor` and `info` [*B] int32, the number of the first zero of D, or 0.

    Source: {TORCH}, `torch.linalg.ldl_factor_ex`.

    >>> samara.linalg.ldl_factor_ex(samara.zeros(1, 1)).info.item()
    1
    """,
    ref=_ldl_ref,
    invariant=lambda LD, *rest: LD,
    domain=_falling,
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 3)), hermitian=True),
        Sample(np.ones((1, 1)), hermitian=True),
    ],
    errors=square_errors(),
    differentiable=False,
)
def ldl_factor_ex(A: Tensor, *, hermitian: bool = False, check_errors: bool = False) -> Any:
    require_square("linalg.ldl_factor_ex", A, "A")
    return _ldl(A, hermitian, check_errors)


@composite(
    "linalg.ldl_solve(LD, pivots, B, *, hermitian: bool = False)",
    doc=f"""X of A X = B from `ldl_factor`'s result.

    LD: [*B, n, n], pivots: [*B, n] int32, B: [*B, n, k], broadcast -> [*B, n, k]. There is no
    gradient. Raises ShapeError for shapes that do not fit.
    Source: {TORCH}, `torch.linalg.ldl_solve`.

    >>> factors = samara.linalg.ldl_factor(samara.eye(2) * 4)
    >>> samara.linalg.ldl_solve(*factors, samara.ones(2, 1)).tolist()
    [[0.25], [0.25]]
    """,
    ref=lambda LD, pivots, B, hermitian=False: np.linalg.solve(
        (np.tril(LD, -1) + np.eye(LD.shape[-1]))
        @ (np.eye(LD.shape[-1]) * LD)
        @ np.swapaxes(np.tril(LD, -1) + np.eye(LD.shape[-1]), -1, -2),
        B,
    ),
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(np.tril(matrix(3, 3)(rng)), np.arange(1, 4, dtype=np.int32), np.ones((3, 2))),
        Sample(np.ones((1, 1)), np.ones(1, np.int32), np.ones((1, 1))),
    ],
    errors=lambda: [
        ErrorSample(
            ShapeError, "Expected square", np.ones((2, 3)), np.ones(2, np.int32), np.ones((2, 1))
        )
    ],
    differentiable=False,
)
def ldl_solve(LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False) -> Tensor:
    require_square("linalg.ldl_solve", LD, "LD")
    require_matrix("linalg.ldl_solve", B, "B")
    LD, B = same_batch("linalg.ldl_solve", *promoted(LD, B))
    return _ldl_solve(LD, pivots.expand(LD.shape[:-1]), B, hermitian)
