"""Losses, with PyTorch's names, arguments and reductions.

Prediction and target of the elementwise losses must have equal shapes: (32,) against (32, 1) would
silently become a loss over 1024 pairs, so it raises.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from samara.errors import ArgumentError, DTypeError, IndexOutOfRangeError, ShapeError
from samara.ops.record import FLOAT, ErrorSample, Sample, composite, operation
from samara.ops.softmax import log_softmax, softmax
from samara.tensor import Tensor

# --- elementwise losses ---------------------------------------------------------------------------


def _reduced(values: Any, reduction: str) -> Any:
    """For NumPy and for Samara alike."""
    if reduction == "mean":
        return values.mean()
    return values.sum() if reduction == "sum" else values


def _reduced_tensor(values: Tensor, reduction: str) -> Tensor:
    result: Tensor = _reduced(values, reduction)
    return result


def _factor(g: Tensor, x: Tensor, reduction: str) -> Tensor:
    """The gradient of the reduced loss as one for the elements' losses."""
    return g / x.numel() if reduction == "mean" and x.numel() else g


def _pair_samples(*parameters: float) -> Any:
    def samples(rng: np.random.Generator) -> list[Sample]:
        def pair(*shape: int) -> tuple[Any, Any]:
            # Differences keep away from 0 and from 1, where the derivatives may jump.
            y = rng.normal(size=shape)
            d = rng.choice([-2.5, -0.6, 0.3, 1.7], size=shape) + rng.uniform(-0.2, 0.2, size=shape)
            return y + d, y

        return [
            Sample(*pair(3, 4), *parameters),
            Sample(*pair(3, 4), *parameters, reduction="sum"),
            Sample(*pair(2, 3), *parameters, reduction="none"),
            Sample(*pair(150), *parameters),
            Sample(*pair(), *parameters),
            Sample(*pair(4, 3), *parameters, reduction="none"),
            Sample(np.zeros((0, 3)), np.zeros((0, 3)), *parameters, reduction="sum"),
            Sample(np.zeros((0, 3)), np.zeros((0, 3)), *parameters, reduction="none"),
        ]

    return samples


def _pair_errors() -> list[ErrorSample]:
    return [
        ErrorSample(
            ShapeError,
            r"shape \(32,\) and the target has shape \(32, 1\).*target.reshape\(32,\)",
            np.ones(32),
            np.ones((32, 1)),
        ),
        ErrorSample(ArgumentError, "reduction is 'avg'", np.ones(2), np.ones(2), reduction="avg"),
    ]


def _mse_grad(g: Tensor, x: Tensor, y: Tensor, out: Tensor, *, reduction: str) -> Any:
    d = 2 * _factor(g, x, reduction) * (x - y)
    return d, -d


mse_loss = operation(
    "mse_loss(x, target, reduction: str = 'mean')",
    doc="""The squared error (x - target)^2: its mean, its sum or each element's.

    x, target: [*S] float -> [] or, with reduction='none', [*S].

    Raises ShapeError when the shapes differ.

    >>> samara.mse_loss(samara.tensor([1.0, 2.0]), samara.tensor([1.0, 4.0])).item()
    2.0
    """,
    ref=lambda x, y, reduction="mean": _reduced((x - y) ** 2, reduction),
    grad=_mse_grad,
    ulp=4,
    samples=_pair_samples(),
    errors=_pair_errors,
    methods=(),
)


def _l1_grad(g: Tensor, x: Tensor, y: Tensor, out: Tensor, *, reduction: str) -> Any:
    d = _factor(g, x, reduction) * (x - y).sign()
    return d, -d


l1_loss = operation(
    "l1_loss(x, target, reduction: str = 'mean')",
    doc="""The absolute error |x - target|: its mean, its sum or each element's.

    x, target: [*S] float -> [] or, with reduction='none', [*S].

    Raises ShapeError when the shapes differ.

    >>> samara.l1_loss(samara.tensor([1.0, 2.0]), samara.tensor([1.0, 4.0])).item()
    1.0
    """,
    ref=lambda x, y, reduction="mean": _reduced(np.abs(x - y), reduction),
    grad=_l1_grad,
    ulp=4,
    samples=_pair_samples(),
    errors=_pair_errors,
    methods=(),
)


def _smooth_ref(x: Any, y: Any, beta: float = 1.0, reduction: str = "mean") -> Any:
    d = np.abs(x - y)
    inside = 0.5 * d * d / beta if beta > 0 else d
    return _reduced(np.where(d < beta, inside, d - 0.5 * beta), reduction)


