"""Modules that hold other modules, or parameters."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from samara.errors import ArgumentError, IndexOutOfRangeError
from samara.nn import _pending, _tree, fusion
from samara.nn.module import Module
from samara.nn.parameter import Parameter

__all__ = ["Flatten", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]


class _Container(Module):
    """Holds entries by name; an entry's name is the prefix of its parameters' names."""

    _entries: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self.__dict__["_entries"] = {}

    def _accept(self, value: Any) -> None:
        """Raise unless the value may be an entry."""
        if not isinstance(value, Module):
            raise ArgumentError(
                f"{type(self).__name__}: received {type(value).__name__}. Expected a Module. "
                "Fix: pass an instance of nn.Module."
            )

    def _set(self, name: str, value: Any) -> None:
        self._accept(value)
        self._entries[name] = value
        _pending.link(self, value)
        self.__dict__["_settled"] = self.__dict__["_ready"] = False
        self._changed()

    def _changed(self) -> None:
        """Called when entries came or went."""

    def add_module(self, name: str, module: Any) -> None:
        """Set an entry under a name."""
        if not isinstance(name, str) or not name or "." in name:
            raise ArgumentError(
                f"{type(self).__name__}: received the name {name!r}. Expected a non-empty string "
                'without ".". Fix: choose another name.'
            )
        self._set(name, module)

    def _shown(self) -> Iterator[tuple[str, Any]]:
        yield from self._entries.items()
        for name, value in _tree.members(self):
            if isinstance(value, Module) and name not in self._entries:
                yield name, value

    def __len__(self) -> int:
        return len(self._entries)


class _Listing(_Container):
    """Entries named 0, 1, 2, ..."""

    def _name_at(self, index: Any) -> str:
        names = list(self._entries)
        try:
            position = operator.index(index)
        except TypeError:
            if str(index) in self._entries:
                return str(index)
            raise ArgumentError(
                f"{type(self).__name__}: the index is {index!r}. Expected an integer or a slice. "
                "Fix: container[0]."
            ) from None
        if not -len(names) <= position < len(names):
            raise IndexOutOfRangeError(
                f"{type(self).__name__}: the index is {position}. Expected {-len(names)} to "
                f"{len(names) - 1}. Fix: len(container) is {len(names)}."
            )
        return names[position]

    def _refill(self, values: Iterable[Any]) -> None:
        self._entries.clear()
        self._changed()
        for index, value in enumerate(values):
            self._set(str(index), value)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._entries.values()))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._part(list(self._entries.items())[index])
        return self._entries[self._name_at(index)]

    def _part(self, entries: list[tuple[str, Any]]) -> Any:
        kind: Any = type(self)
        return kind([value for _, value in entries])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._set(self._name_at(index), value)

    def __delitem__(self, index: Any) -> None:
        if isinstance(index, slice):
            gone = list(self._entries)[index]
        else:
            gone = [self._name_at(index)]
        self._refill([value for name, value in self._entries.items() if name not in gone])

    def append(self, value: Any) -> Any:
        """Add an entry at the end."""
        self._set(str(len(self._entries)), value)
        return self

    def extend(self, values: Iterable[Any]) -> Any:
        """Add entries at the end."""
        for value in list(values):
            self.append(value)
        return self

    def insert(self, index: int, value: Any) -> Any:
        """Add an entry before a position."""
        self._accept(value)
        values = list(self._entries.values())
        values.insert(index, value)
        self._refill(values)
        return self

    def pop(self, index: int = -1) -> Any:
        """Remove an entry and return it."""
        value = self[index]
        del self[index]
        return value


class Sequential(_Listing):
    """Layers in a row: y = f_n(... f_2(f_1(x))).

    Takes modules, plain functions and lambdas, or one OrderedDict of names. Parameters are named
    `0.weight`, `2.weight`, ... A parameter that only a lambda's closure holds does not train; the
    first `fit` says so.

    >>> import samara
    >>> from samara import nn
    >>> model = Sequential(nn.Linear(3, 4), nn.ReLU(), lambda x: 2 * x, nn.Linear(4, 1))
    >>> model(samara.ones(2, 3)).shape
    (2, 1)
    """

    _plan: tuple[fusion.Step, ...] | None = None

    def __init__(self, *layers: Any) -> None:
        super().__init__()
        if len(layers) == 1 and isinstance(layers[0], (list, tuple)):
            layers = tuple(layers[0])
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            for name, layer in layers[0].items():
                self.add_module(name, layer)
            return
        for index, layer in enumerate(layers):
            self._set(str(index), layer)

    def _accept(self, value: Any) -> None:
        if isinstance(value, type) and issubclass(value, Module):
            raise ArgumentError(
                f"Sequential: received the class {value.__name__}. Expected an instance. "
                f"Fix: {value.__name__}(...), with brackets."
            )
        if not callable(value):
            raise ArgumentError(
                f"Sequential: received {type(value).__name__}. Expected a Module or a function. "
                "Fix: nn.Sequential(nn.Linear(4, 4), nn.ReLU())."
            )

    def _part(self, entries: list[tuple[str, Any]]) -> Sequential:
        return Sequential(OrderedDict(entries))

    def _changed(self) -> None:
        self.__dict__.pop("_plan", None)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self._changed()

    def forward(self, input: Any) -> Any:
        """Apply the layers in order; neighbours that can run as one operation do."""
        steps = self._plan
        if steps is None:
            steps = self.__dict__["_plan"] = fusion.plan(list(self._entries.values()))
        if steps:
            for step in steps:
                input = step.run(input)
            return input
        for layer in self._entries.values():
            input = layer(input)
        return input


class ModuleList(_Listing):
    """A list of modules whose parameters are named `0.weight`, `1.weight`, ...

    A plain list as an attribute works as well.

    >>> from samara import nn
    >>> len(list(ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)]).parameters()))
    4
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or ())

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __iadd__(self, other: Iterable[Module]) -> ModuleList:
        self.extend(other)
        return self


