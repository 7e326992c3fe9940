"""Typed columns into model inputs, with statistics of the training rows only.

number    impute the median, then (x - mean) / std, and an indicator ``<name>_na``
boolean   0 or 1, the more frequent one where missing, and ``<name>_na``
date      year, month, day of week (Monday 0) and days elapsed since the first training date,
          each standardised like a number, and ``<name>_na``
category  a code: 0 unseen or rare, 1 missing, 2.. the vocabulary
text, id  not used

The indicators are always there, so a value that is missing only in a later file has a place.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from samara.errors import DataError

from . import problems
from .columns import Column
from .dialect import ReadOptions
from .table import Table, Values, class_values

if TYPE_CHECKING:
    from .prepare import Part

FORMAT = "samara.preprocessing"
VERSION = 1
DATE_PARTS = ("year", "month", "dayofweek", "elapsed")
UNSEEN, MISSING, FIRST_LEVEL = 0, 1, 2
_FLOAT32_MAX = float(np.finfo(np.float32).max)

State = dict[str, Any]
Rows = NDArray[np.int64]


class Preprocessing:
    """What was learned from the training rows, and how to apply it to any file.

    >>> from samara.data import as_table
    >>> table = as_table({"x": [1.0, 2.0, 3.0, 4.0], "y": [1.0, 2.0, 3.0, 5.0]}, target="y")
    >>> fitted = table.prepare(validation=0).preprocessing
    >>> fitted.feature_names, fitted.n_outputs
    (['x', 'x_na'], 1)
    >>> fitted.transform({"x": [2.5, None]}).features.tolist()
    [[0.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._columns: list[State] = state["columns"]
        self._target: State | None = state["target"]

    # Description

    @property
    def feature_names(self) -> list[str]:
        """Names of the float features, in order."""
        names: list[str] = []
        for column in self._columns:
            name, kind = column["name"], column["kind"]
            if kind == "date":
                names += [f"{name}_{part}" for part in DATE_PARTS]
            elif kind != "category":
                names.append(name)
            if kind != "category":
                names.append(f"{name}_na")
        return names

    @property
    def categorical_names(self) -> list[str]:
        """Names of the categorical columns, in order."""
        return [column["name"] for column in self._columns if column["kind"] == "category"]

    @property
    def cardinalities(self) -> list[int]:
        """Number of codes of every categorical column."""
        return [
            FIRST_LEVEL + len(column["levels"])
            for column in self._columns
            if column["kind"] == "category"
        ]

    @property
    def n_features(self) -> int:
        """Number of float features."""
        return len(self.feature_names)

    @property
    def n_categorical(self) -> int:
        """Number of categorical columns."""
        return len(self.categorical_names)

    @property
    def columns(self) -> list[str]:
        """Columns that a file for prediction must have."""
        return [column["name"] for column in self._columns]

    @property
    def target_name(self) -> str | None:
        """Name of the target column."""
        return None if self._target is None else str(self._target["name"])

    @property
    def task(self) -> str | None:
        """regression, binary or multiclass."""
        return None if self._target is None else str(self._target["task"])

    @property
    def class_names(self) -> list[str]:
        """Names of the classes in the order of their codes; empty for regression."""
        return [] if self._target is None else list(self._target["classes"])

    @property
    def n_outputs(self) -> int:
        """Outputs a model needs: 1 for regression, else one per class."""
        return len(self.class_names) or 1

    @property
    def target_mean(self) -> float:
        """Mean of the training targets; 0 for classification."""
        return 0.0 if self._target is None else float(self._target["mean"])

    @property
    def target_std(self) -> float:
        """Standard deviation of the training targets; 1 for classification."""
        return 1.0 if self._target is None else float(self._target["std"])

    # State

    def to_json(self) -> str:
        """The whole state as JSON text."""
        return json.dumps(self._state, ensure_ascii=False, allow_nan=False)

    @staticmethod
    def from_json(text: str) -> Preprocessing:
        """Inverse of `to_json`.

        Raises:
            DataError: not JSON, not this format, or a newer version.
        """
        try:
            state = json.loads(text)
        except ValueError as reason:
            raise _bad_state(f"the text is not JSON ({reason})") from None
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            raise _bad_state(f"the text is not of the format {FORMAT!r}")
        if state.get("version") != VERSION:
            raise _bad_state(f"version {state.get('version')!r} was received, {VERSION} expected")
        missing = {"columns", "target", "reading"} - set(state)
        if missing:
            raise _bad_state(f"the fields {sorted(missing)} are not there")
        return Preprocessing(state)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Preprocessing) and self._state == other._state

    __hash__ = None  # type: ignore[assignment]  # how Python says it: equal, not hashable

    def __repr__(self) -> str:
        return (
            f"Preprocessing({self.n_features} features, {self.n_categorical} categorical, "
            f"target {self.target_name!r}, {self.task})"
        )

    # Application

    def transform(self, source: Any, *, on_bad_rows: str = "error") -> Part:
        """A file, data frame or `Table` as the arrays that the model was trained on.

        Columns may be in any order; those the model does not know are ignored with a note; the
        target may be absent.

        Args:
            source: a path (or glob, or list of paths), a `Table`, or what `as_table` takes.
            on_bad_rows: as for `samara.csv`.

        Returns:
            `Part` with features float32 [rows, n_features] and categories int64
            [rows, n_categorical].

        Raises:
            DataError: a column is missing, or a cell does not fit its column's kind.
        """
        table = self._read(source, on_bad_rows)
        notes = list(table.notes)
        known = {*self.columns, self.target_name, *self._state["unused"]}
        extra = [name for name in table.names if name not in known]
        if extra:
            listed = ", ".join(map(repr, extra[:10])) + (", ..." if len(extra) > 10 else "")
            notes.append(f"{table.label}: columns the model does not use are ignored: {listed}")
        part = self.apply(table, np.arange(len(table)), notes)
        if part.target is None and self.target_name in table.columns:
            row = int(np.flatnonzero(table.values[str(self.target_name)].missing)[0])
            text = f"{table.where(row)} column {self.target_name!r}: missing, so no row is scored"
            part = dataclasses.replace(part, notes=(*part.notes, text))
        return part

    def apply(self, table: Table, rows: Rows, notes: Sequence[str] = ()) -> Part:
        """Some rows of a table whose columns have the right kinds."""
        from .prepare import Part

        floats: list[NDArray[np.float64]] = []
        codes: list[NDArray[np.int64]] = []
        for column in self._columns:
            part = table.column(column["name"]).take(rows)
            if column["kind"] == "category":
                codes.append(_encode(part, column["levels"]))
            else:
                floats += _features(part, column)
        features = np.empty((len(rows), len(floats)), np.float32)
        for at, values in enumerate(floats):
            features[:, at] = np.clip(values, -_FLOAT32_MAX, _FLOAT32_MAX)
        categories = np.empty((len(rows), len(codes)), np.int64)
        for at, column_codes in enumerate(codes):
            categories[:, at] = column_codes
        return Part(
            features, categories, self._encode_target(table, rows), rows, table, tuple(notes)
        )

    def decode(self, outputs: ArrayLike) -> NDArray[Any]:
        """Model outputs in the target's own terms.

        Args:
            outputs: regression: [rows, 1] or [rows], standardised. Classification: logits
                [rows, n_classes], or codes [rows].

        Returns:
            float64 [rows] in the target's units, y = mean + std * output; or class names [rows].

        Raises:
            DataError: another shape.
        """
        values = np.asarray(outputs)
        if self.task == "regression":
            if values.ndim == 2 and values.shape[1] == 1:
                values = values[:, 0]
            if values.ndim != 1:
                raise self._bad_outputs(values, "[rows, 1] or [rows]")
            return self.target_mean + self.target_std * values.astype(np.float64)
        if values.ndim == 2 and values.shape[1] == len(self.class_names):
            values = values.argmax(axis=1)
        if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
            raise self._bad_outputs(values, f"[rows, {len(self.class_names)}], or codes [rows]")
        if len(values) and not 0 <= values.min() <= values.max() < len(self.class_names):
            raise self._bad_outputs(values, f"codes below {len(self.class_names)}")
        return np.asarray(np.array(self.class_names, dtype=object)[values])

    def _bad_outputs(self, values: NDArray[Any], expected: str) -> DataError:
        return problems.error(
            "decode",
            f"received outputs of shape {tuple(values.shape)} and dtype {values.dtype}",
            f"pass outputs of shape {expected}",
        )

    def _read(self, source: Any, on_bad_rows: str) -> Table:
        from . import adapters, reader

        schema = {column["name"]: _declared(column) for column in self._columns}
        required = list(schema)
        if self._target is not None:
            schema[self._target["name"]] = self._target["kind"]
        options = ReadOptions.from_state({**self._state["reading"], "on_bad_rows": on_bad_rows})
        if isinstance(source, Table):
            return adapters.conform(source, schema, required, options)
        if adapters.is_path(source):
            return reader.read(
                source, options, schema=schema, required=required, only_declared=True
            )
        return adapters.table_from_frame(
            source, options, schema=schema, required=required, only_declared=True
        )

    def _encode_target(self, table: Table, rows: Rows) -> NDArray[Any] | None:
        if self._target is None or self._target["name"] not in table.columns:
            return None
        part = table.column(self._target["name"]).take(rows)
        if part.missing.any():
            return None
        if self._target["task"] == "regression":
            scaled = (part.array - self.target_mean) / self.target_std
            clipped = np.clip(scaled, -_FLOAT32_MAX, _FLOAT32_MAX)
            return clipped.astype(np.float32)[:, None]
        names = {value: name for name, value in class_values(part)}
        code_of = {name: code for code, name in enumerate(self.class_names)}
        unknown = [name for name in names.values() if name not in code_of]
        if unknown:
            value = next(value for value, name in names.items() if name == unknown[0])
            row = int(rows[np.flatnonzero(part.array == value)[0]])
            file, line = table.place(row)
            raise problems.error(
                file,
                f"the model has no class {unknown[0]!r}; "
                f"it knows {problems.shown(self.class_names, 80)}",
                "correct the cell, or remove the target column to predict only",
                line=line,
                column=self._target["name"],
            )
        codes = np.empty(len(rows), np.int64)
        for value, name in names.items():
            codes[part.array == value] = code_of[name]
        return codes


def fit(table: Table, rows: Rows, min_category_count: int = 2) -> Preprocessing:
    """Learns the statistics of the given rows of a table."""
    columns = []
    unused = []
    for name, column in table.columns.items():
        if name == table.target:
            continue
        if column.kind in ("text", "id", "ignore"):
            unused.append(name)
        else:
            part = table.values[name].take(rows)
            columns.append(_fit_column(column, part, min_category_count))
    target: State | None = None
    if table.target is not None:
        kind = table.columns[table.target].kind
        target = {"name": table.target, "task": table.task, "kind": kind}
        target |= {"classes": table.classes, "mean": 0.0, "std": 1.0}
        if table.task == "regression":
            target |= _scale(table.values[table.target].take(rows).array)
    return Preprocessing(
        {
            "format": FORMAT,
            "version": VERSION,
            "columns": columns,
            "unused": unused,
            "target": target,
            "reading": table.options.to_state(),
        }
    )


def _fit_column(column: Column, part: Values, min_count: int) -> State:
    state: State = {"name": column.name, "kind": column.kind}
    if column.kind == "category":
        counts = np.bincount(part.array[part.array >= 0], minlength=len(part.levels))
        kept = [name for name, count in zip(part.levels, counts, strict=True) if count >= min_count]
        return state | {"levels": kept}
    present = part.array[~part.missing]
    if column.kind == "boolean":
        return state | {"mode": float(bool(len(present)) and present.mean() >= 0.5)}
    if column.kind == "number":
        return state | _fit_number(present)
    origin = present.min() if len(present) else np.datetime64("1970-01-01", "us")
    parts = _date_parts(present, origin)
    fitted = [_fit_number(values) for values in parts]
    return state | {
        "format": column.format or "iso",
        "origin": str(origin),
        "parts": dict(zip(DATE_PARTS, fitted, strict=True)),
    }


def _fit_number(present: NDArray[np.float64]) -> State:
    """Median, and mean and std of the values with the median put in for missing ones' sake."""
    if not len(present):
        return {"median": 0.0, "mean": 0.0, "std": 1.0}
    return {"median": float(_halves(present))} | _scale(present)


def _halves(values: NDArray[np.float64]) -> float:
    """The median; the middle pair is halved before it is added, so it cannot overflow."""
    middle = (len(values) - 1) // 2, len(values) // 2
    low, high = np.partition(values, middle)[[middle[0], middle[1]]]
    return float(low / 2 + high / 2) if low != high else float(low)


def _scale(values: NDArray[np.float64]) -> State:
    """Mean and population standard deviation; std 1 for a constant."""
    size = float(np.abs(values).max())
    factor = size if size > 1e100 else 1.0  # squares of such values overflow
    mean = float((values / factor).mean()) * factor
    std = float((values / factor).std()) * factor
    constant = not math.isfinite(std) or std <= abs(mean) * 1e-12 or std == 0.0
    return {"mean": mean, "std": 1.0 if constant else std}


def _features(part: Values, column: Mapping[str, Any]) -> list[NDArray[np.float64]]:
    missing = part.missing
    indicator = missing.astype(np.float64)
    if column["kind"] == "boolean":
        return [np.where(missing, column["mode"], part.array), indicator]
    if column["kind"] == "number":
        return [_standardised(part.array, missing, column), indicator]
    origin = np.datetime64(column["origin"], "us")
    parts = _date_parts(np.where(missing, origin, part.array), origin)
    return [
        *(
            _standardised(values, missing, column["parts"][name])
            for name, values in zip(DATE_PARTS, parts, strict=True)
        ),
        indicator,
    ]


def _standardised(
    values: NDArray[np.float64], missing: NDArray[np.bool_], state: Mapping[str, float]
) -> NDArray[np.float64]:
    filled = np.where(missing, state["median"], values)
    with np.errstate(over="ignore"):
        return np.asarray((filled - state["mean"]) / state["std"])


def _date_parts(dates: NDArray[Any], origin: Any) -> list[NDArray[np.float64]]:
    """year, month, day of week and elapsed days of datetime64 values."""
    days = dates.astype("datetime64[D]")
    months = dates.astype("datetime64[M]").astype(np.int64)
    return [
        np.floor_divide(months, 12).astype(np.float64) + 1970,
        np.mod(months, 12).astype(np.float64) + 1,
        np.mod(days.astype(np.int64) + 3, 7).astype(np.float64),  # 1970-01-01 was a Thursday
        (dates - origin).astype("timedelta64[us]").astype(np.float64) / 86_400_000_000,
    ]


def _encode(part: Values, levels: Sequence[str]) -> NDArray[np.int64]:
    code_of = {name: FIRST_LEVEL + code for code, name in enumerate(levels)}
    codes = np.array([*(code_of.get(name, UNSEEN) for name in part.levels), MISSING], np.int64)
    return np.asarray(codes[part.array])


def _declared(column: Mapping[str, Any]) -> str:
    if column["kind"] == "date":
        return "date" if column["format"] == "iso" else f"date:{column['format']}"
    return str(column["kind"])


def _bad_state(text: str) -> DataError:
    return problems.error(
        "Preprocessing.from_json", text, "pass the text that to_json() gave, unchanged"
    )
