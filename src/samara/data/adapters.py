"""Objects in memory as tables and arrays: NumPy, lists, pandas, polars, Arrow, DLPack."""

from __future__ import annotations

import datetime
import decimal
import numbers
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import problems
from .columns import Column
from .dialect import ReadOptions
from .reader import connect, read
from .table import Table, Values, number_name
from .typed import Origin, typed_table

Columns = dict[str, Any]


def is_path(source: Any) -> bool:
    """Whether this is a path, or a sequence of paths."""
    if isinstance(source, str | os.PathLike):
        return True
    return (
        isinstance(source, list | tuple)
        and bool(source)
        and all(isinstance(part, str | os.PathLike) for part in source)
    )


def as_table(
    source: Any,
    target: str | None = None,
    *,
    schema: Mapping[str, str] | None = None,
    task: str | None = None,
    on_bad_rows: str = "error",
    missing: Sequence[str] | None = None,
) -> Table:
    """A data frame, a dict of arrays, a 2-D array or a list of rows as a `Table`.

    Args:
        source: pandas or polars DataFrame, pyarrow Table or anything with
            ``__arrow_c_stream__``, mapping of names to 1-D arrays, structured or 2-D NumPy array,
            list of dicts or of rows. Unnamed columns are called column_1, column_2, ...
        target, schema, task, on_bad_rows, missing: as for `samara.csv`.

    Returns:
        A `Table`; its rows are called ``DataFrame row 0`` and so on in messages.

    Raises:
        DataError: columns of different lengths, or what `samara.csv` raises for values.

    >>> as_table({"size": [1, 2, 3], "colour": ["red", None, "blue"]})
    Table('dict': 3 rows, 2 columns)
    """
    if isinstance(source, Table):
        return source
    options = ReadOptions(on_bad_rows=on_bad_rows)
    if missing is not None:
        options = ReadOptions(on_bad_rows=on_bad_rows, missing=tuple(missing))
    return table_from_frame(source, options, target=target, schema=schema, task=task)


def table_from_frame(
    source: Any,
    options: ReadOptions,
    *,
    target: str | None = None,
    schema: Mapping[str, str] | None = None,
    task: str | None = None,
    required: Sequence[str] = (),
    only_declared: bool = False,
) -> Table:
    """`as_table` with the options as one object; see `reader.read` for the last two."""
    label = type(source).__name__
    frame = _columns_of(source, label)
    rows = _common_length(frame, label)
    names = list(frame)
    for name in [*required, *([] if target is None else [target])]:
        if name not in names:
            what = "the target" if name == target else "this column, which the model needs,"
            raise problems.error(
                label, f"{what} is not there", problems.closest(name, names), column=name
            )
    declared = dict(schema or {})
    if only_declared:
        declared = {name: declared.get(name, "ignore") for name in names}
    ready: dict[str, tuple[Column, Values]] = {}
    texts: dict[str, NDArray[Any]] = {}

    def where(row: int) -> tuple[str, int]:
        return f"{label} row", row

    for name, column in frame.items():
        kind = declared.get(name, "").partition(":")[0]
        values = Values("ignore", np.empty(rows, np.int8)) if kind == "ignore" else (
            _natural(column, kind)
        )  # fmt: skip
        if values is None:
            texts[name] = _as_texts(column)
        else:
            _check_finite(values, name, where)
            ready[name] = _described(name, values, kind, where, target)
    connection = connect()
    try:
        _fill_raw(connection, texts, rows, options)
        return typed_table(
            connection,
            list(texts),
            options,
            Origin(label, where, rows, rows),
            schema=declared,
            target=target,
            task=task,
            ready=ready,
            order=names,
        )
    finally:
        connection.close()


def conform(
    table: Table, schema: Mapping[str, str], required: Sequence[str], options: ReadOptions
) -> Table:
    """The table with the kinds that a model was trained on."""
    for name in required:
        if name not in table.columns:
            raise problems.error(
                table.label,
                "the model was trained with this column and the table does not have it",
                problems.closest(name, table.names),
                column=name,
            )
    wanted = {name: schema[name] for name in schema if name in table.columns}
    kinds_agree = all(
        table.columns[name].kind == kind.partition(":")[0] for name, kind in wanted.items()
    )
    if kinds_agree:
        return table
    if table.files:
        return read(
            list(table.files), options, schema=schema, required=required, only_declared=True
        )
    return table_from_frame(
        {name: table[name] for name in wanted}, options, schema=wanted, only_declared=True
    )


