"""Each sickness is planted and must be found; a healthy table must stay healthy."""

import numpy as np
import pytest

from samara.data import as_table
from samara.data.doctor import examine, overlap

RNG = np.random.default_rng(0)
ROWS = 200


def healthy() -> dict[str, np.ndarray]:
    return {
        "x": RNG.normal(size=ROWS),
        "size": RNG.integers(0, 50, ROWS),
        "colour": RNG.choice(["red", "green", "blue"], ROWS).astype(object),
        "y": RNG.choice(["a", "b"], ROWS).astype(object),
    }


def findings(columns, **options):
    return {(f.kind, f.column): str(f) for f in examine(as_table(columns, target="y", **options))}


def test_healthy():
    assert findings(healthy()) == {}
    assert findings({**healthy(), "y": RNG.normal(size=ROWS)}) == {}


@pytest.mark.parametrize("value", [3.0, "red", True])
def test_constant(value):
    assert ("constant", "c") in findings({**healthy(), "c": [value] * ROWS})


def test_identifier():
    found = findings({**healthy(), "row": np.arange(ROWS) * 2 + 7})
    assert "schema={'row': 'id'}" in found["identifier", "row"]
    assert ("identifier", "n") not in findings({**healthy(), "n": RNG.permutation(ROWS)})


def test_duplicates():
    columns = {name: np.append(values, values[3]) for name, values in healthy().items()}
    text = findings(columns)["duplicates", None]
    assert "1 of 201 rows" in text and "row 200 is dict row 3" in text


def test_leak_into_a_class():
    columns = healthy()
    codes = (columns["y"] == "a").astype(float)
    assert ("leak", "copy") in findings({**columns, "copy": np.where(codes, "yes", "no")})
    assert ("leak", "score") in findings({**columns, "score": codes + 0.3 * RNG.random(ROWS)})


def test_leak_into_a_number():
    y = RNG.normal(size=ROWS)
    columns = {**healthy(), "y": y, "celsius": 1.8 * y + 32 + 1e-4 * RNG.normal(size=ROWS)}
    assert "1.0000" in findings(columns)["leak", "celsius"]


def test_imbalance():
    labels = np.array(["a"] * (ROWS - 2) + ["b"] * 2, dtype=object)
    assert "'b' in 2 of 200" in findings({**healthy(), "y": labels})["imbalance", "y"]


def test_overlap():
    columns = {name: np.concatenate([values, values]) for name, values in healthy().items()}
    prepared = as_table(columns, target="y").prepare()
    (found,) = overlap(prepared)
    codes = set(prepared.train.rows % ROWS)
    copies = sum(row % ROWS in codes for row in prepared.validation.rows)
    assert f"{copies} of {len(prepared.validation)} validation rows" in found.text
    assert overlap(as_table(healthy(), target="y").prepare()) == []
