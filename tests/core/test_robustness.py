"""Nothing that a user passes may crash the process, read foreign memory or fail in silence.

Random campaigns of hostile calls run in child processes (see hostile.py), so that a crash is a
failure with its seed. SAMARA_CAMPAIGN=SEEDSxSTEPS, e.g. 20x5000, makes them long.
"""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import samara
from samara import Tensor, _core
from samara.errors import (
    ArgumentError,
    DeviceError,
    DTypeError,
    GradientError,
    IndexOutOfRangeError,
    OutOfMemoryError,
    ShapeError,
)

ROOT = Path(__file__).parents[2]
SEEDS, STEPS = map(int, os.environ.get("SAMARA_CAMPAIGN", "1x250").split("x"))
HOST = "null"
_core.register_host_backed_device(HOST)
SANITIZED = "libasan" in os.environ.get("LD_PRELOAD", "")


def run(*arguments: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        cwd=ROOT,
    )


# --- campaigns -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize(
    "area",
    ["operations", "methods", "indexing", "interchange", "autograd", "optimizers", "threads"],
)
def test_campaign(area: str, seed: int) -> None:
    steps = STEPS // 25 if area in ("threads", "autograd") else STEPS
    extra = ["unlimited"] if SANITIZED else []  # the sanitizer's shadow needs address space
    done = run("-m", "tests.core.hostile", area, str(seed), str(steps), *extra)
    last = "\n".join(done.stdout.splitlines()[-3:])
    assert done.returncode == 0, f"{area} seed {seed}: {done.returncode}\n{last}\n{done.stderr}"
    assert "kept:" in done.stdout


# --- memory that others own ----------------------------------------------------------------------


def strided(data: np.ndarray[Any, Any], shape: list[int], strides: list[int], offset: int) -> Any:
    """What as_strided must give, or None where it must refuse."""
    low = offset + sum(min(0, (n - 1) * s) for n, s in zip(shape, strides, strict=True))
    high = offset + sum(max(0, (n - 1) * s) for n, s in zip(shape, strides, strict=True))
    if 0 in shape:
        return np.zeros(shape)
    if low < 0 or high >= data.size:
        return None
    places = offset + sum(
        np.arange(n).reshape([-1] + [1] * (len(shape) - 1 - i)) * s
        for i, (n, s) in enumerate(zip(shape, strides, strict=True))
    )
    return data[np.broadcast_to(places, shape)]


whole = st.one_of(st.integers(-6, 6), st.sampled_from([2**31, 2**62, -(2**62), 2**63 - 1]))


@given(
    sizes=st.lists(st.integers(0, 5), max_size=3),
    steps=st.lists(whole, min_size=3, max_size=3),
    offset=st.one_of(st.integers(-3, 12), st.sampled_from([2**62, -(2**63), 2**63 - 1])),
    reverse=st.booleans(),
)
@settings(max_examples=300)
def test_as_strided_stays_in_its_memory(
    sizes: list[int], steps: list[int], offset: int, reverse: bool
) -> None:
    array = np.arange(10.0)
    x = samara.from_numpy(array[::-1]) if reverse else samara.from_numpy(array)
    start = 9 if reverse else 0
    steps = steps[: len(sizes)]
    expected = strided(array, sizes, steps, start + offset)
    try:
        found = samara.as_strided(x, sizes, steps, offset)
    except (IndexError, OverflowError, ValueError):
        assert expected is None or 0 in sizes
        return
    assert expected is not None, "memory outside the array was shown"
    assert found.tolist() == expected.tolist()


def test_gradient_of_overlapping_windows() -> None:
    x = samara.arange(5.0, dtype=samara.float64).requires_grad_()
    windows = samara.as_strided(x, (3, 3), (1, 1), 0)
    weight = np.arange(9.0).reshape(3, 3)
    (windows * samara.from_numpy(weight)).sum().backward()
    expected = np.zeros(5)
    for i in range(3):
        for j in range(3):
            expected[i + j] += weight[i, j]
    assert x.grad is not None
    assert x.grad.tolist() == expected.tolist()


def test_overlapping_windows_are_no_target() -> None:
    windows = samara.as_strided(samara.zeros(5), (3, 3), (1, 1), 0)
    with pytest.raises(ArgumentError, match="share one place"):
        windows.add_(1)


