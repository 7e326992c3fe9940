"""Activations and dropout with the signatures of `torch.nn.functional`.

`inplace` is accepted and changes nothing but memory use elsewhere: the input is never written, the
result is returned. Use the names that end in _ to write.
"""

from __future__ import annotations

from typing import Any

import samara
from samara._core import DType
from samara.errors import ArgumentError, ShapeError
from samara.tensor import Tensor

__all__ = [
    "alpha_dropout",
    "celu",
    "celu_",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "elu_",
    "feature_alpha_dropout",
    "gumbel_softmax",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "leaky_relu",
    "leaky_relu_",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "relu_",
    "rrelu",
    "rrelu_",
    "selu",
    "selu_",
    "silu",
    "softmax",
    "softmin",
    "threshold",
    "threshold_",
]

# --- pointwise ------------------------------------------------------------------------------------


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0). `[*S]` -> `[*S]`."""
    return samara.relu(input)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6). `[*S]` -> `[*S]`."""
    return samara.relu6(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """X where x > 0, else negative_slope x. `[*S]` -> `[*S]`."""
    return samara.leaky_relu(input, negative_slope)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """X where x > 0, else alpha (e^x - 1). `[*S]` -> `[*S]`."""
    return samara.elu(input, alpha)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """X where x > 0, else alpha (e^(x / alpha) - 1). `[*S]` -> `[*S]`."""
    return samara.celu(input, alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """The self-normalizing activation of Klambauer et al., 2017. `[*S]` -> `[*S]`."""
    return samara.selu(input)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """X sigmoid(x). `[*S]` -> `[*S]`."""
    return samara.silu(input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """X tanh(softplus(x)). `[*S]` -> `[*S]`."""
    return samara.mish(input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """X clamp(x + 3, 0, 6) / 6. `[*S]` -> `[*S]`."""
    return samara.hardswish(input)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """clamp(x + 3, 0, 6) / 6. `[*S]` -> `[*S]`."""
    return samara.hardsigmoid(input)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """clamp(x, min_val, max_val). `[*S]` -> `[*S]`."""
    return samara.hardtanh(input, min_val, max_val)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """X where x > threshold, else value. `[*S]` -> `[*S]`."""
    return samara.threshold(input, threshold, value)


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """X where x > 0, else a x with a slope a drawn from [lower, upper). `[*S]` -> `[*S]`."""
    return samara.rrelu(input, lower, upper, training)


def relu_(input: Tensor) -> Tensor:
    """`relu` written into the input. `[*S]` -> the input."""
    return samara.relu_(input)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """`leaky_relu` written into the input. `[*S]` -> the input."""
    return samara.leaky_relu_(input, negative_slope)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`elu` written into the input. `[*S]` -> the input."""
    return samara.elu_(input, alpha)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`celu` written into the input. `[*S]` -> the input."""
    return samara.celu_(input, alpha)


def selu_(input: Tensor) -> Tensor:
    """`selu` written into the input. `[*S]` -> the input."""
    return samara.selu_(input)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """`hardtanh` written into the input. `[*S]` -> the input."""
    return samara.hardtanh_(input, min_val, max_val)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """`threshold` written into the input. `[*S]` -> the input."""
    return samara.threshold_(input, threshold, value)


def rrelu_(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Tensor:
    """`rrelu` written into the input. `[*S]` -> the input."""
    written: Tensor = samara.rrelu_(input, lower, upper, training)
    return written


# --- along an axis --------------------------------------------------------------------------------


def _axis(input: Tensor, dim: int | None) -> int:
    """Without `dim` PyTorch takes axis 0 of 0, 1 and 3 axes, and axis 1 of others."""
    if dim is None:
        return 0 if input.ndim in (0, 1, 3) else 1
    return dim


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | None = None
) -> Tensor:
    """e^x / sum(e^x) along `dim`; `dtype` converts first. `[*S]` -> `[*S]`."""
    return samara.softmax(input if dtype is None else input.to(dtype), _axis(input, dim))


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | None = None
) -> Tensor:
    """e^-x / sum(e^-x) along `dim`; `dtype` converts first. `[*S]` -> `[*S]`."""
    return samara.softmin(input if dtype is None else input.to(dtype), _axis(input, dim))


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | None = None
) -> Tensor:
    """X - log(sum(e^x)) along `dim`; `dtype` converts first. `[*S]` -> `[*S]`."""
    return samara.log_softmax(input if dtype is None else input.to(dtype), _axis(input, dim))


def gumbel_softmax(
    logits: Tensor, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A sample of the Gumbel-softmax distribution (Jang et al., 2017). `[*S]` -> `[*S]`."""
    drawn: Tensor = samara.gumbel_softmax(logits, tau, hard, eps, dim)
    return drawn


# --- dropout --------------------------------------------------------------------------------------


def _check_probability(place: str, p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ArgumentError(
            f"{place}: p is {p}. Expected a probability, 0 <= p <= 1. "
            "Fix: p is the part that is dropped, 0.1 to 0.5 as a rule."
        )


def dropout(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, key: Any = None
) -> Tensor:
    """While training, zeros each element with probability p and scales the rest by 1 / (1 - p)."""
    return samara.dropout(input, p, training, key)


def _by_channel(place: str, input: Tensor, p: float, training: bool, spatial: int) -> Tensor:
    """Dropout of whole channels of [N, C, *S], or of [C, *S]."""
    _check_probability(place, p)
    if input.ndim not in (spatial + 1, spatial + 2):
        shape = ", ".join(["C", *"DHW"[3 - spatial :]])
        raise ShapeError(
            f"{place}: the input has shape {input.shape}. Expected [N, {shape}] or [{shape}]. "
            "Fix: reshape it."
        )
    if not training or p == 0.0:
        return input
    kept = input.shape[: input.ndim - spatial] + (1,) * spatial
    return input * samara.dropout(input.detach().new_ones(kept), p, True)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Dropout of whole channels. `[N, C, L]` or `[C, L]` -> the same."""
    return _by_channel("dropout1d", input, p, training, 1)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Dropout of whole channels. `[N, C, H, W]` or `[N, C, L]`, as in PyTorch -> the same.

    Of 3 axes the first is the batch.
    """
    return _by_channel("dropout2d", input, p, training, 2 if input.ndim != 3 else 1)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Dropout of whole channels. `[N, C, D, H, W]` or `[C, D, H, W]` -> the same."""
    return _by_channel("dropout3d", input, p, training, 3)


# What alpha dropout puts in place of a value: the limit of SELU at -inf.
SELU_LIMIT = -1.7580993408473766


def _alpha(place: str, input: Tensor, p: float, training: bool, shape: Any) -> Tensor:
    """A (x where kept, else the limit) + b, where a and b restore mean 0 and variance 1."""
    _check_probability(place, p)
    if not training or p == 0.0:
        return input
    if p == 1.0:
        return input * 0.0
    kept = samara.bernoulli(samara.full(shape, 1.0 - p, dtype=input.dtype, device=input.device))
    a = ((1.0 - p) * (1.0 + p * SELU_LIMIT**2)) ** -0.5
    mixed: Tensor = input * (kept * a) + (a * SELU_LIMIT) * ((1.0 - p) - kept)
    return mixed


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Dropout that keeps the mean and variance of SELU's outputs (Klambauer et al., 2017)."""
    return _alpha("alpha_dropout", input, p, training, input.shape)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """`alpha_dropout` of whole channels. `[N, C, *S]` -> the same."""
    if input.ndim < 2:
        raise ShapeError(
            f"feature_alpha_dropout: the input has shape {input.shape}. Expected [N, C, ...]. "
            "Fix: reshape it."
        )
    shape = (*input.shape[:2], *(1,) * (input.ndim - 2))
    return _alpha("feature_alpha_dropout", input, p, training, shape)
