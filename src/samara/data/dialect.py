"""How a delimited file is written: delimiter, quote, header, line ends; and its record parser."""

from __future__ import annotations

import csv as _csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from samara.errors import DataError

from . import problems

DELIMITERS = (",", ";", "\t", "|")
MISSING_TOKENS = (
    *("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "null", "NULL", "None", "?", "-"),
)
BAD_ROWS = ("error", "skip", "fill")


@dataclass(frozen=True)
class ReadOptions:
    """What the caller declared about a file; None means: find out."""

    header: bool = True
    delimiter: str | None = None
    quote: str = '"'
    encoding: str | None = None
    decimal: str = "."
    thousands: str | None = None
    missing: tuple[str, ...] = MISSING_TOKENS
    on_bad_rows: str = "error"

    def __post_init__(self) -> None:
        object.__setattr__(self, "missing", tuple(dict.fromkeys(("", *self.missing))))
        if self.on_bad_rows not in BAD_ROWS:
            raise _bad_option("on_bad_rows", self.on_bad_rows, "'error', 'skip' or 'fill'")
        if self.decimal not in (".", ","):
            raise _bad_option("decimal", self.decimal, "'.' or ','")
        if self.thousands is not None and (
            self.thousands not in (",", ".", "'", " ", "_") or self.thousands == self.decimal
        ):
            raise _bad_option(
                "thousands", self.thousands, "',', '.', \"'\", ' ' or '_', and not the decimal mark"
            )
        for option in ("delimiter", "quote"):
            value = getattr(self, option)
            if value is not None and (len(value) != 1 or not value.isascii() or value in "\r\n\0"):
                raise _bad_option(option, value, "one ASCII character")
        if self.delimiter == self.quote:
            raise _bad_option("delimiter", self.delimiter, "a character other than the quote")

    def to_state(self) -> dict[str, Any]:
        """JSON-ready dictionary."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {
            "missing": list(self.missing)
        }

    @staticmethod
    def from_state(state: Mapping[str, Any]) -> ReadOptions:
        """Inverse of `to_state`."""
        return ReadOptions(**{**state, "missing": tuple(state["missing"])})


@dataclass(frozen=True)
class Dialect:
    """How one file is written."""

    delimiter: str
    quote: str = '"'


class Damaged(Exception):
    """A quote that never closes, or text after a closing quote."""

    def __init__(self, line: int, field: int, unterminated: bool) -> None:
        super().__init__(line, field, unterminated)
        self.line, self.field, self.unterminated = line, field, unterminated


def records(lines: Iterable[str], dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Exact record parser: yields (first physical line, fields); blank lines are no records.

    A field is quoted when a quote is its first character (blanks before it are allowed); a quote
    inside a bare field is an ordinary character. Quoted fields keep delimiters and line ends, and
    a doubled quote stands for one (RFC 4180).

    Raises:
        Damaged: a quote does not close, or a closing quote is followed by text.

    >>> list(records(["a,b\\n", '1,"x\\n', 'y"\\n'], Dialect(",")))
    [(1, ['a', 'b']), (2, ['1', 'x\\ny'])]
    """
    source = enumerate(lines, start=1)
    for number, line in source:
        text = _without_end(line)
        if not text:
            continue
        if dialect.quote not in text:
            yield number, text.split(dialect.delimiter)
        else:
            yield number, _quoted_record(line, number, source, dialect)


def _quoted_record(
    line: str, number: int, source: Iterator[tuple[int, str]], dialect: Dialect
) -> list[str]:
    delimiter, quote = dialect.delimiter, dialect.quote
    found: list[str] = []
    at = 0
    while True:
        start = at
        while start < len(line) and line[start] == " ":
            start += 1
        if start == len(line) or line[start] != quote:
            end = line.find(delimiter, at)
            if end < 0:
                found.append(_without_end(line[at:]))
                return found
            found.append(line[at:end])
            at = end + 1
            continue
        pieces: list[str] = []
        opened, at = number, start + 1
        while True:
            end = line.find(quote, at)
            if end < 0:
                pieces.append(line[at:])
                try:
                    number, line = next(source)
                except StopIteration:
                    raise Damaged(opened, len(found), True) from None
                at = 0
            elif line[end + 1 : end + 2] == quote:
                pieces.append(line[at : end + 1])
                at = end + 2
            else:
                pieces.append(line[at:end])
                at = end + 1
                break
        found.append("".join(pieces))
        while line[at : at + 1] == " ":
            at += 1
        if not _without_end(line[at:]):
            return found
        if line[at] != delimiter:
            raise Damaged(opened, len(found) - 1, False)
        at += 1


def sniff_delimiter(lines: Sequence[str], quote: str = '"') -> str:
    """The delimiter under which the most records have as many fields as the first one.

    >>> sniff_delimiter(["a;b\\n", "1,5;2\\n"])
    ';'
    """
    best, best_score = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        counts = []
        try:
            for _, fields_ in records(lines, Dialect(delimiter, quote)):
                counts.append(len(fields_))
        except Damaged:
            pass
        if not counts or counts[0] < 2:
            continue
        agreeing = sum(count == counts[0] for count in counts) / len(counts)
        if (agreeing, counts[0]) > best_score:
            best, best_score = delimiter, (agreeing, counts[0])
    return best


def clean_names(names: Sequence[str], file: str, line: int, notes: list[str]) -> list[str]:
    """Column names without padding; unnamed columns become ``column_<position>``.

    Raises:
        DataError: two columns have the same name.
    """
    stripped = [name.strip().strip("\ufeff") for name in names]
    padded = [name for name, bare in zip(names, stripped, strict=True) if bare and name != bare]
    if padded:
        listed = ", ".join(problems.shown(name) for name in padded[:5])
        notes.append(f"{file}:{line}: blanks around column names were stripped: {listed}")
    result = []
    for position, name in enumerate(stripped, start=1):
        if not name:
            notes.append(
                f"{file}:{line}: column {position} has no name: called 'column_{position}'"
            )
        result.append(name or f"column_{position}")
    found = []
    for name, count in Counter(result).items():
        if count > 1:
            places = [str(i) for i, n in enumerate(result, start=1) if n == name]
            text = f"the name stands at positions {' and '.join(places)}"
            if any(stripped[int(p) - 1] != names[int(p) - 1] for p in places):
                text += " once blanks around it are stripped"
            found.append(problems.Problem(file, line, name, text, "give every column its own name"))
    if found:
        raise problems.error_for(found)
    return result


def write_record(fields_: Sequence[str], out: Any) -> None:
    """Writes one record in the plainest form: all fields quoted, one line feed."""
    _csv.writer(out, quoting=_csv.QUOTE_ALL, lineterminator="\n").writerow(fields_)


def _without_end(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")


def _bad_option(option: str, value: object, expected: str) -> DataError:
    return problems.error(
        "csv", f"{option}={value!r} is not allowed", f"pass {option} as {expected}"
    )
