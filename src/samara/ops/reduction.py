"""Reductions: sum, mean, prod, max, min, argmax, argmin, var, std, norm, cumsum.

`axis` is None (all axes), an int or a tuple of ints; `keepdims` leaves the reduced axes with size
1. Sums of float32 and narrower are accumulated in blocks and then in float64, in an order that
depends on the shape alone, so a result has the same bits for any number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from samara.dtypes import BOOL, COMPLEX
from samara.errors import ArgumentError, DTypeError, ShapeError
from samara.ops.adapt import store
from samara.ops.record import ALL, FLOAT, NUMERIC, REAL, ErrorSample, Function, Sample, operation
from samara.tensor import Tensor

_ORDERED = (*REAL, *BOOL)
_INEXACT = (*FLOAT, *(dtype for dtype in NUMERIC if dtype.name.startswith("complex")))


def _axes(axis: int | tuple[int, ...] | None, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    axes = (axis,) if isinstance(axis, int) else axis
    return tuple(sorted(a % ndim if ndim else 0 for a in axes))


def _kept(g: Tensor, x: Tensor, axis: int | tuple[int, ...] | None) -> Tensor:
    """A reduced tensor with its reduced axes put back as size 1."""
    axes = _axes(axis, x.ndim)
    return g.reshape(tuple(1 if i in axes else size for i, size in enumerate(x.shape)))


def _spread(g: Tensor, x: Tensor, axis: int | tuple[int, ...] | None) -> Tensor:
    return _kept(g, x, axis).expand(x.shape)


def _count(x: Tensor, axis: int | tuple[int, ...] | None) -> int:
    return math.prod(x.shape[a] for a in _axes(axis, x.ndim)) if x.ndim else 1


def _samples(rng: np.random.Generator) -> list[Sample]:
    x = rng.normal(size=(2, 3, 4))
    return [
        Sample(x),
        Sample(x, axis=1),
        Sample(x, axis=-1, keepdims=True),
        Sample(x, axis=(0, 2)),
        Sample(x, axis=(-1, 0), keepdims=True),
        Sample(x, keepdims=True),
        Sample(x, axis=()),
        Sample(x.transpose(2, 0, 1), axis=0),
        Sample(x[:, ::2, 1:3], axis=2),
        Sample(rng.normal(size=(5, 1)), axis=0),
        Sample(rng.normal(size=())),
        Sample(rng.normal(size=(70, 9)), axis=0),
        Sample(rng.normal(size=(3, 150)), axis=1),
    ]


def _sum_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        *_samples(rng),
        Sample(np.zeros((0, 3))),
        Sample(np.zeros((0, 3)), axis=0),
        Sample(np.zeros((0, 3)), axis=1),
        Sample(np.array([1.0, np.inf, 2.0])),
        Sample(np.array([1.0, np.nan, np.inf])),
    ]


def _distinct_samples(rng: np.random.Generator) -> list[Sample]:
    """For selections: no two numbers are close, so finite differences pick the same one."""

    def distinct(*shape: int) -> Any:
        return rng.permutation(math.prod(shape)).reshape(shape) / 4.0 - 3.0

    return [
        Sample(distinct(2, 3, 4)),
        Sample(distinct(2, 3, 4), axis=1),
        Sample(distinct(2, 3, 4), axis=(0, 2)),
        Sample(distinct(2, 3, 4), axis=-1, keepdims=True),
        Sample(distinct(40, 9), axis=0),
        Sample(distinct(3, 150), axis=1),
        Sample(distinct(4, 3).T, axis=1),
        Sample(rng.normal(size=())),
        Sample(np.zeros((0, 3)), axis=1),
        Sample(np.array([[-np.inf, 2.0], [np.inf, -3.0]]), axis=1),
    ]


def axis_errors() -> list[ErrorSample]:
    return [
        ErrorSample(IndexError, "axis 5 is out of range", np.ones((2, 3)), axis=5),
        ErrorSample(ArgumentError, "axis -1 appears twice", np.ones((2, 3)), axis=(1, -1)),
    ]


def _empty_errors() -> list[ErrorSample]:
    return [
        *axis_errors(),
        ErrorSample(ShapeError, "axis 0 of shape \\(0, 3\\) has no", np.ones((0, 3)), axis=0),
        ErrorSample(ShapeError, "axis 0 of shape \\(0,\\) has no elements", np.ones(0)),
    ]


def numpy_reference(function: Callable[..., Any]) -> Callable[..., Any]:
    def ref(x: Any, axis: Any = None, keepdims: bool = False, **others: Any) -> Any:
        return function(x, axis=axis, keepdims=keepdims, **others)

    return ref


def _sum_grad(g: Tensor, x: Tensor, y: Tensor, *, axis: Any, **_: Any) -> Tensor:
    return _spread(g, x, axis)


sum = operation(
    "sum(x, axis: ints? = None, keepdims: bool = False, *, dtype: dtype? = None)",
    doc="""The sum over `axis`. x: [*S] -> [*S without axis].

    bool and signed integers sum to int64, unsigned integers to uint64, and wrap around; `dtype`
    converts x first. The sum of nothing is 0.

    Raises IndexOutOfRangeError for an axis out of range, ArgumentError for a repeated one.
    Source: Python array API standard 2025.12, `sum`.

    >>> samara.sum(samara.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0).tolist()
    [4.0, 6.0]
    """,
    ref=numpy_reference(np.sum),
    grad=_sum_grad,
    dtypes=ALL,
    onnx="ReduceSum",
    ulp=2,
    condition="sum",
    samples=_sum_samples,
    errors=axis_errors,
)


def _mean_grad(g: Tensor, x: Tensor, y: Tensor, *, axis: Any, **_: Any) -> Tensor:
    return _spread(g / _count(x, axis), x, axis)


mean = operation(
    "mean(x, axis: ints? = None, keepdims: bool = False)",
    doc="""The arithmetic mean over `axis`. x: [*S] float or complex -> [*S without axis].

    The mean of nothing is NaN. Raises DTypeError for integers: convert them first.
    Source: Python array API standard 2025.12, `mean`.

    >>> samara.mean(samara.tensor([1.0, 2.0, 6.0])).item()
    3.0
    """,
    ref=numpy_reference(np.mean),
    grad=_mean_grad,
    dtypes=_INEXACT,
    onnx="ReduceMean",
    ulp=2,
    condition="sum",
    samples=_samples,
    errors=axis_errors,
)


def _prod_grad(g: Tensor, x: Tensor, y: Tensor, *, axis: Any, **_: Any) -> Tensor:
    """For each element the product of all others, from an n by n table: exact at zeros."""
    from samara.ops.creation import eye
    from samara.ops.selection import where

    axes = _axes(axis, x.ndim)
    order = [i for i in range(x.ndim) if i not in axes] + list(axes)
    n = _count(x, axis)
    rows = x.permute(order)
    table = rows.reshape(math.prod(rows.shape[: x.ndim - len(axes)]), 1, n)
    others = prod(where(eye(n, device=x.device) == 1, 1.0, table), axis=-1)
    others = others.reshape(rows.shape).permute([order.index(i) for i in range(x.ndim)])
    dx: Tensor = _spread(g, x, axis) * others.conj()
    return dx


prod = operation(
    "prod(x, axis: ints? = None, keepdims: bool = False, *, dtype: dtype? = None)",
    doc="""The product over `axis`. x: [*S] -> [*S without axis].

    bool and signed integers give int64, unsigned integers uint64, and wrap around; `dtype` converts
    x first. Floats are multiplied in float64. The product of nothing is 1.

    Source: Python array API standard 2025.12, `prod`.

    >>> samara.prod(samara.tensor([2, 3, 4])).item()
    24
    """,
    ref=numpy_reference(np.prod),
    grad=_prod_grad,
    dtypes=ALL,
    onnx="ReduceProd",
    ulp=4,
    samples=lambda rng: [
        *(s for s in _samples(rng) if np.size(s.args[0]) < 100),
        Sample(np.array([[2.0, 0.0, 3.0], [0.0, 0.0, 5.0]]), axis=1),
        Sample(np.zeros((0, 3)), axis=0),
    ],
    errors=axis_errors,
)


_PAIR_DOC = """The {largest} elements along one axis and where they stand: (values, indices).

    x: [*S] real -> [*S without axis], the same as int64. Of equal elements the first counts, and a
    NaN counts before all numbers. The gradient goes to the chosen element.

    Raises ShapeError when the axis is empty.

    >>> samara.{name}_with_indices(samara.tensor([3.0, 1.0, 4.0]), 0).indices.item()
    {answer}
    """


def _pair_grad(gs: Any, x: Tensor, outputs: Any, *, axis: int, keepdims: bool) -> Tensor:
    from samara.ops.creation import zeros_like
    from samara.ops.gathering import scatter_add

    g = gs[0] if isinstance(gs, (tuple, list)) else gs
    if x.ndim == 0:
        return _kept(g, x, axis)
    position = _kept(outputs[1], x, axis)
    dx: Tensor = scatter_add(zeros_like(x), axis, position, _kept(g, x, axis))
    return dx


def _pair_ref(choose: Callable[..., Any]) -> Callable[..., Any]:
    def ref(x: Any, axis: int, keepdims: bool = False) -> Any:
        if x.ndim == 0:
            return x, np.zeros((), np.int64)
        position = choose(x, axis=axis, keepdims=True)
        values = np.take_along_axis(x, position, axis)
        if keepdims:
            return values, position
        return values.squeeze(axis), position.squeeze(axis)

    return ref


def _pair_samples(rng: np.random.Generator) -> list[Sample]:
    x = rng.permutation(24).reshape(2, 3, 4) / 4.0
    return [
        Sample(x, axis=0),
        Sample(x, axis=-1, keepdims=True),
        Sample(x, axis=1),
        Sample(x[0].T, axis=0),
        Sample(rng.permutation(300).reshape(2, 150) / 4.0, axis=1),
        Sample(np.zeros((0, 3)), axis=1),
        Sample(np.array(2.0), axis=0),
    ]


max_with_indices: Function = operation(
    "max_with_indices(x, axis: int, keepdims: bool = False)",
    doc=_PAIR_DOC.format(largest="largest", name="max", answer=2),
    ref=_pair_ref(np.argmax),
    grad=_pair_grad,
    dtypes=_ORDERED,
    ulp=0,
    samples=_pair_samples,
    errors=lambda: _empty_errors()[2:3],
    methods=(),
    outputs=("values", "indices"),
)
min_with_indices: Function = operation(
    "min_with_indices(x, axis: int, keepdims: bool = False)",
    doc=_PAIR_DOC.format(largest="smallest", name="min", answer=1),
    ref=_pair_ref(np.argmin),
    grad=_pair_grad,
    dtypes=_ORDERED,
    ulp=0,
    samples=_pair_samples,
    errors=lambda: _empty_errors()[2:3],
    methods=(),
    outputs=("values", "indices"),
)


def _torch_extremum(name: str, pair: Any, pairwise: str) -> Callable[..., Any]:
    """x.max(), x.max(dim), x.max(other) and, with axis= or keepdims=, the standard's."""

    def call(x: Tensor, dim: Any = None, keepdim: bool = False, **standard: Any) -> Any:
        reduce = globals()[name]
        other, out = standard.pop("other", None), standard.pop("out", None)
        if out is not None:
            keywords = standard if dim is None else {"keepdim": keepdim, **standard}
            return store(name, out, call(x, dim, **keywords))
        if isinstance(dim, Tensor) or other is not None:
            import samara.ops.arithmetic as arithmetic

            return getattr(arithmetic, pairwise)(x, dim if other is None else other)
        if dim is not None and not standard:
            return pair(x, dim, keepdim)
        if dim is not None:
            raise ArgumentError(
                f"{name}: dim={dim} was given together with {', '.join(standard)}. Expected dim= "
                "and keepdim=, which give values and indices, or axis= and keepdims=, which give "
                "values. Fix: use one spelling."
            )
        return reduce(x, **standard)

    call.__name__ = call.__qualname__ = name
    return call


