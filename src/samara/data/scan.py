"""Structure of a delimited file in one NumPy pass: records, their physical lines, ragged rows.

DuckDB then parses the fields. This pass is what makes its result trustworthy: it counts the
records independently, and it knows the physical line of each, which a parser that counts records
does not once a quoted field contains a line end.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from . import problems, sources
from .dialect import Dialect

LF, CR, NUL = 10, 13, 0


class LineMap:
    """Physical line on which each record starts."""

    def __init__(self) -> None:
        self._first: list[int] = []
        self._segments: list[int | NDArray[np.int64]] = []
        self.records = 0

    def add(self, lines: NDArray[np.int64]) -> None:
        """Appends the start lines of the next records."""
        if not len(lines):
            return
        self._first.append(self.records)
        consecutive = int(lines[-1]) - int(lines[0]) == len(lines) - 1
        self._segments.append(int(lines[0]) if consecutive else lines)
        self.records += len(lines)

    def __getitem__(self, record: int) -> int:
        at = bisect.bisect_right(self._first, record) - 1
        segment, inside = self._segments[at], record - self._first[at]
        return segment + inside if isinstance(segment, int) else int(segment[inside])


@dataclass
class Structure:
    """What the pass found. Records include the header."""

    lines: LineMap = field(default_factory=LineMap)
    ragged: list[tuple[int, int]] = field(default_factory=list)  # (line, fields), first ten
    ragged_total: int = 0
    blank_lines: list[int] = field(default_factory=list)  # first ten
    blank_total: int = 0
    longest: int = 0  # bytes in the longest record
    irregular: bool = False  # needs the exact parser: stray quotes, mixed line ends, ...

    @property
    def records(self) -> int:
        """Number of records, header included."""
        return self.lines.records


def scan(name: str, dialect: Dialect, names: Sequence[str]) -> Structure:
    """Reads the whole file once; ``names`` are the columns, as many as a record has fields.

    Raises:
        DataError: bytes that are not UTF-8, or NUL bytes; with line, column and byte offset.
    """
    pass_ = _Pass(name, dialect, names)
    rest = b""
    for number, piece in enumerate(sources.chunks(name)):
        if number == 0 and piece.startswith(sources.UTF8_BOM):
            piece = piece[len(sources.UTF8_BOM) :]
            pass_.offset = len(sources.UTF8_BOM)
        whole = rest + piece
        cut = whole.rfind(b"\n") + 1
        rest = whole[cut:]
        if cut:
            pass_.chunk(whole[:cut])
    if rest:
        pass_.chunk(rest + b"\n")
    return pass_.finish()


class _Pass:
    """State carried from one chunk to the next; every chunk ends in a line feed."""

    def __init__(self, name: str, dialect: Dialect, names: Sequence[str]) -> None:
        self.name, self.names, self.columns = name, names, len(names)
        self.delimiter, self.quote = ord(dialect.delimiter), ord(dialect.quote)
        self.dialect = dialect
        self.structure = Structure()
        self.offset = 0  # bytes before this chunk
        self.line = 1  # physical line on which this chunk starts
        self.open = False  # inside a quoted field
        self.open_line = 1  # line of the record that is still open
        self.open_fields = 0  # delimiters of that record so far
        self.open_bytes = 0
        self.ends = 0  # structural line ends, and those with a carriage return before
        self.crlf_ends = 0

    def chunk(self, text: bytes) -> None:
        self._check_bytes(text)
        data = np.frombuffer(text, np.uint8)
        feeds = np.flatnonzero(data == LF)
        delimiters = np.flatnonzero(data == self.delimiter)
        ends = feeds
        closed = True
        if self.open or bytes([self.quote]) in text:
            is_quote = data == self.quote
            counted = np.cumsum(is_quote, dtype=np.uint8) + np.uint8(self.open)
            inside = (counted & np.uint8(1)).astype(np.uint8, copy=False)
            self._check_quotes(data, np.flatnonzero(is_quote), inside)
            ends = feeds[inside[feeds] == 0]
            delimiters = delimiters[inside[delimiters] == 0]
            closed = not inside[-1]
        self._records(data, feeds, ends, delimiters)
        self.open = not closed
        self.offset += len(text)
        self.line += len(feeds)

    def finish(self) -> Structure:
        found = self.structure
        if self.open or 0 < self.crlf_ends < self.ends:
            found.irregular = True
        if found.blank_total and (self.columns == 1 or found.blank_lines[0] == 1):
            found.irregular = True
        return found

    def _records(
        self,
        data: NDArray[np.uint8],
        feeds: NDArray[np.int64],
        ends: NDArray[np.int64],
        delimiters: NDArray[np.int64],
    ) -> None:
        found = self.structure
        if not len(ends):
            self._carry(data, 0, delimiters)
            return
        starts = np.concatenate(([0], ends[:-1] + 1))
        if len(ends) == len(feeds):
            lines = np.arange(self.line, self.line + len(ends), dtype=np.int64)
        else:
            lines = self.line + np.searchsorted(feeds, starts).astype(np.int64)
        counts = None
        if self.open or not _regular(delimiters, starts, ends, self.columns - 1):
            counts = np.diff(np.searchsorted(delimiters, ends), prepend=0)
        lengths = ends - starts
        if self.open:
            lines[0] = self.open_line
            lengths[0] += self.open_bytes
            if counts is not None:
                counts[0] += self.open_fields
        after_cr = data[np.maximum(ends - 1, 0)] == CR
        self.ends += len(ends)
        self.crlf_ends += int(after_cr.sum())
        if int(np.count_nonzero(data == CR)) != int(after_cr.sum()):
            inside_cr = len(ends) != len(feeds)  # quoted line ends may carry their own
            found.irregular = found.irregular or not inside_cr
        blank = (lengths == 0) | ((lengths == 1) & after_cr)
        if blank.any():
            found.blank_total += int(blank.sum())
            found.blank_lines += lines[blank][: 10 - len(found.blank_lines)].tolist()
        kept = ~blank
        if counts is not None:
            bad = kept & (counts != self.columns - 1)
            found.ragged_total += int(bad.sum())
            room = problems.MAX_PROBLEMS - len(found.ragged)
            for at in np.flatnonzero(bad)[:room]:
                found.ragged.append((int(lines[at]), int(counts[at]) + 1))
        found.longest = max(found.longest, int(lengths.max()))
        found.lines.add(lines[kept])
        self._carry(data, int(ends[-1]) + 1, delimiters, feeds)

    def _carry(
        self,
        data: NDArray[np.uint8],
        start: int,
        delimiters: NDArray[np.int64],
        feeds: NDArray[np.int64] | None = None,
    ) -> None:
        """Remembers the record that starts in this chunk and ends in a later one."""
        tail = int(len(delimiters) - np.searchsorted(delimiters, start))
        if feeds is None and self.open:
            self.open_fields += tail
            self.open_bytes += len(data)
            return
        self.open_fields, self.open_bytes = tail, len(data) - start
        before = 0 if feeds is None else int(np.searchsorted(feeds, start))
        self.open_line = self.line + before

    def _check_quotes(
        self, data: NDArray[np.uint8], at: NDArray[np.int64], inside: NDArray[np.uint8]
    ) -> None:
        """Counting quotes is right only when each opens or closes a field or is doubled."""
        opening = inside[at] == 1
        before = data[np.maximum(at - 1, 0)]
        after = data[np.minimum(at + 1, len(data) - 1)]
        opens_well = (
            (at == 0) | (before == self.delimiter) | (before == LF) | (before == self.quote)
        )
        closes_well = (
            (after == self.delimiter) | (after == LF) | (after == CR) | (after == self.quote)
        )
        if not np.where(opening, opens_well, closes_well).all():
            self.structure.irregular = True

    def _check_bytes(self, text: bytes) -> None:
        at = text.find(0)
        if at >= 0:
            self._bad_byte(text, at, "is NUL", "remove the NUL bytes, or export the file again")
        if text.isascii():
            return
        try:
            text.decode("utf-8")
        except UnicodeDecodeError as reason:
            start = text.rfind(b"\n", 0, reason.start) + 1
            end = text.find(b"\n", reason.start)
            guess = _word(text[start:end], reason.start - start).decode("cp1252", "replace")
            self._bad_byte(
                text,
                reason.start,
                f"(0x{text[reason.start]:02x}) is not UTF-8; read as Latin-1 or cp1252 it is in "
                f"{problems.shown(guess)}",
                "samara.csv(..., encoding='latin-1') or encoding='cp1252' if that reads right, "
                "or save the file as UTF-8",
            )

    def _bad_byte(self, text: bytes, at: int, what: str, fix: str) -> None:
        start = text.rfind(b"\n", 0, at) + 1
        position = _position(text[start:at].decode("utf-8", "replace"), self.dialect)
        line = self.line + text.count(b"\n", 0, at)
        known = line > 1 and position <= self.columns
        raise problems.error(
            self.name,
            f"byte {self.offset + at} {what}",
            fix,
            line=line,
            column=self.names[position - 1] if known else f"number {position}",
        )


def _regular(
    delimiters: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64], per: int
) -> bool:
    """Whether every record holds exactly ``per`` delimiters."""
    if len(delimiters) != per * len(ends):
        return False
    if per == 0:
        return True
    by_record = delimiters.reshape(-1, per)
    return bool((by_record[:, 0] >= starts).all() and (by_record[:, -1] < ends).all())


def _position(before: str, dialect: Dialect) -> int:
    """Position (from 1) of the field that the text before a byte has reached."""
    outside: Iterable[str] = before.split(dialect.quote)[::2]
    return 1 + sum(part.count(dialect.delimiter) for part in outside)


def _word(line: bytes, at: int) -> bytes:
    """The run of letters around a byte, at most 40 bytes."""
    stops = b' ,;\t|"\r\n'
    start = end = at
    while start > max(0, at - 20) and line[start - 1] not in stops:
        start -= 1
    while end < min(len(line), at + 20) and line[end] not in stops:
        end += 1
    return line[start:end]
