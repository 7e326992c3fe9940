"""Rows of tables over bags of ids; bilinear forms."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from samara._core import int64
from samara.errors import (
    ArgumentError,
    DTypeError,
    IndexOutOfRangeError,
    ShapeError,
    UnsupportedError,
)
from samara.ops.checks import require_choice, require_dtype, require_shape
from samara.ops.creation import arange
from samara.ops.distance import renorm
from samara.ops.gathering import bincount, embedding, index_add
from samara.ops.record import FLOAT, INTEGER, ErrorSample, Sample, composite
from samara.ops.scatters import scatter_reduce
from samara.ops.sets import unique
from samara.tensor import Tensor, tensor

# --- lookups --------------------------------------------------------------------------------------


def refuse_sparse(place: str, sparse: bool) -> None:
    """UnsupportedError for gradients that hold some rows only."""
    if sparse:
        raise UnsupportedError(
            f"{place}: sparse=True is not there. Expected sparse=False, for dense gradients. "
            "Fix: leave it out."
        )


def _renormalize(weight: Tensor, ids: Tensor, max_norm: float, norm_type: float) -> None:
    """Scales the rows that will be looked up down to max_norm, in place and unrecorded."""
    plain = weight.detach()
    rows = unique(ids.reshape(-1))
    if rows.numel():
        plain[rows] = renorm(plain[rows], norm_type, 0, max_norm)


def rows_of(
    ids: Tensor,
    weight: Tensor,
    padding_idx: int | None,
    max_norm: float | None,
    norm_type: float,
    scale_grad_by_freq: bool,
) -> Tensor:
    """Rows of a table, first scaled down to max_norm in place; gradients divided by frequency."""
    if max_norm is not None:
        _renormalize(weight, ids, max_norm, norm_type)
    found = embedding(ids, weight, padding_idx)
    if not scale_grad_by_freq:
        return found
    counts = bincount(ids.reshape(-1), minlength=weight.shape[0])
    share = found * (1.0 / counts[ids].to(found.dtype)).unsqueeze(-1)
    return share + (found - share).detach()


def _bags(x: Tensor, offsets: Tensor | None, include_last_offset: bool) -> tuple[Tensor, int]:
    """The bag of each id, and how many bags there are."""
    if x.ndim == 2:
        if offsets is not None:
            raise ArgumentError(
                "embedding_bag: offsets were given with a matrix of ids. Expected None: each row "
                "is a bag. Fix: leave offsets out."
            )
        count, size = x.shape
        return arange(count, device=x.device).repeat_interleave(size), count
    if x.ndim != 1 or offsets is None:
        raise ShapeError(
            f"embedding_bag: input has shape {x.shape}, offsets are "
            f"{'missing' if offsets is None else 'given'}. Expected [B, N], or [N] with offsets. "
            "Fix: pass the start of each bag as offsets."
        )
    starts = offsets.tolist()
    if not starts or starts[0] != 0 or any(a > b for a, b in itertools.pairwise(starts)):
        raise ArgumentError(
            f"embedding_bag: offsets are {starts[:8]}. Expected 0 first and no smaller number "
            "after a larger one. Fix: pass the start of each bag, in order."
        )
    ends = starts if include_last_offset else [*starts, x.shape[0]]
    if ends[-1] > x.shape[0]:
        raise ArgumentError(
            f"embedding_bag: the last offset is {ends[-1]} for {x.shape[0]} ids. Expected no "
            "more than that. Fix: correct the offsets."
        )
    sizes = [b - a for a, b in itertools.pairwise(ends)]
    numbers = [i for i, size in enumerate(sizes) for _ in range(size)]
    return tensor(numbers, dtype=int64, device=x.device), len(sizes)


def _bag_ref(
    x: Any,
    weight: Any,
    offsets: Any = None,
    *,
    mode: str = "mean",
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    if offsets is None:
        groups = [np.arange(n * x.shape[1], (n + 1) * x.shape[1]) for n in range(len(x))]
    else:
        ends = [*offsets] if include_last_offset else [*offsets, len(x)]
        groups = [np.arange(a, b) for a, b in itertools.pairwise(ends)]
    reduced: dict[str, Any] = {"sum": np.sum, "mean": np.mean, "max": np.max}
    factors = np.ones(x.size) if per_sample_weights is None else per_sample_weights.reshape(-1)
    made = np.zeros((len(groups), weight.shape[1]))
    for row, group in zip(made, groups, strict=True):
        used = [i for i in group if padding_idx is None or x.reshape(-1)[i] != padding_idx]
        if used:
            rows = weight[x.reshape(-1)[used]] * factors[used][:, None]
            row[:] = reduced[mode](rows, axis=0)
    return made


def _bag_samples(rng: np.random.Generator) -> list[Sample]:
    table = rng.permutation(18).reshape(6, 3) / 4.0
    ids, row = np.array([[0, 2, 4], [5, 1, 0]]), np.array([3, 0, 5, 1, 1])
    return [
        Sample(ids, table),
        Sample(ids, table, mode="sum", per_sample_weights=rng.normal(size=(2, 3))),
        Sample(ids, table, mode="max"),
        Sample(row, table, np.array([0, 2, 2]), mode="sum"),
        Sample(row, table, np.array([0, 3]), mode="mean", padding_idx=1),
        Sample(row, table, np.array([0, 3, 5]), mode="max", include_last_offset=True),
        Sample(np.zeros((0, 2), np.int64), table),
    ]


@composite(
    "embedding_bag(input, weight, offsets: Tensor? = None, max_norm: float? = None, "
    "norm_type: float = 2.0, scale_grad_by_freq: bool = False, mode: str = 'mean', "
    "sparse: bool = False, per_sample_weights: Tensor? = None, "
    "include_last_offset: bool = False, padding_idx: int? = None)",
    doc="""Sums, means or maxima of the rows of a table over bags of integers.

    input: [B, N] int, or [N] with the start of each bag in offsets: [B]; weight: [V, D] ->
    [B, D]; an empty bag gives 0. The ids padding_idx count for nothing. per_sample_weights, of the
    shape of the ids, multiply the rows of a sum. max_norm first scales the rows down, in the weight
    itself; scale_grad_by_freq divides a row's gradient by how often it occurs.

    Raises ArgumentError for an unknown mode, or for weights with another mode than "sum",
    ShapeError for shapes that do not fit, NotImplementedError for sparse gradients.
    Source: PyTorch, `torch.nn.functional.embedding_bag`.

    >>> samara.embedding_bag(samara.tensor([[0, 2]]), samara.eye(3), mode="sum").tolist()
    [[1.0, 0.0, 1.0]]
    """,
    ref=_bag_ref,
    ulp=16,
    condition="max",
    samples=_bag_samples,
    errors=lambda: [
        ErrorSample(ArgumentError, "mode is 'min'", np.array([[0]]), np.eye(2), mode="min"),
        ErrorSample(ShapeError, r"Expected \[B, N\], or \[N\]", np.array([0]), np.eye(2)),
        ErrorSample(
            ArgumentError, "offsets are", np.array([0]), np.eye(2), np.array([1]), mode="sum"
        ),
        ErrorSample(
            ArgumentError,
            "per_sample_weights with mode 'mean'",
            np.array([[0]]),
            np.eye(2),
            per_sample_weights=np.ones((1, 1)),
        ),
        ErrorSample(IndexOutOfRangeError, "2 is out of range", np.array([[2]]), np.eye(2)),
        ErrorSample(NotImplementedError, "sparse=True", np.array([[0]]), np.eye(2), sparse=True),
        ErrorSample(DTypeError, "Expected integers", np.ones((1, 1)), np.eye(2)),
    ],
    methods=(),
)
def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    require_dtype("embedding_bag", input, INTEGER, "input")
    require_dtype("embedding_bag", weight, FLOAT, "weight")
    refuse_sparse("embedding_bag", sparse)
    require_choice("embedding_bag", "mode", mode, ("sum", "mean", "max"))
    if per_sample_weights is not None and mode != "sum":
        raise ArgumentError(
            f"embedding_bag: per_sample_weights with mode {mode!r}. Expected mode 'sum'. "
            "Fix: leave the weights out, or sum."
        )
    if per_sample_weights is not None and tuple(per_sample_weights.shape) != tuple(input.shape):
        raise ShapeError(
            f"embedding_bag: per_sample_weights have shape {per_sample_weights.shape}. Expected "
            f"{input.shape}, one for each id. Fix: reshape them."
        )
    bags, count = _bags(input, offsets, include_last_offset)
    ids = input.reshape(-1)[: bags.shape[0]]
    rows = rows_of(ids, weight, None, max_norm, norm_type, scale_grad_by_freq)
    factors = None if per_sample_weights is None else per_sample_weights.reshape(-1)
    if padding_idx is not None:
        kept = (ids != padding_idx % weight.shape[0]).nonzero().reshape(-1)
        rows, bags = rows[kept], bags[kept]
        factors = None if factors is None else factors[kept]
    if factors is not None:
        rows = rows * factors[: rows.shape[0]].unsqueeze(1)
    sums = rows.new_zeros((count, weight.shape[1]))
    if mode == "max":
        place = bags.unsqueeze(1).expand(rows.shape)
        largest: Tensor = scatter_reduce(sums, 0, place, rows, "amax", include_self=False)
        return largest
    sums = index_add(sums, 0, bags, rows)
    if mode == "sum":
        return sums
    sizes = bincount(bags, minlength=count).clamp(min=1)
    return sums / sizes.to(sums.dtype).unsqueeze(1)


# --- bilinear forms -------------------------------------------------------------------------------


def _bilinear_ref(x: Any, y: Any, weight: Any, bias: Any = None) -> Any:
    made = np.einsum("...i,kij,...j->...k", x, weight, y)
    return made if bias is None else made + bias


@composite(
    "bilinear(input1, input2, weight, bias: Tensor? = None)",
    doc="""input1^T W_k input2 + b_k for each k.

    input1: [*, I], input2: [*, J], weight: [K, I, J], bias: [K] float -> [*, K].

    Raises ShapeError when the shapes do not fit. Source: PyTorch, `torch.bilinear`.

    >>> samara.bilinear(samara.ones(2, 3), samara.ones(2, 4), samara.ones(5, 3, 4)).shape
    (2, 5)
    """,
    ref=_bilinear_ref,
    ulp=16,
    condition="max",
    samples=lambda rng: [
        Sample(*(rng.normal(size=s) for s in ((2, 3), (2, 4), (5, 3, 4), (5,)))),
        Sample(*(rng.normal(size=s) for s in ((3,), (2,), (1, 3, 2)))),
        Sample(*(rng.normal(size=s) for s in ((0, 3), (0, 2), (2, 3, 2)))),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "for a weight of shape", *(np.ones((2, 3)),) * 3),
        ErrorSample(ShapeError, "bias has", np.ones(2), np.ones(2), np.ones((3, 2, 2)), np.ones(2)),
        ErrorSample(DTypeError, "", np.ones(2), "text", np.ones((3, 2, 2))),
    ],
    methods=(),
)
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    for name, given in (("input1", input1), ("input2", input2), ("weight", weight)):
        require_dtype("bilinear", given, FLOAT, name)
    if (
        weight.ndim != 3
        or input1.shape[:-1] != input2.shape[:-1]
        or (input1.shape[-1], input2.shape[-1]) != tuple(weight.shape[1:])
    ):
        raise ShapeError(
            f"bilinear: inputs of shapes {input1.shape} and {input2.shape} for a weight of shape "
            f"{weight.shape}. Expected [*, I] and [*, J] for [K, I, J]. Fix: reshape one of them."
        )
    if bias is not None:
        require_shape("bilinear", bias, weight.shape[:1], "bias")
    outputs, first, second = weight.shape
    flat = weight.permute(1, 0, 2).reshape(first, outputs * second)
    left = (input1 @ flat).reshape(*input1.shape[:-1], outputs, second)
    result = (left * input2.unsqueeze(-2)).sum(axis=-1)
    return result if bias is None else result + bias