def _of_two(pairwise: str) -> Callable[..., Any]:
    """PyTorch's max(x, y) of two tensors."""

    def call(*args: Any, **kwargs: Any) -> Any:
        given = (*args, *kwargs.values())
        if [isinstance(x, Tensor) for x in given] != [True, True]:
            return NotImplemented
        import samara.ops.arithmetic as arithmetic

        return getattr(arithmetic, pairwise)(*given)

    return call


max = operation(
    "max(x, axis: ints? = None, keepdims: bool = False)",
    doc="""The largest element over `axis`; NaN if there is one. x: [*S] real -> [*S without axis].

    With `dim=`, and as the method x.max(dim): a named tuple (values, indices), as in PyTorch.
    Elements that share the maximum share the gradient equally.

    Raises ShapeError when a reduced axis is empty.
    Source: Python array API standard 2025.12, `max`.

    >>> samara.max(samara.tensor([[1.0, 5.0], [3.0, 2.0]]), axis=1).tolist()
    [5.0, 3.0]
    >>> samara.tensor([[1.0, 5.0], [3.0, 2.0]]).max(dim=1).indices.tolist()
    [1, 0]
    """,
    ref=numpy_reference(np.max),
    dtypes=_ORDERED,
    onnx="ReduceMax",
    ulp=0,
    samples=_distinct_samples,
    errors=_empty_errors,
    dim_form=_torch_extremum("max", max_with_indices, "maximum"),
    other_form=_of_two("maximum"),
)
min = operation(
    "min(x, axis: ints? = None, keepdims: bool = False)",
    doc="""The smallest element over `axis`; NaN if there is one. x: [*S] real -> [*S without axis].

    With `dim=`, and as the method x.min(dim): a named tuple (values, indices), as in PyTorch.
    Elements that share the minimum share the gradient equally.

    Raises ShapeError when a reduced axis is empty.
    Source: Python array API standard 2025.12, `min`.

    >>> samara.min(samara.tensor([[1.0, 5.0], [3.0, 2.0]]), axis=0).tolist()
    [1.0, 2.0]
    """,
    ref=numpy_reference(np.min),
    dtypes=_ORDERED,
    onnx="ReduceMin",
    ulp=0,
    samples=_distinct_samples,
    errors=_empty_errors,
    dim_form=_torch_extremum("min", min_with_indices, "minimum"),
    other_form=_of_two("minimum"),
)


