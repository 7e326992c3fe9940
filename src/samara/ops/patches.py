"""Sliding blocks of images, windows along an axis, and pixels moved between channels and space."""

from __future__ import annotations

from typing import Any

import numpy as np

from samara import _core
from samara.dtypes import ALL
from samara.errors import ArgumentError, DTypeError, ShapeError
from samara.ops.manipulation import permute_dims, reshape
from samara.ops.record import METHODS, ErrorSample, Sample, composite, operation
from samara.tensor import Tensor


def _normal(rng: np.random.Generator, *shape: int) -> Any:
    return rng.normal(size=shape)


def _pair(value: Any) -> tuple[int, int]:
    pair = (value,) if isinstance(value, int) else tuple(value)
    return pair * 2 if len(pair) == 1 else pair


def _blocks(size: int, kernel: int, dilation: int, padding: int, stride: int) -> int:
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


# --- sliding blocks ------------------------------------------------------------------------------


def _unfold_ref(
    x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    (kh, kw), (dh, dw) = _pair(kernel_size), _pair(dilation)
    (ph, pw), (sh, sw) = _pair(padding), _pair(stride)
    image = x[None] if x.ndim == 3 else x
    n, c, height, width = image.shape
    padded = np.pad(image, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    rows, columns = _blocks(height, kh, dh, ph, sh), _blocks(width, kw, dw, pw, sw)
    y = np.zeros((n, c, kh * kw, rows * columns), x.dtype)
    for row in range(rows):
        for column in range(columns):
            top, left = row * sh, column * sw
            block = padded[:, :, top : top + kh * dh : dh, left : left + kw * dw : dw]
            y[..., row * columns + column] = block[:, :, :kh, :kw].reshape(n, c, kh * kw)
    y = y.reshape(n, c * kh * kw, rows * columns)
    return y if x.ndim == 4 else y[0]


def _fold_ref(
    x: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    (height, width), (kh, kw), (dh, dw) = map(_pair, (output_size, kernel_size, dilation))
    (ph, pw), (sh, sw) = _pair(padding), _pair(stride)
    columns = x[None] if x.ndim == 2 else x
    across = _blocks(width, kw, dw, pw, sw)
    c = columns.shape[1] // (kh * kw)
    parts = columns.reshape(-1, c, kh, kw, columns.shape[2])
    padded = np.zeros((len(columns), c, height + 2 * ph, width + 2 * pw))
    for block in range(columns.shape[2]):
        top, left = block // across * sh, block % across * sw
        for i in range(kh):
            for j in range(kw):
                padded[:, :, top + i * dh, left + j * dw] += parts[:, :, i, j, block]
    y = padded[:, :, ph : ph + height, pw : pw + width]
    return y if x.ndim == 3 else y[0]


unfold = operation(
    "unfold(x, kernel_size: ints, dilation: ints = 1, padding: ints = 0, stride: ints = 1)",
    doc="""The sliding blocks of images, each as a column (im2col).

    y[n, (c, i, j), (r, s)] = x[n, c, r stride - padding + i dilation, s stride - padding + j
    dilation], 0 outside of the image. Each parameter is one number or (vertical, horizontal).

    x: [N, C, H, W] or [C, H, W] float -> [N, C * kernel, L] or [C * kernel, L] with L blocks,
    (size + 2 padding - dilation (kernel - 1) - 1) // stride + 1 of them along each axis, row by
    row. The method Tensor.unfold(dimension, size, step) is another operation: windows along an
    axis.

    Raises ArgumentError for parameters that are too small, ShapeError for other ranks and for
    images without a block. Source: PyTorch, `torch.nn.functional.unfold`.

    >>> samara.unfold(samara.arange(4.0).reshape(1, 2, 2), (1, 2)).tolist()
    [[0.0, 2.0], [1.0, 3.0]]
    """,
    ref=_unfold_ref,
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 2, 3, 4, 5), 2),
        Sample(_normal(rng, 2, 2, 6, 5), (3, 2), padding=1, stride=2),
        Sample(_normal(rng, 1, 2, 5, 7), (2, 3), (2, 1), (1, 2), (1, 3)),
        Sample(_normal(rng, 2, 4, 4), 3, padding=(2, 1)),
        Sample(_normal(rng, 1, 1, 1, 1), 1),
        Sample(_normal(rng, 1, 1, 2, 2), 1, padding=3, stride=4),
        Sample(_normal(rng, 0, 2, 3, 3), 2),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "\\[N, C, H, W\\] or \\[C, H, W\\]", np.ones((3, 4)), 2),
        ErrorSample(ShapeError, "holds no block", np.ones((1, 2, 3)), 4),
        ErrorSample(ArgumentError, "kernel_size is \\(0, 0\\)", np.ones((1, 2, 3)), 0),
        ErrorSample(ArgumentError, "padding is \\(-1, -1\\)", np.ones((1, 2, 3)), 1, padding=-1),
        ErrorSample(
            ArgumentError, "stride is \\(1, 2, 3\\)", np.ones((1, 2, 3)), 1, 1, 0, (1, 2, 3)
        ),
    ],
    methods=(),
)

