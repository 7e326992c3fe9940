"""Equations: solve, inverse, determinant, triangular systems, least squares, pseudo-inverse."""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import samara._core as _core
from samara.dtypes import COMPLEX, finfo
from samara.errors import ArgumentError, LinAlgError, ShapeError
from samara.ops.creation import zeros
from samara.ops.linalg_common import (
    DTYPES,
    STANDARD,
    TORCH,
    adjoint,
    any_requires_grad,
    eye_like,
    from_lower,
    matrix,
    promoted,
    require_matrix,
    require_square,
    same_batch,
    shape_errors,
    singular_sample,
    square_errors,
)
from samara.ops.matmul import matmul
from samara.ops.record import ErrorSample, Sample, composite
from samara.ops.selection import where
from samara.tensor import Tensor

Operation = _core.Operation


# --- inverse --------------------------------------------------------------------------------------


def _inv_grad(g: Any, x: Tensor, y: Any, *, check: bool) -> Tensor:
    inverse = adjoint(y[0])
    return -matmul(matmul(inverse, g[0]), inverse)


InvEx = namedtuple("InvEx", ["inverse", "info"])
_inv: Callable[..., Any] = Operation(
    "linalg.inv(A, check: bool)", "linalg.inv", output_type=InvEx, rule=_inv_grad
)


@composite(
    "linalg.inv(A)",
    doc=f"""The inverse of each matrix, A A^-1 = 1.

    A: [*B, n, n] float or complex -> [*B, n, n]. To multiply by an inverse use `solve`, which is
    faster and more accurate.

    Raises LinAlgError that names the first singular matrix, ShapeError for other shapes.
    Source: {STANDARD}, `linalg.inv`.

    >>> samara.linalg.inv(samara.tensor([[2.0, 1.0], [0.0, 1.0]])).tolist()
    [[0.5, -0.5], [0.0, 1.0]]
    """,
    ref=lambda A: np.linalg.inv(A),
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(matrix(3, 3)(rng)),
        Sample(matrix(2, 4, 4)(rng)),
        Sample(matrix(1, 1)(rng)),
        Sample(np.zeros((0, 3, 3))),
        Sample(np.zeros((2, 0, 0))),
    ],
    errors=square_errors(singular_sample()),
    aliases=("inverse",),
    methods=("inverse",),
)
def inv(A: Tensor) -> Tensor:
    require_square("linalg.inv", A, "A")
    return _inv(A, True)[0]  # type: ignore[no-any-return]


@composite(
    "linalg.inv_ex(A, *, check_errors: bool = False)",
    doc=f"""The inverse of each matrix and `info`, 0 where there is one; no error elsewhere.

    A: [*B, n, n] -> inverse [*B, n, n], zeros where it does not exist; info [*B] int32, the number
    of the pivot that is zero. With check_errors=True as `inv`.
    Source: {TORCH}, `torch.linalg.inv_ex`.

    >>> samara.linalg.inv_ex(samara.zeros(2, 2)).info.item()
    1
    """,
    ref=lambda A, check_errors=False: (np.linalg.inv(A), np.zeros(A.shape[:-2], np.int64)),
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [Sample(matrix(2, 3, 3)(rng)), Sample(matrix(1, 1)(rng))],
    errors=square_errors(),
)
def inv_ex(A: Tensor, *, check_errors: bool = False) -> Any:
    require_square("linalg.inv_ex", A, "A")
    return _inv(A, check_errors)


# --- solve ----------------------------------------------------------------------------------------


def _solve_grad(
    g: Any, A: Tensor, B: Tensor, y: Any, *, left: bool, check: bool
) -> tuple[Tensor, Tensor]:
    x = y[0]
    db = _solve(adjoint(A), g[0], left, False)[0]
    return (-matmul(db, adjoint(x)) if left else -matmul(adjoint(x), db)), db


SolveEx = namedtuple("SolveEx", ["result", "info"])
_solve: Callable[..., Any] = Operation(
    "linalg.solve(A, B, left: bool, check: bool)",
    "linalg.solve",
    output_type=SolveEx,
    rule=_solve_grad,
)


