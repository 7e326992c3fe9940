"""Counting elements in bins: bucketize, histc, histogram, histogramdd."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

import samara._core as _core
from samara._core import DType, int32, int64
from samara.dtypes import BOOL
from samara.errors import ArgumentError, ShapeError
from samara.ops.checks import require_dtype
from samara.ops.comparison import isnan
from samara.ops.creation import linspace, zeros
from samara.ops.gathering import bincount
from samara.ops.record import FLOAT, REAL, ErrorSample, Sample, composite, plain
from samara.ops.selection import where
from samara.ops.sorting import searchsorted
from samara.tensor import Tensor, asarray

ORDERED = (*REAL, *BOOL)


class HistogramResult(NamedTuple):
    """How many elements each bin holds, and the bins' edges."""

    hist: Tensor
    bin_edges: Tensor


@composite(
    "bucketize(x: any, boundaries, *, out_int32: bool = False, right: bool = False)",
    doc="""The bucket of each element: b[i - 1] < x <= b[i], or with `right` b[i - 1] <= x < b[i].

    x: [*S] or a number, boundaries: [n], sorted -> [*S] int64, or int32.

    Raises ShapeError unless the boundaries have one axis. Source: PyTorch, `torch.bucketize`.

    >>> samara.bucketize(samara.tensor([1, 3, 9]), samara.tensor([1, 5])).tolist()
    [0, 1, 2]
    """,
    ref=lambda x, boundaries, out_int32=False, right=False: np.searchsorted(
        boundaries, x, side="right" if right else "left"
    ),
    dtypes=ORDERED,
    ulp=0,
    samples=lambda rng: [
        # Boundaries that are in order as unsigned integers too.
        Sample(rng.uniform(0.0, 9.0, size=(3, 4)), np.array([1.0, 2.5, 6.0])),
        Sample(np.array([1.0, 2.5]), np.array([1.0, 2.0, 2.5]), right=True),
        Sample(rng.normal(size=()), np.array([0.0]), out_int32=True),
    ],
    errors=lambda: [ErrorSample(ShapeError, "boundaries has", np.ones(2), np.ones((2, 2)))],
    methods=(),
)
def bucketize(
    x: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False
) -> Tensor:
    require_dtype("bucketize", boundaries, ORDERED, "boundaries")
    if boundaries.ndim != 1:
        raise ShapeError(
            f"bucketize: boundaries has shape {boundaries.shape}. Expected one axis. "
            "Fix: use searchsorted for rows of boundaries."
        )
    values = x if isinstance(x, Tensor) else asarray(x, device=boundaries.device)
    found = searchsorted(boundaries, values, side="right" if right else "left")
    return found.to(int32) if out_int32 else found


def _bounds(place: str, x: Tensor, low: float, high: float) -> tuple[float, float]:
    if low == high == 0 and x.numel():
        low, high = x.min().item(), x.max().item()
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ArgumentError(
            f"{place}: the range is {low} to {high}. Expected finite numbers in order. "
            "Fix: pass a range, and look for NaN and infinities."
        )
    return (low - 1.0, high + 1.0) if low == high else (low, high)


def _counted(x: Tensor, low: float, high: float, bins: int, weight: Tensor | None) -> Tensor:
    """Counts in equal bins; the last one holds its upper edge."""
    inside = (x >= low) & (x <= high)
    wide = x.to(_core.float64)
    place = ((wide - low) * (bins / (high - low))).floor().clamp(0, bins - 1)
    index = where(inside, place, float(bins)).to(int64)
    weights = None if weight is None else weight.reshape(-1)
    return bincount(index.reshape(-1), weights, minlength=bins + 1)[:bins]


