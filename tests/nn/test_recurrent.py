"""Recurrent layers and cells, packed sequences: against their equations in float64 NumPy."""

import copy
import gc

import numpy as np
import pytest

import samara
from samara import nn
from samara.errors import ArgumentError, ShapeError
from samara.nn.utils import rnn
from samara.testing import gradcheck

KINDS = {"RNN": 1, "LSTM": 4, "GRU": 3}
LAYERS = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu", "bias": False}),
    ("LSTM", {}),
    ("LSTM", {"proj_size": 2}),
    ("GRU", {}),
    ("GRU", {"bias": False}),
]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def step(kind, p, x, h, c, nonlinearity):
    """One step of one sequence, written gate by gate."""
    of_x = p["weight_ih"] @ x + p.get("bias_ih", 0.0)
    of_h = p["weight_hh"] @ h + p.get("bias_hh", 0.0)
    if kind == "LSTM":
        i, f, g, o = np.split(of_x + of_h, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        return (p["weight_hr"] @ h if "weight_hr" in p else h), c
    if kind == "GRU":
        (r, z, n), (hr, hz, hn) = np.split(of_x, 3), np.split(of_h, 3)
        z = sigmoid(z + hz)
        return (1 - z) * np.tanh(n + sigmoid(r + hr) * hn) + z * h, c
    total = of_x + of_h
    return (np.tanh(total) if nonlinearity == "tanh" else np.maximum(total, 0)), c


def expected(layer, kind, sequence, states):
    """All layers over one sequence [T, I]; states: one [layers D, size] per kind of state."""
    state = {k: v.numpy().astype(np.float64) for k, v in layer.state_dict().items()}
    directions = 2 if layer.bidirectional else 1
    last = [[], []]
    for number in range(layer.num_layers):
        outputs = []
        for direction in range(directions):
            end = f"_l{number}" + ("_reverse" if direction else "")
            p = {k.removesuffix(end): v for k, v in state.items() if k.endswith(end)}
            row = number * directions + direction
            h, c = states[0][row], states[-1][row]
            y = np.zeros((len(sequence), len(h)))
            for t in range(len(sequence))[:: -1 if direction else 1]:
                h, c = step(kind, p, sequence[t], h, c, getattr(layer, "nonlinearity", "tanh"))
                y[t] = h
            outputs.append(y)
            last[0].append(h)
            last[1].append(c)
        sequence = np.concatenate(outputs, axis=1)
    return sequence, [np.stack(part) for part in last][: len(states)]


def make(kind, options, layers, both, batch_first=False):
    layer = getattr(nn, kind)(
        3,
        4,
        layers,
        bidirectional=both,
        batch_first=batch_first,
        dtype=samara.float64,
        **options,
    )
    rng = np.random.default_rng(1)
    with samara.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(samara.tensor(rng.normal(size=parameter.shape) * 0.5))
    return layer


def random_states(layer, kind, batch, rng):
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    sizes = [layer.proj_size or 4] + [4] * (kind == "LSTM")
    return [rng.normal(size=(count, batch, size)) for size in sizes]


def as_argument(states):
    tensors = tuple(samara.tensor(s) for s in states)
    return tensors if len(tensors) > 1 else tensors[0]


def as_list(states):
    return list(states) if isinstance(states, tuple) else [states]


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("kind", "options"), LAYERS)
def test_layers_follow_the_equations(kind, options, layers, both):
    rng = np.random.default_rng(0)
    layer = make(kind, options, layers, both, batch_first=True)
    x = rng.normal(size=(5, 6, 3))
    states = random_states(layer, kind, 5, rng)
    y, last = layer(samara.tensor(x), as_argument(states))
    for n in range(5):
        outputs, ends = expected(layer, kind, x[n], [s[:, n] for s in states])
        np.testing.assert_allclose(y[n].detach().numpy(), outputs, atol=1e-12)
        for found, end in zip(as_list(last), ends, strict=True):
            np.testing.assert_allclose(found[:, n].detach().numpy(), end, atol=1e-12)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize(("kind", "options"), LAYERS)
def test_packed_sequences_end_where_they_end(kind, options, in_order, both):
    rng = np.random.default_rng(0)
    layer = make(kind, options, 2, both)
    lengths = [5, 4, 2, 2, 1] if in_order else [2, 5, 1, 4, 2]
    sequences = [rng.normal(size=(n, 3)) for n in lengths]
    states = random_states(layer, kind, 5, rng)
    packed = rnn.pack_sequence([samara.tensor(s) for s in sequences], enforce_sorted=in_order)
    y, last = layer(packed, as_argument(states))
    for n, found in enumerate(rnn.unpack_sequence(y)):
        outputs, ends = expected(layer, kind, sequences[n], [s[:, n] for s in states])
        np.testing.assert_allclose(found.detach().numpy(), outputs, atol=1e-12)
        for state, end in zip(as_list(last), ends, strict=True):
            np.testing.assert_allclose(state[:, n].detach().numpy(), end, atol=1e-12)


