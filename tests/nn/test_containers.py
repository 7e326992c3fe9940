"""Sequential, lists and dicts of modules and parameters."""

from collections import OrderedDict

import numpy as np
import pytest

import samara
from samara import nn
from samara.errors import ArgumentError, IndexOutOfRangeError


def names(module):
    return [name for name, _ in module.named_parameters()]


def test_sequential_takes_functions_and_lambdas():
    model = nn.Sequential(nn.Linear(2, 2), nn.functional.relu, lambda x: x * 3, nn.Linear(2, 1))
    x = np.array([[1.0, -2.0]], np.float32)
    hidden = (
        np.maximum(x @ model[0].weight.detach().numpy().T + model[0].bias.detach().numpy(), 0) * 3
    )
    expected = hidden @ model[3].weight.detach().numpy().T + model[3].bias.detach().numpy()
    np.testing.assert_allclose(model(samara.tensor(x)).detach().numpy(), expected, rtol=1e-5)
    assert names(model) == ["0.weight", "0.bias", "3.weight", "3.bias"]
    assert "(2): <lambda>" in repr(model)
    assert "(1): relu" in repr(model)


def test_sequential_from_a_list_and_from_names():
    assert len(nn.Sequential([nn.ReLU(), nn.Tanh()])) == 2
    model = nn.Sequential(OrderedDict(first=nn.Linear(2, 2), act=nn.ReLU()))
    assert names(model) == ["first.weight", "first.bias"]
    assert model.first is model[0]
    x = samara.ones(1)
    assert nn.Sequential()(x) is x


def test_sequential_indexing_and_editing():
    a, b, c, d = (nn.Linear(2, 2) for _ in range(4))
    model = nn.Sequential(a, b, c)
    assert model[-1] is c
    assert list(model) == [a, b, c]
    part = model[1:]
    assert isinstance(part, nn.Sequential)
    assert list(part) == [b, c]
    del model[1]
    assert list(model) == [a, c]
    assert names(model)[-1] == "1.bias"
    model.append(d)
    model.insert(0, b)
    assert list(model) == [b, a, c, d]
    assert model.pop(0) is b
    model[0] = b
    assert list(model) == [b, c, d]
    assert list(model.extend([a])) == [b, c, d, a]
    model(samara.ones(1, 2))
    with pytest.raises(IndexOutOfRangeError, match="4"):
        model[4]
    with pytest.raises(ArgumentError, match="index"):
        model["one"]


def test_editing_after_the_first_call_takes_effect():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    assert model(samara.ones(1, 2)).shape == (1, 1)
    model.append(nn.Linear(1, 7))
    assert model(samara.ones(1, 2)).shape == (1, 7)
    model[2] = nn.Linear(1, 4)
    assert model(samara.ones(1, 2)).shape == (1, 4)


@pytest.mark.parametrize("value", [3, "relu", None, nn.ReLU])
def test_sequential_refuses_what_is_no_layer(value):
    with pytest.raises(ArgumentError, match="Fix: "):
        nn.Sequential(nn.Linear(2, 2), value)


def test_module_list_and_dict():
    layers = nn.ModuleList([nn.Linear(1, 1)])
    layers += [nn.Linear(1, 2)]
    layers.append(nn.Linear(2, 1))
    assert names(layers)[::2] == ["0.weight", "1.weight", "2.weight"]
    assert len(layers[1:]) == 2
    assert len(layers + [nn.ReLU()]) == 4
    with pytest.raises(ArgumentError, match="Module"):
        layers.append(lambda x: x)
    table = nn.ModuleDict({"a": nn.Linear(1, 1)})
    table["b"] = nn.ReLU()
    assert list(table) == ["a", "b"]
    assert "a" in table
    assert names(table) == ["a.weight", "a.bias"]
    assert table.a is table["a"]
    del table["a"]
    assert names(table) == []
    with pytest.raises(KeyError, match="b"):
        table["a"]
    with pytest.raises(ArgumentError, match="name"):
        table["x.y"] = nn.ReLU()


def test_parameter_list_and_dict():
    values = nn.ParameterList([samara.zeros(2), nn.Parameter(samara.ones(3))])
    assert names(values) == ["0", "1"]
    assert all(isinstance(value, nn.Parameter) for value in values)
    table = nn.ParameterDict({"w": samara.zeros(2, 2)})
    assert names(table) == ["w"]
    assert table["w"].requires_grad
    with pytest.raises(ArgumentError, match=r"nn\.Parameter"):
        values.append("text")

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.values = values
            self.table = table

    assert names(Model()) == ["values.0", "values.1", "table.w"]
