"""Initialisers: their distributions, and that a value depends on its place alone."""

import math

import numpy as np
import pytest

import samara
from samara import nn
from samara.errors import ArgumentError, SamaraError, ShapeError


def state(model):
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


def assert_same(a, b, shared=None):
    for name in shared or a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


class Net(nn.Module):
    def __init__(self, extra=False):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 8))
        if extra:
            self.added = nn.Linear(8, 8)
            self.more = [nn.Linear(2, 2)]
        self.heads = [nn.Linear(8, 2), nn.Linear(8, 2)]
        self.scale = nn.Parameter(samara.empty(2))
        nn.init.normal_(self.scale)
        nn.init.xavier_uniform_(self.heads[1].weight)

    def forward(self, x):
        return (self.heads[0](self.encoder(x)) + self.heads[1](self.encoder(x))) * self.scale


def test_adding_a_layer_leaves_the_others_bit_identical():
    samara.seed(0)
    small = state(Net())
    samara.seed(0)
    large = state(Net(extra=True))
    assert set(large) > set(small)
    assert_same(small, large)


def test_order_of_use_and_depth_of_first_access_do_not_matter():
    samara.seed(0)
    expected = state(Net())
    samara.seed(0)
    first_called = Net()
    first_called(samara.ones(1, 3))
    assert_same(expected, state(first_called))
    samara.seed(0)
    first_read_inside = Net()
    _ = first_read_inside.encoder[2].weight.detach().numpy()
    _ = first_read_inside.scale.detach().numpy()
    assert_same(expected, state(first_read_inside))
    samara.seed(0)
    part_called = Net()
    part_called.encoder(samara.ones(1, 3))
    assert_same(expected, state(part_called))
    samara.seed(0)
    listed_layer_read = Net()
    _ = listed_layer_read.heads[0].weight.detach().numpy()
    assert_same(expected, state(listed_layer_read))


def test_drawing_random_numbers_in_between_does_not_matter():
    samara.seed(0)
    expected = state(Net())
    samara.seed(0)
    model = Net()
    samara.rand(100)
    assert_same(expected, state(model))


def test_a_model_belongs_to_the_seed_it_was_made_under():
    samara.seed(0)
    a = Net()
    samara.seed(0)
    b = Net()
    samara.seed(1)
    c = Net()
    samara.seed(5)
    # Used in another order, and under another seed, than they were made.
    state_c, state_b, state_a = state(c), state(b), state(a)
    assert_same(state_a, state_b)
    assert not np.array_equal(state_a["encoder.0.weight"], state_c["encoder.0.weight"])


def test_two_models_under_one_seed_differ():
    samara.seed(0)
    a, b = Net(), Net()
    assert not np.array_equal(state(a)["encoder.0.weight"], state(b)["encoder.0.weight"])
    assert not np.array_equal(
        nn.Linear(4, 4).weight.detach().numpy(), nn.Linear(4, 4).weight.detach().numpy()
    )


def test_layers_of_the_same_shape_in_one_model_differ():
    values = state(Net())
    assert not np.array_equal(values["heads.0.bias"], values["heads.1.bias"])
    blocks = nn.Sequential(*[nn.Linear(4, 4) for _ in range(3)])
    weights = [layer.weight.detach().numpy() for layer in blocks]
    assert len({w.tobytes() for w in weights}) == 3


def test_blocks_that_initialise_themselves_are_keyed_by_place():
    class Block(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.inner = nn.Linear(width, width)
            nn.init.orthogonal_(self.inner.weight)
            self.gain = nn.Parameter(samara.empty(width))
            nn.init.uniform_(self.gain)

    class Tower(nn.Module):
        def __init__(self, extra):
            super().__init__()
            if extra:
                self.new = Block(6)
            self.a = Block(4)
            self.b = Block(4)

    samara.seed(3)
    plain = state(Tower(extra=False))
    samara.seed(3)
    grown = state(Tower(extra=True))
    assert_same(plain, grown)
    assert not np.array_equal(plain["a.gain"], plain["b.gain"])


def test_a_value_read_while_constructing_is_the_value_that_stays():
    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)
            self.seen = self.layer.weight.detach().clone().numpy().copy()
            self.own = nn.Parameter(samara.empty(4))
            nn.init.normal_(self.own)
            self.own_seen = self.own.detach().numpy().copy()

    model = Reader()
    values = state(model)
    np.testing.assert_array_equal(values["layer.weight"], model.seen)
    np.testing.assert_array_equal(values["own"], model.own_seen)


