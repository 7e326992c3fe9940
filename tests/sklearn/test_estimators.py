"""scikit-learn's own checks of an estimator, and what its tools do with ours."""

import functools
import os
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, load_iris, load_wine, make_regression
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import samara
from samara import nn
from samara.errors import ArgumentError, DataError, SamaraError
from samara.sklearn import Classifier, Regressor


class TwoLayers:
    """A network by its sizes; it prints the same in every process, as names of tests must."""

    def __call__(self, n_features, n_outputs):
        return nn.Sequential(nn.Linear(n_features, 16), nn.Tanh(), nn.Linear(16, n_outputs))

    def __repr__(self):
        return "two_layers"


two_layers = TwoLayers()


class Images(nn.Module):
    """A convolution over rows of X that are images."""

    def __init__(self, n_outputs):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3)
        self.head = nn.Linear(8 * 9, n_outputs)

    def forward(self, x):
        x = nn.functional.relu(self.conv(x.unsqueeze(1)))
        return self.head(nn.functional.max_pool2d(x, 2).flatten(1))


@parametrize_with_checks(
    [
        Classifier(),
        Regressor(),
        # Whole batches: rows repeated and rows weighted are then the same, whatever their number.
        Classifier(two_layers, batch_size=1000, lr=0.01, optimizer="adam"),
        Regressor(two_layers, batch_size=1000, lr=0.01, optimizer="adam"),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_array_dispatch_changes_nothing():
    """The check that scikit-learn skips unless SciPy was imported with its array dispatch on."""
    code = (
        "from sklearn.utils.estimator_checks import check_array_api_input as check\n"
        "from samara.sklearn import Classifier, Regressor\n"
        "for estimator in (Classifier(), Regressor()):\n"
        "    check('', estimator, 'numpy', expect_only_array_outputs=False)"
    )
    subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "SCIPY_ARRAY_API": "1"}, check=True
    )


# --- scores ----------------------------------------------------------------------------------


@pytest.mark.parametrize("load, expected", [(load_iris, 0.94), (load_wine, 0.95)])
def test_cross_validated_accuracy(load, expected):
    X, y = load(return_X_y=True)
    assert cross_val_score(Classifier(random_state=0), X, y, cv=5).mean() > expected


def test_a_regressor_is_as_good_as_least_squares():
    X, y = load_diabetes(return_X_y=True)
    model = Regressor(hidden=(16,), epochs=30, random_state=0)
    ours = cross_val_score(model, X, y, cv=5).mean()
    assert ours > cross_val_score(LinearRegression(), X, y, cv=5).mean() - 0.05


def test_scales_of_columns_and_targets_do_not_matter():
    X, y = make_regression(200, 3, random_state=0)
    moved = X * [1e-4, 1.0, 1e5] + [0.0, 1e3, -1e6]
    model = Regressor(epochs=40, lr=0.01, random_state=0)
    assert model.fit(moved, 1e4 * y + 1e7).score(moved, 1e4 * y + 1e7) > 0.95


def test_several_targets():
    X, y = make_regression(200, 5, n_targets=3, random_state=0)
    model = Regressor(epochs=40, lr=0.01, random_state=0).fit(X, y)
    assert model.predict(X).shape == y.shape
    assert model.score(X, y) > 0.95


# --- scikit-learn's tools --------------------------------------------------------------------


def test_search_in_a_pipeline():
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), Classifier(epochs=30, random_state=0))
    grid = {"classifier__hidden": [(), (16,)], "classifier__lr": [1e-5, 1e-2]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, y)
    assert search.best_params_["classifier__lr"] == 1e-2
    assert search.best_score_ > 0.9


@pytest.mark.parametrize("way", ["pickle", "joblib"])
def test_a_fitted_estimator_travels(way, tmp_path):
    X, y = load_iris(return_X_y=True)
    model = Classifier(two_layers, epochs=3, random_state=0).fit(X, y)
    if way == "pickle":
        read = pickle.loads(pickle.dumps(model))
    else:
        joblib.dump(model, tmp_path / "model.joblib")
        read = joblib.load(tmp_path / "model.joblib")
    assert (read.predict_proba(X) == model.predict_proba(X)).all()
    assert read.loss_curve_ == model.loss_curve_


def test_clone_keeps_the_options_alone():
    model = Regressor(hidden=(3,), lr=0.1).fit([[0.0], [1.0]], [0.0, 1.0])
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert not hasattr(copy, "network_")


