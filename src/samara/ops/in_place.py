"""In-place forms: of shapes, of comparisons and scans, and those that fill with random numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import samara._core as _core
from samara.dtypes import FLOAT, INTEGER
from samara.errors import ArgumentError, DTypeError, ShapeError
from samara.ops import comparison, cumulative, reduction, special, special_pairs
from samara.ops.arithmetic import nextafter
from samara.ops.creation import tril, triu
from samara.ops.manipulation import expand_dims, squeeze_dim, transpose
from samara.ops.memory import as_strided
from samara.ops.parts import t
from samara.ops.random_ops import randint, uniform
from samara.ops.record import METHODS, plain, readable
from samara.ops.selection import copy_
from samara.random import Key
from samara.tensor import Tensor

# --- shapes ---------------------------------------------------------------------------------------


@plain("unsqueeze_")
def unsqueeze_(x: Tensor, dim: int) -> Tensor:
    """Gives x an axis of size 1 at `dim`, in place, and returns x. x: [*S] -> [*A, 1, *B].

    Raises GradientError for a leaf that requires grad. Source: PyTorch, `Tensor.unsqueeze_`.

    >>> samara.zeros(3).unsqueeze_(0).shape
    (1, 3)
    """
    return _core.become_view(x, expand_dims(x, dim), "unsqueeze_")


@plain("squeeze_")
def squeeze_(x: Tensor, dim: Any = None) -> Tensor:
    """Takes axes of size 1 from x, in place, and returns x: all of them, or those named.

    Raises GradientError for a leaf that requires grad. Source: PyTorch, `Tensor.squeeze_`.

    >>> samara.zeros(1, 3, 1).squeeze_().shape
    (3,)
    """
    return _core.become_view(x, squeeze_dim(x, dim), "squeeze_")


@plain("transpose_", "swapaxes_", "swapdims_")
def transpose_(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """Exchanges two axes of x, in place, and returns x.

    Raises GradientError for a leaf that requires grad. Source: PyTorch, `Tensor.transpose_`.

    >>> samara.zeros(2, 3).transpose_(0, 1).shape
    (3, 2)
    """
    return _core.become_view(x, transpose(x, dim0, dim1), "transpose_")


@plain("t_")
def t_(x: Tensor) -> Tensor:
    """Transposes the matrix x in place and returns it. x: [m, n] -> [n, m].

    Raises ShapeError for more than 2 axes. Source: PyTorch, `Tensor.t_`.

    >>> samara.zeros(2, 3).t_().shape
    (3, 2)
    """
    return _core.become_view(x, t(x), "t_")


@plain("as_strided_")
def as_strided_(x: Tensor, size: Any, stride: Any, storage_offset: int = 0) -> Tensor:
    """Gives x the sizes and strides of `as_strided`, in place, and returns x.

    Raises ArgumentError for sizes that leave x's memory. Source: PyTorch, `Tensor.as_strided_`.

    >>> samara.arange(4).as_strided_((2, 2), (1, 2)).tolist()
    [[0, 2], [1, 3]]
    """
    return _core.become_view(x, as_strided(x, size, stride, storage_offset), "as_strided_")


@plain("detach_")
def detach_(x: Tensor) -> Tensor:
    """Takes x out of its graph, in place, and returns it: a leaf without grad.

    Raises GradientError for a view in a graph. Source: PyTorch, `Tensor.detach_`.

    >>> x = samara.ones(2, requires_grad=True) * 2
    >>> x.detach_().requires_grad
    False
    """
    return _core.detach_in_place(x)


@plain()
def detach(x: Tensor) -> Tensor:
    """The same memory outside the graph. x: [*S] -> [*S].

    Source: PyTorch, `torch.detach`.

    >>> samara.detach(samara.ones(2, requires_grad=True)).requires_grad
    False
    """
    return x.detach()


# --- values that another function computes --------------------------------------------------------


def _writing(name: str, function: Callable[..., Any]) -> Callable[..., Tensor]:
    def write(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return copy_(x, function(readable(x), *args, **kwargs))

    write.__name__ = write.__qualname__ = f"{name}_"
    write.__module__ = "samara"
    write.__doc__ = f"samara.{name} that writes its result, in x's dtype, into x."
    return write


_COMPUTED: dict[str, Callable[..., Any]] = {
    "eq": comparison.equal,
    "ne": comparison.not_equal,
    "not_equal": comparison.not_equal,
    "lt": comparison.less,
    "less": comparison.less,
    "le": comparison.less_equal,
    "less_equal": comparison.less_equal,
    "gt": comparison.greater,
    "greater": comparison.greater,
    "ge": comparison.greater_equal,
    "greater_equal": comparison.greater_equal,
    "logical_and": comparison.logical_and,
    "logical_or": comparison.logical_or,
    "logical_xor": comparison.logical_xor,
    "logical_not": comparison.logical_not,
    "cumsum": reduction.cumsum,
    "cumprod": cumulative.cumprod,
    "tril": tril,
    "triu": triu,
    "nextafter": nextafter,
    "float_power": special_pairs.float_power,
    "igamma": special_pairs.gammainc,
    "igammac": special_pairs.gammaincc,
    "mvlgamma": special.multigammaln,
    "polygamma": lambda x, n: special.polygamma(n, x),
}
for _name, _function in _COMPUTED.items():
    METHODS[f"{_name}_"] = _writing(_name, _function)
METHODS["polygamma"] = lambda self, n: special.polygamma(n, self)


# --- random numbers -------------------------------------------------------------------------------


def _drawn(place: str, x: Tensor, key: Key | int | None) -> Tensor:
    """Uniform in (0, 1), of x's shape; float32 at least."""
    if x.dtype not in FLOAT:
        raise DTypeError(f"{place}: x has dtype {x.dtype}. Expected floats. Fix: convert it first.")
    dtype = x.dtype if x.dtype is _core.float64 else _core.float32
    tiny = 2.0**-54 if dtype is _core.float64 else 2.0**-25
    drawn: Tensor = uniform(x.shape, key=key, dtype=dtype, device=x.device) + tiny
    return drawn


