"""Tables in, NumPy batches out: reading, inference, preprocessing, splitting and batching.

This package needs NumPy only; DuckDB is imported when the first file is read. It never makes a
tensor: `samara.train` turns the NumPy arrays that come from here into tensors.

The contract with whoever trains on a table
-------------------------------------------
``table = samara.csv(path, target="y")`` (or ``samara.data.as_table(frame, target="y")``) gives a
`Table`:

    len(table)              rows that can be used; bad rows raised an error or stand in the report
    table.names             column names in file order
    table.schema            `Schema`; ``print(table.schema)`` is a plain-text table
    table.target            name of the target column, or None
    table.task              "regression" | "binary" | "multiclass" | None (no target)
    table.notes             sentences worth showing once (padded names stripped, ...)
    table.fingerprint       sha256 (hex) of the bytes read
    table.fit(**options)    hands the table to ``samara.train.fit_table(table, **options)``

``prepared = table.prepare(seed=0, validation=0.2)`` splits, fits the preprocessing on the training
rows only, and gives a `Prepared`:

    prepared.train          `Part`
    prepared.validation     `Part`, or None with ``validation=0``
    prepared.preprocessing  `Preprocessing` (JSON state; stored with the model)
    prepared.schema         the table's `Schema`
    prepared.task           as above
    prepared.notes          the table's notes and those of the split
    prepared.accounting     `Accounting`: rows in the file = train + validation + reported
    prepared.transform(x)   same as ``prepared.preprocessing.transform(x)``

A `Part` holds the arrays (all C-contiguous, all finite):

    part.features           float32 [rows, n_features]; n_features may be 0
    part.categories         int64   [rows, n_categorical]; codes 0 <= c < cardinality
    part.target             regression:     float32 [rows, 1], standardised; a linear layer with one
                                            output matches it exactly
                            classification: int64 [rows], codes 0 .. n_classes - 1 (binary too:
                                            two logits and cross entropy)
                            None when the file has no target
    part.arrays()           (features, categories, target), or (features, categories) without target
    part.where(i)           "data.csv:17": the file and physical line of row i
    part.notes              sentences about this file (extra columns ignored, ...)
    len(part)               rows

`Preprocessing` says what a model needs to know:

    .feature_names          list[str], length n_features (``age``, ``age_na``, ``visit_year``, ...)
    .categorical_names      list[str], length n_categorical
    .cardinalities          list[int]; code 0 = unseen or rare, 1 = missing, 2.. = the vocabulary
    .n_features, .n_categorical
    .n_outputs              1 for regression, else the number of classes
    .class_names            list[str]; empty for regression
    .task, .target_name
    .target_mean, .target_std     of the training rows; 0.0 and 1.0 for classification
    .decode(outputs)        regression: [rows, 1] or [rows] standardised -> float64 [rows] in the
                            target's own units; classification: logits [rows, n_classes] or codes
                            [rows] -> array of class names [rows]
    .transform(path_or_table) -> Part     new file: columns may be reordered, extra ones are ignored
                            with a note, a missing one raises DataError by name, target optional
    .to_json() / Preprocessing.from_json(text)

Batches:

    loader = Loader(part, batch_size=32, shuffle=True, seed=0)
    len(loader)                       batches per epoch
    for features, categories, target in loader.epoch(0): ...
    loader.epoch(3, start=17)         resumes epoch 3 at batch 17, as if never stopped

The order is a pure function of (seed, epoch): `permutation(rows, seed, "shuffle", epoch)`.
``Loader((x, y), ...)`` batches any tuple of arrays of equal length. `as_array(x, name="x")` turns
lists, NumPy, pandas, polars, Arrow and DLPack objects into one numeric array and raises `DataError`
naming row and column of the first value that is not a finite number.

`examine(table)` lists what spoils training: leaks, constants, identifiers, copies, rare classes;
`overlap(prepared)` finds validation rows that are copies of training rows.
"""

from .adapters import as_array, as_table
from .columns import Column
from .dialect import MISSING_TOKENS
from .doctor import Finding, examine, overlap
from .loader import Loader
from .prepare import Accounting, Part, Prepared
from .preprocessing import Preprocessing
from .problems import RowReport
from .reader import csv
from .split import permutation, split_rows
from .table import Schema, Table, Values

__all__ = [
    "MISSING_TOKENS",
    "Accounting",
    "Column",
    "Finding",
    "Loader",
    "Part",
    "Prepared",
    "Preprocessing",
    "RowReport",
    "Schema",
    "Table",
    "Values",
    "as_array",
    "as_table",
    "csv",
    "examine",
    "overlap",
    "permutation",
    "split_rows",
]
