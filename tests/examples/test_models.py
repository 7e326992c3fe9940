"""The examples of models: each run reaches what its docstring states."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import samara

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(monkeypatch):
    """Imports an example by name."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return lambda name: __import__(name)


def output_of(name, *arguments):
    """What the example prints, at its full size."""
    result = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def figures(text, pattern):
    return [float(number) for number in re.search(pattern, text).groups()]


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.py")), ids=lambda path: path.name)
def test_every_example_is_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 150


# --- LSTM tagger -----------------------------------------------------------------------------


def test_the_tagger_reads_what_follows():
    out = output_of("lstm_tagger.py")
    tagger, single = figures(out, r"tags right: ([\d.]+) %; by the word alone: ([\d.]+) %")
    assert tagger > 99.5
    assert 60 < single < 75


def test_padding_does_not_reach_the_tags(example):
    tagger = example("lstm_tagger")
    pairs = sorted(tagger.corpus(20, np.random.default_rng(0)), key=lambda pair: len(pair[0]))
    model = tagger.Tagger()
    words, lengths, tags = tagger.batch(pairs)
    assert min(lengths) < max(lengths)
    assert int((tags == -100).sum()) == words.numel() - sum(lengths)
    together = model(words, lengths)
    alone = model(pairs[0][0][None], lengths[:1])
    np.testing.assert_allclose(
        together[0, : lengths[0]].detach().numpy(), alone[0].detach().numpy(), atol=1e-6
    )


# --- tree-LSTM -------------------------------------------------------------------------------


def test_the_tree_lstm_learns_logic():
    out = output_of("tree_lstm.py")
    same, double = figures(out, r"roots right: ([\d.]+) %; of twice the size: ([\d.]+) %")
    (majority,) = figures(out, r"by the majority: ([\d.]+) %")
    assert same > 99 and double > 99
    assert majority < 65


def test_the_tree_lstm_is_its_equations(example):
    """One formula by hand, in NumPy."""
    tree = example("tree_lstm")
    one = tree.formula(5, np.random.default_rng(0))
    model = tree.TreeLSTM(width=3)
    names, parts = model.names.weight.detach().numpy(), model.parts.weight.detach().numpy()

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def read(node):
        below = [read(part) for part in node.parts]
        gates = names[node.name].astype(np.float64)
        if below:
            gates = gates + parts @ np.concatenate([h for h, _ in below])
        i, o, u, f, g = gates.reshape(5, 3)
        c = sigmoid(i) * np.tanh(u)
        if below:
            c = c + sigmoid(f) * below[0][1] + sigmoid(g) * below[1][1]
        return sigmoid(o) * np.tanh(c), c

    expected = read(one)[0] @ model.head.weight.detach().numpy().T
    expected = expected + model.head.bias.detach().numpy()
    logits, labels = model(one)
    np.testing.assert_allclose(logits[-1].detach().numpy(), expected, atol=1e-6)
    assert len(labels) == 9  # 5 leaves and 4 operations


# --- early exit ------------------------------------------------------------------------------


def test_leaving_early_costs_little_accuracy():
    out = output_of("early_exit.py")
    rows = {
        float(threshold): (float(right), float(cost))
        for threshold, right, cost in re.findall(r"([\d.]+) +([\d.]+) % +([\d.]+) %", out)
    }
    whole, _ = rows[1.01]
    right, cost = rows[0.9]
    assert rows[1.01][1] == 100
    assert whole > 95.5
    assert right > whole - 0.5
    assert cost < 33


def test_a_row_leaves_with_the_answer_of_its_exit(example):
    early = example("early_exit")
    model, images, labels = early.train(epochs=2)
    with samara.no_grad():
        exits = [one.numpy() for one in model.all_exits(images)]
        logits, taken = model(images, 0.5)
    assert len(set(taken)) > 1
    expected = np.array(exits)[taken, np.arange(len(taken))]
    np.testing.assert_allclose(logits.numpy(), expected, atol=1e-5)
    sure = [np.exp(one).max(axis=1) / np.exp(one).sum(axis=1) >= 0.5 for one in exits[:-1]]
    assert (taken == np.where(sure[0], 0, np.where(sure[1], 1, 2))).all()
    _, cost, counts = early.measure(model, images, labels, 2.0)
    assert cost == 1 and counts.tolist() == [0, 0, len(images)]


# --- variational autoencoder -----------------------------------------------------------------


def test_the_autoencoder_draws_digits():
    out = output_of("variational_autoencoder.py")
    bound, pixels = figures(out, r"held out: ([\d.]+) nats.*pixel by pixel: ([\d.]+)")
    assert bound < 24.5 < 26.5 < pixels
    drawn, noise = figures(out, r"held-out digit: ([\d.]+); pixel by pixel: ([\d.]+)")
    assert drawn < 0.75 * noise
    losses = [float(value) for value in re.findall(r"epoch +\d+ +([\d.]+) nats", out)]
    assert losses[-1] < losses[0] - 10


def test_the_bound_is_its_equation(example):
    example("variational_autoencoder")
    vae = sys.modules["networks.vae"]
    rng = np.random.default_rng(0)
    x, logits = rng.integers(0, 2, size=(3, 5)).astype(float), rng.normal(size=(3, 5))
    mean, log_variance = rng.normal(size=(3, 2)), rng.normal(size=(3, 2))
    p = 1 / (1 + np.exp(-logits))
    seen = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum()
    divergence = 0.5 * (np.exp(log_variance) + mean**2 - 1 - log_variance).sum()
    value = vae.loss(*(samara.tensor(part) for part in (x, logits, mean, log_variance)))
    assert value.item() == pytest.approx((seen + divergence) / 3)


# --- tabular regression ----------------------------------------------------------------------


def test_the_table_is_learned_and_its_noise_found():
    out = output_of("tabular_regression.py")
    ours, linear = figures(out, r"held-out rows: R\^2 ([\d.]+), least squares ([\d.]+)")
    assert ours > 0.93
    assert linear < 0.8
    drops = [float(drop) for drop in re.findall(r"^x\d .*?(-?[\d.]+)$", out, re.MULTILINE)]
    assert len(drops) == 10
    assert min(drops[:5]) > 0.1 > 0.01 > max(np.abs(drops[5:]))