def _values(name: str, native: str, ref: Callable[..., Any], answer: str) -> Any:
    return operation(
        f"{name}(x, axis: ints? = None, keepdims: bool = False)",
        doc=f"""`{native}` that gives values alone, in every spelling. x: [*S] -> [*S without axis].

        Raises ShapeError when a reduced axis is empty. Source: PyTorch, `torch.{name}`.

        >>> samara.{name}(samara.tensor([[1.0, 5.0], [3.0, 2.0]]), dim=1).tolist()
        {answer}
        """,
        native=native,
        ref=numpy_reference(ref),
        dtypes=_ORDERED,
        ulp=0,
        samples=_distinct_samples,
        errors=_empty_errors,
    )


amax = _values("amax", "max", np.max, "[5.0, 3.0]")
amin = _values("amin", "min", np.min, "[1.0, 2.0]")


def _index_samples(rng: np.random.Generator) -> list[Sample]:
    x = rng.permutation(24).reshape(2, 3, 4) / 4.0
    return [
        Sample(x),
        Sample(x, axis=0),
        Sample(x, axis=-1, keepdims=True),
        Sample(x, keepdims=True),
        Sample(x.transpose(2, 1, 0)),
        Sample(x.transpose(2, 1, 0), axis=1),
        Sample(x[:, ::2]),
        Sample(np.array([1.0, 3.0, 3.0, 1.0])),
        Sample(np.array([[1.0, np.nan, 7.0, np.nan], [np.inf, 2.0, -np.inf, np.inf]]), axis=1),
        Sample(rng.permutation(300).reshape(2, 150) / 4.0, axis=1),
        Sample(np.zeros((0, 3)), axis=1),
        Sample(np.array(3.0)),
    ]