def _solved(place: str, A: Tensor, B: Tensor, left: bool, check: bool) -> Any:
    require_square(place, A, "A")
    if not isinstance(B, Tensor) or B.ndim == 0:
        raise ShapeError(
            f"{place}: B is a number. Expected a vector, a matrix or a stack of matrices. "
            "Fix: reshape it to (n,)."
        )
    A, B = promoted(A, B)
    vector = B.ndim == 1
    if vector:
        if not left:
            raise ShapeError(
                f"{place}: B is a vector and left=False. Expected a matrix, as X A = B has rows. "
                "Fix: use B[None, :]."
            )
        B = B.unsqueeze(-1)
    one = A.ndim == 2 and B.ndim > 2 and left and A.shape[-1] == B.shape[-2]
    batch = tuple(B.shape[:-2])
    columns = B.shape[-1]
    if one:  # one factorization for the whole stack: its columns side by side
        B = B.movedim(-2, 0).reshape(B.shape[-2], math.prod(batch) * columns)
    own = tuple(A.shape[:-2])
    A, B = same_batch(place, A, B)
    result, info = _solve(A, B, left, check)
    if one:
        result = result.reshape(A.shape[-1], *batch, columns).movedim(0, -2)
    # One number for each A, also where it served several B.
    info = info[(0,) * (info.ndim - len(own))]
    info = info[tuple(slice(size) for size in own)]
    return SolveEx(result.squeeze(-1) if vector else result, info)


def _solve_ref(A: Any, B: Any, left: bool = True) -> Any:
    if not left:
        return np.swapaxes(np.linalg.solve(np.swapaxes(A, -1, -2), np.swapaxes(B, -1, -2)), -1, -2)
    return np.linalg.solve(A, B)


def _solve_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(matrix(3, 3)(rng), rng.normal(size=(3, 2))),
        Sample(matrix(3, 3)(rng), rng.normal(size=3)),
        Sample(matrix(2, 3, 3)(rng), rng.normal(size=3)),
        Sample(matrix(2, 3, 3)(rng), rng.normal(size=(2, 3, 4))),
        Sample(matrix(3, 3)(rng), rng.normal(size=(2, 3, 4))),
        Sample(matrix(2, 1, 3, 3)(rng), rng.normal(size=(2, 3, 1))),
        Sample(matrix(3, 3)(rng), rng.normal(size=(2, 3)), left=False),
        Sample(matrix(2, 3, 3)(rng), rng.normal(size=(4, 3)), left=False),
        Sample(matrix(1, 1)(rng), rng.normal(size=(1, 1))),
        Sample(np.zeros((0, 3, 3)), np.zeros((0, 3, 2))),
        Sample(matrix(3, 3)(rng), np.zeros((3, 0))),
        Sample(np.zeros((0, 0)), np.zeros((0, 2))),
    ]


@composite(
    "linalg.solve(A, B, *, left: bool = True)",
    doc=f"""X of A X = B, or of X A = B with left=False, by LU factors with row exchanges.

    A: [*B, n, n], B: [n] or [*B, n, k] ([*B, k, n] with left=False), broadcast -> the shape of B.
    Only a 1-D B is a vector; for a stack of vectors write B[..., None].

    Raises LinAlgError that names the first singular matrix, ShapeError for shapes that do not fit.
    Source: {STANDARD}, `linalg.solve`.

    >>> A = samara.tensor([[2.0, 0.0], [0.0, 4.0]])
    >>> samara.linalg.solve(A, samara.tensor([2.0, 2.0])).tolist()
    [1.0, 0.5]
    """,
    ref=_solve_ref,
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=_solve_samples,
    errors=lambda: [
        ErrorSample(ShapeError, "Expected a matrix", np.ones(3), np.ones(3)),
        ErrorSample(ShapeError, "Expected square", np.ones((2, 3)), np.ones(2)),
        ErrorSample(ShapeError, "3 rows meet 2 rows", np.eye(3), np.ones(2)),
        ErrorSample(ShapeError, "do not broadcast", np.ones((2, 2, 2)), np.ones((3, 2, 2))),
        ErrorSample(ShapeError, "left=False", np.eye(3), np.ones(3), left=False),
        singular_sample(np.ones(2)),
    ],
)
def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    return _solved("linalg.solve", A, B, left, True).result  # type: ignore[no-any-return]


