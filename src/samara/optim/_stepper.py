"""One step over all parameters of a group: the native kernel, or the equation in Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import samara
import samara._core as _core
from samara.autograd import no_grad
from samara.tensor import Tensor

if TYPE_CHECKING:
    from samara.optim.optimizer import Optimizer

__all__ = ["ReferenceStepper", "Stepper", "make_stepper"]


class Stepper(Protocol):
    """Holds the state of a group's parameters and updates them all in one call."""

    def configure(self, **settings: float) -> None:
        """Take the numbers of `Optimizer.settings`."""

    def step(self) -> int:
        """Apply one step; or change nothing and return the index of a non-finite gradient."""

    def first_nonfinite(self) -> int:
        """The index of the first parameter whose gradient is not finite, or -1."""

    def apply(self) -> None:
        """Apply one step without looking for non-finite gradients."""

    def zero_grad(self, set_to_none: bool) -> None:
        """Forget the gradients, or set them to zero."""

    def get_state(self, index: int) -> tuple[int, list[Tensor | None]]:
        """A parameter's number of steps and state tensors."""

    def set_state(self, index: int, steps: int, tensors: list[Tensor | None]) -> None:
        """Replace a parameter's number of steps and state tensors by copies of these."""


def make_stepper(optimizer: Optimizer, parameters: list[Tensor]) -> Stepper:
    """The native kernel where all devices have one, else the equation in Python."""
    if optimizer.kernel is not None and all(
        _core.optimizer_supports(parameter) for parameter in parameters
    ):
        native: Stepper = _core.FusedOptimizer(optimizer.kernel, parameters)
        return native
    return ReferenceStepper(optimizer, parameters)


class ReferenceStepper:
    """Applies an optimizer's `reference_update` to one parameter after the other."""

    def __init__(self, optimizer: Any, parameters: list[Tensor]) -> None:
        self._update = optimizer.reference_update
        self._names: tuple[str, ...] = getattr(optimizer, "state_names", ())
        self._parameters = parameters
        self._settings: dict[str, float] = {}
        self._steps = [0] * len(parameters)
        self._state: list[dict[str, Tensor]] = [{} for _ in parameters]

    def configure(self, **settings: float) -> None:
        """Take the numbers of `Optimizer.settings`."""
        self._settings = settings

    def step(self) -> int:
        """Apply one step; or change nothing and return the index of a non-finite gradient."""
        broken = self.first_nonfinite()
        if broken < 0:
            self.apply()
        return broken

    def first_nonfinite(self) -> int:
        """The index of the first parameter whose gradient is not finite, or -1."""
        for index, parameter in enumerate(self._parameters):
            gradient = parameter.grad
            if gradient is not None and not bool(samara.isfinite(gradient.detach()).all()):
                return index
        return -1

    def apply(self) -> None:
        """Apply one step without looking for non-finite gradients."""
        with no_grad():
            for index, parameter in enumerate(self._parameters):
                if parameter.grad is None:
                    continue
                self._steps[index] += 1
                new, self._state[index] = self._update(
                    parameter.detach(),
                    parameter.grad.detach(),
                    self._state[index],
                    self._steps[index],
                    **self._settings,
                )
                parameter.detach().copy_(new)

    def zero_grad(self, set_to_none: bool) -> None:
        """Forget the gradients, or set them to zero."""
        for parameter in self._parameters:
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad = samara.zeros_like(parameter.grad.detach())

    def get_state(self, index: int) -> tuple[int, list[Tensor | None]]:
        """A parameter's number of steps and state tensors."""
        state = self._state[index]
        return self._steps[index], [state.get(name) for name in self._names]

    def set_state(self, index: int, steps: int, tensors: list[Tensor | None]) -> None:
        """Replace a parameter's number of steps and state tensors by copies of these."""
        parameter = self._parameters[index]
        self._steps[index] = steps
        self._state[index] = {
            name: tensor.detach().to(parameter.dtype).to(parameter.device).clone()
            for name, tensor in zip(self._names, tensors, strict=True)
            if tensor is not None
        }
