"""Eigenvalues and singular values."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np

import samara._core as _core
from samara.dtypes import COMPLEX
from samara.errors import ArgumentError, LinAlgError
from samara.ops.linalg_common import (
    DTYPES,
    STANDARD,
    TORCH,
    adjoint,
    any_requires_grad,
    diagonal_matrix,
    divided_by_gaps,
    hermitian,
    main_diagonal,
    matrix,
    real_or_complex,
    require_matrix,
    require_no_phase,
    require_square,
    shape_errors,
    square_errors,
)
from samara.ops.linalg_solve import _solve
from samara.ops.matmul import matmul
from samara.ops.record import ErrorSample, Sample, composite
from samara.tensor import Tensor, asarray

Operation = _core.Operation


def _gaps(values: Tensor) -> Tensor:
    """values_j - values_i. [*B, n] -> [*B, n, n]."""
    return values.unsqueeze(-2) - values.unsqueeze(-1)


def _without_diagonal(x: Tensor) -> Tensor:
    return x - diagonal_matrix(main_diagonal(x))


_not_finite = ErrorSample(LinAlgError, "NaN or infinite", np.full((2, 2), np.nan))


# --- symmetric and Hermitian ----------------------------------------------------------------------


def _eigh_grad(g: Any, A: Tensor, y: Any, *, UPLO: str) -> Tensor:
    """DA = V [diag(dw) + (V^H dV) / (w_j - w_i)] V^H."""
    (values, V), (gw, gv) = y, g
    inner = matmul(adjoint(V), gv)
    require_no_phase("linalg.eigh", main_diagonal(inner), gv)
    inner = divided_by_gaps(_without_diagonal(inner), _gaps(values)) + diagonal_matrix(gw)
    return matmul(matmul(V, inner), adjoint(V))


Eigh = namedtuple("Eigh", ["eigenvalues", "eigenvectors"])
_eigh: Callable[..., Any] = Operation(
    "linalg.eigh(A, UPLO: str)", "linalg.eigh", output_type=Eigh, rule=_eigh_grad
)
_eigvalsh: Callable[..., Tensor] = Operation("linalg.eigvalsh(A, UPLO: str)", "linalg.eigvalsh")


def _projections(values: Any, V: Any) -> Any:
    """Eigenvalues, and v v^H for each vector, which has no sign and no phase."""
    columns = V.swapaxes(-1, -2)
    return values, columns[..., :, None] * columns.conj()[..., None, :]


def _ordered(values: Any) -> tuple[Any, Any]:
    """Complex values from left to right, and their places: LAPACK's order is free."""
    plain = values.detach().numpy() if isinstance(values, Tensor) else values
    order = np.argsort(plain.real + 0.1 * plain.imag, axis=-1)
    if isinstance(values, Tensor):
        places = asarray(order)
        return values.take_along_axis(places, -1), places
    return np.take_along_axis(values, order, -1), order


def _ordered_projections(values: Any, V: Any) -> Any:
    values, places = _ordered(values)
    parts = _projections(values, V)[1]
    return values, parts[_rows(places, parts)]


def _rows(places: Any, parts: Any) -> Any:
    """The key that puts the second last-but-one axis of [*B, n, n, n] into an order [*B, n]."""
    batch = places.shape[:-1]
    key = [
        asarray(k) if isinstance(parts, Tensor) else k
        for k in np.ogrid[tuple(slice(size) for size in (*batch, 1))][:-1]
    ]
    return (*key, places)


def _symmetric_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.normal(size=(3, 3))),
        Sample(rng.normal(size=(2, 4, 4))),
        Sample(rng.normal(size=(3, 3)), UPLO="U"),
        Sample(np.ones((1, 1))),
        Sample(np.zeros((0, 3, 3))),
        Sample(np.zeros((2, 0, 0))),
    ]


_uplo = ErrorSample(ArgumentError, "UPLO is 'x'", np.eye(2), UPLO="x")