def test_two_tensors_over_one_array() -> None:
    array = np.arange(50_000.0)
    first, second = samara.from_numpy(array[1:]), samara.from_numpy(array[:-1])
    expected = array[1:] + array[:-1]
    first += second
    assert np.array_equal(array[1:], expected)


def test_exported_memory_outlives_an_exchange() -> None:
    x = samara.arange(1000.0)
    array, view, capsule = x.numpy(), memoryview(x), x.__dlpack__()
    x.data = samara.zeros(1000)
    samara.trim_memory()
    junk = [samara.full((1000,), 7.0) for _ in range(50)]
    assert array[999] == view[999] == 999.0
    taken = samara.from_dlpack(type("Holder", (), {"__dlpack__": lambda *_, **__: capsule})())
    assert taken[999].item() == 999.0
    assert len(junk) == 50


def test_a_consumer_that_ignores_strides_gets_no_transposed_memory() -> None:
    x = samara.arange(6.0).reshape(2, 3)
    assert bytes(memoryview(x.T)) == x.T.contiguous().numpy().tobytes()
    nd_only = ctypes.create_string_buffer(256)
    get = ctypes.pythonapi.PyObject_GetBuffer
    get.argtypes = (ctypes.py_object, ctypes.c_void_p, ctypes.c_int)
    for flags in (0, 0x8, 0x38):  # simple, shape only, row-major
        with pytest.raises(BufferError, match="contiguous"):
            get(x.T, ctypes.addressof(nd_only), flags)
    with pytest.raises(BufferError, match="contiguous"):
        get(x, ctypes.addressof(nd_only), 0x58)  # column-major
    assert get(x.T, ctypes.addressof(nd_only), 0x58) == 0
    ctypes.pythonapi.PyBuffer_Release(nd_only)


def test_misaligned_memory_is_copied_or_refused() -> None:
    memory = np.zeros(33, np.uint8)
    for start in (0, 1):
        array = memory[start : start + 32].view(np.float64)
        assert samara.asarray(array).tolist() == [0.0] * 4
        if not array.flags.aligned:
            with pytest.raises(ArgumentError, match="Fix: "):
                samara.from_numpy(array)


def test_a_capsule_serves_once() -> None:
    capsule = samara.ones(3).__dlpack__()
    holder = type("Holder", (), {"__dlpack__": lambda *_, **__: capsule})()
    assert samara.from_dlpack(holder).tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(ArgumentError, match="used already"):
        samara.from_dlpack(holder)


@pytest.mark.parametrize("damage", [[1, 2], "text", None, np.array(["a"]), np.array([None])])
def test_damaged_pickles_name_what_is_wrong(damage: Any) -> None:
    make, (_, *rest) = samara.ones(3).__reduce_ex__(4)
    with pytest.raises(ArgumentError, match="damaged"):
        make(damage, *rest)


# --- sizes and numbers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda: samara.zeros(0).reshape(2**32, 2**32),
        lambda: samara.ones(1).expand(2**40, 2**40),
        lambda: samara.zeros(0).reshape(2**62, 2**62, 4, -1),
        lambda: samara.zeros((2**40, 2**40)),
        lambda: samara.zeros(2**45),
        lambda: samara.ones(1).expand(2**45).clone(),
        lambda: samara.zeros(3)[[2**62]],
        lambda: samara.zeros(3)[2**70],
        lambda: samara.zeros(3, 4).take(samara.tensor([-(2**63)]), axis=0),
    ],
)
def test_sizes_beyond_memory(call: Callable[[], Any]) -> None:
    with pytest.raises((OutOfMemoryError, ShapeError, IndexError), match=r"\w"):
        call()


def test_steps_of_any_size() -> None:
    x = samara.arange(6).reshape(2, 3)
    for step in (2**62, -(2**63), 2**70):
        assert x[::step].tolist() == np.arange(6).reshape(2, 3)[::step].tolist()
        assert x[:, :1:step].reshape(-1).shape == x.numpy()[:, :1:step].reshape(-1).shape


