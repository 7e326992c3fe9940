"""What `fit` promises: it learns, equals the explicit loop bit for bit, and prints plainly."""

import numpy as np
import pytest

import samara
from samara import nn, optim
from samara.train import History, batches, fit


def regression(rows=200, columns=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, columns))
    return X, X @ np.arange(1.0, columns + 1)[:, None] - 2


def blobs(rows=150, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % 3
    return rng.normal(size=(rows, 2)) + 4 * np.eye(3)[labels][:, :2], labels


def parameters_of(model):
    return {name: p.detach().numpy().copy() for name, p in model.named_parameters()}


def network(inputs=3, outputs=1):
    samara.seed(11)
    return nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs))


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert np.array_equal(a[name], b[name]), name


# ---- it learns


def test_a_line_is_found():
    x = np.linspace(-1, 1, 200)[:, None]
    model = nn.Linear(1, 1)
    history = fit(model, x, 3 * x + 2, epochs=100, optimizer="sgd", lr=0.1, seed=0, verbose=0)
    assert abs(model.weight.item() - 3) < 0.01
    assert abs(model.bias.item() - 2) < 0.01
    assert history.loss[-1] < history.loss[0]
    assert history.verdict.startswith("learning")


def test_classes_are_learned_and_compared_with_the_majority():
    X, labels = blobs()
    history = fit(
        network(2, 3), X, labels, loss="cross_entropy", epochs=40, lr=0.02, seed=0, verbose=0
    )
    assert history.metrics["accuracy"][-1] > 0.8
    assert history.baseline.name == "majority"
    assert history.baseline.beaten


def test_the_baseline_is_the_training_mean_scored_on_the_validation_rows():
    X, y = regression()
    Xv, yv = regression(seed=1)
    history = fit(network(), X, y, validation=(Xv, yv), epochs=2, seed=0, verbose=0)
    expected = np.sqrt(np.mean((yv - y.astype(np.float32).mean()) ** 2))
    assert history.baseline.name == "mean"
    assert history.baseline.score == pytest.approx(expected, rel=1e-5)


def test_the_validation_loss_and_metrics_are_those_of_the_whole_validation_set():
    X, y = regression()
    Xv, yv = regression(rows=1500, seed=1)
    model = network()
    history = fit(
        model,
        X,
        y,
        validation=(Xv, yv),
        epochs=2,
        metrics=("mae", "rmse", "r2"),
        seed=0,
        verbose=0,
    )
    with samara.no_grad():
        output = model(samara.tensor(Xv.astype(np.float32))).numpy().astype(np.float64)
    error = output - yv
    spread = np.mean((yv - yv.mean()) ** 2)
    assert history.validation_loss[-1] == pytest.approx(np.mean(error**2), rel=1e-4)
    assert history.metrics["mae"][-1] == pytest.approx(np.mean(np.abs(error)), rel=1e-4)
    assert history.metrics["rmse"][-1] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-4)
    assert history.metrics["r2"][-1] == pytest.approx(1 - np.mean(error**2) / spread, rel=1e-4)


# ---- it is the explicit loop


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_fit_and_the_explicit_loop_give_the_same_bits(name):
    X, y = regression(rows=75)
    by_fit = network()
    fit(by_fit, X, y, epochs=3, lr=0.01, optimizer=name.lower(), seed=5, validation=None, verbose=0)

    by_hand = network()
    samara.seed(5)
    optimizer = getattr(optim, name)(by_hand.parameters(), lr=0.01)
    for epoch in range(3):
        for x_batch, y_batch in batches(X, y, batch_size=32, seed=5, epoch=epoch):
            loss = nn.functional.mse_loss(by_hand(x_batch), y_batch)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    assert_equal(parameters_of(by_fit), parameters_of(by_hand))


def test_the_same_bits_with_dropout_and_class_labels():
    X, labels = blobs(rows=70)

    def dropping():
        samara.seed(11)
        return nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3))

    by_fit = dropping()
    fit(by_fit, X, labels, loss="cross_entropy", epochs=3, seed=2, validation=None, verbose=0)

    by_hand = dropping()
    samara.seed(2)
    optimizer = optim.AdamW(by_hand.parameters())
    for epoch in range(3):
        for x_batch, y_batch in batches(X, labels, seed=2, epoch=epoch):
            loss = nn.functional.cross_entropy(by_hand(x_batch), y_batch)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    assert_equal(parameters_of(by_fit), parameters_of(by_hand))