@composite(
    "linalg.eigh(A, UPLO: str = 'L')",
    doc=f"""Eigenvalues and orthonormal eigenvectors of symmetric (Hermitian) matrices, A = V w V^H.

    A: [*B, n, n], of which the triangle UPLO is read -> eigenvalues [*B, n] real, ascending;
    eigenvectors [*B, n, n], in columns. The gradient is symmetric. Vectors of equal eigenvalues
    are any basis of their space: a loss that mixes them has an infinite gradient, and one that
    depends on the phases of complex vectors raises GradientError.

    Raises LinAlgError for NaN, infinity or an iteration that does not converge, ShapeError for
    other shapes. Source: {STANDARD}, `linalg.eigh`.

    >>> samara.linalg.eigh(samara.tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues.tolist()
    [1.0, 2.0]
    """,
    ref=lambda A, UPLO="L": tuple(np.linalg.eigh(A, UPLO)),
    invariant=_projections,
    domain=hermitian,
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=_symmetric_samples,
    errors=square_errors(_uplo, _not_finite),
)
def eigh(A: Tensor, UPLO: str = "L") -> Any:
    require_square("linalg.eigh", A, "A")
    return _eigh(A, UPLO)


@composite(
    "linalg.eigvalsh(A, UPLO: str = 'L')",
    doc=f"""The eigenvalues of symmetric (Hermitian) matrices, ascending. A: [*B, n, n] -> [*B, n].

    Raises LinAlgError for NaN, infinity or an iteration that does not converge, ShapeError for
    other shapes. Source: {STANDARD}, `linalg.eigvalsh`.

    >>> samara.linalg.eigvalsh(samara.tensor([[2.0, 0.0], [0.0, 1.0]])).tolist()
    [1.0, 2.0]
    """,
    ref=lambda A, UPLO="L": np.linalg.eigvalsh(A, UPLO),
    domain=hermitian,
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=_symmetric_samples,
    errors=square_errors(_uplo, _not_finite),
)
def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    require_square("linalg.eigvalsh", A, "A")
    if any_requires_grad(A):
        return _eigh(A, UPLO)[0]  # type: ignore[no-any-return]
    return _eigvalsh(A, UPLO)


# --- any square matrix ----------------------------------------------------------------------------


def _eig_grad(g: Any, A: Tensor, y: Any) -> Tensor:
    """DA = V^-H [diag(dw) + (V^H dV - V^H V diag(Re V^H dV)) / conj(w_j - w_i)] V^H."""
    (values, V), (gw, gv) = y, g
    vh = adjoint(V)
    inner = matmul(vh, gv)
    along = main_diagonal(inner)
    require_no_phase("linalg.eig", along, gv)
    inner = inner - matmul(vh, V) * along.real.unsqueeze(-2)
    inner = divided_by_gaps(_without_diagonal(inner), _gaps(values).conj()) + diagonal_matrix(gw)
    da = _solve(vh, matmul(inner, vh), True, True)[0]
    return real_or_complex(da, A)


Eig = namedtuple("Eig", ["eigenvalues", "eigenvectors"])
_eig: Callable[..., Any] = Operation("linalg.eig(A)", "linalg.eig", output_type=Eig, rule=_eig_grad)
_eigvals: Callable[..., Tensor] = Operation("linalg.eigvals(A)", "linalg.eigvals")


def _square_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(matrix(3, 3)(rng)),
        Sample(rng.normal(size=(2, 4, 4))),
        Sample(np.array([[1.0, 2.0], [-2.0, 1.0]])),
        Sample(np.ones((1, 1))),
        Sample(np.zeros((0, 3, 3))),
        Sample(np.zeros((2, 0, 0))),
    ]


def _complex(values: Any) -> Any:
    return tuple(np.asarray(x, np.complex128) for x in values)


@composite(
    "linalg.eig(A)",
    doc=f"""Eigenvalues and right eigenvectors of square matrices, A V = V diag(w).

    A: [*B, n, n] -> eigenvalues [*B, n] complex, in LAPACK's order; eigenvectors [*B, n, n]
    complex, columns of norm 1. The gradient wants distinct eigenvalues, and raises
    GradientError for a loss that depends on the phases of the vectors.

    Raises LinAlgError for NaN, infinity or an iteration that does not converge, ShapeError for
    other shapes. Source: {STANDARD}, `linalg.eig`.

    >>> samara.linalg.eig(samara.tensor([[0.0, 1.0], [-1.0, 0.0]])).eigenvalues.tolist()
    [1j, -1j]
    """,
    ref=lambda A: _complex(np.linalg.eig(A)),
    invariant=_ordered_projections,
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=_square_samples,
    errors=square_errors(_not_finite),
)
def eig(A: Tensor) -> Any:
    require_square("linalg.eig", A, "A")
    return _eig(A)


