"""Diagonals, blocks and index tables: diag_embed, block_diag, tril_indices, combinations, ..."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import samara._core as _core
from samara._core import Device, DType
from samara.device import resolve
from samara.dtypes import ALL, INTEGER
from samara.errors import ArgumentError, DTypeError, ShapeError
from samara.ops.creation import eye, meshgrid, zeros
from samara.ops.join import concat, stack
from samara.ops.linalg_common import TORCH
from samara.ops.manipulation import _axis
from samara.ops.record import ErrorSample, Sample, composite
from samara.ops.selection import where
from samara.tensor import Tensor, asarray


def _normal(rng: np.random.Generator, *shape: int) -> Any:
    return rng.normal(size=shape)


def _tensor(place: str, x: Any, name: str = "x") -> None:
    if not isinstance(x, Tensor):
        raise DTypeError(
            f"{place}: argument '{name}' has type {type(x).__name__}. Expected a tensor. "
            "Fix: convert it with samara.asarray(...)."
        )


def _diag_embed_ref(x: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    size = x.shape[-1] + abs(offset)
    made = np.zeros((*x.shape[:-1], size, size), x.dtype)
    k = np.arange(x.shape[-1])
    made[..., k + max(-offset, 0), k + max(offset, 0)] = x
    return np.moveaxis(made, (-2, -1), (dim1, dim2))


@composite(
    "diag_embed(x, offset: int = 0, dim1: int = -2, dim2: int = -1)",
    doc=f"""Matrices along dim1 and dim2 with the last axis of x on their diagonal, zeros elsewhere.

    x: [*B, n] -> [*B, m, m] with m = n + |offset|, its last two axes moved to dim1 and dim2.

    Raises ShapeError for a 0-d x, IndexOutOfRangeError for an axis that does not exist,
    ArgumentError for one axis twice. Source: {TORCH}, `torch.diag_embed`.

    >>> samara.diag_embed(samara.tensor([1, 2])).tolist()
    [[1, 0], [0, 2]]
    """,
    ref=_diag_embed_ref,
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 3)),
        Sample(_normal(rng, 2, 3), 1),
        Sample(_normal(rng, 2, 3), -2),
        Sample(_normal(rng, 2, 3), 0, 0, 2),
        Sample(_normal(rng, 2, 0)),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "x is 0-d", np.ones(())),
        ErrorSample(ArgumentError, "one axis", np.ones(2), 0, 1, -1),
        ErrorSample(IndexError, "axis 2 is out of range", np.ones(2), 0, 2),
    ],
)
def diag_embed(x: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    _tensor("diag_embed", x)
    if x.ndim == 0:
        raise ShapeError("diag_embed: x is 0-d. Expected at least one axis. Fix: use x.reshape(1).")
    places = [_axis("diag_embed", d, x.ndim + 1) for d in (dim1, dim2)]
    if places[0] == places[1]:
        raise ArgumentError(
            f"diag_embed: dim1 = {dim1} and dim2 = {dim2} are one axis. Expected two. "
            "Fix: correct them."
        )
    pad = zeros((*x.shape[:-1], abs(offset)), dtype=x.dtype, device=x.device)
    values = concat([x, pad], -1) if offset else x
    size = x.shape[-1] + abs(offset)
    on = eye(size, k=offset, dtype=_core.bool, device=x.device)
    # Above the main diagonal an element's row is its place in x, below it its column.
    spread = values.unsqueeze(-1) if offset >= 0 else values.unsqueeze(-2)
    zero = zeros((), dtype=x.dtype, device=x.device)
    made = where(on, spread, zero)
    return made.movedim((-2, -1), tuple(places))


@composite(
    "diagflat(x, offset: int = 0)",
    doc=f"""The matrix with all elements of x on its diagonal.

    x: [*S] -> [m, m] with m = size + |offset|. Source: {TORCH}, `torch.diagflat`.

    >>> samara.diagflat(samara.tensor([1, 2])).tolist()
    [[1, 0], [0, 2]]
    """,
    ref=lambda x, offset=0: np.diagflat(x, offset),
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 3)),
        Sample(_normal(rng, 2, 2), -1),
        Sample(_normal(rng)),
    ],
    errors=lambda: [ErrorSample(DTypeError, "argument 'x' has type str", "text")],
)
def diagflat(x: Tensor, offset: int = 0) -> Tensor:
    _tensor("diagflat", x)
    return diag_embed(x.reshape(x.numel()), offset)


def _block_diag_ref(*tensors: Any) -> Any:
    blocks = [np.atleast_2d(x) for x in tensors]
    rows, columns = (sum(b.shape[k] for b in blocks) for k in (0, 1))
    made = np.zeros((rows, columns), np.result_type(*blocks) if blocks else np.float64)
    row = column = 0
    for b in blocks:
        made[row : row + b.shape[0], column : column + b.shape[1]] = b
        row, column = row + b.shape[0], column + b.shape[1]
    return made


@composite(
    "block_diag(*tensors)",
    doc=f"""A matrix with the given ones as blocks along its diagonal, zeros elsewhere.

    tensors: [m_i, n_i] ([n_i] is a row, [] a 1 x 1 block) -> [sum m_i, sum n_i].

    Raises ShapeError for tensors with more than 2 axes. Source: {TORCH}, `torch.block_diag`.

    >>> samara.block_diag(samara.tensor([[1, 2]]), samara.tensor([[3]])).tolist()
    [[1, 2, 0], [0, 0, 3]]
    """,
    ref=_block_diag_ref,
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 2, 3), _normal(rng, 1, 2)),
        Sample(_normal(rng, 3), _normal(rng), _normal(rng, 2, 2)),
        Sample(np.ones((1, 1))),
        Sample(_normal(rng, 2, 0), _normal(rng, 2, 2)),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "tensor 1 has 3 axes", np.ones(2), np.ones((2, 2, 2))),
        ErrorSample(DTypeError, "tensor 0", 1.0),
        ErrorSample(ArgumentError, "no tensors"),
    ],
    methods=(),
)
def block_diag(*tensors: Tensor) -> Tensor:
    if not tensors:
        raise ArgumentError(
            "block_diag: no tensors given. Expected one or more. Fix: pass them one by one."
        )
    blocks = []
    for i, x in enumerate(tensors):
        _tensor("block_diag", x, f"tensor {i}")
        if x.ndim > 2:
            raise ShapeError(
                f"block_diag: tensor {i} has {x.ndim} axes. Expected 2 at most. Fix: reshape it."
            )
        blocks.append(x.reshape((1,) * (2 - x.ndim) + tuple(x.shape)))
    dtype = blocks[0].dtype
    for x in blocks[1:]:
        dtype = _core.promote(dtype, x.dtype)
    width = sum(x.shape[1] for x in blocks)
    rows, left = [], 0
    for x in blocks:
        right = width - left - x.shape[1]
        parts = [
            zeros((x.shape[0], left), dtype=dtype, device=x.device),
            x if x.dtype is dtype else x.astype(dtype),
            zeros((x.shape[0], right), dtype=dtype, device=x.device),
        ]
        rows.append(concat(parts, 1))
        left += x.shape[1]
    return concat(rows, 0)


# --- tables of indices ----------------------------------------------------------------------------


def _triangle(
    place: str, row: int, col: int, offset: int, dtype: Any, device: Any, upper: bool
) -> Tensor:
    for name, size in (("row", row), ("col", col)):
        if isinstance(size, bool) or not isinstance(size, int):
            raise DTypeError(f"{place}: {name} is {size!r}. Expected an int. Fix: pass one.")
        if size < 0:
            raise ArgumentError(f"{place}: {name} is {size}. Expected 0 or more. Fix: pass that.")
    chosen = _core.int64 if dtype is None else dtype
    if chosen not in INTEGER:
        raise DTypeError(f"{place}: dtype is {chosen}. Expected an integer dtype. Fix: pass one.")
    rows, columns = (np.triu_indices if upper else np.tril_indices)(row, offset, col)
    return asarray(np.stack([rows, columns])).astype(chosen).to(resolve(device))


_INDEX_OPTIONS = "*, dtype: dtype? = None, device: device? = None"


def _triangle_indices(name: str, side: str, reference: Any, example: str) -> Any:
    @composite(
        f"{name}(row: int, col: int, offset: int = 0, {_INDEX_OPTIONS})",
        doc=f"""Rows and columns of the elements on and {side} the `offset`-th diagonal.

    -> [2, count] int64. Raises ArgumentError for a negative size.
    Source: {TORCH}, `torch.{name}`.

    >>> samara.{name}(2, 2).tolist()
    {example}
    """,
        ref=lambda row, col, offset=0: np.stack(reference(row, offset, col)),
        ulp=0,
        samples=lambda rng: [Sample(3, 4), Sample(4, 3, 1), Sample(3, 3, -1), Sample(0, 2)],
        errors=lambda: [
            ErrorSample(ArgumentError, "row is -1", -1, 2),
            ErrorSample(ArgumentError, "col is -1", 2, -1),
            ErrorSample(DTypeError, "col is 2.5", 2, 2.5),
        ],
        methods=(),
        differentiable=False,
    )
    def indices(
        row: int,
        col: int,
        offset: int = 0,
        *,
        dtype: DType | None = None,
        device: Device | str | None = None,
    ) -> Tensor:
        return _triangle(name, row, col, offset, dtype, device, side == "above")

    return indices


tril_indices = _triangle_indices("tril_indices", "below", np.tril_indices, "[[0, 1, 1], [0, 0, 1]]")
triu_indices = _triangle_indices("triu_indices", "above", np.triu_indices, "[[0, 0, 1], [0, 1, 1]]")


@composite(
    "cartesian_prod(*tensors)",
    doc=f"""All choices of one element from each vector, the last one changing fastest.

    tensors: [n_1], ..., [n_k] -> [n_1 ... n_k, k]; of one vector the vector itself.

    Raises ShapeError for other shapes. Source: {TORCH}, `torch.cartesian_prod`.

    >>> samara.cartesian_prod(samara.tensor([1, 2]), samara.tensor([3, 4])).tolist()
    [[1, 3], [1, 4], [2, 3], [2, 4]]
    """,
    ref=lambda *tensors: (
        tensors[0]
        if len(tensors) == 1
        else np.stack([x.reshape(-1) for x in np.meshgrid(*tensors, indexing="ij")], -1)
    ),
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 2), _normal(rng, 3)),
        Sample(_normal(rng, 2), _normal(rng, 1), _normal(rng, 2)),
        Sample(_normal(rng, 1)),
        Sample(_normal(rng, 2), _normal(rng, 0)),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "tensor 1 has 2 axes", np.ones(2), np.ones((2, 2))),
        ErrorSample(DTypeError, "tensor 0", 1.0),
        ErrorSample(ArgumentError, "no tensors"),
    ],
    methods=(),
)
def cartesian_prod(*tensors: Tensor) -> Tensor:
    if not tensors:
        raise ArgumentError(
            "cartesian_prod: no tensors given. Expected one or more. Fix: pass them one by one."
        )
    for i, x in enumerate(tensors):
        _tensor("cartesian_prod", x, f"tensor {i}")
        if x.ndim != 1:
            raise ShapeError(
                f"cartesian_prod: tensor {i} has {x.ndim} axes. Expected vectors. "
                "Fix: flatten it with reshape(-1)."
            )
    if len(tensors) == 1:
        return tensors[0].clone()
    grids = meshgrid(*tensors, indexing="ij")
    return stack([x.reshape(x.numel()) for x in grids], -1)


def _choices(n: int, r: int, again: bool) -> Any:
    """Rows of places, in the order of the elements."""
    choose = itertools.combinations_with_replacement if again else itertools.combinations
    rows = list(choose(range(n), r))
    return np.array(rows, np.int64).reshape(len(rows), r)


def _combinations_ref(x: Any, r: int = 2, with_replacement: bool = False) -> Any:
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = list(choose(x.tolist(), r))
    return np.array(rows, x.dtype).reshape(len(rows), r)


@composite(
    "combinations(x, r: int = 2, with_replacement: bool = False)",
    doc=f"""All ways to choose r elements of a vector, in its order. x: [n] -> [count, r].

    Raises ShapeError for other shapes, ArgumentError for a negative r.
    Source: {TORCH}, `torch.combinations`.

    >>> samara.combinations(samara.tensor([1, 2, 3])).tolist()
    [[1, 2], [1, 3], [2, 3]]
    """,
    ref=_combinations_ref,
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 4)),
        Sample(_normal(rng, 4), 3),
        Sample(_normal(rng, 3), 2, True),
        Sample(_normal(rng, 1)),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "2 axes", np.ones((2, 2))),
        ErrorSample(ArgumentError, "r is -1", np.ones(2), -1),
    ],
)
def combinations(x: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    _tensor("combinations", x)
    if x.ndim != 1:
        raise ShapeError(
            f"combinations: x has {x.ndim} axes. Expected a vector. Fix: flatten it with "
            "reshape(-1)."
        )
    if isinstance(r, bool) or not isinstance(r, int) or r < 0:
        raise ArgumentError(f"combinations: r is {r!r}. Expected 0 or more. Fix: pass that.")
    places = asarray(_choices(x.shape[0], r, with_replacement)).to(x.device)
    return x[places]
