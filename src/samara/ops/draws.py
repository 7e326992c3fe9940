"""Draws from distributions of counts and classes; grids of powers; sizes changed in place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import samara._core as _core
from samara._core import Device, DType, int64
from samara.dtypes import FLOAT, INTEGER
from samara.errors import ArgumentError, ShapeError
from samara.ops.checks import broadcast, require_dtype
from samara.ops.creation import empty, linspace
from samara.ops.random_ops import randint, uniform
from samara.ops.record import METHODS, ErrorSample, Sample, composite, plain
from samara.ops.selection import where
from samara.ops.sorting import searchsorted, topk
from samara.random import Key, as_key, key
from samara.tensor import Tensor, asarray

# --- classes and counts ---------------------------------------------------------------------------


@composite(
    "multinomial(x, num_samples: int, replacement: bool = False, *, key: Key? = None)",
    doc="""num_samples classes drawn with probabilities proportional to each row of x.

    x: [C] or [N, C] float, 0 or more -> [num_samples] or [N, num_samples] int64. Without
    replacement the classes of a row differ.

    Raises ArgumentError for negative or infinite weights, rows without any, or fewer positive ones
    than samples without replacement. Source: PyTorch, `torch.multinomial`.

    >>> samara.multinomial(samara.tensor([0.0, 3.0]), 1).tolist()
    [1]
    """,
    ref=lambda x, num_samples, replacement=False, *, key=None: _certain(x, num_samples),
    samples=lambda rng: [
        Sample(np.array([0.0, 0.0, 2.0, 0.0]), 1, key=key(2)),
        Sample(np.array([[0.0, 1.0, 0.0], [4.0, 0.0, 0.0]]), 1, key=key(1)),
        Sample(np.array([[0.0, 1.0, 0.0], [4.0, 0.0, 0.0]]), 3, True, key=key(1)),
        Sample(np.array([2.0]), 1),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "num_samples is 0", np.ones(2), 0),
        ErrorSample(ArgumentError, "holds -1", -np.ones(2), 1),
        ErrorSample(ArgumentError, "fewer positive", np.array([0.0, 1.0]), 2),
        ErrorSample(ArgumentError, "fewer positive", np.zeros(2), 1, True),
        ErrorSample(ShapeError, "Expected", np.ones((1, 2, 3)), 1),
    ],
    differentiable=False,
)
def multinomial(
    x: Tensor, num_samples: int, replacement: bool = False, *, key: Key | int | None = None
) -> Tensor:
    require_dtype("multinomial", x, FLOAT)
    if x.ndim not in (1, 2) or not x.shape[-1]:
        raise ShapeError(
            f"multinomial: x has shape {x.shape}. Expected [C] or [N, C] with a class or more. "
            "Fix: reshape it."
        )
    if num_samples < 1:
        raise ArgumentError(
            f"multinomial: num_samples is {num_samples}. Expected 1 or more. Fix: correct it."
        )
    narrow = x.dtype is not _core.float64
    weights = x.detach().to(_core.float32) if narrow else x.detach()
    for bound in (weights.min().item(), weights.max().item()) if weights.numel() else ():
        if not 0 <= bound < math.inf:
            raise ArgumentError(
                f"multinomial: x holds {bound}. Expected finite weights of 0 or more. "
                "Fix: pass probabilities, e.g. softmax(logits)."
            )
    needed = 1 if replacement else num_samples
    if weights.numel() and (weights > 0).sum(axis=-1).min().item() < needed:
        raise ArgumentError(
            f"multinomial: a row has fewer positive weights than the {needed} that are needed. "
            "Expected as many. Fix: draw fewer samples, or with replacement=True."
        )
    if not replacement:
        # The largest of log w + Gumbel noise is a draw, the next one a draw from the rest.
        u = uniform(x.shape, key=key, dtype=weights.dtype, device=x.device).clamp(min=1e-30)
        scores = where(weights > 0, weights.log() - (-u.log()).log(), -math.inf)
        chosen: Tensor = topk(scores, num_samples, axis=-1).indices
        return chosen
    sums = weights.to(_core.float64).cumsum(-1)
    shape = (*x.shape[:-1], num_samples)
    u = uniform(shape, key=key, dtype=_core.float64, device=x.device) * sums[..., -1:]
    found = searchsorted(sums, u, side="right")
    return found.clamp(max=x.shape[-1] - 1)


def _certain(x: Any, num_samples: int) -> Any:
    """The only outcome there is, where one class alone has a weight."""
    return np.repeat(x.argmax(-1)[..., None], num_samples, -1)


def _generator(key: Key | int | None) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=as_key(key).value))


@plain()
def poisson(x: Tensor, *, key: Key | int | None = None) -> Tensor:
    """Independent counts, Poisson distributed with the rates x. x: [*S] float, 0 or more -> [*S].

    Raises ArgumentError for negative rates. Source: PyTorch, `torch.poisson`.

    >>> samara.poisson(samara.zeros(2)).tolist()
    [0.0, 0.0]
    """
    require_dtype("poisson", x, FLOAT)
    rates = x.detach().to(_core.float64).numpy(force=True)
    if not (rates >= 0).all():
        raise ArgumentError(
            f"poisson: x holds {rates.min()}. Expected rates of 0 or more. Fix: take exp(x), or "
            "clamp it."
        )
    drawn = _generator(key).poisson(rates)
    return asarray(np.asarray(drawn), dtype=x.dtype, device=x.device)


@plain()
def binomial(count: Tensor, prob: Tensor, *, key: Key | int | None = None) -> Tensor:
    """How many of `count` trials succeed, each with probability prob.

    count: [*A] float, whole numbers of 0 or more; prob: [*B] float in [0, 1] -> [*S], the broadcast
    shape. Raises ArgumentError for other numbers. Source: PyTorch, `torch.binomial`.

    >>> samara.binomial(samara.tensor([3.0]), samara.tensor([1.0])).tolist()
    [3.0]
    """
    require_dtype("binomial", count, (*FLOAT, *INTEGER), "count")
    require_dtype("binomial", prob, FLOAT, "prob")
    broadcast("binomial", count.shape, prob.shape)
    trials = count.detach().to(int64).numpy(force=True)
    chances = prob.detach().to(_core.float64).numpy(force=True)
    if not ((trials >= 0).all() and (chances >= 0).all() and (chances <= 1).all()):
        raise ArgumentError(
            "binomial: a count is negative or a probability outside of 0 to 1. Expected counts of "
            "0 or more and probabilities. Fix: check both."
        )
    drawn = _generator(key).binomial(trials, chances)
    return asarray(np.asarray(drawn), dtype=prob.dtype, device=prob.device)


@plain()
def randint_like(
    x: Tensor,
    low: int,
    high: int | None = None,
    *,
    key: Key | int | None = None,
    dtype: DType | None = None,
    device: Device | str | None = None,
) -> Tensor:
    """Independent whole numbers from low to high - 1, or from 0 to low - 1, of x's shape and dtype.

    Raises ArgumentError for an empty range. Source: PyTorch, `torch.randint_like`.

    >>> samara.randint_like(samara.zeros(2), 1).tolist()
    [0.0, 0.0]
    """
    start, stop = (0, low) if high is None else (low, high)
    drawn = randint(start, stop, x.shape, key=key, device=device or x.device)
    return drawn.to(dtype or x.dtype)


# --- grids ----------------------------------------------------------------------------------------


@composite(
    "logspace(start: number, end: number, steps: int, base: float = 10.0, *, dtype: dtype? = None, "
    "device: device? = None)",
    doc="""base^start to base^end in equal ratios: base ** linspace(start, end, steps) -> [steps].

    Raises ShapeError for negative steps. Source: PyTorch, `torch.logspace`.

    >>> samara.logspace(0, 2, 3).round().tolist()
    [1.0, 10.0, 100.0]
    """,
    ref=lambda start, end, steps, base=10.0: np.logspace(start, end, steps, base=base),
    ulp=4,
    samples=lambda rng: [Sample(-1, 2, 7), Sample(0.0, 5.0, 6, 2.0), Sample(0, 0, 1)],
    errors=lambda: [ErrorSample(TypeError, "", "text", 2, 3)],
    methods=(),
    differentiable=False,
)
def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: DType | None = None,
    device: Device | str | None = None,
) -> Tensor:
    grid = linspace(start, end, steps, dtype=_core.float64, device=device)
    made = (grid * math.log2(base)).exp2() if base > 0 else base**grid
    return made.to(dtype or _core.default_dtype())


# --- functions of PyTorch's that other ones here answer -------------------------------------------


@plain()
def rsub(x: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """Other - alpha x. Source: PyTorch, `torch.rsub`.

    >>> samara.rsub(samara.tensor([1.0]), 3.0).tolist()
    [2.0]
    """
    result: Tensor = other - (x if alpha == 1 else x * alpha)
    return result


@plain()
def fill(x: Tensor, value: Any) -> Tensor:
    """A tensor like x full of one value. Source: PyTorch, `torch.fill`.

    >>> samara.fill(samara.zeros(2), 3.0).tolist()
    [3.0, 3.0]
    """
    return x.clone().fill_(value)


@plain()
def empty_strided(
    size: Any,
    stride: Any,
    *,
    dtype: DType | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor with any values of the given sizes and strides. Source: PyTorch, `empty_strided`.

    >>> samara.empty_strided((2, 3), (1, 2)).stride()
    (1, 2)
    """
    sizes, strides = tuple(size), tuple(stride)
    if len(sizes) != len(strides):
        raise ShapeError(
            f"empty_strided: {len(sizes)} sizes and {len(strides)} strides were given. Expected as "
            "many. Fix: correct one of them."
        )
    last = sum((n - 1) * step for n, step in zip(sizes, strides, strict=True))
    memory = empty(last + 1 if 0 not in sizes else 0, dtype=dtype, device=device)
    made: Tensor = memory.as_strided(sizes, strides)
    return made.requires_grad_(requires_grad)


