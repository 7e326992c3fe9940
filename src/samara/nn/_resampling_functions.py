"""PyTorch's earlier names of interpolate."""

from __future__ import annotations

from collections.abc import Sequence

import samara
from samara.tensor import Tensor

__all__ = ["upsample", "upsample_bilinear", "upsample_nearest"]

Sizes = int | Sequence[int] | None
Factors = float | Sequence[float] | None


def upsample(
    input: Tensor,
    size: Sizes = None,
    scale_factor: Factors = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """`interpolate` with its first options. `[N, C, *spatial]` -> `[N, C, *size]`.

    >>> import samara
    >>> upsample(samara.tensor([[[1.0, 2.0]]]), 4).tolist()
    [[[1.0, 1.0, 2.0, 2.0]]]
    """
    y: Tensor = samara.interpolate(input, size, scale_factor, mode, align_corners)
    return y


def upsample_nearest(input: Tensor, size: Sizes = None, scale_factor: Factors = None) -> Tensor:
    """`interpolate` in mode "nearest". `[N, C, *spatial]` -> `[N, C, *size]`.

    >>> import samara
    >>> upsample_nearest(samara.tensor([[[1.0, 2.0]]]), scale_factor=2).tolist()
    [[[1.0, 1.0, 2.0, 2.0]]]
    """
    return upsample(input, size, scale_factor)


def upsample_bilinear(input: Tensor, size: Sizes = None, scale_factor: Factors = None) -> Tensor:
    """`interpolate` in mode "bilinear", corners aligned. `[N, C, H, W]` -> `[N, C, *size]`.

    >>> import samara
    >>> upsample_bilinear(samara.tensor([[[[1.0, 3.0]]]]), (1, 3)).tolist()
    [[[[1.0, 2.0, 3.0]]]]
    """
    return upsample(input, size, scale_factor, "bilinear", align_corners=True)