fold = operation(
    "fold(x, output_size: ints, kernel_size: ints, dilation: ints = 1, padding: ints = 0, "
    "stride: ints = 1)",
    doc="""Images as the sums of overlapping blocks, the adjoint of unfold (col2im).

    y[n, c, u, v] = the sum of x[n, (c, i, j), (r, s)] over all (i, j, r, s) with
    r stride - padding + i dilation = u and s stride - padding + j dilation = v.

    x: [N, C * kernel, L] or [C * kernel, L] float -> [N, C, *output_size] or [C, *output_size].

    Raises ArgumentError for parameters that are too small; ShapeError for other ranks, when the
    rows are no multiple of the kernel's elements, and when L is not the number of blocks.
    Source: PyTorch, `torch.nn.functional.fold`.

    >>> samara.fold(samara.ones(2, 2), (1, 3), (1, 2)).tolist()
    [[[1.0, 2.0, 1.0]]]
    """,
    ref=_fold_ref,
    ulp=8,
    condition="sum",
    samples=lambda rng: [
        Sample(_normal(rng, 2, 12, 12), (4, 5), 2),
        Sample(_normal(rng, 1, 12, 9), (6, 5), (3, 2), padding=1, stride=2),
        Sample(_normal(rng, 1, 6, 15), (5, 7), (2, 3), (2, 1), (1, 2), (1, 3)),
        Sample(_normal(rng, 9, 24), 4, 3, padding=(2, 1)),
        Sample(_normal(rng, 1, 50, 36), (10, 10), 5),  # 25 blocks meet in one place
        Sample(_normal(rng, 1, 1, 1), 1, 1),
        Sample(_normal(rng, 0, 8, 4), 3, 2),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "Expected \\[N, C \\* kernel, L\\]", np.ones(4), 2, 2),
        ErrorSample(ShapeError, "Expected L = 4.* 2 x 2 blocks", np.ones((4, 5)), 3, 2),
        ErrorSample(ShapeError, "5 rows are no multiple of the kernel's 4", np.ones((5, 4)), 3, 2),
        ErrorSample(ShapeError, "holds no block", np.ones((4, 1)), 1, 2),
        ErrorSample(ArgumentError, "output_size is \\(0, 0\\)", np.ones((4, 1)), 0, 2),
    ],
    methods=(),
)


# --- windows along an axis, the tensor method ----------------------------------------------------

_windows = _core.Operation("unfold(x, dimension: int, size: int, step: int)", "windows")


