"""Layers and losses as functions, under the names of `torch.nn.functional`.

The loss functions never broadcast: a prediction `(32, 1)` against a target `(32,)` raises.
"""

from __future__ import annotations

from collections.abc import Callable

import samara
from samara.errors import ArgumentError, ShapeError
from samara.tensor import Tensor

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "gelu",
    "hardswish",
    "hardtanh",
    "huber_loss",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "mish",
    "mse_loss",
    "nll_loss",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
]


TensorFunction = Callable[..., Tensor]

# The operations themselves, with the type they have here.
cross_entropy: TensorFunction = samara.cross_entropy
dropout: TensorFunction = samara.dropout
elu: TensorFunction = samara.elu
embedding: TensorFunction = samara.embedding
gelu: TensorFunction = samara.gelu
hardswish: TensorFunction = samara.hardswish
hardtanh: TensorFunction = samara.hardtanh
huber_loss: TensorFunction = samara.huber_loss
l1_loss: TensorFunction = samara.l1_loss
layer_norm: TensorFunction = samara.layer_norm
leaky_relu: TensorFunction = samara.leaky_relu
linear: TensorFunction = samara.linear
log_softmax: TensorFunction = samara.log_softmax
mish: TensorFunction = samara.mish
mse_loss: TensorFunction = samara.mse_loss
nll_loss: TensorFunction = samara.nll_loss
relu: TensorFunction = samara.relu
selu: TensorFunction = samara.selu
sigmoid: TensorFunction = samara.sigmoid
silu: TensorFunction = samara.silu
smooth_l1_loss: TensorFunction = samara.smooth_l1_loss
softmax: TensorFunction = samara.softmax
softplus: TensorFunction = samara.softplus
tanh: TensorFunction = samara.tanh


def _check_same_shape(op: str, input: Tensor, target: Tensor) -> None:
    if input.shape == target.shape:
        return
    given, wanted = tuple(input.shape), tuple(target.shape)
    fix = "check which tensor has the wrong shape"
    if input.numel() == target.numel():
        fix = f"bring the target to the prediction's shape with target.reshape({given})"
    raise ShapeError(
        f"{op}: the prediction has shape {given} and the target has shape {wanted}. Expected equal "
        f"shapes. Fix: {fix}."
    )


def _reduce(op: str, loss: Tensor, reduction: str) -> Tensor:
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(
            f"{op}: reduction is {reduction!r}. Expected 'mean', 'sum' or 'none'. "
            "Fix: choose one of these."
        )
    reduced: Tensor = getattr(loss, reduction)() if reduction != "none" else loss
    return reduced


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """-(p y log s(x) + (1 - y) log(1 - s(x))), s the sigmoid and p = pos_weight.

    Computed as (1 - y) softplus(x) + p y softplus(-x), which loses no digits for any x.
    `input: [*S]`, `target: [*S]` in [0, 1] -> `[]` or `[*S]`. Raises ShapeError for unequal shapes.

    >>> import samara
    >>> loss = binary_cross_entropy_with_logits(samara.tensor([0.0]), samara.tensor([1.0]))
    >>> round(loss.item(), 4)
    0.6931
    """
    _check_same_shape("binary_cross_entropy_with_logits", input, target)
    y = target if target.dtype == input.dtype else target.to(input.dtype)
    positive = y if pos_weight is None else pos_weight * y
    loss = (1.0 - y) * softplus(input) + positive * softplus(-input)
    if weight is not None:
        loss = loss * weight
    return _reduce("binary_cross_entropy_with_logits", loss, reduction)


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """-(y log x + (1 - y) log(1 - x)) for probabilities x; logarithms are cut off at -100.

    `input: [*S]` in [0, 1], `target: [*S]` in [0, 1] -> `[]` or `[*S]`. Raises ShapeError for
    unequal shapes, ArgumentError for an input that is no probability. Prefer the form with logits,
    which is exact for confident predictions.

    >>> import samara
    >>> loss = binary_cross_entropy(samara.tensor([0.5]), samara.tensor([1.0]))
    >>> round(loss.item(), 4)
    0.6931
    """
    _check_same_shape("binary_cross_entropy", input, target)
    plain = input.detach()
    if bool(((plain < 0) | (plain > 1)).any()):
        raise ArgumentError(
            f"binary_cross_entropy: the input holds {plain.min().item()} to {plain.max().item()}. "
            "Expected probabilities in [0, 1]. Fix: apply sigmoid first, or pass logits to "
            "binary_cross_entropy_with_logits."
        )
    y = target if target.dtype == input.dtype else target.to(input.dtype)
    log_x: Tensor = samara.clamp(samara.log(input), min=-100.0)
    log_rest: Tensor = samara.clamp(samara.log(1.0 - input), min=-100.0)
    loss = -(y * log_x + (1.0 - y) * log_rest)
    if weight is not None:
        loss = loss * weight
    return _reduce("binary_cross_entropy", loss, reduction)
