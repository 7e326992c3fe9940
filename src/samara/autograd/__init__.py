"""Gradients of functions, and switches for recording.

>>> f = samara.grad(lambda x: (x * x).sum())
>>> f(samara.tensor([1.0, 2.0])).tolist()
[2.0, 4.0]
"""

from samara.autograd.custom import Function, Variable, backward, once_differentiable
from samara.autograd.functional import grad, graph_leaves, value_and_grad
from samara.autograd.mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from samara.autograd.observe import observe
from samara.autograd.recompute import checkpoint, checkpoint_sequential

__all__ = [
    "Function",
    "Variable",
    "backward",
    "checkpoint",
    "checkpoint_sequential",
    "enable_grad",
    "grad",
    "graph_leaves",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "observe",
    "once_differentiable",
    "set_grad_enabled",
    "value_and_grad",
]