def _clipped(d: Tensor, limit: float) -> Tensor:
    """Clips d to [-limit, limit], as a product so that its own derivative is 1 or 0."""
    inside = d.abs() < limit
    one = inside.astype(d.dtype)
    return d * one + d.sign() * limit * (1 - one)


def _smooth_grad(
    g: Tensor, x: Tensor, y: Tensor, out: Tensor, *, beta: float, reduction: str
) -> Any:
    slope = (x - y).sign() if beta == 0 else _clipped(x - y, beta) / beta
    d = _factor(g, x, reduction) * slope
    return d, -d


smooth_l1_loss = operation(
    "smooth_l1_loss(x, target, beta: float = 1.0, reduction: str = 'mean')",
    doc="""(x - target)^2 / (2 beta) where |x - target| < beta, else |x - target| - beta / 2.

    x, target: [*S] float -> [] or, with reduction='none', [*S].

    Raises ShapeError when the shapes differ, ArgumentError for a negative beta.
    Source: Girshick, Fast R-CNN, 2015.

    >>> samara.smooth_l1_loss(samara.tensor([0.0]), samara.tensor([3.0])).item()
    2.5
    """,
    ref=_smooth_ref,
    grad=_smooth_grad,
    ulp=4,
    samples=_pair_samples(0.75),
    errors=lambda: [
        *_pair_errors(),
        ErrorSample(ArgumentError, "beta is -1", np.ones(2), np.ones(2), -1.0),
    ],
    methods=(),
)


def _huber_ref(x: Any, y: Any, delta: float = 1.0, reduction: str = "mean") -> Any:
    d = np.abs(x - y)
    return _reduced(np.where(d < delta, 0.5 * d * d, delta * (d - 0.5 * delta)), reduction)


def _huber_grad(
    g: Tensor, x: Tensor, y: Tensor, out: Tensor, *, delta: float, reduction: str
) -> Any:
    d = _factor(g, x, reduction) * _clipped(x - y, delta)
    return d, -d


huber_loss = operation(
    "huber_loss(x, target, delta: float = 1.0, reduction: str = 'mean')",
    doc="""(x - target)^2 / 2 where |x - target| < delta, else delta (|x - target| - delta / 2).

    x, target: [*S] float -> [] or, with reduction='none', [*S].

    Raises ShapeError when the shapes differ, ArgumentError for a delta of 0 or less.
    Source: Huber, Robust Estimation of a Location Parameter, 1964.

    >>> samara.huber_loss(samara.tensor([0.0]), samara.tensor([3.0]), delta=2.0).item()
    4.0
    """,
    ref=_huber_ref,
    grad=_huber_grad,
    ulp=4,
    samples=_pair_samples(0.75),
    errors=lambda: [
        *_pair_errors(),
        ErrorSample(ArgumentError, "delta is 0", np.ones(2), np.ones(2), 0.0),
    ],
    methods=(),
)

# --- binary cross entropy -------------------------------------------------------------------------


def _check_binary(name: str, x: Tensor, target: Tensor, reduction: str) -> None:
    if x.dtype not in FLOAT:
        raise DTypeError(
            f"{name}: the prediction has dtype {x.dtype.name}. Expected a real floating-point "
            "dtype. Fix: convert it, e.g. x.to(samara.float32)."
        )
    if x.shape != target.shape:
        fix = "check which tensor has the wrong shape"
        if x.numel() == target.numel():
            shape = str(x.shape) if x.ndim else "(())"
            fix = f"bring the target to the prediction's shape with target.reshape{shape}"
        raise ShapeError(
            f"{name}: the prediction has shape {x.shape} and the target has shape {target.shape}. "
            f"Expected equal shapes. Fix: {fix}."
        )
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(
            f"{name}: reduction is {reduction!r}. Expected 'mean', 'sum' or 'none'. "
            "Fix: pass one of these."
        )


def _bce_ref(x: Any, y: Any, weight: Any = None, reduction: str = "mean") -> Any:
    with np.errstate(divide="ignore"):
        values = -(y * np.maximum(np.log(x), -100) + (1 - y) * np.maximum(np.log1p(-x), -100))
    return _reduced(values if weight is None else values * weight, reduction)


def _probabilities(rng: np.random.Generator) -> list[Sample]:
    def p(*shape: int) -> Any:
        return rng.uniform(0.1, 0.9, size=shape)

    return [
        Sample(p(3, 4), p(3, 4)),
        Sample(p(3, 4), p(3, 4), reduction="sum"),
        Sample(p(3, 4), p(3, 4), weight=p(4), reduction="none"),
        Sample(p(), p()),
    ]