def _positive(place: str, name: str, value: float) -> None:
    if not value > 0:
        raise ArgumentError(
            f"{place}: {name} is {value}. Expected more than 0. Fix: correct {name}."
        )


@plain("exponential_")
def exponential_(x: Tensor, lambd: float = 1.0, *, key: Key | int | None = None) -> Tensor:
    """Fills x with numbers of the exponential distribution of rate lambd, and returns x.

    Raises ArgumentError unless lambd > 0. Source: PyTorch, `Tensor.exponential_`.

    >>> (samara.zeros(9).exponential_() > 0).all().item()
    True
    """
    _positive("exponential_", "lambd", lambd)
    return copy_(x, _drawn("exponential_", x, key).log() / -lambd)


@plain("geometric_")
def geometric_(x: Tensor, p: float, *, key: Key | int | None = None) -> Tensor:
    """Fills x with how many trials a success of probability p takes, 1 or more, and returns x.

    Raises ArgumentError unless 0 < p < 1. Source: PyTorch, `Tensor.geometric_`.

    >>> (samara.zeros(9).geometric_(0.5) >= 1).all().item()
    True
    """
    if not 0 < p < 1:
        raise ArgumentError(f"geometric_: p is {p}. Expected 0 < p < 1. Fix: correct p.")
    draws = _drawn("geometric_", x, key).log() / math.log1p(-p)
    return copy_(x, draws.ceil().clamp(min=1))


@plain("cauchy_")
def cauchy_(
    x: Tensor, median: float = 0.0, sigma: float = 1.0, *, key: Key | int | None = None
) -> Tensor:
    """Fills x with numbers of the Cauchy distribution, and returns x.

    Raises ArgumentError unless sigma > 0. Source: PyTorch, `Tensor.cauchy_`.

    >>> samara.zeros(9).cauchy_().shape
    (9,)
    """
    _positive("cauchy_", "sigma", sigma)
    angle = (_drawn("cauchy_", x, key) - 0.5) * math.pi
    return copy_(x, angle.tan() * sigma + median)


