"""The bilinear layer, and a layer that gives an axis more axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import samara
from samara.nn import functional as F
from samara.nn.linear import check_size, start_uniform
from samara.nn.module import Module
from samara.nn.parameter import Parameter
from samara.tensor import Tensor

__all__ = ["Bilinear", "Unflatten"]


class Bilinear(Module):
    """y_k = x1^T W_k x2 + b_k.

    `x1: [*, in1_features]`, `x2: [*, in2_features]` -> `[*, out_features]`; weight
    `[out_features, in1_features, in2_features]`, from U(-1/sqrt(in1), 1/sqrt(in1)). Raises
    ShapeError for inputs of other shapes.

    >>> import samara
    >>> Bilinear(3, 4, 5)(samara.ones(2, 3), samara.ones(2, 4)).shape
    (2, 5)
    """

    weight: Parameter

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in1_features = check_size("Bilinear", "in1_features", in1_features)
        self.in2_features = check_size("Bilinear", "in2_features", in2_features)
        self.out_features = check_size("Bilinear", "out_features", out_features)
        shape = (self.out_features, self.in1_features, self.in2_features)
        self.weight = Parameter(samara.empty(shape, dtype=dtype, device=device))
        if bias:
            self.bias = Parameter(samara.empty(self.out_features, dtype=dtype, device=device))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        start_uniform(self, self.in1_features, ("weight", "bias"))

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """`[*, in1_features]`, `[*, in2_features]` -> `[*, out_features]`."""
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class Unflatten(Module):
    """The axis `dim` as several axes of the sizes `unflattened_size`.

    `x: [*A, n, *B]` -> `[*A, *unflattened_size, *B]`. Raises ShapeError when the sizes do not fit.

    >>> import samara
    >>> Unflatten(1, (2, 3))(samara.zeros(4, 6)).shape
    (4, 2, 3)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        """`[*A, n, *B]` -> `[*A, *unflattened_size, *B]`."""
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        """The axis and its new sizes."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
