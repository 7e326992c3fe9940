"""Running extremes and log-sums along an axis; integrals and derivatives of sampled functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

import samara._core as _core
from samara.dtypes import BOOL
from samara.errors import ArgumentError, ShapeError
from samara.ops.arithmetic import logaddexp
from samara.ops.checks import broadcast, require_dtype
from samara.ops.join import concat
from samara.ops.manipulation import _axes, _axis
from samara.ops.record import FLOAT, NUMERIC, REAL, ErrorSample, Sample, composite
from samara.tensor import Tensor, asarray

ORDERED = (*REAL, *BOOL)


class CummaxResult(NamedTuple):
    """Running maxima, and where each stands."""

    values: Tensor
    indices: Tensor


class CumminResult(NamedTuple):
    """Running minima, and where each stands."""

    values: Tensor
    indices: Tensor


_extremum = _core.Operation(
    "cumulative_extremum(x, axis: int, smallest: bool)", "cumulative_extremum"
)


def _extremum_ref(smallest: bool) -> Any:
    def ref(x: Any, axis: int) -> Any:
        if x.ndim == 0:
            return x, np.zeros((), np.int64)
        rows = np.moveaxis(x, axis, -1)
        index = np.zeros(rows.shape, np.int64)
        for place in np.ndindex(rows.shape[:-1]):
            best = 0
            for i, value in enumerate(rows[place]):
                old = rows[place][best]
                wins = value <= old if smallest else value >= old
                best = i if wins or value != value else best
                index[(*place, i)] = best
        index = np.moveaxis(index, -1, axis)
        return np.take_along_axis(x, index, axis), index

    return ref


def _distinct(rng: np.random.Generator) -> list[Sample]:
    def draw(*shape: int) -> Any:
        return rng.permutation(math.prod(shape)).reshape(shape) / 4.0 - 2.0

    return [
        Sample(draw(3, 4), 1),
        Sample(draw(3, 4), 0),
        Sample(draw(2, 3, 2), -2),
        Sample(np.array([1.0, 3.0, 3.0, -1.0, np.nan, 2.0, np.nan]), 0),
        Sample(draw(1), 0),
        Sample(np.zeros((0, 3)), 0),
        Sample(np.array(2.0), 0),
    ]


def _axis_errors() -> list[ErrorSample]:
    return [ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 3)), 2)]


_EXTREMUM_DOC = """The {what} element so far along `axis`, and where it stands: (values, indices).

    x: [*S] real -> [*S], the same as int64. Of equal elements the last counts, and a NaN from where
    it stands on. The gradient goes to the chosen elements.

    Raises IndexOutOfRangeError for an axis that does not exist. Source: PyTorch, `torch.{name}`.

    >>> samara.{name}(samara.tensor([2.0, 1.0, 3.0]), 0).values.tolist()
    {answer}
    """


def _running(place: str, x: Tensor, axis: int, smallest: bool) -> tuple[Tensor, Tensor]:
    require_dtype(place, x, ORDERED)
    if x.ndim:
        _axis(place, axis, x.ndim)
    index = _extremum(x.detach(), axis, smallest)
    return x.gather(axis, index), index


@composite(
    "cummax(x, axis: int)",
    doc=_EXTREMUM_DOC.format(what="largest", name="cummax", answer="[2.0, 2.0, 3.0]"),
    ref=_extremum_ref(smallest=False),
    dtypes=ORDERED,
    ulp=0,
    samples=_distinct,
    errors=_axis_errors,
)
def cummax(x: Tensor, axis: int) -> Any:
    return CummaxResult(*_running("cummax", x, axis, False))


@composite(
    "cummin(x, axis: int)",
    doc=_EXTREMUM_DOC.format(what="smallest", name="cummin", answer="[2.0, 1.0, 1.0]"),
    ref=_extremum_ref(smallest=True),
    dtypes=ORDERED,
    ulp=0,
    samples=_distinct,
    errors=_axis_errors,
)
def cummin(x: Tensor, axis: int) -> Any:
    return CumminResult(*_running("cummin", x, axis, True))


@composite(
    "logcumsumexp(x, axis: int)",
    doc="""log of the running sums of e^x along `axis`, without overflow. x: [*S] float -> [*S].

    Raises IndexOutOfRangeError for an axis that does not exist.
    Source: PyTorch, `torch.logcumsumexp`.

    >>> samara.logcumsumexp(samara.tensor([1000.0, -1000.0]), 0).tolist()
    [1000.0, 1000.0]
    """,
    ref=lambda x, axis: np.logaddexp.accumulate(x, axis) if x.ndim else x,
    ulp=16,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), 1),
        Sample(rng.normal(size=(3, 4)), 0),
        Sample(rng.normal(size=(2, 9)), -1),
        Sample(np.array([-np.inf, 1.0, 2.0]), 0),
        Sample(rng.normal(size=1), 0),
        Sample(np.zeros((0, 3)), 0),
    ],
    errors=_axis_errors,
)
def logcumsumexp(x: Tensor, axis: int) -> Tensor:
    require_dtype("logcumsumexp", x, FLOAT)
    if x.ndim == 0:
        return x.clone()
    place = _axis("logcumsumexp", axis, x.ndim)
    size, step = x.shape[place], 1
    # Sums over 1, 2, 4, ... elements: as few roundings as there are doublings.
    while step < size:
        head = x.narrow(place, 0, step)
        tail = logaddexp(x.narrow(place, step, size - step), x.narrow(place, 0, size - step))
        x = concat([head, tail], place)
        step *= 2
    return x


# --- integrals and derivatives --------------------------------------------------------------------


def _pieces(place: str, y: Tensor, x: Tensor | None, dx: Any, axis: int) -> Tensor:
    """(y_i + y_(i+1)) / 2 times the width of each step."""
    require_dtype(place, y, NUMERIC, "y")
    at = _axis(place, axis, y.ndim)
    count = max(y.shape[at] - 1, 0)
    first = y.narrow(at, 0, count)
    sums = first + y.narrow(at, min(1, y.shape[at]), count)
    if x is None:
        pieces: Tensor = sums * (dx / 2)
        return pieces
    if x.ndim == 1:
        if x.shape[0] != y.shape[at]:
            raise ShapeError(
                f"{place}: x has {x.shape[0]} elements for {y.shape[at]} along axis {axis}. "
                "Expected as many. Fix: correct x."
            )
        width = (x[1:] - x[:-1]).reshape((-1,) + (1,) * (y.ndim - at - 1))
    else:
        broadcast(place, y.shape, x.shape)
        there = at - y.ndim + x.ndim
        width = x.narrow(there, 1, x.shape[there] - 1) - x.narrow(there, 0, x.shape[there] - 1)
    return sums * width / 2


def _trapezoid_samples(rng: np.random.Generator) -> list[Sample]:
    grid = np.cumsum(rng.uniform(0.5, 1.5, size=4))
    return [
        Sample(rng.normal(size=(3, 4))),
        Sample(rng.normal(size=(3, 4)), dx=0.5, axis=0),
        Sample(rng.normal(size=(3, 4)), grid),
        Sample(rng.normal(size=(4, 2)), grid, axis=0),
        Sample(rng.normal(size=(3, 4)), np.cumsum(rng.uniform(0.5, 1.5, (3, 4)), 1)),
        Sample(rng.normal(size=1)),
    ]


def _trapezoid_errors() -> list[ErrorSample]:
    return [
        ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 3)), axis=2),
        ErrorSample(ShapeError, "x has 2 elements", np.ones((2, 3)), np.ones(2)),
    ]


def _trapezoid_ref(y: Any, x: Any = None, dx: Any = 1, axis: int = -1) -> Any:
    return np.trapezoid(y, x, dx, axis)


def _cumulative_ref(y: Any, x: Any = None, dx: Any = 1, axis: int = -1) -> Any:
    rows = np.moveaxis(y, axis, -1)
    grid = None if x is None else x if x.ndim == 1 else np.moveaxis(x, axis, -1)
    parts = [
        np.trapezoid(rows[..., : i + 1], None if grid is None else grid[..., : i + 1], dx)
        for i in range(1, rows.shape[-1])
    ]
    if not parts:
        return np.zeros((*rows.shape[:-1], 0), rows.dtype)
    return np.moveaxis(np.stack(parts, -1), -1, axis)


_TRAPEZOID_DOC = """{what} of y over x, or over steps of dx, by the trapezoidal rule.

    y: [*S] numbers, x: [n] or a shape that broadcasts with y's -> {out}.

    Raises ShapeError when x does not fit, IndexOutOfRangeError for an axis that does not exist.
    Source: PyTorch, `torch.{name}`.

    >>> samara.{name}(samara.tensor([1.0, 2.0, 3.0])).tolist()
    {answer}
    """


@composite(
    "trapezoid(y, x: Tensor? = None, *, dx: number = 1, axis: int = -1)",
    doc=_TRAPEZOID_DOC.format(
        what="The integral", name="trapezoid", out="[*S without axis]", answer="4.0"
    ),
    ref=_trapezoid_ref,
    dtypes=(*FLOAT, _core.complex64, _core.complex128),
    ulp=16,
    condition="max",
    samples=_trapezoid_samples,
    errors=_trapezoid_errors,
    aliases=("trapz",),
    methods=(),
)
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = 1, axis: int = -1) -> Tensor:
    require_dtype("trapezoid", y, (*FLOAT, _core.complex64, _core.complex128), "y")
    return _pieces("trapezoid", y, x, dx, axis).sum(axis=axis)


@composite(
    "cumulative_trapezoid(y, x: Tensor? = None, *, dx: number = 1, axis: int = -1)",
    doc=_TRAPEZOID_DOC.format(
        what="The integral up to each place",
        name="cumulative_trapezoid",
        out="[*S with one less at axis]",
        answer="[1.5, 4.0]",
    ),
    ref=_cumulative_ref,
    dtypes=(*FLOAT, _core.complex64, _core.complex128),
    ulp=16,
    condition="max",
    samples=_trapezoid_samples,
    errors=_trapezoid_errors,
    methods=(),
)
def cumulative_trapezoid(
    y: Tensor, x: Tensor | None = None, *, dx: Any = 1, axis: int = -1
) -> Tensor:
    require_dtype("cumulative_trapezoid", y, (*FLOAT, _core.complex64, _core.complex128), "y")
    return _pieces("cumulative_trapezoid", y, x, dx, axis).cumsum(axis)


def _slope(x: Tensor, at: int, step: Any, edge_order: int) -> Tensor:
    """NumPy's second-order differences; `step` is a number or the places of the samples."""
    size = x.shape[at]
    if size < edge_order + 1:
        raise ShapeError(
            f"gradient: axis {at} has {size} elements. Expected {edge_order + 1} or more for "
            f"edge_order {edge_order}. Fix: sample more points."
        )

    def part(start: int, count: int) -> Tensor:
        return x.narrow(at, start, count)

    if not isinstance(step, Tensor):
        inner = (part(2, size - 2) - part(0, size - 2)) / (2 * step) if size > 2 else None
        first = (part(1, 1) - part(0, 1)) / step
        last = (part(size - 1, 1) - part(size - 2, 1)) / step
        if edge_order == 2:
            first = (-3 * part(0, 1) + 4 * part(1, 1) - part(2, 1)) / (2 * step)
            last = (3 * part(size - 1, 1) - 4 * part(size - 2, 1) + part(size - 3, 1)) / (2 * step)
    else:
        shape = (-1,) + (1,) * (x.ndim - at - 1)
        widths = step[1:] - step[:-1]
        h = widths.reshape(shape)
        d = (part(1, size - 1) - part(0, size - 1)) / h
        first, last, inner = d.narrow(at, 0, 1), d.narrow(at, size - 2, 1), None
        if size > 2:
            a, b = h[:-1], h[1:]
            inner = (b * d.narrow(at, 0, size - 2) + a * d.narrow(at, 1, size - 2)) / (a + b)
        if edge_order == 2:
            a, b = widths[0], widths[1]
            first = d.narrow(at, 0, 1) * (1 + a / (a + b)) - d.narrow(at, 1, 1) * (a / (a + b))
            a, b = widths[-2], widths[-1]
            last = d.narrow(at, size - 2, 1) * (1 + b / (a + b)) - d.narrow(at, size - 3, 1) * (
                b / (a + b)
            )
    return concat([y for y in (first, inner, last) if y is not None], at)


