"""Batches in a seeded order, gathered one step ahead by a background thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import problems
from .split import permutation

if TYPE_CHECKING:
    from .prepare import Part

Batch = tuple[NDArray[Any], ...]
WORTH_A_THREAD = 1 << 18  # bytes per batch


class Loader:
    """Yields tuples of NumPy arrays, ``batch_size`` rows at a time.

    The order of epoch e is ``permutation(rows, seed, "shuffle", e)``: it depends on the seed and
    the epoch alone, so an epoch can be taken up again at any batch.

    Args:
        data: a `Part`, or arrays of equal length [rows, ...].
        batch_size: rows per batch; the last batch may be smaller.
        shuffle: another order every epoch; else the order of the arrays.
        seed: of the order.
        drop_last: leave out a last batch that is not full.
        prefetch: batches gathered ahead by a thread; 0 gathers in the caller's thread. By default
            2 where a batch is large enough to be worth the hand-over, else 0.

    Raises:
        DataError: arrays of different lengths, no rows, or a batch size below 1.

    >>> import numpy as np
    >>> loader = Loader((np.arange(5.0), np.arange(5)), batch_size=2, shuffle=False)
    >>> [len(x) for x, y in loader.epoch(0)], len(loader)
    ([2, 2, 1], 3)
    """

    def __init__(
        self,
        data: Part | Sequence[NDArray[Any]],
        batch_size: int = 32,
        *,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
        prefetch: int | None = None,
    ) -> None:
        arrays = data.arrays() if hasattr(data, "arrays") else tuple(data)
        self.arrays: Batch = tuple(np.asarray(array) for array in arrays)
        lengths = [array.shape[0] if array.ndim else -1 for array in self.arrays]
        if not self.arrays or -1 in lengths or len(set(lengths)) > 1:
            raise problems.error(
                "Loader",
                f"received arrays with {lengths} rows",
                "pass at least one array, and the same number of rows in each",
            )
        if batch_size < 1 or int(batch_size) != batch_size:
            raise problems.error(
                "Loader", f"batch_size={batch_size!r}", "pass a whole number of at least 1"
            )
        self.rows = lengths[0]
        if self.rows == 0:
            raise problems.error("Loader", "received arrays with 0 rows", "pass at least one row")
        if drop_last and batch_size > self.rows:
            raise problems.error(
                "Loader",
                f"drop_last leaves no batch: batch_size={batch_size}, {self.rows} rows",
                "choose a smaller batch_size",
            )
        self.batch_size = int(batch_size)
        self.shuffle, self.seed, self.drop_last = shuffle, int(seed), drop_last
        if prefetch is None:
            row_bytes = sum(array.nbytes for array in self.arrays) // self.rows
            prefetch = 2 if row_bytes * self.batch_size >= WORTH_A_THREAD else 0
        self.prefetch = int(prefetch)

    def __len__(self) -> int:
        whole, rest = divmod(self.rows, self.batch_size)
        return whole + bool(rest and not self.drop_last)

    def __iter__(self) -> Iterator[Batch]:
        """Epoch 0; use `epoch` to have another order every time."""
        return self.epoch(0)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Row numbers in the order of an epoch, int64 [rows]."""
        if not self.shuffle:
            return np.arange(self.rows)
        return permutation(self.rows, self.seed, "shuffle", epoch)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from batch ``start`` on.

        Raises:
            DataError: ``start`` is not in 0 .. len(self).
        """
        if not 0 <= start <= len(self):
            raise problems.error(
                "Loader", f"start={start} is not a batch", f"pass 0 <= start <= {len(self)}"
            )
        batches = self._gather(epoch, start)
        return _ahead(batches, self.prefetch) if self.prefetch > 0 else batches

    def _gather(self, epoch: int, start: int) -> Iterator[Batch]:
        order = self.order(epoch)
        for batch in range(start, len(self)):
            rows = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield tuple(array[rows] for array in self.arrays)


def _ahead(batches: Iterator[Batch], depth: int) -> Iterator[Batch]:
    """The same batches, made by a thread that stays at most ``depth`` ahead.

    The thread ends when the consumer stops early, and its errors are raised in the consumer.
    """
    ready: queue.Queue[Batch | BaseException | None] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: Batch | BaseException | None) -> None:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for batch in batches:
                put(batch)
                if stop.is_set():
                    return
            put(None)
        except BaseException as reason:
            put(reason)

    def consume() -> Iterator[Batch]:
        thread = threading.Thread(target=work, name="samara-loader", daemon=True)
        thread.start()
        try:
            while True:
                item = ready.get()
                if item is None:
                    return
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            stop.set()
            while not ready.empty():
                ready.get_nowait()
            thread.join()

    return consume()
