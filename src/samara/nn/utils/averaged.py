"""A model whose weights are averages over training."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import samara
from samara.autograd import no_grad
from samara.errors import ArgumentError
from samara.nn.module import Module
from samara.optim.swa_utils import Average, MultiAverage, get_swa_multi_avg_fn
from samara.tensor import Tensor

__all__ = ["AveragedModel"]


class AveragedModel(Module):
    """A copy of a model that follows it: by plain averages, or by `avg_fn` or `multi_avg_fn`.

    Call `update_parameters(model)` after each step or epoch; the first call copies. Buffers are
    averaged with use_buffers and copied otherwise. `n_averaged` counts the calls. Raises
    ArgumentError when both functions are given. Source: Izmailov et al., Averaging Weights Leads to
    Wider Optima and Better Generalization, 2018; Polyak and Juditsky, 1992.

    >>> from samara import nn, optim
    >>> model = nn.Linear(2, 1)
    >>> ema = AveragedModel(model, multi_avg_fn=optim.swa_utils.get_ema_multi_avg_fn(0.9))
    >>> ema.update_parameters(model)
    >>> ema.n_averaged.item(), list(ema.state_dict())
    (1, ['n_averaged', 'module.weight', 'module.bias'])
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ArgumentError(
                "AveragedModel: avg_fn and multi_avg_fn were given. Expected one of them. "
                "Fix: leave one out."
            )
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", samara.tensor(0, dtype=samara.int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged model gives."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the model's present weights into the averages."""
        own, given = self._averaged(self.module), self._averaged(model)
        count = int(self.n_averaged.item())
        with no_grad():
            if count == 0:
                for average, value in zip(own, given, strict=True):
                    average.detach().copy_(value.detach())
            elif self.avg_fn is not None:
                for average, value in zip(own, given, strict=True):
                    new = self.avg_fn(average.detach(), value.detach(), self.n_averaged)
                    average.detach().copy_(new)
            else:
                update = self.multi_avg_fn or get_swa_multi_avg_fn()
                update(own, given, self.n_averaged)
            if not self.use_buffers:
                pairs = zip(self.module.buffers(), model.buffers(), strict=True)
                for buffer, value in pairs:
                    buffer.detach().copy_(value.detach())
            self.n_averaged.add_(1)

    def _averaged(self, model: Module) -> list[Tensor]:
        buffers = model.buffers() if self.use_buffers else iter(())
        return list(itertools.chain(model.parameters(), buffers))