@composite(
    "binary_cross_entropy(x, target, weight: Tensor? = None, reduction: str = 'mean')",
    doc="""-(t log x + (1 - t) log(1 - x)) of probabilities x; logarithms are cut off at -100.

    x, target: [*S] float in [0, 1] -> [] or, with reduction='none', [*S]. `weight` multiplies the
    elements. `binary_cross_entropy_with_logits` is the stable form.

    Raises ShapeError when the shapes differ.

    >>> samara.binary_cross_entropy(samara.tensor([0.5]), samara.tensor([1.0])).item() > 0.693
    True
    """,
    ref=_bce_ref,
    ulp=16,
    condition="sum",
    samples=_probabilities,
    errors=_pair_errors,
    methods=(),
)
def binary_cross_entropy(
    x: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """Two clipped logarithms; see the record."""
    _check_binary("binary_cross_entropy", x, target, reduction)
    log_x = x.log().clamp(min=-100.0)
    log_rest = (-x).log1p().clamp(min=-100.0)
    values = -(target * log_x + (1 - target) * log_rest)
    weighted: Tensor = values if weight is None else values * weight
    return _reduced_tensor(weighted, reduction)


def _bce_logits_ref(
    x: Any, y: Any, weight: Any = None, pos_weight: Any = None, reduction: str = "mean"
) -> Any:
    positive = 1.0 if pos_weight is None else pos_weight
    values = y * positive * np.logaddexp(0, -x) + (1 - y) * np.logaddexp(0, x)
    return _reduced(values if weight is None else values * weight, reduction)


@composite(
    "binary_cross_entropy_with_logits(x, target, weight: Tensor? = None, "
    "reduction: str = 'mean', pos_weight: Tensor? = None)",
    doc="""Binary cross entropy of probabilities sigmoid(x), from the logits x, without overflow.

    p t log(1 + e^-x) + (1 - t) log(1 + e^x) with p = pos_weight. x, target: [*S] float -> [] or,
    with reduction='none', [*S]; `weight` and `pos_weight` broadcast to [*S].

    Raises ShapeError when the shapes of x and target differ.

    >>> logits, target = samara.tensor([0.0]), samara.tensor([1.0])
    >>> samara.binary_cross_entropy_with_logits(logits, target).item() > 0.693
    True
    """,
    ref=lambda x, y, weight=None, reduction="mean", pos_weight=None: _bce_logits_ref(
        x, y, weight, pos_weight, reduction
    ),
    ulp=8,
    condition="sum",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), rng.uniform(size=(3, 4))),
        Sample(rng.normal(size=(3, 4)), rng.uniform(size=(3, 4)), reduction="sum"),
        Sample(
            rng.normal(size=(3, 4)),
            rng.uniform(size=(3, 4)),
            weight=rng.uniform(size=(3, 1)),
            pos_weight=rng.uniform(1, 2, size=4),
            reduction="none",
        ),
        Sample(np.array([-200.0, 200.0]), np.array([0.0, 1.0])),
        Sample(np.zeros((0, 2)), np.zeros((0, 2)), reduction="none"),
    ],
    errors=_pair_errors,
    methods=(),
)
def binary_cross_entropy_with_logits(
    x: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Two softplus; see the record."""
    from samara.ops.activation import softplus

    _check_binary("binary_cross_entropy_with_logits", x, target, reduction)
    positive = target if pos_weight is None else target * pos_weight
    # With one softplus, log(1 + e^x) = x + log(1 + e^-x), a confident 0 would cancel to nothing.
    values: Tensor = (1 - target) * softplus(x) + positive * softplus(-x)
    return _reduced_tensor(values if weight is None else values * weight, reduction)


# --- cross entropy --------------------------------------------------------------------------------


def _class_axis(x: Any) -> int:
    return 1 if x.ndim > 1 else 0


def _as_column(weight: Any, x: Any) -> Any:
    """[C] weights beside logits [C], [N, C] or [N, C, d...]."""
    axis = _class_axis(x)
    return weight.reshape((1,) * axis + (-1,) + (1,) * (x.ndim - axis - 1))


def _cross_entropy_ref(
    x: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    axis = _class_axis(x)
    classes = x.shape[axis]
    top = np.max(x, axis=axis, keepdims=True)
    log_p = x - top - np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True))
    w = np.ones(classes) if weight is None else weight
    w = np.broadcast_to(_as_column(w, x), x.shape)
    if target.dtype.kind == "f":
        share = target * (1 - label_smoothing) + label_smoothing / classes
        values = -np.sum(w * share * log_p, axis=axis)
        return values.sum() / values.size if reduction == "mean" else _reduced(values, reduction)
    valid = target != ignore_index
    label = np.expand_dims(np.where(valid, target, 0), axis)
    own_weight = np.take_along_axis(w, label, axis).squeeze(axis) * valid
    own = -own_weight * np.take_along_axis(log_p, label, axis).squeeze(axis)
    smooth = -np.sum(w * log_p, axis=axis) * valid / classes
    values = (1 - label_smoothing) * own + label_smoothing * smooth
    return values.sum() / own_weight.sum() if reduction == "mean" else _reduced(values, reduction)


def _label_parts(
    x: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int
) -> tuple[Tensor, Tensor, Tensor]:
    """One-hot labels, the labels' weights and the weights, all in the logits' layout."""
    from samara.ops.creation import arange

    axis = _class_axis(x)
    classes = x.shape[axis]
    # An ignored label equals no class, so its row is all zeros.
    label = target.unsqueeze(axis)
    number = _as_column(arange(classes, device=x.device), x)
    hot = ((label == number) & (label != ignore_index)).astype(x.dtype)
    column = x.new_ones(()) if weight is None else _as_column(weight.astype(x.dtype), x)
    return hot, (hot * column).sum(axis=axis, keepdims=True), column


def _scale(g: Tensor, x: Tensor, reduction: str, total: Any) -> Tensor:
    if reduction == "none":
        return g.unsqueeze(_class_axis(x))
    return g / total if reduction == "mean" else g


def _all_but_classes(values: Tensor) -> Tensor:
    axis = _class_axis(values)
    return values.sum(axis=tuple(i for i in range(values.ndim) if i != axis))


def _cross_entropy_grad(
    g: Tensor,
    x: Tensor,
    target: Tensor,
    weight: Tensor | None,
    out: Tensor,
    *,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """softmax(x) times the target's total weight, minus the weighted target."""
    axis = _class_axis(x)
    classes = x.shape[axis]
    labelled = target.dtype not in FLOAT
    cost = -log_softmax(x, axis)
    hot = d_target = d_weight = None
    if labelled:
        hot, own, column = _label_parts(x, target, weight, ignore_index)
        valid = (target != ignore_index).unsqueeze(axis).astype(x.dtype)
        share = (1 - label_smoothing) * hot + label_smoothing / classes * valid
        count: Any = own.sum()
    else:
        column = x.new_ones(()) if weight is None else _as_column(weight.astype(x.dtype), x)
        share = target * (1 - label_smoothing) + label_smoothing / classes
        count = x.numel() // classes
    factor = _scale(g, x, reduction, count)
    if not labelled:
        d_target = (1 - label_smoothing) * column * cost * factor
    if weight is not None:
        per_class = share * cost
        if hot is not None and reduction == "mean":
            per_class = per_class - hot * ((share * column * cost).sum() / count)
        d_weight = _all_but_classes(factor * per_class)
    share = share * column
    total = share.expand(x.shape).sum(axis=axis, keepdims=True)
    return factor * (softmax(x, axis) * total - share), d_target, d_weight


def _cross_entropy_samples(rng: np.random.Generator) -> list[Sample]:
    x = rng.normal(size=(5, 3))
    labels = np.array([0, 2, 1, 1, 0])
    ignored = np.array([0, -100, 1, -100, 2])
    weight = rng.uniform(0.5, 2, size=3)
    shares = rng.dirichlet(np.ones(3), size=5)
    image = rng.normal(size=(2, 3, 4))
    image_labels = rng.integers(0, 3, size=(2, 4))
    return [
        Sample(x, labels),
        Sample(x, labels, reduction="sum"),
        Sample(x, labels, reduction="none"),
        Sample(x, labels, weight, label_smoothing=0.1),
        Sample(x, ignored, weight),
        Sample(x, ignored, weight, reduction="none", label_smoothing=0.2),
        Sample(x, np.array([1, 1, 0, 2, 1]), ignore_index=1),
        Sample(x, shares),
        Sample(x, shares, weight, label_smoothing=0.3),
        Sample(x, shares, reduction="none"),
        Sample(x[0], np.array(2)),
        Sample(x[0], shares[0]),
        Sample(image, image_labels, weight),
        Sample(image, image_labels, reduction="none", label_smoothing=0.1),
        Sample(20 * rng.normal(size=(3, 150)), np.array([0, 149, 7])),
        Sample(np.zeros((0, 3)), np.zeros(0, np.int64), reduction="sum"),
    ]


def _label_errors() -> list[ErrorSample]:
    x = np.ones((3, 4))
    return [
        ErrorSample(
            IndexOutOfRangeError,
            "label of row 1 is 7, and there are 4 classes",
            x,
            np.array([0, 7, 1]),
        ),
        ErrorSample(
            IndexOutOfRangeError, "look like 1 to 4, so subtract 1", x, np.array([1, 4, 2])
        ),
        ErrorSample(ShapeError, r"labels of shape \(3,\)", x, np.zeros((3, 1), np.int64)),
        ErrorSample(ShapeError, "weight has shape", x, np.zeros(3, np.int64), np.ones(3)),
        ErrorSample(ArgumentError, "reduction is 'avg'", x, np.zeros(3, np.int64), reduction="avg"),
        ErrorSample(ShapeError, r"logits have shape \(\)", np.ones(()), np.array(0)),
    ]


cross_entropy = operation(
    "cross_entropy(x, target, weight: Tensor? = None, ignore_index: int = -100, "
    "reduction: str = 'mean', label_smoothing: float = 0.0)",
    doc="""Cross entropy of softmax(x) against labels, or against class probabilities.

    -w_t log softmax(x)_t for a label t, -sum_c w_c t_c log softmax(x)_c for probabilities; with
    label smoothing e the target is (1 - e) t + e / C. 'mean' divides by the sum of the labels'
    weights (rows with label `ignore_index` left out), or by the number of rows for probabilities.

    x: [C], [N, C] or [N, C, d...] float logits; target: int of that shape without C, or
    probabilities of x's shape; weight: [C] -> [] or, with reduction='none', x's shape without C.

    Raises IndexOutOfRangeError for a label outside 0 to C - 1 and names its row, ShapeError for
    shapes that do not fit, DTypeError for labels that are not integers.

    >>> samara.cross_entropy(samara.zeros(2, 4), samara.tensor([0, 3])).exp().item() > 3.999
    True
    """,
    ref=_cross_entropy_ref,
    grad=_cross_entropy_grad,
    onnx="SoftmaxCrossEntropyLoss",
    ulp=8,
    condition="sum",
    samples=_cross_entropy_samples,
    errors=lambda: [
        *_label_errors(),
        ErrorSample(DTypeError, "like labels for logits", np.ones((3, 4)), np.zeros(3)),
        ErrorSample(
            ArgumentError,
            "label_smoothing is 2",
            np.ones((3, 4)),
            np.zeros(3, np.int64),
            label_smoothing=2.0,
        ),
    ],
    methods=(),
)


def _nll_ref(
    x: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    axis = _class_axis(x)
    w = _as_column(np.ones(x.shape[axis]) if weight is None else weight, x)
    valid = target != ignore_index
    label = np.expand_dims(np.where(valid, target, 0), axis)
    own = np.take_along_axis(np.broadcast_to(w, x.shape), label, axis).squeeze(axis) * valid
    values = -own * np.take_along_axis(x, label, axis).squeeze(axis)
    return values.sum() / own.sum() if reduction == "mean" else _reduced(values, reduction)


def _nll_grad(
    g: Tensor,
    x: Tensor,
    target: Tensor,
    weight: Tensor | None,
    out: Tensor,
    *,
    ignore_index: int,
    reduction: str,
) -> tuple[Tensor, None, Tensor | None]:
    hot, own, column = _label_parts(x, target, weight, ignore_index)
    factor = _scale(g, x, reduction, own.sum())
    d_weight = None
    if weight is not None:
        per_class = -hot * x
        if reduction == "mean":
            per_class = per_class + hot * ((hot * column * x).sum() / own.sum())
        d_weight = _all_but_classes(factor * per_class)
    return -factor * hot * column, None, d_weight


nll_loss = operation(
    "nll_loss(x, target, weight: Tensor? = None, ignore_index: int = -100, "
    "reduction: str = 'mean')",
    doc="""The negative log likelihood -w_t x_t of labels t, from log-probabilities x.

    x: [C], [N, C] or [N, C, d...] float; target: int of that shape without C; weight: [C] -> [] or,
    with reduction='none', x's shape without C. 'mean' divides by the sum of the labels' weights.

    Raises IndexOutOfRangeError for a label outside 0 to C - 1 and names its row.

    >>> samara.nll_loss(samara.tensor([[-1.0, -2.0]]), samara.tensor([1])).item()
    2.0
    """,
    ref=_nll_ref,
    grad=_nll_grad,
    onnx="NegativeLogLikelihoodLoss",
    ulp=4,
    condition="sum",
    samples=lambda rng: [
        s
        for s in _cross_entropy_samples(rng)
        if s.args[1].dtype.kind == "i" and "label_smoothing" not in s.kwargs
    ],
    errors=_label_errors,
    methods=(),
)

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "huber_loss",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "smooth_l1_loss",
]
