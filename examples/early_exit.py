"""A network that leaves early when it is sure (BranchyNet: Teerapittayanon et al., 2016).

python examples/early_exit.py [seed]

Three blocks with a classifier behind each read handwritten digits. An image goes on to the next
block only while the best class has less than the wanted probability, which ordinary Python decides
in `forward`. Expected, after a few seconds: at a threshold of 0.9 the accuracy of the whole network
(about 97 %) within half a percent point, for about a fifth of its multiplications.
"""

import itertools
import sys

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import samara
from samara import nn, optim

WIDTHS = (64, 32, 128, 256)  # pixels, then the units of each block: the first is cheap
CLASSES = 10


class EarlyExit(nn.Module):
    """Blocks of growing width with an exit behind each: [N, 64] -> logits [N, 10]."""

    def __init__(self) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(WIDTHS))
        self.blocks = nn.ModuleList(
            [nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Dropout(0.1)) for a, b in pairs]
        )
        self.exits = nn.ModuleList([nn.Linear(b, CLASSES) for _, b in pairs])
        self.costs = np.cumsum([a * b + b * CLASSES for a, b in pairs])

    def all_exits(self, x: samara.Tensor) -> list[samara.Tensor]:
        """The logits of every exit, for training."""
        logits = []
        for block, leave in zip(self.blocks, self.exits, strict=True):
            x = block(x)
            logits.append(leave(x))
        return logits

    def forward(self, x: samara.Tensor, threshold: float) -> tuple[samara.Tensor, np.ndarray]:
        """Logits [N, 10] and the exit that each row took [N]; rows that leave cost no more."""
        logits = samara.zeros(len(x), CLASSES)
        taken = np.zeros(len(x), dtype=np.int64)
        inside = np.arange(len(x))
        for i, (block, leave) in enumerate(zip(self.blocks, self.exits, strict=True)):
            x = block(x)
            answer = leave(x)
            sure = answer.softmax(dim=1).amax(dim=1).numpy() >= threshold
            if i == len(self.blocks) - 1:
                sure[:] = True
            logits[samara.tensor(inside[sure])] = answer[samara.tensor(sure)]
            taken[inside[sure]] = i
            inside = inside[~sure]
            if len(inside) == 0:
                break
            x = x[samara.tensor(~sure)]
        return logits, taken


def train(seed: int = 0, epochs: int = 40) -> tuple[EarlyExit, samara.Tensor, samara.Tensor]:
    """Train all exits at once on three quarters; -> network, images held out, their labels."""
    data = load_digits()
    images, held_out, labels, expected = (
        samara.tensor(part)
        for part in train_test_split(
            (data.data / 16).astype(np.float32), data.target, random_state=seed
        )
    )
    samara.seed(seed)
    rng = np.random.default_rng(seed)
    model = EarlyExit()
    optimizer = optim.AdamW(model.parameters(), lr=2e-3)
    for epoch in range(epochs):
        order = samara.tensor(rng.permutation(len(images)))
        total = 0.0
        for start in range(0, len(images), 64):
            chosen = order[start : start + 64]
            exits = model.all_exits(images[chosen])
            loss = sum(nn.functional.cross_entropy(one, labels[chosen]) for one in exits)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chosen)
        if epoch % 10 == 9:
            print(f"epoch {epoch + 1:2d}  loss {total / len(images):.4f}")
    return model.eval(), held_out, expected


def measure(
    model: EarlyExit, images: samara.Tensor, labels: samara.Tensor, threshold: float
) -> tuple[float, float, np.ndarray]:
    """Accuracy, multiplications per image as a share of the whole network's, rows per exit."""
    with samara.no_grad():
        logits, taken = model(images, threshold)
    right = (logits.argmax(dim=1) == labels).float().mean().item()
    counts = np.bincount(taken, minlength=len(model.exits))
    return right, float(model.costs[taken].mean() / model.costs[-1]), counts


if __name__ == "__main__":
    model, images, labels = train(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    print("threshold  accuracy  multiplications  images at each exit")
    for threshold in (0.5, 0.7, 0.9, 0.99, 1.01):
        right, cost, counts = measure(model, images, labels, threshold)
        print(f"{threshold:9.2f} {100 * right:8.2f} % {100 * cost:14.1f} %  {counts.tolist()}")