@composite(
    "linalg.solve_ex(A, B, *, left: bool = True, check_errors: bool = False)",
    doc=f"""`solve` that reports singular matrices in `info` [*B] int32 instead of raising.

    Where info is not 0 the result is zeros. Source: {TORCH}, `torch.linalg.solve_ex`.

    >>> samara.linalg.solve_ex(samara.eye(2), samara.ones(2)).result.tolist()
    [1.0, 1.0]
    """,
    ref=lambda A, B, left=True, check_errors=False: (
        _solve_ref(A, B, left),
        np.zeros(A.shape[:-2], np.int64),
    ),
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=_solve_samples,
    errors=lambda: [ErrorSample(ShapeError, "Expected square", np.ones((2, 3)), np.ones(2))],
)
def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> Any:
    return _solved("linalg.solve_ex", A, B, left, check_errors)


# --- triangular systems ---------------------------------------------------------------------------


def _triangular_grad(
    g: Tensor, A: Tensor, B: Tensor, x: Tensor, *, upper: bool, left: bool, unitriangular: bool
) -> tuple[Tensor, Tensor]:
    db = _triangular(adjoint(A), g, not upper, left, unitriangular)
    da = -matmul(db, adjoint(x)) if left else -matmul(adjoint(x), db)
    skip = int(unitriangular)
    return (da.triu(skip) if upper else da.tril(-skip)), db


_triangular: Callable[..., Tensor] = Operation(
    "linalg.solve_triangular(A, B, upper: bool, left: bool, unitriangular: bool)",
    "linalg.solve_triangular",
    rule=_triangular_grad,
)


def solved_triangular(
    A: Tensor, B: Tensor, upper: bool, left: bool = True, unit: bool = False
) -> Tensor:
    """`solve_triangular` of matrices whose leading axes and dtypes are equal."""
    return _triangular(A, B, upper, left, unit)


def _solve_triangular_ref(
    A: Any, B: Any, upper: bool, left: bool = True, unitriangular: bool = False
) -> Any:
    T = np.triu(A) if upper else np.tril(A)
    if unitriangular:
        T = T - T * np.eye(A.shape[-1]) + np.eye(A.shape[-1])
    return _solve_ref(T, B, left)


@composite(
    "linalg.solve_triangular(A, B, *, upper: bool, left: bool = True, unitriangular: bool = False)",
    doc=f"""X of A X = B (X A = B with left=False) for a triangular A; the rest of it is not read.

    A: [*B, n, n], B: [*B, n, k] (or [*B, k, n]), broadcast -> the shape of B. With unitriangular
    the diagonal counts as ones. A zero on the diagonal gives infinities, not an error.

    Raises ShapeError for shapes that do not fit. Source: {TORCH}, `torch.linalg.solve_triangular`.

    >>> A = samara.tensor([[2.0, 1.0], [0.0, 4.0]])
    >>> samara.linalg.solve_triangular(A, samara.tensor([[4.0], [8.0]]), upper=True).tolist()
    [[1.0], [2.0]]
    """,
    ref=_solve_triangular_ref,
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(matrix(3, 3)(rng), rng.normal(size=(3, 2)), upper=True),
        Sample(matrix(2, 3, 3)(rng), rng.normal(size=(2, 3, 1)), upper=False),
        Sample(matrix(3, 3)(rng), rng.normal(size=(2, 3)), upper=False, left=False),
        Sample(matrix(3, 3)(rng), rng.normal(size=(2, 2, 3)), upper=True, left=False),
        Sample(matrix(3, 3)(rng), rng.normal(size=(3, 2)), upper=True, unitriangular=True),
        Sample(matrix(3, 3)(rng), rng.normal(size=(3, 2)), upper=False, unitriangular=True),
        Sample(matrix(1, 1)(rng), rng.normal(size=(1, 1)), upper=True),
        Sample(np.zeros((0, 2, 2)), np.zeros((0, 2, 1)), upper=True),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "Expected a matrix", np.ones(3), np.ones((3, 1)), upper=True),
        ErrorSample(ShapeError, "Expected square", np.ones((2, 3)), np.ones((2, 1)), upper=True),
        ErrorSample(ShapeError, "3 rows meet 2 rows", np.eye(3), np.ones((2, 1)), upper=True),
        ErrorSample(ShapeError, "B has shape", np.eye(3), np.ones(3), upper=True),
    ],
)
def solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    place = "linalg.solve_triangular"
    require_square(place, A, "A")
    require_matrix(place, B, "B")
    A, B = same_batch(place, *promoted(A, B))
    return _triangular(A, B, upper, left, unitriangular)


