"""A variational autoencoder of perceptrons (Kingma and Welling, 2014)."""

import samara
from samara import nn


class VAE(nn.Module):
    """Pixels [N, pixels] in 0..1 -> logits of pixels, mean and log variance of the code.

    The defaults are those of the example that most frameworks carry: 784-400-20.
    """

    def __init__(self, pixels=784, hidden=400, code=20):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(pixels, hidden), nn.ReLU())
        self.mean = nn.Linear(hidden, code)
        self.log_variance = nn.Linear(hidden, code)
        self.decoder = nn.Sequential(nn.Linear(code, hidden), nn.ReLU(), nn.Linear(hidden, pixels))

    def forward(self, x):
        h = self.encoder(x)
        mean, log_variance = self.mean(h), self.log_variance(h)
        code = mean + samara.exp(0.5 * log_variance) * samara.randn_like(mean)
        return self.decoder(code), mean, log_variance


def loss(x, logits, mean, log_variance):
    """Minus the evidence lower bound, in nats per image: reconstruction + KL(q(z|x) || N(0, 1))."""
    seen = nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    divergence = -0.5 * samara.sum(1 + log_variance - mean * mean - samara.exp(log_variance))
    return (seen + divergence) / len(x)
