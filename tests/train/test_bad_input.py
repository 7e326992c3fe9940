"""What a user may get wrong, and what the one error must name."""

import numpy as np
import pytest

from samara import nn, optim
from samara.errors import (
    ArgumentError,
    DataError,
    DTypeError,
    GradientError,
    NumericsError,
    ShapeError,
    TrainingError,
)
from samara.train import fit

X = np.random.default_rng(0).normal(size=(64, 3))
Y = X[:, :1] * 2
LABELS = np.arange(64) % 3


def run(X=X, y=Y, outputs=1, **options):
    options.setdefault("verbose", 0)
    options.setdefault("epochs", 1)
    return fit(nn.Linear(3, outputs), X, y, **options)


def classify(y, outputs=3, **options):
    return run(y=y, outputs=outputs, loss="cross_entropy", **options)


# ---- options


@pytest.mark.parametrize("lr", [0, -0.1, float("nan"), float("inf"), "fast", True])
def test_a_rate_that_is_not_above_0(lr):
    with pytest.raises(ArgumentError, match=r"lr is .*above 0"):
        run(lr=lr)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", 1.5),
        ("batch_size", 0),
        ("batch_size", -3),
        ("early_stopping", 0),
        ("clip_norm", 0),
        ("seed", -1),
        ("seed", 0.5),
        ("validation", 1.0),
        ("validation", -0.1),
    ],
)
def test_an_option_out_of_range_is_named_with_its_value(name, value):
    with pytest.raises(ArgumentError, match=f"{name} is {value}"):
        run(**{name: value})


@pytest.mark.parametrize(
    ("option", "wrong", "right"),
    [
        ("loss", "cross_entropi", "cross_entropy"),
        ("optimizer", "adamm", "adam"),
        ("metrics", "acuracy", "accuracy"),
    ],
)
def test_a_misspelt_name_gets_the_closest_one(option, wrong, right):
    with pytest.raises(ArgumentError, match=f"{wrong}.*{right}"):
        run(**{option: wrong})


def test_a_rate_beside_an_optimizer_object():
    model = nn.Linear(3, 1)
    with pytest.raises(ArgumentError, match=r"lr=0.1"):
        fit(model, X, Y, optimizer=optim.SGD(model.parameters(), lr=0.2), lr=0.1, verbose=0)


def test_an_optimizer_of_another_model():
    other = optim.SGD(nn.Linear(3, 1).parameters(), lr=0.2)
    with pytest.raises(ArgumentError, match="none of the model's parameters"):
        run(optimizer=other)


@pytest.mark.parametrize("model", [lambda x: x, "net", None])
def test_a_model_that_is_no_module(model):
    with pytest.raises(ArgumentError, match=r"Expected an nn\.Module"):
        fit(model, X, Y, verbose=0)


def test_a_model_without_parameters():
    with pytest.raises(ArgumentError, match="no parameters"):
        fit(nn.Sequential(nn.ReLU()), X, Y, verbose=0)


# ---- data


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_named_by_row_and_column(bad):
    broken = X.copy()
    broken[17, 2] = bad
    with pytest.raises(DataError, match=r"X\b.*17.*2"):
        run(X=broken)


def test_a_target_that_is_not_finite_is_named_by_row():
    broken = Y.copy()
    broken[5, 0] = np.nan
    with pytest.raises(DataError, match=r"y\b.*5"):
        run(y=broken)


def test_inputs_and_targets_of_different_length():
    with pytest.raises(DataError, match=r"64 rows.*63"):
        run(y=Y[:-1])


def test_validation_data_of_other_columns():
    with pytest.raises(DataError, match=r"\(3,\).*\(2,\)"):
        run(validation=(X[:, :2], Y))


def test_no_rows():
    with pytest.raises(DataError, match="0 rows"):
        run(X=X[:0], y=Y[:0])


def test_objects_are_no_numbers():
    mixed = np.array([[1.0, "a", None]] * 4, dtype=object)
    with pytest.raises((DataError, DTypeError), match=r"X\b"):
        run(X=mixed, y=Y[:4])


def test_text_labels_are_answered_with_the_way_to_code_them():
    with pytest.raises(DTypeError, match=r"'red'.*np\.unique"):
        classify(np.array(["red", "blue"] * 32))


def test_no_target():
    with pytest.raises(ArgumentError, match="no target"):
        run(y=None)


def test_a_loader_without_batches():
    with pytest.raises(DataError, match="empty"):
        fit(nn.Linear(3, 1), [], verbose=0)


def test_a_loader_that_runs_out():
    batches = iter([(X.astype("f"), Y.astype("f"))])
    with pytest.raises(TrainingError, match="ended after epoch 1"):
        fit(nn.Linear(3, 1), batches, epochs=2, verbose=0)


def test_a_loader_of_something_else():
    with pytest.raises(DataError, match="batch 0 of the loader"):
        fit(nn.Linear(3, 1), iter([X]), epochs=1, verbose=0)


# ---- labels


def test_labels_from_1_to_k():
    with pytest.raises(DataError, match=r"run 1\.\.3 for 3 outputs: they count from 1.*y - 1"):
        classify(LABELS + 1)


def test_a_negative_label_is_named_by_row():
    labels = LABELS.copy()
    labels[9] = -2
    with pytest.raises(DataError, match=r"row 9 .*-2"):
        classify(labels)


