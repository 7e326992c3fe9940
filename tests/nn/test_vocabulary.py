"""Losses, activations, dropout and lookups under PyTorch's names, against NumPy."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest

import samara
from samara import nn
from samara.errors import ArgumentError, ShapeError
from samara.nn import functional as F

RNG = np.random.default_rng(5)
A, B = RNG.normal(size=(2, 4, 3)).astype(np.float32)


def tensors(*arrays: Any) -> list[samara.Tensor]:
    return [samara.tensor(a) for a in arrays]


def close(result: Any, expected: Any) -> None:
    np.testing.assert_allclose(result.detach().numpy(), expected, rtol=2e-5, atol=1e-6)


# --- arguments ------------------------------------------------------------------------------------

# PyTorch's, as its documentation lists them.
SIGNATURES = {
    "relu": "input, inplace=False",
    "leaky_relu": "input, negative_slope=0.01, inplace=False",
    "dropout": "input, p=0.5, training=True, inplace=False",
    "alpha_dropout": "input, p=0.5, training=False, inplace=False",
    "softmax": "input, dim=None, _stacklevel=3, dtype=None",
    "cross_entropy": "input, target, weight=None, size_average=None, ignore_index=-100, "
    "reduce=None, reduction='mean', label_smoothing=0.0",
    "mse_loss": "input, target, size_average=None, reduce=None, reduction='mean', weight=None",
    "kl_div": "input, target, size_average=None, reduce=None, reduction='mean', log_target=False",
    "triplet_margin_loss": "anchor, positive, negative, margin=1.0, p=2.0, eps=1e-06, swap=False, "
    "size_average=None, reduce=None, reduction='mean'",
    "ctc_loss": "log_probs, targets, input_lengths, target_lengths, blank=0, reduction='mean', "
    "zero_infinity=False",
    "embedding": "input, weight, padding_idx=None, max_norm=None, norm_type=2.0, "
    "scale_grad_by_freq=False, sparse=False",
    "embedding_bag": "input, weight, offsets=None, max_norm=None, norm_type=2.0, "
    "scale_grad_by_freq=False, mode='mean', sparse=False, per_sample_weights=None, "
    "include_last_offset=False, padding_idx=None",
    "normalize": "input, p=2.0, dim=1, eps=1e-12, out=None",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_arguments_stand_where_pytorch_has_them(name: str) -> None:
    parameters = inspect.signature(getattr(F, name)).parameters.values()
    shown = ", ".join(
        p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters
    )
    assert shown.removesuffix(", key=None") == SIGNATURES[name]


def test_inplace_is_accepted_and_the_input_kept() -> None:
    (x,) = tensors(A)
    close(F.leaky_relu(x, 0.2, True), np.where(A > 0, A, 0.2 * A))
    close(x, A)
    F.relu_(x)
    close(x, np.maximum(A, 0))


@pytest.mark.parametrize(
    ("older", "reduction"),
    [
        ({"size_average": False}, "sum"),
        ({"reduce": False}, "none"),
        ({"size_average": True}, "mean"),
    ],
)
def test_older_words_for_the_reduction(older: dict[str, bool], reduction: str) -> None:
    x, y = tensors(A, B)
    close(F.mse_loss(x, y, **older), F.mse_loss(x, y, reduction=reduction).numpy())
    assert nn.L1Loss(**older).reduction == reduction


def test_softmax_without_dim_takes_pytorchs_axis() -> None:
    x = samara.tensor(RNG.normal(size=(2, 3, 4)))
    close(F.softmax(x), F.softmax(x, 0).numpy())
    close(F.softmax(x[0]), F.softmax(x[0], 1).numpy())


# --- losses ---------------------------------------------------------------------------------------

LOSSES = {
    "KLDivLoss": ("", lambda x, y: np.exp(y) * (y - np.log(np.exp(x))), "log_target=True"),
    "PoissonNLLLoss": ("", lambda x, y: np.exp(x) - y * x, ""),
    "SoftMarginLoss": ("sign", lambda x, y: np.log1p(np.exp(-y * x)), ""),
    "HingeEmbeddingLoss": (
        "sign",
        lambda x, y: np.where(y == 1, x, np.maximum(0, 1 - x)),
        "",
    ),
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_of_two_tensors(name: str, reduction: str) -> None:
    kind, oracle, option = LOSSES[name]
    y = np.sign(B) if kind == "sign" else B
    options = {"log_target": True} if option else {}
    result = getattr(nn, name)(reduction=reduction, **options)(*tensors(A, y))
    values = oracle(A.astype(np.float64), y.astype(np.float64))
    close(result, getattr(values, reduction)() if reduction != "none" else values)


def test_gaussian_nll_loss() -> None:
    var = np.exp(B)
    values = 0.5 * (np.log(var) + (A - B) ** 2 / var) + 0.5 * math.log(2 * math.pi)
    close(nn.GaussianNLLLoss(full=True)(*tensors(A, B, var)), values.mean())
    close(
        nn.GaussianNLLLoss(reduction="none")(*tensors(A, B, var[:, 0])).sum(),
        (0.5 * (np.log(var[:, :1]) + (A - B) ** 2 / var[:, :1])).sum(),
    )


def test_triplet_and_ranking_losses() -> None:
    c = RNG.normal(size=(4, 3)).astype(np.float32)

    def distance(u: Any, v: Any) -> Any:
        return np.linalg.norm(u - v + 1e-6, axis=1)

    expected = np.maximum(0, 2 + distance(A, B) - np.minimum(distance(A, c), distance(B, c)))
    close(nn.TripletMarginLoss(2.0, swap=True)(*tensors(A, B, c)), expected.mean())
    own = nn.TripletMarginWithDistanceLoss(
        distance_function=lambda u, v: (u - v).abs().sum(axis=1), margin=2.0
    )
    near, far = np.abs(A - B).sum(1), np.abs(A - c).sum(1)
    close(own(*tensors(A, B, c)), np.maximum(0, 2 + near - far).mean())
    sign = np.sign(c)
    ranked = nn.MarginRankingLoss(0.3)(*tensors(A, B, sign))
    close(ranked, np.maximum(0, 0.3 - sign * (A - B)).mean())


def test_margin_losses_over_classes() -> None:
    target = np.array([0, 2, 1, 1])
    expected = [
        sum(max(0.0, 1 - row[t] + v) for i, v in enumerate(row) if i != t) / 3
        for row, t in zip(A, target, strict=True)
    ]
    close(nn.MultiMarginLoss(reduction="none")(*tensors(A, target)), expected)
    close(nn.MultiMarginLoss()(samara.tensor(A[0]), samara.tensor(0)), expected[0])
    probability = 1 / (1 + np.exp(-B))
    cost = -(
        probability * np.log(1 / (1 + np.exp(-A))) + (1 - probability) * np.log(1 / (1 + np.exp(A)))
    )
    close(nn.MultiLabelSoftMarginLoss()(*tensors(A, probability)), cost.mean())


def test_ctc_loss_as_a_module_and_without_a_batch() -> None:
    log_probs = samara.tensor(RNG.normal(size=(5, 2, 4))).log_softmax(2)
    target = samara.tensor([[1, 2], [3, 3]])
    both = nn.CTCLoss(reduction="none")(log_probs, target, (5, 4), (2, 2))
    first = nn.CTCLoss(reduction="sum")(log_probs[:, 0], target[0], (5,), (2,))
    close(both[0], first.item())


def test_ctc_loss_of_an_impossible_target() -> None:
    log_probs = samara.zeros(2, 1, 3).log_softmax(2).requires_grad_()
    target = samara.tensor([[1, 1]])  # needs a blank between the two, so three steps
    assert F.ctc_loss(log_probs, target, (2,), (2,), reduction="none").tolist() == [math.inf]
    loss = F.ctc_loss(log_probs, target, (2,), (2,), zero_infinity=True)
    loss.backward()
    assert loss.item() == 0.0
    assert not samara.isnan(log_probs.grad).any().item()


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.TripletMarginLoss(margin=0.0),
        lambda: nn.MultiMarginLoss(p=3),
        lambda: nn.KLDivLoss(reduction="max"),
        lambda: nn.EmbeddingBag(3, 2, mode="median"),
        lambda: nn.PReLU(0),
        lambda: nn.AlphaDropout(1.5),
    ],
)
def test_wrong_settings_say_so(make: Any) -> None:
    with pytest.raises(ArgumentError, match=r"Expected .*Fix: "):
        make()


# --- activations and dropout ----------------------------------------------------------------------

ACTIVATIONS: dict[str, tuple[Any, Any]] = {
    "Hardshrink": (nn.Hardshrink(0.7), lambda a: np.where(np.abs(a) <= 0.7, 0, a)),
    "Softshrink": (
        nn.Softshrink(0.7),
        lambda a: np.sign(a) * np.maximum(np.abs(a) - np.float32(0.7), 0),
    ),
    "Tanhshrink": (nn.Tanhshrink(), lambda a: a - np.tanh(a)),
    "Threshold": (nn.Threshold(0.2, -5.0), lambda a: np.where(a > 0.2, a, -5)),
    "PReLU": (nn.PReLU(3, init=0.1), lambda a: np.where(a > 0, a, 0.1 * a)),
    "RReLU": (nn.RReLU().eval(), lambda a: np.where(a > 0, a, a * (1 / 8 + 1 / 3) / 2)),
    "Softmin": (nn.Softmin(1), lambda a: np.exp(-a) / np.exp(-a).sum(1, keepdims=True)),
    "Softmax2d": (
        nn.Sequential(nn.Unflatten(1, (3, 1)), nn.Unflatten(2, (1, 1)), nn.Softmax2d()),
        lambda a: (np.exp(a) / np.exp(a).sum(1, keepdims=True))[:, :, None, None],
    ),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str) -> None:
    layer, oracle = ACTIVATIONS[name]
    close(layer(samara.tensor(A)), oracle(A))
    assert repr(layer).startswith(name if name != "Softmax2d" else "Sequential")


def test_glu_gates_by_its_second_half() -> None:
    x = RNG.normal(size=(2, 6)).astype(np.float32)
    close(nn.GLU()(samara.tensor(x)), x[:, :3] / (1 + np.exp(-x[:, 3:])))


def test_rrelu_draws_slopes_in_training() -> None:
    x = -samara.ones(10_000)
    drawn = -nn.RReLU(0.2, 0.4)(x)
    assert drawn.min().item() >= 0.2
    assert drawn.max().item() < 0.4
    assert abs(drawn.mean().item() - 0.3) < 0.01


@pytest.mark.parametrize(
    ("layer", "shape", "axes"),
    [
        (nn.Dropout1d(0.5), (50, 40, 3), 2),
        (nn.Dropout2d(0.5), (50, 40, 3, 2), (2, 3)),
        (nn.Dropout3d(0.5), (50, 40, 2, 3, 2), (2, 3, 4)),
        (nn.FeatureAlphaDropout(0.5), (50, 40, 3), 2),
    ],
)
def test_dropout_of_channels_drops_them_whole(layer: Any, shape: Any, axes: Any) -> None:
    dropped = layer(samara.ones(shape))
    low, high = dropped.amin(axes), dropped.amax(axes)
    assert samara.equal(low, high).all().item()
    assert 0.45 < (low <= 0).to(samara.float32).mean().item() < 0.55
    assert samara.equal(layer.eval()(samara.ones(shape)), 1.0).all().item()


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    x = samara.randn(200_000, key=1)
    y = F.alpha_dropout(x, 0.3, training=True)
    assert abs(y.mean().item()) < 0.02
    assert abs(y.var().item() - 1) < 0.03


def test_dropout_of_the_wrong_rank() -> None:
    with pytest.raises(ShapeError, match=r"dropout3d: the input has shape \(2, 3\)"):
        F.dropout3d(samara.ones(2, 3))


# --- lookups and products -------------------------------------------------------------------------

TABLE = RNG.normal(size=(7, 3)).astype(np.float32)
IDS = np.array([3, 1, 1, 6, 2, 0, 3])


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bags(mode: str) -> None:
    bag = nn.EmbeddingBag(7, 3, mode=mode, _weight=samara.tensor(TABLE))
    starts = [0, 2, 2, 5]
    rows = [TABLE[IDS[a:b]] for a, b in zip(starts, [*starts[1:], 7], strict=True)]
    expected = [getattr(row, mode)(0) if len(row) else np.zeros(3) for row in rows]
    close(bag(samara.tensor(IDS), samara.tensor(starts)), expected)
    matrix = samara.tensor(IDS[:6].reshape(3, 2))
    close(bag(matrix), getattr(TABLE[IDS[:6]].reshape(3, 2, 3), mode)(1))


def test_bags_leave_padding_out() -> None:
    result = F.embedding_bag(*tensors(IDS[None], TABLE), mode="mean", padding_idx=3)
    close(result, TABLE[IDS[IDS != 3]].mean(0, keepdims=True))


def test_weights_within_a_bag() -> None:
    weights = RNG.normal(size=(1, 7)).astype(np.float32)
    result = F.embedding_bag(
        samara.tensor(IDS[None]),
        samara.tensor(TABLE),
        mode="sum",
        per_sample_weights=samara.tensor(weights),
    )
    close(result, weights @ TABLE[IDS])
    with pytest.raises(ArgumentError, match="per_sample_weights with mode 'mean'"):
        F.embedding_bag(*tensors(IDS[None], TABLE), per_sample_weights=samara.tensor(weights))


def test_embedding_scales_rows_to_a_norm() -> None:
    layer = nn.Embedding(7, 3, max_norm=0.5, _weight=samara.tensor(TABLE))
    norms = np.linalg.norm(layer(samara.tensor([3, 1])).detach().numpy(), axis=1)
    assert (norms <= 0.5 + 1e-5).all()
    untouched = layer.weight.detach().numpy()[4]
    close(samara.tensor(untouched), TABLE[4])


def test_embedding_gradient_by_frequency() -> None:
    weight = samara.tensor(TABLE, requires_grad=True)
    F.embedding(samara.tensor(IDS), weight, scale_grad_by_freq=True).sum().backward()
    close(weight.grad, np.isin(np.arange(7), IDS)[:, None] * np.ones((7, 3)))


def test_bilinear() -> None:
    layer = nn.Bilinear(3, 3, 2)
    expected = np.einsum("ni,kij,nj->nk", A, layer.weight.detach().numpy(), B)
    close(layer(*tensors(A, B)), expected + layer.bias.detach().numpy())
    with pytest.raises(ShapeError, match="bilinear: inputs of shapes"):
        layer(samara.ones(4, 2), samara.ones(4, 3))


def test_distances() -> None:
    norms = np.linalg.norm(A, axis=1) * np.linalg.norm(B, axis=1)
    close(nn.CosineSimilarity()(*tensors(A, B)), (A * B).sum(1) / norms)
    close(
        nn.PairwiseDistance(p=1, keepdim=True)(*tensors(A, B)),
        np.abs(A - B + 1e-6).sum(1, keepdims=True),
    )
