"""Several threads, several kernel threads, and children of fork."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import samara


@pytest.fixture
def two_kernel_threads() -> Iterator[None]:
    count = samara.thread_count()
    samara.set_thread_count(2)
    yield
    samara.set_thread_count(count)


def work(seed: int) -> list[float]:
    """Large and small operations, views, in-place edits and a backward pass."""
    rng = np.random.default_rng(seed)
    x = samara.tensor(rng.normal(size=(200, 300)).astype(np.float32), requires_grad=True)
    w = samara.tensor(rng.normal(size=(300, 50)).astype(np.float32), requires_grad=True)
    y = samara.softmax((x @ w).tanh(), axis=-1)
    loss = (y * y).sum() + (x[::2] * 0.5).exp().mean()
    loss.backward()
    assert x.grad is not None and w.grad is not None
    counter = samara.zeros(50)
    for i in range(200):
        counter[i % 50] += 1.0
    return [loss.item(), x.grad.sum().item(), w.grad.abs().max().item(), *counter.tolist()]


@pytest.mark.usefixtures("two_kernel_threads")
def test_eight_threads_give_what_one_gives() -> None:
    expected = [work(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert list(pool.map(work, range(8))) == expected


def test_gradient_mode_belongs_to_a_thread() -> None:
    found: list[bool] = []
    with samara.no_grad():
        thread = threading.Thread(target=lambda: found.append(samara.is_grad_enabled()))
        thread.start()
        thread.join()
        assert not samara.is_grad_enabled()
    assert found == [True]


def test_observers_belong_to_a_thread() -> None:
    seen: list[str] = []
    with samara.autograd.observe(before=lambda name, arguments: seen.append(name)):
        thread = threading.Thread(target=lambda: samara.ones(2) * 2)
        thread.start()
        thread.join()
    assert seen == []


@pytest.mark.usefixtures("two_kernel_threads")
def test_a_tensor_read_by_many_threads() -> None:
    x = samara.arange(100_000, dtype=samara.float64)
    total = x.sum().item()
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: x.sum().item(), range(40))) == {total}
        views = list(pool.map(lambda i: x[i::8].sum().item(), range(8)))
    assert sum(views) == total


def test_one_graph_differentiated_in_several_threads() -> None:
    x = samara.ones(1000, requires_grad=True)

    def slope(factor: int) -> float:
        return float(samara.grad((x * factor).sum(), x)[0].sum().item())

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(slope, range(8))) == [1000.0 * i for i in range(8)]


@pytest.mark.usefixtures("two_kernel_threads")
def test_large_operations_release_the_interpreter_lock() -> None:
    """Another thread runs during a call, though Python itself would never take the lock away."""
    x = samara.ones(1200, 1200)
    turns, rounds = [0], 50
    go, done = threading.Lock(), threading.Lock()
    go.acquire()
    done.acquire()

    def turn() -> None:
        for _ in range(rounds):
            go.acquire()
            turns[0] += 1
            done.release()

    thread = threading.Thread(target=turn)
    thread.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)  # the lock changes hands only when somebody gives it up
    released = False
    try:
        for _ in range(rounds):
            before = turns[0]
            go.release()
            x @ x
            released = released or turns[0] > before
            done.acquire()
    finally:
        sys.setswitchinterval(interval)
        thread.join()
    assert released


def in_child(function: Callable[[], Any]) -> Any:
    """function() in a forked child; what it raises there is raised here."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            message = (True, function())
        except BaseException as error:
            message = (False, repr(error))
        with os.fdopen(write, "wb") as stream:
            pickle.dump(message, stream)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        data = stream.read()
    os.waitpid(child, 0)
    assert data, "the child died"
    good, value = pickle.loads(data)
    assert good, value
    return value


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.usefixtures("two_kernel_threads")
def test_a_forked_child_computes() -> None:
    expected = work(0)  # the pool is running now
    assert in_child(lambda: work(0)) == expected
    assert in_child(lambda: in_child(lambda: work(0))) == expected
    assert work(0) == expected


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.usefixtures("two_kernel_threads")
def test_a_fork_while_other_threads_compute() -> None:
    expected = work(1)
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            work(2)

    threads = [threading.Thread(target=busy) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            assert in_child(lambda: work(1)) == expected
    finally:
        stop.set()
        for thread in threads:
            thread.join()


FIRST_PRODUCTS = """
import os, threading, samara
x = samara.ones(400, 400)
def products():
    for a in (x, x.T):
        for b in (x, x.T):
            a @ b
thread = threading.Thread(target=products)
thread.start()
for _ in range(6):
    child = os.fork()
    if child == 0:
        products()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
thread.join()
"""


def test_a_fork_while_the_first_products_are_prepared() -> None:
    # In a fresh process, where the matrix kernels are not made yet; in a group that can be ended.
    started = subprocess.Popen([sys.executable, "-c", FIRST_PRODUCTS], start_new_session=True)
    try:
        assert started.wait(timeout=120) == 0
    finally:
        if started.returncode is None:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_continues_a_copy_of_the_random_stream() -> None:
    samara.seed(3)
    samara.rand(2)
    drawn = in_child(lambda: samara.rand(4).tolist())
    assert samara.rand(4).tolist() == drawn


def test_thread_count() -> None:
    count = samara.thread_count()
    assert count >= 1
    samara.set_thread_count(0)
    try:
        assert samara.thread_count() == 1
    finally:
        samara.set_thread_count(count)
