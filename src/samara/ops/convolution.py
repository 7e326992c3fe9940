"""Convolutions of signals, images and volumes, and the transposed ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import samara._core as _core
from samara.errors import ArgumentError, DTypeError, ShapeError
from samara.ops.record import ErrorSample, Sample, operation

Ints = int | Sequence[int]
Array = Any  # NumPy

# --- references: the definitions, on float64 ------------------------------------------------------


def _each(value: Ints, count: int) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,) * count
    return tuple(value) * count if len(value) == 1 else tuple(value)


def _pads(
    padding: Ints | str, kernel: Sequence[int], dilation: Sequence[int]
) -> list[tuple[int, int]]:
    if padding == "valid":
        padding = 0
    if isinstance(padding, str):
        totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return [(t // 2, t - t // 2) for t in totals]
    return [(p, p) for p in _each(padding, len(kernel))]


def _conv_ref(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Ints = 1,
    padding: Ints | str = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Array:
    """Windows of the padded input times the weights."""
    n = weight.ndim - 2
    if x.ndim == n + 1:
        return _conv_ref(x[None], weight, bias, stride, padding, dilation, groups)[0]
    kernel, steps, spread = weight.shape[2:], _each(stride, n), _each(dilation, n)
    x = np.pad(x, [(0, 0), (0, 0), *_pads(padding, kernel, spread)])
    extents = tuple(d * (k - 1) + 1 for d, k in zip(spread, kernel, strict=True))
    axes = tuple(range(2, n + 2))
    windows: Array = np.lib.stride_tricks.sliding_window_view(x, extents, axis=axes)
    windows = windows[(..., *(slice(None, None, d) for d in spread))]
    windows = windows[(slice(None), slice(None), *(slice(None, None, s) for s in steps))]
    parts = []
    for i in range(groups):
        rows = np.split(weight, groups)[i]
        inputs = np.split(windows, groups, axis=1)[i]
        parts.append(np.tensordot(inputs, rows, axes=((1, *range(n + 2, 2 * n + 2)), (1, *axes))))
    y = np.moveaxis(np.concatenate(parts, axis=-1), -1, 1)
    return y if bias is None else y + bias.reshape(-1, *(1,) * n)


def _conv_transpose_ref(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Array:
    """Every input, times the kernel, added where the kernel's elements fall."""
    n = weight.ndim - 2
    if x.ndim == n + 1:
        whole = (x[None], weight, bias, stride, padding, output_padding, groups, dilation)
        return _conv_transpose_ref(*whole)[0]
    kernel, steps, spread = weight.shape[2:], _each(stride, n), _each(dilation, n)
    cut, more = _each(padding, n), _each(output_padding, n)
    full = [
        (size - 1) * s + d * (k - 1) + 1 + extra
        for size, s, d, k, extra in zip(x.shape[2:], steps, spread, kernel, more, strict=True)
    ]
    y: Array = np.zeros((x.shape[0], weight.shape[1] * groups, *full))
    for place in np.ndindex(*kernel):
        target = tuple(
            slice(r * d, r * d + (size - 1) * s + 1, s)
            for r, d, size, s in zip(place, spread, x.shape[2:], steps, strict=True)
        )
        parts = [
            np.moveaxis(np.tensordot(inputs, rows[(..., *place)], axes=((1,), (0,))), -1, 1)
            for inputs, rows in zip(
                np.split(x, groups, axis=1), np.split(weight, groups), strict=True
            )
        ]
        y[(..., *target)] += np.concatenate(parts, axis=1)
    y = y[(..., *(slice(c, size - c) for c, size in zip(cut, full, strict=True)))]
    return y if bias is None else y + bias.reshape(-1, *(1,) * n)


# --- samples --------------------------------------------------------------------------------------


def _conv_samples(n: int, rng: np.random.Generator) -> list[Sample]:
    def normal(*shape: int) -> Array:
        return rng.normal(size=shape)

    def image(batch: int, channels: int, *sizes: int) -> Array:
        return normal(batch, channels, *sizes[:n])

    def kernel(out: int, channels: int, *sizes: int) -> Array:
        return normal(out, channels, *sizes[:n])

    sizes, three, two = (6, 5, 4), (3,) * 3, (2,) * 3
    return [
        Sample(image(2, 3, *sizes), kernel(4, 3, *three), normal(4), padding=1),
        Sample(image(2, 3, *sizes), kernel(4, 3, *three)),
        Sample(image(2, 3, *sizes), kernel(2, 3, 1, 1, 1), normal(2)),
        Sample(image(2, 4, *sizes), kernel(2, 4, 1, 1, 1), stride=2),
        Sample(image(2, 2, *sizes), kernel(2, 2, 3, 2, 2), stride=(2, 1, 3)[:n], padding="valid"),
        Sample(image(1, 2, *sizes), kernel(3, 2, 2, 3, 4), normal(3), padding="same"),
        Sample(image(1, 2, *sizes), kernel(2, 2, *two), padding="same", dilation=2),
        Sample(image(2, 4, *sizes), kernel(6, 2, *two), normal(6), padding=1, groups=2),
        Sample(image(2, 3, *sizes), kernel(3, 1, *three), padding=1, groups=3),
        Sample(image(1, 2, *sizes), kernel(4, 1, *two), normal(4), stride=2, groups=2),
        Sample(normal(3, *sizes[:n]), kernel(2, 3, *two), normal(2), padding=1),
        Sample(image(1, 1, 1, 1, 1), kernel(1, 1, 1, 1, 1)),
        Sample(image(1, 1, 2, 1, 1), kernel(1, 1, *three), padding=2),
        Sample(image(0, 3, *sizes), kernel(2, 3, *two), normal(2)),
    ]


