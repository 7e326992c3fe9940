"""Data sets, samplers and loaders under the names of `torch.utils.data`.

Items are found by number, put together in batches and yielded as tensors, all in the caller's
thread. For tables and arrays `samara.data` and `samara.fit` are shorter and faster.

>>> import samara
>>> data = TensorDataset(samara.arange(5), samara.arange(5) * 2)
>>> [x.tolist() for x, y in DataLoader(data, batch_size=2)]
[[0, 1], [2, 3], [4]]
"""

from samara.utils.data.collate import default_collate, default_convert
from samara.utils.data.datasets import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    random_split,
)
from samara.utils.data.loader import DataLoader, get_worker_info
from samara.utils.data.samplers import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

__all__ = [
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "random_split",
]
