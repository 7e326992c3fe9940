"""Normalising modules: state, statistics, errors, and fusion with what follows in a Sequential."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

import samara
from samara import nn
from samara.errors import ArgumentError, ShapeError

EPS = 1e-5


def normal(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def normalised(x: Any, axes: tuple[int, ...]) -> Any:
    x = x.astype(np.float64)
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + EPS)


MODULES = [
    (nn.BatchNorm1d, (4, 3)),
    (nn.BatchNorm1d, (4, 3, 5)),
    (nn.BatchNorm2d, (2, 3, 4, 5)),
    (nn.BatchNorm3d, (2, 3, 2, 3, 4)),
    (nn.InstanceNorm1d, (4, 3, 5)),
    (nn.InstanceNorm2d, (2, 3, 4, 5)),
    (nn.InstanceNorm3d, (2, 3, 2, 3, 4)),
]


@pytest.mark.parametrize(("kind", "shape"), MODULES)
def test_statistics_of_the_batch_and_then_the_running_ones(kind: Any, shape: Any) -> None:
    layer = kind(3, affine=True, track_running_stats=True)
    instance = "Instance" in kind.__name__
    x = normal(0, *shape) * 2 + 1
    axes = tuple(range(2, len(shape))) if instance else (0, *range(2, len(shape)))
    with samara.no_grad():
        layer.weight.copy_(samara.tensor([1.0, 2.0, 3.0]))
        layer.bias.copy_(samara.tensor([4.0, 5.0, 6.0]))
    sizes = (1, 3, *(1,) * (len(shape) - 2))
    weight, bias = (v.detach().numpy().reshape(sizes) for v in (layer.weight, layer.bias))
    expected = normalised(x, axes) * weight + bias
    np.testing.assert_allclose(
        layer(samara.tensor(x)).detach().numpy(), expected, rtol=1e-4, atol=1e-5
    )
    mean, var = x.astype(float).mean(axes), x.astype(float).var(axes, ddof=1)
    if instance:
        mean, var = mean.mean(0), var.mean(0)
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.9 + 0.1 * var, rtol=1e-5)
    layer.eval()
    expected = (x - layer.running_mean.numpy().reshape(sizes)) / np.sqrt(
        layer.running_var.numpy().reshape(sizes) + EPS
    ) * weight + bias
    np.testing.assert_allclose(
        layer(samara.tensor(x)).detach().numpy(), expected, rtol=1e-4, atol=1e-5
    )


def test_state_has_the_usual_names() -> None:
    keys = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    layer = nn.BatchNorm2d(3)
    assert list(layer.state_dict()) == keys
    assert [name for name, _ in layer.named_buffers()] == keys[2:]
    assert list(nn.BatchNorm1d(3, affine=False).state_dict()) == keys[2:]
    assert list(nn.BatchNorm1d(3, track_running_stats=False).state_dict()) == keys[:2]
    assert list(nn.BatchNorm1d(3, bias=False).state_dict()) == [keys[0], *keys[2:]]
    assert list(nn.InstanceNorm2d(3).state_dict()) == []
    assert list(nn.GroupNorm(1, 3).state_dict()) == keys[:2]
    assert list(nn.GroupNorm(1, 3, affine=False).state_dict()) == []
    assert layer.num_batches_tracked.dtype is samara.int64
    layer(samara.tensor(normal(0, 2, 3, 2, 2)))
    other = nn.BatchNorm2d(3)
    other.load_state_dict(layer.state_dict())
    assert other.num_batches_tracked.item() == 1
    np.testing.assert_array_equal(other.running_var.numpy(), layer.running_var.numpy())
    layer.reset_running_stats()
    assert layer.running_mean.tolist() == [0.0] * 3
    assert layer.running_var.tolist() == [1.0] * 3
    assert layer.num_batches_tracked.item() == 0
    assert layer.double().running_mean.dtype is samara.float64
    assert layer.num_batches_tracked.dtype is samara.int64


def test_descriptions() -> None:
    assert repr(nn.BatchNorm2d(3)) == (
        "BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)"
    )
    assert repr(nn.InstanceNorm1d(3)) == (
        "InstanceNorm1d(3, eps=1e-05, momentum=0.1, affine=False, bias=False, "
        "track_running_stats=False)"
    )
    assert repr(nn.GroupNorm(2, 4)) == "GroupNorm(2, 4, eps=1e-05, affine=True, bias=True)"
    assert repr(nn.LocalResponseNorm(2)) == "LocalResponseNorm(2, alpha=0.0001, beta=0.75, k=1.0)"


def test_without_momentum_the_average_is_plain() -> None:
    layer = nn.BatchNorm1d(2, momentum=None)
    batches = [normal(seed, 5, 2) for seed in range(4)]
    for batch in batches:
        layer(samara.tensor(batch))
    assert layer.num_batches_tracked.item() == 4
    means = np.mean([b.astype(float).mean(0) for b in batches], axis=0)
    variances = np.mean([b.astype(float).var(0, ddof=1) for b in batches], axis=0)
    np.testing.assert_allclose(layer.running_mean.numpy(), means, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.running_var.numpy(), variances, rtol=1e-5)


def test_without_running_statistics_the_batch_has_the_word() -> None:
    layer = nn.BatchNorm1d(2, track_running_stats=False).eval()
    x = normal(0, 6, 2)
    np.testing.assert_allclose(
        layer(samara.tensor(x)).detach().numpy(), normalised(x, (0,)), rtol=1e-4, atol=1e-5
    )
    assert layer.running_mean is None


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (nn.InstanceNorm1d, (3, 5)),
        (nn.InstanceNorm2d, (3, 5, 4)),
        (nn.InstanceNorm3d, (3, 5, 4, 2)),
    ],
)
def test_instance_norm_of_one_image(kind: Any, shape: Any) -> None:
    x = normal(0, *shape)
    y = kind(3)(samara.tensor(x)).numpy()
    np.testing.assert_allclose(y, normalised(x, tuple(range(1, len(shape)))), rtol=1e-4, atol=1e-5)
    with pytest.raises(ShapeError, match=r"axis 0.*Expected 3 channels"):
        kind(3, affine=True)(samara.ones(4, *shape[1:]))
    with pytest.warns(UserWarning, match="4 channels"):
        kind(3)(samara.tensor(normal(0, 4, *shape[1:])))


def test_group_norm() -> None:
    x = normal(0, 2, 6, 5)
    z = normalised(x.reshape(2, 3, 10), (2,)).reshape(2, 6, 5)
    np.testing.assert_allclose(
        nn.GroupNorm(3, 6)(samara.tensor(x)).detach().numpy(), z, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.LazyBatchNorm1d(), (4, 3)),
        (nn.LazyBatchNorm2d(affine=False), (2, 3, 4, 5)),
        (nn.LazyBatchNorm3d(momentum=None), (2, 3, 2, 3, 4)),
        (nn.LazyInstanceNorm1d(affine=True), (4, 3, 5)),
        (nn.LazyInstanceNorm2d(track_running_stats=True), (2, 3, 4, 5)),
        (nn.LazyInstanceNorm3d(), (2, 3, 2, 3, 4)),
        (nn.BatchNorm2d(), (2, 3, 4, 5)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_first_batch_gives_the_size(layer: Any, shape: Any) -> None:
    assert layer.num_features is None
    assert layer(samara.tensor(normal(0, *shape))).shape == shape
    assert layer.num_features == 3
    if layer.affine:
        assert layer.weight.shape == (3,)
    if layer.track_running_stats:
        assert layer.running_var.shape == (3,)


def test_a_lazy_layer_takes_its_size_from_loaded_weights() -> None:
    source, target = nn.BatchNorm1d(5), nn.LazyBatchNorm1d()
    source(samara.tensor(normal(0, 4, 5)))
    target.load_state_dict(source.state_dict())
    assert target.num_features == 5
    np.testing.assert_array_equal(target.running_mean.numpy(), source.running_mean.numpy())


@pytest.mark.parametrize("affine", [True, False])
def test_in_evaluation_batch_norm_is_a_scale_and_a_shift(affine: bool) -> None:
    layer = nn.BatchNorm2d(3, affine=affine)
    assert layer.scale_and_shift() is None
    layer(samara.tensor(normal(0, 4, 3, 2, 2)))
    if affine:
        with samara.no_grad():
            layer.weight.copy_(samara.tensor([2.0, -1.0, 0.5]))
            layer.bias.copy_(samara.tensor([1.0, 2.0, 3.0]))
    layer.eval()
    scale, shift = (v.numpy().reshape(1, 3, 1, 1) for v in layer.scale_and_shift())
    x = normal(1, 4, 3, 2, 2)
    np.testing.assert_allclose(
        layer(samara.tensor(x)).detach().numpy(), x * scale + shift, rtol=1e-5, atol=1e-5
    )
    assert nn.BatchNorm2d(3, track_running_stats=False).eval().scale_and_shift() is None


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.BatchNorm2d(-1),
        lambda: nn.BatchNorm2d(2.5),
        lambda: nn.BatchNorm1d(3, eps=0.0),
        lambda: nn.BatchNorm1d(3, momentum=1.5),
        lambda: nn.InstanceNorm1d(3, momentum=-0.1),
        lambda: nn.GroupNorm(4, 6),
        lambda: nn.GroupNorm(0, 6),
        lambda: nn.GroupNorm(2, 6, eps=-1.0),
        lambda: nn.LocalResponseNorm(-2),
    ],
)
def test_bad_arguments_name_themselves(make: Any) -> None:
    with pytest.raises(ArgumentError, match="Fix: "):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "match"),
    [
        (nn.BatchNorm1d(3), (3,), r"1 axes. Expected \[N, 3\] or \[N, 3, L\]"),
        (nn.BatchNorm1d(3), (2, 3, 4, 4), r"4 axes.*take BatchNorm2d"),
        (nn.BatchNorm2d(3), (3, 4, 4), r"3 axes. Expected \[N, 3, H, W\].*take BatchNorm1d"),
        (nn.BatchNorm3d(3), (2, 3, 4, 4), r"Expected \[N, 3, D, H, W\]"),
        (nn.InstanceNorm2d(3), (2, 3), r"Expected \[N, 3, H, W\] or \[3, H, W\]"),
        (nn.BatchNorm2d(3), (2, 5, 4, 4), r"5 channels \(axis 1\), and weight has shape \(3,\)"),
        (nn.BatchNorm2d(3, affine=False), (2, 5, 4, 4), r"running_mean has shape \(3,\)"),
        (nn.BatchNorm2d(3), (2, 4, 4, 3), r"x\.permute\(0, 3, 1, 2\)"),
        (nn.GroupNorm(3, 6), (2, 5, 4), r"5 channels \(axis 1\), and weight has shape \(6,\)"),
        (nn.LocalResponseNorm(3), (2, 5), r"at least 3 axes"),
    ],
    ids=str,
)
@pytest.mark.parametrize("fused", [False, True])
def test_a_wrong_shape_names_the_place(layer: Any, shape: Any, match: str, fused: bool) -> None:
    model = nn.Sequential(nn.Identity(), nn.Sequential(layer, nn.ReLU()))
    for module in model.modules():
        module._settle()
        module.__dict__["_ready"] = fused
    name = type(layer).__name__
    with pytest.raises(ShapeError, match=rf"^model\.1\.0 \({name}\): .*{match}"):
        model(samara.ones(*shape))


def test_one_value_per_channel() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    with pytest.raises(
        ValueError, match=r"^model\.1 \(BatchNorm1d\): batch_norm: .*more than 1 value per channel"
    ):
        model(samara.ones(1, 2))
    assert model[1].num_batches_tracked.item() == 0
    assert model.eval()(samara.ones(1, 2)).shape == (1, 3)


def test_a_batch_that_is_not_finite_is_said_once() -> None:
    model = nn.Sequential(nn.Identity(), nn.Sequential(nn.BatchNorm1d(2, momentum=None)))
    bad = samara.tensor([[1.0, 2.0], [float("nan"), 3.0]])
    with pytest.warns(RuntimeWarning, match=r"model\.1\.0 \(BatchNorm1d\)"):
        model(bad)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(bad)
        model(samara.zeros(0, 2))
    layer = model[1][0]
    assert layer.running_mean.tolist() == [0.0, 0.0]
    assert layer.num_batches_tracked.item() == 0
    good = normal(0, 4, 2)
    model(samara.tensor(good))
    np.testing.assert_allclose(layer.running_mean.numpy(), good.mean(0), rtol=1e-5)


# --- fusion ---------------------------------------------------------------------------------------


def calls_of(model: Any, x: Any) -> list[str]:
    """The names of the operations that a call runs."""
    names: list[str] = []
    with samara.autograd.observe(after=lambda name, inputs, outputs: names.append(name)):
        model(x)
    return names


ACTIVATIONS = [
    nn.ReLU(),
    nn.ReLU6(),
    nn.LeakyReLU(0.2),
    nn.SiLU(),
    nn.Hardtanh(-0.5, 0.7),
]
NORMS = [
    (lambda: nn.BatchNorm2d(4), (3, 4, 5, 6)),
    (lambda: nn.BatchNorm1d(4), (3, 4)),
    (lambda: nn.GroupNorm(2, 4), (3, 4, 5)),
    (lambda: nn.InstanceNorm1d(4, affine=True, track_running_stats=True), (3, 4, 5)),
]


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: type(a).__name__)
@pytest.mark.parametrize(("make", "shape"), NORMS)
def test_neighbours_run_as_one_and_give_the_same(make: Any, shape: Any, activation: Any) -> None:
    fused, apart = nn.Sequential(make(), activation), nn.Sequential(make(), nn.Identity())
    apart.append(activation)
    x = samara.tensor(normal(0, *shape))
    names = list(fused.state_dict())
    for training in (True, False):
        fused.train(training)
        apart.train(training)
        for seed in range(3):
            x = samara.tensor(normal(seed, *shape), requires_grad=True)
            other = samara.tensor(normal(seed, *shape), requires_grad=True)
            y, wanted = fused(x), apart(other)
            np.testing.assert_allclose(
                y.detach().numpy(), wanted.detach().numpy(), rtol=1e-6, atol=1e-6
            )
            (y * y).sum().backward()
            (wanted * wanted).sum().backward()
            np.testing.assert_allclose(x.grad.numpy(), other.grad.numpy(), rtol=1e-4, atol=1e-5)
    for one, two in zip(fused.state_dict().values(), apart.state_dict().values(), strict=True):
        np.testing.assert_allclose(one.numpy(), two.numpy(), rtol=1e-6)
    assert list(fused.state_dict()) == names
    assert len(calls_of(fused, x)) == len(calls_of(apart, x)) - 1


def pair() -> tuple[Any, Any]:
    model = nn.Sequential(nn.BatchNorm1d(2), nn.ReLU()).eval()
    x = samara.tensor([[-1.0, 1.0]])
    model(x)
    return model, x


def test_hooks_see_their_module() -> None:
    model, x = pair()
    assert "relu" not in calls_of(model, x)
    for module in model:
        seen: list[Any] = []
        handle = module.register_forward_hook(lambda m, a, y, seen=seen: seen.append(y))
        model(x)
        assert len(seen) == 1
        assert "relu" in calls_of(model, x)
        handle.remove()
        model(x)
        assert len(seen) == 2
        assert "relu" not in calls_of(model, x)


def test_a_forward_of_ones_own_is_called() -> None:
    class Doubled(nn.ReLU):
        def forward(self, input: Any) -> Any:
            return 2 * super().forward(input)

    class Shifted(nn.BatchNorm1d):
        def forward(self, input: Any) -> Any:
            return super().forward(input) + 1

    x = samara.tensor([[-1.0, 1.0]])
    for model, expected in (
        (nn.Sequential(nn.BatchNorm1d(2, eps=1e-12), Doubled()), [0.0, 2.0]),
        (nn.Sequential(Shifted(2, eps=1e-12), nn.ReLU()), [0.0, 2.0]),
    ):
        model.eval()
        for _ in range(2):
            assert model(x)[0].tolist() == pytest.approx(expected)
    model, x = pair()
    model[1].forward = lambda input: input * 3
    assert model(x)[0, 0].item() == pytest.approx(-3, rel=1e-4)


def test_editing_the_row_takes_effect() -> None:
    model, x = pair()
    model[1] = nn.Identity()
    assert model(x)[0, 0].item() < 0
    model[1] = nn.ReLU()
    assert model(x)[0, 0].item() == 0
    del model[1]
    assert model(x)[0, 0].item() < 0
    model.append(nn.LeakyReLU(0.5))
    model(x)
    assert model(x)[0, 0].item() == pytest.approx(-0.5, rel=1e-4)
    model[1].negative_slope = 0.25
    assert model(x)[0, 0].item() == pytest.approx(-0.25, rel=1e-4)
    model.insert(1, nn.Identity())
    assert model(x)[0, 0].item() == pytest.approx(-0.25, rel=1e-4)
    del model[:]
    assert model(x) is x


def test_copies_and_pickles_run_alike() -> None:
    model, x = pair()
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        for _ in range(2):
            np.testing.assert_array_equal(other(x).detach().numpy(), model(x).detach().numpy())
        other[0].running_mean.copy_(samara.ones(2))
        assert model[0].running_mean.tolist() == [0.0, 0.0]
