"""Sets of elements: unique_values and its relatives, isin; nan_to_num."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np

from samara._core import bool as samara_bool
from samara._core import int64
from samara.dtypes import ALL, COMPLEX, FLOAT, finfo
from samara.errors import DTypeError
from samara.ops.comparison import isnan
from samara.ops.creation import ones, zeros
from samara.ops.gathering import scatter
from samara.ops.join import concat
from samara.ops.record import ErrorSample, Sample, composite, plain
from samara.ops.reduction import cumsum
from samara.ops.selection import clamp, where
from samara.ops.sorting import searchsorted, sort_with_indices
from samara.tensor import Tensor, asarray

UniqueAllResult = namedtuple("UniqueAllResult", ["values", "indices", "inverse_indices", "counts"])
UniqueCountsResult = namedtuple("UniqueCountsResult", ["values", "counts"])
UniqueInverseResult = namedtuple("UniqueInverseResult", ["values", "inverse_indices"])


def _sorted(x: Tensor) -> tuple[Tensor, Tensor]:
    """A vector in ascending order and the places it came from; real parts go before imaginary."""
    if x.dtype not in COMPLEX:
        ordered, order = sort_with_indices(x, 0)
        return ordered, order
    # -0 + 0 is 0: zeros of both signs are equal here.
    order = sort_with_indices(x.imag + 0.0, 0).indices
    order = order[sort_with_indices(x.real[order] + 0.0, 0).indices]
    return x[order], order


def _all(x: Tensor, place: str) -> UniqueAllResult:
    """Sorts stably; a new value starts where an element differs from the one before."""
    if not isinstance(x, Tensor):
        raise DTypeError(
            f"{place}: x is a {type(x).__name__}. Expected a tensor. "
            "Fix: convert it with samara.asarray(...)."
        )
    ordered, order = _sorted(x.detach().reshape(x.numel()))
    size = ordered.shape[0]
    if not size:
        nothing = zeros(0, dtype=int64, device=x.device)
        return UniqueAllResult(ordered, nothing, nothing.reshape(x.shape), nothing)
    first = ones(1, dtype=samara_bool, device=x.device)
    starts = concat([first, ordered[1:] != ordered[:-1]], 0)
    places = starts.nonzero().reshape(-1)
    ends = concat([places[1:], asarray([size], device=x.device)], 0)
    group = cumsum(starts, 0) - 1
    inverse = scatter(zeros(size, dtype=int64, device=x.device), 0, order, group)
    return UniqueAllResult(ordered[places], order[places], inverse.reshape(x.shape), ends - places)


def _ref(x: Any) -> tuple[Any, Any, Any, Any]:
    values, indices, inverse, counts = np.unique(
        x, return_index=True, return_inverse=True, return_counts=True, equal_nan=False
    )
    return values, indices, inverse.reshape(x.shape), counts


def _samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.integers(0, 4, size=(3, 5)).astype(float)),
        Sample(rng.normal(size=7)),
        Sample(np.array([1.0, np.nan, np.nan, 0.0])),
        Sample(np.array(2.0)),
        Sample(np.zeros((0, 2))),
    ]


def _errors() -> list[ErrorSample]:
    return [ErrorSample(DTypeError, "Expected a tensor", "text")]


_DOC = """{what}

    x: [*S] -> {out}, with n different values, in ascending order, complex ones by real part first.
    Each NaN counts as a value of its own. Gradients do not pass.

    Raises DTypeError for what is no tensor. Source: Python array API standard 2025.12, `{name}`.

    >>> samara.{name}(samara.tensor([3, 1, 3])){show}.tolist()
    {answer}
    """


def _fields(name: str, what: str, out: str, show: str, answer: str, ref: Any) -> dict[str, Any]:
    return {
        "doc": _DOC.format(name=name, what=what, out=out, show=show, answer=answer),
        "ref": ref,
        "dtypes": ALL,
        "ulp": 0,
        "samples": _samples,
        "errors": _errors,
        "methods": (),
        "differentiable": False,
    }


@composite(
    "unique_all(x)",
    **_fields(
        "unique_all",
        "The different elements; where each stands first, which one each element is, how many.",
        "values [n], indices [n], inverse_indices [*S], counts [n]",
        ".indices",
        "[1, 0]",
        _ref,
    ),
)
def unique_all(x: Tensor) -> UniqueAllResult:
    return _all(x, "unique_all")


@composite(
    "unique_counts(x)",
    **_fields(
        "unique_counts",
        "The different elements, and how often each is there.",
        "values [n], counts [n]",
        ".counts",
        "[1, 2]",
        lambda x: (_ref(x)[0], _ref(x)[3]),
    ),
)
def unique_counts(x: Tensor) -> UniqueCountsResult:
    found = _all(x, "unique_counts")
    return UniqueCountsResult(found.values, found.counts)


@composite(
    "unique_inverse(x)",
    **_fields(
        "unique_inverse",
        "The different elements, and which of them each element is.",
        "values [n], inverse_indices [*S]",
        ".inverse_indices",
        "[1, 0, 1]",
        lambda x: (_ref(x)[0], _ref(x)[2]),
    ),
)
def unique_inverse(x: Tensor) -> UniqueInverseResult:
    found = _all(x, "unique_inverse")
    return UniqueInverseResult(found.values, found.inverse_indices)


@composite(
    "unique_values(x)",
    **_fields(
        "unique_values",
        "The different elements.",
        "[n]",
        "",
        "[1, 3]",
        lambda x: _ref(x)[0],
    ),
)
def unique_values(x: Tensor) -> Tensor:
    found: Tensor = _all(x, "unique_values").values
    return found


def _unique_entries(x: Tensor, dim: int, inverse: bool, counts: bool) -> Any:
    """The different entries along an axis, in lexicographic order; found on the host."""
    from samara.ops.manipulation import _axis

    at = _axis("unique", dim, x.ndim)
    found = np.unique(
        x.detach().numpy(force=True), return_inverse=True, return_counts=True, axis=at
    )
    wanted = (True, inverse, counts)
    parts = tuple(
        asarray(np.array(part), device=x.device)
        for part, chosen in zip(found, wanted, strict=True)
        if chosen
    )
    return parts if len(parts) > 1 else parts[0]


@plain("unique")
def unique(
    x: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different elements in ascending order, with inverse_indices and counts if asked for.

    x: [*S] -> [n], or with `dim` its different entries along that axis, in lexicographic order; a
    tuple when more is asked for. Source: PyTorch, `torch.unique`.

    >>> samara.unique(samara.tensor([3, 1, 3])).tolist()
    [1, 3]
    """
    if dim is not None and isinstance(x, Tensor):
        return _unique_entries(x, dim, return_inverse, return_counts)
    found = _all(x, "unique")
    wanted = (True, False, return_inverse, return_counts)
    parts = tuple(part for part, chosen in zip(found, wanted, strict=True) if chosen)
    return parts if len(parts) > 1 else parts[0]


