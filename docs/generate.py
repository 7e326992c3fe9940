"""Writes the pages of docs/ that follow from the source: operations.md.

python docs/generate.py          writes them
python docs/generate.py --check  exits with 1 when one is stale
"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

from samara.dtypes import ALL, BOOL, COMPLEX, FLOAT, INTEGER
from samara.ops.record import RECORDS, Record

HERE = Path(__file__).parent

GROUPS = (
    ("all", ALL),
    ("bool", BOOL),
    ("integer", INTEGER),
    ("float", FLOAT),
    ("complex", COMPLEX),
)


def dtypes_text(record: Record) -> str:
    """The dtypes as kinds where whole kinds are accepted."""
    left = set(record.dtypes)
    if left == set(ALL):
        return "all"
    parts = []
    for name, group in GROUPS[1:]:
        if left.issuperset(group):
            parts.append(name)
            left -= set(group)
    parts += sorted(dtype.name for dtype in left)
    return ", ".join(parts)


def family(record: Record) -> str:
    """The file in src/samara/ops that holds the record."""
    return record.family


def order_text(record: Record) -> str:
    """How often the operation can be differentiated."""
    if not record.differentiable:
        return "none"
    return "any"


def operations_page() -> str:
    """One table per family."""
    lines = [
        "# Operations",
        "",
        "Written by `make docs` from the records in `src/samara/ops`; a test fails if it is stale.",
        "Devices: every operation runs on the CPU. Error: bound in units of the last place of the",
        "result's dtype against a float64 reference; where it says `sum`, relative to the sum of",
        "magnitudes. Gradient: the order up to which derivatives exist.",
    ]
    records = sorted(RECORDS.values(), key=lambda record: (family(record), record.name))
    for name, members in groupby(records, key=family):
        lines += [
            "",
            f"## {name}",
            "",
            "| operation | also | dtypes | gradient | error (ULP) | ONNX | kernel |",
            "|---|---|---|---|---|---|---|",
        ]
        for record in members:
            error = f"{record.ulp:g}" + (" sum" if record.condition == "sum" else "")
            kernel = "composite" if record.native is None else "native"
            signature = record.signature.replace("|", "\\|")
            lines.append(
                f"| `{signature}` | {', '.join(record.aliases)} | {dtypes_text(record)} | "
                f"{order_text(record)} | {error} | {record.onnx or ''} | {kernel} |"
            )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Writes or checks the pages."""
    wanted = {HERE / "operations.md": operations_page()}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.name} is stale. Fix: run `make docs`.")
        return 1 if stale else 0
    for path in stale:
        path.write_text(wanted[path])
    return 0


if __name__ == "__main__":
    sys.exit(main())
