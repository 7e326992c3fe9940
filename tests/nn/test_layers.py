"""Layers and activations against float64 NumPy, and their defaults against PyTorch's."""

import inspect
import math

import numpy as np
import pytest
from scipy import special

import samara
from samara import nn
from samara.errors import ArgumentError, IndexOutOfRangeError, SamaraError, ShapeError

rng = np.random.default_rng(0)


def tensor(array):
    return samara.tensor(np.asarray(array, np.float32))


def test_linear():
    layer = nn.Linear(3, 2)
    x = rng.normal(size=(4, 5, 3))
    expected = x @ layer.weight.detach().numpy().astype(np.float64).T + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(tensor(x)).detach().numpy(), expected, rtol=1e-5, atol=1e-6)
    assert nn.Linear(3, 2, bias=False).bias is None
    assert layer(tensor(x[0, 0])).shape == (2,)


@pytest.mark.parametrize("make", [lambda: nn.Linear(out_features=2), lambda: nn.Linear(None, 2)])
def test_linear_takes_its_size_from_the_first_batch(make):
    layer = make()
    assert "in_features=None" in repr(layer)
    with pytest.raises(ArgumentError, match=r"'weight'.*first batch"):
        layer.parameters()
    with pytest.raises(ArgumentError, match="first batch"):
        layer.state_dict()
    assert layer(tensor(rng.normal(size=(5, 7)))).shape == (5, 2)
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    assert layer.weight.shape == (2, 7)
    with pytest.raises(ShapeError, match="7"):
        layer(samara.ones(1, 6))


def test_lazy_linear_takes_its_size_from_loaded_weights():
    source = nn.Linear(6, 2)
    target = nn.Sequential(nn.LazyLinear(2))
    target.load_state_dict({f"0.{name}": value for name, value in source.state_dict().items()})
    np.testing.assert_array_equal(target[0].weight.detach().numpy(), source.weight.detach().numpy())
    x = samara.ones(3, 6)
    np.testing.assert_array_equal(target(x).detach().numpy(), source(x).detach().numpy())


def test_a_lazy_layer_names_its_path():
    model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.LazyLinear(1)))
    with pytest.raises(ArgumentError, match=r"'1\.0\.weight' \(LazyLinear\)"):
        samara.optim.SGD(model.parameters(), lr=0.1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(-1, 2),
        lambda: nn.Linear(2, -2),
        lambda: nn.Linear(2.5, 2),
        lambda: nn.Linear(3),
        lambda: nn.LazyLinear(-1),
        lambda: nn.LayerNorm(-3),
        lambda: nn.LayerNorm((2, -3)),
        lambda: nn.Embedding(-1, 2),
        lambda: nn.Embedding(2, -1),
        lambda: nn.Embedding(3, 2, padding_idx=3),
        lambda: nn.EmbeddingBag(3, 2, mode="median"),
        lambda: nn.Dropout(1.5),
        lambda: nn.Dropout(-0.1),
        lambda: nn.Hardtanh(1.0, -1.0),
        lambda: nn.GELU("tahn"),
        lambda: nn.MSELoss(reduction="avg"),
    ],
)
def test_bad_arguments_name_themselves(make):
    with pytest.raises(ArgumentError, match="Fix: "):
        make()


def test_linear_without_output_size_says_how():
    with pytest.raises(ArgumentError, match=r"Linear\(64, 64\)"):
        nn.Linear(64)


def test_sizes_may_be_zero_and_numpy_integers():
    assert nn.Linear(np.int64(3), 0)(samara.ones(2, 3)).shape == (2, 0)
    layer = nn.Linear(0, 2)
    np.testing.assert_array_equal(
        layer(samara.ones(4, 0)).detach().numpy()[0], layer.bias.detach().numpy()
    )


def test_layer_norm():
    x = rng.normal(size=(4, 2, 3))
    layer = nn.LayerNorm([2, 3], eps=1e-3)
    with samara.no_grad():
        layer.weight.copy_(tensor(rng.normal(size=(2, 3))))
        layer.bias.copy_(tensor(rng.normal(size=(2, 3))))
    mean = x.mean((1, 2), keepdims=True)
    var = x.var((1, 2), keepdims=True)
    expected = (x - mean) / np.sqrt(
        var + 1e-3
    ) * layer.weight.detach().numpy() + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(tensor(x)).detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    assert list(nn.LayerNorm(3).state_dict()) == ["weight", "bias"]
    assert list(nn.LayerNorm(3, bias=False).state_dict()) == ["weight"]
    assert list(nn.LayerNorm(3, elementwise_affine=False).state_dict()) == []
    assert nn.LayerNorm(3).normalized_shape == (3,)