def test_the_seed_decides_everything_and_another_seed_something_else():
    X, y = regression()

    def run(seed):
        model = network()
        fit(model, X, y, epochs=2, seed=seed, verbose=0)
        return parameters_of(model)

    assert_equal(run(3), run(3))
    assert not np.array_equal(run(3)["0.weight"], run(4)["0.weight"])


def test_watching_changes_nothing():
    X, y = regression()
    plain, watched = network(), network()
    fit(plain, X, y, epochs=3, seed=0, validation=None, verbose=0)
    seen = []
    fit(
        watched,
        X,
        y,
        epochs=3,
        seed=0,
        validation=(X, y),
        metrics=("mae",),
        callbacks=[lambda history: seen.append(history.loss[-1])],
        verbose=0,
    )
    assert_equal(parameters_of(plain), parameters_of(watched))
    assert len(seen) == 3


# ---- what it takes


def as_pandas(X):
    import pandas

    return pandas.DataFrame(X, columns=list("abc"))


def as_polars(X):
    import polars

    return polars.DataFrame(X, schema=list("abc"))


def as_arrow(X):
    import pyarrow

    return pyarrow.table({name: X[:, i] for i, name in enumerate("abc")})


@pytest.mark.parametrize(
    "wrap",
    [
        np.ndarray.tolist,
        as_pandas,
        as_polars,
        as_arrow,
        samara.tensor,
        np.asfortranarray,
        lambda X: np.repeat(X, 2, axis=0)[::2],
    ],
    ids=["list", "pandas", "polars", "arrow", "tensor", "fortran", "strided"],
)
def test_the_same_values_in_any_wrapping_train_the_same(wrap):
    X, y = regression(rows=60)
    plain, wrapped = network(), network()
    fit(plain, X, y, epochs=2, seed=0, verbose=0)
    fit(wrapped, wrap(X), y, epochs=2, seed=0, verbose=0)
    assert_equal(parameters_of(plain), parameters_of(wrapped))


def test_a_pair_is_taken_for_inputs_and_target():
    X, y = regression(rows=60)
    two, one = network(), network()
    fit(two, X, y, epochs=2, seed=0, verbose=0)
    fit(one, (X, y), epochs=2, seed=0, verbose=0)
    assert_equal(parameters_of(two), parameters_of(one))


def test_a_loader_is_iterated_once_per_epoch():
    X, y = regression(rows=64)
    loader = samara.data.Loader(
        (X.astype(np.float32), y.astype(np.float32)), batch_size=32, shuffle=True, seed=0
    )
    by_loader, by_arrays = network(), network()
    history = fit(by_loader, loader, epochs=3, validation=None, verbose=0)
    fit(by_arrays, X, y, epochs=3, seed=0, validation=None, verbose=0)
    assert history.steps == 6
    assert_equal(parameters_of(by_loader), parameters_of(by_arrays))


def test_a_list_of_batches_is_a_loader():
    X, y = regression(rows=64)
    pairs = [
        (X[i : i + 16].astype(np.float32), y[i : i + 16].astype(np.float32))
        for i in range(0, 64, 16)
    ]
    assert fit(network(), pairs, validation=pairs, epochs=2, verbose=0).steps == 8


def test_a_model_may_have_several_inputs():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 1), nn.Linear(2, 1)

        def forward(self, x, z):
            return self.a(x) + self.b(z)

    X, y = regression(rows=100)
    Z = np.random.default_rng(1).normal(size=(100, 2))
    history = fit(Sum(), (X, Z), y + Z[:, :1], epochs=30, lr=0.1, seed=0, verbose=0)
    assert history.loss[-1] < 0.1 * history.loss[0]


def test_integer_inputs_of_an_embedding_stay_integers():
    ids = np.arange(90).reshape(-1, 1) % 3
    model = nn.Sequential(nn.Embedding(3, 4), nn.Flatten(), nn.Linear(4, 1))
    history = fit(model, ids, ids == 1, epochs=60, lr=0.05, seed=0, verbose=0)
    assert history.loss[-1] < 0.1 * history.loss[0]


def test_a_layer_without_input_size_gets_it_from_the_first_batch():
    X, y = regression()
    model = nn.Sequential(nn.Linear(out_features=8), nn.ReLU(), nn.Linear(out_features=1))
    history = fit(model, X, y, epochs=2, seed=0, verbose=0)
    assert dict(model.named_parameters())["0.weight"].shape == (8, 3)
    assert history.epochs == 2


def test_integer_targets_of_a_regression_are_cast_with_a_note():
    X, _ = regression()
    history = fit(network(), X, np.arange(len(X))[:, None], epochs=1, verbose=0)
    assert any("int64" in note and "float32" in note for note in history.notes)


