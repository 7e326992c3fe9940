"""Losses of divergences, likelihoods and margins, with PyTorch's names and reductions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from samara.dtypes import INTEGER
from samara.errors import ArgumentError, ShapeError
from samara.ops.activation import log_sigmoid, softplus
from samara.ops.checks import broadcast, require_choice, require_dtype, require_shape
from samara.ops.distance import pairwise_distance
from samara.ops.elementary import exp, log
from samara.ops.loss import _reduced, _reduced_tensor
from samara.ops.record import FLOAT, ErrorSample, Sample, composite
from samara.ops.selection import where
from samara.ops.special_pairs import xlogy
from samara.tensor import Tensor

REDUCTIONS = ("mean", "sum", "none")


def check(place: str, reduction: str, *tensors: Tensor) -> None:
    """Floats of shapes that broadcast, and a reduction there is."""
    require_choice(place, "reduction", reduction, REDUCTIONS)
    names = ("x", "target", "the third tensor")
    for i, (x, name) in enumerate(zip(tensors, names, strict=False)):
        require_dtype(place, x, FLOAT if i == 0 else (*FLOAT, *INTEGER), name)
    broadcast(place, *(x.shape for x in tensors))


def _pairs(*settings: dict[str, Any], signs: bool = False) -> Callable[..., list[Sample]]:
    def samples(rng: np.random.Generator) -> list[Sample]:
        def target(*shape: int) -> Any:
            if signs:
                return np.asarray(rng.choice([-1, 1], size=shape))  # whole numbers do not move
            return rng.uniform(0.1, 2.0, shape)

        made = [
            Sample(rng.uniform(-2, 2, (3, 4)), target(3, 4), **setting)
            for setting in settings or ({},)
        ]
        for reduction in ("sum", "none"):
            made.append(Sample(rng.uniform(-2, 2, (2, 3)), target(2, 3), reduction=reduction))
        return [*made, Sample(np.array(0.7), target()), Sample(np.array([0.6]), target(1))]

    return samples


def _pair_errors() -> list[ErrorSample]:
    return [
        ErrorSample(ShapeError, "do not broadcast", np.ones((2, 3)), np.ones(4)),
        ErrorSample(ArgumentError, "reduction is 'avg'", np.ones(2), np.ones(2), reduction="avg"),
    ]


# --- divergences and likelihoods ------------------------------------------------------------------


def _kl_ref(x: Any, t: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    with np.errstate(all="ignore"):
        values = np.exp(t) * (t - x) if log_target else np.where(t > 0, t * (np.log(t) - x), 0.0)
    if reduction == "batchmean":
        return values.sum() / x.shape[0]
    return _reduced(values, reduction)


@composite(
    "kl_div(x, target, reduction: str = 'mean', log_target: bool = False)",
    doc="""The Kullback-Leibler divergence target (log target - x) of log-probabilities x.

    x, target: [N, *S] float, which broadcast -> [] or, with reduction='none', [N, *S]. With
    log_target the target is given as a logarithm. 'batchmean', the sum over N, is the divergence
    of the distributions; 'mean' averages over all elements.

    Raises ShapeError when the shapes do not broadcast.
    Source: PyTorch, `torch.nn.functional.kl_div`.

    >>> samara.kl_div(samara.tensor([0.0]), samara.tensor([1.0])).item()
    0.0
    """,
    ref=_kl_ref,
    ulp=16,
    condition="sum",
    samples=lambda rng: [
        *_pairs({}, {"log_target": True}, {"reduction": "batchmean"})(rng),
        Sample(rng.normal(size=(2, 2)), np.array([[0.0, 1.0], [0.5, 0.5]]), reduction="none"),
    ],
    errors=_pair_errors,
    methods=(),
)
def kl_div(x: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False) -> Tensor:
    check("kl_div", "sum" if reduction == "batchmean" else reduction, x, target)
    values = exp(target) * (target - x) if log_target else xlogy(target, target) - target * x
    if reduction == "batchmean":
        return values.sum() / (x.shape[0] if x.ndim else 1)
    return _reduced_tensor(values, reduction)


def _poisson_ref(
    x: Any, t: Any, log_input: bool = True, full: bool = False, eps: float = 1e-8, **other: Any
) -> Any:
    values = np.exp(x) - t * x if log_input else x - t * np.log(x + eps)
    if full:
        safe = np.where(t > 1, t, 1.0)
        stirling = safe * np.log(safe) - safe + 0.5 * np.log(2 * np.pi * safe)
        values = values + np.where(t > 1, stirling, 0.0)
    return _reduced(values, other.get("reduction", "mean"))


@composite(
    "poisson_nll_loss(x, target, log_input: bool = True, full: bool = False, eps: float = 1e-8, "
    "reduction: str = 'mean')",
    doc="""The negative log-likelihood of counts that are Poisson distributed with rate e^x.

    e^x - target x, or x - target log(x + eps) where log_input is False. x, target: [*S] float,
    which broadcast -> [] or, with reduction='none', [*S]. `full` adds Stirling's approximation of
    log target! for targets above 1.

    Raises ShapeError when the shapes do not broadcast.
    Source: PyTorch, `torch.nn.functional.poisson_nll_loss`.

    >>> samara.poisson_nll_loss(samara.tensor([0.0]), samara.tensor([2.0])).item()
    1.0
    """,
    ref=_poisson_ref,
    ulp=16,
    condition="sum",
    samples=lambda rng: [
        *_pairs({}, {"full": True})(rng),
        Sample(rng.uniform(0.5, 2, (3, 4)), rng.uniform(0.1, 4, (3, 4)), False, True, 1e-3),
    ],
    errors=_pair_errors,
    methods=(),
)
def poisson_nll_loss(
    x: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    check("poisson_nll_loss", reduction, x, target)
    values = exp(x) - target * x if log_input else x - target * log(x + eps)
    if full:
        safe = where(target > 1, target, 1.0)
        stirling = safe * log(safe) - safe + 0.5 * log(2 * math.pi * safe)
        values = values + where(target > 1, stirling, 0.0)
    return _reduced_tensor(values, reduction)


def _gaussian_ref(
    x: Any, t: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    if np.ndim(var) and var.shape != x.shape and var.shape == x.shape[:-1]:
        var = var[..., None]
    var = np.maximum(var, eps)
    values = 0.5 * (np.log(var) + (x - t) ** 2 / var)
    return _reduced(values + (0.5 * np.log(2 * np.pi) if full else 0.0), reduction)


@composite(
    "gaussian_nll_loss(x, target, var: any, full: bool = False, eps: float = 1e-6, "
    "reduction: str = 'mean')",
    doc="""The negative log-likelihood of a normal distribution with mean x and variance var.

    (log var + (x - target)^2 / var) / 2. x, target: [*S] float; var: [*S], [*S without the last
    axis], [*S with 1 there], or a number -> [] or, with reduction='none', [*S]. Variances are taken
    as eps or more, which stops no gradient. `full` adds log(2 pi) / 2.

    Raises ShapeError for a var of another shape, ArgumentError for a negative one.
    Source: PyTorch, `torch.nn.functional.gaussian_nll_loss`.

    >>> x = samara.tensor([0.0])
    >>> samara.gaussian_nll_loss(x, samara.tensor([2.0]), samara.tensor([1.0])).item()
    2.0
    """,
    ref=_gaussian_ref,
    ulp=16,
    condition="sum",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), rng.uniform(0.5, 2, (3, 4))),
        Sample(rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), rng.uniform(0.5, 2, 3), True),
        Sample(
            rng.normal(size=(3, 4)),
            rng.normal(size=(3, 4)),
            rng.uniform(0.5, 2, (3, 1)),
            reduction="none",
        ),
        Sample(rng.normal(size=1), rng.normal(size=1), rng.uniform(0.5, 2, 1), reduction="sum"),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, r"var has shape \(2,\)", np.ones((3, 4)), np.ones(4), np.ones(2)),
        ErrorSample(ArgumentError, "var holds -1", np.ones(2), np.ones(2), -np.ones(2)),
    ],
    methods=(),
)
def gaussian_nll_loss(
    x: Tensor,
    target: Tensor,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    check("gaussian_nll_loss", reduction, x, target)
    if not isinstance(var, Tensor):
        var = x.new_full((), float(var))
    if var.ndim and var.shape != x.shape:
        if var.shape == x.shape[:-1]:
            var = var.unsqueeze(-1)
        elif var.shape != (*x.shape[:-1], 1):
            raise ShapeError(
                f"gaussian_nll_loss: var has shape {var.shape} for an x of shape {x.shape}. "
                f"Expected {x.shape}, the same without the last axis, or with 1 there. "
                "Fix: reshape var."
            )
    if var.numel() and bool((var.detach() < 0).any()):
        raise ArgumentError(
            f"gaussian_nll_loss: var holds {var.detach().min().item()}. Expected variances of 0 or "
            "more. Fix: predict a logarithm and take exp of it."
        )
    low = (eps - var.detach()).clamp(min=0.0)
    var = var + low
    values = 0.5 * (log(var) + (x - target) ** 2 / var)
    return _reduced_tensor(values + 0.5 * math.log(2 * math.pi) if full else values, reduction)


# --- margins --------------------------------------------------------------------------------------


@composite(
    "soft_margin_loss(x, target, reduction: str = 'mean')",
    doc="""log(1 + e^(-target x)) for targets of -1 and 1.

    x, target: [*S] float, which broadcast -> [] or, with reduction='none', [*S].

    Raises ShapeError when the shapes do not broadcast.
    Source: PyTorch, `torch.nn.functional.soft_margin_loss`.

    >>> round(samara.soft_margin_loss(samara.tensor([0.0]), samara.tensor([1.0])).item(), 4)
    0.6931
    """,
    ref=lambda x, t, reduction="mean": _reduced(np.logaddexp(0, -t * x), reduction),
    ulp=8,
    condition="sum",
    samples=_pairs(signs=True),
    errors=_pair_errors,
    methods=(),
)
def soft_margin_loss(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    check("soft_margin_loss", reduction, x, target)
    return _reduced_tensor(softplus(-target * x, 1.0, math.inf), reduction)


@composite(
    "hinge_embedding_loss(x, target, margin: float = 1.0, reduction: str = 'mean')",
    doc="""x where the target is 1, max(0, margin - x) where it is -1.

    x, target: [*S] float, which broadcast -> [] or, with reduction='none', [*S].

    Raises ShapeError when the shapes do not broadcast.
    Source: PyTorch, `torch.nn.functional.hinge_embedding_loss`.

    >>> x, target = samara.tensor([0.25, 0.25]), samara.tensor([1.0, -1.0])
    >>> samara.hinge_embedding_loss(x, target, reduction="none").tolist()
    [0.25, 0.75]
    """,
    ref=lambda x, t, margin=1.0, reduction="mean": _reduced(
        np.where(t != 1, np.maximum(margin - x, 0), 0) + np.where(t != -1, x, 0), reduction
    ),
    ulp=8,
    condition="sum",
    samples=_pairs({}, {"margin": 0.3}, signs=True),
    errors=_pair_errors,
    methods=(),
)
def hinge_embedding_loss(
    x: Tensor, target: Tensor, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    check("hinge_embedding_loss", reduction, x, target)
    away = where(target != 1, (margin - x).clamp(min=0.0), 0.0)
    return _reduced_tensor(away + where(target != -1, x, 0.0), reduction)


@composite(
    "margin_ranking_loss(x, y, target, margin: float = 0.0, reduction: str = 'mean')",
    doc="""max(0, margin - target (x - y)): with target 1 x is to be larger than y, with -1 smaller.

    x, y, target: [*S] float, which broadcast -> [] or, with reduction='none', [*S]. PyTorch's names
    of the first two are input1 and input2.

    Raises ShapeError when the shapes do not broadcast.
    Source: PyTorch, `torch.nn.functional.margin_ranking_loss`.

    >>> x, y = samara.tensor([1.0]), samara.tensor([3.0])
    >>> samara.margin_ranking_loss(x, y, samara.tensor([1.0])).item()
    2.0
    """,
    ref=lambda x, y, t, margin=0.0, reduction="mean": _reduced(
        np.maximum(margin - t * (x - y), 0), reduction
    ),
    ulp=8,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), rng.choice([-1.0, 1.0], (3, 4))),
        Sample(rng.normal(size=(3, 4)), rng.normal(size=4), np.array(-1.0), 0.4, "none"),
        Sample(rng.normal(size=1), rng.normal(size=1), np.ones(1), reduction="sum"),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "do not broadcast", np.ones((2, 3)), np.ones(3), np.ones(4)),
    ],
    methods=(),
)
def margin_ranking_loss(
    x: Tensor, y: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    check("margin_ranking_loss", reduction, x, y, target)
    return _reduced_tensor((margin - target * (x - y)).clamp(min=0.0), reduction)


def _cosine_ref(x: Any, y: Any, t: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    product, a, b = (x * y).sum(-1), (x * x).sum(-1) + 1e-12, (y * y).sum(-1) + 1e-12
    cosine = product / np.sqrt(a * b)
    near, far = np.where(t == 1, 1 - cosine, 0), np.maximum(cosine - margin, 0)
    return _reduced(near + np.where(t == -1, far, 0), reduction)


@composite(
    "cosine_embedding_loss(x, y, target, margin: float = 0.0, reduction: str = 'mean')",
    doc="""1 - cos(x, y) where the target is 1, max(0, cos(x, y) - margin) where it is -1.

    x, y: [N, D] or [D] float, target: [N] or [] -> [] or, with reduction='none', the target's
    shape.

    Raises ShapeError when the shapes do not fit.
    Source: PyTorch, `torch.nn.functional.cosine_embedding_loss`.

    >>> x = samara.tensor([[1.0, 0.0]])
    >>> samara.cosine_embedding_loss(x, x, samara.tensor([1.0])).item()
    0.0
    """,
    ref=_cosine_ref,
    ulp=16,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), np.array([1, -1, 1])),
        Sample(rng.normal(size=(2, 4)), rng.normal(size=(2, 4)), -np.ones(2, int), 0.1, "none"),
        Sample(rng.normal(size=4), rng.normal(size=4), np.array(1), reduction="sum"),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "target has shape", np.ones((2, 3)), np.ones((2, 3)), np.ones(4)),
        ErrorSample(ShapeError, "y has shape", np.ones((2, 3)), np.ones((2, 4)), np.ones(2)),
    ],
    methods=(),
)
def cosine_embedding_loss(
    x: Tensor, y: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    place = "cosine_embedding_loss"
    require_choice(place, "reduction", reduction, REDUCTIONS)
    require_dtype(place, x, FLOAT)
    require_shape(place, y, x.shape, "y")
    require_shape(place, target, x.shape[:-1], "target")
    product, a, b = (x * y).sum(-1), (x * x).sum(-1) + 1e-12, (y * y).sum(-1) + 1e-12
    cosine = product / (a * b).sqrt()
    near = where(target == 1, 1 - cosine, 0.0)
    return _reduced_tensor(
        near + where(target == -1, (cosine - margin).clamp(min=0.0), 0.0), reduction
    )


def _triplet_ref(
    a: Any,
    p: Any,
    n: Any,
    margin: float = 1.0,
    power: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    def distance(u: Any, v: Any) -> Any:
        return (np.abs(u - v + eps) ** power).sum(-1) ** (1 / power)

    far = distance(a, n)
    if swap:
        far = np.minimum(far, distance(p, n))
    return _reduced(np.maximum(margin + distance(a, p) - far, 0), reduction)


@composite(
    "triplet_margin_loss(anchor, positive, negative, margin: float = 1.0, p: float = 2.0, "
    "eps: float = 1e-6, swap: bool = False, reduction: str = 'mean')",
    doc="""max(0, margin + |anchor - positive|_p - |anchor - negative|_p).

    anchor, positive, negative: [N, D] or [D] float, which broadcast -> [] or, with
    reduction='none', [N]. `eps` is added to each difference; `swap` takes the smaller of the
    negative's distances to the anchor and to the positive.

    Raises ShapeError when the shapes do not broadcast.
    Source: Balntas et al., Learning Shallow Convolutional Feature Descriptors, 2016.

    >>> a = samara.tensor([[0.0, 0.0]])
    >>> samara.triplet_margin_loss(a, a, a).item()
    1.0
    """,
    ref=_triplet_ref,
    ulp=16,
    condition="max",
    samples=lambda rng: [
        Sample(*(rng.normal(size=(3, 4)) for _ in range(3)), margin=3.0),
        Sample(*(rng.normal(size=(3, 4)) for _ in range(3)), 2.5, 3.0, 1e-3, True, "none"),
        Sample(*(rng.normal(size=(3, 1)) for _ in range(3)), margin=3.0, reduction="sum"),
        Sample(*(rng.normal(size=(1, 1)) for _ in range(3))),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "do not broadcast", np.ones((2, 3)), np.ones((2, 3)), np.ones(4)),
    ],
    methods=(),
)
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    check("triplet_margin_loss", reduction, anchor, positive, negative)
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = far.minimum(pairwise_distance(positive, negative, p, eps))
    return _reduced_tensor((margin + near - far).clamp(min=0.0), reduction)


# --- margins between classes ----------------------------------------------------------------------


def _multi_margin_ref(
    x: Any, t: Any, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> Any:
    rows, labels = np.atleast_2d(x), np.atleast_1d(t)
    values = []
    for row, label in zip(rows, labels, strict=True):
        w = 1.0 if weight is None else weight[label]
        z = [w * max(0.0, margin - row[label] + v) ** p for i, v in enumerate(row) if i != label]
        values.append(sum(z) / len(row))
    made = np.array(values)
    return _reduced(made if x.ndim > 1 else made[0], reduction)


def _class_rows(place: str, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    require_dtype(place, x, FLOAT)
    require_dtype(place, target, INTEGER, "target")
    if x.ndim not in (1, 2) or not x.shape[-1]:
        raise ShapeError(
            f"{place}: x has shape {x.shape}. Expected [N, C] or [C] with one class or more. "
            "Fix: reshape x."
        )
    return x.reshape(-1, x.shape[-1]), target


@composite(
    "multi_margin_loss(x, target, p: int = 1, margin: float = 1.0, weight: Tensor? = None, "
    "reduction: str = 'mean')",
    doc="""sum_i max(0, margin - x[target] + x[i])^p / C over the classes i other than the target.

    x: [N, C] or [C] float, target: [N] or [] int; weight: [C], one factor for each class -> [] or,
    with reduction='none', the target's shape.

    Raises ArgumentError for p other than 1 and 2, IndexOutOfRangeError for a class that does not
    exist. Source: PyTorch, `torch.nn.functional.multi_margin_loss`.

    >>> samara.multi_margin_loss(samara.tensor([[0.0, 0.5]]), samara.tensor([0])).item()
    0.75
    """,
    ref=_multi_margin_ref,
    ulp=16,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), np.array([0, 3, 1])),
        Sample(rng.normal(size=(3, 4)), np.array([0, 3, 1]), 2, 0.5, rng.uniform(size=4), "none"),
        Sample(rng.normal(size=4), np.array(2), reduction="sum"),
        Sample(rng.normal(size=(1, 1)), np.array([0])),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "p is 3", np.ones((2, 3)), np.array([0, 1]), 3),
        ErrorSample(IndexError, "out of range", np.ones((2, 3)), np.array([0, 3])),
        ErrorSample(ShapeError, "target has shape", np.ones((2, 3)), np.array([0, 1, 1])),
        ErrorSample(ShapeError, "x has shape", np.ones((2, 3, 1)), np.array([0, 1])),
    ],
    methods=(),
)
def multi_margin_loss(
    x: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    place = "multi_margin_loss"
    require_choice(place, "reduction", reduction, REDUCTIONS)
    rows, target = _class_rows(place, x, target)
    require_shape(place, target, x.shape[:-1], "target")
    if p not in (1, 2):
        raise ArgumentError(f"{place}: p is {p}. Expected 1 or 2. Fix: pass one of these.")
    label = target.reshape(-1, 1)
    own = rows.gather(1, label)
    z = (margin - own + rows).clamp(min=0.0)
    z = z * z if p == 2 else z
    if weight is not None:
        z = z * weight[label]
    values = z.scatter(1, label, 0.0).sum(axis=1) / rows.shape[1]
    return _reduced_tensor(values if x.ndim > 1 else values.reshape(()), reduction)


def _multilabel_ref(x: Any, t: Any, reduction: str = "mean") -> Any:
    values = []
    for row, labels in zip(np.atleast_2d(x), np.atleast_2d(t), strict=True):
        end = list(labels).index(-1) if -1 in labels else len(labels)
        chosen = [int(i) for i in labels[:end]]
        rest = [i for i in range(len(row)) if i not in chosen]
        values.append(sum(max(0.0, 1 - row[j] + row[i]) for j in chosen for i in rest) / len(row))
    made = np.array(values)
    return _reduced(made if x.ndim > 1 else made[0], reduction)


@composite(
    "multilabel_margin_loss(x, target, reduction: str = 'mean')",
    doc="""sum_j sum_i max(0, 1 - x[target_j] + x[i]) / C over targets j and other classes i.

    x: [N, C] or [C] float, target: of x's shape, int: the classes that hold, closed by -1 -> [] or,
    with reduction='none', [N] or [].

    Raises ShapeError when the shapes differ.
    Source: PyTorch, `torch.nn.functional.multilabel_margin_loss`.

    >>> x, target = samara.tensor([0.0, 0.5]), samara.tensor([0, -1])
    >>> samara.multilabel_margin_loss(x, target).item()
    0.75
    """,
    ref=_multilabel_ref,
    ulp=16,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 4)), np.array([[3, 0, -1, 1], [1, -1, 0, 0]])),
        Sample(rng.normal(size=(2, 4)), np.array([[3, 0, 1, 2], [-1, 0, 0, 0]]), "none"),
        Sample(rng.normal(size=(1, 4)), np.array([[3, 0, 1, 2]]), "none"),
        Sample(rng.normal(size=4), np.array([2, -1, -1, -1]), "sum"),
        Sample(rng.normal(size=1), np.array([0])),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "target has shape", np.ones((2, 3)), np.array([0, 1, 1])),
        ErrorSample(IndexError, "out of range", np.ones(3), np.array([3, 1, 1])),
    ],
    methods=(),
)
def multilabel_margin_loss(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    place = "multilabel_margin_loss"
    require_choice(place, "reduction", reduction, REDUCTIONS)
    rows, target = _class_rows(place, x, target)
    require_shape(place, target, x.shape, "target")
    labels = target.reshape(rows.shape)
    open_ = (labels == -1).cumsum(1) == 0  # before the first -1
    index = where(open_, labels, 0)
    belongs = rows.detach().new_zeros(rows.shape).scatter_add(1, index, open_.to(rows.dtype))
    own = rows.gather(1, index).unsqueeze(2)
    z = (1 - own + rows.unsqueeze(1)).clamp(min=0.0)
    counted = open_.unsqueeze(2) & (belongs == 0).unsqueeze(1)
    values = where(counted, z, 0.0).sum(axis=(1, 2)) / rows.shape[1]
    return _reduced_tensor(values if x.ndim > 1 else values.reshape(()), reduction)


def _logistic_ref(x: Any, t: Any, weight: Any = None, reduction: str = "mean") -> Any:
    values = t * np.logaddexp(0, -x) + (1 - t) * np.logaddexp(0, x)
    return _reduced((values if weight is None else values * weight).mean(-1), reduction)


@composite(
    "multilabel_soft_margin_loss(x, target, weight: Tensor? = None, reduction: str = 'mean')",
    doc="""Binary cross entropy of the logits x, averaged over the classes.

    x, target: [N, C] or [C] float, weight: [C] -> [] or, with reduction='none', [N] or [].

    Raises ShapeError when the shapes do not broadcast.
    Source: PyTorch, `torch.nn.functional.multilabel_soft_margin_loss`.

    >>> x, target = samara.zeros(1, 2), samara.tensor([[0.0, 1.0]])
    >>> round(samara.multilabel_soft_margin_loss(x, target).item(), 4)
    0.6931
    """,
    ref=_logistic_ref,
    ulp=8,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), rng.uniform(size=(3, 4))),
        Sample(rng.normal(size=(3, 4)), rng.uniform(size=(3, 4)), rng.uniform(size=4), "none"),
        Sample(rng.normal(size=4), rng.uniform(size=4), reduction="sum"),
        Sample(rng.normal(size=1), np.ones(1)),
    ],
    errors=lambda: [ErrorSample(ShapeError, "do not broadcast", np.ones((2, 3)), np.ones(4))],
    methods=(),
)
def multilabel_soft_margin_loss(
    x: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    check("multilabel_soft_margin_loss", reduction, x, target)
    values = -(target * log_sigmoid(x) + (1 - target) * log_sigmoid(-x))
    if weight is not None:
        values = values * weight
    return _reduced_tensor(values.mean(axis=-1), reduction)