class _Keyed(_Container):
    def __init__(
        self, entries: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None
    ) -> None:
        super().__init__()
        self.update(entries or {})

    def update(self, entries: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Set several entries."""
        for name, value in dict(entries).items():
            self.add_module(name, value)

    def __getitem__(self, name: str) -> Any:
        return _entry(self, name)

    def __setitem__(self, name: str, value: Any) -> None:
        self.add_module(name, value)

    def __delitem__(self, name: str) -> None:
        _entry(self, name)
        del self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def keys(self) -> Any:
        """The names."""
        return self._entries.keys()

    def values(self) -> Any:
        """The entries."""
        return self._entries.values()

    def items(self) -> Any:
        """The names and entries."""
        return self._entries.items()

    def pop(self, name: str) -> Any:
        """Remove an entry and return it."""
        value = self[name]
        del self[name]
        return value

    def clear(self) -> None:
        """Remove all entries."""
        self._entries.clear()


def _entry(container: _Container, name: str) -> Any:
    if name in container._entries:
        return container._entries[name]
    raise KeyError(
        f"{type(container).__name__} has no entry {name!r}; it has: "
        f"{', '.join(container._entries) or 'none'}"
    )


class ModuleDict(_Keyed):
    """A dict of modules; `{"head": Linear(2, 2)}` gives `head.weight`.

    A plain dict as an attribute works as well.

    >>> from samara import nn
    >>> list(ModuleDict({"head": nn.Linear(2, 2)}).state_dict())
    ['head.weight', 'head.bias']
    """

    def __init__(
        self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None
    ) -> None:
        super().__init__(modules)


def _as_parameter(container: _Container, value: Any) -> Parameter:
    if isinstance(value, Parameter):
        return value
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return Parameter(value)
    raise ArgumentError(
        f"{type(container).__name__}: received {type(value).__name__}. Expected nn.Parameter or a "
        "tensor. Fix: nn.Parameter(value)."
    )


class ParameterList(_Listing):
    """A list of parameters named `0`, `1`, ...; plain tensors become parameters.

    >>> import samara
    >>> list(ParameterList([samara.zeros(2)]).state_dict())
    ['0']
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self.extend(values or ())

    def _accept(self, value: Any) -> None:
        _as_parameter(self, value)

    def _set(self, name: str, value: Any) -> None:
        super()._set(name, _as_parameter(self, value))

    def _shown(self) -> Iterator[tuple[str, Any]]:
        return iter(())

    def extra_repr(self) -> str:
        """The shapes."""
        return ", ".join(f"({name}): {_describe(value)}" for name, value in self._entries.items())


class ParameterDict(_Keyed):
    """A dict of parameters; plain tensors become parameters.

    >>> import samara
    >>> list(ParameterDict({"scale": samara.ones(2)}).state_dict())
    ['scale']
    """

    def __init__(
        self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None
    ) -> None:
        super().__init__(parameters)

    def _accept(self, value: Any) -> None:
        _as_parameter(self, value)

    def _set(self, name: str, value: Any) -> None:
        super()._set(name, _as_parameter(self, value))

    def _shown(self) -> Iterator[tuple[str, Any]]:
        return iter(())

    def extra_repr(self) -> str:
        """The shapes."""
        return ", ".join(f"({name}): {_describe(value)}" for name, value in self._entries.items())


def _describe(parameter: Parameter) -> str:
    return f"Parameter {tuple(parameter.shape)} {parameter.dtype}"


class Flatten(Module):
    """Flatten the dimensions `start_dim` to `end_dim` into one.

    `x: [N, *S]` -> `[N, prod(S)]` by default.

    >>> import samara
    >>> Flatten()(samara.zeros(2, 3, 4)).shape
    (2, 12)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Any) -> Any:
        """`[N, *S]` -> `[N, prod(S)]`."""
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """The dimensions."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
