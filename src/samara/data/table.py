"""`Table`: typed columns, the task they pose, and an account of every row of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import problems, sources
from .columns import Column, Where
from .dialect import ReadOptions
from .problems import RowReport

if TYPE_CHECKING:
    from .prepare import Prepared

TASKS = ("regression", "binary", "multiclass")
MAX_CLASSES = 1000
MAX_INTEGER_CLASSES = 10
_NARROWEST = 12  # of the printed columns


@dataclass(frozen=True)
class Values:
    """The values of one column.

    ``number`` and ``boolean`` are float64 with NaN for missing, ``date`` is datetime64[us] with
    NaT, ``category`` holds int32 codes into ``levels`` with -1, the others str or None.
    """

    kind: str
    array: NDArray[Any]
    levels: tuple[str, ...] = ()

    def take(self, rows: NDArray[np.int64]) -> Values:
        """The values of some rows."""
        return Values(self.kind, self.array[rows], self.levels)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Boolean [rows]: which values are missing."""
        if self.kind == "category":
            return np.asarray(self.array < 0)
        if self.kind == "date":
            return np.asarray(np.isnat(self.array))
        if self.kind in ("number", "boolean"):
            return np.asarray(np.isnan(self.array))
        if self.kind == "ignore":
            return np.zeros(len(self.array), bool)
        return np.array([value is None for value in self.array], bool)


@dataclass(frozen=True)
class SchemaRow:
    """One line of the printed schema."""

    name: str
    kind: str
    missing: int
    summary: str
    use: str


@dataclass(frozen=True)
class Schema:
    """The inferred schema of a table; ``str`` gives a plain-text table."""

    title: str
    rows: tuple[SchemaRow, ...]
    target: str
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.render()

    def render(self, columns: int | None = None) -> str:
        """The table as text, at most `columns` characters wide where its cells can be shortened."""
        cells = [("column", "kind", "missing", "values", "use")]
        cells += [(r.name, r.kind, f"{r.missing:,}", r.summary, r.use) for r in self.rows]
        widths = [max(len(row[i]) for row in cells) for i in range(5)]
        while columns is not None and sum(widths) + 8 > columns and max(widths) > _NARROWEST:
            widths[widths.index(max(widths))] -= 1
        lines = [self.title]
        for row in cells:
            padded = [
                text.rjust(width) if i == 2 else _shortened(text, width).ljust(width)
                for i, (text, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(padded).rstrip())
        lines.insert(2, "  ".join("-" * width for width in widths))
        if self.target:
            lines.append(self.target)
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines)


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


