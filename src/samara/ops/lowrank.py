"""Decompositions of a few leading terms: randomised SVD and PCA, extreme eigenvalues."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np

from samara.errors import ArgumentError, DTypeError, ShapeError
from samara.ops.checks import require_dtype
from samara.ops.linalg_common import (
    DTYPES,
    TORCH,
    adjoint,
    hermitian,
    matrix,
    positive_definite,
    require_matrix,
    require_square,
)
from samara.ops.linalg_factor import cholesky
from samara.ops.linalg_qr import qr
from samara.ops.linalg_solve import solve_triangular
from samara.ops.linalg_spectrum import eigh, svd
from samara.ops.manipulation import flip
from samara.ops.matmul import matmul
from samara.ops.random_ops import normal
from samara.ops.record import ErrorSample, Sample, composite
from samara.random import Key, key
from samara.tensor import Tensor

LowRank = namedtuple("LowRank", ["U", "S", "V"])
Lobpcg = namedtuple("Lobpcg", ["eigenvalues", "eigenvectors"])


def _terms(U: Any, S: Any, V: Any) -> Any:
    """Singular values, and u v^H of each, which has no sign and no phase."""
    left, right = U.swapaxes(-1, -2), adjoint(V)
    return S, left[..., :, None] * right[..., None, :]


def _svd_ref(A: Any, q: int = 6, niter: int = 2, M: Any = None, **other: Any) -> Any:
    U, S, Vh = np.linalg.svd(A if M is None else A - M, full_matrices=False)
    return U[..., :q], S[..., :q], adjoint(Vh)[..., :q]


def _options(place: str, q: int, niter: int) -> None:
    for name, value, low in (("q", q, 1), ("niter", niter, 0)):
        if isinstance(value, bool) or not isinstance(value, int):
            raise DTypeError(f"{place}: {name} is {value!r}. Expected an int. Fix: pass one.")
        if value < low:
            raise ArgumentError(
                f"{place}: {name} is {value}. Expected {low} or more. Fix: pass that."
            )


def _low_rank(A: Tensor, q: int, niter: int, key: Key | int | None) -> Any:
    """Halko, Martinsson and Tropp's algorithms 4.4 and 5.1."""
    wide = A.shape[-2] < A.shape[-1]
    tall = adjoint(A) if wide else A
    start = normal((*A.shape[:-2], tall.shape[-1], min(q, tall.shape[-1])), key=key)
    turned = adjoint(tall)
    basis = qr(matmul(tall, start.to(A.device).to(A.dtype)))[0]
    for _ in range(niter):
        basis = qr(matmul(turned, basis))[0]
        basis = qr(matmul(tall, basis))[0]
    U, S, Vh = svd(matmul(adjoint(basis), tall), full_matrices=False)
    U, V = matmul(basis, U), adjoint(Vh)
    return LowRank(V, S, U) if wide else LowRank(U, S, V)


