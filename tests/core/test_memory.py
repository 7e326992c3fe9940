"""The caching allocator: statistics, reuse, trimming, refusal."""

from __future__ import annotations

import gc
import os
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import samara
from samara.errors import OutOfMemoryError, SamaraError

reuses_memory = pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer's build reuses no memory"
)


def statistics() -> dict[str, int]:
    gc.collect()
    return dict(samara.memory_statistics())


def test_live_bytes_follow_tensors() -> None:
    before = statistics()["live_bytes"]
    x = samara.zeros(1000, 1000)
    used = statistics()["live_bytes"] - before
    assert 4_000_000 <= used <= 5_000_000
    view = x[::2]
    assert statistics()["live_bytes"] - before == used
    del x
    assert statistics()["live_bytes"] - before == used
    del view
    assert statistics()["live_bytes"] == before


@reuses_memory
def test_freed_blocks_are_reused() -> None:
    x = samara.empty(123_457)
    pointer = x.data_ptr()
    asked = statistics()["system_allocations"]
    del x
    y = samara.empty(123_457)
    assert y.data_ptr() == pointer
    assert statistics()["system_allocations"] == asked


@reuses_memory
def test_a_loop_asks_the_system_for_nothing_after_its_first_round() -> None:
    def step() -> None:
        x = samara.ones(300, 50, requires_grad=True)
        (x * 2).sum().backward()

    for _ in range(3):
        step()
    asked = statistics()["system_allocations"]
    for _ in range(20):
        step()
    assert statistics()["system_allocations"] == asked


@reuses_memory
def test_trim_gives_the_cache_back() -> None:
    x = samara.zeros(500_000)
    del x
    cached = statistics()["cached_bytes"]
    assert cached >= 2_000_000
    live = statistics()["live_bytes"]
    assert samara.trim_memory() == cached
    after = statistics()
    assert after["cached_bytes"] == 0 and after["live_bytes"] == live
    assert samara.zeros(10).tolist() == [0.0] * 10


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5_000_000)), min_size=1, max_size=40))
@settings(deadline=None, max_examples=40)
def test_blocks_in_use_never_overlap(steps: list[tuple[int, int]]) -> None:
    """Freed and allocated in any order, each tensor keeps its own bytes and counts its own size."""
    kept: dict[int, samara.Tensor] = {}
    start = statistics()["live_bytes"]
    for number, (slot, size) in enumerate(steps):
        kept.pop(slot, None)
        kept[slot] = samara.full((size,), number % 251, dtype=samara.uint8)
        ranges = sorted((x.data_ptr(), x.data_ptr() + x.nbytes) for x in kept.values())
        assert all(end <= begin for (_, end), (begin, _) in pairwise(ranges))
    for slot, x in kept.items():
        number = max(i for i, (used, _) in enumerate(steps) if used == slot)
        assert (x.numpy() == number % 251).all()
    live = statistics()["live_bytes"] - start
    assert live >= sum(x.nbytes for x in kept.values())
    del x
    kept.clear()
    assert statistics()["live_bytes"] == start


@reuses_memory
def test_other_sizes_share_the_pages_of_freed_neighbours() -> None:
    """Eight freed blocks side by side serve one request of their total size."""
    samara.trim_memory()
    size = 4 << 20
    blocks = [samara.empty(size, dtype=samara.uint8) for _ in range(8)]
    asked = statistics()["system_allocations"]
    blocks.clear()
    whole = samara.empty(8 * size, dtype=samara.uint8)
    assert statistics()["system_allocations"] == asked
    assert whole.nbytes == 8 * size


def test_peak() -> None:
    samara.reset_peak_memory()
    start = statistics()["live_bytes"]
    x = samara.zeros(250_000)
    del x
    after = statistics()
    assert after["peak_live_bytes"] - start >= 1_000_000
    samara.reset_peak_memory()
    assert statistics()["peak_live_bytes"] == statistics()["live_bytes"]


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 4095, 4097, 2**21 - 1, 2**21 + 1])
def test_blocks_are_aligned_and_large_enough(size: int) -> None:
    first, second = (samara.zeros(size, dtype=samara.uint8) for _ in range(2))
    first.fill_(255)
    assert second.sum().item() == 0
    if size:
        assert first.data_ptr() % 64 == 0 == second.data_ptr() % 64


@pytest.mark.parametrize("shape", [(2**40,), (2**31, 2**31), (2**62, 8), (2**63 - 1,)])
def test_what_cannot_be_allocated_raises(shape: tuple[int, ...]) -> None:
    live = statistics()["live_bytes"]
    with pytest.raises((OutOfMemoryError, SamaraError), match=r"Expected .*Fix: "):
        samara.empty(*shape, dtype=samara.float64)
    assert statistics()["live_bytes"] == live


def test_backward_frees_what_it_saved() -> None:
    live = statistics()["live_bytes"]
    x = samara.ones(100_000, requires_grad=True)
    loss = (x.exp() * x).sum()
    held = statistics()["live_bytes"] - live
    loss.backward()
    x.grad = None
    freed = statistics()["live_bytes"] - live
    assert held > 2 * x.nbytes > freed


def test_results_do_not_keep_the_graph_when_gradients_are_off() -> None:
    x = samara.ones(100_000, requires_grad=True)
    live = statistics()["live_bytes"]
    with samara.no_grad():
        y = samara.tensor(np.zeros(100_000, np.float32))
        for _ in range(10):
            y = y + x
    assert statistics()["live_bytes"] - live < 2 * x.nbytes
