"""What it costs to have the library: import time, memory, size on disk."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import numpy as np

import samara
from benchmarks.measure import Row

GROUP = "footprint"

IMPORT = "import time; t = time.perf_counter(); import {0}; print(time.perf_counter() - t)"
# VmHWM, since getrusage's peak of a fresh process starts at its parent's.
BACKWARD = (
    "import {0} as lib; x = lib.ones(4, requires_grad=True); (x * x).sum().backward(); "
    "status = open('/proc/self/status').read(); "
    "print(int(status.split('VmHWM:')[1].split()[0]) / 1024)"
)


def fresh(code: str, runs: int = 5) -> list[float]:
    """The number a fresh process prints, several times."""
    outputs = []
    # As after an ordinary installation: compiled bytecode is kept.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(runs + 1):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        outputs.append(float(done.stdout))
    return outputs[1:]  # the first one fills the file cache


def folder_size(path: Path) -> float:
    """MB of all files below a folder."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6


def installed_size(name: str) -> float:
    """MB of the files that a distribution installed."""
    files = distribution(name).files or []
    return (
        sum(
            Path(str(file.locate())).stat().st_size
            for file in files
            if Path(str(file.locate())).exists()
        )
        / 1e6
    )


def quantity(name: str, code: str, unit: str, mark: float) -> Row:
    """One row from a program run for both libraries in turn."""
    own, peer = fresh(code.format("samara")), fresh(code.format("torch"))
    ratios = sorted(a / b for a, b in zip(own, peer, strict=True))
    return Row(
        GROUP,
        name,
        statistics.median(own),
        statistics.median(peer),
        mark,
        ratios[1],
        ratios[-2],
        unit=unit,
    )


def rows() -> Iterator[Row]:
    """Import wall time, peak memory of import and a first backward, installed size."""
    yield quantity("import", IMPORT, "s", 0.25)
    yield quantity("peak memory, import and first backward", BACKWARD, "MB", 0.4)
    own = folder_size(Path(samara.__file__).parent)
    peer = installed_size("torch")
    yield Row(GROUP, "installed size", own, peer, 0.35, own / peer, own / peer, unit="MB")
    numpy_import = statistics.median(fresh(IMPORT.format("numpy")))
    own_import = statistics.median(fresh(IMPORT.format("samara")))
    yield Row(
        GROUP,
        "import beyond NumPy's own",
        own_import - numpy_import,
        0.1,
        1.0,
        (own_import - numpy_import) / 0.1,
        (own_import - numpy_import) / 0.1,
        unit="s",
        note=f"peer: the budget of 0.1 s; NumPy {np.__version__} itself {numpy_import:.3f} s",
    )
