"""From text in DuckDB to typed NumPy columns, with every cell that does not fit reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import columns as kinds
from . import problems
from .columns import Column
from .dialect import ReadOptions
from .problems import Problem, RowReport
from .table import Table, Values

REPORTED_ROWS = 1000


@dataclass
class Origin:
    """Where the rows of ``raw`` came from, and what happened to them on the way."""

    label: str
    where: kinds.Where
    rows: int
    rows_in_file: int
    files: Sequence[str] = ()
    reports: list[RowReport] = field(default_factory=list)
    reported: int = 0  # rows left out
    notes: list[str] = field(default_factory=list)


def typed_table(
    connection: Any,
    names: Sequence[str],
    options: ReadOptions,
    origin: Origin,
    *,
    schema: Mapping[str, str] | None = None,
    target: str | None = None,
    task: str | None = None,
    ready: Mapping[str, tuple[Column, Values]] | None = None,
    order: Sequence[str] | None = None,
) -> Table:
    """Infers and converts the columns of ``raw`` and joins those that are ``ready`` already."""

    def query(statement: str) -> list[tuple[Any, ...]]:
        return list(connection.execute(statement).fetchall())

    declared = kinds.parse_declared(schema, [*names, *(ready or {})], origin.label)
    if target in names:
        _check_target(query, list(names).index(str(target)), str(target), origin)
    found = kinds.infer(query, names, declared, options, origin.where)
    if found.problems:
        raise problems.error_for(found.problems)
    kept = _kept_rows(_Cells(query, found.columns, options, origin.where).find(), options, origin)
    columns = {column.name: column for column in found.columns}
    values = {
        column.name: _values(connection, f"c{i}", column, options)
        for i, column in enumerate(found.columns)
    }
    for name, (column, column_values) in (ready or {}).items():
        columns[name], values[name] = column, column_values
    if len(kept) < origin.rows:
        values = {name: part.take(kept) for name, part in values.items()}
    final = list(order or names)
    return Table(
        label=origin.label,
        columns=[columns[name] for name in final],
        values={name: values[name] for name in final},
        rows=kept,
        where=origin.where,
        target=target,
        task=task,
        notes=[*origin.notes, *found.notes],
        reports=origin.reports,
        reported=origin.reported + origin.rows - len(kept),
        rows_in_file=origin.rows_in_file,
        options=options,
        files=origin.files,
    )


def _check_target(query: kinds.Query, index: int, target: str, origin: Origin) -> None:
    if query(f"SELECT count(c{index}) FROM raw")[0][0] > 0:
        return
    file, line = origin.where(0)
    raise problems.error(
        file,
        f"the target is missing in all {origin.rows:,} rows, from here to the end",
        "choose another target, or fill the column in",
        line=line,
        column=target,
    )


def _kept_rows(
    bad: Sequence[tuple[int, Problem]], options: ReadOptions, origin: Origin
) -> NDArray[np.int64]:
    """Reports the bad cells; returns the rows that stay."""
    keep = np.ones(origin.rows, bool)
    for row, problem in bad:
        dropped = options.on_bad_rows == "skip"
        if len(origin.reports) < REPORTED_ROWS:
            text = f"column {problem.column!r}: {problem.text}"
            origin.reports.append(RowReport(problem.file, problem.line or 0, text, dropped))
        if dropped:
            keep[row] = False
    if not keep.any():
        text = f"all {origin.rows_in_file:,} rows are left out; the first: {origin.reports[0]}"
        fix = "correct the cells, or declare other kinds in schema="
        raise problems.error(origin.label, text, fix)
    return np.flatnonzero(keep)


@dataclass
class _Cells:
    """Cells that do not fit the kind of their column."""

    query: kinds.Query
    columns: Sequence[Column]
    options: ReadOptions
    where: kinds.Where

    def find(self) -> list[tuple[int, Problem]]:
        """All of them as (row, problem); raises when bad rows are errors."""
        found: list[tuple[int, Problem]] = []
        total = 0
        strict = self.options.on_bad_rows == "error"
        for index, column in enumerate(self.columns):
            fits = self._fits(index, column)
            if fits is None:
                continue
            present, good = self.query(
                f"SELECT count(c{index}), count(*) FILTER ({fits}) FROM raw"
            )[0]
            if present == good:
                continue
            total += present - good
            cells = self.query(
                f"SELECT rowid, c{index} FROM raw WHERE c{index} IS NOT NULL AND NOT "
                f"coalesce({fits}, false) ORDER BY rowid"
                + (f" LIMIT {problems.MAX_PROBLEMS}" if strict else "")
            )
            for row, text in cells:
                found.append((int(row), self._problem(int(row), text, column, good, present)))
        found.sort(key=lambda pair: pair[0])
        if found and strict:
            raise problems.error_for([problem for _, problem in found], total)
        return found

    def _fits(self, index: int, column: Column) -> str | None:
        """SQL condition that a value fits its column's kind; None where everything does."""
        name = f"c{index}"
        if column.kind == "number":
            return f"isfinite({kinds.number_sql(name, self.options)})"
        if column.kind == "boolean":
            return f"{kinds.boolean_sql(name)} IS NOT NULL"
        if column.kind == "date":
            return f"{kinds.date_sql(name, column.format or kinds.ISO)} IS NOT NULL"
        return None

    def _problem(self, row: int, text: str, column: Column, good: int, present: int) -> Problem:
        file, line = self.where(row)
        kind = f"a {column.kind}"
        if column.kind == "date":
            form = "YYYY-MM-DD" if column.format == kinds.ISO else column.format
            kind = f"a date of the form {form}"
        reason = f"{problems.shown(text)} is not {kind} ({good:,} of {present:,} values are)"
        if column.kind == "number" and is_number(text):
            bare = text.strip().lstrip("+-").lower()
            reason = f"{problems.shown(text)} is not a finite number"
            if bare[:1].isdigit() or bare[:1] == ".":
                reason = f"{problems.shown(text)} is beyond the largest float64, 1.8e308"
        return Problem(
            file, line, column.name, reason,
            f"correct the cell, declare schema={{{column.name!r}: 'category'}} if the column is "
            "meant so, or pass on_bad_rows='skip' or 'fill'",
        )  # fmt: skip