# --- sizes in place -------------------------------------------------------------------------------


@plain("resize_")
def resize_(x: Tensor, *sizes: Any) -> Tensor:
    """Gives x another shape in place: its elements in order, then any values; returns x.

    Raises GradientError for a tensor in a graph. Source: PyTorch, `Tensor.resize_`.

    >>> samara.arange(4).resize_(2, 1).tolist()
    [[0], [1]]
    """
    shape = sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes
    made = empty(tuple(shape), dtype=x.dtype, device=x.device)
    count = min(made.numel(), x.numel())
    if count:
        made.reshape(-1)[:count] = x.detach().reshape(-1)[:count]
    x.data = made
    return x


@plain("resize_as_")
def resize_as_(x: Tensor, other: Tensor) -> Tensor:
    """`resize_` to another tensor's shape. Source: PyTorch, `Tensor.resize_as_`.

    >>> samara.zeros(4).resize_as_(samara.zeros(2, 2)).shape
    (2, 2)
    """
    return resize_(x, other.shape)


@plain("set_")
def set_(x: Tensor, source: Tensor) -> Tensor:
    """X shows the memory of another tensor from now on; returns x. Source: PyTorch, `Tensor.set_`.

    >>> samara.zeros(1).set_(samara.ones(2)).tolist()
    [1.0, 1.0]
    """
    x.data = source.detach()
    return x


