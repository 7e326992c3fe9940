"""What files may look like, and what kinds their columns are taken for."""

import csv
import gzip
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samara import data
from samara.data import reader, scan
from samara.data.dialect import MISSING_TOKENS, Dialect, records, sniff_delimiter


@pytest.fixture
def read(tmp_path):
    def read(content: bytes | str, target=None, name="data.csv", **options):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return data.csv(path, target=target, **options)

    return read


PLAIN = "name,size\nred,1\nblue,2\n"


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.rstrip("\n"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.replace("\n", "\r\n", 1),
        "\n\n" + PLAIN + "\n\n",
        PLAIN.replace("red", "\n\nred".strip("\n") + "", 1),
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", "|"),
        PLAIN.replace("red", '"red"'),
        PLAIN.replace(",", ', "').replace("\n", '"\n'),
        PLAIN.replace("name", " name "),
        "\ufeff" + PLAIN,
        gzip.compress(PLAIN.encode()),
    ],
    ids=range(15),
)
def test_ways_to_write_one_table(read, content):
    table = read(content)
    assert table.names == ["name", "size"]
    assert table["name"].tolist() == ["red", "blue"] and table["size"].tolist() == [1, 2]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig"])
def test_declared_encodings(read, encoding):
    table = read("name,size\nZürich,1\nGenève,2\n".encode(encoding), encoding=encoding)
    assert table["name"].tolist() == ["Zürich", "Genève"]


def test_files_of_a_glob_become_one_table(tmp_path, read):
    read("a,b\n1,x\n2,y\n", name="part-1.csv")
    read("b,a\nz,3\n", name="part-2.csv")
    table = data.csv(tmp_path / "part-*.csv")
    assert table["a"].tolist() == [1, 2, 3] and table["b"].tolist() == ["x", "y", "z"]
    assert table.where(2) == f"{tmp_path / 'part-2.csv'}:2"
    listed = data.csv([tmp_path / "part-2.csv", tmp_path / "part-1.csv"])
    assert listed["a"].tolist() == [3, 1, 2]


def test_names_with_glob_characters_are_files_first(read):
    assert len(read(PLAIN, name="data[1]*.csv")) == 2


def test_no_header(read):
    table = read("1,x\n2,y\n", header=False)
    assert table.names == ["column_1", "column_2"] and len(table) == 2
    assert any("header=False" in note for note in read("1,2\n3,4\n").notes)


def test_padded_and_unnamed_columns_are_noted(read):
    table = read("a , b,\n1,2,3\n4,5,6\n")
    assert table.names == ["a", "b", "column_3"]
    assert "'a '" in table.notes[0] and "column 3 has no name" in table.notes[1]


def test_blank_lines_between_rows_are_noted(read):
    table = read("a,b\n1,2\n\n3,4\n")
    assert len(table) == 2 and any("line 3" in note for note in table.notes)
    assert table.where(1).endswith(":4")
    assert not read("a,b\n1,2\n3,4\n\n\n").notes


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2,5\n3,5;4,5\n", ";"),
        ('a\tb\n"1\t2,3"\t4\n', "\t"),
        ("one column\nx\n", ","),
    ],
)
def test_sniffing(text, delimiter):
    assert sniff_delimiter(text.splitlines(keepends=True)) == delimiter