def _values(connection: Any, name: str, column: Column, options: ReadOptions) -> Values:
    """One column out of DuckDB as NumPy."""

    def fetch(expression: str) -> Any:
        return connection.execute(f"SELECT {expression} AS v FROM raw").fetchnumpy()["v"]

    if column.kind == "number":
        number = kinds.number_sql(name, options)
        values = _filled(fetch(number), np.nan).astype(np.float64, copy=False)
        return Values("number", np.where(np.isfinite(values), values, np.nan))
    if column.kind == "boolean":
        return Values("boolean", _filled(fetch(kinds.boolean_sql(name)), np.nan))
    if column.kind == "date":
        dates = fetch(kinds.date_sql(name, column.format or kinds.ISO))
        days = _filled(dates, np.datetime64("NaT")).astype("datetime64[us]")
        return Values("date", days)
    if column.kind == "category":
        levels = connection.execute(
            f"SELECT DISTINCT trim({name}) AS v FROM raw WHERE {name} IS NOT NULL ORDER BY v"
        ).fetchall()
        connection.execute("DROP TABLE IF EXISTS levels")
        connection.execute(
            f"CREATE TEMP TABLE levels AS SELECT v, row_number() OVER (ORDER BY v) - 1 AS code "
            f"FROM (SELECT DISTINCT trim({name}) AS v FROM raw WHERE {name} IS NOT NULL)"
        )
        codes = connection.execute(
            f"SELECT coalesce(code, -1)::INTEGER AS v FROM raw LEFT JOIN levels "
            f"ON trim({name}) = levels.v ORDER BY raw.rowid"
        ).fetchnumpy()["v"]
        return Values("category", np.asarray(codes, np.int32), tuple(row[0] for row in levels))
    if column.kind == "ignore":
        return Values("ignore", np.empty(_count(connection), np.int8))
    texts = _filled(fetch(name), None)
    return Values(column.kind, texts)


def _count(connection: Any) -> int:
    return int(connection.execute("SELECT count(*) FROM raw").fetchone()[0])


def _filled(values: Any, fill: Any) -> NDArray[Any]:
    if isinstance(values, np.ma.MaskedArray):
        if values.dtype == object:
            result = np.array(values.data, dtype=object)
            result[np.ma.getmaskarray(values)] = fill
            return result
        return np.asarray(values.filled(fill))
    return np.asarray(values)


def is_number(text: str) -> bool:
    """Whether Python reads the text as a float."""
    try:
        float(text)
    except ValueError:
        return False
    return True
