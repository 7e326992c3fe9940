"""check_learns overfits one batch on a copy, and says why when it cannot."""

import numpy as np
import pytest

import samara
from samara import nn
from samara.errors import ArgumentError, DataError, ShapeError
from samara.train import check_learns

X = np.random.default_rng(0).normal(size=(32, 3))
Y = X @ np.array([[1.0], [2.0], [-1.0]]) + 5


def network():
    samara.seed(1)
    return nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 1))


def test_a_sound_model_passes_and_is_left_as_it_was():
    model = network()
    before = {name: p.detach().numpy().copy() for name, p in model.named_parameters()}
    samara.seed(5)
    stream = samara.rand(3).numpy()
    samara.seed(5)
    report = check_learns(model, (X, Y))
    assert report
    assert report.passed
    assert report.end_loss < 0.5 * report.start_loss
    assert "passed" in str(report)
    for name, p in model.named_parameters():
        assert np.array_equal(before[name], p.detach().numpy())
        assert p.grad is None
    assert model.training
    assert np.array_equal(stream, samara.rand(3).numpy())


def test_the_start_loss_is_the_models_own():
    model = network()
    model.eval()
    with samara.no_grad():
        output = model(samara.tensor(X.astype(np.float32))).numpy()
    report = check_learns(model, (X, Y), steps=1)
    assert report.start_loss == pytest.approx(np.mean((output - Y) ** 2), rel=1e-4)


def test_classes_are_overfitted():
    labels = np.arange(32) % 4
    model = nn.Sequential(nn.Linear(3, 64), nn.Tanh(), nn.Linear(64, 4))
    assert check_learns(model, (X, labels), loss="cross_entropy", steps=400, lr=0.02)


def test_a_frozen_model_fails():
    model = network()
    model.requires_grad_(False)
    report = check_learns(model, (X, Y))
    assert not report
    assert "no trainable parameter" in report.reason


def test_a_dead_layer_fails_and_is_named():
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1, bias=False))
    with samara.no_grad():
        model[0].bias.copy_(samara.full((8,), -1e6))
    report = check_learns(model, (X, Y), steps=5)
    assert not report
    assert "all gradients zero in layer 0" in report.reason


def test_bad_batches_are_refused_as_in_fit():
    with pytest.raises(ArgumentError, match="batch is a ndarray"):
        check_learns(network(), X)
    with pytest.raises(DataError, match=r"32 rows.*31"):
        check_learns(network(), (X, Y[:-1]))
    with pytest.raises(ShapeError, match=r"\(32, 1\).*\(32,\)"):
        check_learns(network(), (X, Y[:, 0]))