TriangularSolve = namedtuple("TriangularSolve", ["solution", "cloned_coefficient"])


@composite(
    "triangular_solve(B, A, upper: bool = True, transpose: bool = False, "
    "unitriangular: bool = False)",
    doc=f"""X of A X = B, or of A^T X = B, for a triangular A, and A itself.

    B: [*B, n, k], A: [*B, n, n] -> solution [*B, n, k], cloned_coefficient [*B, n, n].

    Raises ShapeError for shapes that do not fit. Source: {TORCH}, `torch.triangular_solve`.

    >>> samara.triangular_solve(samara.ones(2, 1), samara.eye(2)).solution.tolist()
    [[1.0], [1.0]]
    """,
    ref=lambda B, A, upper=True, transpose=False, unitriangular=False: (
        _solve_triangular_ref(
            np.swapaxes(A, -1, -2) if transpose else A, B, upper != transpose, True, unitriangular
        ),
        np.broadcast_to(A, (*np.broadcast_shapes(A.shape[:-2], B.shape[:-2]), *A.shape[-2:])),
    ),
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 2)), matrix(3, 3)(rng)),
        Sample(rng.normal(size=(2, 3, 2)), matrix(3, 3)(rng), upper=False, transpose=True),
        Sample(rng.normal(size=(1, 1)), matrix(1, 1)(rng), unitriangular=True),
    ],
    errors=lambda: [ErrorSample(ShapeError, "Expected square", np.ones((2, 1)), np.ones((2, 3)))],
    methods=("triangular_solve",),
)
def triangular_solve(
    B: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> Any:
    require_square("triangular_solve", A, "A")
    require_matrix("triangular_solve", B, "B")
    A, B = same_batch("triangular_solve", *promoted(A, B))
    T = A.transpose(-2, -1) if transpose else A
    return TriangularSolve(_triangular(T, B, upper != transpose, True, unitriangular), A.clone())


# --- determinants ---------------------------------------------------------------------------------


def _det_grad(g: Tensor, A: Tensor, y: Tensor) -> Tensor:
    """dL/dA = g adj(A)^H, and adj(A) = det(A) A^-1 where there is an inverse."""
    inverse, info = _inv(A, False)
    regular = (g * y.conj())[..., None, None] * adjoint(inverse)
    if not info.numel() or not (info != 0).any():
        return regular  # type: ignore[no-any-return]
    # adj(A) = det(U) det(V^H) V diag(products of the other singular values) U^H.
    from samara.ops.linalg_spectrum import svd

    u, s, vh = svd(A)
    others = where(eye_like(s).astype(_core.bool), 1.0, s.unsqueeze(-2)).prod(-1)
    turns = g * (_det(u) * _det(vh)).conj()
    cofactors = matmul(u * others.unsqueeze(-2), vh) * turns[..., None, None]
    return where((info != 0)[..., None, None], cofactors, regular)


_det: Callable[..., Tensor] = Operation("linalg.det(A)", "linalg.det", rule=_det_grad)


def _square_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(matrix(3, 3)(rng)),
        Sample(matrix(2, 4, 4)(rng)),
        Sample(rng.normal(size=(2, 2))[::-1]),
        Sample(matrix(1, 1)(rng)),
        Sample(np.zeros((0, 3, 3))),
        Sample(np.zeros((2, 0, 0))),
    ]


@composite(
    "linalg.det(A)",
    doc=f"""The determinant of each square matrix, from its LU factors. A: [*B, n, n] -> [*B].

    The gradient exists at singular matrices as well; its own gradient there asks for distinct
    singular values. For large matrices `slogdet` neither overflows nor underflows.

    Raises ShapeError for other shapes. Source: {STANDARD}, `linalg.det`.

    >>> samara.linalg.det(samara.tensor([[1.0, 2.0], [3.0, 4.0]])).item()
    -2.0
    """,
    ref=lambda A: np.linalg.det(A),
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        *_square_samples(rng),
        Sample(np.array([[1.0, 2.0, 0.5], [2.0, 4.0, 1.0], [0.5, 1.0, 3.0]])),
        Sample(np.array([[[0.0, 0.0], [0.0, 2.0]], [[1.0, 2.0], [3.0, 4.0]]])),
    ],
    errors=square_errors(),
    aliases=("det",),
    methods=("det",),
)
def det(A: Tensor) -> Tensor:
    require_square("linalg.det", A, "A")
    return _det(A)