def _unfold_method(self: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """A view of the windows of `size` elements along an axis, one every `step` elements.

    [*S] -> [*S with the number of windows at `dimension`, size]. samara.unfold is another
    operation: the sliding blocks of images.

    >>> samara.arange(5).unfold(0, 3, 2).tolist()
    [[0, 1, 2], [2, 3, 4]]
    """
    y: Tensor = _windows(self, dimension, size, step)
    return y


METHODS["unfold"] = _unfold_method


# --- pixels between channels and space -----------------------------------------------------------


def _factor(place: str, name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise DTypeError(
            f"{place}: {name} is {value!r}. Expected an int. Fix: pass a whole number."
        )
    if value < 1:
        raise ArgumentError(f"{place}: {name} is {value}. Expected at least 1. Fix: correct it.")
    return value


def _image(place: str, x: Tensor, least: int = 3) -> None:
    if x.ndim < least:
        axes = "[*, C, H, W]" if least == 3 else "[N, C, *]"
        raise ShapeError(
            f"{place}: x has shape {tuple(x.shape)}. Expected {axes}. Fix: add the missing axes."
        )


def _divides(place: str, x: Tensor, axis: int, factor: int, what: str) -> None:
    if x.shape[axis] % factor:
        raise ShapeError(
            f"{place}: {what} of shape {tuple(x.shape)} is {x.shape[axis]}. Expected a multiple of "
            f"{factor}. Fix: change the tensor or the factor."
        )


def _channels_last(x: Tensor) -> bool:
    return x.ndim == 4 and x.shape[1] > 1 and x.stride(1) == 1 and not x.is_contiguous()


def _pixel_shuffle_ref(x: Any, upscale_factor: int) -> Any:
    r = upscale_factor
    *batch, c, h, w = x.shape
    y = np.zeros((*batch, c // r**2, h * r, w * r), x.dtype)
    for i in range(r):
        for j in range(r):
            y[..., i::r, j::r] = x[..., i * r + j :: r * r, :, :]
    return y


def _pixel_unshuffle_ref(x: Any, downscale_factor: int) -> Any:
    r = downscale_factor
    *batch, c, h, w = x.shape
    y = np.zeros((*batch, c * r**2, h // r, w // r), x.dtype)
    for i in range(r):
        for j in range(r):
            y[..., i * r + j :: r * r, :, :] = x[..., i::r, j::r]
    return y


@composite(
    "pixel_shuffle(x, upscale_factor: int)",
    doc="""Channels rearranged as pixels: r^2 images of a channel become one that is r times larger.

    y[*, c, h r + i, w r + j] = x[*, c r^2 + i r + j, h, w] with r = upscale_factor.

    x: [*, C r^2, H, W] -> [*, C, H r, W r]. The order of axes in memory stays.

    Raises ShapeError when the channels are no multiple of r^2, ArgumentError for a factor below 1.
    Source: PyTorch, `torch.nn.functional.pixel_shuffle`; Shi et al., Real-Time Single Image and
    Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network, 2016.

    >>> samara.pixel_shuffle(samara.arange(4).reshape(4, 1, 1), 2).tolist()
    [[[0, 1], [2, 3]]]
    """,
    ref=_pixel_shuffle_ref,
    dtypes=ALL,
    onnx="DepthToSpace",
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 2, 8, 3, 2), 2),
        Sample(_normal(rng, 9, 2, 3), 3),
        Sample(_normal(rng, 2, 1, 4, 1, 2), 2),
        Sample(_normal(rng, 1, 1, 1), 1),
        Sample(_normal(rng, 0, 4, 2, 2), 2),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "6. Expected a multiple of 4", np.ones((1, 6, 2, 2)), 2),
        ErrorSample(ShapeError, "\\[\\*, C, H, W\\]", np.ones((4, 4)), 2),
        ErrorSample(ArgumentError, "upscale_factor is 0", np.ones((4, 1, 1)), 0),
        ErrorSample(DTypeError, "upscale_factor", np.ones((4, 1, 1)), 2.0),
    ],
    methods=(),
)
def pixel_shuffle(x: Tensor, upscale_factor: int) -> Tensor:
    r = _factor("pixel_shuffle", "upscale_factor", upscale_factor)
    _image("pixel_shuffle", x)
    _divides("pixel_shuffle", x, -3, r * r, "the number of channels")
    *batch, channels, h, w = x.shape
    c, k = channels // (r * r), len(batch)
    parts = reshape(x, (*batch, c, r, r, h, w))
    if _channels_last(x):
        pixels = reshape(permute_dims(parts, (0, 4, 2, 5, 3, 1)), (*batch, h * r, w * r, c))
        return permute_dims(pixels, (0, 3, 1, 2))
    axes = (*range(k), k, k + 3, k + 1, k + 4, k + 2)
    y: Tensor = reshape(permute_dims(parts, axes), (*batch, c, h * r, w * r))
    return y


@composite(
    "pixel_unshuffle(x, downscale_factor: int)",
    doc="""Pixels rearranged as channels, the inverse of pixel_shuffle.

    y[*, c r^2 + i r + j, h, w] = x[*, c, h r + i, w r + j] with r = downscale_factor.

    x: [*, C, H r, W r] -> [*, C r^2, H, W]. The order of axes in memory stays.

    Raises ShapeError when height or width is no multiple of r, ArgumentError for a factor below 1.
    Source: PyTorch, `torch.nn.functional.pixel_unshuffle`.

    >>> samara.pixel_unshuffle(samara.arange(4).reshape(1, 2, 2), 2).tolist()
    [[[0]], [[1]], [[2]], [[3]]]
    """,
    ref=_pixel_unshuffle_ref,
    dtypes=ALL,
    onnx="SpaceToDepth",
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 2, 2, 6, 4), 2),
        Sample(_normal(rng, 2, 3, 6), 3),
        Sample(_normal(rng, 2, 1, 1, 2, 4), 2),
        Sample(_normal(rng, 1, 1, 1), 1),
        Sample(_normal(rng, 0, 1, 2, 2), 2),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "the height .*3. Expected a multiple of 2", np.ones((1, 3, 2)), 2),
        ErrorSample(ShapeError, "the width .*3. Expected a multiple of 2", np.ones((1, 2, 3)), 2),
        ErrorSample(ShapeError, "\\[\\*, C, H, W\\]", np.ones((4, 4)), 2),
        ErrorSample(ArgumentError, "downscale_factor is -1", np.ones((1, 2, 2)), -1),
    ],
    methods=(),
)
def pixel_unshuffle(x: Tensor, downscale_factor: int) -> Tensor:
    r = _factor("pixel_unshuffle", "downscale_factor", downscale_factor)
    _image("pixel_unshuffle", x)
    _divides("pixel_unshuffle", x, -2, r, "the height")
    _divides("pixel_unshuffle", x, -1, r, "the width")
    *batch, c, height, width = x.shape
    h, w, k = height // r, width // r, len(batch)
    parts = reshape(x, (*batch, c, h, r, w, r))
    if _channels_last(x):
        pixels = reshape(permute_dims(parts, (0, 2, 4, 1, 3, 5)), (*batch, h, w, c * r * r))
        return permute_dims(pixels, (0, 3, 1, 2))
    axes = (*range(k), k, k + 2, k + 4, k + 1, k + 3)
    y: Tensor = reshape(permute_dims(parts, axes), (*batch, c * r * r, h, w))
    return y


