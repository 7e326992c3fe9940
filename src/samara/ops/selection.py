"""Choosing between values: where, clamp, masked_fill, and writing in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from samara.dtypes import ALL, FLOAT, INTEGER
from samara.errors import DTypeError, ShapeError
from samara.ops.pointwise import EDGES, ORDERED, REAL_INPUTS, unary
from samara.ops.record import METHODS, ErrorSample, Sample, composite, operation, plain
from samara.tensor import Tensor


def _mask(rng: np.random.Generator, *shape: int) -> Any:
    return rng.random(shape) < 0.5


def _where_grad(g: Tensor, condition: Tensor, x: Any, y: Any, out: Tensor) -> tuple[Any, ...]:
    return None, where(condition, g, 0.0), where(condition, 0.0, g)


def _where_alone(*args: Any, **kwargs: Any) -> Any:
    """PyTorch's where(condition): the places that are True, one tensor for each axis."""
    given = (*args, *kwargs.values())
    if len(given) != 1 or not isinstance(given[0], Tensor):
        return NotImplemented
    from samara.ops.indexing import nonzero

    return nonzero(given[0])


where = operation(
    "where(condition, x, y)",
    doc="""x where the condition is true, y elsewhere.

    condition: [*A] bool, x: [*B], y: [*C], tensors or numbers of any dtype -> [*S], the broadcast
    shape; the dtypes of x and y are promoted. Without x and y it is `nonzero`, as in PyTorch.

    Raises DTypeError for a condition that is not bool, ShapeError when the shapes do not broadcast.
    Source: Python array API standard 2025.12, `where`.

    >>> samara.where(samara.tensor([True, False]), samara.tensor([1, 2]), 0).tolist()
    [1, 0]
    """,
    ref=np.where,
    grad=_where_grad,
    dtypes=ALL,
    onnx="Where",
    other_form=_where_alone,
    ulp=0,
    samples=lambda rng: [
        Sample(_mask(rng, 3, 4), rng.normal(size=(3, 4)), rng.normal(size=(3, 4))),
        Sample(_mask(rng, 3, 1), rng.normal(size=4), rng.normal(size=(2, 1, 1))),
        Sample(_mask(rng, 3), rng.normal(size=3), 0),
        Sample(_mask(rng, 3), 1, rng.normal(size=3)),
        Sample(_mask(rng), rng.normal(size=()), rng.normal(size=())),
        Sample(_mask(rng, 0, 3), rng.normal(size=3), rng.normal(size=(0, 1))),
        Sample(_mask(rng, len(EDGES)), np.array(EDGES), np.array(EDGES[::-1])),
    ],
    errors=lambda: [
        ErrorSample(
            DTypeError, "condition has dtype int64", np.ones(2, np.int64), np.ones(2), np.ones(2)
        ),
        ErrorSample(ShapeError, "do not", np.ones(2, bool), np.ones(3), np.ones(2)),
    ],
    methods=(),
)


def _tensor_where(self: Tensor, condition: Tensor, y: Any) -> Tensor:
    """Self where the condition is true, y elsewhere."""
    return where(condition, self, y)


METHODS["where"] = _tensor_where

_numbers = unary(
    "clamp_numbers(x, min: float = -inf, max: float = inf)",
    "x cut to the range from min to max, max winning; the bounds themselves pass the gradient.",
    ref=lambda x, min=-np.inf, max=np.inf: np.minimum(np.maximum(x, min), max),
    grad=lambda g, x, y, *, min, max: where((x >= min) & (x <= max), g, 0.0),
    dtypes=REAL_INPUTS,
    settings=({"min": -0.75, "max": 1.25}, {"min": 0.5}, {"max": 0.5}, {"min": 1.0, "max": -1.0}),
    ulp=0,
    methods=(),
    source="the floating-point case of `clamp`",
    example=("samara.clamp_numbers(samara.tensor([-2.0, 2.0]), 0.0, 1.0).tolist()", "[0.0, 1.0]"),
)


def _clamp_ref(x: Any, min: Any = None, max: Any = None) -> Any:
    x = x if min is None else np.maximum(x, min)
    return x if max is None else np.minimum(x, max)


@composite(
    "clamp(x, min=None, max=None)",
    doc="""min(max(x, min), max): the elements cut to a range. The bounds pass the gradient.

    x: [*A], bool or integer or float; min, max: None, numbers or tensors that broadcast with x
    -> [*S]. Where min > max the result is max; a NaN among the three gives NaN.

    Raises DTypeError for complex tensors, ShapeError when the shapes do not broadcast.
    Source: Python array API standard 2025.12, `clip`.

    >>> samara.clamp(samara.tensor([-2.0, 0.5, 2.0]), 0, 1).tolist()
    [0.0, 0.5, 1.0]
    """,
    ref=_clamp_ref,
    dtypes=ORDERED,
    onnx="Clip",
    ulp=0,
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), -0.75, 0.5),
        Sample(rng.normal(size=(3, 4)), min=0),
        Sample(rng.normal(size=(3, 4)), max=1),
        Sample(rng.normal(size=(3, 4)), rng.normal(size=4) - 1.0, rng.normal(size=(3, 1)) + 1.0),
        Sample(np.array(EDGES), -2, 2),
        Sample(np.array([1.0, np.nan]), np.array([np.nan, 0.0]), 2.0),
        Sample(rng.normal(size=()), 0, 1),
        Sample(np.ones((0, 2)), 0, 1),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "do not", np.ones(2), np.ones(3)),
        ErrorSample(DTypeError, "a str", np.ones(2), "text"),
    ],
    aliases=("clip",),
    methods=("clamp", "clip"),
    in_place=True,
)
def clamp(x: Any, min: Any = None, max: Any = None) -> Tensor:
    from samara.ops.arithmetic import maximum, minimum, positive

    bounds = [bound for bound in (min, max) if bound is not None]
    if not bounds:
        return positive(x)
    numbers = all(isinstance(bound, (int, float)) and bound == bound for bound in bounds)
    if numbers and isinstance(x, Tensor) and x.dtype in FLOAT:
        low = -float("inf") if min is None else float(min)
        return _numbers(x, low, float("inf") if max is None else float(max))
    if min is not None:
        x = maximum(x, _within(x, min))
    return minimum(x, _within(x, max)) if max is not None else x


