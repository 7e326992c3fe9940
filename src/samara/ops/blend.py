"""Products and sums in one call: addcmul, addcdiv, lerp, addmm, tensordot; one-sided clamps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from samara import _core
from samara._core import DType
from samara.errors import ArgumentError, DTypeError, ShapeError
from samara.ops.arithmetic import divide
from samara.ops.manipulation import _axes
from samara.ops.matmul import matmul
from samara.ops.pointwise import ORDERED
from samara.ops.record import FLOAT, NUMERIC, ErrorSample, Sample, composite
from samara.ops.selection import clamp
from samara.tensor import Tensor

# One pass over the memory for floating-point tensors of one dtype.
_addcmul: Callable[..., Tensor] = _core.Operation(
    "addcmul(x, tensor1, tensor2, value: float)", "addcmul"
)
_addcdiv: Callable[..., Tensor] = _core.Operation(
    "addcdiv(x, tensor1, tensor2, value: float)", "addcdiv"
)
_lerp: Callable[..., Tensor] = _core.Operation("lerp(x, end, weight)", "lerp")


def _alike(x: Any, *others: Any) -> bool:
    """Whether all are tensors of one floating-point dtype."""
    return (
        isinstance(x, Tensor)
        and x.dtype in FLOAT
        and all(isinstance(other, Tensor) and other.dtype is x.dtype for other in others)
    )


def _check(place: str, x: Any, dtypes: tuple[DType, ...], expected: str) -> None:
    if isinstance(x, Tensor) and x.dtype not in dtypes:
        raise DTypeError(
            f"{place}: x has dtype {x.dtype}. Expected {expected}. "
            "Fix: convert it first, e.g. x.to(samara.float32)."
        )


def _three(rng: np.random.Generator) -> list[Sample]:
    def positive(*shape: int) -> Any:
        return rng.uniform(0.5, 2.0, size=shape)

    return [
        Sample(rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), positive(3, 4)),
        Sample(rng.normal(size=(3, 4)), rng.normal(size=4), positive(3, 1), value=-0.5),
        Sample(rng.normal(size=()), rng.normal(size=()), positive()),
        Sample(np.zeros((0, 3)), np.zeros((0, 3)), positive(0, 3)),
    ]


def _three_errors() -> list[ErrorSample]:
    return [ErrorSample(ShapeError, "do not broadcast", np.ones(2), np.ones(3), np.ones(2))]


@composite(
    "addcmul(x, tensor1, tensor2, *, value: number = 1)",
    doc="""x + value * tensor1 * tensor2. Tensors that broadcast -> [*S].

    Raises ShapeError when the shapes do not broadcast. Source: PyTorch, `torch.addcmul`.

    >>> samara.addcmul(samara.zeros(1), samara.tensor([2.0]), samara.tensor([3.0])).tolist()
    [6.0]
    """,
    ref=lambda x, a, b, value=1: x + value * a * b,
    dtypes=NUMERIC,
    samples=_three,
    errors=_three_errors,
    condition="max",
    in_place=True,
)
def addcmul(x: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    if _alike(x, tensor1, tensor2) and isinstance(value, (int, float)):
        return _addcmul(x, tensor1, tensor2, float(value))
    _check("addcmul", tensor1, NUMERIC, "numbers")
    product = tensor1 * tensor2
    return x + (product if value == 1 else product * value)


@composite(
    "addcdiv(x, tensor1, tensor2, *, value: number = 1)",
    doc="""x + value * tensor1 / tensor2. Tensors that broadcast -> [*S].

    Raises ShapeError when the shapes do not broadcast. Source: PyTorch, `torch.addcdiv`.

    >>> samara.addcdiv(samara.zeros(1), samara.tensor([6.0]), samara.tensor([3.0])).tolist()
    [2.0]
    """,
    ref=lambda x, a, b, value=1: x + value * a / b,
    dtypes=NUMERIC,
    samples=_three,
    errors=_three_errors,
    condition="max",
    in_place=True,
)
def addcdiv(x: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    if _alike(x, tensor1, tensor2) and isinstance(value, (int, float)):
        return _addcdiv(x, tensor1, tensor2, float(value))
    _check("addcdiv", tensor1, NUMERIC, "numbers")
    quotient: Tensor = divide(tensor1, tensor2)
    return x + (quotient if value == 1 else quotient * value)


@composite(
    "lerp(x, end, weight)",
    doc="""x + weight * (end - x). Tensors that broadcast; weight may be a number -> [*S].

    Raises ShapeError when the shapes do not broadcast. Source: PyTorch, `torch.lerp`.

    >>> samara.lerp(samara.tensor([0.0]), samara.tensor([4.0]), 0.25).tolist()
    [1.0]
    """,
    ref=lambda x, end, weight: x + weight * (end - x),
    dtypes=FLOAT,
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), 0.25),
        Sample(rng.normal(size=(3, 4)), rng.normal(size=4), rng.normal(size=(3, 1))),
        Sample(np.array(1.0), np.array(3.0), 1.5),
        Sample(np.zeros((0, 3)), np.zeros((0, 3)), 0.5),
    ],
    errors=lambda: [ErrorSample(ShapeError, "do not broadcast", np.ones(2), np.ones(3), 0.5)],
    condition="max",
    in_place=True,
)
def lerp(x: Tensor, end: Tensor, weight: Any) -> Tensor:
    if _alike(x, end) and (isinstance(weight, (int, float)) or _alike(x, weight)):
        return _lerp(x, end, weight)
    _check("lerp", x, FLOAT, "floating-point numbers")
    between: Tensor = x + (end - x) * weight
    return between


def added(x: Tensor, product: Tensor, beta: Any, alpha: Any) -> Tensor:
    """X beta + product alpha; x is not read where beta is 0."""
    product = product if alpha == 1 else product * alpha
    return product if beta == 0 else product + (x if beta == 1 else x * beta)


@composite(
    "addmm(x, mat1, mat2, *, beta: number = 1, alpha: number = 1)",
    doc="""beta * x + alpha * (mat1 @ mat2), also for batches of matrices.

    x: broadcasts to [*B, n, m], mat1: [*B, n, k], mat2: [*B, k, m] -> [*B, n, m]. With beta=0, x is
    not read.

    Raises ShapeError when the shapes do not fit. Source: PyTorch, `torch.addmm`, `torch.baddbmm`.

    >>> samara.addmm(samara.ones(1), samara.ones(2, 3), samara.ones(3, 1)).tolist()
    [[4.0], [4.0]]
    """,
    ref=lambda x, a, b, beta=1, alpha=1: beta * x + alpha * (a @ b),
    dtypes=NUMERIC,
    samples=lambda rng: [
        Sample(rng.normal(size=5), rng.normal(size=(3, 4)), rng.normal(size=(4, 5))),
        Sample(rng.normal(size=(2, 3)), np.ones((2, 4)), np.ones((4, 3)), beta=0.5, alpha=2),
        Sample(np.ones((1, 1)), np.ones((1, 2)), np.ones((2, 1))),
        Sample(rng.normal(size=(2, 3, 3)), np.ones((2, 3, 4)), rng.normal(size=(2, 4, 3))),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "matmul", np.ones(2), np.ones((2, 3)), np.ones((2, 3))),
    ],
    condition="max",
    aliases=("baddbmm",),
    methods=("addmm", "baddbmm"),
    in_place=True,
)
def addmm(x: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    return added(x, matmul(mat1, mat2), beta, alpha)


@composite(
    "clamp_min(x, min)",
    doc="""max(x, min), the lower half of `clamp`. x: [*S], min: a number or tensor -> [*S].

    >>> samara.clamp_min(samara.tensor([-1.0, 2.0]), 0).tolist()
    [0.0, 2.0]
    """,
    ref=np.maximum,
    dtypes=ORDERED,
    ulp=0,
    samples=lambda rng: [Sample(rng.normal(size=(3, 4)), 0), Sample(np.ones((0, 2)), 1)],
    errors=lambda: [ErrorSample(DTypeError, "a str", np.ones(2), "text")],
    in_place=True,
)
def clamp_min(x: Tensor, min: Any) -> Tensor:
    return clamp(x, min=min)


@composite(
    "clamp_max(x, max)",
    doc="""min(x, max), the upper half of `clamp`. x: [*S], max: a number or tensor -> [*S].

    >>> samara.clamp_max(samara.tensor([-1.0, 2.0]), 0).tolist()
    [-1.0, 0.0]
    """,
    ref=np.minimum,
    dtypes=ORDERED,
    ulp=0,
    samples=lambda rng: [Sample(rng.normal(size=(3, 4)), 0), Sample(np.ones((0, 2)), 1)],
    errors=lambda: [ErrorSample(DTypeError, "a str", np.ones(2), "text")],
    in_place=True,
)
def clamp_max(x: Tensor, max: Any) -> Tensor:
    return clamp(x, max=max)


def _contracted(x: Tensor, y: Tensor, axes: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes of x and of y that are summed over, counted from 0."""
    if isinstance(axes, int):
        if not 0 <= axes <= min(x.ndim, y.ndim):
            raise ArgumentError(
                f"tensordot: axes = {axes} for tensors with {x.ndim} and {y.ndim} axes. Expected 0 "
                f"to {min(x.ndim, y.ndim)}. Fix: correct axes."
            )
        return tuple(range(x.ndim - axes, x.ndim)), tuple(range(axes))
    given = [(part,) if isinstance(part, int) else tuple(part) for part in axes]
    if len(given) != 2 or len(given[0]) != len(given[1]):
        raise ArgumentError(
            f"tensordot: axes = {axes} given. Expected a number, or two sequences of one length. "
            "Fix: name as many axes of the first tensor as of the second."
        )
    first, second = _axes("tensordot", given[0], x.ndim), _axes("tensordot", given[1], y.ndim)
    return first, second


