"""Losses against float64 NumPy; none of them broadcasts."""

import numpy as np
import pytest
from scipy import special

import samara
from samara import nn
from samara.errors import ArgumentError, IndexOutOfRangeError, ShapeError
from samara.nn import functional as F

rng = np.random.default_rng(1)
A = rng.normal(size=(6, 4)) * 3
B = rng.normal(size=(6, 4)) * 3
B[0] = A[0]
P = special.expit(A)
Y = rng.uniform(size=(6, 4))
W = rng.uniform(0.5, 2.0, size=(4,))
D = np.abs(A - B)


def t(array):
    return samara.tensor(np.asarray(array))


REFERENCES = {
    "mse": (nn.MSELoss, {}, A, B, (A - B) ** 2),
    "l1": (nn.L1Loss, {}, A, B, D),
    "huber": (
        nn.HuberLoss,
        {"delta": 1.7},
        A,
        B,
        np.where(D <= 1.7, D**2 / 2, 1.7 * (D - 0.85)),
    ),
    "smooth": (
        nn.SmoothL1Loss,
        {"beta": 0.6},
        A,
        B,
        np.where(D < 0.6, D**2 / 1.2, D - 0.3),
    ),
    "smooth 0": (nn.SmoothL1Loss, {"beta": 0.0}, A, B, D),
    "bce logits": (
        nn.BCEWithLogitsLoss,
        {},
        A,
        Y,
        -(Y * special.log_expit(A) + (1 - Y) * special.log_expit(-A)),
    ),
    "bce logits weighted": (
        nn.BCEWithLogitsLoss,
        {"weight": t(W), "pos_weight": t(W + 1)},
        A,
        Y,
        -W * ((W + 1) * Y * special.log_expit(A) + (1 - Y) * special.log_expit(-A)),
    ),
    "bce": (nn.BCELoss, {}, P, Y, -(Y * np.log(P) + (1 - Y) * np.log(1 - P))),
    "bce weighted": (
        nn.BCELoss,
        {"weight": t(W)},
        P,
        Y,
        -W * (Y * np.log(P) + (1 - Y) * np.log(1 - P)),
    ),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_elementwise_loss(name):
    kind, options, x, y, expected = REFERENCES[name]
    for reduction, reduce in (("none", lambda v: v), ("mean", np.mean), ("sum", np.sum)):
        loss = kind(reduction=reduction, **options)(t(x), t(y))
        np.testing.assert_allclose(loss.numpy(), reduce(expected), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", REFERENCES)
def test_gradient_by_central_differences(name):
    kind, options, x, y, _ = REFERENCES[name]
    loss = kind(reduction="sum", **options)
    given = samara.tensor(x[1:], requires_grad=True)
    loss(given, t(y[1:])).backward()
    step = 1e-6
    for i, j in ((0, 0), (2, 3), (4, 1)):
        values = []
        for sign in (1, -1):
            moved = x[1:].copy()
            moved[i, j] += sign * step
            values.append(loss(t(moved), t(y[1:])).item())
        numeric = (values[0] - values[1]) / (2 * step)
        assert given.grad.numpy()[i, j] == pytest.approx(numeric, rel=1e-5, abs=1e-7)


def nll_reference(log_p, target, weight, ignore, reduction):
    keep = target != ignore
    index = np.where(keep, target, 0)
    picked = -np.take_along_axis(log_p, index[:, None], 1)[:, 0]
    scale = np.where(keep, np.ones_like(picked) if weight is None else weight[index], 0.0)
    loss = np.where(keep, picked * scale, 0.0)
    if reduction == "none":
        return loss
    return loss.sum() if reduction == "sum" else loss.sum() / scale.sum()


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
def test_nll_and_cross_entropy(reduction, weighted):
    weight = W if weighted else None
    options = {"ignore_index": 2, "reduction": reduction}
    if weighted:
        options["weight"] = t(W)
    target = np.array([0, 3, 2, 1, 2, 3])
    log_p = special.log_softmax(A, axis=1)
    expected = nll_reference(log_p, target, weight, 2, reduction)
    nll = nn.NLLLoss(**options)(t(log_p), t(target))
    np.testing.assert_allclose(nll.numpy(), expected, rtol=1e-11)
    entropy = nn.CrossEntropyLoss(**options)(t(A), t(target))
    np.testing.assert_allclose(entropy.numpy(), expected, rtol=1e-10)


def test_nll_over_further_dimensions():
    x = special.log_softmax(rng.normal(size=(2, 3, 4, 5)), axis=1)
    target = rng.integers(0, 3, size=(2, 4, 5))
    expected = -np.take_along_axis(x, target[:, None], 1)[:, 0]
    np.testing.assert_allclose(F.nll_loss(t(x), t(target), reduction="none").numpy(), expected)
    single = F.nll_loss(t(x[0, :, 0, 0]), t(np.array(1)))
    assert single.item() == pytest.approx(-x[0, 1, 0, 0])


def test_bce_with_logits_keeps_its_digits_for_confident_predictions():
    x = np.array([60.0, -60.0, 800.0, -800.0, 30.0])
    y = np.array([1.0, 0.0, 1.0, 0.0, 1.0])
    loss = F.binary_cross_entropy_with_logits(t(x), t(y), reduction="none").numpy()
    expected = -special.log_expit(np.where(y == 1, x, -x))
    np.testing.assert_allclose(loss, expected, rtol=1e-13)


def test_bce_cuts_logarithms_off():
    loss = F.binary_cross_entropy(t(np.array([0.0, 1.0])), t(np.array([1.0, 0.0])), reduction="sum")
    assert loss.item() == 200.0


@pytest.mark.parametrize(
    "loss",
    [
        nn.MSELoss(),
        nn.L1Loss(),
        nn.HuberLoss(),
        nn.SmoothL1Loss(),
        nn.BCEWithLogitsLoss(),
        nn.BCELoss(),
    ],
    ids=lambda loss: type(loss).__name__,
)
@pytest.mark.parametrize(
    ("given", "wanted"), [((32,), (32, 1)), ((32, 1), (32,)), ((32, 5), (32, 1)), ((4,), (5,))]
)
def test_shapes_that_would_broadcast_raise(loss, given, wanted):
    with pytest.raises(ShapeError) as caught:
        loss(samara.full(given, 0.5), samara.full(wanted, 0.5))
    text = str(caught.value)
    assert str(given) in text
    assert str(wanted) in text
    assert "Fix: " in text


@pytest.mark.parametrize("loss", [F.mse_loss, F.binary_cross_entropy_with_logits])
@pytest.mark.parametrize(("given", "wanted"), [((32, 1), (32,)), ((32,), (32, 1))])
def test_the_fix_that_is_offered_works(loss, given, wanted):
    prediction, target = samara.ones(given), samara.zeros(wanted)
    with pytest.raises(ShapeError, match=r"with target\.reshape\(32,") as caught:
        loss(prediction, target)
    fix = str(caught.value).rpartition(" with ")[2].rstrip(".")
    fixed = eval(fix, {"target": target})
    assert loss(prediction, fixed).shape == ()


def test_classes_counted_from_one_are_noticed():
    with pytest.raises(IndexOutOfRangeError, match=r"4.*0 to 3"):
        F.nll_loss(t(A), t(np.array([1, 2, 3, 4, 1, 2])))
    with pytest.raises(IndexOutOfRangeError):
        F.cross_entropy(t(A), t(np.array([1, 2, 3, 4, 1, 2])))


def test_bad_arguments():
    with pytest.raises(ArgumentError, match="sigmoid"):
        F.binary_cross_entropy(t(A), t(Y))
    with pytest.raises(ArgumentError, match="reduction"):
        F.mse_loss(t(A), t(B), reduction="average")
    with pytest.raises(ArgumentError, match="delta"):
        F.huber_loss(t(A), t(B), delta=0.0)
    with pytest.raises(ShapeError, match=r"\(6, 4\).*\(6, 4\)"):
        F.nll_loss(t(A), t(np.zeros((6, 4), np.int64)))
    with pytest.raises(ArgumentError, match="cross_entropy"):
        nn.loss.get("crossentropy")


def test_class_weights_are_state():
    assert list(nn.CrossEntropyLoss(weight=t(W)).state_dict()) == ["weight"]
    assert list(nn.CrossEntropyLoss().state_dict()) == []