@plain("sum_to_size")
def sum_to_size(x: Tensor, *size: Any) -> Tensor:
    """Sums x over the axes along which `size` was broadcast to its shape.

    Raises ShapeError when size does not broadcast. Source: PyTorch, `Tensor.sum_to_size`.

    >>> samara.ones(3, 2).sum_to_size(1, 2).tolist()
    [[3.0, 3.0]]
    """
    from samara.ops.reduction import sum_to

    shape = size[0] if len(size) == 1 and not isinstance(size[0], int) else size
    return sum_to(x, tuple(shape))


def _new_empty_strided(self: Tensor, size: Any, stride: Any, **options: Any) -> Tensor:
    """samara.empty_strided(...) with this tensor's dtype and device by default."""
    options = {"dtype": self.dtype, "device": self.device} | options
    return empty_strided(size, stride, **options)


def _new(self: Tensor, *data: Any) -> Tensor:
    """A tensor of this dtype and device, of sizes or of data."""
    if all(isinstance(size, int) for size in data):
        return empty(tuple(data) or 0, dtype=self.dtype, device=self.device)
    return self.new_tensor(*data)


METHODS.update(
    {
        "new": _new,
        "new_empty_strided": _new_empty_strided,
        "is_same_size": lambda self, other: self.shape == other.shape,
        "get_device": lambda self: -1,
        "dim_order": lambda self: tuple(
            sorted(range(self.ndim), key=lambda axis: -self.stride()[axis])
        ),
        "is_set_to": lambda self, other: (
            self.data_ptr() == other.data_ptr()
            and self.shape == other.shape
            and self.stride() == other.stride()
        ),
        "is_inference": lambda self: False,
        "is_meta": property(lambda self: False, doc="False: every tensor has memory."),
        "is_quantized": property(lambda self: False, doc="False."),
        "share_memory_": lambda self: self,
        "is_pinned": lambda self: False,
        "is_shared": lambda self: False,
    }
)
