"""A second device whose memory only kernels can reach: nothing assumes the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import samara
from samara.errors import DeviceError, DTypeError, SamaraError


@pytest.fixture(scope="module", autouse=True)
def null_device() -> None:
    samara._core.register_host_backed_device("null")


def data(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_the_device_is_known_and_kept() -> None:
    x = samara.ones(2, 3, device="null")
    assert x.device == "null" and repr(x.device) == "device('null')"
    assert (x + 1).device == x.device and x[0].device == x.device and x.T.device == x.device
    assert samara.zeros_like(x).device == x.device
    assert "device='null'" in repr(x)
    assert x.tolist() == [[1.0] * 3] * 2 and x[1, 2].item() == 1.0
    assert x.to("cpu").device == "cpu" and x.to("null") is x
    with samara.device("null"):
        assert samara.zeros(2).device == "null"
        assert samara.tensor([1.0]).device == "null"
    assert samara.zeros(2).device == "cpu"


COMPUTATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "arithmetic": lambda x, y: (x + y * 2 - 1) / (y * y + 1),
    "broadcast": lambda x, y: x * y[0] + y[:, :1],
    "reductions": lambda x, y: x.sum(axis=0) + y.mean(axis=0) + x.max(axis=0),
    "variance": lambda x, y: x.var(axis=1) + y.std(),
    "matmul": lambda x, y: x @ y.T,
    "softmax": lambda x, y: samara.log_softmax(x, axis=-1) + samara.softmax(y, axis=0),
    "views": lambda x, y: x.T.reshape(-1)[::2] + y.flip(0).permute(1, 0).reshape(-1)[::2],
    "joins": lambda x, y: samara.concat([x, samara.stack([y, y])[0]], axis=1),
    "indexing": lambda x, y: x[[0, 2, 2]] + y[1:4, :][:, [True] * 5],
    "activation": lambda x, y: samara.gelu(x) + samara.silu(y) + x.relu().tanh(),
    "where": lambda x, y: samara.where(x > y, x.exp(), y.abs()),
    "sort": lambda x, y: samara.sort(x, axis=1) + samara.topk(y, 5).values,
    "cumsum": lambda x, y: x.cumsum(1) + y.clamp(-0.5, 0.5),
    "linear": lambda x, y: samara.linear(x, y, y.sum(axis=1)),
    "layer_norm": lambda x, y: samara.layer_norm(x, (5,), y[0], y[1]),
    "half": lambda x, y: (x.to(samara.float16) * y.to(samara.bfloat16)).to(samara.float32),
}


@pytest.mark.parametrize("name", COMPUTATIONS)
def test_computations_and_gradients_agree_with_the_cpu(name: str) -> None:
    results = []
    for device in ("cpu", "null"):
        x = samara.tensor(data(4, 5), device=device, requires_grad=True)
        y = samara.tensor(data(4, 5, seed=1), device=device, requires_grad=True)
        result = COMPUTATIONS[name](x, y)
        assert result.device == device
        result.sum().backward()
        assert x.grad is not None and x.grad.device == device
        slopes = [leaf.grad.tolist() for leaf in (x, y) if leaf.grad is not None]
        results.append([result.tolist(), slopes])
    assert results[0] == results[1]


def test_in_place_and_assignment() -> None:
    results = []
    for device in ("cpu", "null"):
        x = samara.tensor(data(4, 5), device=device)
        x += 1
        x[1:3] = 0.0
        x[:, 2] = samara.arange(4, dtype=samara.float32, device=device)
        x[x < 0] = -1.0
        x[0, 0] = 9.0
        x.clamp_(-1.0, 5.0)
        results.append(x.tolist())
    assert results[0] == results[1]


def test_random_numbers_do_not_depend_on_the_device() -> None:
    key = samara.random.key(5)
    for draw in (samara.rand, samara.randn):
        assert draw(3, 4, key=key, device="null").tolist() == draw(3, 4, key=key).tolist()


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_training_gives_the_cpu_parameters(name: str) -> None:
    results = []
    for device in ("cpu", "null"):
        model = samara.nn.Sequential(
            samara.nn.Linear(5, 8), samara.nn.ReLU(), samara.nn.Linear(8, 3)
        )
        for path, parameter in model.named_parameters():
            size = tuple(parameter.shape)
            parameter.data = samara.tensor(data(*size, seed=len(path)), device=device)
        optimizer = getattr(samara.optim, name)(model.parameters(), lr=0.05)
        inputs = samara.tensor(data(16, 5), device=device)
        labels = samara.tensor(np.arange(16) % 3, device=device)
        for _ in range(4):
            optimizer.zero_grad()
            samara.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
        results.append([p.tolist() for p in model.parameters()])
    assert results[0] == results[1]


def test_errors_have_the_same_text_on_every_device() -> None:
    calls: list[Callable[[str], Any]] = [
        lambda d: samara.ones(2, device=d) + samara.ones(3, device=d),
        lambda d: samara.ones(2, device=d)[5],
        lambda d: samara.softmax(samara.ones(2, device=d), axis=4),
        lambda d: samara.ones(2, 3, device=d) @ samara.ones(2, 3, device=d),
    ]
    for call in calls:
        texts = []
        for device in ("cpu", "null"):
            with pytest.raises(SamaraError) as caught:
                call(device)
            texts.append(str(caught.value))
        assert texts[0] == texts[1]


def test_devices_do_not_mix() -> None:
    x, y = samara.ones(2), samara.ones(2, device="null")
    for mix in (
        lambda: x + y,
        lambda: y @ x,
        lambda: samara.concat([x, y]),
        lambda: samara.where(x > 0, x, y),
        lambda: x.add_(y),
        lambda: x.copy_(y),
    ):
        with pytest.raises(DeviceError, match=r"'cpu'.*'null'|'null'.*'cpu'"):
            mix()
    assert (x + y.to(x.device)).tolist() == [2.0, 2.0]


def test_memory_of_another_device_is_not_handed_out() -> None:
    y = samara.ones(2, device="null")
    with pytest.raises(DeviceError, match=r"to\('cpu'\)"):
        y.numpy()
    for reach in (lambda: memoryview(y), lambda: np.from_dlpack(y)):
        with pytest.raises((BufferError, DeviceError)):
            reach()
    assert y.numpy(force=True).tolist() == [1.0, 1.0]


def test_unknown_and_absent_devices() -> None:
    with pytest.raises(SamaraError, match=r"'tpu'.*Expected .*Fix: "):
        samara.ones(2, device="tpu")
    if not samara.is_available("cuda"):
        with pytest.raises(DeviceError, match=r"cuda.*Expected .*Fix: "):
            samara.ones(2, device="cuda")


def test_devices_by_name_number_and_type() -> None:
    device = samara.device
    assert device("cpu") == device("cpu", 0) == device(type="cpu") == samara.Device("cpu")
    assert device(device("cpu")) == device("auto") == samara.zeros(1).device
    assert isinstance(samara.zeros(1).device, device) and not isinstance("cpu", device)
    gpu = device("cuda", 1)
    assert gpu == device("cuda:1") == device(1) and (gpu.type, gpu.index) == ("cuda", 1)
    assert len({device("cpu"), device("cpu"), gpu}) == 2
    for wrong in (None, 1.5, True, ["cpu"]):
        with pytest.raises(DTypeError, match="Expected 'auto', a name such as 'cpu'"):
            device(wrong)
    with pytest.raises(DeviceError, match="device 'gpu' is not known"):
        device("gpu")


def test_a_device_is_taken_wherever_one_may_be_named() -> None:
    null = samara.device("null")
    x = samara.ones(2, device="cpu")
    moved = [
        samara.zeros(2, device=null),
        x.to(null),
        x.to(device=null, dtype=samara.float64),
        samara.tensor([1.0], device=null),
        samara.zeros_like(x, device=null),
        samara.nn.Linear(2, 2, device=null).weight,
        samara.nn.Linear(2, 2).to(null).weight,
    ]
    assert all(y.device == null for y in moved)
    assert samara.Generator(device=null).device == null


def test_blocks_of_devices_nest() -> None:
    with samara.device("null") as outer:
        with samara.device("cpu"), samara.device("null"):
            assert samara.zeros(1).device == outer
        with pytest.raises(ZeroDivisionError), samara.device("cpu"):
            assert samara.zeros(1).device == samara.device("cpu")
            _ = 1 / 0
        assert samara.zeros(1).device == outer
    assert samara.zeros(1).device == samara.device("cpu")
    with pytest.raises(DeviceError, match="'cuda:0' is not available"), samara.device("cuda"):
        pass
    assert samara.zeros(1).device == samara.device("cpu")