def as_array(source: Any, name: str = "x") -> NDArray[Any]:
    """One numeric NumPy array from lists, NumPy, pandas, polars, Arrow or DLPack objects.

    Args:
        source: anything array-like; data frames become [rows, columns].
        name: what to call it in an error.

    Returns:
        A native-endian array of bool, integers or floats, without a copy where none is needed.
        Every value is finite.

    Raises:
        DataError: ragged lists, text, or NaN or infinity; row (from 0) and column are named.

    >>> as_array([[1, 2], [3, 4]]).shape
    (2, 2)
    >>> as_array([[1.0, 2.0], [3.0, float("nan")]])
    Traceback (most recent call last):
    ...
    samara.errors.DataError: x row 1 column 1: nan is not a finite number. Fix: fill or remove it.
    """
    columns: list[str] | None = None
    if isinstance(source, np.ndarray):
        array = source
    elif _is_frame(source):
        frame = _columns_of(source, name)
        columns = list(frame)
        array = np.stack([_numeric(part, name, at) for at, part in frame.items()], axis=1)
    elif hasattr(source, "__dlpack__") and not hasattr(source, "__array__"):
        array = np.from_dlpack(source)
    else:
        try:
            array = np.asarray(source)
        except ValueError:
            lengths = sorted({np.shape(row)[0] if np.ndim(row) else 0 for row in source})
            raise problems.error(
                name, f"rows have different lengths, {lengths}", "give every row the same length"
            ) from None
    if array.dtype.kind in "OSU":
        array = _numeric(array, name, None)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind not in "biufc":
        raise problems.error(
            name, f"received dtype {array.dtype}", "pass numbers; use samara.data.as_table for text"
        )
    if array.dtype.kind in "fc" and not np.isfinite(array).all():
        at = np.argwhere(~np.isfinite(array))[0]
        value = array[tuple(at)]
        place = f"{name} row {at[0]}" if len(at) else name
        if len(at) > 1:
            place += f" column {columns[at[1]]!r}" if columns else f" column {at[1]}"
            place += "".join(f", {i}" for i in at[2:])
        raise problems.error(place, f"{value} is not a finite number", "fill or remove it")
    return array


def _is_frame(source: Any) -> bool:
    return (
        isinstance(source, Mapping)
        or hasattr(source, "column_names")
        or hasattr(source, "columns")
        or (hasattr(source, "__arrow_c_stream__") and not hasattr(source, "to_numpy"))
        or (isinstance(source, np.ndarray) and source.dtype.names is not None)
    )


def _columns_of(source: Any, label: str) -> Columns:
    """Name -> 1-D array or list."""
    if isinstance(source, Mapping):
        return {str(name): column for name, column in source.items()}
    if isinstance(source, np.ndarray) and source.dtype.names:
        return {name: source[name] for name in source.dtype.names}
    if hasattr(source, "column_names") and hasattr(source, "column"):  # pyarrow
        return {n: _plain(source.column(i)) for i, n in enumerate(source.column_names)}
    if hasattr(source, "columns") and hasattr(source, "__getitem__"):  # pandas, polars
        names = [str(name) for name in source.columns]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise problems.error(label, "two columns have this name", "rename one", column=twice[0])
        return {str(name): _plain(source[name]) for name in source.columns}
    if hasattr(source, "__arrow_c_stream__"):
        try:
            import pyarrow
        except ImportError:
            raise problems.error(
                label, "an Arrow stream needs pyarrow to be read", "pip install pyarrow"
            ) from None
        return _columns_of(pyarrow.table(source), label)
    if isinstance(source, Sequence) and source and isinstance(source[0], Mapping):
        listed = list(dict.fromkeys(str(key) for row in source for key in row))
        return {name: [row.get(name) for row in source] for name in listed}
    try:
        array = source if isinstance(source, np.ndarray) else np.array(source, dtype=object)
    except ValueError:
        array = np.empty(0)
    if array.ndim != 2:
        raise problems.error(
            label,
            f"received {'ragged rows' if array.size == 0 else f'{array.ndim} dimensions'}",
            "pass a data frame, a mapping of names to columns, or rows of equal length",
        )
    return {f"column_{i + 1}": array[:, i] for i in range(array.shape[1])}


def _plain(column: Any) -> Any:
    """A data-frame column as NumPy, or as a list where NumPy would lose the missing values."""
    text = str(getattr(column, "dtype", getattr(column, "type", "")))
    try:
        array = np.asarray(column.to_numpy())
    except (TypeError, ValueError, NotImplementedError):
        array = None
    if array is not None and array.dtype.kind in "biufM" and not text.startswith("dictionary"):
        return array
    if hasattr(column, "to_pylist"):
        return column.to_pylist()
    if hasattr(column, "tolist"):
        return column.tolist()
    return column.to_list()


def _common_length(frame: Columns, label: str) -> int:
    lengths = {name: len(column) for name, column in frame.items()}
    if not lengths or not max(lengths.values()):
        raise problems.error(label, "has no rows", "pass at least one row")
    if len(set(lengths.values())) > 1:
        first = next(iter(lengths))
        other = next(name for name in lengths if lengths[name] != lengths[first])
        raise problems.error(
            label,
            f"has {lengths[other]:,} values; column {first!r} has {lengths[first]:,}",
            "give all columns the same length",
            column=other,
        )
    return next(iter(lengths.values()))


