"""Convolution layers."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import samara
from samara.errors import ArgumentError, ShapeError
from samara.nn import functional as F
from samara.nn import init as _init
from samara.nn.linear import check_size, start_uniform
from samara.nn.module import Module
from samara.nn.parameter import Parameter, UninitializedParameter
from samara.tensor import Tensor

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
]

Sizes = int | Sequence[int]
Initializer = str | Callable[..., Any] | None

_MODES = ("zeros", "reflect", "replicate", "circular")


def _per_axis(owner: str, name: str, value: Any, count: int, least: int) -> tuple[int, ...]:
    """One int for all axes, or one for each, as a tuple of ints from `least` on."""
    try:
        given = [operator.index(one) for one in value]
    except TypeError:
        try:
            given = [operator.index(value)] * count
        except TypeError:
            given = []
    if isinstance(value, bool) or len(given) != count or min(given) < least:
        raise ArgumentError(
            f"{owner}: {name} is {value!r}. Expected an integer >= {least}, or {count} of them. "
            f"Fix: {name}={max(least, 1)}, say."
        )
    return tuple(given)


class _Convolution(Module):
    """What all convolution layers share: arguments, parameters and their initial values."""

    spatial: int
    transposed = False

    in_channels: int | None
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int | None,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes,
        padding: Sizes | str,
        output_padding: Sizes,
        dilation: Sizes,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
        init: Initializer,
    ) -> None:
        super().__init__()
        owner, n = type(self).__name__, self.spatial
        self.out_channels = check_size(owner, "out_channels", out_channels)
        self.kernel_size = _per_axis(owner, "kernel_size", kernel_size, n, 1)
        self.stride = _per_axis(owner, "stride", stride, n, 1)
        self.dilation = _per_axis(owner, "dilation", dilation, n, 1)
        self.output_padding = _per_axis(owner, "output_padding", output_padding, n, 0)
        self.groups = check_size(owner, "groups", groups)
        self.padding = self._checked_padding(padding)
        self.padding_mode = padding_mode
        self._check_padding_mode()
        if self.groups < 1 or self.out_channels % self.groups != 0:
            self._bad_groups("out_channels", self.out_channels)
        self._options = {"device": device, "dtype": dtype}
        self._init = None if init is None else _init.get(init)
        self._has_bias = bool(bias)
        if in_channels is None:
            self.in_channels = None
            self.weight = UninitializedParameter()
            self.bias = UninitializedParameter() if bias else None
        else:
            self._make_parameters(check_size(owner, "in_channels", in_channels))

    def _checked_padding(self, padding: Any) -> tuple[int, ...] | str:
        owner = type(self).__name__
        if not isinstance(padding, str):
            return _per_axis(owner, "padding", padding, self.spatial, 0)
        if self.transposed or padding not in ("same", "valid"):
            expected = "integers" if self.transposed else "'same', 'valid' or integers"
            raise ArgumentError(
                f"{owner}: padding is {padding!r}. Expected {expected}. Fix: padding=1, say."
            )
        if padding == "same" and any(one != 1 for one in self.stride):
            raise ArgumentError(
                f"{owner}: padding is 'same' and stride is {self.stride}. Expected stride 1 where "
                "the size is to stay. Fix: pass the padding as integers."
            )
        return padding

    def _check_padding_mode(self) -> None:
        allowed = ("zeros",) if self.transposed else _MODES
        if self.padding_mode not in allowed:
            names = " or ".join(repr(mode) for mode in allowed)
            raise ArgumentError(
                f"{type(self).__name__}: padding_mode is {self.padding_mode!r}. Expected {names}. "
                "Fix: padding_mode='zeros'."
            )

    def _bad_groups(self, name: str, channels: int) -> None:
        raise ArgumentError(
            f"{type(self).__name__}: {name} is {channels} and groups is {self.groups}. Expected "
            f"groups >= 1 that divide {name}. Fix: groups=1, or another {name}."
        )

    def _make_parameters(self, in_channels: int) -> None:
        if in_channels % self.groups != 0:
            self._bad_groups("in_channels", in_channels)
        self.in_channels = in_channels
        first, second = in_channels, self.out_channels
        if not self.transposed:
            first, second = second, first
        shape = (first, second // self.groups, *self.kernel_size)
        self.weight = Parameter(samara.empty(shape, **self._options))
        if self._has_bias:
            self.bias = Parameter(samara.empty(self.out_channels, **self._options))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values: U(-b, b), b = 1 / sqrt(inputs of one output)."""
        if self.in_channels is None:
            return
        channels = self.out_channels if self.transposed else self.in_channels
        fan_in = channels // self.groups * math.prod(self.kernel_size)
        start_uniform(self, fan_in, ("weight", "bias"), self._init)

    def _infer_sizes(self, *args: Any, **kwargs: Any) -> None:
        if self.in_channels is not None:
            return
        x = args[0] if args else kwargs["input"]
        n = self.spatial
        if x.ndim not in (n + 1, n + 2):
            raise ShapeError(
                f"{type(self).__name__}: received shape {tuple(x.shape)}. Expected {n + 2} axes, "
                f"[batch, channels, ...], or {n + 1}. Fix: add the missing axes with unsqueeze."
            )
        self._make_from(x.shape[x.ndim - n - 1])

    def _adopt_shape(self, name: str, shape: tuple[int, ...]) -> None:
        if name != "weight" or len(shape) != self.spatial + 2:
            return
        self._make_from(shape[0] if self.transposed else shape[1] * self.groups)

    def _make_from(self, in_channels: int) -> None:
        placeholders = dict(self.__dict__["_pending"])
        self._make_parameters(in_channels)
        for own, placeholder in placeholders.items():
            parameter = self.__dict__["_pending"][own]
            # What was said of the placeholder holds for the parameter.
            if placeholder._initializer is not None:
                parameter._initializer = placeholder._initializer
            parameter.requires_grad_(placeholder.requires_grad)

    def extra_repr(self) -> str:
        """The sizes, and what differs from the defaults."""
        zeros, ones = (0,) * self.spatial, (1,) * self.spatial
        parts = [f"{self.in_channels}, {self.out_channels}", f"kernel_size={self.kernel_size}"]
        parts.append(f"stride={self.stride}")
        parts += [f"padding={self.padding}"] if self.padding != zeros else []
        parts += [f"dilation={self.dilation}"] if self.dilation != ones else []
        parts += [f"output_padding={self.output_padding}"] if self.output_padding != zeros else []
        parts += [f"groups={self.groups}"] if self.groups != 1 else []
        parts += [] if self._has_bias and self._holds("bias") else ["bias=False"]
        parts += [f"padding_mode={self.padding_mode}"] if self.padding_mode != "zeros" else []
        return ", ".join(parts)


