"""Data frames and arrays of other libraries become the same table as the file they came from."""

import datetime
import decimal

import numpy as np
import pandas
import polars
import pyarrow
import pytest

from samara import data
from samara.data import as_array, as_table
from samara.errors import DataError

COLUMNS = {
    "size": [1.0, None, 3.5, 4.0],
    "count": [1, 2, 3, 4],
    "colour": ["red", None, "blue", "red"],
    "ok": [True, False, True, True],
    "day": [datetime.date(2020, 1, d) for d in (1, 2, 3, 4)],
    "y": [0.5, 1.5, 2.5, 3.5],
}


class OnlyArrow:
    """An object that offers nothing but the Arrow stream."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


SOURCES = {
    "dict of lists": lambda: COLUMNS,
    "dict of arrays": lambda: {
        name: np.array(values, dtype=object) for name, values in COLUMNS.items()
    },
    "list of dicts": lambda: [
        dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)
    ],
    "pandas": lambda: pandas.DataFrame(COLUMNS),
    "pandas, nullable": lambda: pandas.DataFrame(COLUMNS).convert_dtypes(),
    "pandas, categorical": lambda: pandas.DataFrame(COLUMNS).astype({"colour": "category"}),
    "polars": lambda: polars.DataFrame(COLUMNS),
    "polars, categorical": lambda: polars.DataFrame(COLUMNS).with_columns(
        polars.col("colour").cast(polars.Categorical)
    ),
    "pyarrow": lambda: pyarrow.table(COLUMNS),
    "pyarrow, dictionary": lambda: pyarrow.table(COLUMNS).set_column(
        2, "colour", pyarrow.array(COLUMNS["colour"]).dictionary_encode()
    ),
    "Arrow stream": lambda: OnlyArrow(pyarrow.table(COLUMNS)),
}


@pytest.mark.parametrize("source", SOURCES)
def test_frames(source):
    table = as_table(SOURCES[source](), target="y")
    assert table.names == list(COLUMNS)
    kinds = [column.kind for column in table.columns.values()]
    assert kinds == ["number", "number", "category", "boolean", "date", "number"]
    np.testing.assert_array_equal(table["size"], [1, np.nan, 3.5, 4])
    assert table["colour"].tolist() == COLUMNS["colour"]
    assert table["day"].astype("M8[D]").tolist() == COLUMNS["day"]
    assert table.task == "regression" and table.where(2).endswith("row 2")


@pytest.mark.parametrize("source", SOURCES)
def test_frames_give_the_arrays_of_the_file(source, tmp_path):
    path = tmp_path / "data.csv"
    pandas.DataFrame(COLUMNS).to_csv(path, index=False)
    expected = data.csv(path, target="y").prepare(seed=2)
    prepared = as_table(SOURCES[source](), target="y").prepare(seed=2)
    for part in ("train", "validation"):
        for ours, theirs in zip(
            getattr(prepared, part).arrays(), getattr(expected, part).arrays(), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
    crossed = expected.transform(SOURCES[source]())
    np.testing.assert_array_equal(crossed.features, expected.transform(path).features)


def test_kinds_cross_between_frames_and_files(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("code,y\n" + "1,0.5\n2,1.5\n" * 5)
    prepared = data.csv(path, target="y", schema={"code": "category"}).prepare(validation=0)
    for column in ([1, 2, 9], [1.0, 2.0, 9.0], ["1", "2", "9"]):
        assert prepared.transform({"code": column}).categories[:, 0].tolist() == [2, 3, 0]
        table = as_table({"code": column})
        assert prepared.transform(table).categories[:, 0].tolist() == [2, 3, 0]


def test_two_dimensions_and_records():
    table = as_table(np.arange(6.0).reshape(3, 2), target="column_2")
    assert table.names == ["column_1", "column_2"] and table["column_2"].tolist() == [1, 3, 5]
    records = np.array([(1.5, "x"), (2.5, "y")], dtype=[("a", "f4"), ("b", "U1")])
    assert [c.kind for c in as_table(records).columns.values()] == ["number", "category"]
    assert as_table([[1, "x"], [2, "y"]])["column_2"].tolist() == ["x", "y"]


@pytest.mark.parametrize(
    ("source", "target", "parts"),
    [
        ({"a": [1, 2], "b": [1]}, None, ["column 'b'", "1 values", "2"]),
        ({"a": []}, None, ["no rows"]),
        ({}, None, ["no rows"]),
        ({"a": [1.0, np.inf]}, None, ["row 1 column 'a'", "inf"]),
        ({"a": [1, 2]}, "b", ["target", "column 'b'"]),
        ({"a": [1, 2], "b": [None, None]}, "b", ["column 'b'", "target", "missing"]),
        ({"a": [1, 2], "b": [None, None]}, None, ["column 'b'", "missing"]),
        ({"a": ["1", "2", "x", "4"]}, None, ["row 2 column 'a'", "'x' is not a number"]),
        ([1, 2, 3], None, ["1 dimensions"]),
        ([[1, 2], [3]], None, ["rows of equal length"]),
        (pandas.DataFrame([[1, 2]], columns=["a", "a"]), None, ["column 'a'", "two columns"]),
    ],
)
def test_bad_frames(source, target, parts):
    with pytest.raises(DataError) as caught:
        as_table(source, target=target)
    for part in parts:
        assert part in str(caught.value)


def test_declared_kinds_of_a_frame():
    table = as_table({"a": [1, 2], "b": ["x", "y"]}, schema={"a": "category", "b": "ignore"})
    assert [c.kind for c in table.columns.values()] == ["category", "ignore"]
    with pytest.raises(DataError, match="did you mean 'a'"):
        as_table({"a": [1, 2]}, schema={"A": "category"})


ARRAYS = {
    "lists": lambda: [[1.0, 2.0], [3.0, 4.0]],
    "numpy": lambda: np.array([[1.0, 2.0], [3.0, 4.0]]),
    "big-endian": lambda: np.array([[1.0, 2.0], [3.0, 4.0]], ">f8"),
    "decimals": lambda: np.array([[decimal.Decimal(1), 2], [3, 4]], dtype=object),
    "pandas": lambda: pandas.DataFrame({"a": [1.0, 3.0], "b": [2.0, 4.0]}),
    "polars": lambda: polars.DataFrame({"a": [1.0, 3.0], "b": [2.0, 4.0]}),
    "pyarrow": lambda: pyarrow.table({"a": [1.0, 3.0], "b": [2.0, 4.0]}),
    "dict": lambda: {"a": [1.0, 3.0], "b": [2.0, 4.0]},
}


@pytest.mark.parametrize("source", ARRAYS)
def test_arrays(source):
    array = as_array(ARRAYS[source]())
    assert array.tolist() == [[1, 2], [3, 4]] and array.dtype.isnative


def test_arrays_without_a_copy():
    array = np.zeros((3, 2), np.float32)
    assert as_array(array) is array
    assert as_array(pandas.Series([1, 2])).tolist() == [1, 2]
    assert as_array(polars.Series([1, 2])).tolist() == [1, 2]

    class OnlyDLPack:
        def __dlpack__(self, **options):
            return array.__dlpack__(**options)

        def __dlpack_device__(self):
            return array.__dlpack_device__()

    assert np.shares_memory(as_array(OnlyDLPack()), array)


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        (np.array([[1.0, 2.0], [3.0, np.nan]]), ["X row 1 column 1", "nan"]),
        (np.array([1.0, -np.inf]), ["X row 1", "-inf"]),
        (pandas.DataFrame({"a": [1.0], "b": [np.nan]}), ["X row 0 column 'b'"]),
        (pandas.DataFrame({"a": [1.0, 2.0], "b": ["1", "x"]}), ["X row 0 column 'b'", "'1'"]),
        ([[1, 2], [3]], ["X", "[1, 2]"]),
        ([1, "x"], ["X row 0", "'1'"]),
        (np.array(["2020-01-01"], "M8[D]"), ["datetime64"]),
    ],
)
def test_bad_arrays(source, parts):
    with pytest.raises(DataError) as caught:
        as_array(source, name="X")
    for part in parts:
        assert part in str(caught.value)