def test_numbers_that_do_not_fit() -> None:
    assert (samara.zeros(1) + 2**63).item() == 2.0**63
    assert samara.full((1,), 2**64 - 1, dtype=samara.uint64).item() == 2**64 - 1
    x = samara.zeros(2, dtype=samara.int64)
    for number in (2**63, float("nan"), float("inf"), 1e300):
        with pytest.raises(ArgumentError, match="cannot be stored"):
            x[0] = number
        with pytest.raises((ArgumentError, DTypeError), match="Expected"):
            samara.full((2,), number, dtype=samara.int64)
    with pytest.raises(ArgumentError, match="64 bits"):
        x + 2**64


def test_a_failed_conversion_leaves_nothing_behind() -> None:
    for wrong in (samara.ones(1, dtype=samara.complex64), 1j, "1"):
        with pytest.raises(DTypeError, match="Expected a float"):
            samara.leaky_relu(samara.ones(2), wrong)


def test_lists_that_hold_themselves_or_nest_too_deep() -> None:
    items: list[Any] = [1]
    items.append(items)
    nested: Any = 1.0
    for _ in range(5000):
        nested = [nested]
    for data in (items, nested):
        for make in (samara.tensor, samara.asarray):
            with pytest.raises(ShapeError, match="16 deep"):
                make(data)


def test_a_list_that_shrinks_while_it_is_read() -> None:
    class Shrinking:
        def __index__(self) -> int:
            sizes.clear()
            gc.collect()
            return 6

    sizes: list[Any] = [Shrinking(), *(object() for _ in range(10))]
    assert samara.zeros(6).reshape(sizes).shape == (6,)


def test_pow_with_a_modulus_is_refused() -> None:
    with pytest.raises(TypeError):
        pow(samara.ones(2), 2, 3)


# --- the tape ------------------------------------------------------------------------------------


def test_long_chains_end_without_recursion() -> None:
    x = samara.ones(1, requires_grad=True)
    for _ in range(300_000):
        x = x * 1.0
    del x
    x = samara.ones(1)
    for _ in range(300_000):
        holder = samara.ones(1)
        holder.grad = x
        x = holder
    del x, holder


def test_a_tensor_is_not_its_own_gradient() -> None:
    x = samara.ones(2)
    with pytest.raises(ArgumentError, match="own gradient"):
        x.grad = x


def test_exchanged_memory() -> None:
    x = samara.ones(3, requires_grad=True)
    y = (x * x).sum()
    x.data = samara.ones(5)
    with pytest.raises(GradientError, match="exchanged"):
        y.backward()
    (x * 2).sum().backward()
    with pytest.raises(ShapeError, match=r"x\.grad = None"):
        x.data = samara.ones(2)
    x.grad = None
    with pytest.raises(DTypeError, match="int64"):
        x.data = samara.ones(2, dtype=samara.int64)
    with pytest.raises(GradientError, match="leaf"):
        (x * 2).data = samara.ones(2)
    x.data -= 1.0
    assert x.tolist() == [0.0] * 5


def test_hooks_that_change_hooks_tensors_and_graphs() -> None:
    x = samara.ones(3, requires_grad=True)
    y = x * 2
    seen: list[str] = []

    def first(gradient: Tensor) -> None:
        seen.append("first")
        for _ in range(100):
            y.register_hook(lambda g: None)
        handle.remove()
        with samara.enable_grad():
            samara.grad((x * 3).sum(), x)
        with pytest.raises(GradientError, match="while backward runs"):
            x.data = samara.ones(5)

    handle = y.register_hook(first)
    y.sum().backward()
    assert seen[0] == "first"
    assert x.grad is not None
    assert x.grad.tolist() == [2.0] * 3


def test_a_pass_inside_a_pass_over_the_same_graph() -> None:
    x = samara.tensor([1.0, 2.0], requires_grad=True)
    y = x.exp()
    z, w = (y * y).sum(), y.sum()
    inner: list[list[float]] = []

    def again(gradient: Tensor) -> None:
        handle.remove()
        inner.append(samara.grad(w, x)[0].tolist())  # frees what the outer pass is about to read

    handle = y.register_hook(again)
    z.backward()
    assert x.grad is not None
    assert np.allclose(inner, np.exp([[1.0, 2.0]]))
    assert np.allclose(x.grad.tolist(), 2 * np.exp([2.0, 4.0]))
    with pytest.raises(GradientError, match="freed"):
        z.backward()


