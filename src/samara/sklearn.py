"""scikit-learn's face: `Classifier` and `Regressor`, for pipelines, searches and cross-validation.

Both wrap a small multi-layer perceptron, or any network of yours, and train it by `samara.fit`.
scikit-learn is an optional dependency (`pip install samara[sklearn]`), imported with this module.

>>> from sklearn.datasets import load_iris
>>> from sklearn.model_selection import cross_val_score
>>> X, y = load_iris(return_X_y=True)
>>> bool(cross_val_score(Classifier(random_state=0), X, y, cv=3).mean() > 0.9)
True
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import samara
from samara import nn
from samara.data import split_rows
from samara.errors import ArgumentError, DataError, MissingLibraryError
from samara.lookup import choose
from samara.optim import Optimizer
from samara.train import History, fit
from samara.train.optimizers import make_optimizer

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.class_weight import compute_class_weight
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
except ImportError as _error:
    raise MissingLibraryError(
        f"samara.sklearn: scikit-learn 1.6 or later cannot be imported ({_error}). Expected it "
        "installed. Fix: pip install 'samara[sklearn]'."
    ) from _error

__all__ = ["Classifier", "Regressor"]

Array = NDArray[Any]

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "identity": nn.Identity,
    "leaky_relu": nn.LeakyReLU,
    "mish": nn.Mish,
    "relu": nn.ReLU,
    "selu": nn.SELU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}
_DTYPES = {"float32": samara.float32, "float64": samara.float64}
_BLOCK = 4096  # rows of one call in predictions: bounds the memory of the hidden layers


class _Estimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no type hints
    """What `Classifier` and `Regressor` share: options, training, the network's outputs."""

    def __init__(
        self,
        network: Callable[[int, int], nn.Module] | None = None,
        *,
        hidden: Sequence[int] = (64,),
        activation: str | Callable[[], nn.Module] = "relu",
        dropout: float = 0.0,
        epochs: int = 100,
        batch_size: int = 32,
        lr: float | None = None,
        optimizer: Any = "adamw",
        schedule: Any = None,
        clip_norm: float | None = None,
        validation: float = 0.0,
        early_stopping: int | None = None,
        standardize: bool = True,
        dtype: str = "auto",
        warm_start: bool = False,
        random_state: Any = None,
        device: Any = "auto",
        verbose: int = 0,
    ) -> None:
        self.network = network
        self.hidden = hidden
        self.activation = activation
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.optimizer = optimizer
        self.schedule = schedule
        self.clip_norm = clip_norm
        self.validation = validation
        self.early_stopping = early_stopping
        self.standardize = standardize
        self.dtype = dtype
        self.warm_start = warm_start
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    @property
    def loss_curve_(self) -> list[float]:
        """The mean training loss of each epoch."""
        check_is_fitted(self)
        return list(self.history_.loss)

    @property
    def validation_curve_(self) -> list[float]:
        """The mean validation loss of each epoch; empty without `validation`."""
        check_is_fitted(self)
        return list(self.history_.validation_loss)

    def __sklearn_is_fitted__(self) -> bool:
        """True once a network is there."""
        return hasattr(self, "network_")

    def __getstate__(self) -> Any:
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_optimizer"}

    def _read(self, X: Any, y: Any, reset: bool = True) -> tuple[Array, Array]:
        # A network of the user's may take images: rows of any shape.
        read: tuple[Array, Array] = validate_data(
            self,
            X,
            y,
            dtype=[np.float64, np.float32],
            allow_nd=self.network is not None,
            multi_output=True,
            reset=reset,
        )
        return read

    def _train(
        self,
        X: Array,
        y: Array,
        weights: Array | None,
        n_outputs: int,
        classes: bool,
        partial: bool = False,
    ) -> None:
        """Fit the network to X [n, ...] and y: class codes [n] or standardised values [n, k].

        `partial`: one more pass, over all rows, from where network and optimizer stand.
        """
        rng = check_random_state(self.random_state)
        first, second = (int(seed) for seed in rng.randint(2**31 - 1, size=2))
        train, held_out = self._split(y, second, classes, 0.0 if partial else self.validation)
        share = None if weights is None else weights[train]
        go_on = partial or self.warm_start
        network = self._make_network(X.dtype, n_outputs, first, go_on)
        optimizer = self._make_optimizer(network)
        if partial:
            optimizer = self._kept_optimizer(network, optimizer)
        real = np.float64 if _dtype_of(network) == samara.float64 else np.float32
        loss: Any = "cross_entropy" if classes else "mse"
        target = y
        if weights is not None:
            # The weight of a row travels as the target's last column.
            mean = float(weights[train].mean())
            target = np.column_stack([y, weights / (mean or 1.0)]).astype(real)
            loss = weighted_cross_entropy if classes else weighted_mse
        center, scale = self._statistics(X[train], share, go_on)
        inputs = ((X - center) / scale).astype(real)
        target = target if classes and weights is None else target.astype(real)
        state = samara.random.get_state()
        try:
            history = fit(
                network,
                inputs[train],
                target[train],
                epochs=1 if partial else self.epochs,
                batch_size=self.batch_size,
                lr=None if partial else self.lr,
                optimizer=optimizer,
                loss=loss,
                validation=(inputs[held_out], target[held_out]) if len(held_out) else None,
                seed=second,
                early_stopping=None if partial else self.early_stopping,
                schedule=None if partial else self.schedule,
                clip_norm=self.clip_norm,
                verbose=self.verbose,
                device=self.device,
            )
        finally:
            samara.random.set_state(state)
        self.network_ = network
        self.center_, self.scale_ = center, scale
        self.history_: History = history
        self.n_iter_ = history.epochs + (getattr(self, "n_iter_", 0) if partial else 0)

    def _kept_optimizer(self, network: nn.Module, choice: Any) -> Optimizer:
        """The optimizer of the passes before, or a new one where the network is another."""
        kept = getattr(self, "_optimizer", None)
        if kept is None or kept[0] is not network:
            parameters = dict(network.named_parameters())
            kept = self._optimizer = (network, make_optimizer(choice, parameters, self.lr))
        found: Optimizer = kept[1]
        return found

    def _split(self, y: Array, seed: int, classes: bool, validation: float) -> tuple[Array, Array]:
        """Rows to train on and rows held out, in the classes' shares."""
        if not validation:
            return np.arange(len(y)), np.arange(0)
        if classes:
            return split_rows(len(y), validation, seed, "stratified", y)
        return split_rows(len(y), validation, seed)

    def _statistics(self, X: Array, weights: Array | None, go_on: bool) -> tuple[Array, Array]:
        """Mean and standard deviation of each column; (0, 1) where there is nothing to do."""
        if not self.standardize:
            return np.zeros(X.shape[1:]), np.ones(X.shape[1:])
        kept = getattr(self, "center_", None)
        if go_on and kept is not None and kept.shape == X.shape[1:]:
            return kept, self.scale_
        return _mean_and_deviation(X, weights)

    def _make_network(self, dtype: Any, n_outputs: int, seed: int, go_on: bool) -> nn.Module:
        present = getattr(self, "network_", None)
        if go_on and present is not None:
            found: nn.Module = present
            return found
        if self.dtype != "auto":
            wanted = choose(f"{type(self).__name__}: dtype", self.dtype, _DTYPES)
        else:
            wanted = samara.float32 if dtype == np.float32 else samara.float64
        build = self._perceptron if self.network is None else self.network
        state = samara.random.get_state()
        samara.seed(seed)
        try:
            network = build(self.n_features_in_, n_outputs)
        finally:
            samara.random.set_state(state)
        if not isinstance(network, nn.Module):
            raise ArgumentError(
                f"{type(self).__name__}: network(n_features, n_outputs) returned a "
                f"{type(network).__name__}. Expected an nn.Module. Fix: network=lambda n, k: "
                "nn.Sequential(nn.Linear(n, 32), nn.ReLU(), nn.Linear(32, k))."
            )
        return network.to(wanted)

    def _perceptron(self, n_features: int, n_outputs: int) -> nn.Module:
        """Linear, activation and dropout for each hidden size, then a linear layer."""
        activation = self.activation
        if isinstance(activation, str) or not callable(activation):
            activation = choose(f"{type(self).__name__}: activation", activation, _ACTIVATIONS)
        layers: list[nn.Module] = []
        width = n_features
        for size in self.hidden:
            layers += [nn.Linear(width, size), activation()]
            if self.dropout:
                layers.append(nn.Dropout(self.dropout))
            width = size
        return nn.Sequential(*layers, nn.Linear(width, n_outputs))

    def _make_optimizer(self, network: nn.Module) -> Any:
        choice = self.optimizer
        if isinstance(choice, Optimizer):
            raise ArgumentError(
                f"{type(self).__name__}: optimizer is an object, whose parameters are those of "
                "another network. Expected a name, a class or a function of parameters. "
                "Fix: optimizer=functools.partial(samara.optim.SGD, lr=0.1)."
            )
        made = callable(choice) and not isinstance(choice, type)
        return choice(network.parameters()) if made else choice

    def _outputs(self, X: Any) -> Array:
        """What the network answers for X: [n, n_outputs], in its own dtype."""
        check_is_fitted(self)
        X = validate_data(
            self, X, dtype=[np.float64, np.float32], allow_nd=self.network is not None, reset=False
        )
        parameter = next(self.network_.parameters())
        real = np.float64 if parameter.dtype == samara.float64 else np.float32
        self.network_.eval()
        found = []
        with samara.no_grad():
            for start in range(0, len(X), _BLOCK):
                block = ((X[start : start + _BLOCK] - self.center_) / self.scale_).astype(real)
                answer = self.network_(samara.from_numpy(block).to(parameter.device))
                found.append(answer.to("cpu").numpy())
        return np.concatenate(found)


