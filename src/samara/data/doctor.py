"""A look at a table for what spoils training: constants, copies, leaks, identifiers, imbalance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import ID_NAME
from .prepare import Prepared
from .table import Table, Values

LEAK_CORRELATION = 0.999
LEAK_ACCURACY = 0.99
MIN_ROWS = 20  # below this, coincidences look like findings
RARE_CLASS = 0.02


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing before training."""

    kind: str  # constant, identifier, duplicates, leak, imbalance, overlap
    column: str | None
    text: str

    def __str__(self) -> str:
        where = f"column {self.column!r} " if self.column is not None else ""
        return f"{self.kind}: {where}{self.text}"


def examine(table: Table) -> list[Finding]:
    """Findings about a table, worst kinds first.

    ``leak``: one column alone gives the target away (correlation above 0.999, or above 99 % right
    by the majority of each of its values); ``constant``; ``identifier``: a number or category that
    is different in every row; ``duplicates``: rows that agree in every used column; ``imbalance``:
    a class with less than 2 % of the rows.

    >>> from samara.data import as_table
    >>> [f.kind for f in examine(as_table({"x": [1.0] * 30, "y": list(range(30))}, target="y"))]
    ['constant']
    """
    return [*_leaks(table), *_constants(table), *_identifiers(table), *_duplicates(table),
            *_imbalance(table)]  # fmt: skip


def overlap(prepared: Prepared) -> list[Finding]:
    """Training rows that occur again among the validation rows, which flatters the score."""
    if prepared.validation is None:
        return []
    table, train = prepared.train.table, prepared.train.rows
    codes = _row_codes(table)
    again = np.flatnonzero(np.isin(codes[prepared.validation.rows], codes[train]))
    if not len(again):
        return []
    first = int(prepared.validation.rows[again[0]])
    same = int(train[np.flatnonzero(codes[train] == codes[first])[0]])
    text = (
        f"{len(again):,} of {len(prepared.validation):,} validation rows are copies of training "
        f"rows; the first: {table.where(first)} is {table.where(same)}"
    )
    return [Finding("overlap", None, text)]


def _used(table: Table) -> Iterator[tuple[str, Values]]:
    for name, column in table.columns.items():
        if name != table.target and column.kind not in ("text", "id", "ignore"):
            yield name, table.values[name]


def _constants(table: Table) -> Iterator[Finding]:
    for name, part in _used(table):
        codes = _codes(part)
        if len(codes) > 1 and (codes == codes[0]).all():
            yield Finding("constant", name, "has the same value in every row")


def _identifiers(table: Table) -> Iterator[Finding]:
    if len(table) < MIN_ROWS:
        return
    for name, part in _used(table):
        if part.kind not in ("number", "category") or part.missing.any():
            continue
        if len(np.unique(part.array)) < len(table):
            continue
        whole = part.kind == "category" or bool((part.array == np.floor(part.array)).all())
        steps = np.diff(part.array) if part.kind == "number" else np.zeros(1)
        counts_up = bool((steps == steps[0]).all() and steps[0] != 0)
        if whole and (counts_up or part.kind == "category" or ID_NAME.search(name)):
            text = f"is different in every row; schema={{{name!r}: 'id'}} leaves it out"
            yield Finding("identifier", name, text)


def _duplicates(table: Table) -> Iterator[Finding]:
    codes = _row_codes(table)
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    copies = np.flatnonzero(first[inverse] != np.arange(len(codes)))
    if len(copies):
        row = int(copies[0])
        text = (
            f"{len(copies):,} of {len(table):,} rows repeat an earlier one; the first: "
            f"{table.where(row)} is {table.where(int(first[inverse[row]]))}"
        )
        yield Finding("duplicates", None, text)


def _imbalance(table: Table) -> Iterator[Finding]:
    if table.task not in ("binary", "multiclass") or table.target is None:
        return
    part = table.values[table.target].take(table.with_target)
    _, counts = np.unique(part.array, return_counts=True)
    for name, count in zip(table.classes, counts.tolist(), strict=True):
        if count < RARE_CLASS * len(part.array):
            share = count / len(part.array)
            text = f"has class {name!r} in {count:,} of {len(part.array):,} rows ({share:.1%})"
            yield Finding("imbalance", table.target, text)


def _leaks(table: Table) -> Iterator[Finding]:
    if table.target is None or len(table.with_target) < MIN_ROWS:
        return
    rows = table.with_target
    target = table.values[table.target].take(rows)
    for name, whole in _used(table):
        part = whole.take(rows)
        if table.task == "regression":
            text = _number_leak(part, target.array)
        else:
            text = _class_leak(part, np.unique(target.array, return_inverse=True)[1])
        if text:
            yield Finding("leak", name, f"{text}; is it known before the target is?")


def _number_leak(part: Values, target: NDArray[np.float64]) -> str:
    there = ~part.missing
    if part.kind not in ("number", "date") or there.sum() < MIN_ROWS:
        return ""
    x = part.array[there].astype(np.float64)
    y = target[there]
    with np.errstate(all="ignore"):
        x, y = x - x.mean(), y - y.mean()
        r = float((x @ y) / np.sqrt((x @ x) * (y @ y)))
    return f"correlates with the target at {r:.4f}" if abs(r) > LEAK_CORRELATION else ""


def _class_leak(part: Values, classes: NDArray[np.int64]) -> str:
    there = ~part.missing
    if there.sum() < MIN_ROWS:
        return ""
    classes, n = classes[there], int(there.sum())
    most = int(np.bincount(classes).max())
    if most >= LEAK_ACCURACY * n:
        return ""
    values, codes = np.unique(part.array[there], return_inverse=True)
    if len(values) <= n // 4:
        table = np.zeros((len(values), int(classes.max()) + 1), np.int64)
        np.add.at(table, (codes, classes), 1)
        right = int(table.max(axis=1).sum())
    else:  # nearly every value is different: cut the sorted values where the class changes
        ordered = classes[np.argsort(codes, kind="stable")]
        changes = int((np.diff(ordered) != 0).sum())
        spare = changes - (len(np.unique(classes)) - 1)
        right = n - spare if part.kind != "category" else 0
    if right > LEAK_ACCURACY * n:
        return f"alone gives the class of {right / n:.1%} of the rows"
    return ""


def _codes(part: Values) -> NDArray[np.int64]:
    """The same number for the same value; missing counts as a value."""
    missing = part.missing
    filled: NDArray[Any] = np.where(missing, part.array[~missing][:1] if (~missing).any() else 0,
                                    part.array)  # fmt: skip
    codes = np.unique(filled, return_inverse=True)[1].astype(np.int64)
    return np.where(missing, -1, codes)


def _row_codes(table: Table) -> NDArray[np.int64]:
    """The same number for rows that agree in every used column and in the target."""
    codes = np.zeros(len(table), np.int64)
    parts = [part for _, part in _used(table)]
    if table.target is not None:
        parts.append(table.values[table.target])
    for part in parts:
        column = _codes(part) + 1
        codes = codes * (int(column.max(initial=0)) + 1) + column
        codes = np.unique(codes, return_inverse=True)[1].astype(np.int64)
    return codes
