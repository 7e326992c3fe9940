"""Padding layers."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from samara.errors import ArgumentError
from samara.nn import functional as F
from samara.nn.module import Module
from samara.tensor import Tensor

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]

Padding = int | Sequence[int]


class _Pad(Module):
    """What all padding layers share: (left, right, top, bottom, front, back) as one or all."""

    spatial: int
    mode = "constant"

    def __init__(self, padding: Padding) -> None:
        super().__init__()
        self.padding = self._ends(padding)

    def _ends(self, padding: Any) -> tuple[int, ...]:
        count, name = 2 * self.spatial, type(self).__name__
        try:
            given = (
                [operator.index(one) for one in padding]
                if isinstance(padding, Sequence)
                else [operator.index(padding)] * count
            )
        except TypeError:
            given = []
        if len(given) != count or isinstance(padding, bool):
            raise ArgumentError(
                f"{name}: padding is {padding!r}. Expected an integer, or {count} of them: both "
                f"ends of the last axis first. Fix: padding={'(1, 1)' if count == 2 else 1}, say."
            )
        return tuple(given)

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]` with longer axes."""
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        """The padding."""
        return str(self.padding)


class _ConstantPad(_Pad):
    def __init__(self, padding: Padding, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]` with longer axes."""
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        """Padding and value."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """A number around signals, which may also be cropped with negative padding.

    `x: [*, W]` -> the same with longer axes. `padding`: (left, right),
    or one number for all. See `F.pad`.

    >>> import samara
    >>> ConstantPad1d(1, 7.0)(samara.tensor([[1.0, 2.0]])).tolist()
    [[7.0, 1.0, 2.0, 7.0]]
    """

    spatial = 1


class ConstantPad2d(_ConstantPad):
    """A number around images, which may also be cropped with negative padding.

    `x: [*, H, W]` -> the same with longer axes. `padding`: (left, right, top, bottom),
    or one number for all. See `F.pad`.

    >>> import samara
    >>> ConstantPad2d(1, 7.0)(samara.ones(1, 2, 3)).shape
    (1, 4, 5)
    """

    spatial = 2


class ConstantPad3d(_ConstantPad):
    """A number around volumes, which may also be cropped with negative padding.

    `x: [*, D, H, W]` -> the same with longer axes. `padding`:
    (left, right, top, bottom, front, back), or one number for all. See `F.pad`.

    >>> import samara
    >>> ConstantPad3d(1, 7.0)(samara.ones(1, 2, 2, 3)).shape
    (1, 4, 4, 5)
    """

    spatial = 3


class ZeroPad1d(_Pad):
    """Zeros around signals.

    `x: [*, W]` -> the same with longer axes. `padding`: (left, right),
    or one number for all. See `F.pad`.

    >>> import samara
    >>> ZeroPad1d(1)(samara.tensor([[1.0, 2.0]])).tolist()
    [[0.0, 1.0, 2.0, 0.0]]
    """

    spatial = 1


class ZeroPad2d(_Pad):
    """Zeros around images.

    `x: [*, H, W]` -> the same with longer axes. `padding`: (left, right, top, bottom),
    or one number for all. See `F.pad`.

    >>> import samara
    >>> ZeroPad2d(1)(samara.ones(1, 2, 3)).shape
    (1, 4, 5)
    """

    spatial = 2


class ZeroPad3d(_Pad):
    """Zeros around volumes.

    `x: [*, D, H, W]` -> the same with longer axes. `padding`:
    (left, right, top, bottom, front, back), or one number for all. See `F.pad`.

    >>> import samara
    >>> ZeroPad3d(1)(samara.ones(1, 2, 2, 3)).shape
    (1, 4, 4, 5)
    """

    spatial = 3


class ReflectionPad1d(_Pad):
    """Signals mirrored at the edges; the padding is shorter than the axis.

    `x: [*, W]` -> the same with longer axes. `padding`: (left, right),
    or one number for all. See `F.pad`.

    >>> import samara
    >>> ReflectionPad1d(1)(samara.tensor([[1.0, 2.0]])).tolist()
    [[2.0, 1.0, 2.0, 1.0]]
    """

    spatial = 1
    mode = "reflect"


class ReflectionPad2d(_Pad):
    """Images mirrored at the edges; the padding is shorter than the axis.

    `x: [*, H, W]` -> the same with longer axes. `padding`: (left, right, top, bottom),
    or one number for all. See `F.pad`.

    >>> import samara
    >>> ReflectionPad2d(1)(samara.ones(1, 2, 3)).shape
    (1, 4, 5)
    """

    spatial = 2
    mode = "reflect"


class ReflectionPad3d(_Pad):
    """Volumes mirrored at the edges; the padding is shorter than the axis.

    `x: [*, D, H, W]` -> the same with longer axes. `padding`:
    (left, right, top, bottom, front, back), or one number for all. See `F.pad`.

    >>> import samara
    >>> ReflectionPad3d(1)(samara.ones(1, 2, 2, 3)).shape
    (1, 4, 4, 5)
    """

    spatial = 3
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """Signals with the elements of the edges repeated.

    `x: [*, W]` -> the same with longer axes. `padding`: (left, right),
    or one number for all. See `F.pad`.

    >>> import samara
    >>> ReplicationPad1d(1)(samara.tensor([[1.0, 2.0]])).tolist()
    [[1.0, 1.0, 2.0, 2.0]]
    """

    spatial = 1
    mode = "replicate"


class ReplicationPad2d(_Pad):
    """Images with the elements of the edges repeated.

    `x: [*, H, W]` -> the same with longer axes. `padding`: (left, right, top, bottom),
    or one number for all. See `F.pad`.

    >>> import samara
    >>> ReplicationPad2d(1)(samara.ones(1, 2, 3)).shape
    (1, 4, 5)
    """

    spatial = 2
    mode = "replicate"


class ReplicationPad3d(_Pad):
    """Volumes with the elements of the edges repeated.

    `x: [*, D, H, W]` -> the same with longer axes. `padding`:
    (left, right, top, bottom, front, back), or one number for all. See `F.pad`.

    >>> import samara
    >>> ReplicationPad3d(1)(samara.ones(1, 2, 2, 3)).shape
    (1, 4, 4, 5)
    """

    spatial = 3
    mode = "replicate"


class CircularPad1d(_Pad):
    """Signals repeated at the other end; the padding is at most the axis.

    `x: [*, W]` -> the same with longer axes. `padding`: (left, right),
    or one number for all. See `F.pad`.

    >>> import samara
    >>> CircularPad1d(1)(samara.tensor([[1.0, 2.0]])).tolist()
    [[2.0, 1.0, 2.0, 1.0]]
    """

    spatial = 1
    mode = "circular"


class CircularPad2d(_Pad):
    """Images repeated at the other end; the padding is at most the axis.

    `x: [*, H, W]` -> the same with longer axes. `padding`: (left, right, top, bottom),
    or one number for all. See `F.pad`.

    >>> import samara
    >>> CircularPad2d(1)(samara.ones(1, 2, 3)).shape
    (1, 4, 5)
    """

    spatial = 2
    mode = "circular"


class CircularPad3d(_Pad):
    """Volumes repeated at the other end; the padding is at most the axis.

    `x: [*, D, H, W]` -> the same with longer axes. `padding`:
    (left, right, top, bottom, front, back), or one number for all. See `F.pad`.

    >>> import samara
    >>> CircularPad3d(1)(samara.ones(1, 2, 2, 3)).shape
    (1, 4, 4, 5)
    """

    spatial = 3
    mode = "circular"
