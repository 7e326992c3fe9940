"""The public conformance suite of the Python array API standard, where a copy of it is given.

    ARRAY_API_TESTS=/path/to/array-api-tests python -m pytest tests/array_api/test_conformance.py

The folder is a checkout with its submodule. ARRAY_API_TESTS_EXAMPLES sets the examples per test.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = os.environ.get("ARRAY_API_TESTS", "")


@pytest.mark.skipif(not FOLDER, reason="ARRAY_API_TESTS names no copy of the suite")
def test_the_suite_passes() -> None:
    assert (Path(FOLDER) / "array_api_tests").is_dir(), f"{FOLDER} holds no array_api_tests"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "array_api_tests", "-q", "-rs"),
            *("-p", "no:cacheprovider", "-W", "ignore"),
            f"--max-examples={os.environ.get('ARRAY_API_TESTS_EXAMPLES', '20')}",
        ],
        cwd=FOLDER,
        env=os.environ | {"ARRAY_API_TESTS_MODULE": "samara"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    missing = re.findall(r"^SKIPPED.*(?:not found|missing|does not have).*$", done.stdout, re.M)
    assert missing == []