@pytest.mark.parametrize(
    "garbage",
    [
        *(5, "text", (), (None, None, None), [None] * 9),
        *((samara.ones(7), None), (samara.ones(2, device=HOST), None)),
    ],
)
def test_rules_that_return_garbage(garbage: Any) -> None:
    operation = _core.Operation("odd(x, y)", "multiply", rule=lambda *_, **__: garbage)
    x = samara.ones(2, requires_grad=True)
    result = operation(x, x).sum()
    with pytest.raises((GradientError, DeviceError, ShapeError), match="Expected"):
        samara.grad(result, x, create_graph=True)


@pytest.mark.parametrize(
    ("signature", "native"),
    [("odd()", "exp"), ("odd(x: int)", "add"), ("odd(x, y: ints)", "matmul"), ("odd(x", "exp")],
)
def test_signatures_that_do_not_fit_their_native(signature: str, native: str) -> None:
    with pytest.raises((TypeError, ValueError), match="Fix: "):
        operation = _core.Operation(signature, native)
        operation(*[samara.ones(2), [1]][: len(operation.parameters)])


def test_observers_that_remove_themselves() -> None:
    calls: list[str] = []

    def before(name: str, arguments: Any) -> None:
        calls.append(name)
        while handles:
            _core.pop_observer(handles.pop())
        gc.collect()

    handles = [_core.push_observer(before, None) for _ in range(3)]
    samara.ones(2) * 2
    samara.ones(2) * 3
    assert len(calls) == 1  # it stopped the other two
    other = [_core.push_observer(before, None)]
    thread = threading.Thread(target=lambda: (_core.pop_observer(other[0]), other.clear()))
    thread.start()
    thread.join()
    gc.collect()
    samara.ones(2) * 4
    assert len(calls) == 1


def test_a_weak_reference_sees_the_tensor_of_a_dying_object_anew() -> None:
    x = samara.ones(2, requires_grad=True)
    y = x * 2
    found: list[Any] = []
    weak = weakref.ref(x, lambda _: found.append(_core.graph_leaves(y)[0]))
    address = id(x)
    del x
    gc.collect()
    assert weak() is None
    assert found[0].tolist() == [1.0, 1.0]
    assert found[0] is _core.graph_leaves(y)[0]
    assert address != 0


# --- leaks ---------------------------------------------------------------------------------------