def test_a_label_with_no_output_is_named_by_row():
    labels = LABELS.copy()
    labels[9] = 7
    with pytest.raises(DataError, match=r"row 9 holds label 7.*3 outputs"):
        classify(labels)


def test_labels_of_a_loader_are_checked_too():
    batch = (X.astype("f"), LABELS + 1)
    with pytest.raises(DataError, match="count from 1"):
        fit(nn.Linear(3, 3), [batch], loss="cross_entropy", epochs=1, verbose=0)


def test_one_class():
    with pytest.raises(DataError, match="all 64 labels in y are 1: one class"):
        classify(np.ones(64, dtype=int))


def test_fractions_are_no_labels():
    with pytest.raises(DTypeError, match=r"row 0 holds .*no class code"):
        classify(Y[:, 0])


def test_whole_floats_are_labels_with_a_note():
    history = classify(LABELS.astype(float))
    assert any("class codes" in note for note in history.notes)


def test_the_ignored_label_is_allowed():
    labels = LABELS.copy()
    labels[:4] = -100
    assert classify(labels).epochs == 1


# ---- losses


@pytest.mark.parametrize(
    ("y", "outputs", "shapes"),
    [
        (Y[:, 0], 1, r"\(32, 1\).*\(32,\)"),
        (Y, 5, r"\(32, 5\).*\(32, 1\)"),
        (np.tile(Y, (1, 5)), 1, r"\(32, 1\).*\(32, 5\)"),
    ],
)
@pytest.mark.parametrize("loss", ["mse", "mae", "huber", nn.MSELoss()])
def test_a_loss_that_would_broadcast_names_both_shapes_and_the_fix(y, outputs, shapes, loss):
    with pytest.raises(ShapeError, match=shapes + r".*Fix: "):
        run(y=y, outputs=outputs, loss=loss)


def test_a_loss_of_the_users_that_broadcasts_n_against_n_1():
    with pytest.raises(ShapeError, match=r"\(32, 1\).*\(32,\).*\(32, 32\).*reshape\(-1, 1\)"):
        run(y=Y[:, 0], loss=lambda output, target: ((output - target) ** 2).mean())


@pytest.mark.parametrize(
    "loss",
    [
        lambda output, target: ((output.squeeze(1) - target) ** 2).mean(),
        lambda output, target: ((output[:, 0] - target) ** 2).mean(),
        lambda output, target: ((output - target.reshape(-1, 1)) ** 2).mean(),
        lambda output, target: ((output.reshape(-1) - target.reshape(-1)) ** 2).sum(),
    ],
)
def test_a_loss_of_the_users_that_takes_care_of_the_shapes_is_left_alone(loss):
    assert run(y=Y[:, 0], loss=loss, epochs=3, lr=0.1).epochs == 3


def test_class_codes_in_a_column_are_answered_with_the_reshape():
    with pytest.raises(ShapeError, match=r"\(32, 3\).*\(32, 1\).*reshape\(-1\)"):
        classify(LABELS[:, None])


def mean_square(output, target):
    return ((output - target) ** 2).mean()


def test_a_loss_as_a_float_has_lost_its_graph():
    with pytest.raises(GradientError, match=r"float.*graph"):
        run(loss=lambda output, target: mean_square(output, target).item())


def test_a_loss_that_is_not_reduced():
    with pytest.raises(ShapeError, match=r"non-scalar.*\(32, 1\).*mean"):
        run(loss=lambda output, target: (output - target) ** 2)


def test_a_loss_that_is_detached():
    with pytest.raises(GradientError, match="does not depend on any trainable parameter"):
        run(loss=lambda output, target: mean_square(output.detach(), target))


@pytest.mark.parametrize("loss", [None, "nothing"])
def test_a_loss_that_returns_no_tensor(loss):
    with pytest.raises(GradientError, match="Expected a scalar tensor"):
        run(loss=lambda output, target: loss)


def test_a_loss_that_is_nothing_at_all():
    with pytest.raises(ArgumentError, match="loss is an int"):
        run(loss=3)


def test_a_loss_that_is_not_finite_names_the_step_and_changes_nothing():
    model = nn.Linear(3, 1)
    before = model.weight.detach().numpy().copy()
    calls = []

    def breaks_at_once(output, target):
        calls.append(1)
        return mean_square(output, target) * float("nan")

    with pytest.raises(NumericsError, match=r"nan at step 0 \(epoch 1\).*in loss 'breaks_at_once'"):
        fit(model, X, Y, loss=breaks_at_once, verbose=0)
    assert np.array_equal(before, model.weight.detach().numpy())
    assert len(calls) == 1


def test_a_gradient_that_is_not_finite_is_never_applied():
    model = nn.Linear(3, 1)
    before = model.weight.detach().numpy().copy()

    def infinite_slope(output, target):
        # sqrt has an infinite slope at 0, where its value is finite.
        return (output * 0).sqrt().sum()

    with pytest.raises(NumericsError, match="step 0"):
        fit(model, X, Y, loss=infinite_slope, optimizer="sgd", lr=0.1, verbose=0)
    assert np.array_equal(before, model.weight.detach().numpy())


def test_inputs_of_the_wrong_width_name_both():
    with pytest.raises(ShapeError, match=r"3"):
        run(X=X[:, :2])
