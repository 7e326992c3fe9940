"""Networks of the examples and steps on random images, for either library.

Imports neither library, so that a process which measures memory holds only the one it measures.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

NETWORKS = Path(__file__).parents[1] / "examples" / "networks"


def network(file: str, function: str, library: str, **options: Any) -> Any:
    """A network of the examples, made with the named library by changing its import lines."""
    source = (NETWORKS / f"{file}.py").read_text()
    if library == "torch":
        source = source.replace("from samara import nn", "from torch import nn")
        source = source.replace("import samara\n", "import torch as samara\n")
    space: dict[str, Any] = {"__name__": f"{file}_{library}"}
    exec(compile(source, f"{file}.py", "exec"), space)
    return space[function](**options)


def images(shape: tuple[int, ...]) -> Any:
    """Random images."""
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def labels(shape: tuple[int, ...], classes: int) -> Any:
    """Random classes."""
    return np.random.default_rng(1).integers(0, classes, size=shape)


def training_step(
    library: Any, model: Any, shape: tuple[int, ...], target: Any, lr: float, channels_last: bool
) -> Callable[[], None]:
    """Forward, cross-entropy, backward and a step of SGD with momentum."""
    x, y = library.tensor(images(shape)), library.tensor(target)
    if channels_last:
        model = model.to(memory_format=library.channels_last)
        x = x.contiguous(memory_format=library.channels_last)
    optimizer = library.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    loss = library.nn.functional.cross_entropy

    def step() -> None:
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()

    return step


def inference(
    library: Any, model: Any, shape: tuple[int, ...], channels_last: bool
) -> Callable[[], None]:
    """One forward pass in eval mode."""
    x = library.tensor(images(shape))
    model.eval()
    if channels_last:
        model = model.to(memory_format=library.channels_last)
        x = x.contiguous(memory_format=library.channels_last)

    def run() -> None:
        with library.no_grad():
            model(x)

    return run
