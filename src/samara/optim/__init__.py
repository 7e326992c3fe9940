"""Optimizers, learning-rate schedules and gradient clipping, under the names of `torch.optim`."""

from typing import Any

from samara.lookup import choose
from samara.optim import lr_scheduler
from samara.optim.adagrad import Adagrad
from samara.optim.adam import Adam
from samara.optim.adamw import AdamW
from samara.optim.clip import clip_grad_norm_, clip_grad_value_, get_total_norm
from samara.optim.optimizer import Optimizer
from samara.optim.rmsprop import RMSprop
from samara.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSprop",
    "clip_grad_norm_",
    "clip_grad_value_",
    "get",
    "get_total_norm",
    "lr_scheduler",
]

_BY_NAME: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
}


def get(optimizer: Any, params: Any, **options: Any) -> Optimizer:
    """An optimizer by name or class over some parameters.

    Raises ArgumentError for an unknown name, with the closest known one.

    >>> from samara import nn
    >>> type(get("adam", nn.Linear(2, 2).parameters(), lr=0.1)).__name__
    'Adam'
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if isinstance(optimizer, str):
        optimizer = choose("optimizer", optimizer.lower(), _BY_NAME)
    made: Optimizer = optimizer(params, **options)
    return made