def _is_missing(value: Any) -> bool:
    if value is None:
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        return True  # pandas.NA refuses to be a truth value


def _natural(column: Any, kind: str) -> Values | None:
    """The column with the kind its own type gives; None where text must be looked at."""
    array = column if isinstance(column, np.ndarray) else None
    if array is None or array.dtype == object:
        array = _typed(column)
    if array is None:
        return None
    if array.dtype.kind == "b" and kind in ("", "boolean"):
        return Values("boolean", array.astype(np.float64))
    if array.dtype.kind in "biuf" and kind in ("", "number"):
        return Values("number", array.astype(np.float64))
    if array.dtype.kind == "M" and kind in ("", "date"):
        return Values("date", array.astype("datetime64[us]"))
    return None


def _typed(column: Any) -> NDArray[Any] | None:
    """A column of Python objects as bool, float64 or datetime64, if all of it is."""
    values = [None if _is_missing(value) else value for value in column]
    present = [value for value in values if value is not None]
    if not present:
        return None
    if all(isinstance(value, bool | np.bool_) for value in present):
        if len(present) == len(values):
            return np.array(values, bool)
        return None
    if all(
        isinstance(value, numbers.Real | decimal.Decimal) and not isinstance(value, bool)
        for value in present
    ):
        return np.array([np.nan if value is None else float(value) for value in values])
    if all(isinstance(value, datetime.date | np.datetime64) for value in present):
        return np.array(
            [np.datetime64("NaT", "us") if v is None else np.datetime64(v, "us") for v in values]
        )
    return None


def _as_texts(column: Any) -> NDArray[Any]:
    texts = np.empty(len(column), dtype=object)
    for at, value in enumerate(column):
        if _is_missing(value):
            texts[at] = None
        elif isinstance(value, float | np.floating):
            texts[at] = number_name(float(value)) if np.isfinite(value) else repr(float(value))
        else:
            texts[at] = str(value)
    return texts


def _check_finite(values: Values, name: str, where: Any) -> None:
    if values.kind != "number" or not np.isinf(values.array).any():
        return
    row = int(np.flatnonzero(np.isinf(values.array))[0])
    file, line = where(row)
    raise problems.error(
        f"{file} {line}", f"{values.array[row]} is not a finite number", "fill or remove it",
        column=name,
    )  # fmt: skip


def _described(
    name: str, values: Values, kind: str, where: Any, target: str | None
) -> tuple[Column, Values]:
    absent = int(values.missing.sum())
    if absent == len(values.array) and not kind:
        file, line = where(0)
        what = "the target is missing" if name == target else "all values are missing"
        raise problems.error(
            f"{file} {line}", f"{what}, from here to the end",
            f"remove the column, or declare schema={{{name!r}: 'ignore'}}", column=name,
        )  # fmt: skip
    return Column(
        name, values.kind, "iso" if values.kind == "date" else None, False, absent
    ), values


def _fill_raw(
    connection: Any, texts: Mapping[str, NDArray[Any]], rows: int, options: ReadOptions
) -> None:
    """Creates ``raw`` from text columns, missing tokens as NULL."""
    if not texts:
        connection.execute(
            f"CREATE TEMP TABLE raw AS SELECT NULL::VARCHAR AS c0 FROM range({rows})"
        )
        return
    incoming = {f"f{i}": column for i, column in enumerate(texts.values())}
    tokens = ", ".join("'" + token.replace("'", "''") + "'" for token in options.missing)
    select = ", ".join(
        f"CASE WHEN trim(f{i}::VARCHAR) NOT IN ({tokens}) THEN f{i}::VARCHAR END AS c{i}"
        for i in range(len(texts))
    )
    connection.register("incoming", incoming)
    connection.execute(f"CREATE TEMP TABLE raw AS SELECT {select} FROM incoming")


def _numeric(column: Any, name: str, label: str | None) -> NDArray[Any]:
    """Numbers of a column of any type; text is named with its row."""
    array = column if isinstance(column, np.ndarray) else np.array(list(column), dtype=object)
    if array.dtype.kind in "biuf":
        return array
    result = np.empty(array.shape, np.float64)
    for at, value in np.ndenumerate(array):
        if _is_missing(value):
            result[at] = np.nan
        elif isinstance(value, numbers.Real | decimal.Decimal):
            result[at] = float(value)
        else:
            place = f"{name} row {at[0]}" if at else name
            where = label if label is not None else (str(at[1]) if len(at) > 1 else None)
            raise problems.error(
                place, f"{problems.shown(value)} is not a number",
                "pass numbers; use samara.data.as_table for text and categories", column=where,
            )  # fmt: skip
    return result
