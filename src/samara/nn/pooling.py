"""Pooling layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from samara.errors import ArgumentError
from samara.nn import functional as F
from samara.nn.module import Module
from samara.tensor import Tensor

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]

Sizes = int | Sequence[int]
AdaptiveSizes = int | Sequence[int | None]


def _each(owner: str, name: str, value: Any, rank: int) -> tuple[Any, ...]:
    """One value per spatial axis, from one for all or from as many."""
    if not isinstance(value, (tuple, list)):
        return (value,) * rank
    if len(value) != rank:
        raise ArgumentError(
            f"{owner}: {name} is {value!r}. Expected one number, or {rank}, one per spatial axis. "
            "Fix: pass one for all."
        )
    return tuple(value)


class _MaxPool(Module):
    """What max pooling shares in all dimensions."""

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def _options(self) -> tuple[Any, ...]:
        sizes = (self.kernel_size, self.stride, self.padding, self.dilation)
        return (*sizes, self.ceil_mode, self.return_indices)

    def extra_repr(self) -> str:
        """The windows."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class _AvgPool(Module):
    """What average pooling shares in all dimensions."""

    kernel_size: Sizes
    stride: Sizes
    padding: Sizes

    def extra_repr(self) -> str:
        """The windows."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _AvgPoolNd(_AvgPool):
    """Average pooling in two and three dimensions."""

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def _options(self) -> tuple[Any, ...]:
        sizes = (self.kernel_size, self.stride, self.padding)
        return (*sizes, self.ceil_mode, self.count_include_pad, self.divisor_override)


class _AdaptiveMaxPool(Module):
    """What adaptive max pooling shares in all dimensions."""

    def __init__(self, output_size: AdaptiveSizes, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def extra_repr(self) -> str:
        """The size of the result."""
        return f"output_size={self.output_size}"


class _AdaptiveAvgPool(Module):
    """What adaptive average pooling shares in all dimensions."""

    def __init__(self, output_size: AdaptiveSizes) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        """The size of the result."""
        return f"output_size={self.output_size}"


class _LPPool(Module):
    """What Lp pooling shares in all dimensions."""

    def __init__(
        self,
        norm_type: float,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def _options(self) -> tuple[Any, ...]:
        return self.norm_type, self.kernel_size, self.stride, self.ceil_mode

    def extra_repr(self) -> str:
        """The norm and the windows."""
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class _FractionalMaxPool(Module):
    """What fractional max pooling shares in two and three dimensions."""

    spatial: int

    def __init__(
        self,
        kernel_size: Sizes,
        output_size: Sizes | None = None,
        output_ratio: float | Sequence[float] | None = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        owner, rank = type(self).__name__, self.spatial
        if (output_size is None) == (output_ratio is None):
            raise ArgumentError(
                f"{owner}: {'neither' if output_size is None else 'both'} of output_size and "
                "output_ratio were given. Expected one of them. Fix: output_ratio=0.5 halves "
                "each axis."
            )
        self.kernel_size = _each(owner, "kernel_size", kernel_size, rank)
        self.output_size: tuple[Any, ...] | None = None
        self.output_ratio: tuple[Any, ...] | None = None
        if output_size is not None:
            self.output_size = _each(owner, "output_size", output_size, rank)
        else:
            self.output_ratio = _each(owner, "output_ratio", output_ratio, rank)
            if not all(0 < ratio < 1 for ratio in self.output_ratio):
                raise ArgumentError(
                    f"{owner}: output_ratio is {output_ratio}. Expected numbers between 0 and 1. "
                    "Fix: output_ratio=0.5 halves each axis."
                )
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)

    def _options(self) -> tuple[Any, ...]:
        sizes = (self.kernel_size, self.output_size, self.output_ratio)
        return (*sizes, self.return_indices, self._random_samples)


class _MaxUnpool(Module):
    """What max unpooling shares in all dimensions."""

    spatial: int

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        super().__init__()
        owner, rank = type(self).__name__, self.spatial
        self.kernel_size = _each(owner, "kernel_size", kernel_size, rank)
        self.stride = _each(owner, "stride", kernel_size if stride is None else stride, rank)
        self.padding = _each(owner, "padding", padding, rank)

    def _options(self) -> tuple[Any, ...]:
        return self.kernel_size, self.stride, self.padding

    def forward(
        self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None
    ) -> Tensor:
        """`[N, C, *S']` or without N -> the shape before the pooling."""
        unpool = (F.max_unpool1d, F.max_unpool2d, F.max_unpool3d)[self.spatial - 1]
        y: Tensor = unpool(input, indices, *self._options(), output_size)
        return y

    def extra_repr(self) -> str:
        """The windows of the pooling undone."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool1d(_MaxPool):
    """The largest number of each window: samara.max_pool1d.

    `x: [N, C, L]` or without N -> `[N, C, L']`, with return_indices=True also the maxima's places,
    as MaxUnpool1d takes them. Raises ShapeError when a window is larger than the padded input,
    ArgumentError for a padding of more than half a window.

    >>> import samara
    >>> MaxPool1d(2)(samara.arange(4.0).reshape(1, 1, 4)).flatten().tolist()
    [1.0, 3.0]
    """

    def forward(self, input: Tensor) -> Any:
        """`[N, C, L]` or without N -> the pooled shape."""
        return F.max_pool1d(input, *self._options())


