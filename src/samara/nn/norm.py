"""Normalisation layers."""

from __future__ import annotations

from typing import Any

import samara
from samara.nn import functional as F
from samara.nn import init as _init
from samara.nn.linear import check_size
from samara.nn.module import Module
from samara.nn.parameter import Parameter
from samara.tensor import Tensor

__all__ = ["LayerNorm", "RMSNorm"]


def _sizes(place: str, normalized_shape: Any) -> tuple[int, ...]:
    shape = normalized_shape if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
    return tuple(check_size(place, "normalized_shape", size) for size in shape)


class LayerNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias over the last dimensions (Ba et al., 2016).

    `x: [*, *normalized_shape]` -> the same shape. Raises ShapeError when the last dimensions are
    others.

    >>> import samara
    >>> LayerNorm(4)(samara.ones(2, 4)).tolist()[0]
    [0.0, 0.0, 0.0, 0.0]
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...] | list[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _sizes("LayerNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        for name, wanted in (("weight", elementwise_affine), ("bias", elementwise_affine and bias)):
            value = samara.empty(self.normalized_shape, dtype=dtype, device=device)
            self.register_parameter(name, Parameter(value) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight to 1, bias to 0."""
        self._initialize("weight", lambda tensor, key: _init.ones_(tensor, key=key))
        self._initialize("bias", lambda tensor, key: _init.zeros_(tensor, key=key))

    def forward(self, input: Tensor) -> Tensor:
        """`[*, *normalized_shape]` -> the same shape."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The shape and options."""
        affine, bias = self.elementwise_affine, self.bias is not None
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={affine}, bias={bias}"


class RMSNorm(Module):
    """y = x / sqrt(mean(x^2) + eps) * weight over the last dimensions (Zhang and Sennrich, 2019).

    `x: [*, *normalized_shape]` -> the same shape; eps=None takes the dtype's. Raises ShapeError
    when the last dimensions are others.

    >>> import samara
    >>> RMSNorm(2, eps=0.0)(samara.tensor([[3.0, 3.0]])).tolist()
    [[1.0, 1.0]]
    """

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...] | list[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _sizes("RMSNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        value = samara.empty(self.normalized_shape, dtype=dtype, device=device)
        self.register_parameter("weight", Parameter(value) if elementwise_affine else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight to 1."""
        self._initialize("weight", lambda tensor, key: _init.ones_(tensor, key=key))

    def forward(self, input: Tensor) -> Tensor:
        """`[*, *normalized_shape]` -> the same shape."""
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The shape and options."""
        affine = self.elementwise_affine
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={affine}"
