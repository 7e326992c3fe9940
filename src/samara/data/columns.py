"""Kinds of columns, and how the kind of a text column is found out.

Everything here works on a DuckDB table ``raw`` with columns c0, c1, ... of type VARCHAR in which
missing tokens are already NULL, so that files and data frames take the same way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import problems
from .dialect import ReadOptions
from .problems import Problem

KINDS = ("number", "boolean", "category", "date", "text", "id", "ignore")
EXACT_INTEGERS = 2.0**53
MAX_LEVELS = 10_000
MAX_ID_LENGTH = 64
TRUE = ("true", "yes", "t", "y", "1", "1.0")
FALSE = ("false", "no", "f", "n", "0", "0.0")
BOOLEAN_PAIRS = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"})
ID_NAME = re.compile(r"(^|[_\s-])(id|ids|uuid|guid|index|key)$|^column_\d+$|[a-z]I[Dd]$", re.I)

ISO = "iso"
_NUMERIC_DATES = [
    f"{a}{sep}{b}{sep}{year}"
    for sep in "/-."
    for a, b in (("%d", "%m"), ("%m", "%d"))
    for year in ("%Y", "%y")
]
DATE_FORMATS = [
    *(f + time for f in _NUMERIC_DATES for time in ("", " %H:%M", " %H:%M:%S")),
    *("%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%Y.%m.%d"),
]
_LOOKS_LIKE_DATE = re.compile(
    r"^\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})"
    r"|\d{1,2}[- ][A-Za-z]{3,9}[- ]\d{2,4}|[A-Za-z]{3,9} \d{1,2}, \d{4})([T ].*)?\s*$"
)
_COMMA_NUMBER = re.compile(r"^\s*[-+]?\d{1,3}(,\d{3})+(\.\d+)?\s*$|^\s*[-+]?[\d.]*\d,\d+\s*$")
_NUMBER_WITH_UNIT = re.compile(r"^\s*[$€£]?\s*[-+]?\d[\d.,]*\s*([%$€£]|[a-zA-Z]{1,3})?\s*$")


@dataclass
class Column:
    """One column: its name, its kind, and what was found about it."""

    name: str
    kind: str
    format: str | None = None  # dates only: "iso" or a strptime format
    declared: bool = False
    missing: int = 0
    note: str = ""


@dataclass
class Inference:
    """Result of looking at all columns."""

    columns: list[Column]
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


Query = Callable[[str], list[tuple[Any, ...]]]
Where = Callable[[int], tuple[str, int]]


def parse_declared(
    schema: Mapping[str, str] | None, names: Sequence[str], file: str
) -> dict[str, tuple[str, str | None]]:
    """Checks ``schema=`` and splits ``"date:%d/%m/%Y"`` into kind and format.

    Raises:
        DataError: a column that is not in the file, or an unknown kind.
    """
    result: dict[str, tuple[str, str | None]] = {}
    for name, declared in (schema or {}).items():
        if name not in names:
            raise problems.error(
                file,
                "schema names a column that is not there",
                problems.closest(name, names),
                column=name,
            )
        kind, _, form = str(declared).partition(":")
        if kind not in KINDS or (form and kind != "date"):
            raise problems.error(
                file,
                f"schema declares the unknown kind {declared!r}",
                f"use one of {', '.join(KINDS)}, or 'date:%d/%m/%Y'",
                column=name,
            )
        result[name] = (kind, form or None)
    return result


def number_sql(column: str, options: ReadOptions) -> str:
    """SQL for the column as DOUBLE, NULL where the text is not a number."""
    text = column
    if options.decimal == "," or options.thousands:
        mark, group = options.decimal, options.thousands
        whole = r"\d*"
        if group:
            text = f"replace({text}, {sql(group)}, '')"
            whole = rf"(\d*|\d{{1,3}}({re.escape(group)}\d{{3}})+)"
        if mark == ",":
            text = f"replace({text}, ',', '.')"
        pattern = rf"\s*[-+]?{whole}({re.escape(mark)}\d*)?([eE][-+]?\d+)?\s*"
        fits = f"regexp_full_match({column}, {sql(pattern)})"
        return f"CASE WHEN {fits} THEN try_cast({text} AS DOUBLE) END"
    return f"CASE WHEN NOT contains({text}, '_') THEN try_cast({text} AS DOUBLE) END"


def boolean_sql(column: str) -> str:
    """SQL for the column as 1.0 or 0.0, NULL where the text is neither."""
    text = f"lower(trim({column}))"
    return (
        f"CASE WHEN {text} IN ({', '.join(map(sql, TRUE))}) THEN 1.0::DOUBLE "
        f"WHEN {text} IN ({', '.join(map(sql, FALSE))}) THEN 0.0::DOUBLE END"
    )


def date_sql(column: str, form: str) -> str:
    """SQL for the column as TIMESTAMP, NULL where the text is not a date of this format."""
    text = f"trim({column})"
    if form == ISO:
        cast = f"CASE WHEN {text} >= '0' AND {text} < ':' THEN try_cast({text} AS TIMESTAMP) END"
    else:
        cast = f"try_strptime({text}, {sql(form)})::TIMESTAMP"
    return f"CASE WHEN year({cast}) BETWEEN 1000 AND 9998 THEN {cast} END"


def sql(text: str) -> str:
    """SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def infer(
    query: Query,
    names: Sequence[str],
    declared: Mapping[str, tuple[str, str | None]],
    options: ReadOptions,
    where: Where,
) -> Inference:
    """Finds the kind of every column of ``raw``.

    A column is a number, or a date, when more than half of its values are; the others are then
    bad cells that the reader reports. Everything that would need guessing is a problem that asks
    for a declaration.
    """
    found = Inference([])
    stats = _number_stats(query, names, options)
    for index, name in enumerate(names):
        kind, form = declared.get(name, (None, None))
        present, numbers, padded, largest, rows = stats[index]
        column = Column(name, kind or "", form, kind is not None, rows - present)
        look = _Look(query, f"c{index}", name, options, where, present)
        if kind == "date" and form is None and present:
            _find_date(look, column, found)
            column.format = column.format or ISO
        elif kind is None and present == 0:
            column.kind = "ignore"
            file, line = where(0)
            found.problems.append(
                Problem(
                    file, line, name, f"all {rows:,} values are missing, from here to the end",
                    f"remove the column, or samara.csv(..., schema={{{name!r}: 'ignore'}})",
                )
            )  # fmt: skip
        elif kind is None and numbers * 2 <= present:
            _text_kind(look, column, found)
        elif kind is None and padded:
            _padded_kind(look, column, found)
        elif kind is None:
            _number_kind(look, column, numbers, largest, found)
        if column.kind == "date":
            column.format = column.format or ISO
        found.columns.append(column)
    return found