def test_columns_of_a_frame_are_remembered():
    frame = load_iris(as_frame=True)
    model = Classifier(epochs=1, random_state=0).fit(frame.data, frame.target)
    assert list(model.feature_names_in_) == frame.feature_names
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.data[frame.feature_names[::-1]])


# --- options ---------------------------------------------------------------------------------


def test_names_of_classes_and_probabilities():
    X, codes = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])
    model = Classifier(epochs=30, lr=0.01, random_state=0).fit(X, names[codes])
    assert model.classes_.tolist() == names.tolist()
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), probabilities)
    assert (names[probabilities.argmax(axis=1)] == model.predict(X)).all()
    assert (model.decision_function(X).argmax(axis=1) == probabilities.argmax(axis=1)).all()


def test_the_seed_decides_and_the_global_stream_stays():
    X, y = load_iris(return_X_y=True)
    samara.seed(3)
    before = samara.random.get_state()
    first, second, other = (
        Classifier(epochs=2, dropout=0.2, random_state=seed).fit(X, y).predict_proba(X)
        for seed in (0, 0, 1)
    )
    assert samara.random.get_state() == before
    assert (first == second).all()
    assert (first != other).any()


@pytest.mark.parametrize(
    "dtype, given, kept",
    [
        ("auto", np.float32, np.float32),
        ("auto", np.float64, np.float64),
        ("float32", np.float64, np.float32),
        ("float64", np.float32, np.float64),
    ],
)
def test_dtype_of_the_network(dtype, given, kept):
    X, y = make_regression(20, 2, random_state=0)
    model = Regressor(epochs=1, dtype=dtype).fit(X.astype(given), y)
    assert next(model.network_.parameters()).dtype == getattr(samara, np.dtype(kept).name)
    assert model.predict(X).dtype == kept


def test_early_stopping_keeps_the_best():
    X, y = load_diabetes(return_X_y=True)
    model = Regressor(
        hidden=(128,), epochs=300, lr=0.02, validation=0.3, early_stopping=5, random_state=0
    ).fit(X, y)
    curve = model.validation_curve_
    assert model.n_iter_ == len(curve) == len(model.loss_curve_) < 300
    assert np.argmin(curve) == len(curve) - 6


def test_warm_start_goes_on():
    X, y = load_iris(return_X_y=True)
    model = Classifier(epochs=5, warm_start=True, random_state=0)
    first = model.fit(X, y).loss_curve_
    network = model.network_
    assert model.fit(X, y).loss_curve_[0] < first[-1]
    assert model.network_ is network
    with pytest.raises(DataError, match="warm_start"):
        model.fit(X, y + 1)


def test_an_image_network_takes_images():
    digits = load_digits()
    X, held_out, y, expected = train_test_split(digits.images, digits.target, random_state=0)
    model = Classifier(
        lambda _, classes: Images(classes), epochs=3, lr=0.01, dtype="float32", random_state=0
    )
    assert model.fit(X, y).score(held_out, expected) > 0.9


def test_optimizers_by_name_class_and_function():
    X, y = make_regression(50, 2, random_state=0)
    momentum = functools.partial(samara.optim.SGD, lr=0.1, momentum=0.5)
    by_function = Regressor(epochs=20, optimizer=momentum, random_state=0).fit(X, y)
    assert by_function.score(X, y) > 0.9
    named, by_class = (
        Regressor(epochs=2, optimizer=choice, lr=0.1, random_state=0).fit(X, y).predict(X)
        for choice in ("sgd", samara.optim.SGD)
    )
    assert (named == by_class).all()


def test_weights_count_rows():
    """The mean of equal rows with different targets, by weight."""
    X, y = np.zeros((4, 1)), np.array([0.0, 1.0, 1.0, 5.0])
    model = Regressor(hidden=(), epochs=1, lr=1e-9, random_state=0)
    model.fit(X, y, sample_weight=[2.0, 1.0, 1.0, 0.0])
    assert model.target_center_ == 0.5
    classes = Classifier(hidden=(), epochs=300, lr=0.05, random_state=0)
    classes.fit(X, [0, 0, 1, 1], sample_weight=[1.0, 1.0, 1.0, 5.0])
    np.testing.assert_allclose(classes.predict_proba(X[:1]), [[0.25, 0.75]], atol=1e-2)


