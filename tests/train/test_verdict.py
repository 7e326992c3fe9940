"""The verdict says in words what happened, on models that are ill in known ways."""

from array import array

import numpy as np
import pytest

import samara
from samara import nn
from samara.errors import NumericsError, TrainingError
from samara.train import Baseline, History, fit
from samara.train.verdict import diverged_at, judge


def regression(rows=100):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 3))
    return X, X @ np.array([[1.0], [2.0], [3.0]])


def network():
    samara.seed(3)
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))


def values_of(model):
    return {name: p.detach().numpy().copy() for name, p in model.named_parameters()}


def test_a_healthy_run_is_learning():
    X, y = regression()
    history = fit(network(), X, y, epochs=30, lr=0.01, seed=0, verbose=0)
    assert history.verdict.startswith("learning: the loss fell")


def test_a_huge_rate_is_divergence_and_keeps_the_last_finite_values():
    X, y = regression()
    model = network()
    with pytest.raises(
        NumericsError, match=r"at step \d+ .*Fix: lower lr \(now 1e\+06\)"
    ) as caught:
        fit(model, X, y, lr=1e6, optimizer="sgd", epochs=20, seed=0, verbose=0)
    history = caught.value.history
    assert history.verdict.startswith("diverged at step ")
    step = int(history.verdict.split()[3].rstrip(":"))
    assert f"at step {step} " in str(caught.value)
    assert all(np.isfinite(value).all() for value in values_of(model).values())


def test_parameters_that_a_step_made_infinite_go_back_to_finite_ones():
    X, y = regression()
    model = network()
    with pytest.raises(NumericsError, match=r"back at the values from the start of this epoch"):
        fit(model, X, 1e6 * y, lr=3e38, optimizer="sgd", epochs=20, seed=0, verbose=0)
    assert all(np.isfinite(value).all() for value in values_of(model).values())


def test_divergence_that_stays_finite_names_the_step_after_which_it_never_came_back():
    X, y = regression()
    history = fit(
        nn.Linear(3, 1), X, y, loss="mae", optimizer="sgd", lr=1e6, epochs=3, seed=0, verbose=0
    )
    assert history.verdict.startswith("diverged at step 1:")


def test_a_frozen_model_is_flat():
    X, y = regression()
    model = network()
    model.requires_grad_(False)
    before = values_of(model)
    history = fit(model, X, y, epochs=5, verbose=0)
    assert history.verdict.startswith("flat: all 4 parameters are frozen")
    after = values_of(model)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_frozen_layer_is_named_in_the_notes():
    X, y = regression()
    model = network()
    model[0].requires_grad_(False)
    history = fit(model, X, y, epochs=5, lr=0.01, verbose=0)
    assert any("frozen" in note and "0.weight" in note for note in history.notes)


def test_a_constant_target_is_flat():
    X, _ = regression()
    history = fit(network(), X, np.full((100, 1), 3.0), epochs=3, verbose=0)
    assert history.verdict.startswith("flat: every target is 3")


def test_a_dead_relu_is_named_by_its_layer():
    X, y = regression()
    model = network()
    with samara.no_grad():
        model[0].bias.copy_(samara.full((8,), -1e6))
    history = fit(model, X, y, epochs=3, seed=0, verbose=0)
    assert history.verdict.startswith("all gradients zero in layer 0:")


def test_a_layer_that_the_loss_does_not_use_is_named():
    class Spare(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Linear(3, 1), nn.Linear(3, 1)

        def forward(self, x):
            return self.used(x)

    X, y = regression()
    history = fit(Spare(), X, y, epochs=2, verbose=0)
    assert any("never trained" in n and "spare.weight" in n for n in history.notes)
    assert not any("used.weight" in n for n in history.notes)


def test_a_layer_that_the_model_hides_is_an_error():
    hidden = nn.Linear(3, 3)
    model = nn.Sequential(nn.Linear(3, 3), lambda x: hidden(x), nn.Linear(3, 1))
    X, y = regression()
    with pytest.raises(TrainingError, match="hidden"):
        fit(model, X, y, epochs=1, verbose=0)


def test_noise_is_not_called_better_than_the_baseline():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 10)), rng.normal(size=(60, 1))
    model = nn.Sequential(nn.Linear(10, 64), nn.Tanh(), nn.Linear(64, 1))
    history = fit(model, X, y, epochs=200, lr=0.01, seed=0, verbose=0)
    assert not history.baseline.beaten
    assert "no better than the baseline" in history.verdict


@pytest.mark.parametrize(
    ("losses", "step"),
    [
        ([1.0, 0.5, 0.25], None),
        ([1.0, 50.0, 0.5], None),
        ([1.0, 0.5, 9.0, 99.0], 2),
        ([1.0, float("nan")], 1),
        ([float("inf")], 0),
        ([0.0, 0.0], None),
        ([], None),
    ],
)
def test_divergence_is_told_from_a_passing_spike(losses, step):
    assert diverged_at(losses) == step


def judged(losses, **history):
    steps = array("d", losses)
    return judge(History(loss=list(losses), **history), steps, watch=None, steps_per_epoch=1)


def test_flat_and_learning_are_told_by_the_fall():
    assert judged([1.0, 0.999, 0.998]).startswith("flat: the loss stayed near 1")
    assert judged([1.0, 0.8, 0.5]).startswith("learning: the loss fell from 1 to 0.5 (-50%)")
    assert judged([-1.0, -2.0]).startswith("learning: the loss fell from -1 to -2")


def test_overfitting_is_named_with_the_epoch_it_began():
    verdict = judged([1.0, 0.5, 0.1], validation_loss=[0.9, 0.6, 1.5])
    assert verdict.startswith("learning, but overfitting since epoch 2")


def test_a_score_below_the_baseline_is_named():
    verdict = judged([1.0, 0.1], baseline=Baseline("mean", "rmse", 1.0, 2.0))
    assert verdict.startswith("learning, but no better than the baseline")