@dataclass
class _Look:
    """Queries about one column."""

    query: Query
    sql_name: str
    name: str
    options: ReadOptions
    where: Where
    present: int

    def first(self, condition: str) -> tuple[int, str]:
        """Row and text of the first value that fulfils a condition."""
        row = self.query(
            f"SELECT rowid, {self.sql_name} FROM raw WHERE {self.sql_name} IS NOT NULL "
            f"AND {condition} ORDER BY rowid LIMIT 1"
        )[0]
        return int(row[0]), str(row[1])

    def distinct(self) -> int:
        """Number of different values, blanks around them aside."""
        return int(self.query(f"SELECT count(DISTINCT trim({self.sql_name})) FROM raw")[0][0])

    def sample(self, limit: int = 200) -> list[str]:
        """The first values that are not missing."""
        rows = self.query(
            f"SELECT {self.sql_name} FROM raw WHERE {self.sql_name} IS NOT NULL LIMIT {limit}"
        )
        return [row[0] for row in rows]

    def count(self, condition: str) -> int:
        """Number of values that fulfil a condition."""
        return int(self.query(f"SELECT count(*) FROM raw WHERE {condition}")[0][0])


def _number_stats(
    query: Query, names: Sequence[str], options: ReadOptions
) -> list[tuple[int, int, int, float, int]]:
    """Per column: present, numbers, leading zeros, largest finite magnitude, rows."""
    result: list[tuple[int, int, int, float, int]] = []
    for start in range(0, len(names), 50):
        parts = []
        for index in range(start, min(start + 50, len(names))):
            c, number = f"c{index}", number_sql(f"c{index}", options)
            parts.append(
                f"count({c}), count({number}), "
                f"count(*) FILTER ({c} >= '00' AND {c} < '0:' AND {number} IS NOT NULL), "
                f"max(abs({number})) FILTER (isfinite({number}))"
            )
        row = query(f"SELECT count(*), {', '.join(parts)} FROM raw")[0]
        for at in range(1, len(row), 4):
            result.append((row[at], row[at + 1], row[at + 2], row[at + 3] or 0.0, row[0]))
    return result


def _number_kind(
    look: _Look, column: Column, numbers: int, largest: float, found: Inference
) -> None:
    column.kind = "number"
    c, name = look.sql_name, look.name
    if largest >= EXACT_INTEGERS:
        condition = (
            f"regexp_full_match({c}, '\\s*[-+]?\\d+\\s*') AND abs(try_cast({c} AS DOUBLE)) "
            f">= {EXACT_INTEGERS:.0f} AND isfinite(try_cast({c} AS DOUBLE)) AND length({c}) < 39"
        )
        if look.count(condition):
            row, value = look.first(condition)
            column.kind = _by_distinct(look)
            column.note = "integers beyond 2^53"
            found.notes.append(
                f"{_place(look.where(row))} column {name!r}: {value} is beyond 2^53, where floats "
                f"skip integers: the column is kept as {column.kind}; "
                f"schema={{{name!r}: 'number'}} rounds it"
            )
            return
    if ID_NAME.search(name) and numbers == look.present >= 3:
        integers = f"regexp_full_match({c}, '\\s*\\d+(\\.0)?\\s*')"
        if look.distinct() == look.present == look.count(integers):
            column.kind, column.note = "id", "every row another integer"


