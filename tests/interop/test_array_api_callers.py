"""SciPy and scikit-learn compute on tensors what they compute on NumPy arrays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.interop import array_api_callers as callers

SCRIPT = Path(callers.__file__)


@cache
def results(library: str) -> dict[str, Any]:
    """What a process of its own finds, in which SciPy is told at import to take other arrays."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), library],
        env=os.environ | {"SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check(library: str, name: str) -> list[str]:
    expected, received, kinds = results(library)[name]
    assert isinstance(kinds, list), kinds
    assert len(expected) == len(received)
    for want, got in zip(expected, received, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7)
    found: list[str] = kinds
    return found


@pytest.mark.parametrize("name", callers.scipy_cases())
def test_scipy(name: str) -> None:
    assert "Tensor" in check("scipy", name)


@pytest.mark.parametrize("name", callers.sklearn_cases())
def test_sklearn(name: str) -> None:
    assert set(check("sklearn", name)) <= {"Tensor", "float", "ndarray"}
