"""batch_norm, instance_norm and group_norm, also with an activation in the same pass."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from samara import _core
from samara.errors import ArgumentError, DTypeError, ShapeError
from samara.ops.activation import sigmoid
from samara.ops.record import ErrorSample, Sample, composite
from samara.ops.selection import where
from samara.tensor import Tensor

#: Kind, and two numbers: the limits of "clamp", or the slope of "leaky_relu".
Activation = tuple[str, float, float]
NO_ACTIVATION: Activation = ("none", 0.0, 0.0)
RELU: Activation = ("clamp", 0.0, math.inf)

# --- second order ---------------------------------------------------------------------------------


def _gate(g: Tensor, z: Tensor, activation: str, low: float, high: float) -> Tensor:
    """The gradient before the activation."""
    if activation == "clamp":
        gated: Tensor = where((z > low) & (z < high), g, 0.0)
        return gated
    if activation == "leaky_relu":
        gated = where(z > 0, g, g * low)
        return gated
    if activation == "silu":
        s = sigmoid(z)
        gated = g * (s + z * s * (1 - s))
        return gated
    return g


def _over_channels(v: Tensor | None, x: Tensor) -> Any:
    return v if v is None else v.reshape(1, -1, *(1,) * (x.ndim - 2))


def _per_channel(x: Tensor) -> Tensor:
    total: Tensor = x.sum(axis=(0, *range(2, x.ndim)))
    return total


def _affine(z: Tensor, weight: Any, bias: Any, residual: Tensor | None) -> Tensor:
    if weight is not None:
        z = z * weight
    if bias is not None:
        z = z + bias
    return z if residual is None else z + residual


def _own_grad(
    g: Tensor,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    residual: Tensor | None,
    y: Tensor,
    *,
    groups: int,
    momentum: float,
    eps: float,
    activation: str,
    low: float,
    high: float,
) -> tuple[Tensor | None, ...]:
    """(h - mean(h) - z mean(h z)) / deviation with h = g' weight, g' before the activation."""
    if not x.numel():
        sizes = (None if v is None else v * 0 for v in (weight, bias))
        return (g, *sizes, None, None, None if residual is None else g)

    def mean(t: Tensor) -> Any:
        if groups == 0:
            return t.mean(axis=(0, *range(2, x.ndim)), keepdims=True)
        rows = t.reshape(x.shape[0], groups, -1)
        return rows.mean(axis=2, keepdims=True).expand(*rows.shape).reshape(*x.shape)

    center = x - mean(x)
    scale = (mean(center * center) + eps) ** -0.5
    z = center * scale
    w, b = _over_channels(weight, x), _over_channels(bias, x)
    gated = _gate(g, _affine(z, w, b, residual), activation, low, high)
    h = gated if w is None else gated * w
    dx = (h - mean(h) - z * mean(h * z)) * scale
    return (
        dx,
        None if weight is None else _per_channel(gated * z),
        None if bias is None else _per_channel(gated),
        None,
        None,
        None if residual is None else gated,
    )


def _given_grad(
    g: Tensor,
    x: Tensor,
    mean: Tensor,
    var: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    y: Tensor,
    *,
    eps: float,
    activation: str,
    low: float,
    high: float,
) -> tuple[Tensor | None, ...]:
    scale = _over_channels((var + eps) ** -0.5, x)
    z = (x - _over_channels(mean, x)) * scale
    w, b = _over_channels(weight, x), _over_channels(bias, x)
    gated = _gate(g, _affine(z, w, b, residual), activation, low, high)
    dx = (gated if w is None else gated * w) * scale
    return (
        dx,
        -_per_channel(dx),
        -0.5 * _per_channel(dx * z * scale),
        None if weight is None else _per_channel(gated * z),
        None if bias is None else _per_channel(gated),
        None if residual is None else gated,
    )


# --- the native operations ------------------------------------------------------------------------

_OWN = (
    "(x, weight: Tensor?, bias: Tensor?, running_mean: Tensor?, running_var: Tensor?, "
    "residual: Tensor?, groups: int, momentum: float, eps: float, activation: str, low: float, "
    "high: float)"
)
_GIVEN = (
    "(x, mean, var, weight: Tensor?, bias: Tensor?, residual: Tensor?, eps: float, "
    "activation: str, low: float, high: float)"
)
# Errors and profiles name the public operation.
_own = {
    name: _core.Operation(name + _OWN, "channel_norm", rule=_own_grad)
    for name in ("batch_norm", "instance_norm", "group_norm")
}
_given = {
    name: _core.Operation(name + _GIVEN, "channel_norm_given", rule=_given_grad)
    for name in ("batch_norm", "instance_norm")
}
_own_batch, _own_instance, _own_group = _own.values()


def _use_given(
    place: str,
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    activation: Activation,
    residual: Tensor | None,
) -> Tensor:
    if running_mean is None or running_var is None:
        missing = "running_mean" if running_mean is None else "running_var"
        flag = "training" if place == "batch_norm" else "use_input_stats"
        raise ArgumentError(
            f"{place}: {missing} is None and {flag} is False, so there are no statistics. Expected "
            f"both, or {flag}=True. Fix: pass {missing}, or {flag}=True to take those of x."
        )
    y: Tensor = _given[place](
        x, running_mean, running_var, weight, bias, residual, eps, *activation
    )
    return y


def _too_few(place: str, x: Tensor, what: str) -> ArgumentError:
    return ArgumentError(
        f"{place}: x has shape {tuple(x.shape)}, one value per {what}, whose variance is nothing. "
        f"Expected more than 1 value per {what} when training. Fix: use larger batches "
        "(drop_last=True drops a last one of size 1), or evaluate with model.eval()."
    )


def _check_rank(place: str, x: Tensor, least: int = 2) -> None:
    if not isinstance(x, Tensor):
        raise DTypeError(
            f"{place}: x is {type(x).__name__}. Expected a tensor. Fix: samara.asarray(x)."
        )
    if x.ndim < least:
        raise ShapeError(
            f"{place}: x has shape {tuple(x.shape)}. Expected [N, C, ...] with at least {least} "
            "axes. Fix: x[None] adds the batch axis."
        )


def batch_norm_with(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    activation: Activation,
    residual: Tensor | None = None,
) -> Tensor:
    """batch_norm, an addition and an activation in one pass."""
    if not training:
        return _use_given(
            "batch_norm", x, running_mean, running_var, weight, bias, eps, activation, residual
        )
    _check_rank("batch_norm", x)
    if x.numel() == x.shape[1] and x.numel():
        raise _too_few("batch_norm", x, "channel")
    y: Tensor = _own_batch(
        x, weight, bias, running_mean, running_var, residual, 0, momentum, eps, *activation
    )
    return y


def instance_norm_with(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    activation: Activation,
) -> Tensor:
    """instance_norm and an activation in one pass."""
    _check_rank("instance_norm", x)
    if not use_input_stats:
        return _use_given(
            "instance_norm", x, running_mean, running_var, weight, bias, eps, activation, None
        )
    channels = x.shape[1]
    if x.numel() == x.shape[0] * channels and x.numel():
        raise _too_few("instance_norm", x, "channel and sample")
    y: Tensor = _own_instance(
        x, weight, bias, running_mean, running_var, None, channels, momentum, eps, *activation
    )
    return y


def group_norm_with(
    x: Tensor,
    num_groups: int,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    activation: Activation,
) -> Tensor:
    """group_norm and an activation in one pass."""
    _check_rank("group_norm", x)
    channels = x.shape[1]
    if num_groups < 1 or channels % num_groups:
        raise ArgumentError(
            f"group_norm: x has shape {tuple(x.shape)}, so {channels} channels (axis 1), and "
            f"num_groups is {num_groups}. Expected a number of groups that divides the channels. "
            f"Fix: num_groups={math.gcd(channels, max(num_groups, 1)) or 1}, say."
        )
    if x.numel() == num_groups:
        raise _too_few("group_norm", x, "group")
    y: Tensor = _own_group(x, weight, bias, None, None, None, num_groups, 0.0, eps, *activation)
    return y


# --- references -----------------------------------------------------------------------------------


def _np_channels(v: Any, x: Any) -> Any:
    return np.reshape(v, (1, -1, *(1,) * (np.ndim(x) - 2)))


def _np_affine(z: Any, weight: Any, bias: Any) -> Any:
    if weight is not None:
        z = z * _np_channels(weight, z)
    return z if bias is None else z + _np_channels(bias, z)


def _np_normal(x: Any, axes: tuple[int, ...], eps: float) -> Any:
    if not x.size:
        return x
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def _np_given(x: Any, mean: Any, var: Any, eps: float) -> Any:
    return (x - _np_channels(mean, x)) / np.sqrt(_np_channels(var, x) + eps)


def _batch_norm_ref(
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    axes = (0, *range(2, x.ndim))
    z = _np_normal(x, axes, eps) if training else _np_given(x, running_mean, running_var, eps)
    return _np_affine(z, weight, bias)


def _instance_norm_ref(
    x: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    axes = tuple(range(2, x.ndim))
    own = _np_normal(x, axes, eps) if use_input_stats else None
    z = _np_given(x, running_mean, running_var, eps) if own is None else own
    return _np_affine(z, weight, bias)


def _group_norm_ref(
    x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    rows = x.reshape(x.shape[0], num_groups, -1) if x.size else x
    z = _np_normal(rows, (2,), eps).reshape(x.shape) if x.size else x
    return _np_affine(z, weight, bias)


def _np_activate(z: Any, activation: str, slope: float) -> Any:
    if activation == "silu":
        return z / (1 + np.exp(-z))
    if activation == "leaky_relu":
        return np.where(z > 0, z, slope * z)
    return np.clip(z, 0, 6 if activation == "relu6" else np.inf)


# --- samples --------------------------------------------------------------------------------------

#: Pixels of a channel: few (by columns) and many (in runs, of several pieces).
_SHAPES = ((4, 3), (3, 2, 5), (2, 4, 6, 7), (2, 3, 2, 3, 4), (2, 130, 3), (3, 1, 40))


def _batch_samples(rng: np.random.Generator) -> list[Sample]:
    def normal(*shape: int) -> Any:
        return rng.normal(size=shape) + 0.5

    samples = []
    for shape in _SHAPES:
        c = shape[1]
        given = normal(c), rng.uniform(0.5, 2.0, size=c)
        samples.append(Sample(normal(*shape), None, None, normal(c), normal(c), True))
        samples.append(Sample(normal(*shape), *given, normal(c), normal(c), False))
    channels_last = normal(3, 5, 4, 6).transpose(0, 3, 1, 2)
    return [
        *samples,
        Sample(normal(3, 2, 50), None, None, training=True),
        Sample(normal(3, 2, 50) * 0.1 + 30.0, None, None, normal(2), None, True),
        Sample(channels_last, None, None, normal(6), normal(6), True),
        Sample(normal(3, 2, 5), None, None, None, normal(2), True, 0.1, 0.3),
        Sample(normal(3, 2), normal(2), np.array([0.5, 4.0]), eps=1e-2),
        # With momentum 0 the running statistics stay.
        Sample(normal(3, 2, 4), normal(2), np.ones(2), normal(2), None, True, 0.0),
        Sample(np.zeros((0, 3, 2)), None, None, normal(3), normal(3), True),
        Sample(np.zeros((0, 3, 2)), normal(3), np.ones(3), normal(3)),
        Sample(normal(1, 1, 2), None, None, normal(1), training=True),
    ]


def _instance_samples(rng: np.random.Generator) -> list[Sample]:
    def normal(*shape: int) -> Any:
        return rng.normal(size=shape) + 0.5

    return [
        *(Sample(normal(*s), None, None, normal(s[1]), normal(s[1])) for s in _SHAPES[1:]),
        Sample(normal(2, 3, 4, 5).transpose(0, 3, 1, 2), None, None, normal(5)),
        Sample(normal(3, 2, 4)),
        Sample(normal(3, 2, 4), normal(2), np.ones(2), bias=normal(2), momentum=0.0, eps=0.2),
        Sample(normal(3, 2, 4), normal(2), np.full(2, 2.0), use_input_stats=False),
        Sample(np.zeros((0, 3, 2)), None, None, normal(3)),
        Sample(normal(1, 1, 2)),
    ]


def _group_samples(rng: np.random.Generator) -> list[Sample]:
    def normal(*shape: int) -> Any:
        return rng.normal(size=shape) + 0.5

    shapes = ((3, 4), (2, 6, 5), (2, 4, 6, 7), (2, 4, 2, 3, 4), (2, 130, 3), (3, 2, 40))
    channels_last = normal(2, 3, 5, 8).transpose(0, 3, 1, 2)
    return [
        *(Sample(normal(*s), 2, normal(s[1]), normal(s[1])) for s in shapes),
        Sample(normal(2, 6, 5), 1, normal(6)),
        Sample(normal(2, 6, 50), 6, None, normal(6), 0.1),
        Sample(normal(2, 6, 50), 3),
        Sample(channels_last, 4, normal(8), normal(8)),
        Sample(np.zeros((0, 4, 2)), 2, normal(4), normal(4)),
        Sample(normal(1, 1, 2), 1),
    ]


def _batch_errors() -> list[ErrorSample]:
    x, one = np.ones((2, 3, 4)), np.ones(3)
    return [
        ErrorSample(
            ShapeError, r"\(2, 3, 4\).*3 channels.*\(5,\)", x, None, None, np.ones(5), None, True
        ),
        ErrorSample(ShapeError, "running_mean", x, np.ones(2), one),
        ErrorSample(ShapeError, "weight", x, one, one, np.ones((3, 1))),
        ErrorSample(ShapeError, "at least", np.ones(3), None, None, training=True),
        ErrorSample(ShapeError, "at least", np.ones(3), one, one),
        ErrorSample(ArgumentError, "running_mean is None", x, None, None),
        ErrorSample(ArgumentError, "running_var is None", x, one, None),
        ErrorSample(
            ValueError,
            "more than 1 value per channel",
            np.ones((1, 3, 1)),
            None,
            None,
            training=True,
        ),
        ErrorSample(ArgumentError, "eps is 0", x, None, None, training=True, eps=0.0),
        ErrorSample(ArgumentError, "eps is -1", x, one, one, eps=-1.0),
        ErrorSample(ArgumentError, "momentum is 2", x, one, one, training=True, momentum=2.0),
        ErrorSample(DTypeError, "int64", np.ones((2, 3), np.int64), one, one),
    ]


def _instance_errors() -> list[ErrorSample]:
    x, one = np.ones((2, 3, 4)), np.ones(3)
    return [
        ErrorSample(ShapeError, "weight", x, None, None, np.ones(2)),
        ErrorSample(ShapeError, "at least", np.ones(3)),
        ErrorSample(ArgumentError, "running_mean is None", x, use_input_stats=False),
        ErrorSample(ValueError, "more than 1 value per channel", np.ones((2, 3, 1))),
        ErrorSample(ArgumentError, "momentum is -1", x, one, one, momentum=-1.0),
    ]


def _group_errors() -> list[ErrorSample]:
    x = np.ones((2, 6, 4))
    return [
        ErrorSample(ArgumentError, r"6 channels.*num_groups is 4.*divides", x, 4),
        ErrorSample(ArgumentError, "num_groups is 0", x, 0),
        ErrorSample(ArgumentError, "num_groups is -2", x, -2),
        ErrorSample(ShapeError, "weight has shape", x, 2, np.ones(2)),
        ErrorSample(ShapeError, "at least", np.ones(6), 2),
        ErrorSample(ValueError, "more than 1 value per group", np.ones((1, 2)), 2),
        ErrorSample(ArgumentError, "eps is 0", x, 2, eps=0.0),
    ]


# --- records --------------------------------------------------------------------------------------


@composite(
    "batch_norm(x, running_mean: Tensor?, running_var: Tensor?, weight: Tensor? = None, "
    "bias: Tensor? = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5)",
    doc="""(x - mean) / sqrt(variance + eps) * weight + bias for each channel.

    x: [N, C, *S] float; running_mean, running_var, weight and bias: [C] or None -> x's shape and
    memory order. With training=True mean and (biased) variance are those of the batch, and the
    running ones move in place: r = (1 - momentum) r + momentum b, with the unbiased variance.
    They keep their values when the batch's are not finite. Otherwise the running ones are used.

    Raises ShapeError for another number of channels, ArgumentError for one value per channel in
    training, or without statistics. Source: Ioffe, Szegedy, Batch Normalization, 2015.

    >>> samara.batch_norm(samara.tensor([[1.0], [3.0]]), None, None, training=True).shape
    (2, 1)
    """,
    ref=_batch_norm_ref,
    onnx="BatchNormalization",
    ulp=16,
    condition="max",
    samples=_batch_samples,
    errors=_batch_errors,
    methods=(),
)
def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    return batch_norm_with(
        x, running_mean, running_var, weight, bias, training, momentum, eps, NO_ACTIVATION
    )


@composite(
    "instance_norm(x, running_mean: Tensor? = None, running_var: Tensor? = None, "
    "weight: Tensor? = None, bias: Tensor? = None, use_input_stats: bool = True, "
    "momentum: float = 0.1, eps: float = 1e-5)",
    doc="""(x - mean) / sqrt(variance + eps) * weight + bias for each channel of each sample.

    x: [N, C, *S] float; running_mean, running_var, weight and bias: [C] or None -> x's shape and
    memory order. Running statistics, when given, move towards the mean over the samples of the
    instances' statistics; use_input_stats=False normalises by them.

    Raises ShapeError for another number of channels, ArgumentError for one pixel per channel.
    Source: Ulyanov, Vedaldi, Lempitsky, Instance Normalization, 2016.

    >>> samara.instance_norm(samara.tensor([[[1.0, 3.0]]]), eps=1e-12).tolist()
    [[[-1.0, 1.0]]]
    """,
    ref=_instance_norm_ref,
    onnx="InstanceNormalization",
    ulp=16,
    condition="max",
    samples=_instance_samples,
    errors=_instance_errors,
    methods=(),
)
def instance_norm(
    x: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    return instance_norm_with(
        x, running_mean, running_var, weight, bias, use_input_stats, momentum, eps, NO_ACTIVATION
    )


@composite(
    "group_norm(x, num_groups: int, weight: Tensor? = None, bias: Tensor? = None, "
    "eps: float = 1e-5)",
    doc="""(x - mean) / sqrt(variance + eps) * weight + bias over groups of channels of each sample.

    x: [N, C, *S] float, weight and bias: [C] or None -> x's shape and memory order. Each of the
    num_groups runs of C / num_groups channels has its own mean and (biased) variance.

    Raises ArgumentError when num_groups does not divide C, ShapeError for parameters of another
    size. Source: Wu, He, Group Normalization, 2018.

    >>> samara.group_norm(samara.tensor([[1.0, 3.0, 5.0, 5.0]]), 2, eps=1e-12).tolist()
    [[-1.0, 1.0, 0.0, 0.0]]
    """,
    ref=_group_norm_ref,
    onnx="GroupNormalization",
    ulp=16,
    condition="max",
    samples=_group_samples,
    errors=_group_errors,
    methods=(),
)
def group_norm(
    x: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    return group_norm_with(x, num_groups, weight, bias, eps, NO_ACTIVATION)


# --- with an activation ---------------------------------------------------------------------------


def _activation(place: str, activation: str, slope: float) -> Activation:
    found = {
        "relu": RELU,
        "relu6": ("clamp", 0.0, 6.0),
        "leaky_relu": ("leaky_relu", slope, 0.0),
        "silu": ("silu", 0.0, 0.0),
    }.get(activation)
    if found is None:
        raise ArgumentError(
            f"{place}: activation is {activation!r}. Expected relu, relu6, leaky_relu or silu. "
            "Fix: apply others after the normalisation."
        )
    return found


def _batch_norm_activation_ref(
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    activation: str = "relu",
    slope: float = 0.01,
    residual: Any = None,
) -> Any:
    z = _batch_norm_ref(x, running_mean, running_var, weight, bias, training, momentum, eps)
    return _np_activate(z if residual is None else z + residual, activation, slope)


def _activated_samples(rng: np.random.Generator) -> list[Sample]:
    def normal(*shape: int) -> Any:
        return rng.normal(size=shape)

    samples = []
    for shape in ((4, 3), (2, 3, 40), (2, 130, 3)):
        c = shape[1]
        given = normal(c), rng.uniform(0.5, 2.0, size=c)
        for name in ("relu", "relu6", "leaky_relu", "silu"):
            scaled = 3 * normal(c), normal(c)
            options: dict[str, Any] = {"activation": name}
            samples.append(Sample(normal(*shape), None, None, *scaled, True, **options))
            options["residual"] = normal(*shape)
            samples.append(Sample(normal(*shape), None, None, *scaled, True, **options))
            samples.append(Sample(normal(*shape), *given, *scaled, **options))
    return [
        *samples,
        Sample(normal(2, 3, 5), None, None, training=True, activation="leaky_relu", slope=0.3),
        Sample(normal(2, 3, 4, 5).transpose(0, 3, 1, 2), None, None, training=True),
        Sample(np.zeros((0, 3, 2)), None, None, residual=np.zeros((0, 3, 2)), training=True),
    ]


@composite(
    "batch_norm_activation(x, running_mean: Tensor?, running_var: Tensor?, "
    "weight: Tensor? = None, bias: Tensor? = None, training: bool = False, momentum: float = 0.1, "
    "eps: float = 1e-5, activation: str = 'relu', slope: float = 0.01, residual: Tensor? = None)",
    doc="""activation(batch_norm(x, ...) + residual) in one pass over memory.

    x: [N, C, *S] float, residual: x's shape or None, all else as in `batch_norm` -> x's shape.
    activation: relu, relu6, silu, or leaky_relu with its slope. `Sequential` takes it where the
    two modules stand next to each other.

    Raises ArgumentError for other activations, ShapeError for a residual of another shape.

    >>> mean, var = samara.zeros(1), samara.ones(1)
    >>> samara.batch_norm_activation(samara.tensor([[-1.0], [1.0]]), mean, var, eps=0.0).tolist()
    [[0.0], [1.0]]
    """,
    ref=_batch_norm_activation_ref,
    ulp=32,
    condition="max",
    samples=_activated_samples,
    errors=lambda: [
        ErrorSample(
            ArgumentError,
            "activation is 'exp'",
            np.ones((2, 3)),
            np.ones(3),
            np.ones(3),
            activation="exp",
        ),
        ErrorSample(
            ShapeError,
            "residual has shape",
            np.ones((2, 3)),
            np.ones(3),
            np.ones(3),
            residual=np.ones(3),
        ),
    ],
    methods=(),
)
def batch_norm_activation(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    activation: str = "relu",
    slope: float = 0.01,
    residual: Tensor | None = None,
) -> Tensor:
    chosen = _activation("batch_norm_activation", activation, slope)
    return batch_norm_with(
        x, running_mean, running_var, weight, bias, training, momentum, eps, chosen, residual
    )


def _group_norm_activation_ref(
    x: Any,
    num_groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    activation: str = "relu",
    slope: float = 0.01,
) -> Any:
    return _np_activate(_group_norm_ref(x, num_groups, weight, bias, eps), activation, slope)


@composite(
    "group_norm_activation(x, num_groups: int, weight: Tensor? = None, bias: Tensor? = None, "
    "eps: float = 1e-5, activation: str = 'relu', slope: float = 0.01)",
    doc="""activation(group_norm(x, ...)) in one pass over memory.

    x: [N, C, *S] float, all else as in `group_norm` -> x's shape. activation: relu, relu6, silu,
    or leaky_relu with its slope. Raises ArgumentError for other activations.

    >>> x = samara.tensor([[1.0, 3.0]])
    >>> samara.group_norm_activation(x, 1, eps=1e-12).tolist()
    [[0.0, 1.0]]
    """,
    ref=_group_norm_activation_ref,
    ulp=32,
    condition="max",
    samples=lambda rng: [
        Sample(*s.args, **s.kwargs, activation=name)
        for s, name in zip(
            _group_samples(rng), ("relu", "silu", "relu6", "leaky_relu") * 3, strict=True
        )
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "activation is 'exp'", np.ones((2, 4)), 2, activation="exp"),
    ],
    methods=(),
)
def group_norm_activation(
    x: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    activation: str = "relu",
    slope: float = 0.01,
) -> Tensor:
    chosen = _activation("group_norm_activation", activation, slope)
    return group_norm_with(x, num_groups, weight, bias, eps, chosen)


__all__ = [
    "batch_norm",
    "batch_norm_activation",
    "group_norm",
    "group_norm_activation",
    "instance_norm",
]
