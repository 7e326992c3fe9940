"""Gradients as functions of functions, and of given tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import samara._core as _core
from samara._core import Tensor
from samara.autograd.mode import enable_grad
from samara.errors import DTypeError, GradientError, ShapeError, UnsupportedError

__all__ = ["grad", "graph_leaves", "value_and_grad"]


def graph_leaves(x: Tensor) -> list[Tensor]:
    """All leaves that require grad in the graph that made a tensor.

    >>> w = samara.ones(2, requires_grad=True)
    >>> samara.autograd.graph_leaves((w * 3).sum())[0] is w
    True
    """
    return _core.graph_leaves(x)


def _differentiable(x: Any, position: int) -> Tensor:
    if not isinstance(x, Tensor):
        raise DTypeError(
            f"grad: argument {position} is a {type(x).__name__}. Expected a tensor to "
            "differentiate by. Fix: choose other argnums, or convert it with samara.tensor."
        )
    fresh = x.detach() if not x.requires_grad else x.view(x.shape)
    if not x.requires_grad:
        fresh.requires_grad = True
    return fresh


def value_and_grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, *, create_graph: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """A function that returns (function(*args), its gradient by the chosen arguments).

    function: returns a scalar tensor. argnums: one position or several; the gradient is a tensor
    or a tuple of them, zeros where the value does not depend on the argument. With create_graph
    the gradient can be differentiated again. Raises ShapeError for a value that is not a scalar.

    >>> value, slope = samara.value_and_grad(lambda x: x * x)(samara.tensor(3.0))
    >>> value.item(), slope.item()
    (9.0, 6.0)
    """
    positions = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def run(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        inputs = list(args)
        outer = create_graph or (
            _core.grad_enabled()
            and any(isinstance(args[p], Tensor) and args[p].requires_grad for p in positions)
        )
        with enable_grad():
            for position in positions:
                inputs[position] = _differentiable(args[position], position)
            value = function(*inputs, **kwargs)
            if not isinstance(value, Tensor):
                raise GradientError(
                    f"grad: the function returned a {type(value).__name__}, so its graph is lost. "
                    "Expected a scalar tensor. Fix: return the loss tensor itself, without "
                    "float() or .item()."
                )
            if value.numel() != 1:
                raise ShapeError(
                    f"grad: the function returned a tensor of shape {value.shape}. Expected a "
                    "scalar. Fix: reduce it, e.g. with .sum() or .mean()."
                )
            chosen = [inputs[p] for p in positions]
            if value.requires_grad:
                gradients = _core.backward(value, None, chosen, outer, outer, False)
            else:
                gradients = [None] * len(chosen)
        filled = tuple(
            _zeros_like(x) if g is None else g for x, g in zip(chosen, gradients, strict=True)
        )
        result = value if outer else value.detach()
        return result, filled[0] if isinstance(argnums, int) else filled

    return run


_zeros_like = _core.Operation("zeros_like(x)", "zeros_like")


def grad(
    function: Any = None,
    argnums: Any = 0,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
    *,
    outputs: Any = None,
    inputs: Any = None,
) -> Any:
    """The gradient of a function, or of given tensors.

    grad(function, argnums=0) returns the function x -> df/dx (see `value_and_grad`).
    grad(outputs, inputs, ...) returns the gradients of tensors already computed, one per input;
    an input that the outputs do not depend on raises GradientError unless allow_unused, which gives
    None, or materialize_grads, which gives zeros.

    >>> samara.grad(lambda x: x**3)(samara.tensor(2.0)).item()
    12.0
    >>> x = samara.tensor(2.0, requires_grad=True)
    >>> samara.grad(x * x, x)[0].item()
    4.0
    """
    if outputs is not None:
        function = outputs
    if inputs is not None:
        argnums = inputs
    if function is None:
        raise DTypeError(
            "grad: nothing to differentiate was given. Expected a function, or outputs and inputs. "
            "Fix: samara.grad(loss, parameters)."
        )
    if is_grads_batched or not only_inputs:
        raise UnsupportedError(
            "grad: is_grads_batched=True or only_inputs=False given. Expected the defaults. "
            "Fix: call it once for each gradient."
        )
    if callable(function) and not isinstance(function, Tensor):
        run = value_and_grad(function, argnums, create_graph=create_graph)

        def slope(*args: Any, **kwargs: Any) -> Any:
            return run(*args, **kwargs)[1]

        return slope
    wanted = [argnums] if isinstance(argnums, Tensor) else list(argnums)
    roots = [function] if isinstance(function, Tensor) else list(function)
    keep = create_graph if retain_graph is None else retain_graph
    gradients = _core.backward(roots, grad_outputs, wanted, keep, create_graph, False)
    if materialize_grads:
        return tuple(
            _zeros_like(x) if g is None else g for x, g in zip(wanted, gradients, strict=True)
        )
    for position, gradient in enumerate(gradients):
        if gradient is None and not allow_unused:
            raise GradientError(
                f"grad: the outputs do not depend on input {position}. Expected inputs that were "
                "used. Fix: remove it, or pass allow_unused=True to get None."
            )
    return tuple(gradients)
