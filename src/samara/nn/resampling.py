"""Layers that change the size of images, signals and volumes."""

from __future__ import annotations

from collections.abc import Sequence

from samara.nn import functional as F
from samara.nn.module import Module
from samara.tensor import Tensor

__all__ = ["Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"]

Sizes = int | Sequence[int] | None
Factors = float | Sequence[float] | None


class Upsample(Module):
    """Signals, images or volumes at another size; see `F.interpolate` for the modes.

    `x: [N, C, *spatial]` -> `[N, C, *size]`, or `[N, C, *(floor(spatial * scale_factor))]`. Raises
    ArgumentError when not exactly one of size and scale_factor is given.

    >>> import samara
    >>> Upsample(scale_factor=2)(samara.tensor([[[1.0, 2.0]]])).tolist()
    [[[1.0, 1.0, 2.0, 2.0]]]
    """

    def __init__(
        self,
        size: Sizes = None,
        scale_factor: Factors = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.name = type(self).__name__
        self.size = size
        self.scale_factor: Factors
        if isinstance(scale_factor, Sequence):
            self.scale_factor = tuple(float(factor) for factor in scale_factor)
        else:
            self.scale_factor = None if scale_factor is None else float(scale_factor)
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        """`[N, C, *spatial]` -> `[N, C, *size]`."""
        return F.interpolate(
            input,
            self.size,
            self.scale_factor,
            self.mode,
            self.align_corners,
            self.recompute_scale_factor,
        )

    def extra_repr(self) -> str:
        """The factor or the size, and the mode."""
        given = (
            f"size={self.size}"
            if self.scale_factor is None
            else f"scale_factor={self.scale_factor}"
        )
        return f"{given}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Images at another size, each pixel the nearest one.

    `x: [N, C, H, W]` -> `[N, C, *size]`.

    >>> import samara
    >>> UpsamplingNearest2d(scale_factor=2)(samara.ones(1, 1, 1, 1)).shape
    (1, 1, 2, 2)
    """

    def __init__(self, size: Sizes = None, scale_factor: Factors = None) -> None:
        super().__init__(size, scale_factor)


class UpsamplingBilinear2d(Upsample):
    """Images at another size, linear between the pixels, with aligned corners.

    `x: [N, C, H, W]` -> `[N, C, *size]`.

    >>> import samara
    >>> UpsamplingBilinear2d((1, 3))(samara.tensor([[[[1.0, 3.0]]]])).tolist()
    [[[[1.0, 2.0, 3.0]]]]
    """

    def __init__(self, size: Sizes = None, scale_factor: Factors = None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)
