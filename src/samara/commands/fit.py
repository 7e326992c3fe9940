"""`samara fit FILE --target COLUMN`."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from samara.errors import ArgumentError, SamaraError

__all__ = ["fit_file", "free_directory"]


def fit_file(
    file: str,
    target: str,
    *,
    output: str | None,
    reading: Mapping[str, Any],
    hidden: str,
    quiet: bool,
    **options: Any,
) -> None:
    """Read, train, save, and say where everything lies."""
    from samara.data import csv
    from samara.train import fit_table
    from samara.train.files import check_output

    widths = parse_widths(hidden)
    if output is not None:
        check_output(output)
    table = csv(file, target=target, **reading)
    folder = output if output is not None else free_directory(file)
    model = fit_table(table, hidden=widths, verbose=0 if quiet else 1, **options)
    saved = os.path.relpath(model.save(folder))
    picture = None if quiet else _plot(model.history, saved)
    print(f"model: {os.path.join(saved, 'model.safetensors')}")
    print(f"run:   {saved}" + (f" (curves in {os.path.basename(picture)})" if picture else ""))
    if not quiet:
        print(f"next:  samara predict {shlex.quote(saved)} NEW.csv")


def _plot(history: Any, folder: str) -> str | None:
    """The loss curves beside the model, where matplotlib is installed."""
    # A picture is a courtesy: without matplotlib the run is complete all the same.
    with contextlib.suppress(SamaraError):
        return str(history.plot(os.path.join(folder, "loss.svg")))
    return None


def parse_widths(text: str) -> list[int]:
    """Hidden layer widths from `64,64`; an empty text means a linear model.

    >>> parse_widths("128, 32")
    [128, 32]
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ArgumentError(
            f"--hidden: {text!r} is no list of widths. Expected whole numbers above 0, separated "
            "by commas. Fix: --hidden 64,64."
        )
    return [int(part) for part in parts]


def parse_kinds(columns: Sequence[str]) -> dict[str, str]:
    """Column kinds from `NAME=KIND` options.

    >>> parse_kinds(["zip=category"])
    {'zip': 'category'}
    """
    kinds = {}
    for text in columns:
        name, equals, kind = text.rpartition("=")
        if not equals or not name or not kind:
            raise ArgumentError(
                f"--column: {text!r} is not NAME=KIND. Expected a column and its kind. "
                "Fix: --column zip=category."
            )
        kinds[name] = kind
    return kinds


def free_directory(file: str, root: str = "runs") -> str:
    """The first unused `runs/NAME-N` for a file's name."""
    stem = os.path.basename(file).split(".")[0]
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_") or "table"
    number = 1
    while os.path.lexists(os.path.join(root, f"{stem}-{number}")):
        number += 1
    return os.path.join(root, f"{stem}-{number}")
