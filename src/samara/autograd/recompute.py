"""Activation checkpointing: inner values are computed again instead of kept."""

from __future__ import annotations

import functools
import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import samara._core as _core
from samara import random
from samara._core import Tensor
from samara.autograd.mode import enable_grad, no_grad
from samara.autograd.observe import observe
from samara.errors import ArgumentError, GradientError

__all__ = ["checkpoint", "checkpoint_sequential"]


def _map(value: Any, change: Callable[[Tensor], Any]) -> Any:
    """`value` with its tensors changed, in tuples, lists and dicts too."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {name: _map(item, change) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_map(item, change) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def _tensors(value: Any) -> list[Tensor]:
    found: list[Tensor] = []
    _map(value, found.append)
    return found


def _inexact(x: Tensor) -> bool:
    return bool(x.dtype.is_floating_point or x.dtype.is_complex)


class _Part:
    """One call of a function, and what is needed to repeat it."""

    def __init__(
        self, function: Callable[..., Any], args: Any, kwargs: Any, preserve_rng_state: bool
    ) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.state = random.get_state() if preserve_rng_state else None
        self.inputs = {id(x): x for x in _tensors((args, kwargs)) if x.requires_grad}

    def first(self) -> Any:
        """The function's value outside of the graph; finds the leaves that it uses."""

        def see(name: str, arguments: list[Any]) -> None:
            del name
            for x in _tensors(arguments):
                if not x.requires_grad or id(x) in self.inputs:
                    continue
                if not x.is_leaf:
                    raise self._captured(x)
                self.inputs[id(x)] = x

        with no_grad(), observe(before=see):
            return self.function(*self.args, **self.kwargs)

    @staticmethod
    def _captured(x: Tensor) -> GradientError:
        return GradientError(
            f"checkpoint: the function uses a tensor of shape {tuple(x.shape)} that is part of a "
            "graph and none of its arguments. Expected arguments, and parameters. Fix: pass it as "
            "an argument."
        )

    def again(self, create_graph: bool) -> tuple[list[Tensor], list[Tensor]]:
        """(outputs, inputs) of a graph of the function alone."""
        fresh: dict[int, Tensor] = {}
        for x in self.inputs.values():
            if x.is_leaf:
                fresh[id(x)] = x
            else:
                cut = x.view(x.shape) if create_graph else x.detach()
                fresh[id(x)] = cut if create_graph else cut.requires_grad_()

        def see(name: str, arguments: list[Any]) -> None:
            del name
            for x in _tensors(arguments):
                if not x.is_leaf and id(x) in self.inputs:
                    raise self._captured(x)

        args, kwargs = _map((self.args, self.kwargs), lambda x: fresh.get(id(x), x))
        with enable_grad(), random.replay(self.state), observe(before=see):
            value = self.function(*args, **kwargs)
        return [x for x in _tensors(value) if _inexact(x)], list(fresh.values())


# The parts whose nodes are alive: a hook of the node holds the part.
_parts: weakref.WeakValueDictionary[int, _Part] = weakref.WeakValueDictionary()
_tokens = itertools.count()


def _rule(
    gradients: Any, inputs: Sequence[Tensor], values: Any, outputs: Any, *, token: int
) -> tuple[list[Tensor | None], list[None]]:
    del inputs, outputs
    given = gradients if isinstance(gradients, tuple) else (gradients,)
    part = _parts[token]
    create_graph = _core.grad_enabled()
    found, wanted = part.again(create_graph)
    before = [(tuple(x.shape), x.dtype) for x in values]
    after = [(tuple(x.shape), x.dtype) for x in found]
    if before != after:
        raise GradientError(
            f"checkpoint: the function gave {before} in forward and {after} when it was repeated. "
            "Expected the same. Fix: let it depend on its arguments and parameters alone."
        )
    pairs = [(y, g) for y, g in zip(found, given, strict=True) if y.requires_grad]
    if not pairs:
        return [None] * len(wanted), [None] * len(before)
    roots, starts = (list(side) for side in zip(*pairs, strict=True))
    gained = _core.backward(roots, starts, wanted, create_graph, create_graph, False)
    return list(gained), [None] * len(before)