def test_an_edit_after_init_in_a_constructor_is_kept():
    class Edited(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)
            weight = self.layer.weight
            nn.init.normal_(weight)
            with samara.no_grad():
                weight.copy_(samara.full((3, 3), 0.5))

    assert (state(Edited())["layer.weight"] == 0.5).all()


def test_init_on_a_layer_before_it_is_attached():
    class Listed(nn.Module):
        def __init__(self, count):
            super().__init__()
            self.layers = []
            for _ in range(count):
                layer = nn.Linear(4, 4)
                nn.init.normal_(layer.weight)
                nn.init.zeros_(layer.bias)
                self.layers.append(layer)

    samara.seed(0)
    two = state(Listed(2))
    samara.seed(0)
    three = state(Listed(3))
    assert_same(two, three)
    assert (two["layers.0.bias"] == 0).all()
    assert not np.array_equal(two["layers.0.weight"], two["layers.1.weight"])


def test_apply_in_the_constructor_is_keyed_by_place():
    def reset(module):
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)

    class Transformer(nn.Module):
        def __init__(self, extra):
            super().__init__()
            self.a = nn.Linear(8, 8)
            if extra:
                self.x = nn.Linear(8, 8)
            self.b = nn.Linear(8, 8)
            self.apply(reset)

    samara.seed(0)
    plain = state(Transformer(False))
    samara.seed(0)
    grown = state(Transformer(True))
    assert_same(plain, grown)
    assert np.abs(plain["a.weight"]).max() < 0.15


def test_init_after_the_first_use_draws_anew_and_repeats_under_the_seed():
    samara.seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    first = state(model)["0.weight"]
    model[0].reset_parameters()
    second = state(model)["0.weight"]
    model[0].reset_parameters()
    third = state(model)["0.weight"]
    assert len({first.tobytes(), second.tobytes(), third.tobytes()}) == 3
    samara.seed(0)
    again = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    np.testing.assert_array_equal(state(again)["0.weight"], first)
    again[0].reset_parameters()
    np.testing.assert_array_equal(state(again)["0.weight"], second)


def test_lazy_layers_are_keyed_by_place_too():
    samara.seed(0)
    known = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    samara.seed(0)
    lazy = nn.Sequential(nn.Linear(out_features=4), nn.ReLU(), nn.LazyLinear(2))
    lazy(samara.ones(1, 3))
    assert_same(state(known), state(lazy))


def test_a_given_key_decides_alone():
    key = samara.random.key(7).fold("x")
    a = nn.init.normal_(samara.empty(5), key=key).numpy()
    samara.rand(3)
    np.testing.assert_array_equal(nn.init.normal_(samara.empty(5), key=key).numpy(), a)


# --- distributions: mean and spread of many samples against the formulas of the papers -----------

N_OUT, N_IN = 300, 200
FAN = {"fan_in": N_IN, "fan_out": N_OUT}


@pytest.mark.parametrize(
    ("fill", "std"),
    [
        (lambda t: nn.init.uniform_(t, -3.0, 1.0), 4 / math.sqrt(12)),
        (lambda t: nn.init.normal_(t, -1.0, 0.5), 0.5),
        (nn.init.xavier_uniform_, math.sqrt(2 / (N_IN + N_OUT))),
        (lambda t: nn.init.xavier_normal_(t, gain=2.0), 2 * math.sqrt(2 / (N_IN + N_OUT))),
        (lambda t: nn.init.kaiming_uniform_(t, nonlinearity="relu"), math.sqrt(2 / N_IN)),
        (
            lambda t: nn.init.kaiming_normal_(t, mode="fan_out", nonlinearity="relu"),
            math.sqrt(2 / N_OUT),
        ),
        (lambda t: nn.init.kaiming_normal_(t, a=1.0), math.sqrt(1 / N_IN)),
    ],
)
def test_standard_deviation(fill, std):
    samara.seed(0)
    values = fill(samara.empty(N_OUT, N_IN)).numpy().astype(np.float64)
    assert np.std(values) == pytest.approx(std, rel=0.02)


def test_uniform_stays_in_its_range_and_normal_has_its_mean():
    samara.seed(0)
    values = nn.init.uniform_(samara.empty(100_000), -3.0, 1.0).numpy()
    assert values.min() >= -3.0
    assert values.max() < 1.0
    assert values.mean() == pytest.approx(-1.0, abs=0.02)
    assert nn.init.normal_(samara.empty(100_000), 2.0).numpy().mean() == pytest.approx(2, abs=0.02)


