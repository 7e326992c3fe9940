"""Normed weights by hooks: the older forms, under their names in `torch.nn.utils`."""

from __future__ import annotations

from typing import Any

import samara
from samara.autograd import no_grad
from samara.errors import ArgumentError
from samara.nn.module import Module
from samara.nn.parameter import Parameter
from samara.nn.utils.parametrizations import (
    as_matrix,
    norm_except,
    require_iterations,
    transposed_axis,
    unit,
)
from samara.tensor import Tensor

__all__ = ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]


class _Hook:
    """Computes the weight before every call of the module."""

    def __init__(self, name: str) -> None:
        self.name = name

    def compute(self, module: Module) -> Tensor:
        raise NotImplementedError

    def __call__(self, module: Module, args: Any) -> None:
        setattr(module, self.name, self.compute(module))


def _take_parameter(place: str, module: Module, name: str) -> Parameter:
    parameter = getattr(module, name, None)
    if not isinstance(parameter, Parameter):
        raise ArgumentError(
            f"{place}: {type(module).__name__} has no parameter {name!r}. Expected one of its "
            "parameters, without a norm so far. Fix: name it as in state_dict()."
        )
    delattr(module, name)
    return parameter


def _find(place: str, module: Module, kind: type[_Hook], name: str) -> Any:
    for key, entry in (module._forward_pre_hooks or {}).items():
        if isinstance(entry[0], kind) and entry[0].name == name:
            del (module._forward_pre_hooks or {})[key]
            return entry[0]
    raise ArgumentError(
        f"{place}: {name!r} of {type(module).__name__} has no such norm. Expected one. "
        "Fix: leave the call out."
    )


def _restore(module: Module, name: str, value: Tensor) -> Module:
    delattr(module, name)
    setattr(module, name, Parameter(value.detach().clone()))
    return module


class _WeightNormHook(_Hook):
    def __init__(self, name: str, dim: int) -> None:
        super().__init__(name)
        self.dim = dim

    def compute(self, module: Module) -> Tensor:
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        weight: Tensor = v * (g / norm_except(v, self.dim))
        return weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """W = g v / |v|, with parameters <name>_g and <name>_v; gives the module back.

    The norm goes over all axes but `dim`, over all for None. Raises ArgumentError when there is no
    such parameter. Source: Salimans and Kingma, Weight Normalization, 2016.

    >>> from samara import nn
    >>> sorted(weight_norm(nn.Linear(2, 3)).state_dict())
    ['bias', 'weight_g', 'weight_v']
    """
    axis = -1 if dim is None else dim
    weight = _take_parameter("weight_norm", module, name)
    with no_grad():
        norm = norm_except(weight.detach(), axis)
    setattr(module, f"{name}_g", Parameter(norm))
    setattr(module, f"{name}_v", Parameter(weight.detach()))
    hook = _WeightNormHook(name, axis)
    setattr(module, name, hook.compute(module))
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Makes the weight a parameter of its own again.

    Raises ArgumentError when it has no weight norm.

    >>> from samara import nn
    >>> sorted(remove_weight_norm(weight_norm(nn.Linear(2, 3))).state_dict())
    ['bias', 'weight']
    """
    hook = _find("remove_weight_norm", module, _WeightNormHook, name)
    value = hook.compute(module)
    delattr(module, f"{name}_g")
    delattr(module, f"{name}_v")
    return _restore(module, name, value)


class _SpectralNormHook(_Hook):
    def __init__(self, name: str, times: int, dim: int, eps: float) -> None:
        super().__init__(name)
        self.times, self.dim, self.eps = times, dim, eps

    def compute(self, module: Module) -> Tensor:
        weight = getattr(module, f"{self.name}_orig")
        u, v = getattr(module, f"{self.name}_u"), getattr(module, f"{self.name}_v")
        matrix = as_matrix(weight, self.dim)
        if module.training:
            with no_grad():
                for _ in range(self.times):
                    v.copy_(unit(matrix.mT @ u, self.eps))
                    u.copy_(unit(matrix @ v, self.eps))
        scaled: Tensor = weight / (u.clone() * (matrix @ v.clone())).sum()
        return scaled


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """W / sigma(w), with the parameter <name>_orig and buffers <name>_u, <name>_v.

    sigma is the largest singular value of w as a matrix with rows along `dim` (0 by default, 1 for
    transposed convolutions), by power iterations in training mode. Gives the module back. Raises
    ArgumentError when there is no such parameter, or no iterations. Source: Miyato et al., Spectral
    Normalization for Generative Adversarial Networks, 2018.

    >>> from samara import nn
    >>> sorted(spectral_norm(nn.Linear(2, 3)).state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    require_iterations(n_power_iterations)
    axis = transposed_axis(module) if dim is None else dim
    weight = _take_parameter("spectral_norm", module, name)
    setattr(module, f"{name}_orig", Parameter(weight.detach()))
    setattr(module, name, weight.detach())
    matrix = as_matrix(weight.detach(), axis)
    for letter, size in zip("uv", matrix.shape, strict=True):
        start = samara.randn(size, dtype=matrix.dtype, device=matrix.device)
        module.register_buffer(f"{name}_{letter}", unit(start, eps))
    module.register_forward_pre_hook(_SpectralNormHook(name, n_power_iterations, axis, eps))
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Makes the weight, divided by its norm, a parameter of its own again.

    Raises ArgumentError when it has no spectral norm.

    >>> from samara import nn
    >>> sorted(remove_spectral_norm(spectral_norm(nn.Linear(2, 3))).state_dict())
    ['bias', 'weight']
    """
    hook = _find("remove_spectral_norm", module, _SpectralNormHook, name)
    training, module.training = module.training, False
    value = hook.compute(module)
    module.training = training
    for end in ("orig", "u", "v"):
        delattr(module, f"{name}_{end}")
    return _restore(module, name, value)
