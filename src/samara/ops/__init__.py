"""Operations, one file per family; the functions of the namespace come from their records."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from samara._core import Tensor
from samara.ops.record import METHODS, PLAIN, RECORDS, Record

__all__ = ["RECORDS", "Record", "functions"]

for _path in sorted(Path(__file__).parent.glob("*.py")):
    if _path.stem not in ("__init__", "record"):
        importlib.import_module(f"samara.ops.{_path.stem}")


def functions(namespace: str = "") -> dict[str, Callable[..., Any]]:
    """Every public function of a namespace by name: records, their aliases and in-place forms."""
    found: dict[str, Callable[..., Any]] = {}
    for record in RECORDS.values():
        for full in (record.name, *record.aliases):
            place, _, name = full.rpartition(".")
            if place != namespace:
                continue
            found[name] = record.function
            if record.in_place is not None:
                found[f"{name}_"] = record.in_place
    return found if namespace else found | PLAIN


def _install_methods() -> None:
    for record in RECORDS.values():
        # Methods follow PyTorch where a name means two things.
        method = record.dim_form or record.function
        for name in record.methods:
            setattr(Tensor, name, method)
            if record.in_place is not None:
                setattr(Tensor, f"{name}_", record.in_place)
    for name, method in METHODS.items():
        setattr(Tensor, name, method)


_install_methods()
