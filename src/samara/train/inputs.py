"""Turn what a user has (arrays, frames, tables, loaders) into a source of batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samara.errors import ArgumentError, DataError, DTypeError, TrainingError
from samara.train import core

__all__ = ["ArraySource", "Data", "LoaderSource", "Source", "gather", "is_table"]

Array = NDArray[Any]
Batch = tuple[tuple[Any, ...], Any]


class ArraySource:
    """Batches of equal-length arrays; the last array is the target.

    `origin` holds the rows' numbers in the user's arrays, where these were split.

    The order is a pure function of (seed, epoch): the same as `samara.data.Loader` gives to an
    explicit loop.
    """

    def __init__(
        self,
        arrays: Sequence[Array],
        batch_size: int,
        *,
        shuffle: bool,
        seed: int,
        origin: Array | None = None,
    ) -> None:
        from samara.data import Loader

        self.origin = origin
        self.arrays = tuple(arrays)
        self.rows = len(self.arrays[-1])
        self.steps: int | None = -(-self.rows // batch_size)
        self._loader = Loader(self.arrays, batch_size=batch_size, shuffle=shuffle, seed=seed)

    @property
    def target(self) -> Array | None:
        """All targets, in file order."""
        return self.arrays[-1]

    def peek(self) -> Batch:
        """The first batch, without moving anything on."""
        return next(self.epoch(0))

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of one epoch as ((inputs, ...), target)."""
        for batch in self._loader.epoch(epoch):
            yield tuple(batch[:-1]), batch[-1]


class LoaderSource:
    """Batches from the user's own iterable of (input, ..., target) tuples."""

    target: Array | None = None
    origin: Array | None = None

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._one_shot = iter(loader) is loader if not hasattr(loader, "epoch") else False
        self.rows: int | None = None
        self._peeked: tuple[Batch, Iterator[Batch]] | None = None
        try:
            self.steps: int | None = len(loader)
        except TypeError:
            self.steps = None

    def peek(self) -> Batch:
        """The first batch; an iterator that runs only once still gives it to epoch 0."""
        if self._peeked is None:
            rest = self._read(0)
            self._peeked = (next(rest), rest)
        return self._peeked[0]

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of one epoch as ((inputs, ...), target)."""
        if self._peeked is not None and epoch == 0:
            (first, rest), self._peeked = self._peeked, None
            yield first
            yield from rest
        else:
            yield from self._read(epoch)

    def _read(self, epoch: int) -> Iterator[Batch]:
        if self._one_shot and epoch > 0:
            raise TrainingError(
                f"fit: the data is an iterator that ended after epoch 1, and epoch {epoch + 1} "
                "needs it again. Expected something that can be iterated anew. Fix: pass a "
                "samara.data.Loader, a list of batches, or epochs=1."
            )
        per_epoch = getattr(self._loader, "epoch", None)
        batches: Iterable[Any] = per_epoch(epoch) if callable(per_epoch) else self._loader
        empty = True
        for i, batch in enumerate(batches):
            if not isinstance(batch, (tuple, list)) or len(batch) < 2:
                raise DataError(
                    f"fit: batch {i} of the loader is a {type(batch).__name__}"
                    f"{f' of length {len(batch)}' if isinstance(batch, (tuple, list)) else ''}. "
                    "Expected a tuple (input, ..., target). Fix: yield (x, y)."
                )
            empty = False
            yield tuple(batch[:-1]), batch[-1]
        if empty:
            raise DataError(
                f"fit: the loader gave no batch in epoch {epoch + 1}. Expected at least one. "
                "Fix: check that it holds data and can be iterated more than once."
            )


Source = ArraySource | LoaderSource


@dataclass
class Data:
    """What `fit` trains on: a training source, an optional validation source, and remarks."""

    train: Source
    validation: Source | None
    notes: list[str] = field(default_factory=list)
    default_loss: str = "mse"
    target_scale: float = 1.0


@dataclass(frozen=True)
class Reading:
    """How arrays are read: for which kind of loss, integer ids kept or not, and which float."""

    loss_kind: str | None
    keep_integers: bool
    real: np.dtype[Any]


def is_table(value: Any) -> bool:
    """True for a `samara.data.Table` or `Prepared` (asked without importing samara.data)."""
    kind = type(value)
    return kind.__module__.startswith("samara.data") and kind.__name__ in ("Table", "Prepared")


def gather(
    X: Any,
    y: Any,
    *,
    batch_size: int,
    validation: Any,
    shuffle: bool,
    seed: int,
    reading: Reading,
) -> Data:
    """Read the user's data once, check it, and split it."""
    if is_table(X):
        return _from_table(X, y, batch_size, validation, shuffle, seed)
    if y is None and isinstance(X, tuple) and len(X) == 2:
        X, y = X
    if y is None:
        return _from_loader(X, validation)
    notes: list[str] = []
    arrays = _arrays(X, y, reading, notes, "")
    held_out: tuple[Array, ...] | None = None
    train = arrays
    rest: Array | None = None
    chosen: Array | None = None
    if isinstance(validation, (tuple, list)):
        held_out = _validation_arrays(validation, arrays, reading)
    elif validation is not None and validation != 0:
        rest, chosen = _split(arrays[-1], validation, seed, notes, reading.loss_kind == "labels")
        if chosen is not None:
            train = tuple(a[rest] for a in arrays)
            held_out = tuple(a[chosen] for a in arrays)
    rows = len(train[-1])
    if batch_size > rows:
        notes.append(f"batch_size {batch_size} is more than the {rows} training rows: one batch")
    return Data(
        ArraySource(train, min(batch_size, rows), shuffle=shuffle, seed=seed, origin=rest),
        None if held_out is None else _plain(held_out, chosen),
        notes,
    )