@composite(
    "tensordot(x, y, axes: ints = 2)",
    doc="""The sum of products over pairs of axes: the last `axes` of x with the first of y, or the
    axes named for each.

    x: [*S], y: [*T], axes: an int or (axes of x, axes of y), of equal sizes -> [*S without them,
    *T without them].

    Raises ShapeError when the sizes differ, ArgumentError or IndexOutOfRangeError for axes that do
    not fit. Source: Python array API standard 2025.12, `tensordot`.

    >>> samara.tensordot(samara.ones(2, 3), samara.ones(3, 4), axes=1).shape
    (2, 4)
    """,
    ref=lambda x, y, axes=2: np.tensordot(x, y, axes),
    dtypes=NUMERIC,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), rng.normal(size=(3, 4)), 1),
        Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 3))),
        Sample(rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 2)), axes=((0, -1), (1, 0))),
        Sample(rng.normal(size=2), rng.normal(size=3), axes=0),
        Sample(rng.normal(size=(2, 0)), rng.normal(size=(0, 3)), 1),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, r"sizes \(3,\) and \(2,\)", np.ones((2, 3)), np.ones(2), 1),
        ErrorSample(ArgumentError, "axes = 3", np.ones((2, 3)), np.ones((2, 3)), 3),
        ErrorSample(IndexError, "axis 2 is out of range", np.ones(2), np.ones(2), ((2,), (0,))),
    ],
    aliases=("linalg.tensordot",),
    methods=(),
)
def tensordot(x: Tensor, y: Tensor, axes: Any = 2) -> Tensor:
    first, second = _contracted(x, y, axes)
    sizes, others = [tuple(t.shape[a] for a in n) for t, n in ((x, first), (y, second))]
    if sizes != others:
        raise ShapeError(
            f"tensordot: the summed axes have sizes {sizes} and {others}. Expected equal sizes. "
            "Fix: correct the axes."
        )
    rows = [a for a in range(x.ndim) if a not in first]
    columns = [a for a in range(y.ndim) if a not in second]
    shape = tuple(x.shape[a] for a in rows) + tuple(y.shape[a] for a in columns)
    inner = math.prod(sizes)
    left = x.permute((*rows, *first)).reshape(math.prod(x.shape[a] for a in rows), inner)
    right = y.permute((*second, *columns)).reshape(inner, math.prod(y.shape[a] for a in columns))
    return matmul(left, right).reshape(shape)