def _slogdet_grad(g: Any, A: Tensor, y: Any) -> Tensor:
    """D log det = tr(A^-1 dA) = d log|det| + i d arg."""
    weight = g[1]
    if A.dtype in COMPLEX:
        turn = (g[0].conj() * y[0]).imag
        weight = weight - 1j * turn
    return weight[..., None, None] * adjoint(_inv(A, True)[0])  # type: ignore[no-any-return]


SLogDet = namedtuple("SLogDet", ["sign", "logabsdet"])
_slogdet: Callable[..., Any] = Operation(
    "linalg.slogdet(A)", "linalg.slogdet", output_type=SLogDet, rule=_slogdet_grad
)


@composite(
    "linalg.slogdet(A)",
    doc=f"""The sign (or phase) of each determinant and the logarithm of its absolute value.

    A: [*B, n, n] -> sign [*B], logabsdet [*B] real. A singular matrix has sign 0 and -inf.

    Raises ShapeError for other shapes; the gradient raises LinAlgError at a singular matrix.
    Source: {STANDARD}, `linalg.slogdet`.

    >>> samara.linalg.slogdet(samara.tensor([[0.0, 2.0], [2.0, 0.0]])).sign.item()
    -1.0
    """,
    ref=lambda A: tuple(np.linalg.slogdet(A)),
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=_square_samples,
    errors=square_errors(),
    aliases=("slogdet",),
    methods=("slogdet",),
)
def slogdet(A: Tensor) -> Any:
    require_square("linalg.slogdet", A, "A")
    return _slogdet(A)


def _logdet_ref(A: Any) -> Any:
    sign, size = np.linalg.slogdet(A)
    return size + np.log(sign)


@composite(
    "logdet(A)",
    doc=f"""The logarithm of each determinant: NaN where it is negative, -inf where it is 0.

    A: [*B, n, n] -> [*B]. Raises ShapeError for other shapes. Source: {TORCH}, `torch.logdet`.

    >>> samara.logdet(samara.eye(2)).item()
    0.0
    """,
    ref=_logdet_ref,
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(matrix(3, 3)(rng) + 3 * np.eye(3)),
        Sample(matrix(2, 2, 2)(rng) + 3 * np.eye(2)),
        Sample(np.array([[-2.0]])),
        Sample(np.zeros((0, 2, 2))),
    ],
    errors=square_errors(),
)
def logdet(A: Tensor) -> Tensor:
    require_square("logdet", A, "A")
    sign, size = _slogdet(A)
    if A.dtype in COMPLEX:
        return size + sign.log()  # type: ignore[no-any-return]
    return where(sign < 0, math.nan, size)


# --- pseudo-inverse and least squares -------------------------------------------------------------


def _pinv_grad(
    g: Tensor, A: Tensor, atol: Tensor, rtol: Tensor, P: Tensor
) -> tuple[Tensor, None, None]:
    return pinv_gradient(g, A, P), None, None


def pinv_gradient(g: Tensor, A: Tensor, P: Tensor) -> Tensor:
    """dL/dA of P = A^+ at constant rank.

    dP = -P dA P + P P^H dA^H (1 - A P) + (1 - P A) dA^H P^H P (Golub and Pereyra, 1973).
    """
    gh, ph = adjoint(g), adjoint(P)
    if A.shape[-2] >= A.shape[-1]:  # products no larger than n x n
        inner = matmul(P, gh)
        first, left, right = matmul(inner, P), matmul(gh, matmul(P, ph)), matmul(ph, inner)
        return (  # type: ignore[no-any-return]
            left - matmul(A, matmul(P, left)) + right - matmul(right, matmul(P, A)) - adjoint(first)
        )
    inner = matmul(gh, P)
    first, left, right = matmul(P, inner), matmul(inner, ph), matmul(matmul(ph, P), gh)
    return (  # type: ignore[no-any-return]
        left - matmul(matmul(A, P), left) + right - matmul(matmul(right, P), A) - adjoint(first)
    )


_pinv: Callable[..., Tensor] = Operation(
    "linalg.pinv(A, atol, rtol)", "linalg.pinv", rule=_pinv_grad
)


