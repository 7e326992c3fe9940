"""QR factors and products of Householder reflections."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any, cast

import numpy as np

import samara._core as _core
from samara.errors import ArgumentError, GradientError, ShapeError
from samara.ops.checks import require_dtype
from samara.ops.creation import arange
from samara.ops.join import concat
from samara.ops.linalg_common import (
    DTYPES,
    STANDARD,
    TORCH,
    adjoint,
    any_requires_grad,
    diagonal_matrix,
    eye_like,
    main_diagonal,
    require_matrix,
    shape_errors,
)
from samara.ops.linalg_solve import solved_triangular
from samara.ops.matmul import matmul
from samara.ops.record import ErrorSample, Sample, composite
from samara.tensor import Tensor

Operation = _core.Operation


def _qr_grad(g: Any, A: Tensor, y: Any, *, mode: str) -> Tensor:
    """For A1 = Q R1 with a square R1: dA1 = [dQ + Q sym(triu(dR1 R1^H - Q^H dQ))] R1^-H.

    The columns of a wide matrix behind the square part are Q R2, so dA2 = Q dR2 and dQ gains
    Q R2 dR2^H.
    """
    (Q, R), (gq, gr) = y, g
    m, n = A.shape[-2:]
    k = min(m, n)
    if mode == "complete" and m > n:
        raise GradientError(
            "linalg.qr: mode='complete' of a matrix with more rows than columns has no gradient. "
            "Expected mode='reduced': the other columns of Q are not unique. Fix: use that."
        )
    r1, g1 = R[..., :k], gr[..., :k]
    if n > m:
        gq = gq + matmul(matmul(Q, R[..., k:]), adjoint(gr[..., k:]))
    inner = (matmul(g1, adjoint(r1)) - matmul(adjoint(Q), gq)).triu()
    on = main_diagonal(inner)
    inner = inner.triu(1)
    inner = inner + adjoint(inner) + diagonal_matrix(on.real.astype(on.dtype))
    da = solved_triangular(adjoint(r1), gq + matmul(Q, inner), False, left=False)
    return concat([da, matmul(Q, gr[..., k:])], -1) if n > m else da


QR = namedtuple("QR", ["Q", "R"])
_qr: Callable[..., Any] = Operation(
    "linalg.qr(A, mode: str)", "linalg.qr", output_type=QR, rule=_qr_grad
)


def _positive_diagonal(Q: Any, R: Any) -> Any:
    """Q and R with a diagonal of R that is positive: the signs are free."""
    diagonal = R.diagonal(0, -2, -1)
    signs = diagonal / abs(diagonal)
    if Q.ndim != R.ndim:
        return abs(diagonal)
    k = diagonal.shape[-1]
    if R.shape[-2] == k:
        return Q[..., :k] * signs[..., None, :], R * signs.conj()[..., :, None]
    return Q[..., :k] * signs[..., None, :]


def _qr_ref(A: Any, mode: str = "reduced") -> Any:
    if mode == "r":
        return np.zeros(0), np.linalg.qr(A, mode="r")
    return tuple(np.linalg.qr(A, mode="complete" if mode == "complete" else "reduced"))


def _qr_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.normal(size=(3, 3))),
        Sample(rng.normal(size=(2, 4, 3))),
        Sample(rng.normal(size=(2, 4))),
        Sample(rng.normal(size=(3, 3)), mode="complete"),
        Sample(rng.normal(size=(2, 3, 4)), mode="complete"),
        Sample(rng.normal(size=(4, 2)), mode="r"),
        Sample(np.ones((1, 1))),
        Sample(np.zeros((0, 3, 2))),
        Sample(np.zeros((2, 0, 3))),
        Sample(np.zeros((2, 3, 0))),
    ]


@composite(
    "linalg.qr(A, mode: str = 'reduced')",
    doc=f"""A = Q R with orthonormal columns Q and upper triangular R.

    A: [*B, m, n], k = min(m, n) -> Q [*B, m, k], R [*B, k, n]; with mode='complete' Q [*B, m, m],
    R [*B, m, n]; with mode='r' Q is empty. The signs are LAPACK's: the diagonal of R may be
    negative. The gradient wants the first k columns of A independent, and exists for
    mode='complete' where m <= n.

    Raises ArgumentError for another mode, ShapeError for other shapes.
    Source: {STANDARD}, `linalg.qr`.

    >>> Q, R = samara.linalg.qr(samara.tensor([[3.0], [4.0]]))
    >>> samara.round(Q @ R).tolist()
    [[3.0], [4.0]]
    """,
    ref=_qr_ref,
    invariant=_positive_diagonal,
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=_qr_samples,
    errors=shape_errors(ErrorSample(ArgumentError, "mode is 'x'", np.eye(2), mode="x")),
)
def qr(A: Tensor, mode: str = "reduced") -> Any:
    require_matrix("linalg.qr", A, "A")
    if mode == "r" and any_requires_grad(A):
        Q, R = _qr(A, "reduced")
        return QR(Q.detach().reshape(-1)[:0], R)
    return _qr(A, mode)


@composite(
    "qr(A, some: bool = True)",
    doc=f"""`linalg.qr`, complete unless `some`. Source: {TORCH}, `torch.qr`.

    A: [*B, m, n] -> Q [*B, m, k], R [*B, k, n].

    >>> samara.qr(samara.eye(2)).R.shape
    (2, 2)
    """,
    ref=lambda A, some=True: _qr_ref(A, "reduced" if some else "complete"),
    invariant=_positive_diagonal,
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 2))),
        Sample(rng.normal(size=(2, 3)), some=False),
        Sample(np.ones((1, 1))),
    ],
    errors=shape_errors(),
)
def _qr_torch(A: Tensor, some: bool = True) -> Any:
    return qr(A, "reduced" if some else "complete")


Geqrf = namedtuple("Geqrf", ["a", "tau"])
_geqrf: Callable[..., Any] = Operation("geqrf(A)", "linalg.geqrf", output_type=Geqrf)


def _geqrf_ref(A: Any) -> Any:
    return np.abs(np.diagonal(np.linalg.qr(A)[1], axis1=-2, axis2=-1))


@composite(
    "geqrf(A)",
    doc=f"""LAPACK's packed QR: R on and above the diagonal, Householder vectors below, and tau.

    A: [*B, m, n] -> a [*B, m, n], tau [*B, min(m, n)]; for `linalg.householder_product`. There is
    no gradient. Raises ShapeError for other shapes. Source: {TORCH}, `torch.geqrf`.

    >>> samara.geqrf(samara.eye(2)).tau.tolist()
    [0.0, 0.0]
    """,
    ref=_geqrf_ref,
    invariant=lambda a, tau=None: a if tau is None else abs(a.diagonal(0, -2, -1)),
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(4, 3))),
        Sample(rng.normal(size=(2, 3, 3))),
        Sample(np.ones((1, 1))),
    ],
    errors=shape_errors(),
    methods=("geqrf",),
    differentiable=False,
)
def geqrf(A: Tensor) -> Any:
    require_matrix("geqrf", A, "A")
    return _geqrf(A)


def _reflections(A: Any, tau: Any) -> Any:
    """The same product one reflection after the other, for gradients and NumPy alike."""
    m, n = A.shape[-2:]
    rows = np.arange(m) if isinstance(A, np.ndarray) else arange(m, device=A.device)
    Q = eye_like(A, m, n) + A * 0
    for j in reversed(range(tau.shape[-1])):
        below = (rows > j).astype(A.dtype)
        v = (A[..., :, j] * below + (rows == j).astype(A.dtype))[..., None]
        Q = Q - tau[..., j, None, None] * (v @ (adjoint(v) @ Q))
    return Q


def _householder_grad(g: Tensor, A: Tensor, tau: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Through the reflections themselves: the product has no shorter rule of second order."""
    outer = _core.grad_enabled()
    _core.set_grad_enabled(True)
    try:
        a, t = (x.view(x.shape) if outer and x.requires_grad else x.detach() for x in (A, tau))
        for x in (a, t):
            if not x.requires_grad:
                x.requires_grad = True
        found = _core.backward([_reflections(a, t)], [g], [a, t], outer, outer, False)
    finally:
        _core.set_grad_enabled(outer)
    return cast(tuple[Tensor, Tensor], tuple(found))