def test_fan_of_convolution_shapes_counts_the_field():
    values = nn.init.kaiming_normal_(samara.empty(64, 32, 3, 3), nonlinearity="relu").numpy()
    assert values.std() == pytest.approx(math.sqrt(2 / (32 * 9)), rel=0.03)


@pytest.mark.parametrize(("a", "b"), [(-2.0, 2.0), (-0.5, 3.0), (0.1, 0.4)])
def test_truncated_normal_follows_its_distribution(a, b):
    from scipy import stats

    samara.seed(0)
    mean, std = 0.2, 0.8
    values = nn.init.trunc_normal_(samara.empty(50_000), mean, std, a, b).numpy()
    low, high = (a - mean) / std, (b - mean) / std
    assert values.min() >= np.float32(a)
    assert values.max() <= np.float32(b)
    reference = stats.truncnorm(low, high, loc=mean, scale=std)
    assert stats.kstest(values.astype(np.float64), reference.cdf).pvalue > 1e-4


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (4, 2, 3)])
def test_orthogonal(shape):
    q = nn.init.orthogonal_(samara.empty(*shape), gain=2.0).numpy().astype(np.float64)
    q = q.reshape(shape[0], -1) / 2.0
    product = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-6)


def test_constants_and_eye():
    assert (nn.init.constant_(samara.empty(3), 2.5).numpy() == 2.5).all()
    assert (nn.init.ones_(samara.empty(3)).numpy() == 1).all()
    assert (nn.init.zeros_(samara.ones(3)).numpy() == 0).all()
    np.testing.assert_array_equal(nn.init.eye_(samara.empty(2, 3)).numpy(), np.eye(2, 3))


def test_initialisers_return_the_tensor_and_leave_the_graph_alone():
    p = nn.Parameter(samara.zeros(3, 3))
    assert nn.init.normal_(p) is p
    assert p.is_leaf
    assert p.requires_grad


def test_gains_are_pytorchs():
    assert nn.init.calculate_gain("linear") == 1
    assert nn.init.calculate_gain("tanh") == pytest.approx(5 / 3)
    assert nn.init.calculate_gain("relu") == pytest.approx(math.sqrt(2))
    assert nn.init.calculate_gain("leaky_relu", 0.2) == pytest.approx(math.sqrt(2 / 1.04))
    assert nn.init.calculate_gain("selu") == 0.75


def test_linear_default_is_pytorchs():
    samara.seed(0)
    layer = nn.Linear(400, 300)
    bound = 1 / math.sqrt(400)
    for values in (layer.weight.detach().numpy(), layer.bias.detach().numpy()):
        assert np.abs(values).max() <= bound
        assert np.abs(values).max() > 0.9 * bound
    assert layer.weight.detach().numpy().std() == pytest.approx(bound / math.sqrt(3), rel=0.02)


def test_init_by_name_per_layer_and_for_a_model():
    q = nn.Linear(4, 4, init="orthogonal").weight.detach().numpy()
    np.testing.assert_allclose(q @ q.T, np.eye(4), atol=1e-6)
    model = nn.Sequential(nn.Linear(64, 64), nn.LayerNorm(64), nn.Linear(64, 64))
    nn.init.initialize(model, "xavier_normal")
    assert model[0].weight.detach().numpy().std() == pytest.approx(math.sqrt(1 / 64), rel=0.05)
    assert (model[2].bias.detach().numpy() == 0).all()
    assert (model[1].weight.detach().numpy() == 1).all()
    with pytest.raises(ArgumentError, match="xavier_normal"):
        nn.Linear(2, 2, init="xavier_norml")


def test_bad_input():
    with pytest.raises(ShapeError, match=r"\(3,\)"):
        nn.init.xavier_uniform_(samara.empty(3))
    with pytest.raises(ArgumentError, match="fan_in"):
        nn.init.kaiming_normal_(samara.empty(3, 3), mode="fan_inn")
    with pytest.raises(ArgumentError, match="relu"):
        nn.init.calculate_gain("rleu")
    with pytest.raises(ArgumentError, match="std"):
        nn.init.normal_(samara.empty(3), std=-1.0)
    with pytest.raises(SamaraError, match="a < b"):
        nn.init.trunc_normal_(samara.empty(3), a=1.0, b=-1.0)