def tolerances(place: str, A: Tensor, atol: Any, rtol: Any) -> tuple[Tensor, Tensor]:
    """Both as float64 tensors [*B]; by default rtol = eps max(m, n) unless atol is given."""
    if rtol is None:
        given = atol is not None and not isinstance(atol, Tensor) and atol > 0
        given = given or isinstance(atol, Tensor)
        rtol = 0.0 if given else finfo(A.dtype).eps * max(A.shape[-2:])
    batch = tuple(A.shape[:-2])

    def spread(value: Any, name: str) -> Tensor:
        if isinstance(value, (str, complex)) or not (
            isinstance(value, Tensor) or hasattr(value, "__float__")
        ):
            raise ArgumentError(
                f"{place}: {name} is {value!r}. Expected a number or a tensor with one number for "
                "each matrix. Fix: pass that."
            )
        if not isinstance(value, Tensor):
            plain: Tensor = zeros(batch, dtype=_core.float64, device=A.device) + float(value)
            return plain
        wide = value.detach().astype(_core.float64)
        if tuple(np.broadcast_shapes(tuple(wide.shape), batch)) != batch:
            raise ShapeError(
                f"{place}: {name} has shape {tuple(value.shape)} for matrices of shape "
                f"{tuple(A.shape)}. Expected one number for each matrix. Fix: reshape it."
            )
        return wide.expand(batch)

    return spread(0.0 if atol is None else atol, "atol"), spread(rtol, "rtol")


def _pinv_ref(A: Any, rtol: Any = None, *, atol: Any = None, hermitian: bool = False) -> Any:
    if 0 in A.shape[-2:]:
        return np.zeros((*A.shape[:-2], A.shape[-1], A.shape[-2]), A.dtype)
    if hermitian:
        A = from_lower(A)
    u, s, vh = np.linalg.svd(A, full_matrices=False)
    limit = s[..., :1] * (1e-6 if rtol is None else rtol) + (atol or 0)
    inverse = np.where(s > limit, 1 / s, 0)
    return np.swapaxes(vh.conj(), -1, -2) * inverse[..., None, :] @ np.swapaxes(u.conj(), -1, -2)


@composite(
    "linalg.pinv(A, rtol: Tensor? = None, *, atol: Tensor? = None, hermitian: bool = False)",
    doc=f"""The Moore-Penrose pseudo-inverse of each matrix, V S^+ U^H of its singular values.

    A: [*B, m, n] -> [*B, n, m]. Singular values up to max(atol, rtol * the largest) count as 0; by
    default rtol = eps max(m, n) (0 where atol is given). Both are numbers or tensors [*B]. With
    hermitian=True only the lower triangle of a square matrix is read. The gradient is that at
    constant rank.

    Raises LinAlgError for NaN or infinity, ShapeError for other shapes.
    Source: {STANDARD}, `linalg.pinv`.

    >>> samara.linalg.pinv(samara.tensor([[2.0], [0.0]])).tolist()
    [[0.5, 0.0]]
    """,
    ref=_pinv_ref,
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(matrix(4, 3)(rng)),
        Sample(matrix(3, 4)(rng)),
        Sample(matrix(2, 3, 3)(rng)),
        Sample(np.eye(3)),
        Sample(matrix(3, 3)(rng), 1e-3),
        Sample(matrix(3, 3)(rng), rtol=1e-4, atol=1e-3),
        Sample(matrix(2, 3, 3)(rng), hermitian=True),
        Sample(np.zeros((0, 3))),
        Sample(np.zeros((0, 3, 2))),
        Sample(np.ones((1, 1))),
    ],
    errors=shape_errors(
        ErrorSample(ArgumentError, "rtol is 'x'", np.eye(2), "x"),
        ErrorSample(LinAlgError, "NaN or infinite", np.array([[np.nan]])),
        ErrorSample(ShapeError, "Expected square", np.ones((2, 3)), hermitian=True),
    ),
    aliases=("pinverse",),
    methods=("pinverse",),
)
def pinv(A: Tensor, rtol: Any = None, *, atol: Any = None, hermitian: bool = False) -> Tensor:
    require_matrix("linalg.pinv", A, "A")
    if hermitian:
        require_square("linalg.pinv", A, "A")
        A = from_lower(A)
    return _pinv(A, *tolerances("linalg.pinv", A, atol, rtol))