def _padded_kind(look: _Look, column: Column, found: Inference) -> None:
    """Numbers with leading zeros are codes: reading them as numbers would lose the zeros."""
    column.kind, column.note = _by_distinct(look), "leading zeros"
    number = number_sql(look.sql_name, look.options)
    row, value = look.first(
        f"{look.sql_name} >= '00' AND {look.sql_name} < '0:' AND {number} IS NOT NULL"
    )
    found.notes.append(
        f"{_place(look.where(row))} column {look.name!r}: {value!r} starts with zero: the column "
        f"is kept as {column.kind}; schema={{{look.name!r}: 'number'}} reads numbers"
    )


def _text_kind(look: _Look, column: Column, found: Inference) -> None:
    sample = look.sample()
    if _comma_numbers(look, sample, found):
        column.kind = "ignore"
        return
    if sum(bool(_LOOKS_LIKE_DATE.match(text)) for text in sample) * 2 > len(sample):
        _find_date(look, column, found)
        if column.kind:
            return
    levels = {text.strip().lower() for text in sample}
    for pair in BOOLEAN_PAIRS:
        whole_words = max(map(len, pair)) > 1
        if levels == pair or (whole_words and levels and levels < pair):
            listed = ", ".join(map(sql, sorted(pair)))
            if look.count(f"lower(trim({look.sql_name})) IN ({listed})") == look.present:
                column.kind = "boolean"
                return
    column.kind = _by_distinct(look)
    if column.kind != "category" and _mostly(_NUMBER_WITH_UNIT, sample):
        found.notes.append(
            f"{_place(look.where(0))} column {look.name!r}: values such as "
            f"{problems.shown(sample[0])} look like numbers with a unit; they are kept as "
            f"{column.kind} and not used"
        )


def _by_distinct(look: _Look) -> str:
    """category, id or text, by the number of different values."""
    distinct = look.distinct()
    present = look.present
    if present < 10 or (distinct <= max(20, present // 20) and distinct <= MAX_LEVELS):
        return "category"
    longest = look.query(f"SELECT max(length({look.sql_name})) FROM raw")[0][0]
    return "id" if distinct == present and longest <= MAX_ID_LENGTH else "text"


def _comma_numbers(look: _Look, sample: Sequence[str], found: Inference) -> bool:
    """Reports a column of numbers written with commas; True when it is one."""
    if look.options.decimal != "." or look.options.thousands or not _mostly(_COMMA_NUMBER, sample):
        return False
    value = next(text for text in sample if _COMMA_NUMBER.match(text))
    row, _ = look.first(f"{look.sql_name} = {sql(value)}")
    grouped = re.fullmatch(r"\s*[-+]?\d{1,3}(,\d{3})+(\.\d+)?\s*", value)
    what = "thousands separators" if grouped else "a decimal comma"
    fix = "samara.csv(..., thousands=',')" if grouped else "samara.csv(..., decimal=',')"
    if grouped and "." not in value:
        fix += " if the commas group thousands, or decimal=',' if they mark decimals"
    file, line = look.where(row)
    text = f"{value.strip()!r} is not a number; it looks like one with {what}"
    found.problems.append(Problem(file, line, look.name, text, fix))
    return True


def _find_date(look: _Look, column: Column, found: Inference) -> None:
    """Chooses the one date format that fits, or reports two that fit and disagree."""
    c = look.sql_name
    forms = [ISO, *DATE_FORMATS]
    sample = look.sample()
    values = ", ".join(f"({sql(text)})" for text in sample)
    counted = look.query(
        "SELECT " + ", ".join(f"count({date_sql('v', f)})" for f in forms)
        + f" FROM (VALUES {values}) AS sample(v)"
    )[0]  # fmt: skip
    likely = [f for f, count in zip(forms, counted, strict=True) if count]
    if not likely:
        return
    whole = look.query(f"SELECT {', '.join(f'count({date_sql(c, f)})' for f in likely)} FROM raw")[
        0
    ]
    best = max(whole)
    if best * 2 <= look.present and column.kind != "date":
        return
    fitting = [f for f, count in zip(likely, whole, strict=True) if count == best]
    column.kind, column.format = "date", fitting[0]
    for other in fitting[1:]:
        differ = f"{date_sql(c, fitting[0])} IS DISTINCT FROM {date_sql(c, other)}"
        if look.count(f"{c} IS NOT NULL AND {differ}"):
            row, value = look.first(differ)
            file, line = look.where(row)
            text = (
                f"{value!r} can be read as {fitting[0]} or as {other} "
                f"({best:,} of {look.present:,} values fit both)"
            )
            fix = (
                f"samara.csv(..., schema={{{look.name!r}: 'date:{fitting[0]}'}}) or 'date:{other}'"
            )
            found.problems.append(Problem(file, line, look.name, text, fix))
            return


def _mostly(pattern: re.Pattern[str], sample: Sequence[str]) -> bool:
    return sum(bool(pattern.match(text)) for text in sample) * 2 > len(sample)


def _place(place: tuple[str, int]) -> str:
    return f"{place[0]}:{place[1]}"