@pytest.mark.parametrize(("kind", "options"), LAYERS)
def test_gradients_of_packed_sequences(kind, options):
    rng = np.random.default_rng(3)
    layer = make(kind, options, 1, True)
    sequences = [samara.tensor(rng.normal(size=(n, 3))) for n in (3, 2, 1)]
    weights = [p.detach().clone().requires_grad_() for p in layer.parameters()]
    names = [name for name, _ in layer.named_parameters()]

    def total(x, y, z, *values):
        for name, value in zip(names, values, strict=True):
            layer.__dict__[name] = value
        out, last = layer(rnn.pack_sequence([x, y, z]))
        return (out.data**2).sum() + sum((s**3).sum() for s in as_list(last))

    gradcheck(total, [*(s.requires_grad_() for s in sequences), *weights])


@pytest.mark.parametrize(("kind", "options"), LAYERS)
def test_one_sequence_without_a_batch(kind, options):
    rng = np.random.default_rng(0)
    layer = make(kind, options, 2, True)
    x = rng.normal(size=(4, 3))
    y, last = layer(samara.tensor(x))
    zeros = [np.zeros((4, layer.proj_size or 4)), np.zeros((4, 4))][: 1 + (kind == "LSTM")]
    outputs, ends = expected(layer, kind, x, zeros)
    np.testing.assert_allclose(y.detach().numpy(), outputs, atol=1e-12)
    for found, end in zip(as_list(last), ends, strict=True):
        np.testing.assert_allclose(found.detach().numpy(), end, atol=1e-12)


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_cell_is_one_step_of_the_layer(kind, batched):
    cell = getattr(nn, f"{kind}Cell")(3, 4, dtype=samara.float64)
    layer = getattr(nn, kind)(3, 4, dtype=samara.float64)
    layer.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
    x = samara.randn((6, 3) if batched else (3,), dtype=samara.float64)
    state = None
    for _ in range(2):
        state = cell(x, state)
    y, last = layer(samara.stack([x, x]))
    for found, end in zip(as_list(state), as_list(last), strict=True):
        np.testing.assert_allclose(
            found.detach().numpy(), end.squeeze(0).detach().numpy(), atol=1e-12
        )
    assert y.shape[0] == 2


@pytest.mark.parametrize("kind", list(KINDS))
def test_names_and_initial_values(kind):
    layer = getattr(nn, kind)(3, 16, 2, bidirectional=True)
    gates = KINDS[kind] * 16
    shapes = {name: tuple(value.shape) for name, value in layer.state_dict().items()}
    for number, width in ((0, 3), (1, 32)):
        for end in (f"_l{number}", f"_l{number}_reverse"):
            assert shapes.pop("weight_ih" + end) == (gates, width)
            assert shapes.pop("weight_hh" + end) == (gates, 16)
            assert shapes.pop("bias_ih" + end) == shapes.pop("bias_hh" + end) == (gates,)
    assert not shapes
    values = np.concatenate([p.detach().numpy().ravel() for p in layer.parameters()])
    assert abs(values).max() <= 0.25
    assert abs(values).max() > 0.2
    assert [len(weights) for weights in layer.all_weights] == [4] * 4


def test_dropout_acts_between_layers_in_training():
    layer = nn.GRU(3, 64, 2, dropout=0.5)
    x = samara.randn(4, 2, 3)
    assert not np.array_equal(layer(x)[0].detach().numpy(), layer(x)[0].detach().numpy())
    layer.eval()
    np.testing.assert_array_equal(layer(x)[0].detach().numpy(), layer(x)[0].detach().numpy())
    with pytest.warns(UserWarning, match="between layers"):
        nn.GRU(3, 4, dropout=0.5)


def test_results_do_not_depend_on_the_threads():
    layer = nn.LSTM(5, 40)
    x = samara.randn(7, 50, 5)
    before = samara.thread_count()
    found = []
    for threads in (1, 3):
        samara.set_thread_count(threads)
        layer.zero_grad()
        layer(x)[0].square().sum().backward()
        found.append([p.grad.numpy().copy() for p in layer.parameters()])
    samara.set_thread_count(before)
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_graph_is_freed_with_its_outputs():
    layer, cell = nn.LSTM(8, 512), nn.LSTMCell(8, 512)
    x = samara.randn(20, 4, 8)
    for model, argument in ((layer, x), (cell, x[0])):
        model(argument)
        gc.collect()
        before = samara.memory_statistics()["live_bytes"]
        for _ in range(3):
            model(argument)
        assert samara.memory_statistics()["live_bytes"] == before