@composite(
    "linalg.eigvals(A)",
    doc=f"""The eigenvalues of square matrices, in LAPACK's order. A: [*B, n, n] -> [*B, n] complex.

    Raises LinAlgError for NaN, infinity or an iteration that does not converge, ShapeError for
    other shapes. Source: {STANDARD}, `linalg.eigvals`.

    >>> samara.linalg.eigvals(samara.tensor([[2.0]])).tolist()
    [(2+0j)]
    """,
    ref=lambda A: np.asarray(np.linalg.eigvals(A), np.complex128),
    invariant=lambda values: _ordered(values)[0],
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=_square_samples,
    errors=square_errors(_not_finite),
)
def eigvals(A: Tensor) -> Tensor:
    require_square("linalg.eigvals", A, "A")
    if any_requires_grad(A):
        return _eig(A)[0]  # type: ignore[no-any-return]
    return _eigvals(A)


# --- singular values ------------------------------------------------------------------------------


def _svd_grad(g: Any, A: Tensor, y: Any, *, full_matrices: bool) -> Tensor:
    """With E_ij = s_j^2 - s_i^2 and skew(X) = X - X^H, and U^H dU and V^H dV without diagonal:

    dA = U [(skew(U^H dU) / E) S + S (skew(V^H dV) / E) + diag(ds)] V^H, and what of dU and dV lies
    outside the spaces of U and V, through 1 / S.
    """
    (U, S, Vh), (gu, gs, gvh) = y, g
    m, n = A.shape[-2:]
    k = min(m, n)
    U, gu = U[..., :k], gu[..., :k]
    Vh, gvh = Vh[..., :k, :], gvh[..., :k, :]
    uh = adjoint(U)
    ugu, vgv = matmul(uh, gu), matmul(Vh, adjoint(gvh))
    require_no_phase("linalg.svd", main_diagonal(ugu) + main_diagonal(vgv), gu, gvh)
    skew_u, skew_v = ugu - adjoint(ugu), vgv - adjoint(vgv)
    gaps = _gaps(S * S)
    columns, rows = S.unsqueeze(-2), S.unsqueeze(-1)
    inner = divided_by_gaps(_without_diagonal(skew_u), gaps) * columns
    inner = inner + rows * divided_by_gaps(_without_diagonal(skew_v), gaps) + diagonal_matrix(gs)
    if A.dtype in COMPLEX:  # half the phase that U and V share
        inner = inner + diagonal_matrix(divided_by_gaps_of_values(main_diagonal(skew_u), 2 * S))
    da = matmul(matmul(U, inner), Vh)
    if m > k:
        outside = divided_by_gaps(gu - matmul(U, ugu), columns.expand(gu.shape))
        da = da + matmul(outside, Vh)
    if n > k:
        outside = divided_by_gaps(gvh - matmul(adjoint(vgv), Vh), rows.expand(gvh.shape))
        da = da + matmul(U, outside)
    return da


def divided_by_gaps_of_values(x: Tensor, gaps: Tensor) -> Tensor:
    """`divided_by_gaps` for vectors."""
    return divided_by_gaps(x.unsqueeze(-1), gaps.unsqueeze(-1)).squeeze(-1)


SVD = namedtuple("SVD", ["U", "S", "Vh"])
_svd: Callable[..., Any] = Operation(
    "linalg.svd(A, full_matrices: bool)", "linalg.svd", output_type=SVD, rule=_svd_grad
)
_svdvals: Callable[..., Tensor] = Operation("linalg.svdvals(A)", "linalg.svdvals")