class _Conv(_Convolution):
    """Conv1d to Conv3d: the constructor and the call."""

    def __init__(
        self,
        in_channels: int | None,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        init: Initializer = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            0,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
            init,
        )
        self._convolve = (F.conv1d, F.conv2d, F.conv3d)[self.spatial - 1]
        self._padded = self._padding_pairs() if padding_mode != "zeros" else None

    def _padding_pairs(self) -> tuple[int, ...]:
        """The last axis first, as `pad` takes them."""
        pairs: list[int] = []
        for axis in reversed(range(self.spatial)):
            if self.padding == "same":
                total = self.dilation[axis] * (self.kernel_size[axis] - 1)
                pairs += [total // 2, total - total // 2]
            else:
                one = 0 if isinstance(self.padding, str) else self.padding[axis]
                pairs += [one, one]
        return tuple(pairs)

    def forward(self, input: Tensor) -> Tensor:
        """`[N, in_channels, *spatial]` -> `[N, out_channels, *spatial']`; N may be absent."""
        padding: Sizes | str = self.padding
        if self._padded is not None:
            input = F.pad(input, self._padded, self.padding_mode)
            padding = 0
        return self._convolve(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )


class Conv1d(_Conv):
    """Convolution of signals, `[N, in_channels, length]` -> `[N, out_channels, length']`.

    weight `[out, in / groups, kernel]`, bias `[out]`, both from U(-b, b) with b = 1 / sqrt(inputs
    of one output). `padding` is an integer, "same" or "valid"; `padding_mode` "zeros", "reflect",
    "replicate" or "circular". `init=` names another initialiser of the weight. Raises
    ArgumentError for sizes out of range, ShapeError when the input has other channels.

    >>> import samara
    >>> Conv1d(3, 8, 5, padding=2)(samara.ones(2, 3, 10)).shape
    (2, 8, 10)
    """

    spatial = 1


class Conv2d(_Conv):
    """Convolution of images, `[N, in_channels, h, w]` -> `[N, out_channels, h', w']`.

    weight `[out, in / groups, *kernel]`, bias `[out]`, both from U(-b, b) with b = 1 / sqrt(inputs
    of one output). Sizes are one integer, or one for each axis; `padding` may be "same" or
    "valid"; `padding_mode` "zeros", "reflect", "replicate" or "circular". `init=` names another
    initialiser of the weight. Raises ArgumentError for sizes out of range, ShapeError when the
    input has other channels.

    >>> import samara
    >>> Conv2d(3, 8, 3, stride=2, padding=1)(samara.ones(2, 3, 10, 10)).shape
    (2, 8, 5, 5)
    """

    spatial = 2


class Conv3d(_Conv):
    """Convolution of volumes, `[N, in_channels, d, h, w]` -> `[N, out_channels, d', h', w']`.

    As Conv2d, over three axes.

    >>> import samara
    >>> Conv3d(1, 4, (1, 3, 3), padding="same")(samara.ones(2, 1, 4, 5, 6)).shape
    (2, 4, 4, 5, 6)
    """

    spatial = 3


class _ConvTranspose(_Convolution):
    """ConvTranspose1d to ConvTranspose3d: the constructor and the call."""

    transposed = True

    def __init__(
        self,
        in_channels: int | None,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        init: Initializer = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            output_padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
            init,
        )
        names = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
        self._convolve = names[self.spatial - 1]

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """`[N, in_channels, *spatial]` -> `[N, out_channels, *spatial']`; N may be absent.

        `output_size`, the last sizes of the result, takes the place of `output_padding`.
        """
        more = self.output_padding if output_size is None else self._more(input, output_size)
        return self._convolve(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            more,
            self.groups,
            self.dilation,
        )

    def _more(self, input: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        """The output_padding that gives `output_size`."""
        n = self.spatial
        sizes = input.shape[max(input.ndim - n, 0) :]
        wanted = tuple(output_size)
        if len(wanted) in (n + 1, n + 2) and len(wanted) == input.ndim:
            wanted = wanted[-n:]
        padding = self.padding
        assert not isinstance(padding, str)
        least = tuple(
            (size - 1) * s - 2 * p + d * (k - 1) + 1
            for size, s, p, d, k in zip(
                sizes, self.stride, padding, self.dilation, self.kernel_size, strict=True
            )
        )
        most = tuple(one + s - 1 for one, s in zip(least, self.stride, strict=True))
        fits = len(wanted) == n and all(
            low <= size <= high for low, size, high in zip(least, wanted, most, strict=True)
        )
        if not fits:
            raise ShapeError(
                f"{type(self).__name__}: output_size is {tuple(output_size)} and the input has "
                f"shape {tuple(input.shape)}. Expected sizes from {least} to {most}. "
                f"Fix: output_size={least}."
            )
        return tuple(size - low for size, low in zip(wanted, least, strict=True))


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution of signals, `[N, in, length]` -> `[N, out, length']`.

    The gradient of Conv1d's input as a layer: weight `[in, out / groups, kernel]`, bias `[out]`,
    both from U(-b, b), b = 1 / sqrt(out / groups * kernel). Raises ArgumentError for sizes out of
    range, ShapeError when the input has other channels.

    >>> import samara
    >>> ConvTranspose1d(8, 3, 4, stride=2, padding=1)(samara.ones(2, 8, 5)).shape
    (2, 3, 10)
    """

    spatial = 1


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution of images, `[N, in, h, w]` -> `[N, out, h', w']`.

    The gradient of Conv2d's input as a layer: weight `[in, out / groups, *kernel]`, bias `[out]`,
    both from U(-b, b), b = 1 / sqrt(out / groups * kernel elements). Raises ArgumentError for
    sizes out of range, ShapeError when the input has other channels.

    >>> import samara
    >>> up = ConvTranspose2d(8, 3, 3, stride=2, padding=1)
    >>> up(samara.ones(2, 8, 5, 5)).shape, up(samara.ones(2, 8, 5, 5), output_size=(10, 10)).shape
    ((2, 3, 9, 9), (2, 3, 10, 10))
    """

    spatial = 2


class ConvTranspose3d(_ConvTranspose):
    """Transposed convolution of volumes, `[N, in, d, h, w]` -> `[N, out, d', h', w']`.

    As ConvTranspose2d, over three axes.

    >>> import samara
    >>> ConvTranspose3d(2, 1, 2, stride=2)(samara.ones(1, 2, 2, 3, 4)).shape
    (1, 1, 4, 6, 8)
    """

    spatial = 3


class _LazyConv(_Conv):
    """Takes in_channels from the first batch; the other arguments as they are."""

    def __init__(self, out_channels: int, kernel_size: Sizes, *args: Any, **kwargs: Any) -> None:
        super().__init__(None, out_channels, kernel_size, *args, **kwargs)


class _LazyConvTranspose(_ConvTranspose):
    """Takes in_channels from the first batch; the other arguments as they are."""

    def __init__(self, out_channels: int, kernel_size: Sizes, *args: Any, **kwargs: Any) -> None:
        super().__init__(None, out_channels, kernel_size, *args, **kwargs)


class LazyConv1d(_LazyConv, Conv1d):
    """A `Conv1d` that takes its input channels from the first batch.

    >>> import samara
    >>> LazyConv1d(4, 3)(samara.ones(2, 5, 9)).shape
    (2, 4, 7)
    """


class LazyConv2d(_LazyConv, Conv2d):
    """A `Conv2d` that takes its input channels from the first batch.

    >>> import samara
    >>> layer = LazyConv2d(4, 3)
    >>> layer(samara.ones(2, 5, 9, 9)).shape, layer.weight.shape
    ((2, 4, 7, 7), (4, 5, 3, 3))
    """


class LazyConv3d(_LazyConv, Conv3d):
    """A `Conv3d` that takes its input channels from the first batch.

    >>> import samara
    >>> LazyConv3d(4, 1)(samara.ones(2, 5, 2, 2, 2)).shape
    (2, 4, 2, 2, 2)
    """


class LazyConvTranspose1d(_LazyConvTranspose, ConvTranspose1d):
    """A `ConvTranspose1d` that takes its input channels from the first batch.

    >>> import samara
    >>> LazyConvTranspose1d(4, 2, stride=2)(samara.ones(2, 5, 3)).shape
    (2, 4, 6)
    """


class LazyConvTranspose2d(_LazyConvTranspose, ConvTranspose2d):
    """A `ConvTranspose2d` that takes its input channels from the first batch.

    >>> import samara
    >>> LazyConvTranspose2d(4, 2, stride=2)(samara.ones(2, 5, 3, 3)).shape
    (2, 4, 6, 6)
    """


class LazyConvTranspose3d(_LazyConvTranspose, ConvTranspose3d):
    """A `ConvTranspose3d` that takes its input channels from the first batch.

    >>> import samara
    >>> LazyConvTranspose3d(4, 1)(samara.ones(2, 5, 2, 2, 2)).shape
    (2, 4, 2, 2, 2)
    """