argmax = operation(
    "argmax(x, axis: int? = None, keepdims: bool = False)",
    doc="""The index of the largest element along `axis`, or of all. x: [*S] real -> int64.

    The first of equal elements; the first NaN if there is one. With axis=None x is taken row by
    row.

    Raises ShapeError when the axis is empty.
    Source: Python array API standard 2025.12, `argmax`.

    >>> samara.argmax(samara.tensor([1.0, 5.0, 3.0])).item()
    1
    """,
    ref=numpy_reference(np.argmax),
    dtypes=_ORDERED,
    onnx="ArgMax",
    ulp=0,
    samples=_index_samples,
    errors=lambda: _empty_errors()[2:],
)
argmin = operation(
    "argmin(x, axis: int? = None, keepdims: bool = False)",
    doc="""The index of the smallest element along `axis`, or of all. x: [*S] real -> int64.

    The first of equal elements; the first NaN if there is one. With axis=None x is taken row by
    row.

    Raises ShapeError when the axis is empty.
    Source: Python array API standard 2025.12, `argmin`.

    >>> samara.argmin(samara.tensor([1.0, 5.0, 0.5])).item()
    2
    """,
    ref=numpy_reference(np.argmin),
    dtypes=_ORDERED,
    onnx="ArgMin",
    ulp=0,
    samples=_index_samples,
    errors=lambda: _empty_errors()[2:],
)


