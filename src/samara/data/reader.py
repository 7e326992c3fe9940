"""`samara.csv`: files through our own scan into DuckDB, out as typed NumPy columns."""

from __future__ import annotations

import bisect
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from samara.errors import DataError

from . import columns as kinds
from . import dialect as dialects
from . import problems, scan, sources
from .columns import Column
from .dialect import MISSING_TOKENS, Dialect, ReadOptions
from .problems import Problem, RowReport
from .table import Table, Values

if TYPE_CHECKING:
    import duckdb

REPORTED_ROWS = 1000
_GLOB_CHARACTERS = frozenset("*?[]{}")


def csv(
    path: sources.PathLike | Sequence[sources.PathLike],
    target: str | None = None,
    *,
    schema: Mapping[str, str] | None = None,
    task: str | None = None,
    header: bool = True,
    on_bad_rows: str = "error",
    delimiter: str | None = None,
    quote: str = '"',
    encoding: str | None = None,
    decimal: str = ".",
    thousands: str | None = None,
    missing: Sequence[str] = MISSING_TOKENS,
) -> Table:
    """Reads a delimited file into a `Table` whose column kinds are inferred.

    Args:
        path: a file, a glob pattern, or a sequence of them; gzip is recognised by content.
        target: the column to predict.
        schema: kinds by column name, where inference is not wanted: ``number``, ``boolean``,
            ``category``, ``date``, ``date:%d/%m/%Y``, ``text``, ``id`` or ``ignore``.
        task: ``regression``, ``binary`` or ``multiclass``; inferred from the target when None.
        header: whether the first record names the columns; else they are column_1, column_2, ...
        on_bad_rows: ``error`` raises naming up to ten; ``skip`` leaves such rows out and ``fill``
            turns what is missing or unreadable into missing values; both report every row.
        delimiter, quote, encoding, decimal, thousands: how the file is written. The delimiter is
            found among ``, ; tab |``; the encoding is UTF-8 unless declared.
        missing: texts that stand for a missing value.

    Returns:
        A `Table` of as many rows as the file has records, less those reported as left out.

    Raises:
        DataError: naming file, physical line, column and value, and the fix.

    >>> import os, tempfile
    >>> file = os.path.join(tempfile.mkdtemp(), "heights.csv")
    >>> with open(file, "w") as out:
    ...     _ = out.write("name,height\\nAda,1.65\\nAlan,1.78\\n")
    >>> table = csv(file, target="height")
    >>> len(table), table.names, table.task
    (2, ['name', 'height'], 'regression')
    """
    options = ReadOptions(
        header, delimiter, quote, encoding, decimal, thousands, tuple(missing), on_bad_rows
    )
    return read(path, options, target=target, schema=schema, task=task)


