"""The frequency of a damped oscillator from a noisy recording, by a 1-D convolutional network.

x(t) = a e^(-d t) cos(2 pi f t + p) + noise, t = 0 ... 1 s in 128 samples; f is wanted, in hertz.

a in [0.5, 2], d in [0.5, 4] 1/s, f in [3, 12] Hz, p any phase; the noise is normal with standard
deviation 0.1. The Cramer-Rao bound of such a recording is some hundredths of a hertz.

python examples/oscillator.py [seed]
"""

import sys

import numpy as np

import samara
from samara import nn, optim

SAMPLES = 128
LOW, HIGH = 3.0, 12.0


def recordings(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Signals [count, 1, SAMPLES] and their frequencies [count, 1]."""
    t = np.linspace(0.0, 1.0, SAMPLES, endpoint=False)
    a, d, f, p = (
        rng.uniform(low, high, size=(count, 1))
        for low, high in ((0.5, 2.0), (0.5, 4.0), (LOW, HIGH), (0.0, 2 * np.pi))
    )
    signal = a * np.exp(-d * t) * np.cos(2 * np.pi * f * t + p)
    signal += rng.normal(0.0, 0.1, size=signal.shape)
    return signal[:, None].astype(np.float32), f.astype(np.float32)


def network() -> nn.Module:
    """Convolutions that halve the length, then two linear layers."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((1, 16), (16, 32), (32, 64), (64, 64)):
        layers += [
            nn.Conv1d(inputs, outputs, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm1d(outputs),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 8, 64), nn.ReLU(), nn.Linear(64, 1))


def train(seed: int, steps: int = 600) -> float:
    """Train on fresh recordings; the root mean square error on 2,000 others, in hertz."""
    samara.seed(seed)
    rng = np.random.default_rng(seed)
    model = network()
    optimizer = optim.AdamW(model.parameters(), lr=3e-3)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    middle, half = (LOW + HIGH) / 2, (HIGH - LOW) / 2
    for step in range(steps):
        signal, frequency = (samara.tensor(part) for part in recordings(128, rng))
        loss = nn.functional.mse_loss(model(signal), (frequency - middle) / half)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step:4d}  loss {loss.item():.5f}")
    model.eval()
    signal, frequency = recordings(2000, np.random.default_rng(10_000 + seed))
    with samara.no_grad():
        found = middle + half * model(samara.tensor(signal)).numpy()
    return float(np.sqrt(np.mean((found - frequency) ** 2)))


if __name__ == "__main__":
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    error = train(seed)
    spread = (HIGH - LOW) / np.sqrt(12)
    print(f"error {error:.3f} Hz; always guessing the mean gives {spread:.2f} Hz")
