"""A tagger of words: a bidirectional LSTM that tells nouns from verbs by what stands around them.

python examples/lstm_tagger.py [seed]

The sentences come from a small grammar whose words are mostly ambiguous ("the light fish" is a
noun phrase before "swims", a sentence before a full stop), but whose sentences are not: what
follows decides. The most frequent tag of each word is right for about 67 % of the words; the
tagger, after a few seconds, for more than 99.5 % of those in sentences that it has not seen.
"""

import sys

import numpy as np

import samara
from samara import nn, optim
from samara.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

# S -> NP VP;  NP -> pronoun | determiner adjective* noun;  VP -> verb [[preposition] NP]
LEXICON = {
    "determiner": ["the", "a", "this", "every"],
    "pronoun": ["they", "she", "we"],
    "preposition": ["near", "under", "with"],
    "adjective": ["light", "cool", "fish", "clean", "dry", "open", "old", "red"],
    "noun": ["light", "cool", "fish", "man", "run", "dry", "open", "river"],
    "verb": ["light", "cool", "fish", "man", "run", "clean", "dry", "open"],
}
TAGS = list(LEXICON)
WORDS = sorted({word for words in LEXICON.values() for word in words})


def sentence(rng: np.random.Generator) -> list[tuple[int, int]]:
    """(word, tag) of one sentence of the grammar."""

    def noun_phrase() -> list[str]:
        if rng.random() < 0.3:
            return ["pronoun"]
        return ["determiner", *["adjective"] * int(rng.integers(0, 3)), "noun"]

    tags = [*noun_phrase(), "verb"]
    kind = rng.integers(3)
    if kind:
        tags += [*(["preposition"] if kind == 2 else []), *noun_phrase()]
    return [(WORDS.index(rng.choice(LEXICON[tag])), TAGS.index(tag)) for tag in tags]


def corpus(count: int, rng: np.random.Generator) -> list[tuple[samara.Tensor, samara.Tensor]]:
    """Words and tags of many sentences, each [L] int64, no sentence twice."""
    found: dict[tuple[tuple[int, int], ...], None] = {}
    while len(found) < count:
        found[tuple(sentence(rng))] = None
    pairs = [np.array(one).T for one in found]
    return [(samara.tensor(words), samara.tensor(tags)) for words, tags in pairs]


class Tagger(nn.Module):
    """Padded words [N, L] and the sentences' lengths -> a logit for each tag [N, L, tags]."""

    def __init__(self, width: int = 32, hidden: int = 32) -> None:
        super().__init__()
        self.words = nn.Embedding(len(WORDS), width)
        self.lstm = nn.LSTM(width, hidden, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * hidden, len(TAGS))

    def forward(self, words: samara.Tensor, lengths: list[int]) -> samara.Tensor:
        packed = pack_padded_sequence(
            self.words(words), lengths, batch_first=True, enforce_sorted=False
        )
        states, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return self.head(states)


def batch(
    pairs: list[tuple[samara.Tensor, samara.Tensor]],
) -> tuple[samara.Tensor, list[int], samara.Tensor]:
    """Padded words, lengths, and tags that say -100 where there is no word."""
    words, tags = zip(*pairs, strict=True)
    lengths = [len(one) for one in words]
    return (
        pad_sequence(words, batch_first=True),
        lengths,
        pad_sequence(tags, batch_first=True, padding_value=-100),
    )


def accuracy(model: Tagger, pairs: list[tuple[samara.Tensor, samara.Tensor]]) -> float:
    """The share of words whose tag is right."""
    words, lengths, tags = batch(pairs)
    model.eval()
    with samara.no_grad():
        answer = model(words, lengths).argmax(dim=2)
    model.train()
    return int((answer == tags).sum()) / sum(lengths)


def by_word_alone(
    train: list[tuple[samara.Tensor, samara.Tensor]],
    held_out: list[tuple[samara.Tensor, samara.Tensor]],
) -> float:
    """The share that the most frequent tag of each word gets right."""
    counts = np.zeros((len(WORDS), len(TAGS)))
    for words, tags in train:
        np.add.at(counts, (words.numpy(), tags.numpy()), 1)
    best = counts.argmax(axis=1)
    right = [best[words.numpy()] == tags.numpy() for words, tags in held_out]
    return float(np.concatenate(right).mean())


def train(seed: int = 0, sentences: int = 2000, epochs: int = 10) -> tuple[float, float]:
    """Train on most sentences; accuracy on the others, and that of single words."""
    rng = np.random.default_rng(seed)
    samara.seed(seed)
    pairs = corpus(sentences + 500, rng)
    held_out, pairs = pairs[:500], pairs[500:]
    model = Tagger()
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    for epoch in range(epochs):
        order = rng.permutation(len(pairs))
        total = 0.0
        for start in range(0, len(order), 32):
            words, lengths, tags = batch([pairs[i] for i in order[start : start + 32]])
            logits = model(words, lengths)
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), tags.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(lengths)
        print(f"epoch {epoch + 1:2d}  loss {total / len(order):.4f}")
    return accuracy(model, held_out), by_word_alone(pairs, held_out)


if __name__ == "__main__":
    tagger, single = train(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    print(f"tags right: {100 * tagger:.2f} %; by the word alone: {100 * single:.2f} %")
