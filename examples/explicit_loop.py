"""The same training twice, by `fit` and by the six lines it stands for: equal bit for bit."""

import numpy as np

import samara
from samara import nn, optim

rng = np.random.default_rng(0)
X = rng.normal(size=(500, 4))
y = np.sin(X[:, :1]) + 0.5 * X[:, 1:2] ** 2


def network() -> nn.Module:
    samara.seed(7)
    return nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 1))


by_fit = network()
samara.fit(by_fit, X, y, epochs=5, lr=0.01, seed=7, validation=None)

by_hand = network()
optimizer = optim.AdamW(by_hand.parameters(), lr=0.01)
for epoch in range(5):
    for x_batch, y_batch in samara.train.batches(X, y, batch_size=32, seed=7, epoch=epoch):
        loss = nn.functional.mse_loss(by_hand(x_batch), y_batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

for (name, a), b in zip(by_fit.named_parameters(), by_hand.parameters(), strict=True):
    same = np.array_equal(a.detach().numpy(), b.detach().numpy())
    print(f"{name:10s} {'equal bit for bit' if same else 'DIFFERENT'}")
    assert same, name