_checkpoint = _core.Operation(
    "checkpoint(inputs: Tensor[], outputs: Tensor[], token: int)",
    "checkpoint",
    output_type=tuple,
    rule=_rule,
)


class _Keep:
    """A gradient hook that changes nothing and lives as long as the node."""

    def __init__(self, part: _Part) -> None:
        self.part = part

    def __call__(self, gradient: Tensor) -> None:
        return None


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    context_fn: Callable[[], Any] | None = None,
    determinism_check: str = "default",
    debug: bool = False,
    **kwargs: Any,
) -> Any:
    """function(*args, **kwargs), whose inner values are computed again in backward.

    Memory is kept for the arguments and the result only; backward runs the function once more, with
    the random numbers of the first time (unless preserve_rng_state=False). Gradients reach
    arguments, also those in tuples, lists and dicts, and the parameters that the function uses.
    use_reentrant, determinism_check and debug are there for PyTorch's sake: there is one way, and
    shapes and dtypes are always checked.

    Raises GradientError when the function uses a tensor inside a graph that is none of its
    arguments, and when it gives something else the second time. Source: Chen et al., Training Deep
    Nets with Sublinear Memory Cost, 2016.

    >>> x = samara.tensor([1.0, 2.0], requires_grad=True)
    >>> samara.checkpoint(lambda x: (x.exp() * x).sum(), x).backward()
    >>> bool(samara.allclose(x.grad, x.exp() * (x + 1)))
    True
    """
    del use_reentrant, determinism_check, debug
    if context_fn is not None:
        raise NotImplementedError(
            "checkpoint: context_fn is not there. Expected None. Fix: leave it out."
        )
    if not callable(function):
        raise ArgumentError(
            f"checkpoint: received a {type(function).__name__}. Expected a function and its "
            "arguments. Fix: samara.checkpoint(function, x)."
        )
    if not _core.grad_enabled():
        return function(*args, **kwargs)
    part = _Part(function, args, kwargs, preserve_rng_state)
    value = part.first()
    values = [x for x in _tensors(value) if _inexact(x)]
    if not part.inputs or not values:
        return value
    token = next(_tokens)
    _parts[token] = part
    outputs = _checkpoint(list(part.inputs.values()), values, token)
    _core.add_hook(outputs[0], _Keep(part))
    rest = iter(outputs)
    return _map(value, lambda x: next(rest) if _inexact(x) else x)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """functions[n](...functions[0](input)), in `segments` parts that are checkpointed.

    functions: an `nn.Sequential` or a list. The last part keeps its values, as backward begins with
    it. Raises ArgumentError unless there are 1 to len(functions) segments.

    >>> x = samara.tensor(2.0, requires_grad=True)
    >>> y = samara.autograd.checkpoint_sequential([samara.exp, samara.square, samara.log], 2, x)
    >>> y.backward()
    >>> x.grad.item()
    2.0
    """
    del use_reentrant
    parts = list(functions)
    if not 1 <= segments <= len(parts):
        raise ArgumentError(
            f"checkpoint_sequential: {segments} segments of {len(parts)} functions. Expected 1 to "
            f"{len(parts)}. Fix: segments={max(len(parts) // 2, 1)}."
        )
    size = len(parts) // segments

    def run(chosen: Sequence[Callable[[Any], Any]], value: Any) -> Any:
        return functools.reduce(lambda x, function: function(x), chosen, value)

    for k in range(segments - 1):
        chosen = parts[k * size : (k + 1) * size]
        input = checkpoint(functools.partial(run, chosen), input, **kwargs)
    return run(parts[(segments - 1) * size :], input)
