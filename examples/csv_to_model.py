"""From a CSV file to predictions on a new one: read, train, save, load, predict."""

import sys
import tempfile
from pathlib import Path

import samara

DATA = Path(__file__).parent / "data"
file = sys.argv[1] if len(sys.argv) > 1 else DATA / "diabetes_visits.csv"
target = sys.argv[2] if len(sys.argv) > 2 else "progression"
new = sys.argv[3] if len(sys.argv) > 3 else DATA / "diabetes_visits_new.csv"

table = samara.csv(str(file), target=target)
model = table.fit(epochs=40, seed=0)

with tempfile.TemporaryDirectory() as folder:
    path = model.save(Path(folder) / "model")
    predictions = samara.load(path).predict(str(new))
print(f"{len(predictions)} predictions of {target}, the first: {predictions[:5]}")
