"""python -m benchmarks [--only GROUP] [--write docs/benchmarks.md]: the side-by-side table."""

from __future__ import annotations

import argparse
import datetime
import importlib
import os
import platform
from collections.abc import Iterable
from pathlib import Path

from benchmarks.measure import show, show_row

GROUPS = (
    "small_operations",
    "training_steps",
    "kernels",
    "convolution",
    "image_operations",
    "image_models",
    "language_models",
    "sweep",
    "sequence_models",
    "contention",
    "footprint",
)
THREADS = 2


def machine() -> str:
    """The processor, as the system names it."""
    name = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    return f"{name}, {len(os.sched_getaffinity(0))} cores, {platform.system()}"


def table(rows: Iterable) -> str:
    """The rows as Markdown, a section per group."""
    lines: list[str] = []
    group = None
    for row in rows:
        if row.group != group:
            group = row.group
            lines += [
                f"\n### {group}\n",
                "| workload | Samara | PyTorch | ratio | quartiles | mark | reached |",
                "|---|---|---|---|---|---|---|",
            ]
        own_slowdown = row.unit == "x"
        judged = row.samara if own_slowdown else row.ratio
        mark = "" if row.mark is None else f"<= {row.mark:g}" + (" x" if own_slowdown else "")
        reached = "" if row.mark is None else "yes" if judged <= row.mark else "**no**"
        spread = "" if row.low == row.high else f"{row.low:.2f} to {row.high:.2f}"
        lines.append(
            f"| {row.name}{f' ({row.note})' if row.note else ''} | {show(row.samara, row.unit)} | "
            f"{show(row.peer, row.unit)} | {row.ratio:.2f} | {spread} | {mark} | {reached} |"
        )
    return "\n".join(lines) + "\n"


def heading() -> str:
    """What was measured, where and how."""
    import torch

    import samara

    return (
        "# Benchmarks\n\n"
        "Written by `make bench`. Both libraries run in one process with "
        f"{THREADS} threads each, in turn, round by round; times are medians per call, the ratio "
        "is Samara / PyTorch (smaller is better), the spread is the quartiles over rounds. A mark "
        "is what the project set out to reach on two Zen 5 cores; rows that miss it say so.\n\n"
        f"- date: {datetime.date.today()}\n- machine: {machine()}\n"
        f"- Samara {samara.__version__} (kernels: {samara._core.chosen_isa()}), "
        f"PyTorch {torch.__version__} (eager), Python {platform.python_version()}\n"
    )


def main() -> None:
    """Measures, prints as it goes, and writes the page when asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=GROUPS, action="append", help="run only this group")
    parser.add_argument("--write", type=Path, help="also write the page to this file")
    options = parser.parse_args()
    import torch

    import samara

    torch.set_num_threads(THREADS)
    samara.set_thread_count(THREADS)
    rows = []
    for group in options.only or GROUPS:
        for row in importlib.import_module(f"benchmarks.{group}").rows():
            rows.append(row)
            print(show_row(row), flush=True)
    page = heading() + table(rows)
    print("\n" + page)
    if options.write:
        notes = Path(__file__).parent / "notes.md"
        page += "\n" + notes.read_text() if notes.exists() and not options.only else ""
        options.write.write_text(page)


if __name__ == "__main__":
    main()
