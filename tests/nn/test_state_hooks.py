"""Hooks around a module's state, its extra state, and what a module refuses."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import samara
from samara import nn
from samara.errors import ArgumentError, DeviceError, UnsupportedError


class Counting(nn.Module):
    """Keeps a number beside its tensors."""

    def __init__(self, seen: int = 0) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.seen = seen

    def get_extra_state(self) -> dict[str, int]:
        return {"seen": self.seen}

    def set_extra_state(self, state: dict[str, int]) -> None:
        self.seen = state["seen"]


def test_hooks_of_state_dict_run_around_each_modules_part() -> None:
    model = nn.Sequential(
        nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 1), nn.ReLU()), nn.Linear(1, 1)
    )
    calls: list[Any] = []
    for path, module in model.named_modules():
        module.register_state_dict_pre_hook(
            lambda m, prefix, keep_vars, p=path: calls.append((p, prefix, keep_vars))
        )
        module.register_state_dict_post_hook(
            lambda m, state, prefix, metadata, p=path: calls.append((p, prefix, list(state)))
        )
    model.state_dict(prefix="net.", keep_vars=True)
    names = [f"net.{name}" for name in ("0.weight", "0.bias", "1.0.weight", "1.0.bias")]
    last = [*names, "net.2.weight", "net.2.bias"]
    assert calls == [
        ("", "net.", True),
        ("0", "net.0.", True),
        ("0", "net.0.", names[:2]),
        ("1", "net.1.", True),
        ("1.0", "net.1.0.", True),
        ("1.0", "net.1.0.", names),
        ("1.1", "net.1.1.", True),
        ("1.1", "net.1.1.", names),
        ("1", "net.1.", names),
        ("2", "net.2.", True),
        ("2", "net.2.", last),
        ("", "net.", last),
    ]


def test_post_hooks_edit_or_replace_the_state() -> None:
    layer = nn.Linear(2, 2)
    handle = layer.register_state_dict_post_hook(lambda m, state, prefix, _: state.pop("bias"))
    with pytest.raises(ArgumentError, match="a hook returned Tensor"):
        layer.state_dict()
    handle.remove()
    layer._register_state_dict_hook(
        lambda m, state, prefix, _: type(state)((f"old.{k}", v) for k, v in state.items())
    )
    assert list(layer.state_dict()) == ["old.weight", "old.bias"]
    given: Any = type(nn.Linear(1, 1).state_dict())(first=1)
    assert nn.Linear(1, 1).state_dict(given) is given and list(given) == ["first", "weight", "bias"]


@pytest.mark.parametrize("with_module", [False, True])
def test_pre_hooks_rename_what_is_loaded(with_module: bool) -> None:
    source, model = nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2))

    def rename(*args: Any) -> None:
        state, prefix = args[-7], args[-6]
        assert (args[0] is model[0]) == with_module and args[-4] is True
        for name in ("weight", "bias"):
            state[prefix + name] = state.pop(f"old.{name}")

    if with_module:
        model[0].register_load_state_dict_pre_hook(rename)
    else:
        model[0]._register_load_state_dict_pre_hook(rename)
    given = {f"old.{name}": value for name, value in source.state_dict().items()}
    model.load_state_dict(given)
    np.testing.assert_array_equal(model[0].weight.detach().numpy(), source.weight.detach().numpy())
    assert sorted(given) == ["old.bias", "old.weight"]
    # A copy of the model has the hook as well.
    with pytest.raises((KeyError, AssertionError)):
        copy.deepcopy(model).load_state_dict(model.state_dict())


def test_hooks_may_complain() -> None:
    layer = nn.Linear(2, 2)
    layer.register_load_state_dict_pre_hook(lambda *args: args[-1].append("weights of 2019"))
    before = layer.weight.detach().numpy().copy()
    with pytest.raises(ArgumentError, match=r"From hooks \(1\): weights of 2019"):
        layer.load_state_dict(nn.Linear(2, 2).state_dict())
    np.testing.assert_array_equal(layer.weight.detach().numpy(), before)


def test_post_hooks_may_excuse_what_is_missing() -> None:
    layer, source = nn.Linear(2, 2), nn.Linear(2, 2)
    given = {"weight": source.weight.detach()}
    handle = layer.register_load_state_dict_post_hook(
        lambda module, report: report.missing_keys.clear()
    )
    assert layer.load_state_dict(given).missing_keys == []
    np.testing.assert_array_equal(layer.weight.detach().numpy(), source.weight.detach().numpy())
    handle.remove()
    # A hook that excuses nothing: the error comes, and the values are those from before.
    seen: list[tuple[Any, list[str]]] = []
    layer.register_load_state_dict_post_hook(lambda m, r: seen.append((m, list(r.missing_keys))))
    before = layer.weight.detach().numpy().copy()
    for assign in (False, True):
        with pytest.raises(ArgumentError, match=r"Missing \(1\): bias"):
            layer.load_state_dict({"weight": samara.zeros(2, 2)}, assign=assign)
        np.testing.assert_array_equal(layer.weight.detach().numpy(), before)
    assert seen == [(layer, ["bias"])] * 2
    layer.register_load_state_dict_post_hook(lambda m, r: r)
    with pytest.raises(ArgumentError, match="a hook returned LoadReport"):
        layer.load_state_dict(source.state_dict())


def test_extra_state_travels_with_the_state() -> None:
    model = nn.Sequential(Counting(3), nn.ReLU())
    state = model.state_dict()
    assert list(state) == ["0._extra_state", "0.layer.weight", "0.layer.bias"]
    other = nn.Sequential(Counting(), nn.ReLU())
    other.load_state_dict(state)
    assert other[0].seen == 3
    del state["0._extra_state"]
    with pytest.raises(ArgumentError, match=r"Missing \(1\): 0\._extra_state"):
        other.load_state_dict(state)
    assert other.load_state_dict(state, strict=False).missing_keys == ["0._extra_state"]
    plain = nn.Sequential(nn.Linear(1, 1))
    with pytest.raises(ArgumentError, match=r"Unexpected \(1\): 0\._extra_state"):
        plain.load_state_dict({**plain.state_dict(), "0._extra_state": samara.zeros(1)})
    with pytest.raises(NotImplementedError, match="set_extra_state"):
        nn.Linear(1, 1).get_extra_state()


def test_extra_state_does_not_fit_a_file_of_tensors(tmp_path: Any) -> None:
    with pytest.raises(ArgumentError, match="'_extra_state' is dict"):
        samara.save_weights(Counting(), tmp_path / "model.safetensors")


def test_what_a_module_refuses() -> None:
    layer = nn.Linear(2, 2)
    for call in (layer.cuda, lambda: layer.cuda(0), lambda: layer.cuda("cuda:0")):
        with pytest.raises(DeviceError, match="'cuda:0' is not available"):
            call()
    with pytest.raises(UnsupportedError, match=r"Linear\.compile: there is no compiler"):
        layer.compile(mode="max-autotune")
    assert layer._get_name() == "Linear"
