import numpy as np

import samara

x = np.linspace(-1, 1, 200)[:, None]
model = samara.nn.Linear(1, 1)
history = samara.fit(model, x, 3 * x + 2, epochs=100, optimizer="sgd", lr=0.1, seed=0)
print(f"y = {model.weight.item():.3f} x + {model.bias.item():.3f}")
