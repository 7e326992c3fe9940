"""The loader: a data set in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from samara.errors import ArgumentError
from samara.tensor import asarray
from samara.utils.data.collate import default_collate, default_convert
from samara.utils.data.datasets import IterableDataset, TensorDataset
from samara.utils.data.samplers import BatchSampler, RandomSampler, SequentialSampler

__all__ = ["DataLoader", "get_worker_info"]


def get_worker_info() -> None:
    """None: there are no workers.

    >>> get_worker_info()
    """


class DataLoader:
    """Batches of a data set, in order or shuffled.

    `dataset` has `__getitem__` and `__len__`, or is an `IterableDataset`. batch_size=None gives
    single items. The order comes from `shuffle`, a `sampler`, or a `batch_sampler`, random ones
    from `generator` or the default stream. Batches are made in the caller's thread, so that a seed
    decides them: num_workers, pin_memory, timeout and their kin change nothing.

    Raises ArgumentError for arguments that exclude one another. Source: PyTorch, `DataLoader`.

    >>> [batch.tolist() for batch in DataLoader(range(5), batch_size=2, drop_last=True)]
    [[0, 1], [2, 3]]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[list[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        del timeout, worker_init_fn, multiprocessing_context
        del prefetch_factor, persistent_workers, pin_memory_device, in_order
        self.dataset = dataset
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.generator = generator
        self.drop_last = drop_last
        self._in_turn = isinstance(dataset, IterableDataset)
        self._check(batch_size, shuffle, sampler, batch_sampler)
        if batch_sampler is not None:
            batch_size = None
        elif sampler is None and not self._in_turn:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else None
            sampler = SequentialSampler(dataset) if sampler is None else sampler
        self.batch_size = batch_size
        self.sampler = sampler
        if batch_sampler is None and batch_size is not None and sampler is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_sampler = batch_sampler
        single = batch_size is None and batch_sampler is None
        self.collate_fn = collate_fn or (default_convert if single else default_collate)

    def _check(self, batch_size: Any, shuffle: Any, sampler: Any, batch_sampler: Any) -> None:
        wrong = None
        if self._in_turn and (shuffle or sampler is not None or batch_sampler is not None):
            wrong = "an order for a data set whose items come one after another"
        elif sampler is not None and shuffle:
            wrong = "both sampler and shuffle"
        elif batch_sampler is not None and (
            batch_size != 1 or shuffle or sampler is not None or self.drop_last
        ):
            wrong = "batch_sampler beside batch_size, shuffle, sampler or drop_last"
        elif batch_size is None and self.drop_last:
            wrong = "drop_last without batch_size"
        elif batch_size is not None and (isinstance(batch_size, bool) or batch_size < 1):
            wrong = f"batch_size={batch_size}"
        if wrong is not None:
            raise ArgumentError(
                f"DataLoader: {wrong} given. Expected a batch_size of 1 or more (or None) and one "
                "order. Fix: leave one of them out."
            )

    def __iter__(self) -> Iterator[Any]:
        if self._in_turn:
            yield from self._grouped()
        elif self.batch_sampler is not None:
            plain = type(self.dataset) is TensorDataset and self.collate_fn is default_collate
            for batch in self.batch_sampler:
                if plain:  # the rows of a batch at once
                    place = asarray(list(batch))
                    yield [x[place] for x in self.dataset.tensors]
                else:
                    yield self.collate_fn([self.dataset[i] for i in batch])
        else:
            for index in self.sampler or ():
                yield self.collate_fn(self.dataset[index])

    def _grouped(self) -> Iterator[Any]:
        """The items of an `IterableDataset`."""
        if self.batch_size is None:
            yield from (self.collate_fn(item) for item in self.dataset)
            return
        items: list[Any] = []
        for item in self.dataset:
            items.append(item)
            if len(items) == self.batch_size:
                yield self.collate_fn(items)
                items = []
        if items and not self.drop_last:
            yield self.collate_fn(items)

    def __len__(self) -> int:
        """How many batches an epoch has."""
        if self._in_turn:
            count = len(self.dataset)
            if self.batch_size is None:
                return count
            whole = count // self.batch_size
            return whole if self.drop_last else -(-count // self.batch_size)
        order: Any = self.sampler if self.batch_sampler is None else self.batch_sampler
        return len(order)