KINDS = {
    "number": ["1", "2.5", "-3e2", "+4", ".5", " 6 "],
    "boolean": ["true", "False", "TRUE", "NA", "false", "true"],
    "category": ["red", "green", "red", "", "blue", "red"],
    "date": [
        "2020-01-31",
        "2020-2-1",
        "2020/03/01",
        "?",
        "2021-12-31 10:30",
        "1999-01-01T00:00:01",
    ],
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(read, kind):
    table = read("other,x\n" + "".join(f"0,{value}\n" for value in KINDS[kind]))
    assert table.columns["x"].kind == kind


def test_identifiers(read):
    rows = "".join(f"{i},A{i:03d},{i:05d},{10**17 + i},some text {i}\n" for i in range(40))
    table = read("row_id,code,zip,big,remark\n" + rows)
    kinds = {name: column.kind for name, column in table.columns.items()}
    assert kinds == {"row_id": "id", "code": "id", "zip": "id", "big": "id", "remark": "id"}
    assert table["zip"][7] == "00007" and table["big"][1] == str(10**17 + 1)
    assert any("'00000' starts with zero" in note for note in table.notes)
    assert any("2^53" in note and ":2 column 'big'" in note for note in table.notes)


def test_leading_zeros_that_repeat_are_categories(read):
    table = read("zip,y\n" + "01234,1\n04567,2\n" * 30)
    assert table.columns["zip"].kind == "category" and table["zip"][0] == "01234"


def test_missing_tokens(read):
    values = [token for token in MISSING_TOKENS if token]
    rows = "".join(f"{token},{token},x\n" for token in values)
    table = read("a,b,c\n1,red,x\n" + "2,blue,x\n" * len(values) + rows + "  , ? ,x\n")
    missing = len(values) + 1
    assert int(np.isnan(table["a"]).sum()) == missing
    assert sum(value is None for value in table["b"]) == missing
    assert table.schema.rows[0].missing == missing


def test_own_missing_tokens(read):
    table = read("a,b\n1,none\n-999,x\n2,y\n", missing=["-999"])
    assert np.isnan(table["a"][1]) and table["b"][0] == "none"


def test_declared_kinds_win(read):
    text = "grade,when,code\n1,05/06/2020,007\n2,07/08/2020,008\n"
    table = read(text, schema={"grade": "category", "when": "date:%d/%m/%Y", "code": "number"})
    assert [c.kind for c in table.columns.values()] == ["category", "date", "number"]
    assert table["when"].astype("datetime64[D]").astype(str).tolist() == [
        "2020-06-05",
        "2020-08-07",
    ]
    assert table["code"].tolist() == [7, 8]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["31/01/2020", "01/02/2020"], "2020-01-31"),
        (["01/31/2020", "02/01/2020"], "2020-01-31"),
        (["31.01.2020", "01.02.2020"], "2020-01-31"),
        (["31-Jan-2020", "01-Feb-2020"], "2020-01-31"),
        (["January 31, 2020", "February 1, 2020"], "2020-01-31"),
        (["31/01/2020 10:30", "01/02/2020 23:00"], "2020-01-31"),
        (["05/05/2020", "06/06/2020"], "2020-05-05"),
    ],
)
def test_dates_that_need_no_guess(read, values, expected):
    table = read("d;y\n" + "".join(f"{value};1\n" for value in values))
    assert table.columns["d"].kind == "date"
    assert str(table["d"][0].astype("datetime64[D]")) == expected


@pytest.mark.parametrize(
    ("options", "text", "expected"),
    [
        ({"decimal": ","}, "1,5;2;-0,25", [1.5, 2, -0.25]),
        ({"decimal": ",", "thousands": "."}, "1.234,5;2;1.000.000", [1234.5, 2, 1e6]),
        ({"thousands": ","}, "1,234;2.5;1,000,000.25", [1234, 2.5, 1000000.25]),
    ],
)
def test_declared_number_marks(read, options, text, expected):
    cells = text.split(";")
    table = read("x;y\n" + "".join(f"{cell};1\n" for cell in cells), **options)
    assert table["x"].tolist() == expected
    with pytest.raises(data.reader.DataError, match=r"data\.csv:5 column 'x': '1_2'"):
        read("x;y\n" + "".join(f"{cell};1\n" for cell in [*cells, "1_2"]), **options)


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        ([0.5, 1.5, 2.5], "regression", []),
        (range(100), "regression", []),
        ([0, 1] * 20, "binary", ["0", "1"]),
        ([1, 2, 3] * 20, "multiclass", ["1", "2", "3"]),
        (["yes", "no"], "binary", ["false", "true"]),
        (["a", "b", "c"], "multiclass", ["a", "b", "c"]),
        (["01", "02"] * 20, "binary", ["01", "02"]),
    ],
)
def test_task(read, values, task, classes):
    table = read("y,x\n" + "".join(f"{value},1\n" for value in values), target="y")
    assert table.task == task and table.classes == classes
    assert task in str(table.schema)


def test_declared_task(read):
    text = "y,x\n" + "1,1\n2,2\n3,3\n" * 20
    assert read(text, target="y", task="regression").task == "regression"
    with pytest.raises(ValueError, match="3"):
        read(text, target="y", task="binary")


def test_fingerprint_follows_the_bytes(read):
    first, second = read(PLAIN).fingerprint, read(PLAIN, name="other.csv").fingerprint
    assert first == second != read(PLAIN + "green,3\n").fingerprint


def test_schema_is_a_table_of_text(read):
    text = str(read("a,b\n1,x\n2,\n", target="a").schema)
    lines = text.splitlines()
    assert "2 rows, 2 columns" in lines[0]
    assert lines[1].split() == ["column", "kind", "missing", "values", "use"]
    assert any(line.startswith("b ") and " category " in line for line in lines)


def test_schema_in_a_narrow_terminal_keeps_every_column(read):
    header = "identifier_of_the_visitor,a_rather_long_name_of_a_column,y\n"
    rows = "".join(f"V{i:04},{'ab'[i % 2] * 30},{i * 7 % 5}\n" for i in range(40))
    schema = read(header + rows, target="y").schema
    lines = schema.render(72).splitlines()
    table = [line for line in lines[1:6] if line]
    assert max(map(len, table)) <= 72 < max(map(len, str(schema).splitlines()))
    assert any("…" in line for line in table)
    assert table[2].rstrip().endswith("not used") and table[4].rstrip().endswith("target")


# The parsers against Python's csv module

TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=6
)
TRICKY = st.sampled_from([",", '"', "\n", "\r\n", "\r", ";", "a,b", '""', " ", "x\ny", "'", "|"])
FIELD = st.one_of(TEXT, TRICKY, st.tuples(TEXT, TRICKY).map("".join))


@st.composite
def tables(draw):
    width = draw(st.integers(1, 4))
    rows = draw(st.lists(st.lists(FIELD, min_size=width, max_size=width), min_size=1, max_size=8))
    return width, rows


def as_missing(value: str) -> str | None:
    return None if value.strip(" ") in MISSING_TOKENS else value


@given(table=tables(), delimiter=st.sampled_from(",;\t|"), quoting=st.sampled_from([0, 1]),
       end=st.sampled_from(["\n", "\r\n"]))  # fmt: skip
def test_round_trip(tmp_path_factory, table, delimiter, quoting, end):
    width, rows = table
    if any("\r" in field for row in rows for field in row):
        quoting = csv.QUOTE_ALL  # the writer leaves a lone carriage return bare
    out = io.StringIO(newline="")
    names = [f"c{i}" for i in range(width)]
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerow(names)
    writer.writerows(rows)
    path = tmp_path_factory.mktemp("round") / "t.csv"
    path.write_bytes(out.getvalue().encode())
    read = data.csv(path, delimiter=delimiter, schema=dict.fromkeys(names, "text"))
    assert len(read) == read.rows_in_file == len(rows)
    for at, name in enumerate(names):
        assert read[name].tolist() == [as_missing(row[at]) for row in rows]
    # Lines: where the csv module says each record starts.
    again = csv.reader(io.StringIO(out.getvalue(), newline=""), delimiter=delimiter)
    assert len(list(again)) == len(rows) + 1
    lines = [1 + out.getvalue().encode()[:start].count(b"\n") for start in starts(rows, names,
             delimiter, quoting, end)]  # fmt: skip
    assert [int(read.where(i).rsplit(":")[-1]) for i in range(len(rows))] == lines


def starts(rows, names, delimiter, quoting, end):
    """Byte offset at which every row starts, by writing them one after the other."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerow(names)
    for row in rows:
        yield len(out.getvalue().encode())
        writer.writerow(row)


@given(table=tables())
def test_exact_parser_agrees_with_the_csv_module(table):
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(table[1])
    lines = [line + "\n" for line in out.getvalue().split("\n")[:-1]]
    assert [fields for _, fields in records(lines, Dialect(","))] == table[1]


@given(table=tables(), size=st.integers(1, 40))
def test_scan_in_chunks_of_any_size(tmp_path_factory, table, size):
    width, rows = table
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([["n"] * width, *rows])
    path = tmp_path_factory.mktemp("scan") / "t.csv"
    path.write_bytes(out.getvalue().encode())
    names = ["n"] * width
    whole = scan.scan(str(path), Dialect(","), names)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan.sources, "CHUNK", size)
        pieces = scan.scan(str(path), Dialect(","), names)
    assert pieces.records == whole.records and pieces.ragged == whole.ragged
    assert pieces.longest == whole.longest and pieces.ragged_total == whole.ragged_total
    assert [pieces.lines[i] for i in range(pieces.records)] == [
        whole.lines[i] for i in range(whole.records)
    ]


@settings(max_examples=30)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=200))
def test_numbers_are_read_exactly(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("numbers") / "t.csv"
    path.write_text("x,y\n" + "".join(f"{value!r},1\n" for value in values))
    read = data.csv(path, schema={"x": "number"})
    assert read["x"].tolist() == values


def test_import_needs_no_duckdb():
    import subprocess
    import sys

    code = "import sys, samara.data; sys.exit('duckdb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_long_rows(read):
    table = read("a,b\n1," + "x" * 3_000_000 + "\n2,y\n", schema={"b": "text"})
    assert [len(value) for value in table["b"]] == [3_000_000, 1]


def test_reader_and_scan_must_agree(read, monkeypatch):
    monkeypatch.setattr(reader, "_insert", lambda loaded, *_: 1)
    with pytest.raises(ValueError, match="two parsers disagree: 2 rows against 1"):
        read(PLAIN)


def test_second_parser_steps_in(read, monkeypatch):
    """When the fast parser miscounts, the exact one takes over and places stay right."""
    insert = reader._insert

    def miscounting(loaded, file, *rest):
        count = insert(loaded, file, *rest)
        return count if file.plain else count - 1

    monkeypatch.setattr(reader, "_insert", miscounting)
    table = read('name;size\nred;1\n\n"blue";2\n')
    assert table["name"].tolist() == ["red", "blue"] and table.rows_in_file == 2
    assert table.where(1).endswith(":4")
    with pytest.raises(ValueError, match=r"data\.csv:5 column 'size': 'x'"):
        read("name,size\nred,1\nblue,2\nblue,2\ngreen,x\n")
