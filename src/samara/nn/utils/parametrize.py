"""Parameters that are functions of others, under the names of `torch.nn.utils.parametrize`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from samara.autograd import no_grad
from samara.errors import ArgumentError, ShapeError
from samara.nn.containers import ModuleDict, ModuleList
from samara.nn.module import Module
from samara.nn.parameter import Buffer, Parameter
from samara.tensor import Tensor

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "type_before_parametrizations",
]

_cache: dict[tuple[int, str], Tensor] | None = None


@contextlib.contextmanager
def cached() -> Iterator[None]:
    """Inside of the block every parametrized tensor is computed once.

    >>> with cached():
    ...     pass
    """
    global _cache
    outer, _cache = _cache, {} if _cache is None else _cache
    try:
        yield
    finally:
        _cache = outer


class ParametrizationList(ModuleList):
    """The functions of one tensor, and the tensors it is made from: `original`, or `original0`, ...

    >>> from samara import nn
    >>> layer = register_parametrization(nn.Linear(2, 3), "weight", nn.Identity())
    >>> type(layer.parametrizations.weight).__name__
    'ParametrizationList'
    """

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        super().__init__(modules)
        self.unsafe = unsafe
        value: Any = original.detach()
        with no_grad():
            for module in reversed(modules):
                if hasattr(module, "right_inverse"):
                    value = module.right_inverse(value)
        self.is_tensor = isinstance(value, Tensor)
        parts = [value] if self.is_tensor else list(value)
        self._names = (
            ["original"] if self.is_tensor else [f"original{i}" for i in range(len(parts))]
        )
        trains = isinstance(original, Parameter)
        for name, part in zip(self._names, parts, strict=True):
            if trains:
                setattr(self, name, Parameter(part.detach(), original.requires_grad))
            else:
                self.register_buffer(name, part.detach())

    def forward(self) -> Tensor:
        """The tensor."""
        modules = list(self)
        x: Any = modules[0](*(getattr(self, name) for name in self._names))
        for module in modules[1:]:
            x = module(x)
        result: Tensor = x
        return result

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals so that the tensor becomes `value`."""
        given: Any = value
        with no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise ArgumentError(
                        f"{type(module).__name__}: it has no right_inverse, and its tensor was "
                        "assigned. Expected a method right_inverse(value). Fix: define it."
                    )
                given = module.right_inverse(given)
            parts = [given] if self.is_tensor else list(given)
            for name, part in zip(self._names, parts, strict=True):
                getattr(self, name).detach().copy_(part)


def _property(name: str) -> property:
    def read(self: Any) -> Tensor:
        key = (id(self), name)
        if _cache is not None and key in _cache:
            return _cache[key]
        value: Tensor = self.parametrizations[name]()
        if _cache is not None:
            _cache[key] = value
        return value

    def write(self: Any, value: Tensor) -> None:
        self.parametrizations[name].right_inverse(value)

    return property(read, write)


