"""Optimizers, learning-rate schedules and gradient clipping, under the names of `torch.optim`."""

from typing import Any

from samara.lookup import choose
from samara.optim import lr_scheduler, swa_utils
from samara.optim.adadelta import Adadelta
from samara.optim.adafactor import Adafactor
from samara.optim.adagrad import Adagrad
from samara.optim.adam import Adam
from samara.optim.adamax import Adamax
from samara.optim.adamw import AdamW
from samara.optim.asgd import ASGD
from samara.optim.clip import clip_grad_norm_, clip_grad_value_, get_total_norm
from samara.optim.lbfgs import LBFGS
from samara.optim.lion import Lion
from samara.optim.muon import Muon
from samara.optim.nadam import NAdam
from samara.optim.optimizer import Optimizer
from samara.optim.radam import RAdam
from samara.optim.rmsprop import RMSprop
from samara.optim.rprop import Rprop
from samara.optim.sgd import SGD

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "clip_grad_norm_",
    "clip_grad_value_",
    "get",
    "get_total_norm",
    "lr_scheduler",
    "swa_utils",
]

_BY_NAME: dict[str, type[Optimizer]] = {
    kind.__name__.lower(): kind
    for kind in (
        SGD,
        Adam,
        AdamW,
        RMSprop,
        Adagrad,
        Adadelta,
        Adafactor,
        Adamax,
        ASGD,
        LBFGS,
        Lion,
        Muon,
        NAdam,
        RAdam,
        Rprop,
    )
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