def _rank_one_parts(U: Any, S: Any, Vh: Any) -> Any:
    """Singular values, and u v^H for each of them, which has no sign and no phase."""
    k = S.shape[-1]
    left = U[..., :k].swapaxes(-1, -2)
    return S, left[..., :, None] * Vh[..., :k, :][..., None, :]


def _rectangles(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.normal(size=(3, 3))),
        Sample(rng.normal(size=(2, 4, 3))),
        Sample(rng.normal(size=(2, 4))),
        Sample(np.ones((1, 1))),
        Sample(np.zeros((0, 3, 2))),
        Sample(np.zeros((2, 3, 0))),
    ]


@composite(
    "linalg.svd(A, full_matrices: bool = True)",
    doc=f"""The singular values of each matrix and their vectors, A = U diag(S) V^H.

    A: [*B, m, n], k = min(m, n) -> U [*B, m, m] (m x k with full_matrices=False), S [*B, k] real,
    descending, Vh [*B, n, n] (k x n). The gradient reads the first k vectors alone; vectors of
    equal singular values are any basis of their space: a loss that mixes them has an infinite
    gradient, and one that depends on the phases of complex vectors raises GradientError.

    Raises LinAlgError for NaN, infinity or an iteration that does not converge, ShapeError for
    other shapes. Source: {STANDARD}, `linalg.svd`.

    >>> samara.linalg.svd(samara.tensor([[0.0, 2.0], [1.0, 0.0]])).S.tolist()
    [2.0, 1.0]
    """,
    ref=lambda A, full_matrices=True: tuple(np.linalg.svd(A, full_matrices=full_matrices)),
    invariant=_rank_one_parts,
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(4, 3)), full_matrices=False),
        Sample(rng.normal(size=(2, 3, 4)), full_matrices=False),
        Sample(rng.normal(size=(3, 3)), full_matrices=False),
        *_rectangles(rng),
    ],
    errors=shape_errors(_not_finite),
)
def svd(A: Tensor, full_matrices: bool = True) -> Any:
    require_matrix("linalg.svd", A, "A")
    return _svd(A, full_matrices)


SVDTorch = namedtuple("SVDTorch", ["U", "S", "V"])


@composite(
    "svd(A, some: bool = True, compute_uv: bool = True)",
    doc=f"""`linalg.svd` that returns V, not its adjoint. Source: {TORCH}, `torch.svd`.

    A: [*B, m, n], k = min(m, n) -> U [*B, m, k], S [*B, k], V [*B, n, k]; square U and V unless
    `some`, zeros in their place unless `compute_uv`.

    >>> samara.svd(samara.tensor([[0.0, 2.0], [1.0, 0.0]])).S.tolist()
    [2.0, 1.0]
    """,
    ref=lambda A, some=True, compute_uv=True: np.linalg.svd(A)[1],
    invariant=lambda *outputs: outputs[-2] if len(outputs) > 1 else outputs[0],
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [*_rectangles(rng), Sample(rng.normal(size=(3, 2)), compute_uv=False)],
    errors=shape_errors(),
)
def _svd_torch(A: Tensor, some: bool = True, compute_uv: bool = True) -> Any:
    require_matrix("svd", A, "A")
    U, S, Vh = _svd(A, not some)
    V = adjoint(Vh)
    return SVDTorch(U, S, V) if compute_uv else SVDTorch(U.detach() * 0, S, V.detach() * 0)


@composite(
    "linalg.svdvals(A)",
    doc=f"""The singular values of each matrix, descending. A: [*B, m, n] -> [*B, min(m, n)] real.

    Raises LinAlgError for NaN, infinity or an iteration that does not converge, ShapeError for
    other shapes. Source: {STANDARD}, `linalg.svdvals`.

    >>> samara.linalg.svdvals(samara.tensor([[0.0, 2.0], [1.0, 0.0]])).tolist()
    [2.0, 1.0]
    """,
    ref=lambda A: np.linalg.svd(A, compute_uv=False),
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=_rectangles,
    errors=shape_errors(_not_finite),
)
def svdvals(A: Tensor) -> Tensor:
    require_matrix("linalg.svdvals", A, "A")
    if any_requires_grad(A):
        return _svd(A, False)[1]  # type: ignore[no-any-return]
    return _svdvals(A)