def test_class_weights_count_classes():
    X = np.zeros((8, 1))
    y = np.array(["a"] * 6 + ["b"] * 2)
    for weight, share in (("balanced", 0.5), ({"a": 1.0, "b": 9.0}, 0.75), ({"b": 3.0}, 0.5)):
        model = Classifier(hidden=(), epochs=300, lr=0.05, class_weight=weight, random_state=0)
        np.testing.assert_allclose(model.fit(X, y).predict_proba(X[:1])[0, 1], share, atol=1e-2)
    # Both kinds of weights multiply.
    model = Classifier(hidden=(), epochs=300, lr=0.05, class_weight={"b": 3.0}, random_state=0)
    model.fit(X, y, sample_weight=[1.0] * 6 + [3.0, 0.0])
    np.testing.assert_allclose(model.predict_proba(X[:1])[0, 1], 9 / 15, atol=1e-2)
    with pytest.raises(ValueError, match="class_weight"):
        Classifier(class_weight="even").fit(X, y)


@pytest.mark.parametrize("kind", [Classifier, Regressor])
def test_a_pass_over_all_rows_is_an_epoch(kind):
    X, y = load_iris(return_X_y=True)
    whole = kind(epochs=1, random_state=0).fit(X, y)
    part = kind(epochs=9, random_state=0, validation=0.5)
    part.partial_fit(X, y, *([np.unique(y)] if kind is Classifier else []))
    np.testing.assert_array_equal(part.predict(X), whole.predict(X))
    assert part.loss_curve_ == whole.loss_curve_ and part.n_iter_ == 1


def test_passes_go_on():
    X, y = load_wine(return_X_y=True)
    rng = np.random.default_rng(0)
    model = Classifier(random_state=0, lr=0.01)
    for _ in range(30):
        rows = rng.permutation(len(X))[:60]
        model.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
    assert model.score(X, y) > 0.97 and model.n_iter_ == 30
    # Moments and their bias correction are those of one training: 30 passes of two batches each.
    state = model._optimizer[1].state
    assert {entry["step"] for entry in state.values()} == {60}
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copied.predict(X), model.predict(X))
    copied.partial_fit(X[:9], y[:9])
    # `fit` starts again from nothing.
    again = model.fit(X, y).predict_proba(X)
    fresh = Classifier(random_state=0, lr=0.01).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(again, fresh)


def test_parts_that_do_not_fit():
    X = np.ones((2, 3))
    with pytest.raises(DataError, match="the first call names no classes"):
        Classifier().partial_fit(X, [0, 1])
    model = Classifier().partial_fit(X, [1, 1], classes=[0, 1])
    with pytest.raises(DataError, match=r"y holds \[2\]"):
        model.partial_fit(X, [0, 2])
    with pytest.raises(DataError, match="Expected the same in every call"):
        model.partial_fit(X, [0, 1], classes=[0, 1, 2])
    with pytest.raises(ValueError, match="2 features"):
        model.partial_fit(np.ones((2, 2)), [0, 1])
    with pytest.raises(ArgumentError, match="asks for all rows"):
        Classifier(class_weight="balanced").partial_fit(X, [0, 1], classes=[0, 1])


# --- mistakes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, error, match",
    [
        ({"activation": "rleu"}, ArgumentError, "did you mean 'relu'"),
        ({"activation": 3}, ArgumentError, "activation is 3"),
        ({"dtype": "float16"}, ArgumentError, "float32, float64"),
        ({"network": lambda n, k: None}, ArgumentError, "returned a NoneType"),
        ({"network": lambda n, k: nn.Linear(n, k + 1)}, SamaraError, "shape|output"),
        ({"epochs": 0}, ArgumentError, "epochs is 0"),
        ({"optimizer": "adamv"}, ArgumentError, "adamw"),
        ({"validation": 1.5}, ValueError, "1.5"),
        (
            {"optimizer": samara.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1)},
            ArgumentError,
            "functools.partial",
        ),
    ],
)
def test_bad_options(options, error, match):
    with pytest.raises(error, match=match):
        Regressor(**options).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])


@pytest.mark.parametrize(
    "weight, match",
    [
        ([1.0], "shape"),
        ([1.0, -1.0, 1.0], "negative"),
        ([1.0, np.nan, 1.0], "non-finite"),
        ([0.0, 0.0, 0.0], "zero for all"),
    ],
)
def test_bad_weights(weight, match):
    with pytest.raises(DataError, match=match):
        Classifier().fit([[0.0], [1.0], [2.0]], [0, 1, 0], sample_weight=weight)


def test_one_class():
    with pytest.raises(DataError, match="one class"):
        Classifier().fit([[0.0], [1.0]], [1, 1])


def test_scikit_learn_missing():
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import samara\n"
        "try: samara.sklearn\n"
        "except samara.errors.MissingLibraryError as error: print(error)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'samara[sklearn]'" in found.stdout
