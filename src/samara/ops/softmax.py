"""softmax, log_softmax and logsumexp in their stable forms: the largest element goes first."""

from __future__ import annotations

from typing import Any

import numpy as np

from samara.ops.record import ErrorSample, Sample, operation
from samara.ops.reduction import sum as sum_


def _softmax_ref(x: Any, axis: int = -1) -> Any:
    if x.ndim == 0:
        return np.ones_like(x)
    e = np.exp(x - np.max(x, axis=axis, keepdims=True, initial=-np.inf))
    return e / np.sum(e, axis=axis, keepdims=True)


def _log_softmax_ref(x: Any, axis: int = -1) -> Any:
    if x.ndim == 0:
        return np.zeros_like(x)
    shifted = x - np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


def _samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.normal(size=(3, 4))),
        Sample(rng.normal(size=(3, 4)), axis=0),
        Sample(rng.normal(size=(2, 3, 4)), axis=1),
        Sample(rng.normal(size=(2, 3, 4)).transpose(2, 0, 1), axis=-2),
        Sample(5 * rng.normal(size=(2, 150))),
        Sample(5 * rng.normal(size=(40, 9)), axis=0),
        Sample(rng.normal(size=(3, 1))),
        Sample(rng.normal(size=())),
        Sample(np.zeros((0, 3))),
        Sample(np.zeros((3, 0))),
        Sample(np.array([1000.0, 1001.0, 998.0])),
        Sample(np.array([[-np.inf, 0.0, 1.0]])),
    ]


def _errors() -> list[ErrorSample]:
    return [
        ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 3)), axis=2),
        ErrorSample(IndexError, "axis 1 given for a 0-d", np.ones(()), axis=1),
    ]


softmax = operation(
    "softmax(x, axis: int = -1)",
    doc="""e^x_i / sum_j e^x_j along `axis`. x: [*S] float -> [*S].

    Sums are accumulated in float64; float16 and bfloat16 are computed in float32.

    Raises IndexOutOfRangeError for an axis out of range.

    >>> samara.softmax(samara.tensor([0.0, 0.0])).tolist()
    [0.5, 0.5]
    """,
    ref=_softmax_ref,
    grad=lambda g, x, y, *, axis: y * (g - sum_(g * y, axis=axis, keepdims=True)),
    onnx="Softmax",
    ulp=4,
    condition="max",
    samples=_samples,
    errors=_errors,
)

log_softmax = operation(
    "log_softmax(x, axis: int = -1)",
    doc="""x_i - log sum_j e^x_j along `axis`. x: [*S] float -> [*S].

    Raises IndexOutOfRangeError for an axis out of range.

    >>> samara.log_softmax(samara.tensor([3.0, 3.0])).exp().tolist()
    [0.5, 0.5]
    """,
    ref=_log_softmax_ref,
    grad=lambda g, x, y, *, axis: g - y.exp() * sum_(g, axis=axis, keepdims=True),
    onnx="LogSoftmax",
    ulp=4,
    condition="max",
    samples=_samples,
    errors=_errors,
)


def _logsumexp_ref(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    with np.errstate(divide="ignore", over="ignore"):
        top = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
        top = np.where(np.isfinite(top), top, 0.0)
        total = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    return total if keepdims else np.squeeze(total, axis=axis)


logsumexp = operation(
    "logsumexp(x, axis: ints? = None, keepdims: bool = False)",
    doc="""log sum e^x over `axis`, without overflow. x: [*S] float -> [*S without axis].

    Over nothing it is -inf.

    >>> samara.logsumexp(samara.tensor([1000.0, 1000.0]), axis=0).item() > 1000.6
    True
    """,
    ref=_logsumexp_ref,
    onnx="ReduceLogSumExp",
    ulp=4,
    condition="sum",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4))),
        Sample(rng.normal(size=(3, 4)), axis=0),
        Sample(rng.normal(size=(2, 3, 4)), axis=(0, 2), keepdims=True),
        Sample(rng.normal(size=(2, 150)), axis=-1),
        Sample(rng.normal(size=())),
        Sample(np.array([[1000.0, 999.0], [-1000.0, -1001.0]]), axis=1),
        Sample(np.array([-np.inf, 1.0, 2.0]), axis=0),
    ],
    errors=lambda: [ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 3)), axis=2)],
)

__all__ = ["log_softmax", "logsumexp", "softmax"]
