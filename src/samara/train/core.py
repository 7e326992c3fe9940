"""The few things that training asks of the tensor core and of nn, with types."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

import samara
from samara import nn, optim
from samara.device import resolve
from samara.nn import diagnose
from samara.nn import loss as losses

__all__ = [
    "check_reach",
    "clip_norm",
    "concat",
    "float_type",
    "has_lazy_parameters",
    "is_module",
    "is_tensor",
    "learning_rate",
    "loss_module",
    "no_grad",
    "resolve_device",
    "seed",
    "tensor",
    "to_numpy",
]


def is_tensor(value: Any) -> bool:
    """True for a samara tensor or a subclass of it."""
    return isinstance(value, samara.Tensor)


def is_module(value: Any) -> bool:
    """True for an nn.Module."""
    return isinstance(value, nn.Module)


def loss_module(name: str) -> Any:
    """A loss module by its name; an unknown name raises with the closest one."""
    return losses.get(name)


def check_reach(model: Any, loss: Any) -> list[str]:
    """Raise for parameters the loss uses and the model hides; name those the loss leaves out."""
    untrained: list[str] = diagnose.check_reach(model, loss).untrained
    return untrained


def no_grad() -> AbstractContextManager[Any]:
    """A context in which no graph is recorded."""
    context: AbstractContextManager[Any] = samara.no_grad()
    return context


def seed(value: int) -> None:
    """Start the global random stream at `value`."""
    samara.seed(value)


def concat(parts: list[Any]) -> Any:
    """Join [n, a], [n, b], ... to [n, a + b + ...]."""
    return samara.concat(parts, axis=1)


def tensor(value: Any, device: Any = None) -> Any:
    """A tensor on `device` from a NumPy array (shared, not copied, on the CPU) or a tensor."""
    if not is_tensor(value):
        array = np.ascontiguousarray(value)
        value = samara.from_numpy(array if array.flags.writeable else array.copy())
    return value if device is None or value.device == device else value.to(device)


def to_numpy(value: Any) -> Any:
    """A NumPy array of a tensor's values, outside the graph."""
    return value.detach().to("cpu").numpy()


def float_type(model: Any = None) -> np.dtype[Any]:
    """The dtype of float data: float64 for a model (or a default) of float64, else float32."""
    dtype = samara.get_default_dtype()
    if is_module(model) and not has_lazy_parameters(model):
        dtype = next((p.dtype for p in model.parameters() if p.dtype.is_floating_point), dtype)
    return np.dtype(np.float64 if dtype == samara.float64 else np.float32)


def has_lazy_parameters(model: Any) -> bool:
    """True while some layer still waits for a batch to learn its input size."""
    return any(
        isinstance(p, nn.UninitializedParameter)
        for module in model.modules()
        for p in (module.__dict__.get("_pending") or {}).values()
    )


def clip_norm(parameters: Iterable[Any], limit: float) -> None:
    """Scale all gradients together so that their joint norm is at most `limit`."""
    optim.clip_grad_norm_(list(parameters), limit)


def resolve_device(device: Any) -> Any:
    """The device to train on; raises `DeviceError` for one that is not there."""
    return resolve(device)


def learning_rate(optimizer: Any) -> float:
    """The present learning rate of the first group."""
    return float(optimizer.param_groups[0]["lr"])
