"""Batches of sequences of different lengths, under the names of `torch.nn.utils.rnn`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

import samara
from samara.errors import ArgumentError, ShapeError
from samara.tensor import Tensor, from_numpy

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]

Array = np.ndarray[Any, Any]


class _Fields(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Fields):
    """Sequences of different lengths, longest first, step by step without padding.

    data: [sum of lengths, *]; batch_sizes: [longest length] int64, how many sequences have that
    step; sorted_indices and unsorted_indices: the order by length and the way back, or None. Made
    by `pack_sequence` and `pack_padded_sequence`; every recurrent layer takes it.

    >>> import samara
    >>> packed = pack_sequence([samara.tensor([1, 2, 3]), samara.tensor([4])])
    >>> packed.data.tolist(), packed.batch_sizes.tolist()
    ([1, 4, 2, 3], [2, 1, 1])
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Any,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        """Put the parts together; the first may also be (data, batch_sizes)."""
        if batch_sizes is None:
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The data in another dtype or on another device."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        move = [None if x is None else x.to(data.device) for x in self[2:]]
        return PackedSequence(data, self.batch_sizes, *move)

    def cpu(self) -> PackedSequence:
        """On the CPU."""
        return self.to("cpu")

    def double(self) -> PackedSequence:
        """In float64."""
        return self.to(samara.float64)

    def float(self) -> PackedSequence:
        """In float32."""
        return self.to(samara.float32)

    def half(self) -> PackedSequence:
        """In float16."""
        return self.to(samara.float16)

    @property
    def is_cuda(self) -> bool:
        """Whether the data lies on a GPU."""
        return self.data.device.type == "cuda"


# --- where the elements of a packed batch lie in the padded one -----------------------------------


def layout(batch_sizes: Tensor) -> tuple[Array, Array]:
    """Which of [T, N] are there, and the length of each sequence."""
    sizes = batch_sizes.numpy()
    there = np.arange(sizes[0] if len(sizes) else 0) < sizes[:, None]
    return there, there.sum(axis=0)


def gather_steps(padded: Tensor, there: Array) -> Tensor:
    """[T, N, *] -> the elements that are there, step by step."""
    flat = padded.reshape(-1, *padded.shape[2:])
    positions = from_numpy(np.flatnonzero(there)).to(padded.device)
    result: Tensor = samara.index_select(flat, 0, positions)
    return result


def spread_steps(data: Tensor, there: Array, value: Any = 0.0) -> Tensor:
    """The other way: [sum, *] -> [T, N, *], with `value` where nothing is."""
    if there.all():
        return data.reshape(*there.shape, *data.shape[1:])
    source = np.maximum(np.cumsum(there) - 1, 0).astype(np.int64)
    rows = samara.index_select(data, 0, from_numpy(source).to(data.device))
    rows = rows.reshape(*there.shape, *data.shape[1:])
    shape = there.shape + (1,) * (data.ndim - 1)
    mask = from_numpy(there.reshape(shape)).to(data.device)
    filler = samara.full((), value, dtype=data.dtype, device=data.device)
    padded: Tensor = samara.where(mask, rows, filler)
    return padded


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The inverse of a permutation [N] of 0, ..., N - 1; None of None.

    >>> import samara
    >>> invert_permutation(samara.tensor([2, 0, 1])).tolist()
    [1, 2, 0]
    """
    if permutation is None:
        return None
    inverse: Tensor = samara.argsort(permutation)
    return inverse


def _whole_numbers(place: str, lengths: Any, batch: int) -> Array:
    found = lengths.numpy() if isinstance(lengths, Tensor) else np.asarray(lengths)
    if found.shape != (batch,) or (found.dtype.kind not in "iu" and found.size):
        raise ShapeError(
            f"{place}: lengths has shape {found.shape} and dtype {found.dtype}. Expected one "
            f"integer for each of {batch} sequences. Fix: count the steps of every sequence."
        )
    return found.astype(np.int64)


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """The sequences of a padded batch without the padding.

    input: [T, N, *], or [N, T, *] with batch_first; lengths: [N] integers from 1 to T, on the CPU,
    longest first unless enforce_sorted=False. Raises ArgumentError for other lengths, ShapeError
    for another number of them.

    >>> import samara
    >>> x = samara.tensor([[1, 2, 0], [3, 0, 0], [4, 5, 6]])
    >>> packed = pack_padded_sequence(x, [2, 1, 3], batch_first=True, enforce_sorted=False)
    >>> packed.data.tolist(), packed.sorted_indices.tolist()
    ([4, 1, 3, 5, 2, 6], [2, 0, 1])
    """
    place = "pack_padded_sequence"
    if input.ndim < 2:
        raise ShapeError(
            f"{place}: input has shape {tuple(input.shape)}. Expected [T, N, *], or [N, T, *] with "
            "batch_first. Fix: pad_sequence makes it from a list."
        )
    padded = input.transpose(0, 1) if batch_first else input
    steps, batch = padded.shape[:2]
    numbers = _whole_numbers(place, lengths, batch)
    order = None
    if not enforce_sorted:
        permutation = np.argsort(-numbers, kind="stable")
        numbers = numbers[permutation]
        order = from_numpy(permutation).to(input.device)
        padded = samara.index_select(padded, 1, order)
    if not batch or numbers.min() < 1 or numbers.max() > steps or (np.diff(numbers) > 0).any():
        raise ArgumentError(
            f"{place}: the lengths are {numbers.tolist()} for an input of {steps} steps. Expected "
            f"one or more, from 1 to {steps}, the longest first. Fix: leave empty sequences out, "
            "and pass enforce_sorted=False for any order."
        )
    there = np.arange(numbers[0])[:, None] < numbers
    data = gather_steps(padded[: int(numbers[0])], there)
    return PackedSequence(data, from_numpy(there.sum(axis=1)), order)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The padded batch of a packed one, and the lengths [N], in the order it was packed from.

    -> [T, N, *], or [N, T, *] with batch_first; T is the longest length, or total_length. Raises
    ArgumentError when total_length is less than that.

    >>> import samara
    >>> packed = pack_sequence([samara.tensor([1, 2]), samara.tensor([3])])
    >>> [x.tolist() for x in pad_packed_sequence(packed, batch_first=True)]
    [[[1, 2], [3, 0]], [2, 1]]
    """
    there, lengths = layout(sequence.batch_sizes)
    steps = len(there)
    if total_length is not None:
        if total_length < steps:
            raise ArgumentError(
                f"pad_packed_sequence: total_length is {total_length}. Expected at least the "
                f"longest length, {steps}. Fix: total_length={steps}."
            )
        there = np.pad(there, [(0, total_length - steps), (0, 0)])
    padded = spread_steps(sequence.data, there, padding_value)
    counts = from_numpy(lengths)
    back = sequence.unsorted_indices
    if back is not None:
        padded = samara.index_select(padded, 1, back)
        counts = samara.index_select(counts, 0, back.to("cpu"))
    return (padded.transpose(0, 1) if batch_first else padded), counts


