"""nn.utils: normed weights, parametrizations, fused norms, averaged models; against NumPy."""

import copy

import numpy as np
import pytest

import samara
from samara import nn
from samara.errors import ArgumentError, ShapeError
from samara.nn.utils import parametrizations, parametrize
from samara.optim import swa_utils

FORMS = {
    "parametrization": (
        parametrizations.weight_norm,
        lambda m: parametrize.remove_parametrizations(m, "weight"),
        ("parametrizations.weight.original0", "parametrizations.weight.original1"),
    ),
    "hook": (
        nn.utils.weight_norm,
        nn.utils.remove_weight_norm,
        ("weight_g", "weight_v"),
    ),
}


def array(x):
    return x.detach().numpy().astype(np.float64)


@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("form", list(FORMS))
def test_weight_norm(form, dim):
    norm, remove, names = FORMS[form]
    layer = nn.Linear(3, 4, dtype=samara.float64)
    before = array(layer.weight)
    norm(layer, dim=dim)
    axes = {0: 1, 1: 0, None: None}[dim]
    lengths = np.sqrt((before**2).sum(axis=axes, keepdims=dim is not None))
    state = layer.state_dict()
    assert sorted(state) == sorted(["bias", *names])
    np.testing.assert_allclose(array(state[names[0]]), lengths)
    np.testing.assert_array_equal(array(state[names[1]]), before)
    state[names[0]].mul_(2.0)
    state[names[1]].mul_(7.0)  # its length does not count
    x = samara.randn(5, 3, dtype=samara.float64)
    wanted = array(x) @ (2 * before).T + array(layer.bias)
    np.testing.assert_allclose(array(layer(x)), wanted)
    layer(x).sum().backward()
    assert all(p.grad is not None for p in layer.parameters())
    assert len(list(layer.parameters())) == 3
    remove(layer)
    assert sorted(layer.state_dict()) == ["bias", "weight"]
    np.testing.assert_allclose(array(layer(x)), wanted)


@pytest.mark.parametrize("form", ["parametrization", "hook"])
@pytest.mark.parametrize("make", [lambda: nn.Linear(4, 5), lambda: nn.ConvTranspose1d(2, 3, 3)])
def test_spectral_norm_divides_by_the_largest_singular_value(form, make):
    layer = make().double()
    weight = array(layer.weight)
    rows = np.moveaxis(weight, 1, 0) if weight.ndim > 2 else weight
    largest = np.linalg.svd(rows.reshape(len(rows), -1), compute_uv=False)[0]
    if form == "hook":
        nn.utils.spectral_norm(layer)
        ends = ("weight_orig", "weight_u", "weight_v")
    else:
        parametrizations.spectral_norm(layer)
        place = "parametrizations.weight."
        ends = (f"{place}original", f"{place}0._u", f"{place}0._v")
    assert set(ends) <= set(layer.state_dict())
    x = samara.randn((3, 4) if weight.ndim == 2 else (3, 2, 6), dtype=samara.float64)
    for _ in range(300):
        layer(x)
    layer.eval()
    u = array(layer.state_dict()[ends[1]])
    layer(x)
    np.testing.assert_array_equal(array(layer.state_dict()[ends[1]]), u)
    np.testing.assert_allclose(array(layer.weight), weight / largest, rtol=1e-6)
    layer.train()
    first, second = layer(x), layer(x)  # two calls before backward
    (first.sum() + second.sum()).backward()
    gradient = array(dict(layer.named_parameters())[ends[0]].grad)
    np.testing.assert_allclose((gradient * weight).sum(), 0.0, atol=1e-6)  # scaling w is nothing
    if form == "hook":
        nn.utils.remove_spectral_norm(layer)
    else:
        parametrize.remove_parametrizations(layer, "weight")
    assert sorted(layer.state_dict()) == ["bias", "weight"]
    np.testing.assert_allclose(array(layer.weight), weight / largest, rtol=1e-6)