class Table:
    """A table of typed columns in memory, made by `samara.csv` or `samara.data.as_table`.

    >>> from samara.data import as_table
    >>> table = as_table({"x": [1.0, 2.0, 4.0], "y": [2.0, 4.0, 8.0]}, target="y")
    >>> len(table), table.task, table["x"].tolist()
    (3, 'regression', [1.0, 2.0, 4.0])
    """

    def __init__(
        self,
        *,
        label: str,
        columns: Sequence[Column],
        values: Mapping[str, Values],
        rows: NDArray[np.int64],
        where: Where,
        target: str | None,
        task: str | None,
        notes: Sequence[str],
        reports: Sequence[RowReport],
        reported: int,
        rows_in_file: int,
        options: ReadOptions,
        files: Sequence[str],
    ) -> None:
        self.label = label
        self.columns = {column.name: column for column in columns}
        self.values = dict(values)
        self.reports = tuple(reports)
        self.reported = reported
        self.rows_in_file = rows_in_file
        self.options = options
        self.files = tuple(files)
        self.target = target
        self.notes = list(notes)
        self._rows = rows
        self._where = where
        if reported or reports:
            filled = sum(not report.dropped for report in reports)
            text = f"{label}: {reported:,} of {rows_in_file:,} rows left out"
            text += f", {filled:,} cells or rows filled" if filled else ""
            self.notes.append(f"{text}; the first: {reports[0]}")
        self.task = self._infer_task(task) if target is not None else None

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """The values of a column; categories as text, missing ones None, NaN or NaT."""
        part = self.column(name)
        if part.kind != "category":
            return part.array
        levels = np.array([*part.levels, None], dtype=object)
        return np.asarray(levels[part.array])

    def __repr__(self) -> str:
        goal = f", target {self.target!r} ({self.task})" if self.target else ""
        return f"Table({self.label!r}: {len(self):,} rows, {len(self.columns)} columns{goal})"

    @property
    def names(self) -> list[str]:
        """Column names in the order of the file."""
        return list(self.columns)

    def column(self, name: str) -> Values:
        """The values of a column as they are stored.

        Raises:
            DataError: no such column; the closest name is offered.
        """
        if name not in self.values:
            raise problems.error(
                self.label, "no such column", problems.closest(name, self.names), column=name
            )
        return self.values[name]

    def where(self, row: int) -> str:
        """``file:line`` of a row of the table."""
        file, line = self.place(row)
        return f"{file} {line}" if file.endswith(" row") else f"{file}:{line}"

    def place(self, row: int) -> tuple[str, int]:
        """File and physical line of a row of the table."""
        return self._where(int(self._rows[row]))

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of the bytes that were read (of the values, when they came from memory)."""
        if self.files:
            return sources.fingerprint(self.files)
        import hashlib

        digest = hashlib.sha256()
        for name, part in self.values.items():
            digest.update(repr((name, part.kind, part.levels)).encode())
            plain = part.array.dtype != object
            digest.update(part.array.tobytes() if plain else repr(part.array.tolist()).encode())
        return digest.hexdigest()

    @property
    def with_target(self) -> NDArray[np.int64]:
        """Rows whose target is not missing (all rows without a target)."""
        if self.target is None:
            return np.arange(len(self))
        return np.flatnonzero(~self.values[self.target].missing)

    @cached_property
    def schema(self) -> Schema:
        """Kinds, missing values and use of all columns, ready to print."""
        rows = tuple(
            SchemaRow(
                name,
                column.kind if column.format in (None, "iso") else f"date {column.format}",
                int(self.values[name].missing.sum()) if column.kind != "ignore" else column.missing,
                _summary(self.values[name]),
                self._use(column),
            )
            for name, column in self.columns.items()
        )
        title = f"{self.label}: {len(self):,} rows, {len(self.columns)} columns"
        goal = ""
        if self.target:
            goal = f"target {self.target!r}: {self.task}"
            if self.task != "regression":
                goal += f", {len(self.classes)} classes"
            without = len(self) - len(self.with_target)
            if without:
                goal += f"; {without:,} rows without it are left out of training"
        return Schema(title, rows, goal, tuple(self.notes))

    @cached_property
    def classes(self) -> list[str]:
        """Names of the target's classes, sorted; empty for regression."""
        if self.target is None or self.task == "regression":
            return []
        return [name for name, _ in class_values(self.values[self.target])]

    def prepare(
        self,
        *,
        seed: int = 0,
        validation: float = 0.2,
        split: str = "auto",
        by: str | None = None,
        min_category_count: int = 2,
    ) -> Prepared:
        """Splits the rows and fits the preprocessing on the training part.

        Args:
            seed: the split is a pure function of the seed and the number of rows.
            validation: fraction of the rows held out, 0 for none.
            split: ``random``, ``stratified`` (same share of every class), ``group`` (all rows of
                a group on one side), ``time`` (the latest rows held out), or ``auto``:
                stratified for classification, else random.
            by: the column of the groups, or of the time.
            min_category_count: rarer categories share the code of unseen ones.

        Returns:
            `Prepared`, with ``train``, ``validation`` and ``preprocessing``.

        Raises:
            DataError: no target, too few rows, or ``by`` missing or not there.
        """
        from . import prepare

        return prepare.prepare(
            self,
            seed=seed,
            validation=validation,
            strategy=split,
            by=by,
            min_category_count=min_category_count,
        )

    def fit(self, **options: Any) -> Any:
        """Trains a model on this table with defaults for everything; see `samara.train`."""
        import importlib

        return importlib.import_module("samara.train").fit_table(self, **options)

    def _use(self, column: Column) -> str:
        if column.name == self.target:
            return "target"
        if column.kind in ("text", "id", "ignore"):
            return "not used"
        if column.kind == "category":
            return f"category of {len(self.values[column.name].levels)}"
        return "year, month, day of week, elapsed" if column.kind == "date" else "number"

    def _infer_task(self, declared: str | None) -> str:
        """regression, binary or multiclass, from the values of the target."""
        assert self.target is not None
        if declared is not None and declared not in TASKS:
            raise problems.error(
                self.label, f"task={declared!r} is unknown", f"use one of {', '.join(TASKS)}"
            )
        part = self.column(self.target)
        rows = self.with_target
        file, line = self.place(0) if len(self) else (self.label, 0)

        def fail(text: str, fix: str) -> Exception:
            return problems.error(file, text, fix, line=line, column=self.target)

        if not len(rows):
            raise fail("the target is missing in every row", "choose another target")
        if len(rows) < 2:
            raise fail(
                "this is the only row with a target; training and validating take at least 2",
                "add rows, or read the file without target= to predict it",
            )
        if part.kind in ("text", "id", "ignore", "date"):
            raise fail(
                f"the target is {part.kind} ({_summary(part)}); expected numbers or categories",
                f"choose another target, or declare schema={{{self.target!r}: 'category'}} "
                "or 'number'",
            )
        if declared == "regression":
            if part.kind != "number":
                raise fail(
                    f"task='regression' needs numbers; this target is {part.kind}",
                    "choose another target or task",
                )
            return "regression"
        if part.kind == "number" and declared is None and not _few_integers(part.array[rows]):
            return "regression"
        classes = len(class_values(part))
        if classes < 2:
            only = class_values(part)[0][0]
            if part.kind == "number" and declared is None:
                return "regression"
            raise fail(f"the target has one class only, {only!r}", "add rows of another class")
        if classes > MAX_CLASSES:
            raise fail(
                f"the target has {classes:,} classes; expected at most {MAX_CLASSES:,}",
                "choose another target, or task='regression' for numbers",
            )
        if declared == "binary" and classes != 2:
            raise fail(
                f"task='binary' needs 2 classes; the target has {classes}", "use task='multiclass'"
            )
        return declared or ("binary" if classes == 2 else "multiclass")