@composite(
    "isin(x, elements, *, invert: bool = False)",
    doc="""Whether each element of x is among `elements`; NaN is in nothing.

    x: [*S], elements: [*T], one of them perhaps a number -> [*S] bool.

    Raises DTypeError for what is neither. Source: Python array API standard 2025.12, `isin`.

    >>> samara.isin(samara.tensor([1, 2, 3]), samara.tensor([3, 1])).tolist()
    [True, False, True]
    """,
    ref=lambda x, elements, invert=False: np.isin(x, elements, invert=invert),
    dtypes=ALL,
    samples=lambda rng: [
        Sample(np.arange(6.0).reshape(2, 3), np.array([4.0, 0.0, 9.0])),
        Sample(np.arange(6.0), np.array([[1.0, 2.0]]), invert=True),
        Sample(np.arange(3.0), np.zeros(0)),
        Sample(np.array([1.0, np.nan]), np.array([np.nan])),
        Sample(np.array(1.0), np.array(1.0)),
    ],
    errors=lambda: [ErrorSample(DTypeError, "Expected a tensor", np.ones(2), "text")],
    differentiable=False,
)
def isin(x: Tensor, elements: Tensor, *, invert: bool = False) -> Tensor:
    if isinstance(x, (int, float, complex)) and isinstance(elements, Tensor):
        x = asarray(x, device=elements.device)
    elif isinstance(elements, (int, float, complex)) and isinstance(x, Tensor):
        elements = asarray(elements, device=x.device)
    values = _all(elements, "isin").values
    if not values.numel():
        found = zeros(x.shape, dtype=samara_bool, device=x.device)
    elif x.dtype in COMPLEX or values.dtype in COMPLEX:
        found = _among(x.detach(), values)
    else:
        x = x.detach()
        both = (x.reshape(-1)[:0] + values[:0]).dtype if x.dtype is not values.dtype else x.dtype
        x, values = x.to(both), values.to(both)
        place = clamp(searchsorted(values, x), max=values.shape[0] - 1)
        found = values[place] == x
    return ~found if invert else found


def _among(x: Tensor, values: Tensor) -> Tensor:
    """Whether the elements fall into the groups of `values`, without an order of the numbers."""
    count = values.shape[0]
    groups = _all(concat([values, x.reshape(x.numel())], 0), "isin").inverse_indices
    taken = zeros(int(groups.max()) + 1, dtype=samara_bool, device=x.device)
    taken[groups[:count]] = True
    return taken[groups[count:]].reshape(x.shape)


@composite(
    "nan_to_num(x, nan: float = 0.0, posinf: float? = None, neginf: float? = None)",
    doc="""x with numbers in place of NaN and the infinities: 0 and the largest finite ones.

    x: [*S] real -> [*S]. Raises DTypeError for complex numbers.
    Source: PyTorch, `torch.nan_to_num`.

    >>> samara.nan_to_num(samara.tensor([samara.nan, 1.0])).tolist()
    [0.0, 1.0]
    """,
    ref=lambda x, nan=0.0, posinf=None, neginf=None: np.where(
        np.isnan(x),
        nan,
        np.where(
            np.isposinf(x),
            x if posinf is None else posinf,
            np.where(np.isneginf(x) & (neginf is not None), neginf or 0.0, x),
        ),
    ),
    dtypes=FLOAT,
    ulp=0,
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4))),
        Sample(np.array([np.nan, 1.0, np.inf, -np.inf]), 2.0, 3.0, -4.0),
        Sample(np.array(1.0)),
        Sample(np.zeros((0, 2))),
    ],
    errors=lambda: [ErrorSample(DTypeError, "type str", "text")],
    in_place=True,
)
def nan_to_num(
    x: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    if x.dtype not in FLOAT:
        raise DTypeError(
            f"nan_to_num: x has dtype {x.dtype}. Expected floating-point numbers. "
            "Fix: leave it out, integers have no NaN."
        )
    limit = finfo(x.dtype)
    high, low = limit.max if posinf is None else posinf, limit.min if neginf is None else neginf
    inf = float("inf")
    x = where(isnan(x), nan, x)
    return where(x == -inf, low, where(x == inf, high, x))
