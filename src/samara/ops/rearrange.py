"""Flips, turns, splits and stacks by name; runs of equal elements; combinations of elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from samara._core import int64
from samara.dtypes import ALL, BOOL, INTEGER
from samara.errors import ArgumentError, IndexOutOfRangeError, ShapeError
from samara.ops.checks import require_dtype
from samara.ops.creation import arange, zeros
from samara.ops.join import chunk, concat, split, tensor_split
from samara.ops.manipulation import _axis, flip
from samara.ops.parts import stacking, vstack
from samara.ops.record import METHODS, PLAIN, REAL, ErrorSample, Sample, composite, plain
from samara.tensor import Tensor, asarray


def _normal(rng: np.random.Generator, *shape: int) -> Any:
    return rng.normal(size=shape)


def _at_least(place: str, x: Tensor, axes: int) -> None:
    require_dtype(place, x, ALL)
    if x.ndim < axes:
        raise ShapeError(
            f"{place}: x has shape {x.shape}. Expected {axes} axes or more. Fix: reshape it."
        )


# --- flips and turns ------------------------------------------------------------------------------


@composite(
    "fliplr(x)",
    doc="""The elements in reverse order along axis 1. x: [m, n, *S] -> [m, n, *S].

    Raises ShapeError for fewer than 2 axes. Source: PyTorch, `torch.fliplr`.

    >>> samara.fliplr(samara.tensor([[1, 2]])).tolist()
    [[2, 1]]
    """,
    ref=np.fliplr,
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [Sample(_normal(rng, 2, 3)), Sample(_normal(rng, 0, 3))],
    errors=lambda: [ErrorSample(ShapeError, "2 axes or more", np.ones(2))],
)
def fliplr(x: Tensor) -> Tensor:
    _at_least("fliplr", x, 2)
    return flip(x, 1)


@composite(
    "flipud(x)",
    doc="""The elements in reverse order along axis 0. x: [m, *S] -> [m, *S].

    Raises ShapeError for a 0-d tensor. Source: PyTorch, `torch.flipud`.

    >>> samara.flipud(samara.tensor([1, 2])).tolist()
    [2, 1]
    """,
    ref=np.flipud,
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [Sample(_normal(rng, 2, 3)), Sample(_normal(rng, 1))],
    errors=lambda: [ErrorSample(ShapeError, "1 axes or more", np.array(1.0))],
)
def flipud(x: Tensor) -> Tensor:
    _at_least("flipud", x, 1)
    return flip(x, 0)


@composite(
    "rot90(x, k: int = 1, axes: ints = (0, 1))",
    doc="""x turned k times by 90 degrees, from the first of two axes towards the second.

    x: [*S] -> [*S with the two sizes exchanged for odd k].

    Raises ArgumentError unless there are two different axes. Source: PyTorch, `torch.rot90`.

    >>> samara.rot90(samara.tensor([[1, 2], [3, 4]])).tolist()
    [[2, 4], [1, 3]]
    """,
    ref=lambda x, k=1, axes=(0, 1): np.rot90(x, k, axes),
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        *(Sample(_normal(rng, 2, 3), k) for k in (0, 1, 2, 3, -1)),
        Sample(_normal(rng, 2, 3, 4), axes=(-1, 0)),
        Sample(_normal(rng, 1, 1)),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "axes", np.ones((2, 2)), 1, (0, 0)),
        ErrorSample(IndexError, "axis 2", np.ones((2, 2)), 1, (0, 2)),
    ],
)
def rot90(x: Tensor, k: int = 1, axes: Sequence[int] = (0, 1)) -> Tensor:
    require_dtype("rot90", x, ALL)
    if len(axes) != 2:
        raise ArgumentError(f"rot90: axes are {axes}. Expected two. Fix: pass e.g. (0, 1).")
    first, second = (_axis("rot90", axis, x.ndim) for axis in axes)
    if first == second:
        raise ArgumentError(
            f"rot90: axes {tuple(axes)} name one axis twice. Expected two. Fix: correct one."
        )
    turns = k % 4
    if turns == 0:
        return x.clone()
    if turns == 2:
        return flip(x, (first, second))
    if turns == 1:
        return flip(x, second).transpose(first, second)
    return flip(x.transpose(first, second), second)


# --- splits and stacks ----------------------------------------------------------------------------


def _split_samples(*shapes: tuple[int, ...]) -> Any:
    def samples(rng: np.random.Generator) -> list[Sample]:
        made = [Sample(_normal(rng, *shape), 2) for shape in shapes]
        return [
            *made,
            Sample(_normal(rng, *shapes[0]), (1, 3)),
            Sample(np.ones((0,) * len(shapes[-1])), 1),
        ]

    return samples


_SPLIT_DOC = """The parts of x along axis {axis}{extra}: so many equal ones, or cut at places.

    x: [*S] -> a tuple of tensors. Raises ShapeError for too few axes, or a size that is not
    divisible. Source: PyTorch, `torch.{name}`.

    >>> [part.shape for part in samara.{name}(samara.zeros(4, 4, 4), 2)][0]
    {answer}
    """


def _named_split(place: str, x: Tensor, parts: Any, axis: int) -> tuple[Tensor, ...]:
    if isinstance(parts, int) and (parts < 1 or x.shape[axis] % parts):
        raise ShapeError(
            f"{place}: axis {axis} has {x.shape[axis]} elements for {parts} parts. Expected parts "
            "of one size. Fix: use tensor_split."
        )
    return tensor_split(x, parts, axis)


@composite(
    "hsplit(x, parts: ints)",
    doc=_SPLIT_DOC.format(
        axis=1, extra=", of vectors along axis 0", name="hsplit", answer="(4, 2, 4)"
    ),
    ref=np.hsplit,
    dtypes=ALL,
    ulp=0,
    samples=_split_samples((2, 4), (4,)),
    errors=lambda: [
        ErrorSample(ShapeError, "1 axes or more", np.array(1.0), 1),
        ErrorSample(ShapeError, "has 3 elements", np.ones(3), 2),
    ],
)
def hsplit(x: Tensor, parts: Any) -> tuple[Tensor, ...]:
    _at_least("hsplit", x, 1)
    return _named_split("hsplit", x, parts, 1 if x.ndim > 1 else 0)


@composite(
    "vsplit(x, parts: ints)",
    doc=_SPLIT_DOC.format(axis=0, extra="", name="vsplit", answer="(2, 4, 4)"),
    ref=np.vsplit,
    dtypes=ALL,
    ulp=0,
    samples=_split_samples((4, 2), (4, 1, 2)),
    errors=lambda: [
        ErrorSample(ShapeError, "2 axes or more", np.ones(2), 1),
        ErrorSample(ShapeError, "has 3 elements", np.ones((3, 1)), 2),
    ],
)
def vsplit(x: Tensor, parts: Any) -> tuple[Tensor, ...]:
    _at_least("vsplit", x, 2)
    return _named_split("vsplit", x, parts, 0)


@composite(
    "dsplit(x, parts: ints)",
    doc=_SPLIT_DOC.format(axis=2, extra="", name="dsplit", answer="(4, 4, 2)"),
    ref=np.dsplit,
    dtypes=ALL,
    ulp=0,
    samples=_split_samples((2, 1, 4)),
    errors=lambda: [
        ErrorSample(ShapeError, "3 axes or more", np.ones((2, 2)), 1),
        ErrorSample(ShapeError, "has 3 elements", np.ones((1, 1, 3)), 2),
    ],
)
def dsplit(x: Tensor, parts: Any) -> tuple[Tensor, ...]:
    _at_least("dsplit", x, 3)
    return _named_split("dsplit", x, parts, 2)


@stacking(
    "dstack",
    "Tensors joined along axis 2, vectors and matrices as layers.",
    "[samara.tensor([1, 2]), samara.tensor([3, 4])]",
    "[[[1, 3], [2, 4]]]",
    (2, 2),
)
def dstack(arrays: Sequence[Tensor]) -> Tensor:
    return concat([_raised(x, 3) for x in arrays], 2)


@stacking(
    "column_stack",
    "Tensors joined along axis 1, numbers and vectors as columns.",
    "[samara.tensor([1, 2]), samara.tensor([3, 4])]",
    "[[1, 3], [2, 4]]",
    (3, 3),
)
def column_stack(arrays: Sequence[Tensor]) -> Tensor:
    columns = [x.reshape(x.numel(), 1) if x.ndim < 2 else x for x in arrays]
    return concat(columns, 1)


def _raised(x: Tensor, rank: int) -> Tensor:
    """With axes of size 1 where NumPy's atleast_1d, 2d and 3d put them."""
    require_dtype(f"atleast_{rank}d", x, ALL)
    if x.ndim >= rank:
        return x
    shapes: dict[int, dict[int, tuple[int, ...]]] = {
        1: {0: (1,)},
        2: {0: (1, 1), 1: (1, -1)},
        3: {0: (1, 1, 1), 1: (1, -1, 1), 2: (*x.shape, 1)},
    }
    shape = shapes[rank][x.ndim]
    return x.reshape(tuple(x.numel() if size == -1 else size for size in shape))


