"""Neighbours in a `Sequential` that run as one operation.

A module may offer `fused_with(following)`: given the one or two modules after it, it returns a
`Fused`, a function that does its work and that of some of these in one, or None. `Sequential` asks
once and remembers the answer until its entries change. It takes the function only while none of the
modules has hooks or a `forward` of its own; what `fused_with` returns may look at everything else
(training, gradients) whenever it is called. A convolution, for example, is given the norm and the
activation after it; in evaluation it may take `BatchNorm2d.scale_and_shift()` into its weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from samara.errors import SamaraError
from samara.nn.activation import Hardtanh, LeakyReLU, ReLU, ReLU6, SiLU
from samara.nn.module import Module
from samara.ops.channel_norm import Activation

__all__ = ["Fused", "Step", "activation_of", "plan"]


class Fused(NamedTuple):
    """A function for a module and as many of those `following` it."""

    call: Callable[[Any], Any]
    following: int


class Step(NamedTuple):
    """Modules in a row, and the function that does their work in one when there is one."""

    modules: tuple[Any, ...]
    call: Callable[[Any], Any] | None = None

    def run(self, x: Any) -> Any:
        """Apply the modules."""
        if self.call is not None and all(map(_plain, self.modules)):
            try:
                return self.call(x)
            except SamaraError as error:
                self.modules[0]._locate(error)
                raise
        for module in self.modules:
            x = module(x)
        return x


def _plain(module: Any) -> bool:
    """Whether calling the module runs its class's forward and nothing else."""
    return module._ready and "forward" not in module.__dict__


def plan(layers: Sequence[Any]) -> tuple[Step, ...]:
    """The layers as steps; empty when no two of them run as one.

    >>> from samara import nn
    >>> [len(step.modules) for step in plan([nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten()])]
    [2, 1]
    >>> plan([nn.Linear(2, 2), nn.ReLU()])
    ()
    """
    steps: list[Step] = []
    at = 0
    while at < len(layers):
        offer = getattr(layers[at], "fused_with", None) if _known(layers[at]) else None
        found = offer(tuple(layers[at + 1 : at + 3])) if offer else None
        count = found.following if found is not None else 0
        modules = tuple(layers[at : at + 1 + count])
        fits = found is not None and all(map(_known, modules))
        steps.append(Step(modules, found.call) if fits and found else Step(modules[:1]))
        at += len(steps[-1].modules)
    return tuple(steps) if any(step.call for step in steps) else ()


def _known(layer: Any) -> bool:
    """Whether a layer's forward and call are those of this package, not of a subclass of them."""
    return isinstance(layer, Module) and (
        type(layer).forward.__module__.startswith("samara.nn.")
        and type(layer).__call__ is Module.__call__
    )


_ACTIVATIONS: dict[type, Callable[[Any], Activation]] = {
    ReLU: lambda module: ("clamp", 0.0, math.inf),
    ReLU6: lambda module: ("clamp", 0.0, 6.0),
    Hardtanh: lambda module: ("clamp", module.min_val, module.max_val),
    LeakyReLU: lambda module: ("leaky_relu", module.negative_slope, 0.0),
    SiLU: lambda module: ("silu", 0.0, 0.0),
}


def activation_of(following: Sequence[Any]) -> Callable[[], Activation] | None:
    """Reads the activation that the first of these modules applies, or None for others."""
    module = following[0] if following else None
    read = _ACTIVATIONS.get(type(module))
    return None if read is None else lambda: read(module)