def _transpose_samples(n: int, rng: np.random.Generator) -> list[Sample]:
    def normal(*shape: int) -> Array:
        return rng.normal(size=shape)

    def image(batch: int, channels: int, *sizes: int) -> Array:
        return normal(batch, channels, *sizes[:n])

    def kernel(channels: int, out: int, *sizes: int) -> Array:
        return normal(channels, out, *sizes[:n])

    sizes, three, two = (4, 3, 2), (3,) * 3, (2,) * 3
    return [
        Sample(image(2, 3, *sizes), kernel(3, 4, *three), normal(4), padding=1),
        Sample(image(2, 3, *sizes), kernel(3, 4, *two), stride=2),
        Sample(image(2, 3, *sizes), kernel(3, 2, 1, 1, 1), normal(2)),
        Sample(
            image(1, 2, *sizes),
            kernel(2, 2, *three),
            normal(2),
            stride=(2, 3, 2)[:n],
            padding=1,
            output_padding=1,
        ),
        Sample(image(2, 4, *sizes), kernel(4, 1, *two), normal(2), groups=2),
        Sample(image(1, 3, *sizes), kernel(3, 1, *three), stride=2, groups=3),
        Sample(image(1, 2, *sizes), kernel(2, 2, *two), dilation=2, output_padding=1),
        Sample(normal(3, *sizes[:n]), kernel(3, 2, *two), normal(2)),
        Sample(image(1, 1, 1, 1, 1), kernel(1, 1, 1, 1, 1)),
        Sample(image(0, 3, *sizes), kernel(3, 2, *two), normal(2)),
    ]


def _conv_errors(n: int) -> list[ErrorSample]:
    x, w = np.ones((2, 4, *(5,) * n)), np.ones((6, 4, *(3,) * n))
    half = np.ones((6, 2, *(3,) * n))
    return [
        ErrorSample(
            ShapeError, r"5 channels, and weight .* made for 4", np.ones((2, 5, *(5,) * n)), w
        ),
        ErrorSample(ShapeError, r"reaches over 3 places .* has 2", np.ones((2, 4, *(2,) * n)), w),
        ErrorSample(ShapeError, r"reaches over 7 places", x, w, dilation=3),
        ErrorSample(ShapeError, r"made for 8 in 4 groups", x, half, groups=4),
        ErrorSample(ShapeError, r"3 output channels, and groups is 2", x, half[:3], groups=2),
        ErrorSample(ArgumentError, r"groups is 0", x, w, groups=0),
        ErrorSample(ArgumentError, r"padding is \(-1,\)", x, w, padding=-1),
        ErrorSample(ArgumentError, r"stride is \(0,\)", x, w, stride=0),
        ErrorSample(ArgumentError, r"stride is \(-2,\)", x, w, stride=-2),
        ErrorSample(ArgumentError, r"dilation is \(0,\)", x, w, dilation=0),
        ErrorSample(ArgumentError, r"stride is \(1, 1, 1, 1\), 4 values", x, w, stride=(1,) * 4),
        ErrorSample(ArgumentError, r"padding is 'full'", x, w, padding="full"),
        ErrorSample(ArgumentError, r"'same' and stride is", x, w, stride=2, padding="same"),
        ErrorSample(ShapeError, rf"Expected {n + 2} axes", x, w[0]),
        ErrorSample(ShapeError, rf"Expected {n + 2} axes", x[None], w),
        ErrorSample(ShapeError, r"x has shape \(5,\)", np.ones(5), w),
        ErrorSample(ShapeError, r"kernel without elements", x, np.ones((6, 4, *(0,) * n))),
        ErrorSample(ShapeError, r"bias has shape \(4,\)", x, w, np.ones(4)),
        ErrorSample(DTypeError, r"x has dtype float32 and weight int64", x, w.astype(np.int64)),
        ErrorSample(DTypeError, r"argument 'padding' is a float", x, w, padding=1.5),
    ]