@composite(
    "channel_shuffle(x, groups: int)",
    doc="""Channels dealt out anew: the first of each group, then the second of each, and so on.

    y[n, i g + k] = x[n, k C/g + i] with g = groups.

    x: [N, C, *] -> [N, C, *]. The order of axes in memory stays.

    Raises ShapeError when the channels are no multiple of groups, ArgumentError for less than one
    group. Source: PyTorch, `torch.nn.functional.channel_shuffle`; Zhang et al., ShuffleNet, 2018.

    >>> samara.channel_shuffle(samara.arange(4).reshape(1, 4, 1), 2).tolist()
    [[[0], [2], [1], [3]]]
    """,
    ref=lambda x, groups: np.concatenate(
        [x[:, i :: x.shape[1] // groups] for i in range(x.shape[1] // groups)], axis=1
    ),
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 2, 6, 3, 2), 3),
        Sample(_normal(rng, 2, 6, 3, 2), 2),
        Sample(_normal(rng, 1, 4, 3), 4),
        Sample(_normal(rng, 1, 1, 1), 1),
        Sample(_normal(rng, 0, 4, 2, 2), 2),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "5. Expected a multiple of 2", np.ones((1, 5, 2)), 2),
        ErrorSample(ShapeError, "\\[N, C, \\*\\]", np.ones(4), 2),
        ErrorSample(ArgumentError, "groups is 0", np.ones((1, 4, 1)), 0),
    ],
    methods=(),
)
def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    g = _factor("channel_shuffle", "groups", groups)
    _image("channel_shuffle", x, 2)
    _divides("channel_shuffle", x, 1, g, "the number of channels")
    n, c, *rest = x.shape
    if _channels_last(x):
        rows = permute_dims(x, (0, 2, 3, 1))
        parts = permute_dims(reshape(rows, (n, *rest, g, c // g)), (0, 1, 2, 4, 3))
        return permute_dims(reshape(parts, (n, *rest, c)), (0, 3, 1, 2))
    parts = reshape(x, (n, g, c // g, *rest))
    axes = (0, 2, 1, *range(3, 3 + len(rest)))
    y: Tensor = reshape(permute_dims(parts, axes), (n, c, *rest))
    return y


__all__ = ["channel_shuffle", "fold", "pixel_shuffle", "pixel_unshuffle", "unfold"]
