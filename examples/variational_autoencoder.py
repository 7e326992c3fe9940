"""A variational autoencoder (Kingma and Welling, 2014) that learns to draw digits.

python examples/variational_autoencoder.py [seed]

The images are scikit-learn's 8 x 8 digits, each pixel black with the probability of its grey value.
Expected, after some seconds: a bound of about 23.7 nats per image on the held-out images, where
pixels drawn one by one, each with its own mean, need 27.3; and drawn digits that differ from the
nearest held-out one in about 6.5 pixels, where such pixels differ in 10.
"""

import sys

import numpy as np
from networks.vae import VAE, loss
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import samara
from samara import optim

SIDE = 8


def digits(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Black and white images [N, 64] float32 to train on, and a fifth held out."""
    grey = load_digits().data / 16
    black = np.random.default_rng(seed).random(grey.shape) < grey
    train, held_out = train_test_split(black.astype(np.float32), test_size=0.2, random_state=seed)
    return train, held_out


def by_pixel(train: np.ndarray, held_out: np.ndarray) -> float:
    """Nats per image of independent pixels with the training images' means."""
    mean = train.mean(axis=0).clip(1e-3, 1 - 1e-3)
    return float(-(held_out * np.log(mean) + (1 - held_out) * np.log(1 - mean)).sum(axis=1).mean())


def bound(model: VAE, images: np.ndarray) -> float:
    """Nats per image that the model needs, at the most."""
    model.eval()
    x = samara.tensor(images)
    with samara.no_grad():
        value = float(np.mean([loss(x, *model(x)).item() for _ in range(8)]))
    model.train()
    return value


def draw(model: VAE, count: int, seed: int = 0) -> np.ndarray:
    """New images: the pixels' probabilities [count, 64] for codes drawn from N(0, 1)."""
    codes = samara.randn(count, model.mean.out_features, key=samara.random.key(seed))
    with samara.no_grad():
        return model.decoder(codes).sigmoid().numpy()


def distance(drawn: np.ndarray, real: np.ndarray) -> float:
    """How many pixels differ from the nearest real image, in the mean."""
    return float(np.abs(drawn[:, None] - real[None]).sum(axis=2).min(axis=1).mean())


def train(
    images: np.ndarray, seed: int = 0, epochs: int = 100, hidden: int = 128, code: int = 10
) -> VAE:
    """Train by the reparameterised bound."""
    samara.seed(seed)
    rng = np.random.default_rng(seed)
    model = VAE(SIDE * SIDE, hidden, code)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    x = samara.tensor(images)
    for epoch in range(epochs):
        order = samara.tensor(rng.permutation(len(images)))
        total = 0.0
        for start in range(0, len(images), 128):
            seen = x[order[start : start + 128]]
            value = loss(seen, *model(seen))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total += value.item() * len(seen)
        if epoch % 20 == 0 or epoch == epochs - 1:
            print(f"epoch {epoch + 1:3d}  {total / len(images):.2f} nats per image")
    return model


def show(images: np.ndarray) -> str:
    """Images side by side, in characters."""
    rows = images.reshape(-1, SIDE, SIDE).transpose(1, 0, 2)
    shades = np.array(list(" .+#"))
    return "\n".join(
        "  ".join("".join(shades[(row * 3.99).astype(int)]) for row in line) for line in rows
    )


if __name__ == "__main__":
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    images, held_out = digits(seed)
    model = train(images, seed)
    print(f"held out: {bound(model, held_out):.2f} nats per image", end="; ")
    print(f"pixel by pixel: {by_pixel(images, held_out):.2f}")
    drawn = (draw(model, 500) > 0.5).astype(np.float32)
    pixels = np.random.default_rng(seed).random((500, SIDE * SIDE)) < images.mean(axis=0)
    print(f"pixels off the nearest held-out digit: {distance(drawn, held_out):.1f}", end="; ")
    print(f"pixel by pixel: {distance(pixels.astype(np.float32), held_out):.1f}")
    print(show(draw(model, 8)))