def _gradient_ref(x: Any, spacing: Any = 1, axis: Any = None, edge_order: int = 1) -> Any:
    axes = range(x.ndim) if axis is None else np.atleast_1d(axis)
    steps = spacing if isinstance(spacing, (list, tuple)) else [spacing] * len(axes)
    gradient: Any = np.gradient  # its types know edge orders and axes as literals only
    return [
        gradient(x, step, axis=int(i), edge_order=edge_order)
        for i, step in zip(axes, steps, strict=True)
    ]


@composite(
    "gradient(x, *, spacing: any = 1, axis: ints? = None, edge_order: int = 1)",
    doc="""The derivatives of a sampled function along each axis, by central differences.

    x: [*S] float; spacing: the distance of the samples, one for all axes, or for each axis a number
    or the places of the samples [n] -> a list of tensors [*S], one for each axis in `axis`. At the
    ends differences of order `edge_order`, 1 or 2, are taken.

    Raises ShapeError for too few samples, ArgumentError for another edge_order.
    Source: PyTorch, `torch.gradient`.

    >>> samara.gradient(samara.tensor([1.0, 4.0, 9.0]))[0].tolist()
    [3.0, 4.0, 5.0]
    """,
    ref=_gradient_ref,
    ulp=32,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4))),
        Sample(rng.normal(size=(3, 4)), spacing=0.5, axis=1, edge_order=2),
        Sample(rng.normal(size=(3, 4)), spacing=[2.0, 0.25]),
        Sample(rng.normal(size=5), spacing=[np.array([0.0, 1.0, 1.5, 3.0, 4.0])]),
        Sample(rng.normal(size=5), spacing=[np.array([0.0, 1.0, 1.5, 3.0, 4.0])], edge_order=2),
        Sample(rng.normal(size=(2, 1)), axis=0),
        Sample(np.zeros((2, 0)), axis=0),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "has 1 elements", np.ones((2, 1))),
        ErrorSample(ArgumentError, "edge_order is 3", np.ones(9), edge_order=3),
        ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 3)), axis=2),
    ],
    methods=(),
)
def gradient(x: Tensor, *, spacing: Any = 1, axis: Any = None, edge_order: int = 1) -> Any:
    require_dtype("gradient", x, FLOAT)
    if edge_order not in (1, 2):
        raise ArgumentError(
            f"gradient: edge_order is {edge_order}. Expected 1 or 2. Fix: pass one of these."
        )
    axes = tuple(range(x.ndim)) if axis is None else _axes("gradient", axis, x.ndim)
    steps = list(spacing) if isinstance(spacing, Sequence) else [spacing] * len(axes)
    if len(steps) != len(axes):
        raise ArgumentError(
            f"gradient: {len(steps)} spacings were given for {len(axes)} axes. Expected one, or "
            "one for each axis. Fix: correct spacing."
        )
    steps = [
        step
        if isinstance(step, (int, float)) or (isinstance(step, Tensor) and step.ndim)
        else step.item()
        if isinstance(step, Tensor)
        else asarray(step, dtype=x.dtype, device=x.device)
        for step in steps
    ]
    return [_slope(x, at, step, edge_order) for at, step in zip(axes, steps, strict=True)]