def class_values(part: Values) -> list[tuple[str, float | int]]:
    """(name, stored value) of the classes of a target, in order of value."""
    if part.kind == "category":
        present = np.unique(part.array[part.array >= 0])
        return [(part.levels[code], int(code)) for code in present]
    values = np.unique(part.array[~np.isnan(part.array)])
    if part.kind == "boolean":
        return [("true" if value else "false", float(value)) for value in values]
    return [(number_name(value), float(value)) for value in values]


def number_name(value: float) -> str:
    """A number as a class name: whole ones without a decimal point."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _few_integers(values: NDArray[np.float64]) -> bool:
    """Whether numbers are class labels: few different whole numbers, each met often."""
    if not (values == np.floor(values)).all():
        return False
    distinct = len(np.unique(values))
    return distinct <= 2 or (distinct <= MAX_INTEGER_CLASSES and len(values) >= 10 * distinct)


def _summary(part: Values) -> str:
    """What the values look like, in a few words."""
    if part.kind == "ignore":
        return ""
    present = part.array[~part.missing]
    if not len(present):
        return "all missing"
    if part.kind == "number":
        low, high = present.min(), present.max()
        with np.errstate(over="ignore"):
            return f"{low:.6g} .. {high:.6g}, mean {present.mean():.4g}"
    if part.kind == "boolean":
        return f"true {int(present.sum()):,}, false {int((1 - present).sum()):,}"
    if part.kind == "date":
        days = present.astype("datetime64[D]")
        return f"{days.min()} .. {days.max()}"
    if part.kind == "category":
        counts = np.bincount(present, minlength=len(part.levels))
        order = np.argsort(-counts, kind="stable")[:3]
        top = ", ".join(f"{problems.shown(part.levels[i], 20)} {counts[i]:,}" for i in order)
        return f"{len(part.levels):,} levels: {top}" + (", ..." if len(part.levels) > 3 else "")
    return f"such as {problems.shown(present[0], 24)}"
