"""Recurrent networks, attention, an encoder, and a step of a variational autoencoder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch

import samara
from benchmarks.convolution import peak
from benchmarks.measure import Row, compare

GROUP = "sequence models"
LIBRARIES = (samara, torch)

# Peak memory of one attention, above what was there before it, in a process of its own.
ATTENTION_MEMORY = """
import numpy, {0} as lib
def peak():
    return int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) / 1024
rng = numpy.random.default_rng(0)
shape = (4, 8, 1024, 64)
q, k, v = (
    lib.tensor(rng.normal(size=shape).astype('float32'), requires_grad=True) for _ in range(3)
)
small = [x[:1, :1, :64].detach().requires_grad_() for x in (q, k, v)]
attention = lib.nn.functional.scaled_dot_product_attention
attention(*small).sum().backward()
before = peak()
attention(q, k, v).sum().backward()
print(peak() - before)
"""


def parameters(model: Any) -> dict[str, np.ndarray]:
    """PyTorch's weights as arrays."""
    return {name: value.detach().numpy() for name, value in model.state_dict().items()}


def both(make: Callable[[Any], Any]) -> list[Any]:
    """The same model in both libraries, with the same weights."""
    own, peer = make(samara), make(torch)
    own.load_state_dict(parameters(peer))
    return [own, peer]


@cache
def gemm_peak() -> float:
    """Operations per second of a large product, measured once a run."""
    return peak()


def with_share(row: Row, operations: float) -> Row:
    """The row with its part of the peak; `operations` are those of its matrix products."""
    share = operations / row.samara / gemm_peak()
    return replace(row, note=f"{100 * share:.0f} % of the GEMM peak")


def lstm() -> Iterator[Row]:
    """One layer, 256 wide, 64 steps of 32 sequences, forward and backward."""
    x = np.random.default_rng(0).normal(size=(64, 32, 256)).astype(np.float32)
    steps = []
    models = both(lambda library: library.nn.LSTM(256, 256))
    for library, model in zip(LIBRARIES, models, strict=True):
        given = library.tensor(x, requires_grad=True)
        steps.append(lambda model=model, given=given: model(given)[0].sum().backward())
    row = compare(GROUP, "LSTM 256, 64 steps, batch 32, fwd + bwd", *steps, 0.7, seconds=0.2)
    yield with_share(row, 3 * 2 * 64 * 32 * 4 * 256 * (256 + 256))


def cell() -> Iterator[Row]:
    """A cell that Python calls step by step."""
    x = np.random.default_rng(0).normal(size=(100, 1, 32)).astype(np.float32)
    steps = []
    models = both(lambda library: library.nn.RNNCell(32, 32))
    for library, model in zip(LIBRARIES, models, strict=True):
        given = list(library.tensor(x))

        def step(library: Any = library, model: Any = model, given: Any = given) -> None:
            h = library.zeros(1, 32)
            for one in given:
                h = model(one, h)
            h.sum().backward()

        steps.append(step)
    row = compare(GROUP, "RNN cell 32, 100 steps in Python, fwd + bwd", *steps, 0.25)
    yield with_share(row, 3 * 2 * 100 * 32 * (32 + 32))


def encoder() -> Iterator[Row]:
    """Six layers, 384 wide, 128 tokens."""

    def make(library: Any) -> Any:
        layer = library.nn.TransformerEncoderLayer(
            384, 12, 1536, dropout=0.0, activation="gelu", batch_first=True
        )
        return library.nn.TransformerEncoder(layer, 6, enable_nested_tensor=False).eval()

    models = both(make)
    for batch, mark in ((1, 0.6), (16, 0.45)):
        x = np.random.default_rng(0).normal(size=(batch, 128, 384)).astype(np.float32)
        steps = []
        for library, model in zip(LIBRARIES, models, strict=True):
            given = library.tensor(x)

            def step(library: Any = library, model: Any = model, given: Any = given) -> None:
                with library.no_grad():
                    model(given)

            steps.append(step)
        name = f"encoder 6 layers, 384 wide, 128 tokens, batch {batch}"
        row = compare(GROUP, name, *steps, mark, seconds=0.2)
        yield with_share(row, 6 * 2 * batch * 128 * 384 * (12 * 384 + 2 * 128))


def attention() -> Iterator[Row]:
    """4 x 8 heads x 1024 x 64, forward and backward: time and peak memory."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(4, 8, 1024, 64)).astype(np.float32) for _ in range(3)]
    steps = []
    for library in LIBRARIES:
        given = [library.tensor(x, requires_grad=True) for x in arrays]
        function = library.nn.functional.scaled_dot_product_attention
        steps.append(lambda function=function, given=given: function(*given).sum().backward())
    name = "attention 4 x 8 x 1024 x 64, fwd + bwd"
    # Two products forward; backward computes one of them again and makes four.
    yield with_share(compare(GROUP, name, *steps, 0.8, seconds=0.3), 7 * 2 * 32 * 1024**2 * 64)
    peaks = []
    for library in LIBRARIES:
        code = ATTENTION_MEMORY.format(library.__name__)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        peaks.append(float(done.stdout))
    ratio = peaks[0] / peaks[1]
    yield Row(GROUP, f"{name}, peak memory", *peaks, 1.0, ratio, ratio, "MB")


def autoencoder(library: Any) -> Any:
    """A variational autoencoder 784-400-20."""
    nn = library.nn

    class Autoencoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encode = nn.Linear(784, 400)
            self.mean, self.spread = nn.Linear(400, 20), nn.Linear(400, 20)
            self.decode = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784))

        def forward(self, x: Any) -> Any:
            hidden = self.encode(x).relu()
            mean, log_variance = self.mean(hidden), self.spread(hidden)
            z = mean + library.randn_like(mean) * (0.5 * log_variance).exp()
            return self.decode(z), mean, log_variance

    return Autoencoder()


def vae() -> Iterator[Row]:
    """A whole step with Adam."""
    x = np.random.default_rng(0).uniform(size=(128, 784)).astype(np.float32)
    steps = []
    for library, model in zip(LIBRARIES, both(autoencoder), strict=True):
        optimizer = library.optim.Adam(model.parameters(), lr=1e-3)
        given = library.tensor(x)
        loss = library.nn.functional.binary_cross_entropy_with_logits

        def step(
            model: Any = model, optimizer: Any = optimizer, given: Any = given, loss: Any = loss
        ) -> None:
            optimizer.zero_grad()
            logits, mean, log_variance = model(given)
            divergence = -0.5 * (1 + log_variance - mean.pow(2) - log_variance.exp()).sum()
            (loss(logits, given, reduction="sum") + divergence).backward()
            optimizer.step()

        steps.append(step)
    row = compare(GROUP, "VAE 784-400-20, batch 128, Adam step", *steps, 0.6, seconds=0.1)
    yield with_share(row, 3 * 2 * 128 * 2 * 400 * (784 + 20 + 10))


def rows() -> Iterator[Row]:
    """One row per workload."""
    for workload in (lstm, cell, encoder, attention, vae):
        yield from workload()