def _histc_ref(x: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    low, high = (x.min(), x.max()) if min == max == 0 and x.size else (min, max)
    if low == high:
        low, high = low - 1, high + 1
    return np.histogram(x, bins, (low, high))[0] * 1.0


@composite(
    "histc(x, bins: int = 100, min: number = 0, max: number = 0)",
    doc="""How many elements fall into each of `bins` equal bins from min to max.

    x: [*S] float -> [bins] of x's dtype. With min = max = 0 the range is that of the elements.
    Elements outside of it, and NaN in a given range, are left out.

    Raises ArgumentError for no bins or a range that is not finite. Source: PyTorch, `torch.histc`.

    >>> samara.histc(samara.tensor([1.0, 2.0, 1.0]), bins=4, min=0, max=3).tolist()
    [0.0, 2.0, 1.0, 0.0]
    """,
    ref=_histc_ref,
    ulp=0,
    samples=lambda rng: [
        Sample(rng.normal(size=40), 5, -2, 3),
        Sample(rng.normal(size=(3, 4)), bins=3),
        Sample(np.array([1.0, 2.0, 1.0, 5.0, -1.0]), 4, 0, 4),
        Sample(np.ones(3), 3),
        Sample(np.ones(1), 2),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "bins is 0", np.ones(2), 0),
        ErrorSample(ArgumentError, "the range is 3", np.ones(2), 4, 3, 1),
    ],
    differentiable=False,
)
def histc(x: Tensor, bins: int = 100, min: Any = 0, max: Any = 0) -> Tensor:
    require_dtype("histc", x, FLOAT)
    if bins < 1:
        raise ArgumentError(f"histc: bins is {bins}. Expected 1 or more. Fix: correct bins.")
    values = x.detach()
    low, high = _bounds("histc", values, float(min), float(max))
    return _counted(values, low, high, bins, None).to(x.dtype)


def _edges(place: str, bins: Tensor, dtype: DType) -> Tensor:
    edges = bins.detach().to(dtype)
    if edges.ndim != 1 or edges.shape[0] < 2 or bool((edges[1:] < edges[:-1]).any()):
        raise ArgumentError(
            f"{place}: the edges of the bins are out of order. Expected two or more numbers "
            "that do not fall. Fix: sort them."
        )
    return edges


def _places(x: Tensor, edges: Tensor) -> Tensor:
    """The bin of each element of a vector; the number of bins where it is in none."""
    count = edges.shape[0] - 1
    place = searchsorted(edges, x, side="right") - 1
    place = where(x == edges[-1], count - 1, place)
    return where((place < 0) | (place >= count) | isnan(x), count, place)


def _histogram_ref(
    x: Any, bins: Any, range: Any = None, weight: Any = None, density: bool = False
) -> Any:
    edges = bins if isinstance(bins, int) else np.asarray(bins)
    made = np.histogram(x, edges, range, density, weight)
    return made[0] * 1.0, made[1]


