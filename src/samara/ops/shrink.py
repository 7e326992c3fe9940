"""Activations with a dead zone, and those that gate, with a slope that is learned or drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from samara._core import float32, float64
from samara.errors import ArgumentError, ShapeError
from samara.ops.activation import sigmoid
from samara.ops.arithmetic import minimum
from samara.ops.checks import require_dtype
from samara.ops.creation import zeros_like
from samara.ops.elementary import tanh
from samara.ops.manipulation import _axis
from samara.ops.pointwise import unary
from samara.ops.random_ops import uniform
from samara.ops.record import FLOAT, ErrorSample, Sample, composite
from samara.ops.selection import where
from samara.ops.softmax import softmax
from samara.random import Key, key
from samara.tensor import Tensor

hardshrink = unary(
    "hardshrink(x, lambd: float = 0.5)",
    "0 where |x| <= lambd, x elsewhere.",
    ref=lambda x, lambd=0.5: np.where(np.abs(x) <= lambd, 0.0, x),
    grad=lambda g, x, y, *, lambd: where((x >= -lambd) & (x <= lambd), 0.0, g),
    settings=({}, {"lambd": 1.2}),
    ulp=0,
    in_place=False,
    source="PyTorch, `torch.nn.functional.hardshrink`",
    example=("samara.hardshrink(samara.tensor([0.25, -2.0])).tolist()", "[0.0, -2.0]"),
)

softshrink = unary(
    "softshrink(x, lambd: float = 0.5)",
    "x brought towards 0 by lambd, and 0 where |x| <= lambd.",
    ref=lambda x, lambd=0.5: np.where(
        x > lambd, x - lambd, np.where(x < -lambd, x + lambd, np.where(np.isnan(x), x, 0.0))
    ),
    grad=lambda g, x, y, *, lambd: where((x >= -lambd) & (x <= lambd), 0.0, g),
    settings=({}, {"lambd": 1.25}),
    ulp=1,
    in_place=False,
    methods=(),
    errors=lambda: [ErrorSample(ArgumentError, "lambd is negative", np.ones(2), lambd=-1.0)],
    source="PyTorch, `torch.nn.functional.softshrink`",
    example=("samara.softshrink(samara.tensor([0.25, -2.0])).tolist()", "[0.0, -1.5]"),
)

threshold = unary(
    "threshold(x, threshold: float, value: float)",
    "x where x > threshold, value elsewhere.",
    ref=lambda x, threshold, value: np.where(x <= threshold, value, x),
    grad=lambda g, x, y, *, threshold, value: where(x <= threshold, 0.0, g),
    settings=({"threshold": 0.75, "value": 20.0}, {"threshold": -1.0, "value": -3.0}),
    ulp=0,
    methods=(),
    source="PyTorch, `torch.nn.functional.threshold`",
    example=("samara.threshold(samara.tensor([0.5, 2.0]), 1.0, -1.0).tolist()", "[-1.0, 2.0]"),
)


def _some(rng: np.random.Generator, *settings: dict[str, Any]) -> list[Sample]:
    return [
        Sample(rng.normal(size=shape), **setting)
        for setting in settings or ({},)
        for shape in ((3, 4), (2, 4, 2), (4,))
    ]


@composite(
    "tanhshrink(x)",
    doc="""x - tanh x. x: [*S] float -> [*S].

    Raises DTypeError for what is no float. Source: PyTorch, `torch.nn.functional.tanhshrink`.

    >>> samara.tanhshrink(samara.tensor([0.0])).tolist()
    [0.0]
    """,
    ref=lambda x: x - np.tanh(x),
    ulp=4,
    condition="max",
    samples=lambda rng: [*_some(rng), Sample(np.array(1.5)), Sample(np.ones((0, 2)))],
    errors=lambda: [ErrorSample(TypeError, "a tensor", "text")],
    methods=(),
)
def tanhshrink(x: Tensor) -> Tensor:
    require_dtype("tanhshrink", x, FLOAT)
    return x - tanh(x)


@composite(
    "softmin(x, axis: int = -1)",
    doc="""e^-x_i / sum_j e^-x_j along `axis`. x: [*S] float -> [*S].

    Raises IndexOutOfRangeError for an axis out of range.
    Source: PyTorch, `torch.nn.functional.softmin`.

    >>> samara.softmin(samara.tensor([2.0, 2.0])).tolist()
    [0.5, 0.5]
    """,
    ref=lambda x, axis=-1: (
        np.exp(-x + x.min(axis, keepdims=True))
        / np.exp(-x + x.min(axis, keepdims=True)).sum(axis, keepdims=True)
    ),
    condition="max",
    samples=lambda rng: [
        *_some(rng, {}, {"axis": 0}),
        Sample(rng.normal(size=(3, 1)), 1),
        Sample(rng.normal(size=1)),
    ],
    errors=lambda: [ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 3)), 2)],
    methods=(),
)
def softmin(x: Tensor, axis: int = -1) -> Tensor:
    require_dtype("softmin", x, FLOAT)
    return softmax(-x, axis)


def _glu_ref(x: Any, axis: int = -1) -> Any:
    a, b = np.split(x, 2, axis)
    return a / (1 + np.exp(-b))


@composite(
    "glu(x, axis: int = -1)",
    doc="""a sigmoid(b), where a and b are the halves of x along `axis`.

    x: [*S] float, an even size at `axis` -> [*S with half of it].

    Raises ShapeError for an odd size. Source: Dauphin et al., Language Modeling with Gated
    Convolutional Networks, 2017.

    >>> samara.glu(samara.tensor([3.0, 0.0])).tolist()
    [1.5]
    """,
    ref=_glu_ref,
    samples=lambda rng: [
        *_some(rng),
        Sample(rng.normal(size=(4, 3)), 0),
        Sample(rng.normal(size=(2, 3)), axis=-2),
        Sample(np.ones((0, 4))),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "size 3 of axis 1", np.ones((2, 3))),
        ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 4)), 2),
    ],
    methods=(),
)
def glu(x: Tensor, axis: int = -1) -> Tensor:
    require_dtype("glu", x, FLOAT)
    place = _axis("glu", axis, x.ndim)
    size = x.shape[place]
    if size % 2:
        raise ShapeError(
            f"glu: the size {size} of axis {place} is odd. Expected an even size, for two halves. "
            "Fix: make the layer before twice as wide as the gate's output."
        )
    return x.narrow(place, 0, size // 2) * sigmoid(x.narrow(place, size // 2, size // 2))


def _prelu_ref(x: Any, weight: Any) -> Any:
    if weight.size > 1:
        weight = weight.reshape((1, -1) + (1,) * (x.ndim - 2)) if x.ndim > 1 else weight
    return np.where(x > 0, x, weight.reshape(weight.shape if weight.size > 1 else ()) * x)


@composite(
    "prelu(x, weight)",
    doc="""x where x > 0, weight x elsewhere.

    x: [N, C, *S] float, weight: [] or [1], or [C] for one slope per channel -> x's shape.

    Raises ShapeError when the weight fits neither.
    Source: He et al., Delving Deep into Rectifiers, 2015.

    >>> samara.prelu(samara.tensor([-4.0, 2.0]), samara.tensor([0.25])).tolist()
    [-1.0, 2.0]
    """,
    ref=_prelu_ref,
    onnx="PRelu",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), rng.normal(size=1)),
        Sample(rng.normal(size=(3, 4)), rng.normal(size=4)),
        Sample(rng.normal(size=(2, 3, 2, 2)), rng.normal(size=3)),
        Sample(rng.normal(size=5), rng.normal(size=())),
        Sample(np.ones((0, 3)), rng.normal(size=3)),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, r"weight has shape \(3,\)", np.ones((2, 4)), np.ones(3)),
        ErrorSample(TypeError, "a tensor", np.ones((2, 4)), 0.5),
    ],
)
def prelu(x: Tensor, weight: Tensor) -> Tensor:
    require_dtype("prelu", x, FLOAT)
    require_dtype("prelu", weight, FLOAT, "weight")
    channels = x.shape[1] if x.ndim > 1 else 1
    if weight.ndim > 1 or weight.numel() not in (1, channels):
        raise ShapeError(
            f"prelu: weight has shape {weight.shape} for an x of shape {x.shape}. Expected one "
            f"slope, or {channels}, one per channel. Fix: reshape the weight."
        )
    many = weight.numel() > 1
    slope = weight.reshape((1, -1) + (1,) * (x.ndim - 2)) if many else weight.reshape(())
    return where(x > 0, x, slope * minimum(x, 0.0))


@composite(
    "rrelu(x, lower: float = 0.125, upper: float = 0.3333333333333333, training: bool = False, "
    "key: Key? = None)",
    doc="""x where x > 0, else a x: a is drawn from [lower, upper) for each element while training,
    and their middle otherwise.

    x: [*S] float -> [*S]. Raises ArgumentError unless lower <= upper.
    Source: Xu et al., Empirical Evaluation of Rectified Activations, 2015.

    >>> samara.rrelu(samara.tensor([-4.0, 2.0]), 0.25, 0.25).tolist()
    [-1.0, 2.0]
    """,
    ref=lambda x, lower=1 / 8, upper=1 / 3, training=False, key=None: np.where(
        x > 0, x, (lower + upper) / 2 * x
    ),
    samples=lambda rng: [
        *_some(rng, {}, {"lower": 0.25, "upper": 0.5}),
        Sample(rng.normal(size=(3, 4)), 0.5, 0.5, True, key=key(1)),
        Sample(rng.normal(size=())),
    ],
    errors=lambda: [ErrorSample(ArgumentError, "lower = 1.0", np.ones(2), 1.0, 0.5)],
    methods=(),
    in_place=True,
)
def rrelu(
    x: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    key: Key | int | None = None,
) -> Tensor:
    require_dtype("rrelu", x, FLOAT)
    if not lower <= upper:
        raise ArgumentError(
            f"rrelu: lower = {lower} and upper = {upper}. Expected lower <= upper. Fix: swap them."
        )
    slope: Any = 0.5 * (lower + upper)
    if training:
        slope = uniform(x.shape, lower, upper, key=key, dtype=x.dtype, device=x.device)
    return where(x > 0, x, minimum(x, 0.0) * slope)


def _gumbel_ref(
    x: Any, tau: float = 1.0, hard: bool = False, eps: float = 0.0, axis: int = -1, key: Any = None
) -> Any:
    from samara.ops.random_ops import _uniform_ref

    u = np.maximum(_uniform_ref(x.shape, key=key), 1e-30)
    z = (x - np.log(-np.log(u))) / tau
    e = np.exp(z - z.max(axis, keepdims=True))
    if hard:
        return np.where(z == z.max(axis, keepdims=True), 1.0, 0.0)
    return e / e.sum(axis, keepdims=True)


@composite(
    "gumbel_softmax(x, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, axis: int = -1, "
    "key: Key? = None)",
    doc="""A sample from the Gumbel-softmax distribution: softmax((x + g) / tau), g = -log(-log u).

    x: [*S] float -> [*S]. With hard=True the result is one-hot, and the gradient that of the soft
    sample. `eps` is accepted for compatibility and has no effect.

    Raises ArgumentError unless tau > 0.
    Source: Jang, Gu, Poole, Categorical Reparameterization with Gumbel-Softmax, 2017.

    >>> samara.gumbel_softmax(samara.zeros(3), hard=True).sum().item()
    1.0
    """,
    ref=_gumbel_ref,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), key=key(1)),
        Sample(rng.normal(size=(3, 4)), 0.5, axis=0, key=key(2)),
        Sample(rng.normal(size=(1, 1)), key=key(3)),
    ],
    errors=lambda: [ErrorSample(ArgumentError, "tau is 0", np.ones(2), 0.0)],
    methods=(),
)
def gumbel_softmax(
    x: Tensor,
    tau: float = 1.0,
    hard: bool = False,
    eps: float = 1e-10,
    axis: int = -1,
    key: Key | int | None = None,
) -> Tensor:
    require_dtype("gumbel_softmax", x, FLOAT)
    if not tau > 0:
        raise ArgumentError(
            f"gumbel_softmax: tau is {tau}. Expected a temperature above 0. Fix: pass e.g. tau=1.0."
        )
    # A draw of 0 would give the infinite -log(-log 0).
    u = uniform(x.shape, key=key, dtype=float32, device=x.device).clamp(min=1e-30)
    wide = u.astype(float64, copy=False) if x.dtype is float64 else u
    noise = (-wide.log()).log().astype(x.dtype, copy=False)
    soft: Tensor = softmax((x - noise) / tau, axis)
    if not hard:
        return soft
    index = soft.detach().argmax(axis=axis, keepdims=True)
    one = zeros_like(soft.detach()).scatter(axis, index, 1.0)
    return one - soft.detach() + soft