def _torch_variance(name: str) -> Callable[..., Any]:
    """PyTorch's form: correction=1 unless told otherwise, `unbiased` understood."""

    def call(
        x: Tensor,
        dim: Any = None,
        unbiased: bool | None = None,
        keepdim: bool = False,
        *,
        correction: float | None = None,
        **standard: Any,
    ) -> Tensor:
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        correction = standard.pop("ddof", correction)  # NumPy's name
        if correction is None:
            correction = 0.0 if unbiased is False or standard else 1.0
        if not standard or dim is not None:
            standard |= {"axis": dim, "keepdims": keepdim}
        try:
            result: Tensor = globals()[name](x, correction=correction, **standard)
        except DTypeError:
            if not isinstance(x, Tensor) or x.dtype not in COMPLEX:
                raise
            # The distance from the mean in the plane: both parts count.
            result = var(x.real, correction=correction, **standard)
            result = result + var(x.imag, correction=correction, **standard)
            return result if name == "var" else result.sqrt()
        return result

    call.__name__ = call.__qualname__ = name
    return call


def _deviation_ref(square_root: bool) -> Callable[..., Any]:
    def ref(x: Any, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
        count = np.sum(np.ones_like(x), axis=axis, keepdims=keepdims)
        center = np.mean(x, axis=axis, keepdims=True)
        total = np.sum((x - center) ** 2, axis=axis, keepdims=keepdims)
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = np.where(count > correction, total / (count - correction), np.nan)
        return np.sqrt(variance) if square_root else variance

    return ref


def _deviation_samples(rng: np.random.Generator) -> list[Sample]:
    x = rng.normal(size=(4, 3, 5))
    return [
        Sample(x),
        Sample(x, axis=0),
        Sample(x, axis=-1, correction=1.0),
        Sample(x, axis=(0, 2), keepdims=True, correction=1.0),
        Sample(x.transpose(1, 2, 0), axis=1),
        Sample(x[:, :, ::2], axis=2, correction=0.5),
        Sample(rng.normal(size=(2, 150)) + 100.0, axis=1),
        Sample(np.zeros((0, 3)), axis=1),
        Sample(np.array([[1.0, 2.0], [3.0, 3.0]]), axis=1, correction=2.0),
    ]


def _unbiased(name: str) -> Callable[..., Any]:
    """std(x, unbiased=False): the keyword is PyTorch's, and so is the rest of the call."""
    torch_form = _torch_variance(name)

    def call(*args: Any, **kwargs: Any) -> Any:
        return torch_form(*args, **kwargs) if "unbiased" in kwargs else NotImplemented

    return call


var = operation(
    "var(x, axis: ints? = None, correction: float = 0.0, keepdims: bool = False)",
    doc="""The variance over `axis`, sum (x - mean)^2 / (n - correction).

    x: [*S] float -> [*S without axis].

    correction=0 is the standard's default; with `dim=`, and as the method x.var(dim), it is 1 as in
    PyTorch. The mean is taken first, in float64. NaN where n <= correction.

    Source: Python array API standard 2025.12, `var`.

    >>> samara.var(samara.tensor([1.0, 3.0])).item()
    1.0
    >>> samara.tensor([1.0, 3.0]).var().item()
    2.0
    """,
    ref=_deviation_ref(square_root=False),
    ulp=4,
    samples=_deviation_samples,
    errors=axis_errors,
    dim_form=_torch_variance("var"),
    other_form=_unbiased("var"),
)
std = operation(
    "std(x, axis: ints? = None, correction: float = 0.0, keepdims: bool = False)",
    doc="""The standard deviation over `axis`, the root of `var`. x: [*S] -> [*S without axis].

    correction=0 is the standard's default; with `dim=`, and as the method x.std(dim), it is 1 as in
    PyTorch. Where the deviation is 0 its gradient is taken as 0.

    Source: Python array API standard 2025.12, `std`.

    >>> samara.std(samara.tensor([1.0, 3.0])).item()
    1.0
    """,
    ref=_deviation_ref(square_root=True),
    ulp=4,
    samples=_deviation_samples,
    errors=axis_errors,
    dim_form=_torch_variance("std"),
    other_form=_unbiased("std"),
)


def _norm_ref(x: Any, p: float = 2.0, axis: Any = None, keepdims: bool = False) -> Any:
    size = np.abs(x)
    if p == math.inf:
        return np.max(size, axis=axis, keepdims=keepdims, initial=0.0)
    if p == -math.inf:
        return np.min(size, axis=axis, keepdims=keepdims)
    if p == 0:
        return np.sum(x != 0, axis=axis, keepdims=keepdims, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return np.sum(size**p, axis=axis, keepdims=keepdims) ** (1.0 / p)


def _named_norm(
    x: Any = None,
    p: Any = None,
    axis: Any = None,
    keepdims: bool = False,
    *,
    dtype: Any = None,
    **spelling: Any,
) -> Any:
    """PyTorch's norm(x, p="fro") and norm(x, p="nuc")."""
    if not isinstance(x, Tensor) or p not in ("fro", "nuc", None):
        return NotImplemented
    axis = spelling.pop("dim", axis)
    keepdims = spelling.pop("keepdim", keepdims)
    if spelling:
        return NotImplemented
    x = x if dtype is None else x.to(dtype)
    if p == "nuc":
        from samara.linalg import matrix_norm

        return matrix_norm(x, "nuc", (-2, -1) if axis is None else axis, keepdims)
    return norm(x, 2.0, axis, keepdims)


norm = operation(
    "norm(x, p: float = 2.0, axis: ints? = None, keepdims: bool = False)",
    doc="""The vector p-norm over `axis`, (sum |x|^p)^(1/p). x: [*S] float -> [*S without axis].

    p = inf gives max |x|, p = -inf min |x|, p = 0 the number of nonzero elements. Sums are formed
    in float64, so squares of float32 do not overflow. The gradient at 0 is taken as 0.

    >>> samara.norm(samara.tensor([3.0, 4.0])).item()
    5.0
    """,
    ref=_norm_ref,
    onnx="ReduceL2",
    other_form=_named_norm,
    ulp=4,
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3, 4))),
        Sample(rng.normal(size=(2, 3, 4)), axis=1),
        Sample(rng.normal(size=(2, 3, 4)), 1.0, axis=(0, 2), keepdims=True),
        Sample(rng.normal(size=(2, 3, 4)), 3.0, axis=-1),
        Sample(rng.normal(size=(2, 3, 4)), 0.5, axis=0),
        Sample(rng.normal(size=(3, 4)), math.inf, axis=1),
        Sample(rng.normal(size=(3, 4)), -math.inf, axis=0),
        Sample(rng.normal(size=(3, 4)), 0.0, axis=0),
        Sample(rng.normal(size=(3, 90)), axis=1),
        Sample(np.zeros((0, 3)), axis=0),
        Sample(np.array(-2.0)),
    ],
    errors=axis_errors,
    aliases=("vector_norm",),
)


