"""Names that the examples in docstrings use without importing them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import samara


@pytest.fixture(autouse=True)
def example_names(doctest_namespace: dict[str, Any]) -> None:
    """Makes `samara`, `nn` and `np` known to docstring examples; `round` is Python's."""
    doctest_namespace.update(samara=samara, nn=samara.nn, np=np, round=round)