@plain("log_normal_")
def log_normal_(
    x: Tensor, mean: float = 1.0, std: float = 2.0, *, key: Key | int | None = None
) -> Tensor:
    """Fills x with e^z, z normal with the given mean and deviation, and returns x.

    Raises ArgumentError unless std > 0. Source: PyTorch, `Tensor.log_normal_`.

    >>> (samara.zeros(9).log_normal_() > 0).all().item()
    True
    """
    from samara.ops.random_ops import normal

    _positive("log_normal_", "std", std)
    if x.dtype not in FLOAT:
        raise DTypeError(
            f"log_normal_: x has dtype {x.dtype}. Expected floats. Fix: convert it first."
        )
    drawn = normal(x.shape, mean, std, key=key, dtype=x.dtype, device=x.device)
    return copy_(x, drawn.exp())


# The whole numbers that each float dtype has without a gap.
_DIGITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}


@plain("random_")
def random_(
    x: Tensor, *bounds: int | None, to: int | None = None, key: Key | int | None = None
) -> Tensor:
    """Fills x with whole numbers and returns it: random_(to) from 0, random_(from, to) from `from`.

    Without bounds, integers take 0 to their largest, floats 0 to 2^digits, bools both values.
    Raises ArgumentError for an empty range. Source: PyTorch, `Tensor.random_`.

    >>> x = samara.zeros(9).random_(3)
    >>> ((x >= 0) & (x < 3)).all().item()
    True
    """
    from samara.dtypes import iinfo

    limits = [b for b in bounds if b is not None]
    if to is not None:
        limits.append(to)
    low = limits[0] if len(limits) > 1 else 0
    if limits:
        high = limits[-1]
    elif x.dtype in INTEGER:
        high = min(iinfo(x.dtype).max, 2**63 - 1)
    else:
        high = 2 ** _DIGITS.get(x.dtype.name, 0) + (x.dtype is not _core.bool) * 1
        high = 2 if x.dtype is _core.bool else high
    return copy_(x, randint(low, high, x.shape, key=key, device=x.device))


# --- by place -------------------------------------------------------------------------------------


@plain("fill_diagonal_")
def fill_diagonal_(x: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """Writes a value onto the main diagonal of x and returns x.

    x: [m, n], or [n, n, ..., n]; with `wrap` the diagonal starts anew below a tall matrix's end.
    Raises ShapeError for other shapes. Source: PyTorch, `Tensor.fill_diagonal_`.

    >>> samara.zeros(2, 2).fill_diagonal_(1.0).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if x.ndim < 2 or (x.ndim > 2 and len(set(x.shape)) > 1):
        raise ShapeError(
            f"fill_diagonal_: x has shape {x.shape}. Expected a matrix, or equal sizes. "
            "Fix: reshape it."
        )
    size = min(x.shape)
    step = list(range(size))
    x[(step,) * x.ndim] = fill_value
    if wrap and x.ndim == 2 and x.shape[0] > x.shape[1] + 1:
        columns = x.shape[1]
        places = [i for i in range(0, x.numel(), columns + 1) if i // columns > columns]
        rows = [i // columns for i in places]
        x[(rows, [i % columns for i in places])] = fill_value
    return x


def _visit(x: Tensor, function: Callable[..., Any], *others: Tensor) -> Tensor:
    import numpy as np

    values = [y.detach().numpy(force=True).reshape(-1).tolist() for y in (x, *others)]
    made = [function(*items) for items in zip(*values, strict=True)]
    from samara.tensor import asarray

    return copy_(x, asarray(np.asarray(made).reshape(x.shape), dtype=x.dtype, device=x.device))


@plain("apply_")
def apply_(x: Tensor, callable: Any) -> Tensor:
    """Replaces each element by what a Python function makes of it, and returns x; slow.

    Source: PyTorch, `Tensor.apply_`.

    >>> samara.tensor([1.0, 4.0]).apply_(lambda v: v + 1).tolist()
    [2.0, 5.0]
    """
    return _visit(x, callable)


@plain("map_")
def map_(x: Tensor, tensor: Tensor, callable: Any) -> Tensor:
    """Replaces each element by what a Python function makes of it and of the other's; slow.

    x, tensor: [*S], which broadcast to x's shape. Source: PyTorch, `Tensor.map_`.

    >>> samara.tensor([1.0, 4.0]).map_(samara.tensor([2.0, 3.0]), max).tolist()
    [2.0, 4.0]
    """
    return _visit(x, callable, tensor.expand(x.shape))