def _cumsum_ref(x: Any, axis: int | None = None, dtype: Any = None, reverse: bool = False) -> Any:
    if x.ndim == 0:
        return np.cumsum(x).reshape(())
    axis = 0 if axis is None else axis
    if reverse:
        return np.flip(np.cumsum(np.flip(x, axis), axis=axis), axis)
    return np.cumsum(x, axis=axis)


def _cumsum_grad(g: Tensor, x: Tensor, y: Tensor, *, axis: Any, dtype: Any, reverse: bool) -> Any:
    return cumsum(g, axis, reverse=not reverse)


cumsum = operation(
    "cumsum(x, axis: int? = None, *, dtype: dtype? = None, reverse: bool = False)",
    doc="""Running sums along `axis`, y_i = sum_{j <= i} x_j; from the end with reverse=True.

    x: [*S] -> [*S]. `axis` may be left out for 0-d and 1-d tensors. bool and integers give int64
    (unsigned uint64); sums of floats are carried in float64.

    Raises ArgumentError when the axis is missing.
    Source: Python array API standard 2025.12, `cumulative_sum`.

    >>> samara.cumsum(samara.tensor([1.0, 2.0, 3.0]), 0).tolist()
    [1.0, 3.0, 6.0]
    """,
    ref=_cumsum_ref,
    grad=_cumsum_grad,
    dtypes=ALL,
    onnx="CumSum",
    ulp=2,
    condition="sum",
    samples=lambda rng: [
        Sample(rng.normal(size=7)),
        Sample(rng.normal(size=(3, 4)), 0),
        Sample(rng.normal(size=(3, 4)), -1),
        Sample(rng.normal(size=(3, 4)).T, 0, reverse=True),
        Sample(rng.normal(size=(2, 3, 4)), 1, reverse=True),
        Sample(rng.normal(size=())),
        Sample(np.zeros((0, 3)), 0),
        Sample(np.zeros((3, 0)), 0),
    ],
    errors=lambda: [
        ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 3)), 2),
        ErrorSample(ArgumentError, "no axis was given", np.ones((2, 3))),
    ],
)