class Classifier(ClassifierMixin, _Estimator):  # type: ignore[misc]  # as above
    """A network that tells classes apart, trained on cross entropy: softmax(f((x - m) / s)).

    `network(n_features, n_outputs) -> nn.Module` replaces the multi-layer perceptron that `hidden`,
    `activation` and `dropout` describe; with it, rows of X may have any shape. `optimizer` is a
    name, a class or a function of parameters; `lr`, `schedule`, `clip_norm`, `batch_size`,
    `epochs` and `device` are those of `samara.fit`. `validation` is the share of rows held out,
    `early_stopping` the epochs without a better loss after which training stops and the best
    parameters return. `standardize` subtracts the training mean m and divides by the standard
    deviation s. `dtype` is "float32", "float64" or "auto": that of X. With `warm_start` another
    `fit` goes on from the present parameters. `class_weight` counts the rows of each class by a
    dict's number, or with "balanced" so that all classes count alike.

    X: [n, n_features]; y: [n] numbers or names of classes. Fitted: `classes_`, `network_`,
    `history_`, `loss_curve_`, `validation_curve_`, `n_iter_`, `n_features_in_`, `center_`,
    `scale_`. Raises ValueError for data that cannot be used, as scikit-learn does.

    >>> X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> model = Classifier(epochs=200, lr=0.02, random_state=0).fit(X, ["no", "yes", "yes", "no"])
    >>> model.predict(X).tolist()
    ['no', 'yes', 'yes', 'no']
    """

    def __init__(
        self,
        network: Callable[[int, int], nn.Module] | None = None,
        *,
        hidden: Sequence[int] = (64,),
        activation: str | Callable[[], nn.Module] = "relu",
        dropout: float = 0.0,
        epochs: int = 100,
        batch_size: int = 32,
        lr: float | None = None,
        optimizer: Any = "adamw",
        schedule: Any = None,
        clip_norm: float | None = None,
        validation: float = 0.0,
        early_stopping: int | None = None,
        standardize: bool = True,
        class_weight: Any = None,
        dtype: str = "auto",
        warm_start: bool = False,
        random_state: Any = None,
        device: Any = "auto",
        verbose: int = 0,
    ) -> None:
        super().__init__(
            network,
            hidden=hidden,
            activation=activation,
            dropout=dropout,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            optimizer=optimizer,
            schedule=schedule,
            clip_norm=clip_norm,
            validation=validation,
            early_stopping=early_stopping,
            standardize=standardize,
            dtype=dtype,
            warm_start=warm_start,
            random_state=random_state,
            device=device,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Classifier:
        """Train on X [n, n_features] and the classes y [n], each row as often as its weight."""
        X, y = self._read(X, y)
        check_classification_targets(y)
        classes, codes = np.unique(column_or_1d(y, warn=True), return_inverse=True)
        sample_weight = self._with_class_weight(sample_weight, classes, codes)
        rows, weights = _weights(sample_weight, len(X), "Classifier")
        if len(np.unique(codes[rows])) < 2:
            raise DataError(
                f"Classifier: y holds one class, {classes[codes[rows][0]]!r}. Expected at least "
                "two classes. Fix: check how y was made, or its rows chosen."
            )
        known = getattr(self, "classes_", classes)
        if self.warm_start and not np.array_equal(known, classes):
            raise DataError(
                f"Classifier: warm_start with the classes {classes.tolist()}, and the network "
                f"knows {known.tolist()}. Expected the same. Fix: warm_start=False."
            )
        self.classes_ = classes
        self._train(X[rows], codes[rows].astype(np.int64), weights, len(classes), True)
        return self

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> Classifier:
        """One pass over some rows, from where the network stands; for data that come in parts.

        The first call needs all `classes`; its rows decide what `standardize` subtracts and divides
        by. `validation`, `schedule` and `early_stopping` are those of `fit` alone.
        """
        first = not hasattr(self, "network_")
        if first and classes is None:
            raise DataError(
                "Classifier.partial_fit: the first call names no classes. Expected all that will "
                "come. Fix: partial_fit(X, y, classes=np.unique(all_y))."
            )
        X, y = self._read(X, y, reset=first)
        check_classification_targets(y)
        y = column_or_1d(y, warn=True)
        known = np.unique(classes) if first else self.classes_
        if classes is not None and not np.array_equal(np.unique(classes), known):
            raise DataError(
                f"Classifier.partial_fit: classes are {np.unique(classes).tolist()}, and the "
                f"network knows {known.tolist()}. Expected the same in every call. "
                "Fix: leave them out after the first."
            )
        strange = np.setdiff1d(y, known)
        if strange.size:
            raise DataError(
                f"Classifier.partial_fit: y holds {strange.tolist()}. Expected some of "
                f"{known.tolist()}. Fix: name all classes in the first call."
            )
        if first:
            self.classes_ = known
        codes = np.searchsorted(known, y)
        if isinstance(self.class_weight, str):
            raise ArgumentError(
                f"Classifier.partial_fit: class_weight is {self.class_weight!r}, which asks for "
                "all rows. Expected a dict or None. Fix: class_weight=dict(zip(classes, "
                'compute_class_weight("balanced", classes=classes, y=all_y))).'
            )
        sample_weight = self._with_class_weight(sample_weight, known, codes)
        rows, weights = _weights(sample_weight, len(X), "Classifier")
        if weights is None and len(np.unique(codes)) == 1:
            weights = np.ones(len(rows))  # plain class codes of one class would be refused
        self._train(X[rows], codes[rows].astype(np.int64), weights, len(known), True, partial=True)
        return self

    def _with_class_weight(self, sample_weight: Any, classes: Array, codes: Array) -> Any:
        """The rows' weights times those of their classes; None where all count alike."""
        if self.class_weight is None:
            return sample_weight
        share = compute_class_weight(self.class_weight, classes=classes, y=classes[codes])[codes]
        return share if sample_weight is None else np.asarray(sample_weight) * share

    def decision_function(self, X: Any) -> Array:
        """Logits [n, n_classes]; for two classes, how far the second is above the first: [n]."""
        logits = self._outputs(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, in the order of `classes_`: [n, n_classes]."""
        logits = self._outputs(X)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities: Array = powers / powers.sum(axis=1, keepdims=True)
        return probabilities

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithms of `predict_proba`, exact where these are too small for a number."""
        logits = self._outputs(X)
        shifted = logits - logits.max(axis=1, keepdims=True)
        result: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return result

    def predict(self, X: Any) -> Array:
        """The most probable class of each row: [n]."""
        codes = self._outputs(X).argmax(axis=1)
        found: Array = self.classes_[codes]
        return found


class Regressor(RegressorMixin, _Estimator):  # type: ignore[misc]  # as above
    """A network that predicts numbers, trained on the mean squared error.

    The options are those of `Classifier`; `standardize` scales the targets too, so the losses in
    `loss_curve_` are shares of their variance.

    X: [n, n_features]; y: [n] or [n, n_targets]. Fitted: `network_`, `history_`, `loss_curve_`,
    `validation_curve_`, `n_iter_`, `n_features_in_`, `center_`, `scale_`, `target_center_`,
    `target_scale_`. Raises ValueError for data that cannot be used, as scikit-learn does.

    >>> X = np.linspace(-1, 1, 50)[:, None]
    >>> model = Regressor(epochs=200, lr=0.01, random_state=0).fit(X, 100 * X[:, 0] ** 2)
    >>> bool(model.score(X, 100 * X[:, 0] ** 2) > 0.99)
    True
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Regressor:
        """Train on X [n, n_features] and y [n] or [n, n_targets], rows counted by their weights."""
        return self._fit(X, y, sample_weight, partial=False)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Regressor:
        """One pass over some rows, from where the network stands; for data that come in parts.

        The rows of the first call decide what `standardize` subtracts and divides by.
        `validation`, `schedule` and `early_stopping` are those of `fit` alone.
        """
        return self._fit(X, y, sample_weight, partial=True)

    def _fit(self, X: Any, y: Any, sample_weight: Any, partial: bool) -> Regressor:
        X, y = self._read(X, y, reset=not (partial and hasattr(self, "network_")))
        if y.dtype.kind not in "iubf":
            y = y.astype(np.float64)
        rows, weights = _weights(sample_weight, len(X), "Regressor")
        X, y = X[rows], y[rows]
        if not ((partial or self.warm_start) and hasattr(self, "target_center_")):
            self._flat = y.ndim == 1
            self.target_center_: Array = np.zeros(())
            self.target_scale_: Array = np.ones(())
            if self.standardize:
                self.target_center_, self.target_scale_ = _mean_and_deviation(y, weights)
        target = (y - self.target_center_) / self.target_scale_
        target = target.reshape(len(y), -1)
        self._train(X, target, weights, target.shape[1], False, partial)
        return self

    def predict(self, X: Any) -> Array:
        """The expected target of each row: [n] or [n, n_targets], as y was."""
        answer = self._outputs(X)
        shape = (-1,) if self._flat else answer.shape
        values = answer.reshape(shape) * self.target_scale_ + self.target_center_
        found: Array = values.astype(answer.dtype)
        return found

    def __sklearn_tags__(self) -> Any:
        """Several targets are welcome."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def weighted_cross_entropy(logits: Any, target: Any) -> Any:
    """mean(w_i * cross_entropy_i); logits: [n, k], target: [n, 2], class codes and weights."""
    codes = target[:, 0].to(samara.int64)
    return (nn.functional.cross_entropy(logits, codes, reduction="none") * target[:, 1]).mean()


def weighted_mse(output: Any, target: Any) -> Any:
    """mean(w_i * |y_i - t_i|^2 / k); output: [n, k], target: [n, k + 1], values and weights."""
    error = output - target[:, :-1]
    return ((error * error).mean(dim=1) * target[:, -1]).mean()


def _weights(sample_weight: Any, rows: int, owner: str) -> tuple[Array, Array | None]:
    """The rows whose weight is above 0, and their weights (None when all count alike)."""
    if sample_weight is None:
        return np.arange(rows), None
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.ndim == 0:
        weights = np.full(rows, float(weights))
    wrong = None
    if weights.shape != (rows,):
        wrong = f"sample_weight has shape {weights.shape} for {rows} rows"
    elif not np.isfinite(weights).all() or (weights < 0).any():
        wrong = "sample_weight holds a negative or non-finite number"
    elif not weights.any():
        wrong = "sample_weight is zero for all rows"
    if wrong is not None:
        raise DataError(
            f"{owner}: {wrong}. Expected one finite number of at least 0 per row, one of them "
            f"above 0. Fix: sample_weight=np.ones({rows})."
        )
    kept = np.flatnonzero(weights)
    return kept, weights[kept]


def _mean_and_deviation(values: Array, weights: Array | None) -> tuple[Array, Array]:
    """Weighted mean and standard deviation over the rows, in float64; 1 for a constant column."""
    values = values.astype(np.float64)
    mean = np.average(values, axis=0, weights=weights)
    deviation = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weights))
    # A column whose deviation is rounding noise is constant.
    constant = deviation <= 10 * np.finfo(np.float64).eps * np.abs(mean)
    return np.asarray(mean), np.where(constant, 1.0, deviation)


def _dtype_of(network: nn.Module) -> Any:
    return next((p.dtype for p in network.parameters()), samara.float32)
