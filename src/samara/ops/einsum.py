"""Sums of products over named axes: einsum, with the cheapest order of its operands."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from samara.dtypes import NUMERIC
from samara.errors import ArgumentError, ShapeError
from samara.ops.checks import require_dtype
from samara.ops.linalg_common import TORCH
from samara.ops.matmul import matmul
from samara.ops.parts import diagonal
from samara.ops.record import ErrorSample, Sample, composite
from samara.tensor import Tensor

# Up to this many operands every order is tried; beyond it the cheapest next product is taken.
EXHAUSTIVE = 7
# Axes that an ellipsis stands for are numbered from here, the last one first.
ELLIPSIS_LABEL = 1000
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass
class Operand:
    """A tensor and the label of each of its axes, every label once."""

    tensor: Tensor
    labels: tuple[int, ...]


# --- the equation ---------------------------------------------------------------------------------


def _name(label: int) -> str:
    return f"'{LETTERS[label]}'" if label < ELLIPSIS_LABEL else "of the ellipsis"


def _parse_term(term: str, equation: str) -> list[int | None]:
    """The labels of one operand; None stands for the ellipsis."""
    labels: list[int | None] = []
    rest = term.replace(" ", "")
    while rest:
        if rest.startswith("..."):
            labels.append(None)
            rest = rest[3:]
            continue
        if rest[0] not in LETTERS:
            raise ArgumentError(
                f"einsum: '{equation}' has the character '{rest[0]}'. Expected letters, '...', ',' "
                "and '->'. Fix: correct the equation."
            )
        labels.append(LETTERS.index(rest[0]))
        rest = rest[1:]
    return labels


def _parse_equation(equation: str) -> tuple[list[list[int | None]], list[int | None] | None]:
    left, arrow, right = equation.partition("->")
    terms = [_parse_term(term, equation) for term in left.split(",")]
    return terms, _parse_term(right, equation) if arrow else None


def _parse_sublist(given: Any) -> list[int | None]:
    labels: list[int | None] = []
    for item in given:
        if item is Ellipsis:
            labels.append(None)
        elif isinstance(item, int) and 0 <= item < len(LETTERS):
            labels.append(item)
        else:
            raise ArgumentError(
                f"einsum: the sublist {given!r} has the item {item!r}. Expected whole numbers from "
                f"0 to {len(LETTERS) - 1} and Ellipsis. Fix: correct it."
            )
    return labels


def _parse_sublists(given: list[Any]) -> tuple[list[list[int | None]], list[int | None] | None]:
    """The terms and the output of einsum(x, [0, 1], y, [1, 2], [0, 2])."""
    output = _parse_sublist(given[-1]) if len(given) % 2 else None
    return [_parse_sublist(labels) for labels in given[1::2]], output


def _tensors(equation: Any, operands: Sequence[Any]) -> Sequence[Any]:
    """The operands of both forms of a call."""
    if not isinstance(equation, str):
        count = len(operands)
        return [equation, *operands[1 : count - 1 + count % 2 : 2]]  # an output may stand last
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        return operands[0]
    return operands


def _label_axes(
    shape: tuple[int, ...], term: Sequence[int | None], position: int
) -> tuple[int, ...]:
    """One label for each axis, those of the ellipsis counted from the last one."""
    named = sum(label is not None for label in term)
    if term.count(None) > 1:
        raise ArgumentError(
            f"einsum: the labels of operand {position} have two ellipses. Expected one at most. "
            "Fix: remove one."
        )
    hidden = len(shape) - named
    if hidden < 0 or (hidden > 0 and None not in term):
        raise ShapeError(
            f"einsum: operand {position} has shape {shape}, {len(shape)} axes, and {named} "
            "labels. Expected one label for each axis. Fix: correct the equation, or use '...'."
        )
    labels: list[int] = []
    for label in term:
        if label is None:
            labels += [ELLIPSIS_LABEL + k for k in reversed(range(hidden))]
        else:
            labels.append(label)
    return tuple(labels)


def _output_labels(
    output: Sequence[int | None] | None, inputs: Sequence[tuple[int, ...]]
) -> tuple[int, ...]:
    every = [label for labels in inputs for label in labels]
    hidden = sorted({label for label in every if label >= ELLIPSIS_LABEL}, reverse=True)
    if output is None:
        counts = Counter(every)
        return (*hidden, *sorted(x for x in counts if counts[x] == 1 and x < ELLIPSIS_LABEL))
    if output.count(None) > 1:
        raise ArgumentError(
            "einsum: the output has two ellipses. Expected one at most. Fix: remove one."
        )
    labels: list[int] = []
    for label in output:
        if label is None:
            labels += hidden
        elif label not in every:
            raise ArgumentError(
                f"einsum: the output has the label {_name(label)}, which no operand has. Expected "
                "labels of the operands. Fix: correct the equation."
            )
        elif label in labels:
            raise ArgumentError(
                f"einsum: the output has the label {_name(label)} twice. Expected it once. "
                "Fix: correct the equation."
            )
        else:
            labels.append(label)
    return tuple(labels)


def _sizes(shapes: Sequence[tuple[int, ...]], inputs: Sequence[tuple[int, ...]]) -> dict[int, int]:
    sizes: dict[int, int] = {}
    for position, (shape, labels) in enumerate(zip(shapes, inputs, strict=True)):
        for label, size in zip(labels, shape, strict=True):
            known = sizes.setdefault(label, size)
            if known == 1:
                sizes[label] = size
            elif size not in (1, known):
                raise ShapeError(
                    f"einsum: the label {_name(label)} has size {known} and, in operand {position} "
                    f"of shape {shape}, size {size}. Expected equal sizes, or 1. "
                    "Fix: correct the equation or the shapes."
                )
    return sizes


# --- contractions ---------------------------------------------------------------------------------


def _once(x: Tensor, given: tuple[int, ...], sizes: dict[int, int]) -> Operand:
    """Diagonals where a label stands twice; axes of size 1 that broadcast are left out."""
    labels = list(given)
    for label in [label for label, count in Counter(labels).items() if count > 1]:
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            if x.shape[first] != x.shape[second]:  # one of them is 1
                drop = first if x.shape[first] == 1 else second
                x = x.squeeze(drop)
                del labels[drop]
                continue
            x = diagonal(x, 0, first, second)
            labels = [l for i, l in enumerate(labels) if i not in (first, second)] + [label]
    stretched = [i for i, label in enumerate(labels) if x.shape[i] == 1 and sizes[label] != 1]
    if stretched:
        x = x.squeeze(tuple(stretched))
    return Operand(x, tuple(label for i, label in enumerate(labels) if i not in stretched))


def _summed(operand: Operand, kept: set[int]) -> Operand:
    """The operand without the axes that nobody else wants."""
    axes = tuple(i for i, label in enumerate(operand.labels) if label not in kept)
    if not axes:
        return operand
    x = operand.tensor.sum(axis=axes, dtype=operand.tensor.dtype)
    return Operand(x, tuple(label for label in operand.labels if label in kept))


def _arranged(operand: Operand, groups: Sequence[Sequence[int]], merge: int) -> Tensor:
    """The axes in the order of the groups; those of the groups from `merge` on become one each."""
    order = [operand.labels.index(label) for group in groups for label in group]
    x = operand.tensor
    if order != sorted(order):
        x = x.permute(order)
    lead = sum(len(group) for group in groups[:merge])
    merged = []
    for group in groups[merge:]:
        merged.append(math.prod(x.shape[lead : lead + len(group)]))
        lead += len(group)
    head = sum(len(group) for group in groups[:merge])
    return x.reshape((*x.shape[:head], *merged))


def _pair(a: Operand, b: Operand, kept: set[int]) -> Operand:
    """The product of two operands, summed over what only they have and nobody wants."""
    a = _summed(a, kept | set(b.labels))
    b = _summed(b, kept | set(a.labels))
    shared = [label for label in a.labels if label in b.labels]
    batch = [label for label in shared if label in kept]
    inner = [label for label in shared if label not in kept]
    rows = [label for label in a.labels if label not in shared]
    columns = [label for label in b.labels if label not in shared]
    labels = (*batch, *rows, *columns)
    if not inner and not (rows and columns and not batch):
        # Nothing is summed: a plain product, which moves less memory than a matrix product.
        x = _arranged(a, (batch, rows), 2)
        y = _arranged(b, (batch, columns), 2)
        x = x.reshape((*x.shape, *(1,) * len(columns)))
        y = y.reshape((*y.shape[: len(batch)], *(1,) * len(rows), *y.shape[len(batch) :]))
        return Operand(x * y, labels)
    sizes = {label: a.tensor.shape[i] for i, label in enumerate(a.labels)}
    sizes |= {label: b.tensor.shape[i] for i, label in enumerate(b.labels)}
    left = _arranged(a, (batch, rows, inner), 1)
    right = _arranged(b, (batch, inner, columns), 1)
    product = matmul(left, right)
    return Operand(product.reshape(tuple(sizes[label] for label in labels)), labels)


# --- the order ------------------------------------------------------------------------------------


def _cost(a: Iterable[int], b: Iterable[int], sizes: dict[int, int]) -> float:
    return math.prod(float(sizes[label]) for label in {*a, *b})


def _left_over(
    group: frozenset[int], terms: Sequence[frozenset[int]], output: frozenset[int]
) -> frozenset[int]:
    """The labels that the product of a group of operands still has."""
    inside = frozenset().union(*(terms[i] for i in group))
    outside = output.union(*(terms[i] for i in range(len(terms)) if i not in group))
    return inside & outside


def _halves(group: frozenset[int]) -> Iterator[tuple[frozenset[int], frozenset[int]]]:
    first, *rest = sorted(group)
    for bits in range(2 ** len(rest) - 1):
        left = frozenset([first, *(x for k, x in enumerate(rest) if bits >> k & 1)])
        yield left, group - left


def _best_tree(
    terms: Sequence[frozenset[int]], output: frozenset[int], sizes: dict[int, int]
) -> Any:
    """The order with the fewest multiplications, as nested pairs of positions."""
    best: dict[frozenset[int], tuple[float, Any]] = {
        frozenset([i]): (0.0, i) for i in range(len(terms))
    }
    groups = sorted(
        (
            frozenset(i for i in range(len(terms)) if bits >> i & 1)
            for bits in range(1, 2 ** len(terms))
        ),
        key=len,
    )
    for group in groups:
        if len(group) < 2:
            continue
        choices = []
        for left, right in _halves(group):
            labels = (_left_over(left, terms, output), _left_over(right, terms, output))
            cost = best[left][0] + best[right][0] + _cost(*labels, sizes)
            choices.append((cost, (best[left][1], best[right][1])))
        best[group] = min(choices, key=lambda choice: choice[0])
    return best[frozenset(range(len(terms)))][1]


def _greedy_tree(
    terms: Sequence[frozenset[int]], output: frozenset[int], sizes: dict[int, int]
) -> Any:
    """The cheapest product next, again and again."""
    left: list[tuple[frozenset[int], Any]] = [(frozenset([i]), i) for i in range(len(terms))]
    while len(left) > 1:
        pairs = [(i, j) for i in range(len(left)) for j in range(i + 1, len(left))]

        labels = [_left_over(group, terms, output) for group, _ in left]
        costs = [_cost(labels[i], labels[j], sizes) for i, j in pairs]
        i, j = pairs[costs.index(min(costs))]
        merged = (left[i][0] | left[j][0], (left[i][1], left[j][1]))
        left = [entry for k, entry in enumerate(left) if k not in (i, j)] + [merged]
    return left[0][1]


def _members(tree: Any) -> list[int]:
    return [tree] if isinstance(tree, int) else _members(tree[0]) + _members(tree[1])


def _contract(tree: Any, operands: list[Operand], output: set[int]) -> Operand:
    if isinstance(tree, int):
        return operands[tree]
    inside = set(_members(tree))
    kept = output.union(*(o.labels for i, o in enumerate(operands) if i not in inside))
    return _pair(_contract(tree[0], operands, output), _contract(tree[1], operands, output), kept)


@dataclass(frozen=True)
class Plan:
    """What follows from the equation and the shapes."""

    inputs: tuple[tuple[int, ...], ...]
    output: tuple[int, ...]
    sizes: dict[int, int]
    tree: Any


def _plan(
    terms: Sequence[Sequence[int | None]],
    output: Sequence[int | None] | None,
    shapes: tuple[tuple[int, ...], ...],
) -> Plan:
    if not shapes or len(terms) != len(shapes):
        given = f"{len(shapes)}" if shapes else "no operand"
        raise ArgumentError(
            f"einsum: {given} given for an equation with {len(terms)} operands. Expected one "
            "tensor for each. Fix: correct the equation or pass the others."
        )
    inputs = tuple(
        _label_axes(shape, term, i)
        for i, (shape, term) in enumerate(zip(shapes, terms, strict=True))
    )
    wanted = _output_labels(output, inputs)
    sizes = _sizes(shapes, inputs)
    if len(shapes) <= 2:
        return Plan(inputs, wanted, sizes, 0 if len(shapes) == 1 else (0, 1))
    # Without the axes that broadcast, as `_once` leaves them.
    labels = [
        frozenset(
            label for label, size in zip(own, shape, strict=True) if size != 1 or sizes[label] == 1
        )
        for own, shape in zip(inputs, shapes, strict=True)
    ]
    order = _best_tree if len(shapes) <= EXHAUSTIVE else _greedy_tree
    return Plan(inputs, wanted, sizes, order(labels, frozenset(wanted), sizes))


@functools.lru_cache(maxsize=256)
def _plan_of_text(equation: str, shapes: tuple[tuple[int, ...], ...]) -> Plan:
    return _plan(*_parse_equation(equation), shapes)


# --- the function ---------------------------------------------------------------------------------


def _ref(equation: Any, *operands: Any) -> Any:
    if isinstance(equation, str) and len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    return np.einsum(equation, *operands)


@composite(
    "einsum(equation: str, *operands)",
    doc=f"""Sums of products over named axes: the product, summed over labels the output lacks.

    equation: one letter for each axis, operands apart by commas, e.g. "bij,bjk->bik". '...' stands
    for axes that broadcast. Without '->' the output has the labels that occur once, in alphabetical
    order behind the ellipsis. A label that stands twice in one operand takes its diagonal. The
    operands may come as one list, and einsum(x, [0, 1], y, [1, 2], [0, 2]) gives labels as numbers.
    Of more than two operands those whose product is cheapest are multiplied first.

    Raises ArgumentError for an equation that makes no sense, ShapeError for operands that do not
    fit it. Source: {TORCH}, `torch.einsum`.

    >>> samara.einsum("ij,jk->ik", samara.ones(2, 3), samara.ones(3, 1)).tolist()
    [[3.0], [3.0]]
    """,
    ref=_ref,
    dtypes=NUMERIC,
    ulp=8,
    condition="max",
    samples=lambda rng: [
        Sample("ij,jk->ik", rng.normal(size=(2, 3)), rng.normal(size=(3, 4))),
        Sample("ij,jk", rng.normal(size=(2, 3)), rng.normal(size=(3, 4))),
        Sample("bij,bjk->bik", rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 4, 2))),
        Sample("...ij,...jk->...ik", rng.normal(size=(2, 1, 3, 4)), rng.normal(size=(5, 4, 2))),
        Sample("ii->i", rng.normal(size=(3, 3))),
        Sample("ii", rng.normal(size=(3, 3))),
        Sample("iij,jk->ki", rng.normal(size=(3, 3, 2)), rng.normal(size=(2, 4))),
        Sample("ij->ji", rng.normal(size=(2, 3))),
        Sample("ij->", rng.normal(size=(2, 3))),
        Sample("i,j->ij", rng.normal(size=2), rng.normal(size=3)),
        Sample("i,i->i", rng.normal(size=3), rng.normal(size=3)),
        Sample("ab,bc,cd,de->ae", *(rng.normal(size=s) for s in ((2, 9), (9, 3), (3, 8), (8, 2)))),
        Sample("a,b,c->cab", rng.normal(size=2), rng.normal(size=3), rng.normal(size=4)),
        Sample("bi,bj,ij->b", *(rng.normal(size=s) for s in ((4, 2), (4, 3), (2, 3)))),
        Sample("ij,kj->ik", rng.normal(size=(2, 1)), rng.normal(size=(3, 4))),
        Sample("...,...->...", rng.normal(size=(2, 3)), rng.normal(size=3)),
        Sample(
            "a,a,a,a,a,a,a,ab->b", *(rng.normal(size=3) for _ in range(7)), rng.normal(size=(3, 2))
        ),
        Sample(",->", np.array(2.0), np.array(3.0)),
        Sample("ij,jk->ik", np.zeros((2, 0)), np.zeros((0, 3))),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, r"the character '\$'", "i$,i", np.ones(2), np.ones(2)),
        ErrorSample(ShapeError, "2 axes, and 1 labels", "i->i", np.ones((2, 2))),
        ErrorSample(ArgumentError, "'k', which no operand has", "ij->ik", np.ones((2, 2))),
        ErrorSample(ArgumentError, "'i' twice", "ij->ii", np.ones((2, 2))),
        ErrorSample(ShapeError, "'j' has size 3 and", "ij,jk", np.ones((2, 3)), np.ones((2, 3))),
        ErrorSample(ArgumentError, "2 operands", "ij,jk", np.ones((2, 3))),
        ErrorSample(ArgumentError, "two ellipses", "......", np.ones((2, 3))),
        ErrorSample(ArgumentError, "no operand", ""),
    ],
    methods=(),
)
def einsum(equation: Any, *operands: Any) -> Tensor:
    tensors = _tensors(equation, operands)
    for position, x in enumerate(tensors):
        require_dtype("einsum", x, NUMERIC, f"operand {position}")
    shapes = tuple(tuple(x.shape) for x in tensors)
    if isinstance(equation, str):
        plan = _plan_of_text(equation, shapes)
    else:
        plan = _plan(*_parse_sublists([equation, *operands]), shapes)
    wanted = plan.output
    parts = [_once(x, own, plan.sizes) for x, own in zip(tensors, plan.inputs, strict=True)]
    result = _summed(_contract(plan.tree, parts, set(wanted)), set(wanted))
    places = [result.labels.index(label) for label in wanted]
    x = result.tensor
    if places != sorted(places):
        x = x.permute(places)
    return x.clone() if any(x is given for given in tensors) else x


__all__ = ["einsum"]
