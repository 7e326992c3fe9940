"""Parameters that will never train: hidden from the model, or out of the loss's reach."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from samara.autograd import graph_leaves
from samara.errors import TrainingError
from samara.nn import _tree
from samara.nn.module import Module
from samara.nn.parameter import Parameter
from samara.tensor import Tensor

__all__ = ["Hidden", "Reach", "check_reach", "unreachable_parameters"]

# How deep objects, closures and sets are searched for the holder of a hidden parameter.
_DEPTH = 6


@dataclass(frozen=True)
class Hidden:
    """A tensor the loss depends on that `model.parameters()` does not list."""

    where: str
    shape: tuple[int, ...]
    tensor: Tensor = field(repr=False)
    is_parameter: bool = True


@dataclass(frozen=True)
class Reach:
    """What `unreachable_parameters` found."""

    hidden: list[Hidden]
    untrained: list[str]

    def __bool__(self) -> bool:
        return bool(self.hidden or self.untrained)

    def __str__(self) -> str:
        lines = []
        for item in self.hidden:
            lines.append(
                f"hidden parameter of shape {item.shape} {item.where}: the loss uses it, and "
                "model.parameters() does not list it, so no optimizer trains it. Fix: hold it in "
                "an attribute, list, tuple or dict of the model."
            )
        if self.untrained:
            lines.append(
                f"the loss does not depend on {', '.join(self.untrained)}: no gradient will ever "
                "arrive. Fix: use these in forward, freeze them with requires_grad_(False), or "
                "remove them."
            )
        return "\n".join(lines) or "every parameter is listed and reached"


def unreachable_parameters(model: Module, loss: Tensor) -> Reach:
    """Compare the leaves of the loss's graph with the parameters that the model lists.

    `hidden`: leaves that require grad and are not among `model.parameters()` - held in a set, in
    the closure of a lambda, in a generator. `untrained`: names of parameters that require grad and
    that the loss does not depend on.

    >>> import samara
    >>> from samara import nn
    >>> secret = nn.Linear(3, 3)
    >>> model = nn.Sequential(nn.Linear(3, 3), lambda x: secret(x))
    >>> report = unreachable_parameters(model, model(samara.ones(1, 3)).sum())
    >>> [item.where for item in report.hidden][0]
    "in model.1 (the function's variable 'secret').weight"
    """
    reached = {id(leaf): leaf for leaf in graph_leaves(loss)}
    named = list(model.named_parameters())
    listed = {id(parameter) for _, parameter in named}
    strays = [leaf for key, leaf in reached.items() if key not in listed and leaf.requires_grad]
    places = dict(_held(model)) if strays else {}
    hidden = [
        Hidden(
            places.get(id(leaf), "held outside of the model"),
            tuple(leaf.shape),
            leaf,
            isinstance(leaf, Parameter),
        )
        for leaf in strays
    ]
    untrained = [name for name, p in named if p.requires_grad and id(p) not in reached]
    return Reach(hidden, untrained)


def check_reach(model: Module, loss: Tensor) -> Reach:
    """Raise TrainingError for hidden parameters; return the report, which may name untrained ones.

    A plain tensor that requires grad and is not the model's, such as an input under attack, is no
    error.

    >>> import samara
    >>> from samara import nn
    >>> model = nn.Linear(2, 1)
    >>> check_reach(model, model(samara.ones(1, 2)).sum()).untrained
    []
    """
    report = unreachable_parameters(model, loss)
    hidden = [item for item in report.hidden if item.is_parameter]
    if hidden:
        raise TrainingError(f"{type(model).__name__}: {Reach(hidden, [])}")
    return report


def _held(model: Module) -> Iterator[tuple[int, str]]:
    """Tensors found by looking where `parameters()` does not, as (id, place)."""
    for path, module in model.named_modules():
        base = f"model.{path}" if path else "model"
        seen: set[int] = set()
        for name, value in list(vars(module).items()):
            if name in ("_parent", "_era") or isinstance(value, (Module, Tensor)):
                continue
            label = base if name == "_entries" else f"{base}.{name}"
            yield from _search(value, label, seen, _DEPTH)


def _search(value: Any, place: str, seen: set[int], depth: int) -> Iterator[tuple[int, str]]:
    if isinstance(value, Tensor):
        yield id(value), f"in {place}"
        return
    if depth == 0 or id(value) in seen or isinstance(value, (*_tree._DATA, type, types.ModuleType)):
        return
    seen.add(id(value))
    if isinstance(value, Module):
        for name, parameter in value.named_parameters():
            yield id(parameter), f"in {place}.{name}"
        return
    for label, inner in _inside(value):
        yield from _search(inner, f"{place}{label}", seen, depth - 1)


def _inside(value: Any) -> Iterator[tuple[str, Any]]:
    """What an object holds, with words for where."""
    if isinstance(value, dict):
        for key, inner in list(value.items()):
            yield f".{key}", inner
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield f".{index}", inner
    elif isinstance(value, (set, frozenset)):
        for inner in value:
            yield " (a set)", inner
    elif isinstance(value, functools.partial):
        for inner in (value.func, *value.args, *value.keywords.values()):
            yield " (a partial)", inner
    elif isinstance(value, types.MethodType):
        yield " (a bound method)", value.__self__
    elif isinstance(value, types.FunctionType):
        yield from _inside_function(value)
    elif isinstance(value, types.GeneratorType):
        if value.gi_frame is not None:
            for inner in list(value.gi_frame.f_locals.values()):
                yield " (a generator)", inner
    elif hasattr(value, "__dict__"):
        for name, inner in list(vars(value).items()):
            yield f".{name}", inner


def _inside_function(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f" (the function's variable {name!r})", cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    for inner in function.__defaults__ or ():
        yield " (the function's default)", inner
    for name in function.__code__.co_names:
        inner = function.__globals__.get(name)
        if isinstance(inner, (Module, Tensor)):
            yield f" (the function's variable {name!r})", inner