_householder: Callable[..., Tensor] = Operation(
    "linalg.householder_product(A, tau)", "linalg.householder_product", rule=_householder_grad
)


@composite(
    "linalg.householder_product(A, tau)",
    doc=f"""The first n columns of H_1 H_2 ... H_k with H_i = 1 - tau_i v_i v_i^H.

    A: [*B, m, n], m >= n, with v_i below the diagonal of column i (1 on it, 0 above);
    tau: [*B, k], k <= n -> [*B, m, n].

    Raises ShapeError for shapes that do not fit.
    Source: {TORCH}, `torch.linalg.householder_product`.

    >>> samara.linalg.householder_product(samara.ones(2, 1), samara.tensor([1.0])).tolist()
    [[0.0], [-1.0]]
    """,
    ref=_reflections,
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(4, 3)), rng.normal(size=3)),
        Sample(rng.normal(size=(2, 3, 3)), rng.normal(size=(2, 2))),
        Sample(np.ones((1, 1)), np.ones(1)),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "Expected a matrix", np.ones(3), np.ones(3)),
        ErrorSample(ShapeError, r"m >= n", np.ones((2, 3)), np.ones(2)),
        ErrorSample(ShapeError, r"k <= n", np.ones((3, 2)), np.ones(3)),
    ],
    aliases=("orgqr",),
    methods=("orgqr",),
)
def householder_product(A: Tensor, tau: Tensor) -> Tensor:
    require_matrix("linalg.householder_product", A, "A")
    return _householder(A, tau)