def test_hooks_rules_and_observers_are_let_go() -> None:
    class Callable_:
        def __call__(self, *_: Any, **__: Any) -> None:
            return None

    hook, observer = Callable_(), Callable_()
    references = sys.getrefcount(hook), sys.getrefcount(observer)
    for _ in range(10):
        x = samara.ones(2, requires_grad=True)
        y = x * 2
        x.register_hook(hook)
        y.register_hook(hook).remove()
        y.register_hook(hook)
        with samara.autograd.observe(observer, observer):
            y.sum().backward()
        with pytest.raises(ZeroDivisionError), samara.autograd.observe(lambda *_: 1 // 0):
            x + 1
    del x, y
    assert (sys.getrefcount(hook), sys.getrefcount(observer)) == references


def test_a_hook_that_refers_to_its_tensor_goes_with_the_graph() -> None:
    x = samara.ones(2, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g, y=y: None)
    total = y.sum()
    weak = weakref.ref(y)
    del y
    assert weak() is not None
    total.backward()
    del total
    gc.collect()
    assert weak() is None


def step(rng: np.random.Generator) -> None:
    rows, inner, columns = (int(n) for n in rng.integers(1, 40, 3))
    x = samara.tensor(rng.normal(size=(rows, inner)))
    w = samara.tensor(rng.normal(size=(inner, columns)), requires_grad=True)
    y = samara.softmax(x @ w, axis=-1).clone()
    y[: rows // 2 + 1] *= 2.0
    (y.T.reshape(-1) ** 2).mean().backward()
    with pytest.raises(ShapeError):
        w @ samara.ones(inner + columns + 1)


def test_memory_stays_flat() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        step(rng)
    gc.collect()
    before = _core.memory_statistics()["live_bytes"]
    objects = len(gc.get_objects())
    for _ in range(100 if STEPS < 1000 else 10_000):
        step(rng)
    gc.collect()
    assert _core.memory_statistics()["live_bytes"] == before
    assert abs(len(gc.get_objects()) - objects) < 100


# --- the process ---------------------------------------------------------------------------------

INTERRUPTED = """
import os, signal, threading, samara
x = samara.ones(600, 600)
threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    while True:
        x @ x
except KeyboardInterrupt:
    (x @ x).sum().item()
    print("stopped")
"""

ALARMED = """
import signal, samara
hits = []
signal.signal(signal.SIGALRM, lambda *_: hits.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
for n in (70, 90, 120, 200, 500):
    x = samara.ones(n, n)
    y = x.to(samara.bfloat16)
    end = len(hits) + 60
    while len(hits) < end:
        x @ x
        y @ y
signal.setitimer(signal.ITIMER_REAL, 0)
print(len(hits) >= 300)
"""

FORKED = """
import os, threading, samara
x = samara.ones(300, 300, requires_grad=True)
stop = threading.Event()
def work():
    while not stop.is_set():
        (x * 2.0).sum().backward()
thread = threading.Thread(target=work)
thread.start()
codes = []
for _ in range(10):
    child = os.fork()
    if child == 0:
        y = samara.ones(300, 300, requires_grad=True)
        (y @ y).sum().backward()
        os._exit(0 if y.grad is not None else 1)
    codes.append(os.waitpid(child, 0)[1])
stop.set()
thread.join()
print(codes)
"""

EXHAUSTED = """
import resource, samara
x = samara.ones(1000)
(x * 2).sum().item()
soft = int(open("/proc/self/statm").read().split()[0]) * 4096 + (64 << 20)
resource.setrlimit(resource.RLIMIT_AS, (soft, soft))
held, errors = [], 0
for size in [10**7, 10**6, 10**5, 10**4] * 3:
    try:
        while True:
            held.append(samara.ones(size))
    except MemoryError as error:
        errors += "Fix: " in str(error)
del held
print(errors, (x * 2).sum().item())
"""


def test_an_interrupt_stops_a_loop_of_kernels() -> None:
    done = run("-c", INTERRUPTED)
    assert (done.stdout, done.returncode) == ("stopped\n", 0), done.stderr


def test_signals_during_kernels_leave_the_heap_alone() -> None:
    done = run("-c", ALARMED)
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr


@pytest.mark.skipif(SANITIZED, reason="the sanitizer's allocator may be locked across a fork")
def test_children_of_fork_while_another_thread_differentiates() -> None:
    done = run("-c", FORKED)
    assert (done.stdout, done.returncode) == (f"{[0] * 10}\n", 0), done.stderr


@pytest.mark.skipif(SANITIZED, reason="the sanitizer's shadow needs address space")
def test_memory_that_runs_out_is_an_error() -> None:
    done = run("-c", EXHAUSTED)
    assert done.stdout == "12 2000.0\n", done.stderr[-2000:]


def test_exceptions_inside_tiles_reach_the_caller() -> None:
    index = samara.zeros(100_000, dtype=samara.int64)
    index[77_777] = 5
    table = samara.ones(3, 4)
    before = samara.thread_count()
    for count in (1, 2, 3):
        samara.set_thread_count(count)
        for _ in range(5):
            with pytest.raises(IndexOutOfRangeError, match="index 5 is out of range"):
                table[index]
        assert (samara.ones(100_000) + 1).sum().item() == 200_000.0
    samara.set_thread_count(before)


def test_threads_that_add_to_one_gradient() -> None:
    x = samara.ones(64, requires_grad=True)

    def work() -> None:
        for _ in range(50):
            (x * 1.0).sum().backward()

    crew = [threading.Thread(target=work) for _ in range(4)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    assert x.grad is not None
    assert x.grad.tolist() == [200.0] * 64


def test_pickles_of_any_layout_survive() -> None:
    for x in (samara.zeros(0), samara.ones(3)[::2], samara.ones(()), samara.ones(1).expand(4)):
        assert pickle.loads(pickle.dumps(x)).tolist() == x.tolist()