def read(
    path: sources.PathLike | Sequence[sources.PathLike],
    options: ReadOptions,
    *,
    target: str | None = None,
    schema: Mapping[str, str] | None = None,
    task: str | None = None,
    required: Sequence[str] = (),
    only_declared: bool = False,
) -> Table:
    """`csv` with the options as one object; ``required`` columns must be there.

    With ``only_declared``, columns that ``schema`` does not name are ignored rather than
    inferred, and names in ``schema`` that the file does not have are no error: this is how a
    file for prediction is read.
    """
    files = sources.resolve(path)
    for name in files:
        if options.encoding is None:
            sources.check_encoding(name, sources.head(name, 4096))
    loaded = _Loaded(label=files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more")
    with tempfile.TemporaryDirectory(prefix="samara-") as folder:
        loaded.connection = connect()
        try:
            for name in files:
                _load_file(loaded, name, options, folder)
                if name == files[0]:
                    _check_names(loaded, target, required)
            if loaded.rows == 0:
                raise problems.error(
                    loaded.label, "has a header and no rows", "add at least one row",
                    line=loaded.header_line,
                )  # fmt: skip
            if only_declared:
                given = schema or {}
                schema = {name: given.get(name, "ignore") for name in loaded.names}
            return typed_table(
                loaded.connection, loaded.names, options, loaded.where,
                label=loaded.label, schema=schema, target=target, task=task, files=files,
                rows=loaded.rows, rows_in_file=loaded.rows_in_file,
                reports=loaded.reports, reported=loaded.reported, notes=loaded.notes,
            )  # fmt: skip
        finally:
            loaded.connection.close()


def connect() -> duckdb.DuckDBPyConnection:
    """A private in-memory DuckDB that never reaches for the network."""
    import duckdb

    return duckdb.connect(
        config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    )


@dataclass
class _Loaded:
    """Rows of all files in the table ``raw``, and where each came from."""

    label: str
    names: list[str] = field(default_factory=list)
    header_line: int = 1
    rows: int = 0
    rows_in_file: int = 0
    reported: int = 0  # rows left out
    reports: list[RowReport] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    parts: list[tuple[str, scan.LineMap, int]] = field(default_factory=list)
    connection: Any = None

    def where(self, row: int) -> tuple[str, int]:
        """File and physical line of a row of ``raw``."""
        at = bisect.bisect_right(self.starts, row) - 1
        name, lines, first = self.parts[at]
        return name, lines[row - self.starts[at] + first]


def _load_file(loaded: _Loaded, name: str, options: ReadOptions, folder: str) -> None:
    readable = _as_utf8(name, options, folder)
    start = sources.head(readable)
    if not start.removeprefix(sources.UTF8_BOM).strip(b"\r\n"):
        raise problems.error(
            name, f"is empty ({os.path.getsize(name)} bytes)", "check that it was written in full"
        )
    first_lines = start.removeprefix(sources.UTF8_BOM).decode("utf-8", "replace")
    sample = first_lines.splitlines(keepends=True) if "\n" not in first_lines else [
        line + "\n" for line in first_lines.split("\n")
    ]  # fmt: skip
    if len(start) == 1 << 18 and len(sample) > 1:
        sample.pop()  # cut off in the middle
    delimiter = options.delimiter or dialects.sniff_delimiter(sample[:1000], options.quote)
    dialect = Dialect(delimiter, options.quote)
    names, loaded.header_line = _header(name, sample, dialect, options, loaded.notes)
    order = _match_names(loaded, names, name)
    try:
        structure = scan.scan(readable, dialect, names)
    except DataError as reason:
        raise reason if readable == name else _renamed(reason, readable, name) from None
    lines = structure.lines
    header = int(options.header)
    if structure.irregular or structure.ragged_total:
        readable, lines = _rewrite(loaded, name, readable, dialect, names, options, folder)
        dialect = Dialect(",")
    else:
        loaded.rows_in_file += lines.records - header
    inner = structure.records and structure.blank_total
    if inner and structure.blank_lines[0] < structure.lines[structure.records - 1]:
        shown = ", ".join(map(str, structure.blank_lines))
        more = ", ..." if structure.blank_total > len(structure.blank_lines) else ""
        count = problems.plural(
            structure.blank_total, "blank line is no row", "blank lines are no rows"
        )
        loaded.notes.append(f"{name}: {count} (line {shown}{more})")
    loaded.starts.append(loaded.rows)
    loaded.parts.append((name, lines, header))
    inserted = _insert(loaded, name, readable, dialect, order, options, structure.longest, folder)
    if inserted != lines.records - header and dialect != Dialect(",", '"'):
        loaded.rows_in_file -= lines.records - header
        readable, lines = _rewrite(loaded, name, readable, dialect, names, options, folder)
        loaded.parts[-1] = (name, lines, header)
        loaded.connection.execute(f"DELETE FROM raw WHERE rowid >= {loaded.rows}")
        inserted = _insert(
            loaded, name, readable, Dialect(","), order, options, structure.longest, folder
        )
    if inserted != lines.records - header:
        raise problems.error(
            name,
            f"two parsers disagree: {lines.records - header:,} rows against {inserted:,}",
            "check the quotes and line ends of the file",
        )
    loaded.rows += inserted


def _as_utf8(name: str, options: ReadOptions, folder: str) -> str:
    """The file itself, or a UTF-8 copy with line feeds where it is something else."""
    start = sources.head(name)
    cr_only = b"\n" not in start.replace(b"\n\0", b"\n").replace(b"\0\n", b"\n") and b"\r" in start
    encoding = (options.encoding or "utf-8").lower().replace("_", "-")
    try:
        known = "".encode(encoding)
    except LookupError:
        raise problems.error(
            name, f"encoding={options.encoding!r} is unknown", "pass a name such as 'latin-1'"
        ) from None
    if encoding in ("utf-8", "utf8", "utf-8-sig") and not cr_only:
        return name
    del known
    target = os.path.join(folder, f"utf8-{len(os.listdir(folder))}.csv")
    sources.transcode(name, encoding, target, cr_only=cr_only)
    return target


def _header(
    name: str, sample: Sequence[str], dialect: Dialect, options: ReadOptions, notes: list[str]
) -> tuple[list[str], int]:
    try:
        line, first = next(dialects.records(sample, dialect))
    except dialects.Damaged as damage:
        raise _damaged(name, damage, []) from None
    if not options.header:
        return [f"column_{i}" for i in range(1, len(first) + 1)], line
    if len(first) > 1 and all(_is_number(text) for text in first):
        notes.append(
            f"{name}:{line}: every column name is a number; pass header=False if this is a row"
        )
    return dialects.clean_names(first, name, line, notes), line


def _match_names(loaded: _Loaded, names: list[str], file: str) -> list[int]:
    """Position in this file of every column of the first file."""
    if not loaded.names:
        loaded.names = names
        defined = ", ".join(f"c{i} VARCHAR" for i in range(len(names)))
        loaded.connection.execute(f"CREATE TEMP TABLE raw ({defined})")
        return list(range(len(names)))
    found = []
    for name in loaded.names:
        if name not in names:
            text = f"this column of {loaded.parts[0][0]} is not here"
            found.append(
                Problem(file, loaded.header_line, name, text, problems.closest(name, names))
            )
    for name in names:
        if name not in loaded.names:
            text = f"this column is not in {loaded.parts[0][0]}"
            fix = "give all files the same columns"
            found.append(Problem(file, loaded.header_line, name, text, fix))
    if found:
        raise problems.error_for(found)
    return [names.index(name) for name in loaded.names]


def _check_names(loaded: _Loaded, target: str | None, required: Sequence[str]) -> None:
    if target is not None and target not in loaded.names:
        hint = problems.closest(target, loaded.names)
        raise problems.error(
            loaded.label, "the target is not a column of the file", hint,
            line=loaded.header_line, column=target,
        )  # fmt: skip
    found = []
    for name in required:
        if name not in loaded.names:
            text = "the model was trained with this column and the file does not have it"
            near = problems.closest(name, loaded.names)
            fix = near if near.startswith("did you mean") else "add the column; it may be empty"
            found.append(Problem(loaded.label, loaded.header_line, name, text, fix))
    if found:
        raise problems.error_for(found)


def _insert(
    loaded: _Loaded,
    name: str,
    readable: str,
    dialect: Dialect,
    order: Sequence[int],
    options: ReadOptions,
    longest: int,
    folder: str,
) -> int:
    """Parses one file into ``raw``; returns the number of rows."""
    import duckdb

    path = readable
    if _GLOB_CHARACTERS & set(path):
        path = os.path.join(folder, f"link-{len(os.listdir(folder))}.csv")
        os.symlink(os.path.abspath(readable), path)
    tokens = ", ".join(kinds.sql(token) for token in options.missing)
    select = ", ".join(
        f"CASE WHEN trim(f{i}) NOT IN ({tokens}) THEN f{i} END AS c{k}" for k, i in enumerate(order)
    )
    fields = ", ".join(f"'f{i}': 'VARCHAR'" for i in range(len(order)))
    rejects = f"rejects_{len(loaded.parts)}_{len(os.listdir(folder))}"
    size = ""
    if longest > 1_000_000:
        size = f", max_line_size={longest + 1024}, buffer_size={32 * (longest + 1024)}"
    statement = (
        f"INSERT INTO raw SELECT {select} FROM read_csv({kinds.sql(path)}, auto_detect=false, "
        f"header={str(options.header).lower()}, delim={kinds.sql(dialect.delimiter)}, "
        f"quote={kinds.sql(dialect.quote)}, escape={kinds.sql(dialect.quote)}, "
        f"columns={{{fields}}}, store_rejects=true, rejects_table='{rejects}', "
        f"rejects_scan='{rejects}_scan', rejects_limit=10, "
        f"compression='{'gzip' if sources.is_gzip(readable) else 'none'}'{size})"
    )
    try:
        loaded.connection.execute(statement)
        rows = loaded.connection.execute("SELECT count(*) FROM raw").fetchone()[0]
    except duckdb.Error as reason:
        first = str(reason).splitlines()[0]
        if dialect == Dialect(","):
            raise problems.error(
                name, f"cannot be parsed ({first})", "check its quotes and line ends"
            ) from None
        return -1
    return int(rows) - loaded.rows


def _rewrite(
    loaded: _Loaded,
    name: str,
    readable: str,
    dialect: Dialect,
    names: Sequence[str],
    options: ReadOptions,
    folder: str,
) -> tuple[str, scan.LineMap]:
    """Parses the file with the exact parser, handles ragged rows, writes it in plain form."""
    target = os.path.join(folder, f"plain-{len(os.listdir(folder))}.csv")
    kept: list[int] = []
    found: list[Problem] = []
    total = 0
    try:
        with open(target, "w", encoding="utf-8", newline="") as out:
            for number, (line, fields) in enumerate(
                dialects.records(sources.lines(readable), dialect)
            ):
                if number or not options.header:
                    loaded.rows_in_file += 1
                if len(fields) != len(names):
                    problem = _ragged(name, line, fields, names)
                    filled = options.on_bad_rows == "fill" and len(fields) < len(names)
                    if options.on_bad_rows == "error":
                        total += 1
                        if len(found) < problems.MAX_PROBLEMS:
                            found.append(problem)
                        continue
                    if len(loaded.reports) < REPORTED_ROWS:
                        loaded.reports.append(RowReport(name, line, problem.text, not filled))
                    loaded.reported += not filled
                    if not filled:
                        continue
                    fields = [*fields, *[""] * (len(names) - len(fields))]
                kept.append(line)
                dialects.write_record(fields, out)
    except dialects.Damaged as damage:
        raise _damaged(name, damage, names) from None
    if found:
        raise problems.error_for(found, total)
    lines = scan.LineMap()
    lines.add(np.asarray(kept, np.int64))
    return target, lines


def _ragged(name: str, line: int, fields: Sequence[str], names: Sequence[str]) -> Problem:
    count = f"the row has {problems.plural(len(fields), 'field', 'fields')}, expected {len(names)}"
    if len(fields) < len(names):
        return Problem(
            name, line, names[len(fields)],
            f"{count}: it ends at {problems.shown(fields[-1])}, before this column",
            "complete the row, or pass on_bad_rows='fill' or 'skip'",
        )  # fmt: skip
    return Problem(
        name, line, names[-1],
        f"{count}: {problems.shown(fields[len(names)])} stands after this last column",
        "put quotes around a value that contains the delimiter, or pass on_bad_rows='skip'",
    )  # fmt: skip


def _damaged(name: str, damage: dialects.Damaged, names: Sequence[str]) -> Exception:
    column = names[damage.field] if damage.field < len(names) else f"number {damage.field + 1}"
    what = "never closes" if damage.unterminated else "closes in the middle of the value"
    return problems.error(
        name,
        f"a quote opens here and {what}",
        "close it, double it (two quotes stand for one), or pass another quote=",
        line=damage.line,
        column=column,
    )


def _renamed(reason: Exception, was: str, name: str) -> Exception:
    return type(reason)(str(reason).replace(was, name))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def typed_table(
    connection: Any,
    names: Sequence[str],
    options: ReadOptions,
    where: kinds.Where,
    *,
    label: str,
    schema: Mapping[str, str] | None,
    target: str | None,
    task: str | None,
    files: Sequence[str],
    rows: int,
    rows_in_file: int,
    reports: list[RowReport],
    reported: int,
    notes: list[str],
    ready: Mapping[str, tuple[Column, Values]] | None = None,
    order: Sequence[str] | None = None,
) -> Table:
    """Infers and converts the columns of ``raw`` and joins those that are ``ready`` already."""

    def query(statement: str) -> list[tuple[Any, ...]]:
        return list(connection.execute(statement).fetchall())

    declared = kinds.parse_declared(schema, [*names, *(ready or {})], label)
    if target in names:
        index = list(names).index(str(target))
        if query(f"SELECT count(c{index}) FROM raw")[0][0] == 0:
            file, line = where(0)
            raise problems.error(
                file,
                f"the target is missing in all {rows:,} rows, from here to the end",
                "choose another target, or fill the column in",
                line=line,
                column=target,
            )
    found = kinds.infer(query, names, declared, options, where)
    if found.problems:
        raise problems.error_for(found.problems)
    cells = _Cells(query, found.columns, options, where)
    bad = cells.find()
    keep = np.ones(rows, bool)
    for row, problem in bad:
        dropped = options.on_bad_rows == "skip"
        if len(reports) < REPORTED_ROWS:
            text = f"column {problem.column!r}: {problem.text}"
            reports.append(RowReport(problem.file, problem.line or 0, text, dropped))
        if dropped:
            keep[row] = False
    values = {
        column.name: _values(connection, f"c{i}", column, options)
        for i, column in enumerate(found.columns)
    }
    by_name = {column.name: column for column in found.columns}
    for name, (column, column_values) in (ready or {}).items():
        by_name[name], values[name] = column, column_values
    final = list(order or names)
    kept = np.flatnonzero(keep)
    if len(kept) < rows:
        values = {name: part.take(kept) for name, part in values.items()}
    return Table(
        label=label,
        columns=[by_name[name] for name in final],
        values={name: values[name] for name in final},
        rows=kept,
        where=where,
        target=target,
        task=task,
        notes=[*notes, *found.notes],
        reports=reports,
        reported=reported + rows - len(kept),
        rows_in_file=rows_in_file,
        options=options,
        files=files,
    )


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
        if column.kind == "number" and _is_number(text):
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
