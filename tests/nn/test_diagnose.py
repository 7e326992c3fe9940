"""Parameters nothing can find, parameters nothing trains, and what a model is made of."""

import functools

import pytest

import samara
from samara import nn
from samara.errors import TrainingError
from samara.nn import diagnose


class Holder(nn.Module):
    def __init__(self, **attributes):
        super().__init__()
        self.main = nn.Linear(3, 3)
        for name, value in attributes.items():
            setattr(self, name, value)
        self.used = None

    def forward(self, x):
        return self.used(self.main(x)) if self.used else self.main(x)


class Plain:
    def __init__(self, layer):
        self.layer = layer


def report_for(model, layer):
    model.__dict__["used"] = None
    loss = (model.main(samara.ones(2, 3)) + layer(samara.ones(2, 3))).sum()
    return diagnose.unreachable_parameters(model, loss)


def holders(layer):
    def closure(x):
        return layer(x)

    def default(x, inner=layer):
        return inner(x)

    return {
        "set": {layer},
        "closure": closure,
        "lambda": lambda x: layer(x),
        "default": default,
        "partial": functools.partial(lambda inner, x: inner(x), layer),
        "object": Plain(layer),
        "generator": (item for item in [layer]),
        "bound": layer.forward,
    }


@pytest.mark.parametrize("kind", list(holders(nn.Linear(1, 1))))
def test_hidden_parameters_are_found_and_placed(kind):
    layer = nn.Linear(3, 3)
    model = Holder(branch=holders(layer)[kind])
    report = report_for(model, layer)
    assert {item.shape for item in report.hidden} == {(3, 3), (3,)}
    if kind != "generator":  # its list is held by the generator's frame under a made-up name
        assert all("model.branch" in item.where for item in report.hidden), report
    assert report.untrained == []
    assert "Fix: " in str(report)
    model.used = layer
    hidden = Holder(branch=holders(layer)[kind])
    with pytest.raises(TrainingError, match=r"hidden parameter of shape \(3"):
        diagnose.check_reach(hidden, layer(hidden.main(samara.ones(1, 3))).sum())


def test_lists_dicts_and_tuples_hide_nothing():
    layer = nn.Linear(3, 3)
    for held in ([layer], (layer,), {"k": layer}, [[layer]]):
        assert not report_for(Holder(branch=held), layer).hidden


def test_parameters_the_loss_does_not_reach_are_named():
    model = Holder(side=nn.Linear(3, 3))
    report = diagnose.unreachable_parameters(model, model.main(samara.ones(1, 3)).sum())
    assert report.untrained == ["side.weight", "side.bias"]
    assert report
    model.side.requires_grad_(False)
    report = diagnose.unreachable_parameters(model, model.main(samara.ones(1, 3)).sum())
    assert not report
    assert "every parameter" in str(report)


def test_an_input_that_asks_for_its_gradient_is_no_error():
    model = nn.Linear(3, 1)
    x = samara.ones(1, 3, requires_grad=True)
    report = diagnose.check_reach(model, model(x).sum())
    assert [item.is_parameter for item in report.hidden] == [False]


def test_summary_counts_each_parameter_once():
    shared = nn.Linear(4, 4)
    model = nn.Sequential(nn.Linear(3, 4), shared, nn.ReLU(), nn.Sequential(shared))
    model[0].requires_grad_(False)
    table = model.summary(samara.ones(2, 3))
    assert table.total_parameters == sum(p.numel() for p in model.parameters()) == 16 + 20
    assert table.trainable_parameters == 20
    assert sum(row.parameters for row in table.rows) == table.total_parameters
    assert {row.path: row.output_shape for row in table.rows} == {
        "": (2, 4),
        "0": (2, 4),
        "1": (2, 4),
        "2": (2, 4),
        "3": (2, 4),
    }
    assert "36" in str(table)
    assert "16 frozen" in str(table)


def test_summary_leaves_the_model_as_it_was():
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.LazyLinear(1))
    model[1].eval()
    model.summary(samara.ones(2, 3))
    assert model.training
    assert not model[1].training
    assert model._ready is False or not model._forward_hooks
    assert model[0].weight.grad is None


def test_summary_without_input_has_no_shapes():
    table = nn.summary(nn.Sequential(nn.Linear(2, 2)))
    assert [row.output_shape for row in table.rows] == [None, None]
    assert table.total_parameters == 6