class Double(nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return 2 * x

    def right_inverse(self, y):
        return y / 2


class Shift(nn.Module):
    def forward(self, x):
        return x + 1


def test_parametrizations_act_one_after_another():
    layer = nn.Linear(2, 2)
    before = array(layer.weight)
    double = Double()
    parametrize.register_parametrization(layer, "weight", double)
    np.testing.assert_allclose(array(layer.weight), before)
    parametrize.register_parametrization(layer, "weight", Shift())
    np.testing.assert_allclose(array(layer.weight), before + 1)
    assert type(layer).__name__ == "ParametrizedLinear"
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    assert isinstance(layer, nn.Linear)
    names = [name for name, _ in layer.named_parameters()]
    assert names == ["bias", "parametrizations.weight.original"]
    double.calls = 0
    with parametrize.cached():
        assert layer.weight is layer.weight
        assert double.calls == 1
    other = copy.deepcopy(layer)
    with samara.no_grad():
        other.parametrizations.weight.original.zero_()
    np.testing.assert_allclose(array(other.weight), 1.0)
    np.testing.assert_allclose(array(layer.weight), before + 1)
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    np.testing.assert_allclose(array(layer.weight), before / 2)
    assert type(layer) is nn.Linear


def test_a_parametrized_weight_is_assigned_through_the_inverse():
    layer = nn.Linear(2, 2)
    parametrize.register_parametrization(layer, "weight", Double())
    layer.weight = samara.ones(2, 2) * 6
    np.testing.assert_allclose(array(layer.parametrizations.weight.original), 3.0)
    parametrize.register_parametrization(layer, "bias", Shift())
    with pytest.raises(ArgumentError, match="right_inverse"):
        layer.bias = samara.ones(2)


@pytest.mark.parametrize("bias", [True, False])
def test_fused_norms_compute_the_same(bias):
    rng = np.random.default_rng(0)
    pairs = [
        (nn.Linear(3, 4, bias=bias), nn.BatchNorm1d(4), (5, 3), nn.utils.fuse_linear_bn_eval),
        (
            nn.Conv2d(3, 4, 3, bias=bias),
            nn.BatchNorm2d(4),
            (2, 3, 6, 6),
            nn.utils.fuse_conv_bn_eval,
        ),
        (
            nn.ConvTranspose1d(3, 4, 3, bias=bias),
            nn.BatchNorm1d(4),
            (2, 3, 6),
            lambda a, b: nn.utils.fuse_conv_bn_eval(a, b, transpose=True),
        ),
    ]
    for layer, norm, shape, fuse in pairs:
        with samara.no_grad():
            for value in (*norm.parameters(), norm.running_mean, norm.running_var):
                value.copy_(samara.tensor(rng.uniform(0.5, 2.0, size=value.shape)))
        with pytest.raises(ArgumentError, match="training mode"):
            fuse(layer, norm)
        layer.eval(), norm.eval()
        x = samara.tensor(rng.normal(size=shape).astype(np.float32))
        y = array(layer(x))
        by = (1, -1) + (1,) * (y.ndim - 2)
        mean, var, gamma, beta = (
            array(v).reshape(by)
            for v in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        )
        wanted = (y - mean) / np.sqrt(var + norm.eps) * gamma + beta
        np.testing.assert_allclose(array(fuse(layer, norm)(x)), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("use_buffers", [True, False])
@pytest.mark.parametrize("kind", ["plain", "exponential", "own"])
def test_averaged_models(kind, use_buffers):
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    options = {
        "plain": {},
        "exponential": {"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.8)},
        "own": {"avg_fn": lambda average, value, n: average + value},
    }[kind]
    averaged = swa_utils.AveragedModel(model, use_buffers=use_buffers, **options)
    rng = np.random.default_rng(0)
    history = []
    for _ in range(4):
        with samara.no_grad():
            for value in (*model.parameters(), *model.buffers()):
                if value.dtype.is_floating_point:
                    value.copy_(samara.tensor(rng.normal(size=value.shape)))
        history.append({name: array(value) for name, value in model.state_dict().items()})
        averaged.update_parameters(model)
    assert averaged.n_averaged.item() == 4
    for name, found in averaged.module.state_dict().items():
        values = [step[name] for step in history]
        if not found.dtype.is_floating_point:
            continue
        if "running" in name and not use_buffers:
            wanted = values[-1]
        elif kind == "plain":
            wanted = np.mean(values, axis=0)
        elif kind == "own":
            wanted = np.sum(values, axis=0)
        else:
            wanted = values[0]
            for value in values[1:]:
                wanted = 0.8 * wanted + 0.2 * value
        np.testing.assert_allclose(array(found), wanted, rtol=1e-5, atol=1e-6)


def test_update_bn_averages_over_the_batches():
    model = nn.Sequential(nn.BatchNorm1d(2, momentum=0.3), nn.ReLU()).eval()
    rng = np.random.default_rng(0)
    batches = [rng.normal(size=(8, 2)).astype(np.float32) for _ in range(3)]
    swa_utils.update_bn([(samara.tensor(x), None) for x in batches], model)
    np.testing.assert_allclose(
        array(model[0].running_mean), np.mean([x.mean(axis=0) for x in batches], axis=0), rtol=1e-4
    )
    np.testing.assert_allclose(
        array(model[0].running_var),
        np.mean([x.var(axis=0, ddof=1) for x in batches], axis=0),
        rtol=1e-4,
    )
    assert model[0].momentum == 0.3
    assert not model.training


def test_mistakes_are_named():
    with pytest.raises(ArgumentError, match="no parameter 'weights'"):
        nn.utils.weight_norm(nn.Linear(2, 2), "weights")
    with pytest.raises(ArgumentError, match="no parameter or buffer 'weights'"):
        parametrizations.weight_norm(nn.Linear(2, 2), "weights")
    with pytest.raises(ArgumentError, match="no such norm"):
        nn.utils.remove_spectral_norm(nn.Linear(2, 2))
    with pytest.raises(ArgumentError, match="n_power_iterations is 0"):
        parametrizations.spectral_norm(nn.Linear(2, 2), n_power_iterations=0)
    with pytest.raises(IndexError, match="dim is 2"):
        parametrizations.spectral_norm(nn.Linear(2, 2), dim=2)
    with pytest.raises(ArgumentError, match="is not parametrized"):
        parametrize.remove_parametrizations(nn.Linear(2, 2), "weight")
    with pytest.raises(ShapeError, match="the parametrization gives"):
        parametrize.register_parametrization(nn.Linear(2, 2), "weight", nn.Flatten(0))
    with pytest.raises(ArgumentError, match="Expected one of them"):
        swa_utils.AveragedModel(
            nn.Linear(1, 1), None, swa_utils.get_swa_avg_fn(), swa_utils.get_swa_multi_avg_fn()
        )
    with pytest.raises(ArgumentError, match="decay is 2"):
        swa_utils.get_ema_multi_avg_fn(2)
