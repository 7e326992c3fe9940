"""Streams of random numbers under PyTorch's names."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np

import samara._core as _core
import samara.random as random
from samara._core import Device, Tensor
from samara.device import resolve
from samara.errors import ArgumentError, DTypeError
from samara.ops.record import plain
from samara.random import Key, State
from samara.tensor import from_numpy

__all__ = ["Generator", "default_generator"]

_FIELDS = ("version", "seed", "drawn")


def _as_tensor(state: State) -> Tensor:
    numbers = np.array([state["version"], state["seed"], state["drawn"]], dtype=np.uint64)
    return from_numpy(numbers.view(np.uint8))


def _as_state(place: str, state: Any) -> State:
    if not isinstance(state, Tensor) or state.dtype is not _core.uint8:
        kind = state.dtype if isinstance(state, Tensor) else type(state).__name__
        raise DTypeError(
            f"{place}: the state is of type {kind}. Expected a uint8 tensor. Fix: pass what "
            "get_rng_state() or Generator.get_state() returned."
        )
    if state.shape != (8 * len(_FIELDS),):
        raise ArgumentError(
            f"{place}: the state has shape {state.shape}. Expected ({8 * len(_FIELDS)},), as "
            "get_rng_state() gives it. Fix: states of other libraries cannot be used here."
        )
    version, seed, drawn = (int(n) for n in state.numpy().copy().view(np.uint64))
    return {"version": version, "seed": seed, "drawn": drawn}


class Generator:
    """A stream of random numbers of its own, for `generator=`; seed 0 until it is given another.

    A generator with some seed gives the numbers that functions without one give after
    `samara.manual_seed` of it. Raises DeviceError for a device that is not there.

    >>> g = samara.Generator().manual_seed(7)
    >>> first = samara.rand(3, generator=g)
    >>> bool((samara.rand(3, generator=g.manual_seed(7)) == first).all())
    True
    """

    def __init__(self, device: Device | str = "cpu") -> None:
        self.device = resolve(device)
        self._lock = threading.Lock()
        self._seed = random.key(0)
        self._drawn = 0

    def manual_seed(self, seed: int) -> Generator:
        """Restart at a seed, any int modulo 2^64; gives the generator back."""
        start = random.key(seed)
        with self._lock:
            self._seed, self._drawn = start, 0
        return self

    def seed(self) -> int:
        """Restart at a seed that nobody can know before, and return it."""
        value = int.from_bytes(os.urandom(8), "little")
        self.manual_seed(value)
        return value

    def initial_seed(self) -> int:
        """The seed that it started from."""
        return self._seed.value

    def next_key(self) -> Key:
        """The key of the next draw."""
        with self._lock:
            number = self._drawn
            self._drawn += 1
        return random.stream_key(self._seed, number)

    def get_state(self) -> Tensor:
        """Where it stands, `[24]` uint8; `set_state` of it repeats what comes next."""
        with self._lock:
            seed, drawn = self._seed.value, self._drawn
        return _as_tensor({"version": random.ALGORITHM_VERSION, "seed": seed, "drawn": drawn})

    def set_state(self, new_state: Tensor) -> Generator:
        """Stand where `get_state` found one. Raises ArgumentError for anything else."""
        state = _as_state("Generator.set_state", new_state)
        random.check_version(state)
        with self._lock:
            self._seed, self._drawn = random.key(state["seed"]), state["drawn"]
        return self

    def clone_state(self) -> Generator:
        """Another generator at the same place."""
        return Generator(self.device).set_state(self.get_state())

    def __repr__(self) -> str:
        return f"<samara.Generator of seed {self.initial_seed()}, device {self.device}>"


class _DefaultGenerator(Generator):
    """The stream that functions without `generator=` and `key=` draw from."""

    def manual_seed(self, seed: int) -> Generator:
        random.seed(seed)
        return self

    def initial_seed(self) -> int:
        return random.get_state()["seed"]

    def next_key(self) -> Key:
        return random.next_key()

    def get_state(self) -> Tensor:
        return _as_tensor(random.get_state())

    def set_state(self, new_state: Tensor) -> Generator:
        random.set_state(_as_state("set_rng_state", new_state))
        return self


default_generator: Generator = _DefaultGenerator()


@plain()
def manual_seed(seed: Any) -> Generator:
    """Restarts the default random stream, as `samara.seed` does; gives its generator.

    >>> samara.manual_seed(3) is samara.default_generator
    True
    """
    return default_generator.manual_seed(seed)


@plain()
def initial_seed() -> int:
    """The seed that the default random stream started from. Source: PyTorch, `initial_seed`.

    >>> generator = samara.manual_seed(3)
    >>> samara.initial_seed()
    3
    """
    return default_generator.initial_seed()


@plain()
def get_rng_state() -> Tensor:
    """Where the default random stream stands, `[24]` uint8. Source: PyTorch, `get_rng_state`.

    >>> samara.get_rng_state().shape
    (24,)
    """
    return default_generator.get_state()


@plain()
def set_rng_state(new_state: Any) -> None:
    """Puts the default random stream where `get_rng_state` found it.

    Raises DTypeError and ArgumentError for anything else. Source: PyTorch, `set_rng_state`.

    >>> state = samara.get_rng_state()
    >>> first = samara.rand(2)
    >>> samara.set_rng_state(state)
    >>> bool((samara.rand(2) == first).all())
    True
    """
    default_generator.set_state(new_state)