def _at_least_function(rank: int) -> Any:
    def raised(*tensors: Any) -> Any:
        given = tensors[0] if len(tensors) == 1 else tensors
        if isinstance(given, (list, tuple)):
            return tuple(_raised(x, rank) for x in given)
        return _raised(given, rank)

    raised.__name__ = raised.__qualname__ = f"atleast_{rank}d"
    raised.__doc__ = f"""Tensors with axes of size 1 added until there are {rank}.

    Source: PyTorch, `torch.atleast_{rank}d`.

    >>> samara.atleast_{rank}d(samara.tensor(1.0)).ndim
    {rank}
    """
    return raised


for _rank in (1, 2, 3):
    plain()(_at_least_function(_rank))

PLAIN["row_stack"] = vstack
PLAIN["split_with_sizes"] = METHODS["split_with_sizes"] = split
for _name, _function in (
    ("unsafe_split", split),
    ("unsafe_split_with_sizes", split),
    ("unsafe_chunk", chunk),
):
    PLAIN[_name] = METHODS[_name] = _function


# --- indices --------------------------------------------------------------------------------------


@composite(
    "unravel_index(indices, shape: ints)",
    doc="""Flat indices as one index for each axis of a shape.

    indices: [*T] int, shape: [*S] sizes -> a tuple of tensors [*T], one for each size.

    Raises IndexOutOfRangeError for an index beyond the shape.
    Source: PyTorch, `torch.unravel_index`.

    >>> [axis.item() for axis in samara.unravel_index(samara.tensor(5), (2, 3))]
    [1, 2]
    """,
    ref=lambda indices, shape: np.unravel_index(indices, shape),
    dtypes=INTEGER,
    ulp=0,
    samples=lambda rng: [
        Sample(rng.integers(0, 100, size=(2, 3)), (30, 25)),
        Sample(np.array([3, 0]), 128),
        Sample(np.array(5), (8, 16)),
        Sample(np.zeros(0, np.int64), (2, 2)),
    ],
    errors=lambda: [
        ErrorSample(IndexError, "index 6 is out of range", np.array([6]), (2, 3)),
        ErrorSample(TypeError, "a tensor", 3, (2, 3)),
    ],
    methods=(),
    differentiable=False,
)
def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    require_dtype("unravel_index", indices, INTEGER, "indices")
    sizes = (shape,) if isinstance(shape, int) else tuple(int(size) for size in shape)
    total = int(np.prod(sizes)) if sizes else 1
    if indices.numel():
        for bound in (indices.min().item(), indices.max().item()):
            if not 0 <= bound < total:
                raise IndexOutOfRangeError(
                    f"unravel_index: index {bound} is out of range for shape {sizes}. Expected 0 "
                    f"to {total - 1}. Fix: correct the index or the shape."
                )
    rest, parts = indices.to(int64), []
    for size in reversed(sizes):
        parts.append(rest % size)
        rest = rest // size
    return tuple(part.to(indices.dtype) for part in reversed(parts))