def _lstsq_grad(
    g: Any, A: Tensor, B: Tensor, y: Any, *, rcond: float, driver: str
) -> tuple[Tensor, Tensor]:
    """X = A^+ B."""
    P = pinv(A)
    return pinv_gradient(matmul(g[0], adjoint(B)), A, P), matmul(adjoint(P), g[0])


LeastSquares = namedtuple("LeastSquares", ["solution", "residuals", "rank", "singular_values"])
_lstsq: Callable[..., Any] = Operation(
    "linalg.lstsq(A, B, rcond: float, driver: str)",
    "linalg.lstsq",
    output_type=LeastSquares,
    rule=_lstsq_grad,
)


def _lstsq_ref(A: Any, B: Any, rcond: Any = None, *, driver: str | None = None) -> Any:
    columns = B[..., None] if B.ndim == A.ndim - 1 else B
    x = _pinv_ref(A) @ columns
    return x[..., 0] if B.ndim == A.ndim - 1 else x


@composite(
    "linalg.lstsq(A, B, rcond: float? = None, *, driver: str? = None)",
    doc=f"""X that minimises |A X - B| (Frobenius), the shortest one where there are several.

    A: [*B, m, n], B: [*B, m, k], or [*B, m] for vectors -> solution [*B, n, k] (or [*B, n]),
    residuals [*B, k] (sums of squares; empty unless m > n and the rank is n, and with 'gelsy'),
    rank [*B] (empty with 'gels'), singular_values [*B, min(m, n)] (of 'gelsd' and 'gelss').
    Singular values below rcond times the largest count as 0 (default: eps max(m, n)). driver:
    'gelsy' (default), 'gels' (full rank only), 'gelsd' or 'gelss'. The gradient is that at
    constant rank.

    Raises LinAlgError for NaN, infinity, or with 'gels' a deficient rank; ShapeError for shapes
    that do not fit; ArgumentError for another driver. Source: {TORCH}, `torch.linalg.lstsq`.

    >>> A = samara.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    >>> x = samara.linalg.lstsq(A, samara.tensor([[1.0], [3.0], [5.0]])).solution
    >>> samara.round(x).tolist()
    [[1.0], [2.0]]
    """,
    ref=_lstsq_ref,
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    invariant=lambda *outputs: outputs[0],
    samples=lambda rng: [
        Sample(matrix(4, 2)(rng), rng.normal(size=(4, 3))),
        Sample(matrix(2, 4)(rng), rng.normal(size=(2, 3))),
        Sample(matrix(3, 3)(rng), rng.normal(size=(3, 1)), driver="gels"),
        Sample(matrix(2, 4, 2)(rng), rng.normal(size=(2, 4)), driver="gelsd"),
        Sample(matrix(4, 2)(rng), rng.normal(size=(2, 4, 1)), driver="gelss"),
        Sample(matrix(4, 2)(rng), rng.normal(size=4)),
        Sample(np.ones((1, 1)), np.ones((1, 1))),
        Sample(np.zeros((0, 3, 2)), np.zeros((0, 3, 1))),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "Expected a matrix", np.ones(3), np.ones(3)),
        ErrorSample(ShapeError, "3 rows meet 2 rows", np.ones((3, 2)), np.ones((2, 1))),
        ErrorSample(ArgumentError, "driver is 'x'", np.eye(2), np.ones((2, 1)), driver="x"),
        ErrorSample(LinAlgError, "NaN or infinite", np.array([[np.inf]]), np.ones((1, 1))),
        ErrorSample(
            LinAlgError, "no full rank", np.eye(3, 2) * [1, 0], np.ones((3, 1)), driver="gels"
        ),
    ],
)
def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> Any:
    require_matrix("linalg.lstsq", A, "A")
    A, B = promoted(A, B)
    vector = B.ndim == A.ndim - 1
    if vector:
        B = B.unsqueeze(-1)
    require_matrix("linalg.lstsq", B, "B")
    A, B = same_batch("linalg.lstsq", A, B)
    chosen = "gelsy" if driver is None else driver
    m, n = A.shape[-2:]
    cut = finfo(A.dtype).eps * max(m, n, 1) if rcond is None else rcond
    x, residuals, rank, values = _lstsq(A, B, cut, chosen)
    if (
        chosen == "gelsy"
        or m <= n
        or (chosen != "gels" and rank.numel() and bool((rank < n).any()))
    ):
        residuals = zeros(0, dtype=residuals.dtype, device=A.device)
    elif any_requires_grad(A, B):
        residuals = (abs(matmul(A, x) - B) ** 2).sum(axis=-2)
    if chosen == "gels":
        rank = zeros(0, dtype=_core.int64, device=A.device)
    if chosen not in ("gelsd", "gelss"):
        values = zeros(0, dtype=values.dtype, device=A.device)
    return LeastSquares(x.squeeze(-1) if vector else x, residuals, rank, values)