def _plain(arrays: Sequence[Array], origin: Array | None = None) -> ArraySource:
    # No gradients are kept in evaluation, so larger batches cost little memory.
    rows = len(arrays[-1])
    return ArraySource(arrays, min(1024, rows), shuffle=False, seed=0, origin=origin)


def _from_table(X: Any, y: Any, batch_size: int, validation: Any, shuffle: bool, seed: int) -> Data:
    if y is not None:
        raise ArgumentError(
            "fit: y is given beside a table, which holds its own target. Expected fit(model, "
            "table). Fix: leave y out, or name the column with samara.csv(path, target=...)."
        )
    prepared = X
    if type(X).__name__ == "Table":
        if X.target is None:
            raise DataError(
                "fit: the table has no target column. Expected one. "
                f"Fix: samara.csv(path, target=...) with one of {', '.join(X.names)}."
            )
        prepared = X.prepare(seed=seed, validation=0 if validation is None else validation)
    train = part_arrays(prepared.train)
    rows = len(train[-1])
    held_out = prepared.validation
    regression = prepared.task == "regression"
    return Data(
        ArraySource(train, min(batch_size, rows), shuffle=shuffle, seed=seed),
        None if held_out is None or len(held_out) == 0 else _plain(part_arrays(held_out)),
        list(prepared.notes),
        "mse" if regression else "cross_entropy",
        float(prepared.preprocessing.target_std) if regression else 1.0,
    )


def part_arrays(part: Any) -> tuple[Array, ...]:
    """The arrays of a `Part` that a model is called with: categories only where there are any."""
    inputs = (part.features, part.categories) if part.categories.shape[1] else (part.features,)
    return inputs if part.target is None else (*inputs, part.target)


def _from_loader(loader: Any, validation: Any) -> Data:
    if (
        hasattr(loader, "__array__")
        or hasattr(loader, "__dlpack__")
        or not (hasattr(loader, "__iter__") or hasattr(loader, "epoch"))
    ):
        raise ArgumentError(
            f"fit: there is no target: y is None and the data is a {type(loader).__name__}. "
            "Expected fit(model, X, y), fit(model, (X, y)), a loader of (x, y) batches or a "
            "table. Fix: pass y; to reconstruct the input itself, fit(model, X, X)."
        )
    if isinstance(loader, (list, tuple)) and len(loader) == 0:
        raise DataError("fit: the data is empty. Expected at least one batch. Fix: pass (X, y).")
    if isinstance(loader, list) and not isinstance(loader[0], (tuple, list)):
        raise ArgumentError(
            "fit: there is no target: y is None and the data is a list. Expected fit(model, X, y) "
            "or a list of (x, y) batches. Fix: pass y."
        )
    held_out: Source | None = None
    notes: list[str] = []
    if isinstance(validation, (int, float)):
        if validation:
            notes.append("no validation: a loader cannot be split; pass validation=another_loader")
    elif validation is not None:
        held_out = LoaderSource(validation)
    return Data(LoaderSource(loader), held_out, notes)


def _arrays(X: Any, y: Any, reading: Reading, notes: list[str], prefix: str) -> tuple[Array, ...]:
    inputs = X if isinstance(X, tuple) else (X,)
    names = [f"{prefix}X" if len(inputs) == 1 else f"{prefix}X[{i}]" for i in range(len(inputs))]
    made = [_input(x, name, reading, notes) for x, name in zip(inputs, names, strict=True)]
    target = _target(y, f"{prefix}y", reading, notes)
    for array, name in zip(made, names, strict=True):
        if len(array) != len(target):
            raise DataError(
                f"fit: {name} has {len(array)} rows and {prefix}y has {len(target)}. Expected "
                f"one target per row. Fix: make both {min(len(array), len(target))} long, or "
                "transpose the one that holds samples along its second axis."
            )
    if len(target) == 0:
        raise DataError(
            f"fit: {names[0]} and {prefix}y are empty (0 rows). Expected at least one row. "
            "Fix: check the filter or the file the data comes from."
        )
    return (*made, target)


