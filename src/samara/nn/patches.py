"""Layers that move pixels between channels and space, and images between blocks and pixels."""

from __future__ import annotations

from collections.abc import Sequence

from samara.nn import functional as F
from samara.nn.module import Module
from samara.tensor import Tensor

__all__ = ["ChannelShuffle", "Fold", "PixelShuffle", "PixelUnshuffle", "Unfold"]

Sizes = int | Sequence[int]


class PixelShuffle(Module):
    """Channels rearranged as pixels (Shi et al., 2016).

    `x: [*, C r^2, H, W]` -> `[*, C, H r, W r]` with r = upscale_factor. Raises ShapeError when the
    channels are no multiple of r^2.

    >>> import samara
    >>> PixelShuffle(2)(samara.ones(1, 8, 3, 3)).shape
    (1, 2, 6, 6)
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        """`[*, C r^2, H, W]` -> `[*, C, H r, W r]`."""
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        """The factor."""
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Pixels rearranged as channels, the inverse of PixelShuffle.

    `x: [*, C, H r, W r]` -> `[*, C r^2, H, W]` with r = downscale_factor. Raises ShapeError when
    height or width is no multiple of r.

    >>> import samara
    >>> PixelUnshuffle(2)(samara.ones(1, 2, 6, 6)).shape
    (1, 8, 3, 3)
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        """`[*, C, H r, W r]` -> `[*, C r^2, H, W]`."""
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        """The factor."""
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """Channels dealt out anew: the first of each group, then the second of each (ShuffleNet, 2018).

    `x: [N, C, *]` -> `[N, C, *]`. Raises ShapeError when the channels are no multiple of groups.

    >>> import samara
    >>> ChannelShuffle(2)(samara.arange(4).reshape(1, 4, 1)).flatten().tolist()
    [0, 2, 1, 3]
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        """`[N, C, *]` -> `[N, C, *]`."""
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        """The number of groups."""
        return f"groups={self.groups}"


class Unfold(Module):
    """The sliding blocks of images as columns (im2col).

    `x: [N, C, H, W]` -> `[N, C * kernel, L]` with L blocks. Raises ShapeError for images without a
    block.

    >>> import samara
    >>> Unfold((2, 3))(samara.ones(2, 5, 3, 4)).shape
    (2, 30, 4)
    """

    def __init__(
        self, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        """`[N, C, H, W]` -> `[N, C * kernel, L]`."""
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """The blocks' geometry."""
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, "
            f"stride={self.stride}"
        )


class Fold(Unfold):
    """Images as the sums of overlapping blocks, the adjoint of Unfold.

    `x: [N, C * kernel, L]` -> `[N, C, *output_size]`. Raises ShapeError when L is not the number of
    blocks.

    >>> import samara
    >>> Fold((3, 4), (2, 3))(samara.ones(2, 30, 4)).shape
    (2, 5, 3, 4)
    """

    def __init__(
        self,
        output_size: Sizes,
        kernel_size: Sizes,
        dilation: Sizes = 1,
        padding: Sizes = 0,
        stride: Sizes = 1,
    ) -> None:
        super().__init__(kernel_size, dilation, padding, stride)
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        """`[N, C * kernel, L]` -> `[N, C, *output_size]`."""
        return F.fold(
            input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        )

    def extra_repr(self) -> str:
        """The image's size and the blocks' geometry."""
        return f"output_size={self.output_size}, {super().extra_repr()}"
