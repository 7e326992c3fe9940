"""Normalisation of rows, of groups of channels, and across channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import samara
from samara.errors import ArgumentError, ShapeError
from samara.nn import functional as F
from samara.nn import init as _init
from samara.nn.fusion import Fused, activation_of
from samara.nn.linear import check_size
from samara.nn.module import Module
from samara.nn.parameter import Parameter
from samara.ops.channel_norm import NO_ACTIVATION, Activation, group_norm_with
from samara.tensor import Tensor

__all__ = ["GroupNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]


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


class GroupNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias over groups of channels (Wu, He, 2018).

    `x: [N, C, *S]` -> the same shape and memory order; each sample's C channels form `num_groups`
    runs with statistics of their own. Raises ArgumentError when num_groups does not divide
    num_channels, ShapeError for another number of channels.

    >>> import samara
    >>> GroupNorm(2, 4)(samara.ones(1, 4, 3)).shape
    (1, 4, 3)
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_channels = check_size("GroupNorm", "num_channels", num_channels)
        self.num_groups = check_size("GroupNorm", "num_groups", num_groups)
        if not self.num_groups or self.num_channels % self.num_groups:
            raise ArgumentError(
                f"GroupNorm: num_channels is {num_channels} and num_groups is {num_groups}. "
                "Expected a number of groups that divides the channels. Fix: GroupNorm(1, "
                f"{num_channels}), say."
            )
        if not eps > 0:
            raise ArgumentError(
                f"GroupNorm: eps is {eps}. Expected a number above 0. Fix: eps=1e-5."
            )
        self.eps = eps
        self.affine = affine
        self._has_bias = bool(affine and bias)
        for name, wanted in (("weight", affine), ("bias", self._has_bias)):
            value = samara.empty(self.num_channels, dtype=dtype, device=device)
            self.register_parameter(name, Parameter(value) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight to 1, bias to 0."""
        self._initialize("weight", lambda tensor, key: _init.ones_(tensor, key=key))
        self._initialize("bias", lambda tensor, key: _init.zeros_(tensor, key=key))

    def forward(self, input: Tensor) -> Tensor:
        """`[N, C, *S]` -> the same shape."""
        return self._normalize(input, NO_ACTIVATION)

    def _normalize(self, x: Tensor, activation: Activation) -> Tensor:
        if self.affine and (x.ndim < 2 or x.shape[1] != self.num_channels):
            given = f"so {x.shape[1]} channels (axis 1)" if x.ndim > 1 else "without channels"
            raise ShapeError(
                f"group_norm: the input has shape {tuple(x.shape)}, {given}, and weight has shape "
                f"({self.num_channels},). Expected {self.num_channels} channels, "
                f"[N, {self.num_channels}, ...]. Fix: GroupNorm(num_groups, channels) with the "
                "channels of its input."
            )
        return group_norm_with(x, self.num_groups, self.weight, self.bias, self.eps, activation)

    def fused_with(self, following: Sequence[Any]) -> Fused | None:
        """With an activation that follows, one pass over memory: see `samara.nn.fusion`."""
        read = activation_of(following)
        if read is None:
            return None
        return Fused(lambda x: self._normalize(x, read()), 1)

    def extra_repr(self) -> str:
        """The sizes and options."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self._has_bias}"
        )


class LocalResponseNorm(Module):
    """y = x / (k + alpha / size * sum of x^2 over `size` neighbouring channels)^beta.

    `x: [N, C, *S]` -> the same shape (Krizhevsky et al., 2012). Raises ShapeError for inputs
    without spatial axes, ArgumentError for a size below 1.

    >>> import samara
    >>> LocalResponseNorm(2)(samara.ones(1, 4, 3)).shape
    (1, 4, 3)
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = check_size("LocalResponseNorm", "size", size)
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        """`[N, C, *S]` -> the same shape."""
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """The size and options."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