def _parametrized_class(module: Module) -> type:
    """A class of the module's own, whose properties compute."""
    base = type(module)

    def set_attribute(self: Any, name: str, value: Any) -> None:
        if isinstance(getattr(type(self), name, None), property):
            object.__setattr__(self, name, value)
        else:
            base.__setattr__(self, name, value)

    return type(
        f"Parametrized{base.__name__}",
        (base,),
        {"__setattr__": set_attribute, "__module__": base.__module__, "_plain_class": base},
    )


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a module has parametrizations, or its tensor of that name has.

    >>> from samara import nn
    >>> is_parametrized(nn.Linear(2, 2))
    False
    """
    found = module.__dict__.get("parametrizations")
    if not isinstance(found, ModuleDict):
        return False
    return len(found) > 0 if tensor_name is None else tensor_name in found


def type_before_parametrizations(module: Module) -> type:
    """The module's class without its parametrizations.

    >>> from samara import nn
    >>> type_before_parametrizations(nn.Linear(2, 2)).__name__
    'Linear'
    """
    return getattr(type(module), "_plain_class", type(module))


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """From now on `module.<tensor_name>` is parametrization(original); gives the module back.

    The original starts as parametrization.right_inverse(value) where there is one, as the value
    otherwise, and is called `parametrizations.<tensor_name>.original` in the state; several
    parametrizations of one tensor act one after another. Raises ArgumentError when there is no
    such tensor, ShapeError (unless unsafe) when the function changes the shape or dtype.

    >>> import samara
    >>> from samara import nn
    >>> class Symmetric(nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).mT
    >>> layer = register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
    >>> bool(samara.equal(layer.weight, layer.weight.mT).all())
    True
    """
    if is_parametrized(module, tensor_name):
        parts = module.parametrizations[tensor_name]
        value: Any = getattr(module, tensor_name)
        joined = ParametrizationList([*parts, parametrization], value, unsafe)
        if isinstance(getattr(parts, parts._names[0]), Parameter):
            for name in joined._names:
                part = getattr(joined, name)
                if not isinstance(part, Parameter):
                    del joined.__dict__[name]
                    setattr(joined, name, Parameter(part))
        _check_shape(joined, value, unsafe)
        module.parametrizations[tensor_name] = joined
        return module
    value = getattr(module, tensor_name, None)
    table = module.__dict__.get("_persistence") or {}
    if not isinstance(value, (Parameter, Buffer)) and tensor_name not in table:
        raise ArgumentError(
            f"register_parametrization: {type(module).__name__} has no parameter or buffer "
            f"{tensor_name!r}. Expected one of its tensors. Fix: name it as in state_dict()."
        )
    parts = ParametrizationList([parametrization], value, unsafe)
    _check_shape(parts, value, unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        module.parametrizations = ModuleDict()
        object.__setattr__(module, "__class__", _parametrized_class(module))
    module.parametrizations[tensor_name] = parts
    setattr(type(module), tensor_name, _property(tensor_name))
    return module


def _check_shape(parts: ParametrizationList, value: Tensor, unsafe: bool) -> None:
    if unsafe:
        return
    with no_grad():
        found = parts()
    if tuple(found.shape) != tuple(value.shape) or found.dtype != value.dtype:
        raise ShapeError(
            f"register_parametrization: the parametrization gives {found.dtype} of shape "
            f"{tuple(found.shape)} for {value.dtype} of shape {tuple(value.shape)}. Expected the "
            "same. Fix: unsafe=True allows it."
        )


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Makes `module.<tensor_name>` a parameter again: with its present value, or the original.

    Raises ArgumentError when it has no parametrization, or several originals that are to stay.

    >>> from samara import nn
    >>> layer = register_parametrization(nn.Linear(2, 2), "weight", nn.Identity())
    >>> sorted(remove_parametrizations(layer, "weight").state_dict())
    ['bias', 'weight']
    """
    if not is_parametrized(module, tensor_name):
        raise ArgumentError(
            f"remove_parametrizations: {tensor_name!r} of {type(module).__name__} is not "
            "parametrized. Expected a tensor that is. Fix: leave the call out."
        )
    parts = module.parametrizations[tensor_name]
    if not leave_parametrized and not parts.is_tensor:
        raise ArgumentError(
            f"remove_parametrizations: {tensor_name!r} is made from {len(parts._names)} tensors. "
            "Expected one to go back to. Fix: leave_parametrized=True."
        )
    original = getattr(parts, parts._names[0])
    trains = isinstance(original, Parameter)
    with no_grad():
        value = parts().detach() if leave_parametrized else original.detach()
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    if not len(module.parametrizations):
        base = type_before_parametrizations(module)
        del module.parametrizations
        object.__setattr__(module, "__class__", base)
    if trains:
        setattr(module, tensor_name, Parameter(value.clone(), original.requires_grad))
    else:
        module.register_buffer(tensor_name, value.clone())
    return module