def _input(x: Any, name: str, reading: Reading, notes: list[str]) -> Array:
    array = _as_array(x, name)
    if array.ndim == 0:
        raise DataError(
            f"fit: {name} is a single number. Expected an array of rows. Fix: {name} of shape "
            "(rows, columns)."
        )
    if array.dtype.kind in "iu" and reading.keep_integers:
        return array.astype(np.int64)
    if array.dtype.kind in "iub":
        notes.append(f"{name} holds {array.dtype} values; they are used as {reading.real}")
    return array.astype(reading.real) if array.dtype.kind in "iubf" else array


def _target(y: Any, name: str, reading: Reading, notes: list[str]) -> Array:
    raw = None if core.is_tensor(y) else np.asarray(y)
    if raw is not None and raw.dtype.kind in "US":
        raise DTypeError(
            f"fit: {name} holds text ({str(raw.reshape(-1)[0])!r}). Expected numbers. Fix: for "
            f"classes, {name} = np.unique({name}, return_inverse=True)[1]; samara.csv does it too."
        )
    array = _as_array(y, name)
    if reading.loss_kind == "labels":
        return _labels(array, name, reading, notes)
    if array.dtype.kind in "iub" and reading.loss_kind == "same shape":
        notes.append(
            f"{name} holds {array.dtype} values; they are used as {reading.real} (regression). "
            "For classes use loss='cross_entropy'"
        )
        return array.astype(reading.real)
    return array.astype(reading.real) if array.dtype.kind == "f" else array


def _labels(array: Array, name: str, reading: Reading, notes: list[str]) -> Array:
    if array.dtype.kind == "f" and array.ndim <= 1:
        whole = array == np.floor(array)
        if not whole.all():
            row = int(np.flatnonzero(~whole)[0])
            raise DTypeError(
                f"fit: {name} row {row} holds {float(array[row]):g}, which is no class code, and "
                "the loss is cross_entropy. Expected integers 0..K-1. Fix: loss='mse' for a "
                "regression."
            )
        notes.append(f"{name} holds whole {array.dtype} values; they are used as class codes")
    elif array.dtype.kind == "f":
        return array.astype(reading.real)
    labels = array.astype(np.int64)
    classes = np.unique(labels[labels != -100])
    if labels.size and len(classes) == 1 and array.ndim <= 1 and len(labels) > 1:
        raise DataError(
            f"fit: all {len(labels)} labels in {name} are {int(classes[0])}: one class. Expected "
            "at least two. Fix: check how the target was made."
        )
    return labels


def _as_array(value: Any, name: str) -> Array:
    from samara.data import as_array

    if core.is_tensor(value):
        value = core.to_numpy(value)
    return np.asarray(as_array(value, name=name))


def _validation_arrays(
    validation: Any,
    arrays: tuple[Array, ...],
    reading: Reading,
) -> tuple[Array, ...]:
    if len(validation) != 2:
        raise ArgumentError(
            f"fit: validation is a {type(validation).__name__} of {len(validation)}. Expected "
            "(Xv, yv), a share such as 0.2, or None. Fix: validation=(Xv, yv)."
        )
    made = _arrays(validation[0], validation[1], reading, [], "validation ")
    for mine, theirs in zip(arrays, made, strict=True):
        if mine.shape[1:] != theirs.shape[1:]:
            raise DataError(
                f"fit: a training array has rows of shape {mine.shape[1:]} and its validation "
                f"twin {theirs.shape[1:]}. Expected equal. Fix: build both with the same columns."
            )
    return made


def _split(
    target: Array, share: Any, seed: int, notes: list[str], labels: bool
) -> tuple[Array | None, Array | None]:
    """(training rows, validation rows), or (None, None) for too few rows to divide."""
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share < 1:
        raise ArgumentError(
            f"fit: validation is {share!r}. Expected a share in [0, 1), (Xv, yv) or None. "
            "Fix: validation=0.2."
        )
    from samara.data import split_rows

    held = round(len(target) * share)
    if held == 0 or held == len(target):
        notes.append(f"no validation: {len(target)} rows are too few for a share of {share:g}")
        return None, None
    by_class = labels and target.ndim == 1
    strategy = "stratified" if by_class else "random"
    return split_rows(len(target), share, seed, strategy, target if by_class else None)
