"""Activations with a dead zone or a gate, and those whose slope is learned or drawn."""

from __future__ import annotations

from typing import Any

import samara
from samara.errors import ArgumentError, ShapeError
from samara.nn import functional as F
from samara.nn.module import Module
from samara.nn.parameter import Parameter
from samara.tensor import Tensor

__all__ = [
    "GLU",
    "Hardshrink",
    "PReLU",
    "RReLU",
    "Softmax2d",
    "Softmin",
    "Softshrink",
    "Tanhshrink",
    "Threshold",
]


class PReLU(Module):
    """y = x where x > 0, else weight x with a learned slope, one or one per channel.

    `x: [N, C, *S]` -> the same (He et al., 2015). Raises ArgumentError for fewer than one slope.

    >>> import samara
    >>> PReLU()(samara.tensor([-4.0, 2.0])).tolist()
    [-1.0, 2.0]
    """

    weight: Parameter

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        if num_parameters < 1:
            raise ArgumentError(
                f"PReLU: num_parameters is {num_parameters}. Expected 1, or one for each channel. "
                "Fix: correct it."
            )
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(samara.empty(num_parameters, dtype=dtype, device=device))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets all slopes to `init`."""
        with samara.no_grad():
            self.weight.fill_(self.init)

    def forward(self, input: Tensor) -> Tensor:
        """`[N, C, *S]` -> `[N, C, *S]`."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """The number of slopes."""
        return f"num_parameters={self.num_parameters}"


class RReLU(Module):
    """y = x where x > 0, else a x: a is drawn from [lower, upper) in training, else their middle.

    `x: [*S]` -> `[*S]` (Xu et al., 2015). `inplace` is accepted; the input is never changed.

    >>> import samara
    >>> RReLU(0.25, 0.25)(samara.tensor([-4.0, 2.0])).tolist()
    [-1.0, 2.0]
    """

    def __init__(
        self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False
    ) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.rrelu(input, self.lower, self.upper, self.training)

    def extra_repr(self) -> str:
        """The range of slopes."""
        return f"lower={self.lower}, upper={self.upper}"


class Threshold(Module):
    """y = x where x > threshold, else value.

    `x: [*S]` -> `[*S]`. `inplace` is accepted; the input is never changed.

    >>> import samara
    >>> Threshold(1.0, -1.0)(samara.tensor([0.5, 2.0])).tolist()
    [-1.0, 2.0]
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.threshold(input, self.threshold, self.value)

    def extra_repr(self) -> str:
        """The threshold and what stands below it."""
        return f"threshold={self.threshold}, value={self.value}"


class Hardshrink(Module):
    """y = 0 where |x| <= lambd, else x.

    `x: [*S]` -> `[*S]`.

    >>> import samara
    >>> Hardshrink()(samara.tensor([0.25, -2.0])).tolist()
    [0.0, -2.0]
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """The half width of the dead zone."""
        return f"{self.lambd}"


class Softshrink(Module):
    """y = x brought towards 0 by lambd, 0 where |x| <= lambd.

    `x: [*S]` -> `[*S]`.

    >>> import samara
    >>> Softshrink()(samara.tensor([0.25, -2.0])).tolist()
    [0.0, -1.5]
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """The half width of the dead zone."""
        return f"{self.lambd}"


class Tanhshrink(Module):
    """y = x - tanh(x).

    `x: [*S]` -> `[*S]`.

    >>> import samara
    >>> Tanhshrink()(samara.zeros(1)).tolist()
    [0.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.tanhshrink(input)


class GLU(Module):
    """y = a sigmoid(b), a and b the halves of x along `dim` (Dauphin et al., 2017).

    `x: [*S]`, an even size at dim -> `[*S]` with half of it. Raises ShapeError for an odd size.

    >>> import samara
    >>> GLU()(samara.tensor([3.0, 0.0])).tolist()
    [1.5]
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]` with half the size at dim."""
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class Softmin(Module):
    """y = e^-x / sum(e^-x) along `dim`.

    `x: [*S]` -> `[*S]`.

    >>> import samara
    >>> Softmin(dim=-1)(samara.zeros(1, 2)).tolist()
    [[0.5, 0.5]]
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.softmin(input, self.dim)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class Softmax2d(Module):
    """Softmax over the channels of each place.

    `x: [N, C, H, W]` or `[C, H, W]` -> the same. Raises ShapeError for other ranks.

    >>> import samara
    >>> Softmax2d()(samara.zeros(2, 1, 1)).reshape(2).tolist()
    [0.5, 0.5]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[N, C, H, W]` -> `[N, C, H, W]`."""
        if input.ndim not in (3, 4):
            raise ShapeError(
                f"Softmax2d: the input has shape {input.shape}. Expected [N, C, H, W] or "
                "[C, H, W]. Fix: reshape it."
            )
        return F.softmax(input, -3)