def test_a_model_of_doubles_trains_in_doubles():
    X, y = regression()
    model = network().double()
    history = fit(model, X, y, epochs=300, optimizer="sgd", lr=0.05, seed=0, verbose=0)
    assert model[0].weight.dtype == samara.float64
    assert history.loss[-1] < history.loss[0]
    again = network()
    single = fit(again, X, y, epochs=300, optimizer="sgd", lr=0.05, seed=0, verbose=0)
    assert history.loss[-1] != single.loss[-1]


def test_a_batch_larger_than_the_data_is_one_batch_with_a_note():
    X, y = regression(rows=10)
    history = fit(network(), X, y, batch_size=64, epochs=2, validation=None, verbose=0)
    assert history.steps == 2
    assert any("64" in note and "10" in note for note in history.notes)


# ---- its options


def test_early_stopping_stops_and_restores_the_best_parameters():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 10)), rng.normal(size=(40, 1))
    Xv, yv = rng.normal(size=(200, 10)), rng.normal(size=(200, 1))
    model = network(10)
    history = fit(
        model,
        X,
        y,
        validation=(Xv, yv),
        epochs=400,
        lr=0.05,
        early_stopping=3,
        seed=0,
        verbose=0,
    )
    assert history.epochs < 400
    assert history.epochs == history.best_epoch + 3
    with samara.no_grad():
        output = model(samara.tensor(Xv.astype(np.float32))).numpy()
    assert np.mean((output - yv) ** 2) == pytest.approx(min(history.validation_loss), rel=1e-4)
    assert any("restored" in note for note in history.notes)


def test_clip_norm_bounds_the_first_step():
    X, y = regression()
    model = network()
    before = parameters_of(model)
    fit(
        model,
        X,
        1e4 * y,
        optimizer="sgd",
        lr=1.0,
        clip_norm=0.5,
        epochs=1,
        batch_size=len(X),
        validation=None,
        verbose=0,
    )
    after = parameters_of(model)
    moved = np.sqrt(sum(np.sum((after[n] - before[n]) ** 2) for n in before))
    assert moved == pytest.approx(0.5, rel=1e-3)


def test_a_callback_may_stop_the_run():
    X, y = regression()
    history = fit(network(), X, y, epochs=9, verbose=0, callbacks=[lambda h: h.epochs == 2])
    assert history.epochs == 2


def test_a_schedule_sets_the_rate_before_every_step():
    X, y = regression(rows=64)
    history = fit(
        network(),
        X,
        y,
        epochs=3,
        lr=0.1,
        schedule=lambda step: 0.5**step,
        validation=None,
        verbose=0,
    )
    assert history.learning_rate == pytest.approx([0.1 * 0.5**1, 0.1 * 0.5**3, 0.1 * 0.5**5])


def test_an_optimizer_object_is_used_as_it_is():
    X, y = regression()
    by_name, by_object = network(), network()
    fit(by_name, X, y, optimizer="sgd", lr=0.01, epochs=2, seed=0, verbose=0)
    optimizer = optim.SGD(by_object.parameters(), lr=0.01)
    fit(by_object, X, y, optimizer=optimizer, epochs=2, seed=0, verbose=0)
    assert_equal(parameters_of(by_name), parameters_of(by_object))


def test_the_model_is_left_ready_to_predict():
    X, y = regression()
    model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    fit(model, X, y, epochs=1, verbose=0)
    x = samara.tensor(X.astype(np.float32))
    assert np.array_equal(model(x).detach().numpy(), model(x).detach().numpy())
    assert all(p.grad is None for p in model.parameters())


# ---- what it prints


def test_one_line_per_epoch_without_control_codes(capsys):
    X, y = regression()
    history = fit(network(), X, y, epochs=4, seed=0)
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if line.startswith("epoch")]
    assert len(lines) == 4
    for line in lines:
        assert "loss" in line
        assert "val_loss" in line
        assert "rmse" in line
        assert "eta" in line
    assert "\x1b" not in out
    assert "\r" not in out
    assert history.verdict in out
    assert "baseline (mean)" in out


def test_verbose_0_prints_nothing(capfd):
    X, y = regression()
    fit(network(), X, y, epochs=2, verbose=0)
    assert capfd.readouterr() == ("", "")


def test_the_history_has_one_entry_per_epoch():
    X, y = regression()
    history = fit(network(), X, y, epochs=3, verbose=0)
    assert isinstance(history, History)
    assert history.epochs == 3
    assert len(history.validation_loss) == len(history.epoch_seconds) == 3
    assert len(history.metrics["rmse"]) == len(history.learning_rate) == 3
    assert history.seconds >= sum(history.epoch_seconds)
