"""A character-level GPT on any text file: training, validation loss, then some lines of its own.

python examples/character_gpt.py TEXT [--steps 2000] [--large] [--temperature 0.8] [--top-k 50]

The small model (4 layers, 4 heads, 128 wide, context 64, batch 12) takes about a minute on two
cores and reaches a validation loss of about 1.82 on Shakespeare's plays (1.1 million characters);
at half the learning rate, as in Karpathy's nanoGPT, 1.91.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
from networks.gpt import GPT

import samara
from samara import nn, optim

SMALL = {"context": 64, "layers": 4, "heads": 4, "width": 128}
LARGE = {"context": 256, "layers": 6, "heads": 6, "width": 384}


def batch(data: np.ndarray, size: int, context: int, rng: np.random.Generator):
    """Random stretches of the text, and the same one character on."""
    starts = rng.integers(0, len(data) - context - 1, size=size)
    rows = starts[:, None] + np.arange(context + 1)
    chosen = data[rows]
    return samara.tensor(chosen[:, :-1]), samara.tensor(chosen[:, 1:])


def loss_of(model: GPT, x: samara.Tensor, y: samara.Tensor) -> samara.Tensor:
    logits, _ = model(x)
    return nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))


def validation_loss(model: GPT, data: np.ndarray, batches: int = 200) -> float:
    """The mean over random stretches of the held-out text, always the same ones."""
    rng = np.random.default_rng(1234)
    model.eval()
    with samara.no_grad():
        losses = [
            loss_of(model, *batch(data, 12, model.context, rng)).item() for _ in range(batches)
        ]
    model.train()
    return sum(losses) / len(losses)


def rate(step: int, steps: int, highest: float) -> float:
    """A linear rise over 100 steps, then a cosine's fall to a tenth."""
    if step < 100:
        return highest * (step + 1) / 101
    part = (step - 100) / max(1, steps - 100)
    return highest * (0.1 + 0.45 * (1 + math.cos(math.pi * part)))


def train(model: GPT, data: np.ndarray, steps: int, highest: float = 2e-3, seed: int = 1337):
    """AdamW on random batches of 12, with weight decay on the matrices alone."""
    rng = np.random.default_rng(seed)
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = optim.AdamW(groups, lr=highest, betas=(0.9, 0.99))
    start = time.perf_counter()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, highest)
        loss = loss_of(model, *batch(data, 12, model.context, rng))
        optimizer.zero_grad()
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step:5d}  loss {loss.item():.4f}  {time.perf_counter() - start:6.1f} s")


def choose(logits, rng: np.random.Generator, temperature: float, top_k: int, top_p: float) -> int:
    """The next token: greedy at temperature 0, else drawn from the likeliest ones."""
    scores = logits.numpy().astype(np.float64)
    if temperature == 0.0:
        return int(scores.argmax())
    order = np.argsort(-scores)[: top_k or None]
    weights = np.exp((scores[order] - scores[order[0]]) / temperature)
    weights /= weights.sum()
    kept = max(1, int(np.searchsorted(np.cumsum(weights), top_p) + 1))
    return int(rng.choice(order[:kept], p=weights[:kept] / weights[:kept].sum()))


def generate(model: GPT, prompt: list[int], count: int, seed: int = 0, **options) -> list[int]:
    """`count` more tokens. Keys and values of what was read are kept until the context is full."""
    rng = np.random.default_rng(seed)
    settings = {"temperature": 0.8, "top_k": 50, "top_p": 1.0, **options}
    tokens, past = list(prompt), None
    model.eval()
    with samara.no_grad():
        for _ in range(count):
            if past is None or past[0][0].shape[2] >= model.context:
                past, new = None, tokens[-(model.context // 2) :]
            else:
                new = tokens[-1:]
            logits, past = model(samara.tensor([new]), past)
            tokens.append(choose(logits[0, -1], rng, **settings))
    return tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--large", action="store_true", help="6 layers, 6 heads, 384 wide")
    parser.add_argument("--rate", type=float, default=2e-3, help="the highest learning rate")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--top-k", type=int, default=50)
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--length", type=int, default=500)
    options = parser.parse_args()
    text = options.text.read_text(encoding="utf-8")
    characters = sorted(set(text))
    number = {character: i for i, character in enumerate(characters)}
    data = np.array([number[character] for character in text])
    cut = int(0.9 * len(data))
    samara.seed(1337)
    model = GPT(len(characters), **(LARGE if options.large else SMALL))
    print(
        f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(characters)} characters"
    )
    train(model, data[:cut], options.steps, options.rate)
    print(f"validation loss {validation_loss(model, data[cut:]):.4f}")
    start = time.perf_counter()
    sampling = {k: getattr(options, k) for k in ("temperature", "top_k", "top_p")}
    tokens = generate(model, [number.get("\n", 0)], options.length, **sampling)
    print(f"{options.length / (time.perf_counter() - start):.0f} tokens per second")
    print("".join(characters[token] for token in tokens))


if __name__ == "__main__":
    main()
