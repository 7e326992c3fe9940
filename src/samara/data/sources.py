"""Where the bytes come from: paths, globs, gzip, and encodings other than UTF-8."""

from __future__ import annotations

import codecs
import glob
import gzip
import hashlib
import os
import stat
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from . import problems

CHUNK = 1 << 23
UTF8_BOM = codecs.BOM_UTF8
GZIP_MAGIC = b"\x1f\x8b"

PathLike = str | os.PathLike[str]


def resolve(path: PathLike | Sequence[PathLike]) -> list[str]:
    """Existing files behind a path, a glob pattern or a sequence of either, in sorted order.

    Raises:
        DataError: nothing matches, or what matches is a directory or not a regular file.
    """
    if not isinstance(path, str | os.PathLike):
        if not path:
            raise problems.error("csv", "received an empty list of files", "pass at least one path")
        return [file for part in path for file in resolve(part)]
    name = os.fspath(path)
    if not os.path.lexists(name) and glob.has_magic(name):
        files = sorted(glob.glob(name, recursive=True))
        if not files:
            raise problems.error(name, "no file matches this pattern", _nearby(name))
        return [file for match in files for file in resolve(Path(match))]
    try:
        mode = os.stat(name).st_mode
    except FileNotFoundError:
        raise problems.error(name, "no such file", _nearby(name)) from None
    except (OSError, ValueError) as reason:
        raise _unreadable(name, reason) from None
    if stat.S_ISDIR(mode):
        raise problems.error(
            name,
            "is a directory, not a CSV file",
            f"name the files in it with a pattern, as in {os.path.join(name, '*.csv')!r}",
        )
    if not stat.S_ISREG(mode):
        raise problems.error(
            name, "is not a regular file, and it has to be read twice", "save it to a file first"
        )
    return [name]


def chunks(name: str) -> Iterator[bytes]:
    """The file's bytes, decompressed, in pieces of at most 8 MiB."""
    try:
        with _open(name) as stream:
            while piece := stream.read(CHUNK):
                yield piece
    except (EOFError, gzip.BadGzipFile, zlib.error) as reason:
        raise problems.error(
            name,
            f"the gzip data are damaged or cut off ({reason})",
            "copy or download the file again",
        ) from None
    except OSError as reason:
        raise _unreadable(name, reason) from None


def head(name: str, size: int = 1 << 18) -> bytes:
    """The first ``size`` bytes, decompressed."""
    start = b""
    for piece in chunks(name):
        start += piece[: size - len(start)]
        if len(start) >= size:
            break
    return start


def lines(name: str) -> Iterator[str]:
    """Physical lines of a UTF-8 file with their line ends, split at line feeds only."""
    rest = b""
    first = True
    for piece in chunks(name):
        if first and piece.startswith(UTF8_BOM):
            piece = piece[len(UTF8_BOM) :]
        first = False
        rest += piece
        *whole, rest = rest.split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace") + "\n"
    if rest:
        yield rest.decode("utf-8", "replace")


def is_gzip(name: str) -> bool:
    """Whether the file is gzip by its content; its name does not matter."""
    try:
        with open(name, "rb") as stream:
            return stream.read(2) == GZIP_MAGIC
    except OSError as reason:
        raise _unreadable(name, reason) from None


def fingerprint(names: Sequence[str]) -> str:
    """sha256 over the bytes of the files, one after the other."""
    digest = hashlib.sha256()
    for name in names:
        try:
            with open(name, "rb") as stream:
                while piece := stream.read(CHUNK):
                    digest.update(piece)
        except OSError as reason:
            raise _unreadable(name, reason) from None
    return digest.hexdigest()


def transcode(name: str, encoding: str, target: str, *, cr_only: bool) -> None:
    """Writes the file as UTF-8 with line feeds; line numbers stay what they were."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line, offset = 1, 0
    with open(target, "wb") as out:
        for piece in [*chunks(name), b""]:
            try:
                text = decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as reason:
                line += piece[: reason.start].count(b"\n")
                raise problems.error(
                    name,
                    f"byte {offset + reason.start} is not {encoding} ({reason.reason})",
                    "declare the encoding the file was saved in, or save it as UTF-8",
                    line=line,
                ) from None
            line += text.count("\n")
            if offset == 0:
                text = text.removeprefix("\ufeff")
            offset += len(piece)
            out.write((text.replace("\r", "\n") if cr_only else text).encode("utf-8"))


def check_encoding(name: str, start: bytes) -> None:
    """Raises when the first bytes are UTF-16 or UTF-32, with or without a byte order mark."""
    marks = {
        codecs.BOM_UTF32_LE: "utf-32",
        codecs.BOM_UTF32_BE: "utf-32",
        codecs.BOM_UTF16_LE: "utf-16",
        codecs.BOM_UTF16_BE: "utf-16",
    }
    for mark, encoding in marks.items():
        if start.startswith(mark):
            raise problems.error(
                name,
                f"byte 0 begins a {encoding.upper()} byte order mark ({mark.hex(' ')}); "
                "expected UTF-8",
                f"samara.csv(..., encoding={encoding!r}), or save the file as UTF-8",
                line=1,
            )
    sample = start[:4096]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if len(sample) >= 4 and max(even, odd) > len(sample) // 5 and min(even, odd) == 0:
        encoding = "utf-16-le" if odd else "utf-16-be"
        raise problems.error(
            name,
            f"byte {sample.index(0)} is NUL and every second byte is: this is UTF-16 text without "
            "a byte order mark; expected UTF-8",
            f"samara.csv(..., encoding={encoding!r}), or save the file as UTF-8",
            line=1,
        )


def _open(name: str) -> BinaryIO:
    if is_gzip(name):
        return cast(BinaryIO, gzip.open(name, "rb"))
    return open(name, "rb")


def _unreadable(name: str, reason: Exception) -> Exception:
    text = getattr(reason, "strerror", None) or str(reason)
    return problems.error(
        name, f"cannot be read ({text})", "check the path, its permissions and the disk"
    )


def _nearby(name: str) -> str:
    folder = os.path.dirname(name) or "."
    if not os.path.isdir(folder):
        return f"check the path; the folder {folder!r} does not exist"
    try:
        names = sorted(n for n in os.listdir(folder) if not n.startswith("."))
    except OSError:
        names = []
    if not names:
        return "check the path"
    close = problems.closest(os.path.basename(name), names)
    return close if close.startswith("did you mean") else f"check the path; looked in {folder!r}"