def _ormqr_ref(A: Any, tau: Any, other: Any, left: bool = True, transpose: bool = False) -> Any:
    m = A.shape[-2]
    wide = np.concatenate([A, np.zeros((*A.shape[:-1], m - A.shape[-1]))], -1)
    Q = _reflections(wide, tau)
    Q = adjoint(Q) if transpose else Q
    return Q @ other if left else other @ Q


@composite(
    "ormqr(A, tau, other, left: bool = True, transpose: bool = False)",
    doc=f"""Q times `other`, Q being the product of all m columns of the reflections geqrf gave.

    `other` times Q with left=False; Q^H for Q with transpose.

    A: [*B, m, k] (k reflectors at most m), tau: [*B, k], other: [*B, m, n] (or [*B, n, m]) ->
    other's shape. Q itself is not made.

    Raises ShapeError for shapes that do not fit. Source: {TORCH}, `torch.ormqr`.

    >>> a, tau = samara.geqrf(samara.tensor([[3.0], [4.0]]))
    >>> samara.round(samara.ormqr(a, tau, samara.tensor([[3.0], [4.0]]), transpose=True)).tolist()
    [[-5.0], [0.0]]
    """,
    ref=_ormqr_ref,
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(4, 3)), rng.normal(size=3), rng.normal(size=(4, 2))),
        Sample(rng.normal(size=(3, 2)), rng.normal(size=2), rng.normal(size=(2, 3)), left=False),
        Sample(
            rng.normal(size=(2, 3, 3)),
            rng.normal(size=(2, 3)),
            rng.normal(size=(2, 3, 1)),
            transpose=True,
        ),
        Sample(rng.normal(size=(3, 2)), rng.normal(size=2), rng.normal(size=(2, 3)), False, True),
        Sample(np.ones((1, 1)), np.ones(1), np.ones((1, 1))),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "Expected a matrix", np.ones(3), np.ones(3), np.ones((3, 1))),
        ErrorSample(ShapeError, "3 rows meet 2", np.ones((3, 1)), np.ones(1), np.ones((2, 1))),
        ErrorSample(ShapeError, "tau has shape", np.ones((3, 1)), np.ones(2), np.ones((3, 1))),
    ],
)
def ormqr(
    A: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False
) -> Tensor:
    require_matrix("ormqr", A, "A")
    require_matrix("ormqr", other, "other")
    for x, name in ((A, "A"), (tau, "tau"), (other, "other")):
        require_dtype("ormqr", x, DTYPES, name)
    m, n = A.shape[-2:]
    meets = other.shape[-2 if left else -1]
    if meets != m:
        raise ShapeError(
            f"ormqr: A has shape {tuple(A.shape)} and other {tuple(other.shape)}: {m} rows meet "
            f"{meets}. Expected as many. Fix: transpose other, or set left."
        )
    if tau.ndim != A.ndim - 1 or tau.shape[-1] > min(m, n):
        raise ShapeError(
            f"ormqr: A has shape {tuple(A.shape)} and tau has shape {tuple(tau.shape)}. Expected "
            "(..., m, n) and (..., k) with k <= min(m, n). Fix: pass what geqrf gave."
        )
    x = other if left else adjoint(other)
    inverse = transpose == left  # Q^H x = H_k^H ... H_1^H x, and x Q = (Q^H x^H)^H
    places = arange(m, device=A.device)
    for j in range(tau.shape[-1]) if inverse else reversed(range(tau.shape[-1])):
        below = (places > j).astype(A.dtype)
        v = (A[..., :, j] * below + (places == j).astype(A.dtype)).unsqueeze(-1)
        factor = tau[..., j, None, None]
        x = x - (factor.conj() if inverse else factor) * matmul(v, matmul(adjoint(v), x))
    return x if left else adjoint(x)
