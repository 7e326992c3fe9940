"""`samara predict MODEL FILE`: a CSV of predictions, one line per row of the file."""

from __future__ import annotations

import csv
import os
import sys
import tempfile
from typing import Any, Protocol

from samara.errors import ArgumentError

__all__ = ["predict_file"]


def predict_file(model_path: str, file: str, output: str | None) -> None:
    """Write predictions to `output` (atomically) or to standard output; notes go to stderr."""
    from samara.train import load_model

    model = load_model(model_path)
    header, rows = predictions(model, file)
    for note in model.notes:
        print(f"note: {note}", file=sys.stderr)
    if output is None:
        _write(sys.stdout, header, rows)
        return
    folder = os.path.dirname(os.path.abspath(output))
    if not os.path.isdir(folder):
        raise ArgumentError(
            f"--output: the directory {folder!r} does not exist. Expected an existing one. "
            f"Fix: mkdir -p {folder}."
        )
    with tempfile.NamedTemporaryFile(
        "w", dir=folder, suffix=".tmp", newline="", encoding="utf-8", delete=False
    ) as file_out:
        _write(file_out, header, rows)
    os.chmod(file_out.name, 0o644)
    os.replace(file_out.name, output)
    print(f"{len(rows)} predictions: {output}")


def predictions(model: Any, file: str) -> tuple[list[str], list[list[str]]]:
    """Header and rows: the prediction, and for classes the probability of each."""
    name = f"{model.preprocessing.target_name}_predicted"
    if model.task == "regression":
        return [name], [[format(value, ".8g")] for value in model.predict(file).tolist()]
    names = [str(n) for n in model.preprocessing.class_names]
    chances = model.predict_probabilities(file)
    header = [name] + [f"p({n})" for n in names]
    rows = [
        [names[row.argmax()], *(format(value, ".6f") for value in row.tolist())] for row in chances
    ]
    return header, rows


class _Writable(Protocol):
    def write(self, text: str, /) -> object: ...


def _write(stream: _Writable, header: list[str], rows: list[list[str]]) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
