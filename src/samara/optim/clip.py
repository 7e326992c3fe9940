"""Gradient clipping."""

from __future__ import annotations

import math
from collections.abc import Iterable

import samara
from samara.autograd import no_grad
from samara.errors import ArgumentError, NumericsError
from samara.tensor import Tensor

__all__ = ["clip_grad_norm_", "clip_grad_value_", "get_total_norm"]


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    given = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p.grad.detach() for p in given if p.grad is not None]


def get_total_norm(tensors: Iterable[Tensor], norm_type: float = 2.0) -> Tensor:
    """The norm of all tensors' elements taken together: (sum |x|^p)^(1/p).

    `norm_type` is p; inf gives the largest magnitude. Returns a scalar.

    >>> import samara
    >>> get_total_norm([samara.tensor([3.0]), samara.tensor([4.0])]).item()
    5.0
    """
    p = float(norm_type)
    if not p > 0:
        raise ArgumentError(
            f"get_total_norm: norm_type is {norm_type}. Expected a number > 0. Fix: norm_type=2."
        )
    with no_grad():
        given = list(tensors)
        if not given:
            nothing: Tensor = samara.zeros(())
            return nothing
        if math.isinf(p):
            peaks = [t.abs().max() if t.numel() else t.sum() for t in given]
            peak: Tensor = samara.stack(peaks).max()
            return peak
        # Scaled by the largest magnitude, so that squares neither overflow nor vanish.
        largest = get_total_norm(given, math.inf)
        scale = float(largest.item())
        if scale == 0.0 or not math.isfinite(scale):
            return largest
        sums = [((t / scale).abs() ** p).sum() for t in given]
        total: Tensor = samara.stack(sums).sum() ** (1.0 / p) * scale
        return total


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients so that their common norm is at most `max_norm`; return the norm before.

    g <- g min(1, max_norm / (norm + 1e-6)). A non-finite norm leaves the gradients as they are, and
    the optimizer refuses them; `error_if_nonfinite` raises NumericsError here already.

    >>> import samara
    >>> w = samara.tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> clip_grad_norm_([w], 1.0).item()
    10.0
    >>> round(w.grad.norm().item(), 4)
    1.0
    """
    limit = float(max_norm)
    if not limit >= 0:
        raise ArgumentError(
            f"clip_grad_norm_: max_norm is {max_norm}. Expected max_norm >= 0. Fix: max_norm=1.0."
        )
    gradients = _gradients(parameters)
    total = get_total_norm(gradients, norm_type)
    norm = float(total.item())
    if not math.isfinite(norm):
        if error_if_nonfinite:
            raise NumericsError(
                f"clip_grad_norm_: the norm of the gradients is {norm}. Expected a finite norm. "
                "Fix: lower lr, or look for log(0), 0/0 or overflow in the loss."
            )
        return total
    factor = limit / (norm + 1e-6)
    if factor < 1.0:
        with no_grad():
            for gradient in gradients:
                gradient *= factor
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Clamp every element of every gradient to [-clip_value, clip_value].

    >>> import samara
    >>> w = samara.tensor([3.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> clip_grad_value_([w], 0.5)
    >>> w.grad.item()
    0.5
    """
    limit = float(clip_value)
    if not limit >= 0:
        raise ArgumentError(
            f"clip_grad_value_: clip_value is {clip_value}. Expected clip_value >= 0. "
            "Fix: clip_value=1.0."
        )
    with no_grad():
        for gradient in _gradients(parameters):
            gradient.copy_(samara.clamp(gradient, -limit, limit))
