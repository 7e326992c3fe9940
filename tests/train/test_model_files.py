"""A model directory is whole, checked, and predicts what the model in memory predicts."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

import samara
from samara.errors import ArgumentError, SamaraError
from samara.train import fit_table, load_model, save_model

ROWS = 120


def write_table(path, seed=0, target="price"):
    rng = np.random.default_rng(seed)
    area, rooms = rng.uniform(20, 200, ROWS), rng.integers(1, 6, ROWS)
    town = np.array(["north", "south", "east"])[rng.integers(0, 3, ROWS)]
    price = 3 * area + 20 * rooms + 50 * (town == "north") + rng.normal(0, 5, ROWS)
    lines = [f"area,rooms,town,{target}"]
    for i in range(ROWS):
        cell = "" if i % 17 == 5 else f"{area[i]:.2f}"
        value = "high" if price[i] > np.median(price) else "low"
        shown = value if target == "level" else f"{price[i]:.2f}"
        lines.append(f"{cell},{rooms[i]},{town[i]},{shown}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    file = write_table(tmp_path_factory.mktemp("data") / "houses.csv")
    table = samara.csv(file, target="price")
    return file, fit_table(table, epochs=30, lr=0.01, seed=0, verbose=0)


@pytest.fixture
def saved(trained, tmp_path):
    return save_model(tmp_path / "runs" / "houses", trained[1])


def test_the_default_network_beats_the_mean(trained):
    baseline = trained[1].history.baseline
    assert baseline.name == "mean"
    assert baseline.beaten


def test_the_score_is_in_the_targets_own_units(trained):
    file, model = trained
    prepared = samara.csv(file, target="price").prepare(seed=0, validation=0.2)
    truth = prepared.preprocessing.decode(prepared.validation.target)
    predicted = prepared.preprocessing.decode(
        model._outputs(prepared.validation.table)[prepared.validation.rows]
    )
    rmse = np.sqrt(np.mean((predicted - truth) ** 2))
    assert model.history.baseline.model_score == pytest.approx(rmse, rel=1e-3)


def test_a_loaded_model_predicts_the_same_bits(trained, saved):
    file, model = trained
    loaded = load_model(saved)
    assert np.array_equal(loaded.predict(file), model.predict(file))
    assert loaded.history == model.history
    assert np.array_equal(samara.load(saved).predict(file), model.predict(file))


def test_columns_may_be_reordered_and_the_target_absent(trained, saved, tmp_path):
    file, model = trained
    other = tmp_path / "new.csv"
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    rows = [line.split(",") for line in lines]
    other.write_text("\n".join(",".join([r[2], r[0], r[1]]) for r in rows) + "\n", encoding="utf-8")
    assert np.array_equal(load_model(saved).predict(str(other)), model.predict(file))


def test_classes_are_predicted_by_name_with_probabilities(tmp_path):
    file = write_table(tmp_path / "levels.csv", target="level")
    model = samara.csv(file, target="level").fit(epochs=30, lr=0.01, seed=0, verbose=0)
    path = model.save(tmp_path / "model")
    loaded = load_model(path)
    names, chances = loaded.predict(file), loaded.predict_probabilities(file)
    assert model.history.baseline.name == "majority"
    assert set(names) <= {"high", "low"}
    assert chances.shape == (ROWS, 2)
    assert np.allclose(chances.sum(axis=1), 1)
    classes = np.array(loaded.preprocessing.class_names)
    assert np.array_equal(classes[chances.argmax(axis=1)], names.astype(str))


def test_a_column_that_gives_the_target_away_is_reported(tmp_path, capsys):
    file = tmp_path / "leak.csv"
    rows = "".join(f"{i % 7},{3 * i + 1},{i}\n" for i in range(60))
    file.write_text(f"a,copy,y\n{rows}", encoding="utf-8")
    model = fit_table(samara.csv(str(file), target="y"), epochs=1)
    assert any("leak" in note and "'copy'" in note for note in model.history.notes)
    assert "warning: leak: column 'copy'" in capsys.readouterr().out


def test_training_twice_gives_the_same_bits(trained):
    file, model = trained
    again = fit_table(samara.csv(file, target="price"), epochs=30, lr=0.01, seed=0, verbose=0)
    for (name, a), (_, b) in zip(
        model.net.state_dict().items(), again.net.state_dict().items(), strict=True
    ):
        assert np.array_equal(a.numpy(), b.numpy()), name


def test_saving_leaves_no_temporary_files_and_replaces_an_earlier_model(trained, saved):
    before = sorted(os.listdir(saved))
    assert before == ["history.json", "model.json", "model.safetensors", "preprocessing.json"]
    save_model(saved, trained[1])
    assert sorted(os.listdir(saved)) == before
    assert os.listdir(os.path.dirname(saved)) == [os.path.basename(saved)]


def test_a_save_that_fails_leaves_the_earlier_model(trained, saved, monkeypatch):
    file, model = trained
    expected = load_model(saved).predict(file)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_model(saved, model)
    monkeypatch.undo()
    assert np.array_equal(load_model(saved).predict(file), expected)
    assert os.listdir(os.path.dirname(saved)) == [os.path.basename(saved)]


def test_a_directory_of_something_else_is_not_replaced(trained, tmp_path):
    (tmp_path / "thesis.txt").write_text("ten years of work")
    with pytest.raises(ArgumentError, match="is no Samara model"):
        save_model(tmp_path, trained[1])
    assert (tmp_path / "thesis.txt").read_text() == "ten years of work"


@pytest.mark.parametrize("name", ["model.safetensors", "preprocessing.json", "history.json"])
def test_any_flipped_byte_is_found_and_the_file_named(saved, name):
    path = Path(saved, name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(SamaraError, match=name):
        load_model(saved)


def test_a_flipped_byte_behind_a_corrected_file_digest_names_the_tensor(saved):
    import hashlib

    path = Path(saved, "model.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    manifest_path = Path(saved, "model.json")
    manifest = json.loads(manifest_path.read_text())
    manifest["files"]["model.safetensors"] = hashlib.sha256(bytes(content)).hexdigest()
    manifest_path.write_text(json.dumps(manifest))
    with pytest.raises(SamaraError, match=r"tensor '.*' in .*model\.safetensors"):
        load_model(saved)


@pytest.mark.parametrize("name", ["model.safetensors", "preprocessing.json", "model.json"])
def test_a_missing_file_is_named(saved, name):
    os.remove(os.path.join(saved, name))
    with pytest.raises(SamaraError, match=name):
        load_model(saved)


def test_a_newer_format_says_upgrade(saved):
    path = Path(saved, "model.json")
    manifest = json.loads(path.read_text())
    manifest["format_version"] = 99
    path.write_text(json.dumps(manifest))
    with pytest.raises(SamaraError, match=r"format_version 99.*upgrade"):
        load_model(saved)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": "other"}'])
def test_a_broken_manifest_is_named(saved, content):
    Path(saved, "model.json").write_text(content)
    with pytest.raises(SamaraError, match=r"model\.json"):
        load_model(saved)


def test_a_path_that_is_no_model(tmp_path):
    with pytest.raises(SamaraError, match="is no directory"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(SamaraError, match=r"holds no model\.json"):
        load_model(tmp_path)


def test_a_network_of_the_users_own_is_not_saved_half(trained, tmp_path):
    file, _ = trained

    class Own(samara.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = samara.nn.Linear(4, 1)

        def forward(self, features, categories):
            return self.layer(features[:, :4])

    model = fit_table(samara.csv(file, target="price"), model=Own(), epochs=1, verbose=0)
    assert model.predict(file).shape == (ROWS,)
    with pytest.raises(ArgumentError, match="TabularModel on the default network"):
        model.save(tmp_path / "own")


def test_the_summary_names_columns_layers_and_the_score(saved):
    text = load_model(saved).summary()
    for part in ("regression", "'price'", "area", "town", "mlp.0.weight", "baseline (mean)"):
        assert part in text
