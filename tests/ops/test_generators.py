"""Generators: streams of random numbers under PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import samara
from samara import nn
from samara.errors import ArgumentError, DeviceError, DTypeError

DRAWS: list[Callable[[samara.Generator], samara.Tensor]] = [
    lambda g: samara.rand(5, generator=g),
    lambda g: samara.randn(2, 3, generator=g),
    lambda g: samara.randint(0, 9, (7,), generator=g),
    lambda g: samara.randperm(8, generator=g),
    lambda g: samara.multinomial(samara.ones(9), 4, generator=g),
    lambda g: samara.bernoulli(samara.full((9,), 0.5), generator=g),
    lambda g: samara.poisson(samara.full((9,), 4.0), generator=g),
    lambda g: samara.empty(4).normal_(generator=g),
    lambda g: samara.empty(4).uniform_(generator=g),
    lambda g: samara.empty(9).bernoulli_(0.5, generator=g),
    lambda g: samara.empty(4).exponential_(generator=g),
    lambda g: nn.init.normal_(samara.empty(4), generator=g),
    lambda g: nn.init.kaiming_uniform_(samara.empty(4, 3), generator=g),
    lambda g: nn.init.trunc_normal_(samara.empty(4, 3), generator=g),
    lambda g: nn.init.sparse_(samara.empty(4, 3), 0.5, generator=g),
]


@pytest.mark.parametrize("draw", DRAWS)
def test_a_generator_repeats_and_goes_on(draw: Callable[..., samara.Tensor]) -> None:
    g = samara.Generator().manual_seed(11)
    first, second = draw(g).numpy(), draw(g).numpy()
    assert (first != second).any()
    g.manual_seed(11)
    np.testing.assert_array_equal(draw(g).numpy(), first)
    # The state holds what comes next; the default stream has not moved.
    state = g.get_state()
    np.testing.assert_array_equal(draw(g).numpy(), second)
    np.testing.assert_array_equal(draw(g.set_state(state)).numpy(), second)
    copy = g.clone_state()
    np.testing.assert_array_equal(draw(copy).numpy(), draw(g).numpy())


def test_generators_leave_the_default_stream_alone() -> None:
    samara.manual_seed(5)
    expected = samara.rand(3)
    samara.manual_seed(5)
    other = samara.Generator().manual_seed(5)
    assert (samara.rand(3, generator=other) == expected).all()
    assert (samara.rand(3) == expected).all()


def test_the_default_generator_is_the_default_stream() -> None:
    assert samara.manual_seed(-1) is samara.default_generator
    assert samara.initial_seed() == 2**64 - 1 == samara.default_generator.initial_seed()
    state = samara.get_rng_state()
    assert state.dtype is samara.uint8 and state.shape == (24,)
    first = samara.rand(3)
    samara.set_rng_state(state)
    assert (samara.rand(3, generator=samara.default_generator) == first).all()
    with samara.random.fork_rng():
        samara.manual_seed(9)
        inside = samara.rand(2)
    samara.manual_seed(9)
    assert (samara.rand(2) == inside).all()
    samara.set_rng_state(state)
    assert samara.initial_seed() == 2**64 - 1


def test_unknown_seeds_differ() -> None:
    g = samara.Generator("cpu")
    assert g.device == samara.Device("cpu") and g.initial_seed() == 0
    seed = g.seed()
    assert seed == g.initial_seed() and f"seed {seed}" in repr(g) and g.seed() != seed


def test_wrong_states_and_seeds() -> None:
    g = samara.Generator()
    with pytest.raises(DTypeError, match="Expected a uint8 tensor"):
        g.set_state(samara.zeros(24))
    with pytest.raises(DTypeError, match="Expected a uint8 tensor"):
        samara.set_rng_state({"seed": 1})
    with pytest.raises(ArgumentError, match=r"shape \(5056,\)"):
        samara.set_rng_state(samara.zeros(5056, dtype=samara.uint8))
    with pytest.raises(ArgumentError, match="version 0"):
        g.set_state(samara.zeros(24, dtype=samara.uint8))
    with pytest.raises(DTypeError, match="Expected an int"):
        g.manual_seed(1.5)  # the seed of a stream is a whole number
    with pytest.raises(DeviceError, match="'cuda:0' is not available"):
        samara.Generator("cuda")
    with pytest.raises(ArgumentError, match=r"Expected a samara\.Generator"):
        samara.rand(3, generator=7)


def test_dirac_keeps_the_input() -> None:
    x = samara.randn(2, 6, 9)
    layer = nn.Conv1d(6, 6, 3, padding=1, groups=2, bias=False)
    nn.init.dirac_(layer.weight, 2)
    np.testing.assert_array_equal(layer(x).detach().numpy(), x.numpy())
    weight = nn.init.dirac_(samara.empty(4, 2, 2, 3), 2).numpy()
    expected = np.zeros((4, 2, 2, 3), np.float32)
    expected[[0, 1, 2, 3], [0, 1, 0, 1], 1, 1] = 1
    np.testing.assert_array_equal(weight, expected)
    with pytest.raises(ArgumentError, match="Expected a divisor"):
        nn.init.dirac_(samara.empty(4, 2, 3), 3)
    with pytest.raises(samara.errors.ShapeError, match="spatial axes"):
        nn.init.dirac_(samara.empty(4, 2))


def test_sparse_initial_values() -> None:
    weight = nn.init.sparse_(samara.empty(400, 30), 0.301, std=0.1).numpy()
    np.testing.assert_array_equal((weight == 0).sum(axis=0), np.full(30, 121))
    assert len({tuple(np.flatnonzero(column == 0)) for column in weight.T}) == 30
    assert abs(weight[weight != 0].std() - 0.1) < 0.005
    with pytest.raises(ArgumentError, match="sparsity is 2"):
        nn.init.sparse_(samara.empty(2, 2), 2)
    with pytest.raises(samara.errors.ShapeError, match="Expected a matrix"):
        nn.init.sparse_(samara.empty(2), 0.5)
