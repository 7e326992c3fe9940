"""Activations as modules, so that they have a place in `Sequential`."""

from __future__ import annotations

from typing import Any

from samara.errors import ArgumentError
from samara.lookup import choose
from samara.nn import functional as F
from samara.nn.module import Module
from samara.tensor import Tensor

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "SELU",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Tanh",
    "get",
]


class _Inplace(Module):
    """`inplace` is accepted for compatibility; the input is never changed."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        """The flag, when it is set."""
        return "inplace=True" if self.inplace else ""


def _shown(inplace: bool) -> str:
    return ", inplace=True" if inplace else ""


class ReLU(_Inplace):
    """y = max(x, 0).

    `x: [*S]` -> `[*S]`.

    >>> import samara
    >>> ReLU()(samara.zeros(2)).tolist()
    [0.0, 0.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.relu(input)


class SELU(_Inplace):
    """y = scale (max(x, 0) + min(alpha (e^x - 1), 0)) with the constants of Klambauer et al., 2017.

    `x: [*S]` -> `[*S]`.

    >>> import samara
    >>> SELU()(samara.zeros(2)).tolist()
    [0.0, 0.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.selu(input)


class SiLU(_Inplace):
    """y = x sigmoid(x) (Elfwing et al., 2017).

    `x: [*S]` -> `[*S]`.

    >>> import samara
    >>> SiLU()(samara.zeros(2)).tolist()
    [0.0, 0.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.silu(input)


class Mish(_Inplace):
    """y = x tanh(softplus(x)) (Misra, 2019).

    `x: [*S]` -> `[*S]`.

    >>> import samara
    >>> Mish()(samara.zeros(2)).tolist()
    [0.0, 0.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.mish(input)


class Hardswish(_Inplace):
    """y = x clamp(x + 3, 0, 6) / 6 (Howard et al., 2019).

    `x: [*S]` -> `[*S]`.

    >>> import samara
    >>> Hardswish()(samara.zeros(2)).tolist()
    [0.0, 0.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.hardswish(input)


class ReLU6(_Inplace):
    """y = min(max(x, 0), 6).

    `x: [*S]` -> `[*S]`.

    >>> import samara
    >>> ReLU6()(samara.zeros(2)).tolist()
    [0.0, 0.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.relu6(input)


class Hardsigmoid(_Inplace):
    """y = clamp(x + 3, 0, 6) / 6.

    `x: [*S]` -> `[*S]`.

    >>> import samara
    >>> Hardsigmoid()(samara.zeros(2)).tolist()
    [0.5, 0.5]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.hardsigmoid(input)


class Softsign(Module):
    """y = x / (1 + |x|).

    `x: [*S]` -> `[*S]`.

    >>> import samara
    >>> Softsign()(samara.zeros(2)).tolist()
    [0.0, 0.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.softsign(input)


class LogSigmoid(Module):
    """y = ln(1 / (1 + e^-x)), without overflow.

    `x: [*S]` -> `[*S]`.

    >>> import samara
    >>> LogSigmoid()(samara.zeros(2)).tolist()
    [-0.6931471824645996, -0.6931471824645996]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.logsigmoid(input)


class Sigmoid(Module):
    """y = 1 / (1 + e^-x).

    `x: [*S]` -> `[*S]`.

    >>> import samara
    >>> Sigmoid()(samara.zeros(2)).tolist()
    [0.5, 0.5]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.sigmoid(input)


class Tanh(Module):
    """y = tanh(x).

    `x: [*S]` -> `[*S]`.

    >>> import samara
    >>> Tanh()(samara.zeros(2)).tolist()
    [0.0, 0.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.tanh(input)


class LeakyReLU(Module):
    """y = x where x > 0, else negative_slope x.

    `x: [*S]` -> `[*S]`.

    >>> import samara
    >>> LeakyReLU(0.5)(samara.tensor([-2.0, 3.0])).tolist()
    [-1.0, 3.0]
    """

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        """The slope."""
        return f"negative_slope={self.negative_slope}" + _shown(self.inplace)


class _Alpha(Module):
    """What ELU and CELU share."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def extra_repr(self) -> str:
        """The factor."""
        return f"alpha={self.alpha}" + _shown(self.inplace)


class ELU(_Alpha):
    """y = x where x > 0, else alpha (e^x - 1) (Clevert et al., 2015).

    `x: [*S]` -> `[*S]`.

    >>> import samara
    >>> ELU()(samara.tensor([0.0, 3.0])).tolist()
    [0.0, 3.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.elu(input, self.alpha)


class CELU(_Alpha):
    """y = x where x > 0, else alpha (e^(x / alpha) - 1) (Barron, 2017).

    `x: [*S]` -> `[*S]`.

    >>> import samara
    >>> CELU()(samara.tensor([0.0, 3.0])).tolist()
    [0.0, 3.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.celu(input, self.alpha)


class GELU(Module):
    """y = x Phi(x), Phi the normal distribution function (Hendrycks and Gimpel, 2016).

    `x: [*S]` -> `[*S]`; `approximate="tanh"` is the tanh approximation.

    >>> import samara
    >>> GELU()(samara.zeros(2)).tolist()
    [0.0, 0.0]
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        choose("GELU: approximate", approximate, {"none": 0, "tanh": 1})
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        """The form."""
        return f"approximate={self.approximate!r}"


class Softplus(Module):
    """y = log(1 + e^(beta x)) / beta, and x itself where beta x > threshold.

    `x: [*S]` -> `[*S]`.

    >>> import samara
    >>> round(Softplus()(samara.zeros(1)).item(), 4)
    0.6931
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """The scale and threshold."""
        return f"beta={self.beta}, threshold={self.threshold}"


class Hardtanh(Module):
    """y = clamp(x, min_val, max_val).

    `x: [*S]` -> `[*S]`. Raises ArgumentError unless min_val < max_val.

    >>> import samara
    >>> Hardtanh()(samara.tensor([-3.0, 0.5])).tolist()
    [-1.0, 0.5]
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        if not min_val < max_val:
            raise ArgumentError(
                f"Hardtanh: received min_val={min_val}, max_val={max_val}. Expected "
                "min_val < max_val. Fix: swap them."
            )
        self.min_val = min_val
        self.max_val = max_val
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.hardtanh(input, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        """The limits."""
        return f"min_val={self.min_val}, max_val={self.max_val}" + _shown(self.inplace)


class _OverDimension(Module):
    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def _dim(self) -> int:
        if self.dim is None:
            raise ArgumentError(
                f"{type(self).__name__}: dim is None. Expected the dimension that sums to one. "
                f"Fix: {type(self).__name__}(dim=-1)."
            )
        return self.dim

    def extra_repr(self) -> str:
        """The dimension."""
        return f"dim={self.dim}"


class Softmax(_OverDimension):
    """y = e^x / sum(e^x) along `dim`.

    `x: [*S]` -> `[*S]`. Raises ArgumentError when `dim` was not given.

    >>> import samara
    >>> Softmax(dim=-1)(samara.zeros(1, 2)).tolist()
    [[0.5, 0.5]]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.softmax(input, self._dim())


class LogSoftmax(_OverDimension):
    """y = x - log(sum(e^x)) along `dim`.

    `x: [*S]` -> `[*S]`. Raises ArgumentError when `dim` was not given.

    >>> import samara
    >>> LogSoftmax(dim=-1)(samara.zeros(1, 1)).tolist()
    [[0.0]]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.log_softmax(input, self._dim())


_BY_NAME: dict[str, Any] = {
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "elu": ELU,
    "selu": SELU,
    "gelu": GELU,
    "silu": SiLU,
    "swish": SiLU,
    "mish": Mish,
    "softplus": Softplus,
    "hardtanh": Hardtanh,
    "hardswish": Hardswish,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "softmax": Softmax,
    "log_softmax": LogSoftmax,
}


def get(activation: Any, **options: Any) -> Any:
    """An activation module by name, or the callable given.

    Raises ArgumentError for an unknown name, with the closest known one.

    >>> get("leaky_relu", negative_slope=0.1)
    LeakyReLU(negative_slope=0.1)
    """
    if not isinstance(activation, str):
        return activation
    return choose("activation", activation, _BY_NAME)(**options)
