"""Connectionist temporal classification: the likelihood of a sequence over all its alignments."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from samara._core import float32, int64
from samara.dtypes import FLOAT, INTEGER
from samara.errors import ArgumentError, ShapeError
from samara.ops.checks import require_choice, require_dtype
from samara.ops.creation import arange, full
from samara.ops.join import concat, stack
from samara.ops.record import ErrorSample, Sample, composite
from samara.ops.selection import where
from samara.ops.softmax import logsumexp
from samara.tensor import Tensor, asarray

# Stands for log 0: finite, so that its gradient is 0 and not NaN.
IMPOSSIBLE = -1e30


def _collapse(path: Sequence[int], blank: int) -> list[int]:
    merged = [label for label, _ in itertools.groupby(path)]
    return [label for label in merged if label != blank]


def _ref(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """The sum over every alignment there is."""
    batched = log_probs.ndim == 3
    x = log_probs if batched else log_probs[:, None]
    steps, lengths = np.atleast_1d(input_lengths), np.atleast_1d(target_lengths)
    losses = []
    for n in range(x.shape[1]):
        start = int(lengths[:n].sum()) if targets.ndim == 1 and batched else 0
        row = targets[n] if targets.ndim == 2 else targets[start:]
        label = [int(v) for v in row[: lengths[n]]]
        paths = itertools.product(range(x.shape[2]), repeat=int(steps[n]))
        scores = [
            sum(x[t, n, c] for t, c in enumerate(path))
            for path in paths
            if _collapse(path, blank) == label
        ]
        loss = -np.logaddexp.reduce(scores) if scores else math.inf
        losses.append(0.0 if zero_infinity and math.isinf(loss) else loss)
    values = np.array(losses)
    if reduction == "mean":
        return (values / np.maximum(lengths, 1)).mean()
    return values.sum() if reduction == "sum" else values if batched else values[0]


def _samples(rng: np.random.Generator) -> list[Sample]:
    def log_probs(*shape: int) -> Any:
        x = rng.normal(size=shape)
        return x - np.log(np.exp(x).sum(-1, keepdims=True))

    return [
        Sample(log_probs(4, 2, 3), np.array([[1, 2], [1, 1]]), (4, 3), (2, 2)),
        Sample(log_probs(4, 2, 3), np.array([1, 1, 2]), (4, 4), (1, 2), 0, "none", True),
        Sample(log_probs(3, 2, 3), np.array([[0, 1], [1, 0]]), (3, 3), (2, 1), 2, "sum"),
        Sample(log_probs(3, 1, 3), np.array([[1]]), (3,), (0,), 0, "none"),
        Sample(log_probs(4, 3), np.array([1, 2]), (4,), (2,)),
        Sample(log_probs(1, 1, 3), np.array([[1]]), (1,), (1,)),
        Sample(log_probs(2, 1, 3), np.array([[1, 1]]), (2,), (2,), 0, "mean", True),
    ]


def _errors() -> list[ErrorSample]:
    x, y = np.zeros((4, 2, 3)), np.ones((2, 2), np.int64)
    return [
        ErrorSample(ShapeError, "Expected .T, N, C.", np.zeros(3), y, (4, 4), (2, 2)),
        ErrorSample(ShapeError, "input_lengths has 1", x, y, (4,), (2, 2)),
        ErrorSample(ArgumentError, "input_lengths holds 5", x, y, (5, 4), (2, 2)),
        ErrorSample(ArgumentError, "target_lengths holds 3", x, y, (4, 4), (3, 2)),
        ErrorSample(ArgumentError, "blank is 3", x, y, (4, 4), (2, 2), 3),
        ErrorSample(ArgumentError, "targets holds 3", x, 3 * y, (4, 4), (2, 2)),
        ErrorSample(TypeError, "targets has dtype", x, y * 1.0, (4, 4), (2, 2)),
    ]


def _lengths(name: str, given: Any, count: int, limit: int) -> Any:
    values = np.asarray(given.detach().numpy(force=True) if isinstance(given, Tensor) else given)
    values = np.atleast_1d(values).astype(np.int64)
    if values.shape != (count,):
        raise ShapeError(
            f"ctc_loss: {name} has {values.size} elements for a batch of {count}. Expected one for "
            f"each sequence. Fix: pass {count} lengths."
        )
    for value in values.tolist():
        if not 0 <= value <= limit:
            raise ArgumentError(
                f"ctc_loss: {name} holds {value}. Expected 0 to {limit}. Fix: correct the lengths."
            )
    return values


def _rows(targets: Tensor, lengths: Any, count: int) -> Tensor:
    """Targets joined one behind the other, as padded rows."""
    longest = int(lengths.max(initial=0))
    starts = np.cumsum(lengths) - lengths
    if int(lengths.sum()) > targets.shape[0]:
        raise ShapeError(
            f"ctc_loss: targets has {targets.shape[0]} elements. Expected {int(lengths.sum())}, "
            "the sum of target_lengths. Fix: pass all targets, one sequence behind the other."
        )
    places = starts[:, None] + np.arange(longest)[None, :]
    places = np.minimum(places, max(targets.shape[0] - 1, 0)).reshape(count, longest)
    return targets[asarray(places, device=targets.device)]


def _shifted(alpha: Tensor, by: int) -> Tensor:
    empty = full((alpha.shape[0], by), IMPOSSIBLE, dtype=alpha.dtype, device=alpha.device)
    return concat([empty, alpha], axis=1)[:, : alpha.shape[1]]


def _likelihoods(x: Tensor, labels: Tensor, steps: Any, lengths: Any, blank: int) -> Tensor:
    """-log p of each sequence: the forward variables alpha of Graves et al., in logarithms.

    x: [T, N, C], labels: [N, S] -> [N].
    """
    count, size = x.shape[1], 2 * labels.shape[1] + 1
    blanks = full((count, labels.shape[1]), blank, dtype=int64, device=x.device)
    extended = full((count, size), blank, dtype=int64, device=x.device)
    extended[:, 1::2] = labels
    # A label may follow another one without a blank between them, unless they are equal.
    skips = (
        (extended != blank)
        & (concat([blanks[:, :1], blanks[:, :1], extended], 1)[:, :size] != extended)
        if size > 1
        else extended != blank
    )
    emitted = x.gather(2, extended.unsqueeze(0).expand(x.shape[0], count, size))
    step = asarray(steps, device=x.device)
    length = asarray(lengths, device=x.device)
    place = arange(size, device=x.device).unsqueeze(0)
    alpha = where(place < (1 + (length > 0).to(int64)).unsqueeze(1), emitted[0], IMPOSSIBLE)
    for t in range(1, x.shape[0]):
        jump = where(skips, _shifted(alpha, 2), IMPOSSIBLE)
        grown = logsumexp(stack([alpha, _shifted(alpha, 1), jump]), axis=0) + emitted[t]
        grown = where(grown < IMPOSSIBLE, IMPOSSIBLE, grown)
        alpha = where((step > t).unsqueeze(1), grown, alpha)
    last = where(place == 2 * length.unsqueeze(1), alpha, IMPOSSIBLE)
    before = where(place == 2 * length.unsqueeze(1) - 1, alpha, IMPOSSIBLE)
    total = logsumexp(concat([last, before], axis=1), axis=1)
    # Without a step only the empty sequence is there.
    total = where(step == 0, where(length == 0, 0.0, IMPOSSIBLE), total)
    return -total


@composite(
    "ctc_loss(log_probs, targets, input_lengths: any, target_lengths: any, blank: int = 0, "
    "reduction: str = 'mean', zero_infinity: bool = False)",
    doc="""-log p(target), where p sums over all alignments of the target with the input.

    log_probs: [T, N, C] or [T, C] float, logarithms of probabilities; targets: [N, S], or all one
    behind the other, int; input_lengths, target_lengths: N ints or [N] -> [], or with
    reduction='none' [N] or []. 'mean' divides each loss by its target's length and averages. A
    target without an alignment costs inf, or 0 with zero_infinity, and gets no gradient.

    Raises ShapeError for shapes that do not fit, ArgumentError for lengths and classes out of
    range. Source: Graves et al., Connectionist Temporal Classification, 2006.

    >>> log_probs = samara.zeros(2, 1, 2).log_softmax(2)
    >>> loss = samara.ctc_loss(log_probs, samara.tensor([[1]]), (2,), (1,), reduction="none")
    >>> [round(p, 4) for p in (-loss).exp().tolist()]
    [0.75]
    """,
    ref=_ref,
    ulp=64,
    condition="max",
    samples=_samples,
    errors=_errors,
    methods=(),
)
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    require_dtype("ctc_loss", log_probs, FLOAT, "log_probs")
    require_dtype("ctc_loss", targets, INTEGER, "targets")
    require_choice("ctc_loss", "reduction", reduction, ("mean", "sum", "none"))
    batched = log_probs.ndim == 3
    if log_probs.ndim not in (2, 3) or not log_probs.shape[-1] or not log_probs.shape[0]:
        raise ShapeError(
            f"ctc_loss: log_probs has shape {log_probs.shape}. Expected [T, N, C] or [T, C]. "
            "Fix: reshape it; time comes first."
        )
    x = log_probs if batched else log_probs.unsqueeze(1)
    count, classes = x.shape[1], x.shape[2]
    if not 0 <= blank < classes:
        raise ArgumentError(
            f"ctc_loss: blank is {blank}. Expected a class, 0 to {classes - 1}. Fix: correct it."
        )
    steps = _lengths("input_lengths", input_lengths, count, x.shape[0])
    longest = targets.shape[1] if targets.ndim == 2 else targets.numel()
    lengths = _lengths("target_lengths", target_lengths, count, longest)
    rows = targets if targets.ndim == 2 else _rows(targets.reshape(-1), lengths, count)
    if rows.shape[0] != count:
        raise ShapeError(
            f"ctc_loss: targets has shape {targets.shape} for a batch of {count}. Expected one row "
            "for each sequence. Fix: pass [N, S], or all targets in one vector."
        )
    rows = rows.to(int64)
    used = asarray(np.arange(rows.shape[1])[None, :] < lengths[:, None], device=x.device)
    labels = where(used, rows, blank)
    for bound in (labels.min().item(), labels.max().item()) if labels.numel() else ():
        if not 0 <= bound < classes:
            raise ArgumentError(
                f"ctc_loss: targets holds {bound}. Expected classes, 0 to {classes - 1}. "
                "Fix: correct the targets, or widen the last layer."
            )
    narrow = x.dtype in FLOAT[:2]
    values = _likelihoods(x.to(float32) if narrow else x, labels, steps, lengths, blank)
    infeasible = values > -0.5 * IMPOSSIBLE
    values = where(infeasible, 0.0 if zero_infinity else math.inf, values).to(x.dtype)
    if reduction == "mean":
        divisor = asarray(np.maximum(lengths, 1), dtype=values.dtype, device=x.device)
        return (values / divisor).mean()
    return values.sum() if reduction == "sum" else values if batched else values.reshape(())
