"""Data sets: items by number, or one after another."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from samara._core import Tensor
from samara.errors import ArgumentError, DTypeError, IndexOutOfRangeError, ShapeError
from samara.ops.random_ops import randperm

__all__ = [
    "ChainDataset",
    "ConcatDataset",
    "Dataset",
    "IterableDataset",
    "Subset",
    "TensorDataset",
    "random_split",
]

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Items by number: subclass it, write `__getitem__` and `__len__`. `a + b` joins two.

    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 3
    ...     def __getitem__(self, index):
    ...         return index**2
    >>> len(Squares() + Squares())
    6
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(
            f"{type(self).__name__}: __getitem__ is missing. Expected a method that gives an item "
            "by its number. Fix: define it in the class."
        )

    def __add__(self, other: Dataset[Any]) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """Items one after another: subclass it, write `__iter__`. `a + b` gives both in turn.

    >>> class Words(IterableDataset):
    ...     def __iter__(self):
    ...         return iter(["a", "b"])
    >>> list(Words() + Words())
    ['a', 'b', 'a', 'b']
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(
            f"{type(self).__name__}: __iter__ is missing. Expected a method that gives the items. "
            "Fix: define it in the class."
        )

    def __add__(self, other: Dataset[Any]) -> Any:
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """The rows of tensors of one length, as tuples.

    Raises ShapeError for tensors of different lengths.

    >>> import samara
    >>> TensorDataset(samara.arange(3), samara.ones(3, 2))[1]
    (tensor(1), tensor([1., 1.]))
    """

    def __init__(self, *tensors: Tensor) -> None:
        for x in tensors:
            if not isinstance(x, Tensor):
                raise DTypeError(
                    f"TensorDataset: received {type(x).__name__}. Expected tensors. "
                    "Fix: convert it with samara.asarray(...)."
                )
        shapes = [tuple(x.shape) for x in tensors]
        if not tensors or () in shapes or len({shape[0] for shape in shapes}) > 1:
            raise ShapeError(
                f"TensorDataset: the tensors have shapes {', '.join(map(str, shapes)) or 'none'}. "
                "Expected one first size. Fix: put the rows first."
            )
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(x[index] for x in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].shape[0]


class Subset(Dataset[Any]):
    """The items of a data set with some numbers.

    >>> Subset("abcd", [3, 0])[0]
    'd'
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset[Any]):
    """Data sets one behind the other. Raises ArgumentError for none of them.

    >>> joined = ConcatDataset(["ab", "cde"])
    >>> joined[3], joined[-1], len(joined)
    ('d', 'e', 5)
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ArgumentError(
                "ConcatDataset: received no data sets. Expected one or more. Fix: pass a list."
            )
        self.cumulative_sizes = list(itertools.accumulate(len(part) for part in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        size = len(self)
        if not -size <= index < size:
            raise IndexOutOfRangeError(
                f"ConcatDataset: item {index} of {size}. Expected {-size} to {size - 1}. "
                "Fix: check where the number comes from."
            )
        index %= size
        part = bisect.bisect_right(self.cumulative_sizes, index)
        before = self.cumulative_sizes[part - 1] if part else 0
        return self.datasets[part][index - before]


class ChainDataset(IterableDataset[Any]):
    """Data sets of items one after another, in turn.

    >>> list(ChainDataset(["ab", "c"]))
    ['a', 'b', 'c']
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)

    def __iter__(self) -> Iterator[Any]:
        return itertools.chain.from_iterable(self.datasets)


def random_split(dataset: Any, lengths: Sequence[float], generator: Any = None) -> list[Subset]:
    """Parts of a data set, drawn at random, of the given lengths or shares.

    Shares add up to 1; what rounding leaves goes to the first parts, one item each. Raises
    ArgumentError for lengths that do not add up. Source: PyTorch, `torch.utils.data.random_split`.

    >>> [len(part) for part in random_split(range(10), [0.75, 0.25])]
    [8, 2]
    """
    total = len(dataset)
    sizes = [int(length) for length in lengths]
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1.0 + 1e-9 and total != 1:
        sizes = [math.floor(total * share) for share in lengths]
        for k in range(total - sum(sizes)):
            sizes[k % len(sizes)] += 1
    if sum(sizes) != total or any(size < 0 for size in sizes):
        raise ArgumentError(
            f"random_split: lengths are {list(lengths)} for {total} items. Expected numbers that "
            "add up to that, or shares that add up to 1. Fix: correct them."
        )
    order = randperm(total, generator=generator).tolist()
    ends = list(itertools.accumulate(sizes))
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, ends, strict=True)]
