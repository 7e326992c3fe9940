"""`fit`: the six-line loop with progress, validation, checks and a verdict around it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from samara.errors import ArgumentError
from samara.train import core
from samara.train.history import History
from samara.train.inputs import Reading, gather, is_table
from samara.train.losses import resolve_loss
from samara.train.metrics import resolve_metrics
from samara.train.run import Run, Settings

__all__ = ["batches", "fit"]


def fit(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    epochs: int = 10,
    batch_size: int = 32,
    lr: float | None = None,
    optimizer: Any = "adamw",
    loss: Any = None,
    validation: Any = 0.2,
    seed: int | None = None,
    metrics: Any = None,
    early_stopping: int | None = None,
    schedule: Any = None,
    clip_norm: float | None = None,
    shuffle: bool = True,
    verbose: int = 1,
    device: Any = "auto",
    callbacks: Sequence[Callable[[History], Any]] = (),
) -> History:
    """Train `model` on (X, y) and return the `History` of the run.

    Each step is `loss(model(x), y).backward(); optimizer.step()`, in an order that is a pure
    function of (seed, epoch), so the explicit loop over `samara.train.batches` gives the same
    parameters bit for bit.

    X: [n, ...] array, list, DataFrame (pandas, polars, Arrow), tensor, or a tuple of these for a
    model with several inputs; y: [n, ...]. Or, with y left out: (X, y), a loader of (x, y) batches,
    or a table of `samara.csv`.

    `loss` is "mse" (also the default), "mae", "huber", "bce", "cross_entropy" (the default for a
    table of classes), a loss module, or a callable (output, target) -> scalar tensor.
    `validation` is a share of the rows, (Xv, yv), a loader, or None. `seed` also restarts the
    global random stream, like `samara.seed(seed)`. `early_stopping=k` stops after k epochs
    without a better validation loss and restores the best parameters. `schedule` is "cosine",
    "linear", a callable step -> factor on lr, or a scheduler object of `samara.optim` (stepped
    once per epoch). A callback is called with the History after
    every epoch; it stops the run by returning True. The model is left in eval mode.

    Raises `DataError` for bad data (row and column named), `ShapeError` for a loss that would
    broadcast, `GradientError` when the loss does not reach the parameters, `ArgumentError` for a
    bad option and `NumericsError` (with `.history`) when the loss stops being finite; the
    parameters then keep their last finite values.

    >>> import numpy as np, samara
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> model = samara.nn.Linear(1, 1)
    >>> h = samara.fit(model, x, 3 * x + 2, epochs=60, lr=0.1, seed=0, verbose=0)
    >>> h.loss[-1] < h.loss[0]
    True
    """
    _check_options(epochs, batch_size, lr, early_stopping, clip_norm, seed, optimizer)
    if seed is not None:
        core.seed(seed)
    chosen = None if loss is None and is_table(X) else resolve_loss("mse" if loss is None else loss)
    data = gather(
        X,
        y,
        batch_size=batch_size,
        validation=validation,
        shuffle=shuffle,
        seed=seed or 0,
        reading=reading_for(model, None if chosen is None else chosen.kind),
    )
    if chosen is None:
        chosen = resolve_loss(data.default_loss)
    settings = Settings(
        epochs=epochs,
        lr=lr,
        optimizer=optimizer,
        early_stopping=early_stopping,
        schedule=schedule,
        clip_norm=clip_norm,
        verbose=verbose,
        device=device,
        callbacks=tuple(callbacks),
    )
    if metrics is not None and data.validation is None:
        data.notes.append("no validation data, so the metrics are not computed")
    scores = resolve_metrics(metrics, chosen.name, data.target_scale)
    return Run(model, data, chosen, scores, settings).go()


def batches(
    *arrays: Any, batch_size: int = 32, seed: int = 0, epoch: int = 0, shuffle: bool = True
) -> Iterable[tuple[Any, ...]]:
    """Tensor batches of equal-length arrays in the order that `fit` uses at (seed, epoch).

    arrays: each [n, ...] -> tuples of tensors [batch_size, ...]; the last batch may be shorter.
    Floats become the default dtype, as in `fit`; integers are kept.

    >>> import numpy as np
    >>> [x.shape for x, in batches(np.zeros((5, 2)), batch_size=2)]
    [(2, 2), (2, 2), (1, 2)]
    """
    import numpy as np

    from samara.data import Loader, as_array

    plain = []
    for i, array in enumerate(arrays):
        value = core.to_numpy(array) if core.is_tensor(array) else array
        made = np.asarray(as_array(value, name=f"array {i}"))
        plain.append(made.astype(core.float_type()) if made.dtype.kind == "f" else made)
    loader = Loader(tuple(plain), batch_size=batch_size, shuffle=shuffle, seed=seed)
    for batch in loader.epoch(epoch):
        yield tuple(core.tensor(part) for part in batch)


def reading_for(model: Any, loss_kind: str | None) -> Reading:
    """How to read arrays for a model: an embedding takes integer ids; floats as its parameters."""
    modules = getattr(model, "modules", tuple)
    ids = any(type(module).__name__ == "Embedding" for module in modules())
    return Reading(loss_kind, ids, core.float_type(model))


def _check_options(
    epochs: Any,
    batch_size: Any,
    lr: Any,
    early_stopping: Any,
    clip_norm: Any,
    seed: Any,
    optimizer: Any,
) -> None:
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        _need_positive_int(name, value)
    if early_stopping is not None:
        _need_positive_int("early_stopping", early_stopping)
    for name, value, fix in (("lr", lr, 1e-3), ("clip_norm", clip_norm, 1.0)):
        if value is None:
            continue
        good = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not good or not math.isfinite(value) or value <= 0:
            raise ArgumentError(
                f"fit: {name} is {value!r}. Expected a finite number above 0. Fix: {name}={fix}."
            )
    if lr is not None and not isinstance(optimizer, (str, type)):
        raise ArgumentError(
            f"fit: lr={lr!r} is given beside an optimizer object, which has its own. Expected one "
            "of the two. Fix: leave lr out, or pass optimizer='adamw' by name."
        )
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or seed < 0):
        raise ArgumentError(
            f"fit: seed is {seed!r}. Expected an integer of at least 0, or None. Fix: seed=0."
        )


def _need_positive_int(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArgumentError(
            f"fit: {name} is {value!r}. Expected an integer of at least 1. Fix: {name}=10."
        )
