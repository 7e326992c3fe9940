"""Helpers under the names of `torch.nn.utils`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import samara
from samara.autograd import no_grad
from samara.errors import ArgumentError, ShapeError
from samara.nn.module import Module
from samara.nn.utils import parametrizations, parametrize, rnn
from samara.nn.utils.fusion import (
    fuse_conv_bn_eval,
    fuse_conv_bn_weights,
    fuse_linear_bn_eval,
    fuse_linear_bn_weights,
)
from samara.nn.utils.normed import (
    remove_spectral_norm,
    remove_weight_norm,
    spectral_norm,
    weight_norm,
)
from samara.optim.clip import clip_grad_norm_, clip_grad_value_, get_total_norm
from samara.tensor import Tensor

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
    "get_total_norm",
    "parameters_to_vector",
    "parametrizations",
    "parametrize",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "skip_init",
    "spectral_norm",
    "vector_to_parameters",
    "weight_norm",
]

M = TypeVar("M", bound=Module)


def skip_init(module_cls: type[M], *args: Any, **kwargs: Any) -> M:
    """A module whose parameters and buffers are there, but hold whatever was in memory.

    For models whose weights are loaded next: nothing is drawn. Raises ArgumentError for what is no
    class of modules. Source: PyTorch, `torch.nn.utils.skip_init`.

    >>> from samara import nn
    >>> skip_init(nn.Linear, 3, 2).weight.shape
    (2, 3)
    """
    if not isinstance(module_cls, type) or not issubclass(module_cls, Module):
        raise ArgumentError(
            f"skip_init: received {module_cls!r}. Expected a class of modules and its arguments. "
            "Fix: skip_init(nn.Linear, 3, 2)."
        )
    made = module_cls(*args, **kwargs)
    for module in made.modules():
        for parameter in (module.__dict__.get("_pending") or {}).values():
            parameter._initializer = parameter._preview = None
    return made


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All values in one vector `[total]`, in the order given.

    >>> from samara import nn
    >>> parameters_to_vector(nn.Linear(2, 3).parameters()).shape
    (9,)
    """
    vector: Tensor = samara.cat([parameter.reshape(-1) for parameter in parameters])
    return vector


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Write a vector `[total]` back into the parameters it came from.

    Raises ShapeError when the sizes differ.

    >>> import samara
    >>> from samara import nn
    >>> layer = nn.Linear(1, 1)
    >>> vector_to_parameters(samara.tensor([2.0, 3.0]), layer.parameters())
    >>> layer.bias.item()
    3.0
    """
    targets = list(parameters)
    total = sum(parameter.numel() for parameter in targets)
    if vec.numel() != total:
        raise ShapeError(
            f"vector_to_parameters: the vector has {vec.numel()} values and the parameters have "
            f"{total}. Expected as many. Fix: pass the parameters that the vector came from."
        )
    start = 0
    with no_grad():
        for parameter in targets:
            end = start + parameter.numel()
            parameter.detach().copy_(vec[start:end].reshape(tuple(parameter.shape)))
            start = end
