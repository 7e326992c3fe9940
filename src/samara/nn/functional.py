"""Layers and losses as functions, under the names of `torch.nn.functional`.

The loss functions never broadcast: a prediction `(32, 1)` against a target `(32,)` raises.
"""

from __future__ import annotations

from collections.abc import Callable

import samara
from samara.errors import ArgumentError
from samara.tensor import Tensor

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "gelu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "huber_loss",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "mish",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "pad",
    "relu",
    "relu6",
    "rms_norm",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
]


TensorFunction = Callable[..., Tensor]

# The operations themselves, with the type they have here.
binary_cross_entropy_with_logits: TensorFunction = samara.binary_cross_entropy_with_logits
conv1d: TensorFunction = samara.conv1d
conv2d: TensorFunction = samara.conv2d
conv3d: TensorFunction = samara.conv3d
conv_transpose1d: TensorFunction = samara.conv_transpose1d
conv_transpose2d: TensorFunction = samara.conv_transpose2d
conv_transpose3d: TensorFunction = samara.conv_transpose3d
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
pad: TensorFunction = samara.pad
relu: TensorFunction = samara.relu
selu: TensorFunction = samara.selu
sigmoid: TensorFunction = samara.sigmoid
silu: TensorFunction = samara.silu
smooth_l1_loss: TensorFunction = samara.smooth_l1_loss
softmax: TensorFunction = samara.softmax
softplus: TensorFunction = samara.softplus
softsign: TensorFunction = samara.softsign
celu: TensorFunction = samara.celu
hardsigmoid: TensorFunction = samara.hardsigmoid
logsigmoid: TensorFunction = samara.logsigmoid
one_hot: TensorFunction = samara.one_hot
relu6: TensorFunction = samara.relu6
rms_norm: TensorFunction = samara.rms_norm
tanh: TensorFunction = samara.tanh


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
    plain = input.detach()
    if bool(((plain < 0) | (plain > 1)).any()):
        raise ArgumentError(
            f"binary_cross_entropy: the input holds {plain.min().item()} to {plain.max().item()}. "
            "Expected probabilities in [0, 1]. Fix: apply sigmoid first, or pass logits to "
            "binary_cross_entropy_with_logits."
        )
    loss: Tensor = samara.binary_cross_entropy(input, target, weight, reduction)
    return loss