def _runs_ref(
    x: Any, return_inverse: bool = False, return_counts: bool = False, axis: Any = None
) -> Any:
    rows = x.reshape(-1, 1) if axis is None else np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1)
    new = np.ones(len(rows), bool)
    new[1:] = (rows[1:] != rows[:-1]).any(1)
    kept = np.flatnonzero(new)
    values = x.reshape(-1)[kept] if axis is None else np.take(x, kept, axis)
    inverse = np.cumsum(new) - 1
    counts = np.diff(np.append(kept, len(rows)))
    if axis is None:
        inverse = inverse.reshape(x.shape)
    parts = (values, *([inverse] * return_inverse), *([counts] * return_counts))
    return parts if len(parts) > 1 else parts[0]


@composite(
    "unique_consecutive(x, return_inverse: bool = False, return_counts: bool = False, "
    "axis: int? = None)",
    doc="""The first element of each run of equal ones; which run each is in; how long the runs are.

    x: [*S] -> [n], or with an axis its entries -> [*S with n at axis]; a tuple when more is asked
    for. Gradients do not pass.

    Raises IndexOutOfRangeError for an axis that does not exist.
    Source: PyTorch, `torch.unique_consecutive`.

    >>> samara.unique_consecutive(samara.tensor([1, 1, 2, 1])).tolist()
    [1, 2, 1]
    """,
    ref=_runs_ref,
    dtypes=(*REAL, *BOOL),
    ulp=0,
    samples=lambda rng: [
        Sample(rng.integers(0, 2, size=12) / 2.0),
        Sample(rng.integers(0, 2, size=(3, 4)) / 2.0, True, True),
        Sample(rng.integers(0, 2, size=(6, 2)) / 2.0, True, True, axis=0),
        Sample(rng.integers(0, 2, size=(2, 6)) / 2.0, return_counts=True, axis=-1),
        Sample(np.ones(1)),
    ],
    errors=lambda: [ErrorSample(IndexError, "axis 2", np.ones((2, 3)), axis=2)],
    differentiable=False,
)
def unique_consecutive(
    x: Tensor, return_inverse: bool = False, return_counts: bool = False, axis: int | None = None
) -> Any:
    require_dtype("unique_consecutive", x, (*REAL, *BOOL))
    given = x.detach()
    at = 0 if axis is None else _axis("unique_consecutive", axis, x.ndim)
    rows = given.reshape(-1) if axis is None else given.moveaxis(at, 0)
    size = rows.shape[0]
    starts = arange(size, device=x.device) == 0
    if size > 1:
        differs = (rows[1:] != rows[:-1]).reshape(size - 1, rows.numel() // size)
        starts = concat([starts[:1], differs.any(axis=1)], 0)
    kept = starts.nonzero().reshape(-1)
    values = rows[kept]
    parts = [values if axis is None else values.moveaxis(0, at)]
    if return_inverse:
        inverse = starts.cumsum(0) - 1
        parts.append(inverse.reshape(x.shape) if axis is None else inverse)
    if return_counts:
        parts.append(concat([kept[1:], asarray([size], device=x.device)], 0) - kept)
    return tuple(parts) if len(parts) > 1 else parts[0]


# --- combinations ---------------------------------------------------------------------------------


@plain()
def nonzero_static(x: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """The places that are not zero, cut or filled up to `size` rows. x: [*S] -> [size, rank] int64.

    Raises ArgumentError for a negative size. Source: PyTorch, `torch.nonzero_static`.

    >>> samara.nonzero_static(samara.tensor([0, 5, 7]), size=3).tolist()
    [[1], [2], [-1]]
    """
    if size < 0:
        raise ArgumentError(f"nonzero_static: size is {size}. Expected 0 or more. Fix: correct it.")
    found = x.nonzero()[:size]
    rest = zeros(size - found.shape[0], x.ndim, dtype=int64, device=x.device) + fill_value
    return concat([found, rest], 0)


METHODS["nonzero_static"] = nonzero_static


@plain("narrow_copy")
def narrow_copy(x: Tensor, dim: int, start: int, length: int) -> Tensor:
    """A copy of narrow(x, dim, start, length). Source: PyTorch, `torch.narrow_copy`.

    >>> samara.narrow_copy(samara.arange(5), 0, 1, 3).tolist()
    [1, 2, 3]
    """
    return x.narrow(dim, start, length).clone()
