"""A table to a fitted model: the default network, its training and its predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samara import nn
from samara.errors import ArgumentError, DataError
from samara.train import core
from samara.train.fit import fit
from samara.train.history import History
from samara.train.inputs import part_arrays

__all__ = ["TabularModel", "TabularNet", "fit_table", "network_for"]


class TabularNet(nn.Module):
    """Embeddings for the category columns, joined with the numbers, then a small MLP.

    features: [n, n_features] float32; categories: [n, n_categorical] int64 codes ->
    [n, n_outputs]. The layers are named by what they read, so a saved file tells its columns.
    """

    def __init__(
        self,
        n_features: int,
        cardinalities: Sequence[int],
        n_outputs: int,
        *,
        hidden: Sequence[int] = (64, 64),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "n_features": n_features,
            "cardinalities": list(cardinalities),
            "n_outputs": n_outputs,
            "hidden": list(hidden),
            "dropout": dropout,
        }
        widths = [embedding_width(count) for count in cardinalities]
        self.embeddings = nn.ModuleList(
            [nn.Embedding(c, w) for c, w in zip(cardinalities, widths, strict=True)]
        )
        layers: list[Any] = []
        width = n_features + sum(widths)
        for size in hidden:
            layers += [nn.Linear(width, size), nn.SiLU()]
            if dropout > 0:
                layers.append(nn.Dropout(dropout))
            width = size
        self.mlp = nn.Sequential(*layers, nn.Linear(width, n_outputs))

    def forward(self, features: Any, categories: Any = None) -> Any:
        """Scores of each row: standardised target, or one logit per class."""
        parts = [features] if features.shape[1] else []
        parts += [table(categories[:, i]) for i, table in enumerate(self.embeddings)]
        return self.mlp(core.concat(parts) if len(parts) > 1 else parts[0])


def embedding_width(cardinality: int) -> int:
    """How many numbers stand for one category: about the root of the count, 2 to 32.

    >>> [embedding_width(n) for n in (3, 10, 100, 10_000)]
    [3, 5, 15, 32]
    """
    return max(2, min(32, round(1.5 * math.sqrt(cardinality))))


def network_for(preprocessing: Any, **options: Any) -> TabularNet:
    """The default network for what a `Preprocessing` produces."""
    if preprocessing.n_features + preprocessing.n_categorical == 0:
        raise DataError(
            "fit: the table has no column to learn from. Expected at least one beside the "
            f"target {preprocessing.target_name!r}. Fix: check the schema."
        )
    return TabularNet(
        preprocessing.n_features,
        list(preprocessing.cardinalities),
        preprocessing.n_outputs,
        **options,
    )


class TabularModel:
    """A network together with the preprocessing of its table: what is saved and loaded.

    `predict` takes a file, a table or a frame whose columns may be reordered, with extra ones and
    without the target.
    """

    def __init__(self, net: Any, preprocessing: Any, history: History | None = None) -> None:
        self.net = net
        self.preprocessing = preprocessing
        self.history = history if history is not None else History()
        self.notes: list[str] = []

    @property
    def task(self) -> str:
        """The kind of prediction: regression, binary or multiclass."""
        return str(self.preprocessing.task)

    def predict(self, data: Any) -> NDArray[Any]:
        """Predictions in the target's own terms: [rows] float64 values or class names."""
        decoded: NDArray[Any] = np.asarray(self.preprocessing.decode(self._outputs(data)))
        return decoded

    def predict_probabilities(self, data: Any) -> NDArray[np.float64]:
        """Class probabilities, softmax of the logits: [rows, n_classes] float64."""
        if self.task == "regression":
            raise ArgumentError(
                "predict_probabilities: the model predicts the number "
                f"{self.preprocessing.target_name!r}. Expected a classification model. "
                "Fix: use predict."
            )
        return softmax(self._outputs(data))

    def _outputs(self, data: Any) -> NDArray[Any]:
        part = self.preprocessing.transform(data)
        self.notes = list(part.notes)
        inputs = part_arrays(part)[:2] if part.categories.shape[1] else (part.features,)
        rows = len(part)
        self.net.eval()
        if rows == 0:
            return np.zeros((0, self.preprocessing.n_outputs), dtype=np.float32)
        found = []
        with core.no_grad():
            for start in range(0, rows, 4096):
                block = (core.tensor(a[start : start + 4096]) for a in inputs)
                found.append(core.to_numpy(self.net(*block)))
        return np.concatenate(found)

    def summary(self) -> str:
        """Task, columns, layers and how training went, as text."""
        p = self.preprocessing
        count = sum(int(t.numel()) for t in self.net.parameters())
        lines = [
            f"task          {self.task}, target {p.target_name!r}",
            f"numbers       {p.n_features}: {_few(p.feature_names)}",
            f"categories    {p.n_categorical}: {_few(p.categorical_names)}",
            f"parameters    {count}",
        ]
        if p.class_names:
            lines.insert(1, f"classes       {len(p.class_names)}: {_few(p.class_names)}")
        if self.history.loss:
            h = self.history
            lines.append(
                f"training      {h.epochs} epochs, loss {h.loss[0]:.4g} -> {h.loss[-1]:.4g} "
                f"{h.sparkline(24)}"
            )
            lines += [] if h.baseline is None else [f"score         {h.baseline}"]
            lines.append(f"verdict       {h.verdict}")
        lines.append("layers")
        width = max((len(name) for name, _ in self.net.named_parameters()), default=0)
        for name, tensor in self.net.named_parameters():
            shape = " x ".join(str(n) for n in tensor.shape)
            lines.append(f"  {name:<{width}}  {shape}")
        return "\n".join(lines)

    def save(self, path: str | PathLike[str]) -> str:
        """Write the model directory atomically; see `save_model`."""
        from samara.train.files import save_model

        return save_model(path, self)

    def __repr__(self) -> str:
        p = self.preprocessing
        score = f"; {self.history.baseline}" if self.history.baseline is not None else ""
        return f"TabularModel({self.task}, target {p.target_name!r}{score})"