# --- tensors as matrices --------------------------------------------------------------------------


@composite(
    "linalg.tensorinv(A, ind: int = 2)",
    doc=f"""The inverse of the map that tensordot(A, x, A.ndim - ind) is.

    A: [*S, *T] with S its first `ind` axes and as many elements in S as in T -> [*T, *S].

    Raises ShapeError when they are not as many, ArgumentError for ind < 1, LinAlgError when there
    is no inverse. Source: {TORCH}, `torch.linalg.tensorinv`.

    >>> samara.linalg.tensorinv(samara.eye(6).reshape(6, 2, 3), 1).shape
    (2, 3, 6)
    """,
    ref=lambda A, ind=2: np.linalg.tensorinv(A, ind),
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(matrix(6, 6)(rng).reshape(2, 3, 6)),
        Sample(matrix(4, 4)(rng).reshape(4, 2, 2), ind=1),
        Sample(np.ones((1, 1, 1)), 1),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "ind is 0", np.eye(2), 0),
        ErrorSample(ShapeError, "6 and 4 elements", np.ones((2, 3, 4))),
    ],
)
def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    if ind < 1:
        raise ArgumentError(
            f"linalg.tensorinv: ind is {ind}. Expected 1 or more. Fix: pass the number of axes "
            "that come first."
        )
    first, last = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    rows, columns = math.prod(first), math.prod(last)
    if rows != columns:
        raise ShapeError(
            f"linalg.tensorinv: A has shape {tuple(A.shape)}, with {rows} and {columns} elements "
            f"in the first {ind} axes and in the others. Expected equally many. Fix: correct ind."
        )
    return inv(A.reshape(rows, columns)).reshape(*last, *first)


@composite(
    "linalg.tensorsolve(A, B, axis: ints? = None)",
    doc=f"""X of tensordot(A, X, X.ndim) = B.

    A: [*S, *T] with S the shape of B (its axes named in `axis` are moved to the end first) and as
    many elements in T as in S -> [*T].

    Raises ShapeError when the numbers do not fit, LinAlgError when there is no solution.
    Source: {TORCH}, `torch.linalg.tensorsolve`.

    >>> samara.linalg.tensorsolve(samara.eye(6).reshape(6, 2, 3), samara.ones(6)).shape
    (2, 3)
    """,
    ref=lambda A, B, axis=None: np.linalg.tensorsolve(A, B, axis),
    dtypes=DTYPES,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(matrix(6, 6)(rng).reshape(2, 3, 6), rng.normal(size=(2, 3))),
        Sample(matrix(6, 6)(rng).reshape(6, 2, 3).swapaxes(0, 1), rng.normal(size=6), axis=(0, 2)),
        Sample(np.ones((1, 1)), np.ones(1)),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "4 unknowns and 6 equations", np.ones((2, 3, 4)), np.ones((2, 3)))
    ],
)
def tensorsolve(A: Tensor, B: Tensor, axis: int | Sequence[int] | None = None) -> Tensor:
    if axis is not None:
        axes = (axis,) if isinstance(axis, int) else tuple(axis)
        A = A.movedim(axes, tuple(range(A.ndim - len(axes), A.ndim)))
    shape = tuple(A.shape[B.ndim :])
    unknowns = math.prod(shape)
    if unknowns != B.numel() or unknowns * B.numel() != A.numel():
        raise ShapeError(
            f"linalg.tensorsolve: A has shape {tuple(A.shape)} and B {tuple(B.shape)}, {unknowns} "
            f"unknowns and {B.numel()} equations. Expected equally many. Fix: correct the axes."
        )
    return solve(A.reshape(unknowns, unknowns), B.reshape(unknowns)).reshape(shape)