class MaxPool2d(_MaxPool):
    """The largest number of each window: samara.max_pool2d.

    `x: [N, C, H, W]` or without N -> `[N, C, H', W']`, with return_indices=True also the maxima's
    places, as MaxUnpool2d takes them. Raises ShapeError when a window is larger than the padded
    input, ArgumentError for a padding of more than half a window.

    >>> import samara
    >>> MaxPool2d((1, 2))(samara.arange(4.0).reshape(1, 1, 1, 4)).flatten().tolist()
    [1.0, 3.0]
    """

    def forward(self, input: Tensor) -> Any:
        """`[N, C, H, W]` or without N -> the pooled shape."""
        return F.max_pool2d(input, *self._options())


class MaxPool3d(_MaxPool):
    """The largest number of each window: samara.max_pool3d.

    `x: [N, C, D, H, W]` or without N -> `[N, C, D', H', W']`, with return_indices=True also the
    maxima's places, as MaxUnpool3d takes them. Raises ShapeError when a window is larger than the
    padded input, ArgumentError for a padding of more than half a window.

    >>> import samara
    >>> MaxPool3d((1, 1, 2))(samara.arange(4.0).reshape(1, 1, 1, 1, 4)).flatten().tolist()
    [1.0, 3.0]
    """

    def forward(self, input: Tensor) -> Any:
        """`[N, C, D, H, W]` or without N -> the pooled shape."""
        return F.max_pool3d(input, *self._options())