def _transpose_errors(n: int) -> list[ErrorSample]:
    x, w = np.ones((2, 4, *(5,) * n)), np.ones((4, 6, *(3,) * n))
    return [
        ErrorSample(
            ShapeError, r"5 channels, and weight .* made for 4", np.ones((2, 5, *(5,) * n)), w
        ),
        ErrorSample(ShapeError, r"4 channels, and groups is 3", x, w, groups=3),
        ErrorSample(ArgumentError, r"output_padding is", x, w, output_padding=1),
        ErrorSample(ArgumentError, r"output_padding is", x, w, stride=2, output_padding=2),
        ErrorSample(ArgumentError, r"padding is \(-1,\)", x, w, padding=-1),
        ErrorSample(ArgumentError, r"stride is \(0,\)", x, w, stride=0),
        ErrorSample(ArgumentError, r"groups is -1", x, w, groups=-1),
        ErrorSample(ShapeError, r"an output of -1 places", x, w, padding=4),
        ErrorSample(ShapeError, r"more than 2\^31", x, w, stride=2**31),
        ErrorSample(ShapeError, rf"Expected {n + 2} axes", x, w[0]),
        ErrorSample(ShapeError, r"bias has shape \(4,\)", x, w, np.ones(4)),
    ]


# --- records --------------------------------------------------------------------------------------

_AXES = {1: "length", 2: "height, width", 3: "depth, height, width"}
_OUT = {1: "[N, K, l]", 2: "[N, K, h, w]", 3: "[N, K, d, h, w]"}


def _conv(n: int) -> Any:
    shape = f"[N, C, {_AXES[n]}]"
    ones = ", ".join(["1", "1", *["4"] * n])
    three = ", ".join(["1", "1", *["3"] * n])
    inner = ", ".join(["1", "1", *["2"] * n])
    return operation(
        f"conv{n}d(x, weight, bias: Tensor? = None, stride: ints = 1, padding: ints|str = 0, "
        "dilation: ints = 1, groups: int = 1)",
        doc=f"""Cross-correlation with a kernel over {n} axes.

    y[n, k, o] = bias[k] + sum over c, r of x[n, c, o stride - padding + r dilation] weight[k, c, r]
    with zeros outside of x. x: {shape} float, weight: [K, C / groups, kernel], bias: [K] or None
    -> {_OUT[n]}; the batch may be absent. Sizes become floor((in + 2 padding - dilation
    (kernel - 1) - 1) / stride) + 1. padding="same" keeps them (what is odd goes to the end),
    "valid" is 0. Channels are split into `groups` that do not see each other. The result lies
    channels-last in memory, as inputs best do too.

    Raises ShapeError when channels, groups, bias or kernel do not fit, ArgumentError for a stride,
    dilation or group below 1 or a negative padding, DTypeError when x and weight differ in dtype.
    Source: Dumoulin, Visin, A guide to convolution arithmetic for deep learning, 2016.

    >>> samara.conv{n}d(samara.ones({ones}), samara.ones({three})).shape
    ({inner})
    """,
        ref=_conv_ref,
        onnx="Conv",
        ulp=8,
        condition="sum",
        samples=lambda rng: _conv_samples(n, rng),
        errors=lambda: _conv_errors(n),
        methods=(),
    )


def _conv_transpose(n: int) -> Any:
    ones = ", ".join(["1", "1", *["2"] * n])
    three = ", ".join(["1", "1", *["3"] * n])
    inner = ", ".join(["1", "1", *["5"] * n])
    return operation(
        f"conv_transpose{n}d(x, weight, bias: Tensor? = None, stride: ints = 1, "
        "padding: ints = 0, output_padding: ints = 0, groups: int = 1, dilation: ints = 1)",
        doc=f"""The transpose of conv{n}d as a linear map: the gradient of its input.

    y[n, k, i stride - padding + r dilation] += x[n, c, i] weight[c, k, r], and bias[k].
    x: [N, C, {_AXES[n]}] float, weight: [C, K / groups, kernel], bias: [K] or None -> {_OUT[n]};
    the batch may be absent. Sizes become (in - 1) stride - 2 padding + dilation (kernel - 1) +
    output_padding + 1.

    Raises ShapeError when channels, groups or bias do not fit or no output is left, ArgumentError
    for an output_padding as large as stride and dilation, DTypeError when x and weight differ in
    dtype. Source: Dumoulin, Visin, A guide to convolution arithmetic for deep learning, 2016.

    >>> samara.conv_transpose{n}d(samara.ones({ones}), samara.ones({three}), stride=2).shape
    ({inner})
    """,
        ref=_conv_transpose_ref,
        onnx="ConvTranspose",
        ulp=8,
        condition="sum",
        samples=lambda rng: _transpose_samples(n, rng),
        errors=lambda: _transpose_errors(n),
        methods=(),
    )


conv1d, conv2d, conv3d = _conv(1), _conv(2), _conv(3)
conv_transpose1d, conv_transpose2d, conv_transpose3d = (
    _conv_transpose(1),
    _conv_transpose(2),
    _conv_transpose(3),
)

# min(relu(conv(x) + bias + residual), limit) in one pass over memory, without a gradient: for
# inference with normalisation folded into weight and bias. The limit counts with relu only; the
# rank is the weight's.
convolution_fused = _core.Operation(
    "convolution_fused(x, weight, bias: Tensor? = None, residual: Tensor? = None, "
    "stride: ints = 1, padding: ints|str = 0, dilation: ints = 1, groups: int = 1, "
    "relu: bool = False, limit: float = inf)",
    "convolution_fused",
)

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "convolution_fused",
]
