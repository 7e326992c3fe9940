"""The GPT of the examples and its training step, for either library.

Imports neither library, so that a process which measures memory holds only the one it measures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.image_workloads import network

VOCABULARY = 65
LARGE = {"context": 256, "layers": 6, "heads": 6, "width": 384}
SMALL = {"context": 64, "layers": 4, "heads": 4, "width": 128}


def gpt(library: str, size: dict[str, int], checkpoint: Callable[..., Any] | None = None) -> Any:
    """A GPT; with `checkpoint` each block's inner values are computed again in backward."""
    model = network("gpt", "GPT", library, vocabulary=VOCABULARY, **size)
    if checkpoint is not None:
        for block in model.blocks:
            block.forward = lambda x, past=None, f=block.forward: checkpoint(
                f, x, use_reentrant=False
            )
    return model


def step_of(library: Any, model: Any, context: int, batch: int) -> Callable[[], None]:
    """Forward, loss, backward and AdamW."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, VOCABULARY, size=(batch, context + 1))
    x, y = library.tensor(tokens[:, :-1]), library.tensor(tokens[:, 1:])
    optimizer = library.optim.AdamW(model.parameters(), lr=1e-3)
    loss = library.nn.functional.cross_entropy

    def step() -> None:
        optimizer.zero_grad()
        logits, _ = model(x)
        loss(logits.reshape(-1, VOCABULARY), y.reshape(-1)).backward()
        optimizer.step()

    return step
