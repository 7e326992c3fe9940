"""Order statistics, sums and means that leave NaN out, moments and covariances."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import samara._core as _core
from samara._core import int64
from samara.dtypes import BOOL, COMPLEX
from samara.errors import ArgumentError, ShapeError
from samara.ops.arithmetic import maximum
from samara.ops.checks import require_axis_size, require_choice, require_dtype
from samara.ops.comparison import isnan
from samara.ops.creation import arange
from samara.ops.manipulation import _axis
from samara.ops.record import FLOAT, REAL, ErrorSample, Sample, composite
from samara.ops.reduction import max as max_
from samara.ops.reduction import mean, std, var
from samara.ops.reduction import min as min_
from samara.ops.reduction import sum as sum_
from samara.ops.scans import cummax
from samara.ops.selection import where
from samara.ops.sorting import sort_with_indices
from samara.tensor import Tensor, asarray

ORDERED = (*REAL, *BOOL)


class ModeResult(NamedTuple):
    """The most frequent elements, and where each of them stands last."""

    values: Tensor
    indices: Tensor


class NanmedianResult(NamedTuple):
    """Medians, and where each of them stands."""

    values: Tensor
    indices: Tensor


class AminmaxResult(NamedTuple):
    """The smallest and the largest elements."""

    min: Tensor
    max: Tensor


# --- without NaN ----------------------------------------------------------------------------------


def _with_nan(rng: np.random.Generator) -> list[Sample]:
    x = rng.permutation(24).reshape(2, 3, 4) / 4.0 - 2.0
    x[0, 1, 2] = x[1, 0, 0] = x[1, 0, 3] = np.nan
    return [
        Sample(x),
        Sample(x, axis=1),
        Sample(x, axis=-1, keepdims=True),
        Sample(x[0].T, axis=0),
        Sample(rng.normal(size=1), axis=0),
    ]


def _axis_errors() -> list[ErrorSample]:
    return [ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 3)), axis=2)]


@composite(
    "nansum(x, axis: ints? = None, keepdims: bool = False, *, dtype: dtype? = None)",
    doc="""The sum over `axis` of what is not NaN. x: [*S] real -> [*S without axis].

    Source: PyTorch, `torch.nansum`.

    >>> samara.nansum(samara.tensor([1.0, samara.nan, 2.0])).item()
    3.0
    """,
    ref=lambda x, axis=None, keepdims=False: np.nansum(x, axis, keepdims=keepdims),
    dtypes=(*REAL, *BOOL),
    condition="max",
    samples=lambda rng: [*_with_nan(rng), Sample(rng.normal(size=(2, 3, 4)), axis=(0, 2))],
    errors=_axis_errors,
)
def nansum(x: Tensor, axis: Any = None, keepdims: bool = False, *, dtype: Any = None) -> Tensor:
    require_dtype("nansum", x, ORDERED)
    clean = where(isnan(x), 0.0, x) if x.dtype in FLOAT else x
    return sum_(clean, axis=axis, keepdims=keepdims, dtype=dtype)


@composite(
    "nanmean(x, axis: ints? = None, keepdims: bool = False, *, dtype: dtype? = None)",
    doc="""The mean over `axis` of what is not NaN; NaN where nothing is left.

    x: [*S] float -> [*S without axis]. Source: PyTorch, `torch.nanmean`.

    >>> samara.nanmean(samara.tensor([1.0, samara.nan, 3.0])).item()
    2.0
    """,
    ref=lambda x, axis=None, keepdims=False: np.nanmean(x, axis, keepdims=keepdims),
    condition="max",
    samples=lambda rng: [*_with_nan(rng), Sample(rng.normal(size=(2, 3, 4)), axis=(0, 2))],
    errors=_axis_errors,
)
def nanmean(x: Tensor, axis: Any = None, keepdims: bool = False, *, dtype: Any = None) -> Tensor:
    require_dtype("nanmean", x, FLOAT)
    x = x if dtype is None else x.to(dtype)
    count = (~isnan(x)).sum(axis=axis, keepdims=keepdims).to(x.dtype)
    return nansum(x, axis, keepdims) / count


# --- order statistics -----------------------------------------------------------------------------


def _nanmedian_ref(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    rows = x.reshape(-1) if axis is None else np.moveaxis(x, axis, -1)
    order = np.argsort(rows, axis=-1, kind="stable")
    count = (~np.isnan(rows)).sum(-1)
    place = np.maximum(count - 1, 0) // 2
    index = np.take_along_axis(order, place[..., None], -1)
    values = np.take_along_axis(rows, index, -1)
    if axis is None:
        return values[..., 0]
    values, index = np.moveaxis(values, -1, axis), np.moveaxis(index, -1, axis)
    return (values, index) if keepdims else (values.squeeze(axis), index.squeeze(axis))


def _picked(x: Tensor, index: Tensor, at: int, keepdims: bool, made: Any) -> Any:
    values = x.gather(at, index)
    if keepdims:
        return made(values, index)
    return made(values.squeeze(at), index.squeeze(at))


@composite(
    "nanmedian(x, axis: int? = None, keepdims: bool = False)",
    doc="""The middle of what is not NaN in order, the lower of two; NaN where nothing is left.

    x: [*S] real -> [], or with an axis the named tuple (values, indices) of [*S without axis].

    Raises ShapeError where there are no elements. Source: PyTorch, `torch.nanmedian`.

    >>> samara.nanmedian(samara.tensor([5.0, samara.nan, 3.0, 4.0])).item()
    4.0
    """,
    ref=_nanmedian_ref,
    dtypes=REAL,
    ulp=0,
    samples=_with_nan,
    errors=lambda: [
        *_axis_errors(),
        ErrorSample(ShapeError, "no elements", np.ones((0, 3)), axis=0),
    ],
)
def nanmedian(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Any:
    require_dtype("nanmedian", x, REAL)
    if axis is None:
        return nanmedian(x.reshape(x.numel()), 0).values
    if x.ndim == 0:
        return NanmedianResult(x.clone(), asarray(0, device=x.device))
    at = _axis("nanmedian", axis, x.ndim)
    require_axis_size("nanmedian", x, at)
    order = sort_with_indices(x.detach(), at).indices
    count = (~isnan(x.detach())).sum(axis=at, keepdims=True)
    index = order.gather(at, (count - 1).clamp(min=0) // 2)
    return _picked(x, index, at, keepdims, NanmedianResult)


def _mode_ref(x: Any, axis: int = -1, keepdims: bool = False) -> Any:
    rows = np.moveaxis(x, axis, -1)
    values, places = np.empty(rows.shape[:-1], x.dtype), np.empty(rows.shape[:-1], np.int64)
    for place in np.ndindex(rows.shape[:-1]):
        row = rows[place]
        found, counts = np.unique(row, return_counts=True, equal_nan=False)
        values[place] = found[counts.argmax()]
        places[place] = np.flatnonzero(row == values[place])[-1]
    if keepdims:
        return np.expand_dims(values, axis), np.expand_dims(places, axis)
    return values, places


def _repeated(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.integers(0, 3, size=(3, 7)) / 4.0),
        Sample(rng.integers(0, 3, size=(5, 4)) / 4.0, axis=0),
        Sample(rng.integers(0, 3, size=(2, 5, 2)) / 4.0, -2, True),
        Sample(np.array([2.0])),
    ]


@composite(
    "mode(x, axis: int = -1, keepdims: bool = False)",
    doc="""The most frequent element along `axis`, the least of several, and its last place.

    x: [*S] real -> the named tuple (values, indices) of [*S without axis].

    Raises ShapeError where there are no elements. Source: PyTorch, `torch.mode`.

    >>> samara.mode(samara.tensor([1, 2, 3, 2])).values.item()
    2
    """,
    ref=_mode_ref,
    dtypes=ORDERED,
    ulp=0,
    samples=_repeated,
    errors=lambda: [
        *_axis_errors(),
        ErrorSample(ShapeError, "no elements", np.ones((0, 3)), axis=0),
    ],
)
def mode(x: Tensor, axis: int = -1, keepdims: bool = False) -> Any:
    require_dtype("mode", x, ORDERED)
    if x.ndim == 0:
        return ModeResult(x.clone(), asarray(0, device=x.device))
    at = _axis("mode", axis, x.ndim)
    require_axis_size("mode", x, at)
    rows = x.detach().moveaxis(at, -1)
    ordered, order = sort_with_indices(rows, -1)
    place = arange(rows.shape[-1], device=x.device).expand(rows.shape)
    starts = ordered != ordered.roll(1, -1)
    starts[..., 0] = True
    # The length of the run that ends at each place.
    length = place - cummax(where(starts, place, 0), -1).values
    index = order.gather(-1, length.argmax(axis=-1, keepdims=True)).moveaxis(-1, at)
    return _picked(x, index, at, keepdims, ModeResult)


_METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile_ref(nan: bool) -> Any:
    function: Any = np.nanquantile if nan else np.quantile

    def ref(
        x: Any, q: Any, axis: Any = None, keepdims: bool = False, interpolation: str = "linear"
    ) -> Any:
        return function(x, q, axis=axis, keepdims=keepdims, method=interpolation)

    return ref


def _quantile_samples(nan: bool) -> Any:
    def samples(rng: np.random.Generator) -> list[Sample]:
        x = rng.permutation(24).reshape(2, 3, 4) / 4.0 - 2.0
        if nan:
            x[0, 1, 2] = x[1, 0, 0] = np.nan
        q = 0.375  # a number that every float holds
        return [
            Sample(x, q),
            Sample(x, q, axis=1),
            Sample(x, q, axis=-1, keepdims=True),
            Sample(x, np.array([0.125, 0.25, 0.875]), axis=2),
            Sample(x, np.array([0.5, 0.125])),
            *(Sample(x[1].T, 0.625, axis=0, interpolation=name) for name in _METHODS),
            Sample(np.array([1.5]), 0.5),
        ]

    return samples


def _quantile_errors() -> list[ErrorSample]:
    return [
        ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 3)), 0.5, axis=2),
        ErrorSample(ArgumentError, "q holds 1.5", np.ones(2), 1.5),
        ErrorSample(ArgumentError, "interpolation", np.ones(2), 0.5, interpolation="cubic"),
        ErrorSample(ShapeError, "no elements", np.ones(0), 0.5),
        ErrorSample(ShapeError, "q has shape", np.ones(3), np.ones((2, 2))),
    ]


_QUANTILE_DOC = """The q-quantiles over `axis`{what}.

    x: [*S] float, q: a number or [n], in [0, 1] -> [*S without axis], after [n] where q has an
    axis. Between two elements interpolation is "linear", "lower", "higher", "midpoint" or
    "nearest".

    Raises ArgumentError for q outside of [0, 1], ShapeError where there are no elements.
    Source: PyTorch, `torch.{name}`.

    >>> samara.{name}(samara.tensor([1.0, 2.0, 4.0]), 0.75).item()
    3.0
    """


def _ranks(place: str, x: Tensor, q: Any) -> Tensor:
    ranks = q if isinstance(q, Tensor) else asarray(q, dtype=x.dtype, device=x.device)
    if ranks.ndim > 1:
        raise ShapeError(
            f"{place}: q has shape {ranks.shape}. Expected a number or a vector. Fix: flatten it."
        )
    limits = ranks.detach().aminmax() if ranks.numel() else ()
    for bound in (limit.item() for limit in limits):
        if not 0 <= bound <= 1:
            raise ArgumentError(
                f"{place}: q holds {bound}. Expected 0 to 1. Fix: divide percents by 100."
            )
    return ranks.to(x.dtype)


def _quantile(
    place: str, x: Tensor, q: Any, axis: int | None, keepdims: bool, interpolation: str, nan: bool
) -> Tensor:
    require_dtype(place, x, FLOAT)
    require_choice(place, "interpolation", interpolation, _METHODS)
    ranks = _ranks(place, x, q)
    rows = x.reshape(1, x.numel()) if axis is None else x
    at = 1 if axis is None else _axis(place, axis, x.ndim)
    require_axis_size(place, rows, at)
    rows = rows.moveaxis(at, -1)
    size = rows.shape[-1]
    order = sort_with_indices(rows.detach(), -1).indices
    missing = isnan(rows.detach())
    wide = _core.float64 if x.dtype is _core.float64 else _core.float32
    many = ranks.reshape(-1).to(wide)
    if nan:
        last = ((~missing).sum(axis=-1, keepdims=True) - 1).clamp(min=0)
        position = many * last.to(wide)
    else:
        # A NaN is the last in order, and the answer of its row.
        spot = many * (size - 1)
        position = where(missing.any(axis=-1, keepdims=True), float(size - 1), spot)
    if interpolation == "nearest":
        position = position.round()
    low, high = position.floor(), position.ceil()
    below, above = order.gather(-1, low.to(int64)), order.gather(-1, high.to(int64))
    if interpolation in ("lower", "nearest"):
        values = rows.gather(-1, below)
    elif interpolation == "higher":
        values = rows.gather(-1, above)
    else:
        share = (position - low).to(x.dtype)
        if interpolation == "midpoint":
            share = where(share > 0, 0.5, 0.0).to(x.dtype)
        first, second = rows.gather(-1, below), rows.gather(-1, above)
        # Of equal infinities the difference would be NaN.
        values = where(first == second, first, first + (second - first) * share)
    if axis is None:
        values = values[0]
        shape = (1,) * x.ndim if keepdims else ()
        return values.reshape((*ranks.shape, *shape))
    result = values.moveaxis(-1, 0)
    if keepdims:
        result = result.unsqueeze(at + 1)
    return result if ranks.ndim else result[0]


def _quantiles(name: str, what: str, nan: bool) -> Callable[..., Tensor]:
    @composite(
        f"{name}(x, q: any, axis: int? = None, keepdims: bool = False, *, "
        "interpolation: str = 'linear')",
        doc=_QUANTILE_DOC.format(what=what, name=name),
        ref=_quantile_ref(nan=nan),
        condition="max",
        ulp=8,
        samples=_quantile_samples(nan=nan),
        errors=_quantile_errors,
    )
    def of_ranks(
        x: Tensor,
        q: Any,
        axis: int | None = None,
        keepdims: bool = False,
        *,
        interpolation: str = "linear",
    ) -> Tensor:
        return _quantile(name, x, q, axis, keepdims, interpolation, nan)

    return of_ranks


quantile = _quantiles("quantile", "; NaN where there is one", nan=False)
nanquantile = _quantiles("nanquantile", " of what is not NaN", nan=True)


@composite(
    "msort(x)",
    doc="""The elements sorted along axis 0. x: [*S] real -> [*S].

    Raises DTypeError for complex numbers. Source: PyTorch, `torch.msort`.

    >>> samara.msort(samara.tensor([3, 1, 2])).tolist()
    [1, 2, 3]
    """,
    ref=lambda x: np.sort(x, axis=0),
    dtypes=ORDERED,
    ulp=0,
    samples=lambda rng: [Sample(rng.permutation(12).reshape(3, 4) / 4.0), Sample(np.ones(1))],
    errors=lambda: [ErrorSample(TypeError, "a tensor", "text")],
)
def msort(x: Tensor) -> Tensor:
    require_dtype("msort", x, ORDERED)
    ordered: Tensor = sort_with_indices(x, 0).values
    return ordered


@composite(
    "aminmax(x, *, axis: int? = None, keepdims: bool = False)",
    doc="""The smallest and the largest element over `axis`: the named tuple (min, max).

    x: [*S] real -> two of [*S without axis]. NaN where there is one.

    Raises ShapeError where there are no elements. Source: PyTorch, `torch.aminmax`.

    >>> [y.item() for y in samara.aminmax(samara.tensor([3.0, 1.0, 2.0]))]
    [1.0, 3.0]
    """,
    ref=lambda x, axis=None, keepdims=False: (
        np.min(x, axis, keepdims=keepdims),
        np.max(x, axis, keepdims=keepdims),
    ),
    dtypes=ORDERED,
    ulp=0,
    samples=_with_nan,
    errors=lambda: [
        *_axis_errors(),
        ErrorSample(ShapeError, "no elements", np.ones((0, 3)), axis=0),
    ],
)
def aminmax(x: Tensor, *, axis: int | None = None, keepdims: bool = False) -> Any:
    require_dtype("aminmax", x, ORDERED)
    return AminmaxResult(
        min_(x, axis=axis, keepdims=keepdims), max_(x, axis=axis, keepdims=keepdims)
    )


# --- moments --------------------------------------------------------------------------------------


def _moment_ref(function: Any) -> Any:
    def ref(x: Any, axis: Any = None, correction: float = 1, keepdims: bool = False) -> Any:
        kept = {"axis": axis, "keepdims": keepdims}
        return function(x, ddof=correction, **kept), np.mean(x, **kept)

    return ref


def _moment_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.normal(size=(3, 4))),
        Sample(rng.normal(size=(3, 4)), 1),
        Sample(rng.normal(size=(2, 3, 4)), (0, 2), keepdims=True),
        Sample(rng.normal(size=(3, 4)), axis=0, correction=0),
        Sample(np.ones(1), correction=0),
    ]


_MOMENT_DOC = """The {what} and the mean over `axis`, (sum (x - mean)^2 / (n - correction)).

    x: [*S] float -> two of [*S without axis]. `unbiased=False` means correction=0.

    Raises IndexOutOfRangeError for an axis that does not exist. Source: PyTorch, `torch.{name}`.

    >>> [y.item() for y in samara.{name}(samara.tensor([1.0, 3.0]), correction=0)]
    [1.0, 2.0]
    """


def _with_mean(name: str, what: str, function: Any, reference: Any) -> Callable[..., Any]:
    @composite(
        f"{name}(x, axis: ints? = None, unbiased: bool? = None, keepdims: bool = False, "
        "*, correction: float = 1)",
        doc=_MOMENT_DOC.format(what=what, name=name),
        ref=_moment_ref(reference),
        ulp=8,
        condition="max",
        samples=_moment_samples,
        errors=_axis_errors,
        methods=(),
    )
    def moments(
        x: Tensor,
        axis: Any = None,
        unbiased: bool | None = None,
        keepdims: bool = False,
        *,
        correction: float = 1,
    ) -> Any:
        require_dtype(name, x, FLOAT)
        if isinstance(axis, bool):
            axis, unbiased = None, axis
        if unbiased is not None:
            correction = 1 if unbiased else 0
        kept = {"axis": axis, "keepdims": keepdims}
        return function(x, correction=correction, **kept), mean(x, **kept)

    return moments


std_mean = _with_mean("std_mean", "standard deviation", std, np.std)
var_mean = _with_mean("var_mean", "variance", var, np.var)


_INEXACT = (*FLOAT, *COMPLEX)


def _matrix(place: str, x: Tensor) -> Tensor:
    require_dtype(place, x, _INEXACT)
    if x.ndim > 2:
        raise ShapeError(
            f"{place}: x has shape {x.shape}. Expected [variables, observations] or "
            "[observations]. Fix: reshape it."
        )
    return x.reshape(1, -1) if x.ndim < 2 else x


def _real(x: Tensor, dtype: Any) -> Tensor:
    return (x.real if x.dtype in COMPLEX else x).to(dtype)


def _covariance_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.normal(size=(3, 7))),
        Sample(rng.normal(size=7)),
        Sample(rng.normal(size=(2, 5))),
        Sample(np.ones((1, 3))),
    ]


@composite(
    "cov(x, *, correction: int = 1, fweights: Tensor? = None, aweights: Tensor? = None)",
    doc="""The covariances of the rows of x, sum w (x - mean) (y - mean)* / (sum w - correction).

    x: [d, n], or [n] for one variable, float or complex -> [d, d] or []. fweights: [n] int, how
    often each observation counts; aweights: [n] float, how much it counts.

    Raises ShapeError for more than 2 axes or weights of another shape.
    Source: PyTorch, `torch.cov`.

    >>> samara.cov(samara.tensor([[1.0, 3.0], [2.0, 2.0]])).tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    """,
    ref=lambda x, correction=1, fweights=None, aweights=None: np.cov(
        x,
        ddof=correction,
        fweights=fweights,
        aweights=None if aweights is None else np.real(aweights),
    ),
    dtypes=_INEXACT,
    ulp=32,
    condition="max",
    samples=lambda rng: [
        *_covariance_samples(rng),
        Sample(rng.normal(size=(2, 5)), correction=0, fweights=np.array([1, 2, 1, 0, 3])),
        Sample(rng.normal(size=(2, 5)), aweights=rng.uniform(0.5, 1.5, size=5)),
        Sample(np.ones(1), correction=0),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, r"x has shape \(1, 2, 3\)", np.ones((1, 2, 3))),
        ErrorSample(ShapeError, "fweights has", np.ones((2, 3)), fweights=np.ones(2, int)),
    ],
)
def cov(
    x: Tensor,
    *,
    correction: int = 1,
    fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor:
    rows = _matrix("cov", x)
    count = rows.shape[1]
    weights: Any = None
    real = rows.dtype
    if real in COMPLEX:
        real = _core.float32 if real is _core.complex64 else _core.float64
    for name, given in (("fweights", fweights), ("aweights", aweights)):
        if given is None:
            continue
        if given.shape != (count,):
            raise ShapeError(
                f"cov: {name} has shape {given.shape}. Expected ({count},), one for each "
                f"observation. Fix: correct {name}."
            )
        share = _real(given, real)
        weights = share if weights is None else weights * share
    if weights is None:
        total: Any = float(count)
        average = rows.mean(axis=1, keepdims=True)
        center = rows - average
        scaled = center
    else:
        total = weights.sum()
        average = (rows * weights).sum(axis=1, keepdims=True) / total
        center = rows - average
        scaled = center * weights
    if aweights is not None and correction:
        factor = total - correction * (weights * _real(aweights, real)).sum() / total
    else:
        factor = total - correction
    factor = maximum(factor, 0.0) if isinstance(factor, Tensor) else max(factor, 0.0)
    product = scaled @ center.mT.conj()
    result: Tensor = product / factor if factor != 0 else product * math.inf
    return result.reshape(()) if x.ndim < 2 or rows.shape[0] == 1 else result


def _corrcoef_ref(x: Any) -> Any:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # one observation: NaN
        return np.corrcoef(x)


@composite(
    "corrcoef(x)",
    doc="""Pearson's correlations of the rows of x. x: [d, n] or [n], float -> [d, d] or [].

    Raises ShapeError for more than 2 axes. Source: PyTorch, `torch.corrcoef`.

    >>> samara.corrcoef(samara.tensor([[1.0, 3.0], [2.0, 1.0]]))[0].round().tolist()
    [1.0, -1.0]
    """,
    ref=_corrcoef_ref,
    dtypes=_INEXACT,
    ulp=32,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 7))),
        Sample(rng.normal(size=7)),
        Sample(rng.normal(size=(2, 5))),
        Sample(rng.normal(size=(1, 3))),
        Sample(np.ones(1)),
    ],
    errors=lambda: [ErrorSample(ShapeError, r"x has shape \(1, 2, 3\)", np.ones((1, 2, 3)))],
)
def corrcoef(x: Tensor) -> Tensor:
    _matrix("corrcoef", x)
    c = cov(x)
    if c.ndim == 0:
        return c / c
    size = c.shape[0]
    step = arange(size, device=c.device)
    deviation = c[step, step].real.sqrt() if c.dtype in COMPLEX else c[step, step].sqrt()
    return c / deviation.unsqueeze(1) / deviation.unsqueeze(0)
