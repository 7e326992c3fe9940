"""Optimizer state: names, round trips, and what does not fit."""

import copy

import numpy as np
import pytest

import samara
from samara import nn, optim
from samara.errors import ArgumentError, ShapeError

KINDS = [
    lambda p: optim.SGD(p, lr=0.05, momentum=0.9),
    lambda p: optim.Adam(p, lr=0.05, amsgrad=True),
    lambda p: optim.AdamW(p, lr=0.05),
    lambda p: optim.RMSprop(p, lr=0.05, momentum=0.5, centered=True),
    lambda p: optim.Adagrad(p, lr=0.05, lr_decay=0.1),
]
IDS = ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"]


def make_model():
    samara.seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def steps(model, optimizer, count, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        x = samara.tensor(rng.normal(size=(8, 3)).astype(np.float32))
        optimizer.zero_grad()
        (model(x) ** 2).mean().backward()
        optimizer.step()


def values(model):
    return {name: value.numpy().tobytes() for name, value in model.state_dict().items()}


def frozen(state):
    """A copy that later steps do not change."""
    entries = {
        name: {k: v if k == "step" else v.numpy().copy() for k, v in entry.items()}
        for name, entry in state["state"].items()
    }
    return {"state": entries, "param_groups": copy.deepcopy(state["param_groups"])}


@pytest.mark.parametrize("make", KINDS, ids=IDS)
def test_resuming_is_bit_exact(make):
    model = make_model()
    optimizer = make(model)
    steps(model, optimizer, 3)
    weights = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    state = frozen(optimizer.state_dict())
    steps(model, optimizer, 4, seed=1)

    other = make_model()
    other.load_state_dict(weights)
    resumed = make(other)
    report = resumed.load_state_dict(state)
    assert report == ([], [])
    steps(other, resumed, 4, seed=1)
    assert values(other) == values(model)


def test_state_is_named_like_the_parameters():
    model = make_model()
    names = ["0.weight", "0.bias", "2.weight", "2.bias"]
    for given in (model, model.parameters(), model.named_parameters(), list(model.parameters())):
        optimizer = optim.Adam(given, lr=0.1)
        steps(model, optimizer, 1)
        state = optimizer.state_dict()
        assert list(state["state"]) == names
        assert state["param_groups"][0]["params"] == names
        assert set(state["state"]["0.bias"]) == {"step", "exp_avg", "exp_avg_sq"}


def test_plain_tensors_are_named_by_position():
    optimizer = optim.SGD([samara.ones(1, requires_grad=True) for _ in range(2)], lr=0.1)
    assert optimizer.state_dict()["param_groups"][0]["params"] == ["0", "1"]


def test_two_models_in_one_optimizer_fall_back_to_positions():
    a, b = make_model(), make_model()
    optimizer = optim.SGD([*a.parameters(), *b.parameters()], lr=0.1)
    assert optimizer.state_dict()["param_groups"][0]["params"] == [str(i) for i in range(8)]


def test_layers_defined_in_another_order_resume_exactly():
    class Net(nn.Module):
        def __init__(self, order):
            super().__init__()
            for name in order:
                setattr(self, name, nn.Linear(3, 3))

        def forward(self, x):
            return self.b(self.a(x))

    samara.seed(0)
    first = Net("ab")
    optimizer = optim.Adam(first, lr=0.05)
    steps(first, optimizer, 2)
    second = Net("ba")
    second.load_state_dict(first.state_dict())
    resumed = optim.Adam(second, lr=0.05)
    resumed.load_state_dict(frozen(optimizer.state_dict()))
    steps(first, optimizer, 2, seed=1)
    steps(second, resumed, 2, seed=1)
    ours, theirs = values(second), values(first)
    assert {name: ours[name] for name in theirs} == theirs


def test_state_in_pytorchs_layout_loads_by_position():
    model = make_model()
    optimizer = optim.Adam(model, lr=0.05)
    steps(model, optimizer, 2)
    named = frozen(optimizer.state_dict())
    order = named["param_groups"][0]["params"]
    torch_like = {
        "state": {
            i: {k: np.float32(v) if k == "step" else v for k, v in named["state"][name].items()}
            for i, name in enumerate(order)
        },
        "param_groups": [{**named["param_groups"][0], "params": list(range(len(order)))}],
    }
    resumed = optim.Adam(make_model(), lr=0.9)
    resumed.load_state_dict(torch_like)
    assert resumed.param_groups[0]["lr"] == 0.05
    for name in order:
        assert resumed.state[name]["step"] == 2
        np.testing.assert_array_equal(
            resumed.state[name]["exp_avg"].numpy(), named["state"][name]["exp_avg"]
        )


def test_settings_travel_with_the_state():
    model = make_model()
    optimizer = optim.SGD(model, lr=0.05, momentum=0.9)
    other = optim.SGD(model, lr=0.9)
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[0]["momentum"] == 0.9
    assert other.param_groups[0]["lr"] == 0.05


def test_what_does_not_fit_is_listed_and_changes_nothing():
    model = make_model()
    optimizer = optim.Adam(model, lr=0.05)
    steps(model, optimizer, 1)
    state = frozen(optimizer.state_dict())
    state["state"]["9.weight"] = state["state"].pop("0.weight")
    group = state["param_groups"][0]
    group["params"] = ["9.weight" if n == "0.weight" else n for n in group["params"]]
    fresh = optim.Adam(model, lr=0.7)
    with pytest.raises(ArgumentError, match=r"0\.weight.*9\.weight"):
        fresh.load_state_dict(state)
    assert fresh.state == {}
    assert fresh.param_groups[0]["lr"] == 0.7
    report = fresh.load_state_dict(state, strict=False)
    assert report == (["0.weight"], ["9.weight"])
    assert set(fresh.state) == {"0.bias", "2.weight", "2.bias"}


def test_state_of_another_shape_is_refused():
    model = make_model()
    optimizer = optim.Adam(model, lr=0.05)
    steps(model, optimizer, 1)
    state = frozen(optimizer.state_dict())
    state["state"]["2.bias"]["exp_avg"] = np.zeros((5,), np.float32)
    with pytest.raises(ShapeError, match=r"exp_avg.*2\.bias.*\(5,\).*\(1,\)"):
        optim.Adam(model, lr=0.05).load_state_dict(state)
    with pytest.raises(ArgumentError, match="param_groups"):
        optimizer.load_state_dict({"weights": 1})


def test_loaded_state_is_a_copy():
    model = make_model()
    a, b = optim.Adam(model, lr=0.05), optim.Adam(model, lr=0.05)
    steps(model, a, 1)
    b.load_state_dict(a.state_dict())
    steps(model, a, 1)
    assert b.state["0.bias"]["step"] == 1
    assert not np.array_equal(
        a.state["0.bias"]["exp_avg"].numpy(), b.state["0.bias"]["exp_avg"].numpy()
    )


def test_repr_shows_the_groups():
    text = repr(optim.SGD(make_model(), lr=0.05))
    assert "Parameter Group 0" in text
    assert "lr: 0.05" in text
