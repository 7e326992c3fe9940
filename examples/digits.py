"""Handwritten digits by two convolutional networks: LeNet-5 and a small residual network.

python examples/digits.py [lenet|resnet] [seed]
"""

import sys

import numpy as np
from networks.lenet import lenet
from networks.resnet import small_resnet
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import samara
from samara import nn, optim

BATCH = 64


def digits(seed: int) -> list[np.ndarray]:
    """1797 images of 8 x 8 pixels; a fifth is held out. -> images, held out, labels, held out."""
    data = load_digits()
    images = (data.images / 16 - 0.3).astype(np.float32)[:, None]
    return train_test_split(
        images, data.target, test_size=0.2, random_state=seed, stratify=data.target
    )


def shifted(images: samara.Tensor, rng: np.random.Generator, most: int) -> samara.Tensor:
    """All images of a batch moved by up to `most` pixels."""
    rows, columns = rng.integers(-most, most + 1, size=2)
    return samara.roll(images, (int(rows), int(columns)), (2, 3))


def train(kind: str, seed: int, epochs: int | None = None) -> float:
    """Train on four fifths; the accuracy on the rest."""
    images, held_out, labels, expected = (samara.tensor(part) for part in digits(seed))
    samara.seed(seed)
    rng = np.random.default_rng(seed)
    if kind == "lenet":
        images, held_out = (
            nn.functional.interpolate(x, size=28, mode="bilinear") for x in (images, held_out)
        )
        model, epochs, lr, most = lenet(), epochs or 60, 3e-3, 2
    else:
        model, epochs, lr, most = small_resnet(width=16), epochs or 25, 5e-3, 1
    count = len(labels)
    steps = epochs * -(-count // BATCH)
    optimizer = optim.AdamW(model.parameters(), lr=lr, weight_decay=0.02)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    for epoch in range(epochs):
        order = samara.tensor(rng.permutation(count))
        total = 0.0
        for start in range(0, count, BATCH):
            chosen = order[start : start + BATCH]
            logits = model(shifted(images[chosen], rng, most))
            loss = nn.functional.cross_entropy(logits, labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(chosen)
        print(f"epoch {epoch + 1:2d}  loss {total / count:.4f}")
    model.eval()
    with samara.no_grad():
        answer = model(held_out).argmax(dim=1)
    return (answer == expected).float().mean().item()


if __name__ == "__main__":
    kind = sys.argv[1] if len(sys.argv) > 1 else "resnet"
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    accuracy = train(kind, seed)
    print(f"{kind}, seed {seed}: {100 * accuracy:.2f} % of the held-out fifth are right")
