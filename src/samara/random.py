"""Keys: where random numbers come from.

Every random function of Samara takes `key=`, and a number it draws is a function of the key and of
the element's index alone. The function is Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel
random numbers: as easy as 1, 2, 3", SC 2011). It follows that

- the number of threads, the instruction set and the device change nothing: the bits are the same;
- the first elements of a larger draw are those of a smaller one: `rand(10, key=k)[:5]` equals
  `rand(5, key=k)` (in row-major order, for one dtype);
- two draws of one kind with the same key are equal, so every use needs a key of its own. Fold one
  from what it is for: `key.fold("dropout").fold(step)`. Draws of different kinds (uniform, normal,
  integers, ...) with one key have nothing to do with each other.

Functions called without a key take the next one of a default stream, which `samara.seed` restarts.
The stream counts its keys, so its state is two numbers (`get_state`, `set_state`). Until `seed` is
called the seed is 0: a program gives the same numbers on every run. When several threads draw from
the default stream, each draw is sound but their order is the threads' own: fold a key per thread
where that matters. A forked child continues with a copy of the stream.

The mapping from keys to numbers is frozen: `ALGORITHM_VERSION` is raised when any number changes.
The numbers are not fit for cryptography.

>>> key = samara.random.key(7)
>>> key.fold("weights") == samara.random.key(7).fold("weights")
True
>>> key.fold("weights") == key.fold("bias")
False
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TypedDict

import samara._core as _core
from samara.errors import ArgumentError, DTypeError

__all__ = [
    "ALGORITHM_VERSION",
    "Key",
    "State",
    "as_key",
    "check_version",
    "default_key",
    "fork_rng",
    "get_state",
    "key",
    "next_key",
    "philox4x32",
    "replay",
    "seed",
    "seed_key",
    "seed_mark",
    "set_state",
    "stream_key",
]

ALGORITHM_VERSION: int = _core.RANDOM_ALGORITHM_VERSION
"""Raised whenever a number that some key gives changes."""

_WORD = 1 << 64


class Key:
    """64 bits that name a sequence of random numbers; immutable, hashable, comparable.

    `value` is the number itself, 0 <= value < 2^64. Make one with `samara.random.key(seed)` and
    derive others with `fold`.
    """

    __slots__ = ("_value",)
    _value: int

    def __init__(self, value: int) -> None:
        object.__setattr__(self, "_value", value % _WORD)

    def __setattr__(self, name: str, value: object) -> None:
        raise ArgumentError(
            f"Key.{name}: a key cannot be changed. Expected no assignment. "
            "Fix: derive another with key.fold(...)."
        )

    @property
    def value(self) -> int:
        """The key as a number, 0 <= value < 2^64."""
        return self._value

    @property
    def word(self) -> int:
        """The same 64 bits read as a signed number, the form the native operations take."""
        return self._value - _WORD if self._value >= _WORD >> 1 else self._value

    def fold(self, data: str | int) -> Key:
        """The key derived from this one and a name or a number.

        A number n (modulo 2^64) gives the first 64 bits of Philox with this key at counter n; a
        name gives what folding in its UTF-8 bytes, eight at a time, and then its length gives.
        Names and numbers are kept apart: fold(1) differs from fold("1").

        Raises DTypeError for anything else.

        >>> samara.random.key(0).fold("layer.0.weight").fold(3)
        Key(0x...)
        """
        if isinstance(data, str):
            return Key(_core.fold_text(self._value, data))
        if isinstance(data, int):
            return Key(_core.fold_number(self._value, data))
        raise DTypeError(
            f"Key.fold: got a {type(data).__name__}. Expected a name (str) or a number (int). "
            "Fix: fold in str(...) or int(...) of it."
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Key, self._value))

    def __repr__(self) -> str:
        return f"Key({self._value:#018x})"

    def __reduce__(self) -> tuple[type[Key], tuple[int]]:
        return Key, (self._value,)


def key(seed: int) -> Key:
    """The key of a seed: any int, modulo 2^64.

    >>> samara.random.key(42) == samara.random.key(42)
    True
    """
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise DTypeError(
            f"random.key: the seed is a {type(seed).__name__}. Expected an int. "
            "Fix: pass a whole number, e.g. key(0)."
        )
    return Key(seed.__index__())


def as_key(value: Key | int | None) -> Key:
    """A key as it is, the key of a seed, or, for None, the default stream's next one.

    >>> as_key(3) == key(3)
    True
    """
    if value is None:
        return next_key()
    return value if isinstance(value, Key) else key(value)


class State(TypedDict):
    """The default stream: what `get_state` gives and `set_state` takes."""

    version: int
    seed: int
    drawn: int


def _root(seed: Key) -> int:
    return seed.fold("samara.random.default")._value


def stream_key(seed: Key, number: int) -> Key:
    """The number-th key of the stream that starts at a seed.

    >>> samara.seed(5)
    >>> stream_key(key(5), 0) == samara.random.next_key()
    True
    """
    return Key(_core.fold_number(_root(seed), number))


class _Stream:
    """Keys one after another: the n-th is the root key's fold of n."""

    def __init__(self, seed: Key, drawn: int = 0) -> None:
        self.seed = seed
        self.root = _root(seed)
        self.drawn = drawn
        self.mark = object()