@composite(
    "svd_lowrank(A, q: int = 6, niter: int = 2, M: Tensor? = None, *, key: Key? = None)",
    doc=f"""The largest singular values and their vectors, A = U diag(S) V^H, by random projection.

    A: [*B, m, n], q: how many, a few more than are wanted, k = min(q, m, n) -> U [*B, m, k], S
    [*B, k], V [*B, n, k]. niter power iterations make it exact where the values fall slowly. With M
    [*B, m, n], or [*B, 1, n], the matrix is A - M.

    Raises ArgumentError for q below 1, ShapeError for other shapes, LinAlgError for NaN. Source:
    Halko et al., Finding Structure with Randomness, 2009; {TORCH}, `torch.svd_lowrank`.

    >>> x = samara.tensor([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    >>> [round(s, 4) for s in samara.svd_lowrank(x, 2).S.tolist()]
    [3.0, 1.0]
    """,
    ref=_svd_ref,
    invariant=_terms,
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(matrix(4, 3)(rng), 3, key=key(1)),
        Sample(matrix(2, 3, 5)(rng), 3, 1, key=key(2)),
        Sample(matrix(3, 3)(rng), M=matrix(1, 3)(rng), key=key(3)),
        Sample(np.ones((1, 1)), key=key(4)),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "q is 0", np.eye(2), 0),
        ErrorSample(ArgumentError, "niter is -1", np.eye(2), 1, -1),
        ErrorSample(DTypeError, "q is 1.5", np.eye(2), 1.5),
        ErrorSample(ShapeError, "", np.ones(3)),
        ErrorSample(ShapeError, "", np.eye(2), M=np.ones((3, 2))),
    ],
    methods=(),
)
def svd_lowrank(
    A: Tensor, q: int = 6, niter: int = 2, M: Tensor | None = None, *, key: Key | int | None = None
) -> Any:
    require_matrix("svd_lowrank", A, "A")
    require_dtype("svd_lowrank", A, DTYPES, "A")
    _options("svd_lowrank", q, niter)
    return _low_rank(A if M is None else A - M, q, niter, key)


def _pca_ref(
    A: Any, q: int | None = None, center: bool = True, niter: int = 2, **other: Any
) -> Any:
    return _svd_ref(A - A.mean(-2, keepdims=True) if center else A, 6 if q is None else q)


@composite(
    "pca_lowrank(A, q: int? = None, center: bool = True, niter: int = 2, *, key: Key? = None)",
    doc=f"""The principal components of rows of data: `svd_lowrank` of A less the mean of its rows.

    A: [*B, m, n], m rows; q: how many components, min(6, m, n) by default -> U [*B, m, q], S
    [*B, q], V [*B, n, q]: the directions; S^2 / (m - 1) are the variances along them.

    Raises ArgumentError for q outside of 1 to min(m, n), ShapeError for other shapes.
    Source: Halko et al., Finding Structure with Randomness, 2009; {TORCH}, `torch.pca_lowrank`.

    >>> x = samara.tensor([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]])
    >>> samara.pca_lowrank(x, 1).V.abs().round().reshape(-1).tolist()
    [1.0, 0.0]
    """,
    ref=_pca_ref,
    invariant=_terms,
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(matrix(6, 3)(rng), key=key(1)),
        Sample(matrix(2, 5, 3)(rng), 3, False, key=key(2)),
        Sample(np.ones((1, 1)), center=False, key=key(3)),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "q is 3", np.eye(2), 3),
        ErrorSample(ArgumentError, "q is 0", np.eye(2), 0),
        ErrorSample(ShapeError, "", np.ones(3)),
    ],
    methods=(),
)
def pca_lowrank(
    A: Tensor,
    q: int | None = None,
    center: bool = True,
    niter: int = 2,
    *,
    key: Key | int | None = None,
) -> Any:
    require_matrix("pca_lowrank", A, "A")
    require_dtype("pca_lowrank", A, DTYPES, "A")
    most = min(A.shape[-2:])
    q = min(6, most) if q is None else q
    _options("pca_lowrank", q, niter)
    if q > most:
        raise ArgumentError(
            f"pca_lowrank: q is {q} for matrices {tuple(A.shape[-2:])}. Expected 1 to {most}. "
            "Fix: ask for fewer components."
        )
    return _low_rank(A - A.mean(axis=-2, keepdims=True) if center else A, q, niter, key)


def _lobpcg_ref(A: Any, k: int | None = None, B: Any = None, **options: Any) -> Any:
    if B is None:
        values, vectors = np.linalg.eigh(hermitian(A) / 2)
    else:
        inverse = np.linalg.inv(np.linalg.cholesky(hermitian(B) / 2))
        values, inner = np.linalg.eigh(inverse @ (hermitian(A) / 2) @ adjoint(inverse))
        vectors = adjoint(inverse) @ inner
    if options.get("largest", True):
        values, vectors = values[..., ::-1], vectors[..., ::-1]
    return values[..., : k or 1], vectors[..., : k or 1]


