"""Handles of hooks."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import samara._core as _core
from samara.tensor import Tensor

__all__ = ["BackwardHooks", "RemovableHandle"]

_ids = itertools.count()


class RemovableHandle:
    """Takes a hook away again: with `remove()`, or at the end of a `with` block.

    >>> from samara import nn
    >>> handle = nn.ReLU().register_forward_hook(lambda module, args, output: None)
    >>> handle.remove()
    """

    def __init__(self, hooks: dict[int, Any]) -> None:
        self.id = next(_ids)
        self._hooks = hooks

    def remove(self) -> None:
        """Remove the hook; a second call does nothing."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()


Gradients = tuple[Tensor | None, ...]


class _Crossing:
    """Runs `visit` on the gradients that cross a place in the graph; the node keeps it."""

    def __init__(self, visit: Callable[[Gradients], Gradients]) -> None:
        self.visit = visit

    def __call__(self, gradient: Tensor) -> None:
        return None


_crossings: weakref.WeakValueDictionary[int, _Crossing] = weakref.WeakValueDictionary()


def _rule(gradients: Any, inputs: Any, values: Any, outputs: Any, *, token: int) -> Any:
    given = gradients if isinstance(gradients, tuple) else (gradients,)
    return list(_crossings[token].visit(given)), [None] * len(values)


_pass_through = _core.Operation(
    "backward_hook(inputs: Tensor[], outputs: Tensor[], token: int)",
    "checkpoint",
    output_type=tuple,
    rule=_rule,
)


def _cross(values: Sequence[Any], visit: Callable[[Gradients], Gradients]) -> list[Any]:
    """The same values, of which those in the graph have their gradients seen by `visit`."""
    places = [k for k, x in enumerate(values) if isinstance(x, Tensor) and x.requires_grad]
    result = list(values)
    if not places:
        return result

    def only(gradients: Gradients) -> Gradients:
        whole: list[Tensor | None] = [None] * len(values)
        for k, gradient in zip(places, gradients, strict=True):
            whole[k] = gradient
        seen = visit(tuple(whole))
        return tuple(seen[k] for k in places)

    crossing = _Crossing(only)
    token = next(_ids)
    _crossings[token] = crossing
    chosen = [values[k] for k in places]
    passed = _pass_through(chosen, [x.detach() for x in chosen], token)
    _core.add_hook(passed[0], crossing)
    for k, x in zip(places, passed, strict=True):
        result[k] = x
    return result


def _replaced(old: Gradients, new: Any) -> Gradients:
    if new is None:
        return old
    return tuple(new) if isinstance(new, (tuple, list)) else (new,)


class BackwardHooks:
    """The backward hooks of one call of a module: around its inputs and its outputs."""

    def __init__(self, module: Any, before: dict[int, Any], after: dict[int, Any]) -> None:
        self.module, self.before, self.after = module, before, after
        self.of_output: Gradients = ()
        self.waits = False  # some input is in the graph

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The positional arguments, seen on their way back."""
        self.waits = any(isinstance(x, Tensor) and x.requires_grad for x in args)
        self.count = len(args)
        return tuple(_cross(args, self._leave))

    def outputs(self, value: Any) -> Any:
        """The module's value, a tensor or a tuple of them, likewise."""
        if isinstance(value, Tensor):
            return _cross([value], self._enter)[0]
        if type(value) in (tuple, list):
            return type(value)(_cross(value, self._enter))
        return value

    def _enter(self, gradients: Gradients) -> Gradients:
        for hook in list(self.before.values()):
            gradients = _replaced(gradients, hook(self.module, gradients))
        self.of_output = gradients
        if not self.waits:
            self._leave((None,) * self.count)
        return gradients

    def _leave(self, gradients: Gradients) -> Gradients:
        for hook in list(self.after.values()):
            gradients = _replaced(gradients, hook(self.module, gradients, self.of_output))
        return gradients
