"""pad: larger or smaller at both ends of some axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from samara.dtypes import ALL
from samara.errors import ArgumentError, DTypeError, ShapeError
from samara.ops.record import ErrorSample, Sample, operation

# NumPy's names of the modes that take their values from the tensor.
_NUMPY_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _pad_ref(x: Any, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    pairs = [(0, 0)] * (x.ndim - len(pad) // 2)
    pairs += [(pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)]
    grown = [(max(left, 0), max(right, 0)) for left, right in pairs]
    if not x.ndim:
        return x
    if mode == "constant":
        fill = 0 if value is None else value
        return np.pad(x, grown, constant_values=np.asarray(fill, x.dtype))[
            tuple(slice(max(-a, 0), None if b >= 0 else b) for a, b in pairs)
        ]
    if mode == "circular":  # what is cropped does not come back at the other end
        ends = zip(pairs, x.shape, strict=True)
        cropped = x[tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in ends)]
        return np.pad(cropped, grown, mode="wrap")
    name: Any = _NUMPY_MODES[mode]
    whole = np.pad(x, grown, mode=name)
    return whole[tuple(slice(max(-a, 0), None if b >= 0 else b) for a, b in pairs)]


def _samples(rng: np.random.Generator) -> list[Sample]:
    def normal(*shape: int) -> Any:
        return rng.normal(size=shape)

    constant = [
        Sample(normal(2, 3, 4), (1, 2)),
        Sample(normal(2, 3, 4), (1, 0, 2, 1), value=3.0),
        Sample(normal(3, 4), [-1, 2, 1, -2]),
        Sample(normal(3, 4), (0, 0, 1, 1), "constant", 1.0),
        Sample(normal(2, 2, 3), (0, 0, 0, 0, 2, 1)),
        Sample(normal(2, 3, 2, 2, 3), (1, 1, 0, 2, -1, 3)),
        Sample(normal(3), (-1, -2)),
        Sample(normal(3), (5, -4)),
        Sample(normal(), ()),
        Sample(normal(1), (1, 0)),
        Sample(normal(0, 3), (1, 1)),
        Sample(normal(2, 0), (1, 2), value=2.0),
    ]
    others = [
        Sample(array, pad, mode)
        for mode in ("reflect", "replicate", "circular")
        for array, pad in (
            (normal(2, 3, 4), (2, 3)),
            (normal(2, 4), (3, -1)),
            (normal(2, 5), (-2, 2)),
            (normal(2, 2, 4, 3), (1, 2, 3, 0)),
            (normal(2, 4, 3), (0, 0, 2, 3)),
            (normal(2, 2, 3, 2, 3), (1, 1, 1, 0, 2, 1)),
            (normal(2, 2, 3, 3), (2, 1, 0, 0, -1, 1)),
            (normal(0, 2, 3), (1, 2)),
        )
    ]
    return [*constant, *others, Sample(normal(1, 1), (4, 4), "replicate")]


def _errors() -> list[ErrorSample]:
    image = np.ones((2, 3, 4))
    return [
        ErrorSample(ArgumentError, "pad \\(1, 2, 3\\) has 3 entries", image, (1, 2, 3)),
        ErrorSample(ShapeError, "8 entries for a tensor of shape", image, (1,) * 8),
        ErrorSample(ShapeError, "padded by \\(-3, -2\\) -1", image, (-3, -2)),
        ErrorSample(ArgumentError, "'constant', .*did you mean 'reflect'", image, (1, 1), "reflct"),
        ErrorSample(ShapeError, "'reflect' pads axis 2 of size 4 by 4", image, (0, 4), "reflect"),
        ErrorSample(ShapeError, "'circular' pads axis 2 of size 4 by 5", image, (5, 0), "circular"),
        ErrorSample(ShapeError, "at most 3, once around", image, (-1, 4), "circular"),
        ErrorSample(ShapeError, "\\[C, W\\] or \\[N, C, W\\]", np.ones(3), (1, 1), "reflect"),
        ErrorSample(ShapeError, "2 entries for", np.ones((1, 1, 3, 3)), (1, 1), "replicate"),
        ErrorSample(ShapeError, "no elements", np.ones((2, 0)), (1, 1), "replicate"),
        ErrorSample(ShapeError, "at least 1", image, (-2, -2), "reflect"),
        ErrorSample(ArgumentError, "value 2", image, (1, 1), "reflect", 2.0),
        ErrorSample(DTypeError, "complex value", image, (1, 1), "constant", 1j),
        ErrorSample(DTypeError, "argument 'pad'", image, "1"),
    ]


pad = operation(
    "pad(x, pad: ints, mode: str = 'constant', value: number? = None)",
    doc="""The tensor with places added at both ends of its last axes, or taken away.

    y[i] = x[i - left] where that exists, with the mode's rule elsewhere: constant: `value`, 0 by
    default; reflect: x mirrored at its first and last element; replicate: the nearest element;
    circular: x repeated. pad = (left, right) of the last axis, then of the one before, and so on;
    negative numbers crop.

    x: [*S] -> [*S] with each padded axis longer by left + right. Modes other than constant pad the
    last 1, 2 or 3 axes of [C, *spatial] or [N, C, *spatial]. The layout in memory stays.

    Raises ArgumentError for an unknown mode, an odd number of entries, and a value for another mode
    than constant; ShapeError when pad has more entries than x has ends of axes, a size would become
    negative, a reflection is not shorter than its axis, or a circle is left twice.
    Source: PyTorch, `torch.nn.functional.pad`.

    >>> samara.pad(samara.tensor([[1, 2, 3]]), (2, 1), mode="reflect").tolist()
    [[3, 2, 1, 2, 3, 2]]
    """,
    ref=_pad_ref,
    dtypes=ALL,
    onnx="Pad",
    ulp=0,
    samples=_samples,
    errors=_errors,
    methods=(),
)

__all__ = ["pad"]
