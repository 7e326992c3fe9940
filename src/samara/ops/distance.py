"""Distances between vectors, cosines of their angles, and vectors brought to a given length."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from samara.errors import ArgumentError, ShapeError
from samara.ops.checks import broadcast, require_choice, require_dtype
from samara.ops.manipulation import _axis
from samara.ops.matmul import matmul
from samara.ops.record import FLOAT, ErrorSample, Sample, composite
from samara.ops.reduction import norm
from samara.ops.selection import where
from samara.tensor import Tensor


def _check_p(place: str, p: float) -> None:
    if not p >= 0:
        raise ArgumentError(f"{place}: p is {p}. Expected 0 or more. Fix: pass e.g. p=2.")


def _norm_ref(d: Any, p: float) -> Any:
    d = np.abs(d)
    if p == 0:
        return (d != 0).sum(-1) * 1.0
    if p == math.inf:
        return d.max(-1, initial=0.0)
    return (d**p).sum(-1) ** (1 / p)


def _two(rng: np.random.Generator, *shapes: tuple[int, ...]) -> list[Any]:
    return [rng.normal(size=shape) for shape in shapes]


@composite(
    "pairwise_distance(x, y, p: float = 2.0, eps: float = 1e-06, keepdim: bool = False)",
    doc="""The p-norm of x - y + eps over the last axis.

    x: [*A, D], y: [*B, D] float -> [*S] or, with keepdim, [*S, 1]. PyTorch's names of the tensors
    are x1 and x2.

    Raises ShapeError when the shapes do not broadcast, ArgumentError for a negative p.
    Source: PyTorch, `torch.nn.functional.pairwise_distance`.

    >>> x, y = samara.tensor([[0.0, 0.0]]), samara.tensor([[3.0, 4.0]])
    >>> round(samara.pairwise_distance(x, y).item(), 4)
    5.0
    """,
    ref=lambda x, y, p=2.0, eps=1e-6, keepdim=False: (
        _norm_ref(x - y + eps, p)[..., None] if keepdim else _norm_ref(x - y + eps, p)
    ),
    ulp=16,
    condition="max",
    samples=lambda rng: [
        Sample(*_two(rng, (3, 4), (3, 4))),
        Sample(*_two(rng, (3, 4), (4,)), 1.0, keepdim=True),
        Sample(*_two(rng, (2, 3, 4), (3, 4)), 3.0, 1e-3),
        Sample(*_two(rng, (3, 4), (3, 4)), math.inf),
        Sample(*_two(rng, (1,), (1,))),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "do not broadcast", np.ones((2, 3)), np.ones((2, 4))),
        ErrorSample(ArgumentError, "p is -1", np.ones(2), np.ones(2), -1.0),
    ],
    methods=(),
)
def pairwise_distance(
    x: Tensor, y: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    require_dtype("pairwise_distance", x, FLOAT)
    require_dtype("pairwise_distance", y, FLOAT, "y")
    broadcast("pairwise_distance", x.shape, y.shape)
    _check_p("pairwise_distance", p)
    return norm(x - y + eps, p, axis=-1, keepdims=keepdim)


def _cosine_ref(x: Any, y: Any, axis: int = 1, eps: float = 1e-8) -> Any:
    x, y = np.broadcast_arrays(x, y)
    a = np.sqrt((x * x).sum(axis, keepdims=True)).clip(eps)
    b = np.sqrt((y * y).sum(axis, keepdims=True)).clip(eps)
    return (x / a * (y / b)).sum(axis)


@composite(
    "cosine_similarity(x, y, axis: int = 1, eps: float = 1e-08)",
    doc="""x . y / (max(|x|, eps) max(|y|, eps)) along `axis`.

    x, y: [*S] float, which broadcast -> [*S without axis].

    Raises ShapeError when the shapes do not broadcast, IndexOutOfRangeError for an axis that does
    not exist. Source: PyTorch, `torch.nn.functional.cosine_similarity`.

    >>> x = samara.tensor([[3.0, 4.0]])
    >>> round(samara.cosine_similarity(x, x).item(), 4)
    1.0
    """,
    ref=_cosine_ref,
    ulp=8,
    condition="max",
    samples=lambda rng: [
        Sample(*_two(rng, (3, 4), (3, 4))),
        Sample(*_two(rng, (3, 4), (1, 4)), axis=-1),
        Sample(*_two(rng, (2, 3, 4), (3, 1)), 0),
        Sample(np.zeros((2, 3)), rng.normal(size=(2, 3)), 1, 1e-3),
        Sample(*_two(rng, (1,), (1,)), 0),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "do not broadcast", np.ones((2, 3)), np.ones((2, 4))),
        ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 3)), np.ones((2, 3)), 2),
    ],
    methods=(),
)
def cosine_similarity(x: Tensor, y: Tensor, axis: int = 1, eps: float = 1e-8) -> Tensor:
    require_dtype("cosine_similarity", x, FLOAT)
    require_dtype("cosine_similarity", y, FLOAT, "y")
    shape = broadcast("cosine_similarity", x.shape, y.shape)
    x, y = x.expand(shape), y.expand(shape)
    place = _axis("cosine_similarity", axis, len(shape))
    a = norm(x, axis=place, keepdims=True).clamp(min=eps)
    b = norm(y, axis=place, keepdims=True).clamp(min=eps)
    return (x / a * (y / b)).sum(axis=place)


@composite(
    "normalize(x, p: float = 2.0, axis: int = 1, eps: float = 1e-12)",
    doc="""x / max(|x|_p, eps), the norm taken along `axis`. x: [*S] float -> [*S].

    Raises IndexOutOfRangeError for an axis that does not exist.
    Source: PyTorch, `torch.nn.functional.normalize`.

    >>> [round(v, 4) for v in samara.normalize(samara.tensor([3.0, 4.0]), axis=0).tolist()]
    [0.6, 0.8]
    """,
    ref=lambda x, p=2.0, axis=1, eps=1e-12: (
        x / np.expand_dims(_norm_ref(np.moveaxis(x, axis, -1), p), axis).clip(eps)
    ),
    onnx="LpNormalization",
    ulp=8,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4))),
        Sample(rng.normal(size=(3, 4)), 1.0, axis=0),
        Sample(rng.normal(size=(2, 3, 4)), 3.0, -1),
        Sample(rng.normal(size=(3, 4)), math.inf, -1),
        Sample(np.zeros((2, 3)), eps=0.5),
        Sample(rng.normal(size=1), axis=0),
    ],
    errors=lambda: [ErrorSample(IndexError, "axis 1 is out of range", np.ones(3))],
    methods=(),
)
def normalize(x: Tensor, p: float = 2.0, axis: int = 1, eps: float = 1e-12) -> Tensor:
    require_dtype("normalize", x, FLOAT)
    place = _axis("normalize", axis, x.ndim)
    return x / norm(x, p, axis=place, keepdims=True).clamp(min=eps)


_MODES = (
    "use_mm_for_euclid_dist_if_necessary",
    "use_mm_for_euclid_dist",
    "donot_use_mm_for_euclid_dist",
)
# Above this many rows the matrix product is used, as in PyTorch: quicker, less precise where
# distances are small beside the vectors.
MANY_ROWS = 25


@composite(
    "cdist(x, y, p: float = 2.0, compute_mode: str = 'use_mm_for_euclid_dist_if_necessary')",
    doc="""The p-norm of the difference of each row of x to each row of y.

    x: [*A, m, D], y: [*B, n, D] float -> [*S, m, n]. For p = 2 and more than 25 rows the squares
    |x|^2 - 2 x . y + |y|^2 are formed with a matrix product, which is quicker but loses digits of
    small distances; compute_mode="donot_use_mm_for_euclid_dist" never does.

    Raises ShapeError when the shapes do not fit, ArgumentError for a negative p.
    Source: PyTorch, `torch.cdist`.

    >>> samara.cdist(samara.tensor([[0.0, 0.0]]), samara.tensor([[3.0, 4.0]])).item()
    5.0
    """,
    ref=lambda x, y, p=2.0, compute_mode="": _norm_ref(x[..., :, None, :] - y[..., None, :, :], p),
    ulp=16,
    condition="max",
    samples=lambda rng: [
        Sample(*_two(rng, (3, 4), (5, 4))),
        Sample(*_two(rng, (2, 3, 4), (5, 4)), 1.0),
        Sample(*_two(rng, (3, 2), (2, 2)), 3.0),
        Sample(*_two(rng, (3, 2), (2, 2)), math.inf),
        Sample(*_two(rng, (30, 3), (2, 3))),
        Sample(*_two(rng, (1, 1), (1, 1))),
        Sample(np.ones((0, 2)), np.ones((3, 2))),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "Expected rows of one length", np.ones((2, 3)), np.ones((2, 4))),
        ErrorSample(ArgumentError, "p is -1", np.ones((2, 2)), np.ones((2, 2)), -1.0),
        ErrorSample(
            ArgumentError, "compute_mode", np.ones((2, 2)), np.ones((2, 2)), compute_mode="fast"
        ),
    ],
    methods=(),
)
def cdist(x: Tensor, y: Tensor, p: float = 2.0, compute_mode: str = _MODES[0]) -> Tensor:
    require_dtype("cdist", x, FLOAT)
    require_dtype("cdist", y, FLOAT, "y")
    _check_p("cdist", p)
    require_choice("cdist", "compute_mode", compute_mode, _MODES)
    if x.ndim < 2 or y.ndim < 2 or x.shape[-1] != y.shape[-1]:
        raise ShapeError(
            f"cdist: x has shape {x.shape} and y {y.shape}. Expected rows of one length, "
            "[..., m, D] and [..., n, D]. Fix: reshape one of them."
        )
    broadcast("cdist", x.shape[:-2], y.shape[:-2])
    many = x.shape[-2] > MANY_ROWS or y.shape[-2] > MANY_ROWS
    if p == 2 and (compute_mode == _MODES[1] or (compute_mode == _MODES[0] and many)):
        squares = (x * x).sum(-1, True) + (y * y).sum(-1).unsqueeze(-2)
        squares = (squares - 2 * matmul(x, y.mT)).clamp(min=0.0)
        # The root has no slope at 0.
        zero = squares == 0
        return where(zero, 0.0, where(zero, 1.0, squares).sqrt())
    return norm(x.unsqueeze(-2) - y.unsqueeze(-3), p, axis=-1)


@composite(
    "pdist(x, p: float = 2.0)",
    doc="""The p-norm of the difference of each two rows of x, i < j in order.

    x: [n, D] float -> [n (n - 1) / 2]. Raises ShapeError unless x has 2 axes.
    Source: PyTorch, `torch.nn.functional.pdist`.

    >>> samara.pdist(samara.tensor([[0.0, 0.0], [3.0, 4.0]])).tolist()
    [5.0]
    """,
    ref=lambda x, p=2.0: _norm_ref(
        x[np.triu_indices(len(x), 1)[0]] - x[np.triu_indices(len(x), 1)[1]], p
    ),
    ulp=16,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(4, 3))),
        Sample(rng.normal(size=(3, 2)), 1.0),
        Sample(rng.normal(size=(2, 2))),
        Sample(rng.normal(size=(1, 1))),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "Expected a matrix", np.ones(3)),
        ErrorSample(ArgumentError, "p is -1", np.ones((2, 2)), -1.0),
    ],
    methods=(),
)
def pdist(x: Tensor, p: float = 2.0) -> Tensor:
    require_dtype("pdist", x, FLOAT)
    _check_p("pdist", p)
    if x.ndim != 2:
        raise ShapeError(f"pdist: x has shape {x.shape}. Expected a matrix. Fix: reshape it.")
    rows, columns = np.triu_indices(x.shape[0], 1)
    return norm(x[rows] - x[columns], p, axis=-1)


@composite(
    "dist(x, y, p: float = 2.0)",
    doc="""The p-norm of x - y over all elements. x, y: [*S] float, which broadcast -> [].

    Raises ShapeError when the shapes do not broadcast. Source: PyTorch, `torch.dist`.

    >>> samara.dist(samara.tensor([0.0, 0.0]), samara.tensor([3.0, 4.0])).item()
    5.0
    """,
    ref=lambda x, y, p=2.0: _norm_ref((x - y).reshape(-1), p),
    ulp=8,
    samples=lambda rng: [
        Sample(*_two(rng, (3, 4), (3, 4))),
        Sample(*_two(rng, (3, 4), (4,)), 1.0),
        Sample(*_two(rng, (1,), ()), math.inf),
    ],
    errors=lambda: [ErrorSample(ShapeError, "do not", np.ones((2, 3)), np.ones((2, 4)))],
)
def dist(x: Tensor, y: Tensor, p: float = 2.0) -> Tensor:
    require_dtype("dist", x, FLOAT)
    return norm(x - y, p)


def _renorm_ref(x: Any, p: float, axis: int, maxnorm: float) -> Any:
    rows = np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1)
    length = _norm_ref(rows, p)
    factor = np.where(length > maxnorm, maxnorm / (length + 1e-7), 1.0)
    shape = [1] * x.ndim
    shape[axis] = -1
    return x * factor.reshape(shape)


@composite(
    "renorm(x, p: float, axis: int, maxnorm: float)",
    doc="""x with each slice along `axis` whose p-norm is above maxnorm scaled down to it.

    x: [*S] float -> [*S]. Raises ShapeError unless x has 2 axes or more, ArgumentError for p of 0
    or less. Source: PyTorch, `torch.renorm`.

    >>> [round(v, 4) for v in samara.renorm(samara.tensor([[3.0, 4.0]]), 2, 0, 1.0)[0].tolist()]
    [0.6, 0.8]
    """,
    ref=_renorm_ref,
    ulp=16,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), 2.0, 0, 1.5),
        Sample(rng.normal(size=(2, 3, 4)), 1.0, -1, 4.0),
        Sample(rng.normal(size=(1, 1)), 2.0, 0, 0.5),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "2 axes or more", np.ones(3), 2.0, 0, 1.0),
        ErrorSample(ArgumentError, "p is 0", np.ones((2, 2)), 0.0, 0, 1.0),
        ErrorSample(IndexError, "axis 2", np.ones((2, 2)), 2.0, 2, 1.0),
    ],
    in_place=True,
)
def renorm(x: Tensor, p: float, axis: int, maxnorm: float) -> Tensor:
    require_dtype("renorm", x, FLOAT)
    if x.ndim < 2:
        raise ShapeError(
            f"renorm: x has shape {x.shape}. Expected 2 axes or more. Fix: reshape it."
        )
    if not p > 0:
        raise ArgumentError(f"renorm: p is {p}. Expected more than 0. Fix: pass e.g. p=2.")
    place = _axis("renorm", axis, x.ndim)
    others = tuple(i for i in range(x.ndim) if i != place)
    length = norm(x, p, axis=others, keepdims=True)
    return x * where(length > maxnorm, maxnorm / (length + 1e-7), 1.0)
