"""Functions with a gradient of their own."""

from __future__ import annotations

import functools
import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import samara._core as _core
from samara._core import Tensor
from samara.autograd.mode import enable_grad, no_grad
from samara.errors import ArgumentError, GradientError, ShapeError, UnsupportedError

__all__ = ["Context", "Function", "Variable", "backward", "once_differentiable"]

_zeros = _core.Operation("zeros_like(x)", "zeros_like")


class Context:
    """What `forward` leaves for `backward`; any attribute may be set on it.

    >>> class Double(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.factor = 2
    ...         return x * ctx.factor
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         return g * ctx.factor
    >>> x = samara.tensor(3.0, requires_grad=True)
    >>> Double.apply(x).backward()
    >>> x.grad.item()
    2.0
    """

    def __init__(self, needs: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs
        self._saved: tuple[Tensor | None, ...] = ()
        self._versions: tuple[int, ...] = ()
        self._plain: set[int] = set()  # outputs without a gradient, by identity
        # Outputs by identity, as they are in the graph.
        self._results: dict[int, weakref.ref[Tensor]] = {}

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for `backward`, inputs and outputs with their place in the graph."""
        for x in tensors:
            if x is not None and not isinstance(x, Tensor):
                raise ArgumentError(
                    f"save_for_backward: received {type(x).__name__}. Expected tensors or None. "
                    "Fix: set other things as attributes, ctx.name = value."
                )
        self._saved = tensors
        self._versions = tuple(0 if x is None else x._version for x in tensors)

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What `save_for_backward` kept. Raises GradientError for one changed since."""
        found = []
        for x, version in zip(self._saved, self._versions, strict=True):
            if x is not None and x._version != version:
                raise GradientError(
                    f"saved_tensors: a tensor of shape {tuple(x.shape)} was changed in place since "
                    "it was saved. Expected what forward saw. Fix: change a copy."
                )
            found.append(x if x is None else self._in_graph(x))
        return tuple(found)

    def _in_graph(self, x: Tensor) -> Tensor:
        reference = self._results.get(id(x))
        if reference is None or not _core.grad_enabled():
            return x
        result = reference()
        if result is None:
            raise GradientError(
                "saved_tensors: an output was saved, and is gone when its gradient is to be "
                "differentiated again. Expected inputs, or outputs that are still there. "
                "Fix: save the inputs and compute from them."
            )
        return result

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        """Say that these outputs have no gradient."""
        self._plain.update(id(x) for x in outputs)

    def set_materialize_grads(self, value: bool) -> None:
        """Nothing: the gradient of an output that nobody used comes as zeros, never as None."""
        del value

    def mark_dirty(self, *inputs: Tensor) -> None:
        """Raises UnsupportedError: a function here does not write into its inputs."""
        raise UnsupportedError(
            "mark_dirty: functions that change their inputs are not there. Expected a new tensor. "
            "Fix: compute on a copy and return that."
        )


class Function:
    """A function whose gradient you write: subclass it, and call it as `Name.apply(...)`.

    forward(ctx, *args) computes without recording, `ctx` keeps what backward(ctx, *gradients of the
    outputs) needs; that returns one gradient, or None, for each argument of forward. PyTorch's
    newer form, forward(*args) beside setup_context(ctx, inputs, output), is understood. Gradients
    of second order follow where backward is written in differentiable operations.

    Raises GradientError or ShapeError for gradients that do not fit the arguments.

    >>> class Clipped(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x.round()
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         x, = ctx.saved_tensors
    ...         return g * (x.abs() < 1)
    >>> x = samara.tensor([0.4, 1.6], requires_grad=True)
    >>> Clipped.apply(x).sum().backward()
    >>> x.grad.tolist()
    [1.0, 0.0]
    """

    @staticmethod
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        """The value; subclasses write this."""
        raise NotImplementedError(
            'Function: forward is missing. Expected a static method "forward(ctx, ...)". '
            "Fix: define it in the class."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Keep what backward needs, where forward takes no ctx; subclasses may write this."""

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients by the arguments; subclasses write this."""
        raise NotImplementedError(
            'Function: backward is missing. Expected a static method "backward(ctx, ...)". '
            "Fix: define it in the class."
        )

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """The function's value, as part of the graph."""
        needs = tuple(isinstance(x, Tensor) and x.requires_grad for x in args)
        ctx = Context(needs)
        with no_grad():
            if cls.setup_context is Function.setup_context:
                value = cls.forward(ctx, *args)
            else:
                value = cls.forward(*args)
                cls.setup_context(ctx, args, value)
        if not any(needs) or not _core.grad_enabled():
            return value
        several = isinstance(value, (tuple, list))
        outputs = list(value) if several else [value]
        chosen = [k for k, x in enumerate(outputs) if _has_gradient(x) and id(x) not in ctx._plain]
        if not chosen:
            return value
        call = _Call(cls, ctx, args, [outputs[k] for k in chosen])
        token = next(_tokens)
        _calls[token] = call
        results = _custom([x for x, n in zip(args, needs, strict=True) if n], call.values, token)
        _core.add_hook(results[0], call)
        for k, result in zip(chosen, results, strict=True):
            ctx._results[id(outputs[k])] = weakref.ref(result)
            outputs[k] = result
        return tuple(outputs) if several else outputs[0]


def _has_gradient(x: Any) -> bool:
    return isinstance(x, Tensor) and bool(x.dtype.is_floating_point or x.dtype.is_complex)


class _Call:
    """One call of a function; a hook of its node keeps it alive."""

    def __init__(self, kind: type[Function], ctx: Context, args: Any, values: list[Tensor]) -> None:
        self.kind, self.ctx, self.values = kind, ctx, values
        self.shapes = [tuple(x.shape) if isinstance(x, Tensor) else None for x in args]

    def __call__(self, gradient: Tensor) -> None:
        return None

    def gradients(self, given: Sequence[Tensor | None]) -> list[Tensor | None]:
        """What backward says, for the arguments that need it."""
        given = [_zeros(x) if g is None else g for g, x in zip(given, self.values, strict=True)]
        with enable_grad() if _core.grad_enabled() else no_grad():
            found = self.kind.backward(self.ctx, *given)
        gradients = list(found) if isinstance(found, (tuple, list)) else [found]
        name, needs = self.kind.__name__, self.ctx.needs_input_grad
        if len(gradients) < len(needs) or any(g is not None for g in gradients[len(needs) :]):
            raise GradientError(
                f"{name}.backward: {len(gradients)} gradients returned for {len(needs)} arguments "
                "of forward. Expected one each, None where there is none. Fix: return as many."
            )
        for k, (gradient, shape) in enumerate(zip(gradients, self.shapes, strict=False)):
            if gradient is not None and shape is not None and tuple(gradient.shape) != shape:
                raise ShapeError(
                    f"{name}.backward: the gradient of argument {k} has shape "
                    f"{tuple(gradient.shape)}. Expected {shape}, the argument's. Fix: sum over "
                    "the axes that forward broadcast."
                )
        return [g for g, needed in zip(gradients, needs, strict=False) if needed]


_calls: weakref.WeakValueDictionary[int, _Call] = weakref.WeakValueDictionary()
_tokens = itertools.count()


def _rule(gradients: Any, inputs: Any, values: Any, outputs: Any, *, token: int) -> Any:
    del inputs, outputs
    given = gradients if isinstance(gradients, tuple) else (gradients,)
    return _calls[token].gradients(given), [None] * len(values)


_custom = _core.Operation(
    "function(inputs: Tensor[], outputs: Tensor[], token: int)",
    "checkpoint",
    output_type=tuple,
    rule=_rule,
)


def once_differentiable(function: Callable[..., Any]) -> Callable[..., Any]:
    """A `backward` whose gradients cannot be differentiated again: trying raises GradientError.

    >>> double = once_differentiable(lambda ctx, g: 2 * g)
    >>> with samara.no_grad():  # as in a backward pass of first order
    ...     double(None, samara.tensor(1.0)).item()
    2.0
    """

    @functools.wraps(function)
    def wrapped(ctx: Any, *gradients: Any) -> Any:
        if _core.grad_enabled() and any(isinstance(g, Tensor) for g in gradients):
            raise GradientError(
                "once_differentiable: this gradient was asked for with create_graph=True. Expected "
                "gradients of first order. Fix: leave create_graph out."
            )
        return function(ctx, *gradients)

    return wrapped


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """`tensor.backward()` of several tensors at once: gradients add up in the leaves' `.grad`.

    grad_tensors: what flows into each tensor, None for scalars. Source: PyTorch,
    `torch.autograd.backward`.

    >>> x = samara.tensor(2.0, requires_grad=True)
    >>> samara.autograd.backward([x * x, 3 * x])
    >>> x.grad.item()
    7.0
    """
    roots = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    given = [grad_tensors] if isinstance(grad_tensors, Tensor) else grad_tensors
    keep = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        _core.backward(roots, given, (), keep, create_graph, True)
        return
    wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if not wanted:
        raise ArgumentError("backward: inputs is empty. Expected leaves. Fix: leave inputs out.")
    for x, g in zip(
        wanted, _core.backward(roots, given, wanted, keep, create_graph, False), strict=True
    ):
        if g is not None:
            x.grad = g if x.grad is None else x.grad + g


def Variable(data: Tensor, requires_grad: bool = False, volatile: bool = False) -> Tensor:
    """The tensor itself: PyTorch's older name of a tensor in a graph.

    >>> Variable(samara.ones(2), requires_grad=True).requires_grad
    True
    """
    del volatile
    return data.requires_grad_() if requires_grad else data
