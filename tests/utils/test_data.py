"""Data sets, samplers and loaders with PyTorch's names."""

from __future__ import annotations

from collections import Counter, namedtuple
from typing import Any

import numpy as np
import pytest

import samara
from samara.errors import ArgumentError, DataError, DTypeError, IndexOutOfRangeError, ShapeError
from samara.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    get_worker_info,
    random_split,
)


class Squares(Dataset[Any]):
    def __init__(self, size: int = 10) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Any:
        return np.float32(index) ** 2, index


class Counting(IterableDataset[int]):
    def __iter__(self) -> Any:
        return iter(range(7))


def test_batches_in_order() -> None:
    batches = list(DataLoader(Squares(), batch_size=4))
    assert [y.tolist() for _, y in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert batches[1][0].tolist() == [16.0, 25.0, 36.0, 49.0]
    assert batches[0][0].dtype is samara.float32 and batches[0][1].dtype is samara.int64
    loader = DataLoader(Squares(), batch_size=4, drop_last=True, num_workers=3, pin_memory=True)
    assert [len(y) for _, y in loader] == [4, 4] and len(loader) == 2
    assert get_worker_info() is None


@pytest.mark.parametrize("kind", ["rows", "items"])
def test_shuffling_is_a_new_permutation_each_time(kind: str) -> None:
    data = TensorDataset(samara.arange(10), samara.arange(10) * 3)
    given: Any = data if kind == "rows" else Subset(data, range(10))
    loader = DataLoader(
        given, batch_size=3, shuffle=True, generator=samara.Generator().manual_seed(1)
    )
    rounds = []
    for _ in range(2):
        pairs = [(x, y) for x, y in loader]
        assert all((3 * x == y).all() for x, y in pairs)
        rounds.append([n for x, _ in pairs for n in x.tolist()])
        assert sorted(rounds[-1]) == list(range(10))
    assert rounds[0] != rounds[1]
    again = DataLoader(
        given, batch_size=3, shuffle=True, generator=samara.Generator().manual_seed(1)
    )
    assert [n for x, _ in again for n in x.tolist()] == rounds[0]


def test_single_items_and_streams() -> None:
    assert [y for _, y in DataLoader(Squares(3), batch_size=None)] == [0, 1, 2]
    assert [x.tolist() for x in DataLoader(Counting(), batch_size=3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(list(DataLoader(Counting(), batch_size=3, drop_last=True))) == 2
    assert list(DataLoader(Counting() + Counting(), batch_size=None)) == [*range(7), *range(7)]


def test_samplers() -> None:
    own = DataLoader(Squares(), sampler=[5, 1, 1], batch_size=2)
    assert [y.tolist() for _, y in own] == [[5, 1], [1]] and len(own) == 2
    batches = DataLoader(Squares(), batch_sampler=[[1], [2, 3]])
    assert [y.tolist() for _, y in batches] == [[1], [2, 3]]
    drawn = list(RandomSampler(range(4), replacement=True, num_samples=4000))
    assert max(drawn) == 3 and min(Counter(drawn).values()) > 850
    assert Counter(RandomSampler(range(3), num_samples=6)) == {0: 2, 1: 2, 2: 2}
    assert sorted(SubsetRandomSampler([4, 9, 2])) == [2, 4, 9]
    counts = Counter(WeightedRandomSampler([1.0, 0.0, 3.0], 8000))
    assert counts[1] == 0 and abs(counts[2] / counts[0] - 3) < 0.4
    once = WeightedRandomSampler([1.0, 1.0, 1.0], 3, replacement=False)
    assert sorted(once) == [0, 1, 2] and len(once) == 3
    assert list(BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    with pytest.raises(NotImplementedError, match="Sampler: __iter__ is missing"):
        iter(Sampler())


def test_parts() -> None:
    joined = Squares(3) + Squares(2)
    assert isinstance(joined, ConcatDataset) and len(joined) == 5
    assert [joined[k][1] for k in range(-5, 5)] == [0, 1, 2, 0, 1] * 2
    generator = samara.Generator().manual_seed(0)
    for lengths, sizes in (([6, 4], [6, 4]), ([0.5, 0.25, 0.25], [6, 2, 2]), ([10], [10])):
        parts = random_split(Squares(), lengths, generator)
        assert [len(part) for part in parts] == sizes
        assert sorted(part[k][1] for part in parts for k in range(len(part))) == list(range(10))
    with pytest.raises(ArgumentError, match="for 10 items"):
        random_split(Squares(), [3, 3])
    with pytest.raises(IndexOutOfRangeError, match="item 5 of 5"):
        joined[5]


def test_items_put_together() -> None:
    Point = namedtuple("Point", ["x", "y"])
    made = default_collate([{"p": Point(1, 2.5), "s": "a"}, {"p": Point(3, 4.5), "s": "b"}])
    assert isinstance(made["p"], Point) and made["p"].x.tolist() == [1, 3]
    assert made["p"].y.dtype is samara.float64 and made["s"] == ["a", "b"]
    arrays = default_collate([np.ones((2, 3), np.int16), np.zeros((2, 3), np.int16)])
    assert arrays.shape == (2, 2, 3) and arrays.dtype is samara.int16
    assert default_collate([True, False]).dtype is samara.bool
    with pytest.raises(DataError, match=r"\[1, 2\] elements"):
        default_collate([[1], [1, 2]])
    with pytest.raises(DTypeError, match="of type object"):
        default_collate([object(), object()])
    with pytest.raises(ShapeError):
        default_collate([samara.ones(2), samara.ones(3)])
    joined = DataLoader(Squares(4), batch_size=2, collate_fn=lambda items: len(items))
    assert list(joined) == [2, 2]


def test_what_excludes_one_another() -> None:
    for options in (
        {"shuffle": True, "sampler": [0]},
        {"batch_sampler": [[0]], "batch_size": 2},
        {"batch_sampler": [[0]], "drop_last": True},
        {"batch_size": None, "drop_last": True},
        {"batch_size": 0},
    ):
        with pytest.raises(ArgumentError, match="Expected a batch_size of 1 or more"):
            DataLoader(Squares(), **options)
    with pytest.raises(ArgumentError, match="one after another"):
        DataLoader(Counting(), shuffle=True)
    with pytest.raises(ShapeError, match="Expected one first size"):
        TensorDataset(samara.ones(2), samara.ones(3))
    with pytest.raises(DTypeError, match="Expected tensors"):
        TensorDataset([1, 2])  # a list is no tensor
    with pytest.raises(ArgumentError, match="num_samples is 0"):
        RandomSampler(range(3), num_samples=0)
    with pytest.raises(ArgumentError, match="no data sets"):
        ConcatDataset([])
    for kind, name in ((Dataset, "__getitem__"), (IterableDataset, "__iter__")):
        with pytest.raises(NotImplementedError, match=f"{name} is missing"):
            kind()[0] if name == "__getitem__" else iter(kind())


def test_a_loop_of_training() -> None:
    samara.manual_seed(0)
    x = samara.randn(256, 3)
    data = TensorDataset(x, x @ samara.tensor([[1.0], [-2.0], [0.5]]) + 1.0)
    model = samara.nn.Linear(3, 1)
    optimizer = samara.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(30):
        for inputs, target in DataLoader(data, batch_size=32, shuffle=True):
            optimizer.zero_grad()
            samara.nn.functional.mse_loss(model(inputs), target).backward()
            optimizer.step()
    np.testing.assert_allclose(model.weight.detach().numpy(), [[1.0, -2.0, 0.5]], atol=1e-2)
