"""Tensors made from sizes and numbers, and triangles of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import samara._core as _core
from samara._core import Device, DType
from samara.device import resolve
from samara.errors import ArgumentError, DTypeError, ShapeError
from samara.ops.record import ALL, ErrorSample, Sample, composite, operation
from samara.tensor import Tensor

Number = bool | int | float | complex
Sizes = int | Sequence[int]

_empty = _core.Operation("empty(shape: ints, dtype: dtype?, device: device?)", "empty")
_full = _core.Operation(
    "full(shape: ints, fill_value: number, dtype: dtype?, device: device?)", "full"
)
_arange = _core.Operation(
    "arange(start: number, stop: number, step: number, dtype: dtype?, device: device?)", "arange"
)
_linspace = _core.Operation(
    "linspace(start: number, stop: number, num: int, endpoint: bool, "
    "dtype: dtype?, device: device?)",
    "linspace",
)
_eye = _core.Operation(
    "eye(n_rows: int, n_cols: int?, k: int, dtype: dtype?, device: device?)", "eye"
)


def sizes_of(sizes: tuple[Any, ...], shape: Sizes | None) -> Any:
    """The shape that f(2, 3), f((2, 3)) or f(shape=(2, 3)) asks for."""
    if shape is not None:
        return shape
    return sizes[0] if len(sizes) == 1 else sizes


def _joined(shape: Any, sizes: tuple[int, ...]) -> Any:
    return (shape, *sizes) if sizes else shape


def flagged(x: Tensor, requires_grad: bool) -> Tensor:
    """x, as a leaf that asks for a gradient where wanted."""
    if requires_grad:
        x.requires_grad = True
    return x


@composite(
    "full(shape: ints, fill_value: number, *, dtype: dtype? = None, device: device? = None, "
    "requires_grad: bool = False)",
    doc="""A tensor with one number everywhere. shape: int or ints -> [*shape].

    Without a dtype, that of the number: bool, int64, or the default floating or complex dtype.

    Raises ShapeError for a negative size. Source: Python array API standard 2025.12, `full`.

    >>> samara.full((2,), 7).tolist()
    [7, 7]
    """,
    ref=np.full,
    ulp=0,
    samples=lambda rng: [
        Sample((2, 3), 1.5),
        Sample((), 3),
        Sample((0, 2), True),
        Sample(4, -0.0),
        Sample((2,), float("nan")),
    ],
    errors=lambda: [ErrorSample(ShapeError, "negative size", (2, -1), 0.0)],
    methods=(),
    differentiable=False,
)
def full(
    shape: Sizes,
    fill_value: Number,
    *,
    dtype: DType | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    return flagged(_full(shape, fill_value, dtype, resolve(device)), requires_grad)


def _filled(value: float, sizes: Any, dtype: DType | None, device: Any, grad: bool) -> Tensor:
    made = _full(sizes, value, dtype or _core.default_dtype(), resolve(device))
    return flagged(made, grad)


_SIZES = "shape: ints, *sizes: int, "
_OPTIONS = "dtype: dtype? = None, device: device? = None, requires_grad: bool = False"


@composite(
    f"zeros({_SIZES}{_OPTIONS})",
    doc="""A tensor of zeros: zeros(2, 3) or zeros((2, 3)) -> [2, 3].

    Source: Python array API standard 2025.12, `zeros`.

    >>> samara.zeros(2, 2).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """,
    ref=np.zeros,
    ulp=0,
    samples=lambda rng: [Sample((2, 3)), Sample(()), Sample((0,)), Sample(3)],
    errors=lambda: [ErrorSample(ShapeError, "negative size", -1)],
    methods=(),
    differentiable=False,
)
def zeros(
    shape: Sizes,
    *sizes: int,
    dtype: DType | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    return _filled(0.0, _joined(shape, sizes), dtype, device, requires_grad)


@composite(
    f"ones({_SIZES}{_OPTIONS})",
    doc="""A tensor of ones: ones(2, 3) or ones((2, 3)) -> [2, 3].

    Source: Python array API standard 2025.12, `ones`.

    >>> samara.ones(2, dtype=samara.int32).tolist()
    [1, 1]
    """,
    ref=np.ones,
    ulp=0,
    samples=lambda rng: [Sample((2, 3)), Sample(()), Sample((0,)), Sample(3)],
    errors=lambda: [ErrorSample(ShapeError, "negative size", (2, -3))],
    methods=(),
    differentiable=False,
)
def ones(
    shape: Sizes,
    *sizes: int,
    dtype: DType | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    return _filled(1.0, _joined(shape, sizes), dtype, device, requires_grad)


@composite(
    f"empty({_SIZES}{_OPTIONS})",
    doc="""A tensor whose values are whatever the memory held: empty(2, 3) -> [2, 3].

    Source: Python array API standard 2025.12, `empty`.

    >>> samara.empty(2, 3).shape
    (2, 3)
    """,
    ref=np.empty,
    samples=lambda rng: [Sample((0, 3)), Sample(0)],
    errors=lambda: [ErrorSample(ShapeError, "negative size", -1)],
    methods=(),
    differentiable=False,
)
def empty(
    shape: Sizes,
    *sizes: int,
    dtype: DType | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    return flagged(_empty(_joined(shape, sizes), dtype, resolve(device)), requires_grad)


@composite(
    f"full_like(x, fill_value: number, *, {_OPTIONS})",
    doc="""A tensor like x with one number everywhere. x: [*S] -> [*S], of x's dtype and device.

    >>> samara.full_like(samara.ones(2), 3).tolist()
    [3.0, 3.0]
    """,
    ref=np.full_like,
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [Sample(rng.normal(size=(2, 3)), 1), Sample(rng.normal(size=()), True)],
    errors=lambda: [
        ErrorSample(
            DTypeError,
            "int32 has no gradient",
            np.ones(2),
            1,
            dtype=_core.int32,
            requires_grad=True,
        )
    ],
    methods=(),
    differentiable=False,
)
def full_like(
    x: Tensor,
    fill_value: Number,
    *,
    dtype: DType | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    made = _full(x.shape, fill_value, dtype or x.dtype, resolve(device or x.device))
    return flagged(made, requires_grad)


@composite(
    f"zeros_like(x, *, {_OPTIONS})",
    doc="""Zeros like x. x: [*S] -> [*S], of x's dtype and device.

    >>> samara.zeros_like(samara.ones(2)).tolist()
    [0.0, 0.0]
    """,
    ref=np.zeros_like,
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [Sample(rng.normal(size=(2, 3))), Sample(rng.normal(size=()))],
    errors=lambda: [
        ErrorSample(
            DTypeError,
            "int32 has no gradient",
            np.ones(2),
            dtype=_core.int32,
            requires_grad=True,
        )
    ],
    methods=(),
    differentiable=False,
)
def zeros_like(
    x: Tensor,
    *,
    dtype: DType | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    return _filled(0.0, x.shape, dtype or x.dtype, device or x.device, requires_grad)


@composite(
    f"ones_like(x, *, {_OPTIONS})",
    doc="""Ones like x. x: [*S] -> [*S], of x's dtype and device.

    >>> samara.ones_like(samara.zeros(2)).tolist()
    [1.0, 1.0]
    """,
    ref=np.ones_like,
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [Sample(rng.normal(size=(2, 3))), Sample(rng.normal(size=()))],
    errors=lambda: [
        ErrorSample(
            DTypeError,
            "int32 has no gradient",
            np.ones(2),
            dtype=_core.int32,
            requires_grad=True,
        )
    ],
    methods=(),
    differentiable=False,
)
def ones_like(
    x: Tensor,
    *,
    dtype: DType | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    return _filled(1.0, x.shape, dtype or x.dtype, device or x.device, requires_grad)


@composite(
    f"empty_like(x, *, {_OPTIONS})",
    doc="""A tensor like x whose values are whatever the memory held. x: [*S] -> [*S].

    >>> samara.empty_like(samara.ones(2, 3)).shape
    (2, 3)
    """,
    ref=np.empty_like,
    dtypes=ALL,
    samples=lambda rng: [Sample(np.zeros((0, 3))), Sample(np.zeros(0))],
    errors=lambda: [
        ErrorSample(
            DTypeError, "int32 has no gradient", np.ones(2), dtype=_core.int32, requires_grad=True
        )
    ],
    methods=(),
    differentiable=False,
)
def empty_like(
    x: Tensor,
    *,
    dtype: DType | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    made = _empty(x.shape, dtype or x.dtype, resolve(device or x.device))
    return flagged(made, requires_grad)


@composite(
    f"arange(start: number, stop: number? = None, step: number = 1, *, {_OPTIONS})",
    doc="""start, start + step, ... up to but without stop: ceil((stop - start) / step) values.

    arange(n) counts from 0. Of ints the result is int64, otherwise of the default dtype; each value
    is rounded once from the exact start + i step.

    Raises ArgumentError for a step of 0 or a number that is not finite.
    Source: Python array API standard 2025.12, `arange`.

    >>> samara.arange(3).tolist(), samara.arange(1, 2, 0.5).tolist()
    ([0, 1, 2], [1.0, 1.5])
    """,
    ref=np.arange,
    ulp=1,
    samples=lambda rng: [
        Sample(5),
        Sample(2, 7),
        Sample(7, 2, -2),
        Sample(0.0, 1.0, 0.125),
        Sample(1.5),
        Sample(3, 3),
        Sample(5, 1),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "a step other than 0", 0, 5, 0),
        ErrorSample(ArgumentError, "finite numbers", 0.0, float("inf")),
    ],
    methods=(),
    differentiable=False,
)
def arange(
    start: float,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: DType | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    if stop is None:
        start, stop = 0, start
    return flagged(_arange(start, stop, step, dtype, resolve(device)), requires_grad)


@composite(
    "linspace(start: number, stop: number, num: int, *, dtype: dtype? = None, "
    "device: device? = None, endpoint: bool = True, requires_grad: bool = False)",
    doc="""Evenly spaced values, start + i (stop - start) / (num - 1), both ends exact.

    With endpoint=False stop itself is left out and the divisor is num. -> [num].

    Raises ArgumentError for a negative num, DTypeError for an integer dtype.
    Source: Python array API standard 2025.12, `linspace`.

    >>> samara.linspace(0, 1, 3).tolist()
    [0.0, 0.5, 1.0]
    """,
    ref=np.linspace,
    ulp=4,
    samples=lambda rng: [
        Sample(0.0, 1.0, 7),
        Sample(3, -2, 6),
        Sample(0.0, 1.0, 5, endpoint=False),
        Sample(2.0, 3.0, 1),
        Sample(2.0, 3.0, 0),
    ],
    errors=lambda: [ErrorSample(ArgumentError, "num = -1", 0, 1, -1)],
    methods=(),
    differentiable=False,
)
def linspace(
    start: complex,
    stop: complex,
    num: int,
    *,
    dtype: DType | None = None,
    device: Device | str | None = None,
    endpoint: bool = True,
    requires_grad: bool = False,
) -> Tensor:
    return flagged(_linspace(start, stop, num, endpoint, dtype, resolve(device)), requires_grad)


@composite(
    f"eye(n_rows: int, n_cols: int? = None, *, k: int = 0, {_OPTIONS})",
    doc="""Ones on the k-th diagonal (k > 0: above the main one), zeros elsewhere.

    -> [n_rows, n_cols].

    Raises ArgumentError for a negative size. Source: Python array API standard 2025.12, `eye`.

    >>> samara.eye(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """,
    ref=np.eye,
    ulp=0,
    samples=lambda rng: [Sample(3), Sample(2, 4, k=1), Sample(4, 2, k=-2), Sample(0), Sample(2, 0)],
    errors=lambda: [ErrorSample(ArgumentError, "-1 rows", -1)],
    methods=(),
    differentiable=False,
)
def eye(
    n_rows: int,
    n_cols: int | None = None,
    *,
    k: int = 0,
    dtype: DType | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    return flagged(_eye(n_rows, n_cols, k, dtype, resolve(device)), requires_grad)


def _triangle_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.normal(size=(3, 4))),
        Sample(rng.normal(size=(4, 3)), k=1),
        Sample(rng.normal(size=(2, 3, 3)), k=-1),
        Sample(rng.normal(size=(2, 2)), k=100),
        Sample(rng.normal(size=(0, 3))),
    ]


tril = operation(
    "tril(x, k: int = 0)",
    doc="""Lower triangles, zeros above the k-th diagonal. x: [*B, m, n] -> [*B, m, n].

    Raises ShapeError when x has fewer than 2 axes.
    Source: Python array API standard 2025.12, `tril`.

    >>> samara.tril(samara.ones(2, 2)).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """,
    ref=np.tril,
    dtypes=ALL,
    onnx="Trilu",
    ulp=0,
    samples=_triangle_samples,
    errors=lambda: [ErrorSample(ShapeError, "at least 2 axes", np.ones(3))],
)

triu = operation(
    "triu(x, k: int = 0)",
    doc="""Upper triangles, zeros below the k-th diagonal. x: [*B, m, n] -> [*B, m, n].

    Raises ShapeError when x has fewer than 2 axes.
    Source: Python array API standard 2025.12, `triu`.

    >>> samara.triu(samara.ones(2, 2)).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """,
    ref=np.triu,
    dtypes=ALL,
    onnx="Trilu",
    ulp=0,
    samples=_triangle_samples,
    errors=lambda: [ErrorSample(ShapeError, "at least 2 axes", np.ones(3))],
)


@composite(
    "meshgrid(*arrays, indexing: str? = None)",
    doc="""Coordinates of a grid: one tensor per axis, each of the grid's full shape; views.

    arrays: n of [n_i] -> a tuple of n tensors [n_0, ..., n_(n-1)] with indexing="ij"; with "xy" the
    first two axes are exchanged. "xy" is the default; for one list of arrays, PyTorch's form, it is
    "ij" as there.

    Raises ShapeError when an array is not 1-D, ArgumentError for another indexing.
    Source: Python array API standard 2025.12, `meshgrid`.

    >>> [x.tolist() for x in samara.meshgrid(samara.arange(2), samara.arange(2))]
    [[[0, 1], [0, 1]], [[0, 0], [1, 1]]]
    """,
    ref=lambda *arrays, indexing="xy": tuple(
        np.meshgrid(*arrays[0], indexing="ij")
        if isinstance(arrays[0], list)
        else np.meshgrid(*arrays, indexing=indexing)
    ),
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(rng.normal(size=2), rng.normal(size=3)),
        Sample(rng.normal(size=2), rng.normal(size=3), rng.normal(size=4), indexing="ij"),
        Sample(rng.normal(size=3)),
        Sample([rng.normal(size=2), rng.normal(size=3)]),
        Sample(rng.normal(size=0), rng.normal(size=3)),
        Sample(rng.normal(size=1), rng.normal(size=())),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, r"array 1 has shape \(2, 2\)", np.ones(2), np.ones((2, 2))),
        ErrorSample(ArgumentError, "indexing='ab'", np.ones(2), indexing="ab"),
    ],
    methods=(),
)
def meshgrid(*arrays: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    listed = len(arrays) == 1 and isinstance(arrays[0], (list, tuple))
    arrays = tuple(arrays[0]) if listed else arrays
    indexing = indexing or ("ij" if listed else "xy")
    if indexing not in ("xy", "ij"):
        raise ArgumentError(
            f"meshgrid: indexing={indexing!r} given. Expected 'xy' or 'ij'. Fix: pass one of them."
        )
    for i, x in enumerate(arrays):
        if x.ndim > 1:
            raise ShapeError(
                f"meshgrid: array {i} has shape {tuple(x.shape)}. Expected 1-D arrays. "
                "Fix: flatten it with reshape(-1)."
            )
    sizes = [x.numel() for x in arrays]
    order = list(range(len(arrays)))
    if indexing == "xy" and len(arrays) > 1:
        order[:2] = [1, 0]
    shape = [sizes[i] for i in order]
    grids = []
    for i, x in enumerate(arrays):
        place = order.index(i)
        ones_after = [1] * (len(arrays) - 1 - place)
        grids.append(x.reshape([1] * place + [sizes[i]] + ones_after).expand(shape))
    return tuple(grids)
