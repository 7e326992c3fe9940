"""Writes the example tables next to this script, byte for byte the same on every run.

    python examples/data/make_tables.py [folder]

README.md in this folder says which columns are measured and which are made up.
"""

from __future__ import annotations

import csv
import datetime
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from sklearn.datasets import load_diabetes, load_wine

DIABETES = {
    "age": "age",
    "bmi": "bmi",
    "bp": "blood_pressure",
    "s1": "total_cholesterol",
    "s2": "ldl",
    "s3": "hdl",
    "s4": "cholesterol_ratio",
    "s5": "log_triglycerides",
    "s6": "glucose",
}
CLINICS = ("Harbour", "Hill", "Market", "Station")
CELLARS = ("north", "south", "old vault")
NEW_ROWS = 12


def main(folder: Path) -> None:
    """Writes all three files."""
    names, rows = diabetes_visits()
    known, new = rows[:-NEW_ROWS], rows[-NEW_ROWS:]
    write(folder / "diabetes_visits.csv", names, known)
    write(folder / "diabetes_visits_new.csv", *for_prediction(names, new))
    write(folder / "wine_cellar.csv", *wine_cellar())


def diabetes_visits() -> tuple[list[str], list[list[str]]]:
    """442 patients, one row each, in an order that is shuffled once."""
    chance = random.Random(2004)  # only .random() is used: its sequence is fixed for good
    data, target = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    names = ["patient", "visit", "clinic", "sex", *DIABETES.values(), "progression"]
    rows = []
    for i in shuffled(len(data), chance):
        record = data.iloc[i]
        visit = datetime.date(2019, 1, 7) + datetime.timedelta(days=int(chance.random() * 1400))
        clinic = "Ferry" if chance.random() < 0.002 else pick(CLINICS, chance)
        measured = {new: f"{record[old]:g}" for old, new in DIABETES.items()}
        for column, rate, token in (
            ("bmi", 0.02, ""),
            ("blood_pressure", 0.05, "NA"),
            ("glucose", 0.08, ""),
        ):
            if chance.random() < rate:
                measured[column] = token
        sex = {1: "I", 2: "II"}[int(record["sex"])]
        rows.append(
            [f"P{i + 1:04d}", visit.isoformat(), clinic, sex, *measured.values()]
            + [f"{target.iloc[i]:g}"]
        )
    return names, rows


def for_prediction(
    names: Sequence[str], rows: Sequence[Sequence[str]]
) -> tuple[list[str], list[list[str]]]:
    """The same columns in another order, one column more, no target, and one new clinic."""
    order = [name for name in reversed(names) if name != "progression"]
    position = {name: i for i, name in enumerate(names)}
    result = [[row[position[name]] for name in order] + ["by phone"] for row in rows]
    result[3][order.index("clinic")] = "Airport"
    result[5][order.index("age")] = ""  # never missing in diabetes_visits.csv
    return [*order, "booking"], result


def wine_cellar() -> tuple[list[str], list[list[str]]]:
    """178 wines, one row each, in an order that is shuffled once."""
    chance = random.Random(1991)
    data, target = load_wine(return_X_y=True, as_frame=True)
    measured = [name.replace("/", "_") for name in data.columns if name != "color_intensity"]
    names = ["bottled", "cellar", "colour", *measured, "cultivar"]
    rows = []
    for i in shuffled(len(data), chance):
        record = data.iloc[i]
        day = datetime.date(1990, 3, 1) + datetime.timedelta(days=int(chance.random() * 700))
        cellar = pick(CELLARS, chance)
        intensity = record["color_intensity"]
        colour = "pale" if intensity < 3.5 else "medium" if intensity < 6 else "deep"
        if chance.random() < 0.04:
            colour = "?"
        values = [f"{record[name]:g}" for name in data.columns if name != "color_intensity"]
        for column, rate in (("magnesium", 0.04), ("hue", 0.03), ("proline", 0.06)):
            if chance.random() < rate:
                values[measured.index(column)] = ""
        rows.append([day.isoformat(), cellar, colour, *values, "ABC"[target.iloc[i]]])
    return names, rows


def shuffled(count: int, chance: random.Random) -> list[int]:
    """0 .. count - 1 in a random order."""
    return [i for _, i in sorted((chance.random(), i) for i in range(count))]


def pick(choices: Sequence[str], chance: random.Random) -> str:
    """One of the choices; earlier ones are likelier."""
    return choices[int(chance.random() ** 1.5 * len(choices))]


def write(path: Path, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """One CSV file with line feeds."""
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