def _planes(values: Any, vectors: Any) -> Any:
    """Eigenvalues, and v v^H of each, which has no sign."""
    rows = vectors.swapaxes(-1, -2)
    return values, rows[..., :, None] * rows[..., None, :]


@composite(
    "lobpcg(A, k: int? = None, B: Tensor? = None, X: Tensor? = None, n: int? = None, "
    "iK: Tensor? = None, niter: int? = None, tol: float? = None, largest: bool? = None, "
    "method: str? = None)",
    doc=f"""The k largest (or smallest) eigenvalues and vectors of A x = lambda B x.

    A: [*B, n, n] symmetric, B: [*B, n, n] positive-definite, the identity by default, k: 1 by
    default, or as many as X has columns -> eigenvalues [*B, k], the extreme one first, and vectors
    [*B, n, k] with x^H B x = 1. Tensors are dense here, so the answer comes from the full
    decomposition: exact, whatever the start X, the preconditioner iK, niter, tol and method say.

    Raises ArgumentError for k outside of 1 to n, LinAlgError for a B that is not positive-definite,
    ShapeError for other shapes. Source: {TORCH}, `torch.lobpcg`.

    >>> samara.lobpcg(samara.tensor([[2.0, 0.0], [0.0, 5.0]])).eigenvalues.tolist()
    [5.0]
    """,
    ref=_lobpcg_ref,
    invariant=_planes,
    ulp=64,
    condition="max",
    dtypes=DTYPES[:2],
    samples=lambda rng: [
        Sample(hermitian(rng.normal(size=(4, 4))), 2),
        Sample(hermitian(rng.normal(size=(2, 3, 3))), 3, largest=False),
        Sample(hermitian(rng.normal(size=(3, 3))), 2, positive_definite(rng.normal(size=(3, 3)))),
        Sample(np.ones((1, 1))),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "k is 3", np.eye(2), 3),
        ErrorSample(ArgumentError, "k is 0", np.eye(2), 0),
        ErrorSample(ShapeError, "", np.ones((2, 3))),
        ErrorSample(ArgumentError, "method is 'power'", np.eye(2), 1, method="power"),
    ],
    methods=(),
)
def lobpcg(
    A: Tensor,
    k: int | None = None,
    B: Tensor | None = None,
    X: Tensor | None = None,
    n: int | None = None,
    iK: Tensor | None = None,
    niter: int | None = None,
    tol: float | None = None,
    largest: bool | None = None,
    method: str | None = None,
) -> Any:
    require_square("lobpcg", A, "A")
    require_dtype("lobpcg", A, DTYPES[:2], "A")
    if method not in (None, "basic", "ortho"):
        raise ArgumentError(
            f"lobpcg: method is {method!r}. Expected 'basic' or 'ortho'. Fix: leave it out."
        )
    wanted = n if n is not None else k
    count = (1 if X is None else X.shape[-1]) if wanted is None else wanted
    if not 1 <= count <= A.shape[-1]:
        raise ArgumentError(
            f"lobpcg: k is {count} for matrices {tuple(A.shape[-2:])}. Expected 1 to "
            f"{A.shape[-1]}. Fix: ask for fewer."
        )
    symmetric = hermitian(A) / 2
    if B is None:
        values, vectors = eigh(symmetric)
    else:
        lower = cholesky(hermitian(B) / 2)
        half = solve_triangular(lower, symmetric, upper=False)
        inner = adjoint(solve_triangular(lower, adjoint(half), upper=False))
        values, vectors = eigh(hermitian(inner) / 2)
        vectors = solve_triangular(adjoint(lower), vectors, upper=True)
    if largest is not False:
        values, vectors = flip(values, axis=-1), flip(vectors, axis=-1)
    return Lobpcg(values[..., :count], vectors[..., :count])