@composite(
    "histogram(x, bins: any, *, range: floats? = None, weight: Tensor? = None, "
    "density: bool = False)",
    doc="""Counts, or sums of weights, of the elements in bins: the named tuple (hist, bin_edges).

    x: [*S] float; bins: how many equal bins, or their edges [n + 1]; range: the first and the last
    edge; weight: [*S] -> [n] and [n + 1] of x's dtype. The last bin holds its upper edge. `density`
    divides by the total and by the bins' widths.

    Raises ArgumentError for no bins or edges out of order. Source: PyTorch, `torch.histogram`.

    >>> samara.histogram(samara.tensor([1.0, 2.0, 1.0]), 2, range=(0.0, 4.0)).hist.tolist()
    [2.0, 1.0]
    """,
    ref=_histogram_ref,
    ulp=8,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=40), 5, range=(-2.0, 2.0)),
        Sample(rng.normal(size=(3, 4)), np.array([-1.0, 0.0, 0.5, 2.0])),
        Sample(np.array([0.5, 1.5, 1.5, 4.0]), 4, range=(0.0, 4.0), density=True),
        Sample(np.array([0.5, 1.5]), 2, range=(0.0, 2.0), weight=np.array([0.5, 2.0])),
        Sample(np.ones(1), 2, range=(0.0, 2.0)),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "bins is 0", np.ones(2), 0),
        ErrorSample(ArgumentError, "out of order", np.ones(2), np.array([2.0, 1.0])),
        ErrorSample(ShapeError, "weight has", np.ones(2), 2, weight=np.ones(3)),
    ],
    methods=("histogram",),
    differentiable=False,
)
def histogram(
    x: Tensor,
    bins: Any,
    *,
    range: Any = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any:
    require_dtype("histogram", x, FLOAT)
    values = x.detach()
    if weight is not None and weight.shape != x.shape:
        raise ShapeError(
            f"histogram: weight has shape {weight.shape}. Expected {x.shape}. Fix: correct it."
        )
    weights = None if weight is None else weight.detach()
    if isinstance(bins, Tensor):
        edges = _edges("histogram", bins, x.dtype)
        count = edges.shape[0] - 1
        place = _places(values.reshape(-1), edges)
        flat = None if weights is None else weights.reshape(-1)
        hist = bincount(place, flat, minlength=count + 1)[:count]
    else:
        if bins < 1:
            raise ArgumentError(
                f"histogram: bins is {bins}. Expected 1 or more. Fix: correct bins."
            )
        if range is not None and (not isinstance(range, Sequence) or len(range) != 2):
            raise ArgumentError(
                f"histogram: range is {range!r}. Expected the first and the last edge. "
                "Fix: pass e.g. range=(0.0, 1.0)."
            )
        low, high = (0.0, 0.0) if range is None else (float(range[0]), float(range[1]))
        low, high = _bounds("histogram", values, low, high)
        hist = _counted(values, low, high, bins, weights)
        edges = linspace(low, high, bins + 1, dtype=x.dtype, device=x.device)
    hist = hist.to(x.dtype)
    if density:
        hist = hist / (hist.sum() * (edges[1:] - edges[:-1]))
    return HistogramResult(hist, edges)


class HistogramddResult(NamedTuple):
    """How many rows each cell holds, and the edges along each axis."""

    hist: Tensor
    bin_edges: tuple[Tensor, ...]


@plain()
def histogramdd(
    x: Tensor,
    bins: Any,
    range: Any = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> HistogramddResult:
    """Counts, or sums of weights, of points in the cells of a grid: (hist, bin_edges).

    x: [*, D] float; bins: how many equal bins, for all axes or one number each, or D tensors of
    edges; range: the first and last edge of each axis, 2 D numbers, by default those of the points;
    weight: [*] -> hist [bins of each axis] and D tensors of edges, all of x's dtype. The last bin
    holds its upper edge. `density` divides by the total and by the cells' volumes.

    Raises ArgumentError for bins, edges and ranges that do not fit, ShapeError for a weight of
    another shape. Source: PyTorch, `torch.histogramdd`.

    >>> points = samara.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [2.0, 2.0]])
    >>> samara.histogramdd(points, [2, 2], range=(0.0, 4.0, 0.0, 4.0)).hist.tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """
    place = "histogramdd"
    require_dtype(place, x, FLOAT)
    if not x.ndim:
        raise ShapeError(f"{place}: x has no axes. Expected points [*, D]. Fix: reshape it.")
    if weight is not None and weight.shape != x.shape[:-1]:
        raise ShapeError(
            f"{place}: weight has shape {weight.shape}. Expected {x.shape[:-1]}. Fix: correct it."
        )
    axes = x.shape[-1]
    each = list(bins) if isinstance(bins, (list, tuple)) else [bins] * axes
    limits = [0.0] * (2 * axes) if range is None else [float(edge) for edge in range]
    if len(each) != axes or len(limits) != 2 * axes:
        found = f"{len(each)} entries in bins" if len(each) != axes else "range"
        found += f" for {axes} axes" if len(each) != axes else f" has {len(limits)} numbers"
        raise ArgumentError(
            f"{place}: {found}. Expected {axes} bins and {2 * axes} numbers. Fix: pass one entry "
            "and two edges for each axis."
        )
    points = x.detach().reshape(-1, axes)
    edges = []
    cells, inside = zeros(points.shape[0], dtype=int64, device=x.device), None
    for axis, wanted in enumerate(each):
        values = points[:, axis]
        if isinstance(wanted, Tensor):
            edges.append(_edges(place, wanted, x.dtype))
        else:
            if wanted < 1:
                raise ArgumentError(
                    f"{place}: bins is {wanted}. Expected 1 or more. Fix: correct bins."
                )
            low, high = _bounds(place, values, limits[2 * axis], limits[2 * axis + 1])
            edges.append(linspace(low, high, wanted + 1, dtype=x.dtype, device=x.device))
        count = edges[-1].shape[0] - 1
        at = _places(values, edges[-1])
        cells = cells * count + at.clamp(max=count - 1)
        inside = at < count if inside is None else inside & (at < count)
    shape = [edge.shape[0] - 1 for edge in edges]
    flat = None if weight is None else weight.detach().reshape(-1)
    total = math.prod(shape)
    index = cells if inside is None else where(inside, cells, total)
    hist = bincount(index, flat, minlength=total + 1)[:total].reshape(shape).to(x.dtype)
    if density:
        hist = hist / hist.sum()
        for axis, edge in enumerate(edges):
            widths = edge[1:] - edge[:-1]
            hist = hist / widths.reshape([-1 if k == axis else 1 for k, _ in enumerate(edges)])
    return HistogramddResult(hist, tuple(edges))