def test_embedding():
    layer = nn.Embedding(5, 3, padding_idx=-1)
    assert layer.padding_idx == 4
    table = layer.weight.detach().numpy()
    assert (table[4] == 0).all()
    ids = np.array([[0, 4], [2, 2]])
    out = layer(samara.tensor(ids))
    np.testing.assert_array_equal(out.detach().numpy(), table[ids])
    out.sum().backward()
    expected = np.zeros((5, 3))
    expected[0], expected[2] = 1, 2
    np.testing.assert_array_equal(layer.weight.grad.numpy(), expected)
    with pytest.raises(IndexOutOfRangeError, match="7"):
        layer(samara.tensor([7]))
    assert nn.Embedding(1000, 16).weight.detach().numpy().std() == pytest.approx(1.0, rel=0.05)


def test_embedding_from_pretrained_is_frozen():
    layer = nn.Embedding.from_pretrained(tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert layer(samara.tensor(1)).tolist() == [3.0, 4.0]
    assert not layer.weight.requires_grad
    assert nn.Embedding.from_pretrained(tensor([[1.0]]), freeze=False).weight.requires_grad
    with pytest.raises(ShapeError, match=r"\(2,\)"):
        nn.Embedding.from_pretrained(tensor([1.0, 2.0]))


def test_dropout():
    samara.seed(0)
    layer = nn.Dropout(0.25)
    x = samara.ones(200, 500)
    out = layer(x).numpy()
    assert set(np.unique(out)) == {np.float32(0), np.float32(1 / 0.75)}
    assert (out == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert not np.array_equal(out, layer(x).detach().numpy())
    assert layer.eval()(x) is x
    assert float(nn.Dropout(1.0)(x).abs().sum().item()) == 0
    assert nn.Dropout(0.0)(x) is x


X = np.concatenate([np.linspace(-30, 30, 61), [0.0, -1e-3, 1e-3, 3.0, -3.0]])
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
ACTIVATIONS = {
    "ReLU": (nn.ReLU(), lambda x: np.maximum(x, 0)),
    "LeakyReLU": (nn.LeakyReLU(0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
    "ELU": (nn.ELU(1.5), lambda x: np.where(x > 0, x, 1.5 * np.expm1(np.minimum(x, 0)))),
    "CELU": (nn.CELU(1.5), lambda x: np.where(x > 0, x, 1.5 * np.expm1(np.minimum(x, 0) / 1.5))),
    "ReLU6": (nn.ReLU6(), lambda x: np.clip(x, 0, 6)),
    "Hardsigmoid": (nn.Hardsigmoid(), lambda x: np.clip(x + 3, 0, 6) / 6),
    "Softsign": (nn.Softsign(), lambda x: x / (1 + np.abs(x))),
    "LogSigmoid": (nn.LogSigmoid(), lambda x: -np.logaddexp(0, -x)),
    "SELU": (
        nn.SELU(),
        lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0))),
    ),
    "GELU": (nn.GELU(), lambda x: x * special.ndtr(x)),
    "GELU tanh": (
        nn.GELU("tanh"),
        lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    ),
    "SiLU": (nn.SiLU(), lambda x: x * special.expit(x)),
    "Mish": (nn.Mish(), lambda x: x * np.tanh(np.logaddexp(x, 0))),
    "Softplus": (nn.Softplus(), lambda x: np.where(x > 20, x, np.logaddexp(x, 0))),
    "Softplus beta": (
        nn.Softplus(beta=2.0, threshold=9.0),
        lambda x: np.where(2 * x > 9, x, np.logaddexp(2 * x, 0) / 2),
    ),
    "Hardtanh": (nn.Hardtanh(-2.0, 0.5), lambda x: np.clip(x, -2, 0.5)),
    "Hardswish": (nn.Hardswish(), lambda x: x * np.clip(x + 3, 0, 6) / 6),
    "Sigmoid": (nn.Sigmoid(), special.expit),
    "Tanh": (nn.Tanh(), np.tanh),
    "Softmax": (nn.Softmax(dim=-1), special.softmax),
    "LogSoftmax": (nn.LogSoftmax(dim=-1), special.log_softmax),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name):
    module, reference = ACTIVATIONS[name]
    x = samara.tensor(X)
    assert x.dtype == samara.float64
    np.testing.assert_allclose(module(x).numpy(), reference(X), rtol=1e-12, atol=1e-14)
    assert not list(module.parameters())


def test_softmax_without_dim_says_so():
    with pytest.raises(ArgumentError, match="dim"):
        nn.Softmax()(samara.ones(2))


def test_activation_by_name():
    assert isinstance(nn.activation.get("swish"), nn.SiLU)
    assert nn.activation.get("leaky_relu", negative_slope=0.3).negative_slope == 0.3
    function = nn.functional.relu
    assert nn.activation.get(function) is function
    with pytest.raises(ArgumentError, match=r"(?s)gelu.*did you mean"):
        nn.activation.get("gleu")


@pytest.mark.parametrize("eps", [None, 0.25])
def test_rms_norm(eps):
    layer = nn.RMSNorm((2, 3), eps=eps, dtype=samara.float64)
    layer.weight.data.copy_(samara.arange(6.0).reshape(2, 3))
    x = np.random.default_rng(3).normal(size=(4, 2, 3))
    added = np.finfo(np.float64).eps if eps is None else eps
    scale = np.sqrt(np.mean(x**2, axis=(1, 2), keepdims=True) + added)
    expected = x / scale * np.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(layer(samara.tensor(x)).detach().numpy(), expected, rtol=1e-12)
    assert list(layer.state_dict()) == ["weight"]
    assert nn.RMSNorm(3, elementwise_affine=False).weight is None


def test_flatten_and_identity():
    assert nn.Flatten()(samara.ones(2, 3, 4)).shape == (2, 12)
    assert nn.Flatten(0, 1)(samara.ones(2, 3, 4)).shape == (6, 4)
    x = samara.ones(2)
    assert nn.Identity(7, unused=True)(x) is x


# What PyTorch documents: argument names in order, with their defaults.
SIGNATURES = {
    "Linear": "in_features, out_features, bias=True, device=None, dtype=None",
    "LayerNorm": "normalized_shape, eps=1e-05, elementwise_affine=True, bias=True, "
    "device=None, dtype=None",
    "Embedding": "num_embeddings, embedding_dim, padding_idx=None, max_norm=None, norm_type=2.0, "
    "scale_grad_by_freq=False, sparse=False, _weight=None, _freeze=False, device=None, dtype=None",
    "Dropout": "p=0.5, inplace=False",
    "ReLU": "inplace=False",
    "LeakyReLU": "negative_slope=0.01, inplace=False",
    "ELU": "alpha=1.0, inplace=False",
    "SELU": "inplace=False",
    "CELU": "alpha=1.0, inplace=False",
    "ReLU6": "inplace=False",
    "Hardsigmoid": "inplace=False",
    "RMSNorm": "normalized_shape, eps=None, elementwise_affine=True, device=None, dtype=None",
    "GELU": "approximate='none'",
    "SiLU": "inplace=False",
    "Mish": "inplace=False",
    "Softplus": "beta=1.0, threshold=20.0",
    "Hardtanh": "min_val=-1.0, max_val=1.0, inplace=False",
    "Hardswish": "inplace=False",
    "Softmax": "dim=None",
    "LogSoftmax": "dim=None",
    "CrossEntropyLoss": "weight=None, size_average=None, ignore_index=-100, reduce=None, "
    "reduction='mean', label_smoothing=0.0",
    "SmoothL1Loss": "size_average=None, reduce=None, reduction='mean', beta=1.0",
    "HuberLoss": "reduction='mean', delta=1.0",
    "Flatten": "start_dim=1, end_dim=-1",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_arguments_and_defaults_are_pytorchs(name):
    parameters = inspect.signature(getattr(nn, name)).parameters.values()
    ours = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    texts = []
    for parameter, wanted in zip(ours, SIGNATURES[name].split(", "), strict=True):
        default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
        if "=" not in wanted:  # optional here, required there
            default = ""
        texts.append(parameter.name + default)
    assert ", ".join(texts) == SIGNATURES[name]


def test_layers_work_in_other_dtypes():
    for dtype in (samara.float64, samara.float16, samara.bfloat16):
        layer = nn.Linear(3, 2, dtype=dtype)
        assert layer(samara.ones(1, 3, dtype=dtype)).dtype == dtype
        assert layer.weight.dtype == layer.bias.dtype == dtype


def test_zero_dimensional_input_is_refused_with_words():
    with pytest.raises(SamaraError):
        nn.Linear(out_features=3)(samara.tensor(1.0))


@pytest.mark.parametrize(
    "call",
    [
        lambda: nn.Embedding(3, 2, sparse=True),
        lambda: nn.EmbeddingBag(3, 2, sparse=True),
        lambda: nn.functional.embedding(samara.tensor([0]), samara.eye(2), sparse=True),
        lambda: nn.functional.embedding_bag(samara.tensor([[0]]), samara.eye(2), sparse=True),
    ],
)
def test_sparse_gradients_are_refused_by_name(call):
    with pytest.raises(NotImplementedError, match="sparse=True is not there"):
        call()