_lock = threading.Lock()
_stream = _Stream(Key(0))
_replayed = threading.local()  # the stream that this thread repeats, while it does


def seed(value: int) -> None:
    """Restarts the default stream at a seed, any int (modulo 2^64).

    What models draw for their initial values and what functions without `key=` draw is a function
    of it. Raises DTypeError when `value` is not an int.

    >>> samara.seed(1)
    >>> first = samara.rand(3)
    >>> samara.seed(1)
    >>> bool((samara.rand(3) == first).all())
    True
    """
    global _stream
    stream = _Stream(key(value))
    with _lock:
        _stream = stream


def next_key() -> Key:
    """The default stream's next key; no two are alike until `seed` or `set_state` is called.

    >>> samara.random.next_key() == samara.random.next_key()
    False
    """
    with _lock:
        stream = getattr(_replayed, "stream", None) or _stream
        number = stream.drawn
        stream.drawn = number + 1
    return Key(_core.fold_number(stream.root, number))


def seed_key() -> Key:
    """The key of the default stream's seed; drawing from the stream does not change it.

    >>> samara.seed(5)
    >>> samara.random.seed_key() == samara.random.key(5)
    True
    """
    return _stream.seed


default_key = seed_key


def seed_mark() -> object:
    """An object that is another one after every call of `seed` or `set_state`.

    >>> mark = samara.random.seed_mark()
    >>> samara.seed(0)
    >>> samara.random.seed_mark() is mark
    False
    """
    return _stream.mark


def get_state() -> State:
    """Where the default stream stands; `set_state` of it repeats what comes next.

    >>> state = samara.random.get_state()
    >>> first = samara.randn(2)
    >>> samara.random.set_state(state)
    >>> bool((samara.randn(2) == first).all())
    True
    """
    with _lock:
        stream = getattr(_replayed, "stream", None) or _stream
        return {
            "version": ALGORITHM_VERSION,
            "seed": stream.seed.value,
            "drawn": stream.drawn,
        }


def set_state(state: State) -> None:
    """Puts the default stream where `get_state` found it.

    Raises ArgumentError when the state is not one, or comes from another version of the algorithm.
    """
    global _stream
    missing = [name for name in ("version", "seed", "drawn") if name not in state]
    if missing:
        raise ArgumentError(
            f"random.set_state: the state lacks {', '.join(map(repr, missing))}. "
            "Expected what random.get_state() returns. Fix: pass that."
        )
    check_version(state)
    stream = _Stream(key(state["seed"]), int(state["drawn"]))
    with _lock:
        _stream = stream


def check_version(state: State) -> None:
    """ArgumentError for a state that another version of the algorithm made."""
    if state["version"] != ALGORITHM_VERSION:
        raise ArgumentError(
            f"random.set_state: the state is of version {state['version']} of the algorithm. "
            f"Expected version {ALGORITHM_VERSION}. Fix: use the release that made it."
        )


@contextlib.contextmanager
def replay(state: State | None) -> Iterator[None]:
    """Repeats in this thread what the default stream gave after `get_state`; None changes nothing.

    >>> state = samara.random.get_state()
    >>> first = samara.rand(2)
    >>> with samara.random.replay(state):
    ...     again = samara.rand(2)
    >>> bool((first == again).all()), bool((first == samara.rand(2)).any())
    (True, False)
    """
    outer = getattr(_replayed, "stream", None)
    if state is not None:
        _replayed.stream = _Stream(key(state["seed"]), state["drawn"])
    try:
        yield
    finally:
        _replayed.stream = outer


@contextlib.contextmanager
def fork_rng(devices: object = None, enabled: bool = True) -> Iterator[None]:
    """Inside the `with` block the default stream may be used and seeded; after it, it stands where
    it stood before. `devices` changes nothing. Source: PyTorch, `torch.random.fork_rng`.

    >>> samara.seed(1)
    >>> with samara.random.fork_rng():
    ...     inside = samara.rand(2)
    >>> bool((samara.rand(2) == inside).all())
    True
    """
    state = get_state()
    try:
        yield
    finally:
        if enabled:
            set_state(state)


def philox4x32(counter: tuple[int, int, int, int], key: int) -> tuple[int, int, int, int]:
    """One block of Philox4x32-10: four 32-bit words from a 128-bit counter and a 64-bit key.

    This is the function that all draws are made of, as in Random123; the key's low half is its
    first word.

    >>> [f"{word:08x}" for word in philox4x32((0, 0, 0, 0), 0)]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    words: tuple[int, int, int, int] = _core.philox4x32(*counter, key)
    return words