class AvgPool1d(_AvgPool):
    """The mean of each window: samara.avg_pool1d.

    `x: [N, C, L]` or without N -> `[N, C, L']`. Raises ShapeError when a window is larger than the
    padded input, ArgumentError for a padding of more than half a window.

    >>> import samara
    >>> AvgPool1d(2)(samara.arange(4.0).reshape(1, 1, 4)).flatten().tolist()
    [0.5, 2.5]
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = _each("AvgPool1d", "kernel_size", kernel_size, 1)
        self.stride = _each("AvgPool1d", "stride", kernel_size if stride is None else stride, 1)
        self.padding = _each("AvgPool1d", "padding", padding, 1)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        """`[N, C, L]` or without N -> the pooled shape."""
        y: Tensor = F.avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )
        return y


class AvgPool2d(_AvgPoolNd):
    """The mean of each window: samara.avg_pool2d.

    `x: [N, C, H, W]` or without N -> `[N, C, H', W']`. Raises ShapeError when a window is larger
    than the padded input, ArgumentError for a padding of more than half a window.

    >>> import samara
    >>> AvgPool2d((1, 2))(samara.arange(4.0).reshape(1, 1, 1, 4)).flatten().tolist()
    [0.5, 2.5]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[N, C, H, W]` or without N -> the pooled shape."""
        y: Tensor = F.avg_pool2d(input, *self._options())
        return y


class AvgPool3d(_AvgPoolNd):
    """The mean of each window: samara.avg_pool3d.

    `x: [N, C, D, H, W]` or without N -> `[N, C, D', H', W']`. Raises ShapeError when a window is
    larger than the padded input, ArgumentError for a padding of more than half a window.

    >>> import samara
    >>> AvgPool3d((1, 1, 2))(samara.arange(4.0).reshape(1, 1, 1, 1, 4)).flatten().tolist()
    [0.5, 2.5]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[N, C, D, H, W]` or without N -> the pooled shape."""
        y: Tensor = F.avg_pool3d(input, *self._options())
        return y


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Maxima of as many windows as the output shall have: samara.adaptive_max_pool1d.

    `x: [N, C, L]` or without N -> `[N, C, *output_size]`; None keeps an axis. With
    return_indices=True also the maxima's places. Raises ArgumentError for negative sizes.

    >>> import samara
    >>> AdaptiveMaxPool1d(2)(samara.arange(4.0).reshape(1, 1, 4)).flatten().tolist()
    [1.0, 3.0]
    """

    def forward(self, input: Tensor) -> Any:
        """`[N, C, L]` or without N -> the shape with output_size."""
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Maxima of as many windows as the output shall have: samara.adaptive_max_pool2d.

    `x: [N, C, H, W]` or without N -> `[N, C, *output_size]`; None keeps an axis. With
    return_indices=True also the maxima's places. Raises ArgumentError for negative sizes.

    >>> import samara
    >>> AdaptiveMaxPool2d((1, 2))(samara.arange(4.0).reshape(1, 1, 1, 4)).flatten().tolist()
    [1.0, 3.0]
    """

    def forward(self, input: Tensor) -> Any:
        """`[N, C, H, W]` or without N -> the shape with output_size."""
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Maxima of as many windows as the output shall have: samara.adaptive_max_pool3d.

    `x: [N, C, D, H, W]` or without N -> `[N, C, *output_size]`; None keeps an axis. With
    return_indices=True also the maxima's places. Raises ArgumentError for negative sizes.

    >>> import samara
    >>> AdaptiveMaxPool3d((1, 1, 2))(samara.arange(4.0).reshape(1, 1, 1, 1, 4)).flatten().tolist()
    [1.0, 3.0]
    """

    def forward(self, input: Tensor) -> Any:
        """`[N, C, D, H, W]` or without N -> the shape with output_size."""
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Means of as many windows as the output shall have: samara.adaptive_avg_pool1d.

    `x: [N, C, L]` or without N -> `[N, C, *output_size]`; None keeps an axis. Raises ArgumentError
    for negative sizes.

    >>> import samara
    >>> AdaptiveAvgPool1d(1)(samara.arange(4.0).reshape(1, 1, 4)).item()
    1.5
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[N, C, L]` or without N -> the shape with output_size."""
        y: Tensor = F.adaptive_avg_pool1d(input, self.output_size)
        return y


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Means of as many windows as the output shall have: samara.adaptive_avg_pool2d.

    `x: [N, C, H, W]` or without N -> `[N, C, *output_size]`; None keeps an axis. Raises
    ArgumentError for negative sizes.

    >>> import samara
    >>> AdaptiveAvgPool2d(1)(samara.arange(4.0).reshape(1, 1, 1, 4)).item()
    1.5
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[N, C, H, W]` or without N -> the shape with output_size."""
        y: Tensor = F.adaptive_avg_pool2d(input, self.output_size)
        return y


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Means of as many windows as the output shall have: samara.adaptive_avg_pool3d.

    `x: [N, C, D, H, W]` or without N -> `[N, C, *output_size]`; None keeps an axis. Raises
    ArgumentError for negative sizes.

    >>> import samara
    >>> AdaptiveAvgPool3d(1)(samara.arange(4.0).reshape(1, 1, 1, 1, 4)).item()
    1.5
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[N, C, D, H, W]` or without N -> the shape with output_size."""
        y: Tensor = F.adaptive_avg_pool3d(input, self.output_size)
        return y


class LPPool1d(_LPPool):
    """(sum x^p)^(1/p) of each window, p being norm_type: samara.lp_pool1d.

    `x: [N, C, L]` or without N -> `[N, C, L']`. Raises ShapeError when a window is larger than the
    input.

    >>> import samara
    >>> LPPool1d(1, 2)(samara.arange(4.0).reshape(1, 1, 4)).flatten().tolist()
    [1.0, 5.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[N, C, L]` or without N -> the pooled shape."""
        y: Tensor = F.lp_pool1d(input, *self._options())
        return y


class LPPool2d(_LPPool):
    """(sum x^p)^(1/p) of each window, p being norm_type: samara.lp_pool2d.

    `x: [N, C, H, W]` or without N -> `[N, C, H', W']`. Raises ShapeError when a window is larger
    than the input.

    >>> import samara
    >>> LPPool2d(1, (1, 2))(samara.arange(4.0).reshape(1, 1, 1, 4)).flatten().tolist()
    [1.0, 5.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[N, C, H, W]` or without N -> the pooled shape."""
        y: Tensor = F.lp_pool2d(input, *self._options())
        return y


class LPPool3d(_LPPool):
    """(sum x^p)^(1/p) of each window, p being norm_type: samara.lp_pool3d.

    `x: [N, C, D, H, W]` or without N -> `[N, C, D', H', W']`. Raises ShapeError when a window is
    larger than the input.

    >>> import samara
    >>> LPPool3d(1, (1, 1, 2))(samara.arange(4.0).reshape(1, 1, 1, 1, 4)).flatten().tolist()
    [1.0, 5.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[N, C, D, H, W]` or without N -> the pooled shape."""
        y: Tensor = F.lp_pool3d(input, *self._options())
        return y


class FractionalMaxPool2d(_FractionalMaxPool):
    """The largest number of each of randomly placed windows (Graham, 2014).

    `x: [N, C, H, W]` or without N -> `[N, C, *output_size]`, or output_ratio times the input's
    size; with return_indices=True also the maxima's places. Raises ArgumentError unless exactly one
    of output_size and output_ratio is given and the windows fit.

    >>> import samara
    >>> FractionalMaxPool2d(2, output_ratio=0.5)(samara.ones(1, 2, 6, 6)).shape
    (1, 2, 3, 3)
    """

    spatial = 2

    def forward(self, input: Tensor) -> Any:
        """`[N, C, H, W]` or without N -> the pooled shape."""
        return F.fractional_max_pool2d(input, *self._options())


class FractionalMaxPool3d(_FractionalMaxPool):
    """The largest number of each of randomly placed windows (Graham, 2014).

    `x: [N, C, D, H, W]` or without N -> `[N, C, *output_size]`, or output_ratio times the input's
    size; with return_indices=True also the maxima's places. Raises ArgumentError unless exactly one
    of output_size and output_ratio is given and the windows fit.

    >>> import samara
    >>> FractionalMaxPool3d(2, output_ratio=0.5)(samara.ones(1, 2, 6, 6, 6)).shape
    (1, 2, 3, 3, 3)
    """

    spatial = 3

    def forward(self, input: Tensor) -> Any:
        """`[N, C, D, H, W]` or without N -> the pooled shape."""
        return F.fractional_max_pool3d(input, *self._options())


class MaxUnpool1d(_MaxUnpool):
    """MaxPool1d undone: each maximum at its place, zeros elsewhere (Zeiler et al., 2011).

    `x, indices: [N, C, L']` or without N -> `[N, C, L]`; output_size chooses among the shapes that
    pool to x's. Raises ArgumentError for one that does not, IndexOutOfRangeError for indices beyond
    the output.

    >>> import samara
    >>> x = samara.tensor([1.0, 4.0, 3.0, 2.0]).reshape(1, 1, 4)
    >>> y, indices = MaxPool1d(2, return_indices=True)(x)
    >>> MaxUnpool1d(2)(y, indices).flatten().tolist()
    [0.0, 4.0, 3.0, 0.0]
    """

    spatial = 1


class MaxUnpool2d(_MaxUnpool):
    """MaxPool2d undone: each maximum at its place, zeros elsewhere (Zeiler et al., 2011).

    `x, indices: [N, C, H', W']` or without N -> `[N, C, H, W]`; output_size chooses among the
    shapes that pool to x's. Raises ArgumentError for one that does not, IndexOutOfRangeError for
    indices beyond the output.

    >>> import samara
    >>> x = samara.tensor([1.0, 4.0, 3.0, 2.0]).reshape(1, 1, 1, 4)
    >>> y, indices = MaxPool2d((1, 2), return_indices=True)(x)
    >>> MaxUnpool2d((1, 2))(y, indices).flatten().tolist()
    [0.0, 4.0, 3.0, 0.0]
    """

    spatial = 2


class MaxUnpool3d(_MaxUnpool):
    """MaxPool3d undone: each maximum at its place, zeros elsewhere (Zeiler et al., 2011).

    `x, indices: [N, C, D', H', W']` or without N -> `[N, C, D, H, W]`; output_size chooses among
    the shapes that pool to x's. Raises ArgumentError for one that does not, IndexOutOfRangeError
    for indices beyond the output.

    >>> import samara
    >>> x = samara.tensor([1.0, 4.0, 3.0, 2.0]).reshape(1, 1, 1, 1, 4)
    >>> y, indices = MaxPool3d((1, 1, 2), return_indices=True)(x)
    >>> MaxUnpool3d((1, 1, 2))(y, indices).flatten().tolist()
    [0.0, 4.0, 3.0, 0.0]
    """

    spatial = 3
