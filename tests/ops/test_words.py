"""Printing, switches, buffers, GPUs that are not there, grids of bins."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
import pytest

import samara
from samara.errors import ArgumentError, DeviceError, DTypeError, ShapeError


@pytest.fixture
def plain_printing() -> Any:
    yield
    samara.set_printoptions(profile="default")
    samara.printing._options["sci_mode"] = None


def test_print_options(plain_printing: None) -> None:
    x = samara.tensor([1 / 3, 2.0e-5])
    samara.set_printoptions(precision=2, sci_mode=False)
    assert repr(x) == "tensor([0.33, 0.00])"
    samara.set_printoptions(sci_mode=True)
    assert repr(x) == "tensor([3.33e-01, 2.00e-05])"
    samara.set_printoptions(profile="full")
    assert repr(samara.zeros(2000, dtype=samara.int64)).count("0") == 2000
    samara.set_printoptions(profile="short", threshold=5, edgeitems=1)
    assert repr(samara.arange(6)) == "tensor([0, ..., 5])"
    samara.set_printoptions(linewidth=20, threshold=99)
    assert max(len(line) for line in repr(samara.arange(30)).splitlines()) <= 21
    with pytest.raises(ArgumentError, match="profile is 'long'"):
        samara.set_printoptions(profile="long")
    with pytest.raises(ArgumentError, match="precision is -1"):
        samara.set_printoptions(precision=-1)


def test_switches_of_other_libraries() -> None:
    before = samara.get_float32_matmul_precision()
    samara.set_float32_matmul_precision("medium")
    assert samara.get_float32_matmul_precision() == "medium"
    samara.set_float32_matmul_precision(before)
    with pytest.raises(ArgumentError, match="precision is 'low'"):
        samara.set_float32_matmul_precision("low")
    samara.use_deterministic_algorithms(True, warn_only=True)
    assert samara.are_deterministic_algorithms_enabled()
    samara.backends.cudnn.benchmark = True
    assert samara.backends.cudnn.benchmark is True
    samara.backends.cuda.matmul.allow_tf32 = True
    assert not samara.backends.mps.is_available()
    with pytest.raises(ArgumentError, match=r"backends\.cudnn: 'benchmrk' is no switch"):
        samara.backends.cudnn.benchmrk = True
    with pytest.raises(NotImplementedError, match="compile: there is none"):
        samara.compile(samara.nn.ReLU(), mode="max-autotune")


def test_there_is_no_gpu() -> None:
    device = samara.device("cuda" if samara.cuda.is_available() else "cpu")
    with device as chosen:
        assert samara.zeros(2).device == chosen == samara.get_default_device()
    assert samara.cuda.device_count() == 0 == samara.cuda.memory_allocated()
    samara.cuda.manual_seed_all(3)
    samara.cuda.empty_cache()
    for question in (
        samara.cuda.current_device,
        samara.cuda.get_device_name,
        samara.cuda.synchronize,
    ):
        with pytest.raises(DeviceError, match="there is no GPU"):
            question()


def test_the_default_device() -> None:
    samara._core.register_host_backed_device("null")
    samara.set_default_device("null")
    try:
        assert samara.zeros(2).device == samara.Device("null")
    finally:
        samara.set_default_device(None)
    assert samara.zeros(2).device == samara.Device("cpu")
    with pytest.raises(DeviceError, match="'cuda:0' is not available"):
        samara.set_default_device("cuda")


def test_what_holds_of_a_tensor() -> None:
    x = samara.zeros(2, 1, dtype=samara.int8)
    assert samara.is_signed(x) and x.is_signed() and not x.bool().is_signed()
    assert x.is_same_size(samara.zeros(2, 1)) and not samara.is_same_size(x, x[0])
    assert samara.typename(x) == "samara.CharTensor" and samara.typename(1.5) == "float"
    assert samara.typename(samara.nn.ReLU()) == samara.typename(samara.nn.ReLU)
    assert samara.typename(samara.nn.ReLU).endswith(".ReLU")
    with pytest.raises(DTypeError, match="is_signed"):
        samara.is_signed(3)


def test_tensors_of_buffers() -> None:
    numbers = array.array("d", [1.5, -2.0, 4.0])
    x = samara.frombuffer(numbers, dtype=samara.float64, count=2, offset=8)
    assert x.tolist() == [-2.0, 4.0]
    numbers[1] = 7.0
    assert x[0].item() == 7.0
    x[1] = 0.0
    assert numbers[2] == 0.0
    y = samara.frombuffer(b"\x00\x00\x80\x3f", dtype=samara.float32, requires_grad=True)
    assert y.requires_grad and y.tolist() == [1.0]
    for options in ({"dtype": samara.int32, "count": 9}, {"dtype": samara.int64}):
        with pytest.raises(ArgumentError, match=r"frombuffer: buffer .* Fix: correct count"):
            samara.frombuffer(b"1234", **options)
    with pytest.raises(DTypeError, match="Expected a buffer"):
        samara.frombuffer([1, 2], dtype=samara.int32)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("density", [False, True])
def test_grids_of_bins(weighted: bool, density: bool) -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(5, 8, 3))
    points[0, 0] = points[0, 1, 2] = 3.0
    weight = rng.uniform(size=(5, 8)) if weighted else None
    flat = None if weight is None else weight.reshape(-1)
    edges = [np.array([-2.0, -0.5, 0.0, 3.0]), np.array([-1.0, 1.0]), np.linspace(-3, 3, 5)]
    for bins, limits in (
        ([2, 3, 4], None),
        (3, [(-2.0, 2.0), (-1.0, 1.0), (-3.0, 3.0)]),
        (edges, None),
    ):
        hist, expected = np.histogramdd(points.reshape(-1, 3), bins, limits, density, flat)
        given: Any = [samara.tensor(e) for e in bins] if bins is edges else bins
        spread = None if limits is None else [edge for pair in limits for edge in pair]
        found = samara.histogramdd(
            samara.tensor(points),
            given,
            range=spread,
            weight=None if weight is None else samara.tensor(weight),
            density=density,
        )
        np.testing.assert_allclose(found.hist.numpy(), hist, rtol=1e-12)
        for a, b in zip(found.bin_edges, expected, strict=True):
            np.testing.assert_allclose(a.numpy(), b, rtol=1e-12, atol=1e-12)


def test_grids_that_do_not_fit() -> None:
    x = samara.ones(4, 3)
    with pytest.raises(ArgumentError, match="2 entries in bins for 3 axes"):
        samara.histogramdd(x, [2, 2])
    with pytest.raises(ArgumentError, match="bins is 0"):
        samara.histogramdd(x, 0)
    with pytest.raises(ArgumentError, match="range has 2 numbers"):
        samara.histogramdd(x, 2, (0.0, 1.0))
    with pytest.raises(ArgumentError, match="out of order"):
        samara.histogramdd(x, [samara.tensor([1.0, 0.0])] * 3)
    with pytest.raises(ShapeError, match="weight has shape"):
        samara.histogramdd(x, 2, weight=samara.ones(3))
    with pytest.raises(ShapeError, match="Expected points"):
        samara.histogramdd(samara.tensor(1.0), 2)


def test_words_of_scripts() -> None:
    assert not samara.jit.is_scripting() and not samara.jit.is_tracing()

    @samara.jit.script
    def double(x: Any) -> Any:
        return 2 * x

    @samara.jit.ignore(drop=True)
    def same(x: Any) -> Any:
        return samara.jit.annotate(int, x)

    assert double(2) == 4 and same(3) == 3 and samara.jit.unused(double) is double
    for call in (samara.jit.script, samara.jit.trace):
        with pytest.raises(NotImplementedError, match="models are not turned into scripts"):
            call(samara.nn.ReLU())
    with pytest.raises(NotImplementedError, match=r"jit\.load"):
        samara.jit.load("model.pt")
    samara._assert(samara.ones(1) > 0, "no")
    with pytest.raises(AssertionError, match="no"):
        samara._assert(False, "no")


def test_longer_names_of_layers() -> None:
    from samara.nn.modules.utils import _ntuple, _pair, _reverse_repeat_tuple

    nn = samara.nn
    assert nn.modules.Conv2d is nn.Conv2d and nn.modules.Module is nn.Module
    assert _pair(3) == (3, 3) == _pair([3, 3]) and _ntuple(5)(0) == (0,) * 5
    assert _reverse_repeat_tuple((1, 2), 2) == (2, 2, 1, 1)
    with pytest.raises(AttributeError):
        _ = nn.modules.Convolution7d


def test_tables_of_a_module() -> None:
    nn = samara.nn
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    assert list(model._modules) == ["0", "1"] and model._modules["0"] is model[0]
    assert list(model[1]._parameters) == ["weight", "bias"] and not model._parameters
    assert list(model[1]._buffers) == ["running_mean", "running_var", "num_batches_tracked"]
    with pytest.raises(TypeError):
        model._modules["0"] = nn.ReLU()


def test_schedules_of_others() -> None:
    class Halving(samara.optim.lr_scheduler._LRScheduler):
        def get_lr(self) -> list[float]:
            return [base * 0.5**self.last_epoch for base in self.base_lrs]

    optimizer = samara.optim.SGD([samara.zeros(1, requires_grad=True)], lr=1.0)
    schedule = Halving(optimizer)
    rates = []
    for _ in range(3):
        optimizer.step()
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [0.5, 0.25, 0.125]
