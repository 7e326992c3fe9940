"""`Table.prepare`: split the rows, fit the preprocessing on the training part, make the arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import preprocessing as fitting
from . import problems
from .preprocessing import Preprocessing
from .split import split_rows
from .table import Schema, Table


@dataclass(frozen=True)
class Part:
    """Arrays of some rows of a table, ready for a model.

    Attributes:
        features: float32 [rows, n_features].
        categories: int64 [rows, n_categorical].
        target: float32 [rows, 1] (regression), int64 [rows] (classification) or None.
        rows: int64 [rows], positions in ``table``.
        table: where they came from.
        notes: sentences about the file.
    """

    features: NDArray[np.float32]
    categories: NDArray[np.int64]
    target: NDArray[Any] | None
    rows: NDArray[np.int64]
    table: Table
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return (
            f"Part({len(self):,} rows, {self.features.shape[1]} features, "
            f"{self.categories.shape[1]} categorical)"
        )

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """(features, categories, target), without the target where there is none."""
        if self.target is None:
            return self.features, self.categories
        return self.features, self.categories, self.target

    def where(self, row: int) -> str:
        """``file:line`` of a row of this part."""
        return self.table.where(int(self.rows[row]))


@dataclass(frozen=True)
class Accounting:
    """Where every row of the file went.

    >>> print(Accounting(rows_in_file=10, train=6, validation=2, left_out=1, without_target=1))
    10 rows in the file = 6 to train on + 2 held out + 1 reported as left out + 1 without target
    """

    rows_in_file: int
    train: int
    validation: int
    left_out: int
    without_target: int

    @property
    def reported(self) -> int:
        """Rows that are in neither part."""
        return self.left_out + self.without_target

    @property
    def complete(self) -> bool:
        """Whether the parts and the reported rows add up to the file."""
        return self.rows_in_file == self.train + self.validation + self.reported

    def __str__(self) -> str:
        text = f"{self.rows_in_file:,} rows in the file = {self.train:,} to train on"
        text += f" + {self.validation:,} held out"
        if self.left_out:
            text += f" + {self.left_out:,} reported as left out"
        if self.without_target:
            text += f" + {self.without_target:,} without target"
        return text


@dataclass(frozen=True)
class Prepared:
    """A table split and turned into arrays; see the package's documentation for the contract."""

    train: Part
    validation: Part | None
    preprocessing: Preprocessing
    schema: Schema
    accounting: Accounting
    notes: tuple[str, ...]

    @property
    def task(self) -> str:
        """regression, binary or multiclass."""
        return str(self.preprocessing.task)

    def transform(self, source: Any, *, on_bad_rows: str = "error") -> Part:
        """Same as ``preprocessing.transform``."""
        return self.preprocessing.transform(source, on_bad_rows=on_bad_rows)

    def __repr__(self) -> str:
        return f"Prepared({self.accounting}; {self.preprocessing!r})"


def prepare(
    table: Table,
    *,
    seed: int,
    validation: float,
    strategy: str,
    by: str | None,
    min_category_count: int,
) -> Prepared:
    """See `Table.prepare`."""
    if table.target is None:
        raise problems.error(
            table.label,
            "the table has no target to train on",
            "name the column to predict: samara.csv(..., target='...')",
        )
    usable = table.with_target
    if strategy == "auto":
        strategy = "random" if table.task == "regression" else "stratified"
    keys = _keys(table, usable, strategy, by)
    train, held_out = split_rows(len(usable), validation, seed, strategy, keys, label=table.label)
    fitted = fitting.fit(table, usable[train], min_category_count)
    if not fitted.columns:
        raise problems.error(
            table.label,
            f"no column besides the target {table.target!r} can be used",
            "declare a column with schema={'name': 'category'} or 'number'",
        )
    notes = list(table.notes)
    accounting = Accounting(
        rows_in_file=table.rows_in_file,
        train=len(train),
        validation=len(held_out),
        left_out=table.reported,
        without_target=len(table) - len(usable),
    )
    if accounting.without_target:
        notes.append(_without_target(table))
    return Prepared(
        train=fitted.apply(table, usable[train]),
        validation=fitted.apply(table, usable[held_out]) if len(held_out) else None,
        preprocessing=fitted,
        schema=table.schema,
        accounting=accounting,
        notes=tuple(notes),
    )


def _keys(
    table: Table, usable: NDArray[np.int64], strategy: str, by: str | None
) -> NDArray[Any] | None:
    """Classes, groups or times of the usable rows."""
    if strategy == "stratified":
        if table.task == "regression":
            raise problems.error(
                table.label,
                f"split='stratified' needs classes; {table.target!r} is a number to regress",
                "use split='random'",
            )
        return table.values[str(table.target)].take(usable).array
    if strategy not in ("group", "time"):
        return None
    if by is None:
        raise problems.error(
            table.label, f"split={strategy!r} needs a column", "pass by='name of the column'"
        )
    part = table.column(by).take(usable)
    missing = np.flatnonzero(part.missing)
    if len(missing):
        file, line = table.place(int(usable[missing[0]]))
        raise problems.error(
            file,
            f"split={strategy!r} needs a value in every row; {len(missing):,} are missing, "
            "the first here",
            "fill the cells in, or split by another column",
            line=line,
            column=by,
        )
    if part.kind == "ignore" or (strategy == "time" and part.kind not in ("date", "number")):
        raise problems.error(
            table.label,
            f"split={strategy!r} cannot use a column of kind {part.kind!r}",
            f"declare its kind, as in schema={{{by!r}: 'date'}}",
            column=by,
        )
    return part.array.astype(str) if part.array.dtype == object else part.array


def _without_target(table: Table) -> str:
    rows: Sequence[int] = np.flatnonzero(table.values[str(table.target)].missing).tolist()
    shown = ", ".join(table.where(row) for row in rows[:5])
    return f"{len(rows):,} rows have no {table.target!r} and are not trained on: {shown}" + (
        ", ..." if len(rows) > 5 else ""
    )
