"""Weights by name: what is written is what was shown, and nothing is half loaded."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import samara
from samara import nn
from samara.errors import ArgumentError, DataError


def network():
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def values(model):
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def test_a_model_comes_back_equal_and_other_readers_agree(path):
    first, second = network(), network()
    samara.save_weights(first, path)
    report = samara.load_weights(second, path)
    assert report == ([], [])
    for name, array in values(first).items():
        np.testing.assert_array_equal(values(second)[name], array)
        np.testing.assert_array_equal(load_file(path)[name], array)


def test_views_are_written_as_what_they_show(path):
    layer = nn.Linear(3, 4)
    shown = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    layer.weight.data = samara.tensor(shown).T
    assert not layer.weight.is_contiguous()
    samara.save_weights(layer, path)
    np.testing.assert_array_equal(load_file(path)["weight"], shown.T)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_dtypes_survive_and_are_converted_to_the_models(path, dtype):
    layer = nn.Linear(3, 4)
    layer.to(getattr(samara, dtype))
    samara.save_weights(layer, path)
    again = nn.Linear(3, 4)
    samara.load_weights(again, path)
    assert again.weight.dtype == samara.float32
    expected = layer.weight.detach().to(samara.float32).numpy()
    np.testing.assert_array_equal(again.weight.detach().numpy(), expected)
    assert nn.weights.load_safetensors(path)["weight"].dtype == getattr(samara, dtype)


def test_one_error_lists_everything_with_shapes_and_the_closest_names(path):
    save_file(
        {
            "0.weigth": np.zeros((4, 3), np.float32),
            "0.bias": np.zeros(5, np.float32),
            "2.weight": np.zeros((2, 4), np.complex64),
            "2.bias": np.zeros(2, np.float32),
            "extra": np.zeros((7, 7), np.float32),
        },
        path,
    )
    model = network()
    before = values(model)
    with pytest.raises(ArgumentError) as caught:
        samara.load_weights(model, path)
    text = str(caught.value)
    assert "0.weight (4, 3) -- closest: 0.weigth" in text
    assert "0.weigth (4, 3) -- closest: 0.weight" in text
    assert "extra (7, 7)" in text
    assert "0.bias: (5,) in the file, (4,) in the model" in text
    assert "2.weight: complex64 in the file, float32 in the model" in text
    for name, array in before.items():
        np.testing.assert_array_equal(values(model)[name], array)


def test_not_strict_loads_what_fits_and_reports_the_rest(path):
    save_file({"0.bias": np.ones(4, np.float32), "other": np.ones(1, np.float32)}, path)
    model = network()
    report = samara.load_weights(model, path, strict=False)
    assert model[0].bias.tolist() == [1.0] * 4
    assert sorted(report.missing_keys) == ["0.weight", "2.bias", "2.weight"]
    assert report.unexpected_keys == ["other"]
    save_file({"nothing.fits": np.ones(1, np.float32)}, path)
    with pytest.raises(ArgumentError, match="does not fit"):
        samara.load_weights(model, path, strict=False)


@pytest.mark.parametrize(
    "rename",
    [
        {"encoder.first": "0", "encoder.last.": "2.", "head": None},
        lambda name: (
            None
            if name.startswith("head")
            else name.replace("encoder.first", "0").replace("encoder.last", "2")
        ),
    ],
)
def test_names_are_mapped(path, rename):
    source = network()
    arrays = values(source)
    renamed = {
        name.replace("0.", "encoder.first.").replace("2.", "encoder.last."): array
        for name, array in arrays.items()
    }
    save_file({**renamed, "head.weight": np.zeros(3, np.float32)}, path)
    target = network()
    samara.load_weights(target, path, rename=rename)
    for name, array in arrays.items():
        np.testing.assert_array_equal(values(target)[name], array)


def test_two_names_must_not_become_one(path):
    save_file({"a": np.zeros(1, np.float32), "b": np.zeros(1, np.float32)}, path)
    with pytest.raises(ArgumentError, match="both 'a' and 'b' into 'c'"):
        samara.load_weights(network(), path, rename=lambda name: "c")


def test_a_tied_parameter_needs_one_of_its_names(path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(5, 3)
            self.head = nn.Linear(3, 5, bias=False)
            self.head.weight = self.embedding.weight

    table = np.arange(15.0, dtype=np.float32).reshape(5, 3)
    save_file({"embedding.weight": table}, path)
    model = Tied()
    samara.load_weights(model, path)
    np.testing.assert_array_equal(model.head.weight.detach().numpy(), table)


def test_several_files_through_their_index(tmp_path):
    source = network()
    arrays = values(source)
    first = {name: array for name, array in arrays.items() if name.startswith("0")}
    save_file(first, tmp_path / "a.safetensors")
    save_file({n: a for n, a in arrays.items() if n not in first}, tmp_path / "b.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    table = {n: "a.safetensors" if n in first else "b.safetensors" for n in arrays}
    index.write_text(json.dumps({"weight_map": table}))
    target = network()
    samara.load_weights(target, index)
    for name, array in arrays.items():
        np.testing.assert_array_equal(values(target)[name], array)
    index.write_text(json.dumps({"weight_map": {"0.bias": "../../etc/passwd"}}))
    with pytest.raises(DataError, match="outside its own folder"):
        samara.load_weights(target, index)
    index.write_text("[1, 2")
    with pytest.raises(DataError, match="no index"):
        samara.load_weights(target, index)


def test_a_damaged_file_is_refused_wherever_it_is_cut(path):
    model = network()
    samara.save_weights(model, path)
    whole = path.read_bytes()
    before = values(model)
    for length in [0, 1, 7, 8, 9, 40, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"no complete safetensors file"):
            samara.load_weights(model, path)
    path.write_bytes(b"\xff" * 8 + whole[8:])
    with pytest.raises(DataError):
        samara.load_weights(model, path)
    header = json.dumps({"0.bias": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}})
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + b"\0" * 4)
    with pytest.raises(DataError, match="F8_E4M3"):
        samara.load_weights(model, path)
    for name, array in before.items():
        np.testing.assert_array_equal(values(model)[name], array)


def test_missing_files_and_wrong_objects(path, tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        samara.load_weights(network(), path)
    with pytest.raises(ArgumentError, match="the model is a dict"):
        samara.load_weights({}, path)
    with pytest.raises(ArgumentError, match="the model is a str"):
        samara.save_weights("model", path)
    with pytest.raises(DataError, match="cannot write"):
        samara.save_weights(network(), tmp_path / "no" / "folder.safetensors")
    assert os.listdir(tmp_path) == []


def test_a_failed_save_keeps_the_earlier_file(path):
    model = network()
    samara.save_weights(model, path)
    before = path.read_bytes()
    # A process killed while it writes.
    code = (
        "import os, samara, samara.nn as nn\n"
        "from samara.nn import weights\n"
        "weights.os.replace = lambda a, b: os._exit(9)\n"
        f"samara.save_weights(nn.Linear(3, 4), {str(path)!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == 9
    assert path.read_bytes() == before
