"""The networks of the examples: sizes of their papers, shapes, and the scores they promise."""

import importlib
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import samara

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def examples_on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))


def example(name):
    return importlib.import_module(name)


def count(model):
    return sum(math.prod(p.shape) for p in model.parameters())


def test_every_network_is_short():
    for path in (EXAMPLES / "networks").glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 150


def conv(inputs, outputs, kernel, groups=1):
    """Weights of a convolution without bias, and the two numbers per channel of a batch norm."""
    return outputs * (inputs // groups) * kernel**2 + 2 * outputs


def resnet_parameters(depths, bottleneck):
    """Counted from tables 1 of the paper."""
    total, inputs = conv(3, 64, 7), 64
    for width, depth in zip((64, 128, 256, 512), depths, strict=True):
        outputs = width * (4 if bottleneck else 1)
        for i in range(depth):
            if bottleneck:
                total += conv(inputs, width, 1) + conv(width, width, 3) + conv(width, outputs, 1)
            else:
                total += conv(inputs, width, 3) + conv(width, width, 3)
            if inputs != outputs or (i == 0 and width > 64):
                total += conv(inputs, outputs, 1)
            inputs = outputs
    return total + inputs * 1000 + 1000


def unet_parameters():
    widths = [64, 128, 256, 512, 1024]
    total = 0
    for before, width in zip([1, *widths], widths, strict=False):
        total += conv(before, width, 3) + conv(width, width, 3)
    for width in widths[:-1]:
        total += 2 * width * width * 4 + width  # 2 x 2, transposed, with bias
        total += conv(2 * width, width, 3) + conv(width, width, 3)
    return total + 64 * 2 + 2


def test_parameter_counts_of_the_papers():
    lenet, resnet = example("networks.lenet"), example("networks.resnet")
    assert count(lenet.lenet()) == 156 + 2416 + 48120 + 10164 + 850
    assert count(resnet.resnet18()) == resnet_parameters((2, 2, 2, 2), bottleneck=False)
    assert count(resnet.resnet50()) == resnet_parameters((3, 4, 6, 3), bottleneck=True)
    assert round(count(resnet.resnet18()) / 1e6, 1) == 11.7
    assert round(count(resnet.resnet50()) / 1e6, 1) == 25.6
    assert round(count(example("networks.mobilenet_v2").mobilenet_v2()) / 1e6, 1) == 3.5
    assert round(count(example("networks.convnext").convnext_tiny()) / 1e6, 1) == 28.6
    assert count(example("networks.unet").unet()) == unet_parameters()
    assert round(unet_parameters() / 1e6, 1) == 31.0


NETWORKS = [
    ("lenet", "lenet", {}, (2, 1, 28, 28), (2, 10)),
    ("resnet", "resnet18", {"classes": 10, "small_images": True}, (2, 3, 16, 16), (2, 10)),
    ("resnet", "small_resnet", {}, (2, 1, 8, 8), (2, 10)),
    ("mobilenet_v2", "mobilenet_v2", {"classes": 7}, (2, 3, 32, 32), (2, 7)),
    (
        "convnext",
        "convnext",
        {"depths": (1, 1), "channels": (8, 16), "classes": 5},
        (2, 3, 16, 16),
        (2, 5),
    ),
    ("unet", "UNet", {"width": 4}, (2, 1, 32, 32), (2, 2, 32, 32)),
]


@pytest.mark.parametrize(("file", "name", "options", "shape", "expected"), NETWORKS, ids=str)
def test_a_step_reaches_every_parameter(file, name, options, shape, expected):
    model = getattr(example(f"networks.{file}"), name)(**options)
    rng = np.random.default_rng(0)
    out = model(samara.tensor(rng.normal(size=shape).astype(np.float32)))
    assert out.shape == expected
    (out * samara.tensor(rng.normal(size=expected).astype(np.float32))).sum().backward()
    for path, parameter in model.named_parameters():
        assert parameter.grad is not None, path
        assert samara.isfinite(parameter.grad).all(), path
        assert (parameter.grad != 0).any(), path


@pytest.mark.parametrize("kind", ["lenet", "resnet"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_digits_are_read(kind, seed):
    assert example("digits").train(kind, seed) >= 0.985


def test_the_frequency_of_an_oscillator_is_found():
    oscillator = example("oscillator")
    assert oscillator.train(0, steps=150) < 0.35  # always guessing the mean: 2.6 hertz


TEXT = "the cat sat on the mat. the dog sat on the log. " * 60


def test_a_small_gpt_learns_a_text_and_speaks_it(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "character_gpt.py"), str(path), "--steps", "120"]
        + ["--length", "60", "--temperature", "0"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(re.search(r"validation loss (\S+)", done.stdout).group(1)) < 0.5
    assert "sat on the" in done.stdout
    assert re.search(r"\d+ tokens per second", done.stdout)


def test_the_cache_gives_what_the_whole_sequence_gives():
    gpt = example("networks.gpt")
    samara.seed(0)
    model = gpt.GPT(17, context=12, layers=2, heads=2, width=16).eval()
    tokens = samara.tensor(np.random.default_rng(0).integers(0, 17, size=(1, 10)))
    with samara.no_grad():
        whole, _ = model(tokens)
        part, past = model(tokens[:, :4])
        pieces = [part]
        for i in range(4, 10):
            logits, past = model(tokens[:, i : i + 1], past)
            pieces.append(logits)
    joined = samara.cat(pieces, dim=1).numpy()
    np.testing.assert_allclose(joined, whole.numpy(), rtol=1e-4, atol=1e-5)