def pad_sequence(
    sequences: Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences [L_i, *] side by side, padded to the longest.

    -> [T, N, *], or [N, T, *] with batch_first. Raises ArgumentError for none and for another side
    than "left" and "right", ShapeError when the other axes differ.

    >>> import samara
    >>> pad_sequence([samara.ones(2), samara.ones(1)], batch_first=True).tolist()
    [[1.0, 1.0], [1.0, 0.0]]
    """
    parts = list(sequences)
    if not parts or padding_side not in ("left", "right"):
        what = f"padding_side is {padding_side!r}" if parts else "an empty list was given"
        raise ArgumentError(
            f"pad_sequence: {what}. Expected one sequence or more, and 'left' or 'right'. "
            "Fix: leave the batch out, or choose a side."
        )
    if any(x.ndim == 0 or x.shape[1:] != parts[0].shape[1:] for x in parts):
        raise ShapeError(
            f"pad_sequence: the sequences have shapes {[tuple(x.shape) for x in parts]}. Expected "
            "equal ones but for the first axis. Fix: reshape them."
        )
    lengths = np.array([x.shape[0] for x in parts], np.int64)
    longest = int(lengths.max())
    there = np.arange(longest) < lengths[:, None]
    if padding_side == "left":
        there = there[:, ::-1]
    if not there.any():
        padded = samara.full(
            (*there.shape, *parts[0].shape[1:]),
            padding_value,
            dtype=parts[0].dtype,
            device=parts[0].device,
        )
    else:
        padded = spread_steps(samara.cat(parts), there, padding_value)
    return padded if batch_first else padded.transpose(0, 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Any, batch_first: bool = False
) -> list[Tensor]:
    """The sequences [L_i, *] of a padded batch [T, N, *], or [N, T, *] with batch_first.

    Raises ShapeError for another number of lengths.

    >>> import samara
    >>> [x.tolist() for x in unpad_sequence(samara.ones(2, 2), [2, 1], batch_first=True)]
    [[1.0, 1.0], [1.0]]
    """
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    numbers = _whole_numbers("unpad_sequence", lengths, rows.shape[0])
    return [row[: int(n)] for row, n in zip(rows, numbers, strict=True)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences [L_i, *] packed, longest first unless enforce_sorted=False.

    Raises what `pad_sequence` and `pack_padded_sequence` raise.

    >>> import samara
    >>> pack_sequence([samara.tensor([1, 2]), samara.tensor([3])]).data.tolist()
    [1, 3, 2]
    """
    lengths = [x.shape[0] for x in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences [L_i, *] of a packed batch, in the order it was packed from.

    >>> import samara
    >>> packed = pack_sequence([samara.tensor([1, 2]), samara.tensor([3])])
    >>> [x.tolist() for x in unpack_sequence(packed)]
    [[1, 2], [3]]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
