"""Normed weights as parametrizations, under the names of `torch.nn.utils.parametrizations`."""

from __future__ import annotations

from typing import Any

import samara
from samara.autograd import no_grad
from samara.errors import ArgumentError, IndexOutOfRangeError
from samara.nn.convolution import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from samara.nn.module import Module
from samara.nn.utils.orthogonal import orthogonal
from samara.nn.utils.parametrize import register_parametrization
from samara.tensor import Tensor

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def norm_except(v: Tensor, dim: int) -> Tensor:
    """The norm of every slice along `dim`, sizes 1 elsewhere; of all for -1."""
    if dim == -1:
        whole: Tensor = (v * v).sum().sqrt()
        return whole
    axes = tuple(axis for axis in range(v.ndim) if axis != dim % v.ndim)
    slices: Tensor = (v * v).sum(dim=axes, keepdim=True).sqrt() if axes else v.abs()
    return slices


def unit(x: Tensor, eps: float) -> Tensor:
    """X / max(|x|, eps)."""
    result: Tensor = x / (x * x).sum().sqrt().clamp(min=eps)
    return result


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """The weight with `dim` as rows."""
    return weight.movedim(dim, 0).flatten(1)


def require_iterations(count: int) -> None:
    """ArgumentError for a spectral norm without iterations."""
    if count < 1:
        raise ArgumentError(
            f"spectral_norm: n_power_iterations is {count}. Expected 1 or more. "
            "Fix: n_power_iterations=1."
        )


def transposed_axis(module: Module) -> int:
    """The axis of the outputs in a module's weight."""
    return 1 if isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)) else 0


class _WeightNorm(Module):
    """w = g v / |v|."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / norm_except(weight_v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """W = g v / |v|, the norm over all axes but `dim` (over all for None); gives the module back.

    g and v are called parametrizations.<name>.original0 and original1. Raises ArgumentError when
    there is no such parameter. Source: Salimans and Kingma, Weight Normalization, 2016.

    >>> from samara import nn
    >>> layer = weight_norm(nn.Linear(2, 3, bias=False))
    >>> [(name, tuple(x.shape)) for name, x in layer.state_dict().items()]
    [('parametrizations.weight.original0', (3, 1)), ('parametrizations.weight.original1', (3, 2))]
    """
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


class _SpectralNorm(Module):
    """w = v / sigma(v), the largest singular value by power iteration."""

    def __init__(self, weight: Tensor, n_power_iterations: int, dim: int, eps: float) -> None:
        super().__init__()
        if not -weight.ndim <= dim < weight.ndim:
            raise IndexOutOfRangeError(
                f"spectral_norm: dim is {dim} for a weight of {weight.ndim} axes. Expected "
                f"{-weight.ndim} to {weight.ndim - 1}. Fix: dim=0."
            )
        require_iterations(n_power_iterations)
        self.dim = dim % weight.ndim
        self.eps = eps
        self.n_power_iterations = n_power_iterations
        if weight.ndim > 1:
            with no_grad():
                matrix = as_matrix(weight.detach(), self.dim)
                kind: dict[str, Any] = {"dtype": matrix.dtype, "device": matrix.device}
                for name, size in zip(("_u", "_v"), matrix.shape, strict=True):
                    self.register_buffer(name, unit(samara.randn(size, **kind), eps))
                self._iterate(matrix, 15)

    def _iterate(self, matrix: Tensor, times: int) -> None:
        with no_grad():
            for _ in range(times):
                self._u.copy_(unit(matrix @ self._v, self.eps))
                self._v.copy_(unit(matrix.mT @ self._u, self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return unit(weight, self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._iterate(matrix.detach(), self.n_power_iterations)
        # Copies: a later call changes the buffers, and this call's gradient needs these.
        sigma = (self._u.clone() * (matrix @ self._v.clone())).sum()
        scaled: Tensor = weight / sigma
        return scaled

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """W / sigma(w), sigma the largest singular value of w as a matrix with rows along `dim`.

    dim is 0 by default, 1 for transposed convolutions. Each use in training mode takes power
    iterations. Gives the module back. Raises ArgumentError when there is no such parameter.
    Source: Miyato et al., Spectral Normalization for Generative Adversarial Networks, 2018.

    >>> from samara import nn
    >>> layer = spectral_norm(nn.Linear(2, 3, bias=False))
    >>> sorted(layer.state_dict())[:2]
    ['parametrizations.weight.0._u', 'parametrizations.weight.0._v']
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ArgumentError(
            f"spectral_norm: {type(module).__name__} has no parameter or buffer {name!r}. Expected "
            "one of its tensors. Fix: name it as in state_dict()."
        )
    axis = transposed_axis(module) if dim is None else dim
    norm = _SpectralNorm(weight, n_power_iterations, axis, eps)
    return register_parametrization(module, name, norm)