def _within(x: Any, bound: Any) -> Any:
    """An integer bound beyond x's dtype cuts nothing off beyond its limits."""
    if isinstance(x, Tensor) and x.dtype in INTEGER and type(bound) is int:
        from samara.dtypes import iinfo

        limits = iinfo(x.dtype)
        return limits.min if bound < limits.min else limits.max if bound > limits.max else bound
    return bound


@composite(
    "masked_fill(x, mask, value)",
    doc="""value where the mask is true, x elsewhere.

    x: [*A] of any dtype, mask: [*B] bool, value: a number or a 0-d tensor -> [*S], the broadcast
    shape.

    Raises DTypeError for a mask that is not bool, ShapeError when the shapes do not broadcast.
    Source: PyTorch, `Tensor.masked_fill`.

    >>> samara.masked_fill(samara.tensor([1.0, 2.0]), samara.tensor([True, False]), 0.0).tolist()
    [0.0, 2.0]
    """,
    ref=lambda x, mask, value: np.where(mask, value, x),
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), _mask(rng, 3, 4), 2),
        Sample(rng.normal(size=(3, 4)), _mask(rng, 4), -1),
        Sample(rng.normal(size=(3, 4)), _mask(rng, 3, 1), rng.normal(size=())),
        Sample(np.ones((0, 4)), _mask(rng, 4), 1),
    ],
    errors=lambda: [
        ErrorSample(DTypeError, "condition has dtype", np.ones(2), np.ones(2, np.int64), 0),
        ErrorSample(ShapeError, "do not", np.ones(2), np.ones(3, bool), 0),
    ],
    in_place=True,
)
def masked_fill(x: Tensor, mask: Tensor, value: Any) -> Tensor:
    return where(mask, value, x)


# --- in place only --------------------------------------------------------------------------------

fill_ = operation(
    "fill_(x, value)",
    doc="""Writes one value into every element of x and returns x.

    x: [*S] of any dtype, value: a number or a tensor that broadcasts to [*S].

    Raises ArgumentError for an expanded view, ShapeError when the shape does not fit.
    Source: PyTorch, `Tensor.fill_`.

    >>> samara.zeros(2).fill_(3.0).tolist()
    [3.0, 3.0]
    """,
    native="fill",
    ref=lambda x, value: np.broadcast_to(value, x.shape).astype(x.dtype),
    grad=lambda g, x, value, out: (None, g),
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), 2),
        Sample(rng.normal(size=(3, 4)), rng.normal(size=())),
        Sample(rng.normal(size=()), 1),
        Sample(rng.normal(size=(0, 2)), 1),
    ],
    errors=lambda: [
        ErrorSample(DTypeError, "argument 'value' is a str", np.ones(2), "text"),
        ErrorSample(DTypeError, "target of an in-place operation is a number", 1.0, 2.0),
    ],
)

copy_ = operation(
    "copy_(x, source)",
    doc="""Writes `source`, cast and broadcast, into x and returns x.

    x: [*S] of any dtype, source: a number or a tensor that broadcasts to [*S].

    Raises ShapeError when the shape does not fit, DTypeError for complex numbers into real ones.
    Source: PyTorch, `Tensor.copy_`.

    >>> samara.zeros(2).copy_(samara.tensor([1, 2])).tolist()
    [1.0, 2.0]
    """,
    native="copy",
    ref=lambda x, source: np.broadcast_to(source, x.shape).astype(x.dtype),
    grad=lambda g, x, source, out: (None, g),
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), rng.normal(size=(3, 4))),
        Sample(rng.normal(size=(3, 4)), rng.normal(size=4)),
        Sample(rng.normal(size=(3, 4)), 2),
        Sample(rng.normal(size=()), rng.normal(size=())),
        Sample(rng.normal(size=(0, 2)), rng.normal(size=2)),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "does not fit into", np.ones(2), np.ones((3, 2))),
        ErrorSample(ShapeError, "do not broadcast", np.ones(2), np.ones(3)),
    ],
)


@plain("zero_")
def zero_(x: Tensor) -> Tensor:
    """Writes 0 into every element of x and returns x. x: [*S] of any dtype.

    Raises ArgumentError for an expanded view. Source: PyTorch, `Tensor.zero_`.

    >>> samara.ones(2).zero_().tolist()
    [0.0, 0.0]
    """
    return fill_(x, 0)
