"""The example tables are what their script writes, and go all the way to arrays."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from samara import data

FOLDER = Path(__file__).parents[2] / "examples" / "data"


def test_script_writes_the_same_bytes(tmp_path):
    spec = importlib.util.spec_from_file_location("make_tables", FOLDER / "make_tables.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main(tmp_path)
    names = sorted(path.name for path in FOLDER.glob("*.csv"))
    assert names == sorted(path.name for path in tmp_path.iterdir())
    for name in names:
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes(), name


def test_diabetes_visits():
    prepared = data.csv(FOLDER / "diabetes_visits.csv", target="progression").prepare()
    assert prepared.task == "regression" and prepared.accounting.complete
    part = prepared.transform(FOLDER / "diabetes_visits_new.csv")
    assert part.target is None and len(part) == 12
    assert any("'booking'" in note for note in part.notes)
    clinic = prepared.preprocessing.categorical_names.index("clinic")
    assert part.categories[3, clinic] == 0  # a clinic that no training row has
    age = prepared.preprocessing.feature_names.index("age_na")
    assert part.features[:, age].nonzero()[0].tolist() == [5]
    assert (prepared.train.features[:, age] == 0).all()


def test_wine_cellar():
    table = data.csv(FOLDER / "wine_cellar.csv", target="cultivar")
    prepared = table.prepare(seed=3)
    assert prepared.preprocessing.class_names == ["A", "B", "C"] and table.task == "multiclass"
    shares = [
        np.bincount(part.target) / len(part) for part in (prepared.train, prepared.validation)
    ]
    assert shares[0] == pytest.approx(shares[1], abs=0.03)
