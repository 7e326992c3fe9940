"""Linear layers."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from typing import Any

import samara
from samara.errors import ArgumentError, ShapeError
from samara.nn import functional as F
from samara.nn import init as _init
from samara.nn.module import Module
from samara.nn.parameter import Parameter, UninitializedParameter
from samara.tensor import Tensor

__all__ = ["Identity", "LazyLinear", "Linear"]


def check_size(owner: str, name: str, value: Any) -> int:
    """A size as an int >= 0; raises ArgumentError for anything else."""
    try:
        size = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        size = -1
    if size < 0:
        raise ArgumentError(
            f"{owner}: {name} is {value!r}. Expected an integer >= 0. Fix: {name}=64, say."
        )
    return size


def start_uniform(
    module: Module, fan_in: int, names: Iterable[str], weight: Callable[..., Any] | None = None
) -> None:
    """Initial values U(-b, b), b = 1 / sqrt(fan_in); of "weight" another draw, where one is given.

    >>> layer = Linear(4, 2)
    >>> start_uniform(layer, 4, ["weight"])
    >>> bool((layer.weight.abs() <= 0.5).all())
    True
    """
    bound = 1.0 / math.sqrt(fan_in) if fan_in else 0.0

    def uniform(tensor: Tensor, key: Any) -> None:
        _init.uniform_(tensor, -bound, bound, key=key)

    def chosen(tensor: Tensor, key: Any) -> None:
        if weight is not None:
            weight(tensor, key=key)

    for name in names:
        module._initialize(name, uniform if weight is None or name != "weight" else chosen)


class Identity(Module):
    """y = x, whatever arguments it is made with.

    >>> import samara
    >>> Identity()(samara.ones(2)).tolist()
    [1.0, 1.0]
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        """Return the input."""
        return input


class Linear(Module):
    """y = x W^T + b.

    `x: [*, in_features]` -> `[*, out_features]`; weight `[out, in]`, bias `[out]`, both from
    U(-1/sqrt(in), 1/sqrt(in)). `in_features=None` takes the size from the first batch. `init=`
    names another initialiser for the weight (see `nn.init`). Raises ArgumentError for a negative
    size, ShapeError when the input's last dimension is another.

    >>> import samara
    >>> Linear(3, 2)(samara.ones(5, 3)).shape
    (5, 2)
    >>> layer = Linear(out_features=2)
    >>> layer(samara.ones(5, 7)).shape, layer.weight.shape
    ((5, 2), (2, 7))
    """

    in_features: int | None
    out_features: int
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_features: int | None = None,
        out_features: int | None = None,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        init: str | Callable[..., Any] | None = None,
    ) -> None:
        super().__init__()
        if out_features is None:
            raise ArgumentError(
                f"{type(self).__name__}: out_features is missing. Expected Linear(in_features, "
                f"out_features). Fix: Linear({in_features or 'in_features'}, 64), or "
                "Linear(out_features=64) to take the input size from the first batch."
            )
        self.out_features = check_size("Linear", "out_features", out_features)
        self._options = {"device": device, "dtype": dtype}
        self._init = None if init is None else _init.get(init)
        self._has_bias = bool(bias)
        if in_features is None:
            self.in_features = None
            self.weight = UninitializedParameter()
            self.bias = UninitializedParameter() if bias else None
        else:
            self._make_parameters(check_size("Linear", "in_features", in_features))

    def _make_parameters(self, in_features: int) -> None:
        self.in_features = in_features
        self.weight = Parameter(samara.empty(self.out_features, in_features, **self._options))
        if self._has_bias:
            self.bias = Parameter(samara.empty(self.out_features, **self._options))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        if self.in_features is None:
            return
        start_uniform(self, self.in_features, ("weight", "bias"), self._init)

    def _infer_sizes(self, *args: Any, **kwargs: Any) -> None:
        if self.in_features is not None:
            return
        x = args[0] if args else kwargs["input"]
        if x.ndim == 0:
            raise ShapeError(
                "Linear: received a tensor without dimensions. Expected [*, in_features]. "
                "Fix: x.reshape(1)."
            )
        self._adopt_shape("weight", (self.out_features, x.shape[-1]))

    def _adopt_shape(self, name: str, shape: tuple[int, ...]) -> None:
        if name != "weight" or len(shape) != 2 or shape[0] != self.out_features:
            return
        placeholders = dict(self.__dict__["_pending"])
        self._make_parameters(shape[1])
        for own, placeholder in placeholders.items():
            parameter = self.__dict__["_pending"][own]
            # What was said of the placeholder holds for the parameter.
            if placeholder._initializer is not None:
                parameter._initializer = placeholder._initializer
            parameter.requires_grad_(placeholder.requires_grad)

    def forward(self, input: Tensor) -> Tensor:
        """`[*, in_features]` -> `[*, out_features]`."""
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        has_bias = self._has_bias and self._holds("bias")
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={has_bias}"


class LazyLinear(Linear):
    """A `Linear` that takes its input size from the first batch.

    >>> import samara
    >>> LazyLinear(4)(samara.ones(2, 9)).shape
    (2, 4)
    """

    def __init__(
        self,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        init: str | Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(None, out_features, bias, device, dtype, init=init)
