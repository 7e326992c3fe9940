"""`samara.csv`: files through our own scan into DuckDB, out as typed NumPy columns."""

from __future__ import annotations

import bisect
import codecs
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from samara.errors import DataError

from . import columns as kinds
from . import dialect as dialects
from . import problems, scan, sources
from .dialect import MISSING_TOKENS, Dialect, ReadOptions
from .problems import Problem, RowReport
from .table import Table
from .typed import REPORTED_ROWS, Origin, is_number, typed_table

if TYPE_CHECKING:
    import duckdb

HEAD = 1 << 18
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
                raise _nothing_left(loaded)
            if only_declared:
                given = schema or {}
                schema = {name: given.get(name, "ignore") for name in loaded.names}
            origin = Origin(
                loaded.label,
                loaded.where,
                loaded.rows,
                loaded.rows_in_file,
                files=files,
                reports=loaded.reports,
                reported=loaded.reported,
                notes=loaded.notes,
            )
            return typed_table(
                loaded.connection,
                loaded.names,
                options,
                origin,
                schema=schema,
                target=target,
                task=task,
            )
        finally:
            loaded.connection.close()


def _nothing_left(loaded: _Loaded) -> DataError:
    if loaded.reports:
        text = f"all {loaded.rows_in_file:,} rows are left out; the first: {loaded.reports[0]}"
        return problems.error(loaded.label, text, "correct the rows")
    return problems.error(
        loaded.label,
        "has a header and no rows",
        "add at least one row",
        line=loaded.header_line,
    )


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


@dataclass
class _File:
    """One file on its way into ``raw``."""

    name: str
    readable: str  # the file itself, or a copy in UTF-8 or in plain form
    dialect: Dialect
    names: list[str]
    header: bool
    lines: scan.LineMap = field(default_factory=scan.LineMap)
    longest: int = 0
    plain: bool = False  # written again by the exact parser

    @property
    def rows(self) -> int:
        """Rows by our own count."""
        return self.lines.records - self.header


def _load_file(loaded: _Loaded, name: str, options: ReadOptions, folder: str) -> None:
    readable = _as_utf8(name, options, folder)
    sample = _sample(name, readable)
    delimiter = options.delimiter or dialects.sniff_delimiter(sample[:1000], options.quote)
    dialect = Dialect(delimiter, options.quote)
    names, loaded.header_line = _header(name, sample, dialect, options, loaded.notes)
    order = _match_names(loaded, names, name)
    try:
        structure = scan.scan(readable, dialect, names)
    except DataError as reason:
        raise reason if readable == name else _renamed(reason, readable, name) from None
    file = _File(name, readable, dialect, names, options.header, structure.lines)
    file.longest = structure.longest
    if structure.irregular or structure.ragged_total:
        _rewrite(loaded, file, options, folder)
    _note_blank_lines(loaded, name, structure)
    inserted = _insert(loaded, file, order, options, folder)
    if inserted != file.rows and not file.plain:
        _rewrite(loaded, file, options, folder)
        # A new table, not DELETE: row numbers of deleted rows are not given out again.
        loaded.connection.execute(
            f"CREATE TEMP TABLE kept AS SELECT * FROM raw WHERE rowid < {loaded.rows} "
            "ORDER BY rowid; DROP TABLE raw; ALTER TABLE kept RENAME TO raw"
        )
        inserted = _insert(loaded, file, order, options, folder)
    if inserted != file.rows:
        raise problems.error(
            name,
            f"two parsers disagree: {file.rows:,} rows against {inserted:,}",
            "check the quotes and line ends of the file",
        )
    if not file.plain:
        loaded.rows_in_file += file.rows
    loaded.starts.append(loaded.rows)
    loaded.parts.append((name, file.lines, int(file.header)))
    loaded.rows += inserted


def _sample(name: str, readable: str) -> list[str]:
    """The first lines of a file."""
    start = sources.head(readable, HEAD).removeprefix(sources.UTF8_BOM)
    if not start.strip(b"\r\n"):
        raise problems.error(
            name, f"is empty ({os.path.getsize(name)} bytes)", "check that it was written in full"
        )
    sample = [line + "\n" for line in start.decode("utf-8", "replace").split("\n")]
    if len(start) > HEAD - 4 and len(sample) > 1:
        sample.pop()  # cut off in the middle
    return sample


def _note_blank_lines(loaded: _Loaded, name: str, structure: scan.Structure) -> None:
    """Notes blank lines, unless they only end the file."""
    if not structure.records or not structure.blank_total:
        return
    if structure.blank_lines[0] > structure.lines[structure.records - 1]:
        return
    shown = ", ".join(map(str, structure.blank_lines))
    more = ", ..." if structure.blank_total > len(structure.blank_lines) else ""
    count = problems.plural(
        structure.blank_total, "blank line is no row", "blank lines are no rows"
    )
    loaded.notes.append(f"{name}: {count} (line {shown}{more})")


def _as_utf8(name: str, options: ReadOptions, folder: str) -> str:
    """The file itself, or a UTF-8 copy with line feeds where it is something else."""
    start = sources.head(name)
    cr_only = b"\n" not in start.replace(b"\n\0", b"\n").replace(b"\0\n", b"\n") and b"\r" in start
    encoding = (options.encoding or "utf-8").lower().replace("_", "-")
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise problems.error(
            name, f"encoding={options.encoding!r} is unknown", "pass a name such as 'latin-1'"
        ) from None
    if encoding in ("utf-8", "utf8", "utf-8-sig") and not cr_only:
        return name
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
    if len(first) > 1 and all(is_number(text) for text in first):
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
    loaded: _Loaded, file: _File, order: Sequence[int], options: ReadOptions, folder: str
) -> int:
    """Parses one file into ``raw``; returns the number of rows, -1 when DuckDB gives up."""
    import duckdb

    readable, dialect = file.readable, file.dialect
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
    if file.longest > 1_000_000:
        longest = 2 * file.longest + 1024  # quotes may be added
        size = f", max_line_size={longest}, buffer_size={32 * longest}"
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
        if file.plain:
            raise problems.error(
                file.name, f"cannot be parsed ({first})", "check its quotes and line ends"
            ) from None
        return -1
    return int(rows) - loaded.rows


def _rewrite(loaded: _Loaded, file: _File, options: ReadOptions, folder: str) -> None:
    """Parses the file with the exact parser, handles ragged rows, writes it in plain form."""
    name, names = file.name, file.names
    target = os.path.join(folder, f"plain-{len(os.listdir(folder))}.csv")
    kept: list[int] = []
    found: list[Problem] = []
    total = 0
    try:
        with open(target, "w", encoding="utf-8", newline="") as out:
            for number, (line, fields) in enumerate(
                dialects.records(sources.lines(file.readable), file.dialect)
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
    file.readable, file.dialect, file.plain = target, Dialect(","), True
    file.lines = scan.LineMap()
    file.lines.add(np.asarray(kept, np.int64))


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