def _sum_to_ref(x: Any, shape: Any) -> Any:
    lead = x.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(
        i + lead for i, size in enumerate(shape) if size == 1 and x.shape[i + lead] != 1
    )
    return np.sum(x, axis=axes, keepdims=True).reshape(shape).astype(x.dtype)


sum_to = operation(
    "sum_to(x, shape: ints)",
    doc="""Sums x over the axes along which `shape` was broadcast to x's: the reverse of expand.

    x: [*S] -> [*shape], of x's dtype.

    Raises ShapeError when `shape` does not broadcast to x's shape.

    >>> samara.sum_to(samara.ones(3, 2), (1, 2)).tolist()
    [[3.0, 3.0]]
    """,
    ref=_sum_to_ref,
    grad=lambda g, x, y, *, shape: g.expand(x.shape),
    dtypes=NUMERIC,
    ulp=2,
    condition="sum",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), (4,)),
        Sample(rng.normal(size=(3, 4)), (3, 1)),
        Sample(rng.normal(size=(2, 3, 4)), (1, 4)),
        Sample(rng.normal(size=(2, 3, 4)), (2, 1, 4)),
        Sample(rng.normal(size=(2, 3)), ()),
        Sample(rng.normal(size=(2, 3)), (2, 3)),
        Sample(np.zeros((0, 3)), (3,)),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "does not broadcast", np.ones((2, 3)), (2,)),
        ErrorSample(ShapeError, "does not broadcast", np.ones(3), (2, 3)),
    ],
    methods=(),
)

__all__ = [
    "argmax",
    "argmin",
    "cumsum",
    "max",
    "max_with_indices",
    "mean",
    "min",
    "min_with_indices",
    "norm",
    "prod",
    "std",
    "sum",
    "sum_to",
    "var",
]
