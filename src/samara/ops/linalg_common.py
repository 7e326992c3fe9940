"""What the linear algebra files share: checks, stacks, and matrices for the tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import samara._core as _core
from samara._core import DType
from samara.dtypes import COMPLEX
from samara.errors import DTypeError, GradientError, LinAlgError, ShapeError
from samara.ops.creation import eye
from samara.ops.record import ErrorSample
from samara.ops.selection import where
from samara.tensor import Tensor

__all__ = [
    "DTYPES",
    "STANDARD",
    "TORCH",
    "Gradient",
    "adjoint",
    "any_requires_grad",
    "diagonal_matrix",
    "divided_by_gaps",
    "eye_like",
    "from_lower",
    "hermitian",
    "main_diagonal",
    "matrix",
    "positive_definite",
    "promoted",
    "real_or_complex",
    "require_matrix",
    "require_no_phase",
    "require_square",
    "same_batch",
    "shape_errors",
    "singular_sample",
    "square_errors",
]

STANDARD = "Python array API standard 2025.12"
TORCH = "PyTorch"
# What LAPACK computes with.
DTYPES: tuple[DType, ...] = (_core.float32, _core.float64, *COMPLEX)

Gradient = Tensor | None


# --- tensors --------------------------------------------------------------------------------------


def adjoint(x: Any) -> Any:
    """The conjugates of the transposed matrices; for tensors and NumPy arrays."""
    turned = x.swapaxes(-1, -2)
    return turned.conj() if isinstance(x, np.ndarray) or x.dtype in COMPLEX else turned


def eye_like(x: Any, rows: int | None = None, columns: int | None = None) -> Any:
    """The identity of x's dtype, of x's last size unless others are given."""
    rows = x.shape[-1] if rows is None else rows
    if isinstance(x, np.ndarray):
        return np.eye(rows, columns).astype(x.dtype)
    return eye(rows, columns, dtype=x.dtype, device=x.device)


def main_diagonal(x: Tensor) -> Tensor:
    """The diagonals of a stack of matrices. [*B, m, n] -> [*B, min(m, n)]."""
    return x.diagonal(0, -2, -1)


def diagonal_matrix(x: Tensor) -> Tensor:
    """Matrices with the given diagonals. [*B, n] -> [*B, n, n]."""
    size = x.shape[-1]
    on = eye(size, dtype=_core.bool, device=x.device)
    return where(on, x.unsqueeze(-1), 0)


def from_lower(x: Any) -> Any:
    """The Hermitian matrices with the lower triangles of x; for tensors and NumPy arrays."""
    if isinstance(x, np.ndarray):
        return np.where(np.tri(x.shape[-1], dtype=bool), x, adjoint(x))
    return x.tril() + adjoint(x.tril(-1))


def real_or_complex(gradient: Tensor, like: Tensor) -> Tensor:
    """A gradient without the imaginary part that a real tensor cannot have."""
    if like.dtype not in COMPLEX and gradient.dtype in COMPLEX:
        return gradient.real  # type: ignore[no-any-return]
    return gradient


def any_requires_grad(*tensors: Tensor) -> bool:
    """Whether this call will be differentiated."""
    return _core.grad_enabled() and any(x.requires_grad for x in tensors)


def require_matrix(place: str, x: Any, name: str = "x") -> None:
    """ShapeError unless x has at least 2 axes, DTypeError unless it is a tensor."""
    if not isinstance(x, Tensor):
        raise DTypeError(
            f"{place}: argument '{name}' has type {type(x).__name__}. Expected a tensor. "
            "Fix: convert it with samara.asarray(...)."
        )
    if x.ndim < 2:
        raise ShapeError(
            f"{place}: {name} has shape {tuple(x.shape)}. Expected a matrix or a stack of matrices "
            "(..., m, n). Fix: reshape it."
        )


def require_square(place: str, x: Any, name: str = "x") -> None:
    """ShapeError unless x holds square matrices."""
    require_matrix(place, x, name)
    if x.shape[-1] != x.shape[-2]:
        raise ShapeError(
            f"{place}: {name} has shape {tuple(x.shape)}, matrices of {x.shape[-2]} rows and "
            f"{x.shape[-1]} columns. Expected square matrices. Fix: cut or reshape it."
        )


def promoted(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both in the dtype they promote to."""
    dtype = _core.promote(x.dtype, y.dtype)
    return (
        x if x.dtype is dtype else x.astype(dtype),
        y if y.dtype is dtype else y.astype(dtype),
    )