def test_copies_are_independent():
    layer = nn.LSTM(3, 4)
    other = copy.deepcopy(layer)
    with samara.no_grad():
        other.weight_ih_l0.zero_()
    assert layer.weight_ih_l0.abs().sum().item() > 0


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (ShapeError, "received shape", lambda: nn.LSTM(3, 4)(samara.ones(2, 2, 2, 3))),
        (ShapeError, r"Expected \[T, N, 3\]", lambda: nn.GRU(3, 4)(samara.ones(2, 2, 4))),
        (ArgumentError, "length 0", lambda: nn.RNN(3, 4)(samara.ones(0, 2, 3))),
        (
            ArgumentError,
            "length 0",
            lambda: nn.RNN(3, 4, batch_first=True)(samara.ones(2, 0, 3)),
        ),
        (
            ShapeError,
            r"initial state has shape \(1, 3, 4\)",
            lambda: nn.GRU(3, 4)(samara.ones(2, 2, 3), samara.zeros(1, 3, 4)),
        ),
        (
            ShapeError,
            "initial state",
            lambda: nn.LSTM(3, 4)(samara.ones(2, 2, 3), (samara.zeros(1, 2, 4),)),
        ),
        (ShapeError, "received shape", lambda: nn.LSTMCell(3, 4)(samara.ones(2, 2, 3))),
        (ShapeError, "x has shape", lambda: nn.GRUCell(3, 4)(samara.ones(2, 3), samara.ones(3, 4))),
        (ArgumentError, "hidden_size=0", lambda: nn.LSTM(3, 0)),
        (ArgumentError, "proj_size=4", lambda: nn.LSTM(3, 4, proj_size=4)),
        (ArgumentError, "dropout=2", lambda: nn.LSTM(3, 4, 2, dropout=2)),
        (ArgumentError, "nonlinearity", lambda: nn.RNN(3, 4, nonlinearity="sigmoid")),
        (
            ArgumentError,
            "longest first",
            lambda: rnn.pack_padded_sequence(samara.ones(3, 2, 1), [1, 3]),
        ),
        (
            ArgumentError,
            "the lengths are",
            lambda: rnn.pack_padded_sequence(samara.ones(3, 2, 1), [3, 0]),
        ),
        (
            ArgumentError,
            "the lengths are",
            lambda: rnn.pack_padded_sequence(samara.ones(3, 2, 1), [4, 1]),
        ),
        (
            ShapeError,
            "one integer for each",
            lambda: rnn.pack_padded_sequence(samara.ones(3, 2, 1), [3]),
        ),
        (ArgumentError, "an empty list", lambda: rnn.pad_sequence([])),
        (
            ShapeError,
            "the sequences have shapes",
            lambda: rnn.pad_sequence([samara.ones(2, 3), samara.ones(2, 4)]),
        ),
        (
            ArgumentError,
            "total_length is 1",
            lambda: rnn.pad_packed_sequence(rnn.pack_sequence([samara.ones(2)]), total_length=1),
        ),
    ],
)
def test_mistakes_are_named(error, match, call):
    with pytest.raises(error, match=match):
        call()


def test_an_error_names_the_module():
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.LSTM(3, 4)

        def forward(self, x):
            return self.encoder(x)[0]

    with pytest.raises(ShapeError, match=r"model\.encoder \(LSTM\)"):
        Tagger()(samara.ones(2, 2, 5))


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("batch_first", [True, False])
def test_padding(side, batch_first):
    rng = np.random.default_rng(0)
    parts = [rng.integers(1, 9, size=(n, 2)) for n in (2, 0, 3)]
    found = rnn.pad_sequence([samara.tensor(p) for p in parts], batch_first, -1, side)
    wanted = np.full((3, 3, 2), -1)
    for row, part in zip(wanted, parts, strict=True):
        row[len(row) - len(part) if side == "left" else 0 :][: len(part)] = part
    assert found.dtype == samara.int64
    np.testing.assert_array_equal(found.numpy(), wanted if batch_first else wanted.swapaxes(0, 1))


@pytest.mark.parametrize("batch_first", [True, False])
def test_packing_and_back(batch_first):
    rng = np.random.default_rng(0)
    lengths = [2, 4, 1]
    x = rng.normal(size=(3, 5, 2))
    given = samara.tensor(x if batch_first else x.swapaxes(0, 1).copy())
    packed = rnn.pack_padded_sequence(given, lengths, batch_first, enforce_sorted=False)
    assert packed.batch_sizes.tolist() == [3, 2, 1, 1]
    steps = [x[n, t] for t in range(4) for n in (1, 0, 2) if t < lengths[n]]
    np.testing.assert_array_equal(packed.data.numpy(), np.stack(steps))
    padded, counts = rnn.pad_packed_sequence(packed, batch_first, 7.0, total_length=5)
    wanted = np.where((np.arange(5) < np.array(lengths)[:, None])[..., None], x, 7.0)
    np.testing.assert_array_equal(padded.numpy(), wanted if batch_first else wanted.swapaxes(0, 1))
    assert counts.tolist() == lengths
    for part, whole in zip(rnn.unpad_sequence(padded, counts, batch_first), x, strict=True):
        np.testing.assert_array_equal(part.numpy(), whole[: len(part)])
    half = packed.half()
    assert half.data.dtype == samara.float16
    assert half.to(samara.float16) is half
