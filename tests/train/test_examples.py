"""The examples run, stay short, and say what their names promise."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def output_of(name):
    result = subprocess.run(
        [sys.executable, str(EXAMPLES / name)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_every_example_is_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 150


def test_the_line_is_found_in_eight_lines():
    lines = (EXAMPLES / "line.py").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line.strip()]) <= 8
    slope, intercept = re.search(r"y = (\S+) x \+ (\S+)", output_of("line.py")).groups()
    assert abs(float(slope) - 3) < 0.01
    assert abs(float(intercept) - 2) < 0.01


def test_fit_and_the_explicit_loop_agree():
    out = output_of("explicit_loop.py")
    assert out.count("equal bit for bit") == 4
    assert "DIFFERENT" not in out


def test_a_csv_becomes_a_model_that_predicts():
    assert re.search(r"\d+ predictions of progression", output_of("csv_to_model.py"))