def same_batch(place: str, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both stacks of matrices expanded to common leading axes."""
    ours, theirs = tuple(x.shape[:-2]), tuple(y.shape[:-2])
    if ours == theirs:
        return x, y
    try:
        common = tuple(np.broadcast_shapes(ours, theirs))
    except ValueError:
        raise ShapeError(
            f"{place}: shapes {tuple(x.shape)} and {tuple(y.shape)} given; their leading axes "
            f"{ours} and {theirs} do not broadcast. Expected equal sizes, or 1, counted from the "
            "last. Fix: reshape or expand one of them."
        ) from None
    return x.expand((*common, *x.shape[-2:])), y.expand((*common, *y.shape[-2:]))


def require_no_phase(place: str, overlap: Tensor, *gradients: Tensor) -> None:
    """GradientError where a loss changes with the phases of complex vectors, which are free.

    overlap: [*B, n], V^H dL/dV for each vector, whose imaginary part is the change;
    gradients: dL/dV.
    """
    if overlap.dtype not in COMPLEX or not overlap.numel():
        return
    size = sum(abs(g.detach()).max().item() for g in gradients if g.numel())
    if abs(overlap.detach().imag).max().item() > 1e-3 * size:
        raise GradientError(
            f"{place}: the loss depends on the phases of complex vectors. Expected a loss that "
            "does not change when a vector is multiplied by exp(i phi), since that choice is "
            "free. Fix: use absolute values or products such as v v^H."
        )


def divided_by_gaps(x: Tensor, gaps: Tensor) -> Tensor:
    """X / gaps for the coupling of vectors i and j; where the gap is 0 and x too, 0.

    At equal eigenvalues any basis of their space is right, so a loss that makes sense does not
    couple its vectors. Where one does, the gradient is infinite.
    """
    closed = gaps == 0
    quotient = x / where(closed, 1.0, gaps)
    size = abs(x.detach())
    limit = size.amax((-2, -1), keepdims=True) * 1e-3 if x.numel() else size
    coupled = where(closed & (size > limit), np.inf, 0.0)
    return where(closed, coupled, quotient)


# --- matrices for the tests -----------------------------------------------------------------------


def matrix(*shape: int) -> Callable[[np.random.Generator], Any]:
    """Draws matrices that are well conditioned: normal numbers, more on the diagonal."""

    def draw(rng: np.random.Generator) -> Any:
        return rng.normal(size=shape) + 2.5 * np.eye(shape[-2], shape[-1])

    return draw


def hermitian(x: Any) -> Any:
    """X + x^H, of tensors and arrays."""
    return x + adjoint(x)


def positive_definite(x: Any) -> Any:
    """X x^H + 1, of tensors and arrays."""
    made = x @ adjoint(x) + eye_like(x)
    return made.astype(x.dtype) if isinstance(x, np.ndarray) else made


def shape_errors(*more: ErrorSample) -> Callable[[], Sequence[ErrorSample]]:
    """What every function of a matrix refuses."""
    return lambda: [ErrorSample(ShapeError, r"shape \(3,\).*Expected a matrix", np.ones(3)), *more]


def square_errors(*more: ErrorSample) -> Callable[[], Sequence[ErrorSample]]:
    """What every function of a square matrix refuses."""
    return lambda: [
        ErrorSample(ShapeError, r"shape \(3,\).*Expected a matrix", np.ones(3)),
        ErrorSample(ShapeError, "2 rows and 3 columns. Expected square", np.ones((2, 3))),
        *more,
    ]


def singular_sample(*rest: Any) -> ErrorSample:
    """The second matrix of the stack has no inverse."""
    stack = np.stack([np.eye(2), np.ones((2, 2))])
    return ErrorSample(LinAlgError, r"matrix \[1\] of the stack is singular", stack, *rest)