def fit_table(
    table: Any,
    *,
    model: Any = None,
    epochs: int = 40,
    batch_size: int = 32,
    lr: float | None = None,
    validation: Any = 0.2,
    seed: int = 0,
    early_stopping: int | None = 10,
    hidden: Sequence[int] = (64, 64),
    dropout: float = 0.1,
    verbose: int = 1,
    **options: Any,
) -> TabularModel:
    """Train on a table (or on what its `prepare` gave) and return the `TabularModel`.

    The default network is `TabularNet`; `model` replaces it and is called with (features,
    categories), or (features,) where the table has no category column. The other options are
    those of `fit`. The parameters of the best epoch on validation are kept.
    """
    from samara.train.progress import Plain, terminal_width

    prepared = (
        table
        if hasattr(table, "preprocessing")
        else table.prepare(seed=seed, validation=0 if validation is None else validation)
    )
    core.seed(seed)
    net = (
        model
        if model is not None
        else network_for(prepared.preprocessing, hidden=hidden, dropout=dropout)
    )
    suspicious = findings(prepared)
    if verbose:
        lines = describe(prepared, terminal_width()) + [f"warning: {line}" for line in suspicious]
        Plain().line("\n".join(lines))
    history = fit(
        net,
        prepared,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        seed=seed,
        early_stopping=early_stopping,
        verbose=verbose,
        **options,
    )
    history.notes += suspicious
    return TabularModel(net, prepared.preprocessing, history)


def describe(prepared: Any, columns: int | None = None) -> list[str]:
    """The schema, fitted into `columns` characters, and the sizes of the split."""
    return [prepared.schema.render(columns), f"split: {prepared.accounting}"]


def findings(prepared: Any) -> list[str]:
    """What is suspicious about the table: leaks, copies, identifiers, constants, overlap."""
    from samara.data import examine, overlap

    return [str(found) for found in (*examine(prepared.train.table), *overlap(prepared))]


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """exp(x) / sum exp(x) along the last axis, in float64 and without overflow.

    >>> softmax(np.array([[0.0, 0.0]])).tolist()
    [[0.5, 0.5]]
    """
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    powers = np.exp(shifted)
    result: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return result


def _few(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(str(n) for n in names[:most])
    return f"{shown}, ..." if len(names) > most else shown
