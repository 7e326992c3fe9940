"""Problems found in data: one sentence each, naming file, physical line, column and value."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from samara.errors import DataError

MAX_PROBLEMS = 10


@dataclass(frozen=True)
class Problem:
    """One thing wrong at one place, and what to do about it."""

    file: str
    line: int | None
    column: str | None
    text: str
    fix: str = ""

    @property
    def place(self) -> str:
        """``file:line column 'name'`` with the parts that are known."""
        place = self.file
        if self.line is not None:  # rows of a data frame are no lines of a file
            place += f" {self.line}" if place.endswith(" row") else f":{self.line}"
        return place if self.column is None else f"{place} column {self.column!r}"

    def __str__(self) -> str:
        return f"{self.place}: {self.text}."


@dataclass(frozen=True)
class RowReport:
    """A row that is in the file and not in the table, or that was changed on the way in."""

    file: str
    line: int
    reason: str
    dropped: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {'left out' if self.dropped else 'filled'}: {self.reason}"


def error(
    file: str, text: str, fix: str, *, line: int | None = None, column: str | None = None
) -> DataError:
    """The error for one problem."""
    return error_for([Problem(file, line, column, text, fix)])


def error_for(problems: Sequence[Problem], total: int | None = None) -> DataError:
    """One error that lists up to ten problems; ``total`` counts those that are not listed too."""
    shown = list(problems[:MAX_PROBLEMS])
    total = max(len(problems), total or 0)
    if total == 1:
        first = shown[0]
        return DataError(f"{first} {_fix(first.fix)}".rstrip())
    lines = [f"{shown[0].file}: {total:,} problems"]
    lines[0] += ":" if total == len(shown) else f", the first {len(shown)}:"
    lines += [f"  {problem}" for problem in shown]
    lines += [_fix(fix) for fix in dict.fromkeys(p.fix for p in shown if p.fix)]
    return DataError("\n".join(lines))


def shown(value: object, limit: int = 40) -> str:
    """``repr`` of a value, cut to a length that fits in a message."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 4]}...{text[-1]}"


def closest(name: str, names: Iterable[str]) -> str:
    """A sentence offering the closest of ``names``, or listing some of them."""
    names = list(names)
    lowered = {n.lower(): n for n in reversed(names)}
    match = difflib.get_close_matches(name.strip().lower(), list(lowered), n=1, cutoff=0.6)
    if match:
        return f"did you mean {lowered[match[0]]!r}?"
    listed = ", ".join(repr(n) for n in names[:10])
    return f"the columns are {listed}" + (", ..." if len(names) > 10 else "")


def plural(count: int, one: str, many: str) -> str:
    """``1 row``, ``2 rows``."""
    return f"{count:,} {one if count == 1 else many}"


def _fix(fix: str) -> str:
    return f"Fix: {fix}{'' if fix.endswith('?') else '.'}" if fix else ""
