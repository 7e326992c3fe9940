"""layer_norm and rms_norm: each row brought to a common scale; local_response_norm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from samara.errors import ArgumentError, DTypeError, ShapeError
from samara.ops.creation import zeros
from samara.ops.join import concat
from samara.ops.record import FLOAT, ErrorSample, Sample, composite, operation
from samara.tensor import Tensor


def _last(normalized_shape: Any) -> tuple[int, ...]:
    count = 1 if isinstance(normalized_shape, int) else len(normalized_shape)
    return tuple(range(-count, 0))


def _norm_grad(
    g: Tensor, x: Tensor, weight: Tensor | None, axes: tuple[int, ...], eps: float, centered: bool
) -> tuple[Tensor, Tensor]:
    """(h - mean(h) - z mean(h z)) / deviation with h = g weight, and g z, the weight's part."""
    center = x - x.mean(axis=axes, keepdims=True) if centered else x
    scale = ((center * center).mean(axis=axes, keepdims=True) + eps) ** -0.5
    z = center * scale
    h = g if weight is None else g * weight
    dx = h - z * (h * z).mean(axis=axes, keepdims=True)
    if centered:
        dx = dx - h.mean(axis=axes, keepdims=True)
    return dx * scale, g * z


def _layer_norm_ref(
    x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    axes = _last(normalized_shape)
    center = x - np.mean(x, axis=axes, keepdims=True)
    y = center / np.sqrt(np.mean(center**2, axis=axes, keepdims=True) + eps)
    if weight is not None:
        y = y * weight
    return y if bias is None else y + bias


def _layer_norm_grad(
    g: Tensor,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    y: Tensor,
    *,
    normalized_shape: Any,
    eps: float,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    dx, dweight = _norm_grad(g, x, weight, _last(normalized_shape), eps, centered=True)
    return dx, None if weight is None else dweight, None if bias is None else g


def _samples(rng: np.random.Generator) -> list[Sample]:
    def normal(*shape: int) -> Any:
        return rng.normal(size=shape)

    return [
        Sample(normal(3, 5), (5,)),
        Sample(normal(3, 5), (5,), normal(5)),
        Sample(normal(2, 3, 4), (3, 4), normal(3, 4)),
        Sample(normal(4, 2, 3).transpose(1, 2, 0), (4,), normal(4)),
        Sample(normal(2, 150) + 3.0, (150,), normal(150)),
        Sample(normal(5), (5,)),
        Sample(np.zeros((0, 3)), (3,), normal(3)),
    ]


def _errors() -> list[ErrorSample]:
    return [
        ErrorSample(ShapeError, r"normalized_shape is \(4,\)", np.ones((2, 3)), (4,)),
        ErrorSample(ShapeError, r"weight has shape \(2,\)", np.ones((2, 3)), (3,), np.ones(2)),
    ]


layer_norm = operation(
    "layer_norm(x, normalized_shape: ints, weight: Tensor? = None, bias: Tensor? = None, "
    "eps: float = 1e-5)",
    doc="""(x - mean) / sqrt(variance + eps) * weight + bias over the last axes.

    x: [*S, *normalized_shape] float, weight and bias: [*normalized_shape] or None -> x's shape.
    Mean and variance (biased) are those of each row over the axes of normalized_shape.

    Raises ShapeError when x does not end in normalized_shape or the parameters do not have that
    shape. Source: Ba, Kiros, Hinton, Layer Normalization, 2016.

    >>> samara.layer_norm(samara.tensor([[1.0, 3.0]]), (2,), eps=0.0).tolist()
    [[-1.0, 1.0]]
    """,
    ref=_layer_norm_ref,
    grad=_layer_norm_grad,
    onnx="LayerNormalization",
    ulp=8,
    condition="max",
    samples=lambda rng: [
        *_samples(rng),
        Sample(rng.normal(size=(3, 5)), (5,), rng.normal(size=5), rng.normal(size=5)),
        Sample(rng.normal(size=(3, 5)), 5, bias=rng.normal(size=5), eps=0.1),
        Sample(
            rng.normal(size=(130, 3)), (3,), rng.normal(size=3), rng.normal(size=3)
        ),  # several tiles of rows
    ],
    errors=_errors,
    methods=(),
)


def _rms_norm_ref(x: Any, normalized_shape: Any, weight: Any = None, eps: float = 0.0) -> Any:
    y = x / np.sqrt(np.mean(x**2, axis=_last(normalized_shape), keepdims=True) + eps)
    return y if weight is None else y * weight


def _rms_norm_grad(
    g: Tensor, x: Tensor, weight: Tensor | None, y: Tensor, *, normalized_shape: Any, eps: Any
) -> tuple[Tensor, Tensor | None]:
    if eps is None:
        eps = math.ldexp(1.0, -52 if x.dtype.name == "float64" else -23)
    dx, dweight = _norm_grad(g, x, weight, _last(normalized_shape), eps, centered=False)
    return dx, None if weight is None else dweight


rms_norm = operation(
    "rms_norm(x, normalized_shape: ints, weight: Tensor? = None, eps: float? = None)",
    doc="""x / sqrt(mean(x^2) + eps) * weight over the last axes.

    x: [*S, *normalized_shape] float, weight: [*normalized_shape] or None -> x's shape. eps=None
    takes the distance from 1 to the next number of x's dtype (float32's for narrower ones).

    Raises ShapeError when x does not end in normalized_shape or the weight does not have that
    shape. Source: Zhang, Sennrich, Root Mean Square Layer Normalization, 2019.

    >>> samara.rms_norm(samara.tensor([[3.0, 3.0]]), (2,), eps=0.0).tolist()
    [[1.0, 1.0]]
    """,
    ref=_rms_norm_ref,
    grad=_rms_norm_grad,
    onnx="RMSNormalization",
    ulp=8,
    condition="max",
    samples=lambda rng: [
        *(Sample(*s.args, eps=1e-6) for s in _samples(rng)),
        Sample(rng.normal(size=(130, 3)), (3,), rng.normal(size=3), eps=0.1),
    ],
    errors=_errors,
    methods=(),
)

# --- across channels ------------------------------------------------------------------------------


def _local_response_norm_ref(
    x: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    channels = x.shape[1]
    total = np.zeros_like(x)
    for c in range(channels):
        first, last = max(0, c - size // 2), min(channels, c + (size + 1) // 2)
        total[:, c] = (x[:, first:last] ** 2).sum(axis=1)
    return x / (k + alpha * total / size) ** beta


@composite(
    "local_response_norm(x, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0)",
    doc="""x / (k + alpha / size * sum of x^2 over `size` neighbouring channels)^beta.

    x: [N, C, *S] float with at least one axis in S -> x's shape. The sum runs from channel
    c - size // 2 to c + (size - 1) // 2, as far as there are any.

    Raises ShapeError for fewer axes, ArgumentError for a size below 1. Source: Krizhevsky,
    Sutskever, Hinton, ImageNet Classification with Deep CNNs, 2012.

    >>> samara.local_response_norm(samara.ones(1, 2, 1), 1, alpha=3.0, beta=0.5).tolist()
    [[[0.5], [0.5]]]
    """,
    ref=_local_response_norm_ref,
    onnx="LRN",
    ulp=16,
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 5, 3)), 3, 0.5),
        Sample(rng.normal(size=(2, 5, 3, 2)), 2, 0.5, 1.5, 2.0),
        Sample(rng.normal(size=(2, 3, 2, 2, 2)), 4),
        Sample(rng.normal(size=(1, 3, 4)), 9, alpha=1.0),
        Sample(rng.normal(size=(1, 1, 1)), 1),
        Sample(np.zeros((0, 3, 2)), 2),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "at least 3", np.ones((2, 3)), 2),
        ErrorSample(ArgumentError, "size is 0", np.ones((2, 3, 4)), 0),
    ],
    methods=(),
)
def local_response_norm(
    x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    if x.dtype not in FLOAT:
        raise DTypeError(
            f"local_response_norm: x has dtype {x.dtype.name}. Expected a real floating-point "
            "dtype. Fix: convert it, e.g. x.to(samara.float32)."
        )
    if x.ndim < 3:
        raise ShapeError(
            f"local_response_norm: x has shape {tuple(x.shape)}. Expected [N, C, ...] with at "
            "least 3 axes. Fix: x[None] adds the batch axis."
        )
    if size < 1:
        raise ArgumentError(
            f"local_response_norm: size is {size}. Expected at least 1. Fix: size=5, say."
        )
    channels = x.shape[1]
    before, after = size // 2, (size - 1) // 2

    def zero(count: int) -> Tensor:
        edge: Tensor = zeros((x.shape[0], count, *x.shape[2:]), dtype=x.dtype, device=x.device)
        return edge

    squares = concat([zero(before), x * x, zero(after)], axis=1)
    total = squares[:, :channels]
    for shift in range(1, size):
        total = total + squares[:, shift : shift + channels]
    y: Tensor = x / (total * (alpha / size) + k) ** beta
    return y


__all__ = ["layer_norm", "local_response_norm", "rms_norm"]
