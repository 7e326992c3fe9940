"""Tensors that a module owns: parameters, which train, and buffers, which do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from samara.random import Key
from samara.tensor import Tensor, asarray

__all__ = ["Buffer", "Parameter", "UninitializedParameter"]

#: Fills a tensor in place with values that are a function of the key.
Initializer = Callable[[Tensor, Key], object]


class Parameter(Tensor):
    """A tensor that a module lists among its parameters when it is set as an attribute.

    `data: [*S]` float or complex -> a parameter `[*S]` that shares the data's memory. Raises
    GradientError when an integer tensor is asked to train.

    >>> import samara
    >>> samara.nn.Parameter(samara.zeros(2, 3)).requires_grad
    True
    """

    # The initialiser that has yet to fill this parameter, see `samara.nn._pending`.
    _initializer: Initializer | None = None
    # The key of the values that are in the memory although `_initializer` is still to run.
    _preview: Key | None = None
    # True once a module holds the parameter as an attribute.
    _held: bool = False
    # The place that the values are keyed by, once they are final.
    _place: Any = None

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Parameter:
        """Share the memory of `data` (empty when None)."""
        parameter: Parameter = _as_subclass(cls, data, requires_grad)
        return parameter

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        pass

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return _copy(self, memo)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuild, (type(self), self.detach(), self.requires_grad, _marks(self))

    def __repr__(self) -> str:
        return f"Parameter containing:\n{Tensor.__repr__(self.detach())}"


class UninitializedParameter(Parameter):
    """Stands in for a parameter whose shape is known only when the first batch arrives."""

    def __new__(cls, requires_grad: bool = True) -> UninitializedParameter:
        """Make a placeholder of size zero."""
        placeholder: UninitializedParameter = _as_subclass(cls, None, requires_grad)
        return placeholder

    def __init__(self, requires_grad: bool = True) -> None:
        pass

    def __repr__(self) -> str:
        return "UninitializedParameter()"


class Buffer(Tensor):
    """A tensor that belongs to a module's state but does not train, such as a running mean.

    `data: [*S]` -> a buffer `[*S]`; `persistent=False` keeps it out of `state_dict`.

    >>> import samara
    >>> samara.nn.Buffer(samara.zeros(3)).requires_grad
    False
    """

    persistent: bool = True

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Buffer:
        """Share the memory of `data` (empty when None)."""
        buffer: Buffer = _as_subclass(cls, data, False)
        buffer.persistent = persistent
        return buffer

    def __init__(self, data: Any = None, *, persistent: bool = True) -> None:
        pass

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return _copy(self, memo)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuild, (type(self), self.detach(), False, _marks(self))


def _as_subclass(cls: Any, data: Any, requires_grad: bool) -> Any:
    import samara

    if data is None:
        data = samara.empty(0)
    elif not isinstance(data, Tensor):
        data = asarray(data)
    tensor = Tensor.__new__(cls, data)
    if requires_grad:
        tensor.requires_grad_()
    return tensor


def _marks(tensor: Any) -> dict[str, Any]:
    """The attributes that travel with a copy; an initialiser that is still to run does not."""
    dropped = ("_initializer", "_preview", "_held")
    return {name: value for name, value in vars(tensor).items() if name not in dropped}


def _rebuild(cls: Any, data: Tensor, requires_grad: bool, marks: dict[str, Any]) -> Any:
    tensor = _as_subclass(cls, data, requires_grad)
    vars(tensor).update(marks)
    return tensor


def _copy(tensor: Any, memo: dict[int, Any]) -> Any:
    if id(tensor) not in memo:
        data = tensor.detach().clone()
        memo[id(tensor)] = _rebuild(type(tensor), data, tensor.requires_grad, _marks(tensor))
    return memo[id(tensor)]
